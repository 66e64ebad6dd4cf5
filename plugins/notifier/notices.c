/* SPDX-License-Identifier: Apache-2.0 */
/* See notices.h. An ended notice keeps its id and nothing else; when there are too many such ids the oldest is forgotten. */
#include <errno.h>

#include "notices.h"

enum { KIND_LIVE = 1, KIND_DELETED = 2, FLAG_RELIABLE = 1 };

void notices_init(struct notices *s, void *self)
{
	s->self = self;
	s->live_tail = &s->live;
}

/* FNV-1a, finished as in splitmix64: ids are the application's own, so nobody gains by one that collides. */
uint64_t notice_mark(dk_str id)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < id.n; i++)
		h = (h ^ (uint8_t)id.p[i]) * 0x100000001b3u;
	h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
	h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
	return h ^ (h >> 31);
}

static struct notice *find(const struct notices *s, dk_str id)
{
	uint64_t mark = notice_mark(id);
	struct notice *n = s->buckets[mark % NOTICES_BUCKETS];

	while (n && (n->mark != mark || !dk_str_eq(notice_id(n), id)))
		n = n->chain;
	return n;
}

static void forget(struct notices *s, struct notice *n)
{
	struct notice **at = &s->buckets[n->mark % NOTICES_BUCKETS];

	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	*(n->prev ? &n->prev->next : &s->old) = n->next;
	*(n->next ? &n->next->prev : &s->young) = n->prev;
	s->ended_n--;
	dk_free(s->self, n, sizeof(*n) + n->id_n);
}

/* In the order of their ends, which is nearly that of their coming. */
static void remember(struct notices *s, struct notice *n, uint64_t until_ms)
{
	struct notice *before = s->young;

	n->seq = 0;
	n->ends_ms = until_ms;
	while (before && before->ends_ms > until_ms)
		before = before->prev;
	n->prev = before;
	n->next = before ? before->next : s->old;
	*(n->prev ? &n->prev->next : &s->old) = n;
	*(n->next ? &n->next->prev : &s->young) = n;
	s->ended_n++;
	while (s->ended_n > s->max_ids)
		forget(s, s->old);
}

static void end(struct notices *s, struct notice *n, uint64_t until_ms)
{
	struct notice **at = &s->live;

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	if (!*at)
		s->live_tail = at;
	s->live_n--;
	s->bytes -= n->block_n;
	dk_free(s->self, n->block, n->block_n + n->name_n);
	n->block = NULL;
	n->was = n->seq;
	remember(s, n, until_ms);
}

static struct notice *new_id(struct notices *s, dk_str id)
{
	struct notice *n = dk_alloc(s->self, sizeof(*n) + id.n);

	if (!n)
		return NULL;
	n->mark = notice_mark(id);
	n->id_n = (uint8_t)id.n;
	memcpy(n->id, id.p, id.n);
	return n;
}

static void chain(struct notices *s, struct notice *n)
{
	struct notice **at = &s->buckets[n->mark % NOTICES_BUCKETS];

	n->chain = *at;
	*at = n;
}

static int check(const struct notices *s, const struct dk_notice *n, uint64_t now_ms)
{
	const struct notice *known;

	if (!n->id.n || !n->message.n || !n->ttl_ms || n->ttl_ms > DK_NOTICE_TTL_MAX)
		return DK_NOTIFIER_BAD;
	if (n->id.n > DK_NOTICE_ID_MAX || n->name.n > DK_NOTICE_ID_MAX || n->message.n > DK_NOTICE_MESSAGE_MAX)
		return DK_TOO_LONG;
	known = find(s, n->id);
	if (known && (known->seq || known->ends_ms > now_ms))
		return DK_EXISTS;
	return s->live_n >= s->max || s->bytes + NOTE_HEAD + n->message.n > s->max_bytes ? DK_FULL : 0;
}

int notices_add(struct notices *s, const struct dk_notice *from, bool local, uint64_t now_ms)
{
	int rc = check(s, from, now_ms);
	struct dk_writer w;
	struct notice *n;

	if (rc)
		return rc;
	n = find(s, from->id);
	if (n) /* its time is over */
		forget(s, n);
	n = new_id(s, from->id);
	if (!n)
		return -ENOMEM;
	n->name_n = (uint8_t)from->name.n;
	n->block_n = (uint32_t)(NOTE_HEAD + from->message.n);
	n->block = dk_alloc(s->self, n->block_n + n->name_n);
	if (!n->block) {
		dk_free(s->self, n, sizeof(*n) + n->id_n);
		return -ENOMEM;
	}
	w = dk_writer_on(n->block, n->block_n + n->name_n);
	dk_wr_u16(&w, (uint16_t)n->block_n);
	dk_wr_u8(&w, from->ver);
	dk_wr_u16(&w, from->cmd);
	dk_wr_slice(&w, from->message);
	dk_wr_slice(&w, dk_slice_of(from->name));
	n->ver = from->ver;
	n->cmd = from->cmd;
	n->local = local;
	n->reliable = from->reliable || from->message.n > DK_NOTICE_NOTE_MAX;
	n->ends_ms = now_ms + from->ttl_ms;
	n->seq = ++s->last_seq;
	*s->live_tail = n;
	s->live_tail = &n->next;
	s->live_n++;
	s->bytes += n->block_n;
	chain(s, n);
	return 0;
}

