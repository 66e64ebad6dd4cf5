/* SPDX-License-Identifier: Apache-2.0 */
/* See payload.h. */
#include "payload.h"

#include <diarkis/util.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const names[DK_T_COUNT] = { "",    "u8",   "u16",   "u32",   "u64",     "i8",      "i16",  "i32",  "i64", "f32",
					       "f64", "flag", "str16", "str32", "bytes16", "bytes32", "id52", "strs", "rest" };

const char *payload_type_name(uint8_t type)
{
	return type < DK_T_COUNT ? names[type] : "?";
}

static bool is_id52(const uint8_t *p)
{
	for (int i = 0; i < DK_ID52_LEN; i++)
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
			return false;
	return true;
}

void payload_read(struct dk_cursor *c, uint8_t type, bool puffer, union payload_value *v)
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

/* ---- text ---- */

static bool wr_hex(struct dk_writer *w, dk_str s)
{
	uint8_t *p = dk_wr_take(w, s.n / 2); /* too long: whoever asked finds w->bad */

	return !p ? s.n % 2 == 0 : dk_hex_parse(s, s.n / 2, p) == 0;
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

int payload_encode(const struct dk_command *row, const dk_str *args, size_t n, struct dk_writer *w, char *why, size_t why_n)
{
	size_t want = 0;

	while (row->in && row->in[want].type)
		want++;
	/* A last parameter that takes the rest may be left out: it is empty then. */
	if (n != want && !(n + 1 == want && row->in[want - 1].type == DK_T_REST)) {
		size_t at = (size_t)snprintf(why, why_n, "%s takes %zu parameters (", row->name, want);

		for (size_t i = 0; i < want && at < why_n; i++)
			at += (size_t)snprintf(why + at, why_n - at, "%s%s %s", i ? ", " : "", payload_type_name(row->in[i].type),
					       row->in[i].name);
		if (at < why_n)
			snprintf(why + at, why_n - at, "), but %zu were given", n);
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++)
		if (!wr_text(w, &row->in[i], (row->flags & DK_PUFFER) != 0, args[i])) {
			snprintf(why, why_n, "%s: \"%.*s\" is no %s, which its parameter %s wants", row->name,
				 (int)(args[i].n < 64 ? args[i].n : 64), args[i].p ? args[i].p : "",
				 payload_type_name(row->in[i].type), row->in[i].name);
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
	size_t fit = s.n < (n - 1) / 2 ? s.n : (n - 1) / 2;

	dk_hex_format(dk_slice_n(s.p, fit), buf);
	buf[2 * fit] = '\0';
	return 2 * fit;
}

static bool printable(dk_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

void payload_text(const struct dk_param *params, bool puffer, dk_slice payload, char *buf, size_t n)
{
	struct dk_cursor c = dk_cursor_of(payload);
	size_t at = 0;

	if (!n)
		return;
	buf[0] = '\0';
	for (const struct dk_param *p = params; p && p->type && at + 1 < n; p++) {
		union payload_value v;

		payload_read(&c, p->type, puffer, &v);
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
