/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "room": members of one node who hear each other. A room has an owner, at most max_members seats (members and
 * reservations together never exceed them), and an id of 52 characters that names its node. A user is in one room at a time.
 *
 * Everything a user sends to a room goes to all members, the sender included, in one order. With an interval, broadcasts of that
 * long travel together.
 *
 * A room is on one node, with all its members. It can be moved to another one as a whole; for as long as that takes (100 ms at
 * most, as a rule) it is frozen: it can be looked at, and what would change it or be sent in it is answered DK_ROOM_MOVING.
 */
#ifndef DIARKIS_ROOM_H
#define DIARKIS_ROOM_H

#include <diarkis/cursor.h>
#include <diarkis/err.h>
#include <diarkis/service.h>
#include <diarkis/signal.h>
#include <diarkis/transport.h>
#include <diarkis/value.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_ROOM_NAME "room"
#define DK_ROOM_MAJOR 1
#define DK_ROOM_MINOR 2
#define DK_ROOM_TYPE struct dk_room

#define DK_ROOM_MEMBERS_MIN 2
#define DK_ROOM_MEMBERS_MAX 1000
#define DK_ROOM_TTL_MIN_S 10
#define DK_ROOM_TICK_S 5
#define DK_ROOM_CHAT_LINES_MAX 500

enum dk_room_outcome {
	DK_ROOM_GONE = DK_OUTCOME_OWN, /* no such room here */
	DK_ROOM_IS_FULL, /* no free seat that is not reserved */
	DK_ROOM_IN_ANOTHER, /* the user is in a room already */
	DK_ROOM_NOT_MEMBER,
	DK_ROOM_NOT_OWNER,
	DK_ROOM_VETOED, /* a filter or the join condition said no */
	DK_ROOM_BAD_PARAMS, /* max_members, ttl or the flags are outside their rules */
	DK_ROOM_NO_RESERVATION,
	DK_ROOM_MOVING, /* frozen, on its way to another node: again in a moment, by its id */
	DK_ROOM_NO_NODE, /* no other node can take it */
	DK_ROOM_NO_STATES, /* they are not enabled there */
	DK_ROOM_TOO_FAST /* said more in a second than is allowed */
};

enum dk_room_change { DK_ROOM_MEMBER_ADDED = 1, DK_ROOM_MEMBER_REMOVED = 2, DK_ROOM_PROPERTIES_CHANGED = 3 };

/* Of properties. */
#define DK_ROOM_PROPS_MAX 256
#define DK_ROOM_PROP_BYTES_MAX (64u << 10) /* names and values of a room together */

/* Of states. */
#define DK_ROOM_STATE_MAX 40 /* bytes of a key and its value together; both have one at least */
#define DK_ROOM_STATES_MAX 65536 /* in a room, whatever the option says */
#define DK_ROOM_STATE_INTERVAL_MIN_MS 17
#define DK_ROOM_STATE_TTL_MIN_MS 500

struct dk_room_states_opts {
	/* What members are pushed: {u8 length, key, u8 length, value}*, and {u32 length, key}* of removals; 0.0 = 1.15, 1.31 */
	uint8_t update_ver, remove_ver;
	uint16_t update_cmd, remove_cmd;
	uint32_t interval_ms; /* the window; at least 17, at most 10,000 */
	uint32_t all_delay_ms; /* after which a new member hears all states; at most a minute */
	uint32_t ttl_ms; /* for how long one lives that is not set again; below 500: for ever */
	uint16_t combine; /* states in one push at most; 0 = 30 */
	bool closed; /* clients may not set any */
};

/* Of objects. */
#define DK_ROOM_OBJECTS_MAX 128 /* in a room */
#define DK_ROOM_FIELDS_MAX 64 /* of an object */
#define DK_ROOM_OBJECT_NAME_MAX 64 /* bytes of a name, of objects and of fields; at least 1 */
#define DK_ROOM_OBJECT_BYTES_MAX (64u << 10) /* of a room: all names, and 8 for each field */

/* To delete without fields is to delete the object. */
enum dk_room_object_mode { DK_ROOM_OBJECT_INCR = 1, DK_ROOM_OBJECT_SET = 2, DK_ROOM_OBJECT_DELETE = 3 };
struct dk_room_field {
	dk_str name;
	double value; /* finite; of no meaning when it is deleted */
};

struct dk_room_opts {
	uint16_t max_members; /* 2...1000 */
	bool allow_empty; /* lives on without members for ttl_s; else it goes with its last member */
	bool join; /* the creator becomes its first member; one of the two must be true */
	uint32_t ttl_s; /* > 0; below 10 counts as 10 */
	uint32_t interval_ms; /* 0 = broadcasts leave at once; else 10...1000 (compat_interval: below 100 = 0) */
	uint8_t replicas; /* copies on other nodes, 0...2; at least as many as the option of that name says */
};

