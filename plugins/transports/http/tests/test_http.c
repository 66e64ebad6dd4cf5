/* SPDX-License-Identifier: Apache-2.0 */
/* The server in a simulated node: routes, order of answers, deadlines, limits, and that every refusal is counted. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/http.h>
#include <diarkis/test.h>

#include "plugins/transports/http/http_head.h"

/* ---- a plugin with routes ---- */

struct probe {
	struct dk_self base;
	struct dk_http *http;
	dk_id kept;
	int calls, last; /* last: what the latest answer by id returned */
	uint64_t busy;
	bool hold_ready;
	struct dk_step *ready;
	struct dk_timer timer;
};

struct probe_conf {
	bool hold_ready;
};

static dk_str none(void)
{
	return dk_str_n(NULL, 0);
}

static int on_now(void *self, struct dk_http_request *req)
{
	struct probe *p = self;
	dk_str x = p->http->param(p->http, req, "x"), ask = p->http->header(p->http, req, "X-Ask");
	char body[256];
	int n = snprintf(body, sizeof(body), DK_STR_FMT " " DK_STR_FMT "?" DK_STR_FMT " x=" DK_STR_FMT " ask=" DK_STR_FMT,
			 DK_STR_ARG(req->method), DK_STR_ARG(req->path), DK_STR_ARG(req->query), DK_STR_ARG(x), DK_STR_ARG(ask));

	p->calls++;
	return p->http->respond(p->http, req->id, 200, "text/plain", none(), dk_slice_n(body, (size_t)n));
}

static int on_echo(void *self, struct dk_http_request *req)
{
	struct probe *p = self;

	return p->http->respond(p->http, req->id, 200, "text/plain", dk_str_c("X-Extra: 1\r\n"), req->body);
}

static void answer_kept(void *self, struct dk_timer *t)
{
	struct probe *p = self;

	(void)t;
	p->last = p->http->respond(p->http, p->kept, 200, "text/plain", none(), dk_slice_of(dk_str_c("late")));
}

static int on_later(void *self, struct dk_http_request *req)
{
	struct probe *p = self;

	p->kept = req->id;
	dk_timer_start(p, &p->timer, 100, 0, answer_kept);
	return DK_LATER;
}

static int on_never(void *self, struct dk_http_request *req)
{
	struct probe *p = self;

	p->kept = req->id;
	return DK_LATER;
}

static int on_fail(void *self, struct dk_http_request *req)
{
	(void)self;
	(void)req;
	return -EIO;
}

static int on_silent(void *self, struct dk_http_request *req)
{
	(void)self;
	(void)req;
	return 0;
}

static int on_twice(void *self, struct dk_http_request *req)
{
	struct probe *p = self;
	int rc = p->http->error(p->http, req->id, 418, "a \"pot\"\n");

	p->last = p->http->respond(p->http, req->id, 200, "text/plain", none(), dk_slice_n(NULL, 0));
	return rc;
}

static int on_big(void *self, struct dk_http_request *req)
{
	struct probe *p = self;
	size_t n = 200 * 1024;
	char *body = dk_alloc(p, n);
	int rc;

	memset(body, 'x', n);
	rc = p->http->respond(p->http, req->id, 200, "text/plain", none(), dk_slice_n(body, n));
	dk_free(p, body, n);
	return rc;
}

static int probe_init(void *self)
{
	struct probe *p = self;
	struct dk_http *s = p->http;

	ck_assert_int_eq(s->route(s, p, "GET", "/now/{x=<1>}", "says & tells", on_now), 0);
	ck_assert_int_eq(s->route(s, p, "GET", "/now/fixed", NULL, on_silent), 0);
	ck_assert_int_eq(s->route(s, p, "GET", "/now/{y}", NULL, on_now), DK_EXISTS);
	ck_assert_int_eq(s->route(s, p, "GET", "now", NULL, on_now), -EINVAL);
	ck_assert_int_eq(s->route(s, p, "POST", "/echo", NULL, on_echo), 0);
	ck_assert_int_eq(s->route(s, p, "GET", "/later", NULL, on_later), 0);
	ck_assert_int_eq(s->route(s, p, "GET", "/never", NULL, on_never), 0);
	ck_assert_int_eq(s->route(s, p, "GET", "/fail", NULL, on_fail), 0);
	ck_assert_int_eq(s->route(s, p, "GET", "/silent", NULL, on_silent), 0);
	ck_assert_int_eq(s->route(s, p, "GET", "/twice", NULL, on_twice), 0);
	ck_assert_int_eq(s->route(s, p, "GET", "/big", NULL, on_big), 0);
	return 0;
}

