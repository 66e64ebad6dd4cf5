/* SPDX-License-Identifier: Apache-2.0 */
/* See mesh_queue.h. */
#include "mesh_queue.h"

struct block {
	struct block *next;
	uint32_t cap, used;
	_Alignas(16) uint8_t bytes[];
};

static size_t entry_size(size_t n)
{
	return (sizeof(struct entry) + n + 15) & ~(size_t)15;
}

static struct block *block_new(struct queue *q, size_t need)
{
	struct block *b;
	size_t cap = QUEUE_BLOCK - sizeof(*b);

	if (need <= cap) {
		b = dk_pool_get(q->pool);
	} else {
		cap = need;
		b = dk_alloc(q->self, sizeof(*b) + cap);
	}
	if (!b)
		return NULL;
	b->next = NULL;
	b->cap = (uint32_t)cap;
	b->used = 0;
	return b;
}

static void block_free(struct queue *q, struct block *b)
{
	if (b->cap == QUEUE_BLOCK - sizeof(*b))
		dk_pool_put(q->pool, b);
	else
		dk_free(q->self, b, sizeof(*b) + b->cap);
}

/* A place at the end of its block is one at the beginning of the next. */
static void settle(struct place *at)
{
	while (at->b && at->off == at->b->used && at->b->next) {
		at->b = at->b->next;
		at->off = 0;
	}
}

static struct entry *entry_at(struct place *at)
{
	settle(at);
	return at->b && at->off < at->b->used ? (struct entry *)(void *)(at->b->bytes + at->off) : NULL;
}

void queue_init(void *self, struct queue *q, struct dk_pool *pool)
{
	*q = (struct queue){ .self = self, .pool = pool, .next = 1 };
}

void queue_fini(struct queue *q)
{
	struct block *b = q->first.b;

	while (b) {
		struct block *next = b->next;

		block_free(q, b);
		b = next;
	}
	q->last = NULL;
	q->first = q->unsent = (struct place){ NULL, 0 };
	q->bytes = 0;
}

struct entry *queue_put(struct queue *q, size_t n)
{
	size_t need = entry_size(n);
	struct entry *e;

	if (!q->last || q->last->cap - q->last->used < need) {
		struct block *b = block_new(q, need);

		if (!b)
			return NULL;
		if (q->last && !q->last->used) { /* the one that was kept, and is too short */
			block_free(q, q->last);
			q->last = NULL;
		}
		if (q->last)
			q->last->next = b;
		else
			q->first = q->unsent = (struct place){ b, 0 };
		q->last = b;
	}
	e = (struct entry *)(void *)(q->last->bytes + q->last->used);
	q->last->used += (uint32_t)need;
	q->bytes += n;
	*e = (struct entry){ .n = (uint32_t)n, .number = q->next++ };
	return e;
}

struct entry *queue_first(struct queue *q)
{
	return entry_at(&q->first);
}

void queue_pop(struct queue *q)
{
	struct entry *e = queue_first(q);
	struct block *b = q->first.b;

	if (!e)
		return;
	settle(&q->unsent);
	q->bytes -= e->n;
	if (q->unsent.b == b && q->unsent.off == q->first.off)
		q->unsent.off += (uint32_t)entry_size(e->n);
	q->first.off += (uint32_t)entry_size(e->n);
	if (q->first.off < b->used)
		return;
	if (!b->next &&
	    b->cap == QUEUE_BLOCK - sizeof(*b)) { /* the last of them is kept: a quiet link takes nothing from the pool */
		b->used = 0;
		q->first = q->unsent = (struct place){ b, 0 };
		return;
	}
	settle(&q->unsent);
	q->first = (struct place){ b->next, 0 };
	if (!b->next) {
		q->last = NULL;
		q->unsent = q->first;
	}
	block_free(q, b);
}

struct entry *queue_unsent(struct queue *q)
{
	return entry_at(&q->unsent);
}

void queue_sent(struct queue *q)
{
	struct entry *e = queue_unsent(q);

	if (e)
		q->unsent.off += (uint32_t)entry_size(e->n);
}

void queue_rewind(struct queue *q)
{
	q->unsent = q->first;
}

struct entry *queue_next(struct place *at)
{
	struct entry *e = entry_at(at);

	if (e)
		at->off += (uint32_t)entry_size(e->n);
	return e;
}
