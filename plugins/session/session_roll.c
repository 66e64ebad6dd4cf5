/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who agrees with whom. Every two seconds each node tells each home which of its sessions have members here, as one number for each
 * session; the home names those that it does not know, or knows otherwise. Where the two differ the node says who is here, and both
 * forget what the other one does not have. A home that did not confirm a session for ten seconds, and which no other node has, has
 * lost it; members whose node did not confirm them for twenty seconds have lapsed. So both ends agree after whatever happened.
 */
#include "session_state.h"

enum {
	BATCH_MAX = 512, /* sessions in one roll */
	ENTRY = DK_SESSION_ID_LEN + 4 + 4 + 8,
	ANSWER_MS = 1900,
	SOON_MS = 100
};

/* ---- the home's side ---- */

/* Exceptions: { id, u8 outcome, u32 epoch, the address of the home if it is elsewhere }. */
static void except(struct dk_writer *w, const struct dk_session_id *id, uint8_t outcome, uint32_t epoch, const struct dk_addr *home)
{
	dk_wr_slice(w, dk_slice_n(id->c, DK_SESSION_ID_LEN));
	dk_wr_u8(w, outcome);
	dk_wr_u32(w, epoch);
	if (home)
		session_wr_addr(w, home);
}

/* One entry of a roll: { id, u32 epoch, u32 n, u64 mix }. */
static void heard_entry(struct sessions *s, struct dk_cursor *c, const struct dk_addr *from, bool search, struct dk_writer *w)
{
	dk_str text = dk_str_of(dk_rd_slice(c, DK_SESSION_ID_LEN));
	uint32_t epoch = dk_rd_u32(c), n = dk_rd_u32(c);
	uint64_t mix = dk_rd_u64(c);
	const struct session_former *f;
	struct session_spot *spot;
	struct dk_session_id id;
	struct session *ss;

	if (c->bad || !session_id_ok(text, &id)) {
		c->bad = true;
		return;
	}
	ss = session_store_find(&s->store, &id);
	f = ss ? NULL : session_former_get(s, &id);
	if (f && f->epoch >= epoch) {
		except(w, &id, SESSION_ELSEWHERE, f->epoch, &f->home);
	} else if (!ss || ss->phase == SESSION_ENDING) {
		if (!search)
			except(w, &id, DK_SESSION_GONE, 0, NULL);
	} else {
		spot = session_spot_find(ss, from);
		if (spot && spot->n == n && spot->mix == mix) {
			spot->seen_ms = dk_now(s);
			if (search)
				except(w, &id, 0, ss->epoch, NULL);
		} else {
			except(w, &id, SESSION_DIFFERS, ss->epoch, NULL);
		}
	}
}

int session_on_roll(struct sessions *s, struct dk_call *call, uint8_t search, dk_slice sessions)
{
	struct dk_cursor c = dk_cursor_of(sessions);
	size_t cap = sessions.n / ENTRY * (DK_SESSION_ID_LEN + 5 + SESSION_ADDR_MAX);
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);

	if (sessions.n > BATCH_MAX * ENTRY) {
		s->n.malformed++;
		return dk_refuse(call, SESSION_E_PARAMS, "a roll has %d sessions at most", BATCH_MAX);
	}
	while (dk_rd_left(&c) && !c.bad)
		heard_entry(s, &c, &call->from, search, &w);
	if (c.bad || w.bad) {
		s->n.malformed++;
		return dk_refuse(call, SESSION_E_PARAMS, "this is no roll of sessions");
	}
	return dk_answer(call, dk_written(&w));
}

/* Of those that the calling node has not named. */
static void drop_unlisted(struct sessions *s, struct session *ss, const struct dk_addr *node)
{
	dk_id handle = ss->handle;
	uint32_t i = 0;

	while (ss && ss->phase == SESSION_LIVE && i < ss->n) {
		struct session_member *m = ss->places[i].m;

		if (!m->listed && dk_addr_eq(&ss->spots[m->spot].addr, node) && dk_now(s) - m->since_ms >= SESSION_SETTLED_MS) {
			session_drop(s, ss, m, DK_SESSION_LAPSED);
			ss = session_store_get(&s->store, handle);
			i = 0;
		} else {
			i++;
		}
	}
}

