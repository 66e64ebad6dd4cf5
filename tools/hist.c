/* SPDX-License-Identifier: Apache-2.0 */
/* See hist.h. */
#include <string.h>

#include "tools/hist.h"

void hist_reset(struct hist *h)
{
	memset(h, 0, sizeof(*h));
}

void hist_add(struct hist *h, const struct hist *other)
{
	h->n += other->n;
	h->max = other->max > h->max ? other->max : h->max;
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		h->bucket[i] += other->bucket[i];
}

/* The largest value of a bucket. */
static uint64_t bucket_end(unsigned i)
{
	unsigned shift = i >> HIST_BITS, low = i & ((1u << HIST_BITS) - 1);

	if (!shift)
		return low;
	return ((UINT64_C(1) << HIST_BITS | low) + 1) * (UINT64_C(1) << (shift - 1)) - 1;
}

uint64_t hist_quantile(const struct hist *h, double q)
{
	uint64_t rank = (uint64_t)(q * (double)h->n), seen = 0;

	if (!h->n)
		return 0;
	if ((double)rank < q * (double)h->n)
		rank++;
	rank = rank < 1 ? 1 : rank > h->n ? h->n : rank;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= rank)
			return bucket_end(i) < h->max ? bucket_end(i) : h->max;
	}
	return h->max;
}
