/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory as data: what is listed is found, seats are promised once, who waits is answered, what nobody renews goes; then a
 * random walk, after which nothing is left. The node around it is never started; it only owns the memory.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/diarkis.h>

#include "plugins/directory.h"

static struct dk_env *env;
static struct dk_kernel *kernel;
static struct directory dir;
static char answers[4096];

static void on_answer(void *self, dk_id asker, enum directory_outcome outcome, const struct dk_id52 *id)
{
	size_t n = strlen(answers);

	(void)self;
	snprintf(answers + n, sizeof(answers) - n, "%u %s%.2s\n", (unsigned)asker, outcome == DIRECTORY_JOIN ? "join " : "make",
		 id ? id->c + 50 : "");
}

static bool on_serves(const struct directory *d, const struct dk_addr *node, dk_str type)
{
	(void)d;
	return !dk_str_eq(type, dk_str_c("TCP")) || node->ip[3] == 9;
}

static void setup(void)
{
	struct dk_boot boot = { .size = sizeof(boot),
				.flags = DK_BOOT_NO_SIGNALS,
				.config_text = "plugins = {};",
				.config_name = "test",
				.env = (const char *const[]){ NULL } };

	env = dk_env_uv();
	ck_assert_ptr_nonnull(env);
	ck_assert_int_eq(dk_kernel_new(env, &boot, &kernel), 0);
	directory_init(&dir, dk_app(kernel), 1000, 100000);
	dir.answer = on_answer;
	dir.serves = on_serves;
	answers[0] = '\0';
}

static void teardown(void)
{
	directory_fini(&dir);
	dk_kernel_free(kernel);
	dk_env_free(env);
}

static struct dk_addr node(unsigned n)
{
	return (struct dk_addr){ .ip = { 10, 0, 0, (uint8_t)n }, .port = 1, .family = 4 };
}

static struct directory_place place(unsigned n, unsigned key, uint16_t used, uint16_t max)
{
	struct directory_place p = { .key.b = { (uint8_t)key }, .used = used, .max = max };
	char text[64];

	snprintf(text, sizeof(text), "%052u", n);
	memcpy(p.id.c, text, DK_ID52_LEN);
	p.bytes = dk_slice_of(dk_str_c("name"));
	return p;
}

static int put(unsigned at, unsigned n, unsigned key, uint16_t used, uint16_t max, uint64_t now)
{
	struct directory_place p = place(n, key, used, max);
	struct dk_addr a = node(at);

	return directory_put(&dir, &a, &p, now);
}

static int seek_as(unsigned at, unsigned asker, unsigned key, const char *type, const struct dk_id52 *tried, uint64_t now)
{
	struct directory_seek q = { .node = node(at), .key.b = { (uint8_t)key }, .seats = 3, .asker = asker };
	struct dk_id52 id;
	int rc;

	q.type = dk_str_c(type);
	if (tried)
		q.tried = dk_slice_n(tried->c, DK_ID52_LEN);
	rc = directory_seek(&dir, &q, now, &id);
	return rc == DIRECTORY_JOIN ? (id.c[50] - '0') * 10 + id.c[51] - '0' : -rc;
}

static int seek(unsigned at, unsigned asker, unsigned key, uint64_t now)
{
	return seek_as(at, asker, key, "UDP", NULL, now);
}

/* The last two digits of all that is found, in order. */
static const char *find(unsigned key, size_t limit, uint64_t pick)
{
	static char text[512];
	uint8_t buf[4096];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct directory_key k = { .b = { (uint8_t)key } };
	size_t n = directory_find(&dir, &k, limit, pick, &w), i = 0;
	struct dk_cursor c = dk_cursor_of(dk_written(&w));

	text[0] = '\0';
	while (dk_rd_left(&c)) {
		const uint8_t *id = dk_rd_take(&c, DK_ID52_LEN);

		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.2s ", (const char *)id + 50);
		dk_rd_u32(&c);
		ck_assert(dk_str_eq(dk_str_of(dk_rd_bytes16(&c)), dk_str_c("name")));
		i++;
	}
	ck_assert(!c.bad);
	ck_assert_uint_eq(i, n);
	return text;
}

