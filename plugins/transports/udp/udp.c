/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP and reliable UDP on one socket. This file owns the peers: it finds them by sid, feeds them datagrams, runs their timers and
 * flushes their output once per turn. What the bytes mean is in wire/.
 *
 * Order for hostile bytes: size and flag, sid (one look-up, no allocation), the peer's rate, then wire_peer_recv(), which checks
 * the seal before it changes anything. Nobody unknown gets an answer, but for the kill packet that a SYN may earn, within a
 * budget; and every refusal moves a counter. Who knows a sid can use up only what the peer's foreign addresses have of its rate.
 *
 * The life of a peer has two ends. When it is dead the sink was told and forgets it; when it is over nothing more goes back and
 * forth. In between it lingers for a second or two, so that what was sent last and the goodbye after it are repeated until they
 * were heard; or, when its user went to another node, so that acknowledgements are. Its memory goes when it is over and out of the
 * list of dirty peers, in which everyone is whose datagram is handled.
 */
#include <diarkis/plugin.h>
#include <diarkis/transport.h>
#include <diarkis/version.h>

#include "peers.h"
#include "public.h"
#include "utility.h"
#include "wire/peer.h"
#include "wire/wire.h"

#define KILLS_PER_S 1000
#define FOREIGN_PER_S 100 /* datagrams looked at that name an open connection from elsewhere: enough for a client that moves */
#define SCAN_PORTS 1000
#define LINGER_MS 300 /* at the node's end */

struct udp_conf {
	const char *address, *nic, *type, *public_host, *metadata;
	int64_t port, connection_ttl, send_interval, rudp_interval, retry_interval, max_retry, packet_rate, max_peers;
	bool enable_p2p, enable_encryption, roaming_mac_only;
};

struct udp_peer {
	struct wire_peer wire; /* the sid comes first */
	struct peer base;
	struct dk_timer timer;
};
_Static_assert(offsetof(struct udp_peer, wire.sid) == 0, "peers.h");
_Static_assert(sizeof(struct udp_peer) <= 312, "two thirds of what an idle user costs");

struct budget {
	uint64_t second;
	uint32_t used;
};

struct udp {
	struct dk_self base;
	struct dk_transport api;
	struct peers peers;
	struct wire_ctx *wire;
	struct dk_udp *socket;
	struct udp_peer *current; /* whose datagram or timer is being handled */
	struct budget kills, kills_self;
	struct dk_step *stopping; /* ends when nobody lingers any more */
	struct dk_timer linger;
	struct public_host where; /* clients are told to connect */
	struct {
		uint64_t packets_in, packets_out, bytes_in, bytes_out, unknown_sid, over_rate, killed, bad_utility;
		uint64_t resends, splits_in, splits_out, frames_in, frames_out;
		uint64_t drop[WIRE_DROPS];
		int64_t peers;
	} n;
	uint64_t early[WIRE_DROPS]; /* drops before a peer was found; the rest is counted by wire/ */
};

static struct udp *of(struct dk_transport *t)
{
	return dk_container_of(t, struct udp, api);
}

/* ---- peers ---- */

static struct udp_peer *of_base(struct peer *p)
{
	return p ? dk_container_of(p, struct udp_peer, base) : NULL;
}

static struct udp_peer *alive(const struct udp *u, dk_id id)
{
	return of_base(peers_alive(&u->peers, id));
}

static void mark_dirty(struct udp *u, struct udp_peer *p)
{
	peers_mark(&u->peers, &p->base);
}

static enum dk_reason reason_of(const struct udp_peer *p, enum wire_reason r)
{
	switch (r) {
	case WIRE_CLOSED_SILENCE:
		return p->base.opened ? DK_REASON_SILENCE : DK_REASON_NEVER;
	case WIRE_CLOSED_RETRY:
		return DK_REASON_RETRY;
	case WIRE_CLOSED_LOCAL:
		return DK_REASON_SERVER;
	default:
		return DK_REASON_CLIENT;
	}
}

