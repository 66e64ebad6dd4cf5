/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry is found through a keyed hash of its key and stands in the list of its bucket. A key whose time has come is not there,
 * whoever looks; its memory goes at that look or with the next sweep. An operation that fails has changed nothing.
 */
#include "dive_store.h"

#include <errno.h>

void dive_store_init(struct dive_store *s, void *self, const struct dive_limits *limits, uint32_t default_ttl_s)
{
	s->self = self;
	s->limits = *limits;
	s->default_ttl_s = default_ttl_s;
	dk_table_init(self, &s->table, DK_KIND_APP, sizeof(struct dive_entry), 0, "keys of a storage");
}

static void drop(struct dive_store *s, struct dive_entry *e)
{
	*e->link = e->next;
	if (e->next)
		e->next->link = e->link;
	s->bytes -= e->key_n + e->size;
	dk_map_remove(&s->by_key, e->hash, dk_id_slot(e->id));
	dk_free(s->self, e->values, e->cap);
	dk_free(s->self, e->key, e->key_n);
	dk_table_remove(&s->table, e->id);
}

void dive_store_empty(struct dive_store *s, uint16_t bucket)
{
	while (s->buckets[bucket])
		drop(s, s->buckets[bucket]);
}

void dive_store_fini(struct dive_store *s)
{
	for (uint16_t b = 0; b < DIVE_BUCKETS; b++)
		dive_store_empty(s, b);
	dk_map_fini(s->self, &s->by_key);
	dk_table_fini(&s->table);
}

/* ---- keys ---- */

static bool same_key(const void *arg, uint32_t slot, const void *key)
{
	const struct dive_store *s = arg;
	const struct dive_entry *e = dk_table_get(&s->table, dk_table_id_at(&s->table, slot));
	const dk_str *k = key;

	return e && dk_str_eq(dk_str_n(e->key, e->key_n), *k);
}

struct dive_entry *dive_store_find(struct dive_store *s, dk_str key, uint64_t now_ms)
{
	uint32_t slot = dk_map_find(&s->by_key, (uint32_t)dk_hash(s->self, dk_slice_of(key)), same_key, s, &key);
	struct dive_entry *e = slot == DK_MAP_NONE ? NULL : dk_table_get(&s->table, dk_table_id_at(&s->table, slot));

	if (e && e->ends_ms <= now_ms) {
		drop(s, e);
		return NULL;
	}
	return e;
}

static struct dive_entry *add(struct dive_store *s, dk_str key)
{
	struct dive_entry *e;
	dk_id id;

	e = dk_table_add(&s->table, &id);
	if (!e)
		return NULL;
	e->id = id;
	e->key = dk_alloc(s->self, key.n);
	e->hash = (uint32_t)dk_hash(s->self, dk_slice_of(key));
	if (!e->key || dk_map_put(s->self, &s->by_key, e->hash, dk_id_slot(id))) {
		dk_free(s->self, e->key, key.n);
		dk_table_remove(&s->table, id);
		return NULL;
	}
	memcpy(e->key, key.p, key.n);
	e->key_n = (uint16_t)key.n;
	e->bucket = dive_hrw_bucket(key);
	e->next = s->buckets[e->bucket];
	if (e->next)
		e->next->link = &e->next;
	e->link = &s->buckets[e->bucket];
	s->buckets[e->bucket] = e;
	s->bytes += key.n;
	return e;
}

uint32_t dive_store_sweep(struct dive_store *s, uint64_t now_ms, uint32_t slots)
{
	uint32_t removed = 0;

	for (uint32_t i = 0; i < slots && i < s->table.top; i++) {
		struct dive_entry *e;

		if (s->sweep >= s->table.top)
			s->sweep = 0;
		e = dk_table_get(&s->table, dk_table_id_at(&s->table, s->sweep++));
		if (!e || e->ends_ms > now_ms)
			continue;
		drop(s, e);
		removed++;
	}
	return removed;
}

/* ---- values ---- */

int dive_store_check(const struct dive_store *s, const struct dk_dive_list *l)
{
	struct dk_dive_list rest = *l;
	struct dk_value v;

	while (rest.n) {
		size_t before = rest.bytes.n;

		if (!dk_dive_next(&rest, &v) || !dk_value_ok(&v, DK_CAPSULE_DEPTH_MAX))
			return DK_DIVE_BAD_VALUE;
		if (before - rest.bytes.n > s->limits.value_bytes)
			return DK_TOO_LONG;
	}
	return rest.bytes.n ? DK_DIVE_BAD_VALUE : 0;
}

