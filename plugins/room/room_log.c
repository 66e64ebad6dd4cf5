/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout. Head: "DKROOM", u16 version, u64 unix seconds, u32 0, id52, 8 bytes of 0. Record: u32 length of the rest, u8 kind,
 * u64 milliseconds, the fields of its kind, u64 checksum.
 */
#include "room_log.h"

#include <errno.h>

enum { VERSION = 1, FIXED = 1 + 8 + 8 };

static const char magic[6] = { 'D', 'K', 'R', 'O', 'O', 'M' };

static uint64_t add(uint64_t sum, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ p[i]) * 0x100000001b3u;
	return sum ^ sum >> 29;
}

#define SUM_FIRST 0xcbf29ce484222325u

/* ---- writing ---- */

static void put_head(struct dk_writer *w, const struct dk_id52 *id, uint64_t wall_s)
{
	dk_wr_slice(w, dk_slice_n(magic, sizeof(magic)));
	dk_wr_u16(w, VERSION);
	dk_wr_u64(w, wall_s);
	dk_wr_u32(w, 0);
	dk_wr_slice(w, dk_slice_n(id->c, DK_ID52_LEN));
	dk_wr_u64(w, 0);
}

bool room_log_begin(struct room_log_writer *w, void *bytes, size_t cap, const struct dk_id52 *id, uint64_t wall_s)
{
	struct dk_writer head = dk_writer_on(bytes, cap < ROOM_LOG_HEAD ? cap : ROOM_LOG_HEAD);

	put_head(&head, id, wall_s);
	*w = (struct room_log_writer){ bytes, cap, ROOM_LOG_HEAD, 0 };
	w->sum = add(SUM_FIRST, bytes, head.bad ? 0 : ROOM_LOG_HEAD);
	return !head.bad;
}

static void put_fields(struct dk_writer *w, const struct room_log_event *e)
{
	switch (e->kind) {
	case ROOM_LOG_CREATE:
		dk_wr_u16(w, e->opts.max_members);
		dk_wr_u8(w, e->opts.allow_empty);
		dk_wr_u32(w, e->opts.ttl_s);
		dk_wr_u32(w, e->opts.interval_ms);
		dk_wr_bytes16(w, dk_slice_of(e->uid));
		break;
	case ROOM_LOG_JOIN:
		dk_wr_bytes16(w, dk_slice_of(e->uid));
		break;
	case ROOM_LOG_LEAVE:
		dk_wr_u8(w, e->reason);
		dk_wr_bytes16(w, dk_slice_of(e->uid));
		break;
	case ROOM_LOG_SET:
		dk_wr_bytes16(w, dk_slice_of(e->name));
		dk_value_write(w, &e->value);
		break;
	case ROOM_LOG_UNSET:
		dk_wr_bytes16(w, dk_slice_of(e->name));
		break;
	case ROOM_LOG_RESERVE:
	case ROOM_LOG_CANCEL:
		dk_wr_u16(w, e->uids.n);
		dk_wr_slice(w, e->uids.bytes);
		break;
	case ROOM_LOG_TTL:
		dk_wr_u32(w, e->opts.ttl_s);
		break;
	case ROOM_LOG_SAY:
		dk_wr_bytes16(w, dk_slice_of(e->uid));
		dk_wr_u8(w, e->ver);
		dk_wr_u16(w, e->cmd);
		dk_wr_bytes32(w, e->message);
		break;
	case ROOM_LOG_END:
		dk_wr_u8(w, e->expired);
		break;
	case ROOM_LOG_CHECK:
		dk_wr_u64(w, e->hash);
		break;
	}
}

/* A record may lie behind what is written already, four bytes of which stay zero at the end. */
static struct dk_writer space(const struct room_log_writer *log)
{
	size_t left = log->cap - log->at;

	return dk_writer_on(left < 8 ? NULL : log->start + log->at + 4, left < 8 ? 0 : left - 8);
}

/* w: from space(), with everything but the checksum. */
static bool close_record(struct room_log_writer *log, struct dk_writer *w)
{
	struct dk_writer length = dk_writer_on(log->start + log->at, 4);
	uint64_t sum = 0;

	if (!w->bad) {
		sum = add(log->sum, w->start, (size_t)(w->p - w->start));
		dk_wr_u64(w, sum);
	}
	if (w->bad) { /* what was begun is as if it had never been */
		if (w->start)
			memset(w->start, 0, (size_t)(w->end - w->start));
		return false;
	}
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* a process that dies here leaves no length without a record */
	dk_wr_u32(&length, (uint32_t)(w->p - w->start));
	log->at += 4 + (size_t)(w->p - w->start);
	log->sum = sum;
	return true;
}

