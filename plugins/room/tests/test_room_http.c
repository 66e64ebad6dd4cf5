/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms asked for over HTTP: on this node, on others, on none; and what is answered to requests that ask for nothing sensible. */
#include "fabric.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/http.h>

static char answer[4096];

/* Asks node i; the status, and the body in `answer`. */
static int ask(unsigned i, const char *method, const char *path)
{
	const struct dk_addr *addr = dk_harness_addr(fabric[i].h, "http");
	struct dk_sim_tcp *t;
	char text[4096], *at;
	dk_slice bytes;
	int status, n;

	ck_assert_ptr_nonnull(addr);
	n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", method, path);
	ck_assert_int_eq(dk_sim_tcp_connect(fabric_world, "10.9.0.1", addr, NULL, NULL, &t), 0);
	fabric_run(10);
	ck_assert_uint_eq(dk_sim_tcp_send(t, dk_slice_n(text, (size_t)n)), (size_t)n);
	for (int k = 0; k < 700 && !dk_sim_tcp_bytes(t).n; k++)
		fabric_run(10);
	bytes = dk_sim_tcp_bytes(t);
	ck_assert_uint_lt(bytes.n, sizeof(text));
	memcpy(text, bytes.p, bytes.n);
	text[bytes.n] = '\0';
	dk_sim_tcp_close(t, false);
	ck_assert_int_eq(sscanf(text, "HTTP/1.1 %d ", &status), 1);
	at = strstr(text, "\r\n\r\n");
	ck_assert_ptr_nonnull(at);
	snprintf(answer, sizeof(answer), "%s", at + 4);
	return status;
}

static void refused(unsigned i, const char *path, int status, const char *sentence)
{
	ck_assert_int_eq(ask(i, "POST", path), status);
	ck_assert_msg(strstr(answer, sentence) != NULL, "no \"%s\" in: %s", sentence, answer);
}

/* The node that has the room which was answered. */
static int owner(void)
{
	struct dk_id52 id;

	ck_assert_uint_eq(strlen(answer), DK_ID52_LEN);
	memcpy(id.c, answer, DK_ID52_LEN);
	for (unsigned i = 0; i < FABRIC_NODES; i++)
		if (fabric[i].h && fabric[i].rooms->find(fabric[i].rooms, &id)) {
			struct dk_room_info info;

			fabric[i].rooms->info(fabric[i].rooms, fabric[i].rooms->find(fabric[i].rooms, &id), &info);
			ck_assert_uint_eq(info.max_members, 8);
			ck_assert_uint_eq(info.ttl_s, 60);
			ck_assert_uint_eq(info.interval_ms, 100);
			ck_assert_uint_eq(info.members, 0);
			ck_assert(info.allow_empty && !info.owner);
			return (int)i;
		}
	return -1;
}

static void teardown(void)
{
	fabric_close();
}

START_TEST(on_random_nodes)
{
	bool used[FABRIC_NODES] = { false };
	struct player *ann;

	fabric_open(4, 1, "http_create = true", NULL, "http = {}");
	fabric_serves(0, "HTTP");
	fabric_serves(3, "TCP");
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_int_eq(ask(0, "POST", "/room/create/MEM/8/60/100"), 200);
		ck_assert_int_ge(owner(), 1);
		used[owner()] = true;
	}
	ck_assert(used[1] && used[2] && !used[3]);
	ck_assert_int_eq(fabric_count(0, "http_created"), 20);
	/* it is a room like others */
	ann = player_new(owner() == 1 ? 2 : 1, "ann");
	player_send(ann, 1, ROOM_CMD_JOIN, dk_slice_n(answer, DK_ID52_LEN));
	fabric_run(200);
	ck_assert(!strncmp(player_heard(ann), "101 ok ", 7));
	/* the type that only another one has */
	ck_assert_int_eq(ask(0, "POST", "/room/create/TCP/8/60/100"), 200);
	ck_assert_int_eq(owner(), 3);
}
END_TEST

