/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may happen to a room, and in which order: the functions of the service, for commands and other plugins alike.
 *
 * Filters and signals run code of others, which may do anything to the room meanwhile, remove it included; so nothing here
 * holds a pointer to a room across one of them. A room that is being discarded takes no new members and relays nothing, but
 * can still be looked at.
 */
#include "room_data.h"

#include <errno.h>

/* ---- the end of a room ---- */

/* Who is seen neither to join nor to leave was a seat taken, and is one free. */
static void tell_of_leaving(struct rooms *s, dk_id room, dk_id user, enum dk_reason reason, uint16_t members, bool unseen)
{
	struct dk_room_member_event ev = { room, user, DK_ROOM_MEMBER_REMOVED, reason, members };

	s->n.left++;
	dk_emit(&s->svc.changed, &ev);
	if (!unseen)
		dk_emit(&s->svc.left, &ev);
}

/* Nobody is told by a push here: the caller knows what there is to say. */
static void end_room(struct rooms *s, struct room *r, enum dk_reason reason)
{
	dk_id room = r->handle;
	struct dk_room_event ev = { room, &r->id, reason == DK_REASON_MOVED };
	struct room_waiting *waiting = r->waiting;

	if (r->recorded)
		room_record_end(s, r, reason == DK_REASON_MOVED		  ? ROOM_END_MOVED
				      : r->expired			  ? ROOM_END_EXPIRED
				      : r->member_n || r->allow_empty ? ROOM_END_REMOVED
								      : ROOM_END_EMPTY);
	r->phase = ROOM_DYING;
	r->waiting = NULL;
	while (r->member_n) {
		dk_id user = r->members[r->member_n - 1];

		room_store_leave(&s->store, r, user);
		room_count(s);
		tell_of_leaving(s, room, user, reason, r->member_n, room_is_coming(s, user));
	}
	dk_emit(&s->svc.discarded, &ev);
	room_clocks_end(r);
	room_copies_stop(s, r, true);
	room_strip(s, r);
	room_store_remove(&s->store, r);
	s->n.discarded++;
	room_count(s);
	room_let_in(s, waiting);
	room_drain_look(s);
}

static void discard(struct rooms *s, struct room *r)
{
	if (r->phase == ROOM_DYING)
		return;
	room_move_drop(s, r);
	end_room(s, r, DK_REASON_SERVER);
}

void room_leave_behind(struct rooms *s, struct room *r)
{
	end_room(s, r, DK_REASON_MOVED);
}

static void on_ttl(void *self, struct dk_timer *t)
{
	struct room *r = dk_container_of(t, struct room, ttl);

	r->expired = true;
	discard(self, r);
}

void room_arm_ttl(struct rooms *s, struct room *r, uint64_t ms)
{
	dk_timer_start(s, &r->ttl, ms, 0, on_ttl);
}

void room_refresh(struct rooms *s, struct room *r)
{
	if (dk_timer_armed(&r->ttl))
		room_arm_ttl(s, r, (uint64_t)r->ttl_s * 1000);
}

static int svc_change_ttl(struct dk_room *svc, dk_id room, uint32_t ttl_s)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);
	int rc = !r ? room_why_not(s, room) : ttl_s ? 0 : DK_ROOM_BAD_PARAMS;

	if (rc == 0) {
		r->ttl_s = ttl_s < DK_ROOM_TTL_MIN_S ? DK_ROOM_TTL_MIN_S : ttl_s;
		room_refresh(s, r);
		room_touched(s, r);
	}
	return room_record_number(s, room, ROOM_LOG_TTL, ttl_s, rc);
}

/* ---- coming ---- */

uint32_t room_fit_interval(const struct rooms *s, uint32_t ms)
{
	return gather_interval(ms, room_conf(s)->compat_interval);
}

void room_tell_added(struct rooms *s, dk_id room, dk_id user, uint16_t members)
{
	struct dk_room_member_event ev = { room, user, DK_ROOM_MEMBER_ADDED, 0, members };

	s->n.joined++;
	room_count(s);
	dk_emit(&s->svc.changed, &ev);
}

