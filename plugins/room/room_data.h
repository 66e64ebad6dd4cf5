/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept in a room beside its members and seats, as the other files of the plugin see it: properties (room_props.c), states
 * (room_sync.c), objects (room_object.c). All of it moves with the room.
 */
#ifndef ROOM_DATA_H
#define ROOM_DATA_H

#include "room_state.h"

/* ---- room_props.c ---- */

void room_props_init(struct rooms *s);
/* An update under way, on somebody's stack. */
struct room_edit {
	struct props before;
	bool copied; /* something has changed since */
};
int room_update_begin(struct rooms *s, dk_id room, struct room_edit *e);
int room_update_end(struct rooms *s, dk_id room, struct room_edit *e, bool yes);
/* One property, or without a name all, as a packed capsule in scratch; empty where there is none of that name. 0, DK_ROOM_GONE or
 * -ENOMEM. */
int room_props_packed(struct rooms *s, dk_id room, dk_str name, dk_slice *ret_capsule);
#define ROOM_ANSWER_MAX 65000 /* bytes of an answer, about: the kernel's limit is 64 KiB */

/* ---- room_sync.c ---- */

int room_sync_init(struct rooms *s); /* 0 or <0 */
void room_sync_fini(struct rooms *s);
/* A room that was just made, where the option says that rooms have states. Returns 0 or -ENOMEM. */
int room_sync_by_option(struct rooms *s, struct room *r);
/* The window ends now. */
void room_sync_flush(struct rooms *s, struct room *r);
void room_sync_joined(struct rooms *s, struct room *r, dk_id user);
void room_sync_left(struct rooms *s, struct room *r, dk_id user);
/* The room came from another node, and lives here now, with its members. */
void room_sync_resume(struct rooms *s, struct room *r);
void room_sync_free(struct rooms *s, struct room *r);
/* For recordings: what waits for the window's end, and who is to hear all states. */
void room_window_dump(struct rooms *s, const struct room *r, struct dk_writer *w);
int room_window_restore(struct rooms *s, struct room *r, struct dk_cursor *c);

/* ---- room_object.c ---- */

int room_objects_init(struct rooms *s); /* 0 or <0 */
void room_objects_joined(struct rooms *s, struct room *r, dk_id user);
void room_objects_free(struct rooms *s, struct room *r);

#endif
