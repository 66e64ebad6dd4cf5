/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole clusters under random faults: MARS and 3 or 7 realtime nodes with their real plugins, players in rooms who never stop
 * talking. Nodes are killed, begun anew, held, cut off and drained, links lose packets; everything, the plan of faults included,
 * comes from the seed. Then the history is judged:
 *
 *   - nobody hears a message twice or out of order, whatever happens, except for the few that a move under loss must repeat
 *   - no message is lost, except what was said to a room while its node was killed, held or cut off
 *   - a kill is seen within 3 s by every node that ran through them; nobody else is ever taken for dead
 *   - 5 s after the last fault every room that lives has one owner, and its members hear each other
 *   - who loses its room is told within 4 s; a room with replicas goes on within 5 s
 *
 *   sim_cluster                 the seeds of make check: 200, or 10 under a sanitizer
 *   sim_cluster FIRST LAST      these seeds; one line each, so that a long run can be resumed where it stopped
 */
#include "seeds.h"
#include "town.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define STEP_MS 20
#define FAULTS 5
#define FAULTS_MS 6000 /* all begin within it */
#define SEEN_MS 3000
#define TOLD_MS 4000
#define RESUMED_MS 5000
#define HEALED_MS 5000

enum kind { KILL, KILL_MARS, HOLD, HOLD_LONG, CUT_ONE_WAY, CUT_PAIR, ISOLATE, LOSS, BURST, DRAIN, KINDS };
static const char *const kind_names[KINDS] = { "kill",     "kill mars", "hold", "hold long", "cut one way",
					       "cut pair", "isolate",   "loss", "burst",     "drain" };

struct fault {
	enum kind kind;
	unsigned a, b;
	double loss;
	uint64_t boot; /* of what was killed */
	uint64_t at, until; /* ms after the beginning */
	bool began, ended, seen;
};

struct play {
	struct town *t;
	uint64_t seed, rng, began, healed; /* healed: ms after the beginning, when the last fault is over */
	struct fault fault[FAULTS];
	unsigned fault_n;
	bool away[TOWN_NODES]; /* killed, held for long, cut off or drained by the plan */
	unsigned hit[TOWN_PLAYERS]; /* by room: how often its node was taken away */
	uint64_t hit_ms[TOWN_PLAYERS]; /* the first time, ms of the world */
	unsigned away_n; /* how many of them, MARS not counted: a room with that many replicas outlives all */
	bool drains;
};

/* splitmix64: the plan must not change when nodes ask the world for more or fewer random numbers. */
static uint64_t chance(struct play *p, uint64_t below)
{
	uint64_t z = p->rng += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % below;
}

static uint64_t between(struct play *p, uint64_t from, uint64_t to)
{
	return from + chance(p, to - from + 1);
}

/* ---- the plan ---- */

static bool takes_away(enum kind k)
{
	return k == KILL || k == HOLD_LONG || k == ISOLATE || k == DRAIN;
}

/* A minority may be taken away, MARS counted: what the rest may then do is what this test is about. */
static void plan(struct play *p, unsigned nodes)
{
	unsigned may = nodes / 2, wanted = 1 + (unsigned)chance(p, FAULTS);

	while (p->fault_n < wanted) {
		struct fault f = { .kind = (enum kind)chance(p, KINDS), .a = 1 + (unsigned)chance(p, nodes) };

		f.at = chance(p, FAULTS_MS);
		f.b = 1 + (f.a + (unsigned)chance(p, nodes - 1)) % nodes;
		f.loss = (double)between(p, 5, 30) / 100;
		if ((takes_away(f.kind) || f.kind == KILL_MARS) && !may)
			f.kind = LOSS;
		if (takes_away(f.kind) && p->away[f.a])
			continue;
		switch (f.kind) {
		case KILL_MARS:
			f.a = 0;
			if (p->away[0])
				continue;
			f.until = f.at + between(p, 0, 1) * between(p, 500, 4000);
			break;
		case HOLD:
			f.until = f.at + between(p, 200, 1300);
			break;
		case HOLD_LONG:
			f.until = f.at + between(p, 3500, 6000);
			break;
		case BURST:
			f.until = f.at + between(p, 200, 900);
			break;
		case KILL:
			f.until = f.at + between(p, 0, 1) * between(p, 500, 4000);
			break;
		case DRAIN:
			f.until = f.at;
			break;
		default:
			f.until = f.at + between(p, 1000, 6000);
		}
		if (takes_away(f.kind) || f.kind == KILL_MARS) {
			p->away[f.a] = true;
			p->away_n += f.a > 0;
			may--;
		}
		p->drains |= f.kind == DRAIN;
		if (f.until > p->healed)
			p->healed = f.until;
		p->fault[p->fault_n++] = f;
	}
}