void room_tell_joined(struct rooms *s, dk_id room, dk_id user, bool new_owner)
{
	struct dk_room_member_event ev = { room, user, DK_ROOM_MEMBER_ADDED, 0, 0 };
	struct room *r = room_any(s, room);

	if (!r || room_store_of(&s->store, user) != room)
		return;
	ev.members = r->member_n;
	room_objects_joined(s, r, user);
	room_sync_joined(s, r, user);
	dk_emit(&s->svc.joined, &ev);
	if (new_owner && room_store_of(&s->store, user) == room)
		dk_emit(&s->svc.owner_changed, &((struct dk_room_owner_event){ room, user }));
}

/* The seat is taken; everybody who listens hears of it. */
static void tell_of_joining(struct rooms *s, dk_id room, dk_id user, uint16_t members, bool new_owner)
{
	room_tell_added(s, room, user, members);
	room_tell_joined(s, room, user, new_owner);
}

static int create_check(struct rooms *s, dk_id user, const struct dk_room_opts *o)
{
	if (dk_is_terminating(s) || dk_node_state(s) == DK_OFFLINE)
		return DK_REFUSED;
	if (o->max_members < DK_ROOM_MEMBERS_MIN || o->max_members > DK_ROOM_MEMBERS_MAX || !o->ttl_s)
		return DK_ROOM_BAD_PARAMS;
	if ((!o->allow_empty && !o->join) || (!user && o->join) || o->replicas > ROOM_BACKUPS_MAX)
		return DK_ROOM_BAD_PARAMS;
	if (user && !s->user->exists(s->user, user))
		return DK_GONE;
	return user && room_store_of(&s->store, user) ? DK_ROOM_IN_ANOTHER : 0;
}

int room_make(struct rooms *s, dk_id user, const struct dk_room_opts *o, struct room **ret_room)
{
	uint8_t least = (uint8_t)room_conf(s)->replicas, replicas = o->replicas > least ? o->replicas : least, backup_n;
	struct dk_addr backups[ROOM_BACKUPS_MAX] = { { .family = 0 } };
	struct dk_id52 id;
	struct room *r;
	int rc = create_check(s, user, o);

	if (rc)
		return rc;
	dk_id52_new(s, &id);
	backup_n = room_choose_backups(s, user, replicas, &id, backups);
	rc = room_store_add(&s->store, &id, o->max_members, &r);
	if (rc)
		return rc;
	rc = room_sync_by_option(s, r);
	if (rc) {
		room_store_remove(&s->store, r);
		return rc;
	}
	r->replicas = replicas;
	r->backup_n = backup_n;
	memcpy(r->backups, backups, sizeof(backups));
	r->allow_empty = o->allow_empty;
	r->ttl_s = o->ttl_s < DK_ROOM_TTL_MIN_S ? DK_ROOM_TTL_MIN_S : o->ttl_s;
	r->interval_ms = room_fit_interval(s, o->interval_ms);
	r->created_s = room_unix_s(s);
	r->owner = user;
	r->epoch = 1;
	if (!o->join)
		room_arm_ttl(s, r, (uint64_t)r->ttl_s * 1000);
	s->n.created++;
	room_count(s);
	*ret_room = r;
	return 0;
}

static int svc_create(struct dk_room *svc, dk_id user, const struct dk_room_opts *o, dk_id *ret_room)
{
	struct rooms *s = rooms_of(svc);
	struct dk_id52 id;
	struct room *r;
	dk_id room;
	int rc = room_make(s, user, o, &r);

	if (rc)
		goto refused;
	id = r->id;
	room = r->handle;
	s->making = o;
	dk_emit(&s->svc.created, &((struct dk_room_event){ room, &r->id, false }));
	r = o->join ? room_live(s, room) : NULL;
	if (r) {
		rc = s->user->exists(s->user, user) ? room_store_join(&s->store, r, user, s->user->uid(s->user, user)) : DK_GONE;
		if (rc) {
			discard(s, r);
			goto refused;
		}
		tell_of_joining(s, room, user, r->member_n, false);
		r = room_live(s, room);
	} else {
		r = room_live(s, room);
	}
	if (r && room_copies_start(s, r) < 0)
		dk_log(s, DK_ERROR, "room " DK_STR_FMT " has no copies: out of memory", DK_STR_ARG(dk_str_n(id.c, DK_ID52_LEN)));
	*ret_room = room;
	return 0;

refused:
	s->n.refused++;
	return rc;
}

