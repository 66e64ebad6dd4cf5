/* SPDX-License-Identifier: Apache-2.0 */
/* Bots get into their circles, send what is due, and wait for what is under way. See bot_circle.h; what came is bot_track.c's. */
#include <errno.h>
#include <stdlib.h>

#include "tools/bot_circle.h"

#define STUCK_NS (30 * UINT64_C(1000000000))
#define SENDS_PER_TURN 4096
#define SHARED_POLL_NS 50000000

bool circle_set_id(struct circle *c, dk_str id)
{
	if (id.n > sizeof(c->id))
		return false;
	memcpy(c->id, id.p, id.n);
	c->id_n = (uint32_t)id.n;
	return true;
}

static struct member *member_of(struct part *p, uint32_t bot)
{
	return &((struct circles *)p->self)->members[bot];
}

/* ---- getting in ---- */

static void ask(struct circles *s, struct member *m);

static void on_entered(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct member *m = arg;
	struct circles *s = m->of;
	struct circle *circle = &s->circles[m->circle], where = { .id_n = 0 };
	dk_str why = dkc_reply_error(reply, NULL);
	char what[64], text[256];

	(void)client;
	if (m->state == MEMBER_LOST)
		return;
	if (!s->ops->entered(reply, &where)) {
		snprintf(what, sizeof(what), "%s.%s was refused", s->part->scenario->name, circle->known ? "join" : "create");
		snprintf(text, sizeof(text), DK_STR_FMT, DK_STR_ARG(why));
		run_fail(s->part->run, what, text);
		return;
	}
	m->state = MEMBER_IN;
	s->joined++;
	if (circle->known)
		return;
	circle->known = true;
	memcpy(circle->id, where.id, where.id_n);
	circle->id_n = where.id_n;
	circle->now = where.now;
	if (s->shared) {
		printf("%s " DK_STR_FMT "\n", s->part->scenario->name, DK_STR_ARG(circle_id(circle)));
		fflush(stdout);
	}
	for (uint32_t i = 0; i < s->o->bots; i++) {
		if (s->members[i].circle == m->circle && s->members[i].state == MEMBER_CONNECTED)
			ask(s, &s->members[i]);
	}
}

static void ask(struct circles *s, struct member *m)
{
	struct circle *circle = &s->circles[m->circle];
	struct dkc_client *c = run_client(s->part, m->bot);
	int rc;

	if (circle->known)
		rc = s->ops->join(m, c, circle, on_entered, m);
	else if (m->place == 0)
		rc = s->ops->create(m, c, on_entered, m);
	else
		return; /* when it is there */
	m->state = MEMBER_ASKED;
	net_touch(s->part->run->net, m->bot);
	if (rc)
		run_fail(s->part->run, "a request could not be sent", rc < 0 ? strerror(-rc) : "the connection is gone or full");
}

void circle_connected(struct part *p, uint32_t bot)
{
	struct circles *s = p->self;
	struct member *m = member_of(p, bot);

	m->state = MEMBER_CONNECTED;
	if (s->ops->create) {
		ask(s, m);
		return;
	}
	m->state = MEMBER_IN;
	s->joined++;
}

void circle_event(struct part *p, uint32_t bot, const struct dkc_event *e)
{
	struct circles *s = p->self;
	struct member *m = member_of(p, bot);
	dk_slice message;

	if (e->kind == DKC_PUSH && s->ops->heard(e, &message))
		track_delivered(s, m, message);
	else if (e->kind == DKC_DISCONNECTED)
		m->state = MEMBER_LOST;
}

/* ---- sending ---- */

/* 0, or DKC_FULL: try again later. */
static int send_one(struct circles *s, struct member *m)
{
	struct circle *circle = &s->circles[m->circle];
	struct run *r = s->part->run;
	struct dk_writer w = dk_writer_on(s->message, s->o->size);
	int rc;

	dk_wr_u32(&w, m->circle * s->size + m->place);
	dk_wr_u32(&w, m->next);
	dk_wr_u64(&w, net_now_ns(r->net));
	rc = s->ops->say(m, run_client(s->part, m->bot), circle, dk_slice_n(s->message, s->o->size));
	net_touch(r->net, m->bot);
	if (rc == DKC_FULL && s->reliable)
		return rc;
	if (rc == DKC_TOO_LONG)
		run_fail(r, "a message could not be sent", "it is too long; use a smaller --size, or --reliable");
	m->next++;
	s->sent++;
	circle->expected += circle->size - s->ops->alone;
	return 0;
}

