/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenario notifier: bots hear what the server tells everybody. Somebody else gives the notices, an operator say; bots know them
 * apart by what they say, so each should say something of its own. A notice is to be heard once by each bot that was connected
 * when the first of them heard it; who came later may hear it or not.
 *
 * One that a bot has not heard two heartbeats after that (and what repetitions take) is lost. It is no loss when it came in the
 * answer to a heartbeat over UDP, where nothing is repeated. A bot that missed its node meanwhile, and found another one, may have
 * lost it with the node, or may hear it again: that is counted apart.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <diarkis/client_notifier.h>

#include "tools/bot.h"

#define LATE_NS (3 * UINT64_C(1000000000)) /* what repetitions may take */
#define DIED_NS UINT64_C(2500000000) /* so long before a bot missed its node, the node may have been dead */

enum { UNHEARD = 0, EXCUSED, HEARD }; /* HEARD and a time in ms */

struct news { /* a notice */
	struct news *next; /* the one before it */
	uint64_t first_ns; /* when the first bot heard it */
	bool reliable;
	uint32_t *ears; /* of each bot: UNHEARD, EXCUSED (it missed its node before it heard this), or HEARD + ms of the run */
	size_t n;
	uint8_t message[];
};

struct listener { /* a bot */
	uint64_t here_ns, gone_ns; /* its connection; 0 = none yet, and not lost */
	uint64_t moved_ns, missed_ns; /* the last time it came to another node; and of these, because it missed its own */
	uint64_t searched_ns; /* since when it looked for one */
	uint32_t heard; /* different notices */
	bool searching;
};

struct listeners {
	struct part *part;
	struct listener *all;
	struct news *news;
	uint32_t news_n, reliable_n;
	uint64_t begin_ns, last_ns, heard, doubled, doubled_calm, was_heard;
	struct hist spread; /* from the first one who heard it */
};

struct totals {
	uint64_t lost, lost_calm, faint; /* faint: not reliable, and not heard */
	uint32_t least; /* notices that each bot heard that is still here */
};

/* ---- hearing ---- */

static uint64_t patience(const struct listeners *s)
{
	return 2 * run_echo_ms(s->part->run) * UINT64_C(1000000) + LATE_NS;
}

static struct news *find(struct listeners *s, dk_slice message)
{
	struct news *n = s->news;

	while (n && (n->n != message.n || memcmp(n->message, message.p, message.n) != 0))
		n = n->next;
	return n;
}

static struct news *add(struct listeners *s, dk_slice message, uint64_t now)
{
	struct news *n = malloc(sizeof(*n) + message.n);

	if (!n)
		return NULL;
	*n = (struct news){ .next = s->news, .first_ns = now, .n = message.n };
	n->ears = calloc(s->part->run->o->bots, sizeof(*n->ears));
	if (!n->ears) {
		free(n);
		return NULL;
	}
	memcpy(n->message, message.p, message.n);
	s->news = n;
	s->news_n++;
	return n;
}

static void heard(struct listeners *s, uint32_t bot, dk_slice message, bool reliable)
{
	uint64_t now = net_now_ns(s->part->run->net);
	struct listener *l = &s->all[bot];
	struct news *n = find(s, message);

	if (!n)
		n = add(s, message, now);
	if (!n) {
		run_fail(s->part->run, "a notice cannot be kept", "out of memory");
		return;
	}
	s->reliable_n += reliable && !n->reliable;
	n->reliable |= reliable;
	if (n->ears[bot] >= HEARD) {
		uint64_t before = s->begin_ns + (n->ears[bot] - HEARD) * UINT64_C(1000000);

		s->doubled++;
		s->doubled_calm += l->missed_ns < before;
		return;
	}
	n->ears[bot] = HEARD + (uint32_t)((now - s->begin_ns) / 1000000);
	s->last_ns = now;
	s->heard++;
	l->heard++;
	hist_record(&s->spread, now - n->first_ns);
}

/* The bot has a node again. What it should have heard by now from the one that died may be lost with that. */
static void found(struct listeners *s, uint32_t bot, uint64_t now)
{
	struct listener *l = &s->all[bot];

	for (struct news *n = s->news; n && l->searching; n = n->next) {
		if (n->ears[bot] == UNHEARD && n->first_ns + patience(s) + DIED_NS >= l->searched_ns)
			n->ears[bot] = EXCUSED;
	}
	if (l->searching)
		l->missed_ns = now;
	l->searching = false;
	l->moved_ns = now;
}

static void notifier_event(struct part *p, uint32_t bot, const struct dkc_event *e)
{
	uint64_t now = net_now_ns(p->run->net);
	struct listeners *s = p->self;
	struct listener *l = &s->all[bot];
	dk_slice message;

	if (!s->begin_ns)
		s->begin_ns = now;
	switch (e->kind) {
	case DKC_CONNECTED:
		if (!l->here_ns)
			l->here_ns = now;
		else
			found(s, bot, now);
		break;
	case DKC_SEARCHING:
		l->searched_ns = l->searching ? l->searched_ns : now;
		l->searching = true;
		break;
	case DKC_ECHO: /* the node was only slow */
		l->searching = false;
		break;
	case DKC_DISCONNECTED:
		l->gone_ns = now;
		break;
	case DKC_NOTE:
	case DKC_PUSH:
		if (dkc_notice(e, &message))
			heard(s, bot, message, e->kind == DKC_PUSH || p->run->o->protocol == DKC_TCP);
		break;
	default:
		break;
	}
}

