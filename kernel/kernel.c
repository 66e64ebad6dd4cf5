/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node as a value: made from an env and a configuration, freed at the end. Boot in order (config, plugins, options, wiring,
 * commands), the frame of a turn, the watchdog, and the small facts of a node that plugins ask for. What happens from start to
 * stop is in life.c.
 */
#include "kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SLOW_US 5000
#define STUCK_US 2000000

struct defer {
	struct defer *next;
	struct dk_plugin *plugin;
	void (*fn)(void *self, uint64_t arg);
	uint64_t arg;
};

const char *const dk_node_roles[5] = { DK_ROLE_UDP, DK_ROLE_TCP, DK_ROLE_HTTP, DK_ROLE_DGS, NULL };

struct dk_plugin *plugin_of(const void *self)
{
	const struct dk_self *s = self;

	if (!s || s->magic != DK_SELF_MAGIC) {
		fprintf(stderr, "diarkis: a kernel function was given a pointer that is not the state of a plugin (struct dk_self "
				"must be its first member)\n");
		abort();
	}
	return s->plugin;
}

/* ---- turns ---- */

struct dk_plugin *kernel_enter(struct dk_plugin *p)
{
	struct dk_kernel *k = p->k;
	struct dk_plugin *before = k->running;

	if (!before)
		k->enter_us = k->env->ops->now_us(k->env);
	k->running = p;
	return before;
}

void kernel_leave(struct dk_plugin *p, struct dk_plugin *before)
{
	struct dk_kernel *k = p->k;

	k->running = before;
	if (!before) {
		uint64_t us = k->env->ops->now_us(k->env) - k->enter_us;

		scratch_reset(k);
		if (us > SLOW_US)
			p->slow_callbacks++;
		if (us > STUCK_US)
			log_kernel(k, DK_WARN, "%s held the loop for %llu ms in one callback; work that long belongs into dk_job()",
				   p->instance, (unsigned long long)(us / 1000));
	}
}

const char *dk_running_plugin(const struct dk_kernel *k)
{
	return k->running ? k->running->instance : NULL;
}

void kernel_turn_begin(struct dk_kernel *k)
{
	k->clock.us = k->env->ops->now_us(k->env);
	k->clock.ms = k->clock.us / 1000;
}

static void defer_cancel(void *self, void *a, void *b)
{
	(void)self;
	(void)b;
	((struct defer *)a)->fn = NULL;
}

int dk_defer(void *self, void (*fn)(void *self, uint64_t arg), uint64_t arg)
{
	struct dk_plugin *p = plugin_of(self);
	struct defer *d = malloc(sizeof(*d));

	if (!d)
		return -ENOMEM;
	*d = (struct defer){ NULL, p, fn, arg };
	if (ledger_add(p, defer_cancel, d, NULL, "deferred call") < 0) {
		free(d);
		return -ENOMEM;
	}
	*p->k->defer_tail = d;
	p->k->defer_tail = &d->next;
	if (!p->k->ending)
		p->k->env->ops->wake(p->k->node);
	return 0;
}

static void run_defers(struct dk_kernel *k)
{
	struct defer *d;

	while ((d = k->defers)) {
		k->defers = d->next;
		if (!k->defers)
			k->defer_tail = &k->defers;
		if (d->fn) {
			struct dk_plugin *before = kernel_enter(d->plugin);

			ledger_drop(d->plugin, defer_cancel, d, NULL);
			d->fn(d->plugin->self, d->arg);
			kernel_leave(d->plugin, before);
		}
		free(d);
	}
}

int dk_on_turn_end(void *self, void (*fn)(void *self))
{
	struct dk_plugin *p = plugin_of(self);

	if (p->turn_end)
		return DK_EXISTS;
	p->turn_end = fn;
	return 0;
}

void kernel_turn_end(struct dk_kernel *k)
{
	k->ending = true;
	run_defers(k);
	for (size_t i = k->plugin_n; i-- > 0;) {
		struct dk_plugin *p = k->plugins[i];

		if (p->turn_end) {
			struct dk_plugin *before = kernel_enter(p);

			p->turn_end(p->self);
			kernel_leave(p, before);
		}
	}
	io_flush(k);
	k->ending = false;
	if (k->defers)
		k->env->ops->wake(k->node);
	life_pump(k);
}

/* ---- boot ---- */

