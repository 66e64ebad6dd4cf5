/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets that change their owner, where something goes wrong on the way: the owner dies while a bucket of several parts is going
 * over, or a node comes back so quickly that nobody missed it.
 */
#include "../dive_hrw.h"
#include "dive_nodes.h"

#include <check.h>

#include <diarkis/carrier.h>

enum { BIG = 60000, BIG_KEYS = 12 };

static char big[BIG];

static bool is_there(void *arg)
{
	return ((struct answer *)arg)->there;
}

static bool owns(unsigned at, const char *key)
{
	struct dk_addr owner;

	return nodes[at].dive->resolve(nodes[at].dive, dk_str_c("s"), dk_str_c(key), &owner) == 0 &&
	       dk_addr_eq(&owner, dk_harness_addr(nodes[at].h, "mesh"));
}

/* Names of one bucket, which node `at` owns. */
static void names_of_one_bucket(unsigned at, char names[][16], unsigned n)
{
	uint16_t bucket = DIVE_NOBODY;
	unsigned have = 0;

	for (unsigned i = 0; have < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "key%u", i);
		if (bucket == DIVE_NOBODY && owns(at, name))
			bucket = dive_hrw_bucket(dk_str_c(name));
		if (bucket == dive_hrw_bucket(dk_str_c(name)))
			snprintf(names[have++], sizeof(names[0]), "%s", name);
	}
}

static void set_big(unsigned at, const char *key)
{
	struct dk_value v = { DK_V_STR, { .s = dk_str_n(big, BIG) } };
	struct dk_dive_ask what = { .op = DK_DIVE_SET, .storage = dk_str_c("s"), .key = dk_str_c(key), .values = &v, .n = 1 };
	static struct answer a;

	ask(at, &what, &a);
	ck_assert(dk_sim_run_until(world, is_there, &a, 8000));
	ck_assert_int_eq(a.rc, 0);
}

/* A node that goes down as on SIGTERM dies so many milliseconds later: what it was about to hand over has its copy. */
START_TEST(dies_while_it_hands_over)
{
	char names[BIG_KEYS][16];

	memset(big, 'x', sizeof(big));
	together(3, 40 + (uint64_t)_i, "s = { copies = 1; };");
	names_of_one_bucket(3, names, BIG_KEYS);
	for (unsigned i = 0; i < BIG_KEYS; i++)
		set_big(1, names[i]);
	run(3000);
	dk_stop(dk_harness_kernel(nodes[3].h));
	run((uint64_t)_i);
	dk_harness_kill(nodes[3].h);
	nodes[3].h = NULL;
	run(8000);
	for (unsigned i = 0; i < BIG_KEYS; i++)
		ck_assert_msg(!strchr(asked(1 + i % 2, DK_DIVE_GET, names[i], 0, 0, 0, ""), ':'), "%s is lost, of %d ms", names[i],
			      _i);
	apart();
}
END_TEST

/* dk_carrier_done_fn */
static void on_part(void *self, void *arg, int err, int status, dk_slice body)
{
	(void)self;
	*(int *)arg = err || status != DK_STATUS_OK || !body.n ? -2 : body.p[0];
}

/* As one that owns the bucket would: its first part, with no keys, and there will be more. Returns what is answered. */
static int first_part(unsigned from, unsigned to, uint16_t bucket, uint64_t transfer)
{
	struct dk_carrier *mesh = dk_harness_service(nodes[from].h, DK_CARRIER_NAME);
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	int outcome = -1;

	dk_wr_bytes16(&w, dk_slice_of(dk_str_c("s")));
	dk_wr_u16(&w, bucket);
	dk_wr_u32(&w, 100); /* its epoch */
	dk_wr_u64(&w, transfer);
	dk_wr_u32(&w, 0);
	dk_wr_u8(&w, 0);
	dk_wr_u8(&w, 0);
	ck_assert_int_eq(mesh->request(mesh, nodes[from].self, dk_harness_addr(nodes[to].h, "mesh"), DK_VER_NODE, 640,
				       dk_written(&w), 1000, on_part, &outcome, NULL),
			 0);
	while (outcome == -1)
		run(1);
	return outcome;
}

/* Begun, and never ended: nobody waits for the rest for ever, and whoever should own these buckets does. */
START_TEST(the_rest_never_comes)
{
	char name[16];
	unsigned n = 0;

	together(3, 60, "s = { };");
	run(6000);
	for (unsigned i = 0; n < 24; i++) {
		snprintf(name, sizeof(name), "key%u", i);
		if (!owns(3, name))
			continue;
		ck_assert_int_eq(first_part(1, 2, dive_hrw_bucket(dk_str_c(name)), ++n), 0);
	}
	dk_harness_kill(nodes[3].h);
	nodes[3].h = NULL;
	run(12000);
	ck_assert_int_eq(count(1, "buckets") + count(2, "buckets"), 1024);
	apart();
}
END_TEST

/* An owner that began to hand over and goes on owning it: who keeps the copy hears that with the next change. */
START_TEST(it_stays_after_all)
{
	uint64_t began;
	char key[16];
	unsigned at;

	together(3, 62, "s = { copies = 1; };");
	for (unsigned i = 0;; i++) {
		snprintf(key, sizeof(key), "key%u", i);
		if (owns(3, key))
			break;
	}
	ck_assert_str_eq(asked(1, DK_DIVE_SET, key, 0, 0, 0, "1"), "");
	run(6000);
	at = count(1, "keys") ? 1 : 2;
	ck_assert_int_eq(first_part(3, at, dive_hrw_bucket(dk_str_c(key)), 1), 0);
	began = dk_sim_now(world);
	ck_assert_str_eq(asked(3, DK_DIVE_INCR, key, 0, 1, 0, ""), "2");
	ck_assert_uint_lt(dk_sim_now(world) - began, 200);
	dk_harness_kill(nodes[3].h);
	nodes[3].h = NULL;
	run(6000);
	ck_assert_str_eq(asked(1, DK_DIVE_GET, key, 0, 0, 0, ""), "2");
	apart();
}
END_TEST

/* Who keeps the copies is killed and there again at once, so nobody took it for dead. All has been quiet before. */
START_TEST(back_before_it_was_missed)
{
	struct dk_dive_ask what = { .op = DK_DIVE_INCR, .storage = dk_str_c("s"), .a = 1 };
	static struct answer a;
	char key[16];
	unsigned at;

	together(3, 61, "s = { copies = 1; };");
	for (unsigned i = 0;; i++) {
		snprintf(key, sizeof(key), "key%u", i);
		if (owns(3, key))
			break;
	}
	ck_assert_str_eq(asked(1, DK_DIVE_SET, key, 0, 0, 0, "1"), "");
	run(20000);
	at = count(1, "keys") ? 1 : 2;
	ck_assert_int_eq(count(at, "keys"), 1);
	dk_harness_kill(nodes[at].h);
	enter(at);
	run(1000);
	what.key = dk_str_c(key);
	ask(3, &what, &a);
	ck_assert(dk_sim_run_until(world, is_there, &a, 2000));
	ck_assert_int_eq(a.rc, 0);
	ck_assert_str_eq(a.text, "2");
	run(3000);
	ck_assert_int_eq(count(at, "keys"), 1);
	apart();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dive: moves that go wrong");
	TCase *tc = tcase_create("moves");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, dies_while_it_hands_over, 0, 30);
	tcase_add_test(tc, the_rest_never_comes);
	tcase_add_test(tc, it_stays_after_all);
	tcase_add_test(tc, back_before_it_was_missed);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
