/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random schedules: notices are given and deleted on any node while users log in, hang up and move, and nodes are killed,
 * drained, cut off and begin anew. No login hears an id twice, and none that was deleted everywhere before it came. When all is
 * well again, all nodes know the same, and whoever is connected has heard each notice that lives, once.
 *
 * NOTIFIER_WALK_SEEDS=N in the environment walks N seeds, NOTIFIER_WALK_SEED=N that one alone, telling what it does.
 */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/diarkis.h>
#include <diarkis/notifier.h>

#include "plugins/room/tests/fabric.h"

enum { NODES = 4, USERS = 5, STEPS = 120, NOTICES = 100, SEEDS = 20, NOTICED_MS = 2400, GONE_MS = 3500 };

struct notifier_user {
	struct dk_self base;
	struct dk_user *user;
	struct dk_notifier *notifier;
};

static const struct dk_need needs[] = { DK_NEED(struct notifier_user, user, DK_USER),
					DK_NEED(struct notifier_user, notifier, DK_NOTIFIER),
					{ 0 } };

DK_PLUGIN(crier) = {
	DK_PLUGIN_HEAD("crier", "1", "has news"),
	.self_size = sizeof(struct notifier_user),
	.needs = needs,
};

static struct {
	struct player *p; /* NULL: logged in nowhere */
	char name[8];
	bool heard[NOTICES];
	uint64_t again_ms;
} users[USERS];
static struct {
	bool given;
} notices[NOTICES];
static struct {
	uint64_t noticed_ms, again_ms;
	bool drains;
} nodes[NODES];
static unsigned notice_n;
static int apart = -1;
static uint64_t together_ms;
static struct dk_env *chance_world;
static uint64_t the_seed;
static bool telling;
static unsigned heard;

static uint32_t chance(uint32_t n)
{
	return (uint32_t)(dk_sim_chance(chance_world) % n);
}

static uint64_t now(void)
{
	return dk_sim_now(fabric_world);
}

static void tell(const char *fmt, ...)
{
	va_list ap;

	if (!telling)
		return;
	printf("%llu ", (unsigned long long)now());
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

#define MUST(cond, ...)                                                                                                            \
	do {                                                                                                                       \
		if (!(cond)) {                                                                                                     \
			printf("NOTIFIER_WALK_SEED=%llu: ", (unsigned long long)the_seed);                                         \
			printf(__VA_ARGS__);                                                                                       \
			printf("\n");                                                                                              \
			fflush(stdout);                                                                                            \
			ck_abort_msg("seed %llu", (unsigned long long)the_seed);                                                   \
		}                                                                                                                  \
	} while (0)

static struct notifier_user *crier(unsigned node)
{
	return dk_plugin_state(dk_harness_kernel(fabric[node].h), "crier");
}

static bool up(unsigned i)
{
	return fabric[i].h && !nodes[i].noticed_ms && !nodes[i].again_ms && !nodes[i].drains;
}

static unsigned up_n(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NODES; i++)
		n += up(i);
	return n;
}

static unsigned any_up(void)
{
	unsigned k = chance(NODES);

	while (!up(k % NODES))
		k++;
	return k % NODES;
}

/* ---- what is heard ---- */

static void read_all(unsigned u)
{
	char text[sizeof(users[u].p->log)], *line, *rest = text;
	unsigned n;

	snprintf(text, sizeof(text), "%s", player_heard(users[u].p));
	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		MUST(sscanf(line, "0.400 note n%u", &n) == 1 || sscanf(line, "400 push n%u", &n) == 1, "%s heard %s", users[u].name,
		     line);
		tell("%s heard %u", users[u].name, n);
		MUST(n < notice_n && notices[n].given, "%s heard %u, which nobody said", users[u].name, n);
		MUST(!users[u].heard[n], "%s heard %u twice", users[u].name, n);
		users[u].heard[n] = true;
		heard++;
	}
}

static void look(void)
{
	for (unsigned u = 0; u < USERS; u++)
		if (users[u].p)
			read_all(u);
}

/* ---- what happens ---- */

