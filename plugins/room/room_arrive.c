/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users who come to a room of this node from another one. First a seat is kept for the uid, for a short while. When the plugin
 * user says that the user is here, with a note of what it comes for, it takes the seat and is answered; its client is still on
 * its way, and hears what the room says from then on when it turns up. Then the others are told. Who never turns up leaves without
 * a word.
 *
 * Members of a room that moves here, or is taken over, come the same way, but in silence: they were members before.
 */
#include <errno.h>

#include "room_data.h"

enum {
	HOLD_MS = 2000, /* from the seat that is kept to the user that is here */
	SWEEP_MS = 250,
	ANSWER_MAX = 4 + 2 + DK_ID52_LEN
};

static const uint8_t note_magic[4] = { 'r', 'o', 'o', 'm' };

void room_note_write(struct dk_writer *w, enum room_note kind, const struct dk_id52 *id, dk_slice rest)
{
	dk_wr_slice(w, dk_slice_n(note_magic, sizeof(note_magic)));
	dk_wr_u8(w, (uint8_t)kind);
	dk_wr_slice(w, dk_slice_n(id->c, DK_ID52_LEN));
	dk_wr_slice(w, rest);
}

static bool note_read(dk_slice note, uint8_t *ret_kind, struct dk_id52 *ret_id, dk_slice *ret_rest)
{
	struct dk_cursor c = dk_cursor_of(note);
	const uint8_t *magic = dk_rd_take(&c, sizeof(note_magic)), *id;
	uint8_t kind = dk_rd_u8(&c);

	id = dk_rd_take(&c, DK_ID52_LEN);
	if (!id || memcmp(magic, note_magic, sizeof(note_magic)) != 0)
		return false;
	memcpy(ret_id->c, id, DK_ID52_LEN);
	*ret_kind = kind;
	*ret_rest = dk_rd_rest(&c);
	return true;
}

/* ---- seats that are kept ---- */

struct room_hold {
	struct room_hold *next;
	dk_id room;
	uint64_t until_ms;
	uint16_t n;
	char uid[];
};

static void hold_free(struct rooms *s, struct room_hold **at)
{
	struct room_hold *h = *at;

	*at = h->next;
	dk_free(s, h, sizeof(*h) + h->n);
}

static struct room_hold **hold_find(struct rooms *s, dk_id room, dk_str uid)
{
	struct room_hold **at = &s->holds;

	while (*at && ((*at)->room != room || !dk_str_eq(dk_str_n((*at)->uid, (*at)->n), uid)))
		at = &(*at)->next;
	return at;
}

/* The seat is free again. */
static void hold_drop(struct rooms *s, struct room_hold **at)
{
	struct room_hold *h = *at;
	struct room *r = room_any(s, h->room);

	if (r)
		room_store_unhold(&s->store, r, dk_str_n(h->uid, h->n));
	if (r && r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = ROOM_LOG_UNHOLD, .uid = dk_str_n(h->uid, h->n) });
	hold_free(s, at);
}

static void sweep(void *self, struct dk_timer *t)
{
	struct rooms *s = self;

	for (struct room_hold **at = &s->holds; *at;) {
		if ((*at)->until_ms <= dk_now(s)) {
			s->n.holds_lapsed++;
			hold_drop(s, at);
		} else {
			at = &(*at)->next;
		}
	}
	if (!s->holds)
		dk_timer_stop(t);
}

int room_keep_seat(struct rooms *s, struct room *r, dk_str uid)
{
	struct room_hold **at = hold_find(s, r->handle, uid), *h = *at;
	int rc;

	if (!h) {
		h = dk_alloc(s, sizeof(*h) + uid.n);
		if (!h)
			return -ENOMEM;
		rc = room_store_hold(&s->store, r, uid);
		if (rc) {
			dk_free(s, h, sizeof(*h) + uid.n);
			return rc;
		}
		h->room = r->handle;
		h->n = (uint16_t)uid.n;
		memcpy(h->uid, uid.p, uid.n);
		*at = h;
	}
	h->until_ms = dk_now(s) + HOLD_MS;
	if (!dk_timer_armed(&s->hold_timer))
		dk_timer_start(s, &s->hold_timer, SWEEP_MS, SWEEP_MS, sweep);
	return 0;
}

bool room_holds(const struct rooms *s, dk_id room)
{
	const struct room_hold *h = s->holds;

	while (h && h->room != room)
		h = h->next;
	return h != NULL;
}

void room_give_back(struct rooms *s, dk_id room, dk_str uid)
{
	struct room_hold **at = hold_find(s, room, uid);

	if (*at)
		hold_drop(s, at);
}

