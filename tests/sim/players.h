/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Players in a simulated world: real clients (the library's core) on scripted UDP
 * sockets, talking to a real node. Used by the tests of whole rooms and by the lag lab.
 */
#ifndef SIM_PLAYERS_H
#define SIM_PLAYERS_H

#include <diarkis/client.h>
#include <diarkis/test.h>

struct player;
struct scene;

/* One broadcast that reached a player. */
struct heard {
	unsigned from; /* index of the sender */
	uint32_t seq; /* its number among the sender's messages of this kind */
	bool reliable; /* how it was sent */
	uint64_t sent_us, now_us; /* by the world's clock */
};
typedef void heard_fn(void *arg, unsigned player, const struct heard *what);

struct scene_opts {
	uint64_t seed;
	unsigned players;
	const char *udp; /* further options of the plugin udp: "sendUDPInterval = 0;" */
	uint32_t interval_ms; /* of the room */
	struct dk_sim_link link; /* every way, both directions */
	heard_fn *heard;
	void (*tap)(void *arg, unsigned player, dk_slice datagram); /* sees what players send; NULL: nobody does */
	void *arg;
};

/* A node, `players` connected clients, all in one room. The link's faults hold from the first packet
 * on. Exits with a sentence when that does not come about within a minute of the world's time. */
struct scene *scene_new(const struct scene_opts *o);
/* Takes all down; returns what dk_harness_free() does. */
int scene_free(struct scene *s);
struct dk_env *scene_world(struct scene *s);
struct dk_harness *scene_harness(struct scene *s);
/* Broadcasts the player's next message of that kind, with this many bytes (at least 24) of payload. */
void scene_say(struct scene *s, unsigned player, bool reliable, size_t size);
/* Lets time pass. */
void scene_run(struct scene *s, uint64_t ms);

#endif
