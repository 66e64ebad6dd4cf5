/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where users are, as the storage says: one key for each uid, written by the node that has the user, and renewed before it ends. A
 * node of the storage may die and lose what it had; then all nodes say it again.
 *
 * It is also how two logins of one uid find each other. A login takes its time from the clock, or from the login that it finds in
 * the storage plus one, where that is later: whoever comes last has the latest, whatever the clocks say. The node of an earlier
 * one is told, or finds out when it renews; then its user is disconnected. A user that moved has the login that it had.
 */
#include "dm_state.h"

enum {
	RETRY_MS = 2000,
	PER_TICK = 2000, /* questions about places */
	HURRY_MS = 1000,
	SURE_MS = 6000 /* longer than any question to the storage takes */
};

enum step { STEP_PUT, STEP_LOOK, STEP_SET, STEP_SEEK, STEP_DELETE };

/* A question to dive about one user. */
struct dm_asked {
	struct dm_asked *next, **link;
	enum step step;
	dk_id user; /* may be gone */
	uint64_t login;
	uint16_t uid_n;
	char uid[];
};

static struct dm_asked *asked_new(struct dms *s, const struct dm_member *m, dk_str uid)
{
	struct dm_asked *a = dk_alloc(s, sizeof(*a) + uid.n);

	if (!a)
		return NULL;
	a->user = m->user;
	a->login = m->login;
	a->uid_n = (uint16_t)uid.n;
	memcpy(a->uid, uid.p, uid.n);
	a->next = s->asked;
	a->link = &s->asked;
	if (a->next)
		a->next->link = &a->next;
	s->asked = a;
	return a;
}

static void asked_free(struct dms *s, struct dm_asked *a)
{
	*a->link = a->next;
	if (a->next)
		a->next->link = a->link;
	dk_free(s, a, sizeof(*a) + a->uid_n);
}

void dm_place_fini(struct dms *s)
{
	while (s->asked)
		asked_free(s, s->asked);
}

bool dm_place_alive(struct dms *s, const struct dm_place *p)
{
	const struct dk_cluster_node *node;

	if (dk_addr_eq(&p->node, dk_node_addr(s)))
		return p->boot == s->carrier->boot;
	node = s->cluster->node(s->cluster, &p->node);
	return node && node->boot == p->boot && (node->health == DK_ALIVE || node->health == DK_SUSPECT);
}

static bool is_here(struct dms *s, const struct dm_place *p)
{
	return dk_addr_eq(&p->node, dk_node_addr(s)) && p->boot == s->carrier->boot;
}

static void on_said(void *self, void *arg, const struct dk_dive_result *r);

static int question(struct dms *s, struct dm_asked *a, const struct dm_member *m)
{
	static const enum dk_dive_op ops[] = { [STEP_PUT] = DK_DIVE_SET_NEW,
					       [STEP_LOOK] = DK_DIVE_GET,
					       [STEP_SET] = DK_DIVE_SET,
					       [STEP_SEEK] = DK_DIVE_GET,
					       [STEP_DELETE] = DK_DIVE_DEL };
	struct dk_dive_ask q = { .op = ops[a->step], .storage = dk_str_c(DM_STORAGE), .key = dk_str_n(a->uid, a->uid_n) };
	uint8_t buf[DM_PLACE_SIZE];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_value v = { .type = DK_V_BYTES };

	if (a->step == STEP_PUT || a->step == STEP_SET) {
		const struct dm_place p = {
			.node = *dk_node_addr(s), .boot = s->carrier->boot, .login = m->login, .hops = m->hops,
			.who = dm_who(s->user->sid(s->user, m->user))
		};

		dm_place_write(&w, &p);
		v.as.bytes = dk_written(&w);
		q.values = &v;
		q.n = 1;
	}
	if (a->step <= STEP_SET)
		q.ttl_s = (uint32_t)dm_conf(s)->place_ttl_s;
	return s->dive->ask(s->dive, s, &q, on_said, a);
}

static void failed(struct dms *s, struct dm_member *m)
{
	s->n.place_failed++;
	m->asking = m->placed = false;
	m->next_ms = dk_now(s) + RETRY_MS;
}

static void settled(struct dms *s, struct dm_member *m)
{
	uint64_t third = (uint64_t)dm_conf(s)->place_ttl_s * 1000 / 3;

	if (!m->placed)
		s->n.placed++;
	m->asking = m->fresh = false;
	m->placed = true;
	m->next_ms = dk_now(s) + third - dk_chance(s) % (third / 4 + 1);
	/* Whoever was there before may have been about to write, or to remove what it had written. */
	if (m->contested)
		m->next_ms = dk_now(s) + SURE_MS;
	m->contested = false;
}

static void go_on(struct dms *s, struct dm_asked *a, struct dm_member *m, enum step step)
{
	a->step = step;
	if (question(s, a, m) == 0)
		return;
	if (m)
		failed(s, m);
	asked_free(s, a);
}

static void tell_replaced(struct dms *s, const struct dm_place *p, dk_str uid, const struct dm_member *m)
{
	uint8_t buf[2 + DM_UID_MAX + 8 + 8];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dm_on_replace_pack(&w, uid, m->login, dm_who(s->user->sid(s->user, m->user)));
	s->carrier->send(s->carrier, &p->node, DK_VER_NODE, DM_NODE_REPLACE, dk_written(&w), DK_RELIABLE);
}

