/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capsules as JSON. An object is a capsule, text, truth and numbers are themselves; what JSON has no form for is an object of
 * one member whose name begins with one dollar sign: {"$bytes":"base64"}, {"$u64":"decimal digits"} (only beyond 2^63 - 1). A
 * name of the capsule's own that begins with a dollar sign gets one more.
 *
 * Coming back, whole numbers are 64 bits wide and floats are double; each still reads as the type it had, because it fits.
 */
#include "json.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define EXACT_IN_DOUBLE (INT64_C(1) << 53)

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- out ---- */

static json_t *base64(dk_slice b)
{
	size_t n = (b.n + 2) / 3 * 4;
	char *text = malloc(n ? n : 1);
	json_t *j;

	if (!text)
		return NULL;
	for (size_t i = 0, o = 0; i < b.n; i += 3, o += 4) {
		uint32_t v = (uint32_t)b.p[i] << 16;

		v |= i + 1 < b.n ? (uint32_t)b.p[i + 1] << 8 : 0;
		v |= i + 2 < b.n ? b.p[i + 2] : 0;
		text[o] = digits[v >> 18];
		text[o + 1] = digits[v >> 12 & 63];
		text[o + 2] = digits[v >> 6 & 63];
		text[o + 3] = digits[v & 63];
		if (i + 1 >= b.n)
			text[o + 2] = '=';
		if (i + 2 >= b.n)
			text[o + 3] = '=';
	}
	j = json_stringn_nocheck(text, n);
	free(text);
	return j;
}

static json_t *marked(const char *mark, json_t *what)
{
	json_t *j = json_object();

	if (!what || json_object_set_new_nocheck(j, mark, what) != 0) { /* takes `what` in any case */
		json_decref(j);
		return NULL;
	}
	return j;
}

static json_t *object_of(dk_slice packed);

static json_t *value_of(const struct dk_value *v)
{
	char text[24];
	struct dk_array a;
	struct dk_value item;
	json_t *list;

	switch (v->type) {
	case DK_V_BOOL:
		return json_boolean(v->as.b);
	case DK_V_F32:
	case DK_V_F64:
		return json_real(v->as.f); /* NULL for what is no number */
	case DK_V_STR:
		return json_stringn(v->as.s.p ? v->as.s.p : "", v->as.s.n); /* NULL for what is no UTF-8 */
	case DK_V_BYTES:
		return marked("$bytes", base64(v->as.bytes));
	case DK_V_CAPSULE:
		return object_of(v->as.bytes);
	case DK_V_U64:
		if (v->as.u <= INT64_MAX)
			return json_integer((json_int_t)v->as.u);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)v->as.u);
		return marked("$u64", json_string(text));
	default:
		if (v->type < DK_V_ARRAY)
			return json_integer(v->as.i);
	}
	list = json_array();
	if (!list || dk_value_get_array(v, (enum dk_value_type)(v->type & ~(unsigned)DK_V_ARRAY), &a) != 0)
		goto fail;
	while (dk_array_next(&a, &item))
		if (json_array_append_new(list, value_of(&item)) != 0)
			goto fail;
	return list;
fail:
	json_decref(list);
	return NULL;
}

