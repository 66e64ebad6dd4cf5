/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-bot room: bots sit in rooms and broadcast; every delivery is checked. Each message says who sent it, as which
 * number and when: {u32 sender, u32 number, u64 ns of the monotonic clock, filling}. Every receiver keeps for every sender of
 * its room the highest number and which of the 64 below it came, so that lost, doubled and overtaken messages are told apart.
 *
 * Bot i is member i / rooms of room i % rooms, and bots send one after another at even distances: what leaves together goes
 * to different rooms, as with players who know nothing of each other.
 *
 * A room larger than the number of bots is shared with another process: one creates it and prints its id, the others --join it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/bot_room.h"

#define CONNECTING_MAX 256
#define STUCK_NS (30 * UINT64_C(1000000000))
#define SENDS_PER_TURN 4096
#define SHARED_POLL_NS 50000000

static void fail(struct run *r, const char *what, const char *why)
{
	if (!r->failed)
		fprintf(stderr, "%s: %s\n", what, why);
	r->failed = true;
	r->phase = DONE;
}

/* ---- deliveries ---- */

static void delivered(struct run *r, struct bot *b, dk_slice m)
{
	struct dk_cursor c = dk_cursor_of(m);
	uint32_t sender = dk_rd_u32(&c), number = dk_rd_u32(&c), member = sender - b->room * r->o->room_size;
	uint64_t at = dk_rd_u64(&c), now = net_now_ns(r->net);
	struct room *room = &r->rooms[b->room];
	struct track *t;

	if (c.bad || member >= r->o->room_size) {
		r->foreign++;
		return;
	}
	t = &r->tracks[(size_t)b->index * r->o->room_size + member];
	if (number >= t->next) {
		uint32_t step = number - t->next + 1;

		room->skipped += step - 1;
		t->seen = step < 64 ? t->seen << step | 1 : 1;
		t->next = number + 1;
	} else {
		uint32_t back = t->next - 1 - number;

		if (back < 64 && (t->seen >> back & 1)) {
			room->duplicated++;
			return;
		}
		if (back < 64)
			t->seen |= UINT64_C(1) << back;
		room->out_of_order++;
		room->skipped--;
	}
	t->got++;
	r->delivered++;
	room->delivered++;
	r->last_new_ns = now;
	watch_heard(r, b, now);
	hist_record(&r->latency, now > at ? now - at : 0);
}

/* ---- getting into rooms ---- */

static void ask_to_join(struct run *r, struct bot *b);

static void on_joined(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct bot *b = arg;
	struct run *r = b->run;
	struct room *room = &r->rooms[b->room];
	struct dk_id52 id;
	uint32_t created;
	dk_str why = dkc_reply_error(reply, NULL);
	char text[256];

	(void)client;
	if (!dkc_room_joined(reply, &id, &created)) {
		snprintf(text, sizeof(text), DK_STR_FMT, DK_STR_ARG(why));
		fail(r, b->member || r->o->join ? "room.join was refused" : "room.create was refused", text);
		return;
	}
	b->state = BOT_JOINED;
	r->joined++;
	if (room->known)
		return;
	room->known = true;
	room->id = room->now = id;
	if (r->shared) {
		printf("room " DK_STR_FMT "\n", DK_ID52_LEN, room->id.c);
		fflush(stdout);
	}
	for (uint32_t i = b->room; i < r->o->bots; i += r->room_n) {
		if (r->bots[i].state == BOT_CONNECTED)
			ask_to_join(r, &r->bots[i]);
	}
}

static void ask_to_join(struct run *r, struct bot *b)
{
	struct room *room = &r->rooms[b->room];
	dk_slice nothing = { NULL, 0 };
	int rc;

	if (room->known) {
		rc = dkc_room_join(b->net.client, &room->id, nothing, on_joined, b);
	} else if (b->index == b->room) { /* the first member */
		struct dkc_room_opts opts = { .max_members = (uint16_t)(r->o->room_size < 2 ? 2 : r->o->room_size),
					      .allow_empty = r->o->allow_empty,
					      .join = true,
					      .ttl_s = (uint16_t)r->o->room_ttl_s,
					      .interval_ms = r->o->interval_ms };

		rc = dkc_room_create(b->net.client, &opts, on_joined, b);
	} else {
		return; /* when the room is there */
	}
	b->state = BOT_ASKED;
	net_touch(r->net, b->index);
	if (rc)
		fail(r, "a request could not be sent", rc < 0 ? strerror(-rc) : "the connection is gone or full");
}

