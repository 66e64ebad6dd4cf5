/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of the plugin session, shared by its files: session.c (phases), session_client.c (commands of clients), session_service.c
 * (what code may ask for), session_home.c (what a home does), session_end.c (how sessions end, ticks), session_props.c (their
 * properties), session_look.c (what may be seen of them), session_invite.c, session_ask.c (questions to a home, wherever it is),
 * session_here.c (users of this node), session_claim.c (which node hands them what), session_carry.c (users that change their
 * node), session_roll.c (who agrees with whom), session_drain.c (sessions that change their home), session_store.[ch] (sessions),
 * session_seats.[ch] (seats of users here), session_pack.[ch] (what nodes write to each other).
 */
#ifndef SESSION_STATE_H
#define SESSION_STATE_H

#include <errno.h>

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/packed.h>
#include <diarkis/plugin.h>
#include <diarkis/session.h>
#include <diarkis/session_commands.h>
#include <diarkis/user.h>

#include "session_rows.h"
#include "session_seats.h"
#include "session_store.h"

struct session_conf {
	int64_t max_sessions, max_members, max_message;
	bool expose_commands;
};

enum {
	SESSION_ROLL_MS = 2000,
	SESSION_LOST_MS = 10000, /* a home that does not confirm a session for so long has lost it */
	SESSION_LAPSE_MS = 20000, /* a node that does not confirm its members for so long has none */
	SESSION_AWAY_MS = 15000, /* for how long what comes late for a user waits, and is sent after it */
	SESSION_STOP_MS = 3000, /* for how long a node that ends waits for word of users who went from it */
	SESSION_LINGER_MS = 250, /* and for what the node has for them that they were on before */
	SESSION_ALIAS_MS = 600000, /* for how long a former home knows where a session went */
	SESSION_SETTLED_MS = 10000, /* older than any question that still may come */
	SESSION_HOPS_JOINING = UINT16_MAX /* in place of a number of hops: its home may not have heard of it yet */
};

/* A session that has left this node. */
struct session_former {
	struct session_former *next;
	struct dk_session_id id;
	struct dk_addr home;
	uint32_t epoch;
	uint64_t until_ms;
};
#define SESSION_FORMER_BUCKETS 256

struct sessions {
	struct dk_self base;
	struct dk_session svc;
	struct dk_user *user;
	struct dk_carrier *carrier; /* NULL: this node is alone */
	struct dk_cluster *cluster; /* likewise */
	struct session_store store;
	struct session_seats seats;
	struct dk_table asks; /* session_ask.c */
	struct dk_pool askers; /* session_service.c */
	uint64_t asked_since_ms;
	uint32_t asked;
	struct dk_timer roll_timer, drain_timer;
	uint64_t roll_n;
	struct session_roll *rolls; /* session_roll.c: that wait for an answer */
	struct dk_step *drain_step;
	struct session_former *former[SESSION_FORMER_BUCKETS];
	struct session_move *moves;
	struct session_inquiry *inquiries; /* session_look.c: questions to nodes of members */
	struct session_invitation *invitations; /* session_invite.c */
	struct {
		uint64_t created, refused, deleted, joined, left, cut_off, kicked, vetoed, full, lapsed;
		uint64_t invited, invites_failed, messages, bytes, pushes, push_lost, forwarded, late_lost;
		uint64_t asked_away, retried, failed, maybe, malformed, not_searched;
		uint64_t moved_out, moved_in, moves_failed, superseded, seats_lost;
		int64_t sessions, members, seats;
	} n;
};

static inline const struct session_conf *session_conf(const struct sessions *s)
{
	return s->base.conf;
}
static inline struct sessions *sessions_of(struct dk_session *svc)
{
	return dk_container_of(svc, struct sessions, svc);
}
static inline bool session_alone(const struct sessions *s)
{
	return !s->carrier || !s->cluster;
}
static inline bool session_node_there(const struct dk_cluster_node *n)
{
	return n && (n->health == DK_ALIVE || n->health == DK_SUSPECT);
}
static inline void session_gauges(struct sessions *s)
{
	s->n.sessions = s->store.table.used;
	s->n.members = s->store.member_n;
	s->n.seats = s->seats.seat_n;
}
/* An answer without a body beyond the outcome. */
int session_say_outcome(struct dk_call *call, int rc);
/* Sends to a node; to this one it is called at once. Reliable. */
void session_send(struct sessions *s, const struct dk_addr *to, uint16_t cmd, dk_slice payload);

/* ---- session_ask.c: a question to the home of a session ---- */

/* body: behind the outcome; valid until this returns. rc 0, an outcome or <0, -ECANCELED when this plugin ends. Runs once, never
 * before session_ask() returned. */
typedef void session_answer_fn(struct sessions *s, void *arg, int rc, struct dk_cursor *body);
enum session_ask_flag {
	SESSION_AGAIN = 1, /* may be done twice: asked again when no answer comes */
	SESSION_SEARCH = 2 /* where nobody knows the home, ask all nodes */
};
/* payload begins with the session, as all these rows do. Returns 0, DK_FULL or -ENOMEM. */
int session_ask(struct sessions *s, const struct dk_session_id *id, uint16_t cmd, dk_slice payload, unsigned flags,
		session_answer_fn *fn, void *arg);
