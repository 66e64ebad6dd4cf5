/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Those who want to get in. A group of which there is no copy here is sought: the node that its id names is asked, then the others.
 * Whoever has it answers with who takes part, and this node tells all of them. A user becomes a member when every node that is in
 * knows that this one listens; one that does not answer is waited for three seconds.
 *
 * Members are made in a turn of their own, and answered before anything is said about them: a client knows a group before it
 * hears of it.
 */
#include "group_state.h"

#include <errno.h>

enum {
	ASK_MS = 2000, /* for one node to answer */
	WAIT_MS = 3000, /* for all who take part to know */
	AROUND_PER_S = 20,
	TURN_MAX = 256 /* joiners in one callback */
};

struct group_joiner {
	struct group_joiner *next;
	dk_id group, user, call; /* call 0: fn is told, if it is not NULL */
	struct groups *s;
	void *self;
	dk_group_join_fn *fn;
	void *arg;
	uint64_t until_ms;
	int err; /* it ends without a try */
	uint16_t cmd;
	uint8_t ver;
	uint32_t n;
	uint8_t message[];
};

struct group_search {
	struct groups *s;
	dk_id group, request;
	struct dk_addr home, at;
	bool home_asked, around;
	uint32_t slot; /* the next node of the cluster to ask */
};

/* ---- joiners ---- */

/* Its plugin stopped. */
static void orphaned(void *self, void *arg)
{
	struct group_joiner *j = arg;

	(void)self;
	j->fn = NULL;
}

static void joiner_free(struct groups *s, struct group_joiner *j)
{
	if (j->fn)
		dk_disown(j->self, orphaned, j);
	dk_free(s, j, sizeof(*j) + j->n);
}

static bool is_full(struct groups *s, dk_id user)
{
	const struct group_seats *seats = group_store_seats(&s->store, user);

	return seats && group_conf(s)->max_per_user && seats->n >= (size_t)group_conf(s)->max_per_user;
}

static int admit(struct groups *s, const struct group_joiner *j)
{
	struct dk_group_join ask = { j->group, j->user, dk_slice_n(j->message, j->n) };
	struct group *g = group_live(s, j->group);
	int rc;

	if (j->err)
		return j->err;
	if (!s->user->exists(s->user, j->user) || (j->call && !dk_call_get(s, j->call)))
		return DK_GONE;
	if (g && group_store_seat(&s->store, j->user, j->group))
		return DK_EXISTS;
	if (g && dk_ask(&s->svc.may_join, &ask)) {
		s->n.vetoed++;
		return DK_GROUP_VETOED;
	}
	g = group_live(s, j->group);
	if (!g)
		return DK_GROUP_GONE;
	if (!s->user->exists(s->user, j->user))
		return DK_GONE;
	if (is_full(s, j->user))
		return DK_FULL;
	group_relay_flush(s, g);
	rc = group_store_join(&s->store, g, j->user);
	if (rc == 0)
		s->n.joined++;
	return rc;
}

static void answer(struct groups *s, struct group_joiner *j, int rc)
{
	struct dk_call *call = dk_call_get(s, j->call);
	dk_group_join_fn *fn = j->fn;
	const struct group *g = group_live(s, j->group);

	if (call) {
		if (rc == 0 && g)
			group_on_join_answer(call, group_id_text(g));
		else
			rc = group_refuse(call, GROUP_E_JOIN, rc ? rc : DK_GROUP_GONE);
		dk_call_done(s, j->call, rc);
	} else if (fn) {
		j->fn = NULL;
		dk_disown(j->self, orphaned, j);
		fn(j->self, j->arg, rc, j->group);
	}
}

