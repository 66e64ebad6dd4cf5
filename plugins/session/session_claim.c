/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who hands a push to whom. A home numbers its pushes, and for each stay of a user on a node there is one number from which on they
 * are that node's to deliver, and one up to which. The home decides both when it hears that the user is on another node: that one
 * claims the seat and is answered with the number, the former one is told it (session.moved_on) behind all pushes up to it. So each
 * push is one node's, however late the home hears of a move and however often it is asked; a node that has not its answer yet keeps
 * what comes, and one whose user has gone sends it what is still its own (session.forward).
 *
 * Homes may change in between: what the former home has sent can come later than what the new one says, so a seat that was left
 * stays for a while.
 */
#include "session_state.h"

enum { LATE_MAX = 1024, LATE_BYTES = 1 << 20, ENTRY = 8 + 2 + 1 + 8 };

void session_push(struct sessions *s, const struct session_seat *seat, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	s->n.pushes++;
	if (s->user->push(s->user, seat->user, ver, cmd, payload, DK_RELIABLE))
		s->n.push_lost++;
}

/* ---- pushes that wait ---- */

static void keep(struct sessions *s, struct session_seat *seat, uint64_t number, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	bool fits = seat->late_n < LATE_MAX && seat->late_bytes + payload.n <= LATE_BYTES;
	struct session_late *late = fits ? dk_alloc(s, sizeof(*late) + payload.n) : NULL;

	if (!late) {
		s->n.late_lost++;
		return;
	}
	late->number = number;
	late->ver = ver;
	late->cmd = cmd;
	late->n = payload.n;
	if (payload.n)
		memcpy(late->bytes, payload.p, payload.n);
	*seat->late_tail = late;
	seat->late_tail = &late->next;
	seat->late_n++;
	seat->late_bytes += payload.n;
}

static void forward(struct sessions *s, const struct session_seat *seat, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	size_t cap = 2 + DK_SESSION_ID_LEN + 8 + 3 + payload.n;
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);

	session_on_forward_pack(&w, session_id_text(&seat->known->id), seat->token, ver, cmd, payload);
	if (w.bad) {
		s->n.late_lost++;
		return;
	}
	s->n.forwarded++;
	session_send(s, &seat->to, SESSION_NODE_FORWARD, dk_written(&w));
}

/* It is this seat's: number 0, or one that is in its bounds if they are known by now. */
static void take(struct sessions *s, struct session_seat *seat, uint64_t number, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	if (number && !seat->sure)
		keep(s, seat, number, ver, cmd, payload);
	else if (number && (number <= seat->from || number > seat->until))
		return;
	else if (seat->state != SEAT_AWAY)
		session_push(s, seat, ver, cmd, payload);
	else if (seat->to.family)
		forward(s, seat, ver, cmd, payload);
	else
		keep(s, seat, number, ver, cmd, payload);
}

/* What is known of it has changed. */
static void take_late(struct sessions *s, struct session_seat *seat)
{
	struct session_late *late = seat->late, *next;

	seat->late = NULL;
	seat->late_tail = &seat->late;
	seat->late_n = 0;
	seat->late_bytes = 0;
	for (; late; late = next) {
		next = late->next;
		take(s, seat, late->number, late->ver, late->cmd, dk_slice_n(late->bytes, late->n));
		dk_free(s, late, sizeof(*late) + late->n);
	}
}

/* ---- pushes that come ---- */

/* A seat that is not taken yet hears nothing: until its home has heard of it, all is the former node's, or from before the join. */
static bool hears(const struct session_seat *seat)
{
	return seat->state == SEAT_IN || seat->state == SEAT_AWAY;
}

int session_on_deliver(struct sessions *s, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	struct session_known *k = session_known_named(s, dk_str_of(dk_rd_bytes16(&c)));
	uint64_t number = dk_rd_u64(&c);
	uint8_t ver = dk_rd_u8(&c);
	uint16_t cmd = dk_rd_u16(&c), n = dk_rd_u16(&c);
	struct dk_cursor tokens = dk_cursor_of(dk_rd_slice(&c, (size_t)n * 8));
	dk_slice payload = dk_rd_rest(&c);

	if (c.bad || !number) {
		s->n.malformed++;
		return 0;
	}
	if (!k)
		return 0;
	for (struct session_seat *seat = n ? NULL : k->seats; seat; seat = seat->in_known)
		if (hears(seat))
			take(s, seat, number, ver, cmd, payload);
	while (dk_rd_left(&tokens)) {
		uint64_t token = dk_rd_u64(&tokens);

		for (struct session_seat *seat = k->seats; seat; seat = seat->in_known)
			if (seat->token == token && hears(seat))
				take(s, seat, number, ver, cmd, payload);
	}
	return 0;
}

