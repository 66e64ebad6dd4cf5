/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client: the states of its connection, its heartbeat, its open requests, its events. It owns a wire_peer (UDP) or wire_stream
 * (TCP) and never parses a byte of the wire by itself.
 *
 * Invariants: the wire object is finished only when none of its callbacks is on the stack (`depth` is 0), so an end that is found
 * inside waits in `ending`. The client key is the first frame of each connection. After the instruction to move nothing new
 * is sent until what was sent is acknowledged; what the program sends meanwhile is held and goes first on the new one.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "priv.h"

#define ECHO_REPEAT_US 1000000 /* an unreliable echo that is not answered is sent again after this */
#define LEAVE_US 200000 /* the server waits that long for acknowledgements of a client that it sends away */
#define PENDING_MAX 1024
#define REST_CHUNK 4096
#define HELD_COST 16 /* what a held frame is charged beside its payload */

/* ---- context ---- */

void dkc_ctx_opts_default(struct dkc_ctx_opts *opts)
{
	struct wire_limits l;

	wire_limits_default(&l);
	memset(opts, 0, sizeof(*opts));
	opts->ttl_ms = 25000; /* five heartbeats */
	opts->retry_interval_ms = l.retry_interval_ms;
	opts->max_retry = l.max_retry;
	opts->max_frame = l.max_frame;
}

static int system_random(void *arg, void *buf, size_t n)
{
	(void)arg;
	for (uint8_t *p = buf; n;) {
		ssize_t k = getrandom(p, n, 0);

		if (k < 0 && errno != EINTR)
			return -errno;
		if (k > 0) {
			p += k;
			n -= (size_t)k;
		}
	}
	return 0;
}

int dkc_ctx_new(const struct dkc_ctx_opts *opts, struct dkc_ctx **ret_ctx)
{
	struct dkc_ctx *ctx = calloc(1, sizeof(*ctx));
	struct wire_ctx_opts o = { .random = system_random };
	int rc;

	if (!ctx)
		return -ENOMEM;
	if (opts)
		ctx->opts = *opts;
	else
		dkc_ctx_opts_default(&ctx->opts);
	wire_limits_default(&o.limits);
	o.limits.ttl_ms = ctx->opts.ttl_ms;
	o.limits.retry_interval_ms = ctx->opts.retry_interval_ms;
	o.limits.max_retry = ctx->opts.max_retry;
	o.limits.flush_ms = ctx->opts.send_interval_ms;
	o.limits.max_frame = o.limits.max_frame_out = ctx->opts.max_frame;
	if (ctx->opts.random) {
		o.random = ctx->opts.random;
		o.arg = ctx->opts.arg;
	}
	ctx->limits = o.limits;
	rc = wire_ctx_new(&o, &ctx->wire);
	if (rc) {
		free(ctx);
		return rc;
	}
	*ret_ctx = ctx;
	return 0;
}

void dkc_ctx_free(struct dkc_ctx *ctx)
{
	if (!ctx)
		return;
	wire_ctx_free(ctx->wire);
	free(ctx);
}

void dkc_ctx_stats(const struct dkc_ctx *ctx, struct dkc_stats *ret_stats)
{
	const struct wire_stats *s = wire_ctx_stats(ctx->wire);
	const uint64_t *drops = wire_ctx_drops(ctx->wire);
	struct dkc_stats r = { s->datagrams_in, s->datagrams_out, s->frames_in, s->frames_out, s->resends, 0 };

	for (int i = 0; i < WIRE_DROPS; i++)
		r.dropped += i == WIRE_DROP_DUPLICATE ? 0 : drops[i];
	*ret_stats = r;
}

/* ---- events ---- */

