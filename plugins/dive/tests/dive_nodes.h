/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes with the plugin dive in one world: number 0 is a registry and holds nothing, the others are joined through it by the real
 * plugins mesh and mars. One node alone is number 1 of a world without a registry. Questions are asked as a plugin asks them.
 */
#ifndef DIVE_NODES_H
#define DIVE_NODES_H

#include <stdio.h>
#include <stdlib.h>

#include <diarkis/cluster.h>
#include <diarkis/dive.h>
#include <diarkis/test.h>

enum { NODES = 5, ANSWER_MAX = 8192 };

/* Works without a running test of Check, too: seeds are run by themselves. */
#define MUST(expr)                                                                                                                 \
	do {                                                                                                                       \
		if (!(expr)) {                                                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #expr);                                         \
			abort();                                                                                                   \
		}                                                                                                                  \
	} while (0)

/* What came of a question; text: the values, as "1 2 three". */
struct answer {
	bool there;
	int rc; /* what ask() or done() said */
	char text[ANSWER_MAX];
};

struct node {
	struct dk_harness *h; /* NULL: not there */
	struct asker *self;
	struct dk_dive *dive;
	struct dk_cluster *cluster; /* NULL: alone */
};

extern struct dk_env *world;
extern struct node nodes[NODES];

extern const char *dive_options; /* of the plugin besides its storages, for the nodes that join from now on; "" by default */
/* storages: the content of the group of that name. */
void alone(const char *storages);
/* A registry, and n nodes that see each other. */
void together(unsigned n, uint64_t seed, const char *storages);
void enter(unsigned i); /* one more, or one anew */
void join(unsigned i); /* the same, and runs until all see each other */
void run(uint64_t ms);
/* Ends all of them; fails the test when one left anything. */
void apart(void);
bool all_see_all(void);
int64_t count(unsigned i, const char *counter);

/* Asks, and leaves the answer in *ret: valid as long as that is. */
void ask(unsigned i, const struct dk_dive_ask *what, struct answer *ret);
/* The same with one storage "s", and runs until it is answered: "rc: text", or "text" alone where rc is 0. */
const char *asked(unsigned i, enum dk_dive_op op, const char *key, uint32_t ttl_s, int32_t a, int32_t b, const char *values);

#endif
