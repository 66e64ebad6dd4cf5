/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What code may ask for: by user on the user's node, by id anywhere, by handle on the home. A user's seats are here, so that it is
 * in one session of a type is decided here, before a home is asked.
 */
#include "session_state.h"

/* ---- who asks ---- */

static void forget_asker(void *self, void *arg)
{
	struct session_asker *a = arg;

	(void)self;
	a->self = NULL;
}

struct session_asker *session_asker_new(struct sessions *s, void *self, dk_session_done_fn *done, void *arg)
{
	struct session_asker *a = dk_pool_get(&s->askers);

	if (!a)
		return NULL;
	*a = (struct session_asker){ .s = s, .self = self, .done = done, .arg = arg };
	if (self && self != s && dk_own(self, forget_asker, a, "a question about a session") < 0) {
		dk_pool_put(&s->askers, a);
		return NULL;
	}
	return a;
}

void session_asker_free(struct session_asker *a)
{
	if (a->self && a->self != a->s)
		dk_disown(a->self, forget_asker, a);
	dk_pool_put(&a->s->askers, a);
}

void session_asker_tell(struct session_asker *a, const struct dk_session_result *r)
{
	struct session_asker was = *a;

	session_asker_free(a);
	if (was.self && was.done && r->rc != -ECANCELED)
		was.done(was.self, was.arg, r);
}

static void told(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct session_asker *a = arg;
	struct dk_session_result r = { .rc = rc, .id = a->id, .type = a->type };

	(void)s;
	(void)body;
	session_asker_tell(a, &r);
}

/* A question of which only the outcome counts. */
static int ask(struct sessions *s, struct session_asker *a, uint16_t cmd, const struct dk_writer *w, unsigned flags,
	       session_answer_fn *fn)
{
	int rc = w->bad ? -ENOMEM : session_ask(s, &a->id, cmd, dk_written(w), flags, fn, a);

	if (rc)
		session_asker_free(a);
	return rc;
}

/* ---- coming ---- */

static uint64_t new_token(struct sessions *s)
{
	uint64_t token;

	do {
		token = dk_chance(s);
	} while (!token);
	return token;
}

static int svc_create(struct dk_session *svc, dk_id user, const struct dk_session_opts *opts, struct dk_session_id *ret_id)
{
	struct sessions *s = sessions_of(svc);
	const struct session_conf *conf = session_conf(s);
	const uint8_t *sid = s->user->sid(s->user, user);
	uint64_t token = new_token(s);
	struct session_seat *seat;
	struct session *ss;
	int rc = 0;

	if (!s->user->exists(s->user, user) || !sid)
		return DK_GONE;
	if (session_seat_of(&s->seats, user, opts->type))
		return DK_SESSION_IN_ANOTHER;
	if (opts->max_members < DK_SESSION_MEMBERS_MIN || opts->max_members > conf->max_members || !opts->ttl_s)
		rc = DK_SESSION_BAD_PARAMS;
	else if (dk_node_state(s) == DK_OFFLINE)
		rc = DK_REFUSED;
	if (rc == 0)
		rc = session_make(s, opts, s->user->uid(s->user, user), token, sid, &ss);
	if (rc) {
		s->n.refused++;
		return rc;
	}
	rc = s->user->exists(s->user, user) ? 0 : DK_GONE; /* listeners may do anything */
	if (rc == 0 && session_seat_of(&s->seats, user, opts->type))
		rc = DK_SESSION_IN_ANOTHER;
	if (rc == 0)
		rc = session_seat_add(&s->seats, user, opts->type, &ss->id, dk_node_addr(s), token, SEAT_IN, &seat);
	if (rc) {
		session_end(s, ss, DK_SESSION_DELETED);
		return rc;
	}
	seat->sure = true;
	seat->known->epoch = ss->epoch;
	session_gauges(s);
	*ret_id = ss->id;
	return 0;
}

