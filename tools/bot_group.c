/* SPDX-License-Identifier: Apache-2.0 */
/* Scenario group: bots of all nodes sit in groups and broadcast. Members of a group come one after another, so most groups span all
 * nodes. */
#include <diarkis/client_group.h>

#include "tools/bot_circle.h"

static struct dk_id52 id_of(const struct circle *circle)
{
	struct dk_id52 id;

	memcpy(id.c, circle->id, DK_ID52_LEN);
	return id;
}

static int group_create(struct member *m, struct dkc_client *c, dkc_reply_fn *fn, void *arg)
{
	const struct bot_options *o = m->of->o;
	struct dkc_group_opts opts = { .allow_empty = o->allow_empty,
				       .join = true,
				       .ttl_s = (uint16_t)o->room_ttl_s,
				       .interval_ms = (uint16_t)o->interval_ms };

	return dkc_group_create(c, &opts, fn, arg);
}

static int group_join(struct member *m, struct dkc_client *c, const struct circle *circle, dkc_reply_fn *fn, void *arg)
{
	struct dk_id52 id = id_of(circle);

	(void)m;
	return dkc_group_join(c, &id, dk_slice_n(NULL, 0), fn, arg);
}

static bool group_entered(const struct dkc_reply *reply, struct circle *ret_circle)
{
	struct dk_id52 id;

	return dkc_group_joined(reply, &id) && circle_set_id(ret_circle, dk_str_n(id.c, DK_ID52_LEN));
}

static int group_say(struct member *m, struct dkc_client *c, const struct circle *circle, dk_slice message)
{
	struct dk_id52 id = id_of(circle);

	return dkc_group_broadcast(c, &id, message, m->of->o->reliable);
}

static bool group_heard(const struct dkc_event *e, dk_slice *ret_message)
{
	uint32_t tag;

	return dkc_group_event(e, &tag, ret_message) == DKC_GROUP_BROADCAST;
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
	struct dkc_group_opts opts = { .join = true, .ttl_s = (uint16_t)p->o->room_ttl_s };

	return dkc_group_create(c, &opts, visits_answered, arg) == 0;
}

const struct scenario scenario_group = {
	CIRCLE_SCENARIO_BUT_EVENT, .name = "group",       .summary = "bots of all nodes sit in groups and broadcast",
	.open = group_open,        .event = circle_event, .visit = group_visit,
};
