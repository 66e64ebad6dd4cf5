/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room that leaves for another node, with everybody in it. It is frozen: what it has gathered is pushed, its state is sent, and
 * each member begins to move. When all are ready over there, they are told in one turn, and the room here is gone; its id leads
 * to the new one from then on. When anything fails before that moment the room thaws, as if nothing had been, and it is tried
 * again. This node alone decides: the other one has nothing but a room that nobody knows until it is told.
 *
 * What members say meanwhile is held by the plugin user and follows them. Joins meanwhile wait here until the room is somewhere.
 *
 * A try may freeze the room for 100 ms at most; only when the first two came to nothing, later ones may take longer.
 */
#include <errno.h>

#include "room_data.h"

static const uint32_t limits_ms[] = { 100, 100, 250, 500, 1000 };

enum {
	PROMISED_MS = 100, /* what is longer is a line in the log */
	AGAIN_MS = 50, /* after a try that failed */
	UNREADY_MS = 20, /* somebody is on the way here */
	PATIENCE_MS = 3000, /* for those who are on the way here */
	COMMIT_MS =
		30000, /* for the other node to hear that the room is its own: as long as it remembers one that clients came to */
	TYPES_MAX = 8
};

struct room_move {
	dk_id room, asker, call; /* the command of the owner's client; asker alone: it was dropped */
	struct dk_id52 id;
	struct dk_addr to;
	unsigned tries;
	uint64_t since_ms, frozen_us;
	struct dk_timer timer; /* of the next try, or of the end of this one */
	dk_id request;
	bool made; /* the other node has the room */
	uint16_t waiting; /* members who are not ready */
	struct dk_id52 new_id;
	void *mover, *arg; /* who asked, when it was code */
	dk_room_migrate_fn *done;
};

/* ---- joins that wait ---- */

struct room_waiting {
	struct room_waiting *next;
	dk_id call;
};

int room_wait(struct rooms *s, struct room *r, dk_id call)
{
	struct room_waiting *w = dk_alloc(s, sizeof(*w)), **at = &r->waiting;

	if (!w)
		return -ENOMEM;
	w->call = call;
	while (*at)
		at = &(*at)->next;
	*at = w;
	return DK_LATER;
}

int room_wait_to_move(struct rooms *s, struct room *r, dk_id call)
{
	if (!r->move && room_move_by_code(s, s, r, NULL, NULL))
		return ROOM_NOT_TAKEN;
	return room_wait(s, r, call);
}

void room_join_again(struct rooms *s, dk_id id)
{
	struct dk_call *call = dk_call_get(s, id);
	struct dk_cursor c;
	struct dk_id52 room;
	const uint8_t *p;
	dk_str uid;
	int rc;

	if (!call)
		return;
	c = dk_cursor_of(call->payload);
	if (call->ver == ROOM_VER && call->cmd == ROOM_CMD_PUFFER_JOIN) {
		rc = room_puffer_join_again(s, call);
		if (rc != DK_LATER)
			dk_call_done(s, id, rc);
		return;
	}
	p = dk_rd_take(&c, DK_ID52_LEN);
	if (!p)
		return;
	memcpy(room.c, p, DK_ID52_LEN);
	if (call->ver == ROOM_VER) {
		rc = room_on_join(s, call, &room, dk_rd_rest(&c));
	} else {
		uid = dk_str_of(dk_rd_bytes16(&c));
		rc = room_on_enter(s, call, &room, uid, dk_rd_rest(&c));
	}
	if (rc != DK_LATER)
		dk_call_done(s, id, rc);
}

void room_let_in(struct rooms *s, struct room_waiting *list)
{
	while (list) {
		struct room_waiting *w = list;

		list = w->next;
		room_join_again(s, w->call);
		dk_free(s, w, sizeof(*w));
	}
}

/* The room stays on a node that goes down: those on other nodes who waited for it to leave are told. */
static void turn_away(struct rooms *s, struct room *r)
{
	struct dk_id52 id = r->id;

	while (r->waiting) {
		struct room_waiting *w = r->waiting;
		struct dk_call *call = dk_call_get(s, w->call);

		r->waiting = w->next;
		if (call)
			dk_call_done(s, w->call, room_on_enter_answer(call, ROOM_NOT_TAKEN, &id));
		dk_free(s, w, sizeof(*w));
	}
}

static void waiting_free(struct rooms *s, struct room *r)
{
	while (r->waiting) {
		struct room_waiting *w = r->waiting;

		r->waiting = w->next;
		dk_free(s, w, sizeof(*w));
	}
}

/* ---- the end ---- */

