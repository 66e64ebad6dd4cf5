/* SPDX-License-Identifier: Apache-2.0 */
/* A run as a scenario file describes it, and the server that makes runs of such files. */
#ifndef TOOLS_BOT_PLAN_H
#define TOOLS_BOT_PLAN_H

#include <jansson.h>

#include "tools/bot.h"

/* Must stay where it is once it was read: options point into it. */
struct plan {
	json_t *root; /* keeps the texts of the options */
	struct bot_options o, parts[PARTS_MAX];
	struct run run;
};

/*
 * Reads the JSON of a scenario file; where: its name, for sentences. base: options that the file does not mention. Arguments, as
 * of main(), win over the file, but for what an entry of its list of scenarios says; argc 0 = none. Returns -1 when all is well,
 * else the exit status, after a sentence on stderr.
 */
int plan_read(struct plan *p, const char *where, dk_str json, const struct bot_options *base, int argc, char **argv);
/* The same of a file. */
int plan_load(struct plan *p, const char *path, const struct bot_options *base, int argc, char **argv);
void plan_fini(struct plan *p);

/* bot_server.c: runs by HTTP, one at a time, until a signal comes. Returns the exit status. */
int bot_server(const struct bot_options *o);

#endif
