/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys under random faults: four nodes, clients on each of them who set and read registers, count, push and pop, and take and
 * drop what one can hold, one operation after the other and all at once. Nodes are killed and begun anew, drained, killed on
 * their way out, held, cut off; single ways are cut; links lose and double what they carry. Everything, the plan of faults
 * included, comes from the seed. Then the history
 * is judged (history.h):
 *
 *   - each register could be one, each counter counts each increment once, nothing is pushed or popped twice or lost
 *   - what is set unless it is there is there once, until somebody deletes it, who is one, or until its time is over
 *   - in every fourth seed some of them share their buckets with so much that those go over in several parts; all of that is
 *     there at the end
 *   - with copies that holds whatever happens to one node at a time, the next one after the copies are restored; without them
 *     while no node is taken away but by draining
 *   - after a fault every bucket has one owner, and one copy where there are any, within 15 s
 *   - who is cut off, and knows it, is told so at once
 *
 *   sim_dive                 the seeds of make check: 120, or 10 under a sanitizer
 *   sim_dive FIRST LAST      these seeds; one line each, so that a long run can be resumed where it stopped
 */
#include "../dive_hrw.h"
#include "dive_nodes.h"
#include "history.h"
#include "tests/sim/seeds.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	LIVING = 4,
	CLIENTS_EACH = 2,
	CLIENTS = LIVING * CLIENTS_EACH,
	REGISTERS = 4,
	COUNTERS = 4,
	LISTS = 2,
	HOLDERS = 3, /* values in the last one last for a short time */
	FIRST_HOLDER = REGISTERS + COUNTERS + LISTS,
	KEYS = FIRST_HOLDER + HOLDERS,
	BRIEF_S = 2,
	LATE_MS = 10000, /* a value that goes over while links are bad lasts longer */
	STEP_MS = 5,
	FAULTS = 3,
	OPS_MAX = 60000,
	PATIENCE_MS = 15000,
	KNOWS_MS = 4000, /* a node that is cut off does after that */
	AT_ONCE_MS = 50,
	SIGN_MS = 600,
	BULKY = 3, /* keys that have others in their bucket */
	BULK = 5,
	BULK_BYTES = 60000
};

enum kind { KILL, KILL_GOING, ISOLATE, BLINK, HOLD, ONE_WAY, LOSS, DRAIN, KINDS };
static const char *const kind_names[KINDS] = { "kill", "kill going", "isolate", "blink", "hold", "one way", "loss", "drain" };

struct client {
	struct play *p;
	unsigned node;
	struct history_op *op; /* that is open; NULL = none */
	uint64_t next_ms, cut_off_ms;
};
struct play {
	uint64_t seed, rng, began;
	bool copies, bulky;
	char bulk[BULKY * BULK][16]; /* names */
	struct history h;
	struct client client[CLIENTS];
	int64_t last_value;
	unsigned cut_off; /* node; 0 = none */
	uint64_t cut_off_ms;
	uint64_t restored_ms; /* the longest time from a death to the last copy */
	unsigned deaths, kinds[KINDS];
	uint64_t ended[4]; /* by enum history_end */
	char trouble[512], plan[512];
};

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

