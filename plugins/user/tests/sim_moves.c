/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users that are sent from node to node while they talk, over a bad network: the nodes, their mesh, the transports and the clients
 * are the real ones. Nothing reliable is lost or doubled in either direction, and it comes in order, but for what a client says
 * again at its new node because it was not acknowledged in time: that may come behind later frames. Every request is answered.
 *
 *   sim_moves                   the seeds of make check: 12, or 4 under a sanitizer
 *   sim_moves FIRST LAST        these seeds; one line each, so that a long run can be resumed where it stopped
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/client.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include "tests/sim/seeds.h"
#include "tests/sim/wires.h"

enum { NODES = 3, PLAYERS = 8, TALK_MS = 20, SECONDS = 10, MESSAGES = SECONDS * 1000 / TALK_MS, VISITS = 256 };

struct player {
	unsigned index;
	bool tcp;
	char uid[16];
	struct dkc_client *client;
	struct wires wires;
	uint32_t said, asked, answered, swapped;
	/* What the nodes heard of it, by number. */
	uint8_t heard[MESSAGES];
	uint32_t up_next, up_doubled, up_late;
	/* What nodes say: each visit of a node counts from 0. */
	uint32_t visits, told[VISITS], visit, down_next, down_doubled, down_lost;
	unsigned connected, moved, refused;
};

static struct dk_env *world;
static struct dk_harness *nodes[NODES];
static struct dkc_ctx *ctx;
static struct player players[PLAYERS];
static bool quiet; /* nobody says anything new */
static bool deaf; /* clients hear nothing of a node that sends them away, which hears them */

/* ---- on the nodes ---- */

struct talk {
	struct dk_self base;
	struct dk_user *user;
	struct dk_timer tick;
};

static struct player *player_of(struct talk *t, dk_id user)
{
	return &players[t->user->uid(t->user, user).p[0] - 'a'];
}

#define TALK_COMMANDS(X, R)                                                                                                        \
	X(struct talk, 2, 1, "talk.say", on_say, DK_CLIENT | DK_USER | DK_QUIET, "counts", DK_IN(u32(number)), DK_OUT())           \
	X(struct talk, 2, 2, "talk.ask", on_ask, DK_CLIENT | DK_USER, "answers", DK_IN(u32(number)), DK_OUT(u32(number)))
DK_COMMANDS(talk, TALK_COMMANDS)

static int on_say(struct talk *t, struct dk_call *call, uint32_t number)
{
	struct player *p = player_of(t, call->user);

	ck_assert_uint_lt(number, p->said);
	p->up_doubled += p->heard[number] > 0;
	p->up_late += !p->heard[number] && number < p->up_next;
	p->heard[number] = 1;
	if (number >= p->up_next)
		p->up_next = number + 1;
	return 0;
}

static int on_ask(struct talk *t, struct dk_call *call, uint32_t number)
{
	(void)t;
	return on_ask_answer(call, number);
}

static uint32_t visit_of(struct talk *t, dk_id user)
{
	struct dk_value v = { .type = DK_V_NONE };

	t->user->get(t->user, user, dk_str_c("visit"), &v);
	return (uint32_t)v.as.i;
}

static void begin_visit(struct talk *t, dk_id user)
{
	struct player *p = player_of(t, user);
	struct dk_value v = { .type = DK_V_INT, .as.i = p->visits };

	ck_assert_uint_lt(p->visits, VISITS);
	p->told[p->visits++] = 0;
	ck_assert_int_eq(t->user->set(t->user, user, dk_str_c("visit"), &v), 0);
}

static void on_created(struct talk *t, const struct dk_user_event *ev)
{
	begin_visit(t, ev->user);
}

static void on_arrived(struct talk *t, const struct dk_user_arrived *ev)
{
	begin_visit(t, ev->user);
}

static void on_tick(void *self, struct dk_timer *timer)
{
	struct talk *t = self;
	uint32_t slot = 0, visit;
	uint8_t buf[64];
	dk_id id;

	(void)timer;
	while (!quiet && (id = t->user->next(t->user, &slot))) {
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));

		visit = visit_of(t, id);
		dk_wr_u32(&w, visit);
		dk_wr_u32(&w, player_of(t, id)->told[visit]);
		if (t->user->push(t->user, id, 2, 9, dk_written(&w), DK_RELIABLE) == 0)
			player_of(t, id)->told[visit]++;
	}
}

static int talk_init(void *self)
{
	struct talk *t = self;

	dk_connect(t, &t->user->created, on_created);
	dk_connect(t, &t->user->arrived, on_arrived);
	return 0;
}

