/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes part in a group, and how the nodes agree on it without a leader (group_view.h): whoever begins to listen asks every
 * node that is in to confirm that it knows; the number of members is told within a second or two; every ten seconds each node
 * compares what it knows with one other. A node that is gone, and comes back with the same boot, is asked anew.
 *
 * The node that the id names (home) keeps a copy as long as the group lives, so that it is found in one step; when it has lost it,
 * the first of those who are in gives it one again. Everybody else drops a copy without members.
 */
#include "group_state.h"

enum {
	ASK_MS = 2000,
	WORK_MS = 250, /* while there is something to wait for */
	TELL_MS = 1000, /* at most that often the number of members is told */
	TEND_MS = 10000,
	OUT_MS = 60000, /* for so long it is remembered who went */
	GONE_MS = 3600000 /* and who may come back */
};

struct group_ask {
	struct group_ask *next, **link;
	struct groups *s;
	dk_id group;
	struct dk_addr at;
};

/* ---- what there is to tell ---- */

uint64_t group_next_version(struct groups *s)
{
	uint64_t now_ms = dk_wall_ns(s) / 1000000;

	s->last_version = now_ms > s->last_version ? now_ms : s->last_version + 1;
	return s->last_version;
}

dk_slice group_state_of(struct groups *s, const struct group *g, uint8_t flags)
{
	struct group_state head = { .flags = flags, .ttl_s = g->ttl_s, .interval_ms = g->interval_ms, .created_s = g->created_s };
	size_t cap = GROUP_STATE_HEAD + (flags & GROUP_S_PROBE ? 1u : g->view.n) * (size_t)GROUP_ENTRY_MAX;
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap),
			 uids = dk_writer_on(dk_scratch(s, GROUP_UIDS_MAX), GROUP_UIDS_MAX);

	head.flags |= (uint8_t)((g->allow_empty ? GROUP_S_ALLOW_EMPTY : 0) | (g->is_static ? GROUP_S_STATIC : 0));
	head.number = g->number;
	group_state_write(&w, &head, &g->view, group_some_uids(s, g, &uids));
	return dk_written(&w);
}

void group_send_state(struct groups *s, const struct dk_id52 *id, const struct dk_addr *to, dk_slice state)
{
	size_t cap = DK_ID52_LEN + state.n;
	struct dk_writer w = dk_writer_on(state.n ? dk_scratch(s, cap) : NULL, cap);

	group_on_sync_pack(&w, id, state);
	if (!w.bad && s->carrier->send(s->carrier, to, DK_VER_NODE, GROUP_NODE_SYNC, dk_written(&w), DK_RELIABLE) == 0)
		s->n.syncs++;
}

/* To all who are in. */
static void tell(struct groups *s, struct group *g, uint8_t flags)
{
	dk_slice state = g->view.n > 1 ? group_state_of(s, g, flags) : dk_slice_n(NULL, 0);

	for (uint16_t i = 1; i < g->view.n; i++)
		if (group_is_in(&g->view.at[i]))
			group_send_state(s, &g->id, &g->view.at[i].addr, state);
	g->told_ms = dk_now(s);
	g->told_due = false;
}

/* What a node says that has no copy: it is out. */
dk_slice group_denial(struct groups *s)
{
	struct group_node own = {
		.addr = s->carrier->addr, .boot = s->carrier->boot, .version = group_next_version(s), .flags = GROUP_OUT
	};
	struct group_view v = { .at = &own, .n = 1 };
	struct group_state head = { .flags = GROUP_S_ANSWER };
	size_t cap = GROUP_STATE_HEAD + GROUP_ENTRY_MAX;
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);

	group_state_write(&w, &head, &v, dk_slice_n(NULL, 0));
	return dk_written(&w);
}

void group_deny(struct groups *s, const struct dk_id52 *id, const struct dk_addr *to)
{
	s->n.denied++;
	group_send_state(s, id, to, group_denial(s));
}

/* ---- asking whether it is known that this node listens ---- */

bool group_known(const struct group *g)
{
	for (uint16_t i = 1; i < g->view.n; i++)
		if (group_is_in(&g->view.at[i]) && !g->view.at[i].knows)
			return false;
	return true;
}

