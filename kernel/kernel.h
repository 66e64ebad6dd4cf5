/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one private header of the kernel: its structs, and the functions that its files share, listed by file. Nothing here is
 * installed; plugins see include/diarkis alone.
 */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include <diarkis/diarkis.h>

#include "env.h"

#include <stdarg.h>

struct undo;
struct config;

/* Memory that is freed in one piece, see tree.c. */
struct arena {
	struct arena_chunk *chunks;
};

enum phase { PHASE_NONE, PHASE_INIT, PHASE_START, PHASE_READY, PHASE_STARTED };

/* Of one plugin's lines in the current second, see log.c. */
struct log_quota {
	uint64_t second, written, lost;
};

/* One instance of a plugin on one node. */
struct dk_plugin {
	struct dk_kernel *k;
	struct dk_plugin_desc desc; /* copy; members that the plugin's ABI did not have read as zero */
	const char *instance;
	const char *file; /* the .so, or NULL: linked in */
	struct dk_self *self; /* desc.self_size bytes; the plugin's state */
	void *conf; /* desc.conf_size bytes */
	struct undo *ledger; /* newest first */
	void (*turn_end)(void *self);
	uint32_t order; /* position in the order of needs */
	uint8_t mark; /* graph colouring */
	uint8_t phase; /* enum phase: how far up it is */
	bool taken; /* it wants no new users on this node */
	bool (*taken_if)(void *self); /* asked every now and then */
	uint64_t slow_callbacks; /* > 5 ms */
	struct log_quota quota; /* app's is also that of the kernel's own lines */
	size_t memory; /* bytes from dk_alloc, pools and tables */
};

/* Where the node stands; the order of values is the order of life. */
enum life {
	LIFE_NEW,
	LIFE_STARTING, /* start of all plugins */
	LIFE_READYING, /* ready, one after another */
	LIFE_SERVING,
	LIFE_DRAINING, /* OFFLINE; drain of all, then waiting for what keeps the node busy */
	LIFE_STOPPING, /* stop, one after another, reverse */
	LIFE_OVER
};

#define KERNEL_ANNOUNCE_MAX 32
struct announce {
	struct dk_plugin *plugin;
	const char *role;
	struct dk_addr addr;
	bool clients;
};

struct dk_kernel {
	struct dk_env *env;
	struct env_node *node; /* this kernel's part of the env */
	struct dk_clock clock;
	bool ending; /* inside kernel_turn_end(): what comes up then needs no wake(), it is looked for */
	uint32_t boot_flags;
	const struct dk_plugin_desc *const *builtin; /* borrowed from dk_boot */
	char **plugin_dirs; /* copy of dk_boot's */
	enum life life;
	int64_t shutdown_timeout_s;

	struct dk_plugin **plugins; /* in order of needs once the graph is built */
	size_t plugin_n;
	struct dk_plugin *app; /* the embedding program; also stands for the kernel itself in logs */
	struct config *config;
	char **env_vars; /* own copy, or NULL: the process's */
	char *temp_dir, *path;

	struct dk_plugin *running; /* whose code runs */
	uint64_t enter_us;

	struct announce announced[KERNEL_ANNOUNCE_MAX];
	size_t announced_n;
	struct dk_addr addr; /* the carrier's, once it is there */
	struct dk_timer taken_timer;
	struct published *published; /* node.c */
	uint32_t worker, workers; /* as in dk_boot, as are the next four */
	int (*share)(void *program, const struct dk_addr *bind, int backlog);
	bool (*watch)(void *program);
	int watch_fd;
	void *program;
	uint64_t last_id_ns;
	uint64_t chance[4];
	uint64_t hash_key[2];
	size_t leftovers;

	struct life_state *lives; /* life.c: steps under way, callbacks of the embedding program */
	struct command_state *commands; /* command.c */
	struct log_state *log; /* log.c */
	struct scratch_state *scratch; /* mem.c */
	struct io_state *io; /* io.c */
	struct task_state *tasks; /* task.c */
	struct defer *defers, **defer_tail; /* kernel.c */
	struct arena boot; /* what wiring makes: rows of today's width, lists of services */
	void **handles; /* loader.c: dlopen handles, never closed */
	size_t handle_n;
};

/* ---- kernel.c ---- */