static void stop_done(struct udp *u)
{
	struct dk_step *step = u->stopping;

	if (!step || u->peers.table.used)
		return;
	u->stopping = NULL;
	dk_timer_stop(&u->linger);
	dk_step_done(step, 0);
}

/* Gives the peer's memory back, unless it is in the list of the dirty ones: then that comes at the turn's end. */
static void settle(struct udp *u, struct udp_peer *p)
{
	if (!p->base.over || p->base.dirty)
		return;
	dk_timer_stop(&p->timer);
	peers_forget_sid(&u->peers, &p->base);
	wire_peer_fini(u->wire, &p->wire);
	peers_free(&u->peers, &p->base);
	stop_done(u);
}

/* The sink loses the peer. linger: the wire still has something to say to it. */
static void end_peer(struct udp *u, struct udp_peer *p, enum dk_reason reason, bool linger)
{
	p->base.over |= !linger;
	peers_die(&u->peers, &p->base, reason);
	settle(u, p);
}

/* ---- what wire/ tells; u->current is the peer ---- */

static void tell_open(struct udp *u, struct udp_peer *p, const struct dk_addr *from, bool again)
{
	const struct dk_peer_sink *sink = u->peers.sink;

	p->base.opened = true;
	if (sink && !p->base.dead)
		sink->opened(sink->self, p->base.user, p->base.id, from, again);
}

static void on_opened(void *arg, const struct dk_addr *from)
{
	struct udp *u = arg;
	struct udp_peer *p = u->current;
	bool again = p->base.shook; /* a client that began anew with the same credential */

	p->base.shook = true;
	if (!p->base.opened || again)
		tell_open(u, p, from, again);
}

static void on_moved(void *arg, const struct dk_addr *from)
{
	struct udp *u = arg;
	const struct peer *p = &u->current->base;
	const struct dk_peer_sink *sink = u->peers.sink;

	if (sink && !p->dead)
		sink->moved(sink->self, p->user, p->id, from);
}

static void on_closed(void *arg, enum wire_reason reason)
{
	struct udp *u = arg;

	end_peer(u, u->current, reason_of(u->current, reason), false);
}

static void on_frame(void *arg, const struct dk_frame *frame, bool reliable)
{
	struct udp *u = arg;
	struct udp_peer *p = u->current;
	const struct udp_conf *c = u->base.conf;
	const struct dk_peer_sink *sink = u->peers.sink;
	struct utility_peer up = { u, sink, p->base.user, p->base.id, c->enable_p2p ? wire_peer_addr(&p->wire) : NULL };
	uint8_t buf[UTILITY_REPLY_MAX];
	struct dk_frame reply;

	if (p->base.dead)
		return;
	if (!p->base.opened)
		tell_open(u, p, wire_peer_addr(&p->wire), false);
	if (p->base.dead)
		return;
	switch (frame->ver ? UTILITY_NONE : utility_frame(&up, frame, buf, &reply)) {
	case UTILITY_REPLY:
		wire_peer_send(u->wire, &p->wire, dk_now(u), &reply, DK_UNRELIABLE);
		p->base.force = true;
		break;
	case UTILITY_CLOSE:
		end_peer(u, p, DK_REASON_CLIENT, false);
		break;
	case UTILITY_BAD:
		u->n.bad_utility++;
		break;
	case UTILITY_NONE:
		if (sink)
			sink->frame(sink->self, p->base.user, p->base.id, frame, reliable);
		break;
	}
}

static const struct wire_events udp_events = { .frame = on_frame, .opened = on_opened, .moved = on_moved, .closed = on_closed };

/* ---- out ---- */

static void on_timer(void *self, struct dk_timer *t);

/*
 * Timers are looked at in steps of handleRUDPInterval, spread over the peers. What waits for a shorter flush interval is not: it
 * would wait for up to a step more.
 */
