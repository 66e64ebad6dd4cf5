/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every provider of the service `transport` must hold (<diarkis/transport.h>): one suite, run over mem, udp and tcp. What they
 * differ in stands in their rows here and nowhere else.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/ends.h"

struct kind {
	const char *instance, *role;
	const char *section; /* peers may be silent for 10 s */
	const char *tight; /* the same with little room for output */
	const char *few; /* the same for two peers; NULL: no such limit */
	size_t too_long; /* bytes that no frame may have; 0 = no such limit */
};

#define AT "address = \"10.0.0.1\"; "
static const struct kind kinds[] = {
	{ "mem", "MEM", "mem = { };", "mem = { max_output_bytes = 4096; };", NULL, 0 },
	{ "udp", "UDP", "udp = { " AT "};", "udp = { " AT "};", "udp = { " AT "maxPeers = 2; };", 100000 },
	{ "tcp", "TCP", "tcp = { " AT "};", "tcp = { " AT "maxOutput = 131072; };", "tcp = { " AT "maxPeers = 2; };", 100000 },
	{ "udp", "UDP", "udp = { " AT "enableEncryption = false; sendUDPInterval = 40; };",
	  "udp = { " AT "enableEncryption = false; };", NULL, 100000 },
	{ "tcp", "TCP", "tcp = { " AT "enableEncryption = false; noDelay = true; };",
	  "tcp = { " AT "enableEncryption = false; maxOutput = 131072; };", NULL, 100000 },
};

static struct stage s;
static struct dk_transport *t;
static const struct kind *k;

static void begin(int i, const char *section)
{
	k = &kinds[i];
	stage_open(&s, k->instance, section ? section : k->section);
	t = s.transport;
}

static void end(void)
{
	stage_close(&s);
}

/* A client that comes and says something. */
static struct end *arrive(unsigned name)
{
	struct dk_credential cred = stage_cred(&s, name);
	struct end *e;
	char at[32];

	snprintf(at, sizeof(at), "10.2.0.%u:5000", name);
	if (!strcmp(k->role, "MEM"))
		e = end_mem(&s, &cred);
	else if (!strcmp(k->role, "TCP"))
		e = end_tcp(&s, &cred, at);
	else
		e = end_udp(&s, &cred, at);
	if (e->udp)
		end_open(e);
	stage_run(&s, 50);
	end_text(e, "hello", DK_RELIABLE);
	stage_run(&s, 50);
	return e;
}

static struct end *come(unsigned name)
{
	struct end *e = arrive(name);

	end_expect(e, e->udp ? "opened\n" : "");
	return e;
}

static void vanish(struct end *e)
{
	e->asleep = true;
}

/* Frames the client got, without the marks of how they travelled. */
static void expect_got(struct end *e, const char *want)
{
	char got[sizeof(e->log)], *out = got;

	end_look(e);
	for (const char *p = e->log; *p; p++)
		if (!(*p == '!' && p[1] == '\n'))
			*out++ = *p;
	*out = '\0';
	ck_assert_str_eq(got, want);
	end_forget(e);
}

static bool is_gone(dk_id peer)
{
	struct dk_peer_info info;

	t->flush(t, peer);
	t->close(t, peer, DK_REASON_SERVER);
	return stage_push(&s, peer, "x", DK_RELIABLE) == DK_GONE && stage_push(&s, peer, "x", DK_UNRELIABLE) == DK_GONE &&
	       t->info(t, peer, &info) == DK_GONE;
}

/* ---- the suite ---- */

START_TEST(who_it_is)
{
	const char *host = NULL;
	uint16_t port = 1;

	begin(_i, NULL);
	ck_assert_str_eq(t->role, k->role);
	ck_assert_str_eq(t->type, k->role);
	ck_assert_int_eq(t->attach(t, &s.sink->api), DK_EXISTS);
	t->endpoint(t, &host, &port);
	ck_assert_ptr_nonnull(host);
	if (s.server.port) {
		ck_assert_str_eq(host, "10.0.0.1");
		ck_assert_uint_eq(port, s.server.port);
	}
	end();
}
END_TEST

