/* SPDX-License-Identifier: Apache-2.0 */
/* What bot_room.c and bot_room_print.c share: the run, as it stands. */
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
};

struct room {
	struct dk_id52 id;
	uint32_t size; /* members of this process */
	bool known;
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
	uint64_t sent, expected, delivered, duplicated, out_of_order, foreign, refused;
	uint64_t phase_ns, progress_ns, last_new_ns, stop_ns;
	uint8_t *message;
	struct hist rtt_before, rtt, latency;
	/* the second before, for the progress line */
	uint64_t was_sent, was_delivered;
	double was_cpu, cpu_start;
};

/* Deliveries that have to come, those of other processes' messages included. */
uint64_t room_expected(const struct run *r);
void room_progress(struct run *r, uint64_t now); /* one line on standard error */
int room_report(struct run *r); /* the figures; returns the exit status */

#endif
