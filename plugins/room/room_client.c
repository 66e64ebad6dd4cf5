/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients may ask for: each command looks its room up, lets the service do it, and says what came of it. What concerns a room
 * of another node goes on in room_remote.c and room_migrate.c.
 */
#include "room_state.h"

#include <errno.h>

enum { HOOKS_MS = 10000 }; /* for hooks that take their time, behind an answer that was given */

/* A join's notice, told after the reply to the one who joined: clients then know the room that they hear of. */
struct room_notice {
	struct room_notice *next;
	dk_id room;
	bool new_owner;
	uint32_t n;
	uint8_t bytes[];
};

/* ---- refusals ---- */

/* Why not, in words; NULL = rc is no outcome. The code is that of the command unless the outcome has its own. */
static const char *why(int rc, uint32_t *code)
{
	switch (rc) {
	case DK_REFUSED:
		return "this node is going offline and takes no new rooms";
	case DK_FULL:
		return "this node has as many rooms as it may have";
	case DK_GONE:
		return "the user is no longer connected";
	case DK_EXISTS:
		return "the user is a member of this room already";
	case DK_TOO_LONG:
		return "the message is longer than this node relays";
	case DK_ROOM_GONE:
		*code = ROOM_E_NOT_FOUND;
		return "there is no such room";
	case ROOM_NO_ID:
		*code = ROOM_E_NO_ID;
		return "the request names no room: an id has 52 characters";
	case DK_ROOM_IS_FULL:
		return "the room has not enough seats left that are not reserved";
	case DK_ROOM_IN_ANOTHER:
		return "the user is in a room already, and leaves that one first";
	case DK_ROOM_NOT_MEMBER:
		*code = ROOM_E_NOT_MEMBER;
		return "the user is not a member of this room";
	case DK_ROOM_NOT_OWNER:
		*code = ROOM_E_OWNER;
		return "only the owner of this room may do that";
	case DK_ROOM_VETOED:
		return "a rule of this room does not let the user in";
	case DK_ROOM_MOVING:
		return "the room is on its way to another node; try again in a moment";
	case DK_ROOM_NO_NODE:
		return "no other node can take this room now";
	case ROOM_SILENT:
		return "the node of the room does not answer";
	case ROOM_NOT_TAKEN:
		return "the node of the room could not take the user in";
	case DK_ROOM_TOO_FAST:
		return "the user says more in a second than this node relays";
	case DK_ROOM_NO_RESERVATION:
		return "nothing is reserved for one of these users";
	default:
		return NULL;
	}
}

int room_refuse(struct dk_call *call, uint32_t code, int rc)
{
	const char *text = why(rc, &code);

	return text ? dk_refuse(call, code, "%s", text) : rc;
}

int room_refuse_named(struct dk_call *call, uint32_t code, int rc, dk_str id)
{
	return room_refuse(call, code, rc == DK_ROOM_GONE && id.n != DK_ID52_LEN ? ROOM_NO_ID : rc);
}

int room_refuse_members(struct dk_call *call, uint32_t code, struct dk_list members)
{
	unsigned n = members.n;
	dk_str uid;

	while (n <= DK_ROOM_MEMBERS_MAX && dk_list_next(&members, &uid))
		if (!uid.n || uid.n > DK_UID_MAX)
			return dk_refuse(call, code, "members: expected uids of 1 to %d bytes, found one of %zu", DK_UID_MAX,
					 uid.n);
	return dk_refuse(call, code, "members: expected a list of 1 to %d uids, found %u", DK_ROOM_MEMBERS_MAX, n);
}

void room_tell_refusal(struct rooms *s, dk_id user, uint16_t cmd, uint32_t code, int rc)
{
	const char *text = why(rc, &code);
	enum dk_status status = text ? DK_STATUS_BAD : DK_STATUS_ERR;
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	int sent = dk_error_body(s, status, text ? code : DK_E_INTERNAL, text ? text : dk_err_text(rc), &w);

	s->user->respond(s->user, user, ROOM_VER, cmd, (enum dk_status)sent, dk_written(&w), DK_RELIABLE);
}

bool room_hidden(const struct rooms *s, const struct dk_call *call)
{
	const struct room_conf *c = room_conf(s);
	bool first = call->cmd >= ROOM_CMD_CREATE && call->cmd <= ROOM_CMD_BROADCAST, second = call->cmd >= ROOM_CMD_PUFFER_CREATE;
	bool open = first ? c->expose_commands : second ? c->expose_puffer : c->expose_commands || c->expose_puffer;

	return !open && call->origin == DK_FROM_USER;
}

