/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated world itself: links, cuts, order, and that a seed tells all. And the harness that tests of plugins use. */
#include "probe.h"
#include "unit.h"

static const char config[] = "plugins = { probe = {}; };";

struct inbox {
	unsigned n, doubled, disordered;
	uint32_t last;
	uint64_t last_ms;
	struct dk_env *env;
	bool seen[4096];
};

static void arrived(void *arg, struct dk_sim_udp *u, const struct dk_addr *from, dk_slice bytes)
{
	struct inbox *in = arg;
	uint32_t i;

	(void)u;
	(void)from;
	memcpy(&i, bytes.p, sizeof(i));
	in->doubled += in->seen[i];
	in->disordered += i < in->last;
	in->seen[i] = true;
	in->last = i;
	in->last_ms = dk_sim_now(in->env);
	in->n++;
}

/* 2,000 datagrams, one each ms, over that link. */
static uint64_t run_link(uint64_t seed, const struct dk_sim_link *how, struct inbox *in)
{
	struct dk_env *env = dk_env_sim(seed);
	struct dk_sim_udp *a, *b;
	uint64_t hash;

	memset(in, 0, sizeof(*in));
	in->env = env;
	ck_assert_int_eq(dk_sim_udp_open(env, "10.1.0.1:1", NULL, NULL, &a), 0);
	ck_assert_int_eq(dk_sim_udp_open(env, "10.1.0.2:2", arrived, in, &b), 0);
	ck_assert_int_eq(dk_sim_link(env, "10.1.0.1", NULL, how), 0);
	for (uint32_t i = 0; i < 2000; i++) {
		dk_sim_udp_send(a, dk_sim_udp_addr(b), dk_slice_n(&i, sizeof(i)));
		dk_sim_run(env, 1);
	}
	dk_sim_run(env, 1000);
	hash = dk_sim_hash(env);
	dk_env_free(env);
	return hash;
}

START_TEST(links)
{
	static struct inbox in;

	run_link(1, &(struct dk_sim_link){ .delay_ms = 0 }, &in);
	ck_assert_uint_eq(in.n, 2000);
	ck_assert_uint_eq(in.disordered, 0);
	run_link(1, &(struct dk_sim_link){ .delay_ms = 5, .loss = 0.3 }, &in);
	ck_assert_uint_gt(in.n, 1300);
	ck_assert_uint_lt(in.n, 1500);
	run_link(1, &(struct dk_sim_link){ .delay_ms = 5, .duplicate = 0.1 }, &in);
	ck_assert_uint_gt(in.doubled, 150);
	ck_assert_uint_lt(in.doubled, 250);
	run_link(1, &(struct dk_sim_link){ .delay_ms = 5, .reorder = 0.1, .reorder_ms = 20 }, &in);
	ck_assert_uint_eq(in.n, 2000);
	ck_assert_uint_gt(in.disordered, 100);
	run_link(1, &(struct dk_sim_link){ .loss = 1 }, &in);
	ck_assert_uint_eq(in.n, 0);
}
END_TEST

START_TEST(a_seed_tells_all)
{
	static const struct dk_sim_link bad = {
		.delay_ms = 20, .jitter_ms = 30, .loss = 0.2, .duplicate = 0.1, .reorder = 0.1, .reorder_ms = 15
	};
	static struct inbox a, b, c;
	uint64_t one = run_link(7, &bad, &a), again = run_link(7, &bad, &b), other = run_link(8, &bad, &c);

	ck_assert_uint_eq(one, again);
	ck_assert_uint_ne(one, other);
	ck_assert_uint_eq(a.n, b.n);
	ck_assert_uint_eq(a.disordered, b.disordered);
	ck_assert_mem_ne(a.seen, c.seen, sizeof(a.seen));
}
END_TEST

