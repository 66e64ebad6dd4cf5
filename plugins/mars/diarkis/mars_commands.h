/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be asked of the plugin mars: by operators on a node, by other nodes, and by tools that are guests of the mesh. Every
 * answer to a guest fits one datagram.
 *
 * Nodes are described in JSON, one object each; keys are added at the end, never renamed:
 *   { "address":"10.0.0.1:8000", "boot":"0123456789abcdef", "incarnation":0, "state":"ONLINE",
 *     "health":"ALIVE", "degraded":false, "users":12, "app":"", "version":"0.1.0", "heard_ms":120,
 *     "endpoints":[{"role":"UDP","type":"UDP","host":"h","port":7100}] }
 * state: JOINING, ONLINE, TAKEN, OFFLINE, LEFT, as the node says; health: ALIVE, SUSPECT, LEFT, DEAD, as the one asked sees it,
 * and KEPT for a node of another application or version, which a registry only keeps. heard_ms: since its last packet; -1 = never.
 */
#ifndef DIARKIS_MARS_COMMANDS_H
#define DIARKIS_MARS_COMMANDS_H

#include <diarkis/command.h>

#define MARS_VER DK_VER_NODE

enum mars_cmd { MARS_CMD_SCAN = 1000, MARS_CMD_DEL = 1001, MARS_CMD_SHOW = 1002, MARS_CMD_HEALTH = 1003 };

/* Answer of mars.health, `state`: what the node is connected to. */
enum mars_health { MARS_HEALTH_OK = 1, MARS_HEALTH_SILENT = 2, MARS_HEALTH_NONE = 3 };

#define MARS_QUERIES(X, R)                                                                                                         \
	X(struct mars, DK_VER_NODE, 1000, "mars.scan", mars_on_scan, DK_ADMIN,                                                     \
	  "nodes in the table, a page at a time: from 0, then from next, until next is 0", DK_IN(u32(from)),                       \
	  DK_OUT(u32(next), u32(total), str32(nodes)))                                                                             \
	X(struct mars, DK_VER_NODE, 1001, "mars.del", mars_on_del, DK_ADMIN,                                                       \
	  "drop a node from the table, until it announces itself again; with debug = true only", DK_IN(str16(address)), DK_OUT())  \
	X(struct mars, DK_VER_NODE, 1002, "mars.show", mars_on_show, DK_ADMIN,                                                     \
	  "one node, with the first page; its values, a page at a time as in mars.scan",                                  \
	  DK_IN(str16(address), u32(from)), DK_OUT(u32(next), str32(node), str32(values)))                                         \
	X(struct mars, DK_VER_NODE, 1003, "mars.health", mars_on_health, DK_ADMIN,                                                 \
	  "state 1: a registry answers, 2: none does, 3: none is configured; ms since the last answer", DK_IN(),                   \
	  DK_OUT(u8(state), u32(age_ms), u32(nodes)))

#endif
