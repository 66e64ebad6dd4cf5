/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of a room on other nodes, from the side of its owner. A room that wants them names one or two other nodes in its id when
 * it is made, and sends them its state whenever that has changed: at once, then at most every 50 ms; and each member, packed by
 * the plugin user, when it is new, and when it has changed, for which all are looked at every two seconds. Texts of chat go by
 * themselves, each at once. Nobody waits for a copy: what was changed in the last moment before a node dies is lost with it.
 *
 * One copy is on its way to a node at a time; what changed meanwhile goes with the next one. A node that dies, or does not
 * answer, is replaced. The members' clients are told where the copies are, once they are there.
 *
 * Every copy carries the epoch of the ownership. Who is told that there is a later one does not own the room any more
 * (room_takeover.c).
 */
#include <errno.h>
#include <stdio.h>

#include "room_state.h"

enum {
	EVERY_MS = 50,
	LOOK_MS = 2000, /* at what nobody says of itself that it has changed */
	ANSWER_MS = 2000,
	NODE_COPY_LINE = 24,
	TEXT_MAX = 262 + 8 /* "[host]:port" */
};

struct backup {
	struct room_copies *copies;
	struct dk_addr addr;
	dk_id request; /* 0 = none under way */
	bool whole; /* it knows nothing yet */
	bool dirty; /* there is news for it */
	bool there; /* it has a copy */
	bool confirms; /* it is to say that this node still owns the room */
};

/* What was sent of a member. */
struct copied {
	dk_id user;
	uint64_t hash; /* 0 = nothing yet */
};

struct room_copies {
	struct room *r;
	struct backup at[ROOM_BACKUPS_MAX]; /* beside room.backups */
	struct dk_timer timer, look;
	uint64_t sent_ms, state_hash;
	struct copied *members;
	uint16_t member_n, member_cap;
	bool look_now; /* at the members */
};

static void push_copies(void *self, struct dk_timer *t);
static void look(void *self, struct dk_timer *t);

/* ---- members ---- */

static struct copied *copied_of(struct rooms *s, struct room_copies *c, dk_id user)
{
	for (uint16_t i = 0; i < c->member_n; i++)
		if (c->members[i].user == user)
			return &c->members[i];
	if (c->member_n == c->member_cap) {
		uint16_t cap = (uint16_t)(c->member_cap ? c->member_cap * 2 : 8);
		struct copied *p = dk_realloc(s, c->members, c->member_cap * sizeof(*p), cap * sizeof(*p));

		if (!p)
			return NULL;
		c->members = p;
		c->member_cap = cap;
	}
	c->members[c->member_n] = (struct copied){ user, 0 };
	return &c->members[c->member_n++];
}

static void forget_those_who_left(struct rooms *s, const struct room *r, struct room_copies *c)
{
	for (uint16_t i = 0; i < c->member_n;)
		if (room_store_of(&s->store, c->members[i].user) != r->handle)
			c->members[i] = c->members[--c->member_n];
		else
			i++;
}

/* whole: which nodes want it even if it has not changed; NULL = none. */
static void send_member(struct rooms *s, const struct room *r, dk_str uid, dk_slice packed, bool changed, const bool *whole)
{
	size_t cap = DK_ID52_LEN + 4 + 2 + uid.n + packed.n;
	uint8_t *buf = dk_alloc(s, cap);
	struct dk_writer w = dk_writer_on(buf, cap);

	room_on_copy_member_pack(&w, &r->id, r->epoch, uid, packed);
	for (uint8_t i = 0; i < r->backup_n && !w.bad; i++)
		if (changed || (whole && whole[i]))
			s->carrier->send(s->carrier, &r->backups[i], DK_VER_NODE, 12, dk_written(&w), DK_RELIABLE);
	if (buf)
		explicit_bzero(buf, cap);
	dk_free(s, buf, cap);
}

