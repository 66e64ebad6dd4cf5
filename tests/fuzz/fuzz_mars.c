/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agents of other nodes say: a record, a page of the table, a page of node values, rows of the shared data. The first byte
 * chooses. A record that is taken is written back and reads as the same; values and shared data never exceed their limits, and what
 * two tables tell each other in turn makes them alike.
 */
#include <errno.h>
#include <stdlib.h>

#include "kernel/kernel.h"
#include "plugins/mars/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

enum { WHAT_RECORD, WHAT_TABLE, WHAT_VALUES, WHAT_SHARED, WHATS };

/* Memory with an owner, which is all that the parts under test want of a node. */
struct owner {
	struct dk_kernel k;
	struct dk_plugin p;
	struct dk_self self;
};

static void check_text(const char *text, size_t cap)
{
	MUST(memchr(text, '\0', cap));
}

static void check_record(dk_slice bytes)
{
	uint8_t buf[MARS_RECORD_MAX], again_buf[MARS_RECORD_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), w2 = dk_writer_on(again_buf, sizeof(again_buf));
	struct mars_record r, again;

	if (!mars_record_read(bytes, &r))
		return;
	MUST(r.node.boot && (r.node.addr.family == 4 || r.node.addr.family == 6) && r.node.endpoint_n <= DK_CLUSTER_ENDPOINTS);
	check_text(r.app, sizeof(r.app));
	check_text(r.node.version, sizeof(r.node.version));
	for (size_t i = 0; i < r.node.endpoint_n; i++) {
		check_text(r.node.endpoints[i].role, sizeof(r.node.endpoints[i].role));
		check_text(r.node.endpoints[i].type, sizeof(r.node.endpoints[i].type));
		check_text(r.node.endpoints[i].host, sizeof(r.node.endpoints[i].host));
	}
	mars_record_write(&r, &w);
	MUST(!w.bad && mars_record_read(dk_written(&w), &again));
	mars_record_write(&again, &w2);
	MUST(dk_str_eq(dk_str_of(dk_written(&w)), dk_str_of(dk_written(&w2))));
	MUST(!mars_record_newer(&r, &again) && !mars_record_newer(&again, &r));
	MUST(mars_record_together(&r, &again) && mars_record_digest(&r) == mars_record_digest(&again));
}

static void check_table(void *self, dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct mars_table t;
	uint64_t now = 1000;

	mars_table_init(&t, self, 8);
	while (dk_rd_left(&c)) {
		uint32_t age = dk_rd_u32(&c);
		dk_slice record = dk_rd_bytes16(&c);
		struct mars_member *m = NULL;
		struct mars_record r;

		if (c.bad || !mars_record_read(record, &r))
			break;
		now += age % 4096;
		switch (mars_table_merge(&t, &r, now, &m)) {
		case MARS_NEW:
		case MARS_NEWER:
			MUST(m->rec.node.boot == r.node.boot && mars_table_boot(&t, r.node.boot) == m);
			break;
		case MARS_OTHER_BOOT:
			MUST(dk_addr_eq(&m->rec.node.addr, &r.node.addr) && m->rec.node.boot != r.node.boot);
			mars_table_bury(&t, m, now, 600000);
			break;
		case MARS_TWO_PLACES:
			MUST(!dk_addr_eq(&m->rec.node.addr, &r.node.addr) && m->rec.node.boot == r.node.boot);
			break;
		case MARS_BURIED:
		case MARS_KNOWN:
			break;
		case MARS_NO_ROOM:
			MUST(t.n == 8);
			break;
		}
		MUST(t.n <= 8);
	}
	mars_table_fini(&t);
}

static void check_values(void *self, dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct mars_values v = { .first = NULL };

	while (dk_rd_left(&c)) {
		uint32_t since = dk_rd_u8(&c), up_to = dk_rd_u8(&c), was = v.seq, rows = 0, n = 0, last = 0;
		dk_slice page = dk_rd_bytes16(&c);
		int rc;

		if (c.bad)
			break;
		rc = mars_values_read(&v, self, since, up_to, page);
		MUST(rc <= 1 && v.seq >= was && (rc != 0 || v.seq == was));
		for (const struct mars_value *row = v.first; row; row = row->next) {
			MUST(row->seq > last && row->seq <= v.seq && row->name_n <= DK_CLUSTER_VALUE_NAME_MAX &&
			     row->n <= DK_CLUSTER_VALUE_MAX);
			last = row->seq;
			rows++;
			n += row->n ? row->n + row->name_n : 0;
		}
		MUST(rows == v.rows && rows <= MARS_VALUES_ROWS && n == v.bytes && n <= 2 * MARS_VALUES_MAX);
	}
	mars_values_fini(&v, self);
}

static void tell(const struct mars_shared *from, struct mars_shared *to, uint64_t now)
{
	size_t at = 0;
	bool more;

	do {
		uint8_t buf[1000];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));

		more = mars_shared_write(from, &at, now, &w);
		MUST(mars_shared_read(to, dk_written(&w), now) >= 0);
	} while (more);
}

static void check_shared(dk_slice bytes)
{
	size_t half = bytes.n / 2;
	struct mars_shared a = { .stamp = 0 }, b = { .stamp = 0 };
	uint64_t now = 2 * MARS_SHARED_KEEP_MS;

	mars_shared_read(&a, dk_slice_n(bytes.p, half), now);
	mars_shared_read(&b, dk_slice_n(bytes.p + half, bytes.n - half), now);
	MUST(!mars_shared_at(&a, DK_SHARED_MAX) && !mars_shared_at(&b, DK_SHARED_MAX));
	tell(&a, &b, now);
	tell(&b, &a, now);
	/* Where names were more than the rows, marks may have been given up, and only then do they differ. */
	if (bytes.n < MARS_SHARED_ROWS * 32)
		MUST(mars_shared_digest(&a) == mars_shared_digest(&b));
	MUST(mars_shared_set(&a, dk_str_c("n"), 1, 1, 1, now) != -EINVAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	dk_slice bytes = dk_slice_n(data + 1, size ? size - 1 : 0);
	struct owner o = { .p = { .k = &o.k, .instance = "fuzz", .self = &o.self },
			   .self = { .magic = DK_SELF_MAGIC, .plugin = &o.p } };

	if (!size)
		return 0;
	MUST(mem_init(&o.k) == 0);
	switch (data[0] % WHATS) {
	case WHAT_RECORD:
		check_record(bytes);
		break;
	case WHAT_TABLE:
		check_table(&o.self, bytes);
		break;
	case WHAT_VALUES:
		check_values(&o.self, bytes);
		break;
	default:
		check_shared(bytes);
		break;
	}
	MUST(o.p.memory == 0);
	mem_fini(&o.k);
	return 0;
}
