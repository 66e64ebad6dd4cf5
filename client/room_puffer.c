/* SPDX-License-Identifier: Apache-2.0 */
/* The second set of room calls, from the client's side: the same four calls as in room.c, in puffer form. */
#include "room_priv.h"

int dkc_room_puffer_create(struct dkc_client *c, const struct dkc_room_opts *opts, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 10);

	room_on_puffer_create_pack(&w, opts->allow_empty, opts->interval_ms, opts->join, opts->max_members, opts->ttl_s);
	return client_room_request(c, ROOM_CMD_PUFFER_CREATE, &s, &w, fn, arg);
}

int dkc_room_puffer_join(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + message.n + CLIENT_ROOM_TEXT);

	room_on_puffer_join_pack(&w, message, client_room_text(c, room));
	return client_room_request(c, ROOM_CMD_PUFFER_JOIN, &s, &w, fn, arg);
}

int dkc_room_puffer_leave(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + message.n + CLIENT_ROOM_TEXT);

	room_on_puffer_leave_pack(&w, message, client_room_text(c, room));
	return client_room_request(c, ROOM_CMD_PUFFER_LEAVE, &s, &w, fn, arg);
}

int dkc_room_puffer_broadcast(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, bool reliable)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + message.n + 1 + CLIENT_ROOM_TEXT);

	room_on_puffer_broadcast_pack(&w, message, reliable, client_room_text(c, room));
	return client_room_say(c, ROOM_CMD_PUFFER_BROADCAST, &s, &w, reliable);
}
