/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree that a configuration is once it has been read, whatever its files were written in, and the arena it lives in. Every node
 * knows where it was written. Nodes are never freed one by one; a merged tree shares nodes with the trees it was made of.
 *
 * It does not read files (config.c) and knows no option (options.c).
 */
#include "../kernel.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- arena ---- */

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	max_align_t mem[];
};

void *arena_try(struct arena *a, size_t n)
{
	struct arena_chunk *c = a->chunks;
	void *p;

	n = (n + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	if (!c || c->size - c->used < n) {
		size_t size = n > 4096 ? n : 4096;

		c = calloc(1, sizeof(*c) + size);
		if (!c)
			return NULL;
		c->size = size;
		c->next = a->chunks;
		a->chunks = c;
	}
	p = (char *)c->mem + c->used;
	c->used += n;
	return p;
}

void *arena_take(struct arena *a, size_t n)
{
	void *p = arena_try(a, n);

	if (!p) {
		fprintf(stderr, "diarkis: no memory for the configuration (%zu bytes)\n", n);
		abort();
	}
	return p;
}

char *arena_str(struct arena *a, const char *p, size_t n)
{
	char *s = arena_take(a, n + 1);

	if (n)
		memcpy(s, p, n);
	return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	s = arena_take(a, (size_t)(n < 0 ? 0 : n) + 1);
	va_start(ap, fmt);
	vsnprintf(s, (size_t)(n < 0 ? 0 : n) + 1, fmt, ap);
	va_end(ap);
	return s;
}

void arena_free(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *c = a->chunks;

		a->chunks = c->next;
		free(c);
	}
}

/* ---- making trees ---- */

static bool has_children(const struct dk_node *n)
{
	return n && (n->type == DK_NODE_MAP || n->type == DK_NODE_LIST);
}

struct dk_node *node_new(struct arena *a, enum dk_node_type type, const char *file, uint32_t line)
{
	struct dk_node *n = arena_take(a, sizeof(*n));

	n->type = (uint8_t)type;
	n->file = file;
	n->line = line;
	return n;
}

void node_put(struct arena *a, struct dk_node *into, const char *key, struct dk_node *n)
{
	n->key = key;
	for (uint32_t i = 0; key && i < into->n; i++)
		if (!strcmp(into->v.at[i]->key, key)) {
			into->v.at[i] = n;
			return;
		}
	if (into->n == into->cap) {
		struct dk_node **at = arena_take(a, (into->cap ? into->cap * 2 : 4) * sizeof(struct dk_node *));

		if (into->n)
			memcpy(at, into->v.at, into->n * sizeof(struct dk_node *));
		into->v.at = at;
		into->cap = into->cap ? into->cap * 2 : 4;
	}
	into->v.at[into->n++] = n;
}

void node_merge(struct arena *a, struct dk_node *into, const struct dk_node *from)
{
	for (uint32_t i = 0; i < from->n; i++) {
		struct dk_node *n = from->v.at[i], *old = (struct dk_node *)(uintptr_t)dk_node_get(into, n->key);

		if (old && old->type == DK_NODE_MAP && n->type == DK_NODE_MAP)
			node_merge(a, old, n);
		else
			node_put(a, into, n->key, n);
	}
}

struct dk_node *node_copy(struct arena *a, const struct dk_node *n)
{
	struct dk_node *to = node_new(a, n->type, n->file ? arena_str(a, n->file, strlen(n->file)) : NULL, n->line);

	if (n->type == DK_NODE_STR)
		to->v.s = arena_str(a, n->v.s, strlen(n->v.s));
	else if (!has_children(n))
		to->v = n->v;
	for (size_t i = 0; i < dk_node_count(n); i++) {
		const char *key = n->v.at[i]->key;

		node_put(a, to, key ? arena_str(a, key, strlen(key)) : NULL, node_copy(a, n->v.at[i]));
	}
	return to;
}

/* The order of a map's keys counts: it is the order that a reader of the tree sees. */
bool node_equal(const struct dk_node *a, const struct dk_node *b)
{
	if (!a || !b || a->type != b->type || a->n != b->n)
		return a == b;
	switch (a->type) {
	case DK_NODE_BOOL:
		return a->v.b == b->v.b;
	case DK_NODE_INT:
		return a->v.i == b->v.i;
	case DK_NODE_F64:
		return memcmp(&a->v.f, &b->v.f, sizeof(a->v.f)) == 0;
	case DK_NODE_STR:
		return !strcmp(a->v.s, b->v.s);
	}
	for (uint32_t i = 0; i < a->n; i++)
		if ((a->v.at[i]->key && strcmp(a->v.at[i]->key, b->v.at[i]->key)) || !node_equal(a->v.at[i], b->v.at[i]))
			return false;
	return true;
}

