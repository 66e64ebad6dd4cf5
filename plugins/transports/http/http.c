/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin http: an HTTP/1.1 server on which other plugins register routes. It owns the listener, the connections and their
 * limits, parsing and refusing; it knows nothing of what the routes do. The server speaks plain HTTP: TLS is for what stands
 * in front of it.
 *
 * Invariants: a handler sees whole, well-formed requests only; a connection has one request under way, so answers go out in
 * order; each request is answered exactly once, by the handler, or by the server when the handler fails or is late.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "http_server.h"

#define PORT_SCAN 1000 /* ports tried above the configured one unless it is fixed */

static struct http *http_of(struct dk_http *svc)
{
	return dk_container_of(svc, struct http, service);
}

/* ---- service ---- */

/* Runs when the plugin of the route stops. */
static void undo_route(void *self, void *arg)
{
	struct http_route *route = arg, **link;
	struct http *http = route->http;
	struct http_pending *p;
	uint32_t slot = 0;
	dk_id id;

	(void)self;
	while ((p = dk_table_next(&http->pending, &slot, &id)) != NULL)
		if (p->route == route)
			http_answer_error(p->conn, 503, dk_str_n(NULL, 0), "this node is shutting down");
	for (link = &http->routes; *link != route;)
		link = &(*link)->next;
	*link = route->next;
	dk_free(http, route, sizeof(*route));
}

static int add_route(struct dk_http *svc, void *self, const char *method, const char *pattern, const char *help,
		     int (*handler)(void *self, struct dk_http_request *req))
{
	struct http *http = http_of(svc);
	struct http_route **link = &http->routes, *route;
	int diff = -1, rc;

	if (!http_pattern_valid(pattern)) {
		dk_log(self, DK_ERROR, "the route pattern %s is not a path like /a/{name=example}", pattern);
		return -EINVAL;
	}
	for (; *link; link = &(*link)->next) {
		diff = http_pattern_compare((*link)->pattern, pattern);
		if (diff == 0 && strcmp((*link)->method, method) == 0)
			return DK_EXISTS;
		if (diff > 0)
			break;
	}
	route = dk_alloc(http, sizeof(*route));
	if (!route)
		return -ENOMEM;
	*route = (struct http_route){ *link, self, method, pattern, help, handler, http };
	rc = dk_own(self, undo_route, route, "http route");
	if (rc < 0) {
		dk_free(http, route, sizeof(*route));
		return rc;
	}
	*link = route;
	return 0;
}

struct http_route *http_find_route(struct http *http, dk_str method, const struct http_path *path)
{
	bool head = dk_str_eq(method, dk_str_c("HEAD"));
	struct http_route *get = NULL, *r;

	for (r = http->routes; r; r = r->next) {
		bool same = dk_str_eq(method, dk_str_c(r->method));

		if ((!same && (!head || get || strcmp(r->method, "GET") != 0)) || !http_pattern_match(r->pattern, path))
			continue;
		if (same)
			return r;
		get = r;
	}
	return get;
}

static dk_str param(struct dk_http *svc, const struct dk_http_request *req, const char *name)
{
	const struct http_exchange *x = req->priv;

	(void)svc;
	return http_pattern_param(x->route->pattern, &x->path, name);
}

static dk_str header(struct dk_http *svc, const struct dk_http_request *req, const char *name)
{
	const struct http_exchange *x = req->priv;

	(void)svc;
	return http_head_field(&x->conn->work->head, x->conn->in + x->conn->at, name);
}

static int respond(struct dk_http *svc, dk_id request, int status, const char *type, dk_str extra, dk_slice body)
{
	struct http_pending *p = dk_table_get(&http_of(svc)->pending, request);

	if (!p)
		return DK_GONE;
	http_answer(p->conn, status, type, extra, body);
	return 0;
}

static int error(struct dk_http *svc, dk_id request, int status, const char *fmt, ...)
{
	struct http_pending *p = dk_table_get(&http_of(svc)->pending, request);
	char sentence[768];
	va_list ap;

	if (!p)
		return DK_GONE;
	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	http_answer_error(p->conn, status, dk_str_n(NULL, 0), sentence);
	return 0;
}

/* ---- phases ---- */

