/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout. Head: "DKROOM", u16 version, id52, u64 unix ms, u64 ms of the node's clock, u32 grid, u64 size of the file, u64 0.
 * Record: u8 check of the length, u24 length of the rest, u8 kind, u64 milliseconds, the fields of its kind, u64 checksum, u8 end
 * mark. Which fields a kind has is in one table, for writer and reader.
 */
#include "room_log.h"

#include <errno.h>

enum { VERSION = 2, FIXED = 1 + 8 + 8 + 1, MARK = 0xe5 };

static const char magic[6] = { 'D', 'K', 'R', 'O', 'O', 'M' };

/* The fields of each kind, a letter each; what a letter is, see put_field(). */
static const struct {
	const char *fields, *what;
} kinds[ROOM_LOG_KINDS] = {
	[ROOM_LOG_CONF] = { "f", "what the node allows" },
	[ROOM_LOG_CREATE] = { "oua", "the room is made" },
	[ROOM_LOG_STATE] = { "bm", "the room as it was" },
	[ROOM_LOG_JOIN] = { "u#r", "a user joins" },
	[ROOM_LOG_SEAT] = { "u#cbr", "a user of another node takes its seat" },
	[ROOM_LOG_TOLD] = { "u", "the client of a user of another node is here" },
	[ROOM_LOG_LEAVE] = { "uhr", "a member leaves" },
	[ROOM_LOG_GONE] = { "u", "the creator is no user any more" },
	[ROOM_LOG_HOLD] = { "ur", "a seat is kept for a user of another node" },
	[ROOM_LOG_UNHOLD] = { "u", "a seat that was kept is given back" },
	[ROOM_LOG_RESERVE] = { "ulhr", "seats are reserved" },
	[ROOM_LOG_CANCEL] = { "ulhr", "reservations are cancelled" },
	[ROOM_LOG_TTL] = { "#r", "a time to live" },
	[ROOM_LOG_SET] = { "nvr", "a property is set" },
	[ROOM_LOG_UNSET] = { "nr", "a property is unset" },
	[ROOM_LOG_INCR] = { "ndr", "a property is added to" },
	[ROOM_LOG_UPDATE] = { "r", "an update of properties begins" },
	[ROOM_LOG_UPDATED] = { "h", "an update of properties ends" },
	[ROOM_LOG_STATES] = { "sr", "states are enabled" },
	[ROOM_LOG_STATE_SET] = { "ubmhr", "a state is set" },
	[ROOM_LOG_STATE_REMOVE] = { "br", "a state is removed" },
	[ROOM_LOG_STATE_SYNC] = { "u#", "a member asks for all states" },
	[ROOM_LOG_OBJECT] = { "nhbmr", "an object is updated" },
	[ROOM_LOG_CHAT] = { "uhnar", "a text of chat" },
	[ROOM_LOG_CHAT_LIMIT] = { "#r", "how much chat is remembered" },
	[ROOM_LOG_CLOCK] = { "hn#r", "a clock is started" },
	[ROOM_LOG_CLOCK_STOP] = { "hnr", "a clock is stopped" },
	[ROOM_LOG_SAY] = { "ucbhr", "a message to all" },
	[ROOM_LOG_SEND] = { "ucblhr", "a message to some" },
	[ROOM_LOG_PUSH] = { "cbh", "a push of the room itself" },
	[ROOM_LOG_FLUSH] = { "", "what waited is pushed" },
	[ROOM_LOG_TIMER] = { "h#n", "a timer" },
	[ROOM_LOG_FREEZE] = { "", "the room is frozen" },
	[ROOM_LOG_THAW] = { "", "the room thaws" },
	[ROOM_LOG_PART] = { "n#b", "what a plugin keeps of the room" },
	[ROOM_LOG_REFUSE] = { "uhr", "a command is refused" },
	[ROOM_LOG_END] = { "h", "the room ends" },
	[ROOM_LOG_CHECK] = { "p", "a check of the state" },
};

