/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random schedules: notices are given and deleted on any node while users log in, hang up and move, and nodes are killed,
 * drained, cut off and begin anew. No login hears an id twice, and none that was deleted everywhere before it came. When all is
 * well again, all nodes know the same, and whoever is connected has heard each notice that lives, once. NOTIFIER_WALK_SEED and
 * NOTIFIER_WALK_SEEDS as in walk.h.
 */
#include <diarkis/diarkis.h>
#include <diarkis/notifier.h>

#include "plugins/room/tests/walk.h"

enum { USERS = 5, STEPS = 120, NOTICES = 100 };

struct notifier_user {
	struct dk_self base;
	struct dk_notifier *notifier;
};

static const struct dk_need needs[] = { DK_NEED(struct notifier_user, notifier, DK_NOTIFIER), { 0 } };

DK_PLUGIN(crier) = {
	DK_PLUGIN_HEAD("crier", "1", "has news"),
	.self_size = sizeof(struct notifier_user),
	.needs = needs,
};

static bool has_heard[USERS][NOTICES];
static unsigned notice_n, heard;
static int apart;
static uint64_t together_ms;

static struct notifier_user *crier(unsigned node)
{
	return dk_plugin_state(dk_harness_kernel(fabric[node].h), "crier");
}

/* ---- what is heard ---- */

static void on_heard(unsigned u, const char *line)
{
	const char *name = walk_users[u].name;
	unsigned n;

	WALK_MUST(sscanf(line, "0.400 note n%u", &n) == 1 || sscanf(line, "400 push n%u", &n) == 1, "%s heard %s", name, line);
	walk_tell("%s heard %u", name, n);
	WALK_MUST(n < notice_n, "%s heard %u, which nobody said", name, n);
	WALK_MUST(!has_heard[u][n], "%s heard %u twice", name, n);
	has_heard[u][n] = true;
	heard++;
}

static void on_gone(unsigned u)
{
	memset(has_heard[u], 0, sizeof(has_heard[u]));
}

/* ---- what happens ---- */

static void give(unsigned at)
{
	unsigned n = notice_n;
	char text[16];
	struct dk_notice what = { .cmd = DK_NOTICE_CMD, .ttl_ms = 600000, .reliable = walk_chance(3) == 0 };

	if (notice_n == NOTICES)
		return;
	notice_n++;
	snprintf(text, sizeof(text), "n%u", n);
	what.id = dk_str_c(text);
	what.message = dk_slice_of(what.id);
	walk_tell("%u gives %u", at, n);
	WALK_MUST(crier(at)->notifier->notify(crier(at)->notifier, &what, false) == 0, "%u was not taken", n);
}

static void take_back(unsigned at)
{
	unsigned n = notice_n ? walk_chance(notice_n) : 0;
	char text[16];

	if (!notice_n)
		return;
	snprintf(text, sizeof(text), "n%u", n);
	walk_tell("%u deletes %u", at, n);
	crier(at)->notifier->remove(crier(at)->notifier, dk_str_c(text));
}

static void cut(unsigned i, bool on)
{
	walk_tell("cut %u %d", i, on);
	for (unsigned k = 0; k < WALK_NODES; k++)
		if (k != i)
			fabric_cut(i, k, on);
	apart = on ? (int)i : -1;
	together_ms = walk_now() + 4000;
}

static void every_ms(void)
{
	if (apart >= 0 && walk_now() >= together_ms)
		cut((unsigned)apart, false);
}

static void step(void)
{
	unsigned u = walk_chance(USERS), to = (unsigned)walk_any_up(), from;

	switch (walk_chance(24)) {
	case 0:
		walk_hang_up(u);
		break;
	case 1:
		if (walk_may_die())
			walk_kill(to);
		break;
	case 2:
		if (walk_may_die() && apart < 0)
			walk_drain(to);
		break;
	case 3:
		if (apart < 0)
			cut(to, true);
		break;
	case 4 ... 10:
		from = walk_users[u].p ? walk_users[u].p->node : to;
		if (from != to && fabric[from].h)
			walk_move(crier(from), u, to);
		break;
	case 11:
		take_back(to);
		break;
	default:
		give(to);
	}
}

/* ---- the end ---- */

static void check_all(unsigned late)
{
	size_t n = SIZE_MAX, got = 0;

	for (unsigned i = 0; i < WALK_NODES; i++) {
		size_t here = crier(i)->notifier->count(crier(i)->notifier);

		WALK_MUST(n == SIZE_MAX || here == n, "%u has %zu notices, others %zu", i, here, n);
		n = here;
		WALK_MUST(dk_harness_counter(fabric[i].h, "notifier", "malformed") == 0, "%u could not read something", i);
	}
	/* Whoever came last has heard exactly those that live; all others those, too. */
	for (unsigned k = 0; k < notice_n; k++)
		got += has_heard[late][k];
	WALK_MUST(got == n, "%s has heard %zu notices of %zu", walk_users[late].name, got, n);
	for (unsigned u = 0; u < USERS; u++) {
		WALK_MUST(walk_users[u].p != NULL, "%s is nowhere", walk_users[u].name);
		for (unsigned k = 0; k < notice_n; k++)
			WALK_MUST(has_heard[u][k] || !has_heard[late][k], "%s has not heard %u", walk_users[u].name, k);
	}
}

static void one(uint64_t seed)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_crier, NULL };

	memset(has_heard, 0, sizeof(has_heard));
	notice_n = 0;
	apart = -1;
	fabric_open(WALK_NODES, seed, "", plugins, "notifier = { compare_ms = 2000; }; crier = { };");
	fabric_jitter(walk_chance(20));
	walk_begin();
	for (unsigned i = 0; i < STEPS; i++) {
		step();
		walk_pass(walk_chance(300));
	}
	walk_pass(30000);
	walk_hang_up(USERS - 1);
	walk_pass(60000); /* some notices an answer */
	check_all(USERS - 1);
}

static const struct walk walk = { .name = "NOTIFIER",
				  .seeds = 20,
				  .users = USERS,
				  .factor = 104729,
				  .one = one,
				  .every_ms = every_ms,
				  .heard = on_heard,
				  .gone = on_gone };

START_TEST(random_schedules)
{
	uint64_t n;

	heard = 0;
	n = walk_all(&walk);
	printf("%u heard\n", heard);
	ck_assert_uint_ge(heard, 50 * n);
}
END_TEST

int main(void)
{
	return walk_main("notices, at random", random_schedules);
}