/* Where a session that was here went. */
void session_former_put(struct sessions *s, const struct dk_session_id *id, const struct dk_addr *home, uint32_t epoch);
const struct session_former *session_former_get(struct sessions *s, const struct dk_session_id *id);
void session_ask_init(struct sessions *s);
void session_ask_fini(struct sessions *s);

/* ---- session_home.c ---- */

/* The session of a row, to be read or changed; NULL: the call is answered (the row returns 0). */
struct session *session_called(struct sessions *s, struct dk_call *call, dk_str session, bool changes);
/* Makes one, its creator in it. */
int session_make(struct sessions *s, const struct dk_session_opts *opts, dk_str uid, uint64_t token, const uint8_t sid[16],
		 struct session **ret_session);
/* A member goes; the others are told, and listeners. */
void session_drop(struct sessions *s, struct session *ss, struct session_member *m, enum dk_session_reason reason);
/* A push to all members, or to n of them. */
void session_push_all(struct sessions *s, struct session *ss, uint8_t ver, uint16_t cmd, dk_slice payload);
void session_push_some(struct sessions *s, struct session *ss, struct session_member *const *members, size_t n, uint8_t ver,
		       uint16_t cmd, dk_slice payload);
/* A member, or with token 0 code, says something to all, or to those listed. Returns 0, DK_SESSION_NOT_MEMBER or
 * DK_SESSION_BAD_PARAMS. */
int session_say(struct sessions *s, struct session *ss, uint64_t token, dk_str uid, uint8_t ver, uint16_t cmd, struct dk_list uids,
		dk_slice message);
void session_arm_ttl(struct sessions *s, struct session *ss);

/* ---- session_end.c ---- */

/* It ends for good: members and listeners are told. */
void session_end(struct sessions *s, struct session *ss, enum dk_session_reason reason);
/* It lives on elsewhere. */
void session_leave_behind(struct sessions *s, struct session *ss, const struct dk_addr *home, uint32_t epoch);
/* Stops its timers and frees it, without a word. */
void session_free(struct sessions *s, struct session *ss);
int session_tick_start(struct sessions *s, struct session *ss, dk_str name, uint32_t interval_s);
int session_tick_stop(struct sessions *s, struct session *ss, dk_str name);

/* ---- session_claim.c ---- */

void session_push(struct sessions *s, const struct session_seat *seat, uint8_t ver, uint16_t cmd, dk_slice payload);
/* Tells the home of one seat, or of all seats here (seat NULL), that they are here. Returns 0 or <0. */
int session_claim(struct sessions *s, struct session_known *k, struct session_seat *seat);
/* Asks again, and forgets those who went long ago. k may be gone afterwards. */
void session_claim_look(struct sessions *s, struct session_known *k);
/* Somebody went from here, and its home has not said yet where to: what it is to hear still comes here. */
bool session_claim_waits(struct sessions *s);

/* ---- session_here.c ---- */

struct session_known *session_known_named(struct sessions *s, dk_str session); /* NULL: nobody here is in it */
void session_on_user_discarded(struct sessions *s, const struct dk_user_discarded *ev);
void session_on_user_connected(struct sessions *s, const struct dk_user_connected *ev);
/* A user of this node has a seat no more, by what its home said; its client is told. */
void session_unseat(struct sessions *s, struct session_seat *seat, enum dk_session_reason reason);
/* The same by itself: its home is told. */
void session_give_up(struct sessions *s, struct session_seat *seat, enum dk_session_reason reason);
/* Its home does not exist any more: everybody here is told. */
void session_known_lost(struct sessions *s, struct session_known *k, enum dk_session_reason reason);
/* by: who says so. */
void session_heard_of_home(struct sessions *s, struct session_known *k, const struct dk_addr *home, uint32_t epoch,
			   const struct dk_addr *by);
int session_carry_init(struct sessions *s); /* session_carry.c */

/* ---- session_service.c ---- */

void session_service_init(struct sessions *s);
/* Who asked: lives until its answer; freed by session_asker_tell(). */
struct session_asker {
	void *self, *arg;
	dk_session_done_fn *done;
	struct dk_session_id id;
	uint64_t token; /* join */
	dk_id user;
	uint8_t type;
	struct sessions *s;
};
/* done NULL is fine. NULL: no memory. */
struct session_asker *session_asker_new(struct sessions *s, void *self, dk_session_done_fn *done, void *arg);
void session_asker_tell(struct session_asker *a, const struct dk_session_result *r);
void session_asker_free(struct session_asker *a);

/* ---- session_props.c, session_look.c, session_invite.c: parts of the service ---- */

void session_props_init(struct sessions *s);
void session_look_init(struct sessions *s);
void session_invite_init(struct sessions *s);
void session_look_fini(struct sessions *s);
void session_invite_fini(struct sessions *s);
extern const struct props_limits session_props_most;

/* ---- session_roll.c ---- */

void session_roll_start(struct sessions *s);
void session_roll_fini(struct sessions *s);

/* ---- session_drain.c ---- */

void session_drain_offline(struct sessions *s);
void session_drain(struct sessions *s, struct dk_step *step);
void session_drain_look(struct sessions *s);
void session_drain_fini(struct sessions *s);

#endif
