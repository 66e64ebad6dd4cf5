/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenario dive: bots count together. Clients have no commands of dive, so the server needs the plugin tally (examples/tally), that
 * lets them add to counters that are keys of dive. So many bots share a counter, and each adds one at a time; what the server
 * answers is the sum, so no sum may come twice and each bot's grow. At the end every counter is read: it must be what was answered
 * to have been counted, and more only by additions that nobody knows about, because a node died with them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include <diarkis/derror.h>

#include "tools/bot.h"

#define TALLY_VER 2
#define TALLY_ADD 2001
#define TALLY_GET 2002
#define TALLY_E_FAILED DK_SERVER_ERROR(3) /* it was not counted, for sure */
#define SENDS_PER_TURN 4096
#define OPEN_MAX 16 /* additions of one bot that wait for their answers */
#define READ_TRIES 20
#define READ_AGAIN_NS 500000000

struct counter {
	struct counting *of;
	uint32_t index;
	uint32_t added, unknown; /* as was answered; that may have been counted or not */
	int32_t is; /* at the end */
	bool known, asked;
	uint32_t tries;
	uint64_t tried_ns;
	uint64_t *seen; /* bit n: sum n was answered */
	uint32_t seen_words;
};

struct adder { /* a bot */
	struct counting *of;
	uint32_t bot;
	int32_t last; /* sum that it was told */
	uint32_t open, at; /* ring of times at which those were asked */
	uint64_t asked_ns[OPEN_MAX];
};

struct counting {
	struct part *part;
	struct adder *adders;
	struct counter *counters;
	uint32_t counter_n;
	uint64_t token; /* in the counters' names: those of each run are its own */
	uint64_t start_ns, last_ns, sent, added, unknown, failed, doubled, backwards, open;
	uint64_t was_added;
	struct hist latency;
};

static void put_name(const struct counting *s, uint32_t counter, struct dk_writer *w)
{
	char name[64];
	int n = snprintf(name, sizeof(name), "%.20s%" PRIx64 ".%u", s->part->o->prefix, s->token, counter);

	dk_wr_bytes16(w, dk_slice_n(name, (size_t)n));
}

/* ---- adding ---- */

/* False when that sum was answered before. */
static bool note_sum(struct counter *c, int32_t sum)
{
	uint32_t word = (uint32_t)sum / 64, words;
	uint64_t bit = UINT64_C(1) << (sum % 64), *seen;

	if (word >= c->seen_words) {
		words = word * 2 + 16;
		seen = realloc(c->seen, words * sizeof(*seen));
		if (!seen)
			return true; /* not looked at, then */
		memset(seen + c->seen_words, 0, (words - c->seen_words) * sizeof(*seen));
		c->seen = seen;
		c->seen_words = words;
	}
	if (c->seen[word] & bit)
		return false;
	c->seen[word] |= bit;
	return true;
}

static void on_added(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct adder *a = arg;
	struct counting *s = a->of;
	struct counter *c = &s->counters[a->bot % s->counter_n];
	struct dk_cursor cursor = dk_cursor_of(reply->payload);
	uint64_t now = net_now_ns(s->part->run->net);
	int32_t sum = (int32_t)dk_rd_u32(&cursor);
	uint32_t code;

	(void)client;
	s->open--;
	s->last_ns = now;
	hist_record(&s->latency, now - a->asked_ns[(a->at - a->open) % OPEN_MAX]);
	a->open--;
	if (!dkc_ok(reply) || cursor.bad) {
		dk_str why = dkc_reply_error(reply, &code);

		if (reply->status && code == TALLY_E_FAILED) {
			s->failed++;
			return;
		}
		if (!s->added && (reply->status == DK_STATUS_BAD || reply->status == 40)) {
			char text[256];

			snprintf(text, sizeof(text), DK_STR_FMT "; expected the plugin tally of examples/tally on the server",
				 DK_STR_ARG(why));
			run_fail(s->part->run, "the first increment was refused", text);
			return;
		}
		c->unknown++;
		s->unknown++;
		return;
	}
	c->added++;
	s->added++;
	s->doubled += sum < 1 || !note_sum(c, sum);
	s->backwards += sum <= a->last;
	a->last = sum;
}

