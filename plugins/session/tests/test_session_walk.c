/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random schedules: players make sessions, join them, leave, are thrown out, hang up, move to other nodes; nodes go offline and
 * come back, are killed and begin anew, are stopped for a while, and are cut off. After every step, on every node: never more
 * members than seats, an owner who is a member. When all has calmed down: a session is on one node, every member is there and has
 * its seat, whoever has a seat is a member, no uid is in two sessions of a type, and what is said is heard by all members, once
 * each.
 *
 * SESSION_WALK_SEEDS=N in the environment walks N seeds, SESSION_WALK_SEED=N that one alone, telling what it does; a failing one
 * prints itself.
 */
#include "kit.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { NODES = 4, PLAYERS = 12, TYPES = 2, IDS = 10, STEPS = 70, TROUBLES = 3, SAID_MAX = 65536 };

static struct dk_env *chance_world; /* nothing but its generator: the schedule does not hang on what the nodes draw */
static uint64_t the_seed;
static bool telling;
static struct player *players[PLAYERS];
static struct {
	char id[DK_SESSION_ID_LEN + 1];
	uint8_t type;
} ids[IDS];
static unsigned id_n, troubles, said_n;
static bool heard[PLAYERS][SAID_MAX], talking;
static enum { FINE, DOWN, PAUSED, APART, DRAINING } trouble;
static unsigned trouble_at, trouble_ms;

static uint32_t chance(uint32_t n)
{
	return (uint32_t)(dk_sim_chance(chance_world) % n);
}

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

#define CHECK(cond, fmt, ...) ck_assert_msg(cond, "seed %llu: " fmt, (unsigned long long)the_seed, ##__VA_ARGS__)

static bool is_up(unsigned node)
{
	return fabric[node].h && !dk_finished(dk_harness_kernel(fabric[node].h), NULL);
}

/* ---- what must hold at any time ---- */

static void check_homes(void)
{
	for (unsigned i = 0; i < NODES; i++) {
		struct dk_session *svc;
		uint32_t slot = 0;
		dk_id session;

		if (!is_up(i))
			continue;
		svc = kit_svc(i);
		while ((session = svc->next(svc, &slot))) {
			struct dk_session_info info;
			bool owner_in = false;
			uint32_t n = 0;

			ck_assert_int_eq(svc->info(svc, session, &info), 0);
			CHECK(info.members <= info.max_members, "%u members of %u", info.members, info.max_members);
			for (dk_str uid; (uid = svc->member_at(svc, session, n)).n; n++)
				owner_in = owner_in || dk_str_eq(uid, info.owner);
			CHECK(n == info.members, "members are counted wrongly");
			CHECK(n ? owner_in : !info.owner.n, "the owner is no member");
		}
	}
}

static void talk(void)
{
	struct player *p = players[chance(PLAYERS)];
	char text[32];

	if (!talking || !p || !p->end || !is_up(p->node) || said_n == SAID_MAX - 1)
		return;
	snprintf(text, sizeof(text), "m%u.", ++said_n);
	kit_broadcast(p, (uint8_t)chance(TYPES), text);
}

static void check_twice(void)
{
	static const char word[] = "800 push m";

	for (unsigned i = 0; talking && i < PLAYERS; i++) {
		const char *at = players[i] ? player_heard(players[i]) : "";

		while ((at = strstr(at, word))) {
			unsigned long n = strtoul(at += strlen(word), NULL, 10);

			CHECK(n < SAID_MAX && !heard[i][n], "%s hears m%lu twice", players[i]->name, n);
			heard[i][n] = true;
		}
	}
}

static void run(unsigned ms)
{
	for (unsigned i = 0; i < ms; i += 5) {
		talk();
		fabric_run(5);
		check_homes();
		check_twice();
	}
}

/* ---- troubles: one at a time ---- */

static void all_believe(unsigned of, enum dk_health health)
{
	for (unsigned i = 0; i < NODES; i++)
		if (i != of && is_up(i))
			fabric_believe(i, of, health);
}

static void begin_trouble(unsigned kind)
{
	if (trouble != FINE || troubles >= TROUBLES)
		return;
	troubles++;
	trouble_at = chance(NODES);
	trouble_ms = 0;
	trouble = kind;
	tell("trouble %u at %u", kind, trouble_at);
	switch (trouble) {
	case DOWN:
		fabric_kill(trouble_at);
		break;
	case PAUSED:
		fabric_pause(trouble_at, true);
		break;
	case APART:
		for (unsigned i = 0; i < NODES; i++)
			if (i != trouble_at)
				fabric_cut(trouble_at, i, true);
		break;
	default:
		fabric_offline(trouble_at);
		dk_node_stop(kit_probe(trouble_at));
	}
}

