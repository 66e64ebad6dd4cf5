/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams. Each node has one to each node that it says something to; its own units go out on it, numbered, and stay in the queue
 * until the other end says how far it got. Nothing else comes back on it. When it breaks, or says nothing for retryInterval while
 * something is unacknowledged, it is made anew and goes on after what the other end has; the other end passes over numbers that it
 * had. What could not be handed over within reliableRetryTimeout is dropped, and the stream with it, so that it does not arrive
 * late either.
 *
 * Acknowledgements ride on the streams of the other direction where there is one with something to say, else they follow within
 * ACK_MS. A stream that came in counts only when the first record in it opened; it then replaces the one before.
 */
#include "mesh_state.h"

#include "wire/cluster.h"

#include <errno.h>

#define ACK_MS 20
#define ACK_BYTES (256u << 10) /* got without telling */
#define AHEAD (256u << 10) /* bytes given to a stream that the system did not take yet: the rest waits where it can be taken back */
#define PIECE_HEAD (WIRE_UNIT_HEAD + 8)
#define IN_NEW_MAX 64
#define IN_PROOF_MS 5000
#define SKEW_SPELL_MS 10000
#define HUNG_MS 500 /* a record that took this much longer than others was held up on its way */

static void out_connect(struct mesh *m, struct peer *p);
static void out_timer(void *self, struct dk_timer *t);

/* ---- units out of a stream ---- */

static void in_reset(struct mesh *m, struct stream_in *in)
{
	dk_pool_put(&m->records, in->bytes);
	*in = (struct stream_in){ NULL, 0 };
}

/* Calls fn for each whole unit of what came; what is left is kept. False: fn said stop, or what came is nothing. */
static bool take_units(struct mesh *m, struct stream_in *in, dk_slice bytes, bool (*fn)(struct mesh *m, void *arg, dk_slice unit),
		       void *arg)
{
	while (bytes.n) {
		bool kept = in->n > 0;
		size_t want = wire_record_len(kept ? dk_slice_n(in->bytes, in->n) : bytes), take;

		if (want == SIZE_MAX) {
			m->n.drop_size++;
			return false;
		}
		if (!kept && want && want <= bytes.n) {
			if (!fn(m, arg, dk_slice_n(bytes.p, want)))
				return false;
			bytes = dk_slice_n(bytes.p + want, bytes.n - want);
			continue;
		}
		if (!in->bytes)
			in->bytes = dk_pool_get(&m->records);
		if (!in->bytes) {
			m->n.no_memory++;
			return false;
		}
		take = (want ? want : WIRE_RECORD_HEAD) - in->n;
		if (take > bytes.n)
			take = bytes.n;
		memcpy(in->bytes + in->n, bytes.p, take);
		in->n += take;
		bytes = dk_slice_n(bytes.p + take, bytes.n - take);
		if (want && in->n == want) {
			in->n = 0;
			if (!fn(m, arg, dk_slice_n(in->bytes, want)))
				return false;
		}
	}
	return true;
}

/* ---- out: the state of the stream ---- */

/* When something has to be looked at again. */
static void out_arm(struct mesh *m, struct peer *p)
{
	struct out *o = &p->out;
	struct entry *first = queue_first(&o->q);
	uint64_t now = dk_now(m), retry = (uint64_t)mesh_conf(m)->retry_interval, due = UINT64_MAX;

	if (first)
		due = first->at_ms + mesh_timeout(m);
	if (first && o->state == OUT_OPEN && first->number <= o->written && o->progress_ms + retry < due)
		due = o->progress_ms + retry;
	if ((o->state == OUT_CONNECTING || o->state == OUT_WAIT) && o->tried_ms + retry < due)
		due = o->tried_ms + retry;
	if (due == UINT64_MAX)
		dk_timer_stop(&o->timer);
	else if (!dk_timer_armed(&o->timer) || o->timer.due_ms > due)
		dk_timer_start(m, &o->timer, due > now ? due - now : 1, 0, out_timer);
}

