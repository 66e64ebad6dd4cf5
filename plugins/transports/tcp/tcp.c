/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Realtime connections over TCP: the wire's frames back to back. A peer is made by admit() and waits; a socket becomes its peer's
 * with the first frame that names the sid and opens under its keys, so knowing a sid is not enough to push somebody out. A second
 * socket of the same credential replaces the first (a client that changed its network). A socket that ends leaves its peer waiting
 * for another until connectionTTL has passed.
 *
 * A socket that has not shown a good frame yet is a stranger: it gets no answer, holds at most one frame's bytes, and has
 * connectionTTL seconds; beyond maxStrangers of them the oldest goes.
 *
 * A peer is dead when the sink was told; its memory goes when it is also out of the list of dirty peers, in which everyone is whose
 * bytes are handled. A connection is over when its stream was closed; its memory goes when the stream says so.
 */
#include <diarkis/plugin.h>
#include <diarkis/transport.h>
#include <diarkis/version.h>

#include "peers.h"
#include "public.h"
#include "utility.h"
#include "wire/stream.h"
#include "wire/wire.h"

#include <errno.h>

#define SCAN_PORTS 1000
#define FRAME_MORE 128 /* header, sid, seal: what maxRcvSize does not count */
#define LINGER_MS 300 /* at the node's end */

struct tcp_conf {
	const char *address, *nic, *type, *public_host, *metadata;
	int64_t port, connection_ttl, max_rcv, max_peers, max_output, max_strangers;
	bool enable_encryption, no_delay;
};

struct tcp_peer;

struct tcp_conn {
	struct dk_stream *stream;
	struct tcp_peer *peer; /* NULL: a stranger, or over */
	uint8_t *buf; /* the start of a frame whose end has not come; NULL mostly */
	uint32_t used, cap;
	struct tcp_conn *older, *newer; /* among strangers */
	uint64_t came_ms;
	bool stranger, over;
};

struct tcp_peer {
	struct wire_stream wire; /* the sid comes first */
	struct peer base;
	struct tcp_conn *conn; /* NULL: waits for its client */
	struct dk_timer timer;
	uint64_t heard_ms;
	bool slow;
	bool broke; /* its last socket did not end in order: what the system had taken may be lost */
};
_Static_assert(offsetof(struct tcp_peer, wire.sid) == 0, "peers.h");

struct tcp {
	struct dk_self base;
	struct dk_transport api;
	struct peers peers;
	struct wire_ctx *wire;
	struct dk_listener *listener;
	struct dk_pool conns;
	struct tcp_peer *current; /* whose bytes are being handled */
	struct tcp_conn *oldest, *newest; /* strangers */
	int64_t strangers;
	struct dk_timer strangers_timer;
	struct dk_step *stopping; /* ends when no socket is left */
	struct dk_timer linger;
	struct public_host where; /* clients are told to connect */
	struct {
		uint64_t accepted, bytes_in, bytes_out, frames_in, frames_out, unknown_sid, no_frame, strangers_late,
			strangers_pushed;
		uint64_t slow, bad_utility;
		uint64_t drop[WIRE_DROPS];
		int64_t peers, sockets;
	} n;
};

static struct tcp *of(struct dk_transport *t)
{
	return dk_container_of(t, struct tcp, api);
}

/* ---- peers ---- */

static struct tcp_peer *of_base(struct peer *p)
{
	return p ? dk_container_of(p, struct tcp_peer, base) : NULL;
}

static struct tcp_peer *alive(const struct tcp *t, dk_id id)
{
	return of_base(peers_alive(&t->peers, id));
}

static void mark_dirty(struct tcp *t, struct tcp_peer *p)
{
	peers_mark(&t->peers, &p->base);
}

/* Gives the peer's memory back, unless it is in the list of the dirty ones: then that comes at the turn's end. */
static void settle(struct tcp *t, struct tcp_peer *p)
{
	if (!p->base.dead || p->base.dirty)
		return;
	dk_timer_stop(&p->timer);
	wire_stream_fini(t->wire, &p->wire);
	peers_free(&t->peers, &p->base);
}

static void close_conn(struct tcp *t, struct tcp_conn *c, bool flush);

