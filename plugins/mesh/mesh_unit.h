/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is inside a sealed packet or record of the mesh: units, one after the other, each kind u8 | length u24 | body. A record of
 * a stream begins with a head, too. Nothing here knows a socket, a clock or a key; docs/WIRE.md has the layouts.
 */
#ifndef MESH_UNIT_H
#define MESH_UNIT_H

#include <diarkis/base.h>
#include <diarkis/cursor.h>

enum unit_kind {
	UNIT_NOTHING, /* takes a number and says nothing: its message was taken back */
	UNIT_MESSAGE, /* ver u8 | cmd u16 | payload */
	UNIT_REQUEST, /* id u64 | ms left u32 | ver u8 | cmd u16 | payload */
	UNIT_ANSWER, /* id u64 | status u8 | body */
	UNIT_CANCEL, /* id u64 */
	/* id u64 | boot u64 | origin 20 | hops u8 | how u8 | fan-out u8 | n u16 | n addresses of 20 | ver u8 | cmd u16 | payload */
	UNIT_RELAY,
	UNIT_PIECE /* of a unit too long for one record: length of the whole u32 | offset u32 | bytes */
};

#define UNIT_HEAD 4
#define UNIT_LEFT_AT (UNIT_HEAD + 8) /* where a request says how many ms it has left */
#define UNIT_HOPS_MAX 8
#define UNIT_BODY_MAX ((10u << 20) + 4096) /* the longest message, and what a relay says before it */

struct unit {
	uint8_t kind, ver, status, hops, how, fanout;
	uint16_t cmd, targets_n;
	uint32_t left_ms;
	uint64_t id, boot;
	struct dk_addr origin;
	dk_slice targets; /* addresses in wire form: wire_addr_read() */
	uint32_t total, offset;
	dk_slice payload;
};

size_t unit_len(const struct unit *u); /* bytes that unit_write() needs */
void unit_write(struct dk_writer *w, const struct unit *u);
/* The next unit; false: there is none, or (c->bad) what is there is none. The payload is borrowed. */
bool unit_read(struct dk_cursor *c, struct unit *ret_unit);

/* What a record begins with. */
struct record_head {
	uint64_t base; /* number of its first unit */
	uint64_t now_ms; /* its writer's clock */
	uint64_t session, acked; /* of the other direction: what its writer has got of it; 0 = nothing */
};
#define RECORD_HEAD 32
void record_head_write(struct dk_writer *w, const struct record_head *h);
void record_head_read(struct dk_cursor *c, struct record_head *ret_head);

#endif
