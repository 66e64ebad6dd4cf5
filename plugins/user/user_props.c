/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Property data of users: typed values by name, in a list per user that is allocated with the first of them. The limits are
 * per user, because a game may store what its players say: 64 names, 64 KiB of names and values together.
 *
 * A value keeps its type for as long as its user lives; nothing is turned into text or floating point on the way.
 */
#include <errno.h>

#include "user_state.h"

enum { PROPS_MAX = 64, PROP_BYTES_MAX = 64 * 1024, PROP_NAME_MAX = 255 };

/* The name follows the struct, then the bytes of a text or byte value. */
struct user_prop {
	struct user_prop *next;
	uint32_t size; /* of the allocation */
	uint32_t n; /* bytes of the value */
	uint8_t name_n, type;
	union {
		bool b;
		int64_t i;
		double f;
	} as;
	char name[];
};

static struct user_prop **find(struct user_more *more, dk_str name)
{
	struct user_prop **at = &more->props;

	while (*at && !dk_str_eq(dk_str_n((*at)->name, (*at)->name_n), name))
		at = &(*at)->next;
	return at;
}

static void drop(struct users *s, struct user_more *more, struct user_prop **at)
{
	struct user_prop *p = *at;

	*at = p->next;
	more->prop_n--;
	more->prop_bytes -= p->name_n + p->n;
	dk_free(s, p, p->size);
}

static dk_slice bytes_of(const struct dk_value *v)
{
	switch (v->type) {
	case DK_V_STR:
		return dk_slice_of(v->as.s);
	case DK_V_BYTES:
		return v->as.bytes;
	default:
		return dk_slice_n(NULL, 0);
	}
}

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
	while (more->props)
		drop(s, more, &more->props);
	dk_free(s, more->locals, more->locals_n);
	dk_free(s, more, sizeof(*more));
	u->more = NULL;
}

int user_set(struct dk_user *svc, dk_id id, dk_str name, const struct dk_value *value)
{
	struct users *s = users_of(svc);
	struct user *u = user_get(s, id);
	dk_slice bytes = bytes_of(value);
	struct user_prop *p, **old;
	struct user_more *more;
	size_t total;

	if (!u)
		return DK_GONE;
	if (!name.n || name.n > PROP_NAME_MAX || value->type < DK_V_BOOL || value->type > DK_V_BYTES)
		return -EINVAL;
	more = user_more(s, u);
	if (!more)
		return -ENOMEM;
	old = find(more, name);
	if (!*old && more->prop_n >= PROPS_MAX)
		return DK_FULL;
	total = more->prop_bytes - (*old ? (*old)->name_n + (*old)->n : 0);
	if (bytes.n > PROP_BYTES_MAX || total + name.n + bytes.n > PROP_BYTES_MAX)
		return DK_FULL;

	/* The new value is whole before the old one goes: they may share memory with each other and with the name. */
	p = dk_alloc(s, sizeof(*p) + name.n + bytes.n);
	if (!p)
		return -ENOMEM;
	p->size = (uint32_t)(sizeof(*p) + name.n + bytes.n);
	p->n = (uint32_t)bytes.n;
	p->name_n = (uint8_t)name.n;
	p->type = (uint8_t)value->type;
	memcpy(p->name, name.p, name.n);
	if (bytes.n)
		memcpy(p->name + name.n, bytes.p, bytes.n);
	else if (value->type == DK_V_BOOL)
		p->as.b = value->as.b;
	else if (value->type == DK_V_INT)
		p->as.i = value->as.i;
	else if (value->type == DK_V_F64)
		p->as.f = value->as.f;
	if (*old)
		drop(s, more, old);
	p->next = more->props;
	more->props = p;
	more->prop_n++;
	more->prop_bytes += p->name_n + p->n;
	return 0;
}

int user_get_value(struct dk_user *svc, dk_id id, dk_str name, struct dk_value *ret_value)
{
	struct user *u = user_get(users_of(svc), id);
	struct dk_value v = { .type = DK_V_NONE };
	const struct user_prop *p;

	if (!u)
		return DK_GONE;
	p = u->more ? *find(u->more, name) : NULL;
	if (!p)
		return DK_NOT_FOUND;
	v.type = p->type;
	switch (v.type) {
	case DK_V_BOOL:
		v.as.b = p->as.b;
		break;
	case DK_V_INT:
		v.as.i = p->as.i;
		break;
	case DK_V_F64:
		v.as.f = p->as.f;
		break;
	case DK_V_STR:
		v.as.s = dk_str_n(p->name + p->name_n, p->n);
		break;
	default:
		v.as.bytes = dk_slice_n(p->name + p->name_n, p->n);
		break;
	}
	*ret_value = v;
	return 0;
}

int user_unset(struct dk_user *svc, dk_id id, dk_str name)
{
	struct users *s = users_of(svc);
	struct user *u = user_get(s, id);
	struct user_prop **at;

	if (!u)
		return DK_GONE;
	at = u->more ? find(u->more, name) : NULL;
	if (!at || !*at)
		return DK_NOT_FOUND;
	drop(s, u->more, at);
	return 0;
}