static void ask_free(struct groups *s, struct group_ask *a)
{
	*a->link = a->next;
	if (a->next)
		a->next->link = a->link;
	dk_free(s, a, sizeof(*a));
}

/* dk_carrier_done_fn */
static void asked(void *self, void *arg, int err, int status, dk_slice body)
{
	struct groups *s = self;
	struct group_ask *a = arg;
	struct group *g = group_live(s, a->group);
	struct group_node *n = g ? group_view_find(&g->view, &a->at) : NULL;
	struct dk_cursor c = dk_cursor_of(body);

	if (n) {
		n->asked = false;
		dk_rd_u8(&c); /* the outcome; the state says as much */
		if (err == 0 && status == DK_STATUS_OK)
			group_merge(s, g, dk_rd_rest(&c));
		else if (err == 0) /* a node without this plugin */
			n->flags |= GROUP_OUT;
		group_work_soon(s, g);
	}
	ask_free(s, a);
	if (n) {
		group_join_look(s, g);
		group_look(s, g);
	}
}

static void ask(struct groups *s, struct group *g, struct group_node *n, dk_slice state)
{
	struct group_ask *a = dk_alloc(s, sizeof(*a));
	size_t cap = DK_ID52_LEN + state.n;
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);

	group_on_sync_pack(&w, &g->id, state);
	if (!a)
		return;
	*a = (struct group_ask){ .s = s, .group = g->handle, .at = n->addr };
	if (w.bad ||
	    s->carrier->request(s->carrier, s, &n->addr, DK_VER_NODE, GROUP_NODE_SYNC, dk_written(&w), ASK_MS, asked, a, NULL)) {
		dk_free(s, a, sizeof(*a));
		return;
	}
	s->n.syncs++;
	n->asked = true;
	a->next = s->asks;
	a->link = &s->asks;
	if (a->next)
		a->next->link = &a->next;
	s->asks = a;
}

void group_ask_all(struct groups *s, struct group *g)
{
	dk_slice state = { NULL, 0 };

	if (!(group_view_own(&g->view)->flags & GROUP_LISTENS) || g->phase != GROUP_LIVE)
		return;
	for (uint16_t i = 1; i < g->view.n; i++) {
		struct group_node *n = &g->view.at[i];

		if (!group_is_in(n) || n->knows || n->asked)
			continue;
		if (!state.n)
			state = group_state_of(s, g, GROUP_S_ASKED);
		if (state.n)
			ask(s, g, n, state);
	}
}

/* Everybody may have a static group; who has not says so. */
static void know_all_nodes(struct groups *s, struct group *g)
{
	const struct dk_cluster_node *node;
	uint32_t slot = 0;

	while (s->cluster && (node = s->cluster->next(s->cluster, &slot)))
		group_node_of(s, g, &node->addr);
}

void group_changed(struct groups *s, struct group *g)
{
	struct group_node *own = group_view_own(&g->view);
	uint32_t members = g->member_n + g->arrival_n;
	bool busy = members || g->joiners || g->admitting || g->leaving || g->departed || g->onward;
	uint8_t flags = busy ? GROUP_LISTENS : 0, was = own->flags;

	group_count(s);
	if (flags == was && members == own->members)
		return;
	own->flags = flags;
	own->members = members;
	own->version = group_next_version(s);
	if (flags == was) {
		g->told_due = true;
	} else if (flags) {
		g->listen_version = own->version;
		if (g->is_static)
			know_all_nodes(s, g);
		for (uint16_t i = 1; i < g->view.n; i++)
			g->view.at[i].knows = g->view.at[i].after_known = false;
		group_ask_all(s, g);
	} else if (g->phase == GROUP_LIVE) {
		tell(s, g, GROUP_S_PROBE | GROUP_S_ANSWER);
	}
	if (g->view.n > 1)
		group_work_soon(s, g);
}

/* ---- in the course of time ---- */

bool group_is_home(struct groups *s, const struct group *g)
{
	struct dk_addr home;

	return dk_id52_addr(&g->id, 0, &home) == 0 && dk_addr_eq(&home, dk_node_addr(s));
}

/* Whether this node is the first of those who are in. */
static bool is_first(const struct group *g)
{
	const struct group_node *own = group_view_own(&g->view);

	for (uint16_t i = 1; i < g->view.n; i++)
		if (group_is_in(&g->view.at[i]) && memcmp(&g->view.at[i].addr, &own->addr, sizeof(own->addr)) < 0)
			return false;
	return true;
}

