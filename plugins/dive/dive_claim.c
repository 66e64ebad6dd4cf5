/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets that this node should own, and that nobody gave it: the cluster is new, or their owner is gone. All nodes are asked at
 * once. Where one of them objects, because it owns the bucket or knows who is about to, this node waits for it to come. Where
 * nobody does, all nodes are told of the epoch, which is above all that were heard of, and when they have it the bucket is owned:
 * by who has the best copy, or by this node. Of two nodes that claim one bucket the heavier gets it.
 *
 * A claim counts only if every node answered and sees the same nodes, if they are still the same, and if this one is with the
 * majority: a node that is cut off takes nothing over. As most nodes know of the epoch, who owned the bucket before finds nobody
 * any more that keeps a copy for it. An owner whose copy has to be elsewhere claims its own bucket in the same way, and finds out
 * whether it still owns it.
 */
#include "dive_state.h"

enum {
	ANSWER_MS = 1000,
	PAUSE_MS = 250, /* after a claim that left something */
	FIRST_MS = 3000 /* a node that serves since less may not have heard of the others yet */
};

struct dive_claim {
	struct dive_storage *st;
	struct dive_claim_part *parts;
	uint64_t everybody;
	uint32_t waiting;
	bool failed, telling; /* telling: the second round */
	uint8_t sent[DIVE_BUCKETS / 8], left[DIVE_BUCKETS / 8];
	uint32_t epochs[DIVE_BUCKETS]; /* the latest that was heard of; telling: what it is to have */
	/* the best copy elsewhere: its epoch, its version and 1; 0 = none */
	uint32_t copy_epochs[DIVE_BUCKETS];
	uint64_t copies[DIVE_BUCKETS];
	struct dk_addr copy_at[DIVE_BUCKETS];
	struct dk_addr keepers[DIVE_BUCKETS]; /* who owns it, and in which epoch */
	uint32_t keeper_epochs[DIVE_BUCKETS];
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

static bool wanted(struct dives *d, const struct dive_storage *st, uint16_t i)
{
	const struct dive_bucket *b = &st->buckets[i];

	if (b->role == DIVE_OWNED)
		return dive_copy_parts(st, i) || dive_in_doubt(b);
	if (!dive_view_mine(st, i))
		return false;
	if (b->role == DIVE_COPY && dk_now(d) < b->promised_ms)
		return false;
	return b->role == DIVE_NONE || b->role == DIVE_COPY;
}

static void own(struct dives *d, struct dive_storage *st, uint16_t i, uint32_t epoch)
{
	if (st->buckets[i].role != DIVE_COPY)
		dive_empty(st, i);
	else
		d->n.taken_over++;
	dive_epoch(&st->buckets[i], epoch);
	dive_role(st, i, DIVE_OWNED);
	d->n.claimed++;
}

static void promote(struct dives *d, struct dive_claim *c, uint16_t i)
{
	uint8_t buf[2 + DK_DIVE_STORAGE_MAX + 8];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dive_on_promote_pack(&w, dk_str_c(c->st->name), i, c->epochs[i]);
	d->carrier->send(d->carrier, &c->copy_at[i], DK_VER_NODE, 643, dk_written(&w), DK_RELIABLE);
	c->st->buckets[i].left_ms = dk_now(d);
}

/* This node owns it; is it so? Then its copy may be elsewhere. */
static void go_on(struct dives *d, struct dive_claim *c, uint16_t i)
{
	struct dive_bucket *b = &c->st->buckets[i];

	if (c->copies[i] && c->copy_epochs[i] > b->epoch) {
		dive_step_down(d, c->st, i);
		return;
	}
	dive_epoch(b, c->epochs[i]);
	b->former = b->copy;
	b->copy.family = 0;
	b->leased_ms = 0;
	dive_copy_anew(d, c->st, i);
}

/* Nobody else owns it. A copy of the latest epoch is worth more than none; of two copies the one that saw more. */
static void settle(struct dives *d, struct dive_claim *c, uint16_t i)
{
	struct dive_bucket *b = &c->st->buckets[i];
	bool here = b->role == DIVE_COPY, there = c->copies[i] != 0;

	if (b->role == DIVE_OWNED)
		go_on(d, c, i);
	else if (there &&
		 (!here || c->copy_epochs[i] > b->epoch || (c->copy_epochs[i] == b->epoch && c->copies[i] > b->version + 1)))
		promote(d, c, i);
	else
		own(d, c->st, i, c->epochs[i]);
}

static bool good(struct dives *d, const struct dive_claim *c)
{
	return !c->failed && c->everybody == dive_view_everybody(d) && d->cluster->majority(d->cluster);
}

static void over(struct dives *d, struct dive_claim *c)
{
	c->st->claim_ms = dk_now(d) + PAUSE_MS;
	claim_free(d, c);
}

/* All have answered what they were told. */
static void conclude(struct dives *d, struct dive_claim *c)
{
	for (uint16_t i = 0; i < DIVE_BUCKETS && good(d, c); i++)
		if (bit(c->left, i) && wanted(d, c->st, i) && c->st->buckets[i].seen <= c->epochs[i])
			settle(d, c, i);
	over(d, c);
}

static void tell(struct dives *d, struct dive_claim *c);
static void answered(void *self, void *arg, int err, int status, dk_slice body);

/* All have answered what they were asked. */
static void choose(struct dives *d, struct dive_claim *c)
{
	struct dive_storage *st = c->st;
	bool any = false;

	for (uint16_t i = 0; i < DIVE_BUCKETS; i++) {
		struct dive_bucket *b = &st->buckets[i];

		if (!bit(c->sent, i) || !wanted(d, st, i)) {
			clear_bit(c->left, i);
			continue;
		}
		if (b->role == DIVE_OWNED && c->keepers[i].family && c->keeper_epochs[i] > b->epoch)
			dive_step_down(d, st, i);
		if (b->role != DIVE_OWNED)
			b->keeper = c->keepers[i];
		/* Two more: it may have been on its way to a node that is gone, and come there. */
		c->epochs[i] = (c->epochs[i] > b->seen ? c->epochs[i] : b->seen) + 2;
		any |= bit(c->left, i);
	}
	if (any && good(d, c))
		tell(d, c);
	else
		over(d, c);
}

static void one_less(struct dives *d, struct dive_claim *c)
{
	if (--c->waiting)
		return;
	if (c->telling)
		conclude(d, c);
	else
		choose(d, c);
}

/* dk_carrier_done_fn; who has no dive answers with an error */
static void heard(void *self, void *arg, int err, int status, dk_slice body)
{
	struct dive_claim_part *p = arg;
	struct dive_claim *c = p->claim;
	struct dk_cursor in = dk_cursor_of(body);

	p->request = 0;
	c->failed |= err != 0;
	while (err == 0 && status == DK_STATUS_OK && in.p < in.end && !in.bad) {
		uint16_t i = dk_rd_u16(&in);

		if (in.bad || i >= DIVE_BUCKETS)
			c->failed = true;
		else
			clear_bit(c->left, i);
	}
	one_less(self, c);
}

static bool request(struct dives *d, struct dive_claim *c, const struct dk_addr *at, dk_slice payload)
{
	struct dive_claim_part *p = dk_alloc(d, sizeof(*p));

	if (!p)
		return false;
	p->claim = c;
	p->at = *at;
	if (d->carrier->request(d->carrier, d, at, DK_VER_NODE, c->telling ? 644 : 641, payload, ANSWER_MS,
				c->telling ? heard : answered, p, &p->request)) {
		dk_free(d, p, sizeof(*p));
		return false;
	}
	p->next = c->parts;
	c->parts = p;
	c->waiting++;
	return true;
}

/* Everybody, at once. */
static void ask(struct dives *d, struct dive_claim *c, dk_slice payload)
{
	const struct dk_cluster_node *n;
	uint32_t slot = 0;

	c->waiting = 1;
	while ((n = d->cluster->next(d->cluster, &slot)))
		if (dive_there(n) && !request(d, c, &n->addr, payload))
			c->failed = true;
	one_less(d, c);
}

static void tell(struct dives *d, struct dive_claim *c)
{
	uint8_t buf[2 + DK_DIVE_STORAGE_MAX + DIVE_BUCKETS * 6], epochs[DIVE_BUCKETS * 6];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), e = dk_writer_on(epochs, sizeof(epochs));

