/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: from a tree to a conf struct by rows, and the sentences for what does not fit. The rows are the only description of an
 * option; types, ranges, defaults and hints all come from them. What is wrong is reported and then reads as its default, so that
 * the checks which follow (a plugin's configure) meet plausible values and more errors are found in one go.
 *
 * Everything that a conf struct points to is copied into the arena that it is filled from; no pointer into a file's tree is left.
 */
#include "../kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct walk {
	struct dk_report *rep;
	struct arena *arena;
	char path[256]; /* "maps.big.size": where the walk is */
};

static const size_t type_size[] = {
	[DK_OPT_INT] = sizeof(int64_t),
	[DK_OPT_BOOL] = sizeof(bool),
	[DK_OPT_F64] = sizeof(double),
	[DK_OPT_STR] = sizeof(char *),
	[DK_OPT_WORD] = sizeof(int),
	[DK_OPT_STRS] = sizeof(struct dk_strs),
	[DK_OPT_GROUPS] = sizeof(struct dk_groups),
	[DK_OPT_MAP] = sizeof(struct dk_groups),
	[DK_OPT_TREE] = sizeof(void *),
};

const struct dk_node *options_value(const struct dk_option *row, const struct dk_node *map, struct dk_node *def)
{
	const struct dk_node *n = dk_node_get(map, row->name);

	if (dk_node_type(n) != DK_NODE_NULL)
		return n;
	*def = (struct dk_node){ .type = DK_NODE_STR, .file = "default", .v.s = row->def };
	return row->def ? def : NULL;
}

static size_t word_index(const struct dk_option *row, const char *word)
{
	size_t i = 0;

	while (row->words[i] && strcmp(row->words[i], word) != 0)
		i++;
	return i;
}

/* ---- sentences ---- */

const char *options_expect(const struct dk_option *row, char *buf, size_t size)
{
	static const char *const what[] = {
		[DK_OPT_INT] = "a whole number",
		[DK_OPT_BOOL] = "true or false",
		[DK_OPT_F64] = "a number",
		[DK_OPT_STR] = "a text",
		[DK_OPT_WORD] = "one of",
		[DK_OPT_STRS] = "a list of texts",
		[DK_OPT_GROUPS] = "a list of groups",
		[DK_OPT_MAP] = "a group of named groups",
		[DK_OPT_TREE] = "free form",
	};
	const char *unit = row->unit ? row->unit : row->type == DK_OPT_STR ? "bytes" : "";
	bool number = row->type == DK_OPT_INT || row->type == DK_OPT_F64;
	size_t n = (size_t)snprintf(buf, size, "%s", what[row->type]);

	for (size_t i = 0; row->type == DK_OPT_WORD && row->words[i] && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s \"%s\"", i ? "," : "", row->words[i]);
	if ((row->min || row->max) && row->max == INT64_MAX)
		n += (size_t)snprintf(buf + n, n < size ? size - n : 0, " of at least %lld", (long long)row->min);
	else if (row->min || row->max)
		n += (size_t)snprintf(buf + n, n < size ? size - n : 0, " %s %lld to %lld", number ? "from" : "of",
				      (long long)row->min, (long long)row->max);
	if (*unit && (number || row->min || row->max) && n < size)
		snprintf(buf + n, size - n, " %s", unit);
	return buf;
}

static void complain(struct walk *w, const struct dk_node *at, const char *fmt, ...) DK_PRINTF(3, 4);
static void complain(struct walk *w, const struct dk_node *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	config_complain_v(w->rep->c, at, w->rep->name, fmt, ap);
	va_end(ap);
}

/* Returns false, so that callers may say: return unfit(...). */
static bool unfit(struct walk *w, const struct dk_option *row, const struct dk_node *n)
{
	char expect[512], found[128];

	complain(w, n, "\"%s\" must be %s, found %s", w->path, options_expect(row, expect, sizeof(expect)),
		 row->flags & DK_SECRET ? "***" : node_text(n, found, sizeof(found)));
	return false;
}

struct names {
	const struct dk_option *rows;
	const char *const *also;
	size_t row_n;
};

static const char *name_at(const void *arg, size_t i)
{
	const struct names *names = arg;

	return i < names->row_n ? names->rows[i].name : names->also[i - names->row_n];
}

