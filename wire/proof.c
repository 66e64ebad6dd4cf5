/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs of addresses, without state: whoever sends the number back has read what was sent to that address. */
#include "wire/peer_priv.h"
#include "wire/siphash.h"

#define SLOT_MS 30000

static uint32_t number(const struct wire_ctx *ctx, const struct wire_peer *p, const struct dk_addr *at, enum wire_proof kind,
		       uint64_t slot)
{
	uint8_t m[16 + 16 + 2 + 1 + 1 + 1 + 8];
	uint32_t n;

	memcpy(m, p->sid, 16);
	memcpy(m + 16, at->ip, 16);
	m[32] = (uint8_t)(at->port >> 8);
	m[33] = (uint8_t)at->port;
	m[34] = at->family;
	m[35] = (uint8_t)kind;
	m[36] = p->epoch; /* a client that starts anew on the same port gets another number */
	for (int i = 0; i < 8; i++)
		m[37 + i] = (uint8_t)(slot >> (8 * i));
	n = (uint32_t)wire_siphash(ctx->hash_key, m, sizeof(m)) & 0x7fffff;
	return kind == WIRE_PROOF_MOVE ? n | 0x800000 : n;
}

uint32_t wire_proof_make(const struct wire_ctx *ctx, const struct wire_peer *p, const struct dk_addr *at, enum wire_proof kind,
			 uint64_t now)
{
	return number(ctx, p, at, kind, now / SLOT_MS);
}

bool wire_proof_check(const struct wire_ctx *ctx, const struct wire_peer *p, const struct dk_addr *at, enum wire_proof kind,
		      uint64_t now, uint32_t seq)
{
	uint64_t slot = now / SLOT_MS;

	return seq == number(ctx, p, at, kind, slot) || (slot > 0 && seq == number(ctx, p, at, kind, slot - 1));
}
