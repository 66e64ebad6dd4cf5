/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seal of suite legacy over OpenSSL's libcrypto. It owns no state but two cipher contexts, one for each direction.
 *
 * HMAC is computed from two stored SHA-256 states per connection: three compressions for a short message, and 64 bytes instead
 * of a MAC context. That needs the low-level SHA-256 of libcrypto, which is deprecated but there in every 3.x; a libcrypto
 * without it, or -DWIRE_SEAL_EVP, takes EVP for everything, and then the place of the states holds the MAC key.
 * AES goes through EVP, because the low-level functions do not use the processor's instructions, with one context for each
 * direction that gets a new key per message: a context per connection would cost 650 bytes. The contexts keep an iv of zeros and
 * the real one is put in by hand, since CBC is only an exclusive or away from it: to set an iv, or to switch padding off by
 * EVP_CIPHER_CTX_set_padding(), makes libcrypto 3.0 look up parameters by name at each message, and 85 of 195 ns went there.
 * That a new key brings the first iv back is checked once, when the contexts are made.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "wire/seal.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/opensslconf.h>

#ifdef OPENSSL_NO_DEPRECATED_3_0
#define WIRE_SEAL_EVP
#endif
#ifndef WIRE_SEAL_EVP
#include <openssl/sha.h>
#endif

struct wire_crypto {
	EVP_CIPHER *aes;
	EVP_CIPHER_CTX *enc, *dec;
	EVP_MAC *hmac; /* NULL unless EVP does the MAC */
	EVP_MAC_CTX *mac;
};

static void put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

#ifdef WIRE_SEAL_EVP
static void mac_key(struct wire_seal *s, const uint8_t key[16])
{
	memset(s->outer, 0, sizeof(s->outer));
	memset(s->inner, 0, sizeof(s->inner));
	memcpy(s->inner, key, 16);
}

static void mac_of(struct wire_crypto *c, const struct wire_seal *s, const uint8_t *p, size_t n, uint8_t tag[32])
{
	size_t len = 0;

	if (EVP_MAC_init(c->mac, (const uint8_t *)s->inner, 16, NULL) != 1 || EVP_MAC_update(c->mac, p, n) != 1 ||
	    EVP_MAC_final(c->mac, tag, &len, 32) != 1 || len != 32)
		abort(); /* fixed sizes and a fetched algorithm: only a broken libcrypto gets here; no wrong tag may leave */
}
#else
static void midstate(uint32_t h[8], const uint8_t key[16], uint8_t pad)
{
	uint8_t block[64];
	SHA256_CTX sha;

	memset(block, pad, sizeof(block));
	for (int i = 0; i < 16; i++)
		block[i] ^= key[i];
	SHA256_Init(&sha);
	SHA256_Transform(&sha, block);
	memcpy(h, sha.h, 32);
	OPENSSL_cleanse(block, sizeof(block));
}

static void mac_key(struct wire_seal *s, const uint8_t key[16])
{
	midstate(s->inner, key, 0x36);
	midstate(s->outer, key, 0x5c);
}

/* The last blocks are laid out here: SHA256_Final() would copy and clear more than a short message has. */
static void mac_of(struct wire_crypto *c, const struct wire_seal *s, const uint8_t *p, size_t n, uint8_t tag[32])
{
	uint64_t bits = ((uint64_t)n + 64) * 8;
	size_t whole = n & ~(size_t)63, end;
	uint8_t block[128];
	SHA256_CTX sha;

	(void)c;
	sha.Nl = sha.Nh = 0;
	sha.num = 0;
	sha.md_len = 32;
	memcpy(sha.h, s->inner, 32);
	if (whole) {
		SHA256_Update(&sha, p, whole);
		p += whole;
		n -= whole;
	}
	end = n < 56 ? 64 : 128;
	if (n)
		memcpy(block, p, n);
	block[n] = 0x80;
	memset(block + n + 1, 0, end - n - 1);
	put_u32(block + end - 8, (uint32_t)(bits >> 32));
	put_u32(block + end - 4, (uint32_t)bits);
	SHA256_Transform(&sha, block);
	if (end == 128)
		SHA256_Transform(&sha, block + 64);
	for (int i = 0; i < 8; i++)
		put_u32(block + 4 * i, sha.h[i]);
	block[32] = 0x80;
	memset(block + 33, 0, 29);
	block[62] = (64 + 32) * 8 >> 8;
	block[63] = (64 + 32) * 8 & 0xff;
	memcpy(sha.h, s->outer, 32);
	SHA256_Transform(&sha, block);
	for (int i = 0; i < 8; i++)
		put_u32(tag + 4 * i, sha.h[i]);
}
#endif

/* From an iv of zeros; in and out may be the same. */
static bool cbc(EVP_CIPHER_CTX *x, const uint8_t key[16], const uint8_t *in, size_t n, uint8_t *out)
{
	int done = 0;

	return EVP_CipherInit_ex2(x, NULL, key, NULL, -1, NULL) == 1 && EVP_CipherUpdate(x, out, &done, in, (int)n) == 1 &&
	       done == (int)n;
}

static void put_iv(uint8_t block[16], const uint8_t iv[16])
{
	uint64_t a[2], b[2];

	memcpy(a, block, 16);
	memcpy(b, iv, 16);
	a[0] ^= b[0];
	a[1] ^= b[1];
	memcpy(block, a, 16);
}

