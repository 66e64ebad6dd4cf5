/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms that can be found: random joins fill rooms and never more than fill them, on one node and across a cluster; rooms found by
 * type are the ones that are there, whatever becomes of the nodes that have them and of those that know them.
 */
#include "fabric.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

DK_PACKERS(ROOM_COMMANDS)

enum { SUPPORT = 2 }; /* the node that serves HTTP */

static void open_nodes(unsigned n, const char *room)
{
	fabric_open(n, 7, room, NULL, "");
	if (n > SUPPORT)
		fabric_serves(SUPPORT, "HTTP");
}

static void teardown(void)
{
	fabric_close();
}

static void say_random(struct player *p, uint16_t cmd, uint16_t max, const char *message)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_rand_join_pack(&w, 0, max, dk_slice_of(dk_str_c(message)), 60);
	player_send(p, 1, cmd, dk_written(&w));
}

static void say_register(struct player *p, uint32_t type, const char *name, const char *metadata)
{
	uint8_t buf[2048];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_register_pack(&w, dk_str_c(metadata), dk_str_c(name), type);
	player_send(p, 1, ROOM_CMD_REGISTER, dk_written(&w));
}

static void say_find(struct player *p, uint32_t type, uint16_t limit)
{
	uint8_t buf[16];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_find_pack(&w, limit, type);
	player_send(p, 1, ROOM_CMD_FIND, dk_written(&w));
}

static void say_leave(struct player *p)
{
	struct dk_room *rooms = fabric[p->node].rooms;
	struct dk_room_info info;

	ck_assert_int_eq(rooms->info(rooms, rooms->of_user(rooms, player_user(p)), &info), 0);
	player_send(p, 1, ROOM_CMD_LEAVE, dk_slice_n(info.id.c, DK_ID52_LEN));
}

/* Answers to random joins begin with the flag and four bytes of time. */
static char answer_to_random(struct player *p)
{
	const char *at = strstr(player_heard(p), "106 ");

	ck_assert_ptr_nonnull(at);
	if (strncmp(at, "106 ok ", 7))
		return '-';
	ck_assert_ptr_nonnull(strchr(at + 7 + 5, '#'));
	return p->node < FABRIC_NODES ? 'y' : 'n';
}

static uint16_t members_around(const struct player *p)
{
	struct dk_room *rooms = fabric[p->node].rooms;
	size_t n;

	rooms->members(rooms, rooms->of_user(rooms, player_user(p)), &n);
	return (uint16_t)n;
}

static dk_id room_of(const struct player *p)
{
	return fabric[p->node].rooms->of_user(fabric[p->node].rooms, player_user(p));
}

/* ---- one node ---- */

START_TEST(alone)
{
	struct player *p[5];
	char name[8];

	fabric_open(1, 3, "", NULL, "");
	for (unsigned i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		p[i] = player_new(0, name);
		say_random(p[i], ROOM_CMD_RAND_JOIN, 2, name);
		fabric_run(100);
	}
	ck_assert_int_eq(room_of(p[0]) == room_of(p[1]), 1);
	ck_assert_int_eq(room_of(p[2]) == room_of(p[3]), 1);
	ck_assert_int_eq(room_of(p[0]) == room_of(p[2]), 0);
	ck_assert_uint_eq(members_around(p[4]), 1);
	ck_assert_int_eq(fabric_count(0, "random_created"), 3);
	ck_assert_int_eq(fabric_count(0, "random_joined"), 2);
	/* the notice comes after the answer, to both */
	ck_assert_ptr_nonnull(strstr(player_heard(p[0]), "101 push p1\n"));
	{
		const char *heard = player_heard(p[1]);

		ck_assert_ptr_nonnull(strstr(heard, "106 ok "));
		ck_assert(strstr(heard, "106 ok ") < strstr(heard, "101 push p1\n"));
	}
	/* a seat that is free again is found again */
	say_leave(p[0]);
	fabric_run(100);
	ck_assert_uint_eq(members_around(p[1]), 1);
	say_random(p[0], ROOM_CMD_RAND_JOIN, 2, "");
	fabric_run(100);
	ck_assert_uint_eq(members_around(p[1]) + members_around(p[4]), 3);
	ck_assert_int_eq(fabric_count(0, "random_created"), 3);
	/* and other parameters are another room */
	say_leave(p[0]);
	fabric_run(100);
	say_random(p[0], ROOM_CMD_RAND_JOIN, 3, "");
	fabric_run(100);
	ck_assert_uint_eq(members_around(p[0]), 1);
	ck_assert_int_eq(fabric_count(0, "random_created"), 4);
}
END_TEST

