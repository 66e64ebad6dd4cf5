/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of the plugin dive, shared by its files: dive.c (options, phases), dive_ask.c (who asks: the service), dive_serve.c (who
 * owns: what other nodes ask), dive_view.c (which nodes hold a storage), dive_claim.c (buckets that nobody owns), dive_claimed.c
 * (what others claim), dive_move.c and dive_land.c (buckets that change their owner, at either end), dive_copy.c (copies of
 * buckets on one more node), dive_compare.c (whether they are alike), dive_parcel.c (buckets as bytes), dive_store.[ch] (the
 * keys), dive_memo.[ch] (what was done), dive_hrw.[ch] (who owns what).
 */
#ifndef DIVE_STATE_H
#define DIVE_STATE_H

#include <errno.h>

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/dive.h>
#include <diarkis/plugin.h>

#include "dive_memo.h"
#include "dive_rows.h"
#include "dive_store.h"

struct dive_storage_conf {
	int64_t multiple_index, ring_size, clean_interval, default_ttl, batch, interval;
	int64_t max_keys, max_value, max_list_bytes, max_list_items, copies, remember;
	const char *type;
	bool migration;
};
struct dive_conf {
	struct dk_groups storages; /* struct dive_storage_conf */
	int64_t move_bytes;
};

/* What a bucket is to this node. Two nodes never own one at a time, as long as they hear each other. */
enum dive_role {
	DIVE_NONE,
	DIVE_OWNED,
	DIVE_LEAVING, /* dive_move.c: on its way to another node; it stands still */
	DIVE_LANDING, /* on its way from another node */
	DIVE_COPY /* dive_copy.c: of what another node owns */
};
struct dive_bucket {
	uint8_t role;
	uint32_t epoch; /* of its ownership, where it is owned, or was, or is copied from: more with each change of owner */
	uint32_t seen; /* the latest epoch that was heard of; never less */
	uint32_t told_epoch; /* what a claim was told last: of the copy here, and its version and 1; 0 = none */
	uint64_t told_copy;
	uint32_t parts; /* LANDING: that have come */
	uint64_t transfer; /* LANDING: which */
	bool keeps; /* LANDING: what is here is a copy, and stays until all has come, which is put aside */
	uint8_t *landing;
	size_t landing_n, landing_cap;
	uint64_t given_up; /* a transfer that must not come any more */
	uint64_t since_ms; /* of this role */
	uint64_t retry_ms; /* OWNED: not moved before */
	uint64_t left_ms; /* when it was given to another node; 0 = never */
	uint64_t hold_ms; /* OWNED: nothing is done before, so that it can leave */
	uint64_t version; /* OWNED, COPY: changes that it has seen */
	struct dk_addr former; /* OWNED: who had a copy in an earlier epoch, and may still; family 0 = nobody */
	struct dk_addr copy; /* OWNED: who has a copy, and of which version; family 0 = nobody */
	uint64_t copy_boot, copied;
	uint32_t copying; /* OWNED: changes and reads that wait for the copy */
	uint64_t leased_ms; /* OWNED: the copy will not be taken over before, */
	uint64_t leased_wall_ns; /* and not before that by the other clock */
	uint64_t promised_ms; /* COPY: it is not taken over before */
	struct dk_addr keeper; /* NONE, COPY: who was heard to own it; family 0 = not known. LANDING: who sends it */
};

struct dive_storage {
	struct dive_storage *next;
	struct dives *dives;
	const char *name;
	const char *type; /* "" = as this node */
	bool migration, copies;
	uint32_t clean_s;
	struct dive_store store;
	struct dive_memo memo;
	struct dive_bucket buckets[DIVE_BUCKETS];
	uint32_t owned; /* OWNED and LEAVING */
	uint16_t compared; /* the next bucket whose copy is looked at */
	bool calm; /* every bucket is where it should be, and so is its copy: nothing is looked at until something changes */
	struct dive_claim *claim; /* NULL = none */
	uint64_t claim_ms; /* no other one before */
	/* dive_view.c: the nodes that hold it */
	struct dk_addr *nodes;
	uint64_t *weights;
	size_t node_n, node_cap;
	bool mine; /* this node is one of them */
	uint64_t mark; /* of who they are */
	uint16_t owners[DIVE_BUCKETS]; /* index of who should own it */
	uint16_t seconds[DIVE_BUCKETS]; /* and of who should if that one is gone */
};

