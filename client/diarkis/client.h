/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libdiarkis-client: a game client's end of the wire. Three ways to drive one and the same `struct dkc_client`:
 *
 *   by hand       dkc_feed(), dkc_tick(), dkc_next_datagram() or dkc_next_bytes(): bytes and time in, bytes out. No sockets, no
 *                 clock, no threads; for an engine with a network layer of its own, and for load generators.
 *   dkc_poll()    one non-blocking socket per client and one call per frame of the game.
 *   libuv         <diarkis/client_uv.h>, in libdiarkis-client-uv.
 *
 * The way in: ask the HTTP server for an endpoint (dkc_http_get() or any other means), dkc_endpoint_parse() the answer,
 * dkc_client_new(), dkc_connect(). Everything that happens then arrives through one function, as events.
 *
 * What is sent before the connection stands, or while it moves to another node, waits and goes out in order afterwards.
 *
 * A client follows its room: when the server sends it to another node it goes there, and when its node dies it looks for a node
 * that took the room over. Both need nothing from the program; the events tell of it.
 *
 * Nothing here is global and nothing is locked: a context and its clients belong to one thread at a time. Times are
 * microseconds of one monotonic clock that the caller owns; dkc_now() is the one that dkc_poll() uses.
 */
#ifndef DIARKIS_CLIENT_H
#define DIARKIS_CLIENT_H

#include <diarkis/cursor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DKC_NEVER UINT64_MAX
#define DKC_SLOT 1400 /* capacity that dkc_next_datagram() needs */

/* What many clients share: ciphers, memory, limits. About 100 KiB. */
struct dkc_ctx;
struct dkc_client;

/* Outcomes; functions name those that they return. */
enum dkc_outcome {
	DKC_FULL = 1, /* the output, or the table of open requests, is full: send less, or wait for acknowledgements */
	DKC_GONE = 2, /* the connection has ended */
	DKC_TOO_LONG = 3, /* over one datagram and unreliable, or over the largest frame */
	DKC_MALFORMED = 4 /* not what was expected; a sentence says how */
};

/* ---- endpoint ---- */

enum dkc_protocol { DKC_ANY = 0, DKC_UDP, DKC_TCP };

#define DKC_HOST_MAX 255

/* Where to connect, and as whom. Holds secrets: the keys of the connection. */
struct dkc_endpoint {
	enum dkc_protocol protocol;
	uint16_t port;
	char host[DKC_HOST_MAX + 1]; /* a name or an address, without brackets */
	struct dk_credential cred;
};

/*
 * Reads the endpoint API's answer, in its current form ("serverHost" and so on) and in the v1 form ("UDP": "host:port").
 * protocol: which one is meant, since servers may name their type as they like; DKC_ANY = TCP when serverType says "TCP", else UDP.
 * Returns 0 or DKC_MALFORMED, then with a sentence in why (which may be NULL with cap 0).
 */
DK_API int dkc_endpoint_parse(dk_str json, enum dkc_protocol protocol, struct dkc_endpoint *ret_endpoint, char *why, size_t cap);

/* ---- context ---- */

struct dkc_ctx_opts {
	uint32_t ttl_ms; /* silence after which a connection is given up */
	uint32_t retry_interval_ms, max_retry; /* of reliable frames */
	uint32_t send_interval_ms; /* unreliable frames wait up to this long for company; below 10 = not at all */
	uint32_t max_frame; /* largest frame that is accepted */
	int (*random)(void *arg, void *buf, size_t n); /* returns 0 or < 0; NULL = the system's */
	void *arg;
};
DK_API void dkc_ctx_opts_default(struct dkc_ctx_opts *opts);
/* opts NULL = the defaults. Returns 0 or < 0. */
DK_API int dkc_ctx_new(const struct dkc_ctx_opts *opts, struct dkc_ctx **ret_ctx);
/* After the last of its clients. NULL is fine. */
DK_API void dkc_ctx_free(struct dkc_ctx *ctx);

