/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the plugins that the config switches on, checks their constants and makes one dk_plugin of each section. Nothing of a
 * plugin runs here: dlopen with RTLD_NOW | RTLD_LOCAL, one dlsym, then data is read. Code is never unloaded while the node
 * lives.
 *
 * A descriptor made for an older minor ABI may be shorter, and its tables may have narrower rows: both are copied into rows of
 * today's shape, so the rest of the kernel only knows today's.
 */
#include "kernel.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Calls fn for every folder that may hold plugins, in order, until it returns true. */
static bool each_dir(struct dk_kernel *k, bool (*fn)(void *arg, const char *dir), void *arg)
{
	const struct kernel_conf *c = k->config ? config_kernel(k->config) : NULL;
	char buf[4096];
	Dl_info where;

	for (size_t i = 0; k->plugin_dirs && k->plugin_dirs[i]; i++)
		if (fn(arg, k->plugin_dirs[i]))
			return true;
	for (size_t i = 0; c && i < c->plugin_dirs.n; i++)
		if (fn(arg, c->plugin_dirs.at[i]))
			return true;
	/* An installed tree may have been moved: beside this library first, then where it was configured to be. */
	buf[0] = '\0';
	if (dladdr(dk_node_roles, &where) && where.dli_fname && strchr(where.dli_fname, '/')) {
		snprintf(buf, sizeof(buf), "%.*s/diarkis/plugins", (int)(strrchr(where.dli_fname, '/') - where.dli_fname),
			 where.dli_fname);
		if (access(buf, X_OK) == 0 && fn(arg, buf))
			return true;
	}
	return strcmp(buf, DK_PLUGIN_DIR) != 0 && fn(arg, DK_PLUGIN_DIR);
}

struct search {
	const char *name;
	char found[4096];
	char looked[4096];
};

static bool search_dir(void *arg, const char *dir)
{
	struct search *s = arg;
	size_t n = strlen(s->looked);

	snprintf(s->looked + n, sizeof(s->looked) - n, "%s%s", n ? ", " : "", dir);
	snprintf(s->found, sizeof(s->found), "%s/%s.so", dir, s->name);
	if (access(s->found, R_OK) == 0)
		return true;
	s->found[0] = '\0';
	return false;
}

/* ---- rows of another width ---- */

/* The tables of a descriptor: where pointer and stride stand in it, how wide a row is today, which member of a row ends it. */
struct table {
	const char *what;
	size_t rows, stride, native, key;
};
#define TABLE(member, size_member, type, key)                                                                                      \
	{                                                                                                                          \
#member, offsetof(struct dk_plugin_desc, member), offsetof(struct dk_plugin_desc, size_member),                    \
			sizeof(struct type), offsetof(struct type, key)                                                            \
	}
static const struct table tables[] = {
	TABLE(provides, provide_sz, dk_provide, name),
	TABLE(needs, need_sz, dk_need, name),
	TABLE(options, option_sz, dk_option, name),
	TABLE(commands, command_sz, dk_command, name),
	TABLE(hooks, hook_sz, dk_hook, fn),
	TABLE(counters, counter_sz, dk_counter, name),
};

static uint16_t stride_of(const struct dk_plugin_desc *d, const struct table *t)
{
	uint16_t stride;

	memcpy(&stride, (const uint8_t *)d + t->stride, sizeof(stride));
	return stride;
}

static const uint8_t *rows_of(const struct dk_plugin_desc *d, const struct table *t)
{
	const uint8_t *rows;

	memcpy(&rows, (const uint8_t *)d + t->rows, sizeof(rows));
	return rows;
}

/* A table of today's width; rows inside the rows of options are as wide as those. NULL: no memory. */
static void *rows_copy(struct dk_kernel *k, const void *rows, size_t stride, const struct table *t)
{
	const uint8_t *from = rows;
	size_t n = 0;
	uint8_t *to;

	while (*(void *const *)(const void *)(from + n * stride + t->key))
		n++;
	to = arena_try(&k->boot, (n + 1) * t->native);
	for (size_t i = 0; to && i < n; i++)
		memcpy(to + i * t->native, from + i * stride, stride < t->native ? stride : t->native);
	for (struct dk_option *o = (void *)to; to && t->rows == offsetof(struct dk_plugin_desc, options) && o->name; o++)
		if (o->rows && !(o->rows = rows_copy(k, o->rows, stride, t)))
			return NULL;
	return to;
}

/* 0 or -ENOMEM. */
static int desc_copy(struct dk_kernel *k, struct dk_plugin_desc *d, const struct dk_plugin_desc *from)
{
	memset(d, 0, sizeof(*d));
	memcpy(d, from, from->size < sizeof(*d) ? from->size : sizeof(*d));
	for (const struct table *t = tables; t < tables + DK_ARRAY_LEN(tables); t++) {
		const void *rows = rows_of(d, t);

		if (!rows || stride_of(d, t) == t->native)
			continue;
		rows = rows_copy(k, rows, stride_of(d, t), t);
		if (!rows)
			return -ENOMEM;
		memcpy((uint8_t *)d + t->rows, &rows, sizeof(rows));
	}
	return 0;
}