static void arm(struct udp *u, struct udp_peer *p)
{
	const struct udp_conf *c = u->base.conf;
	uint64_t due = wire_peer_due(u->wire, &p->wire), now = dk_now(u), step = (uint64_t)c->rudp_interval;

	if (due == WIRE_NEVER || p->base.over)
		return;
	if (due < now)
		due = now;
	if (c->send_interval < 10 || due - now > (uint64_t)c->send_interval)
		due += step - 1 - (due + dk_id_slot(p->base.id)) % step;
	if (!dk_timer_armed(&p->timer) || due < p->timer.due_ms)
		dk_timer_start(u, &p->timer, due > now ? due - now : 1, 0, on_timer);
}

static void flush_peer(struct udp *u, struct udp_peer *p)
{
	uint64_t now = dk_now(u);
	struct dk_addr to = *wire_peer_addr(&p->wire);
	bool fragment = false;

	for (;;) {
		uint8_t *slot = dk_udp_slot(u->socket, &to, WIRE_SLOT);
		struct dk_addr real = to;
		size_t n = wire_peer_out(u->wire, &p->wire, now, p->base.force, slot, WIRE_SLOT, &real, &fragment);

		if (!n)
			break;
		if (!dk_addr_eq(&real, &to)) {
			uint8_t *other = dk_udp_slot(u->socket, &real, WIRE_SLOT);

			if (other != slot)
				memcpy(other, slot, n);
			to = real;
		}
		dk_udp_commit(u->socket, n, fragment ? DK_UDP_FRAGMENT : 0);
		u->n.packets_out++;
		u->n.bytes_out += n;
		if (wire_peer_is_calm(&p->wire))
			break;
	}
	p->base.force = false;
	/* What is timed of a calm peer only moves away from now: the timer looks again when it comes round. */
	if (!wire_peer_is_calm(&p->wire) || !dk_timer_armed(&p->timer))
		arm(u, p);
}

/* wire/ counts by itself; its figures are copied where the node's counters are read from. */
static void copy_counters(struct udp *u)
{
	const struct wire_stats *s = wire_ctx_stats(u->wire);
	const uint64_t *drops = wire_ctx_drops(u->wire);

	for (int i = 0; i < WIRE_DROPS; i++)
		u->n.drop[i] = u->early[i] + drops[i];
	u->n.resends = s->resends;
	u->n.splits_in = s->splits_in;
	u->n.splits_out = s->splits_out;
	u->n.frames_in = s->frames_in;
	u->n.frames_out = s->frames_out;
}

static void udp_turn_end(void *self)
{
	struct udp *u = self;
	struct udp_peer *p;

	while ((p = of_base(peers_next_dirty(&u->peers)))) {
		flush_peer(u, p);
		settle(u, p);
	}
	copy_counters(u);
}

static void on_timer(void *self, struct dk_timer *t)
{
	struct udp *u = self;
	struct udp_peer *p = dk_container_of(t, struct udp_peer, timer);
	struct wire_events ev = udp_events;

	ev.arg = u;
	u->current = p;
	mark_dirty(u, p);
	wire_peer_tick(u->wire, &p->wire, dk_now(u), &ev);
	u->current = NULL;
}

/* ---- in ---- */

static bool within(struct budget *b, uint64_t now_ms)
{
	if (b->second != now_ms / 1000)
		*b = (struct budget){ now_ms / 1000, 0 };
	return b->used++ < KILLS_PER_S;
}

/* A SYN of somebody unknown: a client of a restarted node must learn that it is one. */
static void kill_unknown(struct udp *u, const struct dk_addr *from)
{
	bool own_host = utility_is_loopback(from) || memcmp(from->ip, dk_udp_addr(u->socket)->ip, sizeof(from->ip)) == 0;

	if (!within(own_host ? &u->kills_self : &u->kills, dk_now(u)))
		return;
	memcpy(dk_udp_slot(u->socket, from, sizeof(wire_kill_packet)), wire_kill_packet, sizeof(wire_kill_packet));
	dk_udp_commit(u->socket, sizeof(wire_kill_packet), 0);
	u->n.killed++;
	u->n.packets_out++;
	u->n.bytes_out += sizeof(wire_kill_packet);
}