/* The home has answered. Whoever is not here any more leaves again; the home may not have heard of it. */
static void entered(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct session_asker *a = arg;
	struct dk_session_result r = { .rc = rc, .id = a->id, .type = a->type };
	struct session_seat *seat = session_seat_of(&s->seats, a->user, a->type);

	(void)body;
	if (seat && seat->token != a->token)
		seat = NULL;
	if (!seat && rc == 0)
		r.rc = DK_GONE;
	if (seat && rc == 0) {
		seat->known->confirmed_ms = dk_now(s);
		seat->sure = true;
		session_seat_state(seat, SEAT_IN);
	} else if (seat) {
		if (rc == DK_SESSION_NO_NODE || rc < 0)
			session_give_up(s, seat, DK_SESSION_LEFT);
		else
			session_seat_remove(&s->seats, seat);
	}
	session_gauges(s);
	session_asker_tell(a, &r);
}

static int svc_join(struct dk_session *svc, void *self, dk_id user, uint8_t type, dk_str text, dk_session_done_fn *done, void *arg)
{
	struct sessions *s = sessions_of(svc);
	const uint8_t *sid = s->user->sid(s->user, user);
	dk_str uid = s->user->uid(s->user, user);
	uint8_t buf[2 + DK_SESSION_ID_LEN + 9 + 2 + DK_UID_MAX + 2 + 16];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_addr home = { .family = 0 };
	struct session_seat *seat;
	struct session_asker *a;
	struct dk_session_id id;
	int rc;

	if (!s->user->exists(s->user, user) || !sid)
		return DK_GONE;
	if (!session_id_ok(text, &id))
		return DK_SESSION_GONE;
	seat = session_seat_of(&s->seats, user, type);
	if (seat)
		return seat->state == SEAT_IN && session_id_eq(&seat->known->id, &id) ? DK_EXISTS : DK_SESSION_IN_ANOTHER;
	a = session_asker_new(s, self, done, arg);
	if (!a)
		return -ENOMEM;
	a->id = id;
	a->type = type;
	a->user = user;
	a->token = new_token(s);
	session_id_addr(&id, &home);
	rc = session_seat_add(&s->seats, user, type, &id, &home, a->token, SEAT_JOINING, &seat);
	if (rc) {
		session_asker_free(a);
		return rc;
	}
	session_on_enter_pack(&w, text, a->token, type, uid, dk_slice_n(sid, 16));
	rc = ask(s, a, SESSION_NODE_JOIN, &w, SESSION_AGAIN | SESSION_SEARCH, entered);
	if (rc)
		session_seat_remove(&s->seats, seat);
	session_gauges(s);
	return rc;
}

static int svc_leave(struct dk_session *svc, dk_id user, uint8_t type)
{
	struct sessions *s = sessions_of(svc);
	struct session_seat *seat = session_seat_of(&s->seats, user, type);

	if (!s->user->exists(s->user, user))
		return DK_GONE;
	if (!seat || seat->state != SEAT_IN)
		return DK_SESSION_GONE;
	session_give_up(s, seat, DK_SESSION_LEFT);
	return 0;
}

/* ---- saying ---- */

static int say(struct sessions *s, void *self, const struct dk_session_id *id, uint64_t token, dk_str uid, const dk_str *uids,
	       size_t n, uint8_t ver, uint16_t cmd, dk_slice message, dk_session_done_fn *done, void *arg)
{
	size_t cap = 2 + DK_SESSION_ID_LEN + 8 + 2 + uid.n + 3 + 2 + message.n, list_n = 0;
	struct session_asker *a;
	struct dk_writer w, l;
	uint8_t *list;

	if (message.n > (size_t)session_conf(s)->max_message)
		return DK_TOO_LONG;
	for (size_t i = 0; i < n; i++)
		list_n += 2 + uids[i].n;
	list = dk_scratch(s, list_n);
	l = dk_writer_on(list, list_n);
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes16(&l, dk_slice_of(uids[i]));
	w = dk_writer_on(dk_scratch(s, cap + list_n), cap + list_n);
	session_on_say_pack(&w, session_id_text(id), token, uid, ver, cmd, (struct dk_list){ dk_written(&l), (uint16_t)n },
			    message);
	if (l.bad)
		w.bad = true;
	a = session_asker_new(s, self, done, arg);
	if (!a)
		return -ENOMEM;
	a->id = *id;
	return ask(s, a, SESSION_NODE_BROADCAST, &w, SESSION_SEARCH, told);
}

