/* SPDX-License-Identifier: Apache-2.0 */
/* Chat of a room from the client's side. */
#include "room_priv.h"

int dkc_room_chat(struct dkc_client *c, const struct dk_id52 *room, dk_str text, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + text.n + CLIENT_ROOM_TEXT);

	room_on_chat_pack(&w, text, client_room_text(c, room));
	return client_room_request(c, ROOM_CMD_CHAT, &s, &w, fn, arg);
}

int dkc_room_get_chat(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, CLIENT_ROOM_TEXT);

	room_on_chat_log_pack(&w, client_room_text(c, room));
	return client_room_request(c, ROOM_CMD_CHAT_LOG, &s, &w, fn, arg);
}

static bool read_line(dk_slice bytes, struct dkc_room_chat_line *ret_line)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct dkc_room_chat_line line;

	line.text = dk_str_of(dk_rd_bytes16(&c));
	line.sender = dk_str_of(dk_rd_bytes16(&c));
	line.at_ms = dk_rd_u64(&c);
	if (c.bad)
		return false;
	*ret_line = line;
	return true;
}

bool dkc_room_chat_lines(const struct dkc_reply *reply, struct dk_list *ret_lines)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	struct dk_list l = { .n = dk_rd_u16(&c) };

	l.bytes = dk_rd_rest(&c);
	if (!dkc_ok(reply) || c.bad)
		return false;
	*ret_lines = l;
	return true;
}

bool dkc_room_chat_next(struct dk_list *lines, struct dkc_room_chat_line *ret_line)
{
	struct dk_list rest = *lines;
	dk_str line;

	if (!dk_list_next(&rest, &line) || !read_line(dk_slice_of(line), ret_line))
		return false;
	*lines = rest;
	return true;
}

bool dkc_room_said(const struct dkc_event *event, struct dkc_room_chat_line *ret_line)
{
	return dkc_room_event(event) == DKC_ROOM_CHAT && read_line(event->payload, ret_line);
}
