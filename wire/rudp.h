/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reliable, ordered delivery over datagrams: sequences, windows, timers. It carries blocks of bytes and never sees a key, an
 * address or a frame. Sequences are 64 bits inside and 24 on the wire; wire_rudp_diff() is the one place that compares them.
 *
 * Sending: blocks are made ready in order, put in flight as the window allows, sent again when their timer runs out, and
 * dropped when acknowledged. Receiving: look at a sequence first; only what was authenticated is held or passed on.
 */
#ifndef WIRE_RUDP_H
#define WIRE_RUDP_H

#include "wire/ctx.h"

#define WIRE_RUDP_WINDOW 1024 /* how far ahead of the next sequence a block may be held */
#define WIRE_RUDP_FLIGHT 256 /* the most blocks in flight */
#define WIRE_RUDP_HELD_BYTES 262144 /* what one connection may make us hold */
#define WIRE_RUDP_RTO_MIN 40
#define WIRE_RUDP_RTO_MAX 500
#define WIRE_RUDP_RTO_FIRST 200 /* before the round trip is measured */

struct wire_window; /* rudp.c: blocks by sequence */

struct wire_rudp {
	uint64_t tx_next; /* the next sequence to be given out */
	uint64_t rx_next; /* the next sequence to be delivered */
	struct wire_window *tx; /* NULL: nothing ready, nothing in flight */
	struct wire_window *rx; /* NULL: nothing held */
	uint32_t rx_first : 24; /* where receiving began: nothing before it was ever delivered */
	uint32_t fresh : 1; /* the next block to be sent has the sequence that the handshake named: see wire_rudp_ack() */
	uint16_t srtt8, rttvar4; /* ms in eighths and quarters; 0 = not measured */
};

/* Bytes that several blocks are parts of: there until the last of these is gone. */
struct wire_whole {
	uint32_t users;
	uint32_t len;
	uint8_t bytes[];
};

/* A block on its way. Its bytes follow the datagram header on the wire: those in data, then, if it has a whole, a part of that. */
struct wire_block {
	struct wire_block *next; /* in the ready list */
	struct wire_whole *whole; /* NULL: all bytes are in data */
	uint64_t first_at, last_at; /* sent */
	uint32_t size; /* of this allocation */
	uint32_t part; /* where in the whole its bytes begin */
	uint16_t len; /* on the wire */
	uint16_t own; /* in data */
	uint8_t resends;
	bool again : 1; /* is to be sent again now */
	bool eack_only : 1;
	uint8_t kind; /* the owner's */
	uint8_t data[];
};

/* seq - ref on the circle of 24 bits: -2^23 .. 2^23-1. */
static inline int32_t wire_rudp_diff(uint64_t ref, uint32_t seq)
{
	return (int32_t)((seq - (uint32_t)ref) << 8) >> 8;
}

void wire_rudp_fini(struct wire_ctx *ctx, struct wire_rudp *r);

struct wire_block *wire_block_new(struct wire_ctx *ctx, size_t len); /* NULL: no memory. data is the caller's to fill */
/* The same, of own bytes and n of a whole, which it uses from now on. */
struct wire_block *wire_block_of(struct wire_ctx *ctx, size_t own, struct wire_whole *whole, uint32_t part, size_t n);
struct wire_whole *wire_whole_new(struct wire_ctx *ctx, size_t len); /* NULL: no memory. One user: the caller */
void wire_whole_drop(struct wire_ctx *ctx, struct wire_whole *whole); /* a user less; NULL is fine */
/* Writes its len bytes. */
static inline void wire_block_write(const struct wire_block *b, uint8_t *out)
{
	memcpy(out, b->data, b->own);
	if (b->whole)
		memcpy(out + b->own, b->whole->bytes + b->part, (size_t)b->len - b->own);
}
void wire_block_free(struct wire_ctx *ctx, struct wire_block *b);

/* ---- sending ---- */

/* Numbers from seq on. What is ready or unacknowledged is sent (again) under new numbers, in its order. */
void wire_rudp_start_tx(struct wire_ctx *ctx, struct wire_rudp *r, uint32_t seq);
/* Queues a block, which it then owns. 0, or WIRE_FULL when there is no memory (the block stays the caller's). */
int wire_rudp_ready(struct wire_ctx *ctx, struct wire_rudp *r, struct wire_block *b);
bool wire_rudp_has_ready(const struct wire_rudp *r); /* a block waits for room in the window */
bool wire_rudp_has_room(const struct wire_ctx *ctx, const struct wire_rudp *r);
bool wire_rudp_idle(const struct wire_rudp *r); /* everything was acknowledged */
/* The next block to send now, or NULL: first those whose timer ran out (*ret_again), then ready ones. NULL also when that one
 * is longer than max_len. */
const struct wire_block *wire_rudp_next(struct wire_ctx *ctx, struct wire_rudp *r, uint64_t now, size_t max_len, uint32_t *ret_seq,
					bool *ret_again);
bool wire_rudp_has_next(const struct wire_ctx *ctx, const struct wire_rudp *r);
/*
 * An acknowledgement. True when it named a block in flight, which is then done with. The block whose sequence the handshake
 * named is only done by an EACK: an ACK of that number may be a late answer to the handshake. The first such ACK makes it go out
 * once more at once.
 */
bool wire_rudp_ack(struct wire_ctx *ctx, struct wire_rudp *r, uint64_t now, uint32_t seq, bool eack);
uint64_t wire_rudp_due(const struct wire_rudp *r); /* earliest timer, WIRE_NEVER */
/* What was not acknowledged, oldest first, one after the other: begin with { 0 }. NULL at the end. */
struct wire_rudp_at {
	const struct wire_block *block;
	uint64_t seq;
};
const struct wire_block *wire_rudp_walk(const struct wire_rudp *r, struct wire_rudp_at *at);
/* Marks what is to be sent again. Returns how often the unluckiest block has been sent again. */
unsigned wire_rudp_tick(struct wire_ctx *ctx, struct wire_rudp *r, uint64_t now);

/* ---- receiving ---- */

enum wire_rudp_fate { WIRE_RUDP_NEXT, WIRE_RUDP_AHEAD, WIRE_RUDP_OLD, WIRE_RUDP_OUTSIDE };

void wire_rudp_start_rx(struct wire_ctx *ctx, struct wire_rudp *r, uint32_t seq);
/* What a sequence is; changes nothing. AHEAD: may be held. OLD: was delivered or is held. */
enum wire_rudp_fate wire_rudp_look(const struct wire_rudp *r, uint32_t seq);
/* Holds a block that is AHEAD. 0, or WIRE_FULL: no memory or too many bytes held (the block stays the caller's). */
int wire_rudp_hold(struct wire_ctx *ctx, struct wire_rudp *r, uint32_t seq, struct wire_block *b);
/* The NEXT one was taken by the caller. */
static inline void wire_rudp_advance(struct wire_rudp *r)
{
	r->rx_next++;
}
/* The held block whose turn it is, borrowed until it is popped or the next one is held; NULL when there is none. */
const struct wire_block *wire_rudp_held(const struct wire_rudp *r);
/* Takes that block out of the window and makes it the caller's. */
struct wire_block *wire_rudp_pop_held(struct wire_ctx *ctx, struct wire_rudp *r);
bool wire_rudp_holds(const struct wire_rudp *r);
/* What is held, in order: begin with { 0 }. NULL at the end. */
const struct wire_block *wire_rudp_walk_held(const struct wire_rudp *r, struct wire_rudp_at *at);

#endif
