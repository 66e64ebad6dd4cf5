/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#ifndef CLIENT_PRIV_H
#define CLIENT_PRIV_H

#include <diarkis/client.h>

#include "wire/outq.h"
#include "wire/peer.h"
#include "wire/stream.h"

struct dkc_ctx {
	struct wire_ctx *wire;
	struct wire_limits limits;
	struct dkc_ctx_opts opts;
};

/*
 *  IDLE --connect--> WANTED --dkc_wants_dial--> DIALING --dkc_dialed--> OPENING --server answers--> UP
 *    ^                  ^                                                                           |
 *    |                  '---- own reliable frames acknowledged, or 200 ms ---- LEAVING <--instruction'
 *    '-- any end
 */
enum client_state { CLIENT_IDLE = 0, CLIENT_WANTED, CLIENT_DIALING, CLIENT_OPENING, CLIENT_UP, CLIENT_LEAVING };

struct pending {
	uint64_t deadline; /* us; DKC_NEVER; 0: counts from the next tick, which knows the time */
	dkc_reply_fn *fn; /* NULL: given up; swallows its answer should that still come */
	void *arg;
	uint16_t cmd;
	uint8_t ver;
};

struct dkc_socket; /* poll.c */

struct dkc_client {
	struct dkc_ctx *ctx;
	dkc_event_fn *event;
	void *arg;
	uint64_t now; /* us: the last time that was told */
	uint8_t state;
	bool wire_up; /* peer or stream is initialised; also for a while after the end, so that the goodbye gets out */
	bool again; /* a former connection stood: the next one is a continuation */
	bool offline_told;
	uint8_t ending; /* enum dkc_reason: end as soon as the wire is not on the stack any more */
	uint8_t depth; /* > 0: inside the wire's callbacks */
	union {
		struct wire_peer peer;
		struct wire_stream stream;
	} wire;
	struct dk_addr server;
	uint64_t echo_at, echo_again; /* us: the next one; the next repetition of one that was not answered */
	uint64_t until; /* us: DIALING gives up, LEAVING waits no longer */
	uint64_t heard_at; /* us; TCP */
	uint32_t echo_ms, request_ms, rtt_us;
	struct wire_outq *held; /* frames for a connection that does not stand; status 1 = reliable */
	size_t held_bytes, held_max;
	struct pending *pending;
	uint32_t pending_n, pending_cap;
	uint32_t delivered; /* events and answers, ever; wraps */
	uint8_t *rest; /* TCP: the beginning of a frame */
	size_t rest_n, rest_cap;
	struct dkc_socket *socket; /* of dkc_poll() */
	char *client_key;
	struct dkc_endpoint to;
};

static inline bool client_is_udp(const struct dkc_client *c)
{
	return c->to.protocol != DKC_TCP;
}

/* client.c */
void client_send_key(struct dkc_client *c);
void client_start_echo(struct dkc_client *c); /* sends one, from which the others count */
void client_send_held(struct dkc_client *c); /* as far as the wire takes it */
int client_send_frame(struct dkc_client *c, const struct dk_frame *f, unsigned how);

/* events.c */
void client_emit(struct dkc_client *c, const struct dkc_event *e);
struct wire_events client_events(struct dkc_client *c);

/* request.c */
bool client_pending_answer(struct dkc_client *c, const struct dk_frame *f); /* false: nobody waits for it */
void client_pending_expire(struct dkc_client *c);
void client_pending_clear(struct dkc_client *c); /* all are told that no answer comes */
uint64_t client_pending_due(const struct dkc_client *c);

/* poll.c */
void client_socket_free(struct dkc_client *c);

#endif
