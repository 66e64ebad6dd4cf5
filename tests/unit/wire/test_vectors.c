/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worked examples of docs/WIRE.md, byte for byte, through the functions that the product uses: A-C by the seal, the rest by
 * whole connections where a connection can produce them, and both ways.
 */
#include "tests/unit/wire/wire_test.h"
#include "wire/frame.h"
#include "wire/peer_priv.h"

#define SEALED_EMPTY "00000000 61ea8029830f0db38ba413e7f05a735ac5274fc13f9fc8f64f95175c0f8625db 07feef74e1d5036e900eee118e949293"
#define SEALED_HELLO "00000005 9efc000f743a0f7f1f6a965e8e479998705fde577f4c2bce5d711746c531d6c5 4bedca3f3c64215c2a43ee0d1866bcc1"
#define SEALED_16                                                                                                                  \
	"00000010 9a6ec227b43a1fa9c0e454371bca70607a7d31bbc3d9262de57fce789e8d8ced "                                               \
	"eb9e5ba41b902db8252982aa1a23f4bec92e8fddb86df09fc1e83bf2df76243b"
#define FRAME_F                                                                                                                    \
	"febedeef 00 000044 0004 404142434445464748494a4b4c4d4e4f 00000008 "                                                       \
	"8284bb28292687ae6f199b5d4f81d078f5ae1dbb4848a685d3c00099aef8dfc4 b7c366b7ccf26b1e8c487dc9f80f2505"
#define FRAME_G                                                                                                                    \
	"febedeef 00 000054 0001 404142434445464748494a4b4c4d4e4f 0000001d "                                                       \
	"482183d421beba2b08b00580fa2c279aedefe040ee3909703c99bec71ac5ccb0 "                                                        \
	"7458b18255b1390addb8606cc6f3620f081bf9b8ff8b465f1191be3e24e367fe"
#define FRAME_H                                                                                                                    \
	"febedeef 00 000054 0001 01 00000023 342bf85184f37ef952aeb7dc775291975e0c7bcfcda87542d39020af7146537c "                    \
	"c09a3a08ac0dbb536547b660ca1f17d82378cdde0c1c15cb1fa63bdb8d0d2c13adf1e7552c2af52ee588d5bd307f4bd0"
#define FRAME_I "febedeef 02 000044 000a SID " SEALED_HELLO
#define FRAME_J "febedeef 02 000034 000a 01 " SEALED_HELLO
#define FRAME_K                                                                                                                    \
	"febedeef 02 000034 000b ff 00000009 ed1fd844e3c5d90698ca877db32dc1047c34a2186bfdab3fd5e83ca791520a38 "                    \
	"fbf355fd0a0b6ea3ec56e50cc104dfb6"

struct pair {
	struct memory m;
	struct wire_ctx *ctx;
	struct wire_peer server, client;
	struct dk_addr server_addr, client_addr;
	struct seen up, down;
};

static void pair_init(struct pair *t, bool open)
{
	struct dk_credential cred = test_credential(true);

	t->ctx = test_ctx(&t->m, NULL);
	t->server_addr = test_addr(1, 7100);
	t->client_addr = test_addr(2, 50000);
	seen_init(&t->up);
	seen_init(&t->down);
	wire_peer_init(t->ctx, &t->server, WIRE_SERVER, &cred, 0);
	wire_peer_init(t->ctx, &t->client, WIRE_CLIENT, &cred, 0);
	if (open)
		open_pair(t->ctx, &t->server, &t->client, &t->server_addr, &t->client_addr, 0, NULL);
}

static void pair_fini(struct pair *t)
{
	wire_peer_fini(t->ctx, &t->server);
	wire_peer_fini(t->ctx, &t->client);
	seen_fini(&t->up);
	seen_fini(&t->down);
	test_ctx_free(t->ctx, &t->m);
}

