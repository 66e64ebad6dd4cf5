/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relays: what a member says to the others, or to some of them, and never to itself. A relay waits for no tick, joins no list and
 * has no head: the push is the message, in a frame of its own. What is gathered for the tick is not waited for, so a relay may
 * overtake broadcasts.
 *
 * A profile is a relay that says how long it takes: each receiver is told how old the message is by the time it arrives, and the
 * sender is answered with the same figures of all who got it. A figure is half the round trips of both connections, as far as their
 * transports measure one; TCP measures none.
 */
#include <errno.h>

#include "room_state.h"

static unsigned how_of(bool reliable)
{
	return (reliable ? DK_RELIABLE : DK_UNRELIABLE) | DK_ALONE;
}

/* 0, or why nothing may be sent. */
static int check(const struct rooms *s, dk_id room, dk_id sender, dk_slice message)
{
	if (!room_live(s, room))
		return room_why_not(s, room);
	if (room_store_of(&s->store, sender) != room)
		return DK_ROOM_NOT_MEMBER;
	return message.n > (size_t)room_conf(s)->max_message ? DK_TOO_LONG : 0;
}

static void count(struct rooms *s, dk_slice message, size_t sent, size_t took)
{
	s->n.relays++;
	s->n.bytes += message.n;
	s->n.pushes += took;
	s->n.lost += sent - took;
}

static int svc_relay(struct dk_room *svc, dk_id room, dk_id sender, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable)
{
	struct rooms *s = rooms_of(svc);
	int rc = check(s, room, sender, message);
	const struct room *r;
	size_t at = 0, took;

	if (s->recordings)
		room_record_send(s, room, sender, NULL, 0, ver, cmd, message, reliable, rc);
	if (rc)
		return rc;
	r = room_any(s, room);
	while (r->members[at] != sender)
		at++;
	took = s->user->push_many(s->user, r->members, at, ver, cmd, message, how_of(reliable), false);
	took += s->user->push_many(s->user, r->members + at + 1, r->member_n - at - 1u, ver, cmd, message, how_of(reliable), false);
	count(s, message, r->member_n - 1u, took);
	return 0;
}

static int svc_relay_to(struct dk_room *svc, dk_id room, dk_id sender, const dk_id *to, size_t n, uint8_t ver, uint16_t cmd,
			dk_slice message, bool reliable)
{
	struct rooms *s = rooms_of(svc);
	int rc = check(s, room, sender, message);
	size_t sent = 0, took = 0;

	if (s->recordings)
		room_record_send(s, room, sender, to, n, ver, cmd, message, reliable, rc);
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++) {
		if (to[i] == sender || room_store_of(&s->store, to[i]) != room)
			continue;
		sent++;
		took += s->user->push(s->user, to[i], ver, cmd, message, how_of(reliable)) == 0;
	}
	count(s, message, sent, took);
	return 0;
}

static int svc_sync_created(struct dk_room *svc, dk_id room, const dk_id *to, size_t n, uint8_t ver, uint16_t cmd)
{
	struct rooms *s = rooms_of(svc);
	struct room *r = room_live(s, room);
	uint8_t buf[4];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (!r)
		return room_why_not(s, room);
	dk_wr_u32(&w, r->created_s);
	if (!to) {
		room_relay_now(s, r, ver, cmd, dk_written(&w), true);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		if (room_store_of(&s->store, to[i]) != room)
			continue;
		if (s->user->push(s->user, to[i], ver, cmd, dk_written(&w), DK_RELIABLE) == 0)
			s->n.pushes++;
		else
			s->n.lost++;
	}
	return 0;
}

/* ---- profiles ---- */

/* Half of both round trips, in whole ms and at least 1; 0 = one of them is not known. */
static uint16_t age_of(uint32_t rtt_a, uint32_t rtt_b)
{
	uint32_t ms = (rtt_a + rtt_b + 1) / 2;

	if (!rtt_a || !rtt_b)
		return 0;
	return ms > UINT16_MAX ? UINT16_MAX : (uint16_t)ms;
}