/* ---- what other nodes ask ---- */

/* A room of this node by any of its ids. Returns 0, DK_ROOM_GONE, or ROOM_MOVED: *ret_id says how it is called now. */
static int find(struct rooms *s, const struct dk_id52 *id, dk_id *ret_room, struct dk_id52 *ret_id)
{
	dk_id room = s->svc.find(&s->svc, id);

	*ret_id = *id;
	if (room) {
		*ret_room = room;
		*ret_id = room_any(s, room)->id;
		return 0;
	}
	return room_alias_get(&s->aliases, id, dk_now(s), ret_id) ? ROOM_MOVED : DK_ROOM_GONE;
}

static int enter(struct rooms *s, dk_id room, dk_str uid, dk_slice message, const struct dk_addr *from)
{
	struct dk_room_join ask = { .room = room, .message = message, .uid = uid, .from = *from };
	struct room *r = room_live(s, room);
	int rc;

	if (!uid.n || uid.n > DK_UID_MAX)
		return -EINVAL;
	if (message.n > (size_t)room_conf(s)->max_message)
		return DK_TOO_LONG;
	if (dk_ask(&s->svc.join_condition, &ask) || dk_ask(&s->svc.may_join, &ask)) {
		s->n.vetoed++;
		rc = DK_ROOM_VETOED;
	} else {
		r = room_live(s, room);
		rc = r ? room_keep_seat(s, r, uid) : room_why_not(s, room);
		s->n.full += rc == DK_ROOM_IS_FULL;
	}
	r = room_any(s, room);
	if (r && r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = ROOM_LOG_HOLD, .uid = uid, .outcome = rc });
	if (rc)
		dk_emit(&s->svc.join_failed, &ask);
	return rc;
}

int room_on_enter(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, dk_str uid, dk_slice message)
{
	struct dk_id52 now_called;
	dk_id room;
	int rc = find(s, id, &room, &now_called);

	if (rc == 0 && room_any(s, room)->phase == ROOM_FROZEN)
		return room_wait(s, room_any(s, room), call->id);
	if (rc == 0 && dk_node_state(s) == DK_OFFLINE) { /* which takes no user in */
		rc = room_wait_to_move(s, room_any(s, room), call->id);
		if (rc == DK_LATER)
			return rc;
	}
	if (rc == 0)
		rc = enter(s, room, uid, message, &call->from);
	return rc < 0 ? rc : room_on_enter_answer(call, (uint8_t)rc, &now_called);
}

int room_on_look(struct rooms *s, struct dk_call *call, const struct dk_id52 *id)
{
	struct dk_room_info info = { .members = 0 };
	struct dk_id52 now_called;
	dk_id room;
	int rc = find(s, id, &room, &now_called);

	if (rc == 0)
		rc = s->svc.info(&s->svc, room, &info);
	return room_on_look_answer(call, (uint8_t)rc, &now_called, info.members, info.max_members);
}

int room_on_cancel(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, struct dk_list members)
{
	struct dk_id52 now_called;
	dk_id room;
	int rc = find(s, id, &room, &now_called);

	if (rc == 0)
		rc = room_cancel(s, room, members.bytes);
	return rc < 0 ? rc : room_on_cancel_answer(call, (uint8_t)rc, &now_called);
}

static int read_props(struct rooms *s, const struct dk_id52 *id, dk_str name, struct dk_id52 *ret_id, dk_slice *ret_capsule)
{
	dk_id room;
	int rc = find(s, id, &room, ret_id);

	*ret_capsule = dk_slice_n(NULL, 0);
	return rc ? rc : room_props_packed(s, room, name, ret_capsule);
}

int room_on_read_prop(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, dk_str name)
{
	struct dk_id52 now_called;
	dk_slice capsule;
	int rc = name.n ? read_props(s, id, name, &now_called, &capsule) : -EINVAL;

	return rc < 0 ? rc : room_on_read_prop_answer(call, (uint8_t)rc, &now_called, capsule);
}

int room_on_read_props(struct rooms *s, struct dk_call *call, const struct dk_id52 *id)
{
	struct dk_id52 now_called;
	dk_slice capsule;
	int rc = read_props(s, id, dk_str_n(NULL, 0), &now_called, &capsule);

	return rc < 0 ? rc : room_on_read_props_answer(call, (uint8_t)rc, &now_called, capsule);
}

int room_on_stay_away(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, dk_str uid)
{
	(void)call;
	room_give_back(s, s->svc.find(&s->svc, id), uid);
	return 0;
}

/* ---- those who are here, but their clients are not ---- */

