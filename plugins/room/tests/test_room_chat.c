/* SPDX-License-Identifier: Apache-2.0 */
/* Chat: who hears what, what is remembered and for how long, what is refused, and that the history goes where its room goes. */
#include "fabric.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the probe: a filter of texts ---- */

struct probe {
	struct dk_self base;
	struct dk_room *room;
};

static char asked[512];
static bool remove_room, veto;

static int on_chatting(struct probe *p, struct dk_room_chat *ask)
{
	size_t n = strlen(asked);

	snprintf(asked + n, sizeof(asked) - n, DK_STR_FMT ": " DK_STR_FMT " %s\n", DK_STR_ARG(ask->uid), DK_STR_ARG(ask->text),
		 p->room->is_member(p->room, ask->room, ask->sender) ? "member" : "server");
	ck_assert_uint_ne(ask->at_ms, 0);
	if (remove_room)
		p->room->remove(p->room, ask->room, 2, 9, dk_slice_n(NULL, 0));
	return veto;
}

static int probe_init(void *self)
{
	struct probe *p = self;

	dk_filter_add(p, &p->room->chatting, on_chatting);
	return 0;
}

FABRIC_PROBE(probe_init, DK_NEED(struct probe, room, DK_ROOM));

/* ---- a room with two members ---- */

static struct player *ann, *bob;
static struct dk_room *rooms;
static struct dk_id52 id;
static dk_id room;

static dk_slice bytes(const char *text)
{
	return dk_slice_of(dk_str_c(text));
}

static void start(unsigned nodes, const char *conf, uint8_t replicas)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, NULL };
	struct dk_room_opts o = { .max_members = 4, .join = true, .ttl_s = 30, .replicas = replicas };

	asked[0] = '\0';
	remove_room = veto = false;
	fabric_open(nodes, 1, conf, plugins, "probe = {}");
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	rooms = fabric[0].rooms;
	room = fabric_room(0, ann, &o, &id);
	fabric_join(bob, &id);
	fabric_run(5);
	player_heard(ann);
	player_heard(bob);
}

static void setup(void)
{
	start(1, "", 0);
}

static void again(unsigned nodes, const char *conf, uint8_t replicas)
{
	fabric_close();
	start(nodes, conf, replicas);
}

static void say(struct player *p, const char *text)
{
	uint8_t buf[4096];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_bytes16(&w, bytes(text));
	dk_wr_bytes16(&w, dk_slice_n(id.c, DK_ID52_LEN));
	ck_assert(!w.bad);
	player_send(p, 1, ROOM_CMD_CHAT, dk_written(&w));
	fabric_run(3);
}

/* What the room remembers, as "uid text|". */
static const char *history(unsigned node, dk_id of)
{
	static char text[65536];
	struct dk_room *svc = fabric[node].rooms;
	struct dk_room_chat line;
	const void *at = NULL;
	uint64_t last = 0;
	size_t n = 0;

	text[0] = '\0';
	while (svc->next_chat(svc, of, &at, &line)) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, DK_STR_FMT " " DK_STR_FMT "|", DK_STR_ARG(line.uid),
				      DK_STR_ARG(line.text));
		ck_assert_uint_ge(line.at_ms, last);
		last = line.at_ms;
	}
	return text;
}

/* What somebody heard, without the eight bytes of time at the end of each chat. */
static const char *heard(struct player *p)
{
	static char text[8192];
	const char *line = player_heard(p);
	size_t n = 0;

	while (*line) {
		size_t len = strcspn(line, "\n"), keep = strncmp(line, "125 push ", 9) == 0 ? len - 8 : len;

		memcpy(text + n, line, keep);
		n += keep;
		text[n++] = '\n';
		line += len + 1;
	}
	text[n] = '\0';
	return text;
}

START_TEST(to_all)
{
	say(ann, "hello");
	ck_assert_str_eq(heard(bob), "125 push ..hello..ann\n");
	ck_assert_str_eq(heard(ann), "125 push ..hello..ann\n125 ok \n");
	ck_assert_str_eq(asked, "ann: hello member\n");
	ck_assert_int_eq(rooms->chat(rooms, room, 0, dk_str_c("welcome")), 0);
	fabric_run(3);
	ck_assert_str_eq(heard(bob), "125 push ..welcome..\n"); /* of nobody */
	ck_assert_str_eq(history(0, room), "ann hello| welcome|");
	ck_assert_int_eq(fabric_count(0, "chats"), 2);
}
END_TEST

