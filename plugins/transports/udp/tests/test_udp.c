/* SPDX-License-Identifier: Apache-2.0 */
/* The transport udp: its options, its ends of a connection, addresses, rates, and what it says to whom. */
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

	snprintf(section, sizeof(section), "udp = { " AT "%s };", options);
	stage_open(&s, "udp", section);
	peer = stage_admit(&s, 1);
}

static void begin_with_user(const char *user, const char *udp)
{
	char section[512];

	snprintf(section, sizeof(section), "user = { %s }; udp = { " AT "%s };", user, udp);
	stage_open(&s, "udp", section);
}

static void end(void)
{
	stage_close(&s);
}

/* A client of peer 1, open, with a frame each way behind it. */
static struct end *home(void)
{
	struct end *e = end_opened(&s, 1, HOME);

	end_text(e, "hello", DK_RELIABLE);
	stage_run(&s, 20);
	ck_assert_int_eq(stage_respond(&s, peer, "hello", DK_RELIABLE), 0);
	stage_run(&s, 500); /* the first one is always sent twice: its acknowledgement could be a late one of the handshake */
	end_expect(e, "ok 2.10 hello!\n");
	stage_expect(&s, "opened 1\nframe 1 2.1 hello!\n");
	return e;
}

static void still_talks(struct end *e)
{
	end_text(e, "still here", DK_RELIABLE);
	end_text(e, "really", DK_UNRELIABLE);
	stage_run(&s, 700);
	if (strcmp(s.sink->log, "frame 1 2.1 still here!\nframe 1 2.1 really\n") != 0)
		ck_assert_str_eq(s.sink->log, "frame 1 2.1 really\nframe 1 2.1 still here!\n");
	stage_forget(&s);
	ck_assert_int_eq(stage_respond(&s, peer, "so am I", DK_RELIABLE), 0);
	stage_run(&s, 700);
	end_expect(e, "ok 2.10 so am I!\n");
}

static struct end *stranger(const char *at)
{
	struct dk_credential nobody = { .sid = { 99 } };
	struct end *e = end_udp(&s, &nobody, at);

	e->asleep = true; /* it says what the test says */
	return e;
}

/* ---- addresses ---- */

START_TEST(moves_with_proof)
{
	struct end *e;

	begin("");
	e = home();
	end_move(e, AWAY);
	end_text(e, "from elsewhere", DK_RELIABLE);
	stage_run(&s, 1000);
	stage_expect(&s, "moved 1 " AWAY "\nframe 1 2.1 from elsewhere!\n");
	still_talks(e);
	/* The old address is nobody's. */
	end_move(e, HOME);
	end_raw(e, dk_slice_n(raw_control(e->cred.sid, 0, WIRE_FIN).b, 20));
	stage_run(&s, 3000);
	stage_expect(&s, "");
	ck_assert_int_ge(stage_count(&s, "drop_address"), 1);
	end();
}
END_TEST

START_TEST(does_not_move_without_proof)
{
	struct end *e, *thief;
	struct raw recorded;

	begin("");
	e = home();
	thief = stranger(AWAY);
	for (int i = 0; i < 50; i++) {
		recorded = raw_datagram(&s, &e->cred, 0, WIRE_UDP, 2, 1, text_slice("recorded"));
		end_raw(thief, raw_slice(&recorded));
		recorded = raw_datagram(&s, &e->cred, (uint32_t)(1 + i), WIRE_DAT, 2, 1, text_slice("recorded"));
		end_raw(thief, raw_slice(&recorded));
		ck_assert_int_eq(stage_push(&s, peer, "for the client alone", DK_UNRELIABLE), 0);
		stage_run(&s, 20);
	}
	stage_expect(&s, "");
	/* Questions of four bytes, ten a second at most; nothing else. */
	ck_assert_uint_le(thief->datagrams_in, 11);
	ck_assert_uint_eq(thief->bytes_in, 4 * thief->datagrams_in);
	ck_assert_int_gt(stage_count(&s, "drop_unproven"), 0);
	end_forget(e);
	still_talks(e);
	end();
}
END_TEST

START_TEST(moves_by_mac_alone)
{
	struct end *e;

	begin("roamingMacOnly = true;");
	e = home();
	end_move(e, AWAY);
	end_text(e, "from elsewhere", DK_UNRELIABLE);
	stage_run(&s, 20);
	stage_expect(&s, "moved 1 " AWAY "\nframe 1 2.1 from elsewhere\n");
	still_talks(e);
	end();
}
END_TEST

/* A client program that starts over with the same credential, from the same or another address. */
START_TEST(begins_anew)
{
	struct end *e;

	begin("");
	e = home();
	ck_assert_int_eq(stage_respond(&s, peer, "unheard", DK_RELIABLE), 0);
	end_free(e);
	stage_run(&s, 1500);
	e = end_opened(&s, 1, _i ? HOME : AWAY);
	end_text(e, "anew", DK_RELIABLE);
	stage_run(&s, 700);
	stage_expect(&s, "opened 1 again\nframe 1 2.1 anew!\n");
	end_expect(e, "ok 2.10 unheard!\n");
	still_talks(e);
	end();
}
END_TEST

/* Who never shakes hands is served with plain frames, for no more bytes than come from there. */
START_TEST(plain_only)
{
	struct dk_credential cred;
	struct raw r;
	struct end *e;

	begin("");
	cred = stage_cred(&s, 1);
	e = end_udp(&s, &cred, HOME);
	e->asleep = true;
	for (int i = 0; i < 40; i++) {
		ck_assert_int_eq(stage_push(&s, peer, "this is much longer than what the client says, and so not all of it can go",
					    DK_UNRELIABLE),
				 0);
		r = raw_datagram(&s, &cred, 0, WIRE_UDP, 2, 1, text_slice("a"));
		end_raw(e, raw_slice(&r));
		stage_run(&s, 30);
		ck_assert_uint_le(e->bytes_in, e->bytes_out);
	}
	ck_assert_uint_gt(e->bytes_in, e->bytes_out / 4);
	ck_assert_uint_eq(s.sink->frames, 40);
	/* The whole rate is its own. */
	stage_run(&s, 1000 - dk_sim_now(s.world) % 1000);
	for (int i = 0; i < 200; i++)
		end_raw(e, raw_slice(&r));
	stage_run(&s, 500);
	ck_assert_uint_eq(s.sink->frames, 240);
	/* Reliable data waits for the proof. */
	r = raw_datagram(&s, &cred, 0, WIRE_DAT, 2, 1, text_slice("reliable"));
	end_raw(e, raw_slice(&r));
	stage_run(&s, 100);
	ck_assert_uint_eq(s.sink->frames, 240);
	ck_assert_int_eq(stage_count(&s, "drop_unproven"), 1);
	end();
}
END_TEST

static void close_opened(struct sink *sink, const char *what, uint64_t name, dk_id p)
{
	(void)name;
	if (!strcmp(what, "opened"))
		sink->transport->close(sink->transport, p, DK_REASON_SERVER);
}

