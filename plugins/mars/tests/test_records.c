/* SPDX-License-Identifier: Apache-2.0 */
/* Records, the table of nodes, node values and shared data, as data: no node runs, the kernel around them owns the memory alone. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/diarkis.h>

#include "../records.h"

static struct dk_env *env;
static struct dk_kernel *kernel;
static void *self;
static struct mars_table table;

static void setup(void)
{
	struct dk_boot boot = { .size = sizeof(boot),
				.flags = DK_BOOT_NO_SIGNALS,
				.config_text = "plugins = {};",
				.config_name = "test",
				.env = (const char *const[]){ NULL } };

	env = dk_env_uv();
	ck_assert_ptr_nonnull(env);
	ck_assert_int_eq(dk_kernel_new(env, &boot, &kernel), 0);
	self = dk_app(kernel);
	mars_table_init(&table, self, 100);
}

static void teardown(void)
{
	mars_table_fini(&table);
	dk_kernel_free(kernel);
	dk_env_free(env);
}

static struct mars_record record(uint64_t boot, uint8_t host, uint32_t incarnation, enum mars_state state, uint32_t seq)
{
	struct mars_record r = { .state = state, .seq = seq, .proto_min = 1, .proto_max = 1 };

	r.node.addr = (struct dk_addr){ .family = 4, .port = 8000, .ip = { 10, 0, 0, host } };
	r.node.boot = boot;
	r.node.incarnation = incarnation;
	r.node.state = mars_record_state(&r);
	r.node.health = DK_ALIVE;
	memcpy(r.node.version, "1.0", 4);
	return r;
}

static void endpoint(struct mars_record *r, const char *role, const char *type, const char *host, uint16_t port)
{
	struct dk_endpoint *e = &r->node.endpoints[r->node.endpoint_n++];

	*e = (struct dk_endpoint){ .port = port, .encrypted = port % 2 };
	memcpy(e->role, role, strlen(role) + 1);
	memcpy(e->type, type, strlen(type) + 1);
	memcpy(e->host, host, strlen(host) + 1);
}

static dk_str str(const char *s)
{
	return dk_str_c(s);
}

static dk_slice bytes(const char *s)
{
	return dk_slice_of(dk_str_c(s));
}

/* ---- records ---- */

START_TEST(written_and_read)
{
	struct mars_record r = record(0x123456789abcdef0, 7, 3, MARS_TAKEN, 9), in;
	uint8_t buf[MARS_RECORD_MAX + 1];
	struct dk_writer w = dk_writer_on(buf, MARS_RECORD_MAX);
	dk_slice all;

	r.value_seq = 5;
	r.node.users = 1234;
	r.strict = true;
	memcpy(r.app, "game", 5);
	endpoint(&r, "UDP", "arena", "203.0.113.7", 7100);
	endpoint(&r, "TCP", "TCP", "203.0.113.7", 7201);
	endpoint(&r, "HTTP", "HTTP", "10.0.0.7", 7000);
	mars_record_write(&r, &w);
	all = dk_written(&w);
	ck_assert_uint_eq(all.n, 100);
	ck_assert(mars_record_read(all, &in));
	ck_assert(dk_addr_eq(&in.node.addr, &r.node.addr));
	ck_assert_uint_eq(in.node.boot, r.node.boot);
	ck_assert_uint_eq(in.node.incarnation, 3);
	ck_assert_uint_eq(in.seq, 9);
	ck_assert_uint_eq(in.value_seq, 5);
	ck_assert_int_eq(in.state, MARS_TAKEN);
	ck_assert_int_eq(in.node.state, DK_TAKEN);
	ck_assert(in.strict);
	ck_assert_uint_eq(in.node.users, 1234);
	ck_assert_str_eq(in.app, "game");
	ck_assert_str_eq(in.node.version, "1.0");
	ck_assert_uint_eq(in.node.endpoint_n, 3);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_str_eq(in.node.endpoints[i].role, r.node.endpoints[i].role);
		ck_assert_str_eq(in.node.endpoints[i].type, r.node.endpoints[i].type);
		ck_assert_str_eq(in.node.endpoints[i].host, r.node.endpoints[i].host);
		ck_assert_uint_eq(in.node.endpoints[i].port, r.node.endpoints[i].port);
		ck_assert_int_eq(in.node.endpoints[i].encrypted, r.node.endpoints[i].encrypted);
	}
	/* What a later version appends is passed over; what is cut off is no record. */
	buf[all.n] = 0x55;
	ck_assert(mars_record_read(dk_slice_n(buf, all.n + 1), &in));
	for (size_t n = 0; n < all.n; n++)
		ck_assert_msg(!mars_record_read(dk_slice_n(buf, n), &in), "%zu bytes were taken", n);
}
END_TEST

