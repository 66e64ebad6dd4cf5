/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client: the states of its connection, its heartbeat, its output. It owns a wire_peer (UDP) or wire_stream (TCP) and never
 * parses a byte of the wire by itself. Going to other nodes is move.c and search.c.
 *
 * Invariants: the wire object is finished only when none of its callbacks is on the stack (`depth` is 0), so an end that is found
 * inside waits in `ending`. The client key is the first frame of each connection. What the program sends while no connection
 * stands is held, and goes out in its order when one does.
 */
#include <errno.h>
#include <stdlib.h>

#include "priv.h"

#define ECHO_REPEAT_US 1000000 /* an unreliable echo that is not answered is sent again after this */

/* ---- the wire object ---- */

void client_wire_down(struct dkc_client *c)
{
	if (!c->wire_up)
		return;
	if (client_is_udp(c))
		wire_peer_fini(c->ctx->wire, &c->wire.peer);
	else
		wire_stream_fini(c->ctx->wire, &c->wire.stream);
	c->wire_up = false;
	c->rest_n = 0;
}

static int wire_send(struct dkc_client *c, const struct dk_frame *f, unsigned how)
{
	if (client_is_udp(c))
		return wire_peer_send(c->ctx->wire, &c->wire.peer, c->now / 1000, f, how);
	return wire_stream_send(c->ctx->wire, &c->wire.stream, f, how);
}

void client_send_key(struct dkc_client *c)
{
	struct dk_frame f = { .cmd = WIRE_CMD_CLIENT_KEY, .payload = dk_slice_of(dk_str_c(c->client_key)) };

	if (c->client_key)
		wire_send(c, &f, DK_RELIABLE);
}

void client_send_echo(struct dkc_client *c)
{
	uint8_t buf[16 + DK_ADDR_TEXT], list[4 + DK_ADDR_TEXT];
	struct dk_writer locals = dk_writer_on(list, sizeof(list));
	struct dk_frame f = { .cmd = WIRE_CMD_ECHO };
	char text[DK_ADDR_TEXT];

	if (c->local.family && !c->local_told) {
		client_addr_text(&c->local, text);
		dk_wr_bytes32(&locals, dk_slice_of(dk_str_c(text)));
	}
	f.payload = dk_slice_n(buf, wire_echo_encode((double)c->now / 1000, dk_written(&locals), buf, sizeof(buf)));
	wire_send(c, &f, DK_UNRELIABLE);
	c->echo_again = client_is_udp(c) ? c->now + ECHO_REPEAT_US : DKC_NEVER;
}

/* The first one of a connection, from which the others count. */
void client_start_echo(struct dkc_client *c)
{
	client_send_echo(c);
	c->echo_at = c->echo_ms ? c->now + (uint64_t)c->echo_ms * 1000 : DKC_NEVER;
}

void client_send_held(struct dkc_client *c)
{
	struct dk_frame f;

	while (c->state == CLIENT_UP && !client_hushes(c) && wire_outq_peek(c->held, &f)) {
		unsigned how = f.status;

		f.status = 0;
		if (wire_send(c, &f, how) == WIRE_FULL)
			return; /* again at the next tick */
		c->held_bytes -= f.payload.n + CLIENT_HELD_COST;
		client_pending_sent(c, &f);
		wire_outq_pop(c->ctx->wire, &c->held);
	}
}

/* ---- ends and beginnings ---- */

void client_end(struct dkc_client *c, enum dkc_reason reason)
{
	struct dkc_event e = { .kind = DKC_DISCONNECTED, .reason = reason };
	char *text = c->said_text;

	if (c->state == CLIENT_IDLE)
		return;
	if (reason == DKC_BY_SERVER) {
		e.said = c->said;
		e.payload = dk_slice_of(dk_str_c(text));
	}
	c->said = 0;
	c->said_text = NULL;
	c->state = CLIENT_IDLE;
	c->ending = 0;
	c->again = false;
	c->joining = 0;
	client_search_free(c);
	client_seat_free(c);
	if (reason != DKC_BY_CLIENT && reason != DKC_BY_SERVER) /* those two have a last word to say or to acknowledge */
		client_wire_down(c);
	wire_outq_clear(c->ctx->wire, &c->held);
	c->held_bytes = 0;
	client_pending_clear(c);
	client_emit(c, &e);
	free(text);
}

