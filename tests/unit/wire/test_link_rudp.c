/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ends and a bad link between them under a virtual clock: every reliable frame arrives exactly once and in order, whatever
 * the link does, from the handshake to the goodbye. A failure names its seed.
 */
#include "tests/unit/wire/wire_test.h"
#include "wire/rudp.h"

#define FLYING_MAX 8192

struct flying {
	uint64_t at_us, order;
	bool up;
	size_t n;
	uint8_t b[WIRE_SLOT];
};

struct end {
	struct world *w;
	struct wire_peer peer;
	struct wire_events ev;
	uint32_t sent, got, opened, moved, closed;
	enum wire_reason reason;
	uint32_t unreliable;
};

struct world {
	uint64_t seed, now_us, order;
	struct memory m;
	struct wire_ctx *ctx;
	struct dk_addr server_addr, client_addr;
	struct end server, client;
	struct wire_link up, down;
	struct flying *flying;
	unsigned n_flying;
	uint64_t trace; /* hash of everything that arrived and when */
	bool blackout;
};

static uint64_t now_ms(const struct world *w)
{
	return w->now_us / 1000;
}

/* Message i: its number, then bytes that follow from it; a few are long enough to be cut. */
static size_t message(uint32_t i, uint8_t *buf, bool big)
{
	size_t n = 8 + i * 7 % 300;

	if (big && i % 50 == 49)
		n = 1200 + i % 4000;
	memcpy(buf, &i, 4);
	for (size_t k = 4; k < n; k++)
		buf[k] = (uint8_t)(i + k);
	return n;
}

static void on_frame(void *arg, const struct dk_frame *f, bool reliable)
{
	struct end *e = arg;
	uint8_t expected[8192];
	dk_slice payload = f->payload, item;
	struct dk_cursor c;
	uint32_t i;

	if (!reliable) {
		e->unreliable++;
		return;
	}
	c = dk_cursor_of(payload);
	do {
		if (f->status == DK_STATUS_PUSH)
			ck_assert(wire_list_next(&c, &item));
		else
			item = payload;
		memcpy(&i, item.p, 4);
		ck_assert_msg(i == e->got, "seed %llu: %s got message %u, expected %u", (unsigned long long)e->w->seed,
			      e == &e->w->server ? "server" : "client", i, e->got);
		ck_assert_uint_eq(message(i, expected, true), item.n);
		ck_assert_mem_eq(expected, item.p, item.n);
		e->got++;
	} while (f->status == DK_STATUS_PUSH && c.p < c.end);
}

static void on_opened(void *arg, const struct dk_addr *from)
{
	struct end *e = arg;

	(void)from;
	e->opened++;
}

static void on_moved(void *arg, const struct dk_addr *from)
{
	struct end *e = arg;

	(void)from;
	e->moved++;
}

static void on_closed(void *arg, enum wire_reason reason)
{
	struct end *e = arg;

	e->closed++;
	e->reason = reason;
}

static void end_init(struct world *w, struct end *e, enum wire_role role, bool encrypted)
{
	struct dk_credential cred = test_credential(encrypted);

	memset(e, 0, sizeof(*e));
	e->w = w;
	e->ev = (struct wire_events){ e, on_frame, on_opened, on_moved, on_closed };
	wire_peer_init(w->ctx, &e->peer, role, &cred, now_ms(w));
}

static void world_init(struct world *w, uint64_t seed, const struct wire_link_opts *o, bool encrypted)
{
	struct wire_link_opts link = *o;

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->now_us = 20000000 + seed * 977;
	w->ctx = test_ctx(&w->m, NULL);
	w->server_addr = test_addr(1, 7100);
	w->client_addr = test_addr(2, 50000);
	link.seed = seed * 2 + 1;
	wire_link_init(&w->up, &link);
	link.seed = seed * 2 + 2;
	wire_link_init(&w->down, &link);
	w->flying = calloc(FLYING_MAX, sizeof(*w->flying));
	end_init(w, &w->server, WIRE_SERVER, encrypted);
	end_init(w, &w->client, WIRE_CLIENT, encrypted);
	wire_peer_open(w->ctx, &w->client.peer, now_ms(w), &w->server_addr);
}