static json_t *object_of(dk_slice packed)
{
	struct dk_packed p = dk_packed_of(packed);
	json_t *object = json_object();
	struct dk_value v;
	dk_str name;

	while (object && dk_packed_next(&p, &name, &v)) {
		char key[1 + UINT8_MAX + 1] = "$";
		size_t at = name.p[0] == '$';

		memcpy(key + at, name.p, name.n);
		key[at + name.n] = '\0';
		if (strlen(key) != at + name.n || json_object_set_new(object, key, value_of(&v)) != 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

int capsule_to_json(dk_slice packed, struct dk_writer *w)
{
	json_t *object = object_of(packed);
	size_t room = w->bad ? 0 : (size_t)(w->end - w->p), n;

	/* Without memory this is the wrong name for it, but there is nothing else the caller could do. */
	if (!object)
		return DK_CAPSULE_NO_JSON;
	n = json_dumpb(object, (char *)w->p, room, JSON_COMPACT);
	json_decref(object);
	if (!n)
		return -ENOMEM;
	dk_wr_take(w, n);
	return 0;
}

/* ---- in ---- */

struct reading {
	struct dk_writer *w;
	char *why; /* DK_CAPSULE_WHY bytes; empty until something is wrong */
};

static void __attribute__((format(printf, 2, 3))) wrong(struct reading *r, const char *fmt, ...)
{
	va_list ap;

	if (r->why[0])
		return;
	va_start(ap, fmt);
	vsnprintf(r->why, DK_CAPSULE_WHY, fmt, ap);
	va_end(ap);
}

static uint8_t *open_length(struct dk_writer *w)
{
	return dk_wr_take(w, 4);
}

static void close_length(struct dk_writer *w, uint8_t *at)
{
	struct dk_writer length = dk_writer_on(at, 4);

	if (!w->bad)
		dk_wr_u32(&length, (uint32_t)(w->p - at - 4));
}

static int digit(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Strict: whole groups, padding at the end alone, no bits set that mean nothing. */
static void read_base64(struct reading *r, json_t *text)
{
	const char *s = json_string_value(text);
	size_t n = json_string_length(text), pad = 0;

	while (pad < 2 && pad < n && s[n - 1 - pad] == '=')
		pad++;
	if (n % 4) {
		wrong(r, "$bytes: %zu characters of base64 are no whole groups of 4", n);
		return;
	}
	dk_wr_u32(r->w, (uint32_t)(n / 4 * 3 - pad));
	for (size_t i = 0; i < n; i += 4) {
		size_t drop = i + 4 == n ? pad : 0;
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			int d = k >= 4 - drop ? 0 : digit(s[i + k]);

			if (d < 0) {
				wrong(r, "$bytes: character %zu is not of base64", i + k + 1);
				return;
			}
			v = v << 6 | (uint32_t)d;
		}
		if (drop && (v & (drop == 2 ? 0xffff : 0xff))) {
			wrong(r, "$bytes: bits are left over after the last byte");
			return;
		}
		dk_wr_u8(r->w, (uint8_t)(v >> 16));
		if (drop < 2)
			dk_wr_u8(r->w, (uint8_t)(v >> 8));
		if (drop < 1)
			dk_wr_u8(r->w, (uint8_t)v);
	}
}

/* Decimal digits without a sign or a leading zero, at most 2^64 - 1. */
static bool read_u64(json_t *text, uint64_t *ret_u)
{
	const char *s = json_string_value(text);
	size_t n = json_string_length(text);
	uint64_t u = 0;

	if (!n || (n > 1 && s[0] == '0'))
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(u, (uint64_t)10, &u) ||
		    __builtin_add_overflow(u, (uint64_t)(s[i] - '0'), &u))
			return false;
	*ret_u = u;
	return true;
}

/* What a JSON value becomes; DK_V_ARRAY for any array, DK_V_NONE for null. */
static enum dk_value_type type_of(json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_TRUE:
	case JSON_FALSE:
		return DK_V_BOOL;
	case JSON_INTEGER:
		return DK_V_INT;
	case JSON_REAL:
		return DK_V_F64;
	case JSON_STRING:
		return DK_V_STR;
	case JSON_ARRAY:
		return DK_V_ARRAY;
	case JSON_NULL:
		return DK_V_NONE;
	case JSON_OBJECT:
		break;
	}
	if (json_object_size(j) == 1 && json_is_string(json_object_get(j, "$bytes")))
		return DK_V_BYTES;
	if (json_object_size(j) == 1 && json_is_string(json_object_get(j, "$u64")))
		return DK_V_U64;
	return DK_V_CAPSULE;
}

/* The type that holds both, or DK_V_NONE. */
static enum dk_value_type common(enum dk_value_type a, enum dk_value_type b)
{
	if (a == b)
		return a;
	if ((a == DK_V_INT && b == DK_V_F64) || (a == DK_V_F64 && b == DK_V_INT))
		return DK_V_F64;
	if ((a == DK_V_INT && b == DK_V_U64) || (a == DK_V_U64 && b == DK_V_INT))
		return DK_V_U64;
	return DK_V_NONE;
}

static void read_object(struct reading *r, json_t *object, unsigned depth);

/* j as a value of that type, without the type; its own, or one that common() chose. */
static void read_bare(struct reading *r, json_t *j, enum dk_value_type type, unsigned depth)
{
	json_int_t i = json_integer_value(j);
	uint64_t u = (uint64_t)i;
	uint8_t *length;

	switch (type) {
	case DK_V_BOOL:
		dk_wr_u8(r->w, json_is_true(j));
		break;
	case DK_V_INT:
		dk_wr_u64(r->w, u);
		break;
	case DK_V_F64:
		if (json_is_integer(j) && (i > EXACT_IN_DOUBLE || i < -EXACT_IN_DOUBLE))
			wrong(r, "an array has floats, and a whole number that no float is equal to");
		dk_wr_f64(r->w, json_number_value(j));
		break;
	case DK_V_STR:
		dk_wr_bytes32(r->w, dk_slice_n(json_string_value(j), json_string_length(j)));
		break;
	case DK_V_BYTES:
		read_base64(r, json_object_get(j, "$bytes"));
		break;
	case DK_V_U64:
		if (json_is_integer(j) ? i < 0 : !read_u64(json_object_get(j, "$u64"), &u))
			wrong(r, "$u64: expected digits of a number up to 18446744073709551615");
		dk_wr_u64(r->w, u);
		break;
	default:
		length = open_length(r->w);
		read_object(r, j, depth);
		close_length(r->w, length);
	}
}

static void read_array(struct reading *r, json_t *array, unsigned depth)
{
	enum dk_value_type type = DK_V_INT; /* an array of nothing reads as one of anything */
	uint8_t *length;
	json_t *item;
	size_t i;

	json_array_foreach(array, i, item) type = i ? common(type, type_of(item)) : type_of(item);
	if (type == DK_V_NONE || type == DK_V_ARRAY) {
		wrong(r, "an array must have elements of one type, and neither null nor arrays");
		return;
	}
	dk_wr_u8(r->w, (uint8_t)DK_V_ARRAY_OF(type));
	length = open_length(r->w);
	json_array_foreach(array, i, item) read_bare(r, item, type, depth);
	close_length(r->w, length);
}

static void read_object(struct reading *r, json_t *object, unsigned depth)
{
	uint8_t *count = dk_wr_take(r->w, 2);
	struct dk_writer head = dk_writer_on(count, 2);
	uint16_t n = 0;
	const char *key;
	json_t *j;

	if (!depth) {
		wrong(r, "objects are nested deeper than %d", DK_CAPSULE_DEPTH_MAX);
		return;
	}
	json_object_foreach(object, key, j)
	{
		enum dk_value_type type = type_of(j);
		dk_str name;

		if (r->why[0] || r->w->bad)
			return;
		if (type == DK_V_NONE)
			continue;
		if (key[0] == '$' && key[1] != '$')
			wrong(r,
			      "%.40s: expected $bytes or $u64 with a text, alone in its object; a name of your own begins with $$",
			      key);
		name = dk_str_c(key + (key[0] == '$'));
		if (!name.n || name.n > UINT8_MAX || n == DK_CAPSULE_NAMES_MAX)
			wrong(r, "expected at most %d names of 1 to %d bytes in an object", DK_CAPSULE_NAMES_MAX, UINT8_MAX);
		n++;
		dk_wr_bytes8(r->w, dk_slice_of(name));
		if (type == DK_V_ARRAY) {
			read_array(r, j, depth - 1);
		} else {
			dk_wr_u8(r->w, (uint8_t)type);
			read_bare(r, j, type, depth - 1);
		}
	}
	if (!r->w->bad)
		dk_wr_u16(&head, n);
}

int capsule_from_json(dk_str json, struct dk_writer *w, char why[DK_CAPSULE_WHY])
{
	struct reading r = { .w = w, .why = why };
	json_error_t error;
	json_t *j = json_loadb(json.p ? json.p : "", json.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);

	why[0] = '\0';
	if (!j && json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	if (!j)
		wrong(&r, "line %d: %.120s", error.line, error.text);
	else if (!json_is_object(j))
		wrong(&r, "expected a JSON object, {\"name\":value}, found something else");
	else
		read_object(&r, j, DK_CAPSULE_DEPTH_MAX);
	json_decref(j);
	return why[0] ? DK_CAPSULE_NO_JSON : 0;
}

/* The worst is an array of small numbers: two characters each, eight bytes. */
size_t capsule_from_json_room(size_t n)
{
	return n * 4 + 16;
}
