/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owner's side: what is asked here, by this node or by another, is done at once, or not at all where the bucket is not owned
 * here. Whoever is told "not mine" may ask again: nothing was done.
 */
#include "dive_state.h"

void dive_write_addr(struct dk_writer *w, const struct dk_addr *a)
{
	dk_wr_u8(w, a->family);
	dk_wr_u16(w, a->port);
	dk_wr_slice(w, dk_slice_n(a->ip, sizeof(a->ip)));
}

void dive_read_addr(struct dk_cursor *c, struct dk_addr *ret_addr)
{
	struct dk_addr a = { .family = dk_rd_u8(c) };
	const uint8_t *ip;

	a.port = dk_rd_u16(c);
	ip = dk_rd_take(c, sizeof(a.ip));
	if (!ip)
		return;
	memcpy(a.ip, ip, sizeof(a.ip));
	*ret_addr = a;
}

static bool pushes(const struct dive_order *o)
{
	return o->op == DK_DIVE_LPUSH || o->op == DK_DIVE_RPUSH;
}

static int ask_push(struct dives *d, struct dive_storage *st, struct dive_order *o)
{
	struct dk_dive_push ev = { .storage = dk_str_c(st->name), .key = o->key, .values = o->values };

	ev.right = o->op == DK_DIVE_RPUSH;
	if (dk_ask(&d->svc.pushing, &ev))
		return DK_REFUSED;
	o->values = ev.values;
	return dive_store_check(&st->store, &o->values);
}

/* A time that comes with a range counts when it is let through. */
static int ask_range(struct dives *d, struct dive_storage *st, const struct dive_order *o, struct dk_dive_list *values)
{
	struct dk_dive_range ev = { .storage = dk_str_c(st->name), .key = o->key, .values = *values };

	if (dk_ask(&d->svc.ranging, &ev))
		return DK_REFUSED;
	*values = ev.values;
	dive_store_live(&st->store, o->key, o->ttl_s, dk_now(d));
	return 0;
}

/* Does it, here and now. */
static int perform(struct dives *d, struct dive_storage *st, struct dive_order *o, struct dk_dive_list *ret_values)
{
	struct dk_dive_list values = { .n = 0 };
	struct dive_order now;
	struct dk_writer w;
	size_t cap;
	int rc = pushes(o) ? ask_push(d, st, o) : 0;

	if (rc)
		return rc;
	cap = dive_store_answer(&st->store, o->key) + 1;
	w = dk_writer_on(dk_scratch(d, cap), cap);
	now = *o;
	if (o->op == DK_DIVE_LRANGE)
		now.ttl_s = 0;
	rc = dive_store_do(&st->store, &now, dk_now(d), &w, &values.n);
	values.bytes = dk_written(&w);
	if (rc == 0 && o->op == DK_DIVE_LRANGE)
		rc = ask_range(d, st, o, &values);
	if (rc)
		return rc;
	d->n.answered++;
	*ret_values = values;
	return 0;
}

/* It was done before, or may have been. */
static int repeat(struct dives *d, struct dive_storage *st, uint16_t bucket, const struct dive_done *done, dk_id call, dk_id ask,
		  struct dk_dive_list *ret_values)
{
	if (!done) {
		d->n.late++;
		return DK_DIVE_MAYBE;
	}
	d->n.repeated++;
	if (!done->rc)
		*ret_values = dive_memo_values(done);
	return dive_copies(st) ? dive_copy_check(d, st, bucket, done->rc != 0, done->rc, call, ask, *ret_values) : done->rc;
}

int dive_execute(struct dives *d, struct dive_storage *st, struct dive_order *o, const struct dive_number *number, dk_id call,
		 dk_id ask, struct dk_dive_list *ret_values)
{
	bool changes = dive_changes(o);
	uint16_t bucket = dive_hrw_bucket(o->key);
	struct dive_done *done = NULL;
	int rc = dive_store_check(&st->store, &o->values);

	if (rc == 0 && dive_copies(st) && !d->cluster->majority(d->cluster))
		rc = DK_DIVE_MINORITY;
	if (rc)
		return rc;
	if (changes && number->asker) {
		if (dive_memo_look(&st->memo, number, dk_now(d), &done) != DIVE_MEMO_NEW)
			return repeat(d, st, bucket, done, call, ask, ret_values);
		done = dive_memo_add(&st->memo, bucket, number, dk_now(d));
		if (!done)
			return -ENOMEM;
	}
	rc = perform(d, st, o, ret_values);
	/* What came to nothing is remembered only when it may come once more: the answer must not change then. A push is
	 * remembered in any case, for a filter was asked. */
	if (done && (rc == 0 || (rc > 0 && (number->again || pushes(o)))))
		dive_memo_set(&st->memo, done, rc, *ret_values);
	else if (done)
		dive_memo_drop(&st->memo, done);
	if (rc)
		d->n.refused++;
	if (rc < 0 || !dive_copies(st))
		return rc;
	/* "Not there" and "there already" have been read like any value: who was cut off may know nothing of what came since. */
	if (rc)
		return dive_copy_check(d, st, bucket, true, rc, call, ask, *ret_values);
	return changes || o->ttl_s ? dive_copy_begin(d, st, o->key, done, call, ask, *ret_values)
				   : dive_copy_check(d, st, bucket, true, 0, call, ask, *ret_values);
}

