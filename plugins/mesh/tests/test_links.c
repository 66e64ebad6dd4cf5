/* SPDX-License-Identifier: Apache-2.0 */
/* What the links of the mesh do when the world is not kind: cuts, new boots, full queues, long messages, time that runs out. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/contract/carrier_nodes.h"

static const char *const ip[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3" };

static bool answered(void *arg)
{
	return ((struct outcome *)arg)->called > 0;
}

START_TEST(a_short_cut_loses_nothing)
{
	struct nodes w;
	char note[16];

	nodes_make(&w, 2, 3, NULL);
	for (int i = 0; i < 50; i++) {
		snprintf(note, sizeof(note), "%d", i);
		ck_assert_int_eq(node_note(&w, 0, 1, note, DK_RELIABLE), 0);
		if (i == 10 || i == 30)
			dk_sim_cut(w.world, ip[0], ip[1], true);
		if (i == 25 || i == 45)
			dk_sim_cut(w.world, ip[0], ip[1], false);
		dk_sim_run(w.world, 120); /* 1.8 s each: the link is made anew meanwhile */
	}
	dk_sim_run(w.world, 3000);
	ck_assert_uint_eq(w.probe[1]->got_count, 50);
	for (int i = 0; i < 50; i++) {
		snprintf(note, sizeof(note), "1.8000 %d\n", i);
		ck_assert_ptr_nonnull(strstr(w.probe[1]->got, note));
	}
	ck_assert_ptr_nonnull(strstr(w.probe[1]->got, " 9\n1.8000 10\n1.8000 11\n1.8000 12\n"));
	ck_assert_int_gt(node_counter(&w, 0, "links_made"), 1);
	ck_assert_int_eq(node_counter(&w, 0, "expired"), 0);
	nodes_free(&w);
}
END_TEST

START_TEST(a_long_cut_drops_what_is_too_old)
{
	struct nodes w;
	struct outcome asked, never;
	uint64_t began;

	nodes_make(&w, 2, 3, NULL);
	ck_assert_int_eq(node_note(&w, 0, 1, "before", DK_RELIABLE), 0);
	dk_sim_run(w.world, 100);
	dk_sim_cut(w.world, ip[0], ip[1], true);
	began = dk_sim_now(w.world);
	ck_assert_int_eq(node_note(&w, 0, 1, "lost", DK_RELIABLE), 0);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "written", 10000, &asked, NULL), 0);
	dk_sim_run(w.world, 2000);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "queued", 10000, &never, NULL), 0);
	ck_assert(nodes_run_until(&w, answered, &asked, 5000));
	ck_assert_int_eq(asked.err, -ETIMEDOUT); /* it was written to a stream that may have carried it */
	ck_assert_uint_ge(dk_sim_now(w.world) - began, 2990);
	ck_assert_uint_le(dk_sim_now(w.world) - began, 3100);
	ck_assert(nodes_run_until(&w, answered, &never, 5000));
	ck_assert_int_eq(never.err, -EHOSTUNREACH);
	ck_assert_int_eq(node_counter(&w, 0, "expired"), 3);
	ck_assert_int_eq(node_counter(&w, 0, "queued"), 0);
	ck_assert_int_eq(w.probe[0]->links_down, 1);
	dk_sim_cut(w.world, ip[0], ip[1], false);
	dk_sim_run(w.world, 5000);
	ck_assert_int_eq(node_note(&w, 0, 1, "after", DK_RELIABLE), 0);
	dk_sim_run(w.world, 3000);
	ck_assert_ptr_nonnull(strstr(w.probe[1]->got, "1.8000 after\n"));
	ck_assert_ptr_nonnull(strstr(w.probe[1]->got, "1.8000 before\n"));
	ck_assert_uint_eq(asked.called, 1);
	ck_assert_uint_eq(never.called, 1);
	ck_assert_int_eq(w.probe[0]->links_up, 2);
	nodes_free(&w);
}
END_TEST

