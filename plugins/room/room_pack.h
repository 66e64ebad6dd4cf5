/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room as bytes: what another node needs to go on with it. Pure: no rooms, no users, no memory.
 *
 *   u8 format = 1
 *   id52, epoch u32, version u64
 *   max u16, flags u8 (1 = allow_empty), replicas u8, interval_ms u32, ttl_s u32, ttl_left_ms u32, created_s u32
 *   owner {u16 length, uid}                   empty = none
 *   backups u8, that many {family u8, ip 4 or 16, port u16}
 *   sections: {u8 tag, u32 length, bytes}*, each at most once
 *     1 members     {u16 length, uid}*        in order of joining
 *     2 reserved    {u16 length, uid}*
 *     3 properties  as props_pack() writes them
 *     4 parts       {u8 length, name, u16 version, u32 length, bytes}*
 *     5 former ids  {id52, u32 unix seconds until which it is known}*, oldest first
 *
 * A section of another tag below 128 is passed over, so that nodes of the next version may say more; one from 128 up has to be
 * understood, so such bytes are refused.
 */
#ifndef ROOM_PACK_H
#define ROOM_PACK_H

#include <diarkis/cursor.h>
#include <diarkis/room.h>

#define ROOM_BACKUPS_MAX 2
#define ROOM_IMAGE_MAX (4u << 20) /* bytes at most */

enum room_section { ROOM_SEC_MEMBERS = 1, ROOM_SEC_RESERVED, ROOM_SEC_PROPS, ROOM_SEC_PARTS, ROOM_SEC_FORMER };

/* Borrowed from the bytes, as everything here. */
struct room_image {
	struct dk_id52 id;
	uint32_t epoch;
	uint64_t version;
	uint16_t max;
	bool allow_empty;
	uint8_t replicas, backup_n;
	uint32_t interval_ms, ttl_s, ttl_left_ms, created_s;
	dk_str owner;
	struct dk_addr backups[ROOM_BACKUPS_MAX];
	uint16_t member_n, reserved_n, part_n;
	dk_slice members, reserved, props, parts, former; /* lists were walked; props is as it came */
};

struct room_image_part {
	dk_str name;
	uint16_t version;
	dk_slice bytes;
};

/* Checks everything but properties and parts. Members and reserved seats together are at most max. Returns 0 or -EPROTO. */
int room_image_read(dk_slice bytes, struct room_image *ret_image);
/* Walks members or reserved of an image: the list shrinks. False at its end. */
bool room_image_uid(dk_slice *list, dk_str *ret_uid);
bool room_image_part(dk_slice *list, struct room_image_part *ret_part);
bool room_image_former(dk_slice *list, struct dk_id52 *ret_id, uint32_t *ret_until_s);

/* The fields up to the sections. */
void room_image_begin(struct dk_writer *w, const struct room_image *image);
/* Around the bytes of a section: begin returns what end wants. */
size_t room_section_begin(struct dk_writer *w, enum room_section tag);
void room_section_end(struct dk_writer *w, size_t at);

/* A node's address between nodes. What is none reads as bad. */
void room_addr_write(struct dk_writer *w, const struct dk_addr *a);
void room_addr_read(struct dk_cursor *c, struct dk_addr *ret_addr);

#endif