static void gone(unsigned u, uint64_t for_ms)
{
	users[u].p = NULL;
	users[u].again_ms = now() + for_ms;
	memset(users[u].heard, 0, sizeof(users[u].heard));
}

static void log_in(unsigned u)
{
	unsigned at = any_up();

	if (fabric[at].users->by_uid(fabric[at].users, dk_str_c(users[u].name)))
		return;
	tell("%s logs in at %u", users[u].name, at);
	users[u].p = player_new(at, users[u].name);
	users[u].again_ms = 0;
}

static void give(void)
{
	unsigned at = any_up(), n = notice_n;
	char text[16];
	struct dk_notice what = { .cmd = DK_NOTICE_CMD, .ttl_ms = 600000, .reliable = chance(3) == 0 };

	if (notice_n == NOTICES)
		return;
	notice_n++;
	snprintf(text, sizeof(text), "n%u", n);
	what.id = dk_str_c(text);
	what.message = dk_slice_of(what.id);
	notices[n].given = true;
	tell("%u gives %u", at, n);
	MUST(crier(at)->notifier->notify(crier(at)->notifier, &what, false) == 0, "%u was not taken", n);
}

static void take_back(void)
{
	unsigned at = any_up(), n = notice_n ? chance(notice_n) : 0;
	char text[16];

	if (!notice_n)
		return;
	snprintf(text, sizeof(text), "n%u", n);
	tell("%u deletes %u", at, n);
	crier(at)->notifier->remove(crier(at)->notifier, dk_str_c(text));
}

static void believe(unsigned i, enum dk_health health)
{
	for (unsigned k = 0; k < NODES; k++)
		if (k != i && fabric[k].h)
			fabric_believe(k, i, health);
}

static void kill_node(unsigned i)
{
	tell("kill %u", i);
	look();
	for (unsigned u = 0; u < USERS; u++)
		if (users[u].p && users[u].p->node == i)
			gone(u, GONE_MS);
	fabric_kill(i);
	nodes[i].noticed_ms = now() + NOTICED_MS;
	nodes[i].again_ms = now() + GONE_MS + chance(3000);
}

static void cut(unsigned i, bool on)
{
	tell("cut %u %d", i, on);
	for (unsigned k = 0; k < NODES; k++)
		if (k != i)
			fabric_cut(i, k, on);
	apart = on ? (int)i : -1;
	together_ms = now() + 4000;
}

static void look_after_nodes(void)
{
	for (unsigned i = 0; i < NODES; i++) {
		if (nodes[i].drains && dk_finished(dk_harness_kernel(fabric[i].h), NULL)) {
			look();
			for (unsigned u = 0; u < USERS; u++)
				if (users[u].p && users[u].p->node == i)
					gone(u, 100);
			fabric_stop(i);
			believe(i, DK_LEFT);
			nodes[i].drains = false;
			nodes[i].again_ms = now() + 1000 + chance(2000);
		}
		if (nodes[i].noticed_ms && now() >= nodes[i].noticed_ms) {
			believe(i, DK_DEAD);
			nodes[i].noticed_ms = 0;
		}
		if (nodes[i].again_ms && now() >= nodes[i].again_ms) {
			tell("%u begins anew", i);
			nodes[i].again_ms = 0;
			fabric_restart(i);
		}
	}
	if (apart >= 0 && now() >= together_ms)
		cut((unsigned)apart, false);
	for (unsigned u = 0; u < USERS; u++) {
		if (users[u].p && users[u].p->gone)
			gone(u, 100);
		if (users[u].again_ms && now() >= users[u].again_ms)
			log_in(u);
	}
}

static void pass(uint64_t ms)
{
	while (ms--) {
		fabric_run(1);
		look();
		look_after_nodes();
	}
}

static void on_moved(void *self, void *arg, dk_id user, int err)
{
	(void)self;
	(void)arg;
	(void)user;
	(void)err;
}

