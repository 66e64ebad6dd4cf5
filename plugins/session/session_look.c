/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be seen of a session from any node: its members, their number, its owner; and what the members' nodes know of their
 * clients, which several nodes are asked for.
 */
#include "session_state.h"

/* ---- the home ---- */

int session_on_members(struct sessions *s, struct dk_call *call, dk_str session)
{
	struct session *ss = session_called(s, call, session, false);
	dk_str owner;
	struct dk_writer w;
	size_t cap = 1 + 1 + 2 + 2 + 2 + DK_UID_MAX + 2;

	if (!ss)
		return 0;
	for (uint32_t i = 0; i < ss->n; i++)
		cap += 2 + (size_t)ss->places[i].m->uid_n;
	w = dk_writer_on(dk_scratch(s, cap), cap);
	owner = session_owner_uid(ss);
	dk_wr_u8(&w, 0);
	dk_wr_u8(&w, ss->type);
	dk_wr_u16(&w, ss->max);
	dk_wr_bytes16(&w, dk_slice_of(owner));
	dk_wr_u16(&w, (uint16_t)ss->n);
	for (uint32_t i = 0; i < ss->n; i++)
		dk_wr_bytes16(&w, dk_slice_of(session_member_uid(ss->places[i].m)));
	return w.bad ? session_say_outcome(call, -ENOMEM) : dk_answer(call, dk_written(&w));
}

int session_on_sids(struct sessions *s, struct dk_call *call, dk_str session)
{
	struct session *ss = session_called(s, call, session, false);
	struct dk_writer w;
	size_t cap = 1 + 1;

	if (!ss)
		return 0;
	for (uint32_t i = 0; i < ss->n; i++)
		cap += 2 + (size_t)ss->places[i].m->uid_n + 16 + SESSION_ADDR_MAX;
	w = dk_writer_on(dk_scratch(s, cap), cap);
	dk_wr_u8(&w, 0);
	dk_wr_u8(&w, ss->type);
	for (uint32_t i = 0; i < ss->n; i++) {
		const struct session_member *m = ss->places[i].m;

		dk_wr_bytes16(&w, dk_slice_of(session_member_uid(m)));
		dk_wr_slice(&w, dk_slice_n(m->sid, sizeof(m->sid)));
		session_wr_addr(&w, &ss->spots[m->spot].addr);
	}
	return w.bad ? session_say_outcome(call, -ENOMEM) : dk_answer(call, dk_written(&w));
}