/* Nobody speaks for that stay where it is now. */
static bool is_deserted(struct sessions *s, const struct dk_addr *node)
{
	return !dk_addr_eq(node, dk_node_addr(s)) && !session_node_there(s->cluster->node(s->cluster, node));
}

/* A member is at the calling node: it just came, or whole, it is one of all that are there. What was known of it before is sent to
 * where it was. */
static enum session_stay heard_member(struct sessions *s, struct session *ss, uint64_t token, uint16_t hops, dk_str uid, bool whole,
				      const struct dk_addr *from, uint64_t *ret_since)
{
	struct session_member *m = session_member_find(&s->store, ss, uid);
	uint8_t buf[2 + DK_SESSION_ID_LEN + 8 + 2 + 8 + 8 + SESSION_ADDR_MAX], addr[SESSION_ADDR_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), a = dk_writer_on(addr, sizeof(addr));
	struct dk_addr old;

	if (!m || m->token != token)
		return hops == SESSION_HOPS_JOINING ? SESSION_STAYS : SESSION_STAYS_NOT;
	m->listed = true;
	old = ss->spots[m->spot].addr;
	*ret_since = m->from;
	if (hops == SESSION_HOPS_JOINING || (hops == m->hops && dk_addr_eq(&old, from)))
		return SESSION_STAYS;
	if (hops < m->hops || (hops == m->hops && whole))
		if (dk_addr_eq(&old, from) || !is_deserted(s, &old))
			return SESSION_STAYS_ELSEWHERE;
	if (session_member_move(&s->store, ss, m, from))
		return SESSION_STAYS_ELSEWHERE; /* at the next roll */
	session_wr_addr(&a, from);
	session_on_moved_on_pack(&w, session_id_text(&ss->id), token, m->hops, m->from, ss->number, dk_written(&a));
	m->hops = hops;
	m->from = ss->number;
	*ret_since = m->from;
	session_send(s, &old, SESSION_NODE_MOVED_ON, dk_written(&w));
	return SESSION_STAYS;
}

int session_on_members_here(struct sessions *s, struct dk_call *call, dk_str session, uint8_t whole, uint16_t n, dk_slice members)
{
	struct session *ss = session_called(s, call, session, true);
	struct dk_cursor c = dk_cursor_of(members);
	size_t cap = 1 + (8 + 2 + 1 + 8) * (size_t)n;
	struct dk_writer w;
	struct session_spot *spot;

	if (!ss)
		return 0;
	w = dk_writer_on(dk_scratch(s, cap), cap);
	dk_wr_u8(&w, 0);
	for (uint32_t i = 0; i < ss->n; i++)
		ss->places[i].m->listed = false;
	while (n-- && !c.bad) {
		uint64_t token = dk_rd_u64(&c);
		uint16_t hops = dk_rd_u16(&c);
		dk_str uid = dk_str_of(dk_rd_bytes16(&c));
		uint64_t since = 0;
		enum session_stay stay;

		if (c.bad)
			break;
		stay = heard_member(s, ss, token, hops, uid, whole, &call->from, &since);
		dk_wr_u64(&w, token);
		dk_wr_u16(&w, hops);
		dk_wr_u8(&w, (uint8_t)stay);
		dk_wr_u64(&w, since);
	}
	if (c.bad || w.bad) {
		s->n.malformed++;
		return session_say_outcome(call, -EINVAL);
	}
	spot = session_spot_find(ss, &call->from);
	if (spot)
		spot->seen_ms = dk_now(s);
	if (whole)
		drop_unlisted(s, ss, &call->from);
	return dk_answer(call, dk_written(&w));
}

static void lapse(struct sessions *s)
{
	struct session *ss;
	uint32_t slot = 0;
	dk_id id;

	while ((ss = dk_table_next(&s->store.table, &slot, &id)))
		for (uint32_t i = 0; ss && ss->phase == SESSION_LIVE && i < ss->n;) {
			struct session_member *m = ss->places[i].m;
			const struct session_spot *spot = &ss->spots[m->spot];

			if (dk_now(s) - spot->seen_ms < SESSION_LAPSE_MS || dk_addr_eq(&spot->addr, dk_node_addr(s))) {
				i++;
				continue;
			}
			session_drop(s, ss, m, DK_SESSION_LAPSED);
			ss = session_store_get(&s->store, id);
			i = 0;
		}
}

