/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room plays on while strangers send it everything: noise, forged control packets with real sids, and what they recorded of the
 * players, repeated, cut, spliced and flipped, from a thousand addresses of their own. The players hear each other exactly once and
 * in order; and no stranger's address gets more bytes than it sent, nor any but the four of a question or a kill packet.
 *
 *   sim_hostile                 the seeds of make check
 *   sim_hostile SEED            one of them, with what was sent and what came back
 */
#include "players.h"

#include "wire/wire.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define PLAYERS 8
#define HOSTILE 120000
#define PER_MS 6
#define ADDRESSES 1000
#define RECORDED 256
#define TALK_MS 40 /* between two messages of a player */

struct recorded {
	size_t n;
	uint8_t bytes[WIRE_DATAGRAM_MAX];
};

struct foe { /* one address */
	struct lab *lab;
	struct dk_sim_udp *socket;
	uint64_t sent, got;
};

struct lab {
	struct scene *scene;
	uint32_t next[PLAYERS][PLAYERS]; /* [listener][speaker]: the number that must come next */
	uint64_t deliveries, wrong;
	struct recorded recorded[RECORDED];
	uint64_t recorded_n;
	struct foe foes[ADDRESSES];
	uint64_t sent, sent_bytes, questions, kills, others, over;
	uint64_t seed, rng;
};

static void must(const struct lab *l, bool held, const char *what)
{
	if (held)
		return;
	fprintf(stderr, "seed %llu: %s\n", (unsigned long long)l->seed, what);
	exit(EXIT_FAILURE);
}

static uint32_t chance(struct lab *l)
{
	l->rng ^= l->rng << 13;
	l->rng ^= l->rng >> 7;
	l->rng ^= l->rng << 17;
	return (uint32_t)(l->rng >> 16);
}

static void on_heard(void *arg, unsigned player, const struct heard *h)
{
	struct lab *l = arg;

	if (h->from >= PLAYERS || l->next[player][h->from] != h->seq) {
		l->wrong++;
		return;
	}
	l->next[player][h->from]++;
	l->deliveries++;
}

static void on_tap(void *arg, unsigned player, dk_slice datagram)
{
	struct lab *l = arg;
	struct recorded *r = &l->recorded[l->recorded_n++ % RECORDED];

	(void)player;
	r->n = datagram.n < sizeof(r->bytes) ? datagram.n : sizeof(r->bytes);
	memcpy(r->bytes, datagram.p, r->n);
}

static void on_answer(void *arg, struct dk_sim_udp *u, const struct dk_addr *from, dk_slice bytes)
{
	struct foe *f = arg;

	(void)u;
	(void)from;
	f->got += bytes.n;
	if (f->got > f->sent)
		f->lab->over++;
	if (bytes.n == 4 && !memcmp(bytes.p, wire_kill_packet, 4))
		f->lab->kills++;
	else if (bytes.n == 4 && bytes.p[3] == WIRE_SYN)
		f->lab->questions++;
	else
		f->lab->others++;
}

/* ---- what strangers say ---- */

static struct recorded *any(struct lab *l)
{
	uint64_t n = l->recorded_n < RECORDED ? l->recorded_n : RECORDED;

	return &l->recorded[chance(l) % n];
}

static const uint8_t *known_sid(struct lab *l)
{
	const uint8_t *sid;
	enum wire_drop why;

	for (;;) {
		const struct recorded *r = any(l);

		if (wire_peek_sid(dk_slice_n(r->bytes, r->n), &sid, &why))
			return sid;
	}
}

static void noise(struct lab *l, uint8_t *p, size_t n)
{
	while (n-- > 0)
		*p++ = (uint8_t)chance(l);
}

static size_t say_noise(struct lab *l, uint8_t *p)
{
	size_t n = chance(l) % 1500;

	noise(l, p, n);
	if (n >= 4 && chance(l) % 2)
		p[3] = (uint8_t)(1 + chance(l) % 7);
	return n;
}

static size_t say_control(struct lab *l, uint8_t *p)
{
	noise(l, p, 20);
	if (chance(l) % 4)
		memcpy(p + 4, known_sid(l), 16);
	if (chance(l) % 2)
		p[0] = p[1] = p[2] = 0;
	p[3] = (uint8_t)(2 + chance(l) % 6);
	return chance(l) % 8 ? 20 : 20 + chance(l) % 5;
}

static size_t say_chunk(struct lab *l, uint8_t *p)
{
	static const uint8_t magic[4] = { 0xfe, 0xbe, 0xde, 0xef }, split[4] = { 0xff, 0xfe, 0xfd, 0xfc };
	size_t n = 41 + chance(l) % 1200;

	noise(l, p, n);
	p[1] = p[2] = 0;
	p[3] = WIRE_DAT;
	memcpy(p + 4, magic, 4);
	p[5 + 4] = 0;
	memcpy(p + 14, known_sid(l), 16);
	memcpy(p + 30, split, 4);
	p[36] = p[38] = 0;
	return n;
}

static size_t say_recorded(struct lab *l, uint8_t *p)
{
	const struct recorded *r = any(l);

	memcpy(p, r->bytes, r->n);
	return r->n;
}

static size_t say_flipped(struct lab *l, uint8_t *p)
{
	size_t n = say_recorded(l, p);

	for (unsigned flips = 1 + chance(l) % 8; flips > 0; flips--)
		p[chance(l) % n] ^= (uint8_t)(1u << chance(l) % 8);
	return n;
}

static size_t say_cut(struct lab *l, uint8_t *p)
{
	size_t n = say_recorded(l, p);

	return chance(l) % (n + 1);
}

static size_t say_longer(struct lab *l, uint8_t *p)
{
	size_t n = say_recorded(l, p), more = chance(l) % 200;

	noise(l, p + n, more);
	return n + more;
}

