/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams. Whoever has something for a node without a contact says HELLO; the answer makes the contact there and here. The end
 * that was greeted says nothing of its own before something sealed has come. Both ends may begin at once: then there are two
 * contacts, both good, and each end sends on the one that it opened last. A contact whose other end has been silent for a second
 * while this end speaks is begun anew beside it: that is how a node is found again that runs anew.
 *
 * What is sent in one turn to one node travels in one datagram while it fits.
 */
#include "mesh_state.h"

#include "wire/cluster.h"

#define HELLO_EVERY_MS 200 /* at first; twice as long each time, up to 1.6 s: the way there may take longer than that */
#define WAIT_MS 2000 /* for a contact */
#define SILENCE_MS 1000 /* after which a contact is doubted */
#define WAITING_MAX 8 /* full packets that wait for one contact */
#define PACKETS_KEPT 64
#define HELLOS_PER_S 2000 /* that are answered */
#define BAD_HELLOS_PER_S 50000 /* whose tags are looked at */
#define HELLO_LIFE_MS 5000
#define GUEST_LIFE_MS 30000
#define RENEW_MS 3600000

static struct contact *get(struct mesh *m, dk_id id)
{
	return dk_table_get(&m->contacts, id);
}

/* A contact's index on the wire: its slot, and how often that was used. */
static uint32_t index_of(dk_id id)
{
	return (uint32_t)(id >> 32 & 0xfff) << 20 | (dk_id_slot(id) & 0xfffff);
}

static struct contact *by_index(struct mesh *m, uint32_t index)
{
	dk_id id = dk_table_id_at(&m->contacts, index & 0xfffff);

	return id && index_of(id) == index ? get(m, id) : NULL;
}

static void packet_out(struct mesh *m, struct dk_udp *socket, const struct dk_addr *to, const uint8_t *bytes, size_t n)
{
	memcpy(dk_udp_slot(socket, to, n), bytes, n);
	dk_udp_commit(socket, n, 0);
	m->n.packets_out++;
	m->n.bytes_out += n;
}

void contact_close(struct mesh *m, dk_id *id)
{
	struct contact *c = get(m, *id);

	*id = 0;
	if (!c)
		return;
	if (m->answering == c)
		m->answering = NULL;
	wire_contact_fini(&c->x);
	dk_free(m, c->answer, sizeof(*c->answer));
	dk_table_remove(&m->contacts, c->id);
}

void contact_close_all(struct mesh *m, struct peer *p)
{
	contact_close(m, &p->contact);
	contact_close(m, &p->before);
	contact_close(m, &p->trying);
}

/* ---- out ---- */

static void say_hello(struct mesh *m, struct peer *p)
{
	struct contact *c;
	dk_id id;

	contact_close(m, &p->trying);
	p->hello_ms = dk_now(m);
	p->hello_tries++;
	c = dk_table_add(&m->contacts, &id);
	if (!c)
		return;
	c->id = id;
	c->state = CONTACT_HELLO;
	c->peer = p;
	c->socket = m->socket;
	c->at = p->addr;
	c->made_ms = dk_now(m);
	if (wire_hello_write(m->cluster, 0, index_of(id), 0, &c->hello) < 0) {
		contact_close(m, &id);
		return;
	}
	p->trying = id;
	packet_out(m, m->socket, &p->addr, c->hello.bytes, WIRE_HELLO_LEN);
}

static void seal_out(struct mesh *m, struct contact *c, uint8_t *packet, size_t n)
{
	packet_out(m, c->socket, &c->at, packet, wire_packet_seal(&c->x, packet, n));
}

static void on_hello_timer(void *self, struct dk_timer *t)
{
	mesh_dirty(self, dk_container_of(t, struct peer, hello_timer));
}

