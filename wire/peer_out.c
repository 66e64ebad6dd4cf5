/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a UDP connection sends. In order: answers to addresses, acknowledgements, what is to be sent again, reliable frames,
 * unreliable frames, and the FIN when nothing else is left. Reliable frames of one flush are sealed into one block, which rudp
 * then keeps; unreliable ones are sealed straight into the datagram.
 *
 * A server whose client has not proven its address sends it no more bytes than came from there.
 */
#include "wire/peer_priv.h"

#define UNPROVEN_QUEUE 4096 /* what waits for a client that nobody has heard of yet */

/* ---- frames in ---- */

int wire_peer_send(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, const struct dk_frame *frame, unsigned how)
{
	struct wire_codec k = wire_codec_of(p);
	bool reliable = how & DK_RELIABLE;
	size_t n = frame->payload.n, most = ctx->limits.max_queued_bytes;

	if (p->state >= WIRE_PEER_CLOSING)
		return WIRE_GONE;
	if (frame->status == DK_STATUS_PUSH && !(how & (DK_LISTED | DK_ALONE)))
		n += 4;
	if (n > ctx->limits.max_frame_out || (!reliable && WIRE_HEADER_LEN + wire_frame_len(p->role, &k, n) > WIRE_CHUNK))
		return WIRE_TOO_LONG;
	if (!reliable && p->role == WIRE_SERVER && !p->proven && most > UNPROVEN_QUEUE)
		most = UNPROVEN_QUEUE;
	if (wire_outq_bytes(p->reliable) + wire_outq_bytes(p->unreliable) + n > most)
		return WIRE_FULL;
	return wire_outq_add(ctx, reliable ? &p->reliable : &p->unreliable, frame, how,
			     wire_frame_room(p->role, &k, WIRE_DATAGRAM_OUT - WIRE_HEADER_LEN), now);
}

/* ---- whether ---- */

/* Bytes that may go to the bound address now. */
static size_t allowance(const struct wire_peer *p)
{
	if (p->role == WIRE_CLIENT || p->proven)
		return WIRE_SLOT;
	return p->addr.family ? p->credit : 0;
}

static void spend(struct wire_peer *p, size_t n)
{
	if (p->role == WIRE_SERVER && !p->proven)
		p->credit -= n < p->credit ? (uint32_t)n : p->credit;
}

bool wire_peer_may_send(const struct wire_ctx *ctx, const struct wire_peer *p)
{
	struct wire_codec k = wire_codec_of(p);
	struct dk_frame f;

	(void)ctx;
	if (p->role == WIRE_CLIENT || p->proven)
		return true;
	return wire_outq_peek(p->unreliable, &f) && WIRE_HEADER_LEN + wire_frame_len(p->role, &k, f.payload.n) <= allowance(p);
}

static bool may_send_reliable(const struct wire_peer *p)
{
	return p->state == WIRE_PEER_OPEN || p->state == WIRE_PEER_CLOSING;
}

static bool holds_back(const struct wire_ctx *ctx, const struct wire_peer *p)
{
	return ctx->limits.flush_ms >= 10 && wire_outq_bytes(p->unreliable) < WIRE_DATAGRAM_OUT;
}

bool wire_peer_has_output(const struct wire_ctx *ctx, const struct wire_peer *p)
{
	const struct wire_aside *a = p->aside;

	if (p->state == WIRE_PEER_CLOSED)
		return false;
	if (a && (a->n_replies || (a->n_acks && allowance(p) >= WIRE_HEADER_LEN)))
		return true;
	if (may_send_reliable(p) && (wire_rudp_has_next(ctx, &p->rudp) ||
				     (p->reliable && wire_rudp_has_room(ctx, &p->rudp) && !wire_rudp_has_ready(&p->rudp))))
		return true;
	if (p->unreliable && !holds_back(ctx, p) && wire_peer_may_send(ctx, p))
		return true;
	return p->state == WIRE_PEER_CLOSING && !a->hellos && wire_peer_drained(p);
}

/* ---- reliable blocks ---- */

/* Cuts one frame, sealed as a whole, into blocks of a chunk each. False when there is no memory; then nothing has changed. The
 * frame stays whole until all of them were acknowledged: to another node it would have to go as one. */
