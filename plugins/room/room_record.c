/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings: with `record`, what happens to a room is written into a file of its own, record_dir/ID.room, from which it can be
 * played again (diarkis-replay). The file is a fixed piece of memory that the system writes out by itself: recording is copying
 * bytes, and what a node recorded before it crashed is there. One that is full becomes ID.room.old, and the next one begins with
 * the room as it is.
 *
 * What was done is recorded, whoever did it: commands, code, timers, other nodes. What was refused changed nothing and is not.
 * Nothing in a room's state is drawn at random. After each callback in which the room changed a check of its state is written.
 * With the option off nothing here is called.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "room_log.h"
#include "room_state.h"

enum { PATH_BYTES = 512 };

struct room_recording {
	struct room_recording *next;
	dk_id room;
	struct room_log_writer log;
	uint64_t begun_ms;
	bool changed;
	char path[PATH_BYTES];
};

/* ---- files ---- */

static int map_file(struct rooms *s, struct room_recording *rec, const struct room *r)
{
	size_t cap = (size_t)room_conf(s)->record_bytes;
	int fd = open(rec->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;
	void *p;

	if (fd < 0)
		return -errno;
	/* a disk that is full is found here, not by a signal in the middle of a game */
	rc = -posix_fallocate(fd, 0, (off_t)cap);
	p = rc ? MAP_FAILED : mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		rc = rc ? rc : -errno;
		unlink(rec->path);
		close(fd);
		return rc;
	}
	close(fd);
	room_log_begin(&rec->log, p, cap, &r->id, dk_wall_ns(s) / 1000000000u);
	rec->begun_ms = dk_now(s);
	return 0;
}

static void unmap(struct room_recording *rec)
{
	if (rec->log.start)
		munmap(rec->log.start, rec->log.cap);
	rec->log.start = NULL;
}

static struct room_recording *recording(const struct rooms *s, dk_id room)
{
	const struct room *r = room_any(s, room);

	return r ? r->recording : NULL;
}

static void forget(struct rooms *s, struct room_recording *rec)
{
	struct room_recording **at = &s->recordings;
	struct room *r = room_any(s, rec->room);

	while (*at != rec)
		at = &(*at)->next;
	*at = rec->next;
	if (r && r->recording == rec)
		r->recording = NULL;
	unmap(rec);
	s->n.recordings--;
	dk_free(s, rec, sizeof(*rec));
}

static void give_up(struct rooms *s, struct room_recording *rec, int rc)
{
	s->n.record_failed++;
	dk_log(s, DK_WARN, "a room is recorded no more: %s: %s", rec->path, dk_err_text(rc));
	forget(s, rec);
}

/* The room ended well: nobody will ask what happened. */
static void discard(struct rooms *s, struct room_recording *rec)
{
	char old[PATH_BYTES + 4];

	if (!room_conf(s)->record_keep) {
		unlink(rec->path);
		snprintf(old, sizeof(old), "%s.old", rec->path);
		unlink(old);
	}
	forget(s, rec);
}

/* ---- records ---- */

static void begin_anew(struct rooms *s, struct room_recording *rec);

/* False: the recording is over, or has begun anew with what this would have said in it. */
static bool put(struct rooms *s, struct room_recording *rec, struct room_log_event *e)
{
	e->t_ms = dk_now(s) - rec->begun_ms;
	if (room_log_put(&rec->log, e))
		return true;
	begin_anew(s, rec);
	return false;
}

static uint16_t reserved_seats(const struct room *r)
{
	uint16_t n = 0;

	for (uint16_t i = 0; i < r->reserved_n; i++)
		n += (r->reserved[i].why & ROOM_RESERVED) != 0;
	return n;
}

static void check(struct rooms *s, struct room_recording *rec)
{
	const struct room *r = room_any(s, rec->room);
	struct room_log_event e = { .kind = ROOM_LOG_CHECK };

	rec->changed = false;
	e.hash = room_log_hash(&s->svc, s->user, rec->room, reserved_seats(r));
	put(s, rec, &e);
}

static void check_all(void *self, uint64_t unused)
{
	struct rooms *s = self;
	struct room_recording *next;

	(void)unused;
	s->checks_due = false;
	for (struct room_recording *rec = s->recordings; rec; rec = next) {
		next = rec->next;
		if (rec->changed)
			check(s, rec);
	}
}

/* Something changed: what came of it is looked at when this callback is over. */
static void record(struct rooms *s, dk_id room, struct room_log_event *e)
{
	struct room_recording *rec = recording(s, room);

	if (!rec || !put(s, rec, e))
		return;
	rec->changed = true;
	if (!s->checks_due)
		s->checks_due = dk_defer(s, check_all, 0) == 0;
}

/* ---- a room as it is ---- */

static bool put_members(struct rooms *s, struct room_recording *rec, const struct room *r)
{
	bool ok = true;

	for (uint16_t i = 0; i < r->member_n && ok; i++) {
		struct room_log_event e = { .kind = ROOM_LOG_JOIN, .uid = s->user->uid(s->user, r->members[i]) };

		ok = room_log_put(&rec->log, &e);
	}
	return ok;
}

