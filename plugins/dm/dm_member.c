/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin knows of the users of this node: when they logged in, and with whom they have exchanged something. It comes with
 * them from the node they were on, and goes with them. Blank users have no place here: nobody would hear what they are sent.
 */
#include <errno.h>

#include "dm_state.h"

static const char elsewhere[] = "this user has logged in again";

struct dm_member *dm_member(const struct dms *s, dk_id user)
{
	uint32_t slot = dk_id_slot(user);
	struct dm_member *m = user && slot < s->member_cap ? s->members[slot] : NULL;

	return m && m->user == user ? m : NULL;
}

/* ---- with whom ---- */

void dm_peer_add(struct dms *s, dk_id user, dk_str uid)
{
	struct dm_member *m = dm_member(s, user);
	struct dm_peer *p;

	if (!m || !uid.n || uid.n > DM_UID_MAX)
		return;
	for (p = m->peers; p; p = p->next)
		if (dk_str_eq(uid, dk_str_n(p->uid, p->n)))
			return;
	p = dk_alloc(s, sizeof(*p) + uid.n);
	if (!p)
		return;
	p->n = (uint16_t)uid.n;
	memcpy(p->uid, uid.p, uid.n);
	*m->peer_tail = p;
	m->peer_tail = &p->next;
	if (m->peer_n++ >= (uint32_t)dm_conf(s)->max_peers)
		dm_peer_remove(s, user, dk_str_n(m->peers->uid, m->peers->n));
}

bool dm_peer_remove(struct dms *s, dk_id user, dk_str uid)
{
	struct dm_member *m = dm_member(s, user);
	struct dm_peer **at, *p;

	if (!m)
		return false;
	for (at = &m->peers; (p = *at) && !dk_str_eq(uid, dk_str_n(p->uid, p->n)); at = &p->next)
		;
	if (!p)
		return false;
	*at = p->next;
	if (!*at)
		m->peer_tail = at;
	m->peer_n--;
	dk_free(s, p, sizeof(*p) + p->n);
	return true;
}

/* ---- coming and going ---- */

static struct dm_member *member_new(struct dms *s, dk_id user, uint64_t login)
{
	uint32_t slot = dk_id_slot(user);
	struct dm_member *m;

	if (slot >= s->member_cap) {
		size_t cap = s->member_cap ? s->member_cap * 2 : 64;
		struct dm_member **at;

		while (cap <= slot)
			cap *= 2;
		at = dk_realloc(s, s->members, s->member_cap * sizeof(struct dm_member *), cap * sizeof(struct dm_member *));
		if (!at)
			return NULL;
		s->members = at;
		s->member_cap = cap;
	}
	m = dk_alloc(s, sizeof(*m));
	if (!m)
		return NULL;
	m->user = user;
	m->login = login;
	m->peer_tail = &m->peers;
	s->members[slot] = m;
	return m;
}

static void member_free(struct dms *s, struct dm_member *m)
{
	s->members[dk_id_slot(m->user)] = NULL;
	while (m->peers) {
		struct dm_peer *p = m->peers;

		m->peers = p->next;
		dk_free(s, p, sizeof(*p) + p->n);
	}
	dk_free(s, m, sizeof(*m));
}

static uint64_t login_now(struct dms *s)
{
	uint64_t now = dk_wall_ns(s);

	s->last_login = now > s->last_login ? now : s->last_login + 1;
	return s->last_login;
}

static void on_created(struct dms *s, const struct dk_user_event *ev)
{
	struct dm_member *m;

	if (!s->user->type(s->user, ev->user).n)
		return;
	m = member_new(s, ev->user, login_now(s));
	if (!m)
		return;
	m->present = m->fresh = true;
	dm_way_came(s, ev->uid);
	dm_place_tell(s, m);
}

static void on_arrived(struct dms *s, const struct dk_user_arrived *ev)
{
	struct dm_member *m = dm_member(s, ev->user);

	if (!m) /* the other node does without this plugin */
		m = member_new(s, ev->user, login_now(s));
	if (!m)
		return;
	m->from = ev->from;
	dm_way_came(s, ev->uid);
}

