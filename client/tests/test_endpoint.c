/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoint answers good and bad, URLs, the reader of HTTP answers in pieces of every length. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/client_http.h>
#include <diarkis/client_room.h>

#define SID "\"sid\":\"404142434445464748494a4b4c4d4e4f\""
#define KEYS                                                                                                                       \
	"\"encryptionKey\":\"000102030405060708090a0b0c0d0e0f\",\"encryptionIV\":\"101112131415161718191a1b1c1d1e1f\","            \
	"\"encryptionMacKey\":\"202122232425262728292A2B2C2D2E2F\""
#define NO_KEYS "\"encryptionKey\":\"\",\"encryptionIV\":\"\",\"encryptionMacKey\":\"\""
#define SERVER "\"serverType\":\"UDP\",\"serverHost\":\"h.example\",\"serverPort\":7102"

static struct dkc_endpoint e;
static char why[256];

static int parse(const char *json, enum dkc_protocol p)
{
	why[0] = '\0';
	return dkc_endpoint_parse(dk_str_c(json), p, &e, why, sizeof(why));
}

START_TEST(current_form)
{
	ck_assert_int_eq(parse("{" SERVER "," SID "," KEYS ",\"extra\":[1,{}]}", DKC_ANY), 0);
	ck_assert_str_eq(e.host, "h.example");
	ck_assert_uint_eq(e.port, 7102);
	ck_assert_int_eq(e.protocol, DKC_UDP);
	ck_assert(e.cred.encrypted);
	ck_assert_uint_eq(e.cred.sid[15], 0x4f);
	ck_assert_uint_eq(e.cred.key[1], 0x01);
	ck_assert_uint_eq(e.cred.iv[0], 0x10);
	ck_assert_uint_eq(e.cred.mac_key[15], 0x2f);
}
END_TEST

START_TEST(other_good_forms)
{
	ck_assert_int_eq(
		parse("{\"serverType\":\"TCP\",\"serverHost\":\"::1\",\"serverPort\":\"7200\"," SID "," NO_KEYS "}", DKC_ANY), 0);
	ck_assert_int_eq(e.protocol, DKC_TCP);
	ck_assert_uint_eq(e.port, 7200);
	ck_assert(!e.cred.encrypted);
	ck_assert_int_eq(parse("{\"serverType\":\"MYGAME\",\"serverHost\":\"[::1]\",\"serverPort\":1," SID "," KEYS "}", DKC_TCP),
			 0);
	ck_assert_int_eq(e.protocol, DKC_TCP);
	ck_assert_str_eq(e.host, "::1");
	/* v1 */
	ck_assert_int_eq(parse("{\"WS\":\"\",\"TCP\":\"1.2.3.4:7200\",\"UDP\":\"1.2.3.4:7100\"," SID "," KEYS "}", DKC_ANY), 0);
	ck_assert_int_eq(e.protocol, DKC_UDP);
	ck_assert_uint_eq(e.port, 7100);
	ck_assert_int_eq(parse("{\"WS\":\"\",\"TCP\":\"[::1]:7200\",\"UDP\":\"\"," SID "," KEYS "}", DKC_ANY), 0);
	ck_assert_int_eq(e.protocol, DKC_TCP);
	ck_assert_str_eq(e.host, "::1");
	ck_assert_int_eq(parse("{\"TCP\":\"a:7200\",\"UDP\":\"b:7100\"," SID "," KEYS "}", DKC_TCP), 0);
	ck_assert_str_eq(e.host, "a");
}
END_TEST

