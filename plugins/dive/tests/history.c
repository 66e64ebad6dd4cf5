/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char said[256];

static const char *say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	return said;
}

static unsigned long long ms(uint64_t us)
{
	return (unsigned long long)(us / 1000);
}

/* ---- registers ---- */

struct zone {
	int64_t value;
	uint64_t first_end, last_begin; /* of all that wrote or read it */
	uint64_t written; /* when the write began */
	bool read, known, ends; /* ends: it has a time to live */
	uint64_t dropped, over; /* when its deletion had ended, and when its time was over; UINT64_MAX = never */
};

static int by_value(const void *a, const void *b)
{
	const struct zone *x = a, *y = b;

	return (x->value > y->value) - (x->value < y->value);
}

static void widen(struct zone *z, const struct history_op *op)
{
	if (op->ended < z->first_end)
		z->first_end = op->ended;
	if (op->began > z->last_begin)
		z->last_begin = op->began;
}

static bool forward(const struct zone *z)
{
	return z->first_end < z->last_begin;
}

static const char *between(const struct zone *z, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < n; k++) {
			const struct zone *a = &z[i], *b = &z[k];

			if (i == k || !a->known || !b->known || !forward(a))
				continue;
			if (forward(b) && a->first_end < b->last_begin && b->first_end < a->last_begin)
				return say("%lld was there from %llu to %llu ms, and %lld from %llu to %llu", (long long)a->value,
					   ms(a->first_end), ms(a->last_begin), (long long)b->value, ms(b->first_end),
					   ms(b->last_begin));
			if (!forward(b) && a->first_end < b->last_begin && b->first_end < a->last_begin)
				return say("%lld was written between %llu and %llu ms, while %lld was there from %llu to %llu",
					   (long long)b->value, ms(b->last_begin), ms(b->first_end), (long long)a->value,
					   ms(a->first_end), ms(a->last_begin));
		}
	}
	return NULL;
}

const char *history_register(const struct history *h, unsigned key)
{
	struct zone *z = calloc(h->n + 1, sizeof(*z)), *found;
	const char *bad = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < h->n; i++) {
		const struct history_op *op = &h->op[i];

		if (op->key != key || op->kind != H_SET || op->end == H_NOTHING)
			continue;
		z[n] = (struct zone){ .value = op->value, .first_end = UINT64_MAX, .written = op->began };
		z[n].known = op->end == H_DONE; /* else it may never have been */
		widen(&z[n++], op);
	}
	qsort(z, n, sizeof(*z), by_value);
	for (unsigned i = 0; i < h->n && !bad; i++) {
		const struct history_op *op = &h->op[i];
		struct zone want = { .value = op->value };

		if (op->key != key || op->kind != H_GET || op->end != H_DONE)
			continue;
		found = bsearch(&want, z, n, sizeof(*z), by_value);
		if (!found) {
			bad = say("%lld was read, from %llu to %llu ms, and never written", (long long)op->value, ms(op->began),
				  ms(op->ended));
			break;
		}
		if (op->ended < found->written)
			bad = say("%lld was read before it was written", (long long)op->value);
		found->known = true;
		widen(found, op);
	}
	if (!bad)
		bad = between(z, n);
	free(z);
	return bad;
}

/* ---- holders ---- */

static bool is_vague(const struct history_op *op)
{
	return op->end == H_MAYBE || op->end == H_OPEN;
}

/* Where nobody may have deleted it, a value is there until its time is over. */
static void lasts(const struct history *h, struct zone *z, const struct history_op *take)
{
	uint64_t until = take->began + take->ttl_ms * UINT64_C(1000);

	for (unsigned i = 0; i < h->n; i++)
		if (h->op[i].key == take->key && h->op[i].kind == H_DROP && is_vague(&h->op[i]) && h->op[i].began < until)
			return;
	if (z->dropped == UINT64_MAX && until > z->last_begin)
		z->last_begin = until;
}

/* Somebody saw the value, or deleted it. */
static const char *seen(struct zone *z, const struct history_op *op)
{
	if (!z)
		return say("%lld was there, from %llu to %llu ms, and nobody may have put it there", (long long)op->value,
			   ms(op->began), ms(op->ended));
	if (op->ended < z->written)
		return say("%lld was there before it was put there", (long long)op->value);
	if (op->began > z->over)
		return say("%lld was there at %llu ms, and its time was over at %llu", (long long)op->value, ms(op->began),
			   ms(z->over));
	if (op->kind == H_DROP && z->dropped != UINT64_MAX)
		return say("%lld was deleted twice, the second time until %llu ms", (long long)op->value, ms(op->ended));
	if (op->kind == H_DROP)
		z->dropped = op->ended;
	z->known = true;
	widen(z, op);
	return NULL;
}

