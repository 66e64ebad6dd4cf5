/* SPDX-License-Identifier: Apache-2.0 */
/* Capsules as JSON: what comes out, what is taken, what is refused and with which sentence. */
#include "json.h"

#include <math.h>
#include <stdio.h>

#include "tests/unit/unit.h"

static uint8_t bytes[8192];
static char text[8192], why[DK_CAPSULE_WHY];

/* The packed capsule of a JSON text, which must be a good one. */
static dk_slice packed_of(const char *json)
{
	struct dk_writer w = dk_writer_on(bytes, sizeof(bytes));

	ck_assert_msg(capsule_from_json(dk_str_c(json), &w, why) == 0, "%s: %s", json, why);
	ck_assert(!w.bad && dk_written(&w).n <= capsule_from_json_room(strlen(json)));
	ck_assert(dk_capsule_ok(dk_written(&w), DK_CAPSULE_DEPTH_MAX));
	return dk_written(&w);
}

static const char *json_of(dk_slice packed)
{
	struct dk_writer w = dk_writer_on(text, sizeof(text) - 1);

	if (capsule_to_json(packed, &w))
		return "none";
	ck_assert(!w.bad);
	text[dk_written(&w).n] = '\0';
	return text;
}

static dk_slice capsule_with(const struct dk_value *v)
{
	struct dk_writer w = dk_writer_on(bytes, sizeof(bytes));

	dk_wr_u16(&w, 1);
	dk_wr_bytes8(&w, dk_slice_of(dk_str_c("v")));
	dk_value_write(&w, v);
	ck_assert(dk_capsule_ok(dk_written(&w), DK_CAPSULE_DEPTH_MAX));
	return dk_written(&w);
}

static const char *json_with(struct dk_value v)
{
	return json_of(capsule_with(&v));
}

START_TEST(each_type)
{
	ck_assert_str_eq(json_with(dk_value_bool(false)), "{\"v\":false}");
	ck_assert_str_eq(json_with(dk_value_i8(-7)), "{\"v\":-7}");
	ck_assert_str_eq(json_with(dk_value_u32(UINT32_MAX)), "{\"v\":4294967295}");
	ck_assert_str_eq(json_with(dk_value_i64(INT64_MIN)), "{\"v\":-9223372036854775808}");
	ck_assert_str_eq(json_with(dk_value_u64(INT64_MAX)), "{\"v\":9223372036854775807}");
	ck_assert_str_eq(json_with(dk_value_u64(UINT64_MAX)), "{\"v\":{\"$u64\":\"18446744073709551615\"}}");
	ck_assert_str_eq(json_with(dk_value_f64(2)), "{\"v\":2.0}");
	ck_assert_str_eq(json_with(dk_value_f32(0.5f)), "{\"v\":0.5}");
	ck_assert_str_eq(json_with(dk_value_str(dk_str_c("a\"b"))), "{\"v\":\"a\\\"b\"}");
	ck_assert_str_eq(json_with(dk_value_str(dk_str_n(NULL, 0))), "{\"v\":\"\"}");
	ck_assert_str_eq(json_with(dk_value_bytes(dk_slice_n("\xfb\xff\0", 3))), "{\"v\":{\"$bytes\":\"+/8A\"}}");
	ck_assert_str_eq(json_with(dk_value_bytes(dk_slice_n("ab", 2))), "{\"v\":{\"$bytes\":\"YWI=\"}}");
	ck_assert_str_eq(json_with(dk_value_bytes(dk_slice_n("a", 1))), "{\"v\":{\"$bytes\":\"YQ==\"}}");
	ck_assert_str_eq(json_with(dk_value_bytes(dk_slice_n(NULL, 0))), "{\"v\":{\"$bytes\":\"\"}}");
	ck_assert_str_eq(json_with(dk_value_capsule(dk_slice_n("\0\0", 2))), "{\"v\":{}}");
	ck_assert_str_eq(json_with(dk_value_array(DK_V_I16, dk_slice_n("\xff\xff\0\2", 4))), "{\"v\":[-1,2]}");
	ck_assert_str_eq(json_with(dk_value_array(DK_V_CAPSULE, dk_slice_n("\0\0\0\2\0\0", 6))), "{\"v\":[{}]}");
}
END_TEST

/* The text that comes back is the text that went in. */
START_TEST(there_and_back)
{
	static const char *const texts[] = {
		"{}",
		"{\"b\":true,\"i\":-1,\"f\":0.25,\"s\":\"text\",\"e\":[]}",
		"{\"bytes\":{\"$bytes\":\"AAECAw==\"},\"many\":[{\"$bytes\":\"\"},{\"$bytes\":\"/w==\"}]}",
		"{\"u\":[1,{\"$u64\":\"18446744073709551615\"}]}",
		"{\"$$bytes\":\"mine\",\"in\":{\"$$bytes\":{\"$bytes\":\"AA==\"}}}",
		"{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{}}}}}}}}",
		"{\"list\":[{\"a\":1},{\"b\":[true,false]}],\"zero\":\"\\u0000\"}",
	};

	for (size_t i = 0; i < DK_ARRAY_LEN(texts); i++)
		ck_assert_str_eq(json_of(packed_of(texts[i])), texts[i]);
}
END_TEST

