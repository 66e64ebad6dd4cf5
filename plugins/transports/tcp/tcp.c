/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Realtime connections over TCP: the wire's frames back to back. A peer is made by admit() and waits; a socket becomes its peer's
 * with the first frame that names the sid and opens under its keys, so knowing a sid is not enough to push somebody out. A second
 * socket of the same credential replaces the first (a client that changed its network).
 *
 * A socket that has not shown a good frame yet is a stranger: it gets no answer, holds at most one frame's bytes, and has
 * connectionTTL seconds.
 */
#include <diarkis/plugin.h>
#include <diarkis/transport.h>
#include <diarkis/version.h>

#include "utility.h"
#include "wire/stream.h"
#include "wire/wire.h"

#include <errno.h>

#define SCAN_PORTS 1000
#define OUT_STEP 4096
#define FRAME_MORE 64 /* header, sid, seal: what maxRcvSize does not count */

struct tcp_conf {
	const char *address, *nic, *type;
	int64_t port, connection_ttl, max_rcv, max_peers, max_output;
	bool enable_encryption, no_delay;
};

struct tcp_peer;

struct tcp_conn {
	struct dk_stream *stream;
	struct tcp_peer *peer; /* NULL: a stranger */
	dk_id candidate; /* the peer whose sid a stranger named */
	uint8_t *buf; /* the start of a frame whose end has not come; NULL mostly */
	uint32_t used, cap;
	struct dk_timer timer; /* strangers only */
};

struct tcp_peer {
	struct wire_stream wire;
	struct tcp_conn *conn; /* NULL: waits for its client */
	uint64_t user;
	struct dk_timer timer;
	struct tcp_peer *next_dirty;
	uint64_t heard_ms;
	uint8_t sid[WIRE_SID_LEN];
	dk_id id;
	bool dirty, opened, dead, slow;
};

struct tcp {
	struct dk_self base;
	struct dk_transport api;
	const struct dk_peer_sink *sink;
	struct wire_ctx *wire;
	struct dk_listener *listener;
	struct dk_table peers;
	struct dk_pool conns;
	struct dk_map by_sid;
	struct tcp_peer *dirty;
	struct tcp_peer *current; /* whose bytes are being handled */
	struct tcp_conn *current_conn;
	char host[DK_ADDR_TEXT];
	struct {
		uint64_t accepted, bytes_in, frames_in, frames_out, unknown_sid, no_frame, too_long, strangers_late, slow,
			bad_utility;
		uint64_t drop_mac, drop_plain, drop_magic, drop_frame, drop_sid;
		int64_t peers, sockets;
	} n;
};

static struct tcp *of(struct dk_transport *t)
{
	return dk_container_of(t, struct tcp, api);
}

/* ---- peers ---- */

static uint32_t sid_hash(const uint8_t *sid)
{
	uint32_t h;

	memcpy(&h, sid, sizeof(h)); /* random bytes of our own making */
	return h;
}

static struct tcp_peer *at_slot(const struct tcp *t, uint32_t slot)
{
	return dk_table_get(&t->peers, dk_table_id_at(&t->peers, slot));
}

static bool same_sid(const void *arg, uint32_t slot, const void *sid)
{
	return memcmp(at_slot(arg, slot)->sid, sid, WIRE_SID_LEN) == 0;
}

static struct tcp_peer *by_sid(const struct tcp *t, const uint8_t *sid)
{
	uint32_t slot = dk_map_find(&t->by_sid, sid_hash(sid), same_sid, t, sid);

	return slot == DK_MAP_NONE ? NULL : at_slot(t, slot);
}

static struct tcp_peer *alive(const struct tcp *t, dk_id id)
{
	struct tcp_peer *p = dk_table_get(&t->peers, id);

	return p && !p->dead ? p : NULL;
}

static void mark_dirty(struct tcp *t, struct tcp_peer *p)
{
	if (p->dirty)
		return;
	p->dirty = true;
	p->next_dirty = t->dirty;
	t->dirty = p;
}

static void bury(struct tcp *t, struct tcp_peer *p)
{
	if (p->dirty)
		for (struct tcp_peer **at = &t->dirty; *at; at = &(*at)->next_dirty)
			if (*at == p) {
				*at = p->next_dirty;
				break;
			}
	dk_timer_stop(&p->timer);
	dk_map_remove(&t->by_sid, sid_hash(p->sid), dk_id_slot(p->id));
	wire_stream_fini(t->wire, &p->wire);
	dk_table_remove(&t->peers, p->id);
	t->n.peers = t->peers.used;
}

