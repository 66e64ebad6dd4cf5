/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads of the built-in commands of version 0. Codecs only: who answers an echo, and with what, is not known here. */
#include "wire/wire.h"

#include <endian.h>

#define ECHO_FIXED 9 /* state and stamp of a reply */

static const uint8_t reconnect_magic[4] = { 0xbe, 0xef, 0xfe, 0xed };

bool wire_echo_decode(dk_slice payload, struct wire_echo *ret_echo)
{
	struct dk_cursor c = dk_cursor_of(payload), list;
	const uint8_t *stamp = dk_rd_take(&c, 8);
	dk_slice locals = dk_rd_rest(&c), item;

	list = dk_cursor_of(locals);
	while (wire_list_next(&list, &item))
		;
	if (c.bad || list.bad)
		return false;
	memcpy(ret_echo->stamp, stamp, 8);
	ret_echo->locals = locals;
	return true;
}

size_t wire_echo_encode(double stamp_ms, dk_slice locals, uint8_t *buf, size_t cap)
{
	struct dk_writer w = dk_writer_on(buf, cap);
	uint64_t bits;

	memcpy(&bits, &stamp_ms, 8);
	bits = htole64(bits);
	dk_wr_slice(&w, dk_slice_n(&bits, 8));
	dk_wr_slice(&w, locals);
	return dk_written(&w).n;
}

/* Notes are {u16 length of all, u8 ver, u16 cmd, bytes}*, so none is shorter than 5. */
static bool notes_are_whole(dk_slice notes)
{
	struct dk_cursor c = dk_cursor_of(notes);
	uint16_t n;

	while (!c.bad && c.p < c.end) {
		n = dk_rd_u16(&c);
		if (n < 5)
			return false;
		dk_rd_take(&c, n - 2u);
	}
	return !c.bad;
}

bool wire_echo_reply_decode(dk_slice payload, struct wire_echo_reply *ret_reply)
{
	size_t n = payload.n, address_end = n;
	struct wire_echo_reply r;

	if (n < ECHO_FIXED)
		return false;
	r.notes = dk_slice_n(NULL, 0);
	/* The trailer says where the address ends. Old servers send none; then the last two bytes are digits of a port, and as a
	 * number far beyond any length. */
	if (n >= ECHO_FIXED + 2) {
		size_t end = (size_t)payload.p[n - 2] << 8 | payload.p[n - 1];

		if (end < n) {
			if (end < ECHO_FIXED || end > n - 2)
				return false;
			address_end = end;
			r.notes = dk_slice_n(payload.p + end, n - 2 - end);
			if (!notes_are_whole(r.notes))
				return false;
		}
	}
	r.state = payload.p[0];
	memcpy(r.stamp, payload.p + 1, 8);
	r.address = dk_str_n((const char *)payload.p + ECHO_FIXED, address_end - ECHO_FIXED);
	*ret_reply = r;
	return true;
}

size_t wire_echo_reply_encode(const struct wire_echo_reply *r, uint8_t *buf, size_t cap)
{
	struct dk_writer w = dk_writer_on(buf, cap);

	if (ECHO_FIXED + r->address.n > UINT16_MAX)
		return 0;
	dk_wr_u8(&w, r->state);
	dk_wr_slice(&w, dk_slice_n(r->stamp, 8));
	dk_wr_slice(&w, dk_slice_of(r->address));
	dk_wr_slice(&w, r->notes);
	dk_wr_u16(&w, (uint16_t)(ECHO_FIXED + r->address.n));
	return dk_written(&w).n;
}

bool wire_reconnect_decode(dk_slice payload, dk_str *ret_address)
{
	if (payload.n <= sizeof(reconnect_magic) || memcmp(payload.p, reconnect_magic, sizeof(reconnect_magic)) != 0)
		return false;
	*ret_address = dk_str_n((const char *)payload.p + 4, payload.n - 4);
	return true;
}

size_t wire_reconnect_encode(dk_str address, uint8_t *buf, size_t cap)
{
	struct dk_writer w = dk_writer_on(buf, cap);

	dk_wr_slice(&w, dk_slice_n(reconnect_magic, sizeof(reconnect_magic)));
	dk_wr_slice(&w, dk_slice_of(address));
	return dk_written(&w).n;
}
