/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms that code asks something of, wherever they are: how many are in them, and reservations to be cancelled. */
#include "fabric.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>

struct probe {
	struct dk_self base;
	struct dk_room *room;
};

FABRIC_PROBE(NULL, DK_NEED(struct probe, room, DK_ROOM));

static struct player *ann;
static struct dk_id52 id;
static dk_id room;
static char answers[512];

static void on_far(void *self, void *arg, int err, uint16_t members, uint16_t max_members)
{
	size_t n = strlen(answers);

	ck_assert_ptr_nonnull(self);
	snprintf(answers + n, sizeof(answers) - n, "%s %d %u of %u\n", (const char *)arg, err, members, max_members);
}

static struct probe *probe_of(unsigned node)
{
	return fabric_probe(node);
}

static void start(unsigned nodes)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, NULL };
	static const dk_str both[] = { { "gus", 3 }, { "hal", 3 } };
	struct dk_room_opts o = { .max_members = 4, .join = true, .ttl_s = 30 };
	struct dk_room *svc;

	answers[0] = '\0';
	fabric_open(nodes, 1, "", plugins, "probe = {}");
	svc = fabric[0].rooms;
	ann = player_new(0, "ann");
	room = fabric_room(0, ann, &o, &id);
	ck_assert_int_eq(svc->reserve(svc, room, 0, both, 2, false), 0);
}

static void setup(void)
{
	start(3);
}

static void expect(const char *want)
{
	ck_assert_str_eq(answers, want);
	answers[0] = '\0';
}

static void count(unsigned node, const char *word)
{
	struct dk_room *svc = fabric[node].rooms;

	ck_assert_int_eq(svc->count_far(svc, probe_of(node), &id, on_far, (void *)(uintptr_t)word), 0);
	expect(""); /* never before it returns */
}

static void cancel(unsigned node, const char *uid, const char *word)
{
	struct dk_room *svc = fabric[node].rooms;
	dk_str one = dk_str_c(uid);

	ck_assert_int_eq(svc->cancel_far(svc, probe_of(node), &id, &one, 1, on_far, (void *)(uintptr_t)word), 0);
	expect("");
}

static unsigned reserved(void)
{
	struct dk_room_info info;

	ck_assert_int_eq(fabric[0].rooms->info(fabric[0].rooms, room, &info), 0);
	return info.reserved;
}

START_TEST(from_anywhere)
{
	for (unsigned node = 0; node < 2; node++) {
		count(node, "count");
		fabric_run(10);
		expect("count 0 1 of 4\n");
	}
	cancel(0, "gus", "here");
	fabric_run(10);
	expect("here 0 0 of 0\n");
	ck_assert_uint_eq(reserved(), 1);
	cancel(1, "hal", "far");
	fabric_run(10);
	expect("far 0 0 of 0\n");
	ck_assert_uint_eq(reserved(), 0);
}
END_TEST

START_TEST(refused)
{
	struct dk_room *svc = fabric[1].rooms;
	struct probe *p = probe_of(1);
	char long_uid[DK_UID_MAX + 2], want[64];
	dk_str bad = dk_str_n(long_uid, DK_UID_MAX + 1), none = dk_str_n("", 0);

	for (unsigned node = 0; node < 2; node++) {
		cancel(node, "nobody", "x");
		fabric_run(10);
		snprintf(want, sizeof(want), "x %d 0 of 0\n", DK_ROOM_NO_RESERVATION);
		expect(want);
	}
	memset(long_uid, 'x', sizeof(long_uid));
	ck_assert_int_eq(svc->cancel_far(svc, p, &id, &bad, 1, on_far, NULL), -EINVAL);
	ck_assert_int_eq(svc->cancel_far(svc, p, &id, &none, 1, on_far, NULL), -EINVAL);
	ck_assert_int_eq(svc->cancel_far(svc, p, &id, &bad, 0, on_far, NULL), -EINVAL);
	memset(id.c, '0', 16); /* no such room there */
	for (unsigned node = 0; node < 2; node++) {
		count(node, "gone");
		fabric_run(10);
		snprintf(want, sizeof(want), "gone %d 0 of 0\n", DK_ROOM_GONE);
		expect(want);
	}
	memset(id.c, '0', DK_ID52_LEN); /* no such node */
	count(1, "nowhere");
	fabric_run(10);
	snprintf(want, sizeof(want), "nowhere %d 0 of 0\n", DK_ROOM_GONE);
	expect(want);
	ck_assert_uint_eq(reserved(), 2);
}
END_TEST

/* The id that the room had before leads there. */
START_TEST(after_a_move)
{
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(300);
	ck_assert_uint_ne(ann->node, 0);
	for (unsigned node = 0; node < 3; node++) {
		count(node, "count");
		fabric_run(10);
		expect("count 0 1 of 4\n");
	}
	cancel(0, "gus", "far");
	fabric_run(10);
	expect("far 0 0 of 0\n");
}
END_TEST

/* The answer comes, or it is said that none came. */
START_TEST(no_answer)
{
	char want[64];

	fabric_cut(0, 1, true);
	count(1, "cut");
	fabric_run(4000);
	snprintf(want, sizeof(want), "cut %d 0 of 0\n", -ETIMEDOUT);
	expect(want);
	fabric_cut(0, 1, false);
	fabric_believe(1, 0, DK_DEAD);
	count(1, "dead");
	fabric_run(10);
	snprintf(want, sizeof(want), "dead %d 0 of 0\n", DK_ROOM_GONE);
	expect(want);
}
END_TEST

/* Whoever asked ends before the answer: it is not called, and nothing is left. */
START_TEST(asker_ends)
{
	fabric_cut(0, 1, true);
	count(1, "cut");
	fabric_run(100);
	fabric_stop(1);
	expect("");
	count(2, "here"); /* and with the question still to be asked */
	fabric_stop(2);
	expect("");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_far");
	TCase *t = tcase_create("far");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, fabric_close);
	tcase_add_test(t, from_anywhere);
	tcase_add_test(t, refused);
	tcase_add_test(t, after_a_move);
	tcase_add_test(t, no_answer);
	tcase_add_test(t, asker_ends);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
