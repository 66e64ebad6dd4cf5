/* SPDX-License-Identifier: Apache-2.0 */
/* The commands 900 to 905 by clients of one node; and that a node does not start with them by accident. */
#include <check.h>
#include <jansson.h>

#include <diarkis/room.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

static struct dk_harness *h;
static struct dk_test_user *ann, *bob;

static void setup(void)
{
	h = dk_harness_new("plugins = { user = {}; mem = {}; room = {}; debug = { allow = true; }; };", 1);
	ck_assert_ptr_nonnull(h);
	ann = dk_harness_user(h, "ann");
	bob = dk_harness_user(h, "bo\xc3\xb6");
	ck_assert(ann && bob);
}

static void teardown(void)
{
	ck_assert_int_eq(dk_harness_free(h), 0);
}

static dk_slice ask(uint16_t cmd)
{
	struct dk_frame f;

	ck_assert_int_eq(dk_test_user_send(ann, 0, cmd, dk_slice_n(NULL, 0)), 0);
	ck_assert(dk_test_user_await(ann, 0, cmd, &f));
	ck_assert_int_eq(f.status, DK_STATUS_OK);
	return f.payload;
}

static void state_is(uint16_t cmd, enum dk_node_state answered)
{
	dk_slice s = ask(cmd);

	ck_assert_uint_eq(s.n, 1);
	ck_assert_int_eq(s.p[0], answered);
}

static json_t *dump(uint16_t cmd)
{
	dk_slice s = ask(cmd);
	json_t *o = json_loadb((const char *)s.p, s.n, 0, NULL);

	ck_assert_msg(o != NULL, "this is no JSON: %.*s", (int)s.n, (const char *)s.p);
	return o;
}

START_TEST(states)
{
	state_is(901, DK_TAKEN);
	ck_assert_ptr_null(dk_harness_user(h, "eve"));
	state_is(900, DK_ONLINE);
	ck_assert_ptr_nonnull(dk_harness_user(h, "eve"));
	ck_assert_int_eq(dk_harness_counter(h, "debug", "states"), 2);
}
END_TEST

static bool finished(void *arg)
{
	return dk_finished(dk_harness_kernel(arg), NULL);
}

/* Users keep it alive until the deadline. */
START_TEST(offline)
{
	state_is(902, DK_OFFLINE);
	ck_assert(!dk_sim_run_until(dk_harness_world(h), finished, h, 5000));
	state_is(900, DK_OFFLINE); /* there is no way back */
	dk_test_user_leave(ann);
	dk_test_user_leave(bob);
	ck_assert(dk_sim_run_until(dk_harness_world(h), finished, h, 1000));
}
END_TEST

START_TEST(terminate)
{
	state_is(903, DK_OFFLINE);
	ck_assert(dk_sim_run_until(dk_harness_world(h), finished, h, 1000));
}
END_TEST

START_TEST(rooms)
{
	struct dk_room *room = dk_harness_service(h, DK_ROOM_NAME);
	struct dk_room_opts opts = { .max_members = 4, .join = true, .ttl_s = 10 };
	struct dk_value round = dk_value_i64(3), blob = dk_value_bytes(dk_slice_n("1234567", 7));
	dk_id arena;
	json_t *o, *r, *m;

	o = dump(904);
	ck_assert_uint_eq(json_array_size(json_object_get(o, "rooms")), 0);
	json_decref(o);
	ck_assert_int_eq(room->create(room, dk_test_user_id(ann), &opts, &arena), 0);
	ck_assert_int_eq(room->join(room, arena, dk_test_user_id(bob), 1, 101, dk_slice_n(NULL, 0)), 0);
	ck_assert_int_eq(room->set(room, arena, dk_str_c("round"), &round), 0);
	ck_assert_int_eq(room->set(room, arena, dk_str_c("blob"), &blob), 0);
	o = dump(904);
	ck_assert_str_eq(json_string_value(json_object_get(o, "state")), "ONLINE");
	r = json_array_get(json_object_get(o, "rooms"), 0);
	ck_assert_uint_eq(json_string_length(json_object_get(r, "id")), 52);
	ck_assert_str_eq(json_string_value(json_object_get(r, "owner")), "ann");
	m = json_object_get(r, "members");
	ck_assert_uint_eq(json_array_size(m), 2);
	ck_assert_str_eq(json_string_value(json_array_get(m, 1)), "bo\xc3\xb6");
	ck_assert_int_eq(json_integer_value(json_object_get(r, "maxMembers")), 4);
	m = json_object_get(r, "properties");
	ck_assert_int_eq(json_integer_value(json_object_get(m, "round")), 3);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(m, "blob"), "bytes")), 7);
	json_decref(o);
}
END_TEST