/* A room that is on its way to another node, or about to leave one that goes down (_i 1), is found as any other, by who is there
 * already, too; but for the moment in which it has left and the directory has not heard of that yet. */
START_TEST(found_on_its_way)
{
	unsigned found = 0;

	for (unsigned ms = 0; ms < 16; ms++) {
		struct player *ann, *eve;

		if (ms)
			fabric_close();
		open_nodes(3, "support = true");
		ann = player_new(0, "ann");
		eve = player_new(1, "eve");
		say_random(ann, ROOM_CMD_RAND_JOIN, 4, "");
		fabric_run(100);
		fabric_jitter(5);
		if (_i)
			dk_stop(dk_harness_kernel(fabric[0].h));
		else
			player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
		fabric_run(ms);
		say_random(eve, ROOM_CMD_RAND_JOIN, 4, "");
		fabric_run(600);
		ck_assert_uint_eq(ann->node, 1);
		ck_assert_uint_eq(eve->node, 1);
		ck_assert_int_eq(answer_to_random(eve), 'y');
		found += room_of(ann) == room_of(eve);
		ck_assert_uint_eq(members_around(ann), room_of(ann) == room_of(eve) ? 2 : 1);
	}
	ck_assert_uint_ge(found, _i ? 16 : 8);
}
END_TEST

START_TEST(created_for_others)
{
	struct player *ann, *bob;

	fabric_open(1, 3, "", NULL, "");
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	say_random(ann, ROOM_CMD_RAND_CREATE, 4, "");
	say_random(bob, ROOM_CMD_RAND_CREATE, 4, "");
	fabric_run(50);
	ck_assert_ptr_nonnull(strstr(player_heard(ann), "105 ok ."));
	ck_assert_int_eq(fabric_count(0, "random_created"), 2);
	ck_assert_int_eq(room_of(ann) == room_of(bob), 0);
	say_leave(bob);
	fabric_run(50);
	player_heard(bob);
	say_random(bob, ROOM_CMD_RAND_JOIN, 4, "");
	fabric_run(50);
	ck_assert_int_eq(answer_to_random(bob), 'y');
	ck_assert_int_eq(fabric_count(0, "random_created"), 2);
}
END_TEST

START_TEST(refusals)
{
	struct player *ann, *bob;
	char long_name[300];

	fabric_open(1, 3, "max_message_bytes = 100", NULL, "");
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	say_random(ann, ROOM_CMD_RAND_JOIN, 1, "");
	fabric_run(10);
	ck_assert_str_eq(player_heard(ann), "106 bad max_members: expected 2 to 1000 seats, found 1\n");
	memset(long_name, 'x', sizeof(long_name));
	long_name[200] = '\0';
	say_random(ann, ROOM_CMD_RAND_JOIN, 2, long_name);
	fabric_run(10);
	ck_assert_str_eq(player_heard(ann), "106 bad the message is longer than this node relays\n");
	say_random(ann, ROOM_CMD_RAND_JOIN, 2, "");
	fabric_run(10);
	player_heard(ann);
	say_random(ann, ROOM_CMD_RAND_JOIN, 2, "");
	say_random(ann, ROOM_CMD_RAND_CREATE, 2, "");
	fabric_run(10);
	ck_assert_str_eq(player_heard(ann), "106 bad the user is in a room already, and leaves that one first\n"
					    "105 bad the user is in a room already, and leaves that one first\n");
	say_register(bob, 1, "a", "b");
	say_find(bob, 1, 0);
	fabric_run(10);
	ck_assert_str_eq(player_heard(bob), "115 bad the user is not a member of this room\n"
					    "116 bad a search is for 1 to 100 rooms, and this one is for none\n");
	memset(long_name, 'x', 256);
	long_name[256] = '\0';
	say_register(ann, 1, long_name, "");
	fabric_run(10);
	ck_assert_str_eq(player_heard(ann),
			 "115 bad a room's name has at most 255 bytes and its metadata 1024; these have 256 and 0\n");
}
END_TEST

/* ---- a cluster ---- */