/* ---- checks; each returns true or has logged a sentence ---- */

static bool desc_check(struct dk_kernel *k, const char *what, const struct dk_plugin_desc *d)
{
	if (d->magic != DK_PLUGIN_MAGIC) {
		log_kernel(k, DK_ERROR,
			   "%s: what it exports is no plugin descriptor (magic %08x instead of %08x); rebuild it with "
			   "<diarkis/plugin.h>",
			   what, d->magic, DK_PLUGIN_MAGIC);
		return false;
	}
	if (d->abi_major != DK_ABI_MAJOR || d->abi_minor > DK_ABI_MINOR) {
		log_kernel(k, DK_ERROR, "%s: built for plugin ABI %u.%u, this kernel speaks %u.%u; rebuild it against diarkis %s",
			   what, d->abi_major, d->abi_minor, DK_ABI_MAJOR, DK_ABI_MINOR, DK_VERSION);
		return false;
	}
	if (d->size < offsetof(struct dk_plugin_desc, ops) || !d->name || d->self_size < sizeof(struct dk_self)) {
		log_kernel(k, DK_ERROR,
			   "%s: its descriptor is incomplete: name, self_size (at least %zu) and DK_PLUGIN_HEAD are required", what,
			   sizeof(struct dk_self));
		return false;
	}
	for (const struct table *t = tables; t < tables + DK_ARRAY_LEN(tables); t++)
		if (rows_of(d, t) && stride_of(d, t) < t->key + sizeof(void *)) {
			log_kernel(k, DK_ERROR, "%s: a row of its %s has %u bytes, which is too few; begin it with DK_PLUGIN_HEAD",
				   what, t->what, stride_of(d, t));
			return false;
		}
	return true;
}

static const struct dk_plugin_desc *open_so(struct dk_kernel *k, const char *file, const char *use)
{
	char symbol[128];
	const struct dk_plugin_desc *d;
	void **handles;
	void *h = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	if (!h) {
		log_kernel(k, DK_ERROR, "plugin %s cannot be loaded: %s", use, dlerror());
		return NULL;
	}
	handles = realloc(k->handles, (k->handle_n + 1) * sizeof(*handles));
	if (!handles) {
		dlclose(h);
		return NULL;
	}
	k->handles = handles;
	k->handles[k->handle_n++] = h;
	snprintf(symbol, sizeof(symbol), "dk_plugin_%s", use);
	for (char *c = symbol; *c; c++)
		if (*c == '-' || *c == '.')
			*c = '_';
	d = dlsym(h, symbol);
	if (!d)
		log_kernel(k, DK_ERROR, "%s: exports no symbol %s; a plugin exports one constant made with DK_PLUGIN(%s)", file,
			   symbol, use);
	return d;
}

static struct dk_plugin *plugin_new(struct dk_kernel *k, const struct dk_plugin_desc *d, const char *instance, const char *file)
{
	struct dk_plugin *p = calloc(1, sizeof(*p));
	struct dk_plugin **list = realloc(k->plugins, (k->plugin_n + 1) * sizeof(*list));

	if (list)
		k->plugins = list;
	if (!p || !list)
		goto fail;
	p->k = k;
	p->instance = strdup(instance);
	p->file = file ? strdup(file) : NULL;
	p->self = calloc(1, d->self_size);
	if (!p->instance || !p->self || (file && !p->file))
		goto fail;
	if (desc_copy(k, &p->desc, d) < 0)
		goto fail;
	p->self->magic = DK_SELF_MAGIC;
	p->self->log_level = DK_INFO;
	p->self->plugin = p;
	p->self->clock = &k->clock;
	k->plugins[k->plugin_n++] = p;
	return p;
fail:
	if (p) {
		free((void *)(uintptr_t)p->instance);
		free((void *)(uintptr_t)p->file);
		free(p->self);
	}
	free(p);
	return NULL;
}

static const struct dk_plugin_desc app_desc = {
	DK_PLUGIN_HEAD("app", DK_VERSION, "the program that holds this node"),
	.self_size = sizeof(struct app_state),
	.counters = io_counters,
};

/* The file or the linked-in constant of a name; NULL after logging. */
static const char *name_at(const void *arg, size_t i)
{
	return ((const char *const *)arg)[i];
}

