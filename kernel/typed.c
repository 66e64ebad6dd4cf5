/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to C arguments and back: decodes a payload by a row's parameter list and calls the handler through libffi, of which
 * this file is the only user. One cif per row, prepared at boot. Also the text form of payloads, for people and task files.
 */
#include "kernel.h"

#include <errno.h>
#include <ffi.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ARGS_MAX 12

struct typed {
	const struct dk_command *row;
	size_t n;
	ffi_cif cif;
	ffi_type *args[ARGS_MAX + 2];
	ffi_type slice, list; /* filled by libffi, hence one per row and no global */
	ffi_type *slice_parts[3], *list_parts[3];
};

union value {
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	float f32;
	double f64;
	bool flag;
	dk_slice slice;
	dk_str str;
	struct dk_list list;
	const struct dk_id52 *id52;
};

static const char *const names[DK_T_COUNT] = { "",    "u8",   "u16",   "u32",   "u64",     "i8",      "i16",  "i32",  "i64", "f32",
					       "f64", "flag", "str16", "str32", "bytes16", "bytes32", "id52", "strs", "rest" };

const char *typed_name(uint8_t type)
{
	return type < DK_T_COUNT ? names[type] : "?";
}

static ffi_type *type_of(struct typed *t, uint8_t type)
{
	switch (type) {
	case DK_T_U8:
	case DK_T_FLAG:
		return &ffi_type_uint8;
	case DK_T_U16:
		return &ffi_type_uint16;
	case DK_T_U32:
		return &ffi_type_uint32;
	case DK_T_U64:
		return &ffi_type_uint64;
	case DK_T_I8:
		return &ffi_type_sint8;
	case DK_T_I16:
		return &ffi_type_sint16;
	case DK_T_I32:
		return &ffi_type_sint32;
	case DK_T_I64:
		return &ffi_type_sint64;
	case DK_T_F32:
		return &ffi_type_float;
	case DK_T_F64:
		return &ffi_type_double;
	case DK_T_STR16:
	case DK_T_STR32:
	case DK_T_BYTES16:
	case DK_T_BYTES32:
	case DK_T_REST:
		return &t->slice;
	case DK_T_STRS:
		return &t->list;
	case DK_T_ID52:
		return &ffi_type_pointer;
	default:
		return NULL;
	}
}

int typed_prepare(const struct dk_command *row, struct typed **ret_typed, char *why, size_t why_n)
{
	struct typed *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->row = row;
	t->slice_parts[0] = &ffi_type_pointer;
	t->slice_parts[1] = sizeof(size_t) == 8 ? &ffi_type_uint64 : &ffi_type_uint32;
	t->slice = (ffi_type){ .type = FFI_TYPE_STRUCT, .elements = t->slice_parts };
	t->list_parts[0] = &t->slice;
	t->list_parts[1] = &ffi_type_uint16;
	t->list = (ffi_type){ .type = FFI_TYPE_STRUCT, .elements = t->list_parts };
	t->args[0] = t->args[1] = &ffi_type_pointer;
	for (const struct dk_param *p = row->in; p && p->type; p++) {
		ffi_type *ft = type_of(t, p->type);

		if (!ft || t->n == ARGS_MAX) {
			snprintf(why, why_n,
				 "parameter %zu (%s) has type %u, which this kernel does not know, or there are more than %d",
				 t->n + 1, p->name, p->type, ARGS_MAX);
			free(t);
			return -EINVAL;
		}
		if (p->type == DK_T_REST && p[1].type) {
			snprintf(why, why_n, "parameter %s takes the rest of the payload, so it must be the last", p->name);
			free(t);
			return -EINVAL;
		}
		if ((row->flags & DK_PUFFER) && p != row->in && strcmp(p[-1].name, p->name) > 0) {
			snprintf(why, why_n, "puffer fields stand in alphabetical order, but %s follows %s", p->name, p[-1].name);
			free(t);
			return -EINVAL;
		}
		t->args[2 + t->n++] = ft;
	}
	for (const struct dk_param *p = row->out; (row->flags & DK_PUFFER) && p && p->type && p[1].type; p++)
		if (strcmp(p->name, p[1].name) > 0) {
			snprintf(why, why_n, "puffer fields stand in alphabetical order, but in the answer %s follows %s",
				 p[1].name, p->name);
			free(t);
			return -EINVAL;
		}
	if (!(row->flags & DK_RAW) &&
	    ffi_prep_cif(&t->cif, FFI_DEFAULT_ABI, (unsigned)t->n + 2, &ffi_type_sint, t->args) != FFI_OK) {
		snprintf(why, why_n, "libffi cannot prepare a call with its %zu parameters", t->n);
		free(t);
		return -EINVAL;
	}
	*ret_typed = t;
	return 0;
}

