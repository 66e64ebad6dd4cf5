/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Are copies what they should be? Every second an owner tells those who keep copies for it the sums of some buckets, so that all
 * have had their turn after half a minute. A copy whose sum is another one, at the same version, is made anew. Times to live are
 * not compared: clocks are not the same.
 */
#include "dive_state.h"

#include <endian.h>

enum { AT_ONCE = 32, ANSWER_MS = 2000, ONE = 2 + 4 + 8 + 8 };

/* Eight bytes at a time: of a large storage many megabytes are looked at every second. */
static uint64_t mix(uint64_t h, const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t word;

	h ^= n;
	for (; n >= sizeof(word); n -= sizeof(word), b += sizeof(word)) {
		memcpy(&word, b, sizeof(word));
		h = (h ^ le64toh(word)) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	while (n--)
		h = (h ^ *b++) * UINT64_C(0x100000001b3);
	return h;
}

/* Alike for the same keys with the same values, in whatever order they stand. */
static uint64_t sum_of(const struct dive_storage *st, uint16_t bucket)
{
	uint64_t now = dk_now(st->dives), sum = 0;

	for (const struct dive_entry *e = st->store.buckets[bucket]; e; e = e->next) {
		uint64_t h = mix(UINT64_C(0xcbf29ce484222325), e->key, e->key_n);

		if (e->ends_ms > now)
			sum += mix(mix(h, &e->list, sizeof(e->list)), e->values, e->size);
	}
	return sum;
}

/* dk_carrier_done_fn */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct dive_storage *st = arg;
	struct dk_cursor in = dk_cursor_of(body);
	struct dives *d = self;

	while (err == 0 && status == DK_STATUS_OK && in.p < in.end) {
		uint16_t i = dk_rd_u16(&in);
		uint64_t version = dk_rd_u64(&in);

		if (in.bad || i >= DIVE_BUCKETS)
			return;
		/* With one more version the copy is behind, and is brought up to date as a whole. */
		if (st->buckets[i].role == DIVE_OWNED && st->buckets[i].version == version) {
			st->buckets[i].version++;
			st->calm = false;
			d->n.repaired++;
		}
	}
}

static void send(struct dives *d, struct dive_storage *st, const struct dk_addr *to, dk_slice sums)
{
	uint8_t buf[2 + DK_DIVE_STORAGE_MAX + AT_ONCE * ONE];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dive_on_compare_pack(&w, dk_str_c(st->name), sums);
	d->carrier->request(d->carrier, d, to, DK_VER_NODE, 645, dk_written(&w), ANSWER_MS, answered, st, NULL);
}

/* Those of the next buckets whose copy the same node has as the first one of them that is left. */
static bool send_some(struct dives *d, struct dive_storage *st, uint32_t *left)
{
	uint8_t buf[AT_ONCE * ONE];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_addr to = { .family = 0 };

	for (uint16_t k = 0; k < AT_ONCE; k++) {
		uint16_t i = (uint16_t)((st->compared + k) % DIVE_BUCKETS);
		const struct dive_bucket *b = &st->buckets[i];

		if (!(*left >> k & 1))
			continue;
		if (b->role != DIVE_OWNED || !b->copy.family || b->copying || b->copied < b->version) {
			*left &= ~(1u << k);
			continue;
		}
		if (!to.family)
			to = b->copy;
		if (!dk_addr_eq(&to, &b->copy))
			continue;
		*left &= ~(1u << k);
		dk_wr_u16(&w, i);
		dk_wr_u32(&w, b->epoch);
		dk_wr_u64(&w, b->version);
		dk_wr_u64(&w, sum_of(st, i));
	}
	if (to.family)
		send(d, st, &to, dk_written(&w));
	return to.family != 0;
}

void dive_compare_look(struct dives *d, struct dive_storage *st)
{
	uint32_t left = UINT32_MAX;

	if (!d->up || !dive_copies(st) || !st->owned)
		return;
	while (send_some(d, st, &left))
		;
	st->compared = (uint16_t)((st->compared + AT_ONCE) % DIVE_BUCKETS);
}

int dive_on_compare(struct dives *d, struct dk_call *call, dk_str storage, dk_slice sums)
{
	uint8_t buf[AT_ONCE * 10];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dive_storage *st = dive_find(d, storage);
	struct dk_cursor in = dk_cursor_of(sums);

	while (st && in.p < in.end) {
		uint16_t i = dk_rd_u16(&in);
		uint32_t epoch = dk_rd_u32(&in);
		uint64_t version = dk_rd_u64(&in), sum = dk_rd_u64(&in);
		const struct dive_bucket *b = i < DIVE_BUCKETS ? &st->buckets[i] : NULL;

		if (in.bad || !b || w.bad) {
			d->n.malformed++;
			return dk_refuse(call, DK_E_PARAMS, "at most %d buckets with their sums were expected", AT_ONCE);
		}
		/* Versions apart: a change is on its way. */
		if (b->role == DIVE_COPY && b->epoch == epoch && b->version == version && sum_of(st, i) == sum)
			continue;
		if (b->role == DIVE_COPY && (b->epoch != epoch || b->version != version))
			continue;
		dk_wr_u16(&w, i);
		dk_wr_u64(&w, version);
	}
	return dive_on_compare_answer(call, dk_written(&w));
}