/* Those that are new, with look_now those that have changed, and all of them to nodes that know nothing yet. */
static void send_members(struct rooms *s, const struct room *r, struct room_copies *c, const bool *whole)
{
	bool all = whole && (whole[0] || whole[1]);
	uint8_t *buf = dk_alloc(s, ROOM_MEMBER_MAX);

	forget_those_who_left(s, r, c);
	for (uint16_t i = 0; i < r->member_n && buf; i++) {
		struct dk_writer w = dk_writer_on(buf, ROOM_MEMBER_MAX);
		struct copied *m = copied_of(s, c, r->members[i]);
		uint64_t hash;

		if (!m || (m->hash && !all && !c->look_now) || s->user->pack(s->user, r->members[i], &w) || w.bad)
			continue;
		hash = dk_hash(s, dk_written(&w)) | 1;
		if (hash != m->hash || all)
			send_member(s, r, s->user->uid(s->user, r->members[i]), dk_written(&w), hash != m->hash, whole);
		m->hash = hash;
	}
	if (buf)
		explicit_bzero(buf, ROOM_MEMBER_MAX);
	dk_free(s, buf, ROOM_MEMBER_MAX);
	c->look_now = false;
}

/* ---- nodes ---- */

/* Its copy, if it has one, is of no use any more. */
static void tell_end(struct rooms *s, const struct room *r, const struct dk_addr *to)
{
	uint8_t buf[DK_ID52_LEN + 4];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_copy_end_pack(&w, &r->id, r->epoch);
	s->carrier->send(s->carrier, to, DK_VER_NODE, 14, dk_written(&w), DK_RELIABLE);
}

static void backup_drop(struct rooms *s, struct room *r, uint8_t i)
{
	struct room_copies *c = r->copies;

	s->carrier->cancel(s->carrier, c->at[i].request);
	tell_end(s, r, &c->at[i].addr);
	r->backup_n--;
	for (; i < r->backup_n; i++) {
		/* Its request, if there is one, has this place as its argument: it begins anew. */
		c->at[i] = c->at[i + 1];
		s->carrier->cancel(s->carrier, c->at[i].request);
		c->at[i].request = 0;
		c->at[i].dirty = true;
		r->backups[i] = r->backups[i + 1];
	}
}

static bool is_backup(const struct room *r, const struct dk_addr *a)
{
	for (uint8_t i = 0; i < r->backup_n; i++)
		if (dk_addr_eq(&r->backups[i], a))
			return true;
	return false;
}

static void backup_add(struct room *r, const struct dk_addr *a)
{
	struct backup *b = &r->copies->at[r->backup_n];

	*b = (struct backup){ .copies = r->copies, .addr = *a, .whole = true, .dirty = true };
	r->backups[r->backup_n++] = *a;
}

/* As many as are wanted, as far as there are nodes. */
static void fill(struct rooms *s, struct room *r)
{
	struct dk_addr a;

	while (r->backup_n < r->replicas && room_pick(s, r, 0, r->backups, r->backup_n, &a))
		backup_add(r, &a);
}

/* ---- sending ---- */

static void answered(void *self, void *arg, int err, int status, dk_slice body);

static void send_state(struct rooms *s, struct room *r, struct backup *b, dk_slice state)
{
	size_t cap = DK_ID52_LEN + 4 + 8 + 1 + state.n;
	uint8_t *buf = dk_alloc(s, cap);
	struct dk_writer w = dk_writer_on(buf, cap);

	room_on_copy_pack(&w, &r->id, r->epoch, r->version, b->whole, state);
	if (!w.bad && s->carrier->request(s->carrier, s, &b->addr, DK_VER_NODE, 13, dk_written(&w), ANSWER_MS, answered, b,
					  &b->request) == 0) {
		b->dirty = b->whole = false;
		s->n.copies_sent++;
	}
	dk_free(s, buf, cap);
}

static void arm(struct rooms *s, struct room_copies *c)
{
	uint64_t next = c->sent_ms + EVERY_MS, now = dk_now(s);

	if (!dk_timer_armed(&c->timer))
		dk_timer_start(s, &c->timer, next > now ? next - now : 0, 0, push_copies);
}

