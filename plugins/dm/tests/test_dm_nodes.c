/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct messages between nodes: who is found, who is not, and what is repaired when somebody is no longer where it was; what
 * filters and signals see; one uid on two nodes.
 */
#include "dm_nodes.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/dive.h>

#include "../dm_pack.h"

#define HEARS(player, text) ck_assert_str_eq(player_heard(player), text)
#define HAPPENED(text) ck_assert_str_eq(happened(), text)

static struct player *ann, *bob;

static void two(void)
{
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	fabric_run(200);
}

START_TEST(across)
{
	dm_open(3, 1, "");
	two();
	dm_send(ann, "bob", "hello");
	fabric_run(50);
	HEARS(bob, "701 push ..hello..ann\n");
	HEARS(ann, "701 ok \n");
	HAPPENED("2 received ann>bob hello\n");
	ck_assert_int_eq(dm_count(0, "looked_up"), 1);
	dm_send(bob, "ann", "who is there?"); /* bob's node knows her already */
	fabric_run(50);
	HEARS(ann, "701 push ..who is there?..bob\n");
	ck_assert_int_eq(dm_count(1, "looked_up"), 0);
	for (unsigned i = 0; i < 3; i++)
		dm_send(ann, "bob", (const char *[]){ "one", "two", "three" }[i]);
	fabric_run(50);
	HEARS(bob, "701 ok \n701 push ..one..ann\n701 push ..two..ann\n701 push ..three..ann\n");
	ck_assert_int_eq(dm_count(0, "looked_up"), 1);
	ck_assert_int_eq(dm_count(0, "waiting") + dm_count(0, "waiting_bytes"), 0);
	fabric_close();
}
END_TEST

START_TEST(nobody)
{
	dm_open(3, 2, "");
	two();
	dm_send(ann, "zoe", "hello");
	fabric_run(100);
	HEARS(ann, "701 bad there is no user of that id\n");
	dm_connect(ann, "zoe");
	dm_disconnect(ann, "zoe", "bye");
	dm_send(ann, "bob", "");
	dm_send(ann, "", "x");
	fabric_run(200);
	HEARS(ann, "702 bad there is no user of that id\n700 bad there is no user of that id\n"
		   "701 bad the message is empty\n701 bad a user id has 1 to 256 bytes\n");
	/* who has left is nowhere */
	player_leave(bob);
	fabric_run(200);
	dm_send(ann, "bob", "hello");
	fabric_run(200);
	HEARS(ann, "701 bad there is no user of that id\n");
	ck_assert_int_eq(dm_count(0, "not_found"), 4);
	ck_assert_int_eq(dm_count(0, "cached"), 0); /* nothing is known of them */
	fabric_close();
}
END_TEST

/* Who moves is found at once, by who knew it elsewhere, too; order stays. */
START_TEST(who_moves)
{
	char text[16], want[4096] = "";
	size_t n = 0;

	dm_open(3, 3, "");
	two();
	for (unsigned i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "%02u", i);
		dm_send(ann, "bob", text);
		n += (size_t)snprintf(want + n, sizeof(want) - n, "701 push ..%s..ann\n", text);
		if (i == 20)
			ck_assert_int_eq(dm_move(bob, 2), 0);
		if (i == 30)
			ck_assert_int_eq(dm_move(ann, 1), 0);
		if (i == 50)
			dm_move(bob, 0);
		fabric_run(7);
	}
	fabric_run(1000);
	HEARS(bob, want);
	ck_assert_uint_eq(bob->node, 0);
	ck_assert_uint_eq(ann->node, 1);
	ck_assert_int_gt(dm_count(0, "repaired") + dm_count(1, "repaired"), 0);
	fabric_close();
}
END_TEST

/* Its two nodes do not hear each other while it is between them: whoever goes by either of them keeps its order. */
START_TEST(between_two_nodes)
{
	struct dk_dive *dive;
	struct player *tom = NULL;
	struct dk_addr owner;
	char name[16];

	dm_open(3, 40, "timeout_ms = 5000;");
	dive = dk_harness_service(fabric[2].h, DK_DIVE_NAME);
	for (unsigned i = 0; !tom; i++) { /* one whose place is kept by the third node */
		snprintf(name, sizeof(name), "tom%u", i);
		ck_assert_int_eq(dive->resolve(dive, dk_str_c("dm.places"), dk_str_c(name), &owner), 0);
		if (dk_addr_eq(&owner, &fabric[2].addr))
			tom = player_new(0, name);
	}
	ann = player_new(2, "ann");
	fabric_run(100);
	ck_assert_int_eq(dm_move(tom, 1), 0);
	while (tom->node == 0)
		fabric_run(1);
	fabric_cut(0, 1, true);
	fabric_run(50);
	dm_send(ann, name, "one");
	fabric_run(50);
	dm_move(ann, 0);
	dm_send(ann, name, "two");
	fabric_run(500);
	HEARS(tom, "");
	fabric_cut(0, 1, false);
	fabric_run(2000);
	HEARS(tom, "701 push ..one..ann\n701 push ..two..ann\n");
	ck_assert_uint_eq(ann->node, 0);
	fabric_close();
}
END_TEST

