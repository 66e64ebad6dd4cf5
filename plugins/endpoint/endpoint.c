/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin endpoint: the HTTP API by which an application server gets a place for one of its users. A request makes a user, on
 * this node or one of its cluster, and answers where its client is to connect, and with which sid and keys. Nobody is
 * authenticated: the uid is what the application server vouches for, so this API is for application servers, not for game clients.
 *
 * Invariants: a request that is answered with an error leaves no user behind on this node; on another one what it may leave
 * waits for a client that never comes. Keys appear in the answer and nowhere else.
 */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "endpoint_state.h"

bool endpoint_keys(const struct endpoint *ep)
{
	return endpoint_conf(ep)->enable_encryption && ep->http->keys;
}

static struct dk_transport *by_role(const struct endpoint *ep, const char *role)
{
	for (size_t i = 0; i < ep->transports.n; i++)
		if (strcmp(ep->transports.at[i]->role, role) == 0)
			return ep->transports.at[i];
	return NULL;
}

/* ---- refusals ---- */

static int refuse_type(struct endpoint *ep, dk_id request, dk_str type)
{
	char known[256] = "";
	size_t n = 0;

	ep->n.refused_type++;
	for (size_t i = 0; i < ep->transports.n && n < sizeof(known); i++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "", ep->transports.at[i]->type);
	if (!n)
		return ep->http->error(ep->http, request, 404, "this node has no realtime server; switch one on, such as udp");
	return ep->http->error(ep->http, request, 404, "there is no server type %.*s here; known: %s",
			       (int)(type.n < 64 ? type.n : 64), type.p ? type.p : "", known);
}

static int refuse_state(struct endpoint *ep, dk_id request)
{
	ep->n.refused_state++;
	return ep->http->error(ep->http, request, 503, "this node is %s and takes no new users; ask another one",
			       dk_node_state(ep) == DK_TAKEN ? "TAKEN" : "OFFLINE");
}

int endpoint_refuse(struct endpoint *ep, dk_id request, const char *where, int rc)
{
	struct dk_http *http = ep->http;

	switch (rc) {
	case DK_USER_BAD_UID:
		ep->n.refused_uid++;
		return http->error(http, request, 400, "the user id must have 1 to %d bytes and no control characters", DK_UID_MAX);
	case DK_REFUSED:
		ep->n.refused_state++;
		return http->error(http, request, 503, "%s takes no new users now; ask another one", where);
	case DK_FULL:
		ep->n.refused_full++;
		return http->error(http, request, 503, "%s is full; ask another one", where);
	default:
		ep->n.failed++;
		dk_log(ep, DK_ERROR, "%s could not make a user for an endpoint request: %s", where,
		       rc < 0 ? dk_err_text(rc) : "refused");
		return http->error(http, request, 500, "no user could be made; the server's log says why");
	}
}

/* ---- requests ---- */

static void fill_place(const struct endpoint *ep, struct dk_transport *t, struct endpoint_place *p)
{
	const char *host;
	uint16_t port;

	memset(p, 0, sizeof(*p));
	/* Of several of one role the one that admits the user, else the first. */
	for (size_t i = ep->transports.n + 1; i-- > 0;) {
		struct dk_transport *at = i < ep->transports.n ? ep->transports.at[i] : t;
		char *field = endpoint_role_field(p, at->role);

		if (!field || (strcmp(at->role, t->role) == 0 && at != t))
			continue;
		at->endpoint(at, &host, &port);
		endpoint_address(field, host, port);
	}
	t->endpoint(t, &host, &port);
	p->port = port;
	snprintf(p->host, sizeof(p->host), "%s", host);
	snprintf(p->type, sizeof(p->type), "%s", t->type);
}

int endpoint_create_here(struct endpoint *ep, const struct endpoint_wish *w)
{
	struct dk_transport *t = ep->user->transport(ep->user, w->type);
	struct dk_user_prop props[ENDPOINT_PROPS_MAX];
	struct endpoint_place place;
	struct dk_credential cred;
	dk_id user;
	int rc;

	if (!t)
		return refuse_type(ep, w->request, w->type);
	rc = ep->user->create_with(ep->user, w->uid, w->type, props, endpoint_props_list(w->props, props), &cred, &user);
	if (rc)
		return rc == DK_REFUSED ? refuse_state(ep, w->request) : endpoint_refuse(ep, w->request, "this node", rc);
	ep->n.created++;
	fill_place(ep, t, &place);
	rc = endpoint_answer(ep, w->request, w->v1, &place, &cred);
	explicit_bzero(&cred, sizeof(cred));
	return rc;
}

