/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From start to exit, with three plugins (top needs mid, mid needs low) and an embedding program that write down what is called:
 * the order up and down, what a failure undoes, who is waited for and who is given up, and what the signals do.
 */
#include "node.h"

#include <diarkis/deprecated.h>

#include <errno.h>
#include <signal.h>

struct link {
	struct dk_service base;
	DK_SIGNAL(struct link) spoke;
};
#define LOW_NAME "low"
#define LOW_MAJOR 1
#define LOW_MINOR 0
#define LOW_TYPE struct link
#define MID_NAME "mid"
#define MID_MAJOR 1
#define MID_MINOR 0
#define MID_TYPE struct link

struct actor {
	struct dk_self base;
	struct link link, *need;
	struct dk_timer timer;
	struct dk_step *step; /* of the phase that does not answer at once */
};

/* What a test wants of the actors. */
static struct {
	const char *fails; /* "start mid" */
	const char *late; /* does not answer: "drain mid" */
	int error; /* what asynchronous phases answer with */
	const char *error_in;
	uint64_t busy; /* users of mid */
	bool names_cancel;
} plan;

static bool is(const char *what, const char *phase, const void *self)
{
	char text[64];

	snprintf(text, sizeof(text), "%s %s", phase, dk_instance(self));
	return what && strstr(what, text);
}

static int sync_phase(void *self, const char *phase)
{
	trace("%s.%s", phase, dk_instance(self));
	return is(plan.fails, phase, self) ? -EIO : 0;
}

static void cancelled(void *self)
{
	trace("cancelled.%s", dk_instance(self));
	ck_assert(dk_step_cancelled(((struct actor *)self)->step));
}

static void async_phase(void *self, struct dk_step *step, const char *phase)
{
	struct actor *a = self;

	trace("%s.%s", phase, dk_instance(self));
	ck_assert(!dk_step_cancelled(step));
	if (is(plan.late, phase, self)) {
		a->step = step;
		if (plan.names_cancel)
			dk_step_on_cancel(step, cancelled, self);
		return;
	}
	dk_step_done(step, is(plan.error_in, phase, self) ? plan.error : 0);
	dk_step_done(step, -EIO); /* twice is harmless: the first counts */
}

static void on_spoke(struct actor *a, const struct link *l)
{
	(void)l;
	trace("heard.%s", dk_instance(a));
}

static void on_timer(void *self, struct dk_timer *t)
{
	(void)t;
	trace("tick.%s", dk_instance(self));
}

static int actor_init(void *self)
{
	struct actor *a = self;

	if (a->need)
		ck_assert_int_eq(dk_connect(a, &a->need->spoke, on_spoke), 0);
	return sync_phase(self, "init");
}

static int actor_start(void *self)
{
	struct actor *a = self;

	dk_timer_start(self, &a->timer, 3600 * 1000, 0, on_timer); /* never stopped: the ledger does it */
	return sync_phase(self, "start");
}

static void actor_ready(void *self, struct dk_step *step)
{
	async_phase(self, step, "ready");
}

static void actor_started(void *self)
{
	sync_phase(self, "started");
}

static void actor_offline(void *self)
{
	sync_phase(self, "offline");
	ck_assert(dk_is_terminating(self));
	ck_assert_int_eq(dk_node_state(self), DK_OFFLINE);
}

static void actor_drain(void *self, struct dk_step *step)
{
	async_phase(self, step, "drain");
}

static uint64_t actor_busy(void *self, const char **ret_what)
{
	*ret_what = "users";
	return strcmp(dk_instance(self), "mid") == 0 ? plan.busy : 0;
}

static void actor_stop(void *self, struct dk_step *step)
{
	struct actor *a = self;

	dk_emit(&a->link.spoke, &a->link); /* whoever needs it has stopped, and is not told any more */
	async_phase(self, step, "stop");
}

static void actor_fini(void *self)
{
	ck_assert(!dk_timer_armed(&((struct actor *)self)->timer));
	sync_phase(self, "fini");
}

static const struct dk_ops ops = { .init = actor_init,
				   .start = actor_start,
				   .ready = actor_ready,
				   .started = actor_started,
				   .offline = actor_offline,
				   .drain = actor_drain,
				   .busy = actor_busy,
				   .stop = actor_stop,
				   .fini = actor_fini };
