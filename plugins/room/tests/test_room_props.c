/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of rooms: changes by code and by clients, all or none, told once and in order; the push to members; who may and who
 * may not; reading them from another node.
 */
#include "kept.h"

#include <diarkis/packed.h>

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct dk_id52 id;
static dk_id room;
static struct dk_room *rooms;
static struct player *ann, *bob;

static void setup(void)
{
	kept_open(3, "");
	rooms = fabric[0].rooms;
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	room = kept_room(0, ann, 0, 0, &id);
	kept_join(bob, room);
}

static void teardown(void)
{
	fabric_close();
}

static int set_int(dk_id where, const char *name, int64_t i)
{
	struct dk_value v = dk_value_i64(i);

	return rooms->set(rooms, where, dk_str_c(name), &v);
}

static int64_t get_int(dk_id where, const char *name)
{
	struct dk_value v;

	return rooms->get(rooms, where, dk_str_c(name), &v) == 0 && v.type == DK_V_INT ? v.as.i : -1;
}

/* ---- by code ---- */

static bool three_changes(void *arg, struct dk_room *svc, dk_id where)
{
	int64_t sum;

	ck_assert_int_eq(get_int(where, "a"), 1);
	ck_assert_int_eq(set_int(where, "a", 2), 0);
	ck_assert_int_eq(get_int(where, "a"), 2);
	ck_assert_int_eq(svc->incr(svc, where, dk_str_c("n"), 5, &sum), 0);
	ck_assert_int_eq(sum, 5);
	ck_assert_int_eq(svc->unset(svc, where, dk_str_c("b")), 0);
	ck_assert_int_eq(set_int(where, "same", 7), 0);
	ck_assert_int_eq(svc->update(svc, where, three_changes, arg), -EDEADLK);
	return *(bool *)arg;
}

START_TEST(all_or_none)
{
	bool yes = false;
	const void *at = NULL;
	struct dk_value v;
	dk_str name;
	char order[64] = "";

	set_int(room, "a", 1);
	set_int(room, "b", 1);
	set_int(room, "same", 7);
	kept_expect("1 change 3 2\n1 property a 2 1\n1 change 3 2\n1 property b 2 1\n1 change 3 2\n1 property same 2 7\n");
	ck_assert_int_eq(rooms->update(rooms, room, three_changes, &yes), 0);
	kept_expect("");
	ck_assert_int_eq(get_int(room, "a"), 1);
	ck_assert_int_eq(get_int(room, "b"), 1);
	ck_assert_int_eq(get_int(room, "n"), -1);
	while (rooms->next_property(rooms, room, &at, &name, &v))
		snprintf(order + strlen(order), sizeof(order) - strlen(order), DK_STR_FMT " ", DK_STR_ARG(name));
	ck_assert_str_eq(order, "a b same ");

	yes = true;
	ck_assert_int_eq(rooms->update(rooms, room, three_changes, &yes), 0);
	kept_expect("1 change 3 2\n1 property a 2 2\n1 property n 2 5\n1 property b 0 0\n");
	ck_assert_int_eq(get_int(room, "a"), 2);
	ck_assert_int_eq(get_int(room, "n"), 5);
}
END_TEST

static bool too_many(void *arg, struct dk_room *svc, dk_id where)
{
	char name[16];

	(void)svc;
	for (unsigned i = 0; i < DK_ROOM_PROPS_MAX; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		ck_assert_int_eq(set_int(where, name, 1), i < DK_ROOM_PROPS_MAX - 1 ? 0 : DK_FULL);
	}
	*(unsigned *)arg += 1;
	return false;
}

static bool nothing(void *arg, struct dk_room *svc, dk_id where)
{
	(void)arg;
	(void)svc;
	(void)where;
	return true;
}

static bool removes_it(void *arg, struct dk_room *svc, dk_id where)
{
	(void)arg;
	ck_assert_int_eq(set_int(where, "a", 9), 0);
	ck_assert_int_eq(svc->remove(svc, where, 2, 1, dk_slice_n(NULL, 0)), 0);
	return true;
}

