/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept in a room beside its members: seats for those who will come, bytes of other plugins. Everything here moves with
 * the room, and a change of it is told to the room's copies. Properties are room_props.c's.
 */
#include "room_data.h"

#include <errno.h>

/* ---- reservations ---- */

static int reserve_check(struct rooms *s, dk_id room, dk_id by, const dk_str *uids, size_t n, bool must_be_owner,
			 struct room **ret_room)
{
	struct room *r = room_live(s, room);

	if (!r)
		return room_why_not(s, room);
	if (must_be_owner && (!by || r->owner != by))
		return DK_ROOM_NOT_OWNER;
	if (!n || n > DK_ROOM_MEMBERS_MAX)
		return DK_ROOM_BAD_PARAMS;
	for (size_t i = 0; i < n; i++)
		if (!uids[i].n || uids[i].n > DK_UID_MAX)
			return DK_ROOM_BAD_PARAMS;
	*ret_room = r;
	return 0;
}

static int record_seats(struct rooms *s, dk_id room, enum room_log_kind kind, dk_id by, const dk_str *uids, size_t n,
			bool must_be_owner, int rc)
{
	struct room *r = room_any(s, room);

	if (r && r->recorded)
		room_record(s, r,
			    &(struct room_log_event){ .kind = kind,
						      .uid = s->user->uid(s->user, by),
						      .uids = room_record_uids(s, uids, n),
						      .how = must_be_owner,
						      .outcome = rc });
	return rc;
}

static int svc_reserve(struct dk_room *svc, dk_id room, dk_id by, const dk_str *uids, size_t n, bool must_be_owner)
{
	struct rooms *s = rooms_of(svc);
	struct room *r;
	dk_str *absent;
	size_t absent_n = 0;
	int rc = reserve_check(s, room, by, uids, n, must_be_owner, &r);

	if (rc)
		return record_seats(s, room, ROOM_LOG_RESERVE, by, uids, n, must_be_owner, rc);
	absent = dk_scratch(s, n * sizeof(*absent));
	if (!absent)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (room_store_of(&s->store, s->user->by_uid(s->user, uids[i])) != room)
			absent[absent_n++] = uids[i];
	rc = room_store_reserve(&s->store, r, absent, absent_n);
	if (rc == 0)
		room_touched(s, r);
	return record_seats(s, room, ROOM_LOG_RESERVE, by, uids, n, must_be_owner, rc);
}

static int svc_cancel_reservation(struct dk_room *svc, dk_id room, dk_id by, const dk_str *uids, size_t n, bool must_be_owner)
{
	struct rooms *s = rooms_of(svc);
	struct room *r;
	int rc = reserve_check(s, room, by, uids, n, must_be_owner, &r);

	if (rc == 0)
		rc = room_store_cancel(&s->store, r, uids, n);
	if (rc == 0)
		room_touched(s, r);
	return record_seats(s, room, ROOM_LOG_CANCEL, by, uids, n, must_be_owner, rc);
}

int room_cancel(struct rooms *s, dk_id room, dk_slice list)
{
	struct dk_cursor c = dk_cursor_of(list);
	dk_str *uids = dk_scratch(s, list.n / 2 * sizeof(*uids) + 1); /* each takes two bytes at least */
	size_t n = 0;

	if (!uids)
		return -ENOMEM;
	while (dk_rd_left(&c) && !c.bad)
		uids[n++] = dk_str_of(dk_rd_bytes16(&c));
	return c.bad ? DK_ROOM_BAD_PARAMS : svc_cancel_reservation(&s->svc, room, 0, uids, n, false);
}

static bool svc_is_reserved(struct dk_room *svc, dk_id room, dk_str uid)
{
	const struct room *r = room_any(rooms_of(svc), room);

	return r && room_store_is_reserved(r, uid);
}

/* ---- what other plugins keep ---- */

const void *room_attached(const struct rooms *s, const struct room *r, const void *self)
{
	for (uint16_t i = 0; i < r->attached_n; i++)
		if (s->attachments[i].self == self)
			return r->attached[i];
	return NULL;
}

static void *svc_attachment(struct dk_room *svc, void *self, dk_id room, size_t size)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_any(s, room);
	uint16_t i = 0;

	if (!r || !size)
		return NULL;
	while (i < s->attachment_n && s->attachments[i].self != self)
		i++;
	if (i == s->attachment_n) {
		if (i == ROOM_ATTACHMENTS_MAX)
			return NULL;
		s->attachments[s->attachment_n++] = (struct room_attachment){ self, size };
	}
	if (size > s->attachments[i].size)
		return NULL;
	if (i >= r->attached_n) {
		void **p = dk_realloc(s, r->attached, r->attached_n * sizeof(*p), (i + 1u) * sizeof(*p));

		if (!p)
			return NULL;
		r->attached = p;
		r->attached_n = (uint16_t)(i + 1);
	}
	if (!r->attached[i])
		r->attached[i] = dk_alloc(s, s->attachments[i].size);
	return r->attached[i];
}

static void svc_touch(struct dk_room *svc, dk_id room)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);

	if (r)
		room_touched(s, r);
}

void room_strip(struct rooms *s, struct room *r)
{
	room_copies_stop(s, r, false);
	room_unlist(s, r);
	room_relay_drop(s, r);
	room_sync_free(s, r);
	room_objects_free(s, r);
	room_move_free(s, r);
	dk_timer_stop(&r->ttl);
	room_chat_free(s, r);
	for (uint16_t i = 0; i < r->attached_n; i++)
		dk_free(s, r->attached[i], s->attachments[i].size);
	dk_free(s, r->attached, r->attached_n * sizeof(*r->attached));
	r->attached = NULL;
	r->attached_n = 0;
}

void room_keep_init(struct rooms *s)
{
	struct dk_room *svc = &s->svc;

	svc->reserve = svc_reserve;
	svc->cancel_reservation = svc_cancel_reservation;
	svc->is_reserved = svc_is_reserved;
	svc->attachment = svc_attachment;
	svc->touch = svc_touch;
}
