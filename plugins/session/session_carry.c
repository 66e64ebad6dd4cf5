/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seats of users who move to another node: they go along as a part of the user, and their homes hear of it when the client is there
 * (session.members_here). A home numbers its pushes, and answers with the number above which they are the new node's to deliver;
 * all up to it the former one has or gets, and sends after the user what came too late (session_here.c).
 */
#include "session_state.h"

/* u16 count, then as many seats (session_pack.h). */
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
		const struct session_known *k = seat->known;
		struct session_carried c = { k->id, k->home, seat->token, k->epoch, seat->hops, seat->type };

		if (seat->state == SEAT_IN)
			session_carried_write(w, &c);
	}
	return 0;
}

static int unpack(void *self, dk_id user, uint16_t version, dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	uint16_t n = dk_rd_u16(&c);
	struct sessions *s = self;

	if (version != 1)
		return -EPROTO;
	while (n-- && !c.bad) {
		struct session_carried in = session_carried_read(&c);
		struct session_seat *seat;
		int rc;

		if (c.bad || session_seat_of(&s->seats, user, in.type))
			return -EPROTO;
		rc = session_seat_add(&s->seats, user, in.type, &in.id, &in.home, in.token, SEAT_COMING, &seat);
		if (rc)
			return rc;
		seat->hops = (uint16_t)(in.hops + 1);
		if (in.epoch > seat->known->epoch) {
			seat->known->epoch = in.epoch;
			seat->known->home = in.home;
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
