/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The failure detector: its rules one by one, then thousands of hours of a cluster whose links lose packets. Of three nodes and a
 * registry, the nodes watch each other by the plugin's own code; beats, probes, questions to relays and their answers all suffer
 * the same loss. A moment in which nothing can be found (mars_watch_due()) is not stepped through, which is what makes the hours
 * short.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../detector.h"

static const struct mars_detector_conf usual = {
	.tick_ms = 50, .suspect_ms = 1500, .dead_ms = 2400, .probe_ms = 200, .evidence_ms = 1000, .stall_ms = 250
};

/* ---- the rules ---- */

static struct mars_detector det;
static struct mars_watch w;
static uint64_t now;

static void setup(void)
{
	now = 1000000;
	mars_detector_init(&det, &usual, now);
	mars_watch_init(&det, &w, now, 0);
}

/* Ticks until `to`; returns all that was found. */
static unsigned run_to(uint64_t to)
{
	unsigned found = 0;

	while (now < to) {
		now += usual.tick_ms;
		mars_detector_tick(&det, now);
		found |= mars_watch_step(&det, &w, now);
	}
	return found;
}

START_TEST(silence_is_suspect_then_dead)
{
	uint64_t t0 = now;

	ck_assert_uint_eq(mars_watch_due(&det, &w), t0 + 1500);
	ck_assert_uint_eq(run_to(t0 + 1450), 0);
	ck_assert_uint_eq(run_to(t0 + 1500), MARS_SUSPECTED | MARS_PROBE);
	ck_assert_int_eq(w.health, DK_SUSPECT);
	ck_assert_uint_eq(run_to(t0 + 2350) & ~(unsigned)MARS_PROBE, 0);
	ck_assert_uint_eq(run_to(t0 + 2400), MARS_DIED);
	ck_assert_int_eq(w.health, DK_DEAD);
	ck_assert(!w.degraded);
}
END_TEST

START_TEST(a_packet_takes_it_back)
{
	uint64_t t0 = now;

	run_to(t0 + 2000);
	mars_watch_heard(&det, &w, now);
	ck_assert_uint_eq(run_to(now + 50), MARS_RECOVERED);
	run_to(now + 2400);
	ck_assert_int_eq(w.health, DK_DEAD);
	mars_watch_heard(&det, &w, now);
	ck_assert_uint_eq(run_to(now + 50), MARS_RECOVERED);
	ck_assert_int_eq(w.health, DK_ALIVE);
	/* Hearing of the same packet again is no news. */
	t0 = w.heard_at;
	run_to(now + 1000);
	mars_watch_heard(&det, &w, t0);
	ck_assert_uint_eq(run_to(t0 + 1500) & MARS_SUSPECTED, MARS_SUSPECTED);
}
END_TEST

START_TEST(probes_while_in_doubt)
{
	uint64_t t0 = now;
	unsigned probes = 0;

	run_to(t0 + 1450);
	while (now < t0 + 2350)
		probes += (run_to(now + 50) & MARS_PROBE) != 0;
	ck_assert_uint_eq(probes, 5); /* 1,500 1,700 1,900 2,100 2,300 */
	for (probes = 0; now < t0 + 7350;)
		probes += (run_to(now + 50) & MARS_PROBE) != 0;
	ck_assert_uint_eq(probes, 5); /* once a second to a dead one */
}
END_TEST