/* Its first frame is its contact, and whoever is told of that may close it. */
START_TEST(closed_at_contact)
{
	struct dk_credential cred;
	struct raw r;
	struct end *e;

	begin("");
	s.sink->inside = close_opened;
	cred = stage_cred(&s, 1);
	e = end_udp(&s, &cred, HOME);
	e->asleep = true;
	r = raw_datagram(&s, &cred, 0, WIRE_UDP, 2, 1, text_slice("a"));
	end_raw(e, raw_slice(&r));
	stage_run(&s, 50);
	stage_expect(&s, "opened 1\nclosed 1 server\n");
	end();
}
END_TEST

/* ---- games: whatever is said in somebody's name, from elsewhere or with a forged source, the client's session goes on ---- */

enum from { FOREIGN, BOUND };

static struct end *victim;
static uint32_t in_flight; /* the server's sequence that the client has not acknowledged */

static struct raw control(uint32_t seq, enum wire_flag flag)
{
	return raw_control(victim->cred.sid, seq, flag);
}

static struct raw plain_frame(uint8_t ver, uint16_t cmd, const char *text, enum wire_flag flag, uint32_t seq)
{
	return raw_datagram(&s, &victim->cred, seq, flag, ver, cmd, text_slice(text));
}

static struct raw g_fin(void)
{
	return control(0, WIRE_FIN);
}
static struct raw g_syn(void)
{
	return control(0, WIRE_SYN);
}
static struct raw g_late_syn(void)
{
	return control(5, WIRE_SYN);
}
static struct raw g_ack(void)
{
	return control(in_flight, WIRE_ACK);
}
static struct raw g_eack(void)
{
	return control(in_flight, WIRE_EACK);
}
static struct raw g_ack_future(void)
{
	return control(in_flight + 1, WIRE_ACK);
}
static struct raw g_ack_zero(void)
{
	return control(0, WIRE_ACK);
}
static struct raw g_acks(void)
{
	struct raw r = { .n = 0 };

	for (uint32_t i = 0; i < 8; i++) {
		memcpy(r.b + r.n, control(in_flight + i - 4, WIRE_ACK).b, 20);
		r.n += 20;
	}
	return r;
}
static struct raw g_replay_plain(void)
{
	return plain_frame(2, 1, "recorded", WIRE_UDP, 0);
}
static struct raw g_replay_old_dat(void)
{
	return plain_frame(2, 1, "hello", WIRE_DAT, 0);
}
static struct raw g_replay_next_dat(void)
{
	return plain_frame(2, 1, "recorded", WIRE_DAT, 1);
}
static struct raw g_replay_rst(void)
{
	return plain_frame(2, 1, "recorded", WIRE_RST, 1);
}
static struct raw g_replay_far_dat(void)
{
	return plain_frame(2, 1, "recorded", WIRE_DAT, 5000);
}
static struct raw g_other_command(void) /* what was recorded under 2.1 said under 0.0 */
{
	return plain_frame(0, 0, "recorded", WIRE_UDP, 0);
}
static struct raw g_goodbye(void) /* what was recorded of an empty command */
{
	return plain_frame(0, 0, "", WIRE_UDP, 0);
}
static struct raw g_chunk(void)
{
	return raw_chunk(victim->cred.sid, 1, 7, 0, 2, text_slice("poison"));
}
static struct raw g_chunk_far(void)
{
	return raw_chunk(victim->cred.sid, 5000, 7, 0, 2, text_slice("poison"));
}
static struct raw g_chunk_bad(void)
{
	return raw_chunk(victim->cred.sid, 1, 7, 3, 2, text_slice("poison"));
}
static struct raw g_bare_chunk(void)
{
	struct raw r = raw_chunk(victim->cred.sid, 1, 7, 0, 2, text_slice("poison"));

	memmove(r.b + 4, r.b + 4 + WIRE_FRAME_UP, r.n - 4 - WIRE_FRAME_UP);
	r.n -= WIRE_FRAME_UP;
	return r;
}
static struct raw g_kill(void)
{
	struct raw r = { .n = 4 };

	memcpy(r.b, wire_kill_packet, 4);
	return r;
}
static struct raw g_flipped(void)
{
	struct raw r = plain_frame(2, 1, "recorded", WIRE_UDP, 0);

	r.b[r.n - 1] ^= 1;
	return r;
}
static struct raw g_cut(void)
{
	struct raw r = plain_frame(2, 1, "recorded", WIRE_UDP, 0);

	r.n -= 5;
	return r;
}
static struct raw g_shortened(void) /* the length inside the seal has no tag */
{
	struct raw r = plain_frame(2, 1, "recorded", WIRE_UDP, 0);

	r.b[WIRE_HEADER_LEN + WIRE_FRAME_UP + 3] = 3;
	return r;
}
static struct raw g_other_sid(void)
{
	struct raw r = plain_frame(2, 1, "recorded", WIRE_UDP, 0);

	r.b[WIRE_HEADER_LEN + 10] ^= 0x80;
	return r;
}
static struct raw g_second_sid(void)
{
	struct raw r = plain_frame(2, 1, "recorded", WIRE_UDP, 0), second = g_other_sid();

	memcpy(r.b + r.n, second.b + WIRE_HEADER_LEN, second.n - WIRE_HEADER_LEN);
	r.n += second.n - WIRE_HEADER_LEN;
	return r;
}
static struct raw g_flag(void)
{
	struct raw r = plain_frame(2, 1, "recorded", WIRE_UDP, 0);

	r.b[3] = 9;
	return r;
}
static struct raw g_nothing(void)
{
	return (struct raw){ .n = 0 };
}
static struct raw g_long(void)
{
	struct raw r = plain_frame(2, 1, "recorded", WIRE_UDP, 0);

	r.n = 1500;
	return r;
}

