/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers for plugin authors: hexadecimal, strict numbers, secrets, UUIDs. */
#include <diarkis/uuid.h>

#include "unit.h"

/* Stands in for the node's generator: a fixed pattern, or failure. */
int dk_random(void *self, void *buf, size_t n)
{
	if (!self)
		return -EIO;
	memset(buf, *(int *)self, n);
	return 0;
}

START_TEST(hex)
{
	static const uint8_t bytes[] = { 0x00, 0x1f, 0xa0, 0xff };
	uint8_t back[4] = { 9, 9, 9, 9 };
	char text[9] = "";

	dk_hex_format(dk_slice_n(bytes, 4), text);
	ck_assert_str_eq(text, "001fa0ff");
	ck_assert_int_eq(dk_hex_parse(dk_str_c("001FA0fF"), 4, back), 0);
	ck_assert_mem_eq(back, bytes, 4);
	ck_assert_int_eq(dk_hex_parse(dk_str_c(""), 0, back), 0);
	ck_assert_int_eq(dk_hex_parse(dk_str_c("001fa0f"), 4, back), -EINVAL);
	ck_assert_int_eq(dk_hex_parse(dk_str_c("001fa0ff"), 3, back), -EINVAL);
	ck_assert_int_eq(dk_hex_parse(dk_str_c("ff1fa0fg"), 4, back), -EINVAL);
	ck_assert_int_eq(dk_hex_parse(dk_str_c("ff 1fa0f"), 4, back), -EINVAL);
	ck_assert_mem_eq(back, bytes, 4);
}
END_TEST

START_TEST(unsigned_numbers)
{
	static const char *const wrong[] = { "", " 1", "1 ", "+1", "-1", "0x10", "1.0", "1e3", "one", "1\n" };
	uint64_t v = 77;

	for (size_t i = 0; i < DK_ARRAY_LEN(wrong); i++)
		ck_assert_msg(dk_uint_parse(dk_str_c(wrong[i]), UINT64_MAX, &v) == -EINVAL, "\"%s\" was accepted", wrong[i]);
	ck_assert_int_eq(dk_uint_parse(dk_str_n("1\0", 2), 9, &v), -EINVAL);
	ck_assert_int_eq(dk_uint_parse(dk_str_c("256"), 255, &v), -ERANGE);
	ck_assert_int_eq(dk_uint_parse(dk_str_c("7"), 6, &v), -ERANGE);
	ck_assert_int_eq(dk_uint_parse(dk_str_c("18446744073709551616"), UINT64_MAX, &v), -ERANGE);
	ck_assert_int_eq(dk_uint_parse(dk_str_c("99999999999999999999999"), UINT64_MAX, &v), -ERANGE);
	ck_assert_uint_eq(v, 77);
	ck_assert_int_eq(dk_uint_parse(dk_str_c("18446744073709551615"), UINT64_MAX, &v), 0);
	ck_assert(v == UINT64_MAX);
	ck_assert_int_eq(dk_uint_parse(dk_str_c("00255"), 255, &v), 0);
	ck_assert_uint_eq(v, 255);
	ck_assert_int_eq(dk_uint_parse(dk_str_c("0"), 0, &v), 0);
	ck_assert_uint_eq(v, 0);
	/* A view into a longer text ends where it ends. */
	ck_assert_int_eq(dk_uint_parse(dk_str_n("123456", 3), 1000, &v), 0);
	ck_assert_uint_eq(v, 123);
}
END_TEST

