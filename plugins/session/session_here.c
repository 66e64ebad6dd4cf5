/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users of this node who are in sessions: what their homes have for them, and what becomes of their seats. Word of a home is about
 * one stay, by its token: what comes late for one that is over touches nobody else.
 */
#include "session_state.h"

enum { LATE_MAX = 64 };

static struct session_known *known(struct sessions *s, dk_str session)
{
	struct dk_session_id id;

	return session_id_ok(session, &id) ? session_known_find(&s->seats, &id) : NULL;
}

/* ---- pushes ---- */

static void push(struct sessions *s, const struct session_seat *seat, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	s->n.pushes++;
	if (s->user->push(s->user, seat->user, ver, cmd, payload, DK_RELIABLE))
		s->n.push_lost++;
}

/* It is on another node: kept until it is known which. */
static void keep_late(struct sessions *s, struct session_seat *seat, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	size_t n = 2 + DK_SESSION_ID_LEN + 1 + 2 + 2 + 8 + payload.n;
	struct session_late *late = seat->late_n < LATE_MAX ? dk_alloc(s, sizeof(*late) + n) : NULL, **at = &seat->late;
	struct dk_writer w = dk_writer_on(late ? late->bytes : NULL, late ? n : 0);

	if (!late) {
		s->n.late_lost++;
		return;
	}
	late->n = n;
	dk_wr_bytes16(&w, dk_slice_of(session_id_text(&seat->known->id)));
	dk_wr_u8(&w, ver);
	dk_wr_u16(&w, cmd);
	dk_wr_u16(&w, 1);
	dk_wr_u64(&w, seat->token);
	dk_wr_slice(&w, payload);
	while (*at)
		at = &(*at)->next;
	*at = late;
	seat->late_n++;
}

static void deliver(struct sessions *s, struct session_seat *seat, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	if (seat->state == SEAT_IN)
		push(s, seat, ver, cmd, payload);
	else if (seat->state == SEAT_AWAY)
		keep_late(s, seat, ver, cmd, payload);
}

