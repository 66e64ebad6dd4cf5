/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness: one real node in a simulated world, its log in memory, its commands and users at the test's hand. It owns the
 * world unless the test brought one, and stops the node the way SIGTERM does, so every test also tests the end.
 */
#include <diarkis/test.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <diarkis/mem_transport.h>
#include <diarkis/user.h>

#include "kernel/kernel.h"
#include "tests/sim/sim.h"

enum { START_MS = 60000, ANSWER_MS = 5000, DIRS_MAX = 16 };

struct dk_harness {
	struct dk_env *world;
	struct dk_kernel *k;
	struct dk_test_user *users;
	uint64_t seed;
	char *log;
	size_t log_n, log_cap;
	int status; /* of the answer awaited; -1: none yet */
	uint8_t *body;
	size_t body_n;
	struct dk_addr addr;
	int verdict;
	bool own_world, stopped;
	char temp_dir[256]; /* of the node alone; empty when its environment names another */
};

struct dk_test_user {
	struct dk_test_user *next;
	struct dk_harness *h;
	struct dk_mem *mem;
	struct dk_mem_client *client;
	dk_id id;
};

/* ---- the log ---- */

static void log_line(void *arg, const char *line, size_t n)
{
	struct dk_harness *h = arg;

	if (h->log_n + n + 2 > h->log_cap) {
		size_t cap = (h->log_n + n + 2) * 2;
		char *log = realloc(h->log, cap);

		if (!log)
			return;
		h->log = log;
		h->log_cap = cap;
	}
	memcpy(h->log + h->log_n, line, n);
	h->log_n += n;
	if (!n || line[n - 1] != '\n')
		h->log[h->log_n++] = '\n';
	h->log[h->log_n] = '\0';
}

const char *dk_harness_log(const struct dk_harness *h)
{
	return h->log ? h->log : "";
}

bool dk_harness_log_has(const struct dk_harness *h, const char *text)
{
	return strstr(dk_harness_log(h), text) != NULL;
}

static void complain(const struct dk_harness *h, const char *what)
{
	fprintf(stderr, "%s (seed %llu; DK_SIM_TRACE=1 shows every event). Its log:\n%s", what, (unsigned long long)h->seed,
		dk_harness_log(h));
}

/* ---- beginning and end ---- */

static bool serves(void *arg)
{
	const struct dk_harness *h = arg;

	return dk_is_started(h->k) || dk_finished(h->k, NULL);
}

static bool over(void *arg)
{
	const struct dk_harness *h = arg;

	return dk_finished(h->k, NULL);
}

/* Nodes publish files: each test node has a folder of its own, so that tests do not meet there. */
static int make_temp_dir(struct dk_harness *h, const char *const *env)
{
	const char *parent = getenv("TMPDIR");

	for (; *env; env++)
		if (strncmp(*env, "TMPDIR=", 7) == 0)
			return 0;
	snprintf(h->temp_dir, sizeof(h->temp_dir), "%s/diarkis-test-XXXXXX", parent ? parent : "/tmp");
	if (mkdtemp(h->temp_dir))
		return 0;
	fprintf(stderr, "no folder %s can be made: %s\n", h->temp_dir, strerror(errno));
	h->temp_dir[0] = '\0';
	return -EIO;
}

static void remove_temp_dir(struct dk_harness *h)
{
	struct dirent *file;
	DIR *dir;

	if (!*h->temp_dir || rmdir(h->temp_dir) == 0)
		return; /* it was empty, as a node that ended well leaves it */
	dir = opendir(h->temp_dir);
	while (dir && (file = readdir(dir)))
		if (strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0)
			unlinkat(dirfd(dir), file->d_name, 0);
	if (dir) {
		closedir(dir);
		rmdir(h->temp_dir);
	}
}

static void discard(struct dk_harness *h)
{
	dk_kernel_free(h->k);
	if (h->own_world)
		dk_env_free(h->world);
	remove_temp_dir(h);
	free(h->body);
	free(h->log);
	free(h);
}

