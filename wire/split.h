/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames too long for a datagram: FF FE FD FC | set u16 | index u16 | count u16 | chunk. A frame is cut after it was sealed, so
 * the pieces carry no tag; who may send them, and how much, is limited before anything is kept.
 */
#ifndef WIRE_SPLIT_H
#define WIRE_SPLIT_H

#include "wire/ctx.h"

#define WIRE_SPLIT_HEAD 10
#define WIRE_SPLIT_SET_MAX 32767 /* set ids count 0..32766 */
#define WIRE_SPLIT_IDLE_MS 3000 /* a set without progress while others arrive is given up */

struct wire_chunk {
	uint16_t set, index, count;
	dk_slice bytes;
};

struct wire_split_set; /* one message that is being put together */

static inline bool wire_is_split(const uint8_t *p)
{
	return p[0] == 0xff && p[1] == 0xfe && p[2] == 0xfd && p[3] == 0xfc;
}

/* Reads a split header and takes the rest as its chunk. WIRE_PASS or WIRE_DROP_SPLIT. */
enum wire_drop wire_chunk_read(dk_slice bytes, struct wire_chunk *ret_chunk);
void wire_chunk_head(uint8_t *out, uint16_t set, uint16_t index, uint16_t count);

/*
 * Adds a chunk to *set (NULL: none is open), made when it is the first of another message. limit: the longest message.
 * Returns WIRE_PASS and, when that was the last missing one, the message in *ret_whole, memory for the caller to wire_give()
 * with its length; else ret_whole->p is NULL. Or WIRE_DROP_SPLIT (does not fit the set, or repeated), _SPLIT_LIMIT (the set is
 * gone), or _MEMORY: nothing has changed, and the same chunk may be added later.
 */
enum wire_drop wire_split_add(struct wire_ctx *ctx, struct wire_split_set **set, const struct wire_chunk *c, size_t limit,
			      uint64_t now, dk_slice *ret_whole);
void wire_split_clear(struct wire_ctx *ctx, struct wire_split_set **set);

uint64_t wire_split_progress(const struct wire_split_set *set); /* when the last chunk came */

#endif
