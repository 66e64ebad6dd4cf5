/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node with groups, and a script that is everything around it: the users, who come from other nodes with whatever their part
 * says and go again; the nodes of the cluster, who send any bytes as any row, and answer what they are asked with any bytes; and
 * time. After each step every member of a group is a user that is there and is counted once, and so is every group of a user. At
 * the end nothing is left behind.
 */
#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "plugins/group/group_rows.h"
#include "plugins/group/group_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

enum { PEOPLE = 6, NODES = 4, GROUPS = 4, ASKED = 32, STEPS = 64 };

extern const struct dk_plugin_desc dk_plugin_group;

struct person {
	dk_id id; /* 0: not there */
	uint32_t generation;
	bool connected;
	char uid[4];
	uint8_t sid[16];
};
struct asked {
	dk_id id;
	void *self, *arg;
	dk_carrier_done_fn *done;
};
struct around {
	struct dk_self base;
	struct dk_user user;
	struct dk_carrier carrier;
	struct dk_cluster cluster;
	struct person people[PEOPLE];
	struct dk_cluster_node nodes[NODES]; /* this one first */
	bool known[NODES];
	struct asked asked[ASKED];
	unsigned asked_n;
	dk_id last_request;
	void *groups;
	const struct dk_user_part *part;
};
struct play {
	struct around *a;
	struct dk_group *svc;
	struct dk_harness *node;
	struct dk_cursor c;
	struct dk_id52 ids[GROUPS];
};

/* ---- users ---- */

static struct person *person(struct dk_user *svc, dk_id user)
{
	struct around *a = dk_container_of(svc, struct around, user);

	for (unsigned i = 0; i < PEOPLE; i++)
		if (user && a->people[i].id == user)
			return &a->people[i];
	return NULL;
}

static bool u_exists(struct dk_user *svc, dk_id user)
{
	return person(svc, user) != NULL;
}

static bool u_is_connected(struct dk_user *svc, dk_id user)
{
	const struct person *p = person(svc, user);

	return p && p->connected;
}

static dk_id u_by_sid(struct dk_user *svc, const uint8_t sid[16])
{
	struct around *a = dk_container_of(svc, struct around, user);

	for (unsigned i = 0; i < PEOPLE; i++)
		if (a->people[i].id && memcmp(a->people[i].sid, sid, 16) == 0)
			return a->people[i].id;
	return 0;
}

static dk_str u_uid(struct dk_user *svc, dk_id user)
{
	const struct person *p = person(svc, user);

	return p ? dk_str_c(p->uid) : dk_str_n(NULL, 0);
}

static const uint8_t *u_sid(struct dk_user *svc, dk_id user)
{
	const struct person *p = person(svc, user);

	return p ? p->sid : NULL;
}

static volatile uint8_t touched;

/* All of it can be read. */
static void touch(dk_slice bytes)
{
	for (size_t i = 0; i < bytes.n; i++)
		touched ^= bytes.p[i];
}

static int u_push(struct dk_user *svc, dk_id user, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how)
{
	(void)ver;
	(void)cmd;
	(void)how;
	touch(payload);
	return u_exists(svc, user) ? 0 : DK_GONE;
}

static size_t u_push_many(struct dk_user *svc, const dk_id *users, size_t n, uint8_t ver, uint16_t cmd, dk_slice payload,
			  unsigned how, bool flush)
{
	size_t took = 0;

	(void)flush;
	for (size_t i = 0; i < n; i++)
		took += u_push(svc, users[i], ver, cmd, payload, how) == 0;
	return took;
}

static int u_carry(struct dk_user *svc, void *self, const struct dk_user_part *part)
{
	struct around *a = dk_container_of(svc, struct around, user);

	a->groups = self;
	a->part = part;
	return 0;
}

/* ---- nodes ---- */

static int c_send(struct dk_carrier *c, const struct dk_addr *to, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how)
{
	(void)c;
	(void)ver;
	(void)cmd;
	(void)how;
	MUST(to->family == 4 || to->family == 6);
	touch(payload);
	return 0;
}

