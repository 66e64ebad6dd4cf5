/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: bots get endpoints, connect, do what their scenarios say for so long, and leave. All bots and scenarios share one loop;
 * a scenario is told of its turns and of what happens to its bots.
 *
 * What happens to the connections is counted here, since it is the same for everybody: who was moved, who looked for its node, who
 * was disconnected and why. When clients found another node after a silence, or were told that there is none, the time from what
 * may have got lost before the silence to then is a disturbance: a message lost then went with a node that died. The same when a
 * client, which has no room to look for, gave up a node that is silent.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tools/bot.h"

#define CONNECTING_MAX 256
#define STUCK_NS (30 * UINT64_C(1000000000))
#define ECHO_MS 2000
/* A node's death is noticed after a second of silence; messages that were under way may be older by some. */
#define BEFORE_SEARCH_NS UINT64_C(2500000000)
#define AFTER_FOUND_NS UINT64_C(500000000)

void run_fail(struct run *r, const char *what, const char *why)
{
	if (!r->failed)
		fprintf(stderr, "%s: %s\n", what, why);
	r->failed = true;
	r->phase = DONE;
}

uint64_t run_unix_ms(const struct run *r, uint64_t ns)
{
	return ns ? (ns + r->unix_offset_ns) / 1000000 : 0;
}

bool run_over(const char *what, double is, const char *unit, uint32_t bound)
{
	if (bound == BOT_NO_BOUND || is <= bound)
		return false;
	fprintf(stderr, "%s is %g%s, over the bound of %u.\n", what, is, unit, bound);
	return true;
}

/* ---- disturbances ---- */

static void disturbed(struct run *r, uint64_t from, uint64_t to)
{
	struct disturbance *d;

	for (uint32_t i = 0; i < r->disturbance_n; i++) {
		d = &r->disturbances[i];
		if (from > d->to_ns || to < d->from_ns)
			continue;
		d->from_ns = from < d->from_ns ? from : d->from_ns;
		d->to_ns = to > d->to_ns ? to : d->to_ns;
		return;
	}
	/* The last one takes what there is no place for: then it is too long, and whoever looks at its length sees that. */
	d = &r->disturbances[r->disturbance_n < DISTURBANCES_MAX ? r->disturbance_n++ : DISTURBANCES_MAX - 1];
	*d = (struct disturbance){ from, to };
}

bool run_disturbed_at(const struct run *r, uint64_t ns)
{
	for (uint32_t i = 0; i < r->disturbance_n; i++) {
		if (ns >= r->disturbances[i].from_ns && ns <= r->disturbances[i].to_ns)
			return true;
	}
	return false;
}

static void set_searching(struct run *r, struct bot *b, bool searching)
{
	r->searching += searching && !b->searching;
	r->searching -= !searching && b->searching;
	if (searching && !b->searching)
		b->searched_ns = net_now_ns(r->net);
	b->searching = searching;
}

static void found(struct run *r, struct bot *b)
{
	if (b->searching)
		disturbed(r, b->searched_ns - BEFORE_SEARCH_NS, net_now_ns(r->net) + AFTER_FOUND_NS);
	set_searching(r, b, false);
}

/* Its node is silent, and there is nothing it could look for elsewhere. */
static void gave_up(struct run *r, const struct bot *b, const struct dkc_event *e)
{
	if (b->heard_ns && (e->reason == DKC_SILENCE || e->reason == DKC_RETRY || e->reason == DKC_UNREACHABLE))
		disturbed(r, b->heard_ns - AFTER_FOUND_NS, net_now_ns(r->net) + AFTER_FOUND_NS);
}

/* ---- what happens to bots ---- */

static size_t ended_as(const struct dkc_event *e)
{
	size_t i = e->said ? WATCH_SAID + (size_t)e->said : (size_t)e->reason;

	return i < WATCH_REASONS ? i : 0;
}

static void on_connection(struct run *r, struct bot *b, const struct dkc_event *e)
{
	switch (e->kind) {
	case DKC_CONNECTED:
		found(r, b);
		r->resumed += e->again;
		r->connected += !b->up;
		b->up = true;
		break;
	case DKC_ECHO:
		set_searching(r, b, false);
		r->echoes++;
		hist_record(r->phase >= RUN ? &r->rtt : &r->rtt_before, (uint64_t)e->rtt_us * 1000);
		break;
	case DKC_RESPONSE:
		r->refused += e->status != DK_STATUS_OK;
		break;
	case DKC_MOVING:
		r->moves++;
		break;
	case DKC_SEARCHING:
		r->searches++;
		set_searching(r, b, true);
		break;
	case DKC_ROOM_LOST:
		found(r, b);
		break;
	case DKC_DISCONNECTED:
		if (!b->searching)
			gave_up(r, b, e);
		found(r, b);
		r->reasons[ended_as(e)]++;
		r->lost_bots += e->reason != DKC_BY_CLIENT && !b->lost;
		b->lost = true;
		if (e->reason != DKC_BY_CLIENT && r->phase < RUN)
			run_fail(r, b->up ? "a bot lost its connection before the run" : "a bot did not get its connection",
				 dkc_reason_text(e->reason));
		break;
	default:
		break;
	}
}

