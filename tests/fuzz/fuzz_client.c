/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client by hand, at the mercy of a script: two servers with the right keys say what it likes, datagrams get lost, time passes,
 * sockets fail, the program asks for things at odd moments. The client may end, never break: events make sense, nothing is said
 * after the last one, every request is answered exactly once, timers lie in the future.
 */
#include <diarkis/client_room.h>

#include "wire/peer.h"
#include "wire/stream.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

#define STEPS 300
#define SERVERS 2
#define ROOM "1111111111111111aaaaaaaaaaaabbbbbbbbbbbbcccccccccccc"
#define ROOM2 "2222222222222222aaaaaaaaaaaabbbbbbbbbbbbcccccccccccc"

struct server {
	struct play *play;
	struct wire_peer peer;
	struct wire_stream stream;
	struct dk_addr addr;
};

struct play {
	struct dk_cursor script;
	struct dkc_ctx *ctx;
	struct dkc_client *client;
	struct dkc_endpoint endpoint;
	struct wire_ctx *wire;
	struct server server[SERVERS];
	int at, try_at; /* which server a socket leads to; -1: none */
	bool tcp, over; /* over: the last event was told */
	uint32_t open; /* requests without an answer */
	uint64_t now, sum;
};

static int fixed(void *arg, void *buf, size_t n)
{
	(void)arg;
	memset(buf, 7, n);
	return 0;
}

static void look(struct play *y, dk_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		y->sum += s.p[i];
}

static void on_reply(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct play *y = arg;
	struct dk_id52 id;
	struct dk_list uids;
	dk_str text;
	uint32_t code;
	uint16_t n, max;

	MUST(c == y->client && y->open > 0);
	y->open--;
	look(y, r->payload);
	look(y, dk_slice_of(dkc_reply_error(r, &code)));
	dkc_room_joined(r, &id, &code);
	dkc_room_owner(r, &text);
	dkc_room_count(r, &n, &max);
	dkc_room_members(r, &uids, &text);
}

static void on_event(void *arg, struct dkc_client *c, const struct dkc_event *e)
{
	struct play *y = arg;
	struct dk_id52 id;
	dk_str uid;

	MUST(c == y->client && !y->over);
	look(y, e->payload);
	look(y, dk_slice_of(e->address));
	if (dkc_room_new_owner(e, &uid))
		look(y, dk_slice_of(uid));
	dkc_room_new_id(e, &id);
	switch (e->kind) {
	case DKC_DISCONNECTED:
		y->over = true;
		MUST(dkc_reason_text(e->reason)[0]);
		break;
	case DKC_ROOM_MOVED:
		MUST(memcmp(e->room->c, e->former->c, DK_ID52_LEN) != 0);
		break;
	case DKC_ROOM_LOST:
		look(y, dk_slice_n(e->room->c, DK_ID52_LEN));
		break;
	case DKC_MOVING:
		MUST(e->address.n > 0);
		break;
	default:
		break;
	}
	if (e->kind == DKC_PUSH && e->cmd % 16 == 7)
		dkc_close(c);
}

/* ---- servers ---- */

static void on_up(void *arg, const struct dk_frame *f, bool reliable)
{
	struct server *s = arg;
	struct dk_frame r = { f->ver, DK_STATUS_OK, f->cmd, f->payload };

	look(s->play, f->payload);
	if (f->cmd % 3 || (f->ver == 0 && f->cmd == WIRE_CMD_ECHO))
		return;
	if (s->play->tcp)
		wire_stream_send(s->play->wire, &s->stream, &r, DK_RELIABLE);
	else
		wire_peer_send(s->play->wire, &s->peer, s->play->now / 1000, &r, reliable);
}

static void server_start(struct play *y, int i)
{
	struct server *s = &y->server[i];

	s->play = y;
	s->addr = (struct dk_addr){ .ip = { 127, 0, 0, (uint8_t)(1 + i) }, .port = (uint16_t)(7100 + i), .family = 4 };
	MUST(wire_peer_init(y->wire, &s->peer, WIRE_SERVER, &y->endpoint.cred, y->now / 1000) == 0);
	MUST(wire_stream_init(y->wire, &s->stream, WIRE_SERVER, &y->endpoint.cred) == 0);
}

static void server_stop(struct play *y, int i)
{
	wire_peer_fini(y->wire, &y->server[i].peer);
	wire_stream_fini(y->wire, &y->server[i].stream);
}

