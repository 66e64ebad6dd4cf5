/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes inside a program, in real time: Start, Run, Stop and their kin return the exit code and never end the process; signals
 * reach the node; two nodes live in one process.
 */
#include <diarkis/diarkis.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char trace[1024];
static struct dk_env *env;
static struct dk_kernel *k;
static char said[65536];

static void put(const char *word)
{
	snprintf(trace + strlen(trace), sizeof(trace) - strlen(trace), "%s%s", *trace ? " " : "", word);
}

static void sink(void *arg, const char *line, size_t n)
{
	(void)arg;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%.*s\n", (int)n, line);
}

static int boot(const char *config, struct dk_kernel **ret_kernel)
{
	const char *tree = getenv("TEST_BUILDDIR");
	char dir[1024];
	const char *dirs[] = { dir, NULL };
	struct dk_boot b = { .size = sizeof(b),
			     .config_text = config,
			     .config_name = "test.conf",
			     .plugin_dirs = dirs,
			     .env = (const char *const[]){ NULL },
			     .log_sink = sink };

	snprintf(dir, sizeof(dir), "%s/plugins/.libs", tree ? tree : ".");
	return dk_kernel_new(env, &b, ret_kernel);
}

static void begin(const char *config)
{
	env = dk_env_uv();
	ck_assert_ptr_nonnull(env);
	ck_assert_msg(boot(config, &k) == 0, "%s", said);
}

static void end(void)
{
	dk_kernel_free(k);
	dk_env_free(env);
}

static void plain(void *arg)
{
	put(arg);
}

static void async(void *arg, struct dk_step *step)
{
	put(arg);
	dk_step_done(step, 0);
}

static void stop_it(void *arg)
{
	put(arg);
	dk_stop(k);
}

static void raise_term(void *arg)
{
	put(arg);
	kill(getpid(), SIGTERM);
}

static void raise_hup(void *arg)
{
	put(arg);
	kill(getpid(), SIGHUP);
}

static void fail_it(void *arg)
{
	put(arg);
	dk_stop_with_error(k, "no more of %s", "this");
}

static void stop_and_tell(void *arg)
{
	static char word[] = "told";

	put(arg);
	dk_stop_with_callback(k, plain, word);
}

/* Words for callbacks, whose argument is not const. */
static char started[] = "started", ready[] = "ready", stopping[] = "stopping", terminated[] = "terminated", first[] = "first",
	    hup[] = "hup";

static const char server[] = "plugins = { http = { port = 0; }; endpoint = {}; udp = { address = \"127.0.0.1\"; port = 0; };"
			     " user = {}; room = {}; };";

START_TEST(run)
{
	begin(server);
	dk_on_start(k, plain, first);
	dk_on_ready(k, async, ready);
	dk_on_started(k, plain, started);
	dk_on_stop(k, async, stopping);
	dk_on_terminate(k, async, terminated);
	ck_assert_int_eq(dk_run(k), 0);
	ck_assert_str_eq(trace, "first ready started stopping terminated");
	ck_assert_ptr_nonnull(strstr(said, "leftovers: none"));
	end();
}
END_TEST

START_TEST(stop)
{
	begin(server);
	dk_on_started(k, stop_it, started);
	dk_on_terminate(k, async, terminated);
	ck_assert_int_eq(dk_start(k), 0);
	ck_assert_str_eq(trace, "started terminated");
	ck_assert(!dk_is_running(k));
	end();
}
END_TEST

START_TEST(stop_with_callback)
{
	begin(server);
	dk_on_started(k, stop_and_tell, started);
	dk_on_terminate(k, async, terminated);
	ck_assert_int_eq(dk_start(k), 0);
	ck_assert_str_eq(trace, "started terminated told");
	end();
}
END_TEST

START_TEST(stop_with_error)
{
	begin(server);
	dk_on_started(k, fail_it, started);
	dk_on_terminate(k, async, terminated);
	ck_assert_int_eq(dk_start(k), 1);
	ck_assert_str_eq(trace, "started terminated");
	ck_assert_ptr_nonnull(strstr(said, "stopping with an error: no more of this"));
	end();
}
END_TEST

START_TEST(signals)
{
	begin(server);
	dk_on_started(k, raise_hup, started);
	dk_on_sighup(k, raise_term, hup);
	dk_on_stop(k, async, stopping);
	ck_assert_int_eq(dk_start(k), 0);
	ck_assert_str_eq(trace, "started hup stopping");
	ck_assert_ptr_nonnull(strstr(said, "SIGTERM arrived"));
	end();
}
END_TEST

/* Both are there at once, on one loop; each stops for itself. */
static struct dk_kernel *other;

static bool both_over(void *arg)
{
	(void)arg;
	return dk_finished(k, NULL) && dk_finished(other, NULL);
}

/* Of two nodes on one loop either may be the first to serve. */
static void stop_when_both_are_up(void *arg)
{
	put(arg);
	if (!strstr(trace, "first") || !strstr(trace, "second"))
		return;
	ck_assert(dk_is_running(other));
	dk_stop(other);
	dk_stop(k);
}

START_TEST(two_nodes)
{
	static char second[] = "second";

	begin(server);
	ck_assert_int_eq(boot(server, &other), 0);
	dk_on_started(k, stop_when_both_are_up, first);
	dk_on_started(other, stop_when_both_are_up, second);
	ck_assert_int_eq(dk_begin(k), 0);
	ck_assert_int_eq(dk_begin(other), 0);
	ck_assert_int_eq(dk_env_run(env, both_over, NULL), 0);
	ck_assert_ptr_nonnull(strstr(trace, "first"));
	ck_assert_ptr_nonnull(strstr(trace, "second"));
	dk_kernel_free(other);
	end();
}
END_TEST

UNIT_MAIN("embed", run, stop, stop_with_callback, stop_with_error, signals, two_nodes)