static void push_copies(void *self, struct dk_timer *t)
{
	struct rooms *s = self;
	struct room_copies *c = dk_container_of(t, struct room_copies, timer);
	struct room *r = c->r;
	bool whole[ROOM_BACKUPS_MAX] = { false }, due = false;
	dk_slice state;

	if (r->phase != ROOM_LIVE) { /* frozen: it goes on here, or is gone */
		dk_timer_start(s, t, EVERY_MS, 0, push_copies);
		return;
	}
	fill(s, r);
	c->sent_ms = dk_now(s);
	for (uint8_t i = 0; i < r->backup_n; i++)
		due = due || (c->at[i].dirty && !c->at[i].request);
	if (!due)
		return;
	r->version++;
	if (room_pack(s, r, &state) < 0)
		return;
	c->state_hash = room_state_hash(s, state);
	for (uint8_t i = 0; i < r->backup_n; i++) {
		if (!c->at[i].dirty || c->at[i].request)
			continue;
		whole[i] = c->at[i].whole;
		send_state(s, r, &c->at[i], state);
	}
	send_members(s, r, c, whole);
}

/* dk_carrier_done_fn; cancelled when the node is none of the room's any more */
static void answered(void *self, void *arg, int err, int status, dk_slice body)
{
	struct rooms *s = self;
	struct backup *b = arg;
	struct room *r = b->copies->r;
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c), i = 0;
	uint32_t epoch = dk_rd_u32(&c);
	struct dk_addr owner;

	b->request = 0;
	if (err == 0 && status == DK_STATUS_OK && outcome == ROOM_STALE && epoch > r->epoch) {
		room_addr_read(&c, &owner);
		if (!c.bad)
			room_superseded(s, r, &owner);
		return;
	}
	if (err == 0 && status == DK_STATUS_OK && !outcome) {
		if (b->confirms) {
			b->confirms = false;
			room_move_confirmed(s, r);
			return; /* the room may be gone */
		}
		if (!b->there) {
			b->there = true;
			room_tell_backups(s, r);
		}
		if (b->dirty)
			arm(s, r->copies);
		return;
	}
	if (err == 0 && status == DK_STATUS_OK && outcome == ROOM_WHOLE) {
		b->whole = b->dirty = true;
		b->there = false;
		arm(s, r->copies);
		return;
	}
	/* It did not answer, or cannot take it: another one. If it is the only one there is, it is asked again. */
	s->n.copies_failed++;
	while (&r->copies->at[i] != b)
		i++;
	backup_drop(s, r, i);
	dk_timer_start(s, &r->copies->timer, EVERY_MS * 4, 0, push_copies);
	room_tell_backups(s, r);
}

void room_copies_confirm(struct rooms *s, struct room *r, dk_slice state)
{
	for (uint8_t i = 0; r->copies && i < r->backup_n; i++) {
		struct backup *b = &r->copies->at[i];

		if (!b->there)
			continue;
		s->carrier->cancel(s->carrier, b->request);
		b->request = 0;
		send_state(s, r, b, state);
		b->confirms = true;
	}
}

bool room_copies_unconfirmed(const struct room *r)
{
	for (uint8_t i = 0; r->copies && i < r->backup_n; i++)
		if (r->copies->at[i].confirms)
			return true;
	return false;
}

void room_copies_thawed(struct rooms *s, struct room *r)
{
	if (!r->copies)
		return;
	for (uint8_t i = 0; i < r->backup_n; i++)
		r->copies->at[i].confirms = false;
	room_copies_dirty(s, r);
}

void room_copies_line(struct rooms *s, const struct room *r, dk_str uid, dk_str text, uint64_t at_ms)
{
	size_t cap = DK_ID52_LEN + 4 + 8 + 2 + uid.n + 2 + text.n;
	struct dk_writer w = dk_writer_on(r->copies ? dk_scratch(s, cap) : NULL, r->copies ? cap : 0);

	room_on_copy_line_pack(&w, &r->id, r->epoch, at_ms, uid, text);
	for (uint8_t i = 0; r->copies && i < r->backup_n && !w.bad; i++)
		if (!r->copies->at[i].whole) /* else it comes with everything */
			s->carrier->send(s->carrier, &r->backups[i], DK_VER_NODE, NODE_COPY_LINE, dk_written(&w), DK_RELIABLE);
}

/* ---- when ---- */

void room_copies_dirty(struct rooms *s, struct room *r)
{
	struct room_copies *c = r->copies;

	for (uint8_t i = 0; i < r->backup_n; i++)
		c->at[i].dirty = true;
	arm(s, c);
}

