/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a UDP connection receives. A datagram is one unit or several glued ones: SYN, ACK, EACK, FIN of 20 bytes (4 from a server,
 * or at the end), or a header with frames or a chunk behind it.
 *
 * Order for what strangers send: size, magic, sid, tag, and only then anything that is remembered. What has no tag may do little:
 * an ACK ends what is in flight and comes from the proven address; a SYN is answered without state; a FIN is a mark; a chunk
 * needs the proven address. What proves an address is proof.c; what moves it is authentic() below.
 */
#include "wire/peer_priv.h"

#define FRAMES_MAX (WIRE_DATAGRAM_MAX / WIRE_FRAME_DOWN)
#define PLAIN_MAX WIRE_DATAGRAM_MAX

/* One datagram while it is looked at. */
struct in {
	struct wire_ctx *ctx;
	struct wire_peer *p;
	uint64_t now;
	const struct dk_addr *from;
	const struct wire_events *ev;
	size_t len;
	bool bound; /* from is the bound address */
	bool counted; /* its length was added to what an unproven address may get */
};

static int drop(const struct in *in, enum wire_drop d)
{
	return wire_drop(in->ctx, d);
}

/* ---- what goes back ----------------------------------------------------------------------------------------------- */

/* Four bytes to where this datagram came from. Without room nothing goes: whoever waits for it asks again. */
static void answer(const struct in *in, uint32_t seq, enum wire_flag flag)
{
	struct wire_aside *a = wire_aside(in->ctx, in->p);
	struct wire_reply *r;

	if (!a || a->n_replies == WIRE_REPLIES) {
		drop(in, WIRE_DROP_MEMORY);
		return;
	}
	r = &a->replies[a->n_replies++];
	r->to = *in->from;
	r->head = wire_head(seq, flag);
}

static void acknowledge(const struct in *in, uint32_t seq, enum wire_flag flag)
{
	struct wire_aside *a;

	if (!in->bound) {
		answer(in, seq, flag);
		return;
	}
	a = wire_aside(in->ctx, in->p);
	if (a && a->n_acks < WIRE_ACKS)
		a->acks[a->n_acks++] = wire_head(seq, flag);
	else
		drop(in, WIRE_DROP_MEMORY);
}

/* ---- where the other end is --------------------------------------------------------------------------------------- */

static void set_open(const struct in *in)
{
	struct wire_peer *p = in->p;

	p->state = WIRE_PEER_OPEN;
	p->proven = 1;
	p->epoch++;
	p->opened_s = (uint16_t)(in->now / 1000);
	if (in->ev->opened)
		in->ev->opened(in->ev->arg, in->from);
}

/* The client was heard, where it is known to be. */
static void heard(const struct in *in)
{
	struct wire_aside *a = in->p->aside;

	in->p->last_valid = in->now;
	if (a && a->mark && in->now - a->marked_at >= WIRE_MARK_GRACE_MS)
		a->mark = 0;
}

static void move_to(struct in *in)
{
	in->p->addr = *in->from;
	in->bound = true;
	heard(in);
	if (in->ev->moved)
		in->ev->moved(in->ev->arg, in->from);
}

/* The client began anew, with the same sid: its sequences start at 0, ours at seq, and what it had not acknowledged goes first. */
static void restart(struct in *in, uint32_t seq)
{
	struct wire_peer *p = in->p;

	wire_rudp_start_rx(in->ctx, &p->rudp, 0);
	wire_rudp_start_tx(in->ctx, &p->rudp, seq);
	wire_split_clear(in->ctx, &p->aside->set);
	p->aside->n_acks = 0;
	p->aside->restart_until = p->aside->syn_until = 0;
	p->addr = *in->from;
	in->bound = true;
	heard(in);
	set_open(in);
}

static bool awaits_restart(const struct in *in)
{
	const struct wire_aside *a = in->p->aside;

	return a && in->p->state == WIRE_PEER_OPEN && in->now < a->restart_until && dk_addr_eq(&a->restart_addr, in->from);
}

