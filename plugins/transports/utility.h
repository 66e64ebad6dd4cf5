/* SPDX-License-Identifier: Apache-2.0 */
/* Version 0: the frames that concern a connection alone. Shared by the transports that speak the wire's frames. */
#ifndef TRANSPORTS_UTILITY_H
#define TRANSPORTS_UTILITY_H

#include <diarkis/plugin.h>
#include <diarkis/transport.h>

#include "wire/wire.h"

/* What a frame of version 0 asks of the transport. */
enum utility {
	UTILITY_NONE, /* not the transport's business: goes up */
	UTILITY_REPLY, /* *ret_reply is to be sent back, unreliably */
	UTILITY_CLOSE, /* the client says goodbye */
	UTILITY_BAD /* malformed: count and drop */
};

#define UTILITY_REPLY_MAX 1024

struct utility_peer {
	void *self; /* the transport's state */
	const struct dk_peer_sink *sink;
	uint64_t user;
	dk_id peer;
	const struct dk_addr *addr; /* told to the client; NULL: hidden */
};

/* buf of UTILITY_REPLY_MAX bytes holds the reply's payload. */
enum utility utility_frame(const struct utility_peer *p, const struct dk_frame *frame, uint8_t *buf, struct dk_frame *ret_reply);

/* What a wire context needs of the transport that makes it; its limits are the transport's to choose. */
struct wire_ctx_opts utility_wire(void *self);

/* The address to bind, from the options address, nic and port. 0, or <0 after logging. */
int utility_bind_address(void *self, const char *address, const char *nic, uint16_t port, struct dk_addr *ret_addr);
/* An address as clients are told it, without the port. */
void utility_host(const struct dk_addr *a, char buf[DK_ADDR_TEXT]);
bool utility_is_loopback(const struct dk_addr *a);
/* True for loopback and private addresses. */
bool utility_is_private(const struct dk_addr *a);
/* For configure: a warning when address is public, since the suite legacy is what is spoken there. */
void utility_caution_public(struct dk_report *rep, const char *address);

#endif
