/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the scenario notifier of diarkis-bot makes of notices that all bots hear, some, one twice: three bots, whose clock is the
 * test's. The network and the rest of the run are not there.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/bot.h"

#define SECOND UINT64_C(1000000000)
#define BOTS 3

static uint64_t now;
static struct bot_options o;
static struct run run;
static struct part part;
static char figures[1024];

/* What bot_notifier.c asks of the others. */
uint64_t net_now_ns(const struct net *net)
{
	(void)net;
	return now;
}

uint32_t run_echo_ms(const struct run *r)
{
	(void)r;
	return 1000;
}

void run_fail(struct run *r, const char *what, const char *why)
{
	(void)r;
	ck_abort_msg("%s: %s", what, why);
}

bool run_over(const char *what, double is, const char *unit, uint32_t bound)
{
	(void)what;
	(void)unit;
	return bound != BOT_NO_BOUND && is > bound;
}

void report_quantiles(FILE *out, const char *name, const struct hist *h, bool json)
{
	(void)out;
	(void)name;
	(void)h;
	(void)json;
}

static void happens_to(uint32_t bot, enum dkc_kind kind)
{
	struct dkc_event e = { .kind = kind };

	scenario_notifier.event(&part, bot, &e);
}

static void setup(void)
{
	now = 100 * SECOND;
	memset(&run, 0, sizeof(run));
	o = (struct bot_options){ .bots = BOTS,
				  .max_lost = BOT_NO_BOUND,
				  .max_lost_calm = BOT_NO_BOUND,
				  .max_wrong = BOT_NO_BOUND,
				  .max_doubled_calm = BOT_NO_BOUND };
	run.o = &o;
	part = (struct part){ .o = &o, .run = &run, .scenario = &scenario_notifier };
	ck_assert_int_eq(scenario_notifier.open(&part, &part.self), 0);
	for (uint32_t i = 0; i < BOTS; i++)
		happens_to(i, DKC_CONNECTED);
	now += SECOND;
}

static void teardown(void)
{
	scenario_notifier.close(&part);
}

static void hears_as(uint32_t bot, const char *what, enum dkc_kind kind)
{
	struct dkc_event e = { .kind = kind, .cmd = 400, .payload = dk_slice_of(dk_str_c(what)) };

	scenario_notifier.event(&part, bot, &e);
}

static void hears(uint32_t bot, const char *what)
{
	hears_as(bot, what, DKC_PUSH);
}

static unsigned figure(const char *name)
{
	FILE *f = fmemopen(figures, sizeof(figures), "w");
	char key[40];
	char *at;

	ck_assert_ptr_nonnull(f);
	scenario_notifier.report(&part, f, true);
	fclose(f);
	snprintf(key, sizeof(key), "\"%s\": ", name);
	at = strstr(figures, key);
	ck_assert_msg(at != NULL, "%s is none of: %s", name, figures);
	return (unsigned)strtoul(at + strlen(key), NULL, 10);
}

START_TEST(by_all_once)
{
	struct dkc_event other = { .kind = DKC_PUSH, .ver = 1, .cmd = 400, .payload = dk_slice_of(dk_str_c("b")) };

	for (uint32_t i = 0; i < BOTS; i++) {
		hears(i, "a");
		hears(i, "ab");
		scenario_notifier.event(&part, i, &other);
	}
	ck_assert(!scenario_notifier.drained(&part, now));
	now += 10 * SECOND;
	ck_assert(scenario_notifier.drained(&part, now));
	ck_assert_uint_eq(figure("notices"), 2);
	ck_assert_uint_eq(figure("reliable"), 2);
	ck_assert_uint_eq(figure("heard"), 6);
	ck_assert_uint_eq(figure("least"), 2);
	ck_assert_uint_eq(figure("lost"), 0);
	ck_assert_uint_eq(figure("duplicated"), 0);
	ck_assert(!scenario_notifier.broken(&part));
	o.bounded = true;
	o.min_notices = 2;
	ck_assert(!scenario_notifier.broken(&part));
	o.min_notices = 3;
	ck_assert(scenario_notifier.broken(&part));
}
END_TEST

/* Two heartbeats and three seconds: then it is lost, unless it comes after all. */
START_TEST(not_by_one)
{
	hears(0, "a");
	hears(1, "a");
	now += 5 * SECOND - 1;
	ck_assert_uint_eq(figure("lost"), 0);
	now += 1;
	ck_assert_uint_eq(figure("lost"), 1);
	ck_assert_uint_eq(figure("lost_calm"), 1);
	ck_assert_uint_eq(figure("least"), 0);
	ck_assert(scenario_notifier.broken(&part));
	o.bounded = true;
	ck_assert(!scenario_notifier.broken(&part));
	o.max_lost = 0;
	ck_assert(scenario_notifier.broken(&part));
	o.max_lost = BOT_NO_BOUND;
	o.max_lost_calm = 0;
	ck_assert(scenario_notifier.broken(&part));
	hears(2, "a");
	ck_assert_uint_eq(figure("lost"), 0);
	ck_assert_uint_eq(figure("least"), 1);
}
END_TEST

