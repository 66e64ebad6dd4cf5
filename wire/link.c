/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link that loses, delays, reorders, duplicates and queues, the same way for the same seed. It moves no packets: it says when
 * a packet arrives, and the owner (simulator, loss proxy, netsim) does the rest. Every packet draws the same number of random
 * numbers whatever happens to it, so that a changed probability does not shift the fate of all later packets.
 */
#include "wire/wire.h"

static uint64_t splitmix(uint64_t *s)
{
	uint64_t z = *s += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

/* xoshiro256** 1.0 (Blackman, Vigna), public domain. */
static uint64_t next(uint64_t s[4])
{
	uint64_t out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return out;
}

/* 0 <= x < 1 */
static double unit(uint64_t s[4])
{
	return (double)(next(s) >> 11) * 0x1p-53;
}

void wire_link_init(struct wire_link *l, const struct wire_link_opts *o)
{
	uint64_t seed = o->seed;

	l->o = *o;
	for (int i = 0; i < 4; i++)
		l->rng[i] = splitmix(&seed);
	l->free_at_us = 0;
	l->bad = false;
}

/* Gilbert's channel: runs that end with chance 1/burst and begin as often as makes `loss` of all packets lie in them. */
static bool lose(struct wire_link *l, double chance)
{
	const struct wire_link_opts *o = &l->o;

	if (o->burst <= 1 || o->loss >= 1)
		return chance < o->loss;
	l->bad = l->bad ? chance >= 1 / o->burst : chance < o->loss / (1 - o->loss) / o->burst;
	return l->bad;
}

int wire_link_pass(struct wire_link *l, uint64_t now_us, size_t n, uint64_t ret_at_us[2])
{
	double lost = unit(l->rng), jitter = unit(l->rng), reordered = unit(l->rng), doubled = unit(l->rng), jitter2 = unit(l->rng);
	uint64_t start = now_us, delay = (uint64_t)l->o.delay_ms * 1000;

	if (l->o.rate_kbit) {
		if (start < l->free_at_us)
			start = l->free_at_us;
		start += (uint64_t)n * 8000 / l->o.rate_kbit;
		l->free_at_us = start;
	}
	if (lose(l, lost))
		return 0;
	ret_at_us[0] = start + delay + (uint64_t)(jitter * l->o.jitter_ms * 1000);
	if (reordered < l->o.reorder)
		ret_at_us[0] += (uint64_t)l->o.reorder_ms * 1000;
	if (doubled >= l->o.duplicate)
		return 1;
	ret_at_us[1] = start + delay + (uint64_t)(jitter2 * l->o.jitter_ms * 1000);
	return 2;
}
