/* SPDX-License-Identifier: Apache-2.0 */
/* A room as bytes; the layout stands in room_pack.h. What comes from another node is checked like anything from outside. */
#include "room_pack.h"

#include <errno.h>

#include <diarkis/user.h>

enum { FORMAT = 1, FLAG_ALLOW_EMPTY = 1, MUST_UNDERSTAND = 128 };

void room_addr_write(struct dk_writer *w, const struct dk_addr *a)
{
	if (a->family != 4 && a->family != 6)
		w->bad = true;
	dk_wr_u8(w, a->family);
	dk_wr_slice(w, dk_slice_n(a->ip, a->family == 6 ? 16 : 4));
	dk_wr_u16(w, a->port);
}

void room_addr_read(struct dk_cursor *c, struct dk_addr *ret_addr)
{
	struct dk_addr a = { .family = dk_rd_u8(c) };
	dk_slice ip = dk_rd_slice(c, a.family == 6 ? 16 : 4);

	a.port = dk_rd_u16(c);
	if ((a.family != 4 && a.family != 6) || !a.port)
		c->bad = true;
	if (c->bad)
		return;
	memcpy(a.ip, ip.p, ip.n);
	*ret_addr = a;
}

bool room_image_uid(dk_slice *list, dk_str *ret_uid)
{
	struct dk_cursor c = dk_cursor_of(*list);
	dk_str uid = dk_str_of(dk_rd_bytes16(&c));

	if (c.bad || !uid.n || uid.n > DK_UID_MAX)
		return false;
	*list = dk_rd_rest(&c);
	*ret_uid = uid;
	return true;
}

bool room_image_part(dk_slice *list, struct room_image_part *ret_part)
{
	struct dk_cursor c = dk_cursor_of(*list);
	struct room_image_part part;

	part.name = dk_str_of(dk_rd_bytes8(&c));
	part.version = dk_rd_u16(&c);
	part.bytes = dk_rd_bytes32(&c);
	if (c.bad || !part.name.n)
		return false;
	*list = dk_rd_rest(&c);
	*ret_part = part;
	return true;
}

bool room_image_former(dk_slice *list, struct dk_id52 *ret_id, uint32_t *ret_until_s)
{
	struct dk_cursor c = dk_cursor_of(*list);
	const uint8_t *id = dk_rd_take(&c, DK_ID52_LEN);
	uint32_t until_s = dk_rd_u32(&c);

	if (c.bad)
		return false;
	memcpy(ret_id->c, id, DK_ID52_LEN);
	*ret_until_s = until_s;
	*list = dk_rd_rest(&c);
	return true;
}

/* How many there are; false when they do not fill the list. */
static bool count_uids(dk_slice list, uint16_t *ret_n)
{
	dk_str uid;
	uint16_t n = 0;

	while (n < DK_ROOM_MEMBERS_MAX && room_image_uid(&list, &uid))
		n++;
	*ret_n = n;
	return !list.n;
}

static bool count_parts(dk_slice list, uint16_t *ret_n)
{
	struct room_image_part part;
	uint16_t n = 0;

	while (n < UINT16_MAX && room_image_part(&list, &part))
		n++;
	*ret_n = n;
	return !list.n;
}

