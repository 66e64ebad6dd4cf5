/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time, chance and jobs of one node, and the books of what its plugins hold of the world: sockets and streams (udp.c, stream.c),
 * timers, jobs. When a plugin stops, io_revoke() takes back all of it; io_leftovers() names what appeared after that.
 *
 * The world is asked for one wake-up only, that of the earliest timer, and only when it comes earlier than the last wish: a
 * timer that is stopped or moved to a later time costs the world nothing but one wake-up in vain.
 */
#include "../kernel.h"

#include <errno.h>
#include <stdlib.h>

const struct dk_counter io_counters[] = {
	DK_COUNTER(struct app_state, udp_dropped, "oldest datagrams of a send ring that ran over"),
	DK_COUNTER(struct app_state, udp_failed, "datagrams that the system refused to send"),
	DK_COUNTER(struct app_state, udp_oversize, "datagrams received that were longer than a slot"),
	DK_COUNTER(struct app_state, stream_full, "writes refused because a stream's output was full"),
	DK_COUNTER(struct app_state, stream_late, "streams cut off because nobody took their last output in time"),
	DK_COUNTER(struct app_state, accept_failed, "connections refused for want of memory"),
	{ .name = NULL },
};

struct job {
	struct held held; /* owner NULL: its plugin has stopped */
	void (*done)(void *self, void *arg);
	void (*drop)(void *arg);
	void *arg;
};

int io_init(struct dk_kernel *k)
{
	struct io_state *io = calloc(1, sizeof(*io));

	if (!io)
		return -ENOMEM;
	io->wished_ms = UINT64_MAX;
	io->wheel = wheel_new(k->clock.ms);
	if (!io->wheel) {
		free(io);
		return -ENOMEM;
	}
	k->io = io;
	return 0;
}

void io_flush(struct dk_kernel *k)
{
	stream_flush_all(k->io); /* first, because a stream's end may be told to others by datagram */
	udp_flush_all(k->io);
	if (k->io->streams_dirty || k->io->udps_dirty) /* by what streams were told at their end */
		k->env->ops->wake(k->node);
}

/* ---- who holds what ---- */

void held_in(struct held *h, struct dk_plugin *owner, enum held_kind kind)
{
	struct held **head = &owner->k->io->held;

	*h = (struct held){ *head, head, owner, (uint8_t)kind };
	if (h->next)
		h->next->link = &h->next;
	*head = h;
}

void held_out(struct held *h)
{
	*h->link = h->next;
	if (h->next)
		h->next->link = h->link;
}

/* Takes back what p holds (p NULL: what anybody holds), newest first. late: it is named and counted, and p is not told. */
static size_t take_back(struct io_state *io, const struct dk_plugin *p, bool late)
{
	static const char *const names[] = { "UDP socket", "listener", "stream", "job" };
	size_t n = 0;

	for (struct held *h = io->held, *next; h; h = next) {
		next = h->next;
		if (p && h->owner != p)
			continue;
		if (p && late)
			log_kernel(p->k, DK_ERROR, "leftover of %s: a %s, opened after it was stopped", p->instance,
				   names[h->kind]);
		n++;
		if (h->kind == HELD_UDP) {
			dk_udp_close((struct dk_udp *)(void *)h);
		} else if (h->kind == HELD_LISTENER) {
			dk_listener_close((struct dk_listener *)(void *)h);
		} else if (h->kind == HELD_STREAM) {
			stream_drop(h, late);
		} else {
			held_out(h);
			h->owner = NULL;
		}
	}
	stream_flush_all(io);
	return n;
}

void io_fini(struct dk_kernel *k)
{
	struct io_state *io = k->io;

	if (!io)
		return;
	take_back(io, NULL, true);
	stream_fini(io);
	wheel_free(io->wheel);
	explicit_bzero(io->random, sizeof(io->random));
	free(io);
	k->io = NULL;
}

void io_revoke(struct dk_plugin *p)
{
	take_back(p->k->io, p, false);
	wheel_purge(p->k->io->wheel, p->self);
}

size_t io_leftovers(struct dk_plugin *p)
{
	size_t timers = wheel_purge(p->k->io->wheel, p->self);

	if (timers)
		log_kernel(p->k, DK_ERROR, "leftover of %s: %zu timer%s, armed after it was stopped", p->instance, timers,
			   timers == 1 ? "" : "s");
	return timers + take_back(p->k->io, p, true);
}

/* ---- time ---- */

static void wish(struct dk_kernel *k, uint64_t due_ms)
{
	if (due_ms >= k->io->wished_ms)
		return;
	k->io->wished_ms = due_ms;
	k->env->ops->wake_at(k->node, due_ms > UINT64_MAX / 1000 ? UINT64_MAX : due_ms * 1000);
}

static void timer_arm(struct dk_kernel *k, struct dk_timer *t, uint64_t in_ms)
{
	uint64_t now_ms = k->clock.ms;

	if (t->link)
		wheel_remove(k->io->wheel, t);
	if (in_ms == 0)
		in_ms = 1; /* or a timer that re-arms itself would keep io_timers() busy for ever */
	t->due_ms = in_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + in_ms;
	wheel_add(k->io->wheel, t);
	wish(k, t->due_ms);
}