static void check_keys(struct walk *w, const struct dk_option *rows, const char *const *also, const struct dk_node *map)
{
	struct names names = { .rows = rows, .also = also };
	char hint[256];
	size_t n, i;

	while (rows && rows[names.row_n].name)
		names.row_n++;
	for (n = names.row_n; also && also[n - names.row_n]; n++)
		;
	for (size_t at = 0; at < dk_node_count(map); at++) {
		const struct dk_node *value = dk_node_at(map, at);
		const char *near;

		for (i = 0; i < n && strcmp(name_at(&names, i), value->key) != 0; i++)
			;
		if (i < n)
			continue;
		near = kernel_nearest(value->key, name_at, &names, n);
		snprintf(hint, sizeof(hint), near ? "did you mean \"%s\"?" : "`diarkisd --explain %s` lists what there is",
			 near ? near : w->rep->use);
		if (!near && !w->rep->name && value->type == DK_NODE_MAP)
			snprintf(hint, sizeof(hint), "the section of a plugin stands inside plugins = { ... }");
		complain(w, value, "%s%sunknown option \"%s\"; %s", w->path, *w->path ? ": " : "", value->key, hint);
	}
}

void dk_report(struct dk_report *rep, const char *option, const char *fmt, ...)
{
	const struct dk_node *at = option ? dk_node_get(rep->map, option) : NULL;
	va_list ap;

	va_start(ap, fmt);
	config_complain_v(rep->c, at ? at : rep->map, rep->name, fmt, ap);
	va_end(ap);
}

void dk_caution(struct dk_report *rep, const char *option, const char *fmt, ...)
{
	const struct dk_node *at = option ? dk_node_get(rep->map, option) : NULL;
	va_list ap;

	va_start(ap, fmt);
	config_caution_v(rep->c, at ? at : rep->map, rep->name, fmt, ap);
	va_end(ap);
}

/* ---- filling ---- */

static void fill_rows(struct walk *w, const struct dk_option *rows, const char *const *also, const struct dk_node *map, void *conf,
		      size_t conf_size);

static bool in_range(const struct dk_option *row, int64_t v)
{
	return (!row->min && !row->max) || (v >= row->min && v <= row->max);
}

static void strs_add(struct arena *a, struct dk_strs *s, const char *p, size_t n)
{
	((const char **)(uintptr_t)s->at)[s->n++] = arena_str(a, p, n);
}

/* A list of texts; one text is split at commas, because that is how an environment variable says it. */
static bool fill_strs(struct walk *w, const struct dk_option *row, const struct dk_node *n, struct dk_strs *ret_strs)
{
	struct dk_strs s = { 0 };
	char number[32];

	if (dk_node_type(n) == DK_NODE_STR) {
		const char *p = n->v.s;

		s.at = arena_take(w->arena, (strlen(p) + 1) * sizeof(*s.at));
		for (size_t len; *p; p += len + (p[len] == ',')) {
			size_t end = len = strcspn(p, ",");
			size_t skip = strspn(p, " \t");

			while (end > skip && (p[end - 1] == ' ' || p[end - 1] == '\t'))
				end--;
			if (end > skip)
				strs_add(w->arena, &s, p + skip, end - skip);
		}
	} else if (dk_node_type(n) == DK_NODE_LIST) {
		s.at = arena_take(w->arena, (n->n + 1) * sizeof(*s.at));
		for (uint32_t i = 0; i < n->n; i++) {
			const char *text = dk_node_str(n->v.at[i], NULL);

			if (!text && n->v.at[i]->type == DK_NODE_INT)
				text = node_text(n->v.at[i], number, sizeof(number));
			if (!text)
				return unfit(w, row, n->v.at[i]);
			strs_add(w->arena, &s, text, strlen(text));
		}
	} else {
		return unfit(w, row, n);
	}
	if (!in_range(row, (int64_t)s.n))
		return unfit(w, row, n);
	*ret_strs = s;
	return true;
}

static bool fill_groups(struct walk *w, const struct dk_option *row, const struct dk_node *n, struct dk_groups *ret_groups)
{
	struct dk_groups g = { .n = dk_node_count(n) };
	size_t len = strlen(w->path);
	const char **keys = NULL;

	if (dk_node_type(n) != (row->type == DK_OPT_MAP ? DK_NODE_MAP : DK_NODE_LIST) || !in_range(row, (int64_t)g.n))
		return unfit(w, row, n);
	g.at = arena_take(w->arena, g.n * row->row_size + 1);
	if (row->type == DK_OPT_MAP)
		keys = arena_take(w->arena, (g.n + 1) * sizeof(*keys));
	for (size_t i = 0; i < g.n; i++) {
		const struct dk_node *element = dk_node_at(n, i);

		if (keys) {
			keys[i] = arena_str(w->arena, element->key, strlen(element->key));
			snprintf(w->path + len, sizeof(w->path) - len, ".%s", keys[i]);
		} else {
			snprintf(w->path + len, sizeof(w->path) - len, "[%zu]", i);
		}
		if (element->type == DK_NODE_MAP)
			fill_rows(w, row->rows, NULL, element, (char *)g.at + i * row->row_size, row->row_size);
		else
			complain(w, element, "\"%s\" must be a group of options", w->path);
		w->path[len] = '\0';
	}
	g.keys = keys;
	*ret_groups = g;
	return true;
}