static void on_event(void *arg, struct dkc_client *client, const struct dkc_event *e)
{
	struct bot *b = arg;
	struct run *r = b->run;
	bool first = e->kind == DKC_CONNECTED && !b->up;

	(void)client;
	if (e->kind == DKC_PUSH || e->kind == DKC_RESPONSE || e->kind == DKC_ECHO)
		b->heard_ns = net_now_ns(r->net);
	if (e->kind != DKC_PUSH)
		on_connection(r, b, e);
	for (uint32_t i = 0; i < r->part_n; i++) {
		struct part *p = &r->parts[i];

		if (p->scenario->event)
			p->scenario->event(p, b->index, e);
		if (first && p->scenario->connected)
			p->scenario->connected(p, b->index);
	}
}

uint32_t run_echo_ms(const struct run *r)
{
	if (r->o->echo_ms)
		return r->o->echo_ms;
	return r->part_n == 1 && r->parts[0].scenario == &scenario_idle ? r->o->ttl_s * 500 : ECHO_MS;
}

static void on_endpoint(void *arg, uint32_t i, const struct dkc_endpoint *endpoint, const char *why)
{
	struct run *r = arg;
	struct bot *b = &r->bots[i];
	struct dkc_opts opts;
	char uid[128];

	if (i >= r->o->bots) {
		visits_endpoint(r, i, endpoint, why);
		return;
	}
	if (!endpoint) {
		char what[300];

		snprintf(what, sizeof(what), "no endpoint from %s", r->o->endpoint);
		run_fail(r, what, why);
		return;
	}
	dkc_opts_default(&opts);
	opts.client_key = dk_str_c(r->o->client_key);
	opts.uid = dk_str_c(fetch_uid(r->o, i, uid, sizeof(uid)));
	opts.echo_ms = run_echo_ms(r);
	opts.request_ms = 20000;
	opts.event = on_event;
	opts.arg = b;
	if (dkc_client_new(r->ctx, endpoint, &opts, &b->net.client)) {
		run_fail(r, "no client", "out of memory");
		return;
	}
	r->started++;
	dkc_connect(b->net.client);
	net_add(r->net, i);
}

/* ---- phases ---- */

static void enter(struct run *r, enum phase phase, uint64_t now)
{
	r->phase = phase;
	r->phase_ns = now;
}

static void connect_some(struct run *r, uint64_t now)
{
	uint64_t upto = (uint64_t)r->connected + CONNECTING_MAX;

	if (r->o->spawn_ms && upto > (now - r->start_ns) / 1000000 / r->o->spawn_ms + 1)
		upto = (now - r->start_ns) / 1000000 / r->o->spawn_ms + 1;
	fetch_upto(r->fetch, r->net, upto < r->o->bots ? (uint32_t)upto : r->o->bots);
	if (r->connected == r->o->bots)
		enter(r, GATHER, now);
	else if (now - r->start_ns > STUCK_NS + r->o->bots * (r->o->spawn_ms + UINT64_C(1)) * 1000000)
		run_fail(r, "not all bots were connected", "this takes too long");
}

static void begin(struct run *r, uint64_t now)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	r->unix_offset_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec - now;
	enter(r, RUN, now);
	r->run_ns = now;
	r->rss_after = r->o->pid ? process_resident(r->o->pid) : 0;
	r->cpu_start = r->was_cpu = process_cpu_s();
	for (uint32_t i = 0; i < r->part_n; i++) {
		if (r->parts[i].scenario->start)
			r->parts[i].scenario->start(&r->parts[i], now);
	}
}

static void gather(struct run *r, uint64_t now)
{
	bool ready = true;

	for (uint32_t i = 0; i < r->part_n; i++) {
		if (r->parts[i].scenario->ready)
			ready &= r->parts[i].scenario->ready(&r->parts[i], now);
	}
	if (ready && r->phase == GATHER)
		begin(r, now);
}

static void stop_sending(struct run *r, uint64_t now)
{
	enter(r, DRAIN, now);
	r->stop_ns = now;
	for (uint32_t i = 0; i < r->part_n; i++) {
		if (r->parts[i].scenario->stop)
			r->parts[i].scenario->stop(&r->parts[i], now);
	}
}

static void send_due(struct run *r)
{
	uint64_t now = net_clock_ns(r->net);
	uint32_t senders = 0;

	for (uint32_t i = 0; i < r->part_n && r->phase == RUN; i++) {
		struct part *p = &r->parts[i];

		if (!p->scenario->send)
			continue;
		senders |= 1u << i;
		if (!(r->sent_out & 1u << i) && p->scenario->send(p, now))
			r->sent_out |= 1u << i;
	}
	if (r->phase == RUN && ((senders && r->sent_out == senders) || r->lost_bots == r->o->bots || (!senders && !r->o->seconds) ||
				(r->o->seconds && now - r->run_ns >= r->o->seconds * UINT64_C(1000000000))))
		stop_sending(r, now);
}

