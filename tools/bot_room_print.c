/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of a run in rooms: the line per second, and the end. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/bot_room.h"

/* What other processes sent to our bots is expected too: as many as was agreed, or as many as the highest number says. */
static uint64_t expected_of_others(const struct run *r)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < r->o->bots; i++) {
		for (uint32_t m = 0; m < r->o->room_size; m++) {
			if (m < r->o->first || m >= r->o->first + r->o->bots)
				sum += r->o->messages ? r->o->messages : r->tracks[(size_t)i * r->o->room_size + m].next;
		}
	}
	return sum;
}

struct room_sum room_sum(const struct run *r)
{
	struct room_sum s = { .expected = r->shared ? expected_of_others(r) : 0 };

	for (uint32_t i = 0; i < r->room_n; i++) {
		const struct room *room = &r->rooms[i];

		if (room->lost)
			continue;
		s.expected += room->expected;
		s.delivered += room->delivered;
		s.duplicated += room->duplicated;
		s.out_of_order += room->out_of_order;
		s.skipped += room->skipped;
	}
	return s;
}

void room_progress(struct run *r, uint64_t now)
{
	static const char *const names[] = { "connecting", "waiting", "running", "draining", "done" };
	struct room_sum sum = room_sum(r);
	double cpu = run_cpu_s();
	char p99[32];

	if (r->phase <= WAIT_SHARED)
		fprintf(stderr, "%-10s %u of %u connected, %u in rooms\n", names[r->phase], r->connected, r->o->bots, r->joined);
	else
		fprintf(stderr,
			"%-10s %3.0f s  sent %" PRIu64 "/s  delivered %" PRIu64 "/s  open %" PRIu64 "  p99 %s  own cpu %.0f %%\n",
			names[r->phase], (double)(now - r->phase_ns) / 1e9, r->sent - r->was_sent, r->delivered - r->was_delivered,
			sum.expected - sum.delivered, run_time_text(hist_quantile(&r->latency, 0.99), p99, sizeof(p99)),
			(cpu - r->was_cpu) * 100);
	watch_progress(r, &sum);
	r->was_sent = r->sent;
	r->was_delivered = r->delivered;
	r->was_cpu = cpu;
}

static void print_quantiles(const char *name, const struct hist *h, bool json)
{
	char a[32], b[32], c[32];

	if (json)
		printf(", \"%s_us\": {\"n\": %" PRIu64 ", \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}", name, h->n,
		       (double)hist_quantile(h, 0.5) / 1e3, (double)hist_quantile(h, 0.99) / 1e3,
		       (double)hist_quantile(h, 0.999) / 1e3, (double)h->max / 1e3);
	else
		printf("%-13s p50 %s  p99 %s  p99.9 %s\n", name, run_time_text(hist_quantile(h, 0.5), a, sizeof(a)),
		       run_time_text(hist_quantile(h, 0.99), b, sizeof(b)), run_time_text(hist_quantile(h, 0.999), c, sizeof(c)));
}

int room_report(struct run *r)
{
	struct room_sum sum = room_sum(r);
	uint64_t lost = sum.expected > sum.delivered ? sum.expected - sum.delivered : 0;
	double seconds = (double)(r->stop_ns - r->phase_ns) / 1e9, cpu = run_cpu_s() - r->cpu_start;
	const struct net_stats *n = net_stats(r->net);
	const struct hist *rtt = r->rtt.n ? &r->rtt : &r->rtt_before;
	struct dkc_stats s;
	bool broken = r->o->reliable && (lost || sum.duplicated || sum.out_of_order);

	dkc_ctx_stats(r->ctx, &s);
	if (r->o->json) {
		printf("{\"kind\": \"room\", \"type\": \"%s\", \"bots\": %u, \"rooms\": %u, \"room_size\": %u, \"rate_hz\": %g, "
		       "\"size\": %u, \"interval_ms\": %u, \"reliable\": %s, \"seconds\": %.3f, \"sent\": %" PRIu64
		       ", \"expected\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"duplicated\": %" PRIu64
		       ", \"out_of_order\": %" PRIu64 ", \"foreign\": %" PRIu64 ", \"refused\": %" PRIu64
		       ", \"disconnected\": %u, \"sent_per_s\": %.0f, "
		       "\"delivered_per_s\": %.0f, \"cpu_s\": %.3f, \"datagrams_in\": %" PRIu64 ", \"datagrams_out\": %" PRIu64
		       ", \"resends\": %" PRIu64 ", \"unsent\": %" PRIu64 ", \"sends\": %" PRIu64 ", \"receives\": %" PRIu64
		       ", \"sockets\": %u",
		       r->o->type, r->o->bots, r->room_n, r->o->room_size, r->o->rate, r->o->size, r->o->interval_ms,
		       r->o->reliable ? "true" : "false", seconds, r->sent, sum.expected, sum.delivered, lost, sum.duplicated,
		       sum.out_of_order, r->foreign, r->refused, r->lost_bots, (double)r->sent / seconds,
		       (double)r->delivered / seconds, cpu, n->received, n->sent, s.resends, n->unsent, n->sends, n->receives,
		       n->sockets);
		print_quantiles("rtt", rtt, true);
		print_quantiles("delivery", &r->latency, true);
		watch_print(r, true);
		printf("}\n");
	} else {
		printf("sent          %" PRIu64 " (%.0f/s)\nexpected      %" PRIu64 "\ndelivered     %" PRIu64
		       " (%.0f/s)\nlost          %" PRIu64 "\nduplicated    %" PRIu64 "\nout_of_order  %" PRIu64 "\n",
		       r->sent, (double)r->sent / seconds, sum.expected, sum.delivered, (double)r->delivered / seconds, lost,
		       sum.duplicated, sum.out_of_order);
		if (r->foreign || r->refused || r->lost_bots)
			printf("foreign       %" PRIu64 "\nrefused       %" PRIu64 "\ndisconnected  %u\n", r->foreign, r->refused,
			       r->lost_bots);
		print_quantiles("rtt", rtt, false);
		print_quantiles("delivery", &r->latency, false);
		printf("datagrams     %" PRIu64 " out, %" PRIu64 " in, %" PRIu64 " re-sent, %u sockets, %.2f s cpu\n", n->sent,
		       n->received, s.resends, n->sockets, cpu);
		watch_print(r, false);
	}
	if (r->o->bounded)
		return watch_broken(r, lost, sum.duplicated + sum.out_of_order) || r->foreign ? 1 : 0;
	if (broken)
		fprintf(stderr, "Reliable messages were lost, doubled or overtaken.\n");
	if (r->lost_bots)
		fprintf(stderr, "%u bots were disconnected.\n", r->lost_bots);
	return broken || r->foreign || r->lost_bots ? 1 : 0;
}
