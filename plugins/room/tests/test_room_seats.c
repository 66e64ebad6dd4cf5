/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seats, in 10,000 random schedules: members and reservations of a room are never more than it has seats, whatever joins, leaves,
 * reservations, moves, crashes, stops and partitions come in whatever order. A schedule is one room, its few players, and what they
 * and code do to it, drawn from a seed of its own. A hundred of them run at a time in one cluster, so what happens to nodes happens
 * to a hundred rooms; and a room that was ended is made anew. Every room of every node is looked at after every millisecond.
 *
 * ROOM_SEATS_WORLDS=N in the environment runs N clusters in place of 100, from number ROOM_SEATS_FIRST on; ROOM_SEATS_WORLD=N that
 * one alone. A failing one prints its number. plugins/room/tests/many-seats.sh runs a million schedules. What has to hold when all
 * has calmed down is tested by test_room_walk.
 */
#include "fabric.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { NODES = 4, SCHEDULES = 100, PLAYERS = 4, STEPS = 24, WORLDS = 100, PARTS = 4 };

struct schedule {
	uint64_t chance; /* state of its generator */
	struct dk_id52 id;
	bool made;
	struct player *players[PLAYERS];
	char uids[PLAYERS][16];
};

static struct schedule schedules[SCHEDULES];
static uint64_t the_world, trouble_chance;
static unsigned comers;

/* splitmix64: one stream for each schedule, and one for what happens to nodes. */
static uint32_t draw(uint64_t *state, uint32_t n)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (uint32_t)((z ^ (z >> 31)) % n);
}

/* ---- what must hold ---- */

static uint64_t looked, most_full;

static void check_seats(void)
{
	for (unsigned i = 0; i < NODES; i++) {
		struct dk_room *svc = fabric[i].rooms;
		struct dk_room_info info;
		uint32_t slot = 0;
		dk_id room;

		if (!fabric[i].h)
			continue;
		while ((room = svc->next(svc, &slot))) {
			/* Check writes a line of a file for each assertion it passes. */
			if (svc->info(svc, room, &info) || info.members + info.reserved > info.max_members ||
			    (info.members && !info.owner))
				ck_abort_msg("world %llu, %llu ms, node %u, room " DK_STR_FMT
					     ": %u members and %u kept seats of %u, owner %llx",
					     (unsigned long long)the_world, (unsigned long long)dk_sim_now(fabric_world), i,
					     DK_STR_ARG(dk_str_n(info.id.c, DK_ID52_LEN)), info.members, info.reserved,
					     info.max_members, (unsigned long long)info.owner);
			looked++;
			most_full += info.members + info.reserved == info.max_members;
		}
	}
}

/* What the worlds had of each, as far as their nodes lived to tell: a rule that nothing puts to the test holds by itself. */
static const char *const kinds[] = {
	"joined", "left", "full", "sent_to_join", "migrated_in", "thawed", "taken_over", "superseded"
};
static int64_t tally[DK_ARRAY_LEN(kinds)];

static void count_up(void)
{
	for (unsigned i = 0; i < NODES; i++)
		for (size_t k = 0; fabric[i].h && k < DK_ARRAY_LEN(kinds); k++)
			tally[k] += fabric_count(i, kinds[k]);
}

static void run(unsigned ms)
{
	while (ms--) {
		fabric_run(1);
		check_seats();
	}
}

/* ---- what happens to nodes: one trouble at a time ---- */

static struct {
	enum { NO_TROUBLE, KILLED, PAUSED, CUT_OFF } what;
	unsigned node, until_known, until_over;
	bool known;
} trouble;

static void believe_of(unsigned of, enum dk_health health)
{
	for (unsigned i = 0; i < NODES; i++)
		if (i != of && fabric[i].h)
			fabric_believe(i, of, health);
}