static void read_head(struct dk_cursor *c, struct room_image *m)
{
	const uint8_t *id;
	uint8_t flags;

	if (dk_rd_u8(c) != FORMAT)
		c->bad = true;
	id = dk_rd_take(c, DK_ID52_LEN);
	if (id)
		memcpy(m->id.c, id, DK_ID52_LEN);
	m->epoch = dk_rd_u32(c);
	m->version = dk_rd_u64(c);
	m->max = dk_rd_u16(c);
	flags = dk_rd_u8(c);
	m->allow_empty = flags & FLAG_ALLOW_EMPTY;
	m->replicas = dk_rd_u8(c);
	m->interval_ms = dk_rd_u32(c);
	m->ttl_s = dk_rd_u32(c);
	m->ttl_left_ms = dk_rd_u32(c);
	m->created_s = dk_rd_u32(c);
	m->owner = dk_str_of(dk_rd_bytes16(c));
	m->backup_n = dk_rd_u8(c);
	if (m->max < DK_ROOM_MEMBERS_MIN || m->max > DK_ROOM_MEMBERS_MAX || !m->epoch || m->replicas > ROOM_BACKUPS_MAX ||
	    m->backup_n > ROOM_BACKUPS_MAX || m->owner.n > DK_UID_MAX)
		c->bad = true;
	for (uint8_t i = 0; i < m->backup_n && !c->bad; i++)
		room_addr_read(c, &m->backups[i]);
}

static void read_section(struct dk_cursor *c, struct room_image *m, uint32_t *seen)
{
	uint8_t tag = dk_rd_u8(c);
	dk_slice bytes = dk_rd_bytes32(c);
	bool ok = true;

	if (c->bad || tag >= MUST_UNDERSTAND || (tag < 32 && (*seen & 1u << tag))) {
		c->bad = true;
		return;
	}
	if (tag < 32)
		*seen |= 1u << tag;
	switch (tag) {
	case ROOM_SEC_MEMBERS:
		m->members = bytes;
		ok = count_uids(bytes, &m->member_n);
		break;
	case ROOM_SEC_RESERVED:
		m->reserved = bytes;
		ok = count_uids(bytes, &m->reserved_n);
		break;
	case ROOM_SEC_PROPS:
		m->props = bytes;
		break;
	case ROOM_SEC_PARTS:
		m->parts = bytes;
		ok = count_parts(bytes, &m->part_n);
		break;
	case ROOM_SEC_FORMER:
		m->former = bytes;
		ok = bytes.n % (DK_ID52_LEN + 4) == 0;
		break;
	default:
		break;
	}
	if (!ok)
		c->bad = true;
}

int room_image_read(dk_slice bytes, struct room_image *ret_image)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct room_image m = { .max = 0 };
	uint32_t seen = 0;

	read_head(&c, &m);
	while (dk_rd_left(&c))
		read_section(&c, &m, &seen);
	if (!dk_rd_done(&c) || m.member_n + m.reserved_n > m.max)
		return -EPROTO;
	*ret_image = m;
	return 0;
}

void room_image_begin(struct dk_writer *w, const struct room_image *m)
{
	dk_wr_u8(w, FORMAT);
	dk_wr_slice(w, dk_slice_n(m->id.c, DK_ID52_LEN));
	dk_wr_u32(w, m->epoch);
	dk_wr_u64(w, m->version);
	dk_wr_u16(w, m->max);
	dk_wr_u8(w, m->allow_empty ? FLAG_ALLOW_EMPTY : 0);
	dk_wr_u8(w, m->replicas);
	dk_wr_u32(w, m->interval_ms);
	dk_wr_u32(w, m->ttl_s);
	dk_wr_u32(w, m->ttl_left_ms);
	dk_wr_u32(w, m->created_s);
	dk_wr_bytes16(w, dk_slice_of(m->owner));
	dk_wr_u8(w, m->backup_n);
	for (uint8_t i = 0; i < m->backup_n; i++)
		room_addr_write(w, &m->backups[i]);
}

size_t room_section_begin(struct dk_writer *w, enum room_section tag)
{
	size_t at;

	dk_wr_u8(w, (uint8_t)tag);
	at = w->bad ? 0 : (size_t)(w->p - w->start);
	dk_wr_u32(w, 0);
	return at;
}

void room_section_end(struct dk_writer *w, size_t at)
{
	struct dk_writer length;

	if (w->bad)
		return;
	length = dk_writer_on(w->start + at, 4);
	dk_wr_u32(&length, (uint32_t)((size_t)(w->p - w->start) - at - 4));
}
