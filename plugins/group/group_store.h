/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The groups of this node as data: which members are here, and which groups a user is in. Pure: no users, no sending, no signals.
 *
 * Invariants: a seat of a user names a group of the store, and its place there, in members or in arrivals; every member and every
 * arrival has one seat.
 */
#ifndef GROUP_STORE_H
#define GROUP_STORE_H

#include <diarkis/group.h>
#include <diarkis/loop.h>
#include <diarkis/mem.h>

#include "group_view.h"
#include "plugins/gather.h"

enum group_phase {
	GROUP_SEEKING, /* group_join.c: somebody wants to join, and it is not known yet who has it */
	GROUP_LIVE,
	GROUP_DYING
};

/* What was said, one after another: u32 length; own entry or address; group_log.c. */
struct group_log {
	uint8_t *bytes;
	size_t n, cap;
};

struct group {
	struct listing *listed; /* group_support.c: NULL = no random join finds it by this node */
	/* what every message touches */
	dk_id *members;
	uint32_t member_n, member_cap;
	uint32_t interval_ms;
	struct gather gathered; /* group_relay.c: what waits for the tick */
	struct dk_timer tick;
	struct group_view view;
	uint64_t number; /* of the last reliable message that was said here */
	struct dk_id52 id;

	dk_id handle;
	uint32_t tag, created_s, ttl_s;
	uint8_t phase; /* enum group_phase */
	bool allow_empty, is_static;
	bool told_due; /* the number of members is to be told */
	uint64_t told_ms, tended_ms;
	struct dk_timer ttl, work;
	uint64_t listen_version; /* of the own entry, when it began to listen */
	struct group_joiner *joiners; /* group_join.c */
	uint32_t admitting; /* group_join.c: joiners whose turn it is */
	struct group_search *search; /* group_join.c: while it is sought */
	struct group_arrival **arrivals; /* group_arrive.c: members whose former node has not let them go yet */
	uint32_t arrival_n, arrival_cap;
	struct group_leaving *leaving; /* group_depart.c: members who are awaited on other nodes */
	struct group_departed *departed; /* group_depart.c: nodes where members have gone */
	struct group_onward *onward; /* group_depart.c: members who went on before they had quite come */
	struct group_log log; /* while there are arrivals or leaving ones */
};

struct group_arrival;

/* Where a user is a member. */
struct group_seat {
	dk_id group;
	uint32_t at;
	bool arriving; /* at is of arrivals */
};
struct group_seats {
	dk_id user;
	struct group_seat *at; /* the latest last */
	uint32_t n, cap;
};

struct group_store {
	void *self;
	struct dk_table table;
	struct dk_map by_id;
	struct group_seats *seats; /* by the slot of the user's handle */
	uint32_t seat_n;
	uint64_t member_n; /* of all groups */
};

void group_store_init(struct group_store *s, void *self, uint32_t max_groups);
/* Frees all groups; what hangs on them is the caller's. */
void group_store_fini(struct group_store *s);

/* Returns 0, DK_FULL or -ENOMEM. */
int group_store_add(struct group_store *s, const struct dk_id52 *id, struct group **ret_group);
/* Nobody has a seat in it any more. */
void group_store_remove(struct group_store *s, struct group *g);
static inline struct group *group_store_get(const struct group_store *s, dk_id handle)
{
	return (struct group *)dk_table_get(&s->table, handle);
}
struct group *group_store_find(const struct group_store *s, const struct dk_id52 *id); /* NULL = none */

/* NULL = none; not across a change. */
struct group_seat *group_store_seat(const struct group_store *s, dk_id user, dk_id group);
/* All of a user's; NULL = none. */
struct group_seats *group_store_seats(const struct group_store *s, dk_id user);
/* Returns 0, DK_EXISTS or -ENOMEM. */
int group_store_join(struct group_store *s, struct group *g, dk_id user);
int group_store_arrive(struct group_store *s, struct group *g, dk_id user, struct group_arrival *a);
/* An arrival becomes a member. Returns it (the caller's to free), or NULL: no memory, and nothing has changed. */
struct group_arrival *group_store_settle(struct group_store *s, struct group *g, dk_id user);
/* False: it has no seat there. *ret_arrival: the caller's to free, or NULL. */
bool group_store_leave(struct group_store *s, struct group *g, dk_id user, struct group_arrival **ret_arrival);
dk_id group_arrival_user(const struct group_arrival *a); /* group_arrive.c */

#endif
