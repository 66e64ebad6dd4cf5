/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and patterns: splitting, decoding, matching, precedence. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/transports/http/http_route.h"

static struct http_path path_of(const char *target, char *buf)
{
	struct http_path p;

	ck_assert_msg(http_path_read(&p, dk_str_c(target), buf), "refused: %s", target);
	return p;
}

static bool is(dk_str s, const char *text)
{
	return dk_str_eq(s, dk_str_c(text));
}

START_TEST(paths)
{
	char buf[256];
	struct http_path p = path_of("/", buf);

	ck_assert(is(p.whole, "/") && p.seg_n == 1 && !p.seg[0].n && !p.query.n);
	p = path_of("/a/b%20c/d%2Fe?x=%20&y", buf);
	ck_assert(is(p.whole, "/a/b c/d/e"));
	ck_assert_uint_eq(p.seg_n, 3);
	ck_assert(is(p.seg[1], "b c") && is(p.seg[2], "d/e") && is(p.query, "x=%20&y"));
	p = path_of("/a//", buf);
	ck_assert(p.seg_n == 3 && is(p.seg[0], "a") && !p.seg[1].n && !p.seg[2].n);
	p = path_of("/%2541", buf);
	ck_assert(is(p.seg[0], "%41")); /* once */
	p = path_of("HTTP://host:1/a?b", buf);
	ck_assert(p.seg_n == 1 && is(p.seg[0], "a") && is(p.query, "b"));
	p = path_of("/?", buf);
	ck_assert(p.seg_n == 1 && !p.query.n);
	p = path_of("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", buf);
	ck_assert_uint_eq(p.seg_n, 16);
	p = path_of("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18", buf);
	ck_assert_uint_eq(p.seg_n, HTTP_SEGMENTS_MAX + 1);
	ck_assert(!http_pattern_match("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", &p));
}
END_TEST

static const char *const wrong[] = { "",      "*",      "a",     "host:80", "http://host", "http://", "/%",
				     "/%4",   "/%4?",   "/%zz",  "/%0",     "/%00",        "/a#b",    "/a b",
				     "/\x80", "/?\xff", "/?a#b", "/\x01",   "ftp://h/a" };

START_TEST(wrong_targets)
{
	struct http_path p;
	char buf[64], *target = strdup(wrong[_i]); /* heap: a sanitizer sees a read too far */

	ck_assert_msg(!http_path_read(&p, dk_str_n(target, strlen(target)), buf), "taken: %s", target);
	free(target);
}
END_TEST

START_TEST(patterns)
{
	const char *pattern = "/endpoint/type/{type=UDP}/user/{uid}", *at = pattern;
	struct http_piece piece;
	struct http_path p;
	char buf[256];

	ck_assert(http_pattern_valid(pattern) && http_pattern_valid("/"));
	ck_assert(!http_pattern_valid("") && !http_pattern_valid("a") && !http_pattern_valid("/{}") &&
		  !http_pattern_valid("/a{b}"));
	ck_assert(!http_pattern_valid("/{=x}") && !http_pattern_valid("/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7"));
	for (int i = 0; i < 3; i++)
		ck_assert(http_pattern_next(&at, &piece));
	ck_assert(piece.is_param && is(piece.text, "type") && is(piece.example, "UDP"));

	p = path_of("/endpoint/type/TCP/user/a%2Fb", buf);
	ck_assert(http_pattern_match(pattern, &p));
	ck_assert(is(http_pattern_param(pattern, &p, "type"), "TCP") && is(http_pattern_param(pattern, &p, "uid"), "a/b"));
	ck_assert_ptr_null(http_pattern_param(pattern, &p, "ui").p);
	p = path_of("/endpoint/type/TCP/user/", buf);
	ck_assert(http_pattern_match(pattern, &p) && !http_pattern_param(pattern, &p, "uid").n);
	p = path_of("/endpoint/type/TCP/user", buf);
	ck_assert(!http_pattern_match(pattern, &p));
	p = path_of("/endpoint/type/TCP/user/a/b", buf);
	ck_assert(!http_pattern_match(pattern, &p));
	p = path_of("/endpoint/Type/TCP/user/a", buf);
	ck_assert(!http_pattern_match(pattern, &p));
}
END_TEST

START_TEST(precedence)
{
	ck_assert_int_lt(http_pattern_compare("/a/b", "/a/{x}"), 0);
	ck_assert_int_gt(http_pattern_compare("/a/{x}", "/a/b"), 0);
	ck_assert_int_lt(http_pattern_compare("/{x}/b", "/{x}/{y}"), 0);
	ck_assert_int_eq(http_pattern_compare("/a/{x=1}", "/a/{y}"), 0);
	ck_assert_int_ne(http_pattern_compare("/a", "/a/b"), 0);
	ck_assert_int_ne(http_pattern_compare("/ab", "/a"), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http route");
	TCase *tc = tcase_create("route");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, paths);
	tcase_add_loop_test(tc, wrong_targets, 0, (int)DK_ARRAY_LEN(wrong));
	tcase_add_test(tc, patterns);
	tcase_add_test(tc, precedence);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
