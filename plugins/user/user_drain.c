/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that goes down hands its users to others, in waves: so many a moment that all are told within two seconds, and so few at a
 * time that no node and no link chokes on them. Users that another plugin keeps (it moves them together with something) are left to
 * it. Without another node everything is as if there were no cluster: the node waits for its users to leave.
 *
 * Also what the cluster is told of the number of users, and the option taken_at.
 */
#include "user_state.h"

enum {
	FIRST_MS = 200, /* the other nodes are to know first that this one is OFFLINE */
	WAVE_MS = 20,
	WAVES = 100,
	UNDER_WAY_MAX = 256,
	NEVER_MS = 3000 /* an endpoint handed out just before is still used within this */
};

/* ---- where to ---- */

static bool fits(struct users *s, const struct dk_cluster_node *n, enum dk_node_state state, dk_str type,
		 const struct dk_addr * not )
{
	return n->health == DK_ALIVE && n->state == state && !(not &&dk_addr_eq(&n->addr, not )) &&
	       s->cluster->endpoint(s->cluster, n, type, dk_str_n(NULL, 0));
}

static const struct dk_cluster_node *nth(struct users *s, enum dk_node_state state, dk_str type, const struct dk_addr * not,
					 uint64_t i)
{
	const struct dk_cluster_node *n;
	uint32_t slot = 0;

	while ((n = s->cluster->next(s->cluster, &slot)))
		if (fits(s, n, state, type, not ) && i-- == 0)
			return n;
	return NULL;
}

/* Of two by chance the one with fewer users: what they say of themselves is a moment old, and many are to be placed at once. */
bool user_target(struct users *s, dk_str type, const struct dk_addr * not, struct dk_addr *ret_node)
{
	static const enum dk_node_state states[] = { DK_ONLINE, DK_TAKEN };

	for (size_t i = 0; s->cluster && s->carrier && i < DK_ARRAY_LEN(states); i++) {
		const struct dk_cluster_node *a, *b;
		uint64_t n = 0;

		while (nth(s, states[i], type, not, n))
			n++;
		if (!n)
			continue;
		a = nth(s, states[i], type, not, dk_chance(s) % n);
		b = nth(s, states[i], type, not, dk_chance(s) % n);
		*ret_node = a->users <= b->users ? a->addr : b->addr;
		return true;
	}
	return false;
}

/* ---- waves ---- */

static void on_moved(void *self, void *arg, dk_id user, int err)
{
	struct users *s = self;

	(void)arg;
	(void)user;
	(void)err; /* who stayed is in a later wave */
	s->drain.under_way--;
}

static bool to_be_moved(struct users *s, dk_id id, struct user *u)
{
	struct dk_user_keep keep = { id };

	if (!u->peer || (u->flags & (USER_DYING | USER_SLOW)) || (u->more && u->more->move))
		return false;
	if (!(u->flags & USER_CONNECTED)) { /* made here, or come from another node */
		if (dk_now(s) - s->drain.since_ms >= NEVER_MS)
			user_discard(s, id, DK_REASON_SHUTDOWN);
		return false;
	}
	if (u->more && u->more->arrival)
		return false;
	return dk_ask(&s->svc.keeping, &keep) == 0;
}

static void wave(void *self, struct dk_timer *t)
{
	struct users *s = self;
	struct user_drain *d = &s->drain;
	uint32_t rows = s->table.used;
	size_t left = d->per_wave;
	struct dk_addr node;
	struct user *u;
	dk_id id;

	dk_timer_start(s, t, WAVE_MS, 0, wave);
	while (rows-- && left && d->under_way < UNDER_WAY_MAX) {
		u = dk_table_next(&s->table, &d->slot, &id);
		if (!u) {
			d->slot = 0;
			return;
		}
		if (!user_target(s, dk_str_c(u->transport == USER_NO_TRANSPORT ? "" : user_transport(s, u)->type), NULL, &node) ||
		    !to_be_moved(s, id, u))
			continue;
		left--;
		if (user_move(&s->svc, s, id, &node, dk_str_n(NULL, 0), dk_slice_n(NULL, 0), on_moved, NULL) == 0)
			d->under_way++;
	}
}

void user_drain_start(struct users *s)
{
	s->drain.since_ms = dk_now(s);
	s->drain.per_wave = (size_t)s->n.users / WAVES + 1;
	if (s->carrier && s->cluster)
		dk_timer_start(s, &s->drain.wave, FIRST_MS, 0, wave);
}

void user_drain_stop(struct users *s)
{
	dk_timer_stop(&s->drain.wave);
}

/* ---- how many there are ---- */

void user_count_changed(struct users *s)
{
	int64_t most = user_conf(s)->taken_at, n = s->n.users;
	bool taken = s->taken;

	if (s->cluster)
		s->cluster->set_users(s->cluster, (uint32_t)n);
	if (!most)
		return;
	/* Back a little later than there, or the node would be one and the other with every user. */
	if (n >= most)
		taken = true;
	else if (n < most - most / 10)
		taken = false;
	if (taken == s->taken)
		return;
	s->taken = taken;
	dk_set_taken(s, taken);
	if (s->cluster)
		s->cluster->announce(s->cluster);
}
