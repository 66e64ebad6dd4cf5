/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the home of a session does: it alone adds and removes members, so there are never more of them than seats. A join names the
 * stay by a token, so that one which is asked for twice happens once; a stay that is over cannot end a later one.
 *
 * What members are told goes as one message to each node that has some, before the answer to who caused it.
 */
#include "session_state.h"

/* ---- pushes ---- */

static size_t deliver_size(size_t tokens, size_t payload)
{
	return 2 + DK_SESSION_ID_LEN + 8 + 1 + 2 + 2 + 8 * tokens + payload;
}

static void deliver_head(struct dk_writer *w, const struct session *ss, uint8_t ver, uint16_t cmd, uint16_t n)
{
	dk_wr_bytes16(w, dk_slice_of(session_id_text(&ss->id)));
	dk_wr_u64(w, ss->number);
	dk_wr_u8(w, ver);
	dk_wr_u16(w, cmd);
	dk_wr_u16(w, n);
}

void session_push_all(struct sessions *s, struct session *ss, uint8_t ver, uint16_t cmd, dk_slice payload)
{
	size_t cap = deliver_size(0, payload.n);
	struct dk_writer w = dk_writer_on(dk_scratch(s, cap), cap);

	if (!ss->n)
		return;
	ss->number++;
	deliver_head(&w, ss, ver, cmd, 0);
	dk_wr_slice(&w, payload);
	if (w.bad) {
		s->n.push_lost += ss->n;
		return;
	}
	for (uint32_t i = 0; i < ss->spot_n; i++)
		if (ss->spots[i].n)
			session_send(s, &ss->spots[i].addr, SESSION_NODE_DELIVER, dk_written(&w));
}

void session_push_some(struct sessions *s, struct session *ss, struct session_member *const *members, size_t n, uint8_t ver,
		       uint16_t cmd, dk_slice payload)
{
	size_t cap = deliver_size(n, payload.n);
	uint8_t *buf = dk_scratch(s, cap);

	ss->number++;
	for (uint32_t i = 0; i < ss->spot_n && n; i++) {
		struct dk_writer w = dk_writer_on(buf, cap);
		uint16_t there = 0;

		for (size_t k = 0; k < n; k++)
			there += members[k]->spot == i;
		if (!there)
			continue;
		deliver_head(&w, ss, ver, cmd, there);
		for (size_t k = 0; k < n; k++)
			if (members[k]->spot == i)
				dk_wr_u64(&w, members[k]->token);
		dk_wr_slice(&w, payload);
		if (w.bad)
			s->n.push_lost += there;
		else
			session_send(s, &ss->spots[i].addr, SESSION_NODE_DELIVER, dk_written(&w));
	}
}

/* ---- members ---- */

static void on_ttl(void *self, struct dk_timer *t)
{
	session_end(self, dk_container_of(t, struct session, ttl), DK_SESSION_DELETED);
}

void session_arm_ttl(struct sessions *s, struct session *ss)
{
	dk_timer_start(s, &ss->ttl, (uint64_t)ss->ttl_s * 1000, 0, on_ttl);
}

