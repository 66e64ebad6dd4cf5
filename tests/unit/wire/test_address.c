/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is where, and what strangers can do about it: the proof of an address, its change, a client that starts anew, and the
 * FIN, SYN, ACK and kill packets of people who know the sid and nothing else. Nobody outside gets more than 4 bytes for his 20,
 * and no honest connection ends by them.
 */
#include "tests/unit/wire/wire_test.h"
#include "wire/peer_priv.h"

struct scene {
	struct memory m;
	struct wire_ctx *ctx;
	struct wire_peer server, client;
	struct dk_addr home, away, stranger, server_addr;
	struct seen up, down;
	uint64_t now;
	uint32_t seq; /* the server's first number */
};

static void scene_init(struct scene *t, bool encrypted, bool open)
{
	struct dk_credential cred = test_credential(encrypted);

	memset(t, 0, sizeof(*t));
	t->ctx = test_ctx(&t->m, NULL);
	t->now = 100000;
	t->server_addr = test_addr(1, 7100);
	t->home = test_addr(2, 50000);
	t->away = test_addr(3, 50001);
	t->stranger = test_addr(66, 666);
	seen_init(&t->up);
	seen_init(&t->down);
	wire_peer_init(t->ctx, &t->server, WIRE_SERVER, &cred, t->now);
	wire_peer_init(t->ctx, &t->client, WIRE_CLIENT, &cred, t->now);
	if (!open)
		return;
	open_pair(t->ctx, &t->server, &t->client, &t->server_addr, &t->home, t->now, &t->seq);
	t->now += 5000;
}

static void scene_fini(struct scene *t)
{
	wire_peer_fini(t->ctx, &t->server);
	wire_peer_fini(t->ctx, &t->client);
	seen_fini(&t->up);
	seen_fini(&t->down);
	test_ctx_free(t->ctx, &t->m);
}

static uint64_t drops(const struct scene *t, enum wire_drop d)
{
	return wire_ctx_drops(t->ctx)[d];
}

static int server_gets(struct scene *t, const struct dk_addr *from, const struct bytes *b)
{
	return wire_peer_recv(t->ctx, &t->server, t->now, from, slice_of(b), &t->up.ev);
}

static int client_gets(struct scene *t, const struct bytes *b)
{
	return wire_peer_recv(t->ctx, &t->client, t->now, &t->server_addr, slice_of(b), &t->down.ev);
}

static struct bytes control(uint32_t seq, enum wire_flag flag)
{
	struct bytes b = hex("00000000 SID");

	wire_head_write(b.b, wire_head(seq, flag));
	return b;
}

static uint32_t seq_of(const struct bytes *b)
{
	return (uint32_t)b->b[0] | (uint32_t)b->b[1] << 8 | (uint32_t)b->b[2] << 16;
}

static struct bytes client_says(struct scene *t, struct wire_peer *client, const char *text, unsigned how)
{
	struct dk_frame f = test_frame(2, 10, 0, text);

	ck_assert_int_eq(wire_peer_send(t->ctx, client, t->now, &f, how), 0);
	return take_out(t->ctx, client, t->now, NULL);
}

static void server_says(struct scene *t, const char *text, unsigned how)
{
	struct dk_frame f = test_frame(2, 10, DK_STATUS_OK, text);

	ck_assert_int_eq(wire_peer_send(t->ctx, &t->server, t->now, &f, how), 0);
}

/* The server's next datagram goes to `to`. */
static struct bytes server_sends_to(struct scene *t, const struct dk_addr *to)
{
	struct dk_addr got;
	struct bytes b = take_out(t->ctx, &t->server, t->now, &got);

	ck_assert_uint_gt(b.n, 0);
	ck_assert(dk_addr_eq(&got, to));
	return b;
}

static void server_is_silent(struct scene *t)
{
	ck_assert_uint_eq(take_out(t->ctx, &t->server, t->now, NULL).n, 0);
}

/* Both ends still work: a message each way over the given client and address. */
static void still_talks(struct scene *t, const struct dk_addr *from)
{
	unsigned got = t->up.n, heard = t->down.n;
	struct bytes b = client_says(t, &t->client, "still here", DK_RELIABLE);

	ck_assert_int_eq(server_gets(t, from, &b), 0);
	ck_assert_uint_eq(t->up.n, got + 1);
	b = server_sends_to(t, from);
	ck_assert_uint_eq(b.b[3], WIRE_ACK);
	ck_assert_int_eq(client_gets(t, &b), 0);
	server_says(t, "so am I", DK_UNRELIABLE);
	b = server_sends_to(t, from);
	ck_assert_int_eq(client_gets(t, &b), 0);
	ck_assert_uint_eq(t->down.n, heard + 1);
	ck_assert_uint_eq(t->server.state, WIRE_PEER_OPEN);
}

/* R5: the answer to a SYN depends on sid, address and time, lies below 2^23, and nothing is remembered of it. */
START_TEST(syn_answer)
{
	struct scene t;
	struct bytes syn = control(0, WIRE_SYN), a, b;

	scene_init(&t, true, false);
	ck_assert_int_eq(server_gets(&t, &t.home, &syn), 0);
	a = server_sends_to(&t, &t.home);
	ck_assert_uint_eq(a.n, 4);
	ck_assert_uint_eq(a.b[3], WIRE_SYN);
	ck_assert_uint_lt(seq_of(&a), 1 << 23);
	ck_assert_int_eq(server_gets(&t, &t.home, &syn), 0);
	b = server_sends_to(&t, &t.home);
	ck_assert_uint_eq(seq_of(&a), seq_of(&b));
	ck_assert_int_eq(server_gets(&t, &t.away, &syn), 0);
	b = server_sends_to(&t, &t.away);
	ck_assert_uint_ne(seq_of(&a), seq_of(&b));
	t.away = t.home;
	t.away.port++;
	ck_assert_int_eq(server_gets(&t, &t.away, &syn), 0);
	b = server_sends_to(&t, &t.away);
	ck_assert_uint_ne(seq_of(&a), seq_of(&b));
	ck_assert_uint_eq(wire_peer_addr(&t.server)->family, 0);
	ck_assert_ptr_null(t.server.aside);
	t.now += 30000;
	ck_assert_int_eq(server_gets(&t, &t.home, &syn), 0);
	b = server_sends_to(&t, &t.home);
	ck_assert_uint_ne(seq_of(&a), seq_of(&b));
	/* The answer of the slot before still opens it, from its own address only. */
	b = control(seq_of(&a), WIRE_ACK);
	ck_assert_int_eq(server_gets(&t, &t.away, &b), 1);
	ck_assert_uint_eq(t.up.opened, 0);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	ck_assert_uint_eq(t.up.opened, 1);
	ck_assert(dk_addr_eq(&t.up.at, &t.home));
	ck_assert_uint_eq(t.server.rudp.tx_next, seq_of(&a));
	scene_fini(&t);
}
END_TEST

