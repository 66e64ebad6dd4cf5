/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users as rows, found by handle, uid and sid; how one begins and how it ends. A row and its peer come and go together. Two users
 * share a uid only between the moment in which the second is made and the one in which everybody was told of it.
 */
#include <errno.h>

#include "user_state.h"

enum { CMD_GOODBYE = 6 }; /* of version 0 */

dk_str user_uid(const struct user *u)
{
	return dk_str_n(u->uid_n > USER_UID_NEAR ? u->uid.far : u->uid.near, u->uid_n);
}

struct dk_transport *user_transport_of_type(const struct users *s, dk_str type, uint8_t *ret_index)
{
	for (size_t i = 0; i < s->transports.n; i++)
		if (dk_str_eq(dk_str_c(s->transports.at[i]->type), type)) {
			*ret_index = (uint8_t)i;
			return s->transports.at[i];
		}
	return NULL;
}

/* ---- uid and sid ---- */

static uint32_t uid_hash(struct users *s, dk_str uid)
{
	return (uint32_t)dk_hash(s, dk_slice_of(uid));
}

/* Only sids made of random bytes by some node of ours are in the map, so their own bits will do. */
static uint32_t sid_hash(const uint8_t *sid)
{
	uint32_t h;

	memcpy(&h, sid, sizeof(h));
	return h;
}

static bool uid_eq(const void *arg, uint32_t slot, const void *key)
{
	const struct users *s = arg;
	const struct user *u = user_get(s, dk_table_id_at(&s->table, slot));

	return u && dk_str_eq(user_uid(u), *(const dk_str *)key);
}

static bool sid_eq(const void *arg, uint32_t slot, const void *key)
{
	const struct users *s = arg;
	const struct user *u = user_get(s, dk_table_id_at(&s->table, slot));

	return u && memcmp(u->sid, key, sizeof(u->sid)) == 0;
}

dk_id user_find_uid(struct users *s, dk_str uid)
{
	uint32_t slot = dk_map_find(&s->by_uid, uid_hash(s, uid), uid_eq, s, &uid);

	return slot == DK_MAP_NONE ? 0 : dk_table_id_at(&s->table, slot);
}

dk_id user_find_sid(struct users *s, const uint8_t sid[16])
{
	uint32_t slot = dk_map_find(&s->by_sid, sid_hash(sid), sid_eq, s, sid);

	return slot == DK_MAP_NONE ? 0 : dk_table_id_at(&s->table, slot);
}

bool user_uid_ok(dk_str uid)
{
	if (!uid.n || uid.n > DK_UID_MAX)
		return false;
	for (size_t i = 0; i < uid.n; i++)
		if ((unsigned char)uid.p[i] < 0x20 || uid.p[i] == 0x7f)
			return false;
	return true;
}

/* ---- rows ---- */

void user_row_free(struct users *s, dk_id id, struct user *u)
{
	dk_map_remove(&s->by_uid, uid_hash(s, user_uid(u)), dk_id_slot(id));
	dk_map_remove(&s->by_sid, sid_hash(u->sid), dk_id_slot(id));
	user_queue_free(s, &u->queue);
	user_arrival_free(s, u);
	user_again_free(s, u);
	user_more_free(s, u);
	if (u->uid_n > USER_UID_NEAR)
		dk_free(s, u->uid.far, u->uid_n);
	dk_table_remove(&s->table, id);
}

int user_row_new(struct users *s, dk_str uid, const uint8_t sid[16], dk_id *ret_id, struct user **ret_user)
{
	struct user *u;
	dk_id id;

	u = dk_table_add(&s->table, &id);
	if (!u)
		return DK_FULL;
	u->uid_n = uid.n & 0x7fff;
	if (uid.n > USER_UID_NEAR) {
		u->uid.far = dk_alloc(s, uid.n);
		if (!u->uid.far)
			goto no_memory;
		memcpy(u->uid.far, uid.p, uid.n);
	} else {
		memcpy(u->uid.near, uid.p, uid.n);
	}
	u->transport = USER_NO_TRANSPORT;
	u->login_s = (uint32_t)(dk_wall_ns(s) / 1000000000);
	memcpy(u->sid, sid, sizeof(u->sid));
	if (dk_map_put(s, &s->by_sid, sid_hash(sid), dk_id_slot(id)) < 0)
		goto no_sid;
	if (dk_map_put(s, &s->by_uid, uid_hash(s, uid), dk_id_slot(id)) < 0)
		goto no_uid;
	*ret_id = id;
	*ret_user = u;
	return 0;

no_uid:
	dk_map_remove(&s->by_sid, sid_hash(sid), dk_id_slot(id));
no_sid:
	if (u->uid_n > USER_UID_NEAR)
		dk_free(s, u->uid.far, u->uid_n);
no_memory:
	dk_table_remove(&s->table, id);
	return -ENOMEM;
}

