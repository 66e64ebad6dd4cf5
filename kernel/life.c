/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From start to exit. One state (k->life) and one list of steps under way; life_pump(), called at the end of every turn, makes
 * whatever move has become possible. Asynchronous phases hand out a step; when the shutdown deadline passes, every open step is
 * cancelled, named in one line and skipped.
 *
 * The embedding program's callbacks belong to the plugin `app`, which stands last in the order of needs: its OnStart runs after
 * every plugin's start, its OnTerminate before any plugin's stop.
 */
#include "kernel.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUSY_POLL_MS 20
#define INT_DRAIN_MS 1000

static const char deadline[] = "the shutdown deadline";

struct dk_step {
	struct dk_step *next;
	struct dk_kernel *k;
	const char *who, *phase;
	void (*on_cancel)(void *arg);
	void *cancel_arg;
	bool done, cancelled;
	int err;
};

struct callback {
	void (*plain)(void *arg);
	void (*async)(void *arg, struct dk_step *step);
	void *arg;
};

struct callbacks {
	struct callback *at;
	size_t n;
};

struct life_state {
	struct callbacks start, ready, started, stop, terminate, hup;
	struct dk_step *steps; /* every one ever handed out; freed with the kernel, so a late answer is harmless */
	struct dk_step *spare; /* one for each callback and each phase of a plugin that may still ask for it */
	struct dk_step *current; /* of the phases that go one by one */
	size_t cursor, sub; /* plugin, and callback of app, that comes next */
	struct dk_timer tick;
	uint64_t deadline_ms;
	bool stop_asked, signalled, no_wait, run_once, over_deadline, pumping, began;
	int exit_code;
	void (*done)(void *arg);
	void *done_arg;
	char waiting_for[96];
};

int life_init(struct dk_kernel *k)
{
	k->lives = calloc(1, sizeof(*k->lives));
	return k->lives ? 0 : -ENOMEM;
}

static void steps_free(struct dk_step *s)
{
	for (struct dk_step *next; s; s = next) {
		next = s->next;
		free(s);
	}
}

void life_fini(struct dk_kernel *k)
{
	struct life_state *l = k->lives;
	struct callbacks *all[] = { &l->start, &l->ready, &l->started, &l->stop, &l->terminate, &l->hup };

	if (!l)
		return;
	steps_free(l->steps);
	steps_free(l->spare);
	for (size_t i = 0; i < DK_ARRAY_LEN(all); i++)
		free(all[i]->at);
	free(l);
	k->lives = NULL;
}

/* ---- steps ---- */

/* Steps are made ahead, so that no phase can fail for want of memory. */
static int steps_reserve(struct dk_kernel *k, size_t n)
{
	while (n--) {
		struct dk_step *s = calloc(1, sizeof(*s));

		if (!s)
			return -ENOMEM;
		s->next = k->lives->spare;
		k->lives->spare = s;
	}
	return 0;
}

static struct dk_step *step_new(struct dk_kernel *k, const char *who, const char *phase)
{
	struct dk_step *s = k->lives->spare;

	k->lives->spare = s->next;
	*s = (struct dk_step){ .next = k->lives->steps, .k = k, .who = who, .phase = phase };
	k->lives->steps = s;
	return s;
}

void dk_step_done(struct dk_step *step, int err)
{
	if (step->done)
		return;
	step->done = true;
	step->err = err;
	if (!step->cancelled)
		step->k->env->ops->wake(step->k->node);
}

bool dk_step_cancelled(const struct dk_step *step)
{
	return step->cancelled;
}

void dk_step_on_cancel(struct dk_step *step, void (*fn)(void *arg), void *arg)
{
	step->on_cancel = fn;
	step->cancel_arg = arg;
}

static bool open_step(const struct dk_step *s)
{
	return !s->done && !s->cancelled;
}