struct dkc_stats { /* of all clients of a context, since it was made */
	uint64_t datagrams_in, datagrams_out, frames_in, frames_out, resends, dropped;
	uint64_t moves; /* to another node, as the server said */
	uint64_t sent_again; /* reliable frames that a move repeated at the new node, not knowing whether the old one had them */
	uint64_t takeovers; /* a room's backup answered in place of its node */
	uint64_t given_up; /* reliable frames that a dead node may or may not have had: not repeated, so that none comes twice */
	uint64_t rooms_lost;
};
DK_API void dkc_ctx_stats(const struct dkc_ctx *ctx, struct dkc_stats *ret_stats);

/* ---- events ---- */

enum dkc_kind {
	DKC_CONNECTED = 1, /* the server answered; again: on another node, after DKC_MOVING */
	DKC_RESPONSE, /* an answer that no dkc_request() waited for */
	DKC_PUSH, /* one message; lists are unpacked, so one push frame may make many of these */
	DKC_ECHO, /* the server's heartbeat: rtt_us, state, address */
	DKC_OFFLINE, /* the node is about to stop: state; told once per connection */
	DKC_NOTE, /* a notification that came with the heartbeat: ver, cmd, payload */
	DKC_MOVING, /* the server sent this client to address; it goes there by itself */
	DKC_DISCONNECTED, /* reason, said, payload; the last event of a connection. dkc_connect() may start over */
	DKC_SEARCHING, /* the node is silent: from now on its room's backups are asked too. Ends with DKC_CONNECTED (again: a
			* backup), DKC_ECHO (the node itself is back) or DKC_ROOM_LOST */
	DKC_ROOM_LOST, /* room: its node is silent, and nobody took it over. DKC_DISCONNECTED follows: ask for a new endpoint */
	DKC_ROOM_MOVED /* room, former: the room is on another node and has a new id; the former one works for ten minutes more */
};

enum dkc_reason {
	DKC_BY_CLIENT = 1, /* dkc_close() */
	DKC_BY_SERVER, /* the server said goodbye */
	DKC_KILLED, /* the server does not know this connection: wrong, expired or replaced credential */
	DKC_SILENCE, /* nothing valid came for ttl_ms */
	DKC_RETRY, /* reliable frames were not acknowledged */
	DKC_UNREACHABLE, /* the name does not resolve, or nothing listens there */
	DKC_BROKEN /* what came in on the stream is no frame */
};
/* "the server said goodbye": static, never NULL. */
DK_API const char *dkc_reason_text(enum dkc_reason reason);

/* Why the server ended the connection, where it says so. */
enum dkc_said {
	DKC_SAID_SHUTDOWN = 1, /* the node goes down: ask for a new endpoint */
	DKC_SAID_REPLACED = 2, /* the same user id has logged in anew */
	DKC_SAID_ENDED = 3 /* by the application of the server */
};

/* The node's state in an echo. */
enum dkc_state { DKC_ONLINE = 1, DKC_STATE_OFFLINE = 2, DKC_TAKEN = 3 };

/* Views are valid until the function that got the event returns. */
struct dkc_event {
	enum dkc_kind kind;
	uint8_t ver; /* RESPONSE, PUSH, NOTE */
	uint8_t status; /* RESPONSE: enum dk_status */
	uint16_t cmd; /* RESPONSE, PUSH, NOTE */
	bool reliable; /* RESPONSE, PUSH: how it travelled */
	bool again; /* CONNECTED */
	uint8_t state; /* ECHO, OFFLINE: enum dkc_state */
	enum dkc_reason reason; /* DISCONNECTED */
	uint16_t said; /* DISCONNECTED: enum dkc_said or a later server's; 0 = it said nothing */
	uint32_t rtt_us; /* ECHO */
	dk_slice payload; /* RESPONSE, PUSH, NOTE; DISCONNECTED: the sentence that came with said */
	dk_str address; /* ECHO: this client as the server sees it; MOVING: where to */
	const struct dk_id52 *room, *former; /* ROOM_LOST, ROOM_MOVED; former of the latter only */
};
/* Sends, requests and dkc_close() are allowed inside; dkc_client_free() and feeding the same client are not. */
typedef void dkc_event_fn(void *arg, struct dkc_client *c, const struct dkc_event *event);

