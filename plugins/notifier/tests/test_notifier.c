/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices to users on one node and on several: each hears each once, those who come later, too; filters, loops, deletions; users
 * that move; nodes that join later and nodes that were cut off.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/notifier.h>

#include "plugins/room/tests/fabric.h"

#define HEARS(player, text) ck_assert_str_eq(player_heard(player), text)

/* ---- a plugin that has something to tell ---- */

struct teller {
	struct dk_self base;
	struct dk_user *user;
	struct dk_notifier *notifier;
	const char *deaf; /* "UID NAME": does not hear notices of that name */
	const char *kill; /* id that is deleted when anybody is asked about */
	unsigned loads, asked;
	char saw[512]; /* what the filter was asked, */
	uint32_t left_ms; /* last */
};

static int on_telling(struct teller *t, struct dk_notice_ask *q)
{
	char who[128];

	t->asked++;
	snprintf(t->saw + strlen(t->saw), sizeof(t->saw) - strlen(t->saw),
		 DK_STR_FMT ": " DK_STR_FMT " " DK_STR_FMT " %u.%u %.*s %s\n", DK_STR_ARG(t->user->uid(t->user, q->user)),
		 DK_STR_ARG(q->notice->id), DK_STR_ARG(q->notice->name), q->notice->ver, q->notice->cmd,
		 q->notice->message.n < 8 ? (int)q->notice->message.n : 8, (const char *)q->notice->message.p,
		 q->notice->reliable ? "reliable" : "");
	t->left_ms = q->notice->ttl_ms;
	if (t->kill)
		t->notifier->remove(t->notifier, dk_str_c(t->kill));
	snprintf(who, sizeof(who), DK_STR_FMT " " DK_STR_FMT, DK_STR_ARG(t->user->uid(t->user, q->user)),
		 DK_STR_ARG(q->notice->name));
	return t->deaf && !strcmp(t->deaf, who);
}

static int teller_init(void *self)
{
	struct teller *t = self;

	return dk_filter_add(t, &t->notifier->telling, on_telling);
}

static const struct dk_need needs[] = { DK_NEED(struct teller, user, DK_USER),
					DK_NEED(struct teller, notifier, DK_NOTIFIER),
					{ 0 } };
static const struct dk_ops ops = { .init = teller_init };

DK_PLUGIN(teller) = {
	DK_PLUGIN_HEAD("teller", "1", "tells"),
	.self_size = sizeof(struct teller),
	.needs = needs,
	.ops = &ops,
};

static struct teller *teller(unsigned node)
{
	return dk_plugin_state(dk_harness_kernel(fabric[node].h), "teller");
}

static void begin(unsigned n, uint64_t seed)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_teller, NULL };

	fabric_open(n, seed, "", plugins, "notifier = { compare_ms = 1000; }; teller = { };");
	fabric_run(500);
}

static struct dk_notice notice(const char *id, const char *text, uint32_t ttl_ms)
{
	return (struct dk_notice){ .id = dk_str_c(id),
				   .name = dk_str_c("news"),
				   .ver = DK_NOTICE_VER,
				   .cmd = DK_NOTICE_CMD,
				   .message = dk_slice_of(dk_str_c(text)),
				   .ttl_ms = ttl_ms };
}

static int notify(unsigned node, const char *id, const char *text, uint32_t ttl_ms, bool local)
{
	struct dk_notice n = notice(id, text, ttl_ms);

	return teller(node)->notifier->notify(teller(node)->notifier, &n, local);
}

static int64_t count(unsigned node, const char *counter)
{
	int64_t n = dk_harness_counter(fabric[node].h, "notifier", counter);

	ck_assert_msg(n != INT64_MIN, "there is no counter %s", counter);
	return n;
}

START_TEST(everybody_once)
{
	struct player *ann, *bob, *late;

	begin(3, 1);
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	ck_assert_int_eq(notify(2, "1", "hello", 10000, false), 0);
	ck_assert_int_eq(notify(2, "1", "hello", 10000, false), DK_EXISTS);
	ck_assert_int_eq(notify(0, "2", "only here", 10000, true), 0);
	fabric_run(2500);
	HEARS(ann, "0.400 note only here\n0.400 note hello\n");
	HEARS(bob, "0.400 note hello\n");
	ck_assert_int_eq(notify(1, "1", "hello", 10000, false), DK_EXISTS);
	fabric_run(2500);
	HEARS(ann, "");
	HEARS(bob, "");
	late = player_new(1, "late");
	fabric_run(2500);
	HEARS(late, "0.400 note hello\n");
	fabric_run(3000); /* its time is over */
	late = player_new(1, "later");
	fabric_run(2500);
	HEARS(late, "");
	ck_assert_int_eq(count(1, "noted"), 2);
	ck_assert_int_eq(count(1, "live"), 0);
	ck_assert_int_eq(count(1, "ended"), 1);
	ck_assert_int_eq(count(1, "remembered"), 1);
	fabric_close();
}
END_TEST

