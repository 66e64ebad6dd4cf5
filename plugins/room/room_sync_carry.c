/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States that go to another node, as a part of their room:
 *
 *   update_ver u8, update_cmd u16, remove_ver u8, remove_cmd u16, interval_ms u32, all_delay_ms u32, ttl_ms u32, combine u16,
 *   closed u8, count u32, then as many states, oldest first: struct room_state_image
 *
 * Windows have ended before. A state that is linked to somebody waits for its room to live: only then its members are users here.
 */
#include "room_sync.h"

#include <errno.h>

static void pack_state(struct rooms *s, const struct room_state *st, struct dk_writer *w)
{
	struct room_state_image m = { .key = room_state_key(st), .value = room_state_value(st), .reliable = st->reliable };

	if (st->user)
		m.uid = s->user->uid(s->user, st->user);
	/* By the wall, so that a state which nobody touches is the same bytes each time. */
	if (st->due_ms)
		m.until_ms = room_unix_ms(s) + st->due_ms - dk_now(s);
	room_state_image_write(w, &m);
}

static int pack(void *self, dk_id room, struct dk_writer *w)
{
	struct rooms *s = self;
	const struct room *r = room_any(s, room);
	const struct room_sync *y = r ? r->sync : NULL;

	if (!y)
		return DK_NOT_FOUND;
	dk_wr_u8(w, y->o.update_ver);
	dk_wr_u16(w, y->o.update_cmd);
	dk_wr_u8(w, y->o.remove_ver);
	dk_wr_u16(w, y->o.remove_cmd);
	dk_wr_u32(w, y->o.interval_ms);
	dk_wr_u32(w, y->o.all_delay_ms);
	dk_wr_u32(w, y->o.ttl_ms);
	dk_wr_u16(w, y->o.combine);
	dk_wr_u8(w, y->o.closed);
	dk_wr_u32(w, y->v.live);
	for (const struct room_state *st = y->v.oldest; st; st = st->newer)
		pack_state(s, st, w);
	return 0;
}

static int link_later(struct rooms *s, struct room_sync *y, struct room_state *st, dk_slice uid)
{
	struct room_link *l = dk_alloc(s, sizeof(*l) + uid.n);

	if (!l)
		return -ENOMEM;
	l->state = st;
	l->n = (uint16_t)uid.n;
	memcpy(l->uid, uid.p, uid.n);
	l->next = y->links;
	y->links = l;
	return 0;
}

static int unpack_state(struct rooms *s, struct room_sync *y, struct dk_cursor *c)
{
	uint64_t now = room_unix_ms(s), left;
	struct room_state_image m;
	struct room_state *st;
	int rc = room_state_image_read(c, &m);

	if (rc)
		return rc;
	rc = room_states_put(s, &s->states, &y->v, DK_ROOM_STATES_MAX, (uint32_t)dk_hash(s, m.key), m.key, m.value, m.reliable,
			     &st);
	if (rc)
		return rc;
	/* The clocks of two nodes may differ, but nothing lives longer than it may. */
	left = m.until_ms > now ? m.until_ms - now : 0;
	st->due_ms = y->o.ttl_ms ? dk_now(s) + (left < y->o.ttl_ms ? left : y->o.ttl_ms) : 0;
	return m.uid.n ? link_later(s, y, st, dk_slice_of(m.uid)) : 0;
}

/* What fails leaves it to room_strip(). */
static int unpack(void *self, dk_id room, uint16_t version, dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct rooms *s = self;
	struct room *r = room_any(s, room);
	struct dk_room_states_opts o = { .update_ver = dk_rd_u8(&c) };
	uint32_t n;
	int rc;

	o.update_cmd = dk_rd_u16(&c);
	o.remove_ver = dk_rd_u8(&c);
	o.remove_cmd = dk_rd_u16(&c);
	o.interval_ms = dk_rd_u32(&c);
	o.all_delay_ms = dk_rd_u32(&c);
	o.ttl_ms = dk_rd_u32(&c);
	o.combine = dk_rd_u16(&c);
	o.closed = dk_rd_u8(&c) != 0;
	n = dk_rd_u32(&c);
	if (version != 1 || !r || r->sync || c.bad || n > DK_ROOM_STATES_MAX)
		return -EPROTO;
	rc = room_sync_enable(s, r, &o);
	while (rc == 0 && n--)
		rc = unpack_state(s, r->sync, &c);
	return rc == 0 && !dk_rd_done(&c) ? -EPROTO : rc;
}

