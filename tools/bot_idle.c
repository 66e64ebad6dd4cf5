/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-bot idle: bots connect and do nothing but say every now and then that they live. At the end each of them must have had
 * an answer to its last heartbeat; one that had not, or was disconnected, is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/bot.h"
#include "tools/hist.h"

#define CONNECTING_MAX 256
#define STUCK_NS (30 * UINT64_C(1000000000))
#define LATE_NS (3 * UINT64_C(1000000000)) /* an answer may be this late: two repetitions */

struct bot {
	struct net_bot net; /* first */
	struct run *run;
	uint64_t heard_ns; /* the last heartbeat's answer */
	bool up, lost;
};

struct run {
	const struct bot_options *o;
	struct net *net;
	struct fetch *fetch;
	struct dkc_ctx *ctx;
	struct bot *bots;
	uint32_t connected, lost, silent;
	uint64_t echoes, was_echoes, start_ns, all_ns, rss_before, rss_after;
	bool failed;
	struct hist rtt;
};

static void fail(struct run *r, const char *what, const char *why)
{
	if (!r->failed)
		fprintf(stderr, "%s: %s\n", what, why);
	r->failed = true;
}

static void on_event(void *arg, struct dkc_client *client, const struct dkc_event *e)
{
	struct bot *b = arg;
	struct run *r = b->run;

	(void)client;
	if (e->kind == DKC_CONNECTED && !e->again) {
		b->up = true;
		r->connected++;
	} else if (e->kind == DKC_ECHO) {
		b->heard_ns = net_now_ns(r->net);
		r->echoes++;
		if (r->all_ns)
			hist_record(&r->rtt, (uint64_t)e->rtt_us * 1000);
	} else if (e->kind == DKC_DISCONNECTED && e->reason != DKC_BY_CLIENT) {
		b->lost = true;
		r->lost++;
		if (!b->up)
			fail(r, "a bot did not get its connection", dkc_reason_text(e->reason));
		else if (r->lost <= 5)
			fprintf(stderr, "bot %zu lost its connection: %s\n", (size_t)(b - r->bots), dkc_reason_text(e->reason));
	}
}

static void on_endpoint(void *arg, uint32_t i, const struct dkc_endpoint *endpoint, const char *why)
{
	struct run *r = arg;
	struct bot *b = &r->bots[i];
	struct dkc_opts opts;

	if (!endpoint) {
		fail(r, "no endpoint", why);
		return;
	}
	dkc_opts_default(&opts);
	opts.client_key = dk_str_c(r->o->client_key);
	opts.echo_ms = r->o->echo_ms;
	opts.event = on_event;
	opts.arg = b;
	if (dkc_client_new(r->ctx, endpoint, &opts, &b->net.client)) {
		fail(r, "no client", "out of memory");
		return;
	}
	dkc_connect(b->net.client);
	net_add(r->net, i);
}

static void count_silent(struct run *r, uint64_t now)
{
	uint64_t limit = r->o->echo_ms * UINT64_C(1000000) + LATE_NS;

	for (uint32_t i = 0; i < r->o->bots; i++) {
		const struct bot *b = &r->bots[i];

		r->silent += b->up && !b->lost && now - b->heard_ns > limit;
	}
}

