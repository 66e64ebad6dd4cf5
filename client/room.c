/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms from the client's side: encoders of requests, readers of answers and events. Layouts are those of the room plugin's
 * commands; nothing here keeps state.
 */
#include <errno.h>
#include <stdlib.h>

#include <diarkis/client_room.h>
#include <diarkis/cursor.h>

#define VER 1
enum { CREATE = 100, JOIN = 101, LEAVE = 102, BROADCAST = 103, MESSAGE = 104, GET_OWNER = 109, GET_MEMBERS = 11, GET_COUNT = 13,
       OWNER_CHANGED = 14, RESERVE = 117, CANCEL = 118 };

#define STACK_MAX 2048 /* larger payloads are put together on the heap */

static void put_id(struct dk_writer *w, const struct dk_id52 *id)
{
	dk_wr_slice(w, dk_slice_n(id->c, DK_ID52_LEN));
}

static void put_uids(struct dk_writer *w, const dk_str *uids, size_t n)
{
	dk_wr_u16(w, (uint16_t)n);
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes16(w, dk_slice_of(uids[i]));
}

static size_t uids_len(const dk_str *uids, size_t n)
{
	size_t sum = 2;

	for (size_t i = 0; i < n; i++)
		sum += 2 + uids[i].n;
	return n > UINT16_MAX ? SIZE_MAX / 2 : sum;
}

/* A payload of n bytes: on the stack of the caller when it is short. */
struct space {
	uint8_t small[STACK_MAX];
	uint8_t *heap;
};

static struct dk_writer space_for(struct space *s, size_t n)
{
	s->heap = n > sizeof(s->small) ? malloc(n) : NULL;
	if (n > sizeof(s->small) && !s->heap)
		n = 0;
	return dk_writer_on(s->heap ? s->heap : s->small, n);
}

static int request(struct dkc_client *c, uint16_t cmd, struct space *s, const struct dk_writer *w, dkc_reply_fn *fn, void *arg)
{
	int rc = w->bad ? DKC_TOO_LONG : dkc_request(c, VER, cmd, dk_written(w), fn, arg);

	free(s->heap);
	return rc;
}

static int say(struct dkc_client *c, uint16_t cmd, struct space *s, const struct dk_writer *w, bool reliable)
{
	int rc = w->bad ? DKC_TOO_LONG : dkc_send(c, VER, cmd, dk_written(w), reliable ? DK_RELIABLE : DK_UNRELIABLE);

	free(s->heap);
	return rc;
}

int dkc_room_create(struct dkc_client *c, const struct dkc_room_opts *opts, dkc_reply_fn *fn, void *arg)
{
	struct space s;
	struct dk_writer w = space_for(&s, 12);

	dk_wr_u16(&w, opts->max_members);
	dk_wr_u8(&w, opts->allow_empty);
	dk_wr_u8(&w, opts->join);
	dk_wr_u16(&w, opts->ttl_s);
	dk_wr_u16(&w, 0); /* has no meaning */
	dk_wr_u32(&w, opts->interval_ms);
	return request(c, CREATE, &s, &w, fn, arg);
}

static int with_message(struct dkc_client *c, uint16_t cmd, const struct dk_id52 *room, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	struct space s;
	struct dk_writer w = space_for(&s, DK_ID52_LEN + message.n);

	put_id(&w, room);
	dk_wr_slice(&w, message);
	return request(c, cmd, &s, &w, fn, arg);
}

int dkc_room_join(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	return with_message(c, JOIN, room, message, fn, arg);
}

int dkc_room_leave(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	return with_message(c, LEAVE, room, message, fn, arg);
}

int dkc_room_broadcast(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, bool reliable)
{
	struct space s;
	struct dk_writer w = space_for(&s, 1 + DK_ID52_LEN + message.n);

	dk_wr_u8(&w, reliable);
	put_id(&w, room);
	dk_wr_slice(&w, message);
	return say(c, BROADCAST, &s, &w, reliable);
}

int dkc_room_message(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dk_slice message, bool reliable)
{
	struct space s;
	struct dk_writer w = space_for(&s, 1 + DK_ID52_LEN + uids_len(uids, n) + message.n);

	dk_wr_u8(&w, reliable);
	put_id(&w, room);
	put_uids(&w, uids, n);
	dk_wr_slice(&w, message);
	return say(c, MESSAGE, &s, &w, reliable);
}

int dkc_room_get_owner(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg)
{
	return with_message(c, GET_OWNER, room, dk_slice_n(NULL, 0), fn, arg);
}

int dkc_room_get_members(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg)
{
	return with_message(c, GET_MEMBERS, room, dk_slice_n(NULL, 0), fn, arg);
}

int dkc_room_get_count(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg)
{
	return with_message(c, GET_COUNT, room, dk_slice_n(NULL, 0), fn, arg);
}

static int with_uids(struct dkc_client *c, uint16_t cmd, const struct dk_id52 *room, const dk_str *uids, size_t n, dkc_reply_fn *fn,
		     void *arg)
{
	struct space s;
	struct dk_writer w = space_for(&s, DK_ID52_LEN + uids_len(uids, n));

	put_id(&w, room);
	put_uids(&w, uids, n);
	return request(c, cmd, &s, &w, fn, arg);
}

int dkc_room_reserve(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dkc_reply_fn *fn, void *arg)
{
	return with_uids(c, RESERVE, room, uids, n, fn, arg);
}

int dkc_room_cancel(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dkc_reply_fn *fn, void *arg)
{
	return with_uids(c, CANCEL, room, uids, n, fn, arg);
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
	struct dk_cursor c = dk_cursor_of(reply->payload);
	uint32_t created = dk_rd_u32(&c);
	dk_str id = dk_str_of(dk_rd_slice(&c, DK_ID52_LEN));

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
	uint16_t members, max;

	dk_rd_slice(&c, DK_ID52_LEN);
	members = dk_rd_u16(&c);
	max = dk_rd_u16(&c);
	if (!dkc_ok(reply) || c.bad)
		return false;
	*ret_members = members;
	*ret_max = max;
	return true;
}

bool dkc_room_member(const struct dkc_reply *reply, size_t *at, dk_str *ret_uid, dk_str *ret_owner)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	dk_slice owner = dk_rd_bytes16(&c), uid = { NULL, 0 };
	uint16_t n = dk_rd_u16(&c);

	if (!dkc_ok(reply) || *at >= n)
		return false;
	for (size_t i = 0; i <= *at; i++)
		uid = dk_rd_bytes16(&c);
	if (c.bad)
		return false;
	(*at)++;
	*ret_uid = dk_str_of(uid);
	*ret_owner = dk_str_of(owner);
	return true;
}

/* ---- events ---- */

enum dkc_room_kind dkc_room_event(const struct dkc_event *event)
{
	if (event->kind != DKC_PUSH || event->ver != VER)
		return DKC_ROOM_NONE;
	switch (event->cmd) {
	case JOIN:
		return DKC_ROOM_MEMBER_JOINED;
	case LEAVE:
		return DKC_ROOM_MEMBER_LEFT;
	case BROADCAST:
		return DKC_ROOM_BROADCAST;
	case MESSAGE:
		return DKC_ROOM_MESSAGE;
	case OWNER_CHANGED:
		return DKC_ROOM_OWNER_CHANGED;
	default:
		return DKC_ROOM_NONE;
	}
}
