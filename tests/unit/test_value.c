/* SPDX-License-Identifier: Apache-2.0 */
/* Typed values: what may be read as what, their bytes, and capsules that are none. */
#include <diarkis/packed.h>

#include <math.h>

#include "unit.h"

START_TEST(whole_numbers_of_any_width_that_fits)
{
	struct dk_value v = dk_value_i64(200);
	uint8_t u8 = 1;
	int8_t i8 = 1;
	uint64_t u64 = 1;
	int64_t i64 = 1;
	uint32_t u32 = 1;
	int16_t i16 = 1;

	ck_assert_int_eq(dk_value_get_u8(&v, &u8), 0);
	ck_assert_uint_eq(u8, 200);
	ck_assert_int_eq(dk_value_get_i8(&v, &i8), DK_VALUE_RANGE);
	ck_assert_int_eq(i8, 1);
	v = dk_value_i8(-1);
	ck_assert_int_eq(dk_value_get_i16(&v, &i16), 0);
	ck_assert_int_eq(i16, -1);
	ck_assert_int_eq(dk_value_get_u8(&v, &u8), DK_VALUE_RANGE);
	ck_assert_int_eq(dk_value_get_u64(&v, &u64), DK_VALUE_RANGE);
	ck_assert_uint_eq(u8, 200);
	v = dk_value_u64(UINT64_MAX);
	ck_assert_int_eq(dk_value_get_u64(&v, &u64), 0);
	ck_assert(u64 == UINT64_MAX);
	ck_assert_int_eq(dk_value_get_i64(&v, &i64), DK_VALUE_RANGE);
	v = dk_value_u64(INT64_MAX);
	ck_assert_int_eq(dk_value_get_i64(&v, &i64), 0);
	ck_assert(i64 == INT64_MAX);
	ck_assert_int_eq(dk_value_get_u32(&v, &u32), DK_VALUE_RANGE);
	v = dk_value_i64(INT64_MIN);
	ck_assert_int_eq(dk_value_get_i64(&v, &i64), 0);
	ck_assert(i64 == INT64_MIN);
}
END_TEST

START_TEST(nothing_is_converted)
{
	struct dk_value values[] = { dk_value_bool(true),
				     dk_value_i64(1),
				     dk_value_f64(1),
				     dk_value_str(dk_str_c("1")),
				     dk_value_bytes(dk_slice_n("1", 1)),
				     dk_value_capsule(dk_slice_n("\0\0", 2)) };
	struct dk_array a;
	int64_t i;
	double f;
	bool b;
	dk_str s;
	dk_slice bytes;

	for (size_t at = 0; at < DK_ARRAY_LEN(values); at++) {
		const struct dk_value *v = &values[at];

		ck_assert_int_eq(dk_value_get_bool(v, &b), at == 0 ? 0 : DK_VALUE_TYPE);
		ck_assert_int_eq(dk_value_get_i64(v, &i), at == 1 ? 0 : DK_VALUE_TYPE);
		ck_assert_int_eq(dk_value_get_f64(v, &f), at == 2 ? 0 : DK_VALUE_TYPE);
		ck_assert_int_eq(dk_value_get_str(v, &s), at == 3 ? 0 : DK_VALUE_TYPE);
		ck_assert_int_eq(dk_value_get_bytes(v, &bytes), at == 4 ? 0 : DK_VALUE_TYPE);
		ck_assert_int_eq(dk_value_get_capsule(v, &bytes), at == 5 ? 0 : DK_VALUE_TYPE);
		ck_assert_int_eq(dk_value_get_array(v, DK_V_U8, &a), DK_VALUE_TYPE);
	}
}
END_TEST

START_TEST(floats_that_fit)
{
	struct dk_value v = dk_value_f64(0.1);
	double d = 7;
	float f = 7;

	ck_assert_int_eq(dk_value_get_f32(&v, &f), DK_VALUE_RANGE);
	ck_assert(f == 7);
	v = dk_value_f64(1e300);
	ck_assert_int_eq(dk_value_get_f32(&v, &f), DK_VALUE_RANGE);
	v = dk_value_f64(0.5);
	ck_assert_int_eq(dk_value_get_f32(&v, &f), 0);
	ck_assert(f == 0.5f);
	v = dk_value_f32(0.1f);
	ck_assert_int_eq(dk_value_get_f32(&v, &f), 0);
	ck_assert(f == 0.1f);
	ck_assert_int_eq(dk_value_get_f64(&v, &d), 0);
	ck_assert(d == (double)0.1f);
	v = dk_value_f64(-INFINITY);
	ck_assert_int_eq(dk_value_get_f32(&v, &f), 0);
	ck_assert(isinf(f) && f < 0);
	v = dk_value_f64(NAN);
	ck_assert_int_eq(dk_value_get_f32(&v, &f), 0);
	ck_assert(isnan(f));
}
END_TEST

