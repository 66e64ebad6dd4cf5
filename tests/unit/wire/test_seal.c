/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seal against libcrypto's own HMAC and CBC, for every length around the block sizes, and what an opener lets pass. The same
 * file is built twice: with the stored SHA-256 states and, as test_seal_evp, with EVP for everything.
 */
#include "tests/unit/wire/wire_test.h"
#include "wire/frame.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>

static struct wire_crypto *crypto;
static struct wire_seal keys;
static struct dk_credential cred;

static void set_up(void)
{
	cred = test_credential(true);
	ck_assert_int_eq(wire_crypto_new(&crypto), 0);
	wire_seal_init(&keys, &cred);
}

static void tear_down(void)
{
	wire_crypto_free(crypto);
}

static void oracle_mac(const uint8_t key[16], const uint8_t *p, size_t n, uint8_t tag[32])
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *x = EVP_MAC_CTX_new(mac);
	char digest[] = "SHA256";
	OSSL_PARAM params[2] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end() };
	size_t len = 0;

	ck_assert_int_eq(EVP_MAC_init(x, key, 16, params), 1);
	ck_assert_int_eq(EVP_MAC_update(x, p, n), 1);
	ck_assert_int_eq(EVP_MAC_final(x, tag, &len, 32), 1);
	EVP_MAC_CTX_free(x);
	EVP_MAC_free(mac);
}

static void oracle_cbc(const struct dk_credential *c, const uint8_t *in, size_t n, uint8_t *out)
{
	EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
	int done = 0;

	ck_assert_int_eq(EVP_EncryptInit_ex(x, EVP_aes_128_cbc(), NULL, c->key, c->iv), 1);
	EVP_CIPHER_CTX_set_padding(x, 0);
	ck_assert_int_eq(EVP_EncryptUpdate(x, out, &done, in, (int)n), 1);
	ck_assert_int_eq(done, (int)n);
	EVP_CIPHER_CTX_free(x);
}

/* A seal made by libcrypto alone: plain bytes, then `pad` bytes of `fill`; the length says `claim`. */
static size_t foreign(const uint8_t *plain, size_t n, size_t pad, uint8_t fill, uint32_t claim, uint8_t *out)
{
	uint8_t padded[4096];

	memcpy(padded, plain, n);
	memset(padded + n, fill, pad);
	if (n + pad)
		oracle_cbc(&cred, padded, n + pad, out + 36);
	out[0] = (uint8_t)(claim >> 24);
	out[1] = (uint8_t)(claim >> 16);
	out[2] = (uint8_t)(claim >> 8);
	out[3] = (uint8_t)claim;
	oracle_mac(cred.mac_key, out + 36, n + pad, out + 4);
	return 36 + n + pad;
}

static enum wire_drop open_it(const uint8_t *p, size_t n, dk_slice *ret_plain)
{
	static uint8_t buf[8192];
	enum wire_drop d = wire_seal_check(crypto, &keys, dk_slice_n(p, n));

	return d == WIRE_PASS ? wire_seal_open(crypto, &keys, dk_slice_n(p, n), buf, ret_plain) : d;
}

START_TEST(same_as_libcrypto)
{
	uint8_t plain[2100], ours[2200], theirs[2200];
	dk_slice back;

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 31 + 7);
	for (size_t n = 0; n <= 2048; n += n < 300 ? 1 : 37) {
		for (int i = 0; i < 16; i++) {
			cred.key[i] = (uint8_t)(n + 3 * (size_t)i);
			cred.iv[i] = (uint8_t)(n * 5 + (size_t)i);
			cred.mac_key[i] = (uint8_t)(n ^ 0x55 ^ (size_t)i);
		}
		wire_seal_init(&keys, &cred);
		memcpy(ours + 36, plain, n);
		wire_seal_close(crypto, &keys, ours, n);
		ck_assert_uint_eq(foreign(plain, n, 16 - n % 16, 0, (uint32_t)n, theirs), wire_seal_len(n));
		ck_assert_mem_eq(ours, theirs, wire_seal_len(n));
		ck_assert_int_eq(open_it(theirs, wire_seal_len(n), &back), WIRE_PASS);
		ck_assert_uint_eq(back.n, n);
		if (n)
			ck_assert_mem_eq(back.p, plain, n);
	}
}
END_TEST