/* A SYN to an address that has not proven itself, no more often than now and then. */
static void challenge(const struct in *in, enum wire_proof kind)
{
	struct wire_aside *a = wire_aside(in->ctx, in->p);

	if (!a || in->now < a->challenge_after)
		return;
	a->challenge_after = in->now + WIRE_CHALLENGE_MS;
	answer(in, wire_proof_make(in->ctx, in->p, in->from, kind, in->now), WIRE_SYN);
}

/*
 * A frame with a valid tag (or, without encryption, with the sid) came. Binds a server's connection to its first address, for
 * no more bytes than come from there; lets a proven one answer a new address with a challenge. Where in->bound is false
 * afterwards the frame may be a copy that somebody recorded, and must do nothing.
 */
static void authentic(struct in *in, bool reliable, uint32_t seq)
{
	struct wire_peer *p = in->p;
	struct wire_aside *a = p->aside;

	if (in->bound || !p->proven)
		heard(in);
	if (in->bound && p->proven && !(a && in->now < a->restart_until))
		return;
	if (p->role == WIRE_CLIENT) {
		if (!p->addr.family)
			p->addr = *in->from;
		in->bound = true;
		return;
	}
	if (!p->proven) {
		if (!in->bound) {
			p->addr = *in->from;
			p->credit = 0;
			in->bound = true;
		}
		if (!in->counted && p->credit < UINT32_MAX - WIRE_DATAGRAM_MAX)
			p->credit += (uint32_t)in->len;
		in->counted = true;
		/* Whoever has sent DAT takes itself for open: its answer to our SYN got lost. Who has not is not bothered, unless
		 * something waits for it that needs the proof. */
		if (reliable || p->reliable)
			challenge(in, WIRE_PROOF_SYN);
		return;
	}
	if (awaits_restart(in)) {
		/* From the old address only the very first sequence can tell the new client from a straggler of the old one. */
		if (!in->bound || (reliable && seq == 0))
			restart(in, a->restart_seq);
		return;
	}
	if (in->bound)
		return;
	if (in->ctx->limits.roaming_mac_only) {
		move_to(in);
		return;
	}
	challenge(in, WIRE_PROOF_MOVE);
}

/* ---- control units ------------------------------------------------------------------------------------------------ */

static int server_syn(const struct in *in)
{
	struct wire_peer *p = in->p;
	struct wire_aside *a;

	if (p->state == WIRE_PEER_OPEN && in->bound) {
		if ((uint16_t)((uint16_t)(in->now / 1000) - p->opened_s) * 1000u < WIRE_SETTLE_MS)
			return drop(in, WIRE_DROP_DUPLICATE);
		a = wire_aside(in->ctx, p);
		if (a)
			a->syn_until = in->now + WIRE_RESTART_MS;
	}
	answer(in, wire_proof_make(in->ctx, p, in->from, WIRE_PROOF_SYN, in->now), WIRE_SYN);
	return 0;
}

static void client_adopt(const struct in *in, uint32_t seq)
{
	struct wire_peer *p = in->p;

	wire_rudp_start_rx(in->ctx, &p->rudp, seq);
	if (!p->addr.family)
		p->addr = *in->from;
}

static int client_syn(struct in *in, uint32_t seq)
{
	struct wire_peer *p = in->p;
	bool nothing_came = p->rudp.rx_next == p->rudp.rx_first && !wire_rudp_holds(&p->rudp);

	if (p->state == WIRE_PEER_OPENING) {
		client_adopt(in, seq);
		in->bound = true;
		p->unsure = 1;
		p->last_valid = in->now;
		acknowledge(in, seq, WIRE_ACK);
		set_open(in);
		return 0;
	}
	if (p->state != WIRE_PEER_OPEN)
		return drop(in, WIRE_DROP_FLAG);
	if (seq < 0x800000 && seq != p->rudp.rx_first) {
		/* Another answer to one of our SYNs: the first one counts, unless it was an ACK, which may have been for somebody
		 * else, or the server seems never to have heard so. */
		if (!nothing_came || (!p->by_ack && (uint16_t)((uint16_t)(in->now / 1000) - p->opened_s) < 3))
			return drop(in, WIRE_DROP_ACK);
		client_adopt(in, seq);
		p->unsure = 1;
	}
	p->by_ack = 0;
	acknowledge(in, seq, WIRE_ACK); /* it was lost, or the server asks whether we are here */
	return 0;
}

