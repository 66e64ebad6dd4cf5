/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seal between nodes of one cluster: bytes in, bytes out. Who holds the cluster key makes contact by HELLO and WELCOME, two
 * messages that carry nothing and prove the key and that both ends are there now; a contact then has a key for each direction,
 * made of the cluster key, both ends' random numbers, boots, the cluster's name and the protocol. What does not open is refused
 * with a reason to count, and nothing is ever answered to it.
 *
 *   HELLO    type u8 = 0xd1 | flags u8 | protocol lowest u8, highest u8 | index u32 | cluster 8 | boot u64 | number u64 |
 *            session u64 | address 20 | nonce 16 | tag 16                                              = 92 bytes
 *   WELCOME  type u8 = 0xd2 | flags u8 | protocol u8 | 0 | index u32 | to index u32 | boot u64 | acked u64 |
 *            address 20 | nonce 16 | tag 16                                                            = 80 bytes
 *   sealed   whatever header its channel has (authenticated) | ciphertext | tag 16
 *
 * All numbers are big-endian. address: family u8 (4, 6 or 0) | 0 | port u16 | ip 16. cluster: the first 8 bytes of SHA-256 of the
 * cluster's name. The tag of a HELLO is HMAC-SHA256, cut to 16 bytes, under a key made of the cluster key; that of a WELCOME covers
 * the HELLO in front of it too. Ciphers are AES-256-GCM, the nonce is the direction's base with the packet's number added in.
 *
 * Without a cluster key all of this runs under a key that everybody knows: the bytes are the same, the protection is none.
 */
#ifndef WIRE_CLUSTER_H
#define WIRE_CLUSTER_H

#include <diarkis/base.h>

#define WIRE_CLUSTER_KEY 32
#define WIRE_CLUSTER_KEYS 2
#define WIRE_CLUSTER_TAG 16
#define WIRE_CLUSTER_PROTOCOL 1 /* highest and lowest that this side speaks */
#define WIRE_CLUSTER_WINDOW 1024 /* packets */
#define WIRE_CLUSTER_RENEW (UINT64_C(1) << 23) /* packets of one contact after which a new one is due */
#define WIRE_HELLO_LEN 92
#define WIRE_WELCOME_LEN 80
#define WIRE_CLUSTER_ADDR 20

enum { WIRE_HELLO = 0xd1, WIRE_WELCOME = 0xd2, WIRE_SEALED = 0xd3 }; /* first byte of all that nodes say to each other */
enum wire_hello_flag { WIRE_HELLO_GUEST = 1, WIRE_HELLO_STREAM = 2 };

/* Why something was refused. 0 = it was not. */
enum wire_cluster_drop {
	WIRE_CLUSTER_PASS,
	WIRE_CLUSTER_SIZE, /* shorter or longer than any valid one, or of no known type */
	WIRE_CLUSTER_FOREIGN, /* sealed with none of our keys */
	WIRE_CLUSTER_NAME, /* our key, but another cluster's name */
	WIRE_CLUSTER_VERSION, /* our key, but no protocol in common */
	WIRE_CLUSTER_REPLAY, /* was here before, or is older than the window */
	WIRE_CLUSTER_DROPS
};

struct wire_cluster;
struct wire_cluster_opts {
	uint8_t key[WIRE_CLUSTER_KEYS][WIRE_CLUSTER_KEY]; /* the first one is used to speak, each to listen */
	unsigned key_n; /* 0: the key that everybody knows */
	dk_str name; /* of the cluster; copied as its hash */
	uint8_t protocol_min, protocol_max; /* both 0: WIRE_CLUSTER_PROTOCOL */
	uint64_t boot; /* this run of this node; not 0 */
	struct dk_addr addr; /* its name; family 0: a guest, or not known yet */
	int (*random)(void *arg, void *buf, size_t n); /* 0 or <0 */
	void *arg;
};
/* Returns 0, -ENOMEM or -ENOTSUP (the crypto library lacks an algorithm). */
int wire_cluster_new(const struct wire_cluster_opts *opts, struct wire_cluster **ret_cluster);
void wire_cluster_free(struct wire_cluster *c); /* NULL is fine */
void wire_cluster_set_addr(struct wire_cluster *c, const struct dk_addr *addr);

/* Two ends that share keys. Zeroed = none. */
struct wire_contact {
	void *enc, *dec; /* cipher contexts */
	uint8_t iv_out[12], iv_in[12];
	uint64_t sent; /* number of the next packet out */
	uint64_t top; /* one above the highest number that came */
	uint64_t seen[WIRE_CLUSTER_WINDOW / 64];
	uint64_t boot; /* the other end's */
	struct dk_addr addr; /* its name */
	uint32_t near, far; /* indices: what names this contact here, and there */
	uint8_t flags, protocol;
};
void wire_contact_fini(struct wire_contact *x); /* zeroed is fine */

/* A HELLO that was written, kept until its WELCOME comes. */
struct wire_hello {
	uint8_t bytes[WIRE_HELLO_LEN];
};
/* What a good HELLO says. */
struct wire_hello_in {
	uint8_t bytes[WIRE_HELLO_LEN];
	uint8_t key, protocol, flags; /* key: which of ours it is sealed with */
	uint32_t index;
	uint64_t boot, number, session;
	struct dk_addr addr;
};