/* The examples number the server's frames from 7, which a real server leaves to chance. */
static void server_counts_from(struct pair *t, uint32_t seq)
{
	wire_rudp_start_tx(t->ctx, &t->server.rudp, seq);
	wire_rudp_start_rx(t->ctx, &t->client.rudp, seq);
}

static int to_server(struct pair *t, const char *text)
{
	struct bytes b = hex(text);

	return wire_peer_recv(t->ctx, &t->server, 0, &t->client_addr, slice_of(&b), &t->up.ev);
}

static int to_client(struct pair *t, const char *text)
{
	struct bytes b = hex(text);

	return wire_peer_recv(t->ctx, &t->client, 0, &t->server_addr, slice_of(&b), &t->down.ev);
}

static void assert_sent(struct pair *t, struct wire_peer *p, uint64_t now, const char *text)
{
	struct bytes b = take_out(t->ctx, p, now, NULL);

	assert_bytes(b.b, b.n, text);
}

static void assert_frame(const struct seen *s, unsigned i, uint8_t ver, uint16_t cmd, uint8_t status, bool reliable,
			 const char *payload)
{
	ck_assert_uint_lt(i, s->n);
	ck_assert_uint_eq(s->frames[i].ver, ver);
	ck_assert_uint_eq(s->frames[i].cmd, cmd);
	ck_assert_uint_eq(s->frames[i].status, status);
	ck_assert_int_eq(s->frames[i].reliable, reliable);
	assert_bytes(s->frames[i].payload, s->frames[i].n, payload);
}

/* A, B, C: both ways. */
START_TEST(seals)
{
	static const struct {
		const char *plain, *sealed;
	} rows[] = { { "", SEALED_EMPTY }, { "hello", SEALED_HELLO }, { "0123456789abcdef", SEALED_16 } };
	struct dk_credential cred = test_credential(true);
	struct wire_crypto *c;
	struct wire_seal s;

	ck_assert_int_eq(wire_crypto_new(&c), 0);
	wire_seal_init(&s, &cred);
	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		size_t n = strlen(rows[i].plain), len = wire_seal_len(n);
		uint8_t out[128], back[128];
		dk_slice plain;

		memcpy(out + WIRE_SEAL_HEAD, rows[i].plain, n);
		wire_seal_close(c, &s, out, n);
		assert_bytes(out, len, rows[i].sealed);
		ck_assert_int_eq(wire_seal_check(c, &s, dk_slice_n(out, len)), WIRE_PASS);
		ck_assert_int_eq(wire_seal_open(c, &s, dk_slice_n(out, len), back, &plain), WIRE_PASS);
		ck_assert_uint_eq(plain.n, n);
		if (n)
			ck_assert_mem_eq(plain.p, rows[i].plain, n);
	}
	wire_crypto_free(c);
}
END_TEST

/* D, E: what opens a connection and what acknowledges. */
START_TEST(handshake_and_acks)
{
	struct pair t;
	struct bytes b;
	char proof[64];

	pair_init(&t, false);
	wire_peer_open(t.ctx, &t.client, 0, &t.server_addr);
	assert_sent(&t, &t.client, 0, "00000002 SID");
	ck_assert_int_eq(to_server(&t, "00000002 404142434445464748494a4b4c4d4e4f"), 0);
	b = take_out(t.ctx, &t.server, 0, NULL);
	ck_assert_uint_eq(b.n, 4);
	ck_assert_uint_eq(b.b[3], WIRE_SYN);
	snprintf(proof, sizeof(proof), "%02x%02x%02x04 404142434445464748494a4b4c4d4e4f", b.b[0], b.b[1], b.b[2]);
	ck_assert_int_eq(to_client(&t, "07000002"), 0);
	ck_assert_uint_eq(t.down.opened, 1);
	assert_sent(&t, &t.client, 0, "07000004 SID");
	/* DAT and RST of number 7 come: ACK and EACK go. */
	ck_assert_int_eq(to_client(&t, "07000003 " FRAME_J), 0);
	assert_sent(&t, &t.client, 0, "07000004 404142434445464748494a4b4c4d4e4f");
	ck_assert_int_eq(to_client(&t, "07000005 " FRAME_J), 1);
	assert_sent(&t, &t.client, 0, "07000006 404142434445464748494a4b4c4d4e4f");
	/* Nothing reliable is taken before the address is proven: the server asks again instead. */
	ck_assert_int_eq(to_server(&t, "00000003 " FRAME_F), 1);
	b = take_out(t.ctx, &t.server, 0, NULL);
	ck_assert_uint_eq(b.b[3], WIRE_SYN);
	ck_assert_int_eq(to_server(&t, proof), 0);
	/* A server says no sid. */
	ck_assert_int_eq(to_server(&t, "00000003 " FRAME_F), 0);
	ck_assert_int_eq(to_server(&t, "01000003 " FRAME_G), 0);
	assert_sent(&t, &t.server, 0, "00000004");
	assert_sent(&t, &t.server, 0, "01000004");
	assert_sent(&t, &t.server, 0, "");
	pair_fini(&t);
}
END_TEST

