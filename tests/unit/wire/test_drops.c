/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every reason to refuse something has a counter, and each of them is moved here, by exactly one, without touching another. The
 * table says what is sent to whom; where a state is needed that bytes alone do not make, a row has a function.
 */
#include "tests/unit/wire/wire_test.h"
#include "wire/frame.h"
#include "wire/peer_priv.h"

#define SEALED_HELLO "00000005 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 4bedca3f3c64215c2a43ee0d1866bcc1"

struct stage {
	struct memory m;
	struct wire_ctx *ctx;
	struct wire_peer server, client;
	struct dk_addr server_addr, client_addr, stranger;
	struct seen up, down;
	uint32_t seq;
};

static void stage_init(struct stage *t)
{
	struct dk_credential cred = test_credential(true);

	t->ctx = test_ctx(&t->m, NULL);
	t->server_addr = test_addr(1, 7100);
	t->client_addr = test_addr(2, 50000);
	t->stranger = test_addr(9, 9);
	seen_init(&t->up);
	seen_init(&t->down);
	wire_peer_init(t->ctx, &t->server, WIRE_SERVER, &cred, 0);
	wire_peer_init(t->ctx, &t->client, WIRE_CLIENT, &cred, 0);
	open_pair(t->ctx, &t->server, &t->client, &t->server_addr, &t->client_addr, 0, &t->seq);
}

static void stage_fini(struct stage *t)
{
	wire_peer_fini(t->ctx, &t->server);
	wire_peer_fini(t->ctx, &t->client);
	seen_fini(&t->up);
	seen_fini(&t->down);
	test_ctx_free(t->ctx, &t->m);
}

/* From a block of exactly its size, so that a sanitizer sees a read beyond the end. */
static int server_gets(struct stage *t, const struct dk_addr *from, dk_slice d)
{
	uint8_t *copy = malloc(d.n ? d.n : 1);
	int rc;

	memcpy(copy, d.p, d.n);
	rc = wire_peer_recv(t->ctx, &t->server, 5000, from, dk_slice_n(copy, d.n), &t->up.ev);
	free(copy);
	return rc;
}

/* ---- rows that need more than bytes ---- */

static void too_long(struct stage *t)
{
	uint8_t d[WIRE_DATAGRAM_MAX + 1] = { 0, 0, 0, WIRE_UDP };

	ck_assert_int_eq(server_gets(t, &t->client_addr, dk_slice_n(d, sizeof(d))), 1);
}

static void padded_with_something(struct stage *t)
{
	struct dk_credential cred = test_credential(true);
	uint8_t out[4 + 26 + 36 + 16] = { 0, 0, 0, WIRE_UDP };
	struct wire_codec k = { cred.sid, &t->client.seal };
	struct dk_frame f = { 2, 0, 10, { (const uint8_t *)"0123456789", 10 } };

	wire_frame_write(t->ctx->crypto, WIRE_CLIENT, &k, &f, out + 4);
	out[4 + 26 + 3] = 9; /* the length is not under the tag: one byte of the message becomes padding */
	ck_assert_int_eq(server_gets(t, &t->client_addr, dk_slice_n(out, sizeof(out))), 1);
}

static void shorter_than_its_sid(struct stage *t)
{
	struct bytes b = hex("00000001 febedeef 02 00000f 000a SID");

	t->server.encrypted = 0;
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 1);
}

static void plain_and_too_long(struct stage *t)
{
	struct bytes b = hex("00000001 febedeef 02 000016 000a SID 68656c6c6f");

	t->server.encrypted = 0;
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 1);
}

static void chunk_too_long(struct stage *t)
{
	uint8_t d[4 + 10 + WIRE_CHUNK + 1] = { 0, 0, 0, WIRE_DAT };

	wire_chunk_head(d + 4, 3, 0, 2);
	ck_assert_int_eq(server_gets(t, &t->client_addr, dk_slice_n(d, sizeof(d))), 1);
}

static void more_than_a_frame_when_together(struct stage *t)
{
	struct bytes b = hex("00000003 fffefdfc 0001 0000 0002 febedeef 02 000044 000a SID 00000005"), c;

	c = hex("01000003 fffefdfc 0001 0001 0002 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 "
		"4bedca3f3c64215c2a43ee0d1866bcc1 00");
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 0);
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&c)), 0);
	ck_assert_uint_eq(t->up.n, 0);
}

static void twice(struct stage *t)
{
	struct bytes b = hex("00000003 febedeef 02 000044 000a SID " SEALED_HELLO);

	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 0);
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 1);
}

