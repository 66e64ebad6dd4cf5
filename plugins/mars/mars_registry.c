/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registries, both sides. A registry is a node that listens on a port which everybody knows; its table is soft, made of what nodes
 * announce, and it answers each announcement with a digest of what that node may see. It never says that somebody is gone: one
 * that began anew with an empty table takes nothing from anyone.
 *
 * A node announces to all its registries with every beat, so there is no leader among them and none to be elected. Seeds (`peers`)
 * are nodes that are asked like registries while they are not members.
 */
#include "mars_state.h"

#include <diarkis/plugin.h>

#include <errno.h>

DK_PACKERS(MARS_MESSAGES)

#define SEED_EVERY_MS 2000 /* a seed that is no member, once there is a view */
#define RESOLVE_AGAIN_MS 2000 /* after a failure */

/* ---- names ---- */

static void resolved(void *self, void *arg, int err, const struct dk_addr *addr)
{
	struct mars *m = self;
	struct mars_place *p = arg;

	p->asking = false;
	if (err) {
		if (!m->n.unresolved++)
			dk_log(m, DK_WARN, "%s has no address: %s; it is asked for again and again", p->text, dk_err_text(err));
		p->resolve_at = dk_now(m) + RESOLVE_AGAIN_MS;
		return; /* the address that was, if any, is still the best guess */
	}
	p->resolve_at = dk_now(m) + (uint64_t)m->carrier->registry_ttl_s * 1000;
	p->addr = *addr;
}

/* "host", "host:port", "1.2.3.4", "[::1]:80": the host, and the port where the text names one. */
static dk_str split_host(dk_str text, uint16_t *port)
{
	size_t n = text.n, v = 0;

	while (n && text.p[n - 1] >= '0' && text.p[n - 1] <= '9')
		n--;
	if (n < 2 || n == text.n || text.p[n - 1] != ':' || text.n - n > 5 || memchr(text.p, ':', n - 1))
		return text;
	for (size_t i = n; i < text.n; i++)
		v = v * 10 + (size_t)(text.p[i] - '0');
	if (v == 0 || v > UINT16_MAX)
		return text;
	*port = (uint16_t)v;
	return dk_str_n(text.p, n - 1);
}

static void resolve(struct mars *m, struct mars_place *p)
{
	dk_str host = dk_str_c(p->text);
	uint16_t port = m->carrier->registry_port;

	if (p->asking || (p->resolve_at && dk_now(m) < p->resolve_at))
		return;
	if (dk_addr_parse(host, port, &p->addr) == 0) {
		p->resolve_at = UINT64_MAX; /* an address it is, and stays */
		return;
	}
	host = split_host(host, &port);
	p->asking = dk_resolve(m, host, port, resolved, p) == 0;
}

/* ---- announcing ---- */

static bool is_own(const struct mars *m, const struct dk_addr *a)
{
	return dk_addr_eq(a, &m->me.node.addr) || (m->serving && dk_addr_eq(a, &m->served));
}

bool mars_registry_is(const struct mars *m, const struct dk_addr *addr)
{
	for (size_t i = 0; i < m->registry_n; i++)
		if (dk_addr_eq(&m->registries[i].addr, addr))
			return true;
	for (size_t i = 0; i < m->seed_n; i++)
		if (dk_addr_eq(&m->seeds[i].addr, addr))
			return true;
	return false;
}

bool mars_registry_any(const struct mars *m)
{
	for (size_t i = 0; i < m->registry_n; i++)
		if (!is_own(m, &m->registries[i].addr))
			return true;
	for (size_t i = 0; i < m->seed_n; i++)
		if (!is_own(m, &m->seeds[i].addr))
			return true;
	return false;
}

void mars_registry_tell(struct mars *m)
{
	for (size_t i = 0; i < m->registry_n; i++)
		if (m->registries[i].addr.family && !is_own(m, &m->registries[i].addr))
			mars_agent_tell(m, &m->registries[i].addr, MARS_TO_REGISTRY);
}

void mars_registry_beat(struct mars *m)
{
	uint64_t now = dk_now(m);

	for (size_t i = 0; i < m->registry_n; i++) {
		struct mars_place *p = &m->registries[i];

		resolve(m, p);
		if (p->addr.family && !is_own(m, &p->addr))
			mars_agent_tell(m, &p->addr, MARS_TO_REGISTRY | (m->synced ? 0 : MARS_PULL));
	}
	for (size_t i = 0; i < m->seed_n; i++) {
		struct mars_place *p = &m->seeds[i];
		const struct mars_member *member;

		resolve(m, p);
		if (!p->addr.family || is_own(m, &p->addr) || (m->synced && p->pulled_at && now - p->pulled_at < SEED_EVERY_MS))
			continue;
		member = mars_table_find(&m->table, &p->addr);
		if (member && member->rec.state != MARS_GONE)
			continue;
		p->pulled_at = now;
		mars_agent_tell(m, &p->addr, MARS_PULL);
	}
}

int mars_registry_answered(struct mars *m, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	uint8_t flags = dk_rd_u8(&c);
	uint64_t boot = dk_rd_u64(&c), digest = dk_rd_u64(&c), now = dk_now(m);
	uint32_t nodes = dk_rd_u32(&c);

	if (!dk_rd_done(&c)) {
		m->n.refused_malformed++;
		return 0;
	}
	for (size_t i = 0; i < m->registry_n; i++) {
		struct mars_place *p = &m->registries[i];

		/* It answers in its own name, which is not the address where registries are found. */
		if (!boot || m->carrier->boot_of(m->carrier, &p->addr) != boot)
			continue;
		p->answered_at = now;
		p->nodes = nodes;
		p->full = flags & MARS_FULL;
		m->full = p->full || m->serving;
		if (digest == mars_agent_digest(m, &m->me, NULL)) {
			if (!(flags & MARS_FRESH))
				mars_view_settle(m, true);
		} else if (now - p->pulled_at >= MARS_PULL_EVERY_MS) {
			p->pulled_at = now;
			mars_agent_tell(m, &p->addr, MARS_PULL);
		}
		return 0;
	}
	return 0;
}

