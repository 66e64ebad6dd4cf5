/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other nodes claim (dive_claim.c), and what this one says to it: first whether anything stands against it, then whether
 * nothing came in between. Who was told of an epoch keeps no copy for an earlier one any more.
 */
#include "dive_state.h"

enum { LEFT_MS = 5000 }; /* a bucket given away is spoken for by its new owner or nobody for that long */

static enum dive_objection objection(struct dives *d, struct dive_storage *st, uint16_t i, const struct dk_addr *caller)
{
	struct dive_bucket *b = &st->buckets[i];
	bool owner = b->keeper.family && dk_addr_eq(&b->keeper, caller);

	switch (b->role) {
	case DIVE_OWNED:
	case DIVE_LEAVING:
		return DIVE_OWNED_HERE;
	case DIVE_LANDING:
		return DIVE_SPOKEN_FOR;
	case DIVE_COPY:
		if (dk_now(d) < b->promised_ms && !owner)
			return DIVE_SPOKEN_FOR;
		break;
	default:
		break;
	}
	if (b->left_ms && dk_now(d) - b->left_ms < LEFT_MS && !owner)
		return DIVE_SPOKEN_FOR;
	return dive_claim_yields(d, st, i, caller) ? DIVE_FREE : DIVE_SPOKEN_FOR;
}

int dive_on_claim(struct dives *d, struct dk_call *call, dk_str storage, dk_slice buckets)
{
	uint8_t buf[DIVE_BUCKETS * 17];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dive_storage *st = dive_find(d, storage);

	if (buckets.n != DIVE_BUCKETS / 8) {
		d->n.malformed++;
		return dk_refuse(call, DK_E_PARAMS, "%d bytes were expected, a bit for each bucket; these are %zu",
				 DIVE_BUCKETS / 8, buckets.n);
	}
	for (uint16_t i = 0; st && i < DIVE_BUCKETS; i++) {
		struct dive_bucket *b = &st->buckets[i];

		if (!(buckets.p[i / 8] >> (i % 8) & 1))
			continue;
		dk_wr_u8(&w, (uint8_t)objection(d, st, i, &call->from));
		b->told_epoch = b->epoch;
		b->told_copy = b->role == DIVE_COPY ? b->version + 1 : 0;
		dk_wr_u32(&w, b->seen);
		dk_wr_u32(&w, b->told_epoch);
		dk_wr_u64(&w, b->told_copy);
	}
	return dive_on_claim_answer(call, dive_alone(d) ? 0 : dive_view_everybody(d), dk_written(&w));
}

/* Nothing happened to it here since it was asked about, and nobody else has had that epoch. */
static bool may_have(struct dives *d, const struct dive_storage *st, uint16_t i, uint32_t epoch, const struct dk_addr *caller)
{
	const struct dive_bucket *b = &st->buckets[i];
	bool owner = b->keeper.family && dk_addr_eq(&b->keeper, caller);

	if ((b->role != DIVE_NONE && b->role != DIVE_COPY) || b->seen >= epoch)
		return false;
	if (b->role == DIVE_COPY && dk_now(d) < b->promised_ms && !owner)
		return false;
	return b->epoch == b->told_epoch && b->told_copy == (b->role == DIVE_COPY ? b->version + 1 : 0);
}

int dive_on_epoch(struct dives *d, struct dk_call *call, dk_str storage, dk_slice epochs)
{
	uint8_t buf[DIVE_BUCKETS * 2];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dive_storage *st = dive_find(d, storage);
	struct dk_cursor in = dk_cursor_of(epochs);

	while (st && in.p < in.end) {
		uint16_t i = dk_rd_u16(&in);
		uint32_t epoch = dk_rd_u32(&in);

		if (in.bad || i >= DIVE_BUCKETS || w.bad) {
			d->n.malformed++;
			return dk_refuse(call, DK_E_PARAMS, "numbers of buckets below %d and their epochs were expected",
					 DIVE_BUCKETS);
		}
		if (may_have(d, st, i, epoch, &call->from))
			st->buckets[i].seen = epoch;
		else
			dk_wr_u16(&w, i);
	}
	return dive_on_epoch_answer(call, dk_written(&w));
}
