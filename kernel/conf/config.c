/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration: files to one tree, layer over layer, and who gets which part of it. The only user of libconfig and jansson, which
 * see texts in memory that source.c has prepared.
 *
 * Layers, later ones win: an option's default, the instance's own file, its section, conf.d, the option's environment variable,
 * --set. Groups merge by key, everything else replaces. Complaints are collected and logged together.
 *
 * What a plugin's conf struct points to lives in an arena of its own, so that a reload can keep the struct of a plugin whose values
 * are unchanged while the files' tree is replaced under it.
 */
#include "../kernel.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>

#define NESTING_MAX 64

struct filled { /* one plugin's */
	struct filled *next;
	struct dk_plugin *p;
	void *conf;
	struct arena arena;
	struct dk_report report;
	bool differs;
};

struct complaint {
	struct complaint *next;
	const char *text;
};

struct config {
	struct dk_kernel *k;
	struct arena arena;
	struct dk_boot boot;
	struct dk_node *root;
	struct kernel_conf kernel;
	struct dk_report top, log;
	struct config_section *sections;
	size_t section_n;
	struct filled *filled;
	struct complaint *first, **last, **logged;
};

const struct dk_option config_top_rows[] = {
	DK_STRS(struct kernel_conf, plugin_dirs, "plugin_dir", "where plugins are looked for, before the installed folder"),
	DK_BOOL(struct kernel_conf, unlink_task_file, "unlink_task_file", "false",
		"remove the task file of SIGUSR1/2 once it was read", .flags = DK_RELOADABLE),
	DK_INT(struct kernel_conf, struct_err_bits, "struct_err_bits", "32", 16, 32,
	       "width of the code in structured errors: 32, or 16 for old clients"),
	DK_INT(struct kernel_conf, workers, "workers", "0", 0, 256,
	       "nodes of this configuration that diarkisd runs as processes of their own, and looks after; 0: one node, by itself"),
	{ 0 },
};
const struct dk_option config_log_rows[] = {
	DK_STR(struct kernel_conf, log_level, "level", "verbose",
	       "lowest level written: verbose, network, sys, debug (or trace), info, notice, warn, error, fatal",
	       .flags = DK_RELOADABLE),
	DK_TREE(struct kernel_conf, log_levels, "levels", "levels of single plugins: { room = \"debug\"; }",
		.flags = DK_RELOADABLE),
	DK_STR(struct kernel_conf, log_time_zone, "timeZone", "local", "zone of the times: local or utc", .flags = DK_RELOADABLE),
	DK_BOOL(struct kernel_conf, log_color, "color", "true", "colours, when it goes to a terminal", .flags = DK_RELOADABLE),
	DK_BOOL(struct kernel_conf, log_flat, "flat", "false", "line breaks inside a message become spaces",
		.flags = DK_RELOADABLE),
	DK_STR(struct kernel_conf, log_file, "filePath", "", "append to this file instead of standard error",
	       .flags = DK_RELOADABLE),
	DK_BOOL(struct kernel_conf, log_unsafe, "unsafeLogging", "false", "write control characters as they are",
		.flags = DK_RELOADABLE),
	DK_INT(struct kernel_conf, log_rate, "rate", "1000", 0, 1000000000, "most lines per plugin; 0 is unlimited",
	       .unit = "per second", .flags = DK_RELOADABLE),
	{ 0 },
};
static const char *const top_also[] = { "log", "plugins", NULL };
static const char *const log_also[] = { "config", NULL };
static const char *const section_keys[] = { "enabled", "use", "file", "config", NULL };

/* ---- complaints ---- */

/* "FILE:LINE: ABOUT: sentence", in the arena. */
static const char *sentence(struct config *c, const struct dk_node *at, const char *about, const char *fmt, va_list ap)
{
	char text[1024], where[1024] = "";

	vsnprintf(text, sizeof(text), fmt, ap);
	if (at && at->file)
		node_origin(at, where, sizeof(where));
	return arena_printf(&c->arena, "%s%s%s%s%s", where, *where ? ": " : "", about ? about : "", about ? ": " : "", text);
}

