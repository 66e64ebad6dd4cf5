/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users that leave for another node. A move goes through four states: it waits for a command of the user to end; the other node is
 * asked to make the user; it is ready there; its client was told. From the first on the user's inbox is held, from the last on
 * what it is pushed is kept too, and both follow it when its client has turned up there.
 *
 * The reconnect instruction is the last reliable frame of the old connection, so a client that follows it has got everything before
 * it. That is why nothing of the transport's own queue moves along: it would come twice. The peer stays until the client is
 * there, to tell it again and to acknowledge what it still sends.
 */
#include <errno.h>
#include <stdio.h>

#include "user_node_commands.h"
#include "user_state.h"

DK_PACKERS(USER_NODE_COMMANDS)

enum {
	CMD_RECONNECT = 2, /* of version 0 */
	READY_MS = 5000, /* whoever moves it must commit within this */
	TOLD_MS = 10000, /* the client has this long to turn up; the other node hardly waits longer */
	SILENT_MS = 1000, /* a client that hears nothing for so long looks for its room on other nodes by itself */
	LINGER_MS = 800, /* the end of its stream may come this much later; the other node waits for a second */
	POLL_MS = 10,
	PACK_MIN = 64 * 1024
};

static const uint8_t instruction[4] = { 0xbe, 0xef, 0xfe, 0xed };

enum state { MOVE_WAITS, MOVE_ASKED, MOVE_READY, MOVE_TOLD };

struct user_move {
	struct users *s;
	dk_id user;
	enum state state;
	bool at_once; /* commits by itself */
	bool untold; /* the client was there before it was told */
	struct dk_addr node;
	char *words; /* the type, then the note */
	size_t type_n, note_n;
	void *mover;
	dk_user_move_fn *fn; /* NULL: nobody wants to know (any more) */
	void *arg;
	dk_id request;
	char to[DK_ADDR_TEXT + 256]; /* "host:port" for the client */
	uint64_t told_ms;
	uint8_t taken[DK_TAKEN_MAX]; /* sequences of the client's, of a peer that closed */
	size_t taken_n;
	uint64_t here_ms; /* when the client turned up there; 0 = not yet */
	struct dk_timer timer;
	struct user_queue *late; /* what it was pushed since it was told */
};

static struct user_move *move_of(const struct user *u)
{
	return u->more ? u->more->move : NULL;
}

struct user_queue **user_move_late(struct user_move *m)
{
	return &m->late;
}

enum dk_user_way user_way(struct dk_user *svc, dk_id id)
{
	const struct user *u = user_get(users_of(svc), id);

	if (u && move_of(u))
		return DK_USER_LEAVES;
	return u && user_arrival_settles(u) ? DK_USER_ARRIVES : DK_USER_STAYS;
}

/* ---- whom to tell ---- */

static void orphaned(void *self, void *arg);

static int own(struct user_move *m, void *mover, dk_user_move_fn *fn, void *arg)
{
	if (dk_own(mover, orphaned, m, "a move of a user") < 0)
		return -ENOMEM;
	m->mover = mover;
	m->fn = fn;
	m->arg = arg;
	return 0;
}

static void tell(struct user_move *m, int err)
{
	dk_user_move_fn *fn = m->fn;

	if (!fn)
		return;
	m->fn = NULL;
	dk_disown(m->mover, orphaned, m);
	fn(m->mover, m->arg, m->user, err);
}

/* The mover stopped: what nobody will commit is off. */
static void orphaned(void *self, void *arg)
{
	struct user_move *m = arg;

	(void)self;
	m->fn = NULL;
	if (m->state != MOVE_TOLD)
		user_move_abort(&m->s->svc, m->user);
}

/* ---- ends ---- */

void user_move_end(struct user_move *m, int err)
{
	struct users *s;

	if (!m)
		return;
	s = m->s;
	dk_timer_stop(&m->timer);
	if (err)
		s->n.move_failed++;
	else
		s->n.move_out++;
	tell(m, err);
	user_queue_free(s, &m->late);
	dk_free(s, m->words, m->type_n + m->note_n);
	dk_free(s, m, sizeof(*m));
}

