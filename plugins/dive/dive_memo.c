/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was done stands in three lists: of its bucket, to go along with it; of who asked, to be forgotten below the floor; and of
 * all, by age. Floors only rise. Who asks is known by a number of 64 random bits, so their hash needs no key: nodes are no players.
 */
#include "dive_memo.h"

#include <errno.h>

enum {
	ASKERS_MAX = 4096,
	/* Who asks waits for five seconds, and what is on its way between nodes longer than that is given up by the carrier. */
	SILENT_MS = 600000,
	KIND_DONE = 1,
	KIND_FLOOR = 2
};

void dive_memo_init(struct dive_memo *m, void *self, uint64_t bytes_max)
{
	m->self = self;
	m->bytes_max = bytes_max;
	dk_table_init(self, &m->table, DK_KIND_APP, sizeof(struct dive_done), 0, "changes that dive has done");
	dk_table_init(self, &m->askers, DK_KIND_APP, sizeof(struct dive_asker), ASKERS_MAX, "nodes that asked for changes");
}

static uint64_t cost(const struct dive_done *d)
{
	return sizeof(*d) + (d->more ? d->size : 0);
}

static void lists_remove(struct dive_memo *m, struct dive_done *d)
{
	*d->link = d->next;
	if (d->next)
		d->next->link = d->link;
	*(d->asked_older ? &d->asked_older->asked_newer : &d->who->oldest) = d->asked_newer;
	*(d->asked_newer ? &d->asked_newer->asked_older : &d->who->newest) = d->asked_older;
	*(d->older ? &d->older->newer : &m->oldest) = d->newer;
	*(d->newer ? &d->newer->older : &m->newest) = d->older;
}

void dive_memo_drop(struct dive_memo *m, struct dive_done *d)
{
	lists_remove(m, d);
	m->bytes -= cost(d);
	dk_map_remove(&m->by_number, d->hash, dk_id_slot(d->id));
	if (d->more)
		dk_free(m->self, d->more, d->size);
	dk_table_remove(&m->table, d->id);
}

void dive_memo_empty(struct dive_memo *m, uint16_t bucket)
{
	while (m->buckets[bucket])
		dive_memo_drop(m, m->buckets[bucket]);
}

static void asker_free(struct dive_memo *m, struct dive_asker *a)
{
	while (a->oldest)
		dive_memo_drop(m, a->oldest);
	dk_map_remove(&m->by_asker, (uint32_t)a->asker, dk_id_slot(a->id));
	dk_table_remove(&m->askers, a->id);
}

void dive_memo_fini(struct dive_memo *m)
{
	struct dive_asker *a;
	uint32_t slot = 0;
	dk_id id;

	while ((a = dk_table_next(&m->askers, &slot, &id)))
		asker_free(m, a);
	dk_map_fini(m->self, &m->by_number);
	dk_map_fini(m->self, &m->by_asker);
	dk_table_fini(&m->table);
	dk_table_fini(&m->askers);
}

void dive_memo_sweep(struct dive_memo *m, uint64_t now_ms)
{
	struct dive_asker *a;
	uint32_t slot = 0;
	dk_id id;

	while ((a = dk_table_next(&m->askers, &slot, &id)))
		if (now_ms - a->seen_ms > SILENT_MS)
			asker_free(m, a);
}

/* ---- finding ---- */

struct pair {
	uint64_t asker, n;
};

static bool same_number(const void *arg, uint32_t slot, const void *key)
{
	const struct dive_memo *m = arg;
	const struct dive_done *d = dk_table_get(&m->table, dk_table_id_at(&m->table, slot));
	const struct pair *p = key;

	return d && d->n == p->n && d->who->asker == p->asker;
}

static bool same_asker(const void *arg, uint32_t slot, const void *key)
{
	const struct dive_memo *m = arg;
	const struct dive_asker *a = dk_table_get(&m->askers, dk_table_id_at(&m->askers, slot));

	return a && a->asker == *(const uint64_t *)key;
}

static uint32_t hash_of(uint64_t asker, uint64_t n)
{
	uint64_t h = (asker ^ n) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> 32);
}

static struct dive_asker *asker_find(const struct dive_memo *m, uint64_t asker)
{
	uint32_t slot = dk_map_find(&m->by_asker, (uint32_t)asker, same_asker, m, &asker);

	return slot == DK_MAP_NONE ? NULL : dk_table_get(&m->askers, dk_table_id_at(&m->askers, slot));
}

static struct dive_asker *longest_silent(struct dive_memo *m)
{
	struct dive_asker *a, *found = NULL;
	uint32_t slot = 0;
	dk_id id;

