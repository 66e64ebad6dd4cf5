/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Near names: what was meant by a key, a section or a plugin that is misspelt. Pure.
 */
#include "../kernel.h"

#define NAME_MOST 64

/* Letters to change, add, leave out or swap with their neighbour. */
static size_t distance(const char *a, const char *b)
{
	size_t row[3][NAME_MOST], la = strlen(a), lb = strlen(b);

	if (la >= NAME_MOST || lb >= NAME_MOST)
		return NAME_MOST;
	for (size_t j = 0; j <= lb; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			char x = a[i - 1] | 32, y = b[j - 1] | 32;
			size_t best = last[j - 1] + (x != y);

			best = last[j] + 1 < best ? last[j] + 1 : best;
			best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
			if (i > 1 && j > 1 && x == (b[j - 2] | 32) && y == (a[i - 2] | 32) && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[la % 3][lb];
}

const char *kernel_nearest(const char *written, const char *(*at)(const void *arg, size_t i), const void *arg, size_t n)
{
	size_t best = strlen(written) / 3 + 1; /* a third of the letters may be wrong, in a short word one */
	const char *near = NULL;

	if (best == 1)
		best = 2;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(written, at(arg, i));

		if (d < best) {
			best = d;
			near = at(arg, i);
		}
	}
	return near;
}