static const struct dk_provide low_provides[] = { DK_PROVIDE(struct actor, link, LOW), { .name = NULL } };
static const struct dk_provide mid_provides[] = { DK_PROVIDE(struct actor, link, MID), { .name = NULL } };
static const struct dk_need mid_needs[] = { DK_NEED(struct actor, need, LOW), { .name = NULL } };
static const struct dk_need top_needs[] = { DK_NEED(struct actor, need, MID), { .name = NULL } };
static const struct dk_plugin_desc low = { DK_PLUGIN_HEAD("low", "1.0.0", ""), .self_size = sizeof(struct actor),
					   .provides = low_provides, .ops = &ops };
static const struct dk_plugin_desc mid = { DK_PLUGIN_HEAD("mid", "1.0.0", ""), .self_size = sizeof(struct actor),
					   .provides = mid_provides, .needs = mid_needs, .ops = &ops };
static const struct dk_plugin_desc top = { DK_PLUGIN_HEAD("top", "1.0.0", ""), .self_size = sizeof(struct actor),
					   .needs = top_needs, .ops = &ops };
static const struct dk_plugin_desc *const actors[] = { &top, &low, &mid, NULL };
static const char config[] = "plugins = { mid = {}; top = {}; low = {}; };";

/* ---- the embedding program ---- */

static struct node n;
static struct dk_step *app_step; /* the last one that an app callback left open */
static const char *app_late; /* "drain app": leaves it open */

static struct actor *actor(const char *name)
{
	return dk_plugin_state(n.k, name);
}

static void app_plain(void *arg)
{
	trace("%s", (const char *)arg);
	if (strcmp(arg, "OnStarted1") == 0 || strcmp(arg, "OnStarted2") == 0)
		ck_assert(!dk_is_started(n.k)); /* only after the last of them */
	ck_assert(dk_is_running(n.k));
}

static void app_async(void *arg, struct dk_step *step)
{
	app_plain(arg);
	if (app_late && strcmp(app_late, arg) == 0)
		app_step = step;
	else
		dk_step_done(step, 0);
}

static void app_hang_up(void)
{
	static char start1[] = "OnStart1", start2[] = "OnStart2", ready1[] = "OnReady1", ready2[] = "OnReady2";
	static char started1[] = "OnStarted1", started2[] = "OnStarted2", stop1[] = "OnStop1", stop2[] = "OnStop2";
	static char terminate1[] = "OnTerminate1", terminate2[] = "OnTerminate2", hup1[] = "OnSIGHUP1", hup2[] = "OnSIGHUP2";

	ck_assert_int_eq(dk_on_start(n.k, app_plain, start1), 0);
	ck_assert_int_eq(dk_on_start(n.k, app_plain, start2), 0);
	ck_assert_int_eq(dk_on_ready(n.k, app_async, ready1), 0);
	ck_assert_int_eq(dk_on_ready(n.k, app_async, ready2), 0);
	ck_assert_int_eq(dk_on_started(n.k, app_plain, started1), 0);
	ck_assert_int_eq(dk_on_started(n.k, app_plain, started2), 0);
	ck_assert_int_eq(dk_on_stop(n.k, app_async, stop1), 0);
	ck_assert_int_eq(dk_on_stop(n.k, app_async, stop2), 0);
	ck_assert_int_eq(dk_on_terminate(n.k, app_async, terminate1), 0);
	ck_assert_int_eq(dk_on_terminate(n.k, app_async, terminate2), 0);
	ck_assert_int_eq(dk_on_sighup(n.k, app_plain, hup1), 0);
	ck_assert_int_eq(dk_on_sighup(n.k, app_plain, hup2), 0);
}

#define UP_START "init.low init.mid init.top start.low start.mid start.top OnStart1 OnStart2"
#define UP_READY " ready.low ready.mid ready.top OnReady1 OnReady2"
#define UP_REST " started.low started.mid started.top OnStarted1 OnStarted2"
#define DOWN_DRAIN "offline.low offline.mid offline.top drain.low drain.mid drain.top OnStop1 OnStop2"
#define DOWN_STOP "OnTerminate1 OnTerminate2 stop.top stop.mid stop.low fini.top fini.mid fini.low"

static void boot(void)
{
	node_init(&n, config, actors);
	ck_assert_msg(node_boot(&n) == 0, "%s", n.log);
	app_hang_up();
}

static void serve(void)
{
	boot();
	ck_assert(!dk_is_running(n.k));
	ck_assert_int_eq(dk_begin(n.k), 0);
	ck_assert_int_eq(node_run(&n, 1), -1);
	ck_assert(dk_is_started(n.k));
	traced(UP_START UP_READY UP_REST);
}