/* The stream delivers late what was on its way: the request says how long it had, and is not run. */
START_TEST(a_request_that_comes_too_late_is_not_run)
{
	struct nodes w;
	struct outcome o;

	nodes_make(&w, 2, 3, NULL);
	ck_assert_int_eq(node_note(&w, 0, 1, "link", DK_RELIABLE), 0);
	dk_sim_run(w.world, 100);
	dk_sim_cut(w.world, ip[0], ip[1], true);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "late", 300, &o, NULL), 0);
	dk_sim_run(w.world, 800);
	ck_assert_int_eq(o.err, -ETIMEDOUT);
	dk_sim_cut(w.world, ip[0], ip[1], false);
	dk_sim_run(w.world, 500);
	ck_assert_uint_eq(w.probe[1]->echoes, 0);
	ck_assert_int_eq(node_counter(&w, 1, "late"), 1);
	ck_assert_uint_eq(o.called, 1);
	nodes_free(&w);
}
END_TEST

/* What a node wrote before it died may arrive long after, and makes nobody believe that it lives. */
START_TEST(what_hung_is_no_sign_of_life)
{
	struct dk_carrier *c;
	struct nodes w;
	uint64_t heard;

	nodes_make(&w, 2, 3, NULL);
	c = dk_harness_service(w.at[1], DK_CARRIER_NAME);
	ck_assert_int_eq(node_note(&w, 0, 1, "link", DK_RELIABLE), 0);
	dk_sim_run(w.world, 100);
	heard = c->heard(c, &w.addr[0]);
	ck_assert_uint_gt(heard, 0);
	dk_sim_cut(w.world, ip[0], ip[1], true);
	ck_assert_int_eq(node_note(&w, 0, 1, "last words", DK_RELIABLE), 0);
	dk_sim_run(w.world, 100);
	dk_harness_kill(w.at[0]);
	w.at[0] = NULL;
	dk_sim_run(w.world, 600);
	dk_sim_cut(w.world, ip[0], ip[1], false);
	dk_sim_run(w.world, 500);
	ck_assert_ptr_nonnull(strstr(w.probe[1]->got, "last words\n"));
	ck_assert_uint_eq(c->heard(c, &w.addr[0]), heard);
	nodes_free(&w);
}
END_TEST

START_TEST(a_handler_may_answer_later)
{
	struct nodes w;
	struct outcome o;
	struct dk_call *call;

	nodes_make(&w, 2, 3, NULL);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_LATER, "a", 2000, &o, NULL), 0);
	dk_sim_run(w.world, 700);
	ck_assert_uint_eq(o.called, 0);
	call = dk_call_get(w.probe[1], w.probe[1]->later);
	ck_assert_ptr_nonnull(call);
	ck_assert(dk_addr_eq(&call->from, &w.addr[0]));
	dk_answer(call, text("at last"));
	dk_call_done(w.probe[1], w.probe[1]->later, 0);
	node_turn(&w, 1);
	dk_sim_run(w.world, 50);
	ck_assert_uint_eq(o.called, 1);
	ck_assert_str_eq(o.body, "at last");
	/* One that never answers is answered by its deadline, once. */
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_LATER, "b", 400, &o, NULL), 0);
	dk_sim_run(w.world, 2000);
	ck_assert_uint_eq(o.called, 1);
	ck_assert_int_eq(o.err, -ETIMEDOUT);
	nodes_free(&w);
}
END_TEST

START_TEST(a_cancelled_request_is_not_heard_of_again)
{
	struct nodes w;
	struct outcome gone, later, next;
	dk_id id;

	nodes_make(&w, 2, 3, NULL);
	/* Not written yet: it never leaves. */
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "never", 500, &gone, &id), 0);
	w.probe[0]->carrier->cancel(w.probe[0]->carrier, id);
	w.probe[0]->carrier->cancel(w.probe[0]->carrier, id); /* stale */
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "next", 500, &next, NULL), 0);
	dk_sim_run(w.world, 100);
	ck_assert_uint_eq(w.probe[1]->echoes, 1);
	ck_assert_str_eq(next.body, "next");
	ck_assert_uint_eq(gone.called, 0);
	/* Running: its answer is not sent. */
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_LATER, "x", 5000, &later, &id), 0);
	dk_sim_run(w.world, 100);
	w.probe[0]->carrier->cancel(w.probe[0]->carrier, id);
	node_turn(&w, 0);
	dk_sim_run(w.world, 100);
	dk_call_done(w.probe[1], w.probe[1]->later, 0);
	node_turn(&w, 1);
	dk_sim_run(w.world, 6000);
	ck_assert_uint_eq(later.called, 0);
	ck_assert_int_eq(node_counter(&w, 1, "requests_in"), 2);
	nodes_free(&w);
}
END_TEST

