/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms that are found, from the client's side: random joins, and rooms registered under a type. */
#include "room_priv.h"

/* Both ask for the same and are answered alike. */
static int random_of(struct dkc_client *c, uint16_t cmd, const struct dkc_room_opts *o, dk_slice message, dkc_reply_fn *fn,
		     void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 4 + 2 + 2 + message.n + 2);

	room_on_rand_join_pack(&w, o->interval_ms, o->max_members, message, o->ttl_s);
	w.bad |= message.n > UINT16_MAX;
	return client_room_request(c, cmd, &s, &w, fn, arg);
}

int dkc_room_random_join(struct dkc_client *c, const struct dkc_room_opts *opts, dk_slice message, dkc_reply_fn *fn, void *arg)
{
	return random_of(c, ROOM_CMD_RAND_JOIN, opts, message, fn, arg);
}

int dkc_room_random_create(struct dkc_client *c, const struct dkc_room_opts *opts, dkc_reply_fn *fn, void *arg)
{
	return random_of(c, ROOM_CMD_RAND_CREATE, opts, dk_slice_n(NULL, 0), fn, arg);
}

int dkc_room_register(struct dkc_client *c, uint32_t type, dk_str name, dk_str metadata, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + metadata.n + 2 + name.n + 4);

	room_on_register_pack(&w, metadata, name, type);
	w.bad |= metadata.n > UINT16_MAX || name.n > UINT16_MAX;
	return client_room_request(c, ROOM_CMD_REGISTER, &s, &w, fn, arg);
}

int dkc_room_find(struct dkc_client *c, uint32_t type, uint16_t limit, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + 4);

	room_on_find_pack(&w, limit, type);
	return client_room_request(c, ROOM_CMD_FIND, &s, &w, fn, arg);
}

/* ---- answers ---- */

bool dkc_room_random(const struct dkc_reply *reply, struct dk_id52 *ret_room, uint32_t *ret_created_s, bool *ret_joined)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	uint8_t joined = dk_rd_u8(&c);
	uint32_t created = dk_rd_u32(&c);
	dk_str id = dk_str_of(dk_rd_slice(&c, DK_ID52_LEN));

	if (!dkc_ok(reply) || c.bad || !dkc_room_id(id, ret_room))
		return false;
	*ret_created_s = created;
	*ret_joined = joined != 0;
	return true;
}

bool dkc_room_found(const struct dkc_reply *reply, struct dkc_room_list *ret_list)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	struct dkc_room_list l = { .n = dk_rd_u16(&c) };

	l.bytes = dk_rd_rest(&c);
	if (!dkc_ok(reply) || c.bad)
		return false;
	*ret_list = l;
	return true;
}

bool dkc_room_found_next(struct dkc_room_list *list, struct dkc_room_item *ret_item)
{
	struct dk_cursor all = dk_cursor_of(list->bytes), c;
	struct dkc_room_item item;

	if (!list->n)
		return false;
	c = dk_cursor_of(dk_rd_bytes16(&all));
	if (!dkc_room_id(dk_str_of(dk_rd_bytes16(&c)), &item.room))
		c.bad = true;
	item.max_members = dk_rd_u16(&c);
	item.members = dk_rd_u16(&c);
	item.metadata = dk_str_of(dk_rd_bytes16(&c));
	item.name = dk_str_of(dk_rd_bytes16(&c));
	list->bytes = dk_rd_rest(&all);
	list->n--;
	if (all.bad || c.bad) {
		list->n = 0;
		return false;
	}
	*ret_item = item;
	return true;
}