START_TEST(old_syn_answer)
{
	struct scene t;
	struct bytes syn = control(0, WIRE_SYN), a;

	scene_init(&t, true, false);
	server_gets(&t, &t.home, &syn);
	a = server_sends_to(&t, &t.home);
	t.now += 60000;
	a = control(seq_of(&a), WIRE_ACK);
	ck_assert_int_eq(server_gets(&t, &t.home, &a), 1);
	ck_assert_uint_eq(t.up.opened, 0);
	scene_fini(&t);
}
END_TEST

/* R5: eight guesses in ten seconds, then not even the right one is looked at until the time is over. */
START_TEST(guessing)
{
	struct scene t;
	struct bytes syn = control(0, WIRE_SYN), right, wrong;

	scene_init(&t, true, false);
	server_gets(&t, &t.home, &syn);
	right = server_sends_to(&t, &t.home);
	for (uint32_t i = 1; i <= 8; i++) {
		wrong = control((seq_of(&right) + i) & 0x7fffff, WIRE_ACK);
		ck_assert_int_eq(server_gets(&t, &t.home, &wrong), 1);
	}
	right = control(seq_of(&right), WIRE_ACK);
	ck_assert_int_eq(server_gets(&t, &t.home, &right), 1);
	ck_assert_uint_eq(drops(&t, WIRE_DROP_ACK), 9);
	ck_assert_uint_eq(t.up.opened, 0);
	t.now += 10000;
	ck_assert_int_eq(server_gets(&t, &t.home, &right), 0);
	ck_assert_uint_eq(t.up.opened, 1);
	scene_fini(&t);
}
END_TEST

/* R7: who never opened is served with no more bytes than he sent; and nothing goes out before he said anything. */
START_TEST(unproven_budget)
{
	struct scene t;
	struct bytes b;
	size_t in = 0, out = 0;

	scene_init(&t, true, false);
	server_says(&t, "before anybody came", DK_UNRELIABLE);
	server_is_silent(&t);
	ck_assert(wire_peer_due(t.ctx, &t.server) > t.now);
	for (int i = 0; i < 50; i++) {
		b = client_says(&t, &t.client, "x", DK_UNRELIABLE);
		in += b.n;
		ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
		server_says(&t, "a reply that is a good deal longer than what it answers, so that it must wait at times",
			    DK_UNRELIABLE);
		while ((b = take_out(t.ctx, &t.server, t.now, NULL)).n)
			out += b.n;
		ck_assert_uint_le(out, in);
		t.now += 100;
	}
	ck_assert_uint_gt(out, in / 2);
	ck_assert_uint_eq(t.up.n, 50);
	ck_assert(!wire_peer_is_open(&t.server));
	/* Room traffic does not pile up without end for somebody unproven. */
	for (int i = 0; i < 1000; i++) {
		struct dk_frame f = test_frame(2, 11, DK_STATUS_PUSH, "news for everybody in the room");

		if (wire_peer_send(t.ctx, &t.server, t.now, &f, DK_UNRELIABLE) == WIRE_FULL) {
			ck_assert_uint_lt(wire_outq_bytes(t.server.unreliable), 4200);
			scene_fini(&t);
			return;
		}
	}
	ck_abort_msg("an unproven connection takes everything");
}
END_TEST

/* The questions that DAT brings count too, and what one address sent buys nothing for another. */
START_TEST(unproven_budget_of_each)
{
	size_t in = 0, out = 0;
	struct scene t;
	struct bytes b;

	scene_init(&t, true, false);
	t.client.state = WIRE_PEER_OPEN; /* as it thinks itself */
	for (int i = 0; i < 25; i++) {
		b = client_says(&t, &t.client, "x", i ? DK_UNRELIABLE : DK_RELIABLE);
		in += b.n;
		ck_assert_int_eq(server_gets(&t, &t.home, &b), i == 0);
		t.now += 100;
		wire_peer_tick(t.ctx, &t.client, t.now, &t.down.ev);
		while ((b = take_out(t.ctx, &t.client, t.now, NULL)).n) {
			in += b.n;
			server_gets(&t, &t.home, &b);
		}
		server_says(&t, "a reply that is a good deal longer than what it answers, so that it must wait at times",
			    DK_UNRELIABLE);
		while ((b = take_out(t.ctx, &t.server, t.now, NULL)).n)
			out += b.n;
		ck_assert_uint_le(out, in);
	}
	t.server.credit = 0;
	for (int i = 0; i < 10; i++) {
		b = client_says(&t, &t.client, "y", DK_UNRELIABLE);
		ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	}
	b = client_says(&t, &t.client, "z", DK_UNRELIABLE);
	in = b.n;
	ck_assert_int_eq(server_gets(&t, &t.away, &b), 0);
	for (out = 0; (b = take_out(t.ctx, &t.server, t.now, &t.up.at)).n;)
		if (dk_addr_eq(&t.up.at, &t.away))
			out += b.n;
	ck_assert_uint_le(out, in);
	scene_fini(&t);
}
END_TEST

