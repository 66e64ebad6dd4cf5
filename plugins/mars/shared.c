/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared data. The rows are a set: what a node holds depends on which writes it has heard of, not on when or from whom. All ties
 * are broken the same way everywhere, by stamp, then by writer.
 *
 *   rows: { u8 length, name, u64 stamp, u64 writer, u64 born, i16 value, u32 removed ms ago + 1 (0 = it is there) }*
 */
#include "values.h"

#include <errno.h>

#include <diarkis/err.h>

#define ROW_MAX (1 + DK_SHARED_NAME_MAX + 8 + 8 + 8 + 2 + 4)
#define STAMP_MAX ((uint64_t)1 << 62) /* beyond it nobody's clock is, and there must be room for one more */

static dk_str name_of(const struct mars_shared_row *r)
{
	return dk_str_n(r->name, r->name_n);
}

static struct mars_shared_row *find(struct mars_shared *s, dk_str name)
{
	for (size_t i = 0; i < MARS_SHARED_ROWS; i++)
		if (s->rows[i].name_n && dk_str_eq(name_of(&s->rows[i]), name))
			return &s->rows[i];
	return NULL;
}

/* a was made before b; of two made at once, the name decides. */
static bool older(const struct mars_shared_row *a, const struct mars_shared_row *b)
{
	size_t n = a->name_n < b->name_n ? a->name_n : b->name_n;
	int c;

	if (a->born != b->born)
		return a->born < b->born;
	c = memcmp(a->name, b->name, n);
	return c ? c < 0 : a->name_n < b->name_n;
}

/* Whether the row is one of the ten oldest names that are there. */
static bool counts(const struct mars_shared *s, const struct mars_shared_row *r)
{
	size_t before = 0;

	if (!r->name_n || r->removed)
		return false;
	for (size_t i = 0; i < MARS_SHARED_ROWS; i++)
		if (s->rows[i].name_n && !s->rows[i].removed && older(&s->rows[i], r))
			before++;
	return before < DK_SHARED_MAX;
}

/* A free row, or that of the oldest mark. */
static struct mars_shared_row *room(struct mars_shared *s, uint64_t now)
{
	struct mars_shared_row *mark = NULL;

	for (size_t i = 0; i < MARS_SHARED_ROWS; i++) {
		struct mars_shared_row *r = &s->rows[i];

		if (r->name_n && r->removed && now - r->removed_at >= MARS_SHARED_KEEP_MS)
			r->name_n = 0;
		if (!r->name_n)
			return r;
		if (r->removed && (!mark || r->removed_at < mark->removed_at))
			mark = r;
	}
	return mark;
}

static uint64_t next_stamp(struct mars_shared *s, uint64_t wall_ms)
{
	s->stamp = wall_ms > s->stamp && wall_ms < STAMP_MAX ? wall_ms : s->stamp + 1;
	return s->stamp;
}

int mars_shared_set(struct mars_shared *s, dk_str name, int16_t value, uint64_t writer, uint64_t wall_ms, uint64_t now)
{
	struct mars_shared_row *r;
	bool fresh;

	if (!name.n)
		return -EINVAL;
	if (name.n > DK_SHARED_NAME_MAX)
		return DK_TOO_LONG;
	r = find(s, name);
	fresh = !r || !counts(s, r);
	if (fresh && mars_shared_at(s, DK_SHARED_MAX - 1))
		return DK_FULL;
	if (!r)
		r = room(s, now);
	if (!r)
		return DK_FULL;
	memcpy(r->name, name.p, name.n);
	r->name_n = (uint8_t)name.n;
	r->stamp = next_stamp(s, wall_ms);
	r->writer = writer;
	r->value = value;
	r->removed = false;
	if (fresh)
		r->born = r->stamp;
	return 0;
}

int mars_shared_get(const struct mars_shared *s, dk_str name, int16_t *ret_value)
{
	for (size_t i = 0; i < MARS_SHARED_ROWS; i++) {
		const struct mars_shared_row *r = &s->rows[i];

		if (r->name_n && dk_str_eq(name_of(r), name) && counts(s, r)) {
			*ret_value = r->value;
			return 0;
		}
	}
	return DK_NOT_FOUND;
}

int mars_shared_remove(struct mars_shared *s, dk_str name, uint64_t writer, uint64_t wall_ms, uint64_t now)
{
	struct mars_shared_row *r = name.n ? find(s, name) : NULL;

	if (!r || !counts(s, r))
		return DK_NOT_FOUND;
	r->removed = true;
	r->removed_at = now;
	r->stamp = next_stamp(s, wall_ms);
	r->writer = writer;
	return 0;
}

