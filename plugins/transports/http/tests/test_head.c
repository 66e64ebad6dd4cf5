/* SPDX-License-Identifier: Apache-2.0 */
/* The request parser: what is accepted, what is refused and why, and that how the bytes arrive makes no difference. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/transports/http/http_head.h"

/* One request out of text that may hold more: its verdict; on HTTP_DONE the bytes it took. Fed `step` bytes at a time. */
static enum http_verdict run(struct http_head *h, const char *text, size_t n, size_t step, char *body, size_t *ret_took)
{
	uint8_t *buf = malloc(n ? n : 1);
	struct http_scan scan = { 0, 0 };
	size_t have = 0, len = 0, r, w;
	enum http_verdict v = HTTP_MORE;

	memcpy(buf, text, n);
	while (v == HTTP_MORE && have < n) {
		have = n - have < step ? n : have + step;
		v = http_head_scan(&scan, buf, have, &len);
	}
	if (v == HTTP_DONE)
		v = http_head_parse(h, buf, len);
	r = w = len;
	if (v == HTTP_DONE && !h->complete) {
		v = HTTP_MORE;
		while (v == HTTP_MORE && r < n) {
			size_t left = n - r < step ? n - r : step, put = 0, used = 0;

			v = http_body(h, buf + w, buf + r, left, &put, &used);
			w += put;
			r += used;
		}
	}
	if (v == HTTP_DONE) {
		*ret_took = r;
		ck_assert_uint_eq(w - len, h->body_n);
		memcpy(body, buf + len, h->body_n);
		body[h->body_n] = '\0';
	}
	free(buf);
	return v;
}

static enum http_verdict verdict_of(const char *text, size_t n)
{
	static char body[HTTP_BODY_MAX + 1];
	struct http_head h;
	enum http_verdict v;
	size_t took = 0;