/*
 * Whether this second still has room for the datagram. Who does not speak from the client's address has little of it, and nothing
 * of what is the client's: a sid can be read on the way, so it must not be enough to silence its owner.
 */
static bool within_rate(const struct udp_conf *c, struct udp_peer *p, uint64_t now, const struct dk_addr *from)
{
	bool own = dk_addr_eq(from, wire_peer_addr(&p->wire));
	struct peer *b = &p->base;

	if (b->second != (uint8_t)(now / 1000)) {
		b->second = (uint8_t)(now / 1000);
		b->own = b->foreign = 0;
	}
	return own ? b->own++ < c->packet_rate : b->foreign < FOREIGN_PER_S && b->foreign++ < FOREIGN_PER_S;
}

static void udp_received(void *self, struct dk_udp *socket, const struct dk_datagram *v, size_t n)
{
	struct udp *u = self;
	const struct udp_conf *c = u->base.conf;
	struct wire_events ev = udp_events;
	uint64_t now = dk_now(u);
	const uint8_t *sid;
	enum wire_drop drop;

	(void)socket;
	ev.arg = u;
	u->n.packets_in += n;
	for (; n > 0; v++, n--) {
		struct udp_peer *p;

		u->n.bytes_in += v->bytes.n;
		if (!wire_peek_sid(v->bytes, &sid, &drop)) {
			u->early[drop]++;
			continue;
		}
		p = of_base(peers_by_sid(&u->peers, sid));
		if (!p || (p->base.dead && wire_is_syn(v->bytes))) {
			u->n.unknown_sid++;
			if (wire_is_syn(v->bytes))
				kill_unknown(u, &v->from);
			continue;
		}
		if (!within_rate(c, p, now, &v->from)) {
			u->n.over_rate++;
			continue;
		}
		u->current = p;
		mark_dirty(u, p);
		wire_peer_recv(u->wire, &p->wire, now, &v->from, v->bytes, &ev);
		u->current = NULL;
	}
}

/* ---- the service ---- */

static int udp_attach(struct dk_transport *t, const struct dk_peer_sink *sink)
{
	return peers_attach(&of(t)->peers, sink);
}

/* A sid whose user went to another node and comes back is free, though the rest of its old peer is still there. */
static void make_way(struct udp *u, const uint8_t *sid)
{
	struct udp_peer *p = of_base(peers_by_sid(&u->peers, sid));

	if (!p || !(p->base.over || wire_peer_has_left(&p->wire)))
		return;
	peers_forget_sid(&u->peers, &p->base);
	p->base.over = true;
	settle(u, p);
}

static int udp_admit(struct dk_transport *t, const struct dk_credential *cred, uint64_t user, dk_id *ret_peer)
{
	struct udp *u = of(t);
	struct peer *base;
	struct udp_peer *p;
	int rc;

	make_way(u, cred->sid);
	rc = peers_add(u, &u->peers, cred->sid, user, &base);
	if (rc)
		return rc;
	p = of_base(base);
	rc = wire_peer_init(u->wire, &p->wire, WIRE_SERVER, cred, dk_now(u));
	if (rc) {
		p->base.over = true;
		settle(u, p);
		return rc;
	}
	arm(u, p);
	*ret_peer = base->id;
	return 0;
}

static int udp_send(struct dk_transport *t, dk_id peer, const struct dk_frame *frame, unsigned how)
{
	struct udp *u = of(t);
	struct udp_peer *p = alive(u, peer);

	if (!p)
		return DK_GONE;
	switch (wire_peer_send(u->wire, &p->wire, dk_now(u), frame, how)) {
	case 0:
		mark_dirty(u, p);
		return 0;
	case WIRE_FULL:
		return DK_FULL;
	case WIRE_TOO_LONG:
		return DK_TOO_LONG;
	default:
		return DK_GONE;
	}
}