	while ((a = dk_table_next(&m->askers, &slot, &id)))
		if (!found || a->seen_ms < found->seen_ms)
			found = a;
	return found;
}

static struct dive_asker *asker_get(struct dive_memo *m, uint64_t asker, uint64_t now_ms)
{
	struct dive_asker *a = asker_find(m, asker);
	dk_id id;

	if (a) {
		a->seen_ms = now_ms;
		return a;
	}
	if (m->askers.used >= ASKERS_MAX)
		asker_free(m, longest_silent(m));
	a = dk_table_add(&m->askers, &id);
	if (!a)
		return NULL;
	if (dk_map_put(m->self, &m->by_asker, (uint32_t)asker, dk_id_slot(id))) {
		dk_table_remove(&m->askers, id);
		return NULL;
	}
	a->id = id;
	a->asker = asker;
	a->seen_ms = now_ms;
	return a;
}

static void raise_floor(struct dive_memo *m, struct dive_asker *a, uint64_t floor)
{
	if (floor <= a->floor)
		return;
	a->floor = floor;
	/* Numbers rise from the oldest on, but for a few; what one of these hides goes when that one does. */
	while (a->oldest && a->oldest->n < floor && a->oldest != m->pinned)
		dive_memo_drop(m, a->oldest);
}

enum dive_memo_is dive_memo_look(struct dive_memo *m, const struct dive_number *n, uint64_t now_ms, struct dive_done **ret_done)
{
	struct pair p = { n->asker, n->n };
	struct dive_asker *a = asker_find(m, n->asker);
	uint32_t slot;

	if (!a)
		return DIVE_MEMO_NEW;
	a->seen_ms = now_ms;
	raise_floor(m, a, n->floor);
	if (n->n < a->floor)
		return DIVE_MEMO_LATE;
	slot = dk_map_find(&m->by_number, hash_of(n->asker, n->n), same_number, m, &p);
	if (slot == DK_MAP_NONE)
		return DIVE_MEMO_NEW;
	*ret_done = dk_table_get(&m->table, dk_table_id_at(&m->table, slot));
	return DIVE_MEMO_DONE;
}

/* ---- remembering ---- */

/* Who asked for the oldest may not repeat it, nor what is older: whether that was done is not known any more. */
static void forget_oldest(struct dive_memo *m)
{
	struct dive_done *d = m->oldest;
	struct dive_asker *a = d->who;
	uint64_t floor = d->n + 1;

	m->forgotten++;
	dive_memo_drop(m, d);
	raise_floor(m, a, floor);
}

struct dive_done *dive_memo_add(struct dive_memo *m, uint16_t bucket, const struct dive_number *n, uint64_t now_ms)
{
	struct dive_asker *a = asker_get(m, n->asker, now_ms);
	struct dive_done *d;
	dk_id id;

	if (!a)
		return NULL;
	raise_floor(m, a, n->floor);
	while (m->oldest && m->bytes + sizeof(*d) > m->bytes_max)
		forget_oldest(m);
	d = dk_table_add(&m->table, &id);
	if (!d)
		return NULL;
	*d = (struct dive_done){ .id = id, .who = a, .n = n->n, .bucket = bucket, .hash = hash_of(n->asker, n->n) };
	if (dk_map_put(m->self, &m->by_number, d->hash, dk_id_slot(id))) {
		dk_table_remove(&m->table, id);
		return NULL;
	}
	d->next = m->buckets[bucket];
	if (d->next)
		d->next->link = &d->next;
	d->link = &m->buckets[bucket];
	m->buckets[bucket] = d;
	d->asked_older = a->newest;
	*(a->newest ? &a->newest->asked_newer : &a->oldest) = d;
	a->newest = d;
	d->older = m->newest;
	*(m->newest ? &m->newest->newer : &m->oldest) = d;
	m->newest = d;
	m->bytes += sizeof(*d);
	return d;
}

void dive_memo_set(struct dive_memo *m, struct dive_done *d, int rc, struct dk_dive_list values)
{
	uint8_t *to = d->values;

	if (values.bytes.n > sizeof(d->values)) {
		m->pinned = d;
		while (m->oldest != d && m->bytes + values.bytes.n > m->bytes_max)
			forget_oldest(m);
		m->pinned = NULL;
		to = m->bytes + values.bytes.n > m->bytes_max ? NULL : dk_alloc(m->self, values.bytes.n);
		if (!to) {
			d->rc = DK_DIVE_MAYBE;
			return;
		}
		d->more = to;
		m->bytes += values.bytes.n;
	}
	d->rc = (uint8_t)rc;
	d->count = values.n;
	d->size = (uint32_t)values.bytes.n;
	if (d->size)
		memcpy(to, values.bytes.p, d->size);
}

