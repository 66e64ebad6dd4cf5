/* SPDX-License-Identifier: Apache-2.0 */
/* Scenario group: bots of all nodes sit in groups and broadcast. Members of a group come one after another, so most groups span all
 * nodes. */
#include <diarkis/group_commands.h>

#include "tools/bot_circle.h"

DK_PACKERS(GROUP_COMMANDS)

static int group_create(struct member *m, struct dkc_client *c, dkc_reply_fn *fn, void *arg)
{
	uint8_t buf[32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	group_on_create_pack(&w, m->of->o->allow_empty, (uint16_t)m->of->o->interval_ms, true, (uint16_t)m->of->o->room_ttl_s);
	return dkc_request(c, GROUP_VER, GROUP_CMD_CREATE, dk_written(&w), fn, arg);
}

static int group_join(struct member *m, struct dkc_client *c, const struct circle *circle, dkc_reply_fn *fn, void *arg)
{
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	(void)m;
	group_on_join_pack(&w, circle_id(circle), dk_slice_n(NULL, 0));
	return dkc_request(c, GROUP_VER, GROUP_CMD_JOIN, dk_written(&w), fn, arg);
}

static bool group_entered(const struct dkc_reply *reply, struct circle *ret_circle)
{
	struct dk_cursor c = dk_cursor_of(reply->payload);
	dk_slice id = dk_rd_bytes16(&c);

	return dkc_ok(reply) && !c.bad && circle_set_id(ret_circle, dk_str_of(id));
}

static int group_say(struct member *m, struct dkc_client *c, const struct circle *circle, dk_slice message)
{
	struct dk_writer w = dk_writer_on(m->of->space, m->of->space_n);

	group_on_broadcast_pack(&w, circle_id(circle), message, m->of->o->reliable);
	return w.bad ? DKC_TOO_LONG
		     : dkc_send(c, GROUP_VER, GROUP_CMD_BROADCAST, dk_written(&w),
				m->of->o->reliable ? DK_RELIABLE : DK_UNRELIABLE);
}

static bool group_heard(const struct dkc_event *e, dk_slice *ret_message)
{
	struct dk_cursor c = dk_cursor_of(e->payload);

	*ret_message = dk_rd_bytes16(&c);
	return e->ver == GROUP_VER && e->cmd == GROUP_CMD_BROADCAST && !c.bad;
}

static const struct circle_ops ops = {
	.create = group_create,
	.join = group_join,
	.entered = group_entered,
	.say = group_say,
	.heard = group_heard,
	.across = true,
};

static int group_open(struct part *p, void **ret_self)
{
	return circle_open(p, &ops, ret_self);
}

static uint32_t group_visit(struct part *p, struct dkc_client *c, void *arg)
{
	uint8_t buf[32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	group_on_create_pack(&w, false, 0, true, (uint16_t)p->o->room_ttl_s);
	return dkc_request(c, GROUP_VER, GROUP_CMD_CREATE, dk_written(&w), visits_answered, arg) == 0;
}

const struct scenario scenario_group = {
	CIRCLE_SCENARIO_BUT_EVENT, .name = "group",       .summary = "bots of all nodes sit in groups and broadcast",
	.open = group_open,        .event = circle_event, .visit = group_visit,
};