static void udp_flush(struct dk_transport *t, dk_id peer)
{
	struct udp *u = of(t);
	struct udp_peer *p = alive(u, peer);

	if (p) {
		p->base.force = true;
		mark_dirty(u, p);
	}
}

static void udp_close(struct dk_transport *t, dk_id peer, enum dk_reason reason)
{
	struct udp *u = of(t);
	struct udp_peer *p = alive(u, peer);
	bool open;

	if (!p)
		return;
	open = wire_peer_is_open(&p->wire);
	if (reason == DK_REASON_MOVED)
		wire_peer_leave(u->wire, &p->wire, dk_now(u));
	else if (open)
		wire_peer_close(u->wire, &p->wire, dk_now(u));
	p->base.force = true;
	mark_dirty(u, p);
	if (open)
		arm(u, p);
	end_peer(u, p, reason, open);
}

static int udp_info(struct dk_transport *t, dk_id peer, struct dk_peer_info *ret_info)
{
	struct udp *u = of(t);
	struct udp_peer *p = alive(u, peer);

	if (!p)
		return DK_GONE;
	*ret_info = (struct dk_peer_info){ .addr = *wire_peer_addr(&p->wire),
					   .rtt_ms = wire_peer_rtt_ms(&p->wire),
					   .open = p->base.opened,
					   .last_heard_ms = p->base.opened ? p->wire.last_valid : 0,
					   .unacked = (uint32_t)wire_peer_unacked(u->wire, &p->wire, NULL, NULL),
					   .held = (uint32_t)wire_peer_held(u->wire, &p->wire, NULL, NULL) };
	return 0;
}

static int udp_credential(struct dk_transport *t, dk_id peer, struct dk_credential *ret_cred)
{
	struct udp_peer *p = alive(of(t), peer);

	if (!p)
		return DK_GONE;
	wire_peer_credential(&p->wire, ret_cred);
	return 0;
}

static size_t udp_unacked(struct dk_transport *t, dk_id peer, dk_frame_fn *fn, void *arg)
{
	struct udp_peer *p = alive(of(t), peer);

	return p ? wire_peer_unacked(of(t)->wire, &p->wire, fn, arg) : 0;
}

static size_t udp_held(struct dk_transport *t, dk_id peer, dk_frame_fn *fn, void *arg)
{
	struct udp_peer *p = alive(of(t), peer);

	return p ? wire_peer_held(of(t)->wire, &p->wire, fn, arg) : 0;
}

static void udp_taken(struct dk_transport *t, dk_id peer, struct dk_writer *w)
{
	const struct udp_peer *p = dk_table_get(&of(t)->peers.table, peer); /* a dead one too */

	if (p)
		wire_peer_taken(&p->wire, w);
}

static int udp_wait(struct dk_transport *t, dk_id peer, uint32_t ms)
{
	struct udp *u = of(t);
	struct udp_peer *p = alive(u, peer);

	if (!p)
		return DK_GONE;
	wire_peer_wait(u->wire, &p->wire, dk_now(u), ms);
	arm(u, p);
	return 0;
}

static void udp_endpoint(struct dk_transport *t, const char **ret_host, uint16_t *ret_port)
{
	struct udp *u = of(t);

	*ret_host = u->where.host;
	*ret_port = u->socket ? dk_udp_addr(u->socket)->port : 0;
}

/* ---- phases ---- */

static void set_limits(struct wire_limits *l, const struct udp_conf *c)
{
	l->retry_interval_ms = (uint32_t)c->retry_interval;
	l->max_retry = (uint32_t)c->max_retry;
	l->ttl_ms = (uint32_t)c->connection_ttl * 1000;
	l->flush_ms = (uint32_t)c->send_interval;
	l->roaming_mac_only = c->roaming_mac_only;
}

