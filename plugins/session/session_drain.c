/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that goes offline hands its sessions over. One at a time stands still: its state goes to another node, and when that has
 * confirmed it, it is gone here and every node with members is told. Ids stay as they are; this node points to the new home for as
 * long as it runs, whoever comes later asks around.
 *
 * While it is not known whether the other node has it, it stands still and is offered to the same node again, which takes it once.
 * Only when that node is dead it goes on here, in an epoch that beats the other one, should that prove alive.
 */
#include "session_state.h"

enum { LOOK_MS = 50, AT_ONCE = 16, REFUSED_MAX = 8, LAND_MS = 1000 };

struct session_move {
	struct session_move *next, **link;
	dk_id session, request;
	struct dk_addr to;
	uint32_t epoch;
	bool offered; /* it is not known whether that node has it */
	uint8_t refused_n;
	struct dk_addr refused[REFUSED_MAX]; /* nodes that did not take it */
};

/* ---- to bytes and back ---- */

static size_t packed_size(const struct session *ss)
{
	size_t n = SESSION_STATE_SIZE + props_packed_size(&ss->props);

	for (uint32_t i = 0; i < ss->n; i++)
		n += SESSION_MEMBER_SIZE + ss->places[i].m->uid_n;
	for (const struct session_tick *tick = ss->ticks; tick; tick = tick->next)
		n += 1 + tick->name_n + 4;
	return n;
}

static void pack(const struct session *ss, struct dk_writer *w)
{
	struct session_state state = { .type = ss->type, .max = ss->max, .ttl_s = ss->ttl_s, .n = ss->n, .owner = UINT32_MAX };

	state.changes = ss->changes;
	state.number = ss->number;
	for (const struct session_tick *tick = ss->ticks; tick; tick = tick->next)
		state.ticks++;
	for (uint32_t i = 0; i < ss->n; i++)
		if (ss->places[i].m == ss->owner)
			state.owner = i;
	session_state_write(w, &state);
	for (uint32_t i = 0; i < ss->n; i++) {
		const struct session_member *m = ss->places[i].m;
		struct session_moving out = { .token = m->token, .from = m->from, .sid = m->sid, .hops = m->hops };

		out.uid = session_member_uid(m);
		out.node = ss->spots[m->spot].addr;
		session_moving_write(w, &out);
	}
	for (const struct session_tick *tick = ss->ticks; tick; tick = tick->next) {
		dk_wr_bytes8(w, dk_slice_n(tick->name, tick->name_n));
		dk_wr_u32(w, tick->interval_s);
	}
	props_pack(&ss->props, w);
}

static int unpack_members(struct sessions *s, struct session *ss, struct dk_cursor *c, uint32_t n, uint32_t owner)
{
	while (n--) {
		struct session_moving in = session_moving_read(c);
		struct session_member *m;
		int rc;

		if (c->bad || session_member_find(&s->store, ss, in.uid))
			return -EPROTO;
		rc = session_member_add(&s->store, ss, in.uid, in.token, in.sid, &in.node, &m);
		if (rc)
			return rc;
		m->hops = in.hops;
		m->from = in.from;
		if (ss->n - 1 == owner)
			ss->owner = m;
	}
	return 0;
}

static int unpack(struct sessions *s, const struct dk_session_id *id, dk_slice bytes, struct session **ret_session)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct session_state state = session_state_read(&c);
	struct session *ss;
	int rc;

	if (c.bad)
		return -EPROTO;
	rc = session_store_add(&s->store, id, state.type, state.max, &ss);
	if (rc)
		return rc;
	ss->ttl_s = state.ttl_s;
	ss->changes = state.changes;
	ss->number = state.number;
	rc = unpack_members(s, ss, &c, state.n, state.owner);
	while (rc == 0 && state.ticks--) {
		dk_str name = dk_str_of(dk_rd_bytes8(&c));

		rc = session_tick_start(s, ss, name, dk_rd_u32(&c));
	}
	if (rc == 0)
		rc = props_unpack(s, &ss->props, &session_props_most, &c);
	if (rc == 0 && !dk_rd_done(&c))
		rc = -EPROTO;
	if (rc) {
		session_free(s, ss);
		return rc;
	}
	*ret_session = ss;
	return 0;
}

