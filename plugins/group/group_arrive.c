/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members that come from another node: a part of the user brings the groups along, and a copy of each begins here. Until the
 * former node has let the user go, that one delivers; what is heard here meanwhile is logged. Then it tells what the member has
 * heard, per node, and the member gets the rest from the log, if nothing is missing in between: what every node said before it
 * knew of this one comes over the former node too (group_depart.c).
 *
 * A former node that is gone, or says nothing, is not waited for: then something may come twice, or be missing, and is counted.
 */
#include "group_state.h"

#include <errno.h>

enum {
	REST_MS = 3000, /* for what comes late, once the former node has told */
	HERE_MS = 4000, /* for the former node, once the client is here */
	ALL_MS = 20000
};

void group_arrival_free(struct groups *s, struct group_arrival *a)
{
	if (!a)
		return;
	dk_free(s, a->before, a->before_n * sizeof(*a->before));
	dk_free(s, a->heard, a->heard_n * sizeof(*a->heard));
	dk_free(s, a, sizeof(*a));
}

dk_id group_arrival_user(const struct group_arrival *a)
{
	return a->user;
}

static struct group_heard *find_heard(struct group_heard *v, uint16_t n, const struct dk_addr *origin)
{
	for (uint16_t i = 0; i < n; i++)
		if (dk_addr_eq(&v[i].origin, origin))
			return &v[i];
	return NULL;
}

static uint64_t heard_of(struct group_heard *v, uint16_t n, const struct dk_addr *origin)
{
	const struct group_heard *h = find_heard(v, n, origin);

	return h ? h->number : 0;
}

uint64_t group_arrival_heard(const struct group_arrival *a, const struct dk_addr *origin)
{
	return heard_of(a->heard, a->heard_n, origin);
}

/* Where that is kept, of a node that may be new; NULL: no memory. */
static struct group_heard *heard_at(struct groups *s, struct group_arrival *a, const struct dk_addr *origin)
{
	struct group_heard *h = find_heard(a->heard, a->heard_n, origin);

	if (h)
		return h;
	h = dk_realloc(s, a->heard, a->heard_n * sizeof(*h), (a->heard_n + 1u) * sizeof(*h));
	if (!h)
		return NULL;
	a->heard = h;
	h[a->heard_n] = (struct group_heard){ *origin, 0 };
	return &h[a->heard_n++];
}

/* ---- members at last ---- */

/* Up to this it has to come over the former node. */
static uint64_t needed(const struct group_arrival *a, const struct group_node *n)
{
	uint64_t before = heard_of(a->before, a->before_n, &n->addr);

	return n->after_known && n->after > before ? n->after : before;
}

/* What it said may still be on its way to the former node: it takes part, or has only just left. */
static bool is_awaited(struct groups *s, const struct group_node *n)
{
	return group_is_in(n) || (n->live && dk_now(s) - n->gone_ms < REST_MS);
}

/* Nothing is missing between what it has and what is logged, and nothing that it has is still to come here. */
static bool complete(struct groups *s, const struct group *g, const struct group_arrival *a)
{
	for (uint16_t i = 0; i < g->view.n; i++) {
		const struct group_node *n = &g->view.at[i];
		uint64_t has = heard_of(a->heard, a->heard_n, &n->addr);
		bool in = group_is_in(n);

		if (!is_awaited(s, n))
			continue;
		if ((in && i && !n->after_known) || has < needed(a, n) || (has > n->heard && (in || n->after_known)))
			return false;
	}
	return true;
}

static void ask_rejoin(struct groups *s, dk_id group, dk_id user)
{
	struct dk_group_notice ask = { group, user, GROUP_VER, GROUP_CMD_JOIN, dk_slice_n(NULL, 0) };
	struct group *g;

	if (!group_store_seat(&s->store, user, group)) /* whoever heard that it came has taken it out */
		return;
	dk_ask(&s->svc.rejoining, &ask);
	g = group_live(s, group);
	if (g && ask.message.n && ask.message.n <= (size_t)group_conf(s)->max_message && group_store_seat(&s->store, user, group))
		group_say(s, g, ask.ver, ask.cmd, ask.message, true);
}

/* What is logged and it has not heard goes to it, and it is a member like all others. g may be gone. */
static void release(struct groups *s, struct group *g, dk_id user, bool sure)
{
	dk_id group = g->handle;
	struct group_arrival *a;
	struct group_said said;
	dk_slice message;
	size_t at = 0;

	group_relay_flush(s, g);
	a = group_store_settle(&s->store, g, user);
	if (!a)
		return;
	while (group_log_next(g, &at, &said, &message)) {
		const struct group_heard *h = find_heard(a->heard, a->heard_n, &said.origin);

		/* What was logged for others before it came is none of its own. */
		if (said.number > (h ? h->number : heard_of(a->before, a->before_n, &said.origin)))
			group_push_one(s, user, said.ver, said.cmd, message);
	}
	group_arrival_free(s, a);
	group_log_trim(s, g);
	s->n.came++;
	s->n.came_unsure += !sure;
	group_tell_joined(s, group, user, true);
	ask_rejoin(s, group, user);
}