/* The answer to a SYN that we sent to this address, or a guess. */
static int server_proof(struct in *in, uint32_t seq, bool eack)
{
	struct wire_peer *p = in->p;
	enum wire_drop why = p->proven && !in->bound ? WIRE_DROP_ADDRESS : WIRE_DROP_ACK;
	struct wire_aside *a = p->aside;

	if (eack || p->state == WIRE_PEER_CLOSING)
		return drop(in, why);
	if (p->proven && in->bound && !(a && in->now < a->syn_until))
		return drop(in, why);
	if (a && a->wrong && in->now - a->wrong_since >= WIRE_WRONG_MS)
		a->wrong = 0;
	if (a && a->wrong >= WIRE_WRONG_MAX)
		return drop(in, why);
	if (wire_proof_check(in->ctx, p, in->from, WIRE_PROOF_SYN, in->now, seq)) {
		if (!p->proven) {
			p->addr = *in->from;
			in->bound = true;
			p->last_valid = in->now;
			wire_rudp_start_tx(in->ctx, &p->rudp, seq);
			set_open(in);
			return 0;
		}
		a = wire_aside(in->ctx, p);
		if (!a)
			return drop(in, WIRE_DROP_MEMORY);
		a->restart_addr = *in->from;
		a->restart_seq = seq;
		a->restart_until = in->now + WIRE_RESTART_MS;
		return 0;
	}
	if (p->proven && !in->bound && wire_proof_check(in->ctx, p, in->from, WIRE_PROOF_MOVE, in->now, seq)) {
		move_to(in);
		return 0;
	}
	a = wire_aside(in->ctx, p);
	if (a) {
		if (!a->wrong)
			a->wrong_since = in->now;
		a->wrong++;
	}
	return drop(in, why);
}

static int take_ack(struct in *in, uint32_t seq, bool eack)
{
	struct wire_peer *p = in->p;

	if (p->role == WIRE_CLIENT && p->state == WIRE_PEER_OPENING) {
		/* It names no sid, so it may be for who spoke from our address before: a server that answers a SYN so does it again
		 * when the SYN comes again, and starts at the number it names. */
		if (!p->aside || p->aside->hellos < 2)
			return drop(in, WIRE_DROP_ACK);
		client_adopt(in, seq);
		in->bound = true;
		p->by_ack = 1;
		p->last_valid = in->now;
		p->rudp.fresh = seq == 0 && !eack;
		set_open(in);
		return 0;
	}
	if (in->bound && (p->proven || p->role == WIRE_CLIENT)) {
		if (wire_rudp_ack(in->ctx, &p->rudp, in->now, seq, eack)) {
			in->ctx->stats.acks_in++;
			p->unsure = 0;
			p->last_valid = in->now;
			return 0;
		}
		if (p->state == WIRE_PEER_CLOSING && p->aside->hellos && seq == ((uint32_t)p->rudp.tx_next & 0xffffff)) {
			wire_peer_end(in->ctx, p, WIRE_CLOSED_LOCAL);
			return 0;
		}
	}
	return p->role == WIRE_SERVER ? server_proof(in, seq, eack) : drop(in, WIRE_DROP_ACK);
}

static int take_fin(struct in *in, uint32_t seq)
{
	struct wire_peer *p = in->p;
	struct wire_aside *a;

	if (!in->bound)
		return drop(in, WIRE_DROP_ADDRESS);
	if (p->role == WIRE_CLIENT && p->state == WIRE_PEER_OPENING)
		return drop(in, WIRE_DROP_FLAG); /* nothing is open: it is for who spoke from our address before */
	acknowledge(in, seq, WIRE_ACK);
	if (p->state == WIRE_PEER_CLOSING) {
		wire_peer_end(in->ctx, p, WIRE_CLOSED_LOCAL);
		return 0;
	}
	a = wire_aside(in->ctx, p);
	if (a && !a->mark) {
		a->mark = WIRE_CLOSED_FIN;
		a->marked_at = in->now;
	}
	return 0;
}

