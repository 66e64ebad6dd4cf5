/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame: FE BE DE EF | ver u8 | size u24 | cmd u16, then upward (client to server) sid and body, downward status and body.
 * The body is a seal or, without encryption, the plain payload. This file knows where things lie and how long they are; it
 * keeps nothing.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "wire/seal.h"

#define WIRE_FRAME_UP (10 + WIRE_SID_LEN) /* bytes before the body */
#define WIRE_FRAME_DOWN 11

/* Who a frame is between, as the codec needs it. */
struct wire_codec {
	const uint8_t *sid;
	const struct wire_seal *seal; /* NULL: plain */
};

struct wire_raw {
	uint8_t ver, status;
	uint16_t cmd;
	dk_slice body; /* sealed or plain */
};

static inline bool wire_is_magic(const uint8_t *p)
{
	return p[0] == 0xfe && p[1] == 0xbe && p[2] == 0xde && p[3] == 0xef;
}

static inline bool wire_sid_eq(const uint8_t *a, const uint8_t *b)
{
	uint64_t x[2], y[2];

	memcpy(x, a, 16);
	memcpy(y, b, 16);
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

/* Length of a whole frame that carries n plain bytes. */
static inline size_t wire_frame_len(enum wire_role from, const struct wire_codec *k, size_t n)
{
	return (from == WIRE_CLIENT ? WIRE_FRAME_UP : WIRE_FRAME_DOWN) + (k->seal ? wire_seal_len(n) : n);
}

/* The most plain bytes that a frame of at most len bytes holds; 0 also when it holds none. */
static inline size_t wire_frame_room(enum wire_role from, const struct wire_codec *k, size_t len)
{
	size_t head = (from == WIRE_CLIENT ? WIRE_FRAME_UP : WIRE_FRAME_DOWN) + (k->seal ? WIRE_SEAL_HEAD : 0);

	if (len <= head)
		return 0;
	len -= head;
	if (k->seal) /* at least one byte of the last block is padding */
		len = len < 16 ? 0 : (len & ~(size_t)15) - 1;
	return len;
}

/* Writes a frame of wire_frame_len() bytes to out. */
void wire_frame_write(struct wire_crypto *c, enum wire_role from, const struct wire_codec *k, const struct dk_frame *f,
		      uint8_t *out);

/* Takes the next frame, sent to a side of the role `to`, from bytes; sid, sizes and tag are checked, nothing is decrypted.
 * WIRE_PASS and *ret_used, or the reason: WIRE_DROP_MAGIC, _FRAME, _SID, _MAC. */
enum wire_drop wire_frame_take(struct wire_crypto *c, enum wire_role to, const struct wire_codec *k, dk_slice bytes,
			       struct wire_raw *ret_raw, size_t *ret_used);

/* The plain form: *ret_frame borrows from raw or from buf (raw->body.n bytes are enough). WIRE_PASS or WIRE_DROP_PLAIN. */
enum wire_drop wire_frame_open(struct wire_crypto *c, const struct wire_codec *k, const struct wire_raw *raw, uint8_t *buf,
			       struct dk_frame *ret_frame);

#endif