static void orphaned(void *self, void *arg)
{
	struct room_move *m = arg;

	(void)self;
	m->done = NULL;
}

/* The move is over, for better (err 0) or worse; r is NULL when the room is gone. */
static void end(struct rooms *s, struct room *r, struct room_move *m, int err)
{
	struct dk_call *call = dk_call_get(s, m->call);
	dk_room_migrate_fn *done = m->done;

	dk_timer_stop(&m->timer);
	if (r)
		r->move = NULL;
	if (err && call)
		dk_call_done(s, m->call, room_refuse(call, ROOM_E_MIGRATE, err));
	else if (err && m->asker)
		room_tell_refusal(s, m->asker, ROOM_CMD_MIGRATE, ROOM_E_MIGRATE, err);
	if (done) {
		dk_disown(m->mover, orphaned, m);
		done(m->mover, m->arg, m->room, err, &m->new_id);
	}
	r = r ? room_live(s, m->room) : NULL;
	dk_free(s, m, sizeof(*m));
	if (r && r->waiting)
		turn_away(s, r);
}

static void tell_end(struct rooms *s, const struct room_move *m, bool commit)
{
	uint8_t buf[DK_ID52_LEN + 1];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_landed_pack(&w, &m->id, commit);
	if (commit)
		room_errand(s, &m->to, ROOM_NODE_LANDED, &m->id, 0, COMMIT_MS, dk_written(&w));
	else
		s->carrier->send(s->carrier, &m->to, DK_VER_NODE, ROOM_NODE_LANDED, dk_written(&w), DK_RELIABLE);
}

static void measure(struct rooms *s, const struct room *r, const struct room_move *m, const char *what)
{
	uint64_t us = dk_now_us(s) - m->frozen_us;

	dk_histogram_add(&s->n.frozen, (double)us / 1e6);
	if (us > PROMISED_MS * 1000)
		dk_log(s, DK_NOTICE, "room " DK_STR_FMT " with %u members was frozen for %llu ms (%s)",
		       DK_STR_ARG(dk_str_n(r->id.c, DK_ID52_LEN)), r->member_n, (unsigned long long)us / 1000, what);
}

/* Live again, here. Who waited comes in now. */
static void thaw(struct rooms *s, struct room *r, struct room_move *m)
{
	struct room_waiting *list = r->waiting;

	measure(s, r, m, "and stays");
	dk_timer_stop(&m->timer);
	s->carrier->cancel(s->carrier, m->request);
	tell_end(s, m, false);
	for (uint16_t i = 0; i < r->member_n; i++)
		s->user->move_abort(s->user, r->members[i]);
	r->waiting = NULL;
	room_go_on(s, r);
	s->n.thawed++;
	room_copies_thawed(s, r);
	room_let_in(s, list);
}

static void try_it(void *self, struct dk_timer *t);

static void fail(struct rooms *s, struct room *r, int err)
{
	struct room_move *m = r->move;
	dk_id room = r->handle;

	thaw(s, r, m);
	r = room_any(s, room);
	if (!r || r->move != m) /* somebody who was let in has removed it */
		return;
	if (++m->tries < DK_ARRAY_LEN(limits_ms))
		dk_timer_start(s, &m->timer, AGAIN_MS << m->tries, 0, try_it);
	else
		end(s, r, m, err);
}

void room_move_thaw(struct rooms *s, struct room *r)
{
	if (r->phase == ROOM_FROZEN)
		fail(s, r, DK_ROOM_NO_NODE);
}

void room_move_drop(struct rooms *s, struct room *r)
{
	struct room_move *m = r->move;

	if (!m)
		return;
	m->tries = DK_ARRAY_LEN(limits_ms); /* the last one, whatever comes */
	r->move = NULL;
	if (r->phase == ROOM_FROZEN)
		thaw(s, r, m);
	end(s, NULL, m, DK_ROOM_GONE);
}

/* ---- the moment ---- */

static void gone_there(void *self, void *arg, dk_id user, int err)
{
	struct rooms *s = self;

	(void)arg;
	if (err == 0)
		return;
	/* It was told to go, and could not be handed over: its room is over there. */
	s->n.stranded++;
	dk_log(s, DK_WARN, "user " DK_STR_FMT " was left behind when its room moved to another node (%s)",
	       DK_STR_ARG(s->user->uid(s->user, user)), err < 0 ? dk_err_text(err) : "refused");
}