/* ---- beginning and end ---- */

int user_new(struct users *s, dk_str uid, dk_str type, const struct dk_credential *cred, dk_id *ret_id, struct user **ret_user)
{
	uint8_t index = USER_NO_TRANSPORT;
	struct dk_transport *t;
	struct user *u;
	dk_id id, peer;
	int rc;

	if (!user_uid_ok(uid))
		return DK_USER_BAD_UID;
	t = user_transport_of_type(s, type, &index);
	if (!t)
		return DK_USER_NO_TRANSPORT;
	rc = user_row_new(s, uid, cred->sid, &id, &u);
	if (rc)
		return rc;
	rc = t->admit(t, cred, id, &peer);
	if (rc) {
		user_row_free(s, id, u);
		return rc == DK_EXISTS ? -EEXIST : rc;
	}
	u->peer = peer;
	u->transport = index;
	s->n.users++;
	user_count_changed(s);
	*ret_id = id;
	*ret_user = u;
	return 0;
}

void user_settle(struct users *s, dk_id id, dk_id old_id, void (*tell)(struct users *s, dk_id id, void *arg), void *arg)
{
	const struct user *old = user_get(s, old_id), *u;

	if (old)
		dk_map_remove(&s->by_uid, uid_hash(s, user_uid(old)), dk_id_slot(old_id));
	tell(s, id, arg);
	old = user_get(s, old_id);
	u = user_get(s, id);
	if (!old || !u)
		return;
	s->n.replaced++;
	dk_emit(&s->svc.sid_updated, &((struct dk_user_sid_updated){ old_id, id, old->sid, u->sid }));
	user_discard(s, old_id, DK_REASON_REPLACED);
}

/* Why this node ends a connection that is whole; docs/WIRE.md 9. */
static void say_goodbye(struct dk_transport *t, dk_id peer, enum dk_reason reason)
{
	static const struct {
		uint16_t said;
		const char *text;
	} words[] = {
		[DK_REASON_SHUTDOWN] = { 1, "the server shuts down" },
		[DK_REASON_REPLACED] = { 2, "the same user id has logged in anew" },
		[DK_REASON_SERVER] = { 3, "the server's application ended the connection" },
	};
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_frame f = { .status = DK_STATUS_PUSH, .cmd = CMD_GOODBYE };

	if (reason >= DK_ARRAY_LEN(words) || !words[reason].said)
		return;
	dk_wr_u16(&w, words[reason].said);
	dk_wr_bytes16(&w, dk_slice_of(dk_str_c(words[reason].text)));
	f.payload = dk_written(&w);
	t->send(t, peer, &f, DK_RELIABLE); /* who takes no more hears no word */
}

void user_discard(struct users *s, dk_id id, enum dk_reason reason)
{
	struct user *u = user_get(s, id);
	struct dk_user_discarded ev;
	struct dk_transport *t;
	struct user_move *move;
	dk_id peer;

	if (!u || (u->flags & USER_DYING))
		return;
	u->flags |= USER_DYING;
	move = user_move_take(s, u);
	ev = (struct dk_user_discarded){ id, user_uid(u), u->sid, reason, (u->flags & USER_CONNECTED) != 0 };
	dk_emit(&s->svc.discarded, &ev);

	/* Listeners may have said goodbye to it, so its peer goes after them. */
	t = user_transport(s, u);
	peer = u->peer;
	u->peer = 0;
	if (peer && ev.was_connected)
		say_goodbye(t, peer, reason);
	if (peer)
		t->close(t, peer, reason);
	if (t)
		s->n.users--;
	else
		s->n.blank--;
	dk_call_forget_user(s, id);
	s->n.discarded++;
	user_row_free(s, id, u);
	user_count_changed(s);
	user_move_end(move, DK_GONE);
}

static void discard_slow(void *self, uint64_t id)
{
	user_discard(self, id, DK_REASON_SLOW);
}

void user_discard_later(struct users *s, dk_id id, struct user *u)
{
	if (u->flags & (USER_SLOW | USER_DYING))
		return;
	s->n.slow++;
	if (dk_defer(s, discard_slow, id) == 0)
		u->flags |= USER_SLOW;
}
