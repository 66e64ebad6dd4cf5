/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of the plugin mars, shared by its files: mars.c (the plugin and its rows), mars_agent.c (what this node tells and hears),
 * mars_view.c (who is there, as the service tells it), mars_registry.c (registries: being one, and asking them), mars_report.c
 * (what people are shown). detector.c, records.c, values.c and shared.c know no node.
 */
#ifndef MARS_STATE_H
#define MARS_STATE_H

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/mars_commands.h>
#include <diarkis/transport.h>

#include "mars_messages.h"
#include "records.h"

#define MARS_REGISTRIES_MAX 3
#define MARS_SEEDS_MAX 16
#define MARS_STABLE_MAX 1024
#define MARS_BEAT_PAYLOAD 64
/* A registry that began this recently may not have heard of everybody yet. */
#define MARS_FRESH_MS 1000
/* A node waits this long for its first view. */
#define MARS_SYNC_MS 2000
/* The same question is not asked more often than this. */
#define MARS_PULL_EVERY_MS 200

struct mars_conf {
	bool serve, metrics_logging, debug;
	const char *address, *app_name, *version;
	int64_t port, max_nodes;
	int isolation, level;
	struct dk_strs full_sync_roles, peers;
	int64_t beat_ms, suspect_ms, dead_ms, probe_ms, relays, evidence_ms, stall_ms, remove_s, tombstone_s;
};

/* A name or address that is spoken to without being a member: a registry, or a node that is believed to be there. */
struct mars_place {
	struct mars *m;
	const char *text;
	struct dk_addr addr; /* family 0: not resolved yet */
	uint64_t resolve_at; /* node clock; when the name is asked again */
	uint64_t answered_at, pulled_at;
	uint32_t nodes; /* as a registry answered */
	bool asking, full;
};

/* A boot of which the majority is counted. */
struct mars_stable {
	uint64_t boot, dead_at; /* dead_at: node clock; 0 = not dead */
};

struct mars {
	struct dk_self base;
	struct dk_cluster svc;
	struct dk_carrier *carrier;
	DK_LIST_OF(struct dk_transport) transports;

	struct mars_detector detector;
	struct mars_table table;
	struct mars_record me;
	struct mars_values values; /* of this node */
	struct mars_shared shared;
	uint64_t refuted_at, started_at, beat_at;
	uint64_t digest; /* of the view, as of the last beat */

	struct mars_place registries[MARS_REGISTRIES_MAX], seeds[MARS_SEEDS_MAX];
	size_t registry_n, seed_n;
	bool serving; /* this node is a registry */
	bool synced, up, full; /* up: `started`, so ONLINE */
	struct dk_addr served; /* where, when serving */
	struct dk_step *ready;
	struct dk_step *stopping;

	/* boots of the last stable view, this node's included */
	struct mars_stable stable[MARS_STABLE_MAX];
	size_t stable_n;
	bool is_majority; /* as of the last tick */
	uint64_t majority_at; /* since when again; 0 = it always was */

	struct dk_timer tick, beat, copies, metrics;
	unsigned copies_left; /* of an announcement to everybody */
	struct {
		uint64_t beats_in, beats_out, announced_in, announced_out, pulls_in, pulls_out, tables_in, tables_out;
		uint64_t asks_in, asks_out, ages_in, ages_out, joined, changed, suspected, recovered, left, died, removed, refuted,
			stalls;
		uint64_t refused_malformed, refused_address, refused_boot, refused_foreign, refused_buried, refused_two_places,
			refused_full, refused_stranger, unresolved;
		int64_t nodes, degraded;
	} n;
};

static inline const struct mars_conf *mars_conf(const struct mars *m)
{
	return m->base.conf;
}

static inline struct mars *mars_of(struct dk_cluster *c)
{
	return dk_container_of(c, struct mars, svc);
}

/* ---- mars_agent.c ---- */

