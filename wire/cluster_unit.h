/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is inside a sealed packet or record between nodes: units, one after the other, each kind u8 | length u24 | body. A record of
 * a stream begins with a preface. Nothing here knows a socket, a clock or a key; docs/WIRE.md has the layouts.
 */
#ifndef WIRE_CLUSTER_UNIT_H
#define WIRE_CLUSTER_UNIT_H

#include <diarkis/base.h>
#include <diarkis/cursor.h>

enum wire_unit_kind {
	WIRE_UNIT_NOTHING, /* takes a number and says nothing: its message was taken back */
	WIRE_UNIT_MESSAGE, /* ver u8 | cmd u16 | payload */
	WIRE_UNIT_REQUEST, /* id u64 | ms left u32 | ver u8 | cmd u16 | payload */
	WIRE_UNIT_ANSWER, /* id u64 | status u8 | body */
	WIRE_UNIT_CANCEL, /* id u64 */
	/* id u64 | boot u64 | origin 20 | hops u8 | how u8 | fan-out u8 | n u16 | n addresses of 20 | ver u8 | cmd u16 | payload */
	WIRE_UNIT_RELAY,
	WIRE_UNIT_PIECE /* of a unit too long for one record: length of the whole u32 | offset u32 | bytes */
};

#define WIRE_UNIT_HEAD 4
#define WIRE_UNIT_LEFT_AT (WIRE_UNIT_HEAD + 8) /* where a request says how many ms it has left */
#define WIRE_UNIT_HOPS_MAX 8
#define WIRE_UNIT_BODY_MAX ((10u << 20) + 4096) /* the longest message, and what a relay says before it */

struct wire_unit {
	uint8_t kind, ver, status, hops, how, fanout;
	uint16_t cmd, targets_n;
	uint32_t left_ms;
	uint64_t id, boot;
	struct dk_addr origin;
	dk_slice targets; /* addresses in wire form: wire_addr_read() */
	uint32_t total, offset;
	dk_slice payload;
};

size_t wire_unit_len(const struct wire_unit *u); /* bytes that wire_unit_write() needs */
void wire_unit_write(struct dk_writer *w, const struct wire_unit *u);
/* The next unit; false: there is none, or (c->bad) what is there is none. The payload is borrowed. */
bool wire_unit_read(struct dk_cursor *c, struct wire_unit *ret_unit);

/* What the inside of a record begins with. */
struct wire_preface {
	uint64_t base; /* number of its first unit */
	uint64_t now_ms; /* its writer's clock */
	uint64_t session, acked; /* of the other direction: what its writer has got of it; 0 = nothing */
};
#define WIRE_PREFACE_LEN 32
void wire_preface_write(struct dk_writer *w, const struct wire_preface *h);
void wire_preface_read(struct dk_cursor *c, struct wire_preface *ret_head);

#endif
