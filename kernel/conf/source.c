/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a configuration file as its parser gets it: placeholders {$DIARKIS_X} replaced, and in libconfig's language includes
 * pasted and whole numbers made 64 bits wide, because libconfig 1.5 wraps them at 32 in silence. A table says for each line where
 * it was written. Comments are left alone; JSON has none.
 *
 * A placeholder inside a string is escaped, elsewhere it is pasted as it is. Its value has no line break, so line numbers hold.
 */
#include "../kernel.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT ((size_t)4 << 20)
#define INCLUDE_DEPTH_MAX 8

struct place { /* of one line of the text */
	const char *file, *source; /* source: the line as it was written */
	uint32_t line;
	bool replaced; /* a placeholder stood in it: its text may be a secret */
};

static void *grown(struct arena *a, void *p, size_t n, size_t *cap, size_t want, size_t size)
{
	void *to;

	if (n + want <= *cap)
		return p;
	*cap = (n + want) * 2;
	to = arena_take(a, *cap * size);
	if (n)
		memcpy(to, p, n * size);
	return to;
}

static void put(struct source *s, const char *p, size_t n)
{
	s->p = grown(&s->arena, s->p, s->n, &s->cap, n + 1, 1); /* and a NUL */
	memcpy(s->p + s->n, p, n);
	s->n += n;
	s->p[s->n] = '\0';
}

static void begin_line(struct source *s, const char *file, uint32_t line, const char *source)
{
	s->places = grown(&s->arena, s->places, s->place_n, &s->place_cap, 1, sizeof(*s->places));
	s->places[s->place_n++] = (struct place){ .file = file, .line = line, .source = source };
}

struct dk_node source_where(const struct source *s, uint32_t line)
{
	const struct place *at = &s->places[line > s->place_n ? s->place_n - 1 : line ? line - 1 : 0];

	return (struct dk_node){ .file = at->file, .line = at->line };
}

const char *source_line(const struct source *s, uint32_t line, char *buf, size_t size, bool *ret_replaced)
{
	const struct place *at = &s->places[line > s->place_n ? s->place_n - 1 : line ? line - 1 : 0];
	const char *p = at->source + strspn(at->source, " \t");

	snprintf(buf, size, "%.*s", (int)strcspn(p, "\r\n"), p);
	*ret_replaced = at->replaced;
	return buf;
}

static void complain_at(struct source *s, size_t line, const char *fmt, ...) DK_PRINTF(3, 4);
static void complain_at(struct source *s, size_t line, const char *fmt, ...)
{
	struct dk_node at = source_where(s, (uint32_t)line);
	va_list ap;

	va_start(ap, fmt);
	config_complain_v(s->c, &at, NULL, fmt, ap);
	va_end(ap);
	s->bad = true;
}

/* The file's bytes and a NUL, in the arena; NULL: errno says why. */
static char *read_file(struct arena *a, const char *path, size_t *ret_n)
{
	FILE *f = fopen(path, "re");
	size_t n = 0, cap = 0, got = 1;
	char *p = NULL;

	if (!f)
		return NULL;
	while (got && n <= FILE_LIMIT) {
		p = grown(a, p, n, &cap, 4097, 1);
		got = fread(p + n, 1, 4096, f);
		n += got;
	}
	if (ferror(f) || n > FILE_LIMIT) {
		errno = n > FILE_LIMIT ? EFBIG : errno; /* a folder opens, but does not read */
		p = NULL;
	}
	fclose(f);
	*ret_n = n;
	return p;
}

/* ---- tokens; each returns the length of what begins at p, or 0 ---- */

static size_t comment_at(const char *p, const char *end)
{
	const char *q;

	if (*p == '#' || (end - p > 1 && p[0] == '/' && p[1] == '/')) {
		q = memchr(p, '\n', (size_t)(end - p));
	} else if (end - p > 1 && p[0] == '/' && p[1] == '*') {
		q = memmem(p + 2, (size_t)(end - p) - 2, "*/", 2);
		q = q ? q + 2 : NULL;
	} else {
		return 0;
	}
	return (size_t)((q ? q : end) - p);
}