static void world_fini(struct world *w)
{
	wire_peer_fini(w->ctx, &w->server.peer);
	wire_peer_fini(w->ctx, &w->client.peer);
	test_ctx_free(w->ctx, &w->m);
	free(w->flying);
}

static void flush(struct world *w, struct end *e)
{
	bool up = e == &w->client, fragment;
	struct dk_addr to;
	uint64_t at[2];
	struct flying f;

	while ((f.n = wire_peer_out(w->ctx, &e->peer, now_ms(w), true, f.b, sizeof(f.b), &to, &fragment)) > 0) {
		ck_assert_int_eq(fragment, f.n > WIRE_DATAGRAM_OUT);
		ck_assert(dk_addr_eq(&to, up ? &w->server_addr : &w->client_addr));
		for (int i = wire_link_pass(up ? &w->up : &w->down, w->now_us, f.n, at); i-- > 0;) {
			if (w->blackout)
				continue;
			ck_assert_uint_lt(w->n_flying, FLYING_MAX);
			f.at_us = at[i];
			f.order = w->order++;
			f.up = up;
			w->flying[w->n_flying++] = f;
		}
	}
}

static struct flying *earliest(struct world *w)
{
	struct flying *best = NULL;

	for (unsigned i = 0; i < w->n_flying; i++) {
		struct flying *f = &w->flying[i];

		if (!best || f->at_us < best->at_us || (f->at_us == best->at_us && f->order < best->order))
			best = f;
	}
	return best;
}

static void arrive(struct world *w, struct flying *f)
{
	struct end *e = f->up ? &w->server : &w->client;
	struct flying copy = *f;

	*f = w->flying[--w->n_flying];
	for (size_t i = 0; i < copy.n; i++)
		w->trace = (w->trace ^ copy.b[i] ^ w->now_us) * 0x100000001b3;
	wire_peer_recv(w->ctx, &e->peer, now_ms(w), copy.up ? &w->client_addr : &w->server_addr, dk_slice_n(copy.b, copy.n),
		       &e->ev);
	flush(w, e);
}

/* Lets time pass until the given moment, as an event loop would. */
static void run_until(struct world *w, uint64_t until_us)
{
	for (;;) {
		struct end *ends[2] = { &w->server, &w->client };
		struct flying *f = earliest(w);
		uint64_t next = f ? f->at_us : WIRE_NEVER, due;

		for (int i = 0; i < 2; i++) {
			due = wire_peer_due(w->ctx, &ends[i]->peer);
			if (due != WIRE_NEVER && due * 1000 < next) {
				next = due * 1000;
				f = NULL;
			}
		}
		if (next > until_us)
			break;
		if (next > w->now_us)
			w->now_us = next;
		if (f) {
			arrive(w, f);
			continue;
		}
		for (int i = 0; i < 2; i++) {
			due = wire_peer_due(w->ctx, &ends[i]->peer);
			if (due > now_ms(w))
				continue;
			wire_peer_tick(w->ctx, &ends[i]->peer, now_ms(w), &ends[i]->ev);
			flush(w, ends[i]);
			ck_assert_msg(wire_peer_due(w->ctx, &ends[i]->peer) > now_ms(w), "seed %llu: a tick leaves itself due",
				      (unsigned long long)w->seed);
		}
	}
	w->now_us = until_us;
}

static void say(struct world *w, struct end *e, bool big)
{
	struct dk_frame f = { 2, e == &w->server ? DK_STATUS_PUSH : 0, (uint16_t)(300 + e->sent / 7 % 2), { 0, 0 } };
	uint8_t buf[8192];
	int rc;

	f.payload = dk_slice_n(buf, message(e->sent, buf, true));
	if (!big && f.payload.n > 1000)
		f.payload.n = 1000;
	rc = wire_peer_send(w->ctx, &e->peer, now_ms(w), &f, DK_RELIABLE);
	ck_assert_int_eq(rc, 0);
	e->sent++;
}

