/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-bot: clients by the thousand, to test a server and to load it. This file says what there is to do; what bots do is
 * bot_room.c and its like, a run of it bot_run.c.
 */
#include <stdlib.h>

#include <diarkis/err.h>

#include "tools/bot.h"

static const struct scenario *const scenarios[] = { &scenario_room, &scenario_idle };

const struct scenario *scenario_named(const char *name)
{
	for (size_t i = 0; i < DK_ARRAY_LEN(scenarios); i++) {
		if (!strcmp(scenarios[i]->name, name))
			return scenarios[i];
	}
	return NULL;
}

static int usage(const char *sentence)
{
	fprintf(stderr, "diarkis-bot: %s\nTry diarkis-bot --help\n", sentence);
	return DK_EXIT_USAGE;
}

/* Adds the scenarios of a list of names, separated by commas; NULL = all. */
static bool add_parts(struct run *r, const char *list)
{
	char name[32];
	size_t n;

	for (size_t i = 0; !list && i < DK_ARRAY_LEN(scenarios); i++)
		r->parts[r->part_n++].scenario = scenarios[i];
	for (; list && *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : sizeof(name) - 1), list);
		if (r->part_n == PARTS_MAX || !scenario_named(name))
			return false;
		r->parts[r->part_n++].scenario = scenario_named(name);
	}
	for (uint32_t i = 0; i < r->part_n; i++)
		r->parts[i].o = r->o;
	return r->part_n > 0;
}

int main(int argc, char **argv)
{
	struct bot_options o = bot_defaults;
	struct run *r;
	int rc, word;

	if (!options_from_environment(&o))
		return DK_EXIT_USAGE;
	rc = options_from_arguments(&o, argc, argv, &word);
	if (rc >= 0)
		return rc;
	if (word == argc)
		return usage("what to do? expected a scenario: room, idle or mixed");
	if (word + 1 < argc)
		return usage("there is more than one word; options begin with --");
	if (!options_settle(&o))
		return DK_EXIT_USAGE;
	r = calloc(1, sizeof(*r));
	if (!r)
		return 1;
	r->o = &o;
	r->name = argv[word];
	if (!strcmp(r->name, "mixed"))
		rc = add_parts(r, o.with) ? 0 : usage("--with names what is no scenario; expected some of room,idle");
	else
		rc = add_parts(r, r->name) ? 0 : usage("the first word is no scenario; expected room, idle or mixed");
	if (!rc)
		rc = run_all(r);
	free(r);
	return rc;
}