START_TEST(evidence_makes_it_degraded)
{
	uint64_t t0 = now;
	unsigned found;

	run_to(t0 + 2300);
	mars_watch_evidence(&det, &w, now, 950);
	found = run_to(t0 + 2350);
	ck_assert_int_eq(w.health, DK_SUSPECT); /* hearsay does not end a suspicion before it would end in death */
	ck_assert_uint_eq(found & MARS_DIED, 0);
	ck_assert_uint_eq(run_to(t0 + 2400), MARS_DIED); /* 1,050 ms old by now */

	mars_watch_evidence(&det, &w, now, 300);
	found = run_to(now + 50);
	ck_assert_uint_eq(found & (MARS_RECOVERED | MARS_DEGRADED), MARS_RECOVERED | MARS_DEGRADED);
	ck_assert_int_eq(w.health, DK_ALIVE);
	ck_assert(w.degraded);
	ck_assert_uint_eq(mars_watch_due(&det, &w), 0);

	/* From here on hearsay has the same grace as packets had: 300 ms old at t0 + 2,400. */
	run_to(t0 + 2100 + 1450);
	ck_assert_int_eq(w.health, DK_ALIVE);
	run_to(t0 + 2100 + 1500);
	ck_assert_int_eq(w.health, DK_SUSPECT);
	ck_assert(w.degraded);
	found = run_to(t0 + 2100 + 2400);
	ck_assert_uint_eq(found & (MARS_DIED | MARS_DEGRADED), MARS_DIED | MARS_DEGRADED);

	/* A packet of its own ends all that. */
	mars_watch_evidence(&det, &w, now, 0);
	run_to(now + 50);
	mars_watch_heard(&det, &w, now);
	found = run_to(now + 50);
	ck_assert_uint_eq(found, MARS_DEGRADED);
	ck_assert(!w.degraded);
}
END_TEST

START_TEST(old_evidence_is_none)
{
	uint64_t t0 = now;

	run_to(t0 + 2300);
	mars_watch_evidence(&det, &w, now, 1000);
	mars_watch_evidence(&det, &w, now, UINT64_MAX);
	ck_assert_uint_eq(run_to(t0 + 2400) & MARS_DIED, MARS_DIED);
}
END_TEST

START_TEST(a_stall_counts_nothing)
{
	uint64_t t0 = now;

	run_to(t0 + 1000);
	now += 5000; /* this node did not run */
	ck_assert_uint_eq(mars_detector_tick(&det, now), 4950);
	ck_assert(!mars_detector_may_vouch(&det, now));
	ck_assert_uint_eq(mars_watch_step(&det, &w, now), 0);
	/* 1,050 ms of silence are counted: it has 450 left */
	run_to(t0 + 6000 + 400);
	ck_assert_int_eq(w.health, DK_ALIVE);
	ck_assert_uint_eq(run_to(t0 + 6000 + 450), MARS_SUSPECTED | MARS_PROBE);
	ck_assert(!mars_detector_may_vouch(&det, now));
	run_to(t0 + 7000);
	ck_assert(mars_detector_may_vouch(&det, now));
	ck_assert(!mars_detector_may_vouch(&det, now + 350)); /* late already, though not told yet */
	ck_assert_uint_eq(det.stalls, 1);
}
END_TEST

START_TEST(a_little_late_is_no_stall)
{
	uint64_t t0 = now;

	run_to(t0 + 1000);
	now += 300;
	ck_assert_uint_eq(mars_detector_tick(&det, now), 0);
	ck_assert_uint_eq(det.stalled, 0);
	now += 301;
	ck_assert_uint_eq(mars_detector_tick(&det, now), 251);
}
END_TEST

/* A packet from just before a stall, of which the detector hears after it. */
START_TEST(packets_around_a_stall)
{
	uint64_t t0 = now, before;

	run_to(t0 + 1000);
	before = now + 20;
	now += 5000;
	mars_detector_tick(&det, now);
	mars_watch_heard(&det, &w, before);
	run_to(before + 4950 + 1450);
	ck_assert_int_eq(w.health, DK_ALIVE);
	run_to(before + 4950 + 1530);
	ck_assert_int_eq(w.health, DK_SUSPECT);
	mars_watch_heard(&det, &w, now);
	t0 = now;
	run_to(t0 + 1450);
	ck_assert_int_eq(w.health, DK_ALIVE);
	run_to(t0 + 1500);
	ck_assert_int_eq(w.health, DK_SUSPECT);
}
END_TEST

START_TEST(refutation)
{
	uint32_t inc = 3;

	ck_assert(mars_refute(&inc, 3));
	ck_assert_uint_eq(inc, 4);
	ck_assert(!mars_refute(&inc, 3)); /* refuted already */
	ck_assert(!mars_refute(&inc, 5)); /* never announced */
	ck_assert_uint_eq(inc, 4);
	inc = UINT32_MAX;
	ck_assert(!mars_refute(&inc, UINT32_MAX));
}
END_TEST

