/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions in a table, found by a hash of their id; members in an array in order of joining, each with the hash of its uid beside
 * it. Sessions are small as a rule: a uid is looked for from the front.
 */
#include "session_store.h"

#include <errno.h>

enum { UUID_LEN = 36, SPOTS_MAX = 65536 };

/* ---- ids ---- */

int session_id_new(void *self, struct dk_session_id *ret_id)
{
	static const char digits[] = "0123456789abcdef";
	struct dk_id52 own;
	uint8_t r[16];
	size_t at = 0;
	int rc = dk_random(self, r, sizeof(r));

	if (rc)
		return rc;
	r[6] = (uint8_t)((r[6] & 0x0f) | 0x40); /* version 4, variant 1 */
	r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(r); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			ret_id->c[at++] = '-';
		ret_id->c[at++] = digits[r[i] >> 4];
		ret_id->c[at++] = digits[r[i] & 15];
	}
	dk_id52_new(self, &own);
	memcpy(ret_id->c + UUID_LEN, own.c + 16, 12);
	return 0;
}

bool session_id_addr(const struct dk_session_id *id, struct dk_addr *ret_addr)
{
	struct dk_id52 as;

	memset(as.c, '0', sizeof(as.c));
	memcpy(as.c + 16, id->c + UUID_LEN, 12);
	return dk_id52_addr(&as, 0, ret_addr) == 0;
}

uint64_t session_mix(uint64_t token)
{
	token = (token ^ (token >> 30)) * 0xbf58476d1ce4e5b9u;
	token = (token ^ (token >> 27)) * 0x94d049bb133111ebu;
	return token ^ (token >> 31);
}

/* ---- sessions ---- */

void session_store_init(struct session_store *st, void *self, uint32_t max)
{
	*st = (struct session_store){ .self = self };
	dk_table_init(self, &st->table, DK_KIND_APP, sizeof(struct session), max, "sessions");
}

void session_store_fini(struct session_store *st)
{
	struct session *ss;
	uint32_t slot = 0;
	dk_id id;

	while ((ss = dk_table_next(&st->table, &slot, &id)))
		session_store_remove(st, ss);
	dk_map_fini(st->self, &st->by_id);
	dk_table_fini(&st->table);
}

static uint32_t hash_id(const struct session_store *st, const struct dk_session_id *id)
{
	return (uint32_t)dk_hash(st->self, dk_slice_n(id->c, DK_SESSION_ID_LEN));
}

static bool id_is(const void *arg, uint32_t slot, const void *key)
{
	const struct session_store *st = arg;
	const struct session *ss = session_store_get(st, dk_table_id_at(&st->table, slot));

	return ss && session_id_eq(&ss->id, key);
}

struct session *session_store_find(const struct session_store *st, const struct dk_session_id *id)
{
	uint32_t slot = dk_map_find(&st->by_id, hash_id(st, id), id_is, st, id);

	return slot == DK_MAP_NONE ? NULL : session_store_get(st, dk_table_id_at(&st->table, slot));
}

int session_store_add(struct session_store *st, const struct dk_session_id *id, uint8_t type, uint16_t max,
		      struct session **ret_session)
{
	struct session *ss;
	dk_id handle;

	if (st->table.max && st->table.used >= st->table.max)
		return DK_FULL;
	ss = dk_table_add(&st->table, &handle);
	if (!ss)
		return -ENOMEM;
	ss->id = *id;
	ss->handle = handle;
	ss->type = type;
	ss->max = max;
	if (dk_map_put(st->self, &st->by_id, hash_id(st, id), dk_id_slot(handle))) {
		dk_table_remove(&st->table, handle);
		return -ENOMEM;
	}
	*ret_session = ss;
	return 0;
}

static void member_free(struct session_store *st, struct session_member *m)
{
	dk_free(st->self, m, sizeof(*m) + m->uid_n);
}

void session_store_remove(struct session_store *st, struct session *ss)
{
	for (uint32_t i = 0; i < ss->n; i++)
		member_free(st, ss->places[i].m);
	st->member_n -= ss->n;
	dk_free(st->self, ss->places, ss->cap * sizeof(*ss->places));
	dk_free(st->self, ss->spots, ss->spot_n * sizeof(*ss->spots));
	props_clear(st->self, &ss->props);
	dk_map_remove(&st->by_id, hash_id(st, &ss->id), dk_id_slot(ss->handle));
	dk_table_remove(&st->table, ss->handle);
}

/* ---- nodes ---- */

