/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The poll API and the libuv driver over real sockets on loopback, against a scripted server in the same thread that is pumped by
 * hand. Every wait is for an event, with a limit of whole seconds.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <diarkis/client.h>
#include <diarkis/client_http.h>
#include <diarkis/client_uv.h>

#include "wire/peer.h"
#include "wire/stream.h"

struct server {
	bool tcp;
	int fd, conn;
	uint16_t port;
	struct wire_ctx *ctx;
	struct wire_peer peer;
	struct wire_stream stream;
	uint8_t rest[200000];
	size_t rest_n;
	const char *send_to; /* where to send the client, when not NULL, at the first frame of ver 2 */
	const char *backup; /* what is answered to room.backups; NULL: the server is alone */
	uint32_t frames, locals;
	bool dead, ended; /* ended: the client shut down its side */
};

#define ROOM "1111111111111111aaaaaaaaaaaabbbbbbbbbbbbcccccccccccc"

static struct dkc_endpoint endpoint;
static char log_text[8192];
static size_t log_n;

static void say(const char *text)
{
	log_n += (size_t)snprintf(log_text + log_n, sizeof(log_text) - log_n, "%s ", text);
}

static int chance(void *arg, void *buf, size_t n)
{
	(void)arg;
	return getrandom(buf, n, 0) == (ssize_t)n ? 0 : -errno;
}

static void reply(struct server *s, const struct dk_frame *f, unsigned how)
{
	if (s->tcp)
		wire_stream_send(s->ctx, &s->stream, f, how);
	else
		wire_peer_send(s->ctx, &s->peer, dkc_now() / 1000, f, how);
}

/* Answers for one room, of which every client is a member. */
static void in_room(struct server *s, struct dk_frame *r)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (r->cmd == 101) {
		dk_wr_u32(&w, 1);
		dk_wr_slice(&w, dk_slice_of(dk_str_c(ROOM)));
	} else {
		dk_wr_u16(&w, s->backup != NULL);
		if (s->backup)
			dk_wr_bytes16(&w, dk_slice_of(dk_str_c(s->backup)));
		dk_wr_bytes16(&w, dk_slice_of(dk_str_c(ROOM)));
	}
	r->payload = dk_written(&w);
	reply(s, r, DK_RELIABLE);
}

static void on_frame(void *arg, const struct dk_frame *f, bool reliable)
{
	struct server *s = arg;
	struct dk_frame r = { f->ver, DK_STATUS_OK, f->cmd, f->payload };
	uint8_t buf[256];

	(void)reliable;
	if (f->ver == 0 && f->cmd == WIRE_CMD_ECHO) {
		struct wire_echo e;
		struct wire_echo_reply er = { .state = 1, .address = dk_str_c("127.0.0.1:1") };

		ck_assert(wire_echo_decode(f->payload, &e));
		s->locals += e.locals.n != 0;
		memcpy(er.stamp, e.stamp, 8);
		r.payload = dk_slice_n(buf, wire_echo_reply_encode(&er, buf, sizeof(buf)));
		reply(s, &r, DK_UNRELIABLE);
		return;
	}
	if (f->ver == 1)
		in_room(s, &r);
	if (f->ver != 2)
		return;
	s->frames++;
	if (s->send_to) {
		struct dk_frame go = { 0, DK_STATUS_PUSH, WIRE_CMD_RECONNECT, { NULL, 0 } };

		go.payload = dk_slice_n(buf, wire_reconnect_encode(dk_str_c(s->send_to), buf, sizeof(buf)));
		reply(s, &go, DK_RELIABLE);
		s->send_to = NULL;
		return;
	}
	reply(s, &r, DK_RELIABLE);
	r.status = DK_STATUS_PUSH;
	reply(s, &r, DK_RELIABLE);
}

static void server_init(struct server *s, bool tcp)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(sa);
	struct wire_ctx_opts o = { .random = chance };

	memset(s, 0, sizeof(*s));
	s->tcp = tcp;
	s->conn = -1;
	s->fd = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&sa, &n), 0);
	if (tcp)
		ck_assert_int_eq(listen(s->fd, 5), 0);
	s->port = ntohs(sa.sin_port);
	wire_limits_default(&o.limits);
	ck_assert_int_eq(wire_ctx_new(&o, &s->ctx), 0);
	wire_peer_init(s->ctx, &s->peer, WIRE_SERVER, &endpoint.cred, dkc_now() / 1000);
	wire_stream_init(s->ctx, &s->stream, WIRE_SERVER, &endpoint.cred);
}

