/* SPDX-License-Identifier: Apache-2.0 */
/* Typed values by name: the rules, the limits, and bytes that give the same values again. */
#include <check.h>
#include <errno.h>

#include <diarkis/diarkis.h>
#include <diarkis/err.h>

#include "plugins/props.h"

static const struct props_limits most = { 4, 100 };
static struct dk_env *env;
static struct dk_kernel *kernel;
static struct props ps;
static void *self;

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
	ps = (struct props){ .n = 0 };
}

static void teardown(void)
{
	props_clear(self, &ps);
	dk_kernel_free(kernel);
	dk_env_free(env);
}

static int set_int(const char *name, int64_t i)
{
	struct dk_value v = { .type = DK_V_INT, .as.i = i };

	return props_set(self, &ps, &most, dk_str_c(name), &v);
}

static int set_text(const char *name, const char *text)
{
	struct dk_value v = { .type = DK_V_STR, .as.s = dk_str_c(text) };

	return props_set(self, &ps, &most, dk_str_c(name), &v);
}

static int64_t get_int(const char *name)
{
	struct dk_value v;

	ck_assert_int_eq(props_get(&ps, dk_str_c(name), &v), 0);
	ck_assert_int_eq(v.type, DK_V_INT);
	return v.as.i;
}

START_TEST(values_by_name)
{
	struct dk_value v;
	dk_str name;
	const struct prop *at = NULL;

	ck_assert_int_eq(props_get(&ps, dk_str_c("a"), &v), DK_NOT_FOUND);
	ck_assert_int_eq(set_int("a", -7), 0);
	ck_assert_int_eq(set_text("b", "text"), 0);
	ck_assert_int_eq(get_int("a"), -7);
	ck_assert_int_eq(set_text("a", "now text"), 0);
	ck_assert_int_eq(props_get(&ps, dk_str_c("a"), &v), 0);
	ck_assert(v.type == DK_V_STR && dk_str_eq(v.as.s, dk_str_c("now text")));
	ck_assert_uint_eq(ps.n, 2);
	ck_assert_uint_eq(ps.bytes, 2 + 8 + 4);

	/* in order of their first set */
	ck_assert(props_next(&ps, &at, &name, &v));
	ck_assert(dk_str_eq(name, dk_str_c("a")));
	ck_assert(props_next(&ps, &at, &name, &v));
	ck_assert(dk_str_eq(name, dk_str_c("b")));
	ck_assert(!props_next(&ps, &at, &name, &v));

	ck_assert_int_eq(props_unset(self, &ps, dk_str_c("a")), 0);
	ck_assert_int_eq(props_unset(self, &ps, dk_str_c("a")), DK_NOT_FOUND);
	ck_assert_uint_eq(ps.bytes, 1 + 4);
}
END_TEST

START_TEST(limits)
{
	char long_text[100] = { 0 };
	struct dk_value none = { .type = DK_V_NONE };

	ck_assert_int_eq(set_int("", 1), -EINVAL);
	ck_assert_int_eq(props_set(self, &ps, &most, dk_str_c("a"), &none), -EINVAL);
	memset(long_text, '.', sizeof(long_text) - 1);
	ck_assert_int_eq(set_text("a", long_text), 0); /* 1 + 99 */
	ck_assert_int_eq(set_text("aa", ""), DK_FULL);
	ck_assert_int_eq(set_int("a", 1), 0);
	ck_assert_int_eq(set_int("b", 1), 0);
	ck_assert_int_eq(set_int("c", 1), 0);
	ck_assert_int_eq(set_int("d", 1), 0);
	ck_assert_int_eq(set_int("e", 1), DK_FULL);
	ck_assert_int_eq(set_int("d", 2), 0);
}
END_TEST

START_TEST(increments)
{
	int64_t v = 0;

	ck_assert_int_eq(props_incr(self, &ps, &most, dk_str_c("a"), 5, &v), 0);
	ck_assert_int_eq(props_incr(self, &ps, &most, dk_str_c("a"), -7, &v), 0);
	ck_assert_int_eq(v, -2);
	ck_assert_int_eq(get_int("a"), -2);
	ck_assert_int_eq(set_int("a", INT64_MAX), 0);
	ck_assert_int_eq(props_incr(self, &ps, &most, dk_str_c("a"), 1, &v), DK_REFUSED);
	ck_assert_int_eq(get_int("a"), INT64_MAX);
	ck_assert_int_eq(set_text("t", "1"), 0);
	ck_assert_int_eq(props_incr(self, &ps, &most, dk_str_c("t"), 1, &v), DK_REFUSED);
	ck_assert_int_eq(v, -2);
}
END_TEST

