/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of the plugin room, shared by its files: room.c (phases), room_client.c (commands of clients), room_service.c (what may
 * happen to a room), room_look.c (what can be seen of it), room_keep.c and room_data.h (what is kept in it), room_relay.c (who
 * hears what, and when), room_send.c (what waits for nothing), room_carry.c (to bytes and back), room_remote.c (rooms of other
 * nodes), room_arrive.c (users of other nodes), room_migrate.c, room_land.c and room_drain.c (rooms that change their node),
 * room_replica.c, room_backup.c and room_takeover.c (copies on other nodes, and what they are for), room_support.c (rooms that
 * can be found), room_store.[ch] (the data), room_pack.[ch] (the layout of the bytes), room_alias.[ch] (ids that rooms had
 * before).
 */
#ifndef ROOM_STATE_H
#define ROOM_STATE_H

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/http.h>
#include <diarkis/plugin.h>
#include <diarkis/room.h>
#include <diarkis/room_commands.h>
#include <diarkis/user.h>

#include "plugins/listing.h"
#include "room_alias.h"
#include "room_log.h"
#include "room_pack.h"
#include "room_play.h"
#include "room_rows.h"
#include "room_store.h"

struct room_conf {
	int64_t max_rooms, max_message, max_chat, chat_history, chat_rate, replicas, copy_bytes, support_rooms, support_bytes;
	int64_t record_bytes, record_rooms, record_max;
	const char *record_dir;
	bool record, record_keep;
	int64_t max_states, state_interval_ms;
	const char *support_type;
	bool expose_commands, expose_puffer, compat_interval, support, http_create;
};

#define ROOM_ATTACHMENTS_MAX 32
#define ROOM_CLOCK_OWNERS_MAX 32

struct room_attachment {
	void *self;
	size_t size;
};

/* What another plugin keeps of rooms, by its name in the cluster. */
#define ROOM_PARTS_MAX 32
struct room_carried {
	struct rooms *rooms;
	void *self;
	const struct dk_room_part *part;
};

#define ROOM_COMING_BUCKETS 64
#define ROOM_REPLICA_BUCKETS 256
#define ROOM_MEMBER_MAX (256u << 10) /* bytes of a packed user */
#define ROOM_COPY_FRESH_MS 6000 /* a copy is renewed that often */
#define ROOM_COPY_OLD_MS 20000 /* one that was not renewed for longer is of no use */
#define ROOM_ORPHAN_MS 60000 /* for how long one waits to be taken over */

/* A copy of another node's room. */
struct room_replica_member {
	struct room_replica_member *next;
	uint32_t n;
	uint16_t uid_n;
	uint8_t bytes[]; /* the uid, then as user.pack made it */
};
/* A text of chat that was said since the state was sent. */
struct room_replica_line {
	struct room_replica_line *next;
	uint64_t at_ms;
	uint16_t uid_n, n;
	char bytes[]; /* the uid, then the text */
};
struct room_replica {
	struct room_replica *next;
	struct dk_id52 id;
	uint32_t epoch;
	uint64_t version, owner_boot, renewed_ms, orphan_ms; /* orphan_ms 0: its owner lives */
	bool left; /* its owner went in good order, and may have given the room to somebody else */
	struct dk_addr owner;
	dk_slice state;
	struct room_replica_member *members;
	struct room_replica_line *lines, **last_line;
	size_t line_bytes; /* of lines */
	size_t bytes;
};

/* Of a user that is sent to the node that took its room over. */
struct room_after {
	struct room_after *next, **at;
	struct dk_addr owner;
};

