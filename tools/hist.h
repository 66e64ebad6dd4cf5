/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of unsigned values whose buckets grow with the value: exact up to 63, then 64 buckets for each doubling, so a
 * quantile is at most 1/64 too large. Values beyond HIST_MAX count as HIST_MAX. Recording is a few instructions and allocates
 * nothing; two histograms add up.
 */
#ifndef TOOLS_HIST_H
#define TOOLS_HIST_H

#include <stdint.h>

#define HIST_BITS 6
#define HIST_OCTAVES 34 /* 2^40 ns: 18 minutes */
#define HIST_MAX ((UINT64_C(1) << (HIST_BITS + HIST_OCTAVES)) - 1)
#define HIST_BUCKETS ((HIST_OCTAVES + 1) << HIST_BITS)

struct hist {
	uint64_t n, max;
	uint64_t bucket[HIST_BUCKETS];
};

static inline unsigned hist_index(uint64_t v)
{
	unsigned shift;

	if (v > HIST_MAX)
		v = HIST_MAX;
	if (v < (1u << HIST_BITS))
		return (unsigned)v;
	shift = 63u - (unsigned)__builtin_clzll(v) - HIST_BITS;
	return ((shift + 1) << HIST_BITS) + (unsigned)((v >> shift) & ((1u << HIST_BITS) - 1));
}

static inline void hist_record(struct hist *h, uint64_t v)
{
	h->n++;
	h->max = v > h->max ? v : h->max;
	h->bucket[hist_index(v)]++;
}

void hist_reset(struct hist *h);
void hist_add(struct hist *h, const struct hist *other);
/* The value that a share q (0..1) of all values does not exceed, rounded up to its bucket's end; 0 when empty. */
uint64_t hist_quantile(const struct hist *h, double q);

#endif
