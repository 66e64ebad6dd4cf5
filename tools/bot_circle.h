/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenarios in which bots talk to each other in circles: what one of them says all of its circle are to hear, once and in order. A
 * circle is a room, a group, a session, or simply those who write to each other; a scenario of that kind is its struct circle_ops.
 *
 * Each message says who sent it, as which number and when: {u32 sender, u32 number, u64 ns of the monotonic clock, filling}. Every
 * receiver keeps for every sender of its circle the highest number and which of the 64 below it came, so that lost, doubled and
 * overtaken messages are told apart. Bots send one after another at even distances. Bot i is member i / circles of circle
 * i % circles, so what leaves together goes to different circles, as with players who know nothing of each other; or, where circles
 * are not to be the same as others of the run, member i % size of circle i / size.
 */
#ifndef TOOLS_BOT_CIRCLE_H
#define TOOLS_BOT_CIRCLE_H

#include "tools/bot.h"

#define CIRCLE_ID_MAX 160

struct track {
	uint64_t seen; /* bit k: number next - 1 - k came */
	uint32_t next; /* highest number + 1 */
	uint32_t got; /* different numbers that came */
};

enum member_state { MEMBER_OUT = 0, MEMBER_CONNECTED, MEMBER_ASKED, MEMBER_IN, MEMBER_LOST };

struct member { /* a bot's place in its circle */
	struct circles *of;
	uint32_t bot, circle, place;
	uint32_t next; /* number of the message to send */
	uint8_t state;
	uint64_t heard_ns, gap_ns; /* the last message of its circle, 0 outside of the run; the longest time between two */
};

struct circle {
	char id[CIRCLE_ID_MAX]; /* as it was called first; text, or bytes */
	uint32_t id_n;
	struct dk_id52 now; /* rooms: and is now */
	uint32_t size; /* members of this process */
	bool known, lost;
	uint64_t expected, delivered, duplicated, out_of_order;
	uint64_t skipped; /* numbers of senders that were passed over, and did not come later */
};

struct circle_ops {
	/* The first member makes it; the others come in. Both answers go to entered, which says where one is (false: refused).
	 * Functions return what dkc_request() does. create NULL: everybody is in from the beginning. */
	int (*create)(struct member *m, struct dkc_client *c, dkc_reply_fn *fn, void *arg);
	int (*join)(struct member *m, struct dkc_client *c, const struct circle *circle, dkc_reply_fn *fn, void *arg);
	bool (*entered)(const struct dkc_reply *reply, struct circle *ret_circle);
	/* Returns what dkc_send() does. */
	int (*say)(struct member *m, struct dkc_client *c, const struct circle *circle, dk_slice message);
	/* Whether that is a message of the circle. */
	bool (*heard)(const struct dkc_event *e, dk_slice *ret_message);
	/* Asks how many are in, for circles of several processes; count reads the answer. May be NULL. */
	int (*ask_count)(struct dkc_client *c, const struct circle *circle, dkc_reply_fn *fn, void *arg);
	bool (*count)(const struct dkc_reply *reply, uint32_t *ret_members);
	bool alone; /* who speaks does not hear itself */
	bool across; /* neighbours sit together, who are in different rooms, and so on different nodes */
	bool latest; /* only the last message of each sender has to come */
	bool unordered; /* one may overtake another, and that is no error */
	bool reliable; /* always, whatever the options say */
	uint32_t size; /* the only size that there is; 0 = as the options say */
};

/* A number that a receiver passed over so long ago that it will not come. */
struct gone {
	uint64_t message; /* of all that were sent */
	uint32_t circle;
};

/* A message whose answer is not there yet, or says that it was not delivered. */
struct said {
	struct said *next, **at;
	struct member *m; /* who said it */
	uint32_t number;
	bool told;
};