static void held_twice(struct stage *t)
{
	struct bytes b = hex("05000003 febedeef 02 000044 000a SID " SEALED_HELLO);

	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 0);
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 1);
}

static void chunk_of_another_count(struct stage *t)
{
	struct bytes b = hex("00000003 fffefdfc 0001 0000 0003 41"), c = hex("01000003 fffefdfc 0001 0001 0002 41");

	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 0);
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&c)), 1);
}

static void chunk_of_another_set(struct stage *t)
{
	struct bytes b = hex("00000003 fffefdfc 0001 0000 0003 41"), c = hex("01000003 fffefdfc 0002 0000 0002 41");

	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 0);
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&c)), 0);
}

static void message_beyond_the_limit(struct stage *t)
{
	uint8_t d[4 + 10 + WIRE_CHUNK] = { 0 };
	int rc = 0;

	for (uint16_t i = 0; i < 100 && rc == 0; i++) {
		wire_head_write(d, wire_head(i, WIRE_DAT));
		wire_chunk_head(d + 4, 3, i, 100);
		rc = server_gets(t, &t->client_addr, dk_slice_n(d, sizeof(d)));
		take_out(t->ctx, &t->server, 5000, NULL);
	}
	ck_assert_int_eq(rc, 1);
	ck_assert_ptr_null(t->server.aside ? t->server.aside->set : NULL);
}

static void message_overtaken(struct stage *t)
{
	struct bytes b = hex("00000003 fffefdfc 0001 0000 0003 41"), c = hex("01000003 febedeef 02 000044 000a SID " SEALED_HELLO);

	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 0);
	ck_assert_int_eq(wire_peer_recv(t->ctx, &t->server, 7999, &t->client_addr, slice_of(&c), &t->up.ev), 0);
	ck_assert_ptr_nonnull(t->server.aside->set);
	c.b[0] = 2;
	ck_assert_int_eq(wire_peer_recv(t->ctx, &t->server, 8000, &t->client_addr, slice_of(&c), &t->up.ev), 0);
	ck_assert_ptr_null(t->server.aside->set);
}

static void many_small_chunks(struct stage *t)
{
	uint8_t d[4 + 10 + 1] = { 0 };
	int rc = 0;
	uint16_t i;

	for (i = 0; i < 1000 && rc == 0; i++) {
		wire_head_write(d, wire_head(i, WIRE_DAT));
		wire_chunk_head(d + 4, 3, i, 1000);
		rc = server_gets(t, &t->client_addr, dk_slice_n(d, sizeof(d)));
		take_out(t->ctx, &t->server, 5000, NULL);
	}
	ck_assert_int_eq(rc, 1);
	ck_assert_uint_lt(i, 270);
}

static void not_a_frame_when_together(struct stage *t)
{
	struct bytes b = hex("00000003 fffefdfc 0001 0000 0002 41"), c = hex("01000003 fffefdfc 0001 0001 0002 4142434445");

	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 0);
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&c)), 0);
	ck_assert_uint_eq(t->up.n, 0);
}

static void too_much_held(struct stage *t)
{
	uint8_t d[4 + 10 + WIRE_CHUNK] = { 0 };
	int rc = 0;

	for (uint16_t i = 1; i < 1000 && rc == 0; i++) {
		wire_head_write(d, wire_head(i, WIRE_DAT));
		wire_chunk_head(d + 4, 3, i, 1000);
		rc = server_gets(t, &t->client_addr, dk_slice_n(d, sizeof(d)));
		take_out(t->ctx, &t->server, 5000, NULL);
	}
	ck_assert_int_eq(rc, 1);
}

static void to_a_closed_one(struct stage *t)
{
	struct bytes b = hex("00000001 febedeef 02 000044 000a SID " SEALED_HELLO);

	wire_peer_end(t->ctx, &t->server, WIRE_CLOSED_LOCAL);
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 1);
}

static void no_memory_to_hold(struct stage *t)
{
	struct bytes b = hex("05000003 febedeef 02 000044 000a SID " SEALED_HELLO);

	/* A block that is held is of a size nobody has asked for yet, so it needs a slab. */
	t->m.fail_at = t->m.calls + 1;
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 1);
	t->m.fail_at = 0;
	ck_assert_uint_eq(take_out(t->ctx, &t->server, 5000, NULL).n, 0); /* not acknowledged, so it comes again */
	ck_assert_int_eq(server_gets(t, &t->client_addr, slice_of(&b)), 0);
}

static void too_many_answers(struct stage *t)
{
	struct bytes b = hex("00000002 SID");

	for (int i = 0; i <= WIRE_REPLIES; i++)
		ck_assert_int_eq(server_gets(t, &t->stranger, slice_of(&b)), 0);
}