/* F, G: the client's first two frames and the re-send. */
START_TEST(client_key_and_echo)
{
	struct dk_frame f = test_frame(0, WIRE_CMD_CLIENT_KEY, 0, "demo-key");
	uint8_t echo[64], locals[32];
	struct dk_writer w = dk_writer_on(locals, sizeof(locals));
	struct wire_echo e;
	struct pair t;

	pair_init(&t, true);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 0, &f, DK_RELIABLE), 0);
	assert_sent(&t, &t.client, 0, "00000003 " FRAME_F);
	dk_wr_bytes32(&w, str_slice("192.168.0.5:50000"));
	f.cmd = WIRE_CMD_ECHO;
	f.payload = dk_slice_n(echo, wire_echo_encode(1000.0, dk_written(&w), echo, sizeof(echo)));
	assert_bytes(f.payload.p, f.payload.n, "0000000000408f40 00000011 3139322e3136382e302e353a3530303030");
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 0, &f, DK_RELIABLE), 0);
	assert_sent(&t, &t.client, 0, "01000003 " FRAME_G);
	/* Nobody acknowledged: both again, with another flag. */
	wire_peer_tick(t.ctx, &t.client, 500, &t.down.ev);
	assert_sent(&t, &t.client, 500, "00000005 " FRAME_F);
	assert_sent(&t, &t.client, 500, "01000005 " FRAME_G);
	assert_sent(&t, &t.client, 500, "");

	ck_assert_int_eq(to_server(&t, "00000003 " FRAME_F), 0);
	ck_assert_int_eq(to_server(&t, "01000003 " FRAME_G), 0);
	assert_frame(&t.up, 0, 0, 4, 0, true, "64656d6f2d6b6579");
	assert_frame(&t.up, 1, 0, 1, 0, true, "0000000000408f40 00000011 3139322e3136382e302e353a3530303030");
	ck_assert(wire_echo_decode(dk_slice_n(t.up.frames[1].payload, t.up.frames[1].n), &e));
	assert_bytes(e.stamp, 8, "0000000000408f40");
	ck_assert_uint_eq(e.locals.n, 21);
	pair_fini(&t);
}
END_TEST

