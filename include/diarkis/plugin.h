/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin is: one exported constant, `dk_plugin_<name>`, and this one header to include. The constant is data; nothing of
 * a plugin runs before the kernel has read and checked it.
 *
 *   struct hello { struct dk_self base; ... };
 *
 *   DK_PLUGIN(hello) = {
 *   	DK_PLUGIN_HEAD("hello", "1.0.0", "answers a greeting"),
 *   	.self_size = sizeof(struct hello),
 *   	.commands = hello_commands,
 *   };
 */
#ifndef DIARKIS_PLUGIN_H
#define DIARKIS_PLUGIN_H

#include <diarkis/abi.h>
#include <diarkis/base.h>
#include <diarkis/command.h>
#include <diarkis/conf.h>
#include <diarkis/cursor.h>
#include <diarkis/err.h>
#include <diarkis/log.h>
#include <diarkis/loop.h>
#include <diarkis/mem.h>
#include <diarkis/self.h>
#include <diarkis/service.h>
#include <diarkis/signal.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * An asynchronous phase hands out a step; finish it once, now or later. err < 0 fails the phase: in `ready` it aborts the start,
 * in `drain` and `stop` it makes the exit code 1. Finishing late or twice is harmless.
 */
struct dk_step;
DK_API void dk_step_done(struct dk_step *step, int err);
/* True once the shutdown deadline has passed: whoever still works on the step should give up. */
DK_API bool dk_step_cancelled(const struct dk_step *step);
/* fn(arg) runs when the deadline passes before the step is done. */
DK_API void dk_step_on_cancel(struct dk_step *step, void (*fn)(void *arg), void *arg);

/* Phases, in order; NULL = nothing to do. If one fails, the plugins before it are taken down in reverse. */
struct dk_ops {
	/* Checks across options; pure, also run by `diarkisd -t`. */
	void (*configure)(const void *conf, struct dk_report *rep);
	/* Needs are injected and initialised. No I/O. */
	int (*init)(void *self);
	/* Bind sockets, arm timers; clients are not accepted yet. */
	int (*start)(void *self);
	/* One plugin after another, in order of needs. */
	void (*ready)(void *self, struct dk_step *step);
	/* The node serves from here on. */
	void (*started)(void *self);
	/* base.conf holds the new values; old is the conf struct as it was.
	 * Only options marked reloadable differ. Cannot fail: configure could. */
	void (*reload)(void *self, const void *old);
	/* The node went OFFLINE: refuse what is new. */
	void (*offline)(void *self);
	/* All plugins at once; sockets stay open. */
	void (*drain)(void *self, struct dk_step *step);
	/* What the node still has to wait for, as a number and in one
	 * word ("users"); 0 = nothing. Polled between drain and stop. */
	uint64_t (*busy)(void *self, const char **ret_what);
	/* One after another, in reverse order of needs; sockets close after it. */
	void (*stop)(void *self, struct dk_step *step);
	/* Mirror of init. */
	void (*fini)(void *self);
};

#define DK_PLUGIN_MAGIC 0x64506c67u

struct dk_plugin_desc {
	uint32_t magic, size; /* checked before anything else is read */
	uint16_t abi_major, abi_minor;
	uint16_t provide_sz, need_sz, option_sz, command_sz, hook_sz, counter_sz; /* row strides: tables can grow columns */
	const char *name, *version, *summary;
	/* the kernel allocates and zeroes one of each per instance; self_size >= sizeof(struct dk_self) */
	size_t self_size, conf_size;
	const struct dk_provide *provides; /* each table ends with a zero row */
	const struct dk_need *needs;
	const struct dk_option *options;
	const struct dk_command *commands;
	const struct dk_hook *hooks;
	const struct dk_counter *counters;
	const struct dk_ops *ops;
};

#define DK_PLUGIN(ident)                                                                                                          \
	extern DK_API const struct dk_plugin_desc dk_plugin_##ident;                                                              \
	const struct dk_plugin_desc dk_plugin_##ident