/* More than one answer holds goes with the next ones, in order; what none holds is pushed. */
START_TEST(what_does_not_fit)
{
	static char text[2][901], want[2000];
	struct player *ann;
	struct dk_notice n;

	begin(1, 2);
	ann = player_new(0, "ann");
	memset(text[0], 'x', 880);
	memset(text[1], 'y', 900);
	notify(0, "1", text[0], 20000, false);
	notify(0, "2", "small", 20000, false);
	notify(0, "3", text[0], 20000, false);
	notify(0, "4", text[1], 20000, false);
	n = notice("5", "sure", 20000);
	n.reliable = true;
	n.ver = 2;
	n.cmd = 7;
	ck_assert_int_eq(teller(0)->notifier->notify(teller(0)->notifier, &n, false), 0);
	fabric_run(2500);
	snprintf(want, sizeof(want), "0.400 note %s\n0.400 note small\n", text[0]);
	HEARS(ann, want);
	fabric_run(2000);
	snprintf(want, sizeof(want), "400 push %s\n7 push sure\n0.400 note %s\n", text[1], text[0]);
	HEARS(ann, want);
	ck_assert_int_eq(count(0, "pushed"), 2);
	ck_assert_uint_eq(teller(0)->notifier->count(teller(0)->notifier), 5);
	/* the filter, too, once each and in order, where there was no room at first */
	ck_assert_str_eq(teller(0)->saw, "ann: 1 news 0.400 xxxxxxxx \nann: 2 news 0.400 small \nann: 3 news 0.400 xxxxxxxx \n"
					 "ann: 4 news 0.400 yyyyyyyy reliable\nann: 5 news 2.7 sure reliable\n");
	ck_assert_uint_gt(teller(0)->left_ms, 17000);
	ck_assert_uint_lt(teller(0)->left_ms, 18000);
	fabric_close();
}
END_TEST

START_TEST(filters)
{
	struct player *ann, *bob;

	begin(2, 3);
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	teller(0)->deaf = "ann news";
	notify(1, "1", "x", 20000, false);
	fabric_run(2500);
	HEARS(ann, "");
	HEARS(bob, "0.400 note x\n");
	teller(0)->deaf = NULL; /* asked once, for good */
	fabric_run(4500);
	HEARS(ann, "");
	ck_assert_uint_eq(teller(0)->asked, 2);
	ck_assert_int_eq(count(0, "filtered"), 1);
	/* deleted from inside: the one asked about, and another one */
	notify(1, "2", "y", 20000, false);
	notify(1, "3", "z", 20000, false);
	teller(0)->kill = "2";
	fabric_run(2500);
	HEARS(ann, "0.400 note z\n");
	HEARS(bob, "0.400 note z\n");
	fabric_close();
}
END_TEST

START_TEST(deleted)
{
	struct player *ann;

	begin(3, 4);
	notify(0, "1", "x", 20000, false);
	notify(0, "2", "y", 20000, false);
	fabric_run(50);
	ck_assert_int_eq(teller(1)->notifier->remove(teller(1)->notifier, dk_str_c("1")), 0);
	ck_assert_int_eq(teller(1)->notifier->remove(teller(1)->notifier, dk_str_c("1")), DK_NOT_FOUND);
	ck_assert_int_eq(teller(1)->notifier->remove(teller(1)->notifier, dk_str_c("")), DK_NOT_FOUND);
	fabric_run(50);
	ann = player_new(2, "ann");
	fabric_run(2500);
	HEARS(ann, "0.400 note y\n");
	ck_assert_int_eq(notify(2, "1", "x", 20000, false), DK_EXISTS);
	ck_assert_int_eq(count(2, "deleted"), 1);
	fabric_close();
}
END_TEST

static int load(void *self, void *arg, struct dk_notice *ret_notice)
{
	static char id[16];
	struct teller *t = self;

	ck_assert_str_eq(arg, "arg");
	if (++t->loads % 2 == 0)
		return DK_NOT_FOUND;
	snprintf(id, sizeof(id), "load%u", t->loads / 4); /* each comes twice */
	ret_notice->id = dk_str_c(id);
	ret_notice->message = dk_slice_of(dk_str_c(id));
	ret_notice->ttl_ms = 5000;
	return 0;
}

START_TEST(loops)
{
	struct player *ann;
	struct dk_notifier *n;

	begin(2, 5);
	ann = player_new(0, "ann");
	n = teller(0)->notifier;
	teller(0)->deaf = "ann other";
	ck_assert_int_eq(n->serve(n, teller(0), dk_str_c("mine"), 500, load, (void *)(uintptr_t) "arg"), 0);
	ck_assert_int_eq(n->serve(n, teller(0), dk_str_c("mine"), 0, load, NULL), DK_NOTIFIER_BAD);
	ck_assert_int_eq(n->serve(n, teller(0), dk_str_n("", 65), 1, load, NULL), DK_TOO_LONG);
	fabric_run(4100);
	HEARS(ann, "0.400 note load0\n0.400 note load1\n");
	ck_assert_uint_ge(teller(0)->loads, 8);
	ck_assert_int_eq(count(1, "taken"), 0); /* every node has its own */
	fabric_close();
}
END_TEST