static void run(struct groups *s, struct group_joiner *j)
{
	int rc = admit(s, j);
	struct group *g = group_store_get(&s->store, j->group);

	s->n.joins_failed += rc != 0;
	if (g) {
		g->admitting--;
		group_changed(s, g);
	}
	if (rc == 0)
		group_tell_joined(s, j->group, j->user, false);
	answer(s, j, rc);
	g = group_live(s, j->group);
	if (rc == 0 && g && j->n && group_store_seat(&s->store, j->user, j->group))
		group_say(s, g, j->ver, j->cmd, dk_slice_n(j->message, j->n), true);
	g = group_live(s, j->group);
	joiner_free(s, j);
	if (g)
		group_look(s, g);
}

static void run_ready(void *self, uint64_t unused)
{
	struct groups *s = self;
	struct group_joiner *j;

	(void)unused;
	for (unsigned n = 0; (j = s->ready) && n < TURN_MAX; n++) {
		s->ready = j->next;
		run(s, j);
	}
	if (s->ready && dk_defer(s, run_ready, 0) < 0)
		run_ready(s, 0);
}

/* Its turn comes when the current callback has ended. */
static void make_ready(struct groups *s, struct group *g, struct group_joiner *j)
{
	bool first = !s->ready;

	g->admitting++;
	j->next = NULL;
	if (first)
		s->ready_tail = &s->ready;
	*s->ready_tail = j;
	s->ready_tail = &j->next;
	if (first && !s->listed.stopped && dk_defer(s, run_ready, 0) < 0)
		run_ready(s, 0);
}

void group_join_look(struct groups *s, struct group *g)
{
	struct group_joiner **at = &g->joiners, *j;
	bool known = group_known(g);

	if (g->phase != GROUP_LIVE)
		return;
	while ((j = *at)) {
		if (!known && dk_now(s) < j->until_ms) {
			at = &j->next;
			continue;
		}
		*at = j->next;
		make_ready(s, g, j);
	}
}

/* ---- seeking ---- */

static void search_free(struct groups *s, struct group *g)
{
	if (!g->search)
		return;
	if (g->search->request)
		s->carrier->cancel(s->carrier, g->search->request);
	dk_free(s, g->search, sizeof(*g->search));
	g->search = NULL;
}

/* Nobody has it. */
static void not_found(struct groups *s, struct group *g)
{
	group_strip(s, g);
	group_store_remove(&s->store, g);
	group_count(s);
}

void group_join_found(struct groups *s, struct group *g)
{
	search_free(s, g);
	g->phase = GROUP_LIVE;
	group_changed(s, g);
}

/* Whether this node may ask around once more: an id that nobody knows costs a question to each node. */
static bool may_ask_around(struct groups *s)
{
	uint64_t now = dk_now(s);

	if (now - s->asked_since_ms >= 1000) {
		s->asked_since_ms = now;
		s->asked = 0;
	}
	return s->asked++ < AROUND_PER_S;
}

static void answered(void *self, void *arg, int err, int status, dk_slice body);

static int ask(struct groups *s, struct group *g, const struct dk_addr *at)
{
	dk_slice state = group_state_of(s, g, GROUP_S_ASKED);
	size_t cap = DK_ID52_LEN + state.n;
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);

	g->search->at = *at;
	group_on_enter_pack(&w, &g->id, state);
	if (w.bad || !state.n)
		return -ENOMEM;
	return s->carrier->request(s->carrier, s, at, DK_VER_NODE, GROUP_NODE_ENTER, dk_written(&w), ASK_MS, answered, g->search,
				   &g->search->request);
}

/* Returns 0, or DK_GROUP_GONE: there is nobody left to ask. */
static int ask_next(struct groups *s, struct group *g)
{
	struct group_search *q = g->search;
	const struct dk_cluster_node *node;

	q->request = 0;
	if (!q->home_asked) {
		q->home_asked = true;
		if (q->home.family && group_node_there(s, &q->home) && ask(s, g, &q->home) == 0)
			return 0;
	}
	if (!q->around && !may_ask_around(s))
		return DK_GROUP_GONE;
	q->around = true;
	while ((node = s->cluster->next(s->cluster, &q->slot)))
		if ((node->health == DK_ALIVE || node->health == DK_SUSPECT) && !dk_addr_eq(&node->addr, &q->home) &&
		    ask(s, g, &node->addr) == 0)
			return 0;
	return DK_GROUP_GONE;
}

