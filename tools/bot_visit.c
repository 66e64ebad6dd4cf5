/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Visitors: bots that ask for an endpoint, connect as a user who never was there, do a little of each scenario, stay for a while,
 * say goodbye and come again as somebody else. They keep the server making and forgetting users, rooms and whatever else; a server
 * that does not forget grows.
 *
 * A visitor has two addresses and takes them in turn: what the server answers to the goodbye of a visit names no user, and must not
 * be taken for an answer to the next one.
 *
 * A visit is good when it got its endpoint and its connection, all that it asked was granted, and nobody but itself ended it. One
 * that was not, begun while no bot missed its node, is an error.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tools/bot.h"

#define PATIENCE_NS (20 * UINT64_C(1000000000)) /* for an endpoint and a connection */
#define FAILED_MAX 4096 /* of which it is remembered when they began */

enum visitor_state { AWAY = 0, ASKED, CONNECTING, HERE, LEAVING };

struct visitor {
	struct run *run;
	uint32_t bot, visits, open; /* open: requests without an answer */
	uint8_t state;
	bool bad, renew; /* something went wrong; the endpoint waits for the goodbye of the former visit */
	uint64_t began_ns, next_ns;
	struct dkc_endpoint endpoint;
};

struct visits {
	struct visitor *visitors;
	uint32_t at; /* the one to be looked at next */
	uint64_t begun, good, failed;
	char why[128]; /* of the first failure */
	uint64_t failed_ns[FAILED_MAX];
};

int visits_open(struct run *r)
{
	struct visits *v = calloc(1, sizeof(*v));

	r->visits = v;
	if (!v)
		return -ENOMEM;
	v->visitors = calloc(r->o->visitors, sizeof(*v->visitors));
	if (!v->visitors)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->o->visitors; i++)
		v->visitors[i] = (struct visitor){ .run = r, .bot = r->o->bots + i * VISITOR_ADDRESSES };
	return 0;
}

void visits_close(struct run *r)
{
	if (r->visits)
		free(r->visits->visitors);
	free(r->visits);
}

static void bad(struct visitor *w, const char *why)
{
	struct visits *v = w->run->visits;

	if (!v->why[0])
		snprintf(v->why, sizeof(v->why), "%s", why);
	w->bad = true;
}

/* The visit is over, one way or the other; the next one begins when it would have had this one gone well. */
static void over(struct visitor *w, uint64_t now)
{
	struct visits *v = w->run->visits;

	if (w->bad && v->failed < FAILED_MAX)
		v->failed_ns[v->failed] = w->began_ns;
	v->good += !w->bad;
	v->failed += w->bad;
	w->state = AWAY;
	w->next_ns = now;
}

void visits_answered(void *arg, struct dkc_client *client, const struct dkc_reply *reply)
{
	struct visitor *w = arg;
	dk_str why = dkc_reply_error(reply, NULL);
	char text[128];

	(void)client;
	w->open--;
	if (w->state != HERE || dkc_ok(reply))
		return;
	snprintf(text, sizeof(text), "request %u %u: " DK_STR_FMT, reply->ver, reply->cmd, DK_STR_ARG(why));
	bad(w, text);
}

static void on_event(void *arg, struct dkc_client *client, const struct dkc_event *e)
{
	struct visitor *w = arg;
	struct run *r = w->run;
	uint64_t now = net_now_ns(r->net);

	if (e->kind == DKC_CONNECTED && !e->again) {
		w->state = HERE;
		w->next_ns = now + r->o->stay_ms * UINT64_C(1000000);
		for (uint32_t i = 0; i < r->part_n; i++) {
			if (r->parts[i].scenario->visit)
				w->open += r->parts[i].scenario->visit(&r->parts[i], client, w);
		}
		net_touch(r->net, w->bot);
	} else if (e->kind == DKC_DISCONNECTED && w->state != AWAY) {
		if (e->reason != DKC_BY_CLIENT)
			bad(w, dkc_reason_text(e->reason));
		over(w, now);
	}
}

static bool connect_again(struct visitor *w)
{
	struct run *r = w->run;
	struct dkc_client *c = r->bots[w->bot].net.client;

	if (dkc_renew(c, &w->endpoint))
		return false;
	dkc_connect(c);
	net_touch(r->net, w->bot);
	return true;
}