START_TEST(up_and_down)
{
	serve();
	ck_assert(!dk_is_stopping(n.k));
	ck_assert(!dk_is_terminating(dk_app(n.k)));
	ck_assert_int_eq(dk_node_state(dk_app(n.k)), DK_ONLINE);
	node_run(&n, 60000);
	traced("");
	dk_stop(n.k);
	ck_assert(dk_is_stopping(n.k));
	ck_assert_int_eq(node_run(&n, 100), 0);
	traced(DOWN_DRAIN " " DOWN_STOP);
	ck_assert(!dk_is_running(n.k));
	node_assert_said(&n, "leftovers: none");
	ck_assert_int_eq(dk_begin(n.k), DK_EXIT_RUNTIME); /* a node lives once */
	node_fini(&n);
}
END_TEST

static void never(void *self, uint64_t arg)
{
	(void)self;
	(void)arg;
	trace("never");
}

/* A node that was made and never begun; what its program deferred does not run. */
START_TEST(never_begun)
{
	boot();
	dk_defer(dk_app(n.k), never, 0);
	node_fini(&n);
	traced("");
}
END_TEST

START_TEST(init_fails)
{
	plan.fails = "init mid";
	boot();
	ck_assert_int_eq(dk_begin(n.k), 0);
	ck_assert_int_eq(node_run(&n, 10), 1);
	traced("init.low init.mid fini.low");
	node_assert_said(&n, "init of mid failed: Input/output error; the node does not start");
	node_assert_said(&n, "leftovers: none");
	node_fini(&n);
}
END_TEST

START_TEST(start_fails)
{
	plan.fails = "start mid";
	boot();
	ck_assert_int_eq(dk_begin(n.k), 0);
	ck_assert_int_eq(node_run(&n, 10), 1);
	/* top has connected a handler in its init and was not started: that is taken back like the rest. */
	traced("init.low init.mid init.top start.low start.mid stop.low fini.top fini.mid fini.low");
	node_assert_said(&n, "start of mid failed: Input/output error");
	node_assert_said(&n, "leftovers: none");
	node_fini(&n);
}
END_TEST

START_TEST(ready_fails)
{
	plan.error = -ECONNREFUSED;
	plan.error_in = "ready mid";
	boot();
	ck_assert_int_eq(dk_begin(n.k), 0);
	ck_assert_int_eq(node_run(&n, 10), 1);
	traced(UP_START " ready.low ready.mid " DOWN_STOP);
	node_assert_said(&n, "ready of mid failed: Connection refused");
	ck_assert(!dk_is_started(n.k));
	node_fini(&n);
}
END_TEST

START_TEST(ready_one_after_another)
{
	plan.late = "ready mid";
	boot();
	ck_assert_int_eq(dk_begin(n.k), 0);
	node_run(&n, 5000);
	traced(UP_START " ready.low ready.mid");
	ck_assert(!dk_is_started(n.k));
	dk_step_done(actor("mid")->step, 0);
	node_run(&n, 1);
	traced("ready.top OnReady1 OnReady2" UP_REST);
	node_stop(&n);
	node_fini(&n);
}
END_TEST

START_TEST(ready_never_and_stop)
{
	plan.late = "ready mid";
	plan.names_cancel = true;
	boot();
	ck_assert_int_eq(dk_begin(n.k), 0);
	node_run(&n, 5000);
	traced(UP_START " ready.low ready.mid");
	dk_stop(n.k);
	ck_assert_int_eq(node_run(&n, 1), 0); /* at once: nobody waits for what will not come */
	traced("cancelled.mid " DOWN_STOP);
	node_assert_said(&n, "mid did not finish its ready before the node was told to stop");
	dk_step_done(actor("mid")->step, 0); /* late is harmless */
	node_run(&n, 1);
	traced("");
	node_fini(&n);
}
END_TEST

START_TEST(stop_before_begin)
{
	boot();
	dk_stop(n.k);
	ck_assert_int_eq(dk_begin(n.k), 0);
	ck_assert_int_eq(node_run(&n, 10), 0);
	ck_assert(!dk_is_started(n.k));
	node_fini(&n);
}
END_TEST

