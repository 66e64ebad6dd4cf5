/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room's whole state to bytes and back, other plugins' parts included. Its members are named by uid: they travel by themselves,
 * with the plugin user. What a room gathers for its next tick is no part of it; that is pushed before.
 */
#include "room_state.h"

#include <errno.h>

static const struct props_limits most = { DK_ROOM_PROPS_MAX, DK_ROOM_PROP_BYTES_MAX };

/* ---- parts ---- */

static void drop_part(void *self, void *arg)
{
	struct room_carried *part = arg;
	struct rooms *s = part->rooms;

	(void)self;
	for (uint16_t i = 0; i < s->part_n; i++)
		if (s->parts[i] == part)
			s->parts[i] = s->parts[--s->part_n];
	dk_free(s, part, sizeof(*part));
}

static struct room_carried *find_part(const struct rooms *s, dk_str name)
{
	for (uint16_t i = 0; i < s->part_n; i++)
		if (dk_str_eq(dk_str_c(s->parts[i]->part->name), name))
			return s->parts[i];
	return NULL;
}

static int svc_carry(struct dk_room *svc, void *self, const struct dk_room_part *part)
{
	struct rooms *s = rooms_of(svc);
	struct room_carried *c;
	int rc;

	if (find_part(s, dk_str_c(part->name)))
		return -EEXIST;
	if (s->part_n == ROOM_PARTS_MAX)
		return -ENOBUFS;
	c = dk_alloc(s, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct room_carried){ s, self, part };
	s->parts[s->part_n++] = c;
	rc = dk_own(self, drop_part, c, part->name);
	if (rc < 0)
		drop_part(self, c);
	return rc;
}

void room_carry_init(struct rooms *s)
{
	s->svc.carry = svc_carry;
}

/* ---- to bytes ---- */

static int pack_bytes(struct rooms *s, const struct room *r, const struct room_carried *c, struct dk_writer *w)
{
	const void *p = room_attached(s, r, c->self);

	if (!p)
		return DK_NOT_FOUND;
	dk_wr_slice(w, dk_slice_n(p, c->part->attachment));
	return 0;
}

static int unpack_bytes(struct rooms *s, const struct room *r, const struct room_carried *c, uint16_t version, dk_slice bytes)
{
	void *p;

	if (version != c->part->version || bytes.n != c->part->attachment)
		return DK_REFUSED;
	p = s->svc.attachment(&s->svc, c->self, r->handle, bytes.n);
	if (!p)
		return -ENOMEM;
	memcpy(p, bytes.p, bytes.n);
	return 0;
}

int room_unpack_part(struct rooms *s, const struct room *r, dk_str name, uint16_t version, dk_slice bytes)
{
	struct room_carried *c = find_part(s, name);

	if (!c)
		return DK_NOT_FOUND;
	return c->part->attachment ? unpack_bytes(s, r, c, version, bytes) : c->part->unpack(c->self, r->handle, version, bytes);
}

/* One part; what cannot be packed is a sentence in the log, and the room stays. */
static int pack_part(struct rooms *s, const struct room *r, const struct room_carried *c, struct dk_writer *w)
{
	struct dk_writer was = *w, length;
	uint8_t *at;
	int rc;

	dk_wr_bytes8(w, dk_slice_of(dk_str_c(c->part->name)));
	dk_wr_u16(w, c->part->version);
	at = dk_wr_take(w, 4);
	if (!at)
		return 0;
	rc = c->part->attachment ? pack_bytes(s, r, c, w) : c->part->pack(c->self, r->handle, w);
	if (rc == DK_NOT_FOUND) {
		*w = was;
		return 0;
	}
	if (rc) {
		dk_log(s, DK_ERROR, "%s could not pack what it keeps of room " DK_STR_FMT " (%s); the room stays here",
		       c->part->name, DK_STR_ARG(dk_str_n(r->id.c, DK_ID52_LEN)), rc < 0 ? dk_err_text(rc) : "refused");
		return rc < 0 ? rc : -ECANCELED;
	}
	if (!w->bad) {
		length = dk_writer_on(at, 4);
		dk_wr_u32(&length, (uint32_t)(w->p - at) - 4);
	}
	return 0;
}

static void pack_former(struct rooms *s, const struct room *r, struct dk_writer *w)
{
	size_t at = room_section_begin(w, ROOM_SEC_FORMER);

	for (uint8_t i = 0; i < r->former_n; i++) {
		if (r->former[i].until_s <= room_unix_s(s))
			continue;
		dk_wr_slice(w, dk_slice_n(r->former[i].id.c, DK_ID52_LEN));
		dk_wr_u32(w, r->former[i].until_s);
	}
	room_section_end(w, at);
}

