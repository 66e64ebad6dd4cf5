/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users on other nodes: one is chosen by the cluster, asked to make the user, and answered for. A node that refuses or does not
 * answer is passed over once. What it may have made meanwhile waits there for a client that never comes, and goes by itself.
 */
#include <errno.h>
#include <stdio.h>

#include "endpoint_state.h"

/* A request that waits for a node. The texts of its wish lie behind it. */
struct endpoint_asked {
	struct endpoint_asked *next;
	struct endpoint *ep;
	struct endpoint_wish wish;
	struct dk_addr node; /* the one that was asked last */
	unsigned tries;
	size_t size; /* of the allocation */
	char text[];
};

/* ---- which node ---- */

static bool serves(struct endpoint *ep, const struct dk_cluster_node *n, dk_str type)
{
	return ep->cluster->endpoint(ep->cluster, n, type, dk_str_n(NULL, 0)) != NULL;
}

const struct dk_cluster_node *endpoint_node_next(struct endpoint *ep, uint32_t *slot, bool *self)
{
	if (!*self)
		return ep->cluster->next(ep->cluster, slot);
	*self = false;
	return ep->cluster->self(ep->cluster);
}

static const struct dk_cluster_node *pick(struct endpoint *ep, dk_str type, const struct dk_addr * not )
{
	const struct dk_cluster_node *n = ep->cluster->pick(ep->cluster, type, false), *best = NULL;
	uint32_t slot = 0;
	bool self = true;

	if (n && !(not &&dk_addr_eq(&n->addr, not )))
		return n;
	while (not &&(n = endpoint_node_next(ep, &slot, &self)))
		if (n->state == DK_ONLINE && n->health == DK_ALIVE && !dk_addr_eq(&n->addr, not ) && serves(ep, n, type) &&
		    (!best || n->users < best->users))
			best = n;
	return best;
}

static int refuse_none(struct endpoint *ep, const struct endpoint_wish *w)
{
	unsigned all = 0, taken = 0, offline = 0;
	const struct dk_cluster_node *n;
	uint32_t slot = 0;
	bool self = true;
	int type_n = (int)(w->type.n < 64 ? w->type.n : 64);
	const char *type = w->type.p ? w->type.p : "";

	ep->n.refused_none++;
	while ((n = endpoint_node_next(ep, &slot, &self))) {
		bool here = (n->health == DK_ALIVE || n->health == DK_SUSPECT) && serves(ep, n, w->type);

		all += here;
		taken += here && n->state == DK_TAKEN;
		offline += here && n->state == DK_OFFLINE;
	}
	if (!all)
		return ep->http->error(ep->http, w->request, 503, "no server of type %.*s is in the cluster now", type_n, type);
	return ep->http->error(
		ep->http, w->request, 503,
		"no server of type %.*s takes new users now: of %u that are there %u are TAKEN and %u OFFLINE; ask again "
		"later",
		type_n, type, all, taken, offline);
}

static int refuse_mismatch(struct endpoint *ep, const struct endpoint_wish *w, const struct dk_cluster_node *n)
{
	char addr[DK_ADDR_TEXT];

	dk_addr_format(&n->addr, addr);
	if (!ep->n.mismatch++)
		dk_log(ep, DK_ERROR,
		       "enableEncryption is %s here and %s on node %s: its clients could not talk; set both to the same",
		       endpoint_keys(ep) ? "true" : "false", endpoint_keys(ep) ? "false" : "true", addr);
	return ep->http->error(ep->http, w->request, 503,
			       "enableEncryption differs between this server and node %s; the server's log says how", addr);
}

dk_str endpoint_default_type(struct endpoint *ep)
{
	static const char *const roles[] = { "UDP", "TCP", "WS" };

	for (size_t i = 0; i < DK_ARRAY_LEN(roles); i++) {
		const struct dk_cluster_node *n;
		const struct dk_endpoint *e;
		uint32_t slot = 0;
		bool self = true;

		while ((n = endpoint_node_next(ep, &slot, &self))) {
			e = ep->cluster->endpoint(ep->cluster, n, dk_str_n(NULL, 0), dk_str_c(roles[i]));
			if (e && n->health == DK_ALIVE && n->state != DK_OFFLINE)
				return dk_str_c(e->type);
		}
	}
	return dk_str_n(NULL, 0);
}

/* ---- asking ---- */

static void forget(struct endpoint_asked *a)
{
	struct endpoint_asked **at = &a->ep->asked;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	dk_free(a->ep, a, a->size);
}

void endpoint_nodes_fini(struct endpoint *ep)
{
	while (ep->asked)
		forget(ep->asked);
}

static void on_made(void *self, void *arg, int err, const struct dk_credential *cred, dk_str host, uint16_t port);

static int ask(struct endpoint *ep, struct endpoint_asked *a, const struct endpoint_props *props, const struct dk_cluster_node *n)
{
	struct dk_user_prop list[ENDPOINT_PROPS_MAX];

	a->node = n->addr;
	a->tries++;
	return ep->user->create_on(ep->user, ep, &a->node, a->wish.uid, a->wish.type, list, endpoint_props_list(props, list),
				   (uint32_t)endpoint_conf(ep)->node_timeout_ms, on_made, a);
}

