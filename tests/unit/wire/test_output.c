/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes out and how it is packed: lists of pushes, frames of one datagram, intervals, limits, glued acknowledgements, long
 * frames; and memory that runs out at any place without a reliable frame being lost.
 */
#include "tests/unit/wire/wire_test.h"
#include "wire/frame.h"
#include "wire/outq.h"
#include "wire/peer_priv.h"

struct pair {
	struct memory m;
	struct wire_ctx *ctx;
	struct wire_peer server, client;
	struct dk_addr server_addr, client_addr;
	struct seen up, down;
};

static void pair_init(struct pair *t, bool encrypted, const struct wire_limits *limits)
{
	struct dk_credential cred = test_credential(encrypted);

	t->ctx = test_ctx(&t->m, limits);
	t->server_addr = test_addr(1, 7100);
	t->client_addr = test_addr(2, 50000);
	seen_init(&t->up);
	seen_init(&t->down);
	wire_peer_init(t->ctx, &t->server, WIRE_SERVER, &cred, 0);
	wire_peer_init(t->ctx, &t->client, WIRE_CLIENT, &cred, 0);
	open_pair(t->ctx, &t->server, &t->client, &t->server_addr, &t->client_addr, 0, NULL);
}

static void pair_fini(struct pair *t)
{
	wire_peer_fini(t->ctx, &t->server);
	wire_peer_fini(t->ctx, &t->client);
	seen_fini(&t->up);
	seen_fini(&t->down);
	test_ctx_free(t->ctx, &t->m);
}

static void push(struct pair *t, uint16_t cmd, const char *text, unsigned how)
{
	struct dk_frame f = test_frame(1, cmd, DK_STATUS_PUSH, text);

	ck_assert_int_eq(wire_peer_send(t->ctx, &t->server, 0, &f, how), 0);
}

/* Everything the server has to say arrives; returns the number of datagrams. */
static unsigned deliver(struct pair *t, uint64_t now)
{
	unsigned n = 0;
	struct bytes b;

	while ((b = take_out(t->ctx, &t->server, now, NULL)).n) {
		wire_peer_recv(t->ctx, &t->client, now, &t->server_addr, slice_of(&b), &t->down.ev);
		n++;
	}
	return n;
}

static void assert_list(const struct seen *s, unsigned i, uint16_t cmd, const char *expected)
{
	struct dk_cursor c;
	dk_slice item;

	ck_assert_uint_lt(i, s->n);
	ck_assert_uint_eq(s->frames[i].cmd, cmd);
	c = dk_cursor_of(dk_slice_n(s->frames[i].payload, s->frames[i].n));
	for (; *expected; expected++) {
		ck_assert(wire_list_next(&c, &item));
		ck_assert_uint_eq(item.n, 1);
		ck_assert_int_eq(item.p[0], *expected);
	}
	ck_assert(dk_rd_done(&c));
}

/* Pushes of one (ver, cmd) that follow each other are one list; another command between them ends it, so that order stays. */
START_TEST(lists)
{
	static const unsigned hows[] = { DK_UNRELIABLE, DK_RELIABLE };
	struct dk_frame other = test_frame(2, 103, DK_STATUS_PUSH, "f");

	for (size_t i = 0; i < 2; i++) {
		struct pair t;

		pair_init(&t, true, NULL);
		push(&t, 103, "a", hows[i]);
		push(&t, 103, "b", hows[i]);
		push(&t, 104, "c", hows[i]);
		push(&t, 103, "d", hows[i]);
		push(&t, 103, "e", hows[i]);
		ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &other, hows[i]), 0);
		ck_assert_uint_eq(deliver(&t, 0), 1);
		ck_assert_uint_eq(t.down.n, 4);
		assert_list(&t.down, 3, 103, "f");
		assert_list(&t.down, 0, 103, "ab");
		assert_list(&t.down, 1, 104, "c");
		assert_list(&t.down, 2, 103, "de");
		pair_fini(&t);
	}
}
END_TEST