static const char *const part_names[ROOM_PART_COUNT] = {
	[ROOM_PART_SETTINGS] = "settings and times", [ROOM_PART_MEMBERS] = "members and owner", [ROOM_PART_SEATS] = "reservations",
	[ROOM_PART_PROPS] = "properties", [ROOM_PART_STATES] = "states", [ROOM_PART_OBJECTS] = "objects",
	[ROOM_PART_CHAT] = "chat", [ROOM_PART_OTHERS] = "what plugins keep of it", [ROOM_PART_TIMERS] = "timers",
	[ROOM_PART_COMING] = "seats of those who are on the way", [ROOM_PART_WINDOW] = "states to be told",
	[ROOM_PART_CLOCKS] = "clocks", [ROOM_PART_PACE] = "how fast members chat", [ROOM_PART_WAITING] = "messages that wait",
};

const char *room_log_what(enum room_log_kind kind)
{
	return kind > 0 && kind < ROOM_LOG_KINDS ? kinds[kind].what : "";
}

const char *room_log_part_name(unsigned part)
{
	return part < ROOM_PART_COUNT ? part_names[part] : "";
}

/* Eight bytes at a time. */
uint64_t room_log_sum(uint64_t sum, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (; n >= 8; n -= 8, p += 8) {
		uint64_t word = 0;

		for (unsigned i = 0; i < 8; i++)
			word |= (uint64_t)p[i] << (8 * i);
		sum = (sum ^ word) * 0x9fb21c651e98df25u;
		sum ^= sum >> 32;
	}
	for (size_t i = 0; i < n; i++)
		sum = (sum ^ p[i]) * 0x100000001b3u;
	return sum ^ sum >> 29;
}

/* ---- writing ---- */

bool room_log_begin(struct room_log_writer *w, void *bytes, size_t cap, const struct room_log_head *head)
{
	struct dk_writer h = dk_writer_on(bytes, cap < ROOM_LOG_HEAD ? cap : ROOM_LOG_HEAD);

	dk_wr_slice(&h, dk_slice_n(magic, sizeof(magic)));
	dk_wr_u16(&h, VERSION);
	dk_wr_slice(&h, dk_slice_n(head->id.c, DK_ID52_LEN));
	dk_wr_u64(&h, head->unix_ms);
	dk_wr_u64(&h, head->now_ms);
	dk_wr_u32(&h, head->grid);
	dk_wr_u64(&h, cap);
	dk_wr_u64(&h, 0);
	*w = (struct room_log_writer){ bytes, cap, ROOM_LOG_HEAD, 0 };
	w->sum = room_log_sum(ROOM_LOG_SUM_FIRST, bytes, h.bad ? 0 : ROOM_LOG_HEAD);
	return !h.bad;
}

static void put_opts(struct dk_writer *w, const struct dk_room_opts *o)
{
	dk_wr_u16(w, o->max_members);
	dk_wr_u8(w, (uint8_t)(o->allow_empty | o->join << 1));
	dk_wr_u32(w, o->ttl_s);
	dk_wr_u32(w, o->interval_ms);
	dk_wr_u8(w, o->replicas);
}

static void put_states(struct dk_writer *w, const struct dk_room_states_opts *o)
{
	dk_wr_u8(w, o->update_ver);
	dk_wr_u16(w, o->update_cmd);
	dk_wr_u8(w, o->remove_ver);
	dk_wr_u16(w, o->remove_cmd);
	dk_wr_u32(w, o->interval_ms);
	dk_wr_u32(w, o->all_delay_ms);
	dk_wr_u32(w, o->ttl_ms);
	dk_wr_u16(w, o->combine);
	dk_wr_u8(w, o->closed);
}

static void put_conf(struct dk_writer *w, const struct room_log_conf *c)
{
	dk_wr_u32(w, c->max_message);
	dk_wr_u32(w, c->max_chat);
	dk_wr_u32(w, c->chat_history);
	dk_wr_u32(w, c->chat_rate);
	dk_wr_u32(w, c->max_states);
	dk_wr_u32(w, c->state_interval_ms);
	dk_wr_u8(w, c->compat_interval);
}

static void put_parts(struct dk_writer *w, const struct room_log_event *e)
{
	dk_wr_u16(w, e->mask);
	for (unsigned i = 0; i < ROOM_PART_COUNT; i++)
		if (e->mask & 1u << i)
			dk_wr_u64(w, e->parts[i]);
}

