/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "room": members of one node who hear each other. A room has an owner, at most max_members seats (members and
 * reservations together never exceed them), and an id of 52 characters that names its node. A user is in one room at a time.
 *
 * Everything a user sends to a room goes to all members, the sender included, in one order. With an interval, broadcasts of that
 * long travel together.
 */
#ifndef DIARKIS_ROOM_H
#define DIARKIS_ROOM_H

#include <diarkis/err.h>
#include <diarkis/service.h>
#include <diarkis/signal.h>
#include <diarkis/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_ROOM_NAME "room"
#define DK_ROOM_MAJOR 1
#define DK_ROOM_MINOR 0
#define DK_ROOM_TYPE struct dk_room

#define DK_ROOM_MEMBERS_MIN 2
#define DK_ROOM_MEMBERS_MAX 1000
#define DK_ROOM_TTL_MIN_S 10

enum dk_room_outcome {
	DK_ROOM_GONE = DK_OUTCOME_OWN, /* no such room here */
	DK_ROOM_IS_FULL, /* no free seat that is not reserved */
	DK_ROOM_IN_ANOTHER, /* the user is in a room already */
	DK_ROOM_NOT_MEMBER,
	DK_ROOM_NOT_OWNER,
	DK_ROOM_VETOED, /* a filter or the join condition said no */
	DK_ROOM_BAD_PARAMS, /* max_members, ttl or the flags are outside their rules */
	DK_ROOM_NO_RESERVATION
};

enum dk_room_change { DK_ROOM_MEMBER_ADDED = 1, DK_ROOM_MEMBER_REMOVED = 2 };

struct dk_room_opts {
	uint16_t max_members; /* 2...1000 */
	bool allow_empty; /* lives on without members for ttl_s; else it goes with its last member */
	bool join; /* the creator becomes its first member; one of the two must be true */
	uint32_t ttl_s; /* > 0; below 10 counts as 10 */
	uint32_t interval_ms; /* 0 = broadcasts leave at once; else 10...1000 (compat_interval: below 100 = 0) */
};

/* Questions; a result other than 0 says no. */
struct dk_room_join {
	dk_id room, user;
	dk_slice message;
};
/* What happened. */
struct dk_room_event {
	dk_id room;
	const struct dk_id52 *id;
};
struct dk_room_member_event {
	dk_id room, user;
	enum dk_room_change change;
	enum dk_reason reason; /* of a removal: DK_REASON_CLIENT = left by itself */
	uint16_t members; /* after it */
};
struct dk_room_owner_event {
	dk_id room, owner; /* 0 = nobody is left */
};
struct dk_room_sent {
	dk_id room, sender; /* sender 0: announce */
	uint8_t ver;
	uint16_t cmd;
	dk_slice message;
};
/* Asked before a member that was cut off is announced as gone: fill
 * message (borrowed until the next turn) to replace the empty one. */
struct dk_room_discard {
	dk_id room, user;
	uint8_t ver;
	uint16_t cmd; /* 1, 102 unless changed */
	dk_slice message;
};

struct dk_room_info {
	struct dk_id52 id;
	dk_id owner;
	uint32_t created_s; /* unix time */
	uint16_t members, max_members, reserved;
	uint32_t ttl_s, interval_ms;
	bool allow_empty;
};

struct dk_room {
	struct dk_service base;

	/* In the order of a join: join_condition (any room), may_join, seat check, member added, changed, joined. */
	DK_FILTER(struct dk_room_join) join_condition;
	DK_FILTER(struct dk_room_join) may_join;
	DK_FILTER(struct dk_room_discard) discarding; /* always return 0 */
	DK_SIGNAL(struct dk_room_event) created;
	DK_SIGNAL(struct dk_room_member_event) changed; /* SetOnRoomChange */
	DK_SIGNAL(struct dk_room_member_event) joined; /* SetOnJoinComplete */
	DK_SIGNAL(struct dk_room_member_event) left;
	DK_SIGNAL(struct dk_room_owner_event) owner_changed;
	DK_SIGNAL(struct dk_room_sent) announced; /* SetOnAnnounce: every broadcast, message and announce */
	DK_SIGNAL(struct dk_room_event) discarded; /* the room's handle is valid inside */
	/* SetRollbackOnJoinFailure: the filters were asked, and nothing came of the join: undo what they did. */
	DK_SIGNAL(struct dk_room_join) join_failed;

