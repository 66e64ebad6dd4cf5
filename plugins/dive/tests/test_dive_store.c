/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storages as data, and who owns what: a long random walk compared with a model as simple as can be, keys packed and unpacked,
 * bytes that are no keys, and the shares of nodes.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/diarkis.h>

#include "../dive_store.h"

static struct dk_env *env;
static struct dk_kernel *kernel;
static struct dive_store store;
static const struct dive_limits limits = { .keys = 50, .value_bytes = 100, .list_bytes = 400, .list_items = 20 };

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
	dive_store_init(&store, dk_app(kernel), &limits, 60);
}

static void teardown(void)
{
	dive_store_fini(&store);
	dk_kernel_free(kernel);
	dk_env_free(env);
}

static uint64_t rng = 7;

static unsigned chance(unsigned n)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(rng >> 33) % n;
}

/* ---- the model: lists of numbers, a single number as a list of one ---- */

enum { KEYS = 30, ITEMS = 32 };
struct model {
	bool there, list;
	uint64_t ends;
	unsigned n;
	int64_t v[ITEMS];
};
static struct model model[KEYS];

static int model_do(struct model *m, const struct dive_order *o, const int64_t *in, uint64_t now, int64_t *out, unsigned *ret_n)
{
	unsigned n = m->there && o->a > 0 && (unsigned)o->a < m->n ? (unsigned)o->a : m->n, to;
	bool lists = o->op == DK_DIVE_LPOP || o->op == DK_DIVE_RPOP || o->op == DK_DIVE_LRANGE;

	*ret_n = 0;
	if (m->there && m->ends <= now)
		m->there = false;
	if (!m->there && (lists || o->op == DK_DIVE_GET || o->op == DK_DIVE_DEL || o->op == DK_DIVE_INCR))
		return DK_NOT_FOUND;
	if (m->there && (lists ? !m->list : m->list && (o->op == DK_DIVE_GET || o->op == DK_DIVE_INCR)))
		return DK_DIVE_KIND;
	switch (o->op) {
	case DK_DIVE_SET_NEW:
		if (m->there)
			return DK_EXISTS;
		/* fall through */
	case DK_DIVE_SET:
		*m = (struct model){ .there = true, .n = 1, .v = { in[0] }, .ends = now + (o->ttl_s ? o->ttl_s : 60) * 1000u };
		return 0;
	case DK_DIVE_INCR:
		m->v[0] += o->a;
		/* fall through */
	case DK_DIVE_GET:
	case DK_DIVE_DEL:
		for (*ret_n = 0; *ret_n < m->n; (*ret_n)++)
			out[*ret_n] = m->v[*ret_n];
		m->there = o->op != DK_DIVE_DEL;
		break;
	case DK_DIVE_LPUSH:
	case DK_DIVE_RPUSH:
		if (m->there && !m->list)
			return DK_EXISTS;
		if (!m->there)
			*m = (struct model){ .there = true, .list = true };
		if (m->n + o->values.n > limits.list_items) {
			m->there = m->n != 0;
			return DK_FULL;
		}
		for (unsigned i = 0; i < o->values.n; i++) {
			if (o->op == DK_DIVE_LPUSH)
				memmove(m->v + 1, m->v, m->n * sizeof(m->v[0]));
			m->v[o->op == DK_DIVE_LPUSH ? 0 : m->n] = in[i];
			m->n++;
		}
		m->ends = now + (o->ttl_s ? o->ttl_s : 60) * 1000u;
		return 0;
	case DK_DIVE_LPOP:
	case DK_DIVE_RPOP:
		for (; *ret_n < n; (*ret_n)++) {
			bool left = o->op == DK_DIVE_LPOP;

			out[*ret_n] = m->v[left ? 0 : m->n - 1];
			m->n--;
			if (left)
				memmove(m->v, m->v + 1, m->n * sizeof(m->v[0]));
		}
		m->there = m->n != 0;
		break;
	default:
		to = o->b > 0 && (unsigned)o->b < m->n ? (unsigned)o->b : m->n;
		for (unsigned i = o->a > 0 ? (unsigned)o->a : 0; i < to; i++)
			out[(*ret_n)++] = m->v[i];
	}
	if (o->ttl_s)
		m->ends = now + o->ttl_s * 1000u;
	return 0;
}

