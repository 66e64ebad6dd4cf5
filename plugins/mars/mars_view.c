/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is there, as the service tells it: queries, the choice of a node for a user, signals, and whether this node is on the side
 * of the majority.
 *
 * The stable view is the set of boots that a majority is counted of. It grows with every node that joins and loses those that say
 * goodbye or are replaced. Who died leaves it after a while, when nobody is suspect, and only on a side that is the majority: a
 * side that is cut off never comes to think that it is all there is. Each death has a clock of its own, so that a node which keeps
 * dying does not keep the others' dead in the view.
 */
#include "mars_state.h"

#include <diarkis/plugin.h>

#define STABLE_MS 3000 /* longer than a death takes to be seen */
#define AGAIN_MS 1000 /* a side that becomes the majority again: whom it took for dead has told it otherwise by then */

bool mars_view_alive(const struct mars_member *member)
{
	return !member->foreign && member->rec.state != MARS_GONE && member->rec.node.health == DK_ALIVE;
}

/* ---- the stable view ---- */

static void stable_add(struct mars *m, uint64_t boot)
{
	for (size_t i = 0; i < m->stable_n; i++)
		if (m->stable[i].boot == boot)
			return;
	if (m->stable_n < MARS_STABLE_MAX)
		m->stable[m->stable_n++] = (struct mars_stable){ .boot = boot };
}

static void stable_remove(struct mars *m, uint64_t boot)
{
	for (size_t i = 0; i < m->stable_n; i++)
		if (m->stable[i].boot == boot) {
			m->stable[i] = m->stable[--m->stable_n];
			return;
		}
}

static bool alive_boot(const struct mars *m, uint64_t boot)
{
	const struct mars_member *member = mars_table_boot(&m->table, boot);

	return boot == m->me.node.boot || (member && mars_view_alive(member));
}

static bool suspect_boot(const struct mars *m, uint64_t boot)
{
	const struct mars_member *member = mars_table_boot(&m->table, boot);

	return member && !member->foreign && member->rec.node.health == DK_SUSPECT;
}

/* with_suspects: who is suspect is counted as alive. */
static bool majority(const struct mars *m, bool with_suspects)
{
	uint64_t lowest = UINT64_MAX;
	bool counts, lowest_counts = false;
	size_t n = 0;

	for (size_t i = 0; i < m->stable_n; i++) {
		uint64_t boot = m->stable[i].boot;

		counts = alive_boot(m, boot) || (with_suspects && suspect_boot(m, boot));
		n += counts;
		if (boot < lowest) {
			lowest = boot;
			lowest_counts = counts;
		}
	}
	return 2 * n == m->stable_n ? lowest_counts : 2 * n > m->stable_n;
}

/* Who is merely suspect may have nothing to tell: the moments of a busy machine cost no second. */
static void watch_majority(struct mars *m)
{
	bool is = majority(m, true);

	if (is && !m->is_majority)
		m->majority_at = dk_now(m);
	m->is_majority = is;
}

static void stable_shrink(struct mars *m)
{
	uint64_t now = dk_now(m);
	bool due = false, suspects = false;

	for (size_t i = 0; i < m->stable_n; i++) {
		struct mars_stable *stable = &m->stable[i];
		bool suspect = suspect_boot(m, stable->boot);

		suspects |= suspect;
		if (suspect || alive_boot(m, stable->boot))
			stable->dead_at = 0;
		else if (!stable->dead_at)
			stable->dead_at = now;
		due |= stable->dead_at && now - stable->dead_at >= STABLE_MS;
	}
	if (!due || suspects || !majority(m, false))
		return;
	for (size_t i = m->stable_n; i-- > 0;)
		if (m->stable[i].dead_at && now - m->stable[i].dead_at >= STABLE_MS)
			m->stable[i] = m->stable[--m->stable_n];
}

/* ---- signals ---- */

