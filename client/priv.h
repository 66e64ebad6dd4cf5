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
	struct {
		uint64_t moves, sent_again, takeovers, given_up, rooms_lost;
	} n;
};

/*
 *  IDLE --connect--> WANTED --dkc_wants_dial--> DIALING --dkc_dialed--> OPENING --server answers--> UP
 *    ^                  ^                                                                           |
 *    |                  |---- own reliable frames acknowledged, or half a second ---- LEAVING <--instruction
 *    |                  '---- TCP: the next backup ---- SEARCHING <-------------- silent, in a room with backups
 *    '-- any end                                           '---- UDP: a backup, or the node itself, answers --> UP
 */
enum client_state { CLIENT_IDLE = 0, CLIENT_WANTED, CLIENT_DIALING, CLIENT_OPENING, CLIENT_UP, CLIENT_LEAVING, CLIENT_SEARCHING };

enum client_asked { CLIENT_ASKED = 1, CLIENT_FOLLOWS };

struct pending {
	uint64_t deadline; /* us; DKC_NEVER; 0: counts from the next tick, which knows the time */
	dkc_reply_fn *fn; /* NULL: given up; swallows its answer should that still come */
	void *arg;
	uint16_t cmd;
	uint8_t ver;
	bool held; /* its frame has not left yet */
};

#define CLIENT_BACKUPS 2
#define CLIENT_HELD_COST 16 /* what a held frame is charged beside its payload */

/* The room that this client is in. On the heap: most of a load generator's clients are in none. */
struct seat {
	struct dk_id52 id, former, first; /* as it is called now, was before that, and was called when the client came */
	bool owner;
	bool watched; /* the server told of backups, be it none: the cluster's rule of silence holds */
	uint8_t backup_n;
	struct {
		uint16_t port;
		char host[DKC_HOST_MAX + 1];
	} backup[CLIENT_BACKUPS];
};

/* The search for a node that took the room over. */
struct search {
	uint8_t back; /* the state to go back to when the node answers after all; UDP */
	uint8_t next; /* which backup comes next */
	uint8_t stay; /* for how many probes more this one is tried */
	bool wanted; /* UDP: dkc_wants_try() has not told yet */
	bool peer_up, answered, failed; /* UDP: of the try */
	bool spoke, longer; /* a backup is there that does not know the client; time was added for it */
	size_t at_risk; /* frames that the node may or may not have had */
	struct dkc_endpoint from; /* TCP: the node itself */
	struct dkc_endpoint to; /* UDP: what is tried */
	struct dk_addr server;
	struct wire_peer peer;
};

struct dkc_socket; /* poll.c */

struct dkc_client {
	struct dkc_ctx *ctx;
	dkc_event_fn *event;
	bool (*whole)(void *arg, uint8_t ver, uint16_t cmd);
	void *arg;
	uint64_t now; /* us: the last time that was told */
	uint8_t state;
	bool wire_up; /* peer or stream is initialised; also for a while after the end, so that the goodbye gets out */
	bool again; /* a former connection stood: the next one is a continuation */
	bool offline_told;
	bool local_told; /* an echo with the socket's address was answered */
	bool follow;
	uint16_t said; /* the server's goodbye: enum dkc_said */
	uint8_t asked_away; /* the server was asked for another node: enum client_asked */
	bool joins; /* the room that is being created is to be joined */
	uint8_t joining; /* join requests under way: their answers are no news of a migration */
	uint8_t half_close; /* TCP, leaving: 1 = the driver is to shut down its side, 2 = was told so */
	uint8_t ending; /* enum dkc_reason: end as soon as the wire is not on the stack any more */
	uint8_t depth; /* > 0: inside the wire's callbacks */
	union {
		struct wire_peer peer;
		struct wire_stream stream;
	} wire;
	struct dk_addr server, local;
	uint64_t echo_at, echo_again; /* us: the next one; the next repetition of one that was not answered */
	uint64_t until; /* us: DIALING gives up, LEAVING waits no longer */
	uint64_t heard_at; /* us; TCP */
	uint32_t echo_ms, request_ms, rtt_us;
	/* silence: search.c */
	bool silent;
	uint16_t probes_left;
	uint32_t quiet_ms, probe_ms, search_ms;
	uint64_t heard_then, probe_at; /* us */
	uint64_t refused_at; /* us; UDP: when the host last said that nobody listens there */
	struct seat *seat; /* NULL: in no room */
	struct search *search; /* NULL: there is none */
	struct wire_outq *held; /* frames for a connection that does not stand; status 1 = reliable */
	size_t held_bytes, held_max;
	struct pending *pending;
	uint32_t pending_n, pending_cap;
	uint32_t delivered; /* events and answers, ever; wraps */
	uint8_t *rest; /* TCP: the beginning of a frame */
	size_t rest_n, rest_cap;
	struct dkc_socket *socket; /* of dkc_poll() */
	char *client_key, *uid, *said_text;
	struct dkc_endpoint to;
};

