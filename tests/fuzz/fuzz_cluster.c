/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seal between nodes under a script: greetings, packets and records that come late, twice, in another order, cut, bent, or
 * made up. A packet opens at most once, and only as it was sealed; bytes that nobody sealed open nothing. What is inside goes
 * through the reader of units, and what it reads is written back as the same bytes.
 */
#include "wire/cluster.h"
#include "wire/cluster_guest.h"
#include "wire/cluster_unit.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

#define KEPT 32

struct packet {
	size_t n;
	bool opened;
	uint8_t bytes[WIRE_PACKET_MAX], plain[WIRE_PACKET_PLAIN];
	size_t plain_n;
};

struct play {
	struct wire_cluster *a, *b;
	struct wire_hello hello;
	struct wire_contact xa, xb;
	struct packet kept[KEPT];
	unsigned sent;
	uint8_t seed;
};

static int fixed(void *arg, void *buf, size_t n)
{
	memset(buf, ++*(uint8_t *)arg, n);
	return 0;
}

static struct wire_cluster *side(struct play *p, uint64_t boot, const char *name)
{
	struct wire_cluster_opts o = { .name = dk_str_c(name), .boot = boot, .random = fixed, .arg = &p->seed, .key_n = 1 };
	struct wire_cluster *c = NULL;

	memset(o.key, 3, sizeof(o.key));
	o.addr = (struct dk_addr){ .ip = { 10, 0, 0, (uint8_t)boot }, .port = 8000, .family = 4 };
	MUST(wire_cluster_new(&o, &c) == 0);
	return c;
}

static void greet(struct play *p)
{
	uint8_t welcome[WIRE_WELCOME_LEN];
	struct wire_hello_in in;
	uint64_t acked;

	wire_contact_fini(&p->xa);
	wire_contact_fini(&p->xb);
	MUST(wire_hello_write(p->a, 0, 1, 0, &p->hello) == 0);
	MUST(wire_hello_open(p->b, dk_slice_n(p->hello.bytes, WIRE_HELLO_LEN), false, &in) == WIRE_CLUSTER_PASS);
	MUST(wire_welcome_write(p->b, &in, 2, 5, welcome, &p->xb) == 0);
	MUST(wire_welcome_open(p->a, &p->hello, dk_slice_n(welcome, sizeof(welcome)), &acked, &p->xa) == WIRE_CLUSTER_PASS);
	MUST(acked == 5);
	p->sent = 0;
	memset(p->kept, 0, sizeof(p->kept));
}

/* The bytes of a unit come back as they were. */
static void look_inside(dk_slice plain)
{
	struct dk_cursor r = dk_cursor_of(plain);
	uint8_t again[WIRE_RECORD_PLAIN];
	const uint8_t *start = r.p;
	struct wire_unit u;

	while (wire_unit_read(&r, &u)) {
		struct dk_writer w = dk_writer_on(again, sizeof(again));
		dk_slice got;

		wire_unit_write(&w, &u);
		got = dk_written(&w);
		MUST(got.n == (size_t)(r.p - start) && wire_unit_len(&u) == got.n);
		/* Of an address that is none, or shorter than its field, the rest is not kept. */
		MUST(u.kind == WIRE_UNIT_RELAY || memcmp(got.p, start, got.n) == 0);
		start = r.p;
	}
}

static void send_one(struct play *p, dk_slice plain)
{
	struct packet *k = &p->kept[p->sent % KEPT];

	*k = (struct packet){ .plain_n = plain.n };
	if (plain.n) {
		memcpy(k->plain, plain.p, plain.n);
		memcpy(k->bytes + WIRE_PACKET_HEAD, plain.p, plain.n);
	}
	k->n = wire_packet_seal(&p->xa, k->bytes, plain.n);
	p->sent++;
}

