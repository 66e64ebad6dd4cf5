/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inputs of a recorded room, done once more by what does them in a room that lives. Its members are blank users. Where other
 * plugins or nodes had a say their word is in the recording: a filter's verdict is given by a filter here, seats of other nodes'
 * users are kept as if they had asked, what plugins keep of the room is kept as bytes.
 */
#include "room_play.h"

#include <errno.h>

#include "room_dump.h"
#include "room_sync.h"

enum { NOBODY = 1 }; /* the handle of a user, and of none that is here */

/* What a plugin that is not here keeps of the room. */
struct kept {
	struct kept *next;
	uint16_t version, name_n;
	uint32_t n;
	uint8_t bytes[]; /* the name, then the rest */
};

struct room_play {
	struct rooms *s;
	struct room_log_head head;
	uint64_t ahead_ms; /* of the recording's beginning, this node's clock */
	dk_id room, elsewhere;
	bool veto;
	struct room_edit edit;
	bool editing;
	struct room_conf conf;
	const void *own_conf;
	struct kept *kept;
};

static struct room_play *play_of(struct dk_room_play *svc)
{
	return dk_container_of(svc, struct rooms, playing)->play;
}

/* ---- what plugins keep ---- */

static struct kept **find_kept(struct room_play *p, dk_str name)
{
	struct kept **at = &p->kept;

	while (*at && !dk_str_eq(dk_str_n((const char *)(*at)->bytes, (*at)->name_n), name))
		at = &(*at)->next;
	return at;
}

static void drop_kept(struct room_play *p, dk_str name)
{
	struct kept **at = find_kept(p, name), *k = *at;

	if (!k)
		return;
	*at = k->next;
	dk_free(p->s, k, sizeof(*k) + k->name_n + k->n);
}

int room_play_keep_part(struct rooms *s, const struct room_image_part *part)
{
	struct room_play *p = s->play;
	struct kept *k;

	if (!p)
		return DK_NOT_FOUND;
	drop_kept(p, part->name);
	k = dk_alloc(s, sizeof(*k) + part->name.n + part->bytes.n);
	if (!k)
		return -ENOMEM;
	k->version = part->version;
	k->name_n = (uint16_t)part->name.n;
	k->n = (uint32_t)part->bytes.n;
	memcpy(k->bytes, part->name.p, part->name.n);
	if (part->bytes.n)
		memcpy(k->bytes + part->name.n, part->bytes.p, part->bytes.n);
	k->next = p->kept;
	p->kept = k;
	return 0;
}

void room_play_pack_parts(struct rooms *s, struct dk_writer *w)
{
	for (const struct kept *k = s->play ? s->play->kept : NULL; k; k = k->next) {
		dk_wr_bytes8(w, dk_slice_n(k->bytes, k->name_n));
		dk_wr_u16(w, k->version);
		dk_wr_bytes32(w, dk_slice_n(k->bytes + k->name_n, k->n));
	}
}

static int keep(struct room_play *p, struct room *r, const struct room_log_event *e)
{
	struct room_image_part part = { .name = e->name, .version = (uint16_t)(e->number - 1), .bytes = e->bytes };
	int rc;

	if (!e->name.n || e->name.n > UINT8_MAX || !room_dump_is_other(e->name))
		return ROOM_PLAY_NONSENSE;
	drop_kept(p, e->name);
	if (dk_str_eq(e->name, dk_str_c("room.listed")))
		room_unlist(p->s, r);
	if (!e->number)
		return 0;
	rc = room_unpack_part(p->s, r, e->name, part.version, part.bytes);
	return rc == DK_NOT_FOUND ? room_play_keep_part(p->s, &part) : rc;
}

/* ---- users ---- */

static dk_id user(struct room_play *p, dk_str uid)
{
	struct dk_user *users = p->s->user;
	dk_id id = uid.n ? users->by_uid(users, uid) : 0;

	if (!id && uid.n && users->create_blank(users, uid, &id))
		return 0;
	return id;
}

static dk_id member(struct room_play *p, dk_str uid)
{
	return uid.n ? p->s->user->by_uid(p->s->user, uid) : 0;
}

static int veto_join(struct rooms *s, struct dk_room_join *ask)
{
	(void)ask;
	return s->play->veto;
}

static int veto_chat(struct rooms *s, struct dk_room_chat *ask)
{
	(void)ask;
	return s->play->veto;
}