static bool overdue(struct groups *s, struct group_arrival *a)
{
	uint64_t now = dk_now(s);

	if (!a->here_ms && s->user->is_connected(s->user, a->user))
		a->here_ms = now;
	if (a->told_ms)
		return now - a->told_ms >= REST_MS;
	if (a->from.family && !group_node_there(s, &a->from))
		return true;
	return (a->here_ms && now - a->here_ms >= HERE_MS) || now - a->since_ms >= ALL_MS;
}

bool group_arrive_work(struct groups *s, struct group *g, bool all)
{
	dk_id group = g->handle;

	for (uint32_t i = g->arrival_n; i-- > 0;) {
		struct group_arrival *a = i < g->arrival_n ? g->arrivals[i] : NULL;
		bool sure = a && a->told_ms && complete(s, g, a);

		if (!a || !(sure || all || overdue(s, a)))
			continue;
		release(s, g, a->user, sure);
		g = group_live(s, group);
		if (!g)
			return false;
	}
	return g->arrival_n > 0;
}

/* ---- what the former node tells ---- */

static struct group_arrival *arrival_of(struct groups *s, const struct group *g, dk_id user, const struct dk_addr *from)
{
	const struct group_seat *seat = g ? group_store_seat(&s->store, user, g->handle) : NULL;
	struct group_arrival *a = seat && seat->arriving ? g->arrivals[seat->at] : NULL;

	return a && dk_addr_eq(&a->from, from) ? a : NULL;
}

static bool read_heard(struct groups *s, struct group_arrival *a, struct dk_cursor *c)
{
	uint16_t n = dk_rd_u16(c);

	if (n > GROUP_NODES_MAX)
		return false;
	if (a && !a->heard && n) {
		a->heard = dk_alloc(s, n * sizeof(*a->heard));
		a->heard_n = a->heard ? n : 0;
	}
	for (uint16_t i = 0; i < n && !c->bad; i++) {
		struct group_heard h;

		if (!group_addr_read(c, &h.origin))
			return false;
		h.number = dk_rd_u64(c);
		if (a && i < a->heard_n)
			a->heard[i] = h;
	}
	return !c->bad;
}

int group_on_handover(struct groups *s, struct dk_call *call, dk_slice sid, dk_slice heard)
{
	dk_id user = sid.n == 16 ? s->user->by_sid(s->user, sid.p) : 0;
	struct dk_cursor c = dk_cursor_of(heard);
	bool enough = true;

	while (dk_rd_left(&c)) {
		const uint8_t *bytes = dk_rd_take(&c, DK_ID52_LEN);
		struct group *g = NULL;
		struct group_arrival *a;
		struct dk_cursor rest;
		struct dk_id52 id;
		bool chained;

		if (bytes) {
			memcpy(id.c, bytes, DK_ID52_LEN);
			g = group_store_find(&s->store, &id);
		}
		chained = dk_rd_u8(&c);
		rest = c;
		if (!read_heard(s, NULL, &c)) {
			s->n.malformed++;
			return -EPROTO;
		}
		if (g && group_depart_told(s, g, &call->from, sid, chained, dk_slice_n(rest.p, (size_t)(c.p - rest.p)))) {
			enough = false; /* what comes late has to go after it */
			continue;
		}
		a = arrival_of(s, g, user, &call->from);
		if (!a)
			continue;
		read_heard(s, a, &rest);
		a->chained |= chained;
		a->told_ms = dk_now(s);
		if (complete(s, g, a))
			release(s, g, user, true);
		else
			enough = false;
	}
	return group_on_handover_answer(call, enough);
}

/* What comes late from that node, for one of its former members by sid, or for all. */
static bool is_for(struct groups *s, const struct group_arrival *a, dk_slice member, const struct dk_addr *from)
{
	const uint8_t *sid = s->user->sid(s->user, a->user);

	if (!a->told_ms || !dk_addr_eq(&a->from, from) || a->chained != (member.n != 0))
		return false;
	return !member.n || (sid && member.n == 16 && memcmp(sid, member.p, 16) == 0);
}

int group_on_late(struct groups *s, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload), o;
	const uint8_t *bytes = dk_rd_take(&c, DK_ID52_LEN);
	dk_slice member = dk_rd_bytes16(&c), origin = dk_rd_bytes16(&c), message;
	uint64_t number = dk_rd_u64(&c);
	uint8_t hops = dk_rd_u8(&c), ver = dk_rd_u8(&c);
	uint16_t cmd = dk_rd_u16(&c);
	const struct group_node *n;
	struct dk_addr addr;
	struct dk_id52 id;
	struct group *g;

	message = dk_rd_rest(&c);
	o = dk_cursor_of(origin);
	if (c.bad || !group_addr_read(&o, &addr)) {
		s->n.malformed++;
		return 0;
	}
	memcpy(id.c, bytes, DK_ID52_LEN);
	g = group_store_find(&s->store, &id);
	n = g ? group_view_find(&g->view, &addr) : NULL;
	for (uint32_t i = 0; n && i < g->arrival_n; i++) {
		struct group_arrival *a = g->arrivals[i];
		struct group_heard *h = is_for(s, a, member, &call->from) ? heard_at(s, a, &addr) : NULL;

		if (!h || number <= h->number)
			continue;
		h->number = number;
		s->n.late++;
		group_push_one(s, a->user, ver, cmd, message);
	}
	if (n) {
		group_depart_onward(s, g, &call->from, member, &addr, number, hops, ver, cmd, message);
		group_arrive_work(s, g, false);
	}
	return 0;
}