/* What waits for a user who comes to this very node goes before what is sent then. */
START_TEST(comes_here)
{
	struct dk_dm *dm;

	dm_open(3, 42, "timeout_ms = 5000;");
	two();
	dm_connect(ann, "bob");
	fabric_run(100);
	dm = probe_of(0)->dm;
	fabric_cut(0, 1, true);
	ck_assert_int_eq(
		dm->send(dm, probe_of(0), player_user(ann), dk_str_c("bob"), 2, 9, dk_slice_n("one", 3), DK_RELIABLE, NULL, NULL),
		DK_LATER);
	fabric_run(10);
	ck_assert_int_eq(dm_move(bob, 2), 0);
	fabric_run(300);
	ck_assert_int_eq(dm_move(bob, 0), 0);
	fabric_run(300);
	ck_assert_uint_eq(bob->node, 0);
	ck_assert_int_eq(
		dm->send(dm, probe_of(0), player_user(ann), dk_str_c("bob"), 2, 9, dk_slice_n("two", 3), DK_RELIABLE, NULL, NULL),
		DK_LATER);
	fabric_run(10);
	HEARS(bob, "");
	fabric_cut(0, 1, false);
	fabric_run(1000);
	HEARS(bob, "9 push one\n9 push two\n");
	fabric_close();
}
END_TEST

/* A cache that is stale because its user left and logged in elsewhere costs one look; because it left, an error. */
START_TEST(stale)
{
	struct player *again;

	dm_open(3, 4, "");
	two();
	dm_send(ann, "bob", "hello");
	fabric_run(50);
	player_leave(bob);
	fabric_run(50);
	again = player_new(2, "bob");
	fabric_run(100);
	dm_send(ann, "bob", "still there?");
	fabric_run(100);
	HEARS(again, "701 push ..still there?..ann\n");
	HEARS(ann, "701 ok \n701 ok \n");
	fabric_kill(2);
	fabric_believe(0, 2, DK_DEAD);
	fabric_believe(1, 2, DK_DEAD);
	fabric_run(2000);
	dm_send(ann, "bob", "and now?");
	fabric_run(2500);
	HEARS(ann, "701 bad there is no user of that id\n");
	fabric_close();
}
END_TEST

/* Of a node that is silent nobody knows whether it has the message. */
START_TEST(silent)
{
	dm_open(3, 5, "");
	two();
	dm_send(ann, "bob", "hello");
	fabric_run(50);
	player_heard(ann);
	fabric_kill(1);
	dm_send(ann, "bob", "hello?");
	fabric_run(2500);
	HEARS(ann, "701 err the node of this user did not answer; the message may have arrived\n");
	ck_assert_int_eq(dm_count(0, "maybe"), 1);
	fabric_close();
}
END_TEST

START_TEST(filters)
{
	dm_open(2, 6, "");
	two();
	probe_of(1)->veto = true;
	dm_send(ann, "bob", "one");
	fabric_run(50);
	HEARS(ann, "701 bad a rule of this user does not let the message through\n");
	probe_of(1)->veto = false;
	probe_of(1)->rewrite = "something else";
	dm_send(ann, "bob", "two");
	fabric_run(50);
	HEARS(bob, "701 push ..something else..ann\n");
	probe_of(1)->drop = true; /* the last one wins */
	dm_send(ann, "bob", "three");
	fabric_run(50);
	HEARS(bob, "");
	HEARS(ann, "701 ok \n701 bad a rule of this user does not let the message through\n");
	ck_assert_int_eq(dm_count(0, "vetoed"), 2);
	HAPPENED("2 received ann>bob one\n2 received ann>bob two\n2 received ann>bob three\n");
	fabric_close();
}
END_TEST

static const char *peers(unsigned node, const struct player *p)
{
	static char text[256];
	struct dk_dm *dm = probe_of(node)->dm;
	size_t i = 0, n = 0;
	dk_str uid;

	text[0] = '\0';
	while (dm->peer(dm, player_user(p), &i, &uid))
		n += (size_t)snprintf(text + n, sizeof(text) - n, DK_STR_FMT " ", DK_STR_ARG(uid));
	return text;
}