START_TEST(limits_and_ends)
{
	unsigned ran = 0;

	set_int(room, "a", 1);
	ck_assert_int_eq(rooms->update(rooms, room, too_many, &ran), 0);
	ck_assert_uint_eq(ran, 1);
	ck_assert_int_eq(get_int(room, "p0"), -1);
	ck_assert_int_eq(get_int(room, "a"), 1);
	ck_assert_int_eq(fabric_count(0, "props_refused"), 1);
	kept_forget();
	ck_assert_int_eq(rooms->update(rooms, room, nothing, NULL), 0);
	kept_expect("");
	ck_assert_int_eq(rooms->update(rooms, room, removes_it, NULL), DK_ROOM_GONE);
	kept_expect("");
	ck_assert_int_eq(rooms->update(rooms, room, nothing, NULL), DK_ROOM_GONE);
}
END_TEST

/* Reading and setting do not keep an empty room alive; adding and updating do. */
START_TEST(time_to_live)
{
	static const char *const how[] = { "get", "set", "incr", "update" };

	for (unsigned i = 0; i < 4; i++) {
		dk_id empty = kept_room(0, NULL, 0, 0, &id);
		int64_t sum;

		set_int(empty, "a", 1);
		fabric_run(15000);
		if (i == 0)
			ck_assert_int_eq(get_int(empty, "a"), 1);
		else if (i == 1)
			set_int(empty, "a", 2);
		else if (i == 2)
			ck_assert_int_eq(rooms->incr(rooms, empty, dk_str_c("a"), 1, &sum), 0);
		else
			ck_assert_int_eq(rooms->update(rooms, empty, nothing, NULL), 0);
		fabric_run(6000);
		ck_assert_msg((get_int(empty, "a") > 0) == (i >= 2), "after %s", how[i]);
	}
}
END_TEST

START_TEST(the_room_vanishes_meanwhile)
{
	kept_remove_room();
	ck_assert_int_eq(set_int(room, "a", 1), 0);
	kept_expect("1 change 3 2\n");
	ck_assert_int_eq(set_int(room, "a", 1), DK_ROOM_GONE);
}
END_TEST

/* ---- by clients ---- */

static void say_update(struct player *p, struct dk_list names, struct dk_list values, bool sync)
{
	static uint8_t buf[1 << 17];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_update_props_pack(&w, names, kept_text(&id), sync, values);
	player_send(p, 1, ROOM_CMD_UPDATE_PROPS, dk_written(&w));
	fabric_run(2);
}

static void say_get(struct player *p, struct dk_list names)
{
	static uint8_t buf[1 << 17];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_get_props_pack(&w, names, kept_text(&id));
	player_send(p, 1, ROOM_CMD_GET_PROPS, dk_written(&w));
	fabric_run(2);
}

static void say_incr(struct player *p, const char *name, int64_t delta, bool sync)
{
	uint8_t buf[512];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_incr_prop_pack(&w, delta, dk_str_c(name), kept_text(&id), sync);
	player_send(p, 1, ROOM_CMD_INCR_PROP, dk_written(&w));
	fabric_run(2);
}

START_TEST(commands)
{
	fabric_run(2);
	player_heard(ann);
	player_heard(bob);
	kept_forget();
	say_update(ann, LIST("team", "map"), LIST("red", "hill"), true);
	kept_expect("1 change 3 2\n1 property team 5 0\n1 property map 5 0\n");
	kept_hears(bob, "130 push ....team..map.#0....red..hill\n");
	kept_hears(ann, "130 push ....team..map.#0....red..hill\n107 ok \n");
	say_update(bob, LIST("team"), LIST("blue"), false);
	kept_hears(ann, "");
	kept_hears(bob, "107 ok \n");
	say_get(ann, LIST("map", "nothing", "team"));
	kept_hears(ann, "108 ok ....map..team....hill..blue\n");

	/* numbers are counted, and not among the bytes */
	say_incr(ann, "score", 3, true);
	kept_hears(ann, "10 push ..score.#0........\n10 ok ........\n");
	kept_hears(bob, "10 push ..score.#0........\n");
	ck_assert_int_eq(get_int(room, "score"), 3);
	say_incr(bob, "score", -4, false);
	ck_assert_int_eq(get_int(room, "score"), -1);
	kept_hears(ann, "");
	player_heard(bob);
	say_get(bob, NO_LIST);
	kept_hears(bob, "108 ok ....team..map....blue..hill\n");
}
END_TEST

