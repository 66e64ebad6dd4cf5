/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket of dive that comes from another node: keys with their values, and what was done to them. The first byte is the bucket's
 * seed. Whatever was taken is of that bucket, is packed again as the same, and leaves nothing behind when it is forgotten.
 */
#include <stdlib.h>

#include "kernel/kernel.h"
#include "plugins/dive/dive_memo.h"
#include "plugins/dive/dive_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

enum { NOW = 1000, ROOM = 65536 };

/* Memory with an owner, which is all that the parts under test want of a node. */
struct owner {
	struct dk_kernel k;
	struct dk_plugin p;
	struct dk_self self;
};
struct bucket {
	struct dive_store store;
	struct dive_memo memo;
};

static uint8_t packed[1 << 20], again[1 << 20];

static int take(struct bucket *b, uint16_t bucket, dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes), skipped;
	int rc = 0;

	while (c.p < c.end && rc == 0) {
		bool memo = dive_memo_next(&c);

		skipped = c;
		if (memo)
			dive_memo_skip(&skipped);
		else
			dive_store_skip(&skipped);
		rc = memo ? dive_memo_unpack(&b->memo, bucket, &c, NOW) : dive_store_unpack(&b->store, bucket, &c, NOW);
		MUST(rc || (!skipped.bad && skipped.p == c.p));
		MUST(b->memo.bytes <= ROOM);
	}
	return rc;
}

static dk_slice pack(struct bucket *b, uint16_t bucket, uint8_t *buf)
{
	struct dk_writer w = dk_writer_on(buf, sizeof(packed));
	size_t n = dive_memo_packed_all(&b->memo, bucket);

	dive_memo_pack_all(&b->memo, bucket, &w);
	for (const struct dive_entry *e = b->store.buckets[bucket]; e; e = e->next) {
		MUST(dive_hrw_bucket(dk_str_n(e->key, e->key_n)) == bucket);
		n += dive_store_packed(e);
		dive_store_pack(&w, e, NOW);
	}
	MUST(!w.bad && dk_written(&w).n == n);
	return dk_written(&w);
}

static void begin(struct bucket *b, void *self)
{
	static const struct dive_limits limits = { .keys = 1000, .value_bytes = 65536, .list_bytes = 65536, .list_items = 1000 };

	dive_store_init(&b->store, self, &limits, 60);
	dive_memo_init(&b->memo, self, ROOM);
}

static void end(struct bucket *b)
{
	dive_store_fini(&b->store);
	dive_memo_fini(&b->memo);
	MUST(!b->store.bytes && !b->memo.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bucket first, second;
	struct owner o = { .p = { .k = &o.k, .instance = "fuzz", .self = &o.self },
			   .self = { .magic = DK_SELF_MAGIC, .plugin = &o.p } };
	uint16_t bucket;
	dk_slice out, in;

	if (size < 1 || size > 65536)
		return 0;
	MUST(mem_init(&o.k) == 0);
	bucket = dive_hrw_bucket(dk_str_n((const char *)data, 1));
	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	begin(&first, &o.self);
	begin(&second, &o.self);
	take(&first, bucket, dk_slice_n(data + 1, size - 1));
	out = pack(&first, bucket, packed);
	MUST(take(&second, bucket, out) == 0);
	in = pack(&second, bucket, again);
	MUST(first.memo.forgotten || second.memo.forgotten || in.n == out.n);
	MUST(second.store.bytes == first.store.bytes);
	end(&first);
	end(&second);
	MUST(o.p.memory == 0);
	mem_fini(&o.k);
	return 0;
}
