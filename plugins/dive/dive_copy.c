/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of buckets on one more node, where a storage wants them: that of the second highest weight, which is the one that should
 * own the bucket once its owner is gone. A change is done at the owner, sent to the copy, and answered when the copy has it.
 * Changes are numbered; a copy that missed one asks for the whole bucket. A node in the minority changes nothing.
 *
 * A read waits too, for the changes before it, and for the copy to say that it is still one: else this node might have been taken
 * for dead, and its bucket might live elsewhere. With each answer the copy promises not to take the bucket over for a second, and
 * reads within that time wait for nothing.
 *
 * When the copy does not answer, what waits for it does so until it is another node's turn to keep the copy, or there is no other
 * node, or its time is over; then nobody can say whether a change will last.
 */
#include "dive_state.h"

enum {
	ANSWER_MS = 1000,
	AGAIN_MS = 50,
	PATIENCE_MS = 5000,
	AT_ONCE = 64, /* whole buckets that nobody waits for */
	WHOLE_MAX = 8 << 20,
	LEASE_MS = 1000,
	PROMISE_MS = LEASE_MS + 250 /* clocks may differ that much in a second */
};

struct dive_copying {
	struct dive_copying *next, **link;
	struct dives *d;
	struct dive_storage *st;
	uint16_t bucket;
	uint32_t epoch, sent_epoch;
	uint64_t version, sent; /* to be copied; of what was sent last */
	uint64_t sent_ms, sent_wall_ns;
	bool read; /* it changed nothing */
	uint8_t outcome; /* that is told when all is well */
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
	struct dive_bucket *b = &c->st->buckets[c->bucket];

	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	/* Most often the copy has everything now, and there is nothing to look after. */
	if (!--b->copying && (!b->copy.family || b->copied < b->version))
		c->st->calm = false;
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
		c->st->calm = false;
	if (rc && !c->read)
		d->n.copies_failed++;
	if (!rc)
		rc = c->outcome;
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

static int send_bytes(struct dive_copying *c, enum dive_copy_kind kind, dk_slice keys)
{
	struct dives *d = c->d;
	size_t cap = 2 + DK_DIVE_STORAGE_MAX + 2 + 4 + 8 + 1 + keys.n;
	uint8_t *buf = dk_alloc(d, cap);
	struct dk_writer w = dk_writer_on(buf, cap);
	int rc = -ENOMEM;

	dive_on_copy_pack(&w, dk_str_c(c->st->name), c->bucket, c->epoch, c->sent, (uint8_t)kind, keys);
	c->sent_ms = dk_now(d);
	c->sent_wall_ns = dk_wall_ns(d);
	c->sent_epoch = c->epoch;
	if (!w.bad)
		rc = d->carrier->request(d->carrier, d, &c->to, DK_VER_NODE, 642, dk_written(&w), ANSWER_MS, answered, c,
					 &c->request);
	dk_free(d, buf, cap);
	return rc;
}

static int send_whole(struct dive_copying *c)
{
	struct dives *d = c->d;
	size_t size = dive_parcel_size(c->st, c->bucket);
	struct dk_writer w;
	uint8_t *buf;
	int rc;

	if (size > WHOLE_MAX)
		return -ENOMEM;
	buf = dk_alloc(d, size + 1);
	w = dk_writer_on(buf, size);
	if (buf)
		dive_parcel_pack(c->st, c->bucket, &w);
	c->sent = c->st->buckets[c->bucket].version;
	rc = !buf || w.bad ? -ENOMEM : send_bytes(c, DIVE_ALL, dk_written(&w));
	dk_free(d, buf, size + 1);
	return rc;
}

bool dive_copy_parts(const struct dive_storage *st, uint16_t bucket)
{
	const struct dive_bucket *b = &st->buckets[bucket];
	const struct dk_addr *to = dive_view_backup(st, bucket);
	const struct dk_cluster_node *n = to ? st->dives->cluster->node(st->dives->cluster, to) : NULL;

	return b->role == DIVE_OWNED && dive_copies(st) && b->copy.family && n &&
	       (!dk_addr_eq(to, &b->copy) || n->boot != b->copy_boot);
}

enum choice { NOBODY, NOT_YET, CHOSEN };

static enum choice choose(struct dive_copying *c)
{
	const struct dk_addr *to = dive_view_backup(c->st, c->bucket);
	const struct dk_cluster_node *n = to ? c->d->cluster->node(c->d->cluster, to) : NULL;

