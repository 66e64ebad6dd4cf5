/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of the plugin user, shared by its files: user.c (who is here), user_inbox.c (what they send), user_props.c (what is
 * kept about them). An idle user costs one row and its share of two maps; everything else is allocated when it is used.
 */
#ifndef USER_STATE_H
#define USER_STATE_H

#include <diarkis/plugin.h>
#include <diarkis/user.h>

#include "plugins/props.h"

struct user_conf {
	int64_t max_users, queue_frames, queue_bytes, command_timeout_s;
	const char *client_key;
};

/* A uid of up to this many bytes lies in the row. */
#define USER_UID_NEAR 32
#define USER_NO_TRANSPORT UINT8_MAX
/* Local addresses as the first echo tells them: more than a machine has. */
#define USER_LOCALS_MAX 1024

enum user_flag {
	USER_CONNECTED = 1,
	USER_KEYED = 2, /* showed the client key on this connection */
	USER_BUSY = 4, /* a command of it is under way */
	USER_RESUMING = 8, /* user_inbox_resume() is due, or runs */
	USER_SLOW = 16, /* will be disconnected at the end of this callback */
	USER_DYING = 32
};

struct user {
	uint8_t sid[16];
	dk_id peer; /* 0: blank */
	struct user_queue *queue; /* frames that wait for a command to end; NULL = none */
	struct user_more *more; /* properties, local addresses; NULL = none */
	uint16_t uid_n;
	uint8_t transport; /* index into the list of transports, or USER_NO_TRANSPORT */
	uint8_t flags;
	uint32_t uid_hash;
	union {
		char near[USER_UID_NEAR];
		char *far;
	} uid;
};

_Static_assert(sizeof(struct user) <= 80, "an idle user is to be small: 100,000 of them are nothing special");

struct user_more {
	struct props props;
	uint8_t *locals;
	size_t locals_n;
};

struct users {
	struct dk_self base;
	struct dk_user svc;
	DK_LIST_OF(struct dk_transport) transports;
	struct dk_peer_sink sink;
	struct dk_table table;
	struct dk_map by_uid, by_sid;
	size_t client_key_n; /* 0 = none configured */
	struct {
		uint64_t created, refused, replaced, discarded, connected, moved;
		uint64_t frames, unknown, overload, queued, queue_lost, queue_full;
		uint64_t before_key, wrong_key, slow, notes_lost;
		int64_t users, blank;
	} n;
};

static inline const struct user_conf *user_conf(const struct users *s)
{
	return s->base.conf;
}

static inline struct user *user_get(const struct users *s, dk_id id)
{
	return dk_table_get(&s->table, id);
}

static inline struct users *users_of(struct dk_user *svc)
{
	return dk_container_of(svc, struct users, svc);
}

/* ---- user.c ---- */

/* The end of a user: signals, then its peer and its memory go. Stale handles are fine. */
void user_discard(struct users *s, dk_id id, enum dk_reason reason);
/* The same once the current callback returned, for places where users must not vanish. */
void user_discard_later(struct users *s, dk_id id, struct user *u);
/* Sends one frame; a client that cannot keep up with reliable ones is disconnected later. Returns as dk_transport.send. */
int user_send(struct users *s, dk_id id, struct user *u, const struct dk_frame *frame, unsigned how);

/* ---- user_inbox.c ---- */

/* dk_peer_sink.frame; self is struct users. */
void user_inbox_frame(void *self, uint64_t user, dk_id peer, const struct dk_frame *frame, bool reliable);
void user_inbox_free(struct users *s, struct user *u);
bool user_client_key_ok(struct dk_user *svc, dk_slice key);

/* ---- user_props.c ---- */

/* What u->more points to, allocated on first use; NULL = no memory. */
struct user_more *user_more(struct users *s, struct user *u);
void user_more_free(struct users *s, struct user *u);
int user_set(struct dk_user *svc, dk_id id, dk_str name, const struct dk_value *value);
int user_get_value(struct dk_user *svc, dk_id id, dk_str name, struct dk_value *ret_value);
int user_unset(struct dk_user *svc, dk_id id, dk_str name);

#endif
