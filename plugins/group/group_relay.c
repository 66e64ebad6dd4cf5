/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who hears what, and when. What is said on a node goes once to each other node that listens, and is handed to the members there
 * as it is to those here: at once, or with an interval gathered for the tick (plugins/gather.c).
 *
 * Reliable messages of a node have numbers, one more each, which never begin anew: so it can be told what a member that changes
 * its node has heard. Members on their way here get what is logged, when they are let go over there.
 */
#include "group_state.h"

/* All members here have got what was heard so far. */
static void pushed(struct group *g)
{
	for (uint16_t i = 0; i < g->view.n; i++)
		g->view.at[i].pushed = g->view.at[i].heard;
}

static void push(struct groups *s, const struct group *g, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how, bool flush)
{
	size_t took;

	if (!g->member_n)
		return;
	took = s->user->push_many(s->user, g->members, g->member_n, ver, cmd, payload, how, flush);
	s->n.pushes += took;
	s->n.lost += g->member_n - took;
}

void group_push_one(struct groups *s, dk_id user, uint8_t ver, uint16_t cmd, dk_slice message)
{
	if (s->user->push(s->user, user, ver, cmd, message, DK_RELIABLE) == 0)
		s->n.pushes++;
	else
		s->n.lost++;
}

void group_relay_flush(struct groups *s, struct group *g)
{
	struct gather_list *l = gather_take(&g->gathered), *next;

	for (; l; l = next) {
		next = l->next;
		/* The interval was the wait; what the members' transports hold goes with the last list. */
		push(s, g, l->ver, l->cmd, gather_bytes(l), (l->reliable ? DK_RELIABLE : DK_UNRELIABLE) | DK_LISTED, !next);
		dk_pool_put(&s->lists, l);
	}
	pushed(g);
}

void group_relay_drop(struct groups *s, struct group *g)
{
	struct gather_list *l = gather_take(&g->gathered), *next;

	for (; l; l = next) {
		next = l->next;
		dk_pool_put(&s->lists, l);
	}
	dk_timer_stop(&g->tick);
}

static void on_tick(void *self, struct dk_timer *t)
{
	struct groups *s = self;

	s->n.ticks++;
	group_relay_flush(s, dk_container_of(t, struct group, tick));
}

/* To the members here. False: with the next tick. */
static bool deliver(struct groups *s, struct group *g, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable)
{
	int rc = GATHER_ALONE;

	if (g->interval_ms && g->member_n)
		rc = gather_add(&s->lists, &g->gathered, ver, cmd, message, reliable);
	if (rc == GATHER_FULL) {
		s->n.early++;
		group_relay_flush(s, g);
		rc = gather_add(&s->lists, &g->gathered, ver, cmd, message, reliable);
	}
	if (rc == 0) {
		if (!dk_timer_armed(&g->tick))
			dk_timer_start(s, &g->tick, gather_due(dk_now(s), dk_id_slot(g->handle), g->interval_ms), 0, on_tick);
		return false;
	}
	if (g->gathered.n)
		group_relay_flush(s, g);
	push(s, g, ver, cmd, message, reliable ? DK_RELIABLE : DK_UNRELIABLE, false);
	return true;
}

/* number 0: it is not reliable. */
static void hear(struct groups *s, struct group *g, struct group_node *from, uint64_t number, uint8_t ver, uint16_t cmd,
		 dk_slice message)
{
	dk_id group = g->handle;
	bool now;

	if (number && group_log_wanted(g)) {
		const struct dk_addr origin = from->addr;

		group_log_add(s, g, from, number, ver, cmd, message);
		/* Somebody heard of an arrival: the group may have ended, or know other nodes now. */
		from = group_live(s, group) ? group_view_find(&g->view, &origin) : NULL;
		if (!from)
			return;
	}
	if (number && g->departed)
		group_depart_late(s, g, from, number, ver, cmd, message);
	now = deliver(s, g, ver, cmd, message, number != 0);
	if (!number)
		return;
	from->heard = number;
	if (now)
		pushed(g);
	if (g->arrival_n)
		group_arrive_work(s, g, false);
}

struct dk_writer group_out(struct groups *s, size_t n)
{
	void *p;

	if (n > s->out_n) {
		p = dk_realloc(s, s->out, s->out_n, 2 * n);
		if (!p)
			return dk_writer_on(NULL, 0);
		s->out = p;
		s->out_n = 2 * n;
	}
	return dk_writer_on(s->out, s->out_n);
}

void group_say(struct groups *s, struct group *g, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable)
{
	size_t cap = DK_ID52_LEN + 8 + 1 + 2 + message.n;
	uint64_t number = reliable ? ++g->number : 0;
	struct dk_writer w;

	s->n.messages++;
	s->n.bytes += message.n;
	if (g->view.n > 1) {
		w = group_out(s, cap);
		group_on_relay_pack(&w, &g->id, number, ver, cmd, message);
		for (uint16_t i = 1; i < g->view.n; i++) {
			const struct group_node *n = &g->view.at[i];

			if (!group_is_in(n) || !(n->flags & GROUP_LISTENS))
				continue;
			if (w.bad || s->carrier->send(s->carrier, &n->addr, DK_VER_NODE, GROUP_NODE_RELAY, dk_written(&w),
						      reliable || cap > DK_CARRIER_DATAGRAM_MAX ? DK_RELIABLE : DK_UNRELIABLE))
				s->n.lost++;
			else
				s->n.sent++;
		}
	}
	hear(s, g, group_view_own(&g->view), number, ver, cmd, message);
}

int group_on_relay(struct groups *s, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	const uint8_t *id = dk_rd_take(&c, DK_ID52_LEN);
	uint64_t number = dk_rd_u64(&c);
	uint8_t ver = dk_rd_u8(&c);
	uint16_t cmd = dk_rd_u16(&c);
	dk_slice message = dk_rd_rest(&c);
	struct group_node *from;
	struct dk_id52 id52;
	struct group *g;

	if (!id) {
		s->n.malformed++;
		return 0;
	}
	memcpy(id52.c, id, DK_ID52_LEN);
	g = group_store_find(&s->store, &id52);
	if (!g || g->phase != GROUP_LIVE) {
		s->n.strays++;
		if (!g)
			group_deny(s, &id52, &call->from);
		return 0;
	}
	from = group_node_of(s, g, &call->from);
	if (!from)
		return 0;
	if (number && number <= from->heard) {
		s->n.doubled++;
		return 0;
	}
	if (number && !from->after_known) { /* whatever it says from here on comes here */
		from->after_known = true;
		from->after = number - 1;
	}
	s->n.heard++;
	hear(s, g, from, number, ver, cmd, message);
	return 0;
}

void group_relay_init(struct groups *s)
{
	gather_pool_init(s, &s->lists, "group lists");
}

void group_relay_fini(struct groups *s)
{
	dk_pool_fini(&s->lists);
	dk_free(s, s->out, s->out_n);
}