/* dk_carrier_done_fn; the group cancels it when it goes. */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct group_search *q = arg;
	struct groups *s = self;
	struct group *g = group_store_get(&s->store, q->group);
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);

	q->request = 0;
	if (err == 0 && status == DK_STATUS_OK && !c.bad && !outcome)
		group_merge(s, g, dk_rd_rest(&c)); /* q is gone if that was it */
	if (g->phase == GROUP_LIVE) {
		group_join_look(s, g);
		group_look(s, g);
		return;
	}
	if (ask_next(s, g))
		not_found(s, g);
}

/* A group that is to be sought. Returns 0, DK_GROUP_GONE, DK_FULL or <0. */
static int seek(struct groups *s, const struct dk_id52 *id, struct group **ret_group)
{
	struct group_search *q;
	struct group *g;
	int rc;

	if (!s->carrier || !s->cluster)
		return DK_GROUP_GONE;
	rc = group_make(s, id, &g);
	if (rc)
		return rc;
	g->phase = GROUP_SEEKING;
	q = dk_alloc(s, sizeof(*q));
	if (!q) {
		rc = -ENOMEM;
		goto fail;
	}
	*q = (struct group_search){ .s = s, .group = g->handle };
	g->search = q;
	if (dk_id52_addr(id, 0, &q->home) || dk_addr_eq(&q->home, dk_node_addr(s)))
		q->home.family = 0;
	group_view_own(&g->view)->flags = GROUP_LISTENS;
	g->listen_version = group_view_own(&g->view)->version;
	rc = ask_next(s, g);
	if (rc == 0) {
		*ret_group = g;
		return 0;
	}
fail:
	group_strip(s, g);
	group_store_remove(&s->store, g);
	group_count(s);
	return rc;
}

int group_join_begin(struct groups *s, void *self, const struct dk_id52 *id, dk_id user, dk_id call, uint8_t ver, uint16_t cmd,
		     dk_slice message, dk_group_join_fn *fn, void *arg)
{
	struct group *g = group_store_find(&s->store, id);
	struct group_joiner *j, **at;
	int rc = 0;

	if (!s->user->exists(s->user, user))
		return DK_GONE;
	if (message.n > (size_t)group_conf(s)->max_message)
		return DK_TOO_LONG;
	if (is_full(s, user))
		return DK_FULL;
	j = dk_alloc(s, sizeof(*j) + message.n);
	if (!j)
		return -ENOMEM;
	j->s = s;
	j->n = (uint32_t)message.n;
	if (message.n)
		memcpy(j->message, message.p, message.n);
	j->user = user;
	j->call = call;
	j->ver = ver;
	j->cmd = cmd;
	j->until_ms = dk_now(s) + WAIT_MS;
	if (!g)
		rc = seek(s, id, &g);
	if (rc == 0 && fn && dk_own(self, orphaned, j, "a join of a group") < 0)
		rc = -ENOMEM;
	if (rc) {
		joiner_free(s, j);
		return rc;
	}
	j->self = self;
	j->fn = fn;
	j->arg = arg;
	j->group = g->handle;
	for (at = &g->joiners; *at;)
		at = &(*at)->next;
	*at = j;
	if (g->phase == GROUP_LIVE) {
		group_changed(s, g);
		group_join_look(s, g);
	}
	return 0;
}

/* ---- the end ---- */

void group_join_strip(struct groups *s, struct group *g)
{
	struct group_joiner *j;

	search_free(s, g);
	while ((j = g->joiners)) {
		g->joiners = j->next;
		j->err = DK_GROUP_GONE;
		make_ready(s, g, j);
	}
}

void group_join_fini(struct groups *s)
{
	while (s->ready) {
		struct group_joiner *j = s->ready;

		s->ready = j->next;
		joiner_free(s, j);
	}
}