static const struct game {
	const char *name;
	enum from from;
	struct raw (*make)(void);
	const char *counter; /* what it moves; NULL: see answers */
	unsigned answers; /* bytes that go back to a foreign address */
} games[] = {
	{ "FIN from elsewhere", FOREIGN, g_fin, "drop_address", 0 },
	{ "SYN from elsewhere", FOREIGN, g_syn, NULL, 4 },
	{ "SYN with a number, from elsewhere", FOREIGN, g_late_syn, "drop_flag", 0 },
	{ "ACK of what is in flight, from elsewhere", FOREIGN, g_ack, "drop_address", 0 },
	{ "EACK of what is in flight, from elsewhere", FOREIGN, g_eack, "drop_address", 0 },
	{ "ACK of what is not in flight, from elsewhere", FOREIGN, g_ack_future, "drop_address", 0 },
	{ "glued ACKs from elsewhere", FOREIGN, g_acks, "drop_address", 0 },
	{ "a replay from elsewhere", FOREIGN, g_replay_plain, "drop_unproven", 4 },
	{ "a replay of an old DAT from elsewhere", FOREIGN, g_replay_old_dat, "drop_unproven", 4 },
	{ "a replay as the next DAT from elsewhere", FOREIGN, g_replay_next_dat, "drop_unproven", 4 },
	{ "a replay as RST from elsewhere", FOREIGN, g_replay_rst, "drop_unproven", 4 },
	{ "a replay under another command from elsewhere", FOREIGN, g_other_command, "drop_unproven", 4 },
	{ "a goodbye from elsewhere", FOREIGN, g_goodbye, "drop_unproven", 4 },
	{ "a chunk from elsewhere", FOREIGN, g_chunk, "drop_unproven", 0 },
	{ "a bare chunk from elsewhere", FOREIGN, g_bare_chunk, "drop_magic", 0 },
	{ "a kill packet from elsewhere", FOREIGN, g_kill, "drop_size", 0 },
	{ "a flipped bit, from elsewhere", FOREIGN, g_flipped, "drop_mac", 0 },
	{ "a frame cut short, from elsewhere", FOREIGN, g_cut, "drop_frame", 0 },
	{ "a shortened message from elsewhere", FOREIGN, g_shortened, "drop_unproven", 4 },
	{ "another sid, from elsewhere", FOREIGN, g_other_sid, "unknown_sid", 0 },
	{ "two sids, from elsewhere", FOREIGN, g_second_sid, "drop_sid", 0 },
	{ "nothing, from elsewhere", FOREIGN, g_nothing, "drop_size", 0 },
	{ "too much, from elsewhere", FOREIGN, g_long, "drop_size", 0 },
	{ "FIN in the client's name", BOUND, g_fin, NULL, 0 },
	{ "SYN in the client's name", BOUND, g_syn, NULL, 0 },
	{ "SYN with a number, in the client's name", BOUND, g_late_syn, "drop_flag", 0 },
	{ "ACK of what is not in flight", BOUND, g_ack_future, "drop_ack", 0 },
	{ "ACK of 0", BOUND, g_ack_zero, "drop_ack", 0 },
	{ "a replay of an old DAT", BOUND, g_replay_old_dat, "drop_duplicate", 0 },
	{ "a replay far ahead", BOUND, g_replay_far_dat, "drop_sequence", 0 },
	{ "a replay under another command", BOUND, g_other_command, "bad_utility", 0 },
	{ "a chunk far ahead", BOUND, g_chunk_far, "drop_sequence", 0 },
	{ "an impossible chunk", BOUND, g_chunk_bad, "drop_split", 0 },
	{ "a bare chunk", BOUND, g_bare_chunk, "drop_magic", 0 },
	{ "a kill packet", BOUND, g_kill, "drop_size", 0 },
	{ "a flipped bit", BOUND, g_flipped, "drop_mac", 0 },
	{ "a shortened message", BOUND, g_shortened, "drop_plain", 0 },
	{ "a flag that does not exist", BOUND, g_flag, "drop_flag", 0 },
};

START_TEST(games_disturb_nobody)
{
	const struct game *g = &games[_i];
	struct end *other;
	struct raw r;
	int64_t before;

	begin("");
	victim = home();
	other = stranger(AWAY);
	stage_run(&s, 4000);
	/* Something is in flight that the client does not acknowledge yet. */
	victim->asleep = true;
	ck_assert_int_eq(stage_respond(&s, peer, "in flight", DK_RELIABLE), 0);
	stage_run(&s, 10);
	in_flight = (uint32_t)victim->peer.rudp.rx_next & 0xffffff;
	before = g->counter ? stage_count(&s, g->counter) : 0;
	r = g->make();
	end_raw(g->from == FOREIGN ? other : victim, raw_slice(&r));
	stage_run(&s, 300);
	if (g->counter)
		ck_assert_msg(stage_count(&s, g->counter) > before, "%s: %s did not move", g->name, g->counter);
	ck_assert_msg(other->bytes_in == g->answers, "%s: %u bytes went back", g->name, (unsigned)other->bytes_in);
	ck_assert_msg(s.sink->log_n == 0, "%s: %s", g->name, s.sink->log);
	victim->asleep = false;
	stage_run(&s, 1500);
	end_expect(victim, "ok 2.10 in flight!\n");
	still_talks(victim);
	stage_run(&s, 5000);
	stage_expect(&s, "");
	ck_assert_uint_eq(other->bytes_in, g->answers);
	end();
}
END_TEST

/* Somebody who read the sid on the way cannot use up its owner's rate. */
START_TEST(flood_with_a_known_sid)
{
	struct end *e, *other;
	struct raw junk, syn;

	begin("packetRate = 100;");
	e = home();
	other = stranger(AWAY);
	junk = raw_datagram(&s, &e->cred, 0, WIRE_UDP, 2, 1, text_slice("x"));
	junk.b[junk.n - 1] ^= 1;
	syn = raw_control(e->cred.sid, 0, WIRE_SYN);
	for (int i = 0; i < 1000; i++) {
		end_raw(other, raw_slice(&junk));
		end_raw(other, raw_slice(&syn));
		if (i % 50 == 0)
			end_text(e, "not impressed", DK_UNRELIABLE);
		stage_run(&s, 1);
	}
	stage_run(&s, 100);
	ck_assert_uint_eq(s.sink->frames, 1 + 20);
	ck_assert_int_ge(stage_count(&s, "over_rate"), 1700);
	ck_assert_uint_le(other->bytes_in, 4 * 200);
	stage_forget(&s);
	still_talks(e);
	end();
}
END_TEST

START_TEST(packet_rate)
{
	struct end *e;

	begin("packetRate = 50;");
	e = home();
	for (int round = 0; round < 3; round++) {
		stage_run(&s, 1000 - dk_sim_now(s.world) % 1000);
		s.sink->frames = 0;
		s.sink->mute = true;
		for (int i = 0; i < 120; i++)
			end_text(e, "x", DK_UNRELIABLE);
		stage_run(&s, 500);
		ck_assert_uint_eq(s.sink->frames, 50);
	}
	ck_assert_int_eq(stage_count(&s, "over_rate"), 3 * 70);
	end();
}
END_TEST

/* ---- the ends of a connection ---- */

START_TEST(gives_up_retrying)
{
	struct end *e;

	begin("connectionTTL = 600; maxRetry = 2; retryInterval = 100;");
	e = home();
	e->asleep = true;
	ck_assert_int_eq(stage_respond(&s, peer, "nobody acknowledges this", DK_RELIABLE), 0);
	stage_run(&s, 3000);
	stage_expect(&s, "closed 1 retry\n");
	ck_assert_int_ge(stage_count(&s, "resends"), 2);
	ck_assert_int_le(stage_count(&s, "resends"), 5); /* one of them for "hello" */
	end();
}
END_TEST

START_TEST(fin_datagram)
{
	struct end *e;
	struct raw r;

	begin("");
	e = home();
	r = raw_control(e->cred.sid, 0, WIRE_FIN);
	end_raw(e, raw_slice(&r));
	stage_run(&s, 1900);
	stage_expect(&s, ""); /* anybody could have said so */
	stage_run(&s, 300);
	stage_expect(&s, "closed 1 client\n");
	end();
}
END_TEST

/*
 * A program ends right behind its goodbye, and another one speaks from its address under another sid, before what was for the
 * first one has come: acknowledgements, which name no sid and are no answer to the SYN of the second.
 */
