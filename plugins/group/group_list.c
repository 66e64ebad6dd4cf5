/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is in a group. Fast: each node's number of members and up to 32 of their uids, as they told last. Exact: every node that has
 * members is asked for all of them.
 */
#include "group_state.h"

#include <errno.h>

enum {
	SOME = 32, /* uids that a node tells of by itself */
	ASK_MS = 2000,
	NODE_UIDS_MAX = 8 << 20, /* bytes */
	CALL_UIDS = 1000, /* of one answer to a client */
	CALL_BYTES = 48000
};

struct group_listing {
	struct group_listing *next, **link;
	struct groups *s;
	dk_id group, call; /* call 0: fn is told */
	void *self;
	dk_group_list_fn *fn;
	void *arg;
	uint32_t members;
	uint16_t nodes, silent, open;
	uint8_t *uids; /* list of bytes16 */
	size_t uids_n, uids_cap, n;
};

/* ---- uids of this node ---- */

static dk_id member_at(const struct group *g, uint32_t i)
{
	return i < g->member_n ? g->members[i] : g->arrivals[i - g->member_n]->user;
}

/* Who is about to be a member on another node is told of there. */
static dk_str uid_at(struct groups *s, const struct group *g, uint32_t i)
{
	dk_id user = member_at(g, i);

	return group_leaving_any(g, user) ? dk_str_n(NULL, 0) : s->user->uid(s->user, user);
}

dk_slice group_some_uids(struct groups *s, const struct group *g, struct dk_writer *w)
{
	uint32_t n = g->member_n + g->arrival_n;

	for (uint32_t i = 0; i < n && i < SOME; i++) {
		dk_str uid = uid_at(s, g, i);

		if (!uid.n || (size_t)(w->end - w->p) < 2 + uid.n)
			continue;
		dk_wr_bytes16(w, dk_slice_of(uid));
	}
	return dk_written(w);
}

int group_on_list(struct groups *s, struct dk_call *call, const struct dk_id52 *id)
{
	const struct group *g = group_store_find(&s->store, id);
	uint32_t n = g ? g->member_n + g->arrival_n : 0, members = 0;
	size_t cap = 0;
	struct dk_writer w;
	uint8_t *buf;
	int rc;

	for (uint32_t i = 0; i < n; i++)
		cap += 2 + uid_at(s, g, i).n;
	if (cap > NODE_UIDS_MAX)
		cap = NODE_UIDS_MAX;
	buf = cap ? dk_alloc(s, cap) : NULL;
	w = dk_writer_on(buf, cap);
	for (uint32_t i = 0; i < n; i++) {
		dk_str uid = uid_at(s, g, i);

		members += uid.n != 0;
		if (uid.n && buf && (size_t)(w.end - w.p) >= 2 + uid.n)
			dk_wr_bytes16(&w, dk_slice_of(uid));
	}
	rc = group_on_list_answer(call, members, dk_written(&w));
	dk_free(s, buf, cap);
	return rc;
}

/* ---- putting it together ---- */

static void add(struct group_listing *l, uint32_t members, dk_slice uids)
{
	struct dk_cursor c = dk_cursor_of(uids);
	size_t cap = l->uids_cap ? l->uids_cap : 1024, n = 0;
	void *p;

	l->members += members;
	while (cap < l->uids_n + uids.n)
		cap *= 2;
	if (cap != l->uids_cap) {
		p = dk_realloc(l->s, l->uids, l->uids_cap, cap);
		if (!p)
			return;
		l->uids = p;
		l->uids_cap = cap;
	}
	for (; dk_rd_left(&c); n++)
		dk_rd_bytes16(&c);
	if (c.bad || !uids.n)
		return;
	l->n += n;
	memcpy(l->uids + l->uids_n, uids.p, uids.n);
	l->uids_n += uids.n;
}

static void add_own(struct groups *s, const struct group *g, struct group_listing *l)
{
	for (uint32_t i = 0; i < g->member_n + g->arrival_n; i++) {
		dk_str uid = uid_at(s, g, i);
		uint8_t buf[2 + DK_UID_MAX];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));

		if (!uid.n)
			continue;
		dk_wr_bytes16(&w, dk_slice_of(uid));
		add(l, 1, dk_written(&w));
	}
	l->nodes = (uint16_t)(l->nodes + (g->member_n + g->arrival_n > 0));
}

static void orphaned(void *self, void *arg)
{
	struct group_listing *l = arg;

	(void)self;
	l->fn = NULL;
}

static void listing_free(struct groups *s, struct group_listing *l)
{
	if (l->fn)
		dk_disown(l->self, orphaned, l);
	*l->link = l->next;
	if (l->next)
		l->next->link = l->link;
	dk_free(s, l->uids, l->uids_cap);
	dk_free(s, l, sizeof(*l));
}

