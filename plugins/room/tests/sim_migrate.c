/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms that move about while everybody in them speaks: real nodes, links and clients in the simulator, with loss. Everything that
 * is said reliably is heard by all, once and in the order of its speaker (the town looks at that), nobody is lost, and where no
 * packet is lost no room is frozen for longer than it may be.
 */
#include <check.h>
#include <stdio.h>

#include <diarkis/log.h>

#include "tests/sim/town.h"

enum { NODES = 3, ROOMS = 2, SIZE = 4, TALK_MS = 10000, QUIET_MS = 15000 };

static uint64_t rng;

static uint64_t chance(uint64_t n)
{
	rng = rng * 6364136223846793005u + 1442695040888963407u;
	return (rng >> 33) % n;
}

static void ignore(void *arg, struct dkc_client *c, const struct dkc_reply *reply)
{
	(void)arg;
	(void)c;
	(void)reply;
}

struct slowest {
	uint64_t count, late;
};

static void look(void *arg, const char *instance, const struct dk_counter *c, const void *value)
{
	const struct dk_histogram *h = value;
	struct slowest *s = arg;

	if (strcmp(instance, "room") || strcmp(c->name, "frozen"))
		return;
	s->count += h->count;
	for (size_t i = 5; i < DK_HISTOGRAM_BUCKETS; i++) /* .005 .01 .025 .05 .1, and what is above */
		s->late += h->bucket[i];
}

static int64_t all(const struct town *t, const char *counter)
{
	int64_t n = 0;

	for (unsigned i = 1; i < t->node_n; i++)
		n += dk_harness_counter(t->node[i].h, "room", counter);
	return n;
}

static void wander(uint64_t seed, double loss, unsigned replicas)
{
	struct town_opts o = {
		.seed = seed, .nodes = NODES, .rooms = ROOMS, .room_size = SIZE, .grace_s = 10, .replicas = replicas
	};
	struct dk_sim_link l = { .loss = loss, .delay_ms = 5, .jitter_ms = 5 };
	struct slowest s = { 0, 0 };
	struct town *t;

	rng = seed;
	t = town_new(&o);
	t->lossy = loss > 0;
	dk_sim_link(t->world, NULL, NULL, &l);
	for (unsigned ms = 0; ms < TALK_MS && !*t->trouble; ms += 10) {
		for (unsigned i = 0; i < t->player_n; i++)
			if (chance(15) == 0)
				town_say(t, i);
		/* The owner's client, which is always the first of its room. */
		if (ms % 500 == 0)
			for (unsigned r = 0; r < ROOMS; r++)
				dkc_room_migrate(t->player[r * SIZE].client, ignore, NULL);
		town_run(t, 10);
	}
	town_run(t, QUIET_MS);
	for (unsigned i = 0; i < t->player_n; i++)
		for (unsigned k = 0; k < SIZE; k++) {
			struct town_player *p = &t->player[i], *speaker = &t->player[p->room * SIZE + k];

			for (uint32_t n = 0; n < speaker->said; n++)
				if (!town_heard(p, speaker, n))
					town_fail(t, "player %u did not hear number %u of player %u", i, n, speaker->index);
			if (p->lost_ms)
				town_fail(t, "player %u was told that its room is lost", i);
		}
	ck_assert_msg(!*t->trouble, "seed %llu, loss %g: %s", (unsigned long long)seed, loss, t->trouble);
	ck_assert_uint_eq(t->doubled, 0);
	ck_assert_int_ge(all(t, "migrated_out"), loss > 0 ? 2 * ROOMS : 15 * ROOMS);
	ck_assert_int_eq(all(t, "stranded"), 0);
	for (unsigned i = 1; i < t->node_n; i++)
		dk_counters_each(dk_app(dk_harness_kernel(t->node[i].h)), look, &s);
	ck_assert_uint_gt(s.count, 0);
	if (loss <= 0)
		ck_assert_uint_eq(s.late, 0);
	ck_assert_int_eq(town_free(t), 0);
}

START_TEST(without_loss)
{
	wander((uint64_t)_i + 1, 0, (unsigned)_i % 3);
}
END_TEST

START_TEST(with_loss)
{
	wander((uint64_t)_i + 100, 0.02 + 0.03 * (_i % 5), (unsigned)_i % 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_migrate");
	TCase *t = tcase_create("migrate");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, without_loss, 0, 6);
	tcase_add_loop_test(t, with_loss, 0, 20);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
