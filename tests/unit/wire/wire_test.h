/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of wire/ share: the worked examples' keys, a context with counted memory and repeatable chance, bytes from hex
 * text, and an event sink that remembers what it was shown.
 */
#ifndef TESTS_WIRE_TEST_H
#define TESTS_WIRE_TEST_H

#include "wire/peer.h"
#include "wire/stream.h"
#include "wire/wire.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEN_MAX 512

struct seen_frame {
	uint8_t ver, status;
	uint16_t cmd;
	bool reliable;
	size_t n;
	uint8_t *payload;
};

struct seen {
	struct seen_frame frames[SEEN_MAX];
	unsigned n, opened, moved, closed;
	struct dk_addr at;
	enum wire_reason reason;
	struct wire_events ev;
};

struct bytes {
	size_t n;
	uint8_t b[2048];
};

/* Memory of a context: what is out, and an allocation to fail (0 = none). */
struct memory {
	size_t out;
	uint64_t calls, fail_at;
	uint64_t chance;
};

void seen_init(struct seen *s);
void seen_fini(struct seen *s); /* forgets the frames, keeps the events */

struct dk_credential test_credential(bool encrypted);
struct dk_addr test_addr(uint8_t last, uint16_t port);
/* limits may be NULL; m outlives the context. */
struct wire_ctx *test_ctx(struct memory *m, const struct wire_limits *limits);
/* Frees it and fails when it had lent something. */
void test_ctx_free(struct wire_ctx *ctx, struct memory *m);

/* Spaces are skipped, "SID" stands for the sid of the worked examples. */
struct bytes hex(const char *text);
dk_slice slice_of(const struct bytes *b);
void assert_bytes(const uint8_t *p, size_t n, const char *expected_hex);
#define str_slice(s) dk_slice_n((s), strlen(s))

/* The next datagram; n = 0 when there is none. */
struct bytes take_out(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, struct dk_addr *ret_to);
/* Carries the handshake between a server peer and a client peer, both fresh. *ret_seq (may be NULL): the server's first number. */
void open_pair(struct wire_ctx *ctx, struct wire_peer *server, struct wire_peer *client, const struct dk_addr *server_addr,
	       const struct dk_addr *client_addr, uint64_t now, uint32_t *ret_seq);

struct dk_frame test_frame(uint8_t ver, uint16_t cmd, uint8_t status, const char *text);

/* Runs one suite as a Check program: the exit code of main. */
int run_suite(const char *name, void (*fill)(Suite *s));

#define ADD(suite, test)                                                                                                           \
	do {                                                                                                                       \
		TCase *tc_ = tcase_create(#test);                                                                                  \
		tcase_set_timeout(tc_, 120);                                                                                       \
		tcase_add_test(tc_, test);                                                                                         \
		suite_add_tcase((suite), tc_);                                                                                     \
	} while (0)

#endif