struct session_spot *session_spot_find(const struct session *ss, const struct dk_addr *addr)
{
	for (uint32_t i = 0; i < ss->spot_n; i++)
		if (ss->spots[i].n && dk_addr_eq(&ss->spots[i].addr, addr))
			return &ss->spots[i];
	return NULL;
}

/* The index of its spot, made if there is none; UINT32_MAX: no memory. */
static uint32_t spot_for(struct session_store *st, struct session *ss, const struct dk_addr *addr)
{
	struct session_spot *spot = session_spot_find(ss, addr), *more;
	uint32_t i = 0;

	if (spot)
		return (uint32_t)(spot - ss->spots);
	while (i < ss->spot_n && ss->spots[i].n)
		i++;
	if (i == ss->spot_n) {
		more = i < SPOTS_MAX ? dk_realloc(st->self, ss->spots, i * sizeof(*more), (i + 1) * sizeof(*more)) : NULL;
		if (!more)
			return UINT32_MAX;
		ss->spots = more;
		ss->spot_n++;
	}
	ss->spots[i] = (struct session_spot){ .addr = *addr, .seen_ms = dk_now(st->self) };
	return i;
}

static void spot_enter(struct session_store *st, struct session *ss, struct session_member *m, uint32_t spot)
{
	m->spot = spot;
	m->since_ms = dk_now(st->self);
	ss->spots[spot].n++;
	ss->spots[spot].mix += session_mix(m->token);
}

static void spot_leave(struct session *ss, struct session_member *m)
{
	ss->spots[m->spot].n--;
	ss->spots[m->spot].mix -= session_mix(m->token);
}

/* ---- members ---- */

static uint32_t hash_uid(const struct session_store *st, dk_str uid)
{
	return (uint32_t)dk_hash(st->self, dk_slice_of(uid));
}

struct session_member *session_member_find(const struct session_store *st, const struct session *ss, dk_str uid)
{
	uint32_t hash = hash_uid(st, uid);

	for (uint32_t i = 0; i < ss->n; i++)
		if (ss->places[i].hash == hash && dk_str_eq(session_member_uid(ss->places[i].m), uid))
			return ss->places[i].m;
	return NULL;
}

int session_member_add(struct session_store *st, struct session *ss, dk_str uid, uint64_t token, const uint8_t sid[16],
		       const struct dk_addr *addr, struct session_member **ret_member)
{
	struct session_member *m;
	uint32_t spot;

	if (ss->n >= ss->max)
		return DK_SESSION_IS_FULL;
	if (ss->n == ss->cap) {
		uint32_t cap = ss->cap ? ss->cap * 2 : 4;
		void *more = dk_realloc(st->self, ss->places, ss->cap * sizeof(*ss->places), cap * sizeof(*ss->places));

		if (!more)
			return -ENOMEM;
		ss->places = more;
		ss->cap = cap;
	}
	m = dk_alloc(st->self, sizeof(*m) + uid.n);
	if (!m)
		return -ENOMEM;
	spot = spot_for(st, ss, addr);
	if (spot == UINT32_MAX) {
		dk_free(st->self, m, sizeof(*m) + uid.n);
		return -ENOMEM;
	}
	m->token = token;
	m->uid_n = (uint16_t)uid.n;
	memcpy(m->sid, sid, sizeof(m->sid));
	if (uid.n)
		memcpy(m->uid, uid.p, uid.n);
	spot_enter(st, ss, m, spot);
	ss->places[ss->n++] = (struct session_place){ hash_uid(st, uid), m };
	st->member_n++;
	if (!ss->owner)
		ss->owner = m;
	*ret_member = m;
	return 0;
}

bool session_member_remove(struct session_store *st, struct session *ss, struct session_member *m)
{
	bool was_owner = ss->owner == m;
	uint32_t i = 0;

	while (ss->places[i].m != m)
		i++;
	memmove(&ss->places[i], &ss->places[i + 1], (ss->n - i - 1) * sizeof(*ss->places));
	ss->n--;
	st->member_n--;
	spot_leave(ss, m);
	member_free(st, m);
	if (was_owner)
		ss->owner = ss->n ? ss->places[0].m : NULL;
	return was_owner;
}

int session_member_move(struct session_store *st, struct session *ss, struct session_member *m, const struct dk_addr *addr)
{
	uint32_t spot = spot_for(st, ss, addr);

	if (spot == UINT32_MAX)
		return -ENOMEM;
	if (spot == m->spot)
		return 0;
	spot_leave(ss, m);
	spot_enter(st, ss, m, spot);
	return 0;
}