START_TEST(across_nodes)
{
	struct player *ann, *bob;

	open_nodes(3, "support = true");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	say_random(ann, ROOM_CMD_RAND_JOIN, 4, "");
	fabric_run(100);
	say_random(bob, ROOM_CMD_RAND_JOIN, 4, "hello");
	fabric_run(300);
	ck_assert_uint_eq(bob->node, 0);
	ck_assert_uint_eq(members_around(ann), 2);
	{
		const char *heard = player_heard(bob);

		ck_assert(!strncmp(heard, "106 ok .", 8));
		ck_assert_ptr_nonnull(strstr(heard, "#\n101 push hello\n"));
	}
	ck_assert_int_eq(fabric_count(2, "listed"), 1);
	ck_assert_int_eq(fabric_count(0, "random_joined"), 1);
}
END_TEST

START_TEST(nobody_keeps_a_directory)
{
	struct player *ann, *bob, *eve;

	open_nodes(3, ""); /* the node of the type says no: each node knows its own rooms */
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	eve = player_new(1, "eve");
	say_random(ann, ROOM_CMD_RAND_JOIN, 4, "");
	fabric_run(100);
	say_random(bob, ROOM_CMD_RAND_JOIN, 4, "");
	say_random(eve, ROOM_CMD_RAND_JOIN, 4, "");
	fabric_run(300);
	ck_assert_uint_eq(members_around(ann), 2);
	ck_assert_uint_eq(eve->node, 1);
	ck_assert_uint_eq(members_around(eve), 1);
}
END_TEST

/* All at once: as few rooms as there can be, and nobody is left over. */
START_TEST(swarm)
{
	enum { N = 60, MAX = 5 };
	struct player *p[N];
	unsigned rooms = 0, members = 0;
	uint32_t slot;
	char name[8];

	open_nodes(3, "support = true");
	fabric_jitter((uint32_t)_i * 3);
	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		p[i] = player_new(i % 2, name);
	}
	for (unsigned i = 0; i < N; i++)
		say_random(p[i], ROOM_CMD_RAND_JOIN, MAX, "");
	fabric_run(6000);
	for (unsigned i = 0; i < N; i++)
		ck_assert_int_eq(answer_to_random(p[i]), 'y');
	for (unsigned k = 0; k < 2; k++) {
		dk_id room;

		slot = 0;
		while ((room = fabric[k].rooms->next(fabric[k].rooms, &slot))) {
			struct dk_room_info info;

			ck_assert_int_eq(fabric[k].rooms->info(fabric[k].rooms, room, &info), 0);
			ck_assert_uint_le(info.members + info.reserved, MAX);
			rooms++;
			members += info.members;
		}
	}
	ck_assert_uint_eq(members, N);
	ck_assert_uint_eq(rooms, N / MAX);
}
END_TEST

/* A way that is cut: everybody ends up somewhere all the same. */
START_TEST(directory_out_of_reach)
{
	struct player *ann, *bob;

	open_nodes(3, "support = true");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	fabric_cut(0, 2, true);
	say_random(ann, ROOM_CMD_RAND_JOIN, 4, "");
	say_find(ann, 9, 1);
	fabric_run(7000);
	{
		const char *heard = player_heard(ann);

		ck_assert(!strncmp(heard, "106 ok .", 8));
		ck_assert_ptr_nonnull(
			strstr(heard, "116 err the node that knows the rooms of this type does not answer; ask again"));
	}
	/* and when the way is open again, so is the room */
	fabric_cut(0, 2, false);
	fabric_run(2500);
	say_random(bob, ROOM_CMD_RAND_JOIN, 4, "");
	fabric_run(300);
	ck_assert_uint_eq(members_around(ann), 2);
}
END_TEST

/* ---- by type ---- */

static void expect_found(struct player *p, uint32_t type, const char *want)
{
	player_heard(p);
	say_find(p, type, 10);
	fabric_run(50);
	ck_assert_str_eq(player_heard(p), want);
}

static void create_room(struct player *p, uint16_t max)
{
	uint8_t buf[16];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_create_pack(&w, max, false, true, 60, 0, 0);
	player_send(p, 1, ROOM_CMD_CREATE, dk_written(&w));
	fabric_run(10);
}

START_TEST(find_by_type)
{
	struct player *ann, *bob;

	open_nodes(3, "support = true");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	create_room(ann, 7);
	say_register(ann, 42, "Arena", "{level: 3}");
	fabric_run(50);
	ck_assert_ptr_nonnull(strstr(player_heard(ann), "115 ok \n"));
	expect_found(bob, 42, "116 ok ...M.#0......{level: 3}..Arena\n");
	expect_found(bob, 41, "116 ok ..\n");
	/* anew, under another type: no more under the old one */
	say_register(ann, 41, "Pit", "");
	fabric_run(50);
	expect_found(bob, 42, "116 ok ..\n");
	expect_found(bob, 41, "116 ok ...A.#0........Pit\n");
	/* it ends */
	say_leave(ann);
	fabric_run(50);
	expect_found(bob, 41, "116 ok ..\n");
}
END_TEST

