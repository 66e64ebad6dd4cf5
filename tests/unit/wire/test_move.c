/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection hands over when it goes on elsewhere: frames that were not acknowledged come back as they were given, those
 * that wait behind a gap are shown, the keys are those it was made with; and how it leaves.
 */
#include "tests/unit/wire/wire_test.h"
#include <diarkis/transport.h>

#include "wire/peer_priv.h"

struct pair {
	struct memory m;
	struct wire_ctx *ctx;
	struct wire_peer server, client;
	struct dk_addr server_addr, client_addr;
	struct seen up, down;
};

static void pair_init(struct pair *t, bool encrypted)
{
	struct dk_credential cred = test_credential(encrypted);

	t->ctx = test_ctx(&t->m, NULL);
	t->server_addr = test_addr(1, 7100);
	t->client_addr = test_addr(2, 50000);
	seen_init(&t->up);
	seen_init(&t->down);
	wire_peer_init(t->ctx, &t->server, WIRE_SERVER, &cred, 0);
	wire_peer_init(t->ctx, &t->client, WIRE_CLIENT, &cred, 0);
	open_pair(t->ctx, &t->server, &t->client, &t->server_addr, &t->client_addr, 0, NULL);
	t->server.rudp.fresh = 0; /* else its first datagram wants to be said twice */
}

static void pair_fini(struct pair *t)
{
	wire_peer_fini(t->ctx, &t->server);
	wire_peer_fini(t->ctx, &t->client);
	seen_fini(&t->up);
	seen_fini(&t->down);
	test_ctx_free(t->ctx, &t->m);
}

/* A payload of n bytes that begins with its number. */
static dk_slice body(unsigned number, size_t n)
{
	static uint8_t b[70000];

	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)(number + i * 7);
	return dk_slice_n(b, n);
}

static void send_one(struct pair *t, struct wire_peer *p, unsigned number, size_t n, enum dk_status status)
{
	struct dk_frame f = { 2, (uint8_t)status, (uint16_t)number, body(number, n) };

	ck_assert_int_eq(wire_peer_send(t->ctx, p, 0, &f, DK_RELIABLE), 0);
}

/* Collects what is shown, and sees that it is whole. */
struct got {
	unsigned n;
	uint16_t cmd[64];
	size_t len[64];
	unsigned how[64];
	uint8_t status[64];
	uint8_t first[64][16];
};

static void collect(void *arg, const struct dk_frame *f, unsigned how)
{
	struct got *g = arg;

	ck_assert_uint_lt(g->n, 64);
	ck_assert_uint_eq(f->ver, 2);
	g->cmd[g->n] = f->cmd;
	g->len[g->n] = f->payload.n;
	g->how[g->n] = how;
	g->status[g->n] = f->status;
	if (f->payload.n)
		memcpy(g->first[g->n], f->payload.p, f->payload.n < 16 ? f->payload.n : 16);
	if (f->status != DK_STATUS_PUSH) {
		dk_slice want = body(f->cmd, f->payload.n);

		ck_assert(!want.n || memcmp(want.p, f->payload.p, want.n) == 0);
	}
	g->n++;
}

static struct got unacked(struct pair *t, const struct wire_peer *p)
{
	struct got g = { 0 };

	ck_assert_uint_eq(wire_peer_unacked(t->ctx, p, NULL, NULL), wire_peer_unacked(t->ctx, p, collect, &g));
	ck_assert_uint_eq(wire_peer_unacked(t->ctx, p, NULL, NULL), g.n);
	return g;
}

static struct got held(struct pair *t, const struct wire_peer *p)
{
	struct got g = { 0 };

	ck_assert_uint_eq(wire_peer_held(t->ctx, p, NULL, NULL), wire_peer_held(t->ctx, p, collect, &g));
	ck_assert_uint_eq(wire_peer_held(t->ctx, p, NULL, NULL), g.n);
	return g;
}