/* The stream is no more this peer's; what was written on it and not acknowledged is written again on the next. */
static void out_leave(struct mesh *m, struct peer *p, enum out_state next)
{
	struct out *o = &p->out;

	if (o->stream) {
		dk_stream_set_arg(o->stream, NULL);
		dk_stream_close(o->stream, false);
		o->stream = NULL;
	}
	if (o->state == OUT_OPEN)
		m->n.links--;
	in_reset(m, &o->in);
	wire_contact_fini(&o->x);
	queue_rewind(&o->q);
	o->part = 0;
	o->state = (uint8_t)next;
}

static void out_retry(struct mesh *m, struct peer *p)
{
	struct out *o = &p->out;

	if (!o->q.bytes)
		out_leave(m, p, OUT_IDLE);
	else if (dk_now(m) - o->tried_ms >= (uint64_t)mesh_conf(m)->retry_interval)
		out_connect(m, p);
	else
		out_leave(m, p, OUT_WAIT);
	out_arm(m, p);
}

/* Takes out what is too old. */
static void out_expire(struct mesh *m, struct peer *p)
{
	struct out *o = &p->out;
	uint64_t limit = mesh_timeout(m), now = dk_now(m);
	uint32_t life = p->life;
	bool written = false;
	struct entry *e;

	while ((e = queue_first(&o->q)) && now - e->at_ms >= limit) {
		uint64_t id = e->request && !e->dead ? e->id : 0;
		bool was = e->number <= o->written;

		written |= was;
		if (!e->dead)
			m->n.expired++;
		m->n.queued -= (int64_t)e->n;
		if (o->q.unsent.b == o->q.first.b && o->q.unsent.off == o->q.first.off)
			o->part = 0;
		queue_pop(&o->q);
		if (id)
			call_expired(m, id, was);
		if (p->life != life)
			return;
	}
	if (written || o->state != OUT_OPEN)
		peer_down(m, p);
	if (written && p->life == life && o->state == OUT_OPEN) {
		out_leave(m, p, OUT_WAIT);
		o->tried_ms = 0; /* at once, if there is anything left to say */
		out_retry(m, p);
	}
	mesh_stopped(m);
}

static void out_timer(void *self, struct dk_timer *t)
{
	struct mesh *m = self;
	struct peer *p = dk_container_of(dk_container_of(t, struct out, timer), struct peer, out);
	struct out *o = &p->out;
	uint64_t now = dk_now(m), retry = (uint64_t)mesh_conf(m)->retry_interval;
	struct entry *first = queue_first(&o->q);

	if (first && now - first->at_ms >= mesh_timeout(m)) {
		out_expire(m, p);
		first = queue_first(&o->q);
	}
	if (o->state == OUT_OPEN && first && first->number <= o->written && now - o->progress_ms >= retry) {
		out_leave(m, p, OUT_WAIT);
		out_retry(m, p);
	} else if ((o->state == OUT_CONNECTING || o->state == OUT_WAIT) && now - o->tried_ms >= retry) {
		out_leave(m, p, OUT_WAIT);
		out_retry(m, p);
	}
	out_arm(m, p);
}

static void acked(struct mesh *m, struct peer *p, uint64_t session, uint64_t upto)
{
	struct out *o = &p->out;
	struct entry *e;

	if (session != o->session || upto > o->written)
		return;
	while ((e = queue_first(&o->q)) && e->number <= upto) {
		m->n.queued -= (int64_t)e->n;
		if (o->q.unsent.b == o->q.first.b && o->q.unsent.off == o->q.first.off)
			o->part = 0;
		queue_pop(&o->q);
	}
	mesh_stopped(m);
}

