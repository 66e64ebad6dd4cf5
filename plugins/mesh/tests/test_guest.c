/* SPDX-License-Identifier: Apache-2.0 */
/* Tools that ask a node: wire/cluster_guest.c against the plugin, over a bare UDP socket. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/contract/carrier_nodes.h"
#include "wire/cluster_guest.h"

struct tool {
	struct nodes w;
	struct wire_guest *g;
	struct dk_sim_udp *udp;
	struct dk_addr node;
};

static int tool_random(void *arg, void *buf, size_t n)
{
	uint8_t *p = buf;

	while (n--)
		*p++ = (uint8_t)dk_sim_chance(arg);
	return 0;
}

static void tool_make(struct tool *t, const char *key, const char *cluster)
{
	struct wire_cluster_opts o = { .random = tool_random, .key_n = 1 };

	nodes_make(&t->w, 1, 1, NULL);
	o.arg = t->w.world;
	o.name = dk_str_c(cluster);
	ck_assert_int_eq(wire_cluster_key_parse(dk_str_c(key), o.key[0]), 0);
	ck_assert_int_eq(wire_guest_new(&o, &t->g), 0);
	ck_assert_int_eq(dk_sim_udp_open(t->w.world, "10.1.0.1:9000", NULL, NULL, &t->udp), 0);
	t->node = t->w.addr[0];
}

static void tool_free(struct tool *t)
{
	dk_sim_udp_close(t->udp);
	wire_guest_free(t->g);
	nodes_free(&t->w);
}

static enum wire_guest_state ask(struct tool *t, uint16_t cmd, dk_slice payload, int *ret_status, dk_slice *ret_body)
{
	uint8_t buf[WIRE_PACKET_MAX];
	enum wire_guest_state state;
	struct dk_addr from;
	dk_slice bytes;
	size_t n;

	ck_assert_int_eq(wire_guest_call(t->g, dk_sim_now(t->w.world), DK_VER_NODE, cmd, payload, 1000), 0);
	while ((state = wire_guest_result(t->g, ret_status, ret_body)) == WIRE_GUEST_WAITS) {
		while ((n = wire_guest_out(t->g, dk_sim_now(t->w.world), buf)))
			dk_sim_udp_send(t->udp, &t->node, dk_slice_n(buf, n));
		ck_assert_uint_le(wire_guest_due(t->g), dk_sim_now(t->w.world) + 200);
		dk_sim_run(t->w.world, 5);
		while (dk_sim_udp_next(t->udp, &from, &bytes))
			wire_guest_in(t->g, dk_sim_now(t->w.world), bytes);
		wire_guest_tick(t->g, dk_sim_now(t->w.world));
	}
	return state;
}

START_TEST(a_guest_asks_what_operators_may_call)
{
	static const uint8_t seven = 7, eight = 8;
	struct tool t;
	dk_slice body;
	int status;

	tool_make(&t, NODES_KEY, "diarkis");
	ck_assert_int_eq(ask(&t, PROBE_TOOL, dk_slice_n(&seven, 1), &status, &body), WIRE_GUEST_ANSWERED);
	ck_assert_int_eq(status, DK_STATUS_OK);
	ck_assert_mem_eq(body.p, &eight, 1);
	ck_assert_uint_eq(body.n, 1);
	ck_assert(wire_guest_reached(t.g));
	/* The same contact again; and what is no operator's business. */
	ck_assert_int_eq(ask(&t, PROBE_TOOL, dk_slice_n(&eight, 1), &status, &body), WIRE_GUEST_ANSWERED);
	ck_assert_int_eq(ask(&t, PROBE_ECHO, dk_slice_n(&eight, 1), &status, &body), WIRE_GUEST_SILENT);
	ck_assert_uint_ge(node_counter(&t.w, 0, "drop_guest"), 1);
	ck_assert_uint_eq(t.w.probe[0]->echoes, 0);
	ck_assert_int_eq(node_counter(&t.w, 0, "peers"), 1); /* itself: a guest is no node */
	tool_free(&t);
}
END_TEST

