/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The failure detector: what to think of a node that is silent. Pure: it is told the time, what was heard and what others heard;
 * it answers with a verdict and with what is to be asked. It knows no address, sends nothing and allocates nothing.
 *
 * It keeps a clock of its own, which stands still while this node was stalled: a node that did not run has heard nothing, and
 * must not blame others for it.
 */
#ifndef MARS_DETECTOR_H
#define MARS_DETECTOR_H

#include <diarkis/cluster.h>

struct mars_detector_conf {
	uint32_t tick_ms; /* how often mars_detector_tick() is called */
	uint32_t suspect_ms, dead_ms; /* of silence */
	uint32_t probe_ms; /* between two rounds of questions about a silent node */
	uint32_t evidence_ms; /* what others heard counts while it is younger than this */
	uint32_t stall_ms; /* a tick that comes later than this was no tick but a stall */
};

struct mars_detector {
	struct mars_detector_conf conf;
	uint64_t ticked, woke; /* node clock: the last tick, the end of the last stall */
	uint64_t stalled, last_stall; /* all that was stalled so far: node clock - stalled = own clock; and the last one alone */
	uint64_t stalls;
};

/* A node that is watched. */
struct mars_watch {
	uint64_t heard, evidence; /* own clock; by this node itself, and by others (0 = never) */
	uint64_t heard_at; /* node clock, as it was told */
	uint64_t probe_at; /* own clock: the next round of questions */
	enum dk_health health; /* DK_ALIVE, DK_SUSPECT or DK_DEAD */
	bool degraded; /* alive by what others say alone */
};

/* What a step found; flags. */
enum mars_step {
	MARS_SUSPECTED = 1,
	MARS_DIED = 2,
	MARS_RECOVERED = 4, /* from suspect or dead */
	MARS_DEGRADED = 8, /* w->degraded changed */
	MARS_PROBE = 16 /* ask the node for a sign of life, tell it what is thought of it, and ask others when they heard it */
};

void mars_detector_init(struct mars_detector *d, const struct mars_detector_conf *conf, uint64_t now);
/* Every tick_ms, before the steps of this tick. Returns for how long this node was stalled; 0 = it was not. */
uint64_t mars_detector_tick(struct mars_detector *d, uint64_t now);
/* Whether this node may tell others when it heard somebody: not right after a stall, when old packets look new. */
bool mars_detector_may_vouch(const struct mars_detector *d, uint64_t now);

/* Begins to watch a node that was last heard of age_ms ago. */
void mars_watch_init(const struct mars_detector *d, struct mars_watch *w, uint64_t now, uint64_t age_ms);
/* The node was heard at that time; telling the same again is fine. */
void mars_watch_heard(const struct mars_detector *d, struct mars_watch *w, uint64_t at);
/* Somebody else heard it age_ms ago. */
void mars_watch_evidence(const struct mars_detector *d, struct mars_watch *w, uint64_t now, uint64_t age_ms);
/* Judges anew; returns flags of enum mars_step. */
unsigned mars_watch_step(const struct mars_detector *d, struct mars_watch *w, uint64_t now);
/* When the next step can find something, on the node's clock, if nothing is heard until then. */
uint64_t mars_watch_due(const struct mars_detector *d, const struct mars_watch *w);

/* Somebody thinks this node silent, in that incarnation of it. Returns true when that is to be refuted: *incarnation is one
 * higher then, and must be announced. False: an old accusation, or one of an incarnation that never was. */
bool mars_refute(uint32_t *incarnation, uint32_t accused);

#endif
