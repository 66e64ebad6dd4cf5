/* SPDX-License-Identifier: Apache-2.0 */
/* Payload forms: worked bytes both ways, limits, and every cut of a good payload, which must be refused and never read beyond. */
#include <diarkis/packet.h>

#include <stdlib.h>

#include "unit.h"

/* A copy whose end is the end of a heap block, so that a sanitizer sees a step beyond it. */
static dk_slice exact(const void *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	ck_assert_ptr_nonnull(copy);
	if (n)
		memcpy(copy, p, n);
	return dk_slice_n(copy, n);
}

static void release(dk_slice s)
{
	free((void *)(uintptr_t)s.p);
}

START_TEST(empty_slices_point_nowhere)
{
	struct dk_cursor c = dk_cursor_of(dk_slice_n(NULL, 0));
	struct dk_writer w = dk_writer_on(NULL, 0);

	ck_assert_uint_eq(dk_rd_left(&c), 0);
	ck_assert(dk_rd_done(&c));
	dk_rd_u8(&c);
	ck_assert(c.bad);
	ck_assert(w.bad);
	dk_wr_u8(&w, 1);
	ck_assert_uint_eq(dk_written(&w).n, 0);
}
END_TEST

START_TEST(list_bytes)
{
	static const uint8_t four[] = { 0, 0, 0, 2, 'a', 'b', 0, 0, 0, 0, 0, 0, 0, 1, 'c' };
	static const uint8_t two[] = { 0, 2, 'a', 'b', 0, 0, 0, 1, 'c' };
	static const uint8_t one[] = { 2, 'a', 'b', 0, 1, 'c' };
	const dk_str items[] = { dk_str_c("ab"), dk_str_c(""), dk_str_c("c") };
	const struct {
		unsigned size;
		dk_slice bytes;
	} forms[] = { { 4, dk_slice_n(four, sizeof(four)) },
		      { 2, dk_slice_n(two, sizeof(two)) },
		      { 1, dk_slice_n(one, sizeof(one)) } };

	for (size_t i = 0; i < DK_ARRAY_LEN(forms); i++) {
		uint8_t buf[32];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));
		dk_str got[3];
		size_t n;

		dk_string_list_put_all(&w, forms[i].size, items, 3);
		ck_assert_uint_eq(dk_written(&w).n, forms[i].bytes.n);
		ck_assert_mem_eq(buf, forms[i].bytes.p, forms[i].bytes.n);
		ck_assert_int_eq(dk_string_list_get_all(forms[i].bytes, forms[i].size, got, 3, &n), 0);
		ck_assert_uint_eq(n, 3);
		for (size_t j = 0; j < 3; j++)
			ck_assert(dk_str_eq(got[j], items[j]));
	}
}
END_TEST

START_TEST(list_cut_short)
{
	uint8_t buf[64];

	for (unsigned size = 1; size <= 4; size *= 2) {
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));
		size_t step = size + 3, whole = 0;

		for (int i = 0; i < 3; i++)
			dk_bytes_list_put(&w, size, dk_slice_n("xyz", 3));
		for (size_t n = 0; n <= dk_written(&w).n; n++) {
			dk_slice cut = exact(buf, n);
			size_t count = 99;
			int rc = dk_bytes_list_count(cut, size, &count);

			if (n % step) {
				ck_assert_int_eq(rc, -EPROTO);
				ck_assert_uint_eq(count, 99);
			} else {
				ck_assert_int_eq(rc, 0);
				ck_assert_uint_eq(count, n / step);
				whole++;
			}
			release(cut);
		}
		ck_assert_uint_eq(whole, 4);
	}
}
END_TEST