START_TEST(records_that_are_none)
{
	struct mars_record r = record(1, 7, 0, MARS_ONLINE, 1), in;
	uint8_t buf[MARS_RECORD_MAX];
	struct dk_writer w;
	static const struct {
		size_t at;
		uint8_t value;
		const char *what;
	} wrong[] = {
		{ 0, 2, "another format" },
		{ 1, 5, "no family" },
		{ 28, 5, "a state that is none" },
		{ 38, 70, "an application longer than the record" },
		{ 39, 200, "a version longer than the record" },
		{ 43, 7, "too many endpoints" },
		{ 40, '\n', "a control character" },
	};

	for (size_t i = 0; i < DK_ARRAY_LEN(wrong); i++) {
		w = dk_writer_on(buf, sizeof(buf));
		mars_record_write(&r, &w);
		ck_assert(mars_record_read(dk_written(&w), &in));
		buf[wrong[i].at] = wrong[i].value;
		ck_assert_msg(!mars_record_read(dk_written(&w), &in), "%s was taken", wrong[i].what);
	}
	r.node.boot = 0;
	w = dk_writer_on(buf, sizeof(buf));
	mars_record_write(&r, &w);
	ck_assert(!mars_record_read(dk_written(&w), &in));
	r = record(1, 7, 0, MARS_ONLINE, 1);
	r.proto_min = 2;
	w = dk_writer_on(buf, sizeof(buf));
	mars_record_write(&r, &w);
	ck_assert(!mars_record_read(dk_written(&w), &in));
}
END_TEST

START_TEST(the_newer_of_two)
{
	/* in order: each is newer than all before it */
	const struct mars_record order[] = {
		record(1, 1, 0, MARS_JOINING, 9), record(1, 1, 0, MARS_ONLINE, 1),  record(1, 1, 0, MARS_TAKEN, 2),
		record(1, 1, 0, MARS_ONLINE, 3),  record(1, 1, 0, MARS_OFFLINE, 2), record(1, 1, 0, MARS_GONE, 1),
		record(1, 1, 1, MARS_ONLINE, 1),  record(1, 1, 1, MARS_ONLINE, 2),
	};

	for (size_t i = 0; i < DK_ARRAY_LEN(order); i++)
		for (size_t k = 0; k < DK_ARRAY_LEN(order); k++)
			ck_assert_msg(mars_record_newer(&order[i], &order[k]) == (i > k), "%zu and %zu", i, k);
}
END_TEST

START_TEST(who_belongs_together)
{
	struct mars_record a = record(1, 1, 0, MARS_ONLINE, 1), b = record(2, 2, 0, MARS_ONLINE, 1);

	ck_assert(mars_record_together(&a, &b));
	memcpy(b.app, "other", 6);
	ck_assert(!mars_record_together(&a, &b));
	memcpy(a.app, "other", 6);
	ck_assert(mars_record_together(&a, &b));
	memcpy(b.node.version, "1.1", 4);
	ck_assert(mars_record_together(&a, &b));
	b.strict = true;
	ck_assert(!mars_record_together(&a, &b) && !mars_record_together(&b, &a));
	b.strict = false;
	a.proto_max = 3;
	b.proto_min = b.proto_max = 3;
	ck_assert(mars_record_together(&a, &b) && mars_record_together(&b, &a));
	b.proto_min = b.proto_max = 4;
	ck_assert(!mars_record_together(&a, &b) && !mars_record_together(&b, &a));
}
END_TEST

