/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services carrier and cluster over nothing but memory. A message waits at its sender until its time has come and the way is
 * open, then in a list of its receiver, which dispatches it in a turn of its own. One list per sender and one clock of the world
 * keep the order.
 */
#include "fabric.h"

#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { WAIT_MS = 3000, CMD_ECHO = 1, CMD_NOTICE = 400 };

struct message {
	struct message *next;
	unsigned to;
	uint64_t from_boot, to_boot; /* 0 = any */
	uint64_t due_ms, until_ms;
	uint64_t request; /* 0: none; of the asker */
	bool answer;
	int status;
	uint8_t ver;
	uint16_t cmd;
	unsigned from;
	size_t n;
	uint8_t bytes[];
};

struct request {
	struct request *next;
	uint64_t id, until_ms;
	void *self, *arg;
	dk_carrier_done_fn *done;
};

struct fabric {
	struct dk_self base;
	struct dk_carrier carrier;
	struct dk_cluster cluster;
	unsigned at;
	struct dk_timer pump;
	struct message *out, **out_tail, *in, **in_tail;
	struct request *requests;
	uint64_t last_request;
	struct dk_cluster_node view[FABRIC_NODES];
	uint8_t told[FABRIC_NODES]; /* the health that the node was told of */
	bool unknown[FABRIC_NODES];
};

struct dk_env *fabric_world;
struct fabric_node fabric[FABRIC_NODES];
const char *const *fabric_env;

static unsigned node_n, starting;
static uint32_t jitter_ms;
static bool way_cut[FABRIC_NODES][FABRIC_NODES];
static const struct dk_plugin_desc *const *extra_plugins;
static char config[1024];
static struct player *players[4096];
static struct {
	unsigned node;
	struct dk_mem_client *end;
} old_ends[16384];
static unsigned player_n, old_n;
static char events[65536];

static struct fabric *fabric_of(struct dk_carrier *c)
{
	return dk_container_of(c, struct fabric, carrier);
}

static struct fabric *fabric_of_cluster(struct dk_cluster *c)
{
	return dk_container_of(c, struct fabric, cluster);
}

static int node_at(const struct dk_addr *a)
{
	for (unsigned i = 0; i < node_n; i++)
		if (dk_addr_eq(&fabric[i].addr, a))
			return (int)i;
	return -1;
}

/* ---- carrier ---- */

static void pump(void *self, struct dk_timer *t);

static void put(struct fabric *f, struct message *m)
{
	uint64_t now = dk_sim_now(fabric_world);

	m->from = f->at;
	m->from_boot = f->carrier.boot;
	m->due_ms = now + 1 + (jitter_ms ? dk_sim_chance(fabric_world) % jitter_ms : 0);
	m->until_ms = now + WAIT_MS;
	*f->out_tail = m;
	f->out_tail = &m->next;
	if (!dk_timer_armed(&f->pump))
		dk_timer_start(f, &f->pump, 1, 1, pump);
}

static struct message *message_new(unsigned to, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	struct message *m = calloc(1, sizeof(*m) + payload.n);

	if (!m) /* an assertion would cost a write for each message */
		ck_abort_msg("no memory");
	m->to = to;
	m->ver = ver;
	m->cmd = cmd;
	m->n = payload.n;
	if (payload.n)
		memcpy(m->bytes, payload.p, payload.n);
	return m;
}

static int c_send(struct dk_carrier *c, const struct dk_addr *to, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how)
{
	int at = node_at(to);

	(void)how;
	if (at >= 0)
		put(fabric_of(c), message_new((unsigned)at, ver, cmd, payload));
	return 0;
}

