/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters of pushes and ranges. A row is one operation that somebody asks for in a cluster of three nodes, everything that two
 * filters on each of these nodes are asked then, one after the other, and the answer. Each row is asked at the node that owns the
 * key and at another one, without copies and with them: it is the owner's filters that are asked, whoever asks.
 *
 * And what is asked again because its answer was lost.
 */
#include "dive_nodes.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { OWNER = 3, OTHER = 1 };

/* ---- the filters ---- */

/* What the first one does with the next question; of the second one only that it is asked can be seen. */
static enum { LET, REFUSE, REPLACE, EMPTY } first_does;
static char heard[1024], key[16];
static uint8_t replaced[32];

static void hear(struct asker *self, const char *who, const char *what, dk_str storage, dk_str of, struct dk_dive_list l)
{
	size_t n = strlen(heard);
	struct dk_value v;

	n += (size_t)snprintf(heard + n, sizeof(heard) - n, "%u %s %s " DK_STR_FMT "/%s:", dk_node_addr((void *)self)->ip[3] - 1u,
			      who, what, DK_STR_ARG(storage), dk_str_eq(of, dk_str_c(key)) ? "key" : "another");
	while (dk_dive_next(&l, &v)) {
		if (v.type == DK_V_INT)
			n += (size_t)snprintf(heard + n, sizeof(heard) - n, " %lld", (long long)v.as.i);
		else
			n += (size_t)snprintf(heard + n, sizeof(heard) - n, " " DK_STR_FMT, DK_STR_ARG(v.as.s));
	}
	ck_assert_uint_eq(l.n, 0);
	ck_assert_uint_eq(l.bytes.n, 0);
	snprintf(heard + n, sizeof(heard) - n, "\n");
}

static int answer(struct dk_dive_list *l)
{
	struct dk_writer w = dk_writer_on(replaced, sizeof(replaced));

	if (first_does == EMPTY)
		*l = (struct dk_dive_list){ .n = 0 };
	if (first_does == REPLACE) {
		dk_value_write(&w, &(struct dk_value){ DK_V_INT, { .i = 98 } });
		dk_value_write(&w, &(struct dk_value){ DK_V_INT, { .i = 99 } });
		*l = (struct dk_dive_list){ dk_written(&w), 2 };
	}
	return first_does == REFUSE;
}

static int on_push(struct asker *self, struct dk_dive_push *ev)
{
	hear(self, "first", ev->right ? "right" : "left", ev->storage, ev->key, ev->values);
	return answer(&ev->values);
}

static int on_push_too(struct asker *self, struct dk_dive_push *ev)
{
	hear(self, "second", ev->right ? "right" : "left", ev->storage, ev->key, ev->values);
	return 0;
}

static int on_range(struct asker *self, struct dk_dive_range *ev)
{
	hear(self, "first", "range", ev->storage, ev->key, ev->values);
	return answer(&ev->values);
}

static int on_range_too(struct asker *self, struct dk_dive_range *ev)
{
	hear(self, "second", "range", ev->storage, ev->key, ev->values);
	return 0;
}

/* The key is the owner's. */
static void setup(bool copies)
{
	struct dk_addr owner;

	together(3, 40, copies ? "s = { copies = 1; max_list_items = 4; };" : "s = { max_list_items = 4; };");
	for (unsigned i = 0;; i++) {
		ck_assert_uint_lt(i, 1000);
		snprintf(key, sizeof(key), "key%u", i);
		if (nodes[OWNER].dive->resolve(nodes[OWNER].dive, dk_str_c("s"), dk_str_c(key), &owner) == 0 &&
		    dk_addr_eq(&owner, dk_harness_addr(nodes[OWNER].h, "mesh")))
			break;
	}
	for (unsigned i = 1; i <= 3; i++) {
		ck_assert_int_eq(dk_filter_add(nodes[i].self, &nodes[i].dive->pushing, on_push), 0);
		ck_assert_int_eq(dk_filter_add(nodes[i].self, &nodes[i].dive->pushing, on_push_too), 0);
		ck_assert_int_eq(dk_filter_add(nodes[i].self, &nodes[i].dive->ranging, on_range), 0);
		ck_assert_int_eq(dk_filter_add(nodes[i].self, &nodes[i].dive->ranging, on_range_too), 0);
	}
}