	for (uint16_t i = 0; i < DIVE_BUCKETS; i++) {
		if (!bit(c->left, i))
			continue;
		dk_wr_u16(&e, i);
		dk_wr_u32(&e, c->epochs[i]);
		c->st->buckets[i].seen = c->epochs[i]; /* whatever comes of it: nobody else may have that one */
	}
	dive_on_epoch_pack(&w, dk_str_c(c->st->name), dk_written(&e));
	c->telling = true;
	ask(d, c, dk_written(&w));
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
		uint32_t seen, epoch;
		uint64_t copy;

		if (!bit(c->sent, i))
			continue;
		objection = dk_rd_u8(&in);
		seen = dk_rd_u32(&in);
		epoch = dk_rd_u32(&in);
		copy = dk_rd_u64(&in);
		if (in.bad) {
			c->failed = true;
			break;
		}
		if (seen > c->epochs[i])
			c->epochs[i] = seen;
		if (copy && (epoch > c->copy_epochs[i] || (epoch == c->copy_epochs[i] && copy > c->copies[i]))) {
			c->copy_epochs[i] = epoch;
			c->copies[i] = copy;
			c->copy_at[i] = p->at;
		}
		if (objection)
			clear_bit(c->left, i);
		if (objection == DIVE_OWNED_HERE && (!c->keepers[i].family || epoch > c->keeper_epochs[i])) {
			c->keepers[i] = p->at;
			c->keeper_epochs[i] = epoch;
		}
	}
	one_less(self, c);
}

/* Alone there is nobody to ask. */
static void take_all(struct dives *d, struct dive_storage *st)
{
	for (uint16_t i = 0; i < DIVE_BUCKETS; i++)
		if (wanted(d, st, i))
			own(d, st, i, st->buckets[i].seen + 1);
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
	struct dive_claim *c;
	bool any = false;

	if (dive_alone(d)) {
		take_all(d, st);
		return;
	}
	for (uint16_t i = 0; i < DIVE_BUCKETS && !any; i++) {
		any = wanted(d, st, i);
		if (any || (dive_view_mine(st, i) && st->buckets[i].role != DIVE_OWNED))
			st->calm = false;
	}
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
	ask(d, c, dk_written(&w));
}

bool dive_claim_yields(struct dives *d, struct dive_storage *st, uint16_t bucket, const struct dk_addr *to)
{
	struct dive_claim *c = st->claim;

	if (!c || !bit(c->left, bucket))
		return true;
	if (c->telling || dive_hrw_weight(dive_hrw_node(dk_node_addr(d)), bucket) > dive_hrw_weight(dive_hrw_node(to), bucket))
		return false;
	clear_bit(c->left, bucket);
	return true;
}
