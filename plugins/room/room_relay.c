/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who hears what, and when. Without an interval a broadcast goes to all members at once and leaves at the end of the turn.
 * With one, messages are gathered, and the tick pushes them: one list per version, command and reliability, one copy per member and
 * tick, however many messages it holds.
 *
 * Rooms tick on a grid of their interval, each in a phase of its own, so that they do not all send in the same millisecond; a
 * room in which nobody speaks has no timer. Reliable messages keep their order across commands: only the newest list grows, and
 * only by messages of its own kind. A message too large for a list goes out at once, after what waits.
 *
 * A list is no longer than what leaves in one datagram. Memory is bounded: a room that gathers too much ticks early.
 */
#include "room_state.h"

enum {
	LIST_MAX = 1100, /* fits a sealed datagram of 1,200 bytes with frame and padding */
	BATCHES_MAX = 64 /* per room */
};

struct room_batch {
	struct room_batch *next; /* older while it waits, newer on its way out */
	uint16_t cmd, n;
	uint8_t ver;
	bool reliable;
	uint8_t bytes[LIST_MAX];
};

static void push(struct rooms *s, const struct room *r, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how, bool flush)
{
	size_t took = s->user->push_many(s->user, r->members, r->member_n, ver, cmd, payload, how, flush);

	s->n.pushes += took;
	s->n.lost += r->member_n - took;
}

static struct room_batch *take_all(struct room *r)
{
	struct room_batch *b = r->newest, *oldest = NULL;

	while (b) {
		struct room_batch *older = b->next;

		b->next = oldest;
		oldest = b;
		b = older;
	}
	r->newest = NULL;
	r->batch_n = 0;
	return oldest;
}

void room_relay_flush(struct rooms *s, struct room *r)
{
	struct room_batch *b = take_all(r), *next;

	for (; b; b = next) {
		next = b->next;
		/* The interval was the wait; what the members' transports hold goes with the last list. */
		push(s, r, b->ver, b->cmd, dk_slice_n(b->bytes, b->n), (b->reliable ? DK_RELIABLE : DK_UNRELIABLE) | DK_LISTED,
		     !next);
		dk_pool_put(&s->batches, b);
	}
}

void room_relay_drop(struct rooms *s, struct room *r)
{
	struct room_batch *b = take_all(r), *next;

	for (; b; b = next) {
		next = b->next;
		dk_pool_put(&s->batches, b);
	}
	dk_timer_stop(&r->tick);
}

static void on_tick(void *self, struct dk_timer *t)
{
	struct rooms *s = self;

	s->n.ticks++;
	room_relay_flush(s, dk_container_of(t, struct room, tick));
}

static void arm(struct rooms *s, struct room *r)
{
	uint32_t phase = dk_id_slot(r->handle) % r->interval_ms, now = (uint32_t)(dk_now(s) % r->interval_ms);

	dk_timer_start(s, &r->tick, phase > now ? phase - now : phase + r->interval_ms - now, 0, on_tick);
}

/* The list that a message of this kind may join; NULL = none. */
static struct room_batch *open_batch(const struct room *r, uint8_t ver, uint16_t cmd, bool reliable, size_t need)
{
	for (struct room_batch *b = r->newest; b; b = b->next) {
		if (b->reliable != reliable)
			continue;
		if (b->ver == ver && b->cmd == cmd)
			return b->n + need <= LIST_MAX ? b : NULL;
		if (reliable)
			return NULL;
	}
	return NULL;
}

static struct room_batch *new_batch(struct rooms *s, struct room *r, uint8_t ver, uint16_t cmd, bool reliable)
{
	struct room_batch *b;

	if (r->batch_n >= BATCHES_MAX) {
		s->n.early++;
		room_relay_flush(s, r);
	}
	b = dk_pool_get(&s->batches);
	if (!b)
		return NULL;
	b->ver = ver;
	b->cmd = cmd;
	b->reliable = reliable;
	b->next = r->newest;
	r->newest = b;
	r->batch_n++;
	return b;
}

void room_relay_now(struct rooms *s, struct room *r, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable)
{
	room_relay_flush(s, r);
	push(s, r, ver, cmd, message, reliable ? DK_RELIABLE : DK_UNRELIABLE, false);
}

void room_relay(struct rooms *s, struct room *r, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable)
{
	size_t need = 4 + message.n;
	struct room_batch *b;
	struct dk_writer w;

	s->n.messages++;
	s->n.bytes += message.n;
	if (!r->interval_ms) {
		push(s, r, ver, cmd, message, reliable ? DK_RELIABLE : DK_UNRELIABLE, false);
		return;
	}
	b = need > LIST_MAX ? NULL : open_batch(r, ver, cmd, reliable, need);
	if (!b && need <= LIST_MAX)
		b = new_batch(s, r, ver, cmd, reliable);
	if (!b) {
		room_relay_now(s, r, ver, cmd, message, reliable);
		return;
	}
	w = dk_writer_on(b->bytes + b->n, LIST_MAX - b->n);
	dk_wr_bytes32(&w, dk_slice_n(message.p, message.n));
	b->n = (uint16_t)(b->n + need);
	if (!dk_timer_armed(&r->tick))
		arm(s, r);
}

void room_relay_init(struct rooms *s)
{
	dk_pool_init(s, &s->batches, sizeof(struct room_batch), 0, "room batches");
}

void room_relay_fini(struct rooms *s)
{
	dk_pool_fini(&s->batches);
}