static int c_request(struct dk_carrier *c, void *self, const struct dk_addr *to, uint8_t ver, uint16_t cmd, dk_slice payload,
		     uint32_t timeout_ms, dk_carrier_done_fn *done, void *arg, dk_id *ret_request)
{
	struct fabric *f = fabric_of(c);
	struct request *r = calloc(1, sizeof(*r));
	int at = node_at(to);

	if (!r)
		ck_abort_msg("no memory");
	r->id = ++f->last_request;
	r->until_ms = dk_sim_now(fabric_world) + (timeout_ms ? timeout_ms : WAIT_MS);
	r->self = self;
	r->done = done;
	r->arg = arg;
	r->next = f->requests;
	f->requests = r;
	if (at >= 0) {
		struct message *m = message_new((unsigned)at, ver, cmd, payload);

		m->request = r->id;
		put(f, m);
	} else if (!dk_timer_armed(&f->pump)) {
		dk_timer_start(f, &f->pump, 1, 1, pump);
	}
	if (ret_request)
		*ret_request = r->id;
	return 0;
}

static size_t c_send_many(struct dk_carrier *c, const struct dk_addr *to, size_t n, unsigned fanout, uint8_t ver, uint16_t cmd,
			  dk_slice payload, unsigned how)
{
	(void)fanout;
	for (size_t i = 0; i < n; i++)
		c_send(c, &to[i], ver, cmd, payload, how);
	return n;
}

static struct request *take_request(struct fabric *f, uint64_t id)
{
	struct request **at = &f->requests, *r;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	r = *at;
	if (r)
		*at = r->next;
	return r;
}

static void c_cancel(struct dk_carrier *c, dk_id request)
{
	free(take_request(fabric_of(c), request));
}

static uint64_t c_boot_of(struct dk_carrier *c, const struct dk_addr *node)
{
	int at = node_at(node);

	(void)c;
	return at < 0 ? 0 : fabric[at].boot;
}

/* What an answer goes back by; the call's token. */
struct way_back {
	uint64_t request, boot;
	unsigned to;
};

static void finish(void *self, const struct dk_call *call, int status, dk_slice body)
{
	struct way_back *back = call->priv;
	struct message *m = message_new(back->to, 0, 0, body);

	m->request = back->request;
	m->to_boot = back->boot;
	m->answer = true;
	m->status = status;
	put(self, m);
	free(back);
}

static void dispatch(struct fabric *f, struct message *m)
{
	struct dk_incoming in = { .ver = m->ver, .origin = DK_FROM_NODE, .cmd = m->cmd, .payload = dk_slice_n(m->bytes, m->n) };

	in.from = fabric[m->from].addr;
	if (m->request) {
		struct way_back *back = malloc(sizeof(*back));

		ck_assert_ptr_nonnull(back);
		*back = (struct way_back){ m->request, m->from_boot, m->from };
		in.token = (uint64_t)(uintptr_t)back;
		in.finish = finish;
	}
	if (dk_dispatch(f, &in) != DK_NOT_FOUND)
		return;
	ck_assert_msg(dk_is_terminating(f), "node %u knows no row %u.%u", f->at, m->ver, m->cmd);
	if (m->request) /* its plugin has stopped before this one */
		finish(f, &(struct dk_call){ .priv = (void *)(uintptr_t)in.token }, DK_STATUS_BAD, dk_slice_n(NULL, 0));
}

static void receive(struct fabric *f)
{
	struct message *m;

	while ((m = f->in)) {
		f->in = m->next;
		if (!f->in)
			f->in_tail = &f->in;
		if (m->to_boot && m->to_boot != f->carrier.boot) {
			free(m);
			continue;
		}
		if (m->answer) {
			struct request *r = take_request(f, m->request);

			if (r)
				r->done(r->self, r->arg, 0, m->status, dk_slice_n(m->bytes, m->n));
			free(r);
		} else {
			dispatch(f, m);
		}
		free(m);
	}
}

/* What is due and finds its way open; per receiver in order. */
static void deliver(struct fabric *f)
{
	uint64_t now = dk_sim_now(fabric_world);
	bool waits[FABRIC_NODES] = { false };

	for (struct message **at = &f->out; *at;) {
		struct message *m = *at;
		struct fabric *to = fabric[m->to].state;

		if (m->due_ms > now || way_cut[f->at][m->to] || !to || waits[m->to]) {
			waits[m->to] = true;
			if (m->until_ms > now) {
				at = &m->next;
				continue;
			}
			to = NULL;
		}
		*at = m->next;
		if (!*at)
			f->out_tail = at;
		m->next = NULL;
		if (!to) {
			free(m);
			continue;
		}
		*to->in_tail = m;
		to->in_tail = &m->next;
		if (!dk_timer_armed(&to->pump))
			dk_timer_start(to, &to->pump, 1, 1, pump);
	}
}

