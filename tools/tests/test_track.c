/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What diarkis-bot makes of messages that come, come twice, come late or never: one circle of two bots, whose clock is the test's.
 * The network and the rest of the run are not there.
 */
#include <check.h>
#include <stdlib.h>

#include "tools/bot_circle.h"

#define SECOND UINT64_C(1000000000)

static uint64_t now;
static struct bot_options o;
static struct run run;
static struct part part;
static struct circles s;
static struct circle_ops ops;
static struct member members[2];
static struct circle circle;
static struct track tracks[4];

/* What bot_track.c asks of the others. */
uint64_t net_now_ns(const struct net *net)
{
	(void)net;
	return now;
}

bool run_disturbed_at(const struct run *r, uint64_t ns)
{
	for (uint32_t i = 0; i < r->disturbance_n; i++) {
		if (ns >= r->disturbances[i].from_ns && ns <= r->disturbances[i].to_ns)
			return true;
	}
	return false;
}

static void setup(void)
{
	now = 100 * SECOND;
	memset(&run, 0, sizeof(run));
	memset(&s, 0, sizeof(s));
	memset(&ops, 0, sizeof(ops));
	memset(members, 0, sizeof(members));
	memset(&circle, 0, sizeof(circle));
	memset(tracks, 0, sizeof(tracks));
	o = (struct bot_options){ .bots = 2, .circle = 2, .gap_ms = 500 };
	run.phase = RUN;
	part.run = &run;
	s.part = &part;
	s.o = &o;
	s.ops = &ops;
	s.members = members;
	s.circles = &circle;
	s.tracks = tracks;
	s.size = 2;
	ops.alone = true;
	s.circle_n = 1;
	s.start_ns = now;
	circle.size = 2;
	for (uint32_t i = 0; i < 2; i++)
		members[i] = (struct member){ .of = &s, .bot = i, .place = i, .state = MEMBER_IN, .heard_ns = now };
}

static void teardown(void)
{
	free(s.gone);
	free(s.twice);
	free(s.pace);
}

/* Bot 0 says its next message, after so many ms. */
static void says(uint32_t ms)
{
	now += ms * UINT64_C(1000000);
	s.sent += 2; /* bot 1 skips its turn */
	members[0].next++;
	circle.expected++;
	track_pace(&s, now);
}

/* Bot 1 hears that one of it. */
static void hears(uint32_t number)
{
	uint8_t buf[16];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u32(&w, 0);
	dk_wr_u32(&w, number);
	dk_wr_u64(&w, now);
	track_delivered(&s, &members[1], dk_written(&w));
}

START_TEST(all_in_order)
{
	for (uint32_t i = 0; i < 200; i++) {
		says(10);
		hears(i);
	}
	ck_assert_uint_eq(circle_sum(&s).lost, 0);
	ck_assert_uint_eq(circle_sum(&s).duplicated, 0);
	ck_assert_uint_eq(circle_sum(&s).out_of_order, 0);
	ck_assert_uint_eq(track_calm(&s), 0);
}
END_TEST

/* Of what did not come the sender was told of two; of one that came it was told too, and that counts nowhere. */
START_TEST(told)
{
	struct said said[3] = { { .number = 3 }, { .number = 90 }, { .number = 199 } };

	for (uint32_t i = 0; i < 200; i++) {
		says(10);
		if (i != 3 && i != 4 && i != 199)
			hears(i);
	}
	for (uint32_t i = 0; i < 3; i++) {
		said[i].m = &members[0];
		said[i].told = true;
		said[i].next = i < 2 ? &said[i + 1] : NULL;
	}
	s.said = said;
	ck_assert_uint_eq(circle_sum(&s).lost, 3);
	ck_assert_uint_eq(track_told(&s, false), 2);
	ck_assert_uint_eq(track_told(&s, true), 2);
	run.disturbances[run.disturbance_n++] = (struct disturbance){ s.start_ns, s.start_ns + SECOND };
	ck_assert_uint_eq(track_told(&s, true), 1);
	said[0].told = false; /* not answered yet */
	ck_assert_uint_eq(track_told(&s, false), 1);
}
END_TEST