static int copy_list(const char *const *from, char ***ret_list)
{
	size_t n = 0;

	if (!from)
		return 0;
	while (from[n])
		n++;
	*ret_list = calloc(n + 1, sizeof(**ret_list));
	for (size_t i = 0; *ret_list && i < n; i++)
		if (!((*ret_list)[i] = strdup(from[i])))
			return -ENOMEM;
	return *ret_list ? 0 : -ENOMEM;
}

static void free_list(char **list)
{
	for (char **v = list; v && *v; v++)
		free(*v);
	free(list);
}

const char *kernel_getenv(const struct dk_kernel *k, const char *name)
{
	size_t n = strlen(name);

	if (!k->env_vars)
		return getenv(name);
	for (char **v = k->env_vars; *v; v++)
		if (!strncmp(*v, name, n) && (*v)[n] == '=')
			return *v + n + 1;
	return NULL;
}

const char *dk_env_var(const void *self, const char *name)
{
	return kernel_getenv(plugin_of(self)->k, name);
}

static int find_path(struct dk_kernel *k)
{
	char buf[4096];
	ssize_t n = readlink("/proc/self/exe", buf, sizeof(buf) - 1);
	char *slash;

	if (n <= 0)
		n = snprintf(buf, sizeof(buf), "/");
	buf[n] = '\0';
	slash = strrchr(buf, '/');
	if (slash && slash != buf)
		*slash = '\0';
	k->path = strdup(buf);
	return k->path ? 0 : -ENOMEM;
}

static int read_timeout(struct dk_kernel *k)
{
	const char *text = kernel_getenv(k, "DIARKIS_SHUTDOWN_TIMEOUT");
	long long v;
	char *end;

	k->shutdown_timeout_s = 10;
	if (!text)
		return 0;
	errno = 0;
	v = strtoll(text, &end, 10);
	if (errno || end == text || *end || v <= 0 || v > 86400 * 365) {
		log_kernel(k, DK_ERROR, "DIARKIS_SHUTDOWN_TIMEOUT is \"%s\", but must be a positive whole number of seconds", text);
		return DK_EXIT_CONFIG;
	}
	k->shutdown_timeout_s = v;
	return 0;
}

static int fill_options(struct dk_kernel *k)
{
	for (size_t i = 0; i < k->plugin_n; i++) {
		struct dk_plugin *p = k->plugins[i];

		if (config_fill(k->config, p) < 0)
			return DK_EXIT_RUNTIME;
		p->self->conf = p->conf;
		if (p->desc.ops && p->desc.ops->configure)
			p->desc.ops->configure(p->conf, config_report(k->config, p));
	}
	return config_finish(k->config);
}

/* No plugins: a log under a name of its own, and task files. */
static int boot_supervisor(struct dk_kernel *k, int rc)
{
	char *name = strdup("supervisor");
	int worse = config_finish(k->config);

	if (!name)
		return DK_EXIT_RUNTIME;
	free((void *)(uintptr_t)k->app->instance);
	k->app->instance = name;
	rc = worse ? worse : rc;
	return rc ? rc : command_init(k);
}

static int boot(struct dk_kernel *k, const struct dk_boot *b)
{
	const char *tmp = kernel_getenv(k, "TMPDIR");
	int rc, worse;

	k->temp_dir = strdup(b->temp_dir ? b->temp_dir : tmp && *tmp ? tmp : "/tmp");
	if (!k->temp_dir || find_path(k) < 0 || mem_init(k) < 0 || log_init(k, b) < 0 || loader_app(k) < 0)
		return DK_EXIT_RUNTIME;
	if (k->env->ops->random(k->env, k->hash_key, sizeof(k->hash_key)) < 0 ||
	    k->env->ops->random(k->env, k->chance, sizeof(k->chance)) < 0) {
		log_kernel(k, DK_ERROR, "the system gives no random bytes; keys cannot be made");
		return DK_EXIT_RUNTIME;
	}
	rc = k->env->ops->attach(k->env, k, !(b->flags & DK_BOOT_NO_SIGNALS), &k->node);
	if (rc < 0) {
		log_kernel(k, DK_ERROR, "the event loop cannot be set up: %s", dk_err_text(rc));
		return DK_EXIT_RUNTIME;
	}
	kernel_turn_begin(k);
	if (io_init(k) < 0 || life_init(k) < 0 || task_init(k) < 0)
		return DK_EXIT_RUNTIME;
	rc = config_load(k, b, &k->config);
	if (rc)
		return rc;
	rc = log_configure(k);
	worse = read_timeout(k);
	rc = worse ? worse : rc;
	if (dk_workers(k))
		return boot_supervisor(k, rc);
	worse = loader_load(k);
	rc = worse ? worse : rc;
	worse = fill_options(k);
	rc = worse ? worse : rc;
	if (!rc)
		rc = graph_wire(k);
	if (!rc)
		rc = log_configure(k);
	return rc ? rc : command_init(k);
}