/* ---- the table ---- */

START_TEST(merging)
{
	struct mars_member *m, *n;
	struct mars_record r = record(1, 1, 0, MARS_ONLINE, 5);

	ck_assert_int_eq(mars_table_merge(&table, &r, 0, &m), MARS_NEW);
	ck_assert_ptr_eq(mars_table_boot(&table, 1), m);
	ck_assert_ptr_eq(mars_table_find(&table, &r.node.addr), m);
	m->rec.node.health = DK_SUSPECT;
	ck_assert_int_eq(mars_table_merge(&table, &r, 0, &n), MARS_KNOWN);
	ck_assert_ptr_eq(n, m);
	r.seq = 4;
	ck_assert_int_eq(mars_table_merge(&table, &r, 0, &n), MARS_KNOWN);
	r.seq = 6;
	ck_assert_int_eq(mars_table_merge(&table, &r, 0, &n), MARS_NEWER);
	ck_assert_uint_eq(m->rec.seq, 6);
	ck_assert_int_eq(m->rec.node.health, DK_SUSPECT); /* nobody's opinion travels */
	r.node.addr.port++;
	ck_assert_int_eq(mars_table_merge(&table, &r, 0, &n), MARS_TWO_PLACES);
	r = record(2, 1, 0, MARS_ONLINE, 1);
	ck_assert_int_eq(mars_table_merge(&table, &r, 0, &n), MARS_OTHER_BOOT);
	ck_assert_ptr_eq(n, m);
	r = record(3, 3, 0, MARS_GONE, 1);
	ck_assert_int_eq(mars_table_merge(&table, &r, 0, &n), MARS_BURIED); /* a goodbye of nobody */
	ck_assert_uint_eq(table.n, 1);
}
END_TEST

START_TEST(the_dead_stay_buried)
{
	struct mars_record died = record(1, 1, 2, MARS_ONLINE, 5), left = record(2, 2, 0, MARS_ONLINE, 5);
	struct mars_member *m;

	ck_assert_int_eq(mars_table_merge(&table, &died, 0, &m), MARS_NEW);
	mars_table_bury(&table, m, 1000, 600000);
	ck_assert_int_eq(mars_table_merge(&table, &left, 0, &m), MARS_NEW);
	m->rec.state = MARS_GONE;
	mars_table_bury(&table, m, 1000, 600000);
	ck_assert_uint_eq(table.n, 0);
	/* Stale records bring nobody back; one that refutes its death is not stale; a goodbye is for good. */
	died.seq = 99;
	ck_assert_int_eq(mars_table_merge(&table, &died, 2000, &m), MARS_BURIED);
	left.node.incarnation = 7;
	ck_assert_int_eq(mars_table_merge(&table, &left, 2000, &m), MARS_BURIED);
	died.node.incarnation = 3;
	ck_assert_int_eq(mars_table_merge(&table, &died, 2000, &m), MARS_NEW);
	/* And after ten minutes nobody remembers. */
	ck_assert_int_eq(mars_table_merge(&table, &left, 601000, &m), MARS_NEW);
	/* Another boot of the address is another node. */
	mars_table_bury(&table, m, 601000, 600000);
	left.node.boot = 22;
	ck_assert_int_eq(mars_table_merge(&table, &left, 602000, &m), MARS_NEW);
}
END_TEST

