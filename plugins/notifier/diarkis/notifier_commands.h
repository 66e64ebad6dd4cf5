/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of the plugin notifier, as rows: for operators and between nodes. Clients send none. docs/WIRE.md, "notices". */
#ifndef DIARKIS_NOTIFIER_COMMANDS_H
#define DIARKIS_NOTIFIER_COMMANDS_H

#include <diarkis/command.h>

enum notifier_cmd { NOTIFIER_CMD_TAKE = 200, NOTIFIER_CMD_COMPARE = 201, NOTIFIER_CMD_NOTIFY = 202, NOTIFIER_CMD_REMOVE = 203 };

#define NOTIFIER_COMMANDS(X, R)                                                                                                    \
	X(struct notifiers, DK_VER_NODE, 200, "notifier.take", notifier_on_take, DK_INTERNAL,                                      \
	  "notices of another node, and ids that were deleted", DK_IN(rest(records)), DK_OUT())                                    \
	X(struct notifiers, DK_VER_NODE, 201, "notifier.compare", notifier_on_compare, DK_INTERNAL,                                \
	  "all that is shared, unless the calling node has the same", DK_IN(u64(digest)), DK_OUT(rest(records)))                   \
	X(struct notifiers, DK_VER_NODE, 202, "notifier.notify", notifier_on_notify, DK_ADMIN,                                     \
	  "tells all users of the cluster, with version 0 command 400",                                                            \
	  DK_IN(str16(id), str16(name), u32(ttl_ms), flag(reliable), rest(message)), DK_OUT())                                     \
	X(struct notifiers, DK_VER_NODE, 203, "notifier.remove", notifier_on_remove, DK_ADMIN,                                     \
	  "who has not heard it yet does not hear it any more", DK_IN(str16(id)), DK_OUT())

#endif