static int take_kill(struct in *in)
{
	struct wire_peer *p = in->p;
	struct wire_aside *a;

	if (p->state == WIRE_PEER_OPENING || p->state == WIRE_PEER_CLOSING) {
		wire_peer_end(in->ctx, p, WIRE_CLOSED_KILLED);
		return 0;
	}
	a = wire_aside(in->ctx, p); /* as with FIN, anybody could have sent it */
	if (a && !a->mark) {
		a->mark = WIRE_CLOSED_KILLED;
		a->marked_at = in->now;
	}
	return 0;
}

/* One SYN, ACK, EACK or FIN. Returns the drop outcome; *ret_used is 0 when nothing behind it can be trusted to be a unit. */
static int take_control(struct in *in, uint32_t seq, enum wire_flag flag, dk_slice unit, bool first, size_t *ret_used)
{
	struct wire_peer *p = in->p;
	bool has_sid = unit.n >= WIRE_HEADER_LEN + WIRE_SID_LEN && wire_sid_eq(unit.p + WIRE_HEADER_LEN, p->sid);

	*ret_used = WIRE_HEADER_LEN + (has_sid ? WIRE_SID_LEN : 0);
	if (p->state == WIRE_PEER_LEFT)
		return drop(in, WIRE_DROP_CLOSED);
	/* A server says no sid; behind other units a client may leave it out at the end. */
	if (p->role == WIRE_SERVER && !has_sid && (first || unit.n != WIRE_HEADER_LEN)) {
		*ret_used = 0;
		return drop(in, unit.n < WIRE_HEADER_LEN + WIRE_SID_LEN ? WIRE_DROP_SIZE : WIRE_DROP_SID);
	}
	switch (flag) {
	case WIRE_SYN:
		if (p->role == WIRE_CLIENT)
			return client_syn(in, seq);
		if (seq || in->len != WIRE_HEADER_LEN + WIRE_SID_LEN) {
			*ret_used = 0;
			return drop(in, WIRE_DROP_FLAG);
		}
		return server_syn(in);
	case WIRE_ACK:
	case WIRE_EACK:
		return take_ack(in, seq, flag == WIRE_EACK);
	default:
		return take_fin(in, seq);
	}
}

/* ---- frames and chunks -------------------------------------------------------------------------------------------- */

static bool delivers(const struct wire_peer *p)
{
	return p->state < WIRE_PEER_CLOSING;
}

static void deliver(struct in *in, const struct dk_frame *f, bool reliable)
{
	if (!delivers(in->p)) { /* a frame before this one made the owner close */
		drop(in, WIRE_DROP_CLOSED);
		return;
	}
	in->ctx->stats.frames_in++;
	if (in->ev->frame)
		in->ev->frame(in->ev->arg, f, reliable);
}

/* A message came together: only now can its tag be looked at. It was acknowledged piece by piece, so failing means it is lost. */
static void deliver_whole(struct in *in, dk_slice whole)
{
	struct wire_codec k = wire_codec_of(in->p);
	struct wire_raw raw;
	struct dk_frame f;
	enum wire_drop d;
	size_t used;

	d = wire_frame_take(in->ctx->crypto, (enum wire_role)in->p->role, &k, whole, &raw, &used);
	if (d == WIRE_PASS && used != whole.n)
		d = WIRE_DROP_FRAME;
	/* Decrypted where it lies: the memory is ours. */
	if (d == WIRE_PASS)
		d = wire_frame_open(in->ctx->crypto, &k, &raw, (uint8_t *)(uintptr_t)raw.body.p + WIRE_SEAL_HEAD, &f);
	if (d == WIRE_PASS) {
		authentic(in, false, 0);
		deliver(in, &f, true);
	} else {
		drop(in, d);
	}
}

