/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenario dm: bots write to each other in pairs, by user id, wherever they are. What could not be delivered its sender is told,
 * in the answer; those messages count as told, and are not missed. One that came all the same is told too, and not lost.
 */
#include <errno.h>
#include <stdlib.h>

#include <diarkis/client_dm.h>

#include "tools/bot_circle.h"

static void forget(struct said *said)
{
	*said->at = said->next;
	if (said->next)
		said->next->at = said->at;
	free(said);
}

static void on_sent(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct said *said = arg;

	(void)client;
	/* Without any answer nobody was told: then it has to come. */
	said->told = reply->status && !dkc_ok(reply);
	said->m->of->told_n += said->told;
	if (!said->told)
		forget(said);
}

static int dm_say(struct member *m, struct dkc_client *c, const struct circle *circle, dk_slice message)
{
	struct circles *s = m->of;
	uint32_t other = circle_bot(s, m->circle, !m->place);
	struct said *said;
	char uid[128];
	int rc;

	(void)circle;
	if (other >= s->o->bots)
		return 0; /* an odd one has nobody to write to */
	said = calloc(1, sizeof(*said));
	if (!said)
		return -ENOMEM;
	*said = (struct said){ .next = s->said, .at = &s->said, .m = m, .number = m->next };
	if (said->next)
		said->next->at = &said->next;
	s->said = said;
	rc = dkc_dm_send(c, dk_str_c(fetch_uid(s->o, other, uid, sizeof(uid))), message, s->o->reliable, on_sent, said);
	if (rc)
		forget(said);
	return rc;
}

static bool dm_heard(const struct dkc_event *e, dk_slice *ret_message)
{
	dk_str uid;

	return dkc_dm_event(e, &uid, ret_message) == DKC_DM_MESSAGE;
}

static const struct circle_ops ops = { .say = dm_say, .heard = dm_heard, .alone = true, .across = true, .size = 2 };

static int dm_open(struct part *p, void **ret_self)
{
	return circle_open(p, &ops, ret_self);
}

/* To the first bot that is there yet, who does not know visitors: looking it up is enough. */
static uint32_t dm_visit(struct part *p, struct dkc_client *c, void *arg)
{
	const struct circles *s = p->self;
	uint32_t bot = 0;
	char uid[128];

	while (bot + 1 < p->o->bots && s->members[bot].state == MEMBER_LOST)
		bot++;
	return dkc_dm_connect(c, dk_str_c(fetch_uid(p->o, bot, uid, sizeof(uid))), visits_answered, arg) == 0;
}

const struct scenario scenario_dm = {
	CIRCLE_SCENARIO_BUT_EVENT, .name = "dm",          .summary = "bots write to each other in pairs, by user id",
	.open = dm_open,           .event = circle_event, .visit = dm_visit,
};
