/* SPDX-License-Identifier: Apache-2.0 */
/* See carrier_contract.h. Each test is a promise of <diarkis/carrier.h>, in the order in which they stand there. */
#include "carrier_contract.h"

#include <errno.h>
#include <stdio.h>

static nodes_config_fn *under_test;
static struct nodes w;

static void serve(size_t n)
{
	nodes_make_of(&w, n, 11, under_test, NULL);
}

static void over(void)
{
	nodes_free(&w);
}

static struct dk_carrier *carrier(size_t i)
{
	return w.probe[i]->carrier;
}

static const char *ip(size_t i)
{
	static const char *const ips[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3" };

	return ips[i];
}

/* Notes are "PORT text" lines; the text of all of them, run together. */
static const char *said(size_t i)
{
	static char all[4096];
	size_t n = 0;

	for (const char *p = w.probe[i]->got; (p = strchr(p, ' ')) && n < sizeof(all) - 200; p++) {
		size_t len = strcspn(p + 1, "\n");

		memcpy(all + n, p + 1, len);
		n += len;
	}
	all[n] = '\0';
	return all;
}

START_TEST(it_has_a_name_and_a_boot)
{
	serve(2);
	ck_assert_uint_eq(carrier(0)->addr.family, 4);
	ck_assert_uint_eq(carrier(0)->addr.ip[3], 1);
	ck_assert_uint_ne(carrier(0)->addr.port, 0);
	ck_assert_uint_ne(carrier(0)->boot, 0);
	ck_assert_uint_ne(carrier(1)->boot, carrier(0)->boot);
	ck_assert(dk_addr_eq(dk_node_addr(w.probe[0]), &carrier(0)->addr));
	over();
}
END_TEST

START_TEST(messages_arrive_once_and_in_order)
{
	static const struct dk_sim_link bad = { .loss = 0.1, .duplicate = 0.1, .reorder = 0.2, .reorder_ms = 20, .delay_ms = 5 };
	char note[8];

	serve(2);
	ck_assert_int_eq(dk_sim_link(w.world, NULL, NULL, &bad), 0);
	for (int i = 0; i < 26; i++) {
		snprintf(note, sizeof(note), "%c", 'a' + i);
		ck_assert_int_eq(node_note(&w, 0, 1, note, DK_RELIABLE), 0);
		dk_sim_run(w.world, 7);
	}
	dk_sim_run(w.world, 3000);
	ck_assert_str_eq(said(1), "abcdefghijklmnopqrstuvwxyz");
	ck_assert(dk_addr_eq(&w.probe[1]->from, &carrier(0)->addr));
	over();
}
END_TEST

START_TEST(unreliable_messages_are_never_doubled)
{
	static const struct dk_sim_link bad = { .loss = 0.2, .duplicate = 0.5, .reorder = 0.2, .reorder_ms = 20, .delay_ms = 5 };
	uint8_t number[4] = { 0 };
	size_t came = 0;

	serve(2);
	ck_assert_int_eq(dk_sim_link(w.world, NULL, NULL, &bad), 0);
	for (unsigned i = 0; i < 1000; i++) {
		number[2] = (uint8_t)(i >> 8);
		number[3] = (uint8_t)i;
		node_turn(&w, 0);
		ck_assert_int_eq(
			carrier(0)->send(carrier(0), &w.addr[1], DK_VER_NODE, PROBE_NOTE, dk_slice_n(number, 4), DK_UNRELIABLE), 0);
		dk_sim_run(w.world, 3);
	}
	dk_sim_run(w.world, 1000);
	for (unsigned i = 0; i < 1000; i++) {
		ck_assert_uint_le(w.probe[1]->seen[i], 1);
		came += w.probe[1]->seen[i];
	}
	ck_assert_uint_ge(came, 600);
	over();
}
END_TEST

START_TEST(a_request_has_one_end)
{
	struct outcome o;

	serve(2);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "hi", 1000, &o, NULL), 0);
	ck_assert_uint_eq(o.called, 0); /* never before request() returns */
	dk_sim_run(w.world, 2000);
	ck_assert_uint_eq(o.called, 1);
	ck_assert_int_eq(o.err, 0);
	ck_assert_int_eq(o.status, DK_STATUS_OK);
	ck_assert_str_eq(o.body, "hi");
	ck_assert_ptr_eq(o.self, &w.probe[0]->base);
	ck_assert_uint_le(w.probe[1]->deadline, 1000); /* it travelled */
	ck_assert_uint_ge(w.probe[1]->deadline, 900);
	w.probe[1]->refuse = 1;
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "hi", 1000, &o, NULL), 0);
	dk_sim_run(w.world, 2000);
	ck_assert_int_eq(o.err, 0);
	ck_assert_int_eq(o.status, DK_STATUS_BAD);
	ck_assert_int_eq(node_ask(&w, 0, 1, 31000, "nobody", 1000, &o, NULL), 0);
	dk_sim_run(w.world, 2000);
	ck_assert_int_eq(o.err, 0);
	ck_assert_int_eq(o.status, DK_STATUS_BAD);
	over();
}
END_TEST

