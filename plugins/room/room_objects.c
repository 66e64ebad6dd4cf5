/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of a room as data, in lists: a room has few, and each a handful of fields. An update is looked at as a whole, then takes
 * the memory it needs, and only then changes anything.
 */
#include "room_objects.h"

#include <diarkis/packet.h>

#include <errno.h>
#include <math.h>

enum { FIELD_COST = 8 };

static bool good_name(dk_str name)
{
	return name.n && name.n <= DK_ROOM_OBJECT_NAME_MAX;
}

static bool listed_before(const struct dk_room_field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (dk_str_eq(fields[i].name, fields[n].name))
			return true;
	return false;
}

/* The head says how many come; the cursor is left behind them. */
static int read_fields(struct dk_cursor *c, struct dk_room_field fields[DK_ROOM_FIELDS_MAX], size_t *ret_n)
{
	uint16_t n = dk_f64_map_open(c);

	if (n > DK_ROOM_FIELDS_MAX)
		return -EPROTO;
	for (uint16_t i = 0; i < n; i++)
		if (!dk_f64_map_next(c, &fields[i].name, &fields[i].value) || !good_name(fields[i].name) ||
		    !isfinite(fields[i].value) || listed_before(fields, i))
			return -EPROTO;
	*ret_n = n;
	return c->bad ? -EPROTO : 0;
}

int room_fields_read(dk_slice map, struct dk_room_field fields[DK_ROOM_FIELDS_MAX], size_t *ret_n)
{
	struct dk_cursor c = dk_cursor_of(map);
	int rc = read_fields(&c, fields, ret_n);

	return rc == 0 && !dk_rd_done(&c) ? -EPROTO : rc;
}

/* ---- looking ---- */

struct room_object *room_objects_find(const struct room_objects *os, dk_str name)
{
	struct room_object *o = os->first;

	while (o && !dk_str_eq(room_object_name(o), name))
		o = o->next;
	return o;
}

static struct room_field *field_of(const struct room_object *o, dk_str name)
{
	struct room_field *f = o ? o->first : NULL;

	while (f && !dk_str_eq(dk_str_n(f->name, f->name_n), name))
		f = f->next;
	return f;
}

const struct room_field *room_object_field(const struct room_object *o, dk_str name)
{
	return field_of(o, name);
}

/* ---- changing ---- */

static void field_free(void *self, struct room_field *f)
{
	dk_free(self, f, sizeof(*f) + f->name_n);
}

static void object_free(void *self, struct room_objects *os, struct room_object *o)
{
	struct room_object **at = &os->first;

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	os->n--;
	os->bytes -= o->name_n;
	while (o->first) {
		struct room_field *f = o->first;

		o->first = f->next;
		os->bytes -= f->name_n + FIELD_COST;
		field_free(self, f);
	}
	dk_free(self, o, sizeof(*o) + o->name_n);
}

static int drop(void *self, struct room_objects *os, struct room_object *o, struct dk_room_field *fields, size_t n)
{
	bool any = !n;

	if (!o)
		return DK_NOT_FOUND;
	for (size_t i = 0; i < n; i++) {
		struct room_field **at = &o->first, *f;

		fields[i].value = 0;
		while (*at && !dk_str_eq(dk_str_n((*at)->name, (*at)->name_n), fields[i].name))
			at = &(*at)->next;
		f = *at;
		if (!f)
			continue;
		*at = f->next;
		o->field_n--;
		os->bytes -= f->name_n + FIELD_COST;
		field_free(self, f);
		any = true;
	}
	if (!n)
		object_free(self, os, o);
	return any ? 0 : DK_NOT_FOUND;
}

/* What the update makes of each field, and how much is new. Returns 0, DK_REFUSED or DK_FULL. */
static int work_out(const struct room_objects *os, const struct room_object *o, enum dk_room_object_mode mode, dk_str name,
		    struct dk_room_field *fields, size_t n)
{
	size_t more = o ? 0 : name.n, field_n = o ? o->field_n : 0;

	for (size_t i = 0; i < n; i++) {
		const struct room_field *f = field_of(o, fields[i].name);

		if (f && mode == DK_ROOM_OBJECT_INCR)
			fields[i].value += f->value;
		if (!isfinite(fields[i].value))
			return DK_REFUSED;
		if (!f) {
			field_n++;
			more += fields[i].name.n + FIELD_COST;
		}
	}
	if ((!o && os->n == DK_ROOM_OBJECTS_MAX) || field_n > DK_ROOM_FIELDS_MAX || os->bytes + more > DK_ROOM_OBJECT_BYTES_MAX)
		return DK_FULL;
	return 0;
}

