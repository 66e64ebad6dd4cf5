/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms, from the client's side: typed calls over dkc_request() and dkc_send(), and readers for what comes back. A room is its
 * 52-character id. When a room moves to another node it gets a new one (DKC_ROOM_MOVED); the calls go on to take any id that the
 * client's room had. All calls return what dkc_request() and dkc_send() return.
 */
#ifndef DIARKIS_CLIENT_ROOM_H
#define DIARKIS_CLIENT_ROOM_H

#include <diarkis/client.h>
#include <diarkis/command.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dkc_room_opts {
	uint16_t max_members; /* 2...1000 */
	bool allow_empty; /* the room lives on for ttl_s without members; else it goes with the last one */
	bool join; /* become its first member; one of the two must be true */
	uint16_t ttl_s; /* > 0 */
	uint32_t interval_ms; /* 0 = broadcasts leave at once; else those of an interval travel together */
};

/* ---- calls; answers: dkc_room_created(), dkc_room_members() and so on ---- */

DK_API int dkc_room_create(struct dkc_client *c, const struct dkc_room_opts *opts, dkc_reply_fn *fn, void *arg);
/* message: told to all members as an event, unless it is empty. */
DK_API int dkc_room_join(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, dkc_reply_fn *fn, void *arg);
DK_API int dkc_room_leave(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, dkc_reply_fn *fn, void *arg);
/* Leaves the room that one is in, if any, and joins another one; answered as join, and in none if that is refused. */
DK_API int dkc_room_change(struct dkc_client *c, const struct dk_id52 *room, dk_slice leave_message, dk_slice message,
			   dkc_reply_fn *fn, void *arg);
/* To all members, this one included. Both ways are reliable or both are not. Answered only when refused, as DKC_RESPONSE. */
DK_API int dkc_room_broadcast(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, bool reliable);
/* To some members, by their uids. Answered only when refused. */
DK_API int dkc_room_message(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dk_slice message,
			    bool reliable);
/* To all others, or to some others: at once, whatever the room's interval, and never merged. Answered only when refused. */
DK_API int dkc_room_relay(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, bool reliable);
DK_API int dkc_room_relay_to(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dk_slice message,
			     bool reliable);
/* The same, and receivers hear how old it is; the answer says who got it, and how long it took: dkc_room_profile(). */
DK_API int dkc_room_relay_profile(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, bool reliable,
				  dkc_reply_fn *fn, void *arg);
DK_API int dkc_room_relay_to_profile(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n,
				     dk_slice message, bool reliable, dkc_reply_fn *fn, void *arg);
/* A text to all members, this one included; and what was said before. */
DK_API int dkc_room_chat(struct dkc_client *c, const struct dk_id52 *room, dk_str text, dkc_reply_fn *fn, void *arg);
DK_API int dkc_room_get_chat(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg);
DK_API int dkc_room_get_owner(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg);
DK_API int dkc_room_get_members(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg);
DK_API int dkc_room_get_count(struct dkc_client *c, const struct dk_id52 *room, dkc_reply_fn *fn, void *arg);
/* Seats for users by uid; the owner's to do. */
DK_API int dkc_room_reserve(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dkc_reply_fn *fn,
			    void *arg);
DK_API int dkc_room_cancel(struct dkc_client *c, const struct dk_id52 *room, const dk_str *uids, size_t n, dkc_reply_fn *fn,
			   void *arg);

/* The same in puffer form: 1100 to 1103, for servers that have these open and not the others (expose_puffer_commands). Answers and
 * events are read by the same functions. */
DK_API int dkc_room_puffer_create(struct dkc_client *c, const struct dkc_room_opts *opts, dkc_reply_fn *fn, void *arg);
DK_API int dkc_room_puffer_join(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, dkc_reply_fn *fn, void *arg);
DK_API int dkc_room_puffer_leave(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, dkc_reply_fn *fn, void *arg);
DK_API int dkc_room_puffer_broadcast(struct dkc_client *c, const struct dk_id52 *room, dk_slice message, bool reliable);

/* The room that one is in goes to another node, with all its members; the owner's to do. DKC_ROOM_MOVED tells its new id. */
DK_API int dkc_room_migrate(struct dkc_client *c, dkc_reply_fn *fn, void *arg);

/* The room that this client is in, under the id that it has now; false = in none. */
DK_API bool dkc_room_current(const struct dkc_client *c, struct dk_id52 *ret_room);
/* True when this client knows that it owns it. */
DK_API bool dkc_room_is_owner(const struct dkc_client *c);
/* How many nodes can take the room over, as the server told. */
DK_API size_t dkc_room_backups(const struct dkc_client *c);

/* ---- answers: false when the reply is a refusal or malformed ---- */

/* of create and join, in either form */
DK_API bool dkc_room_joined(const struct dkc_reply *reply, struct dk_id52 *ret_room, uint32_t *ret_created_s);
/* of get_owner; empty = nobody */
DK_API bool dkc_room_owner(const struct dkc_reply *reply, dk_str *ret_uid);
/* of get_count */
DK_API bool dkc_room_count(const struct dkc_reply *reply, uint16_t *ret_members, uint16_t *ret_max);
/* of get_members: walk the uids with dk_list_next() while the reply is valid */
DK_API bool dkc_room_members(const struct dkc_reply *reply, struct dk_list *ret_uids, dk_str *ret_owner);

