/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random schedules: players join rooms anywhere, leave, hang up, move their rooms; seats are reserved and given free; nodes are
 * killed, begin anew, are stopped for a while, and are cut off. After every step, on every node: members and kept seats are never
 * more than a room has, and nobody is in two rooms of a node. When all has calmed down: a room is on one node, seats are kept for
 * nobody but those they were reserved for, and what is said in a room is heard by its members, once each.
 *
 * ROOM_WALK_SEEDS=N in the environment walks N seeds, ROOM_WALK_SEED=N that one alone, telling what it does; a failing one prints
 * itself.
 */
#include "fabric.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { NODES = 4, PLAYERS = 12, ROOMS = 4, STEPS = 60, BOOTS = 3 };

static struct dk_env *chance_world; /* nothing but its generator: the schedule does not hang on what the nodes draw */
static uint64_t the_seed;

static uint32_t chance(uint32_t n)
{
	return (uint32_t)(dk_sim_chance(chance_world) % n);
}

static bool telling;

static void tell(const char *fmt, ...)
{
	va_list ap;

	if (!telling)
		return;
	printf("%llu ", (unsigned long long)dk_sim_now(fabric_world));
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static struct {
	struct dk_id52 id;
	bool made;
	uint8_t replicas;
} rooms[ROOMS];
static struct player *players[PLAYERS];
static unsigned player_n, down_for[NODES]; /* ms until it begins anew; 0 = up */
static bool paused, apart;
static unsigned paused_node, apart_node, paused_ms, apart_ms, boots;

/* ---- what must hold ---- */

static bool in_two_rooms(struct fabric_node *n, dk_id *seen, size_t *seen_n, const dk_id *members, size_t member_n)
{
	(void)n;
	for (size_t i = 0; i < member_n; i++) {
		for (size_t k = 0; k < *seen_n; k++)
			if (seen[k] == members[i])
				return true;
		seen[(*seen_n)++] = members[i];
	}
	return false;
}

static void check_seats(const char *when)
{
	for (unsigned i = 0; i < NODES; i++) {
		struct fabric_node *n = &fabric[i];
		dk_id seen[PLAYERS * BOOTS * NODES * 4];
		uint32_t slot = 0;
		size_t seen_n = 0;
		dk_id room;

		if (!n->h)
			continue;
		while ((room = n->rooms->next(n->rooms, &slot))) {
			struct dk_room_info info;
			const dk_id *members;
			size_t member_n;

			ck_assert_int_eq(n->rooms->info(n->rooms, room, &info), 0);
			ck_assert_msg(info.members + info.reserved <= info.max_members,
				      "seed %llu, %s: %u members and %u kept seats of %u", (unsigned long long)the_seed, when,
				      info.members, info.reserved, info.max_members);
			members = n->rooms->members(n->rooms, room, &member_n);
			ck_assert_msg(!in_two_rooms(n, seen, &seen_n, members, member_n), "seed %llu, %s: somebody is in two rooms",
				      (unsigned long long)the_seed, when);
			ck_assert_msg(!member_n || info.owner, "seed %llu, %s: members without an owner",
				      (unsigned long long)the_seed, when);
		}
	}
}

static void run(unsigned ms)
{
	for (unsigned i = 0; i < ms; i += 5) {
		fabric_run(5);
		check_seats("under way");
	}
}

/* ---- steps ---- */

static void player_come(unsigned i)
{
	static unsigned count;
	unsigned node = chance(NODES);
	char name[16];

	if (!fabric[node].h || (paused && paused_node == node))
		return;
	snprintf(name, sizeof(name), "p%u_%u", i, count++);
	players[i] = player_new(node, name);
}

static dk_id room_at(unsigned i, unsigned room)
{
	return fabric[i].h && rooms[room].made ? fabric[i].rooms->find(fabric[i].rooms, &rooms[room].id) : 0;
}

static void make_room(unsigned k)
{
	struct dk_room_opts o = { .max_members = (uint16_t)(2 + chance(4)), .allow_empty = true, .ttl_s = 600 };
	unsigned node = chance(NODES);
	struct dk_room *svc = fabric[node].rooms;
	struct dk_room_info info;
	dk_id room;

	if (!fabric[node].h || (paused && paused_node == node))
		return;
	o.replicas = (uint8_t)chance(3);
	o.interval_ms = chance(2) ? 0 : 50;
	ck_assert_int_eq(svc->create(svc, 0, &o, &room), 0);
	svc->info(svc, room, &info);
	rooms[k].id = info.id;
	rooms[k].made = true;
	rooms[k].replicas = o.replicas;
	tell("room %u made at %u, %u copies, " DK_STR_FMT, k, node, o.replicas, DK_STR_ARG(dk_str_n(info.id.c, DK_ID52_LEN)));
}

static void say(struct player *p, unsigned room, uint16_t cmd, const char *text)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (cmd == ROOM_CMD_BROADCAST)
		dk_wr_u8(&w, 1);
	dk_wr_slice(&w, dk_slice_n(rooms[room].id.c, DK_ID52_LEN));
	dk_wr_slice(&w, dk_slice_of(dk_str_c(text)));
	player_send(p, 1, cmd, dk_written(&w));
}