struct dives {
	struct dk_self base;
	struct dk_dive svc;
	struct dk_carrier *carrier; /* NULL: this node is alone */
	struct dk_cluster *cluster; /* likewise */
	struct dive_storage *storages;
	struct dk_table asks;
	uint64_t asker, last_number; /* of this node's changes */
	struct asking *first_change, *last_change; /* that are open, by number */
	struct dk_timer tick, sweep;
	struct dive_copying *copyings;
	uint32_t copy_n; /* that nobody waits for */
	struct dive_move *moves;
	uint32_t move_n;
	int64_t budget; /* bytes that may move now */
	uint64_t budget_us;
	uint64_t last_transfer;
	bool up, over; /* it serves; it does no more */
	uint64_t up_ms; /* since when */
	struct {
		uint64_t asked, asked_away, answered, retried, refused, failed, maybe, malformed, stale;
		uint64_t repeated, late, forgotten, checked, repaired;
		uint64_t claimed, copied, copies_failed, taken_over, moved_out, moved_in, moved_bytes, moves_failed, expired;
		int64_t keys, bytes, buckets, remembered, uncopied;
	} n;
};

static inline const struct dive_conf *dive_conf(const struct dives *d)
{
	return d->base.conf;
}

static inline bool dive_alone(const struct dives *d)
{
	return !d->carrier || !d->cluster;
}

/* ---- dive.c ---- */
struct dive_storage *dive_find(struct dives *d, dk_str name);
void dive_role(struct dive_storage *st, uint16_t bucket, enum dive_role role);
/* A later epoch was heard of, so somebody may have claimed it: whoever owns it claims it, too, and knows then. */
static inline void dive_doubt(struct dive_bucket *b, uint32_t seen)
{
	if (b->seen < seen)
		b->seen = seen;
	if (b->seen == b->epoch)
		b->seen++;
}
static inline bool dive_in_doubt(const struct dive_bucket *b)
{
	return b->seen > b->epoch;
}
/* It has this epoch now. */
static inline void dive_epoch(struct dive_bucket *b, uint32_t epoch)
{
	b->epoch = epoch;
	if (b->seen < epoch)
		b->seen = epoch;
}
/* Forgets its keys, and what was done to them. */
void dive_empty(struct dive_storage *st, uint16_t bucket);
/* Something changed: look at all buckets soon. */
void dive_look(struct dives *d);

/* ---- dive_ask.c ---- */
void dive_ask_init(struct dives *d);
void dive_ask_fini(struct dives *d);
void dive_ask_stop(struct dives *d); /* gives up what is open */

/* A change that was asked for here has its copy, or has none. */
void dive_ask_copied(struct dives *d, dk_id ask, int rc, struct dk_dive_list values);

/* ---- dive_serve.c ---- */
static inline bool dive_serves(const struct dives *d, const struct dive_bucket *b)
{
	return d->up && b->role == DIVE_OWNED && dk_now(d) >= b->hold_ms;
}

static inline bool dive_changes(const struct dive_order *o)
{
	return o->op != DK_DIVE_GET && o->op != DK_DIVE_LRANGE;
}

/* Does what is asked, at the owner, unless it was done before, and runs the filters. Returns what dk_dive_result.rc may be,
 * or DK_LATER: call or ask (one of them is 0) will be answered when the copy has it. ret_values is valid until the callback
 * returns. */
int dive_execute(struct dives *d, struct dive_storage *st, struct dive_order *o, const struct dive_number *number, dk_id call,
		 dk_id ask, struct dk_dive_list *ret_values);
void dive_write_addr(struct dk_writer *w, const struct dk_addr *a);
void dive_read_addr(struct dk_cursor *c, struct dk_addr *ret_addr);

