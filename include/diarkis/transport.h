/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "transport": realtime connections. A transport owns its peers: address, sid, keys, acknowledgements, rate, output,
 * liveness. It knows no uid and no room. Whoever attaches (the plugin user) is told of frames and of ends. An unknown sid
 * never leaves the transport.
 *
 * A peer is admitted before its client ever speaks: the HTTP side makes a credential, admit() turns it into a peer that waits
 * for the client for at most the transport's connectionTTL.
 */
#ifndef DIARKIS_TRANSPORT_H
#define DIARKIS_TRANSPORT_H

#include <diarkis/cursor.h>
#include <diarkis/err.h>
#include <diarkis/service.h>
#include <diarkis/signal.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_TRANSPORT_NAME "transport"
#define DK_TRANSPORT_MAJOR 1
#define DK_TRANSPORT_MINOR 1
#define DK_TRANSPORT_TYPE struct dk_transport

/* Why a connection ends; also what clients and listeners are told. */
enum dk_reason {
	DK_REASON_CLIENT = 1, /* the client closed it */
	DK_REASON_SILENCE, /* connectionTTL without a valid packet */
	DK_REASON_RETRY, /* reliable data was not acknowledged */
	DK_REASON_NEVER, /* admitted, but the client never came */
	DK_REASON_SERVER, /* disconnected by code of this node */
	DK_REASON_REPLACED, /* the same uid connected anew */
	DK_REASON_CLIENT_KEY, /* no or a wrong client key */
	DK_REASON_SLOW, /* its output ran over */
	DK_REASON_PROTOCOL, /* broke the rules of the wire */
	DK_REASON_SHUTDOWN,
	DK_REASON_MOVED /* it was told to go to another node, and its user is there: no goodbye */
};

/* What a transport tells. The functions are called from the transport's callbacks; peers may be sent to and closed from inside. */
struct dk_peer_sink {
	void *self; /* first argument of all of them */
	/* The client is there: first contact (again = false), or a new connection under the same credential (again = true): a TCP
	 * socket that replaces another, a client program that began anew. */
	void (*opened)(void *self, uint64_t user, dk_id peer, const struct dk_addr *from, bool again);
	/* One authenticated frame, payload plain and borrowed; reliable: in order and exactly once (TCP: always). Frames of version
	 * 0 that concern the connection alone (fin, ping, echo) are answered by the transport; echo is reported through echo()
	 * below. The client key (version 0 command 4) goes up like any other frame. */
	void (*frame)(void *self, uint64_t user, dk_id peer, const struct dk_frame *frame, bool reliable);
	void (*moved)(void *self, uint64_t user, dk_id peer, const struct dk_addr *from);
	/* The peer handle is stale after this returns. */
	void (*closed)(void *self, uint64_t user, dk_id peer, enum dk_reason reason);
	/* A sign of life. Writes what rides on the echo reply ({u16 length of all, u8 ver, u16 cmd, bytes}*) into dst, returns its
	 * length (<= cap). locals: the client's own addresses, a {u32, "ip:port"} list, empty but in the first echo. */
	size_t (*echo)(void *self, uint64_t user, dk_id peer, dk_slice locals, uint8_t *dst, size_t cap);
};

struct dk_peer_info {
	struct dk_addr addr; /* family 0: not connected yet */
	uint32_t rtt_ms; /* smoothed; 0 = not measured */
	bool open;
	uint64_t last_heard_ms; /* node clock; 0 = never */
	/* Reliable frames that the client may not have got yet: queued, or sent and not acknowledged. A stream cannot tell: it
	 * says 1 more until its client has ended the connection. */
	uint32_t unacked;
	/* Reliable frames of the client that came and wait for one before them; see held(). */
	uint32_t held;
};

/* Shown one frame; the payload is borrowed. The transport must not be called from inside. */
typedef void dk_frame_fn(void *arg, const struct dk_frame *frame, unsigned how);

struct dk_transport {
	struct dk_service base;
	const char *role; /* "UDP", "TCP": static */
	const char *type; /* what endpoint requests call it: the role unless DIARKIS_SERVER_TYPE or the option `type` renames it */
	bool encrypted; /* option enableEncryption: which credentials admit() takes */

