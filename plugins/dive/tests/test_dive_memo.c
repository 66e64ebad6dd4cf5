/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was done for whom, as data: found again, forgotten below the floor, refused when it comes late, bounded; packed and
 * unpacked; bytes that are nothing of it.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include <diarkis/diarkis.h>

#include "../dive_memo.h"

enum { ROOM = 65536 };

static struct dk_env *env;
static struct dk_kernel *kernel;
static struct dive_memo memo, other;

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
	dive_memo_init(&memo, dk_app(kernel), ROOM);
	dive_memo_init(&other, dk_app(kernel), ROOM);
}

static void teardown(void)
{
	dive_memo_fini(&memo);
	dive_memo_fini(&other);
	ck_assert_uint_eq(memo.bytes, 0);
	dk_kernel_free(kernel);
	dk_env_free(env);
}

/* A text of that length is the value. */
static void note(struct dive_memo *m, uint16_t bucket, uint64_t asker, uint64_t n, uint64_t floor, size_t text)
{
	struct dive_number number = { asker, n, floor, false };
	struct dive_done *d = dive_memo_add(m, bucket, &number, 1);
	char *bytes = calloc(1, text + 16);
	struct dk_writer w = dk_writer_on(bytes, text + 16);
	char *letters = calloc(1, text + 1);

	memset(letters, 'x', text);
	ck_assert_ptr_nonnull(d);
	dk_value_write(&w, &(struct dk_value){ DK_V_STR, { .s = dk_str_n(letters, text) } });
	dive_memo_set(m, d, 0, (struct dk_dive_list){ dk_written(&w), 1 });
	free(letters);
	free(bytes);
}

/* 'n' new, 'l' late, '?' done, but not known as what, or the length of the value that was answered: digits below 10, else '+'. */
static char look(struct dive_memo *m, uint64_t asker, uint64_t n, uint64_t floor)
{
	struct dive_number number = { asker, n, floor, true };
	struct dk_dive_list l;
	struct dive_done *d;
	struct dk_value v;

	switch (dive_memo_look(m, &number, 1, &d)) {
	case DIVE_MEMO_NEW:
		return 'n';
	case DIVE_MEMO_LATE:
		return 'l';
	default:
		break;
	}
	if (d->rc == DK_DIVE_MAYBE)
		return '?';
	l = dive_memo_values(d);
	ck_assert(dk_dive_next(&l, &v));
	ck_assert_uint_eq(l.bytes.n, 0);
	return (char)(v.as.s.n < 10 ? '0' + (int)v.as.s.n : '+');
}

START_TEST(remembered)
{
	ck_assert_int_eq(look(&memo, 7, 1, 1), 'n');
	note(&memo, 5, 7, 1, 1, 3);
	note(&memo, 5, 7, 2, 1, 500);
	note(&memo, 6, 8, 1, 1, 4);
	ck_assert_int_eq(look(&memo, 7, 1, 1), '3');
	ck_assert_int_eq(look(&memo, 7, 2, 1), '+');
	ck_assert_int_eq(look(&memo, 8, 1, 1), '4');
	ck_assert_int_eq(look(&memo, 8, 2, 1), 'n');
	ck_assert_int_eq(look(&memo, 7, 3, 2), 'n'); /* nobody asks for 1 any more */
	ck_assert_int_eq(look(&memo, 7, 1, 1), 'l');
	ck_assert_int_eq(look(&memo, 7, 2, 1), '+');
	ck_assert_int_eq(look(&memo, 8, 1, 1), '4'); /* the floor of another one */
	ck_assert_uint_eq(memo.table.used, 2);
	dive_memo_empty(&memo, 5);
	ck_assert_int_eq(look(&memo, 7, 2, 2), 'n');
	ck_assert_int_eq(look(&memo, 7, 1, 1), 'l'); /* floors stay */
	dive_memo_sweep(&memo, 600000);
	ck_assert_uint_eq(memo.askers.used, 2);
	dive_memo_sweep(&memo, 600002);
	ck_assert_uint_eq(memo.askers.used, 0);
	ck_assert_uint_eq(memo.table.used, 0);
}
END_TEST

/* Numbers that did not come in order leave nothing behind. */
START_TEST(out_of_order)
{
	static const uint64_t order[] = { 3, 1, 2, 6, 5, 4 };

	for (unsigned i = 0; i < 6; i++)
		note(&memo, (uint16_t)i, 7, order[i], 1, 1);
	ck_assert_int_eq(look(&memo, 7, 4, 4), '1');
	for (uint64_t n = 1; n < 4; n++)
		ck_assert_int_eq(look(&memo, 7, n, 1), 'l');
	for (uint64_t n = 4; n < 7; n++)
		ck_assert_int_eq(look(&memo, 7, n, 1), '1');
	ck_assert_int_eq(look(&memo, 7, 9, 7), 'n');
	ck_assert_uint_eq(memo.table.used, 0);
}
END_TEST

