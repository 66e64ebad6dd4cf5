/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of rooms: what updates make of them, what members hear, limits, and that they go along with their room.
 */
#include "kept.h"

#include <diarkis/packet.h>

#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct dk_id52 id;
static dk_id room;
static struct dk_room *rooms;
static struct player *ann, *bob;

static void start(unsigned nodes, uint32_t interval_ms, uint8_t replicas)
{
	kept_open(nodes, "");
	rooms = fabric[0].rooms;
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	room = kept_room(0, ann, interval_ms, replicas, &id);
	kept_join(bob, room);
	fabric_run(5);
	player_heard(ann);
	player_heard(bob);
}

static void setup(void)
{
	start(1, 0, 0);
}

static void teardown(void)
{
	fabric_close();
}

static void restart(unsigned nodes, uint32_t interval_ms, uint8_t replicas)
{
	teardown();
	start(nodes, interval_ms, replicas);
}

static double get(const char *object, const char *field)
{
	double v;

	return rooms->get_field(rooms, room, dk_str_c(object), dk_str_c(field), &v) ? -1 : v;
}

static int change(enum dk_room_object_mode mode, const char *object, const char *field, double value)
{
	struct dk_room_field f = { dk_str_c(field), value };

	return rooms->update_object(rooms, room, mode, dk_str_c(object), &f, *field ? 1 : 0, true);
}

/* ---- by code ---- */

START_TEST(set_add_delete)
{
	const void *at = NULL;
	dk_str name;
	size_t n;

	ck_assert_int_eq(change(DK_ROOM_OBJECT_SET, "ball", "x", 1.5), 0);
	kept_hears(bob, "128 push ...ball....x?.......\n");
	ck_assert_int_eq(change(DK_ROOM_OBJECT_INCR, "ball", "x", 2), 0);
	ck_assert_int_eq(change(DK_ROOM_OBJECT_INCR, "ball", "y", -2), 0);
	ck_assert(get("ball", "x") == 3.5 && get("ball", "y") == -2);
	/* the order of the room decides */
	ck_assert_int_eq(change(DK_ROOM_OBJECT_SET, "ball", "x", 10), 0);
	ck_assert_int_eq(change(DK_ROOM_OBJECT_INCR, "ball", "x", 1), 0);
	ck_assert(get("ball", "x") == 11);
	ck_assert_int_eq(change(DK_ROOM_OBJECT_SET, "door", "", 0), 0); /* without fields */
	ck_assert(rooms->next_object(rooms, room, &at, &name, &n));
	ck_assert(dk_str_eq(name, dk_str_c("ball")) && n == 2);
	ck_assert(rooms->next_object(rooms, room, &at, &name, &n));
	ck_assert(dk_str_eq(name, dk_str_c("door")) && n == 0);
	ck_assert(!rooms->next_object(rooms, room, &at, &name, &n));
	player_heard(bob);
	ck_assert_int_eq(change(DK_ROOM_OBJECT_DELETE, "ball", "x", 0), 0);
	ck_assert_int_eq(change(DK_ROOM_OBJECT_DELETE, "ball", "x", 0), DK_NOT_FOUND);
	ck_assert(get("ball", "x") == -1 && get("ball", "y") == -2);
	/* its own name may be what names it */
	at = NULL;
	ck_assert(rooms->next_object(rooms, room, &at, &name, &n));
	ck_assert_int_eq(rooms->update_object(rooms, room, DK_ROOM_OBJECT_DELETE, name, NULL, 0, true), 0);
	ck_assert_int_eq(change(DK_ROOM_OBJECT_DELETE, "ball", "", 0), DK_NOT_FOUND);
	kept_hears(bob, "128 push ...ball....x........\n128 push ...ball..\n");
	ck_assert_int_eq(fabric_count(0, "objects_updated"), 8);
	ck_assert_int_eq(fabric_count(0, "objects_refused"), 2);
}
END_TEST