START_TEST(admission)
{
	struct dk_credential cred;
	struct dk_peer_info info;
	dk_id one, two, three = 0;

	begin(_i, kinds[_i].few);
	one = stage_admit(&s, 1);
	ck_assert_uint_eq(dk_id_kind(one), DK_KIND_PEER);
	cred = stage_cred(&s, 1);
	ck_assert_int_eq(t->admit(t, &cred, 9, &three), DK_EXISTS);
	two = stage_admit(&s, 2);
	ck_assert_uint_ne(one, two);
	cred = stage_cred(&s, 3);
	ck_assert_int_eq(t->admit(t, &cred, 3, &three), k->few ? DK_FULL : 0);
	ck_assert_int_eq(three == 0, k->few != NULL);
	ck_assert_int_eq(t->info(t, one, &info), 0);
	ck_assert(!info.open && !info.addr.family);
	/* A place becomes free, and a sid too. */
	t->close(t, one, DK_REASON_SERVER);
	stage_run(&s, 20);
	stage_expect(&s, "closed 1 server\n");
	ck_assert(is_gone(one));
	ck_assert_uint_ne(stage_admit(&s, 1), one);
	ck_assert_int_eq(stage_count(&s, "peers"), k->few ? 2 : 3);
	end();
}
END_TEST

START_TEST(never_came)
{
	dk_id peer;

	begin(_i, NULL);
	peer = stage_admit(&s, 1);
	ck_assert_int_eq(stage_push(&s, peer, "for nobody", DK_RELIABLE), 0);
	stage_run(&s, 9800);
	stage_expect(&s, "");
	stage_run(&s, 400);
	stage_expect(&s, "closed 1 never\n");
	ck_assert(is_gone(peer));
	ck_assert_int_eq(stage_count(&s, "peers"), 0);
	end();
}
END_TEST

START_TEST(contact_and_frames)
{
	struct dk_peer_info info;
	struct end *e;
	dk_id peer;

	begin(_i, NULL);
	peer = stage_admit(&s, 1);
	e = come(1);
	stage_expect(&s, "opened 1\nframe 1 2.1 hello!\n");
	ck_assert_int_eq(t->info(t, peer, &info), 0);
	ck_assert(info.open);
	ck_assert_uint_eq(info.addr.family, 4);
	ck_assert_uint_le(dk_sim_now(s.world) - info.last_heard_ms, 100);
	/* Up: in order, whole, also when empty. */
	for (int i = 0; i < 5; i++)
		end_say(e, (uint8_t)(2 + i), (uint16_t)(60000 + i), dk_slice_n("abcd", (size_t)i), DK_RELIABLE);
	stage_run(&s, 50);
	stage_expect(&s,
		     "frame 1 2.60000 !\nframe 1 3.60001 a!\nframe 1 4.60002 ab!\nframe 1 5.60003 abc!\nframe 1 6.60004 abcd!\n");
	/* Version 0: the client key goes up, what concerns the connection alone does not. */
	end_say(e, 0, WIRE_CMD_CLIENT_KEY, text_slice("key"), DK_RELIABLE);
	stage_run(&s, 50);
	stage_expect(&s, "frame 1 0.4 key!\n");
	/* Down. */
	ck_assert_int_eq(stage_respond(&s, peer, "one", DK_RELIABLE), 0);
	ck_assert_int_eq(stage_push(&s, peer, "two", DK_RELIABLE), 0);
	ck_assert_int_eq(stage_respond(&s, peer, "", DK_RELIABLE), 0);
	ck_assert_int_eq(stage_push(&s, peer, "", DK_RELIABLE), 0);
	ck_assert_int_eq(stage_push(&s, peer, "three", DK_RELIABLE), 0);
	stage_run(&s, 200);
	if (e->mem)
		expect_got(e, "ok 2.10 one\npush 2.9 |two|\nok 2.10 \npush 2.9 ||\npush 2.9 |three|\n");
	else /* pushes of one command become one list */
		expect_got(e, "ok 2.10 one\npush 2.9 |two|\nok 2.10 \npush 2.9 ||three|\n");
	end();
}
END_TEST

