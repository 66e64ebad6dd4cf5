/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin room says to itself on other nodes, and the prototypes and encoders of all its rows: the handlers lie in several
 * files, the table in room.c. outcome: 0, enum dk_outcome, enum dk_room_outcome or enum room_elsewhere.
 */
#ifndef ROOM_ROWS_H
#define ROOM_ROWS_H

#include <diarkis/room.h>
#include <diarkis/room_commands.h>

enum room_node_cmd { ROOM_NODE_STAY_AWAY = 25, ROOM_NODE_LANDED = 26, ROOM_NODE_CLAIM = 27 };

enum room_elsewhere {
	ROOM_MOVED = 64, /* the room is called otherwise now: the answer's room says how */
	ROOM_STALE, /* of a copy or a claim: there is a later epoch; the answer says which, and who owns the room */
	ROOM_WHOLE, /* of a copy: nothing is known of it here, so everything is wanted */
	ROOM_NOT_TAKEN, /* the user could not be moved to the node of the room */
	ROOM_SILENT, /* a node that may have the room did not answer */
	ROOM_NO_ID /* what should name a room is no id */
};

#define ROOM_NODE_COMMANDS(X, R)                                                                                                   \
	X(struct rooms, DK_VER_NODE, 10, "room.enter", room_on_enter, DK_INTERNAL, "keeps a seat for a user of another node",      \
	  DK_IN(id52(room), str16(uid), rest(message)), DK_OUT(u8(outcome), id52(room)))                                           \
	X(struct rooms, DK_VER_NODE, 12, "room.copy_member", room_on_copy_member, DK_INTERNAL,                                     \
	  "a member of a room that is copied here", DK_IN(id52(room), u32(epoch), str16(uid), rest(user)), DK_OUT())               \
	X(struct rooms, DK_VER_NODE, 13, "room.copy", room_on_copy, DK_INTERNAL, "the state of a room that is copied here",        \
	  DK_IN(id52(room), u32(epoch), u64(version), flag(whole), rest(state)), DK_OUT(u8(outcome), u32(epoch), rest(owner)))     \
	X(struct rooms, DK_VER_NODE, 14, "room.copy_end", room_on_copy_end, DK_INTERNAL, "a copy is of no use any more",           \
	  DK_IN(id52(room), u32(epoch)), DK_OUT())                                                                                 \
	X(struct rooms, DK_VER_NODE, 24, "room.copy_line", room_on_copy_line, DK_INTERNAL,                                         \
	  "a text of chat, behind what was copied", DK_IN(id52(room), u32(epoch), u64(at_ms), str16(uid), str16(text)), DK_OUT())  \
	X(struct rooms, DK_VER_NODE, 15, "room.land", room_on_land, DK_INTERNAL, "makes a room that comes from another node",      \
	  DK_IN(id52(room), str16(asker), rest(state)), DK_OUT(u8(outcome), id52(room)))                                           \
	X(struct rooms, DK_VER_NODE, 16, "room.look", room_on_look, DK_INTERNAL, "how many members a room has", DK_IN(id52(room)), \
	  DK_OUT(u8(outcome), id52(room), u16(members), u16(max_members)))                                                         \
	X(struct rooms, DK_VER_NODE, 17, "room.read_prop", room_on_read_prop, DK_INTERNAL, "a property, as a packed capsule",      \
	  DK_IN(id52(room), str16(name)), DK_OUT(u8(outcome), id52(room), rest(capsule)))                                          \
	X(struct rooms, DK_VER_NODE, 18, "room.read_props", room_on_read_props, DK_INTERNAL,                                       \
	  "all properties, as a packed capsule", DK_IN(id52(room)), DK_OUT(u8(outcome), id52(room), rest(capsule)))                \
	X(struct rooms, DK_VER_NODE, 19, "room.cancel", room_on_cancel, DK_INTERNAL, "gives seats free that were reserved",        \
	  DK_IN(id52(room), strs(members)), DK_OUT(u8(outcome), id52(room)))                                                       \
	X(struct rooms, DK_VER_NODE, 25, "room.stay_away", room_on_stay_away, DK_INTERNAL, "gives back a seat that was kept",      \
	  DK_IN(id52(room), str16(uid)), DK_OUT())                                                                                 \
	X(struct rooms, DK_VER_NODE, 26, "room.landed", room_on_landed, DK_INTERNAL,                                               \
	  "the room lives here from now on, or nowhere", DK_IN(id52(room), flag(commit)), DK_OUT())                                \
	X(struct rooms, DK_VER_NODE, 28, "room.list", room_on_list, DK_INTERNAL, "rooms of the calling node that can be found",    \
	  DK_IN(rest(places)), DK_OUT())                                                                                           \
	X(struct rooms, DK_VER_NODE, 29, "room.unlist", room_on_unlist, DK_INTERNAL, "those that cannot any more",                 \
	  DK_IN(rest(places)), DK_OUT())                                                                                           \
	X(struct rooms, DK_VER_NODE, 30, "room.lease", room_on_lease, DK_INTERNAL,                                                 \
	  "how many the calling node has listed here, and what they add up to", DK_IN(u32(n), u64(sum)), DK_OUT(flag(agrees)))     \
	X(struct rooms, DK_VER_NODE, 31, "room.find_listed", room_on_find_listed, DK_INTERNAL, "some rooms of one key",            \
	  DK_IN(rest(question)), DK_OUT(rest(places)))                                                                             \
	X(struct rooms, DK_VER_NODE, 32, "room.seek", room_on_seek, DK_INTERNAL,                                                   \
	  "one with a free seat; or the calling node is to make one", DK_IN(rest(question)), DK_OUT(u8(outcome), rest(room)))      \
	X(struct rooms, DK_VER_NODE, 33, "room.make", room_on_make, DK_INTERNAL, "makes an empty room, asked for over HTTP",       \
	  DK_IN(u16(max_members), u32(ttl_s), u32(interval_ms)), DK_OUT(u8(outcome), rest(room)))                                  \
	X(struct rooms, DK_VER_NODE, 27, "room.claim", room_on_claim, DK_INTERNAL,                                                 \
	  "the calling node owns the room since that epoch", DK_IN(id52(room), u32(epoch)),                                        \
	  DK_OUT(u8(outcome), u32(epoch), rest(owner)))

#define ROOM_DECL_(self, ver, cmd, name, fn, flags, help, in, out)                                                                 \
	int fn(self *, struct dk_call *DK_EACH_(DK_AC_, in));                                                                      \
	DK_CMD_BODY_(fn, flags, in, out)
#define ROOM_RAW_DECL_(self, ver, cmd, name, fn, flags, help, in, out)                                                             \
	int fn(self *, struct dk_call *);                                                                                          \
	DK_CMD_BODY_(fn, flags, in, out)
#define ROOM_PUSH_DECL_(ver, cmd, name, ident, flags, fields) DK_CMD_BODY_(ident, flags, DK_IN(), fields)

struct rooms;
ROOM_COMMANDS(ROOM_DECL_, ROOM_RAW_DECL_)
ROOM_DATA_COMMANDS(ROOM_DECL_, ROOM_RAW_DECL_)
ROOM_NODE_COMMANDS(ROOM_DECL_, ROOM_RAW_DECL_)
ROOM_PUSHES(ROOM_PUSH_DECL_)
ROOM_DATA_PUSHES(ROOM_PUSH_DECL_)

#endif
