/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin endpoint: the HTTP API by which an application server gets a place for one of its users. A request makes a user on
 * this node and answers where its client is to connect, and with which sid and keys. Nobody is authenticated: the uid is what the
 * application server vouches for, so this API is for application servers, not for game clients.
 *
 * Invariants: a request that is answered with an error leaves no user behind; keys appear in the answer and nowhere else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <diarkis/http.h>
#include <diarkis/plugin.h>
#include <diarkis/user.h>
#include <diarkis/util.h>

#include "endpoint_props.h"

struct endpoint_conf {
	bool enable_encryption, force_v1;
};

struct endpoint {
	struct dk_self base;
	struct dk_http *http;
	struct dk_user *user;
	DK_LIST_OF(struct dk_transport) transports;

	struct {
		uint64_t created, refused_client_key, refused_type, refused_uid, refused_body, refused_state, refused_full, failed;
	} n;
};

static const struct endpoint_conf *conf_of(const struct endpoint *ep)
{
	return ep->base.conf;
}

/* ---- answers ---- */

struct hex {
	char text[33]; /* 16 bytes in lower case; empty without a key */
};

static struct hex hex_of(const uint8_t bytes[16], bool wanted)
{
	struct hex h = { "" };

	if (wanted)
		dk_hex_format(dk_slice_n(bytes, 16), h.text);
	return h;
}

static json_t *current_form(struct dk_transport *t, const struct dk_credential *cred)
{
	struct hex key = hex_of(cred->key, cred->encrypted), iv = hex_of(cred->iv, cred->encrypted);
	struct hex mac_key = hex_of(cred->mac_key, cred->encrypted), sid = hex_of(cred->sid, true);
	const char *host;
	uint16_t port;
	json_t *json;

	t->endpoint(t, &host, &port);
	json = json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:s}", "encryptionKey", key.text, "encryptionIV", iv.text, "encryptionMacKey",
			 mac_key.text, "serverType", t->type, "serverHost", host, "serverPort", (int)port, "sid", sid.text);
	explicit_bzero(&key, sizeof(key));
	explicit_bzero(&iv, sizeof(iv));
	explicit_bzero(&mac_key, sizeof(mac_key));
	return json;
}

static struct dk_transport *by_role(const struct endpoint *ep, const char *role)
{
	for (size_t i = 0; i < ep->transports.n; i++)
		if (strcmp(ep->transports.at[i]->role, role) == 0)
			return ep->transports.at[i];
	return NULL;
}

/* "1.2.3.4:7100"; empty when the node has no transport of that role. t: the one that admits the user, preferred among equals. */
static void address_of(const struct endpoint *ep, struct dk_transport *t, const char *role, char *buf, size_t cap)
{
	const char *host;
	uint16_t port;

	buf[0] = '\0';
	if (strcmp(t->role, role) != 0)
		t = by_role(ep, role);
	if (!t)
		return;
	t->endpoint(t, &host, &port);
	snprintf(buf, cap, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

static json_t *v1_form(const struct endpoint *ep, struct dk_transport *t, const struct dk_credential *cred)
{
	struct hex key = hex_of(cred->key, cred->encrypted), iv = hex_of(cred->iv, cred->encrypted);
	struct hex mac_key = hex_of(cred->mac_key, cred->encrypted), sid = hex_of(cred->sid, true);
	char ws[280], tcp[280], udp[280];
	json_t *json;

	address_of(ep, t, "WS", ws, sizeof(ws));
	address_of(ep, t, "TCP", tcp, sizeof(tcp));
	address_of(ep, t, "UDP", udp, sizeof(udp));
	json = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "WS", ws, "TCP", tcp, "UDP", udp, "sid", sid.text, "encryptionKey",
			 key.text, "encryptionIV", iv.text, "encryptionMacKey", mac_key.text);
	explicit_bzero(&key, sizeof(key));
	explicit_bzero(&iv, sizeof(iv));
	explicit_bzero(&mac_key, sizeof(mac_key));
	return json;
}

static int answer(struct endpoint *ep, const struct dk_http_request *req, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int rc = -ENOMEM;

	json_decref(json);
	if (text) {
		size_t n = strlen(text);

		text[n] = '\n'; /* people read it in terminals; its NUL is needed no more */
		rc = ep->http->respond(ep->http, req->id, 200, "application/json", dk_str_c("Cache-Control: no-store\r\n"),
				       dk_slice_n(text, n + 1));
		explicit_bzero(text, n + 1);
	}
	free(text);
	return rc;
}

static int refuse_type(struct endpoint *ep, const struct dk_http_request *req, dk_str type)
{
	char known[256] = "";
	size_t n = 0;

	ep->n.refused_type++;
	for (size_t i = 0; i < ep->transports.n && n < sizeof(known); i++)
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "", ep->transports.at[i]->type);
	if (!n)
		return ep->http->error(ep->http, req->id, 404, "this node has no realtime server; switch one on, such as udp");
	return ep->http->error(ep->http, req->id, 404, "there is no server type %.*s here; known: %s",
			       (int)(type.n < 64 ? type.n : 64), type.p ? type.p : "", known);
}