/* Gives up on what is still open. before: what it should have been done before. */
static void cancel_steps(struct dk_kernel *k, const char *before)
{
	for (struct dk_step *s = k->lives->steps; s; s = s->next)
		if (open_step(s)) {
			log_kernel(k, DK_WARN, "%s did not finish its %s before %s; going on without it", s->who, s->phase, before);
			s->cancelled = true;
			if (s->on_cancel)
				s->on_cancel(s->cancel_arg);
		}
}

/* Counts a finished step's error once; true while some step of a phase that runs at once is open. */
static bool collect_steps(struct dk_kernel *k)
{
	bool open = false;

	for (struct dk_step *s = k->lives->steps; s; s = s->next) {
		open |= open_step(s);
		if (s->done && s->err < 0 && !s->cancelled) {
			log_kernel(k, DK_ERROR, "%s of %s failed: %s", s->phase, s->who, dk_err_text(s->err));
			k->lives->exit_code = DK_EXIT_RUNTIME;
			s->err = 0;
		}
	}
	return open;
}

/* ---- calling plugins ---- */

static const struct dk_ops *ops_of(const struct dk_plugin *p)
{
	static const struct dk_ops nothing = { 0 };

	return p->desc.ops ? p->desc.ops : &nothing;
}

static void call_async(struct dk_plugin *p, void (*fn)(void *self, struct dk_step *step), const char *phase)
{
	struct dk_plugin *before;
	struct dk_step *s;

	if (!fn)
		return;
	s = step_new(p->k, p->instance, phase);
	p->k->lives->current = s;
	before = kernel_enter(p);
	fn(p->self, s);
	kernel_leave(p, before);
}

static void call_app(struct dk_kernel *k, const struct callback *c, const char *phase)
{
	struct dk_plugin *before;
	struct dk_step *s = c->async ? step_new(k, "app", phase) : NULL;

	k->lives->current = s ? s : k->lives->current;
	before = kernel_enter(k->app);
	if (s)
		c->async(c->arg, s);
	else
		c->plain(c->arg);
	kernel_leave(k->app, before);
}

/* ---- down ---- */

static void plugin_release(struct dk_plugin *p)
{
	p->turn_end = NULL;
	io_revoke(p);
	ledger_revoke(p);
}

static void go_over(struct dk_kernel *k)
{
	struct life_state *l = k->lives;
	size_t leftovers = 0;

	dk_timer_stop(&l->tick);
	if (l->done) {
		void (*done)(void *) = l->done;

		l->done = NULL;
		done(l->done_arg);
	}
	for (size_t i = k->plugin_n; i-- > 0;) {
		struct dk_plugin *p = k->plugins[i];

		if (p == k->app) {
			plugin_release(p);
			continue;
		}
		if (p->phase >= PHASE_INIT && ops_of(p)->fini) {
			struct dk_plugin *before = kernel_enter(p);

			ops_of(p)->fini(p->self);
			kernel_leave(p, before);
		}
		p->phase = PHASE_NONE;
		leftovers += ledger_leftovers(p);
	}
	k->leftovers = leftovers;
	if (leftovers) {
		log_kernel(k, DK_ERROR, "leftovers: %zu, named above", leftovers);
		if (!l->exit_code)
			l->exit_code = DK_EXIT_RUNTIME;
	} else {
		log_kernel(k, DK_INFO, "leftovers: none");
	}
	k->life = LIFE_OVER;
}

/* Starts the next stop phase; false when all are through. app's callbacks come first, since it stands last in the order. */
static bool next_stop(struct dk_kernel *k)
{
	struct life_state *l = k->lives;

	if (l->over_deadline)
		cancel_steps(k, deadline);
	l->current = NULL;
	if (l->sub < l->terminate.n) {
		call_app(k, &l->terminate.at[l->sub++], "OnTerminate");
		return true;
	}
	while (l->cursor > 0) {
		struct dk_plugin *p = k->plugins[l->cursor - 1];

		if (p == k->app) {
			l->cursor--;
			continue;
		}
		if (p->phase >= PHASE_START) {
			call_async(p, ops_of(p)->stop, "stop");
			p->phase = PHASE_INIT;
		}
		if (l->over_deadline)
			cancel_steps(k, deadline);
		else if (l->current)
			return true;
		plugin_release(p);
		l->cursor--;
		l->current = NULL;
	}
	return false;
}

