/* SPDX-License-Identifier: Apache-2.0 */
/* onlinestatus on one node and on three: who is online, until 10 s after the last sign of life; by command and over HTTP. */
#include <diarkis/cluster.h>
#include <diarkis/derror.h>
#include <diarkis/mem_transport.h>
#include <diarkis/room.h>
#include <diarkis/session.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

extern const struct dk_plugin_desc dk_plugin_onlinestatus;

static struct dk_harness *h;

/* What a node answers to GET; its status goes first: "200 {...}". */
static const char *get(struct dk_harness *node, const char *uids)
{
	static char text[8192];
	char request[512];
	struct dk_sim_tcp *t;
	dk_slice bytes;
	const char *body;
	int status, n = snprintf(request, sizeof(request), "GET /onlinestatus/uids/%s HTTP/1.1\r\nHost: a\r\n\r\n", uids);

	ck_assert_int_eq(dk_sim_tcp_connect(dk_harness_world(node), "10.9.0.1", dk_harness_addr(node, "http"), NULL, NULL, &t), 0);
	dk_harness_advance(node, 20);
	ck_assert_uint_eq(dk_sim_tcp_send(t, dk_slice_n(request, (size_t)n)), (size_t)n);
	dk_harness_advance(node, 100);
	bytes = dk_sim_tcp_bytes(t);
	ck_assert_uint_lt(bytes.n, sizeof(text) - 8);
	memcpy(text + 4, bytes.p, bytes.n);
	text[4 + bytes.n] = '\0';
	dk_sim_tcp_close(t, false);
	ck_assert_int_eq(sscanf(text + 4, "HTTP/1.1 %d ", &status), 1);
	body = strstr(text + 4, "\r\n\r\n");
	ck_assert_ptr_nonnull(body);
	n = snprintf(request, sizeof(request), "%d ", status);
	memmove(text + n, body + 4, strlen(body + 4) + 1);
	memcpy(text, request, (size_t)n);
	return text;
}

static void alone(void)
{
	h = dk_harness_new(
		"plugins = { http = { address = \"10.0.0.1\"; }; user = {}; mem = {}; room = {}; session = {}; dive = {};"
		" onlinestatus = {}; };",
		1, &dk_plugin_onlinestatus);
	ck_assert_ptr_nonnull(h);
}

