/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chat: short texts of members to all of them, with the time and who said them, and the last ones for those who ask. A text is
 * judged by its length, by how fast its sender speaks, and by whoever listens to `chatting`; then it is said to all, reliably and
 * in the order of the room's broadcasts, and remembered.
 *
 * The history is bounded in lines and bytes, so that it fits one answer; the oldest lines go first. It moves with its room as a
 * part of it. Copies of the room are told each line by itself, and have it before its sender is answered, or nearly: nobody waits
 * for that.
 *
 * How fast somebody speaks is kept by the slot of the user, for as long as the node lives, and forgotten with its next owner.
 */
#include <errno.h>

#include "room_state.h"

enum {
	HISTORY_BYTES = 48u << 10, /* as an answer has them */
	LINE_HEAD = 2 + 2 + 2 + 8, /* of a line in an answer: its own length, two more, the time */
	PACE_FIRST = 256,
	PART_VERSION = 1
};

struct room_chat_line {
	struct room_chat_line *next;
	uint64_t at_ms; /* unix */
	uint16_t uid_n, n;
	char bytes[]; /* the uid, then the text */
};

struct room_chat {
	struct room_chat_line *oldest, **tail;
	uint32_t n, bytes, limit; /* limit: lines */
};

/* A user may speak when the time of what it has said before is over, or nearly. */
struct room_pace {
	dk_id user;
	uint64_t spoken_until_ms;
};

static dk_str uid_of(const struct room_chat_line *l)
{
	return dk_str_n(l->bytes, l->uid_n);
}

static dk_str text_of(const struct room_chat_line *l)
{
	return dk_str_n(l->bytes + l->uid_n, l->n);
}

static uint32_t weight(const struct room_chat_line *l)
{
	return LINE_HEAD + l->uid_n + l->n;
}

/* ---- what is remembered ---- */

static struct room_chat *chat_of(struct rooms *s, struct room *r)
{
	if (r->chat)
		return r->chat;
	r->chat = dk_alloc(s, sizeof(*r->chat));
	if (r->chat)
		*r->chat = (struct room_chat){ .tail = &r->chat->oldest, .limit = (uint32_t)room_conf(s)->chat_history };
	return r->chat;
}

static void forget_until(struct rooms *s, struct room_chat *c, uint32_t lines, uint32_t bytes)
{
	while (c->n > lines || c->bytes > bytes) {
		struct room_chat_line *l = c->oldest;

		c->oldest = l->next;
		if (!c->oldest)
			c->tail = &c->oldest;
		c->n--;
		c->bytes -= weight(l);
		dk_free(s, l, sizeof(*l) + l->uid_n + l->n);
	}
}

int room_chat_remember(struct rooms *s, struct room *r, dk_str uid, dk_str text, uint64_t at_ms)
{
	struct room_chat *c = chat_of(s, r);
	struct room_chat_line *l;

	if (!c)
		return -ENOMEM;
	if (!c->limit)
		return 0;
	l = dk_alloc(s, sizeof(*l) + uid.n + text.n);
	if (!l)
		return -ENOMEM;
	l->next = NULL;
	l->at_ms = at_ms;
	l->uid_n = (uint16_t)uid.n;
	l->n = (uint16_t)text.n;
	if (uid.n)
		memcpy(l->bytes, uid.p, uid.n);
	memcpy(l->bytes + uid.n, text.p, text.n);
	*c->tail = l;
	c->tail = &l->next;
	c->n++;
	c->bytes += weight(l);
	forget_until(s, c, c->limit, HISTORY_BYTES);
	return 0;
}

void room_chat_free(struct rooms *s, struct room *r)
{
	if (!r->chat)
		return;
	forget_until(s, r->chat, 0, 0);
	dk_free(s, r->chat, sizeof(*r->chat));
	r->chat = NULL;
}

/* ---- how fast ---- */

static struct room_pace *pace_of(struct rooms *s, dk_id user)
{
	uint32_t slot = dk_id_slot(user), want = s->pace_n ? s->pace_n : PACE_FIRST;
	struct room_pace *p;

	while (want <= slot)
		want *= 2;
	if (slot >= s->pace_n) {
		p = dk_realloc(s, s->paces, (size_t)s->pace_n * sizeof(*p), (size_t)want * sizeof(*p));
		if (!p)
			return NULL;
		s->paces = p;
		s->pace_n = want;
	}
	p = &s->paces[slot];
	if (p->user != user)
		*p = (struct room_pace){ .user = user };
	return p;
}

/* A second's worth at once, then one by one. Returns 0, DK_ROOM_TOO_FAST or -ENOMEM. */
static int keep_pace(struct rooms *s, dk_id user)
{
	uint64_t rate = (uint64_t)room_conf(s)->chat_rate, now = dk_now(s), each;
	struct room_pace *p;

	if (!rate || !user)
		return 0;
	p = pace_of(s, user);
	if (!p)
		return -ENOMEM;
	each = 1000 / rate;
	if (p->spoken_until_ms < now)
		p->spoken_until_ms = now;
	if (p->spoken_until_ms + each > now + 1000)
		return DK_ROOM_TOO_FAST;
	p->spoken_until_ms += each;
	return 0;
}

