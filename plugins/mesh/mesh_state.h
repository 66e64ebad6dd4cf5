/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the plugin share. mesh.c is the plugin: options, phases, service. mesh_peer.c keeps the other nodes;
 * mesh_contact.c talks datagrams with them; mesh_link.c streams; mesh_call.c runs what came and answers it; mesh_tree.c is
 * send_many. wire/cluster_unit.c, mesh_queue.c and wire/cluster.c are pure.
 *
 * A peer is an address that somebody here spoke to, or that proved to be a node. It outlives its links, so that numbers which
 * keep messages from running twice are not forgotten while the other node may still repeat itself.
 */
#ifndef MESH_STATE_H
#define MESH_STATE_H

#include <diarkis/carrier.h>
#include <diarkis/plugin.h>

#include "mesh_queue.h"
#include "wire/cluster_unit.h"
#include "wire/cluster.h"

#define MESH_PEERS_MAX 4096
#define MESH_REQUESTS_MAX 65536
#define MESH_HALF_MAX 64 /* contacts whose other end has not proven to be there */
#define MESH_GUESTS_MAX 64
#define MESH_SELVES_MAX 64
#define MESH_SERVES_MAX 4
#define MESH_REMEMBER_MS 60000 /* numbers of messages that must not run twice */

struct mesh_conf {
	const char *address, *nic, *cluster, *key, *key2, *key_file, *key_file2;
	int64_t port, retry_interval, reliable_retry_timeout, retry_timeout, send_interval, mars_port, mars_ttl, queue_limit,
		fanout;
	bool strict, open, insecure, secure_http;
	struct dk_strs mars;
};

struct peer;

struct packet {
	struct packet *next;
	size_t n; /* plain bytes */
	uint8_t bytes[WIRE_PACKET_MAX];
};

struct answer { /* to a guest */
	uint8_t status;
	size_t n;
	uint8_t bytes[WIRE_PACKET_PLAIN];
};

/* A contact over datagrams. */
enum contact_state { CONTACT_HELLO = 1, CONTACT_HALF, CONTACT_OPEN };
struct contact {
	struct wire_contact x;
	struct wire_hello hello;
	struct peer *peer; /* NULL: a guest, or HALF */
	struct dk_udp *socket;
	struct dk_addr at; /* where the other end is reached */
	dk_id id;
	uint64_t made_ms, heard_ms;
	uint64_t asked; /* a guest's last call, and what was answered; NULL = not yet */
	struct answer *answer;
	uint8_t state;
};

enum out_state { OUT_IDLE, OUT_WAIT, OUT_CONNECTING, OUT_OPEN };
struct stream_in { /* bytes of a unit that has not come whole */
	uint8_t *bytes; /* from the pool of records; NULL = none */
	size_t n;
};
/* The stream to a peer: this end's messages go out on it, and nothing but how far they got comes back. */
struct out {
	struct dk_stream *stream;
	struct wire_contact x;
	struct wire_hello hello;
	struct stream_in in;
	struct queue q;
	struct dk_timer timer;
	uint64_t session; /* of q's numbers; 0 = none yet */
	uint64_t written; /* highest number that ever was written to a stream */
	uint64_t tried_ms, progress_ms;
	uint32_t part; /* of the first unsent unit, how much was written: it is a long one */
	uint8_t state;
	bool gone; /* while this node stops: nobody listens there any more */
};
/* A stream from a peer. */
enum in_state { IN_NEW = 1, IN_HALF, IN_OPEN, IN_DEAD };
struct in {
	struct in *next, **link;
	struct dk_stream *stream;
	struct peer *peer; /* IN_OPEN */
	struct wire_contact x;
	struct stream_in in;
	uint8_t *whole; /* a long unit that comes in pieces */
	size_t whole_n, whole_cap;
	uint32_t whole_total;
	uint64_t session, number, since_ms; /* number: of its HELLO */
	uint8_t state;
};

struct peer {
	struct dk_addr addr;
	dk_id id;
	uint64_t boot; /* 0 = not known yet */
	uint64_t heard_ms, used_ms;
	uint64_t last_boot; /* the one before, whose packets may still be on their way */
	struct peer *next_dirty;
	bool dirty, self, up;
	uint32_t life; /* counts boots and forget(): requests of another one are lost */
	uint32_t requests;

