/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets that this node should own, and that nobody gave it: the cluster is new, or their owner is gone. All nodes are asked at
 * once. Where one of them objects, because it owns the bucket or knows who is about to, this node waits for it to come. Where
 * nobody does it is owned from then on, with an epoch above all that were heard of. Of two nodes that claim one bucket the heavier
 * gets it.
 *
 * A claim counts only if every node answered and sees the same nodes, if they are still the same, and if this one is with the
 * majority: a node that is cut off takes nothing over.
 */
#include "dive_state.h"

enum {
	ANSWER_MS = 1000,
	PAUSE_MS = 250, /* after a claim that left something */
	LEFT_MS = 5000, /* a bucket given away is spoken for by its new owner or nobody for that long */
	FIRST_MS = 3000, /* a node that serves since less may not have heard of the others yet */
	LANDED_MS = 5000 /* one that began to come and stopped is given up */
};

enum objection { FREE, OWNED_HERE, SPOKEN_FOR };

struct dive_claim {
	struct dive_storage *st;
	struct dive_claim_part *parts;
	uint64_t everybody;
	uint32_t waiting;
	bool failed;
	uint8_t sent[DIVE_BUCKETS / 8], left[DIVE_BUCKETS / 8];
	uint32_t epochs[DIVE_BUCKETS];
	uint64_t copies[DIVE_BUCKETS]; /* the best copy of the latest epoch elsewhere: its version and 1; 0 = none */
	struct dk_addr copy_at[DIVE_BUCKETS];
	struct dk_addr keepers[DIVE_BUCKETS];
};

struct dive_claim_part {
	struct dive_claim_part *next;
	struct dive_claim *claim; /* NULL: it is over */
	struct dk_addr at;
	dk_id request;
};

static bool bit(const uint8_t *bits, uint16_t b)
{
	return bits[b / 8] >> (b % 8) & 1;
}

static void set_bit(uint8_t *bits, uint16_t b)
{
	bits[b / 8] = (uint8_t)(bits[b / 8] | 1u << (b % 8));
}

static void clear_bit(uint8_t *bits, uint16_t b)
{
	bits[b / 8] = (uint8_t)(bits[b / 8] & ~(1u << (b % 8)));
}

static void claim_free(struct dives *d, struct dive_claim *c)
{
	struct dive_claim_part *p;

	while ((p = c->parts)) {
		c->parts = p->next;
		if (p->request)
			d->carrier->cancel(d->carrier, p->request);
		dk_free(d, p, sizeof(*p));
	}
	c->st->claim = NULL;
	dk_free(d, c, sizeof(*c));
}

void dive_claim_fini(struct dives *d)
{
	for (struct dive_storage *st = d->storages; st; st = st->next)
		if (st->claim)
			claim_free(d, st->claim);
}

/* A landing that has stopped is nothing. */
static bool wanted(struct dives *d, const struct dive_storage *st, uint16_t i)
{
	const struct dive_bucket *b = &st->buckets[i];

	if (!dive_view_mine(st, i))
		return false;
	if (b->role == DIVE_COPY && dk_now(d) < b->promised_ms)
		return false;
	return b->role == DIVE_NONE || b->role == DIVE_COPY || (b->role == DIVE_LANDING && dk_now(d) - b->since_ms > LANDED_MS);
}

static void own(struct dives *d, struct dive_storage *st, uint16_t i, uint32_t epoch)
{
	if (st->buckets[i].role != DIVE_COPY)
		dive_empty(st, i);
	else
		d->n.taken_over++;
	st->buckets[i].epoch = epoch;
	dive_role(st, i, DIVE_OWNED);
	d->n.claimed++;
}