/* "Nothing is there", "somebody has it". */
static const char *refused(const struct zone *z, unsigned n, const struct history_op *op)
{
	for (unsigned i = 0; i < n; i++) {
		if (op->kind == H_TAKE && z[i].written <= op->ended && z[i].dropped >= op->began && z[i].over >= op->began)
			return NULL;
		if (op->kind != H_TAKE && z[i].known && z[i].first_end < op->began && op->ended < z[i].last_begin)
			return say("nothing was there, from %llu to %llu ms, while %lld was, from %llu to %llu", ms(op->began),
				   ms(op->ended), (long long)z[i].value, ms(z[i].first_end), ms(z[i].last_begin));
	}
	return op->kind == H_TAKE ? say("nobody can have had it from %llu to %llu ms", ms(op->began), ms(op->ended)) : NULL;
}

/* Whatever was put there for ever and is not there now has been deleted. */
static const char *missing(const struct history *h, unsigned key, const struct zone *z, unsigned n)
{
	const struct history_op *last = NULL;
	unsigned vague = 0;

	for (unsigned i = 0; i < h->n; i++) {
		const struct history_op *op = &h->op[i];

		vague += op->key == key && op->kind == H_DROP && is_vague(op);
		if (op->key == key && op->kind == H_WHO && op->end == H_DONE)
			last = op;
	}
	for (unsigned i = 0; i < n; i++) {
		if (!z[i].known || z[i].dropped != UINT64_MAX || z[i].ends)
			continue;
		if (last && !last->refused && last->value == z[i].value)
			continue;
		if (!vague--)
			return say("%lld was put there at %llu ms and is lost", (long long)z[i].value, ms(z[i].written));
	}
	return NULL;
}

const char *history_holder(const struct history *h, unsigned key, uint64_t late_ms)
{
	struct zone *z = calloc(h->n + 1, sizeof(*z)), *found;
	const char *bad = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < h->n; i++) {
		const struct history_op *op = &h->op[i];

		if (op->key != key || op->kind != H_TAKE || op->end == H_NOTHING || op->refused)
			continue;
		z[n] = (struct zone){ .value = op->value, .first_end = UINT64_MAX, .written = op->began, .dropped = UINT64_MAX };
		z[n].known = op->end == H_DONE;
		z[n].ends = op->ttl_ms != 0;
		z[n].over = z[n].ends && z[n].known ? op->ended + (op->ttl_ms + late_ms) * 1000 : UINT64_MAX;
		widen(&z[n++], op);
	}
	qsort(z, n, sizeof(*z), by_value);
	for (unsigned i = 0; i < h->n && !bad; i++) {
		const struct history_op *op = &h->op[i];

		if (op->key != key || op->kind == H_TAKE || op->end != H_DONE || op->refused)
			continue;
		found = bsearch(&(struct zone){ .value = op->value }, z, n, sizeof(*z), by_value);
		bad = seen(found, op);
	}
	for (unsigned i = 0; i < n && !bad; i++)
		if (z[i].last_begin > z[i].dropped)
			bad = say("%lld was there after it was deleted", (long long)z[i].value);
	for (unsigned i = 0; i < h->n && !bad; i++)
		if (h->op[i].key == key && h->op[i].kind == H_TAKE && h->op[i].end == H_DONE && !h->op[i].refused &&
		    h->op[i].ttl_ms)
			lasts(h, bsearch(&(struct zone){ .value = h->op[i].value }, z, n, sizeof(*z), by_value), &h->op[i]);
	for (unsigned i = 0; i < h->n && !bad; i++)
		if (h->op[i].key == key && h->op[i].end == H_DONE && h->op[i].refused)
			bad = refused(z, n, &h->op[i]);
	if (!bad)
		bad = between(z, n);
	if (!bad)
		bad = missing(h, key, z, n);
	free(z);
	return bad;
}

/* ---- counters ---- */

static int by_began(const void *a, const void *b)
{
	const struct history_op *const *x = a, *const *y = b;

	return ((*x)->began > (*y)->began) - ((*x)->began < (*y)->began);
}

static int by_ended(const void *a, const void *b)
{
	const struct history_op *const *x = a, *const *y = b;

	return ((*x)->ended > (*y)->ended) - ((*x)->ended < (*y)->ended);
}