START_TEST(a_guest_is_answered_over_a_bad_line)
{
	static const struct dk_sim_link bad = { .loss = 0.3, .duplicate = 0.2, .delay_ms = 10 };
	static const uint8_t seven = 7;
	struct tool t;
	dk_slice body;
	int status, answered = 0;

	tool_make(&t, NODES_KEY, "diarkis");
	ck_assert_int_eq(dk_sim_link(t.w.world, NULL, NULL, &bad), 0);
	for (int i = 0; i < 100; i++)
		answered += ask(&t, PROBE_TOOL, dk_slice_n(&seven, 1), &status, &body) == WIRE_GUEST_ANSWERED;
	ck_assert_int_ge(answered, 90);
	/* What was said again ran once. */
	ck_assert_uint_ge(t.w.probe[0]->tools, (unsigned)answered);
	ck_assert_uint_le(t.w.probe[0]->tools, 100);
	ck_assert_int_ge(node_counter(&t.w, 0, "duplicates"), 10);
	tool_free(&t);
}
END_TEST

/* ---- by name ---- */

/* Calls by name, with texts up to NULL; returns what was answered, which stays until the next one. */
static const char *call(struct tool *t, int want, const char *name, ...)
{
	static char said[WIRE_PACKET_MAX];
	uint8_t buf[WIRE_GUEST_PAYLOAD], *n_at;
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	const char *word;
	unsigned n = 0;
	dk_slice body;
	int status = 0;
	va_list ap;

	dk_wr_bytes16(&w, text(name));
	n_at = dk_wr_take(&w, 2);
	va_start(ap, name);
	while ((word = va_arg(ap, const char *))) {
		dk_wr_bytes16(&w, text(word));
		n++;
	}
	va_end(ap);
	n_at[0] = 0;
	n_at[1] = (uint8_t)n;
	ck_assert(!w.bad);
	ck_assert_int_eq(ask(t, 1021, dk_written(&w), &status, &body), WIRE_GUEST_ANSWERED);
	snprintf(said, sizeof(said), DK_STR_FMT, DK_STR_ARG(dk_str_of(body)));
	ck_assert_msg(status == want, "%s: status %d, \"%s\"", name, status, said);
	return said;
}

START_TEST(a_guest_calls_by_name)
{
	struct tool t;

	tool_make(&t, NODES_KEY, "diarkis");
	ck_assert_str_eq(call(&t, DK_STATUS_OK, "probe.tool", "7", NULL), "b=8");
	ck_assert_str_eq(call(&t, DK_STATUS_OK, "mesh.health", NULL), "state=1");
	ck_assert_str_eq(call(&t, DK_STATUS_BAD, "probe.tool", NULL), "probe.tool takes 1 parameters (u8 a), but 0 were given");
	ck_assert_str_eq(call(&t, DK_STATUS_BAD, "probe.tool", "256", NULL),
			 "probe.tool: \"256\" is no u8, which its parameter a wants");
	ck_assert_str_eq(call(&t, DK_STATUS_BAD, "probe.tools", "7", NULL), "this node has no command probe.tools");
	ck_assert_str_eq(call(&t, DK_STATUS_BAD, "probe.echo", "7", NULL), "probe.echo is not for operators");
	ck_assert_str_eq(call(&t, DK_STATUS_BAD, "mesh.call", "probe.tool", "7", NULL), "mesh.call is not for operators");
	ck_assert_uint_eq(t.w.probe[0]->tools, 1);
	ck_assert_uint_eq(t.w.probe[0]->echoes, 0);
	/* What the command itself says no to. */
	t.w.probe[0]->refuse = 5;
	ck_assert_str_eq(call(&t, DK_STATUS_BAD, "probe.tool", "7", NULL), "not today");
	tool_free(&t);
}
END_TEST

START_TEST(answers_to_names_fit_a_datagram)
{
	struct tool t;
	const char *said;

	tool_make(&t, NODES_KEY, "diarkis");
	/* 500 bytes that are no text, as digits. */
	said = call(&t, DK_STATUS_OK, "probe.big", "500", NULL);
	ck_assert_uint_gt(strlen(said), 1000);
	said = call(&t, DK_STATUS_ERR, "probe.big", "1000", NULL);
	ck_assert_ptr_nonnull(strstr(said, "probe.big was done, but its answer has "));
	tool_free(&t);
}
END_TEST