struct rooms {
	struct dk_self base;
	struct room_after *after; /* under way */
	struct dk_room svc;
	struct dk_user *user;
	struct dk_carrier *carrier; /* NULL: this node is alone */
	struct dk_cluster *cluster; /* likewise */
	struct room_store store;
	struct dk_pool lists, states;
	struct room_notice *notices, **notice_tail; /* room.c */
	struct room_attachment attachments[ROOM_ATTACHMENTS_MAX];
	uint16_t attachment_n, part_n;
	struct room_carried *parts[ROOM_PARTS_MAX];
	struct room_pace *paces; /* room_chat.c: by slot of the user */
	uint32_t pace_n;
	struct room_aliases aliases;
	uint8_t *image; /* room_carry.c: where rooms are packed; grows */
	size_t image_n;
	struct room_journey *journeys; /* room_remote.c */
	uint64_t asked_since_ms;
	uint32_t asked;
	struct room_hold *holds; /* room_arrive.c: seats kept for users of other nodes */
	struct dk_timer hold_timer;
	struct room_coming *coming[ROOM_COMING_BUCKETS]; /* room_arrive.c: by slot of the user */
	uint32_t coming_n;
	struct room_landing *landings; /* room_land.c: rooms that come from other nodes */
	struct room_replica *replicas[ROOM_REPLICA_BUCKETS]; /* room_backup.c */
	struct dk_timer replica_timer, orphan_timer, errand_timer;
	struct room_errand *errands; /* room_errand.c */
	struct dk_timer drain_timer;
	struct dk_step *drain_step;
	struct listings listings; /* room_support.c */
	struct room_search *searches;
	struct dk_http *http; /* room_http.c; NULL: there is none */
	struct room_wish *wishes;
	struct room_recording *recordings; /* room_record.c */
	bool checks_due;
	const struct dk_room_opts *making; /* while `created` is told of a room of this node */
	uint64_t wall_ms; /* for recordings: the wall clock stands there; 0 = it goes */
	uint64_t grid_ms; /* ahead of this node's clock: that of a recording that is played */
	struct dk_room_play playing;
	struct room_play *play; /* room_play.c; NULL: this is no recording */
	void *clock_owners[ROOM_CLOCK_OWNERS_MAX]; /* room_clock.c: as recordings number them */
	struct {
		uint64_t created, refused, discarded, joined, left, cut_off, vetoed, full;
		uint64_t sent_to_join, came_to_join, holds_lapsed;
		uint64_t migrated_out, migrated_in, thawed, stranded, landings_refused, landings_lapsed;
		uint64_t copies_sent, copies_failed, copies_lapsed, stale_refused, taken_over, superseded, members_lost;
		uint64_t props_refused, states_set, states_sent, states_refused, states_lapsed, state_ticks, objects_updated,
			objects_refused;
		struct dk_histogram frozen;
		uint64_t random_created, random_joined, random_again, registered, list_refused, http_created, http_refused;
		uint64_t record_rounds, record_skipped, record_full, record_failed;
		int64_t recordings, record_bytes;
		uint64_t messages, relays, chats, chat_refused, clock_ticks, bytes, ticks, pushes, lost, early;
		int64_t rooms, members, copies, copy_bytes, listed;
	} n;
};

static inline const struct room_conf *room_conf(const struct rooms *s)
{
	return s->base.conf;
}

static inline struct rooms *rooms_of(struct dk_room *svc)
{
	return dk_container_of(svc, struct rooms, svc);
}

static inline struct room *room_any(const struct rooms *s, dk_id room)
{
	return room_store_get(&s->store, room);
}

/* NULL: it cannot be changed now, or ever. */
static inline struct room *room_live(const struct rooms *s, dk_id room)
{
	struct room *r = room_store_get(&s->store, room);

	return r && r->phase == ROOM_LIVE ? r : NULL;
}

/* What to say of a room that is not live. */
static inline int room_why_not(const struct rooms *s, dk_id room)
{
	const struct room *r = room_store_get(&s->store, room);

	return r && r->phase == ROOM_FROZEN ? DK_ROOM_MOVING : DK_ROOM_GONE;
}

static inline uint64_t room_unix_ms(struct rooms *s)
{
	return s->wall_ms ? s->wall_ms : dk_wall_ns(s) / 1000000u;
}

static inline uint32_t room_unix_s(struct rooms *s)
{
	return (uint32_t)(room_unix_ms(s) / 1000u);
}

/* When something of the room that ticks every interval_ms ticks next: from now, in ms. */
static inline uint32_t room_due(const struct rooms *s, const struct room *r, uint32_t interval_ms)
{
	return gather_due(dk_now(s) + s->grid_ms, r->grid, interval_ms);
}