/* Asks the filters, then looks again at everything they may have changed, and takes the seat. */
static int ask_and_sit(struct rooms *s, dk_id room, dk_id user, struct dk_room_join *ask, dk_id *ret_owner_before)
{
	struct room *r;
	int rc;

	if (dk_ask(&s->svc.join_condition, ask) || dk_ask(&s->svc.may_join, ask)) {
		s->n.vetoed++;
		return DK_ROOM_VETOED;
	}
	r = room_live(s, room);
	if (!r)
		return room_why_not(s, room);
	if (!s->user->exists(s->user, user))
		return DK_GONE;
	room_relay_flush(s, r);
	*ret_owner_before = r->owner;
	rc = room_store_join(&s->store, r, user, s->user->uid(s->user, user));
	s->n.full += rc == DK_ROOM_IS_FULL;
	return rc;
}

static int refused_join(struct rooms *s, dk_id room, dk_id user, int rc)
{
	struct room *r = room_any(s, room);

	if (r && r->recorded)
		room_record(s, r,
			    &(struct room_log_event){ .kind = ROOM_LOG_JOIN,
						      .uid = s->user->uid(s->user, user),
						      .number = room_pace_ahead(s, user),
						      .outcome = rc });
	return rc;
}

int room_enter(struct rooms *s, dk_id room, dk_id user, dk_slice message, bool *ret_new_owner)
{
	struct dk_room_join ask = { .room = room, .user = user, .message = message };
	struct room *r = room_live(s, room);
	bool new_owner;
	dk_id in, owner = 0;
	int rc;

	if (!r)
		return refused_join(s, room, user, room_why_not(s, room));
	if (!s->user->exists(s->user, user))
		return refused_join(s, room, user, DK_GONE);
	in = room_store_of(&s->store, user);
	if (in)
		return refused_join(s, room, user, in == room ? DK_EXISTS : DK_ROOM_IN_ANOTHER);
	ask.uid = s->user->uid(s->user, user);
	rc = ask_and_sit(s, room, user, &ask, &owner);
	if (rc) {
		refused_join(s, room, user, rc);
		dk_emit(&s->svc.join_failed, &ask);
		return rc;
	}
	dk_timer_stop(&r->ttl);
	room_touched(s, r);
	new_owner = r->owner != owner;
	tell_of_joining(s, room, user, r->member_n, new_owner);
	*ret_new_owner = new_owner;
	return 0;
}

static void push_owner(struct rooms *s, struct room *r)
{
	uint8_t buf[2 + DK_UID_MAX + 2 + DK_ID52_LEN];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_push_owner_encode(&w, s->user->uid(s->user, r->owner), dk_str_n(r->id.c, DK_ID52_LEN));
	room_relay_now(s, r, ROOM_VER, ROOM_CMD_OWNER_CHANGED, dk_written(&w), true);
}

void room_welcome(struct rooms *s, dk_id room, uint8_t ver, uint16_t cmd, dk_slice message, bool new_owner)
{
	struct room *r = room_live(s, room);

	if (!r)
		return;
	if (message.n)
		room_relay_now(s, r, ver, cmd, message, true);
	if (new_owner && r->owner)
		push_owner(s, r);
}

static int svc_join(struct dk_room *svc, dk_id room, dk_id user, uint8_t ver, uint16_t cmd, dk_slice message)
{
	struct rooms *s = rooms_of(svc);
	bool new_owner;
	int rc = room_enter(s, room, user, message, &new_owner);

	if (rc == 0)
		room_welcome(s, room, ver, cmd, message, new_owner);
	return rc;
}

