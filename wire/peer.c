/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one UDP connection: made, opened, timed, closed. Both roles are the same object; what differs is who says SYN, who
 * names the sid, and that a server does not know yet where its client is.
 *
 * A connection gives up after ttl_ms without an authentic datagram, or when a block was sent max_retry times again and nothing
 * authentic came for three retry intervals. A FIN that the other end said is only a mark, since FIN has no tag: the connection
 * stays for WIRE_MARK_MS and is resumed by an authentic frame.
 */
#include "wire/peer_priv.h"

#include <assert.h>

#define HELLO_MS 200

const uint8_t wire_kill_packet[4] = { 0x0d, 0x0e, 0x0a, 0x0d };

struct wire_aside *wire_aside(struct wire_ctx *ctx, struct wire_peer *p)
{
	struct wire_aside *a = p->aside;

	if (a)
		return a;
	a = wire_take(ctx, sizeof(*a));
	if (!a)
		return NULL;
	memset(a, 0, offsetof(struct wire_aside, acks));
	p->aside = a;
	return a;
}

static void aside_free(struct wire_ctx *ctx, struct wire_peer *p)
{
	wire_split_clear(ctx, &p->aside->set);
	wire_give(ctx, p->aside, sizeof(*p->aside));
	p->aside = NULL;
}

void wire_aside_trim(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now)
{
	struct wire_aside *a = p->aside;

	if (!a || a->n_acks || a->n_replies || a->set || a->mark || p->state == WIRE_PEER_OPENING || p->state == WIRE_PEER_CLOSING)
		return;
	if ((a->wrong && now - a->wrong_since < WIRE_WRONG_MS) || now < a->syn_until || now < a->restart_until ||
	    now < a->challenge_after)
		return;
	aside_free(ctx, p);
}

int wire_peer_init(struct wire_ctx *ctx, struct wire_peer *p, enum wire_role role, const struct dk_credential *cred, uint64_t now)
{
	(void)ctx;
	memset(p, 0, sizeof(*p));
	memcpy(p->sid, cred->sid, sizeof(p->sid));
	p->role = role;
	p->encrypted = cred->encrypted;
	p->last_valid = now;
	if (cred->encrypted)
		wire_seal_init(&p->seal, cred);
	return 0;
}

/* Silence is what ends it, so silence begins so much earlier or later, be it before the clock did. */
void wire_peer_wait(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, uint32_t ms)
{
	if (p->state == WIRE_PEER_NEW)
		p->last_valid = now + ms - ctx->limits.ttl_ms;
}

void wire_peer_fini(struct wire_ctx *ctx, struct wire_peer *p)
{
	wire_outq_clear(ctx, &p->unreliable);
	wire_outq_clear(ctx, &p->reliable);
	wire_rudp_fini(ctx, &p->rudp);
	if (p->aside)
		aside_free(ctx, p);
	explicit_bzero(p, sizeof(*p));
	p->state = WIRE_PEER_CLOSED;
}

void wire_peer_open(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, const struct dk_addr *server)
{
	struct wire_aside *a;

	assert(p->role == WIRE_CLIENT);
	if (p->state != WIRE_PEER_NEW)
		return;
	if (server)
		p->addr = *server;
	p->state = WIRE_PEER_OPENING;
	p->last_valid = now;
	a = wire_aside(ctx, p); /* without memory the next tick tries again */
	if (a)
		a->hello_at = now;
}

void wire_peer_close(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now)
{
	struct wire_aside *a;

	if (p->state == WIRE_PEER_CLOSING)
		p->aside->close_by = now;
	if (p->state == WIRE_PEER_CLOSING || p->state == WIRE_PEER_CLOSED)
		return;
	a = p->state == WIRE_PEER_OPEN ? wire_aside(ctx, p) : NULL;
	if (!a) { /* nobody to say goodbye to */
		wire_peer_end(ctx, p, WIRE_CLOSED_LOCAL);
		return;
	}
	p->state = WIRE_PEER_CLOSING;
	a->hellos = 0;
	a->hello_at = now;
	a->close_by = now + WIRE_CLOSE_MS;
}

void wire_peer_end(struct wire_ctx *ctx, struct wire_peer *p, enum wire_reason reason)
{
	if (p->state == WIRE_PEER_CLOSED)
		return;
	p->state = WIRE_PEER_CLOSED;
	p->reason = (uint8_t)reason;
	p->tell_closed = 1;
	wire_outq_clear(ctx, &p->unreliable);
	wire_outq_clear(ctx, &p->reliable);
	wire_rudp_fini(ctx, &p->rudp);
	if (p->aside)
		aside_free(ctx, p);
}

void wire_peer_tell(struct wire_peer *p, const struct wire_events *ev)
{
	if (!p->tell_closed)
		return;
	p->tell_closed = 0;
	if (ev->closed)
		ev->closed(ev->arg, (enum wire_reason)p->reason);
}

