/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of many seeds: how many there are, and the main() of a program that runs its suite, or with FIRST LAST on its command line
 * these seeds, a line each, up to the first bad one. tests/sim/many-seeds.sh goes through more of them that way.
 */
#ifndef SIM_SEEDS_H
#define SIM_SEEDS_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Fewer where AddressSanitizer makes each of them slow. */
#if defined(__SANITIZE_ADDRESS__)
#define SEEDS(all, few) (few)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SEEDS(all, few) (few)
#endif
#endif
#ifndef SEEDS
#define SEEDS(all, few) (all)
#endif

/* line: runs a seed and prints a line about it; false: it is bad. */
static inline int seeds_main(int argc, char **argv, Suite *suite, bool (*line)(uint64_t seed))
{
	SRunner *runner = srunner_create(suite);
	int failed;

	if (argc == 3) {
		srunner_free(runner);
		for (uint64_t seed = strtoull(argv[1], NULL, 10); seed <= strtoull(argv[2], NULL, 10); seed++)
			if (!line(seed))
				return EXIT_FAILURE;
		return EXIT_SUCCESS;
	}
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
