/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP in the simulated world: two sides joined by two queues of segments that arrive whole and in order. What the link
 * would lose arrives a retransmission later; while a link is cut everything waits. Each direction holds WINDOW bytes that are on
 * the way or not read yet, so a slow reader stops its writer.
 *
 * A connection lives until both sides let go of it and no event names it any more. What comes for a node that is paused is held
 * by its host: data in the window, new connections in the listener's queue.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim.h"

enum {
	WINDOW = 256 * 1024,
	SEGMENT = 64 * 1024,
	HEADER = 40, /* of every segment, for the link's rate */
	RETRANSMIT_US = 200000,
	SENDS = 15,
	CONNECT_AGAIN_US = 1000000,
	CONNECT_TRIES = 10,
	BACKLOG = 1024
};

enum kind { DATA, FIN, RST, OPENED, REFUSED };

struct segment {
	struct segment *next;
	uint64_t at_us;
	enum kind kind;
	size_t n;
	uint8_t bytes[];
};

/* One side of a connection: a node's stream or a script's. */
struct env_stream {
	struct sim_conn *conn;
	struct env_node *node; /* NULL: a script's */
	struct dk_stream *s;
	struct dk_sim_tcp *script;
	struct dk_addr addr;
	struct segment *head, **tail; /* what comes here */
	uint64_t last_at_us; /* of them */
	size_t unread; /* bytes sent here and not taken yet, as far as their sender knows */
	size_t unheard; /* those of them that were taken while the way back was cut */
	struct env_listener *queued; /* accepted by the host of a node that is paused */
	bool here; /* somebody holds it */
	bool ghost; /* its node was killed, and still has its stream */
	bool reading, blocked, fin_sent, broken;
};

struct sim_conn {
	struct sim_conn *next, **link;
	struct sim *sim;
	struct env_stream side[2]; /* 0 connected, 1 accepted */
	unsigned events, tries;
};

struct dk_sim_tcp {
	struct env_stream *side;
	void (*changed)(void *arg, struct dk_sim_tcp *t);
	void *arg;
	uint8_t *bytes;
	size_t n, cap;
	enum dk_sim_tcp_state state;
};

struct env_listener {
	struct env_listener *next;
	struct env_node *node;
	struct dk_listener *l;
	struct dk_addr addr;
};

struct conn_event {
	struct event e;
	struct env_stream *side;
	void (*fn)(struct env_stream *side);
};

static struct env_stream *peer_of(const struct env_stream *side)
{
	struct sim_conn *c = side->conn;

	return side == &c->side[0] ? &c->side[1] : &c->side[0];
}

static void conn_check(struct sim_conn *c)
{
	if (c->events || c->side[0].here || c->side[1].here || c->side[0].ghost || c->side[1].ghost)
		return;
	for (size_t i = 0; i < 2; i++)
		while (c->side[i].head) {
			struct segment *seg = c->side[i].head;

			c->side[i].head = seg->next;
			free(seg);
		}
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	free(c);
}

static void conn_event_drop(struct event *e)
{
	((struct conn_event *)(void *)e)->side->conn->events--;
	free(e);
}

static void conn_event_fire(struct sim *sim, struct event *e)
{
	struct conn_event *ce = (struct conn_event *)(void *)e;
	struct sim_conn *c = ce->side->conn;

	(void)sim;
	ce->fn(ce->side);
	conn_event_drop(e);
	conn_check(c);
}

/* fn(side) at that time. Without memory nothing happens: the connection hangs, as connections do. */
static void later(struct env_stream *side, void (*fn)(struct env_stream *side), uint64_t at_us)
{
	struct conn_event *ce = malloc(sizeof(*ce));

	if (!ce)
		return;
	*ce = (struct conn_event){ { .fire = conn_event_fire, .drop = conn_event_drop }, side, fn };
	side->conn->events++;
	sim_event(side->conn->sim, &ce->e, at_us);
}