uint32_t room_pace_ahead(struct rooms *s, dk_id user)
{
	uint32_t slot = dk_id_slot(user);
	const struct room_pace *p = user && slot < s->pace_n ? &s->paces[slot] : NULL;

	return p && p->user == user && p->spoken_until_ms > dk_now(s) ? (uint32_t)(p->spoken_until_ms - dk_now(s)) : 0;
}

void room_pace_set(struct rooms *s, dk_id user, uint32_t ahead_ms)
{
	struct room_pace *p = room_pace_ahead(s, user) == ahead_ms ? NULL : pace_of(s, user);

	if (p)
		p->spoken_until_ms = dk_now(s) + ahead_ms;
}

/* {u16 place among the members, u32 ms}* */
void room_pace_dump(struct rooms *s, const struct room *r, struct dk_writer *w)
{
	for (uint16_t i = 0; i < r->member_n; i++) {
		uint32_t ahead = room_pace_ahead(s, r->members[i]);

		if (!ahead)
			continue;
		dk_wr_u16(w, i);
		dk_wr_u32(w, ahead);
	}
}

int room_pace_restore(struct rooms *s, struct room *r, struct dk_cursor *c)
{
	while (dk_rd_left(c) && !c->bad) {
		uint16_t at = dk_rd_u16(c);
		uint32_t ahead = dk_rd_u32(c);

		if (c->bad || at >= r->member_n || ahead > 60000)
			return -EPROTO;
		room_pace_set(s, r->members[at], ahead);
	}
	return c->bad ? -EPROTO : 0;
}

void room_chat_fini(struct rooms *s)
{
	dk_free(s, s->paces, (size_t)s->pace_n * sizeof(*s->paces));
}

/* ---- the service ---- */

static int may_speak(const struct rooms *s, dk_id room, dk_id sender)
{
	if (!room_live(s, room))
		return room_why_not(s, room);
	return sender && room_store_of(&s->store, sender) != room ? DK_ROOM_NOT_MEMBER : 0;
}

/* Of one that is too long it is known that it was. */
static void record_chat(struct rooms *s, struct room *r, dk_id sender, dk_str text, uint64_t at_ms, int rc)
{
	size_t most = (size_t)room_conf(s)->max_chat + 1;

	room_record(s, r,
		    &(struct room_log_event){ .kind = ROOM_LOG_CHAT,
					      .uid = s->user->uid(s->user, sender),
					      .how = sender != 0,
					      .name = dk_str_n(text.p, text.n < most ? text.n : most),
					      .at_ms = at_ms,
					      .outcome = rc });
}

static int chat(struct rooms *s, dk_id room, dk_id sender, dk_str text)
{
	struct dk_room_chat ask = { .room = room, .sender = sender, .text = text };
	size_t cap = 2 + text.n + 2 + DK_UID_MAX + 8;
	struct dk_writer w;
	struct room *r;
	int rc = may_speak(s, room, sender);

	if (rc)
		return rc;
	if (!text.n)
		return DK_ROOM_BAD_PARAMS;
	if (text.n > (size_t)room_conf(s)->max_chat) {
		s->n.chat_refused++;
		return DK_TOO_LONG;
	}
	rc = keep_pace(s, sender);
	s->n.chat_refused += rc == DK_ROOM_TOO_FAST;
	if (rc)
		return rc;
	ask.uid = s->user->uid(s->user, sender);
	ask.at_ms = room_unix_ms(s);
	if (dk_ask(&s->svc.chatting, &ask)) {
		s->n.chat_refused++;
		return DK_ROOM_VETOED;
	}
	rc = may_speak(s, room, sender);
	if (rc)
		return rc;
	r = room_live(s, room);
	ask.uid = s->user->uid(s->user, sender);
	w = dk_writer_on(dk_scratch(s, cap), cap);
	if (!w.start || room_chat_remember(s, r, ask.uid, text, ask.at_ms))
		return -ENOMEM;
	room_copies_line(s, r, ask.uid, text, ask.at_ms);
	s->n.chats++;
	if (r->recorded)
		record_chat(s, r, sender, text, ask.at_ms, 0);
	room_push_chat_encode(&w, text, ask.uid, ask.at_ms);
	room_relay(s, r, ROOM_VER, ROOM_CMD_CHAT, dk_written(&w), true);
	return 0;
}

static int svc_chat(struct dk_room *svc, dk_id room, dk_id sender, dk_str text)
{
	struct rooms *s = rooms_of(svc);
	int rc = chat(s, room, sender, text);
	struct room *r = rc ? room_any(s, room) : NULL;

	if (r && r->recorded)
		record_chat(s, r, sender, text, room_unix_ms(s), rc);
	return rc;
}

