/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits to be acknowledged by one other node, oldest first: units with their numbers, in blocks of one size that come from a
 * pool (a longer unit has a block of its own). It has two places, the oldest entry and the first that was not written to the
 * link in its present form; a link that is made anew goes back to the oldest.
 */
#ifndef MESH_QUEUE_H
#define MESH_QUEUE_H

#include <diarkis/mem.h>

struct entry {
	uint32_t n; /* bytes of the unit, which follow */
	bool dead; /* taken back: a unit that says nothing is sent for it */
	bool request; /* and id is its number */
	uint64_t number; /* counts from 1 */
	uint64_t at_ms, deadline_ms, id;
};
static inline uint8_t *entry_bytes(struct entry *e)
{
	return (uint8_t *)(e + 1);
}

struct block;
struct place {
	struct block *b;
	uint32_t off;
};
struct queue {
	void *self;
	struct dk_pool *pool; /* of blocks of QUEUE_BLOCK bytes */
	struct block *last;
	struct place first, unsent;
	uint64_t next; /* number of the next entry; starts at 1 */
	size_t bytes; /* of units in it */
};

#define QUEUE_BLOCK 16384
void queue_init(void *self, struct queue *q, struct dk_pool *pool);
void queue_fini(struct queue *q); /* everything in it is forgotten; numbers go on */
/* Room for a unit of n bytes; NULL = no memory. The entry has its number. */
struct entry *queue_put(struct queue *q, size_t n);
struct entry *queue_first(struct queue *q); /* NULL = empty */
void queue_pop(struct queue *q);
struct entry *queue_unsent(struct queue *q); /* NULL = all was sent */
void queue_sent(struct queue *q); /* the one that queue_unsent() gave */
void queue_rewind(struct queue *q);
/* Walks from a place on: start with q->first or q->unsent; NULL at the end. */
struct entry *queue_next(struct place *at);

#endif
