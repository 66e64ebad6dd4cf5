/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "session": small groups of users who stay on their nodes. A session has a type; a user is in one session of each type.
 * Its owner is its creator, later whoever has been a member for longest. It lives on one node, its home, which alone decides who
 * is a member; every other node asks there. When the home goes offline it hands the session over to another node, and the id
 * stays valid. When the home dies the session is lost, and the members are told.
 *
 * A user's own node knows which sessions it is in: what names a user is asked there. What names a session by id works on every
 * node; answers come later, even when the home is this node. Who asked and stopped gets none.
 */
#ifndef DIARKIS_SESSION_H
#define DIARKIS_SESSION_H

#include <diarkis/command.h>
#include <diarkis/err.h>
#include <diarkis/service.h>
#include <diarkis/signal.h>
#include <diarkis/value.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_SESSION_NAME "session"
#define DK_SESSION_MAJOR 1
#define DK_SESSION_MINOR 0
#define DK_SESSION_TYPE struct dk_session

#define DK_SESSION_MEMBERS_MIN 2
#define DK_SESSION_TTL_MIN_S 30
#define DK_SESSION_INVITES_MAX 100 /* uids of one invitation, receivers of one message */
#define DK_SESSION_TICKS_MAX 16
#define DK_SESSION_PROPS_MAX 256
#define DK_SESSION_PROP_BYTES_MAX (64u << 10) /* names and values of a session together */

/* A random UUID in its 36 characters, then the address of the node that made the session, as in struct dk_id52. */
#define DK_SESSION_ID_LEN 48
struct dk_session_id {
	char c[DK_SESSION_ID_LEN];
};

enum dk_session_outcome {
	DK_SESSION_GONE = DK_OUTCOME_OWN, /* no such session; or the user is in none of that type */
	DK_SESSION_IS_FULL,
	DK_SESSION_IN_ANOTHER, /* the user is in a session of that type, or about to be */
	DK_SESSION_NOT_MEMBER,
	DK_SESSION_NOT_OWNER,
	DK_SESSION_VETOED,
	DK_SESSION_BAD_PARAMS, /* fewer than two seats, no time to live, an empty or too long list, oneself */
	DK_SESSION_OTHER_TYPE, /* the session is of another type than was said */
	DK_SESSION_NO_NODE, /* its node does not answer; nothing was done */
	DK_SESSION_MAYBE, /* its node did not answer; it may have been done */
	DK_SESSION_NO_USER /* somebody who was invited is nowhere */
};

/* Why somebody is no member any more; the numbers travel. */
enum dk_session_reason {
	DK_SESSION_LEFT = 1, /* by itself */
	DK_SESSION_CUT_OFF = 2, /* its user is gone */
	DK_SESSION_KICKED = 3,
	DK_SESSION_REPLACED = 4, /* the same uid joined from elsewhere */
	DK_SESSION_LAPSED = 5, /* its node was not heard of for 20 s */
	DK_SESSION_DELETED = 6, /* the session was, by code */
	DK_SESSION_LOST = 7 /* the session was, with its node */
};

struct dk_session_opts {
	uint8_t type;
	uint16_t max_members; /* 2 or more */
	uint32_t ttl_s; /* for how long it lives without members; above 0, below 30 counts as 30 */
};

/* A question: may that user join? A result other than 0 says no. All of it is a copy: the user may be on another node. */
struct dk_session_join {
	dk_id session;
	const struct dk_session_id *id;
	uint8_t type;
	dk_str uid;
	const uint8_t *sid; /* 16 bytes */
	struct dk_addr node; /* where the user is */
	uint16_t members; /* before it */
};
struct dk_session_event {
	dk_id session;
	const struct dk_session_id *id;
	uint8_t type;
	bool moved; /* created: it came from another node; deleted: it lives on on another one */
};
struct dk_session_member_event {
	dk_id session;
	const struct dk_session_id *id;
	uint8_t type;
	dk_str uid;
	uint16_t members; /* after it */
	enum dk_session_reason reason; /* left */
};
struct dk_session_owner_event {
	dk_id session;
	dk_str uid; /* empty: nobody is left */
};
struct dk_session_property_event {
	dk_id session;
	dk_str name;
	const struct dk_value *value; /* NULL = unset */
};
struct dk_session_tick_event {
	dk_id session;
	dk_str name;
};

struct dk_session_info {
	struct dk_session_id id;
	dk_str owner; /* borrowed until the next change; empty: nobody */
	uint32_t members, epoch; /* epoch: grows by one or more with each change of home */
	uint16_t max_members;
	uint32_t ttl_s;
	uint8_t type;
};
/* What is known of a member, as fresh as its node answers. Borrowed until the callback returns. */
struct dk_session_member {
	dk_str uid;
	const uint8_t *sid; /* 16 bytes */
	struct dk_addr node; /* its node's address among nodes */
	struct dk_addr address; /* of its client; family 0 = not known */
	dk_slice locals; /* the client's own addresses: a {u32, "ip:port"} list */
	bool fresh; /* false: its node did not answer, address and locals are not known */
};
/* What a user is in. */
struct dk_session_of_user {
	uint8_t type;
	struct dk_session_id id;
};

