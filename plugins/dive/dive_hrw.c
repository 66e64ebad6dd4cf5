/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hashes of this file are part of what nodes agree on: a change of them is a change of the protocol. They need not stand up to
 * keys that were made to collide, for what collides shares a bucket and nothing more; the index of a storage is keyed.
 */
#include "dive_hrw.h"

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* FNV-1a */
static uint64_t hash(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * UINT64_C(0x100000001b3);
	return h;
}

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

uint16_t dive_hrw_bucket(dk_str key)
{
	return (uint16_t)(mix(hash(HASH_BEGIN, key.p, key.n)) % DIVE_BUCKETS);
}

uint64_t dive_hrw_node(const struct dk_addr *addr)
{
	uint8_t port[2] = { (uint8_t)(addr->port >> 8), (uint8_t)addr->port };
	uint64_t h = hash(HASH_BEGIN, addr->ip, sizeof(addr->ip));

	return mix(hash(hash(h, &addr->family, 1), port, sizeof(port)));
}

uint64_t dive_hrw_weight(uint64_t node, uint16_t bucket)
{
	return mix(node ^ mix((uint64_t)(bucket + 1) * UINT64_C(0x9e3779b97f4a7c15)));
}

uint16_t dive_hrw_owner(const uint64_t *nodes, size_t n, uint16_t bucket)
{
	uint16_t best = DIVE_NOBODY;
	uint64_t most = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t w = dive_hrw_weight(nodes[i], bucket);

		if (best == DIVE_NOBODY || w > most) {
			best = (uint16_t)i;
			most = w;
		}
	}
	return best;
}
