/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user as bytes, for another node: who it is, its credential, its properties, and what other plugins know of it. The bytes hold
 * keys: they are wiped where they were written, and appear in no log.
 *
 *   u8 version, u8 flags, u32 login_s, str8 type, str16 uid, 16 sid, 48 keys when encrypted, bytes16 locals, bytes32 properties
 *   (plugins/props.h), then per part {str8 name, u16 version, bytes32}.
 */
#include <errno.h>

#include "user_state.h"

enum { VERSION = 1, ENCRYPTED = 1, KEYED = 2 };

/* ---- parts ---- */

static void carry_undo(void *self, void *arg)
{
	struct user_carried *c = arg, **at = &c->users->carried;

	(void)self;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	dk_free(c->users, c, sizeof(*c));
}

int user_carry(struct dk_user *svc, void *self, const struct dk_user_part *part)
{
	struct users *s = users_of(svc);
	struct user_carried *c = dk_alloc(s, sizeof(*c)), **at = &s->carried;

	if (!c)
		return -ENOMEM;
	if (dk_own(self, carry_undo, c, "a part of users that move") < 0) {
		dk_free(s, c, sizeof(*c));
		return -ENOMEM;
	}
	*c = (struct user_carried){ NULL, s, self, part };
	while (*at)
		at = &(*at)->next;
	*at = c;
	return 0;
}

static int pack_part(const struct user_carried *c, dk_id id, struct dk_writer *w)
{
	uint8_t *start = w->p, *length;
	int rc;

	dk_wr_bytes8(w, dk_slice_of(dk_str_c(c->part->name)));
	dk_wr_u16(w, c->part->version);
	length = dk_wr_take(w, 4);
	if (!length)
		return 0;
	rc = c->part->pack(c->self, id, w);
	if (rc == DK_NOT_FOUND) {
		w->p = start;
	} else if (!w->bad) {
		struct dk_writer at = dk_writer_on(length, 4);

		dk_wr_u32(&at, (uint32_t)(w->p - length - 4));
	}
	return rc < 0 ? rc : 0;
}

int user_parts_unpack(struct users *s, dk_id id, dk_slice parts)
{
	struct dk_cursor c = dk_cursor_of(parts);
	int rc = 0;

	while (rc == 0 && dk_rd_left(&c)) {
		dk_str name = dk_str_of(dk_rd_bytes8(&c));
		uint16_t version = dk_rd_u16(&c);
		dk_slice bytes = dk_rd_bytes32(&c);
		const struct user_carried *at = s->carried;

		if (c.bad)
			return -EPROTO;
		while (at && !dk_str_eq(dk_str_c(at->part->name), name))
			at = at->next;
		/* A node without that plugin has no use for what it knew. */
		if (at)
			rc = at->part->unpack(at->self, id, version, bytes);
	}
	return c.bad ? -EPROTO : rc;
}

/* ---- the whole ---- */

int user_pack(struct dk_user *svc, dk_id id, struct dk_writer *w)
{
	static const struct props none = { .first = NULL };
	struct users *s = users_of(svc);
	const struct user *u = user_get(s, id);
	struct dk_transport *t = u ? user_transport(s, u) : NULL;
	struct dk_credential cred;
	uint8_t *length;
	int rc;

	if (!t)
		return u ? -EINVAL : DK_GONE;
	if (!t->credential) /* a transport from before moves */
		return -EOPNOTSUPP;
	rc = t->credential(t, u->peer, &cred);
	if (rc)
		return rc;
	dk_wr_u8(w, VERSION);
	dk_wr_u8(w, (cred.encrypted ? ENCRYPTED : 0) | (u->flags & USER_KEYED ? KEYED : 0));
	dk_wr_u32(w, u->login_s);
	dk_wr_bytes8(w, dk_slice_of(dk_str_c(t->type)));
	dk_wr_bytes16(w, dk_slice_of(user_uid(u)));
	dk_wr_slice(w, dk_slice_n(cred.sid, 16));
	if (cred.encrypted) {
		dk_wr_slice(w, dk_slice_n(cred.key, 16));
		dk_wr_slice(w, dk_slice_n(cred.iv, 16));
		dk_wr_slice(w, dk_slice_n(cred.mac_key, 16));
	}
	explicit_bzero(&cred, sizeof(cred));
	dk_wr_bytes16(w, u->more ? dk_slice_n(u->more->locals, u->more->locals_n) : dk_slice_n(NULL, 0));
	length = dk_wr_take(w, 4);
	props_pack(u->more ? &u->more->props : &none, w);
	if (length) {
		struct dk_writer at = dk_writer_on(length, 4);

		dk_wr_u32(&at, (uint32_t)(w->p - length - 4));
	}
	for (const struct user_carried *c = s->carried; c && rc == 0; c = c->next)
		rc = pack_part(c, id, w);
	return rc;
}

static void take16(struct dk_cursor *c, uint8_t to[16])
{
	const uint8_t *p = dk_rd_take(c, 16);

	if (p)
		memcpy(to, p, 16);
}

bool user_packed_read(dk_slice bytes, struct user_packed *ret_packed)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct user_packed p = { .keyed = false };
	bool known = dk_rd_u8(&c) == VERSION;
	uint8_t flags = dk_rd_u8(&c);

	p.login_s = dk_rd_u32(&c);
	p.type = dk_str_of(dk_rd_bytes8(&c));
	p.uid = dk_str_of(dk_rd_bytes16(&c));
	take16(&c, p.cred.sid);
	p.cred.encrypted = (flags & ENCRYPTED) != 0;
	p.keyed = (flags & KEYED) != 0;
	if (p.cred.encrypted) {
		take16(&c, p.cred.key);
		take16(&c, p.cred.iv);
		take16(&c, p.cred.mac_key);
	}
	p.locals = dk_rd_bytes16(&c);
	p.props = dk_rd_bytes32(&c);
	p.parts = dk_rd_rest(&c);
	if (known && !c.bad)
		*ret_packed = p;
	explicit_bzero(&p, sizeof(p));
	return known && !c.bad;
}