static void udp_configure(const void *conf, struct dk_report *rep)
{
	const struct udp_conf *c = conf;

	utility_caution_public(rep, c->address);
	public_configure(rep, c->public_host, c->metadata, c->address);
}

static int udp_init(void *self)
{
	struct udp *u = self;
	const struct udp_conf *c = u->base.conf;
	struct wire_ctx_opts o = utility_wire(u);

	set_limits(&o.limits, c);
	u->api.role = "UDP";
	u->api.type = c->type && *c->type ? c->type : "UDP";
	u->api.encrypted = c->enable_encryption;
	u->api.attach = udp_attach;
	u->api.admit = udp_admit;
	u->api.send = udp_send;
	u->api.flush = udp_flush;
	u->api.close = udp_close;
	u->api.info = udp_info;
	u->api.endpoint = udp_endpoint;
	u->api.credential = udp_credential;
	u->api.unacked = udp_unacked;
	u->api.held = udp_held;
	u->api.wait = udp_wait;
	u->api.taken = udp_taken;
	peers_init(u, &u->peers, sizeof(struct udp_peer), offsetof(struct udp_peer, base), (uint32_t)c->max_peers, &u->n.peers,
		   "UDP peers");
	return wire_ctx_new(&o, &u->wire);
}

static int udp_start(void *self)
{
	struct udp *u = self;
	const struct udp_conf *c = u->base.conf;
	struct dk_udp_opts o = { .scan = SCAN_PORTS };
	char at[DK_ADDR_TEXT];
	int rc = utility_bind_address(u, c->address, c->nic, (uint16_t)c->port, &o.bind);

	if (rc)
		return rc;
	rc = dk_udp_open(u, &o, udp_received, &u->socket);
	if (rc) {
		dk_addr_format(&o.bind, at);
		dk_log(u, DK_ERROR, "UDP %s cannot be bound, nor the %d ports above it: %s", at, SCAN_PORTS, dk_err_text(rc));
		return rc;
	}
	dk_announce(u, "UDP", dk_udp_addr(u->socket), true);
	public_bound(&u->where, dk_udp_addr(u->socket));
	return dk_on_turn_end(u, udp_turn_end);
}

static void udp_ready(void *self, struct dk_step *step)
{
	struct udp *u = self;
	const struct udp_conf *c = u->base.conf;

	public_find(u, &u->where, c->public_host, c->metadata, dk_udp_addr(u->socket), step);
}

static void udp_started(void *self)
{
	struct udp *u = self;

	public_publish(u, &u->where, dk_udp_addr(u->socket)->port);
}

/* Nobody is sent here any more: who was is here in a moment, or does not come. */
static void udp_offline(void *self)
{
	struct udp *u = self;
	uint64_t ttl = (uint64_t)((const struct udp_conf *)u->base.conf)->connection_ttl * 1000, now = dk_now(u);
	uint32_t slot = 0;
	struct udp_peer *p;

	while ((p = of_base(peers_next(&u->peers, &slot))))
		if (!p->base.dead && !p->base.opened && p->wire.last_valid + ttl > now + PEERS_LATE_MS)
			udp_wait(&u->api, p->base.id, PEERS_LATE_MS);
}

static void udp_reload(void *self, const void *old)
{
	struct udp *u = self;
	struct wire_limits l;
	uint32_t slot = 0;
	struct udp_peer *p;

	(void)old;
	wire_limits_default(&l);
	set_limits(&l, u->base.conf);
	wire_ctx_set_limits(u->wire, &l);
	while ((p = of_base(peers_next(&u->peers, &slot))))
		arm(u, p); /* its timer may be due earlier now */
}