/* ---- going ---- */

struct farewell {
	uint8_t ver;
	uint16_t cmd;
	dk_slice message;
	bool even_if_empty;
	bool unseen; /* its joining was not told */
};

static void go(struct rooms *s, struct room *r, dk_id user, enum dk_reason reason, const struct farewell *f)
{
	dk_id room = r->handle, owner = r->owner, new_owner;

	room_relay_flush(s, r);
	room_store_leave(&s->store, r, user);
	room_sync_left(s, r, user);
	room_touched(s, r);
	room_count(s);
	new_owner = r->owner;
	if (f->message.n || f->even_if_empty)
		room_relay_now(s, r, f->ver, f->cmd, f->message, true);
	if (new_owner != owner && new_owner)
		push_owner(s, r);
	if (!r->member_n && r->allow_empty)
		room_arm_ttl(s, r, (uint64_t)r->ttl_s * 1000);

	tell_of_leaving(s, room, user, reason, r->member_n, f->unseen);
	r = room_live(s, room);
	if (r && new_owner != owner && r->owner == new_owner)
		dk_emit(&s->svc.owner_changed, &((struct dk_room_owner_event){ room, new_owner }));
	r = room_live(s, room);
	if (r && !r->member_n && !r->allow_empty)
		discard(s, r);
}

static int refused_to_go(struct rooms *s, dk_id room, dk_id user, int rc)
{
	struct room *r = room_any(s, room);

	if (r && r->recorded)
		room_record(s, r,
			    &(struct room_log_event){ .kind = ROOM_LOG_LEAVE,
						      .uid = s->user->uid(s->user, user),
						      .how = DK_REASON_CLIENT,
						      .outcome = rc });
	return rc;
}

static int svc_leave(struct dk_room *svc, dk_id room, dk_id user, uint8_t ver, uint16_t cmd, dk_slice message)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);

	if (!r)
		return refused_to_go(s, room, user, room_why_not(s, room));
	if (room_store_of(&s->store, user) != room)
		return refused_to_go(s, room, user, DK_ROOM_NOT_MEMBER);
	go(s, r, user, DK_REASON_CLIENT, &(struct farewell){ .ver = ver, .cmd = cmd, .message = message });
	return 0;
}

void room_cut_off(struct rooms *s, struct room *r, dk_id user, enum dk_reason reason)
{
	struct dk_room_discard ask = { r->handle, user, ROOM_VER, ROOM_CMD_LEAVE, dk_slice_n(NULL, 0) };
	struct farewell f = { .even_if_empty = true };

	if (room_never_came(s, user)) {
		f = (struct farewell){ .unseen = true };
	} else {
		s->n.cut_off++;
		dk_ask(&s->svc.discarding, &ask);
		f.ver = ask.ver;
		f.cmd = ask.cmd;
		f.message = ask.message;
	}
	r = room_live(s, ask.room);
	if (r && room_store_of(&s->store, user) == ask.room)
		go(s, r, user, reason, &f);
}

void room_on_user_discarded(struct rooms *s, const struct dk_user_discarded *ev)
{
	struct room *r = room_any(s, room_store_of(&s->store, ev->user));

	if (!r) {
		room_never_came(s, ev->user);
		return;
	}
	room_move_thaw(s, r);
	r = room_any(s, room_store_of(&s->store, ev->user));
	if (r)
		room_cut_off(s, r, ev->user, ev->reason);
}

static int svc_remove(struct dk_room *svc, dk_id room, uint8_t ver, uint16_t cmd, dk_slice message)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_any(s, room);

	if (!r || r->phase > ROOM_FROZEN)
		return DK_ROOM_GONE;
	room_move_drop(s, r);
	room_relay_flush(s, r);
	if (message.n)
		room_relay_now(s, r, ver, cmd, message, true);
	discard(s, r);
	return 0;
}

/* ---- speaking ---- */