static bool cut(struct wire_ctx *ctx, struct wire_peer *p, const struct dk_frame *f, size_t len)
{
	struct wire_codec k = wire_codec_of(p);
	size_t head = p->role == WIRE_CLIENT ? WIRE_FRAME_UP + WIRE_SPLIT_HEAD : WIRE_SPLIT_HEAD;
	size_t count = (len + WIRE_CHUNK - 1) / WIRE_CHUNK, n, size;
	struct wire_block *first = NULL, **link = &first, *b;
	struct wire_whole *whole = wire_whole_new(ctx, len);
	uint8_t *d;

	if (!whole)
		return false;
	wire_frame_write(ctx->crypto, p->role, &k, f, whole->bytes);
	for (size_t i = 0; i < count; i++) {
		n = i + 1 < count ? WIRE_CHUNK : len - i * WIRE_CHUNK;
		b = wire_block_of(ctx, head, whole, (uint32_t)i * WIRE_CHUNK, n);
		if (!b)
			goto fail;
		*link = b;
		link = &b->next;
		d = b->data;
		if (p->role == WIRE_CLIENT) { /* wrapped once more, so that the server finds the sid */
			size = WIRE_SID_LEN + WIRE_SPLIT_HEAD + n;
			memcpy(d, whole->bytes, WIRE_FRAME_UP);
			d[5] = (uint8_t)(size >> 16);
			d[6] = (uint8_t)(size >> 8);
			d[7] = (uint8_t)size;
			d += WIRE_FRAME_UP;
		}
		wire_chunk_head(d, p->split_id, (uint16_t)i, (uint16_t)count);
	}
	/* Only the first needs memory of rudp's own, so it is all or nothing. */
	for (b = first; b; b = first) {
		first = b->next;
		if (wire_rudp_ready(ctx, &p->rudp, b)) {
			b->next = first;
			first = b;
			goto fail;
		}
		ctx->stats.splits_out++;
	}
	wire_whole_drop(ctx, whole);
	p->split_id = (uint16_t)((p->split_id + 1) % WIRE_SPLIT_SET_MAX);
	ctx->stats.frames_out++;
	return true;
fail:
	while ((b = first)) {
		first = b->next;
		wire_block_free(ctx, b);
	}
	wire_whole_drop(ctx, whole);
	return false;
}

/* Makes what waits reliably into the next block, or into the blocks of one long frame. */
static bool make_block(struct wire_ctx *ctx, struct wire_peer *p)
{
	struct wire_outq_at walk = { p->reliable, 0 };
	struct wire_codec k = wire_codec_of(p);
	size_t total = 0, frames = 0, len;
	struct wire_block *b;
	struct dk_frame f;
	uint8_t *out;

	while (wire_outq_walk(&walk, &f)) {
		len = wire_frame_len(p->role, &k, f.payload.n);
		if (frames && total + len > WIRE_DATAGRAM_OUT - WIRE_HEADER_LEN)
			break;
		total += len;
		frames++;
	}
	if (total > WIRE_CHUNK) {
		wire_outq_peek(p->reliable, &f);
		if (!cut(ctx, p, &f, total))
			return false;
		wire_outq_pop(ctx, &p->reliable);
		return true;
	}
	b = wire_block_new(ctx, total);
	if (!b)
		return false;
	if (wire_rudp_ready(ctx, &p->rudp, b)) {
		wire_block_free(ctx, b);
		return false;
	}
	for (out = b->data; frames-- > 0; out += len) {
		wire_outq_peek(p->reliable, &f);
		len = wire_frame_len(p->role, &k, f.payload.n);
		wire_frame_write(ctx->crypto, p->role, &k, &f, out);
		wire_outq_pop(ctx, &p->reliable);
		ctx->stats.frames_out++;
	}
	return true;
}

/* ---- datagrams ---- */

/* Writes the next reliable block of at most room bytes, header included; 0 = none. */
static size_t put_block(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, uint8_t *out, size_t room)
{
	const struct wire_block *b;
	uint32_t seq;
	bool again;

	if (!may_send_reliable(p))
		return 0;
	if (p->reliable && !wire_rudp_has_next(ctx, &p->rudp) && !wire_rudp_has_ready(&p->rudp) &&
	    wire_rudp_has_room(ctx, &p->rudp) && !make_block(ctx, p))
		return 0;
	b = wire_rudp_next(ctx, &p->rudp, now, room - WIRE_HEADER_LEN, &seq, &again);
	if (!b)
		return 0;
	wire_head_write(out, wire_head(seq, again ? WIRE_RST : WIRE_DAT));
	wire_block_write(b, out + WIRE_HEADER_LEN);
	if (again)
		ctx->stats.resends++;
	return WIRE_HEADER_LEN + (size_t)b->len;
}

/* Writes unreliable frames, as many as room bytes hold; 0 = none fits. first_room: what one frame alone may take. */
static size_t put_frames(struct wire_ctx *ctx, struct wire_peer *p, uint8_t *out, size_t room, size_t first_room)
{
	struct wire_codec k = wire_codec_of(p);
	size_t used = WIRE_HEADER_LEN, len;
	struct dk_frame f;

	while (wire_outq_peek(p->unreliable, &f)) {
		len = wire_frame_len(p->role, &k, f.payload.n);
		if (used + len > (used == WIRE_HEADER_LEN ? first_room : room))
			break;
		wire_frame_write(ctx->crypto, p->role, &k, &f, out + used);
		used += len;
		wire_outq_pop(ctx, &p->unreliable);
		ctx->stats.frames_out++;
	}
	if (used == WIRE_HEADER_LEN)
		return 0;
	wire_head_write(out, wire_head(0, WIRE_UDP));
	return used;
}

