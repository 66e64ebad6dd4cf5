/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of diarkis-bot share: options, scenarios, a run of them, and the fetching of endpoints. */
#ifndef TOOLS_BOT_H
#define TOOLS_BOT_H

#include <stdio.h>

#include <diarkis/client.h>

#include "tools/bot_net.h"
#include "tools/hist.h"

/* ---- bot_options.c: one table of them, for the command line, the environment and scenario files ---- */

#define BOT_NO_BOUND UINT32_MAX

struct bot_options {
	const char *endpoint, *type, *client_key, *prefix, *join, *with, *address;
	bool tcp, json, quiet, reliable, allow_empty;
	enum dkc_protocol protocol; /* of tcp and type */
	uint32_t bots, size, seconds, messages, interval_ms, echo_ms, ttl_s, first, pid, batch_us, port, retry_ms, max_retry,
		spawn_ms, visitors, stay_ms;
	uint32_t circle; /* members of a room, a group, a session; --room-size, --members */
	uint32_t room_ttl_s, drain_s, gap_ms;
	double rate;
	/* bounds of a run in a cluster that is disturbed; BOT_NO_BOUND = any number is good */
	uint32_t max_gap_ms, max_gap_p99_ms, max_told_ms, max_rooms_lost, max_disconnected, max_lost, max_lost_calm, max_wrong,
		max_doubled_calm;
	uint32_t min_notices;
	bool lossless; /* max_lost, max_wrong = 0 */
	bool seconds_given, bounded; /* bounded: the bounds alone decide about the exit status */
};

extern const struct bot_options bot_defaults;

/* Options in the environment: DIARKIS_BOT_ROOM_SIZE for --room-size. False after a sentence on stderr. */
bool options_from_environment(struct bot_options *o);
/* Options among the arguments; *ret_word: the first one that is none, or argc. Returns -1 when all is well, or the exit status. */
int options_from_arguments(struct bot_options *o, int argc, char **argv, int *ret_word);
/* One option by its name, '-' and '_' being the same; where: what a sentence on stderr begins with. text stays the caller's, who
 * keeps it. NULL is fine for what is only there or not. False after that sentence, or when there is none of that name. */
bool options_set(struct bot_options *o, const char *where, const char *name, const char *text);
bool options_is_text(const char *name); /* its value is no number, and no truth value */
bool options_is_of_run(const char *name); /* and not of a scenario in it */
/* What follows from the others; false after a sentence on stderr. */
bool options_settle(struct bot_options *o);
void options_help(FILE *out);

/* ---- scenarios: what bots do once they are connected; one file each, bot_NAME.c ---- */

struct run;

/* One scenario in a run, with options of its own. A run may have several: then each bot does all of them at once. */
struct part {
	const struct scenario *scenario;
	const struct bot_options *o;
	struct run *run;
	void *self; /* the scenario's */
};

struct scenario {
	const char *name, *summary;
	bool by_itself; /* no part of mixed, unless --with names it */
	bool in_room; /* its bots are in rooms, which a bot can do once at a time */
	/* Memory, and options that do not fit. *ret_self goes to close, which accepts what a failed open left. 0, or <0 after a
	 * sentence on stderr. */
	int (*open)(struct part *p, void **ret_self);
	void (*close)(struct part *p);
	/* The bot's first connection stands. */
	void (*connected)(struct part *p, uint32_t bot);
	/* Everything that happens to a bot, the first connection too; may be NULL. */
	void (*event)(struct part *p, uint32_t bot, const struct dkc_event *e);
	/* Asked each turn when all bots are connected: true when the run may begin. NULL = it may. */
	bool (*ready)(struct part *p, uint64_t now);
	/* The run begins; send is called each turn from then on until it is true, for all is sent, or until time is over. */
	void (*start)(struct part *p, uint64_t now);
	bool (*send)(struct part *p, uint64_t now);
	/* It is over; then asked each turn: true when nothing more can come. NULL = nothing comes. */
	void (*stop)(struct part *p, uint64_t now);
	bool (*drained)(struct part *p, uint64_t now);
	/* A visitor has come: it does a little of what this scenario is about. Each request that it makes goes to visits_answered
	 * with arg. May be NULL. Returns how many it made. */
	uint32_t (*visit)(struct part *p, struct dkc_client *c, void *arg);
	/* A few words for the line of each second, of what happened since the last one. */
	void (*progress)(struct part *p, FILE *out, uint64_t now);
	/* The figures, of a run that may still go on: JSON members, each with a comma before it, or lines for people. */
	void (*report)(struct part *p, FILE *out, bool json);
	/* True when something is wrong that nobody set a bound to, or a bound was not kept: sentences on stderr. */
	bool (*broken)(struct part *p);
};

/* By name; NULL = there is none. */
const struct scenario *scenario_named(const char *name);
void scenarios_names(FILE *out); /* all in one line */
void scenarios_help(FILE *out); /* a line for each */
extern const struct scenario scenario_room, scenario_state, scenario_group, scenario_session, scenario_dm, scenario_dive,
	scenario_notifier, scenario_find, scenario_idle;

/* ---- bot_run.c: bots that connect, do what their scenarios say, and leave ---- */

#define PARTS_MAX 8
#define WATCH_REASONS 16
#define WATCH_SAID 8

enum phase { CONNECT, GATHER, RUN, DRAIN, DONE };

