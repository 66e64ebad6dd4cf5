/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of a room as data: by name, each with fields of one double by name. Pure: no room, no sending. An update is all or
 * nothing, and every value is finite.
 */
#ifndef ROOM_OBJECTS_H
#define ROOM_OBJECTS_H

#include <diarkis/cursor.h>
#include <diarkis/mem.h>
#include <diarkis/room.h>

struct room_field {
	struct room_field *next;
	double value;
	uint8_t name_n;
	char name[];
};

struct room_object {
	struct room_object *next; /* in order of their first update */
	struct room_field *first;
	uint16_t field_n;
	uint8_t name_n;
	char name[];
};

/* Zeroed = empty. */
struct room_objects {
	struct room_object *first;
	uint32_t n, bytes; /* of names, and 8 for each field */
};

/* A map as it came from a client or another node, checked: at most DK_ROOM_FIELDS_MAX fields, no name twice, every value finite.
 * Names are borrowed. Returns 0 or -EPROTO. */
int room_fields_read(dk_slice map, struct dk_room_field fields[DK_ROOM_FIELDS_MAX], size_t *ret_n);

struct room_object *room_objects_find(const struct room_objects *os, dk_str name);
const struct room_field *room_object_field(const struct room_object *o, dk_str name);
static inline dk_str room_object_name(const struct room_object *o)
{
	return dk_str_n(o->name, o->name_n);
}

/* fields: their values are what they are to be, or with DK_ROOM_OBJECT_INCR what is to be added; afterwards they are what they are.
 * Returns as the service's update_object(). */
int room_objects_update(void *self, struct room_objects *os, enum dk_room_object_mode mode, dk_str name,
			struct dk_room_field *fields, size_t n);
void room_objects_clear(void *self, struct room_objects *os);

/* All fields of one as a map. */
void room_object_write(const struct room_object *o, struct dk_writer *w);
size_t room_object_size(const struct room_object *o);
/* {u16 count, {u8 length, name, map as above}*}: all of them. Into an empty one; what fails leaves something to be cleared. */
void room_objects_pack(const struct room_objects *os, struct dk_writer *w);
int room_objects_unpack(void *self, struct room_objects *os, dk_slice bytes);

#endif