/* The peer goes; its socket, if any, is closed after what is queued. */
static void end_peer(struct tcp *t, struct tcp_peer *p, enum dk_reason reason, bool flush)
{
	struct tcp_conn *c = p->conn;

	if (p->dead)
		return;
	p->dead = true;
	p->conn = NULL;
	if (c) {
		c->peer = NULL;
		c->candidate = 0;
		dk_stream_close(c->stream, flush);
	}
	if (t->sink)
		t->sink->closed(t->sink->self, p->user, p->id, reason);
	if (p != t->current)
		bury(t, p);
}

static void on_peer_timer(void *self, struct dk_timer *timer)
{
	struct tcp *t = self;
	const struct tcp_conf *c = t->base.conf;
	struct tcp_peer *p = dk_container_of(timer, struct tcp_peer, timer);
	uint64_t due = p->heard_ms + (uint64_t)c->connection_ttl * 1000;

	/* Lazy: what came meanwhile only moved heard_ms. */
	if (due > dk_now(t))
		dk_timer_start(t, timer, due - dk_now(t), 0, on_peer_timer);
	else
		end_peer(t, p, p->opened ? DK_REASON_SILENCE : DK_REASON_NEVER, false);
}

/* ---- sockets ---- */

static void drop_buffer(struct tcp *t, struct tcp_conn *c)
{
	dk_free(t, c->buf, c->cap);
	c->buf = NULL;
	c->used = c->cap = 0;
}

/* A good frame came: the socket is the peer's from here on. */
static void adopt(struct tcp *t, struct tcp_conn *c, struct tcp_peer *p)
{
	struct tcp_conn *old = p->conn;
	bool again = p->opened;

	if (old) {
		old->peer = NULL;
		old->candidate = 0;
		dk_stream_close(old->stream, false);
	}
	dk_timer_stop(&c->timer);
	c->peer = p;
	p->conn = c;
	p->opened = true;
	if (t->sink)
		t->sink->opened(t->sink->self, p->user, p->id, dk_stream_peer(c->stream), again);
}

static void on_frame(void *arg, const struct dk_frame *frame, bool reliable)
{
	struct tcp *t = arg;
	struct tcp_peer *p = t->current;
	struct utility_peer up = { t, t->sink, p->user, p->id, NULL };
	uint8_t buf[UTILITY_REPLY_MAX];
	struct dk_frame reply;

	(void)reliable;
	if (p->dead)
		return;
	p->heard_ms = dk_now(t);
	t->n.frames_in++;
	if (p->conn != t->current_conn)
		adopt(t, t->current_conn, p);
	if (p->dead)
		return;
	up.addr = dk_stream_peer(t->current_conn->stream);
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
		if (t->sink)
			t->sink->frame(t->sink->self, p->user, p->id, frame, true);
		break;
	}
}

static const struct wire_events tcp_events = { .frame = on_frame };

/* The peer that a stranger's first bytes name. NULL: not known yet (*ret_wait) or nobody's. */
static struct tcp_peer *identify(struct tcp *t, struct tcp_conn *c, dk_slice bytes, bool *ret_wait)
{
	const uint8_t *sid;
	struct tcp_peer *p;
	int rc = wire_stream_peek_sid(bytes, &sid);

	*ret_wait = rc == 0;
	if (rc == 0)
		return NULL;
	if (rc < 0) {
		t->n.no_frame++;
		return NULL;
	}
	p = by_sid(t, sid);
	if (!p || p->dead) {
		t->n.unknown_sid++;
		return NULL;
	}
	c->candidate = p->id;
	return p;
}

/* Uses what can be used of bytes; returns how much, or <0: the socket must go. */
static int feed(struct tcp *t, struct tcp_conn *c, dk_slice bytes)
{
	struct wire_events ev = tcp_events;
	struct tcp_peer *p = c->peer ? c->peer : alive(t, c->candidate);
	bool wait = false;
	int used;

	if (!p)
		p = identify(t, c, bytes, &wait);
	if (!p)
		return wait ? 0 : -EPROTO;
	ev.arg = t;
	t->current = p;
	t->current_conn = c;
	used = wire_stream_feed(t->wire, &p->wire, bytes, &ev);
	t->current = NULL;
	t->current_conn = NULL;
	if (p->dead) {
		bury(t, p);
		return (int)bytes.n; /* the socket is closing already */
	}
	if (used < 0 && c->peer) {
		end_peer(t, p, DK_REASON_PROTOCOL, false);
		return (int)bytes.n;
	}
	return used;
}

