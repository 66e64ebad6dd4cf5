/* SPDX-License-Identifier: Apache-2.0 */
/* See world.h. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

static int world_random(void *arg, void *buf, size_t n)
{
	struct world *w = arg;

	for (uint8_t *p = buf; n--; p++) {
		w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
		*p = (uint8_t)(w->seed >> 56);
	}
	return 0;
}

void world_say(struct world *w, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(w->log + w->log_n, sizeof(w->log) - w->log_n, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof(w->log) - w->log_n)
		w->log_n += (size_t)n;
}

static void on_event(void *arg, struct dkc_client *c, const struct dkc_event *e)
{
	struct world *w = arg;

	(void)c;
	switch (e->kind) {
	case DKC_CONNECTED:
		world_say(w, e->again ? "again " : "connected ");
		break;
	case DKC_RESPONSE:
		w->responses++;
		break;
	case DKC_PUSH:
		w->pushes++;
		break;
	case DKC_ECHO:
		w->echoes++;
		break;
	case DKC_OFFLINE:
		world_say(w, "offline ");
		break;
	case DKC_NOTE:
		world_say(w, "note:%u:%u:" DK_STR_FMT " ", e->ver, e->cmd, DK_STR_ARG(dk_str_of(e->payload)));
		break;
	case DKC_MOVING:
		world_say(w, "moving:" DK_STR_FMT " ", DK_STR_ARG(e->address));
		break;
	case DKC_DISCONNECTED:
		world_say(w, "disconnected:%d ", e->reason);
		break;
	case DKC_SEARCHING:
		world_say(w, "searching ");
		break;
	case DKC_ROOM_LOST:
		world_say(w, "lost:%.4s ", e->room->c);
		break;
	case DKC_ROOM_MOVED:
		world_say(w, "room:%.4s>%.4s ", e->former->c, e->room->c);
		break;
	}
	if (w->event)
		w->event(w, e);
}

/* ---- servers ---- */

void server_send(struct server *s, uint8_t ver, uint16_t cmd, uint8_t status, dk_slice payload, unsigned how)
{
	struct dk_frame f = { .ver = ver, .cmd = cmd, .status = status, .payload = payload };

	if (s->world->tcp)
		ck_assert_int_eq(wire_stream_send(s->world->wire, &s->stream, &f, how), 0);
	else
		ck_assert_int_eq(wire_peer_send(s->world->wire, &s->peer, s->world->now / 1000, &f, how), 0);
}

static void server_echo(struct server *s, const struct dk_frame *f)
{
	struct wire_echo e;
	struct wire_echo_reply r = { .state = s->echo_state ? s->echo_state : 1,
				     .address = dk_str_c("127.0.0.9:4000"),
				     .notes = s->echo_notes };
	uint8_t buf[512];

	ck_assert(wire_echo_decode(f->payload, &e));
	s->echoes++;
	if (e.locals.n && e.locals.n <= sizeof(s->locals_bytes)) {
		memcpy(s->locals_bytes, e.locals.p, e.locals.n);
		s->locals = dk_slice_n(s->locals_bytes, e.locals.n);
	}
	if (s->mute)
		return;
	memcpy(r.stamp, e.stamp, sizeof(r.stamp));
	server_send(s, 0, WIRE_CMD_ECHO, DK_STATUS_OK, dk_slice_n(buf, wire_echo_reply_encode(&r, buf, sizeof(buf))),
		    DK_UNRELIABLE);
}

static void server_frame(void *arg, const struct dk_frame *f, bool reliable)
{
	struct server *s = arg;

	s->frames++;
	if (f->ver == 0 && f->cmd == WIRE_CMD_ECHO)
		server_echo(s, f);
	else if (s->frame)
		s->frame(s, f, reliable);
}

static void server_opened(void *arg, const struct dk_addr *from)
{
	struct server *s = arg;

	(void)from;
	s->opened++;
}

static void server_closed(void *arg, enum wire_reason reason)
{
	struct server *s = arg;

	s->closed++;
	s->reason = reason;
}

static struct wire_events server_events(struct server *s)
{
	struct wire_events ev = { .arg = s, .frame = server_frame, .opened = server_opened, .closed = server_closed };

	return ev;
}

static void server_start(struct world *w, int i)
{
	struct server *s = &w->server[i];

	s->world = w;
	s->up = s->accepts = true;
	s->addr = (struct dk_addr){ .ip = { 127, 0, 0, (uint8_t)(1 + i) }, .port = (uint16_t)(7100 + i), .family = 4 };
	ck_assert_int_eq(wire_peer_init(w->wire, &s->peer, WIRE_SERVER, &w->endpoint.cred, w->now / 1000), 0);
	ck_assert_int_eq(wire_stream_init(w->wire, &s->stream, WIRE_SERVER, &w->endpoint.cred), 0);
}

/* ---- links ---- */