static void time_out(struct fabric *f)
{
	for (struct request **at = &f->requests, *r; (r = *at);) {
		if (r->until_ms > dk_sim_now(fabric_world)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		r->done(r->self, r->arg, -ETIMEDOUT, 0, dk_slice_n(NULL, 0));
		free(r);
		at = &f->requests;
	}
}

static void tell(struct fabric *f)
{
	static const enum dk_cluster_change changes[] = {
		[DK_ALIVE] = DK_NODE_RECOVERED, [DK_SUSPECT] = DK_NODE_SUSPECTED, [DK_LEFT] = DK_NODE_LEFT, [DK_DEAD] = DK_NODE_DIED
	};

	for (unsigned j = 0; j < node_n; j++) {
		struct dk_cluster_event ev = { &f->view[j], 0 };

		if (f->told[j] == f->view[j].health)
			continue;
		f->told[j] = (uint8_t)f->view[j].health;
		ev.change = changes[f->told[j]];
		dk_emit(&f->cluster.changed, &ev);
	}
}

static void pump(void *self, struct dk_timer *t)
{
	struct fabric *f = self;

	tell(f);
	deliver(f);
	receive(f);
	time_out(f);
	if (!f->out && !f->in && !f->requests)
		dk_timer_stop(t);
}

/* ---- cluster ---- */

static const struct dk_cluster_node *cl_node(struct dk_cluster *c, const struct dk_addr *addr)
{
	struct fabric *f = fabric_of_cluster(c);
	int at = node_at(addr);

	return at < 0 || f->unknown[at] ? NULL : &f->view[at];
}

static const struct dk_cluster_node *cl_self(struct dk_cluster *c)
{
	struct fabric *f = fabric_of_cluster(c);

	return &f->view[f->at];
}

static const struct dk_cluster_node *cl_next(struct dk_cluster *c, uint32_t *slot)
{
	struct fabric *f = fabric_of_cluster(c);

	while (*slot < node_n) {
		uint32_t i = (*slot)++;

		if (i != f->at && !f->unknown[i])
			return &f->view[i];
	}
	return NULL;
}

static const struct dk_endpoint *cl_endpoint(struct dk_cluster *c, const struct dk_cluster_node *node, dk_str type, dk_str role)
{
	(void)c;
	for (size_t i = 0; i < node->endpoint_n; i++)
		if (dk_str_eq(type.n ? type : role, dk_str_c(node->endpoints[i].type)))
			return &node->endpoints[i];
	return NULL;
}

static bool cl_majority(struct dk_cluster *c)
{
	struct fabric *f = fabric_of_cluster(c);
	unsigned alive = 0;

	for (unsigned i = 0; i < node_n; i++)
		alive += i == f->at || f->view[i].health == DK_ALIVE || f->view[i].health == DK_SUSPECT;
	return alive * 2 > node_n;
}

static bool cl_synced_once(struct dk_cluster *c)
{
	(void)c;
	return true;
}

static const struct dk_cluster_node *cl_pick(struct dk_cluster *c, dk_str type, bool others)
{
	struct fabric *f = fabric_of_cluster(c);
	const struct dk_cluster_node *best = NULL;

	for (unsigned i = 0; i < node_n; i++) {
		const struct dk_cluster_node *v = &f->view[i];

		if ((others && i == f->at) || v->state != DK_ONLINE || v->health != DK_ALIVE)
			continue;
		if (cl_endpoint(c, v, type, type) && (!best || v->users < best->users))
			best = v;
	}
	return best;
}

static void cl_set_users(struct dk_cluster *c, uint32_t users)
{
	struct fabric *f = fabric_of_cluster(c);

	for (unsigned i = 0; i < node_n; i++)
		if (fabric[i].state)
			fabric[i].state->view[f->at].users = users;
}

static void cl_announce(struct dk_cluster *c)
{
	(void)c;
}

static int fabric_init(void *self)
{
	struct fabric *f = self;
	struct dk_carrier *c = &f->carrier;
	struct dk_cluster *cl = &f->cluster;

	f->out_tail = &f->out;
	f->in_tail = &f->in;
	c->boot = dk_sim_chance(fabric_world) | 1;
	c->send = c_send;
	c->send_many = c_send_many;
	c->request = c_request;
	c->cancel = c_cancel;
	c->boot_of = c_boot_of;
	cl->self = cl_self;
	cl->node = cl_node;
	cl->next = cl_next;
	cl->endpoint = cl_endpoint;
	cl->pick = cl_pick;
	cl->majority = cl_majority;
	cl->synced_once = cl_synced_once;
	cl->set_users = cl_set_users;
	cl->announce = cl_announce;
	return 0;
}

static int fabric_start(void *self)
{
	struct fabric *f = self;
	unsigned at = starting;

	f->at = at;
	fabric[at].addr = (struct dk_addr){ .ip = { 10, 0, 0, (uint8_t)(at + 1) }, .port = 8000, .family = 4 };
	f->carrier.addr = fabric[at].addr;
	fabric[at].boot = f->carrier.boot;
	dk_set_node_addr(f, &fabric[at].addr);
	return 0;
}

/* What was given to it still leaves, unless it was killed. */
static void fabric_stopping(void *self, struct dk_step *step)
{
	struct fabric *f = self;

	if (fabric[f->at].state != f) {
		dk_step_done(step, 0);
		return;
	}
	for (struct message *m = f->out; m; m = m->next)
		m->due_ms = 0;
	deliver(f);
	dk_step_done(step, 0);
}

static void fabric_fini(void *self)
{
	struct fabric *f = self;

	if (fabric[f->at].state == f) /* nothing reaches it any more */
		fabric[f->at].state = NULL;
	for (struct message *m = f->out, *next; m; m = next) {
		next = m->next;
		free(m);
	}
	for (struct message *m = f->in, *next; m; m = next) {
		next = m->next;
		free(m);
	}
	for (struct request *r = f->requests, *next; r; r = next) {
		next = r->next;
		free(r);
	}
}

static const struct dk_provide provides[] = {
	DK_PROVIDE(struct fabric, carrier, DK_CARRIER),
	DK_PROVIDE(struct fabric, cluster, DK_CLUSTER),
	{ 0 },
};
static const struct dk_ops ops = { .init = fabric_init, .start = fabric_start, .stop = fabric_stopping, .fini = fabric_fini };

DK_PLUGIN(fabric) = {
	DK_PLUGIN_HEAD("fabric", "1", "a cluster under a test's hand"),
	.self_size = sizeof(struct fabric),
	.provides = provides,
	.ops = &ops,
};

/* ---- nodes ---- */

static void describe(struct fabric *f, unsigned j)
{
	struct dk_cluster_node *v = &f->view[j];
	struct dk_endpoint *e = &v->endpoints[0];

	*v = (struct dk_cluster_node){
		.addr = fabric[j].addr, .boot = fabric[j].boot, .state = DK_ONLINE, .health = DK_ALIVE, .endpoint_n = 1
	};
	snprintf(e->role, sizeof(e->role), "MEM");
	snprintf(e->type, sizeof(e->type), "MEM");
	snprintf(e->host, sizeof(e->host), "10.0.0.%u", j + 1);
	e->port = 7000;
	f->told[j] = DK_ALIVE;
}

void fabric_serves(unsigned i, const char *type)
{
	for (unsigned j = 0; j < FABRIC_NODES; j++)
		if (fabric[j].h)
			snprintf(fabric[j].state->view[i].endpoints[0].type, sizeof(fabric[j].state->view[i].endpoints[0].type),
				 "%s", type);
}

static void start(unsigned i)
{
	const struct dk_plugin_desc *plugins[8] = { &dk_plugin_fabric };
	struct dk_harness_opts o = { .config = config, .plugins = plugins, .env = fabric_env, .world = fabric_world };
	struct fabric_node *n = &fabric[i];
	char address[16];

	for (unsigned k = 0; extra_plugins && extra_plugins[k]; k++)
		plugins[k + 1] = extra_plugins[k];
	snprintf(address, sizeof(address), "10.0.0.%u", i + 1);
	starting = i;
	o.address = address;
	n->h = dk_harness_open(&o);
	ck_assert_ptr_nonnull(n->h);
	n->state = dk_plugin_state(dk_harness_kernel(n->h), "fabric");
	n->users = dk_harness_service(n->h, DK_USER_NAME);
	n->rooms = dk_harness_service(n->h, DK_ROOM_NAME);
	n->mem = dk_harness_service(n->h, DK_MEM_NAME);
	ck_assert(n->state && n->users && n->rooms && n->mem);
}

void fabric_open(unsigned n, uint64_t seed, const char *room, const struct dk_plugin_desc *const *plugins, const char *more)
{
	fabric_world = dk_env_sim(seed);
	ck_assert_ptr_nonnull(fabric_world);
	node_n = n;
	jitter_ms = 0;
	player_n = old_n = 0;
	events[0] = '\0';
	memset(way_cut, 0, sizeof(way_cut));
	memset(fabric, 0, sizeof(fabric));
	extra_plugins = plugins;
	snprintf(config, sizeof(config), "plugins = { fabric = {}; user = {}; mem = { connectionTTL = 10; }; room = { %s }; %s };",
		 room, more);
	for (unsigned i = 0; i < n; i++)
		start(i);
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < n; j++)
			describe(fabric[i].state, j);
}

