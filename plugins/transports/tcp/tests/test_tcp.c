/* SPDX-License-Identifier: Apache-2.0 */
/* The transport tcp: bytes in any pieces, strangers, sockets that end and come back, clients that do not read. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/sim/ends.h"

#define AT "address = \"10.0.0.1\"; "
#define HOME "10.2.0.1:5000"
#define AWAY "10.3.0.1:6000"

static struct stage s;
static dk_id peer;

static void begin(const char *options)
{
	char section[512];

	snprintf(section, sizeof(section), "tcp = { " AT "%s };", options);
	stage_open(&s, "tcp", section);
	peer = stage_admit(&s, 1);
}

static void end(void)
{
	stage_close(&s);
}

/* A socket that has said nothing yet; it will be looked at by the test alone. */
static struct end *stranger(const char *at)
{
	struct dk_credential nobody = { .sid = { 99 } };
	struct end *e = end_tcp(&s, &nobody, at);

	e->asleep = true;
	stage_run(&s, 10);
	ck_assert_int_eq(dk_sim_tcp_state(e->tcp), DK_SIM_TCP_OPEN);
	return e;
}

static bool is_closed(const struct end *e)
{
	return dk_sim_tcp_state(e->tcp) >= DK_SIM_TCP_ENDED;
}

/* A client of peer 1 with a frame each way behind it. */
static struct end *home(void)
{
	struct end *e = end_opened(&s, 1, HOME);

	end_text(e, "hello", DK_RELIABLE);
	stage_run(&s, 10);
	ck_assert_int_eq(stage_respond(&s, peer, "hello", DK_RELIABLE), 0);
	stage_run(&s, 10);
	end_expect(e, "ok 2.10 hello!\n");
	stage_expect(&s, "opened 1\nframe 1 2.1 hello!\n");
	return e;
}

static void still_talks(struct end *e)
{
	end_text(e, "still here", DK_UNRELIABLE);
	stage_run(&s, 10);
	stage_expect(&s, "frame 1 2.1 still here!\n");
	ck_assert_int_eq(stage_respond(&s, peer, "so am I", DK_UNRELIABLE), 0);
	stage_run(&s, 10);
	end_expect(e, "ok 2.10 so am I!\n");
}

/* ---- bytes in any pieces ---- */

START_TEST(every_boundary)
{
	static const char want[] = "frame 1 2.1 first!\nframe 1 2.1 !\nframe 1 2.1 third!\n";
	uint8_t all[512];
	struct end *e;
	size_t n = 0;

	begin(_i ? "enableEncryption = false;" : "");
	e = home();
	for (int i = 0; i < 3; i++) {
		struct raw f = raw_frame(&s, &e->cred, 2, 1, text_slice(i == 0 ? "first" : i == 1 ? "" : "third"));

		memcpy(all + n, f.b, f.n);
		n += f.n;
	}
	for (size_t cut = 0; cut <= n; cut++) {
		end_raw(e, dk_slice_n(all, cut));
		stage_run(&s, 5);
		end_raw(e, dk_slice_n(all + cut, n - cut));
		stage_run(&s, 5);
		stage_expect(&s, want);
	}
	for (size_t i = 0; i < n; i++) {
		end_raw(e, dk_slice_n(all + i, 1));
		stage_run(&s, 2);
	}
	stage_expect(&s, want);
	still_talks(e);
	/* The first frame of a socket, too. */
	for (size_t cut = 1; cut < n; cut += 3) {
		struct end *again = end_opened(&s, 1, AWAY);

		end_raw(again, dk_slice_n(all, cut));
		stage_run(&s, 5);
		end_raw(again, dk_slice_n(all + cut, n - cut));
		stage_run(&s, 5);
		ck_assert_msg(strstr(s.sink->log, want + 19), "cut at %zu: %s", cut, s.sink->log);
		ck_assert_ptr_eq(strstr(s.sink->log, "opened 1 again\n"), s.sink->log);
		stage_forget(&s);
		end_free(again);
		stage_run(&s, 5);
	}
	end();
}
END_TEST