static void go_stopping(struct dk_kernel *k)
{
	struct life_state *l = k->lives;

	k->life = LIFE_STOPPING;
	l->cursor = k->plugin_n;
	l->sub = k->app->phase >= PHASE_START ? 0 : l->terminate.n;
	l->current = NULL;
	if (!next_stop(k))
		go_over(k);
}

static void each_op(struct dk_kernel *k, void (*(*op)(const struct dk_ops *))(void *self))
{
	for (size_t i = 0; i < k->plugin_n; i++) {
		void (*fn)(void *self) = op(ops_of(k->plugins[i]));

		if (fn) {
			struct dk_plugin *before = kernel_enter(k->plugins[i]);

			fn(k->plugins[i]->self);
			kernel_leave(k->plugins[i], before);
		}
	}
}

static void (*op_offline(const struct dk_ops *o))(void *self)
{
	return o->offline;
}

static void (*op_started(const struct dk_ops *o))(void *self)
{
	return o->started;
}

/* Drives the deadline and the wait for users; only armed while the node goes down. */
static void tick(void *self, struct dk_timer *t)
{
	(void)t;
	life_pump(plugin_of(self)->k);
}

static void set_deadline(struct dk_kernel *k, uint64_t in_ms)
{
	struct life_state *l = k->lives;
	uint64_t at = k->clock.ms + in_ms;

	if (!l->deadline_ms || at < l->deadline_ms)
		l->deadline_ms = at;
	if (!dk_timer_armed(&l->tick))
		dk_timer_start(k->app->self, &l->tick, BUSY_POLL_MS, BUSY_POLL_MS, tick);
	k->env->ops->wake(k->node);
}

static void go_draining(struct dk_kernel *k)
{
	struct life_state *l = k->lives;

	log_kernel(k, DK_INFO, "stopping: OFFLINE, nothing new is taken in; at most %lld ms",
		   (long long)(l->deadline_ms - k->clock.ms));
	k->life = LIFE_DRAINING;
	each_op(k, op_offline);
	for (size_t i = 0; i < k->plugin_n; i++)
		call_async(k->plugins[i], ops_of(k->plugins[i])->drain, "drain");
	for (size_t i = 0; i < l->stop.n; i++)
		call_app(k, &l->stop.at[i], "OnStop");
	l->current = NULL;
}

static void stop_with(struct dk_kernel *k, int exit_code, uint64_t in_ms, bool no_wait)
{
	struct life_state *l = k->lives;

	if (exit_code)
		l->exit_code = exit_code;
	l->stop_asked = true;
	l->no_wait |= no_wait;
	if (k->life > LIFE_NEW && k->life < LIFE_OVER)
		set_deadline(k, in_ms);
}

static void stop_for_normal(struct dk_kernel *k, int exit_code)
{
	stop_with(k, exit_code, (uint64_t)k->shutdown_timeout_s * 1000, false);
}

/* ---- up ---- */

static void abort_start(struct dk_kernel *k)
{
	k->lives->exit_code = DK_EXIT_RUNTIME;
	k->lives->no_wait = true;
	set_deadline(k, (uint64_t)k->shutdown_timeout_s * 1000);
	go_stopping(k);
}

static int phase_up(struct dk_plugin *p, int (*fn)(void *self), enum phase phase, const char *name)
{
	struct dk_plugin *before;
	int rc;

	if (fn) {
		before = kernel_enter(p);
		rc = fn(p->self);
		kernel_leave(p, before);
		if (rc) {
			log_kernel(p->k, DK_ERROR, "%s of %s failed: %s; the node does not start", name, p->instance,
				   dk_err_text(rc < 0 ? rc : -ECANCELED));
			plugin_release(p);
			return rc;
		}
	}
	p->phase = (uint8_t)phase;
	return 0;
}

