/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept in a room, from the client's side: properties (bytes by name), states (small values that change often, of which only
 * the last one counts), objects (numbers by name, to which several may add at once). Calls are for members, take any id that the
 * room had, and return what dkc_request() and dkc_send() return.
 */
#ifndef DIARKIS_CLIENT_ROOM_DATA_H
#define DIARKIS_CLIENT_ROOM_DATA_H

#include <diarkis/client_room.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- properties ---- */

struct dkc_room_prop {
	dk_str name; /* 1 to 255 bytes */
	dk_slice value; /* at most 65,535 bytes */
};
/* All of them or none. sync: all members hear of it, DKC_ROOM_PROPS. */
DK_API int dkc_room_update_props(struct dkc_client *c, const struct dk_id52 *room, const struct dkc_room_prop *props, size_t n,
				 bool sync, dkc_reply_fn *fn, void *arg);
/* n 0: all that are bytes. Those that are not there are left out. Answer: dkc_room_props(). */
DK_API int dkc_room_get_props(struct dkc_client *c, const struct dk_id52 *room, const dk_str *names, size_t n, dkc_reply_fn *fn,
			      void *arg);
/* Adds to a whole number, which begins at 0. sync: all members hear of it, DKC_ROOM_COUNTED. Answer: dkc_room_sum(). */
DK_API int dkc_room_incr_prop(struct dkc_client *c, const struct dk_id52 *room, dk_str name, int64_t delta, bool sync,
			      dkc_reply_fn *fn, void *arg);

/* ---- states ---- */

/* key and value: 40 bytes together at most. linked: it goes when this client leaves the room. Answered only when refused. */
DK_API int dkc_room_set_state(struct dkc_client *c, const struct dk_id52 *room, dk_slice key, dk_slice value, bool linked,
			      bool reliable);
/* Adds to a state that is a number of 8 bytes, big-endian. Answer: dkc_room_sum(). */
DK_API int dkc_room_incr_state(struct dkc_client *c, const struct dk_id52 *room, dk_slice key, int64_t delta, bool linked,
			       bool reliable, dkc_reply_fn *fn, void *arg);
/* All states are told once more, to this client. */
DK_API int dkc_room_sync_states(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg);

/* ---- objects ---- */

/* What an update does; in events alone SET and DELETE. */
enum dkc_room_object_mode { DKC_ROOM_OBJECT_INCR = 1, DKC_ROOM_OBJECT_SET = 2, DKC_ROOM_OBJECT_DELETE = 3 };
struct dkc_room_field {
	dk_str name; /* 1 to 64 bytes */
	double value; /* finite; of a deleted one 0 */
};
/* All fields or none; to delete without fields is to delete the object. Answer: dkc_room_fields(), what they are now. */
DK_API int dkc_room_update_object(struct dkc_client *c, const struct dk_id52 *room, enum dkc_room_object_mode mode, dk_str name,
				  const struct dkc_room_field *fields, size_t n, bool reliable, dkc_reply_fn *fn, void *arg);
/* All objects are told once more, to this client. */
DK_API int dkc_room_sync_objects(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg);

/* ---- answers: false when the reply is a refusal or malformed ---- */

/* Walk them while the payload is valid: while (dkc_room_next_prop(&list, &prop)) ... */
struct dkc_room_props {
	struct dk_list names, values;
};
DK_API bool dkc_room_props(const struct dkc_reply *reply, struct dkc_room_props *ret_list);
DK_API bool dkc_room_next_prop(struct dkc_room_props *list, struct dkc_room_prop *ret_prop);
/* of incr_prop and incr_state */
DK_API bool dkc_room_sum(const struct dkc_reply *reply, int64_t *ret_value);
/* A Float64Map that is being walked. */
struct dkc_room_fields {
	dk_slice rest;
	uint16_t n;
};
DK_API bool dkc_room_fields(const struct dkc_reply *reply, struct dkc_room_fields *ret_list);
DK_API bool dkc_room_next_field(struct dkc_room_fields *list, struct dkc_room_field *ret_field);

/* ---- events ---- */

enum dkc_room_data {
	DKC_ROOM_NO_DATA = 0, /* the event is none of these */
	DKC_ROOM_PROPS, /* dkc_room_props_set() */
	DKC_ROOM_COUNTED, /* dkc_room_counted() */
	DKC_ROOM_STATES, /* of rooms whose states have no commands of their own: dkc_room_next_state() on the payload */
	DKC_ROOM_STATES_GONE, /* likewise: dkc_room_next_gone() */
	DKC_ROOM_OBJECT /* dkc_room_object() */
};
DK_API enum dkc_room_data dkc_room_data_event(const struct dkc_event *event);

/* False when the event is another one, or malformed. */
DK_API bool dkc_room_props_set(const struct dkc_event *event, struct dkc_room_props *ret_list);
DK_API bool dkc_room_counted(const struct dkc_event *event, dk_str *ret_name, int64_t *ret_value);
/* fields: what they are now; of DELETE those that are gone, none = the object is. */
DK_API bool dkc_room_object(const struct dkc_event *event, enum dkc_room_object_mode *ret_mode, dk_str *ret_name,
			    struct dkc_room_fields *ret_fields);
/* The payload of a push of states, whatever its command: *rest shrinks; false at the end, or where it is malformed: then *rest is
 * not empty. */
DK_API bool dkc_room_next_state(dk_slice *rest, dk_slice *ret_key, dk_slice *ret_value);
DK_API bool dkc_room_next_gone(dk_slice *rest, dk_slice *ret_key);

#ifdef __cplusplus
}
#endif

#endif