static int http_init(void *self)
{
	struct http *http = self;

	http->service.route = add_route;
	http->service.param = param;
	http->service.header = header;
	http->service.respond = respond;
	http->service.error = error;
	http->service.keys = ((const struct http_conf *)http->base.conf)->enable_encryption;
	http->idle.last = &http->idle.first;
	http->busy.last = &http->busy.first;
	http->date_s = UINT64_MAX;
	dk_pool_init(http, &http->conns, sizeof(struct http_conn), 0, "http connection");
	dk_pool_init(http, &http->works, sizeof(struct http_work), 0, "http request");
	dk_pool_init(http, &http->origin_pool, sizeof(struct http_origin), 0, "http client address");
	dk_table_init(http, &http->pending, DK_KIND_REQUEST, sizeof(struct http_pending), 0, "http request without answer");
	return http_add_pages(http);
}

static bool is_inside(const struct dk_addr *a)
{
	if (a->family == 4)
		return a->ip[0] == 127 || a->ip[0] == 10 || (a->ip[0] == 172 && (a->ip[1] & 0xf0) == 16) ||
		       (a->ip[0] == 192 && a->ip[1] == 168) || (a->ip[0] == 169 && a->ip[1] == 254) ||
		       (a->ip[0] == 100 && (a->ip[1] & 0xc0) == 64);
	for (int i = 0; i < 15; i++)
		if (a->ip[i])
			return (a->ip[0] & 0xfe) == 0xfc || (a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80);
	return a->ip[15] == 1;
}

static int http_start(void *self)
{
	struct http *http = self;
	const struct http_conf *conf = http->base.conf;
	uint16_t port = (uint16_t)conf->port;
	struct dk_listen_opts opts = { .no_delay = true, .max_output = 4 * 1024 * 1024 };
	char text[DK_ADDR_TEXT];
	int rc;

	if (conf->address && *conf->address) {
		rc = dk_addr_parse(dk_str_c(conf->address), port, &opts.bind);
		if (rc < 0) {
			dk_log(http, DK_ERROR,
			       "address is \"%s\"; expected an IP address to listen on, such as 127.0.0.1 or 0.0.0.0",
			       conf->address);
			return rc;
		}
	} else {
		rc = dk_addr_of_nic(http, conf->nic, &opts.bind);
		if (rc != 0) {
			dk_log(http, DK_ERROR,
			       "address is empty and the network interface nic = \"%s\" has no address; set one of them",
			       conf->nic);
			return rc < 0 ? rc : -ENODEV;
		}
		opts.bind.port = port;
	}
	if (!conf->use_fixed_port && port)
		opts.scan = (uint16_t)(65535 - port < PORT_SCAN ? 65535 - port : PORT_SCAN);
	rc = dk_listen(http, &opts, &http_stream_ops, http_accept, &http->listener);
	if (rc < 0) {
		dk_addr_format(&opts.bind, text);
		dk_log(http, DK_ERROR, "cannot listen on %s%s: %s; set port or address, or end what holds it", text,
		       opts.scan ? " nor on the ports above it" : "", dk_err_text(rc));
		return rc;
	}
	if (!is_inside(dk_listener_addr(http->listener))) {
		dk_addr_format(dk_listener_addr(http->listener), text);
		dk_log(http, DK_WARN,
		       "plain HTTP on %s may be reached from anywhere, and keys travel over it: put TLS and your own servers "
		       "in front of it",
		       text);
	}
	dk_announce(http, "HTTP", dk_listener_addr(http->listener), false);
	return 0;
}

static void http_started(void *self)
{
	struct http *http = self;

	http->started = true;
}

static void http_stop(void *self, struct dk_step *step)
{
	struct http *http = self;

	http->stopping = true;
	dk_listener_close(http->listener);
	http->listener = NULL;
	http_close_all(http);
	dk_step_done(step, 0);
}

static void http_fini(void *self)
{
	struct http *http = self;

	dk_table_fini(&http->pending);
	dk_pool_fini(&http->origin_pool);
	dk_pool_fini(&http->works);
	dk_pool_fini(&http->conns);
}

/* ---- the plugin ---- */