/* Acknowledgements: glued units for a client and for who glues itself, else one. Returns the bytes written. */
static size_t put_acks(struct wire_ctx *ctx, struct wire_peer *p, uint8_t *out, bool *ret_glue)
{
	struct wire_aside *a = p->aside;
	size_t unit = p->role == WIRE_CLIENT ? WIRE_HEADER_LEN + WIRE_SID_LEN : WIRE_HEADER_LEN;
	bool glue = p->role == WIRE_CLIENT || p->glues;
	size_t most = allowance(p), used = 0;
	unsigned n = 0;

	if (most > WIRE_DATAGRAM_OUT)
		most = WIRE_DATAGRAM_OUT;
	while (n < a->n_acks && used + unit <= most && (glue || n == 0)) {
		wire_head_write(out + used, a->acks[n++]);
		if (p->role == WIRE_CLIENT)
			memcpy(out + used + WIRE_HEADER_LEN, p->sid, WIRE_SID_LEN);
		used += unit;
	}
	a->n_acks = (uint16_t)(a->n_acks - n);
	memmove(a->acks, a->acks + n, a->n_acks * sizeof(a->acks[0]));
	ctx->stats.acks_out += n;
	*ret_glue = glue && !a->n_acks;
	return used;
}

static size_t put_control(struct wire_peer *p, uint8_t *out, uint32_t head)
{
	wire_head_write(out, head);
	if (p->role == WIRE_SERVER)
		return WIRE_HEADER_LEN;
	memcpy(out + WIRE_HEADER_LEN, p->sid, WIRE_SID_LEN);
	return WIRE_HEADER_LEN + WIRE_SID_LEN;
}

/* SYN while opening, FIN when closing has come so far. */
static size_t put_hello(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, uint8_t *out)
{
	struct wire_aside *a = p->aside;
	bool fin = p->state == WIRE_PEER_CLOSING;

	if (fin ? !a->hellos && !wire_peer_drained(p) && now < a->close_by : p->state != WIRE_PEER_OPENING)
		return 0;
	if (now < a->hello_at || (fin && a->hellos >= WIRE_FIN_TRIES))
		return 0;
	if (a->hellos < UINT8_MAX)
		a->hellos++;
	a->hello_at = now + wire_hello_interval(ctx, a->hellos);
	return put_control(p, out, fin ? wire_head((uint32_t)p->rudp.tx_next, WIRE_FIN) : wire_head(0, WIRE_SYN));
}

/* Everything that is borrowed only now and then: answers, acknowledgements, hellos. */
static size_t put_aside(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, uint8_t *slot, struct dk_addr *ret_to,
			bool *ret_glue)
{
	struct wire_aside *a = p->aside;
	size_t n = 0;

	if (a->n_replies) {
		n = put_control(p, slot, a->replies[0].head);
		*ret_to = a->replies[0].to;
		a->n_replies--;
		memmove(a->replies, a->replies + 1, a->n_replies * sizeof(a->replies[0]));
		*ret_glue = false;
		if (dk_addr_eq(ret_to, &p->addr))
			spend(p, n);
		return n;
	}
	if (a->n_acks)
		n = put_acks(ctx, p, slot, ret_glue);
	if (!n) {
		n = put_hello(ctx, p, now, slot);
		*ret_glue = false;
	}
	spend(p, n);
	return n;
}

size_t wire_peer_out(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, bool force, uint8_t *slot, size_t cap,
		     struct dk_addr *ret_to, bool *ret_fragment)
{
	size_t used = 0, n = 0, most;
	bool glue = true;

	if (cap < WIRE_SLOT || p->state == WIRE_PEER_CLOSED)
		return 0;
	*ret_to = p->addr;
	if (p->aside) {
		used = put_aside(ctx, p, now, slot, ret_to, &glue);
		if (!p->aside->n_acks && !p->aside->n_replies)
			wire_aside_trim(ctx, p, now);
	}
	most = allowance(p);
	if (used == 0 || glue) {
		/* Glued behind acknowledgements goes only what keeps the datagram short. */
		size_t room = used ? WIRE_DATAGRAM_OUT - used : WIRE_SLOT;

		if ((p->rudp.tx || p->reliable) && room > WIRE_HEADER_LEN)
			n = put_block(ctx, p, now, slot + used, room);
		if (n == 0 && p->unreliable &&
		    (force || !holds_back(ctx, p) || now - wire_outq_since(p->unreliable) >= ctx->limits.flush_ms)) {
			if (room > WIRE_DATAGRAM_OUT)
				n = put_frames(ctx, p, slot, most < WIRE_DATAGRAM_OUT ? most : WIRE_DATAGRAM_OUT,
					       most < WIRE_CHUNK ? most : WIRE_CHUNK);
			else
				n = put_frames(ctx, p, slot + used, most < room ? most : room, most < room ? most : room);
			spend(p, n);
		}
	}
	used += n;
	if (used) {
		ctx->stats.datagrams_out++;
		*ret_fragment = used > WIRE_DATAGRAM_OUT;
	}
	return used;
}
