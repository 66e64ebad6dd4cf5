/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions from the client's side: encoders of requests, made from the rows of the plugin session, and readers of what comes
 * back. */
#include <stdlib.h>

#include <diarkis/client_session.h>
#include <diarkis/session_commands.h>

#include "priv.h"

DK_PACKERS(SESSION_COMMANDS)

static int typed(struct dkc_client *c, uint16_t cmd, uint8_t type, dkc_reply_fn *fn, void *arg)
{
	return dkc_request(c, SESSION_VER, cmd, dk_slice_n(&type, 1), fn, arg);
}

/* A payload of n bytes, the caller's to free. */
static struct dk_writer space(size_t n)
{
	uint8_t *p = malloc(n);

	return dk_writer_on(p, p ? n : 0);
}

static int request(struct dkc_client *c, uint16_t cmd, struct dk_writer *w, dkc_reply_fn *fn, void *arg)
{
	int rc = w->bad ? DKC_TOO_LONG : dkc_request(c, SESSION_VER, cmd, dk_written(w), fn, arg);

	free(w->start);
	return rc;
}

static int say(struct dkc_client *c, uint16_t cmd, struct dk_writer *w)
{
	int rc = w->bad ? DKC_TOO_LONG : dkc_send(c, SESSION_VER, cmd, dk_written(w), DK_RELIABLE);

	free(w->start);
	return rc;
}

static size_t uids_len(const dk_str *uids, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += 4 + uids[i].n;
	return sum;
}

int dkc_session_create(struct dkc_client *c, uint8_t type, uint8_t max_members, uint8_t ttl_s, dkc_reply_fn *fn, void *arg)
{
	struct dk_writer w = space(3);

	session_on_create_pack(&w, type, max_members, ttl_s);
	return request(c, SESSION_CMD_CREATE, &w, fn, arg);
}

int dkc_session_join(struct dkc_client *c, uint8_t type, dk_str session, dkc_reply_fn *fn, void *arg)
{
	struct dk_writer w = space(1 + session.n);

	session_on_join_pack(&w, type, dk_slice_of(session));
	return request(c, SESSION_CMD_JOIN, &w, fn, arg);
}

int dkc_session_leave(struct dkc_client *c, uint8_t type, dkc_reply_fn *fn, void *arg)
{
	return typed(c, SESSION_CMD_LEAVE, type, fn, arg);
}

int dkc_session_invite(struct dkc_client *c, uint8_t type, const dk_str *uids, size_t n, dk_slice message, dkc_reply_fn *fn,
		       void *arg)
{
	size_t len = uids_len(uids, n);
	struct dk_writer w = space(1 + 4 + len + message.n);

	dk_wr_u8(&w, type);
	dk_wr_u32(&w, (uint32_t)len);
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes32(&w, dk_slice_of(uids[i]));
	dk_wr_slice(&w, message);
	return request(c, SESSION_CMD_INVITE, &w, fn, arg);
}

int dkc_session_kick(struct dkc_client *c, uint8_t type, dk_str uid, dkc_reply_fn *fn, void *arg)
{
	struct dk_writer w = space(1 + 2 + uid.n);

	session_on_kick_pack(&w, type, uid);
	return request(c, SESSION_CMD_KICK, &w, fn, arg);
}

int dkc_session_broadcast(struct dkc_client *c, uint8_t type, dk_slice message)
{
	struct dk_writer w = space(1 + message.n);

	session_on_broadcast_pack(&w, type, message);
	return say(c, SESSION_CMD_BROADCAST, &w);
}

int dkc_session_message(struct dkc_client *c, uint8_t type, const dk_str *uids, size_t n, dk_slice message)
{
	struct dk_writer w = space(2 + uids_len(uids, n) + 2 + message.n + 1);

	dk_wr_u16(&w, (uint16_t)n);
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes16(&w, dk_slice_of(uids[i]));
	dk_wr_bytes16(&w, message);
	dk_wr_u8(&w, type);
	w.bad |= n > UINT16_MAX;
	return say(c, SESSION_CMD_MESSAGE, &w);
}

int dkc_session_get_members(struct dkc_client *c, uint8_t type, dkc_reply_fn *fn, void *arg)
{
	return typed(c, SESSION_CMD_MEMBER_IDS, type, fn, arg);
}

int dkc_session_get_count(struct dkc_client *c, uint8_t type, dkc_reply_fn *fn, void *arg)
{
	return typed(c, SESSION_CMD_COUNT, type, fn, arg);
}

