/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Membership in one simulated world: a registry and nodes that come, go, fall silent and cannot hear each other. What every node
 * sees of every other, and how long it takes.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "members.h"

static struct members w;

START_TEST(nodes_find_each_other)
{
	members_make(&w, 4, _i + 1);
	ck_assert(members_until(&w, members_agree, &w, 1000));
	for (size_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(w.witness[i]->synced, 1);
		ck_assert(w.cluster[i]->majority(w.cluster[i]));
		ck_assert_int_eq(member_counter(&w, i, "nodes"), 3);
		for (size_t k = 0; k < 4; k++)
			ck_assert(i == k || member_saw(&w, i, k, DK_NODE_JOINED, 0));
	}
	members_run(&w, 60000);
	ck_assert(members_agree(&w));
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(member_counter(&w, i, "suspected"), 0);
		ck_assert_int_eq(member_counter(&w, i, "refused_malformed"), 0);
		ck_assert_int_le(member_counter(&w, i, "pulls_out"), 40);
	}
	members_free(&w);
}
END_TEST

START_TEST(a_kill_is_seen_in_time)
{
	uint64_t at;

	members_make(&w, 4, _i + 1);
	dk_sim_link(w.world, NULL, NULL, &(struct dk_sim_link){ .delay_ms = 1, .loss = 0.1 * (double)(_i % 4) });
	members_run(&w, 5000 + dk_sim_chance(w.world) % 3000);
	at = dk_sim_now(w.world);
	member_kill(&w, 2);
	members_run(&w, 3000);
	for (size_t i = 0; i < 4; i++) {
		uint64_t died = i == 2 ? at + 2400 : member_saw(&w, i, 2, DK_NODE_DIED, at);

		ck_assert_msg(died > at && died < at + 3000, "node %zu saw it after %lld ms", i, (long long)(died - at));
		ck_assert(i == 2 || w.cluster[i]->majority(w.cluster[i]));
	}
	/* It is still listed, for 30 s after that. */
	ck_assert_int_eq(member_view(&w, 1, 2)->health, DK_DEAD);
	members_run(&w, 29000);
	ck_assert_ptr_nonnull(member_view(&w, 1, 2));
	members_run(&w, 2000);
	ck_assert_ptr_null(member_view(&w, 1, 2));
	ck_assert(member_saw(&w, 1, 2, DK_NODE_REMOVED, at) >= member_saw(&w, 1, 2, DK_NODE_DIED, at) + 30000);
	ck_assert(w.cluster[1]->majority(w.cluster[1]));
	members_free(&w);
}
END_TEST

START_TEST(a_paused_node_is_dead_and_comes_back)
{
	uint64_t at;
	uint32_t incarnation;

	members_make(&w, 4, _i + 1);
	members_run(&w, 5000);
	incarnation = member_view(&w, 1, 2)->incarnation;
	at = dk_sim_now(w.world);
	dk_harness_pause(w.at[2], true);
	members_run(&w, 5000);
	for (size_t i = 0; i < 4; i++)
		ck_assert(i == 2 || member_saw(&w, i, 2, DK_NODE_DIED, at));
	dk_harness_pause(w.at[2], false);
	ck_assert(members_until(&w, members_agree, &w, 700));
	members_run(&w, 300);
	for (size_t i = 0; i < 4; i++) {
		/* Whoever slept blames nobody. */
		ck_assert(i == 2 ? !member_saw(&w, 2, 1, DK_NODE_SUSPECTED, at) : member_saw(&w, i, 2, DK_NODE_RECOVERED, at) > 0);
		ck_assert(i == 2 || member_view(&w, i, 2)->incarnation > incarnation);
	}
	ck_assert_int_eq(member_counter(&w, 2, "refuted"), 1);
	ck_assert_int_eq(member_counter(&w, 2, "stalls"), 1);
	members_free(&w);
}
END_TEST