static int pack(struct rooms *s, const struct room *r, struct dk_writer *w)
{
	struct room_image m = {
		.id = r->id,
		.epoch = r->epoch,
		.version = r->version,
		.max = r->max,
		.allow_empty = r->allow_empty,
		.replicas = r->replicas,
		.interval_ms = r->interval_ms,
		.ttl_s = r->ttl_s,
		.ttl_left_ms = r->ttl_left_ms,
		.created_s = r->created_s,
		.owner = s->user->uid(s->user, r->owner),
		.backup_n = r->backup_n,
	};
	size_t at;
	int rc = 0;

	if (dk_timer_armed(&r->ttl))
		m.ttl_left_ms = r->ttl.due_ms > dk_now(s) ? (uint32_t)(r->ttl.due_ms - dk_now(s)) : 1;
	memcpy(m.backups, r->backups, sizeof(m.backups));
	room_image_begin(w, &m);
	at = room_section_begin(w, ROOM_SEC_MEMBERS);
	for (uint16_t i = 0; i < r->member_n; i++)
		dk_wr_bytes16(w, dk_slice_of(s->user->uid(s->user, r->members[i])));
	room_section_end(w, at);
	at = room_section_begin(w, ROOM_SEC_RESERVED);
	for (uint16_t i = 0; i < r->reserved_n; i++)
		if (r->reserved[i].why & ROOM_RESERVED)
			dk_wr_bytes16(w, dk_slice_n(r->reserved[i].uid, r->reserved[i].n));
	room_section_end(w, at);
	at = room_section_begin(w, ROOM_SEC_PROPS);
	props_pack(&r->props, w);
	room_section_end(w, at);
	at = room_section_begin(w, ROOM_SEC_PARTS);
	for (uint16_t i = 0; i < s->part_n && rc == 0; i++)
		rc = pack_part(s, r, s->parts[i], w);
	room_play_pack_parts(s, w);
	room_section_end(w, at);
	pack_former(s, r, w);
	return rc;
}

int room_pack(struct rooms *s, const struct room *r, dk_slice *ret_bytes)
{
	for (;;) {
		struct dk_writer w = dk_writer_on(s->image, s->image_n);
		size_t more = s->image_n ? s->image_n * 2 : 4096;
		void *p;
		int rc = s->image ? pack(s, r, &w) : 0;

		if (rc < 0)
			return rc;
		if (!w.bad) {
			*ret_bytes = dk_written(&w);
			return 0;
		}
		if (more > ROOM_IMAGE_MAX) {
			dk_log(s, DK_ERROR,
			       "room " DK_STR_FMT
			       " and what plugins keep of it take more than %u bytes, so it can neither move nor "
			       "be copied",
			       DK_STR_ARG(dk_str_n(r->id.c, DK_ID52_LEN)), ROOM_IMAGE_MAX);
			return -EMSGSIZE;
		}
		p = dk_realloc(s, s->image, s->image_n, more);
		if (!p)
			return -ENOMEM;
		s->image = p;
		s->image_n = more;
	}
}

/* Of all but the version and the time that an empty room has left, which change by themselves. */
uint64_t room_state_hash(struct rooms *s, dk_slice state)
{
	enum { VERSION = 1 + DK_ID52_LEN + 4, TTL_LEFT = VERSION + 8 + 2 + 1 + 1 + 4 + 4, REST = TTL_LEFT + 4 };

	return dk_hash(s, dk_slice_n(state.p, VERSION)) ^
	       dk_hash(s, dk_slice_n(state.p + VERSION + 8, TTL_LEFT - VERSION - 8)) * 3 ^
	       dk_hash(s, dk_slice_n(state.p + REST, state.n - REST)) * 5;
}

/* ---- and back ---- */

static int unpack_parts(struct rooms *s, const struct room *r, dk_slice list)
{
	struct room_image_part p;

	while (room_image_part(&list, &p)) {
		int rc = room_unpack_part(s, r, p.name, p.version, p.bytes);

		if (rc == DK_NOT_FOUND && room_play_keep_part(s, &p) == 0)
			continue;
		if (rc == DK_NOT_FOUND) {
			dk_log(s, DK_WARN,
			       "a room came with a part " DK_STR_FMT ", which no plugin of this node keeps; nodes that share rooms "
			       "load the same plugins",
			       DK_STR_ARG(p.name));
			return DK_REFUSED;
		}
		if (rc)
			return rc < 0 ? rc : DK_REFUSED;
	}
	return 0;
}

int room_unpack(struct rooms *s, const struct room_image *m, const struct dk_id52 *id, struct room **ret_room)
{
	struct dk_cursor props = dk_cursor_of(m->props);
	dk_slice reserved = m->reserved, former = m->former;
	struct dk_id52 old;
	uint32_t until_s;
	struct room *r;
	dk_str uid;
	int rc = room_store_add(&s->store, id, m->max, &r);

	if (rc)
		return rc;
	r->phase = ROOM_LANDING;
	r->epoch = m->epoch;
	r->version = m->version;
	r->allow_empty = m->allow_empty;
	r->replicas = m->replicas;
	r->interval_ms = room_fit_interval(s, m->interval_ms);
	r->ttl_s = m->ttl_s < DK_ROOM_TTL_MIN_S ? DK_ROOM_TTL_MIN_S : m->ttl_s;
	r->ttl_left_ms = m->ttl_left_ms;
	r->created_s = m->created_s;
	while (room_image_former(&former, &old, &until_s))
		room_store_remember(&s->store, r, &old, until_s);
	while (rc == 0 && room_image_uid(&reserved, &uid))
		rc = room_store_reserve(&s->store, r, &uid, 1);
	if (rc == 0 && m->props.n)
		rc = props_unpack(s, &r->props, &most, &props);
	if (rc == 0 && m->props.n && !dk_rd_done(&props))
		rc = -EPROTO;
	if (rc == 0)
		rc = unpack_parts(s, r, m->parts);
	if (rc) {
		room_strip(s, r);
		room_store_remove(&s->store, r);
		return rc;
	}
	*ret_room = r;
	return 0;
}

void room_know_by_old_ids(struct rooms *s, const struct room *r)
{
	for (uint8_t i = 0; i < r->former_n; i++)
		room_alias_put(&s->aliases, &r->former[i].id, &r->id, dk_now(s));
}
