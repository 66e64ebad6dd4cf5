/* SPDX-License-Identifier: Apache-2.0 */
/*
 * more: as many sections {u32 length, bytes} as there are parts from ROOM_PART_TIMERS on, in their order. What a section says is
 * written, and read, by the file that keeps it. Whoever wants the same bytes twice pins the wall clock (struct rooms).
 *
 * Recordings hold checksums of all this: whoever says something else here, or in room_pack(), makes another version of their
 * layout (room_log.c).
 */
#include "room_dump.h"

#include <errno.h>

#include "room_sync.h"

enum { FIRST = ROOM_PART_TIMERS };

static const char *const own[] = {
	[ROOM_PART_STATES] = "room.states", [ROOM_PART_OBJECTS] = "room.objects", [ROOM_PART_CHAT] = "room.chat"
};

/* ---- timers ---- */

static void put_left(struct rooms *s, const struct dk_timer *t, struct dk_writer *w)
{
	uint64_t now = dk_now(s);

	/* in no time is in a millisecond where a timer says so */
	dk_wr_u32(w, dk_timer_armed(t) ? (uint32_t)(t->due_ms > now + 1 ? t->due_ms - now : 1) : 0);
}

static void timers_dump(struct rooms *s, const struct room *r, struct dk_writer *w)
{
	const struct room_sync *y = r->sync;
	struct dk_timer idle = { .fn = NULL };

	dk_wr_u8(w, r->phase);
	put_left(s, &r->tick, w);
	put_left(s, y ? &y->tick : &idle, w);
	put_left(s, y ? &y->lapse : &idle, w);
	put_left(s, y ? &y->greet : &idle, w);
}

static int timers_restore(struct rooms *s, struct room *r, struct dk_cursor *c)
{
	struct room_sync *y = r->sync;
	uint8_t phase = dk_rd_u8(c);
	uint32_t tick = dk_rd_u32(c), window = dk_rd_u32(c), lapse = dk_rd_u32(c), greet = dk_rd_u32(c);

	if (c->bad || phase > ROOM_FROZEN || ((window || lapse || greet) && !y))
		return -EPROTO;
	if (tick)
		room_relay_arm(s, r, tick);
	if (y)
		room_sync_arm_all(s, y, window, lapse, greet);
	if (phase == ROOM_FROZEN) {
		room_stand_still(s, r);
		r->ttl_left_ms -= r->ttl_left_ms != 0; /* it is that of a room which stood still */
	}
	return 0;
}

/* ---- all of it ---- */

typedef void dump_fn(struct rooms *s, const struct room *r, struct dk_writer *w);
typedef int restore_fn(struct rooms *s, struct room *r, struct dk_cursor *c);

/* Messages that wait come before the timers, which a frozen room's would push. */
static const struct {
	dump_fn *dump;
	restore_fn *restore;
} sections[ROOM_PART_COUNT - FIRST] = {
	[ROOM_PART_TIMERS - FIRST] = { timers_dump, timers_restore },
	[ROOM_PART_COMING - FIRST] = { room_coming_dump, room_coming_restore },
	[ROOM_PART_WINDOW - FIRST] = { room_window_dump, room_window_restore },
	[ROOM_PART_CLOCKS - FIRST] = { room_clocks_dump, room_clocks_restore },
	[ROOM_PART_PACE - FIRST] = { room_pace_dump, room_pace_restore },
	[ROOM_PART_WAITING - FIRST] = { room_waiting_dump, room_waiting_restore },
};

static void put_sections(struct rooms *s, const struct room *r, struct dk_writer *w)
{
	for (unsigned i = 0; i < DK_ARRAY_LEN(sections); i++) {
		uint8_t *at = dk_wr_take(w, 4);
		struct dk_writer length;

		sections[i].dump(s, r, w);
		if (w->bad)
			return;
		length = dk_writer_on(at, 4);
		dk_wr_u32(&length, (uint32_t)(w->p - at) - 4);
	}
}

