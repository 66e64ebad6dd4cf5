/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin user says to itself on other nodes. A move: arrive (request), then the client turns up there, here (message
 * back), settle (message); abandon undoes an arrive. outcome: 0, enum dk_outcome or enum dk_user_outcome.
 */
#ifndef USER_NODE_COMMANDS_H
#define USER_NODE_COMMANDS_H

#include <diarkis/command.h>

#define USER_NODE_COMMANDS(X, R)                                                                                                   \
	X(struct users, DK_VER_NODE, 80, "user.arrive", on_arrive, DK_INTERNAL, "takes in a user of another node",                 \
	  DK_IN(str16(type), bytes32(user), rest(note)), DK_OUT(u8(outcome), str16(host), u16(port)))                              \
	X(struct users, DK_VER_NODE, 81, "user.settle", on_settle, DK_INTERNAL, "what waited at the node that a user came from",   \
	  DK_IN(bytes16(sid), bytes16(taken), rest(frames)), DK_OUT())                                                             \
	X(struct users, DK_VER_NODE, 82, "user.create", on_create, DK_INTERNAL, "makes a user for another node",                   \
	  DK_IN(str16(uid), str16(type), rest(props)), DK_OUT(u8(outcome), bytes16(credential), str16(host), u16(port)))           \
	X(struct users, DK_VER_NODE, 83, "user.abandon", on_abandon, DK_INTERNAL, "a user that was to arrive does not",            \
	  DK_IN(bytes16(sid)), DK_OUT())                                                                                           \
	X(struct users, DK_VER_NODE, 84, "user.here", on_here, DK_INTERNAL, "the client of a user that moved has come",            \
	  DK_IN(bytes16(sid)), DK_OUT())

#endif
