/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as bytes, in one form for everything that keeps or sends them: properties of users and rooms, capsules, typed data
 * between nodes (docs/WIRE.md, "values"). Nothing here allocates; what is read lies in the bytes it was read from.
 *
 *   value     u8 type, then: bool u8 0/1; whole numbers and floats of their width; text, bytes, capsule {u32 length, bytes};
 *             array {u32 length, its elements one after another, each like a value without its type}
 *   capsule   u16 count, then count times {u8 length, name, value}; no name twice, none empty
 *
 * Bytes that came from outside are checked as a whole once, by dk_value_ok() or dk_capsule_ok(): it bounds depth and number.
 */
#ifndef DIARKIS_PACKED_H
#define DIARKIS_PACKED_H

#include <diarkis/cursor.h>
#include <diarkis/value.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_CAPSULE_NAMES_MAX 256 /* in one level of a capsule; as many as a room has properties */
#define DK_CAPSULE_DEPTH_MAX 8 /* a capsule in a capsule is two */

/* ---- one value ---- */

/* Without the type: an element of an array. */
static inline void dk_value_write_bare(struct dk_writer *w, const struct dk_value *v)
{
	switch (v->type) {
	case DK_V_BOOL:
		dk_wr_u8(w, v->as.b);
		break;
	case DK_V_I8:
	case DK_V_U8:
		dk_wr_u8(w, (uint8_t)v->as.i);
		break;
	case DK_V_I16:
	case DK_V_U16:
		dk_wr_u16(w, (uint16_t)v->as.i);
		break;
	case DK_V_I32:
	case DK_V_U32:
		dk_wr_u32(w, (uint32_t)v->as.i);
		break;
	case DK_V_INT:
		dk_wr_u64(w, (uint64_t)v->as.i);
		break;
	case DK_V_U64:
		dk_wr_u64(w, v->as.u);
		break;
	case DK_V_F32:
		dk_wr_f32(w, (float)v->as.f);
		break;
	case DK_V_F64:
		dk_wr_f64(w, v->as.f);
		break;
	case DK_V_STR:
		dk_wr_bytes32(w, dk_slice_of(v->as.s));
		break;
	default:
		dk_wr_bytes32(w, v->as.bytes);
	}
}

static inline void dk_value_write(struct dk_writer *w, const struct dk_value *v)
{
	dk_wr_u8(w, (uint8_t)v->type);
	dk_value_write_bare(w, v);
}

static inline struct dk_value dk_value_read_bare(struct dk_cursor *c, enum dk_value_type type)
{
	struct dk_value v = dk_value_int_(type, 0);
	uint8_t b;

	switch ((unsigned)type) {
	case DK_V_BOOL:
		b = dk_rd_u8(c);
		v.as.b = b == 1;
		c->bad = c->bad || b > 1;
		break;
	case DK_V_I8:
		v.as.i = (int8_t)dk_rd_u8(c);
		break;
	case DK_V_I16:
		v.as.i = (int16_t)dk_rd_u16(c);
		break;
	case DK_V_I32:
		v.as.i = (int32_t)dk_rd_u32(c);
		break;
	case DK_V_INT:
		v.as.i = (int64_t)dk_rd_u64(c);
		break;
	case DK_V_U8:
		v.as.i = dk_rd_u8(c);
		break;
	case DK_V_U16:
		v.as.i = dk_rd_u16(c);
		break;
	case DK_V_U32:
		v.as.i = dk_rd_u32(c);
		break;
	case DK_V_U64:
		v.as.u = dk_rd_u64(c);
		break;
	case DK_V_F32:
		v.as.f = (double)dk_rd_f32(c);
		break;
	case DK_V_F64:
		v.as.f = dk_rd_f64(c);
		break;
	case DK_V_STR:
		v.as.s = dk_str_of(dk_rd_bytes32(c));
		break;
	case DK_V_BYTES:
	case DK_V_CAPSULE:
		v.as.bytes = dk_rd_bytes32(c);
		break;
	default:
		if (type > DK_V_ARRAY && type < (DK_V_ARRAY | DK_V_TYPES))
			v.as.bytes = dk_rd_bytes32(c);
		else
			c->bad = true;
	}
	return v;
}

/* Capsules and arrays in it are not looked into; dk_value_ok() does. */
static inline struct dk_value dk_value_read(struct dk_cursor *c)
{
	return dk_value_read_bare(c, (enum dk_value_type)dk_rd_u8(c));
}

/* ---- arrays ---- */

/* A walk over an array's elements: while (dk_array_next(&a, &v)) ... */
struct dk_array {
	enum dk_value_type of;
	struct dk_cursor at;
};