/* ---- values ---- */

bool node_to_int(const struct dk_node *n, int64_t *ret_i)
{
	char *end;
	long long v;

	switch (dk_node_type(n)) {
	case DK_NODE_INT:
		*ret_i = n->v.i;
		return true;
	case DK_NODE_F64: /* 1e3 is a whole number; from 2^53 on it may have been meant as another one */
		if (!(n->v.f > -0x1p53 && n->v.f < 0x1p53) || (double)(int64_t)n->v.f != n->v.f)
			return false;
		*ret_i = (int64_t)n->v.f;
		return true;
	case DK_NODE_STR:
		errno = 0;
		v = strtoll(n->v.s, &end, 10);
		if (end == n->v.s || *end || errno || isspace((unsigned char)*n->v.s))
			return false;
		*ret_i = v;
		return true;
	default:
		return false;
	}
}

bool node_to_bool(const struct dk_node *n, bool *ret_b)
{
	if (dk_node_type(n) == DK_NODE_BOOL)
		*ret_b = n->v.b;
	else if (dk_node_type(n) == DK_NODE_STR && (!strcasecmp(n->v.s, "true") || !strcasecmp(n->v.s, "false")))
		*ret_b = !strcasecmp(n->v.s, "true");
	else
		return false;
	return true;
}

bool node_to_f64(const struct dk_node *n, double *ret_f)
{
	char *end;
	double v;

	switch (dk_node_type(n)) {
	case DK_NODE_INT:
		*ret_f = (double)n->v.i;
		return true;
	case DK_NODE_F64:
		v = n->v.f;
		break;
	case DK_NODE_STR:
		v = strtod(n->v.s, &end);
		if (end == n->v.s || *end || isspace((unsigned char)*n->v.s))
			return false;
		break;
	default:
		return false;
	}
	if (!isfinite(v))
		return false;
	*ret_f = v;
	return true;
}

const char *node_origin(const struct dk_node *n, char *buf, size_t size)
{
	if (n->line)
		snprintf(buf, size, "%s:%u", n->file, n->line);
	else
		snprintf(buf, size, "%s", n->file);
	return buf;
}

const char *node_text(const struct dk_node *n, char *buf, size_t size)
{
	switch (dk_node_type(n)) {
	case DK_NODE_NULL:
		snprintf(buf, size, "null");
		break;
	case DK_NODE_BOOL:
		snprintf(buf, size, "%s", n->v.b ? "true" : "false");
		break;
	case DK_NODE_INT:
		snprintf(buf, size, "%lld", (long long)n->v.i);
		break;
	case DK_NODE_F64:
		snprintf(buf, size, "%.15g", n->v.f);
		break;
	case DK_NODE_STR:
		snprintf(buf, size, "\"%s\"", n->v.s);
		break;
	case DK_NODE_LIST:
		snprintf(buf, size, "a list of %u", n->n);
		break;
	case DK_NODE_MAP:
		snprintf(buf, size, "a group of %u", n->n);
		break;
	}
	return buf;
}

/* ---- what plugins see ---- */

enum dk_node_type dk_node_type(const struct dk_node *n)
{
	return n ? (enum dk_node_type)n->type : DK_NODE_NULL;
}

size_t dk_node_count(const struct dk_node *n)
{
	return has_children(n) ? n->n : 0;
}

const struct dk_node *dk_node_at(const struct dk_node *n, size_t i)
{
	return i < dk_node_count(n) ? n->v.at[i] : NULL;
}

const char *dk_node_key(const struct dk_node *n, size_t i)
{
	return i < dk_node_count(n) ? n->v.at[i]->key : NULL;
}

const struct dk_node *dk_node_get(const struct dk_node *n, const char *key)
{
	for (size_t i = 0; dk_node_type(n) == DK_NODE_MAP && i < n->n; i++)
		if (!strcmp(n->v.at[i]->key, key))
			return n->v.at[i];
	return NULL;
}

int64_t dk_node_int(const struct dk_node *n, int64_t otherwise)
{
	node_to_int(n, &otherwise);
	return otherwise;
}

bool dk_node_bool(const struct dk_node *n, bool otherwise)
{
	node_to_bool(n, &otherwise);
	return otherwise;
}

double dk_node_f64(const struct dk_node *n, double otherwise)
{
	node_to_f64(n, &otherwise);
	return otherwise;
}

const char *dk_node_str(const struct dk_node *n, const char *otherwise)
{
	return dk_node_type(n) == DK_NODE_STR ? n->v.s : otherwise;
}