START_TEST(all_drain_at_once_and_users_leave)
{
	plan.late = "drain mid";
	plan.busy = 3;
	serve();
	dk_stop(n.k);
	node_run(&n, 2000);
	traced(DOWN_DRAIN);
	dk_step_done(actor("mid")->step, 0);
	node_run(&n, 2000);
	traced(""); /* still users */
	plan.busy = 0;
	ck_assert_int_eq(node_run(&n, 30), 0);
	traced(DOWN_STOP);
	node_fini(&n);
}
END_TEST

START_TEST(users_that_stay)
{
	plan.busy = 3;
	serve();
	dk_stop(n.k);
	ck_assert_int_eq(node_run(&n, 9900), -1);
	traced(DOWN_DRAIN);
	ck_assert_int_eq(node_run(&n, 200), 0);
	traced(DOWN_STOP);
	node_assert_said(&n, "the shutdown deadline passed with 3 users still there");
	node_fini(&n);
}
END_TEST

START_TEST(drain_that_never_ends)
{
	plan.late = "drain mid";
	plan.names_cancel = true;
	app_late = "OnStop2";
	serve();
	dk_stop(n.k);
	ck_assert_int_eq(node_run(&n, 9900), -1);
	traced(DOWN_DRAIN);
	ck_assert_int_eq(node_run(&n, 200), 0);
	traced("cancelled.mid " DOWN_STOP);
	node_assert_said(&n, "mid did not finish its drain before the shutdown deadline");
	node_assert_said(&n, "app did not finish its OnStop before the shutdown deadline");
	ck_assert(dk_step_cancelled(app_step));
	dk_step_done(app_step, -EIO); /* too late to count */
	node_fini(&n);
}
END_TEST

START_TEST(stop_that_never_ends)
{
	plan.late = "stop mid";
	serve();
	dk_stop(n.k);
	ck_assert_int_eq(node_run(&n, 9900), -1);
	traced(DOWN_DRAIN " OnTerminate1 OnTerminate2 stop.top stop.mid");
	ck_assert_int_eq(node_run(&n, 200), 0);
	traced("stop.low fini.top fini.mid fini.low");
	node_assert_said(&n, "mid did not finish its stop before the shutdown deadline");
	node_fini(&n);
}
END_TEST

START_TEST(after_the_deadline_all_are_named)
{
	plan.late = "drain mid stop mid stop low";
	app_late = "OnTerminate1";
	serve();
	dk_stop(n.k);
	ck_assert_int_eq(node_run(&n, 10100), 0);
	traced(DOWN_DRAIN " " DOWN_STOP);
	node_assert_said(&n, "mid did not finish its drain before the shutdown deadline");
	node_assert_said(&n, "app did not finish its OnTerminate before the shutdown deadline");
	node_assert_said(&n, "mid did not finish its stop before the shutdown deadline");
	node_assert_said(&n, "low did not finish its stop before the shutdown deadline");
	node_assert_silent(&n, "top did not finish");
	node_fini(&n);
}
END_TEST

START_TEST(errors_on_the_way_down)
{
	plan.error = -EPIPE;
	plan.error_in = "drain low stop top";
	serve();
	dk_stop(n.k);
	ck_assert_int_eq(node_run(&n, 100), 1);
	traced(DOWN_DRAIN " " DOWN_STOP); /* and yet all of it */
	node_assert_said(&n, "drain of low failed: Broken pipe");
	node_assert_said(&n, "stop of top failed: Broken pipe");
	node_fini(&n);
}
END_TEST

static void answer_late(void *arg)
{
	(void)arg;
	trace("answer");
	dk_step_done(app_step, 0);
}

START_TEST(run_waits_for_its_tasks)
{
	app_late = "OnReady1";
	boot();
	dk_sim_after(n.env, 1000, answer_late, NULL);
	ck_assert_int_eq(dk_run(n.k), 0);
	traced(UP_START " ready.low ready.mid ready.top OnReady1 answer OnReady2" UP_REST " " DOWN_DRAIN " " DOWN_STOP);
	ck_assert_uint_ge(dk_sim_now(n.env), 1000);
	node_fini(&n);
}
END_TEST

static void done(void *arg)
{
	app_plain(arg);
}

START_TEST(stop_with_callback)
{
	static char word[] = "done";

	serve();
	dk_stop_with_callback(n.k, done, word);
	ck_assert_int_eq(node_run(&n, 100), 0);
	traced(DOWN_DRAIN " OnTerminate1 OnTerminate2 stop.top stop.mid stop.low done fini.top fini.mid fini.low");
	node_fini(&n);
}
END_TEST

