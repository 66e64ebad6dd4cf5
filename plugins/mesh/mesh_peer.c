/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other nodes, by address. A peer is made by whoever speaks first and goes when nothing was said for a minute and nothing of
 * it is open; until then its numbers stand. A node that runs anew under the same address is another node: what the old one had is
 * ended before anything of the new one is looked at.
 */
#include "mesh_state.h"

/* Every call looks one up. Peers have the key, or are spoken to by configuration: nobody else can choose what collides. */
static uint32_t hash_of(const struct dk_addr *a)
{
	uint64_t ip[2];

	memcpy(ip, a->ip, sizeof(ip));
	return (uint32_t)(((ip[0] ^ ip[1] * 0xff51afd7ed558ccdu ^ (uint64_t)a->port << 40) * 0x9e3779b97f4a7c15u) >> 32);
}

static struct peer *at_slot(const struct mesh *m, uint32_t slot)
{
	return dk_table_get(&m->peers, dk_table_id_at(&m->peers, slot));
}

static bool same(const void *arg, uint32_t slot, const void *addr)
{
	return dk_addr_eq(&at_slot(arg, slot)->addr, addr);
}

struct peer *peer_find(struct mesh *m, const struct dk_addr *addr)
{
	uint32_t slot = dk_map_find(&m->by_addr, hash_of(addr), same, m, addr);

	return slot == DK_MAP_NONE ? NULL : at_slot(m, slot);
}

static bool is_self(const struct mesh *m, const struct dk_addr *addr)
{
	if (dk_addr_eq(addr, &m->api.addr))
		return true;
	for (size_t i = 0; i < MESH_SERVES_MAX && m->served[i]; i++)
		if (dk_addr_eq(addr, dk_udp_addr(m->served[i])))
			return true;
	return false;
}

struct peer *peer_of(struct mesh *m, const struct dk_addr *addr)
{
	struct peer *p;
	dk_id id;

	if (!addr->family || !addr->port)
		return NULL;
	p = peer_find(m, addr);
	if (p) {
		p->used_ms = dk_now(m);
		return p;
	}
	p = dk_table_add(&m->peers, &id);
	if (!p)
		return NULL;
	if (dk_map_put(m, &m->by_addr, hash_of(addr), dk_id_slot(id))) {
		dk_table_remove(&m->peers, id);
		return NULL;
	}
	p->addr = *addr;
	p->id = id;
	p->used_ms = dk_now(m);
	p->self = is_self(m, addr);
	if (p->self)
		p->boot = m->api.boot;
	queue_init(m, &p->out.q, &m->blocks);
	m->n.peers++;
	return p;
}

static void peer_free(struct mesh *m, struct peer *p)
{
	contact_close_all(m, p);
	link_close_all(m, p);
	queue_fini(&p->out.q);
	dk_timer_stop(&p->out.timer);
	dk_timer_stop(&p->ack_timer);
	dk_timer_stop(&p->hello_timer);
	contact_drop_packets(m, p);
	dk_map_remove(&m->by_addr, hash_of(&p->addr), dk_id_slot(p->id));
	dk_table_remove(&m->peers, p->id);
	m->n.peers--;
}

void peer_heard(struct mesh *m, struct peer *p)
{
	p->heard_ms = p->used_ms = dk_now(m);
	if (!p->up && !p->self) {
		struct dk_carrier_link ev = { .addr = p->addr, .boot = p->boot, .up = true };

		p->up = true;
		dk_emit(&m->api.link, &ev);
	}
}

void peer_down(struct mesh *m, struct peer *p)
{
	struct dk_carrier_link ev = { .addr = p->addr, .boot = p->boot, .up = false };

	if (!p->up)
		return;
	p->up = false;
	dk_emit(&m->api.link, &ev);
}

/* Ends all that this boot of it had; what it did get, and did, is not forgotten. */
static void end_life(struct mesh *m, struct peer *p)
{
	p->life++;
	contact_close_all(m, p);
	link_close_all(m, p);
	contact_drop_packets(m, p);
	peer_down(m, p);
	call_reset(m, p);
	p->heard_ms = 0;
}

void peer_is(struct mesh *m, struct peer *p, uint64_t boot)
{
	if (p->boot == boot || p->self)
		return;
	if (p->boot) {
		p->last_boot = p->boot;
		end_life(m, p);
	}
	p->boot = boot;
	p->got_session = p->got = 0;
	p->hello_in = p->hello_in_stream = 0;
	p->skew_at_ms = 0;
	p->owe_ack = false;
}

void peer_gone(struct mesh *m, struct peer *p)
{
	if (!p->self)
		end_life(m, p);
}

bool peer_welcome(struct mesh *m, const struct wire_contact *x, const struct dk_addr *from, bool guest)
{
	struct dk_carrier_stranger ask = { .addr = guest ? *from : x->addr, .boot = x->boot, .guest = guest };

	if (!mesh_conf(m)->strict)
		return true;
	if (!guest && memcmp(from->ip, x->addr.ip, sizeof(from->ip)) != 0)
		return false;
	return dk_ask(&m->api.stranger, &ask) == 0;
}

void peer_twin(struct mesh *m, const struct dk_addr *from)
{
	char own[DK_ADDR_TEXT], theirs[DK_ADDR_TEXT];

	if (m->twin_told_ms && dk_now(m) - m->twin_told_ms < MESH_REMEMBER_MS)
		return;
	m->twin_told_ms = dk_now(m);
	dk_addr_format(&m->api.addr, own);
	dk_addr_format(from, theirs);
	dk_log(m, DK_ERROR, "another node says that it is %s, as this one is; it spoke from %s: give it an address of its own", own,
	       theirs);
}

void peer_sweep(struct mesh *m)
{
	uint64_t now = dk_now(m);
	uint32_t slot = 0;
	struct peer *p;
	dk_id id;

	while ((p = dk_table_next(&m->peers, &slot, &id)))
		if (!p->self && !p->dirty && !p->requests && now - p->used_ms > MESH_REMEMBER_MS && link_idle(p) && !p->contact)
			peer_free(m, p);
}

void peer_free_all(struct mesh *m)
{
	uint32_t slot = 0;
	struct peer *p;
	dk_id id;

	while ((p = dk_table_next(&m->peers, &slot, &id)))
		peer_free(m, p);
}