static bool settled(const struct world *w)
{
	return w->server.got == w->client.sent && w->client.got == w->server.sent && wire_rudp_idle(&w->server.peer.rudp) &&
	       wire_rudp_idle(&w->client.peer.rudp);
}

/* Some more time, in which both ends let hear of themselves as real ones do: silence is a reason to give up. */
static void wait_a_little(struct world *w)
{
	struct dk_frame f = { 0, 0, WIRE_CMD_ECHO, { (const uint8_t *)"stamp...", 8 } };

	wire_peer_send(w->ctx, &w->client.peer, now_ms(w), &f, DK_UNRELIABLE);
	wire_peer_send(w->ctx, &w->server.peer, now_ms(w), &f, DK_UNRELIABLE);
	flush(w, &w->client);
	flush(w, &w->server);
	run_until(w, w->now_us + 100000);
}

static uint64_t converse(uint64_t seed, const struct wire_link_opts *o, uint32_t messages, bool encrypted)
{
	struct world *w = calloc(1, sizeof(*w));
	uint64_t trace;

	world_init(w, seed, o, encrypted);
	for (uint32_t i = 0; i < messages; i++) {
		say(w, &w->client, true);
		say(w, &w->server, true);
		if (i % 3 == 0) {
			flush(w, &w->client);
			flush(w, &w->server);
			run_until(w, w->now_us + 10000);
		}
	}
	flush(w, &w->client);
	flush(w, &w->server);
	for (int i = 0; i < 1200 && !settled(w); i++)
		wait_a_little(w);
	ck_assert_msg(settled(w), "seed %llu: server got %u of %u, client %u of %u, closed %u %u", (unsigned long long)seed,
		      w->server.got, w->client.sent, w->client.got, w->server.sent, w->server.closed, w->client.closed);
	ck_assert_uint_eq(w->server.opened, 1);
	ck_assert_uint_eq(w->client.opened, 1);
	ck_assert_uint_eq(w->server.moved, 0);

	wire_peer_close(w->ctx, &w->client.peer, now_ms(w));
	flush(w, &w->client);
	run_until(w, w->now_us + 60000000);
	ck_assert_uint_eq(w->client.closed, 1);
	ck_assert_msg(w->client.reason == WIRE_CLOSED_LOCAL, "seed %llu: reason %d", (unsigned long long)seed, w->client.reason);
	ck_assert_uint_eq(w->server.closed, 1);
	trace = w->trace;
	world_fini(w);
	free(w);
	return trace;
}

START_TEST(clean_link)
{
	struct wire_link_opts o = { .delay_ms = 20 };

	converse(1, &o, 300, true);
	converse(1, &o, 300, false);
}
END_TEST

START_TEST(many_seeds)
{
	struct wire_link_opts o = {
		.loss = 0.3, .reorder = 0.1, .duplicate = 0.05, .delay_ms = 30, .jitter_ms = 10, .reorder_ms = 40
	};

	for (uint64_t seed = 1; seed <= 60; seed++)
		converse(seed, &o, 200, seed % 2);
}
END_TEST

START_TEST(heavy_duplication)
{
	struct wire_link_opts o = {
		.loss = 0.1, .reorder = 0.5, .duplicate = 0.9, .delay_ms = 5, .jitter_ms = 120, .reorder_ms = 300
	};

	for (uint64_t seed = 1; seed <= 20; seed++)
		converse(seed, &o, 150, seed % 2);
}
END_TEST

START_TEST(slow_link)
{
	struct wire_link_opts o = { .loss = 0.05, .delay_ms = 300, .jitter_ms = 50, .rate_kbit = 2000 };

	for (uint64_t seed = 1; seed <= 6; seed++)
		converse(seed, &o, 100, true);
}
END_TEST