static bool put_reserved(struct room_recording *rec, const struct room *r)
{
	bool ok = true;

	for (uint16_t i = 0; i < r->reserved_n && ok; i++) {
		uint8_t buf[2 + DK_UID_MAX];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));
		struct room_log_event e = { .kind = ROOM_LOG_RESERVE, .uids.n = 1 };

		if (!(r->reserved[i].why & ROOM_RESERVED))
			continue;
		dk_wr_bytes16(&w, dk_slice_n(r->reserved[i].uid, r->reserved[i].n));
		e.uids.bytes = dk_written(&w);
		ok = room_log_put(&rec->log, &e);
	}
	return ok;
}

static bool put_room(struct rooms *s, struct room_recording *rec, const struct room *r)
{
	struct room_log_event e = { .kind = ROOM_LOG_CREATE, .uid = s->user->uid(s->user, r->owner) };
	const void *at = NULL;
	bool ok;

	e.opts = (struct dk_room_opts){
		.max_members = r->max, .allow_empty = r->allow_empty, .ttl_s = r->ttl_s, .interval_ms = r->interval_ms
	};
	ok = room_log_put(&rec->log, &e) && put_members(s, rec, r) && put_reserved(rec, r);
	e = (struct room_log_event){ .kind = ROOM_LOG_SET };
	while (ok && s->svc.next_property(&s->svc, rec->room, &at, &e.name, &e.value))
		ok = room_log_put(&rec->log, &e);
	return ok;
}

static void begin_anew(struct rooms *s, struct room_recording *rec)
{
	const struct room *r = room_live(s, rec->room);
	char old[PATH_BYTES + 4];
	int rc;

	if (!r) { /* it ends or moves: there is nothing to begin with */
		give_up(s, rec, -ENOSPC);
		return;
	}
	unmap(rec);
	snprintf(old, sizeof(old), "%s.old", rec->path);
	rc = rename(rec->path, old) ? -errno : map_file(s, rec, r);
	if (rc == 0 && !put_room(s, rec, r))
		rc = -ENOSPC;
	if (rc) {
		give_up(s, rec, rc);
		return;
	}
	s->n.record_rounds++;
	rec->changed = true;
	if (!s->checks_due)
		s->checks_due = dk_defer(s, check_all, 0) == 0;
}

static void start(struct rooms *s, struct room *r, bool as_it_is)
{
	struct room_recording *rec;
	struct room_log_event e = { .kind = ROOM_LOG_CREATE, .uid = s->user->uid(s->user, r->owner) };
	int rc;

	if (r->recording || s->n.recordings >= room_conf(s)->record_rooms) {
		s->n.record_skipped++;
		return;
	}
	rec = dk_alloc(s, sizeof(*rec));
	if (!rec) {
		s->n.record_failed++;
		return;
	}
	rec->room = r->handle;
	snprintf(rec->path, sizeof(rec->path), "%s/%.*s.room", room_conf(s)->record_dir, DK_ID52_LEN, r->id.c);
	rec->next = s->recordings;
	s->recordings = rec;
	s->n.recordings++;
	r->recording = rec;
	rc = map_file(s, rec, r);
	if (rc) {
		give_up(s, rec, rc);
		return;
	}
	e.opts = (struct dk_room_opts){
		.max_members = r->max, .allow_empty = r->allow_empty, .ttl_s = r->ttl_s, .interval_ms = r->interval_ms
	};
	if (!as_it_is)
		record(s, rec->room, &e);
	else if (!put_room(s, rec, r))
		give_up(s, rec, -ENOSPC);
}

/* ---- what is told ---- */

static void on_created(struct rooms *s, const struct dk_room_event *ev)
{
	struct room *r = room_live(s, ev->room);

	if (r && !ev->moved)
		start(s, r, false);
}

static void on_migrated(struct rooms *s, const struct dk_room_migrated *ev)
{
	struct room *r = room_live(s, ev->room);

	if (r)
		start(s, r, true);
}

static void on_changed(struct rooms *s, const struct dk_room_member_event *ev)
{
	struct room_log_event e = { .kind = ev->change == DK_ROOM_MEMBER_ADDED ? ROOM_LOG_JOIN : ROOM_LOG_LEAVE,
				    .uid = s->user->uid(s->user, ev->user),
				    .reason = (uint8_t)ev->reason };

	if (ev->change == DK_ROOM_MEMBER_ADDED || ev->change == DK_ROOM_MEMBER_REMOVED)
		record(s, ev->room, &e);
}

static void on_property(struct rooms *s, const struct dk_room_property_event *ev)
{
	struct room_log_event e = { .kind = ev->value ? ROOM_LOG_SET : ROOM_LOG_UNSET, .name = ev->name };

	if (ev->value)
		e.value = *ev->value;
	record(s, ev->room, &e);
}

/* The way of every message: no check follows, for nothing has changed. */
static void on_announced(struct rooms *s, const struct dk_room_sent *ev)
{
	struct room_recording *rec = recording(s, ev->room);
	struct room_log_event e = { .kind = ROOM_LOG_SAY, .ver = ev->ver, .cmd = ev->cmd, .message = ev->message };

	if (!rec)
		return;
	if (ev->sender)
		e.uid = s->user->uid(s->user, ev->sender);
	put(s, rec, &e);
}