/* An answer to dkc_request(). */
struct dkc_reply {
	uint8_t ver;
	uint8_t status; /* enum dk_status; 0 = none came: the time was over, or the connection ended */
	uint16_t cmd;
	dk_slice payload;
};
typedef void dkc_reply_fn(void *arg, struct dkc_client *c, const struct dkc_reply *reply);
/* True for an answer that says yes. */
static inline bool dkc_ok(const struct dkc_reply *r)
{
	return r->status == DK_STATUS_OK;
}
/* The sentence of a refusal or failure, and its code where the server sends codes (else 0). Borrowed from the reply. */
DK_API dk_str dkc_reply_error(const struct dkc_reply *reply, uint32_t *ret_code);

/* ---- client ---- */

struct dkc_opts {
	dk_str client_key; /* sent before anything else when not empty; copied */
	uint32_t echo_ms; /* heartbeat interval; 0 = none, then the server forgets silent clients */
	uint32_t request_ms; /* how long dkc_request() waits for an answer; 0 = as long as the connection lives */
	uint32_t max_held_bytes; /* what may wait for a connection that does not stand yet */
	dkc_event_fn *event; /* may be NULL */
	void *arg;
	/* This client's user id, copied: tells it when it becomes the owner of its room. Empty: it owns the rooms it made. */
	dk_str uid;
	/* When the node is about to stop: ask to be moved, with the room if it owns one (a member waits for its owner or for the
	 * server). false: DKC_OFFLINE only tells, and dkc_move() or dkc_room_migrate() are the program's. */
	bool follow;
	/* In a room of a cluster: silence after which the node is asked whether it lives (1000), how often it then is, and its
	 * room's backups with it (250), and for how long (3000) before the room is lost; a room that has no backups is given up
	 * quiet_ms earlier. quiet_ms 0: as everywhere else only ttl_ms counts. */
	uint32_t quiet_ms, probe_ms, search_ms;
	/* Pushes are lists, told one by one, but for relays. Which ones of versions above 1 are relays, this says; NULL = none. arg
	 * is that above. */
	bool (*whole)(void *arg, uint8_t ver, uint16_t cmd);
};
DK_API void dkc_opts_default(struct dkc_opts *opts);

/* The endpoint is copied. opts NULL = the defaults. Returns 0 or < 0. */
DK_API int dkc_client_new(struct dkc_ctx *ctx, const struct dkc_endpoint *endpoint, const struct dkc_opts *opts,
			  struct dkc_client **ret_client);
/* Says no goodbye and calls nobody: open requests are forgotten. NULL is fine. */
DK_API void dkc_client_free(struct dkc_client *c);

/* Starts connecting; the outcome is an event, DKC_CONNECTED or DKC_DISCONNECTED. Without effect while connected or connecting. */
DK_API void dkc_connect(struct dkc_client *c);
/* Says goodbye after what is queued already is acknowledged (UDP: within a second); DKC_DISCONNECTED comes from inside this call,
 * and whoever drives the client goes on for so long. Called again, it waits for no acknowledgement: the goodbye is the next thing
 * out. */
DK_API void dkc_close(struct dkc_client *c);
/* Another endpoint for a client whose connection has ended; dkc_connect() comes next. Returns 0, or DKC_FULL while it has not. */
DK_API int dkc_renew(struct dkc_client *c, const struct dkc_endpoint *endpoint);
/* Asks the server for another node of its type, or of that type. The server answers with DKC_MOVING, or refuses in a DKC_RESPONSE
 * to (0, 2) or (0, 5). Returns as dkc_send(). */
DK_API int dkc_move(struct dkc_client *c);
DK_API int dkc_move_type(struct dkc_client *c, dk_str type);
DK_API bool dkc_is_connected(const struct dkc_client *c);
DK_API uint32_t dkc_rtt_us(const struct dkc_client *c); /* of the last echo; 0 = none yet */
DK_API void *dkc_arg(const struct dkc_client *c); /* that of the options */

/* One frame, no answer expected. how: enum dk_how; over TCP everything is reliable. The payload is copied. Returns 0, DKC_FULL,
 * DKC_GONE or DKC_TOO_LONG. */
DK_API int dkc_send(struct dkc_client *c, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how);
/*
 * A reliable frame and its answer. Answers come in the order of the requests of one (ver, cmd), so do not mix requests and plain
 * sends of one command. fn is called exactly once unless this fails or the client is freed. Returns 0, DKC_FULL, DKC_GONE,
 * DKC_TOO_LONG or < 0.
 */
