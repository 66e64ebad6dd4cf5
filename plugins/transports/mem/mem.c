/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin mem: a transport whose wire is two queues in memory.
 *
 * A peer is the server's end, a client the other; they know each other by handle and by pointer, and either may end first. What
 * clients do is written down as events of the node and handled by one timer that is due at once, so that it happens in a turn
 * of the loop like any packet, whoever called. What the server sends goes straight into the client's queue, or waits in the
 * peer while there is no client yet.
 */
#include <errno.h>

#include <diarkis/mem_transport.h>
#include <diarkis/plugin.h>

enum { CMD_ECHO = 1, NOTES_MAX = 1024, LATE_MS = 3000 };

struct mem_conf {
	const char *type;
	int64_t ttl_s, max_output;
	bool encryption;
};

struct sent { /* one frame from server to client */
	struct sent *next;
	uint32_t n;
	uint16_t cmd;
	uint8_t ver, status;
	bool reliable;
	uint8_t bytes[];
};

struct outbox {
	struct sent *head, **tail; /* tail NULL: empty and never used */
	size_t bytes;
	uint64_t frames_all, bytes_all;
	bool mute;
};

struct peer {
	struct dk_credential cred;
	uint64_t user;
	dk_id id;
	struct dk_mem_client *client; /* NULL: not connected yet */
	struct outbox early; /* what was sent before a client came */
	struct dk_addr addr;
	uint64_t heard_ms;
	struct dk_timer silence;
	bool open, closing;
};

struct dk_mem_client {
	struct dk_mem_client *next;
	struct mem *m;
	dk_id peer; /* 0: ended */
	struct outbox in;
	struct sent *lent; /* what next() handed out last */
	enum dk_reason reason;
};

enum event_kind { EV_OPEN, EV_FRAME, EV_ECHO, EV_MOVE, EV_CLOSE };

struct event { /* what a client did */
	struct event *next;
	dk_id peer;
	struct dk_mem_client *client;
	struct dk_addr addr;
	uint32_t n;
	uint16_t cmd;
	uint8_t ver, kind;
	bool reliable;
	uint8_t bytes[];
};

struct mem {
	struct dk_self base;
	struct dk_transport transport;
	struct dk_mem client;
	struct dk_table peers;
	struct dk_map by_sid;
	const struct dk_peer_sink *sink;
	struct dk_mem_client *clients;
	struct event *head, **tail; /* for the next turn */
	struct event *running; /* of this turn, not handled yet */
	struct dk_timer turn;
	struct {
		uint64_t frames_in, frames_out, bytes_out, full;
		int64_t peers;
	} n;
};

static const struct mem_conf *conf_of(const struct mem *m)
{
	return m->base.conf;
}

static uint32_t sid_hash(const uint8_t *sid)
{
	uint32_t h;

	memcpy(&h, sid, sizeof(h));
	return h;
}

static bool sid_eq(const void *arg, uint32_t slot, const void *key)
{
	const struct mem *m = arg;
	const struct peer *p = dk_table_get(&m->peers, dk_table_id_at(&m->peers, slot));

	return p && memcmp(p->cred.sid, key, sizeof(p->cred.sid)) == 0;
}

/* ---- queues ---- */

static void outbox_free(struct mem *m, struct outbox *o)
{
	while (o->head) {
		struct sent *e = o->head;

		o->head = e->next;
		dk_free(m, e, sizeof(*e) + e->n);
	}
	o->tail = NULL;
	o->bytes = 0;
}

static void outbox_append(struct outbox *o, struct sent *e)
{
	if (!o->head)
		o->tail = &o->head;
	*o->tail = e;
	o->tail = &e->next;
	o->bytes += e->n;
}

static int outbox_put(struct mem *m, struct outbox *o, const struct dk_frame *f, unsigned how)
{
	bool wrap = f->status == DK_STATUS_PUSH && !(how & (DK_LISTED | DK_ALONE));
	size_t n = f->payload.n + (wrap ? 4 : 0);
	struct sent *e;
	struct dk_writer w;

	o->frames_all++;
	o->bytes_all += n;
	if (o->mute)
		return 0;
	if (o->bytes + n > (size_t)conf_of(m)->max_output) {
		m->n.full++;
		return DK_FULL;
	}
	e = dk_alloc(m, sizeof(*e) + n);
	if (!e)
		return DK_FULL;
	e->n = (uint32_t)n;
	e->ver = f->ver;
	e->cmd = f->cmd;
	e->status = f->status;
	e->reliable = (how & DK_RELIABLE) != 0;
	w = dk_writer_on(e->bytes, n);
	if (wrap)
		dk_wr_u32(&w, (uint32_t)f->payload.n);
	dk_wr_slice(&w, f->payload);
	outbox_append(o, e);
	return 0;
}