static void print_ready(struct dk_kernel *k)
{
	char line[2048], text[DK_ADDR_TEXT];
	size_t n = (size_t)snprintf(line, sizeof(line), "ready");

	for (size_t i = 0; i < k->announced_n && n < sizeof(line); i++) {
		dk_addr_format(&k->announced[i].addr, text);
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %s=%s", k->announced[i].plugin->instance, text);
	}
	if (k->boot_flags & DK_BOOT_READY_LINE) {
		printf("%s\n", line);
		fflush(stdout);
	}
	log_kernel(k, DK_INFO, "%s", line);
}

static bool next_ready(struct dk_kernel *k)
{
	struct life_state *l = k->lives;

	l->current = NULL;
	while (l->cursor < k->plugin_n) {
		struct dk_plugin *p = k->plugins[l->cursor++];

		call_async(p, ops_of(p)->ready, "ready");
		if (l->current)
			return true;
	}
	if (l->sub < l->ready.n) {
		call_app(k, &l->ready.at[l->sub++], "OnReady");
		return true;
	}
	return false;
}

static void go_serving(struct dk_kernel *k)
{
	struct life_state *l = k->lives;

	k->life = LIFE_SERVING;
	l->current = NULL;
	each_op(k, op_started);
	for (size_t i = 0; i < l->started.n; i++)
		call_app(k, &l->started.at[i], "OnStarted");
	l->began = true;
	print_ready(k);
	if (l->run_once)
		stop_for_normal(k, 0);
}

int dk_begin(struct dk_kernel *k)
{
	struct life_state *l = k->lives;

	if (k->life != LIFE_NEW || steps_reserve(k, 3 * k->plugin_n) < 0) /* ready, drain, stop */
		return DK_EXIT_RUNTIME;
	kernel_turn_begin(k);
	k->life = LIFE_STARTING;
	for (size_t i = 0; i < k->plugin_n; i++)
		if (phase_up(k->plugins[i], ops_of(k->plugins[i])->init, PHASE_INIT, "init"))
			goto fail;
	for (size_t i = 0; i < k->plugin_n; i++)
		if (phase_up(k->plugins[i], ops_of(k->plugins[i])->start, PHASE_START, "start"))
			goto fail;
	for (size_t i = 0; i < l->start.n; i++)
		call_app(k, &l->start.at[i], "OnStart");
	k->life = LIFE_READYING;
	l->cursor = l->sub = 0;
	k->env->ops->wake(k->node);
	if (!next_ready(k))
		go_serving(k);
	return 0;
fail:
	abort_start(k);
	k->env->ops->wake(k->node);
	return 0;
}

/* ---- the pump ---- */

static uint64_t busy(struct dk_kernel *k)
{
	uint64_t all = 0;
	size_t at = 0;

	k->lives->waiting_for[0] = '\0';
	for (size_t i = 0; i < k->plugin_n; i++) {
		const struct dk_ops *o = ops_of(k->plugins[i]);
		const char *what = k->plugins[i]->instance;
		uint64_t n = o->busy ? o->busy(k->plugins[i]->self, &what) : 0;

		if (n && at < sizeof(k->lives->waiting_for))
			at += (size_t)snprintf(k->lives->waiting_for + at, sizeof(k->lives->waiting_for) - at, "%s%llu %s",
					       all ? ", " : "", (unsigned long long)n, what);
		all += n;
	}
	return all;
}

static void check_deadline(struct dk_kernel *k)
{
	struct life_state *l = k->lives;

	if (l->over_deadline || !l->deadline_ms || k->clock.ms < l->deadline_ms)
		return;
	l->over_deadline = true;
	if (k->life == LIFE_DRAINING && !l->no_wait && busy(k))
		log_kernel(k, DK_WARN, "the shutdown deadline passed with %s still there; going on without them", l->waiting_for);
	cancel_steps(k, deadline);
}

