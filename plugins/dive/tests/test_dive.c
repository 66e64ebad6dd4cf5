/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node by itself: each operation with its outcomes, times to live to the millisecond, limits, the filters, and what is refused
 * before anything is asked.
 */
#include "dive_nodes.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define SMALL "s = { max_keys = 3; max_value_bytes = 64; max_list_bytes = 100; max_list_items = 5; defaultTTL = 100; };"

#define SET(key, v) asked(1, DK_DIVE_SET, key, 0, 0, 0, v)
#define GET(key) asked(1, DK_DIVE_GET, key, 0, 0, 0, "")
#define IS(text, expr) ck_assert_str_eq(expr, text)

static const char *rc(int code)
{
	static char text[16];

	snprintf(text, sizeof(text), "%d: ", code);
	return text;
}

START_TEST(values)
{
	alone("s = { };");
	IS("", SET("a", "one"));
	IS("one", GET("a"));
	IS("", SET("a", "-7"));
	IS("-7", GET("a"));
	IS("", SET("a", "true"));
	IS("true", GET("a"));
	IS(rc(DK_NOT_FOUND), GET("b"));
	IS(rc(DK_EXISTS), asked(1, DK_DIVE_SET_NEW, "a", 0, 0, 0, "x"));
	IS("", asked(1, DK_DIVE_SET_NEW, "b", 0, 0, 0, "x"));
	IS("x", asked(1, DK_DIVE_DEL, "b", 0, 0, 0, ""));
	IS(rc(DK_NOT_FOUND), asked(1, DK_DIVE_DEL, "b", 0, 0, 0, ""));
	ck_assert_int_eq(count(1, "buckets"), 1024);
	apart();
}
END_TEST

START_TEST(increments)
{
	alone("s = { };");
	IS(rc(DK_NOT_FOUND), asked(1, DK_DIVE_INCR, "n", 0, 1, 0, ""));
	SET("n", "40");
	IS("42", asked(1, DK_DIVE_INCR, "n", 0, 2, 0, ""));
	IS("-8", asked(1, DK_DIVE_INCR, "n", 0, -50, 0, ""));
	SET("n", "2147483647");
	IS(rc(DK_DIVE_RANGE), asked(1, DK_DIVE_INCR, "n", 0, 1, 0, ""));
	SET("n", "2147483648");
	IS(rc(DK_DIVE_RANGE), asked(1, DK_DIVE_INCR, "n", 0, -1, 0, ""));
	SET("n", "word");
	IS(rc(DK_DIVE_KIND), asked(1, DK_DIVE_INCR, "n", 0, 1, 0, ""));
	apart();
}
END_TEST

START_TEST(lists)
{
	alone("s = { };");
	IS("", asked(1, DK_DIVE_RPUSH, "l", 0, 0, 0, "c 4 eee"));
	IS("", asked(1, DK_DIVE_LPUSH, "l", 0, 0, 0, "bb a"));
	IS("a bb c 4 eee", asked(1, DK_DIVE_LRANGE, "l", 0, 0, 0, ""));
	IS("bb c", asked(1, DK_DIVE_LRANGE, "l", 0, 1, 3, ""));
	IS("", asked(1, DK_DIVE_LRANGE, "l", 0, 7, 9, ""));
	IS("a bb", asked(1, DK_DIVE_LPOP, "l", 0, 2, 0, ""));
	IS("eee 4", asked(1, DK_DIVE_RPOP, "l", 0, 2, 0, ""));
	IS("c", asked(1, DK_DIVE_LRANGE, "l", 0, 0, 0, ""));
	IS(rc(DK_DIVE_KIND), GET("l"));
	IS("c", asked(1, DK_DIVE_RPOP, "l", 0, 0, 0, ""));
	IS(rc(DK_NOT_FOUND), asked(1, DK_DIVE_LPOP, "l", 0, 1, 0, ""));
	SET("v", "1");
	IS(rc(DK_EXISTS), asked(1, DK_DIVE_LPUSH, "v", 0, 0, 0, "1"));
	IS(rc(DK_DIVE_KIND), asked(1, DK_DIVE_LPOP, "v", 0, 0, 0, ""));
	IS(rc(DK_DIVE_KIND), asked(1, DK_DIVE_LRANGE, "v", 0, 0, 0, ""));
	apart();
}
END_TEST