/* The end of a question. rc: 0, an outcome that the function names, or <0. Called once, never before the function returned. */
struct dk_session_result {
	int rc;
	struct dk_session_id id;
	uint8_t type;
	uint32_t n; /* members: how many uids; get: how many values were found */
	uint16_t members, max_members; /* join, members, count */
	dk_str owner; /* members, is_owner: of whom; empty = nobody */
	struct dk_list uids; /* members; invite with DK_SESSION_NO_USER: who was not found */
	dk_slice values; /* get, get_many: a capsule, <diarkis/packed.h>, of those of the names that are there */
	int64_t number; /* incr: the sum */
	bool yes; /* is_owner */
	const struct dk_session_member *data; /* member_data: n of them */
};
typedef void dk_session_done_fn(void *self, void *arg, const struct dk_session_result *result);
/* A property's new value out of the old one (DK_V_NONE = not there): 0 = set it to *value, anything else: leave it, the update ends
 * with that. May run more than once: each time somebody else was faster. What *value points to is copied at once. */
typedef int dk_session_update_fn(void *self, void *arg, struct dk_value *value);

struct dk_session {
	struct dk_service base;

	/* On the home, in the order of a join: may_join, seat check, joined, owner_changed; of an end: deleting, left for each
	 * member, deleted. The handle is valid inside all of them. */
	DK_FILTER(struct dk_session_join) may_join; /* SetOnJoin */
	DK_SIGNAL(struct dk_session_event) created;
	DK_SIGNAL(struct dk_session_member_event) joined; /* SetOnJoined */
	DK_SIGNAL(struct dk_session_member_event) left; /* SetOnLeft */
	DK_SIGNAL(struct dk_session_owner_event) owner_changed;
	DK_SIGNAL(struct dk_session_property_event) property_changed;
	DK_SIGNAL(struct dk_session_event) deleting; /* SetOnDelete: its members are still in it; not of one that moved */
	DK_SIGNAL(struct dk_session_event) deleted; /* SetOnDeleted */
	DK_SIGNAL(struct dk_session_tick_event) ticked; /* SetOnTick */
	DK_SIGNAL(struct dk_session_tick_event) tick_stopped; /* SetOnTickStop */

	/* ---- by user, on the user's node ---- */

	/* A session whose home is this node. Returns 0, DK_REFUSED (node OFFLINE), DK_FULL, DK_GONE (no such user),
	 * DK_SESSION_BAD_PARAMS, DK_SESSION_IN_ANOTHER or <0. */
	int (*create)(struct dk_session *svc, dk_id user, const struct dk_session_opts *opts, struct dk_session_id *ret_id);
	/* done (may be NULL): 0, DK_GONE, DK_SESSION_GONE, DK_SESSION_IS_FULL, DK_SESSION_VETOED, DK_SESSION_OTHER_TYPE,
	 * DK_SESSION_NO_NODE. Returns 0, DK_GONE, DK_SESSION_GONE (not an id), DK_SESSION_IN_ANOTHER, DK_EXISTS (a member of this
	 * one) or <0. */
	int (*join)(struct dk_session *svc, void *self, dk_id user, uint8_t type, dk_str id, dk_session_done_fn *done, void *arg);
	/* At once; the home hears of it. Returns 0, DK_GONE or DK_SESSION_GONE. */
	int (*leave)(struct dk_session *svc, dk_id user, uint8_t type);
	/* Pushes (ver, cmd) to users wherever they are: type, id, message, as in 802. It keeps no seat. done: 0 (all were found),
	 * DK_SESSION_NO_USER (the others were told) or DK_SESSION_NO_NODE (a node did not answer). Returns 0, DK_GONE,
	 * DK_SESSION_GONE, DK_SESSION_BAD_PARAMS (nobody, oneself, too many), DK_TOO_LONG or <0. */
	int (*invite)(struct dk_session *svc, void *self, dk_id user, uint8_t type, const dk_str *uids, size_t n, uint8_t ver,
		      uint16_t cmd, dk_slice message, dk_session_done_fn *done, void *arg);
	/* To all members, the user included; reliable. done: 0, DK_SESSION_GONE, DK_SESSION_NOT_MEMBER, DK_SESSION_NO_NODE or
	 * DK_SESSION_MAYBE. Returns 0, DK_GONE, DK_SESSION_GONE, DK_TOO_LONG or <0. */
	int (*broadcast)(struct dk_session *svc, void *self, dk_id user, uint8_t type, uint8_t ver, uint16_t cmd, dk_slice message,
			 dk_session_done_fn *done, void *arg);
	/* To some; who is no member is passed over. Also DK_SESSION_BAD_PARAMS. */
	int (*message)(struct dk_session *svc, void *self, dk_id user, uint8_t type, const dk_str *uids, size_t n, uint8_t ver,
		       uint16_t cmd, dk_slice message, dk_session_done_fn *done, void *arg);
	/* By the owner. done: also DK_SESSION_NOT_OWNER; DK_SESSION_NOT_MEMBER: uid is none. */
	int (*kick)(struct dk_session *svc, void *self, dk_id user, uint8_t type, dk_str uid, dk_session_done_fn *done, void *arg);
	/* Returns 0 or DK_SESSION_GONE. */
	int (*of_user)(struct dk_session *svc, dk_id user, uint8_t type, struct dk_session_id *ret_id);
	/* GetSessionDataByUser: every session that it is in, in order of type; at most cap. Returns how many there are. */
	size_t (*data_of_user)(struct dk_session *svc, dk_id user, struct dk_session_of_user *ret_data, size_t cap);

