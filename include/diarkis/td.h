/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed data between nodes: what a payload has in it is declared once, as a table of names and types, and every set and get is
 * checked against that table. Nothing here allocates: values are borrowed until they are packed, and after unpacking they lie
 * in the payload.
 *
 *   static const struct dk_td_field status_fields[] = { { "in_room", DK_V_BOOL }, { "uid", DK_V_STR },
 *   						       { "sessions", DK_V_ARRAY_OF(DK_V_STR) } };
 *   DK_TD(status, status_fields);
 *
 *   dk_td_set_str(&status, "uid", uid);
 *   dk_td_set_bool(&status, "in_room", true);
 *   dk_td_pack(&status, &writer);
 *
 * Packed it is a capsule of the fields that were set (<diarkis/packed.h>). Names travel, so nodes of two versions understand
 * each other: a name that the table does not have is passed over, one that did not come reads as not there.
 */
#ifndef DIARKIS_TD_H
#define DIARKIS_TD_H

#include <diarkis/packed.h>

#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dk_td_field {
	const char *name; /* 1 to 255 bytes */
	enum dk_value_type type;
};

/* One such payload, being made or read. values has a place for each field; DK_V_NONE = not set. */
struct dk_td {
	const struct dk_td_field *fields;
	struct dk_value *values;
	uint16_t n;
};

/* fields: static, at most DK_CAPSULE_NAMES_MAX. values: the caller's, n of them, cleared here. */
static inline struct dk_td dk_td_on(const struct dk_td_field *fields, struct dk_value *values, size_t n)
{
	struct dk_td td;

	td.fields = fields;
	td.values = values;
	td.n = (uint16_t)n;
	memset(values, 0, n * sizeof(*values));
	return td;
}

