/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See dm_pack.h. What is read comes from other nodes: each length is checked where it is read, and a uid has 1 to 256 bytes.
 * Nothing here allocates, and what is read lies in the bytes it was read from.
 */
#include "dm_pack.h"

enum { LETTER_HEAD = 1 + 2 + 1 + 2 + 4, RELIABLE = 1 };

static void addr_write(struct dk_writer *w, const struct dk_addr *a)
{
	dk_wr_u8(w, a->family);
	dk_wr_u16(w, a->port);
	dk_wr_slice(w, dk_slice_n(a->ip, sizeof(a->ip)));
}

static void addr_read(struct dk_cursor *c, struct dk_addr *a)
{
	const uint8_t *ip;

	*a = (struct dk_addr){ .family = dk_rd_u8(c) };
	a->port = dk_rd_u16(c);
	ip = dk_rd_take(c, sizeof(a->ip));
	if (ip)
		memcpy(a->ip, ip, sizeof(a->ip));
	if (a->family != 4 && a->family != 6)
		c->bad = true;
}

void dm_place_write(struct dk_writer *w, const struct dm_place *p)
{
	addr_write(w, &p->node);
	dk_wr_u64(w, p->boot);
	dk_wr_u64(w, p->login);
	dk_wr_u32(w, p->hops);
	dk_wr_u64(w, p->who);
}

bool dm_place_read(dk_slice bytes, struct dm_place *ret_place)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct dm_place p;

	addr_read(&c, &p.node);
	p.boot = dk_rd_u64(&c);
	p.login = dk_rd_u64(&c);
	p.hops = dk_rd_u32(&c);
	p.who = dk_rd_u64(&c);
	if (!dk_rd_done(&c))
		return false;
	*ret_place = p;
	return true;
}

void dm_node_write(struct dk_writer *w, const struct dk_addr *a)
{
	if (a->family)
		addr_write(w, a);
}

bool dm_node_read(dk_slice bytes, struct dk_addr *ret_addr)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	struct dk_addr a = { .family = 0 };

	if (bytes.n)
		addr_read(&c, &a);
	if (!dk_rd_done(&c))
		return false;
	*ret_addr = a;
	return true;
}

size_t dm_letter_size(size_t from_n, size_t message_n)
{
	return LETTER_HEAD + from_n + message_n;
}

void dm_letter_write(struct dk_writer *w, const struct dm_letter *l)
{
	dk_wr_u8(w, l->ver);
	dk_wr_u16(w, l->cmd);
	dk_wr_u8(w, l->reliable ? RELIABLE : 0);
	dk_wr_bytes16(w, dk_slice_of(l->from));
	dk_wr_bytes32(w, l->message);
}

bool dm_letter_next(struct dk_cursor *c, struct dm_letter *ret_letter)
{
	struct dm_letter l;
	uint8_t flags;

	if (!dk_rd_left(c))
		return false;
	l.ver = dk_rd_u8(c);
	l.cmd = dk_rd_u16(c);
	flags = dk_rd_u8(c);
	l.reliable = flags == RELIABLE;
	l.from = dk_str_of(dk_rd_bytes16(c));
	l.message = dk_rd_bytes32(c);
	if (flags > RELIABLE || l.from.n > DM_UID_MAX || !l.message.n)
		c->bad = true;
	if (c->bad)
		return false;
	*ret_letter = l;
	return true;
}

void dm_part_write(struct dk_writer *w, uint64_t login, uint32_t hops)
{
	dk_wr_u64(w, login);
	dk_wr_u32(w, hops);
}

bool dm_part_read(struct dk_cursor *c, uint64_t *ret_login, uint32_t *ret_hops)
{
	uint64_t login = dk_rd_u64(c);
	uint32_t hops = dk_rd_u32(c);

	if (c->bad)
		return false;
	*ret_login = login;
	*ret_hops = hops;
	return true;
}

bool dm_uid_next(struct dk_cursor *c, dk_str *ret_uid)
{
	dk_str uid;

	if (!dk_rd_left(c))
		return false;
	uid = dk_str_of(dk_rd_bytes16(c));
	if (!uid.n || uid.n > DM_UID_MAX)
		c->bad = true;
	if (c->bad)
		return false;
	*ret_uid = uid;
	return true;
}