bool room_log_put(struct room_log_writer *log, const struct room_log_event *e)
{
	struct dk_writer w = space(log);

	dk_wr_u8(&w, (uint8_t)e->kind);
	dk_wr_u64(&w, e->t_ms);
	put_fields(&w, e);
	return close_record(log, &w);
}

bool room_log_put_raw(struct room_log_writer *log, dk_slice record)
{
	struct dk_writer w = space(log);

	dk_wr_slice(&w, record);
	return close_record(log, &w);
}

/* ---- reading ---- */

int room_log_open(struct room_log_reader *r, dk_slice bytes, const char **ret_why)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	const uint8_t *m = dk_rd_take(&c, sizeof(magic)), *id;
	uint16_t version = dk_rd_u16(&c);
	uint64_t wall_s = dk_rd_u64(&c);
	bool zero = dk_rd_u32(&c) == 0;

	id = dk_rd_take(&c, DK_ID52_LEN);
	zero = dk_rd_u64(&c) == 0 && zero;
	if (!m || memcmp(m, magic, sizeof(magic)) != 0 || c.bad) {
		*ret_why = "it does not begin as a recording of a room does";
		return -EPROTO;
	}
	if (version != VERSION || !zero) {
		*ret_why = "it was written in another version of the layout than version 1";
		return -EPROTO;
	}
	*r = (struct room_log_reader){ .bytes = bytes, .at = ROOM_LOG_HEAD, .wall_s = wall_s };
	memcpy(r->id.c, id, DK_ID52_LEN);
	r->sum = add(SUM_FIRST, bytes.p, ROOM_LOG_HEAD);
	return 0;
}

/* Names and uids are never empty where there has to be one. */
static dk_str text(struct dk_cursor *c, size_t max)
{
	dk_str s = dk_str_of(dk_rd_bytes16(c));

	c->bad |= !s.n || s.n > max;
	return s;
}

static struct dk_list uid_list(struct dk_cursor *c)
{
	struct dk_list l = { { NULL, 0 }, dk_rd_u16(c) };
	const uint8_t *start = c->p;

	c->bad |= !l.n || l.n > DK_ROOM_MEMBERS_MAX;
	for (uint16_t i = 0; i < l.n && !c->bad; i++)
		text(c, DK_UID_MAX);
	l.bytes = dk_slice_n(start, (size_t)(c->p - start));
	return l;
}

static void read_create(struct dk_cursor *c, struct room_log_event *e)
{
	e->opts.max_members = dk_rd_u16(c);
	e->opts.allow_empty = dk_rd_u8(c) != 0;
	e->opts.ttl_s = dk_rd_u32(c);
	e->opts.interval_ms = dk_rd_u32(c);
	e->uid = dk_str_of(dk_rd_bytes16(c));
	c->bad |= e->uid.n > DK_UID_MAX || e->opts.max_members < DK_ROOM_MEMBERS_MIN || e->opts.max_members > DK_ROOM_MEMBERS_MAX;
	c->bad |= !e->opts.ttl_s || (!e->uid.n && !e->opts.allow_empty);
}

static bool read_fields(struct dk_cursor *c, struct room_log_event *e)
{
	switch (e->kind) {
	case ROOM_LOG_CREATE:
		read_create(c, e);
		break;
	case ROOM_LOG_JOIN:
		e->uid = text(c, DK_UID_MAX);
		break;
	case ROOM_LOG_LEAVE:
		e->reason = dk_rd_u8(c);
		e->uid = text(c, DK_UID_MAX);
		break;
	case ROOM_LOG_SET:
		e->name = text(c, UINT8_MAX);
		e->value = dk_value_read(c);
		c->bad |= !c->bad && !dk_value_ok(&e->value, DK_CAPSULE_DEPTH_MAX);
		break;
	case ROOM_LOG_UNSET:
		e->name = text(c, UINT8_MAX);
		break;
	case ROOM_LOG_RESERVE:
	case ROOM_LOG_CANCEL:
		e->uids = uid_list(c);
		break;
	case ROOM_LOG_TTL:
		e->opts.ttl_s = dk_rd_u32(c);
		c->bad |= !e->opts.ttl_s;
		break;
	case ROOM_LOG_SAY:
		e->uid = dk_str_of(dk_rd_bytes16(c));
		e->ver = dk_rd_u8(c);
		e->cmd = dk_rd_u16(c);
		e->message = dk_rd_bytes32(c);
		c->bad |= e->uid.n > DK_UID_MAX;
		break;
	case ROOM_LOG_END:
		e->expired = dk_rd_u8(c) != 0;
		break;
	case ROOM_LOG_CHECK:
		e->hash = dk_rd_u64(c);
		break;
	default:
		return false;
	}
	return dk_rd_done(c);
}