START_TEST(lists)
{
	struct player *cat;

	dm_open(3, 7, "max_peers = 2;");
	two();
	cat = player_new(0, "cat");
	dm_connect(ann, "bob");
	dm_connect(ann, "cat");
	fabric_run(100);
	HEARS(ann, "702 ok \n702 ok \n");
	HEARS(bob, "");
	ck_assert_str_eq(peers(0, ann), "bob cat ");
	ck_assert_str_eq(peers(1, bob), "ann ");
	ck_assert_str_eq(peers(0, cat), "ann ");
	/* with a word, and without */
	dm_disconnect(ann, "bob", "bye");
	fabric_run(100);
	HEARS(bob, "700 push ..bye..ann\n");
	HAPPENED("");
	dm_disconnect(ann, "cat", "");
	fabric_run(100);
	HEARS(cat, "");
	HAPPENED("1 cleared ann of cat\n");
	ck_assert_str_eq(peers(0, ann), "");
	ck_assert_str_eq(peers(1, bob), "");
	/* the list moves along, and the oldest goes first */
	dm_send(ann, "bob", "1");
	dm_send(ann, "cat", "2");
	dm_send(ann, "ann", "3");
	fabric_run(100);
	happened();
	ck_assert_str_eq(peers(0, ann), "cat ann ");
	ck_assert_int_eq(dm_move(ann, 2), 0);
	fabric_run(500);
	ck_assert_str_eq(peers(2, ann), "cat ann ");
	/* the end of a user: each on its list hears of it */
	probe_of(2)->parting = "gone";
	player_heard(cat);
	player_leave(ann);
	fabric_run(100);
	HEARS(cat, "700 push ..gone..ann\n");
	HAPPENED("3 parting ann from cat\n3 parting ann from ann\n");
	dm_send(bob, "cat", "x");
	fabric_run(100);
	happened();
	player_leave(cat);
	fabric_run(100);
	HAPPENED("1 parting cat from bob\n2 cleared cat of bob\n");
	fabric_close();
}
END_TEST

static void on_ready(void *self, void *arg, dk_id user, int err)
{
	(void)self;
	(void)arg;
	(void)user;
	ck_assert_int_eq(err, 0);
}

/* Whoever was to come and does not has said nothing there. */
START_TEST(a_move_called_off)
{
	struct dk_user *users;

	dm_open(2, 43, "");
	two();
	dm_connect(ann, "bob");
	fabric_run(100);
	happened();
	users = fabric[0].users;
	ck_assert_int_eq(users->move_begin(users, probe_of(0), player_user(ann), &fabric[1].addr, dk_str_n(NULL, 0),
					   dk_slice_n(NULL, 0), on_ready, NULL),
			 0);
	fabric_run(50);
	ck_assert_int_ne(fabric[1].users->by_uid(fabric[1].users, dk_str_c("ann")), 0);
	users->move_abort(users, player_user(ann));
	fabric_run(100);
	ck_assert_int_eq(fabric[1].users->by_uid(fabric[1].users, dk_str_c("ann")), 0);
	HAPPENED("");
	ck_assert_str_eq(peers(0, ann), "bob ");
	ck_assert_str_eq(peers(1, bob), "ann ");
	player_heard(ann);
	dm_send(bob, "ann", "still there?");
	fabric_run(100);
	HEARS(ann, "701 push ..still there?..bob\n");
	fabric_close();
}
END_TEST