static void probe_ready(void *self, struct dk_step *step)
{
	struct probe *p = self;

	if (((const struct probe_conf *)p->base.conf)->hold_ready)
		p->ready = step;
	else
		dk_step_done(step, 0);
}

static uint64_t probe_busy(void *self, const char **ret_what)
{
	*ret_what = "tests";
	return ((struct probe *)self)->busy;
}

static const struct dk_need probe_needs[] = { DK_NEED(struct probe, http, DK_HTTP), { .name = NULL } };
static const struct dk_option probe_options[] = { DK_BOOL(struct probe_conf, hold_ready, "hold_ready", "false", "wait in ready"),
						  { .name = NULL } };
static const struct dk_ops probe_ops = { .init = probe_init, .ready = probe_ready, .busy = probe_busy };

DK_PLUGIN(probe) = {
	DK_PLUGIN_HEAD("probe", "1.0.0", "routes for tests"),
	.self_size = sizeof(struct probe),
	.conf_size = sizeof(struct probe_conf),
	.needs = probe_needs,
	.options = probe_options,
	.ops = &probe_ops,
};

/* ---- a client ---- */

static struct dk_harness *h;
static struct probe *probe;

static void open_node(const char *http_options)
{
	char config[512];

	snprintf(config, sizeof(config), "plugins = { http = { %s }; probe = {}; };", http_options);
	h = dk_harness_new(config, 1, &dk_plugin_probe);
	ck_assert_ptr_nonnull(h);
	probe = dk_plugin_state(dk_harness_kernel(h), "probe");
}

static void close_node(void)
{
	ck_assert_int_eq(dk_harness_free(h), 0);
}

static struct dk_sim_tcp *dial(const char *from)
{
	struct dk_sim_tcp *t;

	ck_assert_int_eq(dk_sim_tcp_connect(dk_harness_world(h), from, dk_harness_addr(h, "http"), NULL, NULL, &t), 0);
	dk_harness_advance(h, 10);
	return t;
}

static void say(struct dk_sim_tcp *t, const char *text)
{
	size_t n = strlen(text);

	ck_assert_uint_eq(dk_sim_tcp_send(t, dk_slice_n(text, n)), n);
}

/* What came within that time, as a string; valid until the next call. */
static const char *hear(struct dk_sim_tcp *t, uint64_t ms)
{
	static char text[1024 * 1024];
	dk_slice bytes;

	dk_harness_advance(h, ms);
	bytes = dk_sim_tcp_bytes(t);
	ck_assert_uint_lt(bytes.n, sizeof(text));
	memcpy(text, bytes.p ? bytes.p : (const uint8_t *)"", bytes.n);
	text[bytes.n] = '\0';
	dk_sim_tcp_take(t, bytes.n);
	return text;
}

static bool ended(const struct dk_sim_tcp *t)
{
	return dk_sim_tcp_state(t) >= DK_SIM_TCP_ENDED;
}

static const char *ask(const char *text)
{
	struct dk_sim_tcp *t = dial("10.9.0.1");
	const char *answer;

	say(t, text);
	answer = hear(t, 20);
	dk_sim_tcp_close(t, false);
	return answer;
}

static int status_of(const char *answer)
{
	ck_assert_msg(strncmp(answer, "HTTP/1.1 ", 9) == 0, "no answer: %s", answer);
	return (int)strtol(answer + 9, NULL, 10);
}

