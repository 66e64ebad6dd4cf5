/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to bots while the cluster is disturbed: how long each heard nothing of its room, who was moved, which rooms got lost
 * and how long that took to be told; and whether all of it stayed within what the command line asks for.
 *
 * A bot's gap is the longest time between two messages of its room, from the beginning of the run to its end. A room that is lost
 * is no loss of messages: what was sent to it counts nowhere but here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "tools/bot_room.h"

static uint64_t clock_of(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static uint64_t unix_ms(const struct watch *w, uint64_t ns)
{
	return ns ? (ns + w->unix_offset_ns) / 1000000 : 0;
}

void watch_start(struct run *r, uint64_t now)
{
	struct watch *w = &r->watch;

	w->unix_offset_ns = clock_of(CLOCK_REALTIME) - clock_of(CLOCK_MONOTONIC);
	w->start_ns = now;
	for (uint32_t i = 0; i < r->o->bots; i++)
		r->bots[i].heard_ns = now;
}

static void gap(struct run *r, struct bot *b, uint64_t now)
{
	struct watch *w = &r->watch;
	uint64_t ns = now > b->heard_ns ? now - b->heard_ns : 0;

	b->gap_ns = ns > b->gap_ns ? ns : b->gap_ns;
	w->longest_ns = ns > w->longest_ns ? ns : w->longest_ns;
	if (ns > r->o->gap_ms * UINT64_C(1000000)) {
		w->interruptions++;
		if (!w->first_ns || b->heard_ns < w->first_ns)
			w->first_ns = b->heard_ns;
		w->last_ns = now;
	}
}

void watch_heard(struct run *r, struct bot *b, uint64_t now)
{
	if (!b->heard_ns || r->phase != RUN)
		return;
	if (now - b->heard_ns > b->gap_ns)
		gap(r, b, now);
	b->heard_ns = now;
}

void watch_stop(struct run *r, uint64_t now)
{
	for (uint32_t i = 0; i < r->o->bots; i++) {
		struct bot *b = &r->bots[i];

		if (b->state == BOT_JOINED && b->heard_ns)
			gap(r, b, now);
		if (b->heard_ns)
			hist_record(&r->watch.gaps, b->gap_ns);
		b->heard_ns = 0;
	}
}

static void room_lost(struct run *r, struct bot *b, uint64_t now)
{
	struct room *room = &r->rooms[b->room];

	r->watch.rooms_lost += !room->lost;
	room->lost = true;
	if (b->heard_ns && r->phase == RUN)
		hist_record(&r->watch.told, now - b->heard_ns);
}

static void set_searching(struct watch *w, struct bot *b, bool searching)
{
	w->searching += searching && !b->searching;
	w->searching -= !searching && b->searching;
	b->searching = searching;
}

static size_t ended_as(const struct dkc_event *e)
{
	size_t i = e->said ? WATCH_SAID + (size_t)e->said : (size_t)e->reason;

	return i < WATCH_REASONS ? i : 0;
}

static const char *ended_text(size_t i)
{
	switch (i) {
	case WATCH_SAID + DKC_SAID_SHUTDOWN:
		return "the server said that it shuts down";
	case WATCH_SAID + DKC_SAID_REPLACED:
		return "the server said that the user logged in anew";
	case WATCH_SAID + DKC_SAID_ENDED:
		return "the server said that its application ended it";
	default:
		return dkc_reason_text((enum dkc_reason)i);
	}
}

void watch_event(struct run *r, struct bot *b, const struct dkc_event *e)
{
	struct room *room = &r->rooms[b->room];
	struct watch *w = &r->watch;

	switch (e->kind) {
	case DKC_MOVING:
		w->moves++;
		break;
	case DKC_SEARCHING:
		w->searches++;
		set_searching(w, b, true);
		break;
	case DKC_ECHO:
		set_searching(w, b, false);
		break;
	case DKC_CONNECTED:
		w->resumed += e->again;
		set_searching(w, b, false);
		break;
	case DKC_ROOM_MOVED:
		/* all members tell it; the first one counts */
		w->rooms_moved += memcmp(room->now.c, e->room->c, DK_ID52_LEN) != 0;
		room->now = *e->room;
		break;
	case DKC_ROOM_LOST:
		room_lost(r, b, net_now_ns(r->net));
		break;
	case DKC_DISCONNECTED:
		set_searching(w, b, false);
		w->reasons[ended_as(e)]++;
		break;
	default:
		break;
	}
}

#define PLACES 8

/* How many bots each node has, as far as the bots know. */
static void print_places(const struct run *r)
{
	struct dk_addr at[PLACES];
	uint32_t n[PLACES], places = 0, more = 0, k;

	for (uint32_t i = 0; i < r->o->bots; i++) {
		struct dk_addr where = net_where(r->net, i);

		if (r->bots[i].state != BOT_JOINED)
			continue;
		for (k = 0; k < places && !dk_addr_eq(&at[k], &where); k++)
			;
		if (k == PLACES) {
			more++;
			continue;
		}
		n[k] = k < places ? n[k] + 1 : 1;
		at[k] = where;
		places = k < places ? places : k + 1;
	}
	if (places < 2 && !more)
		return;
	fprintf(stderr, "           bots at");
	for (k = 0; k < places; k++)
		fprintf(stderr, "  %u.%u.%u.%u:%u %u", at[k].ip[0], at[k].ip[1], at[k].ip[2], at[k].ip[3], at[k].port, n[k]);
	fprintf(stderr, more ? "  elsewhere %u\n" : "\n", more);
}

void watch_progress(const struct run *r, const struct room_sum *sum)
{
	const struct watch *w = &r->watch;
	struct dkc_stats s;

	if (!w->moves && !w->searches && !w->rooms_lost)
		return;
	dkc_ctx_stats(r->ctx, &s);
	print_places(r);
	fprintf(stderr,
		"           rooms moved %" PRIu64 ", lost %" PRIu64 "; bots moved %" PRIu64 ", searching %u, found %" PRIu64
		", gone %u; messages lost %" PRIu64 ", doubled %" PRIu64 "; longest gap %.0f ms\n",
		w->rooms_moved, w->rooms_lost, w->moves, w->searching, s.takeovers, r->lost_bots, sum->skipped, sum->duplicated,
		ms(w->longest_ns));
}

static void print_hist(const char *name, const struct hist *h)
{
	printf(", \"%s\": {\"n\": %" PRIu64 ", \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}", name, h->n, ms(hist_quantile(h, 0.5)),
	       ms(hist_quantile(h, 0.99)), ms(h->max));
}

void watch_print(const struct run *r, bool json)
{
	const struct watch *w = &r->watch;
	struct dkc_stats s;
	bool first = true;

	dkc_ctx_stats(r->ctx, &s);
	if (json) {
		print_hist("gap_ms", &w->gaps);
		print_hist("told_ms", &w->told);
		printf(", \"interruptions\": {\"over_ms\": %u, \"n\": %" PRIu64 ", \"first_unix_ms\": %" PRIu64
		       ", \"last_unix_ms\": %" PRIu64 "}, \"start_unix_ms\": %" PRIu64 ", \"stop_unix_ms\": %" PRIu64,
		       r->o->gap_ms, w->interruptions, unix_ms(w, w->first_ns), unix_ms(w, w->last_ns), unix_ms(w, w->start_ns),
		       unix_ms(w, r->stop_ns));
		printf(", \"moves\": %" PRIu64 ", \"searches\": %" PRIu64 ", \"resumed\": %" PRIu64 ", \"takeovers\": %" PRIu64
		       ", \"rooms_moved\": %" PRIu64 ", \"rooms_lost\": %" PRIu64 ", \"sent_again\": %" PRIu64
		       ", \"given_up\": %" PRIu64 ", \"disconnects\": {",
		       w->moves, w->searches, w->resumed, s.takeovers, w->rooms_moved, w->rooms_lost, s.sent_again, s.given_up);
		for (size_t i = 0; i < WATCH_REASONS; i++) {
			if (!w->reasons[i])
				continue;
			printf("%s\"%s\": %u", first ? "" : ", ", ended_text(i), w->reasons[i]);
			first = false;
		}
		printf("}");
		return;
	}
	printf("gaps          p50 %.1f ms  p99 %.1f ms  max %.1f ms\n", ms(hist_quantile(&w->gaps, 0.5)),
	       ms(hist_quantile(&w->gaps, 0.99)), ms(w->gaps.max));
	if (w->moves || w->searches || w->rooms_lost)
		printf("moves         %" PRIu64 "\nsearches      %" PRIu64 "\ntakeovers     %" PRIu64 "\nrooms_moved   %" PRIu64
		       "\nrooms_lost    %" PRIu64 ", told after %.1f ms at most\nsent_again    %" PRIu64 "\ngiven_up      %" PRIu64
		       "\n",
		       w->moves, w->searches, s.takeovers, w->rooms_moved, w->rooms_lost, ms(w->told.max), s.sent_again,
		       s.given_up);
	for (size_t i = 0; i < WATCH_REASONS; i++) {
		if (w->reasons[i])
			printf("%-4u ended    %s\n", w->reasons[i], ended_text(i));
	}
}

static bool over(const char *what, double is, const char *unit, uint32_t bound)
{
	if (bound == BOT_NO_BOUND || is <= bound)
		return false;
	fprintf(stderr, "%s is %g%s, over the bound of %u.\n", what, is, unit, bound);
	return true;
}

bool watch_broken(const struct run *r, uint64_t lost, uint64_t wrong)
{
	const struct bot_options *o = r->o;
	const struct watch *w = &r->watch;
	bool bad = false;

	bad |= over("The longest gap", ms(w->gaps.max), " ms", o->max_gap_ms);
	bad |= over("The 99th percentile of the bots' gaps", ms(hist_quantile(&w->gaps, 0.99)), " ms", o->max_gap_p99_ms);
	bad |= over("The longest time until a lost room was told", ms(w->told.max), " ms", o->max_told_ms);
	bad |= over("The number of rooms lost", (double)w->rooms_lost, "", o->max_rooms_lost);
	bad |= over("The number of bots disconnected", r->lost_bots, "", o->max_disconnected);
	bad |= over("The number of messages lost", (double)lost, "", o->max_lost);
	bad |= over("The number of messages doubled or overtaken", (double)wrong, "", o->max_wrong);
	return bad;
}