/* Somebody who was in a room of which nothing is known. */
static void send_elsewhere(struct room_play *p, dk_id id, bool there)
{
	static const struct dk_room_opts o = { .max_members = DK_ROOM_MEMBERS_MAX, .allow_empty = true, .ttl_s = 86400 };
	struct dk_room *svc = &p->s->svc;

	if (!p->elsewhere && svc->create(svc, 0, &o, &p->elsewhere))
		return;
	if (there && !svc->of_user(svc, id))
		svc->join(svc, p->elsewhere, id, 1, 1, dk_slice_n(NULL, 0));
	else if (!there && svc->of_user(svc, id) == p->elsewhere)
		svc->leave(svc, p->elsewhere, id, 1, 1, dk_slice_n(NULL, 0));
}

static int join(struct room_play *p, const struct room_log_event *e)
{
	struct rooms *s = p->s;
	dk_id id = user(p, e->uid);
	bool new_owner;
	int rc;

	if (e->outcome == DK_ROOM_IN_ANOTHER)
		send_elsewhere(p, id, true);
	if (id)
		room_pace_set(s, id, e->number);
	p->veto = e->outcome == DK_ROOM_VETOED;
	rc = room_enter(s, p->room, id, dk_slice_n(NULL, 0), &new_owner);
	p->veto = false;
	if (e->outcome == DK_ROOM_IN_ANOTHER)
		send_elsewhere(p, id, false);
	return rc;
}

static int sit(struct room_play *p, struct room *r, const struct room_log_event *e)
{
	dk_id id = user(p, e->uid);

	if (!id)
		return ROOM_PLAY_NONSENSE;
	room_pace_set(p->s, id, e->number);
	return room_sit(p->s, r, id, e->cmd, e->bytes);
}

/* Who left, left; who was cut off, or moved away, is. */
static int leave(struct room_play *p, struct room *r, const struct room_log_event *e)
{
	struct dk_room *svc = &p->s->svc;
	dk_id id = member(p, e->uid);

	if (e->how == DK_REASON_CLIENT || e->outcome)
		return svc->leave(svc, p->room, id, 1, 102, dk_slice_n(NULL, 0));
	if (!svc->is_member(svc, p->room, id))
		return DK_ROOM_NOT_MEMBER;
	if (r->phase != ROOM_LIVE)
		return DK_ROOM_MOVING;
	room_cut_off(p->s, r, id, (enum dk_reason)e->how);
	return 0;
}

static int hold(struct room_play *p, struct room *r, const struct room_log_event *e)
{
	if (e->outcome == DK_ROOM_VETOED)
		return e->outcome; /* that is all there is to it */
	if (!e->uid.n || e->uid.n > DK_UID_MAX)
		return -EINVAL;
	return r->phase == ROOM_LIVE ? room_keep_seat(p->s, r, e->uid) : DK_ROOM_MOVING;
}

static int seats(struct room_play *p, const struct room_log_event *e)
{
	struct dk_room *svc = &p->s->svc;
	struct dk_list l = e->uids;
	dk_str *uids = dk_scratch(p->s, (l.n + 1u) * sizeof(*uids));
	dk_id by = e->how ? member(p, e->uid) : 0;
	size_t n = 0;

	if (!uids)
		return -ENOMEM;
	while (dk_list_next(&l, &uids[n]))
		n++;
	return e->kind == ROOM_LOG_RESERVE ? svc->reserve(svc, p->room, by, uids, n, e->how)
					   : svc->cancel_reservation(svc, p->room, by, uids, n, e->how);
}

/* ---- what is kept ---- */

static int set_state(struct room_play *p, const struct room_log_event *e)
{
	struct dk_room *svc = &p->s->svc;
	dk_id linked = member(p, e->uid);

	if ((e->how & 2) && !linked)
		linked = NOBODY;
	return svc->set_state(svc, p->room, e->bytes, e->more, linked, e->how & 1);
}

static int greet(struct room_play *p, struct room *r, const struct room_log_event *e)
{
	dk_id id = member(p, e->uid);

	if (!r->sync || !id)
		return ROOM_PLAY_NONSENSE;
	room_sync_greet(p->s, r->sync, id, e->number);
	return 0;
}

static int update_object(struct room_play *p, const struct room_log_event *e)
{
	struct dk_cursor c = dk_cursor_of(e->bytes);
	struct dk_room_field *fields = dk_scratch(p->s, (e->bytes.n / 10 + 1) * sizeof(*fields));
	struct dk_room *svc = &p->s->svc;
	size_t n = 0;

	if (!fields)
		return -ENOMEM;
	while (dk_rd_left(&c) && !c.bad) {
		fields[n].name = dk_str_of(dk_rd_bytes16(&c));
		fields[n++].value = dk_rd_f64(&c);
	}
	if (c.bad)
		return ROOM_PLAY_NONSENSE;
	return svc->update_object(svc, p->room, (enum dk_room_object_mode)e->how, e->name, fields, n, e->more.n != 0);
}

