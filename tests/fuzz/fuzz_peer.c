/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two whole UDP connections, server and client, with known keys, under a script: frames that are sent honestly, their datagrams
 * delivered, lost, doubled, sent from elsewhere or changed by a few bytes; datagrams of anybody's making; frames sealed with the
 * right keys that say what they like (a cheater's); time that passes.
 *
 * What must hold whatever the script: nothing but the announced outcomes, no datagram beyond the slot, an address that the server
 * has not proven gets no more bytes than it sent, tick leaves nothing due in the past, and everything borrowed comes back.
 */
#include "wire/frame.h"
#include "wire/peer_priv.h"
#include "wire/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

#define PLACES 4
#define STEPS 400

struct play {
	struct wire_ctx *ctx;
	struct dk_cursor script;
	uint64_t now;
	struct wire_peer server, client;
	struct wire_events up, down;
	struct dk_addr server_addr, place[PLACES];
	int64_t in[PLACES], out[PLACES]; /* bytes from each address, and to it while it was not the proven one */
	struct dk_credential cred;
	uint8_t home; /* the place that the client's own datagrams come from when nothing is said */
	uint8_t scarce; /* every so many-th allocation fails; 0 = none */
	unsigned allocations;
	unsigned opened, moved, closed;
	uint8_t sum;
};

static int fixed(void *arg, void *buf, size_t n)
{
	(void)arg;
	memset(buf, 7, n);
	return 0;
}

static void *scarce_alloc(void *arg, size_t n)
{
	struct play *y = arg;

	return y->scarce && ++y->allocations % y->scarce == 0 ? NULL : malloc(n);
}

static void plain_free(void *arg, void *p, size_t n)
{
	(void)arg;
	(void)n;
	free(p);
}

static void on_opened(void *arg, const struct dk_addr *from)
{
	struct play *y = arg;

	y->opened += from->family == 4;
}

static void on_moved(void *arg, const struct dk_addr *from)
{
	struct play *y = arg;

	y->moved += from->family == 4;
	MUST(y->opened);
}

static void on_closed(void *arg, enum wire_reason reason)
{
	struct play *y = arg;

	MUST(reason >= WIRE_CLOSED_FIN && reason <= WIRE_CLOSED_LOCAL);
	y->closed++;
	MUST(y->closed == 1);
}

static void look(struct play *y, const struct dk_frame *f)
{
	MUST(f->payload.n <= (1 << 17));
	for (size_t i = 0; i < f->payload.n; i++)
		y->sum ^= f->payload.p[i];
}

/* Every third frame is answered from inside, every ninth makes the owner close. */
static void on_up(void *arg, const struct dk_frame *f, bool reliable)
{
	struct play *y = arg;
	struct dk_frame r = { f->ver, DK_STATUS_OK, f->cmd, f->payload };
	int rc;

	look(y, f);
	MUST(f->status == 0);
	MUST(y->server.state != WIRE_PEER_CLOSED);
	if (f->cmd % 3 == 0) {
		rc = wire_peer_send(y->ctx, &y->server, y->now, &r, reliable ? DK_RELIABLE : DK_UNRELIABLE);
		MUST(rc == 0 || rc == WIRE_FULL || rc == WIRE_TOO_LONG || rc == WIRE_GONE);
	}
	if (f->cmd == 999)
		wire_peer_close(y->ctx, &y->server, y->now);
}

static void on_down(void *arg, const struct dk_frame *f, bool reliable)
{
	(void)reliable;
	look(arg, f);
}

static size_t place_of(const struct play *y, const struct dk_addr *a)
{
	size_t i = 0;

	while (i < PLACES && !dk_addr_eq(&y->place[i], a))
		i++;
	MUST(i < PLACES); /* nothing goes where nothing came from */
	return i;
}

static void to_server(struct play *y, size_t place, const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	enum wire_drop why = WIRE_DROPS;
	const uint8_t *sid;
	int rc;

	if (n)
		memcpy(copy, p, n);
	y->in[place] += (int64_t)n;
	if (wire_peek_sid(dk_slice_n(copy, n), &sid, &why))
		MUST(sid >= copy && sid + WIRE_SID_LEN <= copy + n);
	else
		MUST(why < WIRE_DROPS);
	rc = wire_peer_recv(y->ctx, &y->server, y->now, &y->place[place], dk_slice_n(copy, n), &y->up);
	MUST(rc == 0 || rc == 1);
	free(copy);
}

static void to_client(struct play *y, const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	int rc;

	if (n)
		memcpy(copy, p, n);
	rc = wire_peer_recv(y->ctx, &y->client, y->now, &y->server_addr, dk_slice_n(copy, n), &y->down);
	MUST(rc == 0 || rc == 1);
	free(copy);
}

/* One datagram of one end, and its fate: bit 0 arrives, bit 1 twice, bit 2 changed, bits 3-4 from where (upward). */
static bool pass_one(struct play *y, bool up, uint8_t fate)
{
	struct wire_peer *p = up ? &y->client : &y->server;
	uint8_t slot[WIRE_SLOT];
	struct dk_addr to;
	bool fragment = false;
	size_t n = wire_peer_out(y->ctx, p, y->now, fate & 0x20, slot, sizeof(slot), &to, &fragment), at;

	MUST(n <= sizeof(slot));
	if (!n)
		return false;
	MUST(n >= WIRE_HEADER_LEN && fragment == (n > WIRE_DATAGRAM_OUT));
	if (!up) {
		at = place_of(y, &to);
		if (!y->server.proven || !dk_addr_eq(&to, &y->server.addr)) {
			y->out[at] += (int64_t)n;
			MUST(y->out[at] <= y->in[at]);
		}
	}
	if (fate & 4) {
		for (int i = 0; i < 3 && dk_rd_left(&y->script) >= 2; i++) {
			at = dk_rd_u8(&y->script);
			slot[at % n] ^= dk_rd_u8(&y->script);
		}
	}
	for (int times = (fate & 1) + (fate >> 1 & 1); times-- > 0;) {
		if (up)
			to_server(y, (y->home + (fate >> 3)) & 3, slot, n);
		else
			to_client(y, slot, n);
	}
	return true;
}

static void say(struct play *y, bool up)
{
	static const uint8_t text[9000];
	uint8_t what = dk_rd_u8(&y->script);
	struct dk_frame f = { what & 3, 0, (uint16_t)(what >> 2 & 7), { text, dk_rd_u8(&y->script) } };
	unsigned how = what >> 5 & 3;
	int rc;

	if (what & 0x80)
		f.payload.n *= 35;
	if (!up)
		f.status = what & 8 ? DK_STATUS_PUSH : DK_STATUS_OK;
	rc = wire_peer_send(y->ctx, up ? &y->client : &y->server, y->now, &f, how);
	MUST(rc == 0 || rc == WIRE_FULL || rc == WIRE_TOO_LONG || rc == WIRE_GONE);
}

/* A cheater's datagram: right keys, any header, several frames, perhaps cut or padded by the script. */
static void cheat(struct play *y, bool up)
{
	enum wire_role from = up ? WIRE_CLIENT : WIRE_SERVER;
	struct wire_codec k = wire_codec_of(&y->server);
	uint8_t d[WIRE_DATAGRAM_MAX + 8], count, place;
	size_t used = WIRE_HEADER_LEN, len;
	struct dk_frame f;

	for (int i = 0; i < 4; i++)
		d[i] = dk_rd_u8(&y->script);
	count = dk_rd_u8(&y->script) & 7;
	place = dk_rd_u8(&y->script) & 3;
	while (count-- > 0) {
		f.ver = dk_rd_u8(&y->script);
		f.status = up ? 0 : dk_rd_u8(&y->script);
		f.cmd = dk_rd_u16(&y->script);
		f.payload = dk_rd_slice(&y->script, dk_rd_u8(&y->script) % 100);
		len = wire_frame_len(from, &k, f.payload.n);
		if (used + len > sizeof(d))
			break;
		wire_frame_write(y->ctx->crypto, from, &k, &f, d + used);
		used += len;
	}
	used -= dk_rd_u8(&y->script) % 4 < used ? dk_rd_u8(&y->script) % 4u : 0;
	if (up)
		to_server(y, place, d, used);
	else
		to_client(y, d, used);
}

struct shown {
	struct play *y;
	size_t n;
};

static void show(void *arg, const struct dk_frame *f, unsigned how)
{
	struct shown *s = arg;

	MUST(how & DK_RELIABLE);
	look(s->y, f);
	s->n++;
}

/* What would be handed over is what is counted. */
static void hand_over(struct play *y, const struct wire_peer *p)
{
	struct shown s = { y, 0 };
	size_t n = wire_peer_unacked(y->ctx, p, NULL, NULL);

	MUST(wire_peer_unacked(y->ctx, p, show, &s) == n && (s.n == n || y->scarce));
	s.n = 0;
	n = wire_peer_held(y->ctx, p, show, &s);
	MUST(s.n <= n && (wire_peer_held(y->ctx, p, NULL, NULL) == n || y->scarce));
}

static void pass_time(struct play *y, uint64_t ms)
{
	y->now += ms;
	wire_peer_tick(y->ctx, &y->server, y->now, &y->up);
	wire_peer_tick(y->ctx, &y->client, y->now, &y->down);
	for (int i = 0; i < 2000 && pass_one(y, true, 0x21); i++)
		;
	for (int i = 0; i < 2000 && pass_one(y, false, 0x21); i++)
		;
	while (pass_one(y, true, 0x20)) /* what that caused is lost */
		;
	MUST(wire_peer_due(y->ctx, &y->client) > y->now || y->client.tell_closed || y->scarce);
	MUST(wire_peer_due(y->ctx, &y->server) > y->now || y->server.tell_closed || y->scarce);
}

static void step(struct play *y)
{
	uint8_t op = dk_rd_u8(&y->script);
	dk_slice raw;

	switch (op & 15) {
	case 0:
		raw = dk_rd_slice(&y->script, dk_rd_u8(&y->script));
		to_server(y, op >> 4 & 3, raw.p, raw.n);
		break;
	case 1:
		raw = dk_rd_slice(&y->script, dk_rd_u8(&y->script));
		to_client(y, raw.p, raw.n);
		break;
	case 2:
		raw = dk_rd_slice(&y->script, dk_rd_u16(&y->script));
		to_server(y, op >> 4 & 3, raw.p, raw.n);
		break;
	case 3:
	case 4:
		say(y, op & 1);
		break;
	case 5:
	case 6:
		pass_one(y, op & 1, dk_rd_u8(&y->script));
		break;
	case 7:
	case 8:
		cheat(y, op & 1);
		break;
	case 9:
		pass_time(y, dk_rd_u8(&y->script));
		break;
	case 10:
		pass_time(y, dk_rd_u8(&y->script) * 100u);
		break;
	case 11:
		hand_over(y, op & 16 ? &y->client : &y->server);
		if (op & 0x80)
			wire_peer_close(y->ctx, op & 16 ? &y->client : &y->server, y->now);
		else if (op & 0x40)
			wire_peer_leave(y->ctx, op & 16 ? &y->client : &y->server, y->now);
		break;
	case 12:
		wire_peer_open(y->ctx, &y->client, y->now, op & 16 ? NULL : &y->server_addr);
		break;
	case 13: /* the client's program starts anew, or its address changes */
		y->home = op >> 4 & 3;
		if (op & 0x80)
			break;
		wire_peer_fini(y->ctx, &y->client);
		MUST(wire_peer_init(y->ctx, &y->client, WIRE_CLIENT, &y->cred, y->now) == 0);
		wire_peer_open(y->ctx, &y->client, y->now, &y->server_addr);
		break;
	default: /* as it should be */
		while (pass_one(y, true, 0x21) || pass_one(y, false, 0x21))
			y->now++;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play *y = calloc(1, sizeof(*y));
	struct wire_ctx_opts o = { .random = fixed, .alloc = scarce_alloc, .free = plain_free, .arg = y };
	struct dk_credential *cred = &y->cred;
	uint8_t mode;

	y->script = dk_cursor_of(dk_slice_n(data, size));
	mode = dk_rd_u8(&y->script);
	memset(cred->sid, 'S', sizeof(cred->sid)); /* easy to guess for a fuzzer */
	memset(cred->key, 1, sizeof(cred->key));
	cred->encrypted = !(mode & 1);
	wire_limits_default(&o.limits);
	o.limits.roaming_mac_only = mode & 2;
	o.limits.flush_ms = mode & 4 ? 50 : 0;
	if (mode & 8) {
		o.limits.max_frame = 3000;
		o.limits.max_queued_bytes = 9000;
		o.limits.max_in_flight = 3;
	}
	MUST(wire_ctx_new(&o, &y->ctx) == 0);
	if (mode & 32)
		y->scarce = 2 + (dk_rd_u8(&y->script) & 15);
	y->now = mode & 16 ? 29990 : 0;
	y->server_addr = (struct dk_addr){ .ip = { 10 }, .port = 1, .family = 4 };
	for (uint8_t i = 0; i < PLACES; i++)
		y->place[i] = (struct dk_addr){ .ip = { 127, 0, 0, i }, .port = 2, .family = 4 };
	y->up = (struct wire_events){ .arg = y, .frame = on_up, .opened = on_opened, .moved = on_moved, .closed = on_closed };
	y->down = (struct wire_events){ .arg = y, .frame = on_down };
	MUST(wire_peer_init(y->ctx, &y->server, WIRE_SERVER, cred, y->now) == 0);
	MUST(wire_peer_init(y->ctx, &y->client, WIRE_CLIENT, cred, y->now) == 0);
	for (int i = 0; i < STEPS && dk_rd_left(&y->script); i++)
		step(y);
	wire_peer_fini(y->ctx, &y->server);
	wire_peer_fini(y->ctx, &y->client);
	MUST(y->ctx->pool.in_use == 0);
	wire_ctx_free(y->ctx);
	free(y);
	return 0;
}