START_TEST(nobody_there)
{
	struct dk_addr nobody = { .ip = { 10, 0, 0, 77 }, .port = 8000, .family = 4 };
	struct outcome o = { 0 };

	serve(1);
	node_turn(&w, 0);
	ck_assert_int_eq(carrier(0)->request(carrier(0), w.probe[0], &nobody, DK_VER_NODE, PROBE_ECHO, text("?"), 700, outcome_done,
					     &o, NULL),
			 0);
	ck_assert_int_eq(carrier(0)->send(carrier(0), &nobody, DK_VER_NODE, PROBE_NOTE, text("?"), DK_RELIABLE), 0);
	ck_assert_int_eq(carrier(0)->send(carrier(0), &nobody, DK_VER_NODE, PROBE_NOTE, text("?"), DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 690);
	ck_assert_uint_eq(o.called, 0);
	dk_sim_run(w.world, 20);
	ck_assert_uint_eq(o.called, 1);
	ck_assert_int_eq(o.err, -EHOSTUNREACH);
	ck_assert_uint_eq(carrier(0)->heard(carrier(0), &nobody), 0);
	ck_assert_uint_eq(carrier(0)->boot_of(carrier(0), &nobody), 0);
	dk_sim_run(w.world, 10000);
	ck_assert_uint_eq(o.called, 1);
	over();
}
END_TEST

START_TEST(what_cannot_be_sent)
{
	static uint8_t big[DK_CARRIER_MESSAGE_MAX + 1];
	struct dk_addr none = { .family = 0 };
	struct dk_carrier *c;
	struct outcome o = { 0 };

	serve(2);
	c = carrier(0);
	ck_assert_int_eq(c->send(c, &none, DK_VER_NODE, PROBE_NOTE, text(""), DK_RELIABLE), -EINVAL);
	ck_assert_int_eq(c->send(c, &none, DK_VER_NODE, PROBE_NOTE, text(""), DK_UNRELIABLE), -EINVAL);
	ck_assert_int_eq(c->request(c, w.probe[0], &none, DK_VER_NODE, PROBE_NOTE, text(""), 0, outcome_done, &o, NULL), -EINVAL);
	ck_assert_int_eq(c->send(c, &w.addr[1], DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, sizeof(big)), DK_RELIABLE), DK_TOO_LONG);
	ck_assert_int_eq(
		c->send(c, &w.addr[1], DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, DK_CARRIER_DATAGRAM_MAX + 1), DK_UNRELIABLE),
		DK_TOO_LONG);
	ck_assert_int_eq(c->request(c, w.probe[0], &w.addr[1], DK_VER_NODE, PROBE_ECHO, dk_slice_n(big, sizeof(big)), 0,
				    outcome_done, &o, NULL),
			 DK_TOO_LONG);
	ck_assert_uint_eq(c->send_many(c, &w.addr[1], 0, 0, DK_VER_NODE, PROBE_NOTE, text(""), DK_RELIABLE), 0);
	ck_assert_uint_eq(c->send_many(c, &w.addr[0], 1, 0, DK_VER_NODE, PROBE_NOTE, text(""), DK_RELIABLE), 0);
	ck_assert_int_eq(c->send(c, &w.addr[1], DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, DK_CARRIER_DATAGRAM_MAX), DK_UNRELIABLE),
			 0);
	ck_assert_int_eq(c->send(c, &w.addr[1], DK_VER_NODE, PROBE_NOTE, dk_slice_n(big, DK_CARRIER_MESSAGE_MAX), DK_RELIABLE), 0);
	node_turn(&w, 0);
	dk_sim_run(w.world, 2000);
	ck_assert_uint_eq(w.probe[1]->got_bytes, DK_CARRIER_DATAGRAM_MAX + DK_CARRIER_MESSAGE_MAX);
	ck_assert_uint_eq(o.called, 0);
	over();
}
END_TEST

