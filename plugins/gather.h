/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to many that wait for a tick: lists, one per version, command and reliability, each no longer than what leaves in one
 * datagram. For the plugins room and group, which push the lists and own the ticks.
 *
 * Reliable messages keep their order across commands: only the newest list grows, and only by messages of its own kind. Memory is
 * bounded: what has gathered too much says so, and is flushed early.
 */
#ifndef PLUGINS_GATHER_H
#define PLUGINS_GATHER_H

#include <diarkis/cursor.h>
#include <diarkis/mem.h>

enum { GATHER_LIST_MAX = 1100 }; /* fits a sealed datagram of 1,200 bytes with frame and padding */

enum gather_outcome {
	GATHER_FULL = 16, /* flush, then again */
	GATHER_ALONE /* too long for a list, or no memory: it leaves by itself, after what waits */
};

/* A list of {u32 length, bytes}. */
struct gather_list {
	struct gather_list *next; /* older while it waits, newer once taken */
	uint16_t cmd, n;
	uint8_t ver;
	bool reliable;
	uint8_t bytes[GATHER_LIST_MAX];
};

/* What waits in one room or group. Zeroed = nothing. */
struct gather {
	struct gather_list *newest;
	uint32_t n;
};

void gather_pool_init(void *self, struct dk_pool *lists, const char *what);

/* Returns 0 or enum gather_outcome. */
int gather_add(struct dk_pool *lists, struct gather *g, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable);
/* All of them, oldest first; NULL = none. The caller gives each back to the pool. */
struct gather_list *gather_take(struct gather *g);
static inline dk_slice gather_bytes(const struct gather_list *l)
{
	return dk_slice_n(l->bytes, l->n);
}

/* When something that ticks every interval_ms, in a phase of its own, ticks next: from now, in ms. */
static inline uint32_t gather_due(uint64_t now_ms, uint32_t slot, uint32_t interval_ms)
{
	uint32_t phase = slot % interval_ms, now = (uint32_t)(now_ms % interval_ms);

	return phase > now ? phase - now : phase + interval_ms - now;
}

/* An interval as somebody asked for it: below 10 ms (as in the reference: below 100) it is 0; a second at most. */
static inline uint32_t gather_interval(uint32_t ms, bool compat)
{
	if (ms < (compat ? 100 : 10))
		return 0;
	return ms > 1000 ? 1000 : ms;
}

#endif