START_TEST(nobody_takes_it)
{
	fabric_open(3, 1, "http_create = true", NULL, "http = {}");
	fabric_serves(0, "HTTP");
	fabric_offline(1);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(ask(0, "POST", "/room/create/MEM/8/60/100"), 200);
		ck_assert_int_eq(owner(), 2);
	}
	refused(0, "/room/create/WS/8/60/100", 503, "no server of type WS takes a new room now; ask again later");
	/* one that does not answer is passed over, and when it was the last one that is said */
	fabric_cut(0, 2, true);
	refused(0, "/room/create/MEM/8/60/100", 503, "no server of type MEM");
	ck_assert_int_eq(fabric_count(0, "http_refused"), 2);
}
END_TEST

START_TEST(alone)
{
	struct dk_harness *h;
	const struct dk_addr *addr;
	struct dk_sim_tcp *t;
	const char *text = "POST /room/create/MEM/8/60/100 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
			   "POST /room/create/UDP/8/60/100 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
	char all[2048];

	fabric_open(1, 1, "", NULL, ""); /* for the world alone */
	h = dk_harness_open(&(const struct dk_harness_opts){
		.config = "plugins = { http = {}; user = {}; mem = {}; room = { http_create = true; }; };",
		.world = fabric_world });
	ck_assert_ptr_nonnull(h);
	addr = dk_harness_addr(h, "http");
	ck_assert_int_eq(dk_sim_tcp_connect(fabric_world, "10.9.0.1", addr, NULL, NULL, &t), 0);
	dk_sim_run(fabric_world, 10);
	dk_sim_tcp_send(t, dk_slice_of(dk_str_c(text)));
	dk_sim_run(fabric_world, 50);
	snprintf(all, sizeof(all), DK_STR_FMT, DK_STR_ARG(dk_str_of(dk_sim_tcp_bytes(t))));
	ck_assert(!strncmp(all, "HTTP/1.1 200 ", 13));
	ck_assert_ptr_nonnull(strstr(all, "HTTP/1.1 404 "));
	ck_assert_ptr_nonnull(strstr(all, "this server has no transport of type UDP, and belongs to no cluster"));
	ck_assert_int_eq(dk_harness_counter(h, "room", "rooms"), 1);
	dk_sim_tcp_close(t, false);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(requests_that_make_no_sense)
{
	fabric_open(2, 1, "http_create = true", NULL, "http = {}");
	refused(0, "/room/create/MEM/1/60/100", 400, "maxMembers is a whole number from 2 to 1000, and \\\"1\\\" is none");
	refused(0, "/room/create/MEM/1001/60/100", 400, "maxMembers is a whole number from 2 to 1000");
	refused(0, "/room/create/MEM/x/60/100", 400, "and \\\"x\\\" is none");
	refused(0, "/room/create/MEM/8/0/100", 400, "ttl is a whole number from 1 to 65535, and \\\"0\\\" is none");
	refused(0, "/room/create/MEM/8/60/-1", 400, "interval is a whole number from 0 to 4294967295");
	refused(0, "/room/create//8/60/100", 400, "serverType is a type of servers, UDP or TCP, of 1 to 32 characters");
	refused(0, "/room/create/abcdefghijklmnopqrstuvwxyz0123456789/8/60/100", 400, "of 1 to 32 characters");
	ck_assert_int_eq(ask(0, "GET", "/room/create/MEM/8/60/100"), 405);
	ck_assert_int_eq(fabric_count(0, "http_refused"), 7);
	ck_assert_int_eq(fabric_count(0, "rooms"), 0);
}
END_TEST

START_TEST(only_by_choice)
{
	fabric_open(1, 1, "", NULL, "http = {}");
	ck_assert_int_eq(ask(0, "POST", "/room/create/MEM/8/60/100"), 404);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("room_http");
	TCase *t = tcase_create("create");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, on_random_nodes);
	tcase_add_test(t, nobody_takes_it);
	tcase_add_test(t, alone);
	tcase_add_test(t, requests_that_make_no_sense);
	tcase_add_test(t, only_by_choice);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
