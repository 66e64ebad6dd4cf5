/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seal between nodes over OpenSSL's libcrypto: layouts and promises are in cluster.h. The algorithms are fetched once; a
 * contact keeps a cipher context for each direction with its key set, so a packet costs a nonce, the cipher and the tag.
 *
 * The order for hostile bytes: size, tag, and only then what the bytes say. A HELLO is checked against each cluster key in turn;
 * all that it makes is a contact that says nothing until something under its fresh keys has come back.
 */
#include "wire/cluster.h"

#include <diarkis/cursor.h>

#include <errno.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#define HELLO_SIGNED (WIRE_HELLO_LEN - WIRE_CLUSTER_TAG)
#define WELCOME_SIGNED (WIRE_WELCOME_LEN - WIRE_CLUSTER_TAG)
#define NONCE 16
#define HELLO_NONCE (HELLO_SIGNED - NONCE)
#define WELCOME_NONCE (WELCOME_SIGNED - NONCE)

struct wire_cluster {
	struct wire_cluster_opts opts;
	uint8_t name[8];
	uint8_t mac_key[WIRE_CLUSTER_KEYS][32];
	uint64_t hellos;
	EVP_CIPHER *gcm;
	EVP_KDF *hkdf;
	EVP_KDF_CTX *kdf;
	EVP_MAC *hmac;
	EVP_MAC_CTX *mac;
};

/* ---- keys ---- */

static int derive(struct wire_cluster *c, const uint8_t *key, dk_slice salt, dk_slice info, uint8_t *out, size_t n)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key, WIRE_CLUSTER_KEY),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.p, salt.n),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info.p, info.n),
		OSSL_PARAM_construct_end(),
	};

	EVP_KDF_CTX_reset(c->kdf);
	return EVP_KDF_derive(c->kdf, out, n, params) == 1 ? 0 : -ENOTSUP;
}

/* HMAC over two pieces, cut to the length of a tag. */
static void tag_of(struct wire_cluster *c, unsigned key, dk_slice a, dk_slice b, uint8_t tag[WIRE_CLUSTER_TAG])
{
	uint8_t full[32];
	size_t len = 0;

	if (EVP_MAC_init(c->mac, c->mac_key[key], 32, NULL) != 1 || EVP_MAC_update(c->mac, a.p, a.n) != 1 ||
	    (b.n && EVP_MAC_update(c->mac, b.p, b.n) != 1) || EVP_MAC_final(c->mac, full, &len, sizeof(full)) != 1 || len != 32)
		abort(); /* fixed sizes and a fetched algorithm: only a broken libcrypto gets here; no wrong tag may leave */
	memcpy(tag, full, WIRE_CLUSTER_TAG);
}

int wire_cluster_new(const struct wire_cluster_opts *opts, struct wire_cluster **ret_cluster)
{
	struct wire_cluster *c = calloc(1, sizeof(*c));
	char digest[] = "SHA256";
	OSSL_PARAM params[2] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end() };
	const dk_slice label = dk_slice_of(dk_str_c("diarkis cluster")), info = dk_slice_of(dk_str_c("hello 1"));
	uint8_t hash[32];
	int rc = -ENOTSUP;

	if (!c)
		return -ENOMEM;
	c->opts = *opts;
	if (!c->opts.key_n) {
		memset(c->opts.key, 0, sizeof(c->opts.key));
		c->opts.key_n = 1;
	}
	if (!c->opts.protocol_max)
		c->opts.protocol_min = c->opts.protocol_max = WIRE_CLUSTER_PROTOCOL;
	c->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	c->hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	c->kdf = c->hkdf ? EVP_KDF_CTX_new(c->hkdf) : NULL;
	c->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	c->mac = c->hmac ? EVP_MAC_CTX_new(c->hmac) : NULL;
	if (!c->gcm || !c->kdf || !c->mac || EVP_MAC_CTX_set_params(c->mac, params) != 1 ||
	    EVP_Q_digest(NULL, "SHA256", NULL, opts->name.p ? opts->name.p : "", opts->name.n, hash, NULL) != 1)
		goto fail;
	memcpy(c->name, hash, sizeof(c->name));
	for (unsigned i = 0; i < c->opts.key_n; i++) {
		rc = derive(c, c->opts.key[i], label, info, c->mac_key[i], 32);
		if (rc)
			goto fail;
	}
	*ret_cluster = c;
	return 0;
fail:
	wire_cluster_free(c);
	return rc;
}