static const char *body_of(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	ck_assert_ptr_nonnull(end);
	return end + 4;
}

static void has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in:\n%s", part, text);
}

static void has_not(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) == NULL, "\"%s\" in:\n%s", part, text);
}

static int count(const char *text, const char *part)
{
	int n = 0;

	for (; (text = strstr(text, part)) != NULL; text++)
		n++;
	return n;
}

#define REQUEST(line) line " HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET(path) REQUEST("GET " path)
#define POST(fields, body) "POST /echo HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body

/* ---- what is answered ---- */

START_TEST(routes)
{
	const char *a;

	open_node("");
	a = ask(GET("/now/a%2Fb%20c?q=%20"));
	ck_assert_int_eq(status_of(a), 200);
	ck_assert_str_eq(body_of(a), "GET /now/a/b c?q=%20 x=a/b c ask=");
	has(a, "Content-Type: text/plain\r\n");
	has(a, "Connection: keep-alive\r\n");
	has(a, "\r\nDate: ");
	a = ask("GET http://elsewhere/now/1 HTTP/1.1\r\nHost: a\r\nx-aSK: me \r\n\r\n");
	ck_assert_str_eq(body_of(a), "GET /now/1? x=1 ask=me");
	ck_assert_int_eq(status_of(ask(GET("/now/fixed"))), 500); /* the literal segment goes first */
	ck_assert_int_eq(status_of(ask(GET("/now/1/2"))), 404);
	ck_assert_int_eq(status_of(ask(GET("/now"))), 404);
	a = ask(GET("/\"%22"));
	ck_assert_int_eq(status_of(a), 404);
	ck_assert_str_eq(body_of(a), "{\"error\":\"nothing is served at /\\\"\\\"; GET / shows what is\",\"status\":404}\n");
	a = ask(REQUEST("DELETE /now/1"));
	ck_assert_int_eq(status_of(a), 405);
	has(a, "\r\nAllow: GET, HEAD\r\n");
	ck_assert_int_eq(dk_harness_counter(h, "http", "no_route"), 3);
	ck_assert_int_eq(dk_harness_counter(h, "http", "no_method"), 1);
	close_node();
}
END_TEST

START_TEST(head_is_get_without_body)
{
	const char *a;

	open_node("");
	a = ask(REQUEST("HEAD /now/1"));
	ck_assert_int_eq(status_of(a), 200);
	has(a, "Content-Length: 21\r\n");
	ck_assert_str_eq(body_of(a), "");
	ck_assert_int_eq(probe->calls, 1);
	a = ask(REQUEST("HEAD /nowhere"));
	ck_assert_int_eq(status_of(a), 404);
	ck_assert_str_eq(body_of(a), "");
	close_node();
}
END_TEST

START_TEST(handlers_that_misbehave)
{
	const char *a;

	open_node("");
	ck_assert_int_eq(status_of(ask(GET("/fail"))), 500);
	ck_assert(dk_harness_log_has(h, "the handler of GET /fail failed"));
	ck_assert_int_eq(status_of(ask(GET("/silent"))), 500);
	ck_assert(dk_harness_log_has(h, "the handler of GET /silent returned 0 without an answer"));
	a = ask(GET("/twice"));
	ck_assert_int_eq(status_of(a), 418);
	ck_assert_str_eq(body_of(a), "{\"error\":\"a \\\"pot\\\"\\u000a\",\"status\":418}\n");
	ck_assert_int_eq(probe->last, DK_GONE);
	close_node();
}
END_TEST