static void reserve(unsigned k, bool cancel)
{
	static const char *const uids[] = { "gus", "hal", "ivy" };
	dk_str uid = dk_str_c(uids[chance(3)]);

	for (unsigned i = 0; i < NODES; i++) {
		dk_id room = room_at(i, k);
		struct dk_room *svc = fabric[i].rooms;

		if (room && !cancel)
			svc->reserve(svc, room, 0, &uid, 1, false);
		else if (room)
			svc->cancel_reservation(svc, room, 0, &uid, 1, false);
	}
}

static void all_believe(unsigned of, enum dk_health health)
{
	for (unsigned i = 0; i < NODES; i++)
		if (i != of && fabric[i].h)
			fabric_believe(i, of, health);
}

static void pass(unsigned ms);

static void kill_one(void)
{
	unsigned i = chance(NODES);

	/* One trouble at a time: what may be lost by two is another question. */
	if (paused || apart || boots >= BOOTS)
		return;
	for (unsigned k = 0; k < NODES; k++)
		if (down_for[k])
			return;
	pass(300); /* the copies are there: what dies in the moment it was made is lost, and so it is said */
	tell("kill %u", i);
	fabric_kill(i);
	down_for[i] = 4000;
	boots++;
}

static void pause_one(void)
{
	if (paused || apart)
		return;
	for (unsigned k = 0; k < NODES; k++)
		if (down_for[k])
			return;
	paused = true;
	paused_node = chance(NODES);
	paused_ms = 5000;
	tell("pause %u", paused_node);
	fabric_pause(paused_node, true);
}

static void cut_one_off(void)
{
	if (paused || apart)
		return;
	for (unsigned k = 0; k < NODES; k++)
		if (down_for[k])
			return;
	apart = true;
	apart_node = chance(NODES);
	apart_ms = 5000;
	tell("cut off %u", apart_node);
	for (unsigned i = 0; i < NODES; i++)
		if (i != apart_node)
			fabric_cut(apart_node, i, true);
}

/* Time passes: what nodes find out by themselves happens 2.4 s later. */
static void pass(unsigned ms)
{
	run(ms);
	for (unsigned i = 0; i < NODES; i++) {
		if (!down_for[i])
			continue;
		if (down_for[i] > 1600 && down_for[i] - 1600 <= ms)
			all_believe(i, DK_DEAD);
		down_for[i] = down_for[i] > ms ? down_for[i] - ms : 0;
		if (!down_for[i]) {
			tell("start %u", i);
			fabric_restart(i);
		}
	}
	if (paused) {
		if (paused_ms > 2600 && paused_ms - 2600 <= ms)
			all_believe(paused_node, DK_DEAD);
		paused_ms = paused_ms > ms ? paused_ms - ms : 0;
		if (!paused_ms) {
			paused = false;
			tell("continue %u", paused_node);
			fabric_pause(paused_node, false);
			all_believe(paused_node, DK_ALIVE);
		}
	}
	if (apart) {
		bool end = apart_ms <= ms;

		if (apart_ms > 2600 && apart_ms - 2600 <= ms) {
			all_believe(apart_node, DK_DEAD);
			for (unsigned i = 0; i < NODES; i++)
				if (i != apart_node)
					fabric_believe(apart_node, i, DK_DEAD);
		}
		apart_ms = end ? 0 : apart_ms - ms;
		if (end) {
			apart = false;
			tell("joined again %u", apart_node);
			all_believe(apart_node, DK_ALIVE);
			for (unsigned i = 0; i < NODES; i++)
				if (i != apart_node) {
					fabric_cut(apart_node, i, false);
					fabric_believe(apart_node, i, DK_ALIVE);
				}
		}
	}
	/* clients without an answer turn to whoever knows them, or begin anew */
	for (unsigned i = 0; i < player_n; i++) {
		struct player *p = players[i];

		if (p && p->end && fabric[p->node].h && !(paused && paused_node == p->node) && !p->gone)
			continue;
		if (p && p->end && paused && paused_node == p->node && paused_ms > 1500)
			continue;
		if (p)
			for (unsigned n = 0; n < NODES; n++)
				if (n != p->node && fabric[n].h && player_turn_to(p, n))
					break;
		if (!p || !p->end || p->gone)
			player_come(i);
	}
}

