/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the plugin room and what it pushes, as rows: for the plugin itself, for clients and for whoever hooks them.
 * Rows whose payload the reference publishes have that layout; the others are in puffer form. docs/WIRE.md, "room".
 */
#ifndef DIARKIS_ROOM_COMMANDS_H
#define DIARKIS_ROOM_COMMANDS_H

#include <diarkis/command.h>

#define ROOM_VER 1

enum room_cmd {
	ROOM_CMD_INCR_PROP = 10, /* also the push that tells of the new value */
	ROOM_CMD_MEMBER_IDS = 11,
	ROOM_CMD_MIGRATE = 12,
	ROOM_CMD_COUNT_MEMBERS = 13,
	ROOM_CMD_OWNER_CHANGED = 14, /* push only */
	ROOM_CMD_RELAY = 18, /* the push is the message, and no list */
	ROOM_CMD_RELAY_PROFILE = 19, /* also the push, which is no list either */
	ROOM_CMD_MIGRATED = 20, /* push only, to the owner */
	ROOM_CMD_RELAY_TO = 23,
	ROOM_CMD_RELAY_TO_PROFILE = 24,
	ROOM_CMD_STATE_UPDATE = 15, /* also the push that tells of states, unless the room says otherwise */
	ROOM_CMD_STATE_INCR = 16,
	ROOM_CMD_STATE_SYNC = 17,
	ROOM_CMD_STATES_REMOVED = 31, /* push only, likewise */
	ROOM_CMD_BACKUPS = 30, /* also the push that tells of a change */
	ROOM_CMD_CREATE = 100,
	ROOM_CMD_JOIN = 101, /* also the push that tells of a new member */
	ROOM_CMD_LEAVE = 102, /* also the push that tells of one who left */
	ROOM_CMD_BROADCAST = 103, /* the push carries the messages, as a list */
	ROOM_CMD_MESSAGE = 104, /* so does this one */
	ROOM_CMD_RAND_CREATE = 105,
	ROOM_CMD_RAND_JOIN = 106,
	ROOM_CMD_UPDATE_PROPS = 107,
	ROOM_CMD_GET_PROPS = 108,
	ROOM_CMD_OWNER_ID = 109,
	ROOM_CMD_REGISTER = 115,
	ROOM_CMD_FIND = 116,
	ROOM_CMD_RESERVE = 117,
	ROOM_CMD_CANCEL_RESERVE = 118,
	ROOM_CMD_CHAT = 125, /* also the push that tells what was said */
	ROOM_CMD_CHAT_LOG = 126,
	ROOM_CMD_OBJECT_SYNC = 128, /* also the push that tells of objects */
	ROOM_CMD_OBJECT_UPDATE = 129,
	ROOM_CMD_PROPS_SYNC = 130, /* push only */
	ROOM_CMD_PUFFER_CREATE = 1100, /* from here on: the second set */
	ROOM_CMD_PUFFER_JOIN = 1101,
	ROOM_CMD_PUFFER_LEAVE = 1102,
	ROOM_CMD_PUFFER_BROADCAST = 1103
};

/* Codes of refusals; a client sees them when the node sends structured errors. */
enum room_error {
	ROOM_E_CREATE = DK_E_ROOM_NEW,
	ROOM_E_NOT_MEMBER = DK_E_ROOM_NOT_IN,
	ROOM_E_JOIN = DK_E_ROOM_JOIN,
	ROOM_E_LEAVE = DK_E_ROOM_LEAVE,
	ROOM_E_NO_ID = DK_E_ROOM_NO_ID,
	ROOM_E_OWNER = DK_E_ROOM_NO_OWNER,
	ROOM_E_INCR = DK_E_ROOM_INCR,
	ROOM_E_PROPS = DK_E_ROOM_PROP_SYNC,
	ROOM_E_RESERVE = DK_E_ROOM_RESERVE,
	ROOM_E_CANCEL_RESERVE = DK_E_ROOM_CANCEL_RESERVE,
	ROOM_E_NOT_FOUND = DK_E_ROOM_NOT_FOUND,
	ROOM_E_MIGRATE = DK_E_ROOM_MIGRATE,
	ROOM_E_COUNT = DK_E_ROOM_COUNT,
	ROOM_E_OTHER = DK_E_ROOM
};