/* In the answer to a heartbeat over UDP nothing is repeated; over TCP everything is. */
START_TEST(not_reliable)
{
	hears_as(0, "a", DKC_NOTE);
	now += 10 * SECOND;
	ck_assert_uint_eq(figure("reliable"), 0);
	ck_assert_uint_eq(figure("lost"), 0);
	ck_assert_uint_eq(figure("faint"), 2);
	ck_assert(!scenario_notifier.broken(&part));
	o.protocol = DKC_TCP;
	hears_as(0, "b", DKC_NOTE);
	now += 10 * SECOND;
	ck_assert_uint_eq(figure("lost"), 2);
	ck_assert_uint_eq(figure("faint"), 2);
}
END_TEST

START_TEST(twice)
{
	hears(0, "a");
	now += SECOND;
	hears(0, "a");
	ck_assert_uint_eq(figure("heard"), 1);
	ck_assert_uint_eq(figure("duplicated"), 1);
	ck_assert_uint_eq(figure("duplicated_calm"), 1);
	ck_assert(scenario_notifier.broken(&part));
	o.bounded = true;
	o.max_wrong = 0;
	ck_assert(scenario_notifier.broken(&part));
	o.max_wrong = BOT_NO_BOUND;
	o.max_doubled_calm = 0;
	ck_assert(scenario_notifier.broken(&part));
}
END_TEST

/* Nobody owes anything to who came later, who left before its time was over, or is looking for its node. */
START_TEST(not_there)
{
	scenario_notifier.close(&part);
	ck_assert_int_eq(scenario_notifier.open(&part, &part.self), 0);
	happens_to(0, DKC_CONNECTED);
	happens_to(1, DKC_CONNECTED);
	now += SECOND;
	hears(0, "a");
	happens_to(2, DKC_CONNECTED);
	now += 4 * SECOND;
	happens_to(1, DKC_DISCONNECTED);
	now += 10 * SECOND;
	ck_assert_uint_eq(figure("lost"), 0);
	ck_assert_uint_eq(figure("least"), 0); /* of 0 and 2: 2 has heard nothing */
	hears(2, "a");
	ck_assert_uint_eq(figure("least"), 1); /* 1 is not asked */
	hears(0, "b");
	happens_to(2, DKC_SEARCHING);
	now += 10 * SECOND;
	ck_assert_uint_eq(figure("lost"), 0);
	happens_to(2, DKC_ECHO);
	ck_assert_uint_eq(figure("lost"), 1);
}
END_TEST

/* A bot that is sent to another node has two heartbeats there; it is owed the same. */
START_TEST(sent_elsewhere)
{
	hears(0, "a");
	hears(1, "a");
	now += 4 * SECOND;
	happens_to(2, DKC_MOVING);
	happens_to(2, DKC_CONNECTED);
	now += 4 * SECOND;
	ck_assert_uint_eq(figure("lost"), 0);
	now += 1 * SECOND;
	ck_assert_uint_eq(figure("lost_calm"), 1);
	happens_to(0, DKC_CONNECTED);
	hears(0, "a");
	ck_assert_uint_eq(figure("duplicated_calm"), 1);
}
END_TEST

/* Whose node died may have lost what it was to hear then, and may hear again what it has heard. */
START_TEST(node_dies)
{
	hears(0, "long ago");
	now += 20 * SECOND;
	hears(0, "a");
	hears(1, "a");
	now += SECOND;
	happens_to(1, DKC_SEARCHING);
	happens_to(2, DKC_SEARCHING);
	now += SECOND;
	happens_to(1, DKC_CONNECTED);
	happens_to(2, DKC_CONNECTED);
	hears(1, "a");
	now += 10 * SECOND;
	ck_assert_uint_eq(figure("duplicated"), 1);
	ck_assert_uint_eq(figure("duplicated_calm"), 0);
	ck_assert_uint_eq(figure("lost"), 3);
	ck_assert_uint_eq(figure("lost_calm"), 2); /* the one of long ago */
	/* What came later has nothing to do with it. */
	hears(1, "b");
	now += SECOND;
	hears(1, "b");
	ck_assert_uint_eq(figure("duplicated_calm"), 1);
	now += 10 * SECOND;
	ck_assert_uint_eq(figure("lost_calm"), 4);
}
END_TEST

/* A node that was only slow lost nothing. */
START_TEST(slow_node)
{
	hears(0, "a");
	hears(1, "a");
	happens_to(1, DKC_SEARCHING);
	happens_to(2, DKC_SEARCHING);
	now += SECOND;
	happens_to(1, DKC_ECHO);
	happens_to(2, DKC_ECHO);
	hears(1, "a");
	now += 10 * SECOND;
	ck_assert_uint_eq(figure("lost_calm"), 1);
	ck_assert_uint_eq(figure("duplicated_calm"), 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bot_notifier");
	TCase *tc = tcase_create("bot_notifier");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, by_all_once);
	tcase_add_test(tc, not_by_one);
	tcase_add_test(tc, not_reliable);
	tcase_add_test(tc, twice);
	tcase_add_test(tc, not_there);
	tcase_add_test(tc, sent_elsewhere);
	tcase_add_test(tc, node_dies);
	tcase_add_test(tc, slow_node);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
