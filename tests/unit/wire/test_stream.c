/* SPDX-License-Identifier: Apache-2.0 */
/* Frames on a byte stream: cut anywhere, several at once, and everything that breaks a stream. */
#include "tests/unit/wire/wire_test.h"
#include "wire/frame.h"

#define HELLO_UP                                                                                                                   \
	"febedeef 02 000044 000a SID 00000005 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 "                   \
	"4bedca3f3c64215c2a43ee0d1866bcc1"
#define HELLO_DOWN                                                                                                                 \
	"febedeef 02 000034 000a 01 00000005 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 "                    \
	"4bedca3f3c64215c2a43ee0d1866bcc1"

struct pair {
	struct memory m;
	struct wire_ctx *ctx;
	struct wire_stream server, client;
	struct seen up, down;
};

static void pair_init(struct pair *t, bool encrypted, const struct wire_limits *l)
{
	struct dk_credential cred = test_credential(encrypted);

	t->ctx = test_ctx(&t->m, l);
	seen_init(&t->up);
	seen_init(&t->down);
	ck_assert_int_eq(wire_stream_init(t->ctx, &t->server, WIRE_SERVER, &cred), 0);
	ck_assert_int_eq(wire_stream_init(t->ctx, &t->client, WIRE_CLIENT, &cred), 0);
}

static void pair_fini(struct pair *t)
{
	wire_stream_fini(t->ctx, &t->server);
	wire_stream_fini(t->ctx, &t->client);
	seen_fini(&t->up);
	seen_fini(&t->down);
	test_ctx_free(t->ctx, &t->m);
}

/* The bytes are the frames of the datagram protocol, with nothing around them. */
START_TEST(bytes_on_the_wire)
{
	struct dk_frame f = test_frame(2, 10, 0, "hello"), r = test_frame(2, 10, DK_STATUS_OK, "hello");
	uint8_t buf[256];
	struct pair t;
	size_t n, need;

	pair_init(&t, true, NULL);
	ck_assert_int_eq(wire_stream_send(t.ctx, &t.client, &f, DK_RELIABLE), 0);
	n = wire_stream_out(t.ctx, &t.client, buf, sizeof(buf), &need);
	assert_bytes(buf, n, HELLO_UP);
	ck_assert_int_eq(wire_stream_send(t.ctx, &t.server, &r, DK_UNRELIABLE), 0);
	n = wire_stream_out(t.ctx, &t.server, buf, sizeof(buf), &need);
	assert_bytes(buf, n, HELLO_DOWN);
	ck_assert_int_eq(wire_stream_feed(t.ctx, &t.client, dk_slice_n(buf, n), &t.down.ev), (int)n);
	ck_assert_uint_eq(t.down.n, 1);
	ck_assert_mem_eq(t.down.frames[0].payload, "hello", 5);
	ck_assert(t.down.frames[0].reliable);
	pair_fini(&t);
}
END_TEST

/* Whatever the reader's pieces are, the same frames come out. */
START_TEST(any_pieces)
{
	static uint8_t wire[20000], held[20000];
	size_t total = 0, need, step;

	for (step = 1; step < 3000; step = step * 3 / 2 + 1) {
		size_t have = 0, at = 0;
		struct pair t;
		uint8_t text[3000];

		pair_init(&t, step % 2, NULL);
		for (int i = 0; i < 12; i++) {
			struct dk_frame f = { 2, 0, (uint16_t)i, { text, (size_t)(i * i * 13 % 2900) } };

			memset(text, i, sizeof(text));
			ck_assert_int_eq(wire_stream_send(t.ctx, &t.client, &f, DK_RELIABLE), 0);
		}
		total = wire_stream_out(t.ctx, &t.client, wire, sizeof(wire), &need);
		ck_assert_uint_eq(wire_stream_out(t.ctx, &t.client, wire + total, sizeof(wire) - total, &need), 0);
		while (at < total) {
			size_t n = total - at < step ? total - at : step;
			int used;

			memcpy(held + have, wire + at, n);
			have += n;
			at += n;
			used = wire_stream_feed(t.ctx, &t.server, dk_slice_n(held, have), &t.up.ev);
			ck_assert_int_ge(used, 0);
			have -= (size_t)used;
			memmove(held, held + used, have);
		}
		ck_assert_uint_eq(have, 0);
		ck_assert_uint_eq(t.up.n, 12);
		for (int i = 0; i < 12; i++) {
			ck_assert_uint_eq(t.up.frames[i].cmd, i);
			ck_assert_uint_eq(t.up.frames[i].n, i * i * 13 % 2900);
		}
		pair_fini(&t);
	}
}
END_TEST