/* of: what the elements must be; an array without elements is one of everything. Returns 0 or DK_VALUE_TYPE. */
static inline int dk_value_get_array(const struct dk_value *v, enum dk_value_type of, struct dk_array *ret_array)
{
	if (v->type <= DK_V_ARRAY || (v->type != DK_V_ARRAY_OF(of) && v->as.bytes.n))
		return DK_VALUE_TYPE;
	ret_array->of = of;
	ret_array->at = dk_cursor_of(v->as.bytes);
	return 0;
}

/* False after the last one. */
static inline bool dk_array_next(struct dk_array *a, struct dk_value *ret_value)
{
	struct dk_value v;

	if (!dk_rd_left(&a->at))
		return false;
	v = dk_value_read_bare(&a->at, a->of);
	if (a->at.bad)
		return false;
	*ret_value = v;
	return true;
}

/* One more element, behind those in w. All elements of an array have one type. */
static inline void dk_array_add(struct dk_writer *w, const struct dk_value *v)
{
	dk_value_write_bare(w, v);
}

static inline void dk_array_add_str(struct dk_writer *w, dk_str s)
{
	dk_wr_bytes32(w, dk_slice_of(s));
}

/* Bytes, or a packed capsule. */
static inline void dk_array_add_bytes(struct dk_writer *w, dk_slice bytes)
{
	dk_wr_bytes32(w, bytes);
}

/* ---- capsules ---- */

/* A walk over a packed capsule. */
struct dk_packed {
	struct dk_cursor at;
	uint16_t left;
};

static inline struct dk_packed dk_packed_of(dk_slice capsule)
{
	struct dk_packed p;

	p.at = dk_cursor_of(capsule);
	p.left = dk_rd_u16(&p.at);
	return p;
}

/* False after the last one, and where the bytes make no sense: at.bad is true then. */
static inline bool dk_packed_next(struct dk_packed *p, dk_str *ret_name, struct dk_value *ret_value)
{
	struct dk_value v;
	dk_str name;

	if (p->at.bad || !p->left)
		return false;
	name = dk_str_of(dk_rd_bytes8(&p->at));
	v = dk_value_read(&p->at);
	if (!name.n)
		p->at.bad = true;
	if (p->at.bad)
		return false;
	p->left--;
	*ret_name = name;
	*ret_value = v;
	return true;
}

/* One name of a packed capsule that was checked. Returns 0 or DK_NOT_FOUND. */
static inline int dk_packed_get(dk_slice capsule, dk_str name, struct dk_value *ret_value)
{
	struct dk_packed p = dk_packed_of(capsule);
	struct dk_value v;
	dk_str at;

	while (dk_packed_next(&p, &at, &v))
		if (dk_str_eq(at, name)) {
			*ret_value = v;
			return 0;
		}
	return DK_NOT_FOUND;
}

static inline bool dk_value_ok(const struct dk_value *v, unsigned depth);

/* All of it, whatever is in it, down to depth levels. DK_CAPSULE_NAMES_MAX bounds the work, which grows with its square. */
static inline bool dk_capsule_ok(dk_slice capsule, unsigned depth)
{
	struct dk_packed p = dk_packed_of(capsule), before;
	const uint16_t n = p.left;
	dk_str name, other;
	struct dk_value v, skipped;

	if (!depth || n > DK_CAPSULE_NAMES_MAX)
		return false;
	while (dk_packed_next(&p, &name, &v)) {
		before = dk_packed_of(capsule);
		while (before.left > p.left + 1 && dk_packed_next(&before, &other, &skipped))
			if (dk_str_eq(name, other))
				return false;
		if (!dk_value_ok(&v, depth))
			return false;
	}
	return !p.left && dk_rd_done(&p.at);
}

/* A value that somebody has under a name: its owner is the first of depth levels of capsules. */
static inline bool dk_value_ok(const struct dk_value *v, unsigned depth)
{
	struct dk_array a;
	struct dk_value item;

	if (v->type == DK_V_CAPSULE)
		return depth && dk_capsule_ok(v->as.bytes, depth - 1);
	if (v->type < DK_V_ARRAY)
		return v->type > DK_V_NONE && v->type < DK_V_TYPES;
	if (!depth || v->type == DK_V_ARRAY || v->type >= (DK_V_ARRAY | DK_V_TYPES))
		return false;
	if (dk_value_get_array(v, (enum dk_value_type)(v->type & ~(unsigned)DK_V_ARRAY), &a))
		return false;
	while (dk_array_next(&a, &item))
		if (item.type == DK_V_CAPSULE && !dk_value_ok(&item, depth))
			return false;
	return dk_rd_done(&a.at);
}

#ifdef __cplusplus
}
#endif

#endif