/* A plain echo of each size that real ones have gets its reply, if at times one echo late. */
START_TEST(plain_udp_user)
{
	struct scene t;
	struct bytes b;
	unsigned replies = 0;

	scene_init(&t, true, false);
	for (int i = 0; i < 60; i++) {
		b = client_says(&t, &t.client, "12345678", DK_UNRELIABLE); /* an echo: 82 bytes */
		ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
		server_says(&t, "1 12345678 127.0.0.2:50000 x", DK_UNRELIABLE); /* its reply: 83 */
		while ((b = take_out(t.ctx, &t.server, t.now, NULL)).n) {
			ck_assert_int_eq(client_gets(&t, &b), 0);
			replies = t.down.n;
		}
		ck_assert_uint_ge(replies + 1, (unsigned)i + 1);
		ck_assert_uint_eq(t.server.rudp.rx_next, 0);
		t.now += 5000;
		wire_peer_tick(t.ctx, &t.server, t.now, &t.up.ev);
	}
	ck_assert_uint_eq(t.up.closed, 0);
	scene_fini(&t);
}
END_TEST

/* Everything that both ends have to say in that time. */
static void exchange(struct scene *t, unsigned ms)
{
	struct bytes b;

	for (unsigned i = 0; i < ms / 50; i++) {
		t->now += 50;
		wire_peer_tick(t->ctx, &t->client, t->now, &t->down.ev);
		while ((b = take_out(t->ctx, &t->client, t->now, NULL)).n)
			server_gets(t, &t->home, &b);
		while ((b = take_out(t->ctx, &t->server, t->now, NULL)).n)
			client_gets(t, &b);
	}
}

/* All questions of the server get lost: the client's own answer goes along with what it sends again. */
START_TEST(lost_questions)
{
	struct scene t;
	struct bytes b;

	scene_init(&t, true, false);
	wire_peer_open(t.ctx, &t.client, t.now, &t.server_addr);
	b = take_out(t.ctx, &t.client, t.now, NULL);
	server_gets(&t, &t.home, &b);
	b = server_sends_to(&t, &t.home);
	client_gets(&t, &b);
	take_out(t.ctx, &t.client, t.now, NULL); /* lost */
	b = client_says(&t, &t.client, "key", DK_RELIABLE);
	for (unsigned i = 0; i < 60 && !t.up.opened; i++) {
		if (b.n)
			server_gets(&t, &t.home, &b);
		while (!t.up.opened && take_out(t.ctx, &t.server, t.now, NULL).n)
			; /* lost */
		t.now += 50;
		wire_peer_tick(t.ctx, &t.client, t.now, &t.down.ev);
		b = take_out(t.ctx, &t.client, t.now, NULL);
	}
	ck_assert_uint_eq(t.up.opened, 1);
	exchange(&t, 1000);
	ck_assert_uint_eq(t.up.n, 1);
	still_talks(&t, &t.home);
	scene_fini(&t);
}
END_TEST

/* The client's ACK got lost: its first DAT brings the question again, and the answer opens the connection. */
START_TEST(lost_handshake_ack)
{
	struct scene t;
	struct bytes b;

	scene_init(&t, true, false);
	wire_peer_open(t.ctx, &t.client, t.now, &t.server_addr);
	b = take_out(t.ctx, &t.client, t.now, NULL);
	server_gets(&t, &t.home, &b);
	b = server_sends_to(&t, &t.home);
	client_gets(&t, &b);
	b = take_out(t.ctx, &t.client, t.now, NULL);
	ck_assert_uint_eq(b.n, 20); /* lost */
	b = client_says(&t, &t.client, "key", DK_RELIABLE);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 1); /* not before the address is proven */
	ck_assert_uint_eq(t.up.n, 0);
	b = server_sends_to(&t, &t.home);
	ck_assert_uint_eq(b.b[3], WIRE_SYN);
	ck_assert_int_eq(client_gets(&t, &b), 0);
	b = take_out(t.ctx, &t.client, t.now, NULL);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	ck_assert_uint_eq(t.up.opened, 1);
	exchange(&t, 1000);
	ck_assert_uint_eq(t.up.n, 1);
	still_talks(&t, &t.home);
	scene_fini(&t);
}
END_TEST

/* The answer that reached the client was of an older slot than what the server asks now: it starts over from the new number. */
START_TEST(handshake_across_slots)
{
	struct scene t;
	struct bytes b;

	scene_init(&t, true, false);
	t.now = 119900; /* a slot ends at 120,000 */
	wire_peer_open(t.ctx, &t.client, t.now, &t.server_addr);
	b = take_out(t.ctx, &t.client, t.now, NULL);
	server_gets(&t, &t.home, &b);
	b = server_sends_to(&t, &t.home);
	client_gets(&t, &b);
	take_out(t.ctx, &t.client, t.now, NULL); /* lost */
	t.now = 120100;
	b = client_says(&t, &t.client, "key", DK_RELIABLE);
	server_gets(&t, &t.home, &b);
	b = server_sends_to(&t, &t.home);
	ck_assert_int_eq(client_gets(&t, &b), 1); /* too soon: it may be the answer to a repeated SYN */
	exchange(&t, 4000);
	ck_assert_uint_eq(t.up.opened, 1);
	ck_assert_uint_eq(t.up.n, 1);
	still_talks(&t, &t.home);
	server_says(&t, "reliably", DK_RELIABLE);
	b = server_sends_to(&t, &t.home);
	ck_assert_int_eq(client_gets(&t, &b), 0);
	scene_fini(&t);
}
END_TEST

/* A late copy of the handshake's ACK must not pass for the acknowledgement of the first DAT, which has the same number. */
START_TEST(late_handshake_ack)
{
	struct scene t;
	struct bytes b, ack;

	scene_init(&t, true, true);
	ack = control(t.seq, WIRE_ACK);
	server_says(&t, "first", DK_RELIABLE);
	b = server_sends_to(&t, &t.home);
	ck_assert_uint_eq(seq_of(&b), t.seq); /* and is lost */
	ck_assert_int_eq(server_gets(&t, &t.home, &ack), 1);
	ck_assert(!wire_rudp_idle(&t.server.rudp));
	t.now += 500;
	wire_peer_tick(t.ctx, &t.server, t.now, &t.up.ev);
	b = server_sends_to(&t, &t.home);
	ck_assert_uint_eq(b.b[3], WIRE_RST);
	ck_assert_int_eq(client_gets(&t, &b), 0);
	ck_assert_uint_eq(t.down.n, 1);
	b = take_out(t.ctx, &t.client, t.now, NULL);
	ck_assert_uint_eq(b.b[3], WIRE_EACK);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	ck_assert(wire_rudp_idle(&t.server.rudp));
	scene_fini(&t);
}
END_TEST