static int say(struct dk_call *call, int outcome)
{
	if (outcome < 0)
		outcome = DIVE_NO_MEMORY;
	return dive_on_get_answer(call, (uint8_t)outcome, 0, dk_slice_n(NULL, 0));
}

static int say_where(struct dk_call *call, const struct dk_addr *a)
{
	uint8_t buf[32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dive_write_addr(&w, a);
	return dive_on_get_answer(call, DIVE_ELSEWHERE, 0, dk_written(&w));
}

static int serve(struct dives *d, struct dk_call *call, enum dk_dive_op op)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	struct dk_dive_list values = { .n = 0 };
	struct dive_order o = { .op = (uint8_t)op };
	struct dive_number number;
	struct dive_storage *st;
	struct dive_bucket *b;
	dk_str name;
	int rc;

	name = dk_str_of(dk_rd_bytes16(&c));
	o.key = dk_str_of(dk_rd_bytes16(&c));
	o.ttl_s = dk_rd_u32(&c);
	o.a = (int32_t)dk_rd_u32(&c);
	o.b = (int32_t)dk_rd_u32(&c);
	number.asker = dk_rd_u64(&c);
	number.n = dk_rd_u64(&c);
	number.floor = dk_rd_u64(&c);
	number.again = dk_rd_u8(&c) != 0;
	o.values.n = dk_rd_u32(&c);
	o.values.bytes = dk_rd_rest(&c);
	if (c.bad || !o.key.n || o.key.n > DK_DIVE_KEY_MAX || o.ttl_s > DK_DIVE_TTL_MAX) {
		d->n.malformed++;
		return dk_refuse(call, DK_E_PARAMS, "a storage, a key of 1 to %d bytes and a time of at most %d s were expected",
				 DK_DIVE_KEY_MAX, DK_DIVE_TTL_MAX);
	}
	st = dive_find(d, name);
	if (!st)
		return say(call, DK_DIVE_NO_STORAGE);
	b = &st->buckets[dive_hrw_bucket(o.key)];
	if ((b->role == DIVE_NONE || b->role == DIVE_COPY) && b->keeper.family)
		return say_where(call, &b->keeper);
	if (!dive_serves(d, b))
		return say(call, DIVE_NOT_MINE);
	rc = dive_execute(d, st, &o, &number, call->id, 0, &values);
	if (rc)
		return rc == DK_LATER ? rc : say(call, rc);
	return dive_on_get_answer(call, 0, values.n, values.bytes);
}

int dive_on_set(struct dives *d, struct dk_call *call)
{
	return serve(d, call, DK_DIVE_SET);
}

int dive_on_set_new(struct dives *d, struct dk_call *call)
{
	return serve(d, call, DK_DIVE_SET_NEW);
}

int dive_on_get(struct dives *d, struct dk_call *call)
{
	return serve(d, call, DK_DIVE_GET);
}

int dive_on_del(struct dives *d, struct dk_call *call)
{
	return serve(d, call, DK_DIVE_DEL);
}

int dive_on_incr(struct dives *d, struct dk_call *call)
{
	return serve(d, call, DK_DIVE_INCR);
}

int dive_on_lpush(struct dives *d, struct dk_call *call)
{
	return serve(d, call, DK_DIVE_LPUSH);
}

int dive_on_rpush(struct dives *d, struct dk_call *call)
{
	return serve(d, call, DK_DIVE_RPUSH);
}

int dive_on_lpop(struct dives *d, struct dk_call *call)
{
	return serve(d, call, DK_DIVE_LPOP);
}

int dive_on_rpop(struct dives *d, struct dk_call *call)
{
	return serve(d, call, DK_DIVE_RPOP);
}

int dive_on_lrange(struct dives *d, struct dk_call *call)
{
	return serve(d, call, DK_DIVE_LRANGE);
}
