/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the plugin dm and what it pushes, as rows: for the plugin itself, for clients and for whoever hooks them.
 * docs/WIRE.md, "direct messages".
 */
#ifndef DIARKIS_DM_COMMANDS_H
#define DIARKIS_DM_COMMANDS_H

#include <diarkis/command.h>

#define DM_VER 1

enum dm_cmd {
	DM_CMD_DISCONNECT = 700, /* also the push that brings a last message */
	DM_CMD_SEND = 701, /* also the push that brings a message */
	DM_CMD_CONNECT = 702,
	DM_CMD_REPLACED = 703 /* push only */
};

#define DM_COMMANDS(X, R)                                                                                                          \
	X(struct dms, 1, 700, "dm.disconnect", dm_on_disconnect, DK_CLIENT | DK_USER | DK_PUFFER,                                  \
	  "ends the exchange with a user, who gets the message unless it is empty", DK_IN(bytes16(message), str16(uid)), DK_OUT()) \
	X(struct dms, 1, 701, "dm.send", dm_on_send, DK_CLIENT | DK_USER | DK_PUFFER,                                              \
	  "a message to a user, wherever it is; answered when it is there", DK_IN(bytes16(message), flag(reliable), str16(uid)),   \
	  DK_OUT())                                                                                                                \
	X(struct dms, 1, 702, "dm.connect", dm_on_connect, DK_CLIENT | DK_USER | DK_PUFFER,                                        \
	  "finds a user, so that messages to it need no search", DK_IN(str16(uid)), DK_OUT())

/* P(ver, cmd, name, ident, flags, fields): what the plugin pushes. uid: who says it. */
#define DM_PUSHES(P)                                                                                                               \
	P(1, 700, "dm.disconnected", dm_push_disconnected, DK_PUFFER, DK_OUT(bytes16(message), str16(uid)))                        \
	P(1, 701, "dm.message", dm_push_message, DK_PUFFER, DK_OUT(bytes16(message), str16(uid)))                                  \
	P(1, 703, "dm.replaced", dm_push_replaced, DK_PUFFER, DK_OUT(str16(reason)))

#endif
