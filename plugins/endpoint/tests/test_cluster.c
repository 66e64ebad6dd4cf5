/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoint API of a node that has no transport of its own: users are made on other nodes, and whatever those say or do not say
 * is answered for. The nodes are real ones with UDP, their carrier is the tests' own.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/http.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include <jansson.h>

#include "fake_cluster.h"

enum { NODES = 3 };

static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_fake_cluster, NULL };
static struct dk_env *world;
static struct dk_harness *http, *nodes[NODES];

static void start_http(const char *endpoint, const char *more)
{
	char config[512];

	snprintf(config, sizeof(config),
		 "plugins = { http = { address = \"10.0.0.1\"; }; user = {}; endpoint = { %s }; fake_cluster = {}; %s };", endpoint,
		 more);
	http = dk_harness_open(&(const struct dk_harness_opts){ .config = config, .plugins = plugins, .world = world });
	ck_assert_ptr_nonnull(http);
}

/* The node of number i is 10.0.0.(i + 2). */
static void start_node(size_t i, const char *user, const char *transports)
{
	char config[512];

	snprintf(config, sizeof(config), "plugins = { user = { %s }; fake_cluster = { address = \"10.0.0.%zu\"; }; %s };", user,
		 i + 2, transports);
	nodes[i] = dk_harness_open(&(const struct dk_harness_opts){ .config = config, .plugins = plugins, .world = world });
	ck_assert_ptr_nonnull(nodes[i]);
}

static void setup(void)
{
	world = dk_env_sim(1);
	fake_net_reset(world);
	start_http("", "");
	start_node(0, "", "udp = { address = \"10.0.0.2\"; }; tcp = { address = \"10.0.0.2\"; };");
	start_node(1, "", "udp = { address = \"10.0.0.3\"; };");
}

static void stop(struct dk_harness **h)
{
	struct dk_user *users;
	uint32_t slot = 0;
	dk_id id;

	if (!*h)
		return;
	users = dk_harness_service(*h, DK_USER_NAME);
	while (!dk_finished(dk_harness_kernel(*h), NULL) && (id = users->next(users, &slot)) != 0)
		users->disconnect(users, id, DK_REASON_SERVER);
	ck_assert_int_eq(dk_harness_free(*h), 0);
	*h = NULL;
}

static void teardown(void)
{
	fake_net.lose = NULL;
	stop(&http);
	for (size_t i = 0; i < NODES; i++)
		stop(&nodes[i]);
	dk_sim_run(world, 100);
	dk_env_free(world);
}

/* ---- requests ---- */

static int ask(const char *method, const char *path, const char *fields, const char *body, json_t **ret_json)
{
	char text[8192];
	struct dk_sim_tcp *t;
	dk_slice bytes;
	const char *at;
	int status, n;

	n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n%s\r\n%s", method, path, strlen(body),
		     fields, body);
	ck_assert_int_eq(dk_sim_tcp_connect(world, "10.9.0.1", dk_harness_addr(http, "http"), NULL, NULL, &t), 0);
	dk_sim_run(world, 10);
	ck_assert_uint_eq(dk_sim_tcp_send(t, dk_slice_n(text, (size_t)n)), (size_t)n);
	for (int i = 0; i < 500 && !dk_sim_tcp_bytes(t).n; i++)
		dk_sim_run(world, 10);
	bytes = dk_sim_tcp_bytes(t);
	ck_assert_uint_lt(bytes.n, sizeof(text));
	memcpy(text, bytes.p, bytes.n);
	text[bytes.n] = '\0';
	dk_sim_tcp_close(t, false);
	ck_assert_int_eq(sscanf(text, "HTTP/1.1 %d ", &status), 1);
	at = strstr(text, "\r\n\r\n");
	*ret_json = json_loads(at + 4, 0, NULL);
	ck_assert_msg(*ret_json != NULL, "not JSON: %s", text);
	return status;
}

static json_t *get(const char *path)
{
	json_t *json;
	int status = ask("GET", path, "", "", &json);

	ck_assert_msg(status == 200, "%d: %s", status, json_string_value(json_object_get(json, "error")));
	return json;
}

static void refused(const char *path, int status, const char *word)
{
	const char *sentence;
	json_t *json;

	ck_assert_int_eq(ask("GET", path, "", "", &json), status);
	sentence = json_string_value(json_object_get(json, "error"));
	ck_assert_ptr_nonnull(sentence);
	ck_assert_msg(strstr(sentence, word) != NULL, "no \"%s\" in: %s", word, sentence);
	json_decref(json);
}

static const char *text_in(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	ck_assert_msg(text != NULL, "no %s", key);
	return text;
}

static dk_id find(size_t i, const char *uid)
{
	struct dk_user *users = dk_harness_service(nodes[i], DK_USER_NAME);

	return users->by_uid(users, dk_str_c(uid));
}

static int64_t counter(const char *name)
{
	return dk_harness_counter(http, "endpoint", name);
}

static void set_taken(size_t i, bool taken)
{
	dk_set_taken(dk_plugin_state(dk_harness_kernel(nodes[i]), "fake_cluster"), taken);
}