void typed_free(struct typed *t)
{
	free(t);
}

static bool is_id52(const uint8_t *p)
{
	for (int i = 0; i < DK_ID52_LEN; i++)
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
			return false;
	return true;
}

static void rd_value(struct dk_cursor *c, uint8_t type, bool puffer, union value *v)
{
	const uint8_t *start;

	switch (type) {
	case DK_T_U8:
	case DK_T_I8:
		v->u8 = dk_rd_u8(c);
		return;
	case DK_T_U16:
	case DK_T_I16:
		v->u16 = dk_rd_u16(c);
		return;
	case DK_T_U32:
	case DK_T_I32:
		v->u32 = dk_rd_u32(c);
		return;
	case DK_T_U64:
	case DK_T_I64:
		v->u64 = dk_rd_u64(c);
		return;
	case DK_T_F32:
		v->f32 = dk_rd_f32(c);
		return;
	case DK_T_F64:
		v->f64 = dk_rd_f64(c);
		return;
	case DK_T_FLAG: {
		uint8_t b = dk_rd_u8(c);

		if (puffer ? b != 1 && b != 2 : b > 1)
			c->bad = true;
		v->flag = b == 1;
		return;
	}
	case DK_T_STR16:
	case DK_T_BYTES16:
		v->slice = dk_rd_bytes16(c);
		return;
	case DK_T_STR32:
	case DK_T_BYTES32:
		v->slice = dk_rd_bytes32(c);
		return;
	case DK_T_ID52:
		start = dk_rd_take(c, DK_ID52_LEN);
		if (start && !is_id52(start))
			c->bad = true;
		v->id52 = (const void *)start;
		return;
	case DK_T_STRS:
		v->list.n = dk_rd_u16(c);
		start = c->p;
		for (uint16_t i = 0; i < v->list.n && !c->bad; i++)
			dk_rd_bytes16(c);
		v->list.bytes = dk_slice_n(start, (size_t)(c->p - start));
		return;
	case DK_T_REST:
		v->slice = dk_rd_rest(c);
		return;
	default:
		c->bad = true;
	}
}

int typed_call(const struct typed *t, void *self, struct dk_call *call, const char **ret_why)
{
	union value values[ARGS_MAX];
	void *args[ARGS_MAX + 2] = { &self, &call };
	struct dk_cursor c = dk_cursor_of(call->payload);
	bool puffer = (t->row->flags & DK_PUFFER) != 0;
	ffi_arg rc = 0;

	for (size_t i = 0; i < t->n; i++) {
		rd_value(&c, t->row->in[i].type, puffer, &values[i]);
		if (c.bad) {
			*ret_why = t->row->in[i].name;
			return TYPED_BAD;
		}
		args[i + 2] = &values[i];
	}
	if (!dk_rd_done(&c)) {
		*ret_why = NULL;
		return TYPED_BAD;
	}
	ffi_call((ffi_cif *)(uintptr_t)&t->cif, t->row->fn, &rc, args);
	return (int)rc;
}