static const char *const change_words[] = {
	[DK_NODE_JOINED] = "joined",       [DK_NODE_CHANGED] = "changed", [DK_NODE_SUSPECTED] = "is suspect",
	[DK_NODE_RECOVERED] = "recovered", [DK_NODE_LEFT] = "left",       [DK_NODE_DIED] = "is dead",
	[DK_NODE_REMOVED] = "was removed",
};

static void count_event(struct mars *m, enum dk_cluster_change change)
{
	uint64_t *const counters[] = {
		[DK_NODE_JOINED] = &m->n.joined,       [DK_NODE_CHANGED] = &m->n.changed, [DK_NODE_SUSPECTED] = &m->n.suspected,
		[DK_NODE_RECOVERED] = &m->n.recovered, [DK_NODE_LEFT] = &m->n.left,       [DK_NODE_DIED] = &m->n.died,
		[DK_NODE_REMOVED] = &m->n.removed,
	};
	struct mars_member *member;
	uint32_t slot = 0;

	(*counters[change])++;
	m->n.nodes = m->n.degraded = 0;
	while ((member = mars_table_next(&m->table, &slot))) {
		m->n.nodes += mars_view_alive(member);
		m->n.degraded += !member->foreign && member->rec.node.degraded;
	}
}

void mars_view_event(struct mars *m, struct mars_member *member, enum dk_cluster_change change)
{
	const struct dk_cluster_node *node = &member->rec.node;
	struct dk_cluster_event ev = { node, change };
	char text[DK_ADDR_TEXT];

	count_event(m, change);
	if (change == DK_NODE_JOINED || change == DK_NODE_RECOVERED)
		stable_add(m, node->boot);
	else if (change == DK_NODE_LEFT || (change == DK_NODE_REMOVED && member->rec.state == MARS_GONE))
		stable_remove(m, node->boot);
	if (change != DK_NODE_CHANGED) {
		dk_addr_format(&node->addr, text);
		dk_log(m,
		       change == DK_NODE_DIED        ? DK_WARN
		       : change == DK_NODE_SUSPECTED ? DK_DEBUG
						     : DK_INFO,
		       "node %s %s", text, change_words[change]);
	}
	dk_emit(&m->svc.changed, &ev);
}

void mars_view_settle(struct mars *m, bool agreed)
{
	struct dk_step *step = m->ready;
	struct dk_cluster_event ev = { &m->me.node, DK_NODE_JOINED };

	if (m->synced) {
		watch_majority(m);
		stable_shrink(m);
		return;
	}
	if (!agreed && dk_now(m) - m->started_at < MARS_SYNC_MS)
		return;
	m->synced = true;
	stable_add(m, m->me.node.boot);
	m->is_majority = majority(m, true);
	m->ready = NULL;
	dk_emit(&m->svc.synced, &ev);
	if (step)
		dk_step_done(step, 0);
}

/* ---- queries ---- */

static const struct dk_cluster_node *svc_self(struct dk_cluster *c)
{
	return &mars_of(c)->me.node;
}

static const struct dk_cluster_node *svc_node(struct dk_cluster *c, const struct dk_addr *addr)
{
	struct mars *m = mars_of(c);
	const struct mars_member *member;

	if (dk_addr_eq(addr, &m->me.node.addr))
		return &m->me.node;
	member = mars_table_find(&m->table, addr);
	return member && !member->foreign ? &member->rec.node : NULL;
}

static const struct dk_cluster_node *svc_next(struct dk_cluster *c, uint32_t *slot)
{
	const struct mars_member *member;

	while ((member = mars_table_next(&mars_of(c)->table, slot)))
		if (!member->foreign)
			return &member->rec.node;
	return NULL;
}

static const struct dk_endpoint *svc_endpoint(struct dk_cluster *c, const struct dk_cluster_node *node, dk_str type, dk_str role)
{
	(void)c;
	for (size_t i = 0; i < node->endpoint_n; i++)
		if (dk_str_eq(dk_str_c(type.n ? node->endpoints[i].type : node->endpoints[i].role), type.n ? type : role))
			return &node->endpoints[i];
	return NULL;
}