/* The plugin behind a `self`; aborts with a sentence when the pointer is none. */
struct dk_plugin *plugin_of(const void *self);
/* Every call from the loop into a plugin's code stands between these two: the watchdog and the crash handler look here. */
struct dk_plugin *kernel_enter(struct dk_plugin *p); /* returns what to give to leave */
void kernel_leave(struct dk_plugin *p, struct dk_plugin *before);
#define KERNEL_CALL(plugin, call)                                                                                                  \
	do {                                                                                                                       \
		struct dk_plugin *plugin_ = (plugin), *before_ = kernel_enter(plugin_);                                            \
                                                                                                                                   \
		call;                                                                                                              \
		kernel_leave(plugin_, before_);                                                                                    \
	} while (0)
/* Called by the world. Begin: once per batch of events, sets the clock. End: deferred work, turn-end callbacks, flush. */
void kernel_turn_begin(struct dk_kernel *k);
void kernel_turn_end(struct dk_kernel *k);
const char *kernel_getenv(const struct dk_kernel *k, const char *name);

/* ---- life.c: phases, signals' effects, deadline ---- */
int life_init(struct dk_kernel *k);
void life_fini(struct dk_kernel *k);
void life_pump(struct dk_kernel *k); /* at the end of each turn: whatever step became possible */

/* ---- loader.c ---- */
int loader_app(struct dk_kernel *k); /* the plugin of the embedding program; first of all */
int loader_load(struct dk_kernel *k); /* 0, or an exit code after logging */
void loader_fini(struct dk_kernel *k);
/* The file that a plugin of that name would be loaded from; false when there is none. */
bool kernel_plugin_file(struct dk_kernel *k, const char *name, char *buf, size_t n);
/* The checked constant of a plugin that need not be switched on; NULL after logging. */
const struct dk_plugin_desc *loader_describe(struct dk_kernel *k, const char *name);
/* One line for each plugin that can be found. */
void loader_list(struct dk_kernel *k, void (*out)(void *arg, const char *text, size_t n), void *arg);

/* ---- graph.c ---- */
int graph_wire(struct dk_kernel *k); /* 0, or an exit code after logging */

/* ---- ledger.c: also signals and filters, whose slots are its entries ---- */
typedef void undo_fn(void *self, void *a, void *b);
int ledger_add(struct dk_plugin *p, undo_fn *fn, void *a, void *b, const char *what);
void ledger_drop(struct dk_plugin *p, undo_fn *fn, void *a, void *b);
void ledger_revoke(struct dk_plugin *p);
size_t ledger_leftovers(struct dk_plugin *p); /* names in the log what is left after fini; returns how many */

/* ---- command.c ---- */
int command_init(struct dk_kernel *k); /* 0, or an exit code after logging: clashes, unsorted puffer rows */
void command_fini(struct dk_kernel *k);

/* ---- typed.c: the only user of libffi ---- */
struct typed; /* one prepared row */
int typed_prepare(const struct dk_command *row, struct typed **ret_typed, char *why, size_t why_n);
void typed_free(struct typed *t);
enum { TYPED_BAD = 1000 }; /* the payload did not fit: *ret_why (static) names the parameter */
int typed_call(const struct typed *t, void *self, struct dk_call *call, const char **ret_why);

/* ---- tree.c: memory of a configuration, and the one tree that all its files become ---- */
void *arena_try(struct arena *a, size_t n); /* zeroed; NULL without memory */
/* Zeroed. Never NULL: without memory there is no configuration, and the process ends with a sentence. */
void *arena_take(struct arena *a, size_t n);
char *arena_str(struct arena *a, const char *p, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) DK_PRINTF(2, 3);
void arena_free(struct arena *a);

struct dk_node {
	uint8_t type; /* enum dk_node_type */
	uint32_t line, n, cap;
	const char *file; /* with line 0 the whole origin: "default", "environment DIARKIS_X", "--set" */
	const char *key; /* in a map */
	union {
		bool b;
		int64_t i;
		double f;
		const char *s;
		struct dk_node **at;
	} v;
};
struct dk_node *node_new(struct arena *a, enum dk_node_type type, const char *file, uint32_t line);
/* Appends to a list (key NULL) or a map; in a map an element of the same key is replaced. The key must outlive the map. */
void node_put(struct arena *a, struct dk_node *into, const char *key, struct dk_node *n);
void node_merge(struct arena *a, struct dk_node *into, const struct dk_node *from); /* maps: groups by key, all else replaces */
struct dk_node *node_copy(struct arena *a, const struct dk_node *n);
bool node_equal(const struct dk_node *a, const struct dk_node *b);
/* Text that holds the value counts as the value. False: it is none; *ret_x is untouched. */
bool node_to_int(const struct dk_node *n, int64_t *ret_i);
bool node_to_bool(const struct dk_node *n, bool *ret_b);
bool node_to_f64(const struct dk_node *n, double *ret_f);
const char *node_origin(const struct dk_node *n, char *buf, size_t size); /* "etc/diarkis.conf:12"; returns buf */
const char *node_text(const struct dk_node *n, char *buf, size_t size); /* for messages; returns buf */

