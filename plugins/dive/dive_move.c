/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets that another node should own. A bucket that moves stands still: its keys go over in parts, and with the last one the
 * other node owns it, with an epoch that is one higher. Only what that node says counts. Where its answer is lost it is asked until
 * it gives one or is gone, and the bucket stands still meanwhile: rather nobody owns it than two. The other end is dive_land.c.
 */
#include "dive_state.h"

enum {
	AT_ONCE = 64,
	PART_BYTES = 256 << 10,
	ANSWER_MS = 2000,
	ASK_AGAIN_MS = 100,
	HOLD_MS = 50,
	PAUSE_MS = 200 /* after a move that came to nothing */
};

struct dive_move {
	struct dive_move *next, **link;
	struct dives *d;
	struct dive_storage *st;
	uint16_t bucket;
	struct dk_addr to;
	uint64_t boot, transfer;
	uint8_t *bytes; /* all of its keys */
	size_t size, at, sent; /* sent: behind the part that is on its way */
	uint32_t part;
	bool asks; /* whether the last part has come */
	dk_id request;
	struct dk_timer timer;
};

static void move_free(struct dive_move *m)
{
	struct dives *d = m->d;

	*m->link = m->next;
	if (m->next)
		m->next->link = m->link;
	d->move_n--;
	dk_timer_stop(&m->timer);
	if (m->request)
		d->carrier->cancel(d->carrier, m->request);
	dk_free(d, m->bytes, m->size);
	dk_free(d, m, sizeof(*m));
}

void dive_move_fini(struct dives *d)
{
	while (d->moves)
		move_free(d->moves);
}

/* ---- ends ---- */

/* What the other node owns now stays here as its copy, where this node is to have that. */
static void gone_over(struct dive_move *m, uint32_t epoch, bool stale)
{
	struct dives *d = m->d;
	struct dive_bucket *b = &m->st->buckets[m->bucket];
	bool keep = m->st->copies && !stale && dive_view_second(m->st, m->bucket);

	if (b->copy.family && !dk_addr_eq(&b->copy, &m->to))
		dive_copy_drop(d, m->st, m->bucket, &b->copy);
	b->copy.family = 0;
	if (epoch > b->epoch)
		dive_epoch(b, epoch);
	if (!keep)
		dive_empty(m->st, m->bucket);
	dive_role(m->st, m->bucket, keep ? DIVE_COPY : DIVE_NONE);
	b->promised_ms = 0;
	b->version = 0; /* the new owner counts anew */
	b->left_ms = dk_now(d);
	b->keeper = m->to;
	d->n.moved_out++;
	d->n.moved_bytes += m->size;
	move_free(m);
	dive_look(d);
}

static void stays(struct dive_move *m)
{
	struct dive_bucket *b = &m->st->buckets[m->bucket];

	b->copy.family = 0;
	dive_role(m->st, m->bucket, DIVE_OWNED);
	b->retry_ms = dk_now(m->d) + PAUSE_MS;
	m->d->n.moves_failed++;
	move_free(m);
}

/* The other node is gone, and may have owned it, and may have changed it. What is here is as good as a copy: a claim finds out
 * whether there is a later one. */
static void is_open(struct dive_move *m)
{
	struct dive_bucket *b = &m->st->buckets[m->bucket];

	b->copy.family = 0;
	b->promised_ms = 0;
	dive_role(m->st, m->bucket, DIVE_COPY);
	m->d->n.moves_failed++;
	move_free(m);
}

/* ---- parts ---- */

static void answered(void *self, void *arg, int err, int status, dk_slice body);

static int send_part(struct dive_move *m)
{
	struct dives *d = m->d;
	uint32_t epoch = m->st->buckets[m->bucket].epoch;
	size_t cap, n;
	struct dk_writer w;

	m->sent = m->at;
	if (!m->asks && m->bytes) /* not an empty bucket */
		m->sent += dive_parcel_part(dk_slice_n(m->bytes + m->at, m->size - m->at), PART_BYTES);
	n = m->sent - m->at;
	cap = 2 + DK_DIVE_STORAGE_MAX + 2 + 4 + 8 + 4 + 2 + n;
	w = dk_writer_on(dk_scratch(d, cap), cap);
	dive_on_migrate_pack(&w, dk_str_c(m->st->name), m->bucket, epoch, m->transfer, m->part, m->sent == m->size, m->asks,
			     dk_slice_n(n ? m->bytes + m->at : NULL, n));
	if (w.bad)
		return -ENOMEM;
	d->budget -= (int64_t)cap;
	return d->carrier->request(d->carrier, d, &m->to, DK_VER_NODE, 640, dk_written(&w), ANSWER_MS, answered, m, &m->request);
}

