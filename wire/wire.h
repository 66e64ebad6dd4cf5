/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire: bytes and time in, bytes out. No sockets, no clock, no globals, no kernel. Transports, the client library,
 * the simulator and the fuzzers all drive these objects; none of them parses a byte by itself.
 *
 *   wire_ctx     what many connections of one thread share: ciphers, memory, limits, drop counters
 *   wire_peer    one UDP connection, either end: plain and reliable frames over datagrams
 *   wire_stream  one TCP connection, either end: frames back to back
 *
 * Layouts: docs/WIRE.md. Times are milliseconds of one monotonic clock that the caller owns.
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <diarkis/base.h>
#include <diarkis/cursor.h>

#define WIRE_SID_LEN 16
#define WIRE_HEADER_LEN 4 /* datagram header: sequence u24 little-endian, flag u8 */
#define WIRE_DATAGRAM_OUT 1200 /* what a flush packs into one datagram at most, split chunks excepted */
#define WIRE_CHUNK 1300 /* the reference's split size */
#define WIRE_DATAGRAM_MAX 1400 /* largest datagram that is read; longer ones are dropped and counted */
#define WIRE_SLOT 1400 /* capacity that wire_peer_out() needs: a split chunk upward takes 1,340 bytes */
#define WIRE_NEVER UINT64_MAX

enum wire_flag { WIRE_UDP = 1, WIRE_SYN, WIRE_DAT, WIRE_ACK, WIRE_RST, WIRE_EACK, WIRE_FIN };
enum wire_role { WIRE_SERVER, WIRE_CLIENT };

/* Why something was dropped; every refusal moves exactly one of these. Names and help texts: wire_drop_info(). */
enum wire_drop {
	WIRE_DROP_SIZE, /* shorter than a header or longer than WIRE_DATAGRAM_MAX */
	WIRE_DROP_FLAG, /* flag unknown, or one that this role does not accept */
	WIRE_DROP_MAGIC, /* no frame where one must start */
	WIRE_DROP_FRAME, /* frame size beyond the datagram, the limit or the payload's own rules */
	WIRE_DROP_SID, /* a sid that is not this connection's */
	WIRE_DROP_MAC, /* tag wrong */
	WIRE_DROP_PLAIN, /* length or padding inside the seal wrong */
	WIRE_DROP_SEQUENCE, /* outside the receive window */
	WIRE_DROP_DUPLICATE, /* already delivered; acknowledged again */
	WIRE_DROP_ADDRESS, /* not from the proven address */
	WIRE_DROP_UNPROVEN, /* needs a proven address first: split chunks, reliable data, any frame from a new address */
	WIRE_DROP_SPLIT, /* split header or set inconsistent */
	WIRE_DROP_SPLIT_LIMIT, /* reassembly beyond its byte or time limit */
	WIRE_DROP_ACK, /* acknowledges nothing that is in flight, or a wrong SYN answer */
	WIRE_DROP_CLOSED, /* the connection is closed */
	WIRE_DROP_MEMORY, /* no memory for something that may be repeated by the other end */
	WIRE_DROPS
};

struct wire_drop_info {
	const char *name; /* a metric's suffix: "bad_mac" */
	const char *help;
};
const struct wire_drop_info *wire_drop_info(enum wire_drop d);

struct wire_limits {
	uint32_t retry_interval_ms; /* 1000: cap of the re-send timer is min(this, 500) */
	uint32_t max_retry; /* 10 */
	uint32_t ttl_ms; /* connectionTTL: silence after which the connection is given up */
	uint32_t flush_ms; /* sendUDPInterval: unreliable frames wait up to this long; below 10 = not at all */
	uint32_t max_in_flight; /* 256 DAT */
	uint32_t max_in_flight_bytes; /* 256 KiB */
	uint32_t max_queued_bytes; /* accepted but not yet in flight; beyond it send answers WIRE_FULL */
	uint32_t max_frame, max_frame_out; /* largest frame accepted, and sent: plain bytes of its payload */
	bool roaming_mac_only; /* R6 (b) is waived: a valid MAC alone moves the address */
};
void wire_limits_default(struct wire_limits *l);

struct wire_ctx_opts {
	struct wire_limits limits;
	int (*random)(void *arg, void *buf, size_t n); /* 0 or <0; called at init and for new connections only */
	void *(*alloc)(void *arg, size_t n); /* NULL: malloc */
	void (*free)(void *arg, void *p, size_t n);
	void *arg;
};

