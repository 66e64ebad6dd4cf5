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

struct queued {
	struct queued *next;
	uint32_t n;
	uint16_t cmd;
	uint8_t ver;
	bool reliable;
	uint8_t bytes[];
};

struct user_queue {
	struct queued *head, **tail;
	uint32_t frames, bytes;
};

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

static void resume(void *self, uint64_t id);

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
	if (!u->queue || (u->flags & USER_RESUMING))
		return;
	/* The next command must not start inside the module that has just finished this one. */
	u->flags |= USER_RESUMING;
	if (dk_defer(s, resume, call->user) < 0)
		resume(s, call->user);
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

static struct queued *queue_pop(struct users *s, struct user *u)
{
	struct user_queue *q = u->queue;
	struct queued *e = q->head;

	q->head = e->next;
	q->frames--;
	q->bytes -= e->n;
	if (!q->head) {
		dk_free(s, q, sizeof(*q));
		u->queue = NULL;
	}
	return e;
}

/* Runs what waits, until a command is deferred again. */
static void resume(void *self, uint64_t id)
{
	struct users *s = self;
	struct user *u;

	while ((u = user_get(s, id)) && u->queue && !(u->flags & USER_BUSY)) {
		struct queued *e = queue_pop(s, u);
		struct dk_frame f = { .ver = e->ver, .cmd = e->cmd, .payload = dk_slice_n(e->bytes, e->n) };

		run(s, id, u, &f, e->reliable);
		dk_free(s, e, sizeof(*e) + e->n);
	}
	if (u)
		u->flags &= (uint8_t)~USER_RESUMING;
}

static bool queue_push(struct users *s, struct user *u, const struct dk_frame *f, bool reliable)
{
	const struct user_conf *c = user_conf(s);
	struct user_queue *q = u->queue;
	struct queued *e;

	if (q && (q->frames >= c->queue_frames || q->bytes + f->payload.n > (size_t)c->queue_bytes))
		return false;
	e = dk_alloc(s, sizeof(*e) + f->payload.n);
	if (!e)
		return false;
	if (!q) {
		q = dk_alloc(s, sizeof(*q));
		if (!q) {
			dk_free(s, e, sizeof(*e) + f->payload.n);
			return false;
		}
		q->tail = &q->head;
		u->queue = q;
	}
	e->n = (uint32_t)f->payload.n;
	e->ver = f->ver;
	e->cmd = f->cmd;
	e->reliable = reliable;
	if (e->n)
		memcpy(e->bytes, f->payload.p, e->n);
	*q->tail = e;
	q->tail = &e->next;
	q->frames++;
	q->bytes += e->n;
	s->n.queued++;
	return true;
}

void user_inbox_free(struct users *s, struct user *u)
{
	while (u->queue) {
		struct queued *e = queue_pop(s, u);

		dk_free(s, e, sizeof(*e) + e->n);
	}
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

void user_inbox_frame(void *self, uint64_t id, dk_id peer, const struct dk_frame *f, bool reliable)
{
	struct users *s = self;
	struct user *u = user_get(s, id);

	if (!u || u->peer != peer || (u->flags & (USER_DYING | USER_SLOW)))
		return;
	if (((f->ver == 0 && f->cmd == CMD_CLIENT_KEY) || s->client_key_n) && !pass_key(s, id, u, f, reliable))
		return;
	if (!(u->flags & USER_BUSY) && !u->queue) {
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
