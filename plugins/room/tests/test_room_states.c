/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States as data: a long random walk beside a model as simple as can be, which is compared after every step. Hashes collide on
 * purpose. The node around it is never started; it only owns the memory.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/diarkis.h>

#include "../room_states.h"

enum { KEYS = 40, MAX = 24, STEPS = 20000 };

static struct dk_env *env;
static struct dk_kernel *kernel;
static struct dk_pool pool;
static struct room_states states;
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
	room_states_pool_init(self, &pool);
	states = (struct room_states){ .n = 0 };
}

static void teardown(void)
{
	room_states_clear(self, &pool, &states);
	ck_assert_uint_eq(pool.used, 0);
	dk_pool_fini(&pool);
	dk_kernel_free(kernel);
	dk_env_free(env);
}

/* ---- the model ---- */

static struct {
	bool here, told_here, must; /* told_here: it takes a place until its removal is told */
	unsigned value, set_at, changed_at; /* 0 = unchanged in this window */
} model[KEYS];
static unsigned step;

static dk_slice key_of(unsigned k)
{
	static char text[8];

	snprintf(text, sizeof(text), "k%u.", k);
	return dk_slice_of(dk_str_c(text));
}

static uint32_t hash_of(unsigned k)
{
	return k % 7 * 16;
}

static unsigned taken(void)
{
	unsigned n = 0;

	for (unsigned k = 0; k < KEYS; k++)
		n += model[k].here || model[k].told_here;
	return n;
}

static unsigned value_of(const struct room_state *st)
{
	return (unsigned)strtoul((const char *)room_state_value(st).p, NULL, 10);
}

static int put(unsigned k, unsigned value, bool reliable, bool quietly)
{
	struct room_state *st;
	char text[12];
	dk_slice v = dk_slice_n(text, (size_t)snprintf(text, sizeof(text), "%u", value) + 1);

	return (quietly ? room_states_put : room_states_set)(self, &pool, &states, MAX, hash_of(k), key_of(k), v, reliable, &st);
}

static void set(unsigned k, bool reliable)
{
	int want = model[k].here || model[k].told_here || taken() < MAX ? 0 : DK_FULL;

	ck_assert_int_eq(put(k, step, reliable, false), want);
	if (want)
		return;
	model[k].must = reliable || (model[k].changed_at && model[k].must);
	model[k].here = true;
	model[k].value = model[k].set_at = step;
	if (!model[k].changed_at)
		model[k].changed_at = step;
}

static void drop(unsigned k)
{
	struct room_state *st = room_states_find(&states, hash_of(k), key_of(k));

	ck_assert_int_eq(st != NULL, model[k].here);
	if (!st)
		return;
	room_states_remove(&states, st);
	model[k].here = false;
	model[k].told_here = model[k].must = true;
	if (!model[k].changed_at)
		model[k].changed_at = step;
}

static void window(void)
{
	struct room_state *st;
	unsigned last = 0, n = 0;

	while ((st = room_states_take_changed(&states))) {
		unsigned k = (unsigned)strtoul((const char *)st->bytes + 1, NULL, 10);

		/* in the order of their first change */
		ck_assert_uint_gt(model[k].changed_at, last);
		last = model[k].changed_at;
		ck_assert_int_eq(st->gone, !model[k].here);
		ck_assert_int_eq(st->must_arrive, model[k].must);
		if (st->gone)
			room_states_drop(&pool, &states, st);
		else
			ck_assert_uint_eq(value_of(st), model[k].value);
		model[k].changed_at = 0;
		model[k].told_here = model[k].must = false;
		n++;
	}
	for (unsigned k = 0; k < KEYS; k++)
		ck_assert_uint_eq(model[k].changed_at, 0);
}

static void compare(void)
{
	unsigned live = 0, last = 0;

	for (unsigned k = 0; k < KEYS; k++) {
		struct room_state *st = room_states_find(&states, hash_of(k), key_of(k));

		ck_assert_int_eq(st != NULL, model[k].here);
		if (st)
			ck_assert_uint_eq(value_of(st), model[k].value);
		live += model[k].here;
	}
	ck_assert_uint_eq(states.live, live);
	ck_assert_uint_eq(states.n, taken());
	for (const struct room_state *st = states.oldest; st; st = st->newer) {
		unsigned k = (unsigned)strtoul((const char *)st->bytes + 1, NULL, 10);

		ck_assert_uint_gt(model[k].set_at, last);
		last = model[k].set_at;
		ck_assert_ptr_eq(st->newer ? st->newer->older : states.newest, st);
		live--;
	}
	ck_assert_uint_eq(live, 0);
}

START_TEST(random_walk)
{
	memset(model, 0, sizeof(model));
	srand((unsigned)_i + 1);
	for (step = 1; step <= STEPS; step++) {
		unsigned k = (unsigned)rand() % KEYS;

		switch (rand() % 10) {
		case 0:
			window();
			break;
		case 1:
		case 2:
			drop(k);
			break;
		case 3:
			set(k, true);
			break;
		default:
			set(k, false);
		}
		compare();
	}
}
END_TEST

START_TEST(as_it_was_elsewhere)
{
	struct room_state *st;

	ck_assert_int_eq(put(1, 10, true, true), 0);
	ck_assert_int_eq(put(1, 11, true, true), -EEXIST);
	ck_assert_int_eq(put(8, 12, false, true), 0); /* the same hash */
	ck_assert_ptr_null(room_states_take_changed(&states));
	st = room_states_find(&states, hash_of(1), key_of(1));
	ck_assert(st && st->reliable && value_of(st) == 10 && st == states.oldest);
	for (unsigned k = 9; k < 9 + MAX - 2; k++)
		ck_assert_int_eq(put(k, k, false, true), 0);
	ck_assert_int_eq(put(39, 1, false, true), DK_FULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_states");
	TCase *t = tcase_create("states");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, as_it_was_elsewhere);
	tcase_add_loop_test(t, random_walk, 0, 3);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