/* 0, or another number: try again later. */
static int add(struct counting *s, struct adder *a)
{
	struct run *r = s->part->run;
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	int rc;

	if (a->open == OPEN_MAX)
		return DKC_FULL;
	dk_wr_u32(&w, 1);
	put_name(s, a->bot % s->counter_n, &w);
	rc = dkc_request(run_client(s->part, a->bot), TALLY_VER, TALLY_ADD, dk_written(&w), on_added, a);
	net_touch(r->net, a->bot);
	if (rc)
		return rc;
	a->asked_ns[a->at++ % OPEN_MAX] = net_now_ns(r->net);
	a->open++;
	s->open++;
	return 0;
}

static uint32_t dive_visit(struct part *p, struct dkc_client *c, void *arg)
{
	struct counting *s = p->self;
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	put_name(s, 0, &w);
	return dkc_request(c, TALLY_VER, TALLY_GET, dk_written(&w), visits_answered, arg) == 0;
}

static bool dive_send(struct part *p, uint64_t now)
{
	struct counting *s = p->self;
	uint64_t due = (uint64_t)((double)(now - s->start_ns) / 1e9 * p->o->rate * p->o->bots), all = UINT64_MAX;

	if (p->o->messages)
		all = (uint64_t)p->o->messages * p->o->bots;
	due = due > all ? all : due;
	for (int i = 0; i < SENDS_PER_TURN && s->sent < due; i++) {
		uint32_t bot = (uint32_t)(s->sent % p->o->bots);

		/* Who waits for its node skips its turn: the others go on. */
		if (!p->run->bots[bot].lost && add(s, &s->adders[bot]) && p->o->messages)
			break;
		s->sent++;
	}
	return s->sent >= all;
}

/* ---- reading ---- */

static void on_read(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct counter *c = arg;
	struct dk_cursor cursor = dk_cursor_of(reply->payload);
	int32_t is = (int32_t)dk_rd_u32(&cursor);

	(void)client;
	c->asked = false;
	if (!dkc_ok(reply) || cursor.bad)
		return;
	c->is = is;
	c->known = true;
}

static void read_counter(struct counting *s, struct counter *c, uint64_t now)
{
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	c->tried_ns = now;
	c->tries++;
	put_name(s, c->index, &w);
	for (uint32_t bot = c->index; bot < s->part->o->bots && !c->asked; bot += s->counter_n) {
		if (s->part->run->bots[bot].lost)
			continue;
		c->asked = dkc_request(run_client(s->part, bot), TALLY_VER, TALLY_GET, dk_written(&w), on_read, c) == 0;
		net_touch(s->part->run->net, bot);
	}
}

static bool dive_drained(struct part *p, uint64_t now)
{
	struct counting *s = p->self;
	bool all = true;

	if (s->open && now - s->last_ns < (p->o->drain_s + UINT64_C(20)) * 1000000000)
		return false;
	for (uint32_t i = 0; i < s->counter_n; i++) {
		struct counter *c = &s->counters[i];

		if (!c->known && !c->asked && c->tries < READ_TRIES && now - c->tried_ns > READ_AGAIN_NS)
			read_counter(s, c, now);
		all &= c->known || (!c->asked && c->tries == READ_TRIES);
	}
	return all;
}

/* ---- figures ---- */

struct totals {
	uint64_t lost, extra, unread;
};

/* What the counters miss of what was answered, and what they have beyond what may have been counted. */
static struct totals totals(const struct counting *s)
{
	struct totals t = { 0, 0, 0 };

	for (uint32_t i = 0; i < s->counter_n; i++) {
		const struct counter *c = &s->counters[i];
		int64_t missing = (int64_t)c->added - c->is, beyond = (int64_t)c->is - c->added - c->unknown;

		if (!c->known) {
			t.unread++;
			continue;
		}
		t.lost += missing > 0 ? (uint64_t)missing : 0;
		t.extra += beyond > 0 ? (uint64_t)beyond : 0;
	}
	return t;
}

