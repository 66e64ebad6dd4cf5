/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a UDP connection hands over when it is to go on elsewhere, under other numbers: the frames that the other end may not have,
 * the frames of the other end that nobody was shown yet, the keys. All of it is read only; wire_peer_leave() then ends it here.
 *
 * What is in flight lies there sealed and is opened again with the connection's own keys. A message that was cut is whole as long
 * as one of its chunks is in flight. The other way round a message of which a chunk is missing is not shown: its sender has not
 * been told of all chunks and keeps it.
 */
#include "wire/peer_priv.h"

struct reader {
	struct wire_ctx *ctx;
	struct wire_codec codec;
	enum wire_role to; /* who the frames are for */
	wire_frame_fn *fn;
	void *arg;
	size_t n;
};

static void show(struct reader *r, const struct dk_frame *f)
{
	/* On its way a push is what it is: a list as a rule, whatever it was given as. */
	r->fn(r->arg, f, DK_RELIABLE | (f->status == DK_STATUS_PUSH ? DK_ALONE : 0));
}

static void show_sealed(struct reader *r, const struct wire_raw *raw)
{
	size_t mark = wire_scratch_mark(r->ctx), n = raw->body.n;
	uint8_t *plain = NULL, *heap = NULL;
	struct dk_frame f;

	if (r->codec.seal) {
		plain = wire_scratch(r->ctx, n);
		if (!plain)
			plain = heap = wire_take(r->ctx, n);
	}
	if (r->codec.seal && !plain)
		wire_drop(r->ctx, WIRE_DROP_MEMORY);
	else if (wire_frame_open(r->ctx->crypto, &r->codec, raw, plain, &f) == WIRE_PASS)
		show(r, &f);
	if (heap)
		wire_give(r->ctx, heap, n);
	wire_scratch_release(r->ctx, mark);
}

/* Frames one behind the other, which this side made. Without fn they are counted by their heads alone. */
static void read_frames(struct reader *r, dk_slice bytes)
{
	size_t head = r->to == WIRE_SERVER ? 10 : WIRE_FRAME_DOWN, used;
	struct wire_raw raw;

	for (; bytes.n >= head; bytes = dk_slice_n(bytes.p + used, bytes.n - used)) {
		used = head + ((size_t)bytes.p[5] << 16 | (size_t)bytes.p[6] << 8 | bytes.p[7]);
		if (r->fn) {
			if (wire_frame_take(r->ctx->crypto, r->to, &r->codec, bytes, &raw, &used) != WIRE_PASS)
				return;
			show_sealed(r, &raw);
		}
		r->n++;
	}
}

size_t wire_peer_unacked(struct wire_ctx *ctx, const struct wire_peer *p, wire_frame_fn *fn, void *arg)
{
	struct reader r = { ctx, wire_codec_of(p), p->role == WIRE_SERVER ? WIRE_CLIENT : WIRE_SERVER, fn, arg, 0 };
	struct wire_outq_at queued = { p->reliable, 0 };
	const struct wire_whole *whole = NULL;
	struct wire_rudp_at at = { NULL, 0 };
	const struct wire_block *b;
	struct dk_frame f;

	while ((b = wire_rudp_walk(&p->rudp, &at))) {
		if (!b->whole)
			read_frames(&r, dk_slice_n(b->data, b->len));
		else if (b->whole != whole)
			read_frames(&r, dk_slice_n(b->whole->bytes, b->whole->len));
		whole = b->whole;
	}
	for (; wire_outq_walk(&queued, &f); r.n++)
		if (fn)
			show(&r, &f);
	return r.n;
}

struct wire_outq *wire_peer_recall(struct wire_peer *p)
{
	struct wire_outq *q = p->reliable;

	p->reliable = NULL;
	return q;
}

static void held_chunk(struct reader *r, const struct wire_block *b, struct wire_split_set **set)
{
	struct wire_chunk c;
	struct wire_raw raw;
	dk_slice whole;
	size_t used;

	if (wire_chunk_read(dk_slice_n(b->data, b->len), &c) != WIRE_PASS ||
	    wire_split_add(r->ctx, set, &c, wire_message_max(r->ctx), 0, &whole) != WIRE_PASS || !whole.p)
		return;
	/* Nobody has looked at its tag yet. */
	if (wire_frame_take(r->ctx->crypto, r->to, &r->codec, whole, &raw, &used) == WIRE_PASS && used == whole.n) {
		if (r->fn)
			show_sealed(r, &raw);
		r->n++;
	}
	wire_give(r->ctx, (void *)(uintptr_t)whole.p, whole.n);
}

size_t wire_peer_held(struct wire_ctx *ctx, const struct wire_peer *p, wire_frame_fn *fn, void *arg)
{
	struct reader r = { ctx, wire_codec_of(p), (enum wire_role)p->role, fn, arg, 0 };
	struct wire_split_set *set = NULL;
	struct wire_rudp_at at = { NULL, 0 };
	const struct wire_block *b;
	const uint8_t *next;
	struct dk_frame f;

	while ((b = wire_rudp_walk_held(&p->rudp, &at))) {
		if (b->kind == WIRE_HELD_CHUNK) {
			held_chunk(&r, b, &set);
			continue;
		}
		for (next = b->data; wire_held_next(b, &next, &f); r.n++)
			if (fn)
				show(&r, &f);
	}
	wire_split_clear(ctx, &set);
	return r.n;
}

void wire_peer_credential(const struct wire_peer *p, struct dk_credential *ret_cred)
{
	memset(ret_cred, 0, sizeof(*ret_cred));
	memcpy(ret_cred->sid, p->sid, sizeof(ret_cred->sid));
	ret_cred->encrypted = p->encrypted;
	if (p->encrypted)
		wire_seal_keys(&p->seal, ret_cred);
}

void wire_peer_leave(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now)
{
	if (p->state != WIRE_PEER_OPEN) {
		wire_peer_end(ctx, p, WIRE_CLOSED_LOCAL);
		return;
	}
	wire_outq_clear(ctx, &p->unreliable);
	wire_outq_clear(ctx, &p->reliable);
	wire_rudp_fini(ctx, &p->rudp);
	if (p->aside) {
		wire_split_clear(ctx, &p->aside->set);
		p->aside->n_replies = 0;
		p->aside->mark = 0;
	}
	p->state = WIRE_PEER_LEFT;
	p->last_valid = now;
}
