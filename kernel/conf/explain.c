/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin's constant says, for people: as text on a terminal, as tables for its README. And the whole configuration with the
 * origin of each value, in a form that the kernel would read again (secrets are masked). All of it comes from rows; nothing here
 * knows a plugin.
 */
#include "../kernel.h"
#include "../payload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct page {
	void (*fn)(void *arg, const char *text, size_t n);
	void *arg;
	bool md;
	const char *const *heads; /* of the table being written, NULL-ended */
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

/* ---- tables: with bars, or on a terminal each row as a name and indented lines ---- */

static void table(struct page *o, const char *title, const char *const *heads)
{
	o->heads = heads;
	say(o, o->md ? "\n### %c%s\n\n" : "\n%c%s\n", o->md ? title[0] - 'a' + 'A' : title[0], title + 1);
	for (size_t i = 0; o->md && heads[i]; i++)
		say(o, "| %s %s", heads[i], heads[i + 1] ? "" : "|\n");
	for (size_t i = 0; o->md && heads[i]; i++)
		say(o, "|---%s", heads[i + 1] ? "" : "|\n");
}

static void row(const struct page *o, const char *const *cells)
{
	for (size_t i = 0; o->heads[i]; i++) {
		const char *text = cells[i];

		if (!o->md && !i)
			say(o, "  %s\n", text);
		else if (!o->md && *text)
			say(o, "      %-8s %s\n", o->heads[i], text);
		if (!o->md)
			continue;
		say(o, i ? "| " : "| `");
		for (size_t n; *text; text += n + (text[n] == '|')) { /* a bar would end the cell */
			n = strcspn(text, "|");
			say(o, "%.*s%s", (int)n, text, text[n] ? "\\|" : "");
		}
		say(o, "%s", !o->heads[i + 1] ? " |\n" : i ? " " : "` ");
	}
}

/* ---- a descriptor ---- */

/* prefix: of rows inside a group: "maps.NAME." */
static void option_rows(const struct page *o, const struct dk_option *rows, const char *prefix)
{
	char takes[512], name[256], notes[256];

	for (const struct dk_option *r = rows; r->name; r++) {
		const char *flags = r->flags & DK_RELOADABLE ? (r->flags & DK_SECRET ? "reloadable, secret" : "reloadable")
				    : r->flags & DK_SECRET   ? "secret"
							     : "";

		snprintf(name, sizeof(name), "%s%s", prefix, r->name);
		snprintf(notes, sizeof(notes), "%s%s%s", flags, r->env ? (*flags ? ", " : "") : "", r->env ? r->env : "");
		row(o, (const char *const[]){ name, options_expect(r, takes, sizeof(takes)),
					      r->flags & DK_REQUIRED ? "required"
					      : r->def               ? r->def
								     : "",
					      notes, r->help });
		if (r->rows) {
			snprintf(name, sizeof(name), "%s%s%s.", prefix, r->name, r->type == DK_OPT_MAP ? ".NAME" : "[]");
			option_rows(o, r->rows, name);
		}
	}
}

static void option_table(struct page *o, const struct dk_option *rows, const char *title, const char *prefix)
{
	static const char *const heads[] = { "option", "takes", "default", "notes", "meaning", NULL };

	if (rows && rows->name) {
		table(o, title, heads);
		option_rows(o, rows, prefix);
	}
}