/* ---- nearest.c ---- */
/* The nearest of n names to what was written, or NULL when none is near. */
const char *kernel_nearest(const char *written, const char *(*at)(const void *arg, size_t i), const void *arg, size_t n);

/* ---- options.c: trees to conf structs, by rows ---- */
struct dk_report { /* about one group of options */
	struct config *c;
	const char *name; /* instance or "log"; NULL: the top level */
	const char *use; /* for hints: diarkisd --explain USE */
	const struct dk_node *map;
};
/*
 * also: keys of the map that are no options, NULL-ended, or NULL. What is wrong is reported and reads as its default. Everything in
 * conf is copied into the arena.
 */
void options_fill(struct dk_report *rep, struct arena *a, const struct dk_option *rows, const char *const *also, void *conf,
		  size_t conf_size);
/* True when a value differs; one that needs a restart is reported. */
bool options_differ(struct dk_report *rep, const struct dk_option *rows, const void *old, const void *conf);
/* What counts for a row: the map's node or the default, made in *def. NULL: neither. */
const struct dk_node *options_value(const struct dk_option *row, const struct dk_node *map, struct dk_node *def);
const char *options_expect(const struct dk_option *row, char *buf, size_t size); /* "a whole number from 2 to 1000"; returns buf */

/* ---- source.c: the text of a file as its parser gets it ---- */
struct source {
	struct config *c; /* given, as are the next two */
	const struct dk_kernel *k; /* its environment */
	struct arena *keep; /* for names of files, which nodes point to */
	struct arena arena;
	char *p; /* the text and a NUL */
	size_t n, cap, place_n, place_cap;
	struct place *places;
	bool json, bad;
};
/* text NULL: reads the file of that name. False after complaints; at: who named it, or NULL. Close it in either case. */
bool source_open(struct source *s, const struct dk_node *at, const char *name, const char *text, size_t n);
void source_close(struct source *s);
struct dk_node source_where(const struct source *s, uint32_t line); /* only file and line are set */
/* A line as it was written, for messages; *ret_replaced: a placeholder stood in it. Returns buf. */
const char *source_line(const struct source *s, uint32_t line, char *buf, size_t size, bool *ret_replaced);
/* A path as meant by the file that names it. */
const char *source_beside(struct arena *a, const struct dk_node *at, const char *path);

/* ---- config.c: the only user of libconfig and jansson ---- */
struct config_section { /* a section that is on */
	const char *instance, *use, *file; /* file may be NULL */
	const char *origin; /* "etc/diarkis.conf:12" */
};
struct kernel_conf { /* the kernel's own keys at the top level of the config */
	struct dk_strs plugin_dirs; /* plugin_dir: string or list */
	const char *log_level; /* log = { level = "sys"; ... } or log = { config = "configs/shared/log.json"; } */
	const struct dk_node *log_levels; /* name -> level */
	const char *log_time_zone, *log_file;
	bool log_color, log_flat, log_unsafe;
	int64_t log_rate; /* lines per second and plugin; 0 = unlimited */
	bool unlink_task_file;
	int64_t struct_err_bits; /* 32 or 16 */
	int64_t workers; /* 0: one node, which no supervisor looks after */
};
extern const struct dk_option config_top_rows[], config_log_rows[]; /* both fill a kernel_conf */
/* Reads and merges all layers into one tree. 0, or DK_EXIT_CONFIG after logging: a file cannot be read. Other complaints wait. */
int config_load(struct dk_kernel *k, const struct dk_boot *boot, struct config **ret_config);
void config_free(struct config *c); /* logs complaints that nobody asked for; frees what config_fill() gave; NULL is fine */
const struct kernel_conf *config_kernel(const struct config *c);
const struct dk_node *config_root(const struct config *c);
size_t config_sections(const struct config *c, const struct config_section **ret_sections);
/* Fills p->conf (allocates it) from the layers, by the plugin's option rows. Complaints are collected. Returns 0. */
int config_fill(struct config *c, struct dk_plugin *p);
/* For the configure phase; after config_fill(). */
struct dk_report *config_report(struct config *c, struct dk_plugin *p);
/* Collects a complaint: "file:12: about: text"; at and about may be NULL. */
void config_complain(struct config *c, const struct dk_node *at, const char *fmt, ...) DK_PRINTF(3, 4);
/* Logs a warning of the same form at once. */
void config_caution_v(struct config *c, const struct dk_node *at, const char *about, const char *fmt, va_list ap) DK_PRINTF(4, 0);
void config_complain_v(struct config *c, const struct dk_node *at, const char *about, const char *fmt, va_list ap) DK_PRINTF(4, 0);
/* Logs every complaint collected so far. 0 or DK_EXIT_CONFIG. */
int config_finish(struct config *c);
/* A text to a tree, without a file behind it: NULL after complaints. */
struct dk_node *config_parse(struct config *c, const char *name, const char *text, size_t n);
/* SIGHUP: reads everything anew, fills new conf structs, runs every plugin's configure; only when nothing is wrong and nothing but
 * reloadable options changed, puts them in place and calls changed(p, old conf) for each plugin whose values differ (old is freed
 * after). 0, or <0 after logging. */