/* When something sent now arrives here: never before what was sent earlier, and at last even over a link that loses everything. */
static uint64_t arrival(struct env_stream *side, size_t n)
{
	struct sim *sim = side->conn->sim;
	struct flow *flow = sim_flow(sim, &peer_of(side)->addr, &side->addr);
	uint64_t at_us[2] = { sim->now_us }, sent_us = sim->now_us;

	for (int tries = 0; flow && tries < SENDS && !wire_link_pass(&flow->link, sent_us, n + HEADER, at_us); tries++)
		at_us[0] = sent_us += RETRANSMIT_US;
	if (at_us[0] > side->last_at_us)
		side->last_at_us = at_us[0];
	return side->last_at_us;
}

static void pump(struct env_stream *side);

static bool send_segment(struct env_stream *from, enum kind kind, const uint8_t *p, size_t n)
{
	struct env_stream *to = peer_of(from);
	struct segment *seg = malloc(sizeof(*seg) + n);

	if (!seg)
		return false;
	*seg = (struct segment){ .at_us = arrival(to, n), .kind = kind, .n = n };
	if (n)
		memcpy(seg->bytes, p, n);
	*to->tail = seg;
	to->tail = &seg->next;
	to->unread += n;
	later(to, pump, seg->at_us);
	return true;
}

static int64_t send_bytes(struct env_stream *from, const uint8_t *p, size_t n)
{
	struct env_stream *to = peer_of(from);
	size_t sent = 0;

	if (from->broken)
		return -ECONNRESET;
	if (from->fin_sent)
		return -EPIPE;
	while (sent < n && to->unread < WINDOW) {
		size_t part = n - sent;

		if (part > WINDOW - to->unread)
			part = WINDOW - to->unread;
		if (part > SEGMENT)
			part = SEGMENT;
		if (!send_segment(from, DATA, p + sent, part))
			break;
		sent += part;
	}
	return (int64_t)sent;
}

/* ---- arrival ---- */

static void tell_writable(struct env_stream *side)
{
	if (!side->here || !side->node || !side->blocked || side->conn->sim->stalled || side->node->paused)
		return;
	side->blocked = false;
	sim_turn(side->node);
	side->conn->sim->up->stream_writable(side->s);
}

static bool is_cut(const struct env_stream *from)
{
	const struct env_stream *to = peer_of(from);
	const struct flow *flow = sim_flow(from->conn->sim, &from->addr, &to->addr);

	return flow && flow->cut;
}

static void was_read(struct env_stream *side, size_t n)
{
	struct env_stream *writer = peer_of(side);

	side->unheard += n;
	if (is_cut(side))
		return;
	side->unread -= side->unheard;
	side->unheard = 0;
	if (writer->blocked)
		later(writer, tell_writable, side->conn->sim->now_us);
}

static void script_changed(struct dk_sim_tcp *t, enum dk_sim_tcp_state state)
{
	t->state = state;
	if (t->changed)
		t->changed(t->arg, t);
}

static void script_gets(struct dk_sim_tcp *t, const struct segment *seg)
{
	if (t->cap - t->n < seg->n) {
		size_t cap = (t->n + seg->n) * 2;
		uint8_t *bytes = realloc(t->bytes, cap);

		if (!bytes) {
			script_changed(t, DK_SIM_TCP_BROKEN);
			return;
		}
		t->bytes = bytes;
		t->cap = cap;
	}
	if (seg->n)
		memcpy(t->bytes + t->n, seg->bytes, seg->n);
	t->n += seg->n;
	script_changed(t, seg->kind == DATA || seg->kind == OPENED ? DK_SIM_TCP_OPEN
			  : seg->kind == FIN                       ? DK_SIM_TCP_ENDED
								   : DK_SIM_TCP_BROKEN);
}

static void node_gets(struct env_stream *side, const struct segment *seg)
{
	const struct env_seam *up = side->conn->sim->up;

	sim_turn(side->node);
	switch (seg->kind) {
	case DATA:
		up->stream_data(side->s, seg->bytes, seg->n);
		was_read(side, seg->n);
		break;
	case OPENED:
		up->stream_opened(side->s);
		break;
	case FIN:
		side->reading = false;
		up->stream_ended(side->s, 0);
		break;
	case RST:
	case REFUSED:
		side->reading = false;
		up->stream_ended(side->s, seg->kind == RST ? -ECONNRESET : -ECONNREFUSED);
		break;
	}
}