static int c_request(struct dk_carrier *c, void *self, const struct dk_addr *to, uint8_t ver, uint16_t cmd, dk_slice payload,
		     uint32_t timeout_ms, dk_carrier_done_fn *done, void *arg, dk_id *ret_request)
{
	struct around *a = dk_container_of(c, struct around, carrier);

	(void)timeout_ms;
	c_send(c, to, ver, cmd, payload, 0);
	if (a->asked_n == ASKED)
		return DK_FULL;
	a->asked[a->asked_n++] = (struct asked){ ++a->last_request, self, arg, done };
	if (ret_request)
		*ret_request = a->last_request;
	return 0;
}

static struct asked take(struct around *a, unsigned i)
{
	struct asked q = a->asked[i];

	memmove(&a->asked[i], &a->asked[i + 1], (--a->asked_n - i) * sizeof(q));
	return q;
}

static void c_cancel(struct dk_carrier *c, dk_id request)
{
	struct around *a = dk_container_of(c, struct around, carrier);

	for (unsigned i = 0; i < a->asked_n; i++)
		if (a->asked[i].id == request) {
			take(a, i);
			return;
		}
}

static const struct dk_cluster_node *cl_self(struct dk_cluster *c)
{
	return &dk_container_of(c, struct around, cluster)->nodes[0];
}

static const struct dk_cluster_node *cl_node(struct dk_cluster *c, const struct dk_addr *addr)
{
	struct around *a = dk_container_of(c, struct around, cluster);

	for (unsigned i = 0; i < NODES; i++)
		if (a->known[i] && dk_addr_eq(&a->nodes[i].addr, addr))
			return &a->nodes[i];
	return NULL;
}

static const struct dk_cluster_node *cl_next(struct dk_cluster *c, uint32_t *slot)
{
	struct around *a = dk_container_of(c, struct around, cluster);

	while (++*slot < NODES)
		if (a->known[*slot])
			return &a->nodes[*slot];
	return NULL;
}

static const struct dk_endpoint *cl_endpoint(struct dk_cluster *c, const struct dk_cluster_node *node, dk_str type, dk_str role)
{
	(void)c;
	(void)node;
	(void)type;
	(void)role;
	return NULL;
}

static int around_init(void *self)
{
	struct around *a = self;

	a->user = (struct dk_user){ .base = a->user.base,
				    .exists = u_exists,
				    .is_connected = u_is_connected,
				    .by_sid = u_by_sid,
				    .uid = u_uid,
				    .sid = u_sid,
				    .push = u_push,
				    .push_many = u_push_many,
				    .carry = u_carry };
	a->carrier.boot = 1;
	a->carrier.send = c_send;
	a->carrier.request = c_request;
	a->carrier.cancel = c_cancel;
	a->cluster.self = cl_self;
	a->cluster.node = cl_node;
	a->cluster.next = cl_next;
	a->cluster.endpoint = cl_endpoint;
	for (unsigned i = 0; i < NODES; i++) {
		a->nodes[i] = (struct dk_cluster_node){ .boot = i + 1, .state = DK_ONLINE, .health = DK_ALIVE };
		a->nodes[i].addr = (struct dk_addr){ .ip = { 10, 0, 0, (uint8_t)(i + 1) }, .port = 8000, .family = 4 };
		a->known[i] = true;
	}
	for (unsigned i = 0; i < PEOPLE; i++) {
		snprintf(a->people[i].uid, sizeof(a->people[i].uid), "u%u", i);
		memset(a->people[i].sid, (int)('a' + i), 16);
	}
	return 0;
}

static int around_start(void *self)
{
	struct around *a = self;

	a->carrier.addr = a->nodes[0].addr;
	dk_set_node_addr(a, &a->nodes[0].addr);
	return 0;
}