static void drop_ends(unsigned i, bool dead)
{
	for (unsigned k = 0; k < player_n; k++)
		if (players[k]->node == i && players[k]->end) {
			if (!dead)
				fabric[i].mem->free(fabric[i].mem, players[k]->end);
			players[k]->end = NULL;
			players[k]->gone = true;
		}
	for (unsigned k = 0; k < old_n; k++)
		if (old_ends[k].node == i && old_ends[k].end) {
			if (!dead)
				fabric[i].mem->free(fabric[i].mem, old_ends[k].end);
			old_ends[k].end = NULL;
		}
}

static void gone(unsigned i)
{
	fabric[i].h = NULL;
	fabric[i].state = NULL;
}

void fabric_stop(unsigned i)
{
	struct dk_harness *h = fabric[i].h;

	ck_assert_int_eq(dk_harness_stop(h), 0);
	drop_ends(i, true);
	gone(i);
	ck_assert_int_eq(dk_harness_free(h), 0);
}

void fabric_kill(unsigned i)
{
	struct dk_harness *h = fabric[i].h;

	drop_ends(i, true);
	gone(i);
	dk_harness_kill(h);
}

void fabric_restart(unsigned i)
{
	start(i);
	for (unsigned j = 0; j < node_n; j++) {
		describe(fabric[i].state, j);
		if (fabric[j].state && j != i) {
			struct dk_cluster_node old = fabric[j].state->view[i];

			dk_emit(&fabric[j].state->cluster.changed, &((struct dk_cluster_event){ &old, DK_NODE_REMOVED }));
			describe(fabric[j].state, i);
			dk_emit(&fabric[j].state->cluster.changed,
				&((struct dk_cluster_event){ &fabric[j].state->view[i], DK_NODE_JOINED }));
		}
	}
}