/* The peer goes; its socket, if any, is closed, after what is queued if flush says so. */
static void end_peer(struct tcp *t, struct tcp_peer *p, enum dk_reason reason, bool flush)
{
	if (p->base.dead)
		return;
	peers_forget_sid(&t->peers, &p->base);
	if (p->conn)
		close_conn(t, p->conn, flush);
	peers_die(&t->peers, &p->base, reason);
	settle(t, p);
}

static void on_peer_timer(void *self, struct dk_timer *timer);

/* heard_ms may lie ahead, or before the clock began: see tcp_wait(). */
static uint64_t silence_ends(const struct tcp *t, const struct tcp_peer *p)
{
	return p->heard_ms + (uint64_t)((const struct tcp_conf *)t->base.conf)->connection_ttl * 1000;
}

/* Lazy: what comes meanwhile only moves heard_ms. */
static void arm_peer(struct tcp *t, struct tcp_peer *p)
{
	uint64_t due = silence_ends(t, p), now = dk_now(t);

	dk_timer_start(t, &p->timer, due > now ? due - now : 1, 0, on_peer_timer);
}

static void on_peer_timer(void *self, struct dk_timer *timer)
{
	struct tcp *t = self;
	struct tcp_peer *p = dk_container_of(timer, struct tcp_peer, timer);

	if (dk_now(t) < silence_ends(t, p))
		arm_peer(t, p);
	else
		end_peer(t, p, p->base.opened ? DK_REASON_SILENCE : DK_REASON_NEVER, false);
}

/* ---- strangers: a queue, oldest first ---- */

static void strangers_remove(struct tcp *t, struct tcp_conn *c)
{
	if (!c->stranger)
		return;
	c->stranger = false;
	*(c->older ? &c->older->newer : &t->oldest) = c->newer;
	*(c->newer ? &c->newer->older : &t->newest) = c->older;
	t->strangers--;
}

static void on_strangers_late(void *self, struct dk_timer *timer)
{
	struct tcp *t = self;
	uint64_t ttl = (uint64_t)((const struct tcp_conf *)t->base.conf)->connection_ttl * 1000;

	while (t->oldest && dk_now(t) - t->oldest->came_ms >= ttl) {
		t->n.strangers_late++;
		close_conn(t, t->oldest, false);
	}
	if (t->oldest)
		dk_timer_start(t, timer, t->oldest->came_ms + ttl - dk_now(t), 0, on_strangers_late);
}

static void strangers_add(struct tcp *t, struct tcp_conn *c)
{
	const struct tcp_conf *conf = t->base.conf;

	if (t->strangers >= conf->max_strangers) {
		t->n.strangers_pushed++;
		close_conn(t, t->oldest, false);
	}
	c->came_ms = dk_now(t);
	c->stranger = true;
	c->older = t->newest;
	*(c->older ? &c->older->newer : &t->oldest) = c;
	t->newest = c;
	t->strangers++;
	if (!dk_timer_armed(&t->strangers_timer))
		dk_timer_start(t, &t->strangers_timer, (uint64_t)conf->connection_ttl * 1000, 0, on_strangers_late);
}

/* ---- sockets ---- */

static void drop_buffer(struct tcp *t, struct tcp_conn *c)
{
	dk_free(t, c->buf, c->cap);
	c->buf = NULL;
	c->used = c->cap = 0;
}

static void close_conn(struct tcp *t, struct tcp_conn *c, bool flush)
{
	if (c->peer)
		c->peer->conn = NULL;
	c->peer = NULL;
	c->over = true;
	strangers_remove(t, c);
	dk_stream_close(c->stream, flush);
}

/* The socket showed a good frame: it is the peer's from here on. */
static void adopt(struct tcp *t, struct tcp_conn *c, struct tcp_peer *p)
{
	const struct dk_peer_sink *sink = t->peers.sink;
	bool again = p->base.opened;

	if (p->conn)
		close_conn(t, p->conn, false);
	strangers_remove(t, c);
	c->peer = p;
	p->conn = c;
	p->base.opened = true;
	p->broke = false;
	if (sink)
		sink->opened(sink->self, p->base.user, p->base.id, dk_stream_peer(c->stream), again);
}