/* R8: FIN from the bound address is a mark; two seconds later the connection ends. */
START_TEST(fin)
{
	struct scene t;
	struct bytes b;

	scene_init(&t, true, true);
	b = control(5, WIRE_FIN);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	b = server_sends_to(&t, &t.home);
	assert_bytes(b.b, b.n, "05000004");
	ck_assert_uint_eq(wire_peer_due(t.ctx, &t.server), t.now + 2000);
	t.now += 1999;
	wire_peer_tick(t.ctx, &t.server, t.now, &t.up.ev);
	ck_assert_uint_eq(t.up.closed, 0);
	t.now++;
	wire_peer_tick(t.ctx, &t.server, t.now, &t.up.ev);
	ck_assert_uint_eq(t.up.closed, 1);
	ck_assert_int_eq(t.up.reason, WIRE_CLOSED_FIN);
	ck_assert_uint_eq(wire_peer_due(t.ctx, &t.server), WIRE_NEVER);
	server_is_silent(&t);
	b = client_says(&t, &t.client, "x", DK_UNRELIABLE);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 1);
	ck_assert_uint_eq(drops(&t, WIRE_DROP_CLOSED), 1);
	wire_peer_tick(t.ctx, &t.server, t.now + 9999, &t.up.ev);
	ck_assert_uint_eq(t.up.closed, 1);
	scene_fini(&t);
}
END_TEST

/* A frame that the FIN overtook does not revive it; one that comes later does: the FIN was somebody else's. */
START_TEST(forged_fin)
{
	struct scene t;
	struct bytes b;

	scene_init(&t, true, true);
	b = control(0, WIRE_FIN);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	server_sends_to(&t, &t.home);
	t.now += 100;
	b = control(0, WIRE_FIN); /* said once more: it counts from the first */
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	ck_assert_uint_eq(t.server.aside->marked_at, t.now - 100);
	server_sends_to(&t, &t.home);
	b = client_says(&t, &t.client, "overtaken", DK_UNRELIABLE);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	ck_assert_int_ne(t.server.aside->mark, 0);
	t.now += 1000;
	b = client_says(&t, &t.client, "I am here", DK_UNRELIABLE);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	ck_assert_uint_eq(t.up.n, 2);
	t.now += 5000;
	wire_peer_tick(t.ctx, &t.server, t.now, &t.up.ev);
	ck_assert_uint_eq(t.up.closed, 0);
	still_talks(&t, &t.home);
	scene_fini(&t);
}
END_TEST

/* Strangers who know the sid: no FIN, ACK or EACK of theirs does anything, and they hear nothing back. */
START_TEST(strangers)
{
	struct scene t;
	struct bytes b;

	scene_init(&t, true, true);
	server_says(&t, "in flight", DK_RELIABLE);
	server_sends_to(&t, &t.home);
	b = control(0, WIRE_FIN);
	ck_assert_int_eq(server_gets(&t, &t.stranger, &b), 1);
	b = control(t.seq, WIRE_EACK);
	ck_assert_int_eq(server_gets(&t, &t.stranger, &b), 1);
	b = control(t.seq, WIRE_ACK);
	ck_assert_int_eq(server_gets(&t, &t.stranger, &b), 1);
	ck_assert_uint_eq(drops(&t, WIRE_DROP_ADDRESS), 3);
	ck_assert(!wire_rudp_idle(&t.server.rudp));
	server_is_silent(&t);
	/* A bare or wrapped chunk of theirs neither. */
	b = hex("00000003 fffefdfc 0001 0000 0002 41");
	ck_assert_int_eq(server_gets(&t, &t.stranger, &b), 1);
	b = hex("00000003 febedeef 02 000025 0001 SID fffefdfc 0001 0000 0002 41");
	ck_assert_int_eq(server_gets(&t, &t.stranger, &b), 1);
	ck_assert_uint_eq(drops(&t, WIRE_DROP_UNPROVEN), 2);
	server_is_silent(&t);
	/* SYN gets its four bytes and changes nothing. */
	b = control(0, WIRE_SYN);
	ck_assert_int_eq(server_gets(&t, &t.stranger, &b), 0);
	b = server_sends_to(&t, &t.stranger);
	ck_assert_uint_eq(b.n, 4);
	/* Even answered, it needs a frame that only the owner of the keys can make. */
	b = control(seq_of(&b), WIRE_ACK);
	ck_assert_int_eq(server_gets(&t, &t.stranger, &b), 0);
	t.now += 2000;
	still_talks(&t, &t.home);
	ck_assert_uint_eq(t.up.opened + t.up.moved + t.up.closed, 0);
	scene_fini(&t);
}
END_TEST

/* R6: the client's address changes. Until the new one answered, everything but the question goes to the old one. */
START_TEST(roaming)
{
	struct scene t;
	struct bytes b, question;

	scene_init(&t, true, true);
	b = client_says(&t, &t.client, "from elsewhere", DK_UNRELIABLE);
	ck_assert_int_eq(server_gets(&t, &t.away, &b), 1); /* it may be a copy that somebody recorded */
	ck_assert_uint_eq(drops(&t, WIRE_DROP_UNPROVEN), 1);
	ck_assert_uint_eq(t.up.n, 0);
	question = server_sends_to(&t, &t.away);
	ck_assert_uint_eq(question.n, 4);
	ck_assert_uint_ge(seq_of(&question), 1 << 23);
	server_says(&t, "to the old address", DK_UNRELIABLE);
	server_sends_to(&t, &t.home);
	ck_assert_uint_eq(t.up.moved, 0);
	/* Not asked more often than every 100 ms. */
	b = client_says(&t, &t.client, "again", DK_UNRELIABLE);
	server_gets(&t, &t.away, &b);
	server_is_silent(&t);
	t.now += 100;
	b = client_says(&t, &t.client, "again", DK_UNRELIABLE);
	server_gets(&t, &t.away, &b);
	b = server_sends_to(&t, &t.away);
	ck_assert_uint_eq(seq_of(&b), seq_of(&question));

	ck_assert_int_eq(client_gets(&t, &b), 0);
	b = take_out(t.ctx, &t.client, t.now, NULL);
	ck_assert_uint_eq(b.n, 20);
	ck_assert_int_eq(server_gets(&t, &t.stranger, &b), 1); /* the same answer from another address proves nothing */
	ck_assert_int_eq(server_gets(&t, &t.away, &b), 0);
	ck_assert_uint_eq(t.up.moved, 1);
	ck_assert(dk_addr_eq(wire_peer_addr(&t.server), &t.away));
	still_talks(&t, &t.away);
	/* Numbers went on. */
	server_says(&t, "reliably", DK_RELIABLE);
	b = server_sends_to(&t, &t.away);
	ck_assert_uint_eq(seq_of(&b), t.seq);
	ck_assert_int_eq(client_gets(&t, &b), 0);
	scene_fini(&t);
}
END_TEST

