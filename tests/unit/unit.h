/* SPDX-License-Identifier: Apache-2.0 */
/* The main function of a unit test: one suite, one case, each test in a process of its own (Check's default). */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <diarkis/base.h>

#include <check.h>

static inline int unit_run(const char *name, const TTest *const *tests, size_t n)
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

#define UNIT_MAIN(name, ...)                                                                                                       \
	int main(void)                                                                                                             \
	{                                                                                                                          \
		const TTest *const tests[] = { __VA_ARGS__ };                                                                      \
                                                                                                                                   \
		return unit_run(name, tests, DK_ARRAY_LEN(tests));                                                                 \
	}

#endif
