/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms as data: who sits where, who owns what, which seats are kept. Pure: no users, no sending, no signals.
 */
#ifndef ROOM_STORE_H
#define ROOM_STORE_H

#include <diarkis/loop.h>
#include <diarkis/mem.h>
#include <diarkis/room.h>

#include "plugins/gather.h"
#include "plugins/props.h"
#include "room_pack.h"

/* A seat kept for a uid, for one reason or for both. */
enum { ROOM_RESERVED = 1, ROOM_HELD = 2 /* on its way from another node */ };
struct room_reservation {
	char *uid;
	uint16_t n;
	uint8_t why;
};

/* An id that the room had before it moved. */
enum { ROOM_FORMER_MAX = 8 };
struct room_former {
	struct dk_id52 id;
	uint32_t until_s; /* unix time */
};

enum room_phase {
	ROOM_LIVE,
	ROOM_FROZEN, /* room_migrate.c: on its way to another node */
	ROOM_LANDING, /* room_land.c: on its way from another node; nobody knows it yet */
	ROOM_DYING
};

struct room {
	/* what every broadcast touches */
	dk_id *members; /* in order of joining */
	uint16_t member_n, member_cap, max;
	uint8_t phase; /* enum room_phase */
	bool allow_empty;
	uint32_t interval_ms;
	bool recorded; /* room_record.c */
	struct gather gathered; /* room_relay.c: what waits for the tick */
	struct dk_timer tick;
	struct dk_id52 id;

	uint32_t created_s, ttl_s, ttl_left_ms; /* ttl_left_ms: of one that came from another node, until it lives */
	uint32_t epoch; /* of its ownership: one more with each takeover */
	uint64_t version; /* of its state; one more with each copy that is sent */
	uint8_t replicas, backup_n; /* wanted, and where they are */
	struct dk_addr backups[ROOM_BACKUPS_MAX];
	dk_id handle, owner;
	uint32_t grid; /* of its ticks: a phase of its own */
	struct room_reservation *reserved;
	uint16_t reserved_n, reserved_cap, attached_n;
	void **attached; /* room_keep.c: by plugin */
	struct props props;
	struct room_sync *sync; /* room_sync.c: NULL = it keeps no states */
	struct room_objects *objects; /* room_object.c: NULL = it has none */
	struct room_edit *edit; /* room_props.c: an update is under way */
	struct dk_timer ttl;
	struct room_former *former; /* ROOM_FORMER_MAX of them, oldest first; NULL = none */
	uint8_t former_n;
	struct room_chat *chat; /* room_chat.c: NULL = nothing was said */
	struct room_clock *clocks; /* room_clock.c */
	struct room_copies *copies; /* room_replica.c: NULL = there are none */
	struct room_move *move; /* room_migrate.c: NULL = it stays */
	struct room_waiting *waiting; /* room_migrate.c: joins, while it is frozen */
	struct room_recording *recording; /* room_record.c: NULL = it is not recorded */
	bool expired; /* it ends by its time to live */
	struct room_listed *listed; /* room_support.c: NULL = nobody finds it */
	uint8_t drain_tries;
	bool stays; /* room_drain.c: nobody takes it */
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
/* Frees all rooms; their timers, lists and attachments are the caller's. */
void room_store_fini(struct room_store *s);

/* An empty, live room. Returns 0, DK_FULL or -ENOMEM. */
int room_store_add(struct room_store *s, const struct dk_id52 *id, uint16_t max, struct room **ret_room);
/* The room has no members any more. */
void room_store_remove(struct room_store *s, struct room *r);
static inline struct room *room_store_get(const struct room_store *s, dk_id handle)
{
	return (struct room *)dk_table_get(&s->table, handle);
}
struct room *room_store_find(const struct room_store *s, const struct dk_id52 *id); /* NULL = none */

/* It was called so; the oldest name goes when there are too many. Without memory it is not remembered. */
void room_store_remember(struct room_store *s, struct room *r, const struct dk_id52 *id, uint32_t until_s);

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

/* All or nothing; a uid that has a seat kept, or is listed twice, counts once. None of them is a member's: the caller leaves
 * those out. Returns 0, DK_ROOM_IS_FULL or -ENOMEM. */
int room_store_reserve(struct room_store *s, struct room *r, const dk_str *uids, size_t n);
/* All or nothing. Returns 0 or DK_ROOM_NO_RESERVATION. */
int room_store_cancel(struct room_store *s, struct room *r, const dk_str *uids, size_t n);
bool room_store_is_reserved(const struct room *r, dk_str uid);
/* Keeps a seat for somebody who is on the way; where one is reserved, that one. Returns 0, DK_ROOM_IS_FULL or -ENOMEM. */
int room_store_hold(struct room_store *s, struct room *r, dk_str uid);
void room_store_unhold(struct room_store *s, struct room *r, dk_str uid); /* none is fine */

#endif
