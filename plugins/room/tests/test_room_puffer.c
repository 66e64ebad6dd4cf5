/* SPDX-License-Identifier: Apache-2.0 */
/* The second set of commands: create, join, leave and broadcast in puffer form. */
#include "fabric.h"

#include <check.h>
#include <stdio.h>

DK_PACKERS(ROOM_PUFFER_COMMANDS)

static struct player *ann, *bob;
static struct dk_id52 id;

static dk_slice bytes(const char *text)
{
	return dk_slice_of(dk_str_c(text));
}

static dk_str room_text(void)
{
	return dk_str_n(id.c, DK_ID52_LEN);
}

static void start(unsigned nodes, const char *conf)
{
	fabric_open(nodes, 1, conf, NULL, "");
	ann = player_new(0, "ann");
	bob = player_new(nodes - 1, "bob");
}

static void setup(void)
{
	start(1, "expose_puffer_commands = true");
}

static void again(unsigned nodes, const char *conf)
{
	fabric_close();
	start(nodes, conf);
}

static void create(struct player *p, uint16_t max)
{
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_room *svc = fabric[p->node].rooms;
	struct dk_room_info info;

	room_on_puffer_create_pack(&w, false, 0, true, max, 30);
	player_send(p, 1, ROOM_CMD_PUFFER_CREATE, dk_written(&w));
	fabric_run(3);
	if (svc->info(svc, svc->of_user(svc, player_user(p)), &info) == 0)
		id = info.id;
}

static void say(struct player *p, uint16_t cmd, const char *message)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (cmd == ROOM_CMD_PUFFER_JOIN)
		room_on_puffer_join_pack(&w, bytes(message), room_text());
	else if (cmd == ROOM_CMD_PUFFER_LEAVE)
		room_on_puffer_leave_pack(&w, bytes(message), room_text());
	else
		room_on_puffer_broadcast_pack(&w, bytes(message), true, room_text());
	player_send(p, 1, cmd, dk_written(&w));
	fabric_run(3);
}

/* An answer with a room: four bytes of time, then the id as a text: of its length 52 is a digit, too. */
static void expect_room(struct player *p, uint16_t cmd, const char *more)
{
	const char *heard = player_heard(p);
	char want[64];

	ck_assert_uint_gt(strlen(heard), 15);
	snprintf(want, sizeof(want), "%u ok ", cmd);
	ck_assert_int_eq(strncmp(heard, want, strlen(want)), 0);
	ck_assert_str_eq(heard + strlen(want) + 4, more);
}

START_TEST(all_four)
{
	create(ann, 1);
	ck_assert_int_eq(strncmp(player_heard(ann), "1100 bad a room has 2 to", 24), 0);
	create(ann, 4);
	expect_room(ann, 1100, ".#0\n");
	say(bob, ROOM_CMD_PUFFER_JOIN, "hello");
	expect_room(bob, 1101, ".#0\n101 push hello\n");
	ck_assert_str_eq(player_heard(ann), "101 push hello\n");
	say(bob, ROOM_CMD_PUFFER_BROADCAST, "to all");
	ck_assert_str_eq(player_heard(ann), "103 push to all\n");
	ck_assert_str_eq(player_heard(bob), "103 push to all\n");
	say(bob, ROOM_CMD_PUFFER_LEAVE, "bye");
	ck_assert_str_eq(player_heard(ann), "102 push bye\n");
	ck_assert_str_eq(player_heard(bob), "1102 ok \n");
	say(bob, ROOM_CMD_PUFFER_LEAVE, "bye");
	ck_assert_str_eq(player_heard(bob), "1102 bad the user is not a member of this room\n");
	say(bob, ROOM_CMD_PUFFER_BROADCAST, "to all");
	ck_assert_str_eq(player_heard(bob), "1103 bad the user is not a member of this room\n");
}
END_TEST

/* The answer comes from the node of the room, in the form that was asked for. */
START_TEST(from_another_node)
{
	again(3, "expose_puffer_commands = true");
	create(ann, 4);
	player_heard(ann);
	say(bob, ROOM_CMD_PUFFER_JOIN, "hello");
	fabric_run(50);
	ck_assert_uint_eq(bob->node, 0);
	expect_room(bob, 1101, ".#0\n101 push hello\n");
}
END_TEST

/* One that comes while the room is frozen waits, and finds it where it went. */
START_TEST(while_it_moves)
{
	again(2, "expose_puffer_commands = true");
	create(ann, 4);
	player_heard(ann);
	fabric_jitter(10);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(2);
	bob = player_new(0, "cid");
	say(bob, ROOM_CMD_PUFFER_JOIN, "hello");
	fabric_run(500);
	ck_assert_uint_eq(bob->node, 1);
	expect_room(bob, 1101, ".#0\n101 push hello\n");
}
END_TEST

/* Each set has a switch of its own, and what has one form only is in both. */
START_TEST(switches)
{
	static const uint8_t nothing[12];
	char digits[64];

	memset(digits, '0', sizeof(digits));
	again(1, "");
	create(ann, 4);
	ck_assert_str_eq(player_heard(ann), "1100 bad room commands are not open to clients on this node\n");
	again(1, "expose_commands = false; expose_puffer_commands = true");
	create(ann, 4);
	expect_room(ann, 1100, ".#0\n");
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(3);
	ck_assert_str_eq(player_heard(ann), "12 bad no other node can take this room now\n");
	say(bob, ROOM_CMD_PUFFER_JOIN, "hello");
	expect_room(bob, 1101, ".#0\n101 push hello\n");
	say(bob, ROOM_CMD_PUFFER_LEAVE, "");
	ck_assert_str_eq(player_heard(bob), "1102 ok \n");
	for (uint16_t cmd = ROOM_CMD_CREATE; cmd <= ROOM_CMD_BROADCAST; cmd++) {
		char want[80];

		player_send(bob, 1, cmd, cmd == ROOM_CMD_CREATE ? dk_slice_n(nothing, 12) : dk_slice_n(digits, 64));
		fabric_run(3);
		snprintf(want, sizeof(want), "%u bad room commands are not open to clients on this node\n", cmd);
		ck_assert_str_eq(player_heard(bob), want);
	}
	again(1, "expose_commands = false");
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(3);
	ck_assert_str_eq(player_heard(ann), "12 bad room commands are not open to clients on this node\n");
}
END_TEST

START_TEST(no_id)
{
	memset(&id, 0, sizeof(id));
	for (uint16_t cmd = 1101; cmd <= 1103; cmd++) {
		uint8_t buf[64];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));
		char want[80];

		dk_wr_bytes16(&w, bytes("x"));
		if (cmd == 1103)
			dk_wr_u8(&w, 1);
		dk_wr_bytes16(&w, bytes("short"));
		player_send(ann, 1, cmd, dk_written(&w));
		fabric_run(3);
		snprintf(want, sizeof(want), "%u bad the request names no room: an id has 52 characters\n", cmd);
		ck_assert_str_eq(player_heard(ann), want);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_puffer");
	TCase *t = tcase_create("second set");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, fabric_close);
	tcase_add_test(t, all_four);
	tcase_add_test(t, from_another_node);
	tcase_add_test(t, while_it_moves);
	tcase_add_test(t, switches);
	tcase_add_test(t, no_id);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