/* ---- where users are made ---- */

START_TEST(on_another_node)
{
	struct dk_user *users = dk_harness_service(nodes[0], DK_USER_NAME);
	struct dk_value v;
	json_t *json;
	char sid[33];
	dk_id id;

	json = get("/endpoint/type/UDP/user/a");
	ck_assert_uint_eq(json_object_size(json), 7);
	ck_assert_str_eq(text_in(json, "serverHost"), "10.0.0.2");
	ck_assert_int_eq(json_integer_value(json_object_get(json, "serverPort")), 7100);
	ck_assert_str_eq(text_in(json, "serverType"), "UDP");
	ck_assert_uint_eq(strlen(text_in(json, "encryptionKey")), 32);
	id = find(0, "a");
	ck_assert_uint_ne(id, 0);
	for (int i = 0; i < 16; i++)
		snprintf(sid + 2 * i, 3, "%02x", users->sid(users, id)[i]);
	ck_assert_str_eq(text_in(json, "sid"), sid);
	json_decref(json);

	json = get("/endpoint/type/UDP/user/b"); /* the other one has fewer users now */
	ck_assert_str_eq(text_in(json, "serverHost"), "10.0.0.3");
	json_decref(json);
	ck_assert_int_eq(ask("POST", "/endpoint/type/TCP/user/c", "Content-Type: application/json\r\nResponseVersion: v1\r\n",
			     "{\"level\":-3,\"name\":\"x\",\"ok\":true,\"f\":0.5}", &json),
			 200);
	ck_assert_str_eq(text_in(json, "TCP"), "10.0.0.2:7200");
	ck_assert_str_eq(text_in(json, "UDP"), "10.0.0.2:7100");
	ck_assert_str_eq(text_in(json, "WS"), "");
	json_decref(json);
	id = find(0, "c");
	ck_assert_int_eq(users->get(users, id, dk_str_c("level"), &v), 0);
	ck_assert(v.type == DK_V_INT && v.as.i == -3);
	ck_assert_int_eq(users->get(users, id, dk_str_c("name"), &v), 0);
	ck_assert(v.type == DK_V_STR && dk_str_eq(v.as.s, dk_str_c("x")));
	ck_assert_int_eq(users->get(users, id, dk_str_c("ok"), &v), 0);
	ck_assert(v.type == DK_V_BOOL && v.as.b);
	ck_assert_int_eq(users->get(users, id, dk_str_c("f"), &v), 0);
	ck_assert(v.type == DK_V_F64 && v.as.f == 0.5);
	json = get("/auth/d"); /* names no type: UDP's */
	ck_assert_str_eq(text_in(json, "UDP"), "10.0.0.3:7100");
	json_decref(json);
	ck_assert_uint_ne(find(1, "d"), 0);
	ck_assert_int_eq(counter("created"), 4);
	refused("/endpoint/type/UDP/user/a%0ab", 400, "user id");
}
END_TEST

START_TEST(on_this_node)
{
	json_t *json;

	stop(&http);
	fake_net_reset(world);
	start_http("", "udp = { address = \"10.0.0.1\"; };");
	json = get("/endpoint/type/UDP/user/a");
	ck_assert_str_eq(text_in(json, "serverHost"), "10.0.0.1");
	json_decref(json);
	ck_assert_uint_eq(fake_net.sent[82], 0);
}
END_TEST

START_TEST(nobody_takes_users)
{
	refused("/endpoint/type/ZEPPELIN/user/a", 503, "no server of type ZEPPELIN is in the cluster");
	set_taken(0, true);
	set_taken(1, true);
	refused("/endpoint/type/UDP/user/a", 503, "of 2 that are there 2 are TAKEN and 0 OFFLINE");
	ck_assert_int_eq(counter("refused_none"), 2);
	set_taken(1, false);
	json_decref(get("/endpoint/type/UDP/user/a"));
	ck_assert_uint_ne(find(1, "a"), 0);
}
END_TEST

static unsigned lost;

static bool lose_first(uint16_t cmd)
{
	return cmd == 82 && lost++ == 0;
}

static bool lose_all(uint16_t cmd)
{
	return cmd == 82;
}

START_TEST(no_answer)
{
	json_t *json;

	lost = 0;
	fake_net.lose = lose_first;
	json = get("/endpoint/type/UDP/user/a");
	ck_assert_str_eq(text_in(json, "serverHost"), "10.0.0.3");
	json_decref(json);
	ck_assert_int_eq(counter("second_try"), 1);
	fake_net.lose = lose_all;
	refused("/endpoint/type/UDP/user/b", 504, "did not answer");
	ck_assert_int_eq(counter("no_answer"), 1);
	ck_assert_int_eq(counter("second_try"), 2);
}
END_TEST

START_TEST(refused_by_one)
{
	json_t *json;

	stop(&nodes[0]);
	stop(&nodes[1]);
	start_node(0, "max_users = 1;", "udp = { address = \"10.0.0.2\"; };");
	start_node(1, "max_users = 2;", "udp = { address = \"10.0.0.3\"; };");
	for (int i = 0; i < 3; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/endpoint/type/UDP/user/u%d", i);
		json = get(path);
		json_decref(json);
	}
	refused("/endpoint/type/UDP/user/more", 503, "is full");
	ck_assert_int_ge(counter("second_try"), 1);
	ck_assert_int_eq(counter("refused_full"), 1);
}
END_TEST

