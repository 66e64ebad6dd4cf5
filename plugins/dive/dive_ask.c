/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: a question goes to the node that should own the key, in a turn of its own. An answer that says "not mine" was not done,
 * so it is asked again, there or elsewhere, until its time is over. When no answer comes it is asked again too: a change has a
 * number (dive_memo.h), so whoever did it before answers what came of it then. What is in doubt at the end of its time ends with
 * DK_DIVE_MAYBE.
 */
#include "dive_state.h"

enum {
	PATIENCE_MS = 5000,
	ONCE_MS = 1000, /* for one node to answer */
	AGAIN_MS = 10,
	HOPS_MAX = 4, /* straight from one node to the next */
	ASKS_MAX = 1 << 20
};

struct asking {
	struct dives *d;
	dk_id id;
	struct dive_storage *st;
	void *self, *arg;
	dk_dive_done_fn *done;
	struct dive_order order; /* in bytes */
	uint8_t *bytes; /* the payload of a request */
	size_t n, number_at; /* number_at: where its number stands there */
	struct dive_number number; /* of a change */
	struct asking *next, *prev; /* changes that are open */
	bool tried, doubt; /* doubt: it may have been done */
	uint16_t bucket;
	uint8_t hops;
	struct dk_addr hint; /* who is said to own it; family 0 = nobody */
	uint64_t until_ms;
	struct dk_timer timer;
	dk_id request;
};

static const uint16_t commands[DK_DIVE_OP_END] = {
	[DK_DIVE_SET] = 600,    [DK_DIVE_SET_NEW] = 601, [DK_DIVE_LPUSH] = 602, [DK_DIVE_RPUSH] = 603, [DK_DIVE_GET] = 610,
	[DK_DIVE_LRANGE] = 611, [DK_DIVE_LPOP] = 612,    [DK_DIVE_RPOP] = 613,  [DK_DIVE_DEL] = 620,   [DK_DIVE_INCR] = 624,
};

static struct dives *dives_of(struct dk_dive *svc)
{
	return dk_container_of(svc, struct dives, svc);
}

/* ---- ends ---- */

static void orphaned(void *self, void *arg);

static void end(struct asking *a)
{
	struct dives *d = a->d;

	if (a->number.asker) {
		*(a->prev ? &a->prev->next : &d->first_change) = a->next;
		*(a->next ? &a->next->prev : &d->last_change) = a->prev;
	}
	dk_timer_stop(&a->timer);
	dk_free(d, a->bytes, a->n);
	dk_table_remove(&d->asks, a->id);
}

/* Who asked has stopped. */
static void orphaned(void *self, void *arg)
{
	struct asking *a = arg;

	(void)self;
	if (a->request)
		a->d->carrier->cancel(a->d->carrier, a->request);
	end(a);
}

static void finish(struct asking *a, int rc, struct dk_dive_list values)
{
	struct dk_dive_result r = { .rc = rc };

	if (rc == 0)
		r.values = values;
	else if (rc == DK_DIVE_MAYBE)
		a->d->n.maybe++;
	else if (rc == DK_DIVE_NO_NODE)
		a->d->n.failed++;
	dk_disown(a->self, orphaned, a);
	a->done(a->self, a->arg, &r);
	end(a);
}

static void finish_bare(struct asking *a, int rc)
{
	finish(a, rc, (struct dk_dive_list){ .n = 0 });
}

/* It came to nothing, this time at least. */
static void give_up(struct asking *a, int rc)
{
	finish_bare(a, a->doubt ? DK_DIVE_MAYBE : rc);
}

/* ---- asking ---- */

static void attempt(struct asking *a);

static void on_again(void *self, struct dk_timer *t)
{
	(void)self;
	attempt(dk_container_of(t, struct asking, timer));
}

static void later(struct asking *a)
{
	a->d->n.retried++;
	a->hops = 0;
	a->hint.family = 0;
	dk_timer_start(a->d, &a->timer, AGAIN_MS, 0, on_again);
}

static void elsewhere(struct asking *a, struct dk_cursor *c)
{
	struct dk_addr to = { .family = 0 };

	dive_read_addr(c, &to);
	if (c->bad || a->hops++ >= HOPS_MAX || !dive_there(a->d->cluster->node(a->d->cluster, &to))) {
		later(a);
		return;
	}
	a->hint = to;
	attempt(a);
}

