/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node tells: its record, beats, probes, its goodbye. Everything is sent unreliably; what matters is sent three times,
 * and what is lost all the same is noticed by the numbers in the next beat.
 *
 * This node's record is changed here alone. A change gets the next seq; a refutation the next incarnation.
 */
#include "mars_state.h"

#include <diarkis/plugin.h>
#include <diarkis/version.h>

DK_PACKERS(MARS_MESSAGES)

#define COPIES 3
#define COPY_EVERY_MS 20 /* losses come in runs */
#define TOMB_BEAT_MS 2000 /* to a node that died long ago, in case it did not */
#define PAGE_ROOM (DK_CARRIER_DATAGRAM_MAX - 64)

static void send(struct mars *m, const struct dk_addr *to, uint16_t cmd, const struct dk_writer *w)
{
	dk_slice payload = dk_written(w);

	if (payload.n)
		m->carrier->send(m->carrier, to, DK_VER_NODE, cmd, payload, DK_UNRELIABLE);
}

/* ---- this node's record ---- */

static bool add_endpoint(struct dk_cluster_node *node, const char *role, const char *type, const char *host, uint16_t port,
			 bool encrypted)
{
	struct dk_endpoint *e = &node->endpoints[node->endpoint_n];

	if (!port || !host || !*host || node->endpoint_n == DK_CLUSTER_ENDPOINTS || strlen(role) >= sizeof(e->role) ||
	    strlen(type) >= sizeof(e->type) || strlen(host) >= sizeof(e->host))
		return false;
	memset(e, 0, sizeof(*e));
	memcpy(e->role, role, strlen(role));
	memcpy(e->type, type, strlen(type));
	memcpy(e->host, host, strlen(host));
	e->port = port;
	e->encrypted = encrypted;
	node->endpoint_n++;
	return true;
}

/* The text of an address without its port; of a wildcard, that of the mesh, by which the others reach this host. */
static const char *host_of(const struct mars *m, const struct dk_addr *a, char text[DK_ADDR_TEXT])
{
	static const uint8_t any[16];
	struct dk_addr host = memcmp(a->ip, any, sizeof(any)) ? *a : m->carrier->addr;
	size_t n = dk_addr_format(&host, text);

	while (n && text[n - 1] != ':')
		n--;
	if (n)
		text[n - 1] = '\0';
	if (text[0] != '[')
		return text;
	text[strlen(text) - 1] = '\0';
	return text + 1;
}

static void read_endpoints(struct mars *m, struct dk_cluster_node *node)
{
	const char *instance, *role, *host;
	char text[DK_ADDR_TEXT];
	const struct dk_addr *a;
	uint16_t port;

	node->endpoint_n = 0;
	for (size_t i = 0; i < m->transports.n; i++) {
		struct dk_transport *t = m->transports.at[i];

		host = NULL;
		port = 0;
		t->endpoint(t, &host, &port);
		add_endpoint(node, t->role, t->type, host, port, t->encrypted);
	}
	for (size_t i = 0; (a = dk_announced_at(m, i, &instance, &role)); i++)
		if (strcmp(role, "HTTP") == 0 || strcmp(role, "DGS") == 0)
			add_endpoint(node, role, role, host_of(m, a, text), a->port, false);
	if (m->serving)
		add_endpoint(node, "MARS", "MARS", host_of(m, &m->served, text), m->served.port, false);
}

static enum mars_state state_now(const struct mars *m)
{
	if (m->me.state == MARS_GONE)
		return MARS_GONE;
	switch (dk_node_state(m)) {
	case DK_OFFLINE:
		return MARS_OFFLINE;
	case DK_TAKEN:
		return m->up ? MARS_TAKEN : MARS_JOINING;
	default:
		return m->up ? MARS_ONLINE : MARS_JOINING;
	}
}

