/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that embed a node (diarkisd is one): make it, hang callbacks on its life, run it. A node is a value; a
 * process may hold several. The callbacks registered here belong to the plugin `app`, which ranks above all others: its
 * start runs last, its stop first, its callbacks in order of registration.
 *
 * The names on the right are those of the system this one is modelled after (docs/MIGRATION.md has them all).
 */
#ifndef DIARKIS_DIARKIS_H
#define DIARKIS_DIARKIS_H

#include <diarkis/plugin.h>
#include <diarkis/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dk_env; /* where time, chance and the network come from */
struct dk_kernel; /* one node */

/* Production: libuv on a loop of its own. NULL = no memory or descriptors. The simulator's is in <diarkis/test.h>. */
DK_API struct dk_env *dk_env_uv(void);
/* Runs all nodes of the env that were begun until done(arg), asked after every turn. Returns 0 or <0. */
DK_API int dk_env_run(struct dk_env *env, bool (*done)(void *arg), void *arg);
DK_API void dk_env_free(struct dk_env *env); /* after its kernels */

enum dk_boot_flag {
	DK_BOOT_NO_SIGNALS = 1, /* leave the process's signals alone */
	DK_BOOT_READY_LINE = 2, /* print `ready` with the addresses on standard output */
	DK_BOOT_CRASH_NAMES = 4, /* keep dk_running_plugin() up to date for a crash handler */
	/* when the configuration asks for workers load no plugin: for a supervisor's log and task files, see dk_workers() */
	DK_BOOT_WORKERS = 8
};

/* Zeroed members have defaults. Strings are copied; builtin is borrowed for the kernel's life. */
struct dk_boot {
	uint32_t size; /* sizeof(struct dk_boot) */
	uint32_t flags;
	const char *config_file; /* libconfig or JSON (by content); or */
	const char *config_text, *config_name; /* the text itself, and what errors call it */
	const char *const *sets; /* "INSTANCE.KEY=VALUE", NULL-terminated */
	const char *const *plugin_dirs; /* before those of the config and the installed one; NULL-terminated */
	/* plugins linked into the program, NULL-terminated; on when the config has their section */
	const struct dk_plugin_desc *const *builtin;
	const char *const *env; /* "NAME=value", NULL-terminated; NULL: the process's environment */
	const char *temp_dir; /* task files; NULL: $TMPDIR or /tmp */
	void (*log_sink)(void *arg, const char *line, size_t n); /* instead of stderr and the file of the config */
	void *log_arg;
	/* one of several processes with one configuration: which (from 0) of how many; workers 0: a node by itself */
	uint32_t worker, workers;
	/* Asked for the listener of a fixed port, which several processes may accept on: a descriptor that listens there and does
	 * not block, given over, or <0 (-EADDRINUSE). NULL: the node makes its own. */
	int (*share)(void *program, const struct dk_addr *bind, int backlog);
	/* Called in a turn when watch_fd can be read or has ended; false: never again. NULL: nothing is watched. */
	bool (*watch)(void *program);
	int watch_fd;
	void *program; /* for both */
};

/*
 * Reads the config, loads the plugins, wires and configures them; nothing runs yet. On failure every complaint has been logged and
 * the result is the exit code to end with (DK_EXIT_CONFIG, DK_EXIT_RUNTIME), *ret_kernel is untouched.
 */
DK_API int dk_kernel_new(struct dk_env *env, const struct dk_boot *boot, struct dk_kernel **ret_kernel);
DK_API void dk_kernel_free(struct dk_kernel *k); /* not while it runs; NULL is fine */

/* ---- life: Start, Run, Stop ---- */

/* How many workers the configuration asks for, of a node made with DK_BOOT_WORKERS: when not 0 it must not be started. */
DK_API uint32_t dk_workers(const struct dk_kernel *k);

/* Runs until told to stop; returns the exit code: 0, or 1 after an error. (Start) */
DK_API int dk_start(struct dk_kernel *k);
/* Starts, then stops by itself when all OnReady and OnStarted callbacks are through. (Run) */
DK_API int dk_run(struct dk_kernel *k);
/* Begins to stop, with exit code 0; returns at once. (Stop) */
DK_API void dk_stop(struct dk_kernel *k);
/* The same; done(arg) runs after the last OnTerminate callback. (StopWithCallback) */
DK_API void dk_stop_with_callback(struct dk_kernel *k, void (*done)(void *arg), void *arg);
/* Begins to stop with exit code 1; the sentence is logged. (StopWithError) */
DK_API void dk_stop_with_error(struct dk_kernel *k, const char *fmt, ...) DK_PRINTF(2, 3);

/* For programs with several nodes: begin returns 0 or an exit code; then dk_env_run(); finished tells when. */
DK_API int dk_begin(struct dk_kernel *k);
DK_API bool dk_finished(const struct dk_kernel *k, int *ret_exit_code);