int config_reload(struct dk_kernel *k, void (*changed)(struct dk_plugin *p, const void *old));

/* ---- log.c ---- */
int log_init(struct dk_kernel *k, const struct dk_boot *boot);
int log_configure(struct dk_kernel *k); /* from config_kernel() and DIARKIS_JSON_LOG; 0 or DK_EXIT_CONFIG */
void log_fini(struct dk_kernel *k);
void log_kernel(struct dk_kernel *k, enum dk_log_level level, const char *fmt, ...) DK_PRINTF(3, 4);
enum dk_log_level log_level_of(const char *name); /* 0 = no such level */
const char *log_level_name(enum dk_log_level level);
int log_set_level(struct dk_kernel *k, const char *name, enum dk_log_level level); /* one plugin's; 0 or DK_NOT_FOUND */
void log_reset_levels(struct dk_kernel *k); /* as configured */

/* ---- mem.c ---- */
int mem_init(struct dk_kernel *k);
void mem_fini(struct dk_kernel *k);
void scratch_reset(struct dk_kernel *k);
void *scratch_take(struct dk_kernel *k, size_t n); /* NULL = full */
size_t scratch_mark(struct dk_kernel *k);
void scratch_release(struct dk_kernel *k, size_t mark);

/* ---- io.c, udp.c, stream.c: timers, chance, sockets, streams and jobs of one node; what all worlds share ---- */
/* The state of `app`: what the system did not take or a limit refused, over all plugins. */
struct app_state {
	struct dk_self base;
	struct {
		uint64_t udp_dropped, udp_failed, udp_oversize;
		uint64_t stream_full, stream_late, accept_failed;
	} n;
};
extern const struct dk_counter io_counters[];
static inline struct app_state *io_app(const struct dk_kernel *k)
{
	return (struct app_state *)(void *)k->app->self;
}
/* What a plugin holds of the world: the first member of sockets, listeners, streams and jobs. */
enum held_kind { HELD_UDP, HELD_LISTENER, HELD_STREAM, HELD_JOB };
struct held {
	struct held *next, **link; /* all of the node, newest first */
	struct dk_plugin *owner;
	uint8_t kind; /* enum held_kind */
};
struct io_state {
	struct wheel *wheel;
	uint64_t wished_ms; /* when the world was asked to call io_timers() */
	struct held *held;
	struct dk_udp *udps_dirty; /* those with output */
	struct dk_stream *streams_dirty; /* those with output or an end to tell of */
	struct dk_timer late_timer; /* stream.c: looks for streams that were to flush and do not */
	struct out *out_pool; /* stream.c: free output buffers */
	size_t out_pool_n;
	size_t random_left;
	uint8_t random[4096];
};
int io_init(struct dk_kernel *k);
void io_fini(struct dk_kernel *k);
void io_flush(struct dk_kernel *k); /* the end of a turn: every socket that has output */
void io_revoke(struct dk_plugin *p); /* closes what p still has open, stops its timers, forgets its jobs */
size_t io_leftovers(struct dk_plugin *p); /* names what p opened or armed after that, closes it; returns how many */
/* The kernel's own timer: fn gets the kernel for self. */
void io_timer_start(struct dk_kernel *k, struct dk_timer *t, uint64_t in_ms, void (*fn)(void *kernel, struct dk_timer *t));
void held_in(struct held *h, struct dk_plugin *owner, enum held_kind kind);
void held_out(struct held *h);
void udp_flush_all(struct io_state *io);
void stream_flush_all(struct io_state *io);
void stream_drop(struct held *h, bool quiet); /* ended by the next flush; quiet: its plugin is not told */
void stream_fini(struct io_state *io);

/* ---- task.c: SIGUSR1/2 ---- */
int task_init(struct dk_kernel *k);
void task_fini(struct dk_kernel *k);

#endif