int dk_kernel_new(struct dk_env *env, const struct dk_boot *b, struct dk_kernel **ret_kernel)
{
	struct dk_boot full = { 0 };
	struct dk_kernel *k = calloc(1, sizeof(*k));
	int rc;

	if (!k)
		return DK_EXIT_RUNTIME;
	memcpy(&full, b, b->size < sizeof(full) ? b->size : sizeof(full));
	k->env = env;
	k->boot_flags = full.flags;
	k->defer_tail = &k->defers;
	k->builtin = full.builtin;
	k->worker = full.worker;
	k->workers = full.workers;
	k->share = full.share;
	k->watch = full.watch;
	k->watch_fd = full.watch_fd;
	k->program = full.program;
	rc = copy_list(full.env, &k->env_vars) < 0 || copy_list(full.plugin_dirs, &k->plugin_dirs) < 0 ? DK_EXIT_RUNTIME
												       : boot(k, &full);
	if (rc) {
		dk_kernel_free(k);
		return rc;
	}
	*ret_kernel = k;
	return 0;
}

void dk_kernel_free(struct dk_kernel *k)
{
	if (!k)
		return;
	command_fini(k);
	task_fini(k);
	life_fini(k);
	io_fini(k);
	for (size_t i = 0; i < k->plugin_n; i++)
		ledger_revoke(k->plugins[i]);
	while (k->defers) {
		struct defer *d = k->defers;

		k->defers = d->next;
		free(d);
	}
	if (k->node)
		k->env->ops->detach(k->node);
	config_free(k->config);
	log_fini(k);
	loader_fini(k);
	arena_free(&k->boot);
	mem_fini(k);
	free_list(k->env_vars);
	free_list(k->plugin_dirs);
	free(k->temp_dir);
	free(k->path);
	free(k);
}

/* ---- facts ---- */

uint32_t dk_workers(const struct dk_kernel *k)
{
	return k->boot_flags & DK_BOOT_WORKERS ? (uint32_t)config_kernel(k->config)->workers : 0;
}

const char *dk_path(const struct dk_kernel *k)
{
	return k->path;
}

int64_t dk_shutdown_timeout(const struct dk_kernel *k)
{
	return k->shutdown_timeout_s;
}

void *dk_app(struct dk_kernel *k)
{
	return k->app->self;
}

void *dk_plugin_state(struct dk_kernel *k, const char *instance)
{
	for (size_t i = 0; i < k->plugin_n; i++)
		if (!strcmp(k->plugins[i]->instance, instance))
			return k->plugins[i]->self;
	return NULL;
}

void *dk_service_find(struct dk_kernel *k, const char *service, const char *instance)
{
	void *found = NULL;

	for (size_t i = 0; i < k->plugin_n; i++)
		for (const struct dk_provide *v = k->plugins[i]->desc.provides; v && v->name; v++)
			if (!strcmp(v->name, service) && (!instance || !strcmp(instance, k->plugins[i]->instance))) {
				if (found)
					return NULL;
				found = (uint8_t *)k->plugins[i]->self + v->offset;
			}
	return found;
}

const char *dk_instance(const void *self)
{
	return plugin_of(self)->instance;
}

const char *dk_service_instance(const struct dk_service *svc)
{
	return svc->instance;
}

const struct dk_plugin_desc *dk_plugin_at(const void *self, size_t i, const char **ret_instance)
{
	struct dk_kernel *k = plugin_of(self)->k;

	if (i >= k->plugin_n)
		return NULL;
	*ret_instance = k->plugins[i]->instance;
	return &k->plugins[i]->desc;
}

void dk_counters_each(void *self, void (*fn)(void *arg, const char *instance, const struct dk_counter *c, const void *value),
		      void *arg)
{
	static const struct dk_counter slow = { "slow_callbacks", "callbacks that held the loop for more than 5 ms", 0,
						DK_COUNTER_SUM, 0 };
	struct dk_kernel *k = plugin_of(self)->k;

	for (size_t i = 0; i < k->plugin_n; i++) {
		struct dk_plugin *p = k->plugins[i];

		for (const struct dk_counter *c = p->desc.counters; c && c->name; c++)
			fn(arg, p->instance, c, (const uint8_t *)p->self + c->offset);
		fn(arg, p->instance, &slow, &p->slow_callbacks);
	}
}