/* Anybody who is a member gets the last lines, also of before it came. */
START_TEST(what_was_said)
{
	struct player *cid = player_new(0, "cid");
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	const char *log;

	dk_wr_bytes16(&w, dk_slice_n(id.c, DK_ID52_LEN));
	player_send(ann, 1, ROOM_CMD_CHAT_LOG, dk_written(&w));
	fabric_run(3);
	ck_assert_str_eq(player_heard(ann), "126 ok ..\n");
	say(ann, "one");
	say(bob, "two");
	player_send(cid, 1, ROOM_CMD_CHAT_LOG, dk_written(&w));
	fabric_run(3);
	ck_assert_str_eq(player_heard(cid), "126 bad the user is not a member of this room\n");
	fabric_join(cid, &id);
	player_send(cid, 1, ROOM_CMD_CHAT_LOG, dk_written(&w));
	fabric_run(3);
	log = heard(cid);
	ck_assert_int_eq(strncmp(log, "126 ok ......one..ann", 21), 0);
	ck_assert_int_eq(strncmp(log + 29, "....two..bob", 12), 0);
	ck_assert_uint_eq(strlen(log), 50);
}
END_TEST

START_TEST(bounded)
{
	again(1, "chat_history = 3; chat_rate = 0; max_chat_bytes = 2000", 0);
	for (unsigned i = 0; i < 5; i++)
		say(ann, (const char *[]){ "a", "b", "c", "d", "e" }[i]);
	ck_assert_str_eq(history(0, room), "ann c|ann d|ann e|");
	ck_assert_int_eq(rooms->chat_limit(rooms, room, 1), 0);
	ck_assert_str_eq(history(0, room), "ann e|");
	ck_assert_int_eq(rooms->chat_limit(rooms, room, 0), 0);
	say(ann, "f");
	ck_assert_str_eq(history(0, room), "");
	ck_assert_int_eq(rooms->chat_limit(rooms, room, DK_ROOM_CHAT_LINES_MAX + 1), DK_ROOM_BAD_PARAMS);
	ck_assert_int_eq(rooms->chat_limit(rooms, 12345, 1), DK_ROOM_GONE);
	ck_assert_int_eq(rooms->chat_limit(rooms, room, DK_ROOM_CHAT_LINES_MAX), 0);
	for (unsigned i = 0; i < 60; i++) { /* more than an answer holds */
		char text[1901];

		memset(text, 'x', 1900);
		text[1900] = '\0';
		snprintf(text, 8, "%u", i);
		text[strlen(text)] = 'x';
		ck_assert_int_eq(rooms->chat(rooms, room, player_user(ann), dk_str_c(text)), 0);
		fabric_run(1);
	}
	ck_assert_ptr_eq(strstr(history(0, room), "ann 3"), history(0, room)); /* 25 of them fit: 35 and later are left */
	player_heard(ann);
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_bytes16(&w, dk_slice_n(id.c, DK_ID52_LEN));
	player_send(ann, 1, ROOM_CMD_CHAT_LOG, dk_written(&w));
	fabric_run(5);
	ck_assert_ptr_nonnull(strstr(player_heard(ann), "126 ok "));
}
END_TEST

START_TEST(refused)
{
	struct player *cid = player_new(0, "cid");

	again(1, "max_chat_bytes = 5; chat_rate = 2", 0);
	cid = player_new(0, "cid");
	say(ann, "longer");
	ck_assert_str_eq(player_heard(ann), "125 bad the message is longer than this node relays\n");
	say(ann, "");
	ck_assert_str_eq(player_heard(ann), "125 bad message: expected 1 byte or more, found none\n");
	say(cid, "hi");
	ck_assert_str_eq(player_heard(cid), "125 bad the user is not a member of this room\n");
	veto = true;
	say(ann, "swear");
	ck_assert_str_eq(player_heard(ann), "125 bad a rule of this room does not let the user in\n");
	veto = false;
	ck_assert_str_eq(history(0, room), "");
	say(ann, "1");
	player_heard(ann);
	say(ann, "2"); /* the one that was vetoed counts */
	ck_assert_str_eq(player_heard(ann), "125 bad the user says more in a second than this node relays\n");
	say(bob, "3"); /* each for itself */
	fabric_run(500);
	say(ann, "4");
	say(ann, "5");
	ck_assert_str_eq(history(0, room), "ann 1|bob 3|ann 4|");
	fabric_run(5000); /* no more than a second's worth is saved up */
	for (unsigned i = 0; i < 4; i++)
		say(ann, "6");
	ck_assert_str_eq(history(0, room), "ann 1|bob 3|ann 4|ann 6|ann 6|");
	ck_assert_int_eq(fabric_count(0, "chat_refused"), 6);
	ck_assert_int_eq(rooms->chat(rooms, 12345, 0, dk_str_c("x")), DK_ROOM_GONE);
}
END_TEST