static void tell_plan(const struct play *p)
{
	fprintf(stderr, "  %u nodes, %u rooms of %u, %u replicas\n", p->t->o.nodes, p->t->o.rooms, p->t->o.room_size,
		p->t->o.replicas);
	for (unsigned i = 0; i < p->fault_n; i++) {
		const struct fault *f = &p->fault[i];

		fprintf(stderr, "  %6llu to %6llu ms: %-12s node %u, %u, %.0f %%\n", (unsigned long long)(p->began + f->at),
			(unsigned long long)(p->began + f->until), kind_names[f->kind], f->a, f->b, f->loss * 100);
	}
}

/* ---- faults ---- */

static void links(struct play *p)
{
	struct dk_sim_link l = { .delay_ms = 2, .jitter_ms = 3 };

	for (unsigned i = 0; i < p->fault_n; i++) {
		const struct fault *f = &p->fault[i];

		if (!f->began || f->ended)
			continue;
		if (f->kind == LOSS && l.loss < f->loss)
			l.loss = f->loss;
		if (f->kind == BURST)
			l.loss = 1;
	}
	p->t->lossy |= l.loss > 0;
	dk_sim_link(p->t->world, NULL, NULL, &l);
}

/* What is said to these rooms from now on, and a moment before, may be lost. */
static void hit(struct play *p, unsigned node)
{
	struct town *t = p->t;
	uint64_t before = t->lossy ? 6000 : 1000; /* under loss it takes longer until what was said is there */

	for (unsigned r = 0; r < t->o.rooms; r++) {
		bool there = town_owner(t, r) == node || p->drains; /* on its way from or to that node, perhaps */

		for (unsigned s = 0; s < t->o.room_size; s++)
			there |= memcmp(t->player[r * t->o.room_size + s].wires.server.ip, t->node[node].mesh.ip, 16) == 0;
		if (!there)
			continue;
		if (!p->hit[r]++)
			p->hit_ms[r] = town_now(t) > before ? town_now(t) - before : 0;
	}
}

static void cut_node(struct play *p, unsigned node, bool cut)
{
	for (unsigned i = 0; i < p->t->node_n; i++)
		if (i != node)
			dk_sim_cut(p->t->world, p->t->node[node].ip, p->t->node[i].ip, cut);
}

static void begin(struct play *p, struct fault *f)
{
	struct town *t = p->t;

	f->began = true;
	if (!t->node[f->a].h) {
		f->ended = f->seen = true; /* it is gone already */
		return;
	}
	if (f->kind == KILL || f->kind == HOLD_LONG || (f->kind == ISOLATE && t->o.replicas))
		hit(p, f->a);
	/* What a node that goes down cannot hand over because the way is cut is lost with it. */
	if (p->drains && (f->kind == CUT_PAIR || f->kind == CUT_ONE_WAY || f->kind == ISOLATE))
		hit(p, f->a);
	switch (f->kind) {
	case KILL:
	case KILL_MARS:
		f->boot = t->node[f->a].boot;
		town_kill(t, f->a);
		break;
	case HOLD:
	case HOLD_LONG:
		town_pause(t, f->a, true);
		break;
	case CUT_ONE_WAY:
		dk_sim_cut_way(t->world, t->node[f->a].ip, t->node[f->b].ip, true);
		break;
	case CUT_PAIR:
		dk_sim_cut(t->world, t->node[f->a].ip, t->node[f->b].ip, true);
		break;
	case ISOLATE:
		cut_node(p, f->a, true);
		break;
	case DRAIN:
		town_drain(t, f->a);
		break;
	default:
		links(p);
	}
}

