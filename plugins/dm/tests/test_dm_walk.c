/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random schedules: users write to each other by uid while they move between nodes, hang up and log in again elsewhere, and while
 * nodes are killed, drained and begin anew, and messages between nodes take up to 20 ms. Then, for each two users: what is heard
 * of one login is heard in the order of sending, and nothing twice; each message has an answer, unless its sender's connection
 * ended, or the node that the sender had just left died with what it said there; what was answered Ok is heard, unless the
 * receiver's node died or its connection ended around that time; what was refused is not heard.
 *
 * DM_WALK_SEED and DM_WALK_SEEDS as in walk.h.
 */
#include "dm_nodes.h"

#include "plugins/room/tests/walk.h"

enum { USERS = 6, STEPS = 250, NUMBERS = 512, AROUND_MS = 12000, LOGINS = 64 };

enum fate { UNSENT, OPEN, ARRIVED, REFUSED, UNSURE, LOST };

struct letter {
	uint8_t fate, login;
	bool heard;
	uint64_t answered_ms;
};

/* What it says and hears; who it is stands in walk_users. */
static struct writer {
	unsigned next[USERS]; /* number of the next letter to each */
	unsigned heard[USERS][LOGINS]; /* the last one heard of each, plus 1, by login */
	uint8_t login;
	struct {
		uint8_t to;
		uint16_t number;
	} open[NUMBERS]; /* in order of sending */
	unsigned open_from, open_to;
	uint64_t on[WALK_NODES]; /* when it was last on that node */
	unsigned at; /* its node, */
	int from; /* the one before that of this login, -1 = none, */
	unsigned said_there; /* and open_to when it came */
	uint64_t lost_ms[64], back_ms[64]; /* when it may have lost something, and when it was back */
	unsigned lost_n;
} writers[USERS];
static struct letter letters[USERS][USERS][NUMBERS];
static unsigned arrived, refused, unsure, excused;

static const char *name_of(const struct writer *w)
{
	return walk_users[w - writers].name;
}

/* ---- what is heard ---- */

static void on_message(struct writer *w, const char *text)
{
	unsigned from, to, number, index = (unsigned)(w - writers);
	struct letter *l;

	WALK_MUST(sscanf(text, "%u>%u:%u.", &from, &to, &number) == 3 && to == index && from < USERS && number < NUMBERS,
		  "%s heard something odd: %s", name_of(w), text);
	l = &letters[from][index][number];
	walk_tell("%s heard %u>%u:%u", name_of(w), from, to, number);
	WALK_MUST(l->fate != UNSENT, "%s heard %s, which nobody said", name_of(w), text);
	WALK_MUST(!l->heard, "%s heard %u>%u:%u twice", name_of(w), from, to, number);
	WALK_MUST(number + 1 > w->heard[from][l->login], "%s heard %u>%u:%u after %u", name_of(w), from, to, number,
		  w->heard[from][l->login] - 1);
	WALK_MUST(l->fate != REFUSED, "%s heard %u>%u:%u, which was refused", name_of(w), from, to, number);
	l->heard = true;
	w->heard[from][l->login] = number + 1;
}

static void on_answer(struct writer *w, enum fate fate, const char *text)
{
	struct letter *l;
	unsigned to, number;

	WALK_MUST(w->open_from != w->open_to, "%s got an answer too many: %s", name_of(w), text);
	to = w->open[w->open_from % NUMBERS].to;
	number = w->open[w->open_from % NUMBERS].number;
	w->open_from++;
	l = &letters[w - writers][to][number];
	walk_tell("%s: %u>%u:%u %s", name_of(w), (unsigned)(w - writers), to, number, text);
	WALK_MUST(fate != REFUSED || !l->heard, "%u>%u:%u was refused, and heard", (unsigned)(w - writers), to, number);
	l->fate = (uint8_t)fate;
	l->answered_ms = walk_now();
	arrived += fate == ARRIVED;
	refused += fate == REFUSED;
	unsure += fate == UNSURE;
}

