/* SPDX-License-Identifier: Apache-2.0 */
/* The small things of kernel.c: the watchdog, under a clock that the test moves; near names; public ids; the environment. */
#include "fake.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

static uint64_t now_us, wall_ns = 1000;

static uint64_t clock_us(struct dk_env *env)
{
	(void)env;
	return now_us;
}

static uint64_t clock_ns(struct dk_env *env)
{
	(void)env;
	return wall_ns;
}

static char said[4096];

static void sink(void *arg, const char *line, size_t n)
{
	(void)arg;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%.*s\n", (int)n, line);
}

static const struct dk_env_ops ops = { .now_us = clock_us, .wall_ns = clock_ns };
static struct dk_env env = { &ops };
static char *no_env[] = { NULL };

static void begin(struct fake *f)
{
	struct dk_boot boot = { .size = sizeof(boot), .log_sink = sink };

	fake_init(f);
	f->k.env = &env;
	f->k.env_vars = no_env;
	ck_assert_int_eq(log_init(&f->k, &boot), 0);
	said[0] = '\0';
}

static void end(struct fake *f)
{
	log_fini(&f->k);
	fake_fini(f);
}

START_TEST(watchdog)
{
	struct fake f;
	struct dk_plugin other = { .instance = "other" }, *before, *inner;

	begin(&f);
	other.k = &f.k;
	ck_assert_ptr_null(dk_running_plugin(&f.k));

	before = kernel_enter(&f.p);
	ck_assert_str_eq(dk_running_plugin(&f.k), "fake");
	now_us += 5000;
	kernel_leave(&f.p, before);
	ck_assert_uint_eq(f.p.slow_callbacks, 0);

	before = kernel_enter(&f.p);
	now_us += 5001;
	kernel_leave(&f.p, before);
	ck_assert_uint_eq(f.p.slow_callbacks, 1);
	ck_assert_str_eq(said, "");

	before = kernel_enter(&f.p);
	inner = kernel_enter(&other); /* called from within: the outer one is who holds the loop */
	ck_assert_str_eq(dk_running_plugin(&f.k), "other");
	now_us += 2500000;
	kernel_leave(&other, inner);
	ck_assert_str_eq(dk_running_plugin(&f.k), "fake");
	kernel_leave(&f.p, before);
	ck_assert_ptr_null(dk_running_plugin(&f.k));
	ck_assert_uint_eq(other.slow_callbacks, 0);
	ck_assert_uint_eq(f.p.slow_callbacks, 2);
	ck_assert_ptr_nonnull(strstr(said, "fake held the loop for 2500 ms in one callback; work that long belongs into dk_job()"));
	end(&f);
}
END_TEST

START_TEST(scratch_lasts_for_one_callback)
{
	struct fake f;
	struct dk_plugin *before, *inner;

	begin(&f);
	before = kernel_enter(&f.p);
	dk_scratch(&f.self, 1000);
	inner = kernel_enter(&f.p);
	dk_scratch(&f.self, 1000);
	kernel_leave(&f.p, inner);
	ck_assert_uint_ge(scratch_mark(&f.k), 2000);
	kernel_leave(&f.p, before);
	ck_assert_uint_eq(scratch_mark(&f.k), 0);
	end(&f);
}
END_TEST

static const char *name_at(const void *arg, size_t i)
{
	return ((const char *const *)arg)[i];
}

static const char *nearest(const char *written)
{
	static const char *const names[] = { "port", "address", "connectionTTL", "retryInterval" };

	return kernel_nearest(written, name_at, names, DK_ARRAY_LEN(names));
}

START_TEST(near_names)
{
	ck_assert_str_eq(nearest("prot"), "port");
	ck_assert_str_eq(nearest("Port"), "port");
	ck_assert_str_eq(nearest("adress"), "address");
	ck_assert_str_eq(nearest("connectionTtl"), "connectionTTL");
	ck_assert_str_eq(nearest("retry_interval"), "retryInterval");
	ck_assert_ptr_null(nearest("encryption"));
	ck_assert_ptr_null(nearest("a name that is by far too long to be compared with anything that we have here"));
}
END_TEST