void dk_timer_start(void *self, struct dk_timer *t, uint64_t in_ms, uint32_t every_ms, dk_timer_fn *fn)
{
	t->self = self;
	t->fn = fn;
	t->every_ms = every_ms;
	timer_arm(plugin_of(self)->k, t, in_ms);
}

void io_timer_start(struct dk_kernel *k, struct dk_timer *t, uint64_t in_ms, void (*fn)(void *kernel, struct dk_timer *t))
{
	t->self = NULL;
	t->fn = fn;
	t->every_ms = 0;
	timer_arm(k, t, in_ms);
}

void dk_timer_stop(struct dk_timer *t)
{
	if (t->link)
		wheel_remove(plugin_of(t->self)->k->io->wheel, t);
}

void io_timers(struct dk_kernel *k)
{
	struct io_state *io = k->io;
	struct dk_plugin *inside = NULL, *before = NULL;
	const uint64_t now_ms = k->clock.ms;
	struct dk_timer *t;

	io->wished_ms = 0; /* wishes made meanwhile are answered by the one at the end */
	while ((t = wheel_pop(io->wheel, now_ms))) {
		struct dk_plugin *owner = t->self ? plugin_of(t->self) : NULL;

		if (t->every_ms) {
			/* Late ticks are left out, the phase is kept. */
			t->due_ms += (1 + (now_ms - t->due_ms) / t->every_ms) * t->every_ms;
			wheel_add(io->wheel, t);
		}
		if (owner != inside) {
			if (inside)
				kernel_leave(inside, before);
			if (owner)
				before = kernel_enter(owner);
			inside = owner;
		}
		t->fn(owner ? t->self : k, t);
	}
	if (inside)
		kernel_leave(inside, before);
	io->wished_ms = UINT64_MAX;
	wish(k, wheel_next(io->wheel));
}

uint64_t dk_wall_ns(void *self)
{
	struct dk_env *env = plugin_of(self)->k->env;

	return env->ops->wall_ns(env);
}

/* ---- chance ---- */

int dk_random(void *self, void *buf, size_t n)
{
	struct dk_kernel *k = plugin_of(self)->k;
	struct io_state *io = k->io;
	int rc;

	if (n > sizeof(io->random))
		return k->env->ops->random(k->env, buf, n);
	if (n > io->random_left) {
		rc = k->env->ops->random(k->env, io->random, sizeof(io->random));
		if (rc < 0)
			return rc;
		io->random_left = sizeof(io->random);
	}
	io->random_left -= n;
	memcpy(buf, io->random + io->random_left, n);
	memset(io->random + io->random_left, 0, n); /* a key that was handed out is nowhere else */
	return 0;
}

/* xoshiro256**, by David Blackman and Sebastiano Vigna (public domain). */
uint64_t dk_chance(void *self)
{
	uint64_t *s = plugin_of(self)->k->chance;
	uint64_t r = s[1] * 5, t = s[1] << 17;

	r = (r << 7 | r >> 57) * 9;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = s[3] << 45 | s[3] >> 19;
	return r;
}

/* ---- jobs ---- */

static void job_done(struct dk_kernel *k, void *p)
{
	struct job *job = p;

	(void)k; /* gone, perhaps, when the job is nobody's */
	if (job->held.owner) {
		held_out(&job->held);
		KERNEL_CALL(job->held.owner, job->done(job->held.owner->self, job->arg));
	} else if (job->drop) {
		job->drop(job->arg);
	}
	free(job);
}

int dk_job(void *self, void (*work)(void *arg), void (*done)(void *self, void *arg), void (*drop)(void *arg), void *arg)
{
	struct dk_plugin *p = plugin_of(self);
	struct job *job = malloc(sizeof(*job));
	int rc;

	if (!job)
		return -ENOMEM;
	*job = (struct job){ .done = done, .drop = drop, .arg = arg };
	held_in(&job->held, p, HELD_JOB);
	rc = p->k->env->ops->job(p->k->node, work, arg, job_done, job);
	if (rc < 0) {
		held_out(&job->held);
		free(job);
	}
	return rc;
}

/* ---- worlds ---- */

int dk_addr_of_nic(void *self, const char *nic, struct dk_addr *ret_addr)
{
	struct dk_kernel *k = plugin_of(self)->k;

	return k->env->ops->addr_of_nic(k->node, nic, ret_addr);
}

int dk_env_run(struct dk_env *env, bool (*done)(void *arg), void *arg)
{
	return env->ops->run(env, done, arg);
}

void dk_env_free(struct dk_env *env)
{
	if (env)
		env->ops->free(env);
}

const struct env_seam *dk_env_seam(void)
{
	static const struct env_seam seam = {
		.turn_begin = kernel_turn_begin,
		.turn_end = kernel_turn_end,
		.timers = io_timers,
		.udp_received = io_udp_received,
		.udp_oversize = io_udp_oversize,
		.udp_writable = io_udp_writable,
		.accept = io_accept,
		.stream_opened = io_stream_opened,
		.stream_data = io_stream_data,
		.stream_writable = io_stream_writable,
		.stream_ended = io_stream_ended,
	};

	return &seam;
}