#define ROOM_CORE_COMMANDS(X, R)                                                                                                   \
	X(struct rooms, 1, 11, "room.member_ids", room_on_member_ids, DK_CLIENT | DK_USER | DK_PUFFER,                             \
	  "uids of the room's members and owner; for members", DK_IN(str16(room)), DK_OUT(strs(members), str16(owner)))            \
	X(struct rooms, 1, 12, "room.migrate", room_on_migrate, DK_CLIENT | DK_USER,                                               \
	  "move one's room to another node, with all who are in it; for the owner", DK_IN(), DK_OUT())                             \
	X(struct rooms, 1, 13, "room.count_members", room_on_count_members, DK_CLIENT | DK_ADMIN | DK_PUFFER,                      \
	  "how many members a room has; for everybody", DK_IN(str16(room)), DK_OUT(u16(current), u16(max_members), str16(room)))   \
	X(struct rooms, 1, 30, "room.backups", room_on_backups, DK_CLIENT | DK_USER | DK_PUFFER,                                   \
	  "where the room is copied to: host:port of the caller's kind; for members", DK_IN(str16(room)),                          \
	  DK_OUT(strs(addresses), str16(room)))                                                                                    \
	X(struct rooms, 1, 100, "room.create", room_on_create, DK_CLIENT | DK_USER, "create a room, and be its owner",             \
	  DK_IN(u16(max_members), flag(allow_empty), flag(join), u16(ttl_s), u16(unused), u32(interval_ms)),                       \
	  DK_OUT(u32(created_s), id52(room)))                                                                                      \
	X(struct rooms, 1, 101, "room.join", room_on_join, DK_CLIENT | DK_USER, "join a room; all members get the message",        \
	  DK_IN(id52(room), rest(message)), DK_OUT(u32(created_s), id52(room)))                                                    \
	X(struct rooms, 1, 102, "room.leave", room_on_leave, DK_CLIENT | DK_USER, "leave a room; the others get the message",      \
	  DK_IN(id52(room), rest(message)), DK_OUT())                                                                              \
	R(struct rooms, 1, 103, "room.broadcast", room_on_broadcast, DK_CLIENT | DK_USER | DK_QUIET,                               \
	  "send to all members of one's room, oneself included", DK_IN(flag(reliable), id52(room), rest(message)), DK_OUT())       \
	X(struct rooms, 1, 104, "room.message", room_on_message, DK_CLIENT | DK_USER | DK_PUFFER | DK_QUIET,                       \
	  "send to some members of one's room", DK_IN(strs(members), bytes16(message), flag(reliable), str16(room)), DK_OUT())     \
	X(struct rooms, 1, 105, "room.rand_create", room_on_rand_create, DK_CLIENT | DK_USER,                                      \
	  "create a room that random joins find, and be its owner",                                                                \
	  DK_IN(u32(interval_ms), u16(max_members), bytes16(message), u16(ttl_s)),                                                 \
	  DK_OUT(flag(joined), u32(created_s), id52(room)))                                                                        \
	X(struct rooms, 1, 106, "room.rand_join", room_on_rand_join, DK_CLIENT | DK_USER,                                          \
	  "join any room of random joins with the same parameters, or create one",                                                 \
	  DK_IN(u32(interval_ms), u16(max_members), bytes16(message), u16(ttl_s)),                                                 \
	  DK_OUT(flag(joined), u32(created_s), id52(room)))                                                                        \
	X(struct rooms, 1, 109, "room.owner_id", room_on_owner_id, DK_CLIENT | DK_USER | DK_PUFFER,                                \
	  "uid of the room's owner, empty without one; for members", DK_IN(str16(room)), DK_OUT(str16(owner)))                     \
	X(struct rooms, 1, 115, "room.register", room_on_register, DK_CLIENT | DK_USER | DK_PUFFER,                                \
	  "let everybody find one's room by a type; for members", DK_IN(str16(metadata), str16(name), u32(type)), DK_OUT())        \
	X(struct rooms, 1, 116, "room.find", room_on_find, DK_CLIENT | DK_PUFFER,                                                  \
	  "rooms of a type: u16 count, then for each u16 size, {id str16, max u16, members u16, metadata str16, name str16}",      \
	  DK_IN(u16(limit), u32(type)), DK_OUT(rest(rooms)))                                                                       \
	X(struct rooms, 1, 117, "room.reserve", room_on_reserve, DK_CLIENT | DK_USER | DK_PUFFER,                                  \
	  "keep seats for users by uid; for the owner", DK_IN(strs(members), str16(room)), DK_OUT())                               \
	X(struct rooms, 1, 118, "room.cancel_reserve", room_on_cancel_reserve, DK_CLIENT | DK_USER | DK_PUFFER,                    \
	  "give seats free that were kept; for the owner", DK_IN(strs(members), str16(room)), DK_OUT())