/* Adds a chunk whose turn it is. WIRE_DROP_MEMORY: nothing has changed; otherwise its sequence is done with. */
static enum wire_drop add_chunk(struct in *in, const struct wire_chunk *c, dk_slice *ret_whole)
{
	struct wire_aside *a = wire_aside(in->ctx, in->p);

	*ret_whole = dk_slice_n(NULL, 0);
	return a ? wire_split_add(in->ctx, &a->set, c, wire_message_max(in->ctx), in->now, ret_whole) : WIRE_DROP_MEMORY;
}

static void chunk_added(struct in *in, enum wire_drop d, dk_slice whole)
{
	in->ctx->stats.splits_in++;
	if (d != WIRE_PASS)
		drop(in, d);
	if (!whole.p)
		return;
	deliver_whole(in, whole);
	wire_give(in->ctx, (void *)(uintptr_t)whole.p, whole.n);
}

/* Frames that are held: {u32 length, u16 cmd, u8 ver, u8 status, payload}*. */
static struct wire_block *pack(struct wire_ctx *ctx, const struct dk_frame *f, unsigned n)
{
	size_t len = 0;
	struct wire_block *b;
	uint8_t *p;

	for (unsigned i = 0; i < n; i++)
		len += 8 + f[i].payload.n;
	b = wire_block_new(ctx, len);
	if (!b)
		return NULL;
	b->kind = WIRE_HELD_FRAMES;
	p = b->data;
	for (; n-- > 0; f++) {
		uint32_t size = (uint32_t)f->payload.n;

		memcpy(p, &size, 4);
		memcpy(p + 4, &f->cmd, 2);
		p[6] = f->ver;
		p[7] = f->status;
		if (size)
			memcpy(p + 8, f->payload.p, size);
		p += 8 + size;
	}
	return b;
}

bool wire_held_next(const struct wire_block *b, const uint8_t **at, struct dk_frame *ret_frame)
{
	const uint8_t *p = *at;
	uint32_t size;

	if (p == b->data + b->len)
		return false;
	memcpy(&size, p, 4);
	memcpy(&ret_frame->cmd, p + 4, 2);
	ret_frame->ver = p[6];
	ret_frame->status = p[7];
	ret_frame->payload = dk_slice_n(p + 8, size);
	*at = p + 8 + size;
	return true;
}

/* What was held for the sequences that follow. Each is out of the window before its frames are shown. */
static void deliver_held(struct in *in)
{
	struct wire_rudp *r = &in->p->rudp;
	const struct wire_block *held;
	struct wire_block *b;

	while ((held = wire_rudp_held(r))) {
		if (held->kind == WIRE_HELD_CHUNK) {
			struct wire_chunk c;
			enum wire_drop d;
			dk_slice whole;

			wire_chunk_read(dk_slice_n(held->data, held->len), &c); /* it was read before it was held */
			d = add_chunk(in, &c, &whole);
			if (d == WIRE_DROP_MEMORY)
				return; /* it stays, and the next datagram tries again */
			wire_block_free(in->ctx, wire_rudp_pop_held(in->ctx, r));
			chunk_added(in, d, whole);
		} else {
			const uint8_t *at = held->data;
			struct dk_frame f;

			b = wire_rudp_pop_held(in->ctx, r);
			while (wire_held_next(b, &at, &f))
				deliver(in, &f, true);
			wire_block_free(in->ctx, b);
		}
	}
}