static void look(void *self, struct dk_timer *t)
{
	struct rooms *s = self;
	struct room_copies *c = dk_container_of(t, struct room_copies, look);
	struct room *r = c->r;
	bool old = dk_now(s) - c->sent_ms >= ROOM_COPY_FRESH_MS;
	dk_slice state;

	if (r->phase != ROOM_LIVE)
		return;
	c->look_now = true;
	send_members(s, r, c, NULL);
	if (old || r->backup_n < r->replicas || (room_pack(s, r, &state) == 0 && room_state_hash(s, state) != c->state_hash))
		room_copies_dirty(s, r);
}

int room_copies_start(struct rooms *s, struct room *r)
{
	struct room_copies *c;

	if (!r->replicas || r->copies || !s->carrier || !s->cluster)
		return 0;
	c = dk_alloc(s, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->r = r;
	for (uint8_t i = 0; i < r->backup_n; i++)
		c->at[i] = (struct backup){ .copies = c, .addr = r->backups[i], .whole = true, .dirty = true };
	r->copies = c;
	dk_timer_start(s, &c->look, LOOK_MS, LOOK_MS, look);
	arm(s, c);
	return 0;
}

void room_copies_stop(struct rooms *s, struct room *r, bool end)
{
	struct room_copies *c = r->copies;

	if (!c)
		return;
	for (uint8_t i = 0; i < r->backup_n; i++) {
		s->carrier->cancel(s->carrier, c->at[i].request);
		if (end)
			tell_end(s, r, &c->at[i].addr);
	}
	dk_timer_stop(&c->timer);
	dk_timer_stop(&c->look);
	dk_free(s, c->members, c->member_cap * sizeof(*c->members));
	dk_free(s, c, sizeof(*c));
	r->copies = NULL;
}

void room_copies_node(struct rooms *s, struct room *r, const struct dk_addr *gone)
{
	if (!r->copies || !is_backup(r, gone))
		return;
	for (uint8_t i = 0; i < r->backup_n; i++)
		if (dk_addr_eq(&r->backups[i], gone)) {
			backup_drop(s, r, i);
			break;
		}
	room_copies_dirty(s, r);
	room_tell_backups(s, r);
}

/* ---- telling clients ---- */

/* Where clients of that type of transport find the copies. Returns how many there are. */
static uint16_t write_addresses(struct rooms *s, const struct room *r, dk_str type, struct dk_writer *w)
{
	uint16_t n = 0;

	for (uint8_t i = 0; r->copies && i < r->backup_n; i++) {
		const struct dk_cluster_node *node = s->cluster->node(s->cluster, &r->backups[i]);
		const struct dk_endpoint *e;
		char text[TEXT_MAX];
		int len;

		if (!node || !r->copies->at[i].there)
			continue;
		e = s->cluster->endpoint(s->cluster, node, type, dk_str_n(NULL, 0));
		if (!e)
			continue;
		len = snprintf(text, sizeof(text), strchr(e->host, ':') ? "[%s]:%u" : "%s:%u", e->host, e->port);
		dk_wr_bytes16(w, dk_slice_n(text, (size_t)len));
		n++;
	}
	return n;
}

struct dk_list room_addresses(struct rooms *s, const struct room *r, dk_id user, struct dk_writer *w)
{
	uint16_t n = write_addresses(s, r, s->user->type(s->user, user), w);

	return (struct dk_list){ dk_written(w), n };
}

void room_tell_backups(struct rooms *s, struct room *r)
{
	uint8_t list[ROOM_ADDRESSES_MAX], buf[2 + sizeof(list) + 2 + DK_ID52_LEN];
	dk_str type = { NULL, 0 }, last = { NULL, 0 };
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	for (uint16_t i = 0; i < r->member_n; i++) {
		type = s->user->type(s->user, r->members[i]);
		if (!type.n)
			continue;
		if (!dk_str_eq(type, last)) {
			struct dk_writer l = dk_writer_on(list, sizeof(list));

			w = dk_writer_on(buf, sizeof(buf));
			room_push_backups_encode(&w, room_addresses(s, r, r->members[i], &l), dk_str_n(r->id.c, DK_ID52_LEN));
			last = type;
		}
		s->user->push(s->user, r->members[i], ROOM_VER, ROOM_CMD_BACKUPS, dk_written(&w), DK_RELIABLE);
	}
}