DK_API int dkc_request(struct dkc_client *c, uint8_t ver, uint16_t cmd, dk_slice payload, dkc_reply_fn *fn, void *arg);

/* ---- by hand ---- */

/*
 * Non-NULL once whenever a connection is wanted: after dkc_connect() and when the server sends the client elsewhere. Give up
 * the former socket then, resolve the name, connect (TCP) and call dkc_dialed(). Valid until then.
 */
DK_API const struct dkc_endpoint *dkc_wants_dial(struct dkc_client *c);
/* The socket is there: server is its address; or rc < 0: there is none. */
DK_API void dkc_dialed(struct dkc_client *c, uint64_t now_us, int rc, const struct dk_addr *server);
/* UDP: one datagram from server's address. TCP: any bytes; what makes no whole frame yet is kept. */
DK_API void dkc_feed(struct dkc_client *c, uint64_t now_us, dk_slice bytes);
/* TCP: the stream ended or failed. UDP: the host says that nobody listens on that port. */
DK_API void dkc_hung_up(struct dkc_client *c, uint64_t now_us);
/* Timers; call it when dkc_due() has come, and rather too often than too late. */
DK_API void dkc_tick(struct dkc_client *c, uint64_t now_us);
DK_API uint64_t dkc_due(const struct dkc_client *c);
/* UDP: writes the next datagram to send now; 0 = no more. To be called until then after each of the calls above and after
 * sending. cap >= DKC_SLOT. */
DK_API size_t dkc_next_datagram(struct dkc_client *c, uint64_t now_us, uint8_t *slot, size_t cap);
/* TCP: writes bytes to be sent in this order; 0 = no more, or *ret_need > cap: a frame of that length comes next. */
DK_API size_t dkc_next_bytes(struct dkc_client *c, uint8_t *buf, size_t cap, size_t *ret_need);
/* The socket's own address, which the connection's first heartbeat tells (peer-to-peer needs it). Before dkc_dialed(). */
DK_API void dkc_set_local(struct dkc_client *c, const struct dk_addr *local);
/* TCP: true once when the last byte of this connection was handed out: shut down the sending side, go on reading. */
DK_API bool dkc_wants_half_close(struct dkc_client *c);

/*
 * UDP only, for a client that looks for its room: a second way beside the connection's own, which goes on meanwhile. A driver
 * without it loses the room when its node dies.
 *
 * Non-NULL once for each backup to be tried: give up the socket of the former try, resolve the name, open another socket and call
 * dkc_tried().
 */
DK_API const struct dkc_endpoint *dkc_wants_try(struct dkc_client *c);
/* False: the try is over, its socket may go. */
DK_API bool dkc_is_trying(const struct dkc_client *c);
DK_API void dkc_tried(struct dkc_client *c, uint64_t now_us, int rc, const struct dk_addr *server);
/* A datagram from there. True: the try has become the connection, and its socket the connection's; the former one may go. */
DK_API bool dkc_feed_try(struct dkc_client *c, uint64_t now_us, dk_slice bytes);
DK_API size_t dkc_next_try(struct dkc_client *c, uint64_t now_us, uint8_t *slot, size_t cap);

/* Numeric "ip:port" or "[v6]:port" or an address and a port apart. Returns false when host is a name. */
DK_API bool dkc_addr_parse(const char *host, uint16_t port, struct dk_addr *ret_addr);

/* ---- poll ---- */

DK_API uint64_t dkc_now(void);
/*
 * Sends what waits, receives what came, waits up to timeout_ms (0 = not at all, < 0 = for ever) for the first event when there was
 * none. Returns at once while there is no connection and none is wanted. Names are resolved with getaddrinfo(), which may block.
 * Returns how many events and answers were delivered, or < 0.
 */
DK_API int dkc_poll(struct dkc_client *c, int timeout_ms);
/* The socket, to wait on it together with others; -1 = none at the moment. It may change with each dkc_poll(). */
DK_API int dkc_fd(const struct dkc_client *c);

#ifdef __cplusplus
}
#endif

#endif
