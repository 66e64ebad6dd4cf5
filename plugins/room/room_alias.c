/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Old ids of rooms: a small hash, and a list in order of time, because all live equally long. What has run out is forgotten by
 * whoever comes next; nothing here has a timer.
 */
#include "room_alias.h"

#include <diarkis/mem.h>

#include <errno.h>

enum { HOPS_MAX = 16 };

struct room_alias {
	struct room_alias *next, *newer;
	struct dk_id52 old, id;
	uint64_t until_ms;
};

static struct room_alias **bucket_of(struct room_aliases *a, const struct dk_id52 *id)
{
	return &a->buckets[dk_hash(a->self, dk_slice_n(id->c, DK_ID52_LEN)) % ROOM_ALIAS_BUCKETS];
}

static struct room_alias **find(struct room_aliases *a, const struct dk_id52 *old)
{
	struct room_alias **at = bucket_of(a, old);

	while (*at && memcmp(&(*at)->old, old, sizeof(*old)) != 0)
		at = &(*at)->next;
	return at;
}

static void forget_oldest(struct room_aliases *a)
{
	struct room_alias *e = a->oldest, **at = find(a, &e->old);

	/* One that was renewed is in no bucket any more. */
	while (*at && *at != e)
		at = &(*at)->next;
	if (*at)
		*at = e->next;
	a->oldest = e->newer;
	if (!a->oldest)
		a->newest = &a->oldest;
	a->n--;
	dk_free(a->self, e, sizeof(*e));
}

static void expire(struct room_aliases *a, uint64_t now_ms)
{
	while (a->oldest && a->oldest->until_ms <= now_ms)
		forget_oldest(a);
}

void room_alias_init(struct room_aliases *a, void *self)
{
	*a = (struct room_aliases){ .self = self };
	a->newest = &a->oldest;
}

void room_alias_fini(struct room_aliases *a)
{
	while (a->oldest)
		forget_oldest(a);
}

int room_alias_put(struct room_aliases *a, const struct dk_id52 *old, const struct dk_id52 *now_called, uint64_t now_ms)
{
	struct room_alias *e, **at;

	expire(a, now_ms);
	if (a->n >= ROOM_ALIASES_MAX)
		forget_oldest(a);
	e = dk_alloc(a->self, sizeof(*e));
	if (!e)
		return -ENOMEM;
	at = find(a, old);
	if (*at)
		*at = (*at)->next;
	*e = (struct room_alias){ .old = *old, .id = *now_called, .until_ms = now_ms + ROOM_ALIAS_MS };
	at = bucket_of(a, old);
	e->next = *at;
	*at = e;
	*a->newest = e;
	a->newest = &e->newer;
	a->n++;
	return 0;
}

bool room_alias_get(struct room_aliases *a, const struct dk_id52 *old, uint64_t now_ms, struct dk_id52 *ret_id)
{
	const struct dk_id52 *id = old;
	unsigned hops = 0;

	if (!a->n)
		return false;
	expire(a, now_ms);
	for (const struct room_alias *e; hops < HOPS_MAX && (e = *find(a, id)); hops++)
		id = &e->id;
	if (!hops)
		return false;
	*ret_id = *id;
	return true;
}