START_TEST(limits_of_the_table)
{
	struct mars_member *m;
	uint32_t slot = 0;
	size_t n = 0;

	for (uint64_t i = 1; i <= 100; i++) {
		struct mars_record r = record(i, (uint8_t)i, 0, MARS_ONLINE, 1);

		ck_assert_int_eq(mars_table_merge(&table, &r, 0, &m), MARS_NEW);
	}
	ck_assert_int_eq(mars_table_merge(&table, &(struct mars_record[]){ record(101, 101, 0, MARS_ONLINE, 1) }[0], 0, &m),
			 MARS_NO_ROOM);
	/* Removing while walking is safe. */
	while ((m = mars_table_next(&table, &slot))) {
		n++;
		if (m->rec.node.boot % 2)
			mars_table_bury(&table, m, 0, 1000);
	}
	ck_assert_uint_eq(n, 100);
	ck_assert_uint_eq(table.n, 50);
	/* Tombs have a limit too: the oldest is given up. */
	for (uint64_t i = 1000; i < 1000 + 10000; i++) {
		struct mars_record r = record(i, 200, 0, MARS_ONLINE, 1);

		ck_assert_int_eq(mars_table_merge(&table, &r, 0, &m), MARS_NEW);
		mars_table_bury(&table, m, i, 600000);
	}
	ck_assert_uint_le(table.tomb_n, 4096);
	ck_assert_ptr_nonnull(mars_table_tomb(&table, 10999, 11000));
	ck_assert_ptr_null(mars_table_tomb(&table, 1000, 11000));
}
END_TEST

/* ---- node values ---- */

static struct mars_values a, b;

static void values_setup(void)
{
	setup();
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
}

static void values_teardown(void)
{
	mars_values_fini(&a, self);
	mars_values_fini(&b, self);
	teardown();
}

static const char *value(const struct mars_values *v, const char *name)
{
	static char text[DK_CLUSTER_VALUE_MAX + 1];
	dk_slice s;

	if (mars_values_get(v, str(name), &s))
		return "-";
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return text;
}

/* One page from a to b; true when b is where a is. */
static bool sync_page(size_t room, bool lose)
{
	uint8_t buf[2048];
	struct dk_writer w = dk_writer_on(buf, room);
	uint32_t since = b.seq, up_to = mars_values_write(&a, since, &w);

	if (!lose)
		ck_assert_int_eq(mars_values_read(&b, self, since, up_to, dk_written(&w)), since < up_to);
	return b.seq == a.seq;
}

START_TEST(values_are_told)
{
	ck_assert_int_eq(mars_values_set(&a, self, str("one"), bytes("1")), 0);
	ck_assert_int_eq(mars_values_set(&a, self, str("two"), bytes("2")), 0);
	ck_assert(sync_page(1000, false));
	ck_assert_str_eq(value(&b, "one"), "1");
	ck_assert_int_eq(mars_values_set(&a, self, str("one"), bytes("11")), 0);
	ck_assert_int_eq(mars_values_set(&a, self, str("two"), bytes("")), 0);
	ck_assert_uint_eq(a.seq, 4);
	ck_assert(!sync_page(1000, true));
	ck_assert_int_eq(mars_values_set(&a, self, str("one"), bytes("11")), 0); /* no change, no number */
	ck_assert_uint_eq(a.seq, 4);
	ck_assert(sync_page(1000, false));
	ck_assert_str_eq(value(&b, "one"), "11");
	ck_assert_str_eq(value(&b, "two"), "-");
	ck_assert_uint_eq(b.bytes, 5);
	ck_assert_int_eq(mars_values_set(&a, self, str("none"), bytes("")), DK_NOT_FOUND);
}
END_TEST

START_TEST(pages_may_be_lost_or_doubled)
{
	char name[16], big[100];
	unsigned pages = 0;

	memset(big, 'x', sizeof(big));
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		ck_assert_int_eq(mars_values_set(&a, self, str(name), dk_slice_n(big, sizeof(big))), 0);
	}
	while (!sync_page(400, pages % 3 == 0)) {
		/* an old page again changes nothing */
		if (pages == 10) {
			uint8_t buf[400];
			struct dk_writer w = dk_writer_on(buf, sizeof(buf));
			uint32_t up_to = mars_values_write(&a, 0, &w);

			ck_assert_int_eq(mars_values_read(&b, self, 0, up_to, dk_written(&w)), 0);
			/* nor does one from beyond a gap */
			ck_assert_int_eq(mars_values_read(&b, self, b.seq + 1, b.seq + 2, dk_slice_n(NULL, 0)), 0);
		}
		if (pages == 4)
			ck_assert_int_eq(mars_values_set(&a, self, str("v0"), bytes("new")), 0);
		ck_assert_uint_lt(pages++, 100);
	}
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		ck_assert_uint_eq(strlen(value(&b, name)), i ? 100 : 3);
	}
}
END_TEST

