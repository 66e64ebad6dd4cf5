/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which room this client is in: its id through migrations, whether the client owns it, which nodes could take it over. All of it is
 * read off the frames that come and go, so that it holds for programs too that write their payloads themselves.
 *
 * An answer to room.join that nobody asked for tells that the room has moved. What the server says of backups, and the client's own
 * questions, stay here.
 */
#include <stdlib.h>

#include <diarkis/client_room.h>
#include <diarkis/room_commands.h>

#include "priv.h"

#define ID_TEXT (2 + DK_ID52_LEN)

static bool same(const struct dk_id52 *a, const struct dk_id52 *b)
{
	return memcmp(a->c, b->c, DK_ID52_LEN) == 0;
}

void client_seat_free(struct dkc_client *c)
{
	free(c->seat);
	c->seat = NULL;
	c->silent = false;
}

const struct dk_id52 *client_seat_id(const struct dkc_client *c, const struct dk_id52 *room)
{
	return c->seat && (same(room, &c->seat->former) || same(room, &c->seat->first)) ? &c->seat->id : room;
}

/* ---- what the client says by itself ---- */

/* The answers are read as all others are: client_seat_frame(). */
static void on_answer(void *arg, struct dkc_client *c, const struct dkc_reply *reply)
{
	(void)arg;
	(void)c;
	(void)reply;
}

void client_seat_ask(struct dkc_client *c)
{
	uint8_t buf[ID_TEXT];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (!c->seat || !c->quiet_ms)
		return;
	dk_wr_bytes16(&w, dk_slice_n(c->seat->id.c, DK_ID52_LEN));
	dkc_request(c, ROOM_VER, ROOM_CMD_BACKUPS, dk_written(&w), on_answer, NULL);
}

void client_seat_migrate(struct dkc_client *c)
{
	dkc_room_migrate(c, on_answer, NULL);
}

/* ---- what the server says ---- */

/* The client is in this room now. */
static void enter(struct dkc_client *c, const struct dk_id52 *id, bool owner)
{
	if (!c->seat)
		c->seat = malloc(sizeof(*c->seat));
	if (!c->seat)
		return; /* then nobody follows the room; the server still moves its members */
	*c->seat = (struct seat){ .id = *id, .former = *id, .first = *id, .owner = owner };
	c->silent = false;
	client_seat_ask(c);
}

static void moved(struct dkc_client *c, const struct dk_id52 *id)
{
	struct dkc_event e = { .kind = DKC_ROOM_MOVED };
	struct dk_id52 now = *id, former = c->seat->id;

	c->seat->former = former;
	c->seat->id = now;
	client_seat_ask(c);
	e.room = &now;
	e.former = &former;
	client_emit(c, &e);
}

/* Addresses that cannot be read are passed over: they may be of a kind that comes later. */
static void read_backups(struct dkc_client *c, dk_slice payload)
{
	struct dk_cursor p = dk_cursor_of(payload);
	uint16_t n = dk_rd_u16(&p);
	struct seat fresh;
	dk_slice room;

	if (!c->seat)
		return;
	fresh = *c->seat;
	fresh.backup_n = 0;
	for (; n-- > 0 && !p.bad;) {
		dk_slice address = dk_rd_bytes16(&p);
		uint8_t i = fresh.backup_n;

		if (!p.bad && i < CLIENT_BACKUPS &&
		    client_address_parse(dk_str_of(address), fresh.backup[i].host, &fresh.backup[i].port))
			fresh.backup_n++;
	}
	room = dk_rd_bytes16(&p);
	if (p.bad || room.n != DK_ID52_LEN || memcmp(room.p, c->seat->id.c, DK_ID52_LEN) != 0)
		return;
	fresh.watched = true;
	*c->seat = fresh;
}