START_TEST(all_or_none)
{
	struct dk_room_field f[] = { { dk_str_c("a"), 1 }, { dk_str_c("b"), 1e308 } };
	struct dk_room_field twice[] = { { dk_str_c("c"), 1 }, { dk_str_c("c"), 2 } };
	char name[80];

	ck_assert_int_eq(rooms->update_object(rooms, room, DK_ROOM_OBJECT_SET, dk_str_c("o"), f, 2, true), 0);
	ck_assert_int_eq(rooms->update_object(rooms, room, DK_ROOM_OBJECT_INCR, dk_str_c("o"), f, 2, true), DK_REFUSED);
	ck_assert(get("o", "a") == 1 && get("o", "b") == 1e308);
	f[1].value = NAN;
	ck_assert_int_eq(rooms->update_object(rooms, room, DK_ROOM_OBJECT_SET, dk_str_c("o"), f, 2, true), -EINVAL);
	f[1].value = 2;
	f[1].name = dk_str_c("");
	ck_assert_int_eq(rooms->update_object(rooms, room, DK_ROOM_OBJECT_SET, dk_str_c("o"), f, 2, true), -EINVAL);
	ck_assert_int_eq(rooms->update_object(rooms, room, DK_ROOM_OBJECT_SET, dk_str_c("o"), twice, 2, true), -EINVAL);
	ck_assert_int_eq(rooms->update_object(rooms, room, (enum dk_room_object_mode)4, dk_str_c("o"), f, 1, true), -EINVAL);
	ck_assert_int_eq(change(DK_ROOM_OBJECT_SET, "", "a", 1), -EINVAL);
	memset(name, 'n', sizeof(name));
	name[65] = '\0';
	ck_assert_int_eq(change(DK_ROOM_OBJECT_SET, name, "a", 1), -EINVAL);
	name[64] = '\0';
	ck_assert_int_eq(change(DK_ROOM_OBJECT_SET, name, name, 1), 0);
	ck_assert(get("o", "a") == 1 && get("o", "b") == 1e308 && get("o", "c") == -1);
}
END_TEST

START_TEST(limits)
{
	char name[65];

	for (unsigned i = 0; i < DK_ROOM_FIELDS_MAX; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		ck_assert_int_eq(change(DK_ROOM_OBJECT_SET, "o", name, i), 0);
	}
	ck_assert_int_eq(change(DK_ROOM_OBJECT_SET, "o", "one more", 1), DK_FULL);
	ck_assert_int_eq(change(DK_ROOM_OBJECT_DELETE, "o", "f7", 1), 0);
	ck_assert_int_eq(change(DK_ROOM_OBJECT_INCR, "o", "one more", 1), 0);
	for (unsigned i = 1; i < DK_ROOM_OBJECTS_MAX; i++) {
		snprintf(name, sizeof(name), "o%u", i);
		ck_assert_int_eq(change(DK_ROOM_OBJECT_SET, name, "", 0), 0);
	}
	ck_assert_int_eq(change(DK_ROOM_OBJECT_SET, "one more", "x", 1), DK_FULL);
	/* all bytes of a room: what goes makes room again */
	memset(name, 'x', sizeof(name) - 1);
	name[64] = '\0';
	for (unsigned i = 0; i < 20000; i++) {
		char object[16];

		snprintf(object, sizeof(object), "o%u", 1 + i / DK_ROOM_FIELDS_MAX);
		snprintf(name, sizeof(name), "%060u", i);
		if (change(DK_ROOM_OBJECT_SET, object, name, 1) == DK_FULL) {
			ck_assert_uint_gt(i, 900);
			ck_assert_uint_lt(i, 970);
			break;
		}
	}
	ck_assert_int_eq(change(DK_ROOM_OBJECT_DELETE, "o1", "", 0), 0);
	ck_assert_int_eq(change(DK_ROOM_OBJECT_SET, "o100", name, 1), 0);
}
END_TEST

/* ---- by clients ---- */

static void say_update(struct player *p, uint8_t mode, const char *object, const char *field, double value)
{
	uint8_t buf[256], map[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), m = dk_writer_on(map, sizeof(map));

	dk_f64_map_begin(&m, *field ? 1 : 0);
	if (*field)
		dk_f64_map_put(&m, dk_str_c(field), value);
	room_on_object_update_pack(&w, mode, true, &id, dk_str_c(object), dk_written(&m));
	ck_assert(!w.bad && !m.bad);
	player_send(p, 1, ROOM_CMD_OBJECT_UPDATE, dk_written(&w));
	fabric_run(2);
}

static void say_sync(struct player *p)
{
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_object_sync_pack(&w, &id);
	player_send(p, 1, ROOM_CMD_OBJECT_SYNC, dk_written(&w));
	fabric_run(2);
}

START_TEST(commands)
{
	struct player *eve = player_new(0, "eve");

	say_update(ann, 2, "hp", "ann", 1);
	kept_hears(bob, "128 push ...hp....ann?.......\n");
	kept_hears(ann, "128 push ...hp....ann?.......\n129 ok ....ann?.......\n");
	say_update(bob, 1, "hp", "ann", 1);
	ck_assert(get("hp", "ann") == 2);
	kept_hears(ann, "128 push ...hp....ann@.......\n");
	say_update(bob, 2, "door", "", 0);
	player_heard(ann);
	player_heard(bob);
	/* who comes hears all, after the reply */
	kept_join(eve, room);
	fabric_run(2);
	kept_hears(eve, "128 push ...hp....ann@.......\n128 push ...door..\n");
	say_sync(bob);
	kept_hears(bob, "128 ok \n128 push ...hp....ann@.......\n128 push ...door..\n");
	say_update(ann, 3, "hp", "", 0);
	kept_hears(bob, "128 push ...hp..\n");
	kept_hears(ann, "128 push ...hp..\n129 ok ..\n");
}
END_TEST

