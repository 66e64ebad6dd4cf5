/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of diarkis-bot share: options, and the fetching of endpoints. */
#ifndef TOOLS_BOT_H
#define TOOLS_BOT_H

#include <diarkis/client.h>

#include "tools/bot_net.h"

struct bot_options {
	const char *endpoint, *type, *client_key, *prefix;
	enum dkc_protocol protocol;
	uint32_t bots, room_size, size, seconds, messages, interval_ms, echo_ms, ttl_s, first, pid, batch_us, retry_ms, max_retry;
	uint32_t room_ttl_s, drain_s, gap_ms;
	/* bounds of a run in a cluster that is disturbed; BOT_NO_BOUND = any number is good */
	uint32_t max_gap_ms, max_gap_p99_ms, max_told_ms, max_rooms_lost, max_disconnected, max_lost, max_wrong;
	double rate;
	const char *join;
	bool reliable, json, quiet, allow_empty;
	bool bounded; /* they alone decide about the exit status */
};
#define BOT_NO_BOUND UINT32_MAX

int bot_room(const struct bot_options *o);
int bot_idle(const struct bot_options *o);

/* ---- bot_fetch.c: endpoints over one pipelined HTTP connection ---- */

struct fetch;
/* endpoint NULL: why says what went wrong; nothing more is fetched after that. */
typedef void fetch_fn(void *arg, uint32_t bot, const struct dkc_endpoint *endpoint, const char *why);

/* Who a bot is; returns buf. */
const char *fetch_uid(const struct bot_options *o, uint32_t bot, char *buf, size_t cap);
/* Returns 0 or <0, then after a sentence on stderr. */
int fetch_new(const struct bot_options *o, fetch_fn *fn, void *arg, struct fetch **ret_fetch);
void fetch_free(struct fetch *f);
/* Asks for bots [0, upto) as far as that was not done before, and as far as the pipeline allows: call it each turn. */
void fetch_upto(struct fetch *f, struct net *net, uint32_t upto);
void fetch_ready(struct fetch *f, struct net *net, uint32_t events);

/* ---- bot_run.c: what every kind of run needs ---- */

/* Bytes of memory that a process has resident; 0 = unknown. */
uint64_t run_resident(uint32_t pid);
/* CPU seconds of this process so far. */
double run_cpu_s(void);
/* "812 us", "51.3 ms": text in buf. */
const char *run_time_text(uint64_t ns, char *buf, size_t cap);
/* Set by the first SIGINT or SIGTERM; the second one kills. */
bool run_interrupted(int signal_fd);
int run_signal_fd(void);

#endif