int endpoint_serve(struct endpoint *ep, const struct dk_http_request *req, dk_str type, bool v1, const struct dk_addr *node)
{
	struct dk_http *http = ep->http;
	dk_str key = http->header(http, req, "ClientKey"), version = http->header(http, req, "ResponseVersion");
	bool post = dk_str_eq(req->method, dk_str_c("POST"));
	struct endpoint_wish w = { .request = req->id, .uid = http->param(http, req, "uid"), .type = type, .node = node };
	struct endpoint_props props;
	int rc;

	if (dk_str_eq(req->method, dk_str_c("HEAD")))
		return http->error(http, req->id, 405, "HEAD would make a user and hide its keys; use GET or POST");
	if (!ep->user->client_key_ok(ep->user, dk_slice_of(key))) {
		ep->n.refused_client_key++;
		return http->error(http, req->id, 400, "the ClientKey header %s",
				   key.p ? "holds another key than this server's" : "is missing; this server asks for one");
	}
	w.v1 = v1 || endpoint_conf(ep)->force_v1 || (version.n == 2 && strncasecmp(version.p, "v1", 2) == 0);
	w.content_type = http->header(http, req, "Content-Type");
	w.body = post ? req->body : dk_slice_n(NULL, 0);
	w.props = &props;
	if (endpoint_props_read(&props, w.content_type, w.body)) {
		rc = ep->cluster ? endpoint_create_somewhere(ep, &w) : endpoint_create_here(ep, &w);
	} else {
		ep->n.refused_body++;
		rc = http->error(http, req->id, 400, "%s", props.why);
	}
	endpoint_props_fini(&props);
	return rc;
}

static int on_endpoint(void *self, struct dk_http_request *req)
{
	struct endpoint *ep = self;

	return endpoint_serve(ep, req, ep->http->param(ep->http, req, "type"), false, NULL);
}

static int on_old_endpoint(void *self, struct dk_http_request *req)
{
	struct endpoint *ep = self;

	return endpoint_serve(ep, req, ep->http->param(ep->http, req, "type"), true, NULL);
}

/* One user has one connection, so one transport must be chosen for a client that did not choose. */
static int on_auth(void *self, struct dk_http_request *req)
{
	struct endpoint *ep = self;
	const struct dk_transport *t = by_role(ep, "UDP");
	dk_str type;

	if (!t)
		t = by_role(ep, "TCP");
	if (!t && ep->transports.n)
		t = ep->transports.at[0];
	type = ep->cluster ? endpoint_default_type(ep) : dk_str_c(t ? t->type : NULL);
	return endpoint_serve(ep, req, type.n ? type : dk_str_c("UDP"), true, NULL);
}

/* ---- phases ---- */

struct route {
	const char *method, *pattern, *help;
	int (*handler)(void *self, struct dk_http_request *req);
};

static int add_routes(struct endpoint *ep, const struct route *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc = ep->http->route(ep->http, ep, r[i].method, r[i].pattern, r[i].help, r[i].handler);

		if (rc == DK_EXISTS)
			dk_log(ep, DK_ERROR, "another plugin serves %s %s; only one of them can be on", r[i].method, r[i].pattern);
		if (rc)
			return rc < 0 ? rc : -EEXIST;
	}
	return 0;
}

static int endpoint_init(void *self)
{
	static const struct route routes[] = {
		{ "GET", "/endpoint/type/{type=UDP}/user/{uid=alice}", "makes a user; answers where it connects, its sid and keys",
		  on_endpoint },
		{ "POST", "/endpoint/type/{type=UDP}/user/{uid=alice}",
		  "the same; the body is its first properties, a=b&c=d or JSON", on_endpoint },
		{ "GET", "/endpoint/{type}/user/{uid}", NULL, on_old_endpoint },
		{ "POST", "/endpoint/{type}/user/{uid}", NULL, on_old_endpoint },
		{ "GET", "/auth/{uid}", NULL, on_auth },
		{ "POST", "/auth/{uid}", NULL, on_auth },
		{ "GET", "/state/noderole/{role=UDP}", "how many nodes of a role are ONLINE, TAKEN, OFFLINE",
		  endpoint_on_noderole },
	};
	static const struct route debug[] = {
		{ "GET", "/debug/server/list/type/{type=UDP}", "the nodes of a type", endpoint_on_list },
		{ "GET", "/debug/endpoint/type/{type=UDP}/user/{uid=alice}/address/{address=127.0.0.1:8000}",
		  "makes a user on that node", endpoint_on_debug },
		{ "POST", "/debug/endpoint/type/{type}/user/{uid}/address/{address}", NULL, endpoint_on_debug },
	};
	struct endpoint *ep = self;
	int rc = add_routes(ep, routes, DK_ARRAY_LEN(routes));

	return rc || !endpoint_conf(ep)->debug_api ? rc : add_routes(ep, debug, DK_ARRAY_LEN(debug));
}