void visits_endpoint(struct run *r, uint32_t bot, const struct dkc_endpoint *endpoint, const char *why)
{
	struct visitor *w = &r->visits->visitors[(bot - r->o->bots) / VISITOR_ADDRESSES];
	struct net_bot *b = &r->bots[bot].net;
	struct dkc_opts opts;

	if (!endpoint) {
		bad(w, why);
		over(w, net_now_ns(r->net) + 100000000);
		return;
	}
	w->state = CONNECTING;
	if (b->client) {
		w->endpoint = *endpoint;
		w->renew = !connect_again(w);
		return;
	}
	dkc_opts_default(&opts);
	opts.client_key = dk_str_c(r->o->client_key);
	opts.echo_ms = run_echo_ms(r);
	opts.request_ms = 20000;
	opts.event = on_event;
	opts.arg = w;
	if (dkc_client_new(r->ctx, endpoint, &opts, &b->client)) {
		run_fail(r, "no client", "out of memory");
		return;
	}
	dkc_connect(b->client);
	net_add(r->net, bot);
}

static void step(struct run *r, struct visitor *w, uint64_t now)
{
	struct visits *v = r->visits;

	switch (w->state) {
	case AWAY:
		if (now < w->next_ns)
			break;
		w->state = ASKED;
		w->bot = r->o->bots + (w->bot - r->o->bots) / VISITOR_ADDRESSES * VISITOR_ADDRESSES +
			 w->visits++ % VISITOR_ADDRESSES;
		w->bad = w->renew = false;
		w->open = 0;
		w->began_ns = now;
		fetch_one(r->fetch, r->net, w->bot, r->o->bots + (uint32_t)v->begun++);
		break;
	case CONNECTING:
		if (w->renew)
			w->renew = !connect_again(w);
		if (now - w->began_ns > PATIENCE_NS) {
			bad(w, "it took too long to connect");
			dkc_close(r->bots[w->bot].net.client);
			net_touch(r->net, w->bot);
		}
		break;
	case HERE:
		/* Whoever asked something waits for the answer. */
		if (now < w->next_ns || (w->open && now - w->next_ns < PATIENCE_NS))
			break;
		w->state = LEAVING;
		dkc_close(r->bots[w->bot].net.client);
		net_touch(r->net, w->bot);
		break;
	default:
		break;
	}
}

/* They come one after another, spread over the time that one stays. */
void visits_turn(struct run *r, uint64_t now)
{
	struct visits *v = r->visits;
	uint64_t arrived = (now - r->run_ns) / 1000 * r->o->visitors / (r->o->stay_ms * UINT64_C(1000)) + 1;

	for (uint32_t i = 0; i < r->o->visitors && i < arrived; i++)
		step(r, &v->visitors[i], now);
}

static uint64_t failed_calm(const struct run *r)
{
	const struct visits *v = r->visits;
	uint64_t calm = v->failed > FAILED_MAX ? v->failed - FAILED_MAX : 0;

	for (uint64_t i = 0; i < v->failed && i < FAILED_MAX; i++)
		calm += !run_disturbed_at(r, v->failed_ns[i]);
	return calm;
}

void visits_report(struct run *r, FILE *out, bool json)
{
	const struct visits *v = r->visits;

	if (json)
		fprintf(out,
			", \"visits\": {\"begun\": %" PRIu64 ", \"good\": %" PRIu64 ", \"failed\": %" PRIu64
			", \"failed_calm\": %" PRIu64 "}",
			v->begun, v->good, v->failed, failed_calm(r));
	else
		fprintf(out,
			"visits        %" PRIu64 " good, %" PRIu64 " not, %" PRIu64 " of them while no bot missed its node%s%s\n",
			v->good, v->failed, failed_calm(r), v->failed ? ": " : "", v->why);
}

bool visits_broken(struct run *r)
{
	uint64_t calm = failed_calm(r);

	if (calm)
		fprintf(stderr, "%" PRIu64 " visits went wrong; the first one: %s.\n", calm, r->visits->why);
	return calm > 0;
}