START_TEST(list_limits)
{
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 1, 2, 3 };
	uint8_t buf[600], long_item[256] = { 0 };
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	dk_slice items[2] = { { NULL, 7 }, { NULL, 7 } };
	size_t n = 99;

	ck_assert_int_eq(dk_bytes_list_count(dk_slice_n(huge, sizeof(huge)), 4, &n), -EPROTO);
	ck_assert_int_eq(dk_bytes_list_count(dk_slice_n(huge, sizeof(huge)), 3, &n), -EPROTO);
	dk_bytes_list_put(&w, 1, dk_slice_n(long_item, 255));
	ck_assert(!w.bad);
	dk_bytes_list_put(&w, 1, dk_slice_n(long_item, 256));
	ck_assert(w.bad);

	w = dk_writer_on(buf, sizeof(buf));
	dk_bytes_list_put(&w, 3, dk_slice_n("a", 1));
	ck_assert(w.bad);

	w = dk_writer_on(buf, sizeof(buf));
	for (int i = 0; i < 3; i++)
		dk_bytes_list_put(&w, 2, dk_slice_n("abc", 3));
	ck_assert_int_eq(dk_bytes_list_get_all(dk_written(&w), 2, items, 2, &n), DK_FULL);
	ck_assert_uint_eq(n, 99);
	ck_assert_uint_eq(items[0].n, 7);
}
END_TEST

/* { flag bool; ints i16[]; name string; sub struct[]{a u8; b string} } */
static dk_slice puffer_sample(uint8_t *buf, size_t cap)
{
	struct dk_writer w = dk_writer_on(buf, cap);
	size_t mark;

	dk_puffer_wr_bool(&w, false);
	dk_puffer_wr_count(&w, 2);
	dk_puffer_wr_i16(&w, -2);
	dk_puffer_wr_i16(&w, 300);
	dk_puffer_wr_str(&w, dk_str_c("hi"));
	dk_puffer_wr_count(&w, 1);
	mark = dk_puffer_wr_struct_begin(&w);
	dk_wr_u8(&w, 9);
	dk_puffer_wr_str(&w, dk_str_c("z"));
	dk_puffer_wr_struct_end(&w, mark);
	return dk_written(&w);
}

static bool puffer_read(dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes), inner;
	bool flag = dk_puffer_rd_bool(&c), good = true;
	uint16_t n = dk_puffer_rd_count(&c, 2);
	int sum = 0;
	dk_str name;

	for (uint16_t i = 0; i < n; i++)
		sum += dk_puffer_rd_i16(&c);
	name = dk_puffer_rd_str(&c);
	n = dk_puffer_rd_count(&c, 2);
	for (uint16_t i = 0; i < n; i++) {
		inner = dk_puffer_rd_struct(&c);
		good &= dk_rd_u8(&inner) == 9;
		good &= dk_str_eq(dk_puffer_rd_str(&inner), dk_str_c("z"));
		good &= dk_rd_done(&inner);
	}
	return dk_rd_done(&c) && good && n == 1 && !flag && sum == 298 && dk_str_eq(name, dk_str_c("hi"));
}

START_TEST(puffer_bytes)
{
	static const uint8_t want[] = { 2, 0, 2, 0xff, 0xfe, 0x01, 0x2c, 0, 2, 'h', 'i', 0, 1, 0, 4, 9, 0, 1, 'z' };
	uint8_t buf[64];
	dk_slice got = puffer_sample(buf, sizeof(buf));

	ck_assert_uint_eq(got.n, sizeof(want));
	ck_assert_mem_eq(got.p, want, sizeof(want));
	ck_assert(puffer_read(got));
	for (size_t n = 0; n < got.n; n++) {
		dk_slice cut = exact(got.p, n);

		ck_assert_msg(!puffer_read(cut), "accepted when cut to %zu bytes", n);
		release(cut);
		ck_assert_uint_eq(puffer_sample((uint8_t[64]){ 0 }, n).n, 0);
	}
}
END_TEST

START_TEST(puffer_integers)
{
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_cursor c;

	dk_puffer_wr_i8(&w, INT8_MIN);
	dk_puffer_wr_i16(&w, INT16_MIN);
	dk_puffer_wr_i32(&w, INT32_MIN);
	dk_puffer_wr_i64(&w, INT64_MIN);
	dk_puffer_wr_i64(&w, INT64_MAX);
	dk_puffer_wr_bytes(&w, dk_slice_n("\0\1", 2));
	c = dk_cursor_of(dk_written(&w));
	ck_assert_int_eq(dk_puffer_rd_i8(&c), INT8_MIN);
	ck_assert_int_eq(dk_puffer_rd_i16(&c), INT16_MIN);
	ck_assert_int_eq(dk_puffer_rd_i32(&c), INT32_MIN);
	ck_assert_int_eq(dk_puffer_rd_i64(&c), INT64_MIN);
	ck_assert_int_eq(dk_puffer_rd_i64(&c), INT64_MAX);
	ck_assert_uint_eq(dk_puffer_rd_bytes(&c).n, 2);
	ck_assert(dk_rd_done(&c));
}
END_TEST