START_TEST(same_seed_same_run)
{
	struct wire_link_opts o = {
		.loss = 0.3, .reorder = 0.1, .duplicate = 0.05, .delay_ms = 30, .jitter_ms = 10, .reorder_ms = 40
	};

	ck_assert_uint_eq(converse(7, &o, 100, true), converse(7, &o, 100, true));
	ck_assert_uint_ne(converse(7, &o, 100, true), converse(8, &o, 100, true));
}
END_TEST

/* Around the end of the 24 bits, both ways. */
START_TEST(wrap)
{
	struct wire_link_opts o = {
		.loss = 0.2, .reorder = 0.2, .duplicate = 0.1, .delay_ms = 20, .jitter_ms = 10, .reorder_ms = 30
	};

	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct world *w = calloc(1, sizeof(*w));
		uint64_t first = (uint64_t)1 << 24;

		world_init(w, seed, &o, true);
		for (int i = 0; i < 100 && !(w->server.opened && w->client.opened); i++)
			run_until(w, w->now_us + 100000);
		/* As if so much had been said already. */
		w->client.peer.rudp.tx_next = w->server.peer.rudp.rx_next = first - 40;
		w->server.peer.rudp.tx_next = w->client.peer.rudp.rx_next = 5 * first - 70;
		for (uint32_t i = 0; i < 200; i++) {
			say(w, &w->client, true);
			say(w, &w->server, true);
			flush(w, &w->client);
			flush(w, &w->server);
			run_until(w, w->now_us + 5000);
		}
		for (int i = 0; i < 600 && !settled(w); i++)
			wait_a_little(w);
		ck_assert(settled(w));
		ck_assert_uint_gt(w->client.peer.rudp.tx_next, first);
		ck_assert_uint_gt(w->server.peer.rudp.tx_next, 5 * first);
		world_fini(w);
		free(w);
	}
}
END_TEST

/* A tunnel of seven seconds in the middle of long messages: whoever is told to be patient loses nothing. */
START_TEST(blackout)
{
	struct wire_link_opts o = { .loss = 0.1, .delay_ms = 30 };
	struct wire_limits limits;

	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct world *w = calloc(1, sizeof(*w));

		world_init(w, seed, &o, true);
		wire_limits_default(&limits);
		limits.max_retry = 30;
		wire_ctx_set_limits(w->ctx, &limits);
		run_until(w, w->now_us + 3000000);
		for (uint32_t i = 0; i < 100; i++) {
			say(w, &w->client, true);
			say(w, &w->server, true);
		}
		flush(w, &w->client);
		flush(w, &w->server);
		run_until(w, w->now_us + 40000 + seed * 9000);
		w->blackout = true;
		run_until(w, w->now_us + 7000000);
		w->blackout = false;
		for (int i = 0; i < 600 && !settled(w); i++)
			wait_a_little(w);
		ck_assert_msg(settled(w), "seed %llu", (unsigned long long)seed);
		world_fini(w);
		free(w);
	}
}
END_TEST

/* The other end is gone for good: both notice. */
START_TEST(gives_up)
{
	struct wire_link_opts o = { .delay_ms = 10 };
	struct world *w = calloc(1, sizeof(*w));
	uint64_t start;

	world_init(w, 1, &o, true);
	run_until(w, w->now_us + 1000000);
	ck_assert_uint_eq(w->server.opened, 1);
	w->blackout = true;
	start = w->now_us;
	say(w, &w->client, true);
	flush(w, &w->client);
	run_until(w, w->now_us + 30000000);
	/* Ten re-sends at 500 ms at most, and no valid sign for 3 s: before the 10 s of silence. */
	ck_assert_uint_eq(w->client.closed, 1);
	ck_assert_int_eq(w->client.reason, WIRE_CLOSED_RETRY);
	ck_assert_uint_eq(w->server.closed, 1);
	ck_assert_int_eq(w->server.reason, WIRE_CLOSED_SILENCE);
	ck_assert_uint_ge(w->now_us - start, 10000000);
	ck_assert_int_eq(wire_peer_due(w->ctx, &w->server.peer) == WIRE_NEVER, 1);
	world_fini(w);
	free(w);
}
END_TEST