START_TEST(what_breaks_it)
{
	static const struct {
		enum wire_drop drop;
		const char *bytes;
	} rows[] = {
		{ WIRE_DROP_MAGIC, "febedeee" },
		{ WIRE_DROP_MAGIC, "474554202f20485454502f312e31" },
		{ WIRE_DROP_FRAME, "febedeef 02 ffffff 000a" },
		{ WIRE_DROP_FRAME, "febedeef 02 00000f 000a SID" },
		{ WIRE_DROP_FRAME,
		  "febedeef 02 000043 000a SID 00000005 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 "
		  "4bedca3f3c64215c2a43ee0d1866bc" },
		{ WIRE_DROP_SID,
		  "febedeef 02 000044 000a 004142434445464748494a4b4c4d4e4f 00000005 "
		  "9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 4bedca3f3c64215c2a43ee0d1866bcc1" },
		{ WIRE_DROP_MAC,
		  "febedeef 02 000044 000a SID 00000005 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 "
		  "4bedca3f3c64215c2a43ee0d1866bcc2" },
		{ WIRE_DROP_PLAIN,
		  "febedeef 02 000044 000a SID 00000004 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 "
		  "4bedca3f3c64215c2a43ee0d1866bcc1" },
	};

	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		struct bytes b = hex(rows[i].bytes), good = hex(HELLO_UP);
		struct dk_frame f = test_frame(2, 10, DK_STATUS_OK, "x");
		struct pair t;

		pair_init(&t, true, NULL);
		ck_assert_int_eq(wire_stream_feed(t.ctx, &t.server, slice_of(&good), &t.up.ev), (int)good.n);
		ck_assert_int_lt(wire_stream_feed(t.ctx, &t.server, slice_of(&b), &t.up.ev), 0);
		ck_assert_uint_eq(wire_ctx_drops(t.ctx)[rows[i].drop], 1);
		/* It stays broken. */
		ck_assert_int_lt(wire_stream_feed(t.ctx, &t.server, slice_of(&good), &t.up.ev), 0);
		ck_assert_uint_eq(t.up.n, 1);
		ck_assert_int_eq(wire_stream_send(t.ctx, &t.server, &f, 0), WIRE_GONE);
		pair_fini(&t);
	}
}
END_TEST

/* A frame at the limit passes; its header is refused before anybody waits for the rest of a longer one. */
START_TEST(size_limit)
{
	static uint8_t text[9000], buf[10000];
	struct dk_frame f = { 2, 0, 10, { text, 8000 } };
	struct wire_limits l;
	size_t n, need;
	struct pair t;

	wire_limits_default(&l);
	pair_init(&t, true, &l);
	ck_assert_int_eq(wire_stream_send(t.ctx, &t.client, &f, 0), 0);
	f.payload.n = 8017 + WIRE_SEAL_TRAIL_MAX;
	ck_assert_int_eq(wire_stream_send(t.ctx, &t.client, &f, 0), 0);
	l.max_frame = 8000;
	wire_ctx_set_limits(t.ctx, &l);
	n = wire_stream_out(t.ctx, &t.client, buf, 8100, &need);
	ck_assert_int_eq(wire_stream_feed(t.ctx, &t.server, dk_slice_n(buf, n), &t.up.ev), (int)n);
	ck_assert_uint_eq(t.up.n, 1);
	ck_assert_uint_eq(wire_stream_out(t.ctx, &t.client, buf, 100, &need), 0);
	ck_assert_uint_gt(need, 8000);
	n = wire_stream_out(t.ctx, &t.client, buf, need, &need);
	ck_assert_uint_gt(n, 8000);
	ck_assert_int_lt(wire_stream_feed(t.ctx, &t.server, dk_slice_n(buf, 20), &t.up.ev), 0);
	ck_assert_int_eq(wire_stream_send(t.ctx, &t.client, &f, 0), 0); /* the other direction has a limit of its own */
	l.max_frame_out = 8000;
	wire_ctx_set_limits(t.ctx, &l);
	ck_assert_int_eq(wire_stream_send(t.ctx, &t.client, &f, 0), WIRE_TOO_LONG);
	pair_fini(&t);
}
END_TEST