/* ---- every operation ---- */

enum { NOTHING, LIST, VALUE }; /* that is there before: 1 2 three, or 7 */

static const struct row {
	enum dk_dive_op op;
	int before;
	int32_t a, b;
	const char *values;
	int first; /* does */
	const char *asks;
	int rc;
	const char *text; /* the answer */
	const char *after; /* the list; NULL = there is none */
} rows[] = {
	{ DK_DIVE_SET, NOTHING, 0, 0, "1", LET, "", 0, "", NULL },
	{ DK_DIVE_SET, LIST, 0, 0, "1", REFUSE, "", 0, "", NULL },
	{ DK_DIVE_SET_NEW, NOTHING, 0, 0, "1", REFUSE, "", 0, "", NULL },
	{ DK_DIVE_GET, VALUE, 0, 0, "", REFUSE, "", 0, "7", NULL },
	{ DK_DIVE_DEL, LIST, 0, 0, "", REFUSE, "", 0, "1 2 three", NULL },
	{ DK_DIVE_INCR, VALUE, 2, 0, "", REFUSE, "", 0, "9", NULL },
	{ DK_DIVE_LPOP, LIST, 2, 0, "", REFUSE, "", 0, "1 2", "three" },
	{ DK_DIVE_RPOP, LIST, 2, 0, "", REFUSE, "", 0, "three 2", "1" },
	/* Values as they were asked for, not as they will stand. */
	{ DK_DIVE_LPUSH, NOTHING, 0, 0, "1 two", LET, "3 first left s/key: 1 two\n3 second left s/key: 1 two\n", 0, "", "two 1" },
	{ DK_DIVE_RPUSH, NOTHING, 0, 0, "1 two", LET, "3 first right s/key: 1 two\n3 second right s/key: 1 two\n", 0, "", "1 two" },
	{ DK_DIVE_RPUSH, LIST, 0, 0, "4", LET, "3 first right s/key: 4\n3 second right s/key: 4\n", 0, "", "1 2 three 4" },
	/* The second one sees what the first one left. */
	{ DK_DIVE_LPUSH, NOTHING, 0, 0, "1", REPLACE, "3 first left s/key: 1\n3 second left s/key: 98 99\n", 0, "", "99 98" },
	{ DK_DIVE_RPUSH, NOTHING, 0, 0, "1", REPLACE, "3 first right s/key: 1\n3 second right s/key: 98 99\n", 0, "", "98 99" },
	/* Who refuses has the last word, and nothing is done. */
	{ DK_DIVE_LPUSH, NOTHING, 0, 0, "1", REFUSE, "3 first left s/key: 1\n", DK_REFUSED, "", NULL },
	{ DK_DIVE_RPUSH, LIST, 0, 0, "4", REFUSE, "3 first right s/key: 4\n", DK_REFUSED, "", "1 2 three" },
	/* They are asked before it is known whether it can be done. */
	{ DK_DIVE_LPUSH, VALUE, 0, 0, "1", LET, "3 first left s/key: 1\n3 second left s/key: 1\n", DK_EXISTS, "", NULL },
	{ DK_DIVE_RPUSH, LIST, 0, 0, "4", REPLACE, "3 first right s/key: 4\n3 second right s/key: 98 99\n", DK_FULL, "",
	  "1 2 three" },
	/* A range: what it would answer. */
	{ DK_DIVE_LRANGE, LIST, 0, 0, "", LET, "3 first range s/key: 1 2 three\n3 second range s/key: 1 2 three\n", 0, "1 2 three",
	  "1 2 three" },
	{ DK_DIVE_LRANGE, LIST, 1, 2, "", LET, "3 first range s/key: 2\n3 second range s/key: 2\n", 0, "2", "1 2 three" },
	{ DK_DIVE_LRANGE, LIST, 0, 0, "", REPLACE, "3 first range s/key: 1 2 three\n3 second range s/key: 98 99\n", 0, "98 99",
	  "1 2 three" },
	{ DK_DIVE_LRANGE, LIST, 0, 0, "", EMPTY, "3 first range s/key: 1 2 three\n3 second range s/key:\n", 0, "", "1 2 three" },
	{ DK_DIVE_LRANGE, LIST, 0, 0, "", REFUSE, "3 first range s/key: 1 2 three\n", DK_REFUSED, "", "1 2 three" },
	/* There is nothing that could be answered. */
	{ DK_DIVE_LRANGE, NOTHING, 0, 0, "", LET, "", DK_NOT_FOUND, "", NULL },
	{ DK_DIVE_LRANGE, VALUE, 0, 0, "", LET, "", DK_DIVE_KIND, "", NULL },
};

