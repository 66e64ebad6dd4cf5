/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition of struct wire_peer, for those who embed it. Its members are for wire/peer*.c only; everybody else uses the
 * functions of wire.h. An idle connection is this and nothing more: queues, windows and what is rare (acknowledgements to be
 * sent, handshakes, a message being put together) are borrowed from the context while they hold something.
 */
#ifndef WIRE_PEER_H
#define WIRE_PEER_H

#include "wire/outq.h"
#include "wire/rudp.h"
#include "wire/seal.h"

enum wire_peer_state {
	WIRE_PEER_NEW, /* server: the address is not proven; client: not opened */
	WIRE_PEER_OPENING, /* client: SYN is on its way */
	WIRE_PEER_OPEN,
	WIRE_PEER_CLOSING, /* closed by us, FIN not acknowledged yet */
	WIRE_PEER_LEFT, /* goes on elsewhere: only what was delivered is still acknowledged */
	WIRE_PEER_CLOSED,
};

struct wire_aside; /* peer_priv.h */

struct wire_peer {
	/* What every packet looks at comes first. */
	uint8_t sid[WIRE_SID_LEN];
	struct dk_addr addr; /* bound; proven when `proven` */
	uint8_t role : 1;
	uint8_t encrypted : 1;
	uint8_t proven : 1;
	uint8_t glues : 1; /* the other end was seen to glue: it may get acknowledgements glued */
	uint8_t tell_closed : 1; /* closed() is due */
	uint8_t unsure : 1; /* client: nothing tells yet that the server heard our answer to its SYN */
	uint8_t by_ack : 1; /* client: an ACK opened it, which may have been for who spoke from our address before */
	uint8_t state; /* enum wire_peer_state */
	uint8_t epoch; /* server: how often it was opened; part of the address proof */
	uint8_t reason; /* enum wire_reason, when closed */
	uint64_t last_valid; /* when the last authentic datagram came */
	struct wire_outq *unreliable, *reliable; /* what waits; NULL = nothing */
	struct wire_aside *aside; /* NULL: nothing rare going on */
	struct wire_rudp rudp;
	uint32_t credit; /* server, address not proven: bytes that may be sent to it */
	uint16_t split_id; /* of the next message that is cut */
	uint16_t opened_s; /* when it was opened, whole seconds, low bits */
	struct wire_seal seal;
};

/* Nothing waits, nothing is on its way, nothing rare is going on: there is no output, and only silence is timed. */
static inline bool wire_peer_is_calm(const struct wire_peer *p)
{
	return !p->unreliable && !p->reliable && !p->aside && !p->rudp.tx;
}

#endif