static void end(struct play *p, struct fault *f)
{
	struct town *t = p->t;

	f->ended = true;
	switch (f->kind) {
	case KILL:
	case KILL_MARS:
		if (f->until > f->at)
			town_start(t, f->a);
		break;
	case HOLD:
	case HOLD_LONG:
		if (t->node[f->a].h)
			town_pause(t, f->a, false);
		break;
	case CUT_ONE_WAY:
		dk_sim_cut_way(t->world, t->node[f->a].ip, t->node[f->b].ip, false);
		break;
	case CUT_PAIR:
		dk_sim_cut(t->world, t->node[f->a].ip, t->node[f->b].ip, false);
		break;
	case ISOLATE:
		cut_node(p, f->a, false);
		break;
	case LOSS:
	case BURST:
		links(p);
		break;
	default:
		break;
	}
}

/* ---- what must hold meanwhile ---- */

/* Whether that node ran, and was in touch with the others, all that time (ms after the beginning). */
static bool ran(const struct play *p, unsigned node, uint64_t from, uint64_t to)
{
	const struct town_node *n = &p->t->node[node];

	if (!n->h || n->drained_ms || !dk_is_started(dk_harness_kernel(n->h)))
		return false;
	for (unsigned i = 0; i < p->fault_n; i++) {
		const struct fault *f = &p->fault[i];
		bool killed = f->kind == KILL || f->kind == KILL_MARS;
		uint64_t until = f->until + (killed ? SEEN_MS : 0); /* begun anew, it has to find the others */

		if (f->a == node && (killed || f->kind == HOLD || f->kind == HOLD_LONG || f->kind == ISOLATE) && f->began &&
		    f->at <= to && until >= from)
			return false;
	}
	return true;
}

static void look_at_kills(struct play *p, uint64_t now)
{
	for (unsigned i = 0; i < p->fault_n; i++) {
		struct fault *f = &p->fault[i];

		if ((f->kind != KILL && f->kind != KILL_MARS) || !f->began || f->seen || now < f->at + SEEN_MS)
			continue;
		f->seen = true;
		for (unsigned n = 0; n < p->t->node_n; n++) {
			enum dk_health h;

			if (n == f->a || !ran(p, n, f->at, now))
				continue;
			h = town_sees_boot(p->t, n, f->a, f->boot);
			if (h != 0 && h != DK_DEAD)
				town_fail(p->t, "node %u does not see after 3 s that node %u was killed", n, f->a);
		}
	}
}

/* Whether packets of node b could reach node a, not one lost link between, through all of the last 3 s. */
static bool touched(const struct play *p, unsigned a, unsigned b, uint64_t now, bool lossless)
{
	uint64_t from = now > SEEN_MS ? now - SEEN_MS : 0;

	if (!ran(p, a, from, now) || !ran(p, b, from, now))
		return false;
	for (unsigned i = 0; i < p->fault_n; i++) {
		const struct fault *f = &p->fault[i];
		bool ab = f->a == a && f->b == b, ba = f->a == b && f->b == a;

		if (!f->began || f->until < from)
			continue;
		if (f->kind == BURST || (f->kind == LOSS && lossless) ||
		    ((f->kind == CUT_PAIR || (f->kind == CUT_ONE_WAY && lossless)) && (ab || ba)) || (f->kind == CUT_ONE_WAY && ba))
			return false;
	}
	return true;
}

/* Whether a must know that b lives: it hears b itself, or somebody can tell it at once. */
static bool must_know(const struct play *p, unsigned a, unsigned b, uint64_t now)
{
	if (touched(p, a, b, now, false))
		return true;
	for (unsigned c = 0; c < p->t->node_n; c++)
		if (c != a && c != b && p->t->node[c].h && touched(p, a, c, now, true) && touched(p, c, b, now, true))
			return true;
	return false;
}