START_TEST(bytes)
{
	static const struct {
		struct dk_value v;
		const char *bytes;
		size_t n;
	} cases[] = {
		{ { DK_V_BOOL, { .b = true } }, "\x01\x01", 2 },
		{ { DK_V_INT, { .i = -2 } }, "\x02\xff\xff\xff\xff\xff\xff\xff\xfe", 9 },
		{ { DK_V_F64, { .f = 1.5 } }, "\x03\x3f\xf8\0\0\0\0\0\0", 9 },
		{ { DK_V_STR, { .s = { "ab", 2 } } },
		  "\x04\0\0\0\x02"
		  "ab",
		  7 },
		{ { DK_V_BYTES, { .bytes = { NULL, 0 } } }, "\x05\0\0\0\0", 5 },
		{ { DK_V_CAPSULE, { .bytes = { (const uint8_t *)"\0\0", 2 } } }, "\x06\0\0\0\x02\0\0", 7 },
		{ { DK_V_I8, { .i = -128 } }, "\x07\x80", 2 },
		{ { DK_V_I16, { .i = -2 } }, "\x08\xff\xfe", 3 },
		{ { DK_V_I32, { .i = INT32_MIN } }, "\x09\x80\0\0\0", 5 },
		{ { DK_V_U8, { .i = 255 } }, "\x0a\xff", 2 },
		{ { DK_V_U16, { .i = 0xfffe } }, "\x0b\xff\xfe", 3 },
		{ { DK_V_U32, { .i = 0xfffffffe } }, "\x0c\xff\xff\xff\xfe", 5 },
		{ { DK_V_U64, { .u = UINT64_MAX } }, "\x0d\xff\xff\xff\xff\xff\xff\xff\xff", 9 },
		{ { DK_V_F32, { .f = -2 } }, "\x0e\xc0\0\0\0", 5 },
		{ { DK_V_ARRAY_OF(DK_V_U16), { .bytes = { (const uint8_t *)"\0\1\0\2", 4 } } }, "\x8b\0\0\0\x04\0\1\0\2", 9 },
	};

	for (size_t i = 0; i < DK_ARRAY_LEN(cases); i++) {
		uint8_t buf[16], again[16];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf)), w2 = dk_writer_on(again, sizeof(again));
		struct dk_cursor c;
		struct dk_value v;

		dk_value_write(&w, &cases[i].v);
		ck_assert_uint_eq(dk_written(&w).n, cases[i].n);
		ck_assert_mem_eq(buf, cases[i].bytes, cases[i].n);
		c = dk_cursor_of(dk_written(&w));
		v = dk_value_read(&c);
		ck_assert(dk_rd_done(&c));
		ck_assert(dk_value_ok(&v, 2));
		ck_assert_int_eq(v.type, cases[i].v.type);
		dk_value_write(&w2, &v);
		ck_assert_uint_eq(dk_written(&w2).n, cases[i].n);
		ck_assert_mem_eq(again, buf, cases[i].n);
		for (size_t cut = 0; cut < cases[i].n; cut++) {
			c = dk_cursor_of(dk_slice_n(buf, cut));
			dk_value_read(&c);
			ck_assert(c.bad);
		}
	}
}
END_TEST

