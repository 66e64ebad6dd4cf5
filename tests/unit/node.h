/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node in a simulated world, in the small steps that tests of the kernel itself need: boot may fail, callbacks can be hung up
 * before it begins, the log is at hand, and `trace` keeps the order of what happened.
 */
#ifndef TESTS_UNIT_NODE_H
#define TESTS_UNIT_NODE_H

#include <diarkis/test.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

struct node {
	struct dk_env *env;
	struct dk_kernel *k; /* NULL: the boot failed */
	struct dk_boot boot; /* set what you need before node_boot() */
	int code; /* of the boot; after node_run(), of the end: -1 = not over */
	size_t log_n;
	char log[131072];
};

static char trace_text[8192];

/* Appends a word to the trace. */
static void trace(const char *fmt, ...) DK_PRINTF(1, 2);
static __attribute__((unused)) void trace(const char *fmt, ...)
{
	size_t n = strlen(trace_text);
	va_list ap;

	va_start(ap, fmt);
	if (n)
		trace_text[n++] = ' ';
	vsnprintf(trace_text + n, sizeof(trace_text) - n, fmt, ap);
	va_end(ap);
}

/* The trace is this; it is empty after. */
static __attribute__((unused)) void traced(const char *want)
{
	ck_assert_str_eq(trace_text, want);
	trace_text[0] = '\0';
}

static void node_log(void *arg, const char *line, size_t n)
{
	struct node *node = arg;

	if (node->log_n + n + 2 > sizeof(node->log))
		return;
	memcpy(node->log + node->log_n, line, n);
	node->log_n += n;
	node->log[node->log_n++] = '\n';
	node->log[node->log_n] = '\0';
}

static inline bool node_said(const struct node *n, const char *text)
{
	return strstr(n->log, text) != NULL;
}

#define node_assert_said(n, text) ck_assert_msg(node_said(n, text), "nothing of \"%s\" in the log:\n%s", text, (n)->log)
#define node_assert_silent(n, text) ck_assert_msg(!node_said(n, text), "\"%s\" is in the log:\n%s", text, (n)->log)

/* Everything that a test may want to change of the boot has a good value after this. */
static inline void node_init(struct node *n, const char *config, const struct dk_plugin_desc *const *plugins)
{
	static const char *const no_env[] = { NULL };

	memset(n, 0, sizeof(*n));
	n->code = -1;
	n->env = dk_env_sim(1);
	ck_assert_ptr_nonnull(n->env);
	n->boot = (struct dk_boot){ .size = sizeof(n->boot),
				    .flags = DK_BOOT_NO_SIGNALS,
				    .config_text = config,
				    .config_name = "test.conf",
				    .builtin = plugins,
				    .env = no_env,
				    .temp_dir = "/nonexistent",
				    .log_sink = node_log,
				    .log_arg = n };
}

static inline int node_boot(struct node *n)
{
	n->code = dk_kernel_new(n->env, &n->boot, &n->k);
	ck_assert_int_eq(n->code != 0, n->k == NULL);
	return n->code;
}

/* Lets time pass; -1 while the node is not over, else its exit code. */
static inline int node_run(struct node *n, uint64_t ms)
{
	dk_sim_run(n->env, ms);
	n->code = -1;
	dk_finished(n->k, &n->code);
	return n->code;
}

/* Boots, and runs until it serves. */
static inline void node_serve(struct node *n)
{
	ck_assert_msg(node_boot(n) == 0, "the boot failed:\n%s", n->log);
	ck_assert_int_eq(dk_begin(n->k), 0);
	node_run(n, 10);
	ck_assert_msg(dk_is_started(n->k), "it does not serve:\n%s", n->log);
}

/* Stops a node that serves; its end has to be clean. */
static inline void node_stop(struct node *n)
{
	dk_stop(n->k);
	ck_assert_msg(node_run(n, 1000) == 0, "it ended with %d:\n%s", n->code, n->log);
	node_assert_said(n, "leftovers: none");
}

static inline void node_fini(struct node *n)
{
	dk_kernel_free(n->k);
	dk_env_free(n->env);
}

#endif
