/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room that comes from another node. It is made at once, under an id of this node, but nobody knows it: its members arrive one
 * by one, and when the other node says so all of them are members again, in their old order, under their old owner, and hear the
 * new id. Until then it can be called off without a trace.
 *
 * A landing of which nothing is heard for five seconds never was; but when a client has turned up, it was told to come, or it
 * could not reach the other node any more. Then the word is awaited for 30 s, and when the other node is dead and this one sees
 * the majority, it is not needed: so a word that is lost with its node does not lose a room.
 */
#include <errno.h>

#include "room_data.h"

enum { LANDING_MS = 5000, KNOCKED_MS = 30000 };

struct room_landing {
	struct room_landing *next;
	struct rooms *s;
	dk_id room;
	struct dk_id52 old_id;
	struct dk_addr from, old_backups[ROOM_BACKUPS_MAX];
	uint8_t old_backup_n;
	bool knocked; /* a client is here */
	struct dk_timer timer;
	char *words; /* the owner's uid, then that of whose client asked for the move */
	uint16_t owner_n, asker_n, n;
	dk_id users[]; /* in order of joining; 0 = not here */
};

static size_t size_of(uint16_t n)
{
	return sizeof(struct room_landing) + n * sizeof(dk_id);
}

static dk_str owner_of(const struct room_landing *l)
{
	return dk_str_n(l->words, l->owner_n);
}

static dk_str asker_of(const struct room_landing *l)
{
	return dk_str_n(l->words + l->owner_n, l->asker_n);
}

static struct room_landing *find(struct rooms *s, const struct dk_id52 *old_id)
{
	struct room_landing *l = s->landings;

	while (l && memcmp(&l->old_id, old_id, sizeof(*old_id)) != 0)
		l = l->next;
	return l;
}

bool room_land_expects(struct rooms *s, const struct dk_id52 *old_id)
{
	return find(s, old_id) != NULL;
}

/* Out of the list; its room is the caller's. */
static void landing_free(struct rooms *s, struct room_landing *l)
{
	struct room_landing **at = &s->landings;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	dk_timer_stop(&l->timer);
	dk_free(s, l->words, (size_t)l->owner_n + l->asker_n);
	dk_free(s, l, size_of(l->n));
}

static void call_off(struct rooms *s, struct room_landing *l)
{
	struct room *r = room_any(s, l->room);

	landing_free(s, l);
	room_strip(s, r);
	room_store_remove(&s->store, r);
	room_count(s);
}

void room_land_fini(struct rooms *s)
{
	while (s->landings)
		landing_free(s, s->landings);
}

static void time_is_up(void *self, struct dk_timer *t)
{
	struct rooms *s = self;

	s->n.landings_lapsed++;
	call_off(s, dk_container_of(t, struct room_landing, timer));
}

/* ---- it comes ---- */

static int make(struct rooms *s, const struct room_image *m, const struct dk_addr *from, dk_str asker, struct dk_id52 *ret_id)
{
	struct room_landing *l = dk_alloc(s, size_of(m->member_n));
	struct dk_addr backups[ROOM_BACKUPS_MAX] = { { .family = 0 } };
	size_t words_n = m->owner.n + asker.n;
	uint8_t backup_n;
	struct room *r;
	int rc = -ENOMEM;

	if (!l)
		return rc;
	l->words = dk_alloc(s, words_n);
	if (!l->words)
		goto no_words;
	l->n = m->member_n;
	l->s = s;
	l->old_id = m->id;
	l->from = *from;
	l->owner_n = (uint16_t)m->owner.n;
	l->asker_n = (uint16_t)asker.n;
	if (m->owner.n)
		memcpy(l->words, m->owner.p, m->owner.n);
	if (asker.n)
		memcpy(l->words + m->owner.n, asker.p, asker.n);
	l->old_backup_n = m->backup_n;
	memcpy(l->old_backups, m->backups, sizeof(l->old_backups));
	dk_id52_new(s, ret_id);
	backup_n = room_choose_backups(s, 0, m->replicas, ret_id, backups);
	rc = room_unpack(s, m, ret_id, &r);
	if (rc)
		goto no_room;
	r->epoch = m->epoch + 1;
	r->backup_n = backup_n;
	memcpy(r->backups, backups, sizeof(backups));
	l->room = r->handle;
	l->next = s->landings;
	s->landings = l;
	dk_timer_start(s, &l->timer, LANDING_MS, 0, time_is_up);
	room_count(s);
	return 0;

no_room:
	dk_free(s, l->words, words_n);
no_words:
	dk_free(s, l, size_of(m->member_n));
	return rc;
}

int room_on_land(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, dk_str asker, dk_slice state)
{
	struct dk_id52 new_id = *id;
	struct room_landing *l;
	struct room_image m;
	int rc = room_image_read(state, &m);

	if (rc == 0 && (memcmp(&m.id, id, sizeof(*id)) != 0 || asker.n > DK_UID_MAX))
		rc = -EPROTO;
	if (rc < 0)
		return rc;
	l = find(s, id);
	if (l) /* of a try that was called off, of which this node did not hear */
		call_off(s, l);
	rc = dk_node_state(s) == DK_OFFLINE ? DK_REFUSED : make(s, &m, &call->from, asker, &new_id);
	if (rc < 0)
		return rc;
	s->n.landings_refused += rc != 0;
	return room_on_land_answer(call, (uint8_t)rc, &new_id);
}

/* ---- it lives ---- */