/* A push that is a list already is not wrapped again. */
START_TEST(lists)
{
	struct dk_frame f = { .ver = 2, .status = DK_STATUS_PUSH, .cmd = 9, .payload = dk_slice_n("\0\0\0\1a\0\0\0\2bc", 11) };
	struct end *e;
	dk_id peer;

	begin(_i, NULL);
	peer = stage_admit(&s, 1);
	e = come(1);
	ck_assert_int_eq(t->send(t, peer, &f, DK_RELIABLE | DK_LISTED), 0);
	stage_run(&s, 100);
	expect_got(e, "push 2.9 |a|bc|\n");
	end();
}
END_TEST

/* A push that is to leave alone is not merged, and what comes after it is no part of it. */
START_TEST(alone)
{
	struct dk_frame f = { .ver = 2, .status = DK_STATUS_PUSH, .cmd = 9, .payload = dk_slice_n("\0\0\0\1a", 5) };
	struct end *e;
	dk_id peer;

	begin(_i, NULL);
	peer = stage_admit(&s, 1);
	e = come(1);
	ck_assert_int_eq(stage_push(&s, peer, "x", DK_RELIABLE), 0);
	ck_assert_int_eq(t->send(t, peer, &f, DK_RELIABLE | DK_ALONE), 0);
	ck_assert_int_eq(t->send(t, peer, &f, DK_RELIABLE | DK_ALONE), 0);
	ck_assert_int_eq(stage_push(&s, peer, "y", DK_RELIABLE), 0);
	stage_run(&s, 100);
	expect_got(e, "push 2.9 |x|\npush 2.9 |a|\npush 2.9 |a|\npush 2.9 |y|\n");
	end();
}
END_TEST

START_TEST(sent_before_it_came)
{
	struct end *e;
	dk_id peer;

	begin(_i, NULL);
	peer = stage_admit(&s, 1);
	ck_assert_int_eq(stage_respond(&s, peer, "early", DK_RELIABLE), 0);
	stage_run(&s, 1000);
	ck_assert_int_eq(stage_respond(&s, peer, "not so early", DK_RELIABLE), 0);
	e = arrive(1);
	stage_run(&s, 300);
	expect_got(e, e->udp ? "opened\nok 2.10 early\nok 2.10 not so early\n" : "ok 2.10 early\nok 2.10 not so early\n");
	end();
}
END_TEST

START_TEST(silence)
{
	struct end *a, *b;

	begin(_i, NULL);
	stage_admit(&s, 1);
	stage_admit(&s, 2);
	a = come(1);
	b = come(2);
	stage_forget(&s);
	vanish(b);
	for (int i = 0; i < 3; i++) {
		stage_run(&s, 4000);
		end_say(a, 0, WIRE_CMD_ECHO, text_slice("12345678"), DK_UNRELIABLE);
	}
	stage_expect(&s, "echo 1 \necho 1 \nclosed 2 silence\n");
	vanish(a);
	stage_run(&s, 10300);
	stage_expect(&s, "echo 1 \nclosed 1 silence\n");
	ck_assert_int_eq(stage_count(&s, "peers"), 0);
	end();
}
END_TEST

START_TEST(goodbye)
{
	struct end *e;
	dk_id peer;

	begin(_i, NULL);
	peer = stage_admit(&s, 1);
	e = come(1);
	stage_forget(&s);
	end_text(e, "last words", DK_RELIABLE);
	end_say(e, 0, WIRE_CMD_FIN, dk_slice_n(NULL, 0), DK_RELIABLE);
	stage_run(&s, 100);
	stage_expect(&s, "frame 1 2.1 last words!\nclosed 1 client\n");
	ck_assert(is_gone(peer));
	end();
}
END_TEST