static int chat(struct room_play *p, const struct room_log_event *e)
{
	struct dk_room *svc = &p->s->svc;
	uint64_t now = p->s->wall_ms;
	dk_id by = member(p, e->uid);
	int rc;

	if (e->how && !by)
		by = NOBODY;
	p->s->wall_ms = e->at_ms;
	p->veto = e->outcome == DK_ROOM_VETOED;
	rc = svc->chat(svc, p->room, by, e->name);
	p->veto = false;
	p->s->wall_ms = now;
	return rc;
}

static int update(struct room_play *p, const struct room_log_event *e)
{
	struct room_edit second;
	int rc;

	if (e->kind == ROOM_LOG_UPDATED) {
		if (!p->editing)
			return ROOM_PLAY_NONSENSE;
		p->editing = false;
		return room_update_end(p->s, p->room, &p->edit, e->how);
	}
	rc = room_update_begin(p->s, p->room, p->editing ? &second : &p->edit);
	p->editing |= rc == 0;
	return rc;
}

/* ---- what is said ---- */

static int say(struct room_play *p, const struct room_log_event *e)
{
	struct dk_room *svc = &p->s->svc;

	if (e->how & 2)
		return svc->broadcast(svc, p->room, member(p, e->uid), e->ver, e->cmd, e->bytes, e->how & 1);
	return svc->announce(svc, p->room, NULL, 0, e->ver, e->cmd, e->bytes, e->how & 1);
}

static int send_some(struct room_play *p, const struct room_log_event *e)
{
	struct dk_list l = e->uids;
	dk_id *to = dk_scratch(p->s, (l.n + 1u) * sizeof(*to));
	struct dk_room *svc = &p->s->svc;
	size_t n = 0;
	dk_str uid;

	if (!to)
		return -ENOMEM;
	while (dk_list_next(&l, &uid))
		to[n++] = member(p, uid);
	if (e->how & 2)
		return svc->message(svc, p->room, member(p, e->uid), to, n, e->ver, e->cmd, e->bytes, e->how & 1);
	return svc->announce(svc, p->room, to, n, e->ver, e->cmd, e->bytes, e->how & 1);
}

/* ---- time ---- */

/* As the loop would run it. */
static int run_timer(struct room_play *p, struct dk_timer *t)
{
	uint64_t now = dk_now(p->s);
	dk_timer_fn *fn;

	if (!t || !dk_timer_armed(t))
		return ROOM_PLAY_NO_TIMER;
	if (t->due_ms > now + (t->due_ms == now + 1)) /* in no time is in a millisecond where a timer says so */
		return ROOM_PLAY_EARLY;
	fn = t->fn;
	if (t->every_ms) {
		uint64_t next = t->due_ms + (1 + (now > t->due_ms ? now - t->due_ms : 0) / t->every_ms) * t->every_ms;

		dk_timer_start(p->s, t, next - now, t->every_ms, fn);
	} else {
		dk_timer_stop(t);
	}
	fn(p->s, t);
	return 0;
}

static int timer(struct room_play *p, struct room *r, const struct room_log_event *e)
{
	struct room_sync *y = r->sync;

	switch (e->how) {
	case ROOM_TIMER_TICK:
		return run_timer(p, &r->tick);
	case ROOM_TIMER_WINDOW:
		return run_timer(p, y ? &y->tick : NULL);
	case ROOM_TIMER_LAPSE:
		return run_timer(p, y ? &y->lapse : NULL);
	case ROOM_TIMER_GREET:
		return run_timer(p, y ? &y->greet : NULL);
	case ROOM_TIMER_CLOCK:
		return run_timer(p, room_clock_timer(p->s, r, (uint8_t)e->number, e->name));
	default:
		return ROOM_PLAY_NONSENSE;
	}
}

/* ---- the beginning and the end ---- */

static void configure(struct room_play *p, const struct room_log_conf *c)
{
	p->conf.max_message = c->max_message;
	p->conf.max_chat = c->max_chat;
	p->conf.chat_history = c->chat_history;
	p->conf.chat_rate = c->chat_rate;
	p->conf.max_states = c->max_states;
	p->conf.state_interval_ms = c->state_interval_ms;
	p->conf.compat_interval = c->compat_interval;
}