/* Other encoders: a block of zeros too many, none for an empty message. */
START_TEST(lenient)
{
	uint8_t out[256];
	dk_slice back;
	size_t n;

	n = foreign((const uint8_t *)"hello", 5, 27, 0, 5, out);
	ck_assert_int_eq(open_it(out, n, &back), WIRE_PASS);
	ck_assert_uint_eq(back.n, 5);
	n = foreign((const uint8_t *)"0123456789abcdef", 16, 32, 0, 16, out);
	ck_assert_int_eq(open_it(out, n, &back), WIRE_PASS);
	n = foreign((const uint8_t *)"0123456789abcdef", 16, 0, 0, 16, out);
	ck_assert_int_eq(open_it(out, n, &back), WIRE_PASS);
	ck_assert_uint_eq(back.n, 16);
	n = foreign((const uint8_t *)"", 0, 0, 0, 0, out);
	ck_assert_uint_eq(n, 36);
	ck_assert_int_eq(open_it(out, n, &back), WIRE_PASS);
	ck_assert_uint_eq(back.n, 0);
	n = foreign((const uint8_t *)"", 0, 32, 0, 0, out);
	ck_assert_int_eq(open_it(out, n, &back), WIRE_PASS);
}
END_TEST

/* The length is not under the tag; the padding rule makes up for most of that. */
START_TEST(strict)
{
	uint8_t out[256];
	dk_slice back;
	size_t n;

	n = foreign((const uint8_t *)"hello", 5, 11, 0, 4, out); /* cut by one */
	ck_assert_int_eq(open_it(out, n, &back), WIRE_DROP_PLAIN);
	n = foreign((const uint8_t *)"hello", 5, 11, 1, 5, out); /* padding that is not zero */
	ck_assert_int_eq(open_it(out, n, &back), WIRE_DROP_PLAIN);
	n = foreign((const uint8_t *)"hello", 5, 43, 0, 5, out); /* more than two blocks of it */
	ck_assert_int_eq(open_it(out, n, &back), WIRE_DROP_PLAIN);
	n = foreign((const uint8_t *)"hello", 5, 11, 0, 17, out); /* longer than what is there */
	ck_assert_int_eq(open_it(out, n, &back), WIRE_DROP_PLAIN);
	n = foreign((const uint8_t *)"hello", 5, 11, 0, UINT32_MAX, out);
	ck_assert_int_eq(open_it(out, n, &back), WIRE_DROP_PLAIN);
	n = foreign((const uint8_t *)"", 0, 0, 0, 1, out);
	ck_assert_int_eq(open_it(out, n, &back), WIRE_DROP_PLAIN);
	/* Sizes that no seal has. */
	n = foreign((const uint8_t *)"hello", 5, 11, 0, 5, out);
	ck_assert_int_eq(open_it(out, n - 1, &back), WIRE_DROP_FRAME);
	ck_assert_int_eq(open_it(out, 35, &back), WIRE_DROP_FRAME);
	ck_assert_int_eq(open_it(out, 0, &back), WIRE_DROP_FRAME);
	ck_assert_int_eq(open_it(out, 36, &back), WIRE_DROP_MAC);
}
END_TEST

/* Every bit of tag and ciphertext is covered. */
START_TEST(every_bit)
{
	uint8_t out[256];
	dk_slice back;
	size_t n = foreign((const uint8_t *)"0123456789abcdefgh", 18, 14, 0, 18, out);

	for (size_t bit = 32; bit < n * 8; bit++) {
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(open_it(out, n, &back), WIRE_DROP_MAC);
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(open_it(out, n, &back), WIRE_PASS);
}
END_TEST

/* wire_frame_room() is the exact inverse of wire_frame_len(). */
START_TEST(frame_sizes)
{
	struct wire_codec sealed = { cred.sid, &keys }, plain = { cred.sid, NULL };

	for (size_t len = 0; len < 1400; len++) {
		for (int role = WIRE_SERVER; role <= WIRE_CLIENT; role++) {
			for (int s = 0; s < 2; s++) {
				const struct wire_codec *k = s ? &sealed : &plain;
				size_t room = wire_frame_room((enum wire_role)role, k, len);

				if (room == 0)
					continue;
				ck_assert_uint_le(wire_frame_len((enum wire_role)role, k, room), len);
				ck_assert_uint_gt(wire_frame_len((enum wire_role)role, k, room + 1), len);
			}
		}
	}
	ck_assert_uint_eq(wire_frame_len(WIRE_CLIENT, &sealed, 1), 78);
	ck_assert_uint_eq(wire_frame_len(WIRE_SERVER, &sealed, 1), 63);
}
END_TEST

static void fill(Suite *s)
{
	TCase *tc = tcase_create("seal");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, same_as_libcrypto);
	tcase_add_test(tc, lenient);
	tcase_add_test(tc, strict);
	tcase_add_test(tc, every_bit);
	tcase_add_test(tc, frame_sizes);
	suite_add_tcase(s, tc);
}

int main(void)
{
	return run_suite("wire: the seal", fill);
}