static void abandon(struct users *s, const struct user_move *m, const struct user *u)
{
	uint8_t buf[32];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	on_abandon_pack(&w, dk_slice_n(u->sid, 16));
	s->carrier->send(s->carrier, &m->node, DK_VER_NODE, 83, dk_written(&w), DK_RELIABLE);
}

struct user_move *user_move_take(struct users *s, struct user *u)
{
	struct user_move *m = move_of(u);

	if (!m)
		return NULL;
	u->more->move = NULL;
	if (m->state == MOVE_ASKED)
		s->carrier->cancel(s->carrier, m->request);
	if (m->state != MOVE_WAITS)
		abandon(s, m, u);
	return m;
}

/* It stays: as if nothing had been. */
static struct user_move *call_off(struct users *s, dk_id id, struct user *u)
{
	struct user_move *m = user_move_take(s, u);

	u->flags &= (uint8_t)~USER_HELD;
	user_inbox_resume(s, id, u);
	return m;
}

static void fail(struct users *s, dk_id id, struct user *u, int err)
{
	user_move_end(call_off(s, id, u), err);
}

/* ---- the end that is meant ---- */

struct rest {
	struct users *s;
	struct user_queue **to; /* NULL: only counted */
	unsigned n;
};

static void keep_rest(void *arg, const struct dk_frame *f, unsigned how)
{
	struct rest *r = arg;

	if (f->ver == 0 && f->cmd == CMD_RECONNECT && f->status == DK_STATUS_PUSH)
		return;
	r->n++;
	if (r->to && !user_queue_push(r->s, r->to, f, how, USER_HELD_FRAMES, USER_HELD_BYTES))
		r->s->n.move_lost++;
}

static void note_taken(struct users *s, struct user_move *m, const struct user *u, dk_id peer)
{
	struct dk_transport *t = user_transport(s, u);
	struct dk_writer w = dk_writer_on(m->taken, sizeof(m->taken));

	if (!t->taken)
		return;
	t->taken(t, peer, &w);
	m->taken_n = dk_written(&w).n;
}

static int send_settle(struct users *s, const struct user_move *m, const struct user *u, const struct user_queue *out)
{
	size_t n = 2 + 16 + 2 + m->taken_n + user_queue_size(out) + user_queue_size(u->queue);
	uint8_t *buf = dk_alloc(s, n);
	struct dk_writer w = dk_writer_on(buf, n);
	int rc = -ENOMEM;

	dk_wr_bytes16(&w, dk_slice_n(u->sid, 16));
	dk_wr_bytes16(&w, dk_slice_n(m->taken, m->taken_n));
	user_queue_write(out, &w);
	user_queue_write(u->queue, &w);
	if (!w.bad)
		rc = s->carrier->send(s->carrier, &m->node, DK_VER_NODE, 81, dk_written(&w), DK_RELIABLE);
	dk_free(s, buf, n);
	return rc;
}

static void ignore(void *arg, const struct dk_frame *f, unsigned how)
{
	(void)arg;
	(void)f;
	(void)how;
}

/* What the client said on a stream may still be on its way here when it is on the other node already: it ends after all that. Only
 * streams say that one frame more is not acknowledged than they can show. */
static bool stream_goes_on(struct users *s, const struct user *u)
{
	struct dk_transport *t = user_transport(s, u);
	struct dk_peer_info info;

	return u->peer && t->info(t, u->peer, &info) == 0 && info.unacked > t->unacked(t, u->peer, ignore, NULL);
}

static dk_timer_fn time_is_up;