/*
 * How long the record was on its way, beyond the fastest of the last seconds: a stream that hung, or this node that slept. The
 * fastest are remembered for two spells, which only records end: what comes after a sleep is held against what came before it. A
 * clock that stood still, as that of a suspended machine does, is believed again after two spells.
 */
static uint32_t lateness(struct mesh *m, struct peer *p, uint64_t their_ms)
{
	uint64_t now = dk_now(m);
	int64_t skew = (int64_t)(now - their_ms), best;

	if (!p->skew_at_ms) {
		p->skew_before_ms = p->skew_ms = skew;
		p->skew_at_ms = now;
	} else if (now - p->skew_at_ms >= SKEW_SPELL_MS) {
		p->skew_before_ms = p->skew_ms;
		p->skew_ms = skew;
		p->skew_at_ms = now;
	} else if (skew < p->skew_ms) {
		p->skew_ms = skew;
	}
	best = p->skew_before_ms < p->skew_ms ? p->skew_before_ms : p->skew_ms;
	return skew - best > UINT32_MAX ? UINT32_MAX : (uint32_t)(skew - best);
}

/* A stream delivers what its writer wrote long ago, even when that is dead: no sign of life. */
static void heard_by_record(struct mesh *m, struct peer *p, uint32_t late)
{
	if (late < HUNG_MS)
		peer_heard(m, p);
}

static bool out_unit(struct mesh *m, void *arg, dk_slice unit)
{
	struct peer *p = arg;
	struct out *o = &p->out;
	struct dk_stream *s = o->stream; /* a listener may forget the peer, and speak to it again */
	struct wire_preface h;
	enum wire_cluster_drop drop;
	struct dk_cursor r;
	struct wire_contact x;
	dk_slice plain;
	uint64_t got;

	if (o->state == OUT_CONNECTING) {
		drop = wire_welcome_open(m->cluster, &o->hello, unit, &got, &x);
		if (!drop && x.boot == p->last_boot) {
			m->n.drop_stale++;
			wire_contact_fini(&x);
			return false;
		}
		if (drop) {
			mesh_drop(m, drop);
			return false;
		}
		if (p->boot && p->boot != x.boot) {
			wire_contact_fini(&x);
			peer_is(m, p, x.boot); /* this stream is closed with all that was the old one's */
			return false;
		}
		peer_is(m, p, x.boot);
		o->x = x;
		o->state = OUT_OPEN;
		o->progress_ms = dk_now(m);
		m->n.links++;
		m->n.links_made++;
		acked(m, p, o->session, got);
		heard_by_record(m, p, (uint32_t)(dk_now(m) - o->tried_ms));
		if (o->stream == s)
			mesh_dirty(m, p);
		return o->stream == s;
	}
	drop = wire_record_open(&o->x, unit, m->plain, &plain);
	if (drop) {
		mesh_drop(m, drop);
		return false;
	}
	r = dk_cursor_of(plain);
	wire_preface_read(&r, &h);
	if (!dk_rd_done(&r)) {
		m->n.drop_unit++;
		return false;
	}
	m->n.records_in++;
	o->progress_ms = dk_now(m);
	acked(m, p, h.session, h.acked);
	heard_by_record(m, p, lateness(m, p, h.now_ms));
	return o->stream == s;
}

static void out_data(void *self, struct dk_stream *s, dk_slice bytes)
{
	struct mesh *m = self;
	struct peer *p = dk_stream_arg(s);

	m->n.bytes_in += bytes.n;
	if (p && !take_units(m, &p->out.in, bytes, out_unit, p) && p->out.stream == s) {
		out_leave(m, p, OUT_WAIT);
		out_arm(m, p);
	}
}

static void out_opened(void *self, struct dk_stream *s)
{
	struct mesh *m = self;
	struct peer *p = dk_stream_arg(s);

	if (!p)
		return;
	if (wire_hello_write(m->cluster, WIRE_HELLO_STREAM, dk_id_slot(p->id), p->out.session, &p->out.hello) < 0 ||
	    dk_stream_write(s, dk_slice_n(p->out.hello.bytes, WIRE_HELLO_LEN))) {
		out_leave(m, p, OUT_WAIT);
		out_arm(m, p);
	}
}