/* ---- the members' side ---- */

struct session_roll {
	struct session_roll *next, **link;
	uint64_t n;
	struct dk_addr to;
	bool search;
};

static void roll_free(struct sessions *s, struct session_roll *r)
{
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	dk_free(s, r, sizeof(*r));
}

static void roll(void *self, struct dk_timer *t);

static void want_search(struct sessions *s, struct session_known *k)
{
	k->searched = UINT64_MAX;
	dk_timer_start(s, &s->roll_timer, SOON_MS, SESSION_ROLL_MS, roll);
}

static void except_heard(struct sessions *s, struct dk_cursor *c, const struct dk_addr *from)
{
	dk_str text = dk_str_of(dk_rd_slice(c, DK_SESSION_ID_LEN));
	uint8_t outcome = dk_rd_u8(c);
	uint32_t epoch = dk_rd_u32(c);
	struct dk_addr home = outcome == SESSION_ELSEWHERE ? session_rd_addr(c) : *from;
	struct session_known *k;
	struct dk_session_id id;

	if (c->bad || !session_id_ok(text, &id)) {
		c->bad = true;
		return;
	}
	k = session_known_find(&s->seats, &id);
	if (!k)
		return;
	k->rolled = 0; /* no confirmation by silence */
	if (outcome == DK_SESSION_GONE) {
		if (!k->searched && dk_addr_eq(&k->home, from))
			want_search(s, k);
		return;
	}
	session_heard_of_home(s, k, &home, epoch, from);
	if (outcome == SESSION_DIFFERS && dk_addr_eq(&k->home, from))
		session_claim(s, k, NULL);
}

/* dk_carrier_done_fn */
static void roll_answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct sessions *s = self;
	struct session_roll *r = arg;
	bool heard = err == 0 && status == DK_STATUS_OK;
	struct dk_cursor c = dk_cursor_of(body);
	struct session_known *k;
	uint32_t slot = 0;

	while (heard && dk_rd_left(&c) && !c.bad)
		except_heard(s, &c, &r->to);
	s->n.malformed += heard && c.bad;
	while (err == 0 && (k = session_known_next(&s->seats, &slot))) {
		if (!r->search && k->rolled == r->n && dk_addr_eq(&k->home, &r->to)) {
			if (heard)
				k->confirmed_ms = dk_now(s);
			else if (!k->searched) /* it does not run this plugin, or not any more */
				want_search(s, k);
		}
		if (r->search && k->searched == r->n && k->search_left && !--k->search_left)
			session_known_lost(s, k, DK_SESSION_LOST);
	}
	roll_free(s, r);
}

static struct dk_writer batch(uint8_t buf[1 + BATCH_MAX * ENTRY], bool search)
{
	struct dk_writer w = dk_writer_on(buf, 1 + BATCH_MAX * ENTRY);

	session_on_roll_pack(&w, search, dk_slice_n(NULL, 0));
	return w;
}

static bool send_batch(struct sessions *s, const struct dk_addr *to, bool search, uint64_t n, dk_slice payload)
{
	struct session_roll *r = dk_alloc(s, sizeof(*r));

	if (!r)
		return false;
	*r = (struct session_roll){ s->rolls, &s->rolls, n, *to, search };
	if (r->next)
		r->next->link = &r->next;
	s->rolls = r;
	if (s->carrier->request(s->carrier, s, to, DK_VER_NODE, SESSION_NODE_ROLL, payload, ANSWER_MS, roll_answered, r, NULL) == 0)
		return true;
	roll_free(s, r);
	return false;
}

static void write_entry(struct dk_writer *w, const struct session_known *k)
{
	dk_wr_slice(w, dk_slice_n(k->id.c, DK_SESSION_ID_LEN));
	dk_wr_u32(w, k->epoch);
	dk_wr_u32(w, k->n);
	dk_wr_u64(w, k->mix);
}

