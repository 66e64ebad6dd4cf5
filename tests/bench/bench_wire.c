/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What wire/ costs a packet, in user space and without a socket: CPU nanoseconds of receiving one datagram with one frame, and of
 * sending one push and writing its datagram, over 1,024 connections in turn (so that no connection's memory is warm by chance).
 *
 *   bench_wire [SIZE] [ROUNDS] [--json]   all cases, SIZE bytes of payload (64), medians of ROUNDS (7)
 *   bench_wire SIZE ROUNDS CASE           one case only, for callgrind: --toggle-collect=bench_run
 */
#include "wire/peer.h"
#include "wire/seal.h"
#include "wire/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PEERS 1024
#define STEPS 200
#define NOW 601

struct bench {
	struct wire_ctx *ctx;
	struct wire_peer peers[PEERS];
	struct dk_addr from[PEERS];
	uint8_t datagram[PEERS][WIRE_SLOT];
	size_t len[PEERS];
	uint64_t got, bytes;
	uint8_t payload[WIRE_DATAGRAM_OUT];
	size_t size;
	struct wire_events ev;
};

static int chance(void *arg, void *buf, size_t n)
{
	(void)arg;
	memset(buf, 0x5a, n);
	return 0;
}

static void on_frame(void *arg, const struct dk_frame *f, bool reliable)
{
	struct bench *b = arg;

	(void)reliable;
	b->got++;
	b->bytes += f->payload.n;
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Carries what both ends have to say until they are silent. */
static void talk(struct bench *b, struct wire_peer *s, struct wire_peer *c, uint64_t now, const struct dk_addr *server,
		 const struct dk_addr *client)
{
	uint8_t buf[WIRE_SLOT];
	struct dk_addr to;
	bool fragment;
	size_t n, said;

	do {
		said = 0;
		while ((n = wire_peer_out(b->ctx, c, now, true, buf, sizeof(buf), &to, &fragment)) && ++said)
			wire_peer_recv(b->ctx, s, now, client, dk_slice_n(buf, n), &b->ev);
		while ((n = wire_peer_out(b->ctx, s, now, true, buf, sizeof(buf), &to, &fragment)) && ++said)
			wire_peer_recv(b->ctx, c, now, server, dk_slice_n(buf, n), &b->ev);
	} while (said);
}

/* Opens every server peer and lets its client write the datagram that the receiving case takes again and again. */
static void set_up(struct bench *b, bool sealed, size_t size)
{
	struct wire_ctx_opts o = { .random = chance };
	struct dk_addr server = { .ip = { 127, 0, 0, 1 }, .port = 7100, .family = 4 }, to;
	struct dk_credential cred = { .encrypted = sealed };
	struct wire_peer c;
	bool fragment;

	memset(b, 0, sizeof(*b));
	b->size = size;
	b->ev = (struct wire_events){ .arg = b, .frame = on_frame };
	wire_limits_default(&o.limits);
	if (wire_ctx_new(&o, &b->ctx) < 0)
		exit(1);
	for (unsigned i = 0; i < PEERS; i++) {
		struct dk_frame f = { 2, 0, 10, { b->payload, size } };

		memcpy(cred.sid, &i, 4);
		memset(cred.key, (int)i, 16);
		b->from[i] = (struct dk_addr){ .ip = { 127, 1, (uint8_t)(i >> 8), (uint8_t)i }, .port = 5000, .family = 4 };
		wire_peer_init(b->ctx, &b->peers[i], WIRE_SERVER, &cred, 1);
		wire_peer_init(b->ctx, &c, WIRE_CLIENT, &cred, 1);
		wire_peer_open(b->ctx, &c, 1, &server);
		talk(b, &b->peers[i], &c, 1, &server, &b->from[i]);
		/* The first reliable block is settled by the answer to its re-send only: not what is measured here. */
		wire_peer_send(b->ctx, &b->peers[i], 1, &f, DK_RELIABLE);
		talk(b, &b->peers[i], &c, 1, &server, &b->from[i]);
		wire_peer_tick(b->ctx, &b->peers[i], 600, &b->ev);
		talk(b, &b->peers[i], &c, 600, &server, &b->from[i]);
		wire_peer_send(b->ctx, &c, 1, &f, DK_UNRELIABLE);
		b->len[i] = wire_peer_out(b->ctx, &c, 1, true, b->datagram[i], WIRE_SLOT, &to, &fragment);
		if (!wire_peer_is_open(&b->peers[i]) || !b->len[i])
			exit(1);
		wire_peer_fini(b->ctx, &c);
	}
}

static void tear_down(struct bench *b)
{
	for (unsigned i = 0; i < PEERS; i++)
		wire_peer_fini(b->ctx, &b->peers[i]);
	wire_ctx_free(b->ctx);
}

static void receive(struct bench *b)
{
	for (unsigned i = 0; i < PEERS; i++)
		wire_peer_recv(b->ctx, &b->peers[i], NOW, &b->from[i], dk_slice_n(b->datagram[i], b->len[i]), &b->ev);
}

static void one_out(struct bench *b, unsigned i)
{
	uint8_t slot[WIRE_SLOT];
	struct dk_addr to;
	bool fragment;

	while ((b->len[0] = wire_peer_out(b->ctx, &b->peers[i], NOW, false, slot, sizeof(slot), &to, &fragment)))
		b->bytes += slot[b->len[0] - 1];
}

/* Fan-out without coalescing, as a room of 16 does it: 16 pushes, then their datagrams. */
static void push(struct bench *b)
{
	struct dk_frame f = { 1, DK_STATUS_PUSH, 103, { b->payload, b->size } };

	for (unsigned i = 0; i < PEERS; i += 16) {
		for (unsigned k = i; k < i + 16; k++)
			wire_peer_send(b->ctx, &b->peers[k], NOW, &f, DK_UNRELIABLE);
		for (unsigned k = i; k < i + 16; k++)
			one_out(b, k);
	}
}

/* Fan-out with an interval: 16 messages wait for each member and leave as one datagram. The figure is per message. */
static void push_16(struct bench *b)
{
	struct dk_frame f = { 1, DK_STATUS_PUSH, 103, { b->payload, b->size } };

	for (unsigned i = 0; i < PEERS; i += 16) {
		for (unsigned m = 0; m < 16; m++)
			for (unsigned k = i; k < i + 16; k++)
				wire_peer_send(b->ctx, &b->peers[k], NOW, &f, DK_UNRELIABLE);
		for (unsigned k = i; k < i + 16; k++)
			one_out(b, k);
	}
}

/* A reliable push and the acknowledgement that ends it. */
static void push_reliable(struct bench *b)
{
	struct dk_frame f = { 1, DK_STATUS_PUSH, 103, { b->payload, b->size } };
	uint8_t slot[WIRE_SLOT], ack[20];
	struct dk_addr to;
	bool fragment;

	for (unsigned i = 0; i < PEERS; i++) {
		wire_peer_send(b->ctx, &b->peers[i], NOW, &f, DK_RELIABLE);
		wire_peer_out(b->ctx, &b->peers[i], NOW, false, slot, sizeof(slot), &to, &fragment);
		memcpy(ack, slot, 3);
		ack[3] = WIRE_ACK;
		memcpy(ack + 4, b->peers[i].sid, 16);
		wire_peer_recv(b->ctx, &b->peers[i], NOW, &b->from[i], dk_slice_n(ack, 20), &b->ev);
	}
}

static const struct {
	const char *name;
	void (*run)(struct bench *b);
	unsigned per_step;
} cases[] = {
	{ "recv", receive, PEERS },
	{ "send+out", push, PEERS },
	{ "send+out_x16", push_16, PEERS * 16 },
	{ "reliable", push_reliable, PEERS },
};

/* A function of its own, so that callgrind can look at it alone. */
void bench_run(struct bench *b, void (*run)(struct bench *b), unsigned steps);
__attribute__((noinline)) void bench_run(struct bench *b, void (*run)(struct bench *b), unsigned steps)
{
	while (steps-- > 0)
		run(b);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[argc - 1], "--json") == 0;
	size_t size = (argc -= json) > 1 ? strtoul(argv[1], NULL, 10) : 64;
	unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 7;
	const char *only = argc > 3 ? argv[3] : NULL;
	struct bench *b = malloc(sizeof(*b));
	double ns[64];

	if (!b || !rounds || rounds > DK_ARRAY_LEN(ns) || size > WIRE_DATAGRAM_OUT - 100)
		return 1;
	if (!json)
		printf("%zu bytes, %d connections, ns of CPU each: median (min); struct wire_peer %zu bytes\n", size, PEERS,
		       sizeof(struct wire_peer));
	for (int sealed = 0; sealed < 2; sealed++) {
		set_up(b, sealed, size);
		for (size_t c = 0; c < DK_ARRAY_LEN(cases); c++) {
			unsigned steps = STEPS / (cases[c].per_step / PEERS);

			if (only && strcmp(only, cases[c].name) != 0)
				continue;
			for (unsigned r = 0; r < rounds; r++) {
				double start = cpu_ns();

				bench_run(b, cases[c].run, steps);
				ns[r] = (cpu_ns() - start) / ((double)steps * cases[c].per_step);
			}
			qsort(ns, rounds, sizeof(ns[0]), by_value);
			printf(json ? "{\"bench\":\"wire\",\"suite\":\"%s\",\"case\":\"%s\",\"ns\":%.1f,\"min_ns\":%.1f}\n"
				    : "%-7s %-14s %7.1f (%.1f)\n",
			       sealed ? "sealed" : "plain", cases[c].name, ns[rounds / 2], ns[0]);
		}
		tear_down(b);
	}
	free(b);
	return 0;
}
