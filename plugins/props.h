/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed values by name: what the plugins user and room keep as properties, and the inside of a capsule. Compiled into all three.
 * Limits are the caller's, because a game may store what its players say.
 */
#ifndef PLUGINS_PROPS_H
#define PLUGINS_PROPS_H

#include <diarkis/packed.h>

#define PROPS_NAME_MAX 255

/* Zeroed = empty. */
struct props {
	struct prop *first; /* in order of their first set */
	uint32_t n, bytes; /* of names and values together */
};
struct props_limits {
	uint32_t n, bytes;
};

/* Returns 0, DK_FULL, -EINVAL (a name of 0 or more than 255 bytes, no type, a
 * capsule or array that is none) or -ENOMEM. */
int props_set(void *self, struct props *ps, const struct props_limits *most, dk_str name, const struct dk_value *value);
/* Adds to a DK_V_INT; one that is not there begins at 0. Returns 0, DK_FULL, DK_REFUSED (is of another type, or the sum
 * would not fit), -EINVAL or -ENOMEM. */
int props_incr(void *self, struct props *ps, const struct props_limits *most, dk_str name, int64_t delta, int64_t *ret_value);
int props_get(const struct props *ps, dk_str name, struct dk_value *ret_value); /* 0 or DK_NOT_FOUND */
int props_unset(void *self, struct props *ps, dk_str name); /* 0 or DK_NOT_FOUND */
/* One after another: *at NULL starts; false at the end. Not across a set or unset. */
bool props_next(const struct props *ps, const struct prop **at, dk_str *ret_name, struct dk_value *ret_value);
void props_clear(void *self, struct props *ps);

/* As bytes: a packed capsule, <diarkis/packed.h>. */
size_t props_packed_size(const struct props *ps);
void props_pack(const struct props *ps, struct dk_writer *w);
/* Into an empty one; on failure it is empty again. The cursor is left after the last property. Returns 0, DK_FULL, -EPROTO or
 * -ENOMEM. */
int props_unpack(void *self, struct props *ps, const struct props_limits *most, struct dk_cursor *c);

#endif