/* Who still lingers gets a goodbye that waits for nothing. */
static void on_linger(void *self, struct dk_timer *t)
{
	struct udp *u = self;
	uint32_t slot = 0;
	struct udp_peer *p;

	(void)t;
	while ((p = of_base(peers_next(&u->peers, &slot)))) {
		wire_peer_close(u->wire, &p->wire, dk_now(u));
		p->base.force = true;
		p->base.over = true;
		mark_dirty(u, p);
	}
	udp_turn_end(u);
}

static void on_cancel(void *arg)
{
	on_linger(arg, NULL);
}

static void udp_stop(void *self, struct dk_step *step)
{
	struct udp *u = self;
	uint32_t slot = 0;
	struct udp_peer *p;

	while ((p = of_base(peers_next(&u->peers, &slot)))) {
		udp_close(&u->api, p->base.id, DK_REASON_SHUTDOWN);
		if (wire_peer_has_left(&p->wire)) /* nobody is waited for who is elsewhere */
			end_peer(u, p, DK_REASON_MOVED, false);
	}
	u->stopping = step;
	dk_timer_start(u, &u->linger, LINGER_MS, 0, on_linger);
	dk_step_on_cancel(step, on_cancel, u);
	stop_done(u);
}

static void udp_fini(void *self)
{
	struct udp *u = self;
	uint32_t slot = 0;
	struct udp_peer *p;

	while ((p = of_base(peers_next(&u->peers, &slot)))) {
		p->base.over = true;
		p->base.dirty = false;
		settle(u, p);
	}
	wire_ctx_free(u->wire);
	public_fini(u, &u->where);
	peers_fini(u, &u->peers);
}

/* ---- the constant ---- */

static const struct dk_provide udp_provides[] = { DK_PROVIDE(struct udp, api, DK_TRANSPORT), { 0 } };

static const struct dk_option udp_options[] = {
	DK_STR(struct udp_conf, address, "address", "127.0.0.1", "IP address to bind; empty: that of nic"),
	DK_STR(struct udp_conf, nic, "nic", "eth0", "interface whose address is bound when address is empty"),
	DK_INT(struct udp_conf, port, "port", "7100", 0, 65535, "first port tried; taken ones are passed over upward; 0: any"),
	DK_STR(struct udp_conf, type, "type", "", "server type that endpoint requests name; empty: UDP",
	       .env = "DIARKIS_SERVER_TYPE", .flags = DK_ENV_ALONE),
	PUBLIC_OPTIONS(struct udp_conf),
	DK_BOOL(struct udp_conf, enable_p2p, "enableP2P", "true", "tell clients their public address in echo replies"),
	DK_BOOL(struct udp_conf, enable_encryption, "enableEncryption", "true", "seal frames; must agree with the endpoint plugin"),
	DK_INT(struct udp_conf, connection_ttl, "connectionTTL", "10", 1, 86400, "silence after which a user is gone", .unit = "s",
	       .flags = DK_RELOADABLE),
	DK_INT(struct udp_conf, send_interval, "sendUDPInterval", "0", 0, 1000,
	       "output waits this long to travel together; below 10: not", .unit = "ms", .flags = DK_RELOADABLE),
	DK_INT(struct udp_conf, rudp_interval, "handleRUDPInterval", "100", 10, 1000,
	       "how often timers of reliable data are looked at", .unit = "ms", .flags = DK_RELOADABLE),
	DK_INT(struct udp_conf, retry_interval, "retryInterval", "1000", 10, 60000, "longest pause between two re-sends",
	       .unit = "ms", .flags = DK_RELOADABLE),
	DK_INT(struct udp_conf, max_retry, "maxRetry", "10", 1, 1000, "re-sends before a silent client is given up",
	       .flags = DK_RELOADABLE),
	DK_INT(struct udp_conf, packet_rate, "packetRate", "1000", 1, 1000000, "datagrams a client may send per second",
	       .flags = DK_RELOADABLE),
	DK_INT(struct udp_conf, max_peers, "maxPeers", "1000000", 1, 16000000, "clients at most"),
	DK_BOOL(struct udp_conf, roaming_mac_only, "roamingMacOnly", "false",
		"follow a client to a new address without proof that it receives there", .flags = DK_RELOADABLE),
	{ 0 },
};