static void drain(struct run *r, uint64_t now)
{
	bool drained = true;

	for (uint32_t i = 0; i < r->part_n; i++) {
		if (r->parts[i].scenario->drained)
			drained &= r->parts[i].scenario->drained(&r->parts[i], now);
	}
	if (drained || r->lost_bots == r->o->bots)
		r->phase = DONE;
}

static void step(struct run *r, uint64_t now)
{
	switch (r->phase) {
	case CONNECT:
		connect_some(r, now);
		break;
	case GATHER:
		gather(r, now);
		break;
	case RUN:
		send_due(r);
		if (r->visits)
			visits_turn(r, now);
		break;
	case DRAIN:
		drain(r, now);
		break;
	case DONE:
		break;
	}
}

/* ---- from beginning to end ---- */

/* Everybody says goodbye; a few turns for it to get out. */
static void close_all(struct run *r)
{
	for (uint32_t i = 0; i < r->o->bots + r->o->visitors * VISITOR_ADDRESSES; i++) {
		if (!r->bots[i].net.client)
			continue;
		dkc_close(r->bots[i].net.client);
		net_touch(r->net, i);
		if (i % 1024 == 1023)
			net_turn(r->net, 0);
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
	uint32_t all = o->bots + o->visitors * VISITOR_ADDRESSES;
	struct net_opts net = { o->protocol, all, sizeof(struct bot), NULL, o->batch_us, http_ready, r };
	struct dkc_ctx_opts ctx;
	int rc;

	r->bots = calloc(all, sizeof(*r->bots));
	if (!r->bots || (o->visitors && visits_open(r)))
		return -ENOMEM;
	for (uint32_t i = 0; i < all; i++) {
		r->bots[i].run = r;
		r->bots[i].index = i;
	}
	for (uint32_t i = 0; i < r->part_n; i++) {
		r->parts[i].run = r;
		rc = r->parts[i].scenario->open(&r->parts[i], &r->parts[i].self);
		if (rc)
			return rc;
	}
	dkc_ctx_opts_default(&ctx);
	if (o->retry_ms)
		ctx.retry_interval_ms = o->retry_ms;
	if (o->max_retry)
		ctx.max_retry = o->max_retry;
	net.first = r->bots;
	if (dkc_ctx_new(&ctx, &r->ctx))
		return -ENOMEM;
	rc = net_new(&net, &r->net);
	return rc ? rc : fetch_new(o, on_endpoint, r, &r->fetch);
}

static void tear_down(struct run *r)
{
	fetch_free(r->fetch);
	net_free(r->net);
	for (uint32_t i = 0; r->bots && i < r->o->bots + r->o->visitors * VISITOR_ADDRESSES; i++)
		dkc_client_free(r->bots[i].net.client);
	dkc_ctx_free(r->ctx);
	for (uint32_t i = 0; i < r->part_n; i++) {
		if (r->parts[i].self)
			r->parts[i].scenario->close(&r->parts[i]);
	}
	visits_close(r);
	free(r->bots);
}

/* The rate of all bots in all parts. */
static double rate(const struct run *r)
{
	double sum = 0;

	for (uint32_t i = 0; i < r->part_n; i++)
		sum += r->parts[i].scenario->send ? r->parts[i].o->rate * r->o->bots : 0;
	return sum;
}

static void interrupt(struct run *r, uint64_t now)
{
	fprintf(stderr, "interrupted\n");
	if (r->phase < RUN)
		run_fail(r, "not all bots are where they should be", "interrupted");
	else if (r->phase == RUN) /* what is under way may still arrive; a second signal ends it all */
		stop_sending(r, now);
}

static void tell_figures(struct run *r)
{
	if (!r->figures || r->phase < RUN || r->failed)
		return;
	run_report(r, r->figures, true);
	fflush(r->figures);
}

int run_all(struct run *r)
{
	int signals = process_signal_fd(), rc;
	uint64_t now, next_progress, next_signal = 0;

	rc = set_up(r);
	if (rc) {
		fprintf(stderr, "The bots could not be set up.\n");
		rc = rc == -EINVAL ? 2 : 1;
		goto out;
	}
	if (r->o->pid)
		r->rss_before = process_resident(r->o->pid);
	now = r->start_ns = r->phase_ns = net_clock_ns(r->net);
	next_progress = now + 1000000000;
	while (r->phase != DONE) {
		net_turn(r->net, r->phase == RUN && rate(r) > 20000 ? 100 : 1000);
		now = net_clock_ns(r->net);
		step(r, now);
		if (now >= next_progress) {
			next_progress += 1000000000;
			if (!r->o->quiet)
				run_progress(r, now);
			tell_figures(r);
		}
		if (now >= next_signal) {
			next_signal = now + 50000000;
			if (process_interrupted(signals))
				interrupt(r, now);
		}
	}
	rc = 1;
	if (!r->failed) {
		run_report(r, stdout, r->o->json);
		tell_figures(r);
		rc = run_broken(r);
	}
	close_all(r);
out:
	tear_down(r);
	close(signals);
	return rc;
}