/* As many uids as fit. */
static void answer(struct groups *s, const struct group_listing *l)
{
	struct dk_call *call = dk_call_get(s, l->call);
	const struct group *g = group_live(s, l->group);
	struct dk_cursor c = dk_cursor_of(dk_slice_n(l->uids, l->uids_n));
	struct dk_list list = { { l->uids, 0 }, 0 };
	int rc = 0;

	while (list.n < CALL_UIDS && dk_rd_left(&c)) {
		dk_rd_bytes16(&c);
		if (c.bad || (size_t)(c.p - l->uids) > CALL_BYTES)
			break;
		list.n++;
		list.bytes.n = (size_t)(c.p - l->uids);
	}
	if (!call)
		return;
	if (g)
		rc = group_on_info_answer(call, l->members, group_id_text(g), list, l->nodes);
	else
		rc = group_refuse(call, DK_E_PARAMS, DK_GROUP_GONE);
	dk_call_done(s, l->call, rc);
}

static void tell(struct groups *s, struct group_listing *l)
{
	struct dk_group_list list = { .members = l->members, .nodes = l->nodes, .silent = l->silent };
	struct dk_cursor c = dk_cursor_of(dk_slice_n(l->uids, l->uids_n));
	dk_str *uids = l->n ? dk_alloc(s, l->n * sizeof(*uids)) : NULL;
	dk_group_list_fn *fn = l->fn;

	for (size_t i = 0; uids && i < l->n; i++)
		uids[i] = dk_str_of(dk_rd_bytes16(&c));
	list.uids = uids;
	list.n = uids ? l->n : 0;
	l->fn = NULL;
	dk_disown(l->self, orphaned, l);
	fn(l->self, l->arg, &list);
	dk_free(s, uids, l->n * sizeof(*uids));
}

static void finish(struct groups *s, struct group_listing *l)
{
	if (l->call)
		answer(s, l);
	else if (l->fn)
		tell(s, l);
	listing_free(s, l);
}

static void later(void *self, uint64_t arg)
{
	struct groups *s = self;

	for (struct group_listing *l = s->listings; l; l = l->next)
		if ((uintptr_t)l == arg) {
			finish(s, l);
			return;
		}
}

/* dk_carrier_done_fn */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct group_listing *l = arg;
	struct dk_cursor c = dk_cursor_of(body);
	uint32_t members = dk_rd_u32(&c);

	if (err || status != DK_STATUS_OK || c.bad) {
		l->silent++;
	} else {
		l->nodes = (uint16_t)(l->nodes + (members > 0));
		add(l, members, dk_rd_rest(&c));
	}
	if (!--l->open)
		finish(self, l);
}

static void ask_nodes(struct groups *s, const struct group *g, struct group_listing *l)
{
	dk_slice id = dk_slice_n(g->id.c, DK_ID52_LEN);

	for (uint16_t i = 1; i < g->view.n; i++) {
		const struct group_node *n = &g->view.at[i];

		if (!group_is_in(n) || !(n->flags & GROUP_LISTENS))
			continue;
		if (s->carrier->request(s->carrier, s, &n->addr, DK_VER_NODE, GROUP_NODE_LIST, id, ASK_MS, answered, l, NULL))
			l->silent++;
		else
			l->open++;
	}
}

static void add_told(const struct group *g, struct group_listing *l)
{
	for (uint16_t i = 1; i < g->view.n; i++) {
		const struct group_node *n = &g->view.at[i];

		if (!group_is_in(n) || !n->members)
			continue;
		add(l, n->members, dk_slice_n(n->uids, n->uids_n));
		l->nodes++;
	}
}

static struct group_listing *begin(struct groups *s, const struct group *g)
{
	struct group_listing *l = dk_alloc(s, sizeof(*l));

	if (!l)
		return NULL;
	l->s = s;
	l->group = g->handle;
	l->next = s->listings;
	l->link = &s->listings;
	if (l->next)
		l->next->link = &l->next;
	s->listings = l;
	return l;
}

static void gather(struct groups *s, const struct group *g, struct group_listing *l, bool exact)
{
	add_own(s, g, l);
	if (exact)
		ask_nodes(s, g, l);
	else
		add_told(g, l);
}

static int svc_list(struct dk_group *svc, void *self, dk_id group, bool exact, dk_group_list_fn *done, void *arg)
{
	struct groups *s = groups_of(svc);
	const struct group *g = group_live(s, group);
	struct group_listing *l;

	if (!g)
		return DK_GROUP_GONE;
	l = begin(s, g);
	if (!l)
		return -ENOMEM;
	l->self = self;
	l->arg = arg;
	if (dk_own(self, orphaned, l, "a list of a group") < 0) {
		listing_free(s, l);
		return -ENOMEM;
	}
	l->fn = done;
	gather(s, g, l, exact);
	if (!l->open && (!exact || dk_defer(s, later, (uintptr_t)l) < 0))
		finish(s, l);
	return 0;
}

int group_list_call(struct groups *s, const struct group *g, dk_id call, bool exact)
{
	struct group_listing *l = begin(s, g);

	if (!l)
		return -ENOMEM;
	l->call = call;
	gather(s, g, l, exact);
	if (!l->open && dk_defer(s, later, (uintptr_t)l) < 0) {
		listing_free(s, l);
		return -ENOMEM;
	}
	return DK_LATER;
}

void group_list_init(struct groups *s)
{
	s->svc.list = svc_list;
}

void group_list_fini(struct groups *s)
{
	while (s->listings)
		listing_free(s, s->listings);
}