static bool is_gone(const struct dive_move *m)
{
	const struct dk_cluster_node *n = m->d->cluster->node(m->d->cluster, &m->to);

	return !dive_there(n) || n->boot != m->boot;
}

static void on_ask_again(void *self, struct dk_timer *t)
{
	struct dive_move *m = dk_container_of(t, struct dive_move, timer);

	(void)self;
	if (is_gone(m)) {
		is_open(m);
		return;
	}
	m->asks = true;
	m->at = m->size;
	if (send_part(m))
		dk_timer_start(m->d, &m->timer, ASK_AGAIN_MS, 0, on_ask_again);
}

/* dk_carrier_done_fn */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct dive_move *m = arg;
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);
	uint32_t epoch = dk_rd_u32(&c);
	bool last = m->sent == m->size;

	(void)self;
	m->request = 0;
	if (err == 0 && (status != DK_STATUS_OK || c.bad))
		outcome = DIVE_NOT_MINE;
	if (err && (last || m->asks) && (m->asks || err != -EHOSTUNREACH)) {
		dk_timer_start(m->d, &m->timer, ASK_AGAIN_MS, 0, on_ask_again);
	} else if (err || (outcome && outcome != DIVE_STALE)) {
		if (err == 0 && outcome == DIVE_CLAIM)
			dive_doubt(&m->st->buckets[m->bucket], epoch);
		stays(m);
	} else if (outcome == DIVE_STALE) {
		m->d->n.stale++;
		gone_over(m, epoch, true);
	} else if (last) {
		gone_over(m, epoch, false);
	} else {
		m->at = m->sent;
		m->part++;
		if (send_part(m))
			stays(m);
	}
}

/* ---- the beginning ---- */

static int pack(struct dive_move *m)
{
	struct dives *d = m->d;
	struct dk_writer w;

	m->size = m->st->migration ? dive_parcel_size(m->st, m->bucket) : 0;
	if (!m->size)
		return 0;
	m->bytes = dk_alloc(d, m->size);
	if (!m->bytes)
		return -ENOMEM;
	w = dk_writer_on(m->bytes, m->size);
	dive_parcel_pack(m->st, m->bucket, &w);
	return 0;
}

static bool begin(struct dives *d, struct dive_storage *st, uint16_t i, const struct dk_addr *to)
{
	const struct dk_cluster_node *n = d->cluster->node(d->cluster, to);
	struct dive_move *m = n ? dk_alloc(d, sizeof(*m)) : NULL;

	if (!m)
		return false;
	m->d = d;
	m->st = st;
	m->bucket = i;
	m->to = *to;
	m->boot = n->boot;
	m->transfer = ++d->last_transfer;
	m->next = d->moves;
	if (m->next)
		m->next->link = &m->next;
	m->link = &d->moves;
	d->moves = m;
	d->move_n++;
	dive_role(st, i, DIVE_LEAVING);
	if (pack(m) || send_part(m)) {
		stays(m);
		return false;
	}
	return true;
}

static void refill(struct dives *d)
{
	uint64_t now = dk_now_us(d), us = now - d->budget_us;
	int64_t most = dive_conf(d)->move_bytes;

	d->budget_us = now;
	d->budget += us < 1000000 ? (int64_t)((double)most * (double)us / 1e6) : most;
	if (d->budget > most / 4)
		d->budget = most / 4;
}

void dive_move_look(struct dives *d, struct dive_storage *st)
{
	refill(d);
	if (d->moves || d->budget <= 0)
		st->calm = false;
	for (uint16_t i = 0; i < DIVE_BUCKETS && st->owned && d->move_n < AT_ONCE && d->budget > 0; i++) {
		struct dive_bucket *b = &st->buckets[i];
		const struct dk_addr *to;

		to = b->role == DIVE_OWNED ? dive_view_other(st, i) : NULL;
		if (to)
			st->calm = false;
		if (!to || dive_in_doubt(b) || b->retry_ms > dk_now(d))
			continue;
		if (b->copying) {
			b->hold_ms = dk_now(d) + HOLD_MS; /* changes that wait for their copy come first */
			continue;
		}
		if (!begin(d, st, i, to))
			return;
	}
}