/* The numbers of what is there, as they were sent. */
static void expect(const struct got *g, const char *cmds, unsigned status)
{
	char text[400] = "";

	for (unsigned i = 0; i < g->n; i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u:%zu", i ? " " : "", g->cmd[i], g->len[i]);
		ck_assert_uint_eq(g->status[i], status);
		ck_assert_uint_eq(g->how[i], DK_RELIABLE);
	}
	ck_assert_str_eq(text, cmds);
}

static void carry(struct pair *t, struct wire_peer *from, struct wire_peer *to, unsigned lose, uint64_t now)
{
	const struct dk_addr *at = from == &t->server ? &t->server_addr : &t->client_addr;
	struct seen *seen = from == &t->server ? &t->down : &t->up;
	struct bytes b;

	for (unsigned i = 0; (b = take_out(t->ctx, from, now, NULL)).n; i++)
		if (i >= 32 || !(lose >> i & 1))
			wire_peer_recv(t->ctx, to, now, at, slice_of(&b), &seen->ev);
}

/* Queued, in flight, acknowledged: what comes back is what was not acknowledged, in order, whole, and again the next time. */
START_TEST(both_ways)
{
	for (int i = 0; i < 4; i++) {
		bool down = i & 1;
		unsigned status = down ? DK_STATUS_OK : 0;
		struct pair t;
		struct wire_peer *from, *to;
		struct got g;

		pair_init(&t, i & 2);
		from = down ? &t.server : &t.client;
		to = down ? &t.client : &t.server;
		ck_assert_uint_eq(unacked(&t, from).n, 0);
		send_one(&t, from, 1, 0, status);
		send_one(&t, from, 2, 5, status);
		send_one(&t, from, 3, 16, status);
		g = unacked(&t, from);
		expect(&g, "1:0 2:5 3:16", status);
		carry(&t, from, to, 0, 1); /* one datagram of three frames: its acknowledgement is not carried */
		send_one(&t, from, 4, 5000, status);
		send_one(&t, from, 5, 60, status);
		g = unacked(&t, from);
		expect(&g, "1:0 2:5 3:16 4:5000 5:60", status);
		carry(&t, from, to, 0, 2);
		send_one(&t, from, 6, 1, status);
		g = unacked(&t, from);
		expect(&g, "1:0 2:5 3:16 4:5000 5:60 6:1", status);
		/* Told, and again in flight under other numbers. */
		carry(&t, to, from, 0, 3);
		g = unacked(&t, from);
		expect(&g, "6:1", status);
		ck_assert_uint_eq((down ? t.down : t.up).n, 5);
		carry(&t, from, to, 1, 4);
		wire_rudp_start_tx(t.ctx, &from->rudp, 77);
		send_one(&t, from, 7, 2, status);
		g = unacked(&t, from);
		expect(&g, "6:1 7:2", status);
		pair_fini(&t);
	}
}
END_TEST

/* Of a message in pieces some may have arrived: it comes back as one, once, as long as one piece is missing. */
START_TEST(pieces)
{
	for (int i = 0; i < 4; i++) {
		bool down = i & 1;
		unsigned status = down ? DK_STATUS_OK : 0;
		struct wire_peer *from, *to;
		struct pair t;
		struct got g;

		pair_init(&t, i & 2);
		from = down ? &t.server : &t.client;
		to = down ? &t.client : &t.server;
		send_one(&t, from, 1, 60000, status);
		send_one(&t, from, 2, 9000, status);
		send_one(&t, from, 3, 9000, status);
		carry(&t, from, to, 1u << 2 | 1u << 6, 1); /* two pieces of the first are lost */
		carry(&t, to, from, 0, 2);
		g = unacked(&t, from);
		expect(&g, "1:60000", status);
		g = held(&t, to);
		expect(&g, "2:9000 3:9000", 0 + status);
		ck_assert_uint_eq((down ? t.down : t.up).n, 0);
		wire_peer_tick(t.ctx, from, 2000, &t.up.ev);
		carry(&t, from, to, 0, 2000);
		carry(&t, to, from, 0, 2001);
		ck_assert_uint_eq(unacked(&t, from).n, 0);
		ck_assert_uint_eq(held(&t, to).n, 0);
		ck_assert_uint_eq((down ? t.down : t.up).n, 3);
		pair_fini(&t);
	}
}
END_TEST

