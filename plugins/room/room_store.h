/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms as data: who sits where, who owns what, which seats are kept. Pure: no users, no sending, no signals.
 */
#ifndef ROOM_STORE_H
#define ROOM_STORE_H

#include <diarkis/loop.h>
#include <diarkis/mem.h>
#include <diarkis/room.h>

struct room_batch;

struct room_reservation {
	char *uid;
	uint16_t n;
};

struct room {
	/* what every broadcast touches */
	dk_id *members; /* in order of joining */
	uint16_t member_n, member_cap, max;
	bool dying;
	bool allow_empty;
	uint32_t interval_ms;
	struct room_batch *newest; /* room_relay.c: what waits for the tick */
	uint32_t batch_n;
	struct dk_timer tick;
	struct dk_id52 id;

	uint32_t created_s, ttl_s;
	dk_id handle, owner;
	struct room_reservation *reserved;
	uint16_t reserved_n, reserved_cap, attached_n;
	void **attached; /* room_service.c: by plugin */
	struct dk_timer ttl;
};

/* Where a user sits; by the slot of the user's handle. */
struct room_seat {
	dk_id user, room;
};

struct room_store {
	void *self;
	struct dk_table table;
	struct dk_map by_id;
	struct room_seat *seats;
	uint32_t seat_n;
	uint32_t member_n; /* of all rooms */
};

void room_store_init(struct room_store *s, void *self, uint32_t max_rooms);
/* Frees all rooms; their timers, batches and attachments are the caller's. */
void room_store_fini(struct room_store *s);

/* An empty room. Returns 0, DK_FULL or -ENOMEM. */
int room_store_add(struct room_store *s, const struct dk_id52 *id, uint16_t max, struct room **ret_room);
/* The room has no members any more. */
void room_store_remove(struct room_store *s, struct room *r);
static inline struct room *room_store_get(const struct room_store *s, dk_id handle)
{
	return (struct room *)dk_table_get(&s->table, handle);
}
struct room *room_store_find(const struct room_store *s, const struct dk_id52 *id); /* NULL = none */

/* The room that a user is in, or 0. */
static inline dk_id room_store_of(const struct room_store *s, dk_id user)
{
	uint32_t slot = dk_id_slot(user);

	return slot < s->seat_n && s->seats[slot].user == user ? s->seats[slot].room : 0;
}

/* Takes a seat, the one reserved for uid if there is one. While a room has members its owner is one of them: the first one in
 * becomes it. Returns 0, DK_EXISTS, DK_ROOM_IN_ANOTHER, DK_ROOM_IS_FULL or -ENOMEM. */
int room_store_join(struct room_store *s, struct room *r, dk_id user, dk_str uid);
/* The longest member succeeds an owner who leaves; the last one leaves nobody. Returns 0 or DK_ROOM_NOT_MEMBER. */
int room_store_leave(struct room_store *s, struct room *r, dk_id user);

/* All or nothing; a uid that has a reservation, or is listed twice, counts once. None of them is a member's: the caller leaves
 * those out. Returns 0, DK_ROOM_IS_FULL or -ENOMEM. */
int room_store_reserve(struct room_store *s, struct room *r, const dk_str *uids, size_t n);
/* All or nothing. Returns 0 or DK_ROOM_NO_RESERVATION. */
int room_store_cancel(struct room_store *s, struct room *r, const dk_str *uids, size_t n);
bool room_store_is_reserved(const struct room *r, dk_str uid);

#endif