static int make(struct room_play *p, const struct room_log_event *e)
{
	uint64_t now = p->s->wall_ms;
	struct room *r;
	int rc;

	p->s->wall_ms = e->at_ms;
	rc = room_make(p->s, user(p, e->uid), &e->opts, &r);
	p->s->wall_ms = now;
	if (rc)
		return rc;
	r->grid = p->head.grid;
	p->room = r->handle;
	return 0;
}

static int bring_members(struct room_play *p, struct room *r, const struct room_image *m)
{
	dk_slice list = m->members;
	dk_str uid;

	while (room_image_uid(&list, &uid)) {
		dk_id id = user(p, uid);

		if (!id || room_store_join(&p->s->store, r, id, uid))
			return -EPROTO;
	}
	r->owner = m->owner.n ? user(p, m->owner) : 0;
	return 0;
}

/* As a room that has landed, but nobody is told. */
static int bring(struct room_play *p, const struct room_log_event *e)
{
	struct room_image m;
	struct dk_id52 id;
	struct room *r;
	int rc = room_image_read(e->bytes, &m);

	if (rc)
		return rc;
	dk_id52_new(p->s, &id);
	rc = room_unpack(p->s, &m, &id, &r);
	if (rc)
		return rc;
	p->room = r->handle;
	r->grid = p->head.grid;
	r->phase = ROOM_LIVE;
	rc = bring_members(p, r, &m);
	if (rc)
		return rc;
	if (r->ttl_left_ms)
		room_arm_ttl(p->s, r, r->ttl_left_ms);
	r->ttl_left_ms = 0;
	room_sync_resume(p->s, r);
	room_count(p->s);
	return room_dump_restore(p->s, r, e->more);
}

static int end(struct room_play *p, const struct room_log_event *e)
{
	struct dk_room *svc = &p->s->svc;
	struct room *r = room_any(p->s, p->room);

	switch (e->how) {
	case ROOM_END_EMPTY:
		return r ? ROOM_PLAY_LIVES : 0;
	case ROOM_END_EXPIRED:
		return r ? run_timer(p, &r->ttl) : ROOM_PLAY_OVER;
	default:
		return r ? svc->remove(svc, p->room, 1, 102, dk_slice_n(NULL, 0)) : 0;
	}
}

static int refusal(struct room_play *p, const struct room *r, const struct room_log_event *e)
{
	dk_id id = member(p, e->uid);

	if (e->how == ROOM_REFUSED_STATES && r->phase != ROOM_LIVE)
		return room_why_not(p->s, p->room);
	if (!p->s->svc.is_member(&p->s->svc, p->room, id))
		return DK_ROOM_NOT_MEMBER;
	if (e->how == ROOM_REFUSED_STATES && (!r->sync || r->sync->o.closed))
		return DK_ROOM_NO_STATES;
	return 0;
}

/* ---- the service ---- */

static int apply_to(struct room_play *p, struct room *r, const struct room_log_event *e)
{
	struct rooms *s = p->s;
	struct dk_room *svc = &s->svc;
	int64_t sum;

	switch (e->kind) {
	case ROOM_LOG_JOIN:
		return join(p, e);
	case ROOM_LOG_SEAT:
		return sit(p, r, e);
	case ROOM_LOG_TOLD:
		room_arrived(s, member(p, e->uid));
		return 0;
	case ROOM_LOG_LEAVE:
		return leave(p, r, e);
	case ROOM_LOG_GONE:
		s->user->disconnect(s->user, member(p, e->uid), DK_REASON_SERVER);
		return 0;
	case ROOM_LOG_HOLD:
		return hold(p, r, e);
	case ROOM_LOG_UNHOLD:
		room_give_back(s, p->room, e->uid);
		return 0;
	case ROOM_LOG_RESERVE:
	case ROOM_LOG_CANCEL:
		return seats(p, e);
	case ROOM_LOG_TTL:
		return svc->change_ttl(svc, p->room, e->number);
	case ROOM_LOG_SET:
		return svc->set(svc, p->room, e->name, &e->value);
	case ROOM_LOG_UNSET:
		return svc->unset(svc, p->room, e->name);
	case ROOM_LOG_INCR:
		return svc->incr(svc, p->room, e->name, e->delta, &sum);
	case ROOM_LOG_UPDATE:
	case ROOM_LOG_UPDATED:
		return update(p, e);
	case ROOM_LOG_STATES:
		return svc->enable_states(svc, p->room, &e->states);
	case ROOM_LOG_STATE_SET:
		return set_state(p, e);
	case ROOM_LOG_STATE_REMOVE:
		return svc->remove_state(svc, p->room, e->bytes);
	case ROOM_LOG_STATE_SYNC:
		return greet(p, r, e);
	case ROOM_LOG_OBJECT:
		return update_object(p, e);
	case ROOM_LOG_CHAT:
		return chat(p, e);
	case ROOM_LOG_CHAT_LIMIT:
		return svc->chat_limit(svc, p->room, e->number);
	case ROOM_LOG_CLOCK:
		return room_clock_play(s, p->room, e->how, e->name, e->number);
	case ROOM_LOG_CLOCK_STOP:
		return room_clock_play_stop(s, p->room, e->how, e->name);
	case ROOM_LOG_SAY:
		return say(p, e);
	case ROOM_LOG_SEND:
		return send_some(p, e);
	case ROOM_LOG_PUSH:
		room_relay_own(s, r, e->cmd, e->bytes, e->how);
		return 0;
	case ROOM_LOG_FLUSH:
		room_relay_flush(s, r);
		return 0;
	case ROOM_LOG_TIMER:
		return timer(p, r, e);
	case ROOM_LOG_FREEZE:
		room_stand_still(s, r);
		return 0;
	case ROOM_LOG_THAW:
		room_go_on(s, r);
		return 0;
	case ROOM_LOG_PART:
		return keep(p, r, e);
	case ROOM_LOG_REFUSE:
		return refusal(p, r, e);
	default:
		return ROOM_PLAY_NONSENSE;
	}
}

