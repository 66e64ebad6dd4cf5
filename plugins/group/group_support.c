/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random joins: into any group that was made by one, with the same parameters, wherever it is; where there is none, into a new one,
 * which others with the same wish wait for. Which node knows of such groups is listing.c's. Each node that has members who came in
 * this way lists the group, so it is found as long as one of these nodes has a copy.
 */
#include "group_state.h"

#include <errno.h>

enum { KEY_RANDOM = 1 };

static const struct listing_rows rows = { .list = 34, .unlist = 35, .lease = 36, .find = 37, .seek = 38 };

struct group_search {
	struct group_search *next, **link;
	dk_id user, call;
	struct dk_group_opts opts;
	struct directory_key key;
	uint8_t tried_n;
	struct dk_id52 at, tried[DIRECTORY_TRIED_MAX];
	uint32_t n;
	uint8_t message[];
};

static struct directory_key key_of(const struct dk_group_opts *o)
{
	struct directory_key key = { .b = { KEY_RANDOM } };
	struct dk_writer w = dk_writer_on(key.b + 1, sizeof(key.b) - 1);

	dk_wr_u32(&w, o->ttl_s);
	dk_wr_u32(&w, o->interval_ms);
	dk_wr_u8(&w, o->allow_empty);
	return key;
}

/* ---- groups that are found ---- */

static void list(struct groups *s, struct group *g, const struct directory_key *key)
{
	struct directory_place p = { .id = g->id, .key = *key };

	if (!g->listed)
		g->listed = dk_alloc(s, sizeof(*g->listed));
	if (!g->listed || listing_set(&s->listed, g->listed, &p, true))
		dk_log(s, DK_ERROR, "group " DK_STR_FMT " cannot be found by random joins: out of memory",
		       DK_STR_ARG(group_id_text(g)));
}

void group_unlist(struct groups *s, struct group *g)
{
	if (!g->listed)
		return;
	listing_drop(&s->listed, g->listed);
	dk_free(s, g->listed, sizeof(*g->listed));
	g->listed = NULL;
}

/* ---- searches ---- */

static void search_free(struct groups *s, struct group_search *q)
{
	*q->link = q->next;
	if (q->next)
		q->next->link = q->link;
	dk_free(s, q, sizeof(*q) + q->n);
}

/* NULL: its user left, or its time passed, and the search is over. */
static struct dk_call *search_call(struct groups *s, struct group_search *q)
{
	struct dk_call *call = dk_call_get(s, q->call);

	if (!call)
		search_free(s, q);
	return call;
}

static void end(struct groups *s, struct group_search *q, struct dk_call *call, int rc)
{
	dk_id id = q->call;

	search_free(s, q);
	dk_call_done(s, id, group_refuse(call, GROUP_E_JOIN, rc));
}

static void answer(struct groups *s, struct group_search *q, struct dk_call *call, dk_id group, bool joined)
{
	struct group *g = group_live(s, group);
	dk_id id = q->call;

	if (!g) {
		end(s, q, call, DK_GROUP_GONE);
		return;
	}
	list(s, g, &q->key);
	s->n.random_joined += joined;
	s->n.random_created += !joined;
	search_free(s, q);
	dk_call_done(s, id, group_on_rand_join_answer(call, joined, &g->id));
}

static void make(struct groups *s, struct group_search *q, struct dk_call *call)
{
	dk_id group;
	int rc = s->svc.create(&s->svc, q->user, &q->opts, &group);

	if (rc)
		end(s, q, call, rc);
	else
		answer(s, q, call, group, false);
}

static void seek(struct groups *s, struct group_search *q);

static void again(struct groups *s, struct group_search *q)
{
	if (q->tried_n < DIRECTORY_TRIED_MAX)
		q->tried[q->tried_n++] = q->at;
	seek(s, q);
}

/* dk_group_join_fn */
static void joined(void *self, void *arg, int err, dk_id group)
{
	struct groups *s = self;
	struct group_search *q = arg;
	struct dk_call *call = search_call(s, q);

	if (!call)
		return;
	if (err == 0)
		answer(s, q, call, group, true);
	else if (err == DK_GONE || err == DK_FULL || err == DK_TOO_LONG)
		end(s, q, call, err);
	else /* it ended, does not want the user, or has it: the next one */
		again(s, q);
}