static int svc_broadcast(struct dk_session *svc, void *self, dk_id user, uint8_t type, uint8_t ver, uint16_t cmd, dk_slice message,
			 dk_session_done_fn *done, void *arg)
{
	struct sessions *s = sessions_of(svc);
	const struct session_seat *seat = session_seat_of(&s->seats, user, type);

	if (!s->user->exists(s->user, user))
		return DK_GONE;
	if (!seat || seat->state != SEAT_IN)
		return DK_SESSION_GONE;
	return say(s, self, &seat->known->id, seat->token, s->user->uid(s->user, user), NULL, 0, ver, cmd, message, done, arg);
}

static int svc_message(struct dk_session *svc, void *self, dk_id user, uint8_t type, const dk_str *uids, size_t n, uint8_t ver,
		       uint16_t cmd, dk_slice message, dk_session_done_fn *done, void *arg)
{
	struct sessions *s = sessions_of(svc);
	const struct session_seat *seat = session_seat_of(&s->seats, user, type);

	if (!s->user->exists(s->user, user))
		return DK_GONE;
	if (!seat || seat->state != SEAT_IN)
		return DK_SESSION_GONE;
	if (!n || n > DK_SESSION_INVITES_MAX)
		return DK_SESSION_BAD_PARAMS;
	return say(s, self, &seat->known->id, seat->token, s->user->uid(s->user, user), uids, n, ver, cmd, message, done, arg);
}

static int svc_announce(struct dk_session *svc, void *self, dk_str text, uint8_t ver, uint16_t cmd, dk_slice message,
			dk_session_done_fn *done, void *arg)
{
	struct dk_session_id id;

	if (!session_id_ok(text, &id))
		return DK_SESSION_GONE;
	return say(sessions_of(svc), self, &id, 0, dk_str_n(NULL, 0), NULL, 0, ver, cmd, message, done, arg);
}

static int throw_out(struct sessions *s, void *self, const struct dk_session_id *id, uint64_t token, dk_str by, dk_str uid,
		     dk_session_done_fn *done, void *arg)
{
	uint8_t buf[2 + DK_SESSION_ID_LEN + 8 + 2 * (2 + DK_UID_MAX)];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct session_asker *a;

	session_on_throw_out_pack(&w, session_id_text(id), token, by, uid);
	if (w.bad)
		return DK_TOO_LONG;
	a = session_asker_new(s, self, done, arg);
	if (!a)
		return -ENOMEM;
	a->id = *id;
	return ask(s, a, SESSION_NODE_KICK, &w, SESSION_SEARCH, told);
}

static int svc_kick(struct dk_session *svc, void *self, dk_id user, uint8_t type, dk_str uid, dk_session_done_fn *done, void *arg)
{
	struct sessions *s = sessions_of(svc);
	const struct session_seat *seat = session_seat_of(&s->seats, user, type);

	if (!s->user->exists(s->user, user))
		return DK_GONE;
	if (!seat || seat->state != SEAT_IN)
		return DK_SESSION_GONE;
	return throw_out(s, self, &seat->known->id, seat->token, s->user->uid(s->user, user), uid, done, arg);
}

static int svc_kick_uid(struct dk_session *svc, void *self, dk_str text, dk_str uid, dk_session_done_fn *done, void *arg)
{
	struct dk_session_id id;

	if (!session_id_ok(text, &id))
		return DK_SESSION_GONE;
	return throw_out(sessions_of(svc), self, &id, 0, dk_str_n(NULL, 0), uid, done, arg);
}

/* ---- seats ---- */