	/* Once, during the sink owner's init; the sink lives as long as the transport. Returns 0 or DK_EXISTS. */
	int (*attach)(struct dk_transport *t, const struct dk_peer_sink *sink);
	/* A peer for this credential; user: the sink's own word for it. Returns 0, DK_FULL, DK_EXISTS (sid taken) or <0. */
	int (*admit)(struct dk_transport *t, const struct dk_credential *cred, uint64_t user, dk_id *ret_peer);
	/* Copies the frame into the peer's output, which leaves at the turn's end or the transport's interval. how: enum dk_how.
	 * Never calls the sink: a peer that breaks by it is closed later in the turn. Returns 0, DK_GONE, DK_FULL (its output ran
	 * over; unreliable frames just get lost) or DK_TOO_LONG. */
	int (*send)(struct dk_transport *t, dk_id peer, const struct dk_frame *frame, unsigned how);
	/* What waits for an interval leaves at this turn's end. Stale handles are fine. */
	void (*flush)(struct dk_transport *t, dk_id peer);
	/* Sends what is queued as far as it goes, says goodbye where the wire has a word for it, and forgets the peer; closed() is
	 * called before this returns. Stale handles are fine.
	 * DK_REASON_MOVED: what is queued is forgotten, and there is no goodbye. Acknowledgements of what was delivered go on for a
	 * moment, so that the client does not repeat it elsewhere; its sid is free at once. Not from inside frame(). */
	void (*close)(struct dk_transport *t, dk_id peer, enum dk_reason reason);
	/* Returns 0 or DK_GONE. */
	int (*info)(struct dk_transport *t, dk_id peer, struct dk_peer_info *ret_info);
	/* Where clients are to connect: host (static until stop) and port. family 0 of the bound address before start. */
	void (*endpoint)(struct dk_transport *t, const char **ret_host, uint16_t *ret_port);

	/* ---- for users that move to another node ---- */

	/* What the peer was admitted with; a secret. Returns 0 or DK_GONE. */
	int (*credential)(struct dk_transport *t, dk_id peer, struct dk_credential *ret_cred);
	/* Every reliable frame that the client may not have got, oldest first: fn gets each with a plain payload, borrowed, and the
	 * `how` with which another transport's send() makes the same bytes of it (a push is what it is by now: DK_ALONE). They stay
	 * where they are: close the peer next. What a stream has handed to the system counts as delivered: it is, when the client
	 * ends the connection in order. Returns how many there were; 0 for a stale handle. */
	size_t (*unacked)(struct dk_transport *t, dk_id peer, dk_frame_fn *fn, void *arg);
	/* The other way: reliable frames that came, were acknowledged, and wait for one before them, which the client keeps. Who
	 * moves the user takes them along as the last ones that came: they will not be repeated. how: DK_RELIABLE. */
	size_t (*held)(struct dk_transport *t, dk_id peer, dk_frame_fn *fn, void *arg);
	/* For a client that is expected from elsewhere: it is waited for ms from now, in place of connectionTTL from admit() on.
	 * When it has come this is over. Returns 0 or DK_GONE. */
	int (*wait)(struct dk_transport *t, dk_id peer, uint32_t ms);
	/* Since 1.1; NULL where clients never say anything twice. Which of the client's reliable sequences came, for dk_taken()
	 * on the node where it goes on: at most DK_TAKEN_MAX bytes, none before there was a connection. Also from inside
	 * closed(). */
	void (*taken)(struct dk_transport *t, dk_id peer, struct dk_writer *w);
};

/* u32 next, the first sequence (of 24 bits) that did not come; then bits, lowest first: whether next + 1, next + 2, ... did. */
#define DK_TAKEN_MAX (4 + 128)

static inline bool dk_taken(dk_slice taken, uint32_t seq)
{
	struct dk_cursor c = dk_cursor_of(taken);
	uint32_t ahead = (seq - dk_rd_u32(&c)) & 0xffffff;
	dk_slice bits = dk_rd_rest(&c);

	if (c.bad || !ahead)
		return false;
	if (ahead > 0x7fffff) /* behind it; nothing that is that old is still on its way */
		return 0x1000000 - ahead <= 8 * 128;
	return ahead <= 8 * bits.n && (bits.p[(ahead - 1) / 8] >> (ahead - 1) % 8 & 1);
}

#ifdef __cplusplus
}
#endif

#endif