static inline void room_count(struct rooms *s)
{
	s->n.rooms = s->store.table.used;
	s->n.members = s->store.member_n;
}

/* ---- room_service.c ---- */

void room_service_init(struct rooms *s);
/* A room that nobody has heard of yet. As svc.create. */
int room_make(struct rooms *s, dk_id user, const struct dk_room_opts *o, struct room **ret_room);
void room_look_init(struct rooms *s); /* room_look.c */
uint32_t room_fit_interval(const struct rooms *s, uint32_t ms);
void room_arm_ttl(struct rooms *s, struct room *r, uint64_t ms);
/* The time to live of an empty room begins anew. */
void room_refresh(struct rooms *s, struct room *r);
/* The room lives on on another node: here it ends, without a word to its members. */
void room_leave_behind(struct rooms *s, struct room *r);
/* A member leaves, not by itself; the others are told. */
void room_cut_off(struct rooms *s, struct room *r, dk_id user, enum dk_reason reason);
/* As svc.join, without telling the members: the caller does, with room_welcome(). */
int room_enter(struct rooms *s, dk_id room, dk_id user, dk_slice message, bool *ret_new_owner);
/* Tells all members of a new one, and of the owner if that changed. Stale handles are fine. */
void room_welcome(struct rooms *s, dk_id room, uint8_t ver, uint16_t cmd, dk_slice message, bool new_owner);
void room_on_user_discarded(struct rooms *s, const struct dk_user_discarded *ev);
/* The two halves of what is told of a new member: it has a seat; it has joined. */
void room_tell_added(struct rooms *s, dk_id room, dk_id user, uint16_t members);
void room_tell_joined(struct rooms *s, dk_id room, dk_id user, bool new_owner);

/* ---- room_client.c ---- */

/* Says why not, by outcome; code: of the command. Returns 0, or rc where it is none. */
int room_refuse(struct dk_call *call, uint32_t code, int rc);
/* The same; id is what named the room. */
int room_refuse_named(struct dk_call *call, uint32_t code, int rc, dk_str id);
/* DK_ROOM_BAD_PARAMS of a list of members: says what of it is not as it has to be. */
int room_refuse_members(struct dk_call *call, uint32_t code, struct dk_list members);
/* The same to a user whose command has ended. */
void room_tell_refusal(struct rooms *s, dk_id user, uint16_t cmd, uint32_t code, int rc);
/* Clients have the commands of a set that is exposed: four differ between the two, all others are in both. Other plugins and
 * operators have all of them. */
bool room_hidden(const struct rooms *s, const struct dk_call *call);
int room_refuse_hidden(struct dk_call *call);
/* A room of this node named by a text of puffer form; 0 = none. */
dk_id room_named(struct rooms *s, dk_str text);
/* The same, if the caller is one of its members. Returns 0, ROOM_NO_ID, DK_ROOM_GONE or DK_ROOM_NOT_MEMBER. */
int room_as_member(struct rooms *s, const struct dk_call *call, dk_str id, dk_id *ret_room);
/* An id that is not the one of the caller's room, or not its present one. Returns 0, DK_ROOM_NOT_MEMBER or DK_ROOM_GONE. */
int room_by_other_id(struct rooms *s, dk_id room, const uint8_t *bytes);
/* What the one who joins says to the members, in the payload of that command; empty: nothing, or it cannot be read. */
dk_slice room_join_message(uint16_t cmd, dk_slice payload);
/* A command of a user that has come here for it was answered Ok with body: hooks AFTER it run. */
void room_answered(struct rooms *s, dk_id user, uint16_t cmd, dk_slice payload, dk_slice body);
int room_create_by_command(struct rooms *s, struct dk_call *call, const struct dk_room_opts *o);
void room_client_fini(struct rooms *s);

/* ---- room_puffer.c ---- */

/* Of a room that was frozen. Returns as room_on_join(). */
int room_puffer_join_again(struct rooms *s, struct dk_call *call);

/* ---- room_remote.c ---- */

