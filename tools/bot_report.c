/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of a run: the lines of each second, and the end. Of a single scenario they stand beside those of the connections;
 * several have a place for each. */
#include <inttypes.h>

#include "tools/bot.h"

const char *report_time(uint64_t ns, char *buf, size_t cap)
{
	if (ns < 10000)
		snprintf(buf, cap, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000)
		snprintf(buf, cap, "%.0f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buf, cap, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(buf, cap, "%.2f s", (double)ns / 1e9);
	return buf;
}

void report_quantiles(FILE *out, const char *name, const struct hist *h, bool json)
{
	char a[32], b[32], c[32];

	if (json)
		fprintf(out, ", \"%s_us\": {\"n\": %" PRIu64 ", \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}", name,
			h->n, (double)hist_quantile(h, 0.5) / 1e3, (double)hist_quantile(h, 0.99) / 1e3,
			(double)hist_quantile(h, 0.999) / 1e3, (double)h->max / 1e3);
	else
		fprintf(out, "%-13s p50 %s  p99 %s  p99.9 %s\n", name, report_time(hist_quantile(h, 0.5), a, sizeof(a)),
			report_time(hist_quantile(h, 0.99), b, sizeof(b)), report_time(hist_quantile(h, 0.999), c, sizeof(c)));
}

/* ---- each second ---- */

#define PLACES 8

/* How many bots each node has, as far as the bots know. */
static void print_places(const struct run *r)
{
	struct dk_addr at[PLACES];
	uint32_t n[PLACES], places = 0, more = 0, k;

	for (uint32_t i = 0; i < r->o->bots; i++) {
		struct dk_addr where = net_where(r->net, i);

		if (!r->bots[i].up || r->bots[i].lost)
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

void run_progress(struct run *r, uint64_t now)
{
	static const char *const names[] = { "connecting", "gathering", "running", "draining", "done" };
	double cpu = process_cpu_s();
	struct dkc_stats s;

	if (r->phase < RUN) {
		fprintf(stderr, "%-10s %u of %u connected\n", names[r->phase], r->connected, r->o->bots);
		return;
	}
	for (uint32_t i = 0; i < r->part_n; i++) {
		struct part *p = &r->parts[i];

		fprintf(stderr, "%-10s %3.0f s  ", r->part_n > 1 ? p->scenario->name : names[r->phase],
			(double)(now - r->phase_ns) / 1e9);
		p->scenario->progress(p, stderr, now);
		if (i + 1 == r->part_n)
			fprintf(stderr, "  own cpu %.0f %%", (cpu - r->was_cpu) * 100);
		fprintf(stderr, "\n");
	}
	r->was_cpu = cpu;
	r->was_echoes = r->echoes;
	if (!r->moves && !r->searches)
		return;
	dkc_ctx_stats(r->ctx, &s);
	print_places(r);
	fprintf(stderr, "           bots moved %" PRIu64 ", searching %u, found %" PRIu64 ", gone %u\n", r->moves, r->searching,
		s.takeovers, r->lost_bots);
}

/* ---- the end ---- */

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

static void report_connections(struct run *r, FILE *out)
{
	const struct net_stats *n = net_stats(r->net);
	struct dkc_stats s;
	bool first = true;

	dkc_ctx_stats(r->ctx, &s);
	fprintf(out,
		", \"refused\": %" PRIu64 ", \"disconnected\": %u, \"cpu_s\": %.3f, \"datagrams_in\": %" PRIu64
		", \"datagrams_out\": %" PRIu64 ", \"resends\": %" PRIu64 ", \"unsent\": %" PRIu64 ", \"sends\": %" PRIu64
		", \"receives\": %" PRIu64 ", \"sockets\": %u",
		r->refused, r->lost_bots, process_cpu_s() - r->cpu_start, n->received, n->sent, s.resends, n->unsent, n->sends,
		n->receives, n->sockets);
	report_quantiles(out, "rtt", r->rtt.n ? &r->rtt : &r->rtt_before, true);
	fprintf(out,
		", \"start_unix_ms\": %" PRIu64 ", \"stop_unix_ms\": %" PRIu64 ", \"moves\": %" PRIu64 ", \"searches\": %" PRIu64
		", \"resumed\": %" PRIu64 ", \"takeovers\": %" PRIu64 ", \"sent_again\": %" PRIu64 ", \"given_up\": %" PRIu64
		", \"disconnects\": {",
		run_unix_ms(r, r->run_ns), run_unix_ms(r, r->stop_ns), r->moves, r->searches, r->resumed, s.takeovers, s.sent_again,
		s.given_up);
	for (size_t i = 0; i < WATCH_REASONS; i++) {
		if (!r->reasons[i])
			continue;
		fprintf(out, "%s\"%s\": %u", first ? "" : ", ", ended_text(i), r->reasons[i]);
		first = false;
	}
	fprintf(out, "}, \"disturbances\": [");
	for (uint32_t i = 0; i < r->disturbance_n; i++)
		fprintf(out, "%s{\"from_unix_ms\": %" PRIu64 ", \"to_unix_ms\": %" PRIu64 "}", i ? ", " : "",
			run_unix_ms(r, r->disturbances[i].from_ns), run_unix_ms(r, r->disturbances[i].to_ns));
	fprintf(out, "]");
	if (r->visits)
		visits_report(r, out, true);
}

static void print_connections(struct run *r, FILE *out)
{
	const struct net_stats *n = net_stats(r->net);
	struct dkc_stats s;

	dkc_ctx_stats(r->ctx, &s);
	if (r->refused || r->lost_bots)
		fprintf(out, "refused       %" PRIu64 "\ndisconnected  %u\n", r->refused, r->lost_bots);
	report_quantiles(out, "rtt", r->rtt.n ? &r->rtt : &r->rtt_before, false);
	fprintf(out, "datagrams     %" PRIu64 " out, %" PRIu64 " in, %" PRIu64 " re-sent, %u sockets, %.2f s cpu\n", n->sent,
		n->received, s.resends, n->sockets, process_cpu_s() - r->cpu_start);
	if (r->moves || r->searches)
		fprintf(out,
			"moves         %" PRIu64 "\nsearches      %" PRIu64 "\ntakeovers     %" PRIu64 "\nsent_again    %" PRIu64
			"\ngiven_up      %" PRIu64 "\n",
			r->moves, r->searches, s.takeovers, s.sent_again, s.given_up);
	for (uint32_t i = 0; i < r->disturbance_n; i++)
		fprintf(out, "disturbed     for %.1f s, from second %.1f of the run\n",
			(double)(r->disturbances[i].to_ns - r->disturbances[i].from_ns) / 1e9,
			((double)r->disturbances[i].from_ns - (double)r->run_ns) / 1e9);
	for (size_t i = 0; i < WATCH_REASONS; i++) {
		if (r->reasons[i])
			fprintf(out, "%-4u ended    %s\n", r->reasons[i], ended_text(i));
	}
	if (r->visits)
		visits_report(r, out, false);
}

static double bytes_per_bot(const struct run *r)
{
	return r->rss_after > r->rss_before ? (double)(r->rss_after - r->rss_before) / r->o->bots : 0;
}

static double seconds(const struct run *r)
{
	return r->run_ns ? (double)((r->stop_ns ? r->stop_ns : net_now_ns(r->net)) - r->run_ns) / 1e9 : 0;
}

static void report_json(struct run *r, FILE *out)
{
	fprintf(out, "{\"kind\": \"%s\", \"type\": \"%s\", \"bots\": %u, \"seconds\": %.3f", r->name, r->o->type, r->o->bots,
		seconds(r));
	if (r->part_n == 1)
		r->parts[0].scenario->report(&r->parts[0], out, true);
	for (uint32_t i = 0; r->part_n > 1 && i < r->part_n; i++) {
		fprintf(out, "%s{\"kind\": \"%s\"", i ? ", " : ", \"parts\": [", r->parts[i].scenario->name);
		r->parts[i].scenario->report(&r->parts[i], out, true);
		fprintf(out, i + 1 < r->part_n ? "}" : "}]");
	}
	report_connections(r, out);
	if (bytes_per_bot(r) > 0)
		fprintf(out, ", \"server_bytes_per_user\": %.0f", bytes_per_bot(r));
	fprintf(out, "}\n");
}

void run_report(struct run *r, FILE *out, bool json)
{
	if (json) {
		report_json(r, out);
		return;
	}
	for (uint32_t i = 0; i < r->part_n; i++) {
		if (r->part_n > 1)
			fprintf(out, "---- %s\n", r->parts[i].scenario->name);
		r->parts[i].scenario->report(&r->parts[i], out, false);
	}
	if (r->part_n > 1)
		fprintf(out, "---- connections\n");
	print_connections(r, out);
	if (bytes_per_bot(r) > 0)
		fprintf(out, "server        %.0f bytes resident per user\n", bytes_per_bot(r));
}

bool run_broken(struct run *r)
{
	bool bad = run_over("The number of bots disconnected", r->lost_bots, "", r->o->max_disconnected);

	for (uint32_t i = 0; i < r->part_n; i++)
		bad |= r->parts[i].scenario->broken(&r->parts[i]);
	if (r->visits)
		bad |= visits_broken(r);
	if (!r->o->bounded && r->lost_bots) {
		fprintf(stderr, "%u bots were disconnected.\n", r->lost_bots);
		bad = true;
	}
	return bad;
}
