/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-bot: clients by the thousand, to test a server and to load it. This file says what there is to do; what bots do is
 * bot_room.c and its like, a run of it bot_run.c.
 */
#include <stdlib.h>

#include <diarkis/err.h>

#include "tools/bot_plan.h"

static const struct scenario *const scenarios[] = { &scenario_room,  &scenario_state,    &scenario_find,
						    &scenario_group, &scenario_session,  &scenario_dm,
						    &scenario_dive,  &scenario_notifier, &scenario_idle };

const struct scenario *scenario_named(const char *name)
{
	for (size_t i = 0; i < DK_ARRAY_LEN(scenarios); i++) {
		if (!strcmp(scenarios[i]->name, name))
			return scenarios[i];
	}
	return NULL;
}

void scenarios_names(FILE *out)
{
	for (size_t i = 0; i < DK_ARRAY_LEN(scenarios); i++)
		fprintf(out, "%s %s", i ? "," : "", scenarios[i]->name);
	fputc('\n', out);
}

void scenarios_help(FILE *out)
{
	for (size_t i = 0; i < DK_ARRAY_LEN(scenarios); i++)
		fprintf(out, "%-9s%s\n", scenarios[i]->name, scenarios[i]->summary);
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

	for (size_t i = 0; !list && i < DK_ARRAY_LEN(scenarios); i++) {
		if (!scenarios[i]->by_itself)
			r->parts[r->part_n++].scenario = scenarios[i];
	}
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

static int run_named(struct bot_options *o, const char *name)
{
	struct run *r;
	int rc = 0;

	if (!options_settle(o))
		return DK_EXIT_USAGE;
	r = calloc(1, sizeof(*r));
	if (!r)
		return 1;
	r->o = o;
	r->name = name;
	if (strcmp(name, "mixed") != 0)
		rc = add_parts(r, name) ? 0 : usage("the first word is no scenario; diarkis-bot --help lists them");
	else if (!add_parts(r, o->with))
		rc = usage("--with names what is no scenario; diarkis-bot --help lists them");
	if (!rc)
		rc = run_all(r);
	free(r);
	return rc;
}

static int run_file(const char *path, int argc, char **argv)
{
	struct plan *p = calloc(1, sizeof(*p));
	struct bot_options base = bot_defaults;
	int rc = 1;

	if (p && options_from_environment(&base)) {
		rc = plan_load(p, path, &base, argc, argv);
		if (rc < 0)
			rc = run_all(&p->run);
		plan_fini(p);
	}
	free(p);
	return rc;
}

int main(int argc, char **argv)
{
	const char *word = NULL, *file = getenv("DIARKIS_BOT_CONFIG"), *server = getenv("DIARKIS_BOT_SERVER_MODE");
	struct bot_options o = bot_defaults;
	int rc, at;

	if (!options_from_environment(&o))
		return DK_EXIT_USAGE;
	rc = options_from_arguments(&o, argc, argv, &at);
	if (rc >= 0)
		return rc;
	if (at < argc)
		word = argv[at++];
	else if (server && (!strcmp(server, "true") || !strcmp(server, "1")))
		word = "server";
	else if (file && *file)
		word = "scenario";
	if (!word)
		return usage("what to do? expected a scenario, for example room");
	if (!strcmp(word, "scenario") && at < argc)
		file = argv[at++];
	if (at < argc)
		return usage("there is more than one word; options begin with --");
	if (!strcmp(word, "server"))
		return bot_server(&o);
	if (strcmp(word, "scenario") != 0)
		return run_named(&o, word);
	return file && *file ? run_file(file, argc, argv) : usage("scenario: which file?");
}
