/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel against a plain array that is searched through. */
#include <stdlib.h>

#include "kernel/env.h"

#include "unit.h"

enum { TIMERS = 300, ROUNDS = 10000 };

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Delays of all magnitudes, as many short as long ones. */
static uint64_t some_delay(uint64_t *rng)
{
	return next_random(rng) & ((1ULL << next_random(rng) % 24) - 1);
}

START_TEST(as_an_array)
{
	struct dk_timer *timers = calloc(TIMERS, sizeof(*timers));
	uint64_t now = 1000, rng = 0x9e3779b97f4a7c15 + (uint64_t)_i, armed = 0, fired = 0;
	struct wheel *w = wheel_new(now);

	ck_assert(timers && w);
	for (int round = 0; round < ROUNDS; round++) {
		struct dk_timer *t = &timers[next_random(&rng) % TIMERS];
		uint64_t last = 0, min = UINT64_MAX;

		if (dk_timer_armed(t)) {
			wheel_remove(w, t);
			armed--;
		}
		ck_assert(!dk_timer_armed(t));
		if (next_random(&rng) % 4) {
			t->due_ms = now + some_delay(&rng);
			wheel_add(w, t);
			armed++;
		}
		if (next_random(&rng) % 8)
			continue;
		for (size_t i = 0; i < TIMERS; i++)
			if (dk_timer_armed(&timers[i]) && timers[i].due_ms < min)
				min = timers[i].due_ms;
		ck_assert_uint_le(wheel_next(w), min > now ? min : now);
		ck_assert_int_eq(wheel_next(w) == UINT64_MAX, armed == 0);
		now += some_delay(&rng);
		while ((t = wheel_pop(w, now))) {
			ck_assert(!dk_timer_armed(t));
			ck_assert_uint_le(t->due_ms, now);
			ck_assert_uint_ge(t->due_ms, last);
			last = t->due_ms;
			armed--;
			fired++;
		}
		for (size_t i = 0; i < TIMERS; i++)
			if (dk_timer_armed(&timers[i]) && timers[i].due_ms <= now)
				ck_abort_msg("timer %zu was forgotten", i);
	}
	ck_assert_uint_gt(fired, ROUNDS / 8);
	wheel_free(w);
	free(timers);
}
END_TEST

/* Whoever follows the wheel's wishes sees each timer at its very millisecond. */
START_TEST(wishes)
{
	static const uint64_t delays[] = { 1, 2, 63, 64, 65, 4095, 4096, 4097, 30000, 262144, 1ULL << 31, 1ULL << 40 };
	struct dk_timer timers[DK_ARRAY_LEN(delays)] = { 0 };
	uint64_t now = 123456789;
	struct wheel *w = wheel_new(now);
	size_t fired = 0;

	for (size_t i = 0; i < DK_ARRAY_LEN(delays); i++) {
		timers[i].due_ms = now + delays[i];
		wheel_add(w, &timers[i]);
	}
	for (int wakes = 0; fired < DK_ARRAY_LEN(delays); wakes++) {
		struct dk_timer *t;

		ck_assert_int_lt(wakes, 12 * (int)DK_ARRAY_LEN(delays));
		ck_assert_uint_ge(wheel_next(w), now);
		now = wheel_next(w);
		while ((t = wheel_pop(w, now))) {
			ck_assert_ptr_eq(t, &timers[fired]);
			ck_assert_uint_eq(now, t->due_ms);
			fired++;
		}
	}
	ck_assert_uint_eq(wheel_next(w), UINT64_MAX);
	wheel_free(w);
}
END_TEST

START_TEST(never)
{
	struct dk_timer t = { .due_ms = UINT64_MAX }, past = { .due_ms = 3 };
	struct wheel *w = wheel_new(10);

	wheel_add(w, &t);
	ck_assert_ptr_null(wheel_pop(w, UINT64_MAX - 1));
	ck_assert(dk_timer_armed(&t));
	wheel_add(w, &past);
	ck_assert_ptr_eq(wheel_pop(w, UINT64_MAX - 1), &past);
	wheel_remove(w, &t);
	ck_assert_uint_eq(wheel_next(w), UINT64_MAX);
	wheel_free(w);
}
END_TEST

START_TEST(purging)
{
	struct dk_timer timers[300] = { 0 };
	struct wheel *w = wheel_new(0);
	int one, two;

	for (size_t i = 0; i < DK_ARRAY_LEN(timers); i++) {
		timers[i].self = i % 3 ? &one : &two;
		timers[i].due_ms = i * i; /* the first is due at once */
		wheel_add(w, &timers[i]);
	}
	ck_assert_uint_eq(wheel_purge(w, &one), 200);
	ck_assert_uint_eq(wheel_purge(w, &one), 0);
	for (size_t i = 0; i < DK_ARRAY_LEN(timers); i++)
		ck_assert_int_eq(dk_timer_armed(&timers[i]), i % 3 == 0);
	ck_assert_uint_eq(wheel_purge(w, &two), 100);
	ck_assert_uint_eq(wheel_next(w), UINT64_MAX);
	wheel_free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wheel");
	TCase *tc = tcase_create("wheel");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, as_an_array, 0, 5);
	tcase_add_test(tc, wishes);
	tcase_add_test(tc, never);
	tcase_add_test(tc, purging);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
