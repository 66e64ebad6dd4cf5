/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users who move to another node, homes that go offline, homes and nodes of members that die, ways that are cut: who is in a
 * session afterwards, what they heard of it, and that all nodes agree.
 */
#include "kit.h"
#include "plugins/session/session_state.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct player *ann, *bob, *cat;
static char the_id[DK_SESSION_ID_LEN + 1];

static void setup(void)
{
	kit_open(3, 1, "");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	cat = player_new(2, "cat");
	memcpy(the_id, kit_session(ann, 1, 9), sizeof(the_id));
	kit_join(bob, 1, the_id);
	kit_join(cat, 1, the_id);
	fabric_run(20);
	kit_heard(ann);
	kit_heard(bob);
	kit_heard(cat);
	kit_events[0] = '\0';
}

static void teardown(void)
{
	fabric_close();
}

static void moved(void *self, void *arg, dk_id user, int err)
{
	(void)self;
	(void)arg;
	(void)user;
	(void)err;
}

static void move(struct player *p, unsigned node)
{
	struct dk_user *users = fabric[p->node].users;

	ck_assert_int_eq(users->move(users, kit_probe(p->node), player_user(p), &fabric[node].addr, dk_str_c("MEM"),
				     dk_slice_n(NULL, 0), moved, NULL),
			 0);
}

static void believe_dead(unsigned node)
{
	for (unsigned i = 0; i < 3; i++)
		if (i != node && fabric[i].h)
			fabric_believe(i, node, DK_DEAD);
}

/* The session's home, or -1. */
static int home(void)
{
	struct dk_session_id id;
	int at = -1;

	memcpy(id.c, the_id, sizeof(id.c));
	for (unsigned i = 0; i < 3; i++)
		if (fabric[i].h && kit_svc(i)->find(kit_svc(i), &id)) {
			ck_assert_msg(at < 0, "it lives on two nodes");
			at = (int)i;
		}
	return at;
}

static void expect_members(unsigned from, const char *want)
{
	struct dk_session *svc = kit_svc(from);

	kit_answer[0] = '\0';
	ck_assert_int_eq(svc->members(svc, kit_probe(from), dk_str_c(the_id), kit_done, NULL), 0);
	kit_expect_answer(want);
}

/* ---- users who move ---- */

START_TEST(a_user_moves_and_hears_everything_once)
{
	char heard[65536] = "", what[32];

	for (unsigned i = 0; i < 40; i++) {
		snprintf(what, sizeof(what), "say %02u", i);
		kit_broadcast(ann, 1, what);
		if (i == 10)
			move(bob, 2);
		if (i == 25)
			move(bob, 0);
		fabric_run(20);
		strncat(heard, kit_heard(bob), sizeof(heard) - strlen(heard) - 1);
	}
	ck_assert_uint_eq(bob->node, 0);
	fabric_run(6000);
	strncat(heard, kit_heard(bob), sizeof(heard) - strlen(heard) - 1);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(what, sizeof(what), "say %02u", i);
		ck_assert_msg(times(heard, what) == 1, "%s was heard %u times", what, times(heard, what));
	}
	kit_expect_events("");
	ck_assert_ptr_nonnull(kit_id_of(bob, 1));
	expect_members(1, "0 3/9 ann bob cat owner ann");
	ck_assert_int_eq(kit_count(1, "seats"), 0);
	ck_assert_int_eq(kit_count(0, "seats"), 2);
	ck_assert_int_eq(kit_count(0, "late_lost") + kit_count(1, "late_lost") + kit_count(2, "late_lost"), 0);
	kit_svc(2)->member_data(kit_svc(2), kit_probe(2), dk_str_c(the_id), kit_done, NULL);
	kit_expect_answer("0 3/0 ann@1+ bob@1+ cat@3+");
}
END_TEST