START_TEST(closed_by_the_server)
{
	struct end *e;
	dk_id peer;

	begin(_i, NULL);
	peer = stage_admit(&s, 1);
	e = come(1);
	stage_forget(&s);
	ck_assert_int_eq(stage_respond(&s, peer, "goodbye", DK_RELIABLE), 0);
	t->close(t, peer, DK_REASON_REPLACED);
	stage_expect(&s, "closed 1 replaced\n"); /* at once, and once */
	ck_assert(is_gone(peer));
	stage_run(&s, 5000);
	stage_expect(&s, "");
	/* What was sent last came, and then the client knew that this was the end. */
	expect_got(e, e->udp ? "ok 2.10 goodbye\nclosed\n" : "ok 2.10 goodbye\nended\n");
	ck_assert(e->over);
	end();
}
END_TEST

/* Peers may be closed, and sent to, from inside everything that the sink is told. */
static const char *close_in;
static bool close_other;
static dk_id others[3];

static void closer(struct sink *sink, const char *what, uint64_t name, dk_id peer)
{
	(void)sink;
	if (name == 9 || strcmp(what, close_in))
		return;
	stage_respond(&s, peer, "answer", DK_RELIABLE);
	t->flush(t, peer);
	if (close_other)
		t->close(t, others[name], DK_REASON_SLOW);
	t->close(t, peer, DK_REASON_SERVER);
	t->close(t, peer, DK_REASON_SERVER);
	if (strcmp(what, "closed")) /* the handle is stale when that returns */
		ck_assert_int_eq(stage_respond(&s, peer, "too late", DK_RELIABLE), DK_GONE);
}

START_TEST(closing_from_inside)
{
	static const char *const in[] = { "opened", "frame", "echo", "closed" };

	begin(_i, NULL);
	for (size_t i = 0; i < DK_ARRAY_LEN(in); i++) {
		for (int other = 0; other < 2; other++) {
			struct end *a, *b;
			char want[256];

			s.sink->inside = NULL;
			others[1] = stage_admit(&s, 9);
			b = come(9);
			stage_admit(&s, 1);
			stage_forget(&s);
			close_in = in[i];
			close_other = other;
			s.sink->inside = closer;
			a = arrive(1);
			end_say(a, 0, WIRE_CMD_ECHO, text_slice("12345678"), DK_RELIABLE);
			end_text(a, "after", DK_RELIABLE);
			end_say(a, 0, WIRE_CMD_FIN, dk_slice_n(NULL, 0), DK_RELIABLE);
			stage_run(&s, 100);
			snprintf(want, sizeof(want), "opened 1\n%s%s%s%sclosed 1 %s\n%s", i > 0 ? "frame 1 2.1 hello!\n" : "",
				 i > 1 ? "echo 1 \n" : "", i > 2 ? "frame 1 2.1 after!\n" : "",
				 other && i < 3 ? "closed 9 slow\n" : "", i < 3 ? "server" : "client",
				 other && i == 3 ? "closed 9 slow\n" : "");
			stage_expect(&s, want);
			s.sink->inside = NULL;
			if (!other)
				t->close(t, others[1], DK_REASON_SERVER);
			stage_run(&s, 4000);
			stage_forget(&s);
			ck_assert_int_eq(stage_count(&s, "peers"), 0);
			end_free(a);
			end_free(b);
		}
	}
	end();
}
END_TEST

static void replace(struct sink *sink, const char *what, uint64_t name, dk_id peer)
{
	(void)sink;
	if (name != 1 || strcmp(what, "frame"))
		return;
	t->close(t, peer, DK_REASON_REPLACED);
	t->close(t, others[0], DK_REASON_REPLACED);
	ck_assert_int_eq(stage_respond(&s, stage_admit(&s, 2), "welcome", DK_RELIABLE), 0);
	ck_assert_int_eq(stage_respond(&s, stage_admit(&s, 5), "welcome", DK_RELIABLE), 0);
}

