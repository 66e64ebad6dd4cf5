/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going to another node because the server says so. The two-sided flush: nothing new is said to the old node after its
 * instruction; what was sent is acknowledged first, or, when that takes too long, said again at the new one, where it goes first.
 * Over TCP the end of both directions takes the place of acknowledgements.
 */
#include "priv.h"

/* The old node acknowledges until it hears that the client is at the new one, for ten seconds at most. Only a bad line makes this
 * wait, and what is not acknowledged by then is said again; servers that do not know what say_again() announces run it twice. */
#define LEAVE_US 3000000
#define LEAVE_STREAM_US 500000
#define AGAIN_MAX (256 * 5) /* as many blocks as are in flight at most */

bool client_address_parse(dk_str address, char host[DKC_HOST_MAX + 1], uint16_t *ret_port)
{
	const char *colon = address.n ? memrchr(address.p, ':', address.n) : NULL;
	dk_str name = dk_str_n(address.p, colon ? (size_t)(colon - address.p) : 0);
	uint32_t port = 0;

	for (const char *p = colon ? colon + 1 : address.p; colon && p < address.p + address.n; p++)
		port = *p >= '0' && *p <= '9' && port <= 65535 ? port * 10 + (uint32_t)(*p - '0') : 65536;
	if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
		name = dk_str_n(name.p + 1, name.n - 2);
	if (!name.n || name.n > DKC_HOST_MAX || memchr(name.p, '\0', name.n) || port < 1 || port > 65535)
		return false;
	memcpy(host, name.p, name.n);
	host[name.n] = '\0';
	*ret_port = (uint16_t)port;
	return true;
}

/* ---- frames that wait ---- */

struct front {
	struct dkc_client *c;
	struct wire_outq *q;
	size_t bytes, n;
	struct dk_writer again; /* in which sequences of the old connection they were; docs/WIRE.md 9 */
	uint8_t *entry; /* the frames of its last one; NULL = none yet */
	uint32_t seq; /* and its sequence */
};

static void put(struct front *front, const struct dk_frame *f, unsigned how)
{
	struct dk_frame held = *f;

	held.status = (uint8_t)(how & DK_RELIABLE);
	if (wire_outq_add(front->c->ctx->wire, &front->q, &held, 0, 0, front->c->now / 1000))
		return; /* no memory: lost, as the connection that had it */
	front->bytes += f->payload.n + CLIENT_HELD_COST;
	front->n++;
}

static void put_unacked(void *arg, const struct dk_frame *f, unsigned how)
{
	if (f->ver || f->cmd != WIRE_CMD_CLIENT_KEY) /* each connection begins with one of its own */
		put(arg, f, how);
}

static void put_unsent(void *arg, const struct dk_frame *f, unsigned how)
{
	struct front *front = arg;

	put_unacked(front, f, how);
	client_pending_hold(front->c, f);
}

/* wire_left_fn; u24 sequence, u8 sequences, u8 frames in them. */
static void put_left(void *arg, const struct dk_frame *f, uint32_t seq, uint32_t seqs)
{
	struct front *front = arg;
	size_t n = front->n;

	if (!f->ver && f->cmd == WIRE_CMD_AGAIN)
		return; /* of the connection before */
	put_unacked(front, f, DK_RELIABLE);
	if (front->n == n || !seqs)
		return;
	if (!front->entry || front->seq != seq || *front->entry == UINT8_MAX) {
		dk_wr_u24(&front->again, seq);
		dk_wr_u8(&front->again, (uint8_t)(seqs > UINT8_MAX ? 0 : seqs));
		front->entry = dk_wr_take(&front->again, 1);
		if (!front->entry)
			return;
		front->seq = seq;
		*front->entry = 0;
	}
	++*front->entry;
}

/* What the front has goes before all that waits already. */
static void hold_first(struct front *front)
{
	struct dkc_client *c = front->c;
	struct wire_outq_at at = { c->held, 0 };
	struct dk_frame f;

	while (front->n && wire_outq_walk(&at, &f))
		put(front, &f, f.status);
	if (!front->n)
		return;
	wire_outq_clear(c->ctx->wire, &c->held);
	c->held = front->q;
	c->held_bytes = front->bytes;
}