/* Hands over what has come. */
static void pump(struct env_stream *side)
{
	static const char *const names[] = { "tcp", "tcp end", "tcp reset", "tcp open", "tcp refused" };
	struct sim *sim = side->conn->sim;
	struct segment *seg;

	while ((seg = side->head) && seg->at_us <= sim->now_us) {
		const struct env_stream *from = peer_of(side);

		if (is_cut(from) || (side->here && side->node && (side->node->paused || side->queued)))
			return;
		side->broken |= seg->kind == RST || seg->kind == REFUSED;
		/* A node that does not read sees an end only where it writes. */
		if (side->here && side->node && !side->reading && seg->kind != OPENED && !(side->broken && side->blocked))
			return;
		side->head = seg->next;
		if (!side->head)
			side->tail = &side->head;
		sim_note(sim, names[seg->kind], &from->addr, &side->addr, seg->bytes, seg->n);
		if (!side->here)
			was_read(side, seg->n);
		else if (side->node)
			node_gets(side, seg);
		else
			script_gets(side->script, seg);
		free(seg);
	}
}

void sim_tcp_kick(struct sim *sim)
{
	for (struct sim_conn *c = sim->conns; c; c = c->next)
		for (size_t i = 0; i < 2; i++) {
			was_read(&c->side[i], 0);
			if (c->side[i].head)
				later(&c->side[i], pump, sim->now_us);
			if (c->side[i].blocked)
				later(&c->side[i], tell_writable, sim->now_us);
		}
}

/* ---- beginnings ---- */

static struct env_listener *find_listener(struct sim *sim, const struct dk_addr *to)
{
	for (struct env_listener *l = sim->listeners; l; l = l->next)
		if (l->addr.port == to->port &&
		    (sim_ip_eq(&l->addr, to) || (sim_ip_any(&l->addr) && (sim_ip_eq(&l->node->ip, to) || sim_ip_loop(to)))))
			return l;
	return NULL;
}

static unsigned queue_length(const struct sim *sim, const struct env_listener *l)
{
	unsigned n = 0;

	for (const struct sim_conn *c = sim->conns; c; c = c->next)
		n += c->side[1].queued == l;
	return n;
}

/* True when somebody holds it now. */
static bool take(struct env_stream *side, struct env_listener *l)
{
	struct sim *sim = side->conn->sim;

	side->queued = NULL;
	sim_turn(l->node);
	side->s = sim->up->accept(l->l, side, &peer_of(side)->addr);
	side->here = side->here && side->s;
	return side->here;
}

static void knock(struct env_stream *side)
{
	struct env_stream *other = peer_of(side);
	struct sim_conn *c = side->conn;
	struct sim *sim = c->sim;
	struct env_listener *l = find_listener(sim, &other->addr);
	bool unheard = is_cut(side) || is_cut(other) || (l && l->node->paused && queue_length(sim, l) == BACKLOG);

	if (!side->here)
		return;
	if (unheard && ++c->tries < CONNECT_TRIES) {
		later(side, knock, sim->now_us + CONNECT_AGAIN_US);
		return;
	}
	l = unheard ? NULL : l;
	sim_note(sim, l ? "tcp knock" : "tcp nobody", &side->addr, &other->addr, NULL, 0);
	if (l) {
		other->node = l->node;
		other->here = other->reading = true;
		if (l->node->paused)
			other->queued = l;
		if (l->node->paused || take(other, l)) {
			send_segment(other, OPENED, NULL, 0);
			return;
		}
	}
	send_segment(other, REFUSED, NULL, 0);
}

