/* SPDX-License-Identifier: Apache-2.0 */
/* attack in a whole node: two players in a room, a clock that stands still, no socket. */
#include <diarkis/room.h>
#include <diarkis/test.h>

#include <check.h>

extern const struct dk_plugin_desc dk_plugin_attack;

static struct dk_harness *h;
static struct dk_test_user *ann, *bob;
static dk_id arena;

static void setup(void)
{
	struct dk_room_opts opts = { .max_members = 4, .join = true, .ttl_s = 10 };
	struct dk_room *room;

	h = dk_harness_new("plugins = { user = {}; mem = {}; room = {}; attack = {}; };", 1, &dk_plugin_attack);
	ck_assert_ptr_nonnull(h);
	ann = dk_harness_user(h, "ann");
	bob = dk_harness_user(h, "bob");
	room = dk_harness_service(h, DK_ROOM_NAME);
	ck_assert_int_eq(room->create(room, dk_test_user_id(ann), &opts, &arena), 0);
	ck_assert_int_eq(room->join(room, arena, dk_test_user_id(bob), 1, 101, dk_slice_n(NULL, 0)), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(dk_harness_free(h), 0);
}

static void hit(struct dk_test_user *who, uint8_t type)
{
	ck_assert_int_eq(dk_test_user_send(who, 2, 300, dk_slice_n(&type, 1)), 0);
}

/* The next frame of attack that a player gets has this status and, after skip bytes, these bytes. */
static void expect(struct dk_test_user *who, int status, size_t skip, const uint8_t *bytes)
{
	struct dk_frame f;

	ck_assert(dk_test_user_await(who, 2, 300, &f));
	ck_assert_int_eq(f.status, status);
	ck_assert_uint_eq(f.payload.n, skip + 10);
	ck_assert_mem_eq(f.payload.p + skip, bytes, 10);
}
#define PUSH(who, bytes) expect(who, DK_STATUS_PUSH, 4, bytes)
#define ANSWER(who, bytes) expect(who, DK_STATUS_OK, 0, bytes)

/* damage u16, totalDamage u16, type u8, uid string: the fields in alphabetical order, as docs/PLUGIN.md works it out */
static const uint8_t ann_60[10] = { 0, 60, 0, 60, 2, 0, 3, 'a', 'n', 'n' };
static const uint8_t bob_10[10] = { 0, 10, 0, 70, 0, 0, 3, 'b', 'o', 'b' };

START_TEST(everybody_sees_it)
{
	hit(ann, 2);
	PUSH(ann, ann_60);
	ANSWER(ann, ann_60);
	PUSH(bob, ann_60);
	hit(bob, 0);
	PUSH(ann, bob_10);
	PUSH(bob, bob_10);
	ANSWER(bob, bob_10);
}
END_TEST

START_TEST(refusals)
{
	struct dk_test_user *eve = dk_harness_user(h, "eve");
	struct dk_frame f;

	hit(ann, 3);
	ck_assert(dk_test_user_await(ann, 2, 300, &f));
	ck_assert_int_eq(f.status, DK_STATUS_BAD);
	hit(eve, 0);
	ck_assert(dk_test_user_await(eve, 2, 300, &f));
	ck_assert_int_eq(f.status, DK_STATUS_BAD);
	dk_harness_advance(h, 100);
	ck_assert(!dk_test_user_next(bob, &f));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("attack");
	TCase *t = tcase_create("attack");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, everybody_sees_it);
	tcase_add_test(t, refusals);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