/* Both clocks go on together. */
static void set_wall(struct room_play *p)
{
	p->s->wall_ms = p->head.unix_ms + (dk_now(p->s) + p->s->grid_ms - p->head.now_ms);
}

static int svc_apply(struct dk_room_play *svc, const struct room_log_event *e)
{
	struct room_play *p = play_of(svc);
	struct room *r = room_any(p->s, p->room);

	set_wall(p);
	switch (e->kind) {
	case ROOM_LOG_CONF:
		configure(p, &e->conf);
		return 0;
	case ROOM_LOG_CREATE:
		return make(p, e);
	case ROOM_LOG_STATE:
		return bring(p, e);
	case ROOM_LOG_END:
		return end(p, e);
	default:
		return r ? apply_to(p, r, e) : ROOM_PLAY_OVER;
	}
}

static int svc_begin(struct dk_room_play *svc, const struct room_log_head *head)
{
	struct rooms *s = dk_container_of(svc, struct rooms, playing);
	struct room_play *p = s->play || room_conf(s)->record ? NULL : dk_alloc(s, sizeof(*p));
	int rc;

	if (!p)
		return s->play ? -EALREADY : -ENOMEM;
	p->s = s;
	p->head = *head;
	p->conf = *room_conf(s);
	p->own_conf = s->base.conf;
	s->base.conf = &p->conf;
	s->grid_ms = head->now_ms - dk_now(s);
	s->play = p;
	set_wall(p);
	rc = dk_filter_add(s, &s->svc.may_join, veto_join);
	return rc ? rc : dk_filter_add(s, &s->svc.chatting, veto_chat);
}

static int svc_parts(struct dk_room_play *svc, uint64_t ret_parts[ROOM_PART_COUNT])
{
	struct room_play *p = play_of(svc);
	struct room *r = room_any(p->s, p->room);
	struct room_dump d;
	int rc;

	if (!r)
		return ROOM_PLAY_OVER;
	set_wall(p);
	rc = room_dump_take(p->s, r, &d);
	if (rc)
		return rc;
	room_dump_parts(&d, ret_parts);
	room_dump_free(p->s, &d);
	return 0;
}

static dk_id svc_room(struct dk_room_play *svc)
{
	struct room_play *p = play_of(svc);

	return room_any(p->s, p->room) ? p->room : 0;
}

void room_play_init(struct rooms *s)
{
	s->playing.begin = svc_begin;
	s->playing.apply = svc_apply;
	s->playing.parts = svc_parts;
	s->playing.room = svc_room;
}

void room_play_fini(struct rooms *s)
{
	struct room_play *p = s->play;

	if (!p)
		return;
	while (p->kept)
		drop_kept(p, dk_str_n((const char *)p->kept->bytes, p->kept->name_n));
	if (p->editing)
		room_update_end(s, p->room, &p->edit, false);
	s->base.conf = p->own_conf;
	s->play = NULL;
	dk_free(s, p, sizeof(*p));
}