int session_on_is_owner(struct sessions *s, struct dk_call *call, dk_str session, dk_str uid)
{
	struct session *ss = session_called(s, call, session, false);
	uint8_t buf[2 + 2 + DK_UID_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (!ss)
		return 0;
	dk_wr_u8(&w, 0);
	dk_wr_u8(&w, ss->owner && dk_str_eq(uid, session_owner_uid(ss)));
	dk_wr_bytes16(&w, dk_slice_of(session_owner_uid(ss)));
	return dk_answer(call, dk_written(&w));
}

int session_on_node_count(struct sessions *s, struct dk_call *call, dk_str session)
{
	struct session *ss = session_called(s, call, session, false);
	uint8_t buf[6];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (!ss)
		return 0;
	dk_wr_u8(&w, 0);
	dk_wr_u8(&w, ss->type);
	dk_wr_u16(&w, (uint16_t)ss->n);
	dk_wr_u16(&w, ss->max);
	return dk_answer(call, dk_written(&w));
}

/* { uid, public address or a 0, locals }. */
int session_on_user_data(struct sessions *s, struct dk_call *call, dk_str session)
{
	struct dk_session_id id;
	const struct session_known *k = session_id_ok(session, &id) ? session_known_find(&s->seats, &id) : NULL;
	size_t cap = 0;
	struct dk_writer w;

	for (const struct session_seat *seat = k ? k->seats : NULL; seat; seat = seat->in_known)
		cap += 2 + DK_UID_MAX + 1 + SESSION_ADDR_MAX + 2 + (seat->user ? s->user->locals(s->user, seat->user).n : 0);
	w = dk_writer_on(dk_scratch(s, cap), cap);
	for (const struct session_seat *seat = k ? k->seats : NULL; seat; seat = seat->in_known) {
		enum dk_transport_kind kind;
		struct dk_peer_info info;

		if (seat->state != SEAT_IN)
			continue;
		dk_wr_bytes16(&w, dk_slice_of(s->user->uid(s->user, seat->user)));
		if (s->user->info(s->user, seat->user, &info, &kind) == 0 && info.addr.family)
			session_wr_addr(&w, &info.addr);
		else
			dk_wr_u8(&w, 0);
		dk_wr_bytes16(&w, s->user->locals(s->user, seat->user));
	}
	return dk_answer(call, dk_written(&w));
}

/* ---- who asks ---- */

static void members_told(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct session_asker *a = arg;
	struct dk_session_result r = { .rc = rc, .id = a->id };

	(void)s;
	if (rc == 0) {
		r.type = dk_rd_u8(body);
		r.max_members = dk_rd_u16(body);
		r.owner = dk_str_of(dk_rd_bytes16(body));
		r.members = dk_rd_u16(body);
		r.n = r.members;
		r.uids = (struct dk_list){ dk_rd_rest(body), r.members };
	}
	session_asker_tell(a, &r);
}

static void count_told(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct session_asker *a = arg;
	struct dk_session_result r = { .rc = rc, .id = a->id };

	(void)s;
	if (rc == 0) {
		r.type = dk_rd_u8(body);
		r.members = dk_rd_u16(body);
		r.max_members = dk_rd_u16(body);
	}
	session_asker_tell(a, &r);
}

static void owner_told(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct session_asker *a = arg;
	struct dk_session_result r = { .rc = rc, .id = a->id };

	(void)s;
	if (rc == 0) {
		r.yes = dk_rd_u8(body) == 1;
		r.owner = dk_str_of(dk_rd_bytes16(body));
	}
	session_asker_tell(a, &r);
}

static int look(struct sessions *s, void *self, dk_str text, uint16_t cmd, const struct dk_writer *w, session_answer_fn *fn,
		dk_session_done_fn *done, void *arg)
{
	struct session_asker *a;
	struct dk_session_id id;
	int rc;

	if (!session_id_ok(text, &id))
		return DK_SESSION_GONE;
	if (w->bad)
		return -EINVAL;
	a = session_asker_new(s, self, done, arg);
	if (!a)
		return -ENOMEM;
	a->id = id;
	rc = session_ask(s, &id, cmd, dk_written(w), SESSION_AGAIN | SESSION_SEARCH, fn, a);
	if (rc)
		session_asker_free(a);
	return rc;
}

static int by_id(struct sessions *s, void *self, dk_str text, uint16_t cmd, session_answer_fn *fn, dk_session_done_fn *done,
		 void *arg)
{
	uint8_t buf[2 + DK_SESSION_ID_LEN];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_bytes16(&w, dk_slice_of(text));
	return look(s, self, text, cmd, &w, fn, done, arg);
}

static int svc_members(struct dk_session *svc, void *self, dk_str id, dk_session_done_fn *done, void *arg)
{
	return by_id(sessions_of(svc), self, id, SESSION_NODE_MEMBERS, members_told, done, arg);
}

static int svc_count(struct dk_session *svc, void *self, dk_str id, dk_session_done_fn *done, void *arg)
{
	return by_id(sessions_of(svc), self, id, SESSION_NODE_COUNT, count_told, done, arg);
}

static int svc_is_owner(struct dk_session *svc, void *self, dk_str id, dk_str uid, dk_session_done_fn *done, void *arg)
{
	uint8_t buf[2 + DK_SESSION_ID_LEN + 2 + DK_UID_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	session_on_is_owner_pack(&w, id, uid);
	return look(sessions_of(svc), self, id, SESSION_NODE_IS_OWNER, &w, owner_told, done, arg);
}

/* ---- data of all members: the home says who they are, their nodes say where their clients are ---- */

enum { DATA_MS = 2000 };

struct gathering {
	struct session_asker *asker;
	struct dk_session_member *members;
	uint8_t *bytes; /* that they point into */
	size_t bytes_n;
	struct gathered {
		struct gathered *next;
		size_t n;
		uint8_t bytes[];
	} * answers;
	uint32_t n, left;
};
/* One question of it. */
struct session_inquiry {
	struct session_inquiry *next, **link;
	struct gathering *g;
	struct dk_addr node;
};

static void gathering_end(struct sessions *s, struct gathering *g, int rc)
{
	struct dk_session_result r = { .rc = rc, .id = g->asker->id, .type = g->asker->type, .n = g->n, .data = g->members };

	r.members = (uint16_t)g->n;
	session_asker_tell(g->asker, &r);
	for (struct gathered *a = g->answers, *next; a; a = next) {
		next = a->next;
		dk_free(s, a, sizeof(*a) + a->n);
	}
	dk_free(s, g->members, (g->n + !g->n) * sizeof(*g->members));
	dk_free(s, g->bytes, g->bytes_n);
	dk_free(s, g, sizeof(*g));
}

static void inquiry_free(struct sessions *s, struct session_inquiry *q)
{
	*q->link = q->next;
	if (q->next)
		q->next->link = q->link;
	dk_free(s, q, sizeof(*q));
}

static void fill_in(struct sessions *s, struct session_inquiry *q, dk_slice body)
{
	struct gathering *g = q->g;
	struct gathered *keep = dk_alloc(s, sizeof(*keep) + body.n);
	struct dk_cursor c;

	if (!keep)
		return;
	keep->n = body.n;
	keep->next = g->answers;
	g->answers = keep;
	if (body.n)
		memcpy(keep->bytes, body.p, body.n);
	c = dk_cursor_of(dk_slice_n(keep->bytes, body.n));
	while (dk_rd_left(&c) && !c.bad) {
		dk_str uid = dk_str_of(dk_rd_bytes16(&c));
		struct dk_addr addr = { .family = 0 };
		struct dk_cursor ahead = c;
		dk_slice locals;

		if (dk_rd_u8(&ahead))
			addr = session_rd_addr(&c);
		else
			dk_rd_u8(&c);
		locals = dk_rd_bytes16(&c);
		for (uint32_t i = 0; i < g->n && !c.bad; i++)
			if (dk_addr_eq(&g->members[i].node, &q->node) && dk_str_eq(g->members[i].uid, uid)) {
				g->members[i].address = addr;
				g->members[i].locals = locals;
				g->members[i].fresh = true;
			}
	}
	s->n.malformed += c.bad;
}

/* dk_carrier_done_fn */
static void data_answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct session_inquiry *q = arg;
	struct gathering *g = q->g;

	if (err == 0 && status == DK_STATUS_OK)
		fill_in(self, q, body);
	inquiry_free(self, q);
	if (!--g->left)
		gathering_end(self, g, 0);
}

static void data_answered_here(void *self, const struct dk_call *call, int status, dk_slice body)
{
	data_answered(self, call->priv, 0, status, body);
}

static void inquire(struct sessions *s, struct gathering *g, const struct dk_addr *node)
{
	struct session_inquiry *q = dk_alloc(s, sizeof(*q));
	uint8_t buf[2 + DK_SESSION_ID_LEN];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_incoming in = { .ver = DK_VER_NODE, .origin = DK_FROM_NODE, .cmd = SESSION_NODE_USER_DATA, .from = *node };

	if (!q)
		return;
	*q = (struct session_inquiry){ s->inquiries, &s->inquiries, g, *node };
	if (q->next)
		q->next->link = &q->next;
	s->inquiries = q;
	dk_wr_bytes16(&w, dk_slice_of(session_id_text(&g->asker->id)));
	g->left++;
	in.payload = dk_written(&w);
	in.token = (uint64_t)(uintptr_t)q;
	in.finish = data_answered_here;
	if (dk_addr_eq(node, dk_node_addr(s))
		    ? dk_dispatch(s, &in) <= DK_LATER
		    : s->carrier && s->carrier->request(s->carrier, s, node, DK_VER_NODE, SESSION_NODE_USER_DATA, dk_written(&w),
							DATA_MS, data_answered, q, NULL) == 0)
		return;
	inquiry_free(s, q);
	g->left--;
}

static void sids_told(struct sessions *s, void *arg, int rc, struct dk_cursor *body)
{
	struct gathering *g = arg;
	struct dk_cursor c;
	uint32_t n = 0;

	if (rc) {
		gathering_end(s, g, rc);
		return;
	}
	g->asker->type = dk_rd_u8(body);
	g->bytes_n = dk_rd_left(body);
	g->bytes = dk_alloc(s, g->bytes_n + !g->bytes_n);
	g->bytes_n += !g->bytes_n;
	if (g->bytes && dk_rd_left(body))
		memcpy(g->bytes, dk_rd_rest(body).p, g->bytes_n);
	/* At most so many, by their shortest form. */
	g->n = (uint32_t)(g->bytes_n / (2 + 1 + 16 + 7));
	g->members = dk_alloc(s, (g->n + !g->n) * sizeof(*g->members));
	if (!g->bytes || !g->members) {
		g->n = g->members ? g->n : 0;
		gathering_end(s, g, -ENOMEM);
		return;
	}
	c = dk_cursor_of(dk_slice_n(g->bytes, g->n ? g->bytes_n : 0));
	while (dk_rd_left(&c) && !c.bad && n < g->n) {
		struct dk_session_member *m = &g->members[n++];

		m->uid = dk_str_of(dk_rd_bytes16(&c));
		m->sid = dk_rd_take(&c, 16);
		m->node = session_rd_addr(&c);
	}
	g->members = dk_realloc(s, g->members, (g->n + !g->n) * sizeof(*g->members), (n + !n) * sizeof(*g->members));
	g->n = n;
	g->left = 1;
	for (uint32_t i = 0; i < n && !c.bad; i++) {
		bool before = false;

		for (uint32_t k = 0; k < i; k++)
			before = before || dk_addr_eq(&g->members[k].node, &g->members[i].node);
		if (!before)
			inquire(s, g, &g->members[i].node);
	}
	if (!--g->left)
		gathering_end(s, g, c.bad ? -EPROTO : 0);
}

static int svc_member_data(struct dk_session *svc, void *self, dk_str id, dk_session_done_fn *done, void *arg)
{
	struct sessions *s = sessions_of(svc);
	struct gathering *g;
	struct dk_session_id known;
	uint8_t buf[2 + DK_SESSION_ID_LEN];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	int rc;

	if (!session_id_ok(id, &known))
		return DK_SESSION_GONE;
	g = dk_alloc(s, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->asker = session_asker_new(s, self, done, arg);
	if (!g->asker)
		goto fail;
	g->asker->id = known;
	dk_wr_bytes16(&w, dk_slice_of(id));
	rc = session_ask(s, &known, SESSION_NODE_SIDS, dk_written(&w), SESSION_AGAIN | SESSION_SEARCH, sids_told, g);
	if (rc == 0)
		return 0;
	session_asker_free(g->asker);
fail:
	dk_free(s, g, sizeof(*g));
	return -ENOMEM;
}

void session_look_init(struct sessions *s)
{
	s->svc.members = svc_members;
	s->svc.count = svc_count;
	s->svc.is_owner = svc_is_owner;
	s->svc.member_data = svc_member_data;
}

void session_look_fini(struct sessions *s)
{
	while (s->inquiries)
		data_answered(s, s->inquiries, -ECANCELED, 0, dk_slice_n(NULL, 0));
}