/* ---- the part of a user ---- */

static int pack(void *self, dk_id user, struct dk_writer *w)
{
	struct groups *s = self;
	const struct group_seats *seats = group_store_seats(&s->store, user);

	if (!seats)
		return DK_NOT_FOUND;
	for (uint32_t i = 0; i < seats->n; i++) {
		const struct group *g = group_live(s, seats->at[i].group);
		struct group_state head;
		struct dk_writer length;
		uint8_t *at;

		if (!g)
			continue;
		head = (struct group_state){ .ttl_s = g->ttl_s, .interval_ms = g->interval_ms, .created_s = g->created_s };
		head.flags = g->allow_empty ? GROUP_S_ALLOW_EMPTY : 0;
		head.number = g->number;
		dk_wr_slice(w, dk_slice_n(g->id.c, DK_ID52_LEN));
		at = dk_wr_take(w, 4);
		group_state_write(w, &head, &g->view, dk_slice_n(NULL, 0));
		if (w->bad)
			return 0;
		length = dk_writer_on(at, 4);
		dk_wr_u32(&length, (uint32_t)(w->p - at) - 4);
	}
	return 0;
}

/* What this node has heard: it is none of what is logged for the member. */
static int keep_before(struct groups *s, const struct group *g, struct group_arrival *a)
{
	a->before = dk_alloc(s, g->view.n * sizeof(*a->before));
	if (!a->before)
		return -ENOMEM;
	a->before_n = g->view.n;
	for (uint16_t i = 0; i < g->view.n; i++)
		a->before[i] = (struct group_heard){ g->view.at[i].addr, g->view.at[i].heard };
	return 0;
}

static int arrive(struct groups *s, const struct dk_id52 *id, dk_id user, dk_slice bytes)
{
	struct group *g = group_store_find(&s->store, id);
	struct group_arrival *a;
	struct group_state state;
	int rc = 0;

	if (!group_state_read(bytes, &state))
		return -EPROTO;
	if (!g) {
		rc = group_make(s, id, &g);
		if (rc)
			return rc;
		group_furnish(s, g, &state);
	}
	group_merge(s, g, bytes);
	if (g->phase == GROUP_SEEKING) { /* a member of it is a good reason */
		group_furnish(s, g, &state);
		group_join_found(s, g);
	}
	a = dk_alloc(s, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->user = user;
	a->since_ms = dk_now(s);
	rc = keep_before(s, g, a);
	if (rc == 0)
		rc = group_store_arrive(&s->store, g, user, a);
	if (rc) {
		group_arrival_free(s, a);
		return rc;
	}
	group_changed(s, g);
	group_work_soon(s, g);
	return 0;
}

static int unpack(void *self, dk_id user, uint16_t version, dk_slice bytes)
{
	struct groups *s = self;
	struct dk_cursor c = dk_cursor_of(bytes);
	struct dk_id52 id;
	int rc = 0;

	if (version != group_part.version)
		return DK_REFUSED;
	while (rc == 0 && dk_rd_left(&c)) {
		const uint8_t *p = dk_rd_take(&c, DK_ID52_LEN);
		dk_slice state = dk_rd_bytes32(&c);

		if (c.bad)
			return -EPROTO;
		memcpy(id.c, p, DK_ID52_LEN);
		rc = arrive(s, &id, user, state);
	}
	return rc;
}

const struct dk_user_part group_part = { .name = "group", .version = 1, .pack = pack, .unpack = unpack };

void group_on_user_arrived(struct groups *s, const struct dk_user_arrived *ev)
{
	const struct group_seats *seats = group_store_seats(&s->store, ev->user);
	uint8_t buf[32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	bool any = false;

	for (uint32_t i = 0; seats && i < seats->n; i++) {
		const struct group *g = group_store_get(&s->store, seats->at[i].group);

		if (!seats->at[i].arriving)
			continue;
		any = true;
		g->arrivals[seats->at[i].at]->from = ev->from;
	}
	if (!any || !s->carrier || !group_node_there(s, &ev->from))
		return;
	group_on_coming_pack(&w, dk_slice_n(ev->sid, 16));
	s->carrier->send(s->carrier, &ev->from, DK_VER_NODE, GROUP_NODE_COMING, dk_written(&w), DK_RELIABLE);
}
