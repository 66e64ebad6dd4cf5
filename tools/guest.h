/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest of the mesh with a socket and a clock: it asks one node one thing at a time, what operators may ask. The answer is one
 * datagram.
 */
#ifndef TOOLS_GUEST_H
#define TOOLS_GUEST_H

#include "tools/probe.h"
#include "wire/cluster_guest.h"

struct guest_key { /* who is let in */
	const char *file; /* NULL: where the environment says, as for a node */
	const char *cluster; /* name; NULL: "diarkis" */
};

struct guest {
	const struct probe *probe;
	struct wire_guest *wire;
	struct probe_target to;
	bool keyed;
	int fd;
};

/* 0; 1 and why: there is no way there; DK_EXIT_CONFIG and why: the key is no good. guest_close() in any case. */
int guest_open(struct guest *g, const struct probe *p, const struct guest_key *key, char why[PROBE_WHY]);
void guest_close(struct guest *g);
/* Asks until p->deadline. 0 and what was answered with DK_STATUS_OK (valid until the next call), or 1 and why. Without any answer
 * it may have run all the same. */
int guest_ask(struct guest *g, uint16_t cmd, dk_slice payload, dk_slice *ret_body, char why[PROBE_WHY]);

#endif
