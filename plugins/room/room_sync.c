/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state synchroniser: who hears of which states, and when. What is set in one window is told when it ends, each key once with
 * its last value; a room in which nothing changes has no timer. Windows lie on the room's grid, like its broadcasts.
 *
 * What was set reliably once in a window is told reliably, and so is what is removed, and all that a new member is told. Plain and
 * reliable values are never in one push, and a push fits one datagram.
 *
 * States move with their room, with everything that was said when they were enabled. Members hear all of them again over there, as
 * new members do: what was on its way may be lost with a node.
 */
#include "room_sync.h"

#include <errno.h>

enum {
	PUSH_MAX = 1096, /* with its length in a list, as long as a list of broadcasts */
	AGAIN_MS = 50, /* for a room that is frozen */
	INTERVAL_MAX_MS = 10000,
	DELAY_MAX_MS = 60000,
	COMBINE = 30
};
enum kind { PLAIN, RELIABLE, REMOVED, KINDS };

/* ---- telling ---- */

/* States for one push, of one kind, to the same members. */
struct load {
	uint16_t n;
	uint16_t used;
	uint8_t bytes[PUSH_MAX];
};

static void push(struct rooms *s, const struct room_sync *y, struct load *l, enum kind kind, const dk_id *to, size_t to_n,
		 bool flush)
{
	const struct dk_room_states_opts *o = &y->o;
	uint8_t ver = kind == REMOVED ? o->remove_ver : o->update_ver;
	uint16_t cmd = kind == REMOVED ? o->remove_cmd : o->update_cmd;
	size_t took;

	if (!l->n)
		return;
	took = s->user->push_many(s->user, to, to_n, ver, cmd, dk_slice_n(l->bytes, l->used),
				  kind == PLAIN ? DK_UNRELIABLE : DK_RELIABLE, flush);
	s->n.pushes += took;
	s->n.lost += to_n - took;
	s->n.states_sent += l->n * took;
	l->n = 0;
	l->used = 0;
}

static void add(struct rooms *s, const struct room_sync *y, struct load *l, enum kind kind, const dk_id *to, size_t to_n,
		const struct room_state *st)
{
	size_t need = kind == REMOVED ? 4u + st->key_n : 2u + st->key_n + st->value_n;
	struct dk_writer w;

	if (l->n == y->o.combine || l->used + need > PUSH_MAX)
		push(s, y, l, kind, to, to_n, false);
	w = dk_writer_on(l->bytes + l->used, PUSH_MAX - l->used);
	if (kind == REMOVED) {
		dk_wr_bytes32(&w, room_state_key(st));
	} else {
		dk_wr_bytes8(&w, room_state_key(st));
		dk_wr_bytes8(&w, room_state_value(st));
	}
	l->used = (uint16_t)(l->used + need);
	l->n++;
}

void room_sync_flush(struct rooms *s, struct room *r)
{
	struct room_sync *y = r->sync;
	struct load load[KINDS];
	struct room_state *st;
	enum kind last = PLAIN;

	if (!y || !y->v.changed)
		return;
	for (unsigned k = 0; k < KINDS; k++)
		load[k].n = load[k].used = 0;
	while ((st = room_states_take_changed(&y->v))) {
		enum kind kind = st->gone ? REMOVED : st->must_arrive ? RELIABLE : PLAIN;

		add(s, y, &load[kind], kind, r->members, r->member_n, st);
		last = kind > last ? kind : last;
		if (st->gone)
			room_states_drop(&s->states, &y->v, st);
	}
	/* The window was the wait; what the members' transports hold goes with the last push. */
	for (unsigned k = 0; k < KINDS; k++)
		push(s, y, &load[k], (enum kind)k, r->members, r->member_n, k == (unsigned)last);
	dk_timer_stop(&y->tick);
}

static void tell_all(struct rooms *s, const struct room_sync *y, const dk_id *to, size_t n)
{
	struct load l;

	l.n = l.used = 0;
	for (const struct room_state *st = y->v.oldest; st; st = st->newer)
		add(s, y, &l, RELIABLE, to, n, st);
	push(s, y, &l, RELIABLE, to, n, true);
}

static void record_timer(struct rooms *s, struct room *r, enum room_log_timer which)
{
	if (r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = ROOM_LOG_TIMER, .how = (uint8_t)which });
}

static void on_tick(void *self, struct dk_timer *t)
{
	struct rooms *s = self;
	struct room_sync *y = dk_container_of(t, struct room_sync, tick);

	s->n.state_ticks++;
	room_sync_flush(s, y->r);
	record_timer(s, y->r, ROOM_TIMER_WINDOW);
}