static void second_answer_to_a_syn(struct stage *t)
{
	struct bytes b = hex("01020002");

	ck_assert_int_eq(wire_peer_recv(t->ctx, &t->client, 1, &t->server_addr, slice_of(&b), &t->down.ev), 1);
}

static void answer_by_a_stranger(struct stage *t)
{
	struct bytes b = hex("00000001 febedeef 02 000034 000a 01" SEALED_HELLO);

	ck_assert_int_eq(wire_peer_recv(t->ctx, &t->client, 1, &t->stranger, slice_of(&b), &t->down.ev), 1);
}

/* ---- rows of bytes, from the client to its server ---- */

static const struct row {
	enum wire_drop drop;
	const char *what;
	const char *bytes; /* to the server, from the client's address or (stranger) another one */
	bool stranger;
	void (*act)(struct stage *t);
} rows[] = {
	{ WIRE_DROP_SIZE, "nothing", "", false, NULL },
	{ WIRE_DROP_SIZE, "less than a header", "000000", false, NULL },
	{ WIRE_DROP_SIZE, "too long", NULL, false, too_long },
	{ WIRE_DROP_SIZE, "a frame's header cut", "00000001 febedeef 02 0000", false, NULL },
	{ WIRE_DROP_SIZE, "an ACK without sid", "00000004", false, NULL },
	{ WIRE_DROP_SIZE, "a sid cut", "00000007 4041424344", false, NULL },
	{ WIRE_DROP_FLAG, "flag 0", "00000000 SID", false, NULL },
	{ WIRE_DROP_FLAG, "flag 8", "00000008 SID", false, NULL },
	{ WIRE_DROP_FLAG, "a SYN that counts", "01000002 SID", false, NULL },
	{ WIRE_DROP_FLAG, "a SYN with something behind it", "00000002 SID 00", false, NULL },
	{ WIRE_DROP_MAGIC, "no frame", "00000001 febedeff 02 000044 000a SID " SEALED_HELLO, false, NULL },
	{ WIRE_DROP_MAGIC, "a chunk that is not reliable", "00000001 fffefdfc 0001 0000 0002 41424344", false, NULL },
	{ WIRE_DROP_MAGIC, "something behind a frame", "00000001 febedeef 02 000044 000a SID " SEALED_HELLO "0000", false, NULL },
	{ WIRE_DROP_FRAME, "a frame longer than the datagram", "00000001 febedeef 02 000045 000a SID " SEALED_HELLO, false, NULL },
	{ WIRE_DROP_FRAME, "a plain frame without room for the sid", NULL, false, shorter_than_its_sid },
	{ WIRE_DROP_FRAME, "a plain frame longer than the datagram", NULL, false, plain_and_too_long },
	{ WIRE_DROP_FRAME, "together more than a frame", NULL, false, more_than_a_frame_when_together },
	{ WIRE_DROP_FRAME, "a frame without room for the sid", "00000001 febedeef 02 00000f 000a SID " SEALED_HELLO, false, NULL },
	{ WIRE_DROP_FRAME, "a seal without room for its head", "00000001 febedeef 02 000020 000a SID SID", false, NULL },
	{ WIRE_DROP_FRAME, "a seal that is no number of blocks", "00000001 febedeef 02 000043 000a SID " SEALED_HELLO, false,
	  NULL },
	{ WIRE_DROP_SID, "another's frame", "00000001 febedeef 02 000044 000a 414142434445464748494a4b4c4d4e4f " SEALED_HELLO,
	  false, NULL },
	{ WIRE_DROP_SID, "another's FIN", "00000007 414142434445464748494a4b4c4d4e4f", false, NULL },
	{ WIRE_DROP_SID, "another's chunk",
	  "00000003 febedeef 02 000025 0001 414142434445464748494a4b4c4d4e4f fffefdfc 0001 0000 0002 41", false, NULL },
	{ WIRE_DROP_MAC, "a tag with one bit changed",
	  "00000001 febedeef 02 000044 000a SID 00000005 9ffc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 "
	  "4bedca3f3c64215c2a43ee0d1866bcc1",
	  false, NULL },
	{ WIRE_DROP_MAC, "a message with one bit changed",
	  "00000001 febedeef 02 000044 000a SID 00000005 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 "
	  "4bedca3f3c64215c2a43ee0d1866bcc0",
	  false, NULL },
	{ WIRE_DROP_PLAIN, "a length beyond the message",
	  "00000001 febedeef 02 000044 000a SID 00000011 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 "
	  "4bedca3f3c64215c2a43ee0d1866bcc1",
	  false, NULL },
	{ WIRE_DROP_PLAIN, "a message cut", NULL, false, padded_with_something },
	{ WIRE_DROP_SEQUENCE, "beyond the window", "00040003 febedeef 02 000044 000a SID " SEALED_HELLO, false, NULL },
	{ WIRE_DROP_SEQUENCE, "before the start", "ffffff03 febedeef 02 000044 000a SID " SEALED_HELLO, false, NULL },
	{ WIRE_DROP_DUPLICATE, "delivered before", NULL, false, twice },
	{ WIRE_DROP_DUPLICATE, "held already", NULL, false, held_twice },
	{ WIRE_DROP_ADDRESS, "a stranger's FIN", "00000007 SID", true, NULL },
	{ WIRE_DROP_ADDRESS, "a stranger's ACK", "00000004 SID", true, NULL },
	{ WIRE_DROP_ADDRESS, "not from the server", NULL, false, answer_by_a_stranger },
	{ WIRE_DROP_UNPROVEN, "a stranger's chunk", "00000003 febedeef 02 000025 0001 SID fffefdfc 0001 0000 0002 41", true, NULL },
	{ WIRE_DROP_SPLIT, "index beyond the count", "00000003 fffefdfc 0001 0002 0002 41", false, NULL },
	{ WIRE_DROP_SPLIT, "a chunk of nothing", "00000003 febedeef 02 00001a 0001 SID fffefdfc 0001 0000 0002", false, NULL },
	{ WIRE_DROP_SPLIT, "a chunk too long", NULL, false, chunk_too_long },
	{ WIRE_DROP_SPLIT, "another count", NULL, false, chunk_of_another_count },
	{ WIRE_DROP_SPLIT, "another set", NULL, false, chunk_of_another_set },
	{ WIRE_DROP_SPLIT_LIMIT, "too long a message", NULL, false, message_beyond_the_limit },
	{ WIRE_DROP_SPLIT_LIMIT, "too many small chunks", NULL, false, many_small_chunks },
	{ WIRE_DROP_SPLIT_LIMIT, "a message overtaken for 3 s", NULL, false, message_overtaken },
	{ WIRE_DROP_SPLIT_LIMIT, "too much held", NULL, false, too_much_held },
	{ WIRE_DROP_MAGIC, "together no frame", NULL, false, not_a_frame_when_together },
	{ WIRE_DROP_ACK, "an ACK of nothing", "05000004 SID", false, NULL },
	{ WIRE_DROP_ACK, "an EACK of nothing", "05000006 SID", false, NULL },
	{ WIRE_DROP_ACK, "a second answer to a SYN", NULL, false, second_answer_to_a_syn },
	{ WIRE_DROP_CLOSED, "a closed connection", NULL, false, to_a_closed_one },
	{ WIRE_DROP_MEMORY, "no memory", NULL, false, no_memory_to_hold },
	{ WIRE_DROP_MEMORY, "too many answers wait", NULL, false, too_many_answers },
};

