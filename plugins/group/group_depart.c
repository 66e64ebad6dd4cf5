/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members that go to another node. When they are awaited there, that node says so; from then on what is said here is logged. When
 * the user has gone for good, its new node is handed what it has heard here, per node where that was said; what waited for a tick,
 * and what still comes here and not there, follows for a few seconds. So each message reaches it once, over one node or the
 * other. For one that goes on before it had heard all that, what comes from its former node is passed on, to it alone.
 */
#include "group_state.h"

#include <errno.h>

enum {
	LEAVING_MS = 15000, /* a move takes no longer */
	DEPARTED_MS = 4000, /* by then everybody who takes part knows the new node */
	ANSWER_MS = 4000,
	HOPS_MAX = 8 /* a member may go round in circles within that time */
};

struct group_departed {
	struct group_departed *next;
	struct dk_addr to;
	uint64_t until_ms;
	uint32_t open; /* members whose new node has not said yet that it has enough */
};

/* It was here, and had not heard all that it had to by way of the node it came from: what comes late from there goes on. untold: so
 * does what that one hands over. */
struct group_onward {
	struct group_onward *next;
	uint8_t sid[16];
	bool chained, untold;
	struct dk_addr from, to;
	uint64_t until_ms;
};

struct group_handing {
	struct group_handing *next, **link;
	struct dk_addr to;
	size_t n;
	dk_id groups[];
};

/* ---- who is awaited elsewhere ---- */

static struct group_leaving **find_leaving(struct group *g, dk_id user)
{
	struct group_leaving **at = &g->leaving;

	while (*at && (*at)->user != user)
		at = &(*at)->next;
	return at;
}

bool group_leaving_any(const struct group *g, dk_id user)
{
	const struct group_leaving *l = g->leaving;

	while (l && l->user != user)
		l = l->next;
	return l != NULL;
}

static void leaving_free(struct groups *s, struct group_leaving **at)
{
	struct group_leaving *l = *at;

	*at = l->next;
	dk_free(s, l, sizeof(*l));
}

void group_leaving_drop(struct groups *s, struct group *g, dk_id user)
{
	struct group_leaving **at = find_leaving(g, user);

	if (*at)
		leaving_free(s, at);
}

int group_on_coming(struct groups *s, struct dk_call *call, dk_slice sid)
{
	dk_id user = sid.n == 16 ? s->user->by_sid(s->user, sid.p) : 0;
	const struct group_seats *seats = group_store_seats(&s->store, user);

	for (uint32_t i = 0; seats && i < seats->n; i++) {
		struct group *g = group_live(s, seats->at[i].group);
		struct group_leaving **at = g ? find_leaving(g, user) : NULL;

		if (!g)
			continue;
		if (!*at)
			*at = dk_alloc(s, sizeof(**at));
		if (!*at)
			continue;
		group_relay_flush(s, g); /* what is logged from here on has not been pushed */
		(*at)->user = user;
		(*at)->to = call->from;
		(*at)->until_ms = dk_now(s) + LEAVING_MS;
		group_work_soon(s, g);
	}
	return 0;
}

/* ---- who has gone ---- */

static struct group_departed **find_departed(struct group *g, const struct dk_addr *to)
{
	struct group_departed **at = &g->departed;

	while (*at && !dk_addr_eq(&(*at)->to, to))
		at = &(*at)->next;
	return at;
}

static void departed_free(struct groups *s, struct group_departed **at)
{
	struct group_departed *d = *at;

	s->departed_open -= d->open;
	*at = d->next;
	dk_free(s, d, sizeof(*d));
}

static void onward_free(struct groups *s, struct group_onward **at)
{
	struct group_onward *o = *at;

	s->departed_open -= o->untold;
	*at = o->next;
	dk_free(s, o, sizeof(*o));
}

static void handing_free(struct groups *s, struct group_handing *h)
{
	*h->link = h->next;
	if (h->next)
		h->next->link = h->link;
	dk_free(s, h, sizeof(*h) + h->n * sizeof(h->groups[0]));
}

/* dk_carrier_done_fn */
static void handed(void *self, void *arg, int err, int status, dk_slice body)
{
	struct groups *s = self;
	struct group_handing *h = arg;
	struct dk_cursor c = dk_cursor_of(body);
	bool enough = err == 0 && status == DK_STATUS_OK && dk_rd_u8(&c);

	for (size_t i = 0; enough && i < h->n; i++) {
		struct group *g = group_live(s, h->groups[i]);
		struct group_departed **at = g ? find_departed(g, &h->to) : NULL;

		if (!g || !*at)
			continue;
		s->departed_open--;
		if (--(*at)->open)
			continue;
		departed_free(s, at);
		group_changed(s, g);
		group_look(s, g);
	}
	handing_free(s, h);
}

