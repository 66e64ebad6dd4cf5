/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random joins of groups: one node, several, many at once; a group is found as long as one node lists it; hooks around the command.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/group.h>
#include <diarkis/group_commands.h>

#include "plugins/room/tests/fabric.h"

DK_PACKERS(GROUP_COMMANDS)

/* Hooks: what they saw, and whether one says no. */
struct hooks {
	struct dk_self base;
};
static char seen[512];
static bool veto;

static int before(struct hooks *p, struct dk_call *call)
{
	(void)p;
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "before ");
	return veto ? dk_refuse(call, GROUP_E_JOIN, "not today") : 0;
}

static int after(struct hooks *p, struct dk_call *call)
{
	dk_slice body = dk_call_body(call);

	(void)p;
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "after %s ",
		 body.n == 1 + DK_ID52_LEN ? (body.p[0] ? "joined" : "created") : "refused");
	return 0;
}

static const struct dk_hook hook_rows[] = { DK_HOOK_BEFORE(1, 114, before), DK_HOOK_AFTER(1, 114, after), { 0 } };

DK_PLUGIN(hooks) = {
	DK_PLUGIN_HEAD("hooks", "1", "the test's own"),
	.self_size = sizeof(struct hooks),
	.hooks = hook_rows,
};

static void open_nodes(unsigned n, const char *options)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_hooks, NULL };
	char more[512];

	seen[0] = '\0';
	veto = false;
	snprintf(more, sizeof(more), "hooks = {}; group = { %s };", options);
	fabric_open(n, 11, "", plugins, more);
	if (n > 2)
		fabric_serves(2, "HTTP");
}

static void teardown(void)
{
	fabric_close();
}

static int64_t count(unsigned node, const char *counter)
{
	return dk_harness_counter(fabric[node].h, "group", counter);
}

static void say_random(struct player *p, uint16_t ttl_s, const char *message)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	group_on_rand_join_pack(&w, true, 0, dk_slice_of(dk_str_c(message)), ttl_s);
	player_send(p, GROUP_VER, GROUP_CMD_RAND_JOIN, dk_written(&w));
}

static void leave_all(struct player *p)
{
	struct dk_group *svc = dk_harness_service(fabric[p->node].h, DK_GROUP_NAME);
	dk_id group;

	while ((group = svc->of_user(svc, player_user(p), 0)))
		ck_assert_int_eq(svc->leave(svc, group, player_user(p), 1, 112, dk_slice_n(NULL, 0)), 0);
}

/* The only group of p, by its id. */
static struct dk_id52 group_of(const struct player *p)
{
	struct dk_group *svc = dk_harness_service(fabric[p->node].h, DK_GROUP_NAME);
	struct dk_group_info info;

	ck_assert_int_eq(svc->info(svc, svc->of_user(svc, player_user(p), 0), &info), 0);
	return info.id;
}

static bool same_group(const struct player *a, const struct player *b)
{
	struct dk_id52 x = group_of(a), y = group_of(b);

	return memcmp(&x, &y, sizeof(x)) == 0;
}

START_TEST(alone)
{
	struct player *ann, *bob, *eve;

	open_nodes(1, "");
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	eve = player_new(0, "eve");
	say_random(ann, 20, "");
	fabric_run(50);
	ck_assert_str_eq(seen, "before after created ");
	seen[0] = '\0';
	say_random(bob, 20, "hello");
	fabric_run(50);
	ck_assert_str_eq(seen, "before after joined ");
	ck_assert(same_group(ann, bob));
	{
		const char *heard = player_heard(bob);

		ck_assert_msg(!strncmp(heard, "114 ok .#\n", 10), "%s", heard);
		ck_assert_ptr_nonnull(strstr(heard, "111 push"));
		ck_assert_ptr_nonnull(strstr(player_heard(ann), "hello"));
	}
	say_random(eve, 21, ""); /* other parameters */
	fabric_run(50);
	ck_assert(!same_group(ann, eve));
	/* whoever is in it already gets another one */
	say_random(ann, 20, "");
	fabric_run(50);
	ck_assert(!same_group(ann, bob));
	ck_assert_int_eq(count(0, "random_created"), 3);
	/* refusals */
	leave_all(eve);
	player_heard(eve);
	say_random(eve, 10, "");
	fabric_run(50);
	ck_assert_str_eq(player_heard(eve),
			 "114 bad a group has a time to live above 10 s; without allow_empty its creator has to join\n");
	veto = true;
	say_random(eve, 20, "");
	fabric_run(50);
	ck_assert_str_eq(player_heard(eve), "114 bad not today\n");
}
END_TEST

START_TEST(across_nodes)
{
	struct player *p[30];
	char name[8];

	open_nodes(3, "support = true");
	fabric_jitter(5);
	for (unsigned i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		p[i] = player_new(i % 2, name);
	}
	for (unsigned i = 0; i < 30; i++)
		say_random(p[i], 20, "");
	fabric_run(3000);
	for (unsigned i = 0; i < 30; i++) {
		ck_assert_uint_eq(p[i]->node, i % 2); /* nobody has to move */
		ck_assert(same_group(p[0], p[i]));
	}
	ck_assert_int_eq(count(0, "random_created") + count(1, "random_created"), 1);
}
END_TEST

/* The node that made it goes; one that has members still lists it. */
START_TEST(found_by_whoever_has_it)
{
	struct player *ann, *bob, *eve;

	open_nodes(4, "support = true");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	eve = player_new(3, "eve");
	say_random(ann, 60, "");
	fabric_run(200);
	say_random(bob, 60, "");
	fabric_run(200);
	ck_assert(same_group(ann, bob));
	fabric_kill(0);
	for (unsigned i = 1; i < 4; i++)
		fabric_believe(i, 0, DK_DEAD);
	fabric_run(2000);
	say_random(eve, 60, "");
	fabric_run(3500);
	ck_assert(same_group(eve, bob));
	/* and when nobody is left it is found no more */
	leave_all(bob);
	leave_all(eve);
	fabric_run(200);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("group_support");
	TCase *t = tcase_create("random");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, alone);
	tcase_add_test(t, across_nodes);
	tcase_add_test(t, found_by_whoever_has_it);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
