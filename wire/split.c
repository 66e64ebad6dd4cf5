/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting and putting together. Chunks are kept as they come, in the order of their index; nothing is allocated on the word of
 * a header, and every chunk is charged with at least CHARGE bytes, so that many small ones cannot cost more than the limit.
 */
#include "wire/split.h"

#define CHARGE 256

struct piece {
	struct piece *next;
	uint16_t index, len;
	uint8_t data[];
};

struct wire_split_set {
	uint64_t progress;
	size_t len, charged;
	uint16_t id, count, have;
	struct piece *first, *last;
};

enum wire_drop wire_chunk_read(dk_slice bytes, struct wire_chunk *ret_chunk)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct wire_chunk k;

	dk_rd_u32(&c); /* the magic led here */
	k.set = dk_rd_u16(&c);
	k.index = dk_rd_u16(&c);
	k.count = dk_rd_u16(&c);
	k.bytes = dk_rd_rest(&c);
	if (c.bad || k.bytes.n == 0 || k.bytes.n > WIRE_CHUNK || k.index >= k.count)
		return WIRE_DROP_SPLIT;
	*ret_chunk = k;
	return WIRE_PASS;
}

static void put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void wire_chunk_head(uint8_t *out, uint16_t set, uint16_t index, uint16_t count)
{
	memcpy(out, "\xff\xfe\xfd\xfc", 4);
	put_u16(out + 4, set);
	put_u16(out + 6, index);
	put_u16(out + 8, count);
}

static struct wire_split_set *set_new(struct wire_ctx *ctx, const struct wire_chunk *c)
{
	struct wire_split_set *s = wire_take(ctx, sizeof(*s));

	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->id = c->set;
	s->count = c->count;
	return s;
}

/* Where index belongs: after the piece that is returned (NULL: first). False: it is there already. */
static bool place(const struct wire_split_set *s, uint16_t index, struct piece **ret_before)
{
	struct piece *p = s->first, *before = NULL;

	if (s->last && s->last->index < index) {
		*ret_before = s->last;
		return true;
	}
	for (; p && p->index < index; p = p->next)
		before = p;
	if (p && p->index == index)
		return false;
	*ret_before = before;
	return true;
}

/* The message as it is with `last`, which is not linked yet and belongs after `before`. */
static bool join(struct wire_ctx *ctx, const struct wire_split_set *s, const struct piece *last, const struct piece *before,
		 dk_slice *ret_whole)
{
	uint8_t *out = wire_take(ctx, s->len + last->len), *p = out;
	const struct piece *i = before ? s->first : last;

	if (!out)
		return false;
	while (i) {
		memcpy(p, i->data, i->len);
		p += i->len;
		i = i == before ? last : i->next;
	}
	*ret_whole = dk_slice_n(out, s->len + last->len);
	return true;
}

enum wire_drop wire_split_add(struct wire_ctx *ctx, struct wire_split_set **set, const struct wire_chunk *c, size_t limit,
			      uint64_t now, dk_slice *ret_whole)
{
	size_t charge = c->bytes.n < CHARGE ? CHARGE : c->bytes.n;
	struct piece *piece, *before;
	struct wire_split_set *s;

	*ret_whole = dk_slice_n(NULL, 0);
	/* Whoever starts another message has given the open one up: a sender has one at a time. */
	if (*set && (*set)->id != c->set) {
		ctx->drops[WIRE_DROP_SPLIT]++;
		wire_split_clear(ctx, set);
	}
	if (!*set) {
		if (c->count - 1u > limit)
			return WIRE_DROP_SPLIT_LIMIT;
		*set = set_new(ctx, c);
		if (!*set)
			return WIRE_DROP_MEMORY;
	}
	s = *set;
	if (c->count != s->count || !place(s, c->index, &before))
		return WIRE_DROP_SPLIT;
	if (s->charged + charge > limit + CHARGE) {
		wire_split_clear(ctx, set);
		return WIRE_DROP_SPLIT_LIMIT;
	}
	piece = wire_take(ctx, sizeof(*piece) + c->bytes.n);
	if (!piece)
		goto no_memory;
	piece->index = c->index;
	piece->len = (uint16_t)c->bytes.n;
	memcpy(piece->data, c->bytes.p, c->bytes.n);
	piece->next = before ? before->next : s->first;
	if (s->have + 1u == s->count && !join(ctx, s, piece, before, ret_whole)) {
		wire_give(ctx, piece, sizeof(*piece) + c->bytes.n);
		goto no_memory;
	}
	if (before)
		before->next = piece;
	else
		s->first = piece;
	if (!piece->next)
		s->last = piece;
	s->len += piece->len;
	s->charged += charge;
	s->have++;
	s->progress = now;
	if (s->have == s->count)
		wire_split_clear(ctx, set);
	return WIRE_PASS;
no_memory:
	if (!s->have)
		wire_split_clear(ctx, set);
	return WIRE_DROP_MEMORY;
}

void wire_split_clear(struct wire_ctx *ctx, struct wire_split_set **set)
{
	struct piece *p, *next;

	if (!*set)
		return;
	for (p = (*set)->first; p; p = next) {
		next = p->next;
		wire_give(ctx, p, sizeof(*p) + p->len);
	}
	wire_give(ctx, *set, sizeof(**set));
	*set = NULL;
}

uint64_t wire_split_progress(const struct wire_split_set *set)
{
	return set->progress;
}
