/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of the plugin user, shared by its files: user.c (the service), user_rows.c (who is here), user_inbox.c (what they send),
 * user_queue.c (frames that wait), user_props.c (what is kept about them), user_pack.c (a user as bytes), user_move.c (who leaves
 * for another node), user_arrive.c (who comes from one), user_again.c (what its client says twice), user_drain.c (the node goes
 * down), user_create.c (new users, here and elsewhere). An idle user costs one row and its share of two maps; everything else is
 * allocated when it is used.
 */
#ifndef USER_STATE_H
#define USER_STATE_H

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/plugin.h>
#include <diarkis/user.h>

#include "plugins/props.h"

struct user_conf {
	int64_t max_users, taken_at, queue_frames, queue_bytes, command_timeout_s;
	const char *client_key;
};

/* A uid of up to this many bytes lies in the row. */
#define USER_UID_NEAR 32
#define USER_NO_TRANSPORT UINT8_MAX
/* Local addresses as the first echo tells them: more than a machine has. */
#define USER_LOCALS_MAX 1024
/* What may wait of one user, per direction, while it is on its way between two nodes. */
#define USER_HELD_FRAMES 4096
#define USER_HELD_BYTES (1024 * 1024)

enum user_flag {
	USER_CONNECTED = 1,
	USER_KEYED = 2, /* showed the client key on this connection */
	USER_BUSY = 4, /* a command of it is under way */
	USER_RESUMING = 8, /* user_inbox_resume() is due, or runs */
	USER_SLOW = 16, /* will be disconnected at the end of this callback */
	USER_DYING = 32,
	USER_HELD = 64, /* what it sends waits: it is on its way between nodes */
	USER_DIVERTED = 128 /* what it is sent waits: its client is not there yet, or no longer */
};

/* One frame that waits. */
struct user_frame {
	struct user_frame *next;
	uint32_t n;
	uint16_t cmd;
	uint8_t ver, status;
	uint8_t how; /* enum dk_how */
	uint8_t bytes[];
};

struct user_queue {
	struct user_frame *head, **tail;
	uint32_t frames, bytes;
};

struct user {
	uint8_t sid[16];
	dk_id peer; /* 0: blank */
	struct user_queue *queue; /* frames that wait for a command to end; NULL = none */
	struct user_more *more; /* properties, local addresses; NULL = none */
	uint16_t uid_n : 15; /* DK_UID_MAX */
	uint16_t again : 1; /* more->again is there */
	uint8_t transport; /* index into the list of transports, or USER_NO_TRANSPORT */
	uint8_t flags;
	uint32_t login_s; /* when it was made, on whatever node: seconds since 1970 */
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
	struct user_move *move; /* it leaves for another node; NULL = it does not */
	struct user_arrival *arrival; /* it came from one, and its client is not here yet, or only just */
	struct user_again *again; /* its client may say again what the other node had; NULL = no (more) */
};

/* What another plugin knows of users, and how it travels with them. */
struct user_carried {
	struct user_carried *next;
	struct users *users;
	void *self;
	const struct dk_user_part *part;
};

/* user_drain.c's own. */
struct user_drain {
	struct dk_timer wave;
	uint64_t since_ms;
	uint32_t slot; /* where the next wave begins */
	size_t per_wave, under_way;
};