START_TEST(next_at_the_address)
{
	const struct dk_sim_link slow = { .delay_ms = 5 };
	struct dk_credential cred;
	char text[1001] = "";
	struct end *e;
	struct raw r;

	begin("");
	stage_admit(&s, 2);
	cred = stage_cred(&s, 2);
	e = home();
	dk_sim_link(s.world, NULL, NULL, &slow);
	for (int i = 0; i < _i; i++)
		end_text(e, "last words", DK_RELIABLE);
	r = raw_control(e->cred.sid, (uint32_t)e->peer.rudp.tx_next, WIRE_FIN);
	end_raw(e, raw_slice(&r));
	end_free(e);
	stage_run(&s, 2);
	e = end_udp(&s, &cred, HOME);
	memset(text, 'x', sizeof(text) - 1); /* a datagram each */
	s.sink->mute = true;
	s.sink->frames = 0;
	for (int i = 0; i < 4; i++)
		end_text(e, text, DK_RELIABLE);
	end_open(e);
	stage_run(&s, 150);
	end_expect(e, "opened\n");
	stage_expect(&s, "opened 2\n");
	ck_assert_uint_eq(s.sink->frames, (unsigned)_i + 4);
	end();
}
END_TEST

/* What was sent last and the goodbye are repeated until they were heard; meanwhile nobody here remembers the peer. */
START_TEST(lingers)
{
	struct end *e, *again;
	uint64_t before;

	begin("");
	e = home();
	e->asleep = true;
	ck_assert_int_eq(stage_respond(&s, peer, "you are dismissed", DK_RELIABLE), 0);
	s.transport->close(s.transport, peer, DK_REASON_SERVER);
	stage_expect(&s, "closed 1 server\n");
	ck_assert_int_eq(stage_count(&s, "peers"), 0);
	ck_assert_int_eq(stage_respond(&s, peer, "x", DK_RELIABLE), DK_GONE);
	stage_run(&s, 400);
	e->asleep = false;
	/* Who tries to open it is told that there is nothing. */
	again = end_udp(&s, &e->cred, AWAY);
	end_open(again);
	stage_run(&s, 50);
	end_expect(again, "killed\n");
	ck_assert_int_eq(stage_count(&s, "killed"), 1);
	end_text(e, "too late", DK_RELIABLE);
	stage_run(&s, 4000);
	end_expect(e, "ok 2.10 you are dismissed!\nclosed\n");
	stage_expect(&s, "");
	/* It is over now, and a client that never answers does not change that. */
	before = e->datagrams_in;
	stage_run(&s, 5000);
	ck_assert_uint_eq(e->datagrams_in, before);
	end_free(e);

	peer = stage_admit(&s, 1);
	e = home();
	e->asleep = true;
	ck_assert_int_eq(stage_respond(&s, peer, "nobody reads this", DK_RELIABLE), 0);
	s.transport->close(s.transport, peer, DK_REASON_SERVER);
	stage_run(&s, 12000);
	before = e->datagrams_in;
	stage_run(&s, 12000);
	ck_assert_uint_eq(e->datagrams_in, before);
	end();
}
END_TEST

/* The node's end waits a little for those who are there, and not for those who are not. */
START_TEST(stops)
{
	struct end *here, *deaf, *away;
	uint64_t began;
	dk_id two;

	begin("");
	here = home();
	two = stage_admit(&s, 2);
	deaf = end_opened(&s, 2, "10.2.0.2:5000"); /* what it says gets lost */
	ck_assert_int_eq(dk_sim_link(s.world, "10.2.0.2", NULL, &(struct dk_sim_link){ .loss = 1 }), 0);
	stage_admit(&s, 3);
	away = end_opened(&s, 3, AWAY);
	away->asleep = true;
	ck_assert_int_eq(stage_respond(&s, peer, "last words", DK_RELIABLE), 0);
	ck_assert_int_eq(stage_respond(&s, two, "last words", DK_RELIABLE), 0);
	began = dk_sim_now(s.world);
	ck_assert_int_eq(dk_harness_stop(s.node), 0);
	ck_assert_uint_le(dk_sim_now(s.world) - began, 500);
	dk_sim_run(s.world, 3000);
	end_expect(here, "ok 2.10 last words!\nclosed\n");
	end_expect(deaf, "ok 2.10 last words!\nclosed\n");
	ck_assert_uint_ge(away->datagrams_in, 2); /* the handshake's answer, and goodbyes */
	end();
}
END_TEST

START_TEST(stops_at_once)
{
	uint64_t began;

	begin("");
	s.transport->close(s.transport, peer, DK_REASON_SERVER);
	stage_run(&s, 10);
	began = dk_sim_now(s.world);
	ck_assert_int_eq(dk_harness_stop(s.node), 0);
	ck_assert_uint_le(dk_sim_now(s.world) - began, 20);
	end();
}
END_TEST

/* ---- what goes out ---- */

static uint64_t arrival(struct end *e, uint64_t limit_ms)
{
	uint64_t began = dk_sim_now(s.world), got = e->datagrams_in;

	while (e->datagrams_in == got && dk_sim_now(s.world) - began < limit_ms)
		dk_sim_run(s.world, 1);
	return dk_sim_now(s.world) - began;
}

START_TEST(send_interval)
{
	uint64_t ms, datagrams;
	struct end *e;

	begin("sendUDPInterval = 80;");
	e = home();
	for (int i = 0; i < 8; i++) {
		stage_run(&s, 500 + (uint64_t)i * 7);
		datagrams = e->datagrams_in;
		stage_run(&s, 1);
		for (int n = 0; n < 5; n++)
			ck_assert_int_eq(stage_push(&s, peer, "x", DK_UNRELIABLE), 0);
		stage_run(&s, 2);
		ck_assert_uint_eq(e->datagrams_in, datagrams);
		ms = arrival(e, 500);
		ck_assert_msg(ms >= 70 && ms <= 88, "it took %u ms", (unsigned)ms);
		stage_run(&s, 200);
		ck_assert_uint_eq(e->datagrams_in, datagrams + 1);
		end_expect(e, "push 2.9 |x|x|x|x|x|\n");
	}
	/* Reliable frames do not wait, nor does what is flushed, nor the answer to an echo. */
	ck_assert_int_eq(stage_push(&s, peer, "x", DK_RELIABLE), 0);
	stage_run(&s, 5);
	end_expect(e, "push 2.9 |x|!\n");
	ck_assert_int_eq(stage_push(&s, peer, "x", DK_UNRELIABLE), 0);
	s.transport->flush(s.transport, peer);
	stage_run(&s, 5);
	end_expect(e, "push 2.9 |x|\n");
	end_say(e, 0, WIRE_CMD_ECHO, text_slice("12345678"), DK_UNRELIABLE);
	stage_run(&s, 5);
	end_expect(e, "echo 1 " HOME " -\n");
	end();
}
END_TEST

START_TEST(without_send_interval)
{
	struct end *e;

	begin("sendUDPInterval = 9;");
	e = home();
	ck_assert_int_eq(stage_push(&s, peer, "x", DK_UNRELIABLE), 0);
	stage_run(&s, 5);
	end_expect(e, "push 2.9 |x|\n");
	end();
}
END_TEST

/* Timers of reliable data are looked at in that rhythm: a slow one finds a loss late. */
START_TEST(rudp_interval)
{
	uint64_t ms;
	struct end *e;

	begin(_i ? "handleRUDPInterval = 1000;" : "handleRUDPInterval = 10;");
	e = home();
	e->asleep = true;
	ck_assert_int_eq(stage_respond(&s, peer, "x", DK_RELIABLE), 0);
	stage_run(&s, 3);
	ms = arrival(e, 3000);
	if (_i)
		ck_assert_msg(ms > 200 && ms <= 1000, "it took %u ms", (unsigned)ms);
	else
		ck_assert_msg(ms <= 120, "it took %u ms", (unsigned)ms);
	end();
}
END_TEST

