/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of the plugin group, shared by its files: group.c (phases), group_client.c (commands of clients), group_service.c (what may
 * happen to a group), group_join.c (those who want to get in), group_relay.c (who hears what, and when), group_sync.c (who takes
 * part, and how the nodes agree on it), group_merge.c (what they tell each other of that), group_depart.c and group_arrive.c
 * (members that change their node), group_list.c (who is in it), group_tick.c, group_log.c, and as data group_store.[ch] and
 * group_view.[ch].
 */
#ifndef GROUP_STATE_H
#define GROUP_STATE_H

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/plugin.h>
#include <diarkis/user.h>

#include "group_rows.h"
#include "group_store.h"
#include "plugins/listing.h"

struct group_static_conf {
	const char *id;
	int64_t interval_ms;
};
struct group_conf {
	int64_t max_groups, max_per_user, max_message, held_bytes;
	struct dk_groups statics; /* of struct group_static_conf */
	bool expose_commands, compat_interval, support;
	int64_t support_groups;
	const char *support_type;
};

struct groups {
	struct dk_self base;
	struct dk_group svc;
	struct dk_user *user;
	struct dk_carrier *carrier; /* NULL: this node is alone */
	struct dk_cluster *cluster; /* likewise */
	struct group_store store;
	struct dk_pool lists;
	uint8_t *out; /* group_relay.c: where messages to other nodes are written; grows */
	size_t out_n;
	uint64_t last_version;
	struct listings listed; /* group_support.c */
	struct group_search *searches;
	struct group_joiner *ready, **ready_tail; /* group_join.c: whose turn it is */
	struct group_ask *asks; /* group_sync.c: requests under way */
	struct group_handing *handings; /* group_depart.c: likewise */
	uint64_t departed_open; /* group_depart.c: memberships that went, whose new node may still need something of this one */
	struct group_listing *listings; /* group_list.c */
	struct group_ticking *ticks; /* group_tick.c */
	struct dk_timer tick_timer;
	uint64_t asked_since_ms;
	uint32_t asked;
	struct {
		uint64_t created, refused, discarded, joined, left, cut_off, vetoed, joins_failed;
		uint64_t came, went, came_unsure, late, held_dropped;
		uint64_t messages, bytes, sent, heard, strays, doubled, ticks, pushes, lost, early;
		uint64_t syncs, denied, malformed, random_created, random_joined;
		int64_t groups, members;
	} n;
};

static inline const struct group_conf *group_conf(const struct groups *s)
{
	return s->base.conf;
}

static inline struct groups *groups_of(struct dk_group *svc)
{
	return dk_container_of(svc, struct groups, svc);
}

/* NULL: nobody may do anything with it yet, or any more. */
static inline struct group *group_live(const struct groups *s, dk_id group)
{
	struct group *g = group_store_get(&s->store, group);

	return g && g->phase == GROUP_LIVE ? g : NULL;
}

static inline void group_count(struct groups *s)
{
	s->n.groups = s->store.table.used;
	s->n.members = (int64_t)s->store.member_n;
}

static inline bool group_is_in(const struct group_node *n)
{
	return n->live && !(n->flags & GROUP_OUT);
}

static inline dk_str group_id_text(const struct group *g)
{
	return dk_str_n(g->id.c, DK_ID52_LEN);
}

/* ---- group_service.c ---- */

void group_service_init(struct groups *s);
/* A copy, live, of which nobody knows; the number of members is 0. Returns 0, DK_FULL or -ENOMEM. */
int group_make(struct groups *s, const struct dk_id52 *id, struct group **ret_group);
/* What a state says of the group beside its nodes. */
void group_furnish(struct groups *s, struct group *g, const struct group_state *state);
/* This node takes no part any more. g is gone. */
void group_end(struct groups *s, struct group *g);
/* Frees what hangs on a group. */
void group_strip(struct groups *s, struct group *g);
/* Ends it where it has no reason to live here. g may be gone: the last that is done with it. */
void group_look(struct groups *s, struct group *g);
uint32_t group_total(const struct group *g); /* members, as this node knows */
void group_tell_joined(struct groups *s, dk_id group, dk_id user, bool moved);
void group_on_user_discarded(struct groups *s, const struct dk_user_discarded *ev);
/* The static groups of the configuration. Returns 0 or <0. */
int group_make_statics(struct groups *s);

