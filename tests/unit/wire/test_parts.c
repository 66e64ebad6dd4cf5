/* SPDX-License-Identifier: Apache-2.0 */
/* The small parts by themselves: long messages, sequence arithmetic, the keyed hash, pools, payload codecs, the link. */
#include "tests/unit/wire/wire_test.h"
#include "wire/peer_priv.h"
#include "wire/rudp.h"
#include "wire/siphash.h"
#include "wire/split.h"

/* ---- split ---- */

#define PIECES 40

static struct wire_chunk piece(const uint8_t *message, size_t len, uint16_t set, uint16_t i)
{
	struct wire_chunk c = { set, i, PIECES, dk_slice_n(message + i * 100u, i + 1 < PIECES ? 100 : len - i * 100u) };

	return c;
}

/* Any order, repeats in between: the message comes together once, at the last missing piece. */
START_TEST(split_any_order)
{
	uint8_t message[PIECES * 100 - 37];
	struct memory m;
	struct wire_ctx *ctx = test_ctx(&m, NULL);
	struct wire_split_set *set = NULL;
	uint64_t chance = 1;
	dk_slice whole;

	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)(i ^ i >> 8);
	for (int round = 0; round < 200; round++) {
		uint16_t order[PIECES];

		for (uint16_t i = 0; i < PIECES; i++)
			order[i] = i;
		for (unsigned i = PIECES - 1; i > 0; i--) {
			unsigned k = (unsigned)((chance = chance * 6364136223846793005u + 1) >> 33) % (i + 1);
			uint16_t x = order[i];

			order[i] = order[k];
			order[k] = x;
		}
		for (unsigned i = 0; i < PIECES; i++) {
			struct wire_chunk c = piece(message, sizeof(message), 7, order[i]),
					  again = piece(message, sizeof(message), 7, order[i / 2]);

			if (i)
				ck_assert_int_eq(wire_split_add(ctx, &set, &again, 65536, 1, &whole), WIRE_DROP_SPLIT);
			ck_assert_int_eq(wire_split_add(ctx, &set, &c, 65536, 1, &whole), WIRE_PASS);
			ck_assert_int_eq(whole.p != NULL, i == PIECES - 1);
		}
		ck_assert_uint_eq(whole.n, sizeof(message));
		ck_assert_mem_eq(whole.p, message, sizeof(message));
		ck_assert_ptr_null(set);
		wire_give(ctx, (void *)(uintptr_t)whole.p, whole.n);
		ck_assert_uint_eq(ctx->pool.in_use, 0);
	}
	test_ctx_free(ctx, &m);
}
END_TEST

/* Only one message is open; one of one chunk is possible. */
START_TEST(split_sets)
{
	uint8_t message[PIECES * 100] = { 1, 2, 3 };
	struct memory m;
	struct wire_ctx *ctx = test_ctx(&m, NULL);
	struct wire_split_set *set = NULL;
	struct wire_chunk a = piece(message, sizeof(message), 1, 0), one = { 9, 0, 1, { message, 3 } };
	dk_slice whole;

	ck_assert_int_eq(wire_split_add(ctx, &set, &a, 65536, 1, &whole), WIRE_PASS);
	ck_assert_int_eq(wire_split_add(ctx, &set, &one, 65536, 1, &whole), WIRE_PASS);
	ck_assert_uint_eq(whole.n, 3);
	wire_give(ctx, (void *)(uintptr_t)whole.p, whole.n);
	ck_assert_ptr_null(set);
	ck_assert_uint_eq(wire_ctx_drops(ctx)[WIRE_DROP_SPLIT], 1);
	/* No memory: nothing has changed, and the same piece fits later. */
	ck_assert_int_eq(wire_split_add(ctx, &set, &a, 65536, 1, &whole), WIRE_PASS);
	a = piece(message, sizeof(message), 1, 1);
	a.bytes.n = 1200; /* of a class that has not been used */
	m.fail_at = m.calls + 1;
	ck_assert_int_eq(wire_split_add(ctx, &set, &a, 65536, 1, &whole), WIRE_DROP_MEMORY);
	ck_assert_int_eq(wire_split_add(ctx, &set, &a, 65536, 1, &whole), WIRE_PASS);
	wire_split_clear(ctx, &set);
	/* A count that the limit cannot hold is refused by the first chunk. */
	ck_assert_int_eq(wire_split_add(ctx, &set, &a, PIECES - 2, 1, &whole), WIRE_DROP_SPLIT_LIMIT);
	ck_assert_ptr_null(set);
	test_ctx_free(ctx, &m);
}
END_TEST

