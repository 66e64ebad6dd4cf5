/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer wheel: eleven levels of 64 slots over dk_timer, ticks of 1 ms, the whole of 64 bits. A timer sits at the level
 * of the highest group of six bits in which its time differs from the wheel's, in the slot of that group. So level 0 holds
 * exact times, and whatever sits at a lower level is due before anything at a higher one: one bitmap per level finds the
 * next slot without walking empty ones. When time reaches a slot of a higher level its timers move down; a timer moves at
 * most once per level. Arming and stopping are O(1) and touch nothing but the neighbours.
 *
 * Timers of one millisecond come out in no particular order, the same in every run. The wheel owns no timer.
 */
#include <stdlib.h>

#include "../env.h"

enum { LEVELS = 11, SLOTS = 64, BITS = 6 };

struct wheel {
	uint64_t now_ms; /* everything due until then is in ready */
	struct dk_timer *ready; /* due, not handed out yet */
	uint32_t levels; /* bit per level that holds something */
	uint64_t busy[LEVELS]; /* bit per slot that holds something */
	struct dk_timer *slot[LEVELS][SLOTS];
};

static void list_push(struct dk_timer **head, struct dk_timer *t)
{
	t->next = *head;
	if (t->next)
		t->next->link = &t->next;
	t->link = head;
	*head = t;
}

static void list_take(struct dk_timer *t)
{
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	t->next = NULL;
	t->link = NULL;
}

static void slot_emptied(struct wheel *w, unsigned level, unsigned slot)
{
	w->busy[level] &= ~(1ULL << slot);
	if (!w->busy[level])
		w->levels &= ~(1U << level);
}

struct wheel *wheel_new(uint64_t now_ms)
{
	struct wheel *w = calloc(1, sizeof(*w));

	if (w)
		w->now_ms = now_ms;
	return w;
}

void wheel_free(struct wheel *w)
{
	free(w);
}

void wheel_add(struct wheel *w, struct dk_timer *t)
{
	unsigned level, slot;

	if (t->due_ms <= w->now_ms) {
		list_push(&w->ready, t);
		return;
	}
	level = (63 - (unsigned)__builtin_clzll(t->due_ms ^ w->now_ms)) / BITS;
	slot = (t->due_ms >> (level * BITS)) & (SLOTS - 1);
	list_push(&w->slot[level][slot], t);
	w->busy[level] |= 1ULL << slot;
	w->levels |= 1U << level;
}

void wheel_remove(struct wheel *w, struct dk_timer *t)
{
	const uintptr_t link = (uintptr_t)t->link, first = (uintptr_t)w->slot;
	bool alone = !t->next && link >= first && link < first + sizeof(w->slot);

	list_take(t);
	if (alone) {
		size_t i = (link - first) / sizeof(w->slot[0][0]);

		slot_emptied(w, (unsigned)(i / SLOTS), (unsigned)(i % SLOTS));
	}
}

/* The next slot that holds something, and when it begins. */
static uint64_t next_slot(const struct wheel *w, unsigned *ret_level, unsigned *ret_slot)
{
	unsigned level, slot, shift;
	uint64_t above;

	if (!w->levels)
		return UINT64_MAX;
	level = (unsigned)__builtin_ctz(w->levels);
	slot = (unsigned)__builtin_ctzll(w->busy[level]);
	shift = level * BITS;
	above = shift + BITS < 64 ? w->now_ms >> (shift + BITS) << (shift + BITS) : 0;
	*ret_level = level;
	*ret_slot = slot;
	return above | (uint64_t)slot << shift;
}

uint64_t wheel_next(const struct wheel *w)
{
	unsigned level, slot;

	return w->ready ? w->now_ms : next_slot(w, &level, &slot);
}

struct dk_timer *wheel_pop(struct wheel *w, uint64_t now_ms)
{
	struct dk_timer *t;
	unsigned level, slot;

	while (!w->ready) {
		uint64_t at = next_slot(w, &level, &slot);

		if (at > now_ms || at == UINT64_MAX) {
			if (w->now_ms < now_ms)
				w->now_ms = now_ms;
			return NULL;
		}
		w->now_ms = at;
		t = w->slot[level][slot];
		w->slot[level][slot] = NULL;
		slot_emptied(w, level, slot);
		while (t) {
			struct dk_timer *next = t->next;

			wheel_add(w, t); /* to ready or to a lower level */
			t = next;
		}
	}
	t = w->ready;
	list_take(t);
	return t;
}

static size_t purge(struct wheel *w, struct dk_timer *t, const void *self)
{
	size_t n = 0;

	while (t) {
		struct dk_timer *next = t->next;

		if (t->self == self) {
			wheel_remove(w, t);
			n++;
		}
		t = next;
	}
	return n;
}

size_t wheel_purge(struct wheel *w, const void *self)
{
	size_t n = purge(w, w->ready, self);

	for (unsigned level = 0; level < LEVELS; level++)
		for (uint64_t busy = w->busy[level]; busy; busy &= busy - 1)
			n += purge(w, w->slot[level][__builtin_ctzll(busy)], self);
	return n;
}
