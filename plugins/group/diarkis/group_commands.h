/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the plugin group and what it pushes, as rows: for the plugin itself, for clients and for whoever hooks them. All
 * are in puffer form. docs/WIRE.md, "group".
 */
#ifndef DIARKIS_GROUP_COMMANDS_H
#define DIARKIS_GROUP_COMMANDS_H

#include <diarkis/command.h>

#define GROUP_VER 1

enum group_cmd {
	GROUP_CMD_CREATE = 110,
	GROUP_CMD_JOIN = 111, /* also the push that tells of a new member */
	GROUP_CMD_LEAVE = 112, /* also the push that tells of one who left */
	GROUP_CMD_BROADCAST = 113, /* the push carries the messages, as a list */
	GROUP_CMD_RAND_JOIN = 114,
	GROUP_CMD_INFO = 135
};

/* Codes of refusals; a client sees them when the node sends structured errors. */
enum group_error { GROUP_E_CREATE = DK_E_GROUP_NEW, GROUP_E_JOIN = DK_E_GROUP_JOIN, GROUP_E_LEAVE = DK_E_GROUP_LEAVE };

/* What pushes name a group by: FNV-1a of its id. A client is in few groups. */
static inline uint32_t group_tag(const struct dk_id52 *id)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < DK_ID52_LEN; i++)
		h = (h ^ (uint8_t)id->c[i]) * 16777619u;
	return h;
}

#define GROUP_COMMANDS(X, R)                                                                                                       \
	X(struct groups, 1, 110, "group.create", group_on_create, DK_CLIENT | DK_USER | DK_PUFFER, "create a group",               \
	  DK_IN(flag(allow_empty), u16(interval_ms), flag(join), u16(ttl_s)), DK_OUT(str16(group)))                                \
	X(struct groups, 1, 111, "group.join", group_on_join, DK_CLIENT | DK_USER | DK_PUFFER,                                     \
	  "join a group, wherever it is; all members get the message", DK_IN(str16(group), bytes16(message)),                      \
	  DK_OUT(str16(group)))                                                                                                    \
	X(struct groups, 1, 112, "group.leave", group_on_leave, DK_CLIENT | DK_USER | DK_PUFFER,                                   \
	  "leave a group; the others get the message", DK_IN(str16(group), bytes16(message)), DK_OUT())                            \
	X(struct groups, 1, 113, "group.broadcast", group_on_broadcast, DK_CLIENT | DK_USER | DK_PUFFER | DK_QUIET,                \
	  "send to all members of a group, oneself included", DK_IN(str16(group), bytes16(message), flag(reliable)), DK_OUT())     \
	X(struct groups, 1, 114, "group.rand_join", group_on_rand_join, DK_CLIENT | DK_USER,                                       \
	  "join any group of random joins with the same parameters, or create one",                                                \
	  DK_IN(flag(allow_empty), u16(interval_ms), bytes16(message), u16(ttl_s)), DK_OUT(flag(joined), id52(group)))             \
	X(struct groups, 1, 135, "group.info", group_on_info, DK_CLIENT | DK_USER | DK_PUFFER,                                     \
	  "how many members a group has on how many nodes, and who; exact asks all nodes; for members",                            \
	  DK_IN(flag(exact), str16(group)), DK_OUT(u32(count), str16(group), strs(members), u16(nodes)))

/* P(ver, cmd, name, ident, flags, fields): each element of the pushes 111, 112 and 113. */
#define GROUP_PUSHES(P) P(1, 113, "group.message", group_push, DK_PUFFER, DK_OUT(bytes16(message), u32(tag)))

#endif