/* What an outcome of user->create() means to the caller. */
static int refuse_user(struct endpoint *ep, const struct dk_http_request *req, dk_str type, int rc)
{
	struct dk_http *http = ep->http;

	switch (rc) {
	case DK_USER_BAD_UID:
		ep->n.refused_uid++;
		return http->error(http, req->id, 400, "the user id must have 1 to %d bytes and no control characters", DK_UID_MAX);
	case DK_USER_NO_TRANSPORT:
		return refuse_type(ep, req, type);
	case DK_REFUSED:
		ep->n.refused_state++;
		return http->error(http, req->id, 503, "this node is %s and takes no new users; ask another one",
				   dk_node_state(ep) == DK_TAKEN ? "TAKEN" : "OFFLINE");
	case DK_FULL:
		ep->n.refused_full++;
		return http->error(http, req->id, 503, "this node is full; ask another one");
	default:
		ep->n.failed++;
		dk_log(ep, DK_ERROR, "no user could be made for an endpoint request: %s", rc < 0 ? dk_err_text(rc) : "refused");
		return http->error(http, req->id, 500, "no user could be made; the server's log says why");
	}
}

/* ---- requests ---- */

/* Returns 0, or an outcome or <0 of user->set(). */
static int set_props(struct endpoint *ep, dk_id user, const struct endpoint_props *props)
{
	int rc = 0;

	for (unsigned i = 0; i < props->n && rc == 0; i++)
		rc = ep->user->set(ep->user, user, props->at[i].name, &props->at[i].value);
	return rc;
}

static int create(struct endpoint *ep, const struct dk_http_request *req, dk_str type, bool v1, const struct endpoint_props *props)
{
	dk_str uid = ep->http->param(ep->http, req, "uid");
	struct dk_transport *t = ep->user->transport(ep->user, type);
	struct dk_credential cred;
	dk_id user;
	int rc;

	if (!t)
		return refuse_type(ep, req, type);
	rc = ep->user->create(ep->user, uid, type, &cred, &user);
	if (rc)
		return refuse_user(ep, req, type, rc);
	rc = set_props(ep, user, props);
	if (rc) {
		ep->user->disconnect(ep->user, user, DK_REASON_SERVER);
		rc = refuse_user(ep, req, type, rc < 0 ? rc : -ENOMEM);
	} else {
		ep->n.created++;
		rc = answer(ep, req, v1 ? v1_form(ep, t, &cred) : current_form(t, &cred));
	}
	explicit_bzero(&cred, sizeof(cred));
	return rc;
}

static int serve(struct endpoint *ep, const struct dk_http_request *req, dk_str type, bool v1)
{
	struct dk_http *http = ep->http;
	dk_str key = http->header(http, req, "ClientKey"), version = http->header(http, req, "ResponseVersion");
	bool post = dk_str_eq(req->method, dk_str_c("POST"));
	struct endpoint_props props;
	int rc;

	if (dk_str_eq(req->method, dk_str_c("HEAD")))
		return http->error(http, req->id, 405, "HEAD would make a user and hide its keys; use GET or POST");
	if (!ep->user->client_key_ok(ep->user, dk_slice_of(key))) {
		ep->n.refused_client_key++;
		return http->error(http, req->id, 400, "the ClientKey header %s",
				   key.p ? "holds another key than this server's" : "is missing; this server asks for one");
	}
	v1 = v1 || conf_of(ep)->force_v1 || (version.n == 2 && strncasecmp(version.p, "v1", 2) == 0);
	if (!endpoint_props_read(&props, http->header(http, req, "Content-Type"), post ? req->body : dk_slice_n(NULL, 0))) {
		ep->n.refused_body++;
		rc = http->error(http, req->id, 400, "%s", props.why);
	} else {
		rc = create(ep, req, type, v1, &props);
	}
	endpoint_props_fini(&props);
	return rc;
}

static int on_endpoint(void *self, struct dk_http_request *req)
{
	struct endpoint *ep = self;

	return serve(ep, req, ep->http->param(ep->http, req, "type"), false);
}

static int on_old_endpoint(void *self, struct dk_http_request *req)
{
	struct endpoint *ep = self;

	return serve(ep, req, ep->http->param(ep->http, req, "type"), true);
}

