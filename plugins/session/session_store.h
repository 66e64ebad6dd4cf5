/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sessions of this node, as data: members in order of joining, an owner among them, seats, and on which node how many of them
 * are. No signals, no messages.
 */
#ifndef SESSION_STORE_H
#define SESSION_STORE_H

#include <diarkis/mem.h>
#include <diarkis/plugin.h>
#include <diarkis/session.h>

#include "plugins/props.h"
#include "session_pack.h"

enum session_phase {
	SESSION_LIVE,
	SESSION_LEAVING, /* on its way to another node: nothing changes */
	SESSION_ENDING /* it is told that it ends */
};

/* A token names one stay of one user in one session; it goes with the user from node to node. */
struct session_member {
	uint64_t token;
	uint64_t from; /* pushes with a greater number are its node's to deliver; up to it, the former node's */
	uint32_t spot; /* index: its node */
	uint16_t hops; /* nodes that it has been on since, as its node says */
	uint16_t uid_n;
	bool listed; /* session_roll.c: by the node that is heard right now */
	uint64_t since_ms; /* on that node */
	uint8_t sid[16];
	char uid[];
};
struct session_place {
	uint32_t hash; /* of the uid */
	struct session_member *m;
};
/* A node with members; n 0: free for another one. */
struct session_spot {
	struct dk_addr addr;
	uint32_t n;
	uint64_t mix; /* of the tokens of its members */
	uint64_t seen_ms; /* when it was last heard to know them */
};

struct session_tick {
	struct session_tick *next;
	dk_id session;
	struct dk_timer timer;
	uint32_t interval_s;
	uint8_t name_n;
	char name[];
};

struct session {
	struct dk_session_id id;
	dk_id handle;
	uint8_t type, phase;
	uint16_t max;
	uint32_t ttl_s, epoch;
	uint64_t number; /* of the last push to members; grows with each, and from home to home */
	struct session_place *places; /* by order of joining */
	uint32_t n, cap;
	struct session_member *owner; /* NULL: nobody is left */
	struct session_spot *spots;
	uint32_t spot_n;
	struct props props;
	uint64_t changes; /* of the properties */
	struct session_tick *ticks;
	struct dk_timer ttl;
	struct session_move *move; /* session_drain.c */
};

struct session_store {
	void *self;
	struct dk_table table;
	struct dk_map by_id;
	uint32_t member_n;
};

static inline bool session_id_eq(const struct dk_session_id *a, const struct dk_session_id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}
/* A new id with the address of this node. Returns 0 or <0. */
int session_id_new(void *self, struct dk_session_id *ret_id);
/* Of the node that made it. False: it names none. */
bool session_id_addr(const struct dk_session_id *id, struct dk_addr *ret_addr);
/* Spreads a token, so that a sum of many is not equal by accident. */
uint64_t session_mix(uint64_t token);

void session_store_init(struct session_store *st, void *self, uint32_t max);
void session_store_fini(struct session_store *st);
/* An empty, live session. Returns 0, DK_FULL or -ENOMEM. */
int session_store_add(struct session_store *st, const struct dk_session_id *id, uint8_t type, uint16_t max,
		      struct session **ret_session);
/* Later pushes have greater numbers than any of an earlier epoch, on whatever node that was. */
static inline void session_begin_epoch(struct session *ss, uint32_t epoch)
{
	uint64_t least = (uint64_t)epoch << 32;

	ss->epoch = epoch;
	ss->number = ss->number > least ? ss->number : least;
}
/* Its timers are the caller's. */
void session_store_remove(struct session_store *st, struct session *ss);
static inline struct session *session_store_get(const struct session_store *st, dk_id handle)
{
	return (struct session *)dk_table_get(&st->table, handle);
}
struct session *session_store_find(const struct session_store *st, const struct dk_session_id *id); /* NULL = none */

struct session_member *session_member_find(const struct session_store *st, const struct session *ss, dk_str uid);
static inline dk_str session_member_uid(const struct session_member *m)
{
	return dk_str_n(m->uid, m->uid_n);
}
static inline dk_str session_owner_uid(const struct session *ss)
{
	return ss->owner ? session_member_uid(ss->owner) : dk_str_n(NULL, 0);
}
/* The first one becomes the owner. uid is none yet. Returns 0, DK_SESSION_IS_FULL or -ENOMEM. */
int session_member_add(struct session_store *st, struct session *ss, dk_str uid, uint64_t token, const uint8_t sid[16],
		       const struct dk_addr *addr, struct session_member **ret_member);
/* The longest member succeeds an owner who leaves. True: the owner changed. */
bool session_member_remove(struct session_store *st, struct session *ss, struct session_member *m);
/* It is on another node now. Returns 0 or -ENOMEM. */
int session_member_move(struct session_store *st, struct session *ss, struct session_member *m, const struct dk_addr *addr);
/* The spot of a node; NULL = none of the members is there. */
struct session_spot *session_spot_find(const struct session *ss, const struct dk_addr *addr);

#endif