START_TEST(a_node_that_began_anew_is_another_node)
{
	char config[1024];
	struct nodes w;
	struct outcome o;
	struct dk_carrier *a;
	uint64_t boot;

	nodes_make(&w, 2, 3, NULL);
	a = w.probe[0]->carrier;
	ck_assert_int_eq(node_note(&w, 0, 1, "one", DK_RELIABLE), 0);
	ck_assert_int_eq(node_note(&w, 0, 1, "one", DK_UNRELIABLE), 0);
	ck_assert_int_eq(node_note(&w, 1, 0, "there", DK_RELIABLE), 0);
	dk_sim_run(w.world, 100);
	boot = a->boot_of(a, &w.addr[1]);
	ck_assert_uint_ne(boot, 0);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_LATER, "x", 20000, &o, NULL), 0);
	dk_sim_run(w.world, 100);
	dk_harness_kill(w.at[1]);
	w.at[1] = NULL;
	dk_sim_run(w.world, 200);
	nodes_config(1, NULL, config, sizeof(config));
	ck_assert_ptr_nonnull(node_start(&w, 1, config));
	ck_assert_int_eq(node_note(&w, 0, 1, "to whom?", DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 1500);
	ck_assert_int_eq(node_note(&w, 0, 1, "two", DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 1500);
	ck_assert_uint_eq(a->boot_of(a, &w.addr[1]), w.probe[1]->carrier->boot);
	ck_assert_uint_ne(a->boot_of(a, &w.addr[1]), boot);
	ck_assert_uint_eq(o.called, 1);
	ck_assert_int_eq(o.err, -ECONNRESET);
	ck_assert_int_eq(node_note(&w, 0, 1, "three", DK_RELIABLE), 0);
	ck_assert_int_eq(node_note(&w, 1, 0, "here", DK_RELIABLE), 0);
	dk_sim_run(w.world, 1500);
	ck_assert_ptr_nonnull(strstr(w.probe[1]->got, "1.8000 three\n"));
	ck_assert_ptr_nonnull(strstr(w.probe[0]->got, "2.8000 here\n"));
	ck_assert_int_ge(w.probe[0]->links_up, 2);
	ck_assert_int_ge(w.probe[0]->links_down, 1);
	nodes_free(&w);
}
END_TEST

START_TEST(forgotten_is_forgotten)
{
	struct nodes w;
	struct outcome o;
	struct dk_carrier *a;

	nodes_make(&w, 2, 3, NULL);
	a = w.probe[0]->carrier;
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_LATER, "x", 20000, &o, NULL), 0);
	dk_sim_run(w.world, 100);
	a->forget(a, &w.addr[1]);
	ck_assert_uint_eq(o.called, 1);
	ck_assert_int_eq(o.err, -ECONNRESET);
	ck_assert_uint_eq(a->heard(a, &w.addr[1]), 0);
	ck_assert_int_eq(node_counter(&w, 0, "links"), 0);
	/* It may still be spoken to, and nothing runs twice. */
	dk_sim_run(w.world, 100);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(node_note(&w, 0, 1, "again", DK_RELIABLE), 0);
		ck_assert_int_eq(node_note(&w, 1, 0, "yes", DK_RELIABLE), 0);
		dk_sim_run(w.world, 2500);
		a->forget(a, &w.addr[1]);
		ck_assert_uint_eq(w.probe[1]->got_count, (size_t)i + 1);
		ck_assert_uint_eq(w.probe[0]->got_count, (size_t)i + 1);
	}
	nodes_free(&w);
}
END_TEST