/* The command waits; the guest says its question again and again meanwhile, and is answered once there is an answer. */
START_TEST(a_command_that_takes_its_time)
{
	static const uint8_t ask_later[] = { 0, 11, 'p', 'r', 'o', 'b', 'e', '.', 'l', 'a', 't', 'e', 'r', 0, 1, 0, 1, 'x' };
	uint8_t buf[WIRE_PACKET_MAX];
	struct dk_addr from;
	struct dk_call *inner;
	dk_slice bytes, body;
	struct tool t;
	int status;
	size_t n;

	tool_make(&t, NODES_KEY, "diarkis");
	ck_assert_str_eq(call(&t, DK_STATUS_OK, "probe.tool", "7", NULL), "b=8");
	ck_assert_int_eq(
		wire_guest_call(t.g, dk_sim_now(t.w.world), DK_VER_NODE, 1021, dk_slice_n(ask_later, sizeof(ask_later)), 2000), 0);
	for (int i = 0; i < 200; i++) {
		while ((n = wire_guest_out(t.g, dk_sim_now(t.w.world), buf)))
			dk_sim_udp_send(t.udp, &t.node, dk_slice_n(buf, n));
		dk_sim_run(t.w.world, 5);
	}
	ck_assert_uint_eq(t.w.probe[0]->laters, 1);
	ck_assert(!dk_sim_udp_next(t.udp, &from, &bytes));
	inner = dk_call_get(t.w.probe[0], t.w.probe[0]->later);
	ck_assert_ptr_nonnull(inner);
	dk_answer(inner, text("done"));
	dk_call_done(t.w.probe[0], t.w.probe[0]->later, 0);
	node_turn(&t.w, 0);
	dk_sim_run(t.w.world, 5);
	ck_assert(dk_sim_udp_next(t.udp, &from, &bytes)); /* which gets lost */
	ck_assert(!dk_sim_udp_next(t.udp, &from, &bytes));
	dk_sim_run(t.w.world, 200);
	while ((n = wire_guest_out(t.g, dk_sim_now(t.w.world), buf)))
		dk_sim_udp_send(t.udp, &t.node, dk_slice_n(buf, n));
	dk_sim_run(t.w.world, 5);
	ck_assert(dk_sim_udp_next(t.udp, &from, &bytes));
	wire_guest_in(t.g, dk_sim_now(t.w.world), bytes);
	ck_assert_int_eq(wire_guest_result(t.g, &status, &body), WIRE_GUEST_ANSWERED);
	ck_assert_int_eq(status, DK_STATUS_OK);
	ck_assert(dk_str_eq(dk_str_of(body), dk_str_c("any=done")));
	ck_assert_uint_eq(t.w.probe[0]->laters, 1);
	tool_free(&t);
}
END_TEST

/* Nobody waits for it any more when it is done. */
START_TEST(a_command_that_takes_too_long)
{
	static const uint8_t ask_later[] = { 0, 11, 'p', 'r', 'o', 'b', 'e', '.', 'l', 'a', 't', 'e', 'r', 0, 1, 0, 1, 'x' };
	struct dk_call *inner;
	struct tool t;
	dk_slice body;
	int status;

	tool_make(&t, NODES_KEY, "diarkis");
	ck_assert_int_ne(ask(&t, 1021, dk_slice_n(ask_later, sizeof(ask_later)), &status, &body), WIRE_GUEST_WAITS);
	dk_sim_run(t.w.world, 1000);
	inner = dk_call_get(t.w.probe[0], t.w.probe[0]->later);
	ck_assert_ptr_nonnull(inner);
	dk_answer(inner, text("done"));
	dk_call_done(t.w.probe[0], t.w.probe[0]->later, 0);
	node_turn(&t.w, 0);
	ck_assert_str_eq(call(&t, DK_STATUS_OK, "probe.tool", "7", NULL), "b=8");
	tool_free(&t);
}
END_TEST

