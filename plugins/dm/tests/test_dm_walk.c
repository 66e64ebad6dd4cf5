/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random schedules: users write to each other by uid while they move between nodes, hang up and log in again elsewhere, and while
 * nodes are killed, drained and begin anew, and messages between nodes take up to 20 ms. Then, for each two users: what is heard
 * of one login is heard in the order of sending, and nothing twice; each message has an answer, unless its sender's connection
 * ended, or the node that the sender had just left died with what it said there; what was answered Ok is heard, unless the
 * receiver's node died or its connection ended around that time; what was refused is not heard.
 *
 * DM_WALK_SEEDS=N in the environment walks N seeds, DM_WALK_SEED=N that one alone, telling what it does; a failing one prints
 * itself.
 */
#include "dm_nodes.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/diarkis.h>

enum {
	NODES = 4,
	USERS = 6,
	STEPS = 250,
	NUMBERS = 512,
	SEEDS = 15,
	NOTICED_MS = 2400,
	GONE_MS = 3500,
	AROUND_MS = 12000,
	LOGINS = 64
};

enum fate { UNSENT, OPEN, ARRIVED, REFUSED, UNSURE, LOST };

struct letter {
	uint8_t fate, login;
	bool heard;
	uint64_t answered_ms;
};

struct user {
	struct player *p; /* NULL: logged in nowhere */
	char name[8];
	unsigned next[USERS]; /* number of the next letter to each */
	unsigned heard[USERS][LOGINS]; /* the last one heard of each, plus 1, by login */
	uint8_t login;
	struct {
		uint8_t to;
		uint16_t number;
	} open[NUMBERS]; /* in order of sending */
	unsigned open_from, open_to;
	uint64_t on[NODES]; /* when it was last on that node */
	unsigned at; /* its node, */
	int from; /* the one before that of this login, -1 = none, */
	unsigned said_there; /* and open_to when it came */
	uint64_t lost_ms[64], back_ms[64]; /* when it may have lost something, and when it was back */
	unsigned lost_n;
	uint64_t again_ms; /* logs in again; 0 = does not */
};

static struct user users[USERS];
static struct letter letters[USERS][USERS][NUMBERS];
static struct {
	uint64_t noticed_ms, again_ms; /* of a node that is down; 0 = not down */
	bool drains;
} nodes[NODES];
static struct dk_env *chance_world;
static uint64_t the_seed;
static bool telling;
static unsigned arrived, refused, unsure, excused;

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
			printf("DM_WALK_SEED=%llu: ", (unsigned long long)the_seed);                                               \
			printf(__VA_ARGS__);                                                                                       \
			printf("\n");                                                                                              \
			fflush(stdout);                                                                                            \
			ck_abort_msg("seed %llu", (unsigned long long)the_seed);                                                   \
		}                                                                                                                  \
	} while (0)

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

static int any_up(void)
{
	unsigned k = chance(NODES);

	for (unsigned i = 0; i < NODES; i++)
		if (up((k + i) % NODES))
			return (int)((k + i) % NODES);
	return -1;
}

/* ---- what is heard ---- */

static void on_message(struct user *u, const char *text)
{
	unsigned from, to, number, index = (unsigned)(u - users);
	struct letter *l;

	MUST(sscanf(text, "%u>%u:%u.", &from, &to, &number) == 3 && to == index && from < USERS && number < NUMBERS,
	     "%s heard something odd: %s", u->name, text);
	l = &letters[from][index][number];
	tell("%s heard %u>%u:%u", u->name, from, to, number);
	MUST(l->fate != UNSENT, "%s heard %s, which nobody said", u->name, text);
	MUST(!l->heard, "%s heard %u>%u:%u twice", u->name, from, to, number);
	MUST(number + 1 > u->heard[from][l->login], "%s heard %u>%u:%u after %u", u->name, from, to, number,
	     u->heard[from][l->login] - 1);
	MUST(l->fate != REFUSED, "%s heard %u>%u:%u, which was refused", u->name, from, to, number);
	l->heard = true;
	u->heard[from][l->login] = number + 1;
}

static void on_answer(struct user *u, enum fate fate, const char *text)
{
	struct letter *l;
	unsigned to, number;

	MUST(u->open_from != u->open_to, "%s got an answer too many: %s", u->name, text);
	to = u->open[u->open_from % NUMBERS].to;
	number = u->open[u->open_from % NUMBERS].number;
	u->open_from++;
	l = &letters[u - users][to][number];
	tell("%s: %u>%u:%u %s", u->name, (unsigned)(u - users), to, number, text);
	MUST(fate != REFUSED || !l->heard, "%u>%u:%u was refused, and heard", (unsigned)(u - users), to, number);
	l->fate = (uint8_t)fate;
	l->answered_ms = now();
	arrived += fate == ARRIVED;
	refused += fate == REFUSED;
	unsure += fate == UNSURE;
}