#define DK_PLUGIN_HEAD(plugin_name, plugin_version, plugin_summary)                                                               \
	.magic = DK_PLUGIN_MAGIC, .size = sizeof(struct dk_plugin_desc), .abi_major = DK_ABI_MAJOR, .abi_minor = DK_ABI_MINOR,    \
	.provide_sz = sizeof(struct dk_provide), .need_sz = sizeof(struct dk_need), .option_sz = sizeof(struct dk_option),        \
	.command_sz = sizeof(struct dk_command), .hook_sz = sizeof(struct dk_hook), .counter_sz = sizeof(struct dk_counter),      \
	.name = plugin_name, .version = plugin_version, .summary = plugin_summary

/* ---- the node, seen from a plugin ---- */

enum dk_node_state { DK_ONLINE = 1, DK_OFFLINE = 2, DK_TAKEN = 3 };
DK_API enum dk_node_state dk_node_state(const void *self);
/* TAKEN refuses new users and nothing else; back with false. Without effect while OFFLINE. Whatever several plugins say: one
 * that says TAKEN is enough. */
DK_API void dk_set_taken(void *self, bool taken);
/* MarkServerAsTakenIf: asked every 2 s; true makes the node TAKEN, false ONLINE again. NULL = asked no more. */
DK_API void dk_mark_taken_if(void *self, bool (*fn)(void *self));
DK_API bool dk_is_terminating(const void *self);
/* Goes down as on SIGTERM, beginning in a later turn. */
DK_API void dk_node_stop(void *self);
/* The instance name of this plugin: its section in the config. */
DK_API const char *dk_instance(const void *self);
/* A transport or listener tells what it serves: role "UDP", "TCP", "HTTP"; clients: players connect here. The addresses appear in
 * the `ready` line. */
DK_API void dk_announce(void *self, const char *role, const struct dk_addr *bound, bool clients);
/* What was announced, for those that show it: i from 0, in order of announcement; NULL at the end. */
DK_API const struct dk_addr *dk_announced_at(const void *self, size_t i, const char **ret_instance, const char **ret_role);
/* The address that names this node in ids: the carrier's; without one, of the first that clients connect to. family 0 before
 * start. */
DK_API const struct dk_addr *dk_node_addr(const void *self);
/* For a carrier, in its start: this is the address. */
DK_API void dk_set_node_addr(void *self, const struct dk_addr *addr);
/* Which of several processes with one configuration (`workers`) this node is, from 0; 0 also for a node by itself. */
DK_API unsigned dk_worker(const void *self);
/* A small file in the node's folder for temporary files, replaced as a whole, removed when the plugin stops if it is still as
 * written here. Two names: NAME, which among workers only the first one writes, and NAME_SUFFIX, unless suffix is NULL. Returns 0
 * or <0 after logging. */
DK_API int dk_publish_file(void *self, const char *name, const char *suffix, dk_str text);
/* A fresh public id whose owner is this node. */
DK_API void dk_id52_new(void *self, struct dk_id52 *ret_id);
/* Writes a backup's address into slot 1 or 2 of an id. */
DK_API void dk_id52_set_backup(struct dk_id52 *id, unsigned slot, const struct dk_addr *addr);
/* The owner's address in an id (slot 0) or a backup's (1, 2). Returns 0, DK_NOT_FOUND (slot empty) or -EINVAL (not an id). */
DK_API int dk_id52_addr(const struct dk_id52 *id, unsigned slot, struct dk_addr *ret_addr);
/* An environment variable of the node; NULL = unset. */
DK_API const char *dk_env_var(const void *self, const char *name);
/* Names a registration of the plugin's own in the ledger: undo(self, arg) runs when the plugin stops, last registered first. */
DK_API int dk_own(void *self, void (*undo)(void *self, void *arg), void *arg, const char *what);
DK_API void dk_disown(void *self, void (*undo)(void *self, void *arg), void *arg);
/* Another plugin, of which only the service is known: its instance name. */
DK_API const char *dk_service_instance(const struct dk_service *svc);
/* All plugins of this node, for those that show them: i from 0; NULL at the end. */
DK_API const struct dk_plugin_desc *dk_plugin_at(const void *self, size_t i, const char **ret_instance);
/* All counters of this node. fn's value points to uint64_t, int64_t or struct dk_histogram, by c->kind. */
DK_API void dk_counters_each(void *self,
                             void (*fn)(void *arg, const char *instance, const struct dk_counter *c, const void *value),
                             void *arg);

#ifdef __cplusplus
}
#endif

#endif