const char *dkc_reason_text(enum dkc_reason reason)
{
	switch (reason) {
	case DKC_BY_CLIENT:
		return "this client said goodbye";
	case DKC_BY_SERVER:
		return "the server said goodbye";
	case DKC_KILLED:
		return "the server does not know this connection (any more)";
	case DKC_SILENCE:
		return "the server was silent for too long";
	case DKC_RETRY:
		return "reliable frames were not acknowledged";
	case DKC_UNREACHABLE:
		return "the server cannot be reached";
	case DKC_BROKEN:
		return "what came in is not of this protocol";
	}
	return "unknown reason";
}

dk_str dkc_reply_error(const struct dkc_reply *reply, uint32_t *ret_code)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	uint32_t code = 0;

	/* 40 and 50: a code of four bytes comes first */
	if (reply->status == 40 || reply->status == 50)
		code = dk_rd_u32(&c);
	if (ret_code)
		*ret_code = code;
	if (!reply->status)
		return dk_str_c("there was no answer");
	return dk_str_of(dk_rd_rest(&c));
}

static void emit(struct dkc_client *c, const struct dkc_event *e)
{
	if (!c->event)
		return;
	c->delivered++;
	c->event(c->arg, c, e);
}

/* ---- open requests ---- */

static void pending_remove(struct dkc_client *c, uint32_t i)
{
	c->pending_n--;
	memmove(c->pending + i, c->pending + i + 1, (c->pending_n - i) * sizeof(*c->pending));
}

/* Hands the answer to the oldest request of its command. False: nobody waits for it. */
static bool pending_answer(struct dkc_client *c, const struct dk_frame *f)
{
	for (uint32_t i = 0; i < c->pending_n; i++) {
		struct pending p = c->pending[i];
		struct dkc_reply r = { f->ver, f->status, f->cmd, f->payload };

		if (p.ver != f->ver || p.cmd != f->cmd)
			continue;
		pending_remove(c, i);
		if (p.fn) {
			c->delivered++;
			p.fn(p.arg, c, &r);
		}
		return true;
	}
	return false;
}

/* Requests whose time is over are told so, and stay as long again to swallow a late answer, which is not the next one's. */
static void pending_expire(struct dkc_client *c)
{
	for (uint32_t i = 0; i < c->pending_n;) {
		struct pending p = c->pending[i];
		struct dkc_reply r = { p.ver, 0, p.cmd, { NULL, 0 } };

		if (!p.deadline) {
			c->pending[i++].deadline = c->now + (uint64_t)c->request_ms * 1000;
		} else if (p.deadline > c->now) {
			i++;
		} else if (p.fn) {
			c->pending[i].fn = NULL;
			c->pending[i].deadline = c->now + (uint64_t)c->request_ms * 1000;
			c->delivered++;
			p.fn(p.arg, c, &r);
			i = 0; /* fn may have changed the table */
		} else {
			pending_remove(c, i);
		}
	}
}

static void pending_clear(struct dkc_client *c)
{
	while (c->pending_n) {
		struct pending p = c->pending[0];
		struct dkc_reply r = { p.ver, 0, p.cmd, { NULL, 0 } };

		pending_remove(c, 0);
		if (p.fn) {
			c->delivered++;
			p.fn(p.arg, c, &r);
		}
	}
}

static uint64_t pending_due(const struct dkc_client *c)
{
	uint64_t due = DKC_NEVER;

	for (uint32_t i = 0; i < c->pending_n; i++) {
		if (c->pending[i].deadline < due)
			due = c->pending[i].deadline;
	}
	return due;
}

/* ---- the wire object ---- */

static bool is_udp(const struct dkc_client *c)
{
	return c->to.protocol != DKC_TCP;
}

static void wire_down(struct dkc_client *c)
{
	if (!c->wire_up)
		return;
	if (is_udp(c))
		wire_peer_fini(c->ctx->wire, &c->wire.peer);
	else
		wire_stream_fini(c->ctx->wire, &c->wire.stream);
	c->wire_up = false;
	c->rest_n = 0;
}

