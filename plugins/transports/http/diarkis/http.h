/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "http": routes on the node's HTTP port. A route's handler answers now, or returns DK_LATER and answers by the
 * request's id. Limits (head 8 KiB, body 64 KiB, deadlines, connections) are the server's; a handler only ever sees whole,
 * well-formed requests.
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

struct dk_http_request {
	dk_id id;
	dk_str method, path, query; /* path percent-decoded once, query as sent */
	dk_slice body;
	const struct dk_addr *from;
	void *priv;
};

struct dk_http {
	struct dk_service base;

	/* pattern: "/endpoint/type/{type}/user/{uid}"; a name in braces takes one path segment. method: "GET". help: one line
	 * for the start page, or NULL to leave the route out of it. All static. The handler returns 0 (answered), DK_LATER,
	 * or < 0 (answered 500). Returns 0, DK_EXISTS (method and pattern taken) or <0. The route goes when `self` stops. */
	int (*route)(struct dk_http *svc, void *self, const char *method, const char *pattern, const char *help,
		     int (*handler)(void *self, struct dk_http_request *req));
	/* The segment that a braced name took; empty when there is none. Borrowed. */
	dk_str (*param)(struct dk_http *svc, const struct dk_http_request *req, const char *name);
	/* A header's value, name without regard to case; p NULL when absent. Borrowed. */
	dk_str (*header)(struct dk_http *svc, const struct dk_http_request *req, const char *name);
	/* Answers, once. type: "application/json". extra: more header
	 * lines, each ended by CR LF, or empty. Returns 0 or DK_GONE. */
	int (*respond)(struct dk_http *svc, dk_id request, int status, const char *type, dk_str extra, dk_slice body);
	/* {"error":"<sentence>","status":<status>}. Returns 0 or DK_GONE. */
	int (*error)(struct dk_http *svc, dk_id request, int status, const char *fmt, ...) DK_PRINTF(4, 5);
};

#ifdef __cplusplus
}
#endif

#endif