/* A millisecond before the end it is there; at the end it is not. */
START_TEST(time_to_live)
{
	uint64_t began;

	alone("s = { defaultTTL = 5; };");
	began = dk_sim_now(world);
	SET("d", "1");
	asked(1, DK_DIVE_SET, "x", 2, 0, 0, "1");
	run(began + 1999 - dk_sim_now(world));
	IS("1", GET("x"));
	run(1);
	IS(rc(DK_NOT_FOUND), GET("x"));
	IS("", asked(1, DK_DIVE_SET_NEW, "x", 1, 0, 0, "2")); /* as if it had never been */
	run(500);
	IS("2", asked(1, DK_DIVE_GET, "x", 3, 0, 0, "")); /* the Ex of a read */
	run(2900);
	IS("2", GET("x"));
	run(200);
	IS(rc(DK_NOT_FOUND), GET("x"));
	IS(rc(DK_NOT_FOUND), asked(1, DK_DIVE_INCR, "x", 0, 1, 0, ""));
	run(began + 4980 - dk_sim_now(world));
	IS("1", GET("d"));
	run(30);
	IS(rc(DK_NOT_FOUND), GET("d"));
	apart();
}
END_TEST

START_TEST(swept)
{
	alone("s = { cleanInterval = 1; };");
	for (int i = 0; i < 200; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		asked(1, DK_DIVE_SET, key, 1, 0, 0, "v");
	}
	run(1000);
	run(3000);
	ck_assert_int_eq(count(1, "keys"), 0);
	ck_assert_int_eq(count(1, "bytes"), 0);
	ck_assert_int_gt(count(1, "expired"), 0);
	apart();
}
END_TEST

START_TEST(limits)
{
	alone(SMALL);
	SET("a", "1");
	SET("b", "1");
	IS("", asked(1, DK_DIVE_RPUSH, "l", 0, 0, 0, "1 2 3"));
	IS(rc(DK_FULL), SET("c", "1"));
	IS(rc(DK_FULL), asked(1, DK_DIVE_LPUSH, "c", 0, 0, 0, "1"));
	IS("", SET("a", "2")); /* is there already */
	IS(rc(DK_FULL), asked(1, DK_DIVE_RPUSH, "l", 0, 0, 0, "4 5 6")); /* too many */
	IS(rc(DK_FULL), asked(1, DK_DIVE_RPUSH, "l", 0, 0, 0,
			      "fifty-bytes-of-text-that-does-not-fit-a-list fifty-bytes-of-text-that-does-not-fit"));
	IS("1 2 3", asked(1, DK_DIVE_LRANGE, "l", 0, 0, 0, ""));
	IS(rc(DK_TOO_LONG), SET("a", "a-text-of-more-than-sixty-four-bytes-is-longer-than-what-is-allowed-here"));
	IS(rc(DK_DIVE_BAD_TTL), asked(1, DK_DIVE_SET, "a", 86401, 0, 0, "1"));
	IS(rc(DK_DIVE_BAD_VALUE), asked(1, DK_DIVE_SET, "a", 0, 0, 0, ""));
	IS(rc(DK_DIVE_BAD_VALUE), asked(1, DK_DIVE_SET, "a", 0, 0, 0, "1 2"));
	IS(rc(DK_DIVE_BAD_VALUE), asked(1, DK_DIVE_LPUSH, "l", 0, 0, 0, ""));
	IS(rc(-EINVAL), SET("", "1"));
	IS(rc(-EINVAL), asked(1, (enum dk_dive_op)0, "a", 0, 0, 0, ""));
	apart();
}
END_TEST

/* ---- filters ---- */