static void on_discarded(struct rooms *s, const struct dk_room_event *ev)
{
	const struct room *r = room_any(s, ev->room);
	struct room_recording *rec = recording(s, ev->room);
	struct room_log_event e = { .kind = ROOM_LOG_END };

	if (!rec)
		return;
	e.expired = !ev->moved && r->expired;
	e.t_ms = dk_now(s) - rec->begun_ms;
	room_log_put(&rec->log, &e);
	discard(s, rec);
}

/* ---- what is not told: these stand before the functions of the service ---- */

static void record_uids(struct rooms *s, dk_id room, enum room_log_kind kind, const dk_str *uids, size_t n)
{
	struct room_log_event e = { .kind = kind, .uids.n = (uint16_t)n };
	struct dk_writer w;
	size_t bytes = 0;

	if (!recording(s, room))
		return;
	for (size_t i = 0; i < n; i++)
		bytes += 2 + uids[i].n;
	w = dk_writer_on(dk_scratch(s, bytes), bytes);
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes16(&w, dk_slice_of(uids[i]));
	e.uids.bytes = dk_written(&w);
	if (w.bad)
		give_up(s, recording(s, room), -ENOMEM);
	else
		record(s, room, &e);
}

static int record_reserve(struct dk_room *svc, dk_id room, dk_id by, const dk_str *uids, size_t n, bool must_be_owner)
{
	struct rooms *s = rooms_of(svc);
	int rc = s->unrecorded.reserve(svc, room, by, uids, n, must_be_owner);

	if (rc == 0)
		record_uids(s, room, ROOM_LOG_RESERVE, uids, n);
	return rc;
}

static int record_cancel(struct dk_room *svc, dk_id room, dk_id by, const dk_str *uids, size_t n, bool must_be_owner)
{
	struct rooms *s = rooms_of(svc);
	int rc = s->unrecorded.cancel(svc, room, by, uids, n, must_be_owner);

	if (rc == 0)
		record_uids(s, room, ROOM_LOG_CANCEL, uids, n);
	return rc;
}

/* What lets the time of an empty room begin anew. */
static void record_ttl(struct rooms *s, dk_id room)
{
	const struct room *r = room_any(s, room);
	struct room_log_event e = { .kind = ROOM_LOG_TTL };

	if (!r)
		return;
	e.opts.ttl_s = r->ttl_s;
	record(s, room, &e);
}

static int record_change_ttl(struct dk_room *svc, dk_id room, uint32_t ttl_s)
{
	struct rooms *s = rooms_of(svc);
	int rc = s->unrecorded.change_ttl(svc, room, ttl_s);

	if (rc == 0)
		record_ttl(s, room);
	return rc;
}

static int record_incr(struct dk_room *svc, dk_id room, dk_str name, int64_t delta, int64_t *ret_value)
{
	struct rooms *s = rooms_of(svc);
	int rc = s->unrecorded.incr(svc, room, name, delta, ret_value);

	if (rc == 0 && room_any(s, room) && dk_timer_armed(&room_any(s, room)->ttl))
		record_ttl(s, room);
	return rc;
}

/* ---- the whole ---- */

int room_record_init(struct rooms *s)
{
	struct dk_room *svc = &s->svc;
	int rc;

	if (!room_conf(s)->record)
		return 0;
	s->unrecorded.reserve = svc->reserve;
	s->unrecorded.cancel = svc->cancel_reservation;
	s->unrecorded.change_ttl = svc->change_ttl;
	s->unrecorded.incr = svc->incr;
	svc->reserve = record_reserve;
	svc->cancel_reservation = record_cancel;
	svc->change_ttl = record_change_ttl;
	svc->incr = record_incr;
	rc = dk_connect(s, &svc->created, on_created);
	if (rc == 0)
		rc = dk_connect(s, &svc->migrated, on_migrated);
	if (rc == 0)
		rc = dk_connect(s, &svc->changed, on_changed);
	if (rc == 0)
		rc = dk_connect(s, &svc->property_changed, on_property);
	if (rc == 0)
		rc = dk_connect(s, &svc->announced, on_announced);
	if (rc == 0)
		rc = dk_connect(s, &svc->discarded, on_discarded);
	return rc;
}

void room_record_configure(const struct room_conf *c, struct dk_report *rep)
{
	if (!c->record)
		return;
	if (!c->record_dir)
		dk_report(rep, "record", "record needs record_dir, the folder that recordings are written to");
	else if (strlen(c->record_dir) + DK_ID52_LEN + sizeof("/.room.old") > PATH_BYTES)
		dk_report(rep, "record_dir", "the path of recordings has %d characters at most, and this one is longer",
			  (int)(PATH_BYTES - DK_ID52_LEN - sizeof("/.room.old")));
}

void room_record_fini(struct rooms *s)
{
	while (s->recordings)
		discard(s, s->recordings);
}