static int talk_start(void *self)
{
	struct talk *t = self;

	dk_timer_start(t, &t->tick, TALK_MS, TALK_MS, on_tick);
	return 0;
}

static const struct dk_need talk_needs[] = { DK_NEED(struct talk, user, DK_USER), { 0 } };
static const struct dk_ops talk_ops = { .init = talk_init, .start = talk_start };

DK_PLUGIN(talk) = {
	DK_PLUGIN_HEAD("talk", "1", "the test's own"),
	.self_size = sizeof(struct talk),
	.needs = talk_needs,
	.commands = talk_commands,
	.ops = &talk_ops,
};

/* ---- clients ---- */

static void hear(struct player *p, dk_slice payload)
{
	struct dk_cursor c = dk_cursor_of(payload);
	uint32_t visit = dk_rd_u32(&c), number = dk_rd_u32(&c);

	ck_assert(dk_rd_done(&c) && visit < p->visits);
	if (visit < p->visit || (visit == p->visit && number < p->down_next)) {
		p->down_doubled++;
		return;
	}
	while (p->visit < visit) {
		p->down_lost += p->told[p->visit++] - p->down_next;
		p->down_next = 0;
	}
	p->down_lost += number - p->down_next;
	p->down_next = number + 1;
}

static void hears(struct player *p, bool well)
{
	const struct dk_sim_link none = { .loss = 1 }, far = { .delay_ms = 15, .jitter_ms = 10 };
	char from[16], to[16];

	snprintf(to, sizeof(to), "10.1.0.%u", p->index + 1);
	for (unsigned i = 0; i < NODES; i++) {
		snprintf(from, sizeof(from), "10.0.0.%u", i + 1);
		if (well || p->wires.server.ip[3] == i + 1)
			dk_sim_link(world, from, to, well ? &far : &none);
	}
}

static void on_event(void *arg, struct dkc_client *c, const struct dkc_event *e)
{
	struct player *p = arg;

	(void)c;
	switch (e->kind) {
	case DKC_CONNECTED:
		p->connected++;
		if (deaf && !p->tcp)
			hears(p, true);
		break;
	case DKC_MOVING:
		p->moved++;
		if (deaf && !p->tcp)
			hears(p, false);
		break;
	case DKC_DISCONNECTED:
		ck_assert_msg(e->reason == DKC_BY_CLIENT, "player %u at %llu ms: %s", p->index,
			      (unsigned long long)dk_sim_now(world), dkc_reason_text(e->reason));
		break;
	case DKC_PUSH:
		hear(p, e->payload);
		break;
	default:
		break;
	}
}

static void on_answer(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dk_cursor cur = dk_cursor_of(r->payload);

	(void)c;
	if (dkc_ok(r))
		p->swapped += dk_rd_u32(&cur) != p->answered++;
}

static void say(struct player *p)
{
	uint8_t buf[4];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u32(&w, p->said);
	if (dkc_send(p->client, 2, 1, dk_written(&w), DK_RELIABLE) == 0)
		p->said++;
	if (p->said % 8)
		return;
	w = dk_writer_on(buf, sizeof(buf));
	dk_wr_u32(&w, p->asked);
	if (dkc_request(p->client, 2, 2, dk_written(&w), on_answer, p) == 0)
		p->asked++;
}

/* ---- moves ---- */

static void on_moved(void *self, void *arg, dk_id user, int err)
{
	struct player *p = arg;

	(void)self;
	(void)user;
	p->refused += err != 0;
}

/* From wherever it is, by hand of the node. */
static void send_away(struct player *p)
{
	for (unsigned i = 0; i < NODES; i++) {
		struct talk *t = dk_plugin_state(dk_harness_kernel(nodes[i]), "talk");
		dk_id id = t->user->by_uid(t->user, dk_str_c(p->uid));
		const struct dk_addr *to;
		int rc;

		if (!id || !t->user->is_connected(t->user, id))
			continue;
		to = dk_node_addr(
			dk_plugin_state(dk_harness_kernel(nodes[(i + 1 + dk_sim_chance(world) % (NODES - 1)) % NODES]), "talk"));
		rc = t->user->move(t->user, t, id, to, dk_str_n(NULL, 0), dk_slice_n(NULL, 0), on_moved, p);
		ck_assert_msg(rc == 0 || rc == DK_USER_MOVING, "a move began with %d", rc);
		return;
	}
}

/* ---- a run ---- */