/* ---- thousands of hours ---- */

enum { NODES = 3, MARS = 3, ENDS = 4, HOUR_MS = 3600000, MESSAGES = 256 };

struct loss {
	double loss; /* of any packet */
	double burst; /* share of the time in which a link takes nothing, in stretches of 1.25 s on average; 0 = none */
};

struct message { /* a probe, a question, an answer on its way */
	uint64_t at;
	uint8_t kind, from, to, about;
	uint32_t age;
	bool used;
};
enum { M_PROBE, M_BEAT, M_ASK, M_AGE };

struct world {
	struct loss how;
	uint64_t seed, t, dead_at; /* dead_at: node 0 is killed; 0 = never */
	uint64_t threshold;
	struct mars_detector det[NODES];
	struct mars_watch watch[NODES][NODES];
	uint64_t mars_heard[NODES];
	uint64_t beat[NODES], tick;
	uint64_t burst_until[ENDS][ENDS], burst_next[ENDS][ENDS];
	struct message on_way[MESSAGES];
	unsigned on_way_n;
	bool quiet; /* nobody is in doubt: ticks are not needed */
	uint64_t suspicions, deaths, seen_last;
};

/* As ck_assert(), which is too slow for something done a billion times. */
static inline void must(bool holds)
{
	if (!holds)
		ck_abort();
}

static inline uint64_t chance(struct world *x)
{
	__uint128_t m;

	x->seed += 0x9e3779b97f4a7c15u;
	m = (__uint128_t)x->seed * (x->seed ^ 0xe7037ed1a0b428dbu);
	return (uint64_t)(m >> 64) ^ (uint64_t)m;
}

static double uniform(struct world *x)
{
	return ((double)(chance(x) >> 11) + 1) / 9007199254740993.0;
}

static uint64_t spell(struct world *x, double mean)
{
	return (uint64_t)(-mean * log(uniform(x))) + 1;
}

static inline bool lost(struct world *x, int from, int to)
{
	if (x->how.burst > 0) {
		while (x->t >= x->burst_next[from][to]) {
			x->burst_until[from][to] = x->burst_next[from][to] + spell(x, 1250);
			x->burst_next[from][to] = x->burst_until[from][to] + spell(x, 1250 * (1 - x->how.burst) / x->how.burst);
		}
		if (x->t < x->burst_until[from][to])
			return true;
	}
	return chance(x) < x->threshold;
}

static void put(struct world *x, int kind, int from, int to, int about, uint32_t age)
{
	if (lost(x, from, to))
		return;
	for (int i = 0; i < MESSAGES; i++)
		if (!x->on_way[i].used) {
			x->on_way[i] =
				(struct message){ x->t + 1, (uint8_t)kind, (uint8_t)from, (uint8_t)to, (uint8_t)about, age, true };
			x->on_way_n++;
			return;
		}
	abort();
}

static bool runs(const struct world *x, int node)
{
	return node != 0 || !x->dead_at || x->t < x->dead_at;
}

static void arrive(struct world *x, const struct message *m)
{
	uint64_t heard;

	if (m->to < NODES) {
		if (!runs(x, m->to))
			return;
		if (m->from < NODES)
			mars_watch_heard(&x->det[m->to], &x->watch[m->to][m->from], x->t);
	} else if (m->from < NODES) {
		x->mars_heard[m->from] = x->t;
	}
	switch (m->kind) {
	case M_PROBE:
		put(x, M_BEAT, m->to, m->from, 0, 0);
		break;
	case M_ASK:
		heard = m->to == MARS ? x->mars_heard[m->about] : x->watch[m->to][m->about].heard_at;
		put(x, M_AGE, m->to, m->from, m->about, (uint32_t)(x->t - heard));
		break;
	case M_AGE:
		mars_watch_evidence(&x->det[m->to], &x->watch[m->to][m->about], x->t, m->age);
		break;
	}
}

static void deliver(struct world *x)
{
	for (int i = 0; x->on_way_n && i < MESSAGES; i++)
		if (x->on_way[i].used && x->on_way[i].at <= x->t) {
			struct message m = x->on_way[i];

			x->on_way[i].used = false;
			x->on_way_n--;
			arrive(x, &m);
		}
}