int session_on_forward(struct sessions *s, struct dk_call *call, dk_str session, uint64_t token, uint8_t ver, uint16_t cmd,
		       dk_slice message)
{
	struct session_known *k = session_known_named(s, session);
	struct session_seat *seat = k ? session_seat_by_token(k, token) : NULL;

	(void)call;
	if (seat && seat->state != SEAT_JOINING)
		take(s, seat, 0, ver, cmd, message);
	else
		s->n.late_lost++;
	return 0;
}

/* It hears what it still has to by way of this node, be it that its user goes there later. */
int session_on_moved_on(struct sessions *s, struct dk_call *call, dk_str session, uint64_t token, uint16_t hops, uint64_t since,
			uint64_t until, dk_slice node)
{
	struct session_known *k = session_known_named(s, session);
	struct session_seat *seat = k ? session_seat_by_hops(k, token, hops) : NULL;
	struct dk_cursor c = dk_cursor_of(node);
	struct dk_addr to = session_rd_addr(&c);

	(void)call;
	if (!dk_rd_done(&c)) {
		s->n.malformed++;
		return 0;
	}
	if (!seat || !hears(seat) || seat->to.family)
		return 0;
	session_seat_over(seat, &to);
	seat->over_ms = dk_now(s);
	seat->from = since;
	seat->until = until;
	seat->sure = true;
	take_late(s, seat);
	return 0;
}

/* ---- claims ---- */

struct claim {
	dk_id known;
	uint64_t token; /* 0: of all */
	uint16_t hops;
};

/* One stay of the answer. False: that was the last seat here. */
static bool answered(struct sessions *s, struct session_known *k, struct dk_cursor *body)
{
	uint64_t token = dk_rd_u64(body);
	struct session_seat *seat = session_seat_by_hops(k, token, dk_rd_u16(body));
	uint8_t stay = dk_rd_u8(body);
	uint64_t from = dk_rd_u64(body);
	bool last = seat && k->seats == seat && !seat->in_known;

	if (body->bad || !seat || !hears(seat) || seat->to.family)
		return true;
	if (stay == SESSION_STAYS_NOT && seat->state == SEAT_IN) {
		/* It ended while it was on the way, or the home takes it for over. */
		session_unseat(s, seat, DK_SESSION_LAPSED);
		return !last;
	}
	seat->from = stay == SESSION_STAYS ? from : UINT64_MAX;
	seat->sure = true;
	take_late(s, seat);
	return true;
}

static void claimed(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct claim *claim = arg;
	struct session_known *k = dk_table_get(&s->seats.table, claim->known);
	struct session_seat *here = k && claim->token ? session_seat_by_hops(k, claim->token, claim->hops) : NULL;

	dk_free(s, claim, sizeof(*claim));
	if (here)
		here->claiming = false;
	while (k && rc == 0 && dk_rd_left(body) >= ENTRY)
		if (!answered(s, k, body))
			return;
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
		if ((only && seat != only) || (seat->state != SEAT_IN && seat->state != SEAT_JOINING) || seat->to.family)
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
	*claim = (struct claim){ k->handle, only ? only->token : 0, only ? only->hops : 0 };
	rc = session_ask(s, &k->id, SESSION_NODE_MEMBERS_HERE, dk_written(&w), SESSION_AGAIN, claimed, claim);
	if (rc)
		dk_free(s, claim, sizeof(*claim));
	else if (only)
		only->claiming = true;
	return rc;
}

/* ---- in the course of time ---- */

void session_claim_look(struct sessions *s, struct session_known *k)
{
	for (struct session_seat *seat = k->seats, *next; seat; seat = next) {
		next = seat->in_known;
		if (seat->state == SEAT_IN && !seat->sure && !seat->claiming && !seat->to.family)
			session_claim(s, k, seat);
		if (seat->state != SEAT_AWAY || dk_now(s) - seat->away_ms < SESSION_AWAY_MS)
			continue;
		s->n.late_lost += seat->late_n;
		session_seat_remove(&s->seats, seat);
	}
}

bool session_claim_waits(struct sessions *s)
{
	struct session_known *k;
	uint32_t slot = 0;

	while (s->seats.away_n && (k = session_known_next(&s->seats, &slot)))
		for (const struct session_seat *seat = k->seats; seat; seat = seat->in_known)
			if (seat->state == SEAT_AWAY && (seat->to.family ? dk_now(s) - seat->over_ms < SESSION_LINGER_MS
									 : dk_now(s) - seat->away_ms < SESSION_STOP_MS))
				return true;
	return false;
}
