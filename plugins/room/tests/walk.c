/* SPDX-License-Identifier: Apache-2.0 */
/* See walk.h. The schedule has a generator of its own: what it draws does not hang on what the nodes draw. */
#include "walk.h"

#include <stdarg.h>
#include <stdlib.h>

enum { BACK_MS = 100 }; /* until who was cut off logs in again */

struct walk_user walk_users[WALK_USERS];
uint64_t walk_seed;
unsigned walk_deaths;

static struct {
	uint64_t noticed_ms, again_ms; /* of a node that is down; 0 = not down */
	bool drains;
} nodes[WALK_NODES];
static const struct walk *the_walk;
static struct dk_env *chances;
static bool telling;

uint32_t walk_chance(uint32_t n)
{
	return (uint32_t)(dk_sim_chance(chances) % n);
}

uint64_t walk_now(void)
{
	return dk_sim_now(fabric_world);
}

void walk_tell(const char *fmt, ...)
{
	va_list ap;

	if (!telling)
		return;
	printf("%llu ", (unsigned long long)walk_now());
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

void walk_failed(void)
{
	printf("%s_WALK_SEED=%llu: ", the_walk->name, (unsigned long long)walk_seed);
}

/* ---- nodes ---- */

static bool up(unsigned i)
{
	return fabric[i].h && !nodes[i].noticed_ms && !nodes[i].again_ms && !nodes[i].drains;
}

int walk_any_up(void)
{
	unsigned k = walk_chance(WALK_NODES);

	for (unsigned i = 0; i < WALK_NODES; i++)
		if (up((k + i) % WALK_NODES))
			return (int)((k + i) % WALK_NODES);
	return -1;
}

static void believe(unsigned i, enum dk_health health)
{
	for (unsigned k = 0; k < WALK_NODES; k++)
		if (k != i && fabric[k].h)
			fabric_believe(k, i, health);
}

/* ---- users ---- */

void walk_look(void)
{
	for (unsigned u = 0; u < the_walk->users; u++) {
		struct player *p = walk_users[u].p;
		char text[sizeof(p->log)], *line, *rest = text;

		if (!p)
			continue;
		if (the_walk->look)
			the_walk->look(u);
		snprintf(text, sizeof(text), "%s", player_heard(p));
		while ((line = strsep(&rest, "\n")))
			if (*line)
				the_walk->heard(u, line);
	}
}

static void gone(unsigned u, uint64_t for_ms)
{
	if (the_walk->gone)
		the_walk->gone(u);
	walk_users[u].p = NULL;
	walk_users[u].again_ms = walk_now() + for_ms;
}

static void gone_from(unsigned node, uint64_t for_ms)
{
	walk_look();
	for (unsigned u = 0; u < the_walk->users; u++)
		if (walk_users[u].p && walk_users[u].p->node == node)
			gone(u, for_ms);
}

static void log_in(unsigned u)
{
	struct walk_user *user = &walk_users[u];
	int at = walk_any_up();

	if (at < 0 || fabric[at].users->by_uid(fabric[at].users, dk_str_c(user->name)))
		return;
	walk_tell("%s logs in at %d", user->name, at);
	user->p = player_new((unsigned)at, user->name);
	user->again_ms = 0;
	if (the_walk->came)
		the_walk->came(u);
}

void walk_hang_up(unsigned u)
{
	uint64_t for_ms;

	if (!walk_users[u].p)
		return;
	walk_tell("%s hangs up", walk_users[u].name);
	player_leave(walk_users[u].p);
	walk_pass(1);
	for_ms = 1 + walk_chance(500);
	if (walk_users[u].p)
		gone(u, for_ms);
	else
		walk_users[u].again_ms = walk_now() + for_ms;
}

static void on_moved(void *self, void *arg, dk_id user, int err)
{
	(void)self;
	(void)user;
	if (err)
		walk_tell("%s stays", (const char *)arg);
}

void walk_move(void *self, unsigned u, unsigned node)
{
	const struct player *p = walk_users[u].p;
	struct fabric_node *n = p ? &fabric[p->node] : NULL;

	if (!p || !n->h || !p->end || p->node == node || !player_user(p))
		return;
	walk_tell("%s moves to %u", walk_users[u].name, node);
	n->users->move(n->users, self, player_user(p), &fabric[node].addr, dk_str_n(NULL, 0), dk_slice_n(NULL, 0), on_moved,
		       walk_users[u].name);
}

/* ---- what happens to nodes ---- */

bool walk_may_die(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WALK_NODES; i++)
		n += up(i);
	return walk_deaths && n > 2;
}