/* The other node has it from here on. untold: the client went there by itself, before it was told. */
static void finish(struct users *s, dk_id id, struct user *u, bool untold)
{
	struct dk_transport *t = user_transport(s, u);
	struct user_move *m = move_of(u);
	struct user_queue *out = NULL;
	struct rest rest = { s, untold ? &out : NULL, 0 }, held = { s, &u->queue, 0 };

	if (u->peer) {
		t->unacked(t, u->peer, keep_rest, &rest);
		/* What came here without what was said before it: the client takes it for delivered. */
		t->held(t, u->peer, keep_rest, &held);
		note_taken(s, m, u, u->peer);
	}
	/* Acknowledgements that were lost are nothing; a client that came late may have come by itself. */
	s->n.move_unclean += (rest.n && (untold || dk_now(s) - m->told_ms >= SILENT_MS)) || stream_goes_on(s, u);
	user_queue_join(s, &out, &m->late);
	if (out)
		s->n.move_late += out->frames;
	if (send_settle(s, m, u, out) != 0)
		s->n.move_lost += (out ? out->frames : 0) + (u->queue ? u->queue->frames : 0);
	user_queue_free(s, &out);
	u->more->move = NULL;
	user_move_end(m, 0);
	user_discard(s, id, DK_REASON_MOVED);
}

void user_move_finish(struct users *s, dk_id id, struct user *u)
{
	const struct user_move *m = move_of(u);

	if (m && m->state == MOVE_TOLD)
		finish(s, id, u, false);
}

bool user_move_left(struct users *s, struct user *u, dk_id peer)
{
	struct user_move *m = move_of(u);

	if (!m || m->state != MOVE_TOLD)
		return false;
	note_taken(s, m, u, peer);
	dk_timer_start(s, &m->timer, 0, 0, time_is_up); /* nothing more will be heard of it here */
	return true;
}

static void time_is_up(void *self, struct dk_timer *t)
{
	struct user_move *m = dk_container_of(t, struct user_move, timer);
	struct users *s = self;
	struct user *u = user_get(s, m->user);

	if (m->state != MOVE_TOLD)
		fail(s, m->user, u, -ETIMEDOUT);
	else if (m->here_ms && dk_now(s) - m->here_ms < LINGER_MS && stream_goes_on(s, u))
		dk_timer_start(s, t, POLL_MS, 0, time_is_up);
	else
		finish(s, m->user, u, m->untold);
}

int user_move_here(struct users *s, const struct dk_addr *from, dk_slice sid)
{
	dk_id id = sid.n == 16 ? user_find_sid(s, sid.p) : 0;
	struct user *u = user_get(s, id);
	struct user_move *m = u ? move_of(u) : NULL;

	if (!m || !dk_addr_eq(&m->node, from))
		return 0;
	m->here_ms = dk_now(s);
	if (m->state == MOVE_TOLD)
		dk_timer_start(s, &m->timer, 0, 0, time_is_up);
	return 0;
}

/* ---- telling the client ---- */

/* Returns 0, or what the end of the move is to be. */
static int instruct(struct users *s, dk_id id, struct user *u, struct user_move *m)
{
	struct dk_transport *t = user_transport(s, u);
	uint8_t buf[sizeof(instruction) + sizeof(m->to)];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_frame f = { .status = DK_STATUS_PUSH, .cmd = CMD_RECONNECT };
	int rc;

	dk_wr_slice(&w, dk_slice_n(instruction, sizeof(instruction)));
	dk_wr_slice(&w, dk_slice_of(dk_str_c(m->to)));
	f.payload = dk_written(&w);
	rc = user_send_now(s, id, u, &f, DK_RELIABLE);
	if (rc)
		return rc == DK_FULL ? -ENOBUFS : rc == DK_GONE ? DK_GONE : -EIO;
	t->flush(t, u->peer);
	m->state = MOVE_TOLD;
	m->told_ms = dk_now(s);
	u->flags |= USER_DIVERTED;
	m->untold = m->here_ms; /* it was faster */
	dk_timer_start(s, &m->timer, m->untold ? 0 : TOLD_MS, 0, time_is_up);
	return 0;
}