/* ---- rudp ---- */

START_TEST(sequence_arithmetic)
{
	static const struct {
		uint64_t ref;
		uint32_t seq;
		int32_t diff;
	} rows[] = {
		{ 0, 0, 0 },
		{ 0, 1, 1 },
		{ 0, 0xffffff, -1 },
		{ 0xffffff, 0, 1 },
		{ 0x1000000, 0xffffff, -1 },
		{ 0x1000005, 0x000003, -2 },
		{ 0x7fffff0000fe, 0x0000ff, 1 },
		{ 0, 0x7fffff, 0x7fffff },
		{ 0, 0x800000, -0x800000 },
		{ 0xabcdef123456, 0x123456, 0 },
	};

	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++)
		ck_assert_int_eq(wire_rudp_diff(rows[i].ref, rows[i].seq), rows[i].diff);
}
END_TEST

static struct wire_block *block(struct wire_ctx *ctx, uint8_t tag)
{
	struct wire_block *b = wire_block_new(ctx, 10);

	ck_assert_ptr_nonnull(b);
	memset(b->data, tag, 10);
	return b;
}

START_TEST(receive_window)
{
	struct wire_rudp r = { 0 };
	struct memory m;
	struct wire_ctx *ctx = test_ctx(&m, NULL);

	wire_rudp_start_rx(ctx, &r, 100);
	ck_assert_int_eq(wire_rudp_look(&r, 100), WIRE_RUDP_NEXT);
	ck_assert_int_eq(wire_rudp_look(&r, 99), WIRE_RUDP_OUTSIDE); /* never delivered: before the start */
	ck_assert_int_eq(wire_rudp_look(&r, 101), WIRE_RUDP_AHEAD);
	ck_assert_int_eq(wire_rudp_look(&r, 100 + 1023), WIRE_RUDP_AHEAD);
	ck_assert_int_eq(wire_rudp_look(&r, 100 + 1024), WIRE_RUDP_OUTSIDE);
	ck_assert_int_eq(wire_rudp_hold(ctx, &r, 102, block(ctx, 2)), 0);
	ck_assert_int_eq(wire_rudp_hold(ctx, &r, 100 + 1023, block(ctx, 9)), 0);
	ck_assert_int_eq(wire_rudp_hold(ctx, &r, 101, block(ctx, 1)), 0);
	ck_assert_int_eq(wire_rudp_look(&r, 102), WIRE_RUDP_OLD);
	ck_assert_int_eq(wire_rudp_look(&r, 100 + 1023), WIRE_RUDP_OLD);
	ck_assert_int_eq(wire_rudp_look(&r, 100), WIRE_RUDP_NEXT);
	ck_assert_ptr_null(wire_rudp_held(&r));
	wire_rudp_advance(&r);
	for (uint8_t i = 1; i <= 2; i++) {
		ck_assert_uint_eq(wire_rudp_held(&r)->data[0], i);
		wire_block_free(ctx, wire_rudp_pop_held(ctx, &r));
	}
	ck_assert_ptr_null(wire_rudp_held(&r));
	ck_assert(wire_rudp_holds(&r));
	ck_assert_int_eq(wire_rudp_look(&r, 100), WIRE_RUDP_OLD);
	ck_assert_int_eq(wire_rudp_look(&r, 99), WIRE_RUDP_OUTSIDE);
	wire_rudp_fini(ctx, &r);
	test_ctx_free(ctx, &m);
}
END_TEST

