/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames on a byte stream, back to back. Order and repetition are TCP's business; a frame that is wrong in any way breaks the
 * stream, because nothing says where the next one starts. Every frame upward carries the sid, and every one of them is checked.
 */
#include "wire/stream.h"
#include "wire/frame.h"

#include <errno.h>

#define MERGE 16384 /* a list of pushes stops growing here, so that the reader need not wait for all of it */

static struct wire_codec codec(const struct wire_stream *s)
{
	struct wire_codec k = { s->sid, s->encrypted ? &s->seal : NULL };

	return k;
}

int wire_stream_peek_sid(dk_slice bytes, const uint8_t **ret_sid)
{
	static const uint8_t magic[4] = { 0xfe, 0xbe, 0xde, 0xef };

	if (bytes.n && memcmp(bytes.p, magic, bytes.n < 4 ? bytes.n : 4) != 0)
		return -EPROTO;
	if (bytes.n >= 8 && bytes.p[5] == 0 && bytes.p[6] == 0 && bytes.p[7] < WIRE_SID_LEN)
		return -EPROTO;
	if (bytes.n < WIRE_FRAME_UP)
		return 0;
	*ret_sid = bytes.p + 10;
	return 1;
}

int wire_stream_init(struct wire_ctx *ctx, struct wire_stream *s, enum wire_role role, const struct dk_credential *cred)
{
	(void)ctx;
	memset(s, 0, sizeof(*s));
	memcpy(s->sid, cred->sid, sizeof(s->sid));
	s->role = role;
	s->encrypted = cred->encrypted;
	if (cred->encrypted)
		wire_seal_init(&s->seal, cred);
	return 0;
}

void wire_stream_fini(struct wire_ctx *ctx, struct wire_stream *s)
{
	wire_outq_clear(ctx, &s->out);
	explicit_bzero(s, sizeof(*s));
	s->broken = 1;
}

static int broken(struct wire_ctx *ctx, struct wire_stream *s, enum wire_drop d)
{
	wire_drop(ctx, d);
	s->broken = 1;
	wire_outq_clear(ctx, &s->out);
	return -EPROTO;
}

/* Length of the frame that starts at p, of which n bytes are there; 0 = not known yet. The limit is the caller's business. */
static size_t frame_length(enum wire_role to, const uint8_t *p, size_t n)
{
	size_t head = to == WIRE_SERVER ? 10 : WIRE_FRAME_DOWN;

	return n < 8 ? 0 : head + ((size_t)p[5] << 16 | (size_t)p[6] << 8 | p[7]);
}

/* The whole frame at p, n bytes being there: WIRE_PASS with its parts and length; or *ret_len is 0 and more is needed. */
static enum wire_drop next_frame(struct wire_ctx *ctx, const struct wire_stream *s, const uint8_t *p, size_t n,
				 struct wire_raw *ret_raw, size_t *ret_len)
{
	enum wire_role role = (enum wire_role)s->role;
	struct wire_codec k = codec(s);
	size_t len, used;

	*ret_len = 0;
	if (n < 4)
		return WIRE_PASS;
	if (!wire_is_magic(p))
		return WIRE_DROP_MAGIC;
	len = frame_length(role, p, n);
	if (len > wire_frame_len((enum wire_role) !role, &k, ctx->limits.max_frame) + WIRE_SEAL_TRAIL_MAX)
		return WIRE_DROP_FRAME;
	if (len == 0 || n < len)
		return WIRE_PASS;
	*ret_len = len;
	return wire_frame_take(ctx->crypto, role, &k, dk_slice_n(p, len), ret_raw, &used);
}