/* A user of this node joins a room of another one by that command, with that payload. Returns DK_LATER (the call, or where call is
 * 0 the user, is answered), or as svc.join. */
int room_remote_join(struct rooms *s, dk_id user, dk_id call, uint16_t cmd, const struct dk_id52 *id, dk_slice payload);
/* The same for a random join: until the user is on its way, room_search_refused() hears of a refusal. */
int room_remote_try(struct rooms *s, struct room_search *search, dk_id user, dk_id call, const struct dk_id52 *id,
		    dk_slice payload);
/* How many members it has. Likewise. */
int room_remote_look(struct rooms *s, dk_id call, const struct dk_id52 *id);
void room_remote_init(struct rooms *s);
void room_remote_fini(struct rooms *s);

/* ---- room_arrive.c ---- */

/* What a user that comes from another node brings along for this plugin: {"room", u8 kind, id52, rest}. */
enum room_note {
	ROOM_NOTE_JOIN = 1, /* rest: the command's payload */
	ROOM_NOTE_MIGRATE, /* with a room that is landing; rest: u16, its place among the members */
	ROOM_NOTE_TAKEOVER, /* made of a copy, by this node */
	ROOM_NOTE_REJOIN, /* its room was taken over here, and its old node came back */
	ROOM_NOTE_RANDOM, /* as ROOM_NOTE_JOIN, by a random join */
	ROOM_NOTE_PUFFER /* likewise, in puffer form */
};
#define ROOM_NOTE_MIN (4 + 1 + DK_ID52_LEN)
void room_note_write(struct dk_writer *w, enum room_note kind, const struct dk_id52 *id, dk_slice rest);
void room_on_user_arrived(struct rooms *s, const struct dk_user_arrived *ev);
void room_on_user_connected(struct rooms *s, const struct dk_user_connected *ev);
/* A user of this node, whose command has ended, joins the room by that command, wherever it is. */
void room_join_late(struct rooms *s, dk_id user, uint16_t cmd, const struct dk_id52 *id, dk_slice payload);
/* Its room is about to leave without it, for its client is not here: it goes after the room when that comes. */
void room_left_behind(struct rooms *s, dk_id user, const struct dk_id52 *id);
/* It has a seat, and its client is on the way. */
bool room_is_coming(struct rooms *s, dk_id user);
/* The same, and it will not come any more. */
bool room_never_came(struct rooms *s, dk_id user);
/* Seats of the room are kept for some who are on the way. */
bool room_holds(const struct rooms *s, dk_id room);
/* For recordings, and those that are played. */
int room_keep_seat(struct rooms *s, struct room *r, dk_str uid);
void room_give_back(struct rooms *s, dk_id room, dk_str uid); /* none is fine */
int room_sit(struct rooms *s, struct room *r, dk_id user, uint16_t cmd, dk_slice message);
void room_arrived(struct rooms *s, dk_id user);
void room_coming_dump(struct rooms *s, const struct room *r, struct dk_writer *w);
int room_coming_restore(struct rooms *s, struct room *r, struct dk_cursor *c);
void room_arrive_fini(struct rooms *s);

/* ---- room_migrate.c: a room that leaves ---- */

/* The call is answered. Returns DK_LATER, DK_ROOM_GONE, DK_ROOM_MOVING, DK_ROOM_NO_NODE or <0. */
int room_move_by_command(struct rooms *s, struct room *r, const struct dk_call *call);
/* As svc.migrate. */
int room_move_by_code(struct rooms *s, void *mover, struct room *r, dk_room_migrate_fn *done, void *arg);
/* A try to move it ends: something has happened to a frozen room. */
void room_move_thaw(struct rooms *s, struct room *r);
/* A node that has a copy has confirmed that this one owns the room. */
void room_move_confirmed(struct rooms *s, struct room *r);
/* It will not move: it ends. */
void room_move_drop(struct rooms *s, struct room *r);
/* A call of room.join or room.enter waits until the room is somewhere. Returns DK_LATER or -ENOMEM. */
int room_wait(struct rooms *s, struct room *r, dk_id call);
/* A call of room.enter waits until the room has left a node that goes down. Also ROOM_NOT_TAKEN: nobody takes it now. */
int room_wait_to_move(struct rooms *s, struct room *r, dk_id call);
/* Those who waited, once the room is somewhere, or nowhere. */
void room_let_in(struct rooms *s, struct room_waiting *list);
/* Such a call from the start: its payload is that of the first time. A call that is over is fine. */
void room_join_again(struct rooms *s, dk_id call);
void room_move_free(struct rooms *s, struct room *r);
/* What freezing and thawing do to the room itself. */
void room_stand_still(struct rooms *s, struct room *r);
void room_go_on(struct rooms *s, struct room *r);