/* Each re-send waits half as long again, never more than 500 ms; an EACK of one re-send is a measurement. */
START_TEST(timers)
{
	static const uint64_t gaps[] = { 200, 300, 450, 500, 500 };
	struct wire_rudp r = { 0 };
	struct memory m;
	struct wire_ctx *ctx = test_ctx(&m, NULL);
	uint64_t now = 1000;
	uint32_t seq;
	bool again;

	ck_assert_int_eq(wire_rudp_ready(ctx, &r, block(ctx, 1)), 0);
	ck_assert_ptr_nonnull(wire_rudp_next(ctx, &r, now, 1400, &seq, &again));
	ck_assert(!again);
	for (size_t i = 0; i < DK_ARRAY_LEN(gaps); i++) {
		ck_assert_uint_eq(wire_rudp_due(&r), now + gaps[i]);
		ck_assert_uint_eq(wire_rudp_tick(ctx, &r, now + gaps[i] - 1), i);
		ck_assert_ptr_null(wire_rudp_next(ctx, &r, now, 1400, &seq, &again));
		now += gaps[i];
		wire_rudp_tick(ctx, &r, now);
		ck_assert_ptr_null(wire_rudp_next(ctx, &r, now, 9, &seq, &again)); /* longer than there is room for */
		ck_assert_ptr_nonnull(wire_rudp_next(ctx, &r, now, 10, &seq, &again));
		ck_assert(again);
	}
	ck_assert(wire_rudp_ack(ctx, &r, now + 30, 0, true));
	ck_assert_uint_eq(r.srtt8, 0); /* which of the five it answers nobody knows */
	ck_assert_int_eq(wire_rudp_ready(ctx, &r, block(ctx, 2)), 0);
	wire_rudp_next(ctx, &r, now, 1400, &seq, &again);
	ck_assert(!wire_rudp_ack(ctx, &r, now + 10, 1, true)); /* nothing was sent again that could be meant */
	wire_rudp_tick(ctx, &r, now + 200);
	wire_rudp_next(ctx, &r, now + 200, 1400, &seq, &again);
	ck_assert(wire_rudp_ack(ctx, &r, now + 260, 1, true));
	ck_assert_uint_eq(r.srtt8, 60 * 8);
	/* 60 + 4 * 30 */
	ck_assert_int_eq(wire_rudp_ready(ctx, &r, block(ctx, 3)), 0);
	wire_rudp_next(ctx, &r, now, 1400, &seq, &again);
	ck_assert_uint_eq(wire_rudp_due(&r), now + 180);
	ck_assert(wire_rudp_ack(ctx, &r, now + 60, 2, false));
	/* A steady round trip of 2 ms: the floor. */
	for (uint32_t i = 3; i < 100; i++) {
		ck_assert_int_eq(wire_rudp_ready(ctx, &r, block(ctx, 3)), 0);
		wire_rudp_next(ctx, &r, now, 1400, &seq, &again);
		ck_assert(wire_rudp_ack(ctx, &r, now + 2, i, false));
	}
	ck_assert_int_eq(wire_rudp_ready(ctx, &r, block(ctx, 3)), 0);
	wire_rudp_next(ctx, &r, now, 1400, &seq, &again);
	ck_assert_uint_eq(wire_rudp_due(&r), now + 40);
	wire_rudp_fini(ctx, &r);
	test_ctx_free(ctx, &m);
}
END_TEST

static uint32_t send_next(struct wire_ctx *ctx, struct wire_rudp *r, uint64_t now, bool expect_again)
{
	uint32_t seq;
	bool again;

	ck_assert_ptr_nonnull(wire_rudp_next(ctx, r, now, 1400, &seq, &again));
	ck_assert_int_eq(again, expect_again);
	return seq;
}

/* Several in flight: the earliest timer counts, all are sent again, and again; an ACK in between takes its block out. */
START_TEST(several_timers)
{
	struct wire_rudp r = { 0 };
	struct memory m;
	struct wire_ctx *ctx = test_ctx(&m, NULL);

	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_int_eq(wire_rudp_ready(ctx, &r, block(ctx, 1)), 0);
		ck_assert_uint_eq(send_next(ctx, &r, 1000 + i * 10, false), i);
	}
	ck_assert_uint_eq(wire_rudp_due(&r), 1200);
	wire_rudp_tick(ctx, &r, 1200);
	ck_assert_uint_eq(wire_rudp_due(&r), 1210);
	wire_rudp_tick(ctx, &r, 1220);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_uint_eq(send_next(ctx, &r, 1220, true), i);
	ck_assert(!wire_rudp_has_next(ctx, &r));
	wire_rudp_tick(ctx, &r, 1600);
	/* The original's ACK, late: 600 ms from then, not 380 from the re-send. */
	ck_assert(wire_rudp_ack(ctx, &r, 1600, 0, false));
	ck_assert_uint_eq(r.srtt8, 600 * 8);
	ck_assert_uint_eq(send_next(ctx, &r, 1600, true), 1);
	ck_assert(wire_rudp_ack(ctx, &r, 1601, 2, false));
	ck_assert(!wire_rudp_has_next(ctx, &r));
	ck_assert(wire_rudp_ack(ctx, &r, 1700, 1, true));
	ck_assert(wire_rudp_idle(&r));
	ck_assert_uint_eq(wire_rudp_due(&r), WIRE_NEVER);
	test_ctx_free(ctx, &m);
}
END_TEST