START_TEST(arrays)
{
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_value v, item;
	struct dk_array a;
	dk_str s;

	dk_array_add_str(&w, dk_str_c("one"));
	dk_array_add_str(&w, dk_str_c(""));
	v = dk_value_array(DK_V_STR, dk_written(&w));
	ck_assert(dk_value_ok(&v, 1));
	ck_assert_int_eq(dk_value_get_array(&v, DK_V_BYTES, &a), DK_VALUE_TYPE);
	ck_assert_int_eq(dk_value_get_array(&v, DK_V_STR, &a), 0);
	ck_assert(dk_array_next(&a, &item));
	ck_assert_int_eq(dk_value_get_str(&item, &s), 0);
	ck_assert(dk_str_eq(s, dk_str_c("one")));
	ck_assert(dk_array_next(&a, &item));
	ck_assert_uint_eq(item.as.s.n, 0);
	ck_assert(!dk_array_next(&a, &item));

	v = dk_value_array(DK_V_STR, dk_slice_n(buf, 6)); /* ends in the middle of "one" */
	ck_assert(!dk_value_ok(&v, 1));
	v = dk_value_array(DK_V_U32, dk_slice_n(buf, 6));
	ck_assert(!dk_value_ok(&v, 1));
	v = dk_value_array(DK_V_BOOL, dk_slice_n("\1\0\2", 3));
	ck_assert(!dk_value_ok(&v, 1));
	v = dk_value_array(DK_V_I8, dk_slice_n(NULL, 0)); /* of nothing: of everything */
	ck_assert_int_eq(dk_value_get_array(&v, DK_V_STR, &a), 0);
	ck_assert(!dk_array_next(&a, &item));
	v = dk_value_of_bytes(DK_V_ARRAY, dk_slice_n(NULL, 0));
	ck_assert(!dk_value_ok(&v, 1));
	v = dk_value_array(DK_V_TYPES, dk_slice_n(NULL, 0));
	ck_assert(!dk_value_ok(&v, 1));
}
END_TEST

#define OK(bytes, depth) dk_capsule_ok(dk_slice_n(bytes, sizeof(bytes) - 1), depth)
START_TEST(capsules_that_are_none)
{
	ck_assert(OK("\0\0", 1));
	ck_assert(!OK("", 1));
	ck_assert(!OK("\0\0\0", 1)); /* something is left over */
	ck_assert(!OK("\0\0", 0));
	ck_assert(OK("\0\1\1a\x0a\x07", 1));
	ck_assert(!OK("\0\2\1a\x0a\x07", 1)); /* one is missing */
	ck_assert(!OK("\0\1\0\x0a\x07", 1)); /* no name */
	ck_assert(!OK("\0\1\1a\x0f\x07", 1)); /* no such type */
	ck_assert(!OK("\0\1\1a\0\x07", 1));
	ck_assert(!OK("\0\1\1a\1\2", 1)); /* a bool is 0 or 1 */
	ck_assert(OK("\0\2\1a\x0a\x07\1b\x0a\x07", 1));
	ck_assert(!OK("\0\2\1a\x0a\x07\1a\x0a\x07", 1)); /* twice */
	ck_assert(OK("\0\1\1a\6\0\0\0\2\0\0", 2));
	ck_assert(!OK("\0\1\1a\6\0\0\0\2\0\0", 1)); /* too deep */
	ck_assert(!OK("\0\1\1a\6\0\0\0\2\0\1", 2)); /* the inner one is none */
	ck_assert(OK("\0\1\1a\x86\0\0\0\6\0\0\0\2\0\0", 2)); /* an array of one */
	ck_assert(!OK("\0\1\1a\x86\0\0\0\6\0\0\0\2\0\1", 2));
	ck_assert(!OK("\0\1\1a\x86\0\0\0\6\0\0\0\2\0\0", 1));
	ck_assert(!OK("\0\1\1a\5\xff\xff\xff\xff", 1));
}
END_TEST

static bool many(unsigned n)
{
	static uint8_t buf[4096];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_value v = dk_value_bool(true);

	dk_wr_u16(&w, (uint16_t)n);
	for (unsigned i = 0; i < n; i++) {
		uint8_t name[2] = { (uint8_t)(i >> 8), (uint8_t)i };

		dk_wr_bytes8(&w, dk_slice_n(name, 2));
		dk_value_write(&w, &v);
	}
	ck_assert(!w.bad);
	return dk_capsule_ok(dk_written(&w), 1);
}

START_TEST(as_many_names_as_a_room_has)
{
	ck_assert(many(DK_CAPSULE_NAMES_MAX));
	ck_assert(!many(DK_CAPSULE_NAMES_MAX + 1));
}
END_TEST

START_TEST(one_name_of_many)
{
	dk_slice packed = dk_slice_n("\0\2\1a\x0a\x07\1b\x0a\x08", 10);
	struct dk_value v;
	uint8_t x;

	ck_assert_int_eq(dk_packed_get(packed, dk_str_c("b"), &v), 0);
	ck_assert_int_eq(dk_value_get_u8(&v, &x), 0);
	ck_assert_uint_eq(x, 8);
	ck_assert_int_eq(dk_packed_get(packed, dk_str_c("c"), &v), DK_NOT_FOUND);
}
END_TEST

UNIT_MAIN("value", whole_numbers_of_any_width_that_fits, nothing_is_converted, floats_that_fit, bytes, arrays,
	  capsules_that_are_none, as_many_names_as_a_room_has, one_name_of_many)
