/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of a cluster, from the side of a node that lists places and asks for them. Compiled into the plugins that do,
 * beside directory.[ch].
 *
 * Places of one key are known to one node: of the nodes that serve `node_type` and keep a directory, the one that rendezvous
 * hashing gives the key to; where there is none, each node knows its own. When nodes come and go, places are listed anew where they
 * belong then. A node tells each that knows places of it once a second how many these are and what they add up to, and lists all
 * of them again when that is not so: whatever got lost, nothing is wrong for longer than that takes, and of a node that is silent
 * all is gone after DIRECTORY_LEASE_MS, or when the cluster calls it dead.
 */
#ifndef PLUGINS_LISTING_H
#define PLUGINS_LISTING_H

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/plugin.h>

#include "directory.h"

/* The numbers of the plugin's rows between nodes, version DK_VER_NODE:
 *   list:   DK_IN(rest(places)), as directory_write() makes them
 *   unlist: DK_IN(rest(places)), {id52, key} each
 *   lease:  DK_IN(u32(n), u64(sum)) DK_OUT(flag(agrees))
 *   find:   DK_IN(rest(question)), {key, u16 limit}; answered with what directory_find() writes
 *   seek:   DK_IN(rest(question)), {key, u16 seats, bytes16 type, ids}; answered DK_OUT(u8(outcome), rest(room)) */
struct listing_rows {
	uint16_t list, unlist, lease, find, seek;
};

/* A place of this node, in memory of its owner; zeroed = not listed. */
struct listing {
	struct listing *next, **link; /* private, as all of it */
	struct directory_place place; /* bytes: owned */
	uint64_t sum; /* as it was sent last */
	struct dk_addr at;
	bool dirty, told;
};

struct listings {
	void *self;
	struct dk_carrier *carrier; /* NULL: this node is alone */
	struct dk_cluster *cluster;
	const struct listing_rows *rows;
	const char *node_type;
	bool support; /* this node keeps a directory for others */
	struct directory directory;
	struct listing *first;
	struct listing_ask *asks;
	struct listing_lease *leases;
	struct dk_timer lease_timer, dirty_timer, sweep_timer;
	struct listing_unable {
		struct dk_addr addr;
		uint64_t until;
	} unable[16]; /* nodes of that type that keep no directory */
	uint8_t unable_n;
	bool stopped;
};

/* In init, and what the options say; carrier and cluster may be NULL. */
void listing_init(struct listings *ls, void *self, struct dk_carrier *carrier, struct dk_cluster *cluster,
		  const struct listing_rows *rows, uint32_t max_places, size_t max_bytes);
void listing_fini(struct listings *ls); /* what is listed is forgotten, its owner's memory left alone but for the bytes */
/* The signal cluster.changed. */
void listing_on_cluster_changed(struct listings *ls, const struct dk_cluster_event *ev);

/* Lists it, or says what has changed; the bytes are copied. A place whose id changed is another one. now: in this turn; else soon.
 * Returns 0 or -ENOMEM. */
int listing_set(struct listings *ls, struct listing *l, const struct directory_place *p, bool now);
/* The same place, with so many seats taken. Not listed is fine. */
void listing_used(struct listings *ls, struct listing *l, uint16_t used);
/* It is no more. Not listed is fine. */
void listing_drop(struct listings *ls, struct listing *l);
static inline bool listing_is(const struct listing *l)
{
	return l->link != NULL;
}

/* The end of a question: body as the row says, valid until this returns; err < 0: nobody could be asked. Never before the asking
 * function returns; not after listing_fini(). */
typedef void listing_done_fn(void *self, void *arg, int err, dk_slice body);
/* Returns 0 or <0. */
int listing_find(struct listings *ls, const struct directory_key *key, uint16_t limit, listing_done_fn *done, void *arg);
int listing_seek(struct listings *ls, const struct directory_key *key, uint16_t seats, dk_str type, dk_slice tried,
		 listing_done_fn *done, void *arg);

/* What the plugin's rows do. */
int listing_on_list(struct listings *ls, struct dk_call *call);
int listing_on_unlist(struct listings *ls, struct dk_call *call);
int listing_on_lease(struct listings *ls, struct dk_call *call, uint32_t n, uint64_t sum);
int listing_on_find(struct listings *ls, struct dk_call *call);
int listing_on_seek(struct listings *ls, struct dk_call *call);

#endif