bool circle_send(struct part *p, uint64_t now)
{
	struct circles *s = p->self;
	uint64_t due = (uint64_t)((double)(now - s->start_ns) / 1e9 * s->o->rate * s->o->bots), all = UINT64_MAX;

	if (s->o->messages)
		all = (uint64_t)s->o->messages * s->o->bots;
	due = due > all ? all : due;
	for (int i = 0; i < SENDS_PER_TURN && s->sent < due; i++) {
		struct member *m = &s->members[s->sent % s->o->bots];

		if (m->state == MEMBER_LOST || s->circles[m->circle].lost)
			s->sent++;
		else if (send_one(s, m))
			break;
	}
	track_pace(s, now);
	return s->sent >= all;
}

/* ---- the run ---- */

static void on_count(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct circles *s = arg;
	uint32_t members;

	(void)client;
	s->shared_asked = false;
	if (s->ops->count(reply, &members) && members >= s->size)
		s->full = true;
}

/* A circle of several processes is ready when all of them are in. */
static bool shared_ready(struct circles *s, uint64_t now)
{
	struct run *r = s->part->run;

	if (!s->full && !s->shared_asked && now - s->asked_ns > SHARED_POLL_NS) {
		s->shared_asked = s->ops->ask_count(run_client(s->part, 0), &s->circles[0], on_count, s) == 0;
		net_touch(r->net, 0);
		s->asked_ns = now;
	}
	return s->full;
}

bool circle_ready(struct part *p, uint64_t now)
{
	struct circles *s = p->self;

	if (s->joined == s->o->bots)
		return !s->shared || shared_ready(s, now);
	if (now - p->run->phase_ns > STUCK_NS && now - p->run->phase_ns > s->o->bots * UINT64_C(1000000))
		run_fail(p->run, "not all bots got in", "no answer for half a minute");
	return false;
}

void circle_start(struct part *p, uint64_t now)
{
	struct circles *s = p->self;

	s->start_ns = now;
	for (uint32_t i = 0; i < s->o->bots; i++)
		s->members[i].heard_ns = now;
}

void circle_stop(struct part *p, uint64_t now)
{
	struct circles *s = p->self;

	s->stop_ns = s->last_new_ns = now;
	track_stop(s, now);
}

bool circle_drained(struct part *p, uint64_t now)
{
	struct circles *s = p->self;
	struct circle_sum sum = circle_sum(s);

	return sum.delivered >= sum.expected || now - s->last_new_ns > (s->reliable ? s->o->drain_s : 1) * UINT64_C(1000000000);
}

/* ---- memory ---- */

int circle_open(struct part *p, const struct circle_ops *ops, void **ret_self)
{
	const struct bot_options *o = p->o;
	struct circles *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret_self = s;
	s->part = p;
	s->o = o;
	s->ops = ops;
	s->size = ops->size ? ops->size : o->circle;
	s->reliable = ops->reliable || o->reliable || o->protocol == DKC_TCP;
	s->shared = ops->ask_count && p->run->part_n == 1 && (o->join || o->bots < s->size);
	s->circle_n = s->shared ? 1 : (o->bots + s->size - 1) / s->size;
	if (s->shared && o->first + o->bots > s->size) {
		fprintf(stderr, "diarkis-bot: --first and --bots go beyond --room-size\n");
		return -EINVAL;
	}
	s->members = calloc(o->bots, sizeof(*s->members));
	s->circles = calloc(s->circle_n, sizeof(*s->circles));
	s->tracks = calloc((size_t)o->bots * s->size, sizeof(*s->tracks));
	s->message = calloc(1, o->size);
	if (!s->members || !s->circles || !s->tracks || !s->message)
		return -ENOMEM;
	for (uint32_t i = 0; i < o->bots; i++) {
		struct member *m = &s->members[i];

		m->of = s;
		m->bot = i;
		m->circle = ops->across ? i / s->size : i % s->circle_n;
		m->place = ops->across ? i % s->size : i / s->circle_n + (s->shared ? o->first : 0);
		s->circles[m->circle].size++;
	}
	return 0;
}

void circle_close(struct part *p)
{
	struct circles *s = p->self;
	struct said *said;

	while ((said = s->said)) {
		s->said = said->next;
		free(said);
	}
	free(s->members);
	free(s->circles);
	free(s->tracks);
	free(s->message);
	free(s->pace);
	free(s->gone);
	free(s->twice);
	free(s);
}