void client_settle(struct dkc_client *c)
{
	enum dkc_reason reason = (enum dkc_reason)c->ending;

	if (!c->depth && c->ending && !client_broke(c, reason))
		client_end(c, reason);
}

/* ---- client ---- */

void dkc_opts_default(struct dkc_opts *opts)
{
	memset(opts, 0, sizeof(*opts));
	opts->echo_ms = 5000;
	opts->request_ms = 10000;
	opts->max_held_bytes = 262144;
	opts->follow = true;
	opts->quiet_ms = 1000;
	opts->probe_ms = 250;
	opts->search_ms = 3000;
}

int dkc_client_new(struct dkc_ctx *ctx, const struct dkc_endpoint *endpoint, const struct dkc_opts *opts,
		   struct dkc_client **ret_client)
{
	struct dkc_client *c = calloc(1, sizeof(*c));
	struct dkc_opts o;

	if (!c)
		return -ENOMEM;
	if (opts)
		o = *opts;
	else
		dkc_opts_default(&o);
	c->ctx = ctx;
	c->to = *endpoint;
	c->event = o.event;
	c->arg = o.arg;
	c->echo_ms = o.echo_ms;
	c->request_ms = o.request_ms;
	c->held_max = o.max_held_bytes;
	c->follow = o.follow;
	c->whole = o.whole;
	c->quiet_ms = o.quiet_ms;
	c->probe_ms = o.probe_ms ? o.probe_ms : 1;
	c->search_ms = o.search_ms;
	if (o.client_key.n)
		c->client_key = strndup(o.client_key.p, o.client_key.n);
	if (o.uid.n)
		c->uid = strndup(o.uid.p, o.uid.n);
	if ((o.client_key.n && !c->client_key) || (o.uid.n && !c->uid)) {
		dkc_client_free(c);
		return -ENOMEM;
	}
	*ret_client = c;
	return 0;
}

void dkc_client_free(struct dkc_client *c)
{
	if (!c)
		return;
	client_socket_free(c);
	client_wire_down(c);
	client_search_free(c);
	client_seat_free(c);
	wire_outq_clear(c->ctx->wire, &c->held);
	free(c->pending);
	free(c->rest);
	free(c->client_key);
	free(c->uid);
	free(c->said_text);
	free(c);
}

void dkc_connect(struct dkc_client *c)
{
	if (c->state == CLIENT_IDLE)
		c->state = CLIENT_WANTED;
}

int dkc_renew(struct dkc_client *c, const struct dkc_endpoint *endpoint)
{
	if (c->state != CLIENT_IDLE)
		return DKC_FULL;
	client_wire_down(c);
	c->to = *endpoint;
	return 0;
}

void dkc_close(struct dkc_client *c)
{
	struct dk_frame fin = { .cmd = WIRE_CMD_FIN };

	if (c->state == CLIENT_IDLE) {
		if (c->wire_up && client_is_udp(c))
			wire_peer_close(c->ctx->wire, &c->wire.peer, c->now / 1000); /* no more waiting */
		return;
	}
	if (c->wire_up) {
		if (client_is_udp(c))
			wire_peer_close(c->ctx->wire, &c->wire.peer, c->now / 1000);
		else
			wire_stream_send(c->ctx->wire, &c->wire.stream, &fin, DK_RELIABLE);
	}
	c->ending = DKC_BY_CLIENT;
	client_settle(c);
}

bool dkc_is_connected(const struct dkc_client *c)
{
	return c->state == CLIENT_UP && !c->ending;
}

uint32_t dkc_rtt_us(const struct dkc_client *c)
{
	return c->rtt_us;
}