/* FIPS 197's example twice in a row, there and back: the second round shows that no iv is left of the first. */
static bool works(struct wire_crypto *c)
{
	static const uint8_t sealed[16] = { 0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30,
					    0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a };
	uint8_t key[16], plain[16], block[16];

	for (uint8_t i = 0; i < 16; i++) {
		key[i] = i;
		plain[i] = (uint8_t)(i << 4 | i);
	}
	for (int i = 0; i < 2; i++) {
		if (!cbc(c->enc, key, plain, 16, block) || memcmp(block, sealed, 16) != 0)
			return false;
		if (!cbc(c->dec, key, sealed, 16, block) || memcmp(block, plain, 16) != 0)
			return false;
	}
	return true;
}

int wire_crypto_new(struct wire_crypto **ret_crypto)
{
	static const uint8_t zeros[16];
	struct wire_crypto *c = calloc(1, sizeof(*c));
	unsigned off = 0;
	OSSL_PARAM padding[2] = { OSSL_PARAM_construct_uint(OSSL_CIPHER_PARAM_PADDING, &off), OSSL_PARAM_construct_end() };
#ifdef WIRE_SEAL_EVP
	char digest[] = "SHA256";
	OSSL_PARAM params[2] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end() };
#endif

	if (!c)
		return -ENOMEM;
	c->aes = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL);
	c->enc = EVP_CIPHER_CTX_new();
	c->dec = EVP_CIPHER_CTX_new();
	if (!c->aes || !c->enc || !c->dec || EVP_EncryptInit_ex2(c->enc, c->aes, zeros, zeros, padding) != 1 ||
	    EVP_DecryptInit_ex2(c->dec, c->aes, zeros, zeros, padding) != 1 || !works(c))
		goto fail;
#ifdef WIRE_SEAL_EVP
	c->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	c->mac = c->hmac ? EVP_MAC_CTX_new(c->hmac) : NULL;
	if (!c->mac || EVP_MAC_CTX_set_params(c->mac, params) != 1)
		goto fail;
#endif
	*ret_crypto = c;
	return 0;
fail:
	wire_crypto_free(c);
	return -ENOTSUP;
}

void wire_crypto_free(struct wire_crypto *c)
{
	if (!c)
		return;
	EVP_MAC_CTX_free(c->mac);
	EVP_MAC_free(c->hmac);
	EVP_CIPHER_CTX_free(c->enc);
	EVP_CIPHER_CTX_free(c->dec);
	EVP_CIPHER_free(c->aes);
	free(c);
}

void wire_seal_init(struct wire_seal *s, const struct dk_credential *cred)
{
	memcpy(s->key, cred->key, 16);
	memcpy(s->iv, cred->iv, 16);
	memcpy(s->mac_key, cred->mac_key, 16);
	mac_key(s, cred->mac_key);
}

void wire_seal_keys(const struct wire_seal *s, struct dk_credential *ret_cred)
{
	memcpy(ret_cred->key, s->key, 16);
	memcpy(ret_cred->iv, s->iv, 16);
	memcpy(ret_cred->mac_key, s->mac_key, 16);
}

void wire_seal_close(struct wire_crypto *c, const struct wire_seal *s, uint8_t *out, size_t n)
{
	uint8_t *ct = out + WIRE_SEAL_HEAD;
	size_t len = (n & ~(size_t)15) + 16;

	memset(ct + n, 0, len - n);
	put_iv(ct, s->iv);
	if (!cbc(c->enc, s->key, ct, len, ct))
		abort(); /* plaintext must not leave, and there is no input that can cause this */
	put_u32(out, (uint32_t)n);
	mac_of(c, s, ct, len, out + 4);
}

enum wire_drop wire_seal_check(struct wire_crypto *c, const struct wire_seal *s, dk_slice sealed)
{
	uint8_t tag[32];

	if (sealed.n < WIRE_SEAL_HEAD || (sealed.n - WIRE_SEAL_HEAD) % 16 || sealed.n > INT32_MAX)
		return WIRE_DROP_FRAME;
	mac_of(c, s, sealed.p + WIRE_SEAL_HEAD, sealed.n - WIRE_SEAL_HEAD, tag);
	return CRYPTO_memcmp(tag, sealed.p + 4, 32) ? WIRE_DROP_MAC : WIRE_PASS;
}

enum wire_drop wire_seal_open(struct wire_crypto *c, const struct wire_seal *s, dk_slice sealed, uint8_t *out, dk_slice *ret_plain)
{
	size_t len = sealed.n - WIRE_SEAL_HEAD, n = get_u32(sealed.p);
	uint8_t rest = 0;

	/* plainLen is not under the tag. Zeros behind it are all that an encoder may have left there: more than that, or anything
	 * else, is a message that somebody cut. */
	if (n > len || len - n > WIRE_SEAL_TRAIL_MAX)
		return WIRE_DROP_PLAIN;
	if (len) {
		if (!cbc(c->dec, s->key, sealed.p + WIRE_SEAL_HEAD, len, out))
			return WIRE_DROP_PLAIN;
		put_iv(out, s->iv);
	}
	for (size_t i = n; i < len; i++)
		rest |= out[i];
	if (rest)
		return WIRE_DROP_PLAIN;
	*ret_plain = dk_slice_n(out, n);
	return WIRE_PASS;
}
