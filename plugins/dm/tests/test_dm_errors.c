/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct messages that fail: each code that a client may be answered with, what became of a last word that nobody took, and when
 * the search for a user begins anew. And each hook, once and in order, with what it is told.
 */
#include "dm_nodes.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/dive.h>

#include "../dm_pack.h"

#define HEARS(player, text) ck_assert_str_eq(player_heard(player), text)
#define HAPPENED(text) ck_assert_str_eq(happened(), text)

static const char *const structured[] = { "DIARKIS_USE_STRUCT_ERR=TRUE", NULL };
static struct player *ann, *bob;
static char name[16];

static void setup(void)
{
	fabric_env = structured;
}

static void teardown(void)
{
	fabric_env = NULL;
}

/* A uid whose place is kept by that node. */
static const char *kept_by(unsigned node)
{
	struct dk_dive *dive = dk_harness_service(fabric[node].h, DK_DIVE_NAME);
	struct dk_addr owner;

	for (unsigned i = 0;; i++) {
		snprintf(name, sizeof(name), "tom%u", i);
		ck_assert_int_eq(dive->resolve(dive, dk_str_c("dm.places"), dk_str_c(name), &owner), 0);
		if (dk_addr_eq(&owner, &fabric[node].addr))
			return name;
	}
}

static void cut_off(unsigned node, bool on)
{
	for (unsigned i = 0; i < FABRIC_NODES; i++)
		if (i != node && fabric[i].h)
			fabric_cut(node, i, on);
}

/* ---- codes ---- */

static void nobody(void)
{
	dm_send(ann, "zoe", "x");
}

static void vetoed(void)
{
	probe_of(1)->veto = true;
	dm_send(ann, "bob", "x");
}

static void emptied(void)
{
	probe_of(1)->drop = true;
	dm_send(ann, "bob", "x");
}

static void no_text(void)
{
	dm_send(ann, "bob", "");
}

static void no_uid(void)
{
	dm_connect(ann, "");
}

static void too_long(void)
{
	dm_send(ann, "bob", "more than there may be");
}

static void short_of_bytes(void)
{
	player_send(ann, DM_VER, DM_CMD_CONNECT, dk_slice_n("\0\3z", 3));
}

/* Others have filled the queue to bob. */
static void too_much(void)
{
	static const char text[10];
	struct dk_dm *dm = probe_of(0)->dm;

	fabric_cut(0, 1, true);
	while (dm->send(dm, probe_of(0), 0, dk_str_c("bob"), 2, 9, dk_slice_n(text, 10), DK_RELIABLE, NULL, NULL) == DK_LATER)
		;
	dm_send(ann, "bob", "x");
}

static void silent(void)
{
	fabric_kill(1);
	dm_send(ann, "bob", "x");
}

static void unasked(void)
{
	const char *uid = kept_by(2);

	cut_off(2, true);
	dm_send(ann, uid, "x");
}

START_TEST(codes)
{
	static const struct {
		void (*how)(void);
		const char *says;
	} cases[] = {
		{ nobody, "701 bad 5000 there is no user of that id\n" },
		{ vetoed, "701 bad 5000 a rule of this user does not let the message through\n" },
		{ emptied, "701 bad 5000 a rule of this user does not let the message through\n" },
		{ no_text, "701 bad 1001 the message is empty\n" },
		{ no_uid, "702 bad 1001 a user id has 1 to 256 bytes\n" },
		{ too_long, "701 bad 5000 the message is too long, at least for one that is not reliable\n" },
		{ short_of_bytes, "702 bad 1000 dm.connect: the payload of 3 bytes ends before parameter uid, or its value is not "
				  "allowed\n" },
		{ too_much, "701 err 5000 too many messages wait for this user\n" },
		{ silent, "701 err 5000 the node of this user did not answer; the message may have arrived\n" },
		{ unasked, "701 err 1002 no node could say where this user is\n" },
	};

	dm_open(3, 50 + (uint64_t)_i, "max_message_bytes = 10; queue_bytes = 1024; timeout_ms = 1000;");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	fabric_run(200);
	dm_connect(ann, "bob");
	fabric_run(100);
	HEARS(ann, "702 ok \n");
	cases[_i].how();
	fabric_run(1500);
	HEARS(ann, cases[_i].says);
	for (unsigned i = 0; i < 3; i++)
		if (fabric[i].h)
			cut_off(i, false);
	fabric_run(100);
	fabric_close();
}
END_TEST