/* H: the answer to an echo, with a notification. */
START_TEST(echo_reply)
{
	static const uint8_t notes[] = { 0, 7, 0, 1, 0x90, 'h', 'i' };
	struct wire_echo_reply r = { .state = 1, .stamp = { 0, 0, 0, 0, 0, 0x40, 0x8f, 0x40 } }, back;
	struct dk_frame f = { 0, DK_STATUS_OK, WIRE_CMD_ECHO, { 0, 0 } };
	uint8_t buf[64];
	struct pair t;

	pair_init(&t, true);
	r.address = dk_str_c("203.0.113.9:50000");
	r.notes = dk_slice_n(notes, sizeof(notes));
	f.payload = dk_slice_n(buf, wire_echo_reply_encode(&r, buf, sizeof(buf)));
	assert_bytes(buf, f.payload.n, "01 0000000000408f40 3230332e302e3131332e393a3530303030 0007 00 0190 6869 001a");
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_UNRELIABLE), 0);
	assert_sent(&t, &t.server, 0, "00000001 " FRAME_H);
	ck_assert_int_eq(to_client(&t, "00000001 " FRAME_H), 0);
	assert_frame(&t.down, 0, 0, 1, 1, false, "01 0000000000408f40 3230332e302e3131332e393a3530303030 0007 00 0190 6869 001a");
	ck_assert(wire_echo_reply_decode(dk_slice_n(t.down.frames[0].payload, t.down.frames[0].n), &back));
	ck_assert_uint_eq(back.state, 1);
	ck_assert(dk_str_eq(back.address, r.address));
	ck_assert_uint_eq(back.notes.n, sizeof(notes));
	pair_fini(&t);
}
END_TEST

/* I, J, K, L: a request, its reply, a push; the latter two alone and in one datagram. */
START_TEST(request_reply_push)
{
	struct dk_frame request = test_frame(2, 10, 0, "hello"), reply = test_frame(2, 10, DK_STATUS_OK, "hello");
	struct dk_frame push = test_frame(2, 11, DK_STATUS_PUSH, "hello"), key = test_frame(0, WIRE_CMD_CLIENT_KEY, 0, "demo-key");
	struct pair t;

	pair_init(&t, true);
	server_counts_from(&t, 7);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 0, &key, DK_RELIABLE), 0);
	assert_sent(&t, &t.client, 0, "00000003 " FRAME_F);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 0, &request, DK_RELIABLE), 0);
	assert_sent(&t, &t.client, 0, "01000003 " FRAME_I);
	ck_assert_int_eq(to_server(&t, "00000003 " FRAME_F), 0);
	ck_assert_int_eq(to_server(&t, "01000003 " FRAME_I), 0);
	assert_frame(&t.up, 1, 2, 10, 0, true, "68656c6c6f");
	assert_sent(&t, &t.server, 0, "00000004");
	assert_sent(&t, &t.server, 0, "01000004");

	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &reply, DK_RELIABLE), 0);
	assert_sent(&t, &t.server, 0, "07000003 " FRAME_J);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &push, DK_RELIABLE), 0);
	assert_sent(&t, &t.server, 0, "08000003 " FRAME_K);
	ck_assert_int_eq(to_client(&t, "07000003 " FRAME_J), 0);
	ck_assert_int_eq(to_client(&t, "08000003 " FRAME_K), 0);
	assert_frame(&t.down, 0, 2, 10, 1, true, "68656c6c6f");
	assert_frame(&t.down, 1, 2, 11, 255, true, "00000005 68656c6c6f");

	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &reply, DK_RELIABLE), 0);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &push, DK_RELIABLE), 0);
	assert_sent(&t, &t.server, 0, "09000003 " FRAME_J FRAME_K);
	assert_sent(&t, &t.server, 0, "");
	ck_assert_int_eq(to_client(&t, "09000003 " FRAME_J FRAME_K), 0);
	ck_assert_uint_eq(t.down.n, 4);
	assert_frame(&t.down, 3, 2, 11, 255, true, "00000005 68656c6c6f");
	pair_fini(&t);
}
END_TEST