START_TEST(what_comes_late_goes_after_a_user)
{
	/* What the home has for bob is on its way to node 1 while he goes to node 2. */
	fabric_jitter(40);
	for (unsigned round = 0; round < 12; round++) {
		char what[32], heard[8192] = "";

		move(bob, bob->node == 1 ? 2 : 1);
		for (unsigned i = 0; i < 30; i++) {
			snprintf(what, sizeof(what), "round %u say %02u.", round, i);
			kit_broadcast(ann, 1, what);
			fabric_run(5);
			strncat(heard, kit_heard(bob), sizeof(heard) - strlen(heard) - 1);
		}
		fabric_run(3000);
		strncat(heard, kit_heard(bob), sizeof(heard) - strlen(heard) - 1);
		for (unsigned i = 0; i < 30; i++) {
			snprintf(what, sizeof(what), "round %u say %02u.", round, i);
			ck_assert_msg(times(heard, what) == 1, "%s was heard %u times", what, times(heard, what));
		}
	}
	ck_assert_int_gt(kit_count(1, "forwarded") + kit_count(2, "forwarded"), 0);
	ck_assert_int_eq(kit_count(1, "late_lost") + kit_count(2, "late_lost"), 0);
}
END_TEST

/* What code on node 2 says, without waiting for answers, is heard by bob once; half way through the home goes on. */
static void talk(unsigned round, unsigned n, unsigned ms)
{
	struct dk_session *svc = kit_svc(2);
	static char heard[65536];
	char what[32];

	heard[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		snprintf(what, sizeof(what), "round %u say %02u.", round, i);
		ck_assert_int_eq(svc->announce(svc, kit_probe(2), dk_str_c(the_id), SESSION_VER, SESSION_CMD_BROADCAST,
					       dk_slice_of(dk_str_c(what)), NULL, NULL),
				 0);
		fabric_run(ms);
		strncat(heard, kit_heard(bob), sizeof(heard) - strlen(heard) - 1);
		if (i == n / 2)
			fabric_pause(0, false);
	}
	fabric_run(6000);
	strncat(heard, kit_heard(bob), sizeof(heard) - strlen(heard) - 1);
	for (unsigned i = 0; i < n; i++) {
		snprintf(what, sizeof(what), "round %u say %02u.", round, i);
		ck_assert_msg(times(heard, what) == 1, "%s was heard %u times", what, times(heard, what));
	}
}

/* The home hears of a move late, and its answer comes when nobody waits for it any more. */
START_TEST(a_home_that_stands_still)
{
	fabric_jitter(10);
	for (unsigned round = 0; round < 12; round++) {
		move(bob, bob->node == 1 ? 2 : 1);
		fabric_run(2 * round % 14);
		fabric_pause(0, true);
		talk(round, 40, 40 + 5 * round);
	}
	ck_assert_int_eq(kit_count(0, "late_lost") + kit_count(1, "late_lost") + kit_count(2, "late_lost"), 0);
}
END_TEST

/* And when it hears of it, the member is back where it was. */
START_TEST(there_and_back)
{
	fabric_jitter(10);
	for (unsigned round = 0; round < 12; round++) {
		unsigned from = bob->node, to = from == 1 ? 2 : 1;

		if (round % 3)
			fabric_pause(0, true);
		move(bob, to);
		for (unsigned ms = 0; bob->node != to; ms++) {
			ck_assert_uint_lt(ms, 1000);
			fabric_run(1);
		}
		fabric_run(20 + 3 * round);
		move(bob, from);
		fabric_run(round);
		if (round % 3 == 1)
			fabric_pause(0, true);
		talk(round, 20, 60);
		ck_assert_uint_eq(bob->node, from);
	}
}
END_TEST

START_TEST(a_move_that_comes_to_nothing)
{
	fabric_cut(1, 2, true);
	move(bob, 2);
	fabric_run(8000);
	fabric_cut(1, 2, false);
	fabric_run(12000);
	ck_assert_uint_eq(bob->node, 1);
	kit_heard(bob);
	kit_broadcast(cat, 1, "hi");
	fabric_run(20);
	kit_expect(bob, "800 push hi\n");
	expect_members(2, "0 3/9 ann bob cat owner ann");
	ck_assert_int_eq(kit_count(2, "seats"), 1);
}
END_TEST

/* ---- homes that go offline ---- */