/* Decrypts one frame and shows it, unless ev is NULL. */
static enum wire_drop take(struct wire_ctx *ctx, const struct wire_stream *s, const struct wire_raw *raw,
			   const struct wire_events *ev)
{
	struct wire_codec k = codec(s);
	size_t mark = wire_scratch_mark(ctx), n = raw->body.n;
	uint8_t *plain = NULL, *heap = NULL;
	struct dk_frame f;
	enum wire_drop d;

	if (k.seal) {
		plain = wire_scratch(ctx, n);
		if (!plain)
			plain = heap = wire_take(ctx, n);
		if (!plain)
			return WIRE_DROP_MEMORY;
	}
	d = wire_frame_open(ctx->crypto, &k, raw, plain, &f);
	if (d == WIRE_PASS && ev) {
		ctx->stats.frames_in++;
		if (ev->frame)
			ev->frame(ev->arg, &f, true);
	}
	if (heap)
		wire_give(ctx, heap, n);
	wire_scratch_release(ctx, mark);
	return d;
}

int wire_stream_greet(struct wire_ctx *ctx, const struct wire_stream *s, dk_slice bytes)
{
	struct wire_raw raw;
	enum wire_drop d;
	size_t len;

	d = next_frame(ctx, s, bytes.p, bytes.n, &raw, &len);
	if (d == WIRE_PASS && !len)
		return 0;
	if (d == WIRE_PASS)
		d = take(ctx, s, &raw, NULL);
	if (d == WIRE_PASS)
		return 1;
	wire_drop(ctx, d);
	return -EPROTO;
}

int wire_stream_feed(struct wire_ctx *ctx, struct wire_stream *s, dk_slice bytes, const struct wire_events *ev)
{
	size_t used = 0, len;
	struct wire_raw raw;
	enum wire_drop d;

	while (!s->broken) {
		/* Bytes that are none have no address either. */
		d = next_frame(ctx, s, used ? bytes.p + used : bytes.p, bytes.n - used, &raw, &len);
		if (d == WIRE_PASS && !len)
			return (int)used;
		if (d == WIRE_PASS)
			d = take(ctx, s, &raw, ev);
		if (d != WIRE_PASS)
			return broken(ctx, s, d);
		used += len;
	}
	return -EPROTO;
}

int wire_stream_send(struct wire_ctx *ctx, struct wire_stream *s, const struct dk_frame *frame, unsigned how)
{
	size_t n = frame->payload.n + (frame->status == DK_STATUS_PUSH && !(how & (DK_LISTED | DK_ALONE)) ? 4 : 0);

	if (s->broken)
		return WIRE_GONE;
	if (n > ctx->limits.max_frame_out)
		return WIRE_TOO_LONG;
	if (wire_outq_bytes(s->out) + n > ctx->limits.max_queued_bytes)
		return WIRE_FULL;
	return wire_outq_add(ctx, &s->out, frame, how, n > MERGE ? n : MERGE, 0);
}

size_t wire_stream_out(struct wire_ctx *ctx, struct wire_stream *s, uint8_t *buf, size_t cap, size_t *ret_need)
{
	enum wire_role role = (enum wire_role)s->role;
	struct wire_codec k = codec(s);
	size_t used = 0, len;
	struct dk_frame f;

	*ret_need = 0;
	while (wire_outq_peek(s->out, &f)) {
		len = wire_frame_len(role, &k, f.payload.n);
		if (len > cap - used) {
			if (!used)
				*ret_need = len;
			break;
		}
		wire_frame_write(ctx->crypto, role, &k, &f, buf + used);
		used += len;
		wire_outq_pop(ctx, &s->out);
		ctx->stats.frames_out++;
	}
	return used;
}

size_t wire_stream_unacked(const struct wire_stream *s, wire_frame_fn *fn, void *arg)
{
	struct wire_outq_at at = { s->out, 0 };
	struct dk_frame f;
	size_t n;

	for (n = 0; wire_outq_walk(&at, &f); n++)
		if (fn)
			fn(arg, &f, DK_RELIABLE | (f.status == DK_STATUS_PUSH ? DK_ALONE : 0));
	return n;
}

void wire_stream_credential(const struct wire_stream *s, struct dk_credential *ret_cred)
{
	memset(ret_cred, 0, sizeof(*ret_cred));
	memcpy(ret_cred->sid, s->sid, sizeof(ret_cred->sid));
	ret_cred->encrypted = s->encrypted;
	if (s->encrypted)
		wire_seal_keys(&s->seal, ret_cred);
}
