/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients and operators may ask of the plugin user. The answer of the two moves is the reconnect instruction itself, a push
 * of version 0, command 2: BE EF FE ED and "host:port"; a refusal is an ordinary answer. The client follows with its sid and keys.
 */
#ifndef DIARKIS_USER_COMMANDS_H
#define DIARKIS_USER_COMMANDS_H

#include <diarkis/command.h>

#define USER_COMMANDS(X, R)                                                                                                        \
	X(struct users, 0, 2, "user.move", on_move, DK_CLIENT | DK_USER | DK_QUIET, "move me to another node of my type",          \
	  DK_IN(rest(unused)), DK_OUT())                                                                                           \
	X(struct users, 0, 5, "user.move_to_type", on_move_to_type, DK_CLIENT | DK_USER | DK_QUIET,                                \
	  "move me to a node of that type", DK_IN(rest(type)), DK_OUT())                                                           \
	X(struct users, DK_VER_NODE, 85, "user.drain", on_drain, DK_ADMIN, "goes down as on SIGTERM: OFFLINE, users and rooms "    \
	  "move to other nodes, exit", DK_IN(), DK_OUT())

#endif