START_TEST(long_messages)
{
	static uint8_t text[60000];
	struct dk_frame f = { .ver = 2, .status = DK_STATUS_OK, .cmd = 10, .payload = dk_slice_n(text, sizeof(text)) };
	struct end *e;

	begin("");
	e = home();
	e->mute = s.sink->mute = true;
	ck_assert_int_eq(s.transport->send(s.transport, peer, &f, DK_RELIABLE), 0);
	ck_assert_int_eq(s.transport->send(s.transport, peer, &f, DK_UNRELIABLE), DK_TOO_LONG);
	ck_assert_int_eq(end_say(e, 2, 1, f.payload, DK_RELIABLE), 0);
	stage_run(&s, 500);
	ck_assert_uint_eq(e->frames, 2);
	ck_assert_uint_eq(s.sink->frames, 2);
	ck_assert_int_ge(stage_count(&s, "splits_in"), 46);
	ck_assert_int_ge(stage_count(&s, "splits_out"), 46);
	end();
}
END_TEST

/* The system takes no output for a while: what is newest survives, and reliable data all comes. */
START_TEST(stall)
{
	char text[101] = "";
	struct end *e;

	begin("");
	e = home();
	memset(text, 'x', 100);
	dk_sim_stall(s.world, true);
	for (int i = 0; i < 100; i++) {
		text[0] = (char)(' ' + i % 90);
		ck_assert_int_eq(stage_respond(&s, peer, text, DK_UNRELIABLE), 0);
		stage_run(&s, 1);
	}
	ck_assert_int_eq(stage_respond(&s, peer, "the last", DK_UNRELIABLE), 0);
	ck_assert_int_eq(stage_respond(&s, peer, "reliable", DK_RELIABLE), 0);
	stage_run(&s, 1);
	end_expect(e, "");
	dk_sim_stall(s.world, false);
	stage_run(&s, 600);
	ck_assert_msg(strstr(e->log, "the last\n"), "the newest one got lost");
	ck_assert_msg(strstr(e->log, "reliable!\n"), "the reliable one got lost");
	ck_assert_uint_ge(e->datagrams_in, 55);
	ck_assert_uint_le(e->datagrams_in, 75);
	end_forget(e);
	stage_forget(&s);
	still_talks(e);
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
		{ WIRE_CMD_ECHO, "12345678", 8, "echo 1 " HOME " -\n" },
		{ WIRE_CMD_ECHO,
		  "12345678\0\0\0\x0c"
		  "1.2.3.4:5678",
		  24, "echo 1 " HOME " -\n" },
		{ WIRE_CMD_ECHO, "", 0, "" },
		{ WIRE_CMD_ECHO, "1234567", 7, "" },
		{ WIRE_CMD_ECHO,
		  "12345678\0\0\0\x0d"
		  "1.2.3.4:5678",
		  24, "" },
		{ WIRE_CMD_ECHO, "12345678\0\0\0", 11, "" },
		{ WIRE_CMD_PING, "12345678", 8, "ping 1\n" },
		{ WIRE_CMD_PING, "1234567", 7, "" },
		{ WIRE_CMD_PING, "123456789", 9, "" },
		{ WIRE_CMD_PING, "", 0, "" },
		{ WIRE_CMD_FIN, "?", 1, "" },
	};
	int64_t bad = 0;
	struct end *e;

	begin("");
	e = home();
	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		for (int how = 0; how < 2; how++) {
			end_say(e, 0, rows[i].cmd, dk_slice_n(rows[i].payload, rows[i].n), how ? DK_RELIABLE : DK_UNRELIABLE);
			stage_run(&s, 50);
			end_expect(e, rows[i].answer);
			bad += !*rows[i].answer;
			ck_assert_int_eq(stage_count(&s, "bad_utility"), bad);
		}
	}
	stage_forget(&s);
	still_talks(e);
	end();
}
END_TEST

START_TEST(hides_addresses)
{
	struct end *e;

	begin("enableP2P = false;");
	e = home();
	end_say(e, 0, WIRE_CMD_ECHO, text_slice("12345678"), DK_UNRELIABLE);
	stage_run(&s, 5);
	end_expect(e, "echo 1 0.0.0.0:0 -\n");
	end();
}
END_TEST

/* ---- strangers ---- */

START_TEST(kill_packets)
{
	struct end *other, *host;
	struct raw syn, not_quite;

	begin("");
	other = stranger(AWAY);
	host = stranger("127.0.0.1:9000");
	syn = raw_control((const uint8_t *)"nobody's sid ...", 0, WIRE_SYN);
	/* Twenty bytes and sequence 0, or nothing. */
	not_quite = syn;
	not_quite.b[0] = 1;
	end_raw(other, raw_slice(&not_quite));
	not_quite = syn;
	not_quite.n = 21;
	end_raw(other, raw_slice(&not_quite));
	stage_run(&s, 10);
	ck_assert_uint_eq(other->bytes_in, 0);
	end_raw(other, raw_slice(&syn));
	stage_run(&s, 10);
	ck_assert_uint_eq(other->bytes_in, 4);
	/* A thousand a second, and as many for this computer's own. */
	stage_run(&s, 2000 - dk_sim_now(s.world) % 1000);
	other->bytes_in = 0;
	for (int i = 0; i < 3000; i++) {
		end_raw(other, raw_slice(&syn));
		if (i % 3 == 0)
			end_raw(host, raw_slice(&syn));
		if (i % 30 == 0)
			stage_run(&s, 1);
	}
	stage_run(&s, 100);
	ck_assert_uint_eq(other->bytes_in, 4000);
	ck_assert_uint_eq(host->bytes_in, 4000);
	ck_assert_int_eq(stage_count(&s, "killed"), 2001);
	stage_run(&s, 1000);
	end_raw(other, raw_slice(&syn));
	stage_run(&s, 10);
	ck_assert_uint_eq(other->bytes_in, 4004);
	end();
}
END_TEST

/* A client that comes before anybody knows it is told so, within the budget of all; what else it says gets nothing. Once it is
 * known it gets in. */
START_TEST(known_later)
{
	struct dk_credential cred;
	struct end *e;
	struct raw r;

	begin("");
	cred = stage_cred(&s, 2);
	e = end_udp(&s, &cred, HOME);
	for (unsigned flag = WIRE_UDP; flag <= WIRE_FIN; flag++) {
		if (flag == WIRE_SYN)
			continue;
		r = flag <= WIRE_RST && flag != WIRE_ACK ? raw_datagram(&s, &cred, 0, flag, 2, 1, text_slice("hello"))
							 : raw_control(cred.sid, 0, flag);
		end_raw(e, raw_slice(&r));
	}
	stage_run(&s, 50);
	ck_assert_uint_eq(e->bytes_in, 0);
	ck_assert_int_eq(stage_count(&s, "unknown_sid"), 6);
	end_open(e);
	stage_run(&s, 50);
	end_expect(e, "killed\n");
	ck_assert_uint_eq(e->bytes_in, 4);
	end_free(e);
	stage_admit(&s, 2);
	e = end_opened(&s, 2, HOME);
	end_text(e, "hello", DK_RELIABLE);
	stage_run(&s, 50);
	stage_expect(&s, "opened 2\nframe 2 2.1 hello!\n");
	end();
}
END_TEST