static void ask_row(const struct row *row, unsigned n, unsigned at)
{
	char want[64];
	const char *is;

	first_does = LET;
	asked(OWNER, DK_DIVE_DEL, key, 0, 0, 0, "");
	if (row->before == LIST)
		ck_assert_str_eq(asked(OTHER, DK_DIVE_RPUSH, key, 0, 0, 0, "1 2 three"), "");
	if (row->before == VALUE)
		ck_assert_str_eq(asked(OTHER, DK_DIVE_SET, key, 0, 0, 0, "7"), "");
	*heard = '\0';
	first_does = row->first;
	if (row->rc)
		snprintf(want, sizeof(want), "%d: ", row->rc);
	else
		snprintf(want, sizeof(want), "%s", row->text);
	is = asked(at, row->op, key, 0, row->a, row->b, row->values);
	run(3000); /* nothing comes later */
	ck_assert_msg(!strcmp(is, want), "row %u, asked at node %u: the answer is \"%s\", not \"%s\"", n, at, is, want);
	ck_assert_msg(!strcmp(heard, row->asks), "row %u, asked at node %u: the filters were asked\n%snot\n%s", n, at, heard,
		      row->asks);
	first_does = LET;
	is = asked(2, DK_DIVE_LRANGE, key, 0, 0, 0, "");
	ck_assert_msg(row->after ? !strcmp(is, row->after) : strchr(is, ':') != NULL,
		      "row %u, asked at node %u: then \"%s\" is there", n, at, is);
}

START_TEST(every_operation)
{
	setup(_i);
	for (unsigned i = 0; i < DK_ARRAY_LEN(rows); i++) {
		ask_row(&rows[i], i, OWNER);
		ask_row(&rows[i], i, OTHER);
	}
	apart();
}
END_TEST

/* ---- again ---- */

static const struct again {
	enum dk_dive_op op;
	int before, first;
	const char *asks;
	int rc;
	const char *after;
} agains[] = {
	{ DK_DIVE_LPUSH, NOTHING, LET, "3 first left s/key: 5\n3 second left s/key: 5\n", 0, "5" },
	{ DK_DIVE_RPUSH, LIST, LET, "3 first right s/key: 5\n3 second right s/key: 5\n", 0, "1 2 three 5" },
	{ DK_DIVE_RPUSH, LIST, REFUSE, "3 first right s/key: 5\n", DK_REFUSED, "1 2 three" },
	{ DK_DIVE_LPUSH, VALUE, LET, "3 first left s/key: 5\n3 second left s/key: 5\n", DK_EXISTS, NULL },
};

static bool is_there(void *arg)
{
	return ((struct answer *)arg)->there;
}

/* The owner hears, but what it answers is lost for two seconds; meanwhile it is asked again. */
static void lose_answers(const struct dk_dive_ask *what, struct answer *ret)
{
	*heard = '\0';
	dk_sim_cut_way(world, "10.0.0.4", "10.0.0.2", true);
	ask(OTHER, what, ret);
	run(2000);
	ck_assert(!ret->there);
	dk_sim_cut_way(world, "10.0.0.4", "10.0.0.2", false);
	ck_assert(dk_sim_run_until(world, is_there, ret, 5000));
	run(3000);
}

