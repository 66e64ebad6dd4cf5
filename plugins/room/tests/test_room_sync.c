/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of rooms: windows, last values, kinds of delivery, limits, lapses, members who come and go; what clients may do; and that
 * all of it goes along when the room moves or is taken over.
 */
#include "kept.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct dk_id52 id;
static dk_id room;
static struct dk_room *rooms;
static struct player *ann, *bob;
static struct dk_room_states_opts opts;

static void start(unsigned nodes, const char *config, uint8_t replicas)
{
	kept_open(nodes, config);
	rooms = fabric[0].rooms;
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	room = kept_room(0, ann, 0, replicas, &id);
	kept_join(bob, room);
	fabric_run(5);
	opts = (struct dk_room_states_opts){ .interval_ms = 50 };
}

static void setup(void)
{
	start(1, "", 0);
}

static void teardown(void)
{
	fabric_close();
}

static void restart(unsigned nodes, const char *config, uint8_t replicas)
{
	teardown();
	start(nodes, config, replicas);
}

static void enable(void)
{
	ck_assert_int_eq(rooms->enable_states(rooms, room, &opts), 0);
	player_heard(ann);
	player_heard(bob);
}

static dk_slice text(const char *s)
{
	return dk_slice_of(dk_str_c(s));
}

static int put(const char *key, const char *value, const struct player *linked, bool reliable)
{
	return rooms->set_state(rooms, room, text(key), text(value), linked ? player_user(linked) : 0, reliable);
}

static const char *get(dk_id where, struct dk_room *svc, const char *key)
{
	static char out[DK_ROOM_STATE_MAX + 1];
	dk_slice v;

	if (svc->get_state(svc, where, text(key), &v))
		return "-";
	memcpy(out, v.p, v.n);
	out[v.n] = '\0';
	return out;
}

/* ---- windows ---- */

START_TEST(the_last_value_of_a_window)
{
	ck_assert_int_eq(put("a", "1", NULL, false), DK_ROOM_NO_STATES);
	enable();
	fabric_run(50 - dk_sim_now(fabric_world) % 50); /* the grid of the first room */
	ck_assert_int_eq(put("a", "1", NULL, false), 0);
	ck_assert_int_eq(put("b", "2", NULL, false), 0);
	ck_assert_int_eq(put("a", "3", NULL, false), 0);
	ck_assert_str_eq(get(room, rooms, "a"), "3");
	fabric_run(48);
	kept_hears(bob, "");
	fabric_run(3);
	kept_hears(bob, "15 push .a.3.b.2\n");
	kept_hears(ann, "15 push .a.3.b.2\n");
	ck_assert_int_eq(fabric_count(0, "state_ticks"), 1);
	ck_assert_int_eq(fabric_count(0, "states_sent"), 4);
	fabric_run(500); /* nothing changes, nothing ticks */
	kept_hears(bob, "");
	ck_assert_int_eq(fabric_count(0, "state_ticks"), 1);
	put("a", "4", NULL, false);
	fabric_run(55);
	kept_hears(bob, "15 push .a.4\n");
}
END_TEST

START_TEST(kinds_do_not_mix)
{
	enable();
	put("p", "1", NULL, false);
	put("r", "2", NULL, true);
	put("x", "3", NULL, true);
	put("x", "4", NULL, false); /* it was said that it arrives */
	put("q", "5", NULL, false);
	put("gone", "6", NULL, false);
	ck_assert_int_eq(rooms->remove_state(rooms, room, text("gone")), 0);
	ck_assert_int_eq(rooms->remove_state(rooms, room, text("gone")), DK_NOT_FOUND);
	ck_assert_str_eq(get(room, rooms, "gone"), "-");
	fabric_run(55);
	kept_hears(bob, "15 push .p.1.q.5\n15 push .r.2.x.4\n31 push ....gone\n");
	/* the next window knows nothing of that */
	put("x", "7", NULL, false);
	put("r", "8", NULL, true);
	rooms->remove_state(rooms, room, text("p"));
	put("p", "9", NULL, false); /* it is there after all */
	fabric_run(55);
	kept_hears(bob, "15 push .x.7\n15 push .r.8.p.9\n");
}
END_TEST