/* A small frame's beginning, and then more behind it than a frame may be long. */
START_TEST(glued)
{
	static uint8_t all[100000];
	struct raw f;
	struct end *e;
	size_t n = 0;
	int frames = 0;

	begin("");
	e = home();
	s.sink->mute = true;
	s.sink->frames = 0;
	for (; n + 200 < sizeof(all); frames++) {
		f = raw_frame(&s, &e->cred, 2, 1, text_slice("one of many"));
		memcpy(all + n, f.b, f.n);
		n += f.n;
	}
	end_raw(e, dk_slice_n(all, 30));
	stage_run(&s, 5);
	end_raw(e, dk_slice_n(all + 30, n - 30));
	stage_run(&s, 50);
	ck_assert_uint_eq(s.sink->frames, frames);
	end_raw(e, dk_slice_n(all, n));
	stage_run(&s, 50);
	ck_assert_uint_eq(s.sink->frames, 2 * frames);
	s.sink->mute = false;
	still_talks(e);
	end();
}
END_TEST

/* A request of just maxRcvSize passes, in any two pieces; a longer one ends the connection before all of it is there. */
START_TEST(size_limit)
{
	static uint8_t bytes[700];
	struct dk_credential cred;
	struct raw f;
	struct end *e;

	begin("maxRcvSize = 500;");
	e = home();
	s.sink->mute = true;
	s.sink->frames = 0;
	cred = e->cred;
	f = raw_frame(&s, &cred, 2, 1, dk_slice_n(bytes, 500));
	for (size_t cut = 1; cut < f.n; cut += 13) {
		end_raw(e, dk_slice_n(f.b, cut));
		stage_run(&s, 3);
		end_raw(e, dk_slice_n(f.b + cut, f.n - cut));
		stage_run(&s, 3);
	}
	end_raw(e, dk_slice_n(f.b, f.n - 1));
	stage_run(&s, 3);
	end_raw(e, dk_slice_n(f.b + f.n - 1, 1));
	stage_run(&s, 3);
	ck_assert_uint_eq(s.sink->frames, (f.n - 1 + 12) / 13 + 1);
	stage_expect(&s, "");
	f = raw_frame(&s, &cred, 2, 1, dk_slice_n(bytes, 600));
	end_raw(e, dk_slice_n(f.b, 8));
	stage_run(&s, 3);
	stage_expect(&s, "closed 1 protocol\n");
	ck_assert_int_eq(stage_count(&s, "drop_frame"), 1);
	end_expect(e, "broken\n");
	/* What the server says has another limit. */
	peer = stage_admit(&s, 1);
	{
		static char text[20001];

		memset(text, 'x', 20000);
		e = end_opened(&s, 1, AWAY);
		end_text(e, "x", DK_RELIABLE);
		stage_run(&s, 10);
		ck_assert_int_eq(stage_respond(&s, peer, text, DK_RELIABLE), 0);
		e->mute = true;
		stage_run(&s, 10);
		ck_assert_uint_eq(e->frames, 1);
	}
	end();
}
END_TEST

/* ---- strangers ---- */

static struct raw hello(unsigned name)
{
	struct dk_credential cred = stage_cred(&s, name);

	return raw_frame(&s, &cred, 2, 1, text_slice("hello"));
}
static struct raw s_http(void)
{
	struct raw r = { .n = 18 };

	memcpy(r.b, "GET / HTTP/1.1\r\n\r\n", 18);
	return r;
}
static struct raw s_unknown(void)
{
	return hello(77);
}
static struct raw s_mac(void)
{
	struct raw r = hello(1);

	r.b[r.n - 1] ^= 1;
	return r;
}
static struct raw s_plain(void)
{
	struct raw r = hello(1);

	r.b[WIRE_FRAME_UP + 3] = 2;
	return r;
}
static struct raw s_long(void)
{
	struct raw r = hello(1);

	r.b[5] = 0xff;
	return r;
}
static struct raw s_short(void)
{
	struct raw r = hello(1);

	r.b[6] = 0;
	r.b[7] = 20;
	return r;
}
static struct raw s_tiny(void)
{
	struct raw r = hello(1);