static int svc_of_user(struct dk_session *svc, dk_id user, uint8_t type, struct dk_session_id *ret_id)
{
	const struct session_seat *seat = session_seat_of(&sessions_of(svc)->seats, user, type);

	if (!seat || seat->state == SEAT_JOINING)
		return DK_SESSION_GONE;
	*ret_id = seat->known->id;
	return 0;
}

static size_t svc_data_of_user(struct dk_session *svc, dk_id user, struct dk_session_of_user *ret_data, size_t cap)
{
	const struct session_seat *seat = session_seat_first(&sessions_of(svc)->seats, user);
	size_t n = 0;

	for (; seat; seat = seat->of_user) {
		if (seat->state == SEAT_JOINING)
			continue;
		if (n < cap)
			ret_data[n] = (struct dk_session_of_user){ seat->type, seat->known->id };
		n++;
	}
	return n;
}

/* ---- by handle ---- */

static dk_id svc_find(struct dk_session *svc, const struct dk_session_id *id)
{
	const struct session *ss = session_store_find(&sessions_of(svc)->store, id);

	return ss ? ss->handle : 0;
}

static int svc_info(struct dk_session *svc, dk_id session, struct dk_session_info *ret_info)
{
	const struct session *ss = session_store_get(&sessions_of(svc)->store, session);

	if (!ss)
		return DK_SESSION_GONE;
	*ret_info = (struct dk_session_info){ .id = ss->id,
					      .owner = session_owner_uid(ss),
					      .members = ss->n,
					      .epoch = ss->epoch,
					      .max_members = ss->max,
					      .ttl_s = ss->ttl_s,
					      .type = ss->type };
	return 0;
}

static size_t svc_number(struct dk_session *svc)
{
	return sessions_of(svc)->store.table.used;
}

static dk_id svc_next(struct dk_session *svc, uint32_t *slot)
{
	dk_id id;

	return dk_table_next(&sessions_of(svc)->store.table, slot, &id) ? id : 0;
}

static dk_str svc_member_at(struct dk_session *svc, dk_id session, uint32_t i)
{
	const struct session *ss = session_store_get(&sessions_of(svc)->store, session);

	return ss && i < ss->n ? session_member_uid(ss->places[i].m) : dk_str_n(NULL, 0);
}

/* The session of a handle, to be changed. */
static struct session *live(struct sessions *s, dk_id session)
{
	struct session *ss = session_store_get(&s->store, session);

	return ss && ss->phase == SESSION_LIVE ? ss : NULL;
}

static int svc_remove(struct dk_session *svc, dk_id session)
{
	struct sessions *s = sessions_of(svc);
	struct session *ss = live(s, session);

	if (!ss)
		return DK_SESSION_GONE;
	session_end(s, ss, DK_SESSION_DELETED);
	return 0;
}

static int svc_start_tick(struct dk_session *svc, dk_id session, dk_str name, uint32_t interval_s)
{
	struct sessions *s = sessions_of(svc);
	struct session *ss = live(s, session);

	return ss ? session_tick_start(s, ss, name, interval_s) : DK_SESSION_GONE;
}

static int svc_stop_tick(struct dk_session *svc, dk_id session, dk_str name)
{
	struct sessions *s = sessions_of(svc);
	struct session *ss = live(s, session);

	return ss ? session_tick_stop(s, ss, name) : DK_SESSION_GONE;
}

void session_service_init(struct sessions *s)
{
	s->svc.create = svc_create;
	s->svc.join = svc_join;
	s->svc.leave = svc_leave;
	s->svc.broadcast = svc_broadcast;
	s->svc.message = svc_message;
	s->svc.announce = svc_announce;
	s->svc.kick = svc_kick;
	s->svc.kick_uid = svc_kick_uid;
	s->svc.of_user = svc_of_user;
	s->svc.data_of_user = svc_data_of_user;
	s->svc.find = svc_find;
	s->svc.info = svc_info;
	s->svc.number = svc_number;
	s->svc.next = svc_next;
	s->svc.member_at = svc_member_at;
	s->svc.remove = svc_remove;
	s->svc.start_tick = svc_start_tick;
	s->svc.stop_tick = svc_stop_tick;
}
