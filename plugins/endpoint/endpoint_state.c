/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages about the nodes: how many of a role are in which state, and, where debug_api is on, which there are and a user on one of
 * them. A node without a cluster speaks of itself.
 */
#include <stdio.h>

#include "endpoint_state.h"

static bool announces(struct endpoint *ep, dk_str role)
{
	const char *instance, *at;

	for (size_t i = 0; dk_announced_at(ep, i, &instance, &at); i++)
		if (dk_str_eq(dk_str_c(at), role))
			return true;
	return false;
}

int endpoint_on_noderole(void *self, struct dk_http_request *req)
{
	struct endpoint *ep = self;
	dk_str role = ep->http->param(ep->http, req, "role");
	struct dk_cluster_counts c = { .online = 0 };

	if (ep->cluster) {
		ep->cluster->counts(ep->cluster, role, &c);
	} else if (announces(ep, role)) {
		c.online = dk_node_state(ep) == DK_ONLINE;
		c.taken = dk_node_state(ep) == DK_TAKEN;
		c.offline = dk_node_state(ep) == DK_OFFLINE;
	}
	return endpoint_page(ep, req->id,
			     json_pack("{s:s%,s:i,s:i,s:i,s:i,s:i}", "role", role.p ? role.p : "", role.n, "onlineCnt",
				       (int)c.online, "takenCnt", (int)c.taken, "offlineCnt", (int)c.offline, "suspectCnt",
				       (int)c.suspect, "deadCnt", (int)c.dead));
}

/* ---- debug_api ---- */

static const char *state_word(enum dk_node_state s)
{
	return s == DK_ONLINE ? "ONLINE" : s == DK_TAKEN ? "TAKEN" : "OFFLINE";
}

static const char *health_word(enum dk_health h)
{
	static const char *const words[] = {
		[DK_ALIVE] = "alive", [DK_SUSPECT] = "suspect", [DK_LEFT] = "left", [DK_DEAD] = "dead"
	};

	return (size_t)h < DK_ARRAY_LEN(words) && words[h] ? words[h] : "unknown";
}

static json_t *node_json(const struct dk_cluster_node *n, const struct dk_endpoint *e)
{
	char addr[DK_ADDR_TEXT], at[ENDPOINT_ADDRESS];

	dk_addr_format(&n->addr, addr);
	endpoint_address(at, e->host, e->port);
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:s}", "address", addr, "endpoint", at, "role", e->role, "state",
			 state_word(n->state), "health", health_word(n->health), "users", (int)n->users, "version", n->version);
}

int endpoint_on_list(void *self, struct dk_http_request *req)
{
	struct endpoint *ep = self;
	dk_str type = ep->http->param(ep->http, req, "type");
	const struct dk_cluster_node *n;
	json_t *list = json_array();
	uint32_t slot = 0;
	bool me = true;

	if (!ep->cluster) {
		json_decref(list);
		return ep->http->error(ep->http, req->id, 404, "this node is in no cluster; switch on mesh and mars");
	}
	while ((n = endpoint_node_next(ep, &slot, &me))) {
		const struct dk_endpoint *e = ep->cluster->endpoint(ep->cluster, n, type, dk_str_n(NULL, 0));

		if (e)
			json_array_append_new(list, node_json(n, e));
	}
	return endpoint_page(ep, req->id, json_pack("{s:s%,s:o}", "type", type.p ? type.p : "", type.n, "servers", list));
}

/* A node by its carrier's address, or by where its clients connect. */
static const struct dk_cluster_node *find(struct endpoint *ep, dk_str type, dk_str text)
{
	const struct dk_cluster_node *n;
	uint32_t slot = 0;
	bool me = true;

	while ((n = endpoint_node_next(ep, &slot, &me))) {
		const struct dk_endpoint *e = ep->cluster->endpoint(ep->cluster, n, type, dk_str_n(NULL, 0));
		char addr[DK_ADDR_TEXT], at[ENDPOINT_ADDRESS];

		if (!e)
			continue;
		dk_addr_format(&n->addr, addr);
		endpoint_address(at, e->host, e->port);
		if (dk_str_eq(dk_str_c(addr), text) || dk_str_eq(dk_str_c(at), text))
			return n;
	}
	return NULL;
}

int endpoint_on_debug(void *self, struct dk_http_request *req)
{
	struct endpoint *ep = self;
	struct dk_http *http = ep->http;
	dk_str type = http->param(http, req, "type"), where = http->param(http, req, "address");
	const struct dk_cluster_node *n = ep->cluster ? find(ep, type, where) : NULL;
	struct dk_addr addr;

	if (!n)
		return http->error(http, req->id, 404,
				   "no node of that type has the address %.*s; /debug/server/list/type shows them",
				   (int)(where.n < 64 ? where.n : 64), where.p ? where.p : "");
	addr = n->addr;
	return endpoint_serve(ep, req, type, false, &addr);
}