/* The block with the handshake's number: an ACK makes it go out again at once, and an EACK only is its end. */
START_TEST(first_block)
{
	struct wire_rudp r = { 0 };
	struct memory m;
	struct wire_ctx *ctx = test_ctx(&m, NULL);

	wire_rudp_start_tx(ctx, &r, 7);
	for (uint32_t i = 7; i < 9; i++) {
		ck_assert_int_eq(wire_rudp_ready(ctx, &r, block(ctx, 1)), 0);
		ck_assert_uint_eq(send_next(ctx, &r, 1000, false), i);
	}
	ck_assert(!wire_rudp_has_next(ctx, &r));
	for (int i = 0; i < 2; i++)
		ck_assert(!wire_rudp_ack(ctx, &r, 1001, 7, false));
	ck_assert_uint_eq(send_next(ctx, &r, 1001, true), 7);
	ck_assert(!wire_rudp_has_next(ctx, &r));
	for (int i = 0; i < 2; i++) /* once */
		ck_assert(!wire_rudp_ack(ctx, &r, 1002, 7, false));
	ck_assert(!wire_rudp_has_next(ctx, &r));
	ck_assert(wire_rudp_ack(ctx, &r, 1002, 7, true));
	ck_assert(wire_rudp_ack(ctx, &r, 1002, 8, false));
	ck_assert(wire_rudp_idle(&r));
	test_ctx_free(ctx, &m);
}
END_TEST

/* Renumbering: what was in flight goes first, as new, and what is made ready later comes after it. */
START_TEST(renumbered)
{
	struct wire_rudp r = { 0 };
	struct memory m;
	struct wire_ctx *ctx = test_ctx(&m, NULL);
	uint32_t seq;
	bool again;

	for (uint8_t i = 0; i < 3; i++) {
		ck_assert_int_eq(wire_rudp_ready(ctx, &r, block(ctx, i)), 0);
		send_next(ctx, &r, 0, false);
	}
	ck_assert(wire_rudp_ack(ctx, &r, 10, 1, false));
	wire_rudp_tick(ctx, &r, 5000);
	send_next(ctx, &r, 5000, true);
	wire_rudp_start_tx(ctx, &r, 5000000);
	ck_assert_uint_eq(wire_rudp_due(&r), WIRE_NEVER);
	ck_assert_int_eq(wire_rudp_ready(ctx, &r, block(ctx, 9)), 0);
	for (uint32_t i = 0; i < 3; i++) {
		const struct wire_block *b = wire_rudp_next(ctx, &r, 6000, 1400, &seq, &again);

		ck_assert_ptr_nonnull(b);
		ck_assert_uint_eq(seq, 5000000 + i);
		ck_assert(!again);
		ck_assert_uint_eq(b->data[0], i == 0 ? 0 : i == 1 ? 2 : 9);
		ck_assert_uint_eq(b->resends, 0);
	}
	ck_assert_ptr_null(wire_rudp_next(ctx, &r, 6000, 1400, &seq, &again));
	ck_assert(!wire_rudp_ack(ctx, &r, 6010, 5000000, false)); /* it may be the handshake's */
	ck_assert(wire_rudp_ack(ctx, &r, 6010, 5000001, false));
	wire_rudp_fini(ctx, &r);
	test_ctx_free(ctx, &m);
}
END_TEST

