/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/1.x request out of bytes that nobody vouches for. Pure: no sockets, no clock, no allocation, no kernel.
 *
 *   scan    finds the end of the head and refuses what parsers are known to disagree about, before a parser sees it
 *   parse   llhttp over the whole head, then the rules that llhttp leaves to its user
 *   body    what follows, by length or in chunks; chunks are put together in place
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <diarkis/base.h>
#include <llhttp.h>

#define HTTP_HEAD_MAX 8192 /* bytes, from the first of the request line to the empty line */
#define HTTP_FIELDS_MAX 64
#define HTTP_BODY_MAX 65536

/* Why a request is refused: name of the counter, status, sentence for the client. */
#define HTTP_REFUSALS(X)                                                                                                           \
	X(control, 400, "the request head holds a control character; only text, tabs and CR LF may stand there")                   \
	X(bare_cr, 400, "a line of the request head holds a CR without LF; lines end with CR LF")                                  \
	X(bare_lf, 400, "a line of the request head ends with LF alone; lines end with CR LF")                                     \
	X(folded, 400, "a line of the request head starts with a blank; folded header lines are not accepted")                     \
	X(head_long, 431, "the request head is longer than 8192 bytes")                                                            \
	X(fields, 431, "the request has more than 64 header lines")                                                                \
	X(syntax, 400, "the request is not well-formed HTTP/1.1")                                                                  \
	X(version, 505, "this server speaks HTTP/1.0 and HTTP/1.1")                                                                \
	X(host, 400, "an HTTP/1.1 request needs exactly one Host header")                                                          \
	X(length, 400, "the length of the body is not clear; send one Content-Length, or Transfer-Encoding: chunked")              \
	X(expect, 417, "of all expectations only 100-continue is met here")                                                        \
	X(target, 400, "the request target is not a path like /healthcheck, or is not well percent-encoded")                       \
	X(body_long, 413, "the body is longer than 65536 bytes")                                                                   \
	X(chunks, 400, "the chunks of the body are not well-formed; chunk extensions and trailers are not accepted")

enum http_verdict {
	HTTP_DONE = 0,
	HTTP_MORE = 1, /* what is there is fine, the rest must come */
	HTTP_REFUSED_FIRST = 15,
#define X(name, status, text) HTTP_BAD_##name,
	HTTP_REFUSALS(X)
#undef X
		HTTP_REFUSED_END
};

int http_verdict_status(enum http_verdict v);
const char *http_verdict_text(enum http_verdict v); /* static */

/* How far the scan got. Zeroed = at the start of a request. */
struct http_scan {
	uint16_t at, line; /* next byte to look at; where its line began */
};

/* p: the request as far as it came, the same bytes and more at each call. HTTP_DONE: the head is *ret_len bytes long. */
enum http_verdict http_head_scan(struct http_scan *scan, const uint8_t *p, size_t n, size_t *ret_len);

struct http_span {
	uint16_t at, n; /* offset from the head's first byte */
};

struct http_head {
	llhttp_t parser;
	const uint8_t *base; /* the head while the parser runs */
	struct http_span target, name[HTTP_FIELDS_MAX], value[HTTP_FIELDS_MAX];
	uint16_t field_n;
	uint8_t hosts, encodings, expects, minor;
	bool in_value, chunked, keep_alive, wants_continue, complete;
	enum http_verdict why;
	uint64_t length; /* Content-Length, 0 without one */
	uint8_t *body; /* while http_body() runs: where the next decoded byte goes */
	size_t body_n;
};

/*
 * p: a head that the scan found whole. HTTP_DONE: h describes it; h->complete tells that no body follows. HTTP_DONE is the only
 * result after which h may be looked at or fed a body. h must not be moved before its request is done with.
 */
enum http_verdict http_head_parse(struct http_head *h, const uint8_t *p, size_t n);
/* Static. "GET" */
const char *http_head_method(const struct http_head *h);
/* The value of the first field of that name, name without regard to case; p NULL = absent. head: the bytes that were parsed. */
dk_str http_head_field(const struct http_head *h, const uint8_t *head, const char *name);

/*
 * Continues the body with n bytes at p. Decoded bytes go to `to` (to <= p, they may overlap). HTTP_DONE: the body is
 * h->body_n bytes long, and *ret_used of the n bytes belonged to it. HTTP_MORE: all n were used. *ret_to: decoded bytes
 * this time. Both are written on HTTP_DONE and HTTP_MORE only.
 */
enum http_verdict http_body(struct http_head *h, uint8_t *to, const uint8_t *p, size_t n, size_t *ret_to, size_t *ret_used);

#endif