START_TEST(limits_of_values)
{
	char long_name[DK_CLUSTER_VALUE_NAME_MAX + 1], big[DK_CLUSTER_VALUE_MAX + 1], name[16];
	uint8_t buf[64];
	struct dk_writer w;
	int rc = 0, n = 0;

	memset(long_name, 'n', sizeof(long_name));
	memset(big, 'x', sizeof(big));
	ck_assert_int_eq(mars_values_set(&a, self, dk_str_n(long_name, sizeof(long_name)), bytes("1")), DK_TOO_LONG);
	ck_assert_int_eq(mars_values_set(&a, self, dk_str_n(long_name, sizeof(long_name) - 1), bytes("1")), 0);
	ck_assert_int_eq(mars_values_set(&a, self, str("a"), dk_slice_n(big, sizeof(big))), DK_TOO_LONG);
	ck_assert_int_eq(mars_values_set(&a, self, str(""), bytes("1")), DK_TOO_LONG);
	while (rc == 0) {
		snprintf(name, sizeof(name), "v%d", n++);
		rc = mars_values_set(&a, self, str(name), dk_slice_n(big, sizeof(big) - 1));
	}
	ck_assert_int_eq(rc, DK_FULL);
	ck_assert_int_eq(n, 8); /* seven of 514 bytes and the first one are 3,663; an eighth would be 4,177 */
	ck_assert_int_eq(mars_values_set(&a, self, str("v0"), bytes("short")), 0);
	ck_assert_int_eq(mars_values_set(&a, self, str(name), dk_slice_n(big, sizeof(big) - 1)), 0);
	/* Names that come and go do not pile up. */
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		ck_assert_int_eq(mars_values_set(&a, self, str(name), bytes("1")), 0);
		ck_assert_int_eq(mars_values_set(&a, self, str(name), bytes("")), 0);
	}
	ck_assert_uint_le(a.rows, MARS_VALUES_ROWS);
	/* Pages that are none. */
	w = dk_writer_on(buf, sizeof(buf));
	dk_wr_u32(&w, 2);
	dk_wr_bytes8(&w, bytes("x"));
	dk_wr_bytes16(&w, bytes("1"));
	ck_assert_int_eq(mars_values_read(&b, self, 0, 1, dk_written(&w)), -EINVAL); /* a number beyond the last */
	ck_assert_int_eq(mars_values_read(&b, self, 2, 3, dk_written(&w)), -EINVAL); /* and one before the first */
	for (size_t i = 1; i < dk_written(&w).n; i++)
		ck_assert_int_eq(mars_values_read(&b, self, 0, 2, dk_slice_n(buf, i)), -EINVAL);
	ck_assert_ptr_null(b.first);
	ck_assert_int_eq(mars_values_read(&b, self, 0, 2, dk_written(&w)), 1);
}
END_TEST

/* ---- shared data ---- */

enum { SIDES = 3 };
static struct mars_shared side[SIDES];

static void shared_setup(void)
{
	memset(side, 0, sizeof(side));
}

static void tell(int from, int to, uint64_t now)
{
	size_t at = 0;
	bool more;

	do {
		uint8_t buf[500];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));

		more = mars_shared_write(&side[from], &at, now, &w);
		ck_assert_int_ge(mars_shared_read(&side[to], dk_written(&w), now), 0);
	} while (more);
}

static void tell_all(uint64_t now)
{
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < SIDES; i++)
			for (int k = 0; k < SIDES; k++)
				if (i != k)
					tell(i, k, now);
	for (int i = 1; i < SIDES; i++)
		ck_assert_uint_eq(mars_shared_digest(&side[i]), mars_shared_digest(&side[0]));
}

static int get(int i, const char *name)
{
	int16_t v;

	return mars_shared_get(&side[i], str(name), &v) ? INT32_MIN : v;
}