	/* ---- by id, from any node; return 0, DK_SESSION_GONE (not an id) or <0; done may be NULL where nothing is asked for.
	 * done: 0, DK_SESSION_GONE, DK_SESSION_NO_NODE, and DK_SESSION_MAYBE where something changes ---- */

	int (*members)(struct dk_session *svc, void *self, dk_str id, dk_session_done_fn *done, void *arg);
	int (*count)(struct dk_session *svc, void *self, dk_str id, dk_session_done_fn *done, void *arg);
	int (*is_owner)(struct dk_session *svc, void *self, dk_str id, dk_str uid, dk_session_done_fn *done, void *arg);
	/* GetAllSessionMemberData: asks the members' nodes. */
	int (*member_data)(struct dk_session *svc, void *self, dk_str id, dk_session_done_fn *done, void *arg);
	/* Without a sender. */
	int (*announce)(struct dk_session *svc, void *self, dk_str id, uint8_t ver, uint16_t cmd, dk_slice message,
			dk_session_done_fn *done, void *arg);
	/* Whoever owns it. done: also DK_SESSION_NOT_MEMBER. */
	int (*kick_uid)(struct dk_session *svc, void *self, dk_str id, dk_str uid, dk_session_done_fn *done, void *arg);
	/* Properties: typed values by name, which move with the session. done: also DK_FULL, -EINVAL; only_new: also DK_EXISTS. */
	int (*set)(struct dk_session *svc, void *self, dk_str id, dk_str name, const struct dk_value *value, bool only_new,
		   dk_session_done_fn *done, void *arg);
	/* One after another, in one go; the first one that fails ends it. */
	int (*set_many)(struct dk_session *svc, void *self, dk_str id, const struct dk_named_value *values, size_t n,
			dk_session_done_fn *done, void *arg);
	/* A whole number, which begins at 0. done: also DK_REFUSED (is none, or the sum would not fit). */
	int (*incr)(struct dk_session *svc, void *self, dk_str id, dk_str name, int64_t delta, dk_session_done_fn *done, void *arg);
	/* done: also DK_NOT_FOUND. */
	int (*unset)(struct dk_session *svc, void *self, dk_str id, dk_str name, dk_session_done_fn *done, void *arg);
	int (*get)(struct dk_session *svc, void *self, dk_str id, dk_str name, dk_session_done_fn *done, void *arg);
	int (*get_many)(struct dk_session *svc, void *self, dk_str id, const dk_str *names, size_t n, dk_session_done_fn *done,
			void *arg);
	/* UpdateProperty: nobody changes the session's properties between what fn saw and what it made of it. done: also what fn
	 * returned. */
	int (*update)(struct dk_session *svc, void *self, dk_str id, dk_str name, dk_session_update_fn *fn,
		      dk_session_done_fn *done, void *arg);

	/* ---- by handle, on the home ---- */

	dk_id (*find)(struct dk_session *svc, const struct dk_session_id *id); /* 0 = its home is elsewhere, if anywhere */
	int (*info)(struct dk_session *svc, dk_id session, struct dk_session_info *ret_info); /* 0 or DK_SESSION_GONE */
	size_t (*number)(struct dk_session *svc); /* sessions of this node */
	dk_id (*next)(struct dk_session *svc, uint32_t *slot); /* all of them: start with *slot = 0; 0 at the end */
	dk_str (*member_at)(struct dk_session *svc, dk_id session, uint32_t i); /* its uid, longest first; empty at the end */
	/* Ends it; the members are told. Returns 0 or DK_SESSION_GONE. */
	int (*remove)(struct dk_session *svc, dk_id session);
	/* Emits `ticked` every interval_s, from then on wherever the session lives. A name that ticks already keeps its interval.
	 * Returns 0, DK_SESSION_GONE, DK_FULL, -EINVAL (interval 0, name of 0 or more than 255 bytes) or -ENOMEM. */
	int (*start_tick)(struct dk_session *svc, dk_id session, dk_str name, uint32_t interval_s);
	int (*stop_tick)(struct dk_session *svc, dk_id session, dk_str name); /* empty: all; 0, DK_SESSION_GONE or DK_NOT_FOUND */
};

#ifdef __cplusplus
}
#endif

#endif