static int wire_send(struct dkc_client *c, const struct dk_frame *f, unsigned how)
{
	if (is_udp(c))
		return wire_peer_send(c->ctx->wire, &c->wire.peer, c->now / 1000, f, how);
	return wire_stream_send(c->ctx->wire, &c->wire.stream, f, how);
}

static void send_key(struct dkc_client *c)
{
	struct dk_frame f = { .cmd = WIRE_CMD_CLIENT_KEY, .payload = dk_slice_of(dk_str_c(c->client_key)) };

	if (c->client_key)
		wire_send(c, &f, DK_RELIABLE);
}

static void send_echo(struct dkc_client *c)
{
	uint8_t buf[16];
	dk_slice none = { NULL, 0 };
	struct dk_frame f = { .cmd = WIRE_CMD_ECHO };

	f.payload = dk_slice_n(buf, wire_echo_encode((double)c->now / 1000, none, buf, sizeof(buf)));
	wire_send(c, &f, DK_UNRELIABLE);
	c->echo_again = is_udp(c) ? c->now + ECHO_REPEAT_US : DKC_NEVER;
}

/* The first one of a connection, from which the others count. */
static void start_echo(struct dkc_client *c)
{
	send_echo(c);
	c->echo_at = c->echo_ms ? c->now + (uint64_t)c->echo_ms * 1000 : DKC_NEVER;
}

static void send_held(struct dkc_client *c)
{
	struct dk_frame f;

	while (c->state == CLIENT_UP && wire_outq_peek(c->held, &f)) {
		unsigned how = f.status;

		f.status = 0;
		if (wire_send(c, &f, how) == WIRE_FULL)
			return; /* again at the next tick */
		c->held_bytes -= f.payload.n + HELD_COST;
		wire_outq_pop(c->ctx->wire, &c->held);
	}
}

/* ---- ends and beginnings ---- */

static void end(struct dkc_client *c, enum dkc_reason reason)
{
	struct dkc_event e = { .kind = DKC_DISCONNECTED, .reason = reason };

	if (c->state == CLIENT_IDLE)
		return;
	c->state = CLIENT_IDLE;
	c->ending = 0;
	c->again = false;
	if (reason != DKC_BY_CLIENT && reason != DKC_BY_SERVER) /* those two have a last word to say or to acknowledge */
		wire_down(c);
	wire_outq_clear(c->ctx->wire, &c->held);
	c->held_bytes = 0;
	pending_clear(c);
	emit(c, &e);
}

/* After the wire's callbacks: what they found out is done now. */
static void settle(struct dkc_client *c)
{
	if (!c->depth && c->ending)
		end(c, (enum dkc_reason)c->ending);
}

static void connected(struct dkc_client *c)
{
	struct dkc_event e = { .kind = DKC_CONNECTED, .again = c->again };

	c->state = CLIENT_UP;
	c->again = true;
	c->offline_told = false;
	emit(c, &e);
	send_held(c);
}

static void leave(struct dkc_client *c, dk_str address)
{
	struct dkc_event e = { .kind = DKC_MOVING, .address = address };
	const char *colon = address.n ? memrchr(address.p, ':', address.n) : NULL;
	dk_str host = dk_str_n(address.p, colon ? (size_t)(colon - address.p) : 0);
	uint32_t port = 0;

	for (const char *p = colon ? colon + 1 : address.p; colon && p < address.p + address.n; p++)
		port = *p >= '0' && *p <= '9' && port <= 65535 ? port * 10 + (uint32_t)(*p - '0') : 65536;
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = dk_str_n(host.p + 1, host.n - 2);
	if (!host.n || host.n > DKC_HOST_MAX || port < 1 || port > 65535 || c->state != CLIENT_UP)
		return; /* authentic nonsense: stay where we are */
	memcpy(c->to.host, host.p, host.n);
	c->to.host[host.n] = '\0';
	c->to.port = (uint16_t)port;
	c->state = CLIENT_LEAVING;
	c->until = c->now + LEAVE_US;
	emit(c, &e);
}

