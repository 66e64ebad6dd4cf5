/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways of diarkis-health-check to ask. Each answers 0 (well) or 1, and one sentence.
 */
#ifndef TOOLS_HEALTH_H
#define TOOLS_HEALTH_H

#include "tools/guest.h"

#define HEALTH_MS 900 /* a probe of Kubernetes is given up after a second, and starting takes time, too */

/* A SYN with a sid that nobody has: a server says at once that it does not know it. Where there is no UDP, a TCP server is one
 * that ends a connection with such a sid. */
int health_out(const struct probe *p, char why[PROBE_WHY]);
/* Over the mesh: is the node there, and, with mars, does it hear a registry? DK_EXIT_CONFIG: the cluster key is no good. */
int health_mesh(const struct probe *p, const struct guest_key *key, bool mars, char why[PROBE_WHY]);

#endif