/* The values' bytes are copied, counted and checked. */
START_TEST(capsules_and_arrays)
{
	char packed[] = "\0\1\1a\x0a\x07", elements[] = "\0\1\0\2";
	struct dk_value capsule = dk_value_capsule(dk_slice_n(packed, 6)),
			array = dk_value_array(DK_V_U16, dk_slice_n(elements, 4));
	struct dk_value narrow = dk_value_i8(-3), v, a;
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_cursor c;
	struct dk_array at;
	dk_slice inner;
	int64_t sum;
	int8_t i8;
	uint8_t u8;

	ck_assert_int_eq(props_set(self, &ps, &most, dk_str_c("c"), &capsule), 0);
	ck_assert_int_eq(props_set(self, &ps, &most, dk_str_c("a"), &array), 0);
	ck_assert_int_eq(props_set(self, &ps, &most, dk_str_c("n"), &narrow), 0);
	ck_assert_uint_eq(ps.bytes, 1 + 6 + 1 + 4 + 1);
	memset(packed, 0xff, sizeof(packed));
	memset(elements, 0xff, sizeof(elements));
	ck_assert_int_eq(props_set(self, &ps, &most, dk_str_c("x"), &capsule), -EINVAL);
	array = dk_value_array(DK_V_U16, dk_slice_n(elements, 3));
	ck_assert_int_eq(props_set(self, &ps, &most, dk_str_c("x"), &array), -EINVAL);
	ck_assert_int_eq(props_incr(self, &ps, &most, dk_str_c("n"), 1, &sum), DK_REFUSED);

	props_pack(&ps, &w);
	props_clear(self, &ps);
	c = dk_cursor_of(dk_written(&w));
	ck_assert_int_eq(props_unpack(self, &ps, &most, &c), 0);
	ck_assert_int_eq(props_get(&ps, dk_str_c("c"), &v), 0);
	ck_assert_int_eq(dk_value_get_capsule(&v, &inner), 0);
	ck_assert_int_eq(dk_packed_get(inner, dk_str_c("a"), &v), 0);
	ck_assert_int_eq(dk_value_get_u8(&v, &u8), 0);
	ck_assert_uint_eq(u8, 7);
	ck_assert_int_eq(props_get(&ps, dk_str_c("a"), &v), 0);
	ck_assert_int_eq(dk_value_get_array(&v, DK_V_U16, &at), 0);
	ck_assert(dk_array_next(&at, &a) && a.as.i == 1);
	ck_assert(dk_array_next(&at, &a) && a.as.i == 2);
	ck_assert_int_eq(props_get(&ps, dk_str_c("n"), &v), 0);
	ck_assert_int_eq(v.type, DK_V_I8);
	ck_assert_int_eq(dk_value_get_i8(&v, &i8), 0);
	ck_assert_int_eq(i8, -3);
}
END_TEST

START_TEST(bytes_and_back)
{
	uint8_t buf[256], again[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), w2 = dk_writer_on(again, sizeof(again));
	struct props other = { .n = 0 };
	struct dk_cursor c;
	dk_slice packed;

	ck_assert_int_eq(set_int("i", INT64_MIN), 0);
	ck_assert_int_eq(set_text("s", "text"), 0);
	ck_assert_int_eq(props_set(self, &ps, &most, dk_str_c("b"), &(struct dk_value){ DK_V_BOOL, { .b = true } }), 0);
	ck_assert_int_eq(props_set(self, &ps, &most, dk_str_c("f"), &(struct dk_value){ DK_V_F64, { .f = 0.1 } }), 0);
	props_pack(&ps, &w);
	packed = dk_written(&w);
	ck_assert_uint_gt(packed.n, 0);

	c = dk_cursor_of(packed);
	ck_assert_int_eq(props_unpack(self, &other, &most, &c), 0);
	ck_assert(dk_rd_done(&c));
	props_pack(&other, &w2);
	ck_assert_uint_eq(dk_written(&w2).n, packed.n);
	ck_assert_mem_eq(again, buf, packed.n);
	props_clear(self, &other);

	/* what is cut short, named twice or of no type leaves nothing behind */
	for (size_t n = 0; n < packed.n; n++) {
		c = dk_cursor_of(dk_slice_n(buf, n));
		ck_assert_int_eq(props_unpack(self, &other, &most, &c), -EPROTO);
		ck_assert_ptr_null(other.first);
		ck_assert_uint_eq(other.n + other.bytes, 0);
	}
	c = dk_cursor_of(dk_slice_n("\0\2\1a\1\1\1a\1\1", 10));
	ck_assert_int_eq(props_unpack(self, &other, &most, &c), -EPROTO);
	c = dk_cursor_of(dk_slice_n("\0\1\1a\6\1", 6));
	ck_assert_int_eq(props_unpack(self, &other, &most, &c), -EPROTO);
	c = dk_cursor_of(dk_slice_n("\0\1\1a\1\2", 6));
	ck_assert_int_eq(props_unpack(self, &other, &most, &c), -EPROTO);
	c = dk_cursor_of(dk_slice_n("\0\5\1a\1\1\1b\1\1\1c\1\1\1d\1\1\1e\1\1", 22));
	ck_assert_int_eq(props_unpack(self, &other, &most, &c), DK_FULL);
	ck_assert_ptr_null(other.first);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("props");
	TCase *t = tcase_create("props");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, values_by_name);
	tcase_add_test(t, limits);
	tcase_add_test(t, increments);
	tcase_add_test(t, capsules_and_arrays);
	tcase_add_test(t, bytes_and_back);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
