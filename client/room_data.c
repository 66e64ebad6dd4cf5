/* SPDX-License-Identifier: Apache-2.0 */
/* Properties, states and objects of a room from the client's side: requests by the rows of the plugin, readers of what comes. */
#include <stdlib.h>

#include <diarkis/client_room_data.h>
#include <diarkis/packet.h>

#include "room_priv.h"

DK_PACKERS(ROOM_DATA_COMMANDS)

/* ---- properties ---- */

/* Names or values as a list in wire form; NULL bytes: too many, too long, or no memory. */
static struct dk_list list_of_props(const struct dkc_room_prop *props, size_t n, bool values)
{
	struct dk_list none = { { NULL, 0 }, 0 }, l = none;
	dk_str *texts = calloc(n ? n : 1, sizeof(*texts));

	if (!texts)
		return none;
	for (size_t i = 0; i < n; i++)
		texts[i] = values ? dk_str_of(props[i].value) : props[i].name;
	l = client_list_of(texts, n);
	free(texts);
	return l;
}

int dkc_room_update_props(struct dkc_client *c, const struct dk_id52 *room, const struct dkc_room_prop *props, size_t n, bool sync,
			  dkc_reply_fn *fn, void *arg)
{
	struct dk_list names = list_of_props(props, n, false), values = list_of_props(props, n, true);
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + names.bytes.n + CLIENT_ROOM_TEXT + 1 + 2 + values.bytes.n);
	int rc;

	room_on_update_props_pack(&w, names, client_room_text(c, room), sync, values);
	w.bad |= !names.bytes.p || !values.bytes.p;
	rc = client_room_request(c, ROOM_CMD_UPDATE_PROPS, &s, &w, fn, arg);
	client_list_free(&names);
	client_list_free(&values);
	return rc;
}

int dkc_room_get_props(struct dkc_client *c, const struct dk_id52 *room, const dk_str *names, size_t n, dkc_reply_fn *fn, void *arg)
{
	struct dk_list list = client_list_of(names, n);
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + list.bytes.n + CLIENT_ROOM_TEXT);
	int rc;

	room_on_get_props_pack(&w, list, client_room_text(c, room));
	w.bad |= !list.bytes.p;
	rc = client_room_request(c, ROOM_CMD_GET_PROPS, &s, &w, fn, arg);
	client_list_free(&list);
	return rc;
}

int dkc_room_incr_prop(struct dkc_client *c, const struct dk_id52 *room, dk_str name, int64_t delta, bool sync, dkc_reply_fn *fn,
		       void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 8 + 2 + name.n + CLIENT_ROOM_TEXT + 1);

	room_on_incr_prop_pack(&w, delta, name, client_room_text(c, room), sync);
	return client_room_request(c, ROOM_CMD_INCR_PROP, &s, &w, fn, arg);
}

static bool read_props(struct dk_cursor *c, bool room, struct dkc_room_props *ret_list)
{
	struct dkc_room_props l;
	const uint8_t *start;

	l.names.n = dk_rd_u16(c);
	start = c->p;
	for (uint16_t i = 0; i < l.names.n && !c->bad; i++)
		dk_rd_bytes16(c);
	l.names.bytes = dk_slice_n(start, (size_t)(c->p - start));
	if (room)
		dk_rd_bytes16(c);
	l.values.n = dk_rd_u16(c);
	start = c->p;
	for (uint16_t i = 0; i < l.values.n && !c->bad; i++)
		dk_rd_bytes16(c);
	l.values.bytes = dk_slice_n(start, (size_t)(c->p - start));
	if (c->bad || l.names.n != l.values.n)
		return false;
	*ret_list = l;
	return true;
}

bool dkc_room_props(const struct dkc_reply *reply, struct dkc_room_props *ret_list)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);

	return dkc_ok(reply) && read_props(&c, false, ret_list);
}

bool dkc_room_next_prop(struct dkc_room_props *list, struct dkc_room_prop *ret_prop)
{
	dk_str name, value;

	if (!dk_list_next(&list->names, &name) || !dk_list_next(&list->values, &value))
		return false;
	*ret_prop = (struct dkc_room_prop){ name, dk_slice_of(value) };
	return true;
}

bool dkc_room_sum(const struct dkc_reply *reply, int64_t *ret_value)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	int64_t value = (int64_t)dk_rd_u64(&c);

	if (!dkc_ok(reply) || c.bad)
		return false;
	*ret_value = value;
	return true;
}

/* ---- states ---- */

int dkc_room_set_state(struct dkc_client *c, const struct dk_id52 *room, dk_slice key, dk_slice value, bool linked, bool reliable)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + DK_ID52_LEN + 2 + key.n + value.n);

	room_on_state_update_pack(&w, reliable, linked, client_seat_id(c, room), dk_str_of(key), value);
	return client_room_say(c, ROOM_CMD_STATE_UPDATE, &s, &w, reliable);
}

int dkc_room_incr_state(struct dkc_client *c, const struct dk_id52 *room, dk_slice key, int64_t delta, bool linked, bool reliable,
			dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, 2 + DK_ID52_LEN + 2 + key.n + 8);

	room_on_state_incr_pack(&w, reliable, linked, client_seat_id(c, room), dk_str_of(key), delta);
	return client_room_request(c, ROOM_CMD_STATE_INCR, &s, &w, fn, arg);
}

int dkc_room_sync_states(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, DK_ID52_LEN);

	room_on_state_sync_pack(&w, client_seat_id(c, room));
	return client_room_request(c, ROOM_CMD_STATE_SYNC, &s, &w, fn, arg);
}