START_TEST(reliable_and_not_are_apart)
{
	struct pair t;

	pair_init(&t, true, NULL);
	push(&t, 103, "a", DK_RELIABLE);
	push(&t, 103, "b", DK_UNRELIABLE);
	push(&t, 103, "c", DK_RELIABLE);
	ck_assert_uint_eq(deliver(&t, 0), 2);
	ck_assert_uint_eq(t.down.n, 2);
	assert_list(&t.down, 0, 103, "ac");
	ck_assert(t.down.frames[0].reliable);
	assert_list(&t.down, 1, 103, "b");
	ck_assert(!t.down.frames[1].reliable);
	pair_fini(&t);
}
END_TEST

/* A payload that is a list already is neither wrapped nor kept from growing; replies never merge. */
START_TEST(ready_lists_and_replies)
{
	static const uint8_t list[] = { 0, 0, 0, 1, 'x', 0, 0, 0, 1, 'y' };
	struct dk_frame f = { 1, DK_STATUS_PUSH, 103, { list, sizeof(list) } }, r = test_frame(1, 103, DK_STATUS_OK, "r");
	struct pair t;

	pair_init(&t, true, NULL);
	push(&t, 103, "a", DK_UNRELIABLE);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_UNRELIABLE | DK_LISTED), 0);
	push(&t, 103, "b", DK_UNRELIABLE);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &r, DK_UNRELIABLE), 0);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &r, DK_UNRELIABLE), 0);
	ck_assert_uint_eq(deliver(&t, 0), 1);
	ck_assert_uint_eq(t.down.n, 3);
	assert_list(&t.down, 0, 103, "axyb");
	ck_assert_uint_eq(t.down.frames[1].status, 1);
	ck_assert_uint_eq(t.down.frames[2].status, 1);
	pair_fini(&t);
}
END_TEST

/* Lists stop growing so that no datagram gets longer than 1,200 bytes, and few are much shorter. */
START_TEST(packing)
{
	char text[65] = { 0 };

	memset(text, 'm', 64);
	for (int encrypted = 0; encrypted < 2; encrypted++) {
		unsigned pushes = 160, datagrams = 0, elements = 0;
		struct pair t;
		struct bytes b;

		pair_init(&t, encrypted, NULL);
		for (unsigned i = 0; i < pushes; i++)
			push(&t, 103, text, DK_UNRELIABLE);
		while ((b = take_out(t.ctx, &t.server, 0, NULL)).n) {
			ck_assert_uint_le(b.n, WIRE_DATAGRAM_OUT);
			wire_peer_recv(t.ctx, &t.client, 0, &t.server_addr, slice_of(&b), &t.down.ev);
			datagrams++;
		}
		for (unsigned i = 0; i < t.down.n; i++)
			elements += (unsigned)(t.down.frames[i].n / 68);
		ck_assert_uint_eq(elements, pushes);
		ck_assert_uint_eq(datagrams, encrypted ? 10 : 10); /* 16 elements of 68 bytes each */
		pair_fini(&t);
	}
}
END_TEST

/* Reliable frames of one flush are one block as long as it stays short. */
START_TEST(reliable_packing)
{
	struct dk_frame f = { 2, DK_STATUS_OK, 10, { (const uint8_t *)"", 0 } };
	uint8_t text[200] = { 0 };
	unsigned datagrams = 0;
	struct pair t;
	struct bytes b;

	pair_init(&t, true, NULL);
	f.payload = dk_slice_n(text, sizeof(text));
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_RELIABLE), 0);
	while ((b = take_out(t.ctx, &t.server, 0, NULL)).n) {
		ck_assert_uint_le(b.n, WIRE_DATAGRAM_OUT);
		datagrams++;
	}
	ck_assert_uint_eq(datagrams, 5); /* 255 bytes each, four to a block */
	pair_fini(&t);
}
END_TEST

