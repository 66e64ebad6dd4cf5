/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms as data. The invariants, which its property test checks after every step:
 *
 *   members + seats kept <= max; a user is in one room at most; members are in order of joining and each once;
 *   a room with members is owned by one of them; every member is found by its user, and by nobody else's handle.
 *
 * A seat is kept for a uid, because it is reserved, or because the uid is on its way here, or both, and is used up when that uid
 * joins. A reservation lives as long as its room.
 */
#include "room_store.h"

#include <errno.h>

enum { MEMBERS_FIRST = 8, SEATS_FIRST = 256 };

static uint32_t id_hash(const struct room_store *s, const struct dk_id52 *id)
{
	return (uint32_t)dk_hash(s->self, dk_slice_n(id->c, sizeof(id->c)));
}

static bool id_eq(const void *arg, uint32_t slot, const void *key)
{
	const struct room_store *s = arg;
	const struct room *r = room_store_get(s, dk_table_id_at(&s->table, slot));

	return r && memcmp(&r->id, key, sizeof(r->id)) == 0;
}

/* An array that holds n of *cap elements, with room for one more; NULL = no memory, and it is as it was. */
static void *grown(void *self, void *array, uint16_t *cap, uint16_t n, size_t size)
{
	uint16_t want = (uint16_t)(*cap ? *cap * 2 : MEMBERS_FIRST);
	void *p;

	if (n < *cap)
		return array;
	p = dk_realloc(self, array, *cap * size, want * size);
	if (p)
		*cap = want;
	return p;
}

static int seats_for(struct room_store *s, uint32_t slot)
{
	uint32_t want = s->seat_n ? s->seat_n : SEATS_FIRST;
	struct room_seat *p;

	if (slot < s->seat_n)
		return 0;
	while (want <= slot)
		want *= 2;
	p = dk_realloc(s->self, s->seats, (size_t)s->seat_n * sizeof(*p), (size_t)want * sizeof(*p));
	if (!p)
		return -ENOMEM;
	s->seats = p;
	s->seat_n = want;
	return 0;
}

void room_store_init(struct room_store *s, void *self, uint32_t max_rooms)
{
	*s = (struct room_store){ .self = self };
	dk_table_init(self, &s->table, DK_KIND_ROOM, sizeof(struct room), max_rooms, "rooms");
}

static void forget(struct room_store *s, struct room *r)
{
	for (uint16_t i = 0; i < r->reserved_n; i++)
		dk_free(s->self, r->reserved[i].uid, r->reserved[i].n);
	dk_free(s->self, r->reserved, r->reserved_cap * sizeof(*r->reserved));
	dk_free(s->self, r->members, r->member_cap * sizeof(*r->members));
	props_clear(s->self, &r->props);
	dk_free(s->self, r->former, r->former ? ROOM_FORMER_MAX * sizeof(*r->former) : 0);
}

void room_store_fini(struct room_store *s)
{
	uint32_t slot = 0;
	struct room *r;
	dk_id handle;

	while ((r = dk_table_next(&s->table, &slot, &handle))) {
		forget(s, r);
		dk_table_remove(&s->table, handle);
	}
	dk_free(s->self, s->seats, (size_t)s->seat_n * sizeof(*s->seats));
	dk_map_fini(s->self, &s->by_id);
	dk_table_fini(&s->table);
}

int room_store_add(struct room_store *s, const struct dk_id52 *id, uint16_t max, struct room **ret_room)
{
	dk_id handle;
	struct room *r = dk_table_add(&s->table, &handle);

	if (!r)
		return DK_FULL;
	if (dk_map_put(s->self, &s->by_id, id_hash(s, id), dk_id_slot(handle)) < 0) {
		dk_table_remove(&s->table, handle);
		return -ENOMEM;
	}
	r->id = *id;
	r->handle = handle;
	r->grid = dk_id_slot(handle);
	r->max = max;
	*ret_room = r;
	return 0;
}

void room_store_remove(struct room_store *s, struct room *r)
{
	dk_map_remove(&s->by_id, id_hash(s, &r->id), dk_id_slot(r->handle));
	forget(s, r);
	dk_table_remove(&s->table, r->handle);
}

struct room *room_store_find(const struct room_store *s, const struct dk_id52 *id)
{
	uint32_t slot = dk_map_find(&s->by_id, id_hash(s, id), id_eq, s, id);

	return slot == DK_MAP_NONE ? NULL : room_store_get(s, dk_table_id_at(&s->table, slot));
}

void room_store_remember(struct room_store *s, struct room *r, const struct dk_id52 *id, uint32_t until_s)
{
	if (!r->former)
		r->former = dk_alloc(s->self, ROOM_FORMER_MAX * sizeof(*r->former));
	if (!r->former)
		return;
	if (r->former_n == ROOM_FORMER_MAX)
		memmove(&r->former[0], &r->former[1], --r->former_n * sizeof(*r->former));
	r->former[r->former_n++] = (struct room_former){ *id, until_s };
}

