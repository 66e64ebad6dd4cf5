/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that stand still for a while and go on, and nodes that are drained, while the members of two groups move about, there and
 * back, and speak. Nobody dies, and no node is taken for dead: what was said is heard by every member exactly once.
 *
 * GROUP_STALL_SEEDS=N in the environment walks N seeds, GROUP_STALL_SEED=N that one alone.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/group.h>
#include <diarkis/group_commands.h>

#include "plugins/room/tests/fabric.h"

DK_PACKERS(GROUP_COMMANDS)

enum { NODES = 4, GROUPS = 2, PLAYERS = 6, STEPS = 200, SAID_MAX = 4096 };

static struct dk_env *chance_world; /* nothing but its generator: the schedule does not hang on what the nodes draw */
static uint64_t the_seed;
static struct player *players[PLAYERS];
static struct dk_id52 ids[GROUPS];
static uint8_t heard[PLAYERS][SAID_MAX];
static unsigned said_n, drained, paused;
static uint64_t paused_until, back_at;

#define CHECK(cond, fmt, ...) ck_assert_msg(cond, "seed %llu: " fmt, (unsigned long long)the_seed, ##__VA_ARGS__)

static uint32_t chance(uint32_t n)
{
	return (uint32_t)(dk_sim_chance(chance_world) % n);
}

static void trace(const char *what, unsigned a, unsigned b)
{
	if (getenv("GROUP_STALL_TRACE"))
		fprintf(stderr, "%llu %s %u %u\n", (unsigned long long)dk_sim_now(fabric_world), what, a, b);
}

static bool can_use(unsigned node)
{
	return node != paused && node != drained && fabric[node].h;
}

static struct dk_group *groups(unsigned node)
{
	return dk_harness_service(fabric[node].h, DK_GROUP_NAME);
}

static void listen(void)
{
	for (unsigned i = 0; i < PLAYERS; i++)
		for (const char *at = player_heard(players[i]); (at = strchr(at, '<')); at++) {
			unsigned long n = strtoul(at + 1, NULL, 10);

			CHECK(n < said_n && !heard[i][n], "%s hears <%lu> twice", players[i]->name, n);
			heard[i][n] = 1;
		}
}

static void speak(void)
{
	unsigned who = chance(PLAYERS), g = chance(GROUPS);
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	char text[16];

	if (said_n == SAID_MAX)
		return;
	trace("says", who, said_n);
	snprintf(text, sizeof(text), "<%u>", said_n++);
	group_on_broadcast_pack(&w, dk_str_n(ids[g].c, DK_ID52_LEN), dk_slice_of(dk_str_c(text)), true);
	player_send(players[who], GROUP_VER, GROUP_CMD_BROADCAST, dk_written(&w));
}

static void moved(void *self, void *arg, dk_id user, int err)
{
	(void)self;
	(void)user;
	trace(err ? "does not move" : "moved", (unsigned)(uintptr_t)arg, 0);
}

static void move(unsigned who)
{
	struct player *p = players[who];
	struct dk_user *users = fabric[p->node].users;
	unsigned to = chance(NODES);

	if (to == p->node || to == drained || !can_use(p->node))
		return;
	trace("moves", who, to);
	users->move(users, fabric[p->node].state, player_user(p), &fabric[to].addr, dk_str_n(NULL, 0), dk_slice_n(NULL, 0), moved,
		    (void *)(uintptr_t)who);
}

static void stall(void)
{
	unsigned node = chance(NODES);

	if (paused != NODES || !can_use(node))
		return;
	paused = node;
	paused_until = dk_sim_now(fabric_world) + 50 + chance(chance(2) ? 300 : 1400);
	trace("stands still", node, (unsigned)paused_until);
	fabric_pause(node, true);
}

static void go_on(void)
{
	if (paused != NODES && dk_sim_now(fabric_world) >= paused_until) {
		trace("goes on", paused, 0);
		fabric_pause(paused, false);
		paused = NODES;
	}
	if (drained == NODES)
		return;
	if (fabric[drained].h && dk_finished(dk_harness_kernel(fabric[drained].h), NULL)) {
		trace("has ended", drained, 0);
		fabric_stop(drained);
		for (unsigned j = 0; j < NODES; j++)
			if (j != drained)
				fabric_believe(j, drained, DK_LEFT);
		back_at = dk_sim_now(fabric_world) + chance(1000);
	} else if (!fabric[drained].h && dk_sim_now(fabric_world) >= back_at) {
		trace("begins anew", drained, 0);
		fabric_restart(drained);
		drained = NODES;
	}
}

