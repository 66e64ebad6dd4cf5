/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory with an owner: charged blocks, pools, handle tables, hash maps, and the scratch arena of one callback. A plugin's
 * bytes are counted in dk_plugin.memory; what is left after its fini is named by ledger_leftovers().
 *
 * Nothing here returns memory to the system before its container is finished: pools and tables keep their chunks.
 */
#include "kernel.h"

#include <errno.h>
#include <stdlib.h>

#define SCRATCH_SIZE (1u << 20)

struct scratch_state {
	size_t used;
	_Alignas(16) uint8_t bytes[SCRATCH_SIZE];
};

void *dk_alloc(void *self, size_t n)
{
	struct dk_plugin *p = plugin_of(self);
	void *m = calloc(1, n ? n : 1);

	if (m)
		p->memory += n;
	return m;
}

void *dk_realloc(void *self, void *p, size_t n, size_t m)
{
	struct dk_plugin *plugin = plugin_of(self);
	uint8_t *q = realloc(p, m ? m : 1);

	if (!q)
		return NULL;
	if (m > n)
		memset(q + n, 0, m - n);
	plugin->memory += m - n;
	return q;
}

void dk_free(void *self, void *p, size_t n)
{
	if (!p)
		return;
	plugin_of(self)->memory -= n;
	free(p);
}

/* ---- scratch ---- */

int mem_init(struct dk_kernel *k)
{
	k->scratch = malloc(sizeof(*k->scratch));
	if (!k->scratch)
		return -ENOMEM;
	k->scratch->used = 0;
	return 0;
}

void mem_fini(struct dk_kernel *k)
{
	free(k->scratch);
	k->scratch = NULL;
}

void *scratch_take(struct dk_kernel *k, size_t n)
{
	struct scratch_state *s = k->scratch;
	size_t need = (n + 15) & ~(size_t)15;

	if (need < n || SCRATCH_SIZE - s->used < need)
		return NULL;
	s->used += need;
	return s->bytes + s->used - need;
}

void *dk_scratch(void *self, size_t n)
{
	return scratch_take(plugin_of(self)->k, n);
}

void scratch_reset(struct dk_kernel *k)
{
	k->scratch->used = 0;
}

size_t scratch_mark(struct dk_kernel *k)
{
	return k->scratch->used;
}

void scratch_release(struct dk_kernel *k, size_t mark)
{
	k->scratch->used = mark;
}

/* ---- pools ---- */

struct pool_chunk {
	struct pool_chunk *next;
	size_t bytes;
	_Alignas(16) uint8_t objects[];
};

void dk_pool_init(void *self, struct dk_pool *pool, size_t size, uint32_t max, const char *what)
{
	if (size < sizeof(void *))
		size = sizeof(void *);
	*pool = (struct dk_pool){ .self = self, .size = (uint32_t)((size + 15) & ~(size_t)15), .max = max, .what = what };
}

void dk_pool_fini(struct dk_pool *pool)
{
	struct pool_chunk *c = pool->chunks;

	if (pool->used && pool->self)
		log_kernel(plugin_of(pool->self)->k, DK_ERROR, "%s: the pool of %s ends with %u objects still out",
			   plugin_of(pool->self)->instance, pool->what, pool->used);
	while (c) {
		struct pool_chunk *next = c->next;

		dk_free(pool->self, c, c->bytes);
		c = next;
	}
	*pool = (struct dk_pool){ 0 };
}

static bool pool_grow(struct dk_pool *pool)
{
	uint32_t n = pool->made ? pool->made : 8;
	struct pool_chunk *c;
	size_t bytes;

	if (n > 1024)
		n = 1024;
	bytes = sizeof(*c) + (size_t)n * pool->size;
	c = dk_alloc(pool->self, bytes);
	if (!c)
		return false;
	c->bytes = bytes;
	c->next = pool->chunks;
	pool->chunks = c;
	pool->made += n;
	for (uint32_t i = n; i-- > 0;) {
		void **obj = (void *)(c->objects + (size_t)i * pool->size);

		*obj = pool->free_list;
		pool->free_list = obj;
	}
	return true;
}

void *dk_pool_get(struct dk_pool *pool)
{
	void **obj;

	if (pool->max && pool->used >= pool->max)
		return NULL;
	if (!pool->free_list && !pool_grow(pool))
		return NULL;
	obj = pool->free_list;
	pool->free_list = *obj;
	pool->used++;
	memset(obj, 0, pool->size);
	return obj;
}

void dk_pool_put(struct dk_pool *pool, void *obj)
{
	if (!obj)
		return;
	*(void **)obj = pool->free_list;
	pool->free_list = obj;
	pool->used--;
}

/* ---- handle tables ---- */

#define TABLE_NONE UINT32_MAX

static struct dk_table_head *table_head(const struct dk_table *t, uint32_t slot)
{
	return (void *)(t->chunks[slot / DK_TABLE_CHUNK] + (size_t)(slot % DK_TABLE_CHUNK) * t->stride);
}

void dk_table_init(void *self, struct dk_table *t, enum dk_kind kind, size_t size, uint32_t max, const char *what)
{
	*t = (struct dk_table){ .self = self,
				.kind = (uint8_t)kind,
				.size = (uint32_t)size,
				.stride = (uint32_t)((size + sizeof(struct dk_table_head) + 7) & ~(size_t)7),
				.free_head = TABLE_NONE,
				.max = max ? max : TABLE_NONE - 1,
				.what = what };
}

