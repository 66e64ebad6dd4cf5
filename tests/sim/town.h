/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster in a simulated world: MARS, realtime nodes, and players, who are real clients (the library's core) on scripted UDP
 * sockets. Players sit in rooms and say numbered things, reliably; who heard which number is written down. What may happen to
 * nodes and links is at the script's hand.
 *
 * MARS is node 0 (10.0.0.1), the realtime nodes are 1, 2, ... (10.0.0.2, ...); players live at 10.1.0.0 and above. Player i sits
 * in room i / room_size.
 */
#ifndef SIM_TOWN_H
#define SIM_TOWN_H

#include <diarkis/client_room.h>
#include <diarkis/cluster.h>
#include <diarkis/room.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include "wires.h"

#define TOWN_NODES 8 /* MARS included */
#define TOWN_PLAYERS 32
#define TOWN_ROOM_SIZE 8
#define TOWN_NUMBERS 1024 /* that a player can say */

struct town_player;

struct town_opts {
	uint64_t seed;
	unsigned nodes; /* realtime ones */
	unsigned rooms, room_size; /* 0 = nobody lives there */
	unsigned replicas;
	uint32_t grace_s; /* DIARKIS_SHUTDOWN_TIMEOUT of the nodes */
	const char *more; /* sections of further plugins of the realtime nodes; NULL = none */
	void (*event)(struct town_player *p, const struct dkc_event *e); /* what players hear, too; NULL = nobody listens */
};

struct town_node {
	struct dk_harness *h; /* NULL: dead, or gone */
	struct dk_cluster *cluster;
	struct dk_room *rooms; /* NULL: MARS */
	struct dk_user *users;
	struct dk_addr mesh; /* as the others name it */
	char ip[16];
	uint64_t boot, drained_ms; /* drained_ms: when it was told to stop; 0 = it was not */
	bool paused;
};

struct town_player {
	struct town *town;
	unsigned index, room, seat;
	struct dkc_client *client;
	struct wires wires;
	struct dk_id52 id; /* of its room, as it knows it */
	bool connected, in_room, asked, gone;
	uint64_t lost_ms; /* when it was told that its room or connection is lost; 0 = not */
	uint64_t heard_ms; /* the last time that it heard anybody */
	uint32_t said;
	uint64_t said_ms[TOWN_NUMBERS];
	uint64_t heard[TOWN_ROOM_SIZE][TOWN_NUMBERS / 64]; /* by seat of the speaker: bit = number */
	uint32_t next[TOWN_ROOM_SIZE]; /* by seat: the least number that is not late */
};

struct town {
	struct town_opts o;
	struct dk_env *world;
	struct dkc_ctx *ctx;
	struct town_node node[TOWN_NODES];
	unsigned node_n; /* MARS included */
	struct town_player *player;
	unsigned player_n;
	uint64_t heard, doubled; /* messages, by all */
	bool lossy; /* links lose packets, or did */
	char trouble[512]; /* the first thing that went wrong; empty = nothing */
};

/* Nodes run, see each other, and all players are in their rooms. Exits with a sentence when that does not come about. */
struct town *town_new(const struct town_opts *o);
/* Stops what still runs. Returns what is wrong with the nodes' ends, as dk_harness_free(). */
int town_free(struct town *t);

uint64_t town_now(const struct town *t); /* ms */
void town_run(struct town *t, uint64_t ms);
/* Writes down what went wrong, unless something did before. */
void town_fail(struct town *t, const char *fmt, ...) DK_PRINTF(2, 3);

void town_say(struct town *t, unsigned player);
/* Whether that player heard that number of that speaker. */
bool town_heard(const struct town_player *p, const struct town_player *speaker, uint32_t number);
/* The node that owns the room which these players sit in: its number; 0 = none, TOWN_NODES = several. */
unsigned town_owner(struct town *t, unsigned room);

/* A node that was killed begins anew, under its old address; it serves a little later. */
void town_start(struct town *t, unsigned node);
void town_kill(struct town *t, unsigned node);
void town_pause(struct town *t, unsigned node, bool on);
/* SIGTERM; the node is gone, and looked at, when it has ended. */
void town_drain(struct town *t, unsigned node);
/* How node a sees that boot of node b; 0 = it does not know it (any more). */
enum dk_health town_sees_boot(struct town *t, unsigned a, unsigned b, uint64_t boot);
/* The same of the boot that runs, or ran last. */
enum dk_health town_sees(struct town *t, unsigned a, unsigned b);

#endif
