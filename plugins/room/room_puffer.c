/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second set of commands: what is not in puffer form in the first, once more in that form, for clients whose code is made from
 * puffer definitions. The same functions do the work, and what is pushed is the same; only requests and answers look different. A
 * room that moves still answers its members as 101 does, for it does not know by which command they came.
 */
#include "room_state.h"

static bool id_of(dk_str text, struct dk_id52 *ret_id)
{
	if (text.n != DK_ID52_LEN)
		return false;
	memcpy(ret_id->c, text.p, DK_ID52_LEN);
	return true;
}

int room_on_puffer_create(struct rooms *s, struct dk_call *call, bool allow_empty, uint32_t interval_ms, bool join,
			  uint16_t max_members, uint16_t ttl_s)
{
	struct dk_room_opts o = {
		.max_members = max_members, .allow_empty = allow_empty, .join = join, .ttl_s = ttl_s, .interval_ms = interval_ms
	};

	return room_create_by_command(s, call, &o);
}

int room_on_puffer_join(struct rooms *s, struct dk_call *call, dk_slice message, dk_str room)
{
	struct dk_id52 id;

	return id_of(room, &id) ? room_on_join(s, call, &id, message) : room_refuse(call, ROOM_E_JOIN, ROOM_NO_ID);
}

int room_puffer_join_again(struct rooms *s, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(call->payload);
	dk_slice message = dk_rd_bytes16(&c);

	return room_on_puffer_join(s, call, message, dk_str_of(dk_rd_bytes16(&c)));
}

int room_on_puffer_leave(struct rooms *s, struct dk_call *call, dk_slice message, dk_str room)
{
	struct dk_id52 id;

	return id_of(room, &id) ? room_on_leave(s, call, &id, message) : room_refuse(call, ROOM_E_LEAVE, ROOM_NO_ID);
}

int room_on_puffer_broadcast(struct rooms *s, struct dk_call *call, dk_slice message, bool reliable, dk_str id)
{
	dk_id room = room_named(s, id);
	int rc;

	if (room_hidden(s, call))
		return room_refuse_hidden(call);
	rc = s->svc.broadcast(&s->svc, room, call->user, ROOM_VER, ROOM_CMD_BROADCAST, message, reliable);
	return rc ? room_refuse_named(call, ROOM_E_OTHER, rc, id) : 0;
}