static bool keep(struct tcp *t, struct tcp_conn *c, dk_slice rest)
{
	const struct tcp_conf *conf = t->base.conf;
	size_t limit = (size_t)conf->max_rcv + FRAME_MORE, want = c->used + rest.n;

	if (want > limit) {
		t->n.too_long++;
		return false;
	}
	if (want > c->cap) {
		size_t cap = c->cap ? c->cap : 256;
		uint8_t *buf;

		while (cap < want)
			cap *= 2;
		buf = dk_realloc(t, c->buf, c->cap, cap);
		if (!buf)
			return false;
		c->buf = buf;
		c->cap = (uint32_t)cap;
	}
	memcpy(c->buf + c->used, rest.p, rest.n);
	c->used += (uint32_t)rest.n;
	return true;
}

static void refuse(struct tcp *t, struct tcp_conn *c)
{
	if (c->peer)
		end_peer(t, c->peer, DK_REASON_PROTOCOL, false);
	else
		dk_stream_close(c->stream, false);
}

static void tcp_data(void *self, struct dk_stream *s, dk_slice bytes)
{
	struct tcp *t = self;
	struct tcp_conn *c = dk_stream_arg(s);
	int used;

	t->n.bytes_in += bytes.n;
	if (!c->used) {
		used = feed(t, c, bytes);
		if (used < 0 || ((size_t)used < bytes.n && !keep(t, c, dk_slice_n(bytes.p + used, bytes.n - (size_t)used))))
			refuse(t, c);
		return;
	}
	if (!keep(t, c, bytes)) {
		refuse(t, c);
		return;
	}
	used = feed(t, c, dk_slice_n(c->buf, c->used));
	if (used < 0) {
		refuse(t, c);
		return;
	}
	c->used -= (uint32_t)used;
	if (c->used)
		memmove(c->buf, c->buf + used, c->used);
	else
		drop_buffer(t, c);
}

static void tcp_closed(void *self, struct dk_stream *s, int err)
{
	struct tcp *t = self;
	struct tcp_conn *c = dk_stream_arg(s);
	struct tcp_peer *p = c->peer;

	(void)err;
	dk_timer_stop(&c->timer);
	drop_buffer(t, c);
	t->n.sockets--;
	dk_pool_put(&t->conns, c);
	if (p) {
		/* The client may come back with another socket until connectionTTL has passed. */
		p->conn = NULL;
	}
}

static void tcp_drained(void *self, struct dk_stream *s)
{
	struct tcp *t = self;
	struct tcp_conn *c = dk_stream_arg(s);

	if (c->peer)
		mark_dirty(t, c->peer);
}

static const struct dk_stream_ops stream_ops = { .data = tcp_data, .drained = tcp_drained, .closed = tcp_closed };

static void on_stranger_late(void *self, struct dk_timer *timer)
{
	struct tcp *t = self;
	struct tcp_conn *c = dk_container_of(timer, struct tcp_conn, timer);

	t->n.strangers_late++;
	dk_stream_close(c->stream, false);
}

static void tcp_accept(void *self, struct dk_listener *l, struct dk_stream *s)
{
	struct tcp *t = self;
	const struct tcp_conf *conf = t->base.conf;
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
	dk_timer_start(t, &c->timer, (uint64_t)conf->connection_ttl * 1000, 0, on_stranger_late);
}

/* ---- out ---- */

static void flush_peer(struct tcp *t, struct tcp_peer *p)
{
	size_t cap = OUT_STEP;

	while (p->conn) {
		uint8_t *buf = dk_stream_slot(p->conn->stream, cap);
		size_t need = 0, n;

		if (!buf) {
			/* The system takes nothing and maxOutput is reached: the client does not read. */
			p->slow = cap == OUT_STEP ? dk_stream_waiting(p->conn->stream) > 0 : p->slow;
			return;
		}
		n = wire_stream_out(t->wire, &p->wire, buf, cap, &need);
		dk_stream_commit(p->conn->stream, n);
		if (!n && need <= cap)
			return;
		cap = need > OUT_STEP ? need : OUT_STEP;
	}
}

static void copy_counters(struct tcp *t)
{
	const uint64_t *drops = wire_ctx_drops(t->wire);

	t->n.drop_mac = drops[WIRE_DROP_MAC];
	t->n.drop_plain = drops[WIRE_DROP_PLAIN];
	t->n.drop_magic = drops[WIRE_DROP_MAGIC];
	t->n.drop_frame = drops[WIRE_DROP_FRAME];
	t->n.drop_sid = drops[WIRE_DROP_SID];
	t->n.frames_out = wire_ctx_stats(t->wire)->frames_out;
}