/* Its user lives elsewhere. For a second what it repeats is acknowledged; nothing new is, nobody is killed, nothing goes out
 * unasked; and what it says later is of a sid that nobody knows. */
START_TEST(moved_away)
{
	struct raw old, fresh, r;
	uint64_t before;
	struct end *e;

	begin("");
	e = home();
	ck_assert_int_eq(stage_respond(&s, peer, "is for elsewhere", DK_RELIABLE), 0);
	stage_run(&s, 1);
	e->asleep = true;
	s.transport->close(s.transport, peer, DK_REASON_MOVED);
	stage_expect(&s, "closed 1 moved\n");
	stage_run(&s, 50);
	before = e->bytes_in;
	old = raw_datagram(&s, &e->cred, 0, WIRE_RST, 2, 1, text_slice("hello"));
	fresh = raw_datagram(&s, &e->cred, 1, WIRE_DAT, 2, 1, text_slice("new"));
	for (int i = 0; i < 3; i++) {
		end_raw(e, raw_slice(&old));
		end_raw(e, raw_slice(&fresh));
		r = raw_datagram(&s, &e->cred, 0, WIRE_UDP, 0, WIRE_CMD_ECHO, text_slice("12345678"));
		end_raw(e, raw_slice(&r));
		for (uint32_t seq = 0; seq < 4; seq++) {
			r = raw_control(e->cred.sid, seq, WIRE_ACK);
			end_raw(e, raw_slice(&r));
			r = raw_control(e->cred.sid, seq, WIRE_EACK);
			end_raw(e, raw_slice(&r));
		}
		stage_run(&s, 300);
		ck_assert_uint_eq(e->bytes_in - before, 4 * (i + 1)); /* an EACK each time */
	}
	stage_run(&s, 200);
	before = e->bytes_in;
	end_raw(e, raw_slice(&old));
	end_raw(e, raw_slice(&fresh));
	r = raw_control(e->cred.sid, 0, WIRE_FIN);
	end_raw(e, raw_slice(&r));
	stage_run(&s, 300);
	ck_assert_uint_eq(e->bytes_in, before);
	ck_assert_int_eq(stage_count(&s, "unknown_sid"), 3);
	ck_assert_int_eq(stage_count(&s, "killed"), 0);
	stage_expect(&s, "");
	end();
}
END_TEST

/* What came behind a gap can be taken along. */
static void show(void *arg, const struct dk_frame *f, unsigned how)
{
	ck_assert_ptr_eq(arg, &s);
	ck_assert_uint_eq(how, DK_RELIABLE);
	ck_assert_mem_eq(f->payload.p, "behind it", 9);
}

START_TEST(held)
{
	struct dk_peer_info info;
	struct end *e;
	struct raw r;

	begin("");
	e = home();
	e->asleep = true;
	r = raw_datagram(&s, &e->cred, 2, WIRE_DAT, 2, 1, text_slice("behind it"));
	end_raw(e, raw_slice(&r));
	stage_run(&s, 50);
	stage_expect(&s, "");
	ck_assert_int_eq(s.transport->info(s.transport, peer, &info), 0);
	ck_assert_uint_eq(info.held, 1);
	ck_assert_uint_eq(s.transport->held(s.transport, peer, show, &s), 1);
	r = raw_datagram(&s, &e->cred, 1, WIRE_DAT, 2, 1, text_slice("before it"));
	end_raw(e, raw_slice(&r));
	stage_run(&s, 50);
	stage_expect(&s, "frame 1 2.1 before it!\nframe 1 2.1 behind it!\n");
	ck_assert_int_eq(s.transport->info(s.transport, peer, &info), 0);
	ck_assert_uint_eq(info.held, 0);
	end();
}
END_TEST

/* ---- with users ---- */

START_TEST(client_key)
{
	struct dk_credential cred;
	struct end *e;
	dk_id user;

	begin_with_user("client_key = \"sesame\";", "");
	/* Plain frames that overtake the key are dropped; then it counts. */
	cred = stage_user(&s, "ann", &user);
	e = end_udp(&s, &cred, HOME);
	end_open(e);
	stage_run(&s, 20);
	end_text(e, "too early", DK_UNRELIABLE);
	stage_run(&s, 20);
	end_say(e, 0, WIRE_CMD_CLIENT_KEY, text_slice("sesame"), DK_RELIABLE);
	end_text(e, "in time", DK_UNRELIABLE);
	stage_run(&s, 20);
	ck_assert_int_eq(dk_harness_counter(s.node, "user", "before_key"), 1);
	stage_expect(&s, "connected ann\ncall ann in time\n");
	end_expect(e, "opened\nok 2.1 in time\n");
	/* A wrong one, another frame in its place: the end. */
	for (int i = 0; i < 3; i++) {
		struct end *bad;

		cred = stage_user(&s, "bob", &user);
		bad = end_udp(&s, &cred, AWAY);
		end_open(bad);
		stage_run(&s, 20);
		if (i == 2)
			end_text(bad, "let me in", DK_RELIABLE);
		else
			end_say(bad, 0, WIRE_CMD_CLIENT_KEY, text_slice(i ? "" : "sesamf"), DK_RELIABLE);
		end_text(bad, "and this", DK_RELIABLE);
		stage_run(&s, 3000);
		stage_expect(&s, "connected bob\ndiscarded bob key\n");
		end_expect(bad, "opened\nclosed\n");
		ck_assert_int_eq(dk_harness_counter(s.node, "user", "wrong_key"), i + 1);
		end_free(bad);
	}
	/* A client that begins anew shows it again. */
	end_free(e);
	cred = stage_user(&s, "ann", &user);
	stage_expect(&s, "discarded ann replaced\n");
	for (int i = 0; i < 2; i++) {
		e = end_udp(&s, &cred, HOME);
		end_open(e);
		stage_run(&s, 20);
		if (!i)
			end_say(e, 0, WIRE_CMD_CLIENT_KEY, text_slice("sesame"), DK_RELIABLE);
		end_text(e, "x", DK_RELIABLE);
		stage_run(&s, 3000);
		stage_expect(&s, i ? "connected ann again\ndiscarded ann key\n" : "connected ann\ncall ann x\n");
		end_free(e);
	}
	end();
}
END_TEST