static void put_field(struct dk_writer *w, char field, const struct room_log_event *e)
{
	switch (field) {
	case 'u':
		dk_wr_bytes16(w, dk_slice_of(e->uid));
		break;
	case 'n':
		dk_wr_bytes16(w, dk_slice_of(e->name));
		break;
	case 'b':
		dk_wr_bytes32(w, e->bytes);
		break;
	case 'm':
		dk_wr_bytes32(w, e->more);
		break;
	case 'h':
		dk_wr_u8(w, e->how);
		break;
	case 'c':
		dk_wr_u8(w, e->ver);
		dk_wr_u16(w, e->cmd);
		break;
	case '#':
		dk_wr_u32(w, e->number);
		break;
	case 'd':
		dk_wr_u64(w, (uint64_t)e->delta);
		break;
	case 'a':
		dk_wr_u64(w, e->at_ms);
		break;
	case 'r':
		dk_wr_u32(w, (uint32_t)e->outcome);
		break;
	case 'v':
		dk_value_write(w, &e->value);
		break;
	case 'l':
		dk_wr_u16(w, e->uids.n);
		dk_wr_slice(w, e->uids.bytes);
		break;
	case 'o':
		put_opts(w, &e->opts);
		break;
	case 's':
		put_states(w, &e->states);
		break;
	case 'f':
		put_conf(w, &e->conf);
		break;
	default:
		put_parts(w, e);
	}
}

/* A record may lie behind what is written already, four bytes of which stay zero at the end. */
static struct dk_writer space(const struct room_log_writer *log)
{
	size_t left = log->cap - log->at;

	return dk_writer_on(left < 8 ? NULL : log->start + log->at + 4, left < 8 ? 0 : left - 8);
}

static uint32_t with_check(uint32_t n)
{
	return (uint32_t)(uint8_t)(0x5a ^ n ^ n >> 8 ^ n >> 16) << 24 | n;
}

/* w: from space(), with everything but the checksum. */
static bool close_record(struct room_log_writer *log, struct dk_writer *w)
{
	struct dk_writer length = dk_writer_on(log->start + log->at, 4);
	uint64_t sum = 0;

	if (!w->bad) {
		sum = room_log_sum(log->sum, w->start, (size_t)(w->p - w->start));
		dk_wr_u64(w, sum);
		dk_wr_u8(w, MARK);
	}
	if (w->bad || (size_t)(w->p - w->start) >= ROOM_LOG_RECORD_MAX) { /* what was begun is as if it had never been */
		if (w->start)
			memset(w->start, 0, (size_t)(w->end - w->start));
		return false;
	}
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* a process that dies here leaves no length without a record */
	dk_wr_u32(&length, with_check((uint32_t)(w->p - w->start)));
	log->at += 4 + (size_t)(w->p - w->start);
	log->sum = sum;
	return true;
}

bool room_log_put(struct room_log_writer *log, const struct room_log_event *e)
{
	struct dk_writer w = space(log);

	dk_wr_u8(&w, (uint8_t)e->kind);
	dk_wr_u64(&w, e->t_ms);
	for (const char *f = kinds[e->kind].fields; *f; f++)
		put_field(&w, *f, e);
	return close_record(log, &w);
}

bool room_log_put_raw(struct room_log_writer *log, dk_slice record)
{
	struct dk_writer w = space(log);

	dk_wr_slice(&w, record);
	return close_record(log, &w);
}

/* ---- reading ---- */

static int refuse(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EPROTO;
}

int room_log_open(struct room_log_reader *r, dk_slice bytes, const char **ret_why)
{
	struct dk_cursor c = dk_cursor_of(bytes);
	const uint8_t *m = dk_rd_take(&c, sizeof(magic)), *id;
	uint16_t version = dk_rd_u16(&c);

	if (!m || memcmp(m, magic, sizeof(magic)) != 0 || c.bad)
		return refuse(ret_why, "it does not begin as a recording of a room does");
	if (version < VERSION)
		return refuse(ret_why, "it was written in version 1 of the layout, and this program reads version 2: play it "
				       "with the diarkis-replay of the release that wrote it");
	if (version > VERSION)
		return refuse(ret_why, "it was written in a later version of the layout than version 2, which is what this program "
				       "reads: play it with the diarkis-replay of the release that wrote it");
	id = dk_rd_take(&c, DK_ID52_LEN);
	*r = (struct room_log_reader){ .bytes = bytes, .at = ROOM_LOG_HEAD };
	r->head.unix_ms = dk_rd_u64(&c);
	r->head.now_ms = dk_rd_u64(&c);
	r->head.grid = dk_rd_u32(&c);
	r->head.cap = dk_rd_u64(&c);
	if (dk_rd_u64(&c) || c.bad)
		return refuse(ret_why, "its head is changed or incomplete");
	memcpy(r->head.id.c, id, DK_ID52_LEN);
	r->sum = room_log_sum(ROOM_LOG_SUM_FIRST, bytes.p, ROOM_LOG_HEAD);
	return 0;
}