void *dkc_arg(const struct dkc_client *c)
{
	return c->arg;
}

int client_send_frame(struct dkc_client *c, const struct dk_frame *f, unsigned how)
{
	struct dk_frame held = *f;

	if (c->state == CLIENT_IDLE || c->ending)
		return DKC_GONE;
	how &= DK_RELIABLE;
	if (c->state == CLIENT_UP && !c->held && !client_hushes(c)) {
		switch (wire_send(c, f, how)) {
		case 0:
			client_seat_sent(c, f);
			return 0;
		case WIRE_FULL:
			return DKC_FULL;
		case WIRE_TOO_LONG:
			return DKC_TOO_LONG;
		default:
			return DKC_GONE;
		}
	}
	if (f->payload.n > c->ctx->limits.max_frame_out)
		return DKC_TOO_LONG;
	if (c->held_bytes + f->payload.n + CLIENT_HELD_COST > c->held_max)
		return DKC_FULL;
	held.status = (uint8_t)how;
	if (wire_outq_add(c->ctx->wire, &c->held, &held, how, 0, c->now / 1000))
		return DKC_FULL;
	c->held_bytes += f->payload.n + CLIENT_HELD_COST;
	client_seat_sent(c, f);
	return 0;
}

int dkc_send(struct dkc_client *c, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how)
{
	struct dk_frame f = { .ver = ver, .cmd = cmd, .payload = payload };

	return client_send_frame(c, &f, how);
}

/* ---- by hand ---- */

const struct dkc_endpoint *dkc_wants_dial(struct dkc_client *c)
{
	if (c->state != CLIENT_WANTED)
		return NULL;
	client_wire_down(c); /* of a former connection: its goodbye had its chance */
	c->state = CLIENT_DIALING;
	c->until = DKC_NEVER; /* set when the time is known */
	c->heard_at = c->now;
	c->local.family = 0;
	return &c->to;
}

void dkc_set_local(struct dkc_client *c, const struct dk_addr *local)
{
	c->local = *local;
}

void dkc_dialed(struct dkc_client *c, uint64_t now_us, int rc, const struct dk_addr *server)
{
	c->now = now_us;
	if (c->state != CLIENT_DIALING)
		return;
	if (!rc) {
		c->server = *server;
		c->heard_at = now_us;
		c->local_told = false;
		c->echo_at = c->echo_again = DKC_NEVER;
		rc = client_is_udp(c) ? wire_peer_init(c->ctx->wire, &c->wire.peer, WIRE_CLIENT, &c->to.cred, now_us / 1000)
				      : wire_stream_init(c->ctx->wire, &c->wire.stream, WIRE_CLIENT, &c->to.cred);
	}
	if (rc) {
		if (!client_broke(c, DKC_UNREACHABLE))
			client_end(c, DKC_UNREACHABLE);
		return;
	}
	c->wire_up = true;
	c->state = CLIENT_OPENING;
	if (client_is_udp(c)) {
		wire_peer_open(c->ctx->wire, &c->wire.peer, now_us / 1000, server);
	} else {
		/* the first frame tells the server who this is; the answer to the heartbeat tells us that it was believed */
		client_send_key(c);
		client_start_echo(c);
	}
}

void dkc_feed(struct dkc_client *c, uint64_t now_us, dk_slice bytes)
{
	struct wire_events ev = client_events(c);

	c->now = now_us;
	if (!c->wire_up || c->depth)
		return;
	c->depth++;
	if (client_is_udp(c))
		wire_peer_recv(c->ctx->wire, &c->wire.peer, now_us / 1000, &c->server, bytes, &ev);
	else
		client_feed_stream(c, bytes, &ev);
	c->depth--;
	client_settle(c);
	client_listen(c);
	if (c->held)
		client_send_held(c);
}