/* The fields that are new, in their order; false = no memory, and there are none. */
static bool make_fields(void *self, const struct room_object *o, const struct dk_room_field *fields, size_t n,
			struct room_field **ret_list)
{
	struct room_field *list = NULL, **tail = &list, *f;

	for (size_t i = 0; i < n; i++) {
		if (field_of(o, fields[i].name))
			continue;
		f = dk_alloc(self, sizeof(*f) + fields[i].name.n);
		if (!f)
			goto fail;
		f->name_n = (uint8_t)fields[i].name.n;
		memcpy(f->name, fields[i].name.p, fields[i].name.n);
		*tail = f;
		tail = &f->next;
	}
	*ret_list = list;
	return true;

fail:
	while (list) {
		f = list;
		list = f->next;
		field_free(self, f);
	}
	return false;
}

static struct room_object *make_object(void *self, struct room_objects *os, dk_str name)
{
	struct room_object *o = dk_alloc(self, sizeof(*o) + name.n), **at = &os->first;

	if (!o)
		return NULL;
	o->name_n = (uint8_t)name.n;
	memcpy(o->name, name.p, name.n);
	while (*at)
		at = &(*at)->next;
	*at = o;
	os->n++;
	os->bytes += (uint32_t)name.n;
	return o;
}

int room_objects_update(void *self, struct room_objects *os, enum dk_room_object_mode mode, dk_str name,
			struct dk_room_field *fields, size_t n)
{
	struct room_object *o = room_objects_find(os, name);
	struct room_field *fresh, **tail;
	int rc;

	if (!good_name(name) || n > DK_ROOM_FIELDS_MAX || mode < DK_ROOM_OBJECT_INCR || mode > DK_ROOM_OBJECT_DELETE)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!good_name(fields[i].name) || !isfinite(fields[i].value) || listed_before(fields, i))
			return -EINVAL;
	if (mode == DK_ROOM_OBJECT_DELETE)
		return drop(self, os, o, fields, n);
	rc = work_out(os, o, mode, name, fields, n);
	if (rc)
		return rc;
	if (!make_fields(self, o, fields, n, &fresh))
		return -ENOMEM;
	if (!o)
		o = make_object(self, os, name);
	if (!o)
		goto no_object;
	tail = &o->first;
	while (*tail)
		tail = &(*tail)->next;
	*tail = fresh;
	for (; fresh; fresh = fresh->next) {
		o->field_n++;
		os->bytes += fresh->name_n + (uint32_t)FIELD_COST;
	}
	for (size_t i = 0; i < n; i++)
		field_of(o, fields[i].name)->value = fields[i].value;
	return 0;

no_object:
	while (fresh) {
		struct room_field *f = fresh;

		fresh = f->next;
		field_free(self, f);
	}
	return -ENOMEM;
}

void room_objects_clear(void *self, struct room_objects *os)
{
	while (os->first)
		object_free(self, os, os->first);
}

/* ---- as bytes ---- */

size_t room_object_size(const struct room_object *o)
{
	size_t n = 2;

	for (const struct room_field *f = o->first; f; f = f->next)
		n += 2u + f->name_n + 8u;
	return n;
}

void room_object_write(const struct room_object *o, struct dk_writer *w)
{
	dk_f64_map_begin(w, o->field_n);
	for (const struct room_field *f = o->first; f; f = f->next)
		dk_f64_map_put(w, dk_str_n(f->name, f->name_n), f->value);
}

void room_objects_pack(const struct room_objects *os, struct dk_writer *w)
{
	dk_wr_u16(w, (uint16_t)os->n);
	for (const struct room_object *o = os->first; o; o = o->next) {
		dk_wr_bytes8(w, dk_slice_of(room_object_name(o)));
		room_object_write(o, w);
	}
}

int room_objects_unpack(void *self, struct room_objects *os, dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct dk_room_field fields[DK_ROOM_FIELDS_MAX];
	uint16_t n = dk_rd_u16(&c);
	size_t field_n;
	int rc = 0;

	for (uint16_t i = 0; i < n && rc == 0; i++) {
		dk_str name = dk_str_of(dk_rd_bytes8(&c));

		rc = read_fields(&c, fields, &field_n);
		if (rc == 0)
			rc = room_objects_update(self, os, DK_ROOM_OBJECT_SET, name, fields, field_n);
		if (rc == 0 && os->n != i + 1u) /* named twice */
			rc = -EPROTO;
	}
	if (rc == 0 && !dk_rd_done(&c))
		rc = -EPROTO;
	return rc == -EINVAL ? -EPROTO : rc;
}