START_TEST(twice)
{
	for (uint32_t i = 0; i < 10; i++) {
		says(10);
		hears(i);
	}
	hears(9);
	hears(3);
	ck_assert_uint_eq(circle_sum(&s).duplicated, 2);
	ck_assert_uint_eq(track_twice_calm(&s), 2);
	ck_assert_uint_eq(circle_sum(&s).lost, 0);
	run.disturbances[run.disturbance_n++] = (struct disturbance){ now - 1, now + 1 };
	ck_assert_uint_eq(track_twice_calm(&s), 0);
}
END_TEST

START_TEST(overtaken)
{
	for (uint32_t i = 0; i < 3; i++)
		says(10);
	hears(0);
	hears(2);
	ck_assert_uint_eq(circle_sum(&s).lost, 1);
	ck_assert_uint_eq(track_calm(&s), 1);
	hears(1);
	ck_assert_uint_eq(circle_sum(&s).lost, 0);
	ck_assert_uint_eq(circle_sum(&s).out_of_order, 1);
	ck_assert_uint_eq(circle_sum(&s).duplicated, 0);
	ck_assert_uint_eq(track_calm(&s), 0);
}
END_TEST

/* One is missing among many, so that it leaves the window; one at the end; and the last ones never came. */
START_TEST(lost)
{
	for (uint32_t i = 0; i < 300; i++) {
		says(100);
		if (i != 50 && i != 290 && i < 297)
			hears(i);
	}
	ck_assert_uint_eq(circle_sum(&s).lost, 5);
	ck_assert_uint_eq(track_calm(&s), 5);
	ck_assert_uint_eq(s.gone_n, 1);
	/* number 50 was sent 5.1 seconds after the beginning, the last one 30 */
	run.disturbances[run.disturbance_n++] =
		(struct disturbance){ s.start_ns + 5 * SECOND, s.start_ns + 5 * SECOND + SECOND / 5 };
	ck_assert_uint_eq(track_calm(&s), 4);
	run.disturbances[run.disturbance_n++] = (struct disturbance){ s.start_ns + 29 * SECOND + SECOND / 2, now };
	ck_assert_uint_eq(track_calm(&s), 1);
	circle.lost = true;
	ck_assert_uint_eq(track_calm(&s), 0);
	ck_assert_uint_eq(circle_sum(&s).lost, 0);
}
END_TEST

/* More are missing in a row than the window is long. */
START_TEST(a_long_gap)
{
	for (uint32_t i = 0; i < 500; i++) {
		says(100);
		if (i < 100 || i >= 400)
			hears(i);
	}
	ck_assert_uint_eq(circle_sum(&s).lost, 300);
	ck_assert_uint_eq(track_calm(&s), 300);
	ck_assert_uint_eq(s.gone_n, 300);
}
END_TEST

START_TEST(only_the_last_counts)
{
	ops.latest = true;
	for (uint32_t i = 0; i < 100; i++)
		says(10);
	hears(20);
	ck_assert_uint_eq(circle_sum(&s).lost, 1);
	hears(99);
	hears(99);
	ck_assert_uint_eq(circle_sum(&s).lost, 0);
	ck_assert_uint_eq(circle_sum(&s).duplicated, 0);
	hears(20);
	ck_assert_uint_eq(circle_sum(&s).out_of_order, 1);
}
END_TEST

START_TEST(gaps)
{
	says(100);
	hears(0);
	says(700);
	hears(1);
	says(100);
	hears(2);
	track_stop(&s, now);
	ck_assert_uint_eq(members[1].gap_ns, 700000000);
	ck_assert_uint_eq(members[0].gap_ns, 900000000); /* who speaks does not hear itself here */
	ck_assert_uint_eq(s.interruptions, 2);
	ck_assert_uint_eq(s.gaps.n, 2);
}
END_TEST

START_TEST(strangers)
{
	uint8_t buf[16] = { 0, 0, 0, 7 };

	track_delivered(&s, &members[1], dk_slice_n(buf, 16));
	track_delivered(&s, &members[1], dk_slice_n(buf, 9));
	ck_assert_uint_eq(s.foreign, 2);
	ck_assert_uint_eq(s.delivered, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bots");
	TCase *t = tcase_create("track");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, all_in_order);
	tcase_add_test(t, twice);
	tcase_add_test(t, told);
	tcase_add_test(t, overtaken);
	tcase_add_test(t, lost);
	tcase_add_test(t, a_long_gap);
	tcase_add_test(t, only_the_last_counts);
	tcase_add_test(t, gaps);
	tcase_add_test(t, strangers);
	suite_add_tcase(suite, t);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