/* Nothing more came out of the wire object: if the client is to leave and may, it does. */
static void maybe_left(struct dkc_client *c)
{
	if (c->state != CLIENT_LEAVING || c->depth)
		return;
	if (is_udp(c) && c->now < c->until && !wire_peer_drained(&c->wire.peer))
		return;
	wire_down(c);
	c->state = CLIENT_WANTED;
}

/* ---- what the wire tells ---- */

static void on_echo(struct dkc_client *c, const struct dk_frame *f)
{
	struct wire_echo_reply r;
	struct dkc_event e = { .kind = DKC_ECHO };
	struct dk_cursor notes;
	double stamp = 0, age;
	uint64_t bits = 0;

	if (!wire_echo_reply_decode(f->payload, &r))
		return;
	for (int i = 0; i < 8; i++)
		bits |= (uint64_t)r.stamp[i] << (8 * i);
	memcpy(&stamp, &bits, sizeof(stamp));
	age = (double)c->now - stamp * 1000;
	if (!(age >= 0 && age < 60e6)) /* not a number of ours */
		return;
	c->echo_again = DKC_NEVER;
	c->rtt_us = age < 1 ? 1 : (uint32_t)age;
	e.rtt_us = c->rtt_us;
	e.state = r.state;
	e.address = r.address;
	emit(c, &e);
	if (r.state == DKC_STATE_OFFLINE && !c->offline_told) {
		struct dkc_event off = { .kind = DKC_OFFLINE, .state = r.state };

		c->offline_told = true;
		emit(c, &off);
	}
	notes = dk_cursor_of(r.notes);
	while (!notes.bad && notes.p < notes.end) {
		uint16_t n = dk_rd_u16(&notes);
		struct dkc_event note = { .kind = DKC_NOTE };

		note.ver = dk_rd_u8(&notes);
		note.cmd = dk_rd_u16(&notes);
		note.payload = dk_rd_slice(&notes, n >= 5 ? n - 5u : 0);
		if (n < 5 || notes.bad)
			break;
		emit(c, &note);
	}
}

/* The connection's own commands. True when f was one. */
static bool on_utility(struct dkc_client *c, const struct dk_frame *f)
{
	dk_slice payload = f->payload;
	dk_str address;

	switch (f->cmd) {
	case WIRE_CMD_ECHO:
		on_echo(c, f);
		return true;
	case WIRE_CMD_FIN:
		c->ending = DKC_BY_SERVER;
		return true;
	case WIRE_CMD_RECONNECT:
	case WIRE_CMD_RECONNECT_TYPE:
		if (f->status == DK_STATUS_PUSH) { /* pushes are lists */
			struct dk_cursor list = dk_cursor_of(payload);

			wire_list_next(&list, &payload);
		}
		if (!wire_reconnect_decode(payload, &address))
			return false;
		leave(c, address);
		return true;
	default:
		return false;
	}
}

static void on_frame(void *arg, const struct dk_frame *f, bool reliable)
{
	struct dkc_client *c = arg;
	struct dkc_event e = { .ver = f->ver, .status = f->status, .cmd = f->cmd, .reliable = reliable, .payload = f->payload };

	c->heard_at = c->now;
	if (c->ending)
		return;
	if (!is_udp(c) && c->state == CLIENT_OPENING)
		connected(c);
	if (f->ver == 0 && on_utility(c, f))
		return;
	if (f->status == DK_STATUS_PUSH) {
		struct dk_cursor list = dk_cursor_of(f->payload);

		e.kind = DKC_PUSH;
		while (!c->ending && wire_list_next(&list, &e.payload))
			emit(c, &e);
		return;
	}
	e.kind = DKC_RESPONSE;
	if (!pending_answer(c, f))
		emit(c, &e);
}

