/* SPDX-License-Identifier: Apache-2.0 */
/* States, as clients may set, count and hear them. */
#include "room_sync.h"

#include <errno.h>

static int refuse(struct dk_call *call, int rc)
{
	switch (rc) {
	case -EINVAL:
		return dk_refuse(call, ROOM_E_OTHER, "a state has a key and a value, of %u bytes together at most",
				 DK_ROOM_STATE_MAX);
	case DK_FULL:
		return dk_refuse(call, ROOM_E_OTHER, "the room has as many states as it may have");
	case DK_ROOM_NO_STATES:
		return dk_refuse(call, ROOM_E_OTHER, "this room keeps no states for its members");
	default:
		return room_refuse(call, ROOM_E_OTHER, rc);
	}
}

/* The caller's room, if that is its id and its members may set states. */
static int open_room(struct rooms *s, const struct dk_call *call, const uint8_t *id, struct room **ret_room)
{
	dk_id room = room_store_of(&s->store, call->user);
	struct room *r = room_any(s, room);
	int rc = 0;

	if (!r || memcmp(r->id.c, id, DK_ID52_LEN) != 0)
		rc = room_by_other_id(s, room, id);
	if (rc)
		return rc;
	if (r->phase != ROOM_LIVE)
		rc = room_why_not(s, room);
	else if (!r->sync || r->sync->o.closed)
		rc = DK_ROOM_NO_STATES;
	if (rc)
		return room_record_refusal(s, room, call->user, ROOM_REFUSED_STATES, rc);
	*ret_room = r;
	return 0;
}

/* As often as a player moves: no allocation but for the first value of a key. */
int room_on_state_update(struct rooms *s, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	bool reliable = dk_rd_u8(&c) != 0, linked = dk_rd_u8(&c) != 0;
	const uint8_t *id = dk_rd_take(&c, DK_ID52_LEN);
	dk_slice key = dk_rd_bytes16(&c);
	struct room *r;
	int rc;

	if (c.bad)
		return dk_refuse(call, DK_E_SHORT, "room.state_update: the payload of %zu bytes ends before its value",
				 call->payload.n);
	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	rc = open_room(s, call, id, &r);
	if (rc == 0)
		rc = room_sync_set(s, r, key, dk_rd_rest(&c), linked ? call->user : 0, reliable);
	return rc ? refuse(call, rc) : 0;
}

/* A number of 8 bytes, big-endian. */
struct sum {
	int64_t delta, value;
	bool bad;
	uint8_t bytes[8];
};

static dk_slice add_up(void *arg, bool exists, dk_slice current)
{
	struct dk_cursor c = dk_cursor_of(current);
	struct sum *sum = arg;
	int64_t before = exists ? (int64_t)dk_rd_u64(&c) : 0;
	struct dk_writer w = dk_writer_on(sum->bytes, sizeof(sum->bytes));

	sum->bad = (exists && !dk_rd_done(&c)) || __builtin_add_overflow(before, sum->delta, &sum->value);
	if (sum->bad)
		return dk_slice_n(NULL, 0);
	dk_wr_u64(&w, (uint64_t)sum->value);
	return dk_written(&w);
}

int room_on_state_incr(struct rooms *s, struct dk_call *call, bool reliable, bool linked, const struct dk_id52 *id, dk_str key,
		       int64_t delta)
{
	struct sum sum = { .delta = delta };
	struct room *r;
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	rc = open_room(s, call, (const uint8_t *)id->c, &r);
	if (rc == 0)
		rc = s->svc.upsert_state(&s->svc, r->handle, dk_slice_of(key), linked ? call->user : 0, reliable, add_up, &sum);
	if (rc)
		return refuse(call, rc);
	if (sum.bad) {
		s->n.states_refused++;
		return dk_refuse(call, ROOM_E_OTHER, "the state is no number of 8 bytes, or would not be one any more");
	}
	return room_on_state_incr_answer(call, sum.value);
}

int room_on_state_sync(struct rooms *s, struct dk_call *call, const struct dk_id52 *id)
{
	dk_id room = s->svc.find(&s->svc, id);
	struct room *r = room_live(s, room);
	int rc = 0;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	if (!r)
		rc = room_why_not(s, room);
	else if (room_store_of(&s->store, call->user) != room)
		rc = DK_ROOM_NOT_MEMBER;
	else if (!r->sync)
		rc = DK_ROOM_NO_STATES;
	if (rc)
		return refuse(call, room_record_refusal(s, room, call->user, ROOM_REFUSED_STATES, rc));
	room_sync_greet(s, r->sync, call->user, 0); /* after the reply */
	if (r->recorded)
		room_record(s, r,
			    &(struct room_log_event){ .kind = ROOM_LOG_STATE_SYNC, .uid = s->user->uid(s->user, call->user) });
	return room_on_state_sync_answer(call);
}