/* All that waits for a contact: it leaves by c, or (c NULL) is lost. */
static void let_go(struct mesh *m, struct peer *p, struct contact *c)
{
	struct packet *k;

	while ((k = p->waiting)) {
		p->waiting = k->next;
		if (c)
			seal_out(m, c, k->bytes, k->n);
		else
			m->n.lost++;
		dk_pool_put(&m->packets, k);
	}
	p->waiting_n = 0;
	k = p->packet;
	if (k && k->n && c)
		seal_out(m, c, k->bytes, k->n);
	else if (k && k->n)
		m->n.lost++;
	if (k)
		k->n = 0;
	if (k && m->packets.used > PACKETS_KEPT) { /* many peers: whoever is quiet holds none */
		dk_pool_put(&m->packets, k);
		p->packet = NULL;
	}
}

void contact_drop_packets(struct mesh *m, struct peer *p)
{
	let_go(m, p, NULL);
	dk_pool_put(&m->packets, p->packet);
	p->packet = NULL;
}

void contact_flush(struct mesh *m, struct peer *p)
{
	struct contact *c = get(m, p->contact);
	uint64_t now = dk_now(m), every = (uint64_t)HELLO_EVERY_MS << (p->hello_tries < 3 ? p->hello_tries : 3);
	bool doubt = !c || now - c->heard_ms > SILENCE_MS || c->x.sent > WIRE_CLUSTER_RENEW || now - c->made_ms > RENEW_MS;

	if (!p->waiting && !(p->packet && p->packet->n))
		return;
	if (doubt && (!p->hello_ms || now - p->hello_ms >= every))
		say_hello(m, p);
	if (c || now - p->packet_ms > WAIT_MS)
		let_go(m, p, c);
	else /* they leave when the contact is made */
		dk_timer_start(m, &p->hello_timer, HELLO_EVERY_MS, 0, on_hello_timer);
}

/* The packet is full: it leaves, or waits behind the others. */
static void turn_over(struct mesh *m, struct peer *p)
{
	struct contact *c = get(m, p->contact);
	struct packet **at = &p->waiting, *k = p->packet;

	if (c) {
		let_go(m, p, c);
		return;
	}
	if (p->waiting_n == WAITING_MAX) { /* what is new is worth more */
		struct packet *oldest = p->waiting;

		p->waiting = oldest->next;
		p->waiting_n--;
		m->n.lost++;
		dk_pool_put(&m->packets, oldest);
	}
	while (*at)
		at = &(*at)->next;
	*at = k;
	p->waiting_n++;
	p->packet = NULL;
}

int contact_put(struct mesh *m, struct peer *p, const struct wire_unit *u)
{
	size_t n = wire_unit_len(u);
	struct dk_writer w;

	if (n > WIRE_PACKET_PLAIN)
		return DK_TOO_LONG;
	if (p->packet && p->packet->n + n > WIRE_PACKET_PLAIN)
		turn_over(m, p);
	if (!p->packet)
		p->packet = dk_pool_get(&m->packets);
	if (!p->packet) {
		m->n.lost++;
		return DK_FULL;
	}
	if (!p->packet->n && !p->waiting)
		p->packet_ms = dk_now(m);
	w = dk_writer_on(p->packet->bytes + WIRE_PACKET_HEAD + p->packet->n, n);
	wire_unit_write(&w, u);
	p->packet->n += n;
	mesh_dirty(m, p);
	return 0;
}

void contact_say(struct mesh *m, struct contact *c, const struct wire_unit *u)
{
	uint8_t packet[WIRE_PACKET_MAX];
	struct dk_writer w = dk_writer_on(packet + WIRE_PACKET_HEAD, WIRE_PACKET_PLAIN);

	wire_unit_write(&w, u);
	if (w.bad)
		m->n.lost++;
	else
		seal_out(m, c, packet, dk_written(&w).n);
}

/* ---- in ---- */

/* The newest open contact of a peer is the one that is spoken on. */
static void adopt(struct mesh *m, struct peer *p, struct contact *c)
{
	if (p->contact != c->id) {
		contact_close(m, &p->before);
		p->before = p->contact;
		p->contact = c->id;
	}
	if (p->trying == c->id)
		p->trying = 0;
	c->peer = p;
	c->state = CONTACT_OPEN;
}