/* Questions; a result other than 0 says no. */
struct dk_room_join {
	dk_id room, user; /* user 0: it is on another node yet, and comes here if it may join */
	dk_slice message;
	dk_str uid;
	struct dk_addr from; /* that node; family 0 = a user of this one */
};
/* What is about to be said, or was; a filter that answers other than 0 rejects it. */
struct dk_room_chat {
	dk_id room, sender; /* sender 0: the server; of a line that was said: nobody of that uid is here any more */
	dk_str uid, text;
	uint64_t at_ms; /* unix time */
};
/* What happened. */
struct dk_room_event {
	dk_id room;
	const struct dk_id52 *id;
	bool moved; /* created: it came from another node; discarded: it lives on on another one */
};
struct dk_room_member_event {
	dk_id room, user; /* user 0: properties changed */
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
struct dk_room_property_event {
	dk_id room;
	dk_str name;
	const struct dk_value *value; /* NULL = unset */
};
/* A room is here that was on another node: with its members (their clients are on the way), properties, reservations and parts. */
struct dk_room_migrated {
	dk_id room;
	const struct dk_id52 *old_id, *id; /* equal after a takeover */
	bool takeover; /* its node died, and this one had a copy */
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

/*
 * What a plugin keeps of a room, packed when the room is moved or copied to another node and unpacked there before anybody hears
 * of it. The room may come to nothing there without a word: keep everything in its attachment. One that holds plain bytes, no
 * pointers, needs no functions: it travels as it is, among nodes of one byte order, to a part of the same version and size.
 */
struct dk_room_part {
	const char *name; /* static, unique in the cluster; the same on both nodes */
	uint16_t version;
	size_t attachment; /* its size, when it travels as it is; 0 = by the functions */
	/* Returns 0, DK_NOT_FOUND (nothing; no unpack there) or <0: the move is off. */
	int (*pack)(void *self, dk_id room, struct dk_writer *w);
	/* Returns 0, or anything else: the room is refused here. */
	int (*unpack)(void *self, dk_id room, uint16_t version, dk_slice bytes);
};

/* Changes properties of the room by set(), incr() and unset() of the service, which all happen or, when it returns false, do not.
 * It sees its own changes. */
struct dk_room;
typedef bool dk_room_update_fn(void *arg, struct dk_room *svc, dk_id room);

/* The value that a state is to have, borrowed until it is copied; empty = no change. current is empty unless it exists. */
typedef dk_slice dk_room_upsert_fn(void *arg, bool exists, dk_slice current);

/* The end of a move to another node. err 0: the room lives there, under id (borrowed), and here no more. Otherwise it stays as it
 * was: DK_ROOM_GONE (it ended meanwhile), DK_ROOM_NO_NODE (nobody took it) or <0. Not called when the mover stopped. */
typedef void dk_room_migrate_fn(void *self, void *arg, dk_id room, int err, const struct dk_id52 *id);

/* Of clocks: it is time; or the clock has ended, and the room's handle is still valid inside. */
typedef void dk_room_clock_fn(void *self, void *arg, dk_id room);
/* What a room answers, wherever it is. err: 0, as the function of the same name has it for a room of this node (DK_ROOM_GONE: no
 * node that the id names knows it), or <0 (-ETIMEDOUT: one of them did not answer). The numbers are those of count_far(), of err 0.
 * Not called when self stopped. */
typedef void dk_room_far_fn(void *self, void *arg, int err, uint16_t members, uint16_t max_members);
/* Properties of a room, wherever it is: a packed capsule, dk_packed_of(), borrowed; empty unless err is 0. Likewise. */
typedef void dk_room_props_fn(void *self, void *arg, int err, dk_slice capsule);

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
	DK_SIGNAL(struct dk_room_property_event) property_changed; /* SetOnRoomPropertyUpdate */
	DK_SIGNAL(struct dk_room_migrated) migrated; /* SetOnMigrated: on the node it came to */
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

	/* Properties: typed values by name, which move with the room. */
	/* Returns 0, DK_ROOM_GONE, DK_ROOM_MOVING, DK_FULL, -EINVAL (a name of 0 or more than 255 bytes, a
	 * capsule or array that is none) or -ENOMEM. */
	int (*set)(struct dk_room *svc, dk_id room, dk_str name, const struct dk_value *value);
	/* Adds to a whole number, which begins at 0; lets the time to live of an empty room begin anew. Also DK_REFUSED: it is no
	 * whole number, or the sum would not fit. */
	int (*incr)(struct dk_room *svc, dk_id room, dk_str name, int64_t delta, int64_t *ret_value);
	int (*unset)(struct dk_room *svc, dk_id room, dk_str name); /* also DK_NOT_FOUND */
	/* Returns 0, DK_ROOM_GONE or DK_NOT_FOUND. The value is valid until the next change of the room's properties. */
	int (*get)(struct dk_room *svc, dk_id room, dk_str name, struct dk_value *ret_value);
	/* One after another, in order of their first set: *at NULL starts; false at the end. Not across a change. */
	bool (*next_property)(struct dk_room *svc, dk_id room, const void **at, dk_str *ret_name, struct dk_value *ret_value);