static struct sim_conn *conn_new(struct sim *sim, struct env_node *node, const struct dk_addr *from, const struct dk_addr *to)
{
	struct sim_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->sim = sim;
	c->next = sim->conns;
	c->link = &sim->conns;
	if (c->next)
		c->next->link = &c->next;
	sim->conns = c;
	for (size_t i = 0; i < 2; i++) {
		c->side[i].conn = c;
		c->side[i].tail = &c->side[i].head;
		c->side[i].reading = true;
	}
	c->side[0].node = node;
	c->side[0].here = true;
	c->side[0].addr = *from;
	c->side[1].addr = *to;
	later(&c->side[0], knock, arrival(&c->side[1], 0));
	return c;
}

int sim_connect(struct env_node *n, struct dk_stream *s, const struct dk_addr *to, bool no_delay, struct env_stream **ret_stream)
{
	struct dk_addr from = n->ip;
	struct sim_conn *c;

	(void)no_delay;
	if (n->dead)
		return -ENETDOWN;
	if (sim_ip_loop(to))
		from = (struct dk_addr){ .ip = { 127, 0, 0, 1 }, .family = 4 };
	from.port = sim_port(n->sim);
	c = conn_new(n->sim, n, &from, to);
	if (!c)
		return -ENOMEM;
	c->side[0].s = s;
	*ret_stream = &c->side[0];
	return 0;
}

int sim_listen(struct env_node *n, struct dk_listener *l, struct dk_addr *bound, const struct dk_listen_opts *opts,
	       struct env_listener **ret_listener)
{
	struct env_listener *el;

	(void)opts;
	if (n->dead)
		return -ENETDOWN;
	if (!bound->family)
		bound->family = 4;
	if (!bound->port)
		bound->port = sim_port(n->sim);
	for (el = n->sim->listeners; el; el = el->next)
		if (el->addr.port == bound->port &&
		    (sim_same_host(el->node, n) ? sim_ip_any(&el->addr) || sim_ip_any(bound) || sim_ip_eq(&el->addr, bound)
						: !sim_ip_any(bound) && sim_ip_eq(&el->addr, bound)))
			return -EADDRINUSE;
	el = calloc(1, sizeof(*el));
	if (!el)
		return -ENOMEM;
	*el = (struct env_listener){ n->sim->listeners, n, l, *bound };
	n->sim->listeners = el;
	*ret_listener = el;
	return 0;
}

static void side_close(struct env_stream *side, bool reset);

/* Nobody finds it any more; what its queue holds is reset, as a system does. */
static void listener_off(struct env_listener *el)
{
	struct sim *sim = el->node->sim;
	struct env_listener **at = &sim->listeners;

	while (*at != el)
		at = &(*at)->next;
	*at = el->next;
	for (struct sim_conn *c = sim->conns, *next; c; c = next) {
		next = c->next;
		if (c->side[1].queued == el)
			side_close(&c->side[1], true);
	}
}

void sim_listener_close(struct env_listener *el)
{
	if (!el->node->dead)
		listener_off(el);
	free(el);
}

/* ---- streams of nodes ---- */

int64_t sim_stream_write(struct env_stream *side, const uint8_t *p, size_t n)
{
	int64_t sent = side->conn->sim->stalled ? 0 : send_bytes(side, p, n);

	if (side->ghost)
		return (int64_t)n;
	if (sent >= 0 && (size_t)sent < n)
		side->blocked = true;
	return sent;
}

void sim_stream_read(struct env_stream *side, bool on)
{
	side->reading = on;
	if (on && side->head)
		later(side, pump, side->conn->sim->now_us);
}

static void side_close(struct env_stream *side, bool reset)
{
	struct sim_conn *c = side->conn;

	side->here = false;
	side->queued = NULL;
	if (reset)
		send_segment(side, RST, NULL, 0);
	else if (!side->fin_sent)
		send_segment(side, FIN, NULL, 0);
	if (side->head)
		later(side, pump, c->sim->now_us); /* to nobody, but whoever sent it sees it read */
	conn_check(c);
}

void sim_stream_close(struct env_stream *side, bool reset)
{
	if (side->ghost) {
		side->ghost = false;
		conn_check(side->conn);
		return;
	}
	side_close(side, reset);
}

/* ---- nodes that are killed, and nodes that were paused ---- */