static void on_frame(void *arg, const struct dk_frame *frame, bool reliable)
{
	struct tcp *t = arg;
	struct tcp_peer *p = t->current;
	const struct dk_peer_sink *sink = t->peers.sink;
	struct utility_peer up = { t, sink, p->base.user, p->base.id, NULL };
	uint8_t buf[UTILITY_REPLY_MAX];
	struct dk_frame reply;

	(void)reliable;
	if (p->base.dead)
		return;
	p->heard_ms = dk_now(t);
	up.addr = dk_stream_peer(p->conn->stream);
	switch (frame->ver ? UTILITY_NONE : utility_frame(&up, frame, buf, &reply)) {
	case UTILITY_REPLY:
		wire_stream_send(t->wire, &p->wire, &reply, DK_RELIABLE);
		mark_dirty(t, p);
		break;
	case UTILITY_CLOSE:
		end_peer(t, p, DK_REASON_CLIENT, false);
		break;
	case UTILITY_BAD:
		t->n.bad_utility++;
		break;
	case UTILITY_NONE:
		if (sink)
			sink->frame(sink->self, p->base.user, p->base.id, frame, true);
		break;
	}
}

static const struct wire_events tcp_events = { .frame = on_frame };

/* Whose peer a stranger's first frame makes it; NULL: nobody's yet, or it was sent away. */
static struct tcp_peer *identify(struct tcp *t, struct tcp_conn *c, dk_slice bytes)
{
	const uint8_t *sid;
	struct tcp_peer *p;
	int rc = wire_stream_peek_sid(bytes, &sid);

	if (rc == 0)
		return NULL;
	p = rc > 0 ? of_base(peers_by_sid(&t->peers, sid)) : NULL;
	if (rc < 0)
		t->n.no_frame++;
	else if (!p)
		t->n.unknown_sid++;
	else
		rc = wire_stream_greet(t->wire, &p->wire, bytes);
	if (!p || rc < 0) {
		close_conn(t, c, false);
		return NULL;
	}
	return rc ? p : NULL;
}

/* Uses what can be used of bytes and returns how much that was. The connection may be over afterwards. */
static size_t feed(struct tcp *t, struct tcp_conn *c, dk_slice bytes)
{
	struct wire_events ev = tcp_events;
	struct tcp_peer *p = c->peer ? c->peer : identify(t, c, bytes);
	int used = 0;

	if (!p)
		return 0;
	ev.arg = t;
	t->current = p;
	mark_dirty(t, p); /* so that it outlives this */
	if (!c->peer)
		adopt(t, c, p);
	if (!p->base.dead)
		used = wire_stream_feed(t->wire, &p->wire, bytes, &ev);
	if (used < 0)
		end_peer(t, p, DK_REASON_PROTOCOL, false);
	t->current = NULL;
	return used < 0 ? 0 : (size_t)used;
}

/* Room for cap bytes in the connection's buffer. */
static bool reserve(struct tcp *t, struct tcp_conn *c, size_t cap)
{
	size_t grown = c->cap ? c->cap : 256;
	uint8_t *buf;

	if (cap <= c->cap)
		return true;
	while (grown < cap)
		grown *= 2;
	buf = dk_realloc(t, c->buf, c->cap, grown);
	if (!buf)
		return false;
	c->buf = buf;
	c->cap = (uint32_t)grown;
	return true;
}

/* Keeps the start of a frame, or its middle; returns how much of bytes that was. What does not fit closes the connection. */
static size_t keep(struct tcp *t, struct tcp_conn *c, dk_slice bytes)
{
	size_t n = (size_t)((const struct tcp_conf *)t->base.conf)->max_rcv + FRAME_MORE - c->used;

	if (n > bytes.n)
		n = bytes.n;
	if (!n || !reserve(t, c, c->used + n)) {
		if (c->peer)
			end_peer(t, c->peer, DK_REASON_PROTOCOL, false);
		else
			close_conn(t, c, false);
		return 0;
	}
	memcpy(c->buf + c->used, bytes.p, n);
	c->used += (uint32_t)n;
	return n;
}

static void tcp_data(void *self, struct dk_stream *s, dk_slice bytes)
{
	struct tcp *t = self;
	struct tcp_conn *c = dk_stream_arg(s);
	size_t used;

	t->n.bytes_in += bytes.n;
	/* A frame of which a part is there already is put together first, with as much behind it as the buffer holds. */
	while (!c->over && c->used && bytes.n) {
		used = keep(t, c, bytes);
		bytes = dk_slice_n(bytes.p + used, bytes.n - used);
		used = c->over ? 0 : feed(t, c, dk_slice_n(c->buf, c->used));
		c->used -= (uint32_t)used;
		if (c->used && used)
			memmove(c->buf, c->buf + used, c->used);
	}
	if (!c->used)
		drop_buffer(t, c);
	if (c->over || !bytes.n)
		return;
	used = feed(t, c, bytes);
	if (!c->over && used < bytes.n)
		keep(t, c, dk_slice_n(bytes.p + used, bytes.n - used));
}