/* Memory of a peer that goes is not another's before nobody looks at it: one that speaks and one with output
 * waiting are closed in a frame, others are admitted there, and a third has output waiting all the while. */
START_TEST(replaced_from_inside)
{
	struct end *a, *b, *c;
	dk_id third;

	begin(_i, NULL);
	stage_admit(&s, 1);
	third = stage_admit(&s, 3);
	others[0] = stage_admit(&s, 4);
	a = come(1);
	c = come(3);
	stage_forget(&s);
	s.sink->inside = replace;
	ck_assert_int_eq(stage_respond(&s, third, "still there", DK_RELIABLE), 0);
	ck_assert_int_eq(stage_respond(&s, others[0], "never read", DK_RELIABLE), 0);
	end_text(a, "x", DK_RELIABLE);
	end_text(a, "y", DK_RELIABLE);
	dk_sim_run(s.world, 50); /* no turn before the frames come */
	stage_expect(&s, "frame 1 2.1 x!\nclosed 1 replaced\nclosed 4 replaced\n");
	expect_got(c, "ok 2.10 still there\n");
	for (unsigned name = 2; name <= 5; name += 3) {
		b = arrive(name);
		stage_run(&s, 300);
		expect_got(b, b->udp ? "opened\nok 2.10 welcome\n" : "ok 2.10 welcome\n");
	}
	stage_expect(&s, "opened 2\nframe 2 2.1 hello!\nopened 5\nframe 5 2.1 hello!\n");
	end();
}
END_TEST

/* Output has an end, and reaching it calls nobody; others are not concerned. */
START_TEST(full)
{
	static const char kilobyte[1025] = { [0 ... 1023] = 'x' };
	struct end *a, *b;
	int rc = 0, sent = 0;
	dk_id one, two;

	begin(_i, kinds[_i].tight);
	one = stage_admit(&s, 1);
	two = stage_admit(&s, 2);
	a = come(1);
	b = come(2);
	stage_forget(&s);
	vanish(a);
	for (; sent < 4000 && (rc = stage_respond(&s, one, kilobyte, DK_RELIABLE)) == 0; sent++)
		;
	ck_assert_int_eq(rc, DK_FULL);
	ck_assert_int_gt(sent, 1);
	stage_expect(&s, "");
	ck_assert_int_eq(stage_respond(&s, two, "you can read", DK_RELIABLE), 0);
	stage_run(&s, 200);
	expect_got(b, "ok 2.10 you can read\n");
	t->close(t, one, DK_REASON_SLOW);
	t->close(t, two, DK_REASON_SLOW);
	end();
}
END_TEST

START_TEST(too_long)
{
	static char text[200001];
	dk_id peer;

	begin(_i, NULL);
	peer = stage_admit(&s, 1);
	memset(text, 'x', sizeof(text) - 1);
	text[k->too_long] = '\0';
	if (k->too_long) {
		ck_assert_int_eq(stage_respond(&s, peer, text, DK_RELIABLE), DK_TOO_LONG);
		text[60000] = '\0';
	}
	ck_assert_int_eq(stage_respond(&s, peer, text, DK_RELIABLE), 0);
	end();
}
END_TEST

START_TEST(echo)
{
	struct end *e;

	begin(_i, NULL);
	stage_admit(&s, 1);
	e = come(1);
	stage_forget(&s);
	end_say(e, 0, WIRE_CMD_ECHO,
		dk_slice_n("12345678\0\0\0\7"
			   "1.2.3.4",
			   19),
		DK_UNRELIABLE);
	stage_run(&s, 50);
	ck_assert_msg(strstr(s.sink->log, "echo 1 "), "%s", s.sink->log);
	stage_forget(&s);
	s.sink->notes = "tea is ready";
	end_say(e, 0, WIRE_CMD_ECHO, text_slice("12345678"), DK_UNRELIABLE);
	stage_run(&s, 50);
	stage_expect(&s, "echo 1 \n");
	if (e->mem)
		expect_got(e, "echo 0 - -\necho 0 - tea is ready\n");
	else
		expect_got(e, "echo 1 10.2.0.1:5000 -\necho 1 10.2.0.1:5000 tea is ready\n");
	end();
}
END_TEST

