/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits to leave on one connection and in one order: plain frames in borrowed chunks. A push that follows another push of
 * the same (ver, cmd) becomes an element of its list; only the newest frame takes more, so that nothing overtakes anything.
 * Sealing, packing into datagrams and limits are the connection's business.
 *
 * An empty queue is a NULL pointer and holds no memory.
 */
#ifndef WIRE_OUTQ_H
#define WIRE_OUTQ_H

#include "wire/ctx.h"

struct wire_outq; /* the first chunk */

/*
 * Appends f. merge: the most payload that a push may grow to by merging. Returns 0 or WIRE_FULL when there is no memory.
 * A push without DK_LISTED is wrapped into a list of one; with DK_ALONE it is as it is, and stays so.
 */
int wire_outq_add(struct wire_ctx *ctx, struct wire_outq **q, const struct dk_frame *f, unsigned how, size_t merge, uint64_t now);

/* The oldest frame, borrowed until it is popped; false when nothing waits. */
bool wire_outq_peek(const struct wire_outq *q, struct dk_frame *ret_frame);
/* Looks at one frame after the other without taking any: begin with { q, 0 }. */
struct wire_outq_at {
	const struct wire_outq *chunk;
	uint32_t skip;
};
bool wire_outq_walk(struct wire_outq_at *at, struct dk_frame *ret_frame);
void wire_outq_pop(struct wire_ctx *ctx, struct wire_outq **q);
void wire_outq_clear(struct wire_ctx *ctx, struct wire_outq **q);

size_t wire_outq_bytes(const struct wire_outq *q); /* payload that waits; 0 for NULL */
uint64_t wire_outq_since(const struct wire_outq *q); /* when the queue was last empty and got a frame; q is not NULL */

#endif