enum mars_health mars_registry_health(struct mars *m, uint32_t *ret_age_ms, uint32_t *ret_nodes)
{
	uint64_t last = m->serving ? dk_now(m) : 0, age;

	for (size_t i = 0; i < m->registry_n; i++)
		if (m->registries[i].answered_at > last)
			last = m->registries[i].answered_at;
	age = dk_now(m) - (last ? last : m->started_at);
	*ret_age_ms = age < UINT32_MAX ? (uint32_t)age : UINT32_MAX;
	*ret_nodes = (uint32_t)m->n.nodes;
	if (!m->serving && !m->registry_n)
		return MARS_HEALTH_NONE;
	return last && age < (uint64_t)mars_conf(m)->dead_ms ? MARS_HEALTH_OK : MARS_HEALTH_SILENT;
}

/* ---- being a registry ---- */

bool mars_registry_wants_full(const struct mars *m, const struct mars_record *who)
{
	const struct dk_strs *roles = &mars_conf(m)->full_sync_roles;

	for (size_t i = 0; i < roles->n; i++)
		if (roles->at[i][0] && mars_record_has_role(who, dk_str_c(roles->at[i])))
			return true;
	return mars_record_has_role(who, dk_str_c("MARS"));
}

void mars_registry_answer(struct mars *m, const struct dk_addr *to, const struct mars_record *who)
{
	uint8_t buf[32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	bool fresh = dk_now(m) - m->started_at < MARS_FRESH_MS;

	if (!m->serving)
		return;
	mars_on_answer_pack(&w, (uint8_t)((mars_registry_wants_full(m, who) ? MARS_FULL : 0) | (fresh ? MARS_FRESH : 0)),
			    m->me.node.boot, mars_agent_digest(m, who, NULL), (uint32_t)m->table.n + 1);
	m->carrier->send(m->carrier, to, DK_VER_NODE, MARS_MSG_ANSWER, dk_written(&w), DK_UNRELIABLE);
}

static int on_stranger(struct mars *m, struct dk_carrier_stranger *ask)
{
	const struct mars_member *member;
	uint32_t slot = 0;

	if (m->serving || mars_registry_is(m, &ask->addr) || is_own(m, &ask->addr))
		return 0;
	while ((member = mars_table_next(&m->table, &slot))) {
		const struct dk_addr *a = &member->rec.node.addr;

		/* A tool runs on the host of some node. */
		if (ask->guest ? memcmp(a->ip, ask->addr.ip, sizeof(a->ip)) == 0 : dk_addr_eq(a, &ask->addr))
			return 0;
	}
	if (ask->guest && memcmp(m->me.node.addr.ip, ask->addr.ip, sizeof(ask->addr.ip)) == 0)
		return 0;
	for (size_t i = 0; i < m->registry_n; i++)
		if (memcmp(m->registries[i].addr.ip, ask->addr.ip, sizeof(ask->addr.ip)) == 0)
			return 0; /* a registry speaks from its own address too */
	m->n.refused_stranger++;
	return -EPERM;
}

static void on_metrics(void *self, struct dk_timer *t)
{
	(void)t;
	mars_report_metrics(self);
}

int mars_registry_init(struct mars *m)
{
	const struct mars_conf *c = mars_conf(m);

	for (size_t i = 0; i < c->peers.n && m->seed_n < MARS_SEEDS_MAX; i++)
		m->seeds[m->seed_n++] = (struct mars_place){ .text = c->peers.at[i] };
	return dk_filter_add(m, &m->carrier->stranger, on_stranger);
}

int mars_registry_start(struct mars *m)
{
	const struct mars_conf *c = mars_conf(m);
	char text[DK_ADDR_TEXT];
	struct dk_addr at;
	int rc;

	for (size_t i = 0; i < m->carrier->registry_n && m->registry_n < MARS_REGISTRIES_MAX; i++)
		m->registries[m->registry_n++] = (struct mars_place){ .text = m->carrier->registries[i] };
	if (m->carrier->registry_n > MARS_REGISTRIES_MAX)
		dk_log(m, DK_WARN, "%zu registries are configured; the first %d are spoken to", m->carrier->registry_n,
		       MARS_REGISTRIES_MAX);
	for (size_t i = 0; i < m->registry_n; i++)
		resolve(m, &m->registries[i]);
	for (size_t i = 0; i < m->seed_n; i++)
		resolve(m, &m->seeds[i]);
	if (!c->serve || dk_worker(m))
		return 0;
	rc = dk_addr_parse(dk_str_c(c->address), (uint16_t)c->port, &at);
	if (rc)
		return rc;
	rc = m->carrier->serve(m->carrier, &at);
	if (rc) {
		dk_addr_format(&at, text);
		dk_log(m, DK_ERROR,
		       "the registry's UDP port %s cannot be bound: %s; nodes look for it there, so no other port will do", text,
		       dk_err_text(rc));
		return rc;
	}
	m->serving = true;
	m->full = true;
	m->served = at;
	dk_announce(m, "MARS", &at, false);
	if (c->metrics_logging)
		dk_timer_start(m, &m->metrics, 1000, 1000, on_metrics);
	return 0;
}
