/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capsules from outside: the first byte says whether packed bytes or JSON follow. Bytes that pass the check are read to the end
 * and written again as many. JSON that is taken makes a capsule that passes the check, whose JSON comes back as the same text.
 */
#include <stdlib.h>

#include <diarkis/td.h>

#include "plugins/datacapsule/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

static uint8_t one[1 << 18], two[1 << 18], text[1 << 20], text2[1 << 20];

static bool same(dk_slice a, dk_slice b)
{
	return dk_str_eq(dk_str_of(a), dk_str_of(b));
}

static void check_json(dk_str json)
{
	char why[DK_CAPSULE_WHY];
	struct dk_writer w = dk_writer_on(one, sizeof(one)), again = dk_writer_on(two, sizeof(two)), t, t2;
	int rc = capsule_from_json(json, &w, why);

	MUST(rc == 0 || (rc == DK_CAPSULE_NO_JSON && why[0]));
	if (rc || w.bad)
		return;
	MUST(dk_written(&w).n <= capsule_from_json_room(json.n));
	MUST(dk_capsule_ok(dk_written(&w), DK_CAPSULE_DEPTH_MAX));
	t = dk_writer_on(text, sizeof(text));
	rc = capsule_to_json(dk_written(&w), &t);
	MUST(rc == 0);
	if (t.bad)
		return;
	MUST(capsule_from_json(dk_str_of(dk_written(&t)), &again, why) == 0 && !again.bad);
	t2 = dk_writer_on(text2, sizeof(text2));
	MUST(capsule_to_json(dk_written(&again), &t2) == 0);
	MUST(same(dk_written(&t), dk_written(&t2)));
}

static void check_td(dk_slice bytes)
{
	static const struct dk_td_field fields[] = { { "a", DK_V_U8 }, { "b", DK_V_ARRAY_OF(DK_V_STR) }, { "c", DK_V_CAPSULE } };
	DK_TD(td, fields);
	struct dk_writer w = dk_writer_on(two, sizeof(two));

	if (dk_td_unpack(&td, bytes))
		return;
	dk_td_pack(&td, &w);
	MUST(!w.bad && dk_written(&w).n <= bytes.n);
	MUST(dk_td_unpack(&td, dk_written(&w)) == 0);
}

static void check_packed(dk_slice bytes)
{
	struct dk_packed p = dk_packed_of(bytes);
	struct dk_writer w = dk_writer_on(one, sizeof(one)), t = dk_writer_on(text, sizeof(text));
	struct dk_value v;
	dk_str name;

	check_td(bytes);
	if (!dk_capsule_ok(bytes, DK_CAPSULE_DEPTH_MAX))
		return;
	dk_wr_u16(&w, p.left);
	while (dk_packed_next(&p, &name, &v)) {
		MUST(dk_packed_get(bytes, name, &v) == 0);
		dk_wr_bytes8(&w, dk_slice_of(name));
		dk_value_write(&w, &v);
	}
	/* not the same bytes: a float that is no number may come out as another one that is none */
	MUST(!p.at.bad && !w.bad && bytes.n == dk_written(&w).n && dk_capsule_ok(dk_written(&w), DK_CAPSULE_DEPTH_MAX));
	if (capsule_to_json(bytes, &t) == 0 && !t.bad) {
		char why[DK_CAPSULE_WHY];
		struct dk_writer back = dk_writer_on(two, sizeof(two));

		MUST(capsule_from_json(dk_str_of(dk_written(&t)), &back, why) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || size > 1 << 16)
		return 0;
	if (data[0] & 1)
		check_json(dk_str_n((const char *)data + 1, size - 1));
	else
		check_packed(dk_slice_n(data + 1, size - 1));
	return 0;
}
