/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who hears what, and when. Without an interval a broadcast goes to all members at once and leaves at the end of the turn.
 * With one, messages are gathered (plugins/gather.c), and the tick pushes them: one list per version, command and reliability, one
 * copy per member and tick, however many messages it holds.
 *
 * Rooms tick on a grid of their interval, each in a phase of its own, so that they do not all send in the same millisecond; a
 * room in which nobody speaks has no timer. A message too large for a list goes out at once, after what waits. A room that gathers
 * too much ticks early.
 */
#include "room_state.h"

static void push(struct rooms *s, const struct room *r, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how, bool flush)
{
	size_t took = s->user->push_many(s->user, r->members, r->member_n, ver, cmd, payload, how, flush);

	s->n.pushes += took;
	s->n.lost += r->member_n - took;
}

void room_relay_flush(struct rooms *s, struct room *r)
{
	struct gather_list *l = gather_take(&r->gathered), *next;

	for (; l; l = next) {
		next = l->next;
		/* The interval was the wait; what the members' transports hold goes with the last list. */
		push(s, r, l->ver, l->cmd, gather_bytes(l), (l->reliable ? DK_RELIABLE : DK_UNRELIABLE) | DK_LISTED, !next);
		dk_pool_put(&s->lists, l);
	}
}

void room_relay_drop(struct rooms *s, struct room *r)
{
	struct gather_list *l = gather_take(&r->gathered), *next;

	for (; l; l = next) {
		next = l->next;
		dk_pool_put(&s->lists, l);
	}
	dk_timer_stop(&r->tick);
}

static void on_tick(void *self, struct dk_timer *t)
{
	struct rooms *s = self;

	s->n.ticks++;
	room_relay_flush(s, dk_container_of(t, struct room, tick));
}

void room_relay_now(struct rooms *s, struct room *r, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable)
{
	room_relay_flush(s, r);
	push(s, r, ver, cmd, message, reliable ? DK_RELIABLE : DK_UNRELIABLE, false);
}

void room_relay(struct rooms *s, struct room *r, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable)
{
	int rc;

	s->n.messages++;
	s->n.bytes += message.n;
	if (!r->interval_ms) {
		push(s, r, ver, cmd, message, reliable ? DK_RELIABLE : DK_UNRELIABLE, false);
		return;
	}
	rc = gather_add(&s->lists, &r->gathered, ver, cmd, message, reliable);
	if (rc == GATHER_FULL) {
		s->n.early++;
		room_relay_flush(s, r);
		rc = gather_add(&s->lists, &r->gathered, ver, cmd, message, reliable);
	}
	if (rc)
		room_relay_now(s, r, ver, cmd, message, reliable);
	else if (!dk_timer_armed(&r->tick))
		dk_timer_start(s, &r->tick, gather_due(dk_now(s), dk_id_slot(r->handle), r->interval_ms), 0, on_tick);
}

void room_relay_init(struct rooms *s)
{
	gather_pool_init(s, &s->lists, "room lists");
}

void room_relay_fini(struct rooms *s)
{
	dk_pool_fini(&s->lists);
}