	dk_id contact, before, trying; /* datagrams: the newest open contact, the one before it, the one begun */
	uint64_t hello_ms, hello_in; /* hello_in: highest number of a HELLO by datagram */
	struct packet *packet, *waiting; /* what waits for the turn's end; what was full and waits for a contact */
	uint64_t packet_ms; /* since when */
	uint8_t waiting_n, hello_tries;
	struct dk_timer hello_timer;

	struct out out;
	struct in *in;
	uint64_t got_session, got; /* of its messages: all up to here are done */
	uint64_t got_bytes; /* since this was last told */
	uint64_t hello_in_stream;
	struct dk_timer ack_timer;
	bool owe_ack, ack_now;
	int64_t skew_ms, skew_before_ms; /* our clock less theirs, by the fastest record of this spell and of the one before */
	uint64_t skew_at_ms; /* when this spell began; 0 = nothing is known */
};

/* One of ours. */
struct request {
	void *self, *arg;
	dk_carrier_done_fn *done;
	struct peer *peer;
	dk_id id;
	uint64_t wire_id, number; /* number: in the peer's queue */
	uint32_t life;
	struct dk_timer timer;
};
/* One of theirs, until it is answered. */
struct incoming {
	struct peer *peer;
	uint32_t life;
	bool cancelled;
	dk_id guest; /* a guest's contact instead */
	uint64_t wire_id;
};

struct tree_seen {
	uint64_t boot, id, at_ms;
};
#define TREE_SEEN 4096

struct mesh {
	struct dk_self base;
	struct dk_carrier api;
	struct wire_cluster *cluster;
	struct dk_udp *socket;
	struct dk_udp *served[MESH_SERVES_MAX];
	struct dk_listener *listener;
	struct dk_table peers, contacts, requests, incomings;
	struct dk_map by_addr;
	struct dk_pool blocks, packets, records, ins;
	struct in *in_list;
	size_t in_new;
	struct peer *dirty;
	struct peer *me;
	struct contact *answering; /* whose packet is being run */
	dk_id half[MESH_HALF_MAX], guests[MESH_GUESTS_MAX];
	unsigned half_at, guest_at;
	uint64_t sessions, request_n, relay_n;
	uint64_t hello_second;
	unsigned hello_n, hello_bad_n; /* in that second: good ones, and bad ones */
	uint64_t twin_told_ms;
	void *selves[MESH_SELVES_MAX];
	size_t self_n;
	struct tree_seen *seen;
	size_t seen_at;
	struct dk_map seen_map;
	struct dk_timer sweep, send_timer, self_timer, stop_timer;
	struct dk_step *stopping;
	bool keyed; /* there is a cluster key */
	bool ended; /* nothing is begun any more */
	uint8_t *plain; /* WIRE_RECORD_PLAIN bytes: what was opened last */
	struct {
		uint64_t packets_in, packets_out, bytes_in, bytes_out, records_in, records_out;
		uint64_t messages_in, messages_out, requests_in, requests_out, relayed, resent, links_made;
		uint64_t drop_size, drop_foreign, drop_cluster, drop_version, drop_replay, drop_stale, drop_unknown, drop_stranger,
			drop_rate, drop_unit, drop_guest;
		uint64_t duplicates, expired, late, shed, full, lost, timeouts, cancelled, unknown_command, overload, no_answer,
			hops, no_memory;
		int64_t peers, links, queued;
	} n;
};

static inline const struct mesh_conf *mesh_conf(const struct mesh *m)
{
	return m->base.conf;
}

/* ---- mesh.c ---- */
void mesh_drop(struct mesh *m, enum wire_cluster_drop why);
uint32_t mesh_timeout(const struct mesh *m); /* reliableRetryTimeout, ms */
void mesh_dirty(struct mesh *m, struct peer *p); /* it has something to send at the turn's end */
void mesh_stopped(struct mesh *m); /* something was handed over: perhaps the node waits for no more */

/* ---- mesh_peer.c ---- */
struct peer *peer_find(struct mesh *m, const struct dk_addr *addr); /* NULL = none */
struct peer *peer_of(struct mesh *m, const struct dk_addr *addr); /* NULL = no room, or no address */
/* That boot of it is there: another one than before ends all that the one before had. */
void peer_is(struct mesh *m, struct peer *p, uint64_t boot);
void peer_heard(struct mesh *m, struct peer *p);
void peer_down(struct mesh *m, struct peer *p);
void peer_gone(struct mesh *m, struct peer *p); /* forget() */
void peer_free_all(struct mesh *m);
void peer_sweep(struct mesh *m);
void peer_twin(struct mesh *m, const struct dk_addr *from); /* somebody else has our name: said once a minute */
/* Whether the strict check lets this one in. */
bool peer_welcome(struct mesh *m, const struct wire_contact *x, const struct dk_addr *from, bool guest);