static void on_heard(unsigned u, const char *line)
{
	struct writer *w = &writers[u];

	if (!strncmp(line, "701 push ..", 11))
		on_message(w, line + 11);
	else if (!strncmp(line, "701 ok", 6))
		on_answer(w, ARRIVED, line);
	else if (!strncmp(line, "701 bad", 7))
		on_answer(w, REFUSED, line);
	else if (!strncmp(line, "701 err", 7))
		on_answer(w, strstr(line, "may have") ? UNSURE : REFUSED, line);
	else
		WALK_MUST(false, "%s heard %s", name_of(w), line);
}

static void look(unsigned u)
{
	struct writer *w = &writers[u];
	unsigned at = walk_users[u].p->node;

	if (w->at != at) {
		walk_tell("%s is at %u", name_of(w), at);
		w->from = (int)w->at;
		w->at = at;
		w->said_there = w->open_to;
	}
	w->on[at] = walk_now();
}

/* ---- what happens ---- */

static void may_have_lost(struct writer *w)
{
	if (w->lost_n == DK_ARRAY_LEN(w->lost_ms))
		return;
	w->back_ms[w->lost_n] = walk_now();
	w->lost_ms[w->lost_n++] = walk_now();
}

/* What it asked before is not answered any more. */
static void unanswered(struct writer *w, unsigned before)
{
	for (; w->open_from < before; w->open_from++)
		letters[w - writers][w->open[w->open_from % NUMBERS].to][w->open[w->open_from % NUMBERS].number].fate = LOST;
}

static void on_gone(unsigned u)
{
	unanswered(&writers[u], writers[u].open_to);
	may_have_lost(&writers[u]);
}

static void on_came(unsigned u)
{
	struct writer *w = &writers[u];

	w->at = walk_users[u].p->node;
	w->from = -1;
	if (w->lost_n)
		w->back_ms[w->lost_n - 1] = walk_now();
	w->login++;
	WALK_MUST(w->login < LOGINS, "%s has logged in too often", name_of(w));
}

static struct letter *write_one(struct writer *w, unsigned to)
{
	unsigned number = w->next[to]++;
	struct letter *l = &letters[w - writers][to][number];
	char text[32];

	snprintf(text, sizeof(text), "%u>%u:%u", (unsigned)(w - writers), to, number);
	l->fate = OPEN;
	l->login = w->login;
	w->open[w->open_to % NUMBERS].to = (uint8_t)to;
	w->open[w->open_to++ % NUMBERS].number = (uint16_t)number;
	walk_tell("%s says %s at %u", name_of(w), text, w->at);
	dm_send(walk_users[w - writers].p, walk_users[to].name, text);
	return l;
}

static void write_to(struct writer *w)
{
	unsigned to = walk_chance(USERS), n = 1 + walk_chance(4);

	for (unsigned i = 0; i < n && w->next[to] < NUMBERS && w->open_to - w->open_from < 60; i++)
		write_one(w, to);
}

/* The node it comes from has not sent yet what it said there. */
static bool is_awaited(unsigned u)
{
	const struct player *p = walk_users[u].p;
	struct dk_user *there = p ? fabric[p->node].users : NULL;

	return there && there->way(there, player_user(p)) == DK_USER_ARRIVES;
}

static void kill_node(unsigned i)
{
	walk_look();
	for (unsigned u = 0; u < USERS; u++) {
		bool there = walk_users[u].p && walk_users[u].p->node == i;

		if (!there && writers[u].on[i] && walk_now() - writers[u].on[i] < AROUND_MS)
			may_have_lost(&writers[u]); /* something may have been on its way after it */
	}
	walk_kill(i);
	fabric_run(2); /* what it sent and what is there */
	walk_look();
	for (unsigned u = 0; u < USERS; u++)
		if (writers[u].from == (int)i && is_awaited(u)) {
			walk_tell("%u takes along what %s said there", i, walk_users[u].name);
			unanswered(&writers[u], writers[u].said_there);
		}
}