static void look_for_false_deaths(struct play *p, uint64_t now)
{
	for (unsigned a = 0; a < p->t->node_n; a++)
		for (unsigned b = 0; b < p->t->node_n; b++) {
			enum dk_health h;

			if (a == b || p->away[b] || !p->t->node[a].h || !p->t->node[b].h || !must_know(p, a, b, now))
				continue;
			h = town_sees(p->t, a, b);
			if (h != DK_ALIVE && h != DK_SUSPECT)
				town_fail(p->t, "node %u takes node %u for dead, which runs", a, b);
		}
}

/* Whether links lost packets at some time since then (ms of the world). */
static bool lossy_since(const struct play *p, uint64_t from)
{
	for (unsigned i = 0; i < p->fault_n; i++)
		if (p->fault[i].began && (p->fault[i].kind == LOSS || p->fault[i].kind == BURST) &&
		    p->began + p->fault[i].until >= from)
			return true;
	return false;
}

/* Who has a few seconds to find its room is not promised to, over links that lose a third of all packets. */
static void look_at_players(struct play *p)
{
	struct town *t = p->t;
	uint64_t now = town_now(t);

	for (unsigned i = 0; i < t->player_n; i++) {
		struct town_player *pl = &t->player[i];
		unsigned r = pl->room;

		if (pl->lost_ms && !p->hit[r])
			town_fail(t, "player %u lost its room %u, whose node nothing happened to", i, r);
		if (pl->lost_ms && p->hit[r] == 1 && p->away_n <= t->o.replicas && !p->drains && !lossy_since(p, p->hit_ms[r]))
			town_fail(t, "player %u lost its room %u, of which there are replicas", i, r);
	}
	for (unsigned i = 0; i < p->fault_n; i++) {
		const struct fault *f = &p->fault[i];
		uint64_t at = p->began + f->at;

		if (f->kind != KILL || !f->began)
			continue;
		for (unsigned k = 0; k < t->player_n; k++) {
			struct town_player *pl = &t->player[k];

			if (p->hit[pl->room] != 1 || pl->lost_ms || pl->heard_ms > at + STEP_MS)
				continue;
			if (now > at + (t->o.replicas ? RESUMED_MS : TOLD_MS) && !lossy_since(p, at))
				town_fail(
					t,
					"player %u of room %u hears nothing since its node was killed at %llu ms, and was not told",
					k, pl->room, (unsigned long long)at);
		}
	}
}

static void step(struct play *p)
{
	struct town *t = p->t;
	uint64_t now = town_now(t) - p->began;

	for (unsigned i = 0; i < p->fault_n; i++) {
		struct fault *f = &p->fault[i];

		if (!f->began && now >= f->at)
			begin(p, f);
		if (f->began && !f->ended && now >= f->until)
			end(p, f);
	}
	look_at_kills(p, now);
	look_for_false_deaths(p, now);
	look_at_players(p);
}

static void run(struct play *p, uint64_t ms, bool talk)
{
	uint64_t until = town_now(p->t) + ms;

	while (town_now(p->t) < until && !*p->t->trouble) {
		if (talk)
			for (unsigned i = 0; i < p->t->player_n; i++)
				if (chance(p, 200 / STEP_MS) == 0)
					town_say(p->t, i);
		step(p);
		town_run(p->t, STEP_MS);
	}
}

/* ---- the judgement ---- */

static bool lives(const struct play *p, unsigned room)
{
	for (unsigned s = 0; s < p->t->o.room_size; s++)
		if (p->t->player[room * p->t->o.room_size + s].lost_ms)
			return false;
	return true;
}