START_TEST(public_ids)
{
	struct dk_addr addr = { .ip = { 10, 0, 255, 1 }, .port = 7100, .family = 4 }, got;
	const char *instance, *role;
	struct dk_id52 a, b;
	struct fake f;

	begin(&f);
	dk_announce(&f.self, DK_ROLE_HTTP, &(struct dk_addr){ .ip = { 1 }, .port = 1, .family = 4 }, false);
	dk_announce(&f.self, DK_ROLE_UDP, &addr, true);
	ck_assert(dk_addr_eq(dk_node_addr(&f.self), &addr)); /* the first that clients connect to */
	ck_assert(dk_addr_eq(dk_announced_at(&f.self, 1, &instance, &role), &addr));
	ck_assert_str_eq(role, "UDP");
	ck_assert_str_eq(instance, dk_instance(&f.self));
	ck_assert_ptr_null(dk_announced_at(&f.self, 2, &instance, &role));
	wall_ns = 0x123456789abcdef0;
	dk_id52_new(&f.self, &a);
	dk_id52_new(&f.self, &b); /* within one tick of the clock, */
	ck_assert_mem_eq(a.c, "123456789abcdef00a00ff011bbc000000000000000000000000", 52);
	ck_assert_mem_eq(b.c, "123456789abcdef10a00ff011bbc000000000000000000000000", 52);
	wall_ns = 5; /* and when it goes backwards */
	dk_id52_new(&f.self, &b);
	ck_assert_mem_eq(b.c, "123456789abcdef2", 16);
	ck_assert_int_eq(dk_id52_addr(&a, 0, &got), 0);
	ck_assert(dk_addr_eq(&got, &addr));
	ck_assert_int_eq(dk_id52_addr(&a, 1, &got), DK_NOT_FOUND);
	ck_assert_int_eq(dk_id52_addr(&a, 2, &got), DK_NOT_FOUND);
	ck_assert_int_eq(dk_id52_addr(&a, 3, &got), -EINVAL);
	a.c[51] = 'g';
	ck_assert_int_eq(dk_id52_addr(&a, 0, &got), -EINVAL);
	end(&f);
}
END_TEST

START_TEST(environment_of_the_node)
{
	static char one[] = "DIARKIS_ONE=1", empty[] = "DIARKIS_EMPTY=", longer[] = "DIARKIS_ON=x=y";
	char *vars[] = { one, empty, longer, NULL };
	struct fake f;

	begin(&f);
	f.k.env_vars = vars;
	ck_assert_str_eq(dk_env_var(&f.self, "DIARKIS_ONE"), "1");
	ck_assert_str_eq(dk_env_var(&f.self, "DIARKIS_ON"), "x=y");
	ck_assert_str_eq(dk_env_var(&f.self, "DIARKIS_EMPTY"), "");
	ck_assert_ptr_null(dk_env_var(&f.self, "PATH")); /* the process's own is not looked at */
	f.k.env_vars = NULL;
	ck_assert_ptr_nonnull(dk_env_var(&f.self, "PATH"));
	f.k.env_vars = no_env;
	end(&f);
}
END_TEST

START_TEST(not_a_state)
{
	uint64_t something[16] = { 0 };

	dk_alloc(something, 10); /* aborts: a kernel function has to know whose call it is */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kernel");
	TCase *tc = tcase_create("kernel");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, watchdog);
	tcase_add_test(tc, scratch_lasts_for_one_callback);
	tcase_add_test(tc, near_names);
	tcase_add_test(tc, public_ids);
	tcase_add_test(tc, environment_of_the_node);
	tcase_add_test_raise_signal(tc, not_a_state, SIGABRT);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