void dk_table_fini(struct dk_table *t)
{
	if (t->used && t->self)
		log_kernel(plugin_of(t->self)->k, DK_ERROR, "%s: the table of %s ends with %u objects still in",
			   plugin_of(t->self)->instance, t->what, t->used);
	for (uint32_t i = 0; i < t->chunk_n; i++)
		dk_free(t->self, t->chunks[i], (size_t)DK_TABLE_CHUNK * t->stride);
	dk_free(t->self, t->chunks, t->chunk_n * sizeof(*t->chunks));
	*t = (struct dk_table){ 0 };
}

static bool table_grow(struct dk_table *t)
{
	size_t size = (size_t)DK_TABLE_CHUNK * t->stride;
	uint8_t *chunk = dk_alloc(t->self, size), **chunks;

	if (!chunk)
		return false;
	chunks = dk_realloc(t->self, t->chunks, t->chunk_n * sizeof(*chunks), (t->chunk_n + 1) * sizeof(*chunks));
	if (!chunks) {
		dk_free(t->self, chunk, size);
		return false;
	}
	t->chunks = chunks;
	t->chunks[t->chunk_n++] = chunk;
	return true;
}

static dk_id table_id(const struct dk_table *t, uint32_t slot, uint32_t generation)
{
	return (dk_id)t->kind << 56 | (dk_id)(generation & 0xffffff) << 32 | slot;
}

void *dk_table_add(struct dk_table *t, dk_id *ret_id)
{
	struct dk_table_head *h;
	uint32_t slot = t->free_head;

	if (t->used >= t->max)
		return NULL;
	if (slot == TABLE_NONE) {
		if (t->top == t->chunk_n * DK_TABLE_CHUNK && !table_grow(t))
			return NULL;
		slot = t->top++;
		h = table_head(t, slot);
	} else {
		h = table_head(t, slot);
		t->free_head = h->next_free;
	}
	h->generation++; /* odd: in use */
	t->used++;
	memset(h + 1, 0, t->size);
	*ret_id = table_id(t, slot, h->generation);
	return h + 1;
}

void dk_table_remove(struct dk_table *t, dk_id id)
{
	uint32_t slot = dk_id_slot(id);
	struct dk_table_head *h;

	if (!dk_table_get(t, id))
		return;
	h = table_head(t, slot);
	h->generation++;
	h->next_free = t->free_head;
	t->free_head = slot;
	t->used--;
}

dk_id dk_table_id_at(const struct dk_table *t, uint32_t slot)
{
	const struct dk_table_head *h;

	if (slot >= t->top)
		return 0;
	h = table_head(t, slot);
	return h->generation & 1 ? table_id(t, slot, h->generation) : 0;
}

void *dk_table_next(const struct dk_table *t, uint32_t *slot, dk_id *ret_id)
{
	while (*slot < t->top) {
		struct dk_table_head *h = table_head(t, (*slot)++);

		if (h->generation & 1) {
			*ret_id = table_id(t, *slot - 1, h->generation);
			return h + 1;
		}
	}
	return NULL;
}

/* ---- maps ---- */

static void map_insert(struct dk_map_slot *slots, uint32_t mask, uint32_t hash, uint32_t value)
{
	uint32_t i = hash & mask;

	while (slots[i].value)
		i = (i + 1) & mask;
	slots[i] = (struct dk_map_slot){ hash, value };
}

int dk_map_put(void *self, struct dk_map *m, uint32_t hash, uint32_t value)
{
	uint32_t size = m->slots ? m->mask + 1 : 0;

	if (!size || m->used + 1 > size / 4 * 3) {
		uint32_t bigger = size ? size * 2 : 16;
		struct dk_map_slot *slots = dk_alloc(self, bigger * sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		for (uint32_t i = 0; i < size; i++)
			if (m->slots[i].value)
				map_insert(slots, bigger - 1, m->slots[i].hash, m->slots[i].value);
		dk_free(self, m->slots, size * sizeof(*slots));
		m->slots = slots;
		m->mask = bigger - 1;
	}
	map_insert(m->slots, m->mask, hash, value + 1);
	m->used++;
	return 0;
}

void dk_map_remove(struct dk_map *m, uint32_t hash, uint32_t value)
{
	uint32_t i, hole;

	if (!m->slots)
		return;
	for (i = hash & m->mask; m->slots[i].value; i = (i + 1) & m->mask)
		if (m->slots[i].hash == hash && m->slots[i].value == value + 1)
			break;
	if (!m->slots[i].value)
		return;
	/* Close the gap: move back whatever could not lie closer to its home. */
	for (hole = i, i = (i + 1) & m->mask; m->slots[i].value; i = (i + 1) & m->mask) {
		uint32_t home = m->slots[i].hash & m->mask;

		if (((i - home) & m->mask) >= ((i - hole) & m->mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct dk_map_slot){ 0, 0 };
	m->used--;
}

void dk_map_fini(void *self, struct dk_map *m)
{
	if (m->slots)
		dk_free(self, m->slots, (size_t)(m->mask + 1) * sizeof(*m->slots));
	*m = (struct dk_map){ 0 };
}

/* ---- SipHash-2-4 (Aumasson, Bernstein) ---- */

static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t dk_hash(void *self, dk_slice bytes)
{
	const uint64_t *key = plugin_of(self)->k->hash_key;
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
			  key[1] ^ 0x7465646279746573u };
	uint64_t m, last = (uint64_t)bytes.n << 56;
	size_t whole = bytes.n & ~(size_t)7;

	for (size_t i = 0; i < whole; i += 8) {
		memcpy(&m, bytes.p + i, 8);
		v[3] ^= m;
		sip_round(v);
		sip_round(v);
		v[0] ^= m;
	}
	for (size_t i = whole; i < bytes.n; i++)
		last |= (uint64_t)bytes.p[i] << (8 * (i - whole));
	v[3] ^= last;
	sip_round(v);
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