	r.b[7] = 3;
	r.b[6] = 0;
	return r;
}
static struct raw s_zeroes(void)
{
	return (struct raw){ .n = 40 };
}
static struct raw s_other_key(void)
{
	struct dk_credential cred = stage_cred(&s, 2);

	memcpy(cred.sid, stage_cred(&s, 1).sid, 16);
	return raw_frame(&s, &cred, 2, 1, text_slice("hello"));
}

static const struct {
	const char *name;
	struct raw (*make)(void);
	const char *counter;
} strangers[] = {
	{ "another protocol", s_http, "no_frame" },
	{ "zeroes", s_zeroes, "no_frame" },
	{ "a frame too short for a sid", s_tiny, "no_frame" },
	{ "an unknown sid", s_unknown, "unknown_sid" },
	{ "a known sid and a wrong seal", s_mac, "drop_mac" },
	{ "a known sid and another's keys", s_other_key, "drop_mac" },
	{ "a known sid and a shortened message", s_plain, "drop_plain" },
	{ "a known sid and a frame too long", s_long, "drop_frame" },
	{ "a known sid and a frame too short", s_short, "drop_frame" },
};

/* Whoever knows a sid but not the keys is sent away, without an answer; the owner's connection stays. */
START_TEST(strangers_are_sent_away)
{
	struct end *e, *other;
	struct raw r;
	int64_t before;

	begin("");
	e = home();
	other = stranger(AWAY);
	before = stage_count(&s, strangers[_i].counter);
	r = strangers[_i].make();
	end_raw(other, dk_slice_n(r.b, 9));
	stage_run(&s, 10);
	end_raw(other, dk_slice_n(r.b + 9, r.n - 9));
	stage_run(&s, 10);
	ck_assert_msg(is_closed(other), "%s", strangers[_i].name);
	ck_assert_uint_eq(dk_sim_tcp_bytes(other->tcp).n, 0);
	ck_assert_msg(stage_count(&s, strangers[_i].counter) == before + 1, "%s: %s", strangers[_i].name, strangers[_i].counter);
	stage_expect(&s, "");
	still_talks(e);
	ck_assert_int_eq(stage_count(&s, "sockets"), 1);
	end();
}
END_TEST

/* The same of a socket that is somebody's already: its owner is the one who said it. */
START_TEST(bound_sockets_break)
{
	struct end *e;
	struct raw r;

	begin("");
	e = home();
	r = strangers[_i].make();
	end_raw(e, raw_slice(&r));
	stage_run(&s, 10);
	stage_expect(&s, "closed 1 protocol\n");
	end_expect(e, "broken\n");
	ck_assert_int_eq(stage_count(&s, "peers"), 0);
	end();
}
END_TEST

START_TEST(late_strangers)
{
	struct end *silent, *dribbling;
	struct raw r;

	begin("connectionTTL = 5;");
	silent = stranger(HOME);
	dribbling = stranger(AWAY);
	r = hello(1);
	for (int i = 0; i < 48; i++) {
		stage_run(&s, 100);
		end_raw(dribbling, dk_slice_n(r.b + i, 1));
	}
	ck_assert(!is_closed(silent) && !is_closed(dribbling));
	stage_run(&s, 400);
	ck_assert(is_closed(silent) && is_closed(dribbling));
	ck_assert_int_eq(stage_count(&s, "strangers_late"), 2);
	ck_assert_int_eq(stage_count(&s, "sockets"), 0);
	stage_expect(&s, "closed 1 never\n");
	end();
}
END_TEST