static void read_all(struct user *u)
{
	char text[sizeof(u->p->log)], *line, *rest = text;

	snprintf(text, sizeof(text), "%s", player_heard(u->p));
	while ((line = strsep(&rest, "\n"))) {
		if (!strncmp(line, "701 push ..", 11))
			on_message(u, line + 11);
		else if (!strncmp(line, "701 ok", 6))
			on_answer(u, ARRIVED, line);
		else if (!strncmp(line, "701 bad", 7))
			on_answer(u, REFUSED, line);
		else if (!strncmp(line, "701 err", 7))
			on_answer(u, strstr(line, "may have") ? UNSURE : REFUSED, line);
		else
			MUST(!*line, "%s heard %s", u->name, line);
	}
}

static void look(void)
{
	for (unsigned i = 0; i < USERS; i++) {
		struct user *u = &users[i];

		if (!u->p)
			continue;
		if (u->at != u->p->node) {
			tell("%s is at %u", u->name, u->p->node);
			u->from = (int)u->at;
			u->at = u->p->node;
			u->said_there = u->open_to;
		}
		u->on[u->at] = now();
		read_all(u);
	}
}

/* ---- what happens ---- */

static void may_have_lost(struct user *u)
{
	if (u->lost_n == DK_ARRAY_LEN(u->lost_ms))
		return;
	u->back_ms[u->lost_n] = now();
	u->lost_ms[u->lost_n++] = now();
}

/* What it asked before is not answered any more. */
static void unanswered(struct user *u, unsigned before)
{
	for (; u->open_from < before; u->open_from++)
		letters[u - users][u->open[u->open_from % NUMBERS].to][u->open[u->open_from % NUMBERS].number].fate = LOST;
}

/* Its connection has ended. */
static void cut_off(struct user *u)
{
	unanswered(u, u->open_to);
	may_have_lost(u);
	u->p = NULL;
}

static void log_in(struct user *u)
{
	int at = any_up();

	if (at < 0 || fabric[at].users->by_uid(fabric[at].users, dk_str_c(u->name)))
		return;
	tell("%s logs in at %d", u->name, at);
	u->p = player_new((unsigned)at, u->name);
	u->at = (unsigned)at;
	u->from = -1;
	u->again_ms = 0;
	if (u->lost_n)
		u->back_ms[u->lost_n - 1] = now();
	u->login++;
	MUST(u->login < LOGINS, "%s has logged in too often", u->name);
}

static struct letter *write_one(struct user *u, unsigned to)
{
	unsigned number = u->next[to]++;
	struct letter *l = &letters[u - users][to][number];
	char text[32];

	snprintf(text, sizeof(text), "%u>%u:%u", (unsigned)(u - users), to, number);
	l->fate = OPEN;
	l->login = u->login;
	u->open[u->open_to % NUMBERS].to = (uint8_t)to;
	u->open[u->open_to++ % NUMBERS].number = (uint16_t)number;
	tell("%s says %s at %u", u->name, text, u->p->node);
	dm_send(u->p, users[to].name, text);
	return l;
}

static void write_to(struct user *u)
{
	unsigned to = chance(USERS), n = 1 + chance(4);

	for (unsigned i = 0; i < n && u->next[to] < NUMBERS && u->open_to - u->open_from < 60; i++)
		write_one(u, to);
}

/* The node it comes from has not sent yet what it said there. */
static bool is_awaited(const struct user *u)
{
	struct dk_user *users_there = u->p ? fabric[u->p->node].users : NULL;

	return users_there && users_there->way(users_there, player_user(u->p)) == DK_USER_ARRIVES;
}

static void kill_node(unsigned i)
{
	tell("kill %u", i);
	look();
	for (unsigned k = 0; k < USERS; k++) {
		struct user *u = &users[k];

		if (u->p && u->p->node == i) {
			cut_off(u);
			u->again_ms = now() + GONE_MS;
		} else if (u->on[i] && now() - u->on[i] < AROUND_MS) {
			may_have_lost(u); /* something may have been on its way after it */
		}
	}
	fabric_kill(i);
	fabric_run(2); /* what it sent and what is there */
	look();
	for (unsigned k = 0; k < USERS; k++)
		if (users[k].from == (int)i && is_awaited(&users[k])) {
			tell("%u takes along what %s said there", i, users[k].name);
			unanswered(&users[k], users[k].said_there);
		}
	nodes[i].noticed_ms = now() + NOTICED_MS;
	nodes[i].again_ms = now() + GONE_MS + chance(3000);
}

static void believe(unsigned i, enum dk_health health)
{
	for (unsigned k = 0; k < NODES; k++)
		if (k != i && fabric[k].h)
			fabric_believe(k, i, health);
}