START_TEST(bytes_in_flight)
{
	struct wire_rudp r = { 0 };
	struct wire_limits l;
	struct memory m;
	struct wire_ctx *ctx;
	uint32_t seq;
	bool again;

	wire_limits_default(&l);
	l.max_in_flight_bytes = 25;
	ctx = test_ctx(&m, &l);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(wire_rudp_ready(ctx, &r, block(ctx, 1)), 0);
	for (uint32_t i = 0; i < 3; i++)
		send_next(ctx, &r, 0, false);
	ck_assert_ptr_null(wire_rudp_next(ctx, &r, 0, 1400, &seq, &again));
	ck_assert(wire_rudp_ack(ctx, &r, 1, 1, false));
	ck_assert_uint_eq(send_next(ctx, &r, 1, false), 3);
	wire_rudp_fini(ctx, &r);
	test_ctx_free(ctx, &m);
}
END_TEST

/* retryInterval below 500 ms is the cap. */
START_TEST(timer_cap)
{
	struct wire_rudp r = { 0 };
	struct wire_limits l;
	struct memory m;
	struct wire_ctx *ctx;
	uint32_t seq;
	bool again;

	wire_limits_default(&l);
	l.retry_interval_ms = 100;
	ctx = test_ctx(&m, &l);
	ck_assert_int_eq(wire_rudp_ready(ctx, &r, block(ctx, 1)), 0);
	wire_rudp_next(ctx, &r, 0, 1400, &seq, &again);
	ck_assert_uint_eq(wire_rudp_due(&r), 100);
	wire_rudp_fini(ctx, &r);
	test_ctx_free(ctx, &m);
}
END_TEST

/* ---- hash, pools ---- */

/* The vector of the SipHash paper: key 00..0f, message 00..0e. */
START_TEST(siphash)
{
	uint8_t key[16], text[15];

	for (uint8_t i = 0; i < 16; i++)
		key[i] = i;
	for (uint8_t i = 0; i < 15; i++)
		text[i] = i;
	ck_assert_uint_eq(wire_siphash(key, text, 15), 0xa129ca6149be45e5);
	ck_assert_uint_eq(wire_siphash(key, text, 0), 0x726fdb47dd0e0e31);
}
END_TEST

START_TEST(pools)
{
	static const size_t sizes[] = { 1, 64, 65, 500, 1536, 1537, 6144, 90000, 98304, 98305, 300000 };
	void *taken[DK_ARRAY_LEN(sizes)];
	struct memory m;
	struct wire_ctx *ctx = test_ctx(&m, NULL);
	uint64_t calls = 0;

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < DK_ARRAY_LEN(sizes); i++) {
			taken[i] = wire_take(ctx, sizes[i]);
			ck_assert_ptr_nonnull(taken[i]);
			ck_assert_uint_eq((uintptr_t)taken[i] % 16, 0);
			ck_assert_uint_ge(wire_take_size(sizes[i]), sizes[i]);
			memset(taken[i], 0xaa, wire_take_size(sizes[i]));
		}
		for (size_t i = 0; i < DK_ARRAY_LEN(sizes); i++)
			wire_give(ctx, taken[i], sizes[i]);
		if (round == 1)
			ck_assert_uint_eq(m.calls - calls, 2); /* only what is larger than any class */
		calls = m.calls;
	}
	test_ctx_free(ctx, &m);
}
END_TEST

/* ---- payloads ---- */

START_TEST(echo_payloads)
{
	struct bytes first = hex("0000000000408f40 00000003 616263"), bad = hex("0000000000408f40 00000004 616263");
	struct bytes old = hex("01 0000000000408f40 3132372e302e302e313a35303030"), r = hex("03 0000000000408f40 313a32 000b");
	struct bytes short_note = hex("01 0000000000408f40 313a32 0004 0000 000c"), beyond = hex("01 0000000000408f40 313a32 000d");
	struct wire_echo e;
	struct wire_echo_reply y;
	uint8_t buf[16];

	ck_assert(wire_echo_decode(slice_of(&first), &e));
	ck_assert_uint_eq(e.locals.n, 7);
	ck_assert(!wire_echo_decode(slice_of(&bad), &e));
	first.n = 7;
	ck_assert(!wire_echo_decode(slice_of(&first), &e));
	ck_assert(wire_echo_reply_decode(slice_of(&old), &y));
	ck_assert(dk_str_eq(y.address, dk_str_c("127.0.0.1:5000")));
	ck_assert_uint_eq(y.notes.n, 0);
	/* The trailer points behind itself, or to a note that is too short. */
	ck_assert(!wire_echo_reply_decode(slice_of(&beyond), &y));
	ck_assert(!wire_echo_reply_decode(slice_of(&short_note), &y));
	r.b[r.n - 1] = 12;
	ck_assert(wire_echo_reply_decode(slice_of(&r), &y));
	ck_assert_uint_eq(y.state, 3);
	ck_assert(dk_str_eq(y.address, dk_str_c("1:2")));
	ck_assert_uint_eq(wire_echo_encode(1000.0, dk_slice_n(NULL, 0), buf, 7), 0);
	ck_assert_uint_eq(wire_echo_encode(1000.0, dk_slice_n(NULL, 0), buf, 8), 8);
	ck_assert_uint_eq(wire_echo_reply_encode(&y, buf, 13), 0);
	ck_assert_uint_eq(wire_echo_reply_encode(&y, buf, 14), 14);
	ck_assert_uint_eq(wire_reconnect_encode(dk_str_c("h:1"), buf, 6), 0);
}
END_TEST