static const struct {
	const char *json, *says;
} bad[] = {
	{ "", "no JSON" },
	{ "nonsense", "no JSON" },
	{ "[]", "no JSON object" },
	{ "{" SERVER "," SID "," KEYS, "no JSON" },
	{ "{}", "names no server" },
	{ "{\"error\":\"no server of type UDP is online\"}", "names no server" },
	{ "{\"serverHost\":7,\"serverPort\":1," SID "," KEYS "}", "serverHost" },
	{ "{\"serverHost\":\"\",\"serverPort\":1," SID "," KEYS "}", "0 characters" },
	{ "{\"serverHost\":\"a b\",\"serverPort\":1," SID "," KEYS "}", "control character" },
	{ "{\"serverHost\":\"a\\u0000b\",\"serverPort\":1," SID "," KEYS "}", "no JSON" },
	{ "{\"serverHost\":\"h\"," SID "," KEYS "}", "serverPort" },
	{ "{\"serverHost\":\"h\",\"serverPort\":0," SID "," KEYS "}", "serverPort" },
	{ "{\"serverHost\":\"h\",\"serverPort\":65536," SID "," KEYS "}", "serverPort" },
	{ "{\"serverHost\":\"h\",\"serverPort\":-1," SID "," KEYS "}", "serverPort" },
	{ "{\"serverHost\":\"h\",\"serverPort\":71.5," SID "," KEYS "}", "serverPort" },
	{ "{\"serverHost\":\"h\",\"serverPort\":4294967297," SID "," KEYS "}", "serverPort" },
	{ "{\"serverHost\":\"h\",\"serverPort\":\"71x\"," SID "," KEYS "}", "serverPort" },
	{ "{\"serverHost\":\"h\",\"serverPort\":\"\"," SID "," KEYS "}", "serverPort" },
	{ "{" SERVER "," KEYS "}", "no \"sid\"" },
	{ "{" SERVER ",\"sid\":\"\"," KEYS "}", "\"sid\" has 0" },
	{ "{" SERVER ",\"sid\":17," KEYS "}", "\"sid\" is no text" },
	{ "{" SERVER ",\"sid\":\"404142434445464748494a4b4c4d4e4\"," KEYS "}", "\"sid\" has 31" },
	{ "{" SERVER ",\"sid\":\"404142434445464748494a4b4c4d4e4g\"," KEYS "}", "\"sid\" holds" },
	{ "{" SERVER "," SID "}", "encryptionKey" },
	{ "{" SERVER "," SID "," SID "," KEYS "}", "duplicate" },
	{ "{" SERVER "," SID
	  ",\"encryptionKey\":\"\",\"encryptionIV\":\"101112131415161718191a1b1c1d1e1f\",\"encryptionMacKey\":\"\"}",
	  "all or none" },
	{ "{\"UDP\":\"host\"," SID "," KEYS "}", "no port" },
	{ "{\"UDP\":\":7100\"," SID "," KEYS "}", "0 characters" },
	{ "{\"UDP\":\"h:\"," SID "," KEYS "}", "port" },
	{ "{\"UDP\":\"h:70000\"," SID "," KEYS "}", "port" },
};

START_TEST(bad_forms)
{
	struct dkc_endpoint before;

	memset(&e, 0x55, sizeof(e));
	before = e;
	ck_assert_int_eq(parse(bad[_i].json, DKC_ANY), DKC_MALFORMED);
	ck_assert_msg(strstr(why, bad[_i].says), "%s: %s", bad[_i].json, why);
	ck_assert(memcmp(&e, &before, sizeof(e)) == 0);
	ck_assert_int_eq(dkc_endpoint_parse(dk_str_c(bad[_i].json), DKC_ANY, &e, NULL, 0), DKC_MALFORMED);
}
END_TEST

START_TEST(a_long_host)
{
	char json[1024], host[300];

	memset(host, 'h', sizeof(host));
	for (int n = 255; n <= 256; n++) {
		snprintf(json, sizeof(json), "{\"serverHost\":\"%.*s\",\"serverPort\":1," SID "," KEYS "}", n, host);
		ck_assert_int_eq(parse(json, DKC_ANY), n == 255 ? 0 : DKC_MALFORMED);
	}
}
END_TEST