START_TEST(refusals)
{
	static char big[40001];
	struct player *eve = player_new(0, "eve");

	fabric_run(2);
	player_heard(ann);
	kept_forget();
	say_update(ann, LIST("a", "b"), LIST("1"), true);
	kept_hears(ann, "107 bad expected 1 to 256 names and as many values, found 2 and 1\n");
	say_update(ann, NO_LIST, NO_LIST, true);
	kept_hears(ann, "107 bad expected 1 to 256 names and as many values, found 0 and 0\n");
	say_update(ann, LIST("a", ""), LIST("1", "2"), true);
	kept_hears(ann, "107 bad the name of a property has 1 to 255 bytes\n");
	memset(big, 'x', sizeof(big) - 1);
	say_update(ann, LIST("a"), LIST(big), false);
	kept_hears(ann, "107 ok \n");
	say_update(ann, LIST("c", "b"), LIST("1", big), false);
	kept_hears(ann, "107 bad the room keeps 256 properties of 65536 bytes together at most\n");
	say_get(ann, LIST("a", "a"));
	kept_hears(ann, "108 bad these properties are more than one answer holds; ask for fewer at a time\n");
	say_get(ann, LIST("b", "c"));
	kept_hears(ann, "108 ok ....\n"); /* nothing of a refused update stays */
	say_incr(ann, "a", 1, true);
	kept_hears(ann, "10 bad the property is no whole number, or would not be one any more\n");
	say_incr(ann, "n", INT64_MAX, true);
	player_heard(ann);
	say_incr(ann, "n", 1, true);
	kept_hears(ann, "10 bad the property is no whole number, or would not be one any more\n");
	ck_assert_int_eq(fabric_count(0, "props_refused"), 4);

	say_update(eve, LIST("a"), LIST("1"), true);
	kept_hears(eve, "107 bad the user is not a member of this room\n");
	say_get(eve, LIST("a"));
	kept_hears(eve, "108 bad the user is not a member of this room\n");
	say_incr(eve, "n", 1, true);
	kept_hears(eve, "10 bad the user is not a member of this room\n");
	id.c[3] ^= 1;
	say_get(eve, LIST("a"));
	kept_hears(eve, "108 bad there is no such room\n");
}
END_TEST

/* What is set in a room with an interval travels with what is said there, in its order. */
START_TEST(with_an_interval)
{
	dk_id other;

	kept_leave(ann, room);
	kept_leave(bob, room);
	other = kept_room(0, ann, 100, 0, &id);
	kept_join(bob, other);
	fabric_run(200);
	player_heard(bob);
	ck_assert_int_eq(rooms->broadcast(rooms, other, player_user(ann), 1, 103, dk_slice_of(dk_str_c("before")), true), 0);
	say_update(ann, LIST("k"), LIST("v"), true);
	ck_assert_int_eq(rooms->broadcast(rooms, other, player_user(ann), 1, 103, dk_slice_of(dk_str_c("after")), true), 0);
	fabric_run(100);
	kept_hears(bob, "103 push before\n130 push ....k.#0....v\n103 push after\n");
}
END_TEST

START_TEST(hidden)
{
	fabric_close();
	kept_open(1, "expose_commands = false;");
	rooms = fabric[0].rooms;
	ann = player_new(0, "ann");
	room = kept_room(0, ann, 0, 0, &id);
	say_update(ann, LIST("a"), LIST("1"), true);
	say_get(ann, LIST("a"));
	say_incr(ann, "a", 1, true);
	kept_hears(ann, "107 bad room commands are not open to clients on this node\n"
			"108 bad room commands are not open to clients on this node\n"
			"10 bad room commands are not open to clients on this node\n");
}
END_TEST