static bool serves(struct mars *m, const struct dk_cluster_node *node, dk_str type)
{
	return node->state == DK_ONLINE && svc_endpoint(&m->svc, node, type, dk_str_n(NULL, 0));
}

static uint32_t users_of(const struct mars *m, const struct dk_cluster_node *node)
{
	const struct mars_member *member = node == &m->me.node ? NULL : dk_container_of(node, struct mars_member, rec.node);

	return node->users + (member ? member->picked : 0);
}

static const struct dk_cluster_node *fewest(struct mars *m, const struct dk_cluster_node *const *at, size_t n)
{
	const struct dk_cluster_node *best = NULL;
	uint32_t seen = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t users = users_of(m, at[i]);

		if (!best || users < users_of(m, best)) {
			best = at[i];
			seen = 1;
		} else if (users == users_of(m, best) && dk_chance(m) % ++seen == 0) {
			best = at[i];
		}
	}
	return best;
}

static const struct dk_cluster_node *svc_pick(struct dk_cluster *c, dk_str type, bool others)
{
	struct mars *m = mars_of(c);
	const struct dk_cluster_node **at = dk_scratch(m, (m->table.n + 1) * sizeof(struct dk_cluster_node *)), *choice = NULL;
	struct dk_cluster_pick ask = { .type = type, .at = at };
	struct mars_member *member;
	uint32_t slot = 0;

	if (!at || !type.n)
		return NULL;
	while ((member = mars_table_next(&m->table, &slot)))
		if (mars_view_alive(member) && !member->rec.node.degraded && serves(m, &member->rec.node, type))
			at[ask.n++] = &member->rec.node;
	if (!others && serves(m, &m->me.node, type))
		at[ask.n++] = &m->me.node;
	if (!ask.n)
		return NULL;
	if (dk_ask(&m->svc.picking, &ask) > 0)
		for (size_t i = 0; i < ask.n; i++)
			if (at[i] == ask.choice)
				choice = at[i];
	if (!choice)
		choice = fewest(m, at, ask.n);
	/* Its next beat tells how many it has; until then the choices made here count. */
	if (choice != &m->me.node)
		dk_container_of(choice, struct mars_member, rec.node)->picked++;
	return choice;
}

static void count_node(const struct mars_record *r, dk_str role, struct dk_cluster_counts *counts)
{
	if (!mars_record_has_role(r, role))
		return;
	switch (r->node.health) {
	case DK_SUSPECT:
		counts->suspect++;
		break;
	case DK_DEAD:
		counts->dead++;
		break;
	case DK_ALIVE:
		if (r->node.state == DK_ONLINE)
			counts->online++;
		else if (r->node.state == DK_TAKEN)
			counts->taken++;
		else
			counts->offline++;
		break;
	default:
		break;
	}
}

static void svc_counts(struct dk_cluster *c, dk_str role, struct dk_cluster_counts *ret_counts)
{
	struct mars *m = mars_of(c);
	struct dk_cluster_counts counts = { 0 };
	const struct mars_member *member;
	uint32_t slot = 0;

	count_node(&m->me, role, &counts);
	while ((member = mars_table_next(&m->table, &slot)))
		if (!member->foreign)
			count_node(&member->rec, role, &counts);
	*ret_counts = counts;
}

static bool svc_majority(struct dk_cluster *c)
{
	const struct mars *m = mars_of(c);

	if (!m->synced || !m->is_majority || !majority(m, false))
		return false;
	return !m->majority_at || dk_now(m) - m->majority_at >= AGAIN_MS;
}

static bool svc_synced_once(struct dk_cluster *c)
{
	return mars_of(c)->synced;
}

/* ---- what this node tells of itself ---- */

static void svc_set_users(struct dk_cluster *c, uint32_t users)
{
	mars_of(c)->me.node.users = users;
}

static void svc_announce(struct dk_cluster *c)
{
	mars_agent_refresh(mars_of(c));
}

static int svc_set_value(struct dk_cluster *c, dk_str name, dk_slice bytes)
{
	struct mars *m = mars_of(c);
	int rc = mars_values_set(&m->values, m, name, bytes);

	return rc == DK_NOT_FOUND ? 0 : rc;
}

