/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may happen to a group, and in which order: the functions of the service, for commands and other plugins alike.
 *
 * Filters and signals run code of others, which may do anything to the group meanwhile; so nothing here holds a pointer to one
 * across them. Each node that has a copy decides by itself when it has no reason to keep it: nobody is the owner.
 */
#include "group_state.h"

#include <errno.h>

/* ---- the end of a copy ---- */

void group_strip(struct groups *s, struct group *g)
{
	group_unlist(s, g);
	group_join_strip(s, g);
	group_depart_strip(s, g);
	while (g->arrival_n) {
		struct group_arrival *a = g->arrivals[g->arrival_n - 1], *same;

		group_store_leave(&s->store, g, a->user, &same);
		group_arrival_free(s, a);
	}
	group_log_free(s, g);
	group_relay_drop(s, g);
	group_tick_strip(s, g->handle);
	dk_timer_stop(&g->ttl);
	dk_timer_stop(&g->work);
}

void group_end(struct groups *s, struct group *g)
{
	struct dk_group_event ev = { g->handle, &g->id };

	g->phase = GROUP_DYING;
	for (uint16_t i = 1; i < g->view.n; i++)
		if (group_is_in(&g->view.at[i]))
			group_deny(s, &g->id, &g->view.at[i].addr);
	dk_emit(&s->svc.discarded, &ev);
	group_strip(s, g);
	group_store_remove(&s->store, g);
	s->n.discarded++;
	group_count(s);
}

static void on_ttl(void *self, struct dk_timer *t)
{
	group_end(self, dk_container_of(t, struct group, ttl));
}

uint32_t group_total(const struct group *g)
{
	uint32_t sum = 0;

	for (uint16_t i = 0; i < g->view.n; i++)
		if (group_is_in(&g->view.at[i]))
			sum += g->view.at[i].members;
	return sum;
}

static bool anybody(const struct group *g)
{
	for (uint16_t i = 0; i < g->view.n; i++)
		if (group_is_in(&g->view.at[i]) && (g->view.at[i].members || (g->view.at[i].flags & GROUP_LISTENS)))
			return true;
	return false;
}

void group_look(struct groups *s, struct group *g)
{
	if (g->phase != GROUP_LIVE || g->is_static)
		return;
	if (anybody(g)) {
		dk_timer_stop(&g->ttl);
		if (!(group_view_own(&g->view)->flags & GROUP_LISTENS) && !group_is_home(s, g))
			group_end(s, g);
	} else if (!g->allow_empty) {
		group_end(s, g);
	} else if (!dk_timer_armed(&g->ttl)) {
		dk_timer_start(s, &g->ttl, (uint64_t)g->ttl_s * 1000, 0, on_ttl);
	}
}

/* ---- the beginning ---- */

int group_make(struct groups *s, const struct dk_id52 *id, struct group **ret_group)
{
	struct dk_addr nobody = { .family = 0 };
	struct group *g;
	int rc = group_store_add(&s->store, id, &g);

	if (rc)
		return rc;
	rc = group_view_init(s, &g->view, s->carrier ? &s->carrier->addr : &nobody, s->carrier ? s->carrier->boot : 1);
	if (rc) {
		group_store_remove(&s->store, g);
		return rc;
	}
	g->phase = GROUP_LIVE;
	g->tag = group_tag(id);
	g->ttl_s = DK_GROUP_TTL_MIN_S;
	g->created_s = (uint32_t)(dk_wall_ns(s) / 1000000000u);
	/* Never again one that was there before: a copy of this node may have ended, and begin anew. */
	g->number = dk_wall_ns(s) / 1000;
	group_view_own(&g->view)->version = group_next_version(s);
	group_view_own(&g->view)->heard = group_view_own(&g->view)->pushed = g->number;
	g->tended_ms = dk_now(s);
	group_count(s);
	*ret_group = g;
	return 0;
}

void group_furnish(struct groups *s, struct group *g, const struct group_state *state)
{
	g->allow_empty = (state->flags & GROUP_S_ALLOW_EMPTY) != 0;
	g->interval_ms = gather_interval(state->interval_ms, group_conf(s)->compat_interval);
	g->ttl_s = state->ttl_s < DK_GROUP_TTL_MIN_S ? DK_GROUP_TTL_MIN_S : state->ttl_s;
	g->created_s = state->created_s;
}

int group_make_statics(struct groups *s)
{
	const struct group_static_conf *c = group_conf(s)->statics.at;

	for (size_t i = 0; i < group_conf(s)->statics.n; i++) {
		struct dk_id52 id;
		struct group *g;
		int rc;

		memcpy(id.c, c[i].id, DK_ID52_LEN);
		rc = group_make(s, &id, &g);
		if (rc)
			return rc < 0 ? rc : -ENOBUFS;
		g->is_static = g->allow_empty = true;
		g->interval_ms = gather_interval((uint32_t)c[i].interval_ms, group_conf(s)->compat_interval);
	}
	return 0;
}

