/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was done for whom: the memory that keeps a change from being done twice when it is asked for again. A change has the number
 * of the node that asks (drawn anew with each run of it) and one of its own, that counts up. With each one comes a floor: what is
 * below it has been answered and is never asked for again, so it is forgotten here, and refused when it comes late.
 *
 * Bounded: beyond so many bytes the oldest is forgotten, and with it the right of whoever asked to repeat anything that old.
 * Pure: no nodes, no requests; the clock is an argument.
 */
#ifndef DIVE_MEMO_H
#define DIVE_MEMO_H

#include <diarkis/dive.h>
#include <diarkis/mem.h>

#include "dive_hrw.h"

#define DIVE_MEMO_INLINE 24

/* A change, as it is numbered. asker 0: it is not, and nothing of it is kept. */
struct dive_number {
	uint64_t asker, n, floor;
	bool again; /* it was asked for before */
};

struct dive_asker;
struct dive_done {
	struct dive_done *next, **link; /* of its bucket */
	struct dive_done *newer, *older; /* of all */
	struct dive_done *asked_newer, *asked_older; /* of who asked */
	struct dive_asker *who;
	dk_id id;
	uint64_t n;
	uint32_t hash, size, count;
	uint16_t bucket;
	uint8_t rc;
	uint8_t *more; /* the values, where they are longer */
	uint8_t values[DIVE_MEMO_INLINE];
};

struct dive_asker {
	uint64_t asker, floor, seen_ms;
	struct dive_done *newest, *oldest;
	dk_id id;
};

struct dive_memo {
	void *self;
	struct dk_table table, askers;
	struct dk_map by_number, by_asker;
	struct dive_done *buckets[DIVE_BUCKETS];
	struct dive_done *newest, *oldest;
	const struct dive_done *pinned;
	uint64_t bytes, bytes_max;
	uint64_t forgotten; /* too early */
};

void dive_memo_init(struct dive_memo *m, void *self, uint64_t bytes_max);
void dive_memo_fini(struct dive_memo *m);

enum dive_memo_is { DIVE_MEMO_NEW, DIVE_MEMO_DONE, DIVE_MEMO_LATE };
/* Looks it up, and forgets what is below its floor. ret_done is written for DONE. */
enum dive_memo_is dive_memo_look(struct dive_memo *m, const struct dive_number *n, uint64_t now_ms, struct dive_done **ret_done);
/* A place for what is about to be done; forgets what is oldest to make room. NULL = no memory: do not do it. */
struct dive_done *dive_memo_add(struct dive_memo *m, uint16_t bucket, const struct dive_number *n, uint64_t now_ms);
/* What came of it. Without memory for the values it is remembered as DK_DIVE_MAYBE. */
void dive_memo_set(struct dive_memo *m, struct dive_done *d, int rc, struct dk_dive_list values);
void dive_memo_drop(struct dive_memo *m, struct dive_done *d);
struct dk_dive_list dive_memo_values(const struct dive_done *d);
/* Forgets all of a bucket, but not the floors. */
void dive_memo_empty(struct dive_memo *m, uint16_t bucket);
/* Forgets who asked nothing for so long that nothing of theirs can be on its way. */
void dive_memo_sweep(struct dive_memo *m, uint64_t now_ms);

/* ---- on their way to another node: among the keys of a bucket, with an empty key ---- */

/* One: 0 u16, 1 u8, asker u64, number u64, rc u8, n u32, values bytes32. Or who asked: 0 u16, 2 u8, asker u64, floor u64. */
void dive_memo_pack(struct dk_writer *w, const struct dive_done *d);
size_t dive_memo_packed(const struct dive_done *d);
/* All floors, and all of the bucket. */
void dive_memo_pack_all(struct dive_memo *m, uint16_t bucket, struct dk_writer *w);
size_t dive_memo_packed_all(const struct dive_memo *m, uint16_t bucket);
/* True when such a thing comes next, and no key. */
bool dive_memo_next(const struct dk_cursor *c);
void dive_memo_skip(struct dk_cursor *c);
/* Reads one. Returns 0, -EINVAL or -ENOMEM. */
int dive_memo_unpack(struct dive_memo *m, uint16_t bucket, struct dk_cursor *c, uint64_t now_ms);

#endif
