/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients may ask for. A command is answered when its message has arrived or cannot arrive, and the next one of that client
 * waits for it, so a sender that moves to another node in between leaves nothing behind that could be overtaken.
 */
#include "dm_state.h"

static int refuse(struct dk_call *call, int rc)
{
	switch (rc) {
	case DK_NOT_FOUND:
		return dk_refuse(call, DK_E_DM, "there is no user of that id");
	case DK_TOO_LONG:
		return dk_refuse(call, DK_E_DM, "the message is too long, at least for one that is not reliable");
	case DK_DM_EMPTY:
		return dk_refuse(call, DK_E_PARAMS, "the message is empty");
	case DK_DM_BAD_UID:
		return dk_refuse(call, DK_E_PARAMS, "a user id has 1 to %d bytes", DM_UID_MAX);
	case DK_DM_VETOED:
		return dk_refuse(call, DK_E_DM, "a rule of this user does not let the message through");
	case DK_FULL:
		return dk_fail(call, DK_E_DM, "too many messages wait for this user");
	case DK_DM_NO_STORAGE:
		return dk_fail(call, DK_E_NODE_NOT_FOUND, "no node could say where this user is");
	case DK_DM_MAYBE:
		return dk_fail(call, DK_E_DM, "the node of this user did not answer; the message may have arrived");
	default:
		return rc;
	}
}

int dm_reply(struct dk_call *call, int rc)
{
	return rc == 0 ? dk_answer(call, dk_slice_n(NULL, 0)) : rc < 0 ? rc : refuse(call, rc);
}

static int post(struct dms *s, struct dk_call *call, dk_str to, struct dm_order *o)
{
	int rc;

	if (!dm_conf(s)->expose_commands && call->origin == DK_FROM_USER)
		return dk_refuse(call, DK_E_DM, "direct messages are not open to clients on this node");
	o->sender = call->user;
	o->from = s->user->uid(s->user, call->user);
	o->call = call->id;
	rc = dm_post(s, to, o);
	return rc == DK_LATER ? rc : dm_reply(call, rc);
}

int dm_on_disconnect(struct dms *s, struct dk_call *call, dk_slice message, dk_str uid)
{
	struct dm_order o = { .kind = DM_PART, .ver = DM_VER, .cmd = DM_CMD_DISCONNECT, .reliable = true, .message = message };

	dm_peer_remove(s, call->user, uid);
	return post(s, call, uid, &o);
}

int dm_on_send(struct dms *s, struct dk_call *call, dk_slice message, bool reliable, dk_str uid)
{
	struct dm_order o = { .kind = DM_MESSAGE, .ver = DM_VER, .cmd = DM_CMD_SEND, .reliable = reliable, .message = message };

	return post(s, call, uid, &o);
}

int dm_on_connect(struct dms *s, struct dk_call *call, dk_str uid)
{
	struct dm_order o = { .kind = DM_FIND };

	return post(s, call, uid, &o);
}