/* Home is there and has no copy: it began anew, say, or was cut off for a while. */
static void tend_home(struct groups *s, struct group *g)
{
	const struct dk_cluster_node *node;
	const struct group_node *n;
	struct dk_addr home;

	if (g->is_static || !s->cluster || dk_id52_addr(&g->id, 0, &home) || dk_addr_eq(&home, dk_node_addr(s)) || !is_first(g))
		return;
	n = group_view_find(&g->view, &home);
	node = s->cluster->node(s->cluster, &home);
	if ((!n || !group_is_in(n)) && node && node->health == DK_ALIVE && node->state != DK_OFFLINE)
		group_send_state(s, &g->id, &home, group_state_of(s, g, 0));
}

static void tend(struct groups *s, struct group *g)
{
	uint64_t now = dk_now(s);
	uint16_t others = 0, which;

	g->tended_ms = now;
	for (uint16_t i = 1; i < g->view.n;) {
		const struct group_node *n = &g->view.at[i];

		if (n->gone_ms && now - n->gone_ms >= (n->flags & GROUP_OUT ? OUT_MS : GONE_MS)) {
			group_view_drop(s, &g->view, i);
		} else {
			others = (uint16_t)(others + group_is_in(n));
			i++;
		}
	}
	tend_home(s, g);
	if (!others)
		return;
	which = (uint16_t)(dk_chance(s) % others);
	for (uint16_t i = 1; i < g->view.n; i++)
		if (group_is_in(&g->view.at[i]) && !which--)
			group_send_state(s, &g->id, &g->view.at[i].addr, group_state_of(s, g, GROUP_S_PROBE));
}

static void on_work(void *self, struct dk_timer *t)
{
	struct group *g = dk_container_of(t, struct group, work);
	struct groups *s = self;
	dk_id group = g->handle;
	bool more = group_depart_work(s, g);

	more |= group_arrive_work(s, g, false);
	g = group_live(s, group);
	if (!g)
		return;
	group_changed(s, g);
	group_ask_all(s, g);
	if (g->told_due && dk_now(s) - g->told_ms >= TELL_MS)
		tell(s, g, GROUP_S_PROBE | GROUP_S_ANSWER);
	if (dk_now(s) - g->tended_ms >= TEND_MS)
		tend(s, g);
	more |= g->told_due || g->joiners || ((group_view_own(&g->view)->flags & GROUP_LISTENS) && !group_known(g));
	if (more)
		group_work_soon(s, g);
	else if (g->view.n > 1)
		dk_timer_start(s, &g->work, TEND_MS + dk_chance(s) % WORK_MS, 0, on_work);
	group_join_look(s, g);
	group_look(s, g);
}

void group_work_soon(struct groups *s, struct group *g)
{
	if (!dk_timer_armed(&g->work) || g->work.due_ms > dk_now(s) + WORK_MS)
		dk_timer_start(s, &g->work, WORK_MS, 0, on_work);
}

void group_on_cluster_changed(struct groups *s, const struct dk_cluster_event *ev)
{
	bool came = ev->change == DK_NODE_JOINED || ev->change == DK_NODE_RECOVERED;
	uint32_t slot = 0;
	struct group *g;
	dk_id group;

	if (ev->change == DK_NODE_CHANGED || ev->change == DK_NODE_SUSPECTED)
		return;
	while ((g = dk_table_next(&s->store.table, &slot, &group))) {
		struct group_node *n = group_view_find(&g->view, &ev->node->addr);

		if (g->phase != GROUP_LIVE)
			continue;
		if (!n && came && g->is_static && (group_view_own(&g->view)->flags & GROUP_LISTENS))
			n = group_node_of(s, g, &ev->node->addr);
		if (n)
			group_node_refresh(s, n);
		if (n && ev->change == DK_NODE_REMOVED && n->live) {
			n->live = false;
			n->gone_ms = dk_now(s);
		}
		if (came) /* it may have missed something, and so may we */
			g->tended_ms = 0;
		group_work_soon(s, g);
		group_join_look(s, g);
		group_look(s, g);
	}
}

void group_sync_fini(struct groups *s)
{
	while (s->asks)
		ask_free(s, s->asks);
}
