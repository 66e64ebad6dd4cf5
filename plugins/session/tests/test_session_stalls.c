/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that stand still for a while and go on, and nodes that are drained, while the members of one session move about, there
 * and back, and code on all nodes speaks to them. Nobody dies: what was said, by the answer, is heard by every member exactly
 * once; what nobody knows of, once at most.
 *
 * SESSION_STALL_SEEDS=N in the environment walks N seeds, SESSION_STALL_SEED=N that one alone.
 */
#include "kit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { NODES = 4, PLAYERS = 6, STEPS = 200, SAID_MAX = 4096, NOT_ANSWERED = 1000 };

static struct dk_env *chance_world; /* nothing but its generator: the schedule does not hang on what the nodes draw */
static uint64_t the_seed;
static struct player *players[PLAYERS];
static char the_id[DK_SESSION_ID_LEN + 1];
static uint8_t heard[PLAYERS][SAID_MAX];
static int outcome[SAID_MAX];
static unsigned said_n, drained, paused;
static uint64_t paused_until;

#define CHECK(cond, fmt, ...) ck_assert_msg(cond, "seed %llu: " fmt, (unsigned long long)the_seed, ##__VA_ARGS__)

static uint32_t chance(uint32_t n)
{
	return (uint32_t)(dk_sim_chance(chance_world) % n);
}

static bool can_use(unsigned node)
{
	return node != paused && node != drained && fabric[node].h;
}

static void listen(void)
{
	static const char word[] = "800 push m";

	for (unsigned i = 0; i < PLAYERS; i++)
		for (const char *at = player_heard(players[i]); (at = strstr(at, word));) {
			unsigned long n = strtoul(at += strlen(word), NULL, 10);

			CHECK(n < said_n && !heard[i][n], "%s hears m%lu twice", players[i]->name, n);
			heard[i][n] = 1;
		}
}

static void answered(void *self, void *arg, const struct dk_session_result *r)
{
	(void)self;
	outcome[(uintptr_t)arg] = r->rc;
}

static void speak(void)
{
	unsigned node = chance(NODES);
	char text[32];

	if (!can_use(node) || said_n == SAID_MAX)
		return;
	outcome[said_n] = NOT_ANSWERED;
	snprintf(text, sizeof(text), "m%u.", said_n);
	ck_assert_int_eq(kit_svc(node)->announce(kit_svc(node), kit_probe(node), dk_str_c(the_id), SESSION_VER,
						 SESSION_CMD_BROADCAST, dk_slice_of(dk_str_c(text)), answered,
						 (void *)(uintptr_t)said_n),
			 0);
	said_n++;
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
	struct dk_user *users = fabric[p->node].users;
	unsigned to = chance(NODES);

	if (to != p->node && to != drained && can_use(p->node))
		users->move(users, kit_probe(p->node), player_user(p), &fabric[to].addr, dk_str_c("MEM"), dk_slice_n(NULL, 0),
			    moved, NULL);
}

static void stall(void)
{
	unsigned node = chance(NODES);

	if (paused != NODES || !can_use(node))
		return;
	paused = node;
	paused_until = dk_sim_now(fabric_world) + 50 + chance(chance(2) ? 300 : 1400);
	fabric_pause(node, true);
}

static void go_on(void)
{
	if (paused != NODES && dk_sim_now(fabric_world) >= paused_until) {
		fabric_pause(paused, false);
		paused = NODES;
	}
	if (drained != NODES && dk_finished(dk_harness_kernel(fabric[drained].h), NULL)) {
		fabric_stop(drained);
		fabric_restart(drained);
		drained = NODES;
	}
}

/* Its home goes elsewhere, and all who are there. */
static void drain(void)
{
	unsigned node = chance(NODES);

	if (drained != NODES || !can_use(node))
		return;
	drained = node;
	fabric_offline(node);
	dk_node_stop(kit_probe(node));
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
	kit_open(NODES, seed, "");
	kit_quiet = true;
	for (unsigned i = 0; i < PLAYERS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%u", i);
		players[i] = player_new(i % NODES, name);
	}
	memcpy(the_id, kit_session(players[0], 1, 9), sizeof(the_id));
	for (unsigned i = 1; i < PLAYERS; i++)
		kit_join(players[i], 1, the_id);
	fabric_run(50);
	fabric_jitter(chance(4) * 6);
}

static void walk(uint64_t seed)
{
	begin(seed);
	for (unsigned s = 0; s < STEPS; s++) {
		unsigned what = chance(40);

		if (what < 8)
			move(players[chance(PLAYERS)]);
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
			CHECK(heard[i][n] || outcome[n], "%s does not hear m%u", players[i]->name, n);
	for (unsigned i = 0; i < PLAYERS; i++)
		CHECK(!players[i]->gone && kit_id_of(players[i], 1), "%s is no member any more", players[i]->name);
	fabric_close();
	dk_env_free(chance_world);
}

START_TEST(heard_once_whatever_stands_still)
{
	const char *one = getenv("SESSION_STALL_SEED"), *many = getenv("SESSION_STALL_SEEDS");
	unsigned long n = many ? strtoul(many, NULL, 10) : 32;

	if (one) {
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
	Suite *suite = suite_create("session_stalls");
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