/* ---- from other nodes ---- */

static char told[512];

static void on_props(void *self, void *arg, int err, dk_slice capsule)
{
	struct dk_packed p = dk_packed_of(capsule);
	struct dk_value v;
	dk_str name;

	ck_assert_ptr_nonnull(self);
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s %d", (const char *)arg, err);
	while (err == 0 && dk_packed_next(&p, &name, &v))
		snprintf(told + strlen(told), sizeof(told) - strlen(told), " " DK_STR_FMT "=%d:%lld", DK_STR_ARG(name), (int)v.type,
			 v.type == DK_V_INT ? (long long)v.as.i : (long long)v.as.bytes.n);
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "\n");
}

/* From that node; the answer is not there when the call returns. */
static void read_far(unsigned node, const char *name, const char *want)
{
	struct dk_room *svc = fabric[node].rooms;
	static const char word[] = "read";

	told[0] = '\0';
	ck_assert_int_eq(svc->props_far(svc, kept_probe(node), &id, dk_str_c(name), on_props, (void *)(uintptr_t)word), 0);
	ck_assert_str_eq(told, "");
	fabric_run(20);
	ck_assert_str_eq(told, want);
}

START_TEST(from_other_nodes)
{
	struct dk_value blob = dk_value_bytes(dk_slice_n("red", 3));
	struct dk_room *svc = fabric[2].rooms;
	char name[257];

	set_int(room, "n", 42);
	ck_assert_int_eq(rooms->set(rooms, room, dk_str_c("team"), &blob), 0);
	for (unsigned node = 0; node < 3; node++) {
		read_far(node, "n", "read 0 n=2:42\n");
		read_far(node, "", "read 0 n=2:42 team=5:3\n");
	}
	for (unsigned node = 0; node < 2; node++) {
		char want[32];

		snprintf(want, sizeof(want), "read %d\n", DK_NOT_FOUND);
		read_far(node, "nothing", want);
	}
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	ck_assert_int_eq(svc->props_far(svc, kept_probe(2), &id, dk_str_c(name), on_props, NULL), -EINVAL);

	/* a room that has moved is found by its old id, from where it was and from where nobody knows of it */
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(300);
	ck_assert_uint_ne(ann->node, 0);
	for (unsigned node = 0; node < 3; node++)
		read_far(node, "team", "read 0 team=5:3\n");

	/* one that is not there */
	id.c[15] = id.c[15] == '0' ? '1' : '0';
	for (unsigned node = 0; node < 2; node++) {
		char want[32];

		snprintf(want, sizeof(want), "read %d\n", DK_ROOM_GONE);
		read_far(node, "team", want);
	}
}
END_TEST

/* The backup of a dead node has them too. */
START_TEST(from_whoever_took_it_over)
{
	unsigned to;
	struct dk_addr a;

	kept_leave(ann, room);
	kept_leave(bob, room);
	room = kept_room(0, ann, 0, 1, &id);
	set_int(room, "n", 7);
	fabric_run(100);
	ck_assert_int_eq(dk_id52_addr(&id, 1, &a), 0);
	to = a.ip[3] - 1u;
	fabric_kill(0);
	for (unsigned i = 1; i < 3; i++)
		fabric_believe(i, 0, DK_DEAD);
	fabric_run(100);
	read_far(to, "n", "read 0 n=2:7\n");
	read_far(3 - to, "n", "read 0 n=2:7\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_props");
	TCase *t = tcase_create("props");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, all_or_none);
	tcase_add_test(t, limits_and_ends);
	tcase_add_test(t, time_to_live);
	tcase_add_test(t, the_room_vanishes_meanwhile);
	tcase_add_test(t, commands);
	tcase_add_test(t, refusals);
	tcase_add_test(t, with_an_interval);
	tcase_add_test(t, hidden);
	tcase_add_test(t, from_other_nodes);
	tcase_add_test(t, from_whoever_took_it_over);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
