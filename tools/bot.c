/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-bot: clients by the thousand, to test a server and to load it. This file says what there is to do; what bots do is
 * bot_room.c and its like, a run of it bot_run.c.
 */
#include <errno.h>
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
	fputs(", mixed\n", out);
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

int parts_add(struct run *r, const char *list)
{
	char name[32];
	size_t n;

	for (size_t i = 0; !list && i < DK_ARRAY_LEN(scenarios); i++) {
		if (scenarios[i]->by_itself)
			continue;
		if (r->part_n == PARTS_MAX)
			return -E2BIG;
		r->parts[r->part_n++].scenario = scenarios[i];
	}
	for (; list && *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		snprintf(name, sizeof(name), "%.*s", (int)(n < sizeof(name) ? n : sizeof(name) - 1), list);
		if (!scenario_named(name))
			return -ENOENT;
		if (r->part_n == PARTS_MAX)
			return -E2BIG;
		r->parts[r->part_n++].scenario = scenario_named(name);
	}
	return 0;
}

bool parts_fit(const struct run *r, const char *where)
{
	const struct scenario *first = NULL;

	for (uint32_t i = 0; i < r->part_n; i++) {
		const struct scenario *s = r->parts[i].scenario;

		if (s->in_room && first) {
			fprintf(stderr,
				"diarkis-bot: %s%s and %s put each bot in a room, and it can be in one at a time; expected one of "
				"them, and the other one as a run of its own\n",
				where, first->name, s->name);
			return false;
		}
		first = s->in_room ? s : first;
	}
	return true;
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
		rc = parts_add(r, name) || !r->part_n ? usage("the first word is no scenario; diarkis-bot --help lists them") : 0;
	else if (parts_add(r, o->with) || !r->part_n)
		rc = usage("--with names what is no scenario, or too many; diarkis-bot --help lists them");
	for (uint32_t i = 0; i < r->part_n; i++)
		r->parts[i].o = o;
	if (!rc)
		rc = parts_fit(r, "") ? run_all(r) : DK_EXIT_USAGE;
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