START_TEST(one_with_keys_and_one_without)
{
	stop(&nodes[0]);
	stop(&nodes[1]);
	start_node(0, "", "udp = { address = \"10.0.0.2\"; enableEncryption = false; };");
	refused("/endpoint/type/UDP/user/a", 503, "enableEncryption differs between this server and node 10.0.0.2:8000");
	ck_assert(dk_harness_log_has(http, "enableEncryption is true here and false on node 10.0.0.2:8000"));
	ck_assert_int_eq(counter("mismatch"), 1);
	ck_assert_uint_eq(find(0, "a"), 0);
}
END_TEST

/* The server goes down while a node is asked: nothing is left over. */
START_TEST(stopped_meanwhile)
{
	static const char request[] = "GET /endpoint/type/UDP/user/a HTTP/1.1\r\nHost: a\r\n\r\n";
	struct dk_sim_tcp *t;

	ck_assert_int_eq(dk_sim_tcp_connect(world, "10.9.0.1", dk_harness_addr(http, "http"), NULL, NULL, &t), 0);
	dk_sim_run(world, 10);
	fake_net.delay_ms = 1000;
	dk_sim_tcp_send(t, dk_slice_n(request, sizeof(request) - 1));
	dk_sim_run(world, 10);
	ck_assert_uint_eq(fake_net.sent[82], 1);
	stop(&http);
	dk_sim_run(world, 2000);
}
END_TEST

/* ---- pages ---- */

static void expect_counts(const char *role, int online, int taken, int offline)
{
	char path[64];
	json_t *json;

	snprintf(path, sizeof(path), "/state/noderole/%s", role);
	json = get(path);
	ck_assert_str_eq(text_in(json, "role"), role);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "onlineCnt")), online);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "takenCnt")), taken);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "offlineCnt")), offline);
	ck_assert(json_is_integer(json_object_get(json, "suspectCnt")) && json_is_integer(json_object_get(json, "deadCnt")));
	json_decref(json);
}

START_TEST(nodes_of_a_role)
{
	expect_counts("UDP", 2, 0, 0);
	expect_counts("TCP", 1, 0, 0);
	expect_counts("WS", 0, 0, 0);
	set_taken(0, true);
	expect_counts("UDP", 1, 1, 0);
	json_decref(get("/endpoint/type/UDP/user/a")); /* the drain waits for this one */
	dk_stop(dk_harness_kernel(nodes[1]));
	dk_sim_run(world, 10);
	expect_counts("UDP", 0, 1, 1);
}
END_TEST

START_TEST(debug_api)
{
	json_t *json, *list;

	ck_assert_int_eq(ask("GET", "/debug/server/list/type/UDP", "", "", &json), 404);
	json_decref(json);
	stop(&http);
	start_http("debug_api = true;", "");
	json = get("/debug/server/list/type/UDP");
	list = json_object_get(json, "servers");
	ck_assert_uint_eq(json_array_size(list), 2);
	ck_assert_str_eq(text_in(json_array_get(list, 0), "address"), "10.0.0.2:8000");
	ck_assert_str_eq(text_in(json_array_get(list, 0), "endpoint"), "10.0.0.2:7100");
	ck_assert_str_eq(text_in(json_array_get(list, 0), "state"), "ONLINE");
	ck_assert_str_eq(text_in(json_array_get(list, 0), "health"), "alive");
	json_decref(json);
	for (int i = 0; i < 2; i++) {
		json = get("/debug/endpoint/type/UDP/user/a/address/10.0.0.3:8000");
		ck_assert_str_eq(text_in(json, "serverHost"), "10.0.0.3");
		json_decref(json);
	}
	ck_assert_int_eq(ask("POST", "/debug/endpoint/type/UDP/user/b/address/10.0.0.3:7100", "", "a=b", &json), 200);
	json_decref(json);
	ck_assert_uint_ne(find(1, "b"), 0);
	refused("/debug/endpoint/type/UDP/user/b/address/10.9.9.9:7100", 404, "10.9.9.9:7100");
	fake_net.lose = lose_all;
	refused("/debug/endpoint/type/UDP/user/c/address/10.0.0.3:8000", 504,
		"10.0.0.3:8000 did not answer"); /* and no other is tried */
	ck_assert_int_eq(counter("second_try"), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("endpoint of a cluster");
	TCase *t = tcase_create("nodes");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, on_another_node);
	tcase_add_test(t, on_this_node);
	tcase_add_test(t, nobody_takes_users);
	tcase_add_test(t, no_answer);
	tcase_add_test(t, refused_by_one);
	tcase_add_test(t, one_with_keys_and_one_without);
	tcase_add_test(t, stopped_meanwhile);
	tcase_add_test(t, nodes_of_a_role);
	tcase_add_test(t, debug_api);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
