/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Membership when everything goes wrong at once: a registry and six nodes whose links lose packets, alone and in runs, that are
 * killed, paused, cut off one way or both. Whatever happens, a kill is known within 3 s to every node that ran through them; nobody
 * who may take over what a dead node owned is on the smaller side; and when all is well again, all agree within 5 s.
 *
 * MARS_SEEDS=FIRST:COUNT in the environment runs other seeds than 1 to 40; a failure prints its seed.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "members.h"

enum { NODES = 7, ROUNDS = 4, SEEDS = 40 };
enum mishap { NOTHING, KILL, PAUSE, ONE_WAY, PARTITION, MISHAPS };

static struct members w;
static unsigned seed;

static uint64_t chance(uint64_t n)
{
	return dk_sim_chance(w.world) % n;
}

static const char *host(size_t i)
{
	static char text[NODES][16];

	snprintf(text[i], sizeof(text[i]), "10.0.0.%zu", i + 1);
	return text[i];
}

static void links(bool good)
{
	struct dk_sim_link how = { .delay_ms = 1, .jitter_ms = 3 };

	if (!good) {
		how.loss = 0.1 * (double)chance(4);
		how.duplicate = 0.01;
		how.burst = chance(3) ? 0 : 4;
	}
	ck_assert_int_eq(dk_sim_link(w.world, NULL, NULL, &how), 0);
}

/* Everybody who ran since then knows that `dead` is dead. */
static void check_death(size_t dead, const bool *slept)
{
	for (size_t i = 0; i < NODES; i++) {
		const struct dk_cluster_node *node = w.at[i] && !slept[i] ? member_view(&w, i, dead) : NULL;

		ck_assert_msg(!node || node->health == DK_DEAD, "seed %u: after 3 s node %zu does not know that node %zu is dead",
			      seed, i, dead);
	}
}

/* Sides of a cut never both think that they are more than half. */
static void check_majority(const bool *small)
{
	bool is_small[2] = { false, false };

	for (size_t i = 0; i < NODES; i++)
		if (w.at[i] && w.cluster[i]->majority(w.cluster[i]))
			is_small[small[i]] = true;
	ck_assert_msg(!(is_small[0] && is_small[1]), "seed %u: both sides of a cut think they are the majority", seed);
}

static void one_round(void)
{
	enum mishap what = (enum mishap)chance(MISHAPS);
	size_t who = chance(NODES), other = (who + 1 + chance(NODES - 1)) % NODES;
	const char *a[NODES + 1] = { NULL }, *b[NODES + 1] = { NULL };
	bool slept[NODES] = { false }, side[NODES] = { false };
	size_t an = 0, bn = 0;
	uint64_t woke;

	links(false);
	switch (what) {
	case KILL:
		member_kill(&w, who);
		members_run(&w, 3000);
		check_death(who, slept);
		members_run(&w, chance(3000));
		links(true);
		ck_assert_ptr_nonnull(member_start(&w, who, NULL));
		break;
	case PAUSE:
		slept[who] = true;
		dk_harness_pause(w.at[who], true);
		members_run(&w, 500 + chance(6000));
		member_kill(&w, other);
		/* What waited in its sockets is new to the sleeper when it wakes, and must not be taken for news by others. */
		woke = chance(2900);
		members_run(&w, woke);
		dk_harness_pause(w.at[who], false);
		members_run(&w, 3000 - woke);
		check_death(other, slept);
		links(true);
		ck_assert_ptr_nonnull(member_start(&w, other, NULL));
		break;
	case ONE_WAY:
		dk_sim_cut_way(w.world, host(who), host(other), true);
		members_run(&w, 3000 + chance(10000));
		if (chance(2)) {
			member_kill(&w, who);
			members_run(&w, 3000);
			check_death(who, slept);
			links(true);
			ck_assert_ptr_nonnull(member_start(&w, who, NULL));
		}
		dk_sim_cut_way(w.world, host(who), host(other), false);
		break;
	case PARTITION:
		for (size_t i = 0; i < NODES; i++) {
			side[i] = chance(2);
			if (side[i])
				a[an++] = host(i);
			else
				b[bn++] = host(i);
		}
		dk_sim_partition(w.world, a, b, true);
		members_run(&w, 3000);
		for (int i = 0; i < 200; i++) {
			members_run(&w, 50);
			check_majority(side);
		}
		dk_sim_partition(w.world, a, b, false);
		break;
	default:
		members_run(&w, 5000);
		break;
	}
	links(true);
	ck_assert_msg(members_until(&w, members_agree, &w, 5000), "seed %u: no agreement 5 s after all was well again", seed);
}

START_TEST(whatever_happens)
{
	seed = (unsigned)_i;
	members_make(&w, NODES, seed);
	ck_assert(members_until(&w, members_agree, &w, 2000));
	for (int i = 0; i < ROUNDS; i++)
		one_round();
	members_run(&w, 5000);
	for (size_t i = 0; i < NODES; i++)
		ck_assert_msg(w.cluster[i]->majority(w.cluster[i]), "seed %u: node %zu has no majority at the end", seed, i);
	members_free(&w);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("chaos");
	Suite *suite = suite_create("chaos");
	SRunner *runner = srunner_create(suite);
	const char *seeds = getenv("MARS_SEEDS");
	int first = 1, count = SEEDS, failed;

	if (seeds && sscanf(seeds, "%d:%d", &first, &count) != 2) {
		fprintf(stderr, "MARS_SEEDS must be FIRST:COUNT, found %s\n", seeds);
		return 2;
	}
	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, whatever_happens, first, first + count);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