static int chat_limit(struct rooms *s, dk_id room, uint32_t lines)
{
	struct room *r = room_live(s, room);
	struct room_chat *c;

	if (!r)
		return room_why_not(s, room);
	if (lines > DK_ROOM_CHAT_LINES_MAX)
		return DK_ROOM_BAD_PARAMS;
	c = chat_of(s, r);
	if (!c)
		return -ENOMEM;
	c->limit = lines;
	forget_until(s, c, c->limit, HISTORY_BYTES);
	room_touched(s, r);
	return 0;
}

static int svc_chat_limit(struct dk_room *svc, dk_id room, uint32_t lines)
{
	struct rooms *s = rooms_of(svc);

	return room_record_number(s, room, ROOM_LOG_CHAT_LIMIT, lines, chat_limit(s, room, lines));
}

static bool svc_next_chat(struct dk_room *svc, dk_id room, const void **at, struct dk_room_chat *ret_line)
{
	const struct rooms *s = rooms_of(svc);
	const struct room *r = room_any(s, room);
	const struct room_chat_line *l = *at;

	if (!r || !r->chat)
		return false;
	l = l ? l->next : r->chat->oldest;
	if (!l)
		return false;
	*at = l;
	*ret_line = (struct dk_room_chat){ .room = room, .uid = uid_of(l), .text = text_of(l), .at_ms = l->at_ms };
	ret_line->sender = s->user->by_uid(s->user, ret_line->uid);
	return true;
}

/* ---- commands ---- */

int room_on_chat(struct rooms *s, struct dk_call *call, dk_str text, dk_str id)
{
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	rc = s->svc.chat(&s->svc, room_named(s, id), call->user, text);
	if (rc == DK_ROOM_BAD_PARAMS)
		return dk_refuse(call, ROOM_E_OTHER, "message: expected 1 byte or more, found none");
	return rc ? room_refuse_named(call, ROOM_E_OTHER, rc, id) : room_on_chat_answer(call);
}

int room_on_chat_log(struct rooms *s, struct dk_call *call, dk_str id)
{
	struct dk_list list = { .n = 0 };
	const struct room *r;
	struct dk_writer w;
	dk_id room;
	int rc = room_as_member(s, call, id, &room);

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (rc)
		return room_refuse_named(call, ROOM_E_OTHER, rc, id);
	r = room_any(s, room);
	w = dk_writer_on(dk_scratch(s, r->chat ? r->chat->bytes + 1 : 1), r->chat ? r->chat->bytes : 0);
	if (!w.start)
		return -ENOMEM;
	for (const struct room_chat_line *l = r->chat ? r->chat->oldest : NULL; l; l = l->next) {
		dk_wr_u16(&w, (uint16_t)(weight(l) - 2));
		room_push_chat_encode(&w, text_of(l), uid_of(l), l->at_ms);
		list.n++;
	}
	list.bytes = dk_written(&w);
	return room_on_chat_log_answer(call, list);
}

/* ---- along with the room: u16 limit, {u64 time, u16 length, uid, u16 length, text}* ---- */

static int pack(void *self, dk_id room, struct dk_writer *w)
{
	const struct room *r = room_any(self, room);

	if (!r->chat)
		return DK_NOT_FOUND;
	dk_wr_u16(w, (uint16_t)r->chat->limit);
	for (const struct room_chat_line *l = r->chat->oldest; l; l = l->next) {
		dk_wr_u64(w, l->at_ms);
		dk_wr_bytes16(w, dk_slice_of(uid_of(l)));
		dk_wr_bytes16(w, dk_slice_of(text_of(l)));
	}
	return 0;
}

static int unpack(void *self, dk_id room, uint16_t version, dk_slice bytes)
{
	struct rooms *s = self;
	struct room *r = room_any(s, room);
	struct dk_cursor c = dk_cursor_of(bytes);
	struct room_chat *chat = version == PART_VERSION ? chat_of(s, r) : NULL;
	int rc = chat ? 0 : DK_REFUSED;

	if (chat)
		chat->limit = dk_rd_u16(&c);
	if (chat && chat->limit > DK_ROOM_CHAT_LINES_MAX)
		c.bad = true;
	while (rc == 0 && !c.bad && dk_rd_left(&c)) {
		uint64_t at_ms = dk_rd_u64(&c);
		dk_str uid = dk_str_of(dk_rd_bytes16(&c)), text = dk_str_of(dk_rd_bytes16(&c));

		if (!c.bad && text.n && uid.n <= DK_UID_MAX)
			rc = room_chat_remember(s, r, uid, text, at_ms);
		else
			c.bad = true;
	}
	return c.bad ? -EPROTO : rc;
}

static const struct dk_room_part part = { .name = "room.chat", .version = PART_VERSION, .pack = pack, .unpack = unpack };

int room_chat_init(struct rooms *s)
{
	s->svc.chat = svc_chat;
	s->svc.chat_limit = svc_chat_limit;
	s->svc.next_chat = svc_next_chat;
	return s->svc.carry(&s->svc, s, &part);
}