START_TEST(service)
{
	struct dk_dm *dm;
	struct probe *p;
	static uint8_t big[20000];

	dm_open(2, 8, "max_message_bytes = 10000; queue_bytes = 30000;");
	two();
	p = probe_of(0);
	dm = p->dm;
	/* to one's own node at once, to another one later */
	ck_assert_int_eq(dm->send(dm, p, 0, dk_str_c("ann"), 2, 9, dk_slice_n("abc", 3), DK_RELIABLE, probe_done, "a"), 0);
	ck_assert_int_eq(
		dm->send(dm, p, player_user(ann), dk_str_c("bob"), 2, 9, dk_slice_n("abc", 3), DK_RELIABLE, probe_done, "b"),
		DK_LATER);
	ck_assert_int_eq(dm->send(dm, p, 0, dk_str_c("bob"), 2, 10, dk_slice_n("def", 3), DK_UNRELIABLE, NULL, NULL), DK_LATER);
	ck_assert_int_eq(dm->disconnect(dm, p, player_user(ann), dk_str_c("bob"), 2, 11, dk_slice_n("ghi", 3), probe_done, "c"),
			 DK_LATER);
	fabric_run(100);
	HEARS(ann, "9 push abc\n");
	HEARS(bob, "9 push abc\n10 push def\n11 push ghi\n");
	HAPPENED("1 received >ann abc\n2 received ann>bob abc\n2 received >bob def\n1 done b 0\n1 done c 0\n");
	ck_assert_str_eq(peers(0, ann), "");
	ck_assert_int_eq(dm_count(0, "asked"), 2); /* two letters in one */
	/* limits */
	ck_assert_int_eq(dm->send(dm, p, 0, dk_str_c("bob"), 2, 9, dk_slice_n(big, 10001), DK_RELIABLE, NULL, NULL), DK_TOO_LONG);
	ck_assert_int_eq(dm->send(dm, p, 0, dk_str_c("bob"), 2, 9, dk_slice_n(big, 0), DK_RELIABLE, NULL, NULL), DK_DM_EMPTY);
	ck_assert_int_eq(dm->connect(dm, p, 0, dk_str_c(""), NULL, NULL), DK_DM_BAD_UID);
	for (unsigned i = 0; i < 3; i++) {
		int want = i < 2 ? DK_LATER : DK_FULL;

		ck_assert_int_eq(dm->send(dm, p, 0, dk_str_c("bob"), 2, 9, dk_slice_n(big, 10000), DK_RELIABLE, NULL, NULL), want);
	}
	ck_assert_int_eq(dm->send(dm, p, 0, dk_str_c("bob"), 2, 9, dk_slice_n(big, 9000), DK_UNRELIABLE, probe_done, "long"),
			 DK_LATER);
	fabric_run(100);
	ck_assert_ptr_nonnull(strstr(happened(), "done long 0")); /* mem cuts nothing */
	ck_assert_int_eq(dm->send(dm, p, 0, dk_str_c("zoe"), 2, 9, dk_slice_n(big, 1), DK_RELIABLE, probe_done, "z"), DK_LATER);
	fabric_run(100);
	HAPPENED("1 done z 4\n");
	fabric_close();
}
END_TEST

/* One uid on two nodes: the last login stands, the other one is told and goes. */
START_TEST(two_logins)
{
	struct player *third;

	dm_open(3, 9, "");
	two();
	third = player_new(2, "ann");
	fabric_run(200);
	HEARS(ann, "703 push ..this user has logged in again\n");
	ck_assert(ann->gone);
	ck_assert(!third->gone);
	dm_send(bob, "ann", "who are you?");
	fabric_run(100);
	HEARS(third, "701 push ..who are you?..bob\n");
	/* on one node, too */
	ann = player_new(2, "ann");
	fabric_run(200);
	HEARS(third, "703 push ..this user has logged in again\n");
	ck_assert(third->gone);
	/* back to where it came from */
	third = player_new(0, "ann");
	fabric_run(200);
	ck_assert(ann->gone && !third->gone);
	dm_send(bob, "ann", "and you?");
	fabric_run(100);
	HEARS(third, "701 push ..and you?..bob\n");
	/* a move is no login */
	ck_assert_int_eq(dm_move(third, 1), 0);
	fabric_run(1000);
	ck_assert(!third->gone);
	ck_assert_uint_eq(third->node, 1);
	ck_assert_int_eq(dm_count(0, "replaced"), 1);
	fabric_close();
}
END_TEST

/* arg: a place to be read, or NULL. */
static void on_told(void *self, void *arg, const struct dk_dive_result *r)
{
	struct dk_dive_list list = r->values;
	struct dk_value v;

	(void)self;
	ck_assert_int_eq(r->rc, 0);
	if (arg)
		ck_assert(dk_dive_next(&list, &v) && dm_place_read(v.as.bytes, arg));
}

