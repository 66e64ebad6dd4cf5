/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed values by name, in a list: owners have few of them, and most have none. A value keeps its type for as long as its owner
 * lives, on whatever node; nothing is turned into text or floating point on the way. What is packed inside a value (a capsule, an
 * array) was checked when the value came in, so readers need not.
 */
#include "plugins/props.h"

#include <diarkis/err.h>
#include <diarkis/mem.h>

#include <errno.h>

/* The name follows the struct, then the bytes of a text, of bytes, of a capsule or an array, where the value points to. */
struct prop {
	struct prop *next;
	uint32_t size; /* of the allocation */
	uint32_t n; /* bytes of the value */
	uint8_t name_n;
	struct dk_value value;
	char name[];
};

/* Where it hangs, or where it would: at the end. */
static struct prop **find(struct props *ps, dk_str name)
{
	struct prop **at = &ps->first;

	while (*at && !dk_str_eq(dk_str_n((*at)->name, (*at)->name_n), name))
		at = &(*at)->next;
	return at;
}

static bool has_bytes(enum dk_value_type type)
{
	return type == DK_V_BYTES || type == DK_V_CAPSULE || type > DK_V_ARRAY;
}

static dk_slice bytes_of(const struct dk_value *v)
{
	if (v->type == DK_V_STR)
		return dk_slice_of(v->as.s);
	return has_bytes(v->type) ? v->as.bytes : dk_slice_n(NULL, 0);
}

int props_set(void *self, struct props *ps, const struct props_limits *most, dk_str name, const struct dk_value *value)
{
	dk_slice bytes = bytes_of(value);
	struct prop *p, **at, *old;
	size_t total;

	if (!name.n || name.n > PROPS_NAME_MAX || !dk_value_ok(value, DK_CAPSULE_DEPTH_MAX))
		return -EINVAL;
	at = find(ps, name);
	old = *at;
	if (!old && ps->n >= most->n)
		return DK_FULL;
	total = ps->bytes - (old ? old->name_n + old->n : 0);
	if (bytes.n > most->bytes || total + name.n + bytes.n > most->bytes)
		return DK_FULL;

	/* The new value is whole before the old one goes: they may share memory with each other and with the name. */
	p = dk_alloc(self, sizeof(*p) + name.n + bytes.n);
	if (!p)
		return -ENOMEM;
	p->size = (uint32_t)(sizeof(*p) + name.n + bytes.n);
	p->n = (uint32_t)bytes.n;
	p->name_n = (uint8_t)name.n;
	p->value = *value;
	memcpy(p->name, name.p, name.n);
	if (bytes.n)
		memcpy(p->name + name.n, bytes.p, bytes.n);
	if (value->type == DK_V_STR)
		p->value.as.s = dk_str_n(p->name + name.n, bytes.n);
	else if (has_bytes(value->type))
		p->value.as.bytes = dk_slice_n(p->name + name.n, bytes.n);
	p->next = old ? old->next : NULL;
	*at = p;
	ps->n += !old;
	ps->bytes = (uint32_t)(total + name.n + bytes.n);
	if (old)
		dk_free(self, old, old->size);
	return 0;
}

int props_incr(void *self, struct props *ps, const struct props_limits *most, dk_str name, int64_t delta, int64_t *ret_value)
{
	struct dk_value v = { .type = DK_V_INT };
	struct prop *p = *find(ps, name);
	int64_t sum;
	int rc;

	if (p && p->value.type != DK_V_INT)
		return DK_REFUSED;
	if (__builtin_add_overflow(p ? p->value.as.i : 0, delta, &sum))
		return DK_REFUSED;
	v.as.i = sum;
	if (p) {
		p->value.as.i = sum;
	} else {
		rc = props_set(self, ps, most, name, &v);
		if (rc)
			return rc;
	}
	*ret_value = sum;
	return 0;
}

int props_get(const struct props *ps, dk_str name, struct dk_value *ret_value)
{
	const struct prop *p = ps->first;

	while (p && !dk_str_eq(dk_str_n(p->name, p->name_n), name))
		p = p->next;
	if (!p)
		return DK_NOT_FOUND;
	*ret_value = p->value;
	return 0;
}

int props_unset(void *self, struct props *ps, dk_str name)
{
	struct prop **at = find(ps, name), *p = *at;

	if (!p)
		return DK_NOT_FOUND;
	*at = p->next;
	ps->n--;
	ps->bytes -= p->name_n + p->n;
	dk_free(self, p, p->size);
	return 0;
}

bool props_next(const struct props *ps, const struct prop **at, dk_str *ret_name, struct dk_value *ret_value)
{
	const struct prop *p = *at ? (*at)->next : ps->first;

	if (!p)
		return false;
	*at = p;
	*ret_name = dk_str_n(p->name, p->name_n);
	*ret_value = p->value;
	return true;
}

void props_clear(void *self, struct props *ps)
{
	while (ps->first) {
		struct prop *p = ps->first;

		ps->first = p->next;
		dk_free(self, p, p->size);
	}
	ps->n = 0;
	ps->bytes = 0;
}

/* ---- as bytes ---- */

static size_t width_of(const struct prop *p)
{
	switch (p->value.type) {
	case DK_V_BOOL:
	case DK_V_I8:
	case DK_V_U8:
		return 1;
	case DK_V_I16:
	case DK_V_U16:
		return 2;
	case DK_V_I32:
	case DK_V_U32:
	case DK_V_F32:
		return 4;
	case DK_V_INT:
	case DK_V_U64:
	case DK_V_F64:
		return 8;
	default:
		return 4 + (size_t)p->n;
	}
}

size_t props_packed_size(const struct props *ps)
{
	size_t n = 2;

	for (const struct prop *p = ps->first; p; p = p->next)
		n += 1 + (size_t)p->name_n + 1 + width_of(p);
	return n;
}

void props_pack(const struct props *ps, struct dk_writer *w)
{
	dk_wr_u16(w, (uint16_t)ps->n);
	for (const struct prop *p = ps->first; p; p = p->next) {
		dk_wr_bytes8(w, dk_slice_n(p->name, p->name_n));
		dk_value_write(w, &p->value);
	}
}

int props_unpack(void *self, struct props *ps, const struct props_limits *most, struct dk_cursor *c)
{
	uint16_t n = dk_rd_u16(c);
	int rc = 0;

	for (uint16_t i = 0; i < n && rc == 0; i++) {
		dk_str name = dk_str_of(dk_rd_bytes8(c));
		struct dk_value v = dk_value_read(c);

		rc = c->bad ? -EPROTO : props_set(self, ps, most, name, &v);
		if (rc == 0 && ps->n != i + 1u) /* named twice */
			rc = -EPROTO;
	}
	if (rc == 0 && c->bad)
		rc = -EPROTO;
	if (rc == -EINVAL)
		rc = -EPROTO;
	if (rc)
		props_clear(self, ps);
	return rc;
}
