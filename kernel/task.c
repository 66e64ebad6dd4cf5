/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGUSR1 and SIGUSR2: named tasks from a file. The file DIARKIS_SIGUSR1 (or 2) in the temp folder is read anew at each signal: its
 * first line names the task, the next lines are parameters. A task is a callback that the program registered for that signal, a
 * built-in (ChangeLogLevelByName) or a command of the node flagged DK_ADMIN.
 *
 * The temp folder is open to everybody, so the file must be regular, no link, at most 64 KiB, owned by root or by the process's
 * user, and not writable by others.
 */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX 65536
#define LINES_MAX 256

struct task {
	struct task *next;
	int which;
	char *name; /* NULL: NoTask */
	void (*plain)(void *arg);
	dk_task_fn *with_params;
	void *arg;
};

struct task_state {
	struct task *tasks;
};

int task_init(struct dk_kernel *k)
{
	k->tasks = calloc(1, sizeof(*k->tasks));
	return k->tasks ? 0 : -ENOMEM;
}

void task_fini(struct dk_kernel *k)
{
	while (k->tasks && k->tasks->tasks) {
		struct task *t = k->tasks->tasks;

		k->tasks->tasks = t->next;
		free(t->name);
		free(t);
	}
	free(k->tasks);
	k->tasks = NULL;
}

static struct task *find(struct dk_kernel *k, int which, const char *name)
{
	for (struct task *t = k->tasks->tasks; t; t = t->next)
		if (t->which == which && t->name && !strcmp(t->name, name))
			return t;
	return NULL;
}

static int add(struct dk_kernel *k, int which, const char *name, void (*plain)(void *), dk_task_fn *with_params, void *arg)
{
	struct task *t = calloc(1, sizeof(*t));
	struct task **at = &k->tasks->tasks;

	if (!t)
		return -ENOMEM;
	*t = (struct task){
		.which = which, .name = name ? strdup(name) : NULL, .plain = plain, .with_params = with_params, .arg = arg
	};
	if (name && !t->name) {
		free(t);
		return -ENOMEM;
	}
	while (*at)
		at = &(*at)->next;
	*at = t;
	return 0;
}

static bool add_named(struct dk_kernel *k, int which, const char *name, void (*plain)(void *), dk_task_fn *with_params, void *arg)
{
	if (!name || !*name || find(k, which, name) || !strcmp(name, "ChangeLogLevelByName"))
		return false;
	return add(k, which, name, plain, with_params, arg) == 0;
}

bool dk_on_sigusr1(struct dk_kernel *k, const char *name, void (*task)(void *arg), void *arg)
{
	return add_named(k, 1, name, task, NULL, arg);
}

bool dk_on_sigusr2(struct dk_kernel *k, const char *name, void (*task)(void *arg), void *arg)
{
	return add_named(k, 2, name, task, NULL, arg);
}

bool dk_on_sigusr1_with_params(struct dk_kernel *k, const char *name, dk_task_fn *task, void *arg)
{
	return add_named(k, 1, name, NULL, task, arg);
}

bool dk_on_sigusr2_with_params(struct dk_kernel *k, const char *name, dk_task_fn *task, void *arg)
{
	return add_named(k, 2, name, NULL, task, arg);
}

int dk_on_sigusr1_no_task(struct dk_kernel *k, void (*callback)(void *arg), void *arg)
{
	return add(k, 1, NULL, callback, NULL, arg);
}

int dk_on_sigusr2_no_task(struct dk_kernel *k, void (*callback)(void *arg), void *arg)
{
	return add(k, 2, NULL, callback, NULL, arg);
}

/* ---- the file ---- */

static const char *refusal(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "it is not a regular file";
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return "it belongs neither to root nor to the user of this process";
	if (st->st_mode & S_IWOTH)
		return "everybody may write to it; chmod o-w it";
	if (st->st_size > FILE_MAX)
		return "it is larger than 64 KiB";
	return NULL;
}

