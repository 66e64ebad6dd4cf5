/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients send: the client key first, where one is configured, then commands, strictly one after another per user.
 *
 * A frame that finds its user idle is dispatched from where it lies. Only while a command is deferred (DK_LATER) are further
 * frames copied, into a queue of bounded length; they run once the command's chain has ended and its callback returned. A
 * plain frame that finds the queue full is lost, as the network might have lost it; a reliable one cannot be, so it ends the
 * connection. Replies take the way back that the request came: same version and command, reliable if it was. A row
 * flagged DK_QUIET has none when all went well.
 *
 * A user may vanish in any command; nothing here keeps a pointer to one across a dispatch.
 */
#include "user_state.h"

enum { CMD_CLIENT_KEY = 4 }; /* of version 0 */

/* How a reply is to travel; also the call's token. */
static unsigned how_of(bool reliable)
{
	return reliable ? DK_RELIABLE : DK_UNRELIABLE;
}

static void reply(struct users *s, dk_id id, struct user *u, uint8_t ver, uint16_t cmd, int status, dk_slice body, unsigned how)
{
	struct dk_frame f = { .ver = ver, .status = (uint8_t)status, .cmd = cmd, .payload = body };

	user_send(s, id, u, &f, how);
}

/* dk_finish_fn */
static void finish(void *self, const struct dk_call *call, int status, dk_slice body)
{
	struct users *s = self;
	struct user *u = user_get(s, call->user);

	if (!u)
		return;
	if (status && (status != DK_STATUS_OK || body.n || !(call->row->flags & DK_QUIET)))
		reply(s, call->user, u, call->ver, call->cmd, status, body, (unsigned)(uintptr_t)call->priv);
	u->flags &= (uint8_t)~USER_BUSY;
	if (u->flags & USER_HELD)
		user_move_idle(s, call->user, u);
	else
		user_inbox_resume(s, call->user, u);
}

static void refuse(struct users *s, dk_id id, const struct dk_frame *f, enum dk_status status, uint32_t code, const char *text,
		   bool reliable)
{
	struct user *u = user_get(s, id);
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	int sent;

	if (!u)
		return;
	u->flags &= (uint8_t)~USER_BUSY;
	sent = dk_error_body(s, status, code, text, &w);
	reply(s, id, u, f->ver, f->cmd, sent, dk_written(&w), how_of(reliable));
}

static void run(struct users *s, dk_id id, struct user *u, const struct dk_frame *f, bool reliable)
{
	int64_t timeout_s = user_conf(s)->command_timeout_s;
	struct dk_incoming in = {
		.ver = f->ver,
		.origin = DK_FROM_USER,
		.cmd = f->cmd,
		.user = id,
		.deadline = timeout_s ? dk_now(s) + (uint64_t)timeout_s * 1000 : 0,
		.payload = f->payload,
		.token = how_of(reliable),
		.finish = finish,
	};
	int rc;

	u->flags |= USER_BUSY;
	s->n.frames++;
	rc = dk_dispatch(s, &in);
	if (rc == 0 || rc == DK_LATER)
		return;
	if (rc == DK_NOT_FOUND) {
		s->n.unknown++;
		refuse(s, id, f, DK_STATUS_BAD, DK_E_PARAMS, "clients have no such command here", reliable);
	} else {
		s->n.overload++;
		refuse(s, id, f, DK_STATUS_ERR, DK_E_INTERNAL, "too many commands are under way on this node", reliable);
	}
}

/* Runs what waits, until a command is deferred again. */
static void resume(void *self, uint64_t id)
{
	struct users *s = self;
	struct user *u;

	while ((u = user_get(s, id)) && u->queue && !(u->flags & (USER_BUSY | USER_HELD))) {
		struct user_frame *e = user_queue_pop(s, &u->queue);
		struct dk_frame f = user_frame_view(e);

		run(s, id, u, &f, (e->how & DK_RELIABLE) != 0);
		user_frame_free(s, e);
	}
	if (u)
		u->flags &= (uint8_t)~USER_RESUMING;
}

void user_inbox_resume(struct users *s, dk_id id, struct user *u)
{
	if (!u->queue || (u->flags & USER_RESUMING))
		return;
	/* The next command must not start inside the module that has just finished this one. */
	u->flags |= USER_RESUMING;
	if (dk_defer(s, resume, id) < 0)
		resume(s, id);
}

/* Who is on the way to another node, or has just come from one, may say more meanwhile: it cannot know. */
static bool queue_push(struct users *s, struct user *u, const struct dk_frame *f, bool reliable)
{
	const struct user_conf *c = user_conf(s);
	bool held = (u->flags & USER_HELD) != 0;

	if (!user_queue_push(s, &u->queue, f, how_of(reliable), held ? USER_HELD_FRAMES : (uint64_t)c->queue_frames,
			     held ? USER_HELD_BYTES : (uint64_t)c->queue_bytes))
		return false;
	if (held)
		s->n.move_held++;
	else
		s->n.queued++;
	return true;
}

bool user_client_key_ok(struct dk_user *svc, dk_slice key)
{
	const struct users *s = users_of(svc);
	const char *want = user_conf(s)->client_key;
	unsigned char diff = 0;

	if (!s->client_key_n)
		return true;
	if (key.n != s->client_key_n)
		return false;
	for (size_t i = 0; i < key.n; i++)
		diff |= (unsigned char)(key.p[i] ^ (unsigned char)want[i]);
	return diff == 0;
}

/* True when the frame may go on to its command. */
static bool pass_key(struct users *s, dk_id id, struct user *u, const struct dk_frame *f, bool reliable)
{
	bool is_key = f->ver == 0 && f->cmd == CMD_CLIENT_KEY;

	if (!s->client_key_n || (u->flags & USER_KEYED))
		return !is_key;
	if (!reliable) { /* it may have overtaken the key */
		s->n.before_key++;
		return false;
	}
	if (is_key && user_client_key_ok(&s->svc, f->payload)) {
		u->flags |= USER_KEYED;
		return false;
	}
	s->n.wrong_key++;
	user_discard(s, id, DK_REASON_CLIENT_KEY);
	return false;
}

/* Whatever may have to wait, to be dropped or to be looked at first. */
static void take(struct users *s, dk_id id, struct user *u, const struct dk_frame *f, bool reliable)
{
	if (((f->ver == 0 && f->cmd == CMD_CLIENT_KEY) || s->client_key_n) && !pass_key(s, id, u, f, reliable))
		return;
	if ((f->ver == 0 || u->again) && reliable && !(u->more && user_arrival_settles(u)) && !user_again_pass(s, u, f))
		return;
	if (!(u->flags & (USER_BUSY | USER_HELD)) && !u->queue) {
		run(s, id, u, f, reliable);
	} else if (!queue_push(s, u, f, reliable)) {
		if (!reliable) {
			s->n.queue_lost++;
		} else {
			s->n.queue_full++;
			user_discard(s, id, DK_REASON_SLOW);
		}
	}
}

void user_inbox_frame(void *self, uint64_t id, dk_id peer, const struct dk_frame *f, bool reliable)
{
	struct users *s = self;
	struct user *u = user_get(s, id);

	if (!u || u->peer != peer || (u->flags & (USER_DYING | USER_SLOW)))
		return;
	if (f->ver && !s->client_key_n && !(u->flags & (USER_BUSY | USER_HELD)) && !u->queue && !u->again)
		run(s, id, u, f, reliable);
	else
		take(s, id, u, f, reliable);
}
