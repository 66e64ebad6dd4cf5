/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "http": routes on the node's HTTP port. A route's handler answers now, or returns DK_LATER and answers by the
 * request's id. Limits (head 8 KiB, body 64 KiB, deadlines, connections) are the server's; a handler only ever sees whole,
 * well-formed requests. Errors are JSON, {"error":"<sentence>","status":<status>}, for all routes alike.
 */
#ifndef DIARKIS_HTTP_H
#define DIARKIS_HTTP_H

#include <diarkis/service.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_HTTP_NAME "http"
#define DK_HTTP_MAJOR 1
#define DK_HTTP_MINOR 0
#define DK_HTTP_TYPE struct dk_http

/* Valid, with all that it points to, until the handler returns; across time keep the id alone. */
struct dk_http_request {
	dk_id id;
	dk_str method, path, query; /* path percent-decoded once, query as sent */
	dk_slice body;
	const struct dk_addr *from;
	void *priv;
};

struct dk_http {
	struct dk_service base;

	/* pattern: "/endpoint/type/{type=UDP}/user/{uid=alice}"; a name in braces takes one path segment, which may be empty;
	 * what follows "=" is an example for the start page. A literal segment goes before a name. method: "GET" (HEAD goes
	 * there too unless it has a route of its own; the answer's body is left out). help: one line for the start page, or
	 * NULL to leave the route out of it. All static. The handler returns 0 (answered), DK_LATER, or < 0 (answered 500). A
	 * DK_LATER that is not answered within the option `timeout` is answered 503. Returns 0, DK_EXISTS (method and pattern
	 * taken) or <0. The route goes when `self` stops; requests that still wait for it are answered 503. */
	int (*route)(struct dk_http *svc, void *self, const char *method, const char *pattern, const char *help,
		     int (*handler)(void *self, struct dk_http_request *req));
	/* The segment that a braced name took, percent-decoded once; empty when there is none. Borrowed. */
	dk_str (*param)(struct dk_http *svc, const struct dk_http_request *req, const char *name);
	/* A header's value, name without regard to case, the first where there are several; p NULL when absent. Borrowed. */
	dk_str (*header)(struct dk_http *svc, const struct dk_http_request *req, const char *name);
	/* Answers, once; everything is copied. type: "application/json". extra: more header lines, each ended by CR LF, or empty.
	 * Returns 0 or DK_GONE (the client left, the time was up, it was answered before). */
	int (*respond)(struct dk_http *svc, dk_id request, int status, const char *type, dk_str extra, dk_slice body);
	/* {"error":"<sentence>","status":<status>}. Returns 0 or DK_GONE. */
	int (*error)(struct dk_http *svc, dk_id request, int status, const char *fmt, ...) DK_PRINTF(4, 5);
	/* The option enableEncryption: false = whoever hands out keys on this server hands out none. Set before its users' init. */
	bool keys;
};

#ifdef __cplusplus
}
#endif

#endif