static void judge(struct world *x)
{
	x->quiet = true;
	for (int o = 0; o < NODES; o++) {
		if (!runs(x, o))
			continue;
		x->det[o].ticked = x->t - usual.tick_ms; /* ticks in which nothing is due were left out */
		must(mars_detector_tick(&x->det[o], x->t) == 0);
		for (int s = 0; s < NODES; s++) {
			struct mars_watch *watch = &x->watch[o][s];
			bool due = mars_watch_due(&x->det[o], watch) <= x->t;
			unsigned found;

			if (s == o)
				continue;
			found = mars_watch_step(&x->det[o], watch, x->t);
			must(due || found == 0); /* so what was left out would have found nothing */
			x->suspicions += (found & MARS_SUSPECTED) != 0;
			if (found & MARS_DIED) {
				x->deaths++;
				if (s == 0)
					x->seen_last = x->t;
			}
			if (found & MARS_PROBE) {
				put(x, M_PROBE, o, s, 0, 0);
				put(x, M_ASK, o, MARS, s, 0);
				put(x, M_ASK, o, 3 - o - s, s, 0);
			}
			if (watch->health != DK_ALIVE || watch->degraded)
				x->quiet = false;
		}
	}
}

static void beat(struct world *x, int s)
{
	x->beat[s] += 225 + (uint32_t)(((chance(x) >> 32) * 51) >> 32);
	if (!runs(x, s))
		return;
	for (int o = 0; o < NODES; o++) {
		struct mars_watch *watch = &x->watch[o][s];

		if (o != s && runs(x, o) && !lost(x, s, o))
			mars_watch_heard(&x->det[o], watch, x->t);
	}
	if (!lost(x, s, MARS))
		x->mars_heard[s] = x->t;
}

static void begin(struct world *x, struct loss how, uint64_t seed)
{
	*x = (struct world){ .how = how, .seed = seed, .t = 10000, .tick = 10000, .quiet = true };
	x->threshold = (uint64_t)(how.loss * 18446744073709549568.0);
	for (int i = 0; i < NODES; i++) {
		x->beat[i] = x->t + chance(x) % 250;
		x->mars_heard[i] = x->t;
		mars_detector_init(&x->det[i], &usual, x->t);
		for (int s = 0; s < NODES; s++)
			mars_watch_init(&x->det[i], &x->watch[i][s], x->t, 0);
	}
	for (int i = 0; i < ENDS; i++)
		for (int j = 0; how.burst > 0 && j < ENDS; j++)
			x->burst_next[i][j] = x->t + spell(x, 1250 * (1 - how.burst) / how.burst);
}

/* The tick, on the grid of 50 ms, at or after that moment. */
static uint64_t grid(uint64_t t)
{
	return (t + 49) / 50 * 50;
}

static void run(struct world *x, uint64_t until)
{
	while (x->t < until) {
		uint64_t next = x->beat[0];
		int who = 0;

		for (int i = 1; i < NODES; i++)
			if (x->beat[i] < next) {
				next = x->beat[i];
				who = i;
			}
		if (x->quiet) {
			/* The first watch that is due, if that is before the next beat. */
			uint64_t due = UINT64_MAX;

			for (int o = 0; o < NODES; o++)
				for (int s = 0; s < NODES; s++)
					if (o != s && runs(x, o) && mars_watch_due(&x->det[o], &x->watch[o][s]) < due)
						due = mars_watch_due(&x->det[o], &x->watch[o][s]);
			if (due <= next) {
				x->quiet = false;
				x->tick = grid(due > x->t ? due : x->t + 1);
			}
		}
		if (!x->quiet || x->on_way_n) {
			if (x->tick < x->t)
				x->tick = grid(x->t);
			if (x->on_way_n && x->t + 1 < next && x->t + 1 < x->tick) {
				x->t++;
				deliver(x);
				continue;
			}
			if (x->tick <= next) {
				x->t = x->tick;
				deliver(x);
				judge(x);
				x->tick += 50;
				continue;
			}
		}
		x->t = next;
		if (x->on_way_n)
			deliver(x);
		beat(x, who);
	}
}

