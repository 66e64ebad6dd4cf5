/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State of the plugin dm, shared by its files: dm_client.c (what clients ask for), dm_post.c (messages on their way), dm_way.c
 * (what is known of users elsewhere), dm_here.c (users of this node get something), dm_member.c (what is known of them),
 * dm_place.c (telling the storage where they are), dm_pack.c (bytes).
 */
#ifndef DM_STATE_H
#define DM_STATE_H

#include <diarkis/carrier.h>
#include <diarkis/cluster.h>
#include <diarkis/dive.h>
#include <diarkis/plugin.h>

#include "dm_pack.h"
#include "dm_rows.h"

#define DM_STORAGE "dm.places"

struct dm_conf {
	bool expose_commands, one_login, migration;
	const char *type;
	int64_t ring_size, batch, interval;
	int64_t place_ttl_s, cache_s, max_cached, max_peers, max_message, queue_bytes, timeout_ms;
};

/* ---- messages on their way: one queue for each receiver ---- */

enum dm_kind { DM_MESSAGE = 1, DM_FIND, DM_PART };

/* What is to be done for whom. */
struct dm_order {
	enum dm_kind kind;
	uint8_t ver;
	uint16_t cmd;
	bool reliable;
	dk_id sender; /* 0: nobody of this node */
	dk_str from;
	dk_slice message;
	dk_id call; /* of a client; 0 = none */
	void *self, *arg;
	dk_dm_done_fn *done; /* NULL: nobody wants to know */
};

struct dm_item {
	struct dm_item *next;
	struct dms *s;
	struct dm_order order; /* texts in bytes */
	uint64_t until_ms;
	uint8_t bytes[];
};

enum dm_way_state { DM_IDLE, DM_LOOKING, DM_ASKING, DM_WAITING };

/* What is known of a user who is elsewhere, and what waits for it. */
struct dm_way {
	struct dms *s;
	dk_id id;
	struct dm_way *newer, *older; /* by last use */
	char *uid;
	uint16_t uid_n;
	uint8_t state; /* enum dm_way_state */
	uint8_t lookups, hops; /* since something arrived */
	bool told; /* its new node said where it is */
	bool due; /* dm_post.c will look at it at the end of this turn */
	struct dm_way *next_due;
	uint16_t pins; /* > 0: it stays where it is */
	uint16_t asked; /* items in the request under way */
	uint64_t used_ms;
	uint64_t left_ms; /* when it left this node for another one; 0 = it did not */
	struct dk_addr node; /* family 0: not known */
	struct dm_item *head, **tail;
	size_t bytes; /* of what waits */
	struct dk_timer timer;
	dk_id request;
};

/* ---- users of this node ---- */

struct dm_peer {
	struct dm_peer *next;
	uint16_t n;
	char uid[];
};

struct dm_member {
	dk_id user;
	uint64_t login;
	uint32_t hops;
	uint32_t peer_n;
	struct dm_peer *peers, **peer_tail; /* oldest first */
	bool present; /* it logged in here, or came and its client is here: before that it lives where it comes from */
	bool fresh; /* it logged in here and has not been told to the storage yet: then no other login is later */
	bool placed; /* the storage says that it is here */
	bool contested; /* the storage had another place for its uid */
	bool asking; /* a question about its place is under way */
	struct dk_addr from; /* the node that it comes from and that is to be told; family 0 = none */
	uint64_t next_ms; /* when to look at its place again */
};

struct dms {
	struct dk_self base;
	struct dk_dm svc;
	struct dk_user *user;
	struct dk_carrier *carrier;
	struct dk_cluster *cluster;
	struct dk_dive *dive; /* all three, or this node alone */
	struct dm_member **members; /* by slot of the user */
	size_t member_cap;
	struct dk_table ways;
	struct dk_map by_uid;
	struct dm_way *newest, *oldest;
	struct dm_way *due, **due_tail;
	struct dk_timer tick;
	struct dm_asked *asked; /* dm_place.c */
	uint64_t last_login;
	uint8_t *out; /* for one request, or one push */
	struct {
		uint64_t sent, delivered, asked, received, looked_up, repaired, retried;
		uint64_t not_found, vetoed, full, too_long, maybe, no_storage, refused, malformed;
		uint64_t placed, place_failed, replaced, forgotten;
		int64_t waiting, waiting_bytes, cached;
	} n;
};

