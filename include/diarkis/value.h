/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A typed value, as users, rooms and capsules keep them under a name. It keeps its type wherever it goes, to another node too;
 * <diarkis/packed.h> has its bytes.
 *
 * Reading is strict, by dk_value_get_*(): whole numbers of any width are read as any width that holds the value, floats as any
 * float that holds it exactly, everything else as what it is. What does not fit is an outcome and never a conversion.
 */
#ifndef DIARKIS_VALUE_H
#define DIARKIS_VALUE_H

#include <diarkis/base.h>
#include <diarkis/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers travel. */
enum dk_value_type {
	DK_V_NONE = 0,
	DK_V_BOOL = 1,
	DK_V_INT = 2, /* 64 bits, signed */
	DK_V_F64 = 3,
	DK_V_STR = 4,
	DK_V_BYTES = 5,
	DK_V_CAPSULE = 6, /* values by name, packed */
	DK_V_I8 = 7,
	DK_V_I16 = 8,
	DK_V_I32 = 9,
	DK_V_U8 = 10,
	DK_V_U16 = 11,
	DK_V_U32 = 12,
	DK_V_U64 = 13,
	DK_V_F32 = 14,
	DK_V_TYPES = 15,
	DK_V_ARRAY = 0x80 /* with one of the others, of which it has many: DK_V_ARRAY_OF() */
};
#define DK_V_ARRAY_OF(type) ((enum dk_value_type)(DK_V_ARRAY | (type)))

/* Text and bytes are borrowed both ways: copied on set; on get valid until the next set or unset of their owner. */
struct dk_value {
	enum dk_value_type type;
	union {
		bool b;
		int64_t i; /* DK_V_INT, I8 ... I32, U8 ... U32 */
		double f; /* both floats */
		dk_str s;
		dk_slice bytes; /* DK_V_BYTES, DK_V_CAPSULE, arrays: their elements in packed form */
		uint64_t u; /* DK_V_U64 */
	} as;
};

struct dk_named_value {
	dk_str name;
	struct dk_value value;
};

/* Outcomes of reading a value. */
enum { DK_VALUE_TYPE = DK_OUTCOME_OWN, DK_VALUE_RANGE };

/* ---- making one ---- */

static inline struct dk_value dk_value_int_(enum dk_value_type type, int64_t i)
{
	struct dk_value v;

	v.type = type;
	v.as.i = i;
	return v;
}

static inline struct dk_value dk_value_f64(double f)
{
	struct dk_value v;

	v.type = DK_V_F64;
	v.as.f = f;
	return v;
}

static inline struct dk_value dk_value_f32(float f)
{
	struct dk_value v = dk_value_f64((double)f);

	v.type = DK_V_F32;
	return v;
}

static inline struct dk_value dk_value_u64(uint64_t u)
{
	struct dk_value v;

	v.type = DK_V_U64;
	v.as.u = u;
	return v;
}

static inline struct dk_value dk_value_bool(bool b)
{
	struct dk_value v;

	v.type = DK_V_BOOL;
	v.as.b = b;
	return v;
}

static inline struct dk_value dk_value_str(dk_str s)
{
	struct dk_value v;

	v.type = DK_V_STR;
	v.as.s = s;
	return v;
}

/* type: DK_V_BYTES, DK_V_CAPSULE or an array. */
static inline struct dk_value dk_value_of_bytes(enum dk_value_type type, dk_slice bytes)
{
	struct dk_value v;

	v.type = type;
	v.as.bytes = bytes;
	return v;
}

static inline struct dk_value dk_value_bytes(dk_slice bytes)
{
	return dk_value_of_bytes(DK_V_BYTES, bytes);
}

static inline struct dk_value dk_value_capsule(dk_slice packed)
{
	return dk_value_of_bytes(DK_V_CAPSULE, packed);
}

/* elements: written by dk_array_add_*() of <diarkis/packed.h>. */
static inline struct dk_value dk_value_array(enum dk_value_type of, dk_slice elements)
{
	return dk_value_of_bytes(DK_V_ARRAY_OF(of), elements);
}

/* ---- reading one ---- */

static inline bool dk_value_is_int(enum dk_value_type type)
{
	return type == DK_V_INT || (type >= DK_V_I8 && type <= DK_V_U64);
}