static const char *params(const struct dk_param *p, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (size_t i = 0; p && p[i].type && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s %s", i ? ", " : "", p[i].name, payload_type_name(p[i].type));
	return buf;
}

static void command_table(struct page *o, const struct dk_plugin_desc *d)
{
	static const char *const heads[] = { "command", "number", "takes", "answers", "for", "meaning", NULL };
	static const char *const names[] = { "client", "admin", "user", "puffer", "internal", "raw", "quiet" };
	char number[32], flags[64], in[512], out[512];

	for (const struct dk_command *c = d->commands; c && c->name; c++) {
		size_t n = 0;

		if (c == d->commands)
			table(o, "commands", heads);
		flags[0] = '\0';
		for (size_t bit = 0; bit < DK_ARRAY_LEN(names); bit++)
			if (c->flags & 1u << bit)
				n += (size_t)snprintf(flags + n, sizeof(flags) - n, "%s%s", n ? ", " : "", names[bit]);
		snprintf(number, sizeof(number), "%u %u", c->ver, c->cmd);
		row(o, (const char *const[]){ c->name, number, params(c->in, in, sizeof(in)), params(c->out, out, sizeof(out)),
					      flags, c->help });
	}
}

static void counter_table(struct page *o, const struct dk_plugin_desc *d)
{
	static const char *const heads[] = { "counter", "kind", "meaning", NULL };
	static const char *const kinds[] = { "", "sum", "gauge", "histogram" };

	for (const struct dk_counter *c = d->counters; c && c->name; c++) {
		if (c == d->counters)
			table(o, "counters", heads);
		row(o, (const char *const[]){ c->name, kinds[c->kind < DK_ARRAY_LEN(kinds) ? c->kind : 0], c->help });
	}
}

static void explain(struct page *o, const struct dk_plugin_desc *d)
{
	static const char *const kinds[] = { "", " if there", " all there are" };
	const struct dk_provide *p = d->provides;
	const struct dk_need *n = d->needs;
	const struct dk_hook *h = d->hooks;

	if (!o->md)
		say(o, "%s %s: %s\n", d->name, d->version, d->summary);
	say(o, o->md ? "Provides" : "  provides");
	for (; p && p->name; p++)
		say(o, "%s %s %u.%u", p > d->provides ? "," : "", p->name, p->major, p->minor);
	say(o, o->md ? "%s; needs" : "%s\n  needs", p > d->provides ? "" : " no service");
	for (; n && n->name; n++)
		say(o, "%s %s %u.%u%s", n > d->needs ? "," : "", n->name, n->major, n->minor,
		    kinds[n->kind < DK_ARRAY_LEN(kinds) ? n->kind : 0]);
	while (h && h->fn)
		h++;
	say(o, o->md ? "%s; hooks into commands: %zu.\n" : "%s\n  hooks into commands: %zu\n", n > d->needs ? "" : " nothing",
	    (size_t)(h - d->hooks));
	option_table(o, d->options, "options", "");
	command_table(o, d);
	counter_table(o, d);
	if (!o->md)
		say(o, "\n");
}

int dk_explain(struct dk_kernel *k, const char *name, bool markdown, void (*out)(void *arg, const char *text, size_t n), void *arg)
{
	struct page o = { .fn = out, .arg = arg, .md = markdown };
	const struct dk_plugin_desc *d = NULL;

	if (name && !strcmp(name, "kernel")) {
		option_table(&o, config_top_rows, "options at the top level", "");
		option_table(&o, config_log_rows, "options of the log", "log.");
		return 0;
	}
	for (size_t i = 0; i < k->plugin_n; i++)
		if (name ? !d && !strcmp(k->plugins[i]->desc.name, name) : k->plugins[i] != k->app)
			explain(&o, d = &k->plugins[i]->desc);
	if (d || !name)
		return 0;
	d = loader_describe(k, name);
	if (!d)
		return DK_EXIT_CONFIG;
	explain(&o, d);
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

static void dump_rows(const struct page *o, const struct dk_option *rows, const struct dk_node *map, unsigned depth);

/* row NULL: something in free form. */
static void dump_value(const struct page *o, const struct dk_option *row, const struct dk_node *n, unsigned depth)
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
		dump_rows(o, row->rows, n, depth + 1);
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
			dump_value(o, row && row->rows ? &element : NULL, n->v.at[i], depth + 1);
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

static void dump_rows(const struct page *o, const struct dk_option *rows, const struct dk_node *map, unsigned depth)
{
	struct dk_node def;
	char origin[1024];

	for (const struct dk_option *row = rows; row && row->name; row++) {
		const struct dk_node *n = options_value(row, map, &def);

		indent(o, depth);
		if (!n) {
			say(o, "# %s is not set\n", row->name);
			continue;
		}
		say(o, "%s = ", row->name);
		dump_value(o, row, n, depth);
		say(o, ";  # %s\n", node_origin(n, origin, sizeof(origin)));
	}
}

int dk_config_dump(struct dk_kernel *k, void (*out)(void *arg, const char *text, size_t n), void *arg)
{
	const struct page o = { .fn = out, .arg = arg };
	const struct dk_node *root = config_root(k->config), *plugins = dk_node_get(root, "plugins");
	static const char *const own[] = { "enabled", "use", "file", "config" };
	char origin[1024];

	dump_rows(&o, config_top_rows, root, 0);
	say(&o, "log = {\n");
	dump_rows(&o, config_log_rows, dk_node_get(root, "log"), 1);
	say(&o, "};\nplugins = {\n");
	for (size_t i = 0; i < dk_node_count(plugins); i++) {
		const struct dk_node *n = dk_node_at(plugins, i), *value;

		say(&o, "    %s = {  # %s\n", n->key, node_origin(n, origin, sizeof(origin)));
		for (size_t j = 0; j < DK_ARRAY_LEN(own); j++) {
			value = dk_node_get(n, own[j]);
			if (!value)
				continue;
			say(&o, "        %s = ", own[j]);
			dump_value(&o, NULL, value, 2);
			say(&o, ";  # %s\n", node_origin(value, origin, sizeof(origin)));
		}
		for (size_t j = 0; j < k->plugin_n; j++)
			if (!strcmp(k->plugins[j]->instance, n->key))
				dump_rows(&o, k->plugins[j]->desc.options, n, 2);
		say(&o, "    };\n");
	}
	say(&o, "};\n");
	return 0;
}
