/* SPDX-License-Identifier: Apache-2.0 */
/* What can be seen of a room: the functions of the service that change nothing. A room that is frozen or ends can be looked at. */
#include "room_state.h"

static dk_id svc_find(struct dk_room *svc, const struct dk_id52 *id)
{
	struct rooms *s = rooms_of(svc);
	const struct room *r = room_store_find(&s->store, id);
	struct dk_id52 now_called;

	if (!r && room_alias_get(&s->aliases, id, dk_now(s), &now_called))
		r = room_store_find(&s->store, &now_called);
	return r && r->phase <= ROOM_FROZEN ? r->handle : 0;
}

static dk_id svc_of_user(struct dk_room *svc, dk_id user)
{
	return room_store_of(&rooms_of(svc)->store, user);
}

static int svc_info(struct dk_room *svc, dk_id room, struct dk_room_info *ret_info)
{
	struct rooms *s = rooms_of(svc);
	const struct room *r = room_any(s, room);

	if (!r)
		return DK_ROOM_GONE;
	*ret_info = (struct dk_room_info){
		.id = r->id,
		/* the creator of a room that nobody has joined may be gone */
		.owner = s->user->exists(s->user, r->owner) ? r->owner : 0,
		.created_s = r->created_s,
		.members = r->member_n,
		.max_members = r->max,
		.reserved = r->reserved_n,
		.ttl_s = r->ttl_s,
		.interval_ms = r->interval_ms,
		.allow_empty = r->allow_empty,
	};
	return 0;
}

static bool svc_is_member(struct dk_room *svc, dk_id room, dk_id user)
{
	return room && room_store_of(&rooms_of(svc)->store, user) == room;
}

static const dk_id *svc_members(struct dk_room *svc, dk_id room, size_t *ret_n)
{
	const struct room *r = room_any(rooms_of(svc), room);

	*ret_n = r ? r->member_n : 0;
	return r ? r->members : NULL;
}

static dk_id svc_member(struct dk_room *svc, dk_id room, dk_str uid)
{
	struct rooms *s = rooms_of(svc);
	dk_id user = s->user->by_uid(s->user, uid);

	return user && room && room_store_of(&s->store, user) == room ? user : 0;
}

static bool svc_is_full(struct dk_room *svc, dk_id room)
{
	const struct room *r = room_any(rooms_of(svc), room);

	return r && r->member_n + r->reserved_n >= r->max;
}

static size_t svc_count(struct dk_room *svc)
{
	return rooms_of(svc)->store.table.used;
}

static dk_id svc_next(struct dk_room *svc, uint32_t *slot)
{
	const struct room *r;
	dk_id room = 0;

	do
		r = dk_table_next(&rooms_of(svc)->store.table, slot, &room);
	while (r && r->phase == ROOM_LANDING);
	return r ? room : 0;
}

static size_t svc_nodes(struct dk_room *svc, const struct dk_id52 *id, struct dk_addr ret_nodes[3])
{
	size_t n = 0;

	(void)svc;
	for (unsigned slot = 0; slot < 3; slot++)
		if (dk_id52_addr(id, slot, &ret_nodes[n]) == 0)
			n++;
	return n;
}

void room_look_init(struct rooms *s)
{
	struct dk_room *svc = &s->svc;

	svc->find = svc_find;
	svc->of_user = svc_of_user;
	svc->info = svc_info;
	svc->is_member = svc_is_member;
	svc->members = svc_members;
	svc->member = svc_member;
	svc->is_full = svc_is_full;
	svc->count = svc_count;
	svc->next = svc_next;
	svc->nodes = svc_nodes;
}