static void on_event(void *arg, struct dkc_client *client, const struct dkc_event *e)
{
	struct bot *b = arg;
	struct run *r = b->run;

	(void)client;
	watch_event(r, b, e);
	switch (e->kind) {
	case DKC_PUSH:
		if (dkc_room_event(e) == DKC_ROOM_BROADCAST)
			delivered(r, b, e->payload);
		break;
	case DKC_CONNECTED:
		if (e->again)
			break;
		r->connected++;
		b->state = BOT_CONNECTED;
		ask_to_join(r, b);
		break;
	case DKC_ECHO:
		hist_record(r->phase >= RUN ? &r->rtt : &r->rtt_before, (uint64_t)e->rtt_us * 1000);
		break;
	case DKC_RESPONSE:
		if (e->status != DK_STATUS_OK)
			r->refused++;
		break;
	case DKC_DISCONNECTED:
		b->state = BOT_LOST;
		r->lost_bots += e->reason != DKC_BY_CLIENT;
		if (r->phase < RUN)
			fail(r, "a bot lost its connection before the run", dkc_reason_text(e->reason));
		break;
	default:
		break;
	}
}

static void on_endpoint(void *arg, uint32_t i, const struct dkc_endpoint *endpoint, const char *why)
{
	struct run *r = arg;
	struct bot *b = &r->bots[i];
	struct dkc_opts opts;
	char uid[128];

	if (!endpoint) {
		fail(r, "no endpoint", why);
		return;
	}
	dkc_opts_default(&opts);
	opts.client_key = dk_str_c(r->o->client_key);
	opts.uid = dk_str_c(fetch_uid(r->o, i, uid, sizeof(uid)));
	opts.echo_ms = r->o->echo_ms;
	opts.request_ms = 20000;
	opts.event = on_event;
	opts.arg = b;
	if (dkc_client_new(r->ctx, endpoint, &opts, &b->net.client)) {
		fail(r, "no client", "out of memory");
		return;
	}
	r->started++;
	dkc_connect(b->net.client);
	net_add(r->net, i);
}

/* ---- sending ---- */

/* 0, or DKC_FULL: try again later. */
static int send_one(struct run *r, struct bot *b)
{
	struct room *room = &r->rooms[b->room];
	struct dk_writer w = dk_writer_on(r->message, r->o->size);
	int rc;

	dk_wr_u32(&w, b->room * r->o->room_size + b->member);
	dk_wr_u32(&w, b->next);
	dk_wr_u64(&w, net_now_ns(r->net));
	rc = dkc_room_broadcast(b->net.client, &room->id, dk_slice_n(r->message, r->o->size), r->o->reliable);
	net_touch(r->net, b->index);
	if (rc == DKC_FULL && r->o->reliable)
		return rc;
	if (rc == DKC_TOO_LONG)
		fail(r, "a message could not be sent", "it is too long; use a smaller --size, or --reliable");
	b->next++;
	r->sent++;
	room->expected += room->size;
	return 0;
}

static void stop_sending(struct run *r, uint64_t now)
{
	watch_stop(r, now);
	r->phase = DRAIN;
	r->stop_ns = r->last_new_ns = now;
}

static void send_due(struct run *r)
{
	uint64_t now = net_clock_ns(r->net);
	uint64_t due = (uint64_t)((double)(now - r->phase_ns) / 1e9 * r->o->rate * r->o->bots), all = UINT64_MAX;

	if (r->o->messages)
		all = (uint64_t)r->o->messages * r->o->bots;
	due = due > all ? all : due;
	for (int i = 0; i < SENDS_PER_TURN && r->sent < due; i++) {
		struct bot *b = &r->bots[r->sent % r->o->bots];

		if (b->state == BOT_LOST) {
			b->next++;
			r->sent++;
			continue;
		}
		if (send_one(r, b))
			break;
	}
	if (r->sent >= all || r->lost_bots == r->o->bots ||
	    (r->o->seconds && now - r->phase_ns >= r->o->seconds * UINT64_C(1000000000)))
		stop_sending(r, now);
}

/* ---- the run ---- */

static void start_sending(struct run *r, uint64_t now)
{
	r->phase = RUN;
	r->phase_ns = now;
	watch_start(r, now);
}

static void on_count(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct bot *b = arg;
	struct run *r = b->run;
	uint16_t members, max;

	(void)client;
	r->shared_asked = false;
	if (r->phase == WAIT_SHARED && dkc_room_count(reply, &members, &max) && members >= r->o->room_size)
		start_sending(r, net_clock_ns(r->net));
}