bool dkc_room_next_state(dk_slice *rest, dk_slice *ret_key, dk_slice *ret_value)
{
	struct dk_cursor c = dk_cursor_of(*rest);
	dk_slice key = dk_rd_bytes8(&c), value = dk_rd_bytes8(&c);

	if (!rest->n || c.bad)
		return false;
	*rest = dk_rd_rest(&c);
	*ret_key = key;
	*ret_value = value;
	return true;
}

bool dkc_room_next_gone(dk_slice *rest, dk_slice *ret_key)
{
	struct dk_cursor c = dk_cursor_of(*rest);
	dk_slice key = dk_rd_bytes32(&c);

	if (!rest->n || c.bad)
		return false;
	*rest = dk_rd_rest(&c);
	*ret_key = key;
	return true;
}

/* ---- objects ---- */

int dkc_room_update_object(struct dkc_client *c, const struct dk_id52 *room, enum dkc_room_object_mode mode, dk_str name,
			   const struct dkc_room_field *fields, size_t n, bool reliable, dkc_reply_fn *fn, void *arg)
{
	struct client_space map_space, s;
	struct dk_writer map, w;
	size_t len = 2;
	int rc;

	for (size_t i = 0; i < n; i++)
		len += 2 + fields[i].name.n + 8;
	map = client_space_for(&map_space, len);
	dk_f64_map_begin(&map, n);
	for (size_t i = 0; i < n; i++)
		dk_f64_map_put(&map, fields[i].name, fields[i].value);
	w = client_space_for(&s, 2 + DK_ID52_LEN + 2 + name.n + len);
	room_on_object_update_pack(&w, (uint8_t)mode, reliable, client_seat_id(c, room), name, dk_written(&map));
	w.bad |= map.bad;
	rc = client_room_request(c, ROOM_CMD_OBJECT_UPDATE, &s, &w, fn, arg);
	free(map_space.heap);
	return rc;
}

int dkc_room_sync_objects(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg)
{
	struct client_space s;
	struct dk_writer w = client_space_for(&s, DK_ID52_LEN);

	room_on_object_sync_pack(&w, client_seat_id(c, room));
	return client_room_request(c, ROOM_CMD_OBJECT_SYNC, &s, &w, fn, arg);
}

/* Checked as a whole, so that a walk cannot fail. */
static bool read_fields(dk_slice map, struct dkc_room_fields *ret_list)
{
	struct dk_cursor c = dk_cursor_of(map);
	struct dkc_room_fields l = { .n = dk_f64_map_open(&c) };
	double value;
	dk_str name;

	l.rest = dk_slice_n(c.p, dk_rd_left(&c));
	for (uint16_t i = 0; i < l.n; i++)
		if (!dk_f64_map_next(&c, &name, &value))
			return false;
	if (!dk_rd_done(&c))
		return false;
	*ret_list = l;
	return true;
}

bool dkc_room_fields(const struct dkc_reply *reply, struct dkc_room_fields *ret_list)
{
	return dkc_ok(reply) && read_fields(reply->payload, ret_list);
}

bool dkc_room_next_field(struct dkc_room_fields *list, struct dkc_room_field *ret_field)
{
	struct dk_cursor c = dk_cursor_of(list->rest);

	if (!list->n || !dk_f64_map_next(&c, &ret_field->name, &ret_field->value))
		return false;
	list->n--;
	list->rest = dk_rd_rest(&c);
	return true;
}

/* ---- events ---- */

enum dkc_room_data dkc_room_data_event(const struct dkc_event *event)
{
	if (event->kind != DKC_PUSH || event->ver != ROOM_VER)
		return DKC_ROOM_NO_DATA;
	switch (event->cmd) {
	case ROOM_CMD_PROPS_SYNC:
		return DKC_ROOM_PROPS;
	case ROOM_CMD_INCR_PROP:
		return DKC_ROOM_COUNTED;
	case ROOM_CMD_STATE_UPDATE:
		return DKC_ROOM_STATES;
	case ROOM_CMD_STATES_REMOVED:
		return DKC_ROOM_STATES_GONE;
	case ROOM_CMD_OBJECT_SYNC:
		return DKC_ROOM_OBJECT;
	default:
		return DKC_ROOM_NO_DATA;
	}
}

bool dkc_room_props_set(const struct dkc_event *event, struct dkc_room_props *ret_list)
{
	struct dk_cursor c = dk_cursor_of(event->payload);

	return dkc_room_data_event(event) == DKC_ROOM_PROPS && read_props(&c, true, ret_list);
}

bool dkc_room_counted(const struct dkc_event *event, dk_str *ret_name, int64_t *ret_value)
{
	struct dk_cursor c = dk_cursor_of(event->payload);
	dk_str name = dk_str_of(dk_rd_bytes16(&c));
	int64_t value;

	dk_rd_bytes16(&c); /* the room */
	value = (int64_t)dk_rd_u64(&c);
	if (dkc_room_data_event(event) != DKC_ROOM_COUNTED || c.bad)
		return false;
	*ret_name = name;
	*ret_value = value;
	return true;
}

bool dkc_room_object(const struct dkc_event *event, enum dkc_room_object_mode *ret_mode, dk_str *ret_name,
		     struct dkc_room_fields *ret_fields)
{
	struct dk_cursor c = dk_cursor_of(event->payload);
	uint8_t mode = dk_rd_u8(&c);
	dk_str name = dk_str_of(dk_rd_bytes16(&c));
	dk_slice map = dk_rd_rest(&c);

	if (dkc_room_data_event(event) != DKC_ROOM_OBJECT || c.bad || !read_fields(map, ret_fields))
		return false;
	*ret_mode = (enum dkc_room_object_mode)mode;
	*ret_name = name;
	return true;
}
