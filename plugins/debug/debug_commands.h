/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the plugin debug. They obey whoever is connected. state: 1 ONLINE, 2 OFFLINE, 3 TAKEN, as it is from then on; json:
 * what README.md shows.
 */
#ifndef DIARKIS_DEBUG_COMMANDS_H
#define DIARKIS_DEBUG_COMMANDS_H

#include <diarkis/command.h>

/* clang-format off */
#define DEBUG_ROWS(X, R) \
	X(struct debug, 0, 900, "debug.online", on_online, DK_CLIENT | DK_ADMIN, \
	  "the node is ONLINE again, unless somebody else has it TAKEN", DK_IN(), DK_OUT(u8(state))) \
	X(struct debug, 0, 901, "debug.taken", on_taken, DK_CLIENT | DK_ADMIN, \
	  "the node is TAKEN: it takes no new users", DK_IN(), DK_OUT(u8(state))) \
	X(struct debug, 0, 902, "debug.offline", on_offline, DK_CLIENT | DK_ADMIN, \
	  "the node goes OFFLINE and ends when it is empty, as on SIGTERM", DK_IN(), DK_OUT(u8(state))) \
	X(struct debug, 0, 903, "debug.terminate", on_terminate, DK_CLIENT | DK_ADMIN, \
	  "the same, but all users are disconnected", DK_IN(), DK_OUT(u8(state))) \
	X(struct debug, 0, 904, "debug.rooms", on_rooms, DK_CLIENT | DK_ADMIN, \
	  "the rooms of the node", DK_IN(), DK_OUT(rest(json))) \
	X(struct debug, 0, 905, "debug.users", on_users, DK_CLIENT | DK_ADMIN, \
	  "the users of the node", DK_IN(), DK_OUT(rest(json)))
/* clang-format on */

#endif