void wire_cluster_free(struct wire_cluster *c)
{
	if (!c)
		return;
	EVP_MAC_CTX_free(c->mac);
	EVP_MAC_free(c->hmac);
	EVP_KDF_CTX_free(c->kdf);
	EVP_KDF_free(c->hkdf);
	EVP_CIPHER_free(c->gcm);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

void wire_cluster_set_addr(struct wire_cluster *c, const struct dk_addr *addr)
{
	c->opts.addr = *addr;
}

/* ---- addresses ---- */

void wire_addr_write(struct dk_writer *w, const struct dk_addr *a)
{
	dk_wr_u8(w, a->family);
	dk_wr_u8(w, 0);
	dk_wr_u16(w, a->port);
	dk_wr_slice(w, dk_slice_n(a->ip, sizeof(a->ip)));
}

void wire_addr_read(struct dk_cursor *c, struct dk_addr *ret_addr)
{
	struct dk_addr a = { .family = dk_rd_u8(c) };
	const uint8_t *ip;

	dk_rd_u8(c);
	a.port = dk_rd_u16(c);
	ip = dk_rd_take(c, sizeof(a.ip));
	if (!ip || (a.family != 0 && a.family != 4 && a.family != 6)) {
		c->bad = true;
		return;
	}
	/* What is no part of the address must not tell two of them apart. */
	memcpy(a.ip, ip, a.family == 4 ? 4 : sizeof(a.ip));
	*ret_addr = a;
}

/* ---- contacts ---- */

void wire_contact_fini(struct wire_contact *x)
{
	EVP_CIPHER_CTX_free(x->enc);
	EVP_CIPHER_CTX_free(x->dec);
	explicit_bzero(x, sizeof(*x));
}

/* first: this end spoke first. */
static int contact_init(struct wire_cluster *c, unsigned key, const uint8_t *hello, const uint8_t *welcome, bool first,
			struct wire_contact *x)
{
	static const char label[] = "diarkis cluster 1";
	uint8_t salt[2 * NONCE], info[sizeof(label) + 8 + 8 + 8 + 2], out[2 * (32 + 12)];
	struct dk_writer w = dk_writer_on(info, sizeof(info));
	const uint8_t *mine = out + (first ? 0 : 44), *theirs = out + (first ? 44 : 0);
	int rc;

	memcpy(salt, hello + HELLO_NONCE, NONCE);
	memcpy(salt + NONCE, welcome + WELCOME_NONCE, NONCE);
	dk_wr_slice(&w, dk_slice_n(label, sizeof(label)));
	dk_wr_slice(&w, dk_slice_n(c->name, sizeof(c->name)));
	dk_wr_slice(&w, dk_slice_n(hello + 16, 8)); /* both boots */
	dk_wr_slice(&w, dk_slice_n(welcome + 12, 8));
	dk_wr_u8(&w, hello[1]);
	dk_wr_u8(&w, x->protocol);
	rc = derive(c, c->opts.key[key], dk_slice_n(salt, sizeof(salt)), dk_written(&w), out, sizeof(out));
	if (rc)
		return rc;
	memcpy(x->iv_out, mine + 32, 12);
	memcpy(x->iv_in, theirs + 32, 12);
	x->enc = EVP_CIPHER_CTX_new();
	x->dec = EVP_CIPHER_CTX_new();
	if (!x->enc || !x->dec || EVP_EncryptInit_ex2(x->enc, c->gcm, mine, NULL, NULL) != 1 ||
	    EVP_DecryptInit_ex2(x->dec, c->gcm, theirs, NULL, NULL) != 1) {
		wire_contact_fini(x);
		rc = -ENOMEM;
	}
	explicit_bzero(out, sizeof(out));
	return rc;
}

/* ---- HELLO and WELCOME ---- */

int wire_hello_write(struct wire_cluster *c, uint8_t flags, uint32_t index, uint64_t session, struct wire_hello *ret_hello)
{
	struct wire_hello h;
	struct dk_writer w = dk_writer_on(h.bytes, sizeof(h.bytes));
	uint8_t nonce[NONCE];
	int rc = c->opts.random(c->opts.arg, nonce, sizeof(nonce));

	if (rc < 0)
		return rc;
	dk_wr_u8(&w, WIRE_HELLO);
	dk_wr_u8(&w, flags);
	dk_wr_u8(&w, c->opts.protocol_min);
	dk_wr_u8(&w, c->opts.protocol_max);
	dk_wr_u32(&w, index);
	dk_wr_slice(&w, dk_slice_n(c->name, sizeof(c->name)));
	dk_wr_u64(&w, c->opts.boot);
	dk_wr_u64(&w, ++c->hellos);
	dk_wr_u64(&w, session);
	wire_addr_write(&w, &c->opts.addr);
	dk_wr_slice(&w, dk_slice_n(nonce, sizeof(nonce)));
	tag_of(c, 0, dk_slice_n(h.bytes, HELLO_SIGNED), dk_slice_n(NULL, 0), h.bytes + HELLO_SIGNED);
	*ret_hello = h;
	return 0;
}

enum wire_cluster_drop wire_hello_open(struct wire_cluster *c, dk_slice bytes, bool stream, struct wire_hello_in *ret_hello)
{
	struct wire_hello_in in = { .key = 0 };
	struct dk_cursor r = dk_cursor_of(bytes);
	uint8_t tag[WIRE_CLUSTER_TAG], lowest, highest;
	const uint8_t *name;

	if (bytes.n != WIRE_HELLO_LEN || bytes.p[0] != WIRE_HELLO)
		return WIRE_CLUSTER_SIZE;
	for (;; in.key++) {
		if (in.key == c->opts.key_n)
			return WIRE_CLUSTER_FOREIGN;
		tag_of(c, in.key, dk_slice_n(bytes.p, HELLO_SIGNED), dk_slice_n(NULL, 0), tag);
		if (CRYPTO_memcmp(tag, bytes.p + HELLO_SIGNED, sizeof(tag)) == 0)
			break;
	}
	dk_rd_u8(&r);
	in.flags = dk_rd_u8(&r);
	lowest = dk_rd_u8(&r);
	highest = dk_rd_u8(&r);
	in.index = dk_rd_u32(&r);
	name = dk_rd_take(&r, sizeof(c->name));
	in.boot = dk_rd_u64(&r);
	in.number = dk_rd_u64(&r);
	in.session = dk_rd_u64(&r);
	wire_addr_read(&r, &in.addr);
	if (r.bad || !in.boot || !(in.flags & WIRE_HELLO_STREAM) != !stream)
		return WIRE_CLUSTER_SIZE;
	if (memcmp(name, c->name, sizeof(c->name)))
		return WIRE_CLUSTER_NAME;
	if (lowest > c->opts.protocol_max || highest < c->opts.protocol_min)
		return WIRE_CLUSTER_VERSION;
	in.protocol = highest < c->opts.protocol_max ? highest : c->opts.protocol_max;
	memcpy(in.bytes, bytes.p, sizeof(in.bytes));
	*ret_hello = in;
	return WIRE_CLUSTER_PASS;
}

int wire_welcome_write(struct wire_cluster *c, const struct wire_hello_in *hello, uint32_t index, uint64_t acked,
		       uint8_t out[WIRE_WELCOME_LEN], struct wire_contact *ret_contact)
{
	struct wire_contact x = { .boot = hello->boot,
				  .addr = hello->addr,
				  .near = index,
				  .far = hello->index,
				  .flags = hello->flags,
				  .protocol = hello->protocol };
	struct dk_writer w = dk_writer_on(out, WIRE_WELCOME_LEN);
	uint8_t nonce[NONCE];
	int rc = c->opts.random(c->opts.arg, nonce, sizeof(nonce));

	if (rc < 0)
		return rc;
	dk_wr_u8(&w, WIRE_WELCOME);
	dk_wr_u8(&w, hello->flags);
	dk_wr_u8(&w, hello->protocol);
	dk_wr_u8(&w, 0);
	dk_wr_u32(&w, index);
	dk_wr_u32(&w, hello->index);
	dk_wr_u64(&w, c->opts.boot);
	dk_wr_u64(&w, acked);
	wire_addr_write(&w, &c->opts.addr);
	dk_wr_slice(&w, dk_slice_n(nonce, sizeof(nonce)));
	rc = contact_init(c, hello->key, hello->bytes, out, false, &x);
	if (rc)
		return rc;
	tag_of(c, hello->key, dk_slice_n(hello->bytes, WIRE_HELLO_LEN), dk_slice_n(out, WELCOME_SIGNED), out + WELCOME_SIGNED);
	*ret_contact = x;
	return 0;
}

bool wire_welcome_index(dk_slice bytes, uint32_t *ret_index)
{
	struct dk_cursor r = dk_cursor_of(bytes);

	if (bytes.n != WIRE_WELCOME_LEN || bytes.p[0] != WIRE_WELCOME)
		return false;
	dk_rd_take(&r, 8);
	*ret_index = dk_rd_u32(&r);
	return true;
}

enum wire_cluster_drop wire_welcome_open(struct wire_cluster *c, const struct wire_hello *hello, dk_slice bytes,
					 uint64_t *ret_acked, struct wire_contact *ret_contact)
{
	struct dk_cursor r = dk_cursor_of(bytes), own = dk_cursor_of(dk_slice_n(hello->bytes, WIRE_HELLO_LEN));
	struct wire_contact x = { .near = 0 };
	uint8_t tag[WIRE_CLUSTER_TAG];
	uint64_t acked;

	if (bytes.n != WIRE_WELCOME_LEN || bytes.p[0] != WIRE_WELCOME)
		return WIRE_CLUSTER_SIZE;
	/* Whoever answers uses the key that the HELLO was sealed with, and that is the first. */
	tag_of(c, 0, dk_slice_n(hello->bytes, WIRE_HELLO_LEN), dk_slice_n(bytes.p, WELCOME_SIGNED), tag);
	if (CRYPTO_memcmp(tag, bytes.p + WELCOME_SIGNED, sizeof(tag)))
		return WIRE_CLUSTER_FOREIGN;
	dk_rd_take(&own, 4);
	dk_rd_u8(&r);
	x.flags = dk_rd_u8(&r);
	x.protocol = dk_rd_u8(&r);
	dk_rd_u8(&r);
	x.far = dk_rd_u32(&r);
	x.near = dk_rd_u32(&r);
	x.boot = dk_rd_u64(&r);
	acked = dk_rd_u64(&r);
	wire_addr_read(&r, &x.addr);
	if (r.bad || !x.boot || x.near != dk_rd_u32(&own) || x.flags != hello->bytes[1])
		return WIRE_CLUSTER_SIZE;
	if (x.protocol < c->opts.protocol_min || x.protocol > c->opts.protocol_max)
		return WIRE_CLUSTER_VERSION;
	if (contact_init(c, 0, hello->bytes, bytes.p, true, &x) < 0)
		return WIRE_CLUSTER_SIZE;
	*ret_acked = acked;
	*ret_contact = x;
	return WIRE_CLUSTER_PASS;
}

/* ---- sealing ---- */

static void nonce_of(const uint8_t iv[12], uint64_t number, uint8_t nonce[12])
{
	memcpy(nonce, iv, 12);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] ^= (uint8_t)(number >> (56 - 8 * i));
}