static bool pump_once(struct dk_kernel *k)
{
	struct life_state *l = k->lives;
	bool open = collect_steps(k);

	switch (k->life) {
	case LIFE_READYING:
		if (l->stop_asked || l->exit_code) {
			cancel_steps(k, "the node was told to stop");
			l->no_wait = true;
			if (!l->deadline_ms)
				set_deadline(k, (uint64_t)k->shutdown_timeout_s * 1000);
			go_stopping(k);
			return true;
		}
		if (open)
			return false;
		if (!next_ready(k))
			go_serving(k);
		return true;
	case LIFE_SERVING:
		if (!l->stop_asked)
			return false;
		if (!l->deadline_ms)
			set_deadline(k, (uint64_t)k->shutdown_timeout_s * 1000);
		go_draining(k);
		return true;
	case LIFE_DRAINING:
		if (!l->over_deadline && (open || (!l->no_wait && busy(k))))
			return false;
		go_stopping(k);
		return true;
	case LIFE_STOPPING:
		if (open && !l->over_deadline)
			return false;
		if (l->current && l->cursor > 0 && l->sub >= l->terminate.n && k->plugins[l->cursor - 1]->phase == PHASE_INIT) {
			plugin_release(k->plugins[l->cursor - 1]);
			l->cursor--;
		}
		if (!next_stop(k))
			go_over(k);
		return true;
	default:
		return false;
	}
}

void life_pump(struct dk_kernel *k)
{
	struct life_state *l = k->lives;

	if (l->pumping || k->life == LIFE_NEW || k->life == LIFE_OVER || k->life == LIFE_STARTING)
		return;
	l->pumping = true;
	do
		check_deadline(k);
	while (pump_once(k));
	l->pumping = false;
}

/* ---- the program's side ---- */

bool dk_finished(const struct dk_kernel *k, int *ret_exit_code)
{
	if (k->life != LIFE_OVER)
		return false;
	if (ret_exit_code)
		*ret_exit_code = k->lives->exit_code;
	return true;
}

static bool finished(void *arg)
{
	return dk_finished(arg, NULL);
}

static int start(struct dk_kernel *k, bool once)
{
	int code, rc;

	k->lives->run_once = once;
	code = dk_begin(k);
	if (code)
		return code;
	rc = k->env->ops->run(k->env, finished, k);
	if (rc < 0) {
		log_kernel(k, DK_ERROR, "the event loop failed: %s", dk_err_text(rc));
		return DK_EXIT_RUNTIME;
	}
	return dk_finished(k, &code) ? code : DK_EXIT_RUNTIME;
}

int dk_start(struct dk_kernel *k)
{
	return start(k, false);
}

int dk_run(struct dk_kernel *k)
{
	return start(k, true);
}

void dk_stop(struct dk_kernel *k)
{
	stop_for_normal(k, 0);
}

void dk_stop_with_callback(struct dk_kernel *k, void (*done)(void *arg), void *arg)
{
	k->lives->done = done;
	k->lives->done_arg = arg;
	stop_for_normal(k, 0);
}

void dk_stop_with_error(struct dk_kernel *k, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_kernel(k, DK_ERROR, "stopping with an error: %s", text);
	stop_for_normal(k, DK_EXIT_RUNTIME);
}

bool dk_is_running(const struct dk_kernel *k)
{
	return k->life > LIFE_NEW && k->life < LIFE_OVER;
}

bool dk_is_started(const struct dk_kernel *k)
{
	return k->lives->began;
}

bool dk_is_stopping(const struct dk_kernel *k)
{
	return k->lives->stop_asked || k->life >= LIFE_DRAINING;
}

void dk_node_stop(void *self)
{
	stop_for_normal(plugin_of(self)->k, 0);
}

bool dk_is_terminating(const void *self)
{
	return dk_is_stopping(plugin_of(self)->k);
}

/* ---- callbacks ---- */