static int boot(struct dk_harness *h, const struct dk_harness_opts *opts)
{
	static const char *const nothing[] = { NULL };
	const char *dirs[DIRS_MAX + 1] = { NULL }, *more = getenv("DIARKIS_TEST_PLUGINS");
	char *list = more ? strdup(more) : NULL, *rest = list, *dir;
	struct dk_boot b = {
		.size = sizeof(b),
		.flags = DK_BOOT_NO_SIGNALS,
		.config_text = opts->config,
		.config_name = "test.conf",
		.sets = opts->sets,
		.plugin_dirs = dirs,
		.builtin = opts->plugins,
		.env = opts->env ? opts->env : nothing,
		.log_sink = log_line,
		.log_arg = h,
	};
	struct sim *sim = (struct sim *)h->world;
	size_t n = 0;
	int rc;

	if (!sim_ip(opts->address, &sim->next_ip)) {
		fprintf(stderr, "\"%s\" is no address of a host\n", opts->address);
		free(list);
		return -EINVAL;
	}
	if (make_temp_dir(h, b.env) == 0 && *h->temp_dir)
		b.temp_dir = h->temp_dir;
	for (const char *const *d = opts->plugin_dirs; d && *d && n < DIRS_MAX; d++)
		dirs[n++] = *d;
	while ((dir = strsep(&rest, ":")) && n < DIRS_MAX)
		if (*dir)
			dirs[n++] = dir;
	rc = dk_kernel_new(h->world, &b, &h->k);
	sim->next_ip.family = 0;
	free(list);
	return rc;
}

struct dk_harness *dk_harness_open(const struct dk_harness_opts *opts)
{
	struct dk_harness *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->seed = opts->seed;
	h->own_world = !opts->world;
	h->world = opts->world ? opts->world : dk_env_sim(opts->seed);
	if (!h->world) {
		free(h);
		return NULL;
	}
	if (boot(h, opts) != 0)
		goto fail;
	if (opts->stay)
		return h;
	if (dk_begin(h->k) != 0 || !dk_sim_run_until(h->world, serves, h, START_MS) || !dk_is_started(h->k))
		goto fail;
	return h;
fail:
	complain(h, "the node did not start");
	discard(h);
	return NULL;
}

static void users_free(struct dk_harness *h)
{
	while (h->users) {
		struct dk_test_user *u = h->users;

		h->users = u->next;
		if (!dk_finished(h->k, NULL)) /* else mem has freed it */
			u->mem->free(u->mem, u->client);
		free(u);
	}
}

int dk_harness_stop(struct dk_harness *h)
{
	int code = 0;

	if (h->stopped)
		return h->verdict;
	h->stopped = true;
	dk_harness_pause(h, false);
	users_free(h);
	if (!dk_is_running(h->k) && !dk_finished(h->k, NULL))
		return h->verdict; /* it never began */
	dk_stop(h->k);
	if (!dk_sim_run_until(h->world, over, h, (uint64_t)dk_shutdown_timeout(h->k) * 1000 + START_MS)) {
		h->verdict = 1;
		complain(h, "the node did not stop");
		return h->verdict;
	}
	dk_finished(h->k, &code);
	h->verdict = h->k->leftovers ? (int)h->k->leftovers : code != 0;
	if (h->verdict)
		complain(h, h->k->leftovers ? "the node left something behind" : "the node ended with an error");
	return h->verdict;
}

int dk_harness_free(struct dk_harness *h)
{
	int verdict;

	if (!h)
		return 0;
	verdict = dk_harness_stop(h);
	discard(h);
	return verdict;
}

/* ---- violence ---- */

void dk_harness_kill(struct dk_harness *h)
{
	struct env_node *n = h->k->node;

	sim_kill(n);
	users_free(h);
	/* In a world of its own, where the deadline has passed, it frees what it holds. */
	if (dk_is_running(h->k)) {
		dk_signal_arrived(h->k, SIGTERM);
		dk_signal_arrived(h->k, SIGTERM);
	}
	while (dk_is_running(h->k))
		sim_limbo_turn(n);
	discard(h);
}

void dk_harness_pause(struct dk_harness *h, bool on)
{
	sim_pause(h->k->node, on);
}

/* ---- looking ---- */

struct dk_kernel *dk_harness_kernel(struct dk_harness *h)
{
	return h->k;
}

struct dk_env *dk_harness_world(struct dk_harness *h)
{
	return h->world;
}

void dk_harness_advance(struct dk_harness *h, uint64_t ms)
{
	dk_sim_run(h->world, ms);
}

void *dk_harness_service(struct dk_harness *h, const char *name)
{
	return dk_service_find(h->k, name, NULL);
}

const struct dk_addr *dk_harness_addr(struct dk_harness *h, const char *instance)
{
	for (size_t i = 0; i < h->k->announced_n; i++)
		if (strcmp(h->k->announced[i].plugin->instance, instance) == 0) {
			h->addr = h->k->announced[i].addr;
			return &h->addr;
		}
	return NULL;
}

struct wanted {
	const char *instance, *name;
	int64_t value;
};