static int refuse(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EPROTO;
}

int room_log_next(struct room_log_reader *r, struct room_log_event *ret_event, const char **ret_why)
{
	struct dk_cursor all = dk_cursor_of(dk_slice_n(r->bytes.p + r->at, r->bytes.n - r->at)), c, end;
	uint32_t n = dk_rd_left(&all) < 4 ? 0 : dk_rd_u32(&all);
	struct room_log_event e = { 0 };
	const uint8_t *record;
	uint64_t sum;

	if (!n) {
		for (size_t i = r->at; i < r->bytes.n; i++)
			if (r->bytes.p[i])
				return refuse(ret_why, "there are bytes behind its end");
		return DK_NOT_FOUND;
	}
	record = dk_rd_take(&all, n);
	if (!record || n < FIXED)
		return refuse(ret_why, "a record is longer than the file, or too short to be one");
	end = dk_cursor_of(dk_slice_n(record + n - 8, 8));
	sum = add(r->sum, record, n - 8);
	if (dk_rd_u64(&end) != sum)
		return refuse(ret_why, "a checksum is wrong: the file was changed, or is incomplete");
	c = dk_cursor_of(dk_slice_n(record, n - 8));
	e.kind = (enum room_log_kind)dk_rd_u8(&c);
	e.t_ms = dk_rd_u64(&c);
	if (e.t_ms < r->t_ms || e.t_ms - r->t_ms > UINT32_MAX || !read_fields(&c, &e))
return refuse(ret_why, "a record is none that this version knows");
	if ((e.kind == ROOM_LOG_CREATE) != (r->n == 0))
		return refuse(ret_why, "a recording begins with the room's creation, and has only one");
	r->at += 4 + n;
	r->sum = sum;
	r->t_ms = e.t_ms;
	r->n++;
	*ret_event = e;
	return 0;
}

/* ---- what came of it ---- */

static uint64_t add_number(uint64_t sum, uint64_t n)
{
	uint8_t b[8];
	struct dk_writer w = dk_writer_on(b, sizeof(b));

	dk_wr_u64(&w, n);
	return add(sum, b, sizeof(b));
}

static uint64_t add_text(uint64_t sum, dk_slice s)
{
	return add(add_number(sum, s.n), s.p, s.n);
}

static uint64_t add_value(uint64_t sum, const struct dk_value *v)
{
	uint8_t b[16];
	struct dk_writer w = dk_writer_on(b, sizeof(b));

	dk_value_write(&w, v);
	if (!w.bad)
		return add_text(sum, dk_written(&w));
	/* a longer one: text, bytes, capsules, arrays */
	return add_text(add_number(sum, v->type), v->type == DK_V_STR ? dk_slice_of(v->as.s) : v->as.bytes);
}

uint64_t room_log_hash(struct dk_room *rooms, struct dk_user *users, dk_id room, uint16_t reserved)
{
	struct dk_room_info info;
	struct dk_value value;
	const void *at = NULL;
	const dk_id *members;
	uint64_t sum = SUM_FIRST, props = 0;
	dk_str name;
	size_t n;

	if (rooms->info(rooms, room, &info))
		return 1;
	sum = add_number(sum, (uint64_t)info.max_members << 32 | (uint64_t)reserved << 16 | info.allow_empty);
	sum = add_number(sum, (uint64_t)info.ttl_s << 32 | info.interval_ms);
	sum = add_text(sum, dk_slice_of(users->uid(users, info.owner)));
	members = rooms->members(rooms, room, &n);
	sum = add_number(sum, n);
	for (size_t i = 0; i < n; i++)
		sum = add_text(sum, dk_slice_of(users->uid(users, members[i])));
	/* Their order is not part of what a room is. */
	while (rooms->next_property(rooms, room, &at, &name, &value))
		props += add_value(add_text(SUM_FIRST, dk_slice_of(name)), &value);
	sum = add_number(sum, props);
	return sum ? sum : 1;
}