/* A login whose time lies a year ahead, on a node that runs. */
START_TEST(clocks_that_differ)
{
	struct dk_dive *dive;
	struct dm_place p;
	uint8_t buf[DM_PLACE_SIZE];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_value v = { .type = DK_V_BYTES };
	const struct dk_dive_ask q = {
		.op = DK_DIVE_SET, .storage = dk_str_c("dm.places"), .key = dk_str_c("eve"), .values = &v, .n = 1
	};
	const struct dk_dive_ask look = { .op = DK_DIVE_GET, .storage = q.storage, .key = q.key };
	struct player *eve;

	dm_open(3, 41, "place_ttl_s = 10;");
	two();
	dive = dk_harness_service(fabric[2].h, DK_DIVE_NAME);
	p = (struct dm_place){ .node = fabric[1].addr, .boot = fabric[1].boot, .login = UINT64_MAX / 2 };
	dm_place_write(&w, &p);
	v.as.bytes = dk_written(&w);
	ck_assert_int_eq(dive->ask(dive, probe_of(2), &q, on_told, NULL), 0);
	fabric_run(100);
	eve = player_new(0, "eve");
	fabric_run(20000);
	ck_assert(!eve->gone);
	ck_assert_int_eq(dive->ask(dive, probe_of(2), &look, on_told, &p), 0);
	fabric_run(100);
	ck_assert(dk_addr_eq(&p.node, &fabric[0].addr) && p.login == UINT64_MAX / 2 + 1);
	dm_send(bob, "eve", "hello");
	fabric_run(100);
	HEARS(eve, "701 push ..hello..bob\n");
	/* and from there on */
	ann = player_new(2, "eve");
	fabric_run(200);
	ck_assert(eve->gone && !ann->gone);
	fabric_close();
}
END_TEST

/* Both at once: one of them stays. */
START_TEST(two_at_once)
{
	struct player *a, *b;

	dm_open(3, 10 + (uint64_t)_i, "place_ttl_s = 10;");
	fabric_jitter(20);
	for (unsigned k = 0; k < 4; k++) {
		a = player_new(k % 3, "eve");
		b = player_new((k + 1) % 3, "eve");
		fabric_run(6000);
		ck_assert_msg(a->gone != b->gone, "round %u: %d %d", k, a->gone, b->gone);
	}
	fabric_close();
}
END_TEST

START_TEST(two_allowed)
{
	struct player *third;

	dm_open(2, 20, "one_login = false;");
	two();
	third = player_new(1, "ann");
	fabric_run(1000);
	ck_assert(!ann->gone && !third->gone);
	fabric_close();
}
END_TEST

/* The storage loses what it had: it is told again. */
START_TEST(storage_dies)
{
	dm_open(4, 30, "");
	ann = player_new(0, "ann");
	for (unsigned i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "u%u", i);
		player_new(1, name);
	}
	fabric_run(500);
	fabric_kill(3);
	for (unsigned i = 0; i < 3; i++)
		fabric_believe(i, 3, DK_DEAD);
	fabric_run(8000);
	player_heard(ann);
	for (unsigned i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "u%u", i);
		dm_send(ann, name, "x");
		fabric_run(50);
		HEARS(ann, "701 ok \n");
	}
	fabric_close();
}
END_TEST

/* What is remembered has a limit, and an end. */
START_TEST(cache)
{
	dm_open(2, 31, "max_cached = 16; cache_s = 5;");
	ann = player_new(0, "ann");
	for (unsigned i = 0; i < 40; i++) {
		char name[16];

		snprintf(name, sizeof(name), "u%u", i);
		player_new(1, name);
		fabric_run(20);
		dm_send(ann, name, "x");
		fabric_run(50);
		HEARS(ann, "701 ok \n");
		ck_assert_int_le(dm_count(0, "cached"), 16);
	}
	ck_assert_int_eq(dm_count(0, "forgotten"), 24);
	fabric_run(7000);
	ck_assert_int_eq(dm_count(0, "cached"), 0);
	fabric_close();
}
END_TEST

START_TEST(closed_to_clients)
{
	dm_open(1, 32, "expose_commands = false;");
	ann = player_new(0, "ann");
	dm_send(ann, "ann", "x");
	fabric_run(50);
	HEARS(ann, "701 bad direct messages are not open to clients on this node\n");
	fabric_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("direct messages between nodes");
	TCase *t = tcase_create("nodes");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, across);
	tcase_add_test(t, nobody);
	tcase_add_test(t, who_moves);
	tcase_add_test(t, between_two_nodes);
	tcase_add_test(t, comes_here);
	tcase_add_test(t, stale);
	tcase_add_test(t, silent);
	tcase_add_test(t, filters);
	tcase_add_test(t, lists);
	tcase_add_test(t, a_move_called_off);
	tcase_add_test(t, service);
	tcase_add_test(t, two_logins);
	tcase_add_test(t, clocks_that_differ);
	tcase_add_loop_test(t, two_at_once, 0, 10);
	tcase_add_test(t, two_allowed);
	tcase_add_test(t, storage_dies);
	tcase_add_test(t, cache);
	tcase_add_test(t, closed_to_clients);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
