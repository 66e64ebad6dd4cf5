/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Testing plugins: a real node in a simulated world, inside the test's own process. Link with `pkg-config diarkis-test`; any
 * test framework will do.
 *
 *   struct dk_harness *h = dk_harness_new("plugins = { user = {}; mem = {}; room = {}; attack = {}; };", 1, &dk_plugin_attack);
 *   struct dk_test_user *ann = dk_harness_user(h, "ann");
 *   struct dk_reply r = dk_harness_call(h, "attack.total", "ann");
 *   assert(r.status == DK_STATUS_OK);
 *   assert(dk_harness_free(h) == 0);
 *
 * Nothing waits for real time: the clock stands still until the test moves it, and then it jumps. The same seed and the same
 * steps give the same run, down to the hash of all its events. A world may hold many nodes, and ends that a script plays: bare
 * UDP sockets and TCP connections. Between any two addresses lies a link that can lose, delay, reorder and duplicate.
 *
 * Addresses: the first node of a world is 10.0.0.1, the second 10.0.0.2, ..., unless the test names one; scripts take any other.
 * Nodes of one address are processes of one host. What goes to 127.0.0.1 reaches whoever bound that address, else the first node.
 * DK_SIM_TRACE=1 in the environment prints every event.
 */
#ifndef DIARKIS_TEST_H
#define DIARKIS_TEST_H

#include <diarkis/diarkis.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a node under test ---- */

struct dk_harness;

struct dk_harness_opts {
	const char *config; /* libconfig or JSON; required */
	const struct dk_plugin_desc *const *plugins; /* linked into the test, NULL-terminated; NULL: none */
	const char *const *plugin_dirs; /* where the others are, NULL-terminated; $DIARKIS_TEST_PLUGINS is looked at after them */
	const char *const *env; /* "NAME=value", NULL-terminated; the process's environment is never read */
	const char *const *sets; /* "INSTANCE.KEY=VALUE", NULL-terminated */
	uint64_t seed;
	struct dk_env *world; /* put the node into this world (seed is ignored then) instead of one of its own */
	bool stay; /* return when the node is made, before it starts */
	/* its host in the world; NULL: the next free one. That of a node that was killed or freed is how that one starts anew. */
	const char *address;
};

/*
 * Starts a node and runs until it serves. On failure the log goes to standard error and the result is NULL. Both print the seed
 * when the node fails. The short form takes plugins linked into the test (&dk_plugin_x, ...).
 */
