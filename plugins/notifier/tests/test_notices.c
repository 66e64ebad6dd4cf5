/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to tell, without users and nodes: ids, limits, ends, order, what is remembered, and the bytes between nodes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "plugins/notifier/notices.h"
#include "tests/unit/fake.h"

static struct notices s, other;
static uint64_t now = 1000;
static struct fake fake;

static void setup(void)
{
	fake_init(&fake);
	memset(&s, 0, sizeof(s));
	memset(&other, 0, sizeof(other));
	notices_init(&s, &fake.self);
	notices_init(&other, &fake.self);
	s.max = other.max = 8;
	s.max_ids = other.max_ids = 4;
	s.max_bytes = other.max_bytes = 1000;
	s.remember_ms = other.remember_ms = 500;
	now = 1000;
}

static void teardown(void)
{
	notices_fini(&s);
	notices_fini(&other);
	fake_fini(&fake);
}

static struct dk_notice notice(const char *id, const char *text, uint32_t ttl_ms)
{
	return (struct dk_notice){
		.id = dk_str_c(id), .name = dk_str_c("news"), .cmd = 400, .message = dk_slice_of(dk_str_c(text)), .ttl_ms = ttl_ms
	};
}

static int add(const char *id, uint32_t ttl_ms)
{
	struct dk_notice n = notice(id, "text", ttl_ms);

	return notices_add(&s, &n, false, now);
}

/* Ids that live, in order. */
static const char *living(const struct notices *of)
{
	static char text[256];
	const struct notice *n = NULL;
	uint64_t seq = 0;

	text[0] = '\0';
	while ((n = notices_after(of, seq, now))) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text), DK_STR_FMT " ", DK_STR_ARG(notice_id(n)));
		seq = n->seq;
	}
	return text;
}

START_TEST(one_of_each)
{
	const struct notice *n;

	ck_assert_int_eq(add("a", 100), 0);
	ck_assert_int_eq(add("b", 50), 0);
	ck_assert_int_eq(add("a", 100), DK_EXISTS);
	ck_assert_str_eq(living(&s), "a b ");
	n = notices_after(&s, 0, now);
	ck_assert_uint_eq(n->block_n, 9);
	ck_assert_mem_eq(n->block, "\x00\x09\x00\x01\x90text", 9);
	ck_assert(dk_str_eq(notice_name(n), dk_str_c("news")));
	now += 50;
	ck_assert_str_eq(living(&s), "a ");
	ck_assert_uint_eq(notices_sweep(&s, now), 1);
	ck_assert_int_eq(add("b", 50), DK_EXISTS); /* it is remembered */
	now += 500;
	ck_assert_uint_eq(notices_sweep(&s, now), 1);
	ck_assert_int_eq(add("b", 50), 0);
	ck_assert_str_eq(living(&s), "b ");
}
END_TEST

START_TEST(limits)
{
	struct dk_notice n = notice("long", "x", 10);
	static char text[DK_NOTICE_MESSAGE_MAX + 1];
	char id[DK_NOTICE_ID_MAX + 2];

	memset(id, 'i', sizeof(id));
	memset(text, 't', sizeof(text));
	ck_assert_int_eq(add("", 1), DK_NOTIFIER_BAD);
	ck_assert_int_eq(add("a", 0), DK_NOTIFIER_BAD);
	ck_assert_int_eq(add("a", DK_NOTICE_TTL_MAX + 1), DK_NOTIFIER_BAD);
	n.message.n = 0;
	ck_assert_int_eq(notices_add(&s, &n, false, now), DK_NOTIFIER_BAD);
	n.message = dk_slice_n(text, sizeof(text));
	ck_assert_int_eq(notices_add(&s, &n, false, now), DK_TOO_LONG);
	n.message.n = 990;
	ck_assert_int_eq(notices_add(&s, &n, false, now), 0);
	ck_assert(notices_after(&s, 0, now)->reliable); /* too long for an echo */
	ck_assert_int_eq(add("b", 10), DK_FULL); /* bytes */
	n.id = dk_str_n(id, DK_NOTICE_ID_MAX + 1);
	ck_assert_int_eq(notices_add(&s, &n, false, now), DK_TOO_LONG);
	now += 10;
	notices_sweep(&s, now);
	for (unsigned i = 0; i < 9; i++) {
		snprintf(id, sizeof(id), "n%u", i);
		ck_assert_int_eq(add(id, 10), i < 8 ? 0 : DK_FULL);
	}
	now += 10;
	ck_assert_uint_eq(notices_sweep(&s, now), 8);
	ck_assert_uint_eq(s.ended_n, 4); /* the oldest are forgotten */
	ck_assert_int_eq(add("n0", 10), 0);
	ck_assert_int_eq(add("n7", 10), DK_EXISTS);
	ck_assert_uint_eq(s.bytes, 9);
}
END_TEST