int user_move_commit(struct dk_user *svc, void *self, dk_id id, dk_user_move_fn *done, void *arg)
{
	struct users *s = users_of(svc);
	struct user *u = user_get(s, id);
	struct user_move *m = u ? move_of(u) : NULL;
	int rc;

	if (!u || (u->flags & USER_DYING))
		return DK_GONE;
	if (!m || m->state != MOVE_READY)
		return -EINVAL;
	rc = own(m, self, done, arg);
	if (rc == 0)
		rc = instruct(s, id, u, m);
	if (rc == 0)
		return 0;
	if (m->fn) {
		m->fn = NULL;
		dk_disown(m->mover, orphaned, m);
	}
	fail(s, id, u, rc);
	return rc;
}

/* ---- asking the other node ---- */

static void ready(struct users *s, dk_id id, struct user *u, struct user_move *m)
{
	int rc;

	m->state = MOVE_READY;
	if (m->at_once) {
		rc = instruct(s, id, u, m);
		if (rc)
			fail(s, id, u, rc);
		return;
	}
	dk_timer_start(s, &m->timer, READY_MS, 0, time_is_up);
	tell(m, 0);
}

static bool read_answer(struct user_move *m, dk_slice body, uint8_t *ret_outcome)
{
	struct dk_cursor c = dk_cursor_of(body);
	uint8_t outcome = dk_rd_u8(&c);
	dk_str host = dk_str_of(dk_rd_bytes16(&c));
	uint16_t port = dk_rd_u16(&c);

	if (!dk_rd_done(&c) || (!outcome && (!host.n || host.n > 255)))
		return false;
	if (!outcome)
		snprintf(m->to, sizeof(m->to), memchr(host.p, ':', host.n) ? "[" DK_STR_FMT "]:%u" : DK_STR_FMT ":%u",
			 DK_STR_ARG(host), port);
	*ret_outcome = outcome;
	return true;
}

/* dk_carrier_done_fn; the move cancels its request when it ends, so it is there. */
static void on_answer(void *self, void *arg, int err, int status, dk_slice body)
{
	struct users *s = self;
	struct user_move *m = arg;
	struct user *u = user_get(s, m->user);
	uint8_t outcome = DK_REFUSED;

	m->request = 0;
	if (err == 0 && (status != DK_STATUS_OK || !read_answer(m, body, &outcome)))
		err = -EPROTO;
	if (err == 0 && outcome) {
		err = DK_REFUSED;
		m->state = MOVE_WAITS; /* there is nothing to abandon */
	}
	if (err)
		fail(s, m->user, u, err);
	else
		ready(s, m->user, u, m);
}

/* What a user weighs is known once it was packed, so this tries until it fits. Returns 0, -EMSGSIZE or <0. */
static int pack(struct users *s, const struct user_move *m, uint8_t **ret_buf, size_t *ret_cap, dk_slice *ret_bytes)
{
	dk_str type = dk_str_n(m->words, m->type_n);
	dk_slice note = dk_slice_n(m->words ? m->words + m->type_n : NULL, m->note_n);

	for (size_t cap = PACK_MIN; cap <= DK_CARRIER_MESSAGE_MAX; cap *= 4) {
		uint8_t *buf = dk_alloc(s, cap), *length;
		struct dk_writer w = dk_writer_on(buf, cap);
		int rc = buf ? 0 : -ENOMEM;

		/* as on_arrive_pack(), its second parameter in place */
		dk_wr_bytes16(&w, dk_slice_of(type));
		length = dk_wr_take(&w, 4);
		if (rc == 0)
			rc = user_pack(&s->svc, m->user, &w);
		if (length && !w.bad) {
			struct dk_writer at = dk_writer_on(length, 4);

			dk_wr_u32(&at, (uint32_t)(w.p - length - 4));
		}
		dk_wr_slice(&w, note);
		if (rc == 0 && !w.bad) {
			*ret_buf = buf;
			*ret_cap = cap;
			*ret_bytes = dk_written(&w);
			return 0;
		}
		if (buf)
			explicit_bzero(buf, cap);
		dk_free(s, buf, cap);
		if (rc)
			return rc;
	}
	return -EMSGSIZE;
}

