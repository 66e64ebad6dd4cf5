/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message to many nodes. The sender speaks to a few of them; each gets the addresses of its share and does the same with it. A
 * relay hands the message to its own commands with the address of the first sender, not its own.
 *
 * Bounded: a message makes WIRE_UNIT_HOPS_MAX hops at most, a list of targets only shrinks on its way, and a relay passes over
 * what it had before, so neither a loop nor a list that somebody made up grows.
 */
#include "mesh_state.h"

#include "wire/cluster.h"

#define UNRELIABLE_MAX (WIRE_PACKET_PLAIN - WIRE_UNIT_HEAD - 8 - 8 - WIRE_CLUSTER_ADDR - 3 - 2 - 3) /* targets and payload */

/* The least number of direct targets, from fanout on, with which n are reached in WIRE_UNIT_HOPS_MAX hops. */
static unsigned wide_enough(size_t n, unsigned fanout)
{
	for (;; fanout++) {
		size_t reach = 0, level = 1;

		for (int hop = 0; hop < WIRE_UNIT_HOPS_MAX && reach < n; hop++)
			reach += level *= fanout;
		if (reach >= n)
			return fanout;
	}
}

static int give(struct mesh *m, const struct dk_addr *to, const struct wire_unit *u)
{
	struct peer *p = peer_of(m, to);
	int rc;

	if (!p)
		return DK_FULL;
	if (!(u->how & DK_RELIABLE))
		return contact_put(m, p, u);
	rc = link_put(m, p, u, 4, 0, NULL);
	m->n.shed += rc == DK_FULL;
	return rc;
}

/* u->targets are spread over at most fanout of them; returns how many took their share. */
static size_t pass_on(struct mesh *m, struct wire_unit *u, unsigned fanout)
{
	size_t n = u->targets_n, at = 0, took = 0, most = UINT16_MAX;
	const uint8_t *list = u->targets.p;

	/* An unreliable message travels with the list of its share in one datagram. */
	if (!(u->how & DK_RELIABLE))
		most = u->payload.n >= UNRELIABLE_MAX ? 0 : (UNRELIABLE_MAX - u->payload.n) / WIRE_CLUSTER_ADDR;
	if (fanout < (n + most) / (most + 1))
		fanout = (unsigned)((n + most) / (most + 1));
	for (unsigned i = 0; i < fanout && at < n; i++) {
		size_t share = (n - at + (fanout - i) - 1) / (fanout - i);
		struct dk_cursor r = dk_cursor_of(dk_slice_n(list + at * WIRE_CLUSTER_ADDR, WIRE_CLUSTER_ADDR));
		struct dk_addr to = { .family = 0 };

		wire_addr_read(&r, &to);
		u->targets = dk_slice_n(list + (at + 1) * WIRE_CLUSTER_ADDR, (share - 1) * WIRE_CLUSTER_ADDR);
		u->targets_n = (uint16_t)(share - 1);
		took += to.family && give(m, &to, u) == 0;
		at += share;
	}
	return took;
}

size_t tree_send(struct dk_carrier *c, const struct dk_addr *to, size_t n, unsigned fanout, uint8_t ver, uint16_t cmd,
		 dk_slice payload, unsigned how)
{
	struct mesh *m = dk_container_of(c, struct mesh, api);
	struct wire_unit u = { .kind = WIRE_UNIT_RELAY,
			       .ver = ver,
			       .cmd = cmd,
			       .hops = WIRE_UNIT_HOPS_MAX,
			       .how = how & DK_RELIABLE,
			       .origin = m->api.addr,
			       .boot = m->api.boot,
			       .payload = payload };
	struct dk_writer w;
	uint8_t *list;

	if (!fanout)
		fanout = (unsigned)mesh_conf(m)->fanout;
	if (fanout > UINT8_MAX)
		fanout = UINT8_MAX;
	if (!n || n > MESH_PEERS_MAX || payload.n > (how & DK_RELIABLE ? DK_CARRIER_MESSAGE_MAX : DK_CARRIER_DATAGRAM_MAX))
		return 0;
	list = dk_scratch(m, n * WIRE_CLUSTER_ADDR);
	w = dk_writer_on(list, n * WIRE_CLUSTER_ADDR);
	for (size_t i = 0; i < n; i++)
		if (to[i].family && to[i].port && !dk_addr_eq(&to[i], &m->api.addr)) {
			wire_addr_write(&w, &to[i]);
			u.targets_n++;
		}
	u.targets = dk_written(&w);
	fanout = wide_enough(u.targets_n, fanout);
	u.fanout = (uint8_t)fanout;
	u.id = ++m->relay_n;
	return u.targets_n ? pass_on(m, &u, fanout) : 0;
}

static uint32_t seen_hash(uint64_t boot, uint64_t id)
{
	return (uint32_t)((boot ^ id * 0x9e3779b97f4a7c15u) >> 32);
}

static bool seen_eq(const void *arg, uint32_t at, const void *key)
{
	const struct tree_seen *s = &((const struct mesh *)arg)->seen[at], *k = key;

	return s->boot == k->boot && s->id == k->id;
}

/* True once for each message; remembers the last TREE_SEEN of them. */
static bool first_time(struct mesh *m, uint64_t boot, uint64_t id)
{
	struct tree_seen key = { boot, id, dk_now(m) }, *old;
	uint32_t at = dk_map_find(&m->seen_map, seen_hash(boot, id), seen_eq, m, &key);

	if (at != DK_MAP_NONE)
		return false;
	if (!m->seen)
		m->seen = dk_alloc(m, TREE_SEEN * sizeof(*m->seen));
	if (!m->seen)
		return false;
	old = &m->seen[m->seen_at];
	if (old->boot)
		dk_map_remove(&m->seen_map, seen_hash(old->boot, old->id), (uint32_t)m->seen_at);
	*old = key;
	if (dk_map_put(m, &m->seen_map, seen_hash(boot, id), (uint32_t)m->seen_at)) {
		old->boot = 0;
		return false;
	}
	m->seen_at = (m->seen_at + 1) % TREE_SEEN;
	return true;
}

bool tree_run(struct mesh *m, const struct wire_unit *u)
{
	struct wire_unit on = *u;
	struct wire_unit message = { .kind = WIRE_UNIT_MESSAGE, .ver = u->ver, .cmd = u->cmd, .payload = u->payload };

	if (u->hops > WIRE_UNIT_HOPS_MAX || !u->origin.family || !u->boot)
		return false;
	if (u->boot == m->api.boot || !first_time(m, u->boot, u->id)) {
		m->n.duplicates++;
		return true;
	}
	if (u->hops <= 1 && u->targets_n) {
		m->n.hops++;
	} else if (u->targets_n) {
		on.hops--;
		m->n.relayed += pass_on(m, &on, u->fanout ? u->fanout : 1);
	}
	return call_run(m, NULL, &u->origin, NULL, &message, 0);
}

void tree_fini(struct mesh *m)
{
	dk_free(m, m->seen, m->seen ? TREE_SEEN * sizeof(*m->seen) : 0);
	m->seen = NULL;
	dk_map_fini(m, &m->seen_map);
}
