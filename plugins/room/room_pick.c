/* SPDX-License-Identifier: Apache-2.0 */
/* Which node a room, or a copy of it, may go to: one that is online, and that has the transports its members are on. */
#include "room_state.h"

enum { TYPES_MAX = 8 };

/* The types of transports that its members are on; false when there are more than that. */
static bool types_of(struct rooms *s, const struct room *r, dk_str types[TYPES_MAX], size_t *ret_n)
{
	size_t n = 0;

	for (uint16_t i = 0; i < r->member_n; i++) {
		dk_str type = s->user->type(s->user, r->members[i]);
		size_t k = 0;

		while (k < n && !dk_str_eq(types[k], type))
			k++;
		if (k == n && n == TYPES_MAX)
			return false;
		if (k == n)
			types[n++] = type;
	}
	*ret_n = n;
	return true;
}

/* What this node serves: a room that comes here has members on some of it, nobody knows yet on which. */
static size_t types_here(struct rooms *s, dk_str types[TYPES_MAX])
{
	const struct dk_cluster_node *self = s->cluster->self(s->cluster);
	size_t n = 0;

	for (size_t i = 0; self && i < self->endpoint_n && n < TYPES_MAX; i++) {
		const struct dk_endpoint *e = &self->endpoints[i];

		if (strcmp(e->role, "HTTP") && strcmp(e->role, "MARS"))
			types[n++] = dk_str_c(e->type);
	}
	return n;
}

static bool takes(struct rooms *s, const struct dk_cluster_node *node, const dk_str *types, size_t n)
{
	if (node->state != DK_ONLINE || node->health != DK_ALIVE)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!s->cluster->endpoint(s->cluster, node, types[i], dk_str_n(NULL, 0)))
			return false;
	/* A room without members goes where users may. */
	for (size_t i = 0; i < node->endpoint_n && !n; i++)
		if (strcmp(node->endpoints[i].role, "HTTP") && strcmp(node->endpoints[i].role, "MARS"))
			return true;
	return n > 0;
}

static bool listed(const struct dk_addr *a, const struct dk_addr *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (dk_addr_eq(a, &list[i]))
			return true;
	return false;
}

bool room_pick(struct rooms *s, const struct room *r, dk_id user, const struct dk_addr *not_these, size_t not_n,
	       struct dk_addr *ret_addr)
{
	const struct dk_cluster_node *node, *best = NULL;
	dk_str types[TYPES_MAX];
	uint32_t slot = 0, alike = 0;
	size_t n = 0;

	if (!s->carrier || !s->cluster || (r && !types_of(s, r, types, &n)))
		return false;
	if (user) {
		types[n] = s->user->type(s->user, user);
		n += types[n].n > 0;
	}
	if (!r && !n)
		n = types_here(s, types);
	while ((node = s->cluster->next(s->cluster, &slot))) {
		if (!takes(s, node, types, n) || listed(&node->addr, not_these, not_n))
			continue;
		if (best && node->users > best->users)
			continue;
		alike = best && node->users == best->users ? alike + 1 : 1;
		if (alike == 1 || dk_chance(s) % alike == 0)
			best = node;
	}
	if (!best)
		return false;
	*ret_addr = best->addr;
	return true;
}

bool room_target(struct rooms *s, const struct room *r, const struct dk_addr *not_this, struct dk_addr *ret_addr)
{
	return room_pick(s, r, 0, not_this, not_this ? 1 : 0, ret_addr);
}

uint8_t room_choose_backups(struct rooms *s, dk_id user, uint8_t wanted, struct dk_id52 *id,
			    struct dk_addr backups[ROOM_BACKUPS_MAX])
{
	uint8_t n = 0;

	while (n < wanted && room_pick(s, NULL, user, backups, n, &backups[n])) {
		dk_id52_set_backup(id, n + 1u, &backups[n]);
		n++;
	}
	return n;
}

bool room_node_alive(struct rooms *s, const struct dk_addr *a)
{
	const struct dk_cluster_node *node = s->cluster->node(s->cluster, a);

	return node && (node->health == DK_ALIVE || node->health == DK_SUSPECT);
}