START_TEST(users)
{
	struct dk_credential cred;
	struct end *e;
	dk_id user;

	begin_with_user("", "");
	cred = stage_user(&s, "ann", &user);
	e = end_udp(&s, &cred, HOME);
	end_open(e);
	stage_run(&s, 20);
	end_text(e, "x", DK_RELIABLE);
	s.sink->notes = "mail";
	end_say(e, 0, WIRE_CMD_ECHO, text_slice("12345678"), DK_UNRELIABLE);
	stage_run(&s, 20);
	stage_expect(&s, "connected ann\ncall ann x\nalive ann\n");
	end_expect(e, "opened\nok 2.1 x!\necho 1 " HOME " mail\n");
	/* Its address changes; for its next plain frame the proof comes too late. */
	end_move(e, AWAY);
	end_text(e, "lost", DK_UNRELIABLE);
	stage_run(&s, 20);
	end_text(e, "from elsewhere", DK_UNRELIABLE);
	stage_run(&s, 20);
	stage_expect(&s, "moved ann " AWAY "\ncall ann from elsewhere\n");
	/* The same uid comes again. */
	end_forget(e);
	stage_user(&s, "ann", &user);
	stage_expect(&s, "discarded ann replaced\n");
	stage_run(&s, 3000);
	end_expect(e, "push 0.6 ||!\nclosed\n"); /* the last word */
	stage_run(&s, 8000);
	stage_expect(&s, "discarded ann never\n");
	/* A command that disconnects who calls it, in the middle of a datagram. */
	cred = stage_user(&s, "bob", &user);
	e = end_udp(&s, &cred, "10.4.0.1:7000");
	end_open(e);
	stage_run(&s, 20);
	end_text(e, "a", DK_RELIABLE);
	end_say(e, 2, 5, dk_slice_n(NULL, 0), DK_RELIABLE);
	end_text(e, "b", DK_RELIABLE);
	stage_run(&s, 100);
	stage_expect(&s, "connected bob\ncall bob a\ndiscarded bob server\n");
	end();
}
END_TEST

/* From SIGTERM on echoes say that the node goes, and no SYN needs to be answered for it. */
START_TEST(offline)
{
	struct dk_credential cred;
	struct end *e;
	dk_id user;

	begin_with_user("", "");
	cred = stage_user(&s, "ann", &user);
	e = end_udp(&s, &cred, HOME);
	end_open(e);
	stage_run(&s, 20);
	dk_stop(dk_harness_kernel(s.node));
	stage_run(&s, 20);
	end_say(e, 0, WIRE_CMD_ECHO, text_slice("12345678"), DK_UNRELIABLE);
	end_say(e, 0, WIRE_CMD_PING, text_slice("12345678"), DK_UNRELIABLE);
	stage_run(&s, 20);
	end_expect(e, "opened\necho 2 " HOME " -\nping 2\n");
	end_say(e, 0, WIRE_CMD_FIN, dk_slice_n(NULL, 0), DK_RELIABLE);
	end();
}
END_TEST

/* A user whose reliable output runs over is disconnected, with that reason. */
START_TEST(slow)
{
	static char kilobyte[1024];
	struct dk_credential cred;
	struct end *e;
	dk_id user;
	int rc = 0;

	begin_with_user("", "connectionTTL = 100; maxRetry = 1000;");
	cred = stage_user(&s, "ann", &user);
	e = end_udp(&s, &cred, HOME);
	end_open(e);
	stage_run(&s, 20);
	end_text(e, "x", DK_RELIABLE);
	stage_run(&s, 20);
	stage_forget(&s);
	e->asleep = true;
	for (int i = 0; i < 3000 && !rc; i++)
		rc = s.sink->user->push(s.sink->user, user, 2, 9, dk_slice_n(kilobyte, sizeof(kilobyte)), DK_RELIABLE);
	ck_assert_int_eq(rc, DK_FULL);
	stage_run(&s, 20);
	stage_expect(&s, "discarded ann slow\n");
	ck_assert_int_eq(dk_harness_counter(s.node, "user", "slow"), 1);
	end();
}
END_TEST

/* ---- configuration ---- */

START_TEST(reload)
{
	char file[] = "/tmp/diarkis-udp-XXXXXX", section[256];
	struct end *e;
	int fd = mkstemp(file);

	ck_assert_int_ge(fd, 0);
	close(fd);
	snprintf(section, sizeof(section), "udp = { " AT "config = \"%s\"; };", file);
	stage_options(NULL, file, "{ \"connectionTTL\": 60 }");
	stage_open(&s, "udp", section);
	peer = stage_admit(&s, 1);
	stage_admit(&s, 2);
	e = home();
	/* Rate. */
	stage_options(&s, file, "{ \"connectionTTL\": 60, \"packetRate\": 3 }");
	stage_run(&s, 1000 - dk_sim_now(s.world) % 1000);
	for (int i = 0; i < 10; i++)
		end_text(e, "x", DK_UNRELIABLE);
	stage_run(&s, 20);
	stage_expect(&s, "frame 1 2.1 x\nframe 1 2.1 x\nframe 1 2.1 x\n");
	/* Interval. */
	stage_options(&s, file, "{ \"connectionTTL\": 60, \"sendUDPInterval\": 200 }");
	stage_push(&s, peer, "x", DK_UNRELIABLE);
	stage_run(&s, 150);
	end_expect(e, "");
	stage_run(&s, 100);
	end_expect(e, "push 2.9 |x|\n");
	/* Silence: those who are here already, too. */
	stage_run(&s, 2000);
	stage_expect(&s, "");
	stage_options(&s, file, "{ \"connectionTTL\": 3 }");
	stage_run(&s, 1500);
	stage_expect(&s, "closed 2 never\nclosed 1 silence\n");
	unlink(file);
	end();
}
END_TEST

START_TEST(ports_and_names)
{
	static const struct {
		const char *options, *says;
	} bad[] = {
		{ "address = \"nowhere\";", "address \"nowhere\" is no IP address" },
		{ "address = \"\"; nic = \"nix0\";", "nic = \"nix0\" has no address; set one of the two" },
		{ "address = \"10.9.9.9\"; port = 70000;", "port" },
	};
	static const char *const env[] = { "DIARKIS_SERVER_TYPE=FIELD", NULL };
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_sink, NULL };
	struct dk_harness_opts o = { .plugins = plugins, .env = env };
	struct dk_transport *t;
	const struct dk_addr *a;
	struct dk_harness *h;
	char config[256];

	o.config = "plugins = { sink = {}; udp = { " AT "}; };";
	h = dk_harness_open(&o);
	t = dk_harness_service(h, DK_TRANSPORT_NAME);
	ck_assert_str_eq(t->type, "FIELD");
	ck_assert_str_eq(t->role, "UDP");
	ck_assert_int_eq(dk_harness_free(h), 0);
	o.env = NULL;
	o.config = "plugins = { sink = {}; udp = { " AT "type = \"LOBBY\"; port = 0; }; };";
	h = dk_harness_open(&o);
	t = dk_harness_service(h, DK_TRANSPORT_NAME);
	ck_assert_str_eq(t->type, "LOBBY");
	ck_assert_uint_ne(dk_harness_addr(h, "udp")->port, 0);
	ck_assert_int_eq(dk_harness_free(h), 0);
	/* Taken ports are passed over; a public address comes with a warning. */
	o.world = dk_env_sim(1);
	ck_assert_int_eq(dk_sim_udp_open(o.world, "10.0.0.1:7100", NULL, NULL, &(struct dk_sim_udp *){ NULL }), 0);
	ck_assert_int_eq(dk_sim_udp_open(o.world, "10.0.0.1:7101", NULL, NULL, &(struct dk_sim_udp *){ NULL }), 0);
	o.config = "plugins = { sink = {}; udp = { " AT "}; };";
	h = dk_harness_open(&o);
	a = dk_harness_addr(h, "udp");
	ck_assert_uint_eq(a->port, 7102);
	ck_assert(!dk_harness_log_has(h, "not private"));
	ck_assert_int_eq(dk_harness_free(h), 0);
	o.config = "plugins = { sink = {}; udp = { address = \"0.0.0.0\"; }; };";
	h = dk_harness_open(&o);
	ck_assert(dk_harness_log_has(h, "not private"));
	ck_assert_int_eq(dk_harness_free(h), 0);
	dk_env_free(o.world);
	/* Mistakes are sentences. */
	o.world = NULL;
	for (size_t i = 0; i < DK_ARRAY_LEN(bad); i++) {
		int code = 0;

		snprintf(config, sizeof(config), "plugins = { sink = {}; udp = { %s }; };", bad[i].options);
		o.config = config;
		o.stay = true;
		h = dk_harness_open(&o);
		if (!h)
			continue; /* refused before it was made */
		ck_assert_int_eq(dk_begin(dk_harness_kernel(h)), 0);
		dk_harness_advance(h, 10);
		ck_assert(dk_finished(dk_harness_kernel(h), &code) && code == 1);
		ck_assert_msg(dk_harness_log_has(h, bad[i].says), "%s", dk_harness_log(h));
		dk_harness_free(h);
	}
}
END_TEST