/* A socket that is nobody's yet shows a frame: only a good and whole one speaks for it, and a bad one harms nobody. */
START_TEST(greet)
{
	static const char *const bad[] = {
		"febedeee",
		"febedeef 02 ffffff 000a",
		"febedeef 02 000044 000a 004142434445464748494a4b4c4d4e4f 00000005 "
		"9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 4bedca3f3c64215c2a43ee0d1866bcc1",
		"febedeef 02 000044 000a SID 00000005 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 "
		"4bedca3f3c64215c2a43ee0d1866bcc2",
		"febedeef 02 000044 000a SID 00000004 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 "
		"4bedca3f3c64215c2a43ee0d1866bcc1",
	};
	struct bytes good = hex(HELLO_UP), b;
	struct pair t;

	pair_init(&t, true, NULL);
	for (size_t i = 0; i < DK_ARRAY_LEN(bad); i++) {
		b = hex(bad[i]);
		ck_assert_int_lt(wire_stream_greet(t.ctx, &t.server, slice_of(&b)), 0);
	}
	for (size_t n = 0; n < good.n; n++)
		ck_assert_int_eq(wire_stream_greet(t.ctx, &t.server, dk_slice_n(good.b, n)), 0);
	ck_assert_int_eq(wire_stream_greet(t.ctx, &t.server, slice_of(&good)), 1);
	ck_assert_uint_eq(t.up.n, 0);
	ck_assert_int_eq(wire_stream_feed(t.ctx, &t.server, slice_of(&good), &t.up.ev), (int)good.n);
	ck_assert_uint_eq(t.up.n, 1);
	pair_fini(&t);
}
END_TEST

START_TEST(lists_and_back_pressure)
{
	struct dk_frame f = test_frame(1, 103, DK_STATUS_PUSH, "abcd");
	uint8_t buf[4096];
	struct wire_limits l;
	unsigned taken = 0;
	size_t n, need;
	struct pair t;

	wire_limits_default(&l);
	l.max_queued_bytes = 800;
	pair_init(&t, true, &l);
	while (wire_stream_send(t.ctx, &t.server, &f, 0) == 0)
		taken++;
	ck_assert_uint_eq(taken, 100);
	ck_assert_int_eq(wire_stream_send(t.ctx, &t.server, &f, 0), WIRE_FULL);
	n = wire_stream_out(t.ctx, &t.server, buf, sizeof(buf), &need);
	ck_assert_uint_eq(n, wire_frame_len(WIRE_SERVER, &(struct wire_codec){ NULL, &t.server.seal }, 800));
	ck_assert_int_eq(wire_stream_feed(t.ctx, &t.client, dk_slice_n(buf, n), &t.down.ev), (int)n);
	ck_assert_uint_eq(t.down.n, 1);
	ck_assert_uint_eq(t.down.frames[0].n, 800);
	ck_assert_int_eq(wire_stream_send(t.ctx, &t.server, &f, 0), 0);
	pair_fini(&t);
}
END_TEST

START_TEST(peek_sid)
{
	static const struct {
		const char *bytes;
		int rc;
	} rows[] = {
		{ "", 0 },
		{ "febe", 0 },
		{ "fe00", -1 },
		{ "febedeef 02 000044 000a 40414243", 0 },
		{ "febedeef 02 00000f 000a", -1 },
		{ HELLO_UP, 1 },
		{ "16030100", -1 },
	};
	struct bytes sid = hex("SID");

	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		struct bytes b = hex(rows[i].bytes);
		const uint8_t *got = NULL;
		int rc = wire_stream_peek_sid(slice_of(&b), &got);

		ck_assert_int_eq(rc < 0 ? -1 : rc, rows[i].rc);
		if (rc == 1)
			ck_assert_mem_eq(got, sid.b, 16);
	}
}
END_TEST

static void fill(Suite *s)
{
	ADD(s, bytes_on_the_wire);
	ADD(s, any_pieces);
	ADD(s, what_breaks_it);
	ADD(s, size_limit);
	ADD(s, greet);
	ADD(s, lists_and_back_pressure);
	ADD(s, peek_sid);
}

int main(void)
{
	return run_suite("wire: streams", fill);
}