struct veto {
	struct dk_self base;
	struct dk_dive *dive;
	uint8_t bytes[64];
	unsigned pushed, ranged;
};

static int on_push(struct veto *v, struct dk_dive_push *ev)
{
	struct dk_writer w = dk_writer_on(v->bytes, sizeof(v->bytes));

	v->pushed++;
	if (dk_str_eq(ev->key, dk_str_c("no")))
		return 1;
	if (!ev->right)
		return 0;
	dk_value_write(&w, &(struct dk_value){ DK_V_INT, { .i = 99 } });
	ev->values = (struct dk_dive_list){ dk_written(&w), 1 };
	return 0;
}

static int on_range(struct veto *v, struct dk_dive_range *ev)
{
	v->ranged++;
	if (dk_str_eq(ev->storage, dk_str_c("s")) && ev->values.n > 2)
		ev->values.n = 0, ev->values.bytes.n = 0;
	return 0;
}

START_TEST(filters)
{
	struct veto *v;

	alone("s = { };");
	/* The asker's state begins alike and is larger than nothing: the handlers need memory of their own. */
	v = calloc(1, sizeof(*v));
	v->base = *(struct dk_self *)(void *)nodes[1].self;
	ck_assert_int_eq(dk_filter_add(v, &nodes[1].dive->pushing, on_push), 0);
	ck_assert_int_eq(dk_filter_add(v, &nodes[1].dive->ranging, on_range), 0);
	IS("", asked(1, DK_DIVE_LPUSH, "l", 0, 0, 0, "1 2"));
	IS("", asked(1, DK_DIVE_RPUSH, "r", 0, 0, 0, "1 2"));
	IS(rc(DK_REFUSED), asked(1, DK_DIVE_RPUSH, "no", 0, 0, 0, "1"));
	IS("2 1", asked(1, DK_DIVE_LRANGE, "l", 0, 0, 0, ""));
	IS("99", asked(1, DK_DIVE_LRANGE, "r", 0, 0, 0, ""));
	asked(1, DK_DIVE_LPUSH, "l", 0, 0, 0, "3");
	IS("", asked(1, DK_DIVE_LRANGE, "l", 0, 0, 0, ""));
	ck_assert_uint_eq(v->pushed, 4);
	ck_assert_uint_eq(v->ranged, 3);
	apart();
	free(v);
}
END_TEST

/* ---- the service ---- */

static void note_key(void *arg, dk_str key)
{
	*(size_t *)arg += key.n;
}

START_TEST(storages)
{
	struct dk_dive *d;
	struct answer a;
	size_t n = 0;
	struct dk_dive_ask what = { .op = DK_DIVE_GET, .storage = dk_str_c("elsewhere"), .key = dk_str_c("k") };

	alone("s = { }; t = { };");
	d = nodes[1].dive;
	ck_assert(d->exists(d, dk_str_c("t")));
	ck_assert(!d->exists(d, dk_str_c("u")));
	ask(1, &what, &a);
	ck_assert_int_eq(a.rc, DK_DIVE_NO_STORAGE);
	ck_assert_int_eq(d->create(d, dk_str_c("t"), dk_str_c(""), 0), DK_EXISTS);
	ck_assert_int_eq(d->create(d, dk_str_c(""), dk_str_c(""), 0), DK_TOO_LONG);
	ck_assert_int_eq(d->create(d, dk_str_c("elsewhere"), dk_str_c(""), 7), 0);
	run(10);
	ask(1, &what, &a);
	run(10);
	ck_assert_int_eq(a.rc, DK_NOT_FOUND);
	SET("abc", "1");
	SET("de", "2");
	ck_assert_uint_eq(d->local_keys(d, dk_str_c("s"), note_key, &n), 2);
	ck_assert_uint_eq(n, 5);
	ck_assert_uint_eq(d->nodes(d, dk_str_c("s")), 1);
	ck_assert(d->ready(d)); /* there is nobody who could take what is here */
	ck_assert_int_eq(d->ring_size(d, dk_str_c("s"), 900), 0);
	ck_assert_int_eq(d->ring_size(d, dk_str_c("s"), 0), -EINVAL);
	ck_assert_int_eq(d->ring_size(d, dk_str_c("u"), 900), DK_DIVE_NO_STORAGE);
	IS("1", GET("abc"));
	apart();
}
END_TEST

