/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order, acknowledgements and timers. Both directions keep their blocks in a window: a ring of pointers indexed by sequence,
 * borrowed from the context while there is something in it, small at first and grown when the span asks for it.
 *
 * Timers are found by scanning the window (256 blocks at most) when the earliest one, kept as a lower bound, is due; an
 * acknowledgement does not touch it. A retransmission is acknowledged by EACK, so every round trip but that of a block sent
 * three times or more is known exactly and is used (Karn's rule drops only the ambiguous ones).
 */
#include "wire/rudp.h"

#include <assert.h>

#define TX_START 32
#define RX_START 64

struct wire_window {
	uint32_t mask;
	uint32_t count, bytes; /* in the ring */
	uint32_t again; /* sending: marked to be sent again */
	uint64_t base; /* sending: oldest sequence in flight */
	uint64_t scan; /* sending: nothing before it is marked */
	uint64_t due; /* sending: no timer runs out before */
	struct wire_block *ready, *ready_last;
	struct wire_block *slot[];
};

static size_t window_size(uint32_t slots)
{
	return sizeof(struct wire_window) + slots * sizeof(struct wire_block *);
}

static struct wire_window *window_new(struct wire_ctx *ctx, uint32_t slots)
{
	struct wire_window *w = wire_take(ctx, window_size(slots));

	if (!w)
		return NULL;
	memset(w, 0, window_size(slots));
	w->mask = slots - 1;
	w->due = WIRE_NEVER;
	return w;
}

static void window_free(struct wire_ctx *ctx, struct wire_window *w)
{
	wire_give(ctx, w, window_size(w->mask + 1));
}

static struct wire_block **at_slot(struct wire_window *w, uint64_t seq)
{
	return &w->slot[seq & w->mask];
}

/* Makes the ring hold a span of sequences from first on. False when there is no memory. */
static bool window_span(struct wire_ctx *ctx, struct wire_window **w, uint64_t first, uint64_t span)
{
	struct wire_window *old = *w, *grown;
	uint32_t slots = old->mask + 1;

	if (span <= slots)
		return true;
	while (slots < span)
		slots *= 2;
	grown = window_new(ctx, slots);
	if (!grown)
		return false;
	grown->count = old->count;
	grown->bytes = old->bytes;
	grown->again = old->again;
	grown->base = old->base;
	grown->scan = old->scan;
	grown->due = old->due;
	grown->ready = old->ready;
	grown->ready_last = old->ready_last;
	for (uint64_t s = first; s <= first + old->mask; s++)
		*at_slot(grown, s) = *at_slot(old, s);
	window_free(ctx, old);
	*w = grown;
	return true;
}

struct wire_block *wire_block_new(struct wire_ctx *ctx, size_t len)
{
	size_t size = sizeof(struct wire_block) + len;
	struct wire_block *b;

	assert(len <= UINT16_MAX);
	b = wire_take(ctx, size);
	if (!b)
		return NULL;
	memset(b, 0, sizeof(*b));
	b->size = (uint32_t)size;
	b->len = b->own = (uint16_t)len;
	return b;
}

struct wire_block *wire_block_of(struct wire_ctx *ctx, size_t own, struct wire_whole *whole, uint32_t part, size_t n)
{
	struct wire_block *b = wire_block_new(ctx, own);

	if (!b)
		return NULL;
	assert(part + n <= whole->len && own + n <= UINT16_MAX);
	whole->users++;
	b->whole = whole;
	b->part = part;
	b->len = (uint16_t)(own + n);
	return b;
}

struct wire_whole *wire_whole_new(struct wire_ctx *ctx, size_t len)
{
	struct wire_whole *w = wire_take(ctx, sizeof(*w) + len);

	if (!w)
		return NULL;
	w->users = 1;
	w->len = (uint32_t)len;
	return w;
}

void wire_whole_drop(struct wire_ctx *ctx, struct wire_whole *whole)
{
	if (whole && --whole->users == 0)
		wire_give(ctx, whole, sizeof(*whole) + whole->len);
}

void wire_block_free(struct wire_ctx *ctx, struct wire_block *b)
{
	wire_whole_drop(ctx, b->whole);
	wire_give(ctx, b, b->size);
}

static void drop_window(struct wire_ctx *ctx, struct wire_window **w)
{
	struct wire_block *b, *next;

	if (!*w)
		return;
	for (uint32_t i = 0; i <= (*w)->mask; i++)
		if ((*w)->slot[i])
			wire_block_free(ctx, (*w)->slot[i]);
	for (b = (*w)->ready; b; b = next) {
		next = b->next;
		wire_block_free(ctx, b);
	}
	window_free(ctx, *w);
	*w = NULL;
}

void wire_rudp_fini(struct wire_ctx *ctx, struct wire_rudp *r)
{
	drop_window(ctx, &r->tx);
	drop_window(ctx, &r->rx);
}

/* ---- sending ------------------------------------------------------------------------------------------------------ */

static uint32_t timeout_of(const struct wire_ctx *ctx, const struct wire_rudp *r, unsigned resends)
{
	uint32_t most = ctx->limits.retry_interval_ms < WIRE_RUDP_RTO_MAX ? ctx->limits.retry_interval_ms : WIRE_RUDP_RTO_MAX;
	uint32_t t = WIRE_RUDP_RTO_FIRST;

	if (r->srtt8) {
		t = r->srtt8 / 8u + (r->rttvar4 ? r->rttvar4 : 1u);
		if (t < WIRE_RUDP_RTO_MIN)
			t = WIRE_RUDP_RTO_MIN;
	}
	while (resends-- > 0 && t < most)
		t += t / 2;
	return t < most ? t : most;
}

static void measured(struct wire_rudp *r, uint64_t ms)
{
	int32_t m = ms < 1 ? 1 : ms > 8000 ? 8000 : (int32_t)ms, err;

	if (!r->srtt8) {
		r->srtt8 = (uint16_t)(m * 8);
		r->rttvar4 = (uint16_t)(m * 2);
		return;
	}
	err = m - r->srtt8 / 8;
	r->srtt8 = (uint16_t)(r->srtt8 + err > 0 ? r->srtt8 + err : 1);
	err = err < 0 ? -err : err;
	r->rttvar4 = (uint16_t)(r->rttvar4 + err - r->rttvar4 / 4);
}

void wire_rudp_start_tx(struct wire_ctx *ctx, struct wire_rudp *r, uint32_t seq)
{
	struct wire_window *w = r->tx;
	struct wire_block *first = NULL, *last = NULL, *b;

	(void)ctx;
	if (w) {
		for (uint64_t s = w->base; s < r->tx_next; s++) {
			b = *at_slot(w, s);
			if (!b)
				continue;
			*at_slot(w, s) = NULL;
			b->next = NULL;
			b->resends = 0;
			b->again = b->eack_only = false;
			if (last)
				last->next = b;
			else
				first = b;
			last = b;
		}
		if (last) {
			last->next = w->ready;
			w->ready = first;
			if (!w->ready_last)
				w->ready_last = last;
		}
		w->count = w->bytes = w->again = 0;
		w->base = w->scan = seq;
		w->due = WIRE_NEVER;
	}
	r->tx_next = seq;
	r->fresh = 1;
}

int wire_rudp_ready(struct wire_ctx *ctx, struct wire_rudp *r, struct wire_block *b)
{
	if (!r->tx) {
		r->tx = window_new(ctx, TX_START);
		if (!r->tx)
			return WIRE_FULL;
		r->tx->base = r->tx->scan = r->tx_next;
	}
	b->next = NULL;
	if (r->tx->ready_last)
		r->tx->ready_last->next = b;
	else
		r->tx->ready = b;
	r->tx->ready_last = b;
	return 0;
}

bool wire_rudp_has_ready(const struct wire_rudp *r)
{
	return r->tx && r->tx->ready;
}

bool wire_rudp_has_room(const struct wire_ctx *ctx, const struct wire_rudp *r)
{
	const struct wire_limits *l = &ctx->limits;
	uint32_t most = l->max_in_flight && l->max_in_flight < WIRE_RUDP_FLIGHT ? l->max_in_flight : WIRE_RUDP_FLIGHT;

	/* The span counts, not the number: the ring is by sequence, and so is the other end's window. */
	return !r->tx || (r->tx_next - r->tx->base < most && (r->tx->bytes < l->max_in_flight_bytes || !r->tx->count));
}

bool wire_rudp_idle(const struct wire_rudp *r)
{
	return !r->tx;
}

bool wire_rudp_has_next(const struct wire_ctx *ctx, const struct wire_rudp *r)
{
	return r->tx && (r->tx->again || (r->tx->ready && wire_rudp_has_room(ctx, r)));
}

static void sent(const struct wire_ctx *ctx, struct wire_rudp *r, struct wire_block *b, uint64_t now)
{
	uint64_t due = now + timeout_of(ctx, r, b->resends);

	b->last_at = now;
	if (due < r->tx->due)
		r->tx->due = due;
}

const struct wire_block *wire_rudp_next(struct wire_ctx *ctx, struct wire_rudp *r, uint64_t now, size_t max_len, uint32_t *ret_seq,
					bool *ret_again)
{
	struct wire_window *w = r->tx;
	struct wire_block *b;

	if (!w)
		return NULL;
	for (; w->again && w->scan < r->tx_next; w->scan++) {
		b = *at_slot(w, w->scan);
		if (!b || !b->again)
			continue;
		if (b->len > max_len)
			return NULL;
		b->again = false;
		w->again--;
		if (b->resends < UINT8_MAX)
			b->resends++;
		sent(ctx, r, b, now);
		*ret_seq = (uint32_t)w->scan & 0xffffff;
		*ret_again = true;
		return b;
	}
	if (!w->ready || w->ready->len > max_len || !wire_rudp_has_room(ctx, r) ||
	    !window_span(ctx, &r->tx, w->base, r->tx_next - w->base + 1))
		return NULL;
	w = r->tx;
	b = w->ready;
	w->ready = b->next;
	if (!w->ready)
		w->ready_last = NULL;
	b->next = NULL;
	b->eack_only = r->fresh;
	r->fresh = 0;
	b->first_at = now;
	*at_slot(w, r->tx_next) = b;
	w->count++;
	w->bytes += b->len;
	*ret_seq = (uint32_t)r->tx_next & 0xffffff;
	*ret_again = false;
	r->tx_next++;
	sent(ctx, r, b, now);
	return b;
}

bool wire_rudp_ack(struct wire_ctx *ctx, struct wire_rudp *r, uint64_t now, uint32_t seq, bool eack)
{
	struct wire_window *w = r->tx;
	struct wire_block *b;
	int32_t d;

	if (!w)
		return false;
	d = wire_rudp_diff(w->base, seq);
	if (d < 0 || (uint64_t)d >= r->tx_next - w->base)
		return false;
	b = *at_slot(w, w->base + (uint64_t)d);
	if (!b || (eack && !b->resends))
		return false;
	if (b->eack_only && !eack) {
		if (!b->resends && !b->again) { /* likely it arrived: no time is lost to make it certain */
			b->again = true;
			w->again++;
			if (w->base + (uint64_t)d < w->scan)
				w->scan = w->base + (uint64_t)d;
		}
		return false;
	}
	if (!eack)
		measured(r, now - b->first_at);
	else if (b->resends == 1)
		measured(r, now - b->last_at);
	*at_slot(w, w->base + (uint64_t)d) = NULL;
	w->count--;
	w->bytes -= b->len;
	if (b->again)
		w->again--;
	wire_block_free(ctx, b);
	while (w->base < r->tx_next && !*at_slot(w, w->base))
		w->base++;
	if (w->scan < w->base)
		w->scan = w->base;
	if (!w->count && !w->ready) {
		window_free(ctx, w);
		r->tx = NULL;
	} else if (!w->count) {
		w->due = WIRE_NEVER;
	}
	return true;
}

uint64_t wire_rudp_due(const struct wire_rudp *r)
{
	return r->tx ? r->tx->due : WIRE_NEVER;
}

const struct wire_block *wire_rudp_walk(const struct wire_rudp *r, struct wire_rudp_at *at)
{
	struct wire_window *w = r->tx;
	uint64_t seq;

	if (!w)
		return NULL;
	for (seq = at->block ? at->seq : w->base; seq < r->tx_next; seq++) {
		at->block = *at_slot(w, seq);
		at->seq = seq + 1;
		if (at->block)
			return at->block;
	}
	/* Then the ready ones: at->seq stays behind the last number from here on. */
	at->block = at->block && at->seq > r->tx_next ? at->block->next : w->ready;
	at->seq = r->tx_next + 1;
	return at->block;
}

unsigned wire_rudp_tick(struct wire_ctx *ctx, struct wire_rudp *r, uint64_t now)
{
	struct wire_window *w = r->tx;
	uint64_t due = WIRE_NEVER, mine;
	unsigned worst = 0;
	struct wire_block *b;

	if (!w)
		return 0;
	for (uint64_t s = w->base; s < r->tx_next; s++) {
		b = *at_slot(w, s);
		if (!b)
			continue;
		if (b->resends > worst)
			worst = b->resends;
		if (b->again)
			continue;
		mine = b->last_at + timeout_of(ctx, r, b->resends);
		if (mine <= now) {
			b->again = true;
			w->again++;
			if (s < w->scan)
				w->scan = s;
		} else if (mine < due) {
			due = mine;
		}
	}
	w->due = due;
	return worst;
}

/* ---- receiving ---------------------------------------------------------------------------------------------------- */

void wire_rudp_start_rx(struct wire_ctx *ctx, struct wire_rudp *r, uint32_t seq)
{
	drop_window(ctx, &r->rx);
	r->rx_first = seq & 0xffffff;
	r->rx_next = seq & 0xffffff;
}

enum wire_rudp_fate wire_rudp_look(const struct wire_rudp *r, uint32_t seq)
{
	int32_t d = wire_rudp_diff(r->rx_next, seq);

	if (d == 0)
		return WIRE_RUDP_NEXT;
	if (d < 0) /* what lies before the start was never delivered and must not be acknowledged */
		return (uint64_t) - (int64_t)d <= r->rx_next - r->rx_first ? WIRE_RUDP_OLD : WIRE_RUDP_OUTSIDE;
	if (d >= WIRE_RUDP_WINDOW)
		return WIRE_RUDP_OUTSIDE;
	if (r->rx && (uint32_t)d <= r->rx->mask && *at_slot(r->rx, r->rx_next + (uint64_t)d))
		return WIRE_RUDP_OLD;
	return WIRE_RUDP_AHEAD;
}

int wire_rudp_hold(struct wire_ctx *ctx, struct wire_rudp *r, uint32_t seq, struct wire_block *b)
{
	uint32_t d = (uint32_t)wire_rudp_diff(r->rx_next, seq);

	if (!r->rx) {
		r->rx = window_new(ctx, RX_START);
		if (!r->rx)
			return WIRE_FULL;
	}
	if (r->rx->bytes + b->size > WIRE_RUDP_HELD_BYTES || !window_span(ctx, &r->rx, r->rx_next, (uint64_t)d + 1)) {
		if (!r->rx->count)
			drop_window(ctx, &r->rx);
		return WIRE_FULL;
	}
	*at_slot(r->rx, r->rx_next + d) = b;
	r->rx->count++;
	r->rx->bytes += b->size;
	return 0;
}

const struct wire_block *wire_rudp_held(const struct wire_rudp *r)
{
	return r->rx ? *at_slot(r->rx, r->rx_next) : NULL;
}

struct wire_block *wire_rudp_pop_held(struct wire_ctx *ctx, struct wire_rudp *r)
{
	struct wire_block *b = *at_slot(r->rx, r->rx_next);

	*at_slot(r->rx, r->rx_next) = NULL;
	r->rx->count--;
	r->rx->bytes -= b->size;
	r->rx_next++;
	if (!r->rx->count)
		drop_window(ctx, &r->rx);
	return b;
}

bool wire_rudp_holds(const struct wire_rudp *r)
{
	return r->rx != NULL;
}

const struct wire_block *wire_rudp_walk_held(const struct wire_rudp *r, struct wire_rudp_at *at)
{
	at->block = NULL;
	for (; r->rx && at->seq <= r->rx->mask && !at->block; at->seq++)
		at->block = *at_slot(r->rx, r->rx_next + at->seq);
	return at->block;
}