START_TEST(the_last_writer_wins)
{
	ck_assert_int_eq(mars_shared_set(&side[0], str("x"), 1, 10, 1000, 0), 0);
	ck_assert_int_eq(mars_shared_set(&side[1], str("x"), 2, 20, 1001, 0), 0);
	ck_assert_uint_ne(mars_shared_digest(&side[0]), mars_shared_digest(&side[1]));
	tell_all(0);
	for (int i = 0; i < SIDES; i++)
		ck_assert_int_eq(get(i, "x"), 2);
	/* A clock that is behind writes later all the same, once it has heard. */
	ck_assert_int_eq(mars_shared_set(&side[2], str("x"), -3, 30, 5, 0), 0);
	tell_all(0);
	ck_assert_int_eq(get(0, "x"), -3);
	/* Two writes of one moment: one of them, everywhere the same. */
	ck_assert_int_eq(mars_shared_set(&side[0], str("x"), 4, 10, 2000, 0), 0);
	ck_assert_int_eq(mars_shared_set(&side[1], str("x"), 5, 20, 2000, 0), 0);
	tell_all(0);
	for (int i = 0; i < SIDES; i++)
		ck_assert_int_eq(get(i, "x"), 5);
}
END_TEST

START_TEST(removals_are_remembered)
{
	uint64_t t = 1000000;

	ck_assert_int_eq(mars_shared_set(&side[0], str("x"), 1, 10, 1000, t), 0);
	tell_all(t);
	ck_assert_int_eq(mars_shared_remove(&side[1], str("x"), 20, 1001, t), 0);
	ck_assert_int_eq(mars_shared_remove(&side[1], str("x"), 20, 1001, t), DK_NOT_FOUND);
	tell(0, 1, t); /* who still has it does not bring it back */
	ck_assert_int_eq(get(1, "x"), INT32_MIN);
	tell_all(t + 1000);
	for (int i = 0; i < SIDES; i++)
		ck_assert_int_eq(get(i, "x"), INT32_MIN);
	/* Forgotten after ten minutes everywhere, also by who heard of it late. */
	t += MARS_SHARED_KEEP_MS - 1000;
	tell_all(t);
	t += 1000;
	for (int i = 0; i < SIDES; i++) {
		uint8_t buf[500];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));
		size_t at = 0;

		mars_shared_write(&side[i], &at, t, &w);
		ck_assert_uint_eq(dk_written(&w).n, 0);
	}
	ck_assert_int_eq(mars_shared_set(&side[2], str("x"), 7, 30, 9000000, t), 0);
	tell_all(t);
	ck_assert_int_eq(get(0, "x"), 7);
}
END_TEST

START_TEST(ten_names)
{
	char name[DK_SHARED_NAME_MAX + 2];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		ck_assert_int_eq(mars_shared_set(&side[0], str(name), (int16_t)i, 10, (uint64_t)(1000 + i), 0), 0);
	}
	ck_assert_int_eq(mars_shared_set(&side[0], str("n10"), 1, 10, 2000, 0), DK_FULL);
	ck_assert_int_eq(mars_shared_set(&side[0], str("n3"), 33, 10, 2000, 0), 0);
	/* Two sides that cannot see each other make more than ten: the first ten of both are there, everywhere. */
	ck_assert_int_eq(mars_shared_set(&side[1], str("m1"), 1, 20, 500, 0), 0);
	ck_assert_int_eq(mars_shared_set(&side[1], str("m2"), 2, 20, 1500, 0), 0);
	tell_all(0);
	for (int i = 0; i < SIDES; i++) {
		ck_assert_int_eq(get(i, "m1"), 1);
		ck_assert_int_eq(get(i, "m2"), INT32_MIN);
		ck_assert_int_eq(get(i, "n9"), INT32_MIN);
		ck_assert_int_eq(get(i, "n8"), 8);
		ck_assert_int_eq(get(i, "n3"), 33);
		ck_assert_ptr_nonnull(mars_shared_at(&side[i], 9));
		ck_assert_ptr_null(mars_shared_at(&side[i], 10));
	}
	/* One that goes makes room for the next in line. */
	ck_assert_int_eq(mars_shared_remove(&side[2], str("m1"), 30, 3000, 0), 0);
	tell_all(0);
	ck_assert_int_eq(get(1, "n9"), 9);
	memset(name, 'x', sizeof(name));
	ck_assert_int_eq(mars_shared_set(&side[0], dk_str_n(name, DK_SHARED_NAME_MAX + 1), 1, 10, 1, 0), DK_TOO_LONG);
	ck_assert_int_eq(mars_shared_set(&side[0], str(""), 1, 10, 1, 0), -EINVAL);
}
END_TEST

