/* SPDX-License-Identifier: Apache-2.0 */
/* What count.so writes into the file that BENCH_COUNT_FILE names, for a bench to read while the program runs. */
#ifndef BENCH_COUNT_H
#define BENCH_COUNT_H

#include <stdint.h>

struct counts {
	uint64_t allocations; /* malloc, calloc, realloc, aligned_alloc, posix_memalign */
	/* system calls of the loop: sendmmsg and write, recvmmsg and read, epoll, the rest */
	uint64_t sends, receives, polls, others;
};

#endif