static void stop_done(struct tcp *t)
{
	struct dk_step *step = t->stopping;

	if (!step || t->n.sockets)
		return;
	t->stopping = NULL;
	dk_timer_stop(&t->linger);
	dk_step_done(step, 0);
}

static void tcp_closed(void *self, struct dk_stream *s, int err)
{
	struct tcp *t = self;
	struct tcp_conn *c = dk_stream_arg(s);

	if (!c)
		return;
	strangers_remove(t, c);
	if (c->peer) {
		c->peer->conn = NULL; /* the client may come back with another socket */
		c->peer->broke = err < 0;
	}
	drop_buffer(t, c);
	dk_pool_put(&t->conns, c);
	t->n.sockets--;
	stop_done(t);
}

static void tcp_drained(void *self, struct dk_stream *s)
{
	struct tcp *t = self;
	struct tcp_conn *c = dk_stream_arg(s);

	if (c->peer)
		mark_dirty(t, c->peer);
}

static const struct dk_stream_ops stream_ops = { .data = tcp_data, .drained = tcp_drained, .closed = tcp_closed };

static void tcp_accept(void *self, struct dk_listener *l, struct dk_stream *s)
{
	struct tcp *t = self;
	struct tcp_conn *c = dk_pool_get(&t->conns);

	(void)l;
	if (!c) {
		dk_stream_close(s, false);
		return;
	}
	t->n.accepted++;
	t->n.sockets++;
	c->stream = s;
	dk_stream_set_arg(s, c);
	strangers_add(t, c);
}

/* ---- out ---- */

/* Hands what waits to the socket, frame by frame, into a buffer that is as long as needed. */
static void flush_peer(struct tcp *t, struct tcp_peer *p)
{
	const struct tcp_conf *c = t->base.conf;
	size_t need, n;
	uint8_t *buf;

	while (p->conn) {
		wire_stream_out(t->wire, &p->wire, NULL, 0, &need);
		if (!need)
			return;
		buf = dk_stream_slot(p->conn->stream, need);
		if (!buf) { /* full, of what somebody does not read; or ended, as it will say in a moment */
			p->slow |= dk_stream_waiting(p->conn->stream) + need > (size_t)c->max_output;
			return;
		}
		n = wire_stream_out(t->wire, &p->wire, buf, need, &need);
		dk_stream_commit(p->conn->stream, n);
		t->n.bytes_out += n;
	}
}

static void tcp_turn_end(void *self)
{
	struct tcp *t = self;
	struct tcp_peer *p;

	while ((p = of_base(peers_next_dirty(&t->peers)))) {
		if (!p->base.dead)
			flush_peer(t, p);
		if (!p->base.dead && p->slow) {
			t->n.slow++;
			end_peer(t, p, DK_REASON_SLOW, false);
		} else {
			settle(t, p);
		}
	}
	memcpy(t->n.drop, wire_ctx_drops(t->wire), sizeof(t->n.drop));
	t->n.frames_in = wire_ctx_stats(t->wire)->frames_in;
	t->n.frames_out = wire_ctx_stats(t->wire)->frames_out;
}

/* ---- the service ---- */

static int tcp_attach(struct dk_transport *api, const struct dk_peer_sink *sink)
{
	return peers_attach(&of(api)->peers, sink);
}

static int tcp_admit(struct dk_transport *api, const struct dk_credential *cred, uint64_t user, dk_id *ret_peer)
{
	struct tcp *t = of(api);
	struct peer *base;
	struct tcp_peer *p;
	int rc;

	rc = peers_add(t, &t->peers, cred->sid, user, &base);
	if (rc)
		return rc;
	p = of_base(base);
	rc = wire_stream_init(t->wire, &p->wire, WIRE_SERVER, cred);
	if (rc) {
		peers_forget_sid(&t->peers, base);
		peers_free(&t->peers, base);
		return rc;
	}
	p->heard_ms = dk_now(t);
	arm_peer(t, p);
	*ret_peer = base->id;
	return 0;
}