int session_on_land(struct sessions *s, struct dk_call *call, dk_str session, uint32_t epoch, dk_slice state)
{
	struct dk_session_event ev = { .moved = true };
	struct session *ss, *old;
	struct dk_session_id id;
	int rc;

	if (!session_id_ok(session, &id)) {
		s->n.malformed++;
		return session_say_outcome(call, -EINVAL);
	}
	old = session_store_find(&s->store, &id);
	if (old && old->epoch >= epoch)
		return session_say_outcome(call, old->epoch == epoch ? 0 : DK_EXISTS);
	if (dk_node_state(s) == DK_OFFLINE)
		return session_say_outcome(call, DK_REFUSED);
	rc = unpack(s, &id, state, &ss);
	if (rc) {
		s->n.malformed += rc == -EPROTO;
		return session_say_outcome(call, rc);
	}
	if (old) /* this node was taken for dead while it had the session, and that went on elsewhere */
		session_free(s, old);
	session_begin_epoch(ss, epoch);
	if (!ss->n)
		session_arm_ttl(s, ss);
	s->n.moved_in++;
	session_gauges(s);
	ev.session = ss->handle;
	ev.id = &id;
	ev.type = ss->type;
	dk_emit(&s->svc.created, &ev);
	return session_say_outcome(call, 0);
}

/* ---- who takes it ---- */

static bool has_refused(const struct session_move *m, const struct dk_addr *a)
{
	for (uint8_t i = 0; i < m->refused_n; i++)
		if (dk_addr_eq(&m->refused[i], a))
			return true;
	return false;
}

/* The node with most of its members; of equal ones, the one with the fewest users. */
static bool choose(struct sessions *s, const struct session *ss, const struct session_move *m, struct dk_addr *ret_addr)
{
	const struct dk_cluster_node *node;
	uint32_t slot = 0, most = 0, users = UINT32_MAX;
	bool found = false;

	while ((node = s->cluster->next(s->cluster, &slot))) {
		const struct session_spot *spot = session_spot_find(ss, &node->addr);
		uint32_t n = spot ? spot->n : 0;

		if (node->health != DK_ALIVE || node->state == DK_OFFLINE || has_refused(m, &node->addr))
			continue;
		if (found && (n < most || (n == most && node->users >= users)))
			continue;
		*ret_addr = node->addr;
		most = n;
		users = node->users;
		found = true;
	}
	return found;
}

/* ---- moving ---- */

static void move_free(struct sessions *s, struct session_move *m)
{
	struct session *ss = session_store_get(&s->store, m->session);

	if (m->request)
		s->carrier->cancel(s->carrier, m->request);
	if (ss)
		ss->move = NULL;
	*m->link = m->next;
	if (m->next)
		m->next->link = m->link;
	dk_free(s, m, sizeof(*m));
}

/* It goes on here. */
static void thaw(struct sessions *s, struct session *ss)
{
	struct session_move *m = ss->move;

	s->n.moves_failed++;
	if (m->refused_n < REFUSED_MAX)
		m->refused[m->refused_n++] = m->to;
	m->offered = false;
	ss->phase = SESSION_LIVE;
	if (!ss->n)
		session_arm_ttl(s, ss);
}

static void landed(void *self, void *arg, int err, int status, dk_slice body);

static void offer(struct sessions *s, struct session *ss)
{
	struct session_move *m = ss->move;
	size_t n = packed_size(ss), cap = 2 + DK_SESSION_ID_LEN + 4 + n;
	uint8_t *buf = dk_alloc(s, cap);
	struct dk_writer w = dk_writer_on(buf, buf ? cap : 0);
	int rc = -ENOMEM;

	session_on_land_pack(&w, session_id_text(&ss->id), m->epoch, dk_slice_n(NULL, 0));
	pack(ss, &w);
	if (!w.bad)
		rc = s->carrier->request(s->carrier, s, &m->to, DK_VER_NODE, SESSION_NODE_LAND, dk_written(&w), LAND_MS, landed, m,
					 &m->request);
	dk_free(s, buf, cap);
	if (rc)
		m->request = 0;
	if (rc && !m->offered)
		thaw(s, ss);
	m->offered = m->offered || rc == 0;
}