	/* Names what self keeps of rooms. part is static. Returns 0 or <0 (-EEXIST: the name is taken); undone by the ledger. */
	int (*carry)(struct dk_room *svc, void *self, const struct dk_room_part *part);
	/* What a part would pack has changed: copies of the room on other nodes follow. Without it they do within two seconds. */
	void (*touch)(struct dk_room *svc, dk_id room);
	/* To another node, with all who are in it, under a new id; the old one leads there for ten minutes. It goes where all
	 * members can go, to the node with the fewest users. done (may be NULL) is called only after 0, never before this returns.
	 * Returns 0, DK_ROOM_GONE, DK_ROOM_MOVING, DK_ROOM_NO_NODE or <0. */
	int (*migrate)(struct dk_room *svc, void *self, dk_id room, dk_room_migrate_fn *done, void *arg);
	/* The nodes that an id names: its owner when it was made, then its backups. Returns how many, 0 for what is no id. */
	size_t (*nodes)(struct dk_room *svc, const struct dk_id52 *id, struct dk_addr ret_nodes[3]);

	/* ---- 1.1: relays ---- */

	/* To all members but the sender, at once: the push is the message as it is, no list, never merged. `announced` does not
	 * tell of it. Clients know which of the room's own pushes are no lists; of others dkc_opts.whole has to tell them. Returns
	 * as broadcast(). */
	int (*relay)(struct dk_room *svc, dk_id room, dk_id sender, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable);
	/* To some: the sender, and users that are not members, are passed over. */
	int (*relay_to)(struct dk_room *svc, dk_id room, dk_id sender, const dk_id *to, size_t n, uint8_t ver, uint16_t cmd,
			dk_slice message, bool reliable);
	/* Pushes when the room was created, a u32 of unix seconds, to some members (to NULL = all). Returns 0, DK_ROOM_GONE or
	 * DK_ROOM_MOVING. */
	int (*sync_created)(struct dk_room *svc, dk_id room, const dk_id *to, size_t n, uint8_t ver, uint16_t cmd);

	/* ---- 1.2: what is kept in a room ---- */

	/* Runs fn at once. Afterwards, if it said yes, the time to live of an empty room begins anew, and listeners hear of what is
	 * different now: `changed` once, `property_changed` of each. Returns 0, DK_ROOM_GONE, DK_ROOM_MOVING, -EDEADLK (inside an
	 * update of that room) or -ENOMEM. */
	int (*update)(struct dk_room *svc, dk_id room, dk_room_update_fn *fn, void *arg);

	/* States: small values by key that change often and of which only the last one counts. Members hear what changed when a
	 * window ends. They move with the room, still enabled. */
	/* Again: other options; the states that are there stay. Returns 0, DK_ROOM_GONE, DK_ROOM_MOVING or -ENOMEM. */
	int (*enable_states)(struct dk_room *svc, dk_id room, const struct dk_room_states_opts *opts);
	/* linked: the member with whom it goes; 0 = it stays. Each set says so anew. Returns 0, DK_ROOM_GONE, DK_ROOM_MOVING,
	 * DK_ROOM_NO_STATES, DK_ROOM_NOT_MEMBER (linked is none), DK_FULL, -EINVAL (empty or too long) or -ENOMEM. */
	int (*set_state)(struct dk_room *svc, dk_id room, dk_slice key, dk_slice value, dk_id linked, bool reliable);
	/* fn runs at once, and says what it is to be. Returns as set_state(); 0 also where nothing was to change. */
	int (*upsert_state)(struct dk_room *svc, dk_id room, dk_slice key, dk_id linked, bool reliable, dk_room_upsert_fn *fn,
			    void *arg);
	int (*remove_state)(struct dk_room *svc, dk_id room, dk_slice key); /* also DK_NOT_FOUND */
	/* Returns 0, DK_ROOM_GONE, DK_ROOM_NO_STATES or DK_NOT_FOUND. The value is valid until the next change of states. */
	int (*get_state)(struct dk_room *svc, dk_id room, dk_slice key, dk_slice *ret_value);
	/* All members hear all states, now. Returns 0, DK_ROOM_GONE, DK_ROOM_MOVING or DK_ROOM_NO_STATES. */
	int (*sync_states)(struct dk_room *svc, dk_id room);