START_TEST(too_many_strangers)
{
	struct end *others[10], *e;
	char at[32];

	begin("maxStrangers = 4;");
	e = home();
	for (int i = 0; i < 10; i++) {
		snprintf(at, sizeof(at), "10.5.0.%d:5000", 1 + i);
		others[i] = stranger(at);
	}
	stage_run(&s, 10);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(is_closed(others[i]), i < 6);
	ck_assert_int_eq(stage_count(&s, "strangers_pushed"), 6);
	ck_assert_int_eq(stage_count(&s, "sockets"), 5);
	/* Among a crowd of them an honest client gets in. */
	end_free(e);
	stage_run(&s, 10);
	e = end_opened(&s, 1, AWAY);
	end_text(e, "excuse me", DK_RELIABLE);
	stage_run(&s, 10);
	stage_expect(&s, "opened 1 again\nframe 1 2.1 excuse me!\n");
	still_talks(e);
	/* What becomes somebody's counts no more. */
	for (int i = 6; i < 10; i++)
		end_free(others[i]);
	stage_run(&s, 10);
	ck_assert_int_eq(stage_count(&s, "sockets"), 1);
	end();
}
END_TEST

/* ---- sockets end, and others come ---- */

START_TEST(second_socket)
{
	struct end *first, *second;

	begin("");
	first = home();
	second = end_opened(&s, 1, AWAY);
	stage_run(&s, 100);
	stage_expect(&s, ""); /* not before it showed a frame */
	still_talks(first);
	end_text(second, "from elsewhere", DK_RELIABLE);
	stage_run(&s, 10);
	stage_expect(&s, "opened 1 again\nframe 1 2.1 from elsewhere!\n");
	end_expect(first, "broken\n");
	still_talks(second);
	ck_assert_int_eq(stage_count(&s, "sockets"), 1);
	ck_assert_int_eq(stage_count(&s, "peers"), 1);
	end();
}
END_TEST

/* 0: closed, 1: reset, 2: only the sending half. The peer waits for its client, and what was sent meanwhile with it. */
START_TEST(ended_sockets)
{
	struct dk_peer_info info;
	struct end *e;

	begin("");
	e = home();
	end_text(e, "before the end", DK_RELIABLE);
	if (_i < 2) {
		stage_run(&s, 10);
		dk_sim_tcp_close(e->tcp, _i);
		e->tcp = NULL;
		end_free(e);
	} else {
		dk_sim_tcp_end(e->tcp);
	}
	stage_run(&s, 20);
	stage_expect(&s, "frame 1 2.1 before the end!\n");
	ck_assert_int_eq(stage_count(&s, "sockets"), 0);
	ck_assert_int_eq(s.transport->info(s.transport, peer, &info), 0);
	ck_assert(!info.open && !info.addr.family);
	ck_assert_int_eq(stage_respond(&s, peer, "meanwhile", DK_RELIABLE), 0);
	stage_run(&s, 5000);
	e = end_opened(&s, 1, AWAY);
	end_text(e, "I am back", DK_RELIABLE);
	stage_run(&s, 10);
	stage_expect(&s, "opened 1 again\nframe 1 2.1 I am back!\n");
	end_expect(e, "ok 2.10 meanwhile!\n");
	end_free(e);
	stage_run(&s, 9800);
	stage_expect(&s, "");
	stage_run(&s, 300);
	stage_expect(&s, "closed 1 silence\n");
	end();
}
END_TEST

static void answer(struct sink *sink, const char *what, uint64_t name, dk_id p)
{
	(void)sink;
	(void)name;
	if (!strcmp(what, "frame"))
		ck_assert_int_eq(stage_respond(&s, p, "the answer", DK_RELIABLE), 0);
}

/* Who says no more after a request, and listens, gets its answer. */
START_TEST(half_closed)
{
	struct dk_peer_info info;
	struct end *e;

	begin("");
	e = home();
	s.sink->inside = answer;
	end_text(e, "a question", DK_RELIABLE);
	dk_sim_tcp_end(e->tcp);
	stage_run(&s, 20);
	end_expect(e, "ok 2.10 the answer!\nended\n");
	stage_expect(&s, "frame 1 2.1 a question!\n");
	ck_assert_int_eq(s.transport->info(s.transport, peer, &info), 0);
	ck_assert(!info.open);
	ck_assert_uint_eq(info.unacked, 0);
	end();
}
END_TEST