START_TEST(puffer_bools)
{
	for (unsigned b = 0; b < 256; b++) {
		uint8_t byte = (uint8_t)b;
		struct dk_cursor c = dk_cursor_of(dk_slice_n(&byte, 1));
		bool v = dk_puffer_rd_bool(&c);

		ck_assert_int_eq(c.bad, b != 1 && b != 2);
		ck_assert_int_eq(v, b == 1);
	}
}
END_TEST

START_TEST(puffer_counts)
{
	static const uint8_t lies[] = { 0xff, 0xff, 1, 2, 3, 4 };
	static const uint8_t true_count[] = { 0, 2, 1, 2, 3, 4 };
	struct dk_cursor c = dk_cursor_of(dk_slice_n(lies, sizeof(lies)));
	uint8_t buf[8];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	ck_assert_uint_eq(dk_puffer_rd_count(&c, 2), 0);
	ck_assert(c.bad);
	c = dk_cursor_of(dk_slice_n(true_count, sizeof(true_count)));
	ck_assert_uint_eq(dk_puffer_rd_count(&c, 2), 2);
	ck_assert(!c.bad);
	c = dk_cursor_of(dk_slice_n(true_count, sizeof(true_count)));
	ck_assert_uint_eq(dk_puffer_rd_count(&c, 3), 0);
	dk_puffer_wr_count(&w, 65536);
	ck_assert(w.bad);
}
END_TEST

START_TEST(puffer_struct_too_long)
{
	static uint8_t buf[70000];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	size_t mark = dk_puffer_wr_struct_begin(&w);

	dk_wr_take(&w, 65535);
	dk_puffer_wr_struct_end(&w, mark);
	ck_assert(!w.bad);
	mark = dk_puffer_wr_struct_begin(&w);
	dk_wr_take(&w, 4000);
	dk_puffer_wr_struct_end(&w, mark);
	ck_assert(!w.bad);
	w = dk_writer_on(buf, sizeof(buf));
	mark = dk_puffer_wr_struct_begin(&w);
	dk_wr_take(&w, 65536);
	dk_puffer_wr_struct_end(&w, mark);
	ck_assert(w.bad);
}
END_TEST

START_TEST(float_map)
{
	static const uint8_t want[] = { 0, 2, 0, 2, 'h', 'p', 0x40, 0x59, 0, 0, 0, 0, 0, 0, 0, 0, 0xbf, 0xf0, 0, 0, 0, 0, 0, 0 };
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	double v = 7;

	dk_f64_map_begin(&w, 2);
	dk_f64_map_put(&w, dk_str_c("hp"), 100);
	dk_f64_map_put(&w, dk_str_c(""), -1);
	ck_assert_uint_eq(dk_written(&w).n, sizeof(want));
	ck_assert_mem_eq(buf, want, sizeof(want));
	ck_assert_int_eq(dk_f64_map_get(dk_written(&w), dk_str_c("mp"), &v), DK_NOT_FOUND);
	ck_assert(v == 7);
	ck_assert_int_eq(dk_f64_map_get(dk_written(&w), dk_str_c("hp"), &v), 0);
	ck_assert(v == 100);
	ck_assert_int_eq(dk_f64_map_get(dk_written(&w), dk_str_c(""), &v), 0);
	ck_assert(v == -1);
	for (size_t n = 0; n < sizeof(want); n++) {
		dk_slice cut = exact(want, n);

		ck_assert_int_eq(dk_f64_map_get(cut, dk_str_c("hp"), &v), -EPROTO);
		release(cut);
	}
	buf[sizeof(want)] = 0;
	ck_assert_int_eq(dk_f64_map_get(dk_slice_n(buf, sizeof(want) + 1), dk_str_c("hp"), &v), -EPROTO);
	ck_assert(v == -1);
}
END_TEST

UNIT_MAIN("packet", empty_slices_point_nowhere, list_bytes, list_cut_short, list_limits, puffer_bytes, puffer_integers,
	  puffer_bools, puffer_counts, puffer_struct_too_long, float_map)