int room_dump_take(struct rooms *s, struct room *r, struct room_dump *ret_dump)
{
	size_t cap = 8192;
	uint8_t *p;
	int rc = room_pack(s, r, &ret_dump->image);

	if (rc < 0)
		return rc;
	for (;; cap *= 2) {
		struct dk_writer w;

		if (cap > ROOM_IMAGE_MAX)
			return -EMSGSIZE;
		p = dk_alloc(s, cap);
		if (!p)
			return -ENOMEM;
		w = dk_writer_on(p, cap);
		put_sections(s, r, &w);
		if (!w.bad) {
			ret_dump->more = dk_written(&w);
			ret_dump->cap = cap;
			return 0;
		}
		dk_free(s, p, cap);
	}
}

void room_dump_free(struct rooms *s, struct room_dump *d)
{
	dk_free(s, (void *)(uintptr_t)d->more.p, d->cap);
}

int room_dump_restore(struct rooms *s, struct room *r, dk_slice more)
{
	struct dk_cursor c = dk_cursor_of(more), of[ROOM_PART_COUNT - FIRST];
	int rc = 0;

	for (unsigned i = 0; i < DK_ARRAY_LEN(sections); i++)
		of[i] = dk_cursor_of(dk_rd_bytes32(&c));
	if (!dk_rd_done(&c))
		return -EPROTO;
	for (unsigned i = DK_ARRAY_LEN(sections); i-- && rc == 0;) {
		rc = sections[i].restore(s, r, &of[i]);
		if (rc == 0 && !dk_rd_done(&of[i]))
			rc = -EPROTO;
	}
	return rc;
}

/* ---- parts ---- */

static uint64_t add_text(uint64_t sum, dk_slice s)
{
	uint64_t n = s.n;

	sum = (sum ^ n) * 0x9fb21c651e98df25u;
	return room_log_sum(sum, s.p, s.n);
}

static uint64_t settings_of(const struct room_image *m)
{
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u32(&w, m->epoch);
	dk_wr_u16(&w, m->max);
	dk_wr_u8(&w, m->allow_empty);
	dk_wr_u8(&w, m->replicas);
	dk_wr_u32(&w, m->interval_ms);
	dk_wr_u32(&w, m->ttl_s);
	dk_wr_u32(&w, m->ttl_left_ms);
	dk_wr_u32(&w, m->created_s);
	return add_text(room_log_sum(ROOM_LOG_SUM_FIRST, buf, (size_t)(w.p - buf)), m->former);
}

bool room_dump_is_other(dk_str name)
{
	for (unsigned i = 0; i < DK_ARRAY_LEN(own); i++)
		if (own[i] && dk_str_eq(dk_str_c(own[i]), name))
			return false;
	return true;
}

bool room_dump_part(dk_slice image, dk_str name, struct room_image_part *ret_part)
{
	struct room_image m;

	if (room_image_read(image, &m))
		return false;
	while (room_image_part(&m.parts, ret_part))
		if (dk_str_eq(ret_part->name, name))
			return true;
	return false;
}

void room_dump_parts(const struct room_dump *d, uint64_t ret_parts[ROOM_PART_COUNT])
{
	struct dk_cursor c = dk_cursor_of(d->more);
	struct room_image_part p;
	struct room_image m;

	memset(ret_parts, 0, ROOM_PART_COUNT * sizeof(*ret_parts));
	for (unsigned i = FIRST; i < ROOM_PART_COUNT; i++)
		ret_parts[i] = add_text(ROOM_LOG_SUM_FIRST, dk_rd_bytes32(&c));
	if (room_image_read(d->image, &m))
		return;
	ret_parts[ROOM_PART_SETTINGS] = settings_of(&m);
	ret_parts[ROOM_PART_MEMBERS] = add_text(add_text(ROOM_LOG_SUM_FIRST, m.members), dk_slice_of(m.owner));
	ret_parts[ROOM_PART_SEATS] = add_text(ROOM_LOG_SUM_FIRST, m.reserved);
	ret_parts[ROOM_PART_PROPS] = add_text(ROOM_LOG_SUM_FIRST, m.props);
	/* The order of parts is that in which a node's plugins said that they have some. */
	while (room_image_part(&m.parts, &p)) {
		unsigned at = 0;

		while (at < DK_ARRAY_LEN(own) && !(own[at] && dk_str_eq(dk_str_c(own[at]), p.name)))
			at++;
		ret_parts[at < DK_ARRAY_LEN(own) ? at : ROOM_PART_OTHERS] +=
			add_text(add_text(ROOM_LOG_SUM_FIRST + p.version, dk_slice_of(p.name)), p.bytes);
	}
}