/* ---- counters: each is moved by something, by one of the games or by these ---- */

static void c_split_limit(struct end *e)
{
	struct raw r = raw_chunk(e->cred.sid, 1, 7, 0, 2, text_slice("the second half never comes"));

	end_raw(e, raw_slice(&r));
	stage_run(&s, 4000);
	e->peer.rudp.tx_next = 2;
	end_text(e, "overtaken", DK_RELIABLE);
	stage_run(&s, 100);
}

static void c_memory(struct end *e)
{
	struct raw r = raw_control(e->cred.sid, 0, WIRE_SYN);
	struct end *other = stranger(AWAY);

	for (int i = 0; i < 10; i++)
		end_raw(other, raw_slice(&r));
}

static void say_closed(struct sink *sink, const char *what, uint64_t name, dk_id p)
{
	(void)name;
	if (!strcmp(what, "frame"))
		sink->transport->close(sink->transport, p, DK_REASON_SERVER);
}

static void c_closed(struct end *e)
{
	struct raw r = raw_datagram(&s, &e->cred, 0, WIRE_UDP, 2, 1, text_slice("x"));
	struct raw f = raw_frame(&s, &e->cred, 2, 1, text_slice("y"));

	s.sink->inside = say_closed;
	memcpy(r.b + r.n, f.b, f.n);
	r.n += f.n;
	end_raw(e, raw_slice(&r));
}

static void c_resends(struct end *e)
{
	e->asleep = true;
	stage_respond(&s, peer, "x", DK_RELIABLE);
	stage_run(&s, 1000);
}

static void c_splits(struct end *e)
{
	static char text[5000];

	memset(text, 'x', sizeof(text) - 1);
	stage_respond(&s, peer, text, DK_RELIABLE);
	end_text(e, text, DK_RELIABLE);
	stage_run(&s, 500);
}

static void c_killed(struct end *e)
{
	struct raw r = raw_control((const uint8_t *)"nobody's sid ...", 0, WIRE_SYN);

	end_raw(e, raw_slice(&r));
}

static void c_rate(struct end *e)
{
	for (int i = 0; i < 1100; i++)
		end_text(e, "x", DK_UNRELIABLE);
}

static void c_traffic(struct end *e)
{
	end_text(e, "x", DK_UNRELIABLE);
	stage_respond(&s, peer, "x", DK_RELIABLE);
}

static void c_peers(struct end *e)
{
	(void)e;
	stage_admit(&s, 5);
}

static const struct {
	const char *counter;
	void (*move)(struct end *e);
} moved_by[] = {
	{ "packets_in", c_traffic },
	{ "packets_out", c_traffic },
	{ "bytes_in", c_traffic },
	{ "bytes_out", c_traffic },
	{ "frames_in", c_traffic },
	{ "frames_out", c_traffic },
	{ "peers", c_peers },
	{ "over_rate", c_rate },
	{ "killed", c_killed },
	{ "resends", c_resends },
	{ "splits_in", c_splits },
	{ "splits_out", c_splits },
	{ "drop_split_limit", c_split_limit },
	{ "drop_closed", c_closed },
	{ "drop_memory", c_memory },
};

/* No counter of the descriptor is left out. */
START_TEST(all_counters)
{
	const struct dk_plugin_desc *desc = NULL;
	const char *instance = "";
	size_t n = 0;

	begin("");
	for (size_t i = 0; strcmp(instance, "udp") && (desc = dk_plugin_at(s.sink, i, &instance)); i++)
		;
	ck_assert_ptr_nonnull(desc);
	for (const struct dk_counter *c = desc->counters; c->name; c++, n++) {
		bool found = false;

		for (size_t i = 0; i < DK_ARRAY_LEN(moved_by); i++)
			found |= !strcmp(moved_by[i].counter, c->name);
		for (size_t i = 0; i < DK_ARRAY_LEN(games); i++)
			found |= games[i].counter && !strcmp(games[i].counter, c->name);
		ck_assert_msg(found, "nothing here moves the counter %s", c->name);
	}
	ck_assert_uint_gt(n, 25);
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
	Suite *suite = suite_create("udp");
	TCase *c = tcase_create("udp");
	SRunner *runner;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_test(c, moves_with_proof);
	tcase_add_test(c, does_not_move_without_proof);
	tcase_add_test(c, moves_by_mac_alone);
	tcase_add_loop_test(c, begins_anew, 0, 2);
	tcase_add_test(c, plain_only);
	tcase_add_test(c, closed_at_contact);
	tcase_add_loop_test(c, games_disturb_nobody, 0, DK_ARRAY_LEN(games));
	tcase_add_test(c, flood_with_a_known_sid);
	tcase_add_test(c, packet_rate);
	tcase_add_test(c, gives_up_retrying);
	tcase_add_test(c, fin_datagram);
	tcase_add_loop_test(c, next_at_the_address, 0, 4);
	tcase_add_test(c, lingers);
	tcase_add_test(c, stops);
	tcase_add_test(c, stops_at_once);
	tcase_add_test(c, send_interval);
	tcase_add_test(c, without_send_interval);
	tcase_add_loop_test(c, rudp_interval, 0, 2);
	tcase_add_test(c, long_messages);
	tcase_add_test(c, stall);
	tcase_add_test(c, utility);
	tcase_add_test(c, hides_addresses);
	tcase_add_test(c, kill_packets);
	tcase_add_test(c, known_later);
	tcase_add_test(c, moved_away);
	tcase_add_test(c, held);
	tcase_add_test(c, client_key);
	tcase_add_test(c, users);
	tcase_add_test(c, offline);
	tcase_add_test(c, slow);
	tcase_add_test(c, reload);
	tcase_add_test(c, ports_and_names);
	tcase_add_test(c, all_counters);
	tcase_add_loop_test(c, each_counter, 0, DK_ARRAY_LEN(moved_by));
	suite_add_tcase(suite, c);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