static int tcp_send(struct dk_transport *api, dk_id peer, const struct dk_frame *frame, unsigned how)
{
	struct tcp *t = of(api);
	struct tcp_peer *p = alive(t, peer);

	if (!p)
		return DK_GONE;
	switch (wire_stream_send(t->wire, &p->wire, frame, how)) {
	case 0:
		mark_dirty(t, p);
		return 0;
	case WIRE_TOO_LONG:
		return DK_TOO_LONG;
	case WIRE_FULL:
		if (p->conn && (how & DK_RELIABLE)) {
			p->slow = true;
			mark_dirty(t, p);
		}
		return DK_FULL;
	default:
		return DK_GONE;
	}
}

static void tcp_flush(struct dk_transport *api, dk_id peer)
{
	struct tcp *t = of(api);
	struct tcp_peer *p = alive(t, peer);

	if (p)
		mark_dirty(t, p);
}

static void tcp_close(struct dk_transport *api, dk_id peer, enum dk_reason reason)
{
	struct tcp *t = of(api);
	struct tcp_peer *p = alive(t, peer);

	if (!p)
		return;
	if (reason != DK_REASON_MOVED)
		flush_peer(t, p);
	end_peer(t, p, reason, true);
}

static int tcp_info(struct dk_transport *api, dk_id peer, struct dk_peer_info *ret_info)
{
	struct tcp_peer *p = alive(of(api), peer);

	if (!p)
		return DK_GONE;
	*ret_info = (struct dk_peer_info){ .open = p->conn != NULL,
					   .last_heard_ms = p->base.opened ? p->heard_ms : 0,
					   .unacked = (uint32_t)wire_stream_unacked(&p->wire, NULL, NULL) };
	ret_info->unacked += p->conn || p->broke;
	if (p->conn)
		ret_info->addr = *dk_stream_peer(p->conn->stream);
	return 0;
}

static int tcp_credential(struct dk_transport *api, dk_id peer, struct dk_credential *ret_cred)
{
	struct tcp_peer *p = alive(of(api), peer);

	if (!p)
		return DK_GONE;
	wire_stream_credential(&p->wire, ret_cred);
	return 0;
}

static size_t tcp_unacked(struct dk_transport *api, dk_id peer, dk_frame_fn *fn, void *arg)
{
	struct tcp_peer *p = alive(of(api), peer);

	return p ? wire_stream_unacked(&p->wire, fn, arg) : 0;
}

/* A stream has no gaps. */
static size_t tcp_held(struct dk_transport *api, dk_id peer, dk_frame_fn *fn, void *arg)
{
	(void)api;
	(void)peer;
	(void)fn;
	(void)arg;
	return 0;
}

static int tcp_wait(struct dk_transport *api, dk_id peer, uint32_t ms)
{
	struct tcp *t = of(api);
	struct tcp_peer *p = alive(t, peer);

	if (!p)
		return DK_GONE;
	if (!p->base.opened) {
		p->heard_ms += dk_now(t) + ms - silence_ends(t, p);
		arm_peer(t, p);
	}
	return 0;
}

static void tcp_endpoint(struct dk_transport *api, const char **ret_host, uint16_t *ret_port)
{
	struct tcp *t = of(api);

	*ret_host = t->where.host;
	*ret_port = t->listener ? dk_listener_addr(t->listener)->port : 0;
}

/* ---- phases ---- */

static void tcp_configure(const void *conf, struct dk_report *rep)
{
	const struct tcp_conf *c = conf;

	utility_caution_public(rep, c->address);
	public_configure(rep, c->public_host, c->metadata, c->address);
}

static int tcp_init(void *self)
{
	struct tcp *t = self;
	const struct tcp_conf *c = t->base.conf;
	struct wire_ctx_opts o = utility_wire(t);

	o.limits.max_frame = (uint32_t)c->max_rcv;
	t->api.role = "TCP";
	t->api.type = c->type && *c->type ? c->type : "TCP";
	t->api.encrypted = c->enable_encryption;
	t->api.attach = tcp_attach;
	t->api.admit = tcp_admit;
	t->api.send = tcp_send;
	t->api.flush = tcp_flush;
	t->api.close = tcp_close;
	t->api.info = tcp_info;
	t->api.endpoint = tcp_endpoint;
	t->api.credential = tcp_credential;
	t->api.unacked = tcp_unacked;
	t->api.held = tcp_held;
	t->api.wait = tcp_wait;
	peers_init(t, &t->peers, sizeof(struct tcp_peer), offsetof(struct tcp_peer, base), (uint32_t)c->max_peers, &t->n.peers,
		   "TCP peers");
	dk_pool_init(t, &t->conns, sizeof(struct tcp_conn), 0, "TCP sockets");
	return wire_ctx_new(&o, &t->wire);
}