void wire_contact_seal(struct wire_contact *x, uint64_t number, dk_slice head, uint8_t *p, size_t n)
{
	OSSL_PARAM tag[2] = { OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, p + n, WIRE_CLUSTER_TAG),
			      OSSL_PARAM_construct_end() };
	uint8_t nonce[12];
	int len = 0, rest = 0;

	nonce_of(x->iv_out, number, nonce);
	if (EVP_EncryptInit_ex2(x->enc, NULL, NULL, nonce, NULL) != 1 ||
	    EVP_EncryptUpdate(x->enc, NULL, &len, head.p, (int)head.n) != 1 ||
	    (n && (EVP_EncryptUpdate(x->enc, p, &len, p, (int)n) != 1 || len != (int)n)) ||
	    EVP_EncryptFinal_ex(x->enc, p + n, &rest) != 1 || rest != 0 || EVP_CIPHER_CTX_get_params(x->enc, tag) != 1)
		abort(); /* plaintext must not leave, and there is no input that can cause this */
}

bool wire_contact_fresh(const struct wire_contact *x, uint64_t number)
{
	if (number >= x->top)
		return true;
	if (x->top - number > WIRE_CLUSTER_WINDOW)
		return false;
	return !(x->seen[number % WIRE_CLUSTER_WINDOW / 64] >> number % 64 & 1);
}

