/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users that come from another node. Such a user is made before its client is told, and until the other node has said what waited
 * there (settle), what it is pushed here and what its client sends here wait too: first goes what was pushed and said over there.
 * A settle that does not come within three seconds of its client is done without, and counted (move_unclean).
 *
 * Of two users of one uid the later login stands: an earlier one that is here is replaced, an earlier one that comes is refused.
 *
 * A copy of a user (user_unpack) may wait here for its client because the user's node was taken for dead. When that node proves to
 * be alive and sends the user, the copy becomes the user: what the modules here know of it stays, and what was said there goes on.
 */
#include <errno.h>

#include "user_node_commands.h"
#include "user_state.h"

DK_PACKERS(USER_NODE_COMMANDS)

enum {
	SETTLE_MS = 3000, /* from the moment the client is here: as long as the carrier tries */
	COPY_MS = 10000 /* for the client of a user that its node has begun to send */
};

struct user_arrival {
	struct users *s;
	dk_id user;
	struct dk_addr from;
	bool settles; /* the other node has something to say yet */
	bool copy; /* it was made without the other node, and can do without it */
	bool here; /* the client is */
	struct dk_timer timer;
	struct user_queue *out; /* what it was pushed */
};

void user_arrival_free(struct users *s, struct user *u)
{
	struct user_arrival *a = u->more ? u->more->arrival : NULL;

	if (!a)
		return;
	dk_timer_stop(&a->timer);
	user_queue_free(s, &a->out);
	dk_free(s, a, sizeof(*a));
	u->more->arrival = NULL;
}

bool user_arrival_settles(const struct user *u)
{
	return u->more && u->more->arrival && u->more->arrival->settles;
}

int user_divert(struct users *s, dk_id id, struct user *u, const struct dk_frame *frame, unsigned how)
{
	struct user_queue **at;

	if (u->more->move)
		at = user_move_late(u->more->move);
	else if (u->more->arrival)
		at = &u->more->arrival->out;
	else
		return DK_GONE; /* it is, as good as */
	if (user_queue_push(s, at, frame, how, USER_HELD_FRAMES, USER_HELD_BYTES))
		return 0;
	if (how & DK_RELIABLE)
		user_discard_later(s, id, u);
	return DK_FULL;
}

static void send_all(struct users *s, dk_id id, struct user *u, struct user_queue **at)
{
	struct user_frame *e;

	while ((e = user_queue_pop(s, at))) {
		struct dk_frame f = user_frame_view(e);

		if (user_send_now(s, id, u, &f, e->how))
			s->n.move_lost++;
		user_frame_free(s, e);
	}
}

/* Nothing is awaited from the other node (any more). */
static void settled(struct users *s, dk_id id, struct user *u)
{
	struct user_arrival *a = u->more->arrival;

	a->settles = false;
	dk_timer_stop(&a->timer);
	u->flags &= (uint8_t)~USER_DIVERTED;
	send_all(s, id, u, &a->out);
	if (!a->here)
		return;
	user_arrival_free(s, u);
	u->flags &= (uint8_t)~USER_HELD;
	user_inbox_resume(s, id, u);
}

/* What the client has said here so far was said after the other node heard it last. */
static void drop_repeated(struct users *s, struct user *u)
{
	struct user_queue *rest = NULL;
	struct user_frame *e;

	while ((e = user_queue_pop(s, &u->queue))) {
		struct dk_frame f = user_frame_view(e);

		if ((e->how & DK_RELIABLE) && !user_again_pass(s, u, &f))
			user_frame_free(s, e);
		else if (!user_queue_put(s, &rest, e))
			s->n.move_lost++;
	}
	user_queue_join(s, &rest, &u->queue);
	u->queue = rest;
}

static void time_is_up(void *self, struct dk_timer *t)
{
	struct user_arrival *a = dk_container_of(t, struct user_arrival, timer);
	struct users *s = self;
	dk_id id = a->user;

	s->n.move_unclean++;
	drop_repeated(s, user_get(s, id));
	settled(s, id, user_get(s, id));
}