static void begin_trouble(void)
{
	trouble.what = 1 + draw(&trouble_chance, 3);
	trouble.node = draw(&trouble_chance, NODES);
	trouble.until_known = 150 + draw(&trouble_chance, 300);
	trouble.until_over = trouble.until_known + draw(&trouble_chance, 600);
	trouble.known = false;
	if (trouble.what == KILLED)
		fabric_kill(trouble.node);
	else if (trouble.what == PAUSED)
		fabric_pause(trouble.node, true);
	else
		for (unsigned i = 0; i < NODES; i++)
			if (i != trouble.node)
				fabric_cut(trouble.node, i, true);
}

static void end_trouble(void)
{
	unsigned node = trouble.node;

	if (trouble.what == KILLED) {
		fabric_restart(node);
	} else if (trouble.what == PAUSED) {
		fabric_pause(node, false);
	} else {
		for (unsigned i = 0; i < NODES; i++)
			if (i != node) {
				fabric_cut(node, i, false);
				fabric_believe(node, i, DK_ALIVE);
			}
	}
	believe_of(node, DK_ALIVE);
	trouble.what = NO_TROUBLE;
}

static void pass(unsigned ms)
{
	run(ms);
	if (!trouble.what)
		return;
	if (!trouble.known && trouble.until_known <= ms) {
		trouble.known = true;
		believe_of(trouble.node, DK_DEAD);
		for (unsigned i = 0; trouble.what == CUT_OFF && i < NODES; i++)
			if (i != trouble.node)
				fabric_believe(trouble.node, i, DK_DEAD);
	}
	trouble.until_known -= trouble.until_known < ms ? trouble.until_known : ms;
	if (trouble.until_over <= ms)
		end_trouble();
	else
		trouble.until_over -= ms;
}

static bool works(unsigned node)
{
	return fabric[node].h && !(trouble.what == PAUSED && trouble.node == node);
}

/* ---- what happens in a schedule ---- */

static void come(struct schedule *s, unsigned i)
{
	unsigned node = draw(&s->chance, NODES);

	s->players[i] = NULL;
	if (!works(node))
		return;
	snprintf(s->uids[i], sizeof(s->uids[i]), "p%u", comers++);
	s->players[i] = player_new(node, s->uids[i]);
}

static void make(struct schedule *s)
{
	struct dk_room_opts o = { .max_members = (uint16_t)(2 + draw(&s->chance, 3)), .allow_empty = true, .ttl_s = 600 };
	unsigned node = draw(&s->chance, NODES);
	struct dk_room *svc = fabric[node].rooms;
	struct dk_room_info info;
	dk_id room;

	o.replicas = (uint8_t)draw(&s->chance, 3);
	o.interval_ms = draw(&s->chance, 2) * 50;
	if (!works(node) || svc->create(svc, 0, &o, &room))
		return;
	ck_assert_int_eq(svc->info(svc, room, &info), 0);
	s->id = info.id;
	s->made = true;
}

static dk_id room_at(const struct schedule *s, unsigned node)
{
	return works(node) ? fabric[node].rooms->find(fabric[node].rooms, &s->id) : 0;
}

static void say(const struct schedule *s, struct player *p, uint16_t cmd)
{
	player_send(p, 1, cmd, dk_slice_n(s->id.c, DK_ID52_LEN));
}

/* Of players as well as of strangers. */
static void reserve(struct schedule *s)
{
	bool far = draw(&s->chance, 8) == 0, cancel = far || draw(&s->chance, 3) == 0;
	unsigned n = 1 + draw(&s->chance, 3), node = draw(&s->chance, NODES);
	dk_str uids[3];

	for (unsigned i = 0; i < n; i++) {
		unsigned who = draw(&s->chance, PLAYERS + 2);

		uids[i] = who < PLAYERS && s->uids[who][0] ? dk_str_c(s->uids[who]) : dk_str_c(who % 2 ? "gus" : "hal");
	}
	for (unsigned i = 0; i < NODES; i++) {
		dk_id room = room_at(s, i);
		struct dk_room *svc = fabric[i].rooms;

		if (room && !cancel)
			svc->reserve(svc, room, 0, uids, n, false);
		else if (room && !far)
			svc->cancel_reservation(svc, room, 0, uids, n, false);
		else if (far && i == node && works(i))
			fabric_cancel_far(i, &s->id, uids, n);
	}
}

