/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the node of a room is gone, and this one has a copy. It takes the room over under the same id, if it sees the majority of
 * the nodes, and if it is the first of the room's live backups; the second one waits two seconds for the first. The epoch of the
 * ownership grows by one, for the second backup by two, so that no two ever own a room under one epoch. The members are made of
 * what the copy holds and wait for their clients for 15 s.
 *
 * The new owner claims the room with the old one and with the other backups, until they have heard it: a node that was cut off or
 * stopped may come back and still believe that it owns the room. An owner that hears of a later epoch drops its room and sends
 * the members it has after it.
 */
#include <errno.h>
#include <stdio.h>

#include "room_state.h"

enum {
	SWEEP_MS = 50,
	TURN_MS = 2000, /* for a backup before this one to take it */
	LEFT_MS = 3000,
	CLIENTS_MS = 15000,
	CMD_RECONNECT = 2 /* of version 0 */
};

static const uint8_t instruction[4] = { 0xbe, 0xef, 0xfe, 0xed };

/* ---- claims ---- */

void room_claim_heard(struct rooms *s, const struct dk_id52 *id, dk_slice body)
{
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);
	uint32_t epoch = dk_rd_u32(&c);
	struct room *r = room_store_find(&s->store, id);
	struct dk_addr owner;

	if (outcome != ROOM_STALE)
		return;
	room_addr_read(&c, &owner);
	if (!c.bad && r && r->epoch <= epoch)
		room_superseded(s, r, &owner);
}

/* For ten minutes, whatever becomes of the room here: it may move on, and the old owner come back after that. */
static void claim(struct rooms *s, const struct room *r, const struct dk_addr *to)
{
	uint8_t buf[DK_ID52_LEN + 4];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (dk_addr_eq(to, &s->carrier->addr))
		return;
	room_on_claim_pack(&w, &r->id, r->epoch);
	room_errand(s, to, ROOM_NODE_CLAIM, &r->id, r->epoch, ROOM_ALIAS_MS, dk_written(&w));
}

