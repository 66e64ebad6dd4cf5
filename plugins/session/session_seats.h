/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node knows of its own users: which sessions they are in, and where those live. One record for each session that
 * somebody here is in, wherever its home is; a seat for each user in it. A user has one seat of a type at most. Data only.
 */
#ifndef SESSION_SEATS_H
#define SESSION_SEATS_H

#include "session_store.h"

enum session_seat_state {
	SEAT_JOINING, /* its home was asked */
	SEAT_IN,
	SEAT_COMING, /* from another node: its client is on the way */
	SEAT_AWAY /* gone to another node: what still comes here for it waits until it is known where */
};

/* What waits for a user who is away. */
struct session_late {
	struct session_late *next;
	size_t n;
	uint8_t bytes[]; /* payload of session.deliver */
};

struct session_seat {
	struct session_seat *in_known, *of_user; /* next ones */
	struct session_known *known;
	dk_id user; /* 0: AWAY */
	uint64_t token, away_ms;
	uint16_t hops;
	uint8_t type, state;
	bool moved_on; /* IN: its home knows it to be on another node by now */
	bool claiming; /* IN: its home does not know yet that it is here */
	uint16_t late_n;
	struct session_late *late;
};

struct session_known {
	struct dk_session_id id;
	dk_id handle;
	struct session_seat *seats;
	struct dk_addr home;
	uint32_t epoch; /* of its home */
	uint32_t n; /* seats that are IN */
	uint64_t mix; /* of their tokens */
	uint64_t confirmed_ms; /* when its home last said that it lives */
	uint64_t rolled; /* which roll went to its home last */
	uint64_t searched; /* which search goes on; 0 = none */
	uint32_t search_left; /* nodes that have not answered it */
};

struct session_seats {
	void *self;
	struct dk_table table; /* struct session_known */
	struct dk_map by_id;
	struct dk_pool pool;
	struct session_user {
		dk_id user;
		struct session_seat *first;
	} * users; /* by slot */
	uint32_t user_n, seat_n;
};

void session_seats_init(struct session_seats *t, void *self);
void session_seats_fini(struct session_seats *t);

struct session_known *session_known_find(const struct session_seats *t, const struct dk_session_id *id);
static inline struct session_known *session_known_next(const struct session_seats *t, uint32_t *slot)
{
	dk_id id;

	return (struct session_known *)dk_table_next(&t->table, slot, &id);
}
/* Of a user, by type; NULL = none. */
struct session_seat *session_seat_of(const struct session_seats *t, dk_id user, uint8_t type);
struct session_seat *session_seat_first(const struct session_seats *t, dk_id user); /* then by of_user, in order of type */
struct session_seat *session_seat_by_token(const struct session_known *k, uint64_t token);
/* The user has none of that type. Where the session is not known its home is that address. Returns 0 or -ENOMEM. */
int session_seat_add(struct session_seats *t, dk_id user, uint8_t type, const struct dk_session_id *id, const struct dk_addr *home,
		     uint64_t token, enum session_seat_state state, struct session_seat **ret_seat);
void session_seat_state(struct session_seat *seat, enum session_seat_state state);
/* It lives on without a user. */
void session_seat_go_away(struct session_seats *t, struct session_seat *seat);
/* With the record of its session, when it is the last one of that. */
void session_seat_remove(struct session_seats *t, struct session_seat *seat);

#endif