START_TEST(found_by_key)
{
	struct directory_place p;
	struct dk_addr a = node(1), b = node(2);

	for (unsigned i = 1; i <= 4; i++)
		ck_assert_int_eq(put(1, i, 1, i == 2 ? 3 : 1, 3, 0), 0);
	ck_assert_int_eq(put(1, 5, 2, 1, 3, 0), 0);
	ck_assert_str_eq(find(1, 10, 0), "04 03 01 02 "); /* one that is full is last */
	ck_assert_str_eq(find(1, 2, 1), "03 01 ");
	ck_assert_str_eq(find(1, 2, 2), "01 04 ");
	ck_assert_str_eq(find(2, 10, 7), "05 ");
	ck_assert_str_eq(find(3, 10, 0), "");
	/* another node cannot take it off; this one can */
	p = place(3, 1, 0, 0);
	directory_drop(&dir, &b, &p.id, &p.key);
	ck_assert_str_eq(find(1, 10, 0), "04 03 01 02 ");
	directory_drop(&dir, &a, &p.id, &p.key);
	ck_assert_str_eq(find(1, 10, 0), "04 01 02 ");
	/* what two nodes list stays as long as one of them does */
	ck_assert_int_eq(put(2, 4, 1, 2, 3, 0), 0);
	directory_forget(&dir, &a);
	ck_assert_str_eq(find(1, 10, 0), "04 ");
	ck_assert_uint_eq(directory_count(&dir), 1);
}
END_TEST

START_TEST(seats_are_promised_once)
{
	put(1, 11, 1, 1, 3, 0);
	ck_assert_int_eq(seek(2, 1, 1, 10), 11);
	ck_assert_int_eq(seek(2, 2, 1, 20), 11);
	ck_assert_int_eq(seek(2, 3, 1, 30), -DIRECTORY_MAKE); /* 1 is in, 2 are on their way */
	ck_assert_int_eq(seek(3, 4, 1, 40), -DK_LATER);
	/* one has come: a promise less, a member more */
	put(1, 11, 1, 2, 3, 50);
	ck_assert_int_eq(seek(2, 5, 1, 60), -DK_LATER);
	ck_assert_str_eq(answers, "");
	/* the other one never does */
	directory_sweep(&dir, 20 + DIRECTORY_PROMISE_MS);
	ck_assert_int_eq(seek(2, 6, 1, 30 + DIRECTORY_PROMISE_MS), 11);
}
END_TEST

START_TEST(many_wait_for_one_maker)
{
	ck_assert_int_eq(seek(1, 1, 1, 0), -DIRECTORY_MAKE);
	ck_assert_int_eq(seek(2, 2, 1, 0), -DK_LATER);
	ck_assert_int_eq(seek(3, 3, 1, 0), -DK_LATER);
	ck_assert_int_eq(seek(4, 4, 1, 0), -DIRECTORY_MAKE); /* the first one will have no seat for it */
	ck_assert_int_eq(seek(5, 5, 1, 0), -DK_LATER);
	ck_assert_int_eq(put(1, 21, 1, 1, 3, 5), 0);
	ck_assert_str_eq(answers, "2 join 21\n3 join 21\n");
	answers[0] = '\0';
	ck_assert_int_eq(put(4, 24, 1, 1, 3, 6), 0);
	ck_assert_str_eq(answers, "5 join 24\n");
	/* the seats of the first are all promised */
	ck_assert_int_eq(seek(6, 6, 1, 7), 24);
	ck_assert_int_eq(seek(6, 7, 1, 7), -DIRECTORY_MAKE);
}
END_TEST

START_TEST(maker_never_lists)
{
	ck_assert_int_eq(seek(1, 1, 1, 0), -DIRECTORY_MAKE);
	ck_assert_int_eq(seek(2, 2, 1, 0), -DK_LATER);
	ck_assert_int_eq(seek(3, 3, 1, 0), -DK_LATER);
	directory_sweep(&dir, DIRECTORY_MAKE_MS - 1);
	ck_assert_str_eq(answers, "");
	directory_sweep(&dir, DIRECTORY_MAKE_MS);
	ck_assert_str_eq(answers, "2 make\n");
	ck_assert_int_eq(put(2, 31, 1, 1, 3, DIRECTORY_MAKE_MS + 1), 0);
	ck_assert_str_eq(answers, "2 make\n3 join 31\n");
	ck_assert_uint_eq(dir.makers, 0);
	/* and nobody waits for longer than there is time for */
	ck_assert_int_eq(seek(1, 4, 2, 0), -DIRECTORY_MAKE);
	for (unsigned i = 5; i < 7; i++)
		ck_assert_int_eq(seek(2, i, 2, 0), -DK_LATER);
	answers[0] = '\0';
	directory_sweep(&dir, DIRECTORY_WAIT_MS);
	ck_assert_str_eq(answers, "5 make\n6 make\n");
	directory_sweep(&dir, DIRECTORY_WAIT_MS + DIRECTORY_MAKE_MS);
	ck_assert_uint_eq(dir.makers, 0);
	ck_assert_uint_eq(dir.shelves.used, 1);
}
END_TEST

START_TEST(not_everywhere)
{
	struct directory_place p = place(42, 1, 1, 3), q = place(43, 1, 1, 3);
	struct dk_addr nine = node(9);

	put(1, 41, 1, 1, 3, 0);
	put(1, 42, 1, 1, 3, 0);
	put(9, 43, 1, 1, 3, 0);
	ck_assert_int_eq(seek_as(2, 1, 1, "TCP", NULL, 0), 43); /* node 1 has no such transport */
	ck_assert_int_eq(seek_as(1, 1, 1, "TCP", NULL, 0), 43); /* it is on it: but the first with a free seat goes first */
	directory_drop(&dir, &nine, &q.id, &q.key);
	ck_assert_int_eq(seek_as(2, 1, 1, "TCP", NULL, 0), -DIRECTORY_MAKE);
	ck_assert_int_eq(seek_as(2, 1, 1, "UDP", &p.id, 0), 41);
}
END_TEST