int dkc_session_get_info(struct dkc_client *c, uint8_t type, dkc_reply_fn *fn, void *arg)
{
	return typed(c, SESSION_CMD_INFO, type, fn, arg);
}

/* ---- answers ---- */

bool dkc_session_id(const struct dkc_reply *reply, uint8_t *ret_type, dk_str *ret_session)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	uint8_t type = dk_rd_u8(&c);

	if (!dkc_ok(reply) || c.bad || !dk_rd_left(&c))
		return false;
	*ret_type = type;
	*ret_session = dk_str_of(dk_rd_rest(&c));
	return true;
}

bool dkc_session_members(const struct dkc_reply *reply, dk_slice *ret_uids)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);

	dk_rd_u8(&c);
	if (!dkc_ok(reply) || c.bad)
		return false;
	*ret_uids = dk_rd_rest(&c);
	return true;
}

bool dkc_session_uid(dk_slice *uids, dk_str *ret_uid)
{
	struct dk_cursor c = dk_cursor_of(*uids);
	dk_slice uid = dk_rd_bytes32(&c);

	if (c.bad)
		return false;
	*uids = dk_rd_rest(&c);
	*ret_uid = dk_str_of(uid);
	return true;
}

bool dkc_session_count(const struct dkc_reply *reply, uint16_t *ret_members, uint16_t *ret_max)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	uint16_t members, max;

	dk_rd_u8(&c);
	members = dk_rd_u16(&c);
	max = dk_rd_u16(&c);
	if (!dkc_ok(reply) || !dk_rd_done(&c))
		return false;
	*ret_members = members;
	*ret_max = max;
	return true;
}

bool dkc_session_info(const struct dkc_reply *reply, struct dkc_session_info *ret_info)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	struct dkc_session_info info = { .type = dk_rd_u8(&c) };

	info.session = dk_str_of(dk_rd_bytes16(&c));
	info.members = dk_rd_u16(&c);
	info.max_members = dk_rd_u16(&c);
	info.uids = dk_rd_bytes16(&c);
	info.owner = dk_str_of(dk_rd_rest(&c));
	if (!dkc_ok(reply) || c.bad)
		return false;
	*ret_info = info;
	return true;
}

/* ---- events ---- */

static bool read_event(struct dkc_session_event *e, uint16_t cmd, struct dk_cursor *c)
{
	switch (cmd) {
	case SESSION_CMD_INVITE:
		e->kind = DKC_SESSION_INVITED;
		e->type = dk_rd_u8(c);
		e->session = dk_str_of(dk_rd_bytes8(c));
		e->message = dk_rd_rest(c);
		return true;
	case SESSION_CMD_BROADCAST:
	case SESSION_CMD_MESSAGE:
		e->kind = cmd == SESSION_CMD_MESSAGE ? DKC_SESSION_MESSAGE : DKC_SESSION_BROADCAST;
		e->message = dk_rd_rest(c);
		return true;
	case SESSION_CMD_JOIN:
	case SESSION_CMD_LEAVE:
		e->kind = cmd == SESSION_CMD_JOIN ? DKC_SESSION_MEMBER_JOINED : DKC_SESSION_MEMBER_LEFT;
		e->owner = dk_str_of(dk_rd_bytes16(c));
		e->reason = cmd == SESSION_CMD_LEAVE ? dk_rd_u8(c) : 0;
		e->session = dk_str_of(dk_rd_bytes16(c));
		e->type = dk_rd_u8(c);
		e->uid = dk_str_of(dk_rd_bytes16(c));
		return true;
	case SESSION_CMD_KICK:
	case SESSION_CMD_ENDED:
		e->kind = cmd == SESSION_CMD_KICK ? DKC_SESSION_KICKED : DKC_SESSION_ENDED;
		e->reason = cmd == SESSION_CMD_ENDED ? dk_rd_u8(c) : 3;
		e->session = dk_str_of(dk_rd_bytes16(c));
		e->type = dk_rd_u8(c);
		return true;
	default:
		return false;
	}
}

enum dkc_session_kind dkc_session_event(const struct dkc_event *event, struct dkc_session_event *ret_event)
{
	struct dk_cursor c = dk_cursor_of(event->payload);
	struct dkc_session_event e = { .kind = DKC_SESSION_NONE };

	if (event->kind != DKC_PUSH || event->ver != SESSION_VER || !read_event(&e, event->cmd, &c) || c.bad)
		return DKC_SESSION_NONE;
	*ret_event = e;
	return e.kind;
}
