/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rooms of a node that goes down. Clients hear of it with their next echo, and the owner's may move its room; two seconds later
 * the node begins to move what is still here, some rooms at a time. Their members are kept for that: the plugin user does not
 * move them one by one meanwhile. Without another node that could take them all is as if there were no cluster.
 */
#include "room_state.h"

enum {
	PATIENCE_MS = 2000, /* for the owners' clients */
	SWEEP_MS = 50,
	AT_ONCE = 16,
	TRIES_MAX = 20 /* sweeps in which a room found no node */
};

static bool cluster_of_many(const struct rooms *s)
{
	return s->carrier && s->cluster;
}

static void done(struct rooms *s)
{
	struct dk_step *step = s->drain_step;

	s->drain_step = NULL;
	dk_timer_stop(&s->drain_timer);
	if (step)
		dk_step_done(step, 0);
}

static void cancelled(void *arg)
{
	done(arg);
}

static void sweep(void *self, struct dk_timer *t)
{
	struct rooms *s = self;
	uint32_t slot = 0, under_way = 0, left = 0;
	struct room *r;
	dk_id room;

	(void)t;
	while ((r = dk_table_next(&s->store.table, &slot, &room)))
		under_way += r->move != NULL;
	slot = 0;
	while ((r = dk_table_next(&s->store.table, &slot, &room))) {
		if (r->phase == ROOM_DYING || r->stays)
			continue;
		left++;
		if (r->move || r->phase != ROOM_LIVE || under_way >= AT_ONCE)
			continue;
		if (room_move_by_code(s, s, r, NULL, NULL) == 0)
			under_way++;
		else if (++r->drain_tries >= TRIES_MAX)
			r->stays = true;
	}
	if (!left)
		done(s);
}

void room_drain_offline(struct rooms *s)
{
	if (cluster_of_many(s))
		dk_timer_start(s, &s->drain_timer, PATIENCE_MS, SWEEP_MS, sweep);
}

void room_drain(struct rooms *s, struct dk_step *step)
{
	struct dk_addr to;
	uint32_t slot = 0;
	struct room *r;
	dk_id room;

	/* Where nobody takes even one of them now the node need not wait to find that out. */
	while ((r = dk_table_next(&s->store.table, &slot, &room)))
		if (room_target(s, r, NULL, &to))
			break;
	if (!r) {
		dk_step_done(step, 0);
		return;
	}
	s->drain_step = step;
	dk_step_on_cancel(step, cancelled, s);
}

void room_drain_look(struct rooms *s)
{
	if (s->drain_step && !s->store.table.used)
		done(s);
}

int room_on_keeping(struct rooms *s, struct dk_user_keep *ask)
{
	const struct room *r = room_any(s, room_store_of(&s->store, ask->user));
	struct dk_addr to;

	if (!r || r->phase == ROOM_DYING || r->stays)
		return 0;
	return r->move || room_target(s, r, NULL, &to);
}