static void look(void *arg, const char *instance, const struct dk_counter *c, const void *value)
{
	struct wanted *w = arg;

	if (strcmp(instance, w->instance) != 0 || strcmp(c->name, w->name) != 0)
		return;
	if (c->kind == DK_COUNTER_HISTOGRAM)
		w->value = (int64_t)((const struct dk_histogram *)value)->count;
	else if (c->kind == DK_COUNTER_GAUGE)
		w->value = *(const int64_t *)value;
	else
		w->value = (int64_t) * (const uint64_t *)value;
}

int64_t dk_harness_counter(struct dk_harness *h, const char *instance, const char *name)
{
	struct wanted w = { instance, name, INT64_MIN };

	dk_counters_each(dk_app(h->k), look, &w);
	return w.value;
}

/* ---- calling ---- */

static void answered(void *self, const struct dk_call *call, int status, dk_slice body)
{
	struct dk_harness *h = call->priv;
	uint8_t *copy = realloc(h->body, body.n ? body.n : 1);

	(void)self;
	h->status = status;
	h->body_n = 0;
	if (!copy)
		return;
	h->body = copy;
	h->body_n = body.n;
	if (body.n)
		memcpy(copy, body.p, body.n);
}

static bool has_answer(void *arg)
{
	return ((const struct dk_harness *)arg)->status >= 0;
}

struct dk_reply dk_harness_callv(struct dk_harness *h, const char *name, const char *const *args)
{
	struct dk_reply r = { .why = "" };
	dk_str texts[16];
	size_t n = 0;
	int rc;

	for (; args[n] && n < DK_ARRAY_LEN(texts); n++)
		texts[n] = dk_str_c(args[n]);
	h->status = -1;
	rc = dk_call_named(dk_app(h->k), dk_str_c(name), texts, n, DK_FROM_ADMIN, (uintptr_t)h, answered, &r.why);
	if (rc != 0 && rc != DK_LATER) {
		if (rc != -EINVAL)
			r.why = rc == DK_NOT_FOUND ? "no such command" : rc == DK_FULL ? "too many calls at once" : dk_err_text(rc);
		return r;
	}
	if (!dk_sim_run_until(h->world, has_answer, h, ANSWER_MS)) {
		r.why = "no answer within 5 s";
		return r;
	}
	r.status = h->status;
	r.body = dk_slice_n(h->body, h->body_n);
	return r;
}

/* ---- users ---- */

struct dk_test_user *dk_harness_user(struct dk_harness *h, const char *uid)
{
	struct dk_user *users = dk_harness_service(h, DK_USER_NAME);
	struct dk_mem *mem = dk_harness_service(h, DK_MEM_NAME);
	struct dk_transport *t = mem ? dk_service_find(h->k, DK_TRANSPORT_NAME, mem->base.instance) : NULL;
	struct dk_test_user *u = users && t ? calloc(1, sizeof(*u)) : NULL;
	struct dk_credential cred;

	if (!u)
		return NULL;
	u->h = h;
	u->mem = mem;
	if (users->create(users, dk_str_c(uid), dk_str_c(t->type), &cred, &u->id) != 0 ||
	    mem->connect(mem, cred.sid, &u->client) != 0) {
		free(u);
		return NULL;
	}
	u->next = h->users;
	h->users = u;
	dk_sim_run(h->world, 2); /* a turn, in which it connects */
	return u;
}

dk_id dk_test_user_id(const struct dk_test_user *u)
{
	return u->id;
}

int dk_test_user_send(struct dk_test_user *u, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	return u->mem->send(u->mem, u->client, ver, cmd, payload, true);
}

bool dk_test_user_next(struct dk_test_user *u, struct dk_frame *ret_frame)
{
	bool reliable;

	return u->mem->next(u->mem, u->client, ret_frame, &reliable);
}

struct awaited {
	struct dk_test_user *user;
	struct dk_frame *frame;
	uint8_t ver;
	uint16_t cmd;
};

static bool has_come(void *arg)
{
	struct awaited *a = arg;

	while (dk_test_user_next(a->user, a->frame))
		if (a->frame->ver == a->ver && a->frame->cmd == a->cmd)
			return true;
	return false;
}

bool dk_test_user_await(struct dk_test_user *u, uint8_t ver, uint16_t cmd, struct dk_frame *ret_frame)
{
	struct awaited a = { u, ret_frame, ver, cmd };

	return dk_sim_run_until(u->h->world, has_come, &a, ANSWER_MS);
}

void dk_test_user_leave(struct dk_test_user *u)
{
	u->mem->close(u->mem, u->client);
}
