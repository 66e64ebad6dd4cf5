/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenario files: a JSON object. Its members are options under their names ("room_size" or "room-size"), among them the words that
 * the reference's files use: howmany for bots, duration for seconds, interval for the milliseconds from one bot to the next. The
 * member "scenarios" lists what the bots do: names, or objects of a name and options that are this scenario's alone, in which
 * interval is the merge interval again. The name mixed stands for all that mixed does, or for what "with" lists beside.
 *
 *   {"howmany": 100, "duration": 30, "interval": 10, "scenarios": ["idle", {"name": "room", "room_size": 8, "rate": 5}]}
 */
#include <errno.h>
#include <stdlib.h>

#include <diarkis/err.h>

#include "tools/bot_plan.h"

#define FILE_MAX (1 << 20)

/* Numbers and truth values as text in buf; NULL = it is something else. */
static const char *text_of(const json_t *v, char *buf, size_t cap)
{
	switch (json_typeof(v)) {
	case JSON_INTEGER:
		snprintf(buf, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return buf;
	case JSON_REAL:
		snprintf(buf, cap, "%.15g", json_real_value(v));
		return buf;
	case JSON_TRUE:
		return "true";
	case JSON_FALSE:
		return "false";
	case JSON_STRING:
		return json_string_value(v);
	default:
		return NULL;
	}
}

static bool set(struct bot_options *o, const char *where, const char *name, const json_t *v)
{
	char buf[64];
	const char *text = text_of(v, buf, sizeof(buf));

	if (!text) {
		fprintf(stderr, "diarkis-bot: %s%s: expected a number, a text, true or false\n", where, name);
		return false;
	}
	if (text == buf && options_is_text(name)) {
		fprintf(stderr, "diarkis-bot: %s%s: expected a text, in quotation marks\n", where, name);
		return false;
	}
	return options_set(o, where, name, text);
}

static const char *option_of(const char *member)
{
	static const struct {
		const char *member, *option;
	} words[] = { { "howmany", "bots" }, { "duration", "seconds" }, { "interval", "spawn" } };

	for (size_t i = 0; i < DK_ARRAY_LEN(words); i++) {
		if (!strcmp(words[i].member, member))
			return words[i].option;
	}
	return member;
}

static bool read_options(struct plan *p, const char *where)
{
	const char *name;
	json_t *v;

	json_object_foreach(p->root, name, v)
	{
		if (strcmp(name, "scenarios") != 0 && !set(&p->o, where, option_of(name), v))
			return false;
	}
	return true;
}

/* One entry of the list. */
static bool read_part(struct plan *p, const char *where, json_t *entry)
{
	const char *name = json_is_object(entry) ? json_string_value(json_object_get(entry, "name")) : json_string_value(entry);
	bool mixed = name && !strcmp(name, "mixed");
	struct bot_options o = p->o;
	uint32_t i = p->run.part_n;
	char inside[256];
	const char *member;
	json_t *v;
	int rc;

	if (!mixed && (!name || !scenario_named(name))) {
		fprintf(stderr,
			"diarkis-bot: %sscenarios: expected names of scenarios, or objects with one as \"name\"; found %s, there "
			"are",
			where, name ? name : "something else");
		scenarios_names(stderr);
		return false;
	}
	snprintf(inside, sizeof(inside), "%s%s: ", where, name);
	if (json_is_object(entry)) {
		json_object_foreach(entry, member, v)
		{
			if (!strcmp(member, "name"))
				continue;
			if (options_is_of_run(member)) {
				fprintf(stderr, "diarkis-bot: %s%s is one for all scenarios; expected it beside \"scenarios\"\n",
					inside, member);
				return false;
			}
			if (!set(&o, inside, member, v))
				return false;
		}
	}
	rc = parts_add(&p->run, mixed ? o.with : name);
	if (rc) {
		if (rc == -E2BIG)
			fprintf(stderr, "diarkis-bot: %sscenarios: %s is one too many\n", where, name);
		else
			fprintf(stderr, "diarkis-bot: %swith: expected names of scenarios, separated by commas; found %s\n", where,
				o.with);
		return false;
	}
	for (; i < p->run.part_n; i++) {
		p->parts[i] = o;
		p->run.parts[i].o = &p->parts[i];
	}
	return true;
}

static bool settle(struct plan *p)
{
	for (uint32_t i = 0; i < p->run.part_n; i++) {
		p->o.bounded |= p->parts[i].bounded;
		p->o.messages = p->o.messages ? p->o.messages : p->parts[i].messages;
	}
	if (!options_settle(&p->o))
		return false;
	for (uint32_t i = 0; i < p->run.part_n; i++) {
		p->parts[i].protocol = p->o.protocol;
		p->parts[i].bounded = p->o.bounded;
	}
	p->run.o = &p->o;
	p->run.name = p->run.part_n > 1 ? "mixed" : p->run.parts[0].scenario->name;
	return true;
}

int plan_read(struct plan *p, const char *where, dk_str json, const struct bot_options *base, int argc, char **argv)
{
	json_t *list, *entry;
	char inside[200];
	json_error_t e;
	size_t i;
	int rc, word;

	memset(p, 0, sizeof(*p));
	p->root = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES, &e);
	if (!json_is_object(p->root)) {
		if (p->root)
			fprintf(stderr, "diarkis-bot: %s: expected a JSON object\n", where);
		else
			fprintf(stderr, "diarkis-bot: %s:%d:%d: %s\n", where, e.line, e.column, e.text);
		return DK_EXIT_USAGE;
	}
	p->o = *base;
	snprintf(inside, sizeof(inside), "%s: ", where);
	if (!read_options(p, inside))
		return DK_EXIT_USAGE;
	rc = argc ? options_from_arguments(&p->o, argc, argv, &word) : -1;
	if (rc >= 0)
		return rc;
	list = json_object_get(p->root, "scenarios");
	if (!json_is_array(list) || !json_array_size(list)) {
		fprintf(stderr, "diarkis-bot: %sscenarios: expected a list of what the bots do, for example [\"room\"]\n", inside);
		return DK_EXIT_USAGE;
	}
	json_array_foreach(list, i, entry)
	{
		if (!read_part(p, inside, entry))
			return DK_EXIT_USAGE;
	}
	if (!p->run.part_n) {
		fprintf(stderr, "diarkis-bot: %swith: expected a name or more, found none\n", inside);
		return DK_EXIT_USAGE;
	}
	return parts_fit(&p->run, inside) && settle(p) ? -1 : DK_EXIT_USAGE;
}

int plan_load(struct plan *p, const char *path, const struct bot_options *base, int argc, char **argv)
{
	FILE *f = fopen(path, "r");
	char *text = f ? malloc(FILE_MAX) : NULL;
	size_t n = text ? fread(text, 1, FILE_MAX, f) : 0;
	int rc = DK_EXIT_USAGE;

	memset(p, 0, sizeof(*p));
	if (!f || !text || ferror(f))
		fprintf(stderr, "diarkis-bot: %s cannot be read: %s\n", path, strerror(errno));
	else if (n == FILE_MAX)
		fprintf(stderr, "diarkis-bot: %s: expected less than a MiB\n", path);
	else
		rc = plan_read(p, path, dk_str_n(text, n), base, argc, argv);
	free(text);
	if (f)
		fclose(f);
	return rc;
}

void plan_fini(struct plan *p)
{
	json_decref(p->root);
}