/* One queue by itself: bytes, order, and a list that grows out of its chunk. */
START_TEST(queue)
{
	struct wire_outq *q = NULL;
	struct wire_outq_at walk;
	uint8_t buf[1000] = { 0 };
	struct dk_frame f = { 1, DK_STATUS_OK, 1, { buf, 900 } }, g;
	struct memory m;
	struct wire_ctx *ctx = test_ctx(&m, NULL);
	size_t seen = 0;

	ck_assert(!wire_outq_peek(q, &g));
	ck_assert_uint_eq(wire_outq_bytes(q), 0);
	ck_assert_int_eq(wire_outq_add(ctx, &q, &f, 0, 1100, 7), 0);
	f.status = DK_STATUS_PUSH;
	f.payload.n = 100;
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(wire_outq_add(ctx, &q, &f, 0, 1100, 8 + (uint64_t)i), 0);
	ck_assert_uint_eq(wire_outq_bytes(q), 900 + 10 * 104);
	ck_assert_uint_eq(wire_outq_since(q), 7);
	walk = (struct wire_outq_at){ q, 0 };
	while (wire_outq_walk(&walk, &g))
		seen++;
	ck_assert_uint_eq(seen, 2);
	ck_assert(wire_outq_peek(q, &g));
	ck_assert_uint_eq(g.payload.n, 900);
	wire_outq_pop(ctx, &q);
	ck_assert_uint_eq(wire_outq_bytes(q), 1040);
	ck_assert_uint_eq(wire_outq_since(q), 7);
	ck_assert(wire_outq_peek(q, &g));
	ck_assert_uint_eq(g.payload.n, 1040);
	f.payload.n = 50;
	ck_assert_int_eq(wire_outq_add(ctx, &q, &f, 0, 1100, 0), 0);
	ck_assert(wire_outq_peek(q, &g));
	ck_assert_uint_eq(g.payload.n, 1094);
	ck_assert_int_eq(wire_outq_add(ctx, &q, &f, 0, 1100, 0), 0);
	wire_outq_pop(ctx, &q);
	ck_assert(wire_outq_peek(q, &g));
	ck_assert_uint_eq(g.payload.n, 54);
	wire_outq_pop(ctx, &q);
	ck_assert_ptr_null(q);
	/* Much at once, longer than any chunk, and cleared unread. */
	for (int i = 0; i < 100; i++) {
		f.status = DK_STATUS_OK;
		f.payload.n = (size_t)i * 9;
		ck_assert_int_eq(wire_outq_add(ctx, &q, &f, 0, 1100, 0), 0);
	}
	wire_outq_clear(ctx, &q);
	ck_assert_uint_eq(ctx->pool.in_use, 0);
	test_ctx_free(ctx, &m);
}
END_TEST

/* sendUDPInterval: unreliable frames wait for it, reliable ones do not; force, a full datagram or time ends it. */
START_TEST(interval)
{
	struct wire_limits l;
	struct dk_addr to;
	bool fragment;
	uint8_t slot[WIRE_SLOT];
	char text[101] = { 0 };
	struct pair t;

	memset(text, 'i', 100);
	wire_limits_default(&l);
	l.flush_ms = 50;
	pair_init(&t, true, &l);
	push(&t, 103, "a", DK_UNRELIABLE);
	ck_assert_uint_eq(wire_peer_out(t.ctx, &t.server, 49, false, slot, sizeof(slot), &to, &fragment), 0);
	ck_assert_uint_eq(wire_peer_due(t.ctx, &t.server), 50);
	push(&t, 104, "r", DK_RELIABLE);
	ck_assert_uint_eq(wire_peer_due(t.ctx, &t.server), 0);
	ck_assert_uint_gt(wire_peer_out(t.ctx, &t.server, 49, false, slot, sizeof(slot), &to, &fragment), 0);
	ck_assert_int_eq(slot[3], WIRE_DAT);
	ck_assert_uint_eq(wire_peer_out(t.ctx, &t.server, 49, false, slot, sizeof(slot), &to, &fragment), 0);
	ck_assert_uint_gt(wire_peer_out(t.ctx, &t.server, 50, false, slot, sizeof(slot), &to, &fragment), 0);
	ck_assert_int_eq(slot[3], WIRE_UDP);
	push(&t, 103, "a", DK_UNRELIABLE);
	ck_assert_uint_gt(wire_peer_out(t.ctx, &t.server, 0, true, slot, sizeof(slot), &to, &fragment), 0);
	for (int i = 0; i < 12; i++)
		push(&t, 103, text, DK_UNRELIABLE);
	ck_assert_uint_eq(wire_peer_due(t.ctx, &t.server), 0);
	ck_assert_uint_gt(wire_peer_out(t.ctx, &t.server, 0, false, slot, sizeof(slot), &to, &fragment), 1000);
	/* Below 10 ms it is no interval. */
	l.flush_ms = 9;
	wire_ctx_set_limits(t.ctx, &l);
	push(&t, 103, "a", DK_UNRELIABLE);
	ck_assert_uint_eq(wire_peer_due(t.ctx, &t.server), 0);
	pair_fini(&t);
}
END_TEST