/* ---- the end of a peer ---- */

static void client_ended(struct dk_mem_client *c, enum dk_reason reason)
{
	c->peer = 0;
	c->reason = reason;
}

static void peer_close(struct mem *m, struct peer *p, enum dk_reason reason)
{
	dk_id id = p->id;

	if (p->closing)
		return;
	p->closing = true;
	if (p->client)
		client_ended(p->client, reason);
	p->client = NULL;
	m->sink->closed(m->sink->self, p->user, id, reason);
	dk_timer_stop(&p->silence);
	dk_map_remove(&m->by_sid, sid_hash(p->cred.sid), dk_id_slot(id));
	outbox_free(m, &p->early);
	explicit_bzero(&p->cred, sizeof(p->cred));
	dk_table_remove(&m->peers, id);
	m->n.peers--;
}

/* The timer is not moved with every frame: it looks, when it is due, how long the silence has been. */
static void on_silence(void *self, struct dk_timer *t)
{
	struct mem *m = self;
	struct peer *p = dk_container_of(t, struct peer, silence);
	uint64_t due = p->heard_ms + (uint64_t)conf_of(m)->ttl_s * 1000, now = dk_now(m);

	if (now >= due)
		peer_close(m, p, p->open ? DK_REASON_SILENCE : DK_REASON_NEVER);
	else
		dk_timer_start(m, t, due - now, 0, on_silence);
}

/* ---- what clients do ---- */

static void handle_echo(struct mem *m, struct peer *p, dk_slice locals)
{
	uint8_t *notes = dk_scratch(m, NOTES_MAX);
	dk_id id = p->id;
	size_t n = notes ? m->sink->echo(m->sink->self, p->user, id, locals, notes, NOTES_MAX) : 0;
	struct dk_frame f = { .ver = 0, .status = DK_STATUS_OK, .cmd = CMD_ECHO, .payload = dk_slice_n(notes, n) };

	p = dk_table_get(&m->peers, id);
	if (p && p->client)
		outbox_put(m, &p->client->in, &f, DK_UNRELIABLE);
}

static void handle_open(struct mem *m, struct peer *p, struct dk_mem_client *c)
{
	bool again = p->open;

	if (p->client)
		client_ended(p->client, DK_REASON_REPLACED);
	p->client = c;
	p->open = true;
	while (p->early.head) {
		struct sent *e = p->early.head;

		p->early.head = e->next;
		e->next = NULL;
		outbox_append(&c->in, e);
	}
	p->early.bytes = 0;
	m->sink->opened(m->sink->self, p->user, p->id, &p->addr, again);
}

static void handle(struct mem *m, const struct event *ev)
{
	struct peer *p = dk_table_get(&m->peers, ev->peer);

	if (!p || p->closing || (ev->kind != EV_OPEN && p->client != ev->client))
		return;
	p->heard_ms = dk_now(m);
	switch (ev->kind) {
	case EV_OPEN:
		handle_open(m, p, ev->client);
		break;
	case EV_FRAME: {
		struct dk_frame f = { .ver = ev->ver, .cmd = ev->cmd, .payload = dk_slice_n(ev->bytes, ev->n) };

		m->n.frames_in++;
		m->sink->frame(m->sink->self, p->user, p->id, &f, ev->reliable);
		break;
	}
	case EV_ECHO:
		handle_echo(m, p, dk_slice_n(ev->bytes, ev->n));
		break;
	case EV_MOVE:
		p->addr = ev->addr;
		m->sink->moved(m->sink->self, p->user, p->id, &p->addr);
		break;
	case EV_CLOSE:
		peer_close(m, p, DK_REASON_CLIENT);
		break;
	}
}

static void event_free(struct mem *m, struct event *ev)
{
	dk_free(m, ev, sizeof(*ev) + ev->n);
}

static void on_turn(void *self, struct dk_timer *t)
{
	struct mem *m = self;
	struct event *ev;

	(void)t;
	/* What handlers cause is for the next turn. */
	m->running = m->head;
	m->head = NULL;
	m->tail = &m->head;
	while ((ev = m->running)) {
		m->running = ev->next;
		handle(m, ev);
		event_free(m, ev);
	}
}