START_TEST(ten_megabytes_there_and_back)
{
	static uint8_t big[DK_CARRIER_MESSAGE_MAX + 1];
	struct dk_carrier *a;
	struct nodes w;
	struct outcome o, small;
	uint8_t want[4] = { 0, 0xa0, 0, 0 };

	nodes_make(&w, 2, 3, NULL);
	a = w.probe[0]->carrier;
	memset(big, 'b', sizeof(big));
	ck_assert_int_eq(a->send(a, &w.addr[1], DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, sizeof(big)), DK_RELIABLE), DK_TOO_LONG);
	ck_assert_int_eq(a->send(a, &w.addr[1], DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, 1101), DK_UNRELIABLE), DK_TOO_LONG);
	ck_assert_int_eq(a->send(a, &w.addr[1], DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, 1100), DK_UNRELIABLE), 0);
	ck_assert_int_eq(node_note(&w, 0, 1, "first", DK_RELIABLE), 0);
	ck_assert_int_eq(a->send(a, &w.addr[1], DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, sizeof(big) - 1), DK_RELIABLE), 0);
	ck_assert_int_eq(node_note(&w, 0, 1, "last", DK_RELIABLE), 0);
	dk_sim_run(w.world, 1000);
	ck_assert_str_eq(w.probe[1]->got, "1.8000 first\n1.8000 last\n");
	ck_assert_uint_eq(w.probe[1]->got_bytes, sizeof(big) - 1 + 1100 + 9);
	o = (struct outcome){ 0 };
	ck_assert_int_eq(
		a->request(a, w.probe[0], &w.addr[1], DK_VER_NODE, PROBE_BIG, dk_slice_n(want, 4), 2000, outcome_done, &o, NULL),
		0);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "small", 2000, &small, NULL), 0);
	dk_sim_run(w.world, 1500);
	ck_assert_uint_eq(o.called, 1);
	ck_assert_int_eq(o.status, DK_STATUS_OK);
	ck_assert_uint_eq(o.n, DK_CARRIER_MESSAGE_MAX);
	ck_assert_uint_eq((uint8_t)o.body[100], (uint8_t)(100 * 7));
	ck_assert_str_eq(small.body, "small");
	ck_assert_int_eq(node_counter(&w, 1, "queued"), 0);
	nodes_free(&w);
}
END_TEST

/* Datagrams do not wait behind a long message. */
START_TEST(a_long_message_does_not_hold_up_beats)
{
	static const struct dk_sim_link slow = { .rate_kbit = 40000, .delay_ms = 1 };
	static uint8_t big[DK_CARRIER_MESSAGE_MAX];
	struct dk_carrier *a;
	struct nodes w;

	nodes_make(&w, 2, 3, NULL);
	a = w.probe[0]->carrier;
	ck_assert_int_eq(node_note(&w, 0, 1, "contact", DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 50);
	ck_assert_int_eq(dk_sim_link(w.world, NULL, NULL, &slow), 0);
	ck_assert_int_eq(a->send(a, &w.addr[1], DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, sizeof(big)), DK_RELIABLE), 0);
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(node_note(&w, 0, 1, "beat", DK_UNRELIABLE), 0);
		dk_sim_run(w.world, 250);
	}
	ck_assert_uint_ge(w.probe[1]->got_count, 8);
	ck_assert_uint_lt(w.probe[1]->got_bytes, sizeof(big));
	dk_sim_run(w.world, 2000);
	ck_assert_uint_gt(w.probe[1]->got_bytes, sizeof(big));
	ck_assert_int_eq(node_counter(&w, 0, "links_made"), 1);
	nodes_free(&w);
}
END_TEST

START_TEST(a_full_queue_sheds_broadcasts_first)
{
	static uint8_t big[1 << 20];
	struct dk_carrier *a;
	struct nodes w;
	struct outcome o;
	int sent = 0;

	nodes_make(&w, 2, 3, "queue_limit = 16384;");
	a = w.probe[0]->carrier;
	dk_sim_cut(w.world, ip[0], ip[1], true);
	while (a->send_many(a, &w.addr[1], 1, 0, DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, sizeof(big)), DK_RELIABLE) == 1)
		sent++;
	ck_assert_int_eq(sent, 7);
	ck_assert_int_eq(node_counter(&w, 0, "shed"), 1);
	while (a->send(a, &w.addr[1], DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, sizeof(big)), DK_RELIABLE) == 0)
		sent++;
	ck_assert_int_eq(sent, 13);
	ck_assert_int_eq(a->request(a, w.probe[0], &w.addr[1], DK_VER_NODE, PROBE_ECHO, dk_slice_n(big, sizeof(big)), 0,
				    outcome_done, &o, NULL),
			 DK_FULL);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "small", 0, &o, NULL), 0);
	nodes_free(&w);
}
END_TEST

