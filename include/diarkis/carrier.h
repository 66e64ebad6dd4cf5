/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "carrier": messages between nodes. A node is named by its address; what is sent there is a command row of the
 * receiving node, called with origin DK_FROM_NODE and call->from. The plugin mesh provides it over sealed TCP and UDP links;
 * other providers pass the same contract suite (tests/contract/carrier_contract.h).
 *
 * Rows that only nodes may call are declared with DK_INTERNAL and version DK_VER_NODE; their numbers 0...10000 belong to the
 * modules that come with the product, where the reference's mesh commands have theirs, applications take those above. Any other
 * row may be called too, unless it wants a user.
 *
 * Promises. A reliable message or request reaches its handler at most once, and messages from one node to another in the order
 * in which they were sent; only what a relay of send_many passes on has no order with the rest. While both nodes live and the way
 * between them is open it arrives; when it could not be handed over within reliableRetryTimeout it is dropped, counted, and a
 * request ends with an error. Unreliable messages may be lost, doubled never. A message to the node itself is dispatched too, in a
 * later turn. call->from is the name of the node that called, whatever address it was spoken to at.
 *
 * Guests are tools that have the key and are no nodes: they may call rows of version DK_VER_NODE that operators may call
 * (DK_ADMIN), with origin DK_FROM_ADMIN, and get answers of one datagram.
 */
#ifndef DIARKIS_CARRIER_H
#define DIARKIS_CARRIER_H

#include <diarkis/command.h>
#include <diarkis/service.h>
#include <diarkis/signal.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_CARRIER_NAME "carrier"
#define DK_CARRIER_MAJOR 1
#define DK_CARRIER_MINOR 0
#define DK_CARRIER_TYPE struct dk_carrier

#define DK_CARRIER_MESSAGE_MAX (10u << 20) /* bytes of a reliable message, a request or an answer */
#define DK_CARRIER_DATAGRAM_MAX 1100 /* bytes of an unreliable message */

/* The end of a request. err 0: the other node answered; status is enum dk_status, body valid until this returns. err < 0:
 * -ETIMEDOUT (no answer in time; the other node may have done it), -EHOSTUNREACH (never handed over), -ECONNRESET (its node is
 * gone or began anew). Called exactly once, unless the request was cancelled or its plugin stopped: then never. */
typedef void dk_carrier_done_fn(void *self, void *arg, int err, int status, dk_slice body);

/* Why a link is spoken of: it is up with this boot of that node, or down. */
struct dk_carrier_link {
	struct dk_addr addr;
	uint64_t boot;
	bool up;
};
/* A question: may a packet of a node with that address be looked at? Asked once per link, after its seal was found good. */
struct dk_carrier_stranger {
	struct dk_addr addr;
	uint64_t boot;
	bool guest; /* a tool: it may ask, but is no node */
};

struct dk_carrier {
	struct dk_service base;
	struct dk_addr addr; /* of this node; family 0 before start */
	uint64_t boot; /* this run of this node: random, not 0, set in init */

	/* What the carrier's configuration says of the registry: the reference keeps these keys in the mesh's file.
	 * Names or addresses, with or without a port; n 0 = none. */
	const char *const *registries;
	size_t registry_n;
	uint16_t registry_port; /* where a name says none */
	uint32_t registry_ttl_s; /* for how long a resolved name is believed */

	DK_SIGNAL(struct dk_carrier_link) link;
	DK_FILTER(struct dk_carrier_stranger) stranger; /* asked only with strictCheckForExternal */

	/* how: DK_RELIABLE or DK_UNRELIABLE. The payload is copied. Returns 0, DK_TOO_LONG, DK_FULL (the link's queue is:
	 * broadcasts are refused before requests) or -EINVAL (no address). */
	int (*send)(struct dk_carrier *c, const struct dk_addr *to, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how);
	/* To many, as a tree: at most `fanout` (0 = the configured number) direct targets, each passes it on to its share. Returns
	 * how many direct targets took it. This node itself is passed over. */
	size_t (*send_many)(struct dk_carrier *c, const struct dk_addr *to, size_t n, unsigned fanout, uint8_t ver, uint16_t cmd,
			    dk_slice payload, unsigned how);
	/* done runs on self. timeout_ms 0 = reliableRetryTimeout; the deadline travels with the request. Returns 0, DK_TOO_LONG,
	 * DK_FULL or -EINVAL; done is called only after 0, never before this returns. ret_request may be NULL. */
	int (*request)(struct dk_carrier *c, void *self, const struct dk_addr *to, uint8_t ver, uint16_t cmd, dk_slice payload,
		       uint32_t timeout_ms, dk_carrier_done_fn *done, void *arg, dk_id *ret_request);
	/* done will not be called; the other node is told to drop it if it can. Stale handles are fine. */
	void (*cancel)(struct dk_carrier *c, dk_id request);

	/* When the last valid packet of that node came, on dk_now()'s clock; 0 = never in this boot of it. */
	uint64_t (*heard)(struct dk_carrier *c, const struct dk_addr *node);
	/* The boot that a link was made with; 0 = none. */
	uint64_t (*boot_of)(struct dk_carrier *c, const struct dk_addr *node);
	/* The node is gone for good: its link closes, open requests end with -ECONNRESET. */
	void (*forget)(struct dk_carrier *c, const struct dk_addr *node);
	/* Listens for unreliable messages on one more UDP port, never scanned: where a registry is found. Answers to what comes
	 * there leave from there. Returns 0 or <0 (-EADDRINUSE). */
	int (*serve)(struct dk_carrier *c, const struct dk_addr *bind);
};

#ifdef __cplusplus
}
#endif

#endif
