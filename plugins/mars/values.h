/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node values and shared data, as data.
 *
 * Values belong to one node, which alone changes them. Each change gets the next number of that node; whoever has all changes up
 * to a number asks for those after it, so pages may be lost or come twice. A removed value stays as a mark with its number.
 *
 * Shared data is one table of the whole cluster. An entry has a stamp, the wall clock's milliseconds or one more than the highest
 * stamp seen, and the boot of who wrote it; the higher pair wins everywhere, whatever the order of arrival. Removal is an entry
 * too and is remembered for 10 minutes. When two sides that could not see each other come to more than 10 names together, the
 * ten that were made first are there, on every node the same.
 */
#ifndef MARS_VALUES_H
#define MARS_VALUES_H

#include <diarkis/cluster.h>
#include <diarkis/cursor.h>

#define MARS_VALUES_MAX 4096 /* bytes of all values of a node, names included */
#define MARS_VALUES_ROWS 256 /* rows of a node, marks of removed ones included */

struct mars_value {
	struct mars_value *next; /* in order of seq */
	uint32_t seq;
	uint16_t n; /* 0 = removed */
	uint8_t name_n;
	uint8_t bytes[]; /* the name, then the value */
};

struct mars_values {
	struct mars_value *first;
	uint32_t seq; /* of the newest change that is here */
	uint32_t bytes, rows; /* of values that are there, names included; rows with marks */
};

void mars_values_fini(struct mars_values *v, void *self);
/* The owner's own change: gets the next number. bytes empty: removes. Returns 0, DK_TOO_LONG (name or value), DK_FULL (of all),
 * DK_NOT_FOUND (nothing to remove) or -ENOMEM. */
int mars_values_set(struct mars_values *v, void *self, dk_str name, dk_slice bytes);
/* Returns 0 or DK_NOT_FOUND. */
int mars_values_get(const struct mars_values *v, dk_str name, dk_slice *ret_bytes);
/* Writes changes after `since` while they fit; returns the number that who gets them is at then. */
uint32_t mars_values_write(const struct mars_values *v, uint32_t since, struct dk_writer *w);
/* Takes a page of what the owner changed after `since`, up to `up_to`. Returns 0 (nothing new, or pages before it are missing), 1
 * (something changed), -EINVAL (no page) or -ENOMEM. */
int mars_values_read(struct mars_values *v, void *self, uint32_t since, uint32_t up_to, dk_slice page);

#define MARS_SHARED_ROWS 48 /* marks of removed names included */
#define MARS_SHARED_KEEP_MS 600000 /* for how long a removal is remembered */

struct mars_shared_row {
	uint64_t stamp, writer; /* which write this is */
	uint64_t born; /* stamp of the write that made the name */
	uint64_t removed_at; /* node clock, when removed */
	int16_t value;
	bool removed;
	uint8_t name_n; /* 0 = free */
	char name[DK_SHARED_NAME_MAX];
};

struct mars_shared {
	struct mars_shared_row rows[MARS_SHARED_ROWS];
	uint64_t stamp; /* the highest one seen */
};

/* Returns 0, DK_TOO_LONG, DK_FULL (10 names are there) or -EINVAL (no name). */
int mars_shared_set(struct mars_shared *s, dk_str name, int16_t value, uint64_t writer, uint64_t wall_ms, uint64_t now);
int mars_shared_get(const struct mars_shared *s, dk_str name, int16_t *ret_value); /* 0 or DK_NOT_FOUND */
int mars_shared_remove(struct mars_shared *s, dk_str name, uint64_t writer, uint64_t wall_ms, uint64_t now); /* 0 or DK_NOT_FOUND */
/* The names that are there, at most 10, in order of name: i from 0; NULL at the end. */
const struct mars_shared_row *mars_shared_at(const struct mars_shared *s, size_t i);
/* Equal when the names that are there, and their values, are. */
uint32_t mars_shared_digest(const struct mars_shared *s);
/* Writes rows from *from on while they fit and moves *from behind them; true: there are more. */
bool mars_shared_write(const struct mars_shared *s, size_t *from, uint64_t now, struct dk_writer *w);
/* Takes rows of another node. Returns 0 (nothing new), 1 (something changed) or -EINVAL: what stood before the fault was taken. */
int mars_shared_read(struct mars_shared *s, dk_slice rows, uint64_t now);

#endif