static bool same_endpoints(const struct dk_cluster_node *a, const struct dk_cluster_node *b)
{
	if (a->endpoint_n != b->endpoint_n)
		return false;
	for (size_t i = 0; i < a->endpoint_n; i++) {
		const struct dk_endpoint *x = &a->endpoints[i], *y = &b->endpoints[i];

		if (strcmp(x->role, y->role) || strcmp(x->type, y->type) || strcmp(x->host, y->host) || x->port != y->port ||
		    x->encrypted != y->encrypted)
			return false;
	}
	return true;
}

/* Endpoints that do not fit one datagram are left out, the last ones first. */
static void fit(struct mars *m, struct mars_record *r)
{
	uint8_t buf[MARS_RECORD_MAX];
	size_t had = r->node.endpoint_n;

	for (;; r->node.endpoint_n--) {
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));

		mars_record_write(r, &w);
		if (!w.bad || !r->node.endpoint_n)
			break;
	}
	if (r->node.endpoint_n < had)
		dk_log(m, DK_ERROR,
		       "the endpoints of this node do not fit a record of %d bytes; the others do not hear of the last %zu",
		       MARS_RECORD_MAX, had - r->node.endpoint_n);
}

void mars_agent_refresh(struct mars *m)
{
	struct mars_record now = m->me;

	now.state = state_now(m);
	now.node.state = mars_record_state(&now);
	read_endpoints(m, &now.node);
	if (now.state == m->me.state && same_endpoints(&now.node, &m->me.node))
		return;
	if (now.node.endpoint_n != m->me.node.endpoint_n)
		fit(m, &now);
	if (now.state == m->me.state && same_endpoints(&now.node, &m->me.node))
		return;
	now.seq++;
	m->me = now;
	mars_agent_announce(m);
}

/* ---- telling the record ---- */

static void announce_to(struct mars *m, const struct dk_addr *to, unsigned flags)
{
	uint8_t buf[DK_CARRIER_DATAGRAM_MAX], record[MARS_RECORD_MAX], buckets[MARS_BUCKETS * 4];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), r = dk_writer_on(record, sizeof(record));
	struct dk_writer b = dk_writer_on(buckets, sizeof(buckets));
	uint32_t sums[MARS_BUCKETS];

	mars_record_write(&m->me, &r);
	if (flags & MARS_PULL)
		mars_agent_digest(m, &m->me, sums);
	for (size_t i = 0; i < MARS_BUCKETS && (flags & MARS_PULL); i++)
		dk_wr_u32(&b, sums[i]);
	mars_on_announce_pack(&w, (uint8_t)flags, dk_written(&r), dk_written(&b));
	send(m, to, MARS_MSG_ANNOUNCE, &w);
	m->n.announced_out++;
	m->n.pulls_out += (flags & MARS_PULL) != 0;
}

void mars_agent_tell(struct mars *m, const struct dk_addr *to, unsigned flags)
{
	announce_to(m, to, flags);
}

static void announce_all(struct mars *m)
{
	struct mars_member *member;
	uint32_t slot = 0;

	while ((member = mars_table_next(&m->table, &slot)))
		if (!member->foreign && member->rec.state != MARS_GONE)
			announce_to(m, &member->rec.node.addr, 0);
	mars_registry_tell(m);
}

static void on_copies(void *self, struct dk_timer *t)
{
	struct mars *m = self;

	announce_all(m);
	if (--m->copies_left) {
		dk_timer_start(m, t, COPY_EVERY_MS, 0, on_copies);
	} else if (m->stopping) {
		struct dk_step *step = m->stopping;

		m->stopping = NULL;
		dk_step_done(step, 0);
	}
}

void mars_agent_announce(struct mars *m)
{
	if (!m->carrier->addr.family)
		return;
	announce_all(m);
	m->copies_left = COPIES - 1;
	dk_timer_start(m, &m->copies, COPY_EVERY_MS, 0, on_copies);
}

void mars_agent_leave(struct mars *m, struct dk_step *step)
{
	dk_timer_stop(&m->tick);
	dk_timer_stop(&m->beat);
	m->me.state = MARS_GONE;
	m->me.seq++;
	m->stopping = step;
	mars_agent_announce(m);
}