static void out_drained(void *self, struct dk_stream *s)
{
	struct peer *p = dk_stream_arg(s);

	if (p)
		mesh_dirty(self, p);
}

static void out_closed(void *self, struct dk_stream *s, int err)
{
	struct mesh *m = self;
	struct peer *p = dk_stream_arg(s);
	bool refused;

	if (!p)
		return;
	refused = err && p->out.state == OUT_CONNECTING;
	p->out.stream = NULL;
	out_leave(m, p, OUT_WAIT);
	/* The last words go to who is there: whether it is, is asked at once and once. */
	if (m->stopping && refused)
		p->out.gone = true;
	else if (m->stopping)
		p->out.tried_ms = 0;
	out_retry(m, p);
	mesh_stopped(m);
}

static const struct dk_stream_ops link_out_ops = {
	.data = out_data,
	.drained = out_drained,
	.opened = out_opened,
	.closed = out_closed,
};

static void out_connect(struct mesh *m, struct peer *p)
{
	struct out *o = &p->out;

	if (m->ended) {
		out_leave(m, p, OUT_IDLE);
		return;
	}
	out_leave(m, p, OUT_CONNECTING);
	o->tried_ms = dk_now(m);
	if (!o->session)
		o->session = ++m->sessions;
	if (dk_stream_connect(m, &p->addr, true, &link_out_ops, p, &o->stream) < 0) {
		o->stream = NULL;
		o->state = OUT_WAIT;
	}
	out_arm(m, p);
}

/* ---- out: units ---- */

int link_put(struct mesh *m, struct peer *p, const struct wire_unit *u, unsigned share, uint64_t deadline_ms, uint64_t *ret_number)
{
	struct out *o = &p->out;
	size_t n = wire_unit_len(u), limit = (size_t)mesh_conf(m)->queue_limit << 10;
	struct entry *e = NULL;
	struct dk_writer w;

	if (o->q.bytes + n <= limit / 8 * share)
		e = queue_put(&o->q, n);
	if (!e) {
		m->n.full++;
		return DK_FULL;
	}
	e->at_ms = dk_now(m);
	e->deadline_ms = deadline_ms;
	e->request = u->kind == WIRE_UNIT_REQUEST;
	e->id = u->id;
	m->n.queued += (int64_t)n;
	w = dk_writer_on(entry_bytes(e), n);
	wire_unit_write(&w, u);
	if (ret_number)
		*ret_number = e->number;
	if (o->state == OUT_IDLE && !p->self)
		out_connect(m, p);
	mesh_dirty(m, p);
	return 0;
}

bool link_take_back(struct peer *p, uint64_t id)
{
	struct place at = p->out.q.unsent;
	struct entry *e;

	while ((e = queue_next(&at)))
		if (e->request && e->id == id) {
			if (e->number <= p->out.written)
				return false;
			e->dead = true;
			return true;
		}
	return false;
}

/* What a request has left shrinks while it waits. */
static void stamp(struct entry *e, uint64_t now)
{
	uint64_t left = e->deadline_ms > now ? e->deadline_ms - now : 0;
	struct dk_writer w;

	if (!e->request || e->n < WIRE_UNIT_LEFT_AT + 4)
		return;
	w = dk_writer_on(entry_bytes(e) + WIRE_UNIT_LEFT_AT, 4);
	dk_wr_u32(&w, left > UINT32_MAX ? UINT32_MAX : (uint32_t)left);
}