static int reserve(struct dive_store *s, struct dive_entry *e, size_t size)
{
	size_t cap = e->cap ? e->cap : 16;
	uint8_t *p;

	while (cap < size)
		cap *= 2;
	if (cap == e->cap)
		return 0;
	p = dk_realloc(s->self, e->values, e->cap, cap);
	if (!p)
		return -ENOMEM;
	e->values = p;
	e->cap = (uint32_t)cap;
	return 0;
}

static void resize(struct dive_store *s, struct dive_entry *e, uint32_t size)
{
	s->bytes += size;
	s->bytes -= e->size;
	e->size = size;
}

/* In place of what is there. */
static int put(struct dive_store *s, struct dive_entry *e, dk_slice values, uint32_t n, bool list)
{
	int rc = reserve(s, e, values.n);

	if (rc)
		return rc;
	if (values.n)
		memcpy(e->values, values.p, values.n);
	resize(s, e, (uint32_t)values.n);
	e->n = n;
	e->list = list;
	return 0;
}

static void live(struct dive_entry *e, uint32_t ttl_s, uint64_t now_ms)
{
	if (ttl_s)
		e->ends_ms = now_ms + (uint64_t)ttl_s * 1000;
}

static uint32_t ttl_or_default(const struct dive_store *s, const struct dive_order *o)
{
	return o->ttl_s ? o->ttl_s : s->default_ttl_s;
}

static int set(struct dive_store *s, const struct dive_order *o, struct dive_entry *e, uint64_t now_ms)
{
	struct dive_entry *fresh = NULL;
	int rc;

	if (o->values.n != 1)
		return DK_DIVE_BAD_VALUE;
	if (e && o->op == DK_DIVE_SET_NEW)
		return DK_EXISTS;
	if (!e) {
		if (s->table.used >= s->limits.keys)
			return DK_FULL;
		e = fresh = add(s, o->key);
		if (!e)
			return -ENOMEM;
	}
	rc = put(s, e, o->values.bytes, 1, false);
	if (rc == 0)
		live(e, ttl_or_default(s, o), now_ms);
	else if (fresh)
		drop(s, fresh);
	return rc;
}

/* All of an entry into the answer. */
static int answer(const struct dive_entry *e, struct dk_writer *w, uint32_t *ret_n)
{
	dk_wr_slice(w, dk_slice_n(e->values, e->size));
	*ret_n = e->n;
	return w->bad ? -ENOMEM : 0;
}

/* The number keeps its type where that holds 32 bits. */
static int incr(struct dive_store *s, const struct dive_order *o, struct dive_entry *e, uint64_t now_ms, struct dk_writer *w,
		uint32_t *ret_n)
{
	struct dk_cursor c = dk_cursor_of(dk_slice_n(e->values, e->size));
	struct dk_value v = dk_value_read(&c), sum;
	uint8_t buf[16];
	struct dk_writer value = dk_writer_on(buf, sizeof(buf));
	int64_t i;
	int rc;

	if (e->list || c.bad || !dk_value_is_int(v.type))
		return DK_DIVE_KIND;
	if (dk_value_get_between(&v, INT32_MIN, INT32_MAX, &i) || i + o->a < INT32_MIN || i + o->a > INT32_MAX)
		return DK_DIVE_RANGE;
	sum = v.type == DK_V_INT ? dk_value_i64(i + o->a) : dk_value_i32((int32_t)(i + o->a));
	dk_value_write(&value, &sum);
	dk_wr_slice(w, dk_written(&value));
	if (w->bad)
		return -ENOMEM;
	rc = put(s, e, dk_written(&value), 1, false);
	if (rc)
		return rc;
	live(e, o->ttl_s, now_ms);
	*ret_n = 1;
	return 0;
}