const struct mars_shared_row *mars_shared_at(const struct mars_shared *s, size_t i)
{
	for (size_t k = 0; k < MARS_SHARED_ROWS; k++) {
		const struct mars_shared_row *r = &s->rows[k];
		size_t before = 0;

		if (!counts(s, r))
			continue;
		for (size_t j = 0; j < MARS_SHARED_ROWS; j++)
			if (counts(s, &s->rows[j]) && older(&s->rows[j], r))
				before++;
		if (before == i)
			return r;
	}
	return NULL;
}

uint32_t mars_shared_digest(const struct mars_shared *s)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < MARS_SHARED_ROWS; i++) {
		const struct mars_shared_row *r = &s->rows[i];
		uint32_t h = 2166136261u;

		if (!r->name_n || r->removed)
			continue;
		for (size_t k = 0; k < r->name_n; k++)
			h = (h ^ (uint8_t)r->name[k]) * 16777619u;
		for (unsigned k = 0; k < 8; k++)
			h = (h ^ (uint8_t)(r->stamp >> 8 * k)) * 16777619u;
		for (unsigned k = 0; k < 8; k++)
			h = (h ^ (uint8_t)(r->writer >> 8 * k)) * 16777619u;
		sum += h;
	}
	return sum;
}

bool mars_shared_write(const struct mars_shared *s, size_t *from, uint64_t now, struct dk_writer *w)
{
	for (; *from < MARS_SHARED_ROWS; (*from)++) {
		const struct mars_shared_row *r = &s->rows[*from];
		uint64_t ago = r->removed ? now - r->removed_at : 0;

		if (!r->name_n || ago >= MARS_SHARED_KEEP_MS)
			continue;
		if ((size_t)(w->end - w->p) < ROW_MAX)
			return true;
		dk_wr_bytes8(w, dk_slice_of(name_of(r)));
		dk_wr_u64(w, r->stamp);
		dk_wr_u64(w, r->writer);
		dk_wr_u64(w, r->born);
		dk_wr_u16(w, (uint16_t)r->value);
		dk_wr_u32(w, r->removed ? (uint32_t)ago + 1 : 0);
	}
	return false;
}

/* Whether a is the later write. No node writes twice with one stamp; if one did, all would still choose alike. */
static bool later(const struct mars_shared_row *a, const struct mars_shared_row *b)
{
	if (a->stamp != b->stamp)
		return a->stamp > b->stamp;
	if (a->writer != b->writer)
		return a->writer > b->writer;
	if (a->removed != b->removed)
		return a->removed;
	return a->value != b->value ? a->value > b->value : a->born < b->born;
}

/* Returns 1 when the row is news. */
static int take(struct mars_shared *s, const struct mars_shared_row *in, uint64_t now)
{
	struct mars_shared_row *r = find(s, name_of(in));

	if (r && !later(in, r))
		return 0;
	if (in->stamp > s->stamp)
		s->stamp = in->stamp;
	if (!r)
		r = room(s, now);
	if (!r)
		return 0;
	*r = *in;
	return 1;
}

int mars_shared_read(struct mars_shared *s, dk_slice rows, uint64_t now)
{
	struct dk_cursor c = dk_cursor_of(rows);
	int changed = 0;

	while (dk_rd_left(&c)) {
		struct mars_shared_row in = { .name_n = 0 };
		dk_slice name = dk_rd_bytes8(&c);
		uint32_t ago;

		in.stamp = dk_rd_u64(&c);
		in.writer = dk_rd_u64(&c);
		in.born = dk_rd_u64(&c);
		in.value = (int16_t)dk_rd_u16(&c);
		ago = dk_rd_u32(&c);
		if (c.bad || !name.n || name.n > DK_SHARED_NAME_MAX || in.stamp >= STAMP_MAX || in.born > in.stamp)
			return -EINVAL;
		memcpy(in.name, name.p, name.n);
		in.name_n = (uint8_t)name.n;
		in.removed = ago > 0;
		if (ago > MARS_SHARED_KEEP_MS)
			continue;
		if (in.removed)
			in.removed_at = now > ago - 1 ? now - (ago - 1) : 0;
		changed |= take(s, &in, now);
	}
	return dk_rd_done(&c) ? changed : -EINVAL;
}