/* ---- room_pick.c: nodes ---- */

/* The node with the fewest users of those that all members can go to, and the user, if it is not 0; r may be NULL. */
bool room_pick(struct rooms *s, const struct room *r, dk_id user, const struct dk_addr *not_these, size_t not_n,
	       struct dk_addr *ret_addr);
/* For a room and its members; not_this may be NULL. */
bool room_target(struct rooms *s, const struct room *r, const struct dk_addr *not_this, struct dk_addr *ret_addr);
/* Nodes for copies of a room, into its id too; user: its creator, or 0. Returns how many. */
uint8_t room_choose_backups(struct rooms *s, dk_id user, uint8_t wanted, struct dk_id52 *id,
			    struct dk_addr backups[ROOM_BACKUPS_MAX]);
bool room_node_alive(struct rooms *s, const struct dk_addr *a);

/* ---- room_land.c: a room that comes ---- */

/* A user that moves along with its room. False: no such room is on the way. */
bool room_land_member(struct rooms *s, const struct dk_id52 *old_id, dk_id user, dk_slice rest);
void room_land_connected(struct rooms *s, dk_id user);
void room_land_source_gone(struct rooms *s, const struct dk_addr *node);
/* Whether the room of that id is about to live here under another one. */
bool room_land_expects(struct rooms *s, const struct dk_id52 *old_id);
void room_tell_migrated(struct rooms *s, dk_id room, const struct dk_id52 *old_id, bool takeover);
void room_land_fini(struct rooms *s);

/* ---- room_replica.c: copies of a room on other nodes ---- */

/* Where room.replicas says so; its backups are chosen already, as far as there are nodes. Returns 0 or -ENOMEM. */
int room_copies_start(struct rooms *s, struct room *r);
/* end: the copies are of no use any more. */
void room_copies_stop(struct rooms *s, struct room *r, bool end);
void room_copies_dirty(struct rooms *s, struct room *r);
/* A text of chat goes to those who have a copy, at once and alone: a room is much, and people talk. */
void room_copies_line(struct rooms *s, const struct room *r, dk_str uid, dk_str text, uint64_t at_ms);
static inline void room_touched(struct rooms *s, struct room *r)
{
	if (r->copies)
		room_copies_dirty(s, r);
}
/* Before a room leaves: each node that has a copy is asked whether this one still owns it, and room_move_confirmed() told of each
 * that says so. An owner that was stopped or cut off for a while may own nothing any more, and not know it yet. */
void room_copies_confirm(struct rooms *s, struct room *r, dk_slice state);
bool room_copies_unconfirmed(const struct room *r);
void room_copies_thawed(struct rooms *s, struct room *r);
/* A node is gone: where it had a copy another one gets it. */
void room_copies_node(struct rooms *s, struct room *r, const struct dk_addr *gone);
/* Where that user would find the copies; w is what the list lies in. */
struct dk_list room_addresses(struct rooms *s, const struct room *r, dk_id user, struct dk_writer *w);
#define ROOM_ADDRESSES_MAX 1024 /* bytes of such a list */
void room_tell_backups(struct rooms *s, struct room *r);

/* ---- room_backup.c: copies of other nodes' rooms ---- */

struct room_replica *room_replica_find(struct rooms *s, const struct dk_id52 *id);
void room_replica_free(struct rooms *s, struct room_replica *rep);
void room_backup_fini(struct rooms *s);

/* ---- room_takeover.c ---- */

