/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks of rooms: functions of plugins that are called every so many seconds, by name, and one without a name every five. A clock
 * belongs to the plugin that started it, so two plugins may use one name, and ends with that plugin, with a word from its owner, or
 * with the room on this node.
 *
 * Functions do not travel: a room that comes to another node has no clocks there until somebody starts them, in `migrated` say.
 */
#include <errno.h>

#include "room_state.h"

enum { CLOCKS_MAX = 64, NAME_MAX_BYTES = 255, EVERY_MAX_S = 86400 };

struct room_clock {
	struct room_clock *next;
	struct rooms *rooms;
	void *owner, *arg;
	dk_room_clock_fn *tick, *stopped;
	dk_id room;
	struct dk_timer timer;
	uint32_t every_s;
	uint16_t n; /* of the name; 0: the tick */
	char name[];
};

/* ---- for recordings: whose it is, as a number ---- */

static uint8_t number_of(struct rooms *s, void *owner)
{
	uint8_t i = 0;

	while (i < ROOM_CLOCK_OWNERS_MAX - 1 && s->clock_owners[i] && s->clock_owners[i] != owner)
		i++;
	if (!s->clock_owners[i])
		s->clock_owners[i] = owner;
	return i;
}

static int record_clock(struct rooms *s, dk_id room, enum room_log_kind kind, void *owner, dk_str name, uint32_t every_s, int rc)
{
	struct room *r = room_any(s, room);

	if (r && r->recorded)
		room_record(s, r,
			    &(struct room_log_event){
				    .kind = kind, .how = number_of(s, owner), .name = name, .number = every_s, .outcome = rc });
	return rc;
}

static struct room_clock **find(struct room *r, const void *owner, dk_str name)
{
	struct room_clock **at = &r->clocks;

	while (*at && ((*at)->owner != owner || !dk_str_eq(dk_str_n((*at)->name, (*at)->n), name)))
		at = &(*at)->next;
	return at;
}

static void take_out(struct room_clock **at)
{
	struct room_clock *c = *at;

	*at = c->next;
	dk_timer_stop(&c->timer);
}

/* The plugin that started it ends: it is not told any more. */
static void drop(void *self, void *arg)
{
	struct room_clock *c = arg, **at;
	struct rooms *s = c->rooms;
	struct room *r = room_any(s, c->room);

	(void)self;
	at = &r->clocks;
	while (*at != c)
		at = &(*at)->next;
	take_out(at);
	record_clock(s, c->room, ROOM_LOG_CLOCK_STOP, c->owner, dk_str_n(c->name, c->n), 0, 0);
	dk_free(s, c, sizeof(*c) + c->n);
}

/* Its owner is told, when the clock is no more. */
static void end(struct room_clock **at)
{
	struct room_clock *c = *at, was = *c;

	dk_disown(c->owner, drop, c);
	take_out(at);
	dk_free(c->rooms, c, sizeof(*c) + c->n);
	if (was.stopped)
		was.stopped(was.owner, was.arg, was.room);
}

/* A room that is on its way says nothing: the clock goes on, here or nowhere. */
static void on_tick(void *self, struct dk_timer *t)
{
	struct room_clock *c = dk_container_of(t, struct room_clock, timer);
	struct rooms *s = self;
	struct room *r = room_any(s, c->room);

	if (r->recorded)
		room_record(s, r,
			    &(struct room_log_event){ .kind = ROOM_LOG_TIMER,
						      .how = ROOM_TIMER_CLOCK,
						      .number = number_of(s, c->owner),
						      .name = dk_str_n(c->name, c->n) });
	if (r->phase != ROOM_LIVE)
		return;
	s->n.clock_ticks++;
	c->tick(c->owner, c->arg, c->room); /* may end the clock, and the room */
}

static int start(struct rooms *s, void *owner, dk_id room, dk_str name, uint32_t every_s, dk_room_clock_fn *tick,
		 dk_room_clock_fn *stopped, void *arg)
{
	struct room *r = room_live(s, room);
	struct room_clock *c;
	unsigned n = 0;

	if (!r)
		return room_why_not(s, room);
	if (*find(r, owner, name))
		return DK_EXISTS;
	for (c = r->clocks; c; c = c->next)
		n++;
	if (n >= CLOCKS_MAX)
		return DK_FULL;
	c = dk_alloc(s, sizeof(*c) + name.n);
	if (!c)
		return -ENOMEM;
	*c = (struct room_clock){ .rooms = s, .owner = owner, .arg = arg, .tick = tick, .stopped = stopped, .room = room };
	c->every_s = every_s;
	c->n = (uint16_t)name.n;
	if (name.n)
		memcpy(c->name, name.p, name.n);
	if (dk_own(owner, drop, c, "clock of a room") < 0) {
		dk_free(s, c, sizeof(*c) + c->n);
		return -ENOMEM;
	}
	c->next = r->clocks;
	r->clocks = c;
	dk_timer_start(s, &c->timer, every_s * 1000u, every_s * 1000u, on_tick);
	return 0;
}

static int stop(struct rooms *s, void *owner, dk_id room, dk_str name)
{
	struct room *r = room_any(s, room);
	struct room_clock **at = r ? find(r, owner, name) : NULL;

	if (!r)
		return DK_ROOM_GONE;
	if (!*at)
		return record_clock(s, room, ROOM_LOG_CLOCK_STOP, owner, name, 0, DK_NOT_FOUND);
	record_clock(s, room, ROOM_LOG_CLOCK_STOP, owner, name, 0, 0);
	end(at);
	return 0;
}