/* Any writes anywhere, told in any order: all come to the same. */
START_TEST(any_order_comes_to_the_same)
{
	unsigned seed = (unsigned)_i + 1;

	for (int step = 0; step < 300; step++) {
		int who = rand_r(&seed) % SIDES, to = rand_r(&seed) % SIDES;
		uint64_t wall = 1000 + (uint64_t)rand_r(&seed) % 50, now = (uint64_t)step * 10;
		char name[4] = { 'a' + (char)(rand_r(&seed) % 14), 0 };

		switch (rand_r(&seed) % 4) {
		case 0:
			mars_shared_remove(&side[who], str(name), (uint64_t)who + 1, wall, now);
			break;
		case 1:
			tell(who, to, now);
			break;
		default:
			mars_shared_set(&side[who], str(name), (int16_t)step, (uint64_t)who + 1, wall, now);
			break;
		}
	}
	tell_all(3000);
	for (char c = 'a'; c < 'a' + 14; c++)
		for (int i = 1; i < SIDES; i++)
			ck_assert_int_eq(get(i, (char[]){ c, 0 }), get(0, (char[]){ c, 0 }));
	/* And the number of names never exceeds ten. */
	ck_assert_ptr_null(mars_shared_at(&side[0], 10));
}
END_TEST

START_TEST(rows_that_are_none)
{
	uint8_t buf[200];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	size_t at = 0;

	ck_assert_int_eq(mars_shared_set(&side[0], str("x"), 1, 10, 1000, 0), 0);
	mars_shared_write(&side[0], &at, 0, &w);
	/* the name and its value, then the stamp of a clock that is nobody's */
	for (size_t n = 1; n < dk_written(&w).n; n++)
		ck_assert_int_eq(mars_shared_read(&side[1], dk_slice_n(buf, n), 0), -EINVAL);
	buf[2] = 0x7f;
	ck_assert_int_eq(mars_shared_read(&side[1], dk_written(&w), 0), -EINVAL);
	ck_assert_ptr_null(mars_shared_at(&side[1], 0));
	ck_assert_uint_eq(side[1].stamp, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("records");
	SRunner *runner = srunner_create(s);
	TCase *records = tcase_create("records"), *values = tcase_create("values"), *shared = tcase_create("shared");
	int failed;

	tcase_add_checked_fixture(records, setup, teardown);
	tcase_add_test(records, written_and_read);
	tcase_add_test(records, records_that_are_none);
	tcase_add_test(records, the_newer_of_two);
	tcase_add_test(records, who_belongs_together);
	tcase_add_test(records, merging);
	tcase_add_test(records, the_dead_stay_buried);
	tcase_add_test(records, limits_of_the_table);
	tcase_add_checked_fixture(values, values_setup, values_teardown);
	tcase_add_test(values, values_are_told);
	tcase_add_test(values, pages_may_be_lost_or_doubled);
	tcase_add_test(values, limits_of_values);
	tcase_add_checked_fixture(shared, shared_setup, NULL);
	tcase_add_test(shared, the_last_writer_wins);
	tcase_add_test(shared, removals_are_remembered);
	tcase_add_test(shared, ten_names);
	tcase_add_loop_test(shared, any_order_comes_to_the_same, 0, 20);
	tcase_add_test(shared, rows_that_are_none);
	suite_add_tcase(s, records);
	suite_add_tcase(s, values);
	suite_add_tcase(s, shared);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