int room_on_claim(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, uint32_t epoch)
{
	struct room *r = room_store_find(&s->store, id);
	struct room_replica *rep = room_replica_find(s, id);
	uint32_t mine = r ? r->epoch : room_claimed(s, id), known = mine ? mine : rep ? rep->epoch : 0;
	const struct dk_addr *owner = mine ? &s->carrier->addr : rep ? &rep->owner : NULL;
	uint8_t buf[32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	/* Two owners of one epoch came of two lists of backups; of those the higher address stays. */
	if (owner && !dk_addr_eq(owner, &call->from) &&
	    (known > epoch || (known == epoch && memcmp(owner, &call->from, sizeof(*owner)) > 0))) {
		s->n.stale_refused++;
		room_addr_write(&w, owner);
		return room_on_claim_answer(call, ROOM_STALE, known, dk_written(&w));
	}
	if (r)
		room_superseded(s, r, &call->from);
	else if (rep && known < epoch)
		room_replica_free(s, rep); /* the new owner sends all of it to whom it wants */
	return room_on_claim_answer(call, 0, epoch, dk_slice_n(NULL, 0));
}

/* ---- the end of an ownership ---- */

/* The client is told to go where its user waits already. What it left here goes when it has been silent for long enough: until then
 * the instruction may have to be repeated. */
static void instruct(struct rooms *s, dk_id user, const struct dk_addr *owner)
{
	const struct dk_cluster_node *node = s->cluster->node(s->cluster, owner);
	const struct dk_endpoint *e = NULL;
	char text[sizeof(instruction) + 272];
	int len;

	if (node)
		e = s->cluster->endpoint(s->cluster, node, s->user->type(s->user, user), dk_str_n(NULL, 0));
	if (!e)
		return;
	memcpy(text, instruction, sizeof(instruction));
	len = snprintf(text + sizeof(instruction), sizeof(text) - sizeof(instruction), strchr(e->host, ':') ? "[%s]:%u" : "%s:%u",
		       e->host, e->port);
	s->user->push(s->user, user, 0, CMD_RECONNECT, dk_slice_n(text, sizeof(instruction) + (size_t)len), DK_RELIABLE);
	s->user->flush(s->user, user);
}

/* A user that is on its way to the owner; who is never told of its end frees it with the plugin. */
static void after_free(struct rooms *s, struct room_after *after)
{
	*after->at = after->next;
	if (after->next)
		after->next->at = after->at;
	dk_free(s, after, sizeof(*after));
}

static void sent_after(void *self, void *arg, dk_id user, int err)
{
	struct rooms *s = self;
	struct room_after *after = arg;

	if (err && err != DK_GONE)
		instruct(s, user, &after->owner);
	after_free(s, after);
}

void room_after_fini(struct rooms *s)
{
	while (s->after)
		after_free(s, s->after);
}

void room_send_after(struct rooms *s, dk_id user, const struct dk_id52 *id, const struct dk_addr *to)
{
	uint8_t buf[ROOM_NOTE_MIN];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct room_after *after;

	if (!s->user->is_connected(s->user, user)) { /* its client goes there by itself */
		s->user->disconnect(s->user, user, DK_REASON_MOVED);
		return;
	}
	after = dk_alloc(s, sizeof(*after));
	if (!after)
		return;
	*after = (struct room_after){ .next = s->after, .at = &s->after, .owner = *to };
	if (after->next)
		after->next->at = &after->next;
	s->after = after;
	room_note_write(&w, ROOM_NOTE_REJOIN, id, dk_slice_n(NULL, 0));
	if (s->user->move(s->user, s, user, to, dk_str_n(NULL, 0), dk_written(&w), sent_after, after)) {
		instruct(s, user, to);
		after_free(s, after);
	}
}

void room_superseded(struct rooms *s, struct room *r, const struct dk_addr *owner)
{
	struct dk_addr to = *owner;
	struct dk_id52 id = r->id;
	uint16_t n = r->member_n;
	dk_id *users = dk_alloc(s, (n + 1u) * sizeof(*users));
	char text[DK_ADDR_TEXT];

	if (r->phase > ROOM_FROZEN || !users) {
		dk_free(s, users, (n + 1u) * sizeof(*users));
		return;
	}
	dk_addr_format(&to, text);
	dk_log(s, DK_NOTICE, "room " DK_STR_FMT " was taken over by node %s meanwhile; %u members are sent there",
	       DK_STR_ARG(dk_str_n(id.c, DK_ID52_LEN)), text, n);
	s->n.superseded++;
	if (n)
		memcpy(users, r->members, n * sizeof(*users));
	room_move_drop(s, r);
	room_copies_stop(s, r, false);
	room_leave_behind(s, r);
	for (uint16_t i = 0; i < n; i++)
		room_send_after(s, users[i], &id, &to);
	dk_free(s, users, (n + 1u) * sizeof(*users));
}

/* ---- taking over ---- */

/* A member as it was copied; 0 = it cannot be made. */
static dk_id make_member(struct rooms *s, const struct room_replica *rep, dk_str uid)
{
	const struct room_replica_member *m = rep->members;
	uint8_t buf[ROOM_NOTE_MIN];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	dk_id user = 0;
	int rc;

	while (m && !dk_str_eq(uid, dk_str_n((const char *)m->bytes, m->uid_n)))
		m = m->next;
	if (!m)
		return 0;
	room_note_write(&w, ROOM_NOTE_TAKEOVER, &rep->id, dk_slice_n(NULL, 0));
	rc = s->user->unpack(s->user, dk_slice_n(m->bytes + m->uid_n, m->n), &rep->owner, dk_written(&w), CLIENTS_MS, &user);
	return rc ? 0 : user;
}

static void fill_with_members(struct rooms *s, struct room *r, const struct room_replica *rep, const struct room_image *image)
{
	dk_slice list = image->members;
	dk_str uid;

	while (room_image_uid(&list, &uid)) {
		dk_id user = make_member(s, rep, uid);

		if (!user || room_store_join(&s->store, r, user, uid)) {
			s->n.members_lost++;
			continue;
		}
		if (dk_str_eq(uid, image->owner))
			r->owner = user;
	}
}

/* Those of the old ones that live; this node is none of them any more. */
static void keep_backups(struct rooms *s, struct room *r, const struct room_image *image)
{
	r->backup_n = 0;
	for (uint8_t i = 0; i < image->backup_n; i++)
		if (room_node_alive(s, &image->backups[i]) && !dk_addr_eq(&image->backups[i], &s->carrier->addr))
			r->backups[r->backup_n++] = image->backups[i];
}

static void take_over(struct rooms *s, struct room_replica *rep, const struct room_image *image, uint8_t index)
{
	struct dk_id52 id = rep->id;
	char text[DK_ADDR_TEXT];
	struct dk_addr maker;
	struct room *r;
	dk_id room;
	int rc = room_unpack(s, image, &id, &r);

	dk_addr_format(&rep->owner, text);
	if (rc) {
		dk_log(s, DK_ERROR, "room " DK_STR_FMT " of node %s, which is gone, could not be taken over (%s)",
		       DK_STR_ARG(dk_str_n(id.c, DK_ID52_LEN)), text, rc < 0 ? dk_err_text(rc) : "refused");
		room_replica_free(s, rep);
		return;
	}
	room = r->handle;
	r->epoch = image->epoch + 1 + index;
	keep_backups(s, r, image);
	fill_with_members(s, r, rep, image);
	for (const struct room_replica_line *l = rep->lines; l; l = l->next)
		room_chat_remember(s, r, dk_str_n(l->bytes, l->uid_n), dk_str_n(l->bytes + l->uid_n, l->n), l->at_ms);
	r->phase = ROOM_LIVE;
	if (!r->member_n)
		room_arm_ttl(s, r, r->ttl_left_ms ? r->ttl_left_ms : r->ttl_s * 1000);
	r->ttl_left_ms = 0;
	s->n.taken_over++;
	room_count(s);
	dk_log(s, DK_NOTICE, "room " DK_STR_FMT " of node %s, which is gone, is owned here now; %u members, epoch %u",
	       DK_STR_ARG(dk_str_n(id.c, DK_ID52_LEN)), text, r->member_n, r->epoch);
	room_know_by_old_ids(s, r);
	claim(s, r, &rep->owner);
	for (uint8_t i = 0; i < image->backup_n; i++)
		claim(s, r, &image->backups[i]);
	/* The last owner may have died before it had told an earlier one: the one that made the room, more often than not. */
	for (unsigned slot = 0; slot < 3; slot++)
		if (dk_id52_addr(&id, slot, &maker) == 0 && !dk_addr_eq(&maker, &rep->owner))
			claim(s, r, &maker);
	room_copies_start(s, r);
	room_replica_free(s, rep);
	room_tell_migrated(s, room, &id, true);
}

/* Whether it is this node's turn; index: its place among the backups. Who left in good order has moved its rooms, or has told their
 * members that they end: word of that is awaited for as long as the carrier tries. */
static bool my_turn(struct rooms *s, const struct room_replica *rep, const struct room_image *image, uint8_t *ret_index)
{
	if (room_land_expects(s, &rep->id) || (rep->left && dk_now(s) - rep->orphan_ms < LEFT_MS))
		return false;
	for (uint8_t i = 0; i < image->backup_n; i++) {
		if (dk_addr_eq(&image->backups[i], &s->carrier->addr)) {
			*ret_index = i;
			return true;
		}
		if (room_node_alive(s, &image->backups[i]) && dk_now(s) - rep->orphan_ms < TURN_MS)
			return false;
	}
	return false;
}

static void sweep(void *self, struct dk_timer *t)
{
	struct rooms *s = self;
	bool left = false, may = s->cluster->majority(s->cluster) && dk_node_state(s) != DK_OFFLINE;

	for (size_t i = 0; i < ROOM_REPLICA_BUCKETS; i++)
		for (struct room_replica *rep = s->replicas[i], *next; rep; rep = next) {
			struct room_image image;
			uint8_t index;

			next = rep->next;
			if (!rep->orphan_ms)
				continue;
			/* An owner that did not renew it for long before it died had forgotten it. */
			if (rep->orphan_ms - rep->renewed_ms > ROOM_COPY_OLD_MS || dk_now(s) - rep->orphan_ms > ROOM_ORPHAN_MS ||
			    room_image_read(rep->state, &image)) {
				s->n.copies_lapsed++;
				room_replica_free(s, rep);
				continue;
			}
			left = true;
			if (may && my_turn(s, rep, &image, &index))
				take_over(s, rep, &image, index);
		}
	if (!left)
		dk_timer_stop(t);
}

/* ---- what happens to nodes ---- */

static void owner_gone(struct rooms *s, const struct dk_cluster_node *node)
{
	for (size_t i = 0; i < ROOM_REPLICA_BUCKETS; i++)
		for (struct room_replica *rep = s->replicas[i]; rep; rep = rep->next) {
			if (!dk_addr_eq(&rep->owner, &node->addr) || (rep->owner_boot && rep->owner_boot != node->boot))
				continue;
			if (!rep->orphan_ms)
				rep->orphan_ms = dk_now(s);
			rep->left = node->health == DK_LEFT;
			if (!dk_timer_armed(&s->orphan_timer))
				dk_timer_start(s, &s->orphan_timer, 0, SWEEP_MS, sweep);
		}
}

static void owner_back(struct rooms *s, const struct dk_cluster_node *node)
{
	for (size_t i = 0; i < ROOM_REPLICA_BUCKETS; i++)
		for (struct room_replica *rep = s->replicas[i]; rep; rep = rep->next)
			if (dk_addr_eq(&rep->owner, &node->addr) && rep->owner_boot == node->boot && rep->orphan_ms) {
				rep->orphan_ms = 0;
				rep->renewed_ms = dk_now(s);
			}
}

/* A node that was away for long may own what was taken over meanwhile. */
static void claim_again(struct rooms *s, const struct dk_addr *a)
{
	uint32_t slot = 0;
	struct room *r;
	dk_id room;

	while ((r = dk_table_next(&s->store.table, &slot, &room)))
		if (r->phase == ROOM_LIVE && r->epoch > 1)
			claim(s, r, a);
}

static void backup_gone(struct rooms *s, const struct dk_addr *a)
{
	uint32_t slot = 0;
	struct room *r;
	dk_id room;

	while ((r = dk_table_next(&s->store.table, &slot, &room)))
		room_copies_node(s, r, a);
}

void room_on_cluster_changed(struct rooms *s, const struct dk_cluster_event *ev)
{
	switch (ev->change) {
	case DK_NODE_DIED:
	case DK_NODE_LEFT:
	case DK_NODE_REMOVED:
		backup_gone(s, &ev->node->addr);
		owner_gone(s, ev->node);
		room_land_source_gone(s, &ev->node->addr);
		break;
	case DK_NODE_RECOVERED:
		owner_back(s, ev->node);
		break;
	case DK_NODE_JOINED:
		claim_again(s, &ev->node->addr);
		break;
	case DK_NODE_CHANGED:
		if (ev->node->state == DK_OFFLINE)
			backup_gone(s, &ev->node->addr);
		break;
	default:
		break;
	}
}
