/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The production world: one libuv loop, on which any number of nodes live. Sockets are our own descriptors on uv_poll_t,
 * because libuv 1.44 neither receives nor sends datagrams in batches that fit 2 KiB slots, knows no source addresses, and
 * takes 248 bytes for a TCP connection.
 *
 * The first event of a node in a round of the loop begins its turn; the prepare and check hooks, which libuv calls before and
 * after it sleeps, end it. So everything that was due or arrived in one round is one turn, the clock is read once for it, and
 * output leaves before the loop sleeps. A round without events costs one look per node.
 *
 * Nothing here calls a plugin; a world's part of a socket lives on in its close callback when io.c has long forgotten it.
 */
#include "uv_world.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

struct job_request {
	uv_work_t req;
	struct job_request *next, **link;
	struct env_node *node;
	void (*work)(void *arg);
	void *arg;
	void (*done)(struct dk_kernel *k, void *job);
	void *job;
};

/* ---- turns ---- */

void node_turn(struct env_node *n)
{
	if (n->in_turn)
		return;
	n->in_turn = true;
	kernel_turn_begin(n->k);
}

static void turn_end(struct env_node *n)
{
	n->woken = false;
	kernel_turn_end(n->k);
	n->in_turn = false;
}

static uint64_t env_now_us(struct dk_env *env)
{
	struct timespec t;

	(void)env;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void on_timer(uv_timer_t *timer)
{
	struct env_node *n = timer->data;

	n->armed_us = n->wish_us = UINT64_MAX;
	node_turn(n);
	io_timers(n->k);
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle; /* that it is active keeps the loop from sleeping; on_prepare() does the work */
}

/* libuv's clock is this one, cut to whole milliseconds. */
static void arm(struct env_node *n)
{
	uint64_t now_ms = uv_now(&n->env->loop), at_ms = n->wish_us / 1000 + (n->wish_us % 1000 > 0);

	n->armed_us = n->wish_us;
	if (n->wish_us == UINT64_MAX)
		uv_timer_stop(&n->timer);
	else
		uv_timer_start(&n->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

/* Ends the turns; true when some node wants another one. */
static bool round_end(struct uv_env *env, bool with_woken)
{
	bool more = false;

	for (struct env_node *n = env->nodes; n; n = n->next) {
		if (with_woken && n->woken)
			node_turn(n);
		if (n->in_turn)
			turn_end(n);
		more |= n->woken;
	}
	if (env->done && env->done(env->done_arg))
		uv_stop(&env->loop);
	return more;
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct uv_env *env = prepare->data;

	if (round_end(env, true))
		uv_idle_start(&env->idle, on_idle);
	else
		uv_idle_stop(&env->idle);
	for (struct env_node *n = env->nodes; n; n = n->next)
		if (n->wish_us != n->armed_us)
			arm(n);
}

static void on_check(uv_check_t *check)
{
	round_end(check->data, false);
}

static void env_wake_at(struct env_node *n, uint64_t at_us)
{
	n->wish_us = at_us;
}

static void env_wake(struct env_node *n)
{
	n->woken = true;
}

static int env_run(struct dk_env *base, bool (*done)(void *arg), void *arg)
{
	struct uv_env *env = (struct uv_env *)base;

	if (env->running)
		return -EBUSY;
	if (done(arg))
		return 0;
	env->done = done;
	env->done_arg = arg;
	env->running = true;
	uv_run(&env->loop, UV_RUN_DEFAULT);
	env->running = false;
	env->done = NULL;
	return 0;
}

/* ---- clock, chance, interfaces ---- */

static uint64_t env_wall_ns(struct dk_env *env)
{
	struct timespec t;

	(void)env;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int env_random(struct dk_env *env, void *buf, size_t n)
{
	uint8_t *p = buf;

	(void)env;
	while (n) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
	return 0;
}

/* ---- jobs ---- */

static void on_work(uv_work_t *req)
{
	struct job_request *r = req->data;

	r->work(r->arg);
}

static void on_worked(uv_work_t *req, int status)
{
	struct job_request *r = req->data;
	struct env_node *n = r->node;

	(void)status; /* cancelled only when the node left, and then the job's plugin is not called */
	if (!n->left)
		node_turn(n);
	r->done(n->k, r->job);
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	n->handles--;
	free(r);
}

static int env_job(struct env_node *n, void (*work)(void *arg), void *arg, void (*done)(struct dk_kernel *k, void *job), void *job)
{
	struct job_request *r = malloc(sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	*r = (struct job_request){
		.next = n->jobs, .link = &n->jobs, .node = n, .work = work, .arg = arg, .done = done, .job = job
	};
	r->req.data = r;
	rc = uv_queue_work(&n->env->loop, &r->req, on_work, on_worked);
	if (rc < 0) {
		free(r);
		return rc;
	}
	if (r->next)
		r->next->link = &r->next;
	n->jobs = r;
	n->handles++;
	return 0;
}

/* ---- nodes ---- */

static void on_node_closed(uv_handle_t *h)
{
	((struct env_node *)h->data)->handles--;
}

static void on_signal(uv_signal_t *h, int signum)
{
	struct env_node *n = h->data;

	node_turn(n);
	dk_signal_arrived(n->k, signum);
}

static void on_watch(uv_poll_t *poll, int status, int events)
{
	struct env_node *n = poll->data;

	(void)status; /* who reads from it sees what is wrong */
	(void)events;
	node_turn(n);
	if (!n->k->watch(n->k->program))
		uv_poll_stop(poll);
}

static void env_detach(struct env_node *n)
{
	struct uv_env *env = n->env;
	struct env_node **at = &env->nodes;

	n->left = true;
	uv_close((uv_handle_t *)&n->timer, on_node_closed);
	for (uint8_t i = 0; i < n->signal_n; i++)
		uv_close((uv_handle_t *)&n->signals[i], on_node_closed);
	if (n->watch.loop)
		uv_close((uv_handle_t *)&n->watch, on_node_closed);
	for (struct job_request *r = n->jobs; r; r = r->next)
		uv_cancel((uv_req_t *)&r->req); /* those that run already are waited for: they use their plugin's memory */
	tcp_detach(n);
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	while (n->handles)
		uv_run(&env->loop, UV_RUN_ONCE);
	free(n);
}

static int env_attach(struct dk_env *base, struct dk_kernel *k, bool signals, struct env_node **ret_node)
{
	static const int numbers[UV_SIGNALS] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
	struct uv_env *env = (struct uv_env *)base;
	struct env_node *n = calloc(1, sizeof(*n));
	int rc;

	if (!n)
		return -ENOMEM;
	n->env = env;
	n->k = k;
	n->wish_us = n->armed_us = UINT64_MAX;
	n->next = env->nodes;
	env->nodes = n;
	uv_timer_init(&env->loop, &n->timer);
	n->timer.data = n;
	n->handles++;
	if (k->watch && sock_poll(n, &n->watch, k->watch_fd, n) == 0)
		uv_poll_start(&n->watch, UV_READABLE, on_watch);
	for (size_t i = 0; signals && i < UV_SIGNALS; i++) {
		uv_signal_t *h = &n->signals[i];

		rc = uv_signal_init(&env->loop, h);
		if (rc == 0) {
			h->data = n;
			n->signal_n++;
			n->handles++;
			rc = uv_signal_start(h, on_signal, numbers[i]);
		}
		if (rc < 0) {
			env_detach(n);
			return rc;
		}
	}
	*ret_node = n;
	return 0;
}

/* ---- the world ---- */

static void env_free(struct dk_env *base)
{
	struct uv_env *env = (struct uv_env *)base;

	uv_close((uv_handle_t *)&env->prepare, NULL);
	uv_close((uv_handle_t *)&env->check, NULL);
	uv_close((uv_handle_t *)&env->idle, NULL);
	uv_close((uv_handle_t *)&env->linger_timer, NULL);
	while (uv_run(&env->loop, UV_RUN_NOWAIT))
		;
	uv_loop_close(&env->loop);
	if (env->spare_fd >= 0)
		close(env->spare_fd);
	free(env);
}

struct dk_env *dk_env_uv(void)
{
	static const struct dk_env_ops ops = {
		.name = "uv",
		.now_us = env_now_us,
		.wall_ns = env_wall_ns,
		.random = env_random,
		.attach = env_attach,
		.detach = env_detach,
		.run = env_run,
		.wake_at = env_wake_at,
		.wake = env_wake,
		.udp_open = uv_env_udp_open,
		.udp_send = uv_env_udp_send,
		.udp_close = uv_env_udp_close,
		.listen = uv_env_listen,
		.listener_close = uv_env_listener_close,
		.connect = uv_env_connect,
		.stream_write = uv_env_stream_write,
		.stream_read = uv_env_stream_read,
		.stream_close = uv_env_stream_close,
		.addr_of_nic = uv_env_addr_of_nic,
		.resolve = uv_env_resolve,
		.job = env_job,
		.free = env_free,
	};
	struct uv_env *env = calloc(1, sizeof(*env));

	if (!env)
		return NULL;
	if (uv_loop_init(&env->loop) < 0) {
		free(env);
		return NULL;
	}
	env->base.ops = &ops;
	udp_init(env);
	tcp_init(env);
	uv_prepare_init(&env->loop, &env->prepare);
	uv_check_init(&env->loop, &env->check);
	uv_idle_init(&env->loop, &env->idle);
	env->prepare.data = env->check.data = env;
	uv_prepare_start(&env->prepare, on_prepare);
	uv_check_start(&env->check, on_check);
	return &env->base;
}
