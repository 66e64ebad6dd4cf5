/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Property data of users, and what else few of them have: allocated with the first of it. The limits are per user, because a
 * game may store what its players say: 64 names, 64 KiB of names and values together.
 */
#include <errno.h>

#include "user_state.h"

const struct props_limits user_props_most = { 64, 64 * 1024 };

struct user_more *user_more(struct users *s, struct user *u)
{
	if (!u->more)
		u->more = dk_alloc(s, sizeof(*u->more));
	return u->more;
}

void user_more_free(struct users *s, struct user *u)
{
	struct user_more *more = u->more;

	if (!more)
		return;
	props_clear(s, &more->props);
	dk_free(s, more->locals, more->locals_n);
	dk_free(s, more, sizeof(*more));
	u->more = NULL;
}

void user_keep_locals(struct users *s, struct user *u, dk_slice locals)
{
	struct user_more *more;
	uint8_t *copy;

	if (!locals.n || locals.n > USER_LOCALS_MAX)
		return;
	more = user_more(s, u);
	copy = more ? dk_alloc(s, locals.n) : NULL;
	if (!copy)
		return;
	memcpy(copy, locals.p, locals.n);
	dk_free(s, more->locals, more->locals_n);
	more->locals = copy;
	more->locals_n = locals.n;
}

int user_set(struct dk_user *svc, dk_id id, dk_str name, const struct dk_value *value)
{
	struct users *s = users_of(svc);
	struct user *u = user_get(s, id);
	struct user_more *more;

	if (!u)
		return DK_GONE;
	more = user_more(s, u);
	return more ? props_set(s, &more->props, &user_props_most, name, value) : -ENOMEM;
}

int user_get_value(struct dk_user *svc, dk_id id, dk_str name, struct dk_value *ret_value)
{
	struct user *u = user_get(users_of(svc), id);

	if (!u)
		return DK_GONE;
	return u->more ? props_get(&u->more->props, name, ret_value) : DK_NOT_FOUND;
}

int user_unset(struct dk_user *svc, dk_id id, dk_str name)
{
	struct users *s = users_of(svc);
	struct user *u = user_get(s, id);

	if (!u)
		return DK_GONE;
	return u->more ? props_unset(s, &u->more->props, name) : DK_NOT_FOUND;
}
