/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node values: a list in order of change, so that whoever was told all up to a number is told the rest by walking from there. A
 * page says after which number it begins and at which its reader is when it has taken it; a page that begins behind what the reader
 * has is not taken, one that overlaps is.
 *
 *   page: { u32 seq, u8 length, name, u16 length, bytes }*    no bytes: removed
 */
#include "values.h"

#include <errno.h>

#include <diarkis/mem.h>

#define HEAD (4 + 1 + 2)

static dk_str name_of(const struct mars_value *v)
{
	return dk_str_n((const char *)v->bytes, v->name_n);
}

static size_t size_of(const struct mars_value *v)
{
	return sizeof(*v) + v->name_n + v->n;
}

static struct mars_value **find(struct mars_values *v, dk_str name)
{
	struct mars_value **p = &v->first;

	while (*p && !dk_str_eq(name_of(*p), name))
		p = &(*p)->next;
	return p;
}

static void drop(struct mars_values *v, void *self, struct mars_value **at)
{
	struct mars_value *old = *at;

	*at = old->next;
	v->rows--;
	v->bytes -= old->n ? old->n + old->name_n : 0;
	dk_free(self, old, size_of(old));
}

void mars_values_fini(struct mars_values *v, void *self)
{
	while (v->first)
		drop(v, self, &v->first);
	*v = (struct mars_values){ .first = NULL };
}

/* Puts a row at the end, in place of the one of that name. */
static int put(struct mars_values *v, void *self, uint32_t seq, dk_str name, dk_slice bytes)
{
	struct mars_value **at = find(v, name), *row;

	row = dk_alloc(self, sizeof(*row) + name.n + bytes.n);
	if (!row)
		return -ENOMEM;
	row->seq = seq;
	row->n = (uint16_t)bytes.n;
	row->name_n = (uint8_t)name.n;
	memcpy(row->bytes, name.p, name.n);
	if (bytes.n)
		memcpy(row->bytes + name.n, bytes.p, bytes.n);
	if (*at)
		drop(v, self, at);
	for (at = &v->first; *at; at = &(*at)->next)
		continue;
	*at = row;
	v->rows++;
	v->bytes += row->n ? row->n + row->name_n : 0;
	return 0;
}

/* Marks are dropped, oldest first, where rows run out: who has not heard of them by then keeps a value that is gone. */
static bool make_room(struct mars_values *v, void *self)
{
	struct mars_value **at = &v->first;

	while (v->rows >= MARS_VALUES_ROWS && *at) {
		if ((*at)->n == 0)
			drop(v, self, at);
		else
			at = &(*at)->next;
	}
	return v->rows < MARS_VALUES_ROWS;
}

int mars_values_set(struct mars_values *v, void *self, dk_str name, dk_slice bytes)
{
	const struct mars_value *old;
	uint32_t without;
	int rc;

	if (!name.n || name.n > DK_CLUSTER_VALUE_NAME_MAX || bytes.n > DK_CLUSTER_VALUE_MAX)
		return DK_TOO_LONG;
	old = *find(v, name);
	if (old && old->n == bytes.n && memcmp(old->bytes + old->name_n, bytes.n ? bytes.p : old->bytes, bytes.n) == 0)
		return bytes.n ? 0 : DK_NOT_FOUND;
	if (!bytes.n && !old)
		return DK_NOT_FOUND;
	without = v->bytes - (old && old->n ? old->n + old->name_n : 0);
	if (bytes.n && without + name.n + bytes.n > MARS_VALUES_MAX)
		return DK_FULL;
	if (!old && !make_room(v, self))
		return DK_FULL;
	rc = put(v, self, v->seq + 1, name, bytes);
	if (rc == 0)
		v->seq++;
	return rc;
}

int mars_values_get(const struct mars_values *v, dk_str name, dk_slice *ret_bytes)
{
	for (const struct mars_value *row = v->first; row; row = row->next)
		if (row->n && dk_str_eq(name_of(row), name)) {
			*ret_bytes = dk_slice_n(row->bytes + row->name_n, row->n);
			return 0;
		}
	return DK_NOT_FOUND;
}

uint32_t mars_values_write(const struct mars_values *v, uint32_t since, struct dk_writer *w)
{
	for (const struct mars_value *row = v->first; row; row = row->next) {
		if (row->seq <= since)
			continue;
		if ((size_t)(w->end - w->p) < (size_t)HEAD + row->name_n + row->n)
			return since;
		dk_wr_u32(w, row->seq);
		dk_wr_bytes8(w, dk_slice_of(name_of(row)));
		dk_wr_bytes16(w, dk_slice_n(row->bytes + row->name_n, row->n));
		since = row->seq;
	}
	return v->seq;
}

int mars_values_read(struct mars_values *v, void *self, uint32_t since, uint32_t up_to, dk_slice page)
{
	struct dk_cursor c = dk_cursor_of(page);
	uint32_t last = since;

	/* All of it is looked at before any of it is taken. */
	while (dk_rd_left(&c)) {
		uint32_t seq = dk_rd_u32(&c);
		size_t name_n = dk_rd_bytes8(&c).n, n = dk_rd_bytes16(&c).n;

		if (c.bad || seq <= last || seq > up_to || !name_n || name_n > DK_CLUSTER_VALUE_NAME_MAX ||
		    n > DK_CLUSTER_VALUE_MAX)
			return -EINVAL;
		last = seq;
	}
	if (!dk_rd_done(&c))
		return -EINVAL;
	if (since > v->seq || up_to <= v->seq)
		return 0;
	for (c = dk_cursor_of(page); dk_rd_left(&c);) {
		uint32_t seq = dk_rd_u32(&c);
		dk_str name = dk_str_of(dk_rd_bytes8(&c));
		dk_slice bytes = dk_rd_bytes16(&c);
		const struct mars_value *old;
		int rc;

		if (seq <= v->seq)
			continue;
		old = *find(v, name);
		if (bytes.n && v->bytes - (old && old->n ? old->n + old->name_n : 0) + name.n + bytes.n > 2 * MARS_VALUES_MAX)
			return -EINVAL; /* no owner has that many; twice, since pages may mix two moments of it */
		if (!old && !make_room(v, self))
			return -EINVAL;
		rc = put(v, self, seq, name, bytes);
		if (rc < 0)
			return rc;
		v->seq = seq;
	}
	v->seq = up_to;
	return 1;
}