/* Names and uids are never empty where there has to be one. */
static struct dk_list uid_list(struct dk_cursor *c)
{
	struct dk_list l = { { NULL, 0 }, dk_rd_u16(c) };
	const uint8_t *start = c->p;

	for (uint16_t i = 0; i < l.n && !c->bad; i++)
		dk_rd_bytes16(c);
	l.bytes = dk_slice_n(start, (size_t)(c->p - start));
	return l;
}

static void read_opts(struct dk_cursor *c, struct dk_room_opts *o)
{
	uint8_t flags;

	o->max_members = dk_rd_u16(c);
	flags = dk_rd_u8(c);
	o->allow_empty = flags & 1;
	o->join = flags & 2;
	o->ttl_s = dk_rd_u32(c);
	o->interval_ms = dk_rd_u32(c);
	o->replicas = dk_rd_u8(c);
	c->bad |= flags > 3;
}

static void read_states(struct dk_cursor *c, struct dk_room_states_opts *o)
{
	o->update_ver = dk_rd_u8(c);
	o->update_cmd = dk_rd_u16(c);
	o->remove_ver = dk_rd_u8(c);
	o->remove_cmd = dk_rd_u16(c);
	o->interval_ms = dk_rd_u32(c);
	o->all_delay_ms = dk_rd_u32(c);
	o->ttl_ms = dk_rd_u32(c);
	o->combine = dk_rd_u16(c);
	o->closed = dk_rd_u8(c) != 0;
}

static void read_conf(struct dk_cursor *c, struct room_log_conf *o)
{
	o->max_message = dk_rd_u32(c);
	o->max_chat = dk_rd_u32(c);
	o->chat_history = dk_rd_u32(c);
	o->chat_rate = dk_rd_u32(c);
	o->max_states = dk_rd_u32(c);
	o->state_interval_ms = dk_rd_u32(c);
	o->compat_interval = dk_rd_u8(c) != 0;
	c->bad |= o->chat_history > DK_ROOM_CHAT_LINES_MAX || o->chat_rate > 1000 || o->max_states > DK_ROOM_STATES_MAX ||
		  o->state_interval_ms > 10000;
}

static void read_field(struct dk_cursor *c, char field, struct room_log_event *e)
{
	switch (field) {
	case 'u':
		e->uid = dk_str_of(dk_rd_bytes16(c));
		break;
	case 'n':
		e->name = dk_str_of(dk_rd_bytes16(c));
		break;
	case 'b':
		e->bytes = dk_rd_bytes32(c);
		break;
	case 'm':
		e->more = dk_rd_bytes32(c);
		break;
	case 'h':
		e->how = dk_rd_u8(c);
		break;
	case 'c':
		e->ver = dk_rd_u8(c);
		e->cmd = dk_rd_u16(c);
		break;
	case '#':
		e->number = dk_rd_u32(c);
		break;
	case 'd':
		e->delta = (int64_t)dk_rd_u64(c);
		break;
	case 'a':
		e->at_ms = dk_rd_u64(c);
		break;
	case 'r':
		e->outcome = (int32_t)dk_rd_u32(c);
		break;
	case 'v':
		e->value = dk_value_read(c);
		c->bad |= !c->bad && !dk_value_ok(&e->value, DK_CAPSULE_DEPTH_MAX);
		break;
	case 'l':
		e->uids = uid_list(c);
		break;
	case 'o':
		read_opts(c, &e->opts);
		break;
	case 's':
		read_states(c, &e->states);
		break;
	case 'f':
		read_conf(c, &e->conf);
		break;
	default:
		e->mask = dk_rd_u16(c);
		c->bad |= e->mask >> ROOM_PART_COUNT;
		for (unsigned i = 0; i < ROOM_PART_COUNT; i++)
			if (e->mask & 1u << i)
				e->parts[i] = dk_rd_u64(c);
	}
}