/* dk_carrier_done_fn */
static void landed(void *self, void *arg, int err, int status, dk_slice body)
{
	struct sessions *s = self;
	struct session_move *m = arg;
	struct session *ss = session_store_get(&s->store, m->session);
	struct dk_addr to = m->to;
	uint32_t epoch = m->epoch;

	m->request = 0;
	if (!ss || ss->phase != SESSION_LEAVING) {
		move_free(s, m);
	} else if (err == 0 && status == DK_STATUS_OK && body.n == 1 && (body.p[0] == 0 || body.p[0] == DK_EXISTS)) {
		s->n.moved_out += body.p[0] == 0;
		move_free(s, m);
		session_leave_behind(s, ss, &to, body.p[0] == 0 ? epoch : epoch + 1);
	} else if (err == 0) {
		thaw(s, ss);
	}
	session_drain_look(s); /* without an answer it is offered again */
}

static void look_at(struct sessions *s, struct session *ss)
{
	struct session_move *m = ss->move;

	if (ss->phase == SESSION_LEAVING && !m->request) {
		if (session_node_there(s->cluster->node(s->cluster, &m->to))) {
			offer(s, ss);
			return;
		}
		session_begin_epoch(ss, m->epoch + 1);
		thaw(s, ss);
	}
	if (ss->phase != SESSION_LIVE)
		return;
	if (!m) {
		m = dk_alloc(s, sizeof(*m));
		if (!m)
			return;
		m->session = ss->handle;
		m->next = s->moves;
		m->link = &s->moves;
		if (m->next)
			m->next->link = &m->next;
		s->moves = m;
		ss->move = m;
	}
	if (!choose(s, ss, m, &m->to))
		return;
	m->epoch = ss->epoch + 1;
	dk_timer_stop(&ss->ttl);
	ss->phase = SESSION_LEAVING;
	offer(s, ss);
}

/* Whether the node waits for it. */
static bool goes_on(const struct sessions *s, const struct session *ss)
{
	struct dk_addr to;

	return ss->phase == SESSION_LEAVING ||
	       (ss->phase == SESSION_LIVE &&
		choose((struct sessions *)(uintptr_t)s, ss, ss->move ? ss->move : &(struct session_move){ .next = NULL }, &to));
}

/* Its users go, and what is still to come for them has to go after them. */
static bool users_go(struct sessions *s)
{
	const struct dk_cluster_node *node;
	uint32_t slot = 0;

	while (s->seats.seat_n && (node = s->cluster->next(s->cluster, &slot)))
		if (node->health == DK_ALIVE && node->state != DK_OFFLINE)
			return true;
	return session_claim_waits(s);
}

static void on_look(void *self, struct dk_timer *t)
{
	struct sessions *s = self;
	unsigned moving = 0, waits = users_go(s);
	struct session *ss;
	uint32_t slot = 0;
	dk_id id;

	(void)t;
	while ((ss = dk_table_next(&s->store.table, &slot, &id))) {
		moving += ss->phase == SESSION_LEAVING;
		if (ss->phase == SESSION_LEAVING || moving < AT_ONCE)
			look_at(s, ss);
		ss = session_store_get(&s->store, id);
		waits += ss && goes_on(s, ss);
	}
	if (waits) {
		dk_timer_start(s, &s->drain_timer, LOOK_MS, 0, on_look);
	} else if (s->drain_step) {
		struct dk_step *step = s->drain_step;

		s->drain_step = NULL;
		dk_step_done(step, 0);
	} else {
		dk_timer_start(s, &s->drain_timer, LOOK_MS, 0, on_look);
	}
}

void session_drain_look(struct sessions *s)
{
	if (dk_timer_armed(&s->drain_timer))
		dk_timer_start(s, &s->drain_timer, 0, 0, on_look);
}

void session_drain_offline(struct sessions *s)
{
	if (!session_alone(s))
		dk_timer_start(s, &s->drain_timer, 0, 0, on_look);
}

static void on_cancel(void *arg)
{
	struct sessions *s = arg;

	s->drain_step = NULL;
	dk_timer_stop(&s->drain_timer);
}

void session_drain(struct sessions *s, struct dk_step *step)
{
	if (session_alone(s)) {
		dk_step_done(step, 0);
		return;
	}
	s->drain_step = step;
	dk_step_on_cancel(step, on_cancel, s);
	dk_timer_start(s, &s->drain_timer, 0, 0, on_look);
}

void session_drain_fini(struct sessions *s)
{
	while (s->moves) {
		s->moves->request = 0; /* gone with the carrier */
		move_free(s, s->moves);
	}
}