static void on_opened(void *arg, const struct dk_addr *from)
{
	struct dkc_client *c = arg;

	(void)from;
	if (c->state != CLIENT_OPENING)
		return;
	send_key(c);
	if (c->echo_ms)
		start_echo(c);
	connected(c);
}

static void on_closed(void *arg, enum wire_reason reason)
{
	static const uint8_t map[] = { [WIRE_CLOSED_FIN] = DKC_BY_SERVER,
				       [WIRE_CLOSED_SILENCE] = DKC_SILENCE,
				       [WIRE_CLOSED_RETRY] = DKC_RETRY,
				       [WIRE_CLOSED_KILLED] = DKC_KILLED,
				       [WIRE_CLOSED_LOCAL] = DKC_BY_CLIENT };
	struct dkc_client *c = arg;

	if (!c->ending && c->state != CLIENT_IDLE)
		c->ending = map[reason];
}

static struct wire_events events_of(struct dkc_client *c)
{
	struct wire_events ev = { .arg = c, .frame = on_frame, .opened = on_opened, .closed = on_closed };

	return ev;
}

/* ---- client ---- */

void dkc_opts_default(struct dkc_opts *opts)
{
	memset(opts, 0, sizeof(*opts));
	opts->echo_ms = 5000;
	opts->request_ms = 10000;
	opts->max_held_bytes = 262144;
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
	if (o.client_key.n) {
		c->client_key = strndup(o.client_key.p, o.client_key.n);
		if (!c->client_key) {
			free(c);
			return -ENOMEM;
		}
	}
	*ret_client = c;
	return 0;
}

void dkc_client_free(struct dkc_client *c)
{
	if (!c)
		return;
	client_socket_free(c);
	wire_down(c);
	wire_outq_clear(c->ctx->wire, &c->held);
	free(c->pending);
	free(c->rest);
	free(c->client_key);
	free(c);
}

void dkc_connect(struct dkc_client *c)
{
	if (c->state == CLIENT_IDLE)
		c->state = CLIENT_WANTED;
}