static int create_check(struct groups *s, dk_id user, const struct dk_group_opts *o)
{
	const struct group_seats *seats = group_store_seats(&s->store, user);

	if (dk_is_terminating(s) || dk_node_state(s) == DK_OFFLINE)
		return DK_REFUSED;
	if (o->ttl_s < DK_GROUP_TTL_MIN_S || (!o->allow_empty && !o->join) || (!user && o->join))
		return DK_GROUP_BAD_PARAMS;
	if (user && !s->user->exists(s->user, user))
		return DK_GONE;
	return o->join && seats && group_conf(s)->max_per_user && seats->n >= (size_t)group_conf(s)->max_per_user ? DK_FULL : 0;
}

static int svc_create(struct dk_group *svc, dk_id user, const struct dk_group_opts *o, dk_id *ret_group)
{
	struct groups *s = groups_of(svc);
	struct dk_id52 id;
	struct group *g;
	dk_id group;
	int rc = create_check(s, user, o);

	if (rc == 0) {
		dk_id52_new(s, &id);
		rc = group_make(s, &id, &g);
	}
	if (rc) {
		s->n.refused++;
		return rc;
	}
	g->allow_empty = o->allow_empty;
	g->interval_ms = gather_interval(o->interval_ms, group_conf(s)->compat_interval);
	g->ttl_s = o->ttl_s;
	group = g->handle;
	if (o->join)
		rc = group_store_join(&s->store, g, user);
	if (rc) {
		group_strip(s, g);
		group_store_remove(&s->store, g);
		group_count(s);
		s->n.refused++;
		return rc;
	}
	s->n.created++;
	s->n.joined += o->join;
	group_changed(s, g);
	group_look(s, g);
	dk_emit(&s->svc.created, &((struct dk_group_event){ group, &id }));
	if (o->join)
		group_tell_joined(s, group, user, false);
	*ret_group = group;
	return 0;
}

/* ---- members ---- */

static int svc_join(struct dk_group *svc, void *self, const struct dk_id52 *id, dk_id user, uint8_t ver, uint16_t cmd,
		    dk_slice message, dk_group_join_fn *done, void *arg)
{
	return group_join_begin(groups_of(svc), self, id, user, 0, ver, cmd, message, done, arg);
}

void group_tell_joined(struct groups *s, dk_id group, dk_id user, bool moved)
{
	const struct group *g = group_live(s, group);
	struct dk_group_member_event ev = { .group = group, .user = user, .moved = moved };

	if (!g || !group_store_seat(&s->store, user, group))
		return;
	ev.members = group_total(g);
	dk_emit(&s->svc.joined, &ev);
}

/* Its seat is free, and it hears nothing more. False: it had none. */
static bool take_out(struct groups *s, struct group *g, dk_id user)
{
	struct group_arrival *a;

	group_relay_flush(s, g);
	group_leaving_drop(s, g, user);
	if (!group_store_leave(&s->store, g, user, &a))
		return false;
	group_arrival_free(s, a);
	group_log_trim(s, g);
	s->n.left++;
	return true;
}

static void tell_left(struct groups *s, dk_id group, dk_id user, enum dk_reason reason)
{
	struct dk_group_member_event ev = { .group = group, .user = user, .reason = reason };
	struct group *g = group_live(s, group);

	if (!g)
		return;
	group_changed(s, g);
	ev.members = group_total(g);
	dk_emit(&s->svc.left, &ev);
	g = group_live(s, group);
	if (g)
		group_look(s, g);
}

static int svc_leave(struct dk_group *svc, dk_id group, dk_id user, uint8_t ver, uint16_t cmd, dk_slice message)
{
	struct groups *s = groups_of(svc);
	struct group *g = group_live(s, group);

	if (!g)
		return DK_GROUP_GONE;
	if (message.n > (size_t)group_conf(s)->max_message)
		return DK_TOO_LONG;
	if (!take_out(s, g, user))
		return DK_GROUP_NOT_MEMBER;
	if (message.n)
		group_say(s, g, ver, cmd, message, true);
	tell_left(s, group, user, DK_REASON_CLIENT);
	return 0;
}

/* Not by itself: asks whether something is to be said, and says it. */
static void cut_off(struct groups *s, struct group *g, dk_id user, enum dk_reason reason)
{
	struct dk_group_notice ask = { g->handle, user, GROUP_VER, GROUP_CMD_LEAVE, dk_slice_n(NULL, 0) };

	s->n.cut_off++;
	dk_ask(&s->svc.discarding, &ask);
	g = group_live(s, ask.group);
	if (!g || !take_out(s, g, user))
		return;
	if (ask.message.n && ask.message.n <= (size_t)group_conf(s)->max_message)
		group_say(s, g, ask.ver, ask.cmd, ask.message, true);
	tell_left(s, ask.group, user, reason);
}

