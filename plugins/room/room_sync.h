/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state synchroniser of a room, shared by its three files: room_sync.c (who hears of what, and when), room_sync_carry.c (to
 * another node), room_sync_client.c (commands).
 */
#ifndef ROOM_SYNC_H
#define ROOM_SYNC_H

#include "room_data.h"
#include "room_states.h"

/* A member that is to hear all states. */
struct room_late {
	dk_id user;
	uint64_t due_ms;
};

/* A state of a room that lands: its user is known by name only, until the room lives here. */
struct room_link {
	struct room_link *next;
	struct room_state *state;
	uint16_t n;
	char uid[];
};

struct room_sync {
	struct room *r;
	struct dk_room_states_opts o;
	struct room_states v;
	struct dk_timer tick, lapse, greet;
	struct room_late *late;
	uint16_t late_n, late_cap;
	struct room_link *links;
};

/* room_sync.c */

/* Enables states, or other options for them. Returns 0 or -ENOMEM. */
int room_sync_enable(struct rooms *s, struct room *r, const struct dk_room_states_opts *opts);
/* Of a live room; as svc.set_state. */
int room_sync_set(struct rooms *s, struct room *r, dk_slice key, dk_slice value, dk_id linked, bool reliable);
/* In a moment that member hears all states. Without memory it hears them now. */
void room_sync_greet(struct rooms *s, struct room_sync *y, dk_id user, uint32_t in_ms);
void room_sync_arm(struct rooms *s, struct room_sync *y); /* something has changed */
/* For recordings: all timers, in so many ms; 0 = not at all. */
void room_sync_arm_all(struct rooms *s, struct room_sync *y, uint32_t window, uint32_t lapse, uint32_t greet);
void room_sync_arm_lapse(struct rooms *s, struct room_sync *y);

/* room_sync_carry.c */

int room_sync_carry_init(struct rooms *s); /* 0 or <0 */
void room_sync_unlink(struct rooms *s, struct room_sync *y);

#endif