void config_complain_v(struct config *c, const struct dk_node *at, const char *about, const char *fmt, va_list ap)
{
	struct complaint *new = arena_take(&c->arena, sizeof(*new));

	new->text = sentence(c, at, about, fmt, ap);
	*c->last = new;
	c->last = &new->next;
}

void config_caution_v(struct config *c, const struct dk_node *at, const char *about, const char *fmt, va_list ap)
{
	log_kernel(c->k, DK_WARN, "%s", sentence(c, at, about, fmt, ap));
}

void config_complain(struct config *c, const struct dk_node *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	config_complain_v(c, at, NULL, fmt, ap);
	va_end(ap);
}

int config_finish(struct config *c)
{
	for (; *c->logged; c->logged = &(*c->logged)->next)
		log_kernel(c->k, DK_ERROR, "%s", (*c->logged)->text);
	return c->first ? DK_EXIT_CONFIG : 0;
}

/* ---- parsing: a prepared text to a tree ---- */

/* A node like this one, to stay. */
static struct dk_node *keep(struct config *c, struct dk_node like)
{
	struct dk_node *n = node_new(&c->arena, like.type, like.file, like.line);

	if (like.type == DK_NODE_STR)
		like.v.s = arena_str(&c->arena, like.v.s, strlen(like.v.s));
	n->v = like.v;
	return n;
}

static bool too_deep(struct config *c, const struct dk_node *at, unsigned depth)
{
	if (depth == NESTING_MAX)
		config_complain(c, at, "groups and lists are nested more than %d deep", NESTING_MAX);
	return depth == NESTING_MAX;
}

static struct dk_node *from_setting(struct source *s, const config_setting_t *set, unsigned depth)
{
	struct dk_node n = source_where(s, config_setting_source_line(set)), *group;
	struct arena *a = &s->c->arena;

	switch (config_setting_type(set)) {
	case CONFIG_TYPE_BOOL:
		n.type = DK_NODE_BOOL;
		n.v.b = config_setting_get_bool(set);
		return keep(s->c, n);
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		n.type = DK_NODE_INT;
		n.v.i = config_setting_get_int64(set);
		return keep(s->c, n);
	case CONFIG_TYPE_FLOAT:
		n.type = DK_NODE_F64;
		n.v.f = config_setting_get_float(set);
		return keep(s->c, n);
	case CONFIG_TYPE_STRING:
		n.type = DK_NODE_STR;
		n.v.s = config_setting_get_string(set);
		return keep(s->c, n);
	}
	n.type = config_setting_is_group(set) ? DK_NODE_MAP : DK_NODE_LIST;
	group = keep(s->c, n);
	for (int i = 0; !too_deep(s->c, &n, depth) && i < config_setting_length(set); i++) {
		const config_setting_t *sub = config_setting_get_elem(set, (unsigned)i);
		const char *name = config_setting_name(sub);

		node_put(a, group, name ? arena_str(a, name, strlen(name)) : NULL, from_setting(s, sub, depth + 1));
	}
	return group;
}

static struct dk_node *parse_libconfig(struct source *s)
{
	struct dk_node *root = NULL, at;
	char line[256];
	bool replaced;
	config_t cfg;

	config_init(&cfg);
	if (config_read_string(&cfg, s->p)) {
		root = from_setting(s, config_root_setting(&cfg), 0);
	} else {
		at = source_where(s, (uint32_t)config_error_line(&cfg));
		source_line(s, (uint32_t)config_error_line(&cfg), line, sizeof(line), &replaced);
		config_complain(s->c, &at, "%s, at or before: %s", config_error_text(&cfg), line);
	}
	config_destroy(&cfg);
	return root;
}

struct cursor { /* finds the lines of keys, which jansson does not tell, in a text that it has found good */
	struct source *s;
	const char *p;
	uint32_t line;
};

static uint32_t next_key(struct cursor *at)
{
	for (; *at->p; at->p++) {
		const char *q = at->p + 1;

		at->line += *at->p == '\n';
		if (*at->p != '"')
			continue;
		while (*q != '"')
			q += *q == '\\' ? 2 : 1;
		at->p = q;
		if (q[1 + strspn(q + 1, " \t\r\n")] == ':')
			break;
	}
	at->p += *at->p != '\0';
	return at->line;
}