static void server_fini(struct server *s)
{
	wire_peer_fini(s->ctx, &s->peer);
	wire_stream_fini(s->ctx, &s->stream);
	wire_ctx_free(s->ctx);
	close(s->fd);
	if (s->conn >= 0)
		close(s->conn);
}

static void pump_udp(struct server *s)
{
	struct wire_events ev = { .arg = s, .frame = on_frame };
	uint8_t buf[2048];
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	struct dk_addr to;
	bool fragment;
	ssize_t k;
	size_t n;

	while ((k = recvfrom(s->fd, buf, sizeof(buf), 0, (struct sockaddr *)&sa, &len)) >= 0) {
		struct dk_addr from = { .port = ntohs(sa.sin_port), .family = 4 };

		memcpy(from.ip, &sa.sin_addr, 4);
		wire_peer_recv(s->ctx, &s->peer, dkc_now() / 1000, &from, dk_slice_n(buf, (size_t)k), &ev);
	}
	wire_peer_tick(s->ctx, &s->peer, dkc_now() / 1000, &ev);
	while ((n = wire_peer_out(s->ctx, &s->peer, dkc_now() / 1000, true, buf, sizeof(buf), &to, &fragment)) > 0) {
		sa = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(to.port) };
		memcpy(&sa.sin_addr, to.ip, 4);
		sendto(s->fd, buf, n, 0, (struct sockaddr *)&sa, sizeof(sa));
	}
}

