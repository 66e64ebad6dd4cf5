/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that wait, packed one behind the other: {payload length, alone, u16 cmd, u8 ver, u8 status, payload, 0..3 bytes}.
 * A chunk has room for about one datagram; a longer frame gets a chunk of its own size. The first chunk keeps what
 * concerns the whole queue and hands it on when it is used up.
 */
#include "wire/outq.h"

#define CHUNK 1536 /* a class of the pools: one datagram's worth of plain payload with its records */
#define RECORD 8

struct wire_outq {
	struct wire_outq *next;
	struct wire_outq *last; /* of the first chunk only: the newest chunk */
	uint64_t since; /* of the first chunk only */
	size_t bytes; /* of the first chunk only: payload of all chunks */
	uint32_t size; /* of this chunk with its header */
	uint32_t head, tail, newest; /* offsets into data: oldest record, end, newest record */
	uint8_t data[];
};

struct record {
	uint32_t len : 31, alone : 1; /* alone: a push that is no list, or not to become a longer one */
	uint16_t cmd;
	uint8_t ver, status;
};

_Static_assert(sizeof(struct record) == RECORD, "records are packed by hand");

static uint32_t padded(size_t n)
{
	return (uint32_t)((n + 3) & ~(size_t)3);
}

static struct record *record_at(const struct wire_outq *c, uint32_t offset)
{
	return (struct record *)(void *)(c->data + offset);
}

static struct wire_outq *chunk_new(struct wire_ctx *ctx, size_t need)
{
	size_t size = sizeof(struct wire_outq) + need;
	struct wire_outq *c;

	size = wire_take_size(size < CHUNK ? CHUNK : size);
	c = wire_take(ctx, size);
	if (!c)
		return NULL;
	c->next = NULL;
	c->size = (uint32_t)size;
	c->head = c->tail = c->newest = 0;
	return c;
}

static void put(uint8_t *p, dk_slice payload, bool wrap)
{
	if (wrap) {
		p[0] = (uint8_t)(payload.n >> 24);
		p[1] = (uint8_t)(payload.n >> 16);
		p[2] = (uint8_t)(payload.n >> 8);
		p[3] = (uint8_t)payload.n;
		p += 4;
	}
	if (payload.n)
		memcpy(p, payload.p, payload.n);
}

/* Gives the newest record of q a whole chunk to grow in. False when there is no memory. */
static bool make_room(struct wire_ctx *ctx, struct wire_outq *first)
{
	struct wire_outq *c = first->last, *fresh;
	uint32_t len = c->tail - c->newest;

	if (c->newest == c->head) {
		memmove(c->data, c->data + c->newest, len);
		c->head = c->newest = 0;
		c->tail = len;
		return true;
	}
	fresh = chunk_new(ctx, len);
	if (!fresh)
		return false;
	memcpy(fresh->data, c->data + c->newest, len);
	fresh->tail = len;
	c->tail = c->newest;
	c->next = fresh;
	first->last = fresh;
	return true;
}

static bool fits(const struct wire_outq *c, uint32_t offset, size_t len)
{
	return offset + RECORD + padded(len) <= c->size - sizeof(*c);
}

/* Adds an element to the list that waits as the newest record, if it is one of this kind and may grow. */
static bool merge_into_newest(struct wire_ctx *ctx, struct wire_outq *first, const struct dk_frame *f, size_t n, bool wrap,
			      size_t merge)
{
	struct wire_outq *c = first->last;
	struct record *r = record_at(c, c->newest);

	if (r->status != DK_STATUS_PUSH || r->alone || r->cmd != f->cmd || r->ver != f->ver || r->len + n > merge)
		return false;
	if (!fits(c, c->newest, r->len + n)) {
		if (c->newest == 0 || !make_room(ctx, first))
			return false;
		c = first->last;
		r = record_at(c, c->newest);
		if (!fits(c, c->newest, r->len + n))
			return false;
	}
	put(c->data + c->newest + RECORD + r->len, f->payload, wrap);
	r->len += (uint32_t)n & INT32_MAX;
	c->tail = c->newest + RECORD + padded(r->len);
	first->bytes += n;
	return true;
}

int wire_outq_add(struct wire_ctx *ctx, struct wire_outq **q, const struct dk_frame *f, unsigned how, size_t merge, uint64_t now)
{
	bool push = f->status == DK_STATUS_PUSH, alone = push && (how & DK_ALONE), wrap = push && !alone && !(how & DK_LISTED);
	size_t n = f->payload.n + (wrap ? 4 : 0);
	struct wire_outq *first = *q, *c;
	struct record *r;

	if (push && !alone && first && merge_into_newest(ctx, first, f, n, wrap, merge))
		return 0;
	c = first ? first->last : NULL;
	if (!c || !fits(c, c->tail, n)) {
		c = chunk_new(ctx, RECORD + padded(n));
		if (!c)
			return WIRE_FULL;
		if (first) {
			first->last->next = c;
		} else {
			first = *q = c;
			c->since = now;
			c->bytes = 0;
		}
		first->last = c;
	}
	c->newest = c->tail;
	c->tail += RECORD + padded(n);
	r = record_at(c, c->newest);
	r->len = (uint32_t)n & INT32_MAX;
	r->alone = alone;
	r->cmd = f->cmd;
	r->ver = f->ver;
	r->status = f->status;
	put(c->data + c->newest + RECORD, f->payload, wrap);
	first->bytes += n;
	return 0;
}

static void frame_at(const struct wire_outq *c, uint32_t offset, struct dk_frame *ret_frame)
{
	struct record *r = record_at(c, offset);

	ret_frame->ver = r->ver;
	ret_frame->status = r->status;
	ret_frame->cmd = r->cmd;
	ret_frame->payload = dk_slice_n(c->data + offset + RECORD, r->len);
}

bool wire_outq_peek(const struct wire_outq *q, struct dk_frame *ret_frame)
{
	if (!q)
		return false;
	frame_at(q, q->head, ret_frame);
	return true;
}

bool wire_outq_walk(struct wire_outq_at *at, struct dk_frame *ret_frame)
{
	const struct wire_outq *c = at->chunk;

	if (c && c->head + at->skip == c->tail) {
		c = at->chunk = c->next;
		at->skip = 0;
	}
	if (!c)
		return false;
	frame_at(c, c->head + at->skip, ret_frame);
	at->skip += RECORD + padded(ret_frame->payload.n);
	return true;
}

void wire_outq_pop(struct wire_ctx *ctx, struct wire_outq **q)
{
	struct wire_outq *first = *q, *next = first->next;
	uint32_t len = record_at(first, first->head)->len;

	first->bytes -= len;
	first->head += RECORD + padded(len);
	if (first->head < first->tail)
		return;
	if (next) {
		next->last = first->last;
		next->since = first->since;
		next->bytes = first->bytes;
	}
	*q = next;
	wire_give(ctx, first, first->size);
}

void wire_outq_clear(struct wire_ctx *ctx, struct wire_outq **q)
{
	struct wire_outq *c = *q, *next;

	for (; c; c = next) {
		next = c->next;
		wire_give(ctx, c, c->size);
	}
	*q = NULL;
}

size_t wire_outq_bytes(const struct wire_outq *q)
{
	return q ? q->bytes : 0;
}

uint64_t wire_outq_since(const struct wire_outq *q)
{
	return q->since;
}
