/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of bots that talk in circles, and whether they are within what the options ask for. */
#include <inttypes.h>

#include "tools/bot_circle.h"

/* What nobody was told of is lost; the rest has a figure of its own. */
static struct circle_sum sum_of(const struct circles *s)
{
	struct circle_sum sum = circle_sum(s);
	uint64_t told = track_told(s, false);

	sum.lost -= told < sum.lost ? told : sum.lost;
	return sum;
}

static uint64_t calm(const struct circles *s)
{
	uint64_t all = track_calm(s), told = track_told(s, true);

	return told < all ? all - told : 0;
}

void circle_progress(struct part *p, FILE *out, uint64_t now)
{
	struct circles *s = p->self;
	struct circle_sum sum = circle_sum(s);
	char p99[32];

	(void)now;
	fprintf(out, "sent %" PRIu64 "/s  delivered %" PRIu64 "/s  open %" PRIu64 "  p99 %s", s->sent - s->was_sent,
		s->delivered - s->was_delivered, sum.expected - sum.delivered,
		report_time(hist_quantile(&s->latency, 0.99), p99, sizeof(p99)));
	if (s->moved || s->lost)
		fprintf(out, "  moved %" PRIu64 ", lost %" PRIu64, s->moved, s->lost);
	if (p->run->moves || p->run->searches || s->lost)
		fprintf(out, "  messages lost %" PRIu64 ", doubled %" PRIu64, sum.skipped, sum.duplicated);
	s->was_sent = s->sent;
	s->was_delivered = s->delivered;
}

static void print_hist(FILE *out, const char *name, const struct hist *h)
{
	fprintf(out, ", \"%s\": {\"n\": %" PRIu64 ", \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}", name, h->n,
		report_ms(hist_quantile(h, 0.5)), report_ms(hist_quantile(h, 0.99)), report_ms(h->max));
}

static void report_json(struct circles *s, FILE *out, const struct circle_sum *sum, double seconds)
{
	const struct run *r = s->part->run;
	const struct bot_options *o = s->o;

	fprintf(out,
		", \"%ss\": %u, \"%s_size\": %u, \"rate_hz\": %g, \"size\": %u, \"interval_ms\": %u, \"reliable\": %s, "
		"\"sent\": %" PRIu64 ", \"expected\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"lost\": %" PRIu64
		", \"lost_calm\": %" PRIu64 ", \"duplicated\": %" PRIu64 ", \"duplicated_calm\": %" PRIu64
		", \"out_of_order\": %" PRIu64 ", \"told\": %" PRIu64 ", \"lost_told\": %" PRIu64 ", \"foreign\": %" PRIu64
		", \"sent_per_s\": %.0f, \"delivered_per_s\": %.0f",
		s->part->scenario->name, s->circle_n, s->part->scenario->name, s->size, o->rate, o->size, o->interval_ms,
		s->reliable ? "true" : "false", s->sent, sum->expected, sum->delivered, sum->lost, calm(s), sum->duplicated,
		track_twice_calm(s), sum->out_of_order, s->told_n, track_told(s, false), s->foreign, (double)s->sent / seconds,
		(double)s->delivered / seconds);
	report_quantiles(out, "delivery", &s->latency, true);
	print_hist(out, "gap_ms", &s->gaps);
	print_hist(out, "told_ms", &s->told);
	fprintf(out,
		", \"interruptions\": {\"over_ms\": %u, \"n\": %" PRIu64 ", \"first_unix_ms\": %" PRIu64
		", \"last_unix_ms\": %" PRIu64 "}, \"%ss_moved\": %" PRIu64 ", \"%ss_lost\": %" PRIu64,
		o->gap_ms, s->interruptions, run_unix_ms(r, s->first_ns), run_unix_ms(r, s->last_ns), s->part->scenario->name,
		s->moved, s->part->scenario->name, s->lost);
}

void circle_report(struct part *p, FILE *out, bool json)
{
	struct circles *s = p->self;
	struct circle_sum sum = sum_of(s);
	double seconds = (double)((s->stop_ns ? s->stop_ns : net_now_ns(p->run->net)) - s->start_ns) / 1e9;

	seconds = seconds > 0 ? seconds : 1e-9;
	if (json) {
		report_json(s, out, &sum, seconds);
		return;
	}
	fprintf(out,
		"sent          %" PRIu64 " (%.0f/s)\nexpected      %" PRIu64 "\ndelivered     %" PRIu64
		" (%.0f/s)\nlost          %" PRIu64 "\nduplicated    %" PRIu64 "\nout_of_order  %" PRIu64 "\n",
		s->sent, (double)s->sent / seconds, sum.expected, sum.delivered, (double)s->delivered / seconds, sum.lost,
		sum.duplicated, sum.out_of_order);
	if (sum.lost && p->run->disturbance_n)
		fprintf(out, "lost_calm     %" PRIu64 " of them were sent while no bot missed its node\n", calm(s));
	if (s->told_n)
		fprintf(out, "told          %" PRIu64 " were not delivered, and their senders know\n", s->told_n);
	if (s->foreign)
		fprintf(out, "foreign       %" PRIu64 "\n", s->foreign);
	report_quantiles(out, "delivery", &s->latency, false);
	fprintf(out, "gaps          p50 %.1f ms  p99 %.1f ms  max %.1f ms\n", report_ms(hist_quantile(&s->gaps, 0.5)),
		report_ms(hist_quantile(&s->gaps, 0.99)), report_ms(s->gaps.max));
	if (p->run->moves || p->run->searches || s->lost)
		fprintf(out, "%ss_moved   %" PRIu64 "\n%ss_lost    %" PRIu64 ", told after %.1f ms at most\n", p->scenario->name,
			s->moved, p->scenario->name, s->lost, report_ms(s->told.max));
}

bool circle_broken(struct part *p)
{
	struct circles *s = p->self;
	struct circle_sum sum = sum_of(s);
	const struct bot_options *o = s->o;
	uint64_t wrong = sum.duplicated + (s->ops->unordered ? 0 : sum.out_of_order);
	bool bad = s->foreign > 0;

	if (bad)
		fprintf(stderr, "%" PRIu64 " messages came that are of no sender of their %s.\n", s->foreign, p->scenario->name);
	if (!o->bounded) {
		if (s->reliable && (sum.lost || wrong)) {
			fprintf(stderr, "Reliable messages were lost, doubled or overtaken.\n");
			bad = true;
		}
		return bad;
	}
	bad |= run_over("The longest gap", report_ms(s->gaps.max), " ms", o->max_gap_ms);
	bad |= run_over("The 99th percentile of the bots' gaps", report_ms(hist_quantile(&s->gaps, 0.99)), " ms",
			o->max_gap_p99_ms);
	bad |= run_over("The longest time until a lost room was told", report_ms(s->told.max), " ms", o->max_told_ms);
	bad |= run_over("The number of rooms lost", (double)s->lost, "", o->max_rooms_lost);
	bad |= run_over("The number of messages lost", (double)sum.lost, "", o->max_lost);
	if (o->max_lost_calm != BOT_NO_BOUND)
		bad |= run_over("The number of messages lost while no bot missed its node", (double)calm(s), "", o->max_lost_calm);
	bad |= run_over("The number of messages doubled while no bot missed its node", (double)track_twice_calm(s), "",
			o->max_doubled_calm);
	bad |= run_over("The number of messages doubled or overtaken", (double)wrong, "", o->max_wrong);
	return bad;
}