static inline const struct dm_conf *dm_conf(const struct dms *s)
{
	return s->base.conf;
}

static inline struct dms *dms_of(struct dk_dm *svc)
{
	return dk_container_of(svc, struct dms, svc);
}

static inline bool dm_alone(const struct dms *s)
{
	return !s->carrier || !s->cluster || !s->dive;
}

/* ---- dm_way.c ---- */

enum { DM_OUT = 65536 + 1024, DM_LETTERS = 65536 }; /* bytes of s->out, and of the letters in one request */

static inline dk_str dm_way_uid(const struct dm_way *w)
{
	return dk_str_n(w->uid, w->uid_n);
}
int dm_way_init(struct dms *s);
void dm_way_fini(struct dms *s);
struct dm_way *dm_way_find(struct dms *s, dk_str uid); /* NULL: nothing is known */
struct dm_way *dm_way_get(struct dms *s, dk_str uid); /* makes it; NULL: too many are in use, or no memory */
/* Somebody of that uid is on that node, as it says. told: it has moved there. */
void dm_way_learn(struct dms *s, dk_str uid, const struct dk_addr *node, bool told);
void dm_way_left(struct dms *s, dk_str uid); /* it went from here to another node */
bool dm_way_has_left(const struct dms *s, const struct dm_way *w); /* just now */
void dm_way_came(struct dms *s, dk_str uid); /* it is here */
void dm_way_release(struct dms *s, struct dm_way *w); /* it goes where nothing is known of it and nothing waits for it */
void dm_way_forget(struct dms *s, dk_str uid);
void dm_way_forget_node(struct dms *s, const struct dk_addr *node);
void dm_way_sweep(struct dms *s); /* what was not used for long */

/* ---- dm_post.c ---- */

int dm_post_init(struct dms *s);
/* Returns as dk_dm.send. */
int dm_post(struct dms *s, dk_str to, const struct dm_order *o);
void dm_post_drop(struct dms *s, struct dm_way *w); /* what waits there, without a word */

/* ---- dm_here.c ---- */

/* The user of that uid, if messages to it may be handed over here. Returns 0, or enum dm_elsewhere. */
int dm_here(struct dms *s, dk_str uid, dk_id *ret_user);
/* Does what the order says for a user of this node. Returns 0, DK_GONE (nothing was done), or why not. */
int dm_hand_over(struct dms *s, dk_id user, const struct dm_order *o);

/* ---- dm_member.c ---- */

struct dm_member *dm_member(const struct dms *s, dk_id user); /* NULL: not a user with a connection */
int dm_member_init(struct dms *s);
void dm_member_fini(struct dms *s);
void dm_peer_add(struct dms *s, dk_id user, dk_str uid);
bool dm_peer_remove(struct dms *s, dk_id user, dk_str uid); /* false: it was not on the list */

/* ---- dm_place.c ---- */

/* Tells the storage that the user is here, and finds out whether it has logged in elsewhere. */
void dm_place_tell(struct dms *s, struct dm_member *m);
/* It is nowhere from now on. */
void dm_place_remove(struct dms *s, const struct dm_member *m, dk_str uid);
void dm_place_fini(struct dms *s);
void dm_place_tick(struct dms *s);
void dm_place_hurry(struct dms *s); /* some of the storage may be lost */
/* Whether that run of that node is there. */
bool dm_place_alive(struct dms *s, const struct dm_place *p);

/* ---- dm_client.c ---- */

/* Ends a client's call with what came of it. Returns what the handler is to return. */
int dm_reply(struct dk_call *call, int rc);

#endif
