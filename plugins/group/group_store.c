/* SPDX-License-Identifier: Apache-2.0 */
#include "group_store.h"

#include <errno.h>

enum { MEMBERS_FIRST = 8, SEATS_FIRST = 256, GROUPS_FIRST = 2 };

static uint32_t id_hash(const struct group_store *s, const struct dk_id52 *id)
{
	return (uint32_t)dk_hash(s->self, dk_slice_n(id->c, sizeof(id->c)));
}

static bool id_eq(const void *arg, uint32_t slot, const void *key)
{
	const struct group_store *s = arg;
	const struct group *g = group_store_get(s, dk_table_id_at(&s->table, slot));

	return g && memcmp(&g->id, key, sizeof(g->id)) == 0;
}

/* An array that holds n of *cap elements, with room for one more; NULL = no memory, and it is as it was. */
static void *grown(void *self, void *array, uint32_t *cap, uint32_t n, size_t size, uint32_t first)
{
	uint32_t want = *cap ? *cap * 2 : first;
	void *p;

	if (n < *cap)
		return array;
	p = dk_realloc(self, array, *cap * size, want * size);
	if (p)
		*cap = want;
	return p;
}

void group_store_init(struct group_store *s, void *self, uint32_t max_groups)
{
	*s = (struct group_store){ .self = self };
	dk_table_init(self, &s->table, DK_KIND_GROUP, sizeof(struct group), max_groups, "groups");
}

static void forget(struct group_store *s, struct group *g)
{
	dk_free(s->self, g->members, g->member_cap * sizeof(*g->members));
	dk_free(s->self, g->arrivals, g->arrival_cap * sizeof(*g->arrivals));
	group_view_fini(s->self, &g->view);
}

void group_store_fini(struct group_store *s)
{
	uint32_t slot = 0;
	struct group *g;
	dk_id handle;

	while ((g = dk_table_next(&s->table, &slot, &handle))) {
		forget(s, g);
		dk_table_remove(&s->table, handle);
	}
	for (uint32_t i = 0; i < s->seat_n; i++)
		dk_free(s->self, s->seats[i].at, s->seats[i].cap * sizeof(*s->seats[i].at));
	dk_free(s->self, s->seats, s->seat_n * sizeof(*s->seats));
	dk_map_fini(s->self, &s->by_id);
	dk_table_fini(&s->table);
}

int group_store_add(struct group_store *s, const struct dk_id52 *id, struct group **ret_group)
{
	dk_id handle;
	struct group *g = dk_table_add(&s->table, &handle);

	if (!g)
		return DK_FULL;
	if (dk_map_put(s->self, &s->by_id, id_hash(s, id), dk_id_slot(handle)) < 0) {
		dk_table_remove(&s->table, handle);
		return -ENOMEM;
	}
	g->id = *id;
	g->handle = handle;
	*ret_group = g;
	return 0;
}

void group_store_remove(struct group_store *s, struct group *g)
{
	dk_map_remove(&s->by_id, id_hash(s, &g->id), dk_id_slot(g->handle));
	forget(s, g);
	dk_table_remove(&s->table, g->handle);
}

struct group *group_store_find(const struct group_store *s, const struct dk_id52 *id)
{
	uint32_t slot = dk_map_find(&s->by_id, id_hash(s, id), id_eq, s, id);

	return slot == DK_MAP_NONE ? NULL : group_store_get(s, dk_table_id_at(&s->table, slot));
}

/* ---- seats ---- */

struct group_seats *group_store_seats(const struct group_store *s, dk_id user)
{
	uint32_t slot = dk_id_slot(user);

	return user && slot < s->seat_n && s->seats[slot].user == user && s->seats[slot].n ? &s->seats[slot] : NULL;
}

struct group_seat *group_store_seat(const struct group_store *s, dk_id user, dk_id group)
{
	struct group_seats *seats = group_store_seats(s, user);

	for (uint32_t i = seats ? seats->n : 0; i-- > 0;)
		if (seats->at[i].group == group)
			return &seats->at[i];
	return NULL;
}

static struct group_seats *seats_for(struct group_store *s, dk_id user)
{
	uint32_t slot = dk_id_slot(user), want = s->seat_n ? s->seat_n : SEATS_FIRST;
	struct group_seats *seats;