/* The text, NUL-terminated, or NULL (no file, or refused after logging). */
static char *read_file(struct dk_kernel *k, const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const char *why;
	struct stat st;
	char *text = NULL;
	ssize_t got;

	if (fd < 0) {
		if (errno != ENOENT)
			log_kernel(k, DK_WARN, "task file %s is not read: %s", path,
				   errno == ELOOP ? "it is a symbolic link" : strerror(errno));
		return NULL;
	}
	why = fstat(fd, &st) < 0 ? strerror(errno) : refusal(&st);
	if (why) {
		log_kernel(k, DK_WARN, "task file %s is not read: %s", path, why);
		goto out;
	}
	text = malloc(FILE_MAX + 1);
	if (!text)
		goto out;
	got = read(fd, text, FILE_MAX);
	if (got < 0) {
		log_kernel(k, DK_WARN, "task file %s cannot be read: %s", path, strerror(errno));
		free(text);
		text = NULL;
		goto out;
	}
	text[got] = '\0';
	if (config_kernel(k->config)->unlink_task_file)
		unlink(path);
out:
	close(fd);
	return text;
}

static size_t split(char *text, const char **lines)
{
	size_t n = 0;

	while (n < LINES_MAX && *text) {
		char *end = strchr(text, '\n');
		size_t len = end ? (size_t)(end - text) : strlen(text);

		if (len && text[len - 1] == '\r')
			text[len - 1] = '\0';
		lines[n++] = text;
		if (!end)
			break;
		*end = '\0';
		text = end + 1;
	}
	return n;
}

char *dk_task_read(struct dk_kernel *k, int which)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/DIARKIS_SIGUSR%d", k->temp_dir, which);
	return read_file(k, path);
}

/* ---- what a task may be ---- */

static void change_log_level(struct dk_kernel *k, const char *const *params, size_t n)
{
	if (n == 1 && !strcmp(params[0], "disable")) {
		log_reset_levels(k);
		log_kernel(k, DK_NOTICE, "log levels are as configured again");
	} else if (n == 3 && !strcmp(params[0], "enable") && log_level_of(params[2])) {
		if (log_set_level(k, params[1], log_level_of(params[2])) == 0)
			log_kernel(k, DK_NOTICE, "log level of %s is %s now", params[1], params[2]);
		else
			log_kernel(k, DK_WARN, "task ChangeLogLevelByName: no plugin is called \"%s\"", params[1]);
	} else {
		log_kernel(k, DK_WARN, "task ChangeLogLevelByName wants the lines enable, NAME, LEVEL, or the line disable");
	}
}

static void told(void *self, const struct dk_call *call, int status, dk_slice body)
{
	struct dk_kernel *k = plugin_of(self)->k;
	const char *name = call->row->name;

	if (status == DK_STATUS_OK)
		log_kernel(k, DK_NOTICE, "task %s: ok %s", name,
			   dk_payload_text(self, call->row->out, (call->row->flags & DK_PUFFER) != 0, body));
	else
		log_kernel(k, DK_WARN, "task %s: refused: %.*s", name, (int)body.n, body.n ? (const char *)body.p : "");
}

static void call_command(struct dk_kernel *k, const struct dk_command *row, const char *const *params, size_t n)
{
	dk_str args[LINES_MAX];
	const char *why = "";

	if (!(row->flags & DK_ADMIN)) {
		log_kernel(k, DK_WARN, "task %s: that command is not for operators", row->name);
		return;
	}
	for (size_t i = 0; i < n; i++)
		args[i] = dk_str_c(params[i]);
	if (dk_call_named(k->app->self, dk_str_c(row->name), args, n, DK_FROM_TASK, 0, told, &why) < 0)
		log_kernel(k, DK_WARN, "task %s: %s", row->name, why);
}

static void run(struct dk_kernel *k, int which, const char *name, const char *const *params, size_t n)
{
	struct task *t = find(k, which, name);
	const struct dk_command *row = dk_command_named(k->app->self, dk_str_c(name));

	if (t && t->plain)
		t->plain(t->arg);
	else if (t)
		t->with_params(t->arg, params, n);
	else if (!strcmp(name, "ChangeLogLevelByName"))
		change_log_level(k, params, n);
	else if (row)
		call_command(k, row, params, n);
	else
		log_kernel(k, DK_WARN, "SIGUSR%d: no task and no command is called \"%s\"", which, name);
}

void dk_task_run(struct dk_kernel *k, int which, const char *text)
{
	struct dk_plugin *before = kernel_enter(k->app);
	char *copy = text ? strdup(text) : NULL;
	const char *lines[LINES_MAX];
	size_t n = 0;

	for (struct task *t = k->tasks->tasks; t; t = t->next)
		if (t->which == which && !t->name)
			t->plain(t->arg);
	if (copy)
		n = split(copy, lines);
	if (n)
		run(k, which, lines[0], lines + 1, n - 1);
	free(copy);
	kernel_leave(k->app, before);
}