START_TEST(leases)
{
	struct directory_place a = place(1, 1, 1, 3), b = place(2, 1, 1, 3);
	struct dk_addr n1 = node(1), n2 = node(2);
	uint64_t sum = directory_sum(&a) + directory_sum(&b);

	put(1, 1, 1, 1, 3, 0);
	put(1, 2, 1, 1, 3, 0);
	put(2, 3, 1, 1, 3, 0);
	ck_assert(directory_lease(&dir, &n1, 2, sum, 3000));
	directory_sweep(&dir, DIRECTORY_LEASE_MS);
	ck_assert_str_eq(find(1, 10, 0), "02 01 "); /* node 2 never said a word */
	ck_assert(!directory_lease(&dir, &n1, 2, sum + 1, 4000));
	ck_assert_str_eq(find(1, 10, 0), "");
	ck_assert(directory_lease(&dir, &n2, 0, 0, 4000));
	/* what there is no space for counts all the same, or it would be listed again and again */
	dir.max_places = 1;
	put(1, 1, 1, 1, 3, 0);
	ck_assert_int_eq(put(1, 2, 1, 1, 3, 0), DK_FULL);
	ck_assert(directory_lease(&dir, &n1, 2, sum, 4000));
	ck_assert_uint_eq(directory_count(&dir), 1);
	ck_assert_uint_eq(dir.put_refused, 1);
	dir.max_places = 1000;
	dir.max_bytes = 6;
	ck_assert_int_eq(put(1, 3, 1, 1, 3, 0), DK_FULL);
	directory_forget(&dir, &n1);
	ck_assert_uint_eq(dir.bytes, 0);
	ck_assert_uint_eq(dir.shelves.used, 0);
}
END_TEST

/* Whatever is said in whatever order: what is found is what was put and not dropped since. */
START_TEST(random_walk)
{
	enum { NODES = 4, PLACES = 40, KEYS = 3 };
	struct {
		bool there;
		uint16_t used;
	} model[NODES + 1][PLACES] = { { { false, 0 } } };
	unsigned seed = (unsigned)_i * 7919 + 1;
	uint64_t now = 0;

	for (unsigned step = 0; step < 20000; step++) {
		unsigned r = (unsigned)rand_r(&seed), i = r % PLACES, at = 1 + (unsigned)rand_r(&seed) % NODES;
		struct dk_addr a = node(at);
		struct directory_place p = place(i, i % KEYS, 0, 3);
		uint16_t used = (uint16_t)(rand_r(&seed) % 4);

		now += (unsigned)rand_r(&seed) % 20;
		switch ((unsigned)rand_r(&seed) % 12) {
		case 0:
			directory_drop(&dir, &a, &p.id, &p.key);
			model[at][i].there = false;
			break;
		case 1:
			if (rand_r(&seed) % 20)
				break;
			directory_forget(&dir, &a);
			for (unsigned k = 0; k < PLACES; k++)
				model[at][k].there = false;
			break;
		case 2:
		case 3:
		case 4:
			seek(at, step, i % KEYS, now);
			break;
		case 5:
			for (unsigned k = 1; k <= NODES; k++) {
				uint64_t sum = 0;
				uint32_t n = 0;

				for (unsigned m = 0; m < PLACES; m++) {
					struct directory_place q = place(m, m % KEYS, model[k][m].used, 3);

					if (model[k][m].there) {
						n++;
						sum += directory_sum(&q);
					}
				}
				a = node(k);
				ck_assert_msg(directory_lease(&dir, &a, n, sum, now), "step %u", step);
			}
			directory_sweep(&dir, now);
			break;
		default:
			ck_assert_int_eq(put(at, i, i % KEYS, used, 3, now), 0);
			model[at][i].there = true;
			model[at][i].used = used;
		}
		answers[0] = '\0';
		{
			unsigned n = 0;

			for (unsigned k = 0; k < (NODES + 1) * PLACES; k++)
				n += model[k / PLACES][k % PLACES].there;
			ck_assert_uint_eq(directory_count(&dir), n);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("directory");
	TCase *t = tcase_create("directory");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, found_by_key);
	tcase_add_test(t, seats_are_promised_once);
	tcase_add_test(t, many_wait_for_one_maker);
	tcase_add_test(t, maker_never_lists);
	tcase_add_test(t, not_everywhere);
	tcase_add_test(t, leases);
	tcase_add_loop_test(t, random_walk, 0, 5);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
