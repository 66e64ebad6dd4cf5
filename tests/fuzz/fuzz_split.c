/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks in any order, count and size against a model that keeps everything: what comes together is exactly the chunks of one set
 * in the order of their index, no longer than the limit, and memory is given back. A chunk's bytes follow from its place in the
 * script; the headers go through the reader as bytes.
 */
#include "wire/split.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

#define MODEL 256 /* indexes that are checked */

struct model {
	bool open;
	uint16_t set, count;
	unsigned have;
	uint16_t len[MODEL];
	uint8_t tag[MODEL];
};

static int fixed(void *arg, void *buf, size_t n)
{
	(void)arg;
	memset(buf, 7, n);
	return 0;
}

static void check_whole(const struct model *m, dk_slice whole)
{
	const uint8_t *p = whole.p;
	size_t total = 0;

	for (unsigned i = 0; i < m->count; i++) {
		MUST(m->len[i] > 0 && total + m->len[i] <= whole.n);
		for (unsigned k = 0; k < m->len[i]; k++)
			MUST(*p++ == m->tag[i]);
		total += m->len[i];
	}
	MUST(total == whole.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dk_cursor c = dk_cursor_of(dk_slice_n(data, size));
	struct wire_ctx_opts o = { .random = fixed };
	struct wire_split_set *set = NULL;
	struct model m = { 0 };
	struct wire_ctx *ctx;
	size_t limit;
	uint8_t tag = 0;

	wire_limits_default(&o.limits);
	MUST(wire_ctx_new(&o, &ctx) == 0);
	limit = 1 + dk_rd_u16(&c) * 2u;
	while (dk_rd_left(&c) >= 4) {
		uint8_t head = dk_rd_u8(&c), count = dk_rd_u8(&c), index = dk_rd_u8(&c), len = dk_rd_u8(&c);
		uint8_t bytes[WIRE_SPLIT_HEAD + WIRE_CHUNK + 40];
		size_t n = WIRE_SPLIT_HEAD + len * (head & 0x40 ? 6u : 1u);
		struct wire_chunk k;
		enum wire_drop d;
		dk_slice whole;

		n = n > sizeof(bytes) ? sizeof(bytes) : n;
		tag++;
		memset(bytes, tag, sizeof(bytes));
		wire_chunk_head(bytes, head & 3, head & 0x20 ? index * 257u & 0xffff : index,
				head & 0x10 ? count * 257u & 0xffff : count);
		d = wire_chunk_read(dk_slice_n(bytes, n), &k);
		MUST(d == WIRE_PASS || d == WIRE_DROP_SPLIT);
		if (d != WIRE_PASS)
			continue;
		MUST(k.index < k.count && k.bytes.n && k.bytes.n <= WIRE_CHUNK && k.bytes.n == n - WIRE_SPLIT_HEAD);
		if (m.open && m.set != k.set)
			m.open = false;
		d = wire_split_add(ctx, &set, &k, limit, 0, &whole);
		switch (d) {
		case WIRE_PASS:
			if (!m.open)
				m = (struct model){ .open = true, .set = k.set, .count = k.count };
			MUST(m.count == k.count);
			if (k.index < MODEL) {
				MUST(m.len[k.index] == 0);
				m.len[k.index] = (uint16_t)k.bytes.n;
				m.tag[k.index] = tag;
			}
			m.have++;
			MUST((whole.p != NULL) == (m.have == m.count));
			if (whole.p) {
				MUST(whole.n <= limit + WIRE_CHUNK);
				if (m.count <= MODEL)
					check_whole(&m, whole);
				wire_give(ctx, (void *)(uintptr_t)whole.p, whole.n);
				m.open = false;
				MUST(set == NULL);
			}
			break;
		case WIRE_DROP_SPLIT:
			MUST(whole.p == NULL && set != NULL && m.open);
			break;
		case WIRE_DROP_SPLIT_LIMIT:
			MUST(whole.p == NULL && set == NULL);
			m.open = false;
			break;
		default:
			abort();
		}
		MUST((set != NULL) == m.open);
	}
	wire_split_clear(ctx, &set);
	MUST(ctx->pool.in_use == 0);
	wire_ctx_free(ctx);
	return 0;
}
