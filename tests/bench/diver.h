/* SPDX-License-Identifier: Apache-2.0 */
/* What bench_modules and the plugin diver say to each other, in a file that both have mapped. */
#ifndef BENCH_DIVER_H
#define BENCH_DIVER_H

#include <stdint.h>

enum diver_step { DIVER_WAITS, DIVER_SET, DIVER_GET, DIVER_INCR, DIVER_PUSH_POP, DIVER_RANGE, DIVER_STEPS };

struct diver_share {
	volatile uint32_t step; /* set by the bench: what is to be done now */
	volatile uint32_t ready; /* all keys are there */
	volatile uint64_t done, failed; /* operations */
};

enum { DIVER_FLIGHTS = 64, DIVER_ITEMS = 10, DIVER_BYTES = 64 };

#endif