int room_refuse_hidden(struct dk_call *call)
{
	return dk_refuse(call, ROOM_E_OTHER, "room commands are not open to clients on this node");
}

dk_id room_named(struct rooms *s, dk_str text)
{
	struct dk_id52 id;

	if (text.n != DK_ID52_LEN)
		return 0;
	memcpy(id.c, text.p, DK_ID52_LEN);
	return s->svc.find(&s->svc, &id);
}

/* ---- coming and going ---- */

/* Create and join have one answer, in either form. */
static int answer_with(struct rooms *s, struct dk_call *call, uint32_t code, dk_id room)
{
	struct dk_room_info info;

	if (s->svc.info(&s->svc, room, &info))
		return room_refuse(call, code, DK_ROOM_GONE);
	return call->cmd < ROOM_CMD_PUFFER_CREATE
		       ? room_on_join_answer(call, info.created_s, &info.id)
		       : room_on_puffer_join_answer(call, info.created_s, dk_str_n(info.id.c, DK_ID52_LEN));
}

int room_on_create(struct rooms *s, struct dk_call *call, uint16_t max_members, bool allow_empty, bool join, uint16_t ttl_s,
		   uint16_t unused, uint32_t interval_ms)
{
	struct dk_room_opts o = {
		.max_members = max_members, .allow_empty = allow_empty, .join = join, .ttl_s = ttl_s, .interval_ms = interval_ms
	};

	(void)unused;
	return room_create_by_command(s, call, &o);
}

int room_create_by_command(struct rooms *s, struct dk_call *call, const struct dk_room_opts *o)
{
	dk_id room;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	rc = s->svc.create(&s->svc, call->user, o, &room);
	if (rc == DK_ROOM_BAD_PARAMS)
		return dk_refuse(
			call, ROOM_E_CREATE,
			"a room has 2 to 1000 seats and a time to live above 0; without allow_empty its creator has to join");
	return rc ? room_refuse(call, ROOM_E_CREATE, rc) : answer_with(s, call, ROOM_E_CREATE, room);
}

static void send_notices(void *self, uint64_t unused)
{
	struct rooms *s = self;
	struct room_notice *m = s->notices;

	(void)unused;
	s->notices = NULL;
	while (m) {
		struct room_notice *next = m->next;

		room_welcome(s, m->room, ROOM_VER, ROOM_CMD_JOIN, dk_slice_n(m->bytes, m->n), m->new_owner);
		dk_free(s, m, sizeof(*m) + m->n);
		m = next;
	}
}

static void welcome_later(struct rooms *s, dk_id room, dk_slice message, bool new_owner)
{
	struct room_notice *m;

	if (!message.n && !new_owner)
		return;
	m = dk_alloc(s, sizeof(*m) + message.n);
	if (m && !s->notices && dk_defer(s, send_notices, 0) < 0) {
		dk_free(s, m, sizeof(*m) + message.n);
		m = NULL;
	}
	if (!m) {
		room_welcome(s, room, ROOM_VER, ROOM_CMD_JOIN, message, new_owner);
		return;
	}
	m->room = room;
	m->new_owner = new_owner;
	m->n = (uint32_t)message.n;
	if (message.n)
		memcpy(m->bytes, message.p, message.n);
	if (!s->notices)
		s->notice_tail = &s->notices;
	*s->notice_tail = m;
	s->notice_tail = &m->next;
}

dk_slice room_join_message(uint16_t cmd, dk_slice payload)
{
	struct dk_cursor c = dk_cursor_of(payload);

	if (cmd == ROOM_CMD_RAND_JOIN) {
		dk_rd_u32(&c); /* interval_ms, max_members */
		dk_rd_u16(&c);
	}
	if (cmd == ROOM_CMD_RAND_JOIN || cmd == ROOM_CMD_PUFFER_JOIN)
		return dk_rd_bytes16(&c);
	dk_rd_take(&c, DK_ID52_LEN);
	return dk_rd_rest(&c);
}

void room_answered(struct rooms *s, dk_id user, uint16_t cmd, dk_slice payload, dk_slice body)
{
	struct dk_answered a = {
		.in = { .ver = ROOM_VER, .origin = DK_FROM_ELSEWHERE, .cmd = cmd, .user = user, .payload = payload }, .body = body
	};

	a.in.deadline = dk_now(s) + HOOKS_MS;
	dk_dispatch(s, &a.in);
}