static void fly(struct world *w, bool up, int server, const uint8_t *p, size_t n)
{
	uint64_t at[2];
	int copies = wire_link_pass(up ? &w->up : &w->down, w->now, n, at);

	if (up ? w->lose_up : w->lose_down) {
		up ? w->lose_up-- : w->lose_down--;
		return;
	}
	for (int i = 0; i < copies; i++) {
		struct flight *f = malloc(sizeof(*f));

		ck_assert_int_lt(w->flights, WORLD_FLIGHT);
		f->at = at[i];
		f->order = w->order++;
		f->up = up;
		f->server = server;
		f->n = (uint16_t)n;
		memcpy(f->bytes, p, n);
		w->flight[w->flights++] = f;
	}
}

/* The earliest datagram that has arrived, or NULL. */
static struct flight *landed(struct world *w)
{
	struct flight *f;
	int best = -1;

	for (int i = 0; i < w->flights; i++) {
		if (w->flight[i]->at <= w->now &&
		    (best < 0 || w->flight[i]->at < w->flight[best]->at ||
		     (w->flight[i]->at == w->flight[best]->at && w->flight[i]->order < w->flight[best]->order)))
			best = i;
	}
	if (best < 0)
		return NULL;
	f = w->flight[best];
	w->flight[best] = w->flight[--w->flights];
	return f;
}

static const struct dk_addr client_addr = { .ip = { 127, 0, 0, 9 }, .port = 4000, .family = 4 };

static void land(struct world *w, struct flight *f)
{
	struct server *s = &w->server[f->server];
	struct wire_events ev = server_events(s);
	dk_slice bytes = dk_slice_n(f->bytes, f->n);

	if (!f->up) {
		if (w->at == f->server) {
			dkc_feed(w->client, w->now, bytes);
		} else if (w->try_at == f->server && dkc_feed_try(w->client, w->now, bytes)) {
			w->at = w->try_at;
			w->try_at = -1;
		}
	} else if (s->deaf) {
		return;
	} else if (s->up && !s->accepts) {
		fly(w, false, f->server, wire_kill_packet, 4);
	} else if (s->up) {
		wire_peer_recv(w->wire, &s->peer, w->now / 1000, &client_addr, bytes, &ev);
	}
}

/* ---- time ---- */

static void flush(struct world *w)
{
	uint8_t slot[WIRE_SLOT], *big;
	struct dk_addr to;
	bool fragment;
	size_t n, need;

	for (int i = 0; i < WORLD_SERVERS && !w->tcp; i++) {
		struct server *s = &w->server[i];
		struct wire_events ev = server_events(s);

		if (!s->up)
			continue;
		wire_peer_tick(w->wire, &s->peer, w->now / 1000, &ev);
		while ((n = wire_peer_out(w->wire, &s->peer, w->now / 1000, false, slot, sizeof(slot), &to, &fragment)) > 0)
			fly(w, false, i, slot, n);
	}
	if (!w->tcp) {
		while ((n = dkc_next_try(w->client, w->now, slot, sizeof(slot))) > 0) {
			if (w->try_at >= 0)
				fly(w, true, w->try_at, slot, n);
		}
		while ((n = dkc_next_datagram(w->client, w->now, slot, sizeof(slot))) > 0) {
			if (w->at >= 0)
				fly(w, true, w->at, slot, n);
		}
		return;
	}
	/* TCP: no loss, but pieces of any length */
	big = malloc(1 << 20);
	while (w->at >= 0 && (n = dkc_next_bytes(w->client, big, 1 << 20, &need)) > 0) {
		struct server *s = &w->server[w->at];
		struct wire_events ev = server_events(s);
		int used;

		ck_assert_uint_le(s->rest_n + n, sizeof(s->rest));
		memcpy(s->rest + s->rest_n, big, n);
		s->rest_n += n;
		used = wire_stream_feed(w->wire, &s->stream, dk_slice_n(s->rest, s->rest_n), &ev);
		ck_assert_int_ge(used, 0);
		s->rest_n -= (size_t)used;
		memmove(s->rest, s->rest + used, s->rest_n);
	}
	if (w->at < 0)
		dkc_next_bytes(w->client, big, 1 << 20, &need);
	if (w->at >= 0 && !w->server[w->at].accepts) {
		w->at = -1; /* it does not know this sid, and says so by closing */
		dkc_hung_up(w->client, w->now);
	}
	while (w->at >= 0 && (n = wire_stream_out(w->wire, &w->server[w->at].stream, big, 1 << 20, &need)) > 0) {
		for (size_t at = 0, step; at < n; at += step) {
			uint8_t r;

			world_random(w, &r, 1);
			step = 1 + (size_t)r * r / 16;
			step = step < n - at ? step : n - at;
			dkc_feed(w->client, w->now, dk_slice_n(big + at, step));
		}
	}
	free(big);
	if (dkc_wants_half_close(w->client) && !w->server[w->at].lingers) {
		world_say(w, "half ");
		w->at = -1;
		dkc_hung_up(w->client, w->now);
	}
}