void room_sync_arm(struct rooms *s, struct room_sync *y)
{
	if (!dk_timer_armed(&y->tick))
		dk_timer_start(s, &y->tick, room_due(s, y->r, y->o.interval_ms), 0, on_tick);
}

/* ---- lapsing ---- */

static void on_lapse(void *self, struct dk_timer *t)
{
	struct rooms *s = self;
	struct room_sync *y = dk_container_of(t, struct room_sync, lapse);
	bool any = false;

	if (y->r->phase != ROOM_LIVE) {
		dk_timer_start(s, t, AGAIN_MS, 0, on_lapse);
		record_timer(s, y->r, ROOM_TIMER_LAPSE);
		return;
	}
	while (y->v.oldest && y->v.oldest->due_ms <= dk_now(s)) {
		room_states_remove(&y->v, y->v.oldest);
		s->n.states_lapsed++;
		any = true;
	}
	if (any) {
		room_touched(s, y->r);
		room_sync_arm(s, y);
	}
	if (y->v.oldest)
		dk_timer_start(s, t, y->v.oldest->due_ms - dk_now(s), 0, on_lapse);
	record_timer(s, y->r, ROOM_TIMER_LAPSE);
}

void room_sync_arm_lapse(struct rooms *s, struct room_sync *y)
{
	uint64_t now = dk_now(s);

	if (y->o.ttl_ms && y->v.oldest && !dk_timer_armed(&y->lapse))
		dk_timer_start(s, &y->lapse, y->v.oldest->due_ms > now ? y->v.oldest->due_ms - now : 0, 0, on_lapse);
}

/* ---- members ---- */

static void greet_all(void *self, struct dk_timer *t);

static void arm_greet(struct rooms *s, struct room_sync *y)
{
	uint64_t first = UINT64_MAX, now = dk_now(s);

	for (uint16_t i = 0; i < y->late_n; i++)
		first = y->late[i].due_ms < first ? y->late[i].due_ms : first;
	if (y->late_n)
		dk_timer_start(s, &y->greet, first > now ? first - now : 0, 0, greet_all);
	else
		dk_timer_stop(&y->greet);
}

static void greet_all(void *self, struct dk_timer *t)
{
	struct rooms *s = self;
	struct room_sync *y = dk_container_of(t, struct room_sync, greet);
	uint64_t now = dk_now(s);
	uint16_t left = 0;

	if (y->r->phase != ROOM_LIVE) { /* it goes on here, or elsewhere, where all are told */
		dk_timer_start(s, t, AGAIN_MS, 0, greet_all);
		record_timer(s, y->r, ROOM_TIMER_GREET);
		return;
	}
	for (uint16_t i = 0; i < y->late_n; i++) {
		if (y->late[i].due_ms > now)
			y->late[left++] = y->late[i];
		else
			tell_all(s, y, &y->late[i].user, 1);
	}
	y->late_n = left;
	arm_greet(s, y);
	record_timer(s, y->r, ROOM_TIMER_GREET);
}

/* In a moment that member hears all states. Without memory it hears them now. */
void room_sync_greet(struct rooms *s, struct room_sync *y, dk_id user, uint32_t in_ms)
{
	uint16_t cap = y->late_cap ? (uint16_t)(y->late_cap * 2) : 8;
	struct room_late *p;

	for (uint16_t i = 0; i < y->late_n; i++)
		if (y->late[i].user == user)
			return;
	if (y->late_n == y->late_cap) {
		p = dk_realloc(s, y->late, y->late_cap * sizeof(*p), cap * sizeof(*p));
		if (!p) {
			tell_all(s, y, &user, 1);
			return;
		}
		y->late = p;
		y->late_cap = cap;
	}
	y->late[y->late_n++] = (struct room_late){ user, dk_now(s) + in_ms };
	arm_greet(s, y);
}

void room_sync_joined(struct rooms *s, struct room *r, dk_id user)
{
	if (r->sync)
		room_sync_greet(s, r->sync, user, r->sync->o.all_delay_ms);
}

void room_sync_left(struct rooms *s, struct room *r, dk_id user)
{
	struct room_sync *y = r->sync;
	struct room_state *st = y ? y->v.oldest : NULL, *newer;

	if (!y)
		return;
	for (uint16_t i = 0; i < y->late_n; i++)
		if (y->late[i].user == user)
			y->late[i] = y->late[--y->late_n];
	for (; st; st = newer) {
		newer = st->newer;
		if (st->user != user)
			continue;
		room_states_remove(&y->v, st);
		room_sync_arm(s, y);
	}
}

/* ---- setting ---- */

