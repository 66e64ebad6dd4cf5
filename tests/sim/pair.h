/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two players, ann and bob, in a simulated world with real nodes: what a game does by the client library's typed calls. What a call
 * is answered is one line of text, "ok ..." or "no SENTENCE"; what a player hears meanwhile is a line an event, in the words of the
 * test.
 */
#ifndef SIM_PAIR_H
#define SIM_PAIR_H

#include <diarkis/user.h>

#include "wires.h"

struct player {
	struct wires wires;
	struct dkc_client *client;
	struct dk_harness *node; /* that it came to */
	dk_id user; /* there */
	char heard[4096], answer[512];
	struct dk_id52 id; /* of the room or group it is in, as answers told it: for the test */
	bool ended; /* its connection, and not by itself: */
	uint16_t said;
	char why[128];
};

struct pair_opts {
	const char *plugins; /* sections beside user, udp and tcp: "room = {};" */
	uint32_t delay_ms; /* of each way between two addresses */
	uint32_t answer_ms; /* a call is answered within that time, and heard of */
	uint32_t echo_ms; /* 0: as the library's default */
	void (*event)(struct player *p, const struct dkc_event *e); /* writes what p hears */
	bool (*whole)(void *arg, uint8_t ver, uint16_t cmd);
};

extern struct player ann, bob;
extern struct dk_env *pair_world;
extern struct dk_harness *pair_node; /* the first one */

/* A node at 10.0.0.1, and both are connected to it. */
void pair_open(const struct pair_opts *o, bool ann_tcp, bool bob_tcp);
/* Both leave; nodes end. Fails the test when one left anything. */
void pair_close(void);

/* Step by step, for who needs more than one node: an empty world, a node of it, a player who comes to one. */
void pair_begin(const struct pair_opts *o);
struct dk_harness *pair_add(const char *config);
void pair_come(struct player *p, const char *name, struct dk_harness *node, bool tcp);
/* Without a word; it may come again. */
void pair_vanish(struct player *p);
/* Says goodbye. */
void pair_part(struct player *p);

/* Lets time pass, after both have said what they want to say. */
void pass(uint64_t ms);

/* Appends. */
void note(char *text, size_t cap, const char *fmt, ...) DK_PRINTF(3, 4);
#define HEARD(p, ...) note((p)->heard, sizeof((p)->heard), __VA_ARGS__)
#define ANSWER(p, ...) note((p)->answer, sizeof((p)->answer), __VA_ARGS__)
/* The answer's line begins. A dkc_reply_fn with the player as its argument; for those that have more to write too. */
void on_done(void *arg, struct dkc_client *c, const struct dkc_reply *r);

/* The call was taken, and this is its answer. */
void answers(int rc, struct player *p, const char *want);
/* That the answer begins so is enough. */
void answers_like(int rc, struct player *p, const char *want);
/* All that it heard since the last look. */
void hears(struct player *p, const char *want);
void forget(struct player *p);

static inline dk_slice bytes(const char *text)
{
	return dk_slice_of(dk_str_c(text));
}

#endif