	/* user: the creator, blank or real; 0 = nobody (allow_empty true, join false). Returns 0, DK_REFUSED
	 * (node OFFLINE), DK_FULL, DK_GONE (no such user), DK_ROOM_BAD_PARAMS, DK_ROOM_IN_ANOTHER or <0. */
	int (*create)(struct dk_room *svc, dk_id user, const struct dk_room_opts *opts, dk_id *ret_room);
	/* message: pushed to all members as (ver, cmd); empty = no notice. Returns 0, DK_GONE, DK_ROOM_GONE, DK_ROOM_IN_ANOTHER,
	 * DK_EXISTS (is a member), DK_ROOM_VETOED or DK_ROOM_IS_FULL. */
	int (*join)(struct dk_room *svc, dk_id room, dk_id user, uint8_t ver, uint16_t cmd, dk_slice message);
	/* Returns 0, DK_ROOM_GONE or DK_ROOM_NOT_MEMBER. */
	int (*leave)(struct dk_room *svc, dk_id room, dk_id user, uint8_t ver, uint16_t cmd, dk_slice message);
	/* All members leave; message is pushed to them. Returns 0 or DK_ROOM_GONE. */
	int (*remove)(struct dk_room *svc, dk_id room, uint8_t ver, uint16_t cmd, dk_slice message);

	/* To all members, the sender included. Returns 0, DK_ROOM_GONE, DK_ROOM_NOT_MEMBER or DK_TOO_LONG. */
	int (*broadcast)(struct dk_room *svc, dk_id room, dk_id sender, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable);
	/* To some: users that are not members are passed over. */
	int (*message)(struct dk_room *svc, dk_id room, dk_id sender, const dk_id *to, size_t n, uint8_t ver, uint16_t cmd,
		       dk_slice message, bool reliable);
	/* Without a sender; to NULL = all. Never reachable by clients. */
	int (*announce)(struct dk_room *svc, dk_id room, const dk_id *to, size_t n, uint8_t ver, uint16_t cmd, dk_slice message,
			bool reliable);

	/* Seats for users named by uid. must_be_owner: by has to own the room. All or nothing.
	 * Returns 0, DK_ROOM_GONE, DK_ROOM_NOT_OWNER, DK_ROOM_IS_FULL or DK_ROOM_BAD_PARAMS
	 * (empty list). Seats of members and seats reserved already count once. */
	int (*reserve)(struct dk_room *svc, dk_id room, dk_id by, const dk_str *uids, size_t n, bool must_be_owner);
	int (*cancel_reservation)(struct dk_room *svc, dk_id room, dk_id by, const dk_str *uids, size_t n, bool must_be_owner);
	bool (*is_reserved)(struct dk_room *svc, dk_id room, dk_str uid);

	dk_id (*find)(struct dk_room *svc, const struct dk_id52 *id); /* 0 = not here */
	dk_id (*of_user)(struct dk_room *svc, dk_id user); /* 0 = in none */
	int (*info)(struct dk_room *svc, dk_id room, struct dk_room_info *ret_info); /* 0 or DK_ROOM_GONE */
	bool (*is_member)(struct dk_room *svc, dk_id room, dk_id user);
	/* Members in order of joining; valid until the next change. Empty when the room is gone. */
	const dk_id *(*members)(struct dk_room *svc, dk_id room, size_t *ret_n);
	size_t (*count)(struct dk_room *svc);
	dk_id (*next)(struct dk_room *svc, uint32_t *slot); /* all rooms: start with *slot = 0; 0 at the end */

	/* A plugin's own bytes of a room: size is fixed by the first call of that plugin, zeroed with each
	 * new room, gone with it. Returns the bytes, or NULL when the room is gone or there is no memory. */
	void *(*attachment)(struct dk_room *svc, void *self, dk_id room, size_t size);
};

#ifdef __cplusplus
}
#endif

#endif
