/* SPDX-License-Identifier: Apache-2.0 */
/* What the benches share: pinned child processes, their CPU time, a running diarkisd, users of it, histograms. */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include "count.h"

#include <diarkis/base.h>

#include <stdio.h>
#include <sys/types.h>

void rig_die(const char *fmt, ...) __attribute__((noreturn)) DK_PRINTF(1, 2);
uint64_t rig_now_us(void);
void rig_pin(int cpu); /* the calling process; does nothing on a machine with one */

struct rig_cpu { /* since the start of the process, microseconds */
	uint64_t user, sys;
};
struct rig_cpu rig_cpu_of(pid_t pid);

/* A diarkisd of the build tree with this configuration text, pinned to core 0. Waits for its ready line. */
enum { RIG_WORKERS_MAX = 16 };
struct rig_node {
	pid_t pid;
	uint16_t http, udp, tcp;
	pid_t workers[RIG_WORKERS_MAX]; /* its children, when the configuration asks for workers */
	unsigned worker_n;
	uint64_t ready_us; /* from fork to the ready line */
	char config[64];
	const struct counts *counts; /* NULL unless BENCH_COUNT names count.so */
	char count_file[64];
};
void rig_node_start(struct rig_node *n, const char *config);
int rig_node_stop(struct rig_node *n); /* SIGTERM; returns its exit code */
void rig_node_forget(struct rig_node *n); /* for a node that was ended otherwise: removes its files */

/* n users of one type, over one kept-alive connection; creds is filled, and ports, unless NULL, with where each is to connect. */
void rig_users(const struct rig_node *n, const char *type, const char *prefix, size_t count, struct dk_credential *creds,
	       uint16_t *ports);

/* Free on 127.0.0.1 a moment ago, for UDP and TCP. */
uint16_t rig_free_port(void);

double rig_median(double *v, size_t n);

#endif