bool wire_peer_drained(const struct wire_peer *p)
{
	return !p->unreliable && !p->reliable && wire_rudp_idle(&p->rudp);
}

uint32_t wire_hello_interval(const struct wire_ctx *ctx, unsigned hellos)
{
	uint32_t most = ctx->limits.retry_interval_ms < WIRE_RUDP_RTO_MAX ? ctx->limits.retry_interval_ms : WIRE_RUDP_RTO_MAX;
	uint32_t t = HELLO_MS;

	while (hellos-- > 1 && t < most)
		t += t / 2;
	return t < most ? t : most;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t wire_peer_due(const struct wire_ctx *ctx, const struct wire_peer *p)
{
	const struct wire_aside *a = p->aside;
	uint64_t due;

	if (p->state == WIRE_PEER_CLOSED)
		return p->tell_closed ? 0 : WIRE_NEVER;
	if (wire_peer_has_output(ctx, p))
		return 0;
	due = sooner(p->last_valid + ctx->limits.ttl_ms, wire_rudp_due(&p->rudp));
	if (p->unreliable && wire_peer_may_send(ctx, p))
		due = sooner(due, wire_outq_since(p->unreliable) + ctx->limits.flush_ms);
	if (p->state == WIRE_PEER_OPENING)
		due = sooner(due, a ? a->hello_at : 0);
	if (p->state == WIRE_PEER_CLOSING)
		due = sooner(due, a->hellos ? a->hello_at : a->close_by);
	if (p->state == WIRE_PEER_LEFT)
		due = sooner(due, p->last_valid + WIRE_LEFT_MS);
	if (a && a->mark)
		due = sooner(due, a->marked_at + WIRE_MARK_MS);
	return due;
}

/* What the connection ends of, 0 while it lives. */
static enum wire_reason end_of(struct wire_ctx *ctx, const struct wire_peer *p, uint64_t now, unsigned resends)
{
	const struct wire_limits *l = &ctx->limits;
	const struct wire_aside *a = p->aside;

	if (a && a->mark && now - a->marked_at >= WIRE_MARK_MS)
		return (enum wire_reason)a->mark;
	if (now >= p->last_valid + l->ttl_ms)
		return WIRE_CLOSED_SILENCE;
	if (resends >= l->max_retry && now >= p->last_valid + 3ull * l->retry_interval_ms)
		return WIRE_CLOSED_RETRY;
	if (p->state == WIRE_PEER_CLOSING && a->hellos >= WIRE_FIN_TRIES && now >= a->hello_at)
		return WIRE_CLOSED_LOCAL;
	if (p->state == WIRE_PEER_LEFT && now - p->last_valid >= WIRE_LEFT_MS)
		return WIRE_CLOSED_LOCAL;
	return 0;
}

void wire_peer_tick(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, const struct wire_events *ev)
{
	enum wire_reason reason;
	struct wire_aside *a;
	unsigned resends = 0;

	if (p->state != WIRE_PEER_CLOSED) {
		resends = wire_rudp_tick(ctx, &p->rudp, now);
		reason = end_of(ctx, p, now, resends);
		if (reason)
			wire_peer_end(ctx, p, reason);
	}
	/* Reliable data is not acknowledged before the server heard our answer to its SYN, which may have been lost: from the
	 * second re-send on it goes along. */
	if (p->unsure && resends > 1 && p->state == WIRE_PEER_OPEN && wire_rudp_has_next(ctx, &p->rudp)) {
		a = wire_aside(ctx, p);
		if (a && !a->n_acks)
			a->acks[a->n_acks++] = wire_head(p->rudp.rx_first, WIRE_ACK);
	}
	if (p->state == WIRE_PEER_OPENING && !p->aside) {
		a = wire_aside(ctx, p);
		if (a)
			a->hello_at = now;
	}
	wire_aside_trim(ctx, p, now);
	wire_peer_tell(p, ev);
}

bool wire_peer_has_left(const struct wire_peer *p)
{
	return p->state == WIRE_PEER_LEFT;
}

bool wire_peer_is_open(const struct wire_peer *p)
{
	return p->state == WIRE_PEER_OPEN;
}

uint64_t wire_peer_waits(const struct wire_peer *p)
{
	struct wire_rudp_at at = { NULL, 0 };
	const struct wire_block *b = wire_rudp_walk(&p->rudp, &at);

	return b && b->first_at ? b->first_at : WIRE_NEVER;
}

uint64_t wire_peer_heard(const struct wire_peer *p)
{
	return p->last_valid;
}

uint32_t wire_peer_rtt_ms(const struct wire_peer *p)
{
	return p->rudp.srtt8 ? (p->rudp.srtt8 + 7u) / 8u : 0;
}

const struct dk_addr *wire_peer_addr(const struct wire_peer *p)
{
	return &p->addr;
}