void fabric_pause(unsigned i, bool on)
{
	dk_harness_pause(fabric[i].h, on);
}

void fabric_cut(unsigned a, unsigned b, bool cut)
{
	way_cut[a][b] = way_cut[b][a] = cut;
}

void fabric_believe(unsigned i, unsigned j, enum dk_health health)
{
	struct fabric *f = fabric[i].state;

	f->view[j].health = health;
	if (!dk_timer_armed(&f->pump))
		dk_timer_start(f, &f->pump, 1, 1, pump);
}

void fabric_remove(unsigned i, unsigned j)
{
	struct fabric *f = fabric[i].state;

	f->unknown[j] = true;
	dk_emit(&f->cluster.changed, &((struct dk_cluster_event){ &f->view[j], DK_NODE_REMOVED }));
}

void fabric_rejoin(unsigned i, unsigned j)
{
	struct fabric *f = fabric[i].state;

	f->unknown[j] = false;
	f->view[j].health = DK_ALIVE;
	f->told[j] = DK_ALIVE;
	dk_emit(&f->cluster.changed, &((struct dk_cluster_event){ &f->view[j], DK_NODE_JOINED }));
}

void fabric_offline(unsigned i)
{
	for (unsigned j = 0; j < node_n; j++)
		if (fabric[j].state)
			fabric[j].state->view[i].state = DK_OFFLINE;
}