START_TEST(combined)
{
	char key[8], want[512] = "15 push ";

	enable();
	for (unsigned i = 0; i < 31; i++) {
		snprintf(key, sizeof(key), "%02u", i);
		put(key, "v", NULL, false);
		snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s.%s.v", i == 30 ? "\n15 push " : "", key);
	}
	snprintf(want + strlen(want), sizeof(want) - strlen(want), "\n");
	fabric_run(55);
	kept_hears(bob, want);
	opts.combine = 2;
	enable();
	for (unsigned i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "%02u", i);
		rooms->remove_state(rooms, room, text(key));
		put("a", "1", NULL, true);
		put("b", "1", NULL, true);
		put("c", "1", NULL, true);
	}
	fabric_run(55);
	kept_hears(bob, "15 push .a.1.b.1\n31 push ....00....01\n15 push .c.1\n31 push ....02\n");
	/* whatever the number, a push fits a datagram */
	opts.combine = 1000;
	enable();
	for (unsigned i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "%02u", i);
		put(key, "0123456789 123456789 123456789 1234567", NULL, true);
	}
	fabric_run(55);
	player_heard(bob);
	ck_assert_int_eq(fabric_count(0, "state_ticks"), 3);
}
END_TEST

START_TEST(own_commands_and_intervals)
{
	opts = (struct dk_room_states_opts){
		.update_ver = 2, .update_cmd = 40, .remove_ver = 3, .remove_cmd = 41, .interval_ms = 1
	};
	enable();
	put("a", "1", NULL, false);
	fabric_run(18); /* 17 is the least */
	kept_hears(bob, "40 push .a.1\n");
	rooms->remove_state(rooms, room, text("a"));
	fabric_run(18);
	kept_hears(bob, "41 push ....a\n");
	for (unsigned i = 0; i < 170; i++) {
		put("a", i % 2 ? "x" : "y", NULL, false);
		fabric_run(1);
	}
	fabric_run(18);
	ck_assert_int_ge(fabric_count(0, "state_ticks"), 12);
	ck_assert_int_le(fabric_count(0, "state_ticks"), 13);
}
END_TEST

START_TEST(sizes)
{
	char long_key[42], value[42];

	restart(1, "max_states = 3;", 0);
	enable();
	memset(value, 'v', sizeof(value));
	memset(long_key, 'k', sizeof(long_key));
	value[39] = '\0';
	ck_assert_int_eq(put("k", value, NULL, false), 0);
	value[39] = 'v';
	value[40] = '\0';
	ck_assert_int_eq(put("k", value, NULL, false), -EINVAL);
	long_key[39] = '\0';
	ck_assert_int_eq(put(long_key, "v", NULL, false), 0);
	long_key[39] = 'k';
	long_key[40] = '\0';
	ck_assert_int_eq(put(long_key, "v", NULL, false), -EINVAL);
	ck_assert_int_eq(rooms->remove_state(rooms, room, text(long_key)), DK_NOT_FOUND);
	ck_assert_int_eq(put("", "v", NULL, false), -EINVAL);
	ck_assert_int_eq(put("k", "", NULL, false), -EINVAL);
	ck_assert_int_eq(put("3", "v", NULL, false), 0);
	ck_assert_int_eq(put("4", "v", NULL, false), DK_FULL);
	ck_assert_int_eq(put("3", "w", NULL, false), 0);
	ck_assert_int_eq(fabric_count(0, "states_refused"), 5);
	rooms->remove_state(rooms, room, text("3"));
	ck_assert_int_eq(put("4", "v", NULL, false), DK_FULL); /* its removal is still to be told */
	fabric_run(60);
	ck_assert_int_eq(put("4", "v", NULL, false), 0);
}
END_TEST

START_TEST(lapses)
{
	opts.ttl_ms = 600;
	enable();
	put("a", "1", NULL, false);
	fabric_run(300);
	put("b", "1", NULL, true);
	put("a", "2", NULL, false);
	fabric_run(400);
	put("b", "3", NULL, true);
	player_heard(bob);
	fabric_run(190);
	ck_assert_str_eq(get(room, rooms, "a"), "2");
	player_heard(bob);
	fabric_run(65);
	kept_hears(bob, "31 push ....a\n");
	fabric_run(500);
	kept_hears(bob, "31 push ....b\n");
	ck_assert_int_eq(fabric_count(0, "states_lapsed"), 2);
	/* a time that is too short is none; what is there lives as the new options say */
	put("a", "1", NULL, false);
	opts.ttl_ms = 499;
	enable();
	fabric_run(5000);
	ck_assert_str_eq(get(room, rooms, "a"), "1");
	opts.ttl_ms = 500;
	enable();
	fabric_run(560);
	kept_hears(bob, "31 push ....a\n");
}
END_TEST

/* ---- members ---- */

