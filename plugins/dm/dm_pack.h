/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of the plugin dm: places of users, letters between nodes, what travels with a user. Pure functions. */
#ifndef DM_PACK_H
#define DM_PACK_H

#include <diarkis/base.h>
#include <diarkis/cursor.h>

enum { DM_NODE_SIZE = 19, DM_PLACE_SIZE = DM_NODE_SIZE + 8 + 8 + 4 + 8, DM_UID_MAX = 256 };

/* Where a user is: what its location in the storage says. */
struct dm_place {
	struct dk_addr node;
	uint64_t boot; /* of that node */
	uint64_t login; /* when it logged in, or a little later: of two logins of one uid the later one has more */
	uint32_t hops; /* moves since then */
	uint64_t who; /* dm_who() of its sid: the same on all nodes that have the user, or a copy of it that took over */
};
/* FNV-1a. */
static inline uint64_t dm_who(const uint8_t sid[16])
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < 16; i++)
		h = (h ^ sid[i]) * 1099511628211u;
	return h;
}
void dm_place_write(struct dk_writer *w, const struct dm_place *p);
bool dm_place_read(dk_slice bytes, struct dm_place *ret_place);

/* An address, or nothing at all where family is 0. */
void dm_node_write(struct dk_writer *w, const struct dk_addr *a);
bool dm_node_read(dk_slice bytes, struct dk_addr *ret_addr);

/* A message on its way to the node of its receiver. */
struct dm_letter {
	uint8_t ver;
	uint16_t cmd;
	bool reliable;
	dk_str from;
	dk_slice message;
};
size_t dm_letter_size(size_t from_n, size_t message_n);
void dm_letter_write(struct dk_writer *w, const struct dm_letter *l);
/* The next of several; false at the end, or with c->bad. */
bool dm_letter_next(struct dk_cursor *c, struct dm_letter *ret_letter);

/* What travels with a user: login, hops, then uids of its list, read by dm_uid_next(). */
void dm_part_write(struct dk_writer *w, uint64_t login, uint32_t hops);
bool dm_part_read(struct dk_cursor *c, uint64_t *ret_login, uint32_t *ret_hops);
bool dm_uid_next(struct dk_cursor *c, dk_str *ret_uid);

#endif