START_TEST(the_most_exact_rule)
{
	struct dk_env *env = dk_env_sim(1);
	static const uint32_t delays[] = { 100, 30, 7 };
	struct inbox in = { .env = env };
	struct dk_sim_udp *a, *b;
	uint32_t i = 0;

	ck_assert_int_eq(dk_sim_udp_open(env, "10.1.0.1", NULL, NULL, &a), 0);
	ck_assert_int_eq(dk_sim_udp_open(env, "10.1.0.2:2", arrived, &in, &b), 0);
	ck_assert_int_eq(dk_sim_udp_open(env, "10.1.0.2:2", NULL, NULL, &b), -EADDRINUSE);
	ck_assert_int_eq(dk_sim_udp_open(env, "nonsense", NULL, NULL, &b), -EINVAL);
	ck_assert_int_eq(dk_sim_link(env, "10.1.0.1", "10.1.0.2", &(struct dk_sim_link){ .delay_ms = delays[2] }), 0);
	ck_assert_int_eq(dk_sim_link(env, NULL, "10.1.0.2", &(struct dk_sim_link){ .delay_ms = delays[1] }), 0);
	ck_assert_int_eq(dk_sim_link(env, NULL, NULL, &(struct dk_sim_link){ .delay_ms = delays[0] }), 0);
	ck_assert_int_eq(dk_sim_link(env, "x", NULL, &(struct dk_sim_link){ .delay_ms = 0 }), -EINVAL);
	dk_sim_udp_send(a, dk_sim_udp_addr(b), dk_slice_n(&i, sizeof(i)));
	dk_sim_run(env, delays[2] - 1);
	ck_assert_uint_eq(in.n, 0);
	dk_sim_run(env, 1);
	ck_assert_uint_eq(in.n, 1);
	ck_assert_int_eq(dk_sim_link(env, "10.1.0.1", "10.1.0.2", &(struct dk_sim_link){ .delay_ms = 50 }), 0);
	dk_sim_udp_send(a, dk_sim_udp_addr(b), dk_slice_n(&i, sizeof(i)));
	dk_sim_run(env, 49);
	ck_assert_uint_eq(in.n, 1);
	dk_sim_run(env, 1);
	ck_assert_uint_eq(in.n, 2);
	dk_env_free(env);
}
END_TEST

START_TEST(cuts)
{
	struct dk_harness *h = dk_harness_new(config, 3, &dk_plugin_probe);
	struct probe *p = dk_plugin_state(dk_harness_kernel(h), "probe");
	struct dk_addr udp = probe_addr("10.0.0.1:7000"), tcp = probe_addr("10.0.0.1:80");
	struct dk_env *env = dk_harness_world(h);
	struct dk_sim_udp *near, *far;
	struct dk_sim_tcp *t, *late;

	ck_assert_int_eq(probe_udp(p, "10.0.0.1:7000", 0, false), 0);
	ck_assert_int_eq(probe_listen(p, "10.0.0.1:80", 0, 0), 0);
	dk_sim_udp_open(env, "10.1.0.1", NULL, NULL, &near);
	dk_sim_udp_open(env, "10.1.0.2", NULL, NULL, &far);
	dk_sim_tcp_connect(env, "10.1.0.2", &tcp, NULL, NULL, &t);
	dk_sim_run(env, 10);
	ck_assert_int_eq(dk_sim_cut(env, "10.1.0.2", "10.0.0.1", true), 0);
	dk_sim_udp_send(near, &udp, dk_slice_n("1", 1));
	dk_sim_udp_send(far, &udp, dk_slice_n("2", 1));
	dk_sim_tcp_send(t, dk_slice_n("through", 7));
	dk_sim_tcp_connect(env, "10.1.0.2", &tcp, NULL, NULL, &late);
	dk_sim_run(env, 3000);
	ck_assert_uint_eq(p->datagrams, 1);
	ck_assert_uint_eq(p->last[0], '1');
	ck_assert_uint_eq(p->bytes, 0);
	ck_assert_int_eq(dk_sim_tcp_state(late), DK_SIM_TCP_CONNECTING);
	ck_assert_int_eq(dk_sim_cut(env, "10.0.0.1", "10.1.0.2", false), 0);
	dk_sim_run(env, 1100);
	ck_assert_uint_eq(p->datagrams, 1); /* lost is lost */
	ck_assert_uint_eq(p->bytes, 7);
	ck_assert_int_eq(dk_sim_tcp_state(late), DK_SIM_TCP_OPEN);
	dk_sim_tcp_close(t, false);
	dk_sim_tcp_close(late, false);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

static uint64_t run_stream(uint64_t seed)
{
	struct dk_harness *h = dk_harness_new(config, seed, &dk_plugin_probe);
	struct probe *p = dk_plugin_state(dk_harness_kernel(h), "probe");
	struct dk_addr to = probe_addr("127.0.0.1:80");
	static uint8_t block[300000];
	struct dk_sim_tcp *t;
	size_t sent = 0;
	uint64_t hash;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)(i * 31 >> 4);
	p->echo = true;
	dk_sim_link(dk_harness_world(h), NULL, NULL,
		    &(struct dk_sim_link){ .delay_ms = 30, .jitter_ms = 40, .loss = 0.2, .reorder = 0.2, .reorder_ms = 50 });
	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 0), 0);
	dk_sim_tcp_connect(dk_harness_world(h), "10.1.0.1", &to, NULL, NULL, &t);
	for (int i = 0; i < 2000 && dk_sim_tcp_bytes(t).n < sizeof(block); i++) {
		size_t n = sizeof(block) - sent < 1000 ? sizeof(block) - sent : 1000;

		sent += dk_sim_tcp_send(t, dk_slice_n(block + sent, n));
		dk_harness_advance(h, 20);
	}
	ck_assert_uint_eq(dk_sim_tcp_bytes(t).n, 256 * 1024); /* as much as lies unread */
	ck_assert_mem_eq(dk_sim_tcp_bytes(t).p, block, 256 * 1024);
	dk_sim_tcp_take(t, 256 * 1024);
	dk_harness_advance(h, 3000);
	ck_assert_uint_eq(dk_sim_tcp_bytes(t).n, sizeof(block) - 256 * 1024);
	hash = dk_sim_hash(dk_harness_world(h));
	dk_sim_tcp_close(t, false);
	ck_assert_int_eq(dk_harness_free(h), 0);
	return hash;
}