static void dive_progress(struct part *p, FILE *out, uint64_t now)
{
	struct counting *s = p->self;
	char p99[32];

	(void)now;
	fprintf(out, "counted %" PRIu64 "/s  open %" PRIu64 "  unknown %" PRIu64 "  not counted %" PRIu64 "  p99 %s",
		s->added - s->was_added, s->open, s->unknown, s->failed,
		report_time(hist_quantile(&s->latency, 0.99), p99, sizeof(p99)));
	s->was_added = s->added;
}

static void dive_report(struct part *p, FILE *out, bool json)
{
	struct counting *s = p->self;
	struct totals t = totals(s);

	if (json)
		fprintf(out,
			", \"counters\": %u, \"counted\": %" PRIu64 ", \"unknown\": %" PRIu64 ", \"not_counted\": %" PRIu64
			", \"lost\": %" PRIu64 ", \"extra\": %" PRIu64 ", \"doubled\": %" PRIu64 ", \"backwards\": %" PRIu64
			", \"unread\": %" PRIu64,
			s->counter_n, s->added, s->unknown, s->failed, t.lost, t.extra, s->doubled, s->backwards, t.unread);
	else
		fprintf(out,
			"counters      %u\ncounted       %" PRIu64 "\nunknown       %" PRIu64 "\nnot_counted   %" PRIu64
			"\nlost          %" PRIu64 "\nextra         %" PRIu64 "\ndoubled       %" PRIu64 "\nbackwards     %" PRIu64
			"\nunread        %" PRIu64 "\n",
			s->counter_n, s->added, s->unknown, s->failed, t.lost, t.extra, s->doubled, s->backwards, t.unread);
	report_quantiles(out, "count", &s->latency, json);
}

static bool dive_broken(struct part *p)
{
	struct counting *s = p->self;
	struct totals t = totals(s);

	if (!t.lost && !t.extra && !s->doubled && !s->backwards && !t.unread && s->added)
		return false;
	fprintf(stderr,
		"The counters are wrong: %" PRIu64 " were counted, %" PRIu64 " of them got lost, %" PRIu64 " are too many, %" PRIu64
		" sums came twice, %" PRIu64 " ran backwards, %" PRIu64 " counters could not be read.\n",
		s->added, t.lost, t.extra, s->doubled, s->backwards, t.unread);
	return true;
}

/* ---- memory ---- */

static int dive_open(struct part *p, void **ret_self)
{
	const struct bot_options *o = p->o;
	struct counting *s = calloc(1, sizeof(*s));
	struct timespec t;

	if (!s)
		return -ENOMEM;
	*ret_self = s;
	s->part = p;
	s->counter_n = (o->bots + o->circle - 1) / o->circle;
	s->adders = calloc(o->bots, sizeof(*s->adders));
	s->counters = calloc(s->counter_n, sizeof(*s->counters));
	if (!s->adders || !s->counters)
		return -ENOMEM;
	clock_gettime(CLOCK_REALTIME, &t);
	s->token = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	for (uint32_t i = 0; i < o->bots; i++)
		s->adders[i] = (struct adder){ .of = s, .bot = i };
	for (uint32_t i = 0; i < s->counter_n; i++)
		s->counters[i] = (struct counter){ .of = s, .index = i };
	return 0;
}

static void dive_close(struct part *p)
{
	struct counting *s = p->self;

	for (uint32_t i = 0; s->counters && i < s->counter_n; i++)
		free(s->counters[i].seen);
	free(s->adders);
	free(s->counters);
	free(s);
}

static void dive_start(struct part *p, uint64_t now)
{
	struct counting *s = p->self;

	s->start_ns = s->last_ns = now;
}

const struct scenario scenario_dive = {
	.name = "dive",
	.summary = "bots count together, by the plugin tally of examples/tally; sums are exact",
	.open = dive_open,
	.close = dive_close,
	.start = dive_start,
	.send = dive_send,
	.drained = dive_drained,
	.visit = dive_visit,
	.progress = dive_progress,
	.report = dive_report,
	.broken = dive_broken,
};
