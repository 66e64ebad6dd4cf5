/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one node knows of things that can be joined, on any node: rooms, groups. Compiled into the plugins that list such things;
 * listing.[ch] says which node knows what and carries the messages. Pure: no services, no clock, memory of `self`.
 *
 * A place stands under a key: a type that its members gave it, or the parameters that random joins ask for. It belongs to the node
 * that listed it, and lives as long as that node says once a second that it does. Seats are counted by the owner of a place alone;
 * what stands here is what it said last, less the seats promised since. Several nodes may list one thing: it stands here for each.
 */
#ifndef PLUGINS_DIRECTORY_H
#define PLUGINS_DIRECTORY_H

#include <diarkis/cursor.h>
#include <diarkis/err.h>
#include <diarkis/mem.h>

enum {
	DIRECTORY_KEY = 12,
	DIRECTORY_BYTES_MAX = 2048, /* of a place: what finders are shown */
	DIRECTORY_FIND_MAX = 100, /* places in one answer */
	DIRECTORY_ANSWER_MAX = 32768, /* bytes of one answer */
	DIRECTORY_TRIED_MAX = 8, /* places that an asker has been refused at */
	DIRECTORY_MAKE_MS = 1000, /* for a node that was told to make a place to list it */
	DIRECTORY_WAIT_MS = 2500, /* for an asker to be answered, at most */
	DIRECTORY_PROMISE_MS = 3000, /* for a promised seat to be taken */
	DIRECTORY_LEASE_MS = 5000 /* for a node to say that its places live */
};

struct directory_key {
	uint8_t b[DIRECTORY_KEY]; /* the first byte tells kinds of keys apart */
};
struct directory_place {
	struct dk_id52 id;
	struct directory_key key;
	uint16_t used, max; /* seats; max 0 = no limit */
	dk_slice bytes; /* borrowed */
};

enum directory_outcome {
	DIRECTORY_JOIN = 0, /* here is one with a free seat, which is promised to the asker */
	DIRECTORY_MAKE = DK_OUTCOME_OWN /* there is none: the asker makes one, and others wait for it */
};

struct directory {
	void *self;
	uint32_t max_places;
	size_t max_bytes, bytes;
	struct dk_table places, shelves;
	struct dk_map by_place, by_key;
	struct directory_node *nodes;
	struct place *hope_first, *hope_last; /* places with promised seats */
	uint32_t makers;
	uint64_t put_refused;
	/* Ends a seek that was answered DK_LATER; id is NULL with DIRECTORY_MAKE. Must not call back into the directory. */
	void (*answer)(void *self, dk_id asker, enum directory_outcome outcome, const struct dk_id52 *id);
	/* Whether clients of that type can be where the node is; NULL: they can. */
	bool (*serves)(const struct directory *d, const struct dk_addr *node, dk_str type);
};

void directory_init(struct directory *d, void *self, uint32_t max_places, size_t max_bytes);
void directory_fini(struct directory *d); /* whoever still waits is not answered */

/* Lists a place, or what changed of it. Askers who wait for the node to make one are answered. Returns 0, DK_FULL, -EINVAL or
 * -ENOMEM. */
int directory_put(struct directory *d, const struct dk_addr *node, const struct directory_place *p, uint64_t now);
/* The node lists it no more. What another node lists stays. */
void directory_drop(struct directory *d, const struct dk_addr *node, const struct dk_id52 *id, const struct directory_key *key);
/* All that the node has listed. */
void directory_forget(struct directory *d, const struct dk_addr *node);
/* The node lives and has n places here whose directory_sum()s add up to sum. False: it has others here, so they are dropped, and it
 * lists them anew. */
bool directory_lease(struct directory *d, const struct dk_addr *node, uint32_t n, uint64_t sum, uint64_t now);
/* What has no lease any more goes; askers who waited for too long are told to make a place. At least every 250 ms. */
void directory_sweep(struct directory *d, uint64_t now);

/* Up to `limit` places under a key, those with free seats first, beginning at a random one: pick is any number. Records as
 * directory_write_found() makes them; returns how many. */
size_t directory_find(struct directory *d, const struct directory_key *key, size_t limit, uint64_t pick, struct dk_writer *w);

struct directory_seek {
	struct dk_addr node; /* who asks */
	struct directory_key key;
	uint16_t seats; /* that a place of that key has; 0 = no limit */
	dk_str type; /* of the asker's client */
	dk_slice tried; /* ids where it was refused, one after another */
	dk_id asker;
};
/* Returns enum directory_outcome, or DK_LATER: `answer` is called. */
int directory_seek(struct directory *d, const struct directory_seek *q, uint64_t now, struct dk_id52 *ret_id);

/* How many places stand here. */
static inline uint32_t directory_count(const struct directory *d)
{
	return d->places.used;
}

/* What both sides of a lease add up. */
uint64_t directory_sum(const struct directory_place *p);

/* One place in a message between nodes. */
void directory_write(struct dk_writer *w, const struct directory_place *p);
bool directory_read(struct dk_cursor *c, struct directory_place *ret_place); /* false: the end, or c is bad */

#endif