static void use_up(struct wire_contact *x, uint64_t number)
{
	if (number >= x->top) {
		uint64_t gap = number - x->top;

		if (gap >= WIRE_CLUSTER_WINDOW)
			memset(x->seen, 0, sizeof(x->seen));
		else
			for (uint64_t i = x->top; i <= number; i++)
				x->seen[i % WIRE_CLUSTER_WINDOW / 64] &= ~(UINT64_C(1) << i % 64);
		x->top = number + 1;
	}
	x->seen[number % WIRE_CLUSTER_WINDOW / 64] |= UINT64_C(1) << number % 64;
}

enum wire_cluster_drop wire_contact_open(struct wire_contact *x, uint64_t number, dk_slice head, dk_slice sealed, uint8_t *out,
					 dk_slice *ret_plain)
{
	OSSL_PARAM tag[2] = { OSSL_PARAM_construct_end(), OSSL_PARAM_construct_end() };
	size_t n = sealed.n - WIRE_CLUSTER_TAG;
	uint8_t nonce[12];
	int len = 0, rest = 0;

	if (sealed.n < WIRE_CLUSTER_TAG || number == UINT64_MAX)
		return WIRE_CLUSTER_SIZE;
	if (!wire_contact_fresh(x, number))
		return WIRE_CLUSTER_REPLAY;
	tag[0] = OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, (void *)(uintptr_t)(sealed.p + n), WIRE_CLUSTER_TAG);
	nonce_of(x->iv_in, number, nonce);
	if (EVP_DecryptInit_ex2(x->dec, NULL, NULL, nonce, tag) != 1 ||
	    EVP_DecryptUpdate(x->dec, NULL, &len, head.p, (int)head.n) != 1 ||
	    (n && (EVP_DecryptUpdate(x->dec, out, &len, sealed.p, (int)n) != 1 || len != (int)n)) ||
	    EVP_DecryptFinal_ex(x->dec, out + n, &rest) != 1)
		return WIRE_CLUSTER_FOREIGN;
	use_up(x, number);
	*ret_plain = dk_slice_n(out, n);
	return WIRE_CLUSTER_PASS;
}