void walk_kill(unsigned node)
{
	walk_tell("kill %u", node);
	walk_deaths--;
	gone_from(node, WALK_GONE_MS);
	fabric_kill(node);
	nodes[node].noticed_ms = walk_now() + WALK_NOTICED_MS;
	nodes[node].again_ms = walk_now() + WALK_GONE_MS + walk_chance(3000);
}

void walk_drain(unsigned node)
{
	walk_tell("drain %u", node);
	walk_deaths--;
	nodes[node].drains = true;
	fabric_offline(node);
	dk_stop(dk_harness_kernel(fabric[node].h));
}

static void look_after(unsigned i)
{
	if (nodes[i].drains && dk_finished(dk_harness_kernel(fabric[i].h), NULL)) {
		walk_tell("%u has ended", i);
		gone_from(i, BACK_MS);
		fabric_stop(i);
		believe(i, DK_LEFT);
		nodes[i].drains = false;
		nodes[i].again_ms = walk_now() + 1000 + walk_chance(2000);
	}
	if (nodes[i].noticed_ms && walk_now() >= nodes[i].noticed_ms) {
		walk_tell("%u is dead", i);
		believe(i, DK_DEAD);
		nodes[i].noticed_ms = 0;
	}
	if (nodes[i].again_ms && walk_now() >= nodes[i].again_ms) {
		walk_tell("%u begins anew", i);
		nodes[i].again_ms = 0;
		fabric_restart(i);
	}
}

void walk_pass(uint64_t ms)
{
	while (ms--) {
		fabric_run(1);
		walk_look();
		for (unsigned i = 0; i < WALK_NODES; i++)
			look_after(i);
		if (the_walk->every_ms)
			the_walk->every_ms();
		for (unsigned u = 0; u < the_walk->users; u++) {
			if (walk_users[u].p && walk_users[u].p->gone) {
				walk_tell("%s is cut off", walk_users[u].name);
				gone(u, BACK_MS);
			}
			if (walk_users[u].again_ms && walk_now() >= walk_users[u].again_ms)
				log_in(u);
		}
	}
}

/* ---- walks ---- */

void walk_begin(void)
{
	walk_deaths = 3;
	for (unsigned u = 0; u < the_walk->users; u++) {
		snprintf(walk_users[u].name, sizeof(walk_users[u].name), "user%u", u);
		log_in(u);
	}
}

static void walk(uint64_t seed)
{
	walk_seed = seed;
	memset(walk_users, 0, sizeof(walk_users));
	memset(nodes, 0, sizeof(nodes));
	chances = dk_env_sim(seed * the_walk->factor + 1);
	ck_assert_ptr_nonnull(chances);
	the_walk->one(seed);
	fabric_close();
	dk_env_free(chances);
}

static uint64_t number(const char *what, uint64_t otherwise)
{
	char name[64];
	const char *value;

	snprintf(name, sizeof(name), "%s_%s", the_walk->name, what);
	value = getenv(name);
	return value ? strtoull(value, NULL, 10) : otherwise;
}

uint64_t walk_all(const struct walk *w)
{
	uint64_t one, n;

	the_walk = w;
	one = number("WALK_SEED", 0);
	n = number("WALK_SEEDS", w->seeds);
	telling = one != 0;
	if (one)
		walk(one);
	for (uint64_t seed = 1; !one && seed <= n; seed++)
		walk(seed);
	return one ? 0 : n;
}

int walk_main(const char *title, const TTest *test)
{
	Suite *suite = suite_create(title);
	TCase *t = tcase_create("walk");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 3600);
	tcase_add_test(t, test);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
