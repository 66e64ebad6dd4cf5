/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients may ask for: a session is named by its type, because a user is in one of each. A command waits for its home's
 * answer, so that what a client says stays in order.
 */
#include "session_state.h"

/* ---- refusals ---- */

/* Why not, in words; NULL = rc is no outcome. */
static const char *why(int rc, uint32_t *ret_code)
{
	*ret_code = SESSION_E_OTHER;
	switch (rc) {
	case DK_REFUSED:
		return "this node is going offline and takes no new sessions";
	case DK_FULL:
		return "this node has as many sessions as it may have";
	case DK_GONE:
		return "the user is no longer connected";
	case DK_EXISTS:
		return "the user is a member of this session already";
	case DK_TOO_LONG:
		*ret_code = SESSION_E_PARAMS;
		return "the message is longer than this node relays";
	case DK_SESSION_GONE:
		*ret_code = SESSION_E_NONE;
		return "there is no such session, or the user is in none of this type";
	case DK_SESSION_IS_FULL:
		return "the session has no free seat";
	case DK_SESSION_IN_ANOTHER:
		return "the user is in a session of this type already, and leaves that one first";
	case DK_SESSION_NOT_MEMBER:
		return "the user is not a member of this session";
	case DK_SESSION_NOT_OWNER:
		return "only the owner of the session may do that";
	case DK_SESSION_VETOED:
		return "a rule of this session does not let the user in";
	case DK_SESSION_BAD_PARAMS: /* of another node: what this one can see it has said already */
		*ret_code = SESSION_E_PARAMS;
		return "members: expected a list of uids that the node of the session takes, found a longer one";
	case DK_SESSION_OTHER_TYPE:
		*ret_code = SESSION_E_PARAMS;
		return "the session is of another type";
	case DK_SESSION_NO_NODE:
		*ret_code = SESSION_E_NO_NODE;
		return "the node of the session does not answer; nothing was done";
	case DK_SESSION_MAYBE:
		*ret_code = SESSION_E_NO_NODE;
		return "the node of the session did not answer; it may have been done";
	case DK_SESSION_NO_USER:
		return "somebody who was invited is not connected; everybody else was told";
	default:
		return NULL;
	}
}

static int refuse(struct dk_call *call, int rc)
{
	uint32_t code;
	const char *text = why(rc, &code);

	return text ? dk_refuse(call, code, "%s", text) : rc;
}

/* With expose_commands off, clients have no session commands; other plugins do. */
static bool hidden(const struct sessions *s, const struct dk_call *call)
{
	return !session_conf(s)->expose_commands && call->origin == DK_FROM_USER;
}

static int refuse_hidden(struct dk_call *call)
{
	return dk_refuse(call, SESSION_E_OTHER, "session commands are not open to clients on this node");
}

/* ---- answers that come later ---- */

static void *arg_of(const struct dk_call *call)
{
	return (void *)(uintptr_t)call->id;
}

/* The call of an answer, refused already if the answer is a no; NULL: there is nothing more to do. */
static struct dk_call *answers(struct sessions *s, void *arg, const struct dk_session_result *r)
{
	dk_id id = (dk_id)(uintptr_t)arg;
	struct dk_call *call = dk_call_get(s, id);

	if (call && r->rc) {
		dk_call_done(s, id, refuse(call, r->rc));
		return NULL;
	}
	return call;
}

/* Ok, with nothing more to say. */
static void on_done(void *self, void *arg, const struct dk_session_result *r)
{
	if (answers(self, arg, r))
		dk_call_done(self, (dk_id)(uintptr_t)arg, 0);
}

static int begun(struct dk_call *call, int rc)
{
	return rc ? refuse(call, rc) : DK_LATER;
}

/* ---- coming and going ---- */

int session_on_create(struct sessions *s, struct dk_call *call, uint8_t type, uint8_t max_members, uint8_t ttl_s)
{
	struct dk_session_opts opts = { type, max_members, ttl_s };
	struct dk_session_id id;
	int rc;

	if (hidden(s, call))
		return refuse_hidden(call);
	rc = s->svc.create(&s->svc, call->user, &opts, &id);
	if (rc == DK_SESSION_BAD_PARAMS)
		return dk_refuse(call, SESSION_E_PARAMS, "a session has 2 to %u seats and a time to live above 0",
				 (unsigned)session_conf(s)->max_members);
	return rc ? refuse(call, rc) : session_on_create_answer(call, type, dk_slice_of(session_id_text(&id)));
}