/* Sums never fall: what ended before another one began has the lower sum, or of two reads the same. */
static const char *rising(const struct history_op **ops, const struct history_op **ends, unsigned n)
{
	int64_t most = 0;
	bool counted = false;
	unsigned e = 0;

	qsort(ops, n, sizeof(*ops), by_began);
	memcpy(ends, ops, n * sizeof(*ops));
	qsort(ends, n, sizeof(*ends), by_ended);
	for (unsigned i = 0; i < n; i++) {
		for (; e < n && ends[e]->ended < ops[i]->began; e++)
			most = ends[e]->value > most ? ends[e]->value : most;
		counted = ops[i]->kind == H_INCR;
		if (ops[i]->value < most || (counted && ops[i]->value == most))
			return say("%lld was answered from %llu to %llu ms, after %lld", (long long)ops[i]->value,
				   ms(ops[i]->began), ms(ops[i]->ended), (long long)most);
	}
	return NULL;
}

const char *history_counter(const struct history *h, unsigned key)
{
	const struct history_op **ops = calloc(h->n + 1, sizeof(struct history_op *));
	const struct history_op **ends = calloc(h->n + 1, sizeof(struct history_op *));
	unsigned n = 0, done = 0, maybe = 0;
	bool *met = calloc(h->n + 2, 1);
	const char *bad = NULL;
	int64_t last = 0;

	for (unsigned i = 0; i < h->n; i++) {
		const struct history_op *op = &h->op[i];

		if (op->key != key || (op->kind != H_INCR && op->kind != H_SUM))
			continue;
		maybe += op->kind == H_INCR && (op->end == H_MAYBE || op->end == H_OPEN);
		if (op->end != H_DONE)
			continue;
		done += op->kind == H_INCR;
		ops[n++] = op;
		last = op->value > last ? op->value : last;
	}
	for (unsigned i = 0; i < n && !bad; i++) {
		if (ops[i]->kind != H_INCR)
			continue;
		if (ops[i]->value < 1 || ops[i]->value > (int64_t)h->n)
			bad = say("the sum was %lld once", (long long)ops[i]->value);
		else if (met[ops[i]->value])
			bad = say("the sum was %lld twice, the second time until %llu ms", (long long)ops[i]->value,
				  ms(ops[i]->ended));
		else
			met[ops[i]->value] = true;
	}
	if (!bad && (last < (int64_t)done || last > (int64_t)(done + maybe)))
		bad = say("the sum is %lld, not %u and perhaps %u more", (long long)last, done, maybe);
	if (!bad)
		bad = rising(ops, ends, n);
	free(met);
	free(ends);
	free(ops);
	return bad;
}

/* ---- lists ---- */

struct item {
	int64_t value;
	bool done; /* the push was */
	unsigned out, in; /* how often it was taken out, and is left */
	uint64_t began;
};

static int by_item(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return (x->value > y->value) - (x->value < y->value);
}

static struct item *item_of(struct item *items, unsigned n, int64_t value)
{
	return bsearch(&(struct item){ .value = value }, items, n, sizeof(*items), by_item);
}

const char *history_list(const struct history *h, unsigned key, const int64_t *left, unsigned left_n)
{
	struct item *items = calloc(h->n + 1, sizeof(*items)), *it;
	unsigned n = 0, vague = 0;
	const char *bad = NULL;

	for (unsigned i = 0; i < h->n; i++) {
		const struct history_op *op = &h->op[i];

		if (op->key != key)
			continue;
		if (op->kind == H_PUSH && op->end != H_NOTHING)
			items[n++] = (struct item){ .value = op->value, .done = op->end == H_DONE, .began = op->began };
		vague += op->kind == H_POP && (op->end == H_MAYBE || op->end == H_OPEN) ? 1 : 0;
	}
	qsort(items, n, sizeof(*items), by_item);
	for (unsigned i = 0; i < h->n && !bad; i++) {
		const struct history_op *op = &h->op[i];

		for (unsigned k = 0; op->key == key && op->kind == H_POP && op->end == H_DONE && k < op->popped_n && !bad; k++) {
			it = item_of(items, n, op->popped[k]);
			if (!it || op->ended < it->began)
				bad = say("%lld came out and was not in", (long long)op->popped[k]);
			else if (it->out++)
				bad = say("%lld came out twice, the second time until %llu ms", (long long)op->popped[k],
					  ms(op->ended));
		}
	}
	for (unsigned i = 0; i < left_n && !bad; i++) {
		it = item_of(items, n, left[i]);
		if (!it)
			bad = say("%lld is there and was never put there", (long long)left[i]);
		else if (it->out || it->in++)
			bad = say("%lld is there after it came out, or twice", (long long)left[i]);
	}
	for (unsigned i = 0; i < n && !bad; i++) {
		if (!items[i].done || items[i].in || items[i].out)
			continue;
		if (vague >= 1) /* a pop of which nobody knows took one */
			vague--;
		else
			bad = say("%lld was put there at %llu ms and is lost", (long long)items[i].value, ms(items[i].began));
	}
	free(items);
	return bad;
}