/* There is a later owner: the room ends here, and its members are sent there. */
void room_superseded(struct rooms *s, struct room *r, const struct dk_addr *owner);
/* A user that is, or was, a member of the room here goes to its owner, as a member. */
void room_after_fini(struct rooms *s);
void room_send_after(struct rooms *s, dk_id user, const struct dk_id52 *id, const struct dk_addr *to);
void room_on_cluster_changed(struct rooms *s, const struct dk_cluster_event *ev);
/* What a node says to a claim. */
void room_claim_heard(struct rooms *s, const struct dk_id52 *id, dk_slice body);

/* ---- room_errand.c ---- */

/* A request to that node, again and again for for_ms until it is answered. Returns 0 or <0. */
int room_errand(struct rooms *s, const struct dk_addr *to, uint16_t cmd, const struct dk_id52 *id, uint32_t epoch, uint32_t for_ms,
		dk_slice payload);
/* The epoch under which this node took that room over in the last ten minutes, even if it has it no more; 0 = it did not. */
uint32_t room_claimed(const struct rooms *s, const struct dk_id52 *id);
void room_errand_fini(struct rooms *s);

/* ---- room_drain.c ---- */

void room_drain_offline(struct rooms *s);
void room_drain(struct rooms *s, struct dk_step *step);
/* A room has ended. */
void room_drain_look(struct rooms *s);
int room_on_keeping(struct rooms *s, struct dk_user_keep *ask);

/* ---- room_support.c: rooms that can be found, and random joins ---- */

int room_support_init(struct rooms *s);
void room_support_reload(struct rooms *s);
/* The search goes on with the next room: rc is why not that one. */
void room_search_refused(struct rooms *s, struct room_search *search, int rc);
/* The room has come to this node meanwhile. */
void room_search_here(struct rooms *s, struct room_search *search, dk_id room);
/* Its user is on the way to another node. */
void room_search_gone(struct rooms *s, struct room_search *search);
/* Nobody finds the room any more. */
void room_unlist(struct rooms *s, struct room *r);
void room_support_fini(struct rooms *s);

/* ---- room_record.c ---- */

void room_record_configure(const struct room_conf *c, struct dk_report *rep);
int room_record_init(struct rooms *s); /* before others listen */
void room_record_reload(struct rooms *s);
void room_record_fini(struct rooms *s);
/* Of a room that is recorded (r->recorded); uids of users are those that they have now. */
void room_record(struct rooms *s, struct room *r, const struct room_log_event *e);
/* The same by handle, of an input that is a number at most; nothing where the room is gone or not recorded. Returns rc. */
int room_record_number(struct rooms *s, dk_id room, enum room_log_kind kind, uint32_t number, int rc);
/* Writes {u16 length, uid}* of users, or of texts; list.n is n. Empty without memory. */
struct dk_list room_record_users(struct rooms *s, const dk_id *users, size_t n);
struct dk_list room_record_uids(struct rooms *s, const dk_str *uids, size_t n);
/* A command that ended before the room: at room_refusal_again(). Returns rc. */
int room_record_refusal(struct rooms *s, dk_id room, dk_id user, enum room_log_refusal how, int rc);
/* A message to all after it was said, or refused; one to some, or a relay, which change nothing. They return rc. */
int room_record_say(struct rooms *s, dk_id room, dk_id sender, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable, int rc);
int room_record_send(struct rooms *s, dk_id room, dk_id sender, const dk_id *to, size_t n, uint8_t ver, uint16_t cmd,
		     dk_slice message, bool reliable, int rc);
void room_record_end(struct rooms *s, struct room *r, enum room_log_end how);

/* ---- room_play.c ---- */

void room_play_init(struct rooms *s);
void room_play_fini(struct rooms *s);
/* A part of a plugin that is not here, in a recording that is played. Returns DK_NOT_FOUND where none is played. */
int room_play_keep_part(struct rooms *s, const struct room_image_part *p);
void room_play_pack_parts(struct rooms *s, struct dk_writer *w);

/* ---- room_http.c ---- */

int room_http_init(struct rooms *s);
void room_http_fini(struct rooms *s);