/* DAT from the new address brings the question; it is not acknowledged, so its re-send is what is delivered. */
START_TEST(roaming_reliably)
{
	struct scene t;
	struct bytes b, dat;

	scene_init(&t, true, true);
	dat = client_says(&t, &t.client, "from elsewhere", DK_RELIABLE);
	ck_assert_int_eq(server_gets(&t, &t.away, &dat), 1);
	b = server_sends_to(&t, &t.away);
	ck_assert_uint_eq(b.b[3], WIRE_SYN);
	server_is_silent(&t);
	ck_assert_int_eq(client_gets(&t, &b), 0);
	b = take_out(t.ctx, &t.client, t.now, NULL);
	ck_assert_int_eq(server_gets(&t, &t.away, &b), 0);
	ck_assert_uint_eq(t.up.moved, 1);
	ck_assert_uint_eq(t.up.n, 0);
	ck_assert_int_eq(server_gets(&t, &t.away, &dat), 0);
	ck_assert_uint_eq(t.up.n, 1);
	b = server_sends_to(&t, &t.away);
	assert_bytes(b.b, b.n, "00000004");
	scene_fini(&t);
}
END_TEST

/* What somebody recorded and says again from elsewhere does nothing: it is not delivered, keeps nobody alive, revives nothing. */
START_TEST(replayed_from_elsewhere)
{
	struct bytes plain, dat, bye;
	struct scene t;

	scene_init(&t, true, true);
	plain = client_says(&t, &t.client, "plain", DK_UNRELIABLE);
	dat = client_says(&t, &t.client, "reliable", DK_RELIABLE);
	bye = control(0, WIRE_FIN);
	ck_assert_int_eq(server_gets(&t, &t.home, &bye), 0);
	t.now += 1000;
	ck_assert_int_eq(server_gets(&t, &t.stranger, &plain), 1);
	ck_assert_int_eq(server_gets(&t, &t.stranger, &dat), 1);
	ck_assert_uint_eq(t.up.n, 0);
	t.now += 1000;
	wire_peer_tick(t.ctx, &t.server, t.now, &t.up.ev);
	ck_assert_int_eq(t.up.reason, WIRE_CLOSED_FIN);
	scene_fini(&t);

	scene_init(&t, true, true);
	plain = client_says(&t, &t.client, "plain", DK_UNRELIABLE);
	t.now += 4999;
	ck_assert_int_eq(server_gets(&t, &t.stranger, &plain), 1);
	t.now++;
	wire_peer_tick(t.ctx, &t.server, t.now, &t.up.ev);
	ck_assert_int_eq(t.up.reason, WIRE_CLOSED_SILENCE);
	scene_fini(&t);
}
END_TEST

START_TEST(roaming_by_mac_alone)
{
	struct wire_limits l;
	struct scene t;
	struct bytes b;

	scene_init(&t, true, true);
	wire_limits_default(&l);
	l.roaming_mac_only = true;
	wire_ctx_set_limits(t.ctx, &l);
	b = client_says(&t, &t.client, "from elsewhere", DK_UNRELIABLE);
	ck_assert_int_eq(server_gets(&t, &t.away, &b), 0);
	ck_assert_uint_eq(t.up.moved, 1);
	server_says(&t, "hello there", DK_UNRELIABLE);
	server_sends_to(&t, &t.away);
	scene_fini(&t);
}
END_TEST

/* A client program starts anew with the same sid; what the old one had not acknowledged goes to the new one first. */
static void start_anew(struct scene *t, const struct dk_addr *from, bool reorder)
{
	struct dk_credential cred = test_credential(true);
	struct bytes b, c;
	unsigned got;

	b = client_says(t, &t->client, "one", DK_RELIABLE);
	server_gets(t, &t->home, &b);
	b = client_says(t, &t->client, "two", DK_RELIABLE);
	server_gets(t, &t->home, &b);
	while (take_out(t->ctx, &t->server, t->now, NULL).n)
		;
	server_says(t, "unacknowledged", DK_RELIABLE);
	server_sends_to(t, &t->home);
	t->now += 3000;
	wire_peer_fini(t->ctx, &t->client);
	seen_fini(&t->down);
	wire_peer_init(t->ctx, &t->client, WIRE_CLIENT, &cred, t->now);
	wire_peer_open(t->ctx, &t->client, t->now, &t->server_addr);
	b = take_out(t->ctx, &t->client, t->now, NULL);
	ck_assert_int_eq(server_gets(t, from, &b), 0);
	b = server_sends_to(t, from);
	ck_assert_uint_ne(seq_of(&b), t->seq);
	ck_assert_int_eq(client_gets(t, &b), 0);
	ck_assert_uint_eq(t->down.opened, 1);
	b = take_out(t->ctx, &t->client, t->now, NULL);
	ck_assert_int_eq(server_gets(t, from, &b), 0);
	ck_assert_uint_eq(t->up.opened, 0); /* not before a frame */
	got = t->up.n;
	b = client_says(t, &t->client, "key", DK_RELIABLE);
	c = client_says(t, &t->client, "echo", DK_RELIABLE);
	if (reorder) {
		server_gets(t, from, &c);
		server_gets(t, from, &b);
		if (t->up.n == got + 1) /* from the old address it was left for a re-send */
			server_gets(t, from, &c);
	} else {
		server_gets(t, from, &b);
		server_gets(t, from, &c);
	}
	ck_assert_uint_eq(t->up.opened, 1);
	ck_assert_uint_eq(t->up.n, got + 2);
	ck_assert_mem_eq(t->up.frames[got].payload, "key", 3);
	ck_assert_mem_eq(t->up.frames[got + 1].payload, "echo", 4);
	while ((b = take_out(t->ctx, &t->server, t->now, NULL)).n)
		client_gets(t, &b);
	ck_assert_uint_eq(t->down.n, 1);
	ck_assert_mem_eq(t->down.frames[0].payload, "unacknowledged", 14);
	b = take_out(t->ctx, &t->client, t->now, NULL);
	server_gets(t, from, &b);
	b = server_sends_to(t, from); /* it had the handshake's number */
	ck_assert_uint_eq(b.b[3], WIRE_RST);
	ck_assert_int_eq(client_gets(t, &b), 1);
	b = take_out(t->ctx, &t->client, t->now, NULL);
	server_gets(t, from, &b);
	ck_assert(wire_rudp_idle(&t->server.rudp));
	still_talks(t, from);
}

