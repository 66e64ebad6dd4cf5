/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin dm says to itself on other nodes, and the prototypes and encoders of all its rows: the handlers lie in several
 * files, the table in dm.c. outcome: 0, enum dm_elsewhere or, of a last word that the user's connection did not take, why; node:
 * where the user is now, of DM_ELSEWHERE.
 */
#ifndef DM_ROWS_H
#define DM_ROWS_H

#include <diarkis/command.h>
#include <diarkis/dm.h>
#include <diarkis/dm_commands.h>

enum dm_node_cmd { DM_NODE_CONNECT = 100, DM_NODE_SEND = 101, DM_NODE_DISCONNECT = 102, DM_NODE_REPLACE = 103, DM_NODE_HERE = 104 };

enum dm_elsewhere {
	DM_NOT_HERE = 240, /* it is not known where the user is */
	DM_ELSEWHERE,
	DM_ON_ITS_WAY /* it has just left for another node, or comes from one: ask again */
};

#define DM_NODE_COMMANDS(X, R)                                                                                                     \
	X(struct dms, DK_VER_NODE, 100, "dm.find", dm_on_find, DK_INTERNAL, "a user of the calling node looks for one of this",    \
	  DK_IN(str16(from), str16(to)), DK_OUT(u8(outcome), bytes16(node)))                                                       \
	X(struct dms, DK_VER_NODE, 101, "dm.deliver", dm_on_deliver, DK_INTERNAL,                                                  \
	  "messages to a user; results: a byte for each that was looked at", DK_IN(str16(to), rest(letters)),                      \
	  DK_OUT(u8(outcome), bytes16(node), rest(results)))                                                                       \
	X(struct dms, DK_VER_NODE, 102, "dm.part", dm_on_part, DK_INTERNAL,                                                        \
	  "a user of the calling node has done with one of this", DK_IN(str16(from), str16(to), u8(ver), u16(cmd), rest(message)), \
	  DK_OUT(u8(outcome), bytes16(node)))                                                                                      \
	X(struct dms, DK_VER_NODE, 103, "dm.replace", dm_on_replace, DK_INTERNAL, "the user has logged in on the calling node",    \
	  DK_IN(str16(uid), u64(login), u64(who)), DK_OUT())                                                                       \
	X(struct dms, DK_VER_NODE, 104, "dm.here", dm_on_here, DK_INTERNAL, "the user has moved to the calling node",              \
	  DK_IN(str16(uid)), DK_OUT())

#define DM_DECL_(self, ver, cmd, name, fn, flags, help, in, out)                                                                   \
	int fn(self *, struct dk_call *DK_EACH_(DK_AC_, in));                                                                      \
	DK_CMD_BODY_(fn, flags, in, out)
#define DM_PUSH_DECL_(ver, cmd, name, ident, flags, fields) DK_CMD_BODY_(ident, flags, DK_IN(), fields)

struct dms;
DM_COMMANDS(DM_DECL_, DM_DECL_)
DM_NODE_COMMANDS(DM_DECL_, DM_DECL_)
DM_PUSHES(DM_PUSH_DECL_)

#endif