START_TEST(later_and_never)
{
	struct dk_sim_tcp *t;
	const char *a;

	open_node("timeout = 3;");
	t = dial("10.9.0.1");
	say(t, GET("/later") GET("/now/1"));
	ck_assert_str_eq(hear(t, 50), ""); /* in order: the second one waits */
	a = hear(t, 100);
	ck_assert_int_eq(count(a, "HTTP/1.1 200"), 2);
	ck_assert(strstr(a, "late") < strstr(a, "GET /now/1"));

	say(t, GET("/never") GET("/now/2"));
	ck_assert_str_eq(hear(t, 2900), "");
	a = hear(t, 200);
	ck_assert_int_eq(status_of(a), 503);
	has(a, "GET /now/2");
	answer_kept(probe, NULL);
	ck_assert_int_eq(probe->last, DK_GONE);
	ck_assert_int_eq(dk_harness_counter(h, "http", "answer_late"), 1);

	say(t, GET("/never"));
	hear(t, 10);
	dk_sim_tcp_close(t, true);
	dk_harness_advance(h, 5000);
	answer_kept(probe, NULL);
	ck_assert_int_eq(probe->last, DK_GONE);
	close_node();
}
END_TEST

START_TEST(pipelining)
{
	enum { N = 100 };
	static char text[N * 64];
	struct dk_sim_tcp *t;
	const char *a;
	size_t n = 0;

	open_node("");
	for (int i = 0; i < N; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "GET /now/%d HTTP/1.1\r\nHost: a\r\n\r\n%s", i,
				      i % 7 ? "" : "\r\n");
	t = dial("10.9.0.1");
	say(t, text);
	a = hear(t, 100);
	for (int i = 0; i < N; i++) {
		char part[32];

		snprintf(part, sizeof(part), " x=%d ", i);
		a = strstr(a, part);
		ck_assert_msg(a != NULL, "answer %d is missing or out of order", i);
	}
	/* In one-byte pieces it is the same. */
	for (const char *p = GET("/now/1") GET("/now/2"); *p; p++) {
		dk_sim_tcp_send(t, dk_slice_n(p, 1));
		dk_harness_advance(h, 2);
	}
	ck_assert_int_eq(count(hear(t, 20), "HTTP/1.1 200"), 2);
	dk_sim_tcp_close(t, false);
	close_node();
}
END_TEST

