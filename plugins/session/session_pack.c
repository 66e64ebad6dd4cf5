/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layouts stand in the order in which they are written; integers are big-endian.
 */
#include "session_pack.h"

/* ---- ids and addresses ---- */

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool session_id_ok(dk_str text, struct dk_session_id *ret_id)
{
	if (text.n != DK_SESSION_ID_LEN)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text.p[i] != '-' : !is_hex(text.p[i]))
			return false;
	}
	memcpy(ret_id->c, text.p, DK_SESSION_ID_LEN);
	return true;
}

void session_wr_addr(struct dk_writer *w, const struct dk_addr *a)
{
	dk_wr_u8(w, a->family);
	dk_wr_slice(w, dk_slice_n(a->ip, a->family == 6 ? 16 : 4));
	dk_wr_u16(w, a->port);
}

struct dk_addr session_rd_addr(struct dk_cursor *c)
{
	struct dk_addr a = { .family = dk_rd_u8(c) };
	size_t n = a.family == 6 ? 16 : 4;
	const uint8_t *ip = dk_rd_take(c, n);

	if (a.family != 4 && a.family != 6)
		c->bad = true;
	if (!c->bad)
		memcpy(a.ip, ip, n);
	a.port = dk_rd_u16(c);
	return a;
}

/* ---- the part of a user ---- */

void session_carried_write(struct dk_writer *w, const struct session_carried *seat)
{
	dk_wr_u8(w, seat->type);
	dk_wr_u64(w, seat->token);
	dk_wr_u16(w, seat->hops);
	dk_wr_slice(w, dk_slice_n(seat->id.c, DK_SESSION_ID_LEN));
	dk_wr_u32(w, seat->epoch);
	session_wr_addr(w, &seat->home);
}

struct session_carried session_carried_read(struct dk_cursor *c)
{
	struct session_carried seat = { .type = dk_rd_u8(c) };

	seat.token = dk_rd_u64(c);
	seat.hops = dk_rd_u16(c);
	if (!session_id_ok(dk_str_of(dk_rd_slice(c, DK_SESSION_ID_LEN)), &seat.id))
		c->bad = true;
	seat.epoch = dk_rd_u32(c);
	seat.home = session_rd_addr(c);
	return seat;
}

/* ---- a session ---- */

void session_state_write(struct dk_writer *w, const struct session_state *state)
{
	dk_wr_u8(w, state->type);
	dk_wr_u16(w, state->max);
	dk_wr_u32(w, state->ttl_s);
	dk_wr_u64(w, state->changes);
	dk_wr_u64(w, state->number);
	dk_wr_u32(w, state->n);
	dk_wr_u32(w, state->owner);
	dk_wr_u8(w, state->ticks);
}

struct session_state session_state_read(struct dk_cursor *c)
{
	struct session_state s = { .type = dk_rd_u8(c) };

	s.max = dk_rd_u16(c);
	s.ttl_s = dk_rd_u32(c);
	s.changes = dk_rd_u64(c);
	s.number = dk_rd_u64(c);
	s.n = dk_rd_u32(c);
	s.owner = dk_rd_u32(c);
	s.ticks = dk_rd_u8(c);
	if (s.n > s.max || s.ttl_s < DK_SESSION_TTL_MIN_S || (s.n ? s.owner >= s.n : s.owner != UINT32_MAX))
		c->bad = true;
	return s;
}

void session_moving_write(struct dk_writer *w, const struct session_moving *member)
{
	dk_wr_u64(w, member->token);
	dk_wr_u16(w, member->hops);
	dk_wr_u64(w, member->from);
	dk_wr_slice(w, dk_slice_n(member->sid, 16));
	dk_wr_bytes16(w, dk_slice_of(member->uid));
	session_wr_addr(w, &member->node);
}

struct session_moving session_moving_read(struct dk_cursor *c)
{
	struct session_moving m = { .token = dk_rd_u64(c) };

	m.hops = dk_rd_u16(c);
	m.from = dk_rd_u64(c);
	m.sid = dk_rd_take(c, 16);
	m.uid = dk_str_of(dk_rd_bytes16(c));
	m.node = session_rd_addr(c);
	if (!m.uid.n || m.uid.n > DK_UID_MAX)
		c->bad = true;
	return m;
}
