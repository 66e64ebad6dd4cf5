/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node remembers of users elsewhere: by uid, at most max_cached of them, those that were not used for longest going
 * first. Whoever has messages waiting stays. What is remembered may be stale: that is found out when it is used (dm_post.c).
 */
#include <errno.h>

#include "dm_state.h"

enum { LEFT_MS = 3000 }; /* for so long a user that has left is expected to be somewhere */

static bool eq(const void *arg, uint32_t value, const void *key)
{
	const struct dms *s = arg;
	const struct dm_way *w = dk_table_get(&s->ways, dk_table_id_at(&s->ways, value));

	return dk_str_eq(dm_way_uid(w), *(const dk_str *)key);
}

static uint32_t hash_of(struct dms *s, dk_str uid)
{
	return (uint32_t)dk_hash(s, dk_slice_of(uid));
}

struct dm_way *dm_way_find(struct dms *s, dk_str uid)
{
	uint32_t slot = dk_map_find(&s->by_uid, hash_of(s, uid), eq, s, &uid);

	return slot == DK_MAP_NONE ? NULL : dk_table_get(&s->ways, dk_table_id_at(&s->ways, slot));
}

static void unlink_way(struct dms *s, struct dm_way *w)
{
	*(w->newer ? &w->newer->older : &s->newest) = w->older;
	*(w->older ? &w->older->newer : &s->oldest) = w->newer;
	w->newer = w->older = NULL;
}

static void link_newest(struct dms *s, struct dm_way *w)
{
	w->used_ms = dk_now(s);
	w->older = s->newest;
	if (s->newest)
		s->newest->newer = w;
	else
		s->oldest = w;
	s->newest = w;
}

static void way_free(struct dms *s, struct dm_way *w)
{
	dk_timer_stop(&w->timer);
	unlink_way(s, w);
	dk_map_remove(&s->by_uid, hash_of(s, dm_way_uid(w)), dk_id_slot(w->id));
	dk_free(s, w->uid, w->uid_n);
	s->n.cached--;
	dk_table_remove(&s->ways, w->id);
}

static bool idle(const struct dm_way *w)
{
	return w->state == DM_IDLE && !w->head && !w->pins && !w->due;
}

/* The one that was not used for longest and can go. */
static bool make_room(struct dms *s)
{
	for (struct dm_way *w = s->oldest; w; w = w->newer)
		if (idle(w)) {
			way_free(s, w);
			s->n.forgotten++;
			return true;
		}
	return false;
}

struct dm_way *dm_way_get(struct dms *s, dk_str uid)
{
	struct dm_way *w = dm_way_find(s, uid);
	dk_id id;

	if (w) {
		unlink_way(s, w);
		link_newest(s, w);
		return w;
	}
	if (s->ways.used >= (uint32_t)dm_conf(s)->max_cached && !make_room(s))
		return NULL;
	w = dk_table_add(&s->ways, &id);
	if (!w)
		return NULL;
	w->s = s;
	w->id = id;
	w->tail = &w->head;
	w->uid = dk_alloc(s, uid.n);
	if (!w->uid)
		goto fail;
	memcpy(w->uid, uid.p, uid.n);
	w->uid_n = (uint16_t)uid.n;
	if (dk_map_put(s, &s->by_uid, hash_of(s, uid), dk_id_slot(id)))
		goto fail_uid;
	link_newest(s, w);
	s->n.cached++;
	return w;

fail_uid:
	dk_free(s, w->uid, uid.n);
fail:
	dk_table_remove(&s->ways, id);
	return NULL;
}

void dm_way_learn(struct dms *s, dk_str uid, const struct dk_addr *node, bool told)
{
	struct dm_way *w;

	if (dm_alone(s) || !uid.n || uid.n > DM_UID_MAX || dk_addr_eq(node, dk_node_addr(s)))
		return;
	w = dm_way_get(s, uid);
	if (!w || (w->state != DM_IDLE && !told))
		return; /* whoever asks for it now finds out by itself */
	w->node = *node;
	w->told = told;
}

void dm_way_left(struct dms *s, dk_str uid)
{
	struct dm_way *w = dm_alone(s) ? NULL : dm_way_get(s, uid);

	if (w)
		w->left_ms = dk_now(s);
}

bool dm_way_has_left(const struct dms *s, const struct dm_way *w)
{
	return w->left_ms && dk_now(s) - w->left_ms < LEFT_MS;
}

void dm_way_came(struct dms *s, dk_str uid)
{
	struct dm_way *w = dm_way_find(s, uid);

	if (!w)
		return;
	w->left_ms = 0;
	w->told = false;
	w->node.family = 0;
}

void dm_way_release(struct dms *s, struct dm_way *w)
{
	if (idle(w) && !w->node.family && !w->left_ms)
		way_free(s, w);
}

void dm_way_forget(struct dms *s, dk_str uid)
{
	struct dm_way *w = dm_way_find(s, uid);

	if (w && idle(w))
		way_free(s, w);
}

void dm_way_forget_node(struct dms *s, const struct dk_addr *node)
{
	for (struct dm_way *w = s->oldest; w; w = w->newer)
		if (dk_addr_eq(&w->node, node)) {
			w->node.family = 0;
			w->told = false;
		}
}

void dm_way_sweep(struct dms *s)
{
	uint64_t ms = (uint64_t)dm_conf(s)->cache_s * 1000;
	struct dm_way *w;

	while ((w = s->oldest) && dk_now(s) - w->used_ms >= ms) {
		if (!idle(w)) {
			unlink_way(s, w);
			link_newest(s, w);
			continue;
		}
		way_free(s, w);
		s->n.forgotten++;
	}
}

int dm_way_init(struct dms *s)
{
	dk_table_init(s, &s->ways, DK_KIND_APP, sizeof(struct dm_way), 0, "what is known of users elsewhere");
	s->out = dk_alloc(s, DM_OUT);
	return s->out ? 0 : -ENOMEM;
}

void dm_way_fini(struct dms *s)
{
	struct dm_way *w;

	while ((w = s->oldest)) {
		dm_post_drop(s, w);
		way_free(s, w);
	}
	dk_table_fini(&s->ways);
	dk_map_fini(s, &s->by_uid);
	dk_free(s, s->out, DM_OUT);
}
