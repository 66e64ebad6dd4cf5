/* SPDX-License-Identifier: Apache-2.0 */
/* Typed data between nodes: the table decides what may be set, read and taken from bytes. */
#include <diarkis/td.h>

#include "unit.h"

static const struct dk_td_field fields[] = {
	{ "in_room", DK_V_BOOL },
	{ "uid", DK_V_STR },
	{ "token", DK_V_BYTES },
	{ "level", DK_V_U16 },
	{ "score", DK_V_INT },
	{ "speed", DK_V_F32 },
	{ "sessions", DK_V_ARRAY_OF(DK_V_STR) },
	{ "keys", DK_V_ARRAY_OF(DK_V_BYTES) },
	{ "slots", DK_V_ARRAY_OF(DK_V_U8) },
};

/* The same seen by a node of another version: one field less, one more. */
static const struct dk_td_field newer[] = { { "uid", DK_V_STR }, { "level", DK_V_U16 }, { "clan", DK_V_STR } };
/* And by one that thinks otherwise. */
static const struct dk_td_field other[] = { { "uid", DK_V_STR }, { "level", DK_V_U32 } };

static uint8_t out[512], elements[64];

static dk_slice status_bytes(void)
{
	DK_TD(td, fields);
	struct dk_writer w = dk_writer_on(out, sizeof(out)), e = dk_writer_on(elements, sizeof(elements)), keys;

	dk_array_add_str(&e, dk_str_c("party"));
	dk_array_add_str(&e, dk_str_c("raid"));
	keys = dk_writer_on(e.p, (size_t)(e.end - e.p));
	dk_array_add_bytes(&keys, dk_slice_n("\0\1", 2));
	ck_assert_int_eq(dk_td_set_bool(&td, "in_room", true), 0);
	ck_assert_int_eq(dk_td_set_str(&td, "uid", dk_str_c("ann")), 0);
	ck_assert_int_eq(dk_td_set_bytes(&td, "token", dk_slice_n("\0\xff", 2)), 0);
	ck_assert_int_eq(dk_td_set_u16(&td, "level", 65535), 0);
	ck_assert_int_eq(dk_td_set_i64(&td, "score", -5), 0);
	ck_assert_int_eq(dk_td_set_f32(&td, "speed", 0.1f), 0);
	ck_assert_int_eq(dk_td_set_array(&td, "sessions", DK_V_STR, &e), 0);
	ck_assert_int_eq(dk_td_set_array(&td, "keys", DK_V_BYTES, &keys), 0);
	ck_assert_int_eq(dk_td_set_u8s(&td, "slots", dk_slice_n("\3\2\1", 3)), 0);
	dk_td_pack(&td, &w);
	ck_assert(!w.bad);
	return dk_written(&w);
}

START_TEST(there_and_back)
{
	DK_TD(td, fields);
	struct dk_array a;
	struct dk_value v;
	dk_slice bytes;
	uint16_t level;
	int64_t score;
	float speed;
	bool in_room;
	dk_str s;

	ck_assert_int_eq(dk_td_unpack(&td, status_bytes()), 0);
	ck_assert_int_eq(dk_td_get_bool(&td, "in_room", &in_room), 0);
	ck_assert(in_room);
	ck_assert_int_eq(dk_td_get_str(&td, "uid", &s), 0);
	ck_assert(dk_str_eq(s, dk_str_c("ann")));
	ck_assert_int_eq(dk_td_get_bytes(&td, "token", &bytes), 0);
	ck_assert(bytes.n == 2 && memcmp(bytes.p, "\0\xff", 2) == 0);
	ck_assert_int_eq(dk_td_get_u16(&td, "level", &level), 0);
	ck_assert_uint_eq(level, 65535);
	ck_assert_int_eq(dk_td_get_i64(&td, "score", &score), 0);
	ck_assert_int_eq(score, -5);
	ck_assert_int_eq(dk_td_get_f32(&td, "speed", &speed), 0);
	ck_assert(speed == 0.1f);
	ck_assert_int_eq(dk_td_get_array(&td, "sessions", DK_V_STR, &a), 0);
	ck_assert(dk_array_next(&a, &v) && dk_str_eq(v.as.s, dk_str_c("party")));
	ck_assert(dk_array_next(&a, &v) && dk_str_eq(v.as.s, dk_str_c("raid")));
	ck_assert(!dk_array_next(&a, &v));
	ck_assert_int_eq(dk_td_get_array(&td, "keys", DK_V_BYTES, &a), 0);
	ck_assert(dk_array_next(&a, &v) && v.as.bytes.n == 2);
	ck_assert_int_eq(dk_td_get_u8s(&td, "slots", &bytes), 0);
	ck_assert(bytes.n == 3 && memcmp(bytes.p, "\3\2\1", 3) == 0);
}
END_TEST

