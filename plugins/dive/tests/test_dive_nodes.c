/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three nodes and more: whoever asks gets the same answer; every bucket has one owner; keys move when nodes join and leave, and
 * what is counted meanwhile is exact.
 */
#include "../dive_hrw.h"
#include "dive_nodes.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/carrier.h>

#define IS(text, expr) ck_assert_str_eq(expr, text)

static const char *key_of(unsigned i)
{
	static char key[8][16];
	char *k = key[i % 8];

	snprintf(k, sizeof(key[0]), "key%u", i);
	return k;
}

/* Every bucket is owned once. */
static void check_buckets(void)
{
	int64_t n = 0;

	for (unsigned i = 1; i < NODES; i++)
		if (nodes[i].h)
			n += count(i, "buckets");
	ck_assert_int_eq(n, 1024);
}

START_TEST(any_node)
{
	unsigned owners[NODES] = { 0 };

	together(3, 1, "s = { };");
	check_buckets();
	for (unsigned i = 1; i <= 3; i++) {
		ck_assert_int_gt(count(i, "buckets"), 250);
		ck_assert_uint_eq(nodes[i].dive->nodes(nodes[i].dive, dk_str_c("s")), 3);
	}
	for (unsigned i = 0; i < 60; i++) {
		struct dk_addr at[3];
		char text[16];

		snprintf(text, sizeof(text), "%u", i);
		IS("", asked(1 + i % 3, DK_DIVE_SET, key_of(i), 0, 0, 0, text));
		for (unsigned k = 0; k < 3; k++) {
			IS(text, asked(1 + k, DK_DIVE_GET, key_of(i), 0, 0, 0, ""));
			ck_assert_int_eq(nodes[1 + k].dive->resolve(nodes[1 + k].dive, dk_str_c("s"), dk_str_c(key_of(i)), &at[k]),
					 0);
			ck_assert(dk_addr_eq(&at[0], &at[k]));
		}
		owners[at[0].ip[3] - 1]++;
	}
	for (unsigned i = 1; i <= 3; i++)
		ck_assert_uint_gt(owners[i], 5);
	IS("", asked(1, DK_DIVE_RPUSH, "l", 0, 0, 0, "1 two 3"));
	IS("", asked(2, DK_DIVE_LPUSH, "l", 0, 0, 0, "0"));
	IS("0 1", asked(3, DK_DIVE_LPOP, "l", 0, 2, 0, ""));
	IS("3 two", asked(1, DK_DIVE_RPOP, "l", 0, 0, 0, ""));
	apart();
}
END_TEST

START_TEST(time_to_live)
{
	uint64_t began;

	together(3, 2, "s = { };");
	began = dk_sim_now(world);
	for (unsigned i = 0; i < 12; i++)
		asked(1 + i % 3, DK_DIVE_SET, key_of(i), 10, 0, 0, "1");
	run(3000);
	join(4);
	run(2000);
	for (unsigned i = 0; i < 12; i++)
		IS("1", asked(1 + i % 4, DK_DIVE_GET, key_of(i), 0, 0, 0, ""));
	run(began + 10200 - dk_sim_now(world));
	for (unsigned i = 0; i < 12; i++)
		IS("4: ", asked(1 + i % 4, DK_DIVE_GET, key_of(i), 0, 0, 0, ""));
	apart();
}
END_TEST

/* ---- counting while nodes come and go ---- */

enum { COUNTERS = 40, COUNTS_MAX = 20000 };

static struct answer counts[COUNTS_MAX];
static unsigned counted[COUNTS_MAX], count_n;

static void begin_counting(void)
{
	count_n = 0;
	for (unsigned i = 0; i < COUNTERS; i++)
		IS("", asked(1, DK_DIVE_SET, key_of(i), 0, 0, 0, "0"));
}