START_TEST(stop_with_error)
{
	serve();
	dk_stop_with_error(n.k, "the database is %s", "gone");
	ck_assert_int_eq(node_run(&n, 100), 1);
	traced(DOWN_DRAIN " " DOWN_STOP);
	node_assert_said(&n, "stopping with an error: the database is gone");
	node_fini(&n);
}
END_TEST

START_TEST(too_late_to_register)
{
	static char word[] = "late";

	serve();
	ck_assert_int_eq(dk_on_start(n.k, app_plain, word), -EBUSY);
	ck_assert_int_eq(dk_on_ready(n.k, app_async, word), -EBUSY);
	ck_assert_int_eq(dk_on_started(n.k, app_plain, word), -EBUSY);
	ck_assert_int_eq(dk_on_stop(n.k, app_async, word), 0);
	plan.late = "drain mid";
	dk_stop(n.k);
	node_run(&n, 1);
	ck_assert_int_eq(dk_on_stop(n.k, app_async, word), -EBUSY);
	ck_assert_int_eq(dk_on_terminate(n.k, app_async, word), 0);
	dk_step_done(actor("mid")->step, 0);
	ck_assert_int_eq(node_run(&n, 100), 0);
	traced(DOWN_DRAIN " late OnTerminate1 OnTerminate2 late stop.top stop.mid stop.low fini.top fini.mid fini.low");
	ck_assert_int_eq(dk_on_terminate(n.k, app_async, word), -EBUSY);
	node_fini(&n);
}
END_TEST

/* ---- signals ---- */

START_TEST(term_waits_for_users)
{
	plan.busy = 1;
	serve();
	dk_signal_arrived(n.k, SIGTERM);
	ck_assert_int_eq(node_run(&n, 9900), -1);
	ck_assert_int_eq(node_run(&n, 200), 0);
	node_fini(&n);
}
END_TEST

START_TEST(int_waits_a_second)
{
	plan.busy = 1;
	serve();
	dk_signal_arrived(n.k, SIGINT);
	ck_assert_int_eq(node_run(&n, 900), -1);
	ck_assert_int_eq(node_run(&n, 200), 0);
	traced(DOWN_DRAIN " " DOWN_STOP);
	node_fini(&n);
}
END_TEST

START_TEST(second_signal_is_immediate)
{
	plan.busy = 1;
	plan.late = "drain mid stop mid";
	serve();
	dk_signal_arrived(n.k, SIGTERM);
	ck_assert_int_eq(node_run(&n, 3000), -1);
	dk_signal_arrived(n.k, SIGTERM);
	ck_assert_int_eq(node_run(&n, 1), 0);
	traced(DOWN_DRAIN " " DOWN_STOP);
	node_assert_said(&n, "a second signal to stop: going down at once");
	node_fini(&n);
}
END_TEST

START_TEST(signals_after_a_stop_by_code)
{
	plan.busy = 1;
	serve();
	dk_stop(n.k);
	ck_assert_int_eq(node_run(&n, 3000), -1);
	dk_signal_arrived(n.k, SIGTERM); /* the first signal; its deadline is later than the one that runs, so that one stays */
	ck_assert_int_eq(node_run(&n, 6900), -1);
	ck_assert_int_eq(node_run(&n, 200), 0);
	node_fini(&n);
}
END_TEST

START_TEST(hangup_calls_back)
{
	serve();
	dk_signal_arrived(n.k, SIGHUP);
	node_run(&n, 10);
	traced("OnSIGHUP1 OnSIGHUP2");
	node_assert_said(&n, "configuration reloaded");
	plan.busy = 1;
	dk_stop(n.k);
	node_run(&n, 10);
	traced(DOWN_DRAIN);
	dk_signal_arrived(n.k, SIGHUP); /* not any more */
	node_run(&n, 10);
	traced("");
	plan.busy = 0;
	ck_assert_int_eq(node_run(&n, 100), 0);
	node_fini(&n);
}
END_TEST

START_TEST(hangup_stops_where_asked_to)
{
	static const char *const env[] = { "DIARKIS_STOP_PROCESS_ON_SIGHUP=TRUE", NULL };

	node_init(&n, config, actors);
	n.boot.env = env;
	node_serve(&n);
	plan.busy = 5; /* nobody waits for users */
	dk_signal_arrived(n.k, SIGHUP);
	ck_assert_int_eq(node_run(&n, 1), 0);
	node_fini(&n);
}
END_TEST

