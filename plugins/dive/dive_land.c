/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets that come from the node that owned them (dive_move.c), in parts, of which the last one makes this node their owner. A
 * bucket of which this node has the copy stays that copy until all of it is here: its owner may die on the way, and then there is
 * no other one. What has begun to come and goes on no more is given up: when its sender is gone, when it says otherwise, or after
 * some time.
 */
#include "dive_state.h"

enum { SILENT_MS = 5000 };

void dive_land_free(struct dive_storage *st, uint16_t bucket)
{
	struct dive_bucket *b = &st->buckets[bucket];

	dk_free(st->dives, b->landing, b->landing_cap);
	b->landing = NULL;
	b->landing_n = b->landing_cap = 0;
	b->keeps = false;
}

/* What was here before is here still, or nothing is. */
void dive_land_nowhere(struct dive_storage *st, uint16_t bucket)
{
	struct dive_bucket *b = &st->buckets[bucket];
	bool keeps = b->keeps;

	if (b->role != DIVE_LANDING)
		return;
	if (!keeps)
		dive_empty(st, bucket);
	dive_land_free(st, bucket);
	dive_role(st, bucket, keeps ? DIVE_COPY : DIVE_NONE);
}

void dive_land_look(struct dives *d, struct dive_storage *st)
{
	for (uint16_t i = 0; i < DIVE_BUCKETS; i++) {
		struct dive_bucket *b = &st->buckets[i];

		if (b->role == DIVE_LANDING &&
		    (dk_now(d) - b->since_ms > SILENT_MS || !dive_there(d->cluster->node(d->cluster, &b->keeper))))
			dive_land_nowhere(st, i);
	}
}

/* Returns enum dive_elsewhere, or 0: this part may come. */
static int admit(struct dives *d, struct dive_storage *st, uint16_t bucket, uint32_t epoch, uint64_t transfer, uint32_t part)
{
	struct dive_bucket *b = &st->buckets[bucket];
	bool keeps;

	if (part)
		return b->role == DIVE_LANDING && b->transfer == transfer && b->parts == part ? 0 : DIVE_NOT_MINE;
	/* Of two owners of one epoch, as after a cut, that one stays which the other one wants to give it to. */
	if (b->epoch > epoch || (b->epoch == epoch && (b->role == DIVE_OWNED || b->role == DIVE_LEAVING)))
		return DIVE_STALE;
	if (b->seen > epoch)
		return DIVE_CLAIM;
	if (b->role == DIVE_LEAVING || b->given_up == transfer || !d->up || dk_node_state(d) == DK_OFFLINE)
		return DIVE_NOT_MINE;
	dive_land_nowhere(st, bucket);
	keeps = b->role == DIVE_COPY;
	if (!keeps)
		dive_empty(st, bucket);
	dive_role(st, bucket, DIVE_LANDING);
	b->keeps = keeps;
	b->transfer = transfer;
	b->parts = 0;
	return 0;
}

static int put_aside(struct dives *d, struct dive_bucket *b, dk_slice keys)
{
	size_t cap = b->landing_cap ? b->landing_cap : 4096;
	uint8_t *p;

	while (cap < b->landing_n + keys.n)
		cap *= 2;
	if (cap > b->landing_cap) {
		p = dk_realloc(d, b->landing, b->landing_cap, cap);
		if (!p)
			return -ENOMEM;
		b->landing = p;
		b->landing_cap = cap;
	}
	if (keys.n)
		memcpy(b->landing + b->landing_n, keys.p, keys.n);
	b->landing_n += keys.n;
	return 0;
}

static int take(struct dives *d, struct dive_storage *st, uint16_t bucket, bool last, dk_slice keys)
{
	struct dive_bucket *b = &st->buckets[bucket];
	int rc;

	if (!b->keeps)
		return dive_parcel_unpack(st, bucket, keys);
	rc = put_aside(d, b, keys);
	if (rc || !last)
		return rc;
	b->keeps = false;
	dive_empty(st, bucket);
	return dive_parcel_unpack(st, bucket, dk_slice_n(b->landing, b->landing_n));
}

static void now_owned(struct dives *d, struct dive_storage *st, uint16_t bucket, uint32_t epoch)
{
	struct dive_bucket *b = &st->buckets[bucket];

	dive_land_free(st, bucket);
	dive_epoch(b, epoch);
	b->version = 0;
	b->copy.family = 0;
	b->hold_ms = 0;
	dive_role(st, bucket, DIVE_OWNED);
	d->n.moved_in++;
}

/* It came, if it is here or was here in a later epoch. If not, what is still on its way is not taken any more. */
static int has_come(struct dive_storage *st, uint16_t bucket, uint32_t epoch, uint64_t transfer)
{
	struct dive_bucket *b = &st->buckets[bucket];

	if (b->epoch > epoch)
		return 0;
	if (b->transfer == transfer)
		dive_land_nowhere(st, bucket);
	b->given_up = transfer;
	return DIVE_NOT_MINE;
}

int dive_on_migrate(struct dives *d, struct dk_call *call, dk_str storage, uint16_t bucket, uint32_t epoch, uint64_t transfer,
		    uint32_t part, bool last, bool ask, dk_slice keys)
{
	struct dive_storage *st = dive_find(d, storage);
	struct dive_bucket *b;
	int outcome;

	if (!st || bucket >= DIVE_BUCKETS)
		return dive_on_migrate_answer(call, DIVE_NOT_MINE, 0);
	b = &st->buckets[bucket];
	if (ask) {
		outcome = has_come(st, bucket, epoch, transfer);
		return dive_on_migrate_answer(call, (uint8_t)outcome, b->epoch);
	}
	outcome = admit(d, st, bucket, epoch, transfer, part);
	if (outcome == 0 && take(d, st, bucket, last, keys))
		outcome = DIVE_NOT_MINE;
	if (outcome) {
		if (outcome == DIVE_NOT_MINE && b->transfer == transfer)
			dive_land_nowhere(st, bucket);
		return dive_on_migrate_answer(call, (uint8_t)outcome, outcome == DIVE_CLAIM ? b->seen : b->epoch);
	}
	b->parts++;
	b->since_ms = dk_now(d);
	b->keeper = call->from;
	if (last)
		now_owned(d, st, bucket, epoch + 1);
	return dive_on_migrate_answer(call, 0, b->epoch);
}
