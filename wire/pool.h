/* SPDX-License-Identifier: Apache-2.0 */
/* What the pools stand on, and their end; taking and giving is in ctx.h. */
#ifndef WIRE_POOL_H
#define WIRE_POOL_H

#include <stddef.h>

struct wire_ctx;
struct wire_ctx_opts;

/* The allocator of a context. */
void *wire_raw_alloc(const struct wire_ctx_opts *opts, size_t n);
void wire_raw_free(const struct wire_ctx_opts *opts, void *p, size_t n);

/* Returns everything to the allocator; asserts that nothing is lent out. */
void wire_pool_fini(struct wire_ctx *ctx);

#endif
