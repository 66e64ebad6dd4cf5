/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin's constant says, for people: as text on a terminal, as tables for its README. And the whole configuration with the
 * origin of each value, in a form that the kernel would read again (secrets are masked). All of it comes from rows; nothing here
 * knows a plugin.
 */
#include "kernel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct page {
	void (*fn)(void *arg, const char *text, size_t n);
	void *arg;
	bool md;
};

static void say(const struct page *o, const char *fmt, ...) DK_PRINTF(2, 3);
static void say(const struct page *o, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	o->fn(o->arg, text, (size_t)n);
	free(text);
}

/* ---- a descriptor ---- */

#define ROW(table, stride, i, T) ((const struct T *)(const void *)((const char *)(table) + (i) * (stride)))

static const char *flag_names(uint32_t flags, char *buf, size_t size)
{
	static const char *const names[] = { "client", "admin", "user", "puffer", "internal", "raw", "quiet" };
	size_t n = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < DK_ARRAY_LEN(names); i++)
		if (flags & 1u << i && n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? " " : "", names[i]);
	return buf;
}

static const char *param_list(const struct dk_param *p, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (size_t i = 0; p && p[i].type && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s %s", i ? ", " : "", p[i].name, typed_name(p[i].type));
	return buf;
}

/* In a table a bar would end the cell. */
static void say_cell(const struct page *o, const char *text)
{
	for (size_t n; *text; text += n + (text[n] == '|')) {
		n = strcspn(text, "|");
		say(o, "%.*s%s", (int)n, text, text[n] ? "\\|" : "");
	}
}

/* prefix: of rows inside a group: "maps.NAME." */
static void options(const struct page *o, const struct dk_option *rows, size_t stride, const char *prefix)
{
	struct dk_option row;
	char takes[512], name[256], more[256];

	for (size_t i = 0; options_row(rows, stride, i, &row); i++) {
		const char *def = row.flags & DK_REQUIRED ? "required" : row.def ? row.def : "";

		snprintf(name, sizeof(name), "%s%s", prefix, row.name);
		snprintf(more, sizeof(more), "%s%s%s%s", row.flags & DK_RELOADABLE ? "; reloadable" : "",
			 row.flags & DK_SECRET ? "; secret" : "", row.env ? "; environment " : "", row.env ? row.env : "");
		options_expect(&row, takes, sizeof(takes));
		if (o->md) {
			say(o, "| `%s` | %s | %s%s%s | ", name, takes, *def ? "`" : "", def, *def ? "`" : "");
			say_cell(o, row.help);
			say(o, "%s |\n", more);
		} else {
			say(o, "  %s%s%s\n      %s\n      %s%s\n", name, *def ? " = " : "", def, row.help, takes, more);
		}
		if (row.rows) {
			snprintf(name, sizeof(name), "%s%s%s.", prefix, row.name, row.type == DK_OPT_MAP ? ".NAME" : "[]");
			options(o, row.rows, stride, name);
		}
	}
}

static void option_table(const struct page *o, const struct dk_option *rows, size_t stride, const char *title, const char *prefix)
{
	struct dk_option row;

	if (!options_row(rows, stride, 0, &row))
		return;
	say(o, o->md ? "\n### %s\n\n| option | takes | default | |\n|---|---|---|---|\n" : "\n%s\n", title);
	options(o, rows, stride, prefix);
}

static void commands(const struct page *o, const struct dk_plugin_desc *d)
{
	char flags[64], in[512], out[512];

	for (size_t i = 0; d->commands && ROW(d->commands, d->command_sz, i, dk_command)->name; i++) {
		const struct dk_command *c = ROW(d->commands, d->command_sz, i, dk_command);

		if (!i)
			say(o, o->md ? "\n### Commands\n\n| ver | cmd | name | takes | answers | for | "
				       "|\n|---|---|---|---|---|---|---|\n"
				     : "\ncommands\n");
		flag_names(c->flags, flags, sizeof(flags));
		param_list(c->in, in, sizeof(in));
		param_list(c->out, out, sizeof(out));
		if (o->md) {
			say(o, "| %u | %u | `%s` | %s | %s | %s | ", c->ver, c->cmd, c->name, in, out, flags);
			say_cell(o, c->help);
			say(o, " |\n");
		} else {
			say(o, "  %u %u  %s(%s)%s%s\n      %s\n      for %s\n", c->ver, c->cmd, c->name, in, *out ? " -> " : "",
			    out, c->help, flags);
		}
	}
}

static void counters(const struct page *o, const struct dk_plugin_desc *d)
{
	static const char *const kinds[] = { "?", "sum", "gauge", "histogram" };

	for (size_t i = 0; d->counters && ROW(d->counters, d->counter_sz, i, dk_counter)->name; i++) {
		const struct dk_counter *c = ROW(d->counters, d->counter_sz, i, dk_counter);

		if (!i)
			say(o, o->md ? "\n### Counters\n\n| counter | kind | |\n|---|---|---|\n" : "\ncounters\n");
		say(o, o->md ? "| `%s` | %s | " : "  %s (%s)\n      ", c->name, kinds[c->kind < DK_ARRAY_LEN(kinds) ? c->kind : 0]);
		if (o->md)
			say_cell(o, c->help);
		say(o, o->md ? "%s |\n" : "%s\n", o->md ? "" : c->help);
	}
}

static void explain(const struct page *o, const struct dk_plugin_desc *d)
{
	static const char *const kinds[] = { "", " if there", " all there are" };
	size_t hooks = 0, i;

	if (!o->md)
		say(o, "%s %s: %s\n", d->name, d->version, d->summary);
	say(o, o->md ? "Provides" : "  provides");
	for (i = 0; d->provides && ROW(d->provides, d->provide_sz, i, dk_provide)->name; i++)
		say(o, "%s %s %u.%u", i ? "," : "", ROW(d->provides, d->provide_sz, i, dk_provide)->name,
		    ROW(d->provides, d->provide_sz, i, dk_provide)->major, ROW(d->provides, d->provide_sz, i, dk_provide)->minor);
	say(o, o->md ? "%s; needs" : "%s\n  needs", i ? "" : " no service");
	for (i = 0; d->needs && ROW(d->needs, d->need_sz, i, dk_need)->name; i++) {
		const struct dk_need *need = ROW(d->needs, d->need_sz, i, dk_need);

		say(o, "%s %s %u.%u%s", i ? "," : "", need->name, need->major, need->minor, kinds[need->kind < 3 ? need->kind : 0]);
	}
	while (d->hooks && ROW(d->hooks, d->hook_sz, hooks, dk_hook)->fn)
		hooks++;
	say(o, "%s", i ? "" : " nothing");
	if (hooks)
		say(o, o->md ? "; hooks into commands: %zu" : "\n  hooks into commands: %zu", hooks);
	say(o, o->md ? ".\n" : "\n");
	option_table(o, d->options, d->option_sz, o->md ? "Options" : "options", "");
	commands(o, d);
	counters(o, d);
	if (!o->md)
		say(o, "\n");
}

int dk_explain(struct dk_kernel *k, const char *name, bool markdown, void (*out)(void *arg, const char *text, size_t n), void *arg)
{
	const struct page o = { out, arg, markdown };
	const struct dk_plugin_desc *d = NULL;

	if (name && !strcmp(name, "kernel")) {
		option_table(&o, config_top_rows, sizeof(struct dk_option), "top level of the configuration", "");
		option_table(&o, config_log_rows, sizeof(struct dk_option), "log", "log.");
		return 0;
	}
	for (size_t i = 0; i < k->plugin_n; i++)
		if (name ? !strcmp(k->plugins[i]->desc.name, name) : k->plugins[i] != k->app)
			explain(&o, d = &k->plugins[i]->desc);
	if (!d && name) {
		d = loader_describe(k, name);
		if (!d)
			return DK_EXIT_CONFIG;
		explain(&o, d);
	}
	return 0;
}

int dk_plugins_list(struct dk_kernel *k, void (*out)(void *arg, const char *text, size_t n), void *arg)
{
	loader_list(k, out, arg);
	return 0;
}

/* ---- the configuration ---- */

static void quoted(const struct page *o, const char *text)
{
	say(o, "\"");
	for (; *text; text++)
		say(o, (unsigned char)*text < 0x20 ? "\\x%02x" : *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	say(o, "\"");
}

static void indent(const struct page *o, unsigned depth)
{
	say(o, "%*s", (int)depth * 4, "");
}

static void dump_rows(const struct page *o, const struct dk_option *rows, size_t stride, const struct dk_node *map, unsigned depth);

/* row NULL: something in free form. */
static void dump_value(const struct page *o, const struct dk_option *row, size_t stride, const struct dk_node *n, unsigned depth)
{
	bool list = dk_node_type(n) == DK_NODE_LIST;
	char text[64], origin[1024];

	if (row && row->flags & DK_SECRET) {
		say(o, "\"***\"");
	} else if (n->type == DK_NODE_STR && row && row->type >= DK_OPT_INT && row->type <= DK_OPT_F64) {
		say(o, "%s", n->v.s);
	} else if (n->type == DK_NODE_STR) {
		quoted(o, n->v.s);
	} else if (n->type == DK_NODE_MAP && row && row->rows && row->type != DK_OPT_MAP) {
		say(o, "{\n");
		dump_rows(o, row->rows, stride, n, depth + 1);
		indent(o, depth);
		say(o, "}");
	} else if (n->type == DK_NODE_MAP || list) {
		/* A map's elements, and a list's groups, are the groups that the row's nested rows describe. */
		struct dk_option element = row ? *row : (struct dk_option){ 0 };

		element.type = DK_OPT_GROUPS;
		say(o, list ? "(" : "{\n");
		for (size_t i = 0; i < n->n; i++) {
			if (list) {
				say(o, i ? ", " : " ");
			} else {
				indent(o, depth + 1);
				say(o, "%s = ", n->v.at[i]->key);
			}
			dump_value(o, row && row->rows ? &element : NULL, stride, n->v.at[i], depth + 1);
			if (!list)
				say(o, ";  # %s\n", node_origin(n->v.at[i], origin, sizeof(origin)));
		}
		if (!list)
			indent(o, depth);
		say(o, list ? " )" : "}");
	} else {
		say(o, "%s", node_text(n, text, sizeof(text)));
	}
}

static void dump_rows(const struct page *o, const struct dk_option *rows, size_t stride, const struct dk_node *map, unsigned depth)
{
	struct dk_option row;
	struct dk_node def;
	char origin[1024];

	for (size_t i = 0; options_row(rows, stride, i, &row); i++) {
		const struct dk_node *n = options_value(&row, map, &def);

		indent(o, depth);
		if (!n) {
			say(o, "# %s is not set\n", row.name);
			continue;
		}
		say(o, "%s = ", row.name);
		dump_value(o, &row, stride, n, depth);
		say(o, ";  # %s\n", node_origin(n, origin, sizeof(origin)));
	}
}

int dk_config_dump(struct dk_kernel *k, void (*out)(void *arg, const char *text, size_t n), void *arg)
{
	const struct page o = { out, arg, false };
	const struct dk_node *root = config_root(k->config), *plugins = dk_node_get(root, "plugins");
	static const char *const own[] = { "enabled", "use", "file", "config" };
	char origin[1024];

	dump_rows(&o, config_top_rows, sizeof(struct dk_option), root, 0);
	say(&o, "log = {\n");
	dump_rows(&o, config_log_rows, sizeof(struct dk_option), dk_node_get(root, "log"), 1);
	say(&o, "};\nplugins = {\n");
	for (size_t i = 0; i < dk_node_count(plugins); i++) {
		const struct dk_node *n = dk_node_at(plugins, i), *value;

		say(&o, "    %s = {  # %s\n", n->key, node_origin(n, origin, sizeof(origin)));
		for (size_t j = 0; j < DK_ARRAY_LEN(own); j++) {
			value = dk_node_get(n, own[j]);
			if (!value)
				continue;
			say(&o, "        %s = ", own[j]);
			dump_value(&o, NULL, 0, value, 2);
			say(&o, ";  # %s\n", node_origin(value, origin, sizeof(origin)));
		}
		for (size_t j = 0; j < k->plugin_n; j++)
			if (!strcmp(k->plugins[j]->instance, n->key))
				dump_rows(&o, k->plugins[j]->desc.options, k->plugins[j]->desc.option_sz, n, 2);
		say(&o, "    };\n");
	}
	say(&o, "};\n");
	return 0;
}