	while (want <= slot)
		want *= 2;
	if (want > s->seat_n) {
		seats = dk_realloc(s->self, s->seats, s->seat_n * sizeof(*seats), want * sizeof(*seats));
		if (!seats)
			return NULL;
		s->seats = seats;
		s->seat_n = want;
	}
	seats = &s->seats[slot];
	if (seats->user != user) {
		seats->user = user;
		seats->n = 0;
	}
	return seats;
}

/* Room for one seat more; NULL = no memory. */
static struct group_seats *another_seat(struct group_store *s, dk_id user)
{
	struct group_seats *seats = seats_for(s, user);
	struct group_seat *at;

	if (!seats)
		return NULL;
	at = grown(s->self, seats->at, &seats->cap, seats->n, sizeof(*at), GROUPS_FIRST);
	if (!at)
		return NULL;
	seats->at = at;
	return seats;
}

int group_store_join(struct group_store *s, struct group *g, dk_id user)
{
	struct group_seats *seats;
	dk_id *members;

	if (group_store_seat(s, user, g->handle))
		return DK_EXISTS;
	seats = another_seat(s, user);
	members = seats ? grown(s->self, g->members, &g->member_cap, g->member_n, sizeof(*members), MEMBERS_FIRST) : NULL;
	if (!members)
		return -ENOMEM;
	g->members = members;
	seats->at[seats->n++] = (struct group_seat){ .group = g->handle, .at = g->member_n };
	g->members[g->member_n++] = user;
	s->member_n++;
	return 0;
}

int group_store_arrive(struct group_store *s, struct group *g, dk_id user, struct group_arrival *a)
{
	struct group_arrival **arrivals;
	struct group_seats *seats;

	if (group_store_seat(s, user, g->handle))
		return DK_EXISTS;
	seats = another_seat(s, user);
	arrivals = seats ? grown(s->self, g->arrivals, &g->arrival_cap, g->arrival_n, sizeof(struct group_arrival *), MEMBERS_FIRST)
			 : NULL;
	if (!arrivals)
		return -ENOMEM;
	g->arrivals = arrivals;
	seats->at[seats->n++] = (struct group_seat){ .group = g->handle, .at = g->arrival_n, .arriving = true };
	g->arrivals[g->arrival_n++] = a;
	s->member_n++;
	return 0;
}

/* The last one takes its place. */
static void leave_members(struct group_store *s, struct group *g, uint32_t at)
{
	dk_id last = g->members[--g->member_n];

	if (at == g->member_n)
		return;
	g->members[at] = last;
	group_store_seat(s, last, g->handle)->at = at;
}

static struct group_arrival *leave_arrivals(struct group_store *s, struct group *g, uint32_t at)
{
	struct group_arrival *a = g->arrivals[at], *last = g->arrivals[--g->arrival_n];

	if (at != g->arrival_n) {
		g->arrivals[at] = last;
		group_store_seat(s, group_arrival_user(last), g->handle)->at = at;
	}
	return a;
}

struct group_arrival *group_store_settle(struct group_store *s, struct group *g, dk_id user)
{
	struct group_seat *seat = group_store_seat(s, user, g->handle);
	struct group_arrival *a;
	dk_id *members;

	if (!seat || !seat->arriving)
		return NULL;
	members = grown(s->self, g->members, &g->member_cap, g->member_n, sizeof(*members), MEMBERS_FIRST);
	if (!members)
		return NULL;
	g->members = members;
	a = leave_arrivals(s, g, seat->at);
	seat->arriving = false;
	seat->at = g->member_n;
	g->members[g->member_n++] = user;
	return a;
}

bool group_store_leave(struct group_store *s, struct group *g, dk_id user, struct group_arrival **ret_arrival)
{
	struct group_seat *seat = group_store_seat(s, user, g->handle);
	struct group_seats *seats = group_store_seats(s, user);
	uint32_t at;

	if (!seat)
		return false;
	*ret_arrival = NULL;
	if (seat->arriving)
		*ret_arrival = leave_arrivals(s, g, seat->at);
	else
		leave_members(s, g, seat->at);
	s->member_n--;
	at = (uint32_t)(seat - seats->at);
	seats->n--;
	memmove(&seats->at[at], &seats->at[at + 1], (seats->n - at) * sizeof(*seats->at));
	if (!seats->n) {
		dk_free(s->self, seats->at, seats->cap * sizeof(*seats->at));
		*seats = (struct group_seats){ .user = 0 };
	}
	return true;
}
