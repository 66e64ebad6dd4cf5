/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP connection's bytes, in the pieces the script asks for: the frames are the same as at once, nothing is used that was not
 * there, and what is broken stays broken. Frames sealed with the right keys are woven in. The payload codecs look at every frame.
 */
#include "wire/frame.h"
#include "wire/stream.h"
#include "wire/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

struct tally {
	unsigned frames;
	uint64_t sum;
};

static int fixed(void *arg, void *buf, size_t n)
{
	(void)arg;
	memset(buf, 7, n);
	return 0;
}

static void on_frame(void *arg, const struct dk_frame *f, bool reliable)
{
	struct tally *t = arg;
	struct dk_cursor c = dk_cursor_of(f->payload);
	struct wire_echo_reply reply;
	struct wire_echo echo;
	uint8_t buf[512];
	dk_slice item;
	dk_str where;
	size_t n;

	MUST(reliable);
	t->frames++;
	t->sum = t->sum * 31 + f->cmd + f->ver;
	for (size_t i = 0; i < f->payload.n; i++)
		t->sum = t->sum * 31 + f->payload.p[i];
	while (wire_list_next(&c, &item))
		MUST(item.p >= f->payload.p && item.p + item.n <= f->payload.p + f->payload.n);
	if (wire_echo_decode(f->payload, &echo))
		MUST(echo.locals.n + 8 == f->payload.n);
	if (wire_echo_reply_decode(f->payload, &reply) && f->payload.n < sizeof(buf) - 2) {
		n = wire_echo_reply_encode(&reply, buf, sizeof(buf));
		MUST(n == f->payload.n || n == f->payload.n + 2); /* the old form has no trailer */
		MUST(memcmp(buf, f->payload.p, f->payload.n) == 0);
	}
	if (wire_reconnect_decode(f->payload, &where) && f->payload.n <= sizeof(buf)) {
		MUST(wire_reconnect_encode(where, buf, sizeof(buf)) == f->payload.n);
		MUST(memcmp(buf, f->payload.p, f->payload.n) == 0);
	}
}

/* The script's bytes, in which 'F' len payload stands for a frame with the right keys and everything else for itself. */
static size_t weave(struct wire_crypto *crypto, const struct wire_codec *k, enum wire_role from, struct dk_cursor *c, uint8_t *out,
		    size_t cap)
{
	size_t n = 0;

	while (dk_rd_left(c)) {
		uint8_t b = dk_rd_u8(c);

		if (b == 'F') {
			struct dk_frame f = { dk_rd_u8(c), 1, dk_rd_u8(c), { 0, 0 } };

			f.payload = dk_rd_slice(c, dk_rd_u8(c));
			if (n + wire_frame_len(from, k, f.payload.n) > cap)
				break;
			wire_frame_write(crypto, from, k, &f, out + n);
			n += wire_frame_len(from, k, f.payload.n);
		} else if (b == 'X' && n) {
			b = dk_rd_u8(c);
			out[n - 1 - b % n] ^= dk_rd_u8(c);
		} else if (n < cap) {
			out[n++] = b;
		}
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t cap = 20000;
	struct dk_cursor c = dk_cursor_of(dk_slice_n(data, size));
	struct wire_ctx_opts o = { .random = fixed };
	struct dk_credential cred = { .encrypted = false };
	uint8_t mode = dk_rd_u8(&c), step = dk_rd_u8(&c), *wire = malloc(cap), *piece;
	enum wire_role role = mode & 1 ? WIRE_CLIENT : WIRE_SERVER;
	struct tally once = { 0 }, pieces = { 0 };
	struct wire_events ev = { .arg = &once, .frame = on_frame };
	struct wire_stream s;
	struct wire_codec k;
	struct wire_ctx *ctx;
	const uint8_t *sid;
	size_t n, have = 0, at = 0;
	int used, first;

	wire_limits_default(&o.limits);
	o.limits.max_frame = 8000;
	MUST(wire_ctx_new(&o, &ctx) == 0);
	memset(cred.sid, 'S', sizeof(cred.sid));
	cred.encrypted = mode & 2;
	MUST(wire_stream_init(ctx, &s, role, &cred) == 0);
	k = (struct wire_codec){ s.sid, s.encrypted ? &s.seal : NULL };
	n = weave(ctx->crypto, &k, mode & 1 ? WIRE_SERVER : WIRE_CLIENT, &c, wire, cap);
	if (wire_stream_peek_sid(dk_slice_n(wire, n), &sid) == 1)
		MUST(sid >= wire && sid + 16 <= wire + n);
	first = wire_stream_feed(ctx, &s, dk_slice_n(wire, n), &ev);
	MUST(first <= (int)n);
	wire_stream_fini(ctx, &s);

	ev.arg = &pieces;
	MUST(wire_stream_init(ctx, &s, role, &cred) == 0);
	used = 0;
	while (at < n && used >= 0) {
		size_t add = n - at < step + 1u ? n - at : step + 1u;

		have += add;
		at += add;
		piece = malloc(have);
		memcpy(piece, wire + at - have, have);
		used = wire_stream_feed(ctx, &s, dk_slice_n(piece, have), &ev);
		free(piece);
		MUST(used <= (int)have);
		if (used > 0)
			have -= (size_t)used;
	}
	MUST((used < 0) == (first < 0) && once.frames == pieces.frames && once.sum == pieces.sum);
	if (used < 0)
		MUST(wire_stream_feed(ctx, &s, dk_slice_n(wire, 0), &ev) < 0);
	wire_stream_fini(ctx, &s);
	MUST(ctx->pool.in_use == 0);
	wire_ctx_free(ctx);
	free(wire);
	return 0;
}