/* room_send.c. receivers: {u16 length, latency_ms u16, uid string} each. */
#define ROOM_SEND_COMMANDS(X, R)                                                                                                   \
	X(struct rooms, 1, 18, "room.relay", room_on_relay, DK_CLIENT | DK_USER | DK_PUFFER | DK_QUIET,                            \
	  "send to all other members of one's room, at once and alone", DK_IN(bytes16(message), flag(reliable), str16(room)),      \
	  DK_OUT())                                                                                                                \
	X(struct rooms, 1, 19, "room.relay_profile", room_on_relay_profile, DK_CLIENT | DK_USER | DK_PUFFER,                       \
	  "the same, telling receivers and sender how long it takes", DK_IN(bytes16(message), flag(reliable), str16(room)),        \
	  DK_OUT(u16(latency_ms), strs(receivers)))                                                                                \
	X(struct rooms, 1, 23, "room.relay_to", room_on_relay_to, DK_CLIENT | DK_USER | DK_PUFFER | DK_QUIET,                      \
	  "send to some other members of one's room, at once and alone",                                                           \
	  DK_IN(strs(members), bytes16(message), flag(reliable), str16(room)), DK_OUT())                                           \
	X(struct rooms, 1, 24, "room.relay_to_profile", room_on_relay_to_profile, DK_CLIENT | DK_USER | DK_PUFFER,                 \
	  "the same, telling receivers and sender how long it takes",                                                              \
	  DK_IN(strs(members), bytes16(message), flag(reliable), str16(room)), DK_OUT(u16(latency_ms), strs(receivers)))

/* room_chat.c. lines: {u16 length, message string, sender string, timestamp u64} each, as the push has them. */
#define ROOM_CHAT_COMMANDS(X, R)                                                                                                   \
	X(struct rooms, 1, 125, "room.chat", room_on_chat, DK_CLIENT | DK_USER | DK_PUFFER,                                        \
	  "say something to all members of one's room, oneself included", DK_IN(str16(message), str16(room)), DK_OUT())            \
	X(struct rooms, 1, 126, "room.chat_log", room_on_chat_log, DK_CLIENT | DK_USER | DK_PUFFER,                                \
	  "what was said last; for members", DK_IN(str16(room)), DK_OUT(strs(lines)))

/* room_puffer.c: those whose payloads are no puffer, once more in that form (ExposePufferCommands). Their pushes are the same. */
#define ROOM_PUFFER_COMMANDS(X, R)                                                                                                 \
	X(struct rooms, 1, 1100, "room.puffer_create", room_on_puffer_create, DK_CLIENT | DK_USER | DK_PUFFER,                     \
	  "create a room, and be its owner", DK_IN(flag(allow_empty), u32(interval_ms), flag(join), u16(max_members), u16(ttl_s)), \
	  DK_OUT(u32(created_s), str16(room)))                                                                                     \
	X(struct rooms, 1, 1101, "room.puffer_join", room_on_puffer_join, DK_CLIENT | DK_USER | DK_PUFFER,                         \
	  "join a room; all members get the message", DK_IN(bytes16(message), str16(room)), DK_OUT(u32(created_s), str16(room)))   \
	X(struct rooms, 1, 1102, "room.puffer_leave", room_on_puffer_leave, DK_CLIENT | DK_USER | DK_PUFFER,                       \
	  "leave a room; the others get the message", DK_IN(bytes16(message), str16(room)), DK_OUT())                              \
	X(struct rooms, 1, 1103, "room.puffer_broadcast", room_on_puffer_broadcast, DK_CLIENT | DK_USER | DK_PUFFER | DK_QUIET,    \
	  "send to all members of one's room, oneself included", DK_IN(bytes16(message), flag(reliable), str16(room)), DK_OUT())

#define ROOM_COMMANDS(X, R)                                                                                                        \
	ROOM_CORE_COMMANDS(X, R)                                                                                                   \
	ROOM_SEND_COMMANDS(X, R)                                                                                                   \
	ROOM_CHAT_COMMANDS(X, R)                                                                                                   \
	ROOM_PUFFER_COMMANDS(X, R)