START_TEST(linked_to_a_member)
{
	struct player *eve = player_new(0, "eve");

	enable();
	ck_assert_int_eq(put("e", "1", eve, false), DK_ROOM_NOT_MEMBER);
	kept_join(eve, room);
	put("e", "1", eve, false);
	put("f", "1", eve, false);
	put("f", "2", NULL, false); /* not any more */
	put("a", "1", ann, true);
	fabric_run(55);
	player_heard(ann);
	kept_leave(eve, room);
	ck_assert_str_eq(get(room, rooms, "e"), "-");
	fabric_run(55);
	kept_hears(ann, "31 push ....e\n");
	player_leave(bob);
	fabric_run(55);
	kept_hears(ann, "102 push \n");
	ck_assert_str_eq(get(room, rooms, "f"), "2");
	ck_assert_str_eq(get(room, rooms, "a"), "1");
}
END_TEST

START_TEST(new_members_hear_all)
{
	struct player *eve = player_new(0, "eve"), *tim = player_new(0, "tim");

	opts.all_delay_ms = 300;
	enable();
	put("a", "1", NULL, false);
	put("b", "2", NULL, true);
	put("c", "3", NULL, true);
	fabric_run(55);
	rooms->remove_state(rooms, room, text("c"));
	fabric_run(55);
	kept_join(eve, room);
	fabric_run(100);
	kept_join(tim, room);
	put("a", "4", NULL, false);
	fabric_run(55);
	kept_hears(eve, "15 push .a.4\n");
	fabric_run(150);
	kept_hears(eve, "15 push .b.2.a.4\n"); /* by age */
	kept_leave(tim, room);
	fabric_run(300);
	kept_hears(tim, "15 push .a.4\n"); /* who has left before is told nothing */
	player_heard(bob);
	ck_assert_int_eq(rooms->sync_states(rooms, room), 0);
	fabric_run(2);
	kept_hears(bob, "15 push .b.2.a.4\n");
	kept_hears(eve, "15 push .b.2.a.4\n");
}
END_TEST

struct seen {
	int calls;
	bool exists;
	char current[64];
	const char *want;
};

static dk_slice decide(void *arg, bool exists, dk_slice current)
{
	struct seen *seen = arg;

	seen->calls++;
	seen->exists = exists;
	snprintf(seen->current, sizeof(seen->current), DK_STR_FMT, DK_STR_ARG(dk_str_of(current)));
	return text(seen->want);
}

START_TEST(upserts)
{
	struct seen seen = { .want = "1" };

	ck_assert_int_eq(rooms->upsert_state(rooms, room, text("a"), 0, true, decide, &seen), DK_ROOM_NO_STATES);
	enable();
	ck_assert_int_eq(rooms->upsert_state(rooms, room, text("a"), 0, true, decide, &seen), 0);
	ck_assert(seen.calls == 1 && !seen.exists && !seen.current[0]);
	seen.want = "2";
	ck_assert_int_eq(rooms->upsert_state(rooms, room, text("a"), 0, true, decide, &seen), 0);
	ck_assert(seen.calls == 2 && seen.exists);
	ck_assert_str_eq(seen.current, "1");
	fabric_run(55);
	kept_hears(bob, "15 push .a.2\n");
	seen.want = "";
	ck_assert_int_eq(rooms->upsert_state(rooms, room, text("a"), 0, true, decide, &seen), 0);
	fabric_run(55);
	kept_hears(bob, "");
	ck_assert_str_eq(get(room, rooms, "a"), "2");
}
END_TEST

/* ---- clients ---- */

static void say(struct player *p, uint16_t cmd, const struct dk_writer *w)
{
	ck_assert(!w->bad);
	player_send(p, 1, cmd, dk_written(w));
	fabric_run(2);
}

static void say_state(struct player *p, const char *key, const char *value, bool linked)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_state_update_pack(&w, true, linked, &id, dk_str_c(key), text(value));
	say(p, ROOM_CMD_STATE_UPDATE, &w);
}

static void say_incr(struct player *p, const char *key, int64_t delta)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_state_incr_pack(&w, true, false, &id, dk_str_c(key), delta);
	say(p, ROOM_CMD_STATE_INCR, &w);
}

static void say_sync(struct player *p)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_state_sync_pack(&w, &id);
	say(p, ROOM_CMD_STATE_SYNC, &w);
}