START_TEST(goodbye_in_pieces)
{
	struct end *e;
	struct raw r;

	begin("");
	e = home();
	r = raw_frame(&s, &e->cred, 0, 0, dk_slice_n(NULL, 0));
	end_raw(e, dk_slice_n(r.b, 20));
	stage_run(&s, 10);
	stage_expect(&s, "");
	end_raw(e, dk_slice_n(r.b + 20, r.n - 20));
	end_text(e, "and another thing", DK_RELIABLE);
	stage_run(&s, 10);
	stage_expect(&s, "closed 1 client\n");
	end();
}
END_TEST

static void close_first_time(struct sink *sink, const char *what, uint64_t name, dk_id p)
{
	(void)name;
	if (!strcmp(what, "opened"))
		sink->transport->close(sink->transport, p, DK_REASON_SERVER);
}

/* Several frames in one piece, the first of which makes the owner close; and the sid is free again at once. */
START_TEST(closed_while_reading)
{
	struct end *e;
	struct raw r;

	begin("");
	s.sink->inside = close_first_time;
	e = end_opened(&s, 1, HOME);
	r = hello(1);
	memcpy(r.b + r.n, r.b, r.n);
	r.n *= 2;
	end_raw(e, dk_slice_n(r.b, r.n - 3));
	stage_run(&s, 10);
	stage_expect(&s, "opened 1\nclosed 1 server\n");
	ck_assert(e->over);
	s.sink->inside = NULL;
	end_free(e);
	peer = stage_admit(&s, 1);
	e = home();
	still_talks(e);
	end();
}
END_TEST

/* ---- who does not read ---- */

START_TEST(slow_reader)
{
	static char text[4001];
	int64_t sent = 0;
	struct end *e;

	begin("maxOutput = 131072;");
	e = home();
	memset(text, 'x', 4000);
	e->asleep = true;
	for (int i = 0; i < 400 && !s.sink->log_n; i++) {
		sent += stage_respond(&s, peer, text, DK_RELIABLE) == 0;
		stage_run(&s, 5);
	}
	stage_expect(&s, "closed 1 slow\n");
	ck_assert_int_eq(stage_count(&s, "slow"), 1);
	/* What the network holds, and maxOutput. */
	ck_assert_int_gt(sent, (131072 + 200000) / 4000);
	ck_assert_int_lt(sent, (131072 + 300000) / 4000);
	end();
}
END_TEST

/* The system takes nothing for a while; afterwards everything is there, in order. */
START_TEST(stall)
{
	char text[16];
	struct end *e;

	begin("");
	e = home();
	dk_sim_stall(s.world, true);
	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "%d", i);
		ck_assert_int_eq(stage_push(&s, peer, text, DK_UNRELIABLE), 0);
		stage_run(&s, 5);
	}
	end_expect(e, "");
	dk_sim_stall(s.world, false);
	e->mute = true;
	stage_run(&s, 20);
	ck_assert_uint_eq(e->frames, 1 + 50);
	e->mute = false;
	still_talks(e);
	end();
}
END_TEST

/* More in one turn than may wait at all. */
START_TEST(flooded_in_one_turn)
{
	static char text[60001];
	struct end *e;
	int rc = 0;

	begin("");
	e = home();
	memset(text, 'x', 60000);
	for (int i = 0; i < 100 && !rc; i++)
		rc = stage_respond(&s, peer, text, DK_RELIABLE);
	ck_assert_int_eq(rc, DK_FULL);
	stage_expect(&s, "");
	stage_run(&s, 10);
	stage_expect(&s, "closed 1 slow\n");
	(void)e;
	end();
}
END_TEST

/* ---- utility frames ---- */

START_TEST(utility)
{
	static const struct {
		uint16_t cmd;
		const char *payload;
		size_t n;
		const char *answer;
	} rows[] = {
		{ WIRE_CMD_ECHO, "12345678", 8, "echo 1 " HOME " mail\n" },
		{ WIRE_CMD_ECHO, "1234567", 7, "" },
		{ WIRE_CMD_PING, "12345678", 8, "ping 1\n" },
		{ WIRE_CMD_PING, "", 0, "" },
		{ WIRE_CMD_FIN, "?", 1, "" },
	};
	int64_t bad = 0;
	struct end *e;

	begin("");
	e = home();
	s.sink->notes = "mail";
	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		end_say(e, 0, rows[i].cmd, dk_slice_n(rows[i].payload, rows[i].n), DK_RELIABLE);
		stage_run(&s, 10);
		end_expect(e, rows[i].answer);
		bad += !*rows[i].answer;
		ck_assert_int_eq(stage_count(&s, "bad_utility"), bad);
	}
	stage_forget(&s);
	still_talks(e);
	end();
}
END_TEST

