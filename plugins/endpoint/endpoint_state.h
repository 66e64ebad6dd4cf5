/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of the plugin endpoint, shared by its files: endpoint.c (requests and phases), endpoint_answer.c (what is answered),
 * endpoint_nodes.c (users on other nodes), endpoint_state.c (pages about the nodes).
 */
#ifndef ENDPOINT_STATE_H
#define ENDPOINT_STATE_H

#include <diarkis/cluster.h>
#include <diarkis/http.h>
#include <diarkis/plugin.h>
#include <diarkis/user.h>

#include "endpoint_props.h"

struct endpoint_conf {
	bool enable_encryption, force_v1, debug_api;
	int64_t node_timeout_ms;
};

struct endpoint {
	struct dk_self base;
	struct dk_http *http;
	struct dk_user *user;
	struct dk_cluster *cluster; /* NULL: this node is alone */
	DK_LIST_OF(struct dk_transport) transports;
	struct endpoint_asked *asked; /* requests that wait for another node */

	struct {
		uint64_t created, refused_client_key, refused_type, refused_uid, refused_body, refused_state, refused_full;
		uint64_t refused_none, second_try, no_answer, mismatch, failed;
	} n;
};

static inline const struct endpoint_conf *endpoint_conf(const struct endpoint *ep)
{
	return ep->base.conf;
}

/* What an application server asks for. Borrowed from its request. */
struct endpoint_wish {
	dk_id request;
	dk_str uid, type;
	bool v1;
	dk_str content_type; /* of the body */
	dk_slice body; /* empty but with POST */
	const struct endpoint_props *props; /* what the body says */
	const struct dk_addr *node; /* on this one and no other; NULL = on any */
};

#define ENDPOINT_ADDRESS 280 /* "host:port", brackets and the NUL included */

/* Where a user is to connect. */
struct endpoint_place {
	char type[34], host[256];
	uint16_t port;
	char ws[ENDPOINT_ADDRESS], tcp[ENDPOINT_ADDRESS], udp[ENDPOINT_ADDRESS]; /* of its node, by role; empty = none */
};

/* ---- endpoint_answer.c ---- */

void endpoint_address(char buf[ENDPOINT_ADDRESS], const char *host, uint16_t port);
/* The text of the field for a role; NULL for one that the form does not know. */
char *endpoint_role_field(struct endpoint_place *p, const char *role);
int endpoint_answer(struct endpoint *ep, dk_id request, bool v1, const struct endpoint_place *place,
		    const struct dk_credential *cred);
/* Any page; takes json, which may be NULL (no memory). */
int endpoint_page(struct endpoint *ep, dk_id request, json_t *json);

/* ---- endpoint.c ---- */

/* Whether clients get keys from here. */
bool endpoint_keys(const struct endpoint *ep);
/* A request for a user, on that node or (NULL) on any. Returns as a route's handler. */
int endpoint_serve(struct endpoint *ep, const struct dk_http_request *req, dk_str type, bool v1, const struct dk_addr *node);
/* On this node. */
int endpoint_create_here(struct endpoint *ep, const struct endpoint_wish *wish);
/* What an outcome of user->create() means to the caller; `where` begins the sentence: "this node". */
int endpoint_refuse(struct endpoint *ep, dk_id request, const char *where, int rc);

/* ---- endpoint_nodes.c ---- */

/* On whatever node of the cluster is chosen. Returns 0 or DK_LATER. */
int endpoint_create_somewhere(struct endpoint *ep, const struct endpoint_wish *wish);
/* The type for who names none: UDP's where there is one, else TCP's, else WS's. Empty = none. */
dk_str endpoint_default_type(struct endpoint *ep);
/* All nodes of the cluster, this one first: start with *slot = 0 and *self = true; NULL at the end. */
const struct dk_cluster_node *endpoint_node_next(struct endpoint *ep, uint32_t *slot, bool *self);
void endpoint_nodes_fini(struct endpoint *ep);

/* ---- endpoint_state.c ---- */

int endpoint_on_noderole(void *self, struct dk_http_request *req);
int endpoint_on_list(void *self, struct dk_http_request *req);
int endpoint_on_debug(void *self, struct dk_http_request *req);

#endif
