/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the connections of one thread share, as the other files of this folder see it. The pools hand out memory by size class
 * and take it back on free lists, so that a connection borrows queues and windows only while it uses them and nothing is
 * allocated per packet. The scratch is a stack: a frame being delivered may make another connection receive.
 */
#ifndef WIRE_CTX_H
#define WIRE_CTX_H

#include "wire/wire.h"

#define WIRE_CLASSES 12
#define WIRE_SCRATCH_LEN 65536

struct wire_crypto; /* fetched ciphers: seal.c */
struct wire_slab;
struct wire_free_block;

struct wire_pool {
	struct wire_free_block *free[WIRE_CLASSES];
	uint32_t kept[WIRE_CLASSES]; /* blocks on the free list, of the classes that are allocated one by one */
	struct wire_slab *slabs;
	size_t in_use; /* blocks handed out and not returned */
};

struct wire_ctx {
	struct wire_limits limits;
	uint64_t drops[WIRE_DROPS];
	struct wire_stats stats;
	struct wire_crypto *crypto;
	struct wire_ctx_opts opts;
	struct wire_pool pool;
	uint8_t hash_key[16]; /* of the address proofs */
	size_t scratch_used;
	uint8_t *scratch;
};

/* n bytes, not zeroed, aligned for anything; NULL when there is no memory. Returned with the same n. */
void *wire_take(struct wire_ctx *ctx, size_t n);
void wire_give(struct wire_ctx *ctx, void *p, size_t n);
/* What wire_take(n) really holds: a user that grows may use it all, and returns it with either size. */
size_t wire_take_size(size_t n);

/* n bytes of scratch until wire_scratch_release(mark) with the mark taken before; NULL when it is used up. */
static inline size_t wire_scratch_mark(const struct wire_ctx *ctx)
{
	return ctx->scratch_used;
}

static inline uint8_t *wire_scratch(struct wire_ctx *ctx, size_t n)
{
	uint8_t *p = ctx->scratch + ctx->scratch_used;

	if (n > WIRE_SCRATCH_LEN - ctx->scratch_used)
		return NULL;
	ctx->scratch_used += (n + 15) & ~(size_t)15;
	return p;
}

static inline void wire_scratch_release(struct wire_ctx *ctx, size_t mark)
{
	ctx->scratch_used = mark;
}

/* Counts a refusal; returns 1 so that the caller can say `return wire_drop(...)`. */
static inline int wire_drop(struct wire_ctx *ctx, enum wire_drop d)
{
	ctx->drops[d]++;
	return 1;
}

/* What the decoders return when nothing was refused. */
#define WIRE_PASS WIRE_DROPS

#endif