static const struct dk_option http_options[] = {
	DK_STR(struct http_conf, address, "address", "127.0.0.1", "IP address to listen on; empty: that of nic"),
	DK_STR(struct http_conf, nic, "nic", "eth0", "network interface whose address to take when address is empty"),
	DK_INT(struct http_conf, port, "port", "7000", 0, 65535, "port to listen on; while taken, the next ones are tried; 0: any"),
	DK_BOOL(struct http_conf, use_fixed_port, "useFixedPort", "false",
		"fail when the port is taken instead of trying the next ones"),
	DK_BOOL(struct http_conf, enable_encryption, "enableEncryption", "true",
		"false: the endpoint plugin hands out no keys, as if it said so itself"),
	DK_INT(struct http_conf, timeout, "timeout", "5", 1, 300, "a request not answered by then is answered 503", .unit = "s",
	       .flags = DK_RELOADABLE),
	DK_STR(struct http_conf, allow_origin, "allow_origin", "",
	       "web pages of these origins (separated by blanks; *: all) may call this server; empty: none (CORS is off)",
	       .flags = DK_RELOADABLE),
	DK_INT(struct http_conf, idle_s, "idle_s", "60", 1, 3600, "a connection without a request is kept so long", .unit = "s",
	       .flags = DK_RELOADABLE),
	DK_INT(struct http_conf, max_connections, "max_connections", "1024", 1, 1000000,
	       "connections in all; beyond, the one idle for longest is closed, or the new one refused", .flags = DK_RELOADABLE),
	DK_INT(struct http_conf, max_connections_per_address, "max_connections_per_address", "128", 1, 1000000,
	       "the same for one client address (IPv6: one /64)", .flags = DK_RELOADABLE),
	DK_BOOL(struct http_conf, start_page, "start_page", "true", "GET / shows what runs here"),
	{ .name = NULL },
};

static const struct dk_counter http_counters[] = {
	DK_GAUGE(struct http, connections, "connections open now"),
	DK_COUNTER(struct http, accepted, "connections accepted"),
	DK_COUNTER(struct http, requests, "whole requests read"),
	DK_COUNTER(struct http, ok, "answers with a status below 400"),
	DK_COUNTER(struct http, client_errors, "answers 400 to 499"),
	DK_COUNTER(struct http, server_errors, "answers 500 and above"),
	DK_COUNTER(struct http, no_route, "404: nothing at that path"),
	DK_COUNTER(struct http, no_method, "405: the path has no such method"),
	DK_COUNTER(struct http, not_started, "503: came before the node had started"),
	DK_COUNTER(struct http, answer_late, "503: the handler did not answer in time"),
	DK_COUNTER(struct http, head_late, "408: the head was not whole in time"),
	DK_COUNTER(struct http, body_late, "408: the body was not whole in time"),
	DK_COUNTER(struct http, output_late, "closed: the client did not take its answers in time"),
	DK_COUNTER(struct http, output_full, "closed: an answer did not fit into the output"),
	DK_COUNTER(struct http, input_full, "closed: too much came at once"),
	DK_COUNTER(struct http, refused_connections, "connections refused: max_connections reached"),
	DK_COUNTER(struct http, refused_address, "connections refused: max_connections_per_address reached"),
	DK_COUNTER(struct http, closed_for_others, "idle connections closed to make room"),
	DK_COUNTER(struct http, no_memory, "refused or closed for want of memory"),
#define X(name, status, text) DK_COUNTER(struct http, refused_##name, #status ": " text),
	HTTP_REFUSALS(X)
#undef X
		{ .name = NULL },
};

static const struct dk_provide http_provides[] = { DK_PROVIDE(struct http, service, DK_HTTP), { .name = NULL } };

static const struct dk_ops http_ops = {
	.init = http_init,
	.start = http_start,
	.started = http_started,
	.stop = http_stop,
	.fini = http_fini,
};

DK_PLUGIN(http) = {
	DK_PLUGIN_HEAD("http", "1.0.0", "HTTP server: routes of other plugins, health check, start page"),
	.self_size = sizeof(struct http),
	.conf_size = sizeof(struct http_conf),
	.provides = http_provides,
	.options = http_options,
	.counters = http_counters,
	.ops = &http_ops,
};