/* ---- text ---- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool wr_hex(struct dk_writer *w, dk_str s)
{
	if (s.n % 2)
		return false;
	for (size_t i = 0; i < s.n; i += 2) {
		int hi = hex_digit(s.p[i]), lo = hex_digit(s.p[i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		dk_wr_u8(w, (uint8_t)(hi << 4 | lo));
	}
	return true;
}

static bool wr_number(struct dk_writer *w, uint8_t type, const char *s)
{
	static const uint8_t size[] = { [DK_T_U8] = 1, [DK_T_U16] = 2, [DK_T_U32] = 4, [DK_T_U64] = 8,
					[DK_T_I8] = 1, [DK_T_I16] = 2, [DK_T_I32] = 4, [DK_T_I64] = 8 };
	bool is_signed = type >= DK_T_I8;
	unsigned bits = size[type] * 8u;
	uint64_t v;
	char *end;

	errno = 0;
	v = is_signed ? (uint64_t)strtoll(s, &end, 0) : strtoull(s, &end, 0);
	if (errno || end == s || *end || (!is_signed && strchr(s, '-')))
		return false;
	if (bits < 64 &&
	    (is_signed ? (int64_t)v < -(INT64_C(1) << (bits - 1)) || (int64_t)v >= INT64_C(1) << (bits - 1) : v >> bits))
		return false;
	for (unsigned b = bits; b > 0; b -= 8)
		dk_wr_u8(w, (uint8_t)(v >> (b - 8)));
	return true;
}

static bool wr_text(struct dk_writer *w, const struct dk_param *p, bool puffer, dk_str arg)
{
	char s[64], *end;
	struct dk_writer before = *w;

	snprintf(s, sizeof(s), DK_STR_FMT, DK_STR_ARG(arg));
	switch (p->type) {
	case DK_T_F32:
	case DK_T_F64: {
		double d = strtod(s, &end);

		if (end == s || *end || arg.n >= sizeof(s))
			return false;
		if (p->type == DK_T_F32)
			dk_wr_f32(w, (float)d);
		else
			dk_wr_f64(w, d);
		return true;
	}
	case DK_T_FLAG:
		if (strcmp(s, "true") && strcmp(s, "false") && strcmp(s, "1") && strcmp(s, "0"))
			return false;
		dk_wr_u8(w, *s == 't' || *s == '1' ? 1 : puffer ? 2 : 0);
		return true;
	case DK_T_STR16:
		dk_wr_bytes16(w, dk_slice_of(arg));
		return true;
	case DK_T_STR32:
		dk_wr_bytes32(w, dk_slice_of(arg));
		return true;
	case DK_T_BYTES16:
		dk_wr_u16(w, (uint16_t)(arg.n / 2));
		return arg.n / 2 <= UINT16_MAX && wr_hex(w, arg);
	case DK_T_BYTES32:
		dk_wr_u32(w, (uint32_t)(arg.n / 2));
		return wr_hex(w, arg);
	case DK_T_ID52:
		dk_wr_slice(w, dk_slice_of(arg));
		return arg.n == DK_ID52_LEN && is_id52((const uint8_t *)arg.p);
	case DK_T_STRS: {
		uint16_t n = 0;

		dk_wr_u16(w, 0);
		while (arg.n) {
			const char *comma = memchr(arg.p, ',', arg.n);
			size_t len = comma ? (size_t)(comma - arg.p) : arg.n;

			dk_wr_bytes16(w, dk_slice_n(arg.p, len));
			n++;
			arg = comma ? dk_str_n(comma + 1, arg.n - len - 1) : dk_str_n(NULL, 0);
		}
		dk_wr_u16(&before, n);
		return true;
	}
	case DK_T_REST:
		if (arg.n > 4 && !memcmp(arg.p, "hex:", 4))
			return wr_hex(w, dk_str_n(arg.p + 4, arg.n - 4));
		dk_wr_slice(w, dk_slice_of(arg));
		return true;
	default:
		return arg.n < sizeof(s) && wr_number(w, p->type, s);
	}
}

int typed_encode(const struct dk_command *row, const dk_str *args, size_t n, struct dk_writer *w, char *why, size_t why_n)
{
	size_t want = 0;

	while (row->in && row->in[want].type)
		want++;
	/* A last parameter that takes the rest may be left out: it is empty then. */
	if (n != want && !(n + 1 == want && row->in[want - 1].type == DK_T_REST)) {
		size_t at = (size_t)snprintf(why, why_n, "%s takes %zu parameters (", row->name, want);

		for (size_t i = 0; i < want && at < why_n; i++)
			at += (size_t)snprintf(why + at, why_n - at, "%s%s %s", i ? ", " : "", typed_name(row->in[i].type),
					       row->in[i].name);
		if (at < why_n)
			snprintf(why + at, why_n - at, "), but %zu were given", n);
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++)
		if (!wr_text(w, &row->in[i], (row->flags & DK_PUFFER) != 0, args[i])) {
			snprintf(why, why_n, "%s: \"%.*s\" is no %s, which its parameter %s wants", row->name,
				 (int)(args[i].n < 64 ? args[i].n : 64), args[i].p ? args[i].p : "", typed_name(row->in[i].type),
				 row->in[i].name);
			return -EINVAL;
		}
	if (w->bad) {
		snprintf(why, why_n, "%s: the parameters are too long together", row->name);
		return -EINVAL;
	}
	return 0;
}