/* Loss delays a stream and nothing worse; and a world with a node in it repeats itself as well. */
START_TEST(streams_over_bad_links)
{
	ck_assert_uint_eq(run_stream(5), run_stream(5));
	ck_assert_uint_ne(run_stream(5), run_stream(6));
}
END_TEST

static bool is_late(void *arg)
{
	return dk_sim_now(arg) >= 1500;
}

static void count_up(void *arg)
{
	++*(int *)arg;
}

START_TEST(time_flies)
{
	struct dk_env *env = dk_env_sim(1);
	uint64_t begin = dk_sim_now(env);
	int calls = 0;

	ck_assert(!dk_sim_run_until(env, is_late, env, 100));
	ck_assert_uint_eq(dk_sim_now(env), begin + 100);
	ck_assert_int_eq(dk_sim_after(env, 1000, count_up, &calls), 0);
	ck_assert_int_eq(dk_sim_after(env, 20, count_up, &calls), 0);
	dk_sim_run(env, 20);
	ck_assert_int_eq(calls, 1);
	ck_assert(dk_sim_run_until(env, is_late, env, 10000));
	ck_assert_int_eq(calls, 2);
	ck_assert_uint_eq(dk_sim_now(env), begin + 1100); /* the clock stops at the event, not at the limit */
	ck_assert_int_eq(dk_sim_after(env, 1000, count_up, &calls), 0); /* never happens, and is not lost */
	dk_env_free(env);
	ck_assert_int_eq(calls, 2);
}
END_TEST

START_TEST(many_nodes)
{
	struct dk_env *world = dk_env_sim(9);
	struct dk_harness_opts o = { .config = config,
				     .world = world,
				     .plugins = (const struct dk_plugin_desc *const[]){ &dk_plugin_probe, NULL } };
	struct dk_harness *h[3];
	struct probe *p[3];

	for (int i = 0; i < 3; i++) {
		h[i] = dk_harness_open(&o);
		ck_assert_ptr_nonnull(h[i]);
		p[i] = dk_plugin_state(dk_harness_kernel(h[i]), "probe");
		ck_assert_int_eq(probe_udp(p[i], "0.0.0.0:7000", 0, true), 0); /* three hosts, one port */
	}
	for (int i = 0; i < 3; i++) {
		struct dk_addr to = { .ip = { 10, 0, 0, (uint8_t)((i + 1) % 3 + 1) }, .port = 7000, .family = 4 };

		memcpy(dk_udp_slot(p[i]->udp, &to, 4), "next", 4);
		dk_udp_commit(p[i]->udp, 4, 0);
	}
	dk_sim_run(world, 10);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(p[i]->datagrams, 1);
		ck_assert_uint_eq(p[i]->from.ip[3], (i + 2) % 3 + 1);
		ck_assert_uint_eq(p[i]->to.ip[3], i + 1);
	}
	ck_assert_int_eq(dk_harness_free(h[1]), 0); /* a node leaves, the world goes on */
	for (int i = 0; i < 3; i += 2) {
		struct dk_addr to = { .ip = { 10, 0, 0, 2 }, .port = 7000, .family = 4 };

		memcpy(dk_udp_slot(p[i]->udp, &to, 4), "gone", 4);
		dk_udp_commit(p[i]->udp, 4, 0);
	}
	dk_sim_run(world, 10);
	ck_assert_int_eq(dk_harness_free(h[0]), 0);
	ck_assert_int_eq(dk_harness_free(h[2]), 0);
	dk_env_free(world);
}
END_TEST

/* ---- the harness ---- */

#define GREETER_COMMANDS(X, R)                                                                                                     \
	X(struct greeter, 3, 1, "greeter.greet", on_greet, DK_ADMIN, "greets", DK_IN(str16(whom), u8(times)), DK_OUT(str16(text))) \
	X(struct greeter, 3, 2, "greeter.late", on_late, DK_ADMIN, "greets a second later", DK_IN(), DK_OUT())                     \
	X(struct greeter, 3, 3, "greeter.never", on_never, DK_ADMIN, "does not greet", DK_IN(), DK_OUT())                          \
	X(struct greeter, 3, 4, "greeter.rude", on_rude, DK_ADMIN, "refuses to", DK_IN(), DK_OUT())