static int add(struct dk_kernel *k, struct callbacks *list, enum life until, struct callback c)
{
	struct callback *at;

	if (k->life >= until)
		return -EBUSY;
	if (c.async && steps_reserve(k, 1) < 0)
		return -ENOMEM;
	at = realloc(list->at, (list->n + 1) * sizeof(*at));
	if (!at)
		return -ENOMEM;
	list->at = at;
	list->at[list->n++] = c;
	return 0;
}

int dk_on_start(struct dk_kernel *k, void (*task)(void *arg), void *arg)
{
	return add(k, &k->lives->start, LIFE_READYING, (struct callback){ .plain = task, .arg = arg });
}

int dk_on_ready(struct dk_kernel *k, void (*task)(void *arg, struct dk_step *next), void *arg)
{
	return add(k, &k->lives->ready, LIFE_SERVING, (struct callback){ .async = task, .arg = arg });
}

int dk_on_started(struct dk_kernel *k, void (*task)(void *arg), void *arg)
{
	return add(k, &k->lives->started, LIFE_SERVING, (struct callback){ .plain = task, .arg = arg });
}

int dk_on_stop(struct dk_kernel *k, void (*task)(void *arg, struct dk_step *done), void *arg)
{
	return add(k, &k->lives->stop, LIFE_DRAINING, (struct callback){ .async = task, .arg = arg });
}

int dk_on_terminate(struct dk_kernel *k, void (*task)(void *arg, struct dk_step *next), void *arg)
{
	return add(k, &k->lives->terminate, LIFE_STOPPING, (struct callback){ .async = task, .arg = arg });
}

int dk_on_sighup(struct dk_kernel *k, void (*task)(void *arg), void *arg)
{
	return add(k, &k->lives->hup, LIFE_STOPPING, (struct callback){ .plain = task, .arg = arg });
}

/* ---- signals ---- */

static void reloaded(struct dk_plugin *p, const void *old)
{
	struct dk_plugin *before;

	p->self->conf = p->conf;
	if (!ops_of(p)->reload)
		return;
	before = kernel_enter(p);
	ops_of(p)->reload(p->self, old);
	kernel_leave(p, before);
}

static void hangup(struct dk_kernel *k)
{
	const char *stop = kernel_getenv(k, "DIARKIS_STOP_PROCESS_ON_SIGHUP");

	if (stop && (!strcmp(stop, "TRUE") || !strcmp(stop, "true"))) {
		log_kernel(k, DK_INFO, "SIGHUP, and DIARKIS_STOP_PROCESS_ON_SIGHUP is set");
		stop_with(k, 0, (uint64_t)k->shutdown_timeout_s * 1000, true);
		return;
	}
	if (config_reload(k, reloaded) == 0) {
		log_configure(k);
		log_kernel(k, DK_NOTICE, "configuration reloaded");
	}
	for (size_t i = 0; i < k->lives->hup.n; i++)
		call_app(k, &k->lives->hup.at[i], "OnSIGHUP");
}

static void task(struct dk_kernel *k, int which)
{
	char *text = dk_task_read(k, which);

	dk_task_run(k, which, text);
	free(text);
}

void dk_signal_arrived(struct dk_kernel *k, int signum)
{
	switch (signum) {
	case SIGTERM:
	case SIGINT:
		if (k->lives->signalled) {
			log_kernel(k, DK_WARN, "a second signal to stop: going down at once");
			stop_with(k, 0, 0, true);
		} else {
			k->lives->signalled = true;
			log_kernel(k, DK_INFO, "%s arrived", signum == SIGTERM ? "SIGTERM" : "SIGINT");
			stop_with(k, 0, signum == SIGTERM ? (uint64_t)k->shutdown_timeout_s * 1000 : INT_DRAIN_MS, false);
		}
		break;
	case SIGHUP:
		if (k->life <= LIFE_SERVING)
			hangup(k);
		break;
	case SIGUSR1:
		task(k, 1);
		break;
	case SIGUSR2:
		task(k, 2);
		break;
	default:
		break;
	}
}
