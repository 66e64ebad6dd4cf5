/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoint API in a simulated node, with the real http and user. The transports are stand-ins that admit and remember, so that
 * roles, addresses and refusals can be chosen.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/http.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include <jansson.h>

/* ---- a transport that only admits ---- */

struct fake_conf {
	const char *role, *host;
	int64_t port, max;
	bool encryption;
};

struct fake {
	struct dk_self base;
	struct dk_transport svc;
	const struct dk_peer_sink *sink;
	uint64_t users[16]; /* by the peer's number; 0 = free */
	struct dk_credential last;
	int64_t n;
};

static struct fake *fake_of(struct dk_transport *t)
{
	return dk_container_of(t, struct fake, svc);
}

static int fake_attach(struct dk_transport *t, const struct dk_peer_sink *sink)
{
	fake_of(t)->sink = sink;
	return 0;
}

static int fake_admit(struct dk_transport *t, const struct dk_credential *cred, uint64_t user, dk_id *ret_peer)
{
	struct fake *f = fake_of(t);

	if (f->n >= ((const struct fake_conf *)f->base.conf)->max)
		return DK_FULL;
	for (size_t i = 1; i < DK_ARRAY_LEN(f->users); i++)
		if (!f->users[i]) {
			f->users[i] = user;
			f->last = *cred;
			f->n++;
			*ret_peer = (dk_id)DK_KIND_PEER << 56 | i;
			return 0;
		}
	return DK_FULL;
}

static void fake_close(struct dk_transport *t, dk_id peer, enum dk_reason reason)
{
	struct fake *f = fake_of(t);
	uint64_t user = f->users[dk_id_slot(peer)];

	if (!user)
		return;
	f->users[dk_id_slot(peer)] = 0;
	f->n--;
	f->sink->closed(f->sink->self, user, peer, reason);
}

static int fake_send(struct dk_transport *t, dk_id peer, const struct dk_frame *frame, unsigned how)
{
	(void)t;
	(void)peer;
	(void)frame;
	(void)how;
	return 0;
}

static void fake_flush(struct dk_transport *t, dk_id peer)
{
	(void)t;
	(void)peer;
}

static int fake_info(struct dk_transport *t, dk_id peer, struct dk_peer_info *ret_info)
{
	(void)t;
	(void)peer;
	memset(ret_info, 0, sizeof(*ret_info));
	return 0;
}

static void fake_endpoint(struct dk_transport *t, const char **ret_host, uint16_t *ret_port)
{
	const struct fake_conf *conf = fake_of(t)->base.conf;

	*ret_host = conf->host;
	*ret_port = (uint16_t)conf->port;
}

static int fake_init(void *self)
{
	struct fake *f = self;
	const struct fake_conf *conf = f->base.conf;

	f->svc.role = f->svc.type = conf->role;
	f->svc.encrypted = conf->encryption;
	f->svc.attach = fake_attach;
	f->svc.admit = fake_admit;
	f->svc.send = fake_send;
	f->svc.flush = fake_flush;
	f->svc.close = fake_close;
	f->svc.info = fake_info;
	f->svc.endpoint = fake_endpoint;
	return 0;
}

static const struct dk_provide fake_provides[] = { DK_PROVIDE(struct fake, svc, DK_TRANSPORT), { .name = NULL } };
static const struct dk_option fake_options[] = {
	DK_STR(struct fake_conf, role, "role", "UDP", "role and type"),
	DK_STR(struct fake_conf, host, "host", "192.0.2.1", "where clients connect"),
	DK_INT(struct fake_conf, port, "port", "7100", 0, 65535, "the same"),
	DK_INT(struct fake_conf, max, "max", "10", 0, 15, "peers at most"),
	DK_BOOL(struct fake_conf, encryption, "enableEncryption", "true", "keys"),
	{ .name = NULL },
};
static const struct dk_ops fake_ops = { .init = fake_init };

