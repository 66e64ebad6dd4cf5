/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP in the simulated world: sockets of nodes and of scripts, told apart by nothing but who gets what arrives. A datagram
 * belongs to its event until it is delivered; those that arrive at one socket at one moment are one batch.
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>

struct packet {
	struct event e;
	struct packet *next; /* in a script's queue */
	struct dk_addr from, to;
	size_t n;
	uint8_t bytes[];
};

/* What nodes and scripts have alike. */
struct sim_socket {
	struct sim_socket *next; /* of the port's bucket */
	struct sim *sim;
	struct env_node *node; /* NULL: a script's */
	struct dk_addr addr;
};

struct env_udp {
	struct sim_socket s;
	struct dk_udp *udp;
	struct packet *head, **tail; /* while its node is paused */
	size_t waiting; /* bytes in it, as a system charges them */
	bool want_local, blocked;
};

enum {
	RCVBUF = 4 << 20, /* what may wait for a node that is paused */
	CHARGE = 512 /* of each datagram, beside its bytes */
};

struct dk_sim_udp {
	struct sim_socket s;
	dk_sim_udp_fn *fn;
	void *arg;
	struct packet *head, **tail;
	struct packet *lent; /* what next() handed out */
};

static struct sim_socket **bucket_of(struct sim *sim, uint16_t port)
{
	return &sim->sockets[port % SIM_BUCKETS];
}

/* Whether two sockets may not both be there: a wildcard of a node covers its host's address and loopback. */
static bool clash(const struct sim_socket *s, const struct env_node *node, const struct dk_addr *addr)
{
	if (s->addr.port != addr->port)
		return false;
	if (sim_ip_eq(&s->addr, addr))
		return !sim_ip_any(addr) || sim_same_host(s->node, node);
	return sim_same_host(s->node, node) && (sim_ip_any(addr) || sim_ip_any(&s->addr));
}

static int socket_bind(struct sim *sim, struct sim_socket *s, struct env_node *node, struct dk_addr *addr)
{
	bool any_port = addr->port == 0;
	unsigned tries = any_port ? 32768 : 1;

	if (!addr->family)
		addr->family = 4;
	while (tries--) {
		const struct sim_socket *other;

		if (any_port)
			addr->port = sim_port(sim);
		for (other = *bucket_of(sim, addr->port); other && !clash(other, node, addr);)
			other = other->next;
		if (other)
			continue;
		s->sim = sim;
		s->node = node;
		s->addr = *addr;
		s->next = *bucket_of(sim, addr->port);
		*bucket_of(sim, addr->port) = s;
		return 0;
	}
	return -EADDRINUSE;
}

static void socket_unbind(struct sim_socket *s)
{
	struct sim_socket **at = bucket_of(s->sim, s->addr.port);

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
}

/* Exact address first; then a wildcard of the node that has it; loopback is the first node's. */
static struct sim_socket *find(struct sim *sim, const struct dk_addr *to)
{
	struct sim_socket *wild = NULL;

	for (struct sim_socket *s = *bucket_of(sim, to->port); s; s = s->next) {
		if (s->addr.port != to->port)
			continue;
		if (sim_ip_eq(&s->addr, to))
			return s;
		if (!s->node || !sim_ip_any(&s->addr))
			continue;
		if (sim_ip_eq(&s->node->ip, to) || (sim_ip_loop(to) && (!wild || s->node->ip.ip[3] < wild->node->ip.ip[3])))
			wild = s;
	}
	return wild;
}

/* ---- delivery ---- */

static void packet_drop(struct event *e)
{
	free(e);
}

static void fire_packet(struct sim *sim, struct event *e);

static struct sim_socket *receiver(struct sim *sim, struct packet *p)
{
	struct sim_socket *s = find(sim, &p->to);

	sim_note(sim, s ? "udp" : "udp nobody", &p->from, &p->to, p->bytes, p->n);
	return s;
}

