/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a UDP connection hands over when it is to go on elsewhere, under other numbers: the frames that the other end may not have,
 * the frames of the other end that nobody was shown yet, which numbers came, the keys. All of it is read only; wire_peer_leave()
 * then ends it here.
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
	wire_left_fn *left; /* in place of fn */
	void *arg;
	uint32_t seq, seqs; /* where the frames lie */
	size_t n;
};

static void show(struct reader *r, const struct dk_frame *f)
{
	if (r->left) {
		r->left(r->arg, f, r->seq, r->seqs);
		return;
	}
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
		if (r->fn || r->left) {
			if (wire_frame_take(r->ctx->crypto, r->to, &r->codec, bytes, &raw, &used) != WIRE_PASS)
				return;
			show_sealed(r, &raw);
		}
		r->n++;
	}
}

/* Where block b lies, which the walk stands at: the sequences from its own to that of the last block of its whole. A block that
 * has not left lies nowhere, and so does a message of which one has not. */
static void place(struct reader *r, const struct wire_rudp *rudp, const struct wire_block *b, struct wire_rudp_at at)
{
	const struct wire_block *next = b;

	r->seq = (uint32_t)(at.seq - 1) & 0xffffff;
	r->seqs = 0;
	while (next && next->whole == b->whole) {
		if (at.seq > rudp->tx_next) {
			r->seqs = 0;
			return;
		}
		r->seqs = (((uint32_t)(at.seq - 1) - r->seq) & 0xffffff) + 1;
		next = b->whole ? wire_rudp_walk(rudp, &at) : NULL;
	}
}

static void read_unacked(struct reader *r, const struct wire_peer *p)
{
	struct wire_outq_at queued = { p->reliable, 0 };
	const struct wire_whole *whole = NULL;
	struct wire_rudp_at at = { NULL, 0 };
	const struct wire_block *b;
	struct dk_frame f;

	while ((b = wire_rudp_walk(&p->rudp, &at))) {
		if (!b->whole || b->whole != whole) {
			place(r, &p->rudp, b, at);
			read_frames(r, b->whole ? dk_slice_n(b->whole->bytes, b->whole->len) : dk_slice_n(b->data, b->len));
		}
		whole = b->whole;
	}
	r->seq = r->seqs = 0;
	for (; wire_outq_walk(&queued, &f); r->n++)
		if (r->fn || r->left)
			show(r, &f);
}

static struct reader reader_of(struct wire_ctx *ctx, const struct wire_peer *p, enum wire_role to, void *arg)
{
	return (struct reader){ .ctx = ctx, .codec = wire_codec_of(p), .to = to, .arg = arg };
}

static enum wire_role other(const struct wire_peer *p)
{
	return p->role == WIRE_SERVER ? WIRE_CLIENT : WIRE_SERVER;
}

size_t wire_peer_unacked(struct wire_ctx *ctx, const struct wire_peer *p, wire_frame_fn *fn, void *arg)
{
	struct reader r = reader_of(ctx, p, other(p), arg);

	r.fn = fn;
	read_unacked(&r, p);
	return r.n;
}

void wire_peer_left(struct wire_ctx *ctx, const struct wire_peer *p, wire_left_fn *fn, void *arg)
{
	struct reader r = reader_of(ctx, p, other(p), arg);

	r.left = fn;
	read_unacked(&r, p);
}

void wire_peer_taken(const struct wire_peer *p, struct dk_writer *w)
{
	struct wire_rudp_at at = { NULL, 0 };
	uint8_t bits[WIRE_RUDP_WINDOW / 8] = { 0 };
	size_t n = 0;

	if (p->state != WIRE_PEER_OPEN && p->state != WIRE_PEER_CLOSED)
		return;
	dk_wr_u32(w, (uint32_t)p->rudp.rx_next & 0xffffff);
	while (wire_rudp_walk_held(&p->rudp, &at)) {
		uint64_t bit = at.seq - 2; /* the walk stands behind it, and the next one in turn is never held */

		bits[bit / 8] |= (uint8_t)(1u << bit % 8);
		n = bit / 8 + 1;
	}
	dk_wr_slice(w, dk_slice_n(bits, n));
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
	struct reader r = reader_of(ctx, p, (enum wire_role)p->role, arg);
	struct wire_split_set *set = NULL;
	struct wire_rudp_at at = { NULL, 0 };
	const struct wire_block *b;
	const uint8_t *next;
	struct dk_frame f;

	r.fn = fn;
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