void fabric_jitter(uint32_t ms)
{
	jitter_ms = ms;
}

static void never_mind(void *self, void *arg, int err, uint16_t members, uint16_t max_members)
{
	(void)self;
	(void)arg;
	(void)err;
	(void)members;
	(void)max_members;
}

void fabric_cancel_far(unsigned i, const struct dk_id52 *id, const dk_str *uids, size_t n)
{
	ck_assert_int_eq(fabric[i].rooms->cancel_far(fabric[i].rooms, fabric[i].state, id, uids, n, never_mind, NULL), 0);
}

int64_t fabric_count(unsigned i, const char *counter)
{
	int64_t n = dk_harness_counter(fabric[i].h, "room", counter);

	ck_assert_msg(n != INT64_MIN, "there is no counter %s", counter);
	return n;
}

void fabric_close(void)
{
	for (unsigned i = 0; i < node_n; i++)
		if (fabric[i].h) {
			drop_ends(i, false);
			dk_sim_run(fabric_world, 10);
		}
	for (unsigned i = 0; i < node_n; i++)
		if (fabric[i].h) {
			struct dk_harness *h = fabric[i].h;

			ck_assert_int_eq(dk_harness_stop(h), 0);
			gone(i);
			ck_assert_int_eq(dk_harness_free(h), 0);
		}
	for (unsigned k = 0; k < player_n; k++)
		free(players[k]);
	player_n = 0;
	dk_env_free(fabric_world);
}

/* ---- what the test's own plugins see ---- */

void *fabric_probe(unsigned i)
{
	return dk_plugin_state(dk_harness_kernel(fabric[i].h), "probe");
}

void fabric_event(void *self, const char *fmt, ...)
{
	size_t n = strlen(events);
	va_list ap;

	n += (size_t)snprintf(events + n, sizeof(events) - n, "%u ", dk_node_addr(self)->ip[3]);
	ck_assert_uint_lt(n, sizeof(events));
	va_start(ap, fmt);
	vsnprintf(events + n, sizeof(events) - n, fmt, ap);
	va_end(ap);
}

const char *fabric_events(void)
{
	static char text[sizeof(events)];

	memcpy(text, events, strlen(events) + 1);
	events[0] = '\0';
	return text;
}

void fabric_expect(const char *want)
{
	ck_assert_str_eq(fabric_events(), want);
}

unsigned times(const char *text, const char *word)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
		n++;
	return n;
}

/* ---- rooms ---- */

dk_id fabric_room(unsigned i, const struct player *owner, const struct dk_room_opts *opts, struct dk_id52 *ret_id)
{
	struct dk_room *rooms = fabric[i].rooms;
	struct dk_room_info info;
	dk_id room;

	ck_assert_int_eq(rooms->create(rooms, owner ? player_user(owner) : 0, opts, &room), 0);
	ck_assert_int_eq(rooms->info(rooms, room, &info), 0);
	*ret_id = info.id;
	return room;
}