START_TEST(names_and_types_are_checked)
{
	DK_TD(td, fields);
	struct dk_writer full = dk_writer_on(elements, 2);
	uint16_t level = 1;
	uint32_t u32;
	dk_str s;

	ck_assert_int_eq(dk_td_set_u16(&td, "lvl", 7), -EINVAL);
	ck_assert_int_eq(dk_td_set_u32(&td, "level", 7), -EINVAL);
	ck_assert_int_eq(dk_td_set_bytes(&td, "uid", dk_slice_n("a", 1)), -EINVAL);
	ck_assert_int_eq(dk_td_set_u8s(&td, "sessions", dk_slice_n("a", 1)), -EINVAL);
	dk_array_add_str(&full, dk_str_c("no room"));
	ck_assert_int_eq(dk_td_set_array(&td, "sessions", DK_V_STR, &full), -EINVAL);

	ck_assert_int_eq(dk_td_get_u16(&td, "level", &level), DK_NOT_FOUND);
	ck_assert_uint_eq(level, 1);
	ck_assert_int_eq(dk_td_set_u16(&td, "level", 7), 0);
	ck_assert_int_eq(dk_td_get_u32(&td, "level", &u32), -EINVAL);
	ck_assert_int_eq(dk_td_get_str(&td, "nobody", &s), -EINVAL);
	ck_assert_int_eq(dk_td_get_u16(&td, "level", &level), 0);
	ck_assert_uint_eq(level, 7);
	dk_td_clear(&td);
	ck_assert_int_eq(dk_td_get_u16(&td, "level", &level), DK_NOT_FOUND);
}
END_TEST

START_TEST(between_versions)
{
	DK_TD(td, newer);
	DK_TD(wrong, other);
	uint16_t level;
	dk_str s;

	ck_assert_int_eq(dk_td_unpack(&td, status_bytes()), 0);
	ck_assert_int_eq(dk_td_get_u16(&td, "level", &level), 0);
	ck_assert_int_eq(dk_td_get_str(&td, "clan", &s), DK_NOT_FOUND);
	ck_assert_int_eq(dk_td_unpack(&wrong, status_bytes()), -EPROTO);
	ck_assert_int_eq(dk_td_get_str(&wrong, "uid", &s), DK_NOT_FOUND);
}
END_TEST

START_TEST(bytes)
{
	DK_TD(td, other);
	uint8_t buf[32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), small = dk_writer_on(buf, 4);

	dk_td_set_u32(&td, "level", 3);
	dk_td_pack(&td, &w);
	ck_assert_uint_eq(dk_written(&w).n, 13);
	ck_assert_mem_eq(buf, "\0\1\5level\x0c\0\0\0\3", 13);
	dk_td_pack(&td, &small);
	ck_assert(small.bad);
}
END_TEST

START_TEST(every_cut_is_refused)
{
	DK_TD(td, fields);
	dk_slice whole = status_bytes();
	bool b;

	for (size_t n = 0; n < whole.n; n++) {
		ck_assert_int_eq(dk_td_unpack(&td, dk_slice_n(whole.p, n)), -EPROTO);
		ck_assert_int_eq(dk_td_get_bool(&td, "in_room", &b), DK_NOT_FOUND);
	}
}
END_TEST

UNIT_MAIN("td", there_and_back, names_and_types_are_checked, between_versions, bytes, every_cut_is_refused)
