/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of buckets on one more node, where a storage wants them: that of the second highest weight, which is the one that should
 * own the bucket once its owner is gone. A change is done at the owner, sent to the copy, and answered when the copy has it.
 * Changes are numbered; a copy that missed one asks for the whole bucket. A node in the minority changes nothing.
 *
 * When the copy does not answer, the change waits for it until it is another node's turn to keep the copy, or there is no other
 * node, or its time is over; then nobody can say whether it will last.
 */
#include "dive_state.h"

enum {
	ANSWER_MS = 1000,
	AGAIN_MS = 50,
	PATIENCE_MS = 5000,
	AT_ONCE = 64, /* whole buckets that nobody waits for */
	WHOLE_MAX = 8 << 20
};

struct dive_copying {
	struct dive_copying *next, **link;
	struct dives *d;
	struct dive_storage *st;
	uint16_t bucket;
	uint32_t epoch;
	uint64_t version, sent; /* to be copied; of what was sent last */
	dk_id call, ask; /* who waits; both 0 = nobody does */
	uint8_t *values;
	size_t size;
	uint32_t n;
	struct dk_addr to;
	uint64_t boot, until_ms;
	struct dk_timer timer;
	dk_id request;
};

static void copying_free(struct dive_copying *c)
{
	struct dives *d = c->d;

	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	c->st->buckets[c->bucket].copying--;
	if (!c->call && !c->ask)
		d->copy_n--;
	dk_timer_stop(&c->timer);
	if (c->request)
		d->carrier->cancel(d->carrier, c->request);
	dk_free(d, c->values, c->size);
	dk_free(d, c, sizeof(*c));
}

void dive_copy_fini(struct dives *d)
{
	while (d->copyings)
		copying_free(d->copyings);
}

static void end(struct dive_copying *c, int rc)
{
	struct dives *d = c->d;
	struct dk_dive_list values = { dk_slice_n(c->values, c->size), c->n };
	struct dk_call *call = dk_call_get(d, c->call);
	dk_id id = c->call;

	if (rc)
		d->n.copies_failed++;
	if (call) {
		dive_on_get_answer(call, (uint8_t)rc, rc ? 0 : values.n, rc ? dk_slice_n(NULL, 0) : values.bytes);
		dk_call_done(d, id, 0);
	} else if (c->ask) {
		dive_ask_copied(d, c->ask, rc, values);
	}
	copying_free(c);
}

/* ---- sending ---- */

static void answered(void *self, void *arg, int err, int status, dk_slice body);

static int send_bytes(struct dive_copying *c, bool whole, dk_slice keys)
{
	struct dives *d = c->d;
	size_t cap = 2 + DK_DIVE_STORAGE_MAX + 2 + 4 + 8 + 2 + keys.n;
	uint8_t *buf = dk_alloc(d, cap);
	struct dk_writer w = dk_writer_on(buf, cap);
	int rc = -ENOMEM;

	dive_on_copy_pack(&w, dk_str_c(c->st->name), c->bucket, c->epoch, c->sent, whole, false, keys);
	if (!w.bad)
		rc = d->carrier->request(d->carrier, d, &c->to, DK_VER_NODE, 642, dk_written(&w), ANSWER_MS, answered, c,
					 &c->request);
	dk_free(d, buf, cap);
	return rc;
}

static int send_whole(struct dive_copying *c)
{
	struct dives *d = c->d;
	struct dive_entry *e;
	struct dk_writer w;
	size_t size = 0;
	uint8_t *buf;
	int rc;

	for (e = c->st->store.buckets[c->bucket]; e; e = e->next)
		size += dive_store_packed(e);
	if (size > WHOLE_MAX)
		return -ENOMEM;
	buf = dk_alloc(d, size + 1);
	w = dk_writer_on(buf, size);
	for (e = c->st->store.buckets[c->bucket]; e; e = e->next)
		dive_store_pack(&w, e, dk_now(d));
	c->sent = c->st->buckets[c->bucket].version;
	rc = w.bad ? -ENOMEM : send_bytes(c, true, dk_written(&w));
	dk_free(d, buf, size + 1);
	return rc;
}

static bool choose(struct dive_copying *c)
{
	const struct dk_addr *to = dive_view_backup(c->st, c->bucket);
	const struct dk_cluster_node *n = to ? c->d->cluster->node(c->d->cluster, to) : NULL;

	if (!n)
		return false;
	c->to = *to;
	c->boot = n->boot;
	return true;
}