static void on_join_done(void *self, void *arg, const struct dk_session_result *r)
{
	struct dk_call *call = answers(self, arg, r);

	if (!call)
		return;
	session_on_join_answer(call, r->type, dk_slice_of(session_id_text(&r->id)));
	dk_call_done(self, (dk_id)(uintptr_t)arg, 0);
}

int session_on_join(struct sessions *s, struct dk_call *call, uint8_t type, dk_slice session)
{
	if (hidden(s, call))
		return refuse_hidden(call);
	return begun(call, s->svc.join(&s->svc, s, call->user, type, dk_str_of(session), on_join_done, arg_of(call)));
}

int session_on_leave(struct sessions *s, struct dk_call *call, uint8_t type)
{
	int rc;

	if (hidden(s, call))
		return refuse_hidden(call);
	rc = s->svc.leave(&s->svc, call->user, type);
	return rc ? refuse(call, rc) : session_on_leave_answer(call);
}

/* Says which of the uids cannot be invited. */
static int refuse_invited(struct sessions *s, struct dk_call *call, const dk_str *uids, size_t n)
{
	dk_str own = s->user->uid(s->user, call->user);

	for (size_t i = 0; i < n; i++) {
		if (dk_str_eq(uids[i], own))
			return dk_refuse(call, SESSION_E_PARAMS,
					 "uids: expected other users, found the uid of the one who invites");
		if (!uids[i].n || uids[i].n > DK_UID_MAX)
			return dk_refuse(call, SESSION_E_PARAMS, "uids: expected uids of 1 to %d bytes, found one of %zu",
					 DK_UID_MAX, uids[i].n);
	}
	return dk_refuse(call, SESSION_E_PARAMS, "uids: expected 1 to %d users, found %zu", DK_SESSION_INVITES_MAX, n);
}

int session_on_invite(struct sessions *s, struct dk_call *call, uint8_t type, dk_slice uids, dk_slice message)
{
	struct dk_cursor c = dk_cursor_of(uids);
	dk_str names[DK_SESSION_INVITES_MAX];
	size_t n = 0;
	int rc;

	if (hidden(s, call))
		return refuse_hidden(call);
	while (dk_rd_left(&c) && n < DK_SESSION_INVITES_MAX)
		names[n++] = dk_str_of(dk_rd_bytes32(&c));
	if (!dk_rd_done(&c))
		return dk_refuse(call, SESSION_E_PARAMS, "expected a list of at most %d uids, each with a length of four bytes",
				 DK_SESSION_INVITES_MAX);
	rc = s->svc.invite(&s->svc, s, call->user, type, names, n, SESSION_VER, SESSION_CMD_INVITE, message, on_done, arg_of(call));
	return rc == DK_SESSION_BAD_PARAMS ? refuse_invited(s, call, names, n) : begun(call, rc);
}

int session_on_kick(struct sessions *s, struct dk_call *call, uint8_t type, dk_str uid)
{
	if (hidden(s, call))
		return refuse_hidden(call);
	return begun(call, s->svc.kick(&s->svc, s, call->user, type, uid, on_done, arg_of(call)));
}

/* ---- saying ---- */

/* The session that a client speaks in, where its home is this node: nothing has to be asked then. NULL: it is elsewhere, or
 * none. */
static struct session *at_home(struct sessions *s, const struct dk_call *call, uint8_t type, const struct session_seat **ret_seat)
{
	const struct session_seat *seat = session_seat_of(&s->seats, call->user, type);
	struct session *ss = seat && seat->state == SEAT_IN ? session_store_find(&s->store, &seat->known->id) : NULL;

	*ret_seat = seat;
	return ss && ss->phase == SESSION_LIVE ? ss : NULL;
}

static int say_at_home(struct sessions *s, struct dk_call *call, struct session *ss, const struct session_seat *seat,
		       uint16_t cmd, struct dk_list uids, dk_slice message)
{
	int rc = DK_TOO_LONG;

	if (message.n <= (size_t)session_conf(s)->max_message)
		rc = session_say(s, ss, seat->token, s->user->uid(s->user, call->user), SESSION_VER, cmd, uids, message);
	return rc ? refuse(call, rc) : 0;
}

