/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings: with `record`, what happens to a room is written into a file of its own, record_dir/ID.room, from which it can be
 * played again (diarkis-replay). The file is a fixed piece of memory that the system writes out by itself: recording is copying
 * bytes, and what a node recorded before it crashed is there. One that is full becomes ID.room.old, and the next one begins with
 * the room as it is; so does that of a room that came from another node.
 *
 * Every input of a room is recorded where it takes effect, or is refused, in the order of effects: commands, functions of the
 * service whoever calls them, users who come and go, timers when they run, seats kept for other nodes. A filter's verdict is
 * part of the outcome. Nothing in a room's state is drawn at random. What plugins keep of a room is none of its own doing: it is
 * recorded as it is, whenever it is found to be different. After each callback in which the room changed a checksum is written of
 * every part of it (room_dump.c) that changed.
 *
 * With the option off r->recorded is false, and that is all that is looked at.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "room_dump.h"

enum { PATH_BYTES = 512 };

/* What a plugin kept of the room when it was recorded last. */
struct other {
	uint64_t name, sum; /* checksums */
	bool seen;
};

struct room_recording {
	struct room_recording *next;
	dk_id room;
	struct room_log_writer log;
	uint64_t begun_ms, begun_unix_ms;
	uint64_t parts[ROOM_PART_COUNT]; /* as they were checked last */
	struct other others[ROOM_PARTS_MAX];
	bool changed;
	bool anew; /* it goes on in a new file, with the room as it is after this callback */
	char path[PATH_BYTES];
};

/* ---- files ---- */

/* Whether one more file fits what record_dir may hold. */
static bool fits(const struct rooms *s)
{
	return s->n.record_bytes + room_conf(s)->record_bytes <= room_conf(s)->record_max;
}

static void remove_file(struct rooms *s, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && unlink(path) == 0)
		s->n.record_bytes -= st.st_size;
}

/* Files of nodes that crashed count too: nobody but people removes them. */
static void measure_folder(struct rooms *s)
{
	DIR *dir = opendir(room_conf(s)->record_dir);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir)))
		if (strstr(entry->d_name, ".room") && fstatat(dirfd(dir), entry->d_name, &st, 0) == 0)
			s->n.record_bytes += st.st_size;
	if (dir)
		closedir(dir);
}

