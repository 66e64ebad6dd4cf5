/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users of this node who are in sessions: what their homes have for them, and what becomes of their seats. Word of a home is about
 * one stay, by its token: what comes late for one that is over touches nobody else.
 */
#include "session_state.h"

struct session_known *session_known_named(struct sessions *s, dk_str session)
{
	struct dk_session_id id;

	return session_id_ok(session, &id) ? session_known_find(&s->seats, &id) : NULL;
}

/* ---- seats that end ---- */

static void tell_ended(struct sessions *s, const struct session_seat *seat, enum dk_session_reason reason)
{
	dk_str id = session_id_text(&seat->known->id);
	uint8_t buf[DK_SESSION_ID_LEN + 16];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	uint16_t cmd = SESSION_CMD_ENDED;

	if (reason == DK_SESSION_KICKED) {
		cmd = SESSION_CMD_KICK;
		session_push_kicked_encode(&w, id, seat->type);
	} else {
		session_push_ended_encode(&w, (uint8_t)reason, id, seat->type);
	}
	session_push(s, seat, SESSION_VER, cmd, dk_written(&w));
}

void session_unseat(struct sessions *s, struct session_seat *seat, enum dk_session_reason reason)
{
	if (seat->state == SEAT_IN)
		tell_ended(s, seat, reason);
	session_seat_remove(&s->seats, seat);
	session_gauges(s);
}

void session_give_up(struct sessions *s, struct session_seat *seat, enum dk_session_reason reason)
{
	struct dk_session_id id = seat->known->id;
	dk_str uid = s->user->uid(s->user, seat->user);
	uint8_t buf[2 + DK_SESSION_ID_LEN + 11 + 2 + DK_UID_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	session_on_exit_pack(&w, session_id_text(&id), seat->token, seat->hops, (uint8_t)reason, uid);
	/* Before the seat is forgotten, and with it where the home is. */
	session_ask(s, &id, SESSION_NODE_LEAVE, dk_written(&w), SESSION_AGAIN, NULL, NULL);
	session_seat_remove(&s->seats, seat);
	session_gauges(s);
}

void session_known_lost(struct sessions *s, struct session_known *k, enum dk_session_reason reason)
{
	for (struct session_seat *seat = k->seats, *next; seat; seat = next) {
		next = seat->in_known;
		if (seat->state == SEAT_JOINING) /* its answer will say */
			continue;
		s->n.seats_lost += reason == DK_SESSION_LOST;
		session_unseat(s, seat, reason);
	}
}

/* ---- what homes say ---- */

void session_heard_of_home(struct sessions *s, struct session_known *k, const struct dk_addr *home, uint32_t epoch,
			   const struct dk_addr *by)
{
	struct dk_addr old = k->home;
	uint8_t buf[2 + DK_SESSION_ID_LEN + 5 + SESSION_ADDR_MAX], addr[SESSION_ADDR_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), a = dk_writer_on(addr, sizeof(addr));

	if (epoch >= k->epoch) {
		k->confirmed_ms = dk_now(s);
		k->searched = 0;
		k->epoch = epoch;
		k->home = *home;
		if (dk_addr_eq(&old, home) || dk_addr_eq(&old, by))
			return;
	} else {
		old = *home;
	}
	/* One that was taken for dead, and is not, hears that it is the home no more. */
	session_wr_addr(&a, &k->home);
	session_on_update_pack(&w, session_id_text(&k->id), SESSION_HAS_MOVED, k->epoch, dk_written(&a));
	session_send(s, &old, SESSION_NODE_UPDATE, dk_written(&w));
}

int session_on_update(struct sessions *s, struct dk_call *call, dk_str session, uint8_t what, uint32_t epoch, dk_slice more)
{
	struct session_known *k = session_known_named(s, session);
	struct dk_cursor c = dk_cursor_of(more);
	struct dk_session_id id;
	struct dk_addr home;
	struct session *ss;

	if (what == SESSION_HAS_ENDED) {
		if (k && epoch >= k->epoch)
			session_known_lost(s, k, (enum dk_session_reason)dk_rd_u8(&c));
		return 0;
	}
	home = session_rd_addr(&c);
	if (c.bad || what != SESSION_HAS_MOVED || !session_id_ok(session, &id)) {
		s->n.malformed++;
		return 0;
	}
	ss = session_store_find(&s->store, &id);
	if (ss && ss->phase == SESSION_LIVE && epoch > ss->epoch && !dk_addr_eq(&home, dk_node_addr(s))) {
		s->n.superseded++;
		session_leave_behind(s, ss, &home, epoch);
	}
	k = session_known_find(&s->seats, &id);
	if (k)
		session_heard_of_home(s, k, &home, epoch, &call->from);
	return 0;
}

int session_on_kicked(struct sessions *s, struct dk_call *call, dk_str session, uint64_t token, uint8_t reason)
{
	struct session_known *k = session_known_named(s, session);
	struct session_seat *seat;
	dk_id handle = k ? k->handle : 0;

	(void)call;
	/* Also the one that it has left, if it came back. */
	while ((k = dk_table_get(&s->seats.table, handle)) && (seat = session_seat_by_token(k, token)) &&
	       seat->state != SEAT_JOINING)
		session_unseat(s, seat, (enum dk_session_reason)reason);
	return 0;
}

/* ---- users ---- */

void session_on_user_discarded(struct sessions *s, const struct dk_user_discarded *ev)
{
	struct session_seat *seat;

	while ((seat = session_seat_first(&s->seats, ev->user))) {
		if (seat->state == SEAT_IN && (ev->reason == DK_REASON_MOVED || seat->to.family))
			session_seat_go_away(&s->seats, seat);
		else if (seat->state == SEAT_COMING || ev->reason == DK_REASON_MOVED)
			session_seat_remove(&s->seats, seat); /* a move that came to nothing here */
		else
			session_give_up(s, seat, DK_SESSION_CUT_OFF);
	}
	session_gauges(s);
}

/* The move is certain from here on: its client is here. */
void session_on_user_connected(struct sessions *s, const struct dk_user_connected *ev)
{
	for (struct session_seat *seat = session_seat_first(&s->seats, ev->user); seat; seat = seat->of_user)
		if (seat->state == SEAT_COMING) {
			session_seat_state(seat, SEAT_IN);
			seat->known->confirmed_ms = dk_now(s);
			session_claim(s, seat->known, seat);
		}
}
