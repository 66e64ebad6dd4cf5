/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenario state: bots sit in rooms, and each sets a state of its own again and again. Of states only the last one counts, so what
 * is passed over is no loss; at the end everybody must have heard everybody's last one. The server needs state_interval_ms of room.
 * A bot is in one room at a time, so this is no part of mixed.
 */
#include <diarkis/client_room.h>
#include <diarkis/client_room_data.h>

#include <errno.h>

#include "tools/bot_circle.h"

#define SIZE_MAX_STATE 36 /* of 40 bytes; the key takes 4 */

static int state_say(struct member *m, struct dkc_client *c, const struct circle *circle, dk_slice message)
{
	uint8_t key[4];
	struct dk_writer w = dk_writer_on(key, sizeof(key));
	struct dk_id52 id;

	memcpy(id.c, circle->id, DK_ID52_LEN);
	dk_wr_u32(&w, m->place);
	return dkc_room_set_state(c, &id, dk_written(&w), message, false, m->of->o->reliable);
}

static bool state_heard(const struct dkc_event *e, dk_slice *ret_message)
{
	(void)e;
	(void)ret_message;
	return false; /* a push has many: see below */
}

static const struct circle_ops ops = {
	.create = room_create,
	.join = room_join,
	.entered = room_entered,
	.say = state_say,
	.heard = state_heard,
	.latest = true,
};

static int state_open(struct part *p, void **ret_self)
{
	if (p->o->size > SIZE_MAX_STATE) {
		fprintf(stderr, "diarkis-bot: --size %u: a state has %u bytes at most here\n", p->o->size, SIZE_MAX_STATE);
		return -EINVAL;
	}
	return circle_open(p, &ops, ret_self);
}

static void state_event(struct part *p, uint32_t bot, const struct dkc_event *e)
{
	struct circles *s = p->self;
	dk_slice rest = e->payload, key, value;

	if (dkc_room_data_event(e) == DKC_ROOM_STATES) {
		while (dkc_room_next_state(&rest, &key, &value))
			track_delivered(s, &s->members[bot], value);
	}
	circle_event(p, bot, e);
}

const struct scenario scenario_state = {
	CIRCLE_SCENARIO_BUT_EVENT,
	.name = "state",
	.summary = "bots sit in rooms and set states, of which the last ones count; not in mixed",
	.open = state_open,
	.event = state_event,
	.by_itself = true,
	.in_room = true,
};