void dkc_close(struct dkc_client *c)
{
	struct dk_frame fin = { .cmd = WIRE_CMD_FIN };

	if (c->state == CLIENT_IDLE)
		return;
	if (c->wire_up) {
		if (is_udp(c))
			wire_peer_close(c->ctx->wire, &c->wire.peer, c->now / 1000);
		else
			wire_stream_send(c->ctx->wire, &c->wire.stream, &fin, DK_RELIABLE);
	}
	c->ending = DKC_BY_CLIENT;
	settle(c);
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

static int send_frame(struct dkc_client *c, const struct dk_frame *f, unsigned how)
{
	struct dk_frame held = *f;

	if (c->state == CLIENT_IDLE || c->ending)
		return DKC_GONE;
	how &= DK_RELIABLE;
	if (c->state == CLIENT_UP && !c->held) {
		switch (wire_send(c, f, how)) {
		case 0:
			return 0;
		case WIRE_FULL:
			return DKC_FULL;
		case WIRE_TOO_LONG:
			return DKC_TOO_LONG;
		default:
			return DKC_GONE;
		}
	}
	if (f->payload.n > c->ctx->limits.max_frame)
		return DKC_TOO_LONG;
	if (c->held_bytes + f->payload.n + HELD_COST > c->held_max)
		return DKC_FULL;
	held.status = (uint8_t)how;
	if (wire_outq_add(c->ctx->wire, &c->held, &held, how, 0, c->now / 1000))
		return DKC_FULL;
	c->held_bytes += f->payload.n + HELD_COST;
	return 0;
}

int dkc_send(struct dkc_client *c, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how)
{
	struct dk_frame f = { .ver = ver, .cmd = cmd, .payload = payload };

	return send_frame(c, &f, how);
}

int dkc_request(struct dkc_client *c, uint8_t ver, uint16_t cmd, dk_slice payload, dkc_reply_fn *fn, void *arg)
{
	struct dk_frame f = { .ver = ver, .cmd = cmd, .payload = payload };
	struct pending *p;
	int rc;

	if (c->pending_n == PENDING_MAX)
		return DKC_FULL;
	if (c->pending_n == c->pending_cap) {
		uint32_t cap = c->pending_cap ? c->pending_cap * 2 : 4;

		p = realloc(c->pending, cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		c->pending = p;
		c->pending_cap = cap;
	}
	rc = send_frame(c, &f, DK_RELIABLE);
	if (rc)
		return rc;
	p = &c->pending[c->pending_n++];
	p->deadline = c->request_ms ? 0 : DKC_NEVER;
	p->fn = fn;
	p->arg = arg;
	p->ver = ver;
	p->cmd = cmd;
	return 0;
}

/* ---- by hand ---- */

const struct dkc_endpoint *dkc_wants_dial(struct dkc_client *c)
{
	if (c->state != CLIENT_WANTED)
		return NULL;
	wire_down(c); /* of a former connection: its goodbye had its chance */
	c->state = CLIENT_DIALING;
	c->until = DKC_NEVER; /* set when the time is known */
	return &c->to;
}

void dkc_dialed(struct dkc_client *c, uint64_t now_us, int rc, const struct dk_addr *server)
{
	c->now = now_us;
	if (c->state != CLIENT_DIALING)
		return;
	if (!rc) {
		c->server = *server;
		c->heard_at = now_us;
		c->echo_at = c->echo_again = DKC_NEVER;
		rc = is_udp(c) ? wire_peer_init(c->ctx->wire, &c->wire.peer, WIRE_CLIENT, &c->to.cred, now_us / 1000)
			       : wire_stream_init(c->ctx->wire, &c->wire.stream, WIRE_CLIENT, &c->to.cred);
	}
	if (rc) {
		end(c, DKC_UNREACHABLE);
		return;
	}
	c->wire_up = true;
	c->state = CLIENT_OPENING;
	if (is_udp(c)) {
		wire_peer_open(c->ctx->wire, &c->wire.peer, now_us / 1000, server);
	} else {
		/* the first frame tells the server who this is; the answer to the heartbeat tells us that it was believed */
		send_key(c);
		start_echo(c);
	}
}

/* Keeps what is no whole frame yet. False: no memory. */
static bool keep_rest(struct dkc_client *c, dk_slice bytes)
{
	if (c->rest_n + bytes.n > c->rest_cap) {
		size_t cap = c->rest_cap ? c->rest_cap : REST_CHUNK;
		uint8_t *p;

		while (cap < c->rest_n + bytes.n)
			cap *= 2;
		p = realloc(c->rest, cap);
		if (!p)
			return false;
		c->rest = p;
		c->rest_cap = cap;
	}
	memcpy(c->rest + c->rest_n, bytes.p, bytes.n);
	c->rest_n += bytes.n;
	return true;
}

static void feed_stream(struct dkc_client *c, dk_slice bytes, const struct wire_events *ev)
{
	dk_slice all = bytes;
	int used;

	if (c->rest_n) {
		if (!keep_rest(c, bytes))
			goto broken;
		all = dk_slice_n(c->rest, c->rest_n);
	}
	used = wire_stream_feed(c->ctx->wire, &c->wire.stream, all, ev);
	if (used < 0)
		goto broken;
	all = dk_slice_n(all.p + used, all.n - (size_t)used);
	if (!c->rest_n) {
		if (all.n && !keep_rest(c, all))
			goto broken;
		return;
	}
	memmove(c->rest, all.p, all.n);
	c->rest_n = all.n;
	return;
broken:
	if (!c->ending)
		c->ending = DKC_BROKEN;
}

void dkc_feed(struct dkc_client *c, uint64_t now_us, dk_slice bytes)
{
	struct wire_events ev = events_of(c);

	c->now = now_us;
	if (!c->wire_up || c->depth)
		return;
	c->depth++;
	if (is_udp(c))
		wire_peer_recv(c->ctx->wire, &c->wire.peer, now_us / 1000, &c->server, bytes, &ev);
	else
		feed_stream(c, bytes, &ev);
	c->depth--;
	settle(c);
	if (c->held)
		send_held(c);
}

void dkc_hung_up(struct dkc_client *c, uint64_t now_us)
{
	c->now = now_us;
	if (c->state == CLIENT_LEAVING) {
		c->until = now_us;
		maybe_left(c);
	} else if (c->state == CLIENT_DIALING || (c->state == CLIENT_OPENING && is_udp(c))) {
		end(c, DKC_UNREACHABLE);
	} else if (c->state == CLIENT_OPENING) {
		end(c, DKC_KILLED);
	} else if (!is_udp(c)) {
		end(c, DKC_BY_SERVER);
	}
}

void dkc_tick(struct dkc_client *c, uint64_t now_us)
{
	struct wire_events ev = events_of(c);
	uint64_t ttl = (uint64_t)c->ctx->opts.ttl_ms * 1000;

	c->now = now_us;
	if (c->depth)
		return;
	if (c->state == CLIENT_DIALING) {
		if (c->until == DKC_NEVER)
			c->until = now_us + ttl;
		else if (now_us >= c->until)
			end(c, DKC_UNREACHABLE);
	}
	if (c->wire_up && is_udp(c)) {
		c->depth++;
		wire_peer_tick(c->ctx->wire, &c->wire.peer, now_us / 1000, &ev);
		c->depth--;
		settle(c);
	} else if (c->state >= CLIENT_OPENING && now_us >= c->heard_at + ttl) {
		end(c, DKC_SILENCE);
	}
	pending_expire(c);
	if (c->state == CLIENT_UP && now_us >= c->echo_at)
		start_echo(c);
	else if (c->state == CLIENT_UP && now_us >= c->echo_again)
		send_echo(c);
	if (c->state == CLIENT_UP && c->held)
		send_held(c);
}

uint64_t dkc_due(const struct dkc_client *c)
{
	uint64_t due = pending_due(c), t;

	if (c->wire_up && is_udp(c)) {
		t = wire_peer_due(c->ctx->wire, &c->wire.peer);
		if (t != WIRE_NEVER && t * 1000 < due)
			due = t * 1000;
	} else if (c->state >= CLIENT_OPENING && !is_udp(c)) {
		t = c->heard_at + (uint64_t)c->ctx->opts.ttl_ms * 1000;
		due = t < due ? t : due;
	}
	if (c->state == CLIENT_UP) {
		t = c->echo_at < c->echo_again ? c->echo_at : c->echo_again;
		due = t < due ? t : due;
	}
	if (c->state == CLIENT_LEAVING)
		due = c->until < due ? c->until : due;
	if (c->state == CLIENT_DIALING) {
		t = c->until == DKC_NEVER ? c->now : c->until;
		due = t < due ? t : due;
	}
	return due;
}

size_t dkc_next_datagram(struct dkc_client *c, uint64_t now_us, uint8_t *slot, size_t cap)
{
	struct dk_addr to;
	bool fragment;
	size_t n = 0;

	c->now = now_us;
	if (c->wire_up && is_udp(c))
		n = wire_peer_out(c->ctx->wire, &c->wire.peer, now_us / 1000, c->state != CLIENT_UP, slot, cap, &to, &fragment);
	if (!n)
		maybe_left(c);
	return n;
}

size_t dkc_next_bytes(struct dkc_client *c, uint8_t *buf, size_t cap, size_t *ret_need)
{
	size_t n = 0;

	*ret_need = 0;
	if (c->wire_up && !is_udp(c))
		n = wire_stream_out(c->ctx->wire, &c->wire.stream, buf, cap, ret_need);
	if (!n && !*ret_need)
		maybe_left(c);
	return n;
}