static int svc_get_value(struct dk_cluster *c, const struct dk_addr *node, dk_str name, dk_slice *ret_bytes)
{
	struct mars *m = mars_of(c);
	const struct mars_member *member;

	if (dk_addr_eq(node, &m->me.node.addr))
		return mars_values_get(&m->values, name, ret_bytes);
	member = mars_table_find(&m->table, node);
	if (!member || member->foreign)
		return DK_GONE;
	return mars_values_get(&member->values, name, ret_bytes);
}

/* ---- shared data ---- */

size_t mars_view_shared_copy(const struct mars *m, struct mars_shared_row rows[DK_SHARED_MAX])
{
	const struct mars_shared_row *r;
	size_t n = 0;

	while (n < DK_SHARED_MAX && (r = mars_shared_at(&m->shared, n)))
		rows[n++] = *r;
	return n;
}

static const struct mars_shared_row *row_of(const struct mars_shared_row *rows, size_t n, dk_str name)
{
	for (size_t i = 0; i < n; i++)
		if (dk_str_eq(dk_str_n(rows[i].name, rows[i].name_n), name))
			return &rows[i];
	return NULL;
}

void mars_view_shared(struct mars *m, const struct mars_shared_row *before, size_t n)
{
	struct mars_shared_row after[DK_SHARED_MAX];
	size_t k = mars_view_shared_copy(m, after);

	for (size_t i = 0; i < n; i++) {
		struct dk_shared_event ev = { dk_str_n(before[i].name, before[i].name_n), before[i].value, true };

		if (!row_of(after, k, ev.name))
			dk_emit(&m->svc.shared_changed, &ev);
	}
	for (size_t i = 0; i < k; i++) {
		struct dk_shared_event ev = { dk_str_n(after[i].name, after[i].name_n), after[i].value, false };
		const struct mars_shared_row *old = row_of(before, n, ev.name);

		if (!old || old->value != ev.value)
			dk_emit(&m->svc.shared_changed, &ev);
	}
}

static int svc_set_shared(struct dk_cluster *c, dk_str name, int16_t value)
{
	struct mars *m = mars_of(c);
	struct mars_shared_row before[DK_SHARED_MAX];
	size_t n = mars_view_shared_copy(m, before);
	int rc = mars_shared_set(&m->shared, name, value, m->me.node.boot, dk_wall_ns(m) / 1000000, dk_now(m));

	if (rc)
		return rc;
	mars_agent_share(m, NULL);
	mars_view_shared(m, before, n);
	return 0;
}

static int svc_get_shared(struct dk_cluster *c, dk_str name, int16_t *ret_value)
{
	return mars_shared_get(&mars_of(c)->shared, name, ret_value);
}

static int svc_remove_shared(struct dk_cluster *c, dk_str name)
{
	struct mars *m = mars_of(c);
	struct mars_shared_row before[DK_SHARED_MAX];
	size_t n = mars_view_shared_copy(m, before);
	int rc = mars_shared_remove(&m->shared, name, m->me.node.boot, dk_wall_ns(m) / 1000000, dk_now(m));

	if (rc)
		return rc;
	mars_agent_share(m, NULL);
	mars_view_shared(m, before, n);
	return 0;
}

void mars_view_init(struct mars *m)
{
	struct dk_cluster *svc = &m->svc;

	svc->self = svc_self;
	svc->node = svc_node;
	svc->next = svc_next;
	svc->endpoint = svc_endpoint;
	svc->pick = svc_pick;
	svc->counts = svc_counts;
	svc->majority = svc_majority;
	svc->synced_once = svc_synced_once;
	svc->set_users = svc_set_users;
	svc->announce = svc_announce;
	svc->set_value = svc_set_value;
	svc->get_value = svc_get_value;
	svc->set_shared = svc_set_shared;
	svc->get_shared = svc_get_shared;
	svc->remove_shared = svc_remove_shared;
}