struct bot {
	struct net_bot net; /* first: bot_net.c steps through them */
	struct run *run;
	uint32_t index;
	bool up, lost; /* has had its connection; has lost it for good */
	bool searching; /* for its room */
	uint64_t searched_ns; /* since when */
	uint64_t heard_ns; /* when anything came last */
};

struct visits; /* bot_visit.c */

struct disturbance {
	uint64_t from_ns, to_ns;
};
#define DISTURBANCES_MAX 64

struct run {
	const char *name; /* of the scenario, or "mixed", or of the file */
	const struct bot_options *o;
	struct part parts[PARTS_MAX];
	uint32_t part_n;
	struct net *net;
	struct fetch *fetch;
	struct dkc_ctx *ctx;
	struct bot *bots;
	uint32_t started, connected, lost_bots;
	enum phase phase;
	bool failed;
	uint32_t sent_out; /* parts that have sent all, as bits */
	uint64_t start_ns, phase_ns, run_ns, stop_ns; /* beginnings of: all, this phase, RUN, DRAIN */
	uint64_t unix_offset_ns, refused, moves, searches, resumed, echoes, was_echoes;
	uint32_t searching; /* now */
	uint32_t reasons[WATCH_REASONS]; /* by enum dkc_reason; from WATCH_SAID on by what the server said */
	/* Times in which a node was silent, as its clients noticed, with what may have got lost before they did. */
	struct disturbance disturbances[DISTURBANCES_MAX];
	uint32_t disturbance_n;
	uint64_t rss_before, rss_after;
	struct hist rtt_before, rtt;
	double was_cpu, cpu_start;
	struct visits *visits; /* NULL = nobody comes and goes */
	FILE *figures; /* gets them as a line of JSON each second and at the end; NULL = nobody */
};

/* Adds the scenarios of a list of names, separated by commas; NULL = all of mixed. Their options are not set. Returns 0, -ENOENT
 * (a name is none) or -E2BIG, with some of them added. */
int parts_add(struct run *r, const char *list);
/* Can one bot do all of that at once? Else says why not on stderr; where: the beginning of that sentence. */
bool parts_fit(const struct run *r, const char *where);
/* Runs parts to their end: [0, part_n) of r, whose name, o and parts' scenario and o are set. Returns the exit status. */
int run_all(struct run *r);
/* A sentence, and the end of the run. */
void run_fail(struct run *r, const char *what, const char *why);
/* A message that was sent then may have been lost with a node. */
bool run_disturbed_at(const struct run *r, uint64_t ns);
static inline struct dkc_client *run_client(const struct part *p, uint32_t bot)
{
	return p->run->bots[bot].net.client;
}
uint32_t run_echo_ms(const struct run *r); /* the time between heartbeats */
uint64_t run_unix_ms(const struct run *r, uint64_t ns); /* 0 stays 0 */
/* Whether `is` is over a bound, and then a sentence on stderr. */
bool run_over(const char *what, double is, const char *unit, uint32_t bound);

/* ---- bot_visit.c: bots behind those of the scenarios that come, do a little and go, again and again ---- */

#define VISITOR_ADDRESSES 2 /* of each; so many bots it takes */
/* Returns 0 or -ENOMEM. */
int visits_open(struct run *r);
void visits_close(struct run *r);
void visits_turn(struct run *r, uint64_t now); /* while the run goes on */
void visits_endpoint(struct run *r, uint32_t bot, const struct dkc_endpoint *endpoint, const char *why);
void visits_report(struct run *r, FILE *out, bool json);
bool visits_broken(struct run *r);
/* For scenarios: an answer to what a visitor asked. */
void visits_answered(void *arg, struct dkc_client *client, const struct dkc_reply *reply);

/* ---- bot_report.c ---- */

void run_progress(struct run *r, uint64_t now); /* lines on standard error */
void run_report(struct run *r, FILE *out, bool json);
bool run_broken(struct run *r);
void report_quantiles(FILE *out, const char *name, const struct hist *h, bool json);
/* "812 us", "51.3 ms": text in buf. */
const char *report_time(uint64_t ns, char *buf, size_t cap);
static inline double report_ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

/* ---- bot_fetch.c: endpoints over one pipelined HTTP connection ---- */

struct fetch;
/* endpoint NULL: why says what went wrong. */
typedef void fetch_fn(void *arg, uint32_t bot, const struct dkc_endpoint *endpoint, const char *why);

/* Who a bot is; returns buf. */
const char *fetch_uid(const struct bot_options *o, uint32_t bot, char *buf, size_t cap);
/* Returns 0 or <0, then after a sentence on stderr. */
int fetch_new(const struct bot_options *o, fetch_fn *fn, void *arg, struct fetch **ret_fetch);
void fetch_free(struct fetch *f);
/* One bot wants another endpoint, with a user id of that number. It may have one request under way. */
void fetch_one(struct fetch *f, struct net *net, uint32_t bot, uint32_t number);
/* Asks for bots [0, upto) as far as that was not done before, and as far as the pipeline allows: call it each turn. */
void fetch_upto(struct fetch *f, struct net *net, uint32_t upto);
void fetch_ready(struct fetch *f, struct net *net, uint32_t events);

/* ---- bot_process.c ---- */

/* Bytes of memory that a process has resident; 0 = unknown. */
uint64_t process_resident(uint32_t pid);
/* CPU seconds of this process so far. */
double process_cpu_s(void);
/* Set by the first SIGINT or SIGTERM; the second one kills. */
bool process_interrupted(int signal_fd);
int process_signal_fd(void);

#endif