/* A block that the other end never acknowledges does not end a connection over which authentic frames come. */
START_TEST(unacknowledged_but_alive)
{
	struct wire_link_opts o = { .delay_ms = 10 };
	struct world *w = calloc(1, sizeof(*w));
	struct dk_frame f = { 0, 0, WIRE_CMD_ECHO, { (const uint8_t *)"stamp...", 8 } };
	struct bytes b;

	world_init(w, 1, &o, true);
	run_until(w, w->now_us + 1000000);
	say(w, &w->server, false);
	for (int i = 0; i < 100; i++) {
		while (take_out(w->ctx, &w->server.peer, now_ms(w), NULL).n) /* into nowhere */
			;
		ck_assert_int_eq(wire_peer_send(w->ctx, &w->client.peer, now_ms(w), &f, DK_UNRELIABLE), 0);
		b = take_out(w->ctx, &w->client.peer, now_ms(w), NULL);
		wire_peer_recv(w->ctx, &w->server.peer, now_ms(w), &w->client_addr, slice_of(&b), &w->server.ev);
		w->now_us += 500000;
		wire_peer_tick(w->ctx, &w->server.peer, now_ms(w), &w->server.ev);
	}
	ck_assert_uint_eq(w->server.closed, 0);
	w->now_us += 3000000;
	wire_peer_tick(w->ctx, &w->server.peer, now_ms(w), &w->server.ev);
	ck_assert_uint_eq(w->server.closed, 1);
	ck_assert_int_eq(w->server.reason, WIRE_CLOSED_RETRY);
	world_fini(w);
	free(w);
}
END_TEST

/* Full: the queue says so, and what was accepted arrives. */
START_TEST(back_pressure)
{
	struct wire_link_opts o = { .delay_ms = 10, .loss = 0.1 };
	struct world *w = calloc(1, sizeof(*w));
	uint8_t buf[8192];
	struct dk_frame f = { 2, 0, 300, { buf, 0 } };
	unsigned full = 0;

	world_init(w, 3, &o, true);
	while (full < 1) {
		f.payload.n = message(w->client.sent, buf, true);
		if (wire_peer_send(w->ctx, &w->client.peer, now_ms(w), &f, DK_RELIABLE) == WIRE_FULL)
			full++;
		else
			w->client.sent++;
	}
	ck_assert_uint_gt(w->client.sent, 1000);
	flush(w, &w->client);
	for (int i = 0; i < 3000 && !settled(w); i++)
		wait_a_little(w);
	ck_assert(settled(w));
	f.payload.n = message(w->client.sent, buf, true);
	ck_assert_int_eq(wire_peer_send(w->ctx, &w->client.peer, now_ms(w), &f, DK_RELIABLE), 0);
	world_fini(w);
	free(w);
}
END_TEST

/* The round trip is measured under loss, thanks to EACK, and steers the timer. */
START_TEST(round_trip)
{
	struct wire_link_opts o = { .loss = 0.2, .delay_ms = 60 };
	struct world *w = calloc(1, sizeof(*w));

	world_init(w, 5, &o, true);
	for (uint32_t i = 0; i < 200; i++) {
		say(w, &w->client, true);
		flush(w, &w->client);
		run_until(w, w->now_us + 50000);
	}
	ck_assert_uint_ge(wire_peer_rtt_ms(&w->client.peer), 115);
	ck_assert_uint_le(wire_peer_rtt_ms(&w->client.peer), 140);
	world_fini(w);
	free(w);
}
END_TEST

static void fill(Suite *s)
{
	ADD(s, clean_link);
	ADD(s, many_seeds);
	ADD(s, heavy_duplication);
	ADD(s, slow_link);
	ADD(s, same_seed_same_run);
	ADD(s, wrap);
	ADD(s, blackout);
	ADD(s, gives_up);
	ADD(s, unacknowledged_but_alive);
	ADD(s, back_pressure);
	ADD(s, round_trip);
}

int main(void)
{
	return run_suite("wire: reliable delivery over a bad link", fill);
}