/* The chosen node's addresses, as its record says; that of the wanted type as the node itself says. */
static void fill_place(struct endpoint *ep, const struct endpoint_asked *a, dk_str host, uint16_t port, struct endpoint_place *p)
{
	const struct dk_cluster_node *n = ep->cluster->node(ep->cluster, &a->node);

	*p = (struct endpoint_place){ .port = port };
	snprintf(p->type, sizeof(p->type), DK_STR_FMT, DK_STR_ARG(a->wish.type));
	snprintf(p->host, sizeof(p->host), DK_STR_FMT, DK_STR_ARG(host));
	for (size_t i = n ? n->endpoint_n : 0; i-- > 0;) {
		const struct dk_endpoint *e = &n->endpoints[i];
		char *field = endpoint_role_field(p, e->role);

		if (field)
			endpoint_address(field, e->host, e->port);
	}
	for (size_t i = 0; n && i < n->endpoint_n; i++) {
		char *field = endpoint_role_field(p, n->endpoints[i].role);

		if (field && dk_str_eq(dk_str_c(n->endpoints[i].type), a->wish.type))
			endpoint_address(field, p->host, port);
	}
}

static void refuse_node(struct endpoint *ep, const struct endpoint_asked *a, int err)
{
	char where[DK_ADDR_TEXT + 8] = "node ";

	dk_addr_format(&a->node, where + 5);
	if (err < 0) {
		ep->n.no_answer++;
		dk_log(ep, DK_WARN, "%s did not make a user: %s", where, dk_err_text(err));
		ep->http->error(ep->http, a->wish.request, 504, "%s did not answer; ask again", where);
	} else {
		endpoint_refuse(ep, a->wish.request, where, err);
	}
}

/* Another node, or this one. True: somebody will answer, or has. */
static bool try_another(struct endpoint *ep, struct endpoint_asked *a)
{
	const struct dk_cluster_node *n = a->wish.node || a->tries > 1 ? NULL : pick(ep, a->wish.type, &a->node);
	struct endpoint_props props;
	bool going = false;

	if (!n)
		return false;
	ep->n.second_try++;
	if (!endpoint_props_read(&props, a->wish.content_type, a->wish.body)) { /* no memory: it was read before */
	} else if (dk_addr_eq(&n->addr, dk_node_addr(ep))) {
		a->wish.props = &props;
		endpoint_create_here(ep, &a->wish);
		forget(a);
		going = true;
	} else {
		going = ask(ep, a, &props, n) == 0;
	}
	endpoint_props_fini(&props);
	return going;
}

static void on_made(void *self, void *arg, int err, const struct dk_credential *cred, dk_str host, uint16_t port)
{
	struct endpoint *ep = self;
	struct endpoint_asked *a = arg;
	struct endpoint_place place;

	if (err == 0 && cred->encrypted != endpoint_keys(ep))
		err = -EPROTO;
	if (err == 0) {
		ep->n.created++;
		fill_place(ep, a, host, port, &place);
		endpoint_answer(ep, a->wish.request, a->wish.v1, &place, cred);
	} else if (err != DK_USER_BAD_UID && try_another(ep, a)) {
		return;
	} else {
		refuse_node(ep, a, err);
	}
	forget(a);
}

static char *keep(char **at, const void *p, size_t n)
{
	char *to = *at;

	if (n)
		memcpy(to, p, n);
	*at += n;
	return to;
}

static struct endpoint_asked *asked_new(struct endpoint *ep, const struct endpoint_wish *w)
{
	size_t size = sizeof(struct endpoint_asked) + w->uid.n + w->type.n + w->content_type.n + w->body.n;
	struct endpoint_asked *a = dk_alloc(ep, size);
	char *at;

	if (!a)
		return NULL;
	at = a->text;
	a->ep = ep;
	a->size = size;
	a->wish = *w;
	a->wish.uid.p = keep(&at, w->uid.p, w->uid.n);
	a->wish.type.p = keep(&at, w->type.p, w->type.n);
	a->wish.content_type.p = keep(&at, w->content_type.p, w->content_type.n);
	a->wish.body.p = (const uint8_t *)keep(&at, w->body.p, w->body.n);
	a->next = ep->asked;
	ep->asked = a;
	return a;
}

int endpoint_create_somewhere(struct endpoint *ep, const struct endpoint_wish *w)
{
	const struct dk_cluster_node *n = w->node ? ep->cluster->node(ep->cluster, w->node) : pick(ep, w->type, NULL);
	const struct dk_endpoint *e = n ? ep->cluster->endpoint(ep->cluster, n, w->type, dk_str_n(NULL, 0)) : NULL;
	struct endpoint_asked *a;
	int rc;

	if (!e)
		return refuse_none(ep, w);
	if (dk_addr_eq(&n->addr, dk_node_addr(ep)))
		return endpoint_create_here(ep, w);
	if (e->encrypted != endpoint_keys(ep))
		return refuse_mismatch(ep, w, n);
	a = asked_new(ep, w);
	if (!a)
		return -ENOMEM;
	rc = ask(ep, a, w->props, n);
	if (rc) {
		refuse_node(ep, a, rc);
		forget(a);
		return 0;
	}
	return DK_LATER;
}