START_TEST(as_the_model)
{
	uint64_t now = 1000;

	for (unsigned step = 0; step < 20000; step++) {
		unsigned k = chance(KEYS), want_n, n = 0;
		struct dive_order o = { .op = (uint8_t)(1 + chance(DK_DIVE_OP_END - 1)), .ttl_s = chance(3) ? 0 : 1 + chance(90) };
		int64_t in[4], want[ITEMS];
		uint8_t packed[64], got[1024];
		struct dk_writer p = dk_writer_on(packed, sizeof(packed)), w;
		struct dk_dive_list l;
		struct dk_value v;
		char key[16];
		int rc, want_rc;

		snprintf(key, sizeof(key), "k%u", k);
		o.key = dk_str_c(key);
		o.a = (int32_t)chance(9) - 2;
		o.b = (int32_t)chance(9) - 2;
		o.values.n = o.op == DK_DIVE_LPUSH || o.op == DK_DIVE_RPUSH ? 1 + chance(4) : o.op <= DK_DIVE_SET_NEW;
		for (unsigned i = 0; i < o.values.n; i++) {
			in[i] = chance(1000);
			dk_value_write(&p, &(struct dk_value){ DK_V_INT, { .i = in[i] } });
		}
		o.values.bytes = dk_written(&p);
		w = dk_writer_on(got, sizeof(got));
		rc = dive_store_do(&store, &o, now, &w, &n);
		want_rc = model_do(&model[k], &o, in, now, want, &want_n);
		ck_assert_msg(rc == want_rc, "step %u, operation %u: %d, not %d", step, o.op, rc, want_rc);
		if (rc == 0) {
			ck_assert_uint_eq(n, want_n);
			l = (struct dk_dive_list){ dk_written(&w), n };
			for (unsigned i = 0; i < n; i++) {
				ck_assert(dk_dive_next(&l, &v));
				ck_assert_int_eq(v.as.i, want[i]);
			}
			ck_assert_uint_eq(l.bytes.n, 0);
		}
		now += chance(300);
		if (step % 50 == 0)
			dive_store_sweep(&store, now, 10);
	}
	dive_store_sweep(&store, now + 100000, 1000);
	ck_assert_uint_eq(store.bytes, 0);
	ck_assert_uint_eq(store.table.used, 0);
}
END_TEST

static void put(const char *key, const char *text, uint64_t now)
{
	uint8_t buf[128];
	struct dk_writer p = dk_writer_on(buf, sizeof(buf)), w = dk_writer_on(buf, 0);
	struct dive_order o = { .op = DK_DIVE_SET, .key = dk_str_c(key), .values.n = 1 };
	uint32_t n;

	dk_value_write(&p, &(struct dk_value){ DK_V_STR, { .s = dk_str_c(text) } });
	o.values.bytes = dk_written(&p);
	ck_assert_int_eq(dive_store_do(&store, &o, now, &w, &n), 0);
}

START_TEST(packed_and_unpacked)
{
	uint16_t b = dive_hrw_bucket(dk_str_c("key"));
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dive_entry *e;
	struct dk_cursor c;

	put("key", "value", 5000);
	e = dive_store_find(&store, dk_str_c("key"), 5000);
	ck_assert_ptr_nonnull(e);
	dive_store_pack(&w, e, 6000);
	ck_assert_uint_eq(dk_written(&w).n, dive_store_packed(e));
	dive_store_empty(&store, b);
	ck_assert_ptr_null(dive_store_find(&store, dk_str_c("key"), 6000));

	c = dk_cursor_of(dk_written(&w));
	ck_assert_int_eq(dive_store_unpack(&store, b, &c, 100), 0); /* another node's clock */
	ck_assert(dk_rd_done(&c));
	ck_assert_ptr_nonnull(dive_store_find(&store, dk_str_c("key"), 100 + 58999));
	ck_assert_ptr_null(dive_store_find(&store, dk_str_c("key"), 100 + 59000));

	c = dk_cursor_of(dk_written(&w));
	ck_assert_int_eq(dive_store_unpack(&store, (uint16_t)(b ^ 1), &c, 100), -EINVAL);
	for (size_t n = 0; n < dk_written(&w).n; n++) {
		c = dk_cursor_of(dk_slice_n(buf, n));
		ck_assert_int_eq(dive_store_unpack(&store, b, &c, 100), -EINVAL);
	}
	for (unsigned i = 0; i < 20000; i++) { /* whatever comes: no more than refused */
		uint8_t bad[256];
		size_t n = dk_written(&w).n;

		memcpy(bad, buf, n);
		for (unsigned k = 0; k < 1 + i % 3; k++)
			bad[chance((unsigned)n)] = (uint8_t)chance(256);
		c = dk_cursor_of(dk_slice_n(bad, n));
		dive_store_unpack(&store, b, &c, 100);
	}
}
END_TEST

/* ---- shares ---- */

START_TEST(shares)
{
	uint64_t ten[10];
	uint16_t before[DIVE_BUCKETS];
	unsigned share[10] = { 0 }, moved = 0;

	for (unsigned i = 0; i < 10; i++) {
		struct dk_addr a = { .ip = { 10, 0, 0, (uint8_t)(i + 1) }, .port = 8000, .family = 4 };

		ten[i] = dive_hrw_node(&a);
	}
	for (uint16_t b = 0; b < DIVE_BUCKETS; b++) {
		before[b] = dive_hrw_owner(ten, 10, b);
		share[before[b]]++;
	}
	for (unsigned i = 0; i < 10; i++) {
		ck_assert_uint_gt(share[i], 60);
		ck_assert_uint_lt(share[i], 160);
	}
	for (uint16_t b = 0; b < DIVE_BUCKETS; b++) {
		uint16_t now = dive_hrw_owner(ten, 9, b); /* the last one left */

		ck_assert(before[b] == 9 || now == before[b]);
		moved += now != before[b];
	}
	ck_assert_uint_eq(moved, share[9]);
	ck_assert_uint_eq(dive_hrw_owner(ten, 0, 5), DIVE_NOBODY);
	/* Part of the protocol: nodes of different versions must agree. */
	ck_assert_uint_eq(dive_hrw_bucket(dk_str_c("key")), dive_hrw_bucket(dk_str_c("key")));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dive_store");
	TCase *tc = tcase_create("dive_store");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, as_the_model);
	tcase_add_test(tc, packed_and_unpacked);
	tcase_add_test(tc, shares);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
