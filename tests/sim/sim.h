/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the simulator share. sim.c: clock, events, nodes; sim_link.c: the ways between addresses; sim_udp.c and
 * sim_tcp.c: sockets of nodes and of scripts.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <diarkis/test.h>

#include "kernel/env.h"
#include "wire/wire.h"

struct sim;

/* Something that will happen. Embedded in what knows more; fire() owns it. */
struct event {
	uint64_t at_us, order; /* order: of two at one time the one that was written down first */
	void (*fire)(struct sim *sim, struct event *e);
	void (*drop)(struct event *e); /* the world ends before it happened */
	struct event *next; /* for whoever puts it off */
};

struct env_node {
	struct env_node *next;
	struct sim *sim;
	struct dk_kernel *k;
	struct dk_addr ip;
	bool in_turn, ending, woken, left;
	bool dead; /* killed: nothing of it reaches the world any more */
	bool paused, late_turn, late_timers; /* late: what came up meanwhile */
	struct event *late_jobs, **late_jobs_tail; /* likewise, by next */
	uint64_t wish; /* counts wake_at(): older events are void */
};

/* One direction between two addresses. */
struct flow {
	struct flow *next;
	struct dk_addr from, to; /* ports 0 */
	struct wire_link link;
	bool cut;
};

struct rule { /* family 0 = any */
	struct rule *next;
	struct dk_addr from, to;
	struct dk_sim_link how;
};

struct cut {
	struct cut *next;
	struct dk_addr a, b;
	bool way; /* from a to b only */
};

enum { SIM_BUCKETS = 1024 };

struct sim {
	struct dk_env base;
	const struct env_seam *up;
	uint64_t now_us, seed, rng, hash, order;
	struct event **heap;
	size_t heap_n, heap_cap;
	struct env_node *nodes; /* in order of arrival */
	struct dk_addr next_ip; /* of the next node, or family 0 */
	unsigned node_n; /* of those that took the next free address */
	bool stalled, trace;
	struct flow *flows[SIM_BUCKETS];
	struct rule *rules; /* latest first */
	struct cut *cuts;
	struct sim_socket *sockets[SIM_BUCKETS]; /* by port */
	struct env_listener *listeners;
	struct sim_conn *conns;
	uint16_t next_port;
};

/* ---- sim.c ---- */
uint64_t sim_chance(struct sim *sim);
/* Writes it down for at_us, or now where that has passed. 0, or -ENOMEM: drop() was called. */
int sim_event(struct sim *sim, struct event *e, uint64_t at_us);
struct event *sim_due(const struct sim *sim); /* the next one, if it happens at this very moment */
struct event *sim_pop(struct sim *sim);
void sim_turn(struct env_node *n); /* its turn begins, unless it has */
bool sim_same_host(const struct env_node *a, const struct env_node *b); /* NULL: a script's, of no host */
void sim_kill(struct env_node *n); /* for the harness, as are the next two */
void sim_limbo_turn(struct env_node *n); /* a turn of a node that was killed */
void sim_pause(struct env_node *n, bool on);
/* Into the hash and the trace. */
void sim_note(struct sim *sim, const char *what, const struct dk_addr *from, const struct dk_addr *to, const uint8_t *p, size_t n);
bool sim_ip(const char *text, struct dk_addr *ret_ip); /* NULL gives family 0; port 0 */
bool sim_ip_eq(const struct dk_addr *a, const struct dk_addr *b);
bool sim_ip_any(const struct dk_addr *a); /* 0.0.0.0 or :: */
bool sim_ip_loop(const struct dk_addr *a); /* 127.0.0.0/8 or ::1 */
uint16_t sim_port(struct sim *sim); /* a fresh one for a script */

/* ---- sim_link.c ---- */
/* NULL = no memory. */
struct flow *sim_flow(struct sim *sim, const struct dk_addr *from, const struct dk_addr *to);
void sim_links_free(struct sim *sim);

/* ---- sim_udp.c ---- */
int sim_udp_open(struct env_node *n, struct dk_udp *udp, struct dk_addr *bound, const struct dk_udp_opts *opts,
		 struct env_udp **ret_udp);
int sim_udp_send(struct env_udp *udp, const struct env_out *v, size_t n, bool may_fragment);
void sim_udp_close(struct env_udp *udp);
void sim_udp_unstall(struct sim *sim);
void sim_udp_kill(struct env_node *n); /* its sockets are nobody's, until it closes them */
void sim_udp_resume(struct env_node *n);
void sim_udp_free_all(struct sim *sim);

/* ---- sim_tcp.c ---- */
int sim_listen(struct env_node *n, struct dk_listener *l, struct dk_addr *bound, const struct dk_listen_opts *opts,
	       struct env_listener **ret_listener);
void sim_listener_close(struct env_listener *l);
int sim_connect(struct env_node *n, struct dk_stream *s, const struct dk_addr *to, bool no_delay, struct env_stream **ret_stream);
int64_t sim_stream_write(struct env_stream *s, const uint8_t *p, size_t n);
void sim_stream_read(struct env_stream *s, bool on);
void sim_stream_close(struct env_stream *s, bool reset);
void sim_tcp_kick(struct sim *sim); /* the stall ended, or links changed: whoever waited tries again */
void sim_tcp_kill(struct env_node *n);
void sim_tcp_resume(struct env_node *n);
void sim_tcp_free_all(struct sim *sim);

#endif