START_TEST(bodies)
{
	static char big[HTTP_BODY_MAX + 200];
	struct dk_sim_tcp *t;
	const char *a;
	int n;

	open_node("");
	a = ask(POST("Content-Length: 3\r\n", "abc"));
	ck_assert_str_eq(body_of(a), "abc");
	has(a, "X-Extra: 1\r\n");
	ck_assert_str_eq(body_of(ask(POST("Transfer-Encoding: chunked\r\n", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"))), "abc");
	ck_assert_str_eq(body_of(ask(POST("", ""))), "");

	t = dial("10.9.0.1");
	say(t, POST("Expect: 100-continue\r\nContent-Length: 3\r\n", ""));
	ck_assert_str_eq(hear(t, 10), "HTTP/1.1 100 Continue\r\n\r\n");
	say(t, "abc" GET("/now/1"));
	a = hear(t, 10);
	ck_assert_int_eq(count(a, "HTTP/1.1 200"), 2);
	has(a, "abc");

	n = snprintf(big, sizeof(big), POST("Content-Length: 65536\r\n", ""));
	memset(big + n, 'y', HTTP_BODY_MAX);
	say(t, big);
	a = hear(t, 100);
	ck_assert_int_eq(status_of(a), 200);
	ck_assert_uint_eq(strlen(body_of(a)), HTTP_BODY_MAX);

	/* Chunks of one byte: six times as much on the wire, but what their sizes took does not pile up. */
	say(t, POST("Transfer-Encoding: chunked\r\n", ""));
	for (n = 0; n < HTTP_BODY_MAX; n++) {
		say(t, "1\r\nz\r\n");
		if (n % 1000 == 0)
			dk_harness_advance(h, 10);
	}
	say(t, "0\r\n\r\n");
	a = hear(t, 100);
	ck_assert_int_eq(status_of(a), 200);
	ck_assert_uint_eq(strlen(body_of(a)), HTTP_BODY_MAX);
	dk_sim_tcp_close(t, false);
	close_node();
}
END_TEST

START_TEST(connections_end)
{
	struct dk_sim_tcp *t;
	const char *a;

	open_node("");
	t = dial("10.9.0.1");
	say(t, "GET /now/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	has(hear(t, 10), "Connection: close\r\n");
	ck_assert(ended(t));
	t = dial("10.9.0.1");
	say(t, "GET /now/1 HTTP/1.0\r\n\r\n");
	has(hear(t, 10), "Connection: close\r\n");
	ck_assert(ended(t));
	t = dial("10.9.0.1");
	say(t, "GET /now/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	has(hear(t, 10), "Connection: keep-alive\r\n");
	ck_assert(!ended(t));
	/* A client that says no more still hears its answer. */
	say(t, GET("/now/2"));
	dk_sim_tcp_end(t);
	has(hear(t, 10), "x=2");
	ck_assert(ended(t));
	/* After a refusal nothing is answered, however much follows, and the connection ends on its own. */
	t = dial("10.9.0.1");
	say(t, "GET / HTTP/1.1\r\n\r\n" GET("/now/1"));
	a = hear(t, 100);
	ck_assert_int_eq(status_of(a), 400);
	ck_assert_int_eq(count(a, "\r\nDate: "), 1);
	ck_assert(!ended(t));
	hear(t, 2000);
	ck_assert(ended(t));
	ck_assert_int_eq(dk_harness_counter(h, "http", "connections"), 0);
	close_node();
}
END_TEST

/* ---- deadlines ---- */

START_TEST(deadlines)
{
	struct dk_sim_tcp *t;

	open_node("idle_s = 30;");
	/* A new connection that says nothing. */
	t = dial("10.9.0.1");
	ck_assert_str_eq(hear(t, 4900), "");
	ck_assert(!ended(t));
	ck_assert_str_eq(hear(t, 200), "");
	ck_assert(ended(t));
	/* One that trickles its head: the deadline does not move. */
	t = dial("10.9.0.1");
	for (int i = 0; i < 48; i++) {
		say(t, i ? "x" : "GET /");
		dk_harness_advance(h, 100);
	}
	ck_assert_str_eq(hear(t, 0), "");
	ck_assert_int_eq(status_of(hear(t, 200)), 408);
	ck_assert_int_eq(dk_harness_counter(h, "http", "head_late"), 1);
	/* On a connection in use it counts from the first byte. */
	t = dial("10.9.0.1");
	say(t, GET("/now/1"));
	ck_assert_int_eq(status_of(hear(t, 20000)), 200);
	say(t, "GET");
	ck_assert_str_eq(hear(t, 4900), "");
	ck_assert_int_eq(status_of(hear(t, 200)), 408);
	/* The body. */
	t = dial("10.9.0.1");
	say(t, POST("Content-Length: 1000\r\n", ""));
	for (int i = 0; i < 98; i++) {
		say(t, "x");
		dk_harness_advance(h, 100);
	}
	ck_assert_str_eq(hear(t, 0), "");
	ck_assert_int_eq(status_of(hear(t, 300)), 408);
	ck_assert_int_eq(dk_harness_counter(h, "http", "body_late"), 1);
	/* Idle between requests. */
	t = dial("10.9.0.1");
	say(t, GET("/now/1"));
	hear(t, 29900);
	ck_assert(!ended(t));
	hear(t, 200);
	ck_assert(ended(t));
	close_node();
}
END_TEST

START_TEST(a_client_that_does_not_read)
{
	struct dk_sim_tcp *t;

	open_node("");
	t = dial("10.9.0.1");
	for (int i = 0; i < 20; i++)
		say(t, GET("/big"));
	dk_harness_advance(h, 9000); /* nothing is taken */
	ck_assert_int_eq(dk_harness_counter(h, "http", "output_late"), 0);
	ck_assert_int_lt(dk_harness_counter(h, "http", "requests"), 20);
	dk_harness_advance(h, 3000);
	ck_assert_int_eq(dk_harness_counter(h, "http", "output_late"), 1);
	ck_assert_int_eq(dk_harness_counter(h, "http", "connections"), 0);
	/* One that reads slowly gets all. */
	t = dial("10.9.0.1");
	for (int i = 0; i < 20; i++)
		say(t, GET("/big"));
	for (int n = 0, i = 0; n < 20; i++) {
		ck_assert_int_lt(i, 1000);
		n += count(hear(t, 100), "HTTP/1.1 200");
	}
	dk_sim_tcp_close(t, false);
	close_node();
}
END_TEST

/* ---- limits ---- */

START_TEST(connections_per_address)
{
	struct dk_sim_tcp *t[4];

	open_node("max_connections_per_address = 3;");
	for (int i = 0; i < 3; i++)
		t[i] = dial("10.9.0.1");
	say(t[0], "GET");
	dk_harness_advance(h, 10);
	dial("10.9.0.2"); /* another address is not concerned */
	ck_assert_int_eq(dk_harness_counter(h, "http", "connections"), 4);
	t[3] = dial("10.9.0.1"); /* the oldest idle one goes: t[1], because t[0] is busy */
	ck_assert(!ended(t[0]) && ended(t[1]) && !ended(t[2]) && !ended(t[3]));
	ck_assert_int_eq(dk_harness_counter(h, "http", "closed_for_others"), 1);
	say(t[2], "GET");
	say(t[3], "GET");
	dk_harness_advance(h, 10);
	t[1] = dial("10.9.0.1");
	has(hear(t[1], 10), "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n");
	ck_assert(ended(t[1]));
	ck_assert_int_eq(dk_harness_counter(h, "http", "refused_address"), 1);
	close_node();
}
END_TEST

START_TEST(connections_in_all)
{
	struct dk_sim_tcp *t[3];

	open_node("max_connections = 2; max_connections_per_address = 1;");
	t[0] = dial("10.9.0.1");
	t[1] = dial("10.9.0.2");
	t[2] = dial("10.9.0.3");
	ck_assert(ended(t[0]) && !ended(t[1]) && !ended(t[2]));
	say(t[1], "GET");
	say(t[2], "GET");
	dk_harness_advance(h, 10);
	t[0] = dial("10.9.0.4");
	ck_assert_int_eq(status_of(hear(t[0], 10)), 503);
	ck_assert_int_eq(dk_harness_counter(h, "http", "refused_connections"), 1);
	/* An address at its limit that is idle makes room for itself. */
	dk_sim_tcp_close(t[1], true);
	dk_harness_advance(h, 10);
	t[0] = dial("10.9.0.5");
	t[1] = dial("10.9.0.5");
	ck_assert(ended(t[0]) && !ended(t[1]));
	close_node();
}
END_TEST

/* Every refusal of the parser arrives at the client with its status, and moves its counter. */
START_TEST(refusals_are_counted)
{
	static const struct {
		const char *counter, *text;
		size_t n;
		int status;
	} cases[] = {
#define CASE(name, status, text) { "refused_" name, text, sizeof(text) - 1, status }
		CASE("control", 400, "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n"),
		CASE("bare_cr", 400, "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n"),
		CASE("bare_lf", 400, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
		CASE("folded", 400, "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"),
		CASE("syntax", 400, "YELL / HTTP/1.1\r\nHost: a\r\n\r\n"),
		CASE("version", 505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
		CASE("host", 400, "GET / HTTP/1.1\r\n\r\n"),
		CASE("length", 400, POST("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "")),
		CASE("expect", 417, POST("Expect: tea\r\n", "")),
		CASE("target", 400, GET("/%zz")),
		CASE("body_long", 413, POST("Content-Length: 65537\r\n", "")),
		CASE("chunks", 400, POST("Transfer-Encoding: chunked\r\n", "1;x=y\r\na\r\n")),
#undef CASE
	};
	char text[HTTP_HEAD_MAX + 1];
	size_t n;

	open_node("");
	for (size_t i = 0; i < DK_ARRAY_LEN(cases); i++) {
		struct dk_sim_tcp *t = dial("10.9.0.1");

		dk_sim_tcp_send(t, dk_slice_n(cases[i].text, cases[i].n));
		ck_assert_msg(status_of(hear(t, 20)) == cases[i].status, "%s", cases[i].counter);
		ck_assert_msg(dk_harness_counter(h, "http", cases[i].counter) == 1, "%s", cases[i].counter);
		dk_sim_tcp_close(t, false);
	}
	n = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < HTTP_FIELDS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "a: b\r\n");
	snprintf(text + n, sizeof(text) - n, "\r\n");
	ck_assert_int_eq(status_of(ask(text)), 431);
	ck_assert_int_eq(dk_harness_counter(h, "http", "refused_fields"), 1);
	memset(text, 'a', sizeof(text) - 1);
	text[HTTP_HEAD_MAX] = '\0';
	ck_assert_int_eq(status_of(ask(text)), 431);
	ck_assert_int_eq(dk_harness_counter(h, "http", "refused_head_long"), 1);
	close_node();
}
END_TEST

/* ---- pages, CORS ---- */

START_TEST(start_page)
{
	const char *a;

	open_node("");
	a = ask(GET("/"));
	ck_assert_int_eq(status_of(a), 200);
	has(a, "Content-Type: text/html; charset=utf-8\r\n");
	has(a, "Content-Security-Policy: default-src 'none';");
	has(a, "routes for tests"); /* a plugin's summary */
	has(a, "says &amp; tells");
	has(a, "/now/{x}");
	has(a, "curl -g http://a/now/&lt;1&gt;\n");
	has(a, "<td>http</td><td>HTTP</td><td><code>127.0.0.1:7000</code>");
	has_not(a, "/silent"); /* a route without help */
	has_not(a, "<script");
	has_not(a, "src=");
	has_not(a, "href=");
	/* A Host that is not one does not get onto the page. */
	a = ask("GET / HTTP/1.1\r\nHost: <b>\r\n\r\n");
	has(a, "curl -g http://127.0.0.1:7000/healthcheck");
	has_not(a, "&lt;b&gt;");
	close_node();
	open_node("start_page = false;");
	ck_assert_int_eq(status_of(ask(GET("/"))), 404);
	close_node();
}
END_TEST

#define FROM(origin) "Origin: " origin "\r\n"
#define PREFLIGHT(origin)                                                                                                          \
	"OPTIONS /echo HTTP/1.1\r\nHost: a\r\n" FROM(origin) "Access-Control-Request-Method: POST\r\n"                             \
							     "Access-Control-Request-Headers: clientkey\r\n\r\n"

START_TEST(cors)
{
	const char *a;

	open_node("");
	a = ask(POST(FROM("https://a.example"), ""));
	has_not(a, "Access-Control");
	ck_assert_int_eq(status_of(ask(PREFLIGHT("https://a.example"))), 405);
	close_node();

	open_node("allow_origin = \"https://a.example https://b.example:8\";");
	has(ask(POST(FROM("https://b.example:8"), "")), "Access-Control-Allow-Origin: https://b.example:8\r\nVary: Origin\r\n");
	has_not(ask(POST(FROM("https://b.example"), "")), "Access-Control");
	has_not(ask(POST("", "")), "Access-Control");
	a = ask(PREFLIGHT("https://a.example"));
	ck_assert_int_eq(status_of(a), 204);
	has(a, "Access-Control-Allow-Methods: POST\r\n");
	has(a, "Access-Control-Allow-Headers: clientkey\r\n");
	has_not(a, "Content-Length");
	ck_assert_int_eq(status_of(ask(PREFLIGHT("https://c.example"))), 405);
	close_node();

	open_node("allow_origin = \"*\";");
	has(ask(POST(FROM("https://c.example"), "")), "Access-Control-Allow-Origin: *\r\n");
	close_node();
}
END_TEST

/* ---- life ---- */

START_TEST(before_and_after)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, NULL };
	struct dk_harness_opts opts = {
		.config = "plugins = { http = {}; probe = { hold_ready = true; }; };", .plugins = plugins, .seed = 1, .stay = true
	};
	struct dk_sim_tcp *t;
	const char *a;

	h = dk_harness_open(&opts);
	ck_assert_ptr_nonnull(h);
	ck_assert_int_eq(dk_begin(dk_harness_kernel(h)), 0);
	dk_harness_advance(h, 10);
	probe = dk_plugin_state(dk_harness_kernel(h), "probe");
	ck_assert_int_eq(status_of(ask(GET("/healthcheck"))), 503);
	ck_assert_int_eq(dk_harness_counter(h, "http", "not_started"), 1);
	dk_step_done(probe->ready, 0);
	dk_harness_advance(h, 10);
	a = ask(GET("/healthcheck"));
	ck_assert_int_eq(status_of(a), 200);
	ck_assert_str_eq(body_of(a), "{\"state\":\"ONLINE\"}\n");

	t = dial("10.9.0.1");
	say(t, GET("/never"));
	hear(t, 10);
	probe->busy = 1;
	dk_stop(dk_harness_kernel(h));
	dk_harness_advance(h, 100);
	a = ask(GET("/healthcheck"));
	ck_assert_int_eq(status_of(a), 503);
	has(a, "OFFLINE");
	has(a, "Connection: close\r\n");
	ck_assert_int_eq(status_of(ask(GET("/now/1"))), 200); /* what is not new goes on */
	probe->busy = 0;
	a = hear(t, 1000);
	ck_assert_int_eq(status_of(a), 503); /* nobody is left without an answer */
	has(a, "shutting down");
	close_node();
}
END_TEST

START_TEST(addresses)
{
	h = dk_harness_new("plugins = { http = {}; b = { use = \"http\"; }; };", 1);
	ck_assert_ptr_nonnull(h);
	ck_assert_uint_eq(dk_harness_addr(h, "b")->port + dk_harness_addr(h, "http")->port, 7000 + 7001);
	close_node();
	h = dk_harness_new("plugins = { http = { address = \"\"; port = \"7005\"; }; };", 1); /* that of eth0 */
	ck_assert_ptr_nonnull(h);
	ck_assert_uint_eq(dk_harness_addr(h, "http")->port, 7005);
	ck_assert_uint_eq(dk_harness_addr(h, "http")->ip[0], 10);
	ck_assert(!dk_harness_log_has(h, "may be reached from anywhere"));
	close_node();
	h = dk_harness_new("plugins = { http = { address = \"0.0.0.0\"; }; };", 1);
	ck_assert_ptr_nonnull(h);
	ck_assert(dk_harness_log_has(h, "may be reached from anywhere"));
	close_node();
}
END_TEST

static const char *const misconfigured[] = {
	"http = { useFixedPort = true; }; b = { use = \"http\"; useFixedPort = true; };",
	"http = { address = \"localhost:x\"; };",
	"http = { address = \"\"; nic = \"eth9\"; };",
	"http = { port = 70000; };",
};

START_TEST(misconfigurations)
{
	char config[256];

	snprintf(config, sizeof(config), "plugins = { %s };", misconfigured[_i]);
	ck_assert_ptr_null(dk_harness_new(config, 1));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http");
	TCase *tc = tcase_create("server");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, routes);
	tcase_add_test(tc, head_is_get_without_body);
	tcase_add_test(tc, handlers_that_misbehave);
	tcase_add_test(tc, later_and_never);
	tcase_add_test(tc, pipelining);
	tcase_add_test(tc, bodies);
	tcase_add_test(tc, connections_end);
	tcase_add_test(tc, deadlines);
	tcase_add_test(tc, a_client_that_does_not_read);
	tcase_add_test(tc, connections_per_address);
	tcase_add_test(tc, connections_in_all);
	tcase_add_test(tc, refusals_are_counted);
	tcase_add_test(tc, start_page);
	tcase_add_test(tc, cors);
	tcase_add_test(tc, before_and_after);
	tcase_add_test(tc, addresses);
	tcase_add_loop_test(tc, misconfigurations, 0, (int)DK_ARRAY_LEN(misconfigured));
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
