/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam, seen from below: what a world must offer. kernel/env/uv.c is production; tests/sim/ has the simulator. Everything that
 * both would do alike (rings, output buffers, ledgers, the timer wheel) lives above, in io.c.
 *
 * A world may hold several nodes. It calls kernel_turn_begin(), delivers a batch of events, then kernel_turn_end().
 */
#ifndef KERNEL_ENV_H
#define KERNEL_ENV_H

#include <diarkis/loop.h>

struct dk_env;
struct dk_kernel;
struct env_node; /* a world's own part of one node */
struct env_udp; /* a world's own part of one socket, stream, listener */
struct env_stream;
struct env_listener;

enum { ENV_BATCH = 64 }; /* datagrams per system call */

struct env_out { /* one datagram to send */
	const struct dk_addr *to;
	const struct dk_addr *from; /* source address or NULL */
	const uint8_t *p;
	size_t n;
};

struct dk_env_ops {
	const char *name;
	uint64_t (*now_us)(struct dk_env *env); /* monotonic */
	uint64_t (*wall_ns)(struct dk_env *env);
	int (*random)(struct dk_env *env, void *buf, size_t n);

	/* A node joins and leaves the world; it leaves when everything it opened is closed. signals: deliver SIGTERM,
	 * SIGINT, SIGHUP, SIGUSR1, SIGUSR2 to it by dk_signal_arrived(). */
	int (*attach)(struct dk_env *env, struct dk_kernel *k, bool signals, struct env_node **ret_node);
	void (*detach)(struct env_node *node);
	/* Runs until done(arg), asked after every turn; in between sleeps. Returns 0 or <0. */
	int (*run)(struct dk_env *env, bool (*done)(void *arg), void *arg);
	/* Call io_timers(k) at that time (us, this clock) at the latest; replaces the last wish. UINT64_MAX = no wish. */
	void (*wake_at)(struct env_node *node, uint64_t at_us);
	/* A turn must follow soon although no event is due. */
	void (*wake)(struct env_node *node);

	/* *bound: in: wished, out: as bound. -EADDRINUSE when taken (io.c scans). udp gets io_udp_received(). */
	int (*udp_open)(struct env_node *node, struct dk_udp *udp, struct dk_addr *bound, const struct dk_udp_opts *opts,
			struct env_udp **ret_udp);
	/* Sends up to n; returns how many were taken (0 = would block:
	 * io_udp_writable() follows), or <0 for the first one (skip it). */
	int (*udp_send)(struct env_udp *udp, const struct env_out *v, size_t n, bool may_fragment);
	void (*udp_close)(struct env_udp *udp);

	int (*listen)(struct env_node *node, struct dk_listener *l, struct dk_addr *bound, const struct dk_listen_opts *opts,
		      struct env_listener **ret_listener);
	void (*listener_close)(struct env_listener *l);
	/* Asynchronous: io_stream_opened() or io_stream_ended() follows. */
	int (*connect)(struct env_node *node, struct dk_stream *s, const struct dk_addr *to, bool no_delay,
		       struct env_stream **ret_stream);
	/* Returns bytes taken (fewer than n = would block: io_stream_writable() follows) or <0 (broken). */
	int64_t (*stream_write)(struct env_stream *s, const uint8_t *p, size_t n);
	void (*stream_read)(struct env_stream *s, bool on);
	/* reset: drop what the system still holds; else it is delivered, and what still comes in is thrown away. No callback
	 * follows. */
	void (*stream_close)(struct env_stream *s, bool reset);

	/* The first address of a network interface; IPv4 before IPv6. 0, DK_NOT_FOUND or <0. */
	int (*addr_of_nic)(struct env_node *node, const char *nic, struct dk_addr *ret_addr);
	/* The first address of a host name, IPv4 before IPv6; port 0. Blocks: jobs call it. NULL: this world has no names. */
	int (*resolve)(const char *host, struct dk_addr *ret_addr);
	/* Runs work(arg) away from the loop, then done(k, job) inside a turn; for a node that left meanwhile outside of one. */
	int (*job)(struct env_node *node, void (*work)(void *arg), void *arg, void (*done)(struct dk_kernel *k, void *job),
		   void *job);
	void (*free)(struct dk_env *env);
};

struct dk_env {
	const struct dk_env_ops *ops;
};

/* Implemented by io.c, udp.c and stream.c, called by the worlds inside a turn. */
void io_timers(struct dk_kernel *k); /* runs what is due, then wishes again */
void io_udp_received(struct dk_udp *udp, const struct dk_datagram *v, size_t n);
void io_udp_oversize(struct dk_udp *udp, size_t n); /* n datagrams were longer than DK_UDP_SLOT and are gone */
void io_udp_writable(struct dk_udp *udp);
/* Returns the stream object for an accepted connection, or NULL: refuse it. */
struct dk_stream *io_accept(struct dk_listener *l, struct env_stream *es, const struct dk_addr *peer);
void io_stream_opened(struct dk_stream *s);
void io_stream_data(struct dk_stream *s, const uint8_t *p, size_t n);
void io_stream_writable(struct dk_stream *s);
void io_stream_ended(struct dk_stream *s, int err); /* end of stream (0) or an error; io.c closes the world's part */

/* The same for a world that lies in another library, the simulator. Not an interface for plugins. */
struct env_seam {
	void (*turn_begin)(struct dk_kernel *k);
	void (*turn_end)(struct dk_kernel *k);
	void (*timers)(struct dk_kernel *k);
	void (*udp_received)(struct dk_udp *udp, const struct dk_datagram *v, size_t n);
	void (*udp_oversize)(struct dk_udp *udp, size_t n);
	void (*udp_writable)(struct dk_udp *udp);
	struct dk_stream *(*accept)(struct dk_listener *l, struct env_stream *es, const struct dk_addr *peer);
	void (*stream_opened)(struct dk_stream *s);
	void (*stream_data)(struct dk_stream *s, const uint8_t *p, size_t n);
	void (*stream_writable)(struct dk_stream *s);
	void (*stream_ended)(struct dk_stream *s, int err);
};
DK_API const struct env_seam *dk_env_seam(void);

/* env/wheel.c: a hierarchical wheel of 1 ms ticks over dk_timer. */
struct wheel;
struct wheel *wheel_new(uint64_t now_ms);
void wheel_free(struct wheel *w);
void wheel_add(struct wheel *w, struct dk_timer *t); /* t->due_ms is set */
void wheel_remove(struct wheel *w, struct dk_timer *t);
struct dk_timer *wheel_pop(struct wheel *w, uint64_t now_ms); /* the next one due, removed; NULL = none */
uint64_t wheel_next(const struct wheel *w); /* ms of the earliest due, a lower bound; UINT64_MAX = none */
size_t wheel_purge(struct wheel *w, const void *self); /* stops all timers of that owner; returns how many */

#endif