static int tcp_start(void *self)
{
	struct tcp *t = self;
	const struct tcp_conf *c = t->base.conf;
	struct dk_listen_opts o = { .scan = SCAN_PORTS, .no_delay = c->no_delay, .max_output = (uint32_t)c->max_output };
	char at[DK_ADDR_TEXT];
	int rc = utility_bind_address(t, c->address, c->nic, (uint16_t)c->port, &o.bind);

	if (rc)
		return rc;
	rc = dk_listen(t, &o, &stream_ops, tcp_accept, &t->listener);
	if (rc) {
		dk_addr_format(&o.bind, at);
		dk_log(t, DK_ERROR, "TCP %s cannot be bound, nor the %d ports above it: %s", at, SCAN_PORTS, dk_err_text(rc));
		return rc;
	}
	dk_announce(t, "TCP", dk_listener_addr(t->listener), true);
	public_bound(&t->where, dk_listener_addr(t->listener));
	return dk_on_turn_end(t, tcp_turn_end);
}

static void tcp_ready(void *self, struct dk_step *step)
{
	struct tcp *t = self;
	const struct tcp_conf *c = t->base.conf;

	public_find(t, &t->where, c->public_host, c->metadata, dk_listener_addr(t->listener), step);
}

static void tcp_started(void *self)
{
	struct tcp *t = self;

	public_publish(t, &t->where, dk_listener_addr(t->listener)->port);
}

/* Nobody is sent here any more: who was is here in a moment, or does not come. */
static void tcp_offline(void *self)
{
	struct tcp *t = self;
	uint32_t slot = 0;
	struct tcp_peer *p;

	while ((p = of_base(peers_next(&t->peers, &slot))))
		if (!p->base.dead && !p->base.opened && silence_ends(t, p) > dk_now(t) + PEERS_LATE_MS)
			tcp_wait(&t->api, p->base.id, PEERS_LATE_MS);
}

static void tcp_reload(void *self, const void *old)
{
	struct tcp *t = self;
	uint32_t slot = 0;
	struct tcp_peer *p;

	(void)old;
	while ((p = of_base(peers_next(&t->peers, &slot))))
		if (!p->base.dead)
			arm_peer(t, p);
	if (t->oldest)
		dk_timer_start(t, &t->strangers_timer, 0, 0, on_strangers_late);
}

static void on_linger(void *self, struct dk_timer *timer)
{
	struct tcp *t = self;
	struct dk_step *step = t->stopping;

	(void)timer;
	t->stopping = NULL; /* the kernel closes what is left */
	dk_step_done(step, 0);
}

static void tcp_stop(void *self, struct dk_step *step)
{
	struct tcp *t = self;
	uint32_t slot = 0;
	struct peer *p;

	dk_listener_close(t->listener);
	t->listener = NULL;
	while ((p = peers_next(&t->peers, &slot)))
		tcp_close(&t->api, p->id, DK_REASON_SHUTDOWN);
	while (t->oldest)
		close_conn(t, t->oldest, false);
	t->stopping = step;
	dk_timer_start(t, &t->linger, LINGER_MS, 0, on_linger);
	stop_done(t);
}

static void tcp_fini(void *self)
{
	struct tcp *t = self;
	uint32_t slot = 0;
	struct tcp_peer *p;

	while ((p = of_base(peers_next(&t->peers, &slot)))) {
		p->base.dead = true;
		p->base.dirty = false;
		settle(t, p);
	}
	wire_ctx_free(t->wire);
	public_fini(t, &t->where);
	peers_fini(t, &t->peers);
	dk_pool_fini(&t->conns);
}

/* ---- the constant ---- */

static const struct dk_provide tcp_provides[] = { DK_PROVIDE(struct tcp, api, DK_TRANSPORT), { 0 } };

