/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transports under a test's hand: a node with one transport and, in the place of the plugin user, a sink that writes down what it
 * is told; and clients made of wire/ itself on scripted sockets, beside which a test may say any bytes it likes. What happened is
 * compared as text, one line per event.
 */
#ifndef SIM_ENDS_H
#define SIM_ENDS_H

#include <diarkis/mem_transport.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>
#include <diarkis/transport.h>
#include <diarkis/user.h>

#include "wire/frame.h"
#include "wire/peer.h"
#include "wire/stream.h"

/* ---- above the transport ---- */

/*
 * Lines: "opened NAME[ again]", "frame NAME VER.CMD PAYLOAD[!]" (! = reliable), "moved NAME ADDRESS", "closed NAME REASON" (client,
 * silence, ...), "echo NAME LOCALS". NAME is the number that the peer was admitted under.
 */
struct sink {
	struct dk_self base;
	struct dk_transport *transport;
	struct dk_user *user;
	struct dk_peer_sink api;
	char log[16384];
	size_t log_n;
	bool mute; /* frames are counted only */
	uint64_t frames;
	uint64_t busy; /* the node does not stop before this is 0 */
	const char *notes; /* put on echo replies */
	void (*inside)(struct sink *s, const char *what, uint64_t name, dk_id peer); /* called from inside each event */
	void *arg;
	struct dk_timer turn; /* gives the node a turn in which to send what the test asked for */
};
extern DK_API const struct dk_plugin_desc dk_plugin_sink;
/*
 * With the plugin user above the transport, this one stands above that: "connected UID[ again]",
 * "moved UID ADDRESS", "discarded UID REASON", "alive UID" (which puts the notes on the reply).
 * Its command 2.1 answers what it got and writes "call UID PAYLOAD"; 2.5 disconnects who calls it.
 */
extern DK_API const struct dk_plugin_desc dk_plugin_ear;

/* ---- a node and its clients ---- */

struct end;
struct stage {
	struct dk_env *world;
	struct dk_harness *node;
	struct sink *sink;
	struct dk_transport *transport;
	struct wire_ctx *ctx; /* of the clients */
	struct end *ends;
	const char *instance;
	struct dk_addr server;
	uint64_t chance;
	bool encrypted;
};

/* section: of the transport's instance, "udp = { ... };", and of others. With one of the plugin user, that stands above the
 * transport, and in the place of the sink there is the ear. Fails the test when the node does not start. */
void stage_open(struct stage *s, const char *instance, const char *section);
void stage_close(struct stage *s); /* stops the node; fails the test when it left anything */
void stage_run(struct stage *s, uint64_t ms);
int64_t stage_count(const struct stage *s, const char *counter);
/* What the sink has written since the last look. */
void stage_expect(struct stage *s, const char *lines);
void stage_forget(struct stage *s);
/* Writes json, options of the instance, to the file that its section names as `config`. With a stage it is read at once, as by
 * SIGHUP, and must be good; without one it is for a stage to be opened. */
void stage_options(struct stage *s, const char *file, const char *json);

struct dk_credential stage_cred(const struct stage *s, unsigned name);
dk_id stage_admit(struct stage *s, unsigned name);
struct dk_credential stage_user(struct stage *s, const char *uid, dk_id *ret_user); /* creates one */
int stage_push(struct stage *s, dk_id peer, const char *text, unsigned how); /* ver 2 cmd 9 */
int stage_respond(struct stage *s, dk_id peer, const char *text, unsigned how); /* ver 2 cmd 10 */

/*
 * One client. Its lines: "STATUS VER.CMD PAYLOAD[!]" with STATUS ok, bad, err or push; the elements of a push stand between bars;
 * "echo STATE ADDRESS NOTES"; "ping STATE"; "opened"; "closed"; over TCP also "ended" and "broken".
 */
struct end {
	struct end *next;
	struct stage *stage;
	struct dk_credential cred;
	struct dk_addr server;
	struct dk_sim_udp *udp;
	struct dk_sim_tcp *tcp;
	struct dk_mem *mem;
	struct dk_mem_client *client; /* mem */
	struct wire_peer peer;
	struct wire_stream stream;
	struct wire_events ev;
	bool asleep; /* nothing is read, sent or repeated */
	bool mute; /* frames are counted only */
	bool over;
	uint64_t frames, datagrams_in, bytes_in, bytes_out;
	char log[16384];
	size_t log_n;
};
struct end *end_udp(struct stage *s, const struct dk_credential *cred, const char *bind);
struct end *end_tcp(struct stage *s, const struct dk_credential *cred, const char *bind);
struct end *end_mem(struct stage *s, const struct dk_credential *cred); /* its echoes are answered "echo 0 - NOTES" */
/* UDP: says SYN. */
void end_open(struct end *e);
/* Of the peer admitted under that name; UDP: open when this returns. */
struct end *end_opened(struct stage *s, unsigned name, const char *bind);
/* UDP: speaks from another address from now on. */
void end_move(struct end *e, const char *bind);
int end_say(struct end *e, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how);
int end_text(struct end *e, const char *text, unsigned how); /* ver 2 cmd 1 */
void end_raw(struct end *e, dk_slice bytes); /* these very bytes */
void end_expect(struct end *e, const char *lines);
void end_look(struct end *e); /* brings its log up to date: for who compares by themselves */
void end_forget(struct end *e);
void end_free(struct end *e); /* without a word */

/* ---- bytes by hand ---- */

struct raw {
	size_t n;
	uint8_t b[2048];
};
static inline dk_slice raw_slice(const struct raw *r)
{
	return dk_slice_n(r->b, r->n);
}
#define text_slice(text) dk_slice_n((text), strlen(text))
/* An upward frame, sealed if the credential says so. */
struct raw raw_frame(struct stage *s, const struct dk_credential *cred, uint8_t ver, uint16_t cmd, dk_slice payload);
/* The same behind a datagram's header. */
struct raw raw_datagram(struct stage *s, const struct dk_credential *cred, uint32_t seq, enum wire_flag flag, uint8_t ver,
			uint16_t cmd, dk_slice payload);
/* SYN, ACK, EACK or FIN with a sid. */
struct raw raw_control(const uint8_t *sid, uint32_t seq, enum wire_flag flag);
/* A chunk, wrapped as clients do. */
struct raw raw_chunk(const uint8_t *sid, uint32_t seq, uint16_t set, uint16_t index, uint16_t count, dk_slice bytes);

#endif