/* Bytes of the record that begins with the first unsent unit; *ret_n: how many whole units are in it, 0 = a piece. */
static size_t plan(struct out *o, size_t *ret_n)
{
	struct place at = o->q.unsent;
	size_t len = WIRE_PREFACE_LEN, n = 0;
	struct entry *e;

	while (!o->part && (e = queue_next(&at))) {
		size_t need = e->dead ? WIRE_UNIT_HEAD : e->n;

		if (len + need > WIRE_RECORD_PLAIN)
			break;
		len += need;
		n++;
	}
	*ret_n = n;
	if (n || !(e = queue_unsent(&o->q)))
		return len;
	len += PIECE_HEAD + (e->n - o->part);
	return len > WIRE_RECORD_PLAIN ? WIRE_RECORD_PLAIN : len;
}

static void write_piece(struct out *o, struct dk_writer *w, uint64_t now)
{
	struct entry *e = queue_unsent(&o->q);
	size_t room = (size_t)(w->end - w->p) - PIECE_HEAD;
	struct wire_unit u = { .kind = WIRE_UNIT_PIECE, .total = e->n, .offset = o->part };

	if (!o->part)
		stamp(e, now);
	u.payload = dk_slice_n(entry_bytes(e) + o->part, e->n - o->part < room ? e->n - o->part : room);
	wire_unit_write(w, &u);
	o->part += (uint32_t)u.payload.n;
	if (o->part == e->n) {
		o->part = 0;
		o->written = e->number > o->written ? e->number : o->written;
		queue_sent(&o->q);
	}
}

static void write_units(struct mesh *m, struct out *o, struct dk_writer *w, size_t n, uint64_t now)
{
	static const struct wire_unit nothing = { .kind = WIRE_UNIT_NOTHING };

	for (; n > 0; n--) {
		struct entry *e = queue_unsent(&o->q);

		if (e->dead) {
			wire_unit_write(w, &nothing);
		} else {
			stamp(e, now);
			dk_wr_slice(w, dk_slice_n(entry_bytes(e), e->n));
		}
		if (e->number > o->written)
			o->written = e->number;
		else
			m->n.resent++;
		queue_sent(&o->q);
	}
}

/* One record on a stream, with what is owed to p in it. units: how many of p's own go with it. False: the stream is full. */
static bool write_record(struct mesh *m, struct peer *p, struct dk_stream *s, struct wire_contact *x, size_t len, size_t units)
{
	struct wire_preface h = { .now_ms = dk_now(m), .session = p->got_session, .acked = p->got };
	uint8_t *slot = dk_stream_slot(s, WIRE_RECORD_HEAD + len + WIRE_CLUSTER_TAG);
	struct entry *e = len > WIRE_PREFACE_LEN ? queue_unsent(&p->out.q) : NULL;
	struct dk_writer w;
	size_t n;

	if (!slot)
		return false;
	w = dk_writer_on(slot + WIRE_RECORD_HEAD, len);
	h.base = e ? e->number : 0;
	wire_preface_write(&w, &h);
	if (e && units)
		write_units(m, &p->out, &w, units, h.now_ms);
	else if (e)
		write_piece(&p->out, &w, h.now_ms);
	n = wire_record_seal(x, slot, (size_t)(w.p - w.start));
	dk_stream_commit(s, n);
	m->n.records_out++;
	m->n.bytes_out += n;
	p->owe_ack = p->ack_now = false;
	p->got_bytes = 0;
	return true;
}

void link_flush(struct mesh *m, struct peer *p)
{
	struct out *o = &p->out;
	struct entry *first = queue_first(&o->q);
	bool idle = !first || first->number > o->written;
	size_t units;

	if (o->state == OUT_OPEN && o->x.sent > WIRE_CLUSTER_RENEW) {
		out_leave(m, p, OUT_WAIT);
		o->tried_ms = 0;
		out_retry(m, p);
	}
	while (o->state == OUT_OPEN && queue_unsent(&o->q) && dk_stream_waiting(o->stream) < AHEAD) {
		size_t len = plan(o, &units);

		if (!write_record(m, p, o->stream, &o->x, len, units))
			break;
		if (idle)
			o->progress_ms = dk_now(m);
		idle = false;
	}
	if (o->state == OUT_OPEN && !o->x.sent) /* or the other end would not know that we are there */
		write_record(m, p, o->stream, &o->x, WIRE_PREFACE_LEN, 0);
	if (p->ack_now && p->in)
		write_record(m, p, p->in->stream, &p->in->x, WIRE_PREFACE_LEN, 0);
	out_arm(m, p);
}