/* Collects the plugin among those that can be found whose name is nearest to s->name. */
static bool near_dir(void *arg, const char *dir)
{
	struct search *s = arg;
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		size_t n = strlen(e->d_name);
		const char *pair[2] = { s->found, e->d_name };

		if (n <= 3 || strcmp(e->d_name + n - 3, ".so"))
			continue;
		e->d_name[n - 3] = '\0';
		if (kernel_nearest(s->name, name_at, pair, 2) == e->d_name)
			snprintf(s->found, sizeof(s->found), "%s", e->d_name);
	}
	if (d)
		closedir(d);
	return false;
}

static const struct dk_plugin_desc *find(struct dk_kernel *k, const char *name, const char *file, const char *origin,
					 struct search *s)
{
	char hint[512] = "check the spelling of the section";

	s->found[0] = s->looked[0] = '\0';
	s->name = name;
	for (size_t i = 0; !file && k->builtin && k->builtin[i]; i++)
		if (!strcmp(k->builtin[i]->name, name))
			return k->builtin[i];
	if (file)
		snprintf(s->found, sizeof(s->found), "%s", file);
	else
		each_dir(k, search_dir, s);
	if (!s->found[0]) {
		each_dir(k, near_dir, s);
		if (s->found[0])
			snprintf(hint, sizeof(hint), "did you mean \"%.400s\"? Check the section", s->found);
		log_kernel(k, DK_ERROR, "%s: no plugin %s.so in %s; %s, or name the plugin's folder with plugin_dir", origin, name,
			   s->looked, hint);
		return NULL;
	}
	return open_so(k, s->found, name);
}

int loader_load(struct dk_kernel *k)
{
	const struct config_section *sec;
	size_t n = config_sections(k->config, &sec);
	struct search s;
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		const struct dk_plugin_desc *d = find(k, sec[i].use, sec[i].file, sec[i].origin, &s);

		if (!d || !desc_check(k, s.found[0] ? s.found : sec[i].use, d)) {
			rc = DK_EXIT_CONFIG;
			continue;
		}
		if (!plugin_new(k, d, sec[i].instance, s.found[0] ? s.found : NULL))
			return DK_EXIT_RUNTIME;
	}
	return rc;
}

int loader_app(struct dk_kernel *k)
{
	k->app = plugin_new(k, &app_desc, "app", NULL);
	return k->app ? 0 : -ENOMEM;
}

void loader_fini(struct dk_kernel *k)
{
	for (size_t i = 0; i < k->plugin_n; i++) {
		struct dk_plugin *p = k->plugins[i];

		free((void *)(uintptr_t)p->instance);
		free((void *)(uintptr_t)p->file);
		free(p->self);
		free(p);
	}
	free(k->plugins);
	/* Handles stay open under a sanitizer's eye too: leak reports need the symbols, and code is never unloaded. */
	free(k->handles);
}

bool kernel_plugin_file(struct dk_kernel *k, const char *name, char *buf, size_t n)
{
	struct search s = { .name = name };

	if (!each_dir(k, search_dir, &s))
		return false;
	snprintf(buf, n, "%s", s.found);
	return true;
}

struct listing {
	struct dk_kernel *k;
	void (*out)(void *arg, const char *text, size_t n);
	void *arg;
};

static void list_one(struct listing *l, const struct dk_plugin_desc *d, const char *where)
{
	char line[4608];
	int n = snprintf(line, sizeof(line), "%-14s %-8s %s (%s)\n", d->name, d->version, d->summary, where);

	l->out(l->arg, line, (size_t)(n < (int)sizeof(line) ? n : (int)sizeof(line) - 1));
}

static bool list_dir(void *arg, const char *dir)
{
	struct listing *l = arg;
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		size_t len = strlen(names[i]->d_name);
		char path[4096], use[256];
		const struct dk_plugin_desc *d;

		if (len > 3 && len < sizeof(use) && !strcmp(names[i]->d_name + len - 3, ".so")) {
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
			snprintf(use, sizeof(use), "%.*s", (int)len - 3, names[i]->d_name);
			d = open_so(l->k, path, use);
			if (d && desc_check(l->k, path, d))
				list_one(l, d, path);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return false;
}

void loader_list(struct dk_kernel *k, void (*out)(void *arg, const char *text, size_t n), void *arg)
{
	struct listing l = { k, out, arg };

	for (size_t i = 0; k->builtin && k->builtin[i]; i++)
		list_one(&l, k->builtin[i], "linked in");
	each_dir(k, list_dir, &l);
}

const struct dk_plugin_desc *loader_describe(struct dk_kernel *k, const char *name)
{
	struct search s;
	const struct dk_plugin_desc *d = find(k, name, NULL, "--explain", &s);
	struct dk_plugin_desc *copy;

	if (!d || !desc_check(k, s.found[0] ? s.found : name, d))
		return NULL;
	copy = arena_try(&k->boot, sizeof(*copy));
	return copy && desc_copy(k, copy, d) == 0 ? copy : NULL;
}