START_TEST(unknown_signals_are_nothing)
{
	serve();
	dk_signal_arrived(n.k, SIGWINCH);
	ck_assert_int_eq(node_run(&n, 100), -1);
	traced("");
	node_stop(&n);
	node_fini(&n);
}
END_TEST

/* ---- the time-out ---- */

START_TEST(timeout_from_the_environment)
{
	static const char *const env[] = { "DIARKIS_SHUTDOWN_TIMEOUT=3", NULL };

	node_init(&n, config, actors);
	n.boot.env = env;
	node_serve(&n);
	ck_assert_int_eq(dk_shutdown_timeout(n.k), 3);
	plan.busy = 1;
	dk_stop(n.k);
	ck_assert_int_eq(node_run(&n, 2900), -1);
	ck_assert_int_eq(node_run(&n, 200), 0);
	node_fini(&n);
}
END_TEST

/* The reference's four old names say what their successors say. */
START_TEST(deprecated_names)
{
	static const char *const env[] = { "DIARKIS_SHUTDOWN_TIMEOUT=7", NULL };

	node_init(&n, config, actors);
	n.boot.env = env;
	node_serve(&n);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	ck_assert_int_eq(dk_get_shutdown_timeout(n.k), 7);
	ck_assert_str_eq(dk_get_diarkis_path(n.k), dk_path(n.k));
	ck_assert_str_eq(dk_get_ver(), DK_VERSION);
	ck_assert_int_eq(dk_get_cpu_num_used(), sysconf(_SC_NPROCESSORS_ONLN));
#pragma GCC diagnostic pop
	dk_stop(n.k);
	ck_assert_int_eq(node_run(&n, 200), 0);
	node_fini(&n);
}
END_TEST

START_TEST(timeout_that_is_none)
{
	static const char *const wrong[] = { "abc", "0", "-1", "1.5", "", "10s", "99999999999999999999" };
	char var[64];
	const char *env[] = { var, NULL };

	for (size_t i = 0; i < DK_ARRAY_LEN(wrong); i++) {
		snprintf(var, sizeof(var), "DIARKIS_SHUTDOWN_TIMEOUT=%s", wrong[i]);
		node_init(&n, config, actors);
		n.boot.env = env;
		ck_assert_int_eq(node_boot(&n), DK_EXIT_CONFIG);
		node_assert_said(&n, "DIARKIS_SHUTDOWN_TIMEOUT");
		node_assert_said(&n, "must be a positive whole number of seconds");
		node_fini(&n);
	}
}
END_TEST

/* ---- turns ---- */

static void deferred(void *self, uint64_t arg)
{
	(void)self;
	trace("deferred%llu", (unsigned long long)arg);
	if (arg == 1)
		dk_defer(self, deferred, 3);
}

static void turn_end(void *self)
{
	trace("end.%s", dk_instance(self));
}

static void on_soon(void *self, struct dk_timer *t)
{
	trace("timer");
	dk_defer(self, deferred, 1);
	dk_defer(self, deferred, 2);
	dk_on_turn_end(self, turn_end);
	dk_on_turn_end(actor("low"), turn_end);
	ck_assert_int_eq(dk_on_turn_end(self, turn_end), DK_EXISTS);
	trace("left");
	(void)t;
}

START_TEST(a_turn)
{
	serve();
	dk_timer_start(actor("mid"), &actor("mid")->timer, 5, 0, on_soon);
	node_run(&n, 5);
	traced("timer left deferred1 deferred2 deferred3 end.mid end.low"); /* users before what they need */
	dk_stop(n.k);
	ck_assert_int_eq(node_run(&n, 100), 0);
	node_fini(&n);
}
END_TEST

UNIT_MAIN("life", up_and_down, never_begun, init_fails, start_fails, ready_fails, ready_one_after_another, ready_never_and_stop,
	  stop_before_begin, all_drain_at_once_and_users_leave, users_that_stay, drain_that_never_ends, stop_that_never_ends,
	  after_the_deadline_all_are_named, errors_on_the_way_down, run_waits_for_its_tasks, stop_with_callback, stop_with_error,
	  too_late_to_register, term_waits_for_users, int_waits_a_second, second_signal_is_immediate, signals_after_a_stop_by_code,
	  hangup_calls_back, hangup_stops_where_asked_to, unknown_signals_are_nothing, timeout_from_the_environment,
	  deprecated_names, timeout_that_is_none, a_turn)
