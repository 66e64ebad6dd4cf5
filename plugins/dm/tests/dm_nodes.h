/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes with the plugins dive and dm, in the cluster of plugins/room/tests/fabric.h, and a plugin of the test that listens on
 * each of them. What the service tells and asks there is written down, one line each: "NODE received FROM>TO text", "NODE cleared
 * UID of USER", "NODE parting USER from PEER", "NODE done ARG RC"; of a probe that is wordy also "NODE rewriting" and "NODE
 * rewriting last" as received, and before the text of all of them VER.CMD.
 */
#ifndef DM_NODES_H
#define DM_NODES_H

#include <diarkis/dm.h>
#include <diarkis/dm_commands.h>

#include "plugins/room/tests/fabric.h"

struct probe {
	struct dk_self base;
	struct dk_user *user;
	struct dk_dm *dm;
	bool veto, drop; /* what it answers */
	bool wordy;
	const char *rewrite, *parting;
};

extern char events[65536];
void event(const char *fmt, ...) DK_PRINTF(1, 2);
/* What was written down since the last look. */
const char *happened(void);

/* dm: options. Runs until the nodes have shared the storage among them. */
void dm_open(unsigned n, uint64_t seed, const char *dm);
struct probe *probe_of(unsigned node);
/* dk_dm_done_fn; arg: a text, or NULL. */
void probe_done(void *self, void *arg, int rc);

void dm_send(struct player *p, const char *to, const char *text);
void dm_connect(struct player *p, const char *to);
void dm_disconnect(struct player *p, const char *to, const char *text);
int64_t dm_count(unsigned node, const char *counter);
/* Moves a player to another node; its client follows by itself. */
int dm_move(struct player *p, unsigned node);

#endif