static void judge_owners(struct play *p)
{
	for (unsigned r = 0; r < p->t->o.rooms; r++) {
		unsigned owner = lives(p, r) ? town_owner(p->t, r) : 1;

		if (!owner || owner == TOWN_NODES)
			town_fail(p->t, "room %u has %s owner", r, owner ? "more than one" : "no");
	}
	for (unsigned a = 0; a < p->t->node_n; a++)
		for (unsigned b = 0; b < p->t->node_n; b++)
			if (a != b && p->t->node[a].h && p->t->node[b].h && !p->t->node[a].drained_ms &&
			    !p->t->node[b].drained_ms && town_sees(p->t, a, b) != DK_ALIVE)
				town_fail(p->t, "node %u does not see node %u, 5 s after the last fault", a, b);
}

static void judge_history(struct play *p, uint64_t settled_ms)
{
	struct town *t = p->t;

	for (unsigned i = 0; i < t->player_n; i++)
		for (unsigned s = 0; s < t->o.room_size; s++) {
			struct town_player *l = &t->player[i], *speaker = &t->player[l->room * t->o.room_size + s];

			for (uint32_t n = 0; n < speaker->said; n++) {
				uint64_t at = speaker->said_ms[n];
				bool excused =
					p->hit[l->room] && at >= p->hit_ms[l->room] && (at < settled_ms || !lives(p, l->room));

				if (!excused && !town_heard(l, speaker, n))
					town_fail(t, "player %u did not hear number %u of player %u, said at %llu ms", i, n,
						  speaker->index, (unsigned long long)at);
			}
		}
}

struct outcome {
	uint64_t hash, heard, doubled, virtual_ms;
	unsigned faults, hits;
	bool good;
};

static struct outcome play(uint64_t seed)
{
	struct play p = { .seed = seed, .rng = seed };
	struct town_opts o = { .seed = seed, .rooms = 3, .room_size = 3, .grace_s = 10 };
	struct outcome r;
	uint64_t settled;

	o.nodes = chance(&p, 4) ? 3 : 7;
	o.replicas = (unsigned)chance(&p, 3);
	plan(&p, o.nodes);
	p.t = town_new(&o);
	p.began = town_now(p.t);
	run(&p, p.healed + HEALED_MS, true);
	settled = town_now(p.t);
	judge_owners(&p);
	run(&p, 1000, true);
	run(&p, 2000, false);
	judge_history(&p, settled);
	r = (struct outcome){ .hash = dk_sim_hash(p.t->world),
			      .heard = p.t->heard,
			      .doubled = p.t->doubled,
			      .virtual_ms = town_now(p.t),
			      .faults = p.fault_n };
	for (unsigned i = 0; i < o.rooms; i++)
		r.hits += p.hit[i] > 0;
	r.good = !*p.t->trouble;
	if (!r.good) {
		fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, p.t->trouble);
		tell_plan(&p);
	}
	if (town_free(p.t)) {
		fprintf(stderr, "seed %llu: a node did not end well\n", (unsigned long long)seed);
		r.good = false;
	}
	return r;
}

START_TEST(many_faults)
{
	uint64_t seed = (uint64_t)_i + 1;

	ck_assert_msg(play(seed).good, "seed %llu is bad; run it again with: sim_cluster %llu %llu", (unsigned long long)seed,
		      (unsigned long long)seed, (unsigned long long)seed);
}
END_TEST

START_TEST(same_seed_same_log)
{
	struct outcome a = play(3), b = play(3), c = play(4);

	ck_assert_uint_eq(a.hash, b.hash);
	ck_assert_uint_ne(a.hash, c.hash);
}
END_TEST

static bool line(uint64_t seed)
{
	struct outcome r = play(seed);

	printf("seed %llu %s %u faults, %u rooms hit, %llu heard, %llu doubled, %llu ms, log %016llx\n", (unsigned long long)seed,
	       r.good ? "ok" : "FAILED", r.faults, r.hits, (unsigned long long)r.heard, (unsigned long long)r.doubled,
	       (unsigned long long)r.virtual_ms, (unsigned long long)r.hash);
	fflush(stdout);
	return r.good;
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("clusters under faults");
	TCase *tc = tcase_create("seeds");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, many_faults, 0, SEEDS(200, 10));
	tcase_add_test(tc, same_seed_same_log);
	suite_add_tcase(suite, tc);
	return seeds_main(argc, argv, suite, line);
}
