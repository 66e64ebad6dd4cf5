/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A carrier and a cluster in one plugin, for tests of what stands on them: messages between the nodes of one world go from hand to
 * hand, after a delay, in order, whatever their way; and the test can lose them. The nodes know each other as soon as they are.
 */
#ifndef USER_TESTS_FAKE_CLUSTER_H
#define USER_TESTS_FAKE_CLUSTER_H

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>
#include <diarkis/transport.h>

enum { FAKE_NODES = 16 };

struct fake; /* the plugin's state on one node */

struct fake_net {
	struct dk_env *world;
	struct fake *nodes[FAKE_NODES];
	size_t n;
	uint32_t delay_ms;
	/* Asked of every message: true = it is lost. cmd 0: an answer. */
	bool (*lose)(uint16_t cmd);
	unsigned sent[128]; /* messages of (254, cmd), answers at 0 */
};

/* The tests' only net; set its world before the first node. */
extern struct fake_net fake_net;
extern const struct dk_plugin_desc dk_plugin_fake_cluster;

void fake_net_reset(struct dk_env *world);

#endif