static void tcp_turn_end(void *self)
{
	struct tcp *t = self;
	struct tcp_peer *p;

	while ((p = t->dirty)) {
		t->dirty = p->next_dirty;
		p->dirty = false;
		flush_peer(t, p);
		if (p->slow) {
			t->n.slow++;
			end_peer(t, p, DK_REASON_SLOW, false);
		}
	}
	copy_counters(t);
}

/* ---- the service ---- */

static int tcp_attach(struct dk_transport *api, const struct dk_peer_sink *sink)
{
	struct tcp *t = of(api);

	if (t->sink)
		return DK_EXISTS;
	t->sink = sink;
	return 0;
}

static int tcp_admit(struct dk_transport *api, const struct dk_credential *cred, uint64_t user, dk_id *ret_peer)
{
	struct tcp *t = of(api);
	const struct tcp_conf *c = t->base.conf;
	struct tcp_peer *p;
	dk_id id;
	int rc;

	if (by_sid(t, cred->sid))
		return DK_EXISTS;
	p = dk_table_add(&t->peers, &id);
	if (!p)
		return DK_FULL;
	rc = wire_stream_init(t->wire, &p->wire, WIRE_SERVER, cred);
	if (rc == 0)
		rc = dk_map_put(t, &t->by_sid, sid_hash(cred->sid), dk_id_slot(id));
	if (rc) {
		wire_stream_fini(t->wire, &p->wire);
		dk_table_remove(&t->peers, id);
		return rc;
	}
	memcpy(p->sid, cred->sid, sizeof(p->sid));
	p->id = id;
	p->user = user;
	p->heard_ms = dk_now(t);
	dk_timer_start(t, &p->timer, (uint64_t)c->connection_ttl * 1000, 0, on_peer_timer);
	t->n.peers = t->peers.used;
	*ret_peer = id;
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
	flush_peer(t, p);
	end_peer(t, p, reason, true);
}

static int tcp_info(struct dk_transport *api, dk_id peer, struct dk_peer_info *ret_info)
{
	struct tcp_peer *p = alive(of(api), peer);

	if (!p)
		return DK_GONE;
	*ret_info = (struct dk_peer_info){ .open = p->conn != NULL, .last_heard_ms = p->heard_ms };
	if (p->conn)
		ret_info->addr = *dk_stream_peer(p->conn->stream);
	return 0;
}

static void tcp_endpoint(struct dk_transport *api, const char **ret_host, uint16_t *ret_port)
{
	struct tcp *t = of(api);

	*ret_host = t->host;
	*ret_port = t->listener ? dk_listener_addr(t->listener)->port : 0;
}

/* ---- phases ---- */

static int wire_random(void *arg, void *buf, size_t n)
{
	return dk_random(arg, buf, n);
}

static void *wire_alloc(void *arg, size_t n)
{
	return dk_alloc(arg, n);
}

static void wire_free(void *arg, void *p, size_t n)
{
	dk_free(arg, p, n);
}

static int tcp_init(void *self)
{
	struct tcp *t = self;
	const struct tcp_conf *c = t->base.conf;
	struct wire_ctx_opts o = { .random = wire_random, .alloc = wire_alloc, .free = wire_free, .arg = t };

	wire_limits_default(&o.limits);
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
	dk_table_init(t, &t->peers, DK_KIND_PEER, sizeof(struct tcp_peer), (uint32_t)c->max_peers, "TCP peers");
	dk_pool_init(t, &t->conns, sizeof(struct tcp_conn), 0, "TCP sockets");
	return wire_ctx_new(&o, &t->wire);
}

static int tcp_start(void *self)
{
	struct tcp *t = self;
	const struct tcp_conf *c = t->base.conf;
	struct dk_listen_opts o = { .scan = SCAN_PORTS, .no_delay = c->no_delay, .max_output = (uint32_t)c->max_output };
	struct dk_addr host;
	int rc = utility_bind_address(t, c->address, c->nic, (uint16_t)c->port, &o.bind);

	if (rc)
		return rc;
	rc = dk_listen(t, &o, &stream_ops, tcp_accept, &t->listener);
	if (rc) {
		dk_addr_format(&o.bind, t->host);
		dk_log(t, DK_ERROR, "TCP %s cannot be bound, nor the %d ports above it: %s", t->host, SCAN_PORTS, dk_err_text(rc));
		return rc;
	}
	host = *dk_listener_addr(t->listener);
	dk_announce(t, "TCP", &host, true);
	utility_host(&host, t->host);
	return dk_on_turn_end(t, tcp_turn_end);
}