static size_t string_at(const char *p, const char *end)
{
	const char *q = p + 1;

	if (*p != '"')
		return 0;
	while (q < end && *q != '"')
		q += *q == '\\' && end - q > 1 ? 2 : 1;
	return (size_t)(q - p) + (q < end);
}

static size_t name_at(const char *p, const char *end)
{
	const char *q = p;

	if (isalpha((unsigned char)*p) || *p == '*')
		while (q < end && (isalnum((unsigned char)*q) || *q == '-' || *q == '_' || *q == '*'))
			q++;
	return (size_t)(q - p);
}

/* *ret_base: 10 or 16, or 0 when there is a fraction or an exponent. */
static size_t number_at(const char *p, const char *end, int *ret_base)
{
	const char *q = p + ((*p == '-' || *p == '+') && end - p > 1);

	*ret_base = 10;
	if (!isdigit((unsigned char)*q))
		return 0;
	if (end - q > 2 && q[0] == '0' && (q[1] == 'x' || q[1] == 'X') && isxdigit((unsigned char)q[2])) {
		*ret_base = 16;
		for (q += 2; q < end && isxdigit((unsigned char)*q); q++)
			;
		return (size_t)(q - p);
	}
	for (; q < end; q++) {
		bool sign = (*q == '+' || *q == '-') && (q[-1] == 'e' || q[-1] == 'E');

		if (isdigit((unsigned char)*q))
			continue;
		if (*q != '.' && *q != 'e' && *q != 'E' && !sign)
			break;
		*ret_base = 0;
	}
	return (size_t)(q - p);
}

static size_t placeholder_at(const char *p, const char *end)
{
	static const char prefix[] = "{$DIARKIS_";
	size_t n = sizeof(prefix) - 1;

	if ((size_t)(end - p) <= n || memcmp(p, prefix, n) != 0)
		return 0;
	while (p + n < end && (isalnum((unsigned char)p[n]) || p[n] == '_'))
		n++;
	return p + n < end && p[n] == '}' ? n + 1 : 0;
}

/* @include "path": *ret_path is the string with its quotes. */
static size_t include_at(const char *p, const char *end, dk_str *ret_path)
{
	static const char word[] = "@include";
	size_t n = sizeof(word) - 1, len;

	if ((size_t)(end - p) <= n || memcmp(p, word, n) != 0)
		return 0;
	while (p + n < end && (p[n] == ' ' || p[n] == '\t'))
		n++;
	len = p + n < end ? string_at(p + n, end) : 0;
	if (len < 2 || memchr(p + n, '\n', len))
		return 0;
	*ret_path = dk_str_n(p + n, len);
	return n + len;
}

/* ---- the passes ---- */

static void put_value(struct source *s, dk_str placeholder, bool in_string)
{
	const char *name = arena_str(&s->arena, placeholder.p + 2, placeholder.n - 3), *value = kernel_getenv(s->k, name);
	char code[8];

	s->places[s->place_n - 1].replaced = true;
	if (!value) {
		complain_at(s, s->place_n, "the environment variable %s is not set", name);
		return;
	}
	if (strpbrk(value, "\r\n")) {
		complain_at(s, s->place_n, "the environment variable %s holds a line break, which the text here cannot", name);
		return;
	}
	for (; *value; value++) {
		if (in_string && (*value == '"' || *value == '\\'))
			put(s, "\\", 1);
		if (in_string && (unsigned char)*value < 0x20)
			put(s, code, (size_t)snprintf(code, sizeof(code), s->json ? "\\u%04x" : "\\x%02x", *value));
		else
			put(s, value, 1);
	}
}

static void expand(struct source *s, const char *file, const char *p, size_t n, unsigned depth);