	if (!n)
		return NOBODY;
	if (dive_copy_parts(c->st, c->bucket) || dive_in_doubt(&c->st->buckets[c->bucket]))
		return NOT_YET;
	c->to = *to;
	c->boot = n->boot;
	return CHOSEN;
}

static void attempt(struct dive_copying *c);

static void on_again(void *self, struct dk_timer *t)
{
	(void)self;
	attempt(dk_container_of(t, struct dive_copying, timer));
}

/* The copy is there, and has everything up to that version. */
static bool is_copied(const struct dive_bucket *b, const struct dk_addr *at, uint64_t boot, uint64_t version)
{
	return b->copy.family && dk_addr_eq(&b->copy, at) && b->copy_boot == boot && b->copied >= version;
}

/* What is left to do is to get the whole of the bucket there. */
static void attempt(struct dive_copying *c)
{
	struct dives *d = c->d;
	const struct dive_bucket *b = &c->st->buckets[c->bucket];
	enum choice choice = choose(c);

	if ((b->role != DIVE_OWNED && b->role != DIVE_LEAVING) || b->epoch != c->epoch)
		end(c, c->read ? DIVE_NOT_MINE : DIVE_DOUBT);
	else if (!d->cluster->majority(d->cluster))
		end(c, c->read ? DK_DIVE_MINORITY : DK_DIVE_MAYBE);
	else if (dk_now(d) >= c->until_ms)
		end(c, c->read ? DK_DIVE_NO_NODE : DK_DIVE_MAYBE);
	else if (choice == NOBODY)
		end(c, 0); /* there is no other node any more */
	else if (choice == NOT_YET || send_whole(c))
		dk_timer_start(d, &c->timer, AGAIN_MS, 0, on_again);
}

static bool has_copy(struct dive_copying *c)
{
	struct dive_bucket *b = &c->st->buckets[c->bucket];

	/* There is one copy in an epoch; this one lost to another. */
	if (b->copy.family && !is_copied(b, &c->to, c->boot, 0)) {
		dive_copy_drop(c->d, c->st, c->bucket, &c->to);
		return false;
	}
	if (!is_copied(b, &c->to, c->boot, c->sent))
		b->copied = c->sent;
	if (b->former.family && !dk_addr_eq(&b->former, &c->to))
		dive_copy_drop(c->d, c->st, c->bucket, &b->former);
	b->former.family = 0;
	b->copy = c->to;
	b->copy_boot = c->boot;
	if (b->leased_ms < c->sent_ms + LEASE_MS) {
		b->leased_ms = c->sent_ms + LEASE_MS;
		b->leased_wall_ns = c->sent_wall_ns + LEASE_MS * UINT64_C(1000000);
	}
	c->d->n.copied++;
	return true;
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
	if (outcome == 0 && (b->epoch != c->sent_epoch || (b->role != DIVE_OWNED && b->role != DIVE_LEAVING) || !has_copy(c)))
		outcome = DIVE_WHOLE;
	if (outcome == DIVE_CLAIM && b->role == DIVE_OWNED && b->epoch == c->sent_epoch) {
		dive_doubt(b, 0);
		c->st->calm = false;
	}
	if (outcome == 0)
		end(c, 0);
	else if (!c->call && !c->ask)
		end(c, 0); /* the next look tries again */
	else if (outcome == DIVE_WHOLE)
		attempt(c);
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

/* Somebody waits, for these values. NULL = no memory. */
static struct dive_copying *begin_for(struct dives *d, struct dive_storage *st, uint16_t bucket, dk_id call, dk_id ask,
				      struct dk_dive_list values)
{
	struct dive_copying *c = begin(d, st, bucket);

	if (!c)
		return NULL;
	c->call = call;
	c->ask = ask;
	c->n = values.n;
	c->values = values.bytes.n ? dk_alloc(d, values.bytes.n) : NULL;
	if (values.bytes.n && !c->values) {
		c->call = c->ask = 0;
		d->copy_n++;
		copying_free(c);
		return NULL;
	}
	c->size = values.bytes.n;
	if (c->size)
		memcpy(c->values, values.bytes.p, c->size);
	return c;
}

int dive_copy_begin(struct dives *d, struct dive_storage *st, dk_str key, const struct dive_done *done, dk_id call, dk_id ask,
		    struct dk_dive_list values)
{
	uint16_t bucket = dive_hrw_bucket(key);
	struct dive_copying *c;
	struct dive_entry *e;
	struct dk_writer w;
	size_t cap;

	st->buckets[bucket].version++;
	if (!dive_view_backup(st, bucket))
		return 0;
	c = begin_for(d, st, bucket, call, ask, values);
	if (!c)
		return DK_DIVE_MAYBE;
	e = dive_store_find(&st->store, key, dk_now(d));
	cap = (e ? dive_store_packed(e) : key.n + 17) + (done ? dive_memo_packed(done) : 0);
	w = dk_writer_on(dk_scratch(d, cap), cap);
	if (done)
		dive_memo_pack(&w, done);
	pack_key(d, st, key, &w);
	if (w.bad || choose(c) != CHOSEN || send_bytes(c, DIVE_CHANGE, dk_written(&w)))
		dk_timer_start(d, &c->timer, AGAIN_MS, 0, on_again);
	return DK_LATER;
}

/* dk_now() stands still within a turn, and a machine may have been stopped in the middle of one; the wall clock runs on. That may
 * be set, too, so each of them can only shorten the time. */
static bool leased(struct dives *d, const struct dive_bucket *b)
{
	return dk_now(d) < b->leased_ms && dk_wall_ns(d) < b->leased_wall_ns;
}

int dive_copy_check(struct dives *d, struct dive_storage *st, uint16_t bucket, bool read, int outcome, dk_id call, dk_id ask,
		    struct dk_dive_list values)
{
	const struct dk_addr *to = dive_view_backup(st, bucket);
	const struct dk_cluster_node *n = to ? d->cluster->node(d->cluster, to) : NULL;
	struct dive_bucket *b = &st->buckets[bucket];
	struct dive_copying *c;

	if (!to)
		return outcome;
	if (n && is_copied(b, to, n->boot, b->version) && leased(d, b))
		return outcome;
	c = begin_for(d, st, bucket, call, ask, values);
	if (!c)
		return read ? -ENOMEM : DK_DIVE_MAYBE;
	d->n.checked++;
	c->read = read;
	c->outcome = (uint8_t)outcome;
	if (choose(c) != CHOSEN || send_bytes(c, DIVE_CHECK, dk_slice_n(NULL, 0)))
		dk_timer_start(d, &c->timer, AGAIN_MS, 0, on_again);
	return DK_LATER;
}

/* ---- looking after copies ---- */

void dive_copy_drop(struct dives *d, struct dive_storage *st, uint16_t bucket, const struct dk_addr *at)
{
	uint8_t buf[2 + DK_DIVE_STORAGE_MAX + 16];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dive_on_copy_pack(&w, dk_str_c(st->name), bucket, st->buckets[bucket].epoch, 0, DIVE_DROP, dk_slice_n(NULL, 0));
	d->carrier->send(d->carrier, at, DK_VER_NODE, 642, dk_written(&w), DK_RELIABLE);
}

/* Brings one bucket's copy up to date, where nobody waits for it. False: no more of this now. */
static bool restore(struct dives *d, struct dive_storage *st, uint16_t i)
{
	struct dive_bucket *b = &st->buckets[i];
	const struct dk_addr *to = dive_view_backup(st, i);
	const struct dk_cluster_node *n = to ? d->cluster->node(d->cluster, to) : NULL;
	struct dive_copying *c;

	if (b->role != DIVE_OWNED || !n || is_copied(b, to, n->boot, b->version))
		return true;
	st->calm = false;
	if (!b->copying || !is_copied(b, to, n->boot, 0)) /* else it is on its way */
		d->n.uncopied++;
	if (b->copying || d->copy_n >= AT_ONCE || d->budget <= 0 || dive_copy_parts(st, i) || dive_in_doubt(b))
		return true;
	c = begin(d, st, i);
	if (!c)
		return false;
	d->copy_n++;
	d->budget -= (int64_t)dive_parcel_size(st, i);
	if (choose(c) != CHOSEN || send_whole(c))
		copying_free(c);
	return true;
}

void dive_copy_look(struct dives *d, struct dive_storage *st)
{
	for (uint16_t i = 0; i < DIVE_BUCKETS && st->copies && st->owned; i++)
		if (!restore(d, st, i))
			return;
}

void dive_copy_anew(struct dives *d, struct dive_storage *st, uint16_t bucket)
{
	for (struct dive_copying *c = d->copyings; c; c = c->next)
		if (c->st == st && c->bucket == bucket)
			c->epoch = st->buckets[bucket].epoch;
}

void dive_step_down(struct dives *d, struct dive_storage *st, uint16_t bucket)
{
	d->n.stale++;
	dive_empty(st, bucket);
	dive_role(st, bucket, DIVE_NONE);
}

/* ---- the other end ---- */

static int keep(struct dive_storage *st, uint16_t bucket, dk_slice keys)
{
	if (dive_parcel_unpack(st, bucket, keys) == 0)
		return 0;
	dive_empty(st, bucket);
	dive_role(st, bucket, DIVE_NONE);
	return DIVE_WHOLE;
}

static int drop(struct dive_storage *st, uint16_t bucket, const struct dk_addr *keeper)
{
	struct dive_bucket *b = &st->buckets[bucket];

	if (b->role == DIVE_COPY) {
		dive_empty(st, bucket);
		dive_role(st, bucket, DIVE_NONE);
	}
	b->keeper = *keeper;
	return 0;
}

static int copied(struct dive_storage *st, uint16_t bucket, uint32_t epoch, uint64_t version, enum dive_copy_kind kind,
		  dk_slice keys)
{
	struct dive_bucket *b = &st->buckets[bucket];

	if (kind == DIVE_ALL) {
		dive_empty(st, bucket);
		dive_role(st, bucket, DIVE_COPY);
		dive_epoch(b, epoch);
	} else if (b->role != DIVE_COPY || b->epoch != epoch || version > b->version + (kind == DIVE_CHANGE)) {
		return DIVE_WHOLE;
	} else if (version <= b->version) {
		return 0; /* came with the whole */
	}
	b->version = version;
	return keep(st, bucket, keys);
}

int dive_on_copy(struct dives *d, struct dk_call *call, dk_str storage, uint16_t bucket, uint32_t epoch, uint64_t version,
		 uint8_t kind, dk_slice keys)
{
	struct dive_storage *st = dive_find(d, storage);
	struct dive_bucket *b = st && bucket < DIVE_BUCKETS ? &st->buckets[bucket] : NULL;
	int outcome;

	if (!b)
		return dive_on_copy_answer(call, DIVE_NOT_MINE);
	if (b->seen > epoch)
		return dive_on_copy_answer(call, DIVE_CLAIM);
	if (b->role == DIVE_OWNED && b->epoch < epoch)
		dive_step_down(d, st, bucket);
	if (dk_addr_eq(&b->keeper, &call->from))
		dive_land_nowhere(st, bucket); /* who sent it goes on owning it */
	if (b->role != DIVE_NONE && b->role != DIVE_COPY)
		return dive_on_copy_answer(call, DIVE_NOT_MINE);
	if (kind == DIVE_DROP)
		return dive_on_copy_answer(call, (uint8_t)drop(st, bucket, &call->from));
	outcome = copied(st, bucket, epoch, version, kind, keys);
	if (outcome == 0)
		b->promised_ms = dk_now(d) + PROMISE_MS;
	b->keeper = call->from;
	return dive_on_copy_answer(call, (uint8_t)outcome);
}

/* The caller has asked everybody, and nobody owns it: whoever has the best copy does from now on. */
int dive_on_promote(struct dives *d, struct dk_call *call, dk_str storage, uint16_t bucket, uint32_t epoch)
{
	struct dive_storage *st = dive_find(d, storage);
	struct dive_bucket *b = st && bucket < DIVE_BUCKETS ? &st->buckets[bucket] : NULL;

	if (b && d->up && b->role == DIVE_COPY && b->seen <= epoch && dk_now(d) >= b->promised_ms) {
		dive_epoch(b, epoch);
		dive_role(st, bucket, DIVE_OWNED);
		d->n.taken_over++;
		dive_look(d);
	}
	return dive_on_promote_answer(call);
}