struct greeter {
	struct dk_self base;
	struct dk_timer timer;
	dk_id call;
	struct {
		uint64_t greeted;
		int64_t mood;
		struct dk_histogram took;
	} n;
};

DK_COMMANDS(greeter, GREETER_COMMANDS)

static int on_greet(struct greeter *g, struct dk_call *call, dk_str whom, uint8_t times)
{
	g->n.greeted += times;
	g->n.mood--;
	dk_log(g, DK_INFO, "hello " DK_STR_FMT, DK_STR_ARG(whom));
	return on_greet_answer(call, whom);
}

static void greet_now(void *self, struct dk_timer *t)
{
	struct greeter *g = self;

	(void)t;
	on_late_answer(dk_call_get(g, g->call));
	dk_call_done(g, g->call, 0);
}

static int on_late(struct greeter *g, struct dk_call *call)
{
	g->call = call->id;
	dk_timer_start(g, &g->timer, 1000, 0, greet_now);
	return DK_LATER;
}

static int on_never(struct greeter *g, struct dk_call *call)
{
	(void)g;
	(void)call;
	return DK_LATER;
}

static int on_rude(struct greeter *g, struct dk_call *call)
{
	(void)g;
	return dk_refuse(call, 7, "no");
}

static const struct dk_counter greeter_counters[] = {
	DK_COUNTER(struct greeter, greeted, "greetings"),
	DK_GAUGE(struct greeter, mood, "how it feels"),
	DK_HISTOGRAM(struct greeter, took, "time to greet"),
	{ .name = NULL },
};

DK_PLUGIN(greeter) = {
	DK_PLUGIN_HEAD("greeter", "1.0.0", "greets"),
	.self_size = sizeof(struct greeter),
	.commands = greeter_commands,
	.counters = greeter_counters,
};

START_TEST(harness)
{
	struct dk_harness *h = dk_harness_new("plugins = { greeter = {}; };", 1, &dk_plugin_greeter);
	uint64_t before;
	struct dk_reply r;

	ck_assert_ptr_nonnull(h);
	r = dk_harness_call(h, "greeter.greet", "ann", "3");
	ck_assert_int_eq(r.status, DK_STATUS_OK);
	ck_assert_uint_eq(r.body.n, 5);
	ck_assert_mem_eq(r.body.p, "\0\3ann", 5);
	ck_assert(dk_harness_log_has(h, "hello ann"));
	ck_assert(!dk_harness_log_has(h, "hello bob"));
	ck_assert_int_eq(dk_harness_counter(h, "greeter", "greeted"), 3);
	ck_assert_int_eq(dk_harness_counter(h, "greeter", "mood"), -1);
	ck_assert_int_eq(dk_harness_counter(h, "greeter", "took"), 0);
	ck_assert(dk_harness_counter(h, "greeter", "nonsense") == INT64_MIN);

	before = dk_sim_now(dk_harness_world(h));
	r = dk_harness_call(h, "greeter.late");
	ck_assert_int_eq(r.status, DK_STATUS_OK);
	ck_assert_uint_eq(dk_sim_now(dk_harness_world(h)), before + 1000);
	r = dk_harness_call(h, "greeter.rude");
	ck_assert_int_eq(r.status, DK_STATUS_BAD);
	r = dk_harness_call(h, "greeter.greet", "ann");
	ck_assert_int_eq(r.status, 0);
	ck_assert_str_ne(r.why, "");
	r = dk_harness_call(h, "greeter.grett");
	ck_assert_int_eq(r.status, 0);
	r = dk_harness_call(h, "greeter.never");
	ck_assert_int_eq(r.status, 0);
	ck_assert_str_eq(r.why, "no answer within 5 s");

	ck_assert_ptr_null(dk_harness_user(h, "ann")); /* neither user nor mem is on */
	ck_assert_ptr_null(dk_harness_service(h, "nonsense"));
	ck_assert_ptr_null(dk_harness_addr(h, "greeter"));
	ck_assert_int_eq(dk_harness_free(h), 0);
	ck_assert_int_eq(dk_harness_free(NULL), 0);
}
END_TEST

START_TEST(no_start)
{
	ck_assert_ptr_null(dk_harness_new("plugins = { nonsense = {}; };", 1));
	ck_assert_ptr_null(dk_harness_new("plugins = { greeter = { what = 1; }; };", 1, &dk_plugin_greeter));
}
END_TEST

UNIT_MAIN("sim", links, a_seed_tells_all, the_most_exact_rule, cuts, streams_over_bad_links, time_flies, many_nodes, harness,
	  no_start)