/* M, N: a message of two chunks each way. */
START_TEST(split)
{
	struct wire_events none = { 0 };
	uint8_t text[1500];
	struct dk_frame f = { 2, 0, 3060, { text, 1232 } };
	struct bytes a, b;
	struct pair t;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	pair_init(&t, true);
	wire_rudp_start_tx(t.ctx, &t.client.rudp, 0x14);
	wire_rudp_start_rx(t.ctx, &t.server.rudp, 0x14);
	server_counts_from(&t, 0x1e);
	t.client.split_id = 7;
	t.server.split_id = 12;
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 0, &f, DK_RELIABLE), 0);
	a = take_out(t.ctx, &t.client, 0, NULL);
	b = take_out(t.ctx, &t.client, 0, NULL);
	ck_assert_uint_eq(a.n, 1340);
	ck_assert_uint_eq(b.n, 50);
	assert_bytes(a.b, 40, "14000003 febedeef 02 00052e 0bf4 SID fffefdfc 0007 0000 0002");
	assert_bytes(b.b, 40, "15000003 febedeef 02 000024 0bf4 SID fffefdfc 0007 0001 0002");
	ck_assert_int_eq(wire_peer_recv(t.ctx, &t.server, 0, &t.client_addr, slice_of(&a), &t.up.ev), 0);
	ck_assert_uint_eq(t.up.n, 0);
	ck_assert_int_eq(wire_peer_recv(t.ctx, &t.server, 0, &t.client_addr, slice_of(&b), &t.up.ev), 0);
	ck_assert_uint_eq(t.up.n, 1);
	ck_assert_uint_eq(t.up.frames[0].cmd, 3060);
	ck_assert_uint_eq(t.up.frames[0].n, 1232);
	ck_assert_mem_eq(t.up.frames[0].payload, text, 1232);
	assert_sent(&t, &t.server, 0, "14000004");
	assert_sent(&t, &t.server, 0, "15000004");

	/* The other spelling of the size (the chunk alone) and the bare form, as other builds send them. */
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 0, &f, DK_RELIABLE), 0);
	a = take_out(t.ctx, &t.client, 0, NULL);
	b = take_out(t.ctx, &t.client, 0, NULL);
	a.b[10] = 0x05;
	a.b[11] = 0x14;
	memmove(b.b + 4, b.b + 30, b.n - 30);
	b.n -= 26;
	assert_bytes(a.b, 40, "16000003 febedeef 02 000514 0bf4 SID fffefdfc 0008 0000 0002");
	assert_bytes(b.b, 14, "17000003 fffefdfc 0008 0001 0002");
	ck_assert_int_eq(wire_peer_recv(t.ctx, &t.server, 0, &t.client_addr, slice_of(&a), &t.up.ev), 0);
	ck_assert_int_eq(wire_peer_recv(t.ctx, &t.server, 0, &t.client_addr, slice_of(&b), &t.up.ev), 0);
	ck_assert_uint_eq(t.up.n, 2);
	ck_assert_mem_eq(t.up.frames[1].payload, text, 1232);
	while (take_out(t.ctx, &t.server, 0, NULL).n)
		;

	f.status = DK_STATUS_OK;
	f.payload.n = 1500;
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_RELIABLE), 0);
	a = take_out(t.ctx, &t.server, 0, NULL);
	b = take_out(t.ctx, &t.server, 0, NULL);
	ck_assert_uint_eq(a.n, 1314);
	ck_assert_uint_eq(b.n, 265);
	assert_bytes(a.b, 14, "1e000003 fffefdfc 000c 0000 0002");
	assert_bytes(b.b, 14, "1f000003 fffefdfc 000c 0001 0002");
	ck_assert_int_eq(wire_peer_recv(t.ctx, &t.client, 0, &t.server_addr, slice_of(&a), &t.down.ev), 0);
	ck_assert_int_eq(wire_peer_recv(t.ctx, &t.client, 0, &t.server_addr, slice_of(&b), &none), 0);
	pair_fini(&t);
}
END_TEST

/* O, P: payloads. The error's code has 16 bits here. */
START_TEST(reconnect_and_error)
{
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	dk_str address;
	size_t n;

	n = wire_reconnect_encode(dk_str_c("127.0.0.1:7101"), buf, sizeof(buf));
	assert_bytes(buf, n, "beeffeed 3132372e302e302e313a37313031");
	ck_assert(wire_reconnect_decode(dk_slice_n(buf, n), &address));
	ck_assert(dk_str_eq(address, dk_str_c("127.0.0.1:7101")));
	ck_assert(!wire_reconnect_decode(dk_slice_n(buf, 4), &address));
	buf[0] = 0;
	ck_assert(!wire_reconnect_decode(dk_slice_n(buf, n), &address));

	dk_wr_u16(&w, 4009);
	dk_wr_slice(&w, str_slice("Timeout"));
	assert_bytes(buf, dk_written(&w).n, "0fa9 54696d656f7574");
}
END_TEST