static int svc_start_clock(struct dk_room *svc, void *self, dk_id room, dk_str name, uint32_t every_s, dk_room_clock_fn *tick,
			   dk_room_clock_fn *stopped, void *arg)
{
	struct rooms *s = rooms_of(svc);
	bool bad = !name.n || name.n > NAME_MAX_BYTES || !every_s || every_s > EVERY_MAX_S;
	int rc = bad ? DK_ROOM_BAD_PARAMS : start(s, self, room, name, every_s, tick, stopped, arg);

	return record_clock(s, room, ROOM_LOG_CLOCK, self, name, every_s, rc);
}

static int svc_stop_clock(struct dk_room *svc, void *self, dk_id room, dk_str name)
{
	return name.n ? stop(rooms_of(svc), self, room, name) : DK_NOT_FOUND;
}

static int svc_start_tick(struct dk_room *svc, void *self, dk_id room, dk_room_clock_fn *tick, dk_room_clock_fn *stopped, void *arg)
{
	struct rooms *s = rooms_of(svc);
	dk_str none = dk_str_n(NULL, 0);

	return record_clock(s, room, ROOM_LOG_CLOCK, self, none, 0,
			    start(s, self, room, none, DK_ROOM_TICK_S, tick, stopped, arg));
}

static int svc_stop_tick(struct dk_room *svc, void *self, dk_id room)
{
	return stop(rooms_of(svc), self, room, dk_str_n(NULL, 0));
}

void room_clocks_end(struct room *r)
{
	while (r->clocks)
		end(&r->clocks);
}

/* ---- played again: one owner, whose number is the first byte of the name ---- */

static void no_tick(void *self, void *arg, dk_id room)
{
	(void)self;
	(void)arg;
	(void)room;
}

static dk_str numbered(struct rooms *s, uint8_t owner, dk_str name)
{
	char *p = dk_scratch(s, name.n + 1);

	if (!p)
		return dk_str_n(NULL, 0);
	*p = (char)owner;
	if (name.n)
		memcpy(p + 1, name.p, name.n);
	return dk_str_n(p, name.n + 1);
}

int room_clock_play(struct rooms *s, dk_id room, uint8_t owner, dk_str name, uint32_t every_s)
{
	bool tick = !name.n && !every_s;

	if (!tick && (!name.n || name.n > NAME_MAX_BYTES || !every_s || every_s > EVERY_MAX_S))
		return DK_ROOM_BAD_PARAMS;
	return start(s, s, room, numbered(s, owner, name), tick ? DK_ROOM_TICK_S : every_s, no_tick, NULL, NULL);
}

int room_clock_play_stop(struct rooms *s, dk_id room, uint8_t owner, dk_str name)
{
	return stop(s, s, room, numbered(s, owner, name));
}

struct dk_timer *room_clock_timer(struct rooms *s, struct room *r, uint8_t owner, dk_str name)
{
	struct room_clock *c = *find(r, s, numbered(s, owner, name));

	return c ? &c->timer : NULL;
}

/* {u8 owner, u16 length, name, u32 seconds, u32 ms until it runs}*, the latest first. */
void room_clocks_dump(struct rooms *s, const struct room *r, struct dk_writer *w)
{
	for (const struct room_clock *c = r->clocks; c; c = c->next) {
		dk_str name = dk_str_n(c->name, c->n);
		uint64_t now = dk_now(s);

		dk_wr_u8(w, s->play ? (uint8_t)*c->name : number_of(s, c->owner));
		dk_wr_bytes16(w, dk_slice_of(s->play ? dk_str_n(name.p + 1, name.n - 1) : name));
		dk_wr_u32(w, c->every_s);
		dk_wr_u32(w, (uint32_t)(c->timer.due_ms > now ? c->timer.due_ms - now : 0));
	}
}

static int restore(struct rooms *s, struct room *r, struct dk_cursor *c)
{
	uint8_t owner;
	dk_str name;
	uint32_t every_s, left;
	int rc = 0;

	if (!dk_rd_left(c))
		return 0;
	owner = dk_rd_u8(c);
	name = dk_str_of(dk_rd_bytes16(c));
	every_s = dk_rd_u32(c);
	left = dk_rd_u32(c);
	if (c->bad || name.n > NAME_MAX_BYTES || !every_s || every_s > EVERY_MAX_S)
		return -EPROTO;
	rc = restore(s, r, c); /* the list grows at its head */
	if (rc == 0)
		rc = start(s, s, r->handle, numbered(s, owner, name), every_s, no_tick, NULL, NULL);
	if (rc == 0)
		dk_timer_start(s, &r->clocks->timer, left, every_s * 1000u, on_tick);
	return rc ? -EPROTO : 0;
}

int room_clocks_restore(struct rooms *s, struct room *r, struct dk_cursor *c)
{
	return restore(s, r, c);
}

void room_clock_init(struct rooms *s)
{
	s->svc.start_clock = svc_start_clock;
	s->svc.stop_clock = svc_stop_clock;
	s->svc.start_tick = svc_start_tick;
	s->svc.stop_tick = svc_stop_tick;
}
