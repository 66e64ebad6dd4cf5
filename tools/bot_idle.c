/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenario idle: bots do nothing but say every now and then that they live. At the end each of them must have had an answer to its
 * last heartbeat; one that had not, or was disconnected, is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tools/bot.h"

#define LATE_NS (3 * UINT64_C(1000000000)) /* an answer may be this late: two repetitions */

struct idle {
	uint64_t *heard_ns; /* of each bot: the last heartbeat's answer */
	uint32_t silent;
};

static int idle_open(struct part *p, void **ret_self)
{
	struct idle *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret_self = s;
	s->heard_ns = calloc(p->o->bots, sizeof(*s->heard_ns));
	return s->heard_ns ? 0 : -ENOMEM;
}

static void idle_close(struct part *p)
{
	struct idle *s = p->self;

	free(s->heard_ns);
	free(s);
}

static void idle_event(struct part *p, uint32_t bot, const struct dkc_event *e)
{
	struct idle *s = p->self;

	if (e->kind == DKC_ECHO)
		s->heard_ns[bot] = net_now_ns(p->run->net);
}

static void idle_stop(struct part *p, uint64_t now)
{
	uint64_t limit = run_echo_ms(p->run) * UINT64_C(1000000) + LATE_NS;
	struct idle *s = p->self;

	for (uint32_t i = 0; i < p->o->bots; i++)
		s->silent += p->run->bots[i].up && !p->run->bots[i].lost && now - s->heard_ns[i] > limit;
}

static void idle_progress(struct part *p, FILE *out, uint64_t now)
{
	const struct run *r = p->run;

	(void)now;
	fprintf(out, "%u of %u connected  %" PRIu64 " heartbeats/s  lost %u", r->connected, r->o->bots, r->echoes - r->was_echoes,
		r->lost_bots);
}

static void idle_report(struct part *p, FILE *out, bool json)
{
	const struct idle *s = p->self;
	const struct run *r = p->run;
	double connect_s = (double)(r->run_ns - r->start_ns) / 1e9;
	uint32_t lost = r->lost_bots + s->silent;

	if (json)
		fprintf(out, ", \"connected\": %u, \"lost\": %u, \"connect_s\": %.3f, \"echo_ms\": %u, \"echoes\": %" PRIu64,
			r->connected, lost, connect_s, run_echo_ms(r), r->echoes);
	else
		fprintf(out,
			"connected     %u of %u in %.2f s\nheartbeats    %" PRIu64 " answered, one every %u ms\nlost          %u\n",
			r->connected, r->o->bots, connect_s, r->echoes, run_echo_ms(r), lost);
}

static bool idle_broken(struct part *p)
{
	const struct idle *s = p->self;

	if (s->silent)
		fprintf(stderr, "%u bots had no answer to their last heartbeats.\n", s->silent);
	return s->silent > 0;
}

const struct scenario scenario_idle = {
	.name = "idle",
	.summary = "bots connect and only say that they live",
	.open = idle_open,
	.close = idle_close,
	.event = idle_event,
	.stop = idle_stop,
	.progress = idle_progress,
	.report = idle_report,
	.broken = idle_broken,
};