/* P(ver, cmd, name, ident, flags, fields): what the plugin pushes beside the messages of members. */
#define ROOM_PUSHES(P)                                                                                                             \
	P(1, 14, "room.owner_changed", room_push_owner, DK_PUFFER, DK_OUT(str16(owner), str16(room)))                              \
	P(1, 19, "room.relay_profile", room_push_relay_profile, DK_PUFFER,                                                         \
	  DK_OUT(u16(latency_ms), bytes16(message), str16(sender)))                                                                \
	P(1, 24, "room.relay_to_profile", room_push_relay_to_profile, DK_PUFFER,                                                   \
	  DK_OUT(u16(latency_ms), bytes16(message), str16(sender)))                                                                \
	P(1, 20, "room.migrated", room_push_migrated, DK_PUFFER, DK_OUT(str16(oldRoom), str16(room)))                              \
	P(1, 30, "room.backups", room_push_backups, DK_PUFFER, DK_OUT(strs(addresses), str16(room)))                               \
	P(1, 125, "room.chat", room_push_chat, DK_PUFFER, DK_OUT(str16(message), str16(sender), u64(timestamp)))

/* What members keep in their room: properties are bytes by name, states are small values that change often,
 * objects are numbers by name, as a Float64Map of <diarkis/packet.h>. */
#define ROOM_DATA_COMMANDS(X, R)                                                                                                   \
	X(struct rooms, 1, 10, "room.incr_prop", room_on_incr_prop, DK_CLIENT | DK_USER | DK_PUFFER,                               \
	  "add to a whole number among the properties of one's room, which begins at 0; with sync all members hear of it",         \
	  DK_IN(i64(delta), str16(name), str16(room), flag(sync)), DK_OUT(i64(value)))                                             \
	R(struct rooms, 1, 15, "room.state_update", room_on_state_update, DK_CLIENT | DK_USER | DK_QUIET,                          \
	  "set a state of one's room; linked: it goes when one leaves",                                                            \
	  DK_IN(flag(reliable), flag(linked), id52(room), str16(key), rest(value)), DK_OUT())                                      \
	X(struct rooms, 1, 16, "room.state_incr", room_on_state_incr, DK_CLIENT | DK_USER,                                         \
	  "add to a state of one's room that is a number of 8 bytes, and begins at 0",                                             \
	  DK_IN(flag(reliable), flag(linked), id52(room), str16(key), i64(delta)), DK_OUT(i64(value)))                             \
	X(struct rooms, 1, 17, "room.state_sync", room_on_state_sync, DK_CLIENT | DK_USER, "hear all states of one's room",        \
	  DK_IN(id52(room)), DK_OUT())                                                                                             \
	X(struct rooms, 1, 107, "room.update_props", room_on_update_props, DK_CLIENT | DK_USER | DK_PUFFER,                        \
	  "set properties of one's room, all or none; with sync all members hear of it",                                           \
	  DK_IN(strs(names), str16(room), flag(sync), strs(values)), DK_OUT())                                                     \
	X(struct rooms, 1, 108, "room.get_props", room_on_get_props, DK_CLIENT | DK_USER | DK_PUFFER,                              \
	  "properties of one's room by name, without names all that are bytes; those that are not there are left out",             \
	  DK_IN(strs(names), str16(room)), DK_OUT(strs(names), strs(values)))                                                      \
	X(struct rooms, 1, 128, "room.object_sync", room_on_object_sync, DK_CLIENT | DK_USER, "hear all objects of one's room",    \
	  DK_IN(id52(room)), DK_OUT())                                                                                             \
	X(struct rooms, 1, 129, "room.object_update", room_on_object_update, DK_CLIENT | DK_USER,                                  \
	  "add to (1), set (2) or delete (3) numbers of an object of one's room; all members hear of it",                          \
	  DK_IN(u8(mode), flag(reliable), id52(room), str16(name), rest(fields)), DK_OUT(rest(fields)))

#define ROOM_DATA_PUSHES(P)                                                                                                        \
	P(1, 10, "room.incr_prop", room_push_incr, DK_PUFFER, DK_OUT(str16(name), str16(room), i64(value)))                        \
	P(1, 15, "room.states", room_push_states, 0, DK_OUT(rest(states)))                                                         \
	P(1, 31, "room.states_removed", room_push_states_removed, 0, DK_OUT(rest(keys)))                                           \
	P(1, 128, "room.object", room_push_object, 0, DK_OUT(u8(mode), str16(name), rest(fields)))                                 \
	P(1, 130, "room.props", room_push_props, DK_PUFFER, DK_OUT(strs(names), str16(room), strs(values)))

#endif
