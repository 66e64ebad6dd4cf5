/* SPDX-License-Identifier: Apache-2.0 */
/* Relays of a room from the client's side: to the others alone, at once, with or without a profile of how long it takes. */
#include "room_priv.h"

int dkc_room_relay(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, bool reliable)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + message.n + 1 + CLIENT_ROOM_TEXT);

	room_on_relay_pack(&w, message, reliable, client_room_text(c, room));
	return client_room_say(c, ROOM_CMD_RELAY, &s, &w, reliable);
}

int dkc_room_relay_to(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dk_slice message,
		      bool reliable)
{
	struct dk_list list = client_list_of(uids, n);
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + list.bytes.n + 2 + message.n + 1 + CLIENT_ROOM_TEXT);
	int rc;

	room_on_relay_to_pack(&w, list, message, reliable, client_room_text(c, room));
	w.bad |= !list.bytes.p;
	rc = client_room_say(c, ROOM_CMD_RELAY_TO, &s, &w, reliable);
	client_list_free(&list);
	return rc;
}

int dkc_room_relay_profile(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, bool reliable, dkc_reply_fn *fn,
			   void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + message.n + 1 + CLIENT_ROOM_TEXT);

	room_on_relay_profile_pack(&w, message, reliable, client_room_text(c, room));
	return client_room_request(c, ROOM_CMD_RELAY_PROFILE, &s, &w, fn, arg);
}

int dkc_room_relay_to_profile(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dk_slice message,
			      bool reliable, dkc_reply_fn *fn, void *arg)
{
	struct dk_list list = client_list_of(uids, n);
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + list.bytes.n + 2 + message.n + 1 + CLIENT_ROOM_TEXT);
	int rc;

	room_on_relay_to_profile_pack(&w, list, message, reliable, client_room_text(c, room));
	w.bad |= !list.bytes.p;
	rc = client_room_request(c, ROOM_CMD_RELAY_TO_PROFILE, &s, &w, fn, arg);
	client_list_free(&list);
	return rc;
}

/* ---- answers and events ---- */

bool dkc_room_profile(const struct dkc_reply *reply, uint32_t *ret_rtt_ms, struct dk_list *ret_receivers)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	uint16_t rtt = dk_rd_u16(&c);
	struct dk_list l = { .n = dk_rd_u16(&c) };

	l.bytes = dk_rd_rest(&c);
	if (!dkc_ok(reply) || c.bad)
		return false;
	*ret_rtt_ms = rtt;
	*ret_receivers = l;
	return true;
}

bool dkc_room_receiver(struct dk_list *receivers, dk_str *ret_uid, uint32_t *ret_ms)
{
	struct dk_cursor c = dk_cursor_of(receivers->bytes), one;
	uint16_t ms;
	dk_str uid;

	if (!receivers->n)
		return false;
	one = dk_cursor_of(dk_rd_bytes16(&c));
	ms = dk_rd_u16(&one);
	uid = dk_str_of(dk_rd_bytes16(&one));
	if (c.bad || one.bad)
		return false;
	receivers->bytes = dk_rd_rest(&c);
	receivers->n--;
	*ret_uid = uid;
	*ret_ms = ms;
	return true;
}

bool dkc_room_relayed(const struct dkc_event *event, dk_str *ret_sender, dk_slice *ret_message, uint32_t *ret_ms)
{
	struct dk_cursor c = dk_cursor_of(event->payload);
	uint16_t ms = dk_rd_u16(&c);
	dk_slice message = dk_rd_bytes16(&c);
	dk_str sender = dk_str_of(dk_rd_bytes16(&c));

	if (dkc_room_event(event) != DKC_ROOM_RELAY_PROFILE || c.bad)
		return false;
	*ret_sender = sender;
	*ret_message = message;
	*ret_ms = ms;
	return true;
}
