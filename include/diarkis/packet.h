/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payload forms that clients of the reference system know, over the cursor and the writer of <diarkis/cursor.h>: what does not
 * fit or is malformed makes those `bad`, so a decoder reads straight through and asks once, at the end. Nothing here allocates;
 * what is read is borrowed from the payload. All integers are big-endian.
 *
 *   BytesList, StringList   {size, bytes}*, size of 1, 2 or 4 bytes, no count; the list ends where the payload ends.
 *                           4 is what the reference calls BytesList, 1 its small form.
 *   Float64Map              u16 count, then per entry {u16 length of the key, key, f64}. The reference publishes no
 *                           layout; this one is ours.
 *   puffer                  the fields of a message in alphabetical order of their names, without names or tags: integers
 *                           and floats as such, bool one byte 1 = true 2 = false, string and bytes {u16 length, bytes},
 *                           array {u16 count, elements}, array of structs {u16 count, {u16 size, struct}*}.
 *
 * A command row with DK_PUFFER does the puffer part by itself; by hand it reads, for { name string; scores u16[]; won bool }:
 *
 *   struct dk_cursor c = dk_cursor_of(call->payload);
 *   dk_str name = dk_puffer_rd_str(&c);
 *   uint16_t n = dk_puffer_rd_count(&c, 2);
 *   for (uint16_t i = 0; i < n; i++)
 *   	total += dk_rd_u16(&c);
 *   bool won = dk_puffer_rd_bool(&c);
 *   if (!dk_rd_done(&c))
 *   	return dk_refuse(call, DK_E_PARAMS, "...");
 */
#ifndef DIARKIS_PACKET_H
#define DIARKIS_PACKET_H

#include <diarkis/cursor.h>
#include <diarkis/err.h>

#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- BytesList, StringList; size: 1, 2 or 4, anything else is bad ---- */

static inline void dk_bytes_list_put(struct dk_writer *w, unsigned size, dk_slice item)
{
	if (size == 1)
		dk_wr_bytes8(w, item);
	else if (size == 2)
		dk_wr_bytes16(w, item);
	else if (size == 4)
		dk_wr_bytes32(w, item);
	else
		w->bad = true;
}

/* The next item; false at the end of the payload, and when what is left is malformed: then c->bad is set. */
static inline bool dk_bytes_list_next(struct dk_cursor *c, unsigned size, dk_slice *ret_item)
{
	dk_slice item = { NULL, 0 };

	if (!dk_rd_left(c))
		return false;
	if (size == 1)
		item = dk_rd_bytes8(c);
	else if (size == 2)
		item = dk_rd_bytes16(c);
	else if (size == 4)
		item = dk_rd_bytes32(c);
	else
		c->bad = true;
	if (c->bad)
		return false;
	*ret_item = item;
	return true;
}

static inline void dk_string_list_put(struct dk_writer *w, unsigned size, dk_str item)
{
	dk_bytes_list_put(w, size, dk_slice_of(item));
}

static inline bool dk_string_list_next(struct dk_cursor *c, unsigned size, dk_str *ret_item)
{
	dk_slice item;

	if (!dk_bytes_list_next(c, size, &item))
		return false;
	*ret_item = dk_str_of(item);
	return true;
}

/* How many items a list has. Returns 0 or -EPROTO: not a whole list. Says how much room to take before an item is read. */
static inline int dk_bytes_list_count(dk_slice list, unsigned size, size_t *ret_n)
{
	struct dk_cursor c = dk_cursor_of(list);
	dk_slice item;
	size_t n = 0;

	while (dk_bytes_list_next(&c, size, &item))
		n++;
	if (c.bad)
		return -EPROTO;
	*ret_n = n;
	return 0;
}

static inline void dk_bytes_list_put_all(struct dk_writer *w, unsigned size, const dk_slice *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dk_bytes_list_put(w, size, items[i]);
}

static inline void dk_string_list_put_all(struct dk_writer *w, unsigned size, const dk_str *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dk_string_list_put(w, size, items[i]);
}

/* All items of a list into an array of max. Returns 0, DK_FULL (it has more than max) or -EPROTO. */
static inline int dk_bytes_list_get_all(dk_slice list, unsigned size, dk_slice *ret_items, size_t max, size_t *ret_n)
{
	struct dk_cursor c = dk_cursor_of(list);
	dk_slice item;
	size_t n;
	int rc = dk_bytes_list_count(list, size, &n);

	if (rc)
		return rc;
	if (n > max)
		return DK_FULL;
	for (size_t i = 0; dk_bytes_list_next(&c, size, &item); i++)
		ret_items[i] = item;
	*ret_n = n;
	return 0;
}

static inline int dk_string_list_get_all(dk_slice list, unsigned size, dk_str *ret_items, size_t max, size_t *ret_n)
{
	struct dk_cursor c = dk_cursor_of(list);
	dk_str item;
	size_t n;
	int rc = dk_bytes_list_count(list, size, &n);

	if (rc)
		return rc;
	if (n > max)
		return DK_FULL;
	for (size_t i = 0; dk_string_list_next(&c, size, &item); i++)
		ret_items[i] = item;
	*ret_n = n;
	return 0;
}

/* ---- puffer; unsigned integers and floats are dk_rd_u8() ... dk_rd_f64(), dk_wr_u8() ... dk_wr_f64() ---- */

static inline int8_t dk_puffer_rd_i8(struct dk_cursor *c)
{
	return (int8_t)dk_rd_u8(c);
}

