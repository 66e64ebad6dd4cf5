/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seats hang on their session's record and, in order of type, on their user, whose slot in the plugin user's table is the index.
 */
#include "session_seats.h"

#include <errno.h>

void session_seats_init(struct session_seats *t, void *self)
{
	*t = (struct session_seats){ .self = self };
	dk_table_init(self, &t->table, DK_KIND_APP, sizeof(struct session_known), 0, "known sessions");
	dk_pool_init(self, &t->pool, sizeof(struct session_seat), 0, "seats in sessions");
}

void session_seats_fini(struct session_seats *t)
{
	struct session_known *k;
	uint32_t slot = 0;

	while ((k = session_known_next(t, &slot)))
		for (struct session_seat *seat = k->seats, *next; seat; seat = next) {
			next = seat->in_known;
			session_seat_remove(t, seat);
		}
	dk_free(t->self, t->users, t->user_n * sizeof(*t->users));
	dk_map_fini(t->self, &t->by_id);
	dk_pool_fini(&t->pool);
	dk_table_fini(&t->table);
}

static uint32_t hash_id(const struct session_seats *t, const struct dk_session_id *id)
{
	return (uint32_t)dk_hash(t->self, dk_slice_n(id->c, DK_SESSION_ID_LEN));
}

static bool id_is(const void *arg, uint32_t slot, const void *key)
{
	const struct session_seats *t = arg;
	const struct session_known *k = dk_table_get(&t->table, dk_table_id_at(&t->table, slot));

	return k && session_id_eq(&k->id, key);
}

struct session_known *session_known_find(const struct session_seats *t, const struct dk_session_id *id)
{
	uint32_t slot = dk_map_find(&t->by_id, hash_id(t, id), id_is, t, id);

	return slot == DK_MAP_NONE ? NULL : dk_table_get(&t->table, dk_table_id_at(&t->table, slot));
}

static struct session_known *known_for(struct session_seats *t, const struct dk_session_id *id, const struct dk_addr *home)
{
	struct session_known *k = session_known_find(t, id);
	dk_id handle;

	if (k)
		return k;
	k = dk_table_add(&t->table, &handle);
	if (!k)
		return NULL;
	k->id = *id;
	k->handle = handle;
	k->home = *home;
	k->confirmed_ms = dk_now(t->self);
	if (dk_map_put(t->self, &t->by_id, hash_id(t, id), dk_id_slot(handle))) {
		dk_table_remove(&t->table, handle);
		return NULL;
	}
	return k;
}

static void known_release(struct session_seats *t, struct session_known *k)
{
	if (k->seats)
		return;
	dk_map_remove(&t->by_id, hash_id(t, &k->id), dk_id_slot(k->handle));
	dk_table_remove(&t->table, k->handle);
}

struct session_seat *session_seat_first(const struct session_seats *t, dk_id user)
{
	uint32_t slot = dk_id_slot(user);

	return user && slot < t->user_n && t->users[slot].user == user ? t->users[slot].first : NULL;
}

struct session_seat *session_seat_of(const struct session_seats *t, dk_id user, uint8_t type)
{
	struct session_seat *seat = session_seat_first(t, user);

	while (seat && seat->type != type)
		seat = seat->of_user;
	return seat;
}

struct session_seat *session_seat_by_token(const struct session_known *k, uint64_t token)
{
	struct session_seat *last = NULL;

	for (struct session_seat *seat = k->seats; seat; seat = seat->in_known)
		if (seat->token == token && (!last || seat->hops > last->hops))
			last = seat;
	return last;
}

struct session_seat *session_seat_by_hops(const struct session_known *k, uint64_t token, uint16_t hops)
{
	struct session_seat *seat = k->seats;

	while (seat && (seat->token != token || seat->hops != hops))
		seat = seat->in_known;
	return seat;
}

/* Room for a user of that slot. */
static bool fit_user(struct session_seats *t, dk_id user)
{
	uint32_t slot = dk_id_slot(user), n = t->user_n ? t->user_n : 64;
	struct session_user *more;

	if (slot >= t->user_n) {
		while (n <= slot)
			n *= 2;
		more = dk_realloc(t->self, t->users, t->user_n * sizeof(*more), n * sizeof(*more));
		if (!more)
			return false;
		t->users = more;
		t->user_n = n;
	}
	if (t->users[slot].user != user)
		t->users[slot] = (struct session_user){ user, NULL };
	return true;
}

int session_seat_add(struct session_seats *t, dk_id user, uint8_t type, const struct dk_session_id *id, const struct dk_addr *home,
		     uint64_t token, enum session_seat_state state, struct session_seat **ret_seat)
{
	struct session_seat *seat, **at;
	struct session_known *k;

	if (!fit_user(t, user))
		return -ENOMEM;
	seat = dk_pool_get(&t->pool);
	if (!seat)
		return -ENOMEM;
	k = known_for(t, id, home);
	if (!k) {
		dk_pool_put(&t->pool, seat);
		return -ENOMEM;
	}
	*seat = (struct session_seat){ .known = k, .user = user, .token = token, .type = type, .state = SEAT_JOINING };
	seat->until = UINT64_MAX;
	seat->late_tail = &seat->late;
	seat->in_known = k->seats;
	k->seats = seat;
	at = &t->users[dk_id_slot(user)].first;
	while (*at && (*at)->type < type)
		at = &(*at)->of_user;
	seat->of_user = *at;
	*at = seat;
	t->seat_n++;
	session_seat_state(seat, state);
	*ret_seat = seat;
	return 0;
}

/* Among those that the home is told of. */
static void count(struct session_seat *seat, bool on)
{
	struct session_known *k = seat->known;

	if (seat->state != SEAT_IN || seat->to.family)
		return;
	k->n += on ? 1 : UINT32_MAX;
	k->mix += on ? session_mix(seat->token) : 0 - session_mix(seat->token);
}

void session_seat_state(struct session_seat *seat, enum session_seat_state state)
{
	count(seat, false);
	seat->state = (uint8_t)state;
	count(seat, true);
}

void session_seat_over(struct session_seat *seat, const struct dk_addr *to)
{
	count(seat, false);
	seat->to = *to;
}

static void unhang(struct session_seats *t, struct session_seat *seat)
{
	struct session_seat **at;

	if (!seat->user)
		return;
	at = &t->users[dk_id_slot(seat->user)].first;
	while (*at != seat)
		at = &(*at)->of_user;
	*at = seat->of_user;
	seat->of_user = NULL;
	seat->user = 0;
}

void session_seat_go_away(struct session_seats *t, struct session_seat *seat)
{
	unhang(t, seat);
	session_seat_state(seat, SEAT_AWAY);
	seat->away_ms = dk_now(t->self);
	t->seat_n--;
	t->away_n++;
}

void session_seat_remove(struct session_seats *t, struct session_seat *seat)
{
	struct session_seat **at = &seat->known->seats;
	struct session_known *k = seat->known;

	t->seat_n -= seat->state != SEAT_AWAY;
	t->away_n -= seat->state == SEAT_AWAY;
	unhang(t, seat);
	session_seat_state(seat, SEAT_AWAY);
	while (*at != seat)
		at = &(*at)->in_known;
	*at = seat->in_known;
	for (struct session_late *late = seat->late, *next; late; late = next) {
		next = late->next;
		dk_free(t->self, late, sizeof(*late) + late->n);
	}
	dk_pool_put(&t->pool, seat);
	known_release(t, k);
}