dk_id fabric_room_at(unsigned i, const struct dk_id52 *id)
{
	return fabric[i].h ? fabric[i].rooms->find(fabric[i].rooms, id) : 0;
}

struct dk_room_info fabric_room_info(unsigned i, const struct dk_id52 *id)
{
	struct dk_room_info info;

	ck_assert_int_eq(fabric[i].rooms->info(fabric[i].rooms, fabric_room_at(i, id), &info), 0);
	return info;
}

void fabric_join(struct player *p, const struct dk_id52 *id)
{
	struct dk_room *rooms = fabric[p->node].rooms;

	ck_assert_int_eq(rooms->join(rooms, fabric_room_at(p->node, id), player_user(p), 1, 101, dk_slice_n(NULL, 0)), 0);
}

/* ---- players ---- */

struct player *player_new(unsigned node, const char *name)
{
	struct fabric_node *n = &fabric[node];
	struct player *p = malloc(sizeof(*p)); /* its log is touched as far as it is filled */
	struct dk_credential cred;
	dk_id user;

	ck_assert_ptr_nonnull(p);
	memset(p, 0, offsetof(struct player, log) + 1);
	ck_assert_int_eq(n->users->create(n->users, dk_str_c(name), dk_str_c("MEM"), &cred, &user), 0);
	ck_assert_int_eq(n->mem->connect(n->mem, cred.sid, &p->end), 0);
	snprintf(p->name, sizeof(p->name), "%s", name);
	memcpy(p->sid, cred.sid, sizeof(p->sid));
	p->node = node;
	players[player_n++] = p;
	dk_sim_run(fabric_world, 1);
	return p;
}

dk_id player_user(const struct player *p)
{
	struct fabric_node *n = &fabric[p->node];

	return n->h ? n->users->by_sid(n->users, p->sid) : 0;
}

void player_send(struct player *p, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	if (p->end)
		fabric[p->node].mem->send(fabric[p->node].mem, p->end, ver, cmd, payload, true);
}

void player_leave(struct player *p)
{
	if (p->end)
		fabric[p->node].mem->close(fabric[p->node].mem, p->end);
}

bool player_turn_to(struct player *p, unsigned node)
{
	struct dk_mem *mem = fabric[node].mem;
	struct dk_mem_client *end;

	if (!fabric[node].h || mem->connect(mem, p->sid, &end))
		return false;
	if (p->end) {
		old_ends[old_n].node = p->node;
		old_ends[old_n++].end = p->end;
	}
	p->end = end;
	p->node = node;
	p->gone = false;
	return true;
}

static void write_bytes(struct player *p, dk_slice b)
{
	size_t digits = 0;

	for (size_t i = 0; i < b.n && p->n + 2 < sizeof(p->log); i++) {
		uint8_t c = b.p[i];

		digits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ? digits + 1 : 0;
		p->log[p->n++] = c >= ' ' && c < 0x7f ? (char)c : '.';
		if (digits == DK_ID52_LEN) {
			p->n -= DK_ID52_LEN;
			p->log[p->n++] = '#';
			digits = 0;
		}
	}
	p->log[p->n] = '\0';
}