/* index: what the other end is to write in front of what it sends here. session: of a stream, else 0. Each call writes another
 * number, above all before it. Returns 0 or <0 (no randomness). */
int wire_hello_write(struct wire_cluster *c, uint8_t flags, uint32_t index, uint64_t session, struct wire_hello *ret_hello);
/* Looks at a HELLO; changes nothing. stream: it came by one. */
enum wire_cluster_drop wire_hello_open(struct wire_cluster *c, dk_slice bytes, bool stream, struct wire_hello_in *ret_hello);
/* Answers one: the contact is made, but the other end has proven to be there only when something sealed by it opens. acked: how
 * far that session's messages are known here. Returns 0 or <0 (no memory, no randomness). */
int wire_welcome_write(struct wire_cluster *c, const struct wire_hello_in *hello, uint32_t index, uint64_t acked,
		       uint8_t out[WIRE_WELCOME_LEN], struct wire_contact *ret_contact);
/* The index that a WELCOME is for, before anything is checked. False: it is none. */
bool wire_welcome_index(dk_slice bytes, uint32_t *ret_index);
/* Opens the answer to our HELLO: the other end is there now. */
enum wire_cluster_drop wire_welcome_open(struct wire_cluster *c, const struct wire_hello *hello, dk_slice bytes,
					 uint64_t *ret_acked, struct wire_contact *ret_contact);

/* Seals n bytes at p in place, which is followed by room for the tag; head is authenticated with it. number must not have been
 * used before in this contact: x->sent++. */
void wire_contact_seal(struct wire_contact *x, uint64_t number, dk_slice head, uint8_t *p, size_t n);
/* Whether a packet of that number may be looked at at all: false = replayed. */
bool wire_contact_fresh(const struct wire_contact *x, uint64_t number);
/* Opens sealed (ciphertext and tag) into out, which may be where it lies; the number is used up when that succeeds. */
enum wire_cluster_drop wire_contact_open(struct wire_contact *x, uint64_t number, dk_slice head, dk_slice sealed, uint8_t *out,
					 dk_slice *ret_plain);

/* ---- datagrams: type u8 = 0xd3 | to index u32 | number u64 | ciphertext | tag 16 ---- */

#define WIRE_PACKET_HEAD 13
#define WIRE_PACKET_MAX 1200
#define WIRE_PACKET_PLAIN (WIRE_PACKET_MAX - WIRE_PACKET_HEAD - WIRE_CLUSTER_TAG)
/* Seals in place a packet whose n plain bytes stand at p + WIRE_PACKET_HEAD. Returns its length. */
size_t wire_packet_seal(struct wire_contact *x, uint8_t *p, size_t n);
/* The index that a sealed datagram names, before anything is checked. False: it is none. */
bool wire_packet_index(dk_slice bytes, uint32_t *ret_index);
/* out: room for WIRE_PACKET_MAX bytes. */
enum wire_cluster_drop wire_packet_open(struct wire_contact *x, dk_slice bytes, uint8_t *out, dk_slice *ret_plain);

/* ---- streams: type u8 = 0xd3 | length u24 of what follows | ciphertext | tag 16; numbers count from 0 ---- */

#define WIRE_RECORD_HEAD 4
#define WIRE_RECORD_PLAIN 65536
#define WIRE_RECORD_MAX (WIRE_RECORD_HEAD + WIRE_RECORD_PLAIN + WIRE_CLUSTER_TAG)
size_t wire_record_seal(struct wire_contact *x, uint8_t *p, size_t n); /* as wire_packet_seal(), at p + WIRE_RECORD_HEAD */
/* How long the unit is that begins here, HELLO and WELCOME included: 0 = more bytes are needed to tell, SIZE_MAX = it is none. */
size_t wire_record_len(dk_slice bytes);
/* out: room for WIRE_RECORD_PLAIN bytes; bytes: as long as wire_record_len() said. */
enum wire_cluster_drop wire_record_open(struct wire_contact *x, dk_slice bytes, uint8_t *out, dk_slice *ret_plain);

/* ---- addresses in these layouts; a family that is none of 0, 4, 6 makes the reader bad ---- */

struct dk_cursor;
struct dk_writer;
void wire_addr_write(struct dk_writer *w, const struct dk_addr *a);
void wire_addr_read(struct dk_cursor *c, struct dk_addr *ret_addr);

/* ---- keys, as people keep them ---- */

/* 64 hexadecimal digits; white space around them is passed over. Returns 0 or -EINVAL. */
int wire_cluster_key_parse(dk_str text, uint8_t ret_key[WIRE_CLUSTER_KEY]);
/* Where one key stands: in text, or else in a file of mode 0640 at most. NULL or empty: not there. */
struct wire_cluster_source {
	const char *text, *file;
};
/* Both keys, the one to speak with first. Returns how many there are, or -EINVAL: why is a sentence, *ret_bad the place that it is
 * about: 0 text and 1 file of the first, 2 and 3 of the second. */
int wire_cluster_keys_read(const struct wire_cluster_source from[WIRE_CLUSTER_KEYS],
			   uint8_t ret_keys[WIRE_CLUSTER_KEYS][WIRE_CLUSTER_KEY], int *ret_bad, char *why, size_t why_n);

#endif