START_TEST(each_counter)
{
	const struct row *r = &rows[_i];
	uint64_t before[WIRE_DROPS];
	struct stage t;

	stage_init(&t);
	memcpy(before, wire_ctx_drops(t.ctx), sizeof(before));
	if (r->act) {
		r->act(&t);
	} else {
		struct bytes b = hex(r->bytes);

		ck_assert_msg(server_gets(&t, r->stranger ? &t.stranger : &t.client_addr, slice_of(&b)) == 1, "taken: %s", r->what);
		ck_assert_uint_eq(t.up.n, 0);
		ck_assert_msg(take_out(t.ctx, &t.server, 5000, NULL).n == 0, "answered: %s", r->what);
	}
	for (int d = 0; d < WIRE_DROPS; d++)
		ck_assert_msg(wire_ctx_drops(t.ctx)[d] - before[d] == (d == (int)r->drop), "%s: %s moved by %llu", r->what,
			      wire_drop_info((enum wire_drop)d)->name, (unsigned long long)(wire_ctx_drops(t.ctx)[d] - before[d]));
	stage_fini(&t);
}
END_TEST

/* No reason without a row, no counter without a name of its own. */
START_TEST(complete)
{
	for (int d = 0; d < WIRE_DROPS; d++) {
		const struct wire_drop_info *info = wire_drop_info((enum wire_drop)d);
		bool seen = false;

		for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++)
			seen |= rows[i].drop == (enum wire_drop)d;
		ck_assert_msg(seen, "no test moves %s", info->name);
		ck_assert_ptr_nonnull(info->help);
		for (int e = 0; e < d; e++)
			ck_assert_str_ne(info->name, wire_drop_info((enum wire_drop)e)->name);
	}
}
END_TEST

