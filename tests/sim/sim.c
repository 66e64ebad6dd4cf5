/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated world: a clock that jumps from event to event, and the nodes that live by it. Everything random comes from
 * the seed, every order from the events' order, so a run can be repeated exactly; the hash over all events proves it.
 *
 * All events of one moment happen, then the turns that they began end, as in a round of a real loop. A node that asks for
 * another turn gets it a microsecond later: time always moves on.
 */
#include "sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/kernel.h"

static const uint64_t EPOCH_NS = 1704067200000000000; /* 2024-01-01 00:00:00 UTC, when every world begins */
static const uint64_t BEGIN_US = 1000000; /* the monotonic clock then: not 0, which code may take for "never" */

static struct sim *sim_of(struct dk_env *env)
{
	return (struct sim *)env;
}

/* splitmix64 */
uint64_t sim_chance(struct sim *sim)
{
	uint64_t z = sim->rng += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* ---- the log of events ---- */

static void mix(struct sim *sim, uint64_t v)
{
	sim->hash = (sim->hash ^ v) * 0x100000001b3;
	sim->hash ^= sim->hash >> 29;
}

static void mix_bytes(struct sim *sim, const void *p, size_t n)
{
	const uint8_t *at = p;
	uint64_t v;

	mix(sim, n);
	for (; n >= 8; at += 8, n -= 8) {
		memcpy(&v, at, 8);
		mix(sim, v);
	}
	v = 0;
	memcpy(&v, at, n);
	mix(sim, v);
}

/* Field by field: what pads an address is nobody's. */
static void mix_addr(struct sim *sim, const struct dk_addr *a)
{
	mix_bytes(sim, a->ip, sizeof(a->ip));
	mix(sim, (uint64_t)a->port << 8 | a->family);
}

void sim_note(struct sim *sim, const char *what, const struct dk_addr *from, const struct dk_addr *to, const uint8_t *p, size_t n)
{
	char from_text[DK_ADDR_TEXT] = "-", to_text[DK_ADDR_TEXT] = "-";

	mix(sim, sim->now_us);
	mix_bytes(sim, what, strlen(what));
	if (from)
		mix_addr(sim, from);
	if (to)
		mix_addr(sim, to);
	if (p)
		mix_bytes(sim, p, n);
	if (!sim->trace)
		return;
	if (from)
		dk_addr_format(from, from_text);
	if (to)
		dk_addr_format(to, to_text);
	fprintf(stderr, "%10.3f  %-12s %21s -> %-21s %5zu  %016llx\n", (double)sim->now_us / 1000, what, from_text, to_text, n,
		(unsigned long long)sim->hash);
}

/* ---- events ---- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

int sim_event(struct sim *sim, struct event *e, uint64_t at_us)
{
	size_t i;

	if (sim->heap_n == sim->heap_cap) {
		size_t cap = sim->heap_cap ? sim->heap_cap * 2 : 1024;
		struct event **heap = realloc(sim->heap, cap * sizeof(*heap));

		if (!heap) {
			e->drop(e);
			return -ENOMEM;
		}
		sim->heap = heap;
		sim->heap_cap = cap;
	}
	e->at_us = at_us > sim->now_us ? at_us : sim->now_us;
	e->order = sim->order++;
	for (i = sim->heap_n++; i > 0 && before(e, sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = e;
	return 0;
}

struct event *sim_pop(struct sim *sim)
{
	struct event *top = sim->heap[0], *last = sim->heap[--sim->heap_n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < sim->heap_n) {
		if (child + 1 < sim->heap_n && before(sim->heap[child + 1], sim->heap[child]))
			child++;
		if (!before(sim->heap[child], last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	sim->heap[i] = last;
	return top;
}

struct event *sim_due(const struct sim *sim)
{
	return sim->heap_n && sim->heap[0]->at_us <= sim->now_us ? sim->heap[0] : NULL;
}

static void event_free(struct event *e)
{
	free(e);
}

/* ---- nodes ---- */

struct node_event {
	struct event e;
	struct env_node *node;
	uint64_t wish; /* of a timer */
};

static void node_event(struct env_node *n, void (*fire)(struct sim *, struct event *), uint64_t at_us)
{
	struct node_event *ne = calloc(1, sizeof(*ne));

	if (ne) {
		ne->e.fire = fire;
		ne->e.drop = event_free;
		ne->node = n;
		ne->wish = n->wish;
	}
	if (!ne || sim_event(n->sim, &ne->e, at_us) < 0) {
		fprintf(stderr, "simulator: out of memory\n");
		abort(); /* a lost wake-up would look like a bug of the node */
	}
}

void sim_turn(struct env_node *n)
{
	if (n->in_turn)
		return;
	n->in_turn = true;
	n->sim->up->turn_begin(n->k);
}

static void fire_turn(struct sim *sim, struct event *e)
{
	struct env_node *n = ((struct node_event *)(void *)e)->node;

	n->woken = n->paused;
	n->late_turn = n->paused;
	if (!n->left && !n->paused) {
		sim_note(sim, "turn", &n->ip, NULL, NULL, 0);
		sim_turn(n);
	}
	free(e);
}

static void fire_timers(struct sim *sim, struct event *e)
{
	struct node_event *ne = (struct node_event *)(void *)e;
	struct env_node *n = ne->node;

	if (n->paused && ne->wish == n->wish) {
		n->late_timers = true;
	} else if (!n->left && ne->wish == n->wish) {
		sim_note(sim, "timers", &n->ip, NULL, NULL, 0);
		sim_turn(n);
		sim->up->timers(n->k);
	}
	free(e);
}

static void env_wake(struct env_node *n)
{
	if (n->dead || n->woken || (n->in_turn && !n->ending))
		return; /* a turn is coming anyway */
	n->woken = true;
	node_event(n, fire_turn, n->sim->now_us + 1);
}

static void env_wake_at(struct env_node *n, uint64_t at_us)
{
	n->wish++;
	if (at_us != UINT64_MAX && !n->dead)
		node_event(n, fire_timers, at_us);
}

static int env_attach(struct dk_env *env, struct dk_kernel *k, bool signals, struct env_node **ret_node)
{
	struct sim *sim = sim_of(env);
	struct env_node *n = calloc(1, sizeof(*n)), **at = &sim->nodes;

	(void)signals; /* a test calls dk_signal_arrived() */
	if (!n)
		return -ENOMEM;
	n->sim = sim;
	n->k = k;
	n->late_jobs_tail = &n->late_jobs;
	n->ip = sim->next_ip;
	if (!n->ip.family) {
		sim->node_n++;
		n->ip = (struct dk_addr){ .ip = { 10, 0, (uint8_t)(sim->node_n >> 8), (uint8_t)sim->node_n }, .family = 4 };
	}
	while (*at)
		at = &(*at)->next;
	*at = n;
	*ret_node = n;
	return 0;
}

/* The node's part stays until the world ends: events may name it. */
static void env_detach(struct env_node *n)
{
	n->left = true;
	n->in_turn = false;
	n->k = NULL;
}

bool sim_same_host(const struct env_node *a, const struct env_node *b)
{
	return a && b && sim_ip_eq(&a->ip, &b->ip);
}

/* ---- violence ---- */

void sim_kill(struct env_node *n)
{
	sim_note(n->sim, "kill", &n->ip, NULL, NULL, 0);
	sim_pause(n, false);
	n->dead = true;
	n->wish++;
	sim_udp_kill(n);
	sim_tcp_kill(n);
}

void sim_limbo_turn(struct env_node *n)
{
	n->in_turn = true;
	n->sim->up->turn_begin(n->k);
	n->ending = true;
	n->sim->up->turn_end(n->k);
	n->ending = n->in_turn = false;
}

static void fire_writable(struct sim *sim, struct event *e)
{
	if (!sim->stalled)
		sim_udp_unstall(sim);
	free(e);
}

/* What waits is read a microsecond after the timers ran: in a turn of its own. */
static void resume(struct env_node *n)
{
	struct event *next;

	n->paused = false;
	n->sim->up->turn_begin(n->k); /* its clock jumps */
	if (n->late_timers)
		node_event(n, fire_timers, n->sim->now_us);
	if (n->late_turn) {
		n->woken = false;
		env_wake(n);
	}
	for (struct event *e = n->late_jobs; e; e = next) {
		next = e->next;
		sim_event(n->sim, e, n->sim->now_us + 1);
	}
	n->late_timers = n->late_turn = false;
	n->late_jobs = NULL;
	n->late_jobs_tail = &n->late_jobs;
	sim_udp_resume(n);
	sim_tcp_resume(n);
	node_event(n, fire_writable, n->sim->now_us + 1); /* a stall may have ended meanwhile */
}

void sim_pause(struct env_node *n, bool on)
{
	if (n->paused == on || n->left)
		return;
	sim_note(n->sim, on ? "pause" : "continue", &n->ip, NULL, NULL, 0);
	if (on)
		n->paused = true;
	else
		resume(n);
}

static void end_turns(struct sim *sim)
{
	for (struct env_node *n = sim->nodes; n; n = n->next) {
		if (!n->in_turn)
			continue;
		n->ending = true;
		sim->up->turn_end(n->k);
		n->ending = n->in_turn = false;
	}
}

/* Everything of the next moment, if that is not after until_us. */
static bool step(struct sim *sim, uint64_t until_us)
{
	struct event *e;

	if (!sim->heap_n || sim->heap[0]->at_us > until_us)
		return false;
	if (sim->heap[0]->at_us > sim->now_us)
		sim->now_us = sim->heap[0]->at_us;
	while ((e = sim_due(sim))) {
		sim_pop(sim);
		e->fire(sim, e);
	}
	end_turns(sim);
	return true;
}

static int env_run(struct dk_env *env, bool (*done)(void *arg), void *arg)
{
	while (!done(arg))
		if (!step(sim_of(env), UINT64_MAX))
			return -EDEADLK; /* nothing will ever happen again */
	return 0;
}

/* ---- jobs: the work is done at once, its end is told in a turn ---- */

struct job_event {
	struct event e;
	struct env_node *node;
	void (*done)(struct dk_kernel *k, void *job);
	void *job;
};

static void job_end(struct event *e)
{
	struct job_event *je = (struct job_event *)(void *)e;

	if (!je->node->left)
		sim_turn(je->node);
	je->done(je->node->k, je->job);
	free(je);
}

static void fire_job(struct sim *sim, struct event *e)
{
	struct env_node *n = ((struct job_event *)(void *)e)->node;

	(void)sim;
	if (n->paused) {
		e->next = NULL;
		*n->late_jobs_tail = e;
		n->late_jobs_tail = &e->next;
	} else {
		job_end(e);
	}
}

static int env_job(struct env_node *n, void (*work)(void *arg), void *arg, void (*done)(struct dk_kernel *k, void *job), void *job)
{
	struct job_event *je = calloc(1, sizeof(*je));

	if (!je)
		return -ENOMEM;
	*je = (struct job_event){ { .fire = fire_job, .drop = job_end }, n, done, job };
	work(arg);
	sim_event(n->sim, &je->e, n->sim->now_us); /* a job that cannot be written down ends at once */
	return 0;
}

/* ---- clock, chance, addresses ---- */

static uint64_t env_now_us(struct dk_env *env)
{
	return sim_of(env)->now_us;
}

static uint64_t env_wall_ns(struct dk_env *env)
{
	return EPOCH_NS + (sim_of(env)->now_us - BEGIN_US) * 1000;
}

static int env_random(struct dk_env *env, void *buf, size_t n)
{
	uint8_t *p = buf;

	while (n) {
		uint64_t v = sim_chance(sim_of(env));
		size_t part = n < sizeof(v) ? n : sizeof(v);

		memcpy(p, &v, part);
		p += part;
		n -= part;
	}
	return 0;
}

static int env_addr_of_nic(struct env_node *n, const char *nic, struct dk_addr *ret_addr)
{
	if (strcmp(nic, "lo") == 0)
		*ret_addr = (struct dk_addr){ .ip = { 127, 0, 0, 1 }, .family = 4 };
	else if (strcmp(nic, "eth0") == 0)
		*ret_addr = n->ip;
	else
		return DK_NOT_FOUND;
	return 0;
}

bool sim_ip(const char *text, struct dk_addr *ret_ip)
{
	*ret_ip = (struct dk_addr){ .family = 0 };
	if (!text)
		return true;
	if (dk_addr_parse(dk_str_c(text), 0, ret_ip) < 0)
		return false;
	ret_ip->port = 0;
	return true;
}

bool sim_ip_eq(const struct dk_addr *a, const struct dk_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool sim_ip_any(const struct dk_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->ip, zero, sizeof(zero)) == 0;
}

bool sim_ip_loop(const struct dk_addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	return a->family == 4 ? a->ip[0] == 127 : memcmp(a->ip, one, sizeof(one)) == 0;
}

uint16_t sim_port(struct sim *sim)
{
	sim->next_port = sim->next_port < 65535 ? sim->next_port + 1 : 32768;
	return sim->next_port;
}

/* ---- the script's side ---- */

uint64_t dk_sim_now(const struct dk_env *env)
{
	return ((const struct sim *)env)->now_us / 1000;
}

uint64_t dk_sim_hash(const struct dk_env *env)
{
	return ((const struct sim *)env)->hash;
}

uint64_t dk_sim_chance(struct dk_env *env)
{
	return sim_chance(sim_of(env));
}

/* The script may call nodes now, outside of a turn; their clocks are to be right then too. */
static void pause_at(struct sim *sim, uint64_t now_us)
{
	sim->now_us = now_us;
	for (struct env_node *n = sim->nodes; n; n = n->next)
		if (!n->left && !n->paused)
			sim->up->turn_begin(n->k);
}

void dk_sim_run(struct dk_env *env, uint64_t ms)
{
	struct sim *sim = sim_of(env);
	uint64_t until_us = sim->now_us + ms * 1000;

	while (step(sim, until_us))
		;
	pause_at(sim, until_us);
}

bool dk_sim_run_until(struct dk_env *env, bool (*done)(void *arg), void *arg, uint64_t limit_ms)
{
	struct sim *sim = sim_of(env);
	uint64_t until_us = sim->now_us + limit_ms * 1000;

	while (!done(arg))
		if (!step(sim, until_us)) {
			pause_at(sim, until_us);
			return false;
		}
	pause_at(sim, sim->now_us);
	return true;
}

struct script_event {
	struct event e;
	void (*fn)(void *arg);
	void *arg;
};

static void fire_script(struct sim *sim, struct event *e)
{
	struct script_event *se = (struct script_event *)(void *)e;

	sim_note(sim, "script", NULL, NULL, NULL, 0);
	se->fn(se->arg);
	free(e);
}

int dk_sim_after(struct dk_env *env, uint64_t ms, void (*fn)(void *arg), void *arg)
{
	struct script_event *se = calloc(1, sizeof(*se));

	if (!se)
		return -ENOMEM;
	*se = (struct script_event){ { .fire = fire_script, .drop = event_free }, fn, arg };
	return sim_event(sim_of(env), &se->e, sim_of(env)->now_us + ms * 1000);
}

static void unstall(void *arg)
{
	struct sim *sim = arg;

	sim_udp_unstall(sim);
	sim_tcp_kick(sim);
}

void dk_sim_stall(struct dk_env *env, bool on)
{
	sim_of(env)->stalled = on;
	if (!on)
		dk_sim_after(env, 0, unstall, env);
}

static void env_free(struct dk_env *env)
{
	struct sim *sim = sim_of(env);

	while (sim->heap_n) {
		struct event *e = sim_pop(sim);

		e->drop(e);
	}
	free(sim->heap);
	sim_udp_free_all(sim);
	sim_tcp_free_all(sim);
	sim_links_free(sim);
	while (sim->nodes) {
		struct env_node *n = sim->nodes;

		sim->nodes = n->next;
		free(n);
	}
	free(sim);
}

struct dk_env *dk_env_sim(uint64_t seed)
{
	static const struct dk_env_ops ops = {
		.name = "sim",
		.now_us = env_now_us,
		.wall_ns = env_wall_ns,
		.random = env_random,
		.attach = env_attach,
		.detach = env_detach,
		.run = env_run,
		.wake_at = env_wake_at,
		.wake = env_wake,
		.udp_open = sim_udp_open,
		.udp_send = sim_udp_send,
		.udp_close = sim_udp_close,
		.listen = sim_listen,
		.listener_close = sim_listener_close,
		.connect = sim_connect,
		.stream_write = sim_stream_write,
		.stream_read = sim_stream_read,
		.stream_close = sim_stream_close,
		.addr_of_nic = env_addr_of_nic,
		.job = env_job,
		.free = env_free,
	};
	struct sim *sim = calloc(1, sizeof(*sim));
	const char *trace = getenv("DK_SIM_TRACE");

	if (!sim)
		return NULL;
	sim->base.ops = &ops;
	sim->up = dk_env_seam();
	sim->now_us = BEGIN_US;
	sim->seed = sim->rng = seed;
	sim->hash = 0xcbf29ce484222325 ^ seed;
	sim->next_port = 49151;
	sim->trace = trace && *trace && strcmp(trace, "0") != 0;
	return &sim->base;
}