/* The node stops: everybody is told, nothing is left. */
START_TEST(shutdown)
{
	struct end *e;

	begin(_i, NULL);
	stage_admit(&s, 1);
	stage_admit(&s, 2);
	e = come(1);
	stage_forget(&s);
	ck_assert_int_eq(stage_respond(&s, stage_admit(&s, 3), "nobody reads this", DK_RELIABLE), 0);
	ck_assert_int_eq(dk_harness_stop(s.node), 0);
	stage_expect(&s, "closed 1 shutdown\nclosed 2 shutdown\nclosed 3 shutdown\n");
	if (!e->mem) {
		dk_sim_run(s.world, 5000);
		ck_assert_msg(e->over, "the client does not know: %s", e->log);
	}
	end();
}
END_TEST

/* ---- a user that moves ---- */

/* "STATUS VER.CMD PAYLOAD" of what it is shown, pushes with their elements between bars. */
static char shown[512];

static void show(void *arg, const struct dk_frame *f, unsigned how)
{
	struct dk_cursor c = dk_cursor_of(f->payload);
	bool push = f->status == DK_STATUS_PUSH;
	size_t n = strlen(shown);
	dk_slice item;

	ck_assert_ptr_eq(arg, &s);
	ck_assert_uint_eq(how, DK_RELIABLE | (push ? DK_ALONE : 0));
	n += (size_t)snprintf(shown + n, sizeof(shown) - n, "%u %u.%u ", f->status, f->ver, f->cmd);
	while (push && wire_list_next(&c, &item))
		n += (size_t)snprintf(shown + n, sizeof(shown) - n, "|" DK_STR_FMT, DK_STR_ARG(dk_str_of(item)));
	snprintf(shown + n, sizeof(shown) - n, DK_STR_FMT "\n", DK_STR_ARG(dk_str_of(push ? dk_slice_n("|", 1) : f->payload)));
}

static void expect_unacked(dk_id peer, size_t n, const char *want)
{
	shown[0] = '\0';
	ck_assert_uint_eq(t->unacked(t, peer, show, &s), n);
	ck_assert_str_eq(shown, want);
	ck_assert_uint_eq(t->unacked(t, peer, NULL, NULL), n);
}

static uint32_t unacked(dk_id peer)
{
	struct dk_peer_info info;

	ck_assert_int_eq(t->info(t, peer, &info), 0);
	ck_assert_uint_eq(info.held, 0);
	return info.unacked;
}

START_TEST(credential)
{
	struct dk_credential cred, got;
	dk_id peer;

	begin(_i, NULL);
	peer = stage_admit(&s, 1);
	cred = stage_cred(&s, 1);
	for (int came = 0; came < 2; came++) {
		memset(&got, 0xff, sizeof(got));
		ck_assert_int_eq(t->credential(t, peer, &got), 0);
		ck_assert_mem_eq(got.sid, cred.sid, 16);
		ck_assert_mem_eq(got.key, cred.key, 16);
		ck_assert_mem_eq(got.iv, cred.iv, 16);
		ck_assert_mem_eq(got.mac_key, cred.mac_key, 16);
		ck_assert_int_eq(got.encrypted, cred.encrypted);
		if (!came)
			come(1);
	}
	t->close(t, peer, DK_REASON_SERVER);
	ck_assert_int_eq(t->credential(t, peer, &got), DK_GONE);
	end();
}
END_TEST