void sim_tcp_kill(struct env_node *n)
{
	struct env_listener *el = n->sim->listeners, *next_el;

	for (; el; el = next_el) {
		next_el = el->next;
		if (el->node == n)
			listener_off(el);
	}
	for (struct sim_conn *c = n->sim->conns, *next; c; c = next) {
		next = c->next;
		for (size_t i = 0; i < 2; i++) {
			struct env_stream *side = &c->side[i];

			if (!side->here || side->node != n)
				continue;
			side->ghost = true; /* before anything may free it */
			side_close(side, side->head != NULL);
		}
	}
}

static void take_late(struct env_stream *side)
{
	struct env_listener *l = side->queued;

	if (side->node->paused)
		return; /* again */
	if (l && !take(side, l))
		send_segment(side, RST, NULL, 0);
	pump(side);
}

void sim_tcp_resume(struct env_node *n)
{
	struct sim *sim = n->sim;

	for (struct sim_conn *c = sim->conns; c; c = c->next)
		for (size_t i = 0; i < 2; i++) {
			struct env_stream *side = &c->side[i];

			if (!side->here || side->node != n)
				continue;
			later(side, take_late, sim->now_us + 1);
			if (side->blocked)
				later(side, tell_writable, sim->now_us + 1);
		}
}

/* ---- streams of scripts ---- */

int dk_sim_tcp_connect(struct dk_env *env, const char *from, const struct dk_addr *to,
		       void (*changed)(void *arg, struct dk_sim_tcp *t), void *arg, struct dk_sim_tcp **ret_tcp)
{
	struct sim *sim = (struct sim *)env;
	struct dk_sim_tcp *t;
	struct sim_conn *c;
	struct dk_addr addr;

	if (dk_addr_parse(dk_str_c(from), 0, &addr) < 0)
		return -EINVAL;
	if (!addr.port)
		addr.port = sim_port(sim);
	t = calloc(1, sizeof(*t));
	c = t ? conn_new(sim, NULL, &addr, to) : NULL;
	if (!c) {
		free(t);
		return -ENOMEM;
	}
	*t = (struct dk_sim_tcp){ .side = &c->side[0], .changed = changed, .arg = arg };
	c->side[0].script = t;
	*ret_tcp = t;
	return 0;
}

enum dk_sim_tcp_state dk_sim_tcp_state(const struct dk_sim_tcp *t)
{
	return t->state;
}

size_t dk_sim_tcp_send(struct dk_sim_tcp *t, dk_slice bytes)
{
	int64_t sent = t->state == DK_SIM_TCP_OPEN || t->state == DK_SIM_TCP_ENDED ? send_bytes(t->side, bytes.p, bytes.n) : 0;

	return sent < 0 ? 0 : (size_t)sent;
}

dk_slice dk_sim_tcp_bytes(const struct dk_sim_tcp *t)
{
	return dk_slice_n(t->bytes, t->n);
}

void dk_sim_tcp_take(struct dk_sim_tcp *t, size_t n)
{
	if (n > t->n)
		n = t->n;
	if (!n)
		return;
	memmove(t->bytes, t->bytes + n, t->n - n);
	t->n -= n;
	was_read(t->side, n);
}

void dk_sim_tcp_end(struct dk_sim_tcp *t)
{
	if (t->side->fin_sent || t->state == DK_SIM_TCP_BROKEN)
		return;
	send_segment(t->side, FIN, NULL, 0);
	t->side->fin_sent = true;
}

void dk_sim_tcp_close(struct dk_sim_tcp *t, bool reset)
{
	if (!t)
		return;
	if (t->n)
		was_read(t->side, t->n);
	side_close(t->side, reset);
	free(t->bytes);
	free(t);
}

void sim_tcp_free_all(struct sim *sim)
{
	while (sim->conns) {
		struct sim_conn *c = sim->conns;

		c->events = 0;
		for (size_t i = 0; i < 2; i++) {
			if (c->side[i].here && c->side[i].script) {
				free(c->side[i].script->bytes);
				free(c->side[i].script);
			}
			c->side[i].here = false;
		}
		conn_check(c);
	}
}
