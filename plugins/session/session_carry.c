/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seats of users who move to another node: they go along as a part of the user, and their homes hear of it when the client is there
 * (session.members_here). Until then homes send what they have to the former node, which keeps what comes when the user has gone,
 * and sends it after it as soon as the home has said where it is.
 */
#include "session_state.h"

/* u8 count, then { u8 type, u64 token, u16 hops, id, u32 epoch, address of the home }. */
static int pack(void *self, dk_id user, struct dk_writer *w)
{
	struct sessions *s = self;
	const struct session_seat *first = session_seat_first(&s->seats, user);
	unsigned n = 0;

	for (const struct session_seat *seat = first; seat; seat = seat->of_user)
		n += seat->state == SEAT_IN;
	if (!n)
		return DK_NOT_FOUND;
	dk_wr_u16(w, (uint16_t)n);
	for (const struct session_seat *seat = first; seat; seat = seat->of_user) {
		if (seat->state != SEAT_IN)
			continue;
		dk_wr_u8(w, seat->type);
		dk_wr_u64(w, seat->token);
		dk_wr_u16(w, seat->hops);
		dk_wr_slice(w, dk_slice_n(seat->known->id.c, DK_SESSION_ID_LEN));
		dk_wr_u32(w, seat->known->epoch);
		session_wr_addr(w, &seat->known->home);
	}
	return 0;
}

/* It was here a while ago, and went away: what waits for it is its own. */
static void drop_former_seat(struct sessions *s, const struct dk_session_id *id, uint64_t token, dk_id user)
{
	struct session_known *k = session_known_find(&s->seats, id);
	struct session_seat *old = k ? session_seat_by_token(k, token) : NULL;

	if (!old)
		return;
	for (struct session_late *late = old->late; late; late = late->next) {
		struct dk_cursor c = dk_cursor_of(dk_slice_n(late->bytes, late->n));
		uint8_t ver;
		uint16_t cmd;

		dk_rd_bytes16(&c);
		ver = dk_rd_u8(&c);
		cmd = dk_rd_u16(&c);
		dk_rd_take(&c, 2 + 8);
		s->user->push(s->user, user, ver, cmd, dk_rd_rest(&c), DK_RELIABLE);
	}
	session_seat_remove(&s->seats, old);
}

static int unpack(void *self, dk_id user, uint16_t version, dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	uint16_t n = dk_rd_u16(&c);
	struct sessions *s = self;

	if (version != 1)
		return -EPROTO;
	while (n-- && !c.bad) {
		uint8_t type = dk_rd_u8(&c);
		uint64_t token = dk_rd_u64(&c);
		uint16_t hops = dk_rd_u16(&c);
		dk_str text = dk_str_of(dk_rd_slice(&c, DK_SESSION_ID_LEN));
		uint32_t epoch = dk_rd_u32(&c);
		struct dk_addr home = session_rd_addr(&c);
		struct session_seat *seat;
		struct dk_session_id id;
		int rc;

		if (c.bad || !session_id_ok(text, &id) || session_seat_of(&s->seats, user, type))
			return -EPROTO;
		drop_former_seat(s, &id, token, user);
		rc = session_seat_add(&s->seats, user, type, &id, &home, token, SEAT_COMING, &seat);
		if (rc)
			return rc;
		seat->hops = (uint16_t)(hops + 1);
		if (epoch > seat->known->epoch) {
			seat->known->epoch = epoch;
			seat->known->home = home;
		}
	}
	session_gauges(s);
	return dk_rd_done(&c) ? 0 : -EPROTO;
}

static const struct dk_user_part part = { .name = "session", .version = 1, .pack = pack, .unpack = unpack };

int session_carry_init(struct sessions *s)
{
	return s->user->carry(s->user, s, &part);
}
