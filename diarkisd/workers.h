/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What supervisor.c and worker.c share: the words between a supervisor and its workers. Each worker has two pairs of sockets that
 * keep messages apart: `tell`, on which both say things whenever they happen, and `ask`, on which the worker waits for an answer.
 * A message on `tell` is one letter and what follows it.
 */
#ifndef DIARKISD_WORKERS_H
#define DIARKISD_WORKERS_H

#include <diarkis/diarkis.h>

enum worker_says {
	WORKER_BOOTED = 'B', /* its configuration is good */
	WORKER_READY = 'R', /* followed by the words of the ready line: " http=127.0.0.1:7000 ..." */
	WORKER_CRASHED = 'C', /* followed by the plugin whose code ran */
	SUPERVISOR_TASK = 'T' /* followed by '1' or '2' and the text of the task file */
};
enum { WORKER_MESSAGE_MAX = 65536 + 16 };

/* A question on `ask`: for a listener. The answer is an int, 0 with the descriptor beside it, or <0. */
struct worker_ask {
	struct dk_addr bind;
	int32_t backlog;
};

struct worker {
	uint32_t index, count;
	int tell, ask;
	struct dk_kernel *k;
};

/* ---- supervisor.c ---- */
/* Starts the workers and looks after them until all have ended; k is the supervisor's own node, and the signals that it takes are
 * blocked. False: *ret_code is what to end with. True: this process is a worker, a fork, which has *ret_worker and frees k. */
enum { SUPERVISOR_SIGNALS = 6 };
extern const int supervisor_signals[SUPERVISOR_SIGNALS];
bool supervisor_run(struct dk_kernel *k, struct worker *ret_worker, int *ret_code);

/* ---- worker.c ---- */
void worker_boot(struct worker *w, struct dk_boot *boot); /* before the node is made: it is one of several */
int worker_start(struct worker *w, struct dk_kernel *k); /* before it runs. 0 or <0 */
void worker_crash(const struct worker *w, const char *plugin); /* from a handler of signals */

/* ---- notify.c ---- */
/* Tells the service manager, by the protocol of sd_notify(3), when there is one. */
void notify(const char *state);

#endif