/* Every node that serves counts, a little more than once a millisecond, for so long. */
static void keep_counting(uint64_t ms, unsigned without)
{
	for (uint64_t t = 0; t < ms; t += 5) {
		for (unsigned i = 1; i < NODES; i++) {
			unsigned k = (unsigned)(dk_sim_chance(world) % COUNTERS);
			struct dk_dive_ask what = {
				.op = DK_DIVE_INCR, .storage = dk_str_c("s"), .key = dk_str_c(key_of(k)), .a = 1
			};

			if (!nodes[i].h || i == without || count_n == COUNTS_MAX)
				continue;
			counted[count_n] = k;
			ask(i, &what, &counts[count_n++]);
		}
		run(5);
	}
}

/* What was said to be done was done once, what was not was not; nothing is left open, and nothing is lost. doubt: some may end
 * with "maybe", or with the node that asked. */
static void check_counts(unsigned at, bool doubt)
{
	unsigned sums[COUNTERS] = { 0 }, maybe[COUNTERS] = { 0 };

	run(6000);
	ck_assert_uint_lt(count_n, COUNTS_MAX);
	for (unsigned i = 0; i < count_n; i++) {
		ck_assert(counts[i].there || doubt);
		ck_assert_msg(counts[i].rc == 0 || (doubt && counts[i].rc == DK_DIVE_MAYBE), "increment %u of %u ended with %d", i,
			      count_n, counts[i].rc);
		if (counts[i].there && counts[i].rc == 0)
			sums[counted[i]]++;
		else
			maybe[counted[i]]++;
	}
	for (unsigned k = 0; k < COUNTERS; k++) {
		const char *text = asked(at, DK_DIVE_GET, key_of(k), 0, 0, 0, "");
		unsigned is = (unsigned)strtoul(text, NULL, 10);

		ck_assert_msg(!strchr(text, ':') && is >= sums[k] && is <= sums[k] + maybe[k],
			      "%s is %s, not %u and perhaps %u more", key_of(k), text, sums[k], maybe[k]);
	}
	check_buckets();
}

/* Without copies, and with them. */
static const char *of_kind(int i)
{
	return i % 2 ? "s = { copies = 1; };" : "s = { };";
}

START_TEST(node_joins)
{
	together(2, 10 + (uint64_t)_i, of_kind(_i));
	begin_counting();
	keep_counting(300, 0);
	join(3);
	keep_counting(2000, 0);
	join(4);
	keep_counting(2000, 0);
	check_counts(3, false);
	ck_assert_int_gt(count(3, "moved_in"), 0);
	ck_assert_int_gt(count(4, "buckets"), 150);
	apart();
}
END_TEST

/* Goes down as on SIGTERM, while the others count: it ends only when its buckets have gone over. */
START_TEST(node_drains)
{
	struct dk_harness *h;
	unsigned ms = 0;

	together(3, 20 + (uint64_t)_i, of_kind(_i));
	begin_counting();
	keep_counting(300, 0);
	keep_counting(100, 2);
	h = nodes[2].h;
	dk_stop(dk_harness_kernel(h));
	while (!dk_finished(dk_harness_kernel(h), NULL)) {
		keep_counting(20, 2);
		ms += 20;
		ck_assert_uint_lt(ms, 9000);
	}
	ck_assert_int_eq(dk_harness_free(h), 0);
	nodes[2].h = NULL;
	keep_counting(500, 0);
	check_counts(1, false);
	ck_assert_int_gt(count(1, "moved_in") + count(3, "moved_in"), 250);
	apart();
}
END_TEST

/* What a dead node owned is lost; the rest goes on, and within a few seconds so do its buckets. */
START_TEST(node_dies)
{
	unsigned lost = 0;

	together(3, 3, "s = { };");
	begin_counting();
	dk_harness_kill(nodes[3].h);
	nodes[3].h = NULL;
	run(5000);
	check_buckets();
	for (unsigned i = 0; i < COUNTERS; i++) {
		const char *text = asked(1 + i % 2, DK_DIVE_GET, key_of(i), 0, 0, 0, "");

		ck_assert_msg(!strcmp(text, "0") || !strcmp(text, "4: "), "%s is %s", key_of(i), text);
		lost += *text == '4';
		if (*text == '4')
			IS("", asked(1, DK_DIVE_SET, key_of(i), 0, 0, 0, "1"));
	}
	ck_assert_uint_gt(lost, 2);
	ck_assert_uint_lt(lost, COUNTERS / 2 + 5);
	apart();
}
END_TEST