/* ---- datagrams ---- */

size_t wire_packet_seal(struct wire_contact *x, uint8_t *p, size_t n)
{
	struct dk_writer w = dk_writer_on(p, WIRE_PACKET_HEAD);
	uint64_t number = x->sent++;

	dk_wr_u8(&w, WIRE_SEALED);
	dk_wr_u32(&w, x->far);
	dk_wr_u64(&w, number);
	wire_contact_seal(x, number, dk_slice_n(p, WIRE_PACKET_HEAD), p + WIRE_PACKET_HEAD, n);
	return WIRE_PACKET_HEAD + n + WIRE_CLUSTER_TAG;
}

bool wire_packet_index(dk_slice bytes, uint32_t *ret_index)
{
	struct dk_cursor r = dk_cursor_of(bytes);

	if (bytes.n < WIRE_PACKET_HEAD + WIRE_CLUSTER_TAG || bytes.n > WIRE_PACKET_MAX || bytes.p[0] != WIRE_SEALED)
		return false;
	dk_rd_u8(&r);
	*ret_index = dk_rd_u32(&r);
	return true;
}

enum wire_cluster_drop wire_packet_open(struct wire_contact *x, dk_slice bytes, uint8_t *out, dk_slice *ret_plain)
{
	struct dk_cursor r = dk_cursor_of(bytes);
	uint32_t index;
	uint64_t number;

	if (!wire_packet_index(bytes, &index))
		return WIRE_CLUSTER_SIZE;
	dk_rd_take(&r, 5);
	number = dk_rd_u64(&r);
	return wire_contact_open(x, number, dk_slice_n(bytes.p, WIRE_PACKET_HEAD), dk_rd_rest(&r), out, ret_plain);
}

/* ---- streams ---- */

size_t wire_record_seal(struct wire_contact *x, uint8_t *p, size_t n)
{
	struct dk_writer w = dk_writer_on(p, WIRE_RECORD_HEAD);

	dk_wr_u8(&w, WIRE_SEALED);
	dk_wr_u24(&w, (uint32_t)n + WIRE_CLUSTER_TAG);
	wire_contact_seal(x, x->sent++, dk_slice_n(p, WIRE_RECORD_HEAD), p + WIRE_RECORD_HEAD, n);
	return WIRE_RECORD_HEAD + n + WIRE_CLUSTER_TAG;
}

size_t wire_record_len(dk_slice bytes)
{
	struct dk_cursor r = dk_cursor_of(bytes);
	uint8_t type = dk_rd_u8(&r);
	uint32_t n;

	if (r.bad)
		return 0;
	if (type == WIRE_HELLO)
		return WIRE_HELLO_LEN;
	if (type == WIRE_WELCOME)
		return WIRE_WELCOME_LEN;
	if (type != WIRE_SEALED)
		return SIZE_MAX;
	n = dk_rd_u24(&r);
	if (r.bad)
		return 0;
	return n < WIRE_CLUSTER_TAG || n > WIRE_RECORD_PLAIN + WIRE_CLUSTER_TAG ? SIZE_MAX : WIRE_RECORD_HEAD + n;
}

enum wire_cluster_drop wire_record_open(struct wire_contact *x, dk_slice bytes, uint8_t *out, dk_slice *ret_plain)
{
	if (bytes.n < WIRE_RECORD_HEAD + WIRE_CLUSTER_TAG || bytes.p[0] != WIRE_SEALED || wire_record_len(bytes) != bytes.n)
		return WIRE_CLUSTER_SIZE;
	return wire_contact_open(x, x->top, dk_slice_n(bytes.p, WIRE_RECORD_HEAD),
				 dk_slice_n(bytes.p + WIRE_RECORD_HEAD, bytes.n - WIRE_RECORD_HEAD), out, ret_plain);
}