static void commit(struct rooms *s, struct room *r, struct room_move *m)
{
	struct room_waiting *list = r->waiting;
	uint16_t n = r->member_n;
	dk_id *users = dk_alloc(s, (n + 1u) * sizeof(*users));

	if (!users) {
		fail(s, r, -ENOMEM);
		return;
	}
	if (n)
		memcpy(users, r->members, n * sizeof(*users));
	measure(s, r, m, "until it lived on on another node");
	tell_end(s, m, true);
	room_alias_put(&s->aliases, &m->id, &m->new_id, dk_now(s));
	s->n.migrated_out++;
	r->waiting = NULL;
	r->move = NULL;
	room_leave_behind(s, r);
	for (uint16_t i = 0; i < n; i++) {
		int rc = s->user->move_commit(s->user, s, users[i], gone_there, NULL);

		if (rc)
			gone_there(s, NULL, users[i], rc);
	}
	dk_free(s, users, (n + 1u) * sizeof(*users));
	end(s, NULL, m, 0);
	room_let_in(s, list);
}

static void maybe_commit(struct rooms *s, struct room *r)
{
	if (r->move->made && !r->move->waiting && !room_copies_unconfirmed(r))
		commit(s, r, r->move);
}

void room_move_confirmed(struct rooms *s, struct room *r)
{
	if (r->phase == ROOM_FROZEN)
		maybe_commit(s, r);
}

static void ready(void *self, void *arg, dk_id user, int err)
{
	struct rooms *s = self;
	struct room *r = room_any(s, room_store_of(&s->store, user));

	(void)arg;
	if (!r || r->phase != ROOM_FROZEN) {
		if (err == 0)
			s->user->move_abort(s->user, user);
		return;
	}
	if (err) {
		fail(s, r, DK_ROOM_NO_NODE);
		return;
	}
	r->move->waiting--;
	maybe_commit(s, r);
}

/* dk_carrier_done_fn; cancelled when the room thaws */
static void made(void *self, void *arg, int err, int status, dk_slice body)
{
	struct rooms *s = self;
	struct room_move *m = arg;
	struct room *r = room_any(s, m->room);
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);
	const uint8_t *id = dk_rd_take(&c, DK_ID52_LEN);

	if (err || status != DK_STATUS_OK || outcome || !id) {
		fail(s, r, DK_ROOM_NO_NODE);
		return;
	}
	memcpy(m->new_id.c, id, DK_ID52_LEN);
	m->made = true;
	maybe_commit(s, r);
}

static void too_long(void *self, struct dk_timer *t)
{
	struct room_move *m = dk_container_of(t, struct room_move, timer);

	fail(self, room_any(self, m->room), DK_ROOM_NO_NODE);
}

/* ---- freezing ---- */

void room_stand_still(struct rooms *s, struct room *r)
{
	room_relay_flush(s, r);
	room_sync_flush(s, r);
	r->phase = ROOM_FROZEN;
	r->ttl_left_ms = dk_timer_armed(&r->ttl) ? (uint32_t)(r->ttl.due_ms - dk_now(s)) + 1 : 0;
	dk_timer_stop(&r->ttl);
	if (r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = ROOM_LOG_FREEZE });
}

void room_go_on(struct rooms *s, struct room *r)
{
	r->phase = ROOM_LIVE;
	if (r->ttl_left_ms)
		room_arm_ttl(s, r, r->ttl_left_ms);
	r->ttl_left_ms = 0;
	if (r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = ROOM_LOG_THAW });
}

static int send_state(struct rooms *s, struct room *r, struct room_move *m)
{
	dk_str asker = s->user->uid(s->user, m->asker);
	struct dk_writer w;
	dk_slice state;
	size_t cap;
	uint8_t *buf;
	int rc = room_pack(s, r, &state);

	if (rc < 0)
		return rc;
	cap = DK_ID52_LEN + 2 + asker.n + state.n;
	buf = dk_alloc(s, cap);
	w = dk_writer_on(buf, cap);
	room_on_land_pack(&w, &m->id, asker, state);
	rc = w.bad ? -ENOMEM : s->carrier->request(s->carrier, s, &m->to, DK_VER_NODE, 15, dk_written(&w), 0, made, m, &m->request);
	dk_free(s, buf, cap);
	if (rc == 0)
		room_copies_confirm(s, r, state);
	return rc > 0 ? -ENOBUFS : rc;
}

static int begin_all(struct rooms *s, const struct room *r, struct room_move *m)
{
	uint8_t buf[ROOM_NOTE_MIN + 2], index[2];
	int rc = 0;

	m->waiting = r->member_n;
	for (uint16_t i = 0; i < r->member_n && rc == 0; i++) {
		struct dk_writer w = dk_writer_on(buf, sizeof(buf)), number = dk_writer_on(index, sizeof(index));

		dk_wr_u16(&number, i);
		room_note_write(&w, ROOM_NOTE_MIGRATE, &m->id, dk_written(&number));
		rc = s->user->move_begin(s->user, s, r->members[i], &m->to, dk_str_n(NULL, 0), dk_written(&w), ready, NULL);
	}
	return rc;
}

