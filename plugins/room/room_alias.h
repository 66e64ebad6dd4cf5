/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids that rooms had before they moved, and what they are called now. Each is known for ten minutes. Data only.
 */
#ifndef ROOM_ALIAS_H
#define ROOM_ALIAS_H

#include <diarkis/base.h>

#define ROOM_ALIAS_MS (10u * 60 * 1000)
enum { ROOM_ALIAS_BUCKETS = 1024, ROOM_ALIASES_MAX = 65536 };

struct room_aliases {
	void *self;
	struct room_alias *buckets[ROOM_ALIAS_BUCKETS];
	struct room_alias *oldest, **newest; /* in order of their end */
	uint32_t n;
};

void room_alias_init(struct room_aliases *a, void *self);
void room_alias_fini(struct room_aliases *a);
/* For ten minutes from now_ms. An id that is known already gets the new meaning. Beyond ROOM_ALIASES_MAX the oldest is forgotten.
 * Returns 0 or -ENOMEM. */
int room_alias_put(struct room_aliases *a, const struct dk_id52 *old, const struct dk_id52 *now_called, uint64_t now_ms);
/* The last name in the chain of names; false when the id is nobody's old one. */
bool room_alias_get(struct room_aliases *a, const struct dk_id52 *old, uint64_t now_ms, struct dk_id52 *ret_id);

#endif
