/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of a context: size classes with free lists. Small classes are carved from slabs that stay until the context goes;
 * large ones are allocated singly and a few of each are kept. What is larger than any class goes straight through.
 * A block knows nothing about itself: whoever takes it remembers its size. Under AddressSanitizer a free block is poisoned.
 */
#include "wire/ctx.h"
#include "wire/pool.h"

#include <assert.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define POISONED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONED 1
#endif
#endif
#ifdef POISONED
#include <sanitizer/asan_interface.h>
#define POISON(p, n) __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define POISON(p, n) ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

#define SLAB_LEN 32768
#define SMALL_CLASSES 6 /* carved from slabs */
#define KEEP 64 /* of each larger class */

struct wire_free_block {
	struct wire_free_block *next;
};

struct wire_slab {
	struct wire_slab *next;
	size_t pad; /* keeps the blocks behind it aligned to 16 */
};

static const uint32_t class_len[WIRE_CLASSES] = { 64, 128, 256, 512, 1024, 1536, 3072, 6144, 12288, 24576, 49152, 98304 };

static unsigned class_of(size_t n)
{
	unsigned c = 0;

	while (c < WIRE_CLASSES && class_len[c] < n)
		c++;
	return c;
}

size_t wire_take_size(size_t n)
{
	unsigned c = class_of(n);

	return c < WIRE_CLASSES ? class_len[c] : n;
}

void *wire_raw_alloc(const struct wire_ctx_opts *opts, size_t n)
{
	return opts->alloc ? opts->alloc(opts->arg, n) : malloc(n);
}

void wire_raw_free(const struct wire_ctx_opts *opts, void *p, size_t n)
{
	if (opts->alloc)
		opts->free(opts->arg, p, n);
	else
		free(p);
}

static void push(struct wire_pool *pool, unsigned c, void *p)
{
	struct wire_free_block *b = p;

	b->next = pool->free[c];
	pool->free[c] = b;
	POISON(p, class_len[c]);
}

static bool carve(struct wire_ctx *ctx, unsigned c)
{
	struct wire_slab *slab = wire_raw_alloc(&ctx->opts, SLAB_LEN);
	uint8_t *p;

	if (!slab)
		return false;
	slab->next = ctx->pool.slabs;
	ctx->pool.slabs = slab;
	/* Backwards, so that the list hands them out in the order of their addresses. */
	p = (uint8_t *)(slab + 1);
	for (size_t i = (SLAB_LEN - sizeof(*slab)) / class_len[c]; i-- > 0;)
		push(&ctx->pool, c, p + i * class_len[c]);
	return true;
}

void *wire_take(struct wire_ctx *ctx, size_t n)
{
	struct wire_pool *pool = &ctx->pool;
	unsigned c = class_of(n);
	struct wire_free_block *b;
	void *p;

	if (c < WIRE_CLASSES && (pool->free[c] || (c < SMALL_CLASSES && carve(ctx, c)))) {
		b = pool->free[c];
		UNPOISON(b, class_len[c]);
		pool->free[c] = b->next;
		if (c >= SMALL_CLASSES)
			pool->kept[c]--;
		pool->in_use++;
		return b;
	}
	if (c < SMALL_CLASSES)
		return NULL;
	p = wire_raw_alloc(&ctx->opts, c < WIRE_CLASSES ? class_len[c] : n);
	if (p)
		pool->in_use++;
	return p;
}

void wire_give(struct wire_ctx *ctx, void *p, size_t n)
{
	struct wire_pool *pool = &ctx->pool;
	unsigned c = class_of(n);

	assert(pool->in_use > 0);
	pool->in_use--;
	if (c < SMALL_CLASSES) {
		push(pool, c, p);
	} else if (c < WIRE_CLASSES && pool->kept[c] < KEEP) {
		pool->kept[c]++;
		push(pool, c, p);
	} else {
		wire_raw_free(&ctx->opts, p, c < WIRE_CLASSES ? class_len[c] : n);
	}
}

void wire_pool_fini(struct wire_ctx *ctx)
{
	struct wire_pool *pool = &ctx->pool;
	struct wire_free_block *b;
	struct wire_slab *slab;

	assert(pool->in_use == 0 && "a peer or stream outlives its context");
	for (unsigned c = SMALL_CLASSES; c < WIRE_CLASSES; c++) {
		while ((b = pool->free[c])) {
			UNPOISON(b, class_len[c]);
			pool->free[c] = b->next;
			wire_raw_free(&ctx->opts, b, class_len[c]);
		}
	}
	while ((slab = pool->slabs)) {
		pool->slabs = slab->next;
		UNPOISON(slab, SLAB_LEN);
		wire_raw_free(&ctx->opts, slab, SLAB_LEN);
	}
}