/* What there is no room for is not known any more, and so it is not done again. */
START_TEST(bounded)
{
	uint64_t n = 0, known = 0;

	while (!memo.forgotten) {
		note(&memo, 1, 7, ++n, 1, 1);
		ck_assert_uint_le(memo.bytes, ROOM);
	}
	ck_assert_uint_gt(n, 100);
	for (uint64_t i = 1; i <= n; i++) {
		char is = look(&memo, 7, i, 1);

		ck_assert(is == 'l' || is == '1');
		known += is == '1';
	}
	ck_assert_uint_eq(known, n - memo.forgotten);
	note(&memo, 1, 7, ++n, 1, ROOM / 2); /* a long one costs many short ones */
	ck_assert_uint_le(memo.bytes, ROOM);
	ck_assert_int_eq(look(&memo, 7, n, 1), '+');
	ck_assert_uint_gt(memo.forgotten, known / 3);
	note(&memo, 1, 7, n + 1, 1, ROOM); /* not to be had: what came of it is not known */
	ck_assert_int_eq(look(&memo, 7, n + 1, 1), '?');
	note(&memo, 1, 7, 2, 1, ROOM); /* one that is older than all */
	ck_assert_int_eq(look(&memo, 7, 2, 1), 'l');
}
END_TEST

static uint64_t rng = 3;

static unsigned chance(unsigned n)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(rng >> 33) % n;
}

static int unpack_all(struct dive_memo *m, uint16_t bucket, dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	int rc = 0;

	while (c.p < c.end && rc == 0) {
		if (!dive_memo_next(&c))
			return -EINVAL;
		rc = dive_memo_unpack(m, bucket, &c, 1);
	}
	return rc;
}

START_TEST(packed_and_unpacked)
{
	uint8_t buf[1024], bad[1024];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_cursor c;
	size_t n;

	note(&memo, 5, 7, 4, 4, 3);
	note(&memo, 5, 8, 9, 2, 100);
	note(&memo, 6, 8, 10, 2, 1);
	dive_memo_pack_all(&memo, 5, &w);
	n = dk_written(&w).n;
	ck_assert_uint_eq(n, dive_memo_packed_all(&memo, 5));
	c = dk_cursor_of(dk_written(&w));
	while (c.p < c.end)
		dive_memo_skip(&c);
	ck_assert(dk_rd_done(&c));

	note(&other, 5, 8, 9, 1, 1); /* is replaced */
	ck_assert_int_eq(unpack_all(&other, 5, dk_written(&w)), 0);
	ck_assert_int_eq(look(&other, 7, 4, 1), '3');
	ck_assert_int_eq(look(&other, 7, 3, 1), 'l');
	ck_assert_int_eq(look(&other, 8, 9, 1), '+');
	ck_assert_int_eq(look(&other, 8, 10, 1), 'n');
	ck_assert_int_eq(look(&other, 8, 1, 1), 'l');

	for (size_t cut = 1; cut < n; cut++)
		unpack_all(&other, 5, dk_slice_n(buf, cut));
	ck_assert_int_eq(unpack_all(&other, 5, dk_slice_n(buf, n - 1)), -EINVAL);
	for (unsigned i = 0; i < 20000; i++) { /* whatever comes: no more than refused */
		memcpy(bad, buf, n);
		for (unsigned k = 0; k < 1 + i % 3; k++)
			bad[chance((unsigned)n)] = (uint8_t)chance(256);
		unpack_all(&other, 5, dk_slice_n(bad, n));
		ck_assert_uint_le(other.bytes, ROOM);
	}
}
END_TEST

/* A long walk beside a plain array; nothing is found that was not there, and nothing is lost that still counts. */
START_TEST(as_the_model)
{
	enum { ASKERS = 4, NUMBERS = 400 };
	static char model[ASKERS][NUMBERS]; /* 0 new, else the length and 1 */
	static uint64_t floors[ASKERS];

	for (unsigned step = 0; step < 40000; step++) {
		unsigned who = chance(ASKERS), at = (unsigned)floors[who] + chance(20);
		uint64_t floor = floors[who] + (chance(10) == 0);
		char is;

		if (at >= NUMBERS)
			continue;
		is = look(&memo, who + 1, at + 1, floor + 1);
		floors[who] = floor;
		if (at < floor) {
			ck_assert_int_eq(is, 'l');
		} else if (!model[who][at]) {
			ck_assert_int_eq(is, 'n');
			model[who][at] = (char)(1 + chance(9));
			note(&memo, (uint16_t)chance(DIVE_BUCKETS), who + 1, at + 1, floor + 1, (size_t)model[who][at] - 1);
		} else {
			ck_assert_int_eq(is, '0' + model[who][at] - 1);
		}
		ck_assert_uint_le(memo.table.used, ASKERS * 40);
	}
	ck_assert_uint_eq(memo.forgotten, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dive_memo");
	TCase *tc = tcase_create("dive_memo");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, remembered);
	tcase_add_test(tc, out_of_order);
	tcase_add_test(tc, bounded);
	tcase_add_test(tc, packed_and_unpacked);
	tcase_add_test(tc, as_the_model);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