static int ask(struct users *s, struct user_move *m)
{
	dk_slice bytes;
	uint8_t *buf;
	size_t cap;
	int rc = pack(s, m, &buf, &cap, &bytes);

	if (rc)
		return rc;
	rc = s->carrier->request(s->carrier, s, &m->node, DK_VER_NODE, 80, bytes, 0, on_answer, m, &m->request);
	explicit_bzero(buf, bytes.n);
	dk_free(s, buf, cap);
	if (rc == 0)
		m->state = MOVE_ASKED;
	return rc > 0 ? -ENOBUFS : rc;
}

static void go_on(void *self, uint64_t id)
{
	struct users *s = self;
	struct user *u = user_get(s, id);
	struct user_move *m = u ? move_of(u) : NULL;
	int rc;

	if (!m || m->state != MOVE_WAITS || (u->flags & (USER_BUSY | USER_DYING)))
		return;
	rc = ask(s, m);
	if (rc)
		fail(s, id, u, rc);
}

void user_move_idle(struct users *s, dk_id id, struct user *u)
{
	const struct user_move *m = move_of(u);

	/* The plugin whose command has just ended may be asked for its part: not from inside it. */
	if (m && m->state == MOVE_WAITS && dk_defer(s, go_on, id) < 0)
		fail(s, id, u, -ENOMEM);
}

/* ---- beginning ---- */

static int begin(struct users *s, void *mover, dk_id id, const struct dk_addr *node, dk_str type, dk_slice note, bool at_once,
		 dk_user_move_fn *fn, void *arg)
{
	struct user *u = user_get(s, id);
	struct user_more *more;
	struct user_move *m;
	int rc = -ENOMEM;

	if (!s->carrier)
		return -EOPNOTSUPP;
	if (!u || (u->flags & (USER_DYING | USER_SLOW)))
		return DK_GONE;
	if (u->more && (u->more->move || u->more->arrival))
		return DK_USER_MOVING;
	if (!u->peer || !(u->flags & USER_CONNECTED))
		return -ENOTCONN;
	if (dk_addr_eq(node, &s->carrier->addr))
		return -EINVAL;
	if (!type.n)
		type = dk_str_c(user_transport(s, u)->type);
	more = user_more(s, u);
	m = more ? dk_alloc(s, sizeof(*m)) : NULL;
	if (!m)
		return -ENOMEM;
	m->s = s;
	m->user = id;
	m->state = MOVE_WAITS;
	m->at_once = at_once;
	m->node = *node;
	m->type_n = type.n;
	m->note_n = note.n;
	m->words = dk_alloc(s, type.n + note.n);
	if (!m->words || own(m, mover, fn, arg) < 0)
		goto fail;
	memcpy(m->words, type.p, type.n);
	if (note.n)
		memcpy(m->words + type.n, note.p, note.n);
	more->move = m;
	u->flags |= USER_HELD;
	if (u->flags & USER_BUSY)
		return 0;
	rc = ask(s, m);
	if (rc == 0)
		return 0;
	call_off(s, id, u);
	m->fn = NULL;
	dk_disown(mover, orphaned, m);
fail:
	dk_free(s, m->words, m->type_n + m->note_n);
	dk_free(s, m, sizeof(*m));
	return rc;
}

int user_move_begin(struct dk_user *svc, void *self, dk_id id, const struct dk_addr *node, dk_str type, dk_slice note,
		    dk_user_move_fn *fn, void *arg)
{
	return begin(users_of(svc), self, id, node, type, note, false, fn, arg);
}

int user_move(struct dk_user *svc, void *self, dk_id id, const struct dk_addr *node, dk_str type, dk_slice note,
	      dk_user_move_fn *done, void *arg)
{
	return begin(users_of(svc), self, id, node, type, note, true, done, arg);
}

void user_move_abort(struct dk_user *svc, dk_id id)
{
	struct users *s = users_of(svc);
	struct user *u = user_get(s, id);
	struct user_move *m = u ? move_of(u) : NULL;

	if (!m || m->state == MOVE_TOLD)
		return;
	if (m->fn) {
		m->fn = NULL;
		dk_disown(m->mover, orphaned, m);
	}
	fail(s, id, u, -ECANCELED);
}