/* listing_done_fn: {u8 outcome, id52} */
static void sought(void *self, void *arg, int err, dk_slice body)
{
	struct groups *s = self;
	struct group_search *q = arg;
	struct dk_call *call = search_call(s, q);
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);
	const uint8_t *id = outcome == DIRECTORY_JOIN ? dk_rd_take(&c, DK_ID52_LEN) : NULL;
	int rc;

	if (!call)
		return;
	if (err || c.bad || !id) {
		make(s, q, call);
		return;
	}
	memcpy(q->at.c, id, DK_ID52_LEN);
	rc = s->svc.join(&s->svc, s, &q->at, q->user, GROUP_VER, GROUP_CMD_JOIN,
			 group_with_tag(s, dk_slice_n(q->message, q->n), &q->at), joined, q);
	if (rc == DK_GROUP_GONE)
		again(s, q);
	else if (rc)
		end(s, q, call, rc);
}

static void seek(struct groups *s, struct group_search *q)
{
	dk_slice tried = dk_slice_n(q->tried, q->tried_n * sizeof(q->tried[0]));
	struct dk_call *call;

	/* no type: whoever joins stays where it is */
	if (q->tried_n < DIRECTORY_TRIED_MAX && listing_seek(&s->listed, &q->key, 0, dk_str_n(NULL, 0), tried, sought, q) == 0)
		return;
	call = search_call(s, q);
	if (call)
		make(s, q, call);
}

int group_on_rand_join(struct groups *s, struct dk_call *call, bool allow_empty, uint16_t interval_ms, dk_slice message,
		       uint16_t ttl_s)
{
	struct group_search *q;

	if (group_hidden(s, call))
		return group_refuse_hidden(call);
	if (ttl_s < DK_GROUP_TTL_MIN_S)
		return group_refuse(call, GROUP_E_JOIN, DK_GROUP_BAD_PARAMS);
	if (message.n + 6 > (size_t)group_conf(s)->max_message)
		return group_refuse(call, GROUP_E_JOIN, DK_TOO_LONG);
	q = dk_alloc(s, sizeof(*q) + message.n);
	if (!q)
		return -ENOMEM;
	q->user = call->user;
	q->call = call->id;
	q->opts = (struct dk_group_opts){ .allow_empty = allow_empty, .join = true, .ttl_s = ttl_s, .interval_ms = interval_ms };
	q->key = key_of(&q->opts);
	q->n = (uint32_t)message.n;
	if (message.n)
		memcpy(q->message, message.p, message.n);
	q->next = s->searches;
	q->link = &s->searches;
	if (q->next)
		q->next->link = &q->next;
	s->searches = q;
	seek(s, q);
	return DK_LATER;
}

/* ---- what nodes say to each other ---- */

int group_on_listed(struct groups *s, struct dk_call *call, dk_slice places)
{
	(void)places;
	return listing_on_list(&s->listed, call);
}

int group_on_unlisted(struct groups *s, struct dk_call *call, dk_slice places)
{
	(void)places;
	return listing_on_unlist(&s->listed, call);
}

int group_on_lease(struct groups *s, struct dk_call *call, uint32_t n, uint64_t sum)
{
	return listing_on_lease(&s->listed, call, n, sum);
}

int group_on_find_listed(struct groups *s, struct dk_call *call, dk_slice question)
{
	(void)question;
	return listing_on_find(&s->listed, call);
}

int group_on_seek(struct groups *s, struct dk_call *call, dk_slice question)
{
	(void)question;
	return listing_on_seek(&s->listed, call);
}

/* ---- the whole ---- */

static void on_cluster(struct groups *s, const struct dk_cluster_event *ev)
{
	listing_on_cluster_changed(&s->listed, ev);
}

void group_support_reload(struct groups *s)
{
	s->listed.support = group_conf(s)->support;
	s->listed.node_type = group_conf(s)->support_type;
}

int group_support_init(struct groups *s)
{
	listing_init(&s->listed, s, s->carrier, s->cluster, &rows, (uint32_t)group_conf(s)->support_groups, 0);
	group_support_reload(s);
	return s->listed.cluster ? dk_connect(s, &s->cluster->changed, on_cluster) : 0;
}

void group_support_fini(struct groups *s)
{
	while (s->searches)
		search_free(s, s->searches);
	listing_fini(&s->listed);
}