static void say(struct play *y, struct server *s, uint8_t ver, uint16_t cmd, uint8_t status, dk_slice payload, unsigned how)
{
	struct dk_frame f = { ver, status, cmd, payload };

	if (y->tcp)
		wire_stream_send(y->wire, &s->stream, &f, how);
	else
		wire_peer_send(y->wire, &s->peer, y->now / 1000, &f, how);
}

/* What a fuzzer would take long to find. */
static void say_sense(struct play *y, struct server *s, uint8_t what)
{
	static const char *const moves[] = { "127.0.0.1:7100", "127.0.0.2:7101", "[::1]:7101", "127.0.0.9:1" };
	static const char *const rooms[] = { ROOM, ROOM2 };
	uint8_t buf[300];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	const char *room = rooms[what >> 6 & 1];

	switch (what & 7) {
	case 0:
	case 1:
		dk_wr_u32(&w, 1);
		dk_wr_slice(&w, dk_slice_of(dk_str_c(room)));
		say(y, s, 1, what & 1 ? 101 : 100, DK_STATUS_OK, dk_written(&w), DK_RELIABLE);
		break;
	case 2:
	case 3:
		dk_wr_u16(&w, what >> 3 & 3);
		for (int i = 0; i < (what >> 3 & 3); i++)
			dk_wr_bytes16(&w, dk_slice_of(dk_str_c(moves[(i + 1) & 3])));
		dk_wr_bytes16(&w, dk_slice_of(dk_str_c(room)));
		say(y, s, 1, 30, what & 1 ? DK_STATUS_PUSH : DK_STATUS_OK, dk_written(&w), DK_RELIABLE);
		break;
	case 4:
		say(y, s, 0, WIRE_CMD_RECONNECT, DK_STATUS_PUSH,
		    dk_slice_n(buf, wire_reconnect_encode(dk_str_c(moves[what >> 3 & 3]), buf, sizeof(buf))), DK_RELIABLE);
		break;
	case 5:
		dk_wr_bytes16(&w, dk_slice_of(dk_str_c(what & 8 ? "me" : "you")));
		dk_wr_bytes16(&w, dk_slice_of(dk_str_c(room)));
		say(y, s, 1, 14, DK_STATUS_PUSH, dk_written(&w), DK_RELIABLE);
		break;
	case 6:
		dk_wr_u8(&w, what >> 3 & 3);
		dk_wr_take(&w, 8);
		dk_wr_slice(&w, dk_slice_of(dk_str_c("1.2.3.4:5")));
		dk_wr_u16(&w, 18);
		say(y, s, 0, WIRE_CMD_ECHO, DK_STATUS_OK, dk_written(&w), DK_UNRELIABLE);
		break;
	default:
		say(y, s, 1, 102, DK_STATUS_OK, dk_slice_n(NULL, 0), DK_RELIABLE);
		break;
	}
}

/* ---- the ways between ---- */

static void feed(struct play *y, bool try, dk_slice bytes)
{
	uint8_t *copy = malloc(bytes.n ? bytes.n : 1);

	if (bytes.n)
		memcpy(copy, bytes.p, bytes.n);
	if (!try) {
		dkc_feed(y->client, y->now, dk_slice_n(copy, bytes.n));
	} else if (dkc_feed_try(y->client, y->now, dk_slice_n(copy, bytes.n))) {
		y->at = y->try_at;
		y->try_at = -1;
	}
	free(copy);
}

static void pass_datagrams(struct play *y, uint8_t fate)
{
	struct dk_addr from = { .ip = { 127, 0, 0, 9 }, .port = 4000, .family = 4 }, to;
	uint8_t slot[DKC_SLOT];
	bool fragment;
	size_t n;

	for (int try = 0; try < 2; try++) {
		int at = try ? y->try_at : y->at;

		while ((n = try ? dkc_next_try(y->client, y->now, slot, sizeof(slot))
				: dkc_next_datagram(y->client, y->now, slot, sizeof(slot))) > 0) {
			struct wire_events ev = { .arg = at < 0 ? NULL : &y->server[at], .frame = on_up };

			MUST(n <= DKC_SLOT);
			if (at >= 0 && !(fate & 1))
				wire_peer_recv(y->wire, &y->server[at].peer, y->now / 1000, &from, dk_slice_n(slot, n), &ev);
		}
	}
	for (int i = 0; i < SERVERS; i++) {
		struct server *s = &y->server[i];
		struct wire_events ev = { .arg = s, .frame = on_up };

		wire_peer_tick(y->wire, &s->peer, y->now / 1000, &ev);
		while ((n = wire_peer_out(y->wire, &s->peer, y->now / 1000, true, slot, sizeof(slot), &to, &fragment)) > 0) {
			if (!(fate & 2) && (i == y->at || i == y->try_at))
				feed(y, i != y->at, dk_slice_n(slot, n));
		}
	}
}