/* Opaque; about 64 KiB of scratch, fetched ciphers, pools. One per thread of use. */
struct wire_ctx;
int wire_ctx_new(const struct wire_ctx_opts *opts, struct wire_ctx **ret_ctx);
void wire_ctx_free(struct wire_ctx *ctx); /* every peer and stream is gone before; asserts that nothing is left in the pools */
const uint64_t *wire_ctx_drops(const struct wire_ctx *ctx); /* WIRE_DROPS counters */
struct wire_stats { /* since the context was made */
	uint64_t datagrams_in, datagrams_out, frames_in, frames_out, resends, splits_in, splits_out, acks_in, acks_out;
};
const struct wire_stats *wire_ctx_stats(const struct wire_ctx *ctx);
void wire_ctx_set_limits(struct wire_ctx *ctx, const struct wire_limits *limits);

/* Why a connection ended. */
enum wire_reason { WIRE_CLOSED_FIN = 1, WIRE_CLOSED_SILENCE, WIRE_CLOSED_RETRY, WIRE_CLOSED_KILLED, WIRE_CLOSED_LOCAL };

/* Called from inside wire_peer_recv(), wire_peer_due handling and wire_stream_feed(); never re-enter the same object with recv
 * or fini from inside; send is allowed. NULL members are skipped. */
struct wire_events {
	void *arg;
	/* One whole, authenticated, decrypted frame in order. A push's payload is still a list. reliable: came as DAT/RST. */
	void (*frame)(void *arg, const struct dk_frame *frame, bool reliable);
	/* The other end's address is proven (server) or the server answered the SYN (client). */
	void (*opened)(void *arg, const struct dk_addr *from);
	/* A proven peer now speaks from another proven address. */
	void (*moved)(void *arg, const struct dk_addr *from);
	void (*closed)(void *arg, enum wire_reason reason);
};

/* ---- one UDP connection ------------------------------------------------------------------------------------------- */

struct wire_peer; /* the full definition is in peer.h: it is embedded in the owner's table, a few hundred bytes */

/* The sid that a datagram from a client claims, wherever its kind keeps it. False: malformed, *ret_drop says how. Reads only. */
bool wire_peek_sid(dk_slice datagram, const uint8_t **ret_sid, enum wire_drop *ret_drop);

/* True when the datagram is a client's SYN of exactly 20 bytes and sequence 0: the only thing that may earn a kill packet. */
bool wire_is_syn(dk_slice datagram);

extern const uint8_t wire_kill_packet[4];

/* Returns 0 or <0. The credential is copied. A server peer is silent until it proved the address of the client. */
int wire_peer_init(struct wire_ctx *ctx, struct wire_peer *p, enum wire_role role, const struct dk_credential *cred, uint64_t now);
/* A server's peer whose client never came waits for it ms from now, in place of ttl_ms since it was made. */
void wire_peer_wait(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, uint32_t ms);
void wire_peer_fini(struct wire_ctx *ctx, struct wire_peer *p);

/* Client: queue the SYN. Repeats by itself until answered. server: where it goes, and the only address that is listened to; NULL:
 * the caller knows (*ret_to of wire_peer_out() is empty), and the first answer binds the address. */
void wire_peer_open(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, const struct dk_addr *server);
/* Queue a FIN after what is queued already; the caller finishes the object when it likes. Called again, the FIN waits for no more
 * acknowledgements. */
void wire_peer_close(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now);

/* Takes one datagram. Returns 0, or 1 when it was dropped (a counter tells why). */
int wire_peer_recv(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, const struct dk_addr *from, dk_slice datagram,
		   const struct wire_events *ev);

enum { WIRE_FULL = 1, WIRE_GONE = 2, WIRE_TOO_LONG = 3 };
/* Copies the frame into the peer's output. Returns 0, WIRE_FULL, WIRE_GONE (closed), WIRE_TOO_LONG (unreliable and over one
 * datagram, or over max_frame_out). Pushes of one (ver, cmd, reliability) that wait together become one list. */
int wire_peer_send(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, const struct dk_frame *frame, unsigned how);

/* Writes the next datagram to send now into slot (cap >= WIRE_SLOT) and its destination to *ret_to; 0 = nothing (more) to send.
 * force: what waits for an interval goes too. *ret_fragment: this datagram may be fragmented (clear DF). */
