/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What random walks over the cluster of fabric.h share: users who log in, hang up and come back, nodes that are killed, drained and
 * begin anew, and the words of a failing one. What else happens, and what must hold, is the test's.
 *
 * NAME_WALK_SEEDS=N in the environment walks N seeds, NAME_WALK_SEED=N that one alone, telling what it does; a failing one prints
 * itself.
 */
#ifndef ROOM_WALK_H
#define ROOM_WALK_H

#include <check.h>
#include <stdio.h>

#include "fabric.h"

enum {
	WALK_NODES = 4,
	WALK_USERS = 8,
	WALK_NOTICED_MS = 2400, /* until a node that was killed is taken for dead */
	WALK_GONE_MS = 3500 /* until its users log in again */
};

struct walk_user {
	struct player *p; /* NULL: logged in nowhere */
	char name[16];
	uint64_t again_ms; /* when it logs in again; 0 = it does not */
};

/* What the test does. u: index of a user. What is not needed may be NULL. */
struct walk {
	const char *name; /* of the variables */
	unsigned seeds, users;
	uint64_t factor; /* seeds of its schedules: those of other walks differ */
	void (*one)(uint64_t seed); /* needed; opens the nodes, walks, looks whether all is well */
	void (*heard)(unsigned u, const char *line); /* needed; as player_heard() has it */
	void (*look)(unsigned u); /* before what it heard */
	void (*every_ms)(void);
	void (*came)(unsigned u);
	void (*gone)(unsigned u); /* its connection has ended */
};

extern struct walk_user walk_users[WALK_USERS];
extern uint64_t walk_seed;
extern unsigned walk_deaths; /* that are allowed yet */

uint32_t walk_chance(uint32_t n); /* of the schedule alone */
uint64_t walk_now(void);
void walk_tell(const char *fmt, ...) DK_PRINTF(1, 2);

#define WALK_MUST(cond, ...)                                                                                                       \
	do {                                                                                                                       \
		if (!(cond)) {                                                                                                     \
			walk_failed();                                                                                             \
			printf(__VA_ARGS__);                                                                                       \
			printf("\n");                                                                                              \
			fflush(stdout);                                                                                            \
			ck_abort_msg("seed %llu", (unsigned long long)walk_seed);                                                  \
		}                                                                                                                  \
	} while (0)
void walk_failed(void);

/* All users log in. */
void walk_begin(void);
/* One of those that are up; -1 = none is. */
int walk_any_up(void);
/* Time passes; everybody hears, nodes begin anew, users log in again. */
void walk_pass(uint64_t ms);
/* What was heard up to now. */
void walk_look(void);
void walk_hang_up(unsigned u);
bool walk_may_die(void); /* another node */
void walk_kill(unsigned node);
void walk_drain(unsigned node);
/* The user moves, if it is there. */
void walk_move(void *self, unsigned u, unsigned node);

/* Returns how many seeds it walked; 0 = the one that was asked for. */
uint64_t walk_all(const struct walk *w);
/* What main() does. */
int walk_main(const char *title, const TTest *test);

#endif