int session_on_broadcast(struct sessions *s, struct dk_call *call, uint8_t type, dk_slice message)
{
	const struct session_seat *seat;
	struct session *ss;

	if (hidden(s, call))
		return refuse_hidden(call);
	ss = at_home(s, call, type, &seat);
	if (ss)
		return say_at_home(s, call, ss, seat, SESSION_CMD_BROADCAST, (struct dk_list){ .n = 0 }, message);
	return begun(call, s->svc.broadcast(&s->svc, s, call->user, type, SESSION_VER, SESSION_CMD_BROADCAST, message, on_done,
					    arg_of(call)));
}

int session_on_message(struct sessions *s, struct dk_call *call, struct dk_list members, dk_slice message, uint8_t type)
{
	dk_str uids[DK_SESSION_INVITES_MAX];
	const struct session_seat *seat;
	struct session *ss;
	size_t n = 0;

	if (hidden(s, call))
		return refuse_hidden(call);
	ss = at_home(s, call, type, &seat);
	if (seat && (!members.n || members.n > DK_SESSION_INVITES_MAX))
		return dk_refuse(call, SESSION_E_PARAMS, "members: expected 1 to %d uids, found %u", DK_SESSION_INVITES_MAX,
				 (unsigned)members.n);
	if (ss)
		return say_at_home(s, call, ss, seat, SESSION_CMD_MESSAGE, members, message);
	while (n < DK_SESSION_INVITES_MAX && dk_list_next(&members, &uids[n]))
		n++;
	return begun(call, s->svc.message(&s->svc, s, call->user, type, uids, n, SESSION_VER, SESSION_CMD_MESSAGE, message, on_done,
					  arg_of(call)));
}

/* ---- looking ---- */

/* The reference's list: a length of four bytes before each uid. */
static struct dk_writer uid_list(struct sessions *s, const struct dk_session_result *r)
{
	size_t cap = r->uids.bytes.n + 2 * (size_t)r->uids.n;
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);
	struct dk_list uids = r->uids;
	dk_str uid;

	while (dk_list_next(&uids, &uid))
		dk_wr_bytes32(&w, dk_slice_of(uid));
	return w;
}

static void on_members_done(void *self, void *arg, const struct dk_session_result *r)
{
	struct dk_call *call = answers(self, arg, r);
	struct sessions *s = self;
	struct dk_writer w;

	if (!call)
		return;
	w = uid_list(s, r);
	session_on_member_ids_answer(call, r->type, dk_written(&w));
	dk_call_done(s, (dk_id)(uintptr_t)arg, 0);
}

static void on_count_done(void *self, void *arg, const struct dk_session_result *r)
{
	struct dk_call *call = answers(self, arg, r);

	if (!call)
		return;
	session_on_count_answer(call, r->type, r->members, r->max_members);
	dk_call_done(self, (dk_id)(uintptr_t)arg, 0);
}

static void on_info_done(void *self, void *arg, const struct dk_session_result *r)
{
	struct dk_call *call = answers(self, arg, r);
	struct sessions *s = self;
	struct dk_writer w;
	int rc = 0;

	if (!call)
		return;
	w = uid_list(s, r);
	if (dk_written(&w).n > UINT16_MAX)
		rc = dk_refuse(call, SESSION_E_OTHER, "the uids of all members do not fit an answer; ask for their number (809)");
	else
		rc = session_on_info_answer(call, r->type, session_id_text(&r->id), r->members, r->max_members, dk_written(&w),
					    dk_slice_of(r->owner));
	dk_call_done(s, (dk_id)(uintptr_t)arg, rc);
}

static int look(struct sessions *s, struct dk_call *call, uint8_t type, bool count, dk_session_done_fn *done)
{
	struct dk_session_id id;
	int rc;

	if (hidden(s, call))
		return refuse_hidden(call);
	rc = s->svc.of_user(&s->svc, call->user, type, &id);
	if (rc == 0)
		rc = (count ? s->svc.count : s->svc.members)(&s->svc, s, session_id_text(&id), done, arg_of(call));
	return begun(call, rc);
}

int session_on_member_ids(struct sessions *s, struct dk_call *call, uint8_t type)
{
	return look(s, call, type, false, on_members_done);
}

int session_on_count(struct sessions *s, struct dk_call *call, uint8_t type)
{
	return look(s, call, type, true, on_count_done);
}

int session_on_info(struct sessions *s, struct dk_call *call, uint8_t type)
{
	return look(s, call, type, false, on_info_done);
}