/* By the owner, or by who was taken for it. */
static void said(struct asking *a, int outcome, struct dk_dive_list values)
{
	switch (outcome) {
	case DIVE_DOUBT:
		a->doubt = true;
		later(a);
		break;
	case DIVE_NOT_MINE:
		later(a);
		break;
	case DIVE_NO_MEMORY:
		give_up(a, -ENOMEM);
		break;
	case DK_DIVE_NO_NODE:
	case DK_DIVE_MINORITY: /* which does not look into its memory */
		give_up(a, outcome);
		break;
	default:
		finish(a, outcome, values);
	}
}

/* dk_carrier_done_fn */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct asking *a = arg;
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);
	struct dk_dive_list values = { .n = dk_rd_u32(&c) };

	(void)self;
	a->request = 0;
	if (err) {
		a->doubt |= a->number.asker && err != -EHOSTUNREACH;
		later(a);
	} else if (status != DK_STATUS_OK || c.bad) {
		give_up(a, DK_DIVE_NO_NODE);
	} else if (outcome == DIVE_ELSEWHERE) {
		elsewhere(a, &c);
	} else {
		values.bytes = dk_rd_rest(&c);
		said(a, outcome, values);
	}
}

/* Before it is asked for: nothing below the oldest change that is open will be asked for again. */
static void number(struct asking *a)
{
	struct dk_writer w;

	if (!a->number.asker)
		return;
	a->number.floor = a->d->first_change->number.n;
	w = dk_writer_on(a->bytes + a->number_at, 8 + 8 + 8 + 1);
	dk_wr_u64(&w, a->number.asker);
	dk_wr_u64(&w, a->number.n);
	dk_wr_u64(&w, a->number.floor);
	dk_wr_u8(&w, a->tried);
	a->number.again = a->tried;
	a->tried = true;
}

static void here(struct asking *a)
{
	struct dk_dive_list values = { .n = 0 };
	struct dive_order o = a->order;
	int rc;

	number(a);
	rc = dive_execute(a->d, a->st, &o, &a->number, 0, a->id, &values);
	if (rc != DK_LATER)
		said(a, rc, values);
}

void dive_ask_copied(struct dives *d, dk_id ask, int rc, struct dk_dive_list values)
{
	struct asking *a = dk_table_get(&d->asks, ask);

	if (a)
		said(a, rc, values);
}

static void away(struct asking *a, const struct dk_addr *to)
{
	struct dives *d = a->d;
	uint64_t left = a->until_ms - dk_now(d);
	uint32_t ms = left > ONCE_MS ? ONCE_MS : (uint32_t)left;

	number(a);
	d->n.asked_away++;
	if (d->carrier->request(d->carrier, d, to, DK_VER_NODE, commands[a->order.op], dk_slice_n(a->bytes, a->n), ms, answered, a,
				&a->request))
		later(a);
}

static void attempt(struct asking *a)
{
	struct dives *d = a->d;
	const struct dive_bucket *b = &a->st->buckets[a->bucket];
	const struct dk_addr *to = NULL;
	bool none = b->role == DIVE_NONE || b->role == DIVE_COPY;

	if (dk_now(d) >= a->until_ms) {
		give_up(a, DK_DIVE_NO_NODE);
		return;
	}
	if (dive_serves(d, b)) {
		here(a);
		return;
	}
	if (a->hint.family)
		to = &a->hint;
	else if (none && b->keeper.family && dive_view_mine(a->st, a->bucket))
		to = &b->keeper;
	else if (none)
		to = dive_view_other(a->st, a->bucket);
	if (to && !dk_addr_eq(to, dk_node_addr(d)))
		away(a, to);
	else
		later(a);
}

static void first_attempt(void *self, uint64_t id)
{
	struct dives *d = self;
	struct asking *a = dk_table_get(&d->asks, id);

	if (a)
		attempt(a);
}

/* ---- the service ---- */