START_TEST(refusals)
{
	static const char expected[] =
		"129 bad expected mode 1, 2 or 3, a name of 1 to 64 bytes, and at most 64 fields, each once and finite\n";
	struct player *eve = player_new(0, "eve");
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	say_update(ann, 2, "o", "x", 1e308);
	player_heard(ann);
	say_update(ann, 1, "o", "x", 1e308);
	kept_hears(ann, "129 bad a sum would be too great for a number\n");
	say_update(ann, 3, "p", "", 0);
	kept_hears(ann, "129 bad the room has no such object, or the object no such field\n");
	say_update(ann, 0, "o", "x", 1);
	kept_hears(ann, expected);
	say_update(ann, 2, "o", "x", INFINITY);
	kept_hears(ann, expected);
	room_on_object_update_pack(&w, 2, true, &id, dk_str_c("o"), dk_slice_n("\0\1\0\1x", 5));
	player_send(ann, 1, ROOM_CMD_OBJECT_UPDATE, dk_written(&w));
	fabric_run(2);
	kept_hears(ann, expected);
	ck_assert_int_eq(fabric_count(0, "objects_refused"), 5);
	say_update(eve, 2, "o", "x", 1);
	say_sync(eve);
	kept_hears(eve, "129 bad the user is not a member of this room\n128 bad the user is not a member of this room\n");
	id.c[2] = id.c[2] == '0' ? '1' : '0';
	say_sync(ann);
	kept_hears(ann, "128 bad there is no such room\n");
}
END_TEST

/* With an interval updates travel like broadcasts. */
START_TEST(with_an_interval)
{
	restart(1, 100, 0);
	fabric_run(100 - dk_sim_now(fabric_world) % 100);
	change(DK_ROOM_OBJECT_SET, "o", "x", 1);
	change(DK_ROOM_OBJECT_SET, "o", "x", 2);
	fabric_run(50);
	kept_hears(bob, "");
	fabric_run(60);
	kept_hears(bob, "128 push ...o....x?.......\n128 push ...o....x@.......\n");
}
END_TEST

/* ---- rooms that change their node ---- */

START_TEST(moves_along)
{
	restart(2, 0, 0);
	change(DK_ROOM_OBJECT_SET, "ball", "x", 7);
	change(DK_ROOM_OBJECT_SET, "ball", "y", 8);
	change(DK_ROOM_OBJECT_SET, "door", "", 0);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(300);
	ck_assert_uint_eq(ann->node, 1);
	rooms = fabric[1].rooms;
	room = rooms->find(rooms, &id);
	ck_assert(get("ball", "x") == 7 && get("ball", "y") == 8);
	player_heard(bob);
	say_update(bob, 1, "ball", "x", 1);
	ck_assert(get("ball", "x") == 8);
	player_heard(ann);
	say_sync(ann);
	ck_assert_ptr_nonnull(strstr(player_heard(ann), "128 push ...door..\n"));
}
END_TEST

START_TEST(taken_over)
{
	struct dk_addr a;
	unsigned to;

	restart(3, 0, 1);
	fabric_run(100);
	ck_assert_int_eq(dk_id52_addr(&id, 1, &a), 0);
	to = a.ip[3] - 1u;
	change(DK_ROOM_OBJECT_SET, "ball", "x", 1);
	fabric_run(60);
	fabric_kill(0);
	for (unsigned i = 1; i < 3; i++)
		fabric_believe(i, 0, DK_DEAD);
	fabric_run(100);
	rooms = fabric[to].rooms;
	room = rooms->find(rooms, &id);
	ck_assert_uint_ne(room, 0);
	ck_assert(get("ball", "x") == 1);
	player_heard(ann);
	ck_assert(player_turn_to(ann, to));
	fabric_run(10);
	ck_assert_ptr_nonnull(strstr(player_heard(ann), "128 push ...ball....x?.......\n"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_object");
	TCase *t = tcase_create("object");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, set_add_delete);
	tcase_add_test(t, all_or_none);
	tcase_add_test(t, limits);
	tcase_add_test(t, commands);
	tcase_add_test(t, refusals);
	tcase_add_test(t, with_an_interval);
	tcase_add_test(t, moves_along);
	tcase_add_test(t, taken_over);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