DK_PLUGIN(fake) = {
	DK_PLUGIN_HEAD("fake", "1.0.0", "a transport that only admits"),
	.self_size = sizeof(struct fake),
	.conf_size = sizeof(struct fake_conf),
	.provides = fake_provides,
	.options = fake_options,
	.ops = &fake_ops,
};

/* ---- a node and its client ---- */

static struct dk_harness *h;
static struct dk_user *users;

#define UDP "udp = { use = \"fake\"; };"
#define TCP "tcp = { use = \"fake\"; role = \"TCP\"; host = \"2001:db8::1\"; port = 7200; };"

/* http, endpoint: their options. transports: sections. env: one "NAME=value" or NULL. NULL when the node did not start. */
static struct dk_harness *start_with(const char *http, const char *transports, const char *endpoint, const char *env)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_fake, NULL };
	const char *vars[] = { env, NULL };
	struct dk_harness_opts opts = { .plugins = plugins, .env = vars, .seed = 1 };
	char config[1024];

	snprintf(config, sizeof(config), "plugins = { http = { %s }; user = {}; %s endpoint = { %s }; };", http, transports,
		 endpoint);
	opts.config = config;
	h = dk_harness_open(&opts);
	users = h ? dk_harness_service(h, "user") : NULL;
	return h;
}

static struct dk_harness *start(const char *transports, const char *endpoint, const char *env)
{
	return start_with("", transports, endpoint, env);
}

static void stop(void)
{
	uint32_t slot = 0;
	dk_id id;

	/* A node waits for users whose transports never give them up. */
	while ((id = users->next(users, &slot)) != 0)
		users->disconnect(users, id, DK_REASON_SERVER);
	ck_assert_int_eq(dk_harness_free(h), 0);
}

/* Sends one request; its status. The body's JSON: *ret_json, to be freed. */
static int ask(const char *method, const char *path, const char *fields, const char *body, json_t **ret_json)
{
	static char request[80 * 1024];
	struct dk_sim_tcp *t;
	const char *at;
	json_error_t err;
	dk_slice bytes;
	int status, n;

	n = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n%s\r\n%s", method, path,
		     strlen(body), fields, body);
	ck_assert_int_eq(dk_sim_tcp_connect(dk_harness_world(h), "10.9.0.1", dk_harness_addr(h, "http"), NULL, NULL, &t), 0);
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(dk_sim_tcp_send(t, dk_slice_n(request, (size_t)n)), (size_t)n);
	dk_harness_advance(h, 50);
	bytes = dk_sim_tcp_bytes(t);
	ck_assert_uint_lt(bytes.n, sizeof(request));
	memcpy(request, bytes.p, bytes.n);
	request[bytes.n] = '\0';
	dk_sim_tcp_close(t, false);
	ck_assert_int_eq(sscanf(request, "HTTP/1.1 %d ", &status), 1);
	at = strstr(request, "\r\n\r\n");
	ck_assert_ptr_nonnull(at);
	*ret_json = json_loads(at + 4, JSON_REJECT_DUPLICATES, &err);
	ck_assert_msg(*ret_json != NULL, "not JSON: %s", request);
	if (status == 200)
		ck_assert_ptr_nonnull(strstr(request, "Cache-Control: no-store\r\n"));
	return status;
}

static json_t *get(const char *path)
{
	json_t *json;

	ck_assert_int_eq(ask("GET", path, "", "", &json), 200);
	return json;
}

/* Refused with that status and a sentence that holds the word; nobody was made. */
static void refused(const char *method, const char *path, const char *fields, const char *body, int status, const char *word)
{
	size_t before = users->count(users);
	const char *sentence;
	json_t *json;

	ck_assert_int_eq(ask(method, path, fields, body, &json), status);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "status")), status);
	sentence = json_string_value(json_object_get(json, "error"));
	ck_assert_ptr_nonnull(sentence);
	ck_assert_msg(strstr(sentence, word) != NULL, "no \"%s\" in: %s", word, sentence);
	ck_assert_uint_eq(users->count(users), before);
	json_decref(json);
}

