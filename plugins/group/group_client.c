/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients may ask for: each command looks its group up, lets the service do it, and says what came of it. What members say
 * goes out with the group's tag (group_commands.h), because a client may be in many groups.
 */
#include "group_state.h"

#include <errno.h>

/* Why not, in words; NULL = rc is no outcome. */
static const char *why(int rc)
{
	switch (rc) {
	case DK_REFUSED:
		return "this node is going offline and takes no new groups";
	case DK_FULL:
		return "this node has as many groups, or the user is in as many, as may be";
	case DK_GONE:
		return "the user is no longer connected";
	case DK_EXISTS:
		return "the user is a member of this group already";
	case DK_TOO_LONG:
		return "the message is longer than this node relays";
	case DK_GROUP_GONE:
		return "there is no such group, or no node that knows it answers";
	case DK_GROUP_NOT_MEMBER:
		return "the user is not a member of this group";
	case DK_GROUP_VETOED:
		return "a rule of this group does not let the user in";
	case DK_GROUP_BAD_PARAMS:
		return "a group has a time to live above 10 s; without allow_empty its creator has to join";
	default:
		return NULL;
	}
}

int group_refuse(struct dk_call *call, uint32_t code, int rc)
{
	const char *text = why(rc);

	return text ? dk_refuse(call, code, "%s", text) : rc;
}

/* With expose_commands off, clients have no group commands; other plugins and operators do. */
bool group_hidden(const struct groups *s, const struct dk_call *call)
{
	return !group_conf(s)->expose_commands && call->origin == DK_FROM_USER;
}

int group_refuse_hidden(struct dk_call *call)
{
	return dk_refuse(call, DK_E_PARAMS, "group commands are not open to clients on this node");
}

/* A group named by a text of puffer form. False: it is no id. */
static bool id_of(dk_str text, struct dk_id52 *ret_id)
{
	if (text.n != DK_ID52_LEN)
		return false;
	memcpy(ret_id->c, text.p, DK_ID52_LEN);
	return true;
}

/* The group, if there is a copy here; 0 = none. */
static dk_id named(struct groups *s, dk_str text)
{
	struct dk_id52 id;

	return id_of(text, &id) ? s->svc.find(&s->svc, &id) : 0;
}

/* What members get, in scratch; empty stays empty. */
dk_slice group_with_tag(struct groups *s, dk_slice message, const struct dk_id52 *id)
{
	size_t cap = 2 + message.n + 4;
	struct dk_writer w;

	if (!message.n)
		return message;
	w = dk_writer_on(dk_scratch(s, cap), cap);
	group_push_encode(&w, message, group_tag(id));
	return dk_written(&w);
}

int group_on_create(struct groups *s, struct dk_call *call, bool allow_empty, uint16_t interval_ms, bool join, uint16_t ttl_s)
{
	struct dk_group_opts o = { .allow_empty = allow_empty, .join = join, .ttl_s = ttl_s, .interval_ms = interval_ms };
	const struct group *g;
	dk_id group;
	int rc;

	if (group_hidden(s, call))
		return group_refuse_hidden(call);
	rc = s->svc.create(&s->svc, call->user, &o, &group);
	g = rc ? NULL : group_live(s, group);
	if (!g)
		return group_refuse(call, GROUP_E_CREATE, rc ? rc : DK_GROUP_GONE);
	return group_on_create_answer(call, group_id_text(g));
}

int group_on_join(struct groups *s, struct dk_call *call, dk_str group, dk_slice message)
{
	struct dk_id52 id;
	int rc = DK_GROUP_GONE;

	if (group_hidden(s, call))
		return group_refuse_hidden(call);
	if (id_of(group, &id))
		rc = group_join_begin(s, s, &id, call->user, call->id, GROUP_VER, GROUP_CMD_JOIN, group_with_tag(s, message, &id),
				      NULL, NULL);
	return rc ? group_refuse(call, GROUP_E_JOIN, rc) : DK_LATER;
}

int group_on_leave(struct groups *s, struct dk_call *call, dk_str group, dk_slice message)
{
	struct dk_id52 id;
	int rc = DK_GROUP_GONE;

	if (group_hidden(s, call))
		return group_refuse_hidden(call);
	if (id_of(group, &id))
		rc = s->svc.leave(&s->svc, s->svc.find(&s->svc, &id), call->user, GROUP_VER, GROUP_CMD_LEAVE,
				  group_with_tag(s, message, &id));
	return rc ? group_refuse(call, GROUP_E_LEAVE, rc) : group_on_leave_answer(call);
}

int group_on_broadcast(struct groups *s, struct dk_call *call, dk_str group, dk_slice message, bool reliable)
{
	struct dk_id52 id;
	int rc = DK_GROUP_GONE;

	if (group_hidden(s, call))
		return group_refuse_hidden(call);
	if (id_of(group, &id))
		rc = s->svc.broadcast(&s->svc, s->svc.find(&s->svc, &id), call->user, GROUP_VER, GROUP_CMD_BROADCAST,
				      group_with_tag(s, message, &id), reliable);
	return rc ? group_refuse(call, DK_E_PARAMS, rc) : 0;
}

int group_on_info(struct groups *s, struct dk_call *call, bool exact, dk_str text)
{
	dk_id group = named(s, text);
	const struct group *g = group_live(s, group);

	if (group_hidden(s, call))
		return group_refuse_hidden(call);
	if (!g)
		return group_refuse(call, DK_E_PARAMS, DK_GROUP_GONE);
	if (!s->svc.is_member(&s->svc, group, call->user))
		return group_refuse(call, DK_E_PARAMS, DK_GROUP_NOT_MEMBER);
	return group_list_call(s, g, call->id, exact);
}
