/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of other nodes' rooms. They lie here as bytes: the state as it was sent last, and each member as the plugin user packed
 * it, which holds keys and is wiped when it goes. When the owner's node is gone, room_takeover.c makes a room of one.
 *
 * A copy is only ever replaced by a later one: a higher epoch, or a higher version of the same one. The owner renews each every
 * few seconds; one that was not renewed for a while is of an owner that has forgotten this node, and goes.
 */
#include <errno.h>

#include "room_state.h"

enum {
	SWEEP_MS = 1000,
	LINES_BYTES = 64u << 10 /* of the texts that are behind a state: more than a room remembers */
};

static struct room_replica **bucket_of(struct rooms *s, const struct dk_id52 *id)
{
	return &s->replicas[dk_hash(s, dk_slice_n(id->c, DK_ID52_LEN)) % ROOM_REPLICA_BUCKETS];
}

static struct room_replica **find(struct rooms *s, const struct dk_id52 *id)
{
	struct room_replica **at = bucket_of(s, id);

	while (*at && memcmp(&(*at)->id, id, sizeof(*id)) != 0)
		at = &(*at)->next;
	return at;
}

struct room_replica *room_replica_find(struct rooms *s, const struct dk_id52 *id)
{
	return *find(s, id);
}

static void member_free(struct rooms *s, struct room_replica *rep, struct room_replica_member **at)
{
	struct room_replica_member *m = *at;
	size_t size = sizeof(*m) + m->uid_n + m->n;

	*at = m->next;
	rep->bytes -= size;
	s->n.copy_bytes -= (int64_t)size;
	explicit_bzero(m, size);
	dk_free(s, m, size);
}

static void state_free(struct rooms *s, struct room_replica *rep)
{
	rep->bytes -= rep->state.n;
	s->n.copy_bytes -= (int64_t)rep->state.n;
	dk_free(s, (void *)(uintptr_t)rep->state.p, rep->state.n);
	rep->state = dk_slice_n(NULL, 0);
}

static void line_free(struct rooms *s, struct room_replica *rep)
{
	struct room_replica_line *l = rep->lines;
	size_t size = sizeof(*l) + l->uid_n + l->n;

	rep->lines = l->next;
	if (!rep->lines)
		rep->last_line = &rep->lines;
	rep->line_bytes -= size;
	rep->bytes -= size;
	s->n.copy_bytes -= (int64_t)size;
	dk_free(s, l, size);
}

/* The state has them, or nobody wants them any more. */
static void lines_free(struct rooms *s, struct room_replica *rep)
{
	while (rep->lines)
		line_free(s, rep);
}

static void members_free(struct rooms *s, struct room_replica *rep)
{
	while (rep->members)
		member_free(s, rep, &rep->members);
}

void room_replica_free(struct rooms *s, struct room_replica *rep)
{
	struct room_replica **at = find(s, &rep->id);

	if (*at != rep)
		return;
	*at = rep->next;
	members_free(s, rep);
	lines_free(s, rep);
	state_free(s, rep);
	s->n.copies--;
	dk_free(s, rep, sizeof(*rep));
}

void room_backup_fini(struct rooms *s)
{
	for (size_t i = 0; i < ROOM_REPLICA_BUCKETS; i++)
		while (s->replicas[i])
			room_replica_free(s, s->replicas[i]);
}

/* Where the owner lives and has not renewed it for long, it has no use for it. */
static void sweep(void *self, struct dk_timer *t)
{
	struct rooms *s = self;

	for (size_t i = 0; i < ROOM_REPLICA_BUCKETS; i++)
		for (struct room_replica *rep = s->replicas[i], *next; rep; rep = next) {
			next = rep->next;
			if (!rep->orphan_ms && dk_now(s) - rep->renewed_ms > ROOM_COPY_OLD_MS) {
				s->n.copies_lapsed++;
				room_replica_free(s, rep);
			}
		}
	if (!s->n.copies)
		dk_timer_stop(t);
}

/* ---- what owners send ---- */

static bool fits(const struct rooms *s, size_t more)
{
	return (uint64_t)s->n.copy_bytes + more <= (uint64_t)room_conf(s)->copy_bytes;
}

static int put_state(struct rooms *s, struct room_replica *rep, dk_slice state)
{
	uint8_t *p;

	if (!fits(s, state.n))
		return DK_FULL;
	p = dk_alloc(s, state.n);
	if (!p)
		return -ENOMEM;
	memcpy(p, state.p, state.n);
	state_free(s, rep);
	rep->state = dk_slice_n(p, state.n);
	rep->bytes += state.n;
	s->n.copy_bytes += (int64_t)state.n;
	return 0;
}

/* Members that the state does not name have left. */
static void prune(struct rooms *s, struct room_replica *rep, dk_slice uids)
{
	for (struct room_replica_member **at = &rep->members; *at;) {
		dk_str uid = dk_str_n((const char *)(*at)->bytes, (*at)->uid_n), other;
		dk_slice list = uids;
		bool in = false;

		while (!in && room_image_uid(&list, &other))
			in = dk_str_eq(uid, other);
		if (in)
			at = &(*at)->next;
		else
			member_free(s, rep, at);
	}
}

