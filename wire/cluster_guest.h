/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tool's side of the cluster: it asks one node one thing at a time, over UDP, and is no node. Bytes and time in, bytes out; the
 * socket and the clock are the caller's:
 *
 *   wire_guest_call(g, now, 254, 1020, payload, 1000);
 *   while (wire_guest_result(g, &status, &body) == WIRE_GUEST_WAITS) {
 *   	while ((n = wire_guest_out(g, now, buf)))
 *   		send(buf, n);
 *   	wait for a datagram until wire_guest_due(g); wire_guest_in(g, now, datagram) if there was one, wire_guest_tick(g, now)
 *   }
 *
 * What got lost is sent again; the node runs a call once all the same, and says its answer again. Without an answer nobody knows
 * whether it ran.
 */
#ifndef WIRE_CLUSTER_GUEST_H
#define WIRE_CLUSTER_GUEST_H

#include "wire/cluster.h"

#define WIRE_GUEST_PAYLOAD (WIRE_PACKET_PLAIN - 4 - 8 - 4 - 3) /* bytes of a call; an answer is one datagram too */

enum wire_guest_state {
	WIRE_GUEST_IDLE, /* nothing was asked */
	WIRE_GUEST_WAITS,
	WIRE_GUEST_ANSWERED,
	WIRE_GUEST_SILENT /* its time is over; wire_guest_reached() tells whether the node was there at all */
};

struct wire_guest;
/* opts: keys, name and random; boot and addr are not looked at. Returns 0 or <0 as wire_cluster_new(). */
int wire_guest_new(const struct wire_cluster_opts *opts, struct wire_guest **ret_guest);
void wire_guest_free(struct wire_guest *g); /* NULL is fine */
/* Asks. now and timeout in ms, of any clock that only goes forward. Returns 0, -EMSGSIZE, -EBUSY (it waits for an answer). The
 * contact of an earlier call is used again. */
int wire_guest_call(struct wire_guest *g, uint64_t now, uint8_t ver, uint16_t cmd, dk_slice payload, uint32_t timeout);
/* The next datagram to send: its length, at most WIRE_PACKET_MAX; 0 = none for now. */
size_t wire_guest_out(struct wire_guest *g, uint64_t now, uint8_t *buf);
/* What came. Whatever is not from the node changes nothing. */
void wire_guest_in(struct wire_guest *g, uint64_t now, dk_slice datagram);
void wire_guest_tick(struct wire_guest *g, uint64_t now);
uint64_t
wire_guest_due(const struct wire_guest *g); /* when to tick or ask for output next; UINT64_MAX = not for a reason of its own */
/* ANSWERED: status is enum dk_status, body is valid until the next call. */
enum wire_guest_state wire_guest_result(const struct wire_guest *g, int *ret_status, dk_slice *ret_body);
/* True once the node has proven to have the key. */
bool wire_guest_reached(const struct wire_guest *g);

#endif