/* Keys come in the order of the text: jansson keeps it. */
static struct dk_node *from_json(struct cursor *cur, json_t *j, uint32_t line, unsigned depth)
{
	static const uint8_t types[] = {
		[JSON_OBJECT] = DK_NODE_MAP, [JSON_ARRAY] = DK_NODE_LIST, [JSON_STRING] = DK_NODE_STR, [JSON_INTEGER] = DK_NODE_INT,
		[JSON_REAL] = DK_NODE_F64,   [JSON_TRUE] = DK_NODE_BOOL,  [JSON_FALSE] = DK_NODE_BOOL, [JSON_NULL] = DK_NODE_NULL,
	};
	struct config *c = cur->s->c;
	struct dk_node n = source_where(cur->s, line), *group;
	const char *key;
	json_t *sub;
	size_t i;

	n.type = types[json_typeof(j)];
	if (n.type == DK_NODE_STR)
		n.v.s = json_string_value(j);
	else if (n.type == DK_NODE_INT)
		n.v.i = json_integer_value(j);
	else if (n.type == DK_NODE_F64)
		n.v.f = json_real_value(j);
	else if (n.type == DK_NODE_BOOL)
		n.v.b = json_is_true(j);
	group = keep(c, n);
	if (n.type < DK_NODE_LIST || too_deep(c, &n, depth))
		return group;
	json_object_foreach(j, key, sub)
	{
		line = next_key(cur);
		node_put(&c->arena, group, arena_str(&c->arena, key, strlen(key)), from_json(cur, sub, line, depth + 1));
	}
	json_array_foreach(j, i, sub) node_put(&c->arena, group, NULL, from_json(cur, sub, line, depth + 1));
	return group;
}

static struct dk_node *parse_json(struct source *s)
{
	struct cursor cur = { .s = s, .p = s->p, .line = 1 };
	json_error_t e;
	json_t *j = json_loadb(s->p, s->n, JSON_REJECT_DUPLICATES, &e);
	struct dk_node *root = NULL, at;
	char line[256], *near;
	bool replaced;

	if (j && json_is_object(j)) {
		root = from_json(&cur, j, 1, 0);
	} else if (j) {
		config_complain(s->c, &(struct dk_node){ .file = source_where(s, 1).file, .line = 1 },
				"expected an object: { ... }");
	} else {
		at = source_where(s, (uint32_t)e.line);
		source_line(s, (uint32_t)e.line, line, sizeof(line), &replaced);
		near = strstr(e.text, " near ");
		if (near && replaced) /* would quote the placeholder's value */
			*near = '\0';
		config_complain(s->c, &at, "column %d: %s, in: %s", e.column, e.text, line);
	}
	json_decref(j);
	return root;
}

static struct dk_node *read_tree(struct config *c, const struct dk_node *at, const char *name, const char *text, size_t n)
{
	struct source s = { .c = c, .k = c->k, .keep = &c->arena };
	struct dk_node *root = NULL;

	if (source_open(&s, at, name, text, n))
		root = s.json ? parse_json(&s) : parse_libconfig(&s);
	source_close(&s);
	return root;
}

struct dk_node *config_parse(struct config *c, const char *name, const char *text, size_t n)
{
	return read_tree(c, NULL, name, text, n);
}

/* ---- layers ---- */

/* The main file and what lies in conf.d beside it. */
static bool load_files(struct config *c)
{
	const struct dk_boot *b = &c->boot;
	const char *name = b->config_text ? b->config_name : b->config_file, *pattern;
	struct dk_node at = { .file = name, .line = 1 }, *n;
	glob_t found;
	bool ok = true;

	c->root = node_new(&c->arena, DK_NODE_MAP, name ? name : "no configuration", 0);
	if (!name)
		return true;
	n = read_tree(c, NULL, name, b->config_text, b->config_text ? strlen(b->config_text) : 0);
	if (n)
		node_merge(&c->arena, c->root, n);
	ok = n != NULL;
	pattern = source_beside(&c->arena, &at, "conf.d/*.conf");
	if (b->config_text || glob(pattern, 0, NULL, &found) != 0)
		return ok;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		n = read_tree(c, NULL, arena_str(&c->arena, found.gl_pathv[i], strlen(found.gl_pathv[i])), NULL, 0);
		if (n)
			node_merge(&c->arena, c->root, n);
		ok = ok && n;
	}
	globfree(&found);
	return ok;
}

