/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin group says to itself on other nodes, and the prototypes and encoders of all its rows: the handlers lie in several
 * files, the table in group.c. outcome: 0 or enum dk_group_outcome. state: group_view.h.
 */
#ifndef GROUP_ROWS_H
#define GROUP_ROWS_H

#include <diarkis/group.h>

#include <diarkis/group_commands.h>

enum group_node_cmd {
	GROUP_NODE_ENTER = 21,
	GROUP_NODE_RELAY = 22,
	GROUP_NODE_SYNC = 23,
	GROUP_NODE_COMING = 110,
	GROUP_NODE_HANDOVER = 111,
	GROUP_NODE_LATE = 112,
	GROUP_NODE_LIST = 113
};

#define GROUP_NODE_COMMANDS(X, R)                                                                                                  \
	X(struct groups, DK_VER_NODE, 21, "group.enter", group_on_enter, DK_INTERNAL, "a node takes part in a group from now on",  \
	  DK_IN(id52(group), rest(state)), DK_OUT(u8(outcome), rest(state)))                                                       \
	R(struct groups, DK_VER_NODE, 22, "group.relay", group_on_relay, DK_INTERNAL, "what was said on another node",             \
	  DK_IN(id52(group), u64(number), u8(ver), u16(cmd), rest(message)), DK_OUT())                                             \
	X(struct groups, DK_VER_NODE, 23, "group.sync", group_on_sync, DK_INTERNAL, "who takes part in a group",                   \
	  DK_IN(id52(group), rest(state)), DK_OUT(u8(outcome), rest(state)))                                                       \
	X(struct groups, DK_VER_NODE, 34, "group.listed", group_on_listed, DK_INTERNAL, "groups that random joins may find",       \
	  DK_IN(rest(places)), DK_OUT())                                                                                           \
	X(struct groups, DK_VER_NODE, 35, "group.unlisted", group_on_unlisted, DK_INTERNAL, "those that they may not any more",    \
	  DK_IN(rest(places)), DK_OUT())                                                                                           \
	X(struct groups, DK_VER_NODE, 36, "group.lease", group_on_lease, DK_INTERNAL,                                              \
	  "how many the calling node has listed here, and what they add up to", DK_IN(u32(n), u64(sum)), DK_OUT(flag(agrees)))     \
	X(struct groups, DK_VER_NODE, 37, "group.find_listed", group_on_find_listed, DK_INTERNAL, "some groups of one key",        \
	  DK_IN(rest(question)), DK_OUT(rest(places)))                                                                             \
	X(struct groups, DK_VER_NODE, 38, "group.seek", group_on_seek, DK_INTERNAL,                                                \
	  "one for a random join; or the calling node is to make one", DK_IN(rest(question)), DK_OUT(u8(outcome), rest(group)))    \
	X(struct groups, DK_VER_NODE, 110, "group.coming", group_on_coming, DK_INTERNAL,                                           \
	  "a member that is on its way to the calling node is awaited there", DK_IN(bytes16(sid)), DK_OUT())                       \
	X(struct groups, DK_VER_NODE, 111, "group.handover", group_on_handover, DK_INTERNAL,                                       \
	  "what a member that came here has heard on its former node", DK_IN(bytes16(sid), rest(heard)), DK_OUT(flag(enough)))     \
	R(struct groups, DK_VER_NODE, 112, "group.late", group_on_late, DK_INTERNAL,                                               \
	  "what came to the former node of members when they had left it",                                                         \
	  DK_IN(id52(group), bytes16(member), bytes16(origin), u64(number), u8(hops), u8(ver), u16(cmd), rest(message)), DK_OUT()) \
	X(struct groups, DK_VER_NODE, 113, "group.list", group_on_list, DK_INTERNAL, "who of a group is on this node",             \
	  DK_IN(id52(group)), DK_OUT(u32(members), rest(uids)))

#define GROUP_DECL_(self, ver, cmd, name, fn, flags, help, in, out)                                                                \
	int fn(self *, struct dk_call *DK_EACH_(DK_AC_, in));                                                                      \
	DK_CMD_BODY_(fn, flags, in, out)
#define GROUP_RAW_DECL_(self, ver, cmd, name, fn, flags, help, in, out)                                                            \
	int fn(self *, struct dk_call *);                                                                                          \
	DK_CMD_BODY_(fn, flags, in, out)
#define GROUP_PUSH_DECL_(ver, cmd, name, ident, flags, fields) DK_CMD_BODY_(ident, flags, DK_IN(), fields)

struct groups;
GROUP_COMMANDS(GROUP_DECL_, GROUP_RAW_DECL_)
GROUP_NODE_COMMANDS(GROUP_DECL_, GROUP_RAW_DECL_)
GROUP_PUSHES(GROUP_PUSH_DECL_)

#endif