static void step(unsigned *deaths)
{
	unsigned u = chance(USERS), to = any_up();

	switch (chance(24)) {
	case 0:
		if (users[u].p) {
			tell("%s hangs up", users[u].name);
			player_leave(users[u].p);
			pass(1);
			if (users[u].p)
				gone(u, 1 + chance(500));
		}
		break;
	case 1:
		if (*deaths && up_n() > 2) {
			--*deaths;
			kill_node(to);
		}
		break;
	case 2:
		if (*deaths && up_n() > 2 && apart < 0) {
			--*deaths;
			tell("drain %u", to);
			nodes[to].drains = true;
			fabric_offline(to);
			dk_stop(dk_harness_kernel(fabric[to].h));
		}
		break;
	case 3:
		if (apart < 0)
			cut(to, true);
		break;
	case 4 ... 10:
		if (users[u].p && users[u].p->end && users[u].p->node != to && player_user(users[u].p)) {
			struct fabric_node *n = &fabric[users[u].p->node];

			tell("%s moves to %u", users[u].name, to);
			n->users->move(n->users, crier(users[u].p->node), player_user(users[u].p), &fabric[to].addr,
				       dk_str_n(NULL, 0), dk_slice_n(NULL, 0), on_moved, NULL);
		}
		break;
	case 11:
		take_back();
		break;
	default:
		give();
	}
}

/* ---- the end ---- */

static void check_all(unsigned late)
{
	size_t n = SIZE_MAX, got = 0;

	for (unsigned i = 0; i < NODES; i++) {
		size_t here = crier(i)->notifier->count(crier(i)->notifier);

		MUST(n == SIZE_MAX || here == n, "%u has %zu notices, others %zu", i, here, n);
		n = here;
		MUST(dk_harness_counter(fabric[i].h, "notifier", "malformed") == 0, "%u could not read something", i);
	}
	/* Whoever came last has heard exactly those that live; all others those, too. */
	for (unsigned k = 0; k < notice_n; k++)
		got += users[late].heard[k];
	MUST(got == n, "%s has heard %zu notices of %zu", users[late].name, got, n);
	for (unsigned u = 0; u < USERS; u++) {
		MUST(users[u].p != NULL, "%s is nowhere", users[u].name);
		for (unsigned k = 0; k < notice_n; k++)
			MUST(users[u].heard[k] || !users[late].heard[k], "%s has not heard %u", users[u].name, k);
	}
}

static void walk(uint64_t seed)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_crier, NULL };
	unsigned deaths = 3, late = USERS - 1;

	the_seed = seed;
	chance_world = dk_env_sim(seed * 104729 + 1);
	ck_assert_ptr_nonnull(chance_world);
	memset(users, 0, sizeof(users));
	memset(notices, 0, sizeof(notices));
	memset(nodes, 0, sizeof(nodes));
	notice_n = 0;
	apart = -1;
	fabric_open(NODES, seed, "", plugins, "notifier = { compare_ms = 2000; }; crier = { };");
	fabric_jitter(chance(20));
	for (unsigned u = 0; u < USERS; u++) {
		snprintf(users[u].name, sizeof(users[u].name), "user%u", u);
		log_in(u);
	}
	for (unsigned i = 0; i < STEPS; i++) {
		step(&deaths);
		pass(chance(300));
	}
	pass(30000);
	player_leave(users[late].p);
	pass(1);
	if (users[late].p)
		gone(late, 1);
	pass(60000); /* some notices an answer */
	check_all(late);
	fabric_close();
	dk_env_free(chance_world);
}

START_TEST(random_schedules)
{
	const char *one = getenv("NOTIFIER_WALK_SEED"), *many = getenv("NOTIFIER_WALK_SEEDS");
	uint64_t n = many ? strtoull(many, NULL, 10) : SEEDS;

	telling = one != NULL;
	if (one) {
		walk(strtoull(one, NULL, 10));
	} else {
		for (uint64_t seed = 1; seed <= n; seed++)
			walk(seed);
		ck_assert_uint_gt(heard, 50 * n);
	}
	printf("%u heard\n", heard);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notices, at random");
	TCase *t = tcase_create("walk");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 3600);
	tcase_add_test(t, random_schedules);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