struct dk_dive_list dive_memo_values(const struct dive_done *d)
{
	return (struct dk_dive_list){ dk_slice_n(d->more ? d->more : d->values, d->size), d->count };
}

/* ---- on their way ---- */

enum { FLOOR_BYTES = 2 + 1 + 8 + 8 };

size_t dive_memo_packed(const struct dive_done *d)
{
	return 2 + 1 + 8 + 8 + 1 + 4 + 4 + (size_t)d->size;
}

void dive_memo_pack(struct dk_writer *w, const struct dive_done *d)
{
	struct dk_dive_list values = dive_memo_values(d);

	dk_wr_u16(w, 0);
	dk_wr_u8(w, KIND_DONE);
	dk_wr_u64(w, d->who->asker);
	dk_wr_u64(w, d->n);
	dk_wr_u8(w, d->rc);
	dk_wr_u32(w, values.n);
	dk_wr_bytes32(w, values.bytes);
}

size_t dive_memo_packed_all(const struct dive_memo *m, uint16_t bucket)
{
	size_t n = (size_t)m->askers.used * FLOOR_BYTES;

	for (const struct dive_done *d = m->buckets[bucket]; d; d = d->next)
		n += dive_memo_packed(d);
	return n;
}

void dive_memo_pack_all(struct dive_memo *m, uint16_t bucket, struct dk_writer *w)
{
	const struct dive_asker *a;
	uint32_t slot = 0;
	dk_id id;

	while ((a = dk_table_next(&m->askers, &slot, &id))) {
		dk_wr_u16(w, 0);
		dk_wr_u8(w, KIND_FLOOR);
		dk_wr_u64(w, a->asker);
		dk_wr_u64(w, a->floor);
	}
	for (const struct dive_done *d = m->buckets[bucket]; d; d = d->next)
		dive_memo_pack(w, d);
}

bool dive_memo_next(const struct dk_cursor *c)
{
	struct dk_cursor look = *c;

	return dk_rd_u16(&look) == 0 && !look.bad;
}

void dive_memo_skip(struct dk_cursor *c)
{
	uint8_t kind;

	dk_rd_u16(c);
	kind = dk_rd_u8(c);
	dk_rd_take(c, kind == KIND_DONE ? 8 + 8 + 1 + 4 : 8 + 8);
	if (kind == KIND_DONE)
		dk_rd_bytes32(c);
}

static int unpack_done(struct dive_memo *m, uint16_t bucket, const struct dive_number *n, int rc, struct dk_dive_list values,
		       uint64_t now_ms)
{
	struct dk_dive_list rest = values;
	struct dive_done *d;
	struct dk_value v;

	while (rest.n)
		if (!dk_dive_next(&rest, &v))
			return -EINVAL;
	if (rest.bytes.n)
		return -EINVAL;
	switch (dive_memo_look(m, n, now_ms, &d)) {
	case DIVE_MEMO_LATE:
		return 0;
	case DIVE_MEMO_DONE:
		dive_memo_drop(m, d);
		break;
	case DIVE_MEMO_NEW:
		break;
	}
	d = dive_memo_add(m, bucket, n, now_ms);
	if (!d)
		return -ENOMEM;
	dive_memo_set(m, d, rc, values);
	return 0;
}

int dive_memo_unpack(struct dive_memo *m, uint16_t bucket, struct dk_cursor *c, uint64_t now_ms)
{
	struct dk_dive_list values = { .n = 0 };
	struct dive_number n = { .floor = 0 };
	struct dive_asker *a;
	uint8_t kind, rc;

	dk_rd_u16(c);
	kind = dk_rd_u8(c);
	n.asker = dk_rd_u64(c);
	n.n = dk_rd_u64(c);
	if (c->bad || !n.asker || (kind != KIND_DONE && kind != KIND_FLOOR))
		return -EINVAL;
	if (kind == KIND_FLOOR) {
		a = asker_get(m, n.asker, now_ms);
		if (!a)
			return -ENOMEM;
		raise_floor(m, a, n.n);
		return 0;
	}
	rc = dk_rd_u8(c);
	values.n = dk_rd_u32(c);
	values.bytes = dk_rd_bytes32(c);
	return c->bad ? -EINVAL : unpack_done(m, bucket, &n, rc, values, now_ms);
}
