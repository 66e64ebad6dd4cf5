/* SPDX-License-Identifier: Apache-2.0 */
/* hello in a whole node of its own, without a socket and without waiting: the clock moves when the test says so. */
#include <diarkis/test.h>

#include <check.h>

extern const struct dk_plugin_desc dk_plugin_hello;

START_TEST(greets)
{
	struct dk_harness *h = dk_harness_new("plugins = { hello = { greeting = \"Hi\"; }; };", 1, &dk_plugin_hello);
	struct dk_reply r;

	ck_assert_ptr_nonnull(h);
	r = dk_harness_call(h, "hello.greet", "Ann");
	ck_assert_int_eq(r.status, DK_STATUS_OK);
	ck_assert_uint_eq(r.body.n, 9);
	ck_assert_mem_eq(r.body.p, "\x00\x07Hi, Ann", 9);
	ck_assert_int_eq(dk_harness_counter(h, "hello", "greeted"), 1);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(long_names_are_refused)
{
	struct dk_harness *h = dk_harness_new("plugins = { hello = {}; };", 1, &dk_plugin_hello);
	char name[301] = "";

	ck_assert_ptr_nonnull(h);
	memset(name, 'x', sizeof(name) - 1);
	ck_assert_int_eq(dk_harness_call(h, "hello.greet", name).status, DK_STATUS_BAD);
	ck_assert_int_eq(dk_harness_counter(h, "hello", "greeted"), 0);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hello");
	TCase *t = tcase_create("hello");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_test(t, greets);
	tcase_add_test(t, long_names_are_refused);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