static const struct dk_provide provides[] = { DK_PROVIDE(struct around, user, DK_USER),
					      DK_PROVIDE(struct around, carrier, DK_CARRIER),
					      DK_PROVIDE(struct around, cluster, DK_CLUSTER),
					      { 0 } };
static const struct dk_plugin_desc plugin_around = { DK_PLUGIN_HEAD("around", "1.0.0", "everything around groups"),
						     .self_size = sizeof(struct around), .provides = provides,
						     .ops = &(const struct dk_ops){ .init = around_init, .start = around_start } };

/* ---- the script ---- */

static unsigned below(struct play *p, unsigned n)
{
	return dk_rd_u8(&p->c) % n;
}

static dk_slice some(struct play *p)
{
	size_t n = dk_rd_u16(&p->c), left = dk_rd_left(&p->c);

	return dk_rd_slice(&p->c, n < left ? n : left);
}

/* A state that can be read: of one writer, with one entry more. */
static void state(struct play *p, struct dk_writer *w)
{
	struct group_node at[2] = { { .live = true }, { .live = true } };
	struct group_view v = { .at = at, .n = 2 };
	struct group_state head = { .flags = dk_rd_u8(&p->c) };

	head.ttl_s = dk_rd_u8(&p->c);
	head.interval_ms = dk_rd_u8(&p->c);
	head.number = dk_rd_u8(&p->c);
	for (unsigned i = 0; i < 2; i++) {
		unsigned node = below(p, NODES);

		at[i].addr = p->a->nodes[node].addr;
		at[i].boot = p->a->nodes[node].boot;
		at[i].version = UINT64_C(1) << below(p, 64);
		at[i].members = dk_rd_u8(&p->c);
		at[i].flags = dk_rd_u8(&p->c);
	}
	group_state_write(w, &head, &v, dk_slice_n("\0\1x", 3));
}

/* What a member has heard, of one group. */
static void heard(struct play *p, struct dk_writer *w)
{
	uint16_t n = dk_rd_u8(&p->c) % 8;

	dk_wr_slice(w, dk_slice_n(p->ids[below(p, GROUPS)].c, DK_ID52_LEN));
	dk_wr_u8(w, dk_rd_u8(&p->c) & 1);
	dk_wr_u16(w, n);
	for (uint16_t i = 0; i < n; i++) {
		group_addr_write(w, &p->a->nodes[below(p, NODES)].addr);
		dk_wr_u64(w, UINT64_C(1) << below(p, 64));
	}
}

static void finished(void *self, const struct dk_call *call, int status, dk_slice body)
{
	(void)self;
	(void)call;
	(void)status;
	touch(body);
}

static void call(struct play *p, uint16_t cmd, unsigned from, dk_slice payload)
{
	struct dk_incoming in = { .ver = DK_VER_NODE, .cmd = cmd, .origin = DK_FROM_NODE, .payload = payload, .finish = finished };

	in.from = p->a->nodes[from].addr;
	dk_dispatch(p->a, &in);
}

/* A row of another node, its fields as they should be, or none of them. */
static void row(struct play *p)
{
	static const uint16_t cmds[] = { 21, 22, 23, 110, 111, 112, 113, 34, 35, 36, 37, 38 };
	uint16_t cmd = cmds[below(p, DK_ARRAY_LEN(cmds))];
	unsigned from = below(p, NODES), how = below(p, 3);
	uint8_t buf[8192], origin[32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), o = dk_writer_on(origin, sizeof(origin));

	if (how && (cmd == 110 || cmd == 111)) {
		dk_wr_bytes16(&w, dk_slice_n(p->a->people[below(p, PEOPLE)].sid, 16));
		for (unsigned n = cmd == 111 && how == 1 ? below(p, 4) : 0; n; n--)
			heard(p, &w);
	} else if (how && (cmd < 34 || cmd > 111)) {
		dk_wr_slice(&w, dk_slice_n(p->ids[below(p, GROUPS)].c, DK_ID52_LEN));
	}
	if (how == 1 && (cmd == 21 || cmd == 23))
		state(p, &w);
	if (how && cmd == 22)
		dk_wr_u64(&w, dk_rd_u8(&p->c));
	if (how && cmd == 112) {
		group_addr_write(&o, &p->a->nodes[below(p, NODES)].addr);
		dk_wr_bytes16(&w, dk_slice_n(p->a->people[below(p, PEOPLE)].sid, how == 1 ? 0 : 16));
		dk_wr_bytes16(&w, dk_written(&o));
		dk_wr_u64(&w, dk_rd_u8(&p->c));
	}
	dk_wr_slice(&w, some(p));
	if (!w.bad)
		call(p, cmd, from, dk_written(&w));
}