START_TEST(an_offline_home_hands_over)
{
	struct dk_session *svc = kit_svc(0);
	struct dk_value v = dk_value_str(dk_str_c("red"));
	struct dk_session_id id;
	struct player *dan;

	memcpy(id.c, the_id, sizeof(id.c));
	svc->set(svc, kit_probe(0), dk_str_c(the_id), dk_str_c("color"), &v, false, kit_done, NULL);
	kit_expect_answer("0");
	svc->start_tick(svc, svc->find(svc, &id), dk_str_c("beat"), 1);
	player_leave(ann);
	fabric_run(20);
	kit_events[0] = '\0';
	fabric_offline(0);
	fabric_stop(0);
	fabric_run(20);
	ck_assert_int_gt(home(), 0);
	ck_assert_ptr_nonnull(strstr(kit_events, " created 1 moved\n1 deleted 1 moved\n"));
	ck_assert_ptr_null(strstr(kit_events, "deleting"));
	kit_heard(bob);
	kit_heard(cat);
	kit_events[0] = '\0';
	fabric_run(2500);
	ck_assert_uint_eq(times(kit_events, "tick beat"), 2);
	kit_broadcast(bob, 1, "still here");
	fabric_run(20);
	kit_expect(bob, "800 push still here\n");
	kit_expect(cat, "800 push still here\n");
	kit_svc(1)->get(kit_svc(1), kit_probe(1), dk_str_c(the_id), dk_str_c("color"), kit_done, NULL);
	kit_expect_answer("0 color=red");
	/* The old id is good for whoever has never heard of the session. */
	dan = player_new(home() == 1 ? 2 : 1, "dan");
	kit_join(dan, 1, the_id);
	fabric_run(2000);
	kit_expect(dan, "804 ok .$\n");
	expect_members(1, "0 3/9 bob cat dan owner bob");
	kit_leave(bob, 1);
	fabric_run(20);
	expect_members(2, "0 2/9 cat dan owner cat");
}
END_TEST

START_TEST(an_offline_node_takes_no_new_ones)
{
	struct player *dan = player_new(0, "dan");

	fabric_offline(0);
	dk_node_stop(kit_probe(0));
	fabric_run(3);
	kit_create(dan, 2, 2, 60);
	fabric_run(5);
	ck_assert_ptr_nonnull(strstr(kit_heard(dan), "801 bad this node is going offline"));
	fabric_run(12000);
}
END_TEST

START_TEST(what_is_said_during_a_hand_over_is_heard_once)
{
	char heard[8192] = "", what[32];

	player_leave(ann);
	fabric_run(20);
	fabric_jitter(10);
	fabric_offline(0);
	dk_node_stop(kit_probe(0));
	for (unsigned i = 0; i < 40; i++) {
		snprintf(what, sizeof(what), "say %02u", i);
		kit_broadcast(bob, 1, what);
		fabric_run(2);
	}
	fabric_run(5000);
	strncat(heard, kit_heard(cat), sizeof(heard) - strlen(heard) - 1);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(what, sizeof(what), "say %02u", i);
		ck_assert_msg(times(heard, what) == 1, "%s was heard %u times", what, times(heard, what));
	}
	ck_assert_int_gt(home(), 0);
}
END_TEST

START_TEST(a_target_that_dies_gets_it_not)
{
	int at;

	/* Node 2 has most members, so it is asked first, and never answers. */
	player_leave(ann);
	move(bob, 2);
	fabric_run(3000);
	fabric_pause(2, true);
	fabric_offline(0);
	dk_node_stop(kit_probe(0));
	fabric_run(1500);
	fabric_believe(0, 2, DK_DEAD);
	fabric_believe(1, 2, DK_DEAD);
	fabric_run(4000);
	at = home();
	ck_assert_int_eq(at, 1);
	/* It was not dead: what it was sent is of an earlier epoch, and ends. */
	fabric_pause(2, false);
	fabric_believe(1, 2, DK_ALIVE);
	fabric_run(30000);
	ck_assert_int_ge(home(), 0);
}
END_TEST

START_TEST(nobody_takes_it)
{
	for (unsigned i = 1; i < 3; i++)
		fabric_believe(0, i, DK_DEAD);
	player_leave(ann);
	fabric_run(20);
	fabric_stop(0);
	fabric_run(20);
	kit_expect(bob, "805 push ..bob..0$...ann\n811 push ..0$.\n");
	ck_assert_ptr_null(kit_id_of(bob, 1));
}
END_TEST

/* ---- nodes that die ---- */