static size_t say_spliced(struct lab *l, uint8_t *p)
{
	const struct recorded *r = any(l);
	size_t n = say_cut(l, p), from = chance(l) % r->n;

	if (chance(l) % 2)
		from = 0;
	if (n + r->n - from > 1500)
		return n;
	memcpy(p + n, r->bytes + from, r->n - from);
	return n + r->n - from;
}

/* The same seal under another sequence, flag or command: what has no tag of its own. */
static size_t say_renamed(struct lab *l, uint8_t *p)
{
	size_t n = say_recorded(l, p);

	if (n < 14)
		return n;
	noise(l, p, 1 + chance(l) % 3);
	p[3] = (uint8_t)(1 + chance(l) % 7);
	if (chance(l) % 2) {
		p[8] = (uint8_t)(chance(l) % 3);
		p[12] = 0;
		p[13] = (uint8_t)(chance(l) % 6);
	}
	return n;
}

static void attack(struct lab *l)
{
	static size_t (*const ways[])(struct lab * l, uint8_t * p) = { say_noise,    say_control, say_chunk,
								       say_recorded, say_flipped, say_cut,
								       say_longer,   say_spliced, say_renamed };
	const struct dk_addr *server = dk_harness_addr(scene_harness(l->scene), "udp");
	struct foe *f = &l->foes[chance(l) % ADDRESSES];
	uint8_t bytes[4096];
	size_t n = ways[chance(l) % DK_ARRAY_LEN(ways)](l, bytes);

	f->sent += n;
	l->sent++;
	l->sent_bytes += n;
	dk_sim_udp_send(f->socket, server, dk_slice_n(bytes, n));
}

/* ---- the room ---- */

static int64_t refused(const struct lab *l)
{
	static const char *const counters[] = { "unknown_sid",      "over_rate",    "bad_utility",   "drop_size",
						"drop_flag",        "drop_magic",   "drop_frame",    "drop_sid",
						"drop_mac",         "drop_plain",   "drop_split",    "drop_sequence",
						"drop_duplicate",   "drop_address", "drop_unproven", "drop_ack",
						"drop_split_limit", "drop_closed",  "drop_memory" };
	int64_t n = 0;

	for (size_t i = 0; i < DK_ARRAY_LEN(counters); i++)
		n += dk_harness_counter(scene_harness(l->scene), "udp", counters[i]);
	return n;
}

static void foes_open(struct lab *l)
{
	char at[32];

	for (unsigned i = 0; i < ADDRESSES; i++) {
		struct foe *f = &l->foes[i];

		f->lab = l;
		snprintf(at, sizeof(at), "10.9.%u.%u:4000", i / 250, 1 + i % 250);
		must(l, dk_sim_udp_open(scene_world(l->scene), at, on_answer, f, &f->socket) == 0, "a socket was not opened");
	}
}

static void play(uint64_t seed, bool talkative)
{
	struct lab *l = calloc(1, sizeof(*l));
	struct scene_opts o = { .seed = seed,
				.players = PLAYERS,
				.heard = on_heard,
				.tap = on_tap,
				.arg = l,
				.link = { .delay_ms = 10, .jitter_ms = 5 } };
	uint64_t messages = 0, answered;
	int64_t before;

	l->seed = seed;
	l->rng = seed * 0x9e3779b97f4a7c15u + 1;
	l->scene = scene_new(&o);
	foes_open(l);
	before = refused(l);
	for (uint64_t ms = 0; l->sent < HOSTILE; ms++) {
		for (unsigned i = 0; i < PER_MS; i++)
			attack(l);
		if (ms % TALK_MS == 0) {
			for (unsigned p = 0; p < PLAYERS; p++)
				scene_say(l->scene, p, true, 40 + (ms + p) % 900);
			messages++;
		}
		scene_run(l->scene, 1);
	}
	scene_run(l->scene, 3000);
	answered = l->questions + l->kills;
	if (talkative)
		printf("%llu hostile datagrams, %llu bytes; back: %llu questions, %llu kill packets, %llu others\n"
		       "refused %lld; players: %llu messages heard, %llu wrong\n",
		       (unsigned long long)l->sent, (unsigned long long)l->sent_bytes, (unsigned long long)l->questions,
		       (unsigned long long)l->kills, (unsigned long long)l->others, (long long)(refused(l) - before),
		       (unsigned long long)l->deliveries, (unsigned long long)l->wrong);
	must(l, l->wrong == 0, "a player heard something twice or out of order");
	must(l, l->deliveries == messages * PLAYERS * PLAYERS, "a player missed something");
	must(l, l->others == 0, "a stranger was sent more than a question or a kill packet");
	must(l, l->over == 0, "an address was sent more than came from it");
	/* Each of them moved a counter, or was one of the few that get an answer. */
	must(l, refused(l) - before + (int64_t)answered >= (int64_t)l->sent * 99 / 100,
	     "something was neither refused nor answered");
	must(l, dk_harness_counter(scene_harness(l->scene), "udp", "peers") == PLAYERS, "a player was lost");
	must(l, dk_harness_counter(scene_harness(l->scene), "user", "moved") == 0, "a player was moved");
	must(l, dk_harness_counter(scene_harness(l->scene), "user", "connected") == PLAYERS, "a player had to come again");
	must(l, scene_free(l->scene) == 0, "the node left something behind");
	free(l);
}

START_TEST(a_room_under_attack)
{
	play((uint64_t)_i + 1, false);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("hostile bytes");
	TCase *tc = tcase_create("seeds");
	SRunner *runner;
	int failed;

	if (argc == 2) {
		play(strtoull(argv[1], NULL, 10), true);
		return 0;
	}
	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, a_room_under_attack, 0, 2);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
