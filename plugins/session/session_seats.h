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
	SEAT_AWAY /* gone to another node: what still comes here for it is sent there, when it is known where that is */
};

/* A push that waits. */
struct session_late {
	struct session_late *next;
	uint64_t number; /* 0: it came from the former node, which knew it to be for this one */
	uint16_t cmd;
	uint8_t ver;
	size_t n;
	uint8_t bytes[];
};

/* Of the pushes of a session those are a seat's whose number is above `from`, and not above `until`: its home says so when it hears
 * of a move, to both nodes. A user that comes back has a second seat beside the one that it left. */
struct session_seat {
	struct session_seat *in_known, *of_user; /* next ones */
	struct session_known *known;
	dk_id user; /* 0: AWAY */
	uint64_t token, away_ms;
	uint64_t over_ms; /* when `to` became known */
	uint64_t from, until;
	struct dk_addr to; /* who has what comes after `until`; family 0: nobody else */
	uint16_t hops;
	uint8_t type, state;
	bool sure; /* `from` is known */
	bool claiming; /* its home was asked for it */
	uint32_t late_n;
	size_t late_bytes;
	struct session_late *late, **late_tail;
};

struct session_known {
	struct dk_session_id id;
	dk_id handle;
	struct session_seat *seats;
	struct dk_addr home;
	uint32_t epoch; /* of its home */
	uint32_t n; /* seats that are IN, and whose users are nowhere else by what the home says */
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
	uint32_t user_n, seat_n; /* seat_n: those that are not AWAY */
	uint32_t away_n;
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
/* Of one stay, the one on this node that is the last. */
struct session_seat *session_seat_by_token(const struct session_known *k, uint64_t token);
struct session_seat *session_seat_by_hops(const struct session_known *k, uint64_t token, uint16_t hops);
/* The user has none of that type. Where the session is not known its home is that address. Returns 0 or -ENOMEM. */
int session_seat_add(struct session_seats *t, dk_id user, uint8_t type, const struct dk_session_id *id, const struct dk_addr *home,
		     uint64_t token, enum session_seat_state state, struct session_seat **ret_seat);
void session_seat_state(struct session_seat *seat, enum session_seat_state state);
/* Its user is on that node from now on, by what the home says. */
void session_seat_over(struct session_seat *seat, const struct dk_addr *to);
/* It lives on without a user. */
void session_seat_go_away(struct session_seats *t, struct session_seat *seat);
/* With the record of its session, when it is the last one of that. */
void session_seat_remove(struct session_seats *t, struct session_seat *seat);

#endif