int mars_agent_start(struct mars *m);
/* This node's record is made anew; when something differs it is announced. */
void mars_agent_refresh(struct mars *m);
/* The record changed: it is told to everybody at once, three times. */
void mars_agent_announce(struct mars *m);
/* Tells one place. flags: enum mars_announce_flag. */
void mars_agent_tell(struct mars *m, const struct dk_addr *to, unsigned flags);
void mars_agent_leave(struct mars *m, struct dk_step *step);
/* Rows of the shared data to everybody, or to one. */
void mars_agent_share(struct mars *m, const struct dk_addr *to);
/* Sends the records of buckets that differ from those (MARS_BUCKETS x u32), as the asker may see them. */
void mars_agent_table(struct mars *m, const struct dk_addr *to, const struct mars_record *asker, dk_slice buckets);
/* When the member was last heard, on the node's clock; 0 = never. */
uint64_t mars_agent_heard(struct mars *m, const struct mars_member *member);
/* The digest of all that is there for a node like that one. buckets: MARS_BUCKETS numbers, or NULL. */
uint64_t mars_agent_digest(struct mars *m, const struct mars_record *asker, uint32_t *buckets);

void mars_agent_beat(struct mars *m, const struct dk_addr *to, unsigned flags, uint32_t accused);
/* Judges one member anew, and tells what is found. */
void mars_agent_judge(struct mars *m, struct mars_member *member);

/* ---- mars_hear.c: handlers of the messages ---- */

int mars_hear_announce(struct mars *m, struct dk_call *call);
int mars_hear_beat(struct mars *m, struct dk_call *call);
int mars_hear_table(struct mars *m, struct dk_call *call);
int mars_hear_ask(struct mars *m, struct dk_call *call);
int mars_hear_age(struct mars *m, struct dk_call *call);
int mars_hear_want(struct mars *m, struct dk_call *call);
int mars_hear_values(struct mars *m, struct dk_call *call);
int mars_hear_shared(struct mars *m, struct dk_call *call);
/* The member is dropped as if it had left; it comes back with its next announcement. */
void mars_hear_forget(struct mars *m, struct mars_member *member);

/* ---- mars_view.c ---- */

void mars_view_init(struct mars *m);
/* Tells listeners, and keeps counters and the stable view. */
void mars_view_event(struct mars *m, struct mars_member *member, enum dk_cluster_change change);
/* Every tick: the stable view, and whether the first view is here. agreed: somebody has the same view. */
void mars_view_settle(struct mars *m, bool agreed);
/* Runs change(m, arg) and tells of what it did to the shared data. */
void mars_view_shared(struct mars *m, const struct mars_shared_row *before, size_t n);
/* Copies the rows that are there; returns how many. */
size_t mars_view_shared_copy(const struct mars *m, struct mars_shared_row rows[DK_SHARED_MAX]);
bool mars_view_alive(const struct mars_member *member); /* of this cluster, and not silent */

/* ---- mars_registry.c ---- */

int mars_registry_init(struct mars *m);
int mars_registry_start(struct mars *m);
void mars_registry_beat(struct mars *m); /* announces to registries and seeds */
void mars_registry_tell(struct mars *m); /* the record changed */
int mars_registry_answered(struct mars *m, struct dk_call *call);
/* After an announcement that asked for it. */
void mars_registry_answer(struct mars *m, const struct dk_addr *to, const struct mars_record *who);
bool mars_registry_wants_full(const struct mars *m, const struct mars_record *who);
bool mars_registry_is(const struct mars *m, const struct dk_addr *addr);
bool mars_registry_any(const struct mars *m); /* whether there is somebody to be asked, this node itself aside */
enum mars_health mars_registry_health(struct mars *m, uint32_t *ret_age_ms, uint32_t *ret_nodes);

/* ---- mars_report.c ---- */

/* Writes nodes from the from-th on, this one first, as a JSON array; returns where the next page begins, 0 = there is none. */
uint32_t mars_report_nodes(struct mars *m, struct dk_writer *w, uint32_t from, uint32_t *ret_total);
/* One node as a JSON object; false: it is not known. */
bool mars_report_node(struct mars *m, struct dk_writer *w, const struct dk_addr *addr, const struct mars_values **ret_values);
/* Values as a JSON object, from the from-th on; returns as mars_report_nodes(). */
uint32_t mars_report_values(const struct mars_values *v, struct dk_writer *w, uint32_t from);
void mars_report_shared(const struct mars *m, struct dk_writer *w);
void mars_report_metrics(struct mars *m);

#endif
