/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket as bytes, on its way to another node or to its copy: first what was done, then the keys, so that nothing is there of
 * which it is not known whether it was done.
 */
#include "dive_state.h"

size_t dive_parcel_size(const struct dive_storage *st, uint16_t bucket)
{
	size_t n = dive_memo_packed_all(&st->memo, bucket);

	for (const struct dive_entry *e = st->store.buckets[bucket]; e; e = e->next)
		n += dive_store_packed(e);
	return n;
}

void dive_parcel_pack(struct dive_storage *st, uint16_t bucket, struct dk_writer *w)
{
	dive_memo_pack_all(&st->memo, bucket, w);
	for (const struct dive_entry *e = st->store.buckets[bucket]; e; e = e->next)
		dive_store_pack(w, e, dk_now(st->dives));
}

int dive_parcel_unpack(struct dive_storage *st, uint16_t bucket, dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	uint64_t now = dk_now(st->dives);
	int rc = 0;

	while (c.p < c.end && rc == 0)
		rc = dive_memo_next(&c) ? dive_memo_unpack(&st->memo, bucket, &c, now)
					: dive_store_unpack(&st->store, bucket, &c, now);
	if (rc == -EINVAL)
		st->dives->n.malformed++;
	return rc;
}

size_t dive_parcel_part(dk_slice bytes, size_t most)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	size_t end = 0;

	while (c.p < c.end && end < most) {
		if (dive_memo_next(&c))
			dive_memo_skip(&c);
		else
			dive_store_skip(&c);
		if (c.bad)
			break;
		end = bytes.n - dk_rd_left(&c);
	}
	return end;
}