/* What send answers, and up to which size. */
START_TEST(limits)
{
	static uint8_t big[70000];
	struct dk_frame f = { 2, DK_STATUS_OK, 10, { big, 0 } };
	struct wire_limits l;
	struct dk_addr to;
	bool fragment;
	uint8_t slot[WIRE_SLOT];
	struct pair t;

	wire_limits_default(&l);
	l.max_queued_bytes = 100000;
	pair_init(&t, true, &l);
	/* 11 + 36 + 1248 is the longest that fits 1,300 with the header: 1,247 bytes and one of padding. */
	f.payload.n = 1248;
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_UNRELIABLE), WIRE_TOO_LONG);
	f.payload.n = 1247;
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_UNRELIABLE), 0);
	ck_assert_uint_eq(wire_peer_out(t.ctx, &t.server, 0, false, slot, sizeof(slot), &to, &fragment), 1299);
	ck_assert(fragment);
	f.payload.n = 1000;
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_UNRELIABLE), 0);
	ck_assert_uint_gt(wire_peer_out(t.ctx, &t.server, 0, false, slot, sizeof(slot), &to, &fragment), 1000);
	ck_assert(!fragment);
	f.payload.n = 65537;
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_RELIABLE), WIRE_TOO_LONG);
	f.payload.n = 65536;
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_RELIABLE), 0);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_RELIABLE), WIRE_FULL);
	/* A slot that is too small gets nothing rather than a part. */
	ck_assert_uint_eq(wire_peer_out(t.ctx, &t.server, 0, false, slot, WIRE_SLOT - 1, &to, &fragment), 0);
	wire_peer_close(t.ctx, &t.server, 0);
	f.payload.n = 1;
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_RELIABLE), WIRE_GONE);
	pair_fini(&t);
}
END_TEST

/* The longest message there is arrives, both ways. */
START_TEST(longest_message)
{
	static uint8_t big[65536];
	struct dk_frame f = { 2, 0, 10, { big, sizeof(big) } };
	struct bytes b;
	struct pair t;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * i >> 8);
	pair_init(&t, true, NULL);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 0, &f, DK_RELIABLE), 0);
	f.status = DK_STATUS_OK;
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_RELIABLE), 0);
	for (int i = 0; i < 4; i++) {
		while ((b = take_out(t.ctx, &t.client, 0, NULL)).n)
			wire_peer_recv(t.ctx, &t.server, 0, &t.client_addr, slice_of(&b), &t.up.ev);
		deliver(&t, 0);
	}
	ck_assert_uint_eq(t.up.n, 1);
	ck_assert_uint_eq(t.down.n, 1);
	ck_assert_uint_eq(t.up.frames[0].n, sizeof(big));
	ck_assert_mem_eq(t.up.frames[0].payload, big, sizeof(big));
	ck_assert_mem_eq(t.down.frames[0].payload, big, sizeof(big));
	pair_fini(&t);
}
END_TEST

/* The window: no more in flight than allowed, the rest waits in order. */
START_TEST(window)
{
	struct dk_frame f = test_frame(2, 10, DK_STATUS_OK, "x");
	struct wire_limits l;
	struct bytes b;
	struct pair t;
	unsigned sent = 0;

	wire_limits_default(&l);
	l.max_in_flight = 4;
	pair_init(&t, true, &l);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 0, &f, DK_RELIABLE), 0);
		while ((b = take_out(t.ctx, &t.client, 0, NULL)).n)
			sent++;
	}
	ck_assert_uint_eq(sent, 4);
	ck_assert_uint_gt(wire_peer_due(t.ctx, &t.client), 0); /* only an acknowledgement helps */
	b = hex("01000004 00000004");
	wire_peer_recv(t.ctx, &t.client, 20, &t.server_addr, slice_of(&b), &t.down.ev);
	/* Six frames waited together: one block. */
	b = take_out(t.ctx, &t.client, 20, NULL);
	ck_assert_uint_eq(b.n, 4 + 6 * 78);
	pair_fini(&t);
}
END_TEST