/* ---- link ---- */

struct tally {
	unsigned lost, one, two, late;
	uint64_t hash;
};

static struct tally send_many(const struct wire_link_opts *o, unsigned n)
{
	struct tally t = { 0 };
	struct wire_link l;
	uint64_t at[2];

	wire_link_init(&l, o);
	for (unsigned i = 0; i < n; i++) {
		int arrive = wire_link_pass(&l, i * 1000u, 100, at);

		t.lost += arrive == 0;
		t.one += arrive == 1;
		t.two += arrive == 2;
		for (int k = 0; k < arrive; k++) {
			ck_assert_uint_ge(at[k], i * 1000u + o->delay_ms * 1000u);
			t.late += at[k] - i * 1000u > (o->delay_ms + o->jitter_ms) * 1000u;
			t.hash = (t.hash ^ at[k]) * 0x100000001b3;
		}
	}
	return t;
}

START_TEST(link)
{
	struct wire_link_opts o = {
		.seed = 42, .loss = 0.3, .reorder = 0.1, .duplicate = 0.05, .delay_ms = 30, .jitter_ms = 10, .reorder_ms = 40
	};
	struct tally a = send_many(&o, 100000), b = send_many(&o, 100000), c;
	struct wire_link_opts none = { .seed = 1, .delay_ms = 5 };

	ck_assert_uint_eq(a.hash, b.hash);
	o.seed = 43;
	c = send_many(&o, 100000);
	ck_assert_uint_ne(a.hash, c.hash);
	ck_assert_uint_ge(a.lost, 29000);
	ck_assert_uint_le(a.lost, 31000);
	ck_assert_uint_ge(a.two, 3200);
	ck_assert_uint_le(a.two, 3800);
	ck_assert_uint_ge(a.late, 6500);
	ck_assert_uint_le(a.late, 7500);
	a = send_many(&none, 1000);
	ck_assert_uint_eq(a.one, 1000);
	ck_assert_uint_eq(a.late, 0);
}
END_TEST

/* 1,000 bytes at 800 kbit/s take 10 ms, one after the other. */
START_TEST(link_rate)
{
	struct wire_link_opts o = { .seed = 1, .rate_kbit = 800, .delay_ms = 1 };
	struct wire_link l;
	uint64_t at[2];

	wire_link_init(&l, &o);
	for (uint64_t i = 1; i <= 5; i++) {
		ck_assert_int_eq(wire_link_pass(&l, 0, 1000, at), 1);
		ck_assert_uint_eq(at[0], i * 10000 + 1000);
	}
	ck_assert_int_eq(wire_link_pass(&l, 1000000, 1000, at), 1);
	ck_assert_uint_eq(at[0], 1011000);
}
END_TEST

static void fill(Suite *s)
{
	ADD(s, split_any_order);
	ADD(s, split_sets);
	ADD(s, sequence_arithmetic);
	ADD(s, receive_window);
	ADD(s, timers);
	ADD(s, several_timers);
	ADD(s, first_block);
	ADD(s, renumbered);
	ADD(s, bytes_in_flight);
	ADD(s, timer_cap);
	ADD(s, siphash);
	ADD(s, pools);
	ADD(s, echo_payloads);
	ADD(s, link);
	ADD(s, link_rate);
}

int main(void)
{
	return run_suite("wire: parts", fill);
}
