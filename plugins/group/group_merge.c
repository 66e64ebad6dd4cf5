/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nodes tell each other of who takes part: reading states into the view of a group, and answering them. Whoever writes of this
 * node that it listens sends it what is said from then on; a node that has no copy says that it is out.
 */
#include "group_state.h"

#include <errno.h>

bool group_node_there(struct groups *s, const struct dk_addr *addr)
{
	const struct dk_cluster_node *node = s->cluster ? s->cluster->node(s->cluster, addr) : NULL;

	return node && (node->health == DK_ALIVE || node->health == DK_SUSPECT);
}

void group_node_refresh(struct groups *s, struct group_node *n)
{
	const struct dk_cluster_node *node = s->cluster ? s->cluster->node(s->cluster, &n->addr) : NULL;
	bool was = n->live;

	n->live = node && node->boot == n->boot && (node->health == DK_ALIVE || node->health == DK_SUSPECT);
	if (n->live && !was)
		n->knows = false;
	if (group_is_in(n))
		n->gone_ms = 0;
	else if (!n->gone_ms)
		n->gone_ms = dk_now(s);
}

struct group_node *group_node_of(struct groups *s, struct group *g, const struct dk_addr *addr)
{
	struct group_node *n = group_view_find(&g->view, addr);
	const struct dk_cluster_node *node = s->cluster && !n ? s->cluster->node(s->cluster, addr) : NULL;

	if (n || !node)
		return n;
	n = group_view_add(s, &g->view, addr, node->boot);
	if (n)
		group_node_refresh(s, n);
	return n;
}

/* The later boot of a node counts, whatever its clock says: the cluster knows which. */
static void outdate(struct groups *s, struct group *g, const struct group_entry *e)
{
	struct group_node *n = group_view_find(&g->view, &e->addr);
	const struct dk_cluster_node *node = s->cluster ? s->cluster->node(s->cluster, &e->addr) : NULL;

	if (n && n != group_view_own(&g->view) && n->boot != e->boot && node && node->boot == e->boot)
		n->version = 0;
}

/* Whoever wrote that knows that this node listens, and sends it all that is later than `number`. */
static void is_known(struct group *g, const struct dk_addr *writer, uint64_t number)
{
	struct group_node *n = group_view_find(&g->view, writer);

	if (!n || n == group_view_own(&g->view))
		return;
	n->knows = true;
	if (!n->after_known) {
		n->after_known = true;
		n->after = number;
	}
	if (n->heard < number) /* nothing was for this node */
		n->heard = n->pushed = number;
}

int group_merge(struct groups *s, struct group *g, dk_slice bytes)
{
	const struct group_node *own = group_view_own(&g->view);
	struct dk_addr writer = { .family = 0 };
	struct group_state state;
	struct group_entry e;
	bool knows = false, out = true; /* out: whoever wrote it takes no part */
	int rc;

	if (!group_state_read(bytes, &state)) {
		s->n.malformed++;
		return -EPROTO;
	}
	while (group_state_next(&state, &e)) {
		if (!writer.family) {
			writer = e.addr;
			out = (e.flags & GROUP_OUT) != 0;
		}
		knows |= dk_addr_eq(&e.addr, &own->addr) && e.boot == own->boot && (e.flags & GROUP_LISTENS) &&
			 e.version >= g->listen_version;
		outdate(s, g, &e);
		rc = group_view_merge(s, &g->view, &e);
		own = group_view_own(&g->view);
		if (rc == GROUP_DENIED) {
			if (own->version > s->last_version)
				s->last_version = own->version;
			group_view_own(&g->view)->version = group_next_version(s);
			g->told_due = true;
		} else if (rc == GROUP_NEWS) {
			group_node_refresh(s, group_view_find(&g->view, &e.addr));
		}
	}
	if (state.n)
		s->n.malformed++;
	if (knows)
		is_known(g, &writer, state.number);
	if (g->phase == GROUP_SEEKING && !out) {
		group_furnish(s, g, &state);
		group_join_found(s, g);
	}
	group_ask_all(s, g);
	group_work_soon(s, g);
	return 0;
}

int group_on_enter(struct groups *s, struct dk_call *call, const struct dk_id52 *id, dk_slice state)
{
	struct group *g = group_store_find(&s->store, id);
	uint8_t outcome = 0;

	if (!g || g->phase != GROUP_LIVE || group_merge(s, g, state) < 0)
		outcome = DK_GROUP_GONE;
	return group_on_enter_answer(call, outcome, outcome ? dk_slice_n(NULL, 0) : group_state_of(s, g, 0));
}

/* A group of this node that others have kept alive. */
static struct group *adopt(struct groups *s, const struct dk_id52 *id, const struct group_state *state)
{
	struct group_state rest = *state;
	struct group_entry writer;
	struct dk_addr home;
	struct group *g;

	if (dk_id52_addr(id, 0, &home) || !dk_addr_eq(&home, dk_node_addr(s)) || dk_node_state(s) == DK_OFFLINE)
		return NULL;
	if (!group_state_next(&rest, &writer) || (writer.flags & GROUP_OUT) || group_make(s, id, &g))
		return NULL;
	group_furnish(s, g, state);
	return g;
}

int group_on_sync(struct groups *s, struct dk_call *call, const struct dk_id52 *id, dk_slice bytes)
{
	struct group *g = group_store_find(&s->store, id);
	struct group_state state;
	int rc;

	if (!group_state_read(bytes, &state)) {
		s->n.malformed++;
		return -EPROTO;
	}
	if (!g)
		g = adopt(s, id, &state);
	if (!g && (state.flags & GROUP_S_ASKED))
		return group_on_sync_answer(call, DK_GROUP_GONE, group_denial(s));
	if (!g) {
		if (!(state.flags & GROUP_S_ANSWER))
			group_deny(s, id, &call->from);
		return 0;
	}
	rc = group_merge(s, g, bytes);
	if (rc == 0 && (state.flags & GROUP_S_ASKED))
		rc = group_on_sync_answer(call, 0, group_state_of(s, g, 0));
	else if (rc == 0 && !(state.flags & GROUP_S_ANSWER) && state.sum != group_view_sum(&g->view))
		group_send_state(s, id, &call->from, group_state_of(s, g, GROUP_S_ANSWER));
	group_join_look(s, g);
	group_look(s, g);
	return rc;
}
