/* SPDX-License-Identifier: Apache-2.0 */
/* See cluster_guest.h. */
#include "wire/cluster_guest.h"
#include "wire/cluster_unit.h"

#include <errno.h>
#include <stdlib.h>

#define AGAIN_MS 200 /* what was not answered is said again */

struct wire_guest {
	struct wire_cluster *cluster;
	struct wire_hello hello;
	struct wire_contact x;
	bool greeted, reached;
	uint8_t state, ver;
	uint16_t cmd;
	int status;
	uint64_t id, said, over; /* over: when it is given up */
	size_t n, answer_n;
	uint8_t payload[WIRE_GUEST_PAYLOAD];
	uint8_t answer[WIRE_PACKET_MAX];
};

int wire_guest_new(const struct wire_cluster_opts *opts, struct wire_guest **ret_guest)
{
	struct wire_guest *g = calloc(1, sizeof(*g));
	struct wire_cluster_opts o = *opts;
	int rc = -ENOMEM;

	if (!g)
		return rc;
	o.addr = (struct dk_addr){ .family = 0 };
	rc = o.random(o.arg, &o.boot, sizeof(o.boot));
	if (rc < 0)
		goto fail;
	o.boot |= 1; /* not 0 */
	rc = wire_cluster_new(&o, &g->cluster);
	explicit_bzero(&o, sizeof(o));
	if (rc)
		goto fail;
	*ret_guest = g;
	return 0;
fail:
	free(g);
	return rc;
}

void wire_guest_free(struct wire_guest *g)
{
	if (!g)
		return;
	wire_contact_fini(&g->x);
	wire_cluster_free(g->cluster);
	explicit_bzero(g, sizeof(*g));
	free(g);
}

int wire_guest_call(struct wire_guest *g, uint64_t now, uint8_t ver, uint16_t cmd, dk_slice payload, uint32_t timeout)
{
	if (g->state == WIRE_GUEST_WAITS)
		return -EBUSY;
	if (payload.n > sizeof(g->payload))
		return -EMSGSIZE;
	g->ver = ver;
	g->cmd = cmd;
	g->n = payload.n;
	if (payload.n)
		memcpy(g->payload, payload.p, payload.n);
	g->id++;
	g->said = 0;
	g->over = now + timeout;
	g->state = WIRE_GUEST_WAITS;
	return 0;
}

static size_t call_out(struct wire_guest *g, uint64_t now, uint8_t *buf)
{
	struct wire_unit u = { .kind = WIRE_UNIT_REQUEST,
			       .id = g->id,
			       .left_ms = (uint32_t)(g->over - now),
			       .ver = g->ver,
			       .cmd = g->cmd,
			       .payload = dk_slice_n(g->payload, g->n) };
	struct dk_writer w = dk_writer_on(buf + WIRE_PACKET_HEAD, WIRE_PACKET_PLAIN);

	wire_unit_write(&w, &u);
	return wire_packet_seal(&g->x, buf, dk_written(&w).n);
}

size_t wire_guest_out(struct wire_guest *g, uint64_t now, uint8_t *buf)
{
	if (g->state != WIRE_GUEST_WAITS || now >= g->over || (g->said && now - g->said < AGAIN_MS))
		return 0;
	g->said = now ? now : 1;
	if (g->x.enc)
		return call_out(g, now, buf);
	if (wire_hello_write(g->cluster, WIRE_HELLO_GUEST, 1, 0, &g->hello) < 0)
		return 0;
	g->greeted = true;
	memcpy(buf, g->hello.bytes, WIRE_HELLO_LEN);
	return WIRE_HELLO_LEN;
}

static void got_answer(struct wire_guest *g, dk_slice plain)
{
	struct dk_cursor r = dk_cursor_of(plain);
	struct wire_unit u;

	while (wire_unit_read(&r, &u))
		if (u.kind == WIRE_UNIT_ANSWER && u.id == g->id && g->state == WIRE_GUEST_WAITS) {
			g->status = u.status;
			g->answer_n = u.payload.n;
			if (u.payload.n)
				memcpy(g->answer, u.payload.p, u.payload.n);
			g->state = WIRE_GUEST_ANSWERED;
		}
}

void wire_guest_in(struct wire_guest *g, uint64_t now, dk_slice datagram)
{
	uint8_t out[WIRE_PACKET_MAX];
	uint64_t acked;
	uint32_t index;
	dk_slice plain;

	wire_guest_tick(g, now);
	if (!g->x.enc && g->greeted && wire_welcome_index(datagram, &index)) {
		if (wire_welcome_open(g->cluster, &g->hello, datagram, &acked, &g->x) == WIRE_CLUSTER_PASS) {
			g->reached = true;
			g->said = 0; /* ask at once */
		}
	} else if (g->x.enc && wire_packet_index(datagram, &index) && index == g->x.near &&
		   wire_packet_open(&g->x, datagram, out, &plain) == WIRE_CLUSTER_PASS) {
		got_answer(g, plain);
	}
}

void wire_guest_tick(struct wire_guest *g, uint64_t now)
{
	if (g->state == WIRE_GUEST_WAITS && now >= g->over) {
		g->state = WIRE_GUEST_SILENT;
		wire_contact_fini(&g->x); /* whoever is there next time is greeted anew */
	}
}

uint64_t wire_guest_due(const struct wire_guest *g)
{
	uint64_t again = g->said ? g->said + AGAIN_MS : 0;

	if (g->state != WIRE_GUEST_WAITS)
		return UINT64_MAX;
	return again < g->over ? again : g->over;
}

enum wire_guest_state wire_guest_result(const struct wire_guest *g, int *ret_status, dk_slice *ret_body)
{
	if (g->state == WIRE_GUEST_ANSWERED) {
		*ret_status = g->status;
		*ret_body = dk_slice_n(g->answer, g->answer_n);
	}
	return (enum wire_guest_state)g->state;
}

bool wire_guest_reached(const struct wire_guest *g)
{
	return g->reached;
}