/* A client glues its acknowledgements, 59 to a datagram, and a short block behind them; a server glues for who glues. */
START_TEST(glue)
{
	struct dk_frame f = test_frame(2, 10, DK_STATUS_OK, "x"), up = test_frame(2, 10, 0, "y");
	struct bytes b;
	struct pair t;

	pair_init(&t, true, NULL);
	t.server.rudp.fresh = 0; /* the first one is settled by an EACK only; this is not about that */
	for (int i = 0; i < 62; i++) {
		ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_RELIABLE), 0);
		deliver(&t, 0);
	}
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 0, &up, DK_RELIABLE), 0);
	b = take_out(t.ctx, &t.client, 0, NULL);
	ck_assert_uint_eq(b.n, 60 * 20);
	ck_assert_int_eq(t.server.glues, 0);
	ck_assert_int_eq(wire_peer_recv(t.ctx, &t.server, 0, &t.client_addr, slice_of(&b), &t.up.ev), 0);
	ck_assert_int_eq(t.server.glues, 1);
	b = take_out(t.ctx, &t.client, 0, NULL);
	ck_assert_uint_eq(b.n, 2 * 20 + 82);
	ck_assert_int_eq(wire_peer_recv(t.ctx, &t.server, 0, &t.client_addr, slice_of(&b), &t.up.ev), 0);
	ck_assert_uint_eq(t.up.n, 1);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 0, &up, DK_RELIABLE), 0);
	b = take_out(t.ctx, &t.client, 0, NULL);
	wire_peer_recv(t.ctx, &t.server, 0, &t.client_addr, slice_of(&b), &t.up.ev);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_UNRELIABLE), 0);
	b = take_out(t.ctx, &t.server, 0, NULL);
	ck_assert_uint_eq(b.n, 4 + 4 + 67);
	ck_assert_int_eq(b.b[3], WIRE_ACK);
	ck_assert_int_eq(b.b[7], WIRE_ACK);
	ck_assert_int_eq(b.b[11], WIRE_UDP);
	ck_assert_int_eq(wire_peer_recv(t.ctx, &t.client, 0, &t.server_addr, slice_of(&b), &t.down.ev), 0);
	ck_assert_uint_eq(t.down.n, 63);
	ck_assert(wire_rudp_idle(&t.client.rudp));
	pair_fini(&t);
}
END_TEST

/* A handler answers from inside, on the same connection, while frames of the same datagram are still to come. */
static void answering(void *arg, const struct dk_frame *f, bool reliable)
{
	struct pair *t = arg;
	struct dk_frame r = { f->ver, DK_STATUS_OK, f->cmd, f->payload };

	ck_assert_int_eq(wire_peer_send(t->ctx, &t->server, 0, &r, reliable ? DK_RELIABLE : DK_UNRELIABLE), 0);
}

START_TEST(answer_from_inside)
{
	struct dk_frame f = test_frame(2, 10, 0, "abc"), g = test_frame(2, 11, 0, "defg");
	struct wire_events ev = { .frame = answering };
	struct bytes b;
	struct pair t;

	pair_init(&t, true, NULL);
	ev.arg = &t;
	wire_peer_send(t.ctx, &t.client, 0, &f, DK_RELIABLE);
	wire_peer_send(t.ctx, &t.client, 0, &g, DK_RELIABLE);
	b = take_out(t.ctx, &t.client, 0, NULL);
	wire_peer_recv(t.ctx, &t.server, 0, &t.client_addr, slice_of(&b), &ev);
	deliver(&t, 0);
	ck_assert_uint_eq(t.down.n, 2);
	ck_assert_mem_eq(t.down.frames[0].payload, "abc", 3);
	ck_assert_mem_eq(t.down.frames[1].payload, "defg", 4);
	pair_fini(&t);
}
END_TEST