static const char *text_in(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	ck_assert_msg(text != NULL, "no %s", key);
	return text;
}

static void is_hex(const json_t *json, const char *key, const uint8_t bytes[16])
{
	char text[33];

	for (int i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	ck_assert_str_eq(text_in(json, key), text);
}

/* The four secrets are those that the transport was given. */
static void is_credential(const json_t *json, const char *instance)
{
	const struct fake *f = dk_plugin_state(dk_harness_kernel(h), instance);

	is_hex(json, "sid", f->last.sid);
	is_hex(json, "encryptionKey", f->last.key);
	is_hex(json, "encryptionIV", f->last.iv);
	is_hex(json, "encryptionMacKey", f->last.mac_key);
}

/* ---- answers ---- */

START_TEST(current_form)
{
	json_t *json;

	ck_assert_ptr_nonnull(start(UDP TCP, "", NULL));
	json = get("/endpoint/type/UDP/user/alice");
	ck_assert_uint_eq(json_object_size(json), 7);
	is_credential(json, "udp");
	ck_assert_str_eq(text_in(json, "serverType"), "UDP");
	ck_assert_str_eq(text_in(json, "serverHost"), "192.0.2.1");
	ck_assert(json_is_integer(json_object_get(json, "serverPort")));
	ck_assert_int_eq(json_integer_value(json_object_get(json, "serverPort")), 7100);
	ck_assert_uint_ne(users->by_uid(users, dk_str_c("alice")), 0);
	json_decref(json);
	json = get("/endpoint/type/TCP/user/b%2Fc%20%C3%A9");
	is_credential(json, "tcp");
	ck_assert_str_eq(text_in(json, "serverHost"), "2001:db8::1");
	ck_assert_uint_ne(users->by_uid(users, dk_str_c("b/c \xc3\xa9")), 0);
	json_decref(json);
	ck_assert_int_eq(dk_harness_counter(h, "endpoint", "created"), 2);
	stop();
}
END_TEST

static void is_v1(json_t *json, const char *instance)
{
	ck_assert_uint_eq(json_object_size(json), 7);
	is_credential(json, instance);
	ck_assert_str_eq(text_in(json, "WS"), "");
	ck_assert_str_eq(text_in(json, "TCP"), "[2001:db8::1]:7200");
	ck_assert_str_eq(text_in(json, "UDP"), "192.0.2.1:7100");
	json_decref(json);
}

START_TEST(v1_form)
{
	json_t *json;

	ck_assert_ptr_nonnull(start(TCP UDP, "", NULL));
	ck_assert_int_eq(ask("GET", "/endpoint/type/TCP/user/a", "responseversion: V1\r\n", "", &json), 200);
	is_v1(json, "tcp");
	ck_assert_int_eq(ask("GET", "/endpoint/type/TCP/user/a", "ResponseVersion: v2\r\n", "", &json), 200);
	ck_assert_str_eq(text_in(json, "serverType"), "TCP");
	json_decref(json);
	is_v1(get("/endpoint/TCP/user/a"), "tcp");
	is_v1(get("/auth/a"), "udp"); /* the first of UDP, TCP */
	stop();
	ck_assert_ptr_nonnull(start(TCP, "force_v1 = true;", NULL));
	json = get("/endpoint/type/TCP/user/a");
	ck_assert_str_eq(text_in(json, "UDP"), "");
	json_decref(json);
	json = get("/auth/b");
	is_credential(json, "tcp");
	json_decref(json);
	stop();
}
END_TEST

START_TEST(without_encryption)
{
	json_t *json;

	ck_assert_ptr_nonnull(start("udp = { use = \"fake\"; enableEncryption = false; };", "enableEncryption = false;", NULL));
	json = get("/endpoint/type/UDP/user/a");
	ck_assert_str_eq(text_in(json, "encryptionKey"), "");
	ck_assert_str_eq(text_in(json, "encryptionIV"), "");
	ck_assert_str_eq(text_in(json, "encryptionMacKey"), "");
	ck_assert_uint_eq(strlen(text_in(json, "sid")), 32);
	json_decref(json);
	stop();
	/* The reference keeps the option among those of its HTTP server; there it does the same. */
	ck_assert_ptr_nonnull(
		start_with("enableEncryption = false;", "udp = { use = \"fake\"; enableEncryption = false; };", "", NULL));
	json = get("/endpoint/type/UDP/user/a");
	ck_assert_str_eq(text_in(json, "encryptionKey"), "");
	json_decref(json);
	stop();
	ck_assert_ptr_null(start_with("enableEncryption = false;", UDP, "", NULL));
	/* Who disagrees does not start. */
	ck_assert_ptr_null(start(UDP, "enableEncryption = false;", NULL));
	ck_assert_ptr_null(start(UDP "t = { use = \"fake\"; role = \"TCP\"; enableEncryption = false; };", "", NULL));
}
END_TEST

START_TEST(the_same_uid_again)
{
	json_t *one, *two;

	ck_assert_ptr_nonnull(start(UDP TCP, "", NULL));
	one = get("/endpoint/type/UDP/user/a");
	two = get("/endpoint/type/UDP/user/a");
	ck_assert_str_ne(text_in(one, "sid"), text_in(two, "sid"));
	ck_assert_str_ne(text_in(one, "encryptionKey"), text_in(two, "encryptionKey"));
	is_credential(two, "udp");
	ck_assert_uint_eq(users->count(users), 1);
	json_decref(one);
	json_decref(two);
	stop();
}
END_TEST

START_TEST(properties)
{
	struct dk_value v;
	json_t *json;
	dk_id id;

	ck_assert_ptr_nonnull(start(UDP, "", NULL));
	ck_assert_int_eq(ask("POST", "/endpoint/type/UDP/user/a", "", "level=1&name=%41", &json), 200);
	json_decref(json);
	id = users->by_uid(users, dk_str_c("a"));
	ck_assert_int_eq(users->get(users, id, dk_str_c("name"), &v), 0);
	ck_assert(v.type == DK_V_STR && dk_str_eq(v.as.s, dk_str_c("%41")));
	ck_assert_int_eq(ask("POST", "/auth/a", "Content-Type: application/json\r\n", "{\"level\":1,\"team\":[1]}", &json), 200);
	json_decref(json);
	id = users->by_uid(users, dk_str_c("a"));
	ck_assert_int_eq(users->get(users, id, dk_str_c("level"), &v), 0);
	ck_assert(v.type == DK_V_INT && v.as.i == 1);
	ck_assert_int_eq(users->get(users, id, dk_str_c("team"), &v), 0);
	ck_assert(v.type == DK_V_STR && dk_str_eq(v.as.s, dk_str_c("[1]")));
	ck_assert_int_eq(users->get(users, id, dk_str_c("name"), &v), DK_NOT_FOUND); /* another user by now */
	refused("POST", "/auth/b", "Content-Type: application/json\r\n", "[]", 400, "object");
	refused("POST", "/auth/b", "", "=x", 400, "name");
	ck_assert_int_eq(dk_harness_counter(h, "endpoint", "refused_body"), 2);
	/* A GET has no properties, whatever it brings along. */
	ck_assert_int_eq(ask("GET", "/auth/b", "", "c=d", &json), 200);
	json_decref(json);
	ck_assert_int_eq(users->get(users, users->by_uid(users, dk_str_c("b")), dk_str_c("c"), &v), DK_NOT_FOUND);
	stop();
}
END_TEST

/* ---- refusals ---- */

START_TEST(refusals)
{
	char path[2048];
	size_t n = (size_t)snprintf(path, sizeof(path), "/endpoint/type/UDP/user/");

	ck_assert_ptr_nonnull(start(UDP "t = { use = \"fake\"; role = \"TCP\"; max = 0; };", "", NULL));
	refused("GET", "/endpoint/type/WS/user/a", "", "", 404, "no server type WS here; known: ");
	refused("GET", "/endpoint/type/udp/user/a", "", "", 404, "UDP");
	ck_assert_int_eq(dk_harness_counter(h, "endpoint", "refused_type"), 2);
	refused("GET", "/endpoint/type/UDP/user/", "", "", 400, "user id");
	refused("GET", "/endpoint/type/UDP/user/a%0ab", "", "", 400, "user id");
	memset(path + n, 'a', DK_UID_MAX + 1);
	path[n + DK_UID_MAX + 1] = '\0';
	refused("GET", path, "", "", 400, "user id");
	ck_assert_int_eq(dk_harness_counter(h, "endpoint", "refused_uid"), 3);
	refused("GET", "/endpoint/type/TCP/user/a", "", "", 503, "full");
	ck_assert_int_eq(dk_harness_counter(h, "endpoint", "refused_full"), 1);
	ck_assert_int_eq(dk_harness_counter(h, "endpoint", "created"), 0);
	stop();
}
END_TEST

START_TEST(client_key)
{
	json_t *json;

	ck_assert_ptr_nonnull(start(UDP, "", "DIARKIS_CLIENT_KEY=open sesame"));
	refused("GET", "/endpoint/type/UDP/user/a", "", "", 400, "missing");
	refused("GET", "/endpoint/type/UDP/user/a", "ClientKey: open sesamf\r\n", "", 400, "another key");
	refused("GET", "/endpoint/type/UDP/user/a", "ClientKey: open\r\n", "", 400, "another key");
	refused("GET", "/endpoint/type/UDP/user/a", "ClientKey:\r\n", "", 400, "another key");
	refused("POST", "/auth/a", "", "a=b", 400, "missing");
	ck_assert_int_eq(dk_harness_counter(h, "endpoint", "refused_client_key"), 5);
	ck_assert_int_eq(ask("GET", "/endpoint/type/UDP/user/a", "clientkey: open sesame\r\n", "", &json), 200);
	json_decref(json);
	stop();
}
END_TEST

START_TEST(offline)
{
	json_t *json;

	ck_assert_ptr_nonnull(start(UDP, "", NULL));
	json_decref(get("/auth/a")); /* the drain waits for this one */
	dk_stop(dk_harness_kernel(h));
	dk_harness_advance(h, 100);
	refused("GET", "/auth/b", "", "", 503, "OFFLINE");
	ck_assert_int_eq(dk_harness_counter(h, "endpoint", "refused_state"), 1);
	ck_assert_int_eq(ask("GET", "/healthcheck", "", "", &json), 503);
	json_decref(json);
	stop();
}
END_TEST

/* HEAD would make a user whose keys nobody sees. Its answer has no body, so it is looked at by its effect. */
START_TEST(head_makes_nobody)
{
	struct dk_sim_tcp *t;
	static const char request[] = "HEAD /auth/a HTTP/1.1\r\nHost: a\r\n\r\n";

	ck_assert_ptr_nonnull(start(UDP, "", NULL));
	ck_assert_int_eq(dk_sim_tcp_connect(dk_harness_world(h), "10.9.0.1", dk_harness_addr(h, "http"), NULL, NULL, &t), 0);
	dk_harness_advance(h, 10);
	dk_sim_tcp_send(t, dk_slice_n(request, sizeof(request) - 1));
	dk_harness_advance(h, 20);
	ck_assert_int_eq(memcmp(dk_sim_tcp_bytes(t).p, "HTTP/1.1 405 ", 13), 0);
	ck_assert_uint_eq(users->count(users), 0);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("endpoint");
	TCase *tc = tcase_create("endpoint");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, current_form);
	tcase_add_test(tc, v1_form);
	tcase_add_test(tc, without_encryption);
	tcase_add_test(tc, the_same_uid_again);
	tcase_add_test(tc, properties);
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, client_key);
	tcase_add_test(tc, offline);
	tcase_add_test(tc, head_makes_nobody);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