static const struct group_arrival *arrival_at(struct groups *s, const struct group *g, dk_id user)
{
	const struct group_seat *seat = group_store_seat(&s->store, user, g->handle);

	return seat && seat->arriving ? g->arrivals[seat->at] : NULL;
}

static void late(struct groups *s, const struct group *g, const struct dk_addr *to, dk_slice member, const struct dk_addr *origin,
		 uint64_t number, uint8_t hops, uint8_t ver, uint16_t cmd, dk_slice message)
{
	uint8_t buf[32];
	struct dk_writer a = dk_writer_on(buf, sizeof(buf)), w;
	size_t cap = DK_ID52_LEN + 2 + member.n + 2 + sizeof(buf) + 8 + 1 + 1 + 2 + message.n;

	group_addr_write(&a, origin);
	w = group_out(s, cap);
	group_on_late_pack(&w, &g->id, member, dk_written(&a), number, hops, ver, cmd, message);
	if (w.bad || s->carrier->send(s->carrier, to, DK_VER_NODE, GROUP_NODE_LATE, dk_written(&w), DK_RELIABLE))
		s->n.lost++;
}

void group_depart_late(struct groups *s, struct group *g, const struct group_node *from, uint64_t number, uint8_t ver, uint16_t cmd,
		       dk_slice message)
{
	/* What the new node said itself, too: the member may go on from there. */
	for (const struct group_departed *d = g->departed; d; d = d->next)
		late(s, g, &d->to, dk_slice_n(NULL, 0), &from->addr, number, 0, ver, cmd, message);
}

void group_depart_onward(struct groups *s, struct group *g, const struct dk_addr *via, dk_slice member,
			 const struct dk_addr *origin, uint64_t number, uint8_t hops, uint8_t ver, uint16_t cmd, dk_slice message)
{
	for (const struct group_onward *o = g->onward; o && hops < HOPS_MAX; o = o->next)
		if (!o->untold && dk_addr_eq(&o->from, via) &&
		    (o->chained ? member.n == 16 && memcmp(member.p, o->sid, 16) == 0 : !member.n))
			late(s, g, &o->to, dk_slice_n(o->sid, sizeof(o->sid)), origin, number, (uint8_t)(hops + 1), ver, cmd,
			     message);
}

/* Its former node will still say what it has heard: nobody else knows. */
static bool is_untold(struct groups *s, const struct group_arrival *a)
{
	return a && !a->told_ms && a->from.family && group_node_there(s, &a->from);
}

static void goes_on(struct groups *s, struct group *g, const struct group_arrival *a, const uint8_t *sid, const struct dk_addr *to)
{
	struct group_onward *o = dk_alloc(s, sizeof(*o));

	if (!o)
		return;
	*o = (struct group_onward){ g->onward, { 0 }, a->chained, is_untold(s, a), a->from, *to, dk_now(s) + DEPARTED_MS };
	memcpy(o->sid, sid, sizeof(o->sid));
	s->departed_open += o->untold;
	g->onward = o;
}

/* What was said since the last tick, and so has not been pushed. */
static void send_unpushed(struct groups *s, const struct group *g, const struct dk_addr *to)
{
	struct group_said said;
	dk_slice message;
	size_t at = 0;

	while (group_log_next(g, &at, &said, &message)) {
		const struct group_node *n = group_view_find(&g->view, &said.origin);

		if (n && said.number > n->pushed)
			late(s, g, to, dk_slice_n(NULL, 0), &said.origin, said.number, 0, said.ver, said.cmd, message);
	}
}

static void write_heard(struct groups *s, struct dk_writer *w, const struct group *g, dk_id user)
{
	const struct group_arrival *a = arrival_at(s, g, user);

	dk_wr_slice(w, dk_slice_n(g->id.c, DK_ID52_LEN));
	dk_wr_u8(w, a != NULL);
	dk_wr_u16(w, g->view.n);
	for (uint16_t i = 0; i < g->view.n; i++) {
		group_addr_write(w, &g->view.at[i].addr);
		dk_wr_u64(w, a ? group_arrival_heard(a, &g->view.at[i].addr) : g->view.at[i].pushed);
	}
}

static size_t heard_size(const struct group *g)
{
	return DK_ID52_LEN + 1 + 2 + g->view.n * (size_t)(1 + 16 + 2 + 8);
}

static bool hand_over(struct groups *s, const struct dk_addr *to, const uint8_t *sid, dk_slice heard, const dk_id *groups, size_t n)
{
	struct group_handing *h = dk_alloc(s, sizeof(*h) + n * sizeof(h->groups[0]));
	size_t cap = 2 + 16 + heard.n;
	struct dk_writer w = dk_writer_on(heard.n ? dk_scratch(s, cap) : NULL, cap);

	if (!h)
		return false;
	group_on_handover_pack(&w, dk_slice_n(sid, 16), heard);
	h->to = *to;
	h->n = n;
	memcpy(h->groups, groups, n * sizeof(*groups));
	h->next = s->handings;
	h->link = &s->handings;
	if (h->next)
		h->next->link = &h->next;
	s->handings = h;
	if (!w.bad && s->carrier->request(s->carrier, s, to, DK_VER_NODE, GROUP_NODE_HANDOVER, dk_written(&w), ANSWER_MS, handed, h,
					  NULL) == 0)
		return true;
	handing_free(s, h);
	return false;
}