static void tell_clients(struct rooms *s, const struct room *r, const struct dk_id52 *old_id, dk_id asker)
{
	uint8_t buf[2 * (2 + DK_ID52_LEN)];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (asker)
		s->user->respond(s->user, asker, ROOM_VER, ROOM_CMD_MIGRATE, DK_STATUS_OK, dk_slice_n(NULL, 0), DK_RELIABLE);
	room_on_join_encode(&w, r->created_s, &r->id);
	for (uint16_t i = 0; i < r->member_n; i++)
		s->user->respond(s->user, r->members[i], ROOM_VER, ROOM_CMD_JOIN, DK_STATUS_OK, dk_written(&w), DK_RELIABLE);
	w = dk_writer_on(buf, sizeof(buf));
	room_push_migrated_encode(&w, dk_str_n(old_id->c, DK_ID52_LEN), dk_str_n(r->id.c, DK_ID52_LEN));
	if (r->owner)
		s->user->push(s->user, r->owner, ROOM_VER, ROOM_CMD_MIGRATED, dk_written(&w), DK_RELIABLE);
}

/* Those who listen hear of a room, of its members, and of where it comes from. They may do anything to it meanwhile. */
void room_tell_migrated(struct rooms *s, dk_id room, const struct dk_id52 *old_id, bool takeover)
{
	struct room *r = room_live(s, room);
	struct dk_room_migrated ev = { .room = room, .old_id = old_id, .takeover = takeover };
	struct dk_id52 id;
	dk_id *users;
	uint16_t n;

	if (!r)
		return;
	room_sync_resume(s, r);
	id = r->id;
	n = r->member_n;
	users = dk_alloc(s, (n + 1u) * sizeof(*users));
	if (!users)
		return;
	if (n)
		memcpy(users, r->members, n * sizeof(*users));
	dk_emit(&s->svc.created, &((struct dk_room_event){ room, &id, true }));
	for (uint16_t i = 0; i < n; i++) {
		if (room_store_of(&s->store, users[i]) != room)
			continue;
		room_tell_added(s, room, users[i], room_any(s, room)->member_n);
		room_tell_joined(s, room, users[i], false);
	}
	dk_free(s, users, (n + 1u) * sizeof(*users));
	ev.id = &id;
	if (room_live(s, room))
		dk_emit(&s->svc.migrated, &ev);
}

/* Copies of what it was: the old node says so too, if it still can. */
static void end_old_copies(struct rooms *s, const struct room_landing *l, uint32_t epoch)
{
	uint8_t buf[DK_ID52_LEN + 4];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	room_on_copy_end_pack(&w, &l->old_id, epoch);
	for (uint8_t i = 0; i < l->old_backup_n; i++)
		s->carrier->send(s->carrier, &l->old_backups[i], DK_VER_NODE, 14, dk_written(&w), DK_RELIABLE);
}

static void live(struct rooms *s, struct room_landing *l)
{
	struct room *r = room_any(s, l->room);
	struct dk_id52 old_id = l->old_id;
	struct room_replica *copy = room_replica_find(s, &old_id);
	dk_id room = l->room, by = l->asker_n ? s->user->by_uid(s->user, asker_of(l)) : 0;

	for (uint16_t i = 0; i < l->n; i++) {
		dk_str uid = s->user->uid(s->user, l->users[i]);

		if (!uid.n || room_store_join(&s->store, r, l->users[i], uid))
			continue;
		if (dk_str_eq(uid, owner_of(l)))
			r->owner = l->users[i];
	}
	end_old_copies(s, l, r->epoch);
	if (copy)
		room_replica_free(s, copy);
	landing_free(s, l);
	r->phase = ROOM_LIVE;
	if (!r->member_n)
		room_arm_ttl(s, r, r->ttl_left_ms ? r->ttl_left_ms : r->ttl_s * 1000);
	r->ttl_left_ms = 0;
	s->n.migrated_in++;
	room_count(s);
	room_store_remember(&s->store, r, &old_id, room_unix_s(s) + ROOM_ALIAS_MS / 1000);
	room_know_by_old_ids(s, r);
	room_copies_start(s, r);
	by = by && room_store_of(&s->store, by) == room ? by : 0;
	tell_clients(s, r, &old_id, by);
	room_tell_migrated(s, room, &old_id, false);
	if (by && s->user->exists(s->user, by))
		room_answered(s, by, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0), dk_slice_n(NULL, 0));
}

int room_on_landed(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, bool commit)
{
	struct room_landing *l = find(s, id);

	if (!l || !dk_addr_eq(&l->from, &call->from))
		return 0;
	if (commit)
		live(s, l);
	else
		call_off(s, l);
	return 0;
}

bool room_land_member(struct rooms *s, const struct dk_id52 *old_id, dk_id user, dk_slice rest)
{
	struct room_landing *l = find(s, old_id);
	struct dk_cursor c = dk_cursor_of(rest);
	uint16_t i = dk_rd_u16(&c);

	if (!l)
		return false;
	if (dk_rd_done(&c) && i < l->n)
		l->users[i] = user;
	return true;
}

/* Nobody will say the word any more. */
static bool alone_with_it(struct rooms *s, const struct room_landing *l)
{
	return l->knocked && !room_node_alive(s, &l->from) && s->cluster->majority(s->cluster);
}

void room_land_connected(struct rooms *s, dk_id user)
{
	for (struct room_landing *l = s->landings; l; l = l->next)
		for (uint16_t i = 0; i < l->n; i++) {
			if (l->users[i] != user)
				continue;
			l->knocked = true;
			dk_timer_start(s, &l->timer, KNOCKED_MS, 0, time_is_up);
			if (alone_with_it(s, l))
				live(s, l);
			return;
		}
}

void room_land_source_gone(struct rooms *s, const struct dk_addr *node)
{
	for (struct room_landing *l = s->landings, *next; l; l = next) {
		next = l->next;
		if (dk_addr_eq(&l->from, node) && alone_with_it(s, l))
			live(s, l);
	}
}
