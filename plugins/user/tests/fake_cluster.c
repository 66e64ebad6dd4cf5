/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See the header. A message is written down as an event of the world; when it is due, the node that it is for gets it in a turn of
 * its own. A node that is gone gets nothing, and requests to it end by their time-out.
 */
#include "fake_cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS = 1000 };

struct request {
	struct request *next;
	struct fake *f;
	uint32_t number;
	void *self;
	dk_carrier_done_fn *done;
	void *arg;
	struct dk_timer timer;
};

struct message {
	struct message *next;
	struct dk_addr from, to;
	uint32_t request; /* 0 = none */
	int status; /* of an answer; 0 = it is a call */
	uint8_t ver;
	uint16_t cmd;
	size_t n;
	uint8_t bytes[];
};

struct fake_conf {
	const char *address;
};

struct fake {
	struct dk_self base;
	struct dk_carrier carrier;
	struct dk_cluster cluster;
	DK_LIST_OF(struct dk_transport) transports;
	struct dk_cluster_node seen; /* as others see it */
	struct message *head, **tail;
	struct dk_timer turn;
	struct request *requests;
	uint32_t last_request;
};

struct fake_net fake_net;

void fake_net_reset(struct dk_env *world)
{
	fake_net = (struct fake_net){ .world = world, .delay_ms = 1 };
}

static struct fake *at(const struct dk_addr *addr)
{
	for (size_t i = 0; i < fake_net.n; i++)
		if (fake_net.nodes[i] && dk_addr_eq(&fake_net.nodes[i]->carrier.addr, addr))
			return fake_net.nodes[i];
	return NULL;
}

static struct fake *of(struct dk_carrier *c)
{
	return dk_container_of(c, struct fake, carrier);
}

/* ---- the way ---- */

static void on_turn(void *self, struct dk_timer *t);

static void deliver(void *arg)
{
	struct message *m = arg;
	struct fake *f = at(&m->to);

	if (!f) {
		free(m);
		return;
	}
	if (!f->head)
		f->tail = &f->head;
	*f->tail = m;
	f->tail = &m->next;
	if (!dk_timer_armed(&f->turn))
		dk_timer_start(f, &f->turn, 0, 0, on_turn);
}

static int post(struct fake *f, const struct dk_addr *to, struct message head, dk_slice payload)
{
	struct message *m;

	fake_net.sent[head.status ? 0 : head.cmd % 128]++;
	if (fake_net.lose && fake_net.lose(head.status ? 0 : head.cmd))
		return 0;
	m = malloc(sizeof(*m) + payload.n);
	*m = head;
	m->from = f->carrier.addr;
	m->to = *to;
	m->n = payload.n;
	if (payload.n)
		memcpy(m->bytes, payload.p, payload.n);
	return dk_sim_after(fake_net.world, fake_net.delay_ms, deliver, m);
}

/* ---- requests ---- */

static struct request *request_take(struct fake *f, uint32_t number)
{
	for (struct request **r = &f->requests; *r; r = &(*r)->next)
		if ((*r)->number == number) {
			struct request *found = *r;

			*r = found->next;
			dk_timer_stop(&found->timer);
			return found;
		}
	return NULL;
}

static void request_end(struct fake *f, uint32_t number, int err, int status, dk_slice body)
{
	struct request *r = request_take(f, number);

	if (!r)
		return;
	r->done(r->self, r->arg, err, status, body);
	free(r);
}

static void timed_out(void *self, struct dk_timer *t)
{
	request_end(self, dk_container_of(t, struct request, timer)->number, -ETIMEDOUT, 0, dk_slice_n(NULL, 0));
}

static void finish(void *self, const struct dk_call *call, int status, dk_slice body)
{
	uint32_t number = (uint32_t)(uintptr_t)call->priv;

	if (number)
		post(self, &call->from, (struct message){ .request = number, .status = status }, body);
}

static void on_turn(void *self, struct dk_timer *t)
{
	struct fake *f = self;
	struct message *m;

	(void)t;
	while ((m = f->head)) {
		dk_slice bytes = dk_slice_n(m->bytes, m->n);

		f->head = m->next;
		if (m->status)
			request_end(f, m->request, 0, m->status, bytes);
		else
			dk_dispatch(f, &(struct dk_incoming){ .ver = m->ver,
							      .cmd = m->cmd,
							      .origin = DK_FROM_NODE,
							      .payload = bytes,
							      .token = m->request,
							      .finish = finish,
							      .from = m->from });
		free(m);
	}
}

static int carrier_send(struct dk_carrier *c, const struct dk_addr *to, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how)
{
	(void)how;
	return post(of(c), to, (struct message){ .ver = ver, .cmd = cmd }, payload);
}

static int carrier_request(struct dk_carrier *c, void *self, const struct dk_addr *to, uint8_t ver, uint16_t cmd, dk_slice payload,
			   uint32_t timeout_ms, dk_carrier_done_fn *done, void *arg, dk_id *ret_request)
{
	struct fake *f = of(c);
	struct request *r = calloc(1, sizeof(*r));

	*r = (struct request){ f->requests, f, ++f->last_request, self, done, arg, { .self = NULL } };
	f->requests = r;
	dk_timer_start(f, &r->timer, timeout_ms ? timeout_ms : TIMEOUT_MS, 0, timed_out);
	if (ret_request)
		*ret_request = r->number;
	return post(f, to, (struct message){ .ver = ver, .cmd = cmd, .request = r->number }, payload);
}

static void carrier_cancel(struct dk_carrier *c, dk_id request)
{
	free(request_take(of(c), (uint32_t)request));
}

/* ---- the cluster ---- */