static int record_set(struct rooms *s, struct room *r, dk_slice key, dk_slice value, dk_id linked, bool reliable, int rc)
{
	room_record(s, r,
		    &(struct room_log_event){ .kind = ROOM_LOG_STATE_SET,
					      .uid = s->user->uid(s->user, linked),
					      .bytes = key,
					      .more = value,
					      .how = (uint8_t)(reliable | (linked != 0) << 1),
					      .outcome = rc });
	return rc;
}

static int refused_set(struct rooms *s, dk_id room, dk_slice key, dk_slice value, dk_id linked, bool reliable, int rc)
{
	struct room *r = room_any(s, room);

	return r && r->recorded ? record_set(s, r, key, value, linked, reliable, rc) : rc;
}

int room_sync_set(struct rooms *s, struct room *r, dk_slice key, dk_slice value, dk_id linked, bool reliable)
{
	struct room_sync *y = r->sync;
	struct room_state *st;
	int rc;

	if (!y)
		rc = DK_ROOM_NO_STATES;
	else if (!room_state_fits(key, value))
		rc = -EINVAL;
	else if (linked && room_store_of(&s->store, linked) != r->handle)
		rc = DK_ROOM_NOT_MEMBER;
	else
		rc = room_states_set(s, &s->states, &y->v, (uint32_t)room_conf(s)->max_states, (uint32_t)dk_hash(s, key), key,
				     value, reliable, &st);
	if (rc) {
		s->n.states_refused++;
		return r->recorded ? record_set(s, r, key, value, linked, reliable, rc) : rc;
	}
	s->n.states_set++;
	st->user = linked;
	st->due_ms = y->o.ttl_ms ? dk_now(s) + y->o.ttl_ms : 0;
	room_sync_arm_lapse(s, y);
	room_sync_arm(s, y);
	if (reliable)
		room_touched(s, r);
	return r->recorded ? record_set(s, r, key, value, linked, reliable, 0) : 0;
}

static int svc_set_state(struct dk_room *svc, dk_id room, dk_slice key, dk_slice value, dk_id linked, bool reliable)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);

	return r ? room_sync_set(s, r, key, value, linked, reliable)
		 : refused_set(s, room, key, value, linked, reliable, room_why_not(s, room));
}

static struct room_state *find(struct rooms *s, const struct room *r, dk_slice key)
{
	if (!r->sync || !key.n || key.n >= DK_ROOM_STATE_MAX)
		return NULL;
	return room_states_find(&r->sync->v, (uint32_t)dk_hash(s, key), key);
}

static int svc_upsert_state(struct dk_room *svc, dk_id room, dk_slice key, dk_id linked, bool reliable, dk_room_upsert_fn *fn,
			    void *arg)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);
	const struct room_state *st;
	uint8_t now[DK_ROOM_STATE_MAX]; /* fn may change the state otherwise */
	size_t n = 0;
	dk_slice value;

	if (!r || !r->sync)
		return refused_set(s, room, key, dk_slice_n(NULL, 0), linked, reliable,
				   r ? DK_ROOM_NO_STATES : room_why_not(s, room));
	st = find(s, r, key);
	if (st) {
		n = st->value_n;
		memcpy(now, room_state_value(st).p, n);
	}
	value = fn(arg, st != NULL, dk_slice_n(now, n));
	if (!value.n)
		return 0;
	r = room_live(s, room);
	return r ? room_sync_set(s, r, key, value, linked, reliable)
		 : refused_set(s, room, key, value, linked, reliable, room_why_not(s, room));
}

static int remove_state(struct rooms *s, dk_id room, dk_slice key)
{
	struct room *r = room_live(s, room);
	struct room_state *st;

	if (!r)
		return room_why_not(s, room);
	if (!r->sync)
		return DK_ROOM_NO_STATES;
	st = find(s, r, key);
	if (!st)
		return DK_NOT_FOUND;
	room_states_remove(&r->sync->v, st);
	room_touched(s, r);
	room_sync_arm(s, r->sync);
	return 0;
}

static int svc_remove_state(struct dk_room *svc, dk_id room, dk_slice key)
{
	struct rooms *s = rooms_of(svc);
	int rc = remove_state(s, room, key);
	struct room *r = room_any(s, room);

	if (r && r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = ROOM_LOG_STATE_REMOVE, .bytes = key, .outcome = rc });
	return rc;
}

static int svc_get_state(struct dk_room *svc, dk_id room, dk_slice key, dk_slice *ret_value)
{
	struct rooms *s = rooms_of(svc);
	const struct room *r = room_any(s, room);
	const struct room_state *st = r ? find(s, r, key) : NULL;

	if (!r)
		return DK_ROOM_GONE;
	if (!st)
		return r->sync ? DK_NOT_FOUND : DK_ROOM_NO_STATES;
	*ret_value = room_state_value(st);
	return 0;
}