/* of a profile: the round trip between this client and the node, and the receivers, to be walked with dkc_room_receiver() while the
 * reply is valid */
DK_API bool dkc_room_profile(const struct dkc_reply *reply, uint32_t *ret_rtt_ms, struct dk_list *ret_receivers);
/* The next receiver, and how long a message takes from this client to it, in ms; 0 = one of the two ways is not measured (TCP). */
DK_API bool dkc_room_receiver(struct dk_list *receivers, dk_str *ret_uid, uint32_t *ret_ms);

/* of get_chat: the last texts, oldest first, to be walked with dkc_room_chat_next() while the reply is valid */
struct dkc_room_chat_line {
	dk_str text, sender; /* sender: a uid; empty = the server */
	uint64_t at_ms; /* unix time */
};
DK_API bool dkc_room_chat_lines(const struct dkc_reply *reply, struct dk_list *ret_lines);
DK_API bool dkc_room_chat_next(struct dk_list *lines, struct dkc_room_chat_line *ret_line);

/* ---- rooms that are found ---- */

/* Into any room of random joins with the same seats, time to live and interval, on whatever node it is, or into a new one; of opts
 * the others do not count. message: told to all members. Answer: dkc_room_random(). */
DK_API int dkc_room_random_join(struct dkc_client *c, const struct dkc_room_opts *opts, dk_slice message, dkc_reply_fn *fn,
				void *arg);
/* Into a new one, which random joins of others find. Answered alike. */
DK_API int dkc_room_random_create(struct dkc_client *c, const struct dkc_room_opts *opts, dkc_reply_fn *fn, void *arg);
/* Everybody finds the room that one is in by that type from now on. name has at most 255 bytes, metadata 1,024. */
DK_API int dkc_room_register(struct dkc_client *c, uint32_t type, dk_str name, dk_str metadata, dkc_reply_fn *fn, void *arg);
/* At most limit rooms of that type, and 100. Answer: dkc_room_found(). */
DK_API int dkc_room_find(struct dkc_client *c, uint32_t type, uint16_t limit, dkc_reply_fn *fn, void *arg);

/* joined: it was there; else it was created for this client. False when the reply is a refusal or malformed, here and below. */
DK_API bool dkc_room_random(const struct dkc_reply *reply, struct dk_id52 *ret_room, uint32_t *ret_created_s, bool *ret_joined);

struct dkc_room_list {
	dk_slice bytes; /* private */
	uint16_t n; /* how many are left */
};
struct dkc_room_item {
	struct dk_id52 room;
	uint16_t members, max_members; /* seats taken, reserved ones included, as they were a moment ago */
	dk_str name, metadata; /* valid while the reply is */
};
DK_API bool dkc_room_found(const struct dkc_reply *reply, struct dkc_room_list *ret_list);
DK_API bool dkc_room_found_next(struct dkc_room_list *list, struct dkc_room_item *ret_item); /* false at the end */

/* ---- events ---- */

enum dkc_room_kind {
	DKC_ROOM_NONE = 0, /* the event is none of a room */
	DKC_ROOM_MEMBER_JOINED, /* payload: what the member said */
	DKC_ROOM_MEMBER_LEFT, /* payload: what the member or the server said */
	DKC_ROOM_BROADCAST,
	DKC_ROOM_MESSAGE,
	DKC_ROOM_OWNER_CHANGED, /* dkc_room_new_owner() */
	DKC_ROOM_MIGRATED, /* to its owner: the migration is done; dkc_room_new_id() */
	DKC_ROOM_RELAY, /* payload: what another member said */
	DKC_ROOM_RELAY_PROFILE, /* dkc_room_relayed() */
	DKC_ROOM_CHAT /* dkc_room_said() */
};
/* What a DKC_PUSH is to a room. */
DK_API enum dkc_room_kind dkc_room_event(const struct dkc_event *event);

/* The new owner's uid; empty = nobody is left. False when the event is another one. */
DK_API bool dkc_room_new_owner(const struct dkc_event *event, dk_str *ret_uid);

/* The room's id on its new node. False when the event is another one. */
DK_API bool dkc_room_new_id(const struct dkc_event *event, struct dk_id52 *ret_room);

/* Who said what, and how long it took to come here, in ms; 0 = not measured. False when the event is another one. */
DK_API bool dkc_room_relayed(const struct dkc_event *event, dk_str *ret_sender, dk_slice *ret_message, uint32_t *ret_ms);

/* What was said in the chat. False when the event is another one. */
DK_API bool dkc_room_said(const struct dkc_event *event, struct dkc_room_chat_line *ret_line);

/* 52 hexadecimal digits, or false. */
DK_API bool dkc_room_id(dk_str text, struct dk_id52 *ret_room);

#ifdef __cplusplus
}
#endif

#endif
