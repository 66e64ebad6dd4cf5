/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets, streams, timers, jobs, names and files when memory runs out: each allocation that the kernel makes for them fails once.
 * Whatever is refused, nothing breaks and nothing is left behind. Linked with the allocator's functions wrapped.
 */
#include <limits.h>
#include <unistd.h>

#include "kernel/kernel.h"

#include "probe.h"
#include "unit.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);

static long fail_at; /* this one fails; 0 = none */
static long allocations;

static bool fails(void)
{
	return fail_at && ++allocations == fail_at;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t m)
{
	return fails() ? NULL : __real_calloc(n, m);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

enum { BLOCK = 20000 };

struct bed {
	struct dk_env *env;
	struct dk_kernel *k;
	struct probe *p;
	struct dk_timer guard;
	int turns;
};

static void nothing(void *self, struct dk_timer *t)
{
	(void)self;
	(void)t;
}

static bool some_turns(void *arg)
{
	return ((struct bed *)arg)->turns-- <= 0;
}

static bool is_over(void *arg)
{
	return dk_finished(((struct bed *)arg)->k, NULL);
}

static void drop_line(void *arg, const char *line, size_t n)
{
	(void)arg;
	(void)line;
	(void)n;
}

static void work(void *arg)
{
	(void)arg;
}

static void worked(void *self, void *arg)
{
	(void)arg;
	((struct probe *)self)->ticks++;
}

static void resolved(void *self, void *arg, int err, const struct dk_addr *addr)
{
	(void)arg;
	(void)addr;
	((struct probe *)self)->ticks += err == 0;
}

static bool is_complete(const struct bed *b)
{
	return b->p->ticks == 2 && b->p->datagrams == 1 && b->p->bytes == 100 + BLOCK;
}

static bool complete_or_late(void *arg)
{
	return is_complete(arg) || some_turns(arg);
}

/* Everything once: false when something was refused. No ck_ functions here, because Check allocates too. */
static bool use_it_all(struct bed *b)
{
	static uint8_t block[BLOCK];
	struct probe *p = b->p;
	bool ok;

	ok = probe_udp(p, "127.0.0.1:0", 0, true) == 0;
	if (ok) {
		struct dk_addr to = *dk_udp_addr(p->udp);

		memcpy(dk_udp_slot(p->udp, &to, 5), "hello", 5);
		dk_udp_commit(p->udp, 5, 0);
	}
	ok &= probe_listen(p, "127.0.0.1:0", 0, 0) == 0;
	if (p->listener)
		ok &= dk_stream_connect(p, dk_listener_addr(p->listener), true, &probe_stream_ops, p, &p->stream) == 0;
	if (p->stream) {
		ok &= dk_stream_write(p->stream, dk_slice_n(block, 100)) == 0;
		ok &= dk_stream_write(p->stream, dk_slice_n(block, BLOCK)) == 0; /* more than a buffer of the pool holds */
	}
	ok &= dk_job(p, work, worked, NULL, NULL) == 0;
	ok &= dk_resolve(p, dk_str_c("127.0.0.1"), 1, resolved, NULL) == 0;
	ok &= dk_publish_file(p, "ADDR", "1", dk_str_c("127.0.0.1:1")) == 0;
	b->turns = ok ? 500 : 10; /* one each ms */
	ok &= b->env->ops->run(b->env, complete_or_late, b) == 0;
	return ok && is_complete(b);
}

static char dir[] = "/tmp/dk-test-oom-XXXXXX";

static bool round_with(long n)
{
	const struct dk_plugin_desc *plugins[] = { &dk_plugin_probe, NULL };
	struct dk_boot boot = { .size = sizeof(boot),
				.flags = DK_BOOT_NO_SIGNALS,
				.config_text = "plugins = { probe = {}; };",
				.config_name = "test.conf",
				.builtin = plugins,
				.temp_dir = dir,
				.log_sink = drop_line };
	struct bed b = { .env = dk_env_uv() };
	int code = -1;
	bool ok;

	ck_assert_ptr_nonnull(b.env);
	ck_assert_int_eq(dk_kernel_new(b.env, &boot, &b.k), 0);
	ck_assert_int_eq(dk_begin(b.k), 0);
	b.p = dk_plugin_state(b.k, "probe");
	dk_timer_start(b.p, &b.guard, 1, 1, nothing);
	b.turns = 3;
	ck_assert_int_eq(b.env->ops->run(b.env, some_turns, &b), 0);
	allocations = 0;
	fail_at = n;
	ok = use_it_all(&b);
	fail_at = 0;
	dk_stop(b.k);
	ck_assert_int_eq(b.env->ops->run(b.env, is_over, &b), 0);
	ck_assert(dk_finished(b.k, &code) && code == 0);
	ck_assert_uint_eq(b.k->leftovers, 0);
	dk_kernel_free(b.k);
	dk_env_free(b.env);
	return ok;
}

START_TEST(each_allocation_fails_once)
{
	long n, needed;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert(round_with(LONG_MAX));
	needed = allocations;
	ck_assert_int_ge(needed, 10);
	for (n = 1; n <= needed; n++)
		ck_assert_msg(!round_with(n), "allocation %ld failed and nobody noticed", n);
	ck_assert(round_with(needed + 1));
	ck_assert_int_eq(rmdir(dir), 0); /* no file is left in it */
}
END_TEST

UNIT_MAIN("oom", each_allocation_fails_once)
