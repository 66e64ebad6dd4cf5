/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>

enum { NODES = 4, CONNECTED_MS = 500 };

struct player ann, bob;
struct dk_env *pair_world;
struct dk_harness *pair_node;

static struct pair_opts opts;
static struct dkc_ctx *ctx;
static struct dk_harness *nodes[NODES];
static unsigned node_n, hosts;

void note(char *text, size_t cap, const char *fmt, ...)
{
	size_t n = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + n, cap - n, fmt, ap);
	va_end(ap);
}

static void on_event(void *arg, struct dkc_client *c, const struct dkc_event *e)
{
	struct player *p = arg;

	ck_assert_ptr_eq(dkc_arg(c), p);
	if (e->kind == DKC_DISCONNECTED && e->reason != DKC_BY_CLIENT) {
		ck_assert_int_eq(e->reason, DKC_BY_SERVER);
		p->ended = true;
		p->said = e->said;
		note(p->why, sizeof(p->why), DK_STR_FMT, DK_STR_ARG(dk_str_of(e->payload)));
	}
	opts.event(p, e);
}

void pass(uint64_t ms)
{
	wires_pump(&ann.wires);
	wires_pump(&bob.wires);
	dk_sim_run(pair_world, ms);
}

void pair_come(struct player *p, const char *name, struct dk_harness *node, bool tcp)
{
	const struct dk_addr *server = dk_harness_addr(node, tcp ? "tcp" : "udp");
	struct dkc_endpoint ep = { .protocol = tcp ? DKC_TCP : DKC_UDP, .port = server->port };
	struct dk_user *users = dk_harness_service(node, DK_USER_NAME);
	char from[32];
	struct dkc_opts o;

	*p = (struct player){ .node = node };
	snprintf(ep.host, sizeof(ep.host), "%u.%u.%u.%u", server->ip[0], server->ip[1], server->ip[2], server->ip[3]);
	ck_assert_int_eq(users->create(users, dk_str_c(name), dk_str_c(tcp ? "TCP" : "UDP"), &ep.cred, &p->user), 0);
	dkc_opts_default(&o);
	if (opts.echo_ms)
		o.echo_ms = opts.echo_ms;
	o.whole = opts.whole;
	o.event = on_event;
	o.arg = p;
	ck_assert_int_eq(dkc_client_new(ctx, &ep, &o, &p->client), 0);
	snprintf(from, sizeof(from), "10.1.0.%u", ++hosts);
	ck_assert_int_eq(wires_open(&p->wires, pair_world, p->client, tcp, from), 0);
	pass(CONNECTED_MS);
	ck_assert(dkc_is_connected(p->client));
}

void pair_part(struct player *p)
{
	if (p->client)
		dkc_close(p->client);
	wires_pump(&p->wires);
}

void pair_vanish(struct player *p)
{
	wires_cut(&p->wires);
	dkc_client_free(p->client);
	p->client = NULL;
}

void pair_begin(const struct pair_opts *o)
{
	const struct dk_sim_link link = { .delay_ms = o->delay_ms };
	struct dkc_ctx_opts co;

	opts = *o;
	ann = bob = (struct player){ .client = NULL };
	node_n = hosts = 0;
	pair_world = dk_env_sim(1);
	dk_sim_link(pair_world, NULL, NULL, &link);
	dkc_ctx_opts_default(&co);
	wires_chance(&co, pair_world);
	ck_assert_int_eq(dkc_ctx_new(&co, &ctx), 0);
}

struct dk_harness *pair_add(const char *config)
{
	struct dk_harness *h = dk_harness_open(&(const struct dk_harness_opts){ .world = pair_world, .config = config });

	ck_assert_ptr_nonnull(h);
	ck_assert_uint_lt(node_n, NODES);
	nodes[node_n++] = h;
	pair_node = nodes[0];
	return h;
}

void pair_open(const struct pair_opts *o, bool ann_tcp, bool bob_tcp)
{
	char config[1024];

	pair_begin(o);
	snprintf(config, sizeof(config),
		 "plugins = { user = {}; udp = { address = \"10.0.0.1\"; }; tcp = { address = \"10.0.0.1\"; }; %s };", o->plugins);
	pair_add(config);
	pair_come(&ann, "ann", pair_node, ann_tcp);
	pair_come(&bob, "bob", pair_node, bob_tcp);
}

void pair_close(void)
{
	pair_part(&ann);
	pair_part(&bob);
	dk_sim_run(pair_world, 200);
	while (node_n)
		ck_assert_int_eq(dk_harness_free(nodes[--node_n]), 0);
	pair_vanish(&ann);
	pair_vanish(&bob);
	dkc_ctx_free(ctx);
	dk_env_free(pair_world);
}

/* ---- calls ---- */

void on_done(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;

	(void)c;
	snprintf(p->answer, sizeof(p->answer), "%s", dkc_ok(r) ? "ok" : "no");
	if (!dkc_ok(r))
		ANSWER(p, " " DK_STR_FMT, DK_STR_ARG(dkc_reply_error(r, NULL)));
}

static void await_answer(int rc, struct player *p)
{
	ck_assert_int_eq(rc, 0);
	p->answer[0] = '\0';
	pass(opts.answer_ms);
}

void answers(int rc, struct player *p, const char *want)
{
	await_answer(rc, p);
	ck_assert_str_eq(p->answer, want);
}

void answers_like(int rc, struct player *p, const char *want)
{
	await_answer(rc, p);
	ck_assert_msg(strncmp(p->answer, want, strlen(want)) == 0, "answered '%s', which does not begin with '%s'", p->answer,
		      want);
}

void hears(struct player *p, const char *want)
{
	ck_assert_str_eq(p->heard, want);
	forget(p);
}

void forget(struct player *p)
{
	p->heard[0] = '\0';
}