/* A message of which a piece is missing is its sender's still; whole frames behind the gap are not. */
START_TEST(gaps)
{
	for (int i = 0; i < 2; i++) {
		struct pair t;
		struct got g;

		pair_init(&t, i);
		for (unsigned n = 1; n <= 4; n++) {
			send_one(&t, &t.client, n, n * 3, 0);
			carry(&t, &t.client, &t.server, n == 2, n);
		}
		send_one(&t, &t.client, 5, 3000, 0);
		carry(&t, &t.client, &t.server, 2, 5);
		send_one(&t, &t.client, 6, 8, 0);
		carry(&t, &t.client, &t.server, 0, 6);
		ck_assert_uint_eq(t.up.n, 1);
		g = held(&t, &t.server);
		expect(&g, "3:9 4:12 6:8", 0);
		carry(&t, &t.server, &t.client, 0, 7);
		g = unacked(&t, &t.client);
		expect(&g, "2:6 5:3000", 0);
		pair_fini(&t);
	}
}
END_TEST

struct known {
	dk_slice taken;
	const struct seen *seen;
	const struct got *held;
	unsigned had, missing, unsent;
};

/* Whoever has all the sequences in which a frame lies has the frame, and nobody else. */
static void is_known(void *arg, const struct dk_frame *f, uint32_t seq, uint32_t seqs)
{
	struct known *k = arg;
	bool has = false, had = seqs > 0;

	for (unsigned i = 0; i < k->seen->n; i++)
		has |= k->seen->frames[i].cmd == f->cmd;
	for (unsigned i = 0; i < k->held->n; i++)
		has |= k->held->cmd[i] == f->cmd;
	for (uint32_t i = 0; i < seqs; i++)
		had &= dk_taken(k->taken, seq + i);
	ck_assert_msg(has == had, "frame %u, %u sequences from %u on: %s, and the numbers say %s", f->cmd, seqs, seq,
		      has ? "it came" : "it did not come", had ? "it did" : "it did not");
	k->had += had;
	k->missing += seqs && !had;
	k->unsent += !seqs;
}

START_TEST(what_came_is_known)
{
	struct known k = { .had = 0 };
	uint32_t chance = 1;

	for (unsigned round = 0; round < 400; round++) {
		uint8_t taken[DK_TAKEN_MAX];
		struct dk_writer w = dk_writer_on(taken, sizeof(taken));
		struct pair t;
		struct got g;
		unsigned n;

		pair_init(&t, round & 1);
		if (round % 8 == 7) /* around the end of the circle */
			t.client.rudp.tx_next = t.server.rudp.rx_next = t.server.rudp.rx_first = 0xffffff - round % 16;
		n = 1 + round % 12;
		for (unsigned i = 1; i <= n; i++) {
			chance = chance * 1103515245 + 12345;
			send_one(&t, &t.client, i, chance >> 16 & 3 ? 9 : 3000 + (chance >> 20) % 3000, 0);
			if (chance >> 18 & 7)
				carry(&t, &t.client, &t.server, (chance >> 8) & (chance >> 16), i);
			if (!(chance >> 21 & 7))
				carry(&t, &t.server, &t.client, 0, i);
		}
		g = held(&t, &t.server);
		wire_peer_taken(&t.server, &w);
		ck_assert(!w.bad);
		k.taken = dk_written(&w);
		k.seen = &t.up;
		k.held = &g;
		wire_peer_left(t.ctx, &t.client, is_known, &k);
		pair_fini(&t);
	}
	ck_assert_uint_gt(k.had, 500);
	ck_assert_uint_gt(k.missing, 200);
	ck_assert_uint_gt(k.unsent, 50);
}
END_TEST