static int answer_stale(struct rooms *s, struct dk_call *call, uint32_t epoch, const struct dk_addr *owner)
{
	uint8_t buf[32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	s->n.stale_refused++;
	room_addr_write(&w, owner);
	return room_on_copy_answer(call, ROOM_STALE, epoch, dk_written(&w));
}

static int accept_copy(struct rooms *s, const struct dk_addr *from, const struct room_image *m, bool whole, dk_slice state,
		       struct room_replica *rep)
{
	bool fresh = !rep;
	int rc;

	if (fresh) {
		rep = dk_alloc(s, sizeof(*rep));
		if (!rep)
			return -ENOMEM;
		rep->id = m->id;
		rep->last_line = &rep->lines;
	}
	if (whole)
		members_free(s, rep);
	rc = put_state(s, rep, state);
	if (rc) {
		if (fresh)
			dk_free(s, rep, sizeof(*rep));
		return rc;
	}
	if (fresh) {
		rep->next = *bucket_of(s, &m->id);
		*bucket_of(s, &m->id) = rep;
		s->n.copies++;
	}
	prune(s, rep, m->members);
	lines_free(s, rep);
	rep->epoch = m->epoch;
	rep->version = m->version;
	rep->owner = *from;
	rep->owner_boot = s->carrier->boot_of(s->carrier, from);
	rep->renewed_ms = dk_now(s);
	rep->orphan_ms = 0;
	if (!dk_timer_armed(&s->replica_timer))
		dk_timer_start(s, &s->replica_timer, SWEEP_MS, SWEEP_MS, sweep);
	return 0;
}

int room_on_copy(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, uint32_t epoch, uint64_t version, bool whole,
		 dk_slice state)
{
	struct room_replica *rep = room_replica_find(s, id);
	struct room *r = room_store_find(&s->store, id);
	uint32_t mine = r ? r->epoch : room_claimed(s, id);
	const dk_slice nobody = dk_slice_n(NULL, 0);
	struct room_image m;
	int rc = room_image_read(state, &m);

	if (rc == 0 && (memcmp(&m.id, id, sizeof(*id)) != 0 || m.epoch != epoch || m.version != version))
		rc = -EPROTO;
	if (rc < 0)
		return rc;
	if (mine >= epoch)
		return answer_stale(s, call, mine, &s->carrier->addr);
	if (rep && (rep->epoch > epoch || (rep->epoch == epoch && !dk_addr_eq(&rep->owner, &call->from))))
		return answer_stale(s, call, rep->epoch, &rep->owner);
	if (r)
		room_superseded(s, r, &call->from);
	if (!whole && (!rep || rep->epoch != epoch))
		return room_on_copy_answer(call, ROOM_WHOLE, epoch, nobody);
	if (!whole && rep->version > version)
		return room_on_copy_answer(call, 0, epoch, nobody);
	rc = accept_copy(s, &call->from, &m, whole, state, rep);
	return rc < 0 ? rc : room_on_copy_answer(call, (uint8_t)rc, epoch, nobody);
}

int room_on_copy_member(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, uint32_t epoch, dk_str uid, dk_slice user)
{
	struct room_replica *rep = room_replica_find(s, id);
	struct room_replica_member *m, **at;
	size_t size = sizeof(*m) + uid.n + user.n;

	if (!rep || rep->epoch != epoch || !dk_addr_eq(&rep->owner, &call->from) || !uid.n || uid.n > DK_UID_MAX || !fits(s, size))
		return 0;
	for (at = &rep->members; *at; at = &(*at)->next)
		if (dk_str_eq(uid, dk_str_n((const char *)(*at)->bytes, (*at)->uid_n))) {
			member_free(s, rep, at);
			break;
		}
	m = dk_alloc(s, size);
	if (!m)
		return 0;
	m->uid_n = (uint16_t)uid.n;
	m->n = (uint32_t)user.n;
	memcpy(m->bytes, uid.p, uid.n);
	memcpy(m->bytes + uid.n, user.p, user.n);
	m->next = rep->members;
	rep->members = m;
	rep->bytes += size;
	s->n.copy_bytes += (int64_t)size;
	return 0;
}

int room_on_copy_line(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, uint32_t epoch, uint64_t at_ms, dk_str uid,
		      dk_str text)
{
	struct room_replica *rep = room_replica_find(s, id);
	struct room_replica_line *l;
	size_t size = sizeof(*l) + uid.n + text.n;

	if (!rep || rep->epoch != epoch || !dk_addr_eq(&rep->owner, &call->from) || !text.n || uid.n > DK_UID_MAX || !fits(s, size))
		return 0;
	while (rep->lines && rep->line_bytes + size > LINES_BYTES)
		line_free(s, rep);
	l = dk_alloc(s, size);
	if (!l)
		return 0;
	l->next = NULL;
	l->at_ms = at_ms;
	l->uid_n = (uint16_t)uid.n;
	l->n = (uint16_t)text.n;
	if (uid.n)
		memcpy(l->bytes, uid.p, uid.n);
	memcpy(l->bytes + uid.n, text.p, text.n);
	*rep->last_line = l;
	rep->last_line = &l->next;
	rep->line_bytes += size;
	rep->bytes += size;
	s->n.copy_bytes += (int64_t)size;
	return 0;
}

int room_on_copy_end(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, uint32_t epoch)
{
	struct room_replica *rep = room_replica_find(s, id);

	(void)call;
	/* A room that has moved is ended by the node it went to as well. */
	if (rep && rep->epoch <= epoch)
		room_replica_free(s, rep);
	return 0;
}
