/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes of a cluster in one simulated world. Node 0 is a registry at 10.0.0.1, the others serve UDP; node i has the address
 * 10.0.0.(i + 1). Each has the plugin `witness`, which writes down what the service tells, with the time.
 */
#ifndef MARS_MEMBERS_H
#define MARS_MEMBERS_H

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>

#define MEMBERS_MAX 16
#define EVENTS_MAX 4096

struct seen {
	uint64_t at;
	enum dk_cluster_change change; /* 0: shared data */
	struct dk_addr addr;
	uint64_t boot;
	enum dk_node_state state;
	char name[DK_SHARED_NAME_MAX + 1];
	int16_t value;
	bool removed;
};

struct witness {
	struct dk_self base;
	struct dk_cluster *cluster;
	struct dk_carrier *carrier;
	struct seen seen[EVENTS_MAX];
	size_t seen_n;
	unsigned synced;
	uint64_t synced_at;
	size_t pick; /* the filter chooses at[pick - 1]; 0 = it has no opinion */
};

struct members {
	struct dk_env *world;
	struct dk_harness *at[MEMBERS_MAX]; /* NULL: not running */
	struct witness *witness[MEMBERS_MAX];
	struct dk_cluster *cluster[MEMBERS_MAX];
	struct dk_addr addr[MEMBERS_MAX];
	size_t n;
};

/* What differs from the usual node; NULL or "" where nothing does. */
struct member_opts {
	const char *mesh, *mars; /* options of these plugins */
	const char *env; /* one variable */
	const char *registries; /* NULL: the one of node 0; "" = it knows none */
	const char *more; /* sections of other plugins */
	bool no_udp; /* it serves nothing */
};

void members_make(struct members *w, size_t n, uint64_t seed);
struct dk_harness *member_start(struct members *w, size_t i, const struct member_opts *o);
void member_kill(struct members *w, size_t i);
void member_stop(struct members *w, size_t i); /* as SIGTERM does, in good order */
void members_free(struct members *w);
void members_run(struct members *w, uint64_t ms);
bool members_until(struct members *w, bool (*done)(void *arg), void *arg, uint64_t limit_ms);
/* Whether each running node sees each other running one alive, and nobody else alive. */
bool members_agree(void *members);
/* When node i saw that change of node k since that time; 0 = it did not. */
uint64_t member_saw(const struct members *w, size_t i, size_t k, enum dk_cluster_change change, uint64_t since);
const struct dk_cluster_node *member_view(const struct members *w, size_t i, size_t k); /* what i knows of k; NULL = nothing */
int64_t member_counter(struct members *w, size_t i, const char *name);

static inline dk_str text(const char *s)
{
	return dk_str_c(s);
}
static inline dk_slice bytes(const char *s)
{
	return dk_slice_of(dk_str_c(s));
}

#endif