START_TEST(queries)
{
	struct dk_cluster_counts n;
	struct dk_cluster *c;
	const struct dk_endpoint *e;
	const struct dk_cluster_node *node;
	uint32_t slot = 0;
	size_t others = 0;

	members_make(&w, 4, 1);
	members_run(&w, 1000);
	c = w.cluster[1];
	while ((node = c->next(c, &slot)))
		others++;
	ck_assert_uint_eq(others, 3);
	ck_assert(dk_addr_eq(&c->self(c)->addr, &w.addr[1]));
	ck_assert_ptr_eq(c->node(c, &w.addr[1]), c->self(c));
	e = c->endpoint(c, member_view(&w, 1, 2), text("UDP"), text(""));
	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(e->host, "10.0.0.3");
	ck_assert_uint_eq(e->port, 7100);
	ck_assert(e->encrypted);
	ck_assert_ptr_eq(c->endpoint(c, member_view(&w, 1, 2), text(""), text("UDP")), e);
	ck_assert_ptr_null(c->endpoint(c, member_view(&w, 1, 2), text("TCP"), text("")));
	e = c->endpoint(c, member_view(&w, 1, 0), text(""), text("MARS"));
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->port, 6779);
	c->counts(c, text("UDP"), &n);
	ck_assert_uint_eq(n.online, 3);
	c->counts(c, text(""), &n);
	ck_assert_uint_eq(n.online, 4);
	member_kill(&w, 3);
	members_run(&w, 1700);
	c->counts(c, text("UDP"), &n);
	ck_assert_uint_eq(n.online, 2);
	ck_assert_uint_eq(n.suspect, 1);
	members_run(&w, 1300);
	c->counts(c, text("UDP"), &n);
	ck_assert_uint_eq(n.dead, 1);
	members_free(&w);
}
END_TEST

START_TEST(choosing_a_node)
{
	struct dk_cluster *c;
	unsigned got[4] = { 0 };

	members_make(&w, 4, 1);
	members_run(&w, 1000);
	c = w.cluster[0];
	/* 300 users: a hundred each, whatever was there before a beat told of it */
	for (int i = 0; i < 300; i++) {
		const struct dk_cluster_node *node = c->pick(c, text("UDP"), false);

		ck_assert_ptr_nonnull(node);
		got[node->addr.ip[3] - 1]++;
	}
	ck_assert_uint_eq(got[0], 0);
	for (int i = 1; i < 4; i++)
		ck_assert_uint_eq(got[i], 100);
	/* What they say of themselves counts. */
	w.cluster[1]->set_users(w.cluster[1], 50);
	w.cluster[2]->set_users(w.cluster[2], 20);
	w.cluster[3]->set_users(w.cluster[3], 30);
	members_run(&w, 500);
	ck_assert_uint_eq(member_view(&w, 0, 1)->users, 50);
	for (int i = 0; i < 10; i++)
		ck_assert_ptr_eq(c->pick(c, text("UDP"), true), member_view(&w, 0, 2));
	/* A filter knows better. */
	w.witness[0]->pick = 1;
	for (int i = 0; i < 30; i++)
		ck_assert_ptr_nonnull(c->pick(c, text("UDP"), true));
	w.witness[0]->pick = 0;
	ck_assert_ptr_null(c->pick(c, text("TCP"), false));
	c = w.cluster[2];
	ck_assert_ptr_eq(c->pick(c, text("UDP"), false), c->self(c));
	ck_assert_ptr_eq(c->pick(c, text("UDP"), true), member_view(&w, 2, 3));
	members_free(&w);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("mars");
	Suite *suite = suite_create("mars");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, nodes_find_each_other, 0, 3);
	tcase_add_loop_test(tcase, a_kill_is_seen_in_time, 0, 12);
	tcase_add_loop_test(tcase, a_paused_node_is_dead_and_comes_back, 0, 3);
	tcase_add_test(tcase, queries);
	tcase_add_test(tcase, choosing_a_node);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