/* A relay to n users, each with its age; who got it is listed: {u16 length, latency_ms u16, uid string}. */
static int profile(struct rooms *s, struct dk_call *call, uint16_t cmd, dk_id room, const dk_id *to, size_t n, dk_slice message,
		   bool reliable)
{
	dk_str sender = s->user->uid(s->user, call->user);
	uint32_t own = s->user->latency_ms(s->user, call->user);
	size_t cap = 2 + 2 + message.n + 2 + sender.n, list_cap = 0, sent = 0;
	struct dk_list list = { .n = 0 };
	struct dk_writer w, lines;

	for (size_t i = 0; i < n; i++)
		list_cap += 6 + s->user->uid(s->user, to[i]).n;
	w = dk_writer_on(dk_scratch(s, cap), cap);
	lines = dk_writer_on(dk_scratch(s, list_cap + 1), list_cap);
	if (!w.start || !lines.start)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		dk_str uid = s->user->uid(s->user, to[i]);
		uint16_t age = age_of(own, s->user->latency_ms(s->user, to[i]));

		if (to[i] == call->user || room_store_of(&s->store, to[i]) != room)
			continue;
		sent++;
		w = dk_writer_on(w.start, cap);
		room_push_relay_profile_encode(&w, age, message, sender);
		if (s->user->push(s->user, to[i], ROOM_VER, cmd, dk_written(&w), how_of(reliable)))
			continue;
		list.n++;
		dk_wr_u16(&lines, (uint16_t)(4 + uid.n));
		dk_wr_u16(&lines, age);
		dk_wr_bytes16(&lines, dk_slice_of(uid));
	}
	count(s, message, sent, list.n);
	list.bytes = dk_written(&lines);
	return room_on_relay_profile_answer(call, own > UINT16_MAX ? UINT16_MAX : (uint16_t)own, list);
}

/* ---- commands ---- */

/* The members that a list of uids names, in scratch; 0 for who is not here. NULL = no memory. */
static dk_id *users_of_list(struct rooms *s, struct dk_list uids, size_t *ret_n)
{
	dk_id *to = dk_scratch(s, uids.n * sizeof(*to) + 1);
	size_t n = 0;
	dk_str uid;

	while (to && dk_list_next(&uids, &uid))
		to[n++] = s->user->by_uid(s->user, uid);
	*ret_n = n;
	return to;
}

int room_on_relay(struct rooms *s, struct dk_call *call, dk_slice message, bool reliable, dk_str id)
{
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	rc = s->svc.relay(&s->svc, room_named(s, id), call->user, ROOM_VER, ROOM_CMD_RELAY, message, reliable);
	return rc ? room_refuse_named(call, ROOM_E_OTHER, rc, id) : 0;
}

int room_on_relay_to(struct rooms *s, struct dk_call *call, struct dk_list members, dk_slice message, bool reliable, dk_str id)
{
	dk_id *to;
	size_t n;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (members.n > DK_ROOM_MEMBERS_MAX)
		return room_refuse_members(call, ROOM_E_OTHER, members);
	to = users_of_list(s, members, &n);
	if (!to)
		return -ENOMEM;
	rc = s->svc.relay_to(&s->svc, room_named(s, id), call->user, to, n, ROOM_VER, ROOM_CMD_RELAY_TO, message, reliable);
	return rc ? room_refuse_named(call, ROOM_E_OTHER, rc, id) : 0;
}

int room_on_relay_profile(struct rooms *s, struct dk_call *call, dk_slice message, bool reliable, dk_str id)
{
	dk_id room = room_named(s, id);
	const struct room *r;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	rc = check(s, room, call->user, message);
	if (s->recordings)
		room_record_send(s, room, call->user, NULL, 0, ROOM_VER, ROOM_CMD_RELAY_PROFILE, message, reliable, rc);
	if (rc)
		return room_refuse_named(call, ROOM_E_OTHER, rc, id);
	r = room_any(s, room);
	return profile(s, call, ROOM_CMD_RELAY_PROFILE, room, r->members, r->member_n, message, reliable);
}

int room_on_relay_to_profile(struct rooms *s, struct dk_call *call, struct dk_list members, dk_slice message, bool reliable,
			     dk_str id)
{
	dk_id room = room_named(s, id), *to;
	size_t n;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (members.n > DK_ROOM_MEMBERS_MAX)
		return room_refuse_members(call, ROOM_E_OTHER, members);
	rc = check(s, room, call->user, message);
	if (rc)
		return room_refuse_named(call, ROOM_E_OTHER, rc, id);
	to = users_of_list(s, members, &n);
	return to ? profile(s, call, ROOM_CMD_RELAY_TO_PROFILE, room, to, n, message, reliable) : -ENOMEM;
}

void room_send_init(struct rooms *s)
{
	s->svc.relay = svc_relay;
	s->svc.relay_to = svc_relay_to;
	s->svc.sync_created = svc_sync_created;
}