/* One user has one connection, so one transport must be chosen for a client that did not choose. */
static int on_auth(void *self, struct dk_http_request *req)
{
	struct endpoint *ep = self;
	const struct dk_transport *t = by_role(ep, "UDP");

	if (!t)
		t = by_role(ep, "TCP");
	if (!t && ep->transports.n)
		t = ep->transports.at[0];
	return serve(ep, req, dk_str_c(t ? t->type : "UDP"), true);
}

/* ---- phases ---- */

static int endpoint_init(void *self)
{
	static const struct {
		const char *method, *pattern, *help;
		int (*handler)(void *self, struct dk_http_request *req);
	} routes[] = {
		{ "GET", "/endpoint/type/{type=UDP}/user/{uid=alice}", "makes a user; answers where it connects, its sid and keys",
		  on_endpoint },
		{ "POST", "/endpoint/type/{type=UDP}/user/{uid=alice}",
		  "the same; the body is its first properties, a=b&c=d or JSON", on_endpoint },
		{ "GET", "/endpoint/{type}/user/{uid}", NULL, on_old_endpoint },
		{ "POST", "/endpoint/{type}/user/{uid}", NULL, on_old_endpoint },
		{ "GET", "/auth/{uid}", NULL, on_auth },
		{ "POST", "/auth/{uid}", NULL, on_auth },
	};
	struct endpoint *ep = self;

	for (size_t i = 0; i < DK_ARRAY_LEN(routes); i++) {
		int rc = ep->http->route(ep->http, ep, routes[i].method, routes[i].pattern, routes[i].help, routes[i].handler);

		if (rc == DK_EXISTS)
			dk_log(ep, DK_ERROR, "another plugin serves %s %s; only one of them can be on", routes[i].method,
			       routes[i].pattern);
		if (rc)
			return rc < 0 ? rc : -EEXIST;
	}
	return 0;
}

static int endpoint_start(void *self)
{
	struct endpoint *ep = self;
	bool mine = conf_of(ep)->enable_encryption && ep->http->keys;
	const char *where = conf_of(ep)->enable_encryption && !mine ? ep->http->base.instance : dk_instance(ep);
	int rc = 0;

	for (size_t i = 0; i < ep->transports.n; i++) {
		const struct dk_transport *t = ep->transports.at[i];

		if (t->encrypted == mine)
			continue;
		dk_log(ep, DK_ERROR, "enableEncryption is %s in %s and %s in %s: clients could not talk; set both to the same",
		       mine ? "true" : "false", where, mine ? "false" : "true", t->base.instance);
		rc = -EINVAL;
	}
	if (!ep->transports.n)
		dk_log(ep, DK_WARN,
		       "no transport is on, so every endpoint request will be answered 404; switch one on, such as udp");
	return rc;
}

/* ---- the plugin ---- */

static const struct dk_need endpoint_needs[] = {
	DK_NEED(struct endpoint, http, DK_HTTP),
	DK_NEED(struct endpoint, user, DK_USER),
	DK_EACH_OF(struct endpoint, transports, DK_TRANSPORT),
	{ .name = NULL },
};

static const struct dk_option endpoint_options[] = {
	DK_BOOL(struct endpoint_conf, enable_encryption, "enableEncryption", "true",
		"clients get keys; must agree with every transport (checked at start)"),
	DK_BOOL(struct endpoint_conf, force_v1, "force_v1", "false", "answer in the v1 form whatever the request's header says",
		.flags = DK_RELOADABLE),
	{ .name = NULL },
};

static const struct dk_counter endpoint_counters[] = {
	DK_COUNTER(struct endpoint, created, "users made"),
	DK_COUNTER(struct endpoint, refused_client_key, "400: ClientKey header missing or wrong"),
	DK_COUNTER(struct endpoint, refused_type, "404: no such server type"),
	DK_COUNTER(struct endpoint, refused_uid, "400: bad user id"),
	DK_COUNTER(struct endpoint, refused_body, "400: properties not taken"),
	DK_COUNTER(struct endpoint, refused_state, "503: node OFFLINE or TAKEN"),
	DK_COUNTER(struct endpoint, refused_full, "503: node full"),
	DK_COUNTER(struct endpoint, failed, "500: no user could be made"),
	{ .name = NULL },
};

static const struct dk_ops endpoint_ops = { .init = endpoint_init, .start = endpoint_start };

DK_PLUGIN(endpoint) = {
	DK_PLUGIN_HEAD("endpoint", "1.0.0", "HTTP API that hands out endpoints and keys to application servers"),
	.self_size = sizeof(struct endpoint),
	.conf_size = sizeof(struct endpoint_conf),
	.needs = endpoint_needs,
	.options = endpoint_options,
	.counters = endpoint_counters,
	.ops = &endpoint_ops,
};