static void answer(struct play *p)
{
	unsigned i = below(p, ASKED), how = below(p, 4);
	uint8_t buf[4096];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct asked q;

	if (i >= p->a->asked_n)
		return;
	q = take(p->a, i);
	dk_wr_u8(&w, how == 1);
	if (how == 0)
		state(p, &w);
	else
		dk_wr_slice(&w, some(p));
	q.done(q.self, q.arg, how == 3 ? -ETIMEDOUT : 0, DK_STATUS_OK, w.bad ? dk_slice_n(NULL, 0) : dk_written(&w));
}

static void leave(struct play *p, struct person *who, enum dk_reason reason)
{
	struct dk_user_discarded ev = { who->id, dk_str_c(who->uid), who->sid, reason, who->connected };

	if (!who->id)
		return;
	dk_emit(&p->a->user.discarded, &ev);
	MUST(!p->svc->of_user(p->svc, who->id, 0));
	who->id = 0;
	who->connected = false;
}

static void come(struct play *p, struct person *who)
{
	leave(p, who, DK_REASON_REPLACED);
	who->id = (dk_id)DK_KIND_USER << 56 | (dk_id)(++who->generation & 0xffffff) << 32 | (uint32_t)(who - p->a->people);
}

/* From another node, with a part that can be read or not. */
static void arrive(struct play *p)
{
	struct person *who = &p->a->people[below(p, PEOPLE)];
	struct dk_user_arrived ev = { .uid = dk_str_c(who->uid), .sid = who->sid };
	static uint8_t buf[1 << 16];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	unsigned n = below(p, 5);

	come(p, who);
	ev.user = who->id;
	ev.from = p->a->nodes[below(p, NODES)].addr;
	for (unsigned i = 0; i < n; i++) {
		uint8_t one[4096];
		struct dk_writer s = dk_writer_on(one, sizeof(one));

		state(p, &s);
		dk_wr_slice(&w, dk_slice_n(p->ids[below(p, GROUPS)].c, DK_ID52_LEN));
		dk_wr_bytes32(&w, dk_written(&s));
	}
	if (!n)
		dk_wr_slice(&w, some(p));
	if (w.bad || p->a->part->unpack(p->a->groups, who->id, p->a->part->version, dk_written(&w)))
		leave(p, who, DK_REASON_NEVER);
	else
		dk_emit(&p->a->user.arrived, &ev);
}

/* To another node: what its part says is read on a node like this one. */
static void pack(struct play *p, struct person *who)
{
	static uint8_t buf[1 << 18];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_cursor c;

	if (!who->id || p->a->part->pack(p->a->groups, who->id, &w))
		return;
	MUST(!w.bad);
	c = dk_cursor_of(dk_written(&w));
	while (dk_rd_left(&c)) {
		struct group_state s;

		dk_rd_take(&c, DK_ID52_LEN);
		MUST(group_state_read(dk_rd_bytes32(&c), &s) && !c.bad);
	}
}

static void happen(struct play *p)
{
	static const enum dk_cluster_change changes[] = { DK_NODE_JOINED, DK_NODE_RECOVERED, DK_NODE_DIED, DK_NODE_REMOVED };
	unsigned i = 1 + below(p, NODES - 1), what = below(p, DK_ARRAY_LEN(changes));
	struct dk_cluster_event ev = { &p->a->nodes[i], changes[what] };

	p->a->known[i] = changes[what] != DK_NODE_REMOVED;
	p->a->nodes[i].health = what < 2 ? DK_ALIVE : DK_DEAD;
	p->a->nodes[i].boot += what == 0;
	dk_emit(&p->a->cluster.changed, &ev);
}

