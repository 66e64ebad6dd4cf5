/* SPDX-License-Identifier: Apache-2.0 */
/* See answer.h. Names and the words of HTTP are compared without regard to case; JSON is not understood, only looked through. */
#include "answer.h"

#include <strings.h>

#define NUMBER_MAX (1 << 24) /* more than any answer has bytes */

static dk_str find(dk_str in, const char *what)
{
	size_t n = strlen(what);

	for (; in.n >= n; in = dk_str_n(in.p + 1, in.n - 1))
		if (!strncasecmp(in.p, what, n))
			return in;
	return dk_str_n(NULL, 0);
}

static dk_str skip(dk_str s, size_t n)
{
	return dk_str_n(s.p + n, s.n - n);
}

dk_str answer_trimmed(dk_str s)
{
	while (s.n && (unsigned char)s.p[0] <= ' ')
		s = skip(s, 1);
	while (s.n && (unsigned char)s.p[s.n - 1] <= ' ')
		s.n--;
	return s;
}

dk_str answer_json_text(dk_str in, const char *key)
{
	size_t n = strlen(key);

	for (in = find(in, key); in.n; in = find(skip(in, n), key)) {
		dk_str s = answer_trimmed(skip(in, n));

		if (s.n < 2 || s.p[0] != '"')
			continue;
		s = answer_trimmed(skip(s, 1));
		if (!s.n || s.p[0] != ':') /* a text, not a key */
			continue;
		s = answer_trimmed(skip(s, 1));
		if (s.n && s.p[0] == '[')
			s = answer_trimmed(skip(s, 1));
		if (!s.n || s.p[0] != '"')
			continue;
		s = skip(s, 1);
		n = 0;
		while (n < s.n && s.p[n] != '"')
			n++;
		return n < s.n ? dk_str_n(s.p, n) : dk_str_n(NULL, 0);
	}
	return dk_str_n(NULL, 0);
}

/* The number at the start of a text, beyond everything where it is none. */
static size_t number(dk_str s, unsigned base)
{
	static const char digits[] = "0123456789abcdef";
	size_t v = 0, i = 0;
	const char *d;

	s = answer_trimmed(s);
	for (; i < s.n && s.p[i] && (d = strchr(digits, s.p[i] | 0x20)) && (unsigned)(d - digits) < base; i++)
		v = v > NUMBER_MAX ? SIZE_MAX / 2 : v * base + (size_t)(d - digits);
	return i ? v : SIZE_MAX;
}

/* The bytes of chunks, put together where they lie; false when the last one is missing. */
static bool dechunk(char *p, size_t *n)
{
	size_t used = 0, out = 0, size;
	dk_str line_end;

	for (;;) {
		line_end = find(dk_str_n(p + used, *n - used), "\r\n");
		if (!line_end.n)
			return false;
		size = number(dk_str_n(p + used, (size_t)(line_end.p - p) - used), 16);
		used = (size_t)(line_end.p - p) + 2;
		if (size > *n - used)
			return false;
		if (!size)
			break;
		memmove(p + out, p + used, size);
		out += size;
		used += size;
		if (*n - used < 2)
			return false;
		used += 2;
	}
	*n = out;
	return true;
}

bool answer_read(const char *bytes, size_t n, struct answer *ret_answer)
{
	dk_str all = dk_str_n(bytes, n), end = find(all, "\r\n\r\n"), head, length;
	size_t status;

	if (!end.n)
		return false;
	head = dk_str_n(bytes, (size_t)(end.p - bytes) + 2);
	length = find(head, "\r\nContent-Length:");
	status = head.n < 12 || strncasecmp(head.p, "HTTP/1.", 7) ? 0 : number(dk_str_n(head.p + 9, 3), 10);
	ret_answer->status = status > 999 ? 0 : (unsigned)status;
	ret_answer->chunked = find(head, "\r\nTransfer-Encoding: chunked").n;
	ret_answer->length = length.n ? number(skip(length, 17), 10) : SIZE_MAX;
	ret_answer->body_at = head.n + 2;
	ret_answer->body_n = n - ret_answer->body_at;
	return true;
}

bool answer_body(char *bytes, const struct answer *a, dk_str *ret_body)
{
	size_t n = a->body_n;

	if (a->chunked ? !dechunk(bytes + a->body_at, &n) : a->length != SIZE_MAX && a->length > n)
		return false;
	if (!a->chunked && a->length < n)
		n = a->length;
	*ret_body = dk_str_n(bytes + a->body_at, n);
	return true;
}