static void attempt(struct dive_copying *c);

static void on_again(void *self, struct dk_timer *t)
{
	(void)self;
	attempt(dk_container_of(t, struct dive_copying, timer));
}

/* What is left to do is to get the whole of the bucket there. */
static void attempt(struct dive_copying *c)
{
	struct dives *d = c->d;
	const struct dive_bucket *b = &c->st->buckets[c->bucket];

	if ((b->role != DIVE_OWNED && b->role != DIVE_LEAVING) || b->epoch != c->epoch)
		end(c, DK_DIVE_MAYBE);
	else if (dk_now(d) >= c->until_ms || !d->cluster->majority(d->cluster))
		end(c, DK_DIVE_MAYBE);
	else if (!choose(c))
		end(c, 0); /* there is no other node any more */
	else if (dk_addr_eq(&b->copy, &c->to) && b->copy_boot == c->boot && b->copied >= c->version)
		end(c, 0);
	else if (send_whole(c))
		dk_timer_start(d, &c->timer, AGAIN_MS, 0, on_again);
}

/* dk_carrier_done_fn */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct dive_copying *c = arg;
	struct dives *d = self;
	struct dive_bucket *b = &c->st->buckets[c->bucket];
	struct dk_cursor in = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&in);

	c->request = 0;
	if (err || status != DK_STATUS_OK || in.bad)
		outcome = DIVE_NOT_MINE;
	if (outcome == 0 && b->epoch == c->epoch) {
		if (b->copy.family && !dk_addr_eq(&b->copy, &c->to))
			dive_copy_drop(d, c->st, c->bucket, &b->copy);
		if (!dk_addr_eq(&b->copy, &c->to) || b->copy_boot != c->boot || b->copied < c->sent)
			b->copied = c->sent;
		b->copy = c->to;
		b->copy_boot = c->boot;
		d->n.copied++;
	}
	if (outcome == 0)
		end(c, 0);
	else if (outcome == DIVE_WHOLE)
		attempt(c);
	else if (!c->call && !c->ask)
		end(c, 0); /* the next look tries again */
	else
		dk_timer_start(d, &c->timer, AGAIN_MS, 0, on_again);
}

static struct dive_copying *begin(struct dives *d, struct dive_storage *st, uint16_t bucket)
{
	struct dive_copying *c = dk_alloc(d, sizeof(*c));
	struct dive_bucket *b = &st->buckets[bucket];

	if (!c)
		return NULL;
	c->d = d;
	c->st = st;
	c->bucket = bucket;
	c->epoch = b->epoch;
	c->version = c->sent = b->version;
	c->until_ms = dk_now(d) + PATIENCE_MS;
	c->next = d->copyings;
	if (c->next)
		c->next->link = &c->next;
	c->link = &d->copyings;
	d->copyings = c;
	b->copying++;
	return c;
}

bool dive_copy_changes(const struct dive_storage *st, const struct dive_order *o)
{
	return st->copies && !dive_alone(st->dives) && ((o->op != DK_DIVE_GET && o->op != DK_DIVE_LRANGE) || o->ttl_s);
}

/* The entry as it is now, or that it is no more. */
static void pack_key(struct dives *d, struct dive_storage *st, dk_str key, struct dk_writer *w)
{
	struct dive_entry *e = dive_store_find(&st->store, key, dk_now(d));

	if (e) {
		dive_store_pack(w, e, dk_now(d));
		return;
	}
	dk_wr_bytes16(w, dk_slice_of(key));
	dk_wr_slice(w, dk_slice_n("\0\0\0\0\0\0\0\0\1\0\0\0\2\1\0", 15)); /* 0 ms left; a value that nobody reads */
}

int dive_copy_begin(struct dives *d, struct dive_storage *st, dk_str key, dk_id call, dk_id ask, struct dk_dive_list values)
{
	uint16_t bucket = dive_hrw_bucket(key);
	struct dive_bucket *b = &st->buckets[bucket];
	struct dive_copying *c;
	struct dive_entry *e;
	struct dk_writer w;
	size_t cap;

	b->version++;
	if (!dive_view_backup(st, bucket))
		return 0;
	c = begin(d, st, bucket);
	if (!c)
		return DK_DIVE_MAYBE;
	c->call = call;
	c->ask = ask;
	c->n = values.n;
	c->size = values.bytes.n;
	c->values = c->size ? dk_alloc(d, c->size) : NULL;
	if (c->size && !c->values) {
		c->size = 0;
		c->call = c->ask = 0;
		d->copy_n++;
		copying_free(c);
		return DK_DIVE_MAYBE;
	}
	if (c->size)
		memcpy(c->values, values.bytes.p, c->size);
	e = dive_store_find(&st->store, key, dk_now(d));
	cap = e ? dive_store_packed(e) : key.n + 17;
	w = dk_writer_on(dk_scratch(d, cap), cap);
	pack_key(d, st, key, &w);
	if (w.bad || !choose(c) || send_bytes(c, false, dk_written(&w)))
		dk_timer_start(d, &c->timer, AGAIN_MS, 0, on_again);
	return DK_LATER;
}