static void tell_of_message(struct rooms *s, dk_id room, dk_id sender, uint8_t ver, uint16_t cmd, dk_slice message)
{
	struct dk_room_sent ev = { room, sender, ver, cmd, message };

	dk_emit(&s->svc.announced, &ev);
}

static int svc_broadcast(struct dk_room *svc, dk_id room, dk_id sender, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);
	int rc = 0;

	if (!r)
		rc = room_why_not(s, room);
	else if (room_store_of(&s->store, sender) != room)
		rc = DK_ROOM_NOT_MEMBER;
	else if (message.n > (size_t)room_conf(s)->max_message)
		rc = DK_TOO_LONG;
	if (rc)
		return room_record_say(s, room, sender, ver, cmd, message, reliable, rc);
	room_relay(s, r, ver, cmd, message, reliable);
	if (r->recorded)
		room_record_say(s, room, sender, ver, cmd, message, reliable, 0);
	tell_of_message(s, room, sender, ver, cmd, message);
	return 0;
}

/* To those of n users who are members. What waits for the tick is not waited for. */
static void to_some(struct rooms *s, dk_id room, const dk_id *to, size_t n, uint8_t ver, uint16_t cmd, dk_slice message,
		    bool reliable)
{
	s->n.messages++;
	s->n.bytes += message.n;
	for (size_t i = 0; i < n; i++) {
		if (room_store_of(&s->store, to[i]) != room)
			continue;
		if (s->user->push(s->user, to[i], ver, cmd, message, reliable ? DK_RELIABLE : DK_UNRELIABLE) == 0)
			s->n.pushes++;
		else
			s->n.lost++;
	}
}

static int svc_message(struct dk_room *svc, dk_id room, dk_id sender, const dk_id *to, size_t n, uint8_t ver, uint16_t cmd,
		       dk_slice message, bool reliable)
{
	struct rooms *s = rooms_of(svc);
	int rc = 0;

	if (!room_live(s, room))
		rc = room_why_not(s, room);
	else if (room_store_of(&s->store, sender) != room)
		rc = DK_ROOM_NOT_MEMBER;
	else if (message.n > (size_t)room_conf(s)->max_message)
		rc = DK_TOO_LONG;
	if (s->recordings)
		room_record_send(s, room, sender, to, n, ver, cmd, message, reliable, rc);
	if (rc)
		return rc;
	to_some(s, room, to, n, ver, cmd, message, reliable);
	tell_of_message(s, room, sender, ver, cmd, message);
	return 0;
}

static int svc_announce(struct dk_room *svc, dk_id room, const dk_id *to, size_t n, uint8_t ver, uint16_t cmd, dk_slice message,
			bool reliable)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);
	int rc = !r ? room_why_not(s, room) : message.n > (size_t)room_conf(s)->max_message ? DK_TOO_LONG : 0;

	if (to && s->recordings)
		room_record_send(s, room, 0, to, n, ver, cmd, message, reliable, rc);
	else if (rc)
		room_record_say(s, room, 0, ver, cmd, message, reliable, rc);
	if (rc)
		return rc;
	if (to)
		to_some(s, room, to, n, ver, cmd, message, reliable);
	else
		room_relay(s, r, ver, cmd, message, reliable);
	if (!to && r->recorded)
		room_record_say(s, room, 0, ver, cmd, message, reliable, 0);
	tell_of_message(s, room, 0, ver, cmd, message);
	return 0;
}

static int svc_migrate(struct dk_room *svc, void *self, dk_id room, dk_room_migrate_fn *fn, void *arg)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_any(s, room);

	return r ? room_move_by_code(s, self, r, fn, arg) : DK_ROOM_GONE;
}

void room_service_init(struct rooms *s)
{
	struct dk_room *svc = &s->svc;

	svc->create = svc_create;
	svc->join = svc_join;
	svc->leave = svc_leave;
	svc->remove = svc_remove;
	svc->broadcast = svc_broadcast;
	svc->message = svc_message;
	svc->announce = svc_announce;
	svc->migrate = svc_migrate;
	svc->change_ttl = svc_change_ttl;
}