static void others_died(enum dk_health health)
{
	for (unsigned i = 0; i < NODES; i++)
		if (i != trouble_at)
			fabric_believe(trouble_at, i, health);
}

static void go_on(unsigned ms)
{
	bool dies = trouble_ms < 2400 && trouble_ms + ms >= 2400;

	trouble_ms += ms;
	if (trouble == FINE)
		return;
	if (dies && trouble != DRAINING)
		all_believe(trouble_at, DK_DEAD);
	if (dies && trouble == APART)
		others_died(DK_DEAD);
	if (trouble == DRAINING ? is_up(trouble_at) : trouble_ms < 5000)
		return;
	tell("trouble ends at %u", trouble_at);
	switch (trouble) {
	case DOWN:
		fabric_restart(trouble_at);
		break;
	case PAUSED:
		fabric_pause(trouble_at, false);
		all_believe(trouble_at, DK_ALIVE);
		break;
	case APART:
		for (unsigned i = 0; i < NODES; i++)
			if (i != trouble_at)
				fabric_cut(trouble_at, i, false);
		all_believe(trouble_at, DK_ALIVE);
		others_died(DK_ALIVE);
		break;
	default:
		fabric_stop(trouble_at);
		fabric_restart(trouble_at);
	}
	trouble = FINE;
}

/* ---- steps ---- */

static bool can_use(unsigned node)
{
	return is_up(node) && !(trouble != FINE && trouble_at == node);
}

static void come(unsigned i)
{
	static unsigned count;
	unsigned node = chance(NODES);
	char name[16];

	if (!can_use(node))
		return;
	snprintf(name, sizeof(name), "p%u_%u", i, count++ % 100000);
	players[i] = player_new(node, name);
	memset(heard[i], 0, sizeof(heard[i]));
}

/* Clients without a node turn to whoever knows them, or begin anew. */
static void look_after(unsigned i)
{
	struct player *p = players[i];

	if (p && p->end && is_up(p->node) && !p->gone)
		return;
	if (p && trouble == PAUSED && trouble_at == p->node)
		return;
	for (unsigned n = 0; p && n < NODES; n++)
		if (n != p->node && is_up(n) && player_turn_to(p, n))
			return;
	if (!p || !p->end || p->gone)
		come(i);
}

static void pass(unsigned ms)
{
	while (ms) {
		unsigned now = ms < 100 ? ms : 100;

		run(now);
		go_on(now);
		for (unsigned i = 0; i < PLAYERS; i++)
			look_after(i);
		ms -= now;
	}
}

static void remember(struct player *p, uint8_t type)
{
	const char *id = is_up(p->node) ? kit_id_of(p, type) : NULL;

	if (!id)
		return;
	memcpy(ids[id_n % IDS].id, id, DK_SESSION_ID_LEN);
	ids[id_n % IDS].type = type;
	tell("%s made %u, type %u, at %u: %s", p->name, id_n % IDS, type, p->node, id);
	id_n++;
}

static void moved(void *self, void *arg, dk_id user, int err)
{
	(void)self;
	(void)arg;
	(void)user;
	(void)err;
}

static void move(struct player *p)
{
	unsigned to = chance(NODES);
	struct dk_user *users = fabric[p->node].users;

	if (to == p->node || !can_use(to) || !can_use(p->node))
		return;
	tell("%s moves from %u to %u", p->name, p->node, to);
	users->move(users, kit_probe(p->node), player_user(p), &fabric[to].addr, dk_str_c("MEM"), dk_slice_n(NULL, 0), moved, NULL);
}

static void step(void)
{
	struct player *p = players[chance(PLAYERS)], *q = players[chance(PLAYERS)];
	uint8_t type = (uint8_t)chance(TYPES);
	unsigned k = id_n ? chance(id_n < IDS ? id_n : IDS) : 0;

	if (!p || !p->end || !q || !is_up(p->node))
		return;
	switch (chance(20)) {
	case 0:
	case 1:
	case 2:
		kit_create(p, type, (uint8_t)(2 + chance(4)), 30);
		pass(10);
		remember(p, type);
		break;
	case 3:
	case 4:
		kit_leave(p, type);
		break;
	case 5:
		kit_kick(p, type, q->name);
		break;
	case 6:
		kit_invite(p, type, q->name, "come");
		break;
	case 7:
	case 8:
	case 9:
		move(p);
		break;
	case 10:
		if (chance(3) == 0)
			player_leave(p);
		break;
	case 11:
		if (chance(3) == 0)
			begin_trouble(1 + chance(4));
		break;
	case 12:
	case 13:
		kit_broadcast(p, type, "something");
		break;
	default:
		if (id_n)
			kit_join(p, ids[k].type, ids[k].id);
	}
}

/* ---- when all has calmed down ---- */