int room_on_join(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, dk_slice message)
{
	dk_id room = s->svc.find(&s->svc, id);
	bool new_owner;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (message.n > (size_t)room_conf(s)->max_message)
		rc = DK_TOO_LONG;
	else if (room_store_of(&s->store, call->user))
		rc = room_store_of(&s->store, call->user) == room ? DK_EXISTS : DK_ROOM_IN_ANOTHER;
	else if (!room)
		rc = room_remote_join(s, call->user, call->id, call->cmd, id, call->payload);
	else if (room_any(s, room)->phase == ROOM_FROZEN)
		rc = room_wait(s, room_any(s, room), call->id);
	else
		rc = room_enter(s, room, call->user, message, &new_owner);
	if (rc == DK_LATER)
		return rc;
	if (rc)
		return room_refuse(call, ROOM_E_JOIN, rc);
	welcome_later(s, room, message, new_owner);
	return answer_with(s, call, ROOM_E_JOIN, room);
}

int room_on_leave(struct rooms *s, struct dk_call *call, const struct dk_id52 *id, dk_slice message)
{
	dk_id room = s->svc.find(&s->svc, id);
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	rc = message.n > (size_t)room_conf(s)->max_message
		     ? DK_TOO_LONG
		     : s->svc.leave(&s->svc, room, call->user, ROOM_VER, ROOM_CMD_LEAVE, message);
	return rc ? room_refuse(call, ROOM_E_LEAVE, rc) : room_on_leave_answer(call);
}

int room_on_migrate(struct rooms *s, struct dk_call *call)
{
	struct room *r = room_any(s, room_store_of(&s->store, call->user));
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (!r)
		rc = DK_ROOM_NOT_MEMBER;
	else if (r->owner != call->user)
		rc = DK_ROOM_NOT_OWNER;
	else
		rc = room_move_by_command(s, r, call);
	return rc == DK_LATER ? rc : room_refuse(call, ROOM_E_MIGRATE, rc);
}

/* ---- speaking ---- */

__attribute__((noinline)) int room_by_other_id(struct rooms *s, dk_id room, const uint8_t *bytes)
{
	struct dk_id52 id;
	dk_id by_name;

	memcpy(id.c, bytes, DK_ID52_LEN);
	by_name = s->svc.find(&s->svc, &id);
	if (!by_name)
		return DK_ROOM_GONE;
	return by_name == room ? 0 : DK_ROOM_NOT_MEMBER;
}

/* The hottest path of the node: no allocation, no hash, one comparison of ids. */
int room_on_broadcast(struct rooms *s, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	bool reliable = dk_rd_u8(&c) != 0;
	const uint8_t *id = dk_rd_take(&c, DK_ID52_LEN);
	dk_slice message = dk_rd_rest(&c);
	dk_id room = room_store_of(&s->store, call->user);
	const struct room *r = room_store_get(&s->store, room);
	int rc = 0;

	if (!id)
		return dk_refuse(call, DK_E_SHORT, "room.broadcast: the payload of %zu bytes ends before parameter room",
				 call->payload.n);
	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (!r || memcmp(r->id.c, id, DK_ID52_LEN) != 0)
		rc = room_by_other_id(s, room, id);
	if (rc == 0)
		rc = s->svc.broadcast(&s->svc, room, call->user, ROOM_VER, ROOM_CMD_BROADCAST, message, reliable);
	return rc ? room_refuse(call, ROOM_E_OTHER, rc) : 0;
}

int room_on_message(struct rooms *s, struct dk_call *call, struct dk_list members, dk_slice message, bool reliable, dk_str id)
{
	dk_id room = room_named(s, id);
	dk_id *to;
	dk_str uid;
	size_t n = 0;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (members.n > DK_ROOM_MEMBERS_MAX)
		return room_refuse_members(call, ROOM_E_OTHER, members);
	to = dk_scratch(s, members.n * sizeof(*to) + 1);
	if (!to)
		return -ENOMEM;
	while (dk_list_next(&members, &uid))
		to[n++] = s->user->by_uid(s->user, uid);
	rc = s->svc.message(&s->svc, room, call->user, to, n, ROOM_VER, ROOM_CMD_MESSAGE, message, reliable);
	return rc ? room_refuse_named(call, ROOM_E_OTHER, rc, id) : 0;
}

/* ---- looking ---- */

int room_as_member(struct rooms *s, const struct dk_call *call, dk_str id, dk_id *ret_room)
{
	dk_id room = room_named(s, id);

	if (!room)
		return id.n == DK_ID52_LEN ? DK_ROOM_GONE : ROOM_NO_ID;
	if (!s->svc.is_member(&s->svc, room, call->user))
		return room_record_refusal(s, room, call->user, ROOM_REFUSED_MEMBER, DK_ROOM_NOT_MEMBER);
	*ret_room = room;
	return 0;
}