static int report(struct run *r, uint64_t now)
{
	const struct net_stats *n = net_stats(r->net);
	double connect_s = (double)(r->all_ns - r->start_ns) / 1e9, stayed_s = (double)(now - r->all_ns) / 1e9;
	double per_user = r->rss_after > r->rss_before ? (double)(r->rss_after - r->rss_before) / r->o->bots : 0;
	char a[32], b[32], c[32];

	count_silent(r, now);
	if (r->o->json) {
		printf("{\"kind\": \"idle\", \"type\": \"%s\", \"bots\": %u, \"connected\": %u, \"lost\": %u, \"connect_s\": %.3f, "
		       "\"stayed_s\": %.3f, \"echo_ms\": %u, \"echoes\": %" PRIu64
		       ", \"rtt_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f}, "
		       "\"sockets\": %u, \"cpu_s\": %.3f",
		       r->o->type, r->o->bots, r->connected, r->lost + r->silent, connect_s, stayed_s, r->o->echo_ms, r->echoes,
		       (double)hist_quantile(&r->rtt, 0.5) / 1e3, (double)hist_quantile(&r->rtt, 0.99) / 1e3,
		       (double)hist_quantile(&r->rtt, 0.999) / 1e3, n->sockets, run_cpu_s());
		if (per_user > 0)
			printf(", \"server_bytes_per_user\": %.0f", per_user);
		printf("}\n");
	} else {
		printf("connected     %u of %u in %.2f s\nstayed        %.0f s, a heartbeat every %u ms\nheartbeats    %" PRIu64
		       " answered\nlost          %u\nrtt           p50 %s  p99 %s  p99.9 %s\nsockets       %u\n",
		       r->connected, r->o->bots, connect_s, stayed_s, r->o->echo_ms, r->echoes, r->lost + r->silent,
		       run_time_text(hist_quantile(&r->rtt, 0.5), a, sizeof(a)),
		       run_time_text(hist_quantile(&r->rtt, 0.99), b, sizeof(b)),
		       run_time_text(hist_quantile(&r->rtt, 0.999), c, sizeof(c)), n->sockets);
		if (per_user > 0)
			printf("server        %.0f bytes resident per user\n", per_user);
	}
	return r->lost || r->silent || r->connected < r->o->bots ? 1 : 0;
}

static void http_ready(void *arg, uint32_t events)
{
	struct run *r = arg;

	fetch_ready(r->fetch, r->net, events);
}

static int set_up(struct run *r)
{
	struct net_opts net = { r->o->protocol, r->o->bots, sizeof(struct bot), NULL, r->o->batch_us, http_ready, r };
	struct dkc_ctx_opts ctx;

	r->bots = calloc(r->o->bots, sizeof(*r->bots));
	if (!r->bots)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->o->bots; i++)
		r->bots[i].run = r;
	net.first = r->bots;
	dkc_ctx_opts_default(&ctx);
	if (dkc_ctx_new(&ctx, &r->ctx))
		return -ENOMEM;
	return net_new(&net, &r->net) || fetch_new(r->o, on_endpoint, r, &r->fetch) ? -1 : 0;
}

int bot_idle(const struct bot_options *o)
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
	if (o->pid)
		r->rss_before = run_resident(o->pid);
	now = r->start_ns = net_clock_ns(r->net);
	next_progress = now + 1000000000;
	while (!r->failed && (!r->all_ns || now - r->all_ns < o->seconds * UINT64_C(1000000000))) {
		net_turn(r->net, 1000);
		now = net_clock_ns(r->net);
		if (!r->all_ns) {
			fetch_upto(r->fetch, r->net,
				   r->connected + CONNECTING_MAX < o->bots ? r->connected + CONNECTING_MAX : o->bots);
			if (r->connected == o->bots) {
				r->all_ns = now;
				r->rss_after = o->pid ? run_resident(o->pid) : 0;
			} else if (now - r->start_ns > STUCK_NS + o->bots * UINT64_C(1000000)) {
				fail(r, "not all bots were connected", "this takes too long");
			}
		}
		if (now >= next_progress) {
			next_progress += 1000000000;
			if (!o->quiet)
				fprintf(stderr, "%-10s %u of %u connected  %" PRIu64 " heartbeats/s  lost %u\n",
					r->all_ns ? "idle" : "connecting", r->connected, o->bots, r->echoes - r->was_echoes,
					r->lost);
			r->was_echoes = r->echoes;
		}
		if (now >= next_signal) {
			next_signal = now + 50000000;
			if (run_interrupted(signals))
				fail(r, "interrupted", "the bots leave");
		}
	}
	if (!r->failed)
		rc = report(r, now);
	for (uint32_t i = 0; i < o->bots; i++) {
		if (!r->bots[i].net.client)
			continue;
		dkc_close(r->bots[i].net.client);
		net_touch(r->net, i);
		if (i % 1024 == 1023)
			net_turn(r->net, 0);
	}
	for (int i = 0; i < 50; i++)
		net_turn(r->net, 1000);
out:
	fetch_free(r->fetch);
	net_free(r->net);
	for (uint32_t i = 0; r->bots && i < o->bots; i++)
		dkc_client_free(r->bots[i].net.client);
	dkc_ctx_free(r->ctx);
	free(r->bots);
	free(r);
	close(signals);
	return rc;
}
