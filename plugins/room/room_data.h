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
#define ROOM_ANSWER_MAX 65000 /* bytes of an answer, about: the kernel's limit is 64 KiB */

#endif
