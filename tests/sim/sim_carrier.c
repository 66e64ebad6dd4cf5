/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and messages between three nodes over a bad network (10 % lost, 10 % doubled, some reordered), while ways are cut, and
 * one node sleeps, dies and comes back. Whatever happens: nothing runs twice, every request ends once and by its deadline, what
 * was taken back is not heard of again, and messages of one node to another arrive in their order.
 *
 *   sim_carrier FIRST LAST   runs those seeds alone
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/contract/carrier_nodes.h"
#include "tests/sim/seeds.h"

#define NODES 3
#define CALLS 48
#define NOTES 48
#define STEPS 150
#define STEP_MS 20

struct call {
	struct outcome o;
	dk_id id;
	uint64_t due_ms;
	size_t from;
	bool asked, cancelled;
	unsigned called_when_cancelled;
};

struct play {
	struct nodes w;
	struct call calls[CALLS];
	unsigned calls_n, notes_n;
	uint32_t ran[4096]; /* by nodes that are no more */
	bool cut, asleep;
	const char *why;
};

static const char *const ips[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3" };

static uint64_t chance(struct play *p, uint64_t n)
{
	return dk_sim_chance(p->w.world) % n;
}

static uint32_t ran(const struct play *p, unsigned number)
{
	uint32_t n = p->ran[number];

	for (size_t i = 0; i < NODES; i++)
		n += p->w.probe[i]->seen[number];
	return n;
}

/* Payloads begin with ".." and a number of two bytes. */
static void ask(struct play *p)
{
	struct call *c = &p->calls[p->calls_n];
	size_t to = chance(p, NODES);
	uint32_t timeout = 50 + (uint32_t)chance(p, 1500);
	uint8_t payload[64] = "..";
	struct dk_carrier *carrier;

	c->from = chance(p, 2); /* not the one that sleeps: it would hear of its deadlines late */
	carrier = p->w.probe[c->from]->carrier;
	payload[2] = (uint8_t)(p->calls_n >> 8);
	payload[3] = (uint8_t)p->calls_n;
	node_turn(&p->w, c->from);
	if (carrier->request(carrier, p->w.probe[c->from], &p->w.addr[to], DK_VER_NODE, chance(p, 8) ? PROBE_ECHO : PROBE_LATER,
			     dk_slice_n(payload, 4 + chance(p, 60)), timeout, outcome_done, &c->o, &c->id))
		p->why = "a request was refused";
	c->asked = true;
	c->due_ms = dk_sim_now(p->w.world) + timeout;
	p->calls_n++;
}

static void note(struct play *p)
{
	size_t from = chance(p, NODES), to = chance(p, NODES);
	uint8_t payload[4] = { '.', '.', (uint8_t)((2048 + p->notes_n) >> 8), (uint8_t)(2048 + p->notes_n) };
	struct dk_carrier *carrier = p->w.probe[from]->carrier;

	node_turn(&p->w, from);
	carrier->send(carrier, &p->w.addr[to], DK_VER_NODE, PROBE_NOTE, dk_slice_n(payload, 4),
		      chance(p, 3) ? DK_RELIABLE : DK_UNRELIABLE);
	p->notes_n++;
}

static void take_back(struct play *p)
{
	struct call *c = p->calls_n ? &p->calls[chance(p, p->calls_n)] : NULL;

	if (!c || c->cancelled)
		return;
	node_turn(&p->w, c->from);
	p->w.probe[c->from]->carrier->cancel(p->w.probe[c->from]->carrier, c->id);
	c->cancelled = true;
	c->called_when_cancelled = c->o.called;
}

static void die_and_return(struct play *p)
{
	char config[1024];

	for (size_t i = 0; i < DK_ARRAY_LEN(p->ran); i++)
		p->ran[i] += p->w.probe[2]->seen[i];
	dk_harness_kill(p->w.at[2]);
	p->w.at[2] = NULL;
	nodes_config(2, NULL, config, sizeof(config));
	if (!node_start(&p->w, 2, config))
		p->why = "a node did not start again";
}

static void trouble(struct play *p)
{
	switch (chance(p, 40)) {
	case 0:
		p->cut = !p->cut;
		dk_sim_cut(p->w.world, ips[chance(p, 2)], ips[2], p->cut);
		break;
	case 1:
		if (!p->asleep)
			die_and_return(p);
		break;
	case 2:
		p->asleep = !p->asleep;
		dk_harness_pause(p->w.at[2], p->asleep);
		break;
	case 3: /* what was deferred is answered after all */
		if (!p->asleep) {
			dk_call_done(p->w.probe[2], p->w.probe[2]->later, 0);
			node_turn(&p->w, 2);
		}
		break;
	default:
		break;
	}
}

/* Whether what came of each request and message may be. */
static void judge(struct play *p)
{
	uint64_t now = dk_sim_now(p->w.world);

	for (unsigned i = 0; i < p->calls_n && !p->why; i++) {
		struct call *c = &p->calls[i];

		if (c->o.called > 1)
			p->why = "a request ended twice";
		else if (c->cancelled && c->o.called != c->called_when_cancelled)
			p->why = "a request that was taken back was heard of";
		else if (!c->cancelled && !c->o.called && now > c->due_ms + 2)
			p->why = "a request had no end at its deadline";
		else if (c->o.called && c->o.at_ms > c->due_ms + 2)
			p->why = "a request ended after its deadline";
		else if (ran(p, i) > 1)
			p->why = "a request ran twice";
	}
	for (unsigned i = 0; i < p->notes_n && !p->why; i++)
		if (ran(p, 2048 + i) > 1)
			p->why = "a message ran twice";
}

static bool play(uint64_t seed, char *why, size_t why_n)
{
	static const struct dk_sim_link bad = {
		.loss = 0.1, .duplicate = 0.1, .reorder = 0.1, .reorder_ms = 30, .delay_ms = 2, .jitter_ms = 10
	};
	struct play *p = calloc(1, sizeof(*p));
	bool good;

	nodes_make(&p->w, NODES, seed, NULL);
	dk_sim_link(p->w.world, NULL, NULL, &bad);
	for (int step = 0; step < STEPS && !p->why; step++) {
		if (p->calls_n < CALLS && chance(p, 3) == 0)
			ask(p);
		if (p->notes_n < NOTES && chance(p, 3) == 0)
			note(p);
		if (chance(p, 20) == 0)
			take_back(p);
		trouble(p);
		dk_sim_run(p->w.world, STEP_MS);
		judge(p);
	}
	if (p->asleep)
		dk_harness_pause(p->w.at[2], false);
	for (int i = 0; i < 2; i++)
		dk_sim_cut(p->w.world, ips[i], ips[2], false);
	dk_sim_run(p->w.world, 6000);
	judge(p);
	snprintf(why, why_n, "%s", p->why ? p->why : "");
	good = !p->why;
	nodes_free(&p->w);
	free(p);
	return good;
}

static uint64_t first = 1, at_a_time = 100;

START_TEST(nothing_twice_and_all_in_time)
{
	uint64_t from = first + (uint64_t)_i * at_a_time;
	char why[128];

	for (uint64_t seed = from; seed < from + at_a_time; seed++)
		ck_assert_msg(play(seed, why, sizeof(why)),
			      "seed %" PRIu64 ": %s; run it again with: sim_carrier %" PRIu64 " %" PRIu64, seed, why, seed, seed);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("carrier over a bad network");
	TCase *tc = tcase_create("seeds");
	int failed, hundreds = SEEDS(10, 1);
	SRunner *runner;

	if (argc == 3) {
		first = strtoull(argv[1], NULL, 10);
		at_a_time = strtoull(argv[2], NULL, 10) - first + 1;
		hundreds = 1;
	}
	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, nothing_twice_and_all_in_time, 0, hundreds);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