START_TEST(addresses)
{
	struct dk_addr a;

	ck_assert(dkc_addr_parse("127.0.0.1", 7100, &a));
	ck_assert(a.family == 4 && a.port == 7100 && a.ip[0] == 127 && a.ip[3] == 1);
	ck_assert(dkc_addr_parse("127.0.0.1:80", 7100, &a));
	ck_assert_uint_eq(a.port, 80);
	ck_assert(dkc_addr_parse("::1", 7100, &a));
	ck_assert(a.family == 6 && a.port == 7100 && a.ip[15] == 1);
	ck_assert(dkc_addr_parse("[::1]:80", 7100, &a));
	ck_assert(a.family == 6 && a.port == 80);
	ck_assert(dkc_addr_parse("[::1]", 7100, &a));
	ck_assert_uint_eq(a.port, 7100);
	ck_assert(!dkc_addr_parse("localhost", 1, &a));
	ck_assert(!dkc_addr_parse("", 1, &a));
	ck_assert(!dkc_addr_parse("127.0.0.1:0", 1, &a));
	ck_assert(!dkc_addr_parse("127.0.0.1:99999", 1, &a));
	ck_assert(!dkc_addr_parse("[::1", 1, &a));
	ck_assert(!dkc_addr_parse("1.2.3.4.5", 1, &a));
}
END_TEST

START_TEST(urls)
{
	dk_str host, path;
	uint16_t port;
	char buf[64];

	ck_assert(dkc_http_url(dk_str_c("http://127.0.0.1:7000"), &host, &port, &path));
	ck_assert(dk_str_eq(host, dk_str_c("127.0.0.1")) && port == 7000 && dk_str_eq(path, dk_str_c("/")));
	ck_assert(dkc_http_url(dk_str_c("HTTP://[::1]/a/b"), &host, &port, &path));
	ck_assert(dk_str_eq(host, dk_str_c("::1")) && port == 80 && dk_str_eq(path, dk_str_c("/a/b")));
	ck_assert(dkc_http_url(dk_str_c("http://h:1/"), &host, &port, &path));
	ck_assert(!dkc_http_url(dk_str_c("https://h/"), &host, &port, &path));
	ck_assert(!dkc_http_url(dk_str_c("http://"), &host, &port, &path));
	ck_assert(!dkc_http_url(dk_str_c("http://:80"), &host, &port, &path));
	ck_assert(!dkc_http_url(dk_str_c("http://h:0"), &host, &port, &path));
	ck_assert(!dkc_http_url(dk_str_c("http://h:65536"), &host, &port, &path));
	ck_assert(!dkc_http_url(dk_str_c("http://h:8x"), &host, &port, &path));
	ck_assert_uint_eq(dkc_endpoint_path("UDP", "a/b c", buf, sizeof(buf)), strlen("/endpoint/type/UDP/user/a%2Fb%20c"));
	ck_assert_str_eq(buf, "/endpoint/type/UDP/user/a%2Fb%20c");
	ck_assert_uint_eq(dkc_endpoint_path("UDP", "a/b c", buf, 33), 33);
	ck_assert_str_eq(buf, "");
	dkc_endpoint_path("UDP", "a/b c", buf, 34);
	ck_assert_str_eq(buf, "/endpoint/type/UDP/user/a%2Fb%20c");
}
END_TEST

/* ---- HTTP answers ---- */

/* Two answers behind each other, fed in pieces of `step` bytes. */
static void feed(const char *text, size_t step, int status, const char *body)
{
	struct dkc_http h = { 0 };
	size_t n = strlen(text), at = 0;
	int answers = 0;

	while (at < n) {
		size_t k = step < n - at ? step : n - at;
		bool done;
		long used = dkc_http_feed(&h, dk_slice_n(text + at, k), &done);

		ck_assert_int_ge(used, 0);
		at += (size_t)used;
		if (done) {
			answers++;
			ck_assert_int_eq(h.status, status);
			ck_assert_str_eq(h.body_n ? h.body : "", body);
			dkc_http_reset(&h);
		} else {
			ck_assert_uint_eq((size_t)used, k);
		}
	}
	ck_assert_int_eq(answers, 2);
	dkc_http_fini(&h);
}

#define TWICE(x) x x

START_TEST(answers_in_pieces)
{
	size_t step = (size_t)_i;

	feed(TWICE("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 5\r\n\r\nhello"), step, 200, "hello");
	feed(TWICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"), step,
	     200, "hello");
	feed(TWICE("HTTP/1.1 404 Not Found\nContent-Length: 0\n\n"), step, 404, "");
	feed(TWICE("HTTP/1.1 204\r\n\r\n"), step, 204, "");
	feed(TWICE("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"), step, 200, "x");
}
END_TEST