/* What waits for a client that has not come, and what one that does not listen was sent. */
START_TEST(not_acknowledged)
{
	bool tcp;
	struct end *e;
	dk_id peer;

	begin(_i, NULL);
	tcp = !strcmp(k->role, "TCP");
	peer = stage_admit(&s, 1);
	expect_unacked(peer, 0, "");
	ck_assert_uint_eq(unacked(peer), 0);
	stage_respond(&s, peer, "one", DK_RELIABLE);
	if (!tcp) /* where everything is reliable */
		stage_push(&s, peer, "lost", DK_UNRELIABLE);
	stage_push(&s, peer, "two", DK_RELIABLE);
	expect_unacked(peer, 2, "1 2.10 one\n255 2.9 |two|\n");
	ck_assert_uint_eq(unacked(peer), 2);
	e = arrive(1);
	stage_run(&s, 1000);
	expect_unacked(peer, 0, "");
	ck_assert_uint_eq(unacked(peer), tcp); /* who could know */
	vanish(e);
	stage_respond(&s, peer, "three", DK_RELIABLE);
	stage_run(&s, 300);
	stage_respond(&s, peer, "four", DK_RELIABLE);
	if (e->udp) {
		expect_unacked(peer, 2, "1 2.10 three\n1 2.10 four\n");
		ck_assert_uint_eq(unacked(peer), 2);
	} else if (tcp) {
		expect_unacked(peer, 1, "1 2.10 four\n");
		ck_assert_uint_eq(unacked(peer), 2);
		stage_run(&s, 10);
		ck_assert_uint_eq(unacked(peer), 1);
		dk_sim_tcp_close(e->tcp, false); /* it has read all, or would not end it in order */
		e->tcp = NULL;
		stage_run(&s, 10);
		ck_assert_uint_eq(unacked(peer), 0);
	} else { /* can be read */
		expect_unacked(peer, 0, "");
	}
	t->close(t, peer, DK_REASON_SERVER);
	expect_unacked(peer, 0, "");
	ck_assert_uint_eq(t->held(t, peer, show, &s), 0);
	end();
}
END_TEST

/* The peer goes without a word, and its sid is free at once, for who comes back too. */
START_TEST(moved)
{
	struct dk_credential cred;
	struct end *e;
	dk_id peer;

	begin(_i, NULL);
	peer = stage_admit(&s, 1);
	e = come(1);
	stage_forget(&s);
	stage_respond(&s, peer, "is for elsewhere", DK_RELIABLE);
	t->close(t, peer, DK_REASON_MOVED);
	stage_expect(&s, "closed 1 moved\n");
	ck_assert(is_gone(peer));
	cred = stage_cred(&s, 1);
	ck_assert_int_eq(t->credential(t, peer, &cred), DK_GONE);
	stage_run(&s, 50);
	if (e->udp) {
		/* What the old client says now is heard by nobody, and nobody kills it for it. */
		end_text(e, "too late", DK_RELIABLE);
		end_text(e, "too late", DK_UNRELIABLE);
		stage_run(&s, 2500);
		end_expect(e, "");
	} else {
		expect_got(e, e->mem ? "ok 2.10 is for elsewhere\nended\n" : "ended\n");
	}
	ck_assert_int_eq(stage_count(&s, "peers"), 0);
	stage_admit(&s, 1);
	end_free(e);
	arrive(1);
	stage_expect(&s, "opened 1\nframe 1 2.1 hello!\n");
	t->close(t, stage_admit(&s, 2), DK_REASON_MOVED);
	stage_admit(&s, 2);
	stage_expect(&s, "closed 2 moved\n");
	end();
}
END_TEST

/* Away and back, while the rest of it may still be there. */
START_TEST(moved_and_back)
{
	dk_id peer;

	begin(_i, NULL);
	for (int i = 0; i < 4; i++) {
		struct end *e;

		peer = stage_admit(&s, 1);
		e = come(1);
		stage_expect(&s, "opened 1\nframe 1 2.1 hello!\n");
		stage_respond(&s, peer, "x", DK_RELIABLE);
		t->close(t, peer, DK_REASON_MOVED);
		if (i & 1)
			stage_run(&s, 10);
		stage_expect(&s, "closed 1 moved\n");
		end_free(e);
	}
	stage_admit(&s, 1);
	ck_assert_int_eq(stage_count(&s, "peers"), 1);
	ck_assert_int_eq(dk_harness_stop(s.node), 0);
	stage_expect(&s, "closed 1 shutdown\n");
	end();
}
END_TEST

