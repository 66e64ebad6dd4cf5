/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms from the client's side: encoders of requests, readers of answers and events. Requests are encoded by the very rows that the
 * room plugin decodes them by; what the client knows of its room is seat.c's.
 */
#include <stdlib.h>

#include <diarkis/client_room.h>
#include <diarkis/room_commands.h>

#include "room_priv.h"

dk_str client_room_text(const struct dkc_client *c, const struct dk_id52 *room)
{
	return dk_str_n(client_seat_id(c, room)->c, DK_ID52_LEN);
}

struct dk_writer client_space_for(struct client_space *s, size_t n)
{
	s->heap = n > sizeof(s->small) ? malloc(n) : NULL;
	if (n > sizeof(s->small) && !s->heap)
		n = 0;
	return dk_writer_on(s->heap ? s->heap : s->small, n);
}

int client_room_request(struct dkc_client *c, uint16_t cmd, struct client_space *s, const struct dk_writer *w, dkc_reply_fn *fn,
			void *arg)
{
	int rc = w->bad ? DKC_TOO_LONG : dkc_request(c, ROOM_VER, cmd, dk_written(w), fn, arg);

	free(s->heap);
	return rc;
}

int client_room_say(struct dkc_client *c, uint16_t cmd, struct client_space *s, const struct dk_writer *w, bool reliable)
{
	int rc = w->bad ? DKC_TOO_LONG : dkc_send(c, ROOM_VER, cmd, dk_written(w), reliable ? DK_RELIABLE : DK_UNRELIABLE);

	free(s->heap);
	return rc;
}

struct dk_list client_list_of(const dk_str *uids, size_t n)
{
	struct dk_list none = { { NULL, 0 }, 0 }, l = { { NULL, 0 }, (uint16_t)n };
	size_t len = 0;
	struct dk_writer w;
	uint8_t *p;

	for (size_t i = 0; i < n; i++)
		len += 2 + uids[i].n;
	p = malloc(len ? len : 1);
	w = dk_writer_on(p, p ? len : 0);
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes16(&w, dk_slice_of(uids[i]));
	l.bytes = dk_slice_n(p, len);
	if (w.bad || n > UINT16_MAX || !p) {
		free(p);
		return none;
	}
	return l;
}

void client_list_free(struct dk_list *l)
{
	free((void *)(uintptr_t)l->bytes.p);
}

int dkc_room_create(struct dkc_client *c, const struct dkc_room_opts *opts, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 12);

	room_on_create_pack(&w, opts->max_members, opts->allow_empty, opts->join, opts->ttl_s, 0, opts->interval_ms);
	return client_room_request(c, ROOM_CMD_CREATE, &s, &w, fn, arg);
}

int dkc_room_join(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, DK_ID52_LEN + message.n);

	room_on_join_pack(&w, client_seat_id(c, room), message);
	return client_room_request(c, ROOM_CMD_JOIN, &s, &w, fn, arg);
}

int dkc_room_leave(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, DK_ID52_LEN + message.n);

	room_on_leave_pack(&w, client_seat_id(c, room), message);
	return client_room_request(c, ROOM_CMD_LEAVE, &s, &w, fn, arg);
}

static void on_left(void *arg, struct dkc_client *c, const struct dkc_reply *reply)
{
	(void)arg; /* whatever came of it: the join says the rest */
	(void)c;
	(void)reply;
}

int dkc_room_change(struct dkc_client *c, const struct dk_id52 *room, dk_slice leave_message, dk_slice message, dkc_reply_fn *fn,
		    void *arg)
{
	struct dk_id52 now;
	int rc = dkc_room_current(c, &now) ? dkc_room_leave(c, &now, leave_message, on_left, NULL) : 0;

	return rc ? rc : dkc_room_join(c, room, message, fn, arg);
}

int dkc_room_broadcast(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, bool reliable)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 1 + DK_ID52_LEN + message.n);

	room_on_broadcast_pack(&w, reliable, client_seat_id(c, room), message);
	return client_room_say(c, ROOM_CMD_BROADCAST, &s, &w, reliable);
}

int dkc_room_message(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dk_slice message,
		     bool reliable)
{
	struct dk_list list = client_list_of(uids, n);
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + list.bytes.n + 2 + message.n + 1 + CLIENT_ROOM_TEXT);
	int rc;

	room_on_message_pack(&w, list, message, reliable, client_room_text(c, room));
	w.bad |= !list.bytes.p;
	rc = client_room_say(c, ROOM_CMD_MESSAGE, &s, &w, reliable);
	client_list_free(&list);
	return rc;
}

int dkc_room_get_owner(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, CLIENT_ROOM_TEXT);

	room_on_owner_id_pack(&w, client_room_text(c, room));
	return client_room_request(c, ROOM_CMD_OWNER_ID, &s, &w, fn, arg);
}

int dkc_room_get_members(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, CLIENT_ROOM_TEXT);

	room_on_member_ids_pack(&w, client_room_text(c, room));
	return client_room_request(c, ROOM_CMD_MEMBER_IDS, &s, &w, fn, arg);
}

int dkc_room_get_count(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, CLIENT_ROOM_TEXT);

	room_on_count_members_pack(&w, client_room_text(c, room));
	return client_room_request(c, ROOM_CMD_COUNT_MEMBERS, &s, &w, fn, arg);
}