/* The rest of a datagram is one chunk. */
static int take_chunk(struct in *in, uint32_t seq, enum wire_flag flag, dk_slice bytes)
{
	enum wire_flag ack = flag == WIRE_DAT ? WIRE_ACK : WIRE_EACK;
	struct wire_peer *p = in->p;
	struct wire_block *b;
	struct wire_chunk c;
	enum wire_drop d;
	dk_slice whole;

	if (!in->bound || !p->proven) {
		if (in->bound) /* an authentic frame came from there, and a chunk from who takes itself for open */
			challenge(in, WIRE_PROOF_SYN);
		return drop(in, WIRE_DROP_UNPROVEN);
	}
	d = wire_chunk_read(bytes, &c);
	if (d != WIRE_PASS)
		return drop(in, d);
	switch (wire_rudp_look(&p->rudp, seq)) {
	case WIRE_RUDP_OUTSIDE:
		return drop(in, WIRE_DROP_SEQUENCE);
	case WIRE_RUDP_OLD:
		acknowledge(in, seq, ack);
		return drop(in, WIRE_DROP_DUPLICATE);
	case WIRE_RUDP_AHEAD:
		b = wire_block_new(in->ctx, bytes.n);
		if (!b)
			return drop(in, WIRE_DROP_MEMORY);
		b->kind = WIRE_HELD_CHUNK;
		memcpy(b->data, bytes.p, bytes.n);
		if (wire_rudp_hold(in->ctx, &p->rudp, seq, b)) {
			wire_block_free(in->ctx, b);
			return drop(in, WIRE_DROP_SPLIT_LIMIT);
		}
		acknowledge(in, seq, ack);
		return 0;
	case WIRE_RUDP_NEXT:
		break;
	}
	d = add_chunk(in, &c, &whole);
	if (d == WIRE_DROP_MEMORY)
		return drop(in, d);
	acknowledge(in, seq, ack);
	wire_rudp_advance(&p->rudp);
	chunk_added(in, d, whole);
	deliver_held(in);
	return d != WIRE_PASS;
}

/*
 * A message is given up when others overtake it for WIRE_SPLIT_IDLE_MS. Time in which nothing is delivered does not count: then the
 * missing chunk is what everybody waits for, its sender repeats it, and to drop the rest would lose what was acknowledged.
 */
static void give_up_message(const struct in *in)
{
	struct wire_aside *a = in->p->aside;

	if (!a || !a->set || in->now - wire_split_progress(a->set) < WIRE_SPLIT_IDLE_MS)
		return;
	drop(in, WIRE_DROP_SPLIT_LIMIT);
	wire_split_clear(in->ctx, &a->set);
}

/* A sequence whose frames are authentic: what is new and next is delivered with all that waited for it. */
static int take_reliable(struct in *in, uint32_t seq, enum wire_flag flag, enum wire_rudp_fate fate, const struct dk_frame *f,
			 unsigned n)
{
	enum wire_flag ack = flag == WIRE_DAT ? WIRE_ACK : WIRE_EACK;
	struct wire_rudp *r = &in->p->rudp;
	struct wire_block *b;

	if (fate == WIRE_RUDP_AHEAD) {
		b = pack(in->ctx, f, n);
		if (!b || wire_rudp_hold(in->ctx, r, seq, b)) {
			if (b)
				wire_block_free(in->ctx, b);
			return drop(in, WIRE_DROP_MEMORY);
		}
		acknowledge(in, seq, ack);
		return 0;
	}
	acknowledge(in, seq, ack);
	wire_rudp_advance(r);
	give_up_message(in);
	for (unsigned i = 0; i < n; i++)
		deliver(in, &f[i], true);
	deliver_held(in);
	return 0;
}

/* What else may stand in a datagram where no frame does. */
static bool is_unit(dk_slice s)
{
	return s.n >= WIRE_HEADER_LEN && s.p[3] >= WIRE_UDP && s.p[3] <= WIRE_FIN;
}