START_TEST(a_dead_home_is_told)
{
	fabric_kill(0);
	fabric_run(2400);
	believe_dead(0);
	fabric_run(4000);
	kit_expect(bob, "811 push ..0$.\n");
	kit_expect(cat, "811 push ..0$.\n");
	ck_assert_ptr_null(kit_id_of(bob, 1));
	ck_assert_int_eq(kit_count(1, "seats_lost"), 1);
	kit_create(bob, 1, 2, 60);
	fabric_run(20);
	kit_expect(bob, "801 ok .$\n");
	kit_join(cat, 1, kit_id_of(bob, 1));
	fabric_run(20);
	kit_expect(cat, "804 ok .$\n");
	kit_join(ann, 1, the_id);
}
END_TEST

START_TEST(one_may_leave_a_home_that_does_not_answer)
{
	fabric_kill(0);
	kit_leave(bob, 1);
	fabric_run(5);
	kit_expect(bob, "805 ok \n");
	kit_create(bob, 1, 2, 60);
	fabric_run(20);
	kit_expect(bob, "801 ok .$\n");
	fabric_run(10000);
	kit_expect(bob, "");
}
END_TEST

START_TEST(a_restarted_home_knows_nothing)
{
	fabric_kill(0);
	fabric_restart(0);
	fabric_run(5000);
	kit_expect(bob, "811 push ..0$.\n");
	ck_assert_int_eq(home(), -1);
}
END_TEST

START_TEST(members_of_a_dead_node_lapse)
{
	fabric_kill(1);
	fabric_run(2400);
	believe_dead(1);
	fabric_run(15000);
	kit_expect(ann, "");
	fabric_run(8000);
	kit_expect(ann, "805 push ..ann..0$...bob\n");
	kit_expect(cat, "805 push ..ann..0$...bob\n");
	kit_expect_events("1 left 1 bob 2 reason 5\n");
}
END_TEST

START_TEST(a_way_that_was_cut_for_long)
{
	fabric_cut(0, 1, true);
	fabric_run(11000);
	kit_expect(bob, "811 push ..0$.\n");
	kit_expect(ann, "");
	fabric_run(14000);
	kit_expect(ann, "805 push ..ann..0$...bob\n");
	fabric_cut(0, 1, false);
	kit_join(bob, 1, the_id);
	fabric_run(20);
	kit_expect(bob, "804 ok .$\n");
	expect_members(2, "0 3/9 ann cat bob owner ann");
}
END_TEST

START_TEST(a_way_that_was_cut_for_a_moment)
{
	fabric_cut(0, 1, true);
	fabric_run(6000);
	fabric_cut(0, 1, false);
	fabric_run(30000);
	kit_expect(bob, "");
	expect_members(1, "0 3/9 ann bob cat owner ann");
}
END_TEST

/* A join that the home did, and the node never heard of. */
START_TEST(a_join_without_an_answer)
{
	struct player *dan = player_new(1, "dan");

	fabric_jitter(10);
	kit_join(dan, 1, the_id);
	while (kit_count(0, "members") == 3)
		fabric_run(1);
	fabric_cut(0, 1, true);
	fabric_run(8000);
	ck_assert_ptr_nonnull(strstr(kit_heard(dan), "804 bad the node of the session does not answer"));
	fabric_cut(0, 1, false);
	fabric_run(30000);
	expect_members(2, "0 3/9 ann bob cat owner ann");
	ck_assert_ptr_null(kit_id_of(dan, 1));
}
END_TEST

/* ---- word that comes late ---- */

/* A row of the home, node 0, as if another node had called it. */
static void as_if(unsigned from, uint16_t cmd, const struct dk_writer *w)
{
	struct dk_incoming in = { .ver = DK_VER_NODE, .cmd = cmd, .origin = DK_FROM_NODE, .from = fabric[from].addr };

	in.payload = dk_written(w);
	ck_assert(!w->bad);
	ck_assert_int_eq(dk_dispatch(kit_probe(0), &in), 0);
}

static uint64_t token_of(const struct player *p)
{
	const struct sessions *s = dk_plugin_state(dk_harness_kernel(fabric[p->node].h), "session");

	return s->seats.users[dk_id_slot(player_user(p))].first->token;
}