/* Nobody owns it. A copy of the latest epoch is worth more than none; of two copies the one that saw more. */
static void settle(struct dives *d, struct dive_claim *c, uint16_t i)
{
	struct dive_bucket *b = &c->st->buckets[i];
	uint64_t here = b->role == DIVE_COPY && b->epoch >= c->epochs[i] ? b->version + 1 : 0;
	uint64_t there = c->epochs[i] >= b->epoch ? c->copies[i] : 0;
	/* Two more: it may have been on its way to a node that is gone, and come there. */
	uint32_t epoch = (c->epochs[i] > b->epoch ? c->epochs[i] : b->epoch) + 2;
	uint8_t buf[2 + DK_DIVE_STORAGE_MAX + 8];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (there > here || (there && b->epoch < c->epochs[i])) {
		dive_on_promote_pack(&w, dk_str_c(c->st->name), i, epoch);
		d->carrier->send(d->carrier, &c->copy_at[i], DK_VER_NODE, 643, dk_written(&w), DK_RELIABLE);
		b->left_ms = dk_now(d);
		return;
	}
	if (!here && b->role == DIVE_COPY) /* of an epoch that has passed */
		dive_role(c->st, i, DIVE_NONE); /* own() forgets what is in it */
	own(d, c->st, i, epoch);
}

static void conclude(struct dives *d, struct dive_claim *c)
{
	struct dive_storage *st = c->st;
	bool good = !c->failed && c->everybody == dive_view_everybody(d) && d->cluster->majority(d->cluster);

	for (uint16_t i = 0; i < DIVE_BUCKETS; i++) {
		struct dive_bucket *b = &st->buckets[i];

		if (!bit(c->sent, i) || !wanted(d, st, i))
			continue;
		b->keeper = c->keepers[i];
		if (good && bit(c->left, i))
			settle(d, c, i);
	}
	st->claim_ms = dk_now(d) + PAUSE_MS;
	claim_free(d, c);
}

/* dk_carrier_done_fn */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct dive_claim_part *p = arg;
	struct dive_claim *c = p->claim;
	struct dk_cursor in = dk_cursor_of(body);

	p->request = 0;
	/* Whoever sees other nodes knows of owners that were not asked. Who has no dive answers with an error. */
	if (err || (status == DK_STATUS_OK && dk_rd_u64(&in) != c->everybody))
		c->failed = true;
	for (uint16_t i = 0; !err && status == DK_STATUS_OK && in.p < in.end && i < DIVE_BUCKETS; i++) {
		uint8_t objection;
		uint32_t epoch;
		uint64_t copy;

		if (!bit(c->sent, i))
			continue;
		objection = dk_rd_u8(&in);
		epoch = dk_rd_u32(&in);
		copy = dk_rd_u64(&in);
		if (in.bad) {
			c->failed = true;
			break;
		}
		if (epoch > c->epochs[i]) {
			c->epochs[i] = epoch;
			c->copies[i] = 0;
		}
		if (epoch == c->epochs[i] && copy > c->copies[i]) {
			c->copies[i] = copy;
			c->copy_at[i] = p->at;
		}
		if (objection)
			clear_bit(c->left, i);
		if (objection == OWNED_HERE)
			c->keepers[i] = p->at;
	}
	if (--c->waiting == 0)
		conclude(self, c);
}

static bool ask(struct dives *d, struct dive_claim *c, const struct dk_addr *at, dk_slice payload)
{
	struct dive_claim_part *p = dk_alloc(d, sizeof(*p));

	if (!p)
		return false;
	p->claim = c;
	p->at = *at;
	if (d->carrier->request(d->carrier, d, at, DK_VER_NODE, 641, payload, ANSWER_MS, answered, p, &p->request)) {
		dk_free(d, p, sizeof(*p));
		return false;
	}
	p->next = c->parts;
	c->parts = p;
	c->waiting++;
	return true;
}

/* Alone there is nobody to ask. */
static void take_all(struct dives *d, struct dive_storage *st)
{
	for (uint16_t i = 0; i < DIVE_BUCKETS; i++)
		if (wanted(d, st, i))
			own(d, st, i, st->buckets[i].epoch + 1);
}