START_TEST(new_client_elsewhere)
{
	struct scene t;

	for (int reorder = 0; reorder < 2; reorder++) {
		scene_init(&t, true, true);
		start_anew(&t, &t.away, reorder);
		scene_fini(&t);
	}
}
END_TEST

START_TEST(new_client_same_port)
{
	struct scene t;

	for (int reorder = 0; reorder < 2; reorder++) {
		scene_init(&t, true, true);
		start_anew(&t, &t.home, reorder);
		scene_fini(&t);
	}
}
END_TEST

/* A straggler of the old client, on the same port, is not the new one's first frame: only sequence 0 is. */
START_TEST(straggler)
{
	struct scene t;
	struct bytes b, old;

	scene_init(&t, true, true);
	b = client_says(&t, &t.client, "one", DK_RELIABLE);
	server_gets(&t, &t.home, &b);
	old = client_says(&t, &t.client, "two", DK_RELIABLE); /* on its way for long */
	/* "one" has not been acknowledged: the new client must not get to hear of its number either. */
	t.now += 3000;
	b = control(0, WIRE_SYN);
	server_gets(&t, &t.home, &b);
	b = server_sends_to(&t, &t.home);
	ck_assert_uint_eq(b.b[3], WIRE_SYN);
	b = control(seq_of(&b), WIRE_ACK);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	ck_assert_int_eq(server_gets(&t, &t.home, &old), 1);
	ck_assert_uint_eq(t.up.n, 1);
	ck_assert_uint_eq(t.up.opened, 0);
	wire_rudp_start_tx(t.ctx, &t.client.rudp, 0);
	b = client_says(&t, &t.client, "new", DK_RELIABLE);
	b = b.b[0] == 0 ? b : take_out(t.ctx, &t.client, t.now, NULL);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	ck_assert_uint_eq(t.up.opened, 1);
	b = server_sends_to(&t, &t.home);
	assert_bytes(b.b, b.n, "00000004");
	server_is_silent(&t);
	scene_fini(&t);
}
END_TEST

/* R8: a SYN that somebody else said in the client's name is answered, marks nothing for good, and the session goes on. */
START_TEST(forged_syn)
{
	struct scene t;
	struct bytes b = control(0, WIRE_SYN);

	scene_init(&t, true, true);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	b = server_sends_to(&t, &t.home);
	ck_assert_uint_eq(b.n, 4);
	/* The honest client is asked something it did not start; it stays with its number. */
	t.client.rudp.rx_next++; /* it has had a message */
	ck_assert_int_eq(client_gets(&t, &b), 1);
	t.client.rudp.rx_next--;
	ck_assert_uint_eq(take_out(t.ctx, &t.client, t.now, NULL).n, 0);
	t.now += 2500;
	wire_peer_tick(t.ctx, &t.server, t.now, &t.up.ev);
	ck_assert_uint_eq(t.up.closed, 0);
	still_talks(&t, &t.home);
	ck_assert_uint_eq(t.up.opened, 0);
	scene_fini(&t);
}
END_TEST

/* Right after opening, a repeated SYN is one of the same client: not even answered. */
START_TEST(repeated_syn)
{
	struct scene t;
	struct bytes b = control(0, WIRE_SYN);

	scene_init(&t, true, true);
	t.now -= 5000;
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 1);
	ck_assert_uint_eq(drops(&t, WIRE_DROP_DUPLICATE), 1);
	server_is_silent(&t);
	still_talks(&t, &t.home);
	scene_fini(&t);
}
END_TEST

/* The client's side: only its server is listened to, and a kill packet counts at once only while it opens. */
START_TEST(client_side)
{
	struct scene t;
	struct bytes b;

	scene_init(&t, true, false);
	wire_peer_open(t.ctx, &t.client, t.now, &t.server_addr);
	take_out(t.ctx, &t.client, t.now, NULL);
	b = hex("0d0e0a0d");
	ck_assert_int_eq(wire_peer_recv(t.ctx, &t.client, t.now, &t.stranger, slice_of(&b), &t.down.ev), 1);
	ck_assert_uint_eq(drops(&t, WIRE_DROP_ADDRESS), 1);
	ck_assert_int_eq(client_gets(&t, &b), 0);
	ck_assert_uint_eq(t.down.closed, 1);
	ck_assert_int_eq(t.down.reason, WIRE_CLOSED_KILLED);
	scene_fini(&t);

	scene_init(&t, true, true);
	ck_assert_int_eq(client_gets(&t, &b), 0);
	ck_assert_uint_eq(t.down.closed, 0);
	t.now += 500;
	server_says(&t, "it was not me", DK_UNRELIABLE);
	b = server_sends_to(&t, &t.home);
	ck_assert_int_eq(client_gets(&t, &b), 0);
	wire_peer_tick(t.ctx, &t.client, t.now + 2000, &t.down.ev);
	ck_assert_uint_eq(t.down.closed, 0);
	b = hex("0d0e0a0d");
	ck_assert_int_eq(client_gets(&t, &b), 0);
	wire_peer_tick(t.ctx, &t.client, t.now + 2000, &t.down.ev);
	ck_assert_uint_eq(t.down.closed, 1);
	ck_assert_int_eq(t.down.reason, WIRE_CLOSED_KILLED);
	scene_fini(&t);
}
END_TEST