START_TEST(by_clients)
{
	struct player *eve;

	restart(1, "state_interval_ms = 20;", 0);
	player_heard(ann);
	say_state(ann, "pos", "12,7", true);
	kept_hears(ann, ""); /* no news is good news */
	fabric_run(25);
	kept_hears(bob, "15 push .pos.12,7\n");
	say_incr(bob, "n", 258);
	fabric_run(25);
	kept_hears(ann, "15 push .pos.12,7\n15 push .n.........\n");
	kept_hears(bob, "16 ok ........\n15 push .n.........\n");
	say_incr(bob, "n", 1);
	{
		dk_slice v;

		ck_assert_int_eq(rooms->get_state(rooms, room, text("n"), &v), 0);
		ck_assert(v.n == 8 && memcmp(v.p, "\0\0\0\0\0\0\1\3", 8) == 0);
	}
	fabric_run(25);
	player_heard(bob);
	say_sync(bob);
	kept_hears(bob, "17 ok \n15 push .pos.12,7.n.........\n");
	eve = player_new(0, "eve");
	kept_join(eve, room);
	fabric_run(2);
	kept_hears(eve, "15 push .pos.12,7.n.........\n");
	player_heard(bob);
	player_leave(ann);
	fabric_run(30);
	ck_assert_ptr_nonnull(strstr(player_heard(bob), "31 push ....pos\n"));
}
END_TEST

START_TEST(clients_that_are_refused)
{
	static const char no_states[] = "bad this room keeps no states for its members\n";
	struct player *eve = player_new(0, "eve");
	char want[256];

	player_heard(ann);
	say_state(ann, "a", "1", false);
	say_incr(ann, "a", 1);
	say_sync(ann);
	snprintf(want, sizeof(want), "15 %s16 %s17 %s", no_states, no_states, no_states);
	kept_hears(ann, want);
	opts.closed = true;
	enable();
	put("a", "1", NULL, true);
	fabric_run(55);
	player_heard(ann);
	say_state(ann, "a", "2", false);
	say_incr(ann, "a", 1);
	snprintf(want, sizeof(want), "15 %s16 %s", no_states, no_states);
	kept_hears(ann, want);
	say_sync(ann); /* but they may look */
	kept_hears(ann, "17 ok \n15 push .a.1\n");
	opts.closed = false;
	enable();
	say_state(ann, "a", "", false);
	kept_hears(ann, "15 bad a state has a key and a value, of 40 bytes together at most\n");
	say_state(ann, "a", "0123456789 123456789 123456789 123456789", false);
	kept_hears(ann, "15 bad a state has a key and a value, of 40 bytes together at most\n");
	say_incr(ann, "a", 1);
	kept_hears(ann, "16 bad the state is no number of 8 bytes, or would not be one any more\n");
	say_incr(ann, "n", INT64_MAX);
	player_heard(ann);
	say_incr(ann, "n", 1);
	kept_hears(ann, "16 bad the state is no number of 8 bytes, or would not be one any more\n");
	say_state(eve, "a", "2", false);
	say_incr(eve, "a", 2);
	say_sync(eve);
	kept_hears(eve, "15 bad the user is not a member of this room\n16 bad the user is not a member of this room\n"
			"17 bad the user is not a member of this room\n");
	player_send(ann, 1, ROOM_CMD_STATE_UPDATE, dk_slice_n("\1\1", 2));
	fabric_run(2);
	kept_hears(ann, "15 bad room.state_update: the payload of 2 bytes ends before its value\n");
	ck_assert_str_eq(get(room, rooms, "a"), "1");
}
END_TEST

/* ---- rooms that change their node ---- */

static void some_states(void)
{
	opts.ttl_ms = 10000;
	opts.update_ver = 2;
	opts.update_cmd = 40;
	enable();
	put("old", "1", NULL, false);
	fabric_run(4000);
	put("anns", "2", ann, true);
	put("bobs", "3", bob, true);
	put("new", "4", NULL, true);
	fabric_run(100);
}

START_TEST(moves_along)
{
	struct dk_room *there;

	restart(2, "", 0);
	some_states();
	put("late", "5", NULL, true); /* in a window that has not ended */
	player_heard(bob);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(300);
	ck_assert_uint_eq(ann->node, 1);
	ck_assert_uint_eq(bob->node, 1);
	ck_assert_ptr_nonnull(strstr(player_heard(bob), "40 push .late.5\n"));
	there = fabric[1].rooms;
	room = there->find(there, &id);
	ck_assert_uint_ne(room, 0);
	ck_assert_str_eq(get(room, there, "anns"), "2");
	ck_assert_str_eq(get(room, there, "late"), "5");
	player_heard(ann);
	/* still enabled, as it was */
	ck_assert_int_eq(there->set_state(there, room, text("new"), text("6"), 0, false), 0);
	fabric_run(60);
	kept_hears(ann, "40 push .new.6\n");
	player_leave(bob);
	fabric_run(60);
	ck_assert_ptr_nonnull(strstr(player_heard(ann), "31 push ....bobs\n"));
	fabric_run(5600);
	ck_assert_str_eq(get(room, there, "old"), "-");
	ck_assert_str_eq(get(room, there, "anns"), "2");
	fabric_run(4000);
	ck_assert_str_eq(get(room, there, "anns"), "-");
}
END_TEST