static double cpu_s(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static uint64_t hours(struct loss how, unsigned n, uint64_t seed)
{
	static struct world x;
	double began = cpu_s(), took;

	begin(&x, how, seed);
	run(&x, x.t + (uint64_t)n * HOUR_MS);
	took = cpu_s() - began;
	printf("%5u h at %2.0f %% loss, %2.0f %% in bursts: %8.3f suspicions/h, %6.3f false deaths/h (%llu); %.1f s, seed %llu\n",
	       n, how.loss * 100, how.burst * 100, (double)x.suspicions / n, (double)x.deaths / n, (unsigned long long)x.deaths,
	       took, (unsigned long long)seed);
	fflush(stdout);
	ck_assert_msg(took < 60, "it took %.1f s", took);
	return x.deaths;
}

START_TEST(no_false_death_in_2000_hours)
{
	ck_assert_uint_eq(hours((struct loss){ 0.20, 0 }, 2000, 1), 0);
}
END_TEST

START_TEST(other_losses)
{
	ck_assert_uint_eq(hours((struct loss){ 0.05, 0 }, 500, 2), 0);
	ck_assert_uint_eq(hours((struct loss){ 0.30, 0 }, 500, 3), 0);
	hours((struct loss){ 0.40, 0 }, 100, 4);
	hours((struct loss){ 0, 0.05 }, 100, 5);
	hours((struct loss){ 0, 0.20 }, 100, 6);
}
END_TEST

/* A kill at any moment is seen by both others in less than 3 s, and not before there was 2.4 s of silence. */
START_TEST(kills_are_seen)
{
	static struct world x;
	uint64_t longest = 0, shortest = UINT64_MAX;
	double sum = 0;
	unsigned n = 0;

	for (uint64_t seed = 1; seed <= 20000; seed++) {
		uint64_t took;

		begin(&x, (struct loss){ (double)(seed % 4) / 10, seed % 5 ? 0 : 0.1 }, seed);
		x.dead_at = x.t + 5000 + chance(&x) % 5000;
		run(&x, x.dead_at);
		if (x.watch[1][0].health == DK_DEAD || x.watch[2][0].health == DK_DEAD)
			continue; /* a burst; it was thought dead already */
		x.seen_last = 0;
		run(&x, x.dead_at + 3000);
		ck_assert_msg(x.watch[1][0].health == DK_DEAD && x.watch[2][0].health == DK_DEAD, "seed %llu: not seen in 3 s",
			      (unsigned long long)seed);
		took = x.seen_last - x.dead_at;
		longest = took > longest ? took : longest;
		shortest = took < shortest ? took : shortest;
		sum += (double)took;
		n++;
	}
	printf("%u kills at 0 to 30 %% loss: seen by the last of two after %.2f s on average, %.2f to %.2f s\n", n, sum / n / 1000,
	       (double)shortest / 1000, (double)longest / 1000);
	ck_assert_uint_gt(n, 19000);
}
END_TEST

int main(void)
{
	TCase *rules = tcase_create("rules"), *time_passes = tcase_create("hours");
	Suite *s = suite_create("detector");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(rules, setup, NULL);
	tcase_add_test(rules, silence_is_suspect_then_dead);
	tcase_add_test(rules, a_packet_takes_it_back);
	tcase_add_test(rules, probes_while_in_doubt);
	tcase_add_test(rules, evidence_makes_it_degraded);
	tcase_add_test(rules, old_evidence_is_none);
	tcase_add_test(rules, a_stall_counts_nothing);
	tcase_add_test(rules, a_little_late_is_no_stall);
	tcase_add_test(rules, packets_around_a_stall);
	tcase_add_test(rules, refutation);
	tcase_set_timeout(time_passes, 300);
	tcase_add_test(time_passes, no_false_death_in_2000_hours);
	tcase_add_test(time_passes, other_losses);
	tcase_add_test(time_passes, kills_are_seen);
	suite_add_tcase(s, rules);
	suite_add_tcase(s, time_passes);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