/* Other servers answer a SYN by ACK or EACK; then a late copy of it must not settle the client's first DAT either. */
START_TEST(server_that_acks_the_syn)
{
	struct scene t;
	struct bytes b = hex("00000004"), d;

	scene_init(&t, true, false);
	wire_peer_open(t.ctx, &t.client, t.now, &t.server_addr);
	take_out(t.ctx, &t.client, t.now, NULL);
	ck_assert_int_eq(client_gets(&t, &b), 1); /* it may be for who spoke from that address before */
	ck_assert_uint_eq(t.down.opened, 0);
	t.now += 200;
	ck_assert_uint_eq(take_out(t.ctx, &t.client, t.now, NULL).n, 20);
	ck_assert_int_eq(client_gets(&t, &b), 0);
	ck_assert_uint_eq(t.down.opened, 1);
	ck_assert_uint_eq(take_out(t.ctx, &t.client, t.now, NULL).n, 0);
	d = client_says(&t, &t.client, "key", DK_RELIABLE);
	ck_assert_uint_eq(d.b[3], WIRE_DAT);
	ck_assert_int_eq(client_gets(&t, &b), 1);
	ck_assert(!wire_rudp_idle(&t.client.rudp));
	t.now += 500;
	wire_peer_tick(t.ctx, &t.client, t.now, &t.down.ev);
	d = take_out(t.ctx, &t.client, t.now, NULL);
	ck_assert_uint_eq(d.b[3], WIRE_RST);
	b = hex("00000006");
	ck_assert_int_eq(client_gets(&t, &b), 0);
	ck_assert(wire_rudp_idle(&t.client.rudp));
	scene_fini(&t);
}
END_TEST

/* On a long way what was for somebody else comes behind the second SYN, and opens: the SYN of the server corrects it. */
START_TEST(syn_behind_an_ack)
{
	struct bytes b, ack = hex("05000004"), goodbye = hex("05000007"), again;
	struct scene t;

	scene_init(&t, true, false);
	wire_peer_open(t.ctx, &t.client, t.now, &t.server_addr);
	b = take_out(t.ctx, &t.client, t.now, NULL);
	server_gets(&t, &t.home, &b);
	b = server_sends_to(&t, &t.home);
	ck_assert_int_eq(client_gets(&t, &goodbye), 1); /* for that one too, and not answered */
	t.now += 200;
	ck_assert_uint_eq(take_out(t.ctx, &t.client, t.now, NULL).n, 20);
	ck_assert_int_eq(client_gets(&t, &ack), 0);
	ck_assert_uint_eq(t.down.opened, 1);
	ck_assert_int_eq(client_gets(&t, &b), 0);
	again = b;
	again.b[0] ^= 1;
	ck_assert_int_eq(client_gets(&t, &again), 1); /* once */
	b = take_out(t.ctx, &t.client, t.now, NULL);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	ck_assert_uint_eq(t.up.opened, 1);
	still_talks(&t, &t.home);
	scene_fini(&t);
}
END_TEST

/* SYN repeats until it is answered, and gives up with the silence limit. */
START_TEST(nobody_answers)
{
	struct scene t;
	unsigned syns = 0;
	uint64_t due;

	scene_init(&t, true, false);
	wire_peer_open(t.ctx, &t.client, t.now, &t.server_addr);
	while (!t.down.closed) {
		if (take_out(t.ctx, &t.client, t.now, NULL).n == 20)
			syns++;
		due = wire_peer_due(t.ctx, &t.client);
		ck_assert_uint_gt(due, t.now);
		t.now = due;
		wire_peer_tick(t.ctx, &t.client, t.now, &t.down.ev);
	}
	ck_assert_int_eq(t.down.reason, WIRE_CLOSED_SILENCE);
	ck_assert_uint_eq(t.now, 110000);
	ck_assert_uint_ge(syns, 20);
	ck_assert_uint_le(syns, 22);
	scene_fini(&t);
}
END_TEST

/* An idle server peer is due at its silence limit and not before. */
START_TEST(silence)
{
	struct scene t;
	struct bytes b;

	scene_init(&t, true, true);
	b = client_says(&t, &t.client, "x", DK_UNRELIABLE);
	server_gets(&t, &t.home, &b);
	ck_assert_uint_eq(wire_peer_due(t.ctx, &t.server), t.now + 10000);
	wire_peer_tick(t.ctx, &t.server, t.now + 9999, &t.up.ev);
	ck_assert_uint_eq(t.up.closed, 0);
	wire_peer_tick(t.ctx, &t.server, t.now + 10000, &t.up.ev);
	ck_assert_uint_eq(t.up.closed, 1);
	ck_assert_int_eq(t.up.reason, WIRE_CLOSED_SILENCE);
	scene_fini(&t);
}
END_TEST