/* Its client is here: from now on messages to it may come here. */
static void on_connected(struct dms *s, const struct dk_user_connected *ev)
{
	struct dm_member *m = dm_member(s, ev->user);
	uint8_t buf[2 + DM_UID_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (!m)
		return;
	m->present = true;
	if (!m->from.family || dm_alone(s))
		return;
	dm_on_here_pack(&w, s->user->uid(s->user, ev->user));
	s->carrier->send(s->carrier, &m->from, DK_VER_NODE, DM_NODE_HERE, dk_written(&w), DK_RELIABLE);
	m->from.family = 0;
	dm_place_tell(s, m);
}

/* Each user on its list is told, by word or without. */
static void say_goodbye(struct dms *s, const struct dm_member *m, dk_str uid)
{
	/* Whoever is asked may send something, and be on the list again. */
	for (uint32_t n = m->peer_n; n && m->peers; n--) {
		char name[DM_UID_MAX];
		dk_str peer = dk_str_n(name, m->peers->n);
		struct dk_dm_parting q = { .user = m->user, .peer = peer, .ver = DM_VER, .cmd = DM_CMD_DISCONNECT };
		struct dm_order o = { .kind = DM_PART, .reliable = true, .from = uid };
		const struct dm_way *w;
		dk_id here;

		memcpy(name, m->peers->uid, m->peers->n);
		dm_peer_remove(s, m->user, peer);
		dk_ask(&s->svc.parting, &q);
		w = dm_way_find(s, peer);
		if (!q.message.n && dm_here(s, peer, &here) != 0 && (!w || !w->node.family))
			continue; /* it is not worth a search */
		o.ver = q.ver;
		o.cmd = q.cmd;
		o.message = q.message;
		dm_post(s, peer, &o);
	}
}

static void tell_why(struct dms *s, dk_id user)
{
	uint8_t buf[2 + sizeof(elsewhere)];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dm_push_replaced_encode(&w, dk_str_c(elsewhere));
	s->user->push(s->user, user, DM_VER, DM_CMD_REPLACED, dk_written(&w), DK_RELIABLE);
	s->n.replaced++;
}

static void on_discarded(struct dms *s, const struct dk_user_discarded *ev)
{
	struct dm_member *m = dm_member(s, ev->user);

	if (!m)
		return;
	switch (ev->reason) {
	case DK_REASON_MOVED:
		dm_way_left(s, ev->uid);
		break;
	case DK_REASON_REPLACED:
		if (ev->was_connected)
			tell_why(s, ev->user);
		break;
	case DK_REASON_SHUTDOWN:
		break;
	default:
		if (!m->present)
			break;
		say_goodbye(s, m, ev->uid);
		dm_place_remove(s, m, ev->uid);
	}
	member_free(s, m);
}

/* ---- what travels with them ---- */

static int part_pack(void *self, dk_id user, struct dk_writer *w)
{
	const struct dms *s = self;
	const struct dm_member *m = dm_member(s, user);

	if (!m)
		return DK_NOT_FOUND;
	dm_part_write(w, m->login, m->hops);
	for (const struct dm_peer *p = m->peers; p; p = p->next)
		dk_wr_bytes16(w, dk_slice_n(p->uid, p->n));
	return 0;
}

static int part_unpack(void *self, dk_id user, uint16_t version, dk_slice bytes)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct dms *s = self;
	struct dm_member *m;
	uint64_t login;
	uint32_t hops;
	dk_str uid;

	(void)version;
	if (!dm_part_read(&c, &login, &hops)) {
		s->n.malformed++;
		return -EPROTO;
	}
	m = member_new(s, user, login);
	if (!m)
		return -ENOMEM;
	m->hops = hops + 1;
	while (dm_uid_next(&c, &uid))
		dm_peer_add(s, user, uid);
	if (!c.bad)
		return 0;
	s->n.malformed++;
	return -EPROTO;
}

static const struct dk_user_part dm_part = { .name = "dm", .version = 1, .pack = part_pack, .unpack = part_unpack };

int dm_member_init(struct dms *s)
{
	int rc = s->user->carry(s->user, s, &dm_part);

	if (rc == 0)
		rc = dk_connect(s, &s->user->created, on_created);
	if (rc == 0)
		rc = dk_connect(s, &s->user->arrived, on_arrived);
	if (rc == 0)
		rc = dk_connect(s, &s->user->connected, on_connected);
	if (rc == 0)
		rc = dk_connect(s, &s->user->discarded, on_discarded);
	return rc;
}

void dm_member_fini(struct dms *s)
{
	for (size_t i = 0; i < s->member_cap; i++)
		if (s->members[i])
			member_free(s, s->members[i]);
	dk_free(s, s->members, s->member_cap * sizeof(struct dm_member *));
}