/* Pushes are lists by then, one of several elements where they travelled as one. */
START_TEST(pushes)
{
	static const uint8_t list[] = { 0, 0, 0, 1, 'a', 0, 0, 0, 1, 'b' };

	for (int i = 0; i < 2; i++) {
		struct dk_frame f = { 2, DK_STATUS_PUSH, 9, { (const uint8_t *)"a", 1 } };
		struct wire_peer again;
		struct pair t;
		struct got g;

		pair_init(&t, i);
		for (int sent = 0; sent < 2; sent++) {
			ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_RELIABLE), 0);
			f.payload.p = (const uint8_t *)"b";
			ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_RELIABLE), 0);
			f.payload.p = (const uint8_t *)"a";
			ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_UNRELIABLE), 0); /* is not kept */
			for (int carried = 0; carried < 2; carried++) {
				g = unacked(&t, &t.server);
				ck_assert_uint_eq(g.n, 1 + (unsigned)sent);
				for (unsigned k = 0; k < g.n; k++) {
					ck_assert_uint_eq(g.how[k], DK_RELIABLE | DK_ALONE);
					ck_assert_uint_eq(g.status[k], DK_STATUS_PUSH);
					ck_assert_uint_eq(g.len[k], sizeof(list));
					ck_assert_mem_eq(g.first[k], list, sizeof(list));
				}
				carry(&t, &t.server, &t.client, ~0u, 1);
			}
		}
		/* Given to another connection they are what they were. */
		{
			struct dk_credential cred = test_credential(i);

			wire_peer_init(t.ctx, &again, WIRE_SERVER, &cred, 0);
			f.payload = dk_slice_n(g.first[0], g.len[0]);
			ck_assert_int_eq(wire_peer_send(t.ctx, &again, 0, &f, g.how[0]), 0);
			g = unacked(&t, &again);
			ck_assert_uint_eq(g.n, 1);
			ck_assert_mem_eq(g.first[0], list, sizeof(list));
			wire_peer_fini(t.ctx, &again);
		}
		pair_fini(&t);
	}
}
END_TEST

START_TEST(credential)
{
	for (int i = 0; i < 2; i++) {
		struct dk_credential cred = test_credential(i), got;
		struct wire_stream s;
		struct pair t;

		pair_init(&t, i);
		wire_peer_credential(&t.server, &got);
		ck_assert_mem_eq(&got, &cred, offsetof(struct dk_credential, key));
		ck_assert_int_eq(got.encrypted, i);
		ck_assert(!i || memcmp(&got, &cred, sizeof(cred)) == 0);
		wire_stream_init(t.ctx, &s, WIRE_SERVER, &cred);
		wire_stream_credential(&s, &got);
		ck_assert_int_eq(got.encrypted, i);
		ck_assert(!i || memcmp(&got, &cred, sizeof(cred)) == 0);
		wire_stream_fini(t.ctx, &s);
		pair_fini(&t);
	}
}
END_TEST

/* It takes and says nothing any more, but repeats acknowledgements of what it took, for a second. */
START_TEST(leaving)
{
	struct dk_frame f = test_frame(2, 9, DK_STATUS_OK, "never said");
	struct bytes b, late;
	struct pair t;
	uint64_t due;

	pair_init(&t, true);
	send_one(&t, &t.client, 1, 5, 0);
	late = take_out(t.ctx, &t.client, 10, NULL);
	wire_peer_recv(t.ctx, &t.server, 10, &t.client_addr, slice_of(&late), &t.up.ev);
	ck_assert_uint_eq(t.up.n, 1);
	send_one(&t, &t.client, 2, 5, 0);
	send_one(&t, &t.server, 3, 5, DK_STATUS_OK);
	send_one(&t, &t.server, 4, 3000, DK_STATUS_OK);
	(void)take_out(t.ctx, &t.server, 10, NULL); /* its acknowledgement, which is lost, and what goes with it */
	wire_peer_leave(t.ctx, &t.server, 20);
	ck_assert(wire_peer_has_left(&t.server));
	ck_assert(!wire_peer_is_open(&t.server));
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 20, &f, DK_RELIABLE), WIRE_GONE);
	ck_assert_uint_eq(unacked(&t, &t.server).n, 0);
	ck_assert_uint_eq(take_out(t.ctx, &t.server, 20, NULL).n, 0);
	/* The repeat of what came is acknowledged, what is new is not; nor what an other address repeats. */
	late.b[3] = WIRE_RST;
	wire_peer_recv(t.ctx, &t.server, 30, &t.client_addr, slice_of(&late), &t.up.ev);
	b = take_out(t.ctx, &t.server, 30, NULL);
	assert_bytes(b.b, b.n, "00000006");
	wire_peer_recv(t.ctx, &t.server, 30, &t.server_addr, slice_of(&late), &t.up.ev);
	ck_assert_uint_eq(take_out(t.ctx, &t.server, 30, NULL).n, 0);
	carry(&t, &t.client, &t.server, 0, 40);
	ck_assert_uint_eq(take_out(t.ctx, &t.server, 40, NULL).n, 0);
	ck_assert_uint_eq(t.up.n, 1);
	due = wire_peer_due(t.ctx, &t.server);
	ck_assert_uint_eq(due, 20 + WIRE_LEFT_MS);
	wire_peer_tick(t.ctx, &t.server, due - 1, &t.up.ev);
	ck_assert_uint_eq(t.up.closed, 0);
	wire_peer_tick(t.ctx, &t.server, due, &t.up.ev);
	ck_assert_uint_eq(t.up.closed, 1);
	ck_assert_uint_eq(wire_peer_due(t.ctx, &t.server), WIRE_NEVER);
	pair_fini(&t);
}
END_TEST