/* Closing: what is queued goes first, the FIN when it is acknowledged, and its ACK ends it. */
START_TEST(close_in_order)
{
	struct scene t;
	struct bytes b;

	scene_init(&t, true, true);
	b = client_says(&t, &t.client, "first", DK_RELIABLE);
	wire_peer_close(t.ctx, &t.client, t.now);
	ck_assert_uint_eq(take_out(t.ctx, &t.client, t.now, NULL).n, 0);
	server_gets(&t, &t.home, &b);
	b = server_sends_to(&t, &t.home);
	client_gets(&t, &b);
	ck_assert_uint_eq(wire_peer_due(t.ctx, &t.client), 0);
	b = take_out(t.ctx, &t.client, t.now, NULL);
	assert_bytes(b.b, b.n, "01000007 SID");
	server_gets(&t, &t.home, &b);
	b = server_sends_to(&t, &t.home);
	assert_bytes(b.b, b.n, "01000004");
	client_gets(&t, &b);
	ck_assert_uint_eq(t.down.closed, 1);
	ck_assert_int_eq(t.down.reason, WIRE_CLOSED_LOCAL);
	scene_fini(&t);

	/* Nobody answers: a second for what is in flight, five FINs, then it is over. */
	scene_init(&t, true, true);
	client_says(&t, &t.client, "first", DK_RELIABLE);
	wire_peer_close(t.ctx, &t.client, t.now);
	for (unsigned fins = 0, guard = 0; !t.down.closed; guard++) {
		while ((b = take_out(t.ctx, &t.client, t.now, NULL)).n)
			fins += b.b[3] == WIRE_FIN;
		ck_assert_uint_le(fins, 5);
		ck_assert_uint_lt(guard, 100);
		t.now = wire_peer_due(t.ctx, &t.client);
		wire_peer_tick(t.ctx, &t.client, t.now, &t.down.ev);
		if (t.down.closed)
			ck_assert_uint_eq(fins, 5);
	}
	ck_assert_int_eq(t.down.reason, WIRE_CLOSED_LOCAL);
	scene_fini(&t);
}
END_TEST

/* A server closes: 4 bytes of FIN, which the client acknowledges and believes after two seconds. */
START_TEST(server_closes)
{
	struct scene t;
	struct bytes b;

	scene_init(&t, true, true);
	wire_peer_close(t.ctx, &t.server, t.now);
	b = server_sends_to(&t, &t.home);
	ck_assert_uint_eq(b.n, 4);
	ck_assert_uint_eq(b.b[3], WIRE_FIN);
	client_gets(&t, &b);
	b = take_out(t.ctx, &t.client, t.now, NULL);
	ck_assert_uint_eq(b.n, 20);
	ck_assert_int_eq(server_gets(&t, &t.home, &b), 0);
	ck_assert_uint_eq(t.up.closed, 1);
	wire_peer_tick(t.ctx, &t.client, t.now + 2000, &t.down.ev);
	ck_assert_uint_eq(t.down.closed, 1);
	ck_assert_int_eq(t.down.reason, WIRE_CLOSED_FIN);
	scene_fini(&t);

	/* Who cannot wait for acknowledgements says so by closing again. */
	scene_init(&t, true, true);
	server_says(&t, "unheard", DK_RELIABLE);
	server_sends_to(&t, &t.home);
	wire_peer_close(t.ctx, &t.server, t.now);
	server_is_silent(&t);
	wire_peer_close(t.ctx, &t.server, t.now);
	b = server_sends_to(&t, &t.home);
	ck_assert_uint_eq(b.b[3], WIRE_FIN);
	scene_fini(&t);

	/* One that nobody ever came to is simply over. */
	scene_init(&t, true, false);
	wire_peer_close(t.ctx, &t.server, t.now);
	server_is_silent(&t);
	ck_assert_uint_eq(wire_peer_due(t.ctx, &t.server), 0);
	wire_peer_tick(t.ctx, &t.server, t.now, &t.up.ev);
	ck_assert_uint_eq(t.up.closed, 1);
	scene_fini(&t);
}
END_TEST

/* Without encryption the sid alone speaks for a client; the rules of addresses are the same. */
START_TEST(plain_mode)
{
	struct scene t;
	struct bytes b;

	scene_init(&t, false, true);
	still_talks(&t, &t.home);
	b = client_says(&t, &t.client, "from elsewhere", DK_UNRELIABLE);
	ck_assert_int_eq(server_gets(&t, &t.away, &b), 1);
	ck_assert_uint_eq(t.up.n, 1);
	b = server_sends_to(&t, &t.away);
	ck_assert_uint_eq(b.n, 4);
	server_says(&t, "to the old address", DK_UNRELIABLE);
	server_sends_to(&t, &t.home);
	scene_fini(&t);
}
END_TEST

/* The owner closes while a frame is shown: nothing more of that datagram is. */
static void closing_handler(void *arg, const struct dk_frame *f, bool reliable)
{
	struct scene *t = arg;

	(void)f;
	(void)reliable;
	t->seq++;
	wire_peer_close(t->ctx, &t->server, t->now);
}

START_TEST(close_from_inside)
{
	struct wire_events ev = { .frame = closing_handler };
	struct dk_frame f = test_frame(2, 10, 0, "a");
	struct scene t;
	struct bytes b;

	scene_init(&t, true, true);
	t.seq = 0;
	ev.arg = &t;
	wire_peer_send(t.ctx, &t.client, t.now, &f, DK_RELIABLE);
	b = client_says(&t, &t.client, "b", DK_RELIABLE);
	wire_peer_recv(t.ctx, &t.server, t.now, &t.home, slice_of(&b), &ev);
	ck_assert_uint_eq(t.seq, 1);
	ck_assert_uint_eq(drops(&t, WIRE_DROP_CLOSED), 1);
	scene_fini(&t);
}
END_TEST

static void fill(Suite *s)
{
	ADD(s, syn_answer);
	ADD(s, old_syn_answer);
	ADD(s, guessing);
	ADD(s, unproven_budget);
	ADD(s, unproven_budget_of_each);
	ADD(s, plain_udp_user);
	ADD(s, lost_questions);
	ADD(s, lost_handshake_ack);
	ADD(s, handshake_across_slots);
	ADD(s, late_handshake_ack);
	ADD(s, fin);
	ADD(s, forged_fin);
	ADD(s, strangers);
	ADD(s, roaming);
	ADD(s, roaming_reliably);
	ADD(s, replayed_from_elsewhere);
	ADD(s, roaming_by_mac_alone);
	ADD(s, new_client_elsewhere);
	ADD(s, new_client_same_port);
	ADD(s, straggler);
	ADD(s, forged_syn);
	ADD(s, repeated_syn);
	ADD(s, client_side);
	ADD(s, server_that_acks_the_syn);
	ADD(s, syn_behind_an_ack);
	ADD(s, nobody_answers);
	ADD(s, silence);
	ADD(s, close_in_order);
	ADD(s, server_closes);
	ADD(s, plain_mode);
	ADD(s, close_from_inside);
}

int main(void)
{
	return run_suite("wire: addresses, opening and closing", fill);
}