static void on_moved(void *self, void *arg, dk_id user, int err)
{
	(void)self;
	(void)arg;
	(void)user;
	ck_assert_int_eq(err, 0);
}

static void move(struct player *p, unsigned node)
{
	struct dk_user *u = fabric[p->node].users;

	ck_assert_int_eq(u->move(u, teller(p->node), player_user(p), &fabric[node].addr, dk_str_n(NULL, 0), dk_slice_n(NULL, 0),
				 on_moved, NULL),
			 0);
}

START_TEST(who_moves)
{
	struct player *ann;

	begin(3, 6);
	ann = player_new(0, "ann");
	notify(1, "1", "x", 60000, false);
	fabric_run(2500);
	HEARS(ann, "0.400 note x\n");
	notify(1, "2", "y", 60000, false);
	move(ann, 1);
	fabric_run(2500);
	HEARS(ann, "0.400 note y\n");
	move(ann, 2);
	fabric_run(2500);
	move(ann, 0);
	notify(2, "3", "z", 60000, false);
	fabric_run(2500);
	HEARS(ann, "0.400 note z\n");
	move(ann, 1);
	fabric_run(4500);
	HEARS(ann, "");
	fabric_close();
}
END_TEST

START_TEST(who_joins_later)
{
	struct player *ann;

	begin(3, 7);
	notify(0, "1", "x", 60000, false);
	fabric_run(100);
	fabric_kill(2);
	fabric_run(100);
	fabric_restart(2);
	fabric_run(1000);
	ann = player_new(2, "ann");
	fabric_run(2500);
	HEARS(ann, "0.400 note x\n");
	/* cut off, and back */
	for (unsigned i = 0; i < 2; i++)
		fabric_cut(i, 2, true);
	notify(0, "2", "y", 60000, false);
	notify(2, "3", "z", 60000, false);
	fabric_run(8000);
	HEARS(ann, "0.400 note z\n");
	for (unsigned i = 0; i < 2; i++)
		fabric_cut(i, 2, false);
	fabric_run(6000);
	HEARS(ann, "0.400 note y\n");
	ck_assert_int_eq(count(0, "live"), 3);
	ck_assert_int_eq(count(1, "live"), 3);
	fabric_close();
}
END_TEST

START_TEST(by_operators)
{
	static char id[DK_NOTICE_ID_MAX + 2];
	struct dk_harness *h;
	struct player *ann;

	begin(2, 8);
	ann = player_new(1, "ann");
	h = fabric[0].h;
	ck_assert_int_eq(dk_harness_call(h, "notifier.notify", "1", "news", "60000", "false", "bye").status, DK_STATUS_OK);
	ck_assert_int_eq(dk_harness_call(h, "notifier.notify", "1", "news", "60000", "false", "bye").status, DK_STATUS_BAD);
	ck_assert_int_eq(dk_harness_call(h, "notifier.notify", "2", "news", "0", "false", "bye").status, DK_STATUS_BAD);
	ck_assert_int_eq(dk_harness_call(h, "notifier.remove", "2").status, DK_STATUS_BAD);
	fabric_run(2500);
	HEARS(ann, "0.400 note bye\n");
	ck_assert_int_eq(dk_harness_call(h, "notifier.remove", "1").status, DK_STATUS_OK);
	fabric_run(100);
	ck_assert_int_eq(count(1, "live"), 0);
	/* an id of 65 bytes; and more than a node keeps */
	memset(id, 'i', sizeof(id) - 1);
	ck_assert_int_eq(dk_harness_call(h, "notifier.notify", id, "news", "60000", "false", "x").status, DK_STATUS_BAD);
	for (unsigned i = 0; i < 256; i++) {
		snprintf(id, sizeof(id), "n%u", i);
		ck_assert_int_eq(notify(0, id, "x", 60000, true), 0);
	}
	ck_assert_int_eq(dk_harness_call(h, "notifier.notify", "one more", "news", "60000", "false", "x").status, DK_STATUS_BAD);
	ck_assert_int_eq(count(0, "full"), 1);
	fabric_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notifier");
	TCase *t = tcase_create("notifier");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, everybody_once);
	tcase_add_test(t, what_does_not_fit);
	tcase_add_test(t, filters);
	tcase_add_test(t, deleted);
	tcase_add_test(t, loops);
	tcase_add_test(t, who_moves);
	tcase_add_test(t, who_joins_later);
	tcase_add_test(t, by_operators);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