/* ---- with users ---- */

START_TEST(client_key)
{
	struct dk_credential cred;
	struct end *e, *again;
	dk_id user;

	stage_open(&s, "tcp", "user = { client_key = \"sesame\"; }; tcp = { " AT "};");
	cred = stage_user(&s, "ann", &user);
	e = end_tcp(&s, &cred, HOME);
	stage_run(&s, 10);
	end_say(e, 0, WIRE_CMD_CLIENT_KEY, text_slice("sesame"), DK_RELIABLE);
	end_text(e, "x", DK_RELIABLE);
	stage_run(&s, 10);
	stage_expect(&s, "connected ann\ncall ann x\n");
	/* Another socket shows it again. */
	again = end_tcp(&s, &cred, AWAY);
	stage_run(&s, 10);
	end_text(again, "x", DK_RELIABLE);
	stage_run(&s, 10);
	stage_expect(&s, "connected ann again\ndiscarded ann key\n");
	end_expect(e, "ok 2.1 x!\nbroken\n");
	ck_assert(again->over);
	ck_assert_int_eq(dk_harness_counter(s.node, "user", "wrong_key"), 1);
	for (int i = 0; i < 2; i++) {
		cred = stage_user(&s, "bob", &user);
		e = end_tcp(&s, &cred, "10.4.0.1:7000");
		stage_run(&s, 10);
		end_say(e, 0, i ? WIRE_CMD_CLIENT_KEY : WIRE_CMD_ECHO, text_slice("sesamf78"), DK_RELIABLE);
		stage_run(&s, 10);
		if (i)
			stage_expect(&s, "connected bob\ndiscarded bob key\n");
		else /* heartbeats are the transport's business */
			stage_expect(&s, "connected bob\nalive bob\n");
		end_free(e);
		stage_run(&s, 11000);
		stage_forget(&s);
	}
	end();
}
END_TEST

/* ---- configuration ---- */

START_TEST(reload)
{
	char file[] = "/tmp/diarkis-tcp-XXXXXX", section[256];
	struct end *e, *other;
	int fd = mkstemp(file);

	ck_assert_int_ge(fd, 0);
	close(fd);
	snprintf(section, sizeof(section), "tcp = { " AT "config = \"%s\"; };", file);
	stage_options(NULL, file, "{ \"connectionTTL\": 60 }");
	stage_open(&s, "tcp", section);
	peer = stage_admit(&s, 1);
	stage_admit(&s, 2);
	e = home();
	other = stranger(AWAY);
	stage_run(&s, 3000);
	stage_expect(&s, "");
	stage_options(&s, file, "{ \"connectionTTL\": 4 }");
	stage_run(&s, 500);
	stage_expect(&s, "");
	stage_run(&s, 700);
	ck_assert(strstr(s.sink->log, "closed 1 silence\n"));
	ck_assert(strstr(s.sink->log, "closed 2 never\n"));
	ck_assert(is_closed(other));
	ck_assert(e->over);
	unlink(file);
	end();
}
END_TEST

/* At the node's end strangers and half frames are no leftovers, and who reads gets what was said last. */
START_TEST(stops)
{
	struct end *e, *other;
	uint64_t began;
	struct raw r;

	begin("");
	e = home();
	other = stranger(AWAY);
	r = hello(1);
	end_raw(other, dk_slice_n(r.b, 30));
	end_raw(e, dk_slice_n(r.b, 30));
	stage_run(&s, 10);
	ck_assert_int_eq(stage_respond(&s, peer, "last words", DK_RELIABLE), 0);
	began = dk_sim_now(s.world);
	ck_assert_int_eq(dk_harness_stop(s.node), 0);
	ck_assert_uint_le(dk_sim_now(s.world) - began, 20);
	ck_assert_str_eq(s.sink->log, "closed 1 shutdown\n");
	dk_sim_run(s.world, 100);
	end_expect(e, "ok 2.10 last words!\nended\n");
	ck_assert(is_closed(other));
	end();
}
END_TEST

