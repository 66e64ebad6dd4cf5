/* SPDX-License-Identifier: Apache-2.0 */
#include "wires.h"

#include <stdio.h>
#include <stdlib.h>

static void die(const struct wires *w, const char *what)
{
	fprintf(stderr, "%s at %llu ms: %s\n", w->from, (unsigned long long)dk_sim_now(w->world), what);
	exit(1);
}

static int by_world(void *arg, void *buf, size_t n)
{
	uint8_t *p = buf;

	while (n--)
		*p++ = (uint8_t)dk_sim_chance(arg);
	return 0;
}

void wires_chance(struct dkc_ctx_opts *o, struct dk_env *world)
{
	o->random = by_world;
	o->arg = world;
}

static void on_tick(void *arg)
{
	struct wires *w = arg;

	w->tick_at = 0;
	if (!w->client)
		return;
	dkc_tick(w->client, wires_now_us(w->world));
	wires_pump(w);
}

static void wake_in_time(struct wires *w)
{
	uint64_t now = dk_sim_now(w->world), due = dkc_due(w->client), at;

	if (due == DKC_NEVER)
		return;
	at = (due + 999) / 1000;
	if (at <= now)
		at = now + 1;
	if (w->tick_at && at >= w->tick_at)
		return;
	w->tick_at = at;
	if (dk_sim_after(w->world, at - now, on_tick, w))
		die(w, "no memory for a timer");
}

/* A name that is none would be a fault of whoever sent the client there. */
static void resolve(const struct wires *w, const struct dkc_endpoint *to, struct dk_addr *ret_addr)
{
	if (dkc_addr_parse(to->host, to->port, ret_addr))
		return;
	fprintf(stderr, "it is sent to '%s'\n", to->host);
	die(w, "a client is sent to what is no address");
}

/* What came is read; the client knows where its connection stands. */
static void on_stream(void *arg, struct dk_sim_tcp *t)
{
	struct wires *w = arg;
	uint64_t now = wires_now_us(w->world);
	dk_slice bytes = dk_sim_tcp_bytes(t);

	if (t != w->tcp)
		return;
	if (w->server.family) { /* once */
		struct dk_addr server = w->server;

		w->server.family = 0;
		dkc_dialed(w->client, now, dk_sim_tcp_state(t) == DK_SIM_TCP_BROKEN ? -1 : 0, &server);
	}
	if (bytes.n)
		dkc_feed(w->client, now, bytes);
	dk_sim_tcp_take(t, bytes.n);
	if (dk_sim_tcp_state(t) >= DK_SIM_TCP_ENDED)
		dkc_hung_up(w->client, now);
	wires_pump(w);
}

static void on_datagram(void *arg, struct dk_sim_udp *u, const struct dk_addr *from, dk_slice bytes)
{
	struct wires *w = arg;
	uint64_t now = wires_now_us(w->world);

	(void)u;
	if (dk_addr_eq(from, &w->server)) {
		dkc_feed(w->client, now, bytes);
	} else if (dk_addr_eq(from, &w->try) && dkc_is_trying(w->client)) {
		if (dkc_feed_try(w->client, now, bytes))
			w->server = w->try;
	} else {
		return; /* from a node that it left */
	}
	wires_pump(w);
}

static void dial(struct wires *w, const struct dkc_endpoint *to)
{
	resolve(w, to, &w->server);
	if (!w->stream) {
		dkc_dialed(w->client, wires_now_us(w->world), 0, &w->server);
		return;
	}
	dk_sim_tcp_close(w->tcp, false);
	w->tcp = NULL;
	if (dk_sim_tcp_connect(w->world, w->from, &w->server, on_stream, w, &w->tcp))
		die(w, "a client found no connection");
}

static void pump_stream(struct wires *w)
{
	static uint8_t buf[64 * 1024];
	size_t n, need;

	if (!w->tcp || dk_sim_tcp_state(w->tcp) != DK_SIM_TCP_OPEN) {
		dkc_next_bytes(w->client, buf, 0, &need); /* a client that leaves may go when nothing can be written */
		return;
	}
	while ((n = dkc_next_bytes(w->client, buf, sizeof(buf), &need)))
		if (dk_sim_tcp_send(w->tcp, dk_slice_n(buf, n)) != n)
			die(w, "a client sends more than a connection holds");
	if (dkc_wants_half_close(w->client))
		dk_sim_tcp_end(w->tcp);
}

static void pump_datagrams(struct wires *w)
{
	uint64_t now = wires_now_us(w->world);
	const struct dkc_endpoint *to;
	uint8_t slot[DKC_SLOT];
	size_t n;

	to = dkc_wants_try(w->client);
	if (to) {
		resolve(w, to, &w->try);
		dkc_tried(w->client, now, 0, &w->try);
	}
	while ((n = dkc_next_datagram(w->client, now, slot, sizeof(slot)))) {
		if (w->tap)
			w->tap(w->arg, dk_slice_n(slot, n));
		dk_sim_udp_send(w->udp, &w->server, dk_slice_n(slot, n));
	}
	while ((n = dkc_next_try(w->client, now, slot, sizeof(slot))))
		dk_sim_udp_send(w->udp, &w->try, dk_slice_n(slot, n));
}

void wires_pump(struct wires *w)
{
	const struct dkc_endpoint *to;

	if (!w->client)
		return;
	to = dkc_wants_dial(w->client);
	if (to)
		dial(w, to);
	if (w->stream)
		pump_stream(w);
	else
		pump_datagrams(w);
	wake_in_time(w);
}

int wires_open(struct wires *w, struct dk_env *world, struct dkc_client *client, bool stream, const char *from)
{
	int rc;

	w->world = world;
	w->client = client;
	w->stream = stream;
	snprintf(w->from, sizeof(w->from), "%s", from);
	rc = stream ? 0 : dk_sim_udp_open(world, from, on_datagram, w, &w->udp);
	if (rc)
		return rc;
	dkc_connect(client);
	wires_pump(w);
	return 0;
}

void wires_cut(struct wires *w)
{
	dk_sim_udp_close(w->udp);
	dk_sim_tcp_close(w->tcp, false);
	w->udp = NULL;
	w->tcp = NULL;
	w->client = NULL;
}