/* When the node goes, who has not come is waited for a moment, and who came as ever. */
START_TEST(offline)
{
	struct end *e;
	dk_id soon;

	begin(_i, NULL);
	stage_admit(&s, 1);
	stage_admit(&s, 2);
	soon = stage_admit(&s, 3);
	ck_assert_int_eq(t->wait(t, soon, 1000), 0);
	e = come(1);
	stage_forget(&s);
	s.sink->busy = 1;
	dk_stop(dk_harness_kernel(s.node));
	stage_run(&s, 800);
	stage_expect(&s, "");
	stage_run(&s, 400);
	stage_expect(&s, "closed 3 never\n");
	stage_run(&s, 1600);
	stage_expect(&s, "");
	stage_run(&s, 400);
	stage_expect(&s, "closed 2 never\n");
	stage_run(&s, 3000);
	stage_expect(&s, "");
	vanish(e);
	s.sink->busy = 0;
	end();
}
END_TEST

/* How long a client from elsewhere is waited for. */
START_TEST(waiting)
{
	static const uint32_t ms[] = { 1000, 15000, 30000 };
	struct end *e;
	dk_id peer;

	begin(_i, NULL);
	for (size_t i = 0; i < DK_ARRAY_LEN(ms); i++) {
		peer = stage_admit(&s, 1);
		stage_run(&s, 300);
		ck_assert_int_eq(t->wait(t, peer, ms[i]), 0);
		stage_run(&s, ms[i] - 200);
		stage_expect(&s, "");
		stage_run(&s, 400);
		stage_expect(&s, "closed 1 never\n");
		ck_assert_int_eq(t->wait(t, peer, 5), DK_GONE);
	}
	/* Who came is under the rule for all. */
	peer = stage_admit(&s, 2);
	ck_assert_int_eq(t->wait(t, peer, 1000), 0);
	e = come(2);
	stage_forget(&s);
	ck_assert_int_eq(t->wait(t, peer, 1000), 0);
	vanish(e);
	stage_run(&s, 9700);
	stage_expect(&s, "");
	stage_run(&s, 500);
	stage_expect(&s, "closed 2 silence\n");
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("transport contract");
	TCase *c = tcase_create("transports");
	int n = DK_ARRAY_LEN(kinds), failed;
	SRunner *runner;

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, who_it_is, 0, n);
	tcase_add_loop_test(c, admission, 0, n);
	tcase_add_loop_test(c, never_came, 0, n);
	tcase_add_loop_test(c, contact_and_frames, 0, n);
	tcase_add_loop_test(c, lists, 0, n);
	tcase_add_loop_test(c, alone, 0, n);
	tcase_add_loop_test(c, sent_before_it_came, 0, n);
	tcase_add_loop_test(c, silence, 0, n);
	tcase_add_loop_test(c, goodbye, 0, n);
	tcase_add_loop_test(c, closed_by_the_server, 0, n);
	tcase_add_loop_test(c, closing_from_inside, 0, n);
	tcase_add_loop_test(c, replaced_from_inside, 0, n);
	tcase_add_loop_test(c, full, 0, n);
	tcase_add_loop_test(c, too_long, 0, n);
	tcase_add_loop_test(c, echo, 0, n);
	tcase_add_loop_test(c, shutdown, 0, n);
	tcase_add_loop_test(c, credential, 0, n);
	tcase_add_loop_test(c, not_acknowledged, 0, n);
	tcase_add_loop_test(c, moved, 0, n);
	tcase_add_loop_test(c, moved_and_back, 0, n);
	tcase_add_loop_test(c, waiting, 0, n);
	tcase_add_loop_test(c, offline, 0, n);
	suite_add_tcase(suite, c);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