/* ---- counters that nothing else here moves ---- */

static void c_traffic(struct end *e)
{
	end_text(e, "x", DK_RELIABLE);
	stage_respond(&s, peer, "x", DK_RELIABLE);
}

static void c_sockets(struct end *e)
{
	(void)e;
	stranger(AWAY);
}

static void c_peers(struct end *e)
{
	(void)e;
	stage_admit(&s, 5);
}

static void c_sid(struct end *e)
{
	struct raw r = hello(2);

	end_raw(e, raw_slice(&r));
}

static void c_magic(struct end *e)
{
	end_raw(e, text_slice("xxxx"));
}

static const struct {
	const char *counter;
	void (*move)(struct end *e);
} moved_by[] = {
	{ "accepted", c_sockets },  { "sockets", c_sockets },   { "bytes_in", c_traffic },
	{ "bytes_out", c_traffic }, { "frames_in", c_traffic }, { "frames_out", c_traffic },
	{ "peers", c_peers },       { "drop_sid", c_sid },      { "drop_magic", c_magic },
};

/* And those that the tests above look at. */
static const char *const looked_at[] = { "unknown_sid", "no_frame",   "strangers_late", "strangers_pushed", "slow",
					 "bad_utility", "drop_frame", "drop_mac",       "drop_plain" };

START_TEST(all_counters)
{
	const struct dk_plugin_desc *desc = NULL;
	const char *instance = "";

	begin("");
	for (size_t i = 0; strcmp(instance, "tcp") && (desc = dk_plugin_at(s.sink, i, &instance)); i++)
		;
	ck_assert_ptr_nonnull(desc);
	for (const struct dk_counter *c = desc->counters; c->name; c++) {
		bool found = false;

		for (size_t i = 0; i < DK_ARRAY_LEN(moved_by); i++)
			found |= !strcmp(moved_by[i].counter, c->name);
		for (size_t i = 0; i < DK_ARRAY_LEN(looked_at); i++)
			found |= !strcmp(looked_at[i], c->name);
		ck_assert_msg(found, "nothing here moves the counter %s", c->name);
	}
	end();
}
END_TEST

START_TEST(each_counter)
{
	struct end *e;
	int64_t before;

	begin("");
	e = home();
	before = stage_count(&s, moved_by[_i].counter);
	moved_by[_i].move(e);
	stage_run(&s, 100);
	ck_assert_msg(stage_count(&s, moved_by[_i].counter) > before, "%s did not move", moved_by[_i].counter);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tcp");
	TCase *c = tcase_create("tcp");
	SRunner *runner;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, every_boundary, 0, 2);
	tcase_add_test(c, glued);
	tcase_add_test(c, size_limit);
	tcase_add_loop_test(c, strangers_are_sent_away, 0, DK_ARRAY_LEN(strangers));
	tcase_add_loop_test(c, bound_sockets_break, 0, DK_ARRAY_LEN(strangers));
	tcase_add_test(c, late_strangers);
	tcase_add_test(c, too_many_strangers);
	tcase_add_test(c, second_socket);
	tcase_add_loop_test(c, ended_sockets, 0, 3);
	tcase_add_test(c, half_closed);
	tcase_add_test(c, goodbye_in_pieces);
	tcase_add_test(c, closed_while_reading);
	tcase_add_test(c, slow_reader);
	tcase_add_test(c, stall);
	tcase_add_test(c, flooded_in_one_turn);
	tcase_add_test(c, utility);
	tcase_add_test(c, client_key);
	tcase_add_test(c, reload);
	tcase_add_test(c, stops);
	tcase_add_test(c, all_counters);
	tcase_add_loop_test(c, each_counter, 0, DK_ARRAY_LEN(moved_by));
	suite_add_tcase(suite, c);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