void client_hold_unsent(struct dkc_client *c)
{
	struct front front = { .c = c };
	struct wire_outq *q = NULL;
	struct dk_frame f;

	if (!c->wire_up)
		return;
	if (client_is_udp(c)) {
		for (q = wire_peer_recall(&c->wire.peer); wire_outq_peek(q, &f); wire_outq_pop(c->ctx->wire, &q))
			put_unsent(&front, &f, DK_RELIABLE);
	} else {
		wire_stream_unacked(&c->wire.stream, put_unsent, &front);
	}
	hold_first(&front);
}

/* ---- leaving ---- */

void client_leave(struct dkc_client *c, dk_str address)
{
	struct dkc_event e = { .kind = DKC_MOVING, .address = address };

	if (c->state != CLIENT_UP || !client_address_parse(address, c->to.host, &c->to.port))
		return; /* authentic nonsense: stay where we are */
	c->state = CLIENT_LEAVING;
	c->until = c->now + (client_is_udp(c) ? LEAVE_US : LEAVE_STREAM_US);
	c->half_close = 0;
	c->silent = false;
	c->ctx->n.moves++;
	if (client_is_udp(c))
		client_hold_unsent(c);
	client_emit(c, &e);
}

static bool may_go(const struct dkc_client *c)
{
	return c->now >= c->until || (client_is_udp(c) && wire_peer_drained(&c->wire.peer));
}

/* The new node is told which sequences these frames had: it knows from the old one which of them came. */
static void say_again(struct dkc_client *c)
{
	uint8_t list[AGAIN_MAX];
	struct front front = { .c = c, .again = dk_writer_on(list, sizeof(list)) }, first = { .c = c };

	wire_peer_left(c->ctx->wire, &c->wire.peer, put_left, &front);
	c->ctx->n.sent_again += front.n;
	hold_first(&front);
	if (front.entry) {
		put(&first, &(struct dk_frame){ .cmd = WIRE_CMD_AGAIN, .payload = dk_written(&front.again) }, DK_RELIABLE);
		hold_first(&first);
	}
}

void client_maybe_left(struct dkc_client *c)
{
	if (c->state != CLIENT_LEAVING || c->depth)
		return;
	if (client_is_udp(c)) {
		if (!may_go(c))
			return;
		say_again(c);
	} else if (!may_go(c)) {
		if (!c->half_close)
			c->half_close = 1;
		return;
	} else {
		client_hold_unsent(c);
	}
	client_wire_down(c);
	c->state = CLIENT_WANTED;
}

bool dkc_wants_half_close(struct dkc_client *c)
{
	if (c->state != CLIENT_LEAVING || c->half_close != 1)
		return false;
	c->half_close = 2;
	return true;
}

/* ---- asking for it ---- */

int dkc_move(struct dkc_client *c)
{
	dk_slice nothing = { NULL, 0 };

	c->asked_away = CLIENT_ASKED;
	return dkc_send(c, 0, WIRE_CMD_RECONNECT, nothing, DK_RELIABLE);
}

int dkc_move_type(struct dkc_client *c, dk_str type)
{
	c->asked_away = CLIENT_ASKED;
	return dkc_send(c, 0, WIRE_CMD_RECONNECT_TYPE, dk_slice_of(type), DK_RELIABLE);
}

/*
 * The owner of a room asks for the room, which takes its members along; members wait for that. Whoever is in none asks for itself.
 * The server moves everybody sooner or later: a refusal needs no word.
 */
void client_follow(struct dkc_client *c)
{
	if (!c->follow || c->asked_away || c->state != CLIENT_UP || c->ending)
		return;
	if (!c->seat)
		dkc_move(c);
	else if (c->seat->owner)
		client_seat_migrate(c);
	c->asked_away = CLIENT_FOLLOWS;
}
