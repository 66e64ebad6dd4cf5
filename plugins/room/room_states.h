/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of a room as data: small values by key, which change often and of which only the last one counts. Pure: no room, no
 * sending, no clock.
 *
 * Each state knows when it was set (their order is that of their age) and whether it changed in the present window (their order is
 * that of the first change). One that was removed stays until the window's end, so that its removal is told; to everybody else it
 * is not there.
 */
#ifndef ROOM_STATES_H
#define ROOM_STATES_H

#include <diarkis/cursor.h>
#include <diarkis/mem.h>
#include <diarkis/room.h>

struct room_state {
	struct room_state *next; /* of its bucket */
	struct room_state *older, *newer; /* by age */
	struct room_state *next_changed;
	uint64_t due_ms; /* when it lapses; 0 = never */
	dk_id user; /* linked to; 0 = nobody */
	uint32_t hash;
	uint8_t key_n, value_n;
	bool reliable; /* as it was set last */
	bool changed; /* in this window */
	bool must_arrive; /* it changed reliably in this window, whatever came after */
	bool gone; /* removed in this window */
	uint8_t bytes[DK_ROOM_STATE_MAX]; /* the key, then the value */
};

/* Zeroed = empty. */
struct room_states {
	struct room_state **bucket;
	uint32_t bucket_n, n; /* n: with those that are gone */
	uint32_t live;
	struct room_state *oldest, *newest;
	struct room_state *changed, **changed_tail;
};

void room_states_pool_init(void *self, struct dk_pool *pool);

static inline dk_slice room_state_key(const struct room_state *st)
{
	return dk_slice_n(st->bytes, st->key_n);
}

static inline dk_slice room_state_value(const struct room_state *st)
{
	return dk_slice_n(st->bytes + st->key_n, st->value_n);
}

static inline bool room_state_fits(dk_slice key, dk_slice value)
{
	return key.n && value.n && key.n < DK_ROOM_STATE_MAX && value.n <= DK_ROOM_STATE_MAX - key.n;
}

/* NULL = there is none, or it is gone. */
struct room_state *room_states_find(const struct room_states *v, uint32_t hash, dk_slice key);
/* Sets it, and it is the newest one; hash is of the key, which fits together with the value. max: of all, those included that
 * went in this window. Returns 0, DK_FULL or -ENOMEM. */
int room_states_set(void *self, struct dk_pool *pool, struct room_states *v, uint32_t max, uint32_t hash, dk_slice key,
		    dk_slice value, bool reliable, struct room_state **ret_state);
/* As it was on another node: it counts as the newest one, but not as changed. The same outcomes, and -EEXIST. */
int room_states_put(void *self, struct dk_pool *pool, struct room_states *v, uint32_t max, uint32_t hash, dk_slice key,
		    dk_slice value, bool reliable, struct room_state **ret_state);
/* It counts as changed in this window, after those that changed before. */
void room_states_mark(struct room_states *v, struct room_state *st, bool must_arrive);
/* It is gone, and that is a change. */
void room_states_remove(struct room_states *v, struct room_state *st);
/* The first of this window's changes, or NULL; it counts as told then, and the caller gives back one that is gone. */
struct room_state *room_states_take_changed(struct room_states *v);
void room_states_drop(struct dk_pool *pool, struct room_states *v, struct room_state *gone);

/*
 * One between nodes: {u8 length, key, u8 length, value, flags u8 (1 reliable, 2 linked), until u64, if linked {u16 length, uid}}.
 * Borrowed. uid empty: not linked. until_ms: by the wall, since 1970; 0 = for ever.
 */
struct room_state_image {
	dk_slice key, value;
	dk_str uid;
	uint64_t until_ms;
	bool reliable;
};
void room_state_image_write(struct dk_writer *w, const struct room_state_image *m);
int room_state_image_read(struct dk_cursor *c, struct room_state_image *ret_image); /* 0 or -EPROTO */

void room_states_clear(void *self, struct dk_pool *pool, struct room_states *v);

#endif