START_TEST(stays_when_a_move_fails)
{
	restart(2, "", 0);
	some_states();
	put("x", "1", NULL, true);
	fabric_cut(0, 1, true);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(5000);
	ck_assert_int_eq(put("y", "1", ann, true), 0);
	fabric_run(4000);
	ck_assert_uint_eq(ann->node, 0);
	ck_assert_str_eq(get(room, rooms, "old"), "-"); /* it lapsed */
	ck_assert_str_eq(get(room, rooms, "y"), "1");
	ck_assert_ptr_nonnull(strstr(player_heard(bob), "40 push .y.1\n"));
}
END_TEST

/* While a room is frozen nothing lapses and nobody is told anything: it may be somebody else's by then. */
START_TEST(frozen)
{
	struct player *eve;

	restart(2, "", 0);
	opts.ttl_ms = 600;
	opts.all_delay_ms = 40;
	enable();
	fabric_cut(0, 1, true);
	put("a", "1", NULL, true);
	fabric_run(550);
	eve = player_new(0, "eve");
	kept_join(eve, room);
	fabric_run(2);
	player_heard(bob);
	player_heard(eve);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(2);
	ck_assert_int_eq(put("b", "1", NULL, true), DK_ROOM_MOVING);
	fabric_run(90); /* of 100 */
	ck_assert_int_eq(put("b", "1", NULL, true), DK_ROOM_MOVING);
	ck_assert_str_eq(get(room, rooms, "a"), "1");
	kept_hears(bob, "");
	kept_hears(eve, "");
	fabric_run(4000);
	ck_assert_str_eq(get(room, rooms, "a"), "-");
	ck_assert_ptr_nonnull(strstr(player_heard(bob), "31 push ....a\n"));
	ck_assert_ptr_nonnull(strstr(player_heard(eve), "31 push ....a\n"));
}
END_TEST

START_TEST(taken_over)
{
	struct dk_room *there;
	struct dk_addr a;
	unsigned to;

	restart(3, "", 1);
	some_states();
	fabric_run(2500);
	ck_assert_int_eq(dk_id52_addr(&id, 1, &a), 0);
	to = a.ip[3] - 1u;
	put("just", "7", NULL, true); /* told to the copy at once */
	fabric_run(60);
	player_leave(bob);
	fabric_run(10);
	fabric_kill(0);
	for (unsigned i = 1; i < 3; i++)
		fabric_believe(i, 0, DK_DEAD);
	fabric_run(100);
	there = fabric[to].rooms;
	room = there->find(there, &id);
	ck_assert_uint_ne(room, 0);
	ck_assert_str_eq(get(room, there, "just"), "7");
	ck_assert_str_eq(get(room, there, "new"), "4");
	player_heard(ann);
	ck_assert(player_turn_to(ann, to));
	fabric_run(60);
	ck_assert_ptr_nonnull(strstr(player_heard(ann), ".new.4"));
	ck_assert_int_eq(there->set_state(there, room, text("new"), text("8"), player_user(ann), true), 0);
	fabric_run(60);
	kept_hears(ann, "40 push .new.8\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_sync");
	TCase *t = tcase_create("sync");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_last_value_of_a_window);
	tcase_add_test(t, kinds_do_not_mix);
	tcase_add_test(t, combined);
	tcase_add_test(t, own_commands_and_intervals);
	tcase_add_test(t, sizes);
	tcase_add_test(t, lapses);
	tcase_add_test(t, linked_to_a_member);
	tcase_add_test(t, new_members_hear_all);
	tcase_add_test(t, upserts);
	tcase_add_test(t, by_clients);
	tcase_add_test(t, clients_that_are_refused);
	tcase_add_test(t, moves_along);
	tcase_add_test(t, stays_when_a_move_fails);
	tcase_add_test(t, frozen);
	tcase_add_test(t, taken_over);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
