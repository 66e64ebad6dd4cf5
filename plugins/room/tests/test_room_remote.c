/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms of other nodes: a client joins one and ends up there, in the documented order of hooks and messages; what goes wrong on the
 * way gives the seat back and leaves the client where it was.
 */
#include "fabric.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the probe: hooks of each node, by its number ---- */

struct probe {
	struct dk_self base;
	struct dk_user *user;
	struct dk_room *room;
	bool veto;
};

static int on_join_condition(struct probe *p, struct dk_room_join *ask)
{
	fabric_event(p, "condition " DK_STR_FMT " %s " DK_STR_FMT "\n", DK_STR_ARG(ask->uid), ask->user ? "here" : "away",
		     DK_STR_ARG(dk_str_of(ask->message)));
	return p->veto;
}

static int on_may_join(struct probe *p, struct dk_room_join *ask)
{
	fabric_event(p, "may " DK_STR_FMT "\n", DK_STR_ARG(ask->uid));
	return 0;
}

static void on_join_failed(struct probe *p, const struct dk_room_join *ev)
{
	fabric_event(p, "failed " DK_STR_FMT "\n", DK_STR_ARG(ev->uid));
}

static void on_changed(struct probe *p, const struct dk_room_member_event *ev)
{
	fabric_event(p, "changed %s " DK_STR_FMT " %u\n", ev->change == DK_ROOM_MEMBER_ADDED ? "+" : "-",
		     DK_STR_ARG(p->user->uid(p->user, ev->user)), ev->members);
}

static void on_joined(struct probe *p, const struct dk_room_member_event *ev)
{
	fabric_event(p, "joined " DK_STR_FMT " %s\n", DK_STR_ARG(p->user->uid(p->user, ev->user)),
		     p->user->is_connected(p->user, ev->user) ? "connected" : "not connected");
}

static void on_left(struct probe *p, const struct dk_room_member_event *ev)
{
	fabric_event(p, "left " DK_STR_FMT "\n", DK_STR_ARG(p->user->uid(p->user, ev->user)));
}

static int probe_init(void *self)
{
	struct probe *p = self;

	dk_filter_add(p, &p->room->join_condition, on_join_condition);
	dk_filter_add(p, &p->room->may_join, on_may_join);
	dk_connect(p, &p->room->join_failed, on_join_failed);
	dk_connect(p, &p->room->changed, on_changed);
	dk_connect(p, &p->room->joined, on_joined);
	dk_connect(p, &p->room->left, on_left);
	return 0;
}

FABRIC_PROBE(probe_init, DK_NEED(struct probe, user, DK_USER), DK_NEED(struct probe, room, DK_ROOM));

static void setup(void)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, NULL };

	fabric_open(3, 1, "", plugins, "probe = {}");
}

static void teardown(void)
{
	fabric_close();
}

/* ---- rooms ---- */

static dk_id the_room;
static struct dk_id52 the_id;

/* Of node i, owned by p unless that is NULL. */
static void make_room(unsigned i, const struct player *p, uint16_t max)
{
	struct dk_room_opts o = { .max_members = max, .allow_empty = true, .join = p != NULL, .ttl_s = 60 };

	the_room = fabric_room(i, p, &o, &the_id);
}

static void say_join(struct player *p, const struct dk_id52 *id, const char *message)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_slice(&w, dk_slice_n(id->c, DK_ID52_LEN));
	dk_wr_slice(&w, dk_slice_of(dk_str_c(message)));
	player_send(p, 1, ROOM_CMD_JOIN, dk_written(&w));
}

static void say_broadcast(struct player *p, const char *text)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u8(&w, 1);
	dk_wr_slice(&w, dk_slice_n(the_id.c, DK_ID52_LEN));
	dk_wr_slice(&w, dk_slice_of(dk_str_c(text)));
	player_send(p, 1, ROOM_CMD_BROADCAST, dk_written(&w));
}

/* What it heard, without the seconds of answers to joins. */
static void expect_heard(struct player *p, const char *want)
{
	const char *text = player_heard(p), *at;
	char bare[4096];
	size_t n = 0;

	for (at = text; *at && n + 1 < sizeof(bare); at++) {
		if (!strncmp(at, "101 ok ", 7)) {
			memcpy(bare + n, at, 7);
			n += 7;
			at += 7 + 3;
		} else {
			bare[n++] = *at;
		}
	}
	bare[n] = '\0';
	ck_assert_str_eq(bare, want);
}

START_TEST(join_elsewhere)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(1, "bob");

	make_room(0, ann, 4);
	fabric_events();
	player_heard(ann);
	say_join(bob, &the_id, "hello");
	say_broadcast(bob, "first"); /* at once: it waits for the join, wherever that ends */
	fabric_run(200);
	fabric_expect("1 condition bob away hello\n1 may bob\n1 changed + bob 2\n1 joined bob connected\n");
	ck_assert_uint_eq(bob->node, 0);
	expect_heard(bob, "101 ok #\n101 push hello\n103 push first\n");
	expect_heard(ann, "101 push hello\n103 push first\n");
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 2);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).reserved, 0);
	ck_assert_uint_eq(fabric[1].users->count(fabric[1].users), 0);
	ck_assert_int_eq(fabric_count(1, "sent_to_join"), 1);
	ck_assert_int_eq(fabric_count(0, "came_to_join"), 1);
}
END_TEST