/* A refused datagram neither keeps the connection alive nor moves a sequence. */
START_TEST(refused_changes_nothing)
{
	struct stage t;

	stage_init(&t);
	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		struct wire_peer before = t.server;
		struct bytes b;

		if (rows[i].act || rows[i].drop == WIRE_DROP_PLAIN || rows[i].drop == WIRE_DROP_SEQUENCE)
			continue;
		b = hex(rows[i].bytes);
		ck_assert_int_eq(server_gets(&t, rows[i].stranger ? &t.stranger : &t.client_addr, slice_of(&b)), 1);
		before.aside = t.server.aside; /* wrong answers are counted there */
		ck_assert_msg(memcmp(&before, &t.server, sizeof(before)) == 0, "%s changed something", rows[i].what);
	}
	stage_fini(&t);
}
END_TEST

/* No memory to put a message together from what was held and acknowledged: it is held on, and the next datagram helps. */
START_TEST(held_chunk_waits_for_memory)
{
	static uint8_t text[2500];
	struct dk_frame f = { 2, 0, 10, { text, sizeof(text) } };
	struct bytes a, b;
	void *lent[64];
	unsigned n_lent = 0;
	struct stage t;

	stage_init(&t);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 1, &f, DK_RELIABLE), 0);
	a = take_out(t.ctx, &t.client, 1, NULL);
	b = take_out(t.ctx, &t.client, 1, NULL);
	ck_assert_int_eq(server_gets(&t, &t.client_addr, slice_of(&b)), 0);
	for (size_t n = 64; n <= 1536; n += 64)
		wire_give(t.ctx, wire_take(t.ctx, n), n);
	while (t.ctx->pool.free[6]) /* what is that long is allocated singly; one may lie there from sending */
		lent[n_lent++] = wire_take(t.ctx, 3072);
	t.m.fail_at = t.m.calls + 1;
	ck_assert_int_eq(server_gets(&t, &t.client_addr, slice_of(&a)), 0);
	ck_assert_uint_ge(t.m.calls, t.m.fail_at);
	ck_assert_uint_eq(t.up.n, 0);
	a = hex("00000001 febedeef 02 000044 000a SID " SEALED_HELLO);
	ck_assert_int_eq(server_gets(&t, &t.client_addr, slice_of(&a)), 0);
	ck_assert_uint_eq(t.up.n, 2);
	ck_assert_uint_eq(t.up.frames[0].n, sizeof(text));
	while (n_lent > 0)
		wire_give(t.ctx, lent[--n_lent], 3072);
	stage_fini(&t);
}
END_TEST

/* What a transport looks at before it knows whose datagram it is. */
START_TEST(peek)
{
	static const struct {
		const char *bytes;
		int drop; /* -1: a sid */
	} cases[] = {
		{ "000000", WIRE_DROP_SIZE },
		{ "00000002 4041", WIRE_DROP_SIZE },
		{ "00000002 SID", -1 },
		{ "07000004 SID 01000004 SID", -1 },
		{ "00000009 SID", WIRE_DROP_FLAG },
		{ "00000001 febedeef 02 000044 000a SID " SEALED_HELLO, -1 },
		{ "00000003 febedeef 02 000044 000a 404142434445464748494a", WIRE_DROP_FRAME },
		{ "00000003 fffefdfc 0001 0000 0002 414141414141414141", WIRE_DROP_MAGIC },
	};

	for (size_t i = 0; i < DK_ARRAY_LEN(cases); i++) {
		struct bytes b = hex(cases[i].bytes), sid = hex("SID");
		const uint8_t *got = NULL;
		enum wire_drop d = WIRE_DROPS;

		ck_assert_int_eq(wire_peek_sid(slice_of(&b), &got, &d), cases[i].drop < 0);
		if (cases[i].drop < 0)
			ck_assert_mem_eq(got, sid.b, 16);
		else
			ck_assert_int_eq((int)d, cases[i].drop);
	}
}
END_TEST

static void fill(Suite *s)
{
	TCase *tc = tcase_create("each_counter");

	tcase_add_loop_test(tc, each_counter, 0, DK_ARRAY_LEN(rows));
	suite_add_tcase(s, tc);
	ADD(s, complete);
	ADD(s, refused_changes_nothing);
	ADD(s, held_chunk_waits_for_memory);
	ADD(s, peek);
}

int main(void)
{
	return run_suite("wire: what is refused", fill);
}