/* How long a client that never came is waited for can be said for each. */
START_TEST(waiting)
{
	static const uint32_t ms[] = { 1, 500, 10000, 15000, 100000 };
	struct dk_credential cred = test_credential(true);

	for (size_t i = 0; i < DK_ARRAY_LEN(ms); i++) {
		struct seen seen;
		struct wire_peer p;
		struct memory m;
		struct wire_ctx *ctx = test_ctx(&m, NULL);

		seen_init(&seen);
		wire_peer_init(ctx, &p, WIRE_SERVER, &cred, 0);
		wire_peer_wait(ctx, &p, 100, ms[i]);
		ck_assert_uint_eq(wire_peer_due(ctx, &p), 100 + ms[i]);
		wire_peer_tick(ctx, &p, 100 + ms[i] - 1, &seen.ev);
		ck_assert_uint_eq(seen.closed, 0);
		wire_peer_tick(ctx, &p, 100 + ms[i], &seen.ev);
		ck_assert_uint_eq(seen.closed, 1);
		ck_assert_int_eq(seen.reason, WIRE_CLOSED_SILENCE);
		wire_peer_fini(ctx, &p);
		seen_fini(&seen);
		test_ctx_free(ctx, &m);
	}
}
END_TEST

/* Whatever fails, it is only counted and not shown; nothing is leaked. */
START_TEST(no_memory)
{
	for (uint64_t fail = 1; fail < 6; fail++) {
		struct got g = { 0 };
		struct pair t;
		size_t mark;

		pair_init(&t, true);
		send_one(&t, &t.client, 1, 60000, 0);
		send_one(&t, &t.client, 2, 50000, 0);
		carry(&t, &t.client, &t.server, 1, 1);
		mark = wire_scratch_mark(t.ctx);
		ck_assert_ptr_nonnull(wire_scratch(t.ctx, WIRE_SCRATCH_LEN - 1024));
		t.m.fail_at = t.m.calls + fail;
		ck_assert_uint_eq(wire_peer_unacked(t.ctx, &t.client, collect, &g), 2);
		ck_assert_uint_ge(g.n, 1);
		g.n = 0;
		ck_assert_uint_le(wire_peer_held(t.ctx, &t.server, collect, &g), 1);
		wire_scratch_release(t.ctx, mark);
		pair_fini(&t);
	}
}
END_TEST

static void fill(Suite *s)
{
	ADD(s, both_ways);
	ADD(s, pieces);
	ADD(s, gaps);
	ADD(s, what_came_is_known);
	ADD(s, pushes);
	ADD(s, credential);
	ADD(s, leaving);
	ADD(s, waiting);
	ADD(s, no_memory);
}

int main(void)
{
	return run_suite("wire: what goes on elsewhere", fill);
}