struct users {
	struct dk_self base;
	struct dk_user svc;
	struct dk_carrier *carrier; /* NULL: this node is alone */
	struct dk_cluster *cluster; /* the same */
	DK_LIST_OF(struct dk_transport) transports;
	struct dk_peer_sink sink;
	struct user_carried *carried; /* in order of their naming */
	struct user_drain drain;
	bool taken; /* by the option taken_at */
	struct dk_table table;
	struct dk_map by_uid, by_sid;
	size_t client_key_n; /* 0 = none configured */
	struct {
		uint64_t created, refused, replaced, discarded, connected, moved;
		uint64_t frames, unknown, overload, queued, queue_lost, queue_full;
		uint64_t before_key, wrong_key, slow, notes_lost;
		uint64_t move_out, move_in, move_refused, move_failed, move_unclean, move_held, move_late, move_lost;
		uint64_t again_had, again_bad;
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

/* ---- user_rows.c ---- */

dk_str user_uid(const struct user *u);
/* NULL for a blank user. */
static inline struct dk_transport *user_transport(const struct users *s, const struct user *u)
{
	return u->transport == USER_NO_TRANSPORT ? NULL : s->transports.at[u->transport];
}
struct dk_transport *user_transport_of_type(const struct users *s, dk_str type, uint8_t *ret_index);
dk_id user_find_uid(struct users *s, dk_str uid);
dk_id user_find_sid(struct users *s, const uint8_t sid[16]);
bool user_uid_ok(dk_str uid);
/* A row without a peer, in both maps. Returns 0, DK_FULL or -ENOMEM. */
int user_row_new(struct users *s, dk_str uid, const uint8_t sid[16], dk_id *ret_id, struct user **ret_user);
void user_row_free(struct users *s, dk_id id, struct user *u);
/* A user with a peer on the transport of that type, in both maps; nobody has been told. Another one with that uid stays findable
 * until user_settle(). Returns as dk_user.create. */
int user_new(struct users *s, dk_str uid, dk_str type, const struct dk_credential *cred, dk_id *ret_id, struct user **ret_user);
/* The new one takes the uid over from old (0 = nobody), after tell() has told of it. It may vanish meanwhile. */
void user_settle(struct users *s, dk_id id, dk_id old, void (*tell)(struct users *s, dk_id id, void *arg), void *arg);
/* The end of a user: signals, then its peer and its memory go. Stale handles are fine. */
void user_discard(struct users *s, dk_id id, enum dk_reason reason);
/* The same once the current callback returned, for places where users must not vanish. */
void user_discard_later(struct users *s, dk_id id, struct user *u);

/* ---- user.c ---- */

/* Sends one frame; a client that cannot keep up with reliable ones is disconnected later. Returns as dk_transport.send. */
int user_send(struct users *s, dk_id id, struct user *u, const struct dk_frame *frame, unsigned how);
/* The same past USER_DIVERTED. */
int user_send_now(struct users *s, dk_id id, struct user *u, const struct dk_frame *frame, unsigned how);

/* ---- user_inbox.c ---- */

/* dk_peer_sink.frame; self is struct users. */
void user_inbox_frame(void *self, uint64_t user, dk_id peer, const struct dk_frame *frame, bool reliable);
/* What waits runs once the current callback returned. */
void user_inbox_resume(struct users *s, dk_id id, struct user *u);
bool user_client_key_ok(struct dk_user *svc, dk_slice key);

/* ---- user_queue.c ---- */

/* False: full, or no memory. */
bool user_queue_push(struct users *s, struct user_queue **at, const struct dk_frame *f, unsigned how, uint64_t frames,
		     uint64_t bytes);
/* The oldest, to be freed; NULL = empty. */
struct user_frame *user_queue_pop(struct users *s, struct user_queue **at);
void user_queue_free(struct users *s, struct user_queue **at);
/* Appends one that was popped; frees it and returns false when there is no memory. */
bool user_queue_put(struct users *s, struct user_queue **at, struct user_frame *e);
/* Appends all of `more`, which is empty then. */
void user_queue_join(struct users *s, struct user_queue **at, struct user_queue **more);
struct dk_frame user_frame_view(const struct user_frame *e);
void user_frame_free(struct users *s, struct user_frame *e);
size_t user_queue_size(const struct user_queue *q); /* bytes that user_queue_write() writes */
void user_queue_write(const struct user_queue *q, struct dk_writer *w);
/* Appends what another node wrote. False: malformed, more than may wait, or no memory; some may have been appended. */
bool user_queue_read(struct users *s, struct user_queue **at, struct dk_cursor *c);

/* ---- user_props.c ---- */

extern const struct props_limits user_props_most;
/* What u->more points to, allocated on first use; NULL = no memory. */
struct user_more *user_more(struct users *s, struct user *u);
void user_more_free(struct users *s, struct user *u);
void user_keep_locals(struct users *s, struct user *u, dk_slice locals);
int user_set(struct dk_user *svc, dk_id id, dk_str name, const struct dk_value *value);
int user_get_value(struct dk_user *svc, dk_id id, dk_str name, struct dk_value *ret_value);
int user_unset(struct dk_user *svc, dk_id id, dk_str name);

/* ---- user_pack.c ---- */

/* A user as another node wrote it, borrowed from its bytes; holds keys. */
struct user_packed {
	dk_str uid, type;
	struct dk_credential cred;
	bool keyed;
	uint32_t login_s;
	dk_slice locals, props, parts;
};

int user_carry(struct dk_user *svc, void *self, const struct dk_user_part *part);
int user_pack(struct dk_user *svc, dk_id id, struct dk_writer *w);
/* False: malformed. */
bool user_packed_read(dk_slice bytes, struct user_packed *ret_packed);
/* Hands the parts to those who carry them. Returns 0, or what the first one that did not take its part returned. */
int user_parts_unpack(struct users *s, dk_id id, dk_slice parts);

/* ---- user_move.c ---- */

int user_move_begin(struct dk_user *svc, void *self, dk_id id, const struct dk_addr *node, dk_str type, dk_slice note,
		    dk_user_move_fn *ready, void *arg);
int user_move_commit(struct dk_user *svc, void *self, dk_id id, dk_user_move_fn *done, void *arg);
void user_move_abort(struct dk_user *svc, dk_id id);
int user_move(struct dk_user *svc, void *self, dk_id id, const struct dk_addr *node, dk_str type, dk_slice note,
	      dk_user_move_fn *done, void *arg);
/* Its command ended, and it is USER_HELD. */
void user_move_idle(struct users *s, dk_id id, struct user *u);
/* Its peer closed. True: it is on its way, and stays until the other node has it. */
bool user_move_left(struct users *s, struct user *u, dk_id peer);
/* The user dies: takes its move off it and tells the other node. The move ends with user_move_end(). NULL is fine. */
struct user_move *user_move_take(struct users *s, struct user *u);
void user_move_end(struct user_move *m, int err);
/* The node goes down: whoever was told to go is handed over as far as it has come. */
void user_move_finish(struct users *s, dk_id id, struct user *u);
struct user_queue **user_move_late(struct user_move *m);
enum dk_user_way user_way(struct dk_user *svc, dk_id id);
/* Row user.here. */
int user_move_here(struct users *s, const struct dk_addr *from, dk_slice sid);

/* ---- user_arrive.c ---- */

/* Makes the user of such bytes. settles: the node it comes from will say what waited there. Returns as dk_user.unpack. */
int user_arrive(struct users *s, dk_slice bytes, dk_str type, const struct dk_addr *from, dk_slice note, bool settles,
		uint32_t ttl_ms, dk_id *ret_id);
int user_unpack(struct dk_user *svc, dk_slice bytes, const struct dk_addr *from, dk_slice note, uint32_t ttl_ms, dk_id *ret_user);
/* The client is there. */
void user_arrival_opened(struct users *s, dk_id id, struct user *u);
void user_arrival_free(struct users *s, struct user *u);
bool user_arrival_settles(const struct user *u); /* its former node has something to say yet */
/* Keeps a frame for a user that is USER_DIVERTED. Returns 0 or DK_FULL. */
int user_divert(struct users *s, dk_id id, struct user *u, const struct dk_frame *frame, unsigned how);
/* Rows user.settle and user.abandon. */
int user_arrival_settle(struct users *s, const struct dk_addr *from, dk_slice sid, dk_slice taken, dk_slice frames);
int user_arrival_abandon(struct users *s, const struct dk_addr *from, dk_slice sid);

/* ---- user_again.c ---- */

/* The node that it came from had these sequences of its client (<diarkis/transport.h>); u->more is there. */
void user_again_expect(struct users *s, struct user *u, dk_slice taken);
/* Of each reliable frame of the client, in order, from then on. False: it is not to run. */
bool user_again_pass(struct users *s, struct user *u, const struct dk_frame *f);
void user_again_free(struct users *s, struct user *u);

/* ---- user_create.c ---- */

/* For the answer to user.create. */
struct user_created {
	uint8_t credential[65]; /* u8 encrypted, 16 sid, 48 keys when encrypted */
	size_t credential_n;
	dk_str host;
	uint16_t port;
};

/* A user of this node's own making; takes the properties (NULL = none). Returns as dk_user.create. */
int user_make(struct users *s, dk_str uid, dk_str type, struct props *props, struct dk_credential *ret_cred, dk_id *ret_id);
int user_make_blank(struct users *s, dk_str uid, dk_id *ret_id);
int user_create_with(struct dk_user *svc, dk_str uid, dk_str type, const struct dk_user_prop *props, size_t n,
		     struct dk_credential *ret_cred, dk_id *ret_user);
/* Row user.create; props as props_pack() writes them. */
int user_create_here(struct users *s, dk_str uid, dk_str type, dk_slice props, struct user_created *ret_made);
int user_create_on(struct dk_user *svc, void *self, const struct dk_addr *node, dk_str uid, dk_str type,
		   const struct dk_user_prop *props, size_t n, uint32_t timeout_ms, dk_user_made_fn *done, void *arg);

/* ---- user_drain.c ---- */

/* Another node for a user, but for `not` (may be NULL): ONLINE, or TAKEN where there is no such. False = none. */
bool user_target(struct users *s, dk_str type, const struct dk_addr * not, struct dk_addr *ret_node);
void user_drain_start(struct users *s);
void user_drain_stop(struct users *s);
/* The number of users changed. */
void user_count_changed(struct users *s);

#endif
