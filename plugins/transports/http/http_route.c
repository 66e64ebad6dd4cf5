/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting, decoding and matching of paths. Patterns come from plugins and are trusted to be checked once; paths come from
 * anybody. No allocation: decoded text lies in the caller's buffer, which is as long as the target.
 */
#include "http_route.h"

#include <diarkis/util.h>
#include <strings.h>

/* Without the scheme and the host of the absolute form. */
static bool origin_form(dk_str *target)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < DK_ARRAY_LEN(schemes); i++) {
		size_t n = strlen(schemes[i]);
		const char *slash;

		if (target->n <= n || strncasecmp(target->p, schemes[i], n) != 0)
			continue;
		slash = memchr(target->p + n, '/', target->n - n);
		if (!slash)
			return false;
		*target = dk_str_n(slash, target->n - (size_t)(slash - target->p));
		break;
	}
	return target->n && target->p[0] == '/';
}

bool http_path_read(struct http_path *p, dk_str target, char *buf)
{
	char *w = buf, *start;
	size_t i = 1;

	memset(p, 0, sizeof(*p));
	if (!origin_form(&target))
		return false;
	*w++ = '/';
	start = w;
	for (; i <= target.n; i++) {
		char c = i < target.n ? target.p[i] : '?';

		if (c == '/' || c == '?') {
			if (p->seg_n < HTTP_SEGMENTS_MAX)
				p->seg[p->seg_n] = dk_str_n(start, (size_t)(w - start));
			if (p->seg_n <= HTTP_SEGMENTS_MAX)
				p->seg_n++;
			if (c == '?')
				break;
			*w++ = '/';
			start = w;
			continue;
		}
		if (c <= ' ' || c > '~' || c == '#')
			return false;
		if (c == '%') {
			int hi = i + 2 < target.n ? dk_hex_digit(target.p[i + 1]) : -1;
			int lo = hi >= 0 ? dk_hex_digit(target.p[i + 2]) : -1;

			if (lo < 0 || (!hi && !lo))
				return false;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		*w++ = c;
	}
	p->whole = dk_str_n(buf, (size_t)(w - buf));
	if (i < target.n)
		p->query = dk_str_n(target.p + i + 1, target.n - i - 1);
	for (i = 0; i < p->query.n; i++)
		if (p->query.p[i] <= ' ' || p->query.p[i] > '~' || p->query.p[i] == '#')
			return false;
	return true;
}

bool http_pattern_next(const char **at, struct http_piece *ret_piece)
{
	const char *p = *at, *end, *eq;

	if (*p != '/')
		return false;
	p++;
	end = p + strcspn(p, "/");
	*at = end;
	memset(ret_piece, 0, sizeof(*ret_piece));
	ret_piece->text = dk_str_n(p, (size_t)(end - p));
	if (end - p < 2 || p[0] != '{' || end[-1] != '}')
		return true;
	ret_piece->is_param = true;
	p++;
	end--;
	eq = memchr(p, '=', (size_t)(end - p));
	ret_piece->text = dk_str_n(p, (size_t)((eq ? eq : end) - p));
	if (eq)
		ret_piece->example = dk_str_n(eq + 1, (size_t)(end - eq - 1));
	return true;
}

bool http_pattern_valid(const char *pattern)
{
	struct http_piece piece;
	unsigned n = 0;

	while (http_pattern_next(&pattern, &piece)) {
		n++;
		if (piece.is_param ? !piece.text.n
				   : memchr(piece.text.p, '{', piece.text.n) || memchr(piece.text.p, '}', piece.text.n))
			return false;
	}
	return n && n <= HTTP_SEGMENTS_MAX && !*pattern;
}

int http_pattern_compare(const char *a, const char *b)
{
	struct http_piece pa, pb;
	bool more_a, more_b;
	int diff;

	for (;;) {
		more_a = http_pattern_next(&a, &pa);
		more_b = http_pattern_next(&b, &pb);
		if (!more_a || !more_b)
			return more_a - more_b;
		if (pa.is_param != pb.is_param)
			return pa.is_param - pb.is_param;
		if (pa.is_param)
			continue;
		diff = memcmp(pa.text.p, pb.text.p, pa.text.n < pb.text.n ? pa.text.n : pb.text.n);
		if (diff || pa.text.n != pb.text.n)
			return diff ? diff : pa.text.n < pb.text.n ? -1 : 1;
	}
}

bool http_pattern_match(const char *pattern, const struct http_path *path)
{
	struct http_piece piece;
	unsigned i = 0;

	while (http_pattern_next(&pattern, &piece)) {
		if (i == path->seg_n || i == HTTP_SEGMENTS_MAX || (!piece.is_param && !dk_str_eq(piece.text, path->seg[i])))
			return false;
		i++;
	}
	return i == path->seg_n;
}

dk_str http_pattern_param(const char *pattern, const struct http_path *path, const char *name)
{
	struct http_piece piece;

	for (unsigned i = 0; i < path->seg_n && i < HTTP_SEGMENTS_MAX && http_pattern_next(&pattern, &piece); i++)
		if (piece.is_param && dk_str_eq(piece.text, dk_str_c(name)))
			return path->seg[i];
	return dk_str_n(NULL, 0);
}
