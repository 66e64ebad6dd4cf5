/* SPDX-License-Identifier: Apache-2.0 */
/* tally on one node: sums, a counter that nobody added to, names that are refused. */
#include <diarkis/test.h>

#include <check.h>

extern const struct dk_plugin_desc dk_plugin_tally;

static struct dk_harness *h;

static void setup(void)
{
	h = dk_harness_new("plugins = { dive = {}; tally = {}; };", 1, &dk_plugin_tally);
	ck_assert_ptr_nonnull(h);
}

static void teardown(void)
{
	ck_assert_int_eq(dk_harness_free(h), 0);
}

/* The sum that a command answers; INT32_MIN when it is refused. */
static int32_t sum(const char *name, const char *a, const char *b)
{
	struct dk_reply r = dk_harness_call(h, name, a, b);
	struct dk_cursor c = dk_cursor_of(r.body);

	return r.status == DK_STATUS_OK ? (int32_t)dk_rd_u32(&c) : INT32_MIN;
}

START_TEST(sums)
{
	ck_assert_int_eq(sum("tally.get", "hits", NULL), 0);
	ck_assert_int_eq(sum("tally.add", "2", "hits"), 2);
	ck_assert_int_eq(sum("tally.add", "40", "hits"), 42);
	ck_assert_int_eq(sum("tally.add", "-50", "hits"), -8);
	ck_assert_int_eq(sum("tally.add", "1", "others"), 1);
	ck_assert_int_eq(sum("tally.get", "hits", NULL), -8);
	ck_assert_int_eq(dk_harness_counter(h, "tally", "added"), 4);
}
END_TEST

START_TEST(no_overflow)
{
	ck_assert_int_eq(sum("tally.add", "2147483647", "hits"), 2147483647);
	ck_assert_int_eq(sum("tally.add", "1", "hits"), INT32_MIN);
	ck_assert_int_eq(sum("tally.get", "hits", NULL), 2147483647);
	ck_assert_int_eq(dk_harness_counter(h, "tally", "failed"), 1);
}
END_TEST

START_TEST(names)
{
	ck_assert_int_eq(sum("tally.add", "1", ""), INT32_MIN);
	ck_assert_int_eq(sum("tally.add", "1", "0123456789012345678901234567890123456789012345678901234567890123"), 1);
	ck_assert_int_eq(sum("tally.add", "1", "01234567890123456789012345678901234567890123456789012345678901234"), INT32_MIN);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tally");
	TCase *t = tcase_create("one node");
	SRunner *r;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, sums);
	tcase_add_test(t, no_overflow);
	tcase_add_test(t, names);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed != 0;
}