START_TEST(a_guest_with_another_key_meets_silence)
{
	static const uint8_t seven = 7;
	struct tool t;
	dk_slice body;
	int status;

	tool_make(&t,
		  "ff"
		  "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		  "diarkis");
	ck_assert_int_eq(ask(&t, PROBE_TOOL, dk_slice_n(&seven, 1), &status, &body), WIRE_GUEST_SILENT);
	ck_assert(!wire_guest_reached(t.g));
	ck_assert_int_ge(node_counter(&t.w, 0, "drop_foreign"), 1);
	ck_assert_int_eq(node_counter(&t.w, 0, "packets_out"), 0);
	tool_free(&t);
}
END_TEST

START_TEST(a_guest_of_another_cluster_meets_silence)
{
	static const uint8_t seven = 7;
	struct tool t;
	dk_slice body;
	int status;

	tool_make(&t, NODES_KEY, "staging");
	ck_assert_int_eq(ask(&t, PROBE_TOOL, dk_slice_n(&seven, 1), &status, &body), WIRE_GUEST_SILENT);
	ck_assert_int_ge(node_counter(&t.w, 0, "drop_cluster"), 1);
	ck_assert_int_eq(node_counter(&t.w, 0, "packets_out"), 0);
	tool_free(&t);
}
END_TEST

/* A node that says that it has this one's address: two of one configuration. */
START_TEST(a_twin_is_refused_and_told_of)
{
	struct wire_cluster_opts o = { .random = tool_random, .key_n = 1, .name = dk_str_c("diarkis"), .boot = 99 };
	uint8_t buf[WIRE_PACKET_MAX];
	struct wire_contact x = { 0 };
	struct wire_cluster *twin;
	struct wire_hello hello;
	struct dk_addr from;
	dk_slice bytes;
	struct tool t;
	uint64_t acked;

	tool_make(&t, NODES_KEY, "diarkis");
	o.arg = t.w.world;
	o.addr = t.node;
	ck_assert_int_eq(wire_cluster_key_parse(dk_str_c(NODES_KEY), o.key[0]), 0);
	ck_assert_int_eq(wire_cluster_new(&o, &twin), 0);
	for (int i = 0; i < 2; i++) {
		wire_contact_fini(&x);
		ck_assert_int_eq(wire_hello_write(twin, 0, 1, 0, &hello), 0);
		dk_sim_udp_send(t.udp, &t.node, dk_slice_n(hello.bytes, WIRE_HELLO_LEN));
		dk_sim_run(t.w.world, 10);
		ck_assert(dk_sim_udp_next(t.udp, &from, &bytes));
		ck_assert_int_eq(wire_welcome_open(twin, &hello, bytes, &acked, &x), WIRE_CLUSTER_PASS);
		dk_sim_udp_send(t.udp, &t.node, dk_slice_n(buf, wire_packet_seal(&x, buf, 0)));
		dk_sim_run(t.w.world, 10);
	}
	ck_assert_int_eq(node_counter(&t.w, 0, "drop_stale"), 2);
	ck_assert(dk_harness_log_has(t.w.at[0], "another node says that it is 10.0.0.1:8000"));
	ck_assert_uint_eq(t.w.probe[0]->carrier->boot_of(t.w.probe[0]->carrier, &t.node), t.w.probe[0]->carrier->boot);
	wire_contact_fini(&x);
	wire_cluster_free(twin);
	tool_free(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("guests");
	TCase *t = tcase_create("guests");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_guest_asks_what_operators_may_call);
	tcase_add_test(t, a_guest_is_answered_over_a_bad_line);
	tcase_add_test(t, a_guest_calls_by_name);
	tcase_add_test(t, answers_to_names_fit_a_datagram);
	tcase_add_test(t, a_command_that_takes_its_time);
	tcase_add_test(t, a_command_that_takes_too_long);
	tcase_add_test(t, a_guest_with_another_key_meets_silence);
	tcase_add_test(t, a_guest_of_another_cluster_meets_silence);
	tcase_add_test(t, a_twin_is_refused_and_told_of);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
