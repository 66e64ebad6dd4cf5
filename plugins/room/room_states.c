/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of a room as data. The invariants, which its random walk checks: every state is in one bucket; those that are not gone are
 * in the list by age, each once; those that changed are in the list of changes, each once.
 */
#include "room_states.h"

#include <diarkis/user.h>

#include <errno.h>

enum { BUCKETS_FIRST = 16 };

void room_states_pool_init(void *self, struct dk_pool *pool)
{
	dk_pool_init(self, pool, sizeof(struct room_state), 0, "room states");
}

/* Also one that is gone. */
static struct room_state *any(const struct room_states *v, uint32_t hash, dk_slice key)
{
	struct room_state *st = v->bucket_n ? v->bucket[hash & (v->bucket_n - 1)] : NULL;

	while (st && !(st->hash == hash && st->key_n == key.n && memcmp(st->bytes, key.p, key.n) == 0))
		st = st->next;
	return st;
}

struct room_state *room_states_find(const struct room_states *v, uint32_t hash, dk_slice key)
{
	struct room_state *st = any(v, hash, key);

	return st && !st->gone ? st : NULL;
}

/* ---- lists ---- */

static void age_take(struct room_states *v, struct room_state *st)
{
	*(st->older ? &st->older->newer : &v->oldest) = st->newer;
	*(st->newer ? &st->newer->older : &v->newest) = st->older;
	st->older = st->newer = NULL;
}

static void age_append(struct room_states *v, struct room_state *st)
{
	st->older = v->newest;
	st->newer = NULL;
	*(v->newest ? &v->newest->newer : &v->oldest) = st;
	v->newest = st;
}

static void change(struct room_states *v, struct room_state *st)
{
	if (st->changed)
		return;
	if (!v->changed)
		v->changed_tail = &v->changed;
	st->changed = true;
	st->next_changed = NULL;
	*v->changed_tail = st;
	v->changed_tail = &st->next_changed;
}

struct room_state *room_states_take_changed(struct room_states *v)
{
	struct room_state *st = v->changed;

	if (!st)
		return NULL;
	v->changed = st->next_changed;
	st->next_changed = NULL;
	st->changed = false;
	return st;
}

/* ---- buckets ---- */

/* Without memory the chains grow instead. */
static void grow(void *self, struct room_states *v)
{
	uint32_t n = v->bucket_n ? v->bucket_n * 2 : BUCKETS_FIRST;
	struct room_state **bucket = dk_alloc(self, n * sizeof(struct room_state *));

	if (!bucket)
		return;
	for (uint32_t i = 0; i < v->bucket_n; i++)
		while (v->bucket[i]) {
			struct room_state *st = v->bucket[i];

			v->bucket[i] = st->next;
			st->next = bucket[st->hash & (n - 1)];
			bucket[st->hash & (n - 1)] = st;
		}
	dk_free(self, v->bucket, v->bucket_n * sizeof(struct room_state *));
	v->bucket = bucket;
	v->bucket_n = n;
}

static struct room_state *add(void *self, struct dk_pool *pool, struct room_states *v, uint32_t hash, dk_slice key)
{
	struct room_state *st;

	if (v->n >= v->bucket_n)
		grow(self, v);
	st = v->bucket_n ? dk_pool_get(pool) : NULL;
	if (!st)
		return NULL;
	st->hash = hash;
	st->key_n = (uint8_t)key.n;
	memcpy(st->bytes, key.p, key.n);
	st->next = v->bucket[hash & (v->bucket_n - 1)];
	v->bucket[hash & (v->bucket_n - 1)] = st;
	v->n++;
	return st;
}

/* ---- states ---- */

static void fill(struct room_state *st, dk_slice value, bool reliable)
{
	st->value_n = (uint8_t)value.n;
	memcpy(st->bytes + st->key_n, value.p, value.n);
	st->reliable = reliable;
}

int room_states_set(void *self, struct dk_pool *pool, struct room_states *v, uint32_t max, uint32_t hash, dk_slice key,
		    dk_slice value, bool reliable, struct room_state **ret_state)
{
	struct room_state *st = any(v, hash, key);

	if (!st) {
		if (v->n >= max)
			return DK_FULL;
		st = add(self, pool, v, hash, key);
		if (!st)
			return -ENOMEM;
		v->live++;
	} else if (st->gone) {
		st->gone = false;
		v->live++;
	} else {
		age_take(v, st);
	}
	age_append(v, st);
	fill(st, value, reliable);
	st->must_arrive = reliable || (st->changed && st->must_arrive);
	change(v, st);
	*ret_state = st;
	return 0;
}

int room_states_put(void *self, struct dk_pool *pool, struct room_states *v, uint32_t max, uint32_t hash, dk_slice key,
		    dk_slice value, bool reliable, struct room_state **ret_state)
{
	struct room_state *st;

	if (any(v, hash, key))
		return -EEXIST;
	if (v->n >= max)
		return DK_FULL;
	st = add(self, pool, v, hash, key);
	if (!st)
		return -ENOMEM;
	v->live++;
	age_append(v, st);
	fill(st, value, reliable);
	*ret_state = st;
	return 0;
}

void room_states_mark(struct room_states *v, struct room_state *st, bool must_arrive)
{
	st->must_arrive = must_arrive;
	change(v, st);
}

void room_states_remove(struct room_states *v, struct room_state *st)
{
	if (st->gone)
		return;
	age_take(v, st);
	v->live--;
	st->gone = true;
	st->user = 0;
	st->must_arrive = true;
	change(v, st);
}

void room_states_drop(struct dk_pool *pool, struct room_states *v, struct room_state *gone)
{
	struct room_state **at = &v->bucket[gone->hash & (v->bucket_n - 1)];

	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	v->n--;
	dk_pool_put(pool, gone);
}

void room_states_clear(void *self, struct dk_pool *pool, struct room_states *v)
{
	for (uint32_t i = 0; i < v->bucket_n; i++)
		while (v->bucket[i]) {
			struct room_state *st = v->bucket[i];

			v->bucket[i] = st->next;
			dk_pool_put(pool, st);
		}
	dk_free(self, v->bucket, v->bucket_n * sizeof(struct room_state *));
	*v = (struct room_states){ .n = 0 };
}

/* ---- between nodes ---- */

enum { IMAGE_RELIABLE = 1, IMAGE_LINKED = 2 };

void room_state_image_write(struct dk_writer *w, const struct room_state_image *m)
{
	dk_wr_bytes8(w, m->key);
	dk_wr_bytes8(w, m->value);
	dk_wr_u8(w, (uint8_t)((m->reliable ? IMAGE_RELIABLE : 0) | (m->uid.n ? IMAGE_LINKED : 0)));
	dk_wr_u64(w, m->until_ms);
	if (m->uid.n)
		dk_wr_bytes16(w, dk_slice_of(m->uid));
}

int room_state_image_read(struct dk_cursor *c, struct room_state_image *ret_image)
{
	struct room_state_image m = { .key = dk_rd_bytes8(c) };
	uint8_t flags;

	m.value = dk_rd_bytes8(c);
	flags = dk_rd_u8(c);
	m.until_ms = dk_rd_u64(c);
	m.reliable = flags & IMAGE_RELIABLE;
	if (flags & IMAGE_LINKED)
		m.uid = dk_str_of(dk_rd_bytes16(c));
	if (c->bad || !room_state_fits(m.key, m.value) || flags > (IMAGE_RELIABLE | IMAGE_LINKED) || m.uid.n > DK_UID_MAX ||
	    ((flags & IMAGE_LINKED) && !m.uid.n))
		return -EPROTO;
	*ret_image = m;
	return 0;
}