/* Somebody of that uid is written down. Returns the next step, or STEP_DELETE: there is none. */
static enum step compare(struct dms *s, struct dm_member *m, const struct dm_place *p, dk_str uid)
{
	bool one = dm_conf(s)->one_login, alive = dm_place_alive(s, p), later = p->login >= m->login;

	/* The same login, before or after a move; or a node that was taken for dead has the user, too. */
	if (p->who == dm_who(s->user->sid(s->user, m->user)) || (p->login == m->login && !m->fresh))
		return is_here(s, p) || p->hops > m->hops ? STEP_DELETE : STEP_SET;
	if (!m->fresh && alive && (later || !one)) {
		if (one)
			s->user->disconnect(s->user, m->user, DK_REASON_REPLACED);
		return STEP_DELETE;
	}
	if (later)
		m->login = p->login + 1;
	if (m->login > s->last_login)
		s->last_login = m->login;
	if (one && alive && !is_here(s, p))
		tell_replaced(s, p, uid, m);
	return STEP_SET;
}

static void looked(struct dms *s, struct dm_asked *a, struct dm_member *m, const struct dk_dive_result *r)
{
	struct dk_dive_list list = r->values;
	dk_id user = m->user;
	enum step next = STEP_SET;
	struct dm_place p;
	struct dk_value v;

	if (dk_dive_next(&list, &v) && v.type == DK_V_BYTES && dm_place_read(v.as.bytes, &p))
		next = compare(s, m, &p, dk_str_n(a->uid, a->uid_n));
	m = dm_member(s, user); /* it may have been disconnected */
	if (m && next == STEP_SET) {
		a->login = m->login;
		go_on(s, a, m, STEP_SET);
		return;
	}
	if (m)
		settled(s, m);
	asked_free(s, a);
}

/* Its user is gone: what was written for it goes, too, and nothing else. */
static void said_for_nobody(struct dms *s, struct dm_asked *a, const struct dk_dive_result *r)
{
	struct dk_dive_list list = r->values;
	struct dm_place p;
	struct dk_value v;

	if (r->rc == 0 && (a->step == STEP_PUT || a->step == STEP_SET))
		go_on(s, a, NULL, STEP_SEEK);
	else if (r->rc == 0 && a->step == STEP_SEEK && dk_dive_next(&list, &v) && v.type == DK_V_BYTES &&
		 dm_place_read(v.as.bytes, &p) && is_here(s, &p) && p.login == a->login)
		go_on(s, a, NULL, STEP_DELETE);
	else
		asked_free(s, a);
}

/* dk_dive_done_fn */
static void on_said(void *self, void *arg, const struct dk_dive_result *r)
{
	struct dms *s = self;
	struct dm_asked *a = arg;
	struct dm_member *m = a->step <= STEP_SET ? dm_member(s, a->user) : NULL;

	if (!m) {
		said_for_nobody(s, a, r);
	} else if (a->step == STEP_LOOK && r->rc == 0) {
		looked(s, a, m, r);
	} else if (a->step == STEP_LOOK && r->rc == DK_NOT_FOUND) {
		go_on(s, a, m, STEP_PUT);
	} else if (a->step == STEP_PUT && r->rc == DK_EXISTS) {
		m->contested = true;
		go_on(s, a, m, STEP_LOOK);
	} else {
		if (r->rc == 0)
			settled(s, m);
		else
			failed(s, m);
		asked_free(s, a);
	}
}

static void begin(struct dms *s, struct dm_member *m, enum step step)
{
	struct dm_asked *a;

	if (dm_alone(s) || m->asking)
		return;
	a = asked_new(s, m, s->user->uid(s->user, m->user));
	if (!a) {
		failed(s, m);
		return;
	}
	m->asking = true;
	go_on(s, a, m, step);
}

void dm_place_tell(struct dms *s, struct dm_member *m)
{
	begin(s, m, STEP_PUT);
}

void dm_place_remove(struct dms *s, const struct dm_member *m, dk_str uid)
{
	struct dm_asked *a;

	if (dm_alone(s) || m->asking) /* then the answer finds nobody */
		return;
	a = asked_new(s, m, uid);
	if (a)
		go_on(s, a, NULL, STEP_SEEK);
}

/* Who is told to the storage is looked at again; who could not be told, sooner. */
void dm_place_tick(struct dms *s)
{
	unsigned n = PER_TICK;

	for (size_t i = 0; i < s->member_cap && n && !dm_alone(s); i++) {
		struct dm_member *m = s->members[i];

		if (!m || m->asking || !m->next_ms || dk_now(s) < m->next_ms || s->user->way(s->user, m->user) != DK_USER_STAYS)
			continue;
		begin(s, m, m->placed ? STEP_LOOK : STEP_PUT);
		n--;
	}
}

void dm_place_hurry(struct dms *s)
{
	for (size_t i = 0; i < s->member_cap; i++)
		if (s->members[i] && s->members[i]->next_ms)
			s->members[i]->next_ms = dk_now(s) + dk_chance(s) % HURRY_MS;
}

/* ---- of another node ---- */

int dm_on_replace(struct dms *s, struct dk_call *call, dk_str uid, uint64_t login, uint64_t who)
{
	dk_id user = s->user->by_uid(s->user, uid);
	const struct dm_member *m = dm_member(s, user);

	(void)call;
	if (m && m->login < login && dm_who(s->user->sid(s->user, user)) != who && dm_conf(s)->one_login)
		s->user->disconnect(s->user, user, DK_REASON_REPLACED);
	return 0;
}