static bool is_among(const char *name, size_t n, const char *const *names)
{
	for (; *names; names++)
		if (strlen(*names) == n && !memcmp(*names, name, n))
			return true;
	return false;
}

static struct dk_node *child(const struct dk_node *map, const char *key)
{
	return (struct dk_node *)(uintptr_t)dk_node_get(map, key);
}

static const char *key_at(const void *arg, size_t i)
{
	return dk_node_key(arg, i);
}

/* "room.maps.big.size=10", "log.level=info", "unlink_task_file=true". */
static void apply_set(struct config *c, const char *set)
{
	static const char *const kernel_keys[] = { "log",     "plugins", "plugin_dir", "unlink_task_file", "struct_err_bits",
						   "workers", NULL };
	static const char origin[] = "--set";
	size_t n = strcspn(set, "."), end = strcspn(set, "=");
	struct dk_node *map = c->root, *sub;
	const char *key;

	if (!set[end] || !end || set[end - 1] == '.' || *set == '.') {
		config_complain(c, NULL, "--set %s: expected INSTANCE.KEY=VALUE", set);
		return;
	}
	if (!is_among(set, n < end ? n : end, kernel_keys)) {
		map = child(c->root, "plugins");
		key = arena_str(&c->arena, set, n < end ? n : end);
		if (n >= end || (!child(map, key) && !is_among(set + n + 1, end - n - 1, section_keys))) {
			const char *near = kernel_nearest(key, key_at, map, dk_node_count(map));

			config_complain(c, NULL, "--set %s: there is no section \"%s\" in the configuration%s%s%s", set, key,
					near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
			return;
		}
	}
	for (;; set += n + 1, end -= n + 1) {
		n = strcspn(set, ".=");
		key = arena_str(&c->arena, set, n);
		if (n == end)
			break;
		sub = child(map, key);
		if (!sub || sub->type == DK_NODE_NULL)
			node_put(&c->arena, map, key, sub = node_new(&c->arena, DK_NODE_MAP, origin, 0));
		if (sub->type != DK_NODE_MAP) {
			config_complain(c, sub, "--set wants \"%s\" to be a group, but here it is none", key);
			return;
		}
		map = sub;
	}
	sub = node_new(&c->arena, DK_NODE_STR, origin, 0);
	sub->v.s = set + n + 1;
	node_put(&c->arena, map, key, sub);
}

/* Puts the file that a section's `config` names under the section: returns what both make. */
static struct dk_node *add_own_file(struct config *c, struct dk_node *section, const char *name)
{
	const struct dk_node *n = dk_node_get(section, "config");
	struct dk_node *own;

	if (dk_node_type(n) == DK_NODE_NULL)
		return section;
	if (n->type != DK_NODE_STR) {
		config_complain(c, n, "%s: \"config\" must be the name of a file", name);
		return section;
	}
	own = read_tree(c, n, source_beside(&c->arena, n, n->v.s), NULL, 0);
	if (!own)
		return section;
	for (size_t i = 0; section_keys[i]; i++)
		if (dk_node_get(own, section_keys[i]))
			config_complain(c, dk_node_get(own, section_keys[i]),
					"%s: \"%s\" belongs into the plugin's section, not into its own file", name,
					section_keys[i]);
	node_merge(&c->arena, own, section);
	own->file = section->file;
	own->line = section->line;
	return own;
}

/* What the environment says for a key of a group; only --set is stronger. */
static void take_variable(struct config *c, struct dk_node *map, const char *key, const char *variable)
{
	const char *value = kernel_getenv(c->k, variable);
	const struct dk_node *old = dk_node_get(map, key);
	struct dk_node *n;

	if (!value || !*value || (old && !old->line))
		return;
	n = node_new(&c->arena, DK_NODE_STR, arena_printf(&c->arena, "environment %s", variable), 0);
	n->v.s = arena_str(&c->arena, value, strlen(value));
	node_put(&c->arena, map, key, n);
}

/* The own file of the instance udp may be named by DIARKIS_UDP_SERVER_CONFIG_PATH. */
static void take_file_variable(struct config *c, struct dk_node *section)
{
	char *variable = arena_printf(&c->arena, "DIARKIS_%s_SERVER_CONFIG_PATH", section->key);

	for (char *p = variable; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	take_variable(c, section, "config", variable);
}

/* A text among a section's own keys; NULL when absent or reported. */
static const char *section_text(struct config *c, const struct dk_node *section, const char *key)
{
	const struct dk_node *n = dk_node_get(section, key);

	if (dk_node_type(n) != DK_NODE_NULL && n->type != DK_NODE_STR)
		config_complain(c, n, "%s: \"%s\" must be a text", section->key, key);
	return dk_node_str(n, NULL);
}

static void load_sections(struct config *c)
{
	struct dk_node *plugins = child(c->root, "plugins");
	char where[1024];

	c->sections = arena_take(&c->arena, (plugins->n + 1) * sizeof(*c->sections));
	for (uint32_t i = 0; i < plugins->n; i++) {
		struct dk_node *n = plugins->v.at[i];
		const struct dk_node *enabled = dk_node_get(n, "enabled");
		struct config_section *s = &c->sections[c->section_n];
		bool on = true;

		if (n->type != DK_NODE_MAP || !strcmp(n->key, "app") || !strcmp(n->key, "log") || !strcmp(n->key, "plugins")) {
			config_complain(c, n,
					n->type == DK_NODE_MAP
						? "\"%s\" is a name that the kernel keeps; name the instance otherwise"
						: "\"%s\" must be a group of options: { ... }",
					n->key);
			continue;
		}
		if (dk_node_type(enabled) != DK_NODE_NULL && !node_to_bool(enabled, &on))
			config_complain(c, enabled, "%s: \"enabled\" must be true or false", n->key);
		if (!on)
			continue;
		s->instance = n->key;
		s->use = section_text(c, n, "use");
		s->use = s->use ? s->use : n->key;
		s->file = section_text(c, n, "file");
		s->file = s->file ? source_beside(&c->arena, dk_node_get(n, "file"), s->file) : NULL;
		node_origin(n, where, sizeof(where));
		s->origin = arena_str(&c->arena, where, strlen(where));
		take_file_variable(c, n);
		node_put(&c->arena, plugins, n->key, add_own_file(c, n, n->key));
		c->section_n++;
	}
}

static bool uses(const struct config *c, const char *plugin)
{
	for (size_t i = 0; i < c->section_n; i++)
		if (!strcmp(c->sections[i].use, plugin))
			return true;
	return false;
}

static void check_workers(struct config *c)
{
	if (c->kernel.workers && (!uses(c, "mesh") || !uses(c, "mars")))
		config_complain(c, dk_node_get(c->root, "workers"),
				"\"workers\" is %lld, and workers are a cluster: switch mesh and mars on, by sections `mesh = {};` "
				"and `mars = {};` of plugins",
				(long long)c->kernel.workers);
}

static void check_level(struct config *c, const struct dk_node *n, const char *level)
{
	if (dk_node_type(n) != DK_NODE_NULL && !log_level_of(level))
		config_complain(c, n,
				"log: \"%s\" is no level; there are verbose, network, sys, debug (trace), info, notice, warn, "
				"error and fatal",
				level);
}

static void load_kernel(struct config *c)
{
	struct dk_node *log = child(c->root, "log");
	const struct dk_node *n;

	c->top = (struct dk_report){ .c = c, .use = "kernel", .map = c->root };
	options_fill(&c->top, &c->arena, config_top_rows, top_also, &c->kernel, sizeof(c->kernel));
	n = dk_node_get(c->root, "plugin_dir");
	for (size_t i = 0; i < c->kernel.plugin_dirs.n; i++)
		((const char **)(uintptr_t)c->kernel.plugin_dirs.at)[i] = source_beside(&c->arena, n, c->kernel.plugin_dirs.at[i]);

	node_put(&c->arena, c->root, "log", log = add_own_file(c, log, "log"));
	c->log = (struct dk_report){ .c = c, .name = "log", .use = "kernel", .map = log };
	options_fill(&c->log, &c->arena, config_log_rows, log_also, &c->kernel, sizeof(c->kernel));
	n = dk_node_get(log, "filePath");
	if (n)
		c->kernel.log_file = source_beside(&c->arena, n, c->kernel.log_file);
	check_level(c, dk_node_get(log, "level"), c->kernel.log_level);
	for (size_t i = 0; i < dk_node_count(c->kernel.log_levels); i++)
		check_level(c, dk_node_at(c->kernel.log_levels, i), dk_node_str(dk_node_at(c->kernel.log_levels, i), ""));
}

/* The top level has these two groups in any case. */
static void want_group(struct config *c, const char *key)
{
	struct dk_node *n = child(c->root, key);

	if (dk_node_type(n) != DK_NODE_NULL && n->type != DK_NODE_MAP)
		config_complain(c, n, "\"%s\" must be a group: { ... }", key);
	if (dk_node_type(n) != DK_NODE_MAP)
		node_put(&c->arena, c->root, key, node_new(&c->arena, DK_NODE_MAP, c->root->file, 0));
}

/* A reload reads the same again, when the strings of the first boot are gone. */
static void boot_copy(struct config *c, const struct dk_boot *b)
{
	struct arena *a = &c->arena;
	size_t n = 0;

	c->boot.config_file = b->config_file ? arena_printf(a, "%s", b->config_file) : NULL;
	c->boot.config_text = b->config_text ? arena_printf(a, "%s", b->config_text) : NULL;
	c->boot.config_name = b->config_name ? arena_printf(a, "%s", b->config_name) : "configuration";
	while (b->sets && b->sets[n])
		n++;
	c->boot.sets = arena_take(a, (n + 1) * sizeof(*b->sets));
	for (size_t i = 0; i < n; i++)
		((const char **)(uintptr_t)c->boot.sets)[i] = arena_printf(a, "%s", b->sets[i]);
}

int config_load(struct dk_kernel *k, const struct dk_boot *boot, struct config **ret_config)
{
	struct config *c = calloc(1, sizeof(*c));

	if (!c)
		return DK_EXIT_RUNTIME;
	c->k = k;
	c->last = c->logged = &c->first;
	boot_copy(c, boot);
	if (!load_files(c)) {
		config_free(c);
		return DK_EXIT_CONFIG;
	}
	want_group(c, "log");
	want_group(c, "plugins");
	for (size_t i = 0; c->boot.sets[i]; i++)
		apply_set(c, c->boot.sets[i]);
	load_kernel(c);
	load_sections(c);
	check_workers(c);
	*ret_config = c;
	return 0;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	config_finish(c);
	for (struct filled *f = c->filled; f; f = f->next)
		arena_free(&f->arena);
	arena_free(&c->arena);
	free(c);
}

const struct kernel_conf *config_kernel(const struct config *c)
{
	return &c->kernel;
}

const struct dk_node *config_root(const struct config *c)
{
	return c->root;
}

size_t config_sections(const struct config *c, const struct config_section **ret_sections)
{
	*ret_sections = c->sections;
	return c->section_n;
}

/* ---- plugins ---- */

static struct filled *filled_of(struct config *c, const struct dk_plugin *p)
{
	struct filled *f = c->filled;

	while (f && f->p != p)
		f = f->next;
	return f;
}

/* Complains when a variable that speaks of one instance is named by several: once, at the first of them. */
static void check_alone(struct config *c, const struct dk_plugin *p, const struct dk_option *row)
{
	const struct dk_plugin *first = NULL;
	const char *all = "";
	size_t n = 0;

	for (size_t i = 0; i < c->k->plugin_n; i++)
		for (const struct dk_option *r = c->k->plugins[i]->desc.options; r && r->name; r++)
			if (r->flags & DK_ENV_ALONE && r->env && !strcmp(r->env, row->env)) {
				first = first ? first : c->k->plugins[i];
				all = arena_printf(&c->arena, "%s%s%s.%s", all, n++ ? ", " : "", c->k->plugins[i]->instance,
						   r->name);
			}
	if (n > 1 && first == p)
		config_complain(c, NULL,
				"environment %s: it speaks of one server, and here it would set %s; unset it, and set them",
				row->env, all);
}

static struct filled *fill(struct config *c, struct dk_plugin *p)
{
	struct filled *f = arena_take(&c->arena, sizeof(*f));
	struct dk_node *map = child(child(c->root, "plugins"), p->instance);

	if (!map)
		map = node_new(&c->arena, DK_NODE_MAP, c->root->file, 0);
	for (const struct dk_option *row = p->desc.options; row && row->name; row++) {
		const char *value = row->env ? kernel_getenv(c->k, row->env) : NULL;

		if (!value || !*value)
			continue;
		take_variable(c, map, row->name, row->env);
		if (row->flags & DK_ENV_ALONE)
			check_alone(c, p, row);
	}
	f->p = p;
	f->conf = arena_take(&f->arena, p->desc.conf_size + 1);
	f->report = (struct dk_report){ .c = c, .name = p->instance, .use = p->desc.name, .map = map };
	options_fill(&f->report, &f->arena, p->desc.options, section_keys, f->conf, p->desc.conf_size);
	f->next = c->filled;
	c->filled = f;
	return f;
}

static void put_in_place(struct dk_plugin *p, void *conf)
{
	p->conf = conf;
	if (p->self)
		p->self->conf = conf;
}

int config_fill(struct config *c, struct dk_plugin *p)
{
	put_in_place(p, fill(c, p)->conf);
	return 0;
}

struct dk_report *config_report(struct config *c, struct dk_plugin *p)
{
	struct filled *f = filled_of(c, p);

	return f ? &f->report : &c->top;
}

/* ---- reload ---- */

static const struct config_section *section_of(const struct config *c, const struct config_section *like)
{
	for (size_t i = 0; i < c->section_n; i++)
		if (!strcmp(c->sections[i].instance, like->instance) && !strcmp(c->sections[i].use, like->use))
			return &c->sections[i];
	return NULL;
}

static void same_sections(struct config *old, struct config *c)
{
	for (size_t i = 0; i < c->section_n; i++)
		if (!section_of(old, &c->sections[i]))
			config_complain(c, NULL, "%s: %s is new; a plugin is switched on only by a restart", c->sections[i].origin,
					c->sections[i].instance);
	for (size_t i = 0; i < old->section_n; i++)
		if (!section_of(c, &old->sections[i]))
			config_complain(c, NULL, "%s: %s is gone; a plugin is switched off only by a restart",
					old->sections[i].origin, old->sections[i].instance);
}

int config_reload(struct dk_kernel *k, void (*changed)(struct dk_plugin *p, const void *old))
{
	struct config *old = k->config, *c;

	if (config_load(k, &old->boot, &c) != 0)
		goto refuse;
	same_sections(old, c);
	options_differ(&c->top, config_top_rows, &old->kernel, &c->kernel);
	options_differ(&c->log, config_log_rows, &old->kernel, &c->kernel);
	for (size_t i = 0; i < k->plugin_n; i++) {
		struct dk_plugin *p = k->plugins[i], *before;
		struct filled *f = fill(c, p), *was = filled_of(old, p);

		f->differs = was && options_differ(&f->report, p->desc.options, was->conf, f->conf);
		if (!p->desc.ops || !p->desc.ops->configure)
			continue;
		before = kernel_enter(p);
		p->desc.ops->configure(f->conf, &f->report);
		kernel_leave(p, before);
	}
	if (config_finish(c) != 0) {
		config_free(c);
		goto refuse;
	}
	/* Structs whose values are the same stay: pointers into them stay good. */
	for (struct filled *f = c->filled; f; f = f->next) {
		struct filled *was = filled_of(old, f->p);

		if (was && !f->differs) {
			struct arena spare = f->arena;

			f->arena = was->arena;
			f->conf = was->conf;
			was->arena = spare;
		}
		put_in_place(f->p, f->conf);
	}
	k->config = c;
	for (size_t i = 0; i < k->plugin_n; i++)
		if (filled_of(c, k->plugins[i])->differs)
			changed(k->plugins[i], filled_of(old, k->plugins[i])->conf);
	config_free(old);
	return 0;
refuse:
	log_kernel(k, DK_ERROR, "the configuration was not reloaded; the node goes on with the one that it has");
	return -EINVAL;
}
