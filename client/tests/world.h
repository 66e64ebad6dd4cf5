/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client and up to three scripted servers on a virtual clock. The servers are wire objects in server role, so what the client
 * says is checked by the same code that real servers use; between them lie links that lose, double and reorder.
 */
#ifndef CLIENT_TESTS_WORLD_H
#define CLIENT_TESTS_WORLD_H

#include <diarkis/client.h>

#include "wire/peer.h"
#include "wire/stream.h"

#define WORLD_LOG 65536
#define WORLD_FLIGHT 8192
#define WORLD_SERVERS 3

struct world;

struct server {
	struct world *world;
	bool up, accepts; /* accepts: a sid that it knows */
	bool deaf; /* nothing from the client reaches it */
	bool lingers; /* TCP: does not close when its client does */
	struct wire_peer peer;
	struct wire_stream stream;
	struct dk_addr addr;
	uint8_t rest[65536];
	size_t rest_n;
	/* what the script does with a frame; NULL: answers an echo, nothing else */
	void (*frame)(struct server *s, const struct dk_frame *f, bool reliable);
	uint32_t frames, opened, closed, echoes;
	enum wire_reason reason; /* of the last end */
	uint8_t echo_state;
	dk_slice echo_notes;
	bool mute; /* no echo replies */
	dk_slice locals; /* of the last echo that had some */
	uint8_t locals_bytes[64];
};

struct flight {
	uint64_t at;
	uint64_t order;
	bool up;
	int server;
	uint16_t n;
	uint8_t bytes[WIRE_SLOT];
};

struct world {
	uint64_t now, order;
	uint64_t seed;
	struct dkc_ctx *ctx;
	struct dkc_client *client;
	struct wire_ctx *wire;
	struct server server[WORLD_SERVERS];
	struct wire_link up, down;
	struct flight *flight[WORLD_FLIGHT];
	int flights;
	int at; /* which server the client dialed; -1 */
	int try_at; /* which one it tries beside that; -1 */
	uint32_t tries;
	bool tcp, refuse_dial;
	struct dkc_endpoint endpoint;
	char log[WORLD_LOG]; /* one word per event */
	size_t log_n;
	uint32_t pushes, responses, echoes;
	uint32_t lose_up, lose_down; /* so many datagrams from the client, and to it, get lost now */
	void (*event)(struct world *w, const struct dkc_event *e);
	void *arg;
};

void world_init(struct world *w, bool tcp, const struct wire_link_opts *link, const struct dkc_opts *opts);
void world_fini(struct world *w);
/* Lets us microseconds pass. */
void world_run(struct world *w, uint64_t us);
/* Until the log contains a word, or 120 s have passed; true when it does. */
bool world_until(struct world *w, const char *word);
/* The second server comes up, on port 7101; the third, on port 7102. */
void world_second(struct world *w);
void world_third(struct world *w);
/* A server begins anew and knows the client's sid. */
void world_restart(struct world *w, int server);
void world_say(struct world *w, const char *fmt, ...) DK_PRINTF(2, 3);
void server_send(struct server *s, uint8_t ver, uint16_t cmd, uint8_t status, dk_slice payload, unsigned how);
static inline dk_slice text(const char *s)
{
	return dk_slice_of(dk_str_c(s));
}

#endif