static void deliver(struct play *p, unsigned which, uint16_t bend)
{
	struct packet *k = &p->kept[which % KEPT];
	uint8_t out[WIRE_PACKET_MAX], bytes[WIRE_PACKET_MAX];
	enum wire_cluster_drop drop;
	dk_slice plain;

	if (!k->n)
		return;
	memcpy(bytes, k->bytes, k->n);
	if (bend) /* the index only finds the contact */
		bytes[bend % k->n >= 1 && bend % k->n < 5 ? 0 : bend % k->n] ^= (uint8_t)(1 + bend / k->n % 255);
	drop = wire_packet_open(&p->xb, dk_slice_n(bytes, k->n), out, &plain);
	if (bend || k->opened) {
		MUST(drop != WIRE_CLUSTER_PASS);
		return;
	}
	MUST(drop == WIRE_CLUSTER_PASS && plain.n == k->plain_n && (!plain.n || memcmp(plain.p, k->plain, plain.n) == 0));
	k->opened = true;
	look_inside(plain);
}

/* Nobody sealed these. */
static void made_up(struct play *p, dk_slice bytes)
{
	static uint8_t out[WIRE_RECORD_PLAIN];
	struct wire_hello_in in;
	struct wire_contact x;
	dk_slice plain;
	uint64_t acked;
	uint32_t index;
	size_t n;

	MUST(wire_hello_open(p->b, bytes, false, &in) != WIRE_CLUSTER_PASS || bytes.n == WIRE_HELLO_LEN);
	wire_hello_open(p->b, bytes, true, &in);
	wire_welcome_index(bytes, &index);
	wire_packet_index(bytes, &index);
	MUST(wire_welcome_open(p->a, &p->hello, bytes, &acked, &x) != WIRE_CLUSTER_PASS);
	if (bytes.n <= WIRE_PACKET_MAX)
		MUST(wire_packet_open(&p->xb, bytes, out, &plain) != WIRE_CLUSTER_PASS);
	n = wire_record_len(bytes);
	MUST(n == 0 || n == SIZE_MAX || n <= WIRE_RECORD_MAX);
	if (n == bytes.n)
		MUST(wire_record_open(&p->xb, bytes, out, &plain) != WIRE_CLUSTER_PASS);
	look_inside(bytes);
}

static void visit(struct play *p, dk_slice bytes)
{
	struct wire_cluster_opts o = { .name = dk_str_c("c"), .random = fixed, .arg = &p->seed, .key_n = 1 };
	uint8_t out[WIRE_PACKET_MAX];
	struct wire_guest *g = NULL;
	dk_slice body;
	int status;

	memset(o.key, 3, sizeof(o.key));
	MUST(wire_guest_new(&o, &g) == 0);
	MUST(wire_guest_call(g, 1, 254, 1020, dk_slice_n(NULL, 0), 1000) == 0);
	MUST(wire_guest_out(g, 1, out) == WIRE_HELLO_LEN);
	wire_guest_in(g, 2, bytes);
	MUST(!wire_guest_reached(g) && wire_guest_result(g, &status, &body) == WIRE_GUEST_WAITS);
	wire_guest_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dk_cursor c = dk_cursor_of(dk_slice_n(data, size));
	struct play *p = calloc(1, sizeof(*p));
	unsigned steps = 0;

	MUST(p);
	p->a = side(p, 1, "c");
	p->b = side(p, 2, "c");
	greet(p);
	while (dk_rd_left(&c) && steps++ < 512) {
		uint8_t op = dk_rd_u8(&c), arg = dk_rd_u8(&c);
		size_t n = dk_rd_left(&c) < arg ? dk_rd_left(&c) : arg;

		switch (op % 8) {
		case 0:
		case 1:
			send_one(p, dk_rd_slice(&c, n));
			break;
		case 2:
		case 3:
			deliver(p, arg, 0);
			break;
		case 4:
			deliver(p, arg, dk_rd_u16(&c));
			break;
		case 5:
			made_up(p, dk_rd_slice(&c, n));
			break;
		case 6:
			visit(p, dk_rd_slice(&c, n));
			break;
		default:
			if (steps < 64)
				greet(p);
			break;
		}
	}
	wire_contact_fini(&p->xa);
	wire_contact_fini(&p->xb);
	wire_cluster_free(p->a);
	wire_cluster_free(p->b);
	free(p);
	return 0;
}