static void dial_try(struct world *w)
{
	static const struct dk_addr nowhere = { .ip = { 127, 0, 0, 99 }, .port = 9, .family = 4 };
	const struct dkc_endpoint *to = dkc_wants_try(w->client);

	if (!dkc_is_trying(w->client))
		w->try_at = -1;
	if (!to)
		return;
	w->tries++;
	w->try_at = to->port - 7100;
	if (!w->server[w->try_at].world)
		w->try_at = -1;
	dkc_tried(w->client, w->now, 0, w->try_at < 0 ? &nowhere : &w->server[w->try_at].addr);
}

static void dial(struct world *w)
{
	const struct dkc_endpoint *to = dkc_wants_dial(w->client);

	dial_try(w);
	if (!to)
		return;
	w->at = to->port - 7100;
	world_say(w, "dial:%s:%u ", to->host, to->port);
	if (w->refuse_dial || !w->server[w->at].up) {
		w->at = -1;
		dkc_dialed(w->client, w->now, -111, NULL);
		return;
	}
	dkc_dialed(w->client, w->now, 0, &w->server[w->at].addr);
}

void world_run(struct world *w, uint64_t us)
{
	uint64_t end = w->now + us;

	for (;;) {
		struct flight *f;
		uint64_t next = end;

		while ((f = landed(w))) {
			land(w, f);
			free(f);
		}
		if (dkc_due(w->client) <= w->now)
			dkc_tick(w->client, w->now);
		flush(w);
		dial(w);
		flush(w);
		if (w->now >= end)
			return;
		for (int i = 0; i < w->flights; i++)
			next = w->flight[i]->at < next ? w->flight[i]->at : next;
		for (int i = 0; i < WORLD_SERVERS && !w->tcp; i++) {
			uint64_t due = w->server[i].up ? wire_peer_due(w->wire, &w->server[i].peer) : WIRE_NEVER;

			if (due != WIRE_NEVER && due * 1000 < next)
				next = due * 1000;
		}
		if (dkc_due(w->client) < next)
			next = dkc_due(w->client);
		w->now = next > w->now ? next : w->now + 1000;
		if (w->now > end)
			w->now = end;
	}
}

bool world_until(struct world *w, const char *word)
{
	for (int i = 0; i < 120000; i++) {
		if (strstr(w->log, word))
			return true;
		world_run(w, 1000);
	}
	return false;
}

void world_init(struct world *w, bool tcp, const struct wire_link_opts *link, const struct dkc_opts *opts)
{
	static const struct wire_link_opts good = { .seed = 1, .delay_ms = 10 };
	struct wire_link_opts l = link ? *link : good;
	struct wire_ctx_opts server = { .random = world_random, .arg = w };
	struct dkc_ctx_opts ctx;
	struct dkc_opts o;

	memset(w, 0, sizeof(*w));
	w->seed = l.seed;
	w->now = 5000000;
	w->tcp = tcp;
	w->at = w->try_at = -1;
	wire_link_init(&w->up, &l);
	l.seed ^= 0x5555;
	wire_link_init(&w->down, &l);
	wire_limits_default(&server.limits);
	ck_assert_int_eq(wire_ctx_new(&server, &w->wire), 0);
	w->endpoint = (struct dkc_endpoint){ .protocol = tcp ? DKC_TCP : DKC_UDP, .port = 7100, .host = "127.0.0.1" };
	for (int i = 0; i < 16; i++) {
		w->endpoint.cred.sid[i] = (uint8_t)(0x40 + i);
		w->endpoint.cred.key[i] = (uint8_t)i;
		w->endpoint.cred.iv[i] = (uint8_t)(0x10 + i);
		w->endpoint.cred.mac_key[i] = (uint8_t)(0x20 + i);
	}
	w->endpoint.cred.encrypted = true;
	server_start(w, 0);
	dkc_ctx_opts_default(&ctx);
	ctx.random = world_random;
	ctx.arg = w;
	ck_assert_int_eq(dkc_ctx_new(&ctx, &w->ctx), 0);
	if (opts)
		o = *opts;
	else
		dkc_opts_default(&o);
	o.event = on_event;
	o.arg = w;
	ck_assert_int_eq(dkc_client_new(w->ctx, &w->endpoint, &o, &w->client), 0);
}

void world_second(struct world *w)
{
	server_start(w, 1);
}

void world_third(struct world *w)
{
	server_start(w, 2);
}

void world_restart(struct world *w, int server)
{
	struct server *s = &w->server[server];

	wire_peer_fini(w->wire, &s->peer);
	wire_stream_fini(w->wire, &s->stream);
	s->rest_n = 0;
	server_start(w, server);
}

void world_fini(struct world *w)
{
	dkc_client_free(w->client);
	dkc_ctx_free(w->ctx); /* asserts that nothing is left */
	for (int i = 0; i < WORLD_SERVERS; i++) {
		if (w->server[i].world) {
			wire_peer_fini(w->wire, &w->server[i].peer);
			wire_stream_fini(w->wire, &w->server[i].stream);
		}
	}
	wire_ctx_free(w->wire);
	for (int i = 0; i < w->flights; i++)
		free(w->flight[i]);
}
