/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenario session: bots sit in sessions and broadcast. A session ends when the node dies that it lives on; then its members are
 * told, and it counts as lost. Messages may overtake each other while a member moves, and that is no error here.
 */
#include <errno.h>

#include <diarkis/client_session.h>

#include "tools/bot_circle.h"

#define TYPE 1
#define TYPE_OF_VISITS 2
#define TTL_S 30
#define MEMBERS_MAX 255 /* a byte says how many */

static int session_create(struct member *m, struct dkc_client *c, dkc_reply_fn *fn, void *arg)
{
	return dkc_session_create(c, TYPE, (uint8_t)(m->of->size < 2 ? 2 : m->of->size), TTL_S, fn, arg);
}

static int session_join(struct member *m, struct dkc_client *c, const struct circle *circle, dkc_reply_fn *fn, void *arg)
{
	(void)m;
	return dkc_session_join(c, TYPE, circle_id(circle), fn, arg);
}

static bool session_entered(const struct dkc_reply *reply, struct circle *ret_circle)
{
	uint8_t type;
	dk_str id;

	return dkc_session_id(reply, &type, &id) && circle_set_id(ret_circle, id);
}

static int session_say(struct member *m, struct dkc_client *c, const struct circle *circle, dk_slice message)
{
	(void)m;
	(void)circle;
	return dkc_session_broadcast(c, TYPE, message);
}

static bool session_heard(const struct dkc_event *e, dk_slice *ret_message)
{
	struct dkc_session_event what;
	enum dkc_session_kind kind = dkc_session_event(e, &what);

	*ret_message = what.message;
	return kind == DKC_SESSION_BROADCAST;
}

static const struct circle_ops ops = {
	.create = session_create,
	.join = session_join,
	.entered = session_entered,
	.say = session_say,
	.heard = session_heard,
	.across = true,
	.reliable = true,
	.unordered = true,
};

static int session_open(struct part *p, void **ret_self)
{
	if (p->o->circle > MEMBERS_MAX) {
		fprintf(stderr, "diarkis-bot: --members %u: a session has %u at most\n", p->o->circle, MEMBERS_MAX);
		return -EINVAL;
	}
	return circle_open(p, &ops, ret_self);
}

static void session_event(struct part *p, uint32_t bot, const struct dkc_event *e)
{
	struct circles *s = p->self;
	struct dkc_session_event what;

	if (dkc_session_event(e, &what) == DKC_SESSION_ENDED && what.type == TYPE)
		track_lost(s, &s->members[bot], net_now_ns(p->run->net));
	circle_event(p, bot, e);
}

static uint32_t session_visit(struct part *p, struct dkc_client *c, void *arg)
{
	(void)p;
	return dkc_session_create(c, TYPE_OF_VISITS, 2, TTL_S, visits_answered, arg) == 0;
}

const struct scenario scenario_session = {
	CIRCLE_SCENARIO_BUT_EVENT, .name = "session",      .summary = "bots of all nodes sit in sessions and broadcast",
	.open = session_open,      .event = session_event, .visit = session_visit,
};