static void freeze(struct rooms *s, struct room *r, struct room_move *m)
{
	dk_id room = r->handle;
	int rc;

	room_stand_still(s, r);
	m->frozen_us = dk_now_us(s);
	m->made = false;
	m->id = r->id;
	dk_timer_start(s, &m->timer, limits_ms[m->tries], 0, too_long);
	rc = send_state(s, r, m);
	if (rc == 0)
		rc = begin_all(s, r, m);
	r = room_any(s, room);
	if (!r || r->move != m || r->phase != ROOM_FROZEN)
		return;
	if (rc) {
		fail(s, r, DK_ROOM_NO_NODE);
		return;
	}
	/* The owner's move waits for its command, so that ends here; it is answered over there. */
	dk_call_drop(s, m->call);
	m->call = 0;
}

/* ---- when ---- */

/* Nobody is on the way here; blank users, who have no client to send, have left. */
static bool all_here(struct rooms *s, struct room *r)
{
	if (room_holds(s, r->handle))
		return false;
	for (uint16_t i = 0; i < r->member_n; i++)
		if (!s->user->is_connected(s->user, r->members[i]) || room_is_coming(s, r->members[i]))
			return false;
	return true;
}

/* The first that cannot go with it; 0 = none. */
static dk_id left_over(struct rooms *s, const struct room *r)
{
	for (uint16_t i = 0; i < r->member_n; i++)
		if (!s->user->is_connected(s->user, r->members[i]) || room_is_coming(s, r->members[i]))
			return r->members[i];
	return 0;
}

static void try_it(void *self, struct dk_timer *t)
{
	struct rooms *s = self;
	struct room_move *m = dk_container_of(t, struct room_move, timer);
	struct room *r = room_any(s, m->room);
	struct dk_addr last = m->to;
	dk_id who;

	if (!all_here(s, r)) {
		if (dk_now(s) - m->since_ms < PATIENCE_MS) {
			dk_timer_start(s, t, UNREADY_MS, 0, try_it);
			return;
		}
		while ((who = left_over(s, r))) {
			room_cut_off(s, r, who, DK_REASON_MOVED);
			r = room_any(s, m->room);
			if (!r || r->move != m)
				return;
			room_left_behind(s, who, &r->id);
		}
	}
	/* Another one than the last time, if there is another one. */
	if (!room_target(s, r, m->tries ? &last : NULL, &m->to) && !room_target(s, r, NULL, &m->to))
		end(s, r, m, DK_ROOM_NO_NODE);
	else
		freeze(s, r, m);
}

static int start(struct rooms *s, struct room *r, struct room_move **ret_move)
{
	struct room_move *m;
	struct dk_addr to;

	if (r->phase != ROOM_LIVE || r->move)
		return room_why_not(s, r->handle) == DK_ROOM_GONE && r->phase != ROOM_LIVE ? DK_ROOM_GONE : DK_ROOM_MOVING;
	if (!room_target(s, r, NULL, &to))
		return DK_ROOM_NO_NODE;
	m = dk_alloc(s, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->room = r->handle;
	m->since_ms = dk_now(s);
	r->move = m;
	/* Not from inside whatever asked: its command has to end first. */
	dk_timer_start(s, &m->timer, 0, 0, try_it);
	*ret_move = m;
	return 0;
}

int room_move_by_command(struct rooms *s, struct room *r, const struct dk_call *call)
{
	struct room_move *m;
	int rc = start(s, r, &m);

	if (rc)
		return rc;
	m->call = call->id;
	m->asker = call->user;
	return DK_LATER;
}

int room_move_by_code(struct rooms *s, void *mover, struct room *r, dk_room_migrate_fn *done, void *arg)
{
	struct room_move *m;
	int rc = start(s, r, &m);

	if (rc || !done)
		return rc;
	m->mover = mover;
	m->done = done;
	m->arg = arg;
	rc = dk_own(mover, orphaned, m, "a move of a room");
	if (rc == 0)
		return 0;
	m->done = NULL;
	end(s, r, m, 0);
	return rc;
}

void room_move_free(struct rooms *s, struct room *r)
{
	waiting_free(s, r);
	if (!r->move)
		return;
	dk_timer_stop(&r->move->timer);
	dk_free(s, r->move, sizeof(*r->move));
	r->move = NULL;
}
