/* SPDX-License-Identifier: Apache-2.0 */
/* Relays: who gets them, in which form, what their profiles say; when the room was created. */
#include "fabric.h"

#include <check.h>
#include <stdio.h>

static struct player *ann, *bob, *cid;
static struct dk_room *rooms;
static struct dk_id52 id;
static dk_id room;

static dk_slice bytes(const char *text)
{
	return dk_slice_of(dk_str_c(text));
}

static void start(const char *conf)
{
	struct dk_room_opts o = { .max_members = 4, .join = true, .ttl_s = 30, .interval_ms = 100 };

	fabric_open(1, 1, conf, NULL, "");
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	cid = player_new(0, "cid");
	rooms = fabric[0].rooms;
	room = fabric_room(0, ann, &o, &id);
	fabric_join(bob, &id);
	fabric_join(cid, &id);
	fabric_run(5);
}

static void setup(void)
{
	start("");
}

static void teardown(void)
{
	fabric_close();
}

/* members: with commas between; NULL = a command without them. */
static void relay(struct player *p, uint16_t cmd, const char *members, const char *message, const char *to)
{
	uint8_t buf[512];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	const char *at = members;
	uint16_t n = members && *members ? 1 : 0;

	for (const char *c = members; c && *c; c++)
		n = (uint16_t)(n + (*c == ','));
	if (members)
		dk_wr_u16(&w, n);
	for (; n; n--) {
		size_t len = strcspn(at, ",");

		dk_wr_bytes16(&w, dk_slice_n((const uint8_t *)at, len));
		at += len + 1;
	}
	dk_wr_bytes16(&w, bytes(message));
	dk_wr_u8(&w, 1);
	dk_wr_bytes16(&w, to ? bytes(to) : dk_slice_n(id.c, DK_ID52_LEN));
	player_send(p, 1, cmd, dk_written(&w));
	fabric_run(3);
}

/* Not to the sender, not merged, without a head, before the interval is over. */
START_TEST(to_the_others)
{
	relay(ann, 18, NULL, "one", NULL);
	ck_assert_str_eq(player_heard(bob), "18 alone one\n");
	ck_assert_str_eq(player_heard(cid), "18 alone one\n");
	relay(bob, 18, NULL, "two", NULL);
	relay(bob, 18, NULL, "", NULL);
	ck_assert_str_eq(player_heard(ann), "18 alone two\n18 alone \n");
	ck_assert_str_eq(player_heard(bob), "");
	ck_assert_int_eq(fabric_count(0, "relays"), 3);
	ck_assert_int_eq(fabric_count(0, "messages"), 0);
}
END_TEST

START_TEST(to_some)
{
	struct player *dan = player_new(0, "dan");

	relay(ann, 23, "bob,ann,dan,nobody", "psst", NULL);
	ck_assert_str_eq(player_heard(bob), "23 alone psst\n");
	ck_assert_str_eq(player_heard(ann), "");
	ck_assert_str_eq(player_heard(cid), "");
	ck_assert_str_eq(player_heard(dan), "");
	relay(ann, 23, "", "to nobody", NULL);
	ck_assert_str_eq(player_heard(ann), "");
}
END_TEST

/* The transport mem measures no round trips: the figures are 0 here, and real ones in tests/sim/sim_calls.c. */
START_TEST(profiles)
{
	relay(ann, 19, NULL, "how far", NULL);
	ck_assert_str_eq(player_heard(bob), "19 alone ....how far..ann\n");
	ck_assert_str_eq(player_heard(cid), "19 alone ....how far..ann\n");
	ck_assert_str_eq(player_heard(ann), "19 ok ..........bob......cid\n");
	relay(ann, 24, "cid,ann,nobody", "and you", NULL);
	ck_assert_str_eq(player_heard(cid), "24 alone ....and you..ann\n");
	ck_assert_str_eq(player_heard(bob), "");
	ck_assert_str_eq(player_heard(ann), "24 ok ..........cid\n");
	relay(ann, 24, "", "nobody", NULL);
	ck_assert_str_eq(player_heard(ann), "24 ok ....\n");
}
END_TEST

START_TEST(refused)
{
	static const char too_long[] = "22222222222222222222222222222222222222222222222222";
	struct player *dan;

	teardown();
	start("max_message_bytes = 40");
	dan = player_new(0, "dan");
	for (unsigned i = 0; i < 4; i++) {
		static const uint16_t cmds[] = { 18, 19, 23, 24 };
		const char *members = cmds[i] >= 23 ? "ann" : NULL;
		char want[96];

		relay(dan, cmds[i], members, "let me in", NULL);
		snprintf(want, sizeof(want), "%u bad the user is not a member of this room\n", cmds[i]);
		ck_assert_str_eq(player_heard(dan), want);
		relay(ann, cmds[i], members, "hello", "nowhere");
		snprintf(want, sizeof(want), "%u bad the request names no room: an id has 52 characters\n", cmds[i]);
		ck_assert_str_eq(player_heard(ann), want);
		relay(ann, cmds[i], members, too_long, NULL);
		snprintf(want, sizeof(want), "%u bad the message is longer than this node relays\n", cmds[i]);
		ck_assert_str_eq(player_heard(ann), want);
	}
	ck_assert_str_eq(player_heard(bob), "");
	ck_assert_int_eq(fabric_count(0, "relays"), 0);
}
END_TEST

/* By code, as whatever command it likes; and when the room was created. */
START_TEST(by_code)
{
	dk_id to[] = { player_user(cid), player_user(ann), 12345 };
	struct dk_room_info info;
	char created[5] = "", want[64];

	ck_assert_int_eq(rooms->relay(rooms, room, player_user(ann), FABRIC_VER_ALONE, 7, bytes("x"), false), 0);
	ck_assert_int_eq(rooms->relay_to(rooms, room, player_user(ann), to, 3, FABRIC_VER_ALONE, 8, bytes("y"), true), 0);
	fabric_run(3);
	ck_assert_str_eq(player_heard(bob), "7 alone x\n");
	ck_assert_str_eq(player_heard(cid), "7 alone x\n8 alone y\n");
	ck_assert_str_eq(player_heard(ann), "");
	ck_assert_int_eq(rooms->relay(rooms, room, 0, 2, 7, bytes("x"), false), DK_ROOM_NOT_MEMBER);
	ck_assert_int_eq(rooms->relay(rooms, 12345, player_user(ann), 2, 7, bytes("x"), false), DK_ROOM_GONE);

	ck_assert_int_eq(rooms->info(rooms, room, &info), 0);
	ck_assert_int_eq(rooms->sync_created(rooms, room, to, 1, 2, 40), 0);
	ck_assert_int_eq(rooms->sync_created(rooms, room, NULL, 0, 2, 41), 0);
	ck_assert_int_eq(rooms->sync_created(rooms, 12345, NULL, 0, 2, 41), DK_ROOM_GONE);
	fabric_run(3);
	for (unsigned i = 0; i < 4; i++) {
		unsigned c = info.created_s >> (24 - 8 * i) & 0xff;

		created[i] = c >= ' ' && c < 0x7f ? (char)c : '.';
	}
	snprintf(want, sizeof(want), "40 push %s\n41 push %s\n", created, created);
	ck_assert_str_eq(player_heard(cid), want);
	ck_assert_str_eq(player_heard(ann), strchr(want, '\n') + 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_send");
	TCase *t = tcase_create("relays");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, to_the_others);
	tcase_add_test(t, to_some);
	tcase_add_test(t, profiles);
	tcase_add_test(t, refused);
	tcase_add_test(t, by_code);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