/* What lives here, as far as the seats know. */
static void check_here(struct sessions *s, struct session_known *k)
{
	uint8_t entry[ENTRY], buf[DK_SESSION_ID_LEN + 5 + SESSION_ADDR_MAX];
	struct dk_writer e = dk_writer_on(entry, sizeof(entry)), w = dk_writer_on(buf, sizeof(buf));
	struct dk_cursor c;

	write_entry(&e, k);
	c = dk_cursor_of(dk_written(&e));
	k->confirmed_ms = dk_now(s);
	heard_entry(s, &c, dk_node_addr(s), false, &w);
	c = dk_cursor_of(dk_written(&w));
	if (dk_rd_left(&c))
		except_heard(s, &c, dk_node_addr(s));
}

static void roll_to(struct sessions *s, const struct dk_addr *home, uint8_t *buf)
{
	struct dk_writer w = batch(buf, false);
	struct session_known *k;
	uint32_t slot = 0, n = 0;

	s->roll_n++;
	while ((k = session_known_next(&s->seats, &slot))) {
		if (!k->n || k->searched || !dk_addr_eq(&k->home, home))
			continue;
		k->rolled = s->roll_n;
		write_entry(&w, k);
		if (++n < BATCH_MAX)
			continue;
		send_batch(s, home, false, s->roll_n++, dk_written(&w));
		w = batch(buf, false);
		n = 0;
	}
	if (n)
		send_batch(s, home, false, s->roll_n, dk_written(&w));
}

/* All nodes are asked for what their homes have not; BATCH_MAX at a time. */
static void search(struct sessions *s, uint8_t *buf)
{
	struct dk_writer w = batch(buf, true);
	uint64_t number = ++s->roll_n;
	const struct dk_cluster_node *node;
	struct session_known *k;
	uint32_t slot = 0, n = 0, asked = 0;

	while (n < BATCH_MAX && (k = session_known_next(&s->seats, &slot)))
		if (k->searched == UINT64_MAX) {
			k->searched = number;
			write_entry(&w, k);
			n++;
		}
	slot = 0;
	while (n && (node = s->cluster->next(s->cluster, &slot)))
		asked += session_node_there(node) && send_batch(s, &node->addr, true, number, dk_written(&w));
	slot = 0;
	while (n && (k = session_known_next(&s->seats, &slot))) {
		if (k->searched != number)
			continue;
		k->search_left = asked;
		if (!asked)
			session_known_lost(s, k, DK_SESSION_LOST);
	}
}

static void look_at(struct sessions *s, struct session_known *k)
{
	if (dk_addr_eq(&k->home, dk_node_addr(s)))
		check_here(s, k);
	else if (dk_now(s) - k->confirmed_ms >= SESSION_LOST_MS)
		session_known_lost(s, k, DK_SESSION_LOST);
	else if (k->searched || !session_node_there(s->cluster->node(s->cluster, &k->home)))
		k->searched = UINT64_MAX;
}

static void roll(void *self, struct dk_timer *t)
{
	struct sessions *s = self;
	const struct dk_cluster_node *node;
	struct session_known *k;
	uint32_t slot = 0;
	uint8_t *buf;

	(void)t;
	dk_timer_start(s, &s->roll_timer, SESSION_ROLL_MS, SESSION_ROLL_MS, roll);
	while ((k = session_known_next(&s->seats, &slot))) {
		bool in = k->n > 0;

		session_claim_look(s, k);
		if (in)
			look_at(s, k);
	}
	lapse(s);
	session_gauges(s);
	buf = s->seats.table.used ? dk_scratch(s, 1 + BATCH_MAX * ENTRY) : NULL;
	if (!buf)
		return;
	slot = 0;
	while ((node = s->cluster->next(s->cluster, &slot)))
		if (session_node_there(node)) {
			struct dk_addr to = node->addr;

			roll_to(s, &to, buf);
		}
	search(s, buf);
}

void session_roll_start(struct sessions *s)
{
	if (!session_alone(s))
		dk_timer_start(s, &s->roll_timer, dk_chance(s) % SESSION_ROLL_MS, SESSION_ROLL_MS, roll);
}

void session_roll_fini(struct sessions *s)
{
	while (s->rolls)
		roll_free(s, s->rolls);
}