/* ---- group_client.c ---- */

int group_refuse(struct dk_call *call, uint32_t code, int rc);
/* With expose_commands off, clients have no group commands; other plugins and operators do. */
bool group_hidden(const struct groups *s, const struct dk_call *call);
int group_refuse_hidden(struct dk_call *call);
/* What members get, in scratch; empty stays empty. */
dk_slice group_with_tag(struct groups *s, dk_slice message, const struct dk_id52 *id);

/* ---- group_support.c: random joins ---- */

int group_support_init(struct groups *s);
void group_support_reload(struct groups *s);
void group_unlist(struct groups *s, struct group *g); /* from here nobody finds it any more */
void group_support_fini(struct groups *s);

/* ---- group_join.c ---- */

/* call 0: fn is told. Returns 0, DK_GONE, DK_FULL, DK_TOO_LONG or <0. */
int group_join_begin(struct groups *s, void *self, const struct dk_id52 *id, dk_id user, dk_id call, uint8_t ver, uint16_t cmd,
		     dk_slice message, dk_group_join_fn *fn, void *arg);
/* Those who wait get in, if the nodes know, or have waited long enough. */
void group_join_look(struct groups *s, struct group *g);
/* A state of a group that was sought has come. */
void group_join_found(struct groups *s, struct group *g);
void group_join_strip(struct groups *s, struct group *g);
void group_join_fini(struct groups *s);

/* ---- group_sync.c ---- */

/* Later than all that this node has said of itself, of whatever group. */
uint64_t group_next_version(struct groups *s);
/* The own entry follows what is so, and who has to know is told. */
void group_changed(struct groups *s, struct group *g);
/* Every node that is in knows that this one listens. */
bool group_known(const struct group *g);
/* Asks those who are in, and of whom that is not known, to confirm that this node listens. */
void group_ask_all(struct groups *s, struct group *g);
void group_send_state(struct groups *s, const struct dk_id52 *id, const struct dk_addr *to, dk_slice state);
/* The state of a node that has no copy; in scratch. */
dk_slice group_denial(struct groups *s);

/* ---- group_merge.c ---- */

/* What another node wrote. Returns 0, or -EPROTO. A group that was sought is found. */
int group_merge(struct groups *s, struct group *g, dk_slice state);
/* A node that something came from; NULL: no memory. */
struct group_node *group_node_of(struct groups *s, struct group *g, const struct dk_addr *addr);
/* To a node that believes this one to take part in a group of which there is no copy here. */
void group_deny(struct groups *s, const struct dk_id52 *id, const struct dk_addr *to);
/* The state in scratch; empty: no memory. */
dk_slice group_state_of(struct groups *s, const struct group *g, uint8_t flags);
/* The work timer runs soon. */
void group_work_soon(struct groups *s, struct group *g);
bool group_is_home(struct groups *s, const struct group *g);
bool group_node_there(struct groups *s, const struct dk_addr *addr);
/* Whether it is live follows what the cluster says. */
void group_node_refresh(struct groups *s, struct group_node *n);
void group_on_cluster_changed(struct groups *s, const struct dk_cluster_event *ev);
void group_sync_fini(struct groups *s);

/* ---- group_relay.c ---- */

/* From this node to all members. */
void group_say(struct groups *s, struct group *g, uint8_t ver, uint16_t cmd, dk_slice message, bool reliable);
/* Sends the members here what waits. Called before every change of members. */
void group_relay_flush(struct groups *s, struct group *g);
void group_relay_drop(struct groups *s, struct group *g);
/* Where a message of up to n bytes to other nodes is written; until the next call. */
struct dk_writer group_out(struct groups *s, size_t n);
/* To one member, outside of all that. */
void group_push_one(struct groups *s, dk_id user, uint8_t ver, uint16_t cmd, dk_slice message);
void group_relay_init(struct groups *s);
void group_relay_fini(struct groups *s);