static void blame(struct play *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void blame(struct play *p, const char *fmt, ...)
{
	va_list ap;

	if (*p->trouble)
		return;
	va_start(ap, fmt);
	vsnprintf(p->trouble, sizeof(p->trouble), fmt, ap);
	va_end(ap);
}

static uint64_t now_us(const struct play *p)
{
	return (dk_sim_now(world) - p->began) * 1000 + 1;
}

/* ---- clients ---- */

static const char *key_name(unsigned key)
{
	static const char *const names[KEYS] = { "red",  "green", "blue",  "white", "north", "east", "south",
						 "west", "left",  "right", "up",    "down",  "brief" };

	return names[key];
}

static struct history_op *new_op(struct play *p, unsigned client, enum history_kind kind, unsigned key)
{
	struct history_op *op = &p->h.op[p->h.n];

	MUST(p->h.n < OPS_MAX);
	p->h.n++;
	*op = (struct history_op){ .kind = kind, .key = key, .client = client, .began = now_us(p), .ended = UINT64_MAX };
	return op;
}

static enum history_end end_of(struct play *p, const struct history_op *op, int rc)
{
	switch (rc) {
	case 0:
		return H_DONE;
	case DK_DIVE_MAYBE:
		return op->kind == H_GET || op->kind == H_SUM || op->kind == H_WHO ? H_NOTHING : H_MAYBE;
	case DK_DIVE_NO_NODE:
	case DK_DIVE_MINORITY:
		return H_NOTHING;
	case DK_NOT_FOUND:
		if (op->kind == H_POP)
			return H_NOTHING;
		if (op->kind == H_WHO || op->kind == H_DROP)
			return H_DONE;
		break;
	case DK_EXISTS:
		if (op->kind == H_TAKE)
			return H_DONE;
		break;
	default:
		break;
	}
	blame(p, "operation %d on %s ended with %d at %llu ms", op->kind, key_name(op->key), rc,
	      (unsigned long long)(now_us(p) / 1000));
	return H_NOTHING;
}

static void ended(struct play *p, struct history_op *op, const struct dk_dive_result *r)
{
	struct dk_dive_list l = r->values;
	struct dk_value v;

	op->end = end_of(p, op, r->rc);
	p->ended[op->end]++;
	if (op->end != H_DONE)
		return;
	op->ended = now_us(p);
	op->refused = r->rc != 0;
	while (dk_dive_next(&l, &v)) {
		if (op->kind == H_POP && op->popped_n < H_POPPED)
			op->popped[op->popped_n++] = v.as.i;
		else if (op->kind != H_PUSH)
			op->value = v.as.i;
	}
}

/* dk_dive_done_fn */
static void on_done(void *self, void *arg, const struct dk_dive_result *r)
{
	struct client *c = arg;
	struct play *p = c->p;
	uint64_t waited = now_us(p) - c->op->began;

	(void)self;
	ended(p, c->op, r);
	if (c->cut_off_ms && waited > AT_ONCE_MS * 1000 && c->op->end != H_DONE && p->copies)
		blame(p, "node %u was cut off, and its client waited for %llu ms", c->node, (unsigned long long)(waited / 1000));
	c->op = NULL;
	c->next_ms = dk_sim_now(world) + chance(p, 30);
}

static void ask_next(struct play *p, unsigned i)
{
	static const enum dk_dive_op ops[] = { DK_DIVE_SET, DK_DIVE_GET, DK_DIVE_INCR, DK_DIVE_GET };
	struct client *c = &p->client[i];
	struct node *n = &nodes[c->node];
	unsigned key = (unsigned)chance(p, KEYS);
	struct dk_value value = { DK_V_INT, { .i = 0 } };
	struct dk_dive_ask what = { .storage = dk_str_c("s"), .key = dk_str_c(key_name(key)), .values = &value };
	enum history_kind kind;
	int rc;

	if (key < REGISTERS + COUNTERS) {
		kind = (enum history_kind)((key >= REGISTERS) * 2 + chance(p, 2));
		what.op = ops[kind];
		what.a = 1;
	} else if (key >= FIRST_HOLDER) {
		/* Most of what lasts for a short time is left to end by itself. */
		kind = (enum history_kind)(H_TAKE + chance(p, key < KEYS - 1 || !chance(p, 10) ? 3 : 2));
		what.op = kind == H_TAKE ? DK_DIVE_SET_NEW : kind == H_WHO ? DK_DIVE_GET : DK_DIVE_DEL;
	} else {
		kind = chance(p, 2) ? H_PUSH : H_POP;
		what.op = kind == H_PUSH ? (chance(p, 2) ? DK_DIVE_LPUSH : DK_DIVE_RPUSH)
					 : (chance(p, 2) ? DK_DIVE_LPOP : DK_DIVE_RPOP);
		what.a = 1;
	}
	c->op = new_op(p, i, kind, key);
	if (kind == H_SET || kind == H_PUSH || kind == H_TAKE) {
		c->op->value = value.as.i = ++p->last_value;
		what.n = 1;
	}
	c->cut_off_ms = p->cut_off == c->node && dk_sim_now(world) - p->cut_off_ms > KNOWS_MS ? dk_sim_now(world) : 0;
	if (chance(p, 8) == 0)
		what.ttl_s = 3600; /* the form with a time to live changes nothing else */
	if (key == KEYS - 1) {
		what.ttl_s = kind == H_TAKE ? BRIEF_S : 0;
		c->op->ttl_ms = what.ttl_s * 1000;
	}
	rc = n->dive->ask(n->dive, n->self, &what, on_done, c);
	if (rc) {
		ended(p, c->op, &(struct dk_dive_result){ .rc = rc });
		c->op = NULL;
	}
}

/* Lets time pass; the clients of nodes that are there ask. */
static void play_on(struct play *p, uint64_t ms)
{
	for (uint64_t t = 0; t < ms; t += STEP_MS) {
		for (unsigned i = 0; i < CLIENTS; i++) {
			struct client *c = &p->client[i];

			if (nodes[c->node].h && !c->op && dk_sim_now(world) >= c->next_ms)
				ask_next(p, i);
		}
		run(STEP_MS);
	}
}

/* What its clients asked for stays open for ever. */
static void node_is_gone(struct play *p, unsigned node)
{
	nodes[node].h = NULL;
	for (unsigned i = 0; i < CLIENTS; i++)
		if (p->client[i].node == node)
			p->client[i].op = NULL;
}

/* ---- faults ---- */

static const char *address(unsigned node)
{
	static const char *const names[NODES] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5" };

	return names[node];
}

static bool restored(struct play *p)
{
	int64_t owned = 0, bare = 0;

	if (!all_see_all())
		return false;
	for (unsigned i = 1; i < NODES; i++) {
		if (!nodes[i].h)
			continue;
		owned += count(i, "buckets");
		bare += count(i, "uncopied");
	}
	return owned == 1024 && (!p->copies || !bare);
}

/* Until all is well. */
static uint64_t heal(struct play *p)
{
	uint64_t since = dk_sim_now(world);

	for (unsigned well = 0; well < 3;) {
		play_on(p, 50);
		well = restored(p) ? well + 1 : 0;
		if (dk_sim_now(world) - since > PATIENCE_MS) {
			blame(p, "15 s after a fault not every bucket has an owner and a copy");
			break;
		}
	}
	return dk_sim_now(world) - since;
}

static void died(struct play *p, uint64_t took)
{
	p->deaths++;
	if (took > p->restored_ms)
		p->restored_ms = took;
}

static void isolate(struct play *p, unsigned node, uint64_t ms)
{
	const char *one[] = { address(node), NULL }, *others[NODES] = { NULL };
	unsigned n = 0;

	for (unsigned i = 0; i < NODES; i++)
		if (i != node)
			others[n++] = address(i);
	dk_sim_partition(world, one, others, true);
	p->cut_off = node;
	p->cut_off_ms = dk_sim_now(world);
	play_on(p, ms);
	p->cut_off = 0;
	for (unsigned i = 0; i < CLIENTS; i++)
		p->client[i].cut_off_ms = 0;
	dk_sim_partition(world, one, others, false);
}

static void drain(struct play *p, unsigned node)
{
	struct dk_harness *h = nodes[node].h;
	uint64_t since = dk_sim_now(world);

	dk_stop(dk_harness_kernel(h));
	while (!dk_finished(dk_harness_kernel(h), NULL)) {
		play_on(p, STEP_MS);
		if (dk_sim_now(world) - since > PATIENCE_MS) {
			blame(p, "a node did not end in 15 s");
			break;
		}
	}
	node_is_gone(p, node);
	if (dk_harness_free(h))
		blame(p, "node %u did not end well", node);
}

/* It is told to go, and dies so much later, if it is there still. */
static void kill_going(struct play *p, unsigned node, uint64_t ms)
{
	struct dk_harness *h = nodes[node].h;

	dk_stop(dk_harness_kernel(h));
	for (; ms && !dk_finished(dk_harness_kernel(h), NULL); ms -= STEP_MS)
		play_on(p, STEP_MS);
	node_is_gone(p, node);
	if (dk_finished(dk_harness_kernel(h), NULL)) {
		if (dk_harness_free(h))
			blame(p, "node %u did not end well", node);
		return;
	}
	dk_harness_kill(h);
	died(p, heal(p));
}

static void fault(struct play *p, enum kind kind)
{
	/* Without copies none may be taken for dead, which takes 2.4 s without a sign of life. */
	uint64_t ms = p->copies ? between(p, 500, 6000) : between(p, 200, 1800);
	unsigned a = 1 + (unsigned)chance(p, LIVING), b = 1 + (a + (unsigned)chance(p, LIVING - 1)) % LIVING;
	struct dk_sim_link bad = { .loss = p->copies ? 0.25 : 0.05, .duplicate = 0.2, .delay_ms = 5, .jitter_ms = 20 };
	size_t at = strlen(p->plan);

	p->kinds[kind]++;
	snprintf(p->plan + at, sizeof(p->plan) - at, "  %s %u %u at %llu, %llu ms\n", kind_names[kind], a, b,
		 (unsigned long long)(now_us(p) / 1000), (unsigned long long)ms);
	switch (kind) {
	case KILL:
		dk_harness_kill(nodes[a].h);
		node_is_gone(p, a);
		if (chance(p, 2)) {
			died(p, heal(p));
			enter(a);
		} else {
			play_on(p, ms);
			enter(a);
			died(p, ms + heal(p));
		}
		break;
	case KILL_GOING: /* while it hands its buckets over */
		kill_going(p, a, between(p, 0, 16) * STEP_MS);
		enter(a);
		break;
	case ISOLATE:
		isolate(p, a, 3000 + ms);
		break;
	case BLINK:
		isolate(p, a, p->copies ? between(p, 200, 3000) : ms);
		break;
	case HOLD:
		dk_harness_pause(nodes[a].h, true);
		play_on(p, ms);
		dk_harness_pause(nodes[a].h, false);
		break;
	case ONE_WAY:
		dk_sim_cut_way(world, address(a), address(b), true);
		play_on(p, ms);
		dk_sim_cut_way(world, address(a), address(b), false);
		break;
	case LOSS:
		dk_sim_link(world, NULL, NULL, &bad);
		play_on(p, 2 * ms);
		dk_sim_link(world, NULL, NULL, &(struct dk_sim_link){ .delay_ms = 1 });
		break;
	default:
		drain(p, a);
		play_on(p, ms);
		enter(a);
	}
	heal(p);
	/* Everybody gives a sign of life before the next one, or two short cuts were a long one. */
	play_on(p, SIGN_MS);
}

/* ---- much in one bucket ---- */

/* Names of the buckets of the first keys, the counters and the lists. */
static void name_bulk(struct play *p)
{
	static const unsigned keys[BULKY] = { 0, REGISTERS, REGISTERS + COUNTERS };

	for (unsigned k = 0, i = 0; k < BULKY * BULK; i++) {
		snprintf(p->bulk[k], sizeof(p->bulk[k]), "bulk%u", i);
		if (dive_hrw_bucket(dk_str_c(p->bulk[k])) == dive_hrw_bucket(dk_str_c(key_name(keys[k / BULK]))))
			k++;
	}
}

static bool is_there(void *arg)
{
	return ((struct answer *)arg)->there;
}

static int bulk(const char *name, enum dk_dive_op op)
{
	static char text[BULK_BYTES];
	static struct answer a;
	struct dk_value v = { DK_V_STR, { .s = dk_str_n(text, sizeof(text)) } };
	struct dk_dive_ask what = {
		.op = op, .storage = dk_str_c("s"), .key = dk_str_c(name), .values = &v, .n = op == DK_DIVE_SET
	};

	memset(text, 'x', sizeof(text));
	ask(1, &what, &a);
	MUST(dk_sim_run_until(world, is_there, &a, 8000));
	return a.rc;
}

/* ---- the whole ---- */

static void set_up(struct play *p)
{
	p->h.op = calloc(OPS_MAX, sizeof(*p->h.op));
	MUST(p->h.op);
	p->began = dk_sim_now(world);
	for (unsigned i = 0; i < CLIENTS; i++)
		p->client[i] = (struct client){ .p = p, .node = 1 + i % LIVING };
	for (unsigned key = 0; key < REGISTERS + COUNTERS; key++) {
		struct history_op *op = new_op(p, 0, H_SET, key);
		char text[24];

		op->value = key < REGISTERS ? ++p->last_value : 0;
		snprintf(text, sizeof(text), "%lld", (long long)op->value);
		if (strcmp(asked(1, DK_DIVE_SET, key_name(key), 0, 0, 0, text), ""))
			blame(p, "%s could not be set", key_name(key));
		op->end = H_DONE;
		op->ended = now_us(p);
	}
	name_bulk(p);
	for (unsigned k = 0; k < BULKY * BULK && p->bulky; k++)
		if (bulk(p->bulk[k], DK_DIVE_SET))
			blame(p, "%s could not be set", p->bulk[k]);
}

static void tell(const struct history_op *op)
{
	static const char *const kinds[] = { "set", "get", "incr", "sum", "push", "pop", "range", "take", "who", "drop" };
	static const char *const ends[] = { "open", "done", "nothing", "maybe" };

	fprintf(stderr, "  %7llu to %7lld us: node %u %s %s%s %lld\n", (unsigned long long)op->began, (long long)op->ended,
		1 + op->client % LIVING, kinds[op->kind], ends[op->end], op->refused ? ", refused" : "", (long long)op->value);
}

/* What is there at the end counts as read. */
static void judge(struct play *p)
{
	const char *bad;

	run(6000); /* whatever is still asked for ends */
	for (unsigned k = 0; k < BULKY * BULK && p->bulky; k++)
		if (bulk(p->bulk[k], DK_DIVE_GET))
			blame(p, "%s is lost", p->bulk[k]);
	for (unsigned key = 0; key < KEYS; key++) {
		unsigned at = 1 + (unsigned)chance(p, LIVING);
		bool holder = key >= FIRST_HOLDER, list = key >= REGISTERS + COUNTERS && !holder;
		const char *text = asked(at, list ? DK_DIVE_LRANGE : DK_DIVE_GET, key_name(key), 0, 0, 0, "");
		static int64_t left[OPS_MAX];
		unsigned left_n = 0;

		if (list && strchr(text, ':'))
			text = "";
		if (list) {
			for (char *end; *text; text = end)
				left[left_n++] = strtoll(text, &end, 10);
			bad = history_list(&p->h, key, left, left_n);
		} else {
			struct history_op *op = new_op(p, 0, holder ? H_WHO : key < REGISTERS ? H_GET : H_SUM, key);

			op->value = strtoll(text, NULL, 10);
			op->refused = holder && op->value == DK_NOT_FOUND && strchr(text, ':');
			if (op->refused)
				text = "";
			op->end = H_DONE;
			op->ended = now_us(p) + 1;
			bad = strchr(text, ':') ? text
			      : holder          ? history_holder(&p->h, key, LATE_MS)
			      : key < REGISTERS ? history_register(&p->h, key)
						: history_counter(&p->h, key);
		}
		if (bad)
			blame(p, "%s: %s", key_name(key), bad);
		if (bad && getenv("DIVE_HISTORY"))
			for (unsigned i = 0; i < p->h.n; i++)
				if (p->h.op[i].key == key)
					tell(&p->h.op[i]);
	}
}

struct outcome {
	uint64_t hash, restored_ms, repeated;
	unsigned ops, done, maybe, deaths;
	bool good, copies;
};

static struct outcome play(uint64_t seed)
{
	struct play p = { .seed = seed, .rng = seed };
	struct outcome r;
	unsigned faults;

	p.copies = chance(&p, 4) != 0;
	p.bulky = seed % 4 == 3;
	together(LIVING, seed, p.copies ? "s = { copies = 1; max_list_bytes = 262144; };" : "s = { max_list_bytes = 262144; };");
	set_up(&p);
	heal(&p);
	play_on(&p, 200);
	faults = 1 + (unsigned)chance(&p, FAULTS);
	for (unsigned i = 0; i < faults && !*p.trouble; i++) {
		fault(&p, (enum kind)(p.copies ? chance(&p, KINDS) : BLINK + chance(&p, KINDS - BLINK)));
		play_on(&p, between(&p, 0, 300));
	}
	judge(&p);
	r = (struct outcome){ .hash = dk_sim_hash(world),
			      .restored_ms = p.restored_ms,
			      .ops = p.h.n,
			      .done = (unsigned)p.ended[H_DONE],
			      .maybe = (unsigned)p.ended[H_MAYBE],
			      .deaths = p.deaths,
			      .copies = p.copies };
	for (unsigned i = 1; i < NODES; i++)
		r.repeated += nodes[i].h ? (uint64_t)count(i, "repeated") : 0;
	r.good = !*p.trouble;
	if (!r.good)
		fprintf(stderr, "seed %llu: %s\n%s", (unsigned long long)seed, p.trouble, p.plan);
	free(p.h.op);
	apart();
	return r;
}

START_TEST(many_faults)
{
	uint64_t seed = (uint64_t)_i + 1;

	ck_assert_msg(play(seed).good, "seed %llu is bad; run it again with: sim_dive %llu %llu", (unsigned long long)seed,
		      (unsigned long long)seed, (unsigned long long)seed);
}
END_TEST

static bool line(uint64_t seed)
{
	struct outcome r = play(seed);

	printf("seed %llu %s copies %u, %u asked, %u done, %u maybe, %llu repeated, %u deaths, copies restored in %llu ms, log "
	       "%016llx\n",
	       (unsigned long long)seed, r.good ? "ok" : "FAILED", r.copies, r.ops, r.done, r.maybe, (unsigned long long)r.repeated,
	       r.deaths, (unsigned long long)r.restored_ms, (unsigned long long)r.hash);
	fflush(stdout);
	return r.good;
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("keys under faults");
	TCase *tc = tcase_create("seeds");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, many_faults, 0, SEEDS(120, 10));
	suite_add_tcase(suite, tc);
	return seeds_main(argc, argv, suite, line);
}