void link_run_self(struct mesh *m, struct peer *p)
{
	struct out *o = &p->out;
	uint64_t end = o->q.next; /* what is said meanwhile waits for the next time */
	struct entry *e;

	while ((e = queue_first(&o->q)) && e->number < end) {
		struct dk_cursor r = dk_cursor_of(dk_slice_n(entry_bytes(e), e->n));
		struct wire_unit u;

		stamp(e, dk_now(m));
		o->written = e->number;
		m->n.queued -= (int64_t)e->n;
		if (!e->dead && wire_unit_read(&r, &u))
			call_run(m, p, &p->addr, NULL, &u, 0);
		queue_pop(&o->q);
	}
	mesh_stopped(m);
}

bool link_idle(const struct peer *p)
{
	return p->out.state == OUT_IDLE && !p->out.q.bytes && !p->in;
}

/* ---- in ---- */

static void ack_later(void *self, struct dk_timer *t)
{
	struct mesh *m = self;
	struct peer *p = dk_container_of(t, struct peer, ack_timer);

	if (p->owe_ack && p->in) {
		p->ack_now = true;
		mesh_dirty(m, p);
	}
}

static void owe_ack(struct mesh *m, struct peer *p, size_t bytes)
{
	p->owe_ack = true;
	p->got_bytes += bytes;
	if (p->got_bytes > ACK_BYTES && !p->ack_now) {
		p->ack_now = true;
		mesh_dirty(m, p);
	}
	if (!dk_timer_armed(&p->ack_timer))
		dk_timer_start(m, &p->ack_timer, ACK_MS, 0, ack_later);
}

static void whole_reset(struct mesh *m, struct in *in)
{
	dk_free(m, in->whole, in->whole_cap);
	in->whole = NULL;
	in->whole_n = in->whole_cap = 0;
	in->whole_total = 0;
}

/* A piece of a long unit; *ret_unit: all of it, when this was the last. 0, 1 (more are to come) or <0. */
static int piece(struct mesh *m, struct in *in, const struct wire_unit *u, struct wire_unit *ret_unit)
{
	struct dk_cursor r;

	if (!u->offset) {
		whole_reset(m, in);
		in->whole_total = u->total;
	}
	if (u->total != in->whole_total || u->offset != in->whole_n || u->payload.n > u->total - in->whole_n ||
	    u->total > WIRE_UNIT_BODY_MAX || !u->payload.n)
		return -EINVAL;
	if (in->whole_cap - in->whole_n < u->payload.n) { /* as bytes come, never as somebody says that they will */
		size_t cap = (in->whole_n + u->payload.n) * 2;
		uint8_t *grown;

		if (cap > u->total)
			cap = u->total;
		grown = dk_realloc(m, in->whole, in->whole_cap, cap);
		if (!grown)
			return -ENOMEM;
		in->whole = grown;
		in->whole_cap = cap;
	}
	memcpy(in->whole + in->whole_n, u->payload.p, u->payload.n);
	in->whole_n += u->payload.n;
	if (in->whole_n < in->whole_total)
		return 1;
	r = dk_cursor_of(dk_slice_n(in->whole, in->whole_n));
	return wire_unit_read(&r, ret_unit) && dk_rd_done(&r) && ret_unit->kind != WIRE_UNIT_PIECE ? 0 : -EINVAL;
}