/* ---- a last word ---- */

/* The connection of whom it is for takes no more: who says it is told so. */
START_TEST(last_word_refused)
{
	static const char text[60000];
	struct dk_mem_client *end;
	struct dk_user *users;

	dm_open(2, 60, "");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	fabric_run(200);
	dm_connect(ann, "bob");
	fabric_run(100);
	HEARS(ann, "702 ok \n");
	end = bob->end;
	bob->end = NULL; /* reads nothing */
	users = fabric[1].users;
	while (users->push(users, player_user(bob), 2, 1, dk_slice_n(text, sizeof(text)), DK_UNRELIABLE) == 0)
		;
	while (users->push(users, player_user(bob), 2, 1, dk_slice_n(text, 16), DK_UNRELIABLE) == 0)
		;
	dm_disconnect(ann, "bob", "farewell, and thanks for all");
	fabric_run(100);
	HEARS(ann, "700 err 5000 too many messages wait for this user\n");
	bob->end = end;
	fabric_close();
}
END_TEST

/* ---- the search ---- */

static void on_set(void *self, void *arg, const struct dk_dive_result *r)
{
	(void)self;
	(void)arg;
	ck_assert_int_eq(r->rc, 0);
}

/* The storage says from now on that the user is there. */
static void place(unsigned keeper, const char *uid, unsigned node)
{
	struct dk_dive *dive = dk_harness_service(fabric[keeper].h, DK_DIVE_NAME);
	const struct dm_place p = { .node = fabric[node].addr, .boot = fabric[node].boot };
	uint8_t buf[DM_PLACE_SIZE];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_value v = { .type = DK_V_BYTES };

	dm_place_write(&w, &p);
	v.as.bytes = dk_written(&w);
	ck_assert_int_eq(
		dive->ask(dive, probe_of(keeper),
			  &(const struct dk_dive_ask){
				  .op = DK_DIVE_SET, .storage = dk_str_c("dm.places"), .key = dk_str_c(uid), .values = &v, .n = 1 },
			  on_set, NULL),
		0);
}

/* A message may be looked for twice. Whoever could not be reached in time has not used up what the next message may. */
START_TEST(looked_for_anew)
{
	struct player *tom, *again;
	const char *uid;

	dm_open(4, 70, "timeout_ms = 1000;");
	uid = kept_by(2);
	tom = player_new(0, uid);
	ann = player_new(3, "ann");
	fabric_run(100);
	/* between two nodes, one of which does not hear from the other */
	ck_assert_int_eq(dm_move(tom, 1), 0);
	while (tom->node == 0)
		fabric_run(1);
	fabric_cut(0, 1, true);
	fabric_run(50);
	place(2, uid, 2); /* once it is not there */
	dm_send(ann, uid, "one");
	while (dm_count(3, "asked") == 0)
		fabric_run(1);
	place(2, uid, 1);
	fabric_run(1200);
	HEARS(ann, "701 err 1002 no node could say where this user is\n");
	ck_assert_int_eq(dm_count(3, "looked_up"), 2);
	/* elsewhere meanwhile */
	player_leave(tom);
	fabric_run(50);
	again = player_new(2, uid);
	fabric_run(100);
	dm_send(ann, uid, "two");
	fabric_run(100);
	HEARS(ann, "701 ok \n");
	HEARS(again, "701 push ..two..ann\n");
	fabric_cut(0, 1, false);
	fabric_close();
}
END_TEST

/* ---- nobody there yet ---- */

