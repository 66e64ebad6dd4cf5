/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of one storage that are on this node: values and lists in packed form (<diarkis/packed.h>), by bucket, each with the
 * moment when it ends. Pure: no nodes, no requests; the clock is an argument.
 */
#ifndef DIVE_STORE_H
#define DIVE_STORE_H

#include <diarkis/dive.h>
#include <diarkis/mem.h>

#include "dive_hrw.h"

struct dive_entry {
	struct dive_entry *next, **link; /* of its bucket */
	dk_id id;
	uint64_t ends_ms;
	uint8_t *values; /* packed, one after the other */
	uint32_t size, cap, n; /* bytes used, bytes there, how many */
	uint32_t hash;
	uint16_t bucket, key_n;
	bool list;
	char *key;
};

struct dive_limits {
	uint32_t keys, value_bytes, list_bytes, list_items;
};

struct dive_store {
	void *self;
	struct dk_table table;
	struct dk_map by_key;
	struct dive_entry *buckets[DIVE_BUCKETS];
	struct dive_limits limits;
	uint32_t default_ttl_s;
	uint32_t sweep; /* the next slot that is looked at */
	uint64_t bytes; /* of keys and values */
};

void dive_store_init(struct dive_store *s, void *self, const struct dive_limits *limits, uint32_t default_ttl_s);
void dive_store_fini(struct dive_store *s);

/* What is to be done to a key; values are checked already. */
struct dive_order {
	uint8_t op; /* enum dk_dive_op */
	dk_str key;
	uint32_t ttl_s;
	int32_t a, b;
	struct dk_dive_list values;
};
/* Does it. ret_values is written on success: room for the answer is taken from w, which must hold dive_store_answer() bytes.
 * Returns what dk_dive_result.rc may be. */
int dive_store_do(struct dive_store *s, const struct dive_order *o, uint64_t now_ms, struct dk_writer *w, uint32_t *ret_n);
/* The key, if it is there, ends so many seconds from now; 0 = when it would. */
void dive_store_live(struct dive_store *s, dk_str key, uint32_t ttl_s, uint64_t now_ms);
/* How many bytes an answer about that key can have, at most. */
size_t dive_store_answer(const struct dive_store *s, dk_str key);
/* A list, checked: n values and nothing else, none of them too long. Returns 0, DK_TOO_LONG or DK_DIVE_BAD_VALUE. */
int dive_store_check(const struct dive_store *s, const struct dk_dive_list *l);

/* The live entry of a key; NULL = none. */
struct dive_entry *dive_store_find(struct dive_store *s, dk_str key, uint64_t now_ms);
/* Removes what has ended, looking at no more than so many slots; returns how many were removed. */
uint32_t dive_store_sweep(struct dive_store *s, uint64_t now_ms, uint32_t slots);
/* Removes all of a bucket. */
void dive_store_empty(struct dive_store *s, uint16_t bucket);

/* ---- entries on their way to another node ---- */

/* Writes one: key bytes16, milliseconds left u32, list u8, n u32, values bytes32. */
void dive_store_pack(struct dk_writer *w, const struct dive_entry *e, uint64_t now_ms);
size_t dive_store_packed(const struct dive_entry *e);
void dive_store_skip(struct dk_cursor *c);
/* Reads one and puts it into its bucket, in place of what is there. Limits of keys do not count: they were kept where it comes
 * from. Returns 0, -EINVAL (not an entry, or not of that bucket) or -ENOMEM. */
int dive_store_unpack(struct dive_store *s, uint16_t bucket, struct dk_cursor *c, uint64_t now_ms);

#endif
