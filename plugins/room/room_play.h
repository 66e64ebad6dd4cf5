/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "room.play": a recorded room once more, for diarkis-replay. Other plugins have no use for it, so it is not installed. A
 * node plays one recording, and records none; its clock is moved by whoever plays, between the inputs, and its timers never run by
 * themselves: that a timer ran is an input.
 */
#ifndef ROOM_PLAY_H
#define ROOM_PLAY_H

#include <diarkis/service.h>

#include "room_log.h"

#define DK_ROOM_PLAY_NAME "room.play"
#define DK_ROOM_PLAY_MAJOR 1
#define DK_ROOM_PLAY_MINOR 0
#define DK_ROOM_PLAY_TYPE struct dk_room_play

/* What an input came to, when that is no outcome of a function of the service. */
enum dk_room_play_outcome {
	ROOM_PLAY_OVER = 200, /* the room has ended */
	ROOM_PLAY_LIVES, /* it should have, and has not */
	ROOM_PLAY_NO_TIMER, /* the timer is not armed */
	ROOM_PLAY_EARLY, /* it is, for later */
	ROOM_PLAY_NONSENSE /* the input does not fit the room at all */
};

struct dk_room_play {
	struct dk_service base;

	/* Before anything else, once; this moment is that of head. Returns 0 or <0. */
	int (*begin)(struct dk_room_play *svc, const struct room_log_head *head);
	/* Any kind but ROOM_LOG_CHECK. Returns what came of it: as e->outcome, if all is well. */
	int (*apply)(struct dk_room_play *svc, const struct room_log_event *e);
	/* The parts of the room as they are. Returns 0, ROOM_PLAY_OVER or <0. */
	int (*parts)(struct dk_room_play *svc, uint64_t ret_parts[ROOM_PART_COUNT]);
	dk_id (*room)(struct dk_room_play *svc); /* 0 = it has ended, or was not made yet */
};

#endif
