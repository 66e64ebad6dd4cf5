/* SPDX-License-Identifier: Apache-2.0 */
/* Runs as children of the server: a process each, so that one that fails takes nothing with it and leaves no memory behind. */
#ifndef TOOLS_BOT_CHILD_H
#define TOOLS_BOT_CHILD_H

#include <sys/types.h>

#include "tools/bot_plan.h"

enum child_state { CHILD_NONE = 0, CHILD_READS, CHILD_RUNS, CHILD_ENDED };

struct child {
	uint32_t number; /* of the run; the first one is 1 */
	enum child_state state;
	pid_t pid;
	int figures_fd, said_fd; /* -1 = closed */
	int status; /* exit status, once ENDED */
	bool refused; /* ended before it ran: the scenario was none */
	json_t *figures; /* the latest; NULL = none yet */
	char *line; /* of figures, as far as it came */
	size_t line_n, line_cap;
};

/* The next run: reads that scenario, in a process of its own, and runs it. Not while one READS or RUNS. 0 or <0. */
int child_start(struct child *c, const struct bot_options *o, const char *json, size_t n);
/* figures_fd can be read: takes what came; the state may be another one then. */
void child_ready(struct child *c);
void child_interrupt(struct child *c);
/* What the run is, as an answer: {"run": 1, "state": "running", "exit": 0, "good": true, "said": [...], "figures": {...}}. */
json_t *child_answer(const struct child *c);
void child_fini(struct child *c); /* ends it */

#endif