START_TEST(to_itself_in_a_later_turn)
{
	struct outcome o;

	serve(1);
	ck_assert_int_eq(node_note(&w, 0, 0, "r", DK_RELIABLE), 0);
	ck_assert_int_eq(node_ask(&w, 0, 0, PROBE_ECHO, "me", 0, &o, NULL), 0);
	ck_assert_uint_eq(w.probe[0]->got_count, 0);
	ck_assert_uint_eq(o.called, 0);
	dk_sim_run(w.world, 100);
	ck_assert_str_eq(said(0), "r");
	ck_assert_str_eq(o.body, "me");
	ck_assert(dk_addr_eq(&w.probe[0]->from, &carrier(0)->addr));
	over();
}
END_TEST

START_TEST(cancelled_is_silent)
{
	struct outcome o, p;
	dk_id a, b;

	serve(2);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "x", 500, &o, &a), 0);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_LATER, "x", 500, &p, &b), 0);
	ck_assert_uint_ne(a, b);
	carrier(0)->cancel(carrier(0), a);
	dk_sim_run(w.world, 100);
	carrier(0)->cancel(carrier(0), b);
	carrier(0)->cancel(carrier(0), b);
	carrier(0)->cancel(carrier(0), 0);
	dk_sim_run(w.world, 2000);
	ck_assert_uint_eq(o.called, 0);
	ck_assert_uint_eq(p.called, 0);
	over();
}
END_TEST

START_TEST(to_many_once_each_and_not_to_itself)
{
	serve(12);
	for (unsigned fanout = 0; fanout < 5; fanout++) {
		node_turn(&w, 0);
		ck_assert_uint_ge(carrier(0)->send_many(carrier(0), w.addr, w.n, fanout, DK_VER_NODE, PROBE_NOTE, text("m"),
							fanout % 2 ? DK_RELIABLE : DK_UNRELIABLE),
				  1);
		dk_sim_run(w.world, 500);
	}
	ck_assert_uint_eq(w.probe[0]->got_count, 0);
	for (size_t i = 1; i < 12; i++) {
		ck_assert_str_eq(said(i), "mmmmm");
		ck_assert(dk_addr_eq(&w.probe[i]->from, &carrier(0)->addr));
	}
	over();
}
END_TEST

START_TEST(heard_of)
{
	uint64_t first;

	serve(2);
	ck_assert_int_eq(node_note(&w, 0, 1, "x", DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 300);
	first = carrier(1)->heard(carrier(1), &w.addr[0]);
	ck_assert_uint_ne(first, 0);
	ck_assert_uint_eq(carrier(1)->boot_of(carrier(1), &w.addr[0]), carrier(0)->boot);
	ck_assert_int_eq(w.probe[1]->links_up, 1);
	ck_assert_int_eq(node_note(&w, 0, 1, "x", DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 300);
	ck_assert_uint_ge(carrier(1)->heard(carrier(1), &w.addr[0]), first + 250);
	carrier(1)->forget(carrier(1), &w.addr[0]);
	ck_assert_uint_eq(carrier(1)->heard(carrier(1), &w.addr[0]), 0);
	ck_assert_int_eq(w.probe[1]->links_down, 1);
	over();
}
END_TEST

START_TEST(another_boot_is_another_node)
{
	char config[1024];
	struct outcome o;
	uint64_t boot;

	serve(2);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_LATER, "x", 20000, &o, NULL), 0);
	dk_sim_run(w.world, 300);
	boot = carrier(1)->boot;
	dk_harness_kill(w.at[1]);
	w.at[1] = NULL;
	under_test(1, NULL, config, sizeof(config));
	ck_assert_ptr_nonnull(node_start(&w, 1, config));
	ck_assert_uint_ne(carrier(1)->boot, boot);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(node_note(&w, 1, 0, "I am new", DK_UNRELIABLE), 0);
		dk_sim_run(w.world, 100);
	}
	ck_assert_uint_eq(carrier(0)->boot_of(carrier(0), &w.addr[1]), carrier(1)->boot);
	ck_assert_uint_eq(o.called, 1);
	ck_assert_int_eq(o.err, -ECONNRESET);
	over();
}
END_TEST