	/* Objects: named maps of numbers. What was set, added to (from 0) or deleted is pushed to all members (1, 128), with the
	 * values that came of it; a new member is pushed all objects. They move with the room. */
	/* All fields or none. Returns 0, DK_ROOM_GONE, DK_ROOM_MOVING, DK_NOT_FOUND (nothing to delete), DK_FULL, DK_REFUSED (a sum
	 * is not finite), -EINVAL (a name, a number, a field twice, too many) or -ENOMEM. */
	int (*update_object)(struct dk_room *svc, dk_id room, enum dk_room_object_mode mode, dk_str name,
			     const struct dk_room_field *fields, size_t n, bool reliable);
	int (*get_field)(struct dk_room *svc, dk_id room, dk_str object, dk_str field, double *ret_value); /* also DK_NOT_FOUND */
	/* One after another, in order of their first update: *at NULL starts; false at the end. Not across a change. */
	bool (*next_object)(struct dk_room *svc, dk_id room, const void **at, dk_str *ret_name, size_t *ret_fields);

	/* ---- chat ---- */

	DK_FILTER(struct dk_room_chat) chatting; /* SetOnChatMessage */
	/* To all members, reliably, and into the history. sender 0: the server, whom no pace binds. Returns 0, DK_ROOM_GONE,
	 * DK_ROOM_MOVING, DK_ROOM_NOT_MEMBER, DK_ROOM_BAD_PARAMS (empty), DK_TOO_LONG, DK_ROOM_TOO_FAST, DK_ROOM_VETOED or
	 * -ENOMEM. */
	int (*chat)(struct dk_room *svc, dk_id room, dk_id sender, dk_str text);
	/* How many lines this room remembers, 0...DK_ROOM_CHAT_LINES_MAX; what is older is forgotten. It moves with the room. */
	int (*chat_limit)(struct dk_room *svc, dk_id room, uint32_t lines);
	/* The history, oldest first: *at NULL starts; false at the end. Not across a chat. */
	bool (*next_chat)(struct dk_room *svc, dk_id room, const void **at, struct dk_room_chat *ret_line);

	/* ---- clocks ---- */

	/*
	 * Calls tick every every_s seconds (1...86400) for as long as the room is on this node, members or not, and not while it
	 * is frozen; then, or when it is stopped, stopped (may be NULL), after `discarded`. Names are self's own. A clock does not
	 * move with its room: start it again in `migrated`. Neither is called when self stops.
	 * Returns 0, DK_ROOM_GONE, DK_ROOM_MOVING, DK_EXISTS (the one of that name goes on as it was), DK_ROOM_BAD_PARAMS, DK_FULL
	 * (64 of one room) or -ENOMEM.
	 */
	int (*start_clock)(struct dk_room *svc, void *self, dk_id room, dk_str name, uint32_t every_s, dk_room_clock_fn *tick,
			   dk_room_clock_fn *stopped, void *arg);
	int (*stop_clock)(struct dk_room *svc, void *self, dk_id room, dk_str name); /* 0, DK_ROOM_GONE or DK_NOT_FOUND */
	/* The same without a name, every DK_ROOM_TICK_S. One for each plugin and room. */
	int (*start_tick)(struct dk_room *svc, void *self, dk_id room, dk_room_clock_fn *tick, dk_room_clock_fn *stopped,
			  void *arg);
	int (*stop_tick)(struct dk_room *svc, void *self, dk_id room);

	/* ---- further ---- */

	/* Seconds that it lives on without members; below 10 counts as 10. One that is empty begins anew to live so long. Returns
	 * 0, DK_ROOM_GONE, DK_ROOM_MOVING or DK_ROOM_BAD_PARAMS (0). */
	int (*change_ttl)(struct dk_room *svc, dk_id room, uint32_t ttl_s);
	dk_id (*member)(struct dk_room *svc, dk_id room, dk_str uid); /* 0: nobody of that uid is a member */
	bool (*is_full)(struct dk_room *svc, dk_id room); /* every seat is taken or kept */
	/* Of a room wherever it is, by any of its ids: how many members it has. done is called only after 0, never before this
	 * returns. Returns 0 or -ENOMEM. */
	int (*count_far)(struct dk_room *svc, void *self, const struct dk_id52 *id, dk_room_far_fn *done, void *arg);
	/* As cancel_reservation(), by nobody. Also -EINVAL: no or too many uids, or one that cannot be. */
	int (*cancel_far)(struct dk_room *svc, void *self, const struct dk_id52 *id, const dk_str *uids, size_t n,
			  dk_room_far_fn *done, void *arg);
	/* That property, or without a name all of them. done: also DK_NOT_FOUND. Returns 0, -ENOMEM or -EINVAL (the name). */
	int (*props_far)(struct dk_room *svc, void *self, const struct dk_id52 *id, dk_str name, dk_room_props_fn *done, void *arg);
};

#ifdef __cplusplus
}
#endif

#endif