/* ---- what is there ---- */

uint64_t mars_agent_heard(struct mars *m, const struct mars_member *member)
{
	const struct dk_cluster_node *node = &member->rec.node;
	uint64_t heard = 0;

	if (m->carrier->boot_of(m->carrier, &node->addr) == node->boot)
		heard = m->carrier->heard(m->carrier, &node->addr);
	return heard > member->told_at ? heard : member->told_at;
}

/* Whether a member is to be told of: it is not gone, or, where nobody watches it, announced itself a moment ago. */
static bool is_there(struct mars *m, const struct mars_member *member)
{
	if (member->foreign)
		return dk_now(m) - member->told_at < (uint64_t)mars_conf(m)->dead_ms;
	return !member->gone_at;
}

static void count_in(const struct mars_record *r, uint64_t *sum, uint32_t *buckets)
{
	uint64_t d = mars_record_digest(r);

	*sum += d;
	if (buckets)
		buckets[mars_bucket(r->node.boot)] += (uint32_t)d;
}

uint64_t mars_agent_digest(struct mars *m, const struct mars_record *asker, uint32_t *buckets)
{
	struct mars_member *member;
	uint32_t slot = 0;
	uint64_t sum = 0;

	if (buckets)
		memset(buckets, 0, MARS_BUCKETS * sizeof(*buckets));
	if (mars_record_together(&m->me, asker))
		count_in(&m->me, &sum, buckets);
	while ((member = mars_table_next(&m->table, &slot)))
		if (is_there(m, member) && mars_record_together(&member->rec, asker))
			count_in(&member->rec, &sum, buckets);
	return sum;
}

/* ---- the table ---- */

struct page {
	struct mars *m;
	const struct dk_addr *to;
	struct dk_writer w;
	uint8_t buf[PAGE_ROOM];
};

static void page_out(struct page *p)
{
	if (p->w.p > p->buf) {
		send(p->m, p->to, MARS_MSG_TABLE, &p->w);
		p->m->n.tables_out++;
	}
	p->w = dk_writer_on(p->buf, sizeof(p->buf));
}

static void page_put(struct page *p, const struct mars_record *r, uint64_t age)
{
	uint8_t record[MARS_RECORD_MAX];
	struct dk_writer w = dk_writer_on(record, sizeof(record));

	mars_record_write(r, &w);
	if (w.bad)
		return;
	if ((size_t)(p->w.end - p->w.p) < dk_written(&w).n + 6)
		page_out(p);
	dk_wr_u32(&p->w, age < UINT32_MAX ? (uint32_t)age : UINT32_MAX);
	dk_wr_bytes16(&p->w, dk_written(&w));
}

void mars_agent_table(struct mars *m, const struct dk_addr *to, const struct mars_record *asker, dk_slice buckets)
{
	struct page p = { .m = m, .to = to };
	struct dk_cursor c = dk_cursor_of(buckets);
	struct mars_member *member;
	uint32_t sums[MARS_BUCKETS], slot = 0;
	bool differs[MARS_BUCKETS];

	mars_agent_digest(m, asker, sums);
	for (size_t i = 0; i < MARS_BUCKETS; i++)
		differs[i] = dk_rd_u32(&c) != sums[i];
	if (!dk_rd_done(&c)) {
		m->n.refused_malformed++;
		return;
	}
	page_out(&p);
	if (differs[mars_bucket(m->me.node.boot)] && mars_record_together(&m->me, asker))
		page_put(&p, &m->me, 0);
	while ((member = mars_table_next(&m->table, &slot)))
		if (differs[mars_bucket(member->rec.node.boot)] && is_there(m, member) &&
		    mars_record_together(&member->rec, asker) && member->rec.node.boot != asker->node.boot)
			page_put(&p, &member->rec, dk_now(m) - mars_agent_heard(m, member));
	page_out(&p);
}

/* ---- shared data ---- */

