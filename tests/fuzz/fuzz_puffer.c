/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The payload forms of <diarkis/packet.h>: the first bytes of the input are a list of field types, the rest is a payload that is
 * read by it. What was read whole is written again and must come out as the same bytes; no view leaves the payload; what a count
 * or a list claims is there.
 */
#include <diarkis/packet.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

#define DEPTH_MAX 4

static dk_slice payload;

static dk_slice inside(dk_slice s)
{
	MUST(!s.n || (s.p >= payload.p && s.p + s.n <= payload.p + payload.n));
	return s;
}

static void fields(struct dk_cursor *schema, struct dk_cursor *c, struct dk_writer *w, int depth);

static void one_struct(struct dk_cursor *schema, struct dk_cursor *c, struct dk_writer *w, int depth)
{
	struct dk_cursor in = dk_puffer_rd_struct(c);
	size_t at = dk_puffer_wr_struct_begin(w);

	MUST(!c->bad || in.bad);
	fields(schema, &in, w, depth + 1);
	dk_wr_slice(w, inside(dk_rd_rest(&in))); /* fields that a newer sender added */
	c->bad |= in.bad;
	dk_puffer_wr_struct_end(w, at);
}

static void floats(struct dk_cursor *c, struct dk_writer *w)
{
	uint16_t n = dk_f64_map_open(c);
	double value;
	dk_str key;

	MUST((size_t)n * 10 <= dk_rd_left(c));
	dk_f64_map_begin(w, n);
	while (n-- && dk_f64_map_next(c, &key, &value)) {
		inside(dk_slice_of(key));
		dk_f64_map_put(w, key, value);
	}
}

static void field(uint8_t type, struct dk_cursor *schema, struct dk_cursor *c, struct dk_writer *w, int depth)
{
	uint16_t n;

	switch (type % 12) {
	case 0:
		dk_puffer_wr_i8(w, dk_puffer_rd_i8(c));
		break;
	case 1:
		dk_puffer_wr_i16(w, dk_puffer_rd_i16(c));
		break;
	case 2:
		dk_puffer_wr_i32(w, dk_puffer_rd_i32(c));
		break;
	case 3:
		dk_puffer_wr_i64(w, dk_puffer_rd_i64(c));
		break;
	case 4:
		dk_puffer_wr_bool(w, dk_puffer_rd_bool(c));
		break;
	case 5:
		dk_puffer_wr_str(w, dk_str_of(inside(dk_slice_of(dk_puffer_rd_str(c)))));
		break;
	case 6:
		dk_puffer_wr_bytes(w, inside(dk_puffer_rd_bytes(c)));
		break;
	case 7:
		dk_wr_f32(w, dk_rd_f32(c));
		break;
	case 8:
		dk_wr_f64(w, dk_rd_f64(c));
		break;
	case 9: /* an array of 24-bit numbers, in both orders */
		n = dk_puffer_rd_count(c, 6);
		MUST((size_t)n * 6 <= dk_rd_left(c));
		dk_puffer_wr_count(w, n);
		while (n--) {
			dk_wr_u24(w, dk_rd_u24(c));
			dk_wr_u24le(w, dk_rd_u24le(c));
		}
		break;
	case 10:
		if (depth < DEPTH_MAX)
			one_struct(schema, c, w, depth);
		break;
	case 11:
		floats(c, w);
		break;
	}
}

/* Up to eight fields, fewer when the schema ends. */
static void fields(struct dk_cursor *schema, struct dk_cursor *c, struct dk_writer *w, int depth)
{
	for (int i = 0; i < 8 && dk_rd_left(schema) && !c->bad; i++)
		field(dk_rd_u8(schema), schema, c, w, depth);
}

static void lists(uint8_t *buf)
{
	static dk_slice items[4096], again[4096];

	for (unsigned bytes = 1; bytes <= 4; bytes *= 2) {
		struct dk_writer w = dk_writer_on(buf, payload.n);
		double value;
		size_t n, m;

		(void)dk_f64_map_get(payload, dk_str_of(payload), &value);
		if (dk_bytes_list_get_all(payload, bytes, items, DK_ARRAY_LEN(items), &n))
			continue;
		for (size_t i = 0; i < n; i++)
			inside(items[i]);
		dk_bytes_list_put_all(&w, bytes, items, n);
		MUST(!w.bad && dk_written(&w).n == payload.n && (!payload.n || memcmp(buf, payload.p, payload.n) == 0));
		MUST(dk_bytes_list_get_all(dk_written(&w), bytes, again, DK_ARRAY_LEN(again), &m) == 0 && m == n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dk_cursor in = dk_cursor_of(dk_slice_n(data, size)), schema, c;
	struct dk_writer w;
	uint8_t *buf;
	size_t used;

	schema = dk_cursor_of(dk_rd_bytes8(&in));
	payload = dk_rd_rest(&in);
	if (in.bad)
		return 0;
	buf = malloc(payload.n + 1);
	if (!buf)
		return 0;
	c = dk_cursor_of(payload);
	w = dk_writer_on(buf, payload.n);
	fields(&schema, &c, &w, 0);
	used = payload.n - dk_rd_left(&c);
	if (!c.bad)
		MUST(!w.bad && dk_written(&w).n == used && (!used || memcmp(buf, payload.p, used) == 0));
	lists(buf);
	free(buf);
	return 0;
}
