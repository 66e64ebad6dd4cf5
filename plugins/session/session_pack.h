/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes from node to node about sessions, as bytes: ids, addresses, the seats that a user takes along, and a whole session on
 * its way to another home. Reading keeps to what was sent, and takes nothing that a node would not have written. Data only.
 */
#ifndef SESSION_PACK_H
#define SESSION_PACK_H

#include <diarkis/base.h>
#include <diarkis/cursor.h>
#include <diarkis/packed.h>
#include <diarkis/session.h>
#include <diarkis/user.h>

enum {
	SESSION_ADDR_MAX = 19, /* bytes of an address */
	SESSION_MEMBER_SIZE = 8 + 2 + 8 + 16 + 2 + SESSION_ADDR_MAX, /* at most, and its uid */
	SESSION_STATE_SIZE = 1 + 2 + 4 + 8 + 8 + 4 + 4 + 1 /* before its members */
};

bool session_id_ok(dk_str text, struct dk_session_id *ret_id);
static inline dk_str session_id_text(const struct dk_session_id *id)
{
	return dk_str_n(id->c, DK_SESSION_ID_LEN);
}
void session_wr_addr(struct dk_writer *w, const struct dk_addr *a);
struct dk_addr session_rd_addr(struct dk_cursor *c); /* bad: a family that is none */

/* ---- the part of a user: u16 count, then as many of these ---- */

struct session_carried {
	struct dk_session_id id;
	struct dk_addr home;
	uint64_t token;
	uint32_t epoch;
	uint16_t hops;
	uint8_t type;
};
void session_carried_write(struct dk_writer *w, const struct session_carried *seat);
struct session_carried session_carried_read(struct dk_cursor *c); /* bad: it is none */

/* ---- a session: its state, its members, its ticks, its properties (plugins/props.h) ---- */

struct session_state {
	uint8_t type, ticks;
	uint16_t max;
	uint32_t ttl_s, n;
	uint32_t owner; /* which of its members; UINT32_MAX: none */
	uint64_t changes, number;
};
void session_state_write(struct dk_writer *w, const struct session_state *state);
/* bad: one that cannot be, such as one of more members than seats */
struct session_state session_state_read(struct dk_cursor *c);

struct session_moving {
	uint64_t token, from;
	const uint8_t *sid; /* 16 bytes */
	dk_str uid;
	struct dk_addr node;
	uint16_t hops;
};
void session_moving_write(struct dk_writer *w, const struct session_moving *member);
struct session_moving session_moving_read(struct dk_cursor *c); /* bad: it is none */

#endif