int room_on_owner_id(struct rooms *s, struct dk_call *call, dk_str id)
{
	struct dk_room_info info;
	dk_id room;
	int rc = room_as_member(s, call, id, &room);

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (rc)
		return room_refuse(call, ROOM_E_OTHER, rc);
	s->svc.info(&s->svc, room, &info);
	return room_on_owner_id_answer(call, s->user->uid(s->user, info.owner));
}

int room_on_member_ids(struct rooms *s, struct dk_call *call, dk_str id)
{
	size_t n, bytes = 0;
	const dk_id *members;
	struct dk_room_info info;
	struct dk_list list;
	struct dk_writer w;
	dk_id room;
	int rc = room_as_member(s, call, id, &room);

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (rc)
		return room_refuse(call, ROOM_E_OTHER, rc);
	s->svc.info(&s->svc, room, &info);
	members = s->svc.members(&s->svc, room, &n);
	for (size_t i = 0; i < n; i++)
		bytes += 2 + s->user->uid(s->user, members[i]).n;
	w = dk_writer_on(dk_scratch(s, bytes), bytes);
	if (!w.start)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		dk_wr_bytes16(&w, dk_slice_of(s->user->uid(s->user, members[i])));
	list = (struct dk_list){ dk_written(&w), (uint16_t)n };
	return room_on_member_ids_answer(call, list, s->user->uid(s->user, info.owner));
}

int room_on_count_members(struct rooms *s, struct dk_call *call, dk_str id)
{
	struct dk_room_info info;
	struct dk_id52 id52;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	rc = s->svc.info(&s->svc, room_named(s, id), &info);
	if (rc && id.n == DK_ID52_LEN) {
		memcpy(id52.c, id.p, DK_ID52_LEN);
		rc = room_remote_look(s, call->id, &id52);
	}
	if (rc == DK_LATER)
		return rc;
	if (rc)
		return room_refuse_named(call, ROOM_E_COUNT, rc, id);
	return room_on_count_members_answer(call, info.members, info.max_members, id);
}

int room_on_backups(struct rooms *s, struct dk_call *call, dk_str id)
{
	uint8_t buf[ROOM_ADDRESSES_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	const struct room *r;
	dk_id room;
	int rc = room_as_member(s, call, id, &room);

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (rc)
		return room_refuse(call, ROOM_E_OTHER, rc);
	/* Clients of a node without a cluster do not look for their room elsewhere: they wait for the node as long as they can. */
	if (!s->cluster)
		return dk_refuse(call, ROOM_E_OTHER, "this node belongs to no cluster; nobody keeps copies of its rooms");
	r = room_any(s, room);
	return room_on_backups_answer(call, room_addresses(s, r, call->user, &w), dk_str_n(r->id.c, DK_ID52_LEN));
}

/* ---- reservations ---- */

typedef int reserve_fn(struct dk_room *svc, dk_id room, dk_id by, const dk_str *uids, size_t n, bool must_be_owner);

static int reserve(struct rooms *s, struct dk_call *call, uint32_t code, reserve_fn *fn, struct dk_list list, dk_str id)
{
	struct dk_list named = list;
	dk_str *uids;
	size_t n = 0;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (list.n > DK_ROOM_MEMBERS_MAX)
		return room_refuse_members(call, code, list);
	uids = dk_scratch(s, list.n * sizeof(*uids) + 1);
	if (!uids)
		return -ENOMEM;
	while (dk_list_next(&list, &uids[n]))
		n++;
	rc = fn(&s->svc, room_named(s, id), call->user, uids, n, true);
	if (rc == DK_ROOM_BAD_PARAMS)
		return room_refuse_members(call, code, named);
	return rc ? room_refuse_named(call, code, rc, id) : dk_answer(call, dk_slice_n(NULL, 0));
}

int room_on_reserve(struct rooms *s, struct dk_call *call, struct dk_list members, dk_str room)
{
	return reserve(s, call, ROOM_E_RESERVE, s->svc.reserve, members, room);
}

int room_on_cancel_reserve(struct rooms *s, struct dk_call *call, struct dk_list members, dk_str room)
{
	return reserve(s, call, ROOM_E_CANCEL_RESERVE, s->svc.cancel_reservation, members, room);
}

void room_client_fini(struct rooms *s)
{
	while (s->notices) {
		struct room_notice *m = s->notices;

		s->notices = m->next;
		dk_free(s, m, sizeof(*m) + m->n);
	}
}