static const struct dk_cluster_node *look(struct fake *f)
{
	struct dk_cluster_node *n = &f->seen;

	n->addr = f->carrier.addr;
	n->state = dk_node_state(f);
	n->health = DK_ALIVE;
	n->endpoint_n = f->transports.n;
	for (size_t i = 0; i < f->transports.n; i++) {
		struct dk_transport *t = f->transports.at[i];
		struct dk_endpoint *e = &n->endpoints[i];
		const char *host;

		t->endpoint(t, &host, &e->port);
		snprintf(e->host, sizeof(e->host), "%s", host);
		snprintf(e->role, sizeof(e->role), "%s", t->role);
		snprintf(e->type, sizeof(e->type), "%s", t->type);
		e->encrypted = t->encrypted;
	}
	return n;
}

static const struct dk_cluster_node *cluster_self(struct dk_cluster *c)
{
	return look(dk_container_of(c, struct fake, cluster));
}

static const struct dk_cluster_node *cluster_node(struct dk_cluster *c, const struct dk_addr *addr)
{
	struct fake *f = at(addr);

	(void)c;
	return f ? look(f) : NULL;
}

static const struct dk_cluster_node *cluster_next(struct dk_cluster *c, uint32_t *slot)
{
	while (*slot < fake_net.n) {
		struct fake *f = fake_net.nodes[(*slot)++];

		if (f && &f->cluster != c)
			return look(f);
	}
	return NULL;
}

static const struct dk_endpoint *cluster_endpoint(struct dk_cluster *c, const struct dk_cluster_node *node, dk_str type,
						  dk_str role)
{
	(void)c;
	for (size_t i = 0; i < node->endpoint_n; i++)
		if (dk_str_eq(dk_str_c(type.n ? node->endpoints[i].type : node->endpoints[i].role), type.n ? type : role))
			return &node->endpoints[i];
	return NULL;
}

static const struct dk_cluster_node *cluster_pick(struct dk_cluster *c, dk_str type, bool others)
{
	const struct dk_cluster_node *best = NULL, *n = others ? NULL : cluster_self(c);
	uint32_t slot = 0;

	for (n = n ? n : cluster_next(c, &slot); n; n = cluster_next(c, &slot))
		if (n->state == DK_ONLINE && cluster_endpoint(c, n, type, type) && (!best || n->users < best->users))
			best = n;
	return best;
}

static void cluster_counts(struct dk_cluster *c, dk_str role, struct dk_cluster_counts *ret_counts)
{
	const struct dk_cluster_node *n;
	uint32_t slot = 0;

	*ret_counts = (struct dk_cluster_counts){ .online = 0 };
	for (n = cluster_self(c); n; n = cluster_next(c, &slot))
		if (cluster_endpoint(c, n, dk_str_n(NULL, 0), role)) {
			ret_counts->online += n->state == DK_ONLINE;
			ret_counts->taken += n->state == DK_TAKEN;
			ret_counts->offline += n->state == DK_OFFLINE;
		}
}

static void cluster_set_users(struct dk_cluster *c, uint32_t users)
{
	dk_container_of(c, struct fake, cluster)->seen.users = users;
}

static void cluster_announce(struct dk_cluster *c)
{
	(void)c;
}

/* ---- phases ---- */

static int init(void *self)
{
	struct fake *f = self;

	f->carrier.boot = fake_net.n + 1;
	f->carrier.send = carrier_send;
	f->carrier.request = carrier_request;
	f->carrier.cancel = carrier_cancel;
	f->cluster.self = cluster_self;
	f->cluster.node = cluster_node;
	f->cluster.next = cluster_next;
	f->cluster.endpoint = cluster_endpoint;
	f->cluster.pick = cluster_pick;
	f->cluster.counts = cluster_counts;
	f->cluster.set_users = cluster_set_users;
	f->cluster.announce = cluster_announce;
	return 0;
}

static int start(void *self)
{
	struct fake *f = self;
	const struct fake_conf *conf = f->base.conf;
	int rc = dk_addr_parse(dk_str_c(conf->address), 8000, &f->carrier.addr);

	if (rc == 0 && fake_net.n == FAKE_NODES)
		rc = -ENOSPC;
	if (rc == 0) {
		fake_net.nodes[fake_net.n++] = f;
		dk_set_node_addr(f, &f->carrier.addr);
	}
	return rc;
}

static void fini(void *self)
{
	struct fake *f = self;

	for (size_t i = 0; i < fake_net.n; i++)
		if (fake_net.nodes[i] == f)
			fake_net.nodes[i] = NULL;
	dk_timer_stop(&f->turn);
	while (f->requests)
		free(request_take(f, f->requests->number));
	while (f->head) {
		struct message *m = f->head;

		f->head = m->next;
		free(m);
	}
}

static const struct dk_provide provides[] = {
	DK_PROVIDE(struct fake, carrier, DK_CARRIER),
	DK_PROVIDE(struct fake, cluster, DK_CLUSTER),
	{ 0 },
};
static const struct dk_need needs[] = { DK_EACH_OF(struct fake, transports, DK_TRANSPORT), { 0 } };
static const struct dk_option options[] = {
	DK_STR(struct fake_conf, address, "address", "10.0.0.1", "what names the node"),
	{ 0 },
};
static const struct dk_ops ops = { .init = init, .start = start, .fini = fini };

DK_PLUGIN(fake_cluster) = {
	DK_PLUGIN_HEAD("fake_cluster", "1", "the tests' own"),
	.self_size = sizeof(struct fake),
	.conf_size = sizeof(struct fake_conf),
	.provides = provides,
	.needs = needs,
	.options = options,
	.ops = &ops,
};