START_TEST(filter_ends_the_room)
{
	remove_room = true;
	ck_assert_int_eq(rooms->chat(rooms, room, player_user(ann), dk_str_c("x")), DK_ROOM_GONE);
	ck_assert_str_eq(history(0, room), "");
}
END_TEST

/* With the room's interval, and in one order with what else is said. */
START_TEST(with_the_tick)
{
	struct dk_room_opts o = { .max_members = 4, .join = true, .ttl_s = 30, .interval_ms = 100 };
	struct player *dan = player_new(0, "dan");

	ck_assert_int_eq(rooms->create(rooms, player_user(dan), &o, &room), 0);
	ck_assert_int_eq(rooms->broadcast(rooms, room, player_user(dan), 2, 1, bytes("a"), true), 0);
	ck_assert_int_eq(rooms->chat(rooms, room, player_user(dan), dk_str_c("b")), 0);
	ck_assert_int_eq(rooms->broadcast(rooms, room, player_user(dan), 2, 1, bytes("c"), true), 0);
	fabric_run(120);
	ck_assert_str_eq(heard(dan), "1 push a\n125 push ..b..dan\n1 push c\n");
}
END_TEST

static unsigned where(dk_id *ret_room)
{
	for (unsigned i = 0; i < 3; i++) {
		dk_id here = fabric[i].h ? fabric[i].rooms->find(fabric[i].rooms, &id) : 0;

		if (here) {
			*ret_room = here;
			return i;
		}
	}
	ck_abort_msg("the room is nowhere");
}

START_TEST(moves_with_its_room)
{
	unsigned at;

	again(3, "chat_history = 4", 0);
	say(ann, "one");
	ck_assert_int_eq(rooms->chat(rooms, room, 0, dk_str_c("two")), 0);
	ck_assert_int_eq(rooms->chat_limit(rooms, room, 3), 0);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(300);
	at = where(&room);
	ck_assert_uint_ne(at, 0);
	ck_assert_str_eq(history(at, room), "ann one| two|");
	say(bob, "three");
	say(bob, "four");
	ck_assert_str_eq(history(at, room), " two|bob three|bob four|");
}
END_TEST

START_TEST(is_taken_over)
{
	unsigned at;

	again(3, "", 2);
	say(ann, "one");
	fabric_run(2500); /* copies have it by now, with all of the room */
	say(ann, "two");
	say(ann, "three");
	fabric_run(3); /* and these, by themselves */
	fabric_kill(0);
	for (unsigned i = 1; i < 3; i++)
		fabric_believe(i, 0, DK_DEAD);
	fabric_run(1000);
	at = where(&room);
	ck_assert_uint_ne(at, 0);
	ck_assert_str_eq(history(at, room), "ann one|ann two|ann three|");
}
END_TEST

/* Whenever the node dies: copies have each text that was answered a moment ago, once, and in order. */
START_TEST(is_taken_over_whenever)
{
	for (unsigned ms = 0; ms < 40; ms++) {
		char want[600] = "", text[16];
		unsigned at;

		again(3, "chat_rate = 0", 2);
		fabric_run(ms * 7 % 60);
		for (unsigned i = 0; i < 20; i++) {
			snprintf(text, sizeof(text), "%u", i);
			say(ann, text);
			snprintf(want + strlen(want), sizeof(want) - strlen(want), "ann %u|", i);
			fabric_run(1 + ms);
			if (i == 7) /* the room is sent as a whole between two of them */
				rooms->touch(rooms, room);
		}
		fabric_run(3);
		fabric_kill(0);
		for (unsigned i = 1; i < 3; i++)
			fabric_believe(i, 0, DK_DEAD);
		fabric_run(200);
		at = where(&room);
		ck_assert_uint_ne(at, 0);
		ck_assert_str_eq(history(at, room), want);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_chat");
	TCase *t = tcase_create("chat");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, fabric_close);
	tcase_add_test(t, to_all);
	tcase_add_test(t, what_was_said);
	tcase_add_test(t, bounded);
	tcase_add_test(t, refused);
	tcase_add_test(t, filter_ends_the_room);
	tcase_add_test(t, with_the_tick);
	tcase_add_test(t, moves_with_its_room);
	tcase_add_test(t, is_taken_over);
	tcase_add_test(t, is_taken_over_whenever);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