START_TEST(one_more_port)
{
	struct dk_addr at;
	struct outcome o;

	serve(2);
	at = w.addr[1];
	at.port = 6779;
	ck_assert_int_eq(carrier(1)->serve(carrier(1), &at), 0);
	ck_assert_int_eq(carrier(1)->serve(carrier(1), &at), -EADDRINUSE);
	node_turn(&w, 0);
	ck_assert_int_eq(carrier(0)->send(carrier(0), &at, DK_VER_NODE, PROBE_NOTE, text("there?"), DK_UNRELIABLE), 0);
	dk_sim_run(w.world, 300);
	ck_assert_str_eq(said(1), "there?");
	ck_assert(dk_addr_eq(&w.probe[1]->from, &carrier(0)->addr));
	ck_assert_uint_ne(carrier(0)->heard(carrier(0), &at), 0);
	/* What it names itself by is still its own address. */
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "x", 500, &o, NULL), 0);
	dk_sim_run(w.world, 300);
	ck_assert_uint_eq(o.called, 1);
	over();
}
END_TEST

/* Who stops is not called any more; and nothing of it is left behind. */
START_TEST(a_plugin_that_stops_is_not_called)
{
	struct outcome o;

	serve(2);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_LATER, "x", 20000, &o, NULL), 0);
	dk_sim_run(w.world, 300);
	ck_assert_int_eq(dk_harness_free(w.at[0]), 0);
	w.at[0] = NULL;
	ck_assert_uint_eq(o.called, 0);
	dk_call_done(w.probe[1], w.probe[1]->later, 0);
	node_turn(&w, 1);
	dk_sim_run(w.world, 5000);
	ck_assert_uint_eq(o.called, 0);
	over();
}
END_TEST

START_TEST(a_node_that_slept_does_not_run_what_is_late)
{
	struct outcome o;

	serve(2);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "before", 500, &o, NULL), 0);
	dk_sim_run(w.world, 300);
	ck_assert_uint_eq(w.probe[1]->echoes, 1);
	dk_harness_pause(w.at[1], true);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "asleep", 800, &o, NULL), 0);
	dk_sim_run(w.world, 2000);
	ck_assert_uint_eq(o.called, 1);
	ck_assert_int_lt(o.err, 0);
	dk_harness_pause(w.at[1], false);
	dk_sim_run(w.world, 2000);
	ck_assert_uint_eq(w.probe[1]->echoes, 1);
	ck_assert_int_eq(node_ask(&w, 0, 1, PROBE_ECHO, "awake", 1500, &o, NULL), 0);
	dk_sim_run(w.world, 1600);
	ck_assert_str_eq(o.body, "awake");
	over();
}
END_TEST

/* A cut in both ways, and one in each way alone: what was sent across it arrives afterwards, once and in order. */
START_TEST(cuts_that_heal)
{
	char note[8];

	serve(2);
	for (int i = 0; i < 24; i++) {
		if (i == 3 || i == 6)
			dk_sim_cut(w.world, ip(0), ip(1), i == 3);
		if (i == 9 || i == 12)
			dk_sim_cut_way(w.world, ip(0), ip(1), i == 9);
		if (i == 15 || i == 18)
			dk_sim_cut_way(w.world, ip(1), ip(0), i == 15);
		snprintf(note, sizeof(note), "%c", 'a' + i);
		ck_assert_int_eq(node_note(&w, 0, 1, note, DK_RELIABLE), 0);
		dk_sim_run(w.world, 600);
	}
	dk_sim_run(w.world, 3000);
	ck_assert_str_eq(said(1), "abcdefghijklmnopqrstuvwx");
	over();
}
END_TEST

Suite *carrier_contract(const char *name, nodes_config_fn *configure)
{
	Suite *s = suite_create("carrier");
	TCase *t = tcase_create(name);

	under_test = configure;
	tcase_set_timeout(t, 60);
	tcase_add_test(t, it_has_a_name_and_a_boot);
	tcase_add_test(t, messages_arrive_once_and_in_order);
	tcase_add_test(t, unreliable_messages_are_never_doubled);
	tcase_add_test(t, a_request_has_one_end);
	tcase_add_test(t, nobody_there);
	tcase_add_test(t, what_cannot_be_sent);
	tcase_add_test(t, to_itself_in_a_later_turn);
	tcase_add_test(t, cancelled_is_silent);
	tcase_add_test(t, to_many_once_each_and_not_to_itself);
	tcase_add_test(t, heard_of);
	tcase_add_test(t, another_boot_is_another_node);
	tcase_add_test(t, one_more_port);
	tcase_add_test(t, a_plugin_that_stops_is_not_called);
	tcase_add_test(t, a_node_that_slept_does_not_run_what_is_late);
	tcase_add_test(t, cuts_that_heal);
	suite_add_tcase(s, t);
	return s;
}
