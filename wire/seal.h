/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seal of suite legacy: plainLen u32 | HMAC-SHA256(macKey, ct) | ct, ct = AES-128-CBC(key, iv, plain | 1..16 zero bytes).
 * Pure functions over bytes. A connection keeps its keys, iv and the two SHA-256 states that HMAC starts from; the cipher
 * contexts are the context's and are re-keyed per message.
 */
#ifndef WIRE_SEAL_H
#define WIRE_SEAL_H

#include "wire/ctx.h"

#define WIRE_SEAL_HEAD 36 /* plainLen and tag */
#define WIRE_SEAL_TRAIL_MAX 32 /* zero bytes behind the plaintext that are accepted; 1..16 are written */

struct wire_seal {
	uint8_t key[16], iv[16];
	uint32_t inner[8], outer[8]; /* SHA-256 after the first block of HMAC's inner and outer hash */
	uint8_t mac_key[16]; /* what those were made of: looked at only when the connection moves to another node */
};

int wire_crypto_new(struct wire_crypto **ret_crypto); /* 0 or <0 */
void wire_crypto_free(struct wire_crypto *c);

void wire_seal_init(struct wire_seal *s, const struct dk_credential *cred);
/* The keys that it was made of; sid and `encrypted` are the caller's. */
void wire_seal_keys(const struct wire_seal *s, struct dk_credential *ret_cred);

static inline size_t wire_seal_len(size_t plain)
{
	return WIRE_SEAL_HEAD + (plain & ~(size_t)15) + 16;
}

/* Seals n plain bytes that already lie at out + WIRE_SEAL_HEAD; out holds wire_seal_len(n) bytes. */
void wire_seal_close(struct wire_crypto *c, const struct wire_seal *s, uint8_t *out, size_t n);

/* Sizes and tag only, in constant time as far as the tag goes: WIRE_PASS, WIRE_DROP_FRAME, WIRE_DROP_MAC. */
enum wire_drop wire_seal_check(struct wire_crypto *c, const struct wire_seal *s, dk_slice sealed);
/* Decrypts what wire_seal_check() passed into out, which holds sealed.n - WIRE_SEAL_HEAD bytes. WIRE_PASS and the plain bytes
 * (in out), or WIRE_DROP_PLAIN. */
enum wire_drop wire_seal_open(struct wire_crypto *c, const struct wire_seal *s, dk_slice sealed, uint8_t *out, dk_slice *ret_plain);

#endif