static void to_node(struct sim *sim, struct env_udp *u, struct packet *first)
{
	struct dk_datagram grams[ENV_BATCH];
	struct packet *held[ENV_BATCH], *p = first;
	size_t n = 0, taken = 0, oversize = 0;

	for (;;) {
		struct event *next;

		held[n++] = p;
		if (p->n > DK_UDP_SLOT)
			oversize++;
		else
			grams[taken++] = (struct dk_datagram){ .from = p->from, .bytes = dk_slice_n(p->bytes, p->n) };
		if (taken && u->want_local)
			grams[taken - 1].to = p->to;
		next = sim_due(sim);
		if (n == ENV_BATCH || !next || next->fire != fire_packet ||
		    find(sim, &((struct packet *)(void *)next)->to) != &u->s)
			break;
		p = (struct packet *)(void *)sim_pop(sim);
		receiver(sim, p);
	}
	sim_turn(u->s.node);
	if (oversize)
		sim->up->udp_oversize(u->udp, oversize);
	if (taken)
		sim->up->udp_received(u->udp, grams, taken); /* may close it */
	while (n--)
		free(held[n]);
}

static void put_off(struct env_udp *u, struct packet *p)
{
	if (u->waiting + p->n + CHARGE > RCVBUF) {
		free(p);
		return;
	}
	u->waiting += p->n + CHARGE;
	p->next = NULL;
	*u->tail = p;
	u->tail = &p->next;
}

static void fire_packet(struct sim *sim, struct event *e)
{
	struct packet *p = (struct packet *)(void *)e;
	struct sim_socket *s = receiver(sim, p);
	struct dk_sim_udp *script = (struct dk_sim_udp *)(void *)s;

	if (s && s->node && s->node->paused) {
		put_off((struct env_udp *)(void *)s, p);
	} else if (s && s->node) {
		to_node(sim, (struct env_udp *)(void *)s, p);
	} else if (s && !script->fn) {
		p->next = NULL;
		*script->tail = p;
		script->tail = &p->next;
	} else {
		if (s)
			script->fn(script->arg, script, &p->from, dk_slice_n(p->bytes, p->n));
		free(p);
	}
}

static void transmit(struct sim *sim, const struct dk_addr *from, const struct dk_addr *to, const uint8_t *bytes, size_t n)
{
	struct flow *flow = sim_flow(sim, from, to);
	uint64_t at_us[2];
	int copies;

	if (!flow || flow->cut)
		return;
	copies = wire_link_pass(&flow->link, sim->now_us, n, at_us);
	for (int i = 0; i < copies; i++) {
		struct packet *p = malloc(sizeof(*p) + n);

		if (!p)
			return;
		*p = (struct packet){ { .fire = fire_packet, .drop = packet_drop }, .from = *from, .to = *to, .n = n };
		if (n)
			memcpy(p->bytes, bytes, n);
		sim_event(sim, &p->e, at_us[i]);
	}
}

/* ---- sockets of nodes ---- */

int sim_udp_open(struct env_node *n, struct dk_udp *udp, struct dk_addr *bound, const struct dk_udp_opts *opts,
		 struct env_udp **ret_udp)
{
	struct env_udp *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	rc = n->dead ? -ENETDOWN : socket_bind(n->sim, &u->s, n, bound);
	if (rc < 0) {
		free(u);
		return rc;
	}
	u->udp = udp;
	u->tail = &u->head;
	u->want_local = opts->want_local;
	*ret_udp = u;
	return 0;
}

void sim_udp_close(struct env_udp *u)
{
	if (!u->s.node->dead)
		socket_unbind(&u->s);
	free(u);
}

void sim_udp_kill(struct env_node *n)
{
	for (size_t i = 0; i < SIM_BUCKETS; i++)
		for (struct sim_socket **at = &n->sim->sockets[i]; *at;)
			if ((*at)->node == n)
				*at = (*at)->next;
			else
				at = &(*at)->next;
}