START_TEST(until_ten_seconds_after_the_last_sign)
{
	struct dk_user *user;
	struct dk_mem *mem;
	struct dk_test_user *ann;
	struct dk_mem_client *again;

	alone();
	user = dk_harness_service(h, DK_USER_NAME);
	mem = dk_harness_service(h, DK_MEM_NAME);
	ann = dk_harness_user(h, "ann");
	dk_harness_advance(h, 10);
	ck_assert_str_eq(get(h, "bob,ann"), "200 {\"ann\":{\"InRoom\":false,\"SessionData\":{}}}");
	dk_harness_advance(h, 9000);
	ck_assert_int_eq(mem->connect(mem, user->sid(user, dk_test_user_id(ann)), &again), 0);
	ck_assert_int_eq(mem->echo(mem, again, dk_slice_n(NULL, 0)), 0);
	dk_harness_advance(h, 9000);
	ck_assert_str_eq(get(h, "ann"), "200 {\"ann\":{\"InRoom\":false,\"SessionData\":{}}}");
	dk_harness_advance(h, 2000);
	ck_assert_str_eq(get(h, "ann"), "200 {}");
	mem->free(mem, again);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(rooms_and_sessions)
{
	static const uint8_t asks[] = { 0, 2, 0, 3, 'a', 'n', 'n', 0, 3, 'b', 'o', 'b' };
	struct dk_room_opts opts = { .max_members = 4, .join = true, .ttl_s = 10 };
	struct dk_session_opts session_opts = { .type = 7, .max_members = 2, .ttl_s = 30 };
	struct dk_session_id id;
	struct dk_session *session;
	struct dk_test_user *ann, *bob;
	struct dk_mem *mem;
	struct dk_mem_client *again;
	struct dk_user *user;
	struct dk_room *room;
	struct dk_frame f;
	struct dk_writer w;
	uint8_t bytes[256];
	char want[256];
	dk_id arena;

	alone();
	user = dk_harness_service(h, DK_USER_NAME);
	room = dk_harness_service(h, DK_ROOM_NAME);
	mem = dk_harness_service(h, DK_MEM_NAME);
	session = dk_harness_service(h, DK_SESSION_NAME);
	ann = dk_harness_user(h, "ann");
	bob = dk_harness_user(h, "bob");
	ck_assert_int_eq(room->create(room, dk_test_user_id(ann), &opts, &arena), 0);
	ck_assert_int_eq(session->create(session, dk_test_user_id(ann), &session_opts, &id), 0);
	dk_harness_advance(h, 50);
	ck_assert_int_eq(mem->connect(mem, user->sid(user, dk_test_user_id(ann)), &again), 0);
	ck_assert_int_eq(mem->echo(mem, again, dk_slice_n(NULL, 0)), 0);
	dk_harness_advance(h, 50);
	snprintf(want, sizeof(want), "200 {\"ann\":{\"InRoom\":true,\"SessionData\":{\"7\":\"%.*s\"}}}", (int)sizeof(id.c), id.c);
	ck_assert_str_eq(get(h, "ann"), want);

	ck_assert_int_eq(dk_test_user_send(bob, 2, 500, dk_slice_n(asks, sizeof(asks))), 0);
	ck_assert(dk_test_user_await(bob, 2, 500, &f));
	ck_assert_int_eq(f.status, DK_STATUS_OK);
	w = dk_writer_on(bytes, sizeof(bytes));
	dk_wr_u16(&w, 2);
	dk_wr_u16(&w, 1 + 2 + (2 + 2 + sizeof(id.c) + 1) + 5);
	dk_wr_u8(&w, 1); /* in a room */
	dk_wr_u16(&w, 1);
	dk_wr_u16(&w, 2 + sizeof(id.c) + 1);
	dk_wr_bytes16(&w, dk_slice_n(id.c, sizeof(id.c)));
	dk_wr_u8(&w, 7);
	dk_wr_bytes16(&w, dk_slice_n("ann", 3));
	dk_wr_u16(&w, 1 + 2 + 5);
	dk_wr_u8(&w, 2); /* in none */
	dk_wr_u16(&w, 0);
	dk_wr_bytes16(&w, dk_slice_n("bob", 3));
	ck_assert_uint_eq(f.payload.n, dk_written(&w).n);
	ck_assert_mem_eq(f.payload.p, bytes, f.payload.n);
	mem->free(mem, again);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(refusals)
{
	static const uint8_t none[] = { 0, 0 };
	struct dk_test_user *ann;
	struct dk_frame f;

	alone();
	ann = dk_harness_user(h, "ann");
	ck_assert_int_eq(strncmp(get(h, "1,2,3,4,5,6,7,8,9,10,11"), "400 ", 4), 0);
	ck_assert_int_eq(strncmp(get(h, ""), "400 ", 4), 0);
	ck_assert_int_eq(strncmp(get(h, "1,,2"), "400 ", 4), 0);
	ck_assert_int_eq(dk_test_user_send(ann, 2, 500, dk_slice_n(none, sizeof(none))), 0);
	ck_assert(dk_test_user_await(ann, 2, 500, &f));
	ck_assert_int_eq(f.status, DK_STATUS_BAD);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

/* As a client sees them that is told codes: 30500, the parameters make no sense. */
START_TEST(refusals_have_codes)
{
	static const char *const env[] = { "DIARKIS_USE_STRUCT_ERR=TRUE", NULL };
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_onlinestatus, NULL };
	static const uint8_t none[] = { 0, 0 };
	struct dk_harness_opts o = { .config = "plugins = { user = {}; mem = {}; dive = {}; onlinestatus = {}; };",
				     .plugins = plugins,
				     .seed = 1,
				     .env = env };
	struct dk_error e = { .code = 0 };
	struct dk_test_user *ann;
	struct dk_frame f;

	h = dk_harness_open(&o);
	ck_assert_ptr_nonnull(h);
	ann = dk_harness_user(h, "ann");
	ck_assert_int_eq(dk_test_user_send(ann, 2, 500, dk_slice_n(none, sizeof(none))), 0);
	ck_assert(dk_test_user_await(ann, 2, 500, &f));
	ck_assert_int_eq(f.status, 40);
	ck_assert(dk_error_unpack(f.payload, 32, &e));
	ck_assert_uint_eq(e.code, DK_INVALID_PARAMETERS(500));
	ck_assert_uint_gt(e.text.n, 0);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

/* Three nodes that all keep some; each is asked once, whatever the number of users. */
START_TEST(grouped_by_node)
{
	enum { NODES = 3 };
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_onlinestatus, NULL };
	struct dk_env *world = dk_env_sim(1);
	struct dk_harness *node[NODES + 1];
	char conf[1024], uids[128] = "", address[32];
	int64_t asked = 0;
	const char *text;

	for (unsigned i = 0; i <= NODES; i++) {
		struct dk_harness_opts o = { .config = conf, .plugins = i ? plugins : NULL, .world = world, .address = address };

		snprintf(address, sizeof(address), "10.0.0.%u", i + 1);
		snprintf(
			conf, sizeof(conf),
			"plugins = { mesh = { address = \"%s\"; marsAddress = \"10.0.0.1\"; mesh_insecure = true; }; mars = { %s };"
			" %s };",
			address, i ? "" : "serve = true; address = \"10.0.0.1\";",
			i ? "user = {}; udp = {}; http = {}; dive = {}; onlinestatus = { node_type = \"UDP\"; };" : "");
		node[i] = dk_harness_open(&o);
		ck_assert_ptr_nonnull(node[i]);
	}
	dk_sim_run(world, 6000);
	for (unsigned i = 0; i < 9; i++) {
		struct dk_user *user = dk_harness_service(node[1 + i % NODES], DK_USER_NAME);
		struct dk_credential cred;
		char uid[16];
		dk_id id;

		snprintf(uid, sizeof(uid), "u%u", i);
		snprintf(uids + strlen(uids), sizeof(uids) - strlen(uids), "%s%s", i ? "," : "", uid);
		ck_assert_int_eq(user->create(user, dk_str_c(uid), dk_str_c("UDP"), &cred, &id), 0);
	}
	dk_sim_run(world, 200);
	for (unsigned i = 1; i <= NODES; i++) {
		text = get(node[i], uids);
		for (unsigned k = 0; k < 9; k++) {
			char want[64];

			snprintf(want, sizeof(want), "\"u%u\":{\"InRoom\":false,\"SessionData\":{}}", k);
			ck_assert_msg(strstr(text, want) != NULL, "%s is not in %s", want, text);
		}
		asked += dk_harness_counter(node[i], "onlinestatus", "asked_away");
	}
	ck_assert_int_le(asked, NODES * (NODES - 1));
	ck_assert_int_gt(asked, 0);
	for (unsigned i = NODES + 1; i-- > 0;)
		ck_assert_int_eq(dk_harness_free(node[i]), 0);
	dk_env_free(world);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("onlinestatus");
	TCase *t = tcase_create("onlinestatus");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_test(t, until_ten_seconds_after_the_last_sign);
	tcase_add_test(t, rooms_and_sessions);
	tcase_add_test(t, refusals);
	tcase_add_test(t, refusals_have_codes);
	tcase_add_test(t, grouped_by_node);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
