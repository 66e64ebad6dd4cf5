/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory with a visible lifetime and an owner.
 *
 *   dk_alloc     boot and rare: charged to the plugin; what is left at its end is named
 *   dk_pool      objects of one size that come and go: free list, no malloc in steady state
 *   dk_table     objects that others hold across time: handles with generations, stable addresses
 *   dk_map       hash index from bytes to a table's slots
 *   dk_scratch   until the current callback of the loop returns
 *
 * Out of memory: dk_alloc at boot aborts the start; the others answer NULL and the caller refuses the peer.
 */
#ifndef DIARKIS_MEM_H
#define DIARKIS_MEM_H

#include <diarkis/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed; NULL when out of memory. */
DK_API void *dk_alloc(void *self, size_t n);
/* p of n bytes (n as allocated) to m bytes, new bytes zeroed. NULL: p is as it was. p NULL and n 0: allocate. */
DK_API void *dk_realloc(void *self, void *p, size_t n, size_t m);
DK_API void dk_free(void *self, void *p, size_t n); /* NULL is fine */

/* Aligned to 16, not zeroed, gone after the current callback; NULL beyond 1 MiB per callback. */
DK_API void *dk_scratch(void *self, size_t n);

struct dk_pool {
	void *self;
	void *free_list;
	void *chunks;
	uint32_t size, used, made, max;
	const char *what;
};
/* what: static, for reports. max: objects at most, 0 = no limit. Memory is taken when it is needed. */
DK_API void dk_pool_init(void *self, struct dk_pool *pool, size_t size, uint32_t max, const char *what);
DK_API void dk_pool_fini(struct dk_pool *pool); /* complains about objects still out */
DK_API void *dk_pool_get(struct dk_pool *pool); /* zeroed; NULL = limit or no memory */
DK_API void dk_pool_put(struct dk_pool *pool, void *obj); /* NULL is fine */

#define DK_TABLE_CHUNK 256
/* Slots in chunks of DK_TABLE_CHUNK; an object never moves. Zeroed = not initialised. */
struct dk_table {
	void *self;
	uint8_t **chunks;
	uint32_t chunk_n, size, stride, used, top, free_head, max;
	uint8_t kind;
	const char *what;
};
/* kind: first byte of the handles. max: 0 = 2^32 - 2. */
DK_API void dk_table_init(void *self, struct dk_table *t, enum dk_kind kind, size_t size, uint32_t max, const char *what);
DK_API void dk_table_fini(struct dk_table *t); /* complains about objects still in */
/* A zeroed object and its handle; NULL = limit or no memory. */
DK_API void *dk_table_add(struct dk_table *t, dk_id *ret_id);
DK_API void dk_table_remove(struct dk_table *t, dk_id id); /* stale is fine */
/* The handle of a slot in use; 0 = free. */
DK_API dk_id dk_table_id_at(const struct dk_table *t, uint32_t slot);
/* Objects in use, in slot order: start with *slot = 0; NULL at the end. Adding and removing meanwhile is safe. */
DK_API void *dk_table_next(const struct dk_table *t, uint32_t *slot, dk_id *ret_id);

/* private: each slot is preceded by this */
struct dk_table_head {
	uint32_t generation; /* odd = in use */
	uint32_t next_free;
};

/* The object behind a handle, or NULL when it is gone or the handle is of another kind. */
static inline void *dk_table_get(const struct dk_table *t, dk_id id)
{
	uint32_t slot = (uint32_t)id;
	uint8_t *p;

	if (slot >= t->top || dk_id_kind(id) != t->kind)
		return NULL;
	p = t->chunks[slot / DK_TABLE_CHUNK] + (size_t)(slot % DK_TABLE_CHUNK) * t->stride;
	if ((((const struct dk_table_head *)(void *)p)->generation & 0xffffff) != ((uint32_t)(id >> 32) & 0xffffff))
		return NULL;
	return p + sizeof(struct dk_table_head);
}

/* Open addressing from a 32-bit hash to a 32-bit value (a slot number, usually). The caller compares keys. Zeroed = empty. */
struct dk_map_slot {
	uint32_t hash, value; /* value + 1; 0 = free */
};
struct dk_map {
	struct dk_map_slot *slots;
	uint32_t mask, used;
};
typedef bool dk_map_eq(const void *arg, uint32_t value, const void *key);
DK_API int dk_map_put(void *self, struct dk_map *m, uint32_t hash, uint32_t value); /* 0 or -ENOMEM; does not look for equals */
DK_API void dk_map_remove(struct dk_map *m, uint32_t hash, uint32_t value); /* absent is fine */
DK_API void dk_map_fini(void *self, struct dk_map *m);

#define DK_MAP_NONE UINT32_MAX
static inline uint32_t dk_map_find(const struct dk_map *m, uint32_t hash, dk_map_eq *eq, const void *arg, const void *key)
{
	if (!m->slots)
		return DK_MAP_NONE;
	for (uint32_t i = hash & m->mask;; i = (i + 1) & m->mask) {
		const struct dk_map_slot *s = &m->slots[i];

		if (!s->value)
			return DK_MAP_NONE;
		if (s->hash == hash && eq(arg, s->value - 1, key))
			return s->value - 1;
	}
}

/* SipHash-2-4 under a key drawn at boot: for keys that a client may choose. */
DK_API uint64_t dk_hash(void *self, dk_slice bytes);

#ifdef __cplusplus
}
#endif

#endif
