/* SPDX-License-Identifier: Apache-2.0 */
/* The frame codec. Sizes are checked against the bytes that are there before anything is read. */
#include "wire/frame.h"

void wire_frame_write(struct wire_crypto *c, enum wire_role from, const struct wire_codec *k, const struct dk_frame *f,
		      uint8_t *out)
{
	size_t body = k->seal ? wire_seal_len(f->payload.n) : f->payload.n;
	size_t size = from == WIRE_CLIENT ? WIRE_SID_LEN + body : body;
	uint8_t *p = out + 10;

	memcpy(out, "\xfe\xbe\xde\xef", 4);
	out[4] = f->ver;
	out[5] = (uint8_t)(size >> 16);
	out[6] = (uint8_t)(size >> 8);
	out[7] = (uint8_t)size;
	out[8] = (uint8_t)(f->cmd >> 8);
	out[9] = (uint8_t)f->cmd;
	if (from == WIRE_CLIENT) {
		memcpy(p, k->sid, WIRE_SID_LEN);
		p += WIRE_SID_LEN;
	} else {
		*p++ = f->status;
	}
	if (f->payload.n)
		memcpy(k->seal ? p + WIRE_SEAL_HEAD : p, f->payload.p, f->payload.n);
	if (k->seal)
		wire_seal_close(c, k->seal, p, f->payload.n);
}

enum wire_drop wire_frame_take(struct wire_crypto *c, enum wire_role to, const struct wire_codec *k, dk_slice bytes,
			       struct wire_raw *ret_raw, size_t *ret_used)
{
	const uint8_t *p = bytes.p;
	struct wire_raw raw;
	size_t size, head;

	if (bytes.n < 4 || !wire_is_magic(p))
		return WIRE_DROP_MAGIC;
	head = to == WIRE_SERVER ? 10 : WIRE_FRAME_DOWN;
	if (bytes.n < head)
		return WIRE_DROP_FRAME;
	size = (size_t)p[5] << 16 | (size_t)p[6] << 8 | p[7];
	if (size > bytes.n - head)
		return WIRE_DROP_FRAME;
	raw.ver = p[4];
	raw.cmd = (uint16_t)(p[8] << 8 | p[9]);
	raw.status = 0;
	*ret_used = head + size;
	if (to == WIRE_SERVER) {
		if (size < WIRE_SID_LEN)
			return WIRE_DROP_FRAME;
		if (!wire_sid_eq(p + 10, k->sid))
			return WIRE_DROP_SID;
		raw.body = dk_slice_n(p + WIRE_FRAME_UP, size - WIRE_SID_LEN);
	} else {
		raw.status = p[10];
		raw.body = dk_slice_n(p + WIRE_FRAME_DOWN, size);
	}
	*ret_raw = raw;
	return k->seal ? wire_seal_check(c, k->seal, raw.body) : WIRE_PASS;
}

enum wire_drop wire_frame_open(struct wire_crypto *c, const struct wire_codec *k, const struct wire_raw *raw, uint8_t *buf,
			       struct dk_frame *ret_frame)
{
	dk_slice plain = raw->body;

	if (k->seal) {
		enum wire_drop d = wire_seal_open(c, k->seal, raw->body, buf, &plain);

		if (d != WIRE_PASS)
			return d;
	}
	ret_frame->ver = raw->ver;
	ret_frame->status = raw->status;
	ret_frame->cmd = raw->cmd;
	ret_frame->payload = plain;
	return WIRE_PASS;
}