static const struct dk_room_part part = { .name = "room.states", .version = 1, .pack = pack, .unpack = unpack };

void room_sync_unlink(struct rooms *s, struct room_sync *y)
{
	while (y->links) {
		struct room_link *l = y->links;

		y->links = l->next;
		dk_free(s, l, sizeof(*l) + l->n);
	}
}

void room_sync_resume(struct rooms *s, struct room *r)
{
	struct room_sync *y = r->sync;

	if (!y)
		return;
	for (struct room_link *l = y->links; l; l = l->next) {
		dk_id user = s->user->by_uid(s->user, dk_str_n(l->uid, l->n));

		if (user && room_store_of(&s->store, user) == r->handle) {
			l->state->user = user;
		} else { /* it did not come along */
			room_states_remove(&y->v, l->state);
			room_sync_arm(s, y);
		}
	}
	room_sync_unlink(s, y);
	room_sync_arm_lapse(s, y);
}

/* ---- for recordings: what does not travel, for windows have ended before ---- */

static uint16_t place_of(const struct room *r, dk_id user)
{
	uint16_t i = 0;

	while (i < r->member_n && r->members[i] != user)
		i++;
	return i;
}

/* u32 count, {u8 flags (1 it is gone, 2 it must arrive), u8 length, key}*; u16 count, {u16 place among the members, u32 ms}*. */
void room_window_dump(struct rooms *s, const struct room *r, struct dk_writer *w)
{
	const struct room_sync *y = r->sync;
	uint32_t n = 0;

	if (!y)
		return;
	for (const struct room_state *st = y->v.changed; st; st = st->next_changed)
		n++;
	dk_wr_u32(w, n);
	for (const struct room_state *st = y->v.changed; st; st = st->next_changed) {
		dk_wr_u8(w, (uint8_t)(st->gone | st->must_arrive << 1));
		dk_wr_bytes8(w, room_state_key(st));
	}
	dk_wr_u16(w, y->late_n);
	for (uint16_t i = 0; i < y->late_n; i++) {
		uint64_t now = dk_now(s);

		dk_wr_u16(w, place_of(r, y->late[i].user));
		dk_wr_u32(w, (uint32_t)(y->late[i].due_ms > now ? y->late[i].due_ms - now : 0));
	}
}

static int restore_changed(struct rooms *s, struct room_sync *y, struct dk_cursor *c)
{
	uint8_t flags = dk_rd_u8(c);
	dk_slice key = dk_rd_bytes8(c), none = dk_slice_n("", 1);
	uint32_t hash = (uint32_t)dk_hash(s, key);
	struct room_state *st;

	if (c->bad || !room_state_fits(key, none) || flags > 3)
		return -EPROTO;
	st = room_states_find(&y->v, hash, key);
	if (!(flags & 1) != (st != NULL))
		return -EPROTO;
	if (st) {
		room_states_mark(&y->v, st, flags & 2);
		return 0;
	}
	if (room_states_put(s, &s->states, &y->v, DK_ROOM_STATES_MAX, hash, key, none, false, &st))
		return -ENOMEM;
	room_states_remove(&y->v, st);
	return 0;
}

int room_window_restore(struct rooms *s, struct room *r, struct dk_cursor *c)
{
	struct room_sync *y = r->sync;
	uint32_t n = y ? dk_rd_u32(c) : 0;
	int rc = 0;

	while (rc == 0 && n--)
		rc = restore_changed(s, y, c);
	n = y && rc == 0 ? dk_rd_u16(c) : 0;
	while (rc == 0 && n--) {
		uint16_t at = dk_rd_u16(c);
		uint32_t in_ms = dk_rd_u32(c);

		if (c->bad || at >= r->member_n)
			return -EPROTO;
		room_sync_greet(s, y, r->members[at], in_ms);
	}
	return rc;
}

int room_sync_carry_init(struct rooms *s)
{
	return s->svc.carry(&s->svc, s, &part);
}