struct room_coming {
	struct room_coming *next;
	dk_id user, room; /* room 0: it has gone elsewhere, and so will the user */
	struct dk_id52 id;
	bool new_owner;
	uint16_t cmd; /* by which it joins */
	bool again; /* it is a member of a room of which there is a copy here */
	uint32_t n;
	uint8_t payload[]; /* of that command; empty: it said none */
};

static struct room_coming **coming_find(struct rooms *s, dk_id user)
{
	struct room_coming **at = &s->coming[dk_id_slot(user) % ROOM_COMING_BUCKETS];

	while (*at && (*at)->user != user)
		at = &(*at)->next;
	return at;
}

static struct room_coming *coming_take(struct rooms *s, dk_id user)
{
	struct room_coming **at = coming_find(s, user), *c = *at;

	if (!c)
		return NULL;
	*at = c->next;
	s->coming_n--;
	return c;
}

static void coming_free(struct rooms *s, struct room_coming *c)
{
	dk_free(s, c, sizeof(*c) + c->n);
}

static struct room_coming *coming_add(struct rooms *s, dk_id user, dk_id room, const struct dk_id52 *id, dk_slice payload)
{
	struct room_coming **at = coming_find(s, user), *c = dk_alloc(s, sizeof(*c) + payload.n);

	if (!c)
		return NULL;
	if (*at) /* what it came for before is no more */
		coming_free(s, coming_take(s, user));
	*c = (struct room_coming){ .user = user, .room = room, .id = *id, .cmd = ROOM_CMD_JOIN, .n = (uint32_t)payload.n };
	if (payload.n)
		memcpy(c->payload, payload.p, payload.n);
	c->next = *at;
	*at = c;
	s->coming_n++;
	return c;
}

bool room_is_coming(struct rooms *s, dk_id user)
{
	return s->coming_n && *coming_find(s, user);
}

void room_arrive_fini(struct rooms *s)
{
	while (s->holds)
		hold_free(s, &s->holds);
	for (size_t i = 0; i < ROOM_COMING_BUCKETS; i++)
		while (s->coming[i]) {
			struct room_coming *c = s->coming[i];

			s->coming[i] = c->next;
			coming_free(s, c);
		}
}

static void encode_answer(const struct room *r, uint16_t cmd, struct dk_writer *w)
{
	if (cmd == ROOM_CMD_RAND_JOIN)
		room_on_rand_join_encode(w, true, r->created_s, &r->id);
	else if (cmd == ROOM_CMD_PUFFER_JOIN)
		room_on_puffer_join_encode(w, r->created_s, dk_str_n(r->id.c, DK_ID52_LEN));
	else
		room_on_join_encode(w, r->created_s, &r->id);
}

static int record_seat(struct rooms *s, struct room *r, dk_id user, uint16_t cmd, dk_slice message, int rc)
{
	room_record(s, r,
		    &(struct room_log_event){ .kind = ROOM_LOG_SEAT,
					      .uid = s->user->uid(s->user, user),
					      .number = room_pace_ahead(s, user),
					      .cmd = cmd,
					      .bytes = message,
					      .outcome = rc });
	return rc;
}