/* The group stays here for a while, for what comes late. */
static void has_departed(struct groups *s, struct group *g, const struct dk_addr *to)
{
	struct group_departed **at = find_departed(g, to);

	if (!*at) {
		*at = dk_alloc(s, sizeof(**at));
		if (!*at)
			return;
		(*at)->to = *to;
	}
	(*at)->until_ms = dk_now(s) + DEPARTED_MS;
	(*at)->open++;
	s->departed_open++;
	group_work_soon(s, g);
}

void group_depart(struct groups *s, dk_id user, const uint8_t *sid)
{
	const struct group_seats *seats = group_store_seats(&s->store, user);
	struct dk_addr to = { .family = 0 };
	size_t n = 0, cap = 0;
	struct dk_writer w;
	dk_id *groups;

	for (uint32_t i = 0; seats && i < seats->n; i++)
		cap += heard_size(group_store_get(&s->store, seats->at[i].group));
	groups = seats ? dk_scratch(s, seats->n * sizeof(*groups)) : NULL;
	if (!groups)
		return;
	w = dk_writer_on(dk_scratch(s, cap), cap);
	for (uint32_t i = 0; i < seats->n; i++) {
		struct group *g = group_live(s, seats->at[i].group);
		struct group_leaving *l = g ? *find_leaving(g, user) : NULL;

		if (!l)
			continue;
		to = l->to;
		if (is_untold(s, arrival_at(s, g, user))) {
			goes_on(s, g, arrival_at(s, g, user), sid, &to);
			group_work_soon(s, g);
			continue;
		}
		write_heard(s, &w, g, user);
		groups[n++] = g->handle;
	}
	s->n.went += to.family && !n;
	if (!n || !hand_over(s, &to, sid, dk_written(&w), groups, n))
		return;
	s->n.went++;
	for (size_t i = 0; i < n; i++) {
		struct group *g = group_live(s, groups[i]);

		if (arrival_at(s, g, user))
			goes_on(s, g, arrival_at(s, g, user), sid, &to);
		else
			send_unpushed(s, g, &to);
		has_departed(s, g, &to);
	}
}

bool group_depart_told(struct groups *s, struct group *g, const struct dk_addr *via, dk_slice sid, bool chained, dk_slice heard)
{
	size_t cap = DK_ID52_LEN + 1 + heard.n;
	struct group_onward *first = NULL;
	struct dk_writer w;

	for (struct group_onward *o = g->onward; o; o = o->next)
		if (o->untold && dk_addr_eq(&o->from, via) && sid.n == 16 && memcmp(o->sid, sid.p, 16) == 0)
			first = o;
	if (!first)
		return false;
	first->untold = false;
	first->chained = chained;
	first->until_ms = dk_now(s) + DEPARTED_MS;
	s->departed_open--;
	w = dk_writer_on(dk_scratch(s, cap), cap);
	dk_wr_slice(&w, dk_slice_n(g->id.c, DK_ID52_LEN));
	dk_wr_u8(&w, true);
	dk_wr_slice(&w, heard);
	if (!w.bad && hand_over(s, &first->to, sid.p, dk_written(&w), &g->handle, 1))
		has_departed(s, g, &first->to);
	return true;
}

/* ---- in the course of time ---- */

bool group_depart_work(struct groups *s, struct group *g)
{
	uint64_t now = dk_now(s);

	for (struct group_leaving **at = &g->leaving; *at;) {
		if (now >= (*at)->until_ms)
			leaving_free(s, at);
		else
			at = &(*at)->next;
	}
	for (struct group_departed **at = &g->departed; *at;) {
		if (now >= (*at)->until_ms)
			departed_free(s, at);
		else
			at = &(*at)->next;
	}
	for (struct group_onward **at = &g->onward; *at;) {
		if (now >= (*at)->until_ms)
			onward_free(s, at);
		else
			at = &(*at)->next;
	}
	group_log_trim(s, g);
	return g->leaving || g->departed || g->onward;
}

void group_depart_strip(struct groups *s, struct group *g)
{
	while (g->leaving)
		leaving_free(s, &g->leaving);
	while (g->departed)
		departed_free(s, &g->departed);
	while (g->onward)
		onward_free(s, &g->onward);
}

void group_depart_fini(struct groups *s)
{
	while (s->handings)
		handing_free(s, s->handings);
}
