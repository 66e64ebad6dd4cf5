/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the UDP connection share: peer.c (life, timers), peer_in.c (what comes), peer_out.c (what goes),
 * proof.c (who is where).
 */
#ifndef WIRE_PEER_PRIV_H
#define WIRE_PEER_PRIV_H

#include "wire/frame.h"
#include "wire/peer.h"
#include "wire/split.h"

#define WIRE_ACKS 64 /* waiting acknowledgements; more are left to the other end's re-send */
#define WIRE_REPLIES 4
#define WIRE_MARK_MS 2000 /* FIN: how long the connection stays to be resumed */
#define WIRE_MARK_GRACE_MS 250 /* frames that FIN overtook do not resume it */
#define WIRE_WRONG_MAX 8 /* wrong handshake answers ... */
#define WIRE_WRONG_MS 10000 /* ... in this time, then none is looked at */
#define WIRE_RESTART_MS 3000 /* how long a proven SYN waits for an authentic frame */
#define WIRE_SETTLE_MS 1000 /* SYNs this soon after opening are repeats of the one that opened it */
#define WIRE_CHALLENGE_MS 100
#define WIRE_CLOSE_MS 1000 /* how long closing waits for acknowledgements before it says FIN */
#define WIRE_FIN_TRIES 5
#define WIRE_LEFT_MS 1000 /* how long a connection that goes on elsewhere repeats acknowledgements that were lost */

/* Four bytes to an address that need not be the bound one. */
struct wire_reply {
	struct dk_addr to;
	uint32_t head; /* sequence and, in the top byte, flag */
};

/* What a connection needs now and then. */
struct wire_aside {
	uint16_t n_acks;
	uint8_t n_replies;
	uint8_t wrong; /* handshake answers that were wrong since wrong_since */
	uint8_t mark; /* enum wire_reason: the other end said FIN, or the server said kill; 0 = no */
	uint8_t hellos; /* SYNs or FINs sent */
	uint64_t wrong_since, marked_at;
	uint64_t hello_at; /* when the next SYN or FIN is due */
	uint64_t close_by; /* closing: FIN goes out at the latest */
	uint64_t syn_until; /* server: the bound address sent a SYN on the open connection; its answers are looked at */
	uint64_t restart_until; /* server: restart_addr answered a SYN and waits for its first authentic frame */
	uint64_t challenge_after; /* server: no SYN is sent unasked before */
	struct wire_split_set *set; /* the message that is being put together */
	struct dk_addr restart_addr;
	uint32_t restart_seq;
	uint32_t acks[WIRE_ACKS]; /* as wire_reply.head */
	struct wire_reply replies[WIRE_REPLIES];
};

/* What a block that is held is. */
enum wire_held { WIRE_HELD_FRAMES, WIRE_HELD_CHUNK };
/* The next frame of a block of frames; false at its end. Begin with *at at its data. */
bool wire_held_next(const struct wire_block *b, const uint8_t **at, struct dk_frame *ret_frame);

/* NULL: no memory. */
struct wire_aside *wire_aside(struct wire_ctx *ctx, struct wire_peer *p);
/* Gives it back when nothing is in it. */
void wire_aside_trim(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now);

static inline uint32_t wire_head(uint32_t seq, enum wire_flag flag)
{
	return (seq & 0xffffff) | (uint32_t)flag << 24;
}

static inline void wire_head_write(uint8_t *p, uint32_t head)
{
	p[0] = (uint8_t)head;
	p[1] = (uint8_t)(head >> 8);
	p[2] = (uint8_t)(head >> 16);
	p[3] = (uint8_t)(head >> 24);
}

static inline struct wire_codec wire_codec_of(const struct wire_peer *p)
{
	struct wire_codec k = { p->sid, p->encrypted ? &p->seal : NULL };

	return k;
}

/* Longest message that may be put together or sent. */
static inline size_t wire_message_max(const struct wire_ctx *ctx)
{
	return WIRE_FRAME_UP + wire_seal_len(ctx->limits.max_frame);
}

/* The connection is over and gives its memory back; closed() is told by the next wire_peer_tell(). */
void wire_peer_end(struct wire_ctx *ctx, struct wire_peer *p, enum wire_reason reason);
/* Calls closed() if it is due: the last thing that recv and tick do. */
void wire_peer_tell(struct wire_peer *p, const struct wire_events *ev);
/* The oldest unreliable frame may leave: the address is proven, or has sent enough itself. */
bool wire_peer_may_send(const struct wire_ctx *ctx, const struct wire_peer *p);
/* Something can be written now, without waiting for time or the other end. */
bool wire_peer_has_output(const struct wire_ctx *ctx, const struct wire_peer *p);
uint32_t wire_hello_interval(const struct wire_ctx *ctx, unsigned hellos);

/*
 * The number that proves an address: keyed hash of sid, address and a time slot. An answer to a SYN lies below 2^23, and the
 * server's sequences start there; a challenge to an address that an open connection seems to have moved to lies above.
 */
enum wire_proof { WIRE_PROOF_SYN, WIRE_PROOF_MOVE };
uint32_t wire_proof_make(const struct wire_ctx *ctx, const struct wire_peer *p, const struct dk_addr *at, enum wire_proof kind,
			 uint64_t now);
/* Whether seq is what was sent there in this slot of time or the one before. */
bool wire_proof_check(const struct wire_ctx *ctx, const struct wire_peer *p, const struct dk_addr *at, enum wire_proof kind,
		      uint64_t now, uint32_t seq);

#endif