static bool is_zero(const struct room_log_reader *r, size_t from)
{
	for (size_t i = from; i < r->bytes.n; i++)
		if (r->bytes.p[i])
			return false;
	return true;
}

/* A disk writes 512 bytes, or none of them. */
static bool in_two_sectors(size_t at)
{
	return at / 512 != (at + 3) / 512;
}

/* The end of the bytes before the record's end mark: of a file cut short, or one whose last page was never written. */
static bool is_torn(const struct room_log_reader *r, uint32_t n)
{
	size_t left = r->bytes.n - r->at;

	if (left < 4 || n + 4u > left)
		return r->bytes.n < r->head.cap;
	return is_zero(r, r->at + 4 + n - 1);
}

static bool in_order(const struct room_log_reader *r, const struct room_log_event *e)
{
	bool first = r->n == 0, second = r->n == 1;

	return (e->kind == ROOM_LOG_CONF || !first) &&
	       (e->kind == ROOM_LOG_CREATE || e->kind == ROOM_LOG_STATE) == second && e->t_ms >= r->t_ms &&
	       e->t_ms - r->t_ms <= UINT32_MAX;
}

static int read_record(struct room_log_reader *r, dk_slice record, struct room_log_event *e, const char **ret_why)
{
	struct dk_cursor c = dk_cursor_of(dk_slice_n(record.p, record.n - 9)),
			 end = dk_cursor_of(dk_slice_n(record.p + record.n - 9, 8));
	uint64_t sum = room_log_sum(r->sum, record.p, record.n - 9);
	uint8_t kind;

	if (dk_rd_u64(&end) != sum || record.p[record.n - 1] != MARK)
		return refuse(ret_why, "a checksum is wrong: the file was changed, or is incomplete");
	kind = dk_rd_u8(&c);
	e->kind = (enum room_log_kind)kind;
	e->t_ms = dk_rd_u64(&c);
	if (!kind || kind >= ROOM_LOG_KINDS)
		return refuse(ret_why, "a record is none that this version knows");
	for (const char *f = kinds[kind].fields; *f; f++)
		read_field(&c, *f, e);
	if (!dk_rd_done(&c))
		return refuse(ret_why, "a record is none that this version knows");
	if (!in_order(r, e))
		return refuse(ret_why, "a recording begins with what the node allows and the room, and its time goes on");
	r->sum = sum;
	return 0;
}

int room_log_next(struct room_log_reader *r, struct room_log_event *ret_event, const char **ret_why)
{
	struct dk_cursor all = dk_cursor_of(dk_slice_n(r->bytes.p + r->at, r->bytes.n - r->at));
	uint32_t length = dk_rd_left(&all) < 4 ? 0 : dk_rd_u32(&all), n = length & 0xffffff;
	struct room_log_event e = { 0 };
	int rc;

	if (is_zero(r, r->at))
		return DK_NOT_FOUND;
	if (r->bytes.n - r->at < 4 ? r->bytes.n < r->head.cap : in_two_sectors(r->at) && is_zero(r, r->at + 4)) {
		r->torn = true; /* not even its length is whole */
		return DK_NOT_FOUND;
	}
	if (!length)
		return refuse(ret_why, "there are bytes behind its end");
	if (length != with_check(n) || n < FIXED)
		return refuse(ret_why, "the length of a record was changed");
	if (is_torn(r, n)) {
		r->torn = true;
		return DK_NOT_FOUND;
	}
	if (n > dk_rd_left(&all))
		return refuse(ret_why, "a record is longer than the file, or too short to be one");
	rc = read_record(r, dk_slice_n(all.p, n), &e, ret_why);
	if (rc)
		return rc;
	r->at += 4 + n;
	r->t_ms = e.t_ms;
	r->n++;
	*ret_event = e;
	return 0;
}