static int svc_sync_states(struct dk_room *svc, dk_id room)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);

	if (!r)
		return room_why_not(s, room);
	if (!r->sync)
		return DK_ROOM_NO_STATES;
	tell_all(s, r->sync, r->members, r->member_n);
	return 0;
}

/* ---- enabling ---- */

static struct dk_room_states_opts fitted(const struct dk_room_states_opts *want)
{
	struct dk_room_states_opts o = *want;

	if (!o.update_cmd && !o.update_ver) {
		o.update_ver = ROOM_VER;
		o.update_cmd = ROOM_CMD_STATE_UPDATE;
	}
	if (!o.remove_cmd && !o.remove_ver) {
		o.remove_ver = ROOM_VER;
		o.remove_cmd = ROOM_CMD_STATES_REMOVED;
	}
	if (o.interval_ms < DK_ROOM_STATE_INTERVAL_MIN_MS)
		o.interval_ms = DK_ROOM_STATE_INTERVAL_MIN_MS;
	if (o.interval_ms > INTERVAL_MAX_MS)
		o.interval_ms = INTERVAL_MAX_MS;
	if (o.all_delay_ms > DELAY_MAX_MS)
		o.all_delay_ms = DELAY_MAX_MS;
	if (o.ttl_ms < DK_ROOM_STATE_TTL_MIN_MS)
		o.ttl_ms = 0;
	if (!o.combine)
		o.combine = COMBINE;
	return o;
}

int room_sync_enable(struct rooms *s, struct room *r, const struct dk_room_states_opts *opts)
{
	struct room_sync *y = r->sync;

	if (!y) {
		y = dk_alloc(s, sizeof(*y));
		if (!y)
			return -ENOMEM;
		y->r = r;
		r->sync = y;
	}
	y->o = fitted(opts);
	return 0;
}

static int enable(struct rooms *s, dk_id room, const struct dk_room_states_opts *opts)
{
	struct room *r = room_live(s, room);
	struct room_sync *y;
	int rc;

	if (!r)
		return room_why_not(s, room);
	room_sync_flush(s, r);
	rc = room_sync_enable(s, r, opts);
	if (rc)
		return rc;
	/* All states are as old as these options. */
	y = r->sync;
	for (struct room_state *st = y->v.oldest; st; st = st->newer)
		st->due_ms = y->o.ttl_ms ? dk_now(s) + y->o.ttl_ms : 0;
	dk_timer_stop(&y->lapse);
	room_sync_arm_lapse(s, y);
	room_touched(s, r);
	return 0;
}

static int svc_enable_states(struct dk_room *svc, dk_id room, const struct dk_room_states_opts *opts)
{
	struct rooms *s = rooms_of(svc);
	int rc = enable(s, room, opts);
	struct room *r = room_any(s, room);

	if (r && r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = ROOM_LOG_STATES, .states = *opts, .outcome = rc });
	return rc;
}

int room_sync_by_option(struct rooms *s, struct room *r)
{
	struct dk_room_states_opts o = { .interval_ms = (uint32_t)room_conf(s)->state_interval_ms };

	return o.interval_ms ? room_sync_enable(s, r, &o) : 0;
}

/* ---- the beginning and the end ---- */

static void arm(struct rooms *s, struct dk_timer *t, uint32_t in_ms, dk_timer_fn *fn)
{
	if (in_ms)
		dk_timer_start(s, t, in_ms, 0, fn);
	else
		dk_timer_stop(t);
}

void room_sync_arm_all(struct rooms *s, struct room_sync *y, uint32_t window, uint32_t lapse, uint32_t greet)
{
	arm(s, &y->tick, window, on_tick);
	arm(s, &y->lapse, lapse, on_lapse);
	arm(s, &y->greet, greet, greet_all);
}

void room_sync_free(struct rooms *s, struct room *r)
{
	struct room_sync *y = r->sync;

	if (!y)
		return;
	dk_timer_stop(&y->tick);
	dk_timer_stop(&y->lapse);
	dk_timer_stop(&y->greet);
	room_sync_unlink(s, y);
	room_states_clear(s, &s->states, &y->v);
	dk_free(s, y->late, y->late_cap * sizeof(*y->late));
	dk_free(s, y, sizeof(*y));
	r->sync = NULL;
}

int room_sync_init(struct rooms *s)
{
	struct dk_room *svc = &s->svc;

	room_states_pool_init(s, &s->states);
	svc->enable_states = svc_enable_states;
	svc->set_state = svc_set_state;
	svc->upsert_state = svc_upsert_state;
	svc->remove_state = svc_remove_state;
	svc->get_state = svc_get_state;
	svc->sync_states = svc_sync_states;
	return room_sync_carry_init(s);
}

void room_sync_fini(struct rooms *s)
{
	dk_pool_fini(&s->states);
}