static int push(struct dive_store *s, const struct dive_order *o, struct dive_entry *e, uint64_t now_ms)
{
	struct dk_dive_list rest = o->values;
	struct dive_entry *fresh = NULL;
	uint32_t old = e ? e->size : 0, more = (uint32_t)o->values.bytes.n;
	struct dk_value v;
	uint8_t *at;
	int rc;

	if (!o->values.n)
		return DK_DIVE_BAD_VALUE;
	if (e && !e->list)
		return DK_EXISTS; /* the reference's word for it */
	if ((uint64_t)o->values.n + (e ? e->n : 0) > s->limits.list_items || (uint64_t)old + more > s->limits.list_bytes)
		return DK_FULL;
	if (!e) {
		if (s->table.used >= s->limits.keys)
			return DK_FULL;
		e = fresh = add(s, o->key);
		if (!e)
			return -ENOMEM;
		e->list = true;
	}
	rc = reserve(s, e, (size_t)old + more);
	if (rc) {
		if (fresh)
			drop(s, fresh);
		return rc;
	}
	if (o->op == DK_DIVE_RPUSH) {
		memcpy(e->values + old, o->values.bytes.p, more);
	} else {
		/* One after the other to the front: the last one ends up there. */
		memmove(e->values + more, e->values, old);
		at = e->values + more;
		while (rest.n) {
			const uint8_t *from = rest.bytes.p;
			size_t n = rest.bytes.n;

			dk_dive_next(&rest, &v);
			n -= rest.bytes.n;
			at -= n;
			memcpy(at, from, n);
		}
	}
	resize(s, e, old + more);
	e->n += o->values.n;
	live(e, ttl_or_default(s, o), now_ms);
	return 0;
}

/* Where in its bytes value number i begins; i = n gives the end. */
static size_t offset_of(const struct dive_entry *e, uint32_t i)
{
	struct dk_dive_list l = { dk_slice_n(e->values, e->size), e->n };
	struct dk_value v;

	while (i-- && dk_dive_next(&l, &v))
		;
	return e->size - l.bytes.n;
}

static int pop(struct dive_store *s, const struct dive_order *o, struct dive_entry *e, uint64_t now_ms, struct dk_writer *w,
	       uint32_t *ret_n)
{
	uint32_t n = o->a > 0 && (uint32_t)o->a < e->n ? (uint32_t)o->a : e->n, cut;

	if (!e->list)
		return DK_DIVE_KIND;
	if (o->op == DK_DIVE_LPOP) {
		cut = (uint32_t)offset_of(e, n);
		dk_wr_slice(w, dk_slice_n(e->values, cut));
		if (w->bad)
			return -ENOMEM;
		memmove(e->values, e->values + cut, e->size - cut);
		resize(s, e, e->size - cut);
	} else {
		struct dk_dive_list l;
		struct dk_value v;
		uint8_t *at;

		cut = (uint32_t)offset_of(e, e->n - n);
		at = dk_wr_take(w, e->size - cut);
		if (!at)
			return -ENOMEM;
		at += e->size - cut;
		l = (struct dk_dive_list){ dk_slice_n(e->values + cut, e->size - cut), n };
		while (l.n) {
			const uint8_t *from = l.bytes.p;
			size_t bytes = l.bytes.n;

			dk_dive_next(&l, &v);
			bytes -= l.bytes.n;
			at -= bytes;
			memcpy(at, from, bytes);
		}
		resize(s, e, cut);
	}
	e->n -= n;
	*ret_n = n;
	live(e, o->ttl_s, now_ms);
	if (!e->n)
		drop(s, e);
	return 0;
}

static int range(const struct dive_order *o, struct dive_entry *e, uint64_t now_ms, struct dk_writer *w, uint32_t *ret_n)
{
	uint32_t from = o->a > 0 ? (uint32_t)o->a : 0, to = o->b > 0 && (uint32_t)o->b < e->n ? (uint32_t)o->b : e->n;
	size_t begin, end;

	if (!e->list)
		return DK_DIVE_KIND;
	if (from > to)
		from = to;
	begin = offset_of(e, from);
	end = offset_of(e, to);
	dk_wr_slice(w, dk_slice_n(e->values + begin, end - begin));
	if (w->bad)
		return -ENOMEM;
	*ret_n = to - from;
	live(e, o->ttl_s, now_ms);
	return 0;
}

void dive_store_live(struct dive_store *s, dk_str key, uint32_t ttl_s, uint64_t now_ms)
{
	struct dive_entry *e = dive_store_find(s, key, now_ms);

	if (e)
		live(e, ttl_s, now_ms);
}