START_TEST(signed_numbers)
{
	int64_t v = 77;

	ck_assert_int_eq(dk_int_parse(dk_str_c("-"), INT64_MIN, INT64_MAX, &v), -EINVAL);
	ck_assert_int_eq(dk_int_parse(dk_str_c("--1"), INT64_MIN, INT64_MAX, &v), -EINVAL);
	ck_assert_int_eq(dk_int_parse(dk_str_c("+1"), INT64_MIN, INT64_MAX, &v), -EINVAL);
	ck_assert_int_eq(dk_int_parse(dk_str_c("-9223372036854775809"), INT64_MIN, INT64_MAX, &v), -ERANGE);
	ck_assert_int_eq(dk_int_parse(dk_str_c("9223372036854775808"), INT64_MIN, INT64_MAX, &v), -ERANGE);
	ck_assert_int_eq(dk_int_parse(dk_str_c("-11"), -10, 10, &v), -ERANGE);
	ck_assert_int_eq(v, 77);
	ck_assert_int_eq(dk_int_parse(dk_str_c("-9223372036854775808"), INT64_MIN, INT64_MAX, &v), 0);
	ck_assert(v == INT64_MIN);
	ck_assert_int_eq(dk_int_parse(dk_str_c("9223372036854775807"), INT64_MIN, INT64_MAX, &v), 0);
	ck_assert(v == INT64_MAX);
	ck_assert_int_eq(dk_int_parse(dk_str_c("-0"), -10, 10, &v), 0);
	ck_assert_int_eq(v, 0);
}
END_TEST

START_TEST(secrets)
{
	ck_assert(dk_secret_eq(dk_slice_n("abc", 3), dk_slice_n("abc", 3)));
	ck_assert(dk_secret_eq(dk_slice_n(NULL, 0), dk_slice_n("", 0)));
	ck_assert(!dk_secret_eq(dk_slice_n("abc", 3), dk_slice_n("abd", 3)));
	ck_assert(!dk_secret_eq(dk_slice_n("xbc", 3), dk_slice_n("abc", 3)));
	ck_assert(!dk_secret_eq(dk_slice_n("abc", 3), dk_slice_n("abcd", 4)));
}
END_TEST

START_TEST(uuids)
{
	struct dk_uuid id, other = { { 1 } };
	char text[DK_UUID_TEXT];
	int pattern = 0xff;

	ck_assert_int_eq(dk_uuid_new(&pattern, &id), 0);
	dk_uuid_format(&id, text);
	ck_assert_str_eq(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
	ck_assert_int_eq(dk_uuid_parse(dk_str_c("FFFFFFFF-ffff-4FFF-bfff-ffffffffffff"), &other), 0);
	ck_assert(dk_uuid_eq(&id, &other));
	pattern = 0;
	ck_assert_int_eq(dk_uuid_new(&pattern, &id), 0);
	dk_uuid_format(&id, text);
	ck_assert_str_eq(text, "00000000-0000-4000-8000-000000000000");
	ck_assert_int_eq(dk_uuid_parse(dk_str_c("00000000000040008000000000000000"), &other), 0);
	ck_assert(dk_uuid_eq(&id, &other));
	ck_assert_int_eq(dk_uuid_new(NULL, &other), -EIO);
	ck_assert(dk_uuid_eq(&id, &other));
}
END_TEST

START_TEST(uuids_malformed)
{
	static const char *const wrong[] = { "",
					     "ffffffff-ffff-4fff-bfff-fffffffffff",
					     "ffffffff-ffff-4fff-bfff-fffffffffffff",
					     "ffffffff-ffff-4fff-bfff-ffffffffffg0",
					     "ffffffff-ffff-4fff-bffff-fffffffffff",
					     "ffffffffffffffffffffffffffffffff0000",
					     "------------------------------------",
					     "ffffffffffffffffffffffffffffffzz" };
	struct dk_uuid id = { { 5 } };

	for (size_t i = 0; i < DK_ARRAY_LEN(wrong); i++)
		ck_assert_msg(dk_uuid_parse(dk_str_c(wrong[i]), &id) == -EINVAL, "\"%s\" was accepted", wrong[i]);
	ck_assert_uint_eq(id.b[0], 5);
}
END_TEST

UNIT_MAIN("util", hex, unsigned_numbers, signed_numbers, secrets, uuids, uuids_malformed)