void group_on_user_discarded(struct groups *s, const struct dk_user_discarded *ev)
{
	struct group_seats *seats;

	if (ev->reason == DK_REASON_MOVED)
		group_depart(s, ev->user, ev->sid);
	while ((seats = group_store_seats(&s->store, ev->user))) {
		dk_id group = seats->at[seats->n - 1].group;
		struct group *g = group_store_get(&s->store, group);

		if (g->phase == GROUP_LIVE && ev->reason != DK_REASON_MOVED && ev->reason != DK_REASON_NEVER)
			cut_off(s, g, ev->user, ev->reason);
		else if (take_out(s, g, ev->user))
			tell_left(s, group, ev->user, ev->reason);
	}
}

/* ---- speaking ---- */

static int speak(struct groups *s, dk_id group, dk_id sender, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable)
{
	struct dk_group_sent ev = { group, sender, ver, cmd, message };

	if (message.n > (size_t)group_conf(s)->max_message)
		return DK_TOO_LONG;
	group_say(s, group_live(s, group), ver, cmd, message, reliable);
	dk_emit(&s->svc.said, &ev);
	return 0;
}

static int svc_broadcast(struct dk_group *svc, dk_id group, dk_id sender, uint8_t ver, uint16_t cmd, dk_slice message,
			 bool reliable)
{
	struct groups *s = groups_of(svc);

	if (!group_live(s, group))
		return DK_GROUP_GONE;
	if (!group_store_seat(&s->store, sender, group))
		return DK_GROUP_NOT_MEMBER;
	return speak(s, group, sender, ver, cmd, message, reliable);
}

static int svc_announce(struct dk_group *svc, dk_id group, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable)
{
	struct groups *s = groups_of(svc);

	return group_live(s, group) ? speak(s, group, 0, ver, cmd, message, reliable) : DK_GROUP_GONE;
}

/* ---- looking ---- */

/* A group that ends can be looked at for as long as it is said that it does. */
static const struct group *looked_at(const struct groups *s, dk_id group)
{
	const struct group *g = group_store_get(&s->store, group);

	return g && (g->phase == GROUP_LIVE || g->phase == GROUP_DYING) ? g : NULL;
}

static dk_id svc_find(struct dk_group *svc, const struct dk_id52 *id)
{
	const struct group *g = group_store_find(&groups_of(svc)->store, id);

	return g && g->phase == GROUP_LIVE ? g->handle : 0;
}

static int svc_info(struct dk_group *svc, dk_id group, struct dk_group_info *ret_info)
{
	const struct group *g = looked_at(groups_of(svc), group);

	if (!g)
		return DK_GROUP_GONE;
	*ret_info = (struct dk_group_info){
		.id = g->id,
		.created_s = g->created_s,
		.ttl_s = g->ttl_s,
		.interval_ms = g->interval_ms,
		.allow_empty = g->allow_empty,
		.is_static = g->is_static,
		.members_here = g->member_n + g->arrival_n,
		.members = group_total(g),
	};
	for (uint16_t i = 0; i < g->view.n; i++)
		ret_info->nodes = (uint16_t)(ret_info->nodes + (group_is_in(&g->view.at[i]) && g->view.at[i].members));
	return 0;
}

static bool svc_is_member(struct dk_group *svc, dk_id group, dk_id user)
{
	return group_store_seat(&groups_of(svc)->store, user, group) != NULL;
}

static dk_id svc_of_user(struct dk_group *svc, dk_id user, size_t i)
{
	const struct group_seats *seats = group_store_seats(&groups_of(svc)->store, user);

	return seats && i < seats->n ? seats->at[seats->n - 1 - i].group : 0;
}

static const dk_id *svc_members(struct dk_group *svc, dk_id group, size_t *ret_n)
{
	const struct group *g = looked_at(groups_of(svc), group);

	*ret_n = g ? g->member_n : 0;
	return g ? g->members : NULL;
}

static size_t svc_nodes(struct dk_group *svc, dk_id group, struct dk_addr *ret_nodes, size_t n)
{
	const struct group *g = looked_at(groups_of(svc), group);
	size_t found = 0;

	for (uint16_t i = 1; g && i < g->view.n; i++) {
		if (!group_is_in(&g->view.at[i]) || !g->view.at[i].members)
			continue;
		if (found < n)
			ret_nodes[found] = g->view.at[i].addr;
		found++;
	}
	return found;
}

static size_t svc_count(struct dk_group *svc)
{
	return groups_of(svc)->store.table.used;
}

static dk_id svc_next(struct dk_group *svc, uint32_t *slot)
{
	const struct group *g;
	dk_id group;

	while ((g = dk_table_next(&groups_of(svc)->store.table, slot, &group)))
		if (g->phase == GROUP_LIVE)
			return group;
	return 0;
}

void group_service_init(struct groups *s)
{
	struct dk_group *svc = &s->svc;

	svc->create = svc_create;
	svc->join = svc_join;
	svc->leave = svc_leave;
	svc->broadcast = svc_broadcast;
	svc->announce = svc_announce;
	svc->find = svc_find;
	svc->info = svc_info;
	svc->is_member = svc_is_member;
	svc->of_user = svc_of_user;
	svc->members = svc_members;
	svc->nodes = svc_nodes;
	svc->count = svc_count;
	svc->next = svc_next;
}
