/* SPDX-License-Identifier: Apache-2.0 */
/* The histogram's promises: exact when small, at most 1/64 too large else, quantiles against a sorted list, sums. */
#include <check.h>
#include <stdlib.h>

#include "tools/hist.h"

static struct hist h, g;

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

START_TEST(empty)
{
	hist_reset(&h);
	ck_assert_uint_eq(hist_quantile(&h, 0.5), 0);
	ck_assert_uint_eq(hist_quantile(&h, 1), 0);
}
END_TEST

START_TEST(small_values_are_exact)
{
	for (uint64_t v = 0; v < 128; v++) {
		hist_reset(&h);
		hist_record(&h, v);
		hist_record(&h, 1000);
		ck_assert_uint_eq(hist_quantile(&h, 0.5), v);
		ck_assert_uint_eq(hist_quantile(&h, 1), 1000);
	}
}
END_TEST

START_TEST(buckets_are_in_order_and_narrow)
{
	unsigned last = 0;

	for (uint64_t v = 1; v < HIST_MAX / 2; v += v / 97 + 1) {
		unsigned i = hist_index(v);
		uint64_t top;

		ck_assert_uint_ge(i, last);
		ck_assert_uint_lt(i, HIST_BUCKETS);
		last = i;
		hist_reset(&h);
		hist_record(&h, v);
		h.max = UINT64_MAX; /* else the maximum hides the bucket's end */
		top = hist_quantile(&h, 1);
		ck_assert(top >= v && top - v <= v / 64);
		ck_assert_uint_eq(hist_index(top), i);
		ck_assert_uint_gt(hist_index(top + 1), i);
	}
}
END_TEST

START_TEST(beyond_the_end)
{
	hist_reset(&h);
	hist_record(&h, UINT64_MAX);
	ck_assert_uint_eq(h.bucket[HIST_BUCKETS - 1], 1);
	ck_assert_uint_eq(hist_index(HIST_MAX), HIST_BUCKETS - 1);
}
END_TEST

START_TEST(quantiles_against_a_sorted_list)
{
	enum { N = 10000 };
	static const double q[] = { 0.001, 0.5, 0.9, 0.99, 0.999, 1 };
	static uint64_t v[N];
	uint64_t x = 12345;

	hist_reset(&h);
	for (int i = 0; i < N; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		v[i] = (x >> 40) >> (x % 20);
		hist_record(&h, v[i]);
	}
	qsort(v, N, sizeof(v[0]), by_value);
	for (unsigned i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
		uint64_t exact = v[(int)(q[i] * N) - 1], got = hist_quantile(&h, q[i]);

		ck_assert(got >= exact && got - exact <= exact / 64 + 1);
	}
}
END_TEST

START_TEST(sums)
{
	hist_reset(&h);
	hist_reset(&g);
	for (uint64_t i = 1; i <= 50; i++) {
		hist_record(&h, i);
		hist_record(&g, i + 50);
	}
	hist_add(&h, &g);
	ck_assert_uint_eq(h.n, 100);
	ck_assert_uint_eq(h.max, 100);
	ck_assert_uint_eq(hist_quantile(&h, 0.5), 50);
	ck_assert_uint_eq(hist_quantile(&h, 0.99), 99);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hist");
	TCase *c = tcase_create("hist");
	SRunner *r;
	int failed;

	tcase_add_test(c, empty);
	tcase_add_test(c, small_values_are_exact);
	tcase_add_test(c, buckets_are_in_order_and_narrow);
	tcase_add_test(c, beyond_the_end);
	tcase_add_test(c, quantiles_against_a_sorted_list);
	tcase_add_test(c, sums);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