/* It takes its seat. Its client is answered before anything that the room says reaches it. */
int room_sit(struct rooms *s, struct room *r, dk_id user, uint16_t cmd, dk_slice payload)
{
	dk_str uid = s->user->uid(s->user, user);
	struct room_coming *c = coming_add(s, user, r->handle, &r->id, payload);
	struct room_hold **hold = hold_find(s, r->handle, uid);
	uint8_t buf[ANSWER_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	dk_id owner = r->owner;
	int rc = c ? 0 : -ENOMEM;

	if (*hold)
		hold_free(s, hold);
	if (rc == 0) {
		room_relay_flush(s, r);
		rc = room_store_join(&s->store, r, user, uid);
	}
	if (rc) {
		room_store_unhold(&s->store, r, uid);
		if (c)
			coming_free(s, coming_take(s, user));
		return r->recorded ? record_seat(s, r, user, cmd, payload, rc) : rc;
	}
	c->new_owner = r->owner != owner;
	dk_timer_stop(&r->ttl);
	room_touched(s, r);
	c->cmd = cmd;
	encode_answer(r, cmd, &w);
	s->n.random_joined += cmd == ROOM_CMD_RAND_JOIN;
	if (r->recorded)
		record_seat(s, r, user, cmd, payload, 0);
	s->user->respond(s->user, user, ROOM_VER, cmd, DK_STATUS_OK, dk_written(&w), DK_RELIABLE);
	room_tell_added(s, r->handle, user, r->member_n);
	return 0;
}

static void arrive_to_join(struct rooms *s, dk_id user, uint16_t cmd, const struct dk_id52 *id, dk_slice payload)
{
	struct room_coming *c;
	struct dk_id52 now_called;
	dk_id room;
	int rc = find(s, id, &room, &now_called);

	if (rc == 0 && room_any(s, room)->phase == ROOM_LIVE)
		rc = room_sit(s, room_any(s, room), user, cmd, payload);
	else if (rc != DK_ROOM_GONE) { /* it moves, or has moved: when the client is here, the user goes after it */
		c = coming_add(s, user, 0, &now_called, payload);
		rc = c ? 0 : -ENOMEM;
		if (c)
			c->cmd = cmd;
	}
	if (rc)
		room_tell_refusal(s, user, cmd, ROOM_E_JOIN, rc);
}

/* It was a member all the while, on a node that had lost the room. */
static void arrive_again(struct rooms *s, dk_id user, const struct dk_id52 *id)
{
	struct dk_id52 now_called;
	dk_id room = 0, owner;
	int rc = find(s, id, &room, &now_called);
	struct room *r = room_live(s, room);
	bool new_owner;

	if (room && room_store_of(&s->store, user) == room)
		return; /* a member already: its copy waited here */
	if (!r) { /* it has moved on, or was taken over once more, and the user will follow; or it has ended */
		struct room_coming *c = NULL;

		if (rc != DK_ROOM_GONE || room_replica_find(s, id))
			c = coming_add(s, user, 0, &now_called, dk_slice_n(NULL, 0));
		if (c)
			c->again = rc == DK_ROOM_GONE;
		else
			room_tell_refusal(s, user, ROOM_CMD_JOIN, ROOM_E_JOIN, DK_ROOM_GONE);
		return;
	}
	owner = r->owner;
	room_relay_flush(s, r);
	if (room_store_join(&s->store, r, user, s->user->uid(s->user, user))) {
		room_tell_refusal(s, user, ROOM_CMD_JOIN, ROOM_E_JOIN, DK_ROOM_IS_FULL);
		return;
	}
	dk_timer_stop(&r->ttl);
	room_touched(s, r);
	new_owner = r->owner != owner;
	room_tell_added(s, room, user, r->member_n);
	room_tell_joined(s, room, user, new_owner);
	room_welcome(s, room, ROOM_VER, ROOM_CMD_JOIN, dk_slice_n(NULL, 0), new_owner);
}

void room_on_user_arrived(struct rooms *s, const struct dk_user_arrived *ev)
{
	struct dk_id52 id;
	dk_slice rest;
	uint8_t kind;

	if (!note_read(ev->note, &kind, &id, &rest))
		return;
	if (kind == ROOM_NOTE_JOIN)
		arrive_to_join(s, ev->user, ROOM_CMD_JOIN, &id, rest);
	else if (kind == ROOM_NOTE_RANDOM)
		arrive_to_join(s, ev->user, ROOM_CMD_RAND_JOIN, &id, rest);
	else if (kind == ROOM_NOTE_PUFFER)
		arrive_to_join(s, ev->user, ROOM_CMD_PUFFER_JOIN, &id, rest);
	else if (kind == ROOM_NOTE_MIGRATE)
		room_land_member(s, &id, ev->user, rest);
	else if (kind == ROOM_NOTE_REJOIN)
		arrive_again(s, ev->user, &id);
}

static void joined(struct rooms *s, const struct room_coming *c)
{
	struct room *r = room_any(s, c->room);
	dk_slice payload = dk_slice_n(c->payload, c->n);
	uint8_t buf[ANSWER_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (!r || room_store_of(&s->store, c->user) != c->room)
		return;
	s->n.came_to_join++;
	if (r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = ROOM_LOG_TOLD, .uid = s->user->uid(s->user, c->user) });
	room_tell_joined(s, c->room, c->user, c->new_owner);
	if (payload.n && room_store_of(&s->store, c->user) == c->room) {
		encode_answer(room_any(s, c->room), c->cmd, &w);
		room_answered(s, c->user, c->cmd, payload, dk_written(&w));
	}
	room_welcome(s, c->room, ROOM_VER, ROOM_CMD_JOIN, room_join_message(c->cmd, payload), c->new_owner);
}

void room_join_late(struct rooms *s, dk_id user, uint16_t cmd, const struct dk_id52 *id, dk_slice payload)
{
	dk_id room = s->svc.find(&s->svc, id);
	struct room *r = room_live(s, room);
	struct room_coming *here;
	int rc;

	if (!room)
		rc = room_remote_join(s, user, 0, cmd, id, payload);
	else
		rc = r ? room_sit(s, r, user, cmd, payload) : room_why_not(s, room);
	here = rc ? NULL : coming_take(s, user);
	if (here) {
		joined(s, here);
		coming_free(s, here);
	}
	if (rc && rc != DK_LATER)
		room_tell_refusal(s, user, cmd, ROOM_E_JOIN, rc);
}

/* The room went elsewhere while it was on its way here. */
static void go_after(struct rooms *s, const struct room_coming *c)
{
	const struct room_replica *copy = c->again ? room_replica_find(s, &c->id) : NULL;

	if (copy && !s->svc.find(&s->svc, &c->id))
		room_send_after(s, c->user, &c->id, &copy->owner);
	else
		room_join_late(s, c->user, c->cmd, &c->id, dk_slice_n(c->payload, c->n));
}

void room_left_behind(struct rooms *s, dk_id user, const struct dk_id52 *id)
{
	if (s->user->exists(s->user, user))
		coming_add(s, user, 0, id, dk_slice_n(NULL, 0));
}

/* The client is here: now it has joined. */
void room_on_user_connected(struct rooms *s, const struct dk_user_connected *ev)
{
	struct room_coming *c = s->coming_n ? coming_take(s, ev->user) : NULL;

	if (s->landings)
		room_land_connected(s, ev->user);
	if (!c)
		return;
	if (c->room)
		joined(s, c);
	else
		go_after(s, c);
	coming_free(s, c);
}

bool room_never_came(struct rooms *s, dk_id user)
{
	struct room_coming *c = s->coming_n ? coming_take(s, user) : NULL;
	struct dk_room_join ask;

	if (!c)
		return false;
	ask = (struct dk_room_join){ .room = c->room, .user = user };
	ask.message = room_join_message(c->cmd, dk_slice_n(c->payload, c->n));
	ask.uid = s->user->uid(s->user, user);
	if (c->room)
		dk_emit(&s->svc.join_failed, &ask);
	coming_free(s, c);
	return true;
}

/* ---- for recordings ---- */

void room_arrived(struct rooms *s, dk_id user)
{
	struct room_coming *c = s->coming_n ? coming_take(s, user) : NULL;

	if (!c)
		return;
	joined(s, c);
	coming_free(s, c);
}

/* u16 count, {u16 length, uid, u32 ms}* of seats that are kept; {u16 place among the members, u16 command, u8 it owns the room
 * since, u32 length, message}* of those whose clients are on the way. */
void room_coming_dump(struct rooms *s, const struct room *r, struct dk_writer *w)
{
	uint64_t now = dk_now(s);
	uint16_t n = 0;

	for (const struct room_hold *h = s->holds; h; h = h->next)
		n = (uint16_t)(n + (h->room == r->handle));
	dk_wr_u16(w, n);
	for (const struct room_hold *h = s->holds; h; h = h->next) {
		if (h->room != r->handle)
			continue;
		dk_wr_bytes16(w, dk_slice_n(h->uid, h->n));
		dk_wr_u32(w, (uint32_t)(h->until_ms > now ? h->until_ms - now : 0));
	}
	for (uint16_t i = 0; i < r->member_n && s->coming_n; i++) {
		const struct room_coming *c = *coming_find(s, r->members[i]);

		if (!c)
			continue;
		dk_wr_u16(w, i);
		dk_wr_u16(w, c->cmd);
		dk_wr_u8(w, c->new_owner);
		dk_wr_bytes32(w, dk_slice_n(c->payload, c->n));
	}
}

int room_coming_restore(struct rooms *s, struct room *r, struct dk_cursor *c)
{
	for (uint16_t n = dk_rd_u16(c); n && !c->bad; n--) {
		dk_str uid = dk_str_of(dk_rd_bytes16(c));
		uint32_t left = dk_rd_u32(c);

		if (c->bad || !uid.n || room_keep_seat(s, r, uid))
			return -EPROTO;
		(*hold_find(s, r->handle, uid))->until_ms = dk_now(s) + left;
	}
	while (dk_rd_left(c) && !c->bad) {
		uint16_t at = dk_rd_u16(c), cmd = dk_rd_u16(c);
		bool new_owner = dk_rd_u8(c) != 0;
		dk_slice message = dk_rd_bytes32(c);
		struct room_coming *in =
			c->bad || at >= r->member_n ? NULL : coming_add(s, r->members[at], r->handle, &r->id, message);

		if (!in)
			return -EPROTO;
		in->cmd = cmd;
		in->new_owner = new_owner;
	}
	return c->bad ? -EPROTO : 0;
}