static void pass_stream(struct play *y)
{
	static const size_t cap = 100000;
	uint8_t *buf = malloc(cap);
	size_t n, need;

	while ((n = dkc_next_bytes(y->client, buf, cap, &need)) > 0) {
		struct wire_events ev = { .arg = y->at < 0 ? NULL : &y->server[y->at], .frame = on_up };

		if (y->at >= 0)
			wire_stream_feed(y->wire, &y->server[y->at].stream, dk_slice_n(buf, n), &ev);
	}
	if (dkc_wants_half_close(y->client))
		y->sum++;
	while (y->at >= 0 && (n = wire_stream_out(y->wire, &y->server[y->at].stream, buf, cap, &need)) > 0)
		feed(y, false, dk_slice_n(buf, n));
	free(buf);
}

static int server_of(const struct dkc_endpoint *e)
{
	return e->port == 7100 ? 0 : e->port == 7101 ? 1 : -1;
}

static void dial(struct play *y, uint8_t fate)
{
	const struct dkc_endpoint *to = dkc_wants_dial(y->client);
	int at;

	if (to) {
		y->at = at = fate & 1 ? -1 : server_of(to);
		if (fate & 4)
			dkc_set_local(y->client, &y->server[0].addr);
		dkc_dialed(y->client, y->now, at < 0 ? -111 : 0, at < 0 ? NULL : &y->server[at].addr);
	}
	to = dkc_wants_try(y->client);
	if (to) {
		y->try_at = at = fate & 2 ? -1 : server_of(to);
		dkc_tried(y->client, y->now, at < 0 ? -111 : 0, at < 0 ? NULL : &y->server[at].addr);
	}
	if (!dkc_is_trying(y->client))
		y->try_at = -1;
}

static void settle(struct play *y, uint8_t fate)
{
	dial(y, fate);
	if (y->tcp)
		pass_stream(y);
	else
		pass_datagrams(y, fate >> 4);
	dial(y, fate);
}

/* ---- the program ---- */

static void ask(struct play *y, uint8_t what)
{
	struct dk_id52 id = { { 0 } };
	struct dkc_room_opts ro = { .max_members = 4, .join = what & 8, .allow_empty = true, .ttl_s = 60 };
	dk_slice some = dk_rd_slice(&y->script, dk_rd_u8(&y->script) % 64);
	bool live = !y->over;
	int rc = 0;

	memcpy(id.c, what & 16 ? ROOM : ROOM2, DK_ID52_LEN);
	switch (what & 7) {
	case 0:
		rc = dkc_room_create(y->client, &ro, on_reply, y);
		break;
	case 1:
		rc = dkc_room_join(y->client, &id, some, on_reply, y);
		break;
	case 2:
		rc = dkc_room_leave(y->client, &id, some, on_reply, y);
		break;
	case 3:
		rc = dkc_room_migrate(y->client, on_reply, y);
		break;
	case 4:
		rc = dkc_request(y->client, what >> 6, (uint16_t)(what >> 3), some, on_reply, y);
		break;
	case 5:
		dkc_room_broadcast(y->client, &id, some, what & 32);
		return;
	case 6:
		dkc_send(y->client, what >> 6, (uint16_t)(what >> 3), some, what & 32 ? DK_RELIABLE : DK_UNRELIABLE);
		return;
	default:
		if (what & 8)
			dkc_move(y->client);
		else
			dkc_move_type(y->client, dk_str_of(some));
		return;
	}
	MUST(rc >= 0 && (live || rc == DKC_GONE));
	y->open += rc == 0;
}

static void begin_anew(struct play *y, uint8_t how)
{
	if (!y->over)
		return;
	MUST(y->open == 0);
	for (int i = 0; i < SERVERS; i++) {
		server_stop(y, i);
		server_start(y, i);
	}
	y->endpoint.port = how & 16 ? 7101 : 7100;
	MUST(dkc_renew(y->client, &y->endpoint) == 0);
	y->over = false;
	dkc_connect(y->client);
}