static void share_to(struct mars *m, const struct dk_addr *to)
{
	size_t from = 0;
	bool more;

	do {
		uint8_t buf[PAGE_ROOM];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));

		more = mars_shared_write(&m->shared, &from, dk_now(m), &w);
		send(m, to, MARS_MSG_SHARED, &w);
	} while (more);
}

void mars_agent_share(struct mars *m, const struct dk_addr *to)
{
	struct mars_member *member;
	uint32_t slot = 0;

	if (to) {
		share_to(m, to);
		return;
	}
	while ((member = mars_table_next(&m->table, &slot)))
		if (!member->foreign && !member->gone_at)
			share_to(m, &member->rec.node.addr);
}

/* ---- beats ---- */

void mars_agent_beat(struct mars *m, const struct dk_addr *to, unsigned flags, uint32_t accused)
{
	uint8_t buf[MARS_BEAT_PAYLOAD];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	const struct mars_record *me = &m->me;

	mars_on_beat_pack(&w, (uint8_t)flags, me->node.boot, me->node.incarnation, me->seq, m->values.seq, me->node.users,
			  m->digest, mars_shared_digest(&m->shared), accused);
	send(m, to, MARS_MSG_BEAT, &w);
	m->n.beats_out++;
}

static void beat_member(struct mars *m, const struct mars_member *member, unsigned flags)
{
	const struct dk_cluster_node *node = &member->rec.node;

	if (node->health != DK_ALIVE)
		flags |= MARS_ACCUSED | MARS_REPLY;
	mars_agent_beat(m, &node->addr, flags, node->incarnation);
}

static void on_beat(void *self, struct dk_timer *t)
{
	struct mars *m = self;
	uint64_t every = (uint64_t)mars_conf(m)->beat_ms, now = dk_now(m);
	struct mars_member *member;
	uint32_t slot = 0;

	mars_agent_refresh(m);
	m->me.value_seq = m->values.seq;
	m->digest = mars_agent_digest(m, &m->me, NULL);
	while ((member = mars_table_next(&m->table, &slot)))
		if (!member->foreign && member->rec.state != MARS_GONE)
			beat_member(m, member, 0);
	if (now / TOMB_BEAT_MS != m->beat_at / TOMB_BEAT_MS)
		for (size_t i = 0; i < m->table.tomb_n; i++) {
			const struct mars_tomb *tomb = &m->table.tombs[i];

			if (!tomb->left && now < tomb->until && !mars_table_find(&m->table, &tomb->addr))
				mars_agent_beat(m, &tomb->addr, MARS_ACCUSED | MARS_REPLY, tomb->incarnation);
		}
	m->beat_at = now;
	mars_registry_beat(m);
	/* +-10 %: nodes that began together do not go on together */
	dk_timer_start(m, t, every - every / 10 + dk_chance(m) % (every / 5 + 1), 0, on_beat);
}

/* Asks a silent node for a sign of life, and others when they heard it. */
static void probe(struct mars *m, const struct mars_member *about)
{
	size_t left = (size_t)mars_conf(m)->relays, seen = 0;
	struct mars_member *relays[8] = { NULL }, *member;
	uint8_t buf[8];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	uint32_t slot = 0;

	beat_member(m, about, MARS_REPLY);
	mars_on_ask_pack(&w, about->rec.node.boot);
	left = left < DK_ARRAY_LEN(relays) ? left : DK_ARRAY_LEN(relays);
	/* A fair choice of `left` among those who are well. */
	while ((member = mars_table_next(&m->table, &slot))) {
		size_t i = seen;

		if (member == about || !mars_view_alive(member) || member->rec.node.degraded)
			continue;
		if (seen++ >= left)
			i = dk_chance(m) % seen;
		if (i < left)
			relays[i] = member;
	}
	for (size_t i = 0; i < left && relays[i]; i++) {
		send(m, &relays[i]->rec.node.addr, MARS_MSG_ASK, &w);
		m->n.asks_out++;
	}
	for (size_t i = 0; i < m->registry_n && seen + i < left; i++)
		if (m->registries[i].addr.family) {
			send(m, &m->registries[i].addr, MARS_MSG_ASK, &w);
			m->n.asks_out++;
		}
}