DK_API bool dk_is_running(const struct dk_kernel *k); /* IsRunning: between dk_start() and its return */
DK_API bool dk_is_started(const struct dk_kernel *k); /* IsStarted: after the last OnStarted callback */
DK_API bool dk_is_stopping(const struct dk_kernel *k); /* IsTerminating */
DK_API int64_t dk_shutdown_timeout(const struct dk_kernel *k); /* seconds (ShutdownTimeout) */

#define DK_AUTHOR "The diarkis authors" /* Author */
/* Version is DK_VERSION in <diarkis/version.h>. */
/* The absolute path of the folder that holds the running program. (Path) */
DK_API const char *dk_path(const struct dk_kernel *k);

/* NodeRoles: "UDP", "TCP", "HTTP", "DGS", then NULL. */
DK_API extern const char *const dk_node_roles[5];
#define DK_ROLE_UDP "UDP"
#define DK_ROLE_TCP "TCP"
#define DK_ROLE_HTTP "HTTP"
#define DK_ROLE_DGS "DGS"

/* ---- callbacks; 0 or <0 (-ENOMEM, -EBUSY: too late for this one) ---- */

DK_API int dk_on_start(struct dk_kernel *k, void (*task)(void *arg), void *arg); /* OnStart */
/* task finishes its step with dk_step_done(step, err); err < 0 aborts the start. (OnReady) */
DK_API int dk_on_ready(struct dk_kernel *k, void (*task)(void *arg, struct dk_step *next), void *arg);
DK_API int dk_on_started(struct dk_kernel *k, void (*task)(void *arg), void *arg); /* OnStarted */
DK_API int dk_on_stop(struct dk_kernel *k, void (*task)(void *arg, struct dk_step *done), void *arg); /* OnStop */
DK_API int dk_on_terminate(struct dk_kernel *k, void (*task)(void *arg, struct dk_step *next), void *arg); /* OnTerminate */
DK_API int dk_on_sighup(struct dk_kernel *k, void (*task)(void *arg), void *arg); /* OnSIGHUP */

/* Tasks of SIGUSR1 and SIGUSR2. False for an empty name or one that
 * is taken. (OnSIGUSR1, OnSIGUSR1WithParams, OnSIGUSR1NoTask, ...) */
DK_API bool dk_on_sigusr1(struct dk_kernel *k, const char *name, void (*task)(void *arg), void *arg);
DK_API bool dk_on_sigusr2(struct dk_kernel *k, const char *name, void (*task)(void *arg), void *arg);
typedef void dk_task_fn(void *arg, const char *const *params, size_t n);
DK_API bool dk_on_sigusr1_with_params(struct dk_kernel *k, const char *name, dk_task_fn *task, void *arg);
DK_API bool dk_on_sigusr2_with_params(struct dk_kernel *k, const char *name, dk_task_fn *task, void *arg);
DK_API int dk_on_sigusr1_no_task(struct dk_kernel *k, void (*callback)(void *arg), void *arg);
DK_API int dk_on_sigusr2_no_task(struct dk_kernel *k, void (*callback)(void *arg), void *arg);

/* What a signal does, for programs that take signals themselves: SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2. */
DK_API void dk_signal_arrived(struct dk_kernel *k, int signum);
/* The two halves of SIGUSR1 (which 1) and SIGUSR2 (2), for programs that read a task for several nodes. The text of the task file,
 * to be freed; NULL: there is none, or it was refused after logging. Running text NULL calls the NoTask callbacks alone. */
DK_API char *dk_task_read(struct dk_kernel *k, int which);
DK_API void dk_task_run(struct dk_kernel *k, int which, const char *text);

/* The state of `app`, to call the functions of <diarkis/loop.h> and the others with. */
DK_API void *dk_app(struct dk_kernel *k);
/* The table of a service by name, of the given instance or (NULL) the only one; NULL when there is none. Valid until fini. */
DK_API void *dk_service_find(struct dk_kernel *k, const char *service, const char *instance);
/* A plugin's state, for tests of that plugin. NULL when it is not on. */
DK_API void *dk_plugin_state(struct dk_kernel *k, const char *instance);

/* ---- looking at a configuration without running it ---- */

/* The whole configuration with the origin of each value (-T); 0 or an exit code. */
DK_API int dk_config_dump(struct dk_kernel *k, void (*out)(void *arg, const char *text, size_t n), void *arg);
/* A plugin's constant as text for people or, with markdown, as tables (--explain). name NULL: all that the config switches on. */
DK_API int dk_explain(struct dk_kernel *k, const char *name, bool markdown, void (*out)(void *arg, const char *text, size_t n),
                      void *arg);
/* The plugins that can be found, one line each (--plugins). */
DK_API int dk_plugins_list(struct dk_kernel *k, void (*out)(void *arg, const char *text, size_t n), void *arg);
/* The instance name of the plugin whose code runs right now, for a crash handler; NULL = kernel code. Needs DK_BOOT_CRASH_NAMES. */
DK_API const char *dk_running_plugin(const struct dk_kernel *k);

#ifdef __cplusplus
}
#endif

#endif