/* ---- what was not heard ---- */

/* It was there all the time from before the notice until the time for it was over. */
static bool had_time(const struct listeners *s, const struct listener *l, const struct news *n, uint64_t now)
{
	uint64_t from = l->moved_ns > n->first_ns ? l->moved_ns : n->first_ns, until = l->gone_ns ? l->gone_ns : now;

	return l->here_ns && l->here_ns < n->first_ns && !l->searching && until >= from + patience(s);
}

static struct totals totals(const struct listeners *s)
{
	uint64_t now = net_now_ns(s->part->run->net);
	const struct run *r = s->part->run;
	struct totals t = { .least = UINT32_MAX };

	for (uint32_t i = 0; i < r->o->bots; i++) {
		const struct listener *l = &s->all[i];

		if (l->here_ns && !l->gone_ns && l->heard < t.least)
			t.least = l->heard;
		for (const struct news *n = s->news; n; n = n->next) {
			if (n->ears[i] >= HEARD || !had_time(s, l, n, now))
				continue;
			t.lost += n->reliable;
			t.lost_calm += n->reliable && n->ears[i] == UNHEARD;
			t.faint += !n->reliable;
		}
	}
	t.least = t.least == UINT32_MAX ? 0 : t.least;
	return t;
}

/* Every notice has had the time that it may take, and who heard one twice will have done so. */
static bool notifier_drained(struct part *p, uint64_t now)
{
	const struct listeners *s = p->self;

	return !s->last_ns || now >= s->last_ns + patience(s);
}

/* ---- figures ---- */

static void notifier_progress(struct part *p, FILE *out, uint64_t now)
{
	struct listeners *s = p->self;
	struct totals t = totals(s);

	(void)now;
	fprintf(out, "notices %u  heard %" PRIu64 " (%" PRIu64 "/s)  lost %" PRIu64 "  twice %" PRIu64, s->news_n, s->heard,
		s->heard - s->was_heard, t.lost, s->doubled);
	s->was_heard = s->heard;
}

static void notifier_report(struct part *p, FILE *out, bool json)
{
	struct listeners *s = p->self;
	struct totals t = totals(s);

	fprintf(out,
		json ? ", \"notices\": %u, \"reliable\": %u, \"heard\": %" PRIu64 ", \"least\": %u, \"lost\": %" PRIu64
		       ", \"lost_calm\": %" PRIu64 ", \"faint\": %" PRIu64 ", \"duplicated\": %" PRIu64
		       ", \"duplicated_calm\": %" PRIu64
		     : "notices       %u, %u of them reliable\nheard         %" PRIu64
		       ", by each bot at least %u\nlost          %" PRIu64 ", %" PRIu64
		       " of them by bots that did not miss their node\nfaint         %" PRIu64
		       " were not reliable, and not heard\nduplicated    %" PRIu64 ", %" PRIu64
		       " of them by bots that did not miss their node\n",
		s->news_n, s->reliable_n, s->heard, t.least, t.lost, t.lost_calm, t.faint, s->doubled, s->doubled_calm);
	report_quantiles(out, "spread", &s->spread, json);
}

static bool notifier_broken(struct part *p)
{
	const struct bot_options *o = p->o;
	struct listeners *s = p->self;
	struct totals t = totals(s);
	bool bad = false;

	if (!o->bounded) {
		bad = t.lost_calm || s->doubled_calm;
		if (bad)
			fprintf(stderr, "Notices were lost, or heard twice.\n");
		return bad;
	}
	if (t.least < o->min_notices) {
		fprintf(stderr, "The number of notices that each bot heard is %u, under the bound of %u.\n", t.least,
			o->min_notices);
		bad = true;
	}
	bad |= run_over("The number of notices lost", (double)t.lost, "", o->max_lost);
	bad |= run_over("The number of notices lost by bots that did not miss their node", (double)t.lost_calm, "",
			o->max_lost_calm);
	bad |= run_over("The number of notices heard twice", (double)s->doubled, "", o->max_wrong);
	bad |= run_over("The number of notices heard twice by bots that did not miss their node", (double)s->doubled_calm, "",
			o->max_doubled_calm);
	return bad;
}

/* ---- memory ---- */

static int notifier_open(struct part *p, void **ret_self)
{
	struct listeners *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret_self = s;
	s->part = p;
	s->all = calloc(p->run->o->bots, sizeof(*s->all));
	return s->all ? 0 : -ENOMEM;
}

static void notifier_close(struct part *p)
{
	struct listeners *s = p->self;

	while (s->news) {
		struct news *n = s->news;

		s->news = n->next;
		free(n->ears);
		free(n);
	}
	free(s->all);
	free(s);
}

const struct scenario scenario_notifier = {
	.name = "notifier",
	.summary = "bots hear the notices that an operator gives meanwhile, each of them once",
	.open = notifier_open,
	.close = notifier_close,
	.event = notifier_event,
	.drained = notifier_drained,
	.progress = notifier_progress,
	.report = notifier_report,
	.broken = notifier_broken,
};