static size_t hex_text(char *buf, size_t n, dk_slice s)
{
	size_t at = 0;

	for (size_t i = 0; i < s.n && at + 2 < n; i++)
		at += (size_t)snprintf(buf + at, n - at, "%02x", s.p[i]);
	return at;
}

static bool printable(dk_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

void typed_text(const struct dk_param *params, bool puffer, dk_slice payload, char *buf, size_t n)
{
	struct dk_cursor c = dk_cursor_of(payload);
	size_t at = 0;

	if (!n)
		return;
	buf[0] = '\0';
	for (const struct dk_param *p = params; p && p->type && at + 1 < n; p++) {
		union value v;

		rd_value(&c, p->type, puffer, &v);
		if (c.bad)
			break;
		at += (size_t)snprintf(buf + at, n - at, "%s%s=", p == params ? "" : " ", p->name);
		if (at >= n)
			return;
		switch (p->type) {
		case DK_T_U8:
			at += (size_t)snprintf(buf + at, n - at, "%u", v.u8);
			break;
		case DK_T_U16:
			at += (size_t)snprintf(buf + at, n - at, "%u", v.u16);
			break;
		case DK_T_U32:
			at += (size_t)snprintf(buf + at, n - at, "%u", v.u32);
			break;
		case DK_T_U64:
			at += (size_t)snprintf(buf + at, n - at, "%llu", (unsigned long long)v.u64);
			break;
		case DK_T_I8:
			at += (size_t)snprintf(buf + at, n - at, "%d", (int8_t)v.u8);
			break;
		case DK_T_I16:
			at += (size_t)snprintf(buf + at, n - at, "%d", (int16_t)v.u16);
			break;
		case DK_T_I32:
			at += (size_t)snprintf(buf + at, n - at, "%d", (int32_t)v.u32);
			break;
		case DK_T_I64:
			at += (size_t)snprintf(buf + at, n - at, "%lld", (long long)v.u64);
			break;
		case DK_T_F32:
			at += (size_t)snprintf(buf + at, n - at, "%g", (double)v.f32);
			break;
		case DK_T_F64:
			at += (size_t)snprintf(buf + at, n - at, "%g", v.f64);
			break;
		case DK_T_FLAG:
			at += (size_t)snprintf(buf + at, n - at, "%s", v.flag ? "true" : "false");
			break;
		case DK_T_ID52:
			at += (size_t)snprintf(buf + at, n - at, "%.*s", DK_ID52_LEN, v.id52->c);
			break;
		case DK_T_STRS: {
			struct dk_list l = v.list;
			dk_str s;

			for (size_t i = 0; dk_list_next(&l, &s) && at < n; i++)
				at += (size_t)snprintf(buf + at, n - at, "%s" DK_STR_FMT, i ? "," : "", DK_STR_ARG(s));
			break;
		}
		default:
			if ((p->type == DK_T_STR16 || p->type == DK_T_STR32 || p->type == DK_T_REST) && printable(v.slice))
				at += (size_t)snprintf(buf + at, n - at, "%.*s", (int)v.slice.n,
						       v.slice.n ? (const char *)v.slice.p : "");
			else
				at += hex_text(buf + at, n - at, v.slice);
		}
	}
	if (at < n && c.bad)
		snprintf(buf + at, n - at, " (cut short)");
	else if (at < n && c.p != c.end)
		snprintf(buf + at, n - at, " (and %zu bytes more)", dk_rd_left(&c));
}