/* A push is asked about once, also one that came to nothing. */
START_TEST(lost_answer)
{
	static struct answer a;
	struct dk_value five = { DK_V_INT, { .i = 5 } };

	setup(_i);
	for (unsigned i = 0; i < DK_ARRAY_LEN(agains); i++) {
		const struct again *row = &agains[i];
		struct dk_dive_ask what = {
			.op = row->op, .storage = dk_str_c("s"), .key = dk_str_c(key), .values = &five, .n = 1
		};
		int64_t repeated = count(OWNER, "repeated");

		first_does = LET;
		asked(OWNER, DK_DIVE_DEL, key, 0, 0, 0, "");
		if (row->before)
			asked(OWNER, row->before == LIST ? DK_DIVE_RPUSH : DK_DIVE_SET, key, 0, 0, 0,
			      row->before == LIST ? "1 2 three" : "7");
		first_does = row->first;
		lose_answers(&what, &a);
		ck_assert_int_eq(a.rc, row->rc);
		ck_assert_msg(!strcmp(heard, row->asks), "row %u: the filters were asked\n%snot\n%s", i, heard, row->asks);
		ck_assert_int_gt(count(OWNER, "repeated"), repeated);
		first_does = LET;
		if (row->after)
			ck_assert_str_eq(asked(OTHER, DK_DIVE_LRANGE, key, 0, 0, 0, ""), row->after);
	}
	apart();
}
END_TEST

/* A range is asked about whenever it is read. */
START_TEST(lost_range)
{
	static const char once[] = "3 first range s/key: 1 2 three\n3 second range s/key: 1 2 three\n";
	static struct answer a;
	struct dk_dive_ask what = { .op = DK_DIVE_LRANGE, .storage = dk_str_c("s") };
	unsigned n = 0;

	setup(_i);
	first_does = LET;
	what.key = dk_str_c(key);
	asked(OWNER, DK_DIVE_RPUSH, key, 0, 0, 0, "1 2 three");
	lose_answers(&what, &a);
	ck_assert_str_eq(a.text, "1 2 three");
	for (const char *p = heard; *p; p += strlen(once), n++)
		ck_assert_int_eq(strncmp(p, once, strlen(once)), 0);
	ck_assert_uint_gt(n, 1);
	apart();
}
END_TEST

/* What is refused leaves the time to live as it was, too. */
START_TEST(refused_with_a_time)
{
	setup(_i);
	first_does = LET;
	asked(OWNER, DK_DIVE_RPUSH, key, 10, 0, 0, "1 2");
	first_does = REFUSE;
	asked(OTHER, DK_DIVE_LRANGE, key, 1, 0, 0, "");
	asked(OTHER, DK_DIVE_RPUSH, key, 1, 0, 0, "3");
	run(2000);
	first_does = LET;
	ck_assert_str_eq(asked(OTHER, DK_DIVE_LRANGE, key, 0, 0, 0, ""), "1 2");
	/* And what is let through changes it. */
	ck_assert_str_eq(asked(OTHER, DK_DIVE_LRANGE, key, 20, 0, 0, ""), "1 2");
	run(15000);
	ck_assert_str_eq(asked(OTHER, DK_DIVE_LRANGE, key, 0, 0, 0, ""), "1 2");
	run(5000);
	ck_assert_ptr_nonnull(strchr(asked(OTHER, DK_DIVE_LRANGE, key, 0, 0, 0, ""), ':'));
	apart();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("filters of dive");
	TCase *tc = tcase_create("filters");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, every_operation, 0, 2);
	tcase_add_loop_test(tc, lost_answer, 0, 2);
	tcase_add_loop_test(tc, lost_range, 0, 2);
	tcase_add_loop_test(tc, refused_with_a_time, 0, 2);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
