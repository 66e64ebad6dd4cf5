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
#include <errno.h>

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

	if (l && r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = ROOM_LOG_FLUSH });
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
	struct room *r = dk_container_of(t, struct room, tick);
	struct rooms *s = self;

	s->n.ticks++;
	room_relay_flush(s, r);
	if (r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = ROOM_LOG_TIMER, .how = ROOM_TIMER_TICK });
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
		dk_timer_start(s, &r->tick, room_due(s, r, r->interval_ms), 0, on_tick);
}

void room_relay_own(struct rooms *s, struct room *r, uint16_t cmd, dk_slice message, bool reliable)
{
	room_relay(s, r, ROOM_VER, cmd, message, reliable);
	if (r->recorded)
		room_record(s, r,
			    &(struct room_log_event){
				    .kind = ROOM_LOG_PUSH, .ver = ROOM_VER, .cmd = cmd, .bytes = message, .how = reliable });
}

/* ---- for recordings ---- */

void room_relay_arm(struct rooms *s, struct room *r, uint32_t in_ms)
{
	dk_timer_start(s, &r->tick, in_ms, 0, on_tick);
}

/* {u8 version, u16 command, u8 reliable, u16 length, list}*, oldest first. */
void room_waiting_dump(struct rooms *s, const struct room *r, struct dk_writer *w)
{
	(void)s;
	for (uint32_t n = r->gathered.n; n--;) {
		const struct gather_list *l = r->gathered.newest;

		for (uint32_t i = 0; i < n; i++)
			l = l->next;
		dk_wr_u8(w, l->ver);
		dk_wr_u16(w, l->cmd);
		dk_wr_u8(w, l->reliable);
		dk_wr_bytes16(w, gather_bytes(l));
	}
}

int room_waiting_restore(struct rooms *s, struct room *r, struct dk_cursor *c)
{
	while (dk_rd_left(c) && !c->bad) {
		uint8_t ver = dk_rd_u8(c);
		uint16_t cmd = dk_rd_u16(c);
		bool reliable = dk_rd_u8(c) != 0;
		struct dk_cursor list = dk_cursor_of(dk_rd_bytes16(c));

		while (dk_rd_left(&list) && !list.bad) {
			dk_slice message = dk_rd_bytes32(&list);

			c->bad |= list.bad || gather_add(&s->lists, &r->gathered, ver, cmd, message, reliable);
		}
	}
	return c->bad ? -EPROTO : 0;
}

void room_relay_init(struct rooms *s)
{
	gather_pool_init(s, &s->lists, "room lists");
}

void room_relay_fini(struct rooms *s)
{
	dk_pool_fini(&s->lists);
}