void dkc_hung_up(struct dkc_client *c, uint64_t now_us)
{
	enum dkc_reason reason = DKC_BY_SERVER;
	bool opening = c->state == CLIENT_OPENING;

	c->now = now_us;
	if (c->state == CLIENT_LEAVING) {
		c->until = now_us;
		client_maybe_left(c);
		return;
	}
	if (client_is_udp(c) && c->state != CLIENT_DIALING && !opening) {
		c->refused_at = now_us; /* anybody may have said so, and the node may be back at once: a hint */
		return;
	}
	if (c->state == CLIENT_DIALING || (opening && client_is_udp(c)))
		reason = DKC_UNREACHABLE;
	else if (opening)
		reason = DKC_KILLED;
	if (!client_broke(c, reason == DKC_BY_SERVER ? DKC_UNREACHABLE : reason))
		client_end(c, reason);
}

void dkc_tick(struct dkc_client *c, uint64_t now_us)
{
	struct wire_events ev = client_events(c);
	uint64_t ttl = (uint64_t)c->ctx->opts.ttl_ms * 1000;

	c->now = now_us;
	if (c->depth)
		return;
	if (c->state == CLIENT_DIALING) {
		if (c->until == DKC_NEVER)
			c->until = now_us + ttl;
		else if (now_us >= c->until)
			client_end(c, DKC_UNREACHABLE);
	}
	if (c->wire_up && client_is_udp(c)) {
		c->depth++;
		wire_peer_tick(c->ctx->wire, &c->wire.peer, now_us / 1000, &ev);
		c->depth--;
		client_settle(c);
	} else if (c->wire_up && c->state >= CLIENT_OPENING && now_us >= c->heard_at + ttl) {
		client_end(c, DKC_SILENCE);
	}
	client_watch(c);
	if (!client_is_udp(c) && now_us >= c->until)
		client_maybe_left(c); /* a socket that takes no more does not ask for more */
	client_pending_expire(c);
	if (c->state == CLIENT_UP && now_us >= c->echo_at)
		client_start_echo(c);
	else if (c->state == CLIENT_UP && now_us >= c->echo_again)
		client_send_echo(c);
	if (c->state == CLIENT_UP && c->held)
		client_send_held(c);
}

uint64_t dkc_due(const struct dkc_client *c)
{
	uint64_t due = client_sooner(client_pending_due(c), client_watch_due(c)), t;

	if (c->wire_up && client_is_udp(c)) {
		t = wire_peer_due(c->ctx->wire, &c->wire.peer);
		if (t != WIRE_NEVER && t * 1000 < due)
			due = t * 1000;
	} else if (c->wire_up && c->state >= CLIENT_OPENING && !client_is_udp(c)) {
		t = c->heard_at + (uint64_t)c->ctx->opts.ttl_ms * 1000;
		due = client_sooner(due, t);
	}
	if (c->state == CLIENT_UP) {
		due = client_sooner(due, client_sooner(c->echo_at, c->echo_again));
	}
	if (c->state == CLIENT_LEAVING)
		due = client_sooner(due, c->until);
	if (c->state == CLIENT_DIALING) {
		t = c->until == DKC_NEVER ? c->now : c->until;
		due = client_sooner(due, t);
	}
	return due;
}

size_t dkc_next_datagram(struct dkc_client *c, uint64_t now_us, uint8_t *slot, size_t cap)
{
	struct dk_addr to;
	bool fragment;
	size_t n = 0;

	c->now = now_us;
	if (c->wire_up && client_is_udp(c))
		n = wire_peer_out(c->ctx->wire, &c->wire.peer, now_us / 1000, c->state != CLIENT_UP, slot, cap, &to, &fragment);
	if (!n)
		client_maybe_left(c);
	return n;
}

size_t dkc_next_bytes(struct dkc_client *c, uint8_t *buf, size_t cap, size_t *ret_need)
{
	size_t n = 0;

	*ret_need = 0;
	if (c->wire_up && !client_is_udp(c))
		n = wire_stream_out(c->ctx->wire, &c->wire.stream, buf, cap, ret_need);
	if (!n && !*ret_need)
		client_maybe_left(c);
	return n;
}