static void got_hello(struct mesh *m, struct dk_udp *socket, const struct dk_datagram *d)
{
	uint8_t welcome[WIRE_WELCOME_LEN];
	struct wire_hello_in in;
	enum wire_cluster_drop drop;
	struct contact *c;
	struct peer *p;
	dk_id id;

	if (m->hello_second != dk_now(m) / 1000) {
		m->hello_second = dk_now(m) / 1000;
		m->hello_n = m->hello_bad_n = 0;
	}
	if (m->hello_n >= HELLOS_PER_S || m->hello_bad_n >= BAD_HELLOS_PER_S) {
		m->n.drop_rate++;
		return;
	}
	drop = wire_hello_open(m->cluster, d->bytes, false, &in);
	if (drop) {
		m->hello_bad_n++;
		mesh_drop(m, drop);
		return;
	}
	m->hello_n++;
	p = in.flags & WIRE_HELLO_GUEST ? NULL : peer_find(m, &in.addr);
	if (p && p->boot == in.boot && !p->self) {
		if (in.number <= p->hello_in) {
			m->n.drop_replay++;
			return;
		}
		p->hello_in = in.number;
	}
	c = dk_table_add(&m->contacts, &id);
	if (!c) {
		m->n.no_memory++;
		return;
	}
	c->id = id;
	c->state = CONTACT_HALF;
	c->socket = socket;
	c->at = d->from;
	c->made_ms = dk_now(m);
	if (wire_welcome_write(m->cluster, &in, index_of(id), 0, welcome, &c->x) < 0) {
		contact_close(m, &id);
		return;
	}
	contact_close(m, &m->half[m->half_at]);
	m->half[m->half_at] = id;
	m->half_at = (m->half_at + 1) % MESH_HALF_MAX;
	packet_out(m, socket, &d->from, welcome, sizeof(welcome));
}

static void got_welcome(struct mesh *m, const struct dk_datagram *d)
{
	uint8_t packet[WIRE_PACKET_MAX];
	struct wire_contact x;
	enum wire_cluster_drop drop;
	struct contact *c;
	struct peer *p;
	uint32_t index;
	uint64_t acked;

	c = wire_welcome_index(d->bytes, &index) ? by_index(m, index) : NULL;
	if (!c || c->state != CONTACT_HELLO) {
		m->n.drop_unknown++;
		return;
	}
	drop = wire_welcome_open(m->cluster, &c->hello, d->bytes, &acked, &x);
	if (drop) {
		mesh_drop(m, drop);
		return;
	}
	p = c->peer;
	if (x.boot == p->last_boot && !p->self) {
		m->n.drop_stale++;
		wire_contact_fini(&x);
		return;
	}
	c->x = x;
	c->heard_ms = dk_now(m);
	p->trying = 0;
	peer_is(m, p, x.boot);
	adopt(m, p, c);
	peer_heard(m, p);
	c = get(m, p->contact);
	if (!c)
		return; /* a listener of the signal forgot it */
	p->hello_tries = 0;
	if (p->waiting || (p->packet && p->packet->n))
		contact_flush(m, p);
	else
		seal_out(m, c, packet, 0); /* so that the other end may speak */
}

/* Something opened that the other end sealed: it is there. False: it may not be. */
static bool prove(struct mesh *m, struct contact *c, const struct dk_addr *from)
{
	struct peer *p;

	if (c->state == CONTACT_OPEN)
		return true;
	for (size_t i = 0; i < MESH_HALF_MAX; i++)
		if (m->half[i] == c->id)
			m->half[i] = 0;
	if (c->x.flags & WIRE_HELLO_GUEST) {
		if (!peer_welcome(m, &c->x, from, true))
			goto refuse;
		c->state = CONTACT_OPEN;
		contact_close(m, &m->guests[m->guest_at]);
		m->guests[m->guest_at] = c->id;
		m->guest_at = (m->guest_at + 1) % MESH_GUESTS_MAX;
		return true;
	}
	if (!c->x.addr.family || !peer_welcome(m, &c->x, from, false))
		goto refuse;
	p = peer_of(m, &c->x.addr);
	if (!p) {
		m->n.no_memory++;
		goto close;
	}
	if (p->self ? c->x.boot != m->api.boot : p->last_boot == c->x.boot) {
		m->n.drop_stale++;
		if (p->self)
			peer_twin(m, from);
		goto close;
	}
	peer_is(m, p, c->x.boot);
	adopt(m, p, c);
	return true;
refuse:
	m->n.drop_stranger++;
close:
	contact_close(m, &(dk_id){ c->id });
	return false;
}

