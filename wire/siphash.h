/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-2-4, the keyed hash for short inputs (Aumasson, Bernstein 2012). Proofs of addresses are made with it; tables that
 * hold what strangers name (a sid) use it too, so that nobody can aim at one bucket.
 */
#ifndef WIRE_SIPHASH_H
#define WIRE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t wire_siphash(const uint8_t key[16], const void *p, size_t n);

#endif