/* Widths are lost, but the numbers still read as what they were. */
START_TEST(types_after_json)
{
	uint8_t out[64];
	struct dk_value v;
	uint8_t u8;
	float f;

	v = dk_value_u8(200);
	snprintf((char *)out, sizeof(out), "%s", json_of(capsule_with(&v)));
	ck_assert_int_eq(dk_packed_get(packed_of((char *)out), dk_str_c("v"), &v), 0);
	ck_assert_int_eq(v.type, DK_V_INT);
	ck_assert_int_eq(dk_value_get_u8(&v, &u8), 0);
	ck_assert_uint_eq(u8, 200);
	v = dk_value_f32(0.1f);
	snprintf((char *)out, sizeof(out), "%s", json_of(capsule_with(&v)));
	ck_assert_int_eq(dk_packed_get(packed_of((char *)out), dk_str_c("v"), &v), 0);
	ck_assert_int_eq(v.type, DK_V_F64);
	ck_assert_int_eq(dk_value_get_f32(&v, &f), 0);
	ck_assert(f == 0.1f);

	/* null is left out; floats and whole numbers in one array are floats */
	ck_assert_str_eq(json_of(packed_of("{\"a\":null,\"b\":[1,2.5]}")), "{\"b\":[1.0,2.5]}");
}
END_TEST

START_TEST(what_has_no_json)
{
	ck_assert_str_eq(json_with(dk_value_f64(NAN)), "none");
	ck_assert_str_eq(json_with(dk_value_f64(-INFINITY)), "none");
	ck_assert_str_eq(json_with(dk_value_str(dk_str_c("\xff"))), "none");
	ck_assert_str_eq(json_of(dk_slice_n("\0\1\1\xff\1\1", 6)), "none");
	ck_assert_str_eq(json_of(dk_slice_n("\0\1\2a\0\1\1", 7)), "none");
}
END_TEST

START_TEST(what_is_no_capsule)
{
	static const struct {
		const char *json, *why;
	} cases[] = {
		{ "", "line 1: " },
		{ "[1]", "expected a JSON object" },
		{ "{\"a\":1,\"a\":2}", "duplicate" },
		{ "{\"a\":99999999999999999999}", "too big integer" },
		{ "{\"\":1}", "names of 1 to 255 bytes" },
		{ "{\"a\":[1,\"b\"]}", "elements of one type" },
		{ "{\"a\":[null]}", "elements of one type" },
		{ "{\"a\":[[1]]}", "elements of one type" },
		{ "{\"a\":[0.5,9007199254740993]}", "no float is equal to" },
		{ "{\"a\":[-1,{\"$u64\":\"1\"}]}", "$u64: expected digits" },
		{ "{\"a\":{\"$u64\":\"18446744073709551616\"}}", "$u64: expected digits" },
		{ "{\"a\":{\"$u64\":\"-1\"}}", "$u64: expected digits" },
		{ "{\"a\":{\"$bytes\":\"A\"}}", "no whole groups of 4" },
		{ "{\"a\":{\"$bytes\":\"A=A=\"}}", "character 2 is not of base64" },
		{ "{\"a\":{\"$bytes\":\"====\"}}", "is not of base64" },
		{ "{\"a\":{\"$bytes\":\"AB==\"}}", "bits are left over" },
		{ "{\"a\":{\"$bytes\":1}}", "$bytes: expected" },
		{ "{\"$bytes\":\"AA==\"}", "$bytes: expected" },
		{ "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":{}}}}}}}}}", "nested deeper than 8" },
	};

	for (size_t i = 0; i < DK_ARRAY_LEN(cases); i++) {
		struct dk_writer w = dk_writer_on(bytes, sizeof(bytes));

		ck_assert_msg(capsule_from_json(dk_str_c(cases[i].json), &w, why) == DK_CAPSULE_NO_JSON, "%s was taken",
			      cases[i].json);
		ck_assert_msg(strstr(why, cases[i].why) != NULL, "%s: %s", cases[i].json, why);
	}
}
END_TEST

START_TEST(room_that_is_missing)
{
	struct dk_writer w = dk_writer_on(bytes, 5), t = dk_writer_on(text, 3);

	ck_assert_int_eq(capsule_from_json(dk_str_c("{\"a\":1}"), &w, why), 0);
	ck_assert(w.bad);
	ck_assert_int_eq(capsule_to_json(packed_of("{\"a\":1}"), &t), 0);
	ck_assert(t.bad);
}
END_TEST

UNIT_MAIN("capsule_json", each_type, there_and_back, types_after_json, what_has_no_json, what_is_no_capsule, room_that_is_missing)