static void tcp_stop(void *self, struct dk_step *step)
{
	struct tcp *t = self;
	uint32_t slot = 0;
	dk_id id;

	while (dk_table_next(&t->peers, &slot, &id))
		tcp_close(&t->api, id, DK_REASON_SHUTDOWN);
	dk_step_done(step, 0);
}

static void tcp_fini(void *self)
{
	struct tcp *t = self;
	uint32_t slot = 0;
	struct tcp_peer *p;
	dk_id id;

	while ((p = dk_table_next(&t->peers, &slot, &id)))
		bury(t, p);
	wire_ctx_free(t->wire);
	dk_map_fini(t, &t->by_sid);
	dk_table_fini(&t->peers);
	dk_pool_fini(&t->conns);
}

/* ---- the constant ---- */

static const struct dk_provide tcp_provides[] = { DK_PROVIDE(struct tcp, api, DK_TRANSPORT), { 0 } };

static const struct dk_option tcp_options[] = {
	DK_STR(struct tcp_conf, address, "address", "127.0.0.1", "IP address to bind; empty: that of nic"),
	DK_STR(struct tcp_conf, nic, "nic", "eth0", "interface whose address is bound when address is empty"),
	DK_INT(struct tcp_conf, port, "port", "7200", 0, 65535, "first port tried; taken ones are passed over upward; 0: any"),
	DK_STR(struct tcp_conf, type, "type", "", "server type that endpoint requests name; empty: TCP"),
	DK_BOOL(struct tcp_conf, enable_encryption, "enableEncryption", "true", "seal frames; must agree with the endpoint plugin"),
	DK_INT(struct tcp_conf, connection_ttl, "connectionTTL", "10", 1, 86400, "silence after which a user is gone", .unit = "s",
	       .flags = DK_RELOADABLE),
	DK_INT(struct tcp_conf, max_rcv, "maxRcvSize", "8000", 64, 16777215, "largest request", .unit = "bytes"),
	DK_BOOL(struct tcp_conf, no_delay, "noDelay", "false", "send small segments at once (TCP_NODELAY)"),
	DK_INT(struct tcp_conf, max_output, "maxOutput", "1048576", 65536, 1073741824,
	       "output that may wait for a client that does not read", .unit = "bytes"),
	DK_INT(struct tcp_conf, max_peers, "maxPeers", "100000", 1, 16000000, "clients at most"),
	{ 0 },
};

static const struct dk_counter tcp_counters[] = {
	DK_COUNTER(struct tcp, accepted, "sockets accepted"),
	DK_COUNTER(struct tcp, bytes_in, "bytes received"),
	DK_COUNTER(struct tcp, frames_in, "frames received"),
	DK_COUNTER(struct tcp, frames_out, "frames sent"),
	DK_COUNTER(struct tcp, unknown_sid, "sockets closed: their first frame named a sid that is not here"),
	DK_COUNTER(struct tcp, no_frame, "sockets closed: what they sent first is no frame"),
	DK_COUNTER(struct tcp, too_long, "connections closed: a frame beyond maxRcvSize"),
	DK_COUNTER(struct tcp, strangers_late, "sockets closed: no good frame within connectionTTL"),
	DK_COUNTER(struct tcp, slow, "connections closed: the client did not read"),
	DK_COUNTER(struct tcp, bad_utility, "malformed echoes and pings"),
	DK_COUNTER(struct tcp, drop_mac, "frames with a wrong seal"),
	DK_COUNTER(struct tcp, drop_plain, "frames whose length or padding inside the seal is wrong"),
	DK_COUNTER(struct tcp, drop_magic, "no frame where one must start"),
	DK_COUNTER(struct tcp, drop_frame, "frames beyond their limit"),
	DK_COUNTER(struct tcp, drop_sid, "frames of another sid on a bound socket"),
	DK_GAUGE(struct tcp, peers, "clients admitted"),
	DK_GAUGE(struct tcp, sockets, "sockets open"),
	{ 0 },
};

static const struct dk_ops tcp_ops = { .init = tcp_init, .start = tcp_start, .stop = tcp_stop, .fini = tcp_fini };

DK_PLUGIN(tcp) = {
	DK_PLUGIN_HEAD("tcp", DK_VERSION, "realtime connections over TCP"),
	.self_size = sizeof(struct tcp),
	.conf_size = sizeof(struct tcp_conf),
	.provides = tcp_provides,
	.options = tcp_options,
	.counters = tcp_counters,
	.ops = &tcp_ops,
};