#define DROP(which, name, text)                                                                                                    \
	{                                                                                                                          \
		"drop_" name, text, offsetof(struct udp, n.drop[which]), DK_COUNTER_SUM, 0                                         \
	}

static const struct dk_counter udp_counters[] = {
	DK_COUNTER(struct udp, packets_in, "datagrams received"),
	DK_COUNTER(struct udp, packets_out, "datagrams handed to the socket"),
	DK_COUNTER(struct udp, bytes_in, "bytes in them"),
	DK_COUNTER(struct udp, bytes_out, "bytes in those"),
	DK_COUNTER(struct udp, unknown_sid, "datagrams of a sid that is not here"),
	DK_COUNTER(struct udp, over_rate, "datagrams beyond packetRate, or too many that name a connection from elsewhere"),
	DK_COUNTER(struct udp, killed, "kill packets sent to unknown SYNs"),
	DK_COUNTER(struct udp, bad_utility, "malformed echoes, pings and goodbyes"),
	DK_GAUGE(struct udp, peers, "clients admitted"),
	DK_COUNTER(struct udp, frames_in, "frames received"),
	DK_COUNTER(struct udp, frames_out, "frames sent"),
	DK_COUNTER(struct udp, resends, "reliable datagrams sent again"),
	DK_COUNTER(struct udp, splits_in, "chunks of cut messages received"),
	DK_COUNTER(struct udp, splits_out, "chunks of cut messages sent"),
	DROP(WIRE_DROP_SIZE, "size", "too short or too long for a datagram"),
	DROP(WIRE_DROP_FLAG, "flag", "flag unknown or not for a server"),
	DROP(WIRE_DROP_MAGIC, "magic", "no frame where one must start"),
	DROP(WIRE_DROP_FRAME, "frame", "frame beyond the datagram or the limit"),
	DROP(WIRE_DROP_SID, "sid", "a second sid inside one datagram"),
	DROP(WIRE_DROP_MAC, "mac", "seal wrong"),
	DROP(WIRE_DROP_PLAIN, "plain", "length or padding inside the seal wrong"),
	DROP(WIRE_DROP_SEQUENCE, "sequence", "outside the receive window"),
	DROP(WIRE_DROP_DUPLICATE, "duplicate", "delivered already"),
	DROP(WIRE_DROP_ADDRESS, "address", "not from the proven address"),
	DROP(WIRE_DROP_UNPROVEN, "unproven", "needs a proof of its address first"),
	DROP(WIRE_DROP_SPLIT, "split", "split header or set inconsistent"),
	DROP(WIRE_DROP_SPLIT_LIMIT, "split_limit", "message in pieces beyond its limit"),
	DROP(WIRE_DROP_ACK, "ack", "acknowledges nothing in flight"),
	DROP(WIRE_DROP_CLOSED, "closed", "for a connection that has ended"),
	DROP(WIRE_DROP_MEMORY, "memory", "no memory left for it"),
	{ 0 },
};

static const struct dk_ops udp_ops = {
	.configure = udp_configure,
	.init = udp_init,
	.start = udp_start,
	.ready = udp_ready,
	.started = udp_started,
	.reload = udp_reload,
	.offline = udp_offline,
	.stop = udp_stop,
	.fini = udp_fini,
};

DK_PLUGIN(udp) = {
	DK_PLUGIN_HEAD("udp", DK_VERSION, "realtime connections over UDP, plain and reliable"),
	.self_size = sizeof(struct udp),
	.conf_size = sizeof(struct udp_conf),
	.provides = udp_provides,
	.options = udp_options,
	.counters = udp_counters,
	.ops = &udp_ops,
};