/* ---- room_keep.c ---- */

void room_keep_init(struct rooms *s);
/* As svc.cancel_reservation, for nobody: {u16 length, uid}*. */
int room_cancel(struct rooms *s, dk_id room, dk_slice list);
/* That plugin's attachment, if it has one here. */
const void *room_attached(const struct rooms *s, const struct room *r, const void *self);
/* Frees what is kept in a room beside its data. */
void room_strip(struct rooms *s, struct room *r);

/* ---- room_carry.c ---- */

void room_carry_init(struct rooms *s);
/* All of a room. The bytes are valid until the next call. Returns 0 or <0, after logging. */
int room_pack(struct rooms *s, const struct room *r, dk_slice *ret_bytes);
uint64_t room_state_hash(struct rooms *s, dk_slice state);
/* That part of what a plugin keeps of the room. Returns as its unpack(), or DK_NOT_FOUND: no plugin keeps any of that name. */
int room_unpack_part(struct rooms *s, const struct room *r, dk_str name, uint16_t version, dk_slice bytes);
/* The room lives here now: whoever knows it by an old id finds it. */
void room_know_by_old_ids(struct rooms *s, const struct room *r);
/* A room with that id, landing: without members, owner and timers. Returns 0, DK_FULL, DK_REFUSED (a plugin's part) or <0. */
int room_unpack(struct rooms *s, const struct room_image *image, const struct dk_id52 *id, struct room **ret_room);

/* ---- room_send.c ---- */

void room_send_init(struct rooms *s);

/* ---- room_chat.c ---- */

int room_chat_init(struct rooms *s);
/* Into the history, and nobody hears it. Returns 0 or -ENOMEM. */
int room_chat_remember(struct rooms *s, struct room *r, dk_str uid, dk_str text, uint64_t at_ms);
void room_chat_free(struct rooms *s, struct room *r);
void room_chat_fini(struct rooms *s);
/* For how many ms it has spoken ahead. */
uint32_t room_pace_ahead(struct rooms *s, dk_id user);
void room_pace_set(struct rooms *s, dk_id user, uint32_t ahead_ms);
void room_pace_dump(struct rooms *s, const struct room *r, struct dk_writer *w);
int room_pace_restore(struct rooms *s, struct room *r, struct dk_cursor *c);

/* ---- room_clock.c ---- */

void room_clock_init(struct rooms *s);
/* The room ends here: their owners are told. */
void room_clocks_end(struct room *r);
/* In a recording that is played: owners are numbers, and part of the name; nothing is called. */
int room_clock_play(struct rooms *s, dk_id room, uint8_t owner, dk_str name, uint32_t every_s);
int room_clock_play_stop(struct rooms *s, dk_id room, uint8_t owner, dk_str name);
struct dk_timer *room_clock_timer(struct rooms *s, struct room *r, uint8_t owner, dk_str name); /* NULL = none */
void room_clocks_dump(struct rooms *s, const struct room *r, struct dk_writer *w);
int room_clocks_restore(struct rooms *s, struct room *r, struct dk_cursor *c);

/* ---- room_relay.c ---- */

/* To all members, now or with the room's next tick. */
void room_relay(struct rooms *s, struct room *r, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable);
/* The same of a push that no function of the service makes. */
void room_relay_own(struct rooms *s, struct room *r, uint16_t cmd, dk_slice message, bool reliable);
/* To all members, now, after what waits. */
void room_relay_now(struct rooms *s, struct room *r, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable);
/* Sends what waits. Called before every change of members, so that each hears exactly what was said while it was there. */
void room_relay_flush(struct rooms *s, struct room *r);
/* Forgets what waits. */
void room_relay_drop(struct rooms *s, struct room *r);
void room_relay_arm(struct rooms *s, struct room *r, uint32_t in_ms);
void room_waiting_dump(struct rooms *s, const struct room *r, struct dk_writer *w);
int room_waiting_restore(struct rooms *s, struct room *r, struct dk_cursor *c);
void room_relay_init(struct rooms *s);
void room_relay_fini(struct rooms *s);

#endif