/* ---- the tick ---- */

static void judge(struct mars *m, struct mars_member *member)
{
	struct dk_cluster_node *node = &member->rec.node;
	uint64_t now = dk_now(m);
	unsigned found;

	mars_watch_heard(&m->detector, &member->watch, mars_agent_heard(m, member));
	if (now < mars_watch_due(&m->detector, &member->watch))
		return;
	found = mars_watch_step(&m->detector, &member->watch, now);
	node->health = member->watch.health;
	node->degraded = member->watch.degraded;
	member->gone_at = node->health != DK_DEAD ? 0 : member->gone_at ? member->gone_at : now;
	if (found & MARS_RECOVERED)
		mars_view_event(m, member, DK_NODE_RECOVERED);
	if (found & MARS_SUSPECTED)
		mars_view_event(m, member, DK_NODE_SUSPECTED);
	if (found & MARS_DIED)
		mars_view_event(m, member, DK_NODE_DIED);
	if ((found & MARS_DEGRADED) && !(found & (MARS_RECOVERED | MARS_DIED)))
		mars_view_event(m, member, DK_NODE_CHANGED);
	if (found & MARS_PROBE)
		probe(m, member);
}

void mars_agent_judge(struct mars *m, struct mars_member *member)
{
	if (!member->foreign && member->rec.state != MARS_GONE)
		judge(m, member);
}

static void remove_gone(struct mars *m, struct mars_member *member)
{
	const struct mars_conf *c = mars_conf(m);
	struct dk_addr addr = member->rec.node.addr;
	uint64_t now = dk_now(m), remove_ms = (uint64_t)c->remove_s * 1000;

	if (member->foreign && now - member->told_at >= remove_ms) {
		mars_table_remove(&m->table, member);
	} else if (!member->foreign && member->gone_at && now - member->gone_at >= remove_ms) {
		mars_view_event(m, member, DK_NODE_REMOVED);
		mars_table_bury(&m->table, member, now, (uint64_t)c->tombstone_s * 1000);
		m->carrier->forget(m->carrier, &addr);
	}
}

static void on_tick(void *self, struct dk_timer *t)
{
	struct mars *m = self;
	struct mars_member *member;
	uint32_t slot = 0;
	uint64_t late;

	(void)t;
	late = mars_detector_tick(&m->detector, dk_now(m));
	if (late) {
		m->n.stalls++;
		dk_log(m, DK_WARN, "this node did not run for %llu ms: nobody's silence is counted in that time",
		       (unsigned long long)late);
	}
	while ((member = mars_table_next(&m->table, &slot))) {
		mars_agent_judge(m, member);
		remove_gone(m, member);
	}
	if (state_now(m) != m->me.state)
		mars_agent_refresh(m);
	mars_view_settle(m, false);
}

int mars_agent_start(struct mars *m)
{
	const struct mars_conf *c = mars_conf(m);
	struct mars_detector_conf conf = {
		.tick_ms = 50,
		.suspect_ms = (uint32_t)c->suspect_ms,
		.dead_ms = (uint32_t)c->dead_ms,
		.probe_ms = (uint32_t)c->probe_ms,
		.evidence_ms = (uint32_t)c->evidence_ms,
		.stall_ms = (uint32_t)c->stall_ms,
	};

	m->me.node.addr = m->carrier->addr;
	m->me.node.boot = m->carrier->boot;
	m->started_at = dk_now(m);
	mars_detector_init(&m->detector, &conf, dk_now(m));
	read_endpoints(m, &m->me.node);
	fit(m, &m->me);
	dk_timer_start(m, &m->tick, conf.tick_ms, conf.tick_ms, on_tick);
	dk_timer_start(m, &m->beat, 0, 0, on_beat);
	return 0;
}