static void step(struct play *p)
{
	struct dk_group *svc = p->svc;
	uint8_t what = dk_rd_u8(&p->c);
	struct person *who = &p->a->people[what / 16 % PEOPLE];
	const struct dk_id52 *id;
	bool reliable;

	switch (what % 16) {
	default:
		row(p);
		break;
	case 1:
	case 2:
		arrive(p);
		break;
	case 3:
	case 4:
		answer(p);
		break;
	case 5:
		dk_harness_advance(p->node, 1u + 50u * dk_rd_u8(&p->c));
		break;
	case 6:
		pack(p, who);
		leave(p, who, DK_REASON_MOVED);
		break;
	case 7:
		leave(p, who, DK_REASON_SILENCE);
		break;
	case 8:
		who->connected = who->id != 0;
		break;
	case 9:
		if (!who->id)
			come(p, who);
		id = &p->ids[below(p, GROUPS)];
		svc->join(svc, p->a, id, who->id, 1, 111, some(p), NULL, NULL);
		break;
	case 10:
		id = &p->ids[below(p, GROUPS)];
		reliable = dk_rd_u8(&p->c) & 1;
		svc->broadcast(svc, svc->find(svc, id), who->id, 1, 113, some(p), reliable);
		break;
	case 11:
		id = &p->ids[below(p, GROUPS)];
		svc->leave(svc, svc->find(svc, id), who->id, 1, 112, some(p));
		break;
	case 12:
		happen(p);
		break;
	}
}

static void check(struct play *p)
{
	struct dk_group *svc = p->svc;
	uint32_t slot = 0;
	int64_t all = 0;
	dk_id group;

	while ((group = svc->next(svc, &slot))) {
		struct dk_group_info info;
		uint32_t here = 0;

		MUST(svc->info(svc, group, &info) == 0 && svc->find(svc, &info.id) == group);
		for (unsigned i = 0; i < PEOPLE; i++)
			here += p->a->people[i].id && svc->is_member(svc, group, p->a->people[i].id);
		MUST(info.members_here == here);
		all += here;
	}
	for (unsigned i = 0; i < PEOPLE; i++)
		for (size_t k = 0; p->a->people[i].id && (group = svc->of_user(svc, p->a->people[i].id, k)); k++)
			all--;
	MUST(all == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dk_plugin_desc *const plugins[] = { &plugin_around, &dk_plugin_group, NULL };
	struct play p = { .c = dk_cursor_of(dk_slice_n(data, size)) };

	p.node = dk_harness_open(&(const struct dk_harness_opts){
		.config = "plugins = { around = {}; group = { max_groups = 100; held_bytes = 65536; }; };",
		.plugins = plugins,
		.seed = 1 });
	MUST(p.node);
	p.a = dk_plugin_state(dk_harness_kernel(p.node), "around");
	p.svc = dk_harness_service(p.node, DK_GROUP_NAME);
	for (unsigned i = 0; i < GROUPS; i++) { /* home of each is another node */
		char text[DK_ID52_LEN + 1];

		snprintf(text, sizeof(text), "%016x0a0000%02x1f40%024x", 0xabc0 + i, i + 1, 0);
		memcpy(p.ids[i].c, text, DK_ID52_LEN);
	}
	for (unsigned i = 0; i < STEPS && dk_rd_left(&p.c); i++) {
		step(&p);
		check(&p);
	}
	dk_harness_advance(p.node, 20000);
	check(&p);
	for (unsigned i = 0; i < PEOPLE; i++)
		leave(&p, &p.a->people[i], DK_REASON_SILENCE);
	check(&p);
	MUST(dk_harness_free(p.node) == 0);
	return 0;
}