	v = run(&h, text, n, n, body, &took);
	ck_assert_int_eq(run(&h, text, n, 1, body, &took), v);
	ck_assert_int_eq(run(&h, text, n, 7, body, &took), v);
	return v;
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n"
#define TEXT(text) text, sizeof(text) - 1

static const struct {
	const char *what, *text;
	size_t n;
	enum http_verdict v;
} cases[] = {
	{ "plain", TEXT(GET "\r\n"), HTTP_DONE },
	{ "1.0 without Host", TEXT("GET / HTTP/1.0\r\n\r\n"), HTTP_DONE },
	{ "half a head", TEXT(GET), HTTP_MORE },
	{ "nothing", TEXT(""), HTTP_MORE },
	{ "body by length", TEXT(POST "Content-Length: 3\r\n\r\nabc"), HTTP_DONE },
	{ "body by length, short", TEXT(POST "Content-Length: 3\r\n\r\nab"), HTTP_MORE },
	{ "body of none", TEXT(POST "Content-Length: 0\r\n\r\n"), HTTP_DONE },
	{ "post without length", TEXT(POST "\r\n"), HTTP_DONE },
	{ "chunks", TEXT(CHUNKED "\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), HTTP_DONE },
	{ "upgrade ignored", TEXT(GET "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), HTTP_DONE },
	{ "expect", TEXT(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na"), HTTP_DONE },
	{ "empty value", TEXT(GET "X:\r\nY: 1\r\n\r\n"), HTTP_DONE },
	{ "tab in a value", TEXT(GET "X: a\tb\r\n\r\n"), HTTP_DONE },
	{ "bytes above ASCII in a value", TEXT(GET "X: \xc3\xa9\r\n\r\n"), HTTP_DONE },
	{ "NUL", TEXT(GET "X: a\0b\r\n\r\n"), HTTP_BAD_control },
	{ "escape", TEXT(GET "X: \x1b[2J\r\n\r\n"), HTTP_BAD_control },
	{ "DEL", TEXT("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP_BAD_control },
	{ "bare CR", TEXT(GET "X: \rTransfer-Encoding: chunked\r\n\r\n"), HTTP_BAD_bare_cr },
	{ "bare CR before the end", TEXT(GET "\r\r\n\r\n"), HTTP_BAD_bare_cr },
	{ "bare LF", TEXT("GET / HTTP/1.1\nHost: a\r\n\r\n"), HTTP_BAD_bare_lf },
	{ "bare LF at the end", TEXT(GET "\n"), HTTP_BAD_bare_lf },
	{ "folded", TEXT(GET "X: a\r\n b\r\n\r\n"), HTTP_BAD_folded },
	{ "folded by tab", TEXT(GET "X: a\r\n\tb\r\n\r\n"), HTTP_BAD_folded },
	{ "blank first", TEXT(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP_BAD_folded },
	{ "no Host", TEXT("GET / HTTP/1.1\r\n\r\n"), HTTP_BAD_host },
	{ "two Hosts", TEXT(GET "host: b\r\n\r\n"), HTTP_BAD_host },
	{ "two Hosts on 1.0", TEXT("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), HTTP_BAD_host },
	{ "both lengths", TEXT(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), HTTP_BAD_length },
	{ "both lengths, other order", TEXT(CHUNKED "Content-Length: 3\r\n\r\n0\r\n\r\n"), HTTP_BAD_length },
	{ "zero length beside chunks", TEXT(POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	  HTTP_BAD_length },
	{ "two lengths", TEXT(POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na"), HTTP_BAD_length },
	{ "list of lengths", TEXT(POST "Content-Length: 1, 1\r\n\r\na"), HTTP_BAD_length },
	{ "length with sign", TEXT(POST "Content-Length: +1\r\n\r\na"), HTTP_BAD_length },
	{ "length over 64 bits", TEXT(POST "Content-Length: 18446744073709551617\r\n\r\na"), HTTP_BAD_length },
	{ "chunked twice", TEXT(CHUNKED "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), HTTP_BAD_length },
	{ "gzip", TEXT(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), HTTP_BAD_length },
	{ "identity", TEXT(POST "Transfer-Encoding: identity\r\n\r\n"), HTTP_BAD_length },
	{ "xchunked", TEXT(POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), HTTP_BAD_length },
	{ "chunks on 1.0", TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), HTTP_BAD_length },
	{ "other expectation", TEXT(POST "Expect: tea\r\nContent-Length: 1\r\n\r\na"), HTTP_BAD_expect },
	{ "blank before the colon", TEXT("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), HTTP_BAD_syntax },
	{ "no colon", TEXT(GET "X\r\n\r\n"), HTTP_BAD_syntax },
	{ "no target", TEXT("GET HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP_BAD_syntax },
	{ "0.9", TEXT("GET /\r\n\r\n"), HTTP_BAD_version },
	{ "2.0", TEXT("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), HTTP_BAD_version },
	{ "2.3", TEXT("GET / HTTP/2.3\r\nHost: a\r\n\r\n"), HTTP_BAD_version },
	{ "h2 preface", TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP_BAD_version },
	{ "TLS hello", TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), HTTP_BAD_control },
	{ "unknown method", TEXT("YELL / HTTP/1.1\r\nHost: a\r\n\r\n"), HTTP_BAD_syntax },
	{ "body just fits the length but not the limit", TEXT(POST "Content-Length: 65537\r\n\r\n"), HTTP_BAD_body_long },
	{ "chunk beyond the limit", TEXT(CHUNKED "\r\n10001\r\n"), HTTP_BAD_body_long },
	{ "chunk size overflow", TEXT(CHUNKED "\r\n11111111111111111\r\n"), HTTP_BAD_chunks },
	{ "chunk extension", TEXT(CHUNKED "\r\n1;a=b\r\nx\r\n0\r\n\r\n"), HTTP_BAD_chunks },
	{ "chunk without size", TEXT(CHUNKED "\r\n\r\nx\r\n"), HTTP_BAD_chunks },
	{ "chunk ended by LF", TEXT(CHUNKED "\r\n1\nx\n0\n\n"), HTTP_BAD_chunks },
	{ "trailer", TEXT(CHUNKED "\r\n1\r\nx\r\n0\r\nHost: b\r\n\r\n"), HTTP_BAD_chunks },
};

START_TEST(verdicts)
{
	enum http_verdict v = verdict_of(cases[_i].text, cases[_i].n);

	ck_assert_msg(v == cases[_i].v, "%s: got %d (%s), expected %d", cases[_i].what, v, http_verdict_text(v), cases[_i].v);
}
END_TEST

START_TEST(every_refusal_is_reached_and_has_words)
{
	char fields[8000], longer[HTTP_HEAD_MAX + 64];
	bool seen[HTTP_REFUSED_END] = { false };
	size_t n;

	for (size_t i = 0; i < DK_ARRAY_LEN(cases); i++)
		seen[cases[i].v] = true;
	n = (size_t)snprintf(fields, sizeof(fields), GET);
	for (int i = 0; i < HTTP_FIELDS_MAX; i++)
		n += (size_t)snprintf(fields + n, sizeof(fields) - n, "X: %d\r\n", i);
	n += (size_t)snprintf(fields + n, sizeof(fields) - n, "\r\n");
	seen[verdict_of(fields, n)] = true;

	memset(longer, 'a', sizeof(longer));
	memcpy(longer, "GET /", 5);
	seen[verdict_of(longer, sizeof(longer))] = true;
	/* An endless head is refused at the limit, before its end is seen. */
	ck_assert_int_eq(verdict_of(longer, HTTP_HEAD_MAX), HTTP_BAD_head_long);
	ck_assert_int_eq(verdict_of(longer, HTTP_HEAD_MAX - 1), HTTP_MORE);

	seen[HTTP_BAD_target] = true; /* the router's */
	for (int v = HTTP_REFUSED_FIRST + 1; v < HTTP_REFUSED_END; v++) {
		ck_assert_msg(seen[v], "no test reaches: %s", http_verdict_text((enum http_verdict)v));
		ck_assert_int_ge(http_verdict_status((enum http_verdict)v), 400);
		ck_assert_uint_gt(strlen(http_verdict_text((enum http_verdict)v)), 20);
	}
}
END_TEST

/* A head that fills the limit to the byte is fine. */
START_TEST(the_longest_head)
{
	char text[HTTP_HEAD_MAX + 1];
	size_t n = (size_t)snprintf(text, sizeof(text), GET "X: ");

	memset(text + n, 'a', HTTP_HEAD_MAX - 4 - n);
	memcpy(text + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
	ck_assert_int_eq(verdict_of(text, HTTP_HEAD_MAX), HTTP_DONE);
}
END_TEST

START_TEST(fields_are_found)
{
	static const char text[] = "POST /a?b=c HTTP/1.1\r\nhOST: here \r\nEmpty:\r\nClientKey:  a b\t\r\nclientkey: second\r\n"
				   "Content-Length: 2\r\n\r\nhi";
	static char body[HTTP_BODY_MAX + 1];
	const uint8_t *head = (const uint8_t *)text;
	struct http_head h;
	size_t took = 0;

	ck_assert_int_eq(run(&h, text, sizeof(text) - 1, sizeof(text), body, &took), HTTP_DONE);
	ck_assert_uint_eq(took, sizeof(text) - 1);
	ck_assert_str_eq(body, "hi");
	ck_assert_str_eq(http_head_method(&h), "POST");
	ck_assert(dk_str_eq(dk_str_n(text + h.target.at, h.target.n), dk_str_c("/a?b=c")));
	ck_assert(dk_str_eq(http_head_field(&h, head, "Host"), dk_str_c("here")));
	ck_assert(dk_str_eq(http_head_field(&h, head, "CLIENTKEY"), dk_str_c("a b")));
	ck_assert_uint_eq(http_head_field(&h, head, "Empty").n, 0);
	ck_assert_ptr_nonnull(http_head_field(&h, head, "Empty").p);
	ck_assert_ptr_null(http_head_field(&h, head, "Hos").p);
	ck_assert_ptr_null(http_head_field(&h, head, "Host2").p);
}
END_TEST

static const struct {
	const char *text;
	bool keep;
} keeps[] = {
	{ GET "\r\n", true },
	{ GET "Connection: close\r\n\r\n", false },
	{ GET "Connection: keep-alive\r\n\r\n", true },
	{ "GET / HTTP/1.0\r\n\r\n", false },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true },
	{ POST "Content-Length: 1\r\n\r\na", true },
	{ POST "Connection: close\r\nContent-Length: 1\r\n\r\na", false },
};

START_TEST(keep_alive)
{
	static char body[HTTP_BODY_MAX + 1];
	struct http_head h;
	size_t took = 0;

	ck_assert_int_eq(run(&h, keeps[_i].text, strlen(keeps[_i].text), 100, body, &took), HTTP_DONE);
	ck_assert_int_eq(h.keep_alive, keeps[_i].keep);
}
END_TEST

/* Pipelined: each request ends exactly where the next begins, whatever the pieces. */
START_TEST(requests_end_where_they_end)
{
	static const char a[] = POST "Content-Length: 5\r\n\r\nGET /";
	static const char b[] = CHUNKED "\r\n5\r\nPOST \r\n1\r\n/\r\n0\r\n\r\n";
	static const char c[] = GET "\r\n";
	static char body[HTTP_BODY_MAX + 1];
	char all[sizeof(a) + sizeof(b) + sizeof(c) + sizeof(a)];
	size_t n = (size_t)snprintf(all, sizeof(all), "%s%s%s%s", a, b, c, a);

	for (size_t step = 1; step < n + 1; step++) {
		struct http_head h;
		size_t at = 0, took = 0;

		ck_assert_int_eq(run(&h, all, n, step, body, &took), HTTP_DONE);
		ck_assert_uint_eq(took, sizeof(a) - 1);
		ck_assert_str_eq(body, "GET /");
		at += took;
		ck_assert_int_eq(run(&h, all + at, n - at, step, body, &took), HTTP_DONE);
		ck_assert_uint_eq(took, sizeof(b) - 1);
		ck_assert_str_eq(body, "POST /");
		at += took;
		ck_assert_int_eq(run(&h, all + at, n - at, step, body, &took), HTTP_DONE);
		ck_assert_uint_eq(took, sizeof(c) - 1);
		at += took;
		ck_assert_int_eq(run(&h, all + at, n - at, step, body, &took), HTTP_DONE);
		ck_assert_uint_eq(at + took, n);
	}
}
END_TEST

/* Many small chunks may not add up to more than the limit. */
START_TEST(chunks_add_up)
{
	static char text[8 * HTTP_BODY_MAX], body[HTTP_BODY_MAX + 1];
	struct http_head h;
	size_t took = 0, n;

	for (unsigned chunks = 256; chunks <= 257; chunks++) {
		n = (size_t)snprintf(text, sizeof(text), CHUNKED "\r\n");
		for (unsigned i = 0; i < chunks; i++) {
			n += (size_t)snprintf(text + n, sizeof(text) - n, "100\r\n");
			memset(text + n, 'a' + (int)(i % 26), 256);
			memcpy(text + n + 256, "\r\n", 2);
			n += 258;
		}
		n += (size_t)snprintf(text + n, sizeof(text) - n, "0\r\n\r\n");
		if (chunks == 256) {
			ck_assert_int_eq(run(&h, text, n, 1000, body, &took), HTTP_DONE);
			ck_assert_uint_eq(took, n);
			ck_assert_uint_eq(strlen(body), HTTP_BODY_MAX);
			ck_assert_int_eq(body[256], 'b');
		} else {
			ck_assert_int_eq(run(&h, text, n, 1000, body, &took), HTTP_BAD_body_long);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http head");
	TCase *tc = tcase_create("head");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tc, verdicts, 0, (int)DK_ARRAY_LEN(cases));
	tcase_add_test(tc, every_refusal_is_reached_and_has_words);
	tcase_add_test(tc, the_longest_head);
	tcase_add_test(tc, fields_are_found);
	tcase_add_loop_test(tc, keep_alive, 0, (int)DK_ARRAY_LEN(keeps));
	tcase_add_test(tc, requests_end_where_they_end);
	tcase_add_test(tc, chunks_add_up);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
