/* SPDX-License-Identifier: Apache-2.0 */
/* The plugin mesh: nodes in one simulated world that speak to each other. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/contract/carrier_nodes.h"

START_TEST(reliable_messages_arrive_in_order)
{
	struct nodes w;

	nodes_make(&w, 2, 1, NULL);
	for (char c = 'a'; c <= 'e'; c++)
		ck_assert_int_eq(node_note(&w, 0, 1, (char[]){ c, 0 }, DK_RELIABLE), 0);
	dk_sim_run(w.world, 100);
	ck_assert_str_eq(w.probe[1]->got, "1.8000 a\n1.8000 b\n1.8000 c\n1.8000 d\n1.8000 e\n");
	ck_assert(dk_addr_eq(&w.probe[1]->from, &w.addr[0]));
	ck_assert_int_eq(node_note(&w, 1, 0, "back", DK_RELIABLE), 0);
	dk_sim_run(w.world, 100);
	ck_assert_str_eq(w.probe[0]->got, "2.8000 back\n");
	ck_assert_int_eq(node_counter(&w, 0, "queued"), 0); /* acknowledged */
	ck_assert_int_eq(node_counter(&w, 1, "queued"), 0);
	nodes_free(&w);
}
END_TEST

START_TEST(datagrams_arrive)
{
	struct nodes w;
	struct dk_carrier *a, *b;

	nodes_make(&w, 2, 1, NULL);
	a = w.probe[0]->carrier;
	b = w.probe[1]->carrier;
	ck_assert_uint_eq(a->heard(a, &w.addr[1]), 0);
	ck_assert_uint_eq(a->boot_of(a, &w.addr[1]), 0);
	ck_assert_int_eq(node_note(&w, 0, 1, "one", DK_UNRELIABLE), 0);
	ck_assert_int_eq(node_note(&w, 0, 1, "two", DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 50);
	ck_assert_str_eq(w.probe[1]->got, "1.8000 one\n1.8000 two\n");
	ck_assert_int_eq(node_counter(&w, 0, "packets_out"), 2); /* HELLO, and both in one */
	ck_assert_uint_eq(a->boot_of(a, &w.addr[1]), b->boot);
	ck_assert_uint_eq(b->boot_of(b, &w.addr[0]), a->boot);
	ck_assert_uint_ne(a->heard(a, &w.addr[1]), 0);
	ck_assert_uint_ne(b->heard(b, &w.addr[0]), 0);
	ck_assert_int_eq(w.probe[0]->links_up, 1);
	ck_assert_int_eq(w.probe[1]->links_up, 1);
	nodes_free(&w);
}
END_TEST

START_TEST(a_request_is_answered)
{
	struct nodes w;
	struct outcome o;

	nodes_make(&w, 2, 1, NULL);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "hello", 500, &o, NULL), 0);
	ck_assert_uint_eq(o.called, 0);
	dk_sim_run(w.world, 50);
	ck_assert_uint_eq(o.called, 1);
	ck_assert_int_eq(o.err, 0);
	ck_assert_int_eq(o.status, DK_STATUS_OK);
	ck_assert_str_eq(o.body, "hello");
	ck_assert_ptr_eq(o.self, &w.probe[0]->base);
	ck_assert_uint_ge(w.probe[1]->deadline, 450);
	ck_assert_uint_le(w.probe[1]->deadline, 500);
	w.probe[1]->refuse = 77;
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "hello", 500, &o, NULL), 0);
	dk_sim_run(w.world, 50);
	ck_assert_int_eq(o.status, DK_STATUS_BAD);
	ck_assert_str_eq(o.body, "not today");
	ck_assert_int_eq(node_ask(&w, 0, 1, 30000, "hello", 500, &o, NULL), 0);
	dk_sim_run(w.world, 50);
	ck_assert_int_eq(o.status, DK_STATUS_BAD);
	ck_assert_int_eq(node_counter(&w, 1, "unknown_command"), 1);
	nodes_free(&w);
}
END_TEST

START_TEST(a_node_speaks_to_itself_in_a_later_turn)
{
	struct nodes w;
	struct outcome o;

	nodes_make(&w, 1, 1, NULL);
	ck_assert_int_eq(node_note(&w, 0, 0, "r", DK_RELIABLE), 0);
	ck_assert_int_eq(node_note(&w, 0, 0, "u", DK_UNRELIABLE), 0);
	ck_assert_int_eq(node_ask(&w, 0, 0, PROBE_ECHO, "me", 0, &o, NULL), 0);
	ck_assert_uint_eq(w.probe[0]->got_count, 0);
	dk_sim_run(w.world, 10);
	ck_assert_str_eq(w.probe[0]->got, "1.8000 r\n1.8000 u\n");
	ck_assert_uint_eq(o.called, 1);
	ck_assert_str_eq(o.body, "me");
	nodes_free(&w);
}
END_TEST

START_TEST(a_second_port_is_served)
{
	struct nodes w;
	struct dk_carrier *a, *b;
	struct dk_addr at;

	nodes_make(&w, 2, 1, NULL);
	a = w.probe[0]->carrier;
	b = w.probe[1]->carrier;
	at = w.addr[1];
	at.port = 6779;
	ck_assert_int_eq(b->serve(b, &at), 0);
	ck_assert_int_eq(b->serve(b, &at), -EADDRINUSE);
	node_turn(&w, 0);
	ck_assert_int_eq(a->send(a, &at, DK_VER_NODE, PROBE_NOTE, text("registry?"), DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 50);
	ck_assert_str_eq(w.probe[1]->got, "1.8000 registry?\n");
	ck_assert_uint_ne(a->heard(a, &at), 0);
	ck_assert_uint_eq(a->boot_of(a, &at), b->boot);
	nodes_free(&w);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mesh");
	TCase *t = tcase_create("words");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 30);
	tcase_add_test(t, reliable_messages_arrive_in_order);
	tcase_add_test(t, datagrams_arrive);
	tcase_add_test(t, a_request_is_answered);
	tcase_add_test(t, a_node_speaks_to_itself_in_a_later_turn);
	tcase_add_test(t, a_second_port_is_served);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