START_TEST(deleted)
{
	ck_assert_int_eq(add("a", 100), 0);
	ck_assert_int_eq(notices_delete(&s, dk_str_c("a"), 0, now), 0);
	ck_assert_uint_eq(notices_left(&s, dk_str_c("a"), now), 600);
	ck_assert_str_eq(living(&s), "");
	ck_assert_int_eq(add("a", 100), DK_EXISTS);
	ck_assert_int_eq(notices_delete(&s, dk_str_c("a"), 0, now), DK_NOT_FOUND);
	/* before it came */
	ck_assert_int_eq(notices_delete(&s, dk_str_c("b"), 2000, now), DK_NOT_FOUND);
	now += 1999;
	notices_sweep(&s, now);
	ck_assert_int_eq(add("b", 100), DK_EXISTS);
	now++;
	ck_assert_int_eq(add("b", 100), 0); /* without a sweep, too */
	ck_assert_str_eq(living(&s), "b ");
}
END_TEST

static void copy(struct notices *from, struct notices *to)
{
	static uint8_t buf[4096];
	size_t n = notices_size(from, now);
	struct dk_writer w = dk_writer_on(buf, n);
	struct dk_cursor c;
	struct notice_record r;

	notices_write(from, now, &w);
	ck_assert(!w.bad && w.p == w.end);
	c = dk_cursor_of(dk_written(&w));
	while (notice_record_next(&c, &r)) {
		if (r.deleted)
			notices_delete(to, r.notice.id, r.notice.ttl_ms, now);
		else
			notices_add(to, &r.notice, false, now);
	}
	ck_assert(dk_rd_done(&c));
}

START_TEST(from_node_to_node)
{
	struct dk_notice n = notice("local", "x", 100);

	ck_assert_uint_eq(notices_digest(&s, now), 0);
	add("a", 100);
	add("b", 200);
	add("gone", 100);
	notices_delete(&s, dk_str_c("gone"), 0, now);
	ck_assert_int_eq(notices_add(&s, &n, true, now), 0);
	ck_assert_uint_ne(notices_digest(&s, now), notices_digest(&other, now));
	now += 40;
	copy(&s, &other);
	ck_assert_uint_eq(notices_digest(&s, now), notices_digest(&other, now));
	ck_assert_str_eq(living(&other), "a b ");
	ck_assert_uint_eq(notices_left(&other, dk_str_c("a"), now), 60);
	ck_assert_uint_eq(notices_left(&other, dk_str_c("gone"), now), 560);
	/* what one deletes the other learns; what has ended is no difference */
	notices_delete(&other, dk_str_c("b"), 0, now);
	ck_assert_uint_ne(notices_digest(&s, now), notices_digest(&other, now));
	copy(&other, &s);
	ck_assert_str_eq(living(&s), "a local ");
	ck_assert_uint_eq(notices_digest(&s, now), notices_digest(&other, now));
	now += 60;
	notices_sweep(&s, now);
	ck_assert_uint_eq(notices_digest(&s, now), notices_digest(&other, now));
}
END_TEST

START_TEST(bad_bytes)
{
	static const char *const bad[] = { "\x03\x01"
					   "a\x00\x00\x00\x01",
					   "\x02\x00\x00\x00\x00\x01",
					   "\x02\x01"
					   "a\x00\x00\x00\x00",
					   "\x02\x01"
					   "a\x7f\x00\x00\x00",
					   "\x01\x01"
					   "a\x00\x00\x00\x01\x02\x00\x00\x01\x90\x00\x01x",
					   "\x01\x01"
					   "a\x00\x00\x00\x01\x00\x00\x00\x01\x90\x00\x00" };
	static const size_t n[] = { 7, 6, 7, 7, 15, 14 };
	struct notice_record r;

	for (size_t i = 0; i < DK_ARRAY_LEN(bad); i++) {
		struct dk_cursor c = dk_cursor_of(dk_slice_n(bad[i], n[i]));

		ck_assert_msg(!notice_record_next(&c, &r) && c.bad, "%zu", i);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notices");
	TCase *t = tcase_create("notices");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, one_of_each);
	tcase_add_test(t, limits);
	tcase_add_test(t, deleted);
	tcase_add_test(t, from_node_to_node);
	tcase_add_test(t, bad_bytes);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