START_TEST(users)
{
	struct dk_room *room = dk_harness_service(h, DK_ROOM_NAME);
	struct dk_room_opts opts = { .max_members = 4, .join = true, .ttl_s = 10 };
	dk_id arena;
	json_t *o, *list, *u;

	ck_assert_int_eq(room->create(room, dk_test_user_id(ann), &opts, &arena), 0);
	o = dump(905);
	list = json_object_get(o, "users");
	ck_assert_uint_eq(json_array_size(list), 2);
	u = json_array_get(list, 0);
	ck_assert_str_eq(json_string_value(json_object_get(u, "uid")), "ann");
	ck_assert(json_is_true(json_object_get(u, "connected")));
	ck_assert_uint_eq(json_string_length(json_object_get(u, "room")), 52);
	ck_assert_ptr_null(json_object_get(json_array_get(list, 1), "room"));
	ck_assert_ptr_null(json_object_get(u, "sid"));
	json_decref(o);
}
END_TEST

/* Far more than an answer holds. */
START_TEST(dumps_are_bounded)
{
	struct dk_user *svc = dk_harness_service(h, DK_USER_NAME);
	json_t *o;
	size_t shown;

	for (unsigned i = 0; i < 1500; i++) {
		char uid[32];
		dk_id user;

		snprintf(uid, sizeof(uid), "somebody-%u", i);
		ck_assert_int_eq(svc->create_blank(svc, dk_str_c(uid), &user), 0);
	}
	o = dump(905);
	shown = json_array_size(json_object_get(o, "users"));
	ck_assert_uint_gt(shown, 500);
	ck_assert_uint_lt(shown, 1400);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "more")), 1502 - (json_int_t)shown);
	json_decref(o);
}
END_TEST

START_TEST(must_be_allowed)
{
	static const char *const confs[] = { "plugins = { user = {}; mem = {}; debug = {}; };",
					     "plugins = { user = {}; mem = {}; debug = { allow = false; }; };" };

	for (size_t i = 0; i < DK_ARRAY_LEN(confs); i++) {
		struct dk_harness *none = dk_harness_open(&(struct dk_harness_opts){ .config = confs[i], .seed = 1 });

		ck_assert_ptr_null(none);
	}
	/* Without the section there are no such commands. */
	teardown();
	h = dk_harness_new("plugins = { user = {}; mem = {}; };", 1);
	ann = dk_harness_user(h, "ann");
	for (uint16_t cmd = 900; cmd < 906; cmd++) {
		struct dk_frame f;

		ck_assert_int_eq(dk_test_user_send(ann, 0, cmd, dk_slice_n(NULL, 0)), 0);
		ck_assert(!dk_test_user_await(ann, 0, cmd, &f) || f.status != DK_STATUS_OK);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("debug");
	TCase *tc = tcase_create("debug");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, states);
	tcase_add_test(tc, offline);
	tcase_add_test(tc, terminate);
	tcase_add_test(tc, rooms);
	tcase_add_test(tc, users);
	tcase_add_test(tc, dumps_are_bounded);
	tcase_add_test(tc, must_be_allowed);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