/* Reserve and cancel have one layout. */
static int with_uids(struct dkc_client *c, uint16_t cmd, const struct dk_id52 *room, const dk_str *uids, size_t n, dkc_reply_fn *fn,
		     void *arg)
{
	struct dk_list list = client_list_of(uids, n);
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + list.bytes.n + CLIENT_ROOM_TEXT);
	int rc;

	if (cmd == ROOM_CMD_RESERVE)
		room_on_reserve_pack(&w, list, client_room_text(c, room));
	else
		room_on_cancel_reserve_pack(&w, list, client_room_text(c, room));
	w.bad |= !list.bytes.p;
	rc = client_room_request(c, cmd, &s, &w, fn, arg);
	client_list_free(&list);
	return rc;
}

int dkc_room_reserve(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dkc_reply_fn *fn, void *arg)
{
	return with_uids(c, ROOM_CMD_RESERVE, room, uids, n, fn, arg);
}

int dkc_room_cancel(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dkc_reply_fn *fn, void *arg)
{
	return with_uids(c, ROOM_CMD_CANCEL_RESERVE, room, uids, n, fn, arg);
}

int dkc_room_migrate(struct dkc_client *c, dkc_reply_fn *fn, void *arg)
{
	dk_slice nothing = { NULL, 0 };

	return dkc_request(c, ROOM_VER, ROOM_CMD_MIGRATE, nothing, fn, arg);
}

/* ---- answers ---- */

bool dkc_room_id(dk_str text, struct dk_id52 *ret_room)
{
	if (text.n != DK_ID52_LEN)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')))
			return false;
	}
	memcpy(ret_room->c, text.p, DK_ID52_LEN);
	return true;
}

bool dkc_room_joined(const struct dkc_reply *reply, struct dk_id52 *ret_room, uint32_t *ret_created_s)
{
	bool puffer = reply->cmd == ROOM_CMD_PUFFER_CREATE || reply->cmd == ROOM_CMD_PUFFER_JOIN;
	struct dk_cursor c = dk_cursor_of(reply->payload);
	uint32_t created = dk_rd_u32(&c);
	dk_str id = dk_str_of(puffer ? dk_rd_bytes16(&c) : dk_rd_slice(&c, DK_ID52_LEN));

	if (!dkc_ok(reply) || c.bad || !dkc_room_id(id, ret_room))
		return false;
	*ret_created_s = created;
	return true;
}

bool dkc_room_owner(const struct dkc_reply *reply, dk_str *ret_uid)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	dk_slice uid = dk_rd_bytes16(&c);

	if (!dkc_ok(reply) || c.bad)
		return false;
	*ret_uid = dk_str_of(uid);
	return true;
}

bool dkc_room_count(const struct dkc_reply *reply, uint16_t *ret_members, uint16_t *ret_max)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	uint16_t members = dk_rd_u16(&c), max = dk_rd_u16(&c);

	dk_rd_bytes16(&c); /* the room */
	if (!dkc_ok(reply) || c.bad)
		return false;
	*ret_members = members;
	*ret_max = max;
	return true;
}

bool dkc_room_members(const struct dkc_reply *reply, struct dk_list *ret_uids, dk_str *ret_owner)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	struct dk_list l = { { NULL, 0 }, dk_rd_u16(&c) };
	const uint8_t *start = c.p;
	dk_slice owner;

	for (uint16_t i = 0; i < l.n && !c.bad; i++)
		dk_rd_bytes16(&c);
	l.bytes = dk_slice_n(start, (size_t)(c.p - start));
	owner = dk_rd_bytes16(&c);
	if (!dkc_ok(reply) || c.bad)
		return false;
	*ret_uids = l;
	*ret_owner = dk_str_of(owner);
	return true;
}

/* ---- events ---- */

enum dkc_room_kind dkc_room_event(const struct dkc_event *event)
{
	if (event->kind != DKC_PUSH || event->ver != ROOM_VER)
		return DKC_ROOM_NONE;
	switch (event->cmd) {
	case ROOM_CMD_JOIN:
		return DKC_ROOM_MEMBER_JOINED;
	case ROOM_CMD_LEAVE:
		return DKC_ROOM_MEMBER_LEFT;
	case ROOM_CMD_BROADCAST:
		return DKC_ROOM_BROADCAST;
	case ROOM_CMD_MESSAGE:
		return DKC_ROOM_MESSAGE;
	case ROOM_CMD_CHAT:
		return DKC_ROOM_CHAT;
	case ROOM_CMD_RELAY:
	case ROOM_CMD_RELAY_TO:
		return DKC_ROOM_RELAY;
	case ROOM_CMD_RELAY_PROFILE:
	case ROOM_CMD_RELAY_TO_PROFILE:
		return DKC_ROOM_RELAY_PROFILE;
	case ROOM_CMD_OWNER_CHANGED:
		return DKC_ROOM_OWNER_CHANGED;
	case ROOM_CMD_MIGRATED:
		return DKC_ROOM_MIGRATED;
	default:
		return DKC_ROOM_NONE;
	}
}

bool dkc_room_new_owner(const struct dkc_event *event, dk_str *ret_uid)
{
	struct dk_cursor c = dk_cursor_of(event->payload);
	dk_slice owner = dk_rd_bytes16(&c);

	if (dkc_room_event(event) != DKC_ROOM_OWNER_CHANGED || c.bad)
		return false;
	*ret_uid = dk_str_of(owner);
	return true;
}

bool dkc_room_new_id(const struct dkc_event *event, struct dk_id52 *ret_room)
{
	struct dk_cursor c = dk_cursor_of(event->payload);
	dk_str id;

	dk_rd_bytes16(&c); /* as it was called before */
	id = dk_str_of(dk_rd_bytes16(&c));
	return dkc_room_event(event) == DKC_ROOM_MIGRATED && !c.bad && dkc_room_id(id, ret_room);
}