/* Whoever has logged in and is not connected yet is waited for, and no longer than there is time. */
START_TEST(not_connected_yet)
{
	struct dk_user *users;
	struct dk_mem *mem;
	struct dk_mem_client *end;
	struct dk_credential tom, eve;
	struct dk_frame f;
	bool reliable;
	dk_id user;

	dm_open(2, 90, "timeout_ms = 1000;");
	ann = player_new(0, "ann");
	users = fabric[1].users;
	mem = fabric[1].mem;
	ck_assert_int_eq(users->create(users, dk_str_c("tom"), dk_str_c("MEM"), &tom, &user), 0);
	ck_assert_int_eq(users->create(users, dk_str_c("eve"), dk_str_c("MEM"), &eve, &user), 0);
	fabric_run(100);
	dm_send(ann, "tom", "one");
	fabric_run(500);
	HEARS(ann, "");
	HAPPENED("");
	ck_assert_int_eq(mem->connect(mem, tom.sid, &end), 0);
	fabric_run(50);
	HEARS(ann, "701 ok \n");
	HAPPENED("2 received ann>tom one\n");
	ck_assert(mem->next(mem, end, &f, &reliable) && f.ver == DM_VER && f.cmd == DM_CMD_SEND);
	mem->free(mem, end);
	fabric_run(50);
	happened();
	dm_send(ann, "eve", "two");
	fabric_run(1200);
	HEARS(ann, "701 err 1002 no node could say where this user is\n");
	HAPPENED("");
	fabric_close();
}
END_TEST

/* ---- hooks ---- */

/* With the receiver on the sender's node and on another one. */
START_TEST(hooks)
{
	unsigned at = (unsigned)_i;
	struct dk_dm *dm;
	char want[512];

	dm_open(2, 80, "");
	ann = player_new(0, "ann");
	bob = player_new(at, "bob");
	fabric_run(200);
	for (unsigned i = 0; i < 2; i++)
		probe_of(i)->wordy = true;
	dm = probe_of(0)->dm;
	dm_send(ann, "bob", "hi");
	fabric_run(50);
	snprintf(want, sizeof(want),
		 "%u received ann>bob 1.701 hi\n%u rewriting ann>bob 1.701 hi\n%u rewriting last ann>bob 1.701 hi\n", at + 1,
		 at + 1, at + 1);
	HAPPENED(want);
	/* of the server's own; the second filter sees what the first one made of it */
	probe_of(at)->rewrite = "ho";
	dm->send(dm, probe_of(0), 0, dk_str_c("bob"), 3, 9, dk_slice_n("hi", 2), DK_RELIABLE, NULL, NULL);
	fabric_run(50);
	snprintf(want, sizeof(want), "%u received >bob 3.9 hi\n%u rewriting >bob 3.9 hi\n%u rewriting last >bob 3.9 ho\n", at + 1,
		 at + 1, at + 1);
	HAPPENED(want);
	HEARS(bob, "701 push ..hi..ann\n9 push ho\n");
	/* who is vetoed is not rewritten */
	probe_of(at)->veto = true;
	dm_send(ann, "bob", "hi");
	fabric_run(50);
	snprintf(want, sizeof(want), "%u received ann>bob 1.701 hi\n", at + 1);
	HAPPENED(want);
	/* searches, last words and what is taken off without one are no messages */
	dm_connect(ann, "bob");
	dm_disconnect(ann, "bob", "bye");
	fabric_run(50);
	HAPPENED("");
	dm_connect(ann, "bob");
	dm_disconnect(ann, "bob", "");
	fabric_run(50);
	snprintf(want, sizeof(want), "%u cleared ann of bob\n", at + 1);
	HAPPENED(want);
	dm_disconnect(ann, "bob", "");
	fabric_run(50);
	HAPPENED("");
	/* the end of a user: a word of the filter's own, or none */
	player_heard(bob);
	dm_connect(ann, "bob");
	fabric_run(50);
	probe_of(0)->parting = "gone";
	player_leave(ann);
	fabric_run(50);
	HAPPENED("1 parting ann from bob 1.700\n");
	HEARS(bob, "700 push ..gone..ann\n");
	ann = player_new(0, "ann");
	dm_connect(ann, "bob");
	fabric_run(50);
	probe_of(0)->parting = NULL;
	player_leave(ann);
	fabric_run(50);
	snprintf(want, sizeof(want), "1 parting ann from bob 1.700\n%u cleared ann of bob\n", at + 1);
	HAPPENED(want);
	HEARS(bob, "");
	fabric_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("direct messages that fail");
	TCase *t = tcase_create("errors");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, codes, 0, 10);
	tcase_add_test(t, last_word_refused);
	tcase_add_test(t, looked_for_anew);
	tcase_add_test(t, not_connected_yet);
	tcase_add_loop_test(t, hooks, 0, 2);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