/* Frames up to the end of the datagram or the next unit. All are authentic, or none is taken. */
static int take_frames(struct in *in, uint32_t seq, enum wire_flag flag, dk_slice bytes, size_t *ret_used)
{
	struct wire_codec k = wire_codec_of(in->p);
	struct wire_crypto *crypto = in->ctx->crypto;
	enum wire_rudp_fate fate = WIRE_RUDP_NEXT;
	size_t used = 0, mark, one;
	struct wire_raw raw[FRAMES_MAX];
	struct dk_frame f[FRAMES_MAX];
	unsigned n = 0;
	enum wire_drop d;
	uint8_t *plain;
	int rc = 0;

	do {
		if (n == FRAMES_MAX)
			return drop(in, WIRE_DROP_FRAME);
		d = wire_frame_take(crypto, (enum wire_role)in->p->role, &k, dk_slice_n(bytes.p + used, bytes.n - used), &raw[n],
				    &one);
		if (d != WIRE_PASS)
			return drop(in, d);
		n++;
		used += one;
	} while (bytes.n - used >= 4 && wire_is_magic(bytes.p + used));
	if (used < bytes.n && !is_unit(dk_slice_n(bytes.p + used, bytes.n - used)))
		return drop(in, WIRE_DROP_MAGIC);

	authentic(in, flag != WIRE_UDP, seq);
	*ret_used = used;
	if (!in->bound)
		return drop(in, WIRE_DROP_UNPROVEN);
	if (flag != WIRE_UDP) {
		/* Not acknowledged before the address is proven: the client's own repeats drive the handshake to its end. Were it
		 * taken now, an answer could wait for a proof that nobody asks for any more. */
		if (in->p->role == WIRE_SERVER && !in->p->proven)
			return drop(in, WIRE_DROP_UNPROVEN);
		if (in->bound && awaits_restart(in)) /* only sequence 0 tells which client this is */
			return drop(in, WIRE_DROP_SEQUENCE);
		fate = wire_rudp_look(&in->p->rudp, seq);
		if (fate == WIRE_RUDP_OUTSIDE)
			return drop(in, WIRE_DROP_SEQUENCE);
		if (fate == WIRE_RUDP_OLD) {
			acknowledge(in, seq, flag == WIRE_DAT ? WIRE_ACK : WIRE_EACK);
			return drop(in, WIRE_DROP_DUPLICATE);
		}
	}
	mark = wire_scratch_mark(in->ctx);
	plain = k.seal ? wire_scratch(in->ctx, PLAIN_MAX) : NULL;
	if (k.seal && !plain)
		return drop(in, WIRE_DROP_MEMORY);
	for (unsigned i = 0; i < n; i++) {
		d = wire_frame_open(crypto, &k, &raw[i], plain, &f[i]);
		if (d != WIRE_PASS) {
			rc = drop(in, d);
			goto out;
		}
		if (plain)
			plain += raw[i].body.n;
	}
	if (flag == WIRE_UDP) {
		for (unsigned i = 0; i < n; i++)
			deliver(in, &f[i], false);
	} else {
		rc = take_reliable(in, seq, flag, fate, f, n);
	}
out:
	wire_scratch_release(in->ctx, mark);
	return rc;
}

/* A header that announces frames or a chunk. */
static int take_data(struct in *in, uint32_t seq, enum wire_flag flag, dk_slice unit, size_t *ret_used)
{
	dk_slice body = dk_slice_n(unit.p + WIRE_HEADER_LEN, unit.n - WIRE_HEADER_LEN);
	struct wire_peer *p = in->p;
	int rc;

	*ret_used = 0;
	if (body.n < WIRE_FRAME_DOWN)
		return drop(in, WIRE_DROP_SIZE);
	if (p->state == WIRE_PEER_LEFT) {
		if (in->bound && flag != WIRE_UDP && wire_rudp_look(&p->rudp, seq) == WIRE_RUDP_OLD)
			acknowledge(in, seq, flag == WIRE_DAT ? WIRE_ACK : WIRE_EACK);
		return drop(in, WIRE_DROP_CLOSED);
	}
	if (flag != WIRE_UDP && wire_is_split(body.p)) {
		*ret_used = unit.n;
		return take_chunk(in, seq, flag, body);
	}
	/* A client wraps each chunk into a frame of its own, whose size field is not to be trusted. */
	if (flag != WIRE_UDP && p->role == WIRE_SERVER && body.n >= WIRE_FRAME_UP + 4 && wire_is_magic(body.p) &&
	    wire_is_split(body.p + WIRE_FRAME_UP)) {
		if (!wire_sid_eq(body.p + 10, p->sid))
			return drop(in, WIRE_DROP_SID);
		*ret_used = unit.n;
		return take_chunk(in, seq, flag, dk_slice_n(body.p + WIRE_FRAME_UP, body.n - WIRE_FRAME_UP));
	}
	rc = take_frames(in, seq, flag, body, ret_used);
	if (*ret_used)
		*ret_used += WIRE_HEADER_LEN;
	return rc;
}