static void step(void)
{
	struct player *p = players[chance(player_n)];
	unsigned k = chance(ROOMS);

	if (!rooms[k].made)
		make_room(k);
	switch (chance(20)) {
	case 0:
		reserve(k, false);
		break;
	case 1:
		reserve(k, true);
		break;
	case 2:
		if (p)
			player_leave(p);
		break;
	case 3:
		if (chance(4) == 0)
			kill_one();
		break;
	case 4:
		if (chance(4) == 0)
			pause_one();
		break;
	case 5:
		if (chance(4) == 0)
			cut_one_off();
		break;
	case 6:
	case 7:
	case 8:
		if (p)
			player_send(p, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
		break;
	case 9:
	case 10:
	case 11:
	case 12:
		if (p && rooms[k].made)
			say(p, k, ROOM_CMD_LEAVE, "bye");
		break;
	default:
		if (p && rooms[k].made)
			say(p, k, ROOM_CMD_JOIN, chance(2) ? "hello" : "");
		break;
	}
}

/* ---- when all has calmed down ---- */

static void check_calm(void)
{
	for (unsigned k = 0; k < ROOMS; k++) {
		unsigned owners = 0, at = 0;

		for (unsigned i = 0; i < NODES; i++)
			if (room_at(i, k)) {
				struct dk_room_info info;

				owners++;
				at = i;
				fabric[i].rooms->info(fabric[i].rooms, room_at(i, k), &info);
				tell("room %u is at %u, with %u members, as " DK_STR_FMT, k, i, info.members,
				     DK_STR_ARG(dk_str_n(info.id.c, DK_ID52_LEN)));
			}
		ck_assert_msg(owners <= 1, "seed %llu: room %u is on %u nodes", (unsigned long long)the_seed, k, owners);
		if (telling)
			for (unsigned i = 0; i < NODES; i++)
				printf("---- %u\n%s", i, dk_harness_log(fabric[i].h));
		if (rooms[k].made && rooms[k].replicas && !owners)
			ck_abort_msg("seed %llu: room %u with %u copies is lost", (unsigned long long)the_seed, k,
				     rooms[k].replicas);
		if (owners) {
			struct dk_room *svc = fabric[at].rooms;
			dk_id room = room_at(at, k);
			struct dk_room_info info;
			unsigned kept = 0;

			svc->info(svc, room, &info);
			kept += svc->is_reserved(svc, room, dk_str_c("gus"));
			kept += svc->is_reserved(svc, room, dk_str_c("hal"));
			kept += svc->is_reserved(svc, room, dk_str_c("ivy"));
			ck_assert_msg(kept == info.reserved, "seed %llu: %u seats are kept for nobody",
				      (unsigned long long)the_seed, info.reserved - kept);
		}
	}
	for (unsigned i = 0; i < player_n; i++)
		player_heard(players[i]);
	for (unsigned i = 0; i < player_n; i++) {
		struct player *p = players[i];
		struct dk_room *svc = fabric[p->node].rooms;
		dk_id room = svc->of_user(svc, player_user(p));
		const dk_id *members;
		char text[32];
		size_t n;

		if (!room)
			continue;
		for (unsigned k = 0; k < ROOMS; k++)
			if (room_at(p->node, k) == room) {
				snprintf(text, sizeof(text), "from %u.", i);
				say(p, k, ROOM_CMD_BROADCAST, text);
			}
		fabric_run(100);
		members = svc->members(svc, room, &n);
		for (unsigned q = 0; q < player_n; q++) {
			bool in = false;

			for (size_t m = 0; m < n; m++)
				in = in || (players[q]->node == p->node && members[m] == player_user(players[q]));
			snprintf(text, sizeof(text), "103 push from %u.", i);
			ck_assert_msg(times(player_heard(players[q]), text) == in,
				      "seed %llu: what %s said was heard wrongly by %s", (unsigned long long)the_seed, p->name,
				      players[q]->name);
		}
	}
}

static void walk(uint64_t seed)
{
	the_seed = seed;
	chance_world = dk_env_sim(seed * 7919 + 1);
	memset(rooms, 0, sizeof(rooms));
	memset(players, 0, sizeof(players));
	memset(down_for, 0, sizeof(down_for));
	paused = apart = false;
	boots = 0;
	player_n = PLAYERS;
	fabric_open(NODES, seed, "", NULL, "");
	fabric_jitter(chance(3) * 5);
	for (unsigned i = 0; i < PLAYERS; i++)
		while (!players[i])
			player_come(i);
	for (unsigned s = 0; s < STEPS; s++) {
		step();
		pass(5 * (1 + chance(chance(4) ? 4 : 60)));
	}
	pass(5000);
	pass(5000);
	pass(16000);
	check_calm();
	fabric_close();
	dk_env_free(chance_world);
}

START_TEST(seats_whatever_happens)
{
	const char *one = getenv("ROOM_WALK_SEED"), *many = getenv("ROOM_WALK_SEEDS");
	unsigned long n = many ? strtoul(many, NULL, 10) : 24;

	if (one) {
		telling = true;
		if (_i == 0)
			walk(strtoul(one, NULL, 10));
		return;
	}
	for (unsigned long seed = (unsigned long)_i * n / 4 + 1; seed <= (unsigned long)(_i + 1) * n / 4; seed++)
		walk(seed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_walk");
	TCase *t = tcase_create("walk");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, seats_whatever_happens, 0, 4);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