static void step(struct run *r, uint64_t now)
{
	const uint64_t grace = (r->o->reliable || r->o->protocol == DKC_TCP ? r->o->drain_s : 1) * UINT64_C(1000000000);
	struct room_sum sum;

	switch (r->phase) {
	case CONNECT:
		fetch_upto(r->fetch, r->net,
			   r->connected + CONNECTING_MAX < r->o->bots ? r->connected + CONNECTING_MAX : r->o->bots);
		if (r->joined == r->o->bots) {
			if (r->shared) {
				r->phase = WAIT_SHARED;
				r->phase_ns = now;
			} else {
				start_sending(r, now);
			}
			r->cpu_start = r->was_cpu = run_cpu_s();
		} else if (now - r->phase_ns > STUCK_NS && now - r->phase_ns > r->o->bots * UINT64_C(1000000)) {
			fail(r, "not all bots got into their rooms", "no answer for half a minute");
		}
		break;
	case WAIT_SHARED:
		if (!r->shared_asked && now - r->phase_ns > SHARED_POLL_NS) {
			r->shared_asked = dkc_room_get_count(r->bots[0].net.client, &r->rooms[0].id, on_count, &r->bots[0]) == 0;
			net_touch(r->net, 0);
			r->phase_ns = now;
		}
		break;
	case RUN:
		send_due(r);
		break;
	case DRAIN:
		sum = room_sum(r);
		if (sum.delivered >= sum.expected || now - r->last_new_ns > grace || r->lost_bots == r->o->bots)
			r->phase = DONE;
		break;
	case DONE:
		break;
	}
}

/* Everybody says goodbye; a few turns for it to get out. */
static void close_all(struct run *r)
{
	for (uint32_t i = 0; i < r->o->bots; i++) {
		if (r->bots[i].net.client) {
			dkc_close(r->bots[i].net.client);
			net_touch(r->net, i);
		}
	}
	for (int i = 0; i < 50; i++)
		net_turn(r->net, 1000);
}

static void http_ready(void *arg, uint32_t events)
{
	struct run *r = arg;

	fetch_ready(r->fetch, r->net, events);
}

static int set_up(struct run *r)
{
	const struct bot_options *o = r->o;
	struct net_opts net = { o->protocol, o->bots, sizeof(struct bot), NULL, o->batch_us, http_ready, r };
	struct dkc_ctx_opts ctx;

	r->shared = o->join || o->bots < o->room_size;
	r->room_n = r->shared ? 1 : (o->bots + o->room_size - 1) / o->room_size;
	r->bots = calloc(o->bots, sizeof(*r->bots));
	r->rooms = calloc(r->room_n, sizeof(*r->rooms));
	r->tracks = calloc((size_t)o->bots * o->room_size, sizeof(*r->tracks));
	r->message = calloc(1, o->size);
	if (!r->bots || !r->rooms || !r->tracks || !r->message)
		return -ENOMEM;
	for (uint32_t i = 0; i < o->bots; i++) {
		struct bot *b = &r->bots[i];

		b->run = r;
		b->index = i;
		b->room = i % r->room_n;
		b->member = i / r->room_n + (r->shared ? o->first : 0);
		r->rooms[b->room].size++;
	}
	if (o->join) {
		dkc_room_id(dk_str_c(o->join), &r->rooms[0].id);
		r->rooms[0].known = true;
	}
	dkc_ctx_opts_default(&ctx);
	if (o->retry_ms)
		ctx.retry_interval_ms = o->retry_ms;
	if (o->max_retry)
		ctx.max_retry = o->max_retry;
	net.first = r->bots;
	if (dkc_ctx_new(&ctx, &r->ctx))
		return -ENOMEM;
	return net_new(&net, &r->net) || fetch_new(o, on_endpoint, r, &r->fetch) ? -1 : 0;
}

int bot_room(const struct bot_options *o)
{
	struct run *r = calloc(1, sizeof(*r));
	int signals = run_signal_fd(), rc = 1;
	uint64_t now, next_progress, next_signal = 0;

	if (!r)
		return 1;
	r->o = o;
	if (set_up(r)) {
		fprintf(stderr, "The bots could not be set up.\n");
		goto out;
	}
	r->phase_ns = net_clock_ns(r->net);
	next_progress = r->phase_ns + 1000000000;
	while (r->phase != DONE) {
		net_turn(r->net, r->phase == RUN && r->o->rate * r->o->bots > 20000 ? 100 : 1000);
		now = net_clock_ns(r->net);
		step(r, now);
		if (now >= next_progress) {
			next_progress += 1000000000;
			if (!o->quiet)
				room_progress(r, now);
		}
		if (now >= next_signal) {
			next_signal = now + 50000000;
			if (run_interrupted(signals)) {
				fprintf(stderr, "interrupted\n");
				if (r->phase < RUN)
					fail(r, "not all bots got into their rooms", "interrupted");
				else if (r->phase == RUN) /* what is under way may still arrive; a second signal ends it all */
					stop_sending(r, now);
			}
		}
	}
	rc = r->failed ? 1 : room_report(r);
	close_all(r);
out:
	fetch_free(r->fetch);
	net_free(r->net);
	for (uint32_t i = 0; r->bots && i < o->bots; i++)
		dkc_client_free(r->bots[i].net.client);
	dkc_ctx_free(r->ctx);
	free(r->bots);
	free(r->rooms);
	free(r->tracks);
	free(r->message);
	free(r);
	close(signals);
	return rc;
}
