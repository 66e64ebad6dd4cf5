/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths and patterns. Pure. A path is split before it is percent-decoded, so an encoded slash stays inside its segment, and
 * decoded once.
 */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <diarkis/base.h>

#define HTTP_SEGMENTS_MAX 16

struct http_path {
	dk_str whole; /* decoded */
	dk_str query; /* as sent, without the question mark */
	dk_str seg[HTTP_SEGMENTS_MAX]; /* decoded; "/" is one empty segment */
	unsigned seg_n; /* HTTP_SEGMENTS_MAX + 1: too many for any route */
};

/*
 * target: as it stood in the request line, in origin form (/a?b) or absolute form (http://host/a). buf: target.n bytes that
 * the path's texts will lie in. False: neither form, bytes that have no place in a target, or wrong or zero percent codes.
 */
bool http_path_read(struct http_path *p, dk_str target, char *buf);

/* A pattern's next segment: "{uid=alice}" is name "uid", example "alice". Starts with *at = pattern; false at the end. */
struct http_piece {
	dk_str text; /* a literal segment, or the name in braces */
	dk_str example;
	bool is_param;
};
bool http_pattern_next(const char **at, struct http_piece *ret_piece);
/* Starts with a slash, braces are whole segments, at most HTTP_SEGMENTS_MAX of them, names not empty. */
bool http_pattern_valid(const char *pattern);
/* < 0 when a is to be tried before b: literal segments come before names. 0: both match exactly the same paths. */
int http_pattern_compare(const char *a, const char *b);
bool http_pattern_match(const char *pattern, const struct http_path *path);
/* What a name took of a path that matches. */
dk_str http_pattern_param(const char *pattern, const struct http_path *path, const char *name);

#endif