static void put_include(struct source *s, const char *file, uint32_t line, dk_str quoted, unsigned depth)
{
	const char *path = arena_str(&s->arena, quoted.p + 1, quoted.n - 2);
	bool pattern = strpbrk(path, "*?[") != NULL;
	glob_t found = { 0 };
	size_t n = 1, size;

	path = source_beside(&s->arena, &(struct dk_node){ .file = file, .line = line }, path);
	if (depth == INCLUDE_DEPTH_MAX) {
		complain_at(s, s->place_n, "@include \"%s\": files include each other more than %d deep", path, INCLUDE_DEPTH_MAX);
		return;
	}
	if (pattern)
		n = glob(path, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
	for (size_t i = 0; i < n; i++) {
		const char *name = pattern ? found.gl_pathv[i] : path, *text;

		name = arena_str(s->keep, name, strlen(name));
		text = read_file(&s->arena, name, &size);
		if (text)
			expand(s, name, text, size, depth + 1);
		else
			complain_at(s, s->place_n, "@include \"%s\" cannot be read: %s", name, strerror(errno));
	}
	if (pattern)
		globfree(&found);
}

/* Placeholders, not those in comments; includes. */
static void expand(struct source *s, const char *file, const char *p, size_t n, unsigned depth)
{
	const char *end = p + n, *source = p;
	bool in_string = false, blank = true; /* blank: nothing but space in this line so far */
	uint32_t line = 1;
	size_t took;
	dk_str path;

	if (s->n)
		put(s, "\n", 1);
	begin_line(s, file, line, source);
	if (memchr(p, '\0', n))
		complain_at(s, s->place_n, "there is a NUL byte in this file; it is no text");
	for (; p < end; p += took) {
		took = placeholder_at(p, end);
		if (took) {
			put_value(s, dk_str_n(p, took), in_string);
			continue;
		}
		took = blank && !in_string && !s->json ? include_at(p, end, &path) : 0;
		if (took) {
			put_include(s, file, line, path, depth);
			put(s, "\n", 1);
			begin_line(s, file, line, source);
			continue;
		}
		took = s->json || in_string ? 0 : comment_at(p, end);
		if (!took)
			took = in_string && *p == '\\' && end - p > 1 ? 2 : 1;
		in_string ^= took == 1 && *p == '"';
		blank = *p == '\n' || (blank && (*p == ' ' || *p == '\t'));
		put(s, p, took);
		for (size_t i = 0; i < took; i++)
			if (p[i] == '\n')
				begin_line(s, file, ++line, source = p + i + 1);
	}
}

/* Every whole number gets the suffix L; all of them, because an array must not mix. */
static void widen(struct source *s)
{
	const char *p = s->p, *end = s->p + s->n;
	size_t took, line = 1;
	int base;

	s->p = NULL;
	s->n = s->cap = 0;
	put(s, "", 0);
	for (; p < end; p += took) {
		if ((took = comment_at(p, end)) || (took = string_at(p, end)) || (took = name_at(p, end)) ||
		    !(took = number_at(p, end, &base)))
			base = 0;
		took = took ? took : 1;
		put(s, p, took);
		for (size_t i = 0; i < took; i++)
			line += p[i] == '\n';
		if (!base)
			continue;
		errno = 0;
		strtoll(arena_str(&s->arena, p, took), NULL, base);
		if (errno)
			complain_at(s, line, "%.*s does not fit into 64 bits", (int)took, p);
		while (p + took < end && p[took] == 'L')
			took++;
		put(s, "L", 1);
	}
}

/* ---- what config.c calls ---- */

const char *source_beside(struct arena *a, const struct dk_node *at, const char *path)
{
	const char *slash = at->file && at->line ? strrchr(at->file, '/') : NULL;

	if (*path == '/' || !*path || !slash)
		return path;
	return arena_printf(a, "%.*s/%s", (int)(slash - at->file), at->file, path);
}

bool source_open(struct source *s, const struct dk_node *at, const char *name, const char *text, size_t n)
{
	size_t len = strlen(name), skip;

	text = text ? arena_str(&s->arena, text, n) : read_file(&s->arena, name, &n);
	if (!text) {
		config_complain(s->c, at, "%s cannot be read: %s", name, strerror(errno));
		return false;
	}
	if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) { /* a byte order mark, as some editors leave it */
		text += 3;
		n -= 3;
	}
	for (skip = 0; skip < n && isspace((unsigned char)text[skip]); skip++)
		;
	s->json = (len > 5 && !strcmp(name + len - 5, ".json")) ||
		  (skip < n && text[skip] == '{' && !placeholder_at(text + skip, text + n));
	put(s, "", 0);
	expand(s, name, text, n, 0);
	if (!s->json)
		widen(s);
	return !s->bad;
}

void source_close(struct source *s)
{
	arena_free(&s->arena);
}