size_t wire_peer_out(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, bool force, uint8_t *slot, size_t cap,
		     struct dk_addr *ret_to, bool *ret_fragment);

/* When wire_peer_tick() wants to be called at the latest; WIRE_NEVER = never. May only lie too early, never too late. */
uint64_t wire_peer_due(const struct wire_ctx *ctx, const struct wire_peer *p);
/* Timers: re-send, delayed output, silence. Events may fire (closed). Follow it with wire_peer_out(). */
void wire_peer_tick(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now, const struct wire_events *ev);

bool wire_peer_is_open(const struct wire_peer *p);
bool wire_peer_has_left(const struct wire_peer *p); /* wire_peer_leave() */
bool wire_peer_drained(const struct wire_peer *p); /* nothing waits to be sent or to be acknowledged */
uint64_t wire_peer_waits(const struct wire_peer *p); /* since when for its oldest missing acknowledgement; WIRE_NEVER: for none */
uint64_t wire_peer_heard(const struct wire_peer *p); /* when the last valid datagram came, or it was opened */
uint32_t wire_peer_rtt_ms(const struct wire_peer *p); /* smoothed; 0 = not measured */
const struct dk_addr *wire_peer_addr(const struct wire_peer *p); /* bound address, proven once it is open; family 0 = none */

/*
 * For a connection that goes on elsewhere, as another object under the same credential.
 *
 * fn (NULL: they are only counted) is shown frames with plain payloads, borrowed while it runs; it must not touch the connection.
 * how is what wire_peer_send() wants to send the same bytes again: pushes, which are what they are by now, come as
 * DK_ALONE. Nothing changes. Returns how many there are; one that there was no memory to open is counted and not shown.
 */
typedef void wire_frame_fn(void *arg, const struct dk_frame *frame, unsigned how);
/* Every reliable frame that was given to wire_peer_send() and of which the other end has not acknowledged all, oldest first. */
size_t wire_peer_unacked(struct wire_ctx *ctx, const struct wire_peer *p, wire_frame_fn *fn, void *arg);
/* The same, each with the sequences in which it lies: seqs of them from seq on, seqs = 0 for one that has not left (yet, or whole).
 * Whoever has all of them has the frame. */
typedef void wire_left_fn(void *arg, const struct dk_frame *frame, uint32_t seq, uint32_t seqs);
void wire_peer_left(struct wire_ctx *ctx, const struct wire_peer *p, wire_left_fn *fn, void *arg);
/* Which sequences of the other end came, as dk_taken() of <diarkis/transport.h> reads it; nothing before there was a connection. */
void wire_peer_taken(const struct wire_peer *p, struct dk_writer *w);
struct wire_outq;
/* Takes back the reliable frames that nothing was made of yet, the last ones of the above: a queue that is the caller's from now
 * on; NULL = none. */
struct wire_outq *wire_peer_recall(struct wire_peer *p);
/* Frames of the other end that came, were acknowledged, and wait for one before them that did not come. */
size_t wire_peer_held(struct wire_ctx *ctx, const struct wire_peer *p, wire_frame_fn *fn, void *arg);
void wire_peer_credential(const struct wire_peer *p, struct dk_credential *ret_cred); /* what it was made with */
/* Ends it here without a word. What waits is forgotten and nothing is taken any more; only acknowledgements that may have been lost
 * are repeated, for a second, and then closed() is told. Without an open connection it is closed at once. Not from inside frame():
 * what follows in the same datagram would be lost. */
void wire_peer_leave(struct wire_ctx *ctx, struct wire_peer *p, uint64_t now);

/* ---- one TCP connection ------------------------------------------------------------------------------------------- */

struct wire_stream; /* stream.h */

/* The sid of the first frame, to find the credential. Returns 1 and *ret_sid when the bytes hold it, 0 when more are needed,
 * <0 when this is no frame. */
int wire_stream_peek_sid(dk_slice bytes, const uint8_t **ret_sid);
int wire_stream_init(struct wire_ctx *ctx, struct wire_stream *s, enum wire_role role, const struct dk_credential *cred);
void wire_stream_fini(struct wire_ctx *ctx, struct wire_stream *s);
/* Whether the first frame in bytes, which came over a socket that is nobody's yet, is one of this connection's: 1 = yes, 0 = more
 * bytes are needed, <0 = no (a counter tells why). The connection itself is as it was. */