static void look_after_nodes(void)
{
	for (unsigned i = 0; i < NODES; i++) {
		if (nodes[i].drains && dk_finished(dk_harness_kernel(fabric[i].h), NULL)) {
			tell("%u has ended", i);
			look();
			for (unsigned k = 0; k < USERS; k++)
				if (users[k].p && users[k].p->node == i) {
					cut_off(&users[k]);
					users[k].again_ms = now() + 100;
				}
			fabric_stop(i);
			believe(i, DK_LEFT);
			nodes[i].drains = false;
			nodes[i].again_ms = now() + 1000 + chance(2000);
		}
		if (nodes[i].noticed_ms && now() >= nodes[i].noticed_ms) {
			tell("%u is dead", i);
			believe(i, DK_DEAD);
			nodes[i].noticed_ms = 0;
		}
		if (nodes[i].again_ms && now() >= nodes[i].again_ms) {
			tell("%u begins anew", i);
			nodes[i].again_ms = 0;
			fabric_restart(i);
		}
	}
	for (unsigned k = 0; k < USERS; k++) {
		struct user *u = &users[k];

		if (u->p && u->p->gone) {
			tell("%s is cut off", u->name);
			cut_off(u);
			u->again_ms = now() + 100;
		}
		if (u->again_ms && now() >= u->again_ms)
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

static void step(unsigned *deaths)
{
	struct user *u = &users[chance(USERS)];
	int to = any_up();

	switch (chance(40)) {
	case 0:
		if (u->p) {
			tell("%s hangs up", u->name);
			player_leave(u->p);
			pass(1);
			if (u->p)
				cut_off(u);
			u->again_ms = now() + 1 + chance(500);
		}
		break;
	case 1:
		if (*deaths && up_n() > 2) {
			--*deaths;
			kill_node((unsigned)to);
		}
		break;
	case 2:
		if (*deaths && up_n() > 2) {
			--*deaths;
			tell("drain %d", to);
			nodes[to].drains = true;
			fabric_offline((unsigned)to);
			dk_stop(dk_harness_kernel(fabric[to].h));
		}
		break;
	case 3 ... 8:
		if (u->p && to >= 0 && fabric[u->p->node].h && u->p->end && (unsigned)to != u->p->node && player_user(u->p)) {
			tell("%s moves to %d", u->name, to);
			dm_move(u->p, (unsigned)to);
		}
		break;
	default:
		if (u->p && u->p->end)
			write_to(u);
	}
}

/* ---- the end ---- */

/* A node that sent its user to one that died takes it for moving for up to ten seconds. */
static bool is_excused(const struct user *u, uint64_t answered_ms)
{
	for (unsigned i = 0; i < u->lost_n; i++)
		if (u->back_ms[i] + 50 >= answered_ms && u->lost_ms[i] <= answered_ms + AROUND_MS)
			return true;
	return false;
}

static void check_letters(void)
{
	for (unsigned a = 0; a < USERS; a++)
		for (unsigned b = 0; b < USERS; b++)
			for (unsigned n = 0; n < users[a].next[b]; n++) {
				const struct letter *l = &letters[a][b][n];

				MUST(l->fate != OPEN, "%u>%u:%u was never answered", a, b, n);
				if (l->fate != ARRIVED || l->heard)
					continue;
				MUST(is_excused(&users[b], l->answered_ms), "%u>%u:%u was answered Ok at %llu, and never heard", a,
				     b, n, (unsigned long long)l->answered_ms);
				excused++;
			}
}

static void walk(uint64_t seed)
{
	unsigned deaths = 3;

	the_seed = seed;
	chance_world = dk_env_sim(seed * 7919 + 1);
	ck_assert_ptr_nonnull(chance_world);
	memset(users, 0, sizeof(users));
	memset(letters, 0, sizeof(letters));
	memset(nodes, 0, sizeof(nodes));
	dm_open(NODES, seed, "");
	fabric_jitter(chance(20));
	for (unsigned i = 0; i < USERS; i++) {
		snprintf(users[i].name, sizeof(users[i].name), "user%u", i);
		log_in(&users[i]);
	}
	pass(100);
	for (unsigned i = 0; i < STEPS; i++) {
		step(&deaths);
		pass(chance(30));
	}
	pass(12000);
	/* When all is well again everybody finds everybody. */
	for (unsigned i = 0; i < USERS; i++) {
		MUST(users[i].p != NULL, "%s is nowhere", users[i].name);
		for (unsigned k = 0; k < USERS && users[i].next[k] < NUMBERS; k++) {
			const struct letter *l = write_one(&users[i], k);

			pass(150);
			MUST(l->heard && l->fate == ARRIVED, "%s was not heard by %s in the end", users[i].name, users[k].name);
		}
	}
	check_letters();
	for (unsigned i = 0; i < NODES; i++)
		if (fabric[i].h) {
			MUST(dm_count(i, "waiting") == 0 && dm_count(i, "waiting_bytes") == 0, "something waits at %u", i);
			MUST(dm_count(i, "malformed") == 0, "%u could not read something", i);
		}
	fabric_close();
	dk_env_free(chance_world);
}

START_TEST(random_schedules)
{
	const char *one = getenv("DM_WALK_SEED"), *many = getenv("DM_WALK_SEEDS");
	uint64_t n = many ? strtoull(many, NULL, 10) : SEEDS;

	arrived = refused = unsure = excused = 0;
	telling = one != NULL;
	if (one) {
		walk(strtoull(one, NULL, 10));
	} else {
		for (uint64_t seed = 1; seed <= n; seed++)
			walk(seed);
		ck_assert_uint_gt(arrived, 100 * n);
	}
	printf("%u arrived, %u refused, %u unsure, %u lost with a connection\n", arrived, refused, unsure, excused);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("direct messages, at random");
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