int notices_delete(struct notices *s, dk_str id, uint64_t left_ms, uint64_t now_ms)
{
	struct notice *n = find(s, id);
	uint64_t until = now_ms + (left_ms > s->remember_ms ? left_ms : s->remember_ms);

	if (!id.n || id.n > DK_NOTICE_ID_MAX)
		return DK_NOT_FOUND;
	if (n && n->seq) {
		n->deleted = true;
		end(s, n, until > n->ends_ms + s->remember_ms ? until : n->ends_ms + s->remember_ms);
		return 0;
	}
	if (n) {
		n->deleted = true;
		return DK_NOT_FOUND;
	}
	n = new_id(s, id);
	if (!n)
		return -ENOMEM;
	n->deleted = true;
	chain(s, n);
	remember(s, n, until);
	return DK_NOT_FOUND;
}

uint64_t notices_left(const struct notices *s, dk_str id, uint64_t now_ms)
{
	const struct notice *n = find(s, id);

	return n && n->ends_ms > now_ms ? n->ends_ms - now_ms : 0;
}

unsigned notices_sweep(struct notices *s, uint64_t now_ms)
{
	unsigned ended = 0;

	for (struct notice *n = s->live, *next; n; n = next) {
		next = n->next;
		if (n->ends_ms <= now_ms) {
			end(s, n, n->ends_ms + s->remember_ms);
			ended++;
		}
	}
	while (s->old && s->old->ends_ms <= now_ms)
		forget(s, s->old);
	return ended;
}

const struct notice *notices_after(const struct notices *s, uint64_t seq, uint64_t now_ms)
{
	const struct notice *n = s->live;

	while (n && (n->seq <= seq || n->ends_ms <= now_ms))
		n = n->next;
	return n;
}

void notices_fini(struct notices *s)
{
	while (s->live)
		end(s, s->live, 0);
	while (s->old)
		forget(s, s->old);
}

/* ---- between nodes ---- */

static bool shared(const struct notice *n, uint64_t now_ms)
{
	return n->ends_ms > now_ms && (n->seq ? !n->local : n->deleted);
}

uint64_t notices_digest(const struct notices *s, uint64_t now_ms)
{
	uint64_t sum = 0;

	for (const struct notice *n = s->live; n; n = n->next)
		if (shared(n, now_ms))
			sum += n->mark | 1;
	for (const struct notice *n = s->old; n; n = n->next)
		if (shared(n, now_ms))
			sum += n->mark & ~(uint64_t)1;
	return sum;
}

size_t notice_record_size(const struct notice_record *r)
{
	return 1 + 1 + r->notice.id.n + 4 + (r->deleted ? 0 : 1 + 1 + r->notice.name.n + 1 + 2 + 2 + r->notice.message.n);
}

void notice_record_write(struct dk_writer *w, const struct notice_record *r)
{
	const struct dk_notice *n = &r->notice;

	dk_wr_u8(w, r->deleted ? KIND_DELETED : KIND_LIVE);
	dk_wr_bytes8(w, dk_slice_of(n->id));
	dk_wr_u32(w, n->ttl_ms);
	if (r->deleted)
		return;
	dk_wr_u8(w, n->reliable ? FLAG_RELIABLE : 0);
	dk_wr_bytes8(w, dk_slice_of(n->name));
	dk_wr_u8(w, n->ver);
	dk_wr_u16(w, n->cmd);
	dk_wr_bytes16(w, n->message);
}

bool notice_record_next(struct dk_cursor *c, struct notice_record *ret_record)
{
	struct notice_record r = { .deleted = false };
	struct dk_notice *n = &r.notice;
	uint8_t kind, flags;

	if (!dk_rd_left(c))
		return false;
	kind = dk_rd_u8(c);
	n->id = dk_str_of(dk_rd_bytes8(c));
	n->ttl_ms = dk_rd_u32(c);
	r.deleted = kind == KIND_DELETED;
	if (kind == KIND_LIVE) {
		flags = dk_rd_u8(c);
		n->reliable = flags == FLAG_RELIABLE;
		n->name = dk_str_of(dk_rd_bytes8(c));
		n->ver = dk_rd_u8(c);
		n->cmd = dk_rd_u16(c);
		n->message = dk_rd_bytes16(c);
		if (flags > FLAG_RELIABLE || n->name.n > DK_NOTICE_ID_MAX || !n->message.n || n->message.n > DK_NOTICE_MESSAGE_MAX)
			c->bad = true;
	} else if (kind != KIND_DELETED) {
		c->bad = true;
	}
	if (!n->id.n || n->id.n > DK_NOTICE_ID_MAX || !n->ttl_ms || n->ttl_ms > 2 * DK_NOTICE_TTL_MAX)
		c->bad = true;
	if (c->bad)
		return false;
	*ret_record = r;
	return true;
}

static struct notice_record record_of(const struct notice *n, uint64_t now_ms)
{
	struct notice_record r = { .notice = { .id = notice_id(n), .ttl_ms = (uint32_t)(n->ends_ms - now_ms) } };

	r.deleted = !n->seq;
	if (r.deleted)
		return r;
	r.notice.name = notice_name(n);
	r.notice.ver = n->ver;
	r.notice.cmd = n->cmd;
	r.notice.reliable = n->reliable;
	r.notice.message = notice_message(n);
	return r;
}

/* w NULL: only counts. */
static size_t each(const struct notice *n, uint64_t now_ms, struct dk_writer *w)
{
	size_t sum = 0;

	for (; n; n = n->next) {
		struct notice_record r;

		if (!shared(n, now_ms))
			continue;
		r = record_of(n, now_ms);
		sum += notice_record_size(&r);
		if (w)
			notice_record_write(w, &r);
	}
	return sum;
}

size_t notices_size(const struct notices *s, uint64_t now_ms)
{
	return each(s->live, now_ms, NULL) + each(s->old, now_ms, NULL);
}

void notices_write(const struct notices *s, uint64_t now_ms, struct dk_writer *w)
{
	each(s->live, now_ms, w);
	each(s->old, now_ms, w);
}
