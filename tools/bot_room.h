/* SPDX-License-Identifier: Apache-2.0 */
/* What bot_room.c, bot_room_watch.c and bot_room_print.c share: the run, as it stands. */
#ifndef TOOLS_BOT_ROOM_H
#define TOOLS_BOT_ROOM_H

#include <diarkis/client_room.h>

#include "tools/bot.h"
#include "tools/hist.h"

struct track {
	uint64_t seen; /* bit k: number next - 1 - k came */
	uint32_t next; /* highest number + 1 */
	uint32_t got; /* different numbers that came */
};

enum bot_state { BOT_NEW = 0, BOT_CONNECTED, BOT_ASKED, BOT_JOINED, BOT_LOST };

struct bot {
	struct net_bot net; /* first: bot_net.c steps through them */
	struct run *run;
	uint32_t index, room, member, next; /* next: number of the message to send */
	uint8_t state;
	bool searching; /* for its room */
	uint64_t heard_ns, gap_ns; /* the last message of its room, 0 outside of the run; the longest time between two */
};

struct room {
	struct dk_id52 id; /* as it was called first */
	struct dk_id52 now; /* and is now */
	uint32_t size; /* members of this process */
	bool known, lost;
	uint64_t expected, delivered, duplicated, out_of_order;
	uint64_t skipped; /* numbers of senders that were passed over, and did not come later */
};

#define WATCH_REASONS 16
#define WATCH_SAID 8

struct watch {
	uint64_t unix_offset_ns, start_ns;
	uint64_t moves, searches, resumed, rooms_moved, rooms_lost;
	uint64_t interruptions, first_ns, last_ns, longest_ns;
	uint32_t searching; /* now */
	uint32_t reasons[WATCH_REASONS]; /* by enum dkc_reason; from WATCH_SAID on by what the server said */
	struct hist gaps, told; /* ns: of each bot the longest one; from the last message to the news that the room is lost */
};

enum phase { CONNECT, WAIT_SHARED, RUN, DRAIN, DONE };

struct run {
	const struct bot_options *o;
	struct net *net;
	struct fetch *fetch;
	struct dkc_ctx *ctx;
	struct bot *bots;
	struct room *rooms;
	struct track *tracks; /* bots x room_size */
	uint32_t room_n, started, connected, joined, lost_bots;
	enum phase phase;
	bool failed, shared, shared_asked;
	uint64_t sent, delivered, foreign, refused;
	uint64_t phase_ns, progress_ns, last_new_ns, stop_ns;
	uint8_t *message;
	struct hist rtt_before, rtt, latency;
	struct watch watch;
	/* the second before, for the progress line */
	uint64_t was_sent, was_delivered;
	double was_cpu, cpu_start;
};

/* Of the rooms that are not lost. expected: deliveries that have to come, those of other processes' messages included. */
struct room_sum {
	uint64_t expected, delivered, duplicated, out_of_order, skipped;
};
struct room_sum room_sum(const struct run *r);
void room_progress(struct run *r, uint64_t now); /* one line on standard error */
int room_report(struct run *r); /* the figures; returns the exit status */

/* bot_room_watch.c */
void watch_start(struct run *r, uint64_t now);
void watch_stop(struct run *r, uint64_t now);
void watch_heard(struct run *r, struct bot *b, uint64_t now);
void watch_event(struct run *r, struct bot *b, const struct dkc_event *e);
void watch_progress(const struct run *r, const struct room_sum *sum); /* while more than nothing happened */
void watch_print(const struct run *r, bool json);
/* Sentences on standard error for the bounds that were not kept. */
bool watch_broken(const struct run *r, uint64_t lost, uint64_t wrong);

#endif