int dive_store_do(struct dive_store *s, const struct dive_order *o, uint64_t now_ms, struct dk_writer *w, uint32_t *ret_n)
{
	struct dive_entry *e = dive_store_find(s, o->key, now_ms);
	uint32_t n = 0;
	int rc;

	if (!e && o->op != DK_DIVE_SET && o->op != DK_DIVE_SET_NEW && o->op != DK_DIVE_LPUSH && o->op != DK_DIVE_RPUSH)
		return DK_NOT_FOUND;
	switch (o->op) {
	case DK_DIVE_SET:
	case DK_DIVE_SET_NEW:
		rc = set(s, o, e, now_ms);
		break;
	case DK_DIVE_GET:
		rc = e->list ? DK_DIVE_KIND : answer(e, w, &n);
		if (rc == 0)
			live(e, o->ttl_s, now_ms);
		break;
	case DK_DIVE_DEL:
		rc = answer(e, w, &n);
		if (rc == 0)
			drop(s, e);
		break;
	case DK_DIVE_INCR:
		rc = incr(s, o, e, now_ms, w, &n);
		break;
	case DK_DIVE_LPUSH:
	case DK_DIVE_RPUSH:
		rc = push(s, o, e, now_ms);
		break;
	case DK_DIVE_LPOP:
	case DK_DIVE_RPOP:
		rc = pop(s, o, e, now_ms, w, &n);
		break;
	case DK_DIVE_LRANGE:
		rc = range(o, e, now_ms, w, &n);
		break;
	default:
		rc = -EINVAL;
	}
	if (rc == 0)
		*ret_n = n;
	return rc;
}

size_t dive_store_answer(const struct dive_store *s, dk_str key)
{
	uint32_t slot = dk_map_find(&s->by_key, (uint32_t)dk_hash(s->self, dk_slice_of(key)), same_key, s, &key);
	const struct dive_entry *e = slot == DK_MAP_NONE ? NULL : dk_table_get(&s->table, dk_table_id_at(&s->table, slot));

	return e ? e->size + 16 : 0; /* a number that is incremented may become longer */
}

/* ---- on their way ---- */

size_t dive_store_packed(const struct dive_entry *e)
{
	return 2 + (size_t)e->key_n + 4 + 1 + 4 + 4 + e->size;
}

void dive_store_pack(struct dk_writer *w, const struct dive_entry *e, uint64_t now_ms)
{
	dk_wr_bytes16(w, dk_slice_n(e->key, e->key_n));
	dk_wr_u32(w, e->ends_ms > now_ms ? (uint32_t)(e->ends_ms - now_ms) : 0);
	dk_wr_u8(w, e->list);
	dk_wr_u32(w, e->n);
	dk_wr_bytes32(w, dk_slice_n(e->values, e->size));
}

void dive_store_skip(struct dk_cursor *c)
{
	dk_rd_bytes16(c);
	dk_rd_take(c, 4 + 1 + 4);
	dk_rd_bytes32(c);
}

int dive_store_unpack(struct dive_store *s, uint16_t bucket, struct dk_cursor *c, uint64_t now_ms)
{
	dk_str key = dk_str_of(dk_rd_bytes16(c));
	uint32_t left_ms = dk_rd_u32(c);
	bool list = dk_rd_u8(c) != 0;
	struct dk_dive_list values = { .n = dk_rd_u32(c) };
	struct dive_entry *e;
	int rc;

	values.bytes = dk_rd_bytes32(c);
	if (c->bad || !key.n || key.n > DK_DIVE_KEY_MAX || dive_hrw_bucket(key) != bucket || !values.n ||
	    (!list && values.n != 1) || left_ms > DK_DIVE_TTL_MAX * 1000u || dive_store_check(s, &values) == DK_DIVE_BAD_VALUE)
		return -EINVAL;
	e = dive_store_find(s, key, now_ms);
	if (!left_ms) {
		if (e)
			drop(s, e);
		return 0;
	}
	if (!e) {
		e = add(s, key);
		if (!e)
			return -ENOMEM;
		e->n = 0;
	}
	rc = put(s, e, values.bytes, values.n, list);
	if (rc) {
		drop(s, e);
		return rc;
	}
	e->ends_ms = now_ms + left_ms;
	return 0;
}