/* ---- datagrams ---------------------------------------------------------------------------------------------------- */

int wire_peer_recv(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, const struct dk_addr *from, dk_slice datagram,
		   const struct wire_events *ev)
{
	struct in in = { ctx, p, now, from, ev, datagram.n, p->addr.family && dk_addr_eq(from, &p->addr), false };
	dk_slice left = datagram;
	unsigned units = 0;
	size_t used;
	int rc = 0;

	if (datagram.n < WIRE_HEADER_LEN || datagram.n > WIRE_DATAGRAM_MAX)
		return wire_drop(ctx, WIRE_DROP_SIZE);
	if (p->state == WIRE_PEER_CLOSED)
		return wire_drop(ctx, WIRE_DROP_CLOSED);
	if (p->role == WIRE_CLIENT) {
		if (p->addr.family && !in.bound)
			return wire_drop(ctx, WIRE_DROP_ADDRESS);
		if (datagram.n == 4 && memcmp(datagram.p, wire_kill_packet, 4) == 0) {
			rc = take_kill(&in);
			wire_peer_tell(p, ev);
			return rc;
		}
	}
	ctx->stats.datagrams_in++;
	if (p->rudp.rx)
		deliver_held(&in); /* what there was no memory for before */
	do {
		uint32_t seq = (uint32_t)left.p[0] | (uint32_t)left.p[1] << 8 | (uint32_t)left.p[2] << 16;
		enum wire_flag flag = left.p[3];

		switch (flag) {
		case WIRE_UDP:
		case WIRE_DAT:
		case WIRE_RST:
			rc |= take_data(&in, seq, flag, left, &used);
			break;
		case WIRE_SYN:
		case WIRE_ACK:
		case WIRE_EACK:
		case WIRE_FIN:
			rc |= take_control(&in, seq, flag, left, units == 0, &used);
			break;
		default:
			used = 0;
			rc = wire_drop(ctx, WIRE_DROP_FLAG);
		}
		if (!used)
			break;
		units++;
		left = dk_slice_n(left.p + used, left.n - used);
	} while (left.n >= WIRE_HEADER_LEN && p->state != WIRE_PEER_CLOSED);
	if (used && left.n && left.n < WIRE_HEADER_LEN)
		rc = wire_drop(ctx, WIRE_DROP_SIZE);
	if (units > 1 && used)
		p->glues = 1;
	wire_peer_tell(p, ev);
	return rc;
}

bool wire_peek_sid(dk_slice d, const uint8_t **ret_sid, enum wire_drop *ret_drop)
{
	if (d.n < WIRE_HEADER_LEN + WIRE_SID_LEN || d.n > WIRE_DATAGRAM_MAX) {
		*ret_drop = WIRE_DROP_SIZE;
		return false;
	}
	switch (d.p[3]) {
	case WIRE_SYN:
	case WIRE_ACK:
	case WIRE_EACK:
	case WIRE_FIN:
		*ret_sid = d.p + WIRE_HEADER_LEN;
		return true;
	case WIRE_UDP:
	case WIRE_DAT:
	case WIRE_RST:
		break;
	default:
		*ret_drop = WIRE_DROP_FLAG;
		return false;
	}
	if (!wire_is_magic(d.p + WIRE_HEADER_LEN)) {
		*ret_drop = WIRE_DROP_MAGIC;
		return false;
	}
	if (d.n < WIRE_HEADER_LEN + WIRE_FRAME_UP) {
		*ret_drop = WIRE_DROP_FRAME;
		return false;
	}
	*ret_sid = d.p + WIRE_HEADER_LEN + 10;
	return true;
}

bool wire_is_syn(dk_slice d)
{
	return d.n == WIRE_HEADER_LEN + WIRE_SID_LEN && d.p[3] == WIRE_SYN && (d.p[0] | d.p[1] | d.p[2]) == 0;
}