static struct nodes *cut_off;

static void heal(void *self, struct dk_timer *t)
{
	(void)self;
	(void)t;
	dk_sim_cut(cut_off->world, ip[0], ip[1], false);
}

/* What a module hands over with its last words counts, however long the way; who is not there is not waited for. */
START_TEST(last_words_take_their_time)
{
	struct dk_timer timer = { 0 };
	struct nodes w;
	uint64_t at;

	nodes_make(&w, 2, 3, NULL);
	ck_assert_int_eq(node_note(&w, 0, 1, "hello", DK_RELIABLE), 0);
	dk_sim_run(w.world, 100);
	if (_i) {
		cut_off = &w;
		dk_sim_cut(w.world, ip[0], ip[1], true);
		dk_timer_start(w.probe[1], &timer, 1500, 0, heal);
	} else {
		dk_harness_kill(w.at[1]);
	}
	ck_assert_int_eq(
		w.probe[0]->carrier->send(w.probe[0]->carrier, &w.addr[1], DK_VER_NODE, PROBE_NOTE, text("bye"), DK_RELIABLE), 0);
	at = dk_sim_now(w.world);
	ck_assert_int_eq(dk_harness_free(w.at[0]), 0);
	at = dk_sim_now(w.world) - at;
	w.at[0] = NULL;
	if (_i) {
		dk_sim_run(w.world, 100);
		ck_assert_ptr_nonnull(strstr(w.probe[1]->got, "1.8000 bye\n"));
		ck_assert_uint_ge(at, 1500);
	} else {
		w.at[1] = NULL;
		ck_assert_uint_lt(at, 100);
	}
	nodes_free(&w);
}
END_TEST

START_TEST(a_node_that_stops_says_its_last_words)
{
	struct nodes w;

	nodes_make(&w, 2, 3, NULL);
	ck_assert_int_eq(node_note(&w, 0, 1, "hello", DK_RELIABLE), 0);
	ck_assert_int_eq(node_note(&w, 0, 1, "hello", DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 100);
	ck_assert_int_eq(
		w.probe[0]->carrier->send(w.probe[0]->carrier, &w.addr[1], DK_VER_NODE, PROBE_NOTE, text("bye"), DK_RELIABLE), 0);
	ck_assert_int_eq(
		w.probe[0]->carrier->send(w.probe[0]->carrier, &w.addr[1], DK_VER_NODE, PROBE_NOTE, text("gone"), DK_UNRELIABLE),
		0);
	ck_assert_int_eq(dk_harness_free(w.at[0]), 0);
	w.at[0] = NULL;
	dk_sim_run(w.world, 100);
	ck_assert_ptr_nonnull(strstr(w.probe[1]->got, "1.8000 bye\n"));
	ck_assert_ptr_nonnull(strstr(w.probe[1]->got, "1.8000 gone\n"));
	nodes_free(&w);
}
END_TEST

START_TEST(both_speak_at_once)
{
	struct nodes w;
	struct outcome a, b;

	nodes_make(&w, 2, 3, NULL);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "a", 0, &a, NULL), 0);
		ck_assert_int_eq(node_ask(&w, 1, 0, PROBE_ECHO, "b", 0, &b, NULL), 0);
		ck_assert_int_eq(node_note(&w, 0, 1, "u", DK_UNRELIABLE), 0);
		ck_assert_int_eq(node_note(&w, 1, 0, "u", DK_UNRELIABLE), 0);
		dk_sim_run(w.world, 50);
		ck_assert_uint_eq(a.called, 1);
		ck_assert_uint_eq(b.called, 1);
		ck_assert_uint_eq(w.probe[0]->got_count, (size_t)i + 1);
		ck_assert_uint_eq(w.probe[1]->got_count, (size_t)i + 1);
	}
	nodes_free(&w);
}
END_TEST