static void run_packet(struct mesh *m, struct contact *c, dk_slice plain)
{
	bool guest = (c->x.flags & WIRE_HELLO_GUEST) != 0;
	struct dk_addr from = guest ? (struct dk_addr){ .family = 0 } : c->x.addr;
	struct dk_cursor r = dk_cursor_of(plain);
	dk_id id = c->id;
	struct wire_unit u;

	while (get(m, id) && wire_unit_read(&r, &u)) {
		bool fits = guest ? u.kind == WIRE_UNIT_REQUEST : u.kind == WIRE_UNIT_MESSAGE || u.kind == WIRE_UNIT_RELAY;

		m->answering = c;
		if (!fits || !call_run(m, c->peer, &from, guest ? c : NULL, &u, 0))
			m->n.drop_unit++;
		m->answering = NULL;
	}
	m->n.drop_unit += r.bad;
}

static void got_sealed(struct mesh *m, const struct dk_datagram *d)
{
	enum wire_cluster_drop drop;
	struct contact *c;
	struct peer *named;
	dk_slice plain;
	uint32_t index;
	dk_id id;

	c = wire_packet_index(d->bytes, &index) ? by_index(m, index) : NULL;
	if (!c || c->state == CONTACT_HELLO) {
		m->n.drop_unknown++;
		return;
	}
	drop = wire_packet_open(&c->x, d->bytes, m->plain, &plain);
	if (drop) {
		mesh_drop(m, drop);
		return;
	}
	id = c->id;
	if (!prove(m, c, &d->from))
		return;
	c->heard_ms = dk_now(m);
	if (c->peer) {
		peer_heard(m, c->peer);
		/* A node that was spoken to by another of its addresses is heard under its name too. */
		named = get(m, id) && !dk_addr_eq(&c->peer->addr, &c->x.addr) ? peer_find(m, &c->x.addr) : NULL;
		if (named && named->boot == c->x.boot)
			peer_heard(m, named);
	}
	if (get(m, id))
		run_packet(m, c, plain);
}

void contact_received(void *self, struct dk_udp *udp, const struct dk_datagram *v, size_t n)
{
	struct mesh *m = self;

	for (; n > 0; v++, n--) {
		m->n.packets_in++;
		m->n.bytes_in += v->bytes.n;
		if (!v->bytes.n)
			m->n.drop_size++;
		else if (v->bytes.p[0] == WIRE_SEALED)
			got_sealed(m, v);
		else if (v->bytes.p[0] == WIRE_HELLO)
			got_hello(m, udp, v);
		else if (v->bytes.p[0] == WIRE_WELCOME)
			got_welcome(m, v);
		else
			m->n.drop_size++;
	}
}

void contact_sweep(struct mesh *m)
{
	uint64_t now = dk_now(m);
	uint32_t slot = 0;
	struct contact *c;
	dk_id id;

	while ((c = dk_table_next(&m->contacts, &slot, &id))) {
		bool guest = (c->x.flags & WIRE_HELLO_GUEST) != 0;
		bool over = c->state == CONTACT_OPEN ? now - c->heard_ms > (guest ? GUEST_LIFE_MS : MESH_REMEMBER_MS)
						     : now - c->made_ms > HELLO_LIFE_MS;

		if (!over)
			continue;
		if (c->peer && c->peer->contact == id)
			c->peer->contact = 0;
		if (c->peer && c->peer->before == id)
			c->peer->before = 0;
		if (c->peer && c->peer->trying == id)
			c->peer->trying = 0;
		contact_close(m, &id);
	}
}
