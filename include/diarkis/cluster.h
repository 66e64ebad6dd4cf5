/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "cluster": which nodes there are, what they serve, and how they are. The plugin mars provides it. Every node has its own
 * view; views of nodes that hear each other agree within a second of a change. Only nodes of the same application name and of
 * versions that go together are in it.
 *
 * A node is named by its carrier's address. The same address with another boot is another node: the old one is reported gone
 * first. A dead node may prove alive again (recovered); nothing it owned is thrown away for 30 s.
 */
#ifndef DIARKIS_CLUSTER_H
#define DIARKIS_CLUSTER_H

#include <diarkis/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_CLUSTER_NAME "cluster"
#define DK_CLUSTER_MAJOR 1
#define DK_CLUSTER_MINOR 0
#define DK_CLUSTER_TYPE struct dk_cluster

#define DK_CLUSTER_ENDPOINTS 6
#define DK_CLUSTER_VALUE_NAME_MAX 64
#define DK_CLUSTER_VALUE_MAX 512 /* bytes of one node value; 4 KiB for all of a node */
#define DK_SHARED_NAME_MAX 54
#define DK_SHARED_MAX 10

enum dk_health {
	DK_ALIVE = 1,
	DK_SUSPECT, /* silent for 1.5 s */
	DK_LEFT, /* said goodbye */
	DK_DEAD /* silent for 2.4 s, and nobody heard of it */
};

/* What one node serves under one role. */
struct dk_endpoint {
	char role[8]; /* "UDP", "TCP", "WS", "HTTP", "DGS", "MARS" */
	char type[33]; /* what endpoint requests call it: the role, or as renamed */
	char host[256]; /* where clients connect; an address or a name */
	uint16_t port;
	bool encrypted; /* realtime roles: enableEncryption */
};

struct dk_cluster_node {
	struct dk_addr addr; /* of its carrier */
	uint64_t boot; /* random per run */
	uint32_t incarnation;
	enum dk_node_state state; /* as it says of itself */
	enum dk_health health;
	bool degraded; /* heard of through others only */
	uint32_t users;
	char version[33];
	size_t endpoint_n;
	struct dk_endpoint endpoints[DK_CLUSTER_ENDPOINTS]; /* the main one first */
};

enum dk_cluster_change {
	DK_NODE_JOINED = 1,
	DK_NODE_CHANGED, /* state, endpoints, values; a change of the number of users alone is not told */
	DK_NODE_SUSPECTED,
	DK_NODE_RECOVERED, /* from suspect, or from dead */
	DK_NODE_LEFT,
	DK_NODE_DIED,
	DK_NODE_REMOVED /* 30 s after it left or died, or its address has a new boot; node is gone after the signal */
};
struct dk_cluster_event {
	const struct dk_cluster_node *node; /* valid inside the signal */
	enum dk_cluster_change change;
};
struct dk_shared_event {
	dk_str name;
	int16_t value;
	bool removed;
};
/* A question to whoever wants to choose the node for a new user: set *choice to one of at[0...n-1] and return 1; 0 = no opinion. */
struct dk_cluster_pick {
	dk_str type;
	const struct dk_cluster_node *const *at;
	size_t n;
	const struct dk_cluster_node *choice;
};

struct dk_cluster_counts {
	uint32_t online, taken, offline, suspect, dead;
};

struct dk_cluster {
	struct dk_service base;

	DK_SIGNAL(struct dk_cluster_event) changed; /* OnUpdate; never about this node itself */
	DK_SIGNAL(struct dk_cluster_event) synced; /* OnInitialSync: once, with this node; the first view is here, or 2 s passed */
	DK_SIGNAL(struct dk_shared_event) shared_changed;
	DK_FILTER(struct dk_cluster_pick) picking;

	/* Nodes are borrowed: valid until the current callback returns. */
	const struct dk_cluster_node *(*self)(struct dk_cluster *c);
	const struct dk_cluster_node *(*node)(struct dk_cluster *c, const struct dk_addr *addr); /* NULL = not known */
	/* All but this one, dead and left ones included: start with *slot = 0; NULL at the end. */
	const struct dk_cluster_node *(*next)(struct dk_cluster *c, uint32_t *slot);
	/* The endpoint of a node by type, or by role where type is empty; NULL = it has none. */
	const struct dk_endpoint *(*endpoint)(struct dk_cluster *c, const struct dk_cluster_node *node, dk_str type, dk_str role);
	/* An ONLINE and alive node of that type for a new user: by the filter, else the one with the fewest users, else by chance.
	 * others: this node itself is no answer. NULL = none. */
	const struct dk_cluster_node *(*pick)(struct dk_cluster *c, dk_str type, bool others);
	void (*counts)(struct dk_cluster *c, dk_str role, struct dk_cluster_counts *ret_counts);

	/* True while this node sees more than half of the last stable view as alive (itself included; of a tie, the side with the
	 * lowest boot): only then may it take over what a dead node owned. A suspect node does not count as alive, so whoever
	 * is told no asks again when a node recovers or dies. */
	bool (*majority)(struct dk_cluster *c);
	bool (*synced_once)(struct dk_cluster *c);

	/* What this node tells of itself. */
	void (*set_users)(struct dk_cluster *c, uint32_t users); /* rides on the next beat */
	void (*announce)(struct dk_cluster *c); /* something changed (state, endpoints): tell now, not with the next beat */
	/* Node values: seen by nodes of the roles in fullSyncRoles, and by registries. bytes empty = remove. Returns 0,
	 * DK_TOO_LONG, DK_FULL or <0. */
	int (*set_value)(struct dk_cluster *c, dk_str name, dk_slice bytes);
	/* Returns 0, DK_GONE (no such node) or DK_NOT_FOUND. Borrowed as nodes are. */
	int (*get_value)(struct dk_cluster *c, const struct dk_addr *node, dk_str name, dk_slice *ret_bytes);

	/* Shared data: one table of the whole cluster, at most 10 names; the last writer wins. Returns 0, DK_TOO_LONG, DK_FULL. */
	int (*set_shared)(struct dk_cluster *c, dk_str name, int16_t value);
	int (*get_shared)(struct dk_cluster *c, dk_str name, int16_t *ret_value); /* 0 or DK_NOT_FOUND */
	int (*remove_shared)(struct dk_cluster *c, dk_str name); /* 0 or DK_NOT_FOUND */
};

#ifdef __cplusplus
}
#endif

#endif
