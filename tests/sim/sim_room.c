/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room of 16 over a bad network: 30 % loss, 10 % reordering, 5 % duplication, both ways. Every reliable message reaches every
 * member exactly once and in the order of its sender. The node, its plugins
 * and the clients are the real ones; only the wires and the clock are not.
 *
 *   sim_room                    the seeds of make check: 20, or 2 under a sanitizer
 *   sim_room FIRST LAST         these seeds; one line each, so that a long run can be resumed where it stopped
 */
#include "players.h"
#include "seeds.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define PLAYERS 16
#define MESSAGES 391 /* each: 391 * 16 * 16 = 100,096 deliveries */

struct tally {
	uint32_t next[PLAYERS][PLAYERS]; /* [listener][speaker]: the number that must come next */
	uint64_t deliveries, wrong;
};

static void on_heard(void *arg, unsigned player, const struct heard *h)
{
	struct tally *t = arg;

	if (h->from >= PLAYERS || t->next[player][h->from] != h->seq) {
		t->wrong++;
		return;
	}
	t->next[player][h->from]++;
	t->deliveries++;
}

struct outcome {
	uint64_t deliveries, wrong, hash, virtual_ms;
	int leftovers;
};

static struct outcome play(uint64_t seed, unsigned messages)
{
	struct tally t = { 0 };
	struct scene_opts o = {
		.seed = seed,
		.players = PLAYERS,
		.heard = on_heard,
		.arg = &t,
		.link = { .loss = .3, .reorder = .1, .duplicate = .05, .delay_ms = 30, .jitter_ms = 10, .reorder_ms = 40 }
	};
	struct scene *s = scene_new(&o);
	uint64_t want = (uint64_t)messages * PLAYERS * PLAYERS, began = dk_sim_now(scene_world(s));
	struct outcome r;

	for (unsigned m = 0; m < messages; m++) {
		for (unsigned p = 0; p < PLAYERS; p++)
			scene_say(s, p, true, 32 + (m + p) % 64);
		scene_run(s, 50);
	}
	for (unsigned i = 0; i < 1200 && t.deliveries < want; i++)
		scene_run(s, 50);
	r = (struct outcome){ t.deliveries, t.wrong, dk_sim_hash(scene_world(s)), dk_sim_now(scene_world(s)) - began, 0 };
	r.leftovers = scene_free(s);
	return r;
}

static void check_seed(uint64_t seed)
{
	struct outcome r = play(seed, MESSAGES);

	printf("seed %llu: %llu deliveries in %llu s of the world's time, %llu wrong, log %016llx\n", (unsigned long long)seed,
	       (unsigned long long)r.deliveries, (unsigned long long)r.virtual_ms / 1000, (unsigned long long)r.wrong,
	       (unsigned long long)r.hash);
	fflush(stdout);
	ck_assert_msg(r.wrong == 0 && r.deliveries == (uint64_t)MESSAGES * PLAYERS * PLAYERS && r.leftovers == 0,
		      "seed %llu failed; run it again with: sim_room %llu %llu", (unsigned long long)seed, (unsigned long long)seed,
		      (unsigned long long)seed);
}

START_TEST(exactly_once_in_order)
{
	check_seed((uint64_t)_i + 1);
}
END_TEST

START_TEST(same_seed_same_log)
{
	struct outcome a = play(77, 20), b = play(77, 20), c = play(78, 20);

	ck_assert_uint_eq(a.hash, b.hash);
	ck_assert_uint_ne(a.hash, c.hash);
}
END_TEST

static bool line(uint64_t seed)
{
	struct outcome r = play(seed, MESSAGES);
	bool good = !r.wrong && !r.leftovers && r.deliveries == (uint64_t)MESSAGES * PLAYERS * PLAYERS;

	printf("seed %llu %s log %016llx\n", (unsigned long long)seed, good ? "ok" : "FAILED", (unsigned long long)r.hash);
	fflush(stdout);
	return good;
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("room over a bad network");
	TCase *tc = tcase_create("seeds");

	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, exactly_once_in_order, 0, SEEDS(20, 2));
	tcase_add_test(tc, same_seed_same_log);
	suite_add_tcase(suite, tc);
	return seeds_main(argc, argv, suite, line);
}