START_TEST(heard_while_on_the_way)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(1, "bob");

	make_room(0, ann, 4);
	player_heard(ann);
	say_join(bob, &the_id, "");
	for (char c = '0'; c <= '9'; c++) {
		char text[2] = { c, 0 };

		say_broadcast(ann, text);
		fabric_run(1);
	}
	fabric_run(100);
	/* from some moment on all of it, and the answer first */
	{
		const char *heard = player_heard(bob);
		char last = '9';

		ck_assert(!strncmp(heard, "101 ok ", 7));
		for (const char *at = strchr(heard, '\n') + 1; *at; at = strchr(at, '\n') + 1) {
			ck_assert(!strncmp(at, "103 push ", 9));
			ck_assert(last == '9' || at[9] == last + 1);
			last = at[9];
		}
		ck_assert_int_eq(last, '9');
		ck_assert_ptr_nonnull(strstr(heard, "103 push 9\n"));
	}
}
END_TEST

START_TEST(refused_elsewhere)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(1, "bob"), *eve = player_new(1, "eve");
	struct player *dan = player_new(0, "dan");
	struct dk_id52 nowhere;

	make_room(0, ann, 2);
	fabric_events();
	((struct probe *)fabric_probe(0))->veto = true;
	say_join(bob, &the_id, "x");
	fabric_run(100);
	fabric_expect("1 condition bob away x\n1 failed bob\n");
	expect_heard(bob, "101 bad a rule of this room does not let the user in\n");
	ck_assert_uint_eq(bob->node, 1);
	((struct probe *)fabric_probe(0))->veto = false;

	/* one seat, two who want it: one stays where it is */
	say_join(bob, &the_id, "");
	say_join(eve, &the_id, "");
	fabric_run(100);
	ck_assert_uint_eq((unsigned)(bob->node == 0) + (eve->node == 0), 1);
	expect_heard(bob->node ? bob : eve, "101 bad the room has not enough seats left that are not reserved\n");
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 2);
	ck_assert_int_eq(fabric_count(0, "full"), 1);

	/* in a room already, here or there */
	fabric_events();
	say_join(ann, &the_id, "");
	fabric_run(10);
	fabric_expect("");
	nowhere = the_id;
	nowhere.c[0] = 'f';
	say_join(dan, &nowhere, "");
	say_join(bob->node ? bob : eve, &nowhere, "");
	fabric_run(100);
	expect_heard(dan, "101 bad there is no such room\n");
	expect_heard(bob->node ? bob : eve, "101 bad there is no such room\n");
	/* a stranger's address is spoken to by nobody */
	memcpy(nowhere.c + 16, "c0a80001", 8);
	say_join(dan, &nowhere, "");
	fabric_run(10);
	expect_heard(dan, "101 bad there is no such room\n");
}
END_TEST

START_TEST(seat_given_back)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(1, "bob"), *eve = player_new(1, "eve");

	make_room(0, ann, 2);
	/* who hangs up while it is asked for */
	say_join(bob, &the_id, "");
	fabric_run(2);
	player_leave(bob);
	fabric_run(100);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 1);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).reserved, 0);

	/* a way that breaks: the seat is kept for two seconds at most */
	say_join(eve, &the_id, "");
	fabric_run(2);
	fabric_cut(0, 1, true);
	fabric_run(6000);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 1);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).reserved, 0);
	ck_assert_uint_eq(eve->node, 1);
	expect_heard(eve, "101 bad the node of the room does not answer\n");
	fabric_cut(0, 1, false);
	say_join(eve, &the_id, "");
	fabric_run(200);
	ck_assert_uint_eq(eve->node, 0);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 2);
}
END_TEST

/* A client that is told to go, and never turns up: nobody sees it come or go. */
START_TEST(never_came)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(1, "bob");
	uint64_t until;

	make_room(0, ann, 2);
	fabric_events();
	player_heard(ann);
	say_join(bob, &the_id, "hello");
	until = dk_sim_now(fabric_world) + 100;
	while (dk_sim_now(fabric_world) < until) /* nobody listens for it */
		dk_sim_run(fabric_world, 1);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 2);
	fabric_expect("1 condition bob away hello\n1 may bob\n1 changed + bob 2\n");
	bob->end = NULL;
	fabric_run(15000);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 1);
	fabric_expect("1 failed bob\n1 changed - bob 1\n");
	expect_heard(ann, "");
}
END_TEST

START_TEST(reserved_for_one_elsewhere)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(1, "bob"), *eve = player_new(1, "eve");
	dk_str uid = dk_str_c("bob");

	make_room(0, ann, 2);
	ck_assert_int_eq(fabric[0].rooms->reserve(fabric[0].rooms, the_room, 0, &uid, 1, false), 0);
	say_join(eve, &the_id, "");
	fabric_run(100);
	expect_heard(eve, "101 bad the room has not enough seats left that are not reserved\n");
	say_join(bob, &the_id, "");
	fabric_run(100);
	ck_assert_uint_eq(bob->node, 0);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).reserved, 0);
}
END_TEST

START_TEST(counted_from_elsewhere)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(1, "bob");
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	make_room(0, ann, 7);
	dk_wr_bytes16(&w, dk_slice_n(the_id.c, DK_ID52_LEN));
	player_send(bob, 1, ROOM_CMD_COUNT_MEMBERS, dk_written(&w));
	fabric_run(20);
	ck_assert(!strncmp(player_heard(bob), "13 ok .....", 11));
	fabric[0].rooms->remove(fabric[0].rooms, the_room, 1, 1, dk_slice_n(NULL, 0));
	player_send(bob, 1, ROOM_CMD_COUNT_MEMBERS, dk_written(&w));
	fabric_run(20);
	ck_assert_str_eq(player_heard(bob), "13 bad there is no such room\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_remote");
	TCase *t = tcase_create("join");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, join_elsewhere);
	tcase_add_test(t, heard_while_on_the_way);
	tcase_add_test(t, refused_elsewhere);
	tcase_add_test(t, seat_given_back);
	tcase_add_test(t, never_came);
	tcase_add_test(t, reserved_for_one_elsewhere);
	tcase_add_test(t, counted_from_elsewhere);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