static inline bool client_is_udp(const struct dkc_client *c)
{
	return c->to.protocol != DKC_TCP;
}

static inline uint64_t client_sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* client.c */
void client_wire_down(struct dkc_client *c);
void client_send_key(struct dkc_client *c);
void client_send_echo(struct dkc_client *c);
void client_start_echo(struct dkc_client *c); /* sends one, from which the others count */
void client_send_held(struct dkc_client *c); /* as far as the wire takes it */
int client_send_frame(struct dkc_client *c, const struct dk_frame *f, unsigned how);
void client_end(struct dkc_client *c, enum dkc_reason reason);
void client_settle(struct dkc_client *c); /* after the wire's callbacks: what they found out is done now */

/* events.c */
void client_emit(struct dkc_client *c, const struct dkc_event *e);
void client_opened(struct dkc_client *c); /* UDP: the server answered */
struct wire_events client_events(struct dkc_client *c);

/* endpoint.c */
void client_addr_text(const struct dk_addr *a, char buf[DK_ADDR_TEXT]);

/* stream.c */
void client_feed_stream(struct dkc_client *c, dk_slice bytes, const struct wire_events *ev); /* may set `ending` */

/* move.c */
bool client_address_parse(dk_str address, char host[DKC_HOST_MAX + 1], uint16_t *ret_port); /* "host:port", "[v6]:port" */
void client_leave(struct dkc_client *c, dk_str address);
void client_maybe_left(struct dkc_client *c); /* goes when it may; nothing more came out of the wire object */
void client_hold_unsent(struct dkc_client *c); /* what the wire has not sent yet waits with the rest, before it */
void client_follow(struct dkc_client *c); /* the node is about to stop */

/* seat.c */
bool client_seat_frame(struct dkc_client *c, const struct dk_frame *f); /* true: it was for the client alone */
bool client_seat_push(struct dkc_client *c, uint16_t cmd, dk_slice item); /* the same for a push of version 1 */
void client_seat_sent(struct dkc_client *c, const struct dk_frame *f);
void client_seat_ask(struct dkc_client *c); /* for the room's backups */
void client_seat_migrate(struct dkc_client *c);
void client_seat_free(struct dkc_client *c);
const struct dk_id52 *client_seat_id(const struct dkc_client *c, const struct dk_id52 *room); /* as it is called now */

/* search.c */
void client_watch(struct dkc_client *c);
bool client_hushes(const struct dkc_client *c); /* nothing new is to be said now */
uint64_t client_watch_due(const struct dkc_client *c);
bool client_broke(struct dkc_client *c, enum dkc_reason reason); /* true: it is taken care of */
void client_listen(struct dkc_client *c); /* something came: was it a sign of life? */
void client_back(struct dkc_client *c); /* the node was heard */
void client_found(struct dkc_client *c); /* connected, whatever the search was for */
void client_search_free(struct dkc_client *c);

/* request.c */
bool client_pending_answer(struct dkc_client *c, const struct dk_frame *f); /* false: nobody waits for it */
void client_pending_expire(struct dkc_client *c);
void client_pending_clear(struct dkc_client *c); /* all are told that no answer comes */
void client_pending_lost(struct dkc_client *c); /* those whose frame has left are */
void client_pending_hold(struct dkc_client *c, const struct dk_frame *f); /* the newest such request is held after all */
void client_pending_sent(struct dkc_client *c, const struct dk_frame *f); /* the oldest one that was held has left */
uint64_t client_pending_due(const struct dkc_client *c);

/* poll.c */
void client_socket_free(struct dkc_client *c);

#endif