int session_on_deliver(struct sessions *s, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	struct session_known *k = known(s, dk_str_of(dk_rd_bytes16(&c)));
	uint8_t ver = dk_rd_u8(&c);
	uint16_t cmd = dk_rd_u16(&c), n = dk_rd_u16(&c);
	struct dk_cursor tokens = dk_cursor_of(dk_rd_slice(&c, (size_t)n * 8));
	dk_slice payload = dk_rd_rest(&c);

	if (c.bad) {
		s->n.malformed++;
		return 0;
	}
	if (!k)
		return 0;
	for (struct session_seat *seat = n ? NULL : k->seats; seat; seat = seat->in_known)
		if (!seat->moved_on && !seat->claiming) /* what is for those goes elsewhere */
			deliver(s, seat, ver, cmd, payload);
	while (dk_rd_left(&tokens)) {
		struct session_seat *seat = session_seat_by_token(k, dk_rd_u64(&tokens));

		if (seat)
			deliver(s, seat, ver, cmd, payload);
	}
	return 0;
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
	push(s, seat, SESSION_VER, cmd, dk_written(&w));
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
	uint8_t buf[2 + DK_SESSION_ID_LEN + 9 + 2 + DK_UID_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	session_on_exit_pack(&w, session_id_text(&id), seat->token, (uint8_t)reason, uid);
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
	struct session_known *k = known(s, session);
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
	struct session_known *k = known(s, session);
	struct session_seat *seat = k ? session_seat_by_token(k, token) : NULL;

	(void)call;
	if (seat && seat->state != SEAT_JOINING)
		session_unseat(s, seat, (enum dk_session_reason)reason);
	return 0;
}

/* What came late goes after it. */
int session_on_moved_on(struct sessions *s, struct dk_call *call, dk_str session, uint64_t token, dk_slice node)
{
	struct session_known *k = known(s, session);
	struct session_seat *seat = k ? session_seat_by_token(k, token) : NULL;
	struct dk_cursor c = dk_cursor_of(node);
	struct dk_addr to = session_rd_addr(&c);

	(void)call;
	if (c.bad)
		s->n.malformed++;
	if (c.bad || !seat || seat->state == SEAT_JOINING || seat->state == SEAT_COMING)
		return 0;
	if (seat->state == SEAT_IN) { /* its user has not heard yet that its client is there */
		seat->moved_on = true;
		return 0;
	}
	for (struct session_late *late = seat->late; late; late = late->next) {
		s->n.forwarded++;
		session_send(s, &to, SESSION_NODE_DELIVER, dk_slice_n(late->bytes, late->n));
	}
	session_seat_remove(&s->seats, seat);
	session_gauges(s);
	return 0;
}

/* ---- users ---- */

struct claim {
	dk_id known;
	uint64_t token; /* 0: of all */
};

static void claimed(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct claim *claim = arg;
	struct session_known *k = dk_table_get(&s->seats.table, claim->known);
	struct session_seat *here = k && claim->token ? session_seat_by_token(k, claim->token) : NULL;

	dk_free(s, claim, sizeof(*claim));
	if (here)
		here->claiming = false;
	/* The home knows no such stays: they ended while they were on the way, or it takes them for over. */
	while (k && rc == 0 && dk_rd_left(body)) {
		struct session_seat *seat = session_seat_by_token(k, dk_rd_u64(body));

		if (seat && seat->state == SEAT_IN) {
			bool last = k->seats == seat && !seat->in_known;

			session_unseat(s, seat, DK_SESSION_LAPSED);
			if (last)
				return;
		}
	}
}

int session_claim(struct sessions *s, struct session_known *k, struct session_seat *only)
{
	size_t cap = 2 + DK_SESSION_ID_LEN + 3;
	struct dk_writer w;
	struct claim *claim;
	uint8_t *count;
	uint16_t n = 0;
	int rc;

	for (struct session_seat *seat = k->seats; seat; seat = seat->in_known)
		cap += 2 + DK_UID_MAX + 8 + 2;
	w = dk_writer_on(dk_scratch(s, cap), cap);
	dk_wr_bytes16(&w, dk_slice_of(session_id_text(&k->id)));
	dk_wr_u8(&w, !only);
	count = dk_wr_take(&w, 2);
	for (struct session_seat *seat = k->seats; seat; seat = seat->in_known) {
		if ((only && seat != only) || (seat->state != SEAT_IN && seat->state != SEAT_JOINING))
			continue;
		dk_wr_u64(&w, seat->token);
		dk_wr_u16(&w, seat->state == SEAT_JOINING ? SESSION_HOPS_JOINING : seat->hops);
		dk_wr_bytes16(&w, dk_slice_of(s->user->uid(s->user, seat->user)));
		n++;
	}
	if (w.bad)
		return -ENOMEM;
	count[0] = (uint8_t)(n >> 8);
	count[1] = (uint8_t)n;
	claim = dk_alloc(s, sizeof(*claim));
	if (!claim)
		return -ENOMEM;
	*claim = (struct claim){ k->handle, only ? only->token : 0 };
	rc = session_ask(s, &k->id, SESSION_NODE_MEMBERS_HERE, dk_written(&w), SESSION_AGAIN, claimed, claim);
	if (rc)
		dk_free(s, claim, sizeof(*claim));
	return rc;
}

void session_on_user_discarded(struct sessions *s, const struct dk_user_discarded *ev)
{
	struct session_seat *seat;

	while ((seat = session_seat_first(&s->seats, ev->user))) {
		if (seat->state == SEAT_IN && ev->reason == DK_REASON_MOVED && !seat->moved_on)
			session_seat_go_away(&s->seats, seat);
		else if (seat->state == SEAT_COMING || ev->reason == DK_REASON_MOVED)
			session_seat_remove(&s->seats, seat); /* a move that came to nothing here, or is over there */
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
			seat->claiming = session_claim(s, seat->known, seat) == 0;
		}
}
