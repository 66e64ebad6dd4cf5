/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenario room: bots sit in rooms and broadcast. A room larger than the number of bots is shared with another process: one creates
 * it and prints its id, the others --join it. Rooms that moved or got lost are counted, as their members are told.
 */
#include <errno.h>

#include <diarkis/client_room.h>

#include "tools/bot_circle.h"

static struct dk_id52 id_of(const struct circle *circle)
{
	struct dk_id52 id;

	memcpy(id.c, circle->id, DK_ID52_LEN);
	return id;
}

int room_create(struct member *m, struct dkc_client *c, dkc_reply_fn *fn, void *arg)
{
	const struct bot_options *o = m->of->o;
	struct dkc_room_opts opts = { .max_members = (uint16_t)(m->of->size < 2 ? 2 : m->of->size),
				      .allow_empty = o->allow_empty,
				      .join = true,
				      .ttl_s = (uint16_t)o->room_ttl_s,
				      .interval_ms = o->interval_ms };

	return dkc_room_create(c, &opts, fn, arg);
}

int room_join(struct member *m, struct dkc_client *c, const struct circle *circle, dkc_reply_fn *fn, void *arg)
{
	struct dk_id52 id = id_of(circle);
	dk_slice nothing = { NULL, 0 };

	(void)m;
	return dkc_room_join(c, &id, nothing, fn, arg);
}

bool room_entered(const struct dkc_reply *reply, struct circle *ret_circle)
{
	uint32_t created;

	return dkc_room_joined(reply, &ret_circle->now, &created) &&
	       circle_set_id(ret_circle, dk_str_n(ret_circle->now.c, DK_ID52_LEN));
}

static int room_say(struct member *m, struct dkc_client *c, const struct circle *circle, dk_slice message)
{
	struct dk_id52 id = id_of(circle);

	return dkc_room_broadcast(c, &id, message, m->of->o->reliable);
}

static bool room_heard(const struct dkc_event *e, dk_slice *ret_message)
{
	*ret_message = e->payload;
	return dkc_room_event(e) == DKC_ROOM_BROADCAST;
}

static int room_ask_count(struct dkc_client *c, const struct circle *circle, dkc_reply_fn *fn, void *arg)
{
	struct dk_id52 id = id_of(circle);

	return dkc_room_get_count(c, &id, fn, arg);
}

static bool room_count(const struct dkc_reply *reply, uint32_t *ret_members)
{
	uint16_t members, max;

	if (!dkc_room_count(reply, &members, &max))
		return false;
	*ret_members = members;
	return true;
}

static const struct circle_ops ops = {
	.create = room_create,
	.join = room_join,
	.entered = room_entered,
	.say = room_say,
	.heard = room_heard,
	.ask_count = room_ask_count,
	.count = room_count,
};

static int room_open(struct part *p, void **ret_self)
{
	struct dk_id52 id;
	struct circles *s;
	int rc;

	if (p->o->join && !dkc_room_id(dk_str_c(p->o->join), &id)) {
		fprintf(stderr, "diarkis-bot: --join is no room id; expected 52 hexadecimal digits\n");
		return -EINVAL;
	}
	rc = circle_open(p, &ops, ret_self);
	s = *ret_self;
	if (!rc && s->shared && p->o->join)
		s->circles[0].known = circle_set_id(&s->circles[0], dk_str_c(p->o->join));
	return rc;
}

static void room_event(struct part *p, uint32_t bot, const struct dkc_event *e)
{
	struct circles *s = p->self;
	struct member *m = &s->members[bot];
	struct circle *circle = &s->circles[m->circle];

	if (e->kind == DKC_ROOM_LOST) {
		track_lost(s, m, net_now_ns(p->run->net));
	} else if (e->kind == DKC_ROOM_MOVED) {
		/* all members tell it; the first one counts */
		s->moved += memcmp(circle->now.c, e->room->c, DK_ID52_LEN) != 0;
		circle->now = *e->room;
	}
	circle_event(p, bot, e);
}

/* A room of its own, which ends with the visit. */
static uint32_t room_visit(struct part *p, struct dkc_client *c, void *arg)
{
	struct dkc_room_opts opts = { .max_members = 2, .join = true, .ttl_s = (uint16_t)p->o->room_ttl_s };

	return dkc_room_create(c, &opts, visits_answered, arg) == 0;
}

const struct scenario scenario_room = {
	CIRCLE_SCENARIO_BUT_EVENT, .name = "room",      .summary = "bots sit in rooms and broadcast; every delivery is checked",
	.open = room_open,         .visit = room_visit, .event = room_event,
	.in_room = true,
};