/* ---- dive_view.c ---- */
/* Looks who holds it now, and who should own what. */
void dive_view_refresh(struct dives *d, struct dive_storage *st);
void dive_view_fini(struct dive_storage *st);
/* Who should own that bucket; NULL = nobody does, or this node. */
const struct dk_addr *dive_view_other(const struct dive_storage *st, uint16_t bucket);
/* The node that should have the copy of what this node owns; NULL = there is no other one. */
const struct dk_addr *dive_view_backup(const struct dive_storage *st, uint16_t bucket);
/* True when this node should have the copy of a bucket that another one owns. */
bool dive_view_second(const struct dive_storage *st, uint16_t bucket);
/* True when this node should. */
bool dive_view_mine(const struct dive_storage *st, uint16_t bucket);
/* A number for the set of all nodes that are there, this one included: alike on nodes that see the same. Not alone. */
uint64_t dive_view_everybody(struct dives *d);
static inline bool dive_there(const struct dk_cluster_node *n)
{
	return n && (n->health == DK_ALIVE || n->health == DK_SUSPECT);
}

/* ---- dive_claim.c, dive_claimed.c ---- */
enum dive_objection { DIVE_FREE, DIVE_OWNED_HERE, DIVE_SPOKEN_FOR };
/* Another node claims it, too: false if it is this one's turn. */
bool dive_claim_yields(struct dives *d, struct dive_storage *st, uint16_t bucket, const struct dk_addr *to);
void dive_claim_look(struct dives *d, struct dive_storage *st);
void dive_claim_fini(struct dives *d);

/* ---- dive_copy.c ---- */
static inline bool dive_copies(const struct dive_storage *st)
{
	return st->copies && !dive_alone(st->dives);
}
/* A change was done; done: as what, NULL = it has no number. Returns 0 (there is nobody to copy it to), DK_LATER (call or ask
 * will be answered) or DK_DIVE_MAYBE. */
int dive_copy_begin(struct dives *d, struct dive_storage *st, dk_str key, const struct dive_done *done, dk_id call, dk_id ask,
		    struct dk_dive_list values);
/* Something was read here, or came to nothing, or was done before: it counts if the copy has all that is here, and will not be
 * taken over. outcome: 0, or what came of it (more than 0). Returns that, DK_LATER, or as above, or -ENOMEM for a read. */
int dive_copy_check(struct dives *d, struct dive_storage *st, uint16_t bucket, bool read, int outcome, dk_id call, dk_id ask,
		    struct dk_dive_list values);
void dive_copy_drop(struct dives *d, struct dive_storage *st, uint16_t bucket, const struct dk_addr *at);
void dive_copy_look(struct dives *d, struct dive_storage *st);
/* An owner whose copy is to be elsewhere now. The bucket needs a new epoch first: the old copy may have been taken over. */
bool dive_copy_parts(const struct dive_storage *st, uint16_t bucket);
/* It has it: the changes that wait for a copy wait for one of that epoch. */
void dive_copy_anew(struct dives *d, struct dive_storage *st, uint16_t bucket);
/* Another node owns it, in a later epoch. */
void dive_step_down(struct dives *d, struct dive_storage *st, uint16_t bucket);
void dive_copy_fini(struct dives *d);

/* ---- dive_compare.c ---- */
void dive_compare_look(struct dives *d, struct dive_storage *st); /* once a second */

/* ---- dive_parcel.c: a bucket as bytes ---- */
/* All keys, and what was done to them. */
size_t dive_parcel_size(const struct dive_storage *st, uint16_t bucket);
void dive_parcel_pack(struct dive_storage *st, uint16_t bucket, struct dk_writer *w);
/* Adds what comes to what is there. Returns 0, -EINVAL (counted) or -ENOMEM. */
int dive_parcel_unpack(struct dive_storage *st, uint16_t bucket, dk_slice bytes);
/* How many bytes of it are whole things, and few enough for one part. */
size_t dive_parcel_part(dk_slice bytes, size_t most);

/* ---- dive_move.c ---- */
void dive_move_look(struct dives *d, struct dive_storage *st);
void dive_move_fini(struct dives *d);

/* ---- dive_land.c ---- */
/* Gives up what has begun to come; a copy stays one. Nothing, where nothing has. */
void dive_land_nowhere(struct dive_storage *st, uint16_t bucket);
void dive_land_look(struct dives *d, struct dive_storage *st); /* once a second: what comes no more */
void dive_land_free(struct dive_storage *st, uint16_t bucket);

#endif