void user_arrival_opened(struct users *s, dk_id id, struct user *u)
{
	struct user_arrival *a = u->more->arrival;
	uint8_t buf[32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (a->here)
		return;
	a->here = true;
	if (!a->settles) {
		settled(s, id, u);
		return;
	}
	dk_timer_start(s, &a->timer, SETTLE_MS, 0, time_is_up);
	on_here_pack(&w, dk_slice_n(u->sid, 16));
	s->carrier->send(s->carrier, &a->from, DK_VER_NODE, 84, dk_written(&w), DK_RELIABLE);
}

/* ---- what the other node says ---- */

/* The user of that sid that came from there, and is still on its way. */
static struct user *arrival_from(struct users *s, const struct dk_addr *from, dk_slice sid, dk_id *ret_id)
{
	dk_id id = sid.n == 16 ? user_find_sid(s, sid.p) : 0;
	struct user *u = user_get(s, id);

	if (!u || !u->more || !u->more->arrival || !u->more->arrival->settles || !dk_addr_eq(&u->more->arrival->from, from))
		return NULL;
	*ret_id = id;
	return u;
}

int user_arrival_settle(struct users *s, const struct dk_addr *from, dk_slice sid, dk_slice taken, dk_slice frames)
{
	struct dk_cursor c = dk_cursor_of(frames);
	struct user_queue *out = NULL, *in = NULL;
	struct user *u;
	dk_id id;

	u = arrival_from(s, from, sid, &id);
	if (!user_queue_read(s, &out, &c) || !user_queue_read(s, &in, &c) || !dk_rd_done(&c) || !u) {
		s->n.move_lost += (out ? out->frames : 0) + (in ? in->frames : 0);
		user_queue_free(s, &out);
		user_queue_free(s, &in);
		return 0;
	}
	send_all(s, id, u, &out);
	user_again_expect(s, u, taken);
	drop_repeated(s, u);
	user_queue_join(s, &in, &u->queue);
	u->queue = in;
	settled(s, id, u);
	return 0;
}

int user_arrival_abandon(struct users *s, const struct dk_addr *from, dk_slice sid)
{
	dk_id id;
	struct user *u = arrival_from(s, from, sid, &id);

	if (u && u->more->arrival->copy) {
		drop_repeated(s, u);
		settled(s, id, u);
	} else if (u) {
		user_discard(s, id, DK_REASON_NEVER);
	}
	return 0;
}

/* ---- making it ---- */

static void tell_arrived(struct users *s, dk_id id, void *arg)
{
	(void)id;
	dk_emit(&s->svc.arrived, (const struct dk_user_arrived *)arg);
}

/* The copy of that user that waits here for its client; 0 = none. Two nodes may believe to have the user, one because it was held
 * up for a while: the later one counts, and what the other says comes from where nobody is awaited. Of one that a node has sent
 * nothing more is taken: what comes from elsewhere then was called off there, and was only long on its way. */
static dk_id copy_of(struct users *s, const struct user_packed *p, const struct dk_addr *from)
{
	dk_id id = user_find_sid(s, p->cred.sid);
	const struct user *u = user_get(s, id);
	const struct user_arrival *a = u && u->more ? u->more->arrival : NULL;
	bool again = a && a->settles && dk_addr_eq(&a->from, from);

	return a && a->copy && !a->here && !again && dk_str_eq(user_uid(u), p->uid) ? id : 0;
}

/* What it was pushed so far has left already, and comes first. */
static void copy_becomes(struct users *s, struct user *u, const struct dk_addr *from)
{
	struct dk_transport *t = user_transport(s, u);
	struct user_arrival *a = u->more->arrival;

	a->from = *from;
	a->settles = true;
	u->flags |= USER_DIVERTED;
	if (t->wait)
		t->wait(t, u->peer, COPY_MS);
}

/* Whether the uid and the sid are free for it. Returns 0 or DK_EXISTS. */
static int make_room(struct users *s, const struct user_packed *p, const struct dk_addr *from, bool settles, dk_id *ret_old)
{
	dk_id id = user_find_sid(s, p->cred.sid);
	const struct user *u;

	/* A first try of the same move, of which the other node has not heard. */
	if (settles && arrival_from(s, from, dk_slice_n(p->cred.sid, 16), &id))
		user_discard(s, id, DK_REASON_NEVER);
	if (user_find_sid(s, p->cred.sid))
		return DK_EXISTS;
	id = user_find_uid(s, p->uid);
	u = user_get(s, id);
	if (u && u->login_s > p->login_s)
		return DK_EXISTS;
	*ret_old = id;
	return 0;
}

static int furnish(struct users *s, dk_id id, struct user *u, const struct user_packed *p, const struct dk_addr *from, bool settles)
{
	struct dk_cursor props = dk_cursor_of(p->props);
	struct user_more *more = user_more(s, u);
	struct user_arrival *a = more ? dk_alloc(s, sizeof(*a)) : NULL;
	int rc;

	if (!a)
		return -ENOMEM;
	*a = (struct user_arrival){ .s = s, .user = id, .from = *from, .settles = settles, .copy = !settles };
	more->arrival = a;
	u->login_s = p->login_s;
	u->flags |= USER_HELD | (settles ? USER_DIVERTED : 0) | (p->keyed ? USER_KEYED : 0);
	user_keep_locals(s, u, p->locals);
	rc = props_unpack(s, &more->props, &user_props_most, &props);
	if (rc == 0 && !dk_rd_done(&props))
		rc = -EPROTO;
	return rc ? rc : user_parts_unpack(s, id, p->parts);
}

int user_arrive(struct users *s, dk_slice bytes, dk_str type, const struct dk_addr *from, dk_slice note, bool settles,
		uint32_t ttl_ms, dk_id *ret_id)
{
	struct dk_user_arrived ev = { .from = *from, .note = note };
	struct user_packed p;
	struct dk_transport *t;
	dk_id id, old = 0;
	struct user *u;
	int rc;

	if (!user_packed_read(bytes, &p))
		return -EPROTO;
	rc = dk_node_state(s) == DK_OFFLINE ? DK_REFUSED : 0;
	id = rc == 0 && settles ? copy_of(s, &p, from) : 0;
	if (id) {
		explicit_bzero(&p.cred, sizeof(p.cred));
		u = user_get(s, id);
		copy_becomes(s, u, from);
		goto here;
	}
	if (rc == 0)
		rc = make_room(s, &p, from, settles, &old);
	if (rc == 0)
		rc = user_new(s, p.uid, type.n ? type : p.type, &p.cred, &id, &u);
	explicit_bzero(&p.cred, sizeof(p.cred));
	if (rc)
		goto refused;
	rc = furnish(s, id, u, &p, from, settles);
	if (rc) {
		user_discard(s, id, DK_REASON_NEVER);
		goto refused;
	}
	t = user_transport(s, u);
	if (ttl_ms && t->wait)
		t->wait(t, u->peer, ttl_ms);
here:
	s->n.move_in++;
	ev.user = id;
	ev.uid = user_uid(u);
	ev.sid = u->sid;
	user_settle(s, id, old, tell_arrived, &ev);
	*ret_id = id;
	return user_get(s, id) ? 0 : DK_REFUSED; /* whoever was told may have thrown it out */

refused:
	s->n.move_refused++;
	return rc;
}

int user_unpack(struct dk_user *svc, dk_slice bytes, const struct dk_addr *from, dk_slice note, uint32_t ttl_ms, dk_id *ret_user)
{
	return user_arrive(users_of(svc), bytes, dk_str_n(NULL, 0), from, note, false, ttl_ms, ret_user);
}
