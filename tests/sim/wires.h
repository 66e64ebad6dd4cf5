/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client of the library (its core) needs of a simulated world: sockets, a clock, chance. While the world runs it goes by
 * itself: it is fed, woken when it wants to be, sent on to other nodes, and may try one beside its own. Whoever had it do anything
 * from outside pumps it.
 */
#ifndef SIM_WIRES_H
#define SIM_WIRES_H

#include <diarkis/client.h>
#include <diarkis/test.h>

/* Zeroed before wires_open(), and there as long as the world runs. */
struct wires {
	struct dk_env *world;
	struct dkc_client *client; /* borrowed */
	bool stream;
	char from[32];
	struct dk_sim_udp *udp;
	struct dk_sim_tcp *tcp;
	struct dk_addr server, try; /* try: of a node that may have taken its room over */
	uint64_t tick_at; /* ms; 0 = none asked for */
	void (*tap)(void *arg, dk_slice datagram); /* sees what it sends over UDP; NULL: nobody does */
	void *arg;
};

/* The options' chance is the world's from now on. */
void wires_chance(struct dkc_ctx_opts *o, struct dk_env *world);
static inline uint64_t wires_now_us(const struct dk_env *world)
{
	return dk_sim_now(world) * 1000;
}

/* Connects a client over UDP or TCP; from: "10.1.0.1" or "10.1.0.1:5000". Returns 0 or < 0. */
int wires_open(struct wires *w, struct dk_env *world, struct dkc_client *client, bool stream, const char *from);
/* Its sockets go, without a word, and the client may. */
void wires_cut(struct wires *w);
/* Sends what is there to be sent. */
void wires_pump(struct wires *w);

#endif