/* ---- mesh_contact.c ---- */
void contact_received(void *self, struct dk_udp *udp, const struct dk_datagram *v, size_t n);
int contact_put(struct mesh *m, struct peer *p, const struct wire_unit *u); /* 0, DK_TOO_LONG or DK_FULL */
void contact_say(struct mesh *m, struct contact *c, const struct wire_unit *u); /* at once, alone; too long: lost */
void contact_flush(struct mesh *m, struct peer *p);
void contact_drop_packets(struct mesh *m, struct peer *p);
void contact_close(struct mesh *m, dk_id *id);
void contact_close_all(struct mesh *m, struct peer *p);
void contact_sweep(struct mesh *m);

/* ---- mesh_link.c ---- */
extern const struct dk_stream_ops link_in_ops;
void link_accept(void *self, struct dk_listener *l, struct dk_stream *s);
/* Queues a unit: 0, DK_FULL. share: how much of the queue may be used, in eighths. ret_number may be NULL. */
int link_put(struct mesh *m, struct peer *p, const struct wire_unit *u, unsigned share, uint64_t deadline_ms, uint64_t *ret_number);
bool link_take_back(struct peer *p, uint64_t id); /* a request that was not written yet; false: it was */
void link_flush(struct mesh *m, struct peer *p);
void link_run_self(struct mesh *m, struct peer *p); /* p is this node: what it says to itself runs here */
void link_close_all(struct mesh *m, struct peer *p); /* queue included; numbers begin anew */
void link_free_in(struct mesh *m, struct in *in);
bool link_idle(const struct peer *p);
void link_sweep(struct mesh *m);

/* ---- mesh_operator.c ---- */
#define MESH_COMMANDS(X, R)                                                                                                        \
	X(struct mesh, DK_VER_NODE, 1020, "mesh.health", mesh_on_health, DK_ADMIN,                                                 \
	  "answers when the node's loop runs; state: 1 ONLINE, 2 OFFLINE, 3 TAKEN", DK_IN(), DK_OUT(u8(state)))                    \
	X(struct mesh, DK_VER_NODE, 1021, "mesh.call", mesh_on_call, DK_ADMIN,                                                     \
	  "calls a command for operators by its name, with arguments as text", DK_IN(str16(name), strs(arguments)),                \
	  DK_OUT(rest(answer)))
#define MESH_DECL_(self, ver, cmd, name, fn, flags, help, in, out)                                                                 \
	int fn(self *, struct dk_call *DK_EACH_(DK_AC_, in));                                                                      \
	DK_CMD_BODY_(fn, flags, in, out)
MESH_COMMANDS(MESH_DECL_, MESH_DECL_)

/* ---- mesh_call.c ---- */
/* Runs a unit that came from p (or from a guest's contact), late_ms after it was written. False: it is malformed. */
bool call_run(struct mesh *m, struct peer *p, const struct dk_addr *from, struct contact *guest, const struct wire_unit *u,
	      uint32_t late_ms);
int call_request(struct dk_carrier *c, void *self, const struct dk_addr *to, uint8_t ver, uint16_t cmd, dk_slice payload,
		 uint32_t timeout_ms, dk_carrier_done_fn *done, void *arg, dk_id *ret_request);
void call_cancel(struct dk_carrier *c, dk_id request);
void call_reset(struct mesh *m, struct peer *p); /* what an earlier life of p was asked ends with -ECONNRESET */
void call_expired(struct mesh *m, uint64_t wire_id, bool written); /* it was taken out of the queue */
void call_stop_self(void *self, void *mesh);
void call_fini(struct mesh *m);

/* ---- mesh_tree.c ---- */
size_t tree_send(struct dk_carrier *c, const struct dk_addr *to, size_t n, unsigned fanout, uint8_t ver, uint16_t cmd,
		 dk_slice payload, unsigned how);
bool tree_run(struct mesh *m, const struct wire_unit *u); /* a relay's unit; false: malformed */
void tree_fini(struct mesh *m);

#endif