START_TEST(a_leave_of_an_earlier_stay)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	uint64_t old = token_of(bob);

	kit_leave(bob, 1);
	kit_join(bob, 1, the_id);
	fabric_run(20);
	ck_assert(token_of(bob) != old);
	session_on_exit_pack(&w, dk_str_c(the_id), old, 0, DK_SESSION_LEFT, dk_str_c("bob"));
	as_if(1, SESSION_NODE_LEAVE, &w);
	expect_members(2, "0 3/9 ann cat bob owner ann");
	w = dk_writer_on(buf, sizeof(buf));
	session_on_exit_pack(&w, dk_str_c(the_id), token_of(bob), 0, DK_SESSION_LEFT, dk_str_c("bob"));
	as_if(1, SESSION_NODE_LEAVE, &w);
	expect_members(2, "0 2/9 ann cat owner ann");
}
END_TEST

/* One member, or none, is at that node, and whole: nobody else. */
static void claim(unsigned from, bool whole, const struct player *p, uint16_t hops)
{
	uint8_t buf[256], list[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), l = dk_writer_on(list, sizeof(list));

	if (p) {
		dk_wr_u64(&l, token_of(p));
		dk_wr_u16(&l, hops);
		dk_wr_bytes16(&l, dk_slice_of(dk_str_c(p->name)));
	}
	session_on_members_here_pack(&w, dk_str_c(the_id), whole, p != NULL, dk_written(&l));
	as_if(from, SESSION_NODE_MEMBERS_HERE, &w);
}

START_TEST(a_claim_of_a_former_node)
{
	move(bob, 2);
	fabric_run(1000);
	move(bob, 1);
	fabric_run(1000);
	claim(2, false, bob, 1);
	kit_svc(2)->member_data(kit_svc(2), kit_probe(2), dk_str_c(the_id), kit_done, NULL);
	kit_expect_answer("0 3/0 ann@1+ bob@2+ cat@3+");
}
END_TEST

/* Of a user who is back before the home has heard that it was away, word of the way back may come first. */
START_TEST(claims_that_overtake_each_other)
{
	claim(1, false, bob, 2);
	claim(2, false, bob, 1);
	kit_svc(2)->member_data(kit_svc(2), kit_probe(2), dk_str_c(the_id), kit_done, NULL);
	kit_expect_answer("0 3/0 ann@1+ bob@2+ cat@3+");
}
END_TEST

START_TEST(whom_a_node_does_not_name)
{
	claim(1, true, NULL, 0); /* older than bob's join, for all the home knows */
	expect_members(2, "0 3/9 ann bob cat owner ann");
	claim(1, false, NULL, 0);
	fabric_run(11000);
	claim(1, false, NULL, 0);
	expect_members(2, "0 3/9 ann bob cat owner ann");
	kit_events[0] = '\0';
	claim(1, true, NULL, 0);
	kit_expect_events("1 left 1 bob 2 reason 5\n");
	fabric_run(20);
	kit_expect(bob, "811 push ..0$.\n");
	expect_members(2, "0 2/9 ann cat owner ann");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_nodes");
	TCase *t = tcase_create("nodes");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_user_moves_and_hears_everything_once);
	tcase_add_test(t, what_comes_late_goes_after_a_user);
	tcase_add_test(t, a_home_that_stands_still);
	tcase_add_test(t, there_and_back);
	tcase_add_test(t, a_move_that_comes_to_nothing);
	tcase_add_test(t, an_offline_home_hands_over);
	tcase_add_test(t, an_offline_node_takes_no_new_ones);
	tcase_add_test(t, what_is_said_during_a_hand_over_is_heard_once);
	tcase_add_test(t, a_target_that_dies_gets_it_not);
	tcase_add_test(t, nobody_takes_it);
	tcase_add_test(t, a_dead_home_is_told);
	tcase_add_test(t, one_may_leave_a_home_that_does_not_answer);
	tcase_add_test(t, a_restarted_home_knows_nothing);
	tcase_add_test(t, members_of_a_dead_node_lapse);
	tcase_add_test(t, a_way_that_was_cut_for_long);
	tcase_add_test(t, a_way_that_was_cut_for_a_moment);
	tcase_add_test(t, a_join_without_an_answer);
	tcase_add_test(t, a_leave_of_an_earlier_stay);
	tcase_add_test(t, a_claim_of_a_former_node);
	tcase_add_test(t, claims_that_overtake_each_other);
	tcase_add_test(t, whom_a_node_does_not_name);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