/* Nothing is borrowed by a connection at rest, and a steady exchange allocates nothing. */
START_TEST(memory_at_rest)
{
	struct dk_frame f = test_frame(2, 10, 0, "abc"), r = test_frame(2, 10, DK_STATUS_OK, "abc");
	uint64_t calls = 0, now = 0;
	struct pair t;
	struct bytes b;

	ck_assert_uint_le(sizeof(struct wire_peer), 236);
	pair_init(&t, true, NULL);
	for (int i = 0; i < 300; i++) {
		now += 50;
		wire_peer_send(t.ctx, &t.client, now, &f, i % 2 ? DK_RELIABLE : DK_UNRELIABLE);
		wire_peer_send(t.ctx, &t.server, now, &r, i % 2 ? DK_RELIABLE : DK_UNRELIABLE);
		for (int k = 0; k < 2; k++) {
			while ((b = take_out(t.ctx, &t.client, now, NULL)).n)
				wire_peer_recv(t.ctx, &t.server, now, &t.client_addr, slice_of(&b), &t.up.ev);
			deliver(&t, now);
		}
		wire_peer_tick(t.ctx, &t.server, now, &t.up.ev);
		wire_peer_tick(t.ctx, &t.client, now, &t.down.ev);
		if (i == 20)
			calls = t.m.calls;
	}
	ck_assert_uint_eq(t.m.calls, calls);
	ck_assert_uint_eq(t.up.n, 300);
	now += 1000;
	wire_peer_tick(t.ctx, &t.server, now, &t.up.ev);
	wire_peer_tick(t.ctx, &t.client, now, &t.down.ev);
	ck_assert_uint_eq(t.ctx->pool.in_use, 0);
	pair_fini(&t);
}
END_TEST

/* Any single allocation fails: what was accepted still arrives once and in order, and nothing leaks. */
START_TEST(no_memory)
{
	static uint8_t text[3000];
	uint64_t last = 1;

	for (uint64_t fail = 1; fail <= last; fail++) {
		struct dk_frame f = { 2, 0, 10, { text, 0 } };
		unsigned sent = 0;
		uint64_t now = 0;
		struct pair t;
		struct bytes b;

		pair_init(&t, true, NULL);
		t.m.fail_at = t.m.calls + fail;
		for (int i = 0; i < 30 || t.up.n < sent; i++) {
			f.cmd = (uint16_t)sent;
			f.payload.n = i % 7 == 3 ? 3000 : (size_t)i * 3;
			if (i < 30 && wire_peer_send(t.ctx, &t.client, now, &f, DK_RELIABLE) == 0)
				sent++;
			for (int k = 0; (b = take_out(t.ctx, &t.client, now, NULL)).n; k++)
				if ((k + i) % 3) /* a third is lost, which makes others wait */
					wire_peer_recv(t.ctx, &t.server, now, &t.client_addr, slice_of(&b), &t.up.ev);
			while ((b = take_out(t.ctx, &t.server, now, NULL)).n)
				wire_peer_recv(t.ctx, &t.client, now, &t.server_addr, slice_of(&b), &t.down.ev);
			now += 60;
			wire_peer_tick(t.ctx, &t.client, now, &t.down.ev);
			wire_peer_tick(t.ctx, &t.server, now, &t.up.ev);
			ck_assert_int_lt(i, 600);
		}
		ck_assert_uint_eq(t.up.n, sent);
		for (unsigned i = 0; i < sent; i++)
			ck_assert_uint_eq(t.up.frames[i].cmd, i);
		if (t.m.calls >= t.m.fail_at)
			last = fail + 1; /* it did fail: there may be a later one */
		pair_fini(&t);
	}
	ck_assert_uint_gt(last, 5);
}
END_TEST

static void fill(Suite *s)
{
	ADD(s, lists);
	ADD(s, reliable_and_not_are_apart);
	ADD(s, ready_lists_and_replies);
	ADD(s, packing);
	ADD(s, reliable_packing);
	ADD(s, queue);
	ADD(s, interval);
	ADD(s, limits);
	ADD(s, longest_message);
	ADD(s, window);
	ADD(s, glue);
	ADD(s, answer_from_inside);
	ADD(s, memory_at_rest);
	ADD(s, no_memory);
}

int main(void)
{
	return run_suite("wire: what goes out", fill);
}