struct stay {
	struct dk_session_id id;
	uint8_t type;
	char uid[32];
	unsigned home;
};
static struct stay stays[4096];
static unsigned stay_n;

static void list_stays(void)
{
	stay_n = 0;
	for (unsigned i = 0; i < NODES; i++) {
		struct dk_session *svc = kit_svc(i);
		uint32_t slot = 0;
		dk_id session;

		while ((session = svc->next(svc, &slot))) {
			struct dk_session_info info;

			svc->info(svc, session, &info);
			for (unsigned k = 0; k < NODES; k++)
				CHECK(k == i || !kit_svc(k)->find(kit_svc(k), &info.id), "a session is on %u and %u", i, k);
			for (uint32_t m = 0; m < info.members; m++) {
				dk_str uid = svc->member_at(svc, session, m);

				stays[stay_n] = (struct stay){ .id = info.id, .type = info.type, .home = i };
				memcpy(stays[stay_n++].uid, uid.p, uid.n);
			}
		}
	}
}

/* The seat of a user, wherever it is: how many there are of that uid and type. */
static unsigned seats_of(const char *uid, uint8_t type, struct dk_session_id *ret_id)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NODES; i++) {
		dk_id user = fabric[i].users->by_uid(fabric[i].users, dk_str_c(uid));

		if (user && kit_svc(i)->of_user(kit_svc(i), user, type, ret_id) == 0)
			n++;
	}
	return n;
}

static void check_seats(void)
{
	unsigned seats = 0;

	list_stays();
	for (unsigned i = 0; i < stay_n; i++) {
		struct dk_session_id id;

		for (unsigned k = 0; k < i; k++)
			CHECK(stays[i].type != stays[k].type || strcmp(stays[i].uid, stays[k].uid) != 0,
			      "%s is in two sessions of type %u", stays[i].uid, stays[i].type);
		CHECK(seats_of(stays[i].uid, stays[i].type, &id) == 1, "%s has no seat, or two, of type %u", stays[i].uid,
		      stays[i].type);
		CHECK(memcmp(&id, &stays[i].id, sizeof(id)) == 0, "%s sits elsewhere", stays[i].uid);
	}
	for (unsigned i = 0; i < NODES; i++)
		seats += (unsigned)kit_count(i, "seats");
	CHECK(seats == stay_n, "%u seats, %u members", seats, stay_n);
}

static bool is_member(const struct dk_session_id *id, const char *uid)
{
	for (unsigned i = 0; i < stay_n; i++)
		if (memcmp(&stays[i].id, id, sizeof(*id)) == 0 && strcmp(stays[i].uid, uid) == 0)
			return true;
	return false;
}

static void check_hearing(void)
{
	for (unsigned i = 0; i < PLAYERS; i++)
		player_heard(players[i]);
	for (unsigned i = 0; i < PLAYERS; i++)
		for (uint8_t type = 0; type < TYPES; type++) {
			struct dk_session_id id;
			char text[32];

			if (seats_of(players[i]->name, type, &id) != 1)
				continue;
			snprintf(text, sizeof(text), "from %u of %u.", i, type);
			kit_broadcast(players[i], type, text);
			fabric_run(60);
			for (unsigned q = 0; q < PLAYERS; q++)
				CHECK(times(player_heard(players[q]), text) == is_member(&id, players[q]->name),
				      "what %s said was heard wrongly by %s", players[i]->name, players[q]->name);
		}
}

static void walk(uint64_t seed)
{
	the_seed = seed;
	chance_world = dk_env_sim(seed * 7919 + 1);
	memset(players, 0, sizeof(players));
	memset(ids, 0, sizeof(ids));
	trouble = FINE;
	id_n = troubles = said_n = 0;
	talking = true;
	kit_open(NODES, seed, "");
	kit_quiet = true;
	fabric_jitter(chance(3) * 5);
	for (unsigned i = 0; i < PLAYERS; i++)
		while (!players[i])
			come(i);
	for (unsigned s = 0; s < STEPS; s++) {
		step();
		pass(5 * (1 + chance(chance(4) ? 4 : 60)));
	}
	for (unsigned i = 0; i < 20 && trouble != FINE; i++)
		pass(1000);
	CHECK(trouble == FINE, "a node does not end");
	talking = false;
	pass(50000);
	check_seats();
	tell("%u members", stay_n);
	check_hearing();
	fabric_close();
	dk_env_free(chance_world);
}

START_TEST(seats_whatever_happens)
{
	const char *one = getenv("SESSION_WALK_SEED"), *many = getenv("SESSION_WALK_SEEDS");
	unsigned long n = many ? strtoul(many, NULL, 10) : 16;

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
	Suite *suite = suite_create("session_walk");
	TCase *t = tcase_create("walk");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 1200);
	tcase_add_loop_test(t, seats_whatever_happens, 0, 4);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