/* Those who stand still hear that it has left before they hear the last that it said. */
static void drain(void)
{
	unsigned node = chance(NODES);

	if (drained != NODES || !can_use(node))
		return;
	drained = node;
	trace("is drained", node, 0);
	fabric_offline(node);
	dk_node_stop(fabric[node].state);
}

static void pass(unsigned ms)
{
	while (ms--) {
		fabric_run(1);
		go_on();
	}
	listen();
}

static void begin(uint64_t seed)
{
	the_seed = seed;
	chance_world = dk_env_sim(seed * 7919 + 1);
	memset(heard, 0, sizeof(heard));
	said_n = 0;
	paused = drained = NODES;
	fabric_open(NODES, seed, "", NULL, "group = {};");
	for (unsigned i = 0; i < PLAYERS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%u", i);
		players[i] = player_new(i % NODES, name);
	}
	for (unsigned g = 0; g < GROUPS; g++) {
		struct dk_group_opts o = { .join = true, .ttl_s = 60, .interval_ms = g * 30 };
		struct dk_group *svc = groups(0);
		struct dk_group_info info;
		dk_id group;

		ck_assert_int_eq(svc->create(svc, player_user(players[0]), &o, &group), 0);
		ck_assert_int_eq(svc->info(svc, group, &info), 0);
		ids[g] = info.id;
		for (unsigned i = 1; i < PLAYERS; i++) {
			uint8_t buf[128];
			struct dk_writer w = dk_writer_on(buf, sizeof(buf));

			group_on_join_pack(&w, dk_str_n(ids[g].c, DK_ID52_LEN), dk_slice_n(NULL, 0));
			player_send(players[i], GROUP_VER, GROUP_CMD_JOIN, dk_written(&w));
			fabric_run(50);
			ck_assert_uint_eq(times(player_heard(players[i]), "111 ok"), 1);
		}
	}
	fabric_jitter(chance(4) * 6);
}

static void walk(uint64_t seed)
{
	begin(seed);
	for (unsigned s = 0; s < STEPS; s++) {
		unsigned what = chance(40);

		if (what < 8)
			move(chance(PLAYERS));
		else if (what < 11)
			stall();
		else if (what == 11 && seed % 2)
			drain();
		else
			speak();
		pass(1 + chance(chance(3) ? 20 : 200));
	}
	for (unsigned i = 0; i < 300 && (paused != NODES || drained != NODES); i++)
		pass(50);
	CHECK(paused == NODES && drained == NODES, "a node does not end");
	pass(20000);
	for (unsigned n = 0; n < said_n; n++)
		for (unsigned i = 0; i < PLAYERS; i++)
			CHECK(heard[i][n], "%s does not hear <%u>", players[i]->name, n);
	for (unsigned i = 0; i < PLAYERS; i++)
		for (unsigned g = 0; g < GROUPS; g++) {
			struct dk_group *svc = groups(players[i]->node);

			CHECK(!players[i]->gone && svc->is_member(svc, svc->find(svc, &ids[g]), player_user(players[i])),
			      "%s is no member any more", players[i]->name);
		}
	fabric_close();
	dk_env_free(chance_world);
}

START_TEST(heard_once_whatever_stands_still)
{
	const char *one = getenv("GROUP_STALL_SEED"), *many = getenv("GROUP_STALL_SEEDS");
	unsigned long n = many ? strtoul(many, NULL, 10) : 32;

	if (one) {
		if (_i == 0)
			walk(strtoul(one, NULL, 10));
		return;
	}
	for (unsigned long seed = (unsigned long)_i * n / 4 + 1; seed <= (unsigned long)(_i + 1) * n / 4; seed++)
		walk(seed);
	if (_i == 0) {
		walk(533); /* it went on before its former node could tell what it had heard */
		walk(764);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("group_stalls");
	TCase *t = tcase_create("stalls");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 1200);
	tcase_add_loop_test(t, heard_once_whatever_stands_still, 0, 4);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