static const struct dk_option tcp_options[] = {
	DK_STR(struct tcp_conf, address, "address", "127.0.0.1", "IP address to bind; empty: that of nic"),
	DK_STR(struct tcp_conf, nic, "nic", "eth0", "interface whose address is bound when address is empty"),
	DK_INT(struct tcp_conf, port, "port", "7200", 0, 65535, "first port tried; taken ones are passed over upward; 0: any"),
	DK_STR(struct tcp_conf, type, "type", "", "server type that endpoint requests name; empty: TCP",
	       .env = "DIARKIS_SERVER_TYPE", .flags = DK_ENV_ALONE),
	PUBLIC_OPTIONS(struct tcp_conf),
	DK_BOOL(struct tcp_conf, enable_encryption, "enableEncryption", "true", "seal frames; must agree with the endpoint plugin"),
	DK_INT(struct tcp_conf, connection_ttl, "connectionTTL", "10", 1, 86400, "silence after which a user is gone", .unit = "s",
	       .flags = DK_RELOADABLE),
	DK_INT(struct tcp_conf, max_rcv, "maxRcvSize", "8000", 64, 16777215, "largest request", .unit = "bytes"),
	DK_BOOL(struct tcp_conf, no_delay, "noDelay", "false", "send small segments at once (TCP_NODELAY)"),
	DK_INT(struct tcp_conf, max_output, "maxOutput", "1048576", 131072, 268435456,
	       "output that may wait for a client that does not read", .unit = "bytes"),
	DK_INT(struct tcp_conf, max_peers, "maxPeers", "100000", 1, 16000000, "clients at most"),
	DK_INT(struct tcp_conf, max_strangers, "maxStrangers", "1000", 1, 1000000,
	       "sockets that have not shown whose they are; beyond it the oldest is closed"),
	{ 0 },
};

#define DROP(which, name, text)                                                                                                    \
	{                                                                                                                          \
		"drop_" name, text, offsetof(struct tcp, n.drop[which]), DK_COUNTER_SUM, 0                                         \
	}

static const struct dk_counter tcp_counters[] = {
	DK_COUNTER(struct tcp, accepted, "sockets accepted"),
	DK_COUNTER(struct tcp, bytes_in, "bytes received"),
	DK_COUNTER(struct tcp, bytes_out, "bytes handed to the sockets"),
	DK_COUNTER(struct tcp, frames_in, "frames received"),
	DK_COUNTER(struct tcp, frames_out, "frames sent"),
	DK_COUNTER(struct tcp, unknown_sid, "sockets closed: their first frame named a sid that is not here"),
	DK_COUNTER(struct tcp, no_frame, "sockets closed: what they sent first is no frame"),
	DK_COUNTER(struct tcp, strangers_late, "sockets closed: no good frame within connectionTTL"),
	DK_COUNTER(struct tcp, strangers_pushed, "sockets closed: no good frame yet, and maxStrangers newer ones came"),
	DK_COUNTER(struct tcp, slow, "connections closed: the client did not read"),
	DK_COUNTER(struct tcp, bad_utility, "malformed echoes, pings and goodbyes"),
	DROP(WIRE_DROP_MAGIC, "magic", "connections closed: no frame where one must start"),
	DROP(WIRE_DROP_FRAME, "frame", "connections closed: a frame beyond maxRcvSize, or too short for what it holds"),
	DROP(WIRE_DROP_SID, "sid", "connections closed: a frame of another sid"),
	DROP(WIRE_DROP_MAC, "mac", "connections closed: a wrong seal"),
	DROP(WIRE_DROP_PLAIN, "plain", "connections closed: length or padding inside the seal wrong"),
	DK_GAUGE(struct tcp, peers, "clients admitted"),
	DK_GAUGE(struct tcp, sockets, "sockets open"),
	{ 0 },
};

static const struct dk_ops tcp_ops = { .configure = tcp_configure,
				       .init = tcp_init,
				       .start = tcp_start,
				       .ready = tcp_ready,
				       .started = tcp_started,
				       .reload = tcp_reload,
				       .offline = tcp_offline,
				       .stop = tcp_stop,
				       .fini = tcp_fini };

DK_PLUGIN(tcp) = {
	DK_PLUGIN_HEAD("tcp", DK_VERSION, "realtime connections over TCP"),
	.self_size = sizeof(struct tcp),
	.conf_size = sizeof(struct tcp_conf),
	.provides = tcp_provides,
	.options = tcp_options,
	.counters = tcp_counters,
	.ops = &tcp_ops,
};