/* Cut off, a node takes nothing over; healed, every bucket has one owner again. */
START_TEST(cut_off)
{
	static const char *const one[] = { "10.0.0.4", NULL }, *const others[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", NULL };
	int64_t before;

	together(3, 4, "s = { };");
	begin_counting();
	before = count(3, "buckets");
	dk_sim_partition(world, one, others, true);
	run(6000);
	ck_assert_int_eq(count(3, "buckets"), before);
	ck_assert_int_eq(count(1, "buckets") + count(2, "buckets"), 1024);
	dk_sim_partition(world, one, others, false);
	run(12000);
	check_buckets();
	for (unsigned i = 0; i < 12; i++)
		ck_assert_str_eq(asked(1, DK_DIVE_GET, key_of(i), 0, 0, 0, ""), asked(3, DK_DIVE_GET, key_of(i), 0, 0, 0, ""));
	apart();
}
END_TEST

/* One node after the other is killed, while all count: nothing that was said to be done is lost. */
START_TEST(copies_outlive_their_node)
{
	uint64_t since;

	together(4, 30 + (uint64_t)_i, "s = { copies = 1; };");
	begin_counting();
	keep_counting(500, 0);
	for (unsigned victim = 4; victim > 2; victim--) {
		dk_harness_kill(nodes[victim].h);
		nodes[victim].h = NULL;
		since = dk_sim_now(world);
		keep_counting(4000, 0);
		run(3000); /* the copies are restored */
		ck_assert_uint_lt(dk_sim_now(world) - since, 8000);
	}
	keep_counting(200, 0);
	check_counts(1, true);
	ck_assert_int_gt(count(1, "taken_over") + count(2, "taken_over"), 200);
	apart();
}
END_TEST

START_TEST(minority_changes_nothing)
{
	static const char *const one[] = { "10.0.0.4", NULL }, *const others[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", NULL };
	unsigned refused = 0;

	together(3, 5, "s = { copies = 1; };");
	begin_counting();
	run(500);
	dk_sim_partition(world, one, others, true);
	run(5000);
	for (unsigned i = 0; i < COUNTERS; i++) {
		struct dk_dive_ask what = { .op = DK_DIVE_INCR, .storage = dk_str_c("s"), .key = dk_str_c(key_of(i)), .a = 1 };
		struct answer a;

		ask(3, &what, &a);
		run(50);
		refused += a.there && a.rc == DK_DIVE_MINORITY;
		ck_assert(!a.there || a.rc == DK_DIVE_MINORITY);
		run(5500);
		ck_assert(a.there);
		IS("1", asked(1 + i % 2, DK_DIVE_INCR, key_of(i), 0, 1, 0, ""));
	}
	ck_assert_uint_gt(refused, 3);
	dk_sim_partition(world, one, others, false);
	run(12000);
	check_buckets();
	for (unsigned i = 0; i < COUNTERS; i++)
		IS("1", asked(3, DK_DIVE_GET, key_of(i), 0, 0, 0, ""));
	apart();
}
END_TEST

/* What node `at` owns. */
static const char *key_owned_by(unsigned at)
{
	for (unsigned i = 0; i < 1000; i++) {
		struct dk_addr owner;

		if (nodes[at].dive->resolve(nodes[at].dive, dk_str_c("s"), dk_str_c(key_of(i)), &owner) == 0 &&
		    dk_addr_eq(&owner, dk_harness_addr(nodes[at].h, "mesh")))
			return key_of(i);
	}
	ck_abort_msg("node %u owns nothing", at);
	return NULL;
}

static bool is_there(void *arg)
{
	return ((struct answer *)arg)->there;
}

/* The owner was cut off, and another one took over and was given a value. Healed, the first one believes for a moment that the key
 * is its own: it says nothing that was true before, not even that nothing is there. */
START_TEST(nothing_there_is_not_stale)
{
	enum { ASKS = 600 };
	static const char *const one[] = { "10.0.0.4", NULL };
	static const char *const others[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.5", NULL };
	static struct answer a[ASKS];
	char key[16];

	together(4, 50 + (uint64_t)_i, "s = { copies = 1; };");
	snprintf(key, sizeof(key), "%s", key_owned_by(3));
	dk_sim_partition(world, one, others, true);
	run(6500);
	IS("", asked(1, DK_DIVE_SET, key, 0, 0, 0, "7"));
	dk_sim_partition(world, one, others, false);
	for (unsigned i = 0; i < ASKS; i++) {
		struct dk_dive_ask what = { .op = i % 2 ? DK_DIVE_GET : DK_DIVE_INCR,
					    .storage = dk_str_c("s"),
					    .key = dk_str_c(key) };

		ask(1 + i / 2 % 4, &what, &a[i]);
		run(5);
	}
	run(6000);
	for (unsigned i = 0; i < ASKS; i++) {
		ck_assert(a[i].there);
		ck_assert_msg(a[i].rc == DK_DIVE_MAYBE || a[i].rc == DK_DIVE_MINORITY || a[i].rc == DK_DIVE_NO_NODE ||
				      (a[i].rc == 0 && !strcmp(a[i].text, "7")),
			      "question %u ended with %d: %s", i, a[i].rc, a[i].text);
	}
	IS("7", asked(3, DK_DIVE_GET, key, 0, 0, 0, ""));
	apart();
}
END_TEST

/* The owner hears, but its answers are lost: the increment is asked for again and again, and done once. */
START_TEST(lost_answers)
{
	static struct answer a;
	char key[16];
	struct dk_dive_ask what = { .op = DK_DIVE_INCR, .storage = dk_str_c("s"), .a = 1 };
	uint64_t began;

	together(3, 6, of_kind(_i));
	snprintf(key, sizeof(key), "%s", key_owned_by(3));
	what.key = dk_str_c(key);
	IS("", asked(1, DK_DIVE_SET, key, 0, 0, 0, "0"));
	/* For two seconds: who asked learns what came of it then. */
	dk_sim_cut_way(world, "10.0.0.4", "10.0.0.2", true);
	ask(1, &what, &a);
	run(2000);
	ck_assert(!a.there);
	dk_sim_cut_way(world, "10.0.0.4", "10.0.0.2", false);
	ck_assert(dk_sim_run_until(world, is_there, &a, 5000));
	ck_assert_int_eq(a.rc, 0);
	ck_assert_str_eq(a.text, "1");
	IS("1", asked(3, DK_DIVE_GET, key, 0, 0, 0, ""));
	ck_assert_int_gt(count(3, "repeated"), 0);
	/* For longer than anybody waits. */
	dk_sim_cut_way(world, "10.0.0.4", "10.0.0.2", true);
	began = dk_sim_now(world);
	ask(1, &what, &a);
	ck_assert(dk_sim_run_until(world, is_there, &a, 8000));
	ck_assert_int_eq(a.rc, DK_DIVE_MAYBE);
	ck_assert_uint_ge(dk_sim_now(world) - began, 5000);
	ck_assert_uint_lt(dk_sim_now(world) - began, 6500);
	dk_sim_cut_way(world, "10.0.0.4", "10.0.0.2", false);
	run(10000);
	IS("2", asked(3, DK_DIVE_GET, key, 0, 0, 0, ""));
	apart();
}
END_TEST

/* The answer is lost, and the owner goes before it is asked again: the next one knows of it. */
START_TEST(owner_goes_before_it_is_asked_again)
{
	static struct answer a;
	char key[16];
	struct dk_dive_ask what = { .op = DK_DIVE_RPUSH, .storage = dk_str_c("s"), .n = 1 };
	struct dk_value v = { DK_V_INT, { .i = 7 } };
	unsigned known = 0;

	together(3, 7, "s = { copies = 1; };");
	snprintf(key, sizeof(key), "%s", key_owned_by(3));
	what.key = dk_str_c(key);
	what.values = &v;
	run(500);
	dk_sim_cut_way(world, "10.0.0.4", "10.0.0.2", true);
	ask(1, &what, &a);
	run(200);
	dk_harness_kill(nodes[3].h);
	nodes[3].h = NULL;
	ck_assert(dk_sim_run_until(world, is_there, &a, 8000));
	ck_assert_int_eq(a.rc, 0);
	IS("7", asked(2, DK_DIVE_LRANGE, key, 0, 0, 0, "")); /* once */
	for (unsigned i = 1; i < 3; i++)
		known += (unsigned)count(i, "repeated");
	ck_assert_uint_gt(known, 0);
	apart();
}
END_TEST

/* No more goes over in a second than was said. */
START_TEST(byte_budget)
{
	static char big[60001];
	struct dk_value v = { DK_V_STR, { .s = dk_str_n(big, 60000) } };
	struct dk_dive_ask what = { .op = DK_DIVE_SET, .storage = dk_str_c("s"), .values = &v, .n = 1 };
	struct answer a;
	int64_t moved;
	uint64_t began, ms;

	memset(big, 'x', 60000);
	dive_options = "move_bytes_per_s = 262144;";
	together(2, 8, "s = { };");
	for (unsigned i = 0; i < 60; i++) {
		what.key = dk_str_c(key_of(i));
		ask(1, &what, &a);
		run(50);
		ck_assert(a.there && a.rc == 0);
	}
	join(3);
	began = dk_sim_now(world);
	for (unsigned i = 0; i < 200 && count(1, "buckets") + count(2, "buckets") > 720; i++)
		run(100);
	run(2000);
	ms = dk_sim_now(world) - began;
	moved = count(1, "moved_bytes") + count(2, "moved_bytes");
	ck_assert_int_gt(moved, 600000);
	/* two nodes, each with a quarter of a second in advance and one key beyond */
	ck_assert_int_lt(moved, (int64_t)(2 * (262144 * (ms + 3000) / 1000 + 65536 + 65536)));
	ck_assert_uint_gt(ms, 2500);
	check_buckets();
	dive_options = "";
	apart();
}
END_TEST

static int outcome; /* of the last dive.copy; -1 = not answered yet */

/* dk_carrier_done_fn */
static void on_outcome(void *self, void *arg, int err, int status, dk_slice body)
{
	(void)self;
	(void)arg;
	outcome = err || status != DK_STATUS_OK || !body.n ? -2 : body.p[0];
}

/* As the owner would: all of the key's bucket, which is nothing, in that epoch and of version 1. */
static bool empty_copy(unsigned from, unsigned to, const char *key, uint32_t epoch)
{
	struct dk_carrier *mesh = dk_harness_service(nodes[from].h, DK_CARRIER_NAME);
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_bytes16(&w, dk_slice_of(dk_str_c("s")));
	dk_wr_u16(&w, dive_hrw_bucket(dk_str_c(key)));
	dk_wr_u32(&w, epoch);
	dk_wr_u64(&w, 1);
	dk_wr_u8(&w, 1);
	outcome = -1;
	ck_assert_int_eq(mesh->request(mesh, nodes[from].self, dk_harness_addr(nodes[to].h, "mesh"), DK_VER_NODE, 642,
				       dk_written(&w), 1000, on_outcome, NULL, NULL),
			 0);
	while (outcome == -1)
		run(1);
	return outcome == 0;
}

/* A copy is not what it should be: it is found out and made anew, so nothing is lost when the owner dies. */
START_TEST(copies_are_compared)
{
	unsigned at, epoch = 0;
	char key[16];

	together(3, 9, "s = { copies = 1; };");
	snprintf(key, sizeof(key), "%s", key_owned_by(3));
	IS("", asked(1, DK_DIVE_SET, key, 0, 0, 0, "42"));
	run(2500);
	at = count(1, "keys") ? 1 : 2;
	ck_assert_int_eq(count(at, "keys"), 1);
	while (!empty_copy(3, at, key, ++epoch)) /* what is too low is refused */
		ck_assert_uint_lt(epoch, 20);
	run(1100);
	ck_assert_int_eq(count(at, "keys"), 0);
	run(35000);
	ck_assert_int_eq(count(at, "keys"), 1);
	ck_assert_int_eq(count(3, "repaired"), 1);
	ck_assert_int_eq(count(1, "repaired") + count(2, "repaired"), 0);
	dk_harness_kill(nodes[3].h);
	nodes[3].h = NULL;
	run(6000);
	IS("42", asked(1, DK_DIVE_GET, key, 0, 0, 0, ""));
	apart();
}
END_TEST

static struct {
	bool there;
	int err, status;
	uint8_t body[64];
	size_t n;
} said; /* by another node, to the last thing that tell() told it */

/* dk_carrier_done_fn */
static void on_said(void *self, void *arg, int err, int status, dk_slice body)
{
	(void)self;
	(void)arg;
	said.there = true;
	said.err = err;
	said.status = status;
	said.n = body.n < sizeof(said.body) ? body.n : sizeof(said.body);
	memcpy(said.body, body.p, said.n);
}

/* What a node says of itself to another: behind the name of the storage come n bytes. */
static struct dk_cursor tell(unsigned from, unsigned to, uint16_t cmd, const uint8_t *bytes, size_t n)
{
	struct dk_carrier *mesh = dk_harness_service(nodes[from].h, DK_CARRIER_NAME);
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_bytes16(&w, dk_slice_of(dk_str_c("s")));
	dk_wr_slice(&w, dk_slice_n(bytes, n));
	ck_assert(!w.bad);
	said.there = false;
	ck_assert_int_eq(mesh->request(mesh, nodes[from].self, dk_harness_addr(nodes[to].h, "mesh"), DK_VER_NODE, cmd,
				       dk_written(&w), 1000, on_said, NULL, NULL),
			 0);
	while (!said.there)
		run(1);
	ck_assert_int_eq(said.err, 0);
	ck_assert_int_eq(said.status, DK_STATUS_OK);
	return dk_cursor_of(dk_slice_n(said.body, said.n));
}

struct stance {
	uint8_t objection;
	uint32_t seen, epoch;
	uint64_t copy;
};

/* The first round of a claim of one bucket, as far as one node is asked. */
static struct stance claim(unsigned from, unsigned to, uint16_t bucket)
{
	uint8_t buckets[128] = { 0 };
	struct stance s = { .seen = 0 };
	struct dk_cursor c;

	buckets[bucket / 8] = (uint8_t)(1u << bucket % 8);
	c = tell(from, to, 641, buckets, sizeof(buckets));
	dk_rd_u64(&c);
	s.objection = dk_rd_u8(&c);
	s.seen = dk_rd_u32(&c);
	s.epoch = dk_rd_u32(&c);
	s.copy = dk_rd_u64(&c);
	ck_assert(!c.bad && !dk_rd_left(&c));
	return s;
}

/* The second; true when nothing stood against that epoch. */
static bool claim_epoch(unsigned from, unsigned to, uint16_t bucket, uint32_t epoch)
{
	uint8_t buf[6];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_cursor c;

	dk_wr_u16(&w, bucket);
	dk_wr_u32(&w, epoch);
	c = tell(from, to, 644, buf, sizeof(buf));
	if (!dk_rd_left(&c))
		return true;
	ck_assert_uint_eq(dk_rd_u16(&c), bucket);
	ck_assert(!c.bad && !dk_rd_left(&c));
	return false;
}

/* Another node has told who keeps the copy that it is about to own the bucket, and then it fell silent. From then on that copy
 * counts for nobody who has an earlier epoch: nobody else gets this one, and the owner, which knows nothing of it, claims its own
 * bucket in a later one before it says that anything was done. */
START_TEST(an_epoch_that_was_told_counts)
{
	struct stance copy, owner;
	unsigned at, other;
	uint16_t bucket;
	char key[16];

	together(3, 12, "s = { copies = 1; };");
	snprintf(key, sizeof(key), "%s", key_owned_by(3));
	bucket = dive_hrw_bucket(dk_str_c(key));
	IS("", asked(1, DK_DIVE_SET, key, 0, 0, 0, "41"));
	run(6000); /* nothing is promised any more, and nobody has just given anything away */
	at = count(1, "keys") ? 1 : 2;
	other = 3 - at;
	copy = claim(other, at, bucket);
	ck_assert_uint_eq(copy.objection, 0);
	ck_assert_uint_gt(copy.copy, 0);
	owner = claim(other, 3, bucket);
	ck_assert_uint_eq(owner.objection, 1); /* it owns it */
	ck_assert_uint_eq(owner.epoch, copy.epoch);
	ck_assert(claim_epoch(other, at, bucket, copy.seen + 2));
	/* The epoch is taken, whoever asks for it now. */
	ck_assert(!claim_epoch(other, at, bucket, copy.seen + 2));
	ck_assert_uint_eq(claim(3, at, bucket).seen, copy.seen + 2);
	ck_assert(!claim_epoch(3, at, bucket, copy.seen + 1));
	IS("42", asked(1, DK_DIVE_INCR, key, 0, 1, 0, ""));
	owner = claim(other, 3, bucket);
	ck_assert_uint_eq(owner.objection, 1);
	ck_assert_uint_gt(owner.epoch, copy.seen + 2);
	ck_assert_uint_eq(claim(other, at, bucket).epoch, owner.epoch);
	IS("42", asked(2, DK_DIVE_GET, key, 0, 0, 0, ""));
	apart();
}
END_TEST

/* Between the two rounds of a claim the copy saw a change; or it has promised its owner not to be taken over. */
START_TEST(what_stands_against_a_claim)
{
	struct stance copy;
	unsigned at, other;
	uint16_t bucket;
	char key[16];

	together(3, 13, "s = { copies = 1; };");
	snprintf(key, sizeof(key), "%s", key_owned_by(3));
	bucket = dive_hrw_bucket(dk_str_c(key));
	IS("", asked(1, DK_DIVE_SET, key, 0, 0, 0, "1"));
	run(6000);
	at = count(1, "keys") ? 1 : 2;
	other = 3 - at;
	copy = claim(other, at, bucket);
	ck_assert_uint_eq(copy.objection, 0);
	IS("2", asked(1, DK_DIVE_INCR, key, 0, 1, 0, ""));
	run(2000); /* longer than a promise lasts */
	ck_assert(!claim_epoch(other, at, bucket, copy.seen + 2));
	copy = claim(other, at, bucket);
	IS("2", asked(1, DK_DIVE_GET, key, 0, 0, 0, "")); /* asks the copy, which promises; nothing else is another */
	ck_assert(!claim_epoch(other, at, bucket, copy.seen + 2));
	ck_assert_uint_eq(claim(other, at, bucket).objection, 2); /* spoken for */
	ck_assert_uint_eq(claim(3, at, bucket).objection, 0); /* not to whom it was promised */
	run(1500);
	ck_assert_uint_eq(claim(other, at, bucket).objection, 0);
	IS("3", asked(2, DK_DIVE_INCR, key, 0, 1, 0, ""));
	apart();
}
END_TEST

static size_t told_n, told_times;

static void on_nodes(struct asker *self, const struct dk_dive_nodes *ev)
{
	(void)self;
	ck_assert(dk_str_eq(ev->storage, dk_str_c("s")));
	told_n = ev->n;
	told_times++;
}

START_TEST(nodes_are_told)
{
	together(2, 14, "s = { };");
	told_times = 0;
	ck_assert_int_eq(dk_connect(nodes[1].self, &nodes[1].dive->nodes_changed, on_nodes), 0);
	ck_assert(!nodes[1].dive->ready(nodes[1].dive)); /* the other one could take what is here */
	run(3000);
	ck_assert_uint_eq(told_times, 0);
	join(3);
	run(500);
	ck_assert_uint_eq(told_n, 3);
	dk_harness_kill(nodes[2].h);
	nodes[2].h = NULL;
	run(5000);
	ck_assert_uint_eq(told_n, 2);
	apart();
}
END_TEST

/* A storage that no node holds. */
START_TEST(nobody_holds_it)
{
	struct dk_addr at;
	uint64_t began;

	together(2, 15, "s = { targetNodeType = \"TCP\"; };");
	ck_assert_uint_eq(nodes[1].dive->nodes(nodes[1].dive, dk_str_c("s")), 0);
	ck_assert_int_eq(nodes[1].dive->resolve(nodes[1].dive, dk_str_c("s"), dk_str_c("a"), &at), DK_DIVE_NO_NODE);
	began = dk_sim_now(world);
	ck_assert_int_eq(strtol(asked(1, DK_DIVE_SET, "a", 0, 0, 0, "1"), NULL, 10), DK_DIVE_NO_NODE);
	ck_assert_uint_ge(dk_sim_now(world) - began, 5000);
	apart();
}
END_TEST

/* migration = false: what another node should have now is gone, and the rest is there. */
START_TEST(nothing_moves)
{
	unsigned lost = 0;

	together(2, 16, "s = { migration = false; };");
	begin_counting();
	join(3);
	run(3000);
	check_buckets();
	for (unsigned i = 0; i < COUNTERS; i++) {
		const char *text = asked(1 + i % 3, DK_DIVE_GET, key_of(i), 0, 0, 0, "");

		ck_assert_msg(!strcmp(text, "0") || !strcmp(text, "4: "), "%s is %s", key_of(i), text);
		lost += *text == '4';
	}
	ck_assert_uint_gt(lost, 2);
	ck_assert_uint_lt(lost, COUNTERS / 2 + 5);
	apart();
}
END_TEST

/* A machine that is stopped in the middle of a turn: to this node it is still three seconds ago. */
static int on_range(struct asker *self, struct dk_dive_range *ev)
{
	struct dk_clock *clock = (void *)(uintptr_t)((struct dk_self *)(void *)self)->clock;

	(void)ev;
	clock->ms -= 3000;
	clock->us -= 3000000;
	return 0;
}

/* It reads nothing without asking its copy, though its promise still holds by that clock. */
START_TEST(stopped_in_the_middle_of_a_turn)
{
	int64_t before;
	char key[16];

	together(3, 17, "s = { copies = 1; };");
	snprintf(key, sizeof(key), "%s", key_owned_by(3));
	run(3000);
	IS("", asked(3, DK_DIVE_RPUSH, key, 0, 0, 0, "1"));
	before = count(3, "checked");
	IS("1", asked(3, DK_DIVE_LRANGE, key, 0, 0, 0, ""));
	ck_assert_int_eq(count(3, "checked"), before); /* it has just promised */
	run(3000);
	ck_assert_int_eq(dk_filter_add(nodes[3].self, &nodes[3].dive->ranging, on_range), 0);
	IS("1", asked(3, DK_DIVE_LRANGE, key, 0, 0, 0, ""));
	ck_assert_int_eq(count(3, "checked"), before + 1);
	apart();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dive on several nodes");
	TCase *tc = tcase_create("nodes");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, any_node);
	tcase_add_test(tc, time_to_live);
	tcase_add_loop_test(tc, node_joins, 0, 4);
	tcase_add_loop_test(tc, node_drains, 0, 4);
	tcase_add_test(tc, node_dies);
	tcase_add_test(tc, cut_off);
	tcase_add_loop_test(tc, copies_outlive_their_node, 0, 4);
	tcase_add_test(tc, minority_changes_nothing);
	tcase_add_loop_test(tc, nothing_there_is_not_stale, 0, 8);
	tcase_add_loop_test(tc, lost_answers, 0, 2);
	tcase_add_test(tc, owner_goes_before_it_is_asked_again);
	tcase_add_test(tc, byte_budget);
	tcase_add_test(tc, copies_are_compared);
	tcase_add_test(tc, an_epoch_that_was_told_counts);
	tcase_add_test(tc, what_stands_against_a_claim);
	tcase_add_test(tc, nodes_are_told);
	tcase_add_test(tc, nobody_holds_it);
	tcase_add_test(tc, nothing_moves);
	tcase_add_test(tc, stopped_in_the_middle_of_a_turn);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