static void step(void)
{
	unsigned u = walk_chance(USERS);
	const struct player *p = walk_users[u].p;
	int to = walk_any_up();

	switch (walk_chance(40)) {
	case 0:
		walk_hang_up(u);
		break;
	case 1:
		if (walk_may_die())
			kill_node((unsigned)to);
		break;
	case 2:
		if (walk_may_die())
			walk_drain((unsigned)to);
		break;
	case 3 ... 8:
		if (p && to >= 0 && fabric[p->node].h)
			walk_move(probe_of(p->node), u, (unsigned)to);
		break;
	default:
		if (p && p->end)
			write_to(&writers[u]);
	}
}

/* ---- the end ---- */

/* A node that sent its user to one that died takes it for moving for up to ten seconds. */
static bool is_excused(const struct writer *w, uint64_t answered_ms)
{
	for (unsigned i = 0; i < w->lost_n; i++)
		if (w->back_ms[i] + 50 >= answered_ms && w->lost_ms[i] <= answered_ms + AROUND_MS)
			return true;
	return false;
}

static void check_letters(void)
{
	for (unsigned a = 0; a < USERS; a++)
		for (unsigned b = 0; b < USERS; b++)
			for (unsigned n = 0; n < writers[a].next[b]; n++) {
				const struct letter *l = &letters[a][b][n];

				WALK_MUST(l->fate != OPEN, "%u>%u:%u was never answered", a, b, n);
				if (l->fate != ARRIVED || l->heard)
					continue;
				WALK_MUST(is_excused(&writers[b], l->answered_ms),
					  "%u>%u:%u was answered Ok at %llu, and never heard", a, b, n,
					  (unsigned long long)l->answered_ms);
				excused++;
			}
}

static void one(uint64_t seed)
{
	memset(writers, 0, sizeof(writers));
	memset(letters, 0, sizeof(letters));
	dm_open(WALK_NODES, seed, "");
	fabric_jitter(walk_chance(20));
	walk_begin();
	walk_pass(100);
	for (unsigned i = 0; i < STEPS; i++) {
		step();
		walk_pass(walk_chance(30));
	}
	walk_pass(12000);
	/* When all is well again everybody finds everybody. */
	for (unsigned u = 0; u < USERS; u++) {
		WALK_MUST(walk_users[u].p != NULL, "%s is nowhere", walk_users[u].name);
		for (unsigned k = 0; k < USERS && writers[u].next[k] < NUMBERS; k++) {
			const struct letter *l = write_one(&writers[u], k);

			walk_pass(150);
			WALK_MUST(l->heard && l->fate == ARRIVED, "%s was not heard by %s in the end", walk_users[u].name,
				  walk_users[k].name);
		}
	}
	check_letters();
	for (unsigned i = 0; i < WALK_NODES; i++)
		if (fabric[i].h) {
			WALK_MUST(dm_count(i, "waiting") == 0 && dm_count(i, "waiting_bytes") == 0, "something waits at %u", i);
			WALK_MUST(dm_count(i, "malformed") == 0, "%u could not read something", i);
		}
}

static const struct walk walk = { .name = "DM",
				  .seeds = 15,
				  .users = USERS,
				  .factor = 7919,
				  .one = one,
				  .heard = on_heard,
				  .look = look,
				  .came = on_came,
				  .gone = on_gone };

START_TEST(random_schedules)
{
	uint64_t n;

	arrived = refused = unsure = excused = 0;
	n = walk_all(&walk);
	printf("%u arrived, %u refused, %u unsure, %u lost with a connection\n", arrived, refused, unsure, excused);
	ck_assert_uint_ge(arrived, 100 * n);
}
END_TEST

int main(void)
{
	return walk_main("direct messages, at random", random_schedules);
}