/* True when the value was good; else it has been reported and nothing was written. */
static bool fill_one(struct walk *w, const struct dk_option *row, const struct dk_node *n, void *at)
{
	const char *text = dk_node_str(n, NULL);
	const struct dk_node *tree;
	int64_t i;
	double f;
	int word;

	switch (row->type) {
	case DK_OPT_INT:
		if (!node_to_int(n, &i) || !in_range(row, i))
			return unfit(w, row, n);
		memcpy(at, &i, sizeof(i));
		return true;
	case DK_OPT_BOOL:
		return node_to_bool(n, at) || unfit(w, row, n);
	case DK_OPT_F64:
		if (!node_to_f64(n, &f) || ((row->min || row->max) && (f < (double)row->min || f > (double)row->max)))
			return unfit(w, row, n);
		memcpy(at, &f, sizeof(f));
		return true;
	case DK_OPT_STR:
		if (!text || !in_range(row, (int64_t)strlen(text)))
			return unfit(w, row, n);
		text = arena_str(w->arena, text, strlen(text));
		memcpy(at, &text, sizeof(text));
		return true;
	case DK_OPT_WORD:
		word = text ? (int)word_index(row, text) : 0;
		if (!text || !row->words[word])
			return unfit(w, row, n);
		memcpy(at, &word, sizeof(word));
		return true;
	case DK_OPT_STRS:
		return fill_strs(w, row, n, at);
	case DK_OPT_GROUPS:
	case DK_OPT_MAP:
		return fill_groups(w, row, n, at);
	default:
		tree = node_copy(w->arena, n);
		memcpy(at, &tree, sizeof(tree));
		return true;
	}
}

static void fill_rows(struct walk *w, const struct dk_option *rows, const char *const *also, const struct dk_node *map, void *conf,
		      size_t conf_size)
{
	size_t len = strlen(w->path);
	struct dk_node def;

	for (const struct dk_option *row = rows; row && row->name; row++) {
		const struct dk_node *n = options_value(row, map, &def);

		snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len ? "." : "", row->name);
		if (row->type < DK_OPT_INT || row->type > DK_OPT_TREE || row->offset + type_size[row->type] > conf_size)
			complain(w, map,
				 "the row of \"%s\" does not fit its conf struct; the plugin is at fault, not the configuration",
				 w->path);
		else if (!n && row->flags & DK_REQUIRED)
			complain(w, map, "\"%s\" must be set: %s", w->path, row->help);
		else if (n && !fill_one(w, row, n, (char *)conf + row->offset) && n != &def && row->def)
			fill_one(w, row, options_value(row, NULL, &def), (char *)conf + row->offset);
		w->path[len] = '\0';
	}
	check_keys(w, rows, also, map);
}

void options_fill(struct dk_report *rep, struct arena *a, const struct dk_option *rows, const char *const *also, void *conf,
		  size_t conf_size)
{
	struct walk w = { .rep = rep, .arena = a };

	fill_rows(&w, rows, also, rep->map, conf, conf_size);
}

/* ---- comparing ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_value(const struct dk_option *row, const void *a, const void *b)
{
	const struct dk_strs *sa = a, *sb = b;
	const struct dk_groups *ga = a, *gb = b;

	switch (row->type) {
	case DK_OPT_STR:
		return same_text(*(const char *const *)a, *(const char *const *)b);
	case DK_OPT_STRS:
		for (size_t i = 0; sa->n == sb->n && i < sa->n; i++)
			if (strcmp(sa->at[i], sb->at[i]) != 0)
				return false;
		return sa->n == sb->n;
	case DK_OPT_GROUPS:
	case DK_OPT_MAP:
		for (size_t i = 0; ga->n == gb->n && i < ga->n; i++) {
			if (ga->keys && strcmp(ga->keys[i], gb->keys[i]) != 0)
				return false;
			for (const struct dk_option *sub = row->rows; sub->name; sub++)
				if (!same_value(sub, (const char *)ga->at + i * row->row_size + sub->offset,
						(const char *)gb->at + i * row->row_size + sub->offset))
					return false;
		}
		return ga->n == gb->n;
	case DK_OPT_TREE:
		return node_equal(*(const struct dk_node *const *)a, *(const struct dk_node *const *)b);
	default:
		return memcmp(a, b, type_size[row->type]) == 0;
	}
}

bool options_differ(struct dk_report *rep, const struct dk_option *rows, const void *old, const void *conf)
{
	bool differ = false;

	for (const struct dk_option *row = rows; row && row->name; row++) {
		if (same_value(row, (const char *)old + row->offset, (const char *)conf + row->offset))
			continue;
		differ = true;
		if (!(row->flags & DK_RELOADABLE))
			dk_report(rep, row->name, "\"%s\" has changed, which takes effect only after a restart", row->name);
	}
	return differ;
}