static void step(struct schedule *s)
{
	unsigned i = draw(&s->chance, PLAYERS), node = draw(&s->chance, NODES), what = draw(&s->chance, 40);
	struct player *p = s->players[i];

	if (!s->made) {
		make(s);
		return;
	}
	if (!p || p->gone || !p->end) {
		come(s, i);
		return;
	}
	if (what < 16)
		say(s, p, ROOM_CMD_JOIN);
	else if (what < 22)
		say(s, p, ROOM_CMD_LEAVE);
	else if (what < 29)
		reserve(s);
	else if (what < 34)
		player_send(p, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	else if (what < 36)
		player_leave(p);
	else if (what < 38 && works(p->node))
		fabric[p->node].users->disconnect(fabric[p->node].users, player_user(p), DK_REASON_SERVER);
	else if (what == 38)
		player_turn_to(p, node);
	else if (what == 39 && room_at(s, node)) {
		fabric[node].rooms->remove(fabric[node].rooms, room_at(s, node), 1, 102, dk_slice_n(NULL, 0));
		s->made = false;
	}
}

static void world(uint64_t number)
{
	the_world = number;
	trouble_chance = number * 1000003;
	memset(schedules, 0, sizeof(schedules));
	memset(&trouble, 0, sizeof(trouble));
	comers = 0;
	fabric_open(NODES, number, "", NULL, "");
	fabric_jitter((uint32_t)(number % 3) * 5);
	for (unsigned k = 0; k < SCHEDULES; k++) {
		schedules[k].chance = number * SCHEDULES + k;
		for (unsigned i = 0; i < PLAYERS; i++)
			come(&schedules[k], i);
		make(&schedules[k]);
	}
	for (unsigned n = 0; n < STEPS; n++) {
		for (unsigned k = 0; k < SCHEDULES; k++)
			step(&schedules[k]);
		if (!trouble.what && draw(&trouble_chance, 4) == 0)
			begin_trouble();
		pass(1 + draw(&trouble_chance, draw(&trouble_chance, 3) ? 8 : 200));
	}
	while (trouble.what)
		pass(100);
	run(300);
	count_up();
	fabric_close();
}

START_TEST(members_and_reservations)
{
	const char *one = getenv("ROOM_SEATS_WORLD"), *many = getenv("ROOM_SEATS_WORLDS"), *from = getenv("ROOM_SEATS_FIRST");
	unsigned long n = many ? strtoul(many, NULL, 10) : WORLDS, first = from ? strtoul(from, NULL, 10) : 1;

	if (one && _i)
		return;
	if (one)
		world(strtoul(one, NULL, 10));
	for (unsigned long i = (unsigned long)_i * n / PARTS; !one && i < (unsigned long)(_i + 1) * n / PARTS; i++)
		world(first + i);
	/* The rule was put to the test: rooms are full a good part of the time. */
	if (getenv("ROOM_SEATS_TALLY"))
		for (size_t k = 0; k < DK_ARRAY_LEN(kinds); k++)
			printf("%s %lld\n", kinds[k], (long long)tally[k]);
	for (size_t k = 0; !one && n >= WORLDS && k < DK_ARRAY_LEN(kinds); k++)
		ck_assert_msg(tally[k] > 0, "no world had %s", kinds[k]);
	ck_assert_msg(most_full * 10 > looked, "%llu full rooms of %llu", (unsigned long long)most_full,
		      (unsigned long long)looked);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_seats");
	TCase *t = tcase_create("seats");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 3600);
	tcase_add_loop_test(t, members_and_reservations, 0, PARTS);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