/* At most. */
static size_t packed_size(const struct dk_value *v)
{
	if (v->type == DK_V_STR)
		return v->as.s.n + 5;
	if (v->type == DK_V_BYTES || v->type == DK_V_CAPSULE || v->type > DK_V_ARRAY)
		return v->as.bytes.n + 5;
	return 9;
}

static int check(struct dives *d, const struct dk_dive_ask *ask, struct dive_storage **ret_st, size_t *ret_bytes)
{
	bool stores = ask->op == DK_DIVE_SET || ask->op == DK_DIVE_SET_NEW;
	bool pushes = ask->op == DK_DIVE_LPUSH || ask->op == DK_DIVE_RPUSH;
	struct dive_storage *st = dive_find(d, ask->storage);
	size_t bytes = 0;

	if (ask->op < DK_DIVE_SET || ask->op >= DK_DIVE_OP_END || !ask->key.n)
		return -EINVAL;
	if (ask->key.n > DK_DIVE_KEY_MAX)
		return DK_TOO_LONG;
	if (!st)
		return DK_DIVE_NO_STORAGE;
	if (ask->ttl_s > DK_DIVE_TTL_MAX)
		return DK_DIVE_BAD_TTL;
	if (stores ? ask->n != 1 : pushes ? !ask->n : ask->n != 0)
		return DK_DIVE_BAD_VALUE;
	for (size_t i = 0; i < ask->n; i++) {
		const struct dk_value *v = &ask->values[i];
		size_t n = packed_size(v);

		if (!dk_value_ok(v, DK_CAPSULE_DEPTH_MAX))
			return DK_DIVE_BAD_VALUE;
		if (n > st->store.limits.value_bytes)
			return DK_TOO_LONG;
		bytes += n;
		if (bytes > st->store.limits.value_bytes && bytes > st->store.limits.list_bytes)
			return DK_TOO_LONG;
	}
	*ret_st = st;
	*ret_bytes = bytes;
	return 0;
}

/* The payload of a request; what the order points to stands in it. */
static void pack(struct asking *a, const struct dk_dive_ask *ask)
{
	struct dk_writer w = dk_writer_on(a->bytes, a->n);
	struct dive_order *o = &a->order;
	uint8_t *values;

	dk_wr_bytes16(&w, dk_slice_of(ask->storage));
	dk_wr_bytes16(&w, dk_slice_of(ask->key));
	*o = (struct dive_order){ .op = (uint8_t)ask->op, .ttl_s = ask->ttl_s, .a = ask->a, .b = ask->b };
	o->key = dk_str_n((const char *)w.p - ask->key.n, ask->key.n);
	dk_wr_u32(&w, ask->ttl_s);
	dk_wr_u32(&w, (uint32_t)ask->a);
	dk_wr_u32(&w, (uint32_t)ask->b);
	a->number_at = (size_t)(w.p - w.start);
	dk_wr_u64(&w, 0);
	dk_wr_u64(&w, 0);
	dk_wr_u64(&w, 0);
	dk_wr_u8(&w, 0);
	dk_wr_u32(&w, (uint32_t)ask->n);
	values = w.p;
	for (size_t i = 0; i < ask->n; i++)
		dk_value_write(&w, &ask->values[i]);
	o->values = (struct dk_dive_list){ dk_slice_n(values, (size_t)(w.p - values)), (uint32_t)ask->n };
	a->n = (size_t)(w.p - w.start);
}

static void open_change(struct asking *a)
{
	struct dives *d = a->d;

	a->number = (struct dive_number){ .asker = d->asker, .n = ++d->last_number };
	a->prev = d->last_change;
	*(a->prev ? &a->prev->next : &d->first_change) = a;
	d->last_change = a;
}

