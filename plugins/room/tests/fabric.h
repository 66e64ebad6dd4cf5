/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster under a test's hand, in the place of the plugins mesh and mars: nodes of one world, each with the plugins fabric, user,
 * mem and room, and whatever the test adds. What nodes say to each other takes a millisecond or more, keeps its order, and
 * waits at most three seconds for a way that is cut. What a node believes of another one is what the test says.
 */
#ifndef ROOM_FABRIC_H
#define ROOM_FABRIC_H

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/mem_transport.h>
#include <diarkis/plugin.h>
#include <diarkis/room.h>
#include <diarkis/room_commands.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

enum {
	FABRIC_NODES = 5,
	FABRIC_VER_ALONE = 9 /* pushes of this version are no lists */
};

struct fabric;
struct player;

struct fabric_node {
	struct dk_harness *h; /* NULL: not there */
	struct fabric *state;
	struct dk_user *users;
	struct dk_room *rooms;
	struct dk_mem *mem;
	struct dk_addr addr;
	uint64_t boot;
};

extern struct dk_env *fabric_world;
extern struct fabric_node fabric[FABRIC_NODES];
extern const char *const *fabric_env; /* "NAME=value" of all nodes, NULL-terminated; NULL: none */

/* n nodes; room: options of the plugin room; plugins: of the test, NULL-terminated or NULL; more: their sections. */
void fabric_open(unsigned n, uint64_t seed, const char *room, const struct dk_plugin_desc *const *plugins, const char *more);
/* Stops all of them; fails the test when one left anything. */
void fabric_close(void);
void fabric_run(uint64_t ms);
/* Stops and frees one, as SIGTERM would. */
void fabric_stop(unsigned i);
void fabric_kill(unsigned i); /* nobody is told */
void fabric_restart(unsigned i); /* a new boot at the same address */
void fabric_pause(unsigned i, bool on);
/* Cuts the way between two nodes, or opens it. */
void fabric_cut(unsigned a, unsigned b, bool cut);
/* Node i thinks so of j from now on, and is told. */
void fabric_believe(unsigned i, unsigned j, enum dk_health health);
/* Node i forgets j; and hears of the same one again. */
void fabric_remove(unsigned i, unsigned j);
void fabric_rejoin(unsigned i, unsigned j);
/* Node i serves nothing but transports of that type, says the cluster. */
void fabric_serves(unsigned i, const char *type);
/* Says that node i has gone offline. */
void fabric_offline(unsigned i);
/* Each message takes 1 ms and up to this more. */
void fabric_jitter(uint32_t ms);
/* The service's function of that name, asked by this plugin; nobody looks at the answer. */
void fabric_cancel_far(unsigned i, const struct dk_id52 *id, const dk_str *uids, size_t n);
int64_t fabric_count(unsigned i, const char *counter); /* of the plugin room */

/* ---- what the test's own plugins see ---- */

/* The plugin "probe": its state is struct probe, init its function or NULL; then come rows of what it needs. */
#define FABRIC_PROBE(init_, ...)                                                                                                   \
	static const struct dk_need probe_needs[] = { __VA_ARGS__, { 0 } };                                                        \
	static const struct dk_ops probe_ops = { .init = init_ };                                                                  \
	DK_PLUGIN(probe) = {                                                                                                       \
		DK_PLUGIN_HEAD("probe", "1", "the test's own"),                                                                    \
		.self_size = sizeof(struct probe),                                                                                 \
		.needs = probe_needs,                                                                                              \
		.ops = &probe_ops,                                                                                                 \
	}
/* Its state on that node. */
void *fabric_probe(unsigned i);
/* Writes down a line, which begins with the number of the plugin's node, from 1 on. */
void fabric_event(void *self, const char *fmt, ...) DK_PRINTF(2, 3);
/* All lines since the last look, until the next one. */
const char *fabric_events(void);
void fabric_expect(const char *want); /* they are these */

/* ---- rooms ---- */

/* Of that player, or of nobody. Fails the test when it is refused. */
dk_id fabric_room(unsigned i, const struct player *owner, const struct dk_room_opts *opts, struct dk_id52 *ret_id);
/* The room as that node has it now; 0 = it does not, or is not there. */
dk_id fabric_room_at(unsigned i, const struct dk_id52 *id);
struct dk_room_info fabric_room_info(unsigned i, const struct dk_id52 *id);
void fabric_join(struct player *p, const struct dk_id52 *id); /* it and the room are on one node */

/* How often a word stands in a text. */
unsigned times(const char *text, const char *word);

/* ---- clients, through the transport mem, that follow reconnect instructions by themselves ---- */

struct player {
	char name[16];
	uint8_t sid[16];
	unsigned node;
	struct dk_mem_client *end;
	bool gone; /* its connection has ended */
	size_t n; /* of the log; what lies behind it is nothing */
	char log[65536];
};

struct player *player_new(unsigned node, const char *name);
dk_id player_user(const struct player *p); /* at its node; 0 = none */
void player_send(struct player *p, uint8_t ver, uint16_t cmd, dk_slice payload);
void player_leave(struct player *p);
/* Goes to another node by itself, with its sid. False: nobody there knows it. */
bool player_turn_to(struct player *p, unsigned node);
/* What it heard since the last look: "cmd ok|bad|err|push|alone bytes\n";
 * of structured errors "cmd bad|err code text\n", and "ver.cmd note bytes\n" of the answers to its signs of
 * life, every two seconds; unprintable bytes as dots, ids of rooms as #. */
const char *player_heard(struct player *p);

#endif