/* ---- looking after copies ---- */

void dive_copy_drop(struct dives *d, struct dive_storage *st, uint16_t bucket, const struct dk_addr *at)
{
	uint8_t buf[2 + DK_DIVE_STORAGE_MAX + 16];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dive_on_copy_pack(&w, dk_str_c(st->name), bucket, st->buckets[bucket].epoch, 0, false, true, dk_slice_n(NULL, 0));
	d->carrier->send(d->carrier, at, DK_VER_NODE, 642, dk_written(&w), DK_RELIABLE);
}

void dive_copy_look(struct dives *d, struct dive_storage *st)
{
	for (uint16_t i = 0; i < DIVE_BUCKETS && st->copies && st->owned && d->copy_n < AT_ONCE; i++) {
		struct dive_bucket *b = &st->buckets[i];
		struct dive_copying *c;

		if (b->role != DIVE_OWNED || b->copying || !dive_view_backup(st, i))
			continue;
		c = begin(d, st, i);
		if (!c)
			return;
		d->copy_n++;
		if (!choose(c) || (dk_addr_eq(&b->copy, &c->to) && b->copy_boot == c->boot && b->copied >= b->version) ||
		    send_whole(c))
			copying_free(c);
	}
}

/* ---- the other end ---- */

static int keep(struct dives *d, struct dive_storage *st, uint16_t bucket, dk_slice keys)
{
	struct dk_cursor c = dk_cursor_of(keys);

	while (c.p < c.end)
		if (dive_store_unpack(&st->store, bucket, &c, dk_now(d))) {
			d->n.malformed++;
			dive_store_empty(&st->store, bucket);
			dive_role(st, bucket, DIVE_NONE);
			return DIVE_WHOLE;
		}
	return 0;
}

int dive_on_copy(struct dives *d, struct dk_call *call, dk_str storage, uint16_t bucket, uint32_t epoch, uint64_t version,
		 bool whole, bool drop, dk_slice keys)
{
	struct dive_storage *st = dive_find(d, storage);
	struct dive_bucket *b = st && bucket < DIVE_BUCKETS ? &st->buckets[bucket] : NULL;
	int outcome = 0;

	if (!b || (b->role != DIVE_NONE && b->role != DIVE_COPY) || b->epoch > epoch)
		return dive_on_copy_answer(call, DIVE_NOT_MINE);
	if (drop) {
		if (b->role == DIVE_COPY) {
			dive_store_empty(&st->store, bucket);
			dive_role(st, bucket, DIVE_NONE);
		}
		b->keeper = call->from;
		return dive_on_copy_answer(call, 0);
	}
	if (whole) {
		dive_store_empty(&st->store, bucket);
		dive_role(st, bucket, DIVE_COPY);
		b->epoch = epoch;
	} else if (b->role != DIVE_COPY || b->epoch != epoch || version > b->version + 1) {
		return dive_on_copy_answer(call, DIVE_WHOLE);
	} else if (version <= b->version) {
		return dive_on_copy_answer(call, 0); /* came with the whole */
	}
	b->version = version;
	outcome = keep(d, st, bucket, keys);
	b->keeper = call->from;
	return dive_on_copy_answer(call, (uint8_t)outcome);
}

/* The caller has asked everybody, and nobody owns it: whoever has the best copy does from now on. */
int dive_on_promote(struct dives *d, struct dk_call *call, dk_str storage, uint16_t bucket, uint32_t epoch)
{
	struct dive_storage *st = dive_find(d, storage);
	struct dive_bucket *b = st && bucket < DIVE_BUCKETS ? &st->buckets[bucket] : NULL;

	if (b && b->role == DIVE_COPY && b->epoch < epoch) {
		b->epoch = epoch;
		dive_role(st, bucket, DIVE_OWNED);
		d->n.taken_over++;
		dive_look(d);
	}
	return dive_on_promote_answer(call);
}