/* Declares the variable td with its values, in the enclosing block. */
#define DK_TD(td, table)                                                                                                           \
	struct dk_value td##_values[DK_ARRAY_LEN(table)];                                                                          \
	struct dk_td td = dk_td_on(table, td##_values, DK_ARRAY_LEN(table))

static inline void dk_td_clear(struct dk_td *td)
{
	memset(td->values, 0, td->n * sizeof(*td->values));
}

/* The place of a field, or NULL: the table has no such name, or has it with another type. */
static inline struct dk_value *dk_td_at(const struct dk_td *td, const char *name, enum dk_value_type type)
{
	for (uint16_t i = 0; i < td->n; i++)
		if (strcmp(td->fields[i].name, name) == 0)
			return td->fields[i].type == type ? &td->values[i] : NULL;
	return NULL;
}

/* Returns 0 or -EINVAL (no such field, or of another type), as all setters do. What value points to is borrowed. */
static inline int dk_td_set(struct dk_td *td, const char *name, const struct dk_value *value)
{
	struct dk_value *at = dk_td_at(td, name, value->type);

	if (!at)
		return -EINVAL;
	*at = *value;
	return 0;
}

/* Returns 0, DK_NOT_FOUND (not set) or -EINVAL (no such field, or of another type), as all getters do. */
static inline int dk_td_get(const struct dk_td *td, const char *name, enum dk_value_type type, struct dk_value *ret_value)
{
	const struct dk_value *at = dk_td_at(td, name, type);

	if (!at)
		return -EINVAL;
	if (at->type == DK_V_NONE)
		return DK_NOT_FOUND;
	*ret_value = *at;
	return 0;
}

/* dk_td_set_u8(td, name, x), dk_td_get_u8(td, name, &x), and so on. */
#define DK_TD_FIELD_(which, T, vtype)                                                                                              \
	static inline int dk_td_set_##which(struct dk_td *td, const char *name, T x)                                               \
	{                                                                                                                          \
		struct dk_value v = dk_value_##which(x);                                                                           \
                                                                                                                                   \
		return dk_td_set(td, name, &v);                                                                                    \
	}                                                                                                                          \
	static inline int dk_td_get_##which(const struct dk_td *td, const char *name, T *ret_x)                                    \
	{                                                                                                                          \
		struct dk_value v;                                                                                                 \
		int rc = dk_td_get(td, name, vtype, &v);                                                                           \
                                                                                                                                   \
		return rc ? rc : dk_value_get_##which(&v, ret_x);                                                                  \
	}
DK_TD_FIELD_(bool, bool, DK_V_BOOL)
DK_TD_FIELD_(i8, int8_t, DK_V_I8)
DK_TD_FIELD_(i16, int16_t, DK_V_I16)
DK_TD_FIELD_(i32, int32_t, DK_V_I32)
DK_TD_FIELD_(i64, int64_t, DK_V_INT)
DK_TD_FIELD_(u8, uint8_t, DK_V_U8)
DK_TD_FIELD_(u16, uint16_t, DK_V_U16)
DK_TD_FIELD_(u32, uint32_t, DK_V_U32)
DK_TD_FIELD_(u64, uint64_t, DK_V_U64)
DK_TD_FIELD_(f32, float, DK_V_F32)
DK_TD_FIELD_(f64, double, DK_V_F64)
DK_TD_FIELD_(str, dk_str, DK_V_STR)
DK_TD_FIELD_(bytes, dk_slice, DK_V_BYTES)
DK_TD_FIELD_(capsule, dk_slice, DK_V_CAPSULE) /* packed, and checked if it came from outside */

/*
 * Arrays: the elements are what dk_array_add_*() of <diarkis/packed.h> wrote into a buffer of the caller's; of u8 they are the
 * bytes themselves. Read them with dk_array_next(). A writer that ran out of room gives -EINVAL.
 */
static inline int dk_td_set_array(struct dk_td *td, const char *name, enum dk_value_type of, const struct dk_writer *elements)
{
	struct dk_value v = dk_value_array(of, dk_written(elements));

	return elements->bad ? -EINVAL : dk_td_set(td, name, &v);
}

static inline int dk_td_get_array(const struct dk_td *td, const char *name, enum dk_value_type of, struct dk_array *ret_array)
{
	struct dk_value v;
	int rc = dk_td_get(td, name, DK_V_ARRAY_OF(of), &v);

	return rc ? rc : dk_value_get_array(&v, of, ret_array);
}

static inline int dk_td_set_u8s(struct dk_td *td, const char *name, dk_slice bytes)
{
	struct dk_value v = dk_value_array(DK_V_U8, bytes);

	return dk_td_set(td, name, &v);
}

static inline int dk_td_get_u8s(const struct dk_td *td, const char *name, dk_slice *ret_bytes)
{
	struct dk_value v;
	int rc = dk_td_get(td, name, DK_V_ARRAY_OF(DK_V_U8), &v);

	if (rc == 0)
		*ret_bytes = v.as.bytes;
	return rc;
}

/* ---- bytes ---- */

/* What was set, in the order of the table. Room that is missing shows in w->bad. */
static inline void dk_td_pack(const struct dk_td *td, struct dk_writer *w)
{
	uint16_t n = 0;

	for (uint16_t i = 0; i < td->n; i++)
		n += td->values[i].type != DK_V_NONE;
	dk_wr_u16(w, n);
	for (uint16_t i = 0; i < td->n; i++) {
		if (td->values[i].type == DK_V_NONE)
			continue;
		dk_wr_bytes8(w, dk_slice_of(dk_str_c(td->fields[i].name)));
		dk_value_write(w, &td->values[i]);
	}
}

/* Into td, whatever it held before; texts and bytes are borrowed from the payload. Returns 0 or -EPROTO (no capsule, or a field
 * with another type than the table's); then nothing is set. */
static inline int dk_td_unpack(struct dk_td *td, dk_slice payload)
{
	struct dk_packed p = dk_packed_of(payload);
	struct dk_value v;
	dk_str name;

	dk_td_clear(td);
	if (!dk_capsule_ok(payload, DK_CAPSULE_DEPTH_MAX))
		return -EPROTO;
	while (dk_packed_next(&p, &name, &v))
		for (uint16_t i = 0; i < td->n; i++) {
			if (!dk_str_eq(name, dk_str_c(td->fields[i].name)))
				continue;
			if (td->fields[i].type != v.type) {
				dk_td_clear(td);
				return -EPROTO;
			}
			td->values[i] = v;
			break;
		}
	return 0;
}

#ifdef __cplusplus
}
#endif

#endif