/* Q: a burst of acknowledgements, and that a server takes it. */
START_TEST(ack_burst)
{
	struct dk_frame f = test_frame(2, 10, DK_STATUS_OK, "hello");
	struct pair t;
	struct bytes b;

	pair_init(&t, true);
	server_counts_from(&t, 0);
	t.server.rudp.fresh = 0; /* the number of the handshake is settled only by an EACK; this is not about that */
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &f, DK_RELIABLE), 0);
		b = take_out(t.ctx, &t.server, 0, NULL);
		ck_assert_int_eq(wire_peer_recv(t.ctx, &t.client, 0, &t.server_addr, slice_of(&b), &t.down.ev), 0);
	}
	ck_assert(!wire_rudp_idle(&t.server.rudp));
	assert_sent(&t, &t.client, 0, "00000004 SID 01000004 SID 02000004 SID");
	ck_assert_int_eq(to_server(&t, "00000004 SID 01000004 SID 02000004 SID"), 0);
	ck_assert(wire_rudp_idle(&t.server.rudp));
	pair_fini(&t);
}
END_TEST

/* The same request and reply without encryption: sid and plain bytes. */
START_TEST(plain)
{
	struct dk_frame request = test_frame(2, 10, 0, "hello"), push = test_frame(2, 11, DK_STATUS_PUSH, "hello");
	struct dk_credential cred = test_credential(false);
	struct pair t;

	pair_init(&t, false);
	wire_peer_init(t.ctx, &t.server, WIRE_SERVER, &cred, 0);
	wire_peer_init(t.ctx, &t.client, WIRE_CLIENT, &cred, 0);
	open_pair(t.ctx, &t.server, &t.client, &t.server_addr, &t.client_addr, 0, NULL);
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.client, 0, &request, DK_UNRELIABLE), 0);
	assert_sent(&t, &t.client, 0, "00000001 febedeef 02 000015 000a SID 68656c6c6f");
	ck_assert_int_eq(to_server(&t, "00000001 febedeef 02 000015 000a SID 68656c6c6f"), 0);
	assert_frame(&t.up, 0, 2, 10, 0, false, "68656c6c6f");
	ck_assert_int_eq(wire_peer_send(t.ctx, &t.server, 0, &push, DK_UNRELIABLE), 0);
	assert_sent(&t, &t.server, 0, "00000001 febedeef 02 000009 000b ff 00000005 68656c6c6f");
	ck_assert_int_eq(to_client(&t, "00000001 febedeef 02 000009 000b ff 00000005 68656c6c6f"), 0);
	assert_frame(&t.down, 0, 2, 11, 255, false, "00000005 68656c6c6f");
	pair_fini(&t);
}
END_TEST

START_TEST(kill_packet)
{
	struct bytes syn = hex("00000002 SID"), late = hex("01000002 SID"), longer = hex("00000002 SID 00");

	assert_bytes(wire_kill_packet, 4, "0d0e0a0d");
	ck_assert(wire_is_syn(slice_of(&syn)));
	ck_assert(!wire_is_syn(slice_of(&late)));
	ck_assert(!wire_is_syn(slice_of(&longer)));
}
END_TEST

static void fill(Suite *s)
{
	ADD(s, seals);
	ADD(s, handshake_and_acks);
	ADD(s, client_key_and_echo);
	ADD(s, echo_reply);
	ADD(s, request_reply_push);
	ADD(s, split);
	ADD(s, reconnect_and_error);
	ADD(s, ack_burst);
	ADD(s, plain);
	ADD(s, kill_packet);
}

int main(void)
{
	return run_suite("wire: worked examples", fill);
}
