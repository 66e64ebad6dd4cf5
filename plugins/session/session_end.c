/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How sessions of this node end, for good or because they live on elsewhere; and their ticks, which are names and intervals, so
 * that they go on wherever the session goes.
 */
#include "session_state.h"

/* ---- ticks ---- */

static void on_tick(void *self, struct dk_timer *t)
{
	struct session_tick *tick = dk_container_of(t, struct session_tick, timer);
	struct dk_session_tick_event ev = { tick->session, dk_str_n(tick->name, tick->name_n) };
	struct sessions *s = self;
	const struct session *ss = session_store_get(&s->store, tick->session);

	if (ss->phase == SESSION_LIVE)
		dk_emit(&s->svc.ticked, &ev);
}

static struct session_tick **find_tick(struct session *ss, dk_str name)
{
	struct session_tick **at = &ss->ticks;

	while (*at && !dk_str_eq(dk_str_n((*at)->name, (*at)->name_n), name))
		at = &(*at)->next;
	return at;
}

int session_tick_start(struct sessions *s, struct session *ss, dk_str name, uint32_t interval_s)
{
	struct session_tick *tick;
	unsigned n = 0;

	if (!name.n || name.n > UINT8_MAX || !interval_s || interval_s > UINT32_MAX / 1000)
		return -EINVAL;
	if (*find_tick(ss, name))
		return 0;
	for (tick = ss->ticks; tick; tick = tick->next)
		n++;
	if (n >= DK_SESSION_TICKS_MAX)
		return DK_FULL;
	tick = dk_alloc(s, sizeof(*tick) + name.n);
	if (!tick)
		return -ENOMEM;
	tick->session = ss->handle;
	tick->interval_s = interval_s;
	tick->name_n = (uint8_t)name.n;
	memcpy(tick->name, name.p, name.n);
	*find_tick(ss, name) = tick; /* behind the last one */
	dk_timer_start(s, &tick->timer, (uint64_t)interval_s * 1000, interval_s * 1000, on_tick);
	return 0;
}

static void tick_free(struct sessions *s, struct session_tick *tick)
{
	dk_timer_stop(&tick->timer);
	dk_free(s, tick, sizeof(*tick) + tick->name_n);
}

/* Its listeners may do anything. */
static void tick_end(struct sessions *s, struct session_tick *tick)
{
	struct dk_session_tick_event ev = { tick->session, dk_str_n(tick->name, tick->name_n) };

	dk_timer_stop(&tick->timer);
	dk_emit(&s->svc.tick_stopped, &ev);
	tick_free(s, tick);
}

int session_tick_stop(struct sessions *s, struct session *ss, dk_str name)
{
	struct session_tick **at = find_tick(ss, name), *all, *tick;

	if (!name.n) {
		all = ss->ticks;
		ss->ticks = NULL;
		while ((tick = all)) {
			all = tick->next;
			tick_end(s, tick);
		}
		return 0;
	}
	tick = *at;
	if (!tick)
		return DK_NOT_FOUND;
	*at = tick->next;
	tick_end(s, tick);
	return 0;
}

/* ---- ends ---- */

void session_free(struct sessions *s, struct session *ss)
{
	dk_timer_stop(&ss->ttl);
	for (struct session_tick *tick = ss->ticks, *next; tick; tick = next) {
		next = tick->next;
		tick_free(s, tick);
	}
	session_store_remove(&s->store, ss);
	session_gauges(s);
	session_drain_look(s);
}

/* To each node with members, so that it forgets or follows. */
static void update(struct sessions *s, const struct session *ss, enum session_update what, uint32_t epoch, dk_slice more)
{
	uint8_t buf[2 + DK_SESSION_ID_LEN + 5 + SESSION_ADDR_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	session_on_update_pack(&w, session_id_text(&ss->id), (uint8_t)what, epoch, more);
	for (uint32_t i = 0; i < ss->spot_n; i++)
		if (ss->spots[i].n)
			session_send(s, &ss->spots[i].addr, SESSION_NODE_UPDATE, dk_written(&w));
}

void session_end(struct sessions *s, struct session *ss, enum dk_session_reason reason)
{
	struct dk_session_event ev = { ss->handle, &ss->id, ss->type, false };
	struct dk_session_member_event left = { ss->handle, &ss->id, ss->type, { NULL, 0 }, 0, reason };
	uint8_t why = (uint8_t)reason;

	if (ss->phase == SESSION_ENDING)
		return;
	ss->phase = SESSION_ENDING;
	dk_emit(&s->svc.deleting, &ev);
	session_tick_stop(s, ss, dk_str_n(NULL, 0));
	update(s, ss, SESSION_HAS_ENDED, ss->epoch, dk_slice_n(&why, 1));
	for (uint32_t i = 0; i < ss->n; i++) {
		left.uid = session_member_uid(ss->places[i].m);
		left.members = (uint16_t)(ss->n - i - 1);
		s->n.left++;
		dk_emit(&s->svc.left, &left);
	}
	s->n.deleted++;
	dk_emit(&s->svc.deleted, &ev);
	session_free(s, ss);
}

void session_leave_behind(struct sessions *s, struct session *ss, const struct dk_addr *home, uint32_t epoch)
{
	struct dk_session_event ev = { ss->handle, &ss->id, ss->type, true };
	uint8_t buf[SESSION_ADDR_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	ss->phase = SESSION_ENDING;
	session_wr_addr(&w, home);
	session_former_put(s, &ss->id, home, epoch);
	update(s, ss, SESSION_HAS_MOVED, epoch, dk_written(&w));
	dk_emit(&s->svc.deleted, &ev);
	session_free(s, ss);
}
