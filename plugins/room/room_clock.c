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
	uint8_t n; /* of the name; 0: the tick */
	char name[];
};

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

	if (!room_live(s, c->room))
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
	c->n = (uint8_t)name.n;
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
		return DK_NOT_FOUND;
	end(at);
	return 0;
}

static int svc_start_clock(struct dk_room *svc, void *self, dk_id room, dk_str name, uint32_t every_s, dk_room_clock_fn *tick,
			   dk_room_clock_fn *stopped, void *arg)
{
	if (!name.n || name.n > NAME_MAX_BYTES || !every_s || every_s > EVERY_MAX_S)
		return DK_ROOM_BAD_PARAMS;
	return start(rooms_of(svc), self, room, name, every_s, tick, stopped, arg);
}

static int svc_stop_clock(struct dk_room *svc, void *self, dk_id room, dk_str name)
{
	return name.n ? stop(rooms_of(svc), self, room, name) : DK_NOT_FOUND;
}

static int svc_start_tick(struct dk_room *svc, void *self, dk_id room, dk_room_clock_fn *tick, dk_room_clock_fn *stopped, void *arg)
{
	return start(rooms_of(svc), self, room, dk_str_n(NULL, 0), DK_ROOM_TICK_S, tick, stopped, arg);
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

void room_clock_init(struct rooms *s)
{
	s->svc.start_clock = svc_start_clock;
	s->svc.stop_clock = svc_stop_clock;
	s->svc.start_tick = svc_start_tick;
	s->svc.stop_tick = svc_stop_tick;
}