static void pass_time(struct play *y, uint64_t us)
{
	y->now += us;
	if (dkc_due(y->client) <= y->now)
		dkc_tick(y->client, y->now);
}

static void step(struct play *y)
{
	uint8_t op = dk_rd_u8(&y->script), a;
	struct server *s = &y->server[op >> 4 & 1];

	switch (op & 15) {
	case 0:
	case 1:
		say_sense(y, s, dk_rd_u8(&y->script));
		break;
	case 2: {
		uint8_t ver = dk_rd_u8(&y->script), status = dk_rd_u8(&y->script);
		uint16_t cmd = dk_rd_u8(&y->script);

		say(y, s, ver & 3, cmd,
		    status & 1   ? DK_STATUS_PUSH
		    : status & 2 ? DK_STATUS_OK
				 : DK_STATUS_BAD,
		    dk_rd_slice(&y->script, dk_rd_u8(&y->script)), (status >> 4) & 3);
		break;
	}
	case 3:
		a = dk_rd_u8(&y->script);
		feed(y, op & 16, dk_rd_slice(&y->script, a));
		break;
	case 4:
		dkc_hung_up(y->client, y->now);
		break;
	case 5:
	case 6:
		ask(y, dk_rd_u8(&y->script));
		break;
	case 7:
		pass_time(y, dk_rd_u8(&y->script) * UINT64_C(1000));
		break;
	case 8:
		pass_time(y, dk_rd_u8(&y->script) * UINT64_C(100000));
		break;
	case 9: /* as a driver does, for some time */
		for (uint8_t n = dk_rd_u8(&y->script) & 31; n > 0; n--) {
			pass_time(y, 50000);
			settle(y, 0);
		}
		break;
	case 10:
		settle(y, dk_rd_u8(&y->script));
		break;
	case 11:
		server_stop(y, op >> 4 & 1);
		server_start(y, op >> 4 & 1);
		break;
	case 12:
		if (op & 0x80)
			dkc_close(y->client);
		break;
	case 13:
		begin_anew(y, op);
		break;
	default:
		settle(y, 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play *y = calloc(1, sizeof(*y));
	struct wire_ctx_opts o = { .random = fixed };
	struct dkc_ctx_opts co;
	struct dkc_opts opts;
	uint8_t mode;

	y->script = dk_cursor_of(dk_slice_n(data, size));
	mode = dk_rd_u8(&y->script);
	y->tcp = mode & 1;
	y->now = 5000000;
	y->at = y->try_at = -1;
	y->endpoint = (struct dkc_endpoint){ .protocol = y->tcp ? DKC_TCP : DKC_UDP, .port = 7100, .host = "127.0.0.1" };
	memset(y->endpoint.cred.sid, 'S', sizeof(y->endpoint.cred.sid));
	y->endpoint.cred.encrypted = mode & 2;
	wire_limits_default(&o.limits);
	MUST(wire_ctx_new(&o, &y->wire) == 0);
	for (int i = 0; i < SERVERS; i++)
		server_start(y, i);
	dkc_ctx_opts_default(&co);
	co.random = fixed;
	dkc_opts_default(&opts);
	opts.event = on_event;
	opts.arg = y;
	opts.uid = dk_str_c("me");
	opts.follow = mode & 4;
	opts.client_key = dk_str_c(mode & 8 ? "key" : NULL);
	if (mode & 16)
		opts.max_held_bytes = 500;
	MUST(dkc_ctx_new(&co, &y->ctx) == 0);
	MUST(dkc_client_new(y->ctx, &y->endpoint, &opts, &y->client) == 0);
	dkc_connect(y->client);
	settle(y, 0);
	settle(y, 0);
	for (int i = 0; i < STEPS && dk_rd_left(&y->script); i++)
		step(y);
	dkc_close(y->client);
	MUST(y->over && y->open == 0 && !dkc_is_connected(y->client));
	dkc_client_free(y->client);
	dkc_ctx_free(y->ctx); /* asserts that nothing is left */
	for (int i = 0; i < SERVERS; i++)
		server_stop(y, i);
	wire_ctx_free(y->wire);
	free(y);
	return 0;
}
