/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "group": members on any nodes who hear each other. A group has an id of 52 characters and no limit of members; a user
 * may be in many. Members stay on their nodes: each node that has some keeps a copy of who takes part, and what is said travels
 * once to each of those nodes.
 *
 * Reliable messages of one node arrive everywhere in the order in which they were said, once; those of different nodes in any.
 * A handle names the copy of this node, and goes with it.
 */
#ifndef DIARKIS_GROUP_H
#define DIARKIS_GROUP_H

#include <diarkis/err.h>
#include <diarkis/service.h>
#include <diarkis/signal.h>
#include <diarkis/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_GROUP_NAME "group"
#define DK_GROUP_MAJOR 1
#define DK_GROUP_MINOR 0
#define DK_GROUP_TYPE struct dk_group

#define DK_GROUP_TTL_MIN_S 11

enum dk_group_outcome {
	DK_GROUP_GONE = DK_OUTCOME_OWN, /* no such group, or nobody who knows it answered */
	DK_GROUP_NOT_MEMBER,
	DK_GROUP_VETOED, /* a filter said no */
	DK_GROUP_BAD_PARAMS /* ttl below 11 s, or a group that would end at once */
};

struct dk_group_opts {
	bool allow_empty; /* lives on without members for ttl_s; else it goes with its last member */
	bool join; /* the creator becomes its first member; one of the two must be true */
	uint32_t ttl_s; /* more than 10 */
	uint32_t interval_ms; /* 0 = broadcasts leave at once; else 10...1000 (compat_interval: below 100 = 0) */
};

/* A question; a result other than 0 says no. Asked on the node of the user. */
struct dk_group_join {
	dk_id group, user;
	dk_slice message; /* for the members, as they get it: what a client says is packed with the tag of the group */
};
/* What happened on this node. */
struct dk_group_event {
	dk_id group;
	const struct dk_id52 *id;
};
struct dk_group_member_event {
	dk_id group, user;
	enum dk_reason reason; /* of leaving: DK_REASON_CLIENT = by itself; DK_REASON_MOVED: it is a member on another node now */
	bool moved; /* of joining: it was a member on another node */
	uint32_t members; /* of the whole group after it, as far as this node knows */
};
struct dk_group_sent {
	dk_id group, sender; /* sender 0: announce */
	uint8_t ver;
	uint16_t cmd;
	dk_slice message; /* as members get it */
};
/* Asked before a member that was cut off is forgotten, and when one has come from another node: with a message (borrowed until
 * the next turn) the members are told. Always return 0. */
struct dk_group_notice {
	dk_id group, user;
	uint8_t ver;
	uint16_t cmd; /* 1, 112 or 111 unless changed */
	dk_slice message;
};

struct dk_group_info {
	struct dk_id52 id;
	uint32_t created_s; /* unix time */
	uint32_t ttl_s, interval_ms;
	bool allow_empty, is_static;
	uint32_t members_here, members; /* members: of all nodes, as they told last: within a second or two */
	uint16_t nodes; /* that have members, this one included */
};

/* The end of a join. err 0: the user is a member; otherwise as create(), DK_GROUP_GONE, DK_GROUP_VETOED, DK_EXISTS (is one
 * already), DK_GONE (left meanwhile) or <0. Not called when its self stopped. */
typedef void dk_group_join_fn(void *self, void *arg, int err, dk_id group);

/* Who is in a group. */
struct dk_group_list {
	uint32_t members;
	uint16_t nodes, silent; /* that have members; of those, nodes that did not answer */
	const dk_str *uids; /* n of them; valid until the callback returns */
	size_t n; /* fewer than members, where nodes told only of some */
};
typedef void dk_group_list_fn(void *self, void *arg, const struct dk_group_list *list);

typedef void dk_group_tick_fn(void *self, void *arg, dk_id group);

struct dk_group {
	struct dk_service base;