static int event_put(struct mem *m, struct dk_mem_client *c, struct event head, dk_slice bytes)
{
	struct event *ev;

	if (!c->peer)
		return DK_GONE;
	ev = dk_alloc(m, sizeof(*ev) + bytes.n);
	if (!ev)
		return -ENOMEM;
	*ev = head;
	ev->peer = c->peer;
	ev->client = c;
	ev->n = (uint32_t)bytes.n;
	if (bytes.n)
		memcpy(ev->bytes, bytes.p, bytes.n);
	*m->tail = ev;
	m->tail = &ev->next;
	if (!dk_timer_armed(&m->turn))
		dk_timer_start(m, &m->turn, 0, 0, on_turn);
	return 0;
}

/* ---- service mem ---- */

static struct mem *mem_of(struct dk_mem *svc)
{
	return dk_container_of(svc, struct mem, client);
}

static int client_connect(struct dk_mem *svc, const uint8_t sid[16], struct dk_mem_client **ret_client)
{
	struct mem *m = mem_of(svc);
	uint32_t slot = dk_map_find(&m->by_sid, sid_hash(sid), sid_eq, m, sid);
	struct dk_mem_client *c;
	int rc;

	if (slot == DK_MAP_NONE)
		return DK_NOT_FOUND;
	c = dk_alloc(m, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->m = m;
	c->peer = dk_table_id_at(&m->peers, slot);
	rc = event_put(m, c, (struct event){ .kind = EV_OPEN }, dk_slice_n(NULL, 0));
	if (rc < 0) {
		dk_free(m, c, sizeof(*c));
		return rc;
	}
	c->next = m->clients;
	m->clients = c;
	*ret_client = c;
	return 0;
}

static void client_free(struct dk_mem *svc, struct dk_mem_client *c)
{
	struct mem *m = mem_of(svc);
	struct peer *p;

	if (!c)
		return;
	for (struct event *ev = m->running; ev; ev = ev->next)
		if (ev->client == c)
			ev->peer = 0;
	for (struct event *ev = m->head; ev; ev = ev->next)
		if (ev->client == c)
			ev->peer = 0;
	p = dk_table_get(&m->peers, c->peer);
	if (p && p->client == c)
		peer_close(m, p, DK_REASON_CLIENT);
	for (struct dk_mem_client **at = &m->clients; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	outbox_free(m, &c->in);
	if (c->lent)
		dk_free(m, c->lent, sizeof(*c->lent) + c->lent->n);
	dk_free(m, c, sizeof(*c));
}

static int client_send(struct dk_mem *svc, struct dk_mem_client *c, uint8_t ver, uint16_t cmd, dk_slice payload, bool reliable)
{
	return event_put(mem_of(svc), c, (struct event){ .kind = EV_FRAME, .ver = ver, .cmd = cmd, .reliable = reliable }, payload);
}

static int client_echo(struct dk_mem *svc, struct dk_mem_client *c, dk_slice locals)
{
	return event_put(mem_of(svc), c, (struct event){ .kind = EV_ECHO }, locals);
}

static int client_move(struct dk_mem *svc, struct dk_mem_client *c, const struct dk_addr *from)
{
	return event_put(mem_of(svc), c, (struct event){ .kind = EV_MOVE, .addr = *from }, dk_slice_n(NULL, 0));
}

static int client_close(struct dk_mem *svc, struct dk_mem_client *c)
{
	return event_put(mem_of(svc), c, (struct event){ .kind = EV_CLOSE }, dk_slice_n(NULL, 0));
}

static bool client_next(struct dk_mem *svc, struct dk_mem_client *c, struct dk_frame *ret_frame, bool *ret_reliable)
{
	struct mem *m = mem_of(svc);
	struct sent *e = c->in.head;

	if (c->lent)
		dk_free(m, c->lent, sizeof(*c->lent) + c->lent->n);
	c->lent = e;
	if (!e)
		return false;
	c->in.head = e->next;
	c->in.bytes -= e->n;
	*ret_frame = (struct dk_frame){ .ver = e->ver, .status = e->status, .cmd = e->cmd, .payload = dk_slice_n(e->bytes, e->n) };
	if (ret_reliable)
		*ret_reliable = e->reliable;
	return true;
}

static void client_mute(struct dk_mem *svc, struct dk_mem_client *c, bool on)
{
	(void)svc;
	c->in.mute = on;
}

static void client_received(struct dk_mem *svc, const struct dk_mem_client *c, uint64_t *ret_frames, uint64_t *ret_bytes)
{
	(void)svc;
	*ret_frames = c->in.frames_all;
	*ret_bytes = c->in.bytes_all;
}

static enum dk_reason client_reason(struct dk_mem *svc, const struct dk_mem_client *c)
{
	(void)svc;
	return c->reason;
}

/* ---- service transport ---- */

static struct mem *mem_of_transport(struct dk_transport *t)
{
	return dk_container_of(t, struct mem, transport);
}

static int transport_attach(struct dk_transport *t, const struct dk_peer_sink *sink)
{
	struct mem *m = mem_of_transport(t);

	if (m->sink)
		return DK_EXISTS;
	m->sink = sink;
	return 0;
}

static int transport_admit(struct dk_transport *t, const struct dk_credential *cred, uint64_t user, dk_id *ret_peer)
{
	struct mem *m = mem_of_transport(t);
	struct peer *p;
	dk_id id;

	if (dk_map_find(&m->by_sid, sid_hash(cred->sid), sid_eq, m, cred->sid) != DK_MAP_NONE)
		return DK_EXISTS;
	p = dk_table_add(&m->peers, &id);
	if (!p)
		return DK_FULL;
	if (dk_map_put(m, &m->by_sid, sid_hash(cred->sid), dk_id_slot(id)) < 0) {
		dk_table_remove(&m->peers, id);
		return -ENOMEM;
	}
	p->cred = *cred;
	p->user = user;
	p->id = id;
	p->addr = (struct dk_addr){ .ip = { 127, 0, 0, 1 }, .port = (uint16_t)(dk_id_slot(id) + 1), .family = 4 };
	p->heard_ms = dk_now(m);
	if (conf_of(m)->ttl_s)
		dk_timer_start(m, &p->silence, (uint64_t)conf_of(m)->ttl_s * 1000, 0, on_silence);
	m->n.peers++;
	*ret_peer = id;
	return 0;
}

static int transport_send(struct dk_transport *t, dk_id peer, const struct dk_frame *frame, unsigned how)
{
	struct mem *m = mem_of_transport(t);
	struct peer *p = dk_table_get(&m->peers, peer);
	int rc;

	if (!p)
		return DK_GONE;
	rc = outbox_put(m, p->client ? &p->client->in : &p->early, frame, how);
	if (rc == 0) {
		m->n.frames_out++;
		m->n.bytes_out += frame->payload.n;
	}
	return rc;
}

/* Nothing ever waits for an interval here. */
static void transport_flush(struct dk_transport *t, dk_id peer)
{
	(void)t;
	(void)peer;
}

static void transport_close(struct dk_transport *t, dk_id peer, enum dk_reason reason)
{
	struct mem *m = mem_of_transport(t);
	struct peer *p = dk_table_get(&m->peers, peer);

	if (p)
		peer_close(m, p, reason);
}

/* What a client can read it has got. */
static size_t transport_unacked(struct dk_transport *t, dk_id peer, dk_frame_fn *fn, void *arg)
{
	const struct peer *p = dk_table_get(&mem_of_transport(t)->peers, peer);
	size_t n = 0;

	for (const struct sent *e = p ? p->early.head : NULL; e; e = e->next) {
		struct dk_frame f = { .ver = e->ver, .status = e->status, .cmd = e->cmd, .payload = dk_slice_n(e->bytes, e->n) };

		if (!e->reliable)
			continue;
		if (fn)
			fn(arg, &f, DK_RELIABLE | (f.status == DK_STATUS_PUSH ? DK_ALONE : 0));
		n++;
	}
	return n;
}

static int transport_info(struct dk_transport *t, dk_id peer, struct dk_peer_info *ret_info)
{
	const struct peer *p = dk_table_get(&mem_of_transport(t)->peers, peer);

	if (!p)
		return DK_GONE;
	*ret_info = (struct dk_peer_info){ .open = p->open,
					   .last_heard_ms = p->open ? p->heard_ms : 0,
					   .unacked = (uint32_t)transport_unacked(t, peer, NULL, NULL) };
	if (p->open)
		ret_info->addr = p->addr;
	return 0;
}

static int transport_credential(struct dk_transport *t, dk_id peer, struct dk_credential *ret_cred)
{
	const struct peer *p = dk_table_get(&mem_of_transport(t)->peers, peer);

	if (!p)
		return DK_GONE;
	*ret_cred = p->cred;
	return 0;
}

/* Everything comes in order. */
static size_t transport_held(struct dk_transport *t, dk_id peer, dk_frame_fn *fn, void *arg)
{
	(void)t;
	(void)peer;
	(void)fn;
	(void)arg;
	return 0;
}

static int transport_wait(struct dk_transport *t, dk_id peer, uint32_t ms)
{
	struct mem *m = mem_of_transport(t);
	struct peer *p = dk_table_get(&m->peers, peer);

	if (!p)
		return DK_GONE;
	if (!p->open && conf_of(m)->ttl_s) {
		p->heard_ms = dk_now(m) + ms - (uint64_t)conf_of(m)->ttl_s * 1000;
		dk_timer_start(m, &p->silence, ms, 0, on_silence);
	}
	return 0;
}

static void transport_endpoint(struct dk_transport *t, const char **ret_host, uint16_t *ret_port)
{
	(void)t;
	*ret_host = "mem";
	*ret_port = 0;
}

/* ---- phases ---- */

static int init(void *self)
{
	struct mem *m = self;

	dk_table_init(m, &m->peers, DK_KIND_PEER, sizeof(struct peer), 0, "mem peers");
	m->tail = &m->head;
	m->transport.role = "MEM";
	m->transport.type = conf_of(m)->type;
	m->transport.encrypted = conf_of(m)->encryption;
	m->transport.attach = transport_attach;
	m->transport.admit = transport_admit;
	m->transport.send = transport_send;
	m->transport.flush = transport_flush;
	m->transport.close = transport_close;
	m->transport.info = transport_info;
	m->transport.endpoint = transport_endpoint;
	m->transport.credential = transport_credential;
	m->transport.unacked = transport_unacked;
	m->transport.held = transport_held;
	m->transport.wait = transport_wait;
	m->client.connect = client_connect;
	m->client.free = client_free;
	m->client.send = client_send;
	m->client.echo = client_echo;
	m->client.move = client_move;
	m->client.close = client_close;
	m->client.next = client_next;
	m->client.mute = client_mute;
	m->client.received = client_received;
	m->client.ended = client_reason;
	return 0;
}

/* Nobody is sent here any more: who was is here in a moment, or does not come. */
static void offline(void *self)
{
	struct mem *m = self;
	uint32_t slot = 0;
	struct peer *p;
	dk_id id;

	while ((p = dk_table_next(&m->peers, &slot, &id)))
		if (!p->open && p->heard_ms + (uint64_t)conf_of(m)->ttl_s * 1000 > dk_now(m) + LATE_MS)
			transport_wait(&m->transport, id, LATE_MS);
}

static void stop(void *self, struct dk_step *step)
{
	struct mem *m = self;
	uint32_t slot = 0;
	struct peer *p;
	dk_id id;

	while ((p = dk_table_next(&m->peers, &slot, &id)))
		peer_close(m, p, DK_REASON_SHUTDOWN);
	dk_step_done(step, 0);
}

static void fini(void *self)
{
	struct mem *m = self;

	dk_timer_stop(&m->turn);
	while (m->head) {
		struct event *ev = m->head;

		m->head = ev->next;
		event_free(m, ev);
	}
	while (m->clients)
		client_free(&m->client, m->clients);
	dk_map_fini(m, &m->by_sid);
	dk_table_fini(&m->peers);
}

static const struct dk_provide provides[] = {
	DK_PROVIDE(struct mem, transport, DK_TRANSPORT),
	DK_PROVIDE(struct mem, client, DK_MEM),
	{ 0 },
};
static const struct dk_option options[] = {
	DK_STR(struct mem_conf, type, "type", "MEM", "what endpoint requests call it"),
	DK_INT(struct mem_conf, ttl_s, "connectionTTL", "10", 0, 86400, "silence after which a client is given up; 0 = never",
	       .unit = "s"),
	DK_INT(struct mem_conf, max_output, "max_output_bytes", "1048576", 1, INT32_MAX, "what may wait to be read per client",
	       .unit = "bytes"),
	DK_BOOL(struct mem_conf, encryption, "enableEncryption", "false", "hand out keys; nothing is encrypted in any case"),
	{ 0 },
};
static const struct dk_counter counters[] = {
	DK_GAUGE(struct mem, peers, "clients admitted and not yet closed"),
	DK_COUNTER(struct mem, frames_in, "frames from clients"),
	DK_COUNTER(struct mem, frames_out, "frames to clients"),
	DK_COUNTER(struct mem, bytes_out, "payload bytes to clients"),
	DK_COUNTER(struct mem, full, "frames refused because too much waits to be read"),
	{ 0 },
};
static const struct dk_ops ops = { .init = init, .offline = offline, .stop = stop, .fini = fini };

DK_PLUGIN(mem) = {
	DK_PLUGIN_HEAD("mem", "1.0.0", "transport within one process, for tests, benches and embedding"),
	.self_size = sizeof(struct mem),
	.conf_size = sizeof(struct mem_conf),
	.provides = provides,
	.options = options,
	.counters = counters,
	.ops = &ops,
};