static size_t many(struct nodes *w, unsigned fanout, const char *note, unsigned how)
{
	struct dk_carrier *a = w->probe[0]->carrier;

	node_turn(w, 0);
	return a->send_many(a, w->addr, w->n, fanout, DK_VER_NODE, PROBE_NOTE, text(note), how);
}

START_TEST(a_message_to_many_goes_as_a_tree)
{
	struct nodes w;
	int64_t relayed = 0;

	nodes_make(&w, 16, 3, NULL);
	ck_assert_uint_eq(many(&w, 0, "tree", DK_RELIABLE), 4); /* fanout = 4 */
	dk_sim_run(w.world, 200);
	ck_assert_uint_eq(w.probe[0]->got_count, 0); /* not to itself */
	for (size_t i = 1; i < 16; i++) {
		ck_assert_str_eq(w.probe[i]->got, "1.8000 tree\n"); /* once, and from whom it is, not who passed it on */
		relayed += node_counter(&w, i, "relayed");
	}
	ck_assert_int_eq(relayed, 11);
	ck_assert_int_eq(node_counter(&w, 0, "links"), 4);
	ck_assert_uint_eq(many(&w, 2, "two", DK_UNRELIABLE), 2);
	dk_sim_run(w.world, 200);
	for (size_t i = 1; i < 16; i++)
		ck_assert_str_eq(w.probe[i]->got, "1.8000 tree\n1.8000 two\n");
	/* One at a time would take more hops than a message has. */
	ck_assert_uint_eq(many(&w, 1, "one", DK_RELIABLE), 2);
	dk_sim_run(w.world, 200);
	for (size_t i = 1; i < 16; i++)
		ck_assert_uint_eq(w.probe[i]->got_count, 3);
	nodes_free(&w);
}
END_TEST

START_TEST(a_tree_of_long_datagrams_is_wide)
{
	static uint8_t big[DK_CARRIER_DATAGRAM_MAX];
	struct dk_carrier *a;
	struct nodes w;

	nodes_make(&w, 16, 3, NULL);
	a = w.probe[0]->carrier;
	node_turn(&w, 0);
	/* Beside it there is room for one target, or for four: the tree is as wide as it must be. */
	ck_assert_uint_eq(a->send_many(a, w.addr, w.n, 2, DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, sizeof(big)), DK_UNRELIABLE), 8);
	ck_assert_uint_eq(a->send_many(a, w.addr, w.n, 2, DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, 1030), DK_UNRELIABLE), 3);
	dk_sim_run(w.world, 200);
	for (size_t i = 1; i < 16; i++)
		ck_assert_uint_eq(w.probe[i]->got_bytes, sizeof(big) + 1030);
	nodes_free(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mesh links");
	TCase *t = tcase_create("links");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_short_cut_loses_nothing);
	tcase_add_test(t, a_long_cut_drops_what_is_too_old);
	tcase_add_test(t, a_request_that_comes_too_late_is_not_run);
	tcase_add_test(t, what_hung_is_no_sign_of_life);
	tcase_add_test(t, a_handler_may_answer_later);
	tcase_add_test(t, a_cancelled_request_is_not_heard_of_again);
	tcase_add_test(t, a_node_that_began_anew_is_another_node);
	tcase_add_test(t, forgotten_is_forgotten);
	tcase_add_test(t, ten_megabytes_there_and_back);
	tcase_add_test(t, a_long_message_does_not_hold_up_beats);
	tcase_add_test(t, a_full_queue_sheds_broadcasts_first);
	tcase_add_test(t, a_node_that_stops_says_its_last_words);
	tcase_add_loop_test(t, last_words_take_their_time, 0, 2);
	tcase_add_test(t, both_speak_at_once);
	tcase_add_test(t, a_message_to_many_goes_as_a_tree);
	tcase_add_test(t, a_tree_of_long_datagrams_is_wide);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