DK_API struct dk_harness *dk_harness_open(const struct dk_harness_opts *opts);
#define dk_harness_new(config_, seed_, ...)                                                                                       \
	dk_harness_open(&(const struct dk_harness_opts){                                                                          \
		.config = (config_),                                                                                              \
		.seed = (seed_),                                                                                                  \
		.plugins = (const struct dk_plugin_desc *const[]){ NULL, ##__VA_ARGS__, NULL } + 1,                               \
	})
/* Stops the node as SIGTERM would, and frees it. Returns what is wrong with its end: leftovers of plugins, or 1 for an exit code
 * other than 0. Prints the log when that is not 0. */
DK_API int dk_harness_free(struct dk_harness *h);
/* The same without freeing, to look at the log afterwards; dk_harness_free() then returns what this did. */
DK_API int dk_harness_stop(struct dk_harness *h);
/* kill -9, and h is gone: from this moment on the world neither hears nor sees anything of the node but what the system of its
 * host does, which ends the connections of a process that is no more. A host that loses its power: cut its address off before.
 * (What the plugins hold is freed by stopping them where nobody sees it, so code of the test that they call is still called.) */
DK_API void dk_harness_kill(struct dk_harness *h);
/* SIGSTOP and SIGCONT: time passes the node by. What comes meanwhile waits in its sockets, up to 4 MiB each, connections are held
 * open and begun by its host. When it goes on its clock jumps; timers that are due run before anything that waits is read. */
DK_API void dk_harness_pause(struct dk_harness *h, bool on);

DK_API struct dk_kernel *dk_harness_kernel(struct dk_harness *h);
DK_API struct dk_env *dk_harness_world(struct dk_harness *h);
DK_API void dk_harness_advance(struct dk_harness *h, uint64_t ms); /* lets that much time pass */
/* The table of a service, by name, of any instance; NULL when nobody provides it. */
DK_API void *dk_harness_service(struct dk_harness *h, const char *name);
/* The address that an instance announced (its first); NULL when it announced none. Valid until the next call. */
DK_API const struct dk_addr *dk_harness_addr(struct dk_harness *h, const char *instance);
/* A counter, gauge, or a histogram's count; INT64_MIN when there is none of that name. */
DK_API int64_t dk_harness_counter(struct dk_harness *h, const char *instance, const char *name);
/* Whether some line of the log so far contains text; the log itself. */
DK_API bool dk_harness_log_has(const struct dk_harness *h, const char *text);
DK_API const char *dk_harness_log(const struct dk_harness *h);

/* What a command answered. status: enum dk_status; 0 with the reason in why: it was not called, or did not answer in 5 s. */
struct dk_reply {
	int status;
	dk_slice body; /* body and why are valid until the next call with this harness */
	const char *why;
};
/* Calls a command by name with text arguments, as an operator would, and runs until it has answered. */
DK_API struct dk_reply dk_harness_callv(struct dk_harness *h, const char *name, const char *const *args);
#define dk_harness_call(h, name, ...) dk_harness_callv((h), (name), (const char *const[]){ NULL, ##__VA_ARGS__, NULL } + 1)


/* ---- users, when the config has `user` and `mem` ---- */

/* A connected client of the node, through the transport mem: no bytes of a wire in between. Freed with the harness.
 * NULL: refused, or one of the two plugins is not on. */
struct dk_test_user;
DK_API struct dk_test_user *dk_harness_user(struct dk_harness *h, const char *uid);
DK_API dk_id dk_test_user_id(const struct dk_test_user *u);
/* Sends a command; it arrives when time passes. */
DK_API int dk_test_user_send(struct dk_test_user *u, uint8_t ver, uint16_t cmd, dk_slice payload);
/* Runs until a frame of that kind has come, 5 s at most; frames of other kinds before it are dropped. The payload is valid
 * until the next call with this user; a push's is a list of {u32 length, bytes}. */
DK_API bool dk_test_user_await(struct dk_test_user *u, uint8_t ver, uint16_t cmd, struct dk_frame *ret_frame);
/* The next frame that is there already, of any kind. */
DK_API bool dk_test_user_next(struct dk_test_user *u, struct dk_frame *ret_frame);
DK_API void dk_test_user_leave(struct dk_test_user *u); /* as if the client closed the connection */

/* ---- the world ---- */

/* NULL = no memory. Free it with dk_env_free() after its nodes; scripted ends go with it. */
DK_API struct dk_env *dk_env_sim(uint64_t seed);
DK_API uint64_t dk_sim_now(const struct dk_env *env); /* ms */
DK_API uint64_t dk_sim_hash(const struct dk_env *env); /* of everything that happened so far */
DK_API uint64_t dk_sim_chance(struct dk_env *env); /* a random number, drawn from the seed */
DK_API void dk_sim_run(struct dk_env *env, uint64_t ms);
/* Runs until done(arg), asked after each moment in which something happened; false when limit_ms passed first. */
DK_API bool dk_sim_run_until(struct dk_env *env, bool (*done)(void *arg), void *arg, uint64_t limit_ms);
/* Calls fn(arg) after that time, between the turns of the nodes. Returns 0 or -ENOMEM. */
DK_API int dk_sim_after(struct dk_env *env, uint64_t ms, void (*fn)(void *arg), void *arg);

struct dk_sim_link {
	double loss, reorder, duplicate; /* 0..1; a stream is delayed by what a datagram is lost by */
	uint32_t delay_ms, jitter_ms, reorder_ms; /* a reordered packet is held back reorder_ms longer */
	uint32_t rate_kbit; /* 0 = unlimited */
	double burst; /* what is lost is lost in runs of that many packets on average; 0 and 1: each by itself */
};
/* The way from one address ("10.0.0.1") to another, one direction; NULL = any. What names both wins over what names one, and
 * that over what names none; of two alike the later. Without any: 1 ms and no fault. Returns 0, -EINVAL or -ENOMEM. */
DK_API int dk_sim_link(struct dk_env *env, const char *from, const char *to, const struct dk_sim_link *how);
/* Cuts both ways between two addresses, or joins them again; NULL = any. Datagrams are lost, streams wait. */
DK_API int dk_sim_cut(struct dk_env *env, const char *a, const char *b, bool cut);
/* The same for one direction: what `to` sends still arrives, but of a stream no more than fits into its window. */
DK_API int dk_sim_cut_way(struct dk_env *env, const char *from, const char *to, bool cut);
/* Cuts each address of one list from each of the other, or joins them again; lists end with NULL. */
DK_API int dk_sim_partition(struct dk_env *env, const char *const *a, const char *const *b, bool cut);
/* While stalled, the system of the nodes takes no output: sockets and streams would block. */
DK_API void dk_sim_stall(struct dk_env *env, bool on);

/* A bare UDP socket. fn NULL: datagrams queue for dk_sim_udp_next(). */
struct dk_sim_udp;
typedef void dk_sim_udp_fn(void *arg, struct dk_sim_udp *u, const struct dk_addr *from, dk_slice bytes);
/* bind: "10.1.0.1:5000"; without a port a free one is taken. Returns 0, -EINVAL, -EADDRINUSE or -ENOMEM. */
DK_API int dk_sim_udp_open(struct dk_env *env, const char *bind, dk_sim_udp_fn *fn, void *arg, struct dk_sim_udp **ret_udp);
DK_API void dk_sim_udp_close(struct dk_sim_udp *u);
DK_API const struct dk_addr *dk_sim_udp_addr(const struct dk_sim_udp *u);
DK_API void dk_sim_udp_send(struct dk_sim_udp *u, const struct dk_addr *to, dk_slice bytes);
/* The next one queued, valid until the next call; false: none. */
DK_API bool dk_sim_udp_next(struct dk_sim_udp *u, struct dk_addr *ret_from, dk_slice *ret_bytes);

/* A bare TCP connection: bytes arrive whole and in order, late at worst. */
struct dk_sim_tcp;
/* ENDED: the other side says no more, but may still listen; BROKEN: refused or reset. */
enum dk_sim_tcp_state { DK_SIM_TCP_CONNECTING, DK_SIM_TCP_OPEN, DK_SIM_TCP_ENDED, DK_SIM_TCP_BROKEN };
/* changed (may be NULL) runs when it opened, got bytes, or ended. Returns 0, -EINVAL or -ENOMEM. */
DK_API int dk_sim_tcp_connect(struct dk_env *env, const char *from, const struct dk_addr *to,
			      void (*changed)(void *arg, struct dk_sim_tcp *t), void *arg, struct dk_sim_tcp **ret_tcp);
DK_API enum dk_sim_tcp_state dk_sim_tcp_state(const struct dk_sim_tcp *t);
/* Returns how many bytes were taken: at most 256 KiB are on the way or unread. */
DK_API size_t dk_sim_tcp_send(struct dk_sim_tcp *t, dk_slice bytes);
DK_API dk_slice dk_sim_tcp_bytes(const struct dk_sim_tcp *t); /* all that came and was not taken yet; valid until time passes */
DK_API void dk_sim_tcp_take(struct dk_sim_tcp *t, size_t n); /* reading slowly means to take little */
DK_API void dk_sim_tcp_end(struct dk_sim_tcp *t); /* says no more, still listens */
DK_API void dk_sim_tcp_close(struct dk_sim_tcp *t, bool reset); /* t is gone after this */

#ifdef __cplusplus
}
#endif

#endif
