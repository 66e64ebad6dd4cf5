/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenario session: bots sit in sessions and broadcast. A session ends when the node dies that it lives on; then its members are
 * told, and it counts as lost. Messages may overtake each other while a member moves, and that is no error here.
 */
#include <errno.h>

#include <diarkis/session_commands.h>

#include "tools/bot_circle.h"

DK_PACKERS(SESSION_COMMANDS)

#define TYPE 1
#define TYPE_OF_VISITS 2
#define TTL_S 30
#define MEMBERS_MAX 255 /* a byte says how many */

static int session_create(struct member *m, struct dkc_client *c, dkc_reply_fn *fn, void *arg)
{
	uint8_t buf[8];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	session_on_create_pack(&w, TYPE, (uint8_t)(m->of->size < 2 ? 2 : m->of->size), TTL_S);
	return dkc_request(c, SESSION_VER, SESSION_CMD_CREATE, dk_written(&w), fn, arg);
}

static int session_join(struct member *m, struct dkc_client *c, const struct circle *circle, dkc_reply_fn *fn, void *arg)
{
	uint8_t buf[CIRCLE_ID_MAX + 8];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	(void)m;
	session_on_join_pack(&w, TYPE, dk_slice_of(circle_id(circle)));
	return dkc_request(c, SESSION_VER, SESSION_CMD_JOIN, dk_written(&w), fn, arg);
}

static bool session_entered(const struct dkc_reply *reply, struct circle *ret_circle)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);

	dk_rd_u8(&c); /* the type */
	return dkc_ok(reply) && !c.bad && circle_set_id(ret_circle, dk_str_of(dk_rd_rest(&c)));
}

static int session_say(struct member *m, struct dkc_client *c, const struct circle *circle, dk_slice message)
{
	struct dk_writer w = dk_writer_on(m->of->space, m->of->space_n);

	(void)circle;
	session_on_broadcast_pack(&w, TYPE, message);
	return w.bad ? DKC_TOO_LONG : dkc_send(c, SESSION_VER, SESSION_CMD_BROADCAST, dk_written(&w), DK_RELIABLE);
}

static bool session_heard(const struct dkc_event *e, dk_slice *ret_message)
{
	*ret_message = e->payload;
	return e->ver == SESSION_VER && e->cmd == SESSION_CMD_BROADCAST;
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
	struct dk_cursor c = dk_cursor_of(e->payload);

	if (e->kind == DKC_PUSH && e->ver == SESSION_VER && e->cmd == SESSION_CMD_ENDED) {
		dk_rd_u8(&c); /* why */
		dk_rd_bytes16(&c); /* which */
		if (dk_rd_u8(&c) == TYPE && !c.bad)
			track_lost(s, &s->members[bot], net_now_ns(p->run->net));
	}
	circle_event(p, bot, e);
}

static uint32_t session_visit(struct part *p, struct dkc_client *c, void *arg)
{
	uint8_t buf[8];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	(void)p;
	session_on_create_pack(&w, TYPE_OF_VISITS, 2, TTL_S);
	return dkc_request(c, SESSION_VER, SESSION_CMD_CREATE, dk_written(&w), visits_answered, arg) == 0;
}

const struct scenario scenario_session = {
	CIRCLE_SCENARIO_BUT_EVENT, .name = "session",      .summary = "bots of all nodes sit in sessions and broadcast",
	.open = session_open,      .event = session_event, .visit = session_visit,
};
