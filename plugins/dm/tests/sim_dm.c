/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct messages and notices by the client library's typed calls, against real nodes: one player over UDP on one node, one over
 * TCP on another one, joined by the plugins mesh and mars in a simulated world. Each call, what its answer says, and each event.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/client_dm.h>
#include <diarkis/client_notifier.h>
#include <diarkis/cluster.h>
#include <diarkis/dm_commands.h>
#include <diarkis/notifier.h>

#include "tests/sim/pair.h"

static void on_event(struct player *p, const struct dkc_event *e)
{
	static const char *const words[] = {
		[DKC_DM_MESSAGE] = "message", [DKC_DM_DISCONNECTED] = "disconnected", [DKC_DM_REPLACED] = "replaced"
	};
	enum dkc_dm_kind kind;
	dk_slice message;
	dk_str uid;

	kind = dkc_dm_event(e, &uid, &message);
	if (kind)
		HEARD(p, "%s " DK_STR_FMT ": " DK_STR_FMT "\n", words[kind], DK_STR_ARG(uid), DK_STR_ARG(dk_str_of(message)));
	if (dkc_notice(e, &message)) {
		ck_assert_int_eq(kind, DKC_DM_NONE);
		HEARD(p, "%s: " DK_STR_FMT "\n", e->kind == DKC_NOTE ? "note" : "push", DK_STR_ARG(dk_str_of(message)));
	}
}

static struct dk_harness *nodes[3];

static void node(unsigned i, const char *sections)
{
	char config[1024];

	snprintf(config, sizeof(config),
		 "plugins = { mesh = { address = \"10.0.0.%u\"; marsAddress = \"10.0.0.1\"; mesh_insecure = true; }; "
		 "mars = { %s }; %s };",
		 i + 1, i ? "" : "serve = true; address = \"10.0.0.1\";", sections);
	nodes[i] = pair_add(config);
}

static void setup(void)
{
#define MODULES " user = { }; dive = { }; dm = { storageTargetNodeType = \"UDP\"; }; notifier = { };"
	pair_begin(&(const struct pair_opts){ .delay_ms = 10, .answer_ms = 200, .echo_ms = 1000, .event = on_event });
	node(0, "");
	node(1, "udp = { address = \"10.0.0.2\"; };" MODULES);
	node(2, "tcp = { address = \"10.0.0.3\"; };" MODULES);
	pass(6000); /* they see each other, and share the storage */
	pair_come(&ann, "ann", nodes[1], false);
	pair_come(&bob, "bob", nodes[2], true);
}

static dk_str id(const char *text)
{
	return dk_str_c(text);
}

START_TEST(every_call)
{
	struct player *both[] = { &ann, &bob };
	const char *names[] = { "ann", "bob" };
	char want[64];

	for (unsigned i = 0; i < 2; i++) {
		struct player *a = both[i], *b = both[1 - i];
		dk_str to = id(names[1 - i]);

		answers(dkc_dm_connect(a->client, to, on_done, a), a, "ok");
		answers(dkc_dm_connect(a->client, id("zoe"), on_done, a), a, "no there is no user of that id");
		hears(b, "");
		answers(dkc_dm_send(a->client, to, bytes("reliable"), true, on_done, a), a, "ok");
		answers(dkc_dm_send(a->client, to, bytes("plain"), false, on_done, a), a, "ok");
		snprintf(want, sizeof(want), "message %s: reliable\nmessage %s: plain\n", names[i], names[i]);
		hears(b, want);
		answers(dkc_dm_send(a->client, id("zoe"), bytes("x"), true, on_done, a), a, "no there is no user of that id");
		answers(dkc_dm_send(a->client, to, bytes(""), true, on_done, a), a, "no the message is empty");
		answers(dkc_dm_disconnect(a->client, to, bytes("bye"), on_done, a), a, "ok");
		snprintf(want, sizeof(want), "disconnected %s: bye\n", names[i]);
		hears(b, want);
		answers(dkc_dm_disconnect(a->client, to, bytes(""), on_done, a), a, "ok");
		hears(b, "");
		hears(a, "");
	}
}
END_TEST

/* Beyond a datagram, beyond the stack of the library, beyond the limit. */
START_TEST(long_ones)
{
	static char text[20001];

	memset(text, 'x', sizeof(text) - 1);
	answers(dkc_dm_send(ann.client, id("bob"), dk_slice_n(text, 16384), true, on_done, &ann), &ann, "ok");
	answers(dkc_dm_send(bob.client, id("ann"), dk_slice_n(text, 3000), true, on_done, &bob), &bob, "ok");
	pass(500);
	ck_assert_uint_eq(strlen(ann.heard), strlen("message bob: \n") + 3000);
	answers(dkc_dm_send(bob.client, id("ann"), dk_slice_n(text, 3000), false, on_done, &bob), &bob,
		"no the message is too long, at least for one that is not reliable");
	answers(dkc_dm_send(ann.client, id("bob"), dk_slice_n(text, 16385), true, on_done, &ann), &ann,
		"no the message is too long, at least for one that is not reliable");
	ck_assert_int_eq(dkc_dm_send(bob.client, id("ann"), dk_slice_n(text, 70000), true, on_done, &bob), DKC_TOO_LONG);
}
END_TEST

/* One uid logs in again on the other node: the last one stands, the first one hears why. */
START_TEST(logged_in_again)
{
	pair_vanish(&bob);
	pass(200);
	pair_come(&bob, "ann", nodes[2], true);
	hears(&ann, "replaced : this user has logged in again\n");
	ck_assert(ann.ended && !bob.ended);
}
END_TEST

START_TEST(notices)
{
	struct dk_notifier *n = dk_harness_service(nodes[1], DK_NOTIFIER_NAME);
	struct dk_notice what = { .id = id("1"), .cmd = DK_NOTICE_CMD, .message = bytes("one"), .ttl_ms = 60000 };

	ck_assert_int_eq(n->notify(n, &what, false), 0);
	what.id = id("2");
	what.message = bytes("two");
	what.reliable = true;
	ck_assert_int_eq(n->notify(n, &what, false), 0);
	pass(1500);
	hears(&ann, "push: two\nnote: one\n"); /* the answer leaves when its frame is done with */
	hears(&bob, "push: two\nnote: one\n");
	pass(3000);
	hears(&ann, "");
	hears(&bob, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("direct messages and notices, by typed calls");
	TCase *t = tcase_create("calls");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, pair_close);
	tcase_add_test(t, every_call);
	tcase_add_test(t, long_ones);
	tcase_add_test(t, logged_in_again);
	tcase_add_test(t, notices);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
