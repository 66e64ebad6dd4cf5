/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users of this node get something: from users of this node, by dm_hand_over(), and from other nodes, by the rows below, each of
 * which does as much as can be done here and says where to go on.
 *
 * A user who moves has two nodes for a while. The old one takes messages until it has handed everything over, the new one from then
 * on; so there is one node at a time where a message may go, and their order stays.
 */
#include <errno.h>

#include "dm_state.h"

int dm_here(struct dms *s, dk_str uid, dk_id *ret_user)
{
	dk_id user = s->user->by_uid(s->user, uid);

	if (!user || !dm_member(s, user))
		return DM_NOT_HERE;
	if (s->user->way(s->user, user) == DK_USER_ARRIVES)
		return DM_ON_ITS_WAY;
	/* Its client may never come, and nobody would know what it was told. */
	if (!dm_alone(s) && !s->user->is_connected(s->user, user))
		return DM_ON_ITS_WAY;
	*ret_user = user;
	return 0;
}

/* ---- handing over ---- */

static int push(struct dms *s, dk_id user, const struct dm_order *o, dk_slice message)
{
	struct dk_writer w = dk_writer_on(s->out, DM_OUT);
	unsigned how = o->reliable ? DK_RELIABLE : DK_UNRELIABLE;
	bool ours = o->ver == DM_VER && (o->cmd == DM_CMD_SEND || o->cmd == DM_CMD_DISCONNECT);

	if (message.n > DK_DM_MESSAGE_MAX)
		return DK_TOO_LONG;
	if (!ours)
		return s->user->push(s->user, user, o->ver, o->cmd, message, how);
	if (o->cmd == DM_CMD_SEND)
		dm_push_message_encode(&w, message, o->from);
	else
		dm_push_disconnected_encode(&w, message, o->from);
	return s->user->push(s->user, user, o->ver, o->cmd, dk_written(&w), how);
}

static int message(struct dms *s, dk_id user, const struct dm_order *o)
{
	struct dk_dm_message q = { .ver = o->ver, .cmd = o->cmd, .from = o->from, .to = user, .message = o->message };
	int rc;

	if (dk_ask(&s->svc.receiving, &q))
		return DK_DM_VETOED;
	q.message = o->message;
	dk_ask(&s->svc.rewriting, &q);
	if (!q.message.n)
		return DK_DM_VETOED;
	rc = push(s, user, o, q.message);
	if (rc)
		return rc;
	s->n.received++;
	dm_peer_add(s, user, o->from);
	return 0;
}

static int part(struct dms *s, dk_id user, const struct dm_order *o)
{
	bool was = dm_peer_remove(s, user, o->from);
	struct dk_dm_cleared ev = { o->from, user };

	if (o->message.n)
		return push(s, user, o, o->message);
	if (was)
		dk_emit(&s->svc.cleared, &ev);
	return 0;
}

int dm_hand_over(struct dms *s, dk_id user, const struct dm_order *o)
{
	switch (o->kind) {
	case DM_MESSAGE:
		return message(s, user, o);
	case DM_PART:
		return part(s, user, o);
	default:
		dm_peer_add(s, user, o->from);
		return 0;
	}
}

/* ---- for other nodes ---- */

/* As dm_here(); for one that is not, what is known of it. */
static uint8_t find(struct dms *s, const struct dk_call *call, dk_str uid, dk_id *ret_user, struct dk_addr *ret_node)
{
	int rc = dm_here(s, uid, ret_user);
	const struct dm_way *w = rc == DM_NOT_HERE ? dm_way_find(s, uid) : NULL;

	*ret_node = (struct dk_addr){ .family = 0 };
	if (w && w->told && w->node.family && !dk_addr_eq(&w->node, &call->from)) {
		*ret_node = w->node;
		return DM_ELSEWHERE;
	}
	if (w && dm_way_has_left(s, w))
		return DM_ON_ITS_WAY;
	return (uint8_t)rc;
}

static dk_slice node_bytes(const struct dk_addr *node, uint8_t buf[DM_NODE_SIZE])
{
	struct dk_writer w = dk_writer_on(buf, DM_NODE_SIZE);

	dm_node_write(&w, node);
	return dk_written(&w);
}

static uint8_t result_of(int rc)
{
	return rc < 0 || rc >= DM_NOT_HERE ? DK_FULL : (uint8_t)rc;
}

int dm_on_find(struct dms *s, struct dk_call *call, dk_str from, dk_str to)
{
	const struct dm_order o = { .kind = DM_FIND, .from = from };
	uint8_t buf[DM_NODE_SIZE], outcome;
	struct dk_addr node;
	dk_id user;

	if (from.n > DM_UID_MAX)
		return -EPROTO;
	outcome = find(s, call, to, &user, &node);
	if (!outcome) {
		dm_hand_over(s, user, &o);
		dm_way_learn(s, from, &call->from, false);
	}
	return dm_on_find_answer(call, outcome, node_bytes(&node, buf));
}

int dm_on_part(struct dms *s, struct dk_call *call, dk_str from, dk_str to, uint8_t ver, uint16_t cmd, dk_slice text)
{
	const struct dm_order o = { .kind = DM_PART, .ver = ver, .cmd = cmd, .reliable = true, .from = from, .message = text };
	uint8_t buf[DM_NODE_SIZE], outcome;
	struct dk_addr node;
	dk_id user;

	if (from.n > DM_UID_MAX)
		return -EPROTO;
	outcome = find(s, call, to, &user, &node);
	if (!outcome) {
		outcome = result_of(dm_hand_over(s, user, &o));
		dm_way_forget(s, from);
	}
	return dm_on_part_answer(call, outcome == DK_GONE ? (uint8_t)DM_NOT_HERE : outcome, node_bytes(&node, buf));
}

/* One after the other, until the user is gone. */
int dm_on_deliver(struct dms *s, struct dk_call *call, dk_str to, dk_slice letters)
{
	struct dk_cursor c = dk_cursor_of(letters);
	uint8_t results[512], buf[DM_NODE_SIZE], outcome;
	dk_str last = { NULL, 0 };
	struct dm_letter l;
	struct dk_addr node;
	size_t n = 0;
	dk_id user;
	int rc = 0;

	outcome = find(s, call, to, &user, &node);
	while (!outcome && rc != DK_GONE && n < sizeof(results) && dm_letter_next(&c, &l)) {
		const struct dm_order o = {
			.kind = DM_MESSAGE, .ver = l.ver, .cmd = l.cmd, .reliable = l.reliable, .from = l.from, .message = l.message
		};

		rc = dm_hand_over(s, user, &o);
		if (rc == DK_GONE) {
			outcome = find(s, call, to, &user, &node);
			outcome = outcome ? outcome : DM_NOT_HERE;
		} else {
			results[n++] = result_of(rc);
			if (!dk_str_eq(l.from, last))
				dm_way_learn(s, l.from, &call->from, false);
			last = l.from;
		}
	}
	if (c.bad) {
		s->n.malformed++;
		return -EPROTO;
	}
	return dm_on_deliver_answer(call, outcome, node_bytes(&node, buf), dk_slice_n(results, n));
}

int dm_on_here(struct dms *s, struct dk_call *call, dk_str uid)
{
	dm_way_learn(s, uid, &call->from, true);
	return 0;
}