static void open_player(unsigned i)
{
	struct player *p = &players[i];
	struct dkc_endpoint ep = { .protocol = i % 4 == 3 ? DKC_TCP : DKC_UDP };
	struct dk_user *users = dk_harness_service(nodes[i % NODES], DK_USER_NAME);
	const struct dk_addr *at = dk_harness_addr(nodes[i % NODES], i % 4 == 3 ? "tcp" : "udp");
	struct dkc_opts o;
	char from[32];
	dk_id id;

	*p = (struct player){ .index = i, .tcp = i % 4 == 3, .uid = { (char)('a' + i) } };
	ck_assert_int_eq(users->create(users, dk_str_c(p->uid), dk_str_c(p->tcp ? "TCP" : "UDP"), &ep.cred, &id), 0);
	snprintf(ep.host, sizeof(ep.host), "10.0.0.%u", i % NODES + 1);
	ep.port = at->port;
	dkc_opts_default(&o);
	o.request_ms = 0;
	o.event = on_event;
	o.arg = p;
	ck_assert_int_eq(dkc_client_new(ctx, &ep, &o, &p->client), 0);
	snprintf(from, sizeof(from), "10.1.0.%u", i + 1);
	ck_assert_int_eq(wires_open(&p->wires, world, p->client, p->tcp, from), 0);
}

static void pass(uint64_t ms)
{
	for (unsigned i = 0; i < PLAYERS; i++)
		wires_pump(&players[i].wires);
	dk_sim_run(world, ms);
}

static int64_t sum(const char *name)
{
	int64_t n = 0;

	for (unsigned i = 0; i < NODES; i++)
		n += dk_harness_counter(nodes[i], "user", name);
	return n;
}

static void open_world(uint64_t seed, double loss)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_talk, NULL };
	const struct dk_sim_link near = { .delay_ms = 1 };
	const struct dk_sim_link far = { .loss = loss, .delay_ms = 15, .jitter_ms = 10 };
	struct dkc_ctx_opts o;

	world = dk_env_sim(seed);
	quiet = false;
	dk_sim_link(world, NULL, NULL, &far);
	for (unsigned i = 0; i < NODES; i++) {
		char config[512], ip[16], other[16];

		snprintf(ip, sizeof(ip), "10.0.0.%u", i + 1);
		for (unsigned j = 0; j < NODES; j++) {
			snprintf(other, sizeof(other), "10.0.0.%u", j + 1);
			dk_sim_link(world, ip, other, &near);
		}
		snprintf(config, sizeof(config),
			 "plugins = { user = {}; talk = {}; udp = { address = \"%s\"; }; tcp = { address = \"%s\"; }; "
			 "mesh = { address = \"%s\"; mesh_insecure = true; }; };",
			 ip, ip, ip);
		nodes[i] = dk_harness_open(&(const struct dk_harness_opts){ .config = config, .plugins = plugins, .world = world });
		ck_assert_ptr_nonnull(nodes[i]);
	}
	dkc_ctx_opts_default(&o);
	wires_chance(&o, world);
	ck_assert_int_eq(dkc_ctx_new(&o, &ctx), 0);
	for (unsigned i = 0; i < PLAYERS; i++)
		open_player(i);
}

static void close_world(void)
{
	for (unsigned i = 0; i < PLAYERS; i++)
		dkc_close(players[i].client);
	pass(2000);
	for (unsigned i = 0; i < PLAYERS; i++) {
		wires_cut(&players[i].wires);
		dkc_client_free(players[i].client);
	}
	for (unsigned i = 0; i < NODES; i++)
		ck_assert_int_eq(dk_harness_free(nodes[i]), 0);
	dkc_ctx_free(ctx);
	dk_env_free(world);
}

