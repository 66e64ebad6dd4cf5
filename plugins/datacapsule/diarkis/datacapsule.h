/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "datacapsule": maps of typed values that keep their types wherever they go: into a property of a user or room, into
 * another capsule, over the mesh, to another node. What is in a packed capsule can be read without this service, by
 * <diarkis/packed.h>; the service is for making and changing them, and for JSON.
 *
 *   struct dk_capsule *c;
 *   svc->create(svc, self, &c);
 *   dk_capsule_set_u8(svc, c, dk_str_c("level"), 7);
 *   svc->pack(svc, c, &writer);
 *   v = dk_value_capsule(dk_written(&writer));
 *   rooms->set(rooms, room, dk_str_c("state"), &v);
 *
 * Limits: 256 names of 1 to 255 bytes in one level, 8 levels, the option max_bytes for names and values of a capsule together.
 */
#ifndef DIARKIS_DATACAPSULE_H
#define DIARKIS_DATACAPSULE_H

#include <diarkis/packed.h>
#include <diarkis/service.h>

#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_DATACAPSULE_NAME "datacapsule"
#define DK_DATACAPSULE_MAJOR 1
#define DK_DATACAPSULE_MINOR 0
#define DK_DATACAPSULE_TYPE struct dk_datacapsule

/* Outcomes of its own, behind those of reading a value. */
enum { DK_CAPSULE_NO_JSON = DK_VALUE_RANGE + 1 };

#define DK_CAPSULE_WHY 160 /* longest sentence of from_json(), its NUL included */

struct dk_capsule;

struct dk_datacapsule {
	struct dk_service base;

	/* An empty one. Its memory is charged to self, who frees it. Returns 0 or -ENOMEM. */
	int (*create)(struct dk_datacapsule *svc, void *self, struct dk_capsule **ret_capsule);
	void (*free)(struct dk_datacapsule *svc, struct dk_capsule *c); /* NULL is fine */

	/* The value is copied. Returns 0, DK_FULL (names or bytes), -EINVAL (the name; no type; a packed capsule or array that is
	 * none, or makes more than 8 levels) or -ENOMEM. The functions below this struct are typed. */
	int (*set)(struct dk_datacapsule *svc, struct dk_capsule *c, dk_str name, const struct dk_value *value);
	/* A copy of inner, as it is now. */
	int (*set_capsule)(struct dk_datacapsule *svc, struct dk_capsule *c, dk_str name, const struct dk_capsule *inner);
	/* The value as it was set; what it points to is valid until the next change of the capsule. Returns 0 or DK_NOT_FOUND. */
	int (*get)(struct dk_datacapsule *svc, const struct dk_capsule *c, dk_str name, struct dk_value *ret_value);
	/* The capsule under that name, instead of what `into` (another one) holds. Returns 0, DK_NOT_FOUND, DK_VALUE_TYPE,
	 * DK_FULL or -ENOMEM; then `into` is as it was. */
	int (*get_capsule)(struct dk_datacapsule *svc, const struct dk_capsule *c, dk_str name, struct dk_capsule *into);
	int (*unset)(struct dk_datacapsule *svc, struct dk_capsule *c, dk_str name); /* 0 or DK_NOT_FOUND */
	void (*clear)(struct dk_datacapsule *svc, struct dk_capsule *c);

	size_t (*count)(struct dk_datacapsule *svc, const struct dk_capsule *c); /* names of the first level */
	/* Export: all of them, in order of their first set; *at NULL starts, false at the end. Not across a change. */
	bool (*next)(struct dk_datacapsule *svc, const struct dk_capsule *c, const void **at, dk_str *ret_name,
		     struct dk_value *ret_value);
	/* Import: sets all n, or nothing. Returns as set(). */
	int (*import_values)(struct dk_datacapsule *svc, struct dk_capsule *c, const struct dk_named_value *values, size_t n);

	/* Bytes in the form of <diarkis/packed.h>. Room that is missing shows in w->bad. */
	size_t (*packed_size)(struct dk_datacapsule *svc, const struct dk_capsule *c);
	void (*pack)(struct dk_datacapsule *svc, const struct dk_capsule *c, struct dk_writer *w);
	/* Instead of what it holds, from anybody's bytes. Returns 0, DK_FULL, -EPROTO or -ENOMEM; then it is as it was. */
	int (*unpack)(struct dk_datacapsule *svc, struct dk_capsule *c, dk_slice bytes);