/* Any whole number between lo and hi. Returns 0, DK_VALUE_TYPE or DK_VALUE_RANGE, as all of these do. */
static inline int dk_value_get_between(const struct dk_value *v, int64_t lo, int64_t hi, int64_t *ret_i)
{
	if (!dk_value_is_int(v->type))
		return DK_VALUE_TYPE;
	if (v->type == DK_V_U64 && v->as.u > INT64_MAX)
		return DK_VALUE_RANGE;
	if (v->as.i < lo || v->as.i > hi) /* as.u up to INT64_MAX has the same bits */
		return DK_VALUE_RANGE;
	*ret_i = v->as.i;
	return 0;
}

/* dk_value_i8() ... dk_value_i64() make one, dk_value_get_i8() ... dk_value_get_i64() read one. */
#define DK_VALUE_INT_(name, T, vtype, lo, hi)                                                                                      \
	static inline struct dk_value dk_value_##name(T x)                                                                         \
	{                                                                                                                          \
		return dk_value_int_(vtype, x);                                                                                    \
	}                                                                                                                          \
	static inline int dk_value_get_##name(const struct dk_value *v, T *ret_x)                                                  \
	{                                                                                                                          \
		int64_t i;                                                                                                         \
		int rc = dk_value_get_between(v, lo, hi, &i);                                                                      \
                                                                                                                                   \
		if (rc == 0)                                                                                                       \
			*ret_x = (T)i;                                                                                             \
		return rc;                                                                                                         \
	}
DK_VALUE_INT_(i8, int8_t, DK_V_I8, INT8_MIN, INT8_MAX)
DK_VALUE_INT_(i16, int16_t, DK_V_I16, INT16_MIN, INT16_MAX)
DK_VALUE_INT_(i32, int32_t, DK_V_I32, INT32_MIN, INT32_MAX)
DK_VALUE_INT_(i64, int64_t, DK_V_INT, INT64_MIN, INT64_MAX)
DK_VALUE_INT_(u8, uint8_t, DK_V_U8, 0, UINT8_MAX)
DK_VALUE_INT_(u16, uint16_t, DK_V_U16, 0, UINT16_MAX)
DK_VALUE_INT_(u32, uint32_t, DK_V_U32, 0, UINT32_MAX)

static inline int dk_value_get_u64(const struct dk_value *v, uint64_t *ret_x)
{
	if (!dk_value_is_int(v->type))
		return DK_VALUE_TYPE;
	if (v->type != DK_V_U64 && v->as.i < 0)
		return DK_VALUE_RANGE;
	*ret_x = v->type == DK_V_U64 ? v->as.u : (uint64_t)v->as.i;
	return 0;
}

static inline int dk_value_get_f64(const struct dk_value *v, double *ret_x)
{
	if (v->type != DK_V_F64 && v->type != DK_V_F32)
		return DK_VALUE_TYPE;
	*ret_x = v->as.f;
	return 0;
}

static inline int dk_value_get_f32(const struct dk_value *v, float *ret_x)
{
	double f;
	int rc = dk_value_get_f64(v, &f);

	if (rc)
		return rc;
	/* 0x1.fffffep127 is the greatest float; beyond it C leaves the conversion open. Not a number and infinities fit. */
	if (f == f && f - f == 0 && (f > 0x1.fffffep127 || f < -0x1.fffffep127 || (double)(float)f != f))
		return DK_VALUE_RANGE;
	*ret_x = (float)f;
	return 0;
}

static inline int dk_value_get_bool(const struct dk_value *v, bool *ret_x)
{
	if (v->type != DK_V_BOOL)
		return DK_VALUE_TYPE;
	*ret_x = v->as.b;
	return 0;
}

static inline int dk_value_get_str(const struct dk_value *v, dk_str *ret_x)
{
	if (v->type != DK_V_STR)
		return DK_VALUE_TYPE;
	*ret_x = v->as.s;
	return 0;
}

static inline int dk_value_get_bytes(const struct dk_value *v, dk_slice *ret_x)
{
	if (v->type != DK_V_BYTES)
		return DK_VALUE_TYPE;
	*ret_x = v->as.bytes;
	return 0;
}

/* The capsule inside, packed. */
static inline int dk_value_get_capsule(const struct dk_value *v, dk_slice *ret_x)
{
	if (v->type != DK_V_CAPSULE)
		return DK_VALUE_TYPE;
	*ret_x = v->as.bytes;
	return 0;
}

#ifdef __cplusplus
}
#endif

#endif
