/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plugin authors decode with: rows of parameters, lists with sizes of one, two and four bytes, maps of floats, puffer's
 * primitives. The first byte chooses the decoder. What was read must lie inside the input, end when the input ends, and give
 * the same bytes when it is written again.
 */
#include <diarkis/packet.h>

#include "kernel/payload.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

static uint8_t out[1 << 17];

static void inside(dk_slice item, dk_slice whole)
{
	MUST(item.n == 0 || (item.p >= whole.p && item.n <= (size_t)(whole.p + whole.n - item.p)));
}

static void rows(dk_slice in, bool puffer)
{
	static const struct dk_param params[] = {
		{ DK_T_U8, "a" },    { DK_T_FLAG, "b" },    { DK_T_U16, "c" },     { DK_T_STR16, "d" }, { DK_T_STRS, "e" },
		{ DK_T_ID52, "f" },  { DK_T_BYTES16, "g" }, { DK_T_BYTES32, "h" }, { DK_T_I64, "i" },   { DK_T_F64, "j" },
		{ DK_T_STR32, "k" }, { DK_T_REST, "l" },    { 0, NULL },
	};
	struct dk_cursor c = dk_cursor_of(in);
	union payload_value v;
	char text[512];

	for (const struct dk_param *p = params; p->type && !c.bad; p++) {
		payload_read(&c, p->type, puffer, &v);
		if (c.bad)
			break;
		if (p->type == DK_T_STR16 || p->type == DK_T_BYTES16 || p->type == DK_T_BYTES32 || p->type == DK_T_STR32 ||
		    p->type == DK_T_REST)
			inside(v.slice, in);
		if (p->type == DK_T_STRS) {
			dk_str s;
			size_t n = 0;

			inside(v.list.bytes, in);
			while (dk_list_next(&v.list, &s)) {
				inside(dk_slice_of(s), in);
				n++;
			}
			MUST(n <= UINT16_MAX && v.list.bytes.n == 0);
		}
	}
	payload_text(params, puffer, in, text, sizeof(text));
	MUST(strlen(text) < sizeof(text));
}

static void list(dk_slice in, unsigned width)
{
	struct dk_cursor c = dk_cursor_of(in);
	struct dk_writer w = dk_writer_on(out, sizeof(out));
	dk_slice item;
	size_t n = 0, counted;

	while (dk_bytes_list_next(&c, width, &item)) {
		inside(item, in);
		dk_bytes_list_put(&w, width, item);
		n++;
	}
	if (dk_bytes_list_count(in, width, &counted) != 0)
		return;
	MUST(!c.bad && counted == n);
	MUST(dk_written(&w).n == in.n && (in.n == 0 || memcmp(out, in.p, in.n) == 0));
}

static void map(dk_slice in)
{
	struct dk_cursor c = dk_cursor_of(in);
	uint16_t n = dk_f64_map_open(&c), seen = 0;
	dk_str key;
	double value;

	while (seen < n && dk_f64_map_next(&c, &key, &value)) {
		inside(dk_slice_of(key), in);
		seen++;
	}
	MUST(c.bad || seen == n);
	(void)dk_f64_map_get(in, dk_str_c("x"), &value);
}

static void puffer(dk_slice in)
{
	struct dk_cursor c = dk_cursor_of(in), s;
	struct dk_writer w = dk_writer_on(out, sizeof(out));
	uint16_t n;
	size_t at;

	dk_puffer_wr_bool(&w, dk_puffer_rd_bool(&c));
	dk_puffer_wr_i8(&w, dk_puffer_rd_i8(&c));
	dk_puffer_wr_i32(&w, dk_puffer_rd_i32(&c));
	dk_puffer_wr_str(&w, dk_puffer_rd_str(&c));
	dk_puffer_wr_bytes(&w, dk_puffer_rd_bytes(&c));
	n = dk_puffer_rd_count(&c, 2);
	dk_puffer_wr_count(&w, n);
	for (uint16_t i = 0; i < n && !c.bad; i++) {
		s = dk_puffer_rd_struct(&c);
		at = dk_puffer_wr_struct_begin(&w);
		dk_wr_slice(&w, dk_rd_rest(&s));
		dk_puffer_wr_struct_end(&w, at);
	}
	if (!dk_rd_done(&c))
		return;
	MUST(dk_written(&w).n == in.n && memcmp(out, in.p, in.n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	dk_slice in;

	if (size < 1 || size > 65536)
		return 0;
	in = dk_slice_n(data + 1, size - 1);
	switch (data[0] % 7) {
	case 0:
	case 1:
		rows(in, data[0] % 7 == 1);
		break;
	case 2:
	case 3:
	case 4:
		list(in, 1u << (data[0] % 7 - 2));
		break;
	case 5:
		map(in);
		break;
	default:
		puffer(in);
		break;
	}
	return 0;
}