int wire_stream_greet(struct wire_ctx *ctx, const struct wire_stream *s, dk_slice bytes);
/* Delivers every whole frame in bytes; returns how many bytes it used (the caller keeps the rest and adds to it), or <0 when the
 * stream is broken and must be closed (a counter tells why). */
int wire_stream_feed(struct wire_ctx *ctx, struct wire_stream *s, dk_slice bytes, const struct wire_events *ev);
int wire_stream_send(struct wire_ctx *ctx, struct wire_stream *s, const struct dk_frame *frame, unsigned how);
/* As of a connection over datagrams: what wire_stream_out() has not written yet, and the credential. */
size_t wire_stream_unacked(const struct wire_stream *s, wire_frame_fn *fn, void *arg);
void wire_stream_credential(const struct wire_stream *s, struct dk_credential *ret_cred);
/* Writes whole frames into buf; 0 = nothing waits, or *ret_need > cap: the next frame needs that many bytes. */
size_t wire_stream_out(struct wire_ctx *ctx, struct wire_stream *s, uint8_t *buf, size_t cap, size_t *ret_need);

/* ---- lists and utility payloads ----------------------------------------------------------------------------------- */

/* The next element of a {u32 length, bytes} list; false at the end or when the list is malformed (then c->bad). */
static inline bool wire_list_next(struct dk_cursor *c, dk_slice *ret_item)
{
	if (c->bad || c->p == c->end)
		return false;
	*ret_item = dk_rd_bytes32(c);
	return !c->bad;
}

/* Built-in commands of version 0. */
enum {
	WIRE_CMD_FIN = 0,
	WIRE_CMD_ECHO = 1,
	WIRE_CMD_RECONNECT = 2,
	WIRE_CMD_PING = 3,
	WIRE_CMD_CLIENT_KEY = 4,
	WIRE_CMD_RECONNECT_TYPE = 5,
	WIRE_CMD_GOODBYE = 6, /* ours: why the server ends the connection */
	WIRE_CMD_AGAIN = 7, /* ours: what the client says again at its new node */
};

struct wire_echo { /* request: timestamp and, in the first one only, the client's local addresses */
	uint8_t stamp[8]; /* the client's double, little-endian, returned unchanged */
	dk_slice locals; /* list of "ip:port"; empty in later echoes */
};
bool wire_echo_decode(dk_slice payload, struct wire_echo *ret_echo);
size_t wire_echo_encode(double stamp_ms, dk_slice locals, uint8_t *buf, size_t cap);

struct wire_echo_reply {
	uint8_t state; /* 1 online, 2 offline, 3 taken */
	uint8_t stamp[8];
	dk_str address; /* "ip:port" of the client as the server sees it */
	dk_slice notes; /* {u16 length of all, u8 ver, u16 cmd, bytes}* */
};
bool wire_echo_reply_decode(dk_slice payload, struct wire_echo_reply *ret_reply); /* also the old form without trailer */
size_t wire_echo_reply_encode(const struct wire_echo_reply *r, uint8_t *buf, size_t cap);

/* Reconnect instruction: BE EF FE ED and "host:port". */
bool wire_reconnect_decode(dk_slice payload, dk_str *ret_address);
size_t wire_reconnect_encode(dk_str address, uint8_t *buf, size_t cap);

/* ---- link model --------------------------------------------------------------------------------------------------- */

struct wire_link_opts {
	uint64_t seed;
	double loss, reorder, duplicate; /* 0..1 */
	uint32_t delay_ms, jitter_ms, reorder_ms; /* a reordered packet is held back reorder_ms longer */
	uint32_t rate_kbit; /* 0 = unlimited */
	double burst; /* packets are lost in runs of that many on average; up to 1: each by itself */
};
struct wire_link {
	struct wire_link_opts o;
	uint64_t rng[4];
	uint64_t free_at_us;
	bool bad; /* inside a run of losses */
};
void wire_link_init(struct wire_link *l, const struct wire_link_opts *o);
/* The fate of a packet of n bytes sent at now_us: fills up to two arrival times (us), returns how many arrive (0, 1 or 2). */
int wire_link_pass(struct wire_link *l, uint64_t now_us, size_t n, uint64_t ret_at_us[2]);

#endif