static void hear(struct player *p, const struct dk_frame *f)
{
	static const char *const words[] = { [DK_STATUS_OK] = "ok", [DK_STATUS_BAD] = "bad", [DK_STATUS_ERR] = "err" };
	const char *word = f->status == DK_STATUS_PUSH ? "push" : f->status <= DK_STATUS_ERR ? words[f->status] : "?";
	struct dk_cursor c = dk_cursor_of(f->payload);

	if (p->n + 512 + f->payload.n > sizeof(p->log))
		return;
	if (f->status == 40 || f->status == 50) {
		struct dk_error e;

		if (!dk_error_unpack(f->payload, 32, &e))
			ck_abort_msg("an error without a code");
		p->n += (size_t)snprintf(p->log + p->n, sizeof(p->log) - p->n, "%u %s %u " DK_STR_FMT "\n", f->cmd,
					 f->status == 40 ? "bad" : "err", e.code, DK_STR_ARG(e.text));
		return;
	}
	if (f->status != DK_STATUS_PUSH) {
		p->n += (size_t)snprintf(p->log + p->n, sizeof(p->log) - p->n, "%u %s ", f->cmd, word);
		write_bytes(p, f->payload);
		p->log[p->n++] = '\n';
		p->log[p->n] = '\0';
		return;
	}
	if ((f->ver == ROOM_VER && (f->cmd == 18 || f->cmd == 19 || f->cmd == 23 || f->cmd == 24)) || f->ver == FABRIC_VER_ALONE) {
		p->n += (size_t)snprintf(p->log + p->n, sizeof(p->log) - p->n, "%u alone ", f->cmd);
		write_bytes(p, f->payload);
		p->log[p->n++] = '\n';
		p->log[p->n] = '\0';
		return;
	}
	while (dk_rd_left(&c)) {
		p->n += (size_t)snprintf(p->log + p->n, sizeof(p->log) - p->n, "%u push ", f->cmd);
		write_bytes(p, dk_rd_bytes32(&c));
		p->log[p->n++] = '\n';
		p->log[p->n] = '\0';
	}
}

/* What rode on the answer to a sign of life. */
static void hear_notes(struct player *p, const struct dk_frame *f)
{
	struct dk_cursor c = dk_cursor_of(f->payload);

	while (dk_rd_left(&c) && p->n + 2048 < sizeof(p->log)) {
		unsigned n = dk_rd_u16(&c), ver = dk_rd_u8(&c), cmd = dk_rd_u16(&c);

		p->n += (size_t)snprintf(p->log + p->n, sizeof(p->log) - p->n, "%u.%u note ", ver, cmd);
		write_bytes(p, dk_rd_slice(&c, n - 5));
		p->log[p->n++] = '\n';
		p->log[p->n] = '\0';
	}
}

/* A node that has ended by itself took its clients' ends along. */
static bool is_up(unsigned node)
{
	return fabric[node].h && !dk_finished(dk_harness_kernel(fabric[node].h), NULL);
}

/* All that came; after an instruction, on from the node that knows it. */
static void listen(struct player *p)
{
	struct dk_frame f;
	bool reliable;

	while (p->end && is_up(p->node) && fabric[p->node].mem->next(fabric[p->node].mem, p->end, &f, &reliable)) {
		if (f.ver != 0 || f.cmd == CMD_NOTICE)
			hear(p, &f);
		else if (f.cmd == CMD_ECHO)
			hear_notes(p, &f);
		if (f.ver != 0 || f.cmd != 2)
			continue;
		/* mem's clients have no addresses: it goes where it is waited for */
		for (unsigned j = 0; j < node_n; j++) {
			struct dk_user *users = fabric[j].users;

			if (j != p->node && fabric[j].h && users->by_sid(users, p->sid) &&
			    !users->is_connected(users, users->by_sid(users, p->sid)) && player_turn_to(p, j))
				break;
		}
	}
	if (p->end && is_up(p->node) && fabric[p->node].mem->ended(fabric[p->node].mem, p->end))
		p->gone = true;
}

void fabric_run(uint64_t ms)
{
	for (uint64_t i = 0; i < ms; i++) {
		bool echo = dk_sim_now(fabric_world) % 2000 == 0;

		dk_sim_run(fabric_world, 1);
		for (unsigned k = 0; k < node_n; k++)
			if (fabric[k].h && dk_finished(dk_harness_kernel(fabric[k].h), &(int){ 0 }))
				drop_ends(k, true); /* the transport has freed them */
		for (unsigned k = 0; k < player_n; k++) {
			struct player *p = players[k];

			if (echo && p->end)
				fabric[p->node].mem->echo(fabric[p->node].mem, p->end, dk_slice_n(NULL, 0));
			listen(p);
		}
	}
}

const char *player_heard(struct player *p)
{
	static char text[sizeof(p->log)];

	listen(p);
	memcpy(text, p->log, p->n);
	text[p->n] = '\0';
	p->n = 0;
	p->log[0] = '\0';
	return text;
}