static void play(uint64_t seed, double loss)
{
	uint64_t moves = 0, up = 0, down = 0, up_doubled = 0, down_doubled = 0, disordered = 0;
	struct dkc_stats stats;

	open_world(seed, loss);
	pass(2000);
	for (unsigned ms = 0; ms < SECONDS * 1000; ms += TALK_MS) {
		for (unsigned i = 0; i < PLAYERS; i++) {
			say(&players[i]);
			if (dk_sim_chance(world) % (1500 / TALK_MS) == 0)
				send_away(&players[i]);
		}
		pass(TALK_MS);
	}
	quiet = true;
	pass(15000);
	dkc_ctx_stats(ctx, &stats);
	for (unsigned i = 0; i < PLAYERS; i++) {
		const struct player *p = &players[i];

		for (unsigned n = 0; n < p->said; n++)
			ck_assert_msg(p->heard[n], "seed %llu: player %u said %u, number %u was not heard",
				      (unsigned long long)seed, i, p->said, n);
		ck_assert_msg(p->down_lost == 0 && p->visit == p->visits - 1 && p->down_next == p->told[p->visit],
			      "seed %llu: player %u: visit %u of %u, %u of %u, %u lost", (unsigned long long)seed, i, p->visit,
			      p->visits, p->down_next, p->told[p->visits - 1], p->down_lost);
		ck_assert_msg(p->answered == p->asked, "seed %llu: player %u: %u asked, %u answered", (unsigned long long)seed, i,
			      p->asked, p->answered);
		moves += p->moved;
		up += p->said;
		up_doubled += p->up_doubled;
		disordered += p->up_late + p->swapped;
		down_doubled += p->down_doubled;
		for (unsigned v = 0; v < p->visits; v++)
			down += p->told[v];
	}
	printf("seed %llu, loss %.0f %%: %llu moves, %llu up, %llu down, doubled %llu up %llu down; repeated by clients %llu, "
	       "unclean "
	       "%lld, late %lld, held %lld, failed %lld\n",
	       (unsigned long long)seed, loss * 100, (unsigned long long)moves, (unsigned long long)up, (unsigned long long)down,
	       (unsigned long long)up_doubled, (unsigned long long)down_doubled, (unsigned long long)stats.sent_again,
	       (long long)sum("move_unclean"), (long long)sum("move_late"), (long long)sum("move_held"),
	       (long long)sum("move_failed"));
	fflush(stdout);
	ck_assert_int_eq(sum("move_lost"), 0);
	ck_assert_uint_ge(moves, SECONDS * PLAYERS / 4);
	/* Everything comes once, whatever the network does; up, what a client says again may come behind later frames. */
	ck_assert_uint_eq(down_doubled, 0);
	ck_assert_uint_eq(up_doubled, 0);
	if (!stats.sent_again)
		ck_assert_uint_eq(disordered, 0);
	if (loss == 0)
		ck_assert_uint_eq(stats.sent_again + (uint64_t)sum("move_unclean"), 0);
	close_world();
}

/* All that is on its way when the node sends it away is repeated at the new one, which is told by the old one that it had it. */
START_TEST(nothing_is_done_twice)
{
	struct dkc_stats stats;
	uint64_t moves = 0;

	open_world(77 + (uint64_t)_i, 0);
	deaf = true;
	pass(2000);
	for (unsigned ms = 0; ms < SECONDS * 1000; ms += TALK_MS) {
		for (unsigned i = 0; i < PLAYERS; i++) {
			say(&players[i]);
			if (dk_sim_chance(world) % (3000 / TALK_MS) == 0)
				send_away(&players[i]);
		}
		pass(TALK_MS);
	}
	quiet = true;
	pass(15000);
	dkc_ctx_stats(ctx, &stats);
	for (unsigned i = 0; i < PLAYERS; i++) {
		const struct player *p = &players[i];

		for (unsigned n = 0; n < p->said; n++)
			ck_assert_msg(p->heard[n], "player %u said %u, number %u was not heard", i, p->said, n);
		ck_assert_uint_eq(p->up_doubled + p->up_late + p->swapped, 0);
		ck_assert_uint_eq(p->answered, p->asked);
		moves += p->moved;
	}
	printf("deaf %d: %llu moves; repeated by clients %llu, dropped %lld\n", _i, (unsigned long long)moves,
	       (unsigned long long)stats.sent_again, (long long)sum("again_had"));
	ck_assert_uint_gt(stats.sent_again, 0);
	ck_assert_int_eq(sum("again_had"), (int64_t)stats.sent_again);
	ck_assert_int_eq(sum("again_bad"), 0);
	deaf = false;
	close_world();
}
END_TEST

static const double losses[] = { 0, .05, .1, .2 };

static void check_seed(uint64_t seed)
{
	play(seed, losses[seed % DK_ARRAY_LEN(losses)]);
}

START_TEST(exactly_once_in_order)
{
	check_seed((uint64_t)_i);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("users on the move");
	TCase *t = tcase_create("moves");
	SRunner *runner;
	int failed;

	if (argc == 3)
		tcase_add_loop_test(t, exactly_once_in_order, (int)strtol(argv[1], NULL, 10), (int)strtol(argv[2], NULL, 10) + 1);
	else
		tcase_add_loop_test(t, exactly_once_in_order, 1, SEEDS(12, 4) + 1);
	if (argc != 3)
		tcase_add_loop_test(t, nothing_is_done_twice, 0, 4);
	tcase_set_timeout(t, 120);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