START_TEST(an_answer_until_the_end)
{
	struct dkc_http h = { 0 };
	bool done;

	ck_assert_int_eq(dkc_http_feed(&h, dk_slice_of(dk_str_c("HTTP/1.0 200 OK\r\n\r\nall of it")), &done), 28);
	ck_assert(!done);
	ck_assert(dkc_http_end(&h));
	ck_assert(h.close);
	ck_assert_str_eq(h.body, "all of it");
	dkc_http_reset(&h);
	dkc_http_feed(&h, dk_slice_of(dk_str_c("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")), &done);
	ck_assert(!dkc_http_end(&h));
	dkc_http_fini(&h);
}
END_TEST

static const char *const bad_answers[] = { "HTTP/2 200 OK\r\n",
					   "HTTP/1.1 2x0 OK\r\n",
					   "HTTP/1.1 099 OK\r\n",
					   "HTTP/1.1 2000 OK\r\n",
					   "SSH-2.0-OpenSSH\r\n",
					   "\r\n",
					   "HTTP/1.1 200 OK\r\nno colon\r\n",
					   "HTTP/1.1 200 OK\r\nContent-Length: x\r\n",
					   "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
					   "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n",
					   "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n",
					   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
					   "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
					   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
					   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
					   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
					   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n",
					   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n" };

START_TEST(bad_answer)
{
	static const char filling[65536] = { 'x' };
	struct dkc_http h = { 0 };
	bool done = false;
	long rc = dkc_http_feed(&h, dk_slice_of(dk_str_c(bad_answers[_i])), &done);

	for (int i = 0; i < 3 && rc >= 0 && !done; i++)
		rc = dkc_http_feed(&h, dk_slice_n(filling, sizeof(filling)), &done);
	ck_assert_msg(rc < 0, "%s", bad_answers[_i]);
	dkc_http_fini(&h);
}
END_TEST

START_TEST(an_endless_head)
{
	struct dkc_http h = { 0 };
	bool done;
	long rc = dkc_http_feed(&h, dk_slice_of(dk_str_c("HTTP/1.1 200 OK\r\n")), &done);
	int lines = 0;

	while (rc >= 0 && lines < 100000) {
		rc = dkc_http_feed(&h, dk_slice_of(dk_str_c("X-Header: value\r\n")), &done);
		lines++;
	}
	ck_assert_int_lt(lines, 1000);
	dkc_http_fini(&h);
}
END_TEST

/* ---- rooms ---- */

START_TEST(room_answers)
{
	static const char id[] = "18a01a55ecc07f830a00001e1fa4000000000000000000000000";
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dkc_reply r = { 1, DK_STATUS_OK, 100, { NULL, 0 } };
	struct dk_id52 room;
	uint32_t created;

	dk_wr_u32(&w, 1764084948);
	dk_wr_slice(&w, dk_slice_n(id, 52));
	r.payload = dk_written(&w);
	ck_assert(dkc_room_joined(&r, &room, &created));
	ck_assert_uint_eq(created, 1764084948);
	ck_assert(memcmp(room.c, id, 52) == 0);
	r.payload.n--;
	ck_assert(!dkc_room_joined(&r, &room, &created));
	r.payload.n++;
	buf[10] = 'g';
	ck_assert(!dkc_room_joined(&r, &room, &created));
	buf[10] = 'a';
	r.status = DK_STATUS_BAD;
	ck_assert(!dkc_room_joined(&r, &room, &created));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("endpoint");
	TCase *c = tcase_create("answers");
	SRunner *r;
	int failed;

	tcase_add_test(c, current_form);
	tcase_add_test(c, other_good_forms);
	tcase_add_loop_test(c, bad_forms, 0, (int)DK_ARRAY_LEN(bad));
	tcase_add_test(c, a_long_host);
	tcase_add_test(c, addresses);
	tcase_add_test(c, urls);
	tcase_add_loop_test(c, answers_in_pieces, 1, 70);
	tcase_add_test(c, an_answer_until_the_end);
	tcase_add_loop_test(c, bad_answer, 0, (int)DK_ARRAY_LEN(bad_answers));
	tcase_add_test(c, an_endless_head);
	tcase_add_test(c, room_answers);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