	DK_FILTER(struct dk_group_join) may_join;
	DK_FILTER(struct dk_group_notice) rejoining; /* SetOnRejoinCustomMessage */
	DK_FILTER(struct dk_group_notice) discarding; /* SetOnDiscardCustomMessage */
	DK_SIGNAL(struct dk_group_event) created; /* made here */
	DK_SIGNAL(struct dk_group_member_event) joined;
	DK_SIGNAL(struct dk_group_member_event) left;
	DK_SIGNAL(struct dk_group_sent) said; /* every broadcast and announce, on the node where it begins */
	DK_SIGNAL(struct dk_group_event) discarded; /* no copy is here any more; the handle can be looked at inside */

	/* user: the creator, blank or real; 0 = nobody (allow_empty true, join false). Returns 0, DK_REFUSED (OFFLINE), DK_FULL
	 * (groups of this node or of the user), DK_GONE (no such user), DK_GROUP_BAD_PARAMS or <0. */
	int (*create)(struct dk_group *svc, dk_id user, const struct dk_group_opts *opts, dk_id *ret_group);
	/* A user of this node joins a group of any. message: told to all members as (ver, cmd); empty = nothing is told. done (may
	 * be NULL) runs on self, never before this returns, and before the message is sent. When it runs, every node that takes
	 * part knows of this one, so whatever is said anywhere from then on is heard. Returns 0, DK_GONE, DK_FULL, DK_TOO_LONG,
	 * DK_GROUP_GONE or <0. */
	int (*join)(struct dk_group *svc, void *self, const struct dk_id52 *id, dk_id user, uint8_t ver, uint16_t cmd,
		    dk_slice message, dk_group_join_fn *done, void *arg);
	/* The others get the message, unless it is empty. Returns 0, DK_GROUP_GONE, DK_GROUP_NOT_MEMBER or DK_TOO_LONG. */
	int (*leave)(struct dk_group *svc, dk_id group, dk_id user, uint8_t ver, uint16_t cmd, dk_slice message);

	/* To all members, the sender included. Returns 0, DK_GROUP_GONE, DK_GROUP_NOT_MEMBER or DK_TOO_LONG. */
	int (*broadcast)(struct dk_group *svc, dk_id group, dk_id sender, uint8_t ver, uint16_t cmd, dk_slice message,
			 bool reliable);
	/* Without a sender, from any node that has a copy. Never reachable by clients. */
	int (*announce)(struct dk_group *svc, dk_id group, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable);

	dk_id (*find)(struct dk_group *svc, const struct dk_id52 *id); /* 0 = no copy is here */
	int (*info)(struct dk_group *svc, dk_id group, struct dk_group_info *ret_info); /* 0 or DK_GROUP_GONE */
	bool (*is_member)(struct dk_group *svc, dk_id group, dk_id user);
	/* The groups of a user of this node, the latest first: i from 0; 0 at the end. */
	dk_id (*of_user)(struct dk_group *svc, dk_id user, size_t i);
	/* Members on this node; valid until the next change. */
	const dk_id *(*members)(struct dk_group *svc, dk_id group, size_t *ret_n);
	/* The other nodes that have members. Returns how many there are, and writes at most n of them. */
	size_t (*nodes)(struct dk_group *svc, dk_id group, struct dk_addr *ret_nodes, size_t n);
	size_t (*count)(struct dk_group *svc); /* copies on this node */
	dk_id (*next)(struct dk_group *svc, uint32_t *slot); /* all of them: start with *slot = 0; 0 at the end */

	/* Who is in it. exact false: from what the nodes told last, up to 32 uids of each other one; done runs before this returns.
	 * exact: every node is asked; done runs later, once, and not when self stopped. Returns 0, DK_GROUP_GONE or <0. */
	int (*list)(struct dk_group *svc, void *self, dk_id group, bool exact, dk_group_list_fn *done, void *arg);

	/* fn runs every_s seconds apart, looked at every two, as long as there is a copy here. Each call adds one; they end with
	 * self. Returns 0, DK_GROUP_GONE or <0. */
	int (*tick)(struct dk_group *svc, void *self, dk_id group, uint32_t every_s, dk_group_tick_fn *fn, void *arg);
	void (*tick_stop)(struct dk_group *svc, void *self, dk_id group); /* all of self on it */
};

#ifdef __cplusplus
}
#endif

#endif
