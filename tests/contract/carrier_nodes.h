/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that do nothing but carry: each has a carrier and a plugin `probe`, which writes down what comes. Node i of a world has the
 * address 10.0.0.(i + 1).
 */
#ifndef CARRIER_NODES_H
#define CARRIER_NODES_H

#include <diarkis/carrier.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>

#define NODES_MAX 16
#define NODES_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

enum { PROBE_NOTE = 20001, PROBE_ECHO, PROBE_LATER, PROBE_BIG, PROBE_TOOL };

struct probe {
	struct dk_self base;
	struct dk_carrier *carrier;
	char got[65536]; /* what notes said, one line each: "PORT text" */
	size_t got_n, got_bytes, got_count;
	uint32_t echoes, laters, tools, refuse;
	dk_id later;
	int links_up, links_down;
	uint64_t deadline; /* of the last call of PROBE_ECHO, less its time */
	struct dk_addr from;
	uint32_t seen[4096]; /* how often each number that a note began with has come */
};
extern const struct dk_plugin_desc dk_plugin_probe;

struct nodes {
	struct dk_env *world;
	struct dk_harness *at[NODES_MAX];
	struct probe *probe[NODES_MAX];
	struct dk_addr addr[NODES_MAX];
	size_t n;
};

/* The configuration of node i, with a carrier and `probe = {};` in it. more: options of that carrier, or NULL. */
typedef void nodes_config_fn(size_t i, const char *more, char *buf, size_t n);
nodes_config_fn nodes_config; /* the plugin mesh, with a cluster key */
/* A world of n nodes. */
void nodes_make(struct nodes *w, size_t n, uint64_t seed, const char *more);
void nodes_make_of(struct nodes *w, size_t n, uint64_t seed, nodes_config_fn *configure, const char *more);
/* One more node, or the same one anew. more as above. NULL: it did not start. */
struct dk_harness *node_start(struct nodes *w, size_t i, const char *config);
void nodes_free(struct nodes *w);
bool nodes_run_until(struct nodes *w, bool (*done)(void *arg), void *arg, uint64_t limit_ms);
int64_t node_counter(struct nodes *w, size_t i, const char *name);

/* What a request came to. */
struct outcome {
	unsigned called;
	int err, status;
	uint64_t at_ms;
	size_t n;
	char body[256];
	struct dk_self *self;
};
dk_carrier_done_fn outcome_done;

static inline dk_slice text(const char *s)
{
	return dk_slice_of(dk_str_c(s));
}
void node_turn(struct nodes *w, size_t i);
int node_note(struct nodes *w, size_t from, size_t to, const char *note, unsigned how);
int node_ask(struct nodes *w, size_t from, size_t to, uint16_t cmd, const char *payload, uint32_t timeout_ms, struct outcome *o,
	     dk_id *ret_id);

#endif