/* The reference's file, as it is. */
START_TEST(file_of_the_reference)
{
	static const char json[] = "{ \"storages\": { \"OnlineStatus\": { \"multipleIndex\": 1, \"targetNodeType\": \"HTTP\","
				   " \"ringSize\": 300, \"cleanInterval\": 300, \"defaultTTL\": 8640, \"migration\": true,"
				   " \"migrationBatchSize\": 100, \"migrationInterval\": 1000 } } }";
	char path[] = "/tmp/dive-XXXXXX.json", conf[256];
	int fd = mkstemps(path, 5);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, json, sizeof(json) - 1), (int)sizeof(json) - 1);
	close(fd);
	snprintf(conf, sizeof(conf), "plugins = { dive = { config = \"%s\"; }; };", path);
	nodes[1].h = dk_harness_new(conf, 1);
	unlink(path);
	ck_assert_ptr_nonnull(nodes[1].h);
	nodes[1].dive = dk_harness_service(nodes[1].h, DK_DIVE_NAME);
	ck_assert(nodes[1].dive->exists(nodes[1].dive, dk_str_c("OnlineStatus")));
	ck_assert_int_eq(dk_harness_free(nodes[1].h), 0);
}
END_TEST

/* Each operation with a time to live, which counts from then on. */
START_TEST(every_operation_with_a_time)
{
	static const struct {
		enum dk_dive_op op;
		int32_t a;
		const char *key, *values, *answer;
	} ops[] = {
		{ DK_DIVE_SET, 0, "v", "1", "" },       { DK_DIVE_GET, 0, "v", "", "1" },
		{ DK_DIVE_INCR, 1, "v", "", "2" },      { DK_DIVE_RPUSH, 0, "l", "1 2 3 4 5", "" },
		{ DK_DIVE_LPUSH, 0, "l", "0", "" },     { DK_DIVE_LPOP, 1, "l", "", "0" },
		{ DK_DIVE_RPOP, 1, "l", "", "5" },      { DK_DIVE_LRANGE, 0, "l", "", "1 2 3 4" },
		{ DK_DIVE_SET_NEW, 0, "new", "1", "" },
	};

	alone("s = { defaultTTL = 100; };");
	for (size_t i = 0; i < DK_ARRAY_LEN(ops); i++) {
		uint64_t began = dk_sim_now(world);
		enum dk_dive_op look = !strcmp(ops[i].key, "l") ? DK_DIVE_LRANGE : DK_DIVE_GET;

		IS(ops[i].answer, asked(1, ops[i].op, ops[i].key, 3, ops[i].a, 0, ops[i].values));
		run(began + 2990 - dk_sim_now(world));
		ck_assert_msg(!strchr(asked(1, look, ops[i].key, 0, 0, 0, ""), ':'), "operation %d: gone too early", ops[i].op);
		if (i + 1 < DK_ARRAY_LEN(ops) && !strcmp(ops[i + 1].key, ops[i].key))
			continue; /* lives on by the next one */
		run(20);
		IS(rc(DK_NOT_FOUND), asked(1, look, ops[i].key, 0, 0, 0, ""));
	}
	apart();
}
END_TEST

START_TEST(bad_name_is_told)
{
	static const char conf[] = "plugins = { dive = { storages = { "
				   "a_name_that_is_longer_than_what_a_storage_may_have_which_is_sixty_four = { }; }; }; };";

	ck_assert_ptr_null(dk_harness_new(conf, 1));
}
END_TEST

UNIT_MAIN("dive", values, increments, lists, time_to_live, swept, limits, filters, storages, file_of_the_reference,
	  every_operation_with_a_time, bad_name_is_told)