static void tell_joined(struct sessions *s, struct session *ss, const struct session_member *m)
{
	struct dk_session_member_event ev = { ss->handle, &ss->id, ss->type, session_member_uid(m), (uint16_t)ss->n, 0 };
	struct dk_session_owner_event owner = { ss->handle, session_member_uid(m) };
	bool owns = ss->owner == m;
	uint8_t buf[2 * DK_UID_MAX + 128], name[DK_UID_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	session_push_joined_encode(&w, session_owner_uid(ss), session_id_text(&ss->id), ss->type, ev.uid);
	session_push_all(s, ss, SESSION_VER, SESSION_CMD_JOIN, dk_written(&w));
	memcpy(name, m->uid, m->uid_n);
	ev.uid = owner.uid = dk_str_n((const char *)name, m->uid_n); /* a listener may throw it out */
	dk_emit(&s->svc.joined, &ev);
	if (owns)
		dk_emit(&s->svc.owner_changed, &owner);
}

/* Whoever holds a seat under that uid leaves first: the same user may have come back by another node. */
static int add(struct sessions *s, struct session *ss, dk_str uid, uint64_t token, const uint8_t sid[16],
	       const struct dk_addr *node)
{
	struct session_member *m = session_member_find(&s->store, ss, uid);
	dk_id handle = ss->handle;
	int rc;

	if (m) {
		session_drop(s, ss, m, DK_SESSION_REPLACED);
		ss = session_store_get(&s->store, handle);
		if (!ss || ss->phase != SESSION_LIVE)
			return DK_SESSION_GONE;
	}
	rc = session_member_add(&s->store, ss, uid, token, sid, node, &m);
	if (rc) {
		s->n.full += rc == DK_SESSION_IS_FULL;
		return rc;
	}
	dk_timer_stop(&ss->ttl);
	s->n.joined++;
	session_gauges(s);
	tell_joined(s, ss, m);
	return 0;
}

int session_make(struct sessions *s, const struct dk_session_opts *opts, dk_str uid, uint64_t token, const uint8_t sid[16],
		 struct session **ret_session)
{
	struct dk_session_event ev = { .type = opts->type };
	struct dk_session_id id;
	struct session *ss;
	int rc = session_id_new(s, &id);

	if (rc == 0)
		rc = session_store_add(&s->store, &id, opts->type, opts->max_members, &ss);
	if (rc)
		return rc;
	ss->ttl_s = opts->ttl_s < DK_SESSION_TTL_MIN_S ? DK_SESSION_TTL_MIN_S : opts->ttl_s;
	session_begin_epoch(ss, 1);
	s->n.created++;
	session_gauges(s);
	ev.session = ss->handle;
	ev.id = &id;
	dk_emit(&s->svc.created, &ev);
	ss = session_store_get(&s->store, ev.session);
	rc = ss ? add(s, ss, uid, token, sid, dk_node_addr(s)) : DK_REFUSED;
	ss = session_store_get(&s->store, ev.session);
	if (rc == 0 && ss) {
		*ret_session = ss;
		return 0;
	}
	if (ss)
		session_end(s, ss, DK_SESSION_DELETED);
	return rc ? rc : DK_REFUSED;
}

static void tell_left(struct sessions *s, struct session *ss, dk_str uid, enum dk_session_reason reason)
{
	uint8_t buf[2 * DK_UID_MAX + 128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	session_push_left_encode(&w, session_owner_uid(ss), (uint8_t)reason, session_id_text(&ss->id), ss->type, uid);
	session_push_all(s, ss, SESSION_VER, SESSION_CMD_LEAVE, dk_written(&w));
}

void session_drop(struct sessions *s, struct session *ss, struct session_member *m, enum dk_session_reason reason)
{
	struct dk_session_member_event ev = { ss->handle, &ss->id, ss->type, session_member_uid(m), (uint16_t)(ss->n - 1), reason };
	struct dk_session_owner_event owner = { .session = ss->handle };
	struct dk_addr node = ss->spots[m->spot].addr;
	uint8_t uid[DK_UID_MAX], buf[DK_SESSION_ID_LEN + 16];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	bool succeeded;

	memcpy(uid, m->uid, m->uid_n);
	ev.uid = dk_str_n((const char *)uid, m->uid_n);
	session_on_kicked_pack(&w, session_id_text(&ss->id), m->token, (uint8_t)reason);
	succeeded = session_member_remove(&s->store, ss, m);
	s->n.left++;
	s->n.cut_off += reason == DK_SESSION_CUT_OFF;
	s->n.kicked += reason == DK_SESSION_KICKED;
	s->n.lapsed += reason == DK_SESSION_LAPSED;
	session_gauges(s);
	if (!ss->n && ss->phase == SESSION_LIVE)
		session_arm_ttl(s, ss);
	if (reason != DK_SESSION_LEFT && reason != DK_SESSION_CUT_OFF)
		session_send(s, &node, SESSION_NODE_KICKED, dk_written(&w));
	tell_left(s, ss, ev.uid, reason);
	dk_emit(&s->svc.left, &ev);
	ss = session_store_get(&s->store, owner.session);
	if (!succeeded || !ss || ss->phase != SESSION_LIVE)
		return;
	owner.uid = session_owner_uid(ss);
	dk_emit(&s->svc.owner_changed, &owner);
}

/* ---- rows ---- */

static int say_elsewhere(struct dk_call *call, const struct dk_addr *home)
{
	uint8_t buf[1 + SESSION_ADDR_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u8(&w, SESSION_ELSEWHERE);
	session_wr_addr(&w, home);
	return dk_answer(call, dk_written(&w));
}

struct session *session_called(struct sessions *s, struct dk_call *call, dk_str session, bool changes)
{
	const struct session_former *f;
	struct dk_session_id id;
	struct session *ss;

	if (!session_id_ok(session, &id)) {
		s->n.malformed++;
		session_say_outcome(call, DK_SESSION_GONE);
		return NULL;
	}
	ss = session_store_find(&s->store, &id);
	if (ss && (ss->phase == SESSION_LIVE || (ss->phase == SESSION_LEAVING && !changes)))
		return ss;
	f = ss ? NULL : session_former_get(s, &id);
	if (f)
		say_elsewhere(call, &f->home);
	else
		session_say_outcome(call, ss && ss->phase == SESSION_LEAVING ? SESSION_WAIT : DK_SESSION_GONE);
	return NULL;
}

int session_on_enter(struct sessions *s, struct dk_call *call, dk_str session, uint64_t token, uint8_t type, dk_str uid,
		     dk_slice sid)
{
	struct session *ss = session_called(s, call, session, true);
	struct dk_session_join ask = { .type = type, .uid = uid, .sid = sid.p, .node = call->from };
	struct session_member *m;

	if (!ss)
		return 0;
	if (sid.n != 16 || !uid.n || uid.n > DK_UID_MAX) {
		s->n.malformed++;
		return session_say_outcome(call, -EINVAL);
	}
	if (ss->type != type)
		return session_say_outcome(call, DK_SESSION_OTHER_TYPE);
	m = session_member_find(&s->store, ss, uid);
	if (m && m->token == token) /* asked twice */
		return session_say_outcome(call, 0);
	ask.session = ss->handle;
	ask.id = &ss->id;
	ask.members = (uint16_t)ss->n;
	if (dk_ask(&s->svc.may_join, &ask)) {
		s->n.vetoed++;
		return session_say_outcome(call, DK_SESSION_VETOED);
	}
	ss = session_store_get(&s->store, ask.session);
	if (!ss || ss->phase != SESSION_LIVE)
		return session_say_outcome(call, DK_SESSION_GONE);
	return session_say_outcome(call, add(s, ss, uid, token, sid.p, &call->from));
}

int session_on_exit(struct sessions *s, struct dk_call *call, dk_str session, uint64_t token, uint16_t hops, uint8_t reason,
		    dk_str uid)
{
	struct session *ss = session_called(s, call, session, true);
	struct session_member *m;

	if (!ss)
		return 0;
	m = session_member_find(&s->store, ss, uid);
	if (!m || m->token != token || hops < m->hops) /* it is on another node since */
		return session_say_outcome(call, DK_SESSION_NOT_MEMBER);
	session_drop(s, ss, m, reason == DK_SESSION_CUT_OFF ? DK_SESSION_CUT_OFF : DK_SESSION_LEFT);
	return session_say_outcome(call, 0);
}

/* A member by its token, or code, which needs none. */
static bool may_speak(struct sessions *s, const struct session *ss, dk_str uid, uint64_t token)
{
	const struct session_member *m = token ? session_member_find(&s->store, ss, uid) : NULL;

	return !token || (m && m->token == token);
}

int session_say(struct sessions *s, struct session *ss, uint64_t token, dk_str uid, uint8_t ver, uint16_t cmd, struct dk_list uids,
		dk_slice message)
{
	struct session_member *to[DK_SESSION_INVITES_MAX];
	bool some = uids.n > 0;
	size_t n = 0;
	dk_str name;

	if (!may_speak(s, ss, uid, token))
		return DK_SESSION_NOT_MEMBER;
	if (uids.n > DK_SESSION_INVITES_MAX)
		return DK_SESSION_BAD_PARAMS;
	while (dk_list_next(&uids, &name)) {
		struct session_member *m = session_member_find(&s->store, ss, name);
		size_t i = 0;

		while (i < n && to[i] != m)
			i++;
		if (m && i == n) /* once, however often it is named */
			to[n++] = m;
	}
	s->n.messages++;
	s->n.bytes += message.n;
	if (some)
		session_push_some(s, ss, to, n, ver, cmd, message);
	else
		session_push_all(s, ss, ver, cmd, message);
	return 0;
}

int session_on_say(struct sessions *s, struct dk_call *call, dk_str session, uint64_t token, dk_str uid, uint8_t ver, uint16_t cmd,
		   struct dk_list uids, dk_slice message)
{
	struct session *ss = session_called(s, call, session, true);

	return ss ? session_say_outcome(call, session_say(s, ss, token, uid, ver, cmd, uids, message)) : 0;
}

int session_on_throw_out(struct sessions *s, struct dk_call *call, dk_str session, uint64_t token, dk_str by, dk_str uid)
{
	struct session *ss = session_called(s, call, session, true);
	struct session_member *m;

	if (!ss)
		return 0;
	if (!may_speak(s, ss, by, token))
		return session_say_outcome(call, DK_SESSION_NOT_MEMBER);
	if (token && (!ss->owner || ss->owner->token != token))
		return session_say_outcome(call, DK_SESSION_NOT_OWNER);
	m = session_member_find(&s->store, ss, uid);
	if (!m)
		return session_say_outcome(call, DK_SESSION_NOT_MEMBER);
	session_drop(s, ss, m, DK_SESSION_KICKED);
	return session_say_outcome(call, 0);
}
