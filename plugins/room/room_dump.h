/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All of a room as bytes, for recordings: as another node would get it (room_pack()), and what that leaves out because it does not
 * travel: timers, seats of those who are on the way, states and messages that wait for a window, clocks, how fast members chat.
 */
#ifndef ROOM_DUMP_H
#define ROOM_DUMP_H

#include "room_data.h"

/* since_ms: the time from which times count. more is on the heap, room_dump_free(); image until the next room_pack(). */
struct room_dump {
	dk_slice image, more;
	size_t cap;
};
int room_dump_take(struct rooms *s, struct room *r, struct room_dump *ret_dump); /* 0 or <0 */
void room_dump_free(struct rooms *s, struct room_dump *d);
/* A checksum of each part. */
void room_dump_parts(const struct room_dump *d, uint64_t ret_parts[ROOM_PART_COUNT]);
/* The part of a plugin in image; false: there is none of that name. */
bool room_dump_part(dk_slice image, dk_str name, struct room_image_part *ret_part);
/* Those that no input of the room changes: recorded as they are. */
bool room_dump_is_other(dk_str name);
/* What more says, in a room that was made of image: its members are users here. Returns 0 or -EPROTO. */
int room_dump_restore(struct rooms *s, struct room *r, dk_slice more);

#endif