START_TEST(found_where_it_moves)
{
	struct player *ann, *bob;
	struct dk_id52 old, now;
	struct dk_room_info info;

	open_nodes(4, "support = true");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	create_room(ann, 7);
	say_register(ann, 42, "Arena", "");
	fabric_run(50);
	ck_assert_int_eq(fabric[0].rooms->info(fabric[0].rooms, room_of(ann), &info), 0);
	old = info.id;
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(500);
	ck_assert_uint_ne(ann->node, 0);
	ck_assert_int_eq(fabric[ann->node].rooms->info(fabric[ann->node].rooms, room_of(ann), &info), 0);
	now = info.id;
	ck_assert_int_ne(memcmp(&old, &now, sizeof(old)), 0);
	expect_found(bob, 42, "116 ok ...C.#0........Arena\n");
	ck_assert_int_eq(fabric_count(SUPPORT, "listed"), 1);
}
END_TEST

START_TEST(node_dies)
{
	struct player *ann, *bob;

	open_nodes(3, "support = true");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	create_room(ann, 7);
	say_register(ann, 42, "Arena", "");
	fabric_run(50);
	expect_found(bob, 42, "116 ok ...C.#0........Arena\n");
	fabric_kill(0);
	/* nobody was told, and it is silent */
	fabric_run(5600);
	expect_found(bob, 42, "116 ok ..\n");
}
END_TEST

START_TEST(node_called_dead)
{
	struct player *ann, *bob;

	open_nodes(3, "support = true");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	create_room(ann, 7);
	say_register(ann, 42, "Arena", "");
	fabric_run(50);
	fabric_believe(SUPPORT, 0, DK_DEAD);
	fabric_run(10);
	expect_found(bob, 42, "116 ok ..\n");
	/* it was a mistake: what it has is there again with its next word */
	fabric_believe(SUPPORT, 0, DK_ALIVE);
	fabric_run(1500);
	expect_found(bob, 42, "116 ok ...C.#0........Arena\n");
}
END_TEST

/* Several nodes keep the directory; the one that knew a room goes. */
START_TEST(directory_moves)
{
	struct player *ann, *bob;
	unsigned knows;

	open_nodes(5, "support = true");
	fabric_serves(3, "HTTP");
	fabric_serves(4, "HTTP");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	create_room(ann, 7);
	say_register(ann, 42, "Arena", "");
	fabric_run(50);
	for (knows = 2; knows < 5 && !fabric_count(knows, "listed");)
		knows++;
	ck_assert_uint_lt(knows, 5);
	ck_assert_int_eq(fabric_count(2, "listed") + fabric_count(3, "listed") + fabric_count(4, "listed"), 1);
	fabric_kill(knows);
	for (unsigned i = 0; i < 5; i++)
		if (i != knows)
			fabric_believe(i, knows, DK_DEAD);
	fabric_run(100);
	expect_found(bob, 42, "116 ok ...C.#0........Arena\n");
	fabric_restart(knows);
	fabric_serves(2, "HTTP");
	fabric_serves(3, "HTTP");
	fabric_serves(4, "HTTP");
	for (unsigned i = 0; i < 5; i++)
		if (i != knows)
			fabric_rejoin(i, knows);
	fabric_run(100);
	expect_found(bob, 42, "116 ok ...C.#0........Arena\n");
	ck_assert_int_eq(fabric_count(knows, "listed"), 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("room_support");
	TCase *t = tcase_create("random");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, alone);
	tcase_add_test(t, created_for_others);
	tcase_add_test(t, refusals);
	tcase_add_test(t, across_nodes);
	tcase_add_loop_test(t, found_on_its_way, 0, 2);
	tcase_add_test(t, nobody_keeps_a_directory);
	tcase_add_loop_test(t, swarm, 0, 4);
	tcase_add_test(t, directory_out_of_reach);
	suite_add_tcase(s, t);
	t = tcase_create("type");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, find_by_type);
	tcase_add_test(t, found_where_it_moves);
	tcase_add_test(t, node_dies);
	tcase_add_test(t, node_called_dead);
	tcase_add_test(t, directory_moves);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