/* What waited arrives now, in the order in which it came to each socket. */
void sim_udp_resume(struct env_node *n)
{
	for (size_t i = 0; i < SIM_BUCKETS; i++)
		for (struct sim_socket *s = n->sim->sockets[i]; s; s = s->next) {
			struct env_udp *u = (struct env_udp *)(void *)s;

			if (s->node != n)
				continue;
			while (u->head) {
				struct packet *p = u->head;

				u->head = p->next;
				sim_event(n->sim, &p->e, n->sim->now_us + 1);
			}
			u->tail = &u->head;
			u->waiting = 0;
		}
}

/* What a datagram from this socket bears as its source. */
static struct dk_addr source_of(const struct env_udp *u, const struct env_out *o)
{
	struct dk_addr from = o->from ? *o->from : u->s.addr;

	if (sim_ip_any(&from)) {
		from = u->s.node->ip;
		if (sim_ip_loop(o->to))
			from = (struct dk_addr){ .ip = { 127, 0, 0, 1 }, .family = 4 };
	}
	from.port = u->s.addr.port;
	return from;
}

int sim_udp_send(struct env_udp *u, const struct env_out *v, size_t n, bool may_fragment)
{
	(void)may_fragment; /* no link of this world minds the size of a packet */
	if (u->s.node->dead)
		return (int)n;
	if (u->s.sim->stalled) {
		u->blocked = true;
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		struct dk_addr from = source_of(u, &v[i]);

		transmit(u->s.sim, &from, v[i].to, v[i].p, v[i].n);
	}
	return (int)n;
}

void sim_udp_unstall(struct sim *sim)
{
	for (size_t i = 0; i < SIM_BUCKETS; i++)
		for (struct sim_socket *s = sim->sockets[i]; s; s = s->next) {
			struct env_udp *u = (struct env_udp *)(void *)s;

			if (!s->node || !u->blocked || s->node->paused)
				continue;
			u->blocked = false;
			sim_turn(s->node);
			sim->up->udp_writable(u->udp);
		}
}

/* ---- sockets of scripts ---- */

int dk_sim_udp_open(struct dk_env *env, const char *bind, dk_sim_udp_fn *fn, void *arg, struct dk_sim_udp **ret_udp)
{
	struct dk_sim_udp *u = calloc(1, sizeof(*u));
	struct dk_addr addr;
	int rc = -EINVAL;

	if (!u)
		return -ENOMEM;
	if (dk_addr_parse(dk_str_c(bind), 0, &addr) < 0 || sim_ip_any(&addr))
		goto fail;
	rc = socket_bind((struct sim *)env, &u->s, NULL, &addr);
	if (rc < 0)
		goto fail;
	u->fn = fn;
	u->arg = arg;
	u->tail = &u->head;
	*ret_udp = u;
	return 0;
fail:
	free(u);
	return rc;
}

void dk_sim_udp_close(struct dk_sim_udp *u)
{
	if (!u)
		return;
	socket_unbind(&u->s);
	while (u->head) {
		struct packet *p = u->head;

		u->head = p->next;
		free(p);
	}
	free(u->lent);
	free(u);
}

const struct dk_addr *dk_sim_udp_addr(const struct dk_sim_udp *u)
{
	return &u->s.addr;
}

void dk_sim_udp_send(struct dk_sim_udp *u, const struct dk_addr *to, dk_slice bytes)
{
	transmit(u->s.sim, &u->s.addr, to, bytes.p, bytes.n);
}

bool dk_sim_udp_next(struct dk_sim_udp *u, struct dk_addr *ret_from, dk_slice *ret_bytes)
{
	struct packet *p = u->head;

	free(u->lent);
	u->lent = p;
	if (!p)
		return false;
	u->head = p->next;
	if (!u->head)
		u->tail = &u->head;
	if (ret_from)
		*ret_from = p->from;
	*ret_bytes = dk_slice_n(p->bytes, p->n);
	return true;
}

void sim_udp_free_all(struct sim *sim)
{
	for (size_t i = 0; i < SIM_BUCKETS; i++)
		while (sim->sockets[i]) /* of nodes there are none left */
			dk_sim_udp_close((struct dk_sim_udp *)(void *)sim->sockets[i]);
}