struct circles {
	struct part *part;
	const struct bot_options *o;
	const struct circle_ops *ops;
	struct member *members;
	struct circle *circles;
	struct track *tracks; /* bots x size */
	uint32_t size, circle_n, joined;
	bool shared, shared_asked, full, reliable; /* shared: by several processes; full: all of them are in */
	uint64_t sent, delivered, foreign;
	uint64_t start_ns, stop_ns, asked_ns, last_new_ns;
	uint8_t *message;
	uint64_t told_n; /* messages whose sender was told that they were not delivered */
	struct said *said; /* of scenarios in which each message is answered */
	/* How many messages had been sent after each PACE_NS of the run. */
	uint64_t *pace;
	uint32_t pace_n, pace_cap;
	struct gone *gone;
	uint64_t *twice; /* when what came twice was sent */
	uint32_t twice_n;
	uint32_t gone_n, gone_cap;
	struct hist latency, gaps,
		told; /* ns; gaps: of each bot the longest one; told: from the last message to the news of the loss */
	uint64_t moved, lost; /* circles */
	uint64_t interruptions, first_ns, last_ns;
	uint64_t was_sent, was_delivered;
};

/* For a struct scenario; open calls circle_open() with its own ops. */
int circle_open(struct part *p, const struct circle_ops *ops, void **ret_self);
void circle_close(struct part *p);
void circle_connected(struct part *p, uint32_t bot);
void circle_event(struct part *p, uint32_t bot, const struct dkc_event *e);
bool circle_ready(struct part *p, uint64_t now);
void circle_start(struct part *p, uint64_t now);
bool circle_send(struct part *p, uint64_t now);
void circle_stop(struct part *p, uint64_t now);
bool circle_drained(struct part *p, uint64_t now);
void circle_progress(struct part *p, FILE *out, uint64_t now);
void circle_report(struct part *p, FILE *out, bool json);
bool circle_broken(struct part *p);
#define CIRCLE_SCENARIO_BUT_EVENT                                                                                                  \
	.close = circle_close, .connected = circle_connected, .ready = circle_ready, .start = circle_start, .send = circle_send,   \
	.stop = circle_stop, .drained = circle_drained, .progress = circle_progress, .report = circle_report,                      \
	.broken = circle_broken

static inline dk_str circle_id(const struct circle *c)
{
	return dk_str_n(c->id, c->id_n);
}
bool circle_set_id(struct circle *c, dk_str id); /* false: too long */

/* The bot that is a member of this process; where none of its bots is, it is o->bots or more. */
static inline uint32_t circle_bot(const struct circles *s, uint32_t circle, uint32_t place)
{
	return s->ops->across ? circle * s->size + place : (place - (s->shared ? s->o->first : 0)) * s->circle_n + circle;
}

/* ---- bot_room.c: for scenarios in rooms ---- */

int room_create(struct member *m, struct dkc_client *c, dkc_reply_fn *fn, void *arg);
int room_join(struct member *m, struct dkc_client *c, const struct circle *circle, dkc_reply_fn *fn, void *arg);
bool room_entered(const struct dkc_reply *reply, struct circle *ret_circle);

/* ---- bot_track.c: what came, what did not ---- */

void track_delivered(struct circles *s, struct member *m, dk_slice message);
/* Notes how many were sent up to now. */
void track_pace(struct circles *s, uint64_t now);
/* The bot heard its circle; the run is over; the circle is lost, as the bot was told. */
void track_heard(struct circles *s, struct member *m, uint64_t now);
void track_stop(struct circles *s, uint64_t now);
void track_lost(struct circles *s, struct member *m, uint64_t now);
/* How many did not come that were sent while no bot missed its node. */
uint64_t track_calm(const struct circles *s);
/* How many did not come of which the sender was told; calm: that were sent while no bot missed its node. They are no loss. */
uint64_t track_told(const struct circles *s, bool calm);
/* The same as track_calm() of what came twice. */
uint64_t track_twice_calm(const struct circles *s);

/* Of the circles that are not lost. expected: deliveries that have to come, those of other processes' messages included. */
struct circle_sum {
	uint64_t expected, delivered, duplicated, out_of_order, skipped, lost;
};
struct circle_sum circle_sum(const struct circles *s);

#endif