static bool run_record(struct mesh *m, struct in *in, dk_slice plain)
{
	struct dk_cursor r = dk_cursor_of(plain);
	struct peer *p = in->peer;
	uint32_t life = p->life, late;
	struct wire_preface h;
	struct wire_unit u, all;
	uint64_t number;
	int rc;

	wire_preface_read(&r, &h);
	if (r.bad)
		return false;
	acked(m, p, h.session, h.acked);
	late = lateness(m, p, h.now_ms);
	heard_by_record(m, p, late);
	if (in->state != IN_OPEN || p->life != life)
		return false; /* somebody who was told that it is up wants it down */
	number = h.base;
	while (wire_unit_read(&r, &u)) {
		bool last = true;

		if (u.kind == WIRE_UNIT_PIECE) {
			rc = piece(m, in, &u, &all);
			if (rc < 0)
				return false;
			last = rc == 0;
			u = all;
		}
		if (!last)
			continue;
		if (number <= p->got) {
			m->n.duplicates += u.kind != WIRE_UNIT_NOTHING;
		} else {
			p->got = number; /* before it runs: whatever happens, it does not run again */
			if (!call_run(m, p, &p->addr, NULL, &u, late))
				m->n.drop_unit++;
			if (in->state != IN_OPEN || p->life != life)
				return false;
		}
		if (in->whole)
			whole_reset(m, in);
		number++;
	}
	if (plain.n > WIRE_PREFACE_LEN)
		owe_ack(m, p, plain.n);
	return !r.bad;
}

/* The first record opened: the node is there, and this is its stream now. */
static bool in_prove(struct mesh *m, struct in *in)
{
	struct peer *p;

	if (in->state == IN_OPEN)
		return true;
	if (!in->x.addr.family || !peer_welcome(m, &in->x, dk_stream_peer(in->stream), false)) {
		m->n.drop_stranger++;
		return false;
	}
	p = peer_of(m, &in->x.addr);
	if (!p || p->self) {
		m->n.no_memory += !p;
		m->n.drop_stale += p != NULL;
		if (p)
			peer_twin(m, dk_stream_peer(in->stream));
		return false;
	}
	if (p->last_boot == in->x.boot || (p->boot == in->x.boot && in->session < p->got_session)) {
		m->n.drop_stale++;
		return false;
	}
	peer_is(m, p, in->x.boot);
	if (in->session > p->got_session) {
		p->got_session = in->session;
		p->got = 0;
	}
	if (p->in) {
		p->in->state = IN_DEAD;
		dk_stream_close(p->in->stream, false);
	}
	p->in = in;
	in->peer = p;
	in->state = IN_OPEN;
	m->in_new--;
	return true;
}

static bool in_hello(struct mesh *m, struct in *in, dk_slice unit)
{
	uint8_t welcome[WIRE_WELCOME_LEN];
	struct wire_hello_in hello;
	enum wire_cluster_drop drop = wire_hello_open(m->cluster, unit, true, &hello);
	struct peer *p;

	if (drop) {
		mesh_drop(m, drop);
		return false;
	}
	if (hello.flags & WIRE_HELLO_GUEST) {
		m->n.drop_guest++;
		return false;
	}
	p = peer_find(m, &hello.addr);
	if (p && p->boot != hello.boot)
		p = NULL;
	if (p && hello.number <= p->hello_in_stream) {
		m->n.drop_replay++;
		return false;
	}
	if (p)
		p->hello_in_stream = hello.number;
	in->session = hello.session;
	if (wire_welcome_write(m->cluster, &hello, 0, p && p->got_session == hello.session ? p->got : 0, welcome, &in->x) < 0)
		return false;
	in->state = IN_HALF;
	return dk_stream_write(in->stream, dk_slice_n(welcome, sizeof(welcome))) == 0;
}