static int map_file(struct rooms *s, struct room_recording *rec, const struct room *r)
{
	size_t cap = (size_t)room_conf(s)->record_bytes;
	int fd = open(rec->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;
	struct room_log_head head = { .id = r->id, .grid = r->grid, .unix_ms = room_unix_ms(s), .now_ms = dk_now(s) };
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
	s->n.record_bytes += (int64_t)cap;
	room_log_begin(&rec->log, p, cap, &head);
	rec->begun_ms = head.now_ms;
	rec->begun_unix_ms = head.unix_ms;
	memset(rec->parts, 0, sizeof(rec->parts));
	memset(rec->others, 0, sizeof(rec->others));
	return 0;
}

static void unmap(struct room_recording *rec)
{
	if (rec->log.start)
		munmap(rec->log.start, rec->log.cap);
	rec->log.start = NULL;
}

static void forget(struct rooms *s, struct room_recording *rec)
{
	struct room_recording **at = &s->recordings;
	struct room *r = room_any(s, rec->room);

	while (*at != rec)
		at = &(*at)->next;
	*at = rec->next;
	if (r && r->recording == rec) {
		r->recording = NULL;
		r->recorded = false;
	}
	unmap(rec);
	s->n.recordings--;
	dk_free(s, rec, sizeof(*rec));
}

static void give_up(struct rooms *s, struct room_recording *rec, int rc)
{
	s->n.record_failed++;
	dk_log(s, DK_WARN, "a room is recorded no more: %s: %s", rec->path,
	       rc == -EMSGSIZE ? "the room alone takes more than record_bytes" : dk_err_text(rc));
	forget(s, rec);
}

static void old_path(const struct room_recording *rec, char path[PATH_BYTES + 4])
{
	snprintf(path, PATH_BYTES + 4, "%s.old", rec->path);
}

/* The room ended well: nobody will ask what happened. */
static void discard(struct rooms *s, struct room_recording *rec)
{
	char old[PATH_BYTES + 4];

	if (!room_conf(s)->record_keep) {
		old_path(rec, old);
		remove_file(s, rec->path);
		remove_file(s, old);
	}
	forget(s, rec);
}

/* ---- records ---- */

static bool put(struct rooms *s, struct room_recording *rec, struct room_log_event *e)
{
	e->t_ms = dk_now(s) - rec->begun_ms;
	return room_log_put(&rec->log, e);
}

static bool put_conf(struct rooms *s, struct room_recording *rec)
{
	const struct room_conf *c = room_conf(s);
	struct room_log_event e = { .kind = ROOM_LOG_CONF };

	e.conf = (struct room_log_conf){ .max_message = (uint32_t)c->max_message,
					 .max_chat = (uint32_t)c->max_chat,
					 .chat_history = (uint32_t)c->chat_history,
					 .chat_rate = (uint32_t)c->chat_rate,
					 .max_states = (uint32_t)c->max_states,
					 .state_interval_ms = (uint32_t)c->state_interval_ms,
					 .compat_interval = c->compat_interval };
	return put(s, rec, &e);
}

/* The same bytes whenever the same is recorded, whatever the wall clock does. */
static int dump(struct rooms *s, const struct room_recording *rec, struct room *r, struct room_dump *ret_dump)
{
	int rc;

	s->wall_ms = rec->begun_unix_ms + (dk_now(s) - rec->begun_ms);
	rc = room_dump_take(s, r, ret_dump);
	s->wall_ms = 0;
	return rc;
}

static struct other *other_of(struct room_recording *rec, dk_str name)
{
	uint64_t sum = room_log_sum(ROOM_LOG_SUM_FIRST, name.p, name.n);
	unsigned i = 0;

	while (i < ROOM_PARTS_MAX - 1 && rec->others[i].name && rec->others[i].name != sum)
		i++;
	rec->others[i].name = sum;
	return &rec->others[i];
}

/* What plugins keep of it, as far as that is different. known: it is in the file already. */
static bool put_others(struct rooms *s, struct room_recording *rec, const struct room_dump *d, bool known)
{
	struct room_log_event e = { .kind = ROOM_LOG_PART };
	struct room_image_part p;
	struct room_image m;
	bool ok = room_image_read(d->image, &m) == 0;

	for (unsigned i = 0; i < ROOM_PARTS_MAX; i++)
		rec->others[i].seen = false;
	while (ok && room_image_part(&m.parts, &p)) {
		struct other *o;
		uint64_t sum = room_log_sum(ROOM_LOG_SUM_FIRST + p.version, p.bytes.p, p.bytes.n);

		if (!room_dump_is_other(p.name))
			continue;
		o = other_of(rec, p.name);
		o->seen = true;
		if (o->sum != sum && !known) {
			e.name = p.name;
			e.number = p.version + 1u;
			e.bytes = p.bytes;
			ok = put(s, rec, &e);
		}
		o->sum = sum;
	}
	for (uint16_t i = 0; i < s->part_n && ok; i++) {
		dk_str name = dk_str_c(s->parts[i]->part->name);
		struct other *o = room_dump_is_other(name) ? other_of(rec, name) : NULL;

		if (!o || o->seen || !o->sum)
			continue;
		o->sum = 0;
		e = (struct room_log_event){ .kind = ROOM_LOG_PART, .name = name };
		ok = known || put(s, rec, &e);
	}
	return ok;
}

static bool put_check(struct rooms *s, struct room_recording *rec, const struct room_dump *d)
{
	struct room_log_event e = { .kind = ROOM_LOG_CHECK };

	room_dump_parts(d, e.parts);
	for (unsigned i = 0; i < ROOM_PART_COUNT; i++)
		if (e.parts[i] != rec->parts[i])
			e.mask = (uint16_t)(e.mask | 1u << i);
	memcpy(rec->parts, e.parts, sizeof(rec->parts));
	return put(s, rec, &e);
}

/* ---- a room as it is ---- */

static bool put_room(struct rooms *s, struct room_recording *rec, const struct room_dump *d)
{
	struct room_log_event e = { .kind = ROOM_LOG_STATE, .bytes = d->image, .more = d->more };

	return put_conf(s, rec) && put(s, rec, &e) && put_others(s, rec, d, true) && put_check(s, rec, d);
}

/* The file that is full makes place for the next one; it stays beside it if there is space for both. */
static int next_file(struct rooms *s, struct room_recording *rec, const struct room *r)
{
	char old[PATH_BYTES + 4];

	if (rec->log.at == ROOM_LOG_HEAD)
		return 0; /* nothing is in it yet */
	unmap(rec);
	old_path(rec, old);
	remove_file(s, old);
	if (!fits(s))
		remove_file(s, rec->path);
	else if (rename(rec->path, old))
		return -errno;
	s->n.record_rounds++;
	return map_file(s, rec, r);
}

static void begin_anew(struct rooms *s, struct room_recording *rec)
{
	struct room *r = room_any(s, rec->room);
	struct room_dump d;
	int rc;

	rec->anew = rec->changed = false;
	rc = next_file(s, rec, r);
	if (rc == 0)
		rc = dump(s, rec, r, &d);
	if (rc) {
		give_up(s, rec, rc);
		return;
	}
	if (!put_room(s, rec, &d))
		rc = -EMSGSIZE;
	room_dump_free(s, &d);
	if (rc)
		give_up(s, rec, rc);
}

static void check(struct rooms *s, struct room_recording *rec)
{
	struct room *r = room_any(s, rec->room);
	struct room_dump d;
	int rc;

	rec->changed = false;
	rc = dump(s, rec, r, &d);
	if (rc) {
		give_up(s, rec, rc);
		return;
	}
	rec->anew = !put_others(s, rec, &d, false) || !put_check(s, rec, &d);
	room_dump_free(s, &d);
	if (rec->anew)
		begin_anew(s, rec);
}

static void check_all(void *self, uint64_t unused)
{
	struct rooms *s = self;
	struct room_recording *next;

	(void)unused;
	s->checks_due = false;
	for (struct room_recording *rec = s->recordings; rec; rec = next) {
		next = rec->next;
		if (rec->anew)
			begin_anew(s, rec);
		else if (rec->changed)
			check(s, rec);
	}
}

/* What came of it is looked at when this callback is over. */
static void look_later(struct rooms *s)
{
	if (!s->checks_due)
		s->checks_due = dk_defer(s, check_all, 0) == 0;
}

void room_record(struct rooms *s, struct room *r, const struct room_log_event *e)
{
	struct room_recording *rec = r->recording;
	struct room_log_event ev;

	if (!rec->anew) {
		ev = *e;
		rec->anew = !put(s, rec, &ev);
		rec->changed |= e->kind != ROOM_LOG_SEND && (e->kind != ROOM_LOG_SAY || r->interval_ms);
	}
	if (rec->anew || rec->changed)
		look_later(s);
}

/* ---- beginnings ---- */

static int open_first(struct rooms *s, struct room_recording *rec, const struct room *r)
{
	const char *dir = room_conf(s)->record_dir;
	int rc;

	snprintf(rec->path, sizeof(rec->path), "%s/%.*s.room", dir, DK_ID52_LEN, r->id.c);
	rc = map_file(s, rec, r);
	if (rc != -EEXIST)
		return rc;
	/* Of the node that had the room before, and died: it is left to people. */
	snprintf(rec->path, sizeof(rec->path), "%s/%.*s.%u.room", dir, DK_ID52_LEN, r->id.c, r->epoch);
	return map_file(s, rec, r);
}

static struct room_recording *start(struct rooms *s, struct room *r)
{
	struct room_recording *rec;
	int rc;

	if (r->recording || s->n.recordings >= room_conf(s)->record_rooms) {
		s->n.record_skipped++;
		return NULL;
	}
	if (!fits(s)) {
		s->n.record_full++;
		return NULL;
	}
	rec = dk_alloc(s, sizeof(*rec));
	if (!rec) {
		s->n.record_failed++;
		return NULL;
	}
	rec->room = r->handle;
	rec->next = s->recordings;
	s->recordings = rec;
	s->n.recordings++;
	r->recording = rec;
	r->recorded = true;
	rc = open_first(s, rec, r);
	if (rc == 0)
		return rec;
	give_up(s, rec, rc);
	return NULL;
}

static void on_created(struct rooms *s, const struct dk_room_event *ev)
{
	struct room *r = room_live(s, ev->room);
	struct room_recording *rec = r && !ev->moved ? start(s, r) : NULL;
	struct room_log_event e = { .kind = ROOM_LOG_CREATE };

	if (!rec)
		return;
	e.uid = s->user->uid(s->user, r->owner);
	e.at_ms = r->created_s * 1000ull;
	e.opts = *s->making;
	if (put_conf(s, rec))
		room_record(s, r, &e);
}

/* It begins with the whole room, once all of it is here. */
static void on_migrated(struct rooms *s, const struct dk_room_migrated *ev)
{
	struct room *r = room_live(s, ev->room);
	struct room_recording *rec = r ? start(s, r) : NULL;

	if (!rec)
		return;
	rec->anew = true;
	look_later(s);
}

/* ---- who comes and goes ---- */

static void on_changed(struct rooms *s, const struct dk_room_member_event *ev)
{
	struct room *r = room_any(s, ev->room);
	struct room_log_event e = { .kind = ev->change == DK_ROOM_MEMBER_ADDED ? ROOM_LOG_JOIN : ROOM_LOG_LEAVE,
				    .how = (uint8_t)ev->reason };

	if (!r || !r->recorded || ev->change == DK_ROOM_PROPERTIES_CHANGED)
		return;
	if (e.kind == ROOM_LOG_JOIN && room_is_coming(s, ev->user))
		return; /* room_sit() has said so */
	e.uid = s->user->uid(s->user, ev->user);
	e.number = room_pace_ahead(s, ev->user);
	room_record(s, r, &e);
}

/* Whoever made a room owns it until somebody joins, unless it goes before. */
static void on_user_discarded(struct rooms *s, const struct dk_user_discarded *ev)
{
	for (struct room_recording *rec = s->recordings; rec; rec = rec->next) {
		struct room *r = room_any(s, rec->room);

		if (r->owner == ev->user && room_store_of(&s->store, ev->user) != r->handle)
			room_record(s, r,
				    &(struct room_log_event){ .kind = ROOM_LOG_GONE, .uid = s->user->uid(s->user, ev->user) });
	}
}

void room_record_end(struct rooms *s, struct room *r, enum room_log_end how)
{
	struct room_recording *rec = r->recording;
	struct room_log_event e = { .kind = ROOM_LOG_END, .how = (uint8_t)how };

	if (rec->anew && room_conf(s)->record_keep) {
		begin_anew(s, rec);
		rec = r->recording;
	}
	if (!rec)
		return;
	put(s, rec, &e);
	discard(s, rec);
}

/* ---- what others record ---- */

struct dk_list room_record_uids(struct rooms *s, const dk_str *uids, size_t n)
{
	size_t bytes = 0;
	struct dk_writer w;

	n = n > UINT16_MAX ? UINT16_MAX : n;
	for (size_t i = 0; i < n; i++)
		bytes += 2 + uids[i].n;
	w = dk_writer_on(dk_scratch(s, bytes + 1), bytes);
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes16(&w, dk_slice_of(uids[i]));
	return (struct dk_list){ dk_written(&w), w.bad || !w.start ? 0 : (uint16_t)n };
}

struct dk_list room_record_users(struct rooms *s, const dk_id *users, size_t n)
{
	dk_str *uids = dk_scratch(s, n * sizeof(*uids) + 1);

	for (size_t i = 0; uids && i < n; i++)
		uids[i] = s->user->uid(s->user, users[i]);
	return room_record_uids(s, uids, uids ? n : 0);
}

int room_record_number(struct rooms *s, dk_id room, enum room_log_kind kind, uint32_t number, int rc)
{
	struct room *r = room_any(s, room);

	if (r && r->recorded)
		room_record(s, r, &(struct room_log_event){ .kind = kind, .number = number, .outcome = rc });
	return rc;
}

int room_record_refusal(struct rooms *s, dk_id room, dk_id user, enum room_log_refusal how, int rc)
{
	struct room *r = room_any(s, room);

	if (r && r->recorded)
		room_record(s, r,
			    &(struct room_log_event){ .kind = ROOM_LOG_REFUSE,
						      .uid = s->user->uid(s->user, user),
						      .how = (uint8_t)how,
						      .outcome = rc });
	return rc;
}

static void put_message(struct rooms *s, struct room *r, struct room_log_event *e, dk_id sender, dk_slice message)
{
	size_t most = (size_t)room_conf(s)->max_message + 1; /* of one that is too long it is known that it was */

	e->uid = s->user->uid(s->user, sender);
	e->bytes = dk_slice_n(message.p, message.n < most ? message.n : most);
	room_record(s, r, e);
}

int room_record_say(struct rooms *s, dk_id room, dk_id sender, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable, int rc)
{
	struct room_log_event e = { .kind = ROOM_LOG_SAY, .ver = ver, .cmd = cmd, .outcome = rc };
	struct room *r = room_any(s, room);

	e.how = (uint8_t)(reliable | (sender != 0) << 1);
	if (r && r->recorded)
		put_message(s, r, &e, sender, message);
	return rc;
}

int room_record_send(struct rooms *s, dk_id room, dk_id sender, const dk_id *to, size_t n, uint8_t ver, uint16_t cmd,
		     dk_slice message, bool reliable, int rc)
{
	struct room_log_event e = { .kind = ROOM_LOG_SEND, .ver = ver, .cmd = cmd, .outcome = rc };
	struct room *r = room_any(s, room);

	if (!r || !r->recorded)
		return rc;
	e.how = (uint8_t)(reliable | (sender != 0) << 1);
	e.uids = room_record_users(s, to, n);
	put_message(s, r, &e, sender, message);
	return rc;
}

/* ---- the whole ---- */

int room_record_init(struct rooms *s)
{
	struct dk_room *svc = &s->svc;
	int rc;

	if (!room_conf(s)->record)
		return 0;
	measure_folder(s);
	rc = dk_connect(s, &svc->created, on_created);
	if (rc == 0)
		rc = dk_connect(s, &svc->migrated, on_migrated);
	if (rc == 0)
		rc = dk_connect(s, &svc->changed, on_changed);
	if (rc == 0)
		rc = dk_connect(s, &s->user->discarded, on_user_discarded);
	return rc;
}

void room_record_reload(struct rooms *s)
{
	struct room_recording *next;

	for (struct room_recording *rec = s->recordings; rec; rec = next) {
		next = rec->next;
		if (!rec->anew && !put_conf(s, rec)) {
			rec->anew = true;
			look_later(s);
		}
	}
}

void room_record_configure(const struct room_conf *c, struct dk_report *rep)
{
	if (!c->record)
		return;
	if (!c->record_dir)
		dk_report(rep, "record", "record needs record_dir, the folder that recordings are written to");
	else if (strlen(c->record_dir) + DK_ID52_LEN + sizeof("/.4294967295.room.old") > PATH_BYTES)
		dk_report(rep, "record_dir", "the path of recordings has %d characters at most, and this one is longer",
			  (int)(PATH_BYTES - DK_ID52_LEN - sizeof("/.4294967295.room.old")));
	if (c->record_max < c->record_bytes)
		dk_report(rep, "record_max_bytes", "no recording of record_bytes, %lld, fits into record_max_bytes, %lld",
			  (long long)c->record_bytes, (long long)c->record_max);
}

void room_record_fini(struct rooms *s)
{
	while (s->recordings) {
		struct room *r = room_any(s, s->recordings->room);

		room_record_end(s, r, ROOM_END_NODE);
	}
}