static int endpoint_start(void *self)
{
	struct endpoint *ep = self;
	bool mine = endpoint_keys(ep);
	const char *where = endpoint_conf(ep)->enable_encryption && !mine ? ep->http->base.instance : dk_instance(ep);
	int rc = 0;

	for (size_t i = 0; i < ep->transports.n; i++) {
		const struct dk_transport *t = ep->transports.at[i];

		if (t->encrypted == mine)
			continue;
		dk_log(ep, DK_ERROR, "enableEncryption is %s in %s and %s in %s: clients could not talk; set both to the same",
		       mine ? "true" : "false", where, mine ? "false" : "true", t->base.instance);
		rc = -EINVAL;
	}
	if (!ep->transports.n && !ep->cluster)
		dk_log(ep, DK_WARN,
		       "no transport is on, so every endpoint request will be answered 404; switch one on, such as udp");
	return rc;
}

static void endpoint_fini(void *self)
{
	endpoint_nodes_fini(self);
}

/* ---- the plugin ---- */

static const struct dk_need endpoint_needs[] = {
	DK_NEED(struct endpoint, http, DK_HTTP),
	DK_NEED(struct endpoint, user, DK_USER),
	DK_EACH_OF(struct endpoint, transports, DK_TRANSPORT),
	DK_WANT(struct endpoint, cluster, DK_CLUSTER),
	{ .name = NULL },
};

static const struct dk_option endpoint_options[] = {
	DK_BOOL(struct endpoint_conf, enable_encryption, "enableEncryption", "true",
		"clients get keys; must agree with every transport (checked at start)"),
	DK_BOOL(struct endpoint_conf, force_v1, "force_v1", "false", "answer in the v1 form whatever the request's header says",
		.flags = DK_RELOADABLE),
	DK_INT(struct endpoint_conf, node_timeout_ms, "node_timeout_ms", "1500", 10, 60000,
	       "how long another node may take to make a user; of two that are tried each", .unit = "ms", .flags = DK_RELOADABLE),
	DK_BOOL(struct endpoint_conf, debug_api, "debug_api", "false",
		"serve /debug/server/list and /debug/endpoint: who reaches this port sees the nodes and chooses among them"),
	{ .name = NULL },
};

static const struct dk_counter endpoint_counters[] = {
	DK_COUNTER(struct endpoint, created, "users made"),
	DK_COUNTER(struct endpoint, refused_client_key, "400: ClientKey header missing or wrong"),
	DK_COUNTER(struct endpoint, refused_type, "404: no such server type"),
	DK_COUNTER(struct endpoint, refused_uid, "400: bad user id"),
	DK_COUNTER(struct endpoint, refused_body, "400: properties not taken"),
	DK_COUNTER(struct endpoint, refused_state, "503: the node is OFFLINE or TAKEN"),
	DK_COUNTER(struct endpoint, refused_full, "503: the node is full"),
	DK_COUNTER(struct endpoint, refused_none, "503: no node of the type takes users"),
	DK_COUNTER(struct endpoint, second_try, "nodes tried after another one refused or did not answer"),
	DK_COUNTER(struct endpoint, no_answer, "504: the node did not answer"),
	DK_COUNTER(struct endpoint, mismatch, "503: enableEncryption differs between here and the node"),
	DK_COUNTER(struct endpoint, failed, "500: no user could be made"),
	{ .name = NULL },
};

static const struct dk_ops endpoint_ops = { .init = endpoint_init, .start = endpoint_start, .fini = endpoint_fini };

DK_PLUGIN(endpoint) = {
	DK_PLUGIN_HEAD("endpoint", "1.0.0", "HTTP API that hands out endpoints and keys to application servers"),
	.self_size = sizeof(struct endpoint),
	.conf_size = sizeof(struct endpoint_conf),
	.needs = endpoint_needs,
	.options = endpoint_options,
	.counters = endpoint_counters,
	.ops = &endpoint_ops,
};