/* ---- reservations ---- */

static uint16_t find_reservation(const struct room *r, dk_str uid)
{
	uint16_t i = 0;

	while (i < r->reserved_n && !dk_str_eq(dk_str_n(r->reserved[i].uid, r->reserved[i].n), uid))
		i++;
	return i;
}

static void drop_reservation(struct room_store *s, struct room *r, uint16_t i)
{
	dk_free(s->self, r->reserved[i].uid, r->reserved[i].n);
	r->reserved[i] = r->reserved[--r->reserved_n];
}

static int add_reservation(struct room_store *s, struct room *r, dk_str uid, uint8_t why)
{
	struct room_reservation *reserved;
	char *copy;

	if (r->member_n + r->reserved_n >= r->max)
		return DK_ROOM_IS_FULL;
	reserved = grown(s->self, r->reserved, &r->reserved_cap, r->reserved_n, sizeof(*reserved));
	if (!reserved)
		return -ENOMEM;
	r->reserved = reserved;
	copy = dk_alloc(s->self, uid.n);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, uid.p, uid.n);
	r->reserved[r->reserved_n++] = (struct room_reservation){ copy, (uint16_t)uid.n, why };
	return 0;
}

/* One reason less; without any the seat is free. */
static void release(struct room_store *s, struct room *r, uint16_t i, uint8_t why)
{
	r->reserved[i].why &= (uint8_t)~why;
	if (!r->reserved[i].why)
		drop_reservation(s, r, i);
}

int room_store_reserve(struct room_store *s, struct room *r, const dk_str *uids, size_t n)
{
	uint16_t before = r->reserved_n;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		if (find_reservation(r, uids[i]) == r->reserved_n)
			rc = add_reservation(s, r, uids[i], ROOM_RESERVED);
	while (rc && r->reserved_n > before)
		drop_reservation(s, r, (uint16_t)(r->reserved_n - 1));
	for (size_t i = 0; i < n && rc == 0; i++)
		r->reserved[find_reservation(r, uids[i])].why |= ROOM_RESERVED;
	return rc;
}

int room_store_cancel(struct room_store *s, struct room *r, const dk_str *uids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!room_store_is_reserved(r, uids[i]))
			return DK_ROOM_NO_RESERVATION;
	for (size_t i = 0; i < n; i++) {
		uint16_t at = find_reservation(r, uids[i]);

		if (at < r->reserved_n) /* listed twice */
			release(s, r, at, ROOM_RESERVED);
	}
	return 0;
}

bool room_store_is_reserved(const struct room *r, dk_str uid)
{
	uint16_t at = find_reservation(r, uid);

	return at < r->reserved_n && (r->reserved[at].why & ROOM_RESERVED);
}

int room_store_hold(struct room_store *s, struct room *r, dk_str uid)
{
	uint16_t at = find_reservation(r, uid);

	if (at == r->reserved_n)
		return add_reservation(s, r, uid, ROOM_HELD);
	r->reserved[at].why |= ROOM_HELD;
	return 0;
}

void room_store_unhold(struct room_store *s, struct room *r, dk_str uid)
{
	uint16_t at = find_reservation(r, uid);

	if (at < r->reserved_n)
		release(s, r, at, ROOM_HELD);
}

/* ---- members ---- */

int room_store_join(struct room_store *s, struct room *r, dk_id user, dk_str uid)
{
	dk_id now_in = room_store_of(s, user);
	dk_id *members;
	uint16_t kept;

	if (now_in)
		return now_in == r->handle ? DK_EXISTS : DK_ROOM_IN_ANOTHER;
	kept = find_reservation(r, uid);
	if (kept == r->reserved_n && r->member_n + r->reserved_n >= r->max)
		return DK_ROOM_IS_FULL;
	members = grown(s->self, r->members, &r->member_cap, r->member_n, sizeof(*members));
	if (!members)
		return -ENOMEM;
	r->members = members;
	if (seats_for(s, dk_id_slot(user)) < 0)
		return -ENOMEM;
	if (kept < r->reserved_n)
		drop_reservation(s, r, kept);
	if (!r->member_n)
		r->owner = user;
	r->members[r->member_n++] = user;
	s->seats[dk_id_slot(user)] = (struct room_seat){ user, r->handle };
	s->member_n++;
	return 0;
}

int room_store_leave(struct room_store *s, struct room *r, dk_id user)
{
	uint16_t i = 0;

	if (room_store_of(s, user) != r->handle)
		return DK_ROOM_NOT_MEMBER;
	while (r->members[i] != user)
		i++;
	r->member_n--;
	memmove(&r->members[i], &r->members[i + 1], (size_t)(r->member_n - i) * sizeof(*r->members));
	s->seats[dk_id_slot(user)] = (struct room_seat){ 0, 0 };
	s->member_n--;
	if (r->owner == user)
		r->owner = r->member_n ? r->members[0] : 0;
	return 0;
}