/* ---- group_log.c ---- */

struct group_said {
	struct dk_addr origin;
	uint64_t number;
	uint32_t n;
	uint16_t cmd;
	uint8_t ver;
};
bool group_log_wanted(const struct group *g);
void group_log_add(struct groups *s, struct group *g, const struct group_node *from, uint64_t number, uint8_t ver, uint16_t cmd,
		   dk_slice message);
/* One after another: *at 0 starts; false at the end. */
bool group_log_next(const struct group *g, size_t *at, struct group_said *ret_said, dk_slice *ret_message);
/* Nobody needs it any more. */
void group_log_trim(struct groups *s, struct group *g);
void group_log_free(struct groups *s, struct group *g);

/* ---- group_depart.c ---- */

/* What a member has heard, per node. */
struct group_heard {
	struct dk_addr origin;
	uint64_t number;
};
struct group_leaving {
	struct group_leaving *next;
	dk_id user;
	struct dk_addr to;
	uint64_t until_ms;
};
bool group_leaving_any(const struct group *g, dk_id user);
/* Its user lives on on another node. */
void group_depart(struct groups *s, dk_id user, const uint8_t *sid);
void group_leaving_drop(struct groups *s, struct group *g, dk_id user);
/* What has come here goes to where members went lately, too. */
void group_depart_late(struct groups *s, struct group *g, const struct group_node *from, uint64_t number, uint8_t ver, uint16_t cmd,
		       dk_slice message);
/* What came late from that node, for a member (by its sid) or for all, goes after those who have left meanwhile. */
void group_depart_onward(struct groups *s, struct group *g, const struct dk_addr *via, dk_slice member,
			 const struct dk_addr *origin, uint64_t number, uint8_t hops, uint8_t ver, uint16_t cmd, dk_slice message);
/* What that node hands over for a member that has gone on meanwhile goes after it. False: there is none such. chained, heard: as
 * written there. */
bool group_depart_told(struct groups *s, struct group *g, const struct dk_addr *via, dk_slice sid, bool chained, dk_slice heard);
/* Time goes by. True: there is something to wait for. */
bool group_depart_work(struct groups *s, struct group *g);
void group_depart_strip(struct groups *s, struct group *g);
void group_depart_fini(struct groups *s);

/* ---- group_arrive.c ---- */

struct group_arrival {
	dk_id user;
	struct dk_addr from; /* family 0: not known yet */
	bool chained; /* it left that one before it had quite come there: what comes late for it is for it alone */
	uint64_t since_ms, here_ms, told_ms; /* its client is here; its former node has told */
	struct group_heard *before, *heard; /* when it came, here; what it has, by its former node */
	uint16_t before_n, heard_n;
};
extern const struct dk_user_part group_part;
void group_on_user_arrived(struct groups *s, const struct dk_user_arrived *ev);
bool group_arrive_work(struct groups *s, struct group *g, bool all);
void group_arrival_free(struct groups *s, struct group_arrival *a);
/* What it has of that node; 0 = nothing, or nobody told. */
uint64_t group_arrival_heard(const struct group_arrival *a, const struct dk_addr *origin);

/* ---- group_list.c, group_tick.c ---- */

void group_list_init(struct groups *s);
/* What the own entry tells of them; w is what they are written to. */
dk_slice group_some_uids(struct groups *s, const struct group *g, struct dk_writer *w);
int group_list_call(struct groups *s, const struct group *g, dk_id call, bool exact);
void group_list_fini(struct groups *s);
void group_tick_init(struct groups *s);
void group_tick_strip(struct groups *s, dk_id group);
void group_tick_fini(struct groups *s);

#endif
