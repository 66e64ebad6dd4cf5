/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the plugin share: its state, a connection, a route. http.c holds the service and the phases, http_conn.c the
 * life of a connection, http_pages.c the pages that the plugin answers itself.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <diarkis/http.h>
#include <diarkis/plugin.h>

#include "http_head.h"
#include "http_route.h"

#define HTTP_HEAD_MS 5000 /* a head must be whole so long after its first byte, however it trickles */
#define HTTP_BODY_MS 10000 /* a body so long after its head */
#define HTTP_OUTPUT_MS 10000 /* output that nobody takes */
#define HTTP_LINGER_MS 2000 /* after the last answer: what still comes in is thrown away, so that the answer is not reset */

struct http_conf {
	const char *address, *nic, *allow_origin;
	int64_t port, timeout, idle_s, max_connections, max_connections_per_address;
	bool use_fixed_port, enable_encryption, start_page;
};

struct http_route {
	struct http_route *next;
	void *self;
	const char *method, *pattern, *help;
	int (*handler)(void *self, struct dk_http_request *req);
	struct http *http;
};

/* How many connections one address has. IPv6: one /64, because that is what one customer gets. */
struct http_origin {
	struct http_origin *next;
	uint8_t ip[16];
	uint32_t n;
};

/* A request being read or answered. Borrowed from a pool, so that an idle connection stays small. */
struct http_work {
	struct http_head head;
	size_t head_n;
	size_t read, put; /* body: next raw byte to decode, where decoded bytes end; offsets from the head */
};

enum http_state {
	CONN_IDLE, /* between requests, nothing has come; in the idle list */
	CONN_HEAD,
	CONN_BODY,
	CONN_HANDLER, /* a handler will answer */
	CONN_YIELD, /* has more to do, but others come first */
	CONN_BLOCKED, /* has more to do, but the client does not take its answers */
	CONN_LINGER,
	CONN_CLOSED /* close was asked for; its closed callback will come */
};

struct http_conn {
	struct http *http;
	struct dk_stream *stream;
	struct http_conn *next, **link; /* all, or the idle ones; newest last */
	struct http_origin *origin;
	struct http_work *work;
	struct dk_timer timer; /* of the state it is in */
	uint8_t *in; /* what came and is not done with; the current request begins at `at` */
	size_t in_n, in_cap, at;
	struct http_scan scan;
	dk_id request; /* the one that is being answered; 0 = none */
	uint8_t state; /* enum http_state */
	bool running, paused;
	bool fresh; /* nothing came yet: the first deadline counts from the accept */
	bool counted; /* in conn_n and in its origin */
};

/* A request that waits for its answer; the object behind dk_http_request.id. */
struct http_pending {
	struct http_conn *conn;
	struct http_route *route;
};

struct http_conn_list {
	struct http_conn *first, **last;
};

#define HTTP_ORIGIN_CHAINS 256 /* power of two */

struct http {
	struct dk_self base;
	struct dk_http service;
	struct dk_listener *listener;
	struct http_route *routes; /* most specific first */
	struct http_conn_list idle, busy; /* oldest first */
	struct dk_pool conns, works, origin_pool;
	struct dk_table pending;
	struct http_origin *origins[HTTP_ORIGIN_CHAINS];
	uint32_t conn_n;
	bool started, stopping;
	uint64_t date_s;
	char date[32];

	struct {
		int64_t connections;
		uint64_t accepted, requests, ok, client_errors, server_errors;
#define X(name, status, text) uint64_t refused_##name;
		HTTP_REFUSALS(X)
#undef X
		uint64_t refused_connections, refused_address, closed_for_others, head_late, body_late, answer_late, output_late;
		uint64_t output_full, input_full, no_route, no_method, not_started, no_memory;
	} n;
};

/* ---- http_conn.c ---- */
extern const struct dk_stream_ops http_stream_ops;
void http_accept(void *self, struct dk_listener *l, struct dk_stream *s);
/* Answers c's current request: writes head and body, then the connection goes on or lingers. */
void http_answer(struct http_conn *c, int status, const char *type, dk_str extra, dk_slice body);
void http_answer_error(struct http_conn *c, int status, dk_str extra, const char *sentence);
/* Asks all connections to end; what was answered is sent first. */
void http_close_all(struct http *http);

/* ---- http.c ---- */
/* The route of that method and path, or NULL. HEAD finds that of GET unless it has one of its own. */
struct http_route *http_find_route(struct http *http, dk_str method, const struct http_path *path);
/* Given to handlers in dk_http_request.priv. */
struct http_exchange {
	struct http_conn *conn;
	const struct http_route *route;
	struct http_path path;
};

/* ---- http_pages.c ---- */
int http_add_pages(struct http *http);
/* "Sun, 06 Nov 1994 08:49:37 GMT" of the running second. */
const char *http_date(struct http *http);
/* text as the inside of a JSON string, cut where buf ends; returns the length. Bytes that are not UTF-8 become question marks. */
size_t http_json_escape(char *buf, size_t cap, const char *text);

#endif