	/* What JSON keeps and loses is in the plugin's README. Returns 0, DK_CAPSULE_NO_JSON (text or a name that is no UTF-8, a
	 * float that is no number) or -ENOMEM. Room that is missing shows in w->bad. */
	int (*to_json)(struct dk_datacapsule *svc, const struct dk_capsule *c, struct dk_writer *w);
	/* Instead of what it holds, from anybody's text; one of more than 2 * max_bytes is not even read. why (may be NULL) gets a
	 * sentence with DK_CAPSULE_NO_JSON. Returns 0, DK_CAPSULE_NO_JSON, DK_FULL or -ENOMEM; then it is as it was. */
	int (*from_json)(struct dk_datacapsule *svc, struct dk_capsule *c, dk_str json, char why[DK_CAPSULE_WHY]);
};

/*
 * dk_capsule_set_u8(svc, c, name, x), dk_capsule_get_u8(svc, c, name, &x), and so on. Setters return as set(), getters 0,
 * DK_NOT_FOUND, DK_VALUE_TYPE (it is something else) or DK_VALUE_RANGE (it does not fit): see <diarkis/value.h>.
 */
#define DK_CAPSULE_FIELD_(which, T)                                                                                                \
	static inline int dk_capsule_set_##which(struct dk_datacapsule *svc, struct dk_capsule *c, dk_str name, T x)               \
	{                                                                                                                          \
		struct dk_value v = dk_value_##which(x);                                                                           \
                                                                                                                                   \
		return svc->set(svc, c, name, &v);                                                                                 \
	}                                                                                                                          \
	static inline int dk_capsule_get_##which(struct dk_datacapsule *svc, const struct dk_capsule *c, dk_str name, T *ret_x)    \
	{                                                                                                                          \
		struct dk_value v;                                                                                                 \
		int rc = svc->get(svc, c, name, &v);                                                                               \
                                                                                                                                   \
		return rc ? rc : dk_value_get_##which(&v, ret_x);                                                                  \
	}
DK_CAPSULE_FIELD_(bool, bool)
DK_CAPSULE_FIELD_(i8, int8_t)
DK_CAPSULE_FIELD_(i16, int16_t)
DK_CAPSULE_FIELD_(i32, int32_t)
DK_CAPSULE_FIELD_(i64, int64_t)
DK_CAPSULE_FIELD_(u8, uint8_t)
DK_CAPSULE_FIELD_(u16, uint16_t)
DK_CAPSULE_FIELD_(u32, uint32_t)
DK_CAPSULE_FIELD_(u64, uint64_t)
DK_CAPSULE_FIELD_(f32, float)
DK_CAPSULE_FIELD_(f64, double)
DK_CAPSULE_FIELD_(str, dk_str)
DK_CAPSULE_FIELD_(bytes, dk_slice)

/* elements: what dk_array_add_*() wrote. A writer that ran out of room gives -EINVAL. */
static inline int dk_capsule_set_array(struct dk_datacapsule *svc, struct dk_capsule *c, dk_str name, enum dk_value_type of,
				       const struct dk_writer *elements)
{
	struct dk_value v = dk_value_array(of, dk_written(elements));

	return elements->bad ? -EINVAL : svc->set(svc, c, name, &v);
}

/* Walk it by dk_array_next(), before the next change of the capsule. */
static inline int dk_capsule_get_array(struct dk_datacapsule *svc, const struct dk_capsule *c, dk_str name, enum dk_value_type of,
				       struct dk_array *ret_array)
{
	struct dk_value v;
	int rc = svc->get(svc, c, name, &v);

	return rc ? rc : dk_value_get_array(&v, of, ret_array);
}

/* One more element of an array of capsules. */
static inline void dk_array_add_capsule(struct dk_datacapsule *svc, const struct dk_capsule *c, struct dk_writer *w)
{
	dk_wr_u32(w, (uint32_t)svc->packed_size(svc, c));
	svc->pack(svc, c, w);
}

#ifdef __cplusplus
}
#endif

#endif