static void read_owner(struct dkc_client *c, dk_slice payload)
{
	struct dk_cursor p = dk_cursor_of(payload);
	dk_str owner = dk_str_of(dk_rd_bytes16(&p));

	if (c->seat && !p.bad)
		c->seat->owner = c->uid && dk_str_eq(owner, dk_str_c(c->uid));
}

bool client_seat_push(struct dkc_client *c, uint16_t cmd, dk_slice item)
{
	if (cmd == ROOM_CMD_OWNER_CHANGED)
		read_owner(c, item);
	if (cmd == ROOM_CMD_BACKUPS)
		read_backups(c, item);
	return cmd == ROOM_CMD_BACKUPS;
}

bool client_seat_frame(struct dkc_client *c, const struct dk_frame *f)
{
	struct dk_cursor p = dk_cursor_of(f->payload);
	bool asked = c->joining > 0, ok = f->status == DK_STATUS_OK, joined = false;
	struct dk_id52 id;

	if (f->cmd == ROOM_CMD_RAND_CREATE || f->cmd == ROOM_CMD_RAND_JOIN)
		joined = dk_rd_u8(&p) != 0;
	dk_rd_u32(&p);
	switch (f->cmd) {
	case ROOM_CMD_RAND_CREATE:
	case ROOM_CMD_RAND_JOIN:
		if (ok && dkc_room_id(dk_str_of(dk_rd_slice(&p, DK_ID52_LEN)), &id))
			enter(c, &id, !joined);
		return false;
	case ROOM_CMD_CREATE:
		if (ok && c->joins && dkc_room_id(dk_str_of(dk_rd_slice(&p, DK_ID52_LEN)), &id))
			enter(c, &id, true);
		return false;
	case ROOM_CMD_JOIN:
		c->joining -= asked;
		if (!ok || !dkc_room_id(dk_str_of(dk_rd_slice(&p, DK_ID52_LEN)), &id))
			return false;
		if (asked || !c->seat)
			enter(c, &id, false);
		else if (!same(&id, &c->seat->id))
			moved(c, &id);
		return !asked;
	case ROOM_CMD_PUFFER_CREATE:
	case ROOM_CMD_PUFFER_JOIN:
		if (ok && (c->joins || f->cmd == ROOM_CMD_PUFFER_JOIN) && dkc_room_id(dk_str_of(dk_rd_bytes16(&p)), &id))
			enter(c, &id, f->cmd == ROOM_CMD_PUFFER_CREATE);
		return false;
	case ROOM_CMD_LEAVE:
	case ROOM_CMD_PUFFER_LEAVE:
		if (ok)
			client_seat_free(c);
		return false;
	case ROOM_CMD_BACKUPS:
		if (ok)
			read_backups(c, f->payload);
		else if (c->seat && c->seat->watched)
			client_seat_free(c); /* who moves alone leaves the room behind */
		return false;
	default:
		return false;
	}
}

void client_seat_sent(struct dkc_client *c, const struct dk_frame *f)
{
	if (f->ver != ROOM_VER)
		return;
	if (f->cmd == ROOM_CMD_CREATE && f->payload.n > 3) /* max_members u16, allow_empty u8, join u8 */
		c->joins = f->payload.p[3] != 0;
	if (f->cmd == ROOM_CMD_PUFFER_CREATE && f->payload.n > 5) /* allow_empty bool, interval_ms u32, join bool */
		c->joins = f->payload.p[5] == 1;
	if (f->cmd == ROOM_CMD_JOIN && c->joining < UINT8_MAX)
		c->joining++;
}

/* ---- what the program may know ---- */

bool dkc_room_current(const struct dkc_client *c, struct dk_id52 *ret_room)
{
	if (!c->seat)
		return false;
	*ret_room = c->seat->id;
	return true;
}

bool dkc_room_is_owner(const struct dkc_client *c)
{
	return c->seat && c->seat->owner;
}

size_t dkc_room_backups(const struct dkc_client *c)
{
	return c->seat ? c->seat->backup_n : 0;
}