static bool in_unit(struct mesh *m, void *arg, dk_slice unit)
{
	struct in *in = arg;
	enum wire_cluster_drop drop;
	dk_slice plain;

	if (in->state == IN_NEW)
		return in_hello(m, in, unit);
	drop = wire_record_open(&in->x, unit, m->plain, &plain);
	if (drop) {
		mesh_drop(m, drop);
		return false;
	}
	if (!in_prove(m, in))
		return false;
	m->n.records_in++;
	return in->state == IN_OPEN && run_record(m, in, plain);
}

static void in_leave(struct mesh *m, struct in *in)
{
	if (in->state == IN_NEW || in->state == IN_HALF)
		m->in_new--;
	if (in->peer && in->peer->in == in)
		in->peer->in = NULL;
	in->state = IN_DEAD;
}

static void in_data(void *self, struct dk_stream *s, dk_slice bytes)
{
	struct mesh *m = self;
	struct in *in = dk_stream_arg(s);

	m->n.bytes_in += bytes.n;
	if (!in || in->state == IN_DEAD || take_units(m, &in->in, bytes, in_unit, in))
		return;
	in_leave(m, in);
	dk_stream_close(s, false);
}

static void in_closed(void *self, struct dk_stream *s, int err)
{
	struct mesh *m = self;
	struct in *in = dk_stream_arg(s);

	(void)err;
	if (!in)
		return;
	in->stream = NULL;
	link_free_in(m, in);
}

const struct dk_stream_ops link_in_ops = { .data = in_data, .closed = in_closed };

void link_free_in(struct mesh *m, struct in *in)
{
	in_leave(m, in);
	in_reset(m, &in->in);
	whole_reset(m, in);
	wire_contact_fini(&in->x);
	*in->link = in->next;
	if (in->next)
		in->next->link = in->link;
	dk_pool_put(&m->ins, in);
}

static void drop_oldest_new(struct mesh *m)
{
	struct in *oldest = NULL;

	for (struct in *in = m->in_list; in; in = in->next)
		if (in->state == IN_NEW || in->state == IN_HALF)
			oldest = in;
	if (!oldest)
		return;
	m->n.drop_rate++;
	in_leave(m, oldest);
	dk_stream_close(oldest->stream, false);
}

void link_accept(void *self, struct dk_listener *l, struct dk_stream *s)
{
	struct mesh *m = self;
	struct in *in;

	(void)l;
	if (m->in_new >= IN_NEW_MAX)
		drop_oldest_new(m);
	in = dk_pool_get(&m->ins);
	if (!in) {
		m->n.no_memory++;
		dk_stream_set_arg(s, NULL);
		dk_stream_close(s, false);
		return;
	}
	in->stream = s;
	in->state = IN_NEW;
	in->since_ms = dk_now(m);
	in->next = m->in_list;
	in->link = &m->in_list;
	if (in->next)
		in->next->link = &in->next;
	m->in_list = in;
	m->in_new++;
	dk_stream_set_arg(s, in);
}

void link_sweep(struct mesh *m)
{
	uint32_t slot = 0;
	struct peer *p;
	dk_id id;

	for (struct in *in = m->in_list; in; in = in->next) {
		if (!in->in.n)
			in_reset(m, &in->in);
		if ((in->state == IN_NEW || in->state == IN_HALF) && dk_now(m) - in->since_ms > IN_PROOF_MS) {
			in_leave(m, in);
			dk_stream_close(in->stream, false);
		}
	}
	while ((p = dk_table_next(&m->peers, &slot, &id)))
		if (!p->out.in.n)
			in_reset(m, &p->out.in);
}

void link_close_all(struct mesh *m, struct peer *p)
{
	out_leave(m, p, OUT_IDLE);
	dk_timer_stop(&p->out.timer);
	m->n.queued -= (int64_t)p->out.q.bytes;
	queue_fini(&p->out.q);
	p->out.q.next = 1;
	p->out.session = p->out.written = 0;
	if (p->in) {
		struct in *in = p->in;

		in_leave(m, in);
		dk_stream_close(in->stream, false);
	}
}