static bool may_claim(struct dives *d, const struct dive_storage *st)
{
	if (!d->up || st->claim || dk_now(d) < st->claim_ms)
		return false;
	if (st->node_n < 2 && dk_now(d) - d->up_ms < FIRST_MS)
		return false;
	return d->cluster->synced_once(d->cluster) && d->cluster->majority(d->cluster);
}

void dive_claim_look(struct dives *d, struct dive_storage *st)
{
	uint8_t buf[2 + DK_DIVE_STORAGE_MAX + DIVE_BUCKETS / 8];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	const struct dk_cluster_node *n;
	struct dive_claim *c;
	uint32_t slot = 0;
	bool any = false;

	if (dive_alone(d)) {
		take_all(d, st);
		return;
	}
	for (uint16_t i = 0; i < DIVE_BUCKETS && !any; i++)
		any = wanted(d, st, i);
	if (!any || !may_claim(d, st))
		return;
	c = dk_alloc(d, sizeof(*c));
	if (!c)
		return;
	c->st = st;
	st->claim = c;
	for (uint16_t i = 0; i < DIVE_BUCKETS; i++)
		if (wanted(d, st, i))
			set_bit(c->sent, i);
	memcpy(c->left, c->sent, sizeof(c->left));
	c->everybody = dive_view_everybody(d);
	dive_on_claim_pack(&w, dk_str_c(st->name), dk_slice_n(c->sent, sizeof(c->sent)));
	while ((n = d->cluster->next(d->cluster, &slot)))
		if (dive_there(n) && !ask(d, c, &n->addr, dk_written(&w)))
			c->failed = true;
	if (!c->waiting)
		conclude(d, c);
}

/* ---- being asked ---- */

static enum objection objection(struct dives *d, struct dive_storage *st, uint16_t i, uint64_t caller)
{
	struct dive_bucket *b = &st->buckets[i];

	switch (b->role) {
	case DIVE_OWNED:
	case DIVE_LEAVING:
		return OWNED_HERE;
	case DIVE_LANDING:
		return dk_now(d) - b->since_ms > LANDED_MS ? FREE : SPOKEN_FOR;
	case DIVE_COPY:
		if (dk_now(d) < b->promised_ms)
			return SPOKEN_FOR;
		break;
	default:
		break;
	}
	if (b->left_ms && dk_now(d) - b->left_ms < LEFT_MS)
		return SPOKEN_FOR;
	if (!st->claim || !bit(st->claim->left, i))
		return FREE;
	if (dive_hrw_weight(dive_hrw_node(dk_node_addr(d)), i) > dive_hrw_weight(caller, i))
		return SPOKEN_FOR;
	clear_bit(st->claim->left, i);
	return FREE;
}

int dive_on_claim(struct dives *d, struct dk_call *call, dk_str storage, dk_slice buckets)
{
	uint8_t buf[DIVE_BUCKETS * 13];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dive_storage *st = dive_find(d, storage);
	uint64_t caller = dive_hrw_node(&call->from);

	if (buckets.n != DIVE_BUCKETS / 8) {
		d->n.malformed++;
		return dk_refuse(call, DK_E_PARAMS, "%d bytes were expected, a bit for each bucket; these are %zu",
				 DIVE_BUCKETS / 8, buckets.n);
	}
	for (uint16_t i = 0; st && i < DIVE_BUCKETS; i++) {
		if (!bit(buckets.p, i))
			continue;
		dk_wr_u8(&w, (uint8_t)objection(d, st, i, caller));
		dk_wr_u32(&w, st->buckets[i].epoch);
		dk_wr_u64(&w, st->buckets[i].role == DIVE_COPY ? st->buckets[i].version + 1 : 0);
	}
	return dive_on_claim_answer(call, dive_alone(d) ? 0 : dive_view_everybody(d), dk_written(&w));
}