static int svc_ask(struct dk_dive *svc, void *self, const struct dk_dive_ask *ask, dk_dive_done_fn *done, void *arg)
{
	struct dives *d = dives_of(svc);
	struct dive_storage *st;
	struct asking *a;
	size_t values, cap;
	uint8_t *fit;
	dk_id id;
	int rc = check(d, ask, &st, &values);

	if (rc == 0 && d->over)
		rc = DK_DIVE_NO_NODE;
	if (rc)
		return rc;
	a = dk_table_add(&d->asks, &id);
	if (!a)
		return -ENOMEM;
	cap = 2 + ask->storage.n + 2 + ask->key.n + 16 + 25 + values;
	*a = (struct asking){ .d = d, .id = id, .st = st, .self = self, .arg = arg, .done = done, .n = cap };
	a->bytes = dk_alloc(d, cap);
	if (!a->bytes)
		goto fail;
	pack(a, ask);
	if (a->n < cap) { /* some values are shorter than they were taken for */
		fit = dk_alloc(d, a->n);
		if (!fit)
			goto fail_bytes;
		memcpy(fit, a->bytes, a->n);
		a->order.key.p = (const char *)fit + ((const uint8_t *)a->order.key.p - a->bytes);
		a->order.values.bytes.p = fit + (a->order.values.bytes.p - a->bytes);
		dk_free(d, a->bytes, cap);
		a->bytes = fit;
		cap = a->n;
	}
	a->bucket = dive_hrw_bucket(ask->key);
	a->until_ms = dk_now(d) + PATIENCE_MS;
	if (dk_own(self, orphaned, a, "a question to dive") < 0)
		goto fail_bytes;
	rc = dk_defer(d, first_attempt, id);
	if (rc) {
		dk_disown(self, orphaned, a);
		goto fail_bytes;
	}
	if (dive_changes(&a->order) && !dive_alone(d))
		open_change(a);
	d->n.asked++;
	return 0;

fail_bytes:
	dk_free(d, a->bytes, cap);
fail:
	dk_table_remove(&d->asks, id);
	return -ENOMEM;
}

static bool svc_exists(struct dk_dive *svc, dk_str name)
{
	return dive_find(dives_of(svc), name) != NULL;
}

static int svc_resolve(struct dk_dive *svc, dk_str storage, dk_str key, struct dk_addr *ret_node)
{
	struct dives *d = dives_of(svc);
	struct dive_storage *st = dive_find(d, storage);
	uint16_t bucket = dive_hrw_bucket(key);
	const struct dk_addr *other;

	if (!st)
		return DK_DIVE_NO_STORAGE;
	other = dive_view_other(st, bucket);
	if (st->buckets[bucket].role == DIVE_OWNED || (!other && dive_view_mine(st, bucket)))
		other = dk_node_addr(d);
	if (!other)
		return DK_DIVE_NO_NODE;
	*ret_node = *other;
	return 0;
}

static size_t svc_local_keys(struct dk_dive *svc, dk_str storage, void (*fn)(void *arg, dk_str key), void *arg)
{
	struct dives *d = dives_of(svc);
	struct dive_storage *st = dive_find(d, storage);
	size_t n = 0;

	for (uint16_t b = 0; st && b < DIVE_BUCKETS; b++) {
		if (st->buckets[b].role != DIVE_OWNED)
			continue;
		for (struct dive_entry *e = st->store.buckets[b]; e; e = e->next) {
			if (e->ends_ms <= dk_now(d))
				continue;
			fn(arg, dk_str_n(e->key, e->key_n));
			n++;
		}
	}
	return n;
}

static size_t svc_nodes(struct dk_dive *svc, dk_str storage)
{
	struct dive_storage *st = dive_find(dives_of(svc), storage);

	return st ? st->node_n : 0;
}

void dive_ask_init(struct dives *d)
{
	dk_table_init(d, &d->asks, DK_KIND_APP, sizeof(struct asking), ASKS_MAX, "questions to dive");
	d->svc.ask = svc_ask;
	d->svc.exists = svc_exists;
	d->svc.resolve = svc_resolve;
	d->svc.local_keys = svc_local_keys;
	d->svc.nodes = svc_nodes;
}

void dive_ask_stop(struct dives *d)
{
	struct asking *a;
	uint32_t slot = 0;
	dk_id id;

	while ((a = dk_table_next(&d->asks, &slot, &id))) {
		if (a->request)
			d->carrier->cancel(d->carrier, a->request);
		give_up(a, DK_DIVE_NO_NODE);
	}
}

void dive_ask_fini(struct dives *d)
{
	struct asking *a;
	uint32_t slot = 0;
	dk_id id;

	while ((a = dk_table_next(&d->asks, &slot, &id)))
		end(a);
	dk_table_fini(&d->asks);
}