static inline int16_t dk_puffer_rd_i16(struct dk_cursor *c)
{
	return (int16_t)dk_rd_u16(c);
}

static inline int32_t dk_puffer_rd_i32(struct dk_cursor *c)
{
	return (int32_t)dk_rd_u32(c);
}

static inline int64_t dk_puffer_rd_i64(struct dk_cursor *c)
{
	return (int64_t)dk_rd_u64(c);
}

static inline void dk_puffer_wr_i8(struct dk_writer *w, int8_t v)
{
	dk_wr_u8(w, (uint8_t)v);
}

static inline void dk_puffer_wr_i16(struct dk_writer *w, int16_t v)
{
	dk_wr_u16(w, (uint16_t)v);
}

static inline void dk_puffer_wr_i32(struct dk_writer *w, int32_t v)
{
	dk_wr_u32(w, (uint32_t)v);
}

static inline void dk_puffer_wr_i64(struct dk_writer *w, int64_t v)
{
	dk_wr_u64(w, (uint64_t)v);
}

/* Any byte but 1 and 2 is bad. */
static inline bool dk_puffer_rd_bool(struct dk_cursor *c)
{
	uint8_t b = dk_rd_u8(c);

	if (b != 1 && b != 2)
		c->bad = true;
	return b == 1;
}

static inline void dk_puffer_wr_bool(struct dk_writer *w, bool v)
{
	dk_wr_u8(w, v ? 1 : 2);
}

static inline dk_str dk_puffer_rd_str(struct dk_cursor *c)
{
	return dk_str_of(dk_rd_bytes16(c));
}

static inline void dk_puffer_wr_str(struct dk_writer *w, dk_str s)
{
	dk_wr_bytes16(w, dk_slice_of(s));
}

static inline dk_slice dk_puffer_rd_bytes(struct dk_cursor *c)
{
	return dk_rd_bytes16(c);
}

static inline void dk_puffer_wr_bytes(struct dk_writer *w, dk_slice s)
{
	dk_wr_bytes16(w, s);
}

/* The count of an array whose elements take at least `least` bytes each (2 for strings, bytes and structs). A count that the
 * payload cannot hold is bad and reads as 0, so what it says may be allocated. */
static inline uint16_t dk_puffer_rd_count(struct dk_cursor *c, size_t least)
{
	uint16_t n = dk_rd_u16(c);

	if (n * least > dk_rd_left(c))
		c->bad = true;
	return c->bad ? 0 : n;
}

/* n above 65535 is bad. */
static inline void dk_puffer_wr_count(struct dk_writer *w, size_t n)
{
	if (n > UINT16_MAX)
		w->bad = true;
	dk_wr_u16(w, (uint16_t)n);
}

/* One struct of an array of structs, to be read by a cursor of its own; that is bad from the start when there is none. */
static inline struct dk_cursor dk_puffer_rd_struct(struct dk_cursor *c)
{
	struct dk_cursor inner = dk_cursor_of(dk_rd_bytes16(c));

	inner.bad = c->bad;
	return inner;
}

/* Around the fields of one struct of an array: begin returns what end wants. */
static inline size_t dk_puffer_wr_struct_begin(struct dk_writer *w)
{
	size_t at = (size_t)(w->p - w->start);

	dk_wr_u16(w, 0);
	return at;
}

static inline void dk_puffer_wr_struct_end(struct dk_writer *w, size_t at)
{
	size_t n;

	if (w->bad)
		return;
	n = (size_t)(w->p - w->start) - at - 2;
	if (n > UINT16_MAX) {
		w->bad = true;
		return;
	}
	w->start[at] = (uint8_t)(n >> 8);
	w->start[at + 1] = (uint8_t)n;
}

/* ---- Float64Map ---- */

/* The head of a map of n entries; then dk_f64_map_put() n times. */
static inline void dk_f64_map_begin(struct dk_writer *w, size_t n)
{
	dk_puffer_wr_count(w, n);
}

static inline void dk_f64_map_put(struct dk_writer *w, dk_str key, double value)
{
	dk_puffer_wr_str(w, key);
	dk_wr_f64(w, value);
}

/* The number of entries that dk_f64_map_next() then gives; 0 and c->bad when the payload cannot hold them. */
static inline uint16_t dk_f64_map_open(struct dk_cursor *c)
{
	return dk_puffer_rd_count(c, 10);
}

/* Call it as often as dk_f64_map_open() said; false when the payload ends too soon (c->bad). */
static inline bool dk_f64_map_next(struct dk_cursor *c, dk_str *ret_key, double *ret_value)
{
	dk_str key = dk_puffer_rd_str(c);
	double value = dk_rd_f64(c);

	if (c->bad)
		return false;
	*ret_key = key;
	*ret_value = value;
	return true;
}

/* The value of a key in a map that fills its payload; the first where a key stands twice. Returns 0, DK_NOT_FOUND or -EPROTO. */
static inline int dk_f64_map_get(dk_slice map, dk_str key, double *ret_value)
{
	struct dk_cursor c = dk_cursor_of(map);
	uint16_t n = dk_f64_map_open(&c);
	int rc = DK_NOT_FOUND;
	double value = 0, v;
	dk_str k;

	for (uint16_t i = 0; i < n && dk_f64_map_next(&c, &k, &v); i++)
		if (rc && dk_str_eq(k, key)) {
			value = v;
			rc = 0;
		}
	if (!dk_rd_done(&c))
		return -EPROTO;
	if (!rc)
		*ret_value = value;
	return rc;
}

#ifdef __cplusplus
}
#endif

#endif
