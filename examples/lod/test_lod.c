/* SPDX-License-Identifier: Apache-2.0 */
/* lod in a whole node: four players on a line, one of whom speaks every 16 ms for two seconds. */
#include <diarkis/room.h>
#include <diarkis/test.h>

#include <check.h>

extern const struct dk_plugin_desc dk_plugin_lod;

static struct dk_harness *h;
static struct dk_test_user *ann, *near, *mid, *out;
static dk_id arena;

static struct dk_test_user *player(const char *name)
{
	struct dk_room *room = dk_harness_service(h, DK_ROOM_NAME);
	struct dk_test_user *u = dk_harness_user(h, name);

	ck_assert_int_eq(room->join(room, arena, dk_test_user_id(u), 1, 101, dk_slice_n(NULL, 0)), 0);
	return u;
}

static void setup(void)
{
	struct dk_room_opts opts = { .max_members = 100, .allow_empty = true, .ttl_s = 60 };
	struct dk_room *room;

	h = dk_harness_new("plugins = { user = {}; mem = {}; room = {}; lod = {}; };", 1, &dk_plugin_lod);
	ck_assert_ptr_nonnull(h);
	room = dk_harness_service(h, DK_ROOM_NAME);
	ck_assert_int_eq(room->create(room, 0, &opts, &arena), 0);
	ann = player("ann");
	near = player("near");
	mid = player("mid");
	out = player("out");
}

static void teardown(void)
{
	ck_assert_int_eq(dk_harness_free(h), 0);
}

static void say(struct dk_test_user *who, int32_t x, int32_t y, const char *text)
{
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_bytes16(&w, dk_slice_of(dk_str_c(text)));
	dk_wr_u32(&w, (uint32_t)x);
	dk_wr_u32(&w, (uint32_t)y);
	ck_assert_int_eq(dk_test_user_send(who, 2, 1001, dk_written(&w)), 0);
}

/* How many messages of ann a player got, and the x of the last one. */
static unsigned heard(struct dk_test_user *who, int32_t *ret_x)
{
	struct dk_frame f;
	unsigned n = 0;

	while (dk_test_user_next(who, &f)) {
		struct dk_cursor c = dk_cursor_of(f.payload);

		if (f.ver != 2 || f.cmd != 1001 || f.status != DK_STATUS_PUSH)
			continue;
		dk_rd_u32(&c); /* a push is a list */
		dk_rd_bytes16(&c);
		if (!dk_str_eq(dk_str_of(dk_rd_bytes16(&c)), dk_str_c("ann")))
			continue;
		*ret_x = (int32_t)dk_rd_u32(&c);
		ck_assert(!c.bad);
		n++;
	}
	return n;
}

START_TEST(farther_is_less_often)
{
	int32_t x = 0;
	unsigned n;

	say(near, 5000, 5000, "");
	say(mid, -25000, 0, "");
	say(out, 0, 40001 + 2000, "");
	dk_harness_advance(h, 2000);
	heard(near, &x);
	heard(mid, &x);
	heard(out, &x);
	for (int i = 0; i < 125; i++) {
		say(ann, i, 0, "here");
		dk_harness_advance(h, 16);
	}
	n = heard(near, &x);
	ck_assert_msg(n >= 120 && n <= 125, "near heard %u", n);
	n = heard(mid, &x); /* half way between near and far: one a second */
	ck_assert_msg(n >= 2 && n <= 3, "mid heard %u", n);
	dk_harness_advance(h, 2000);
	ck_assert_uint_eq(heard(mid, &x), 1);
	ck_assert_int_eq(x, 124); /* the last word is told, however late */
	ck_assert_uint_eq(heard(out, &x), 0);
	say(ann, 0, 20000, "nearer");
	dk_harness_advance(h, 2000);
	ck_assert_uint_eq(heard(out, &x), 1);
}
END_TEST

START_TEST(what_it_is_set_to)
{
	static const uint8_t info[16] = { 0, 0, 0x9c, 0x40, 0, 0, 0x27, 0x10, 0, 0, 0x07, 0xd0, 0, 0, 0, 16 };
	struct dk_frame f;

	ck_assert_int_eq(dk_test_user_send(ann, 2, 1002, dk_slice_n(NULL, 0)), 0);
	ck_assert(dk_test_user_await(ann, 2, 1002, &f));
	ck_assert_uint_eq(f.payload.n, sizeof(info));
	ck_assert_mem_eq(f.payload.p, info, sizeof(info));
}
END_TEST

START_TEST(who_left_is_forgotten)
{
	struct dk_room *room = dk_harness_service(h, DK_ROOM_NAME);
	int32_t x = 0;

	say(ann, 0, 0, "one");
	say(near, 0, 0, "two");
	dk_harness_advance(h, 100);
	ck_assert_uint_eq(heard(near, &x), 1);
	ck_assert_int_eq(room->leave(room, arena, dk_test_user_id(near), 1, 102, dk_slice_n(NULL, 0)), 0);
	say(ann, 1, 0, "three");
	dk_harness_advance(h, 100);
	ck_assert_uint_eq(heard(near, &x), 0);
	say(near, 0, 0, "from outside");
	dk_harness_advance(h, 100);
	ck_assert_uint_eq(heard(near, &x), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lod");
	TCase *t = tcase_create("lod");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, farther_is_less_often);
	tcase_add_test(t, what_it_is_set_to);
	tcase_add_test(t, who_left_is_forgotten);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
