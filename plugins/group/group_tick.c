/* SPDX-License-Identifier: Apache-2.0 */
/* Ticks of groups: functions of other plugins that run every so many seconds, looked at every two, as in the reference. */
#include "group_state.h"

#include <errno.h>

enum { LOOK_MS = 2000 };

struct group_ticking {
	struct group_ticking *next;
	struct groups *s;
	void *self;
	dk_group_tick_fn *fn;
	void *arg;
	dk_id group; /* 0: it is over, and freed when nobody walks the list */
	uint64_t due_ms, every_ms;
};

static void drop_owned(void *self, void *arg)
{
	struct group_ticking *t = arg;

	(void)self;
	t->group = 0;
	t->fn = NULL;
}

static void over(struct group_ticking *t)
{
	if (!t->fn)
		return;
	dk_disown(t->self, drop_owned, t);
	drop_owned(t->self, t);
}

static void sweep(struct groups *s)
{
	for (struct group_ticking **at = &s->ticks, *t; (t = *at);) {
		if (t->fn) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		dk_free(s, t, sizeof(*t));
	}
	if (!s->ticks)
		dk_timer_stop(&s->tick_timer);
}

static void on_look(void *self, struct dk_timer *timer)
{
	struct groups *s = self;

	(void)timer;
	for (struct group_ticking *t = s->ticks; t; t = t->next) {
		if (!t->fn || dk_now(s) < t->due_ms)
			continue;
		t->due_ms = dk_now(s) + t->every_ms;
		t->fn(t->self, t->arg, t->group);
	}
	sweep(s);
}

static int svc_tick(struct dk_group *svc, void *self, dk_id group, uint32_t every_s, dk_group_tick_fn *fn, void *arg)
{
	struct groups *s = groups_of(svc);
	struct group_ticking *t;

	if (!group_live(s, group))
		return DK_GROUP_GONE;
	t = dk_alloc(s, sizeof(*t));
	if (!t)
		return -ENOMEM;
	if (dk_own(self, drop_owned, t, "a tick of a group") < 0) {
		dk_free(s, t, sizeof(*t));
		return -ENOMEM;
	}
	*t = (struct group_ticking){ .s = s, .self = self, .fn = fn, .arg = arg, .group = group };
	t->every_ms = (uint64_t)(every_s ? every_s : 1) * 1000;
	t->due_ms = dk_now(s) + t->every_ms;
	t->next = s->ticks;
	s->ticks = t;
	if (!dk_timer_armed(&s->tick_timer))
		dk_timer_start(s, &s->tick_timer, LOOK_MS, LOOK_MS, on_look);
	return 0;
}

static void svc_tick_stop(struct dk_group *svc, void *self, dk_id group)
{
	struct groups *s = groups_of(svc);

	for (struct group_ticking *t = s->ticks; t; t = t->next)
		if (t->fn && t->self == self && t->group == group)
			over(t);
}

void group_tick_strip(struct groups *s, dk_id group)
{
	for (struct group_ticking *t = s->ticks; t; t = t->next)
		if (t->group == group)
			over(t);
}

void group_tick_init(struct groups *s)
{
	s->svc.tick = svc_tick;
	s->svc.tick_stop = svc_tick_stop;
}

void group_tick_fini(struct groups *s)
{
	for (struct group_ticking *t = s->ticks; t; t = t->next)
		over(t);
	sweep(s);
}