static void pump_tcp(struct server *s)
{
	struct wire_events ev = { .arg = s, .frame = on_frame };
	static uint8_t out[200000];
	size_t n, need;
	ssize_t k;
	int used;

	if (s->conn < 0)
		s->conn = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK);
	if (s->conn < 0)
		return;
	while ((k = recv(s->conn, s->rest + s->rest_n, sizeof(s->rest) - s->rest_n, 0)) > 0) {
		s->rest_n += (size_t)k;
		used = wire_stream_feed(s->ctx, &s->stream, dk_slice_n(s->rest, s->rest_n), &ev);
		ck_assert_int_ge(used, 0);
		s->rest_n -= (size_t)used;
		memmove(s->rest, s->rest + used, s->rest_n);
	}
	if (k == 0) {
		s->ended = true;
		close(s->conn);
		s->conn = -1;
		return;
	}
	while ((n = wire_stream_out(s->ctx, &s->stream, out, sizeof(out), &need)) > 0)
		ck_assert_int_eq(send(s->conn, out, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void pump(struct server *s)
{
	if (s->dead)
		return;
	if (s->tcp)
		pump_tcp(s);
	else
		pump_udp(s);
}

/* ---- what both drivers have to show ---- */

struct run {
	struct dkc_ctx *ctx;
	struct dkc_client *client;
	struct server server[2];
	uv_loop_t loop;
	struct dkc_uv *uv;
	bool with_uv, uv_closed;
};

static void on_event(void *arg, struct dkc_client *c, const struct dkc_event *e)
{
	static const char *const names[] = { [DKC_CONNECTED] = "connected", [DKC_RESPONSE] = "response",
					     [DKC_PUSH] = "push",           [DKC_ECHO] = "",
					     [DKC_OFFLINE] = "offline",     [DKC_NOTE] = "note",
					     [DKC_MOVING] = "moving",       [DKC_DISCONNECTED] = "disconnected",
					     [DKC_SEARCHING] = "searching", [DKC_ROOM_LOST] = "lost",
					     [DKC_ROOM_MOVED] = "moved" };
	char text[32];

	(void)arg;
	(void)c;
	if (e->kind == DKC_CONNECTED && e->again) {
		say("again");
	} else if (e->kind == DKC_DISCONNECTED) {
		snprintf(text, sizeof(text), "disconnected:%d", e->reason);
		say(text);
	} else if (e->kind != DKC_ECHO) {
		say(names[e->kind]);
	}
}

static void on_reply(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	char text[64];

	(void)c;
	snprintf(text, sizeof(text), "%s:%u:%zu", (const char *)arg, r->status, r->payload.n);
	say(text);
}

static void run_init_with(struct run *r, bool tcp, bool with_uv, struct dkc_opts *o)
{
	memset(r, 0, sizeof(*r));
	log_n = 0;
	log_text[0] = '\0';
	for (int i = 0; i < 16; i++)
		endpoint.cred.sid[i] = endpoint.cred.key[i] = endpoint.cred.iv[i] = endpoint.cred.mac_key[i] = (uint8_t)(i + 1);
	endpoint.cred.encrypted = true;
	for (int i = 0; i < 2; i++)
		server_init(&r->server[i], tcp);
	endpoint.protocol = tcp ? DKC_TCP : DKC_UDP;
	endpoint.port = r->server[0].port;
	snprintf(endpoint.host, sizeof(endpoint.host), "127.0.0.1");
	o->event = on_event;
	ck_assert_int_eq(dkc_ctx_new(NULL, &r->ctx), 0);
	ck_assert_int_eq(dkc_client_new(r->ctx, &endpoint, o, &r->client), 0);
	r->with_uv = with_uv;
	if (with_uv) {
		ck_assert_int_eq(uv_loop_init(&r->loop), 0);
		ck_assert_int_eq(dkc_uv_open(&r->loop, r->client, &r->uv), 0);
	}
}

static void run_init(struct run *r, bool tcp, bool with_uv)
{
	struct dkc_opts o;

	dkc_opts_default(&o);
	run_init_with(r, tcp, with_uv, &o);
}

static void step(struct run *r)
{
	if (r->with_uv)
		uv_run(&r->loop, UV_RUN_NOWAIT);
	else
		dkc_poll(r->client, 1);
	pump(&r->server[0]);
	pump(&r->server[1]);
}

static void until(struct run *r, const char *word)
{
	uint64_t end = dkc_now() + 20000000;

	while (!strstr(log_text, word)) {
		ck_assert_msg(dkc_now() < end, "waiting for %s: %s", word, log_text);
		step(r);
	}
}

static void on_uv_closed(void *arg)
{
	((struct run *)arg)->uv_closed = true;
}

static void run_fini(struct run *r)
{
	if (r->with_uv) {
		dkc_uv_close(r->uv, on_uv_closed, r);
		uv_run(&r->loop, UV_RUN_DEFAULT);
		ck_assert(r->uv_closed);
		ck_assert_int_eq(uv_loop_close(&r->loop), 0);
	}
	dkc_client_free(r->client);
	dkc_ctx_free(r->ctx);
	server_fini(&r->server[0]);
	server_fini(&r->server[1]);
}

static struct run run;

START_TEST(talks)
{
	static uint8_t big[65530]; /* more than the drivers write at once */

	run_init(&run, _i & 1, _i & 2);
	dkc_connect(run.client);
	until(&run, "connected ");
	ck_assert_int_eq(dkc_request(run.client, 2, 1, dk_slice_n("abc", 3), on_reply, "small"), 0);
	until(&run, "small:1:3 push ");
	ck_assert_int_eq(dkc_request(run.client, 2, 1, dk_slice_n(big, sizeof(big)), on_reply, "big"), 0);
	until(&run, "big:1:65530 push ");
	dkc_close(run.client);
	until(&run, "disconnected:1 ");
	run_fini(&run);
}
END_TEST

START_TEST(moves)
{
	char to[64];

	run_init(&run, _i & 1, _i & 2);
	snprintf(to, sizeof(to), "localhost:%u", run.server[1].port);
	run.server[0].send_to = to;
	dkc_connect(run.client);
	until(&run, "connected ");
	dkc_send(run.client, 2, 1, dk_slice_n("go", 2), DK_RELIABLE);
	until(&run, "again ");
	ck_assert_int_eq(dkc_request(run.client, 2, 1, dk_slice_n("there", 5), on_reply, "there"), 0);
	until(&run, "there:1:5 push ");
	ck_assert_uint_eq(run.server[1].frames, 1);
	ck_assert_ptr_nonnull(strstr(log_text, "connected moving again "));
	ck_assert(!run.server[0].tcp || run.server[0].ended);
	ck_assert_uint_ge(run.server[0].locals, 1);
	ck_assert_uint_ge(run.server[1].locals, 1);
	run_fini(&run);
}
END_TEST

static void die(struct server *s)
{
	s->dead = true;
	if (s->conn >= 0)
		close(s->conn);
	close(s->fd);
	s->conn = -1;
	s->fd = socket(AF_INET, SOCK_DGRAM, 0);
}

START_TEST(the_node_dies)
{
	char backup[64];
	struct dkc_opts o;

	dkc_opts_default(&o);
	o.quiet_ms = 60;
	o.probe_ms = 20;
	o.search_ms = 10000;
	run_init_with(&run, _i & 1, _i & 2, &o);
	snprintf(backup, sizeof(backup), "localhost:%u", run.server[1].port);
	run.server[0].backup = run.server[1].backup = backup;
	dkc_connect(run.client);
	until(&run, "connected ");
	dkc_request(run.client, 1, 101, dk_slice_of(dk_str_c(ROOM)), on_reply, "in");
	until(&run, "in:1:56 ");
	ck_assert_int_eq(dkc_request(run.client, 2, 1, dk_slice_n("here", 4), on_reply, "here"), 0);
	until(&run, "here:1:4 ");
	die(&run.server[0]);
	until(&run, "searching again ");
	ck_assert_int_eq(dkc_request(run.client, 2, 1, dk_slice_n("there", 5), on_reply, "there"), 0);
	until(&run, "there:1:5 push ");
	ck_assert_uint_eq(run.server[1].frames, 1);
	run_fini(&run);
}
END_TEST

START_TEST(nobody_listens)
{
	run_init(&run, _i & 1, _i & 2);
	close(run.server[0].fd);
	run.server[0].fd = socket(AF_INET, (_i & 1 ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0);
	dkc_connect(run.client);
	until(&run, "disconnected:6 ");
	run_fini(&run);
}
END_TEST

START_TEST(the_server_hangs_up)
{
	run_init(&run, true, _i);
	dkc_connect(run.client);
	until(&run, "connected ");
	shutdown(run.server[0].conn, SHUT_WR);
	until(&run, "disconnected:2 ");
	run_fini(&run);
}
END_TEST

START_TEST(closed_in_the_middle)
{
	run_init(&run, _i & 1, _i & 2);
	dkc_connect(run.client);
	if (_i & 4)
		step(&run);
	run_fini(&run);
}
END_TEST

/* ---- the blocking request ---- */

static const struct {
	const char *answer;
	int rc, status;
	const char *says;
} answers[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 0, 200, "ok" },
	{ "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n", 0, 503, "busy" },
	{ "HTTP/1.0 200 OK\r\n\r\nto the end", 0, 200, "to the end" },
	{ "HTTP/1.1 204 No Content\r\n\r\n", 0, 204, "" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", DKC_MALFORMED, 0, "in the middle" },
	{ "220 mail.example ESMTP\r\n", DKC_MALFORMED, 0, "no HTTP answer" },
	{ "", DKC_MALFORMED, 0, "in the middle" },
};

static void *serve_once(void *arg)
{
	const char *answer = answers[((int *)arg)[1]].answer;
	int conn = accept(((int *)arg)[0], NULL, NULL);
	char buf[4096];

	ck_assert_int_gt(recv(conn, buf, sizeof(buf), 0), 0);
	send(conn, answer, strlen(answer), MSG_NOSIGNAL);
	shutdown(conn, SHUT_WR);
	while (recv(conn, buf, sizeof(buf), 0) > 0)
		;
	close(conn);
	return NULL;
}

START_TEST(http_get)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(sa);
	int arg[2] = { socket(AF_INET, SOCK_STREAM, 0), _i }, status = 0, rc;
	char url[64], why[256] = "", *body = NULL;
	pthread_t thread;

	ck_assert_int_eq(bind(arg[0], (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(arg[0], 1), 0);
	ck_assert_int_eq(getsockname(arg[0], (struct sockaddr *)&sa, &n), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve_once, arg), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", ntohs(sa.sin_port));
	rc = dkc_http_get(url, NULL, 10000, &status, &body, why, sizeof(why));
	pthread_join(thread, NULL);
	ck_assert_msg(rc == answers[_i].rc, "%s", why);
	ck_assert_int_eq(status, answers[_i].status);
	ck_assert_msg(rc ? strstr(why, answers[_i].says) != NULL : !strcmp(body, answers[_i].says), "%s%s", why, body ? body : "");
	free(body);
	close(arg[0]);
	/* and now nobody listens */
	ck_assert_int_eq(dkc_http_get(url, NULL, 10000, &status, &body, why, sizeof(why)), -ECONNREFUSED);
	ck_assert_ptr_nonnull(strstr(why, "Connection refused"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("drivers");
	TCase *c = tcase_create("drivers");
	SRunner *r;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, talks, 0, 4);
	tcase_add_loop_test(c, moves, 0, 4);
	tcase_add_loop_test(c, the_node_dies, 0, 4);
	tcase_add_loop_test(c, nobody_listens, 0, 4);
	tcase_add_loop_test(c, the_server_hangs_up, 0, 2);
	tcase_add_loop_test(c, closed_in_the_middle, 0, 8);
	tcase_add_loop_test(c, http_get, 0, (int)DK_ARRAY_LEN(answers));
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
