/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that goes down hands its users to the others: how fast, in which order, to whom, and who is left. Also the number of users
 * from which a node calls itself TAKEN.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/mem_transport.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include "fake_cluster.h"

enum { NODES = 3, CROWD = 1000 };

/* Keeps those whose uid begins with k, and counts ends by their reason. */
struct keeper {
	struct dk_self base;
	struct dk_user *user;
	unsigned ends[16];
};

static int on_keeping(struct keeper *k, struct dk_user_keep *ask)
{
	return k->user->uid(k->user, ask->user).p[0] == 'k';
}

static void on_discarded(struct keeper *k, const struct dk_user_discarded *ev)
{
	k->ends[ev->reason]++;
}

static int keeper_init(void *self)
{
	struct keeper *k = self;

	dk_connect(k, &k->user->discarded, on_discarded);
	return dk_filter_add(k, &k->user->keeping, on_keeping);
}

static const struct dk_need keeper_needs[] = { DK_NEED(struct keeper, user, DK_USER), { 0 } };
static const struct dk_ops keeper_ops = { .init = keeper_init };

DK_PLUGIN(keeper) = {
	DK_PLUGIN_HEAD("keeper", "1", "the test's own"),
	.self_size = sizeof(struct keeper),
	.needs = keeper_needs,
	.ops = &keeper_ops,
};

/* ---- nodes ---- */

struct node {
	struct dk_harness *h;
	struct dk_user *users;
	struct dk_mem *mem;
	struct keeper *keeper;
};

static struct dk_env *world;
static struct node nodes[NODES];

static void start_node(size_t i, const char *user)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_fake_cluster, &dk_plugin_keeper, NULL };
	struct node *n = &nodes[i];
	char config[512];

	snprintf(config, sizeof(config),
		 "plugins = { user = { %s }; mem = {}; fake_cluster = { address = \"10.0.0.%zu\"; }; keeper = {}; };", user, i + 1);
	n->h = dk_harness_open(&(const struct dk_harness_opts){ .config = config, .plugins = plugins, .world = world });
	ck_assert_ptr_nonnull(n->h);
	n->users = dk_harness_service(n->h, DK_USER_NAME);
	n->mem = dk_harness_service(n->h, DK_MEM_NAME);
	n->keeper = dk_plugin_state(dk_harness_kernel(n->h), "keeper");
}

static void setup(void)
{
	world = dk_env_sim(1);
	fake_net_reset(world);
}

static void end_node(size_t i)
{
	ck_assert_int_eq(dk_harness_free(nodes[i].h), 0);
	memset(&nodes[i], 0, sizeof(nodes[i]));
}

static void teardown(void)
{
	for (size_t i = NODES; i-- > 0;)
		if (nodes[i].h)
			end_node(i);
	dk_sim_run(world, 2000);
	dk_env_free(world);
}

static int64_t counter(size_t i, const char *name)
{
	return dk_harness_counter(nodes[i].h, "user", name);
}

static bool over(size_t i, int *ret_code)
{
	return dk_finished(dk_harness_kernel(nodes[i].h), ret_code);
}

/* ---- clients that do as they are told ---- */

struct client {
	uint8_t sid[16];
	struct dk_mem_client *end;
	size_t at;
	bool told;
	uint64_t told_ms;
};

static struct client crowd[CROWD];

static dk_id admit(struct client *c, size_t i, const char *uid)
{
	struct dk_user *users = nodes[i].users;
	struct dk_credential cred;
	dk_id id;

	ck_assert_int_eq(users->create(users, dk_str_c(uid), dk_str_c("MEM"), &cred, &id), 0);
	*c = (struct client){ .at = i };
	memcpy(c->sid, cred.sid, 16);
	return id;
}

static void come(struct client *c, size_t i, const char *uid)
{
	admit(c, i, uid);
	ck_assert_int_eq(nodes[i].mem->connect(nodes[i].mem, c->sid, &c->end), 0);
}

/* All of their instructions read mem:0, so a client looks who has its sid. */
static void follow(struct client *c)
{
	struct dk_mem *mem = nodes[c->at].mem;
	struct dk_frame f;

	while (!c->told && mem->next(mem, c->end, &f, NULL))
		if (f.ver == 0 && f.cmd == 2) {
			c->told = true;
			c->told_ms = dk_sim_now(world);
		}
	for (size_t i = 0; c->told && i < NODES; i++)
		if (i != c->at && nodes[i].h && nodes[i].users->by_sid(nodes[i].users, c->sid)) {
			mem->free(mem, c->end);
			ck_assert_int_eq(nodes[i].mem->connect(nodes[i].mem, c->sid, &c->end), 0);
			c->at = i;
			return;
		}
}

static void pass(size_t n, uint64_t ms)
{
	for (uint64_t t = 0; t < ms; t += 10) {
		dk_sim_run(world, 10);
		for (size_t i = 0; i < n; i++)
			if (crowd[i].end && !crowd[i].told)
				follow(&crowd[i]);
	}
}

/* ---- going down ---- */

START_TEST(a_thousand)
{
	uint64_t begin, first = UINT64_MAX, last = 0;
	int code = -1;

	for (size_t i = 0; i < NODES; i++)
		start_node(i, "");
	for (size_t i = 0; i < CROWD; i++) {
		char uid[16];

		snprintf(uid, sizeof(uid), "u%zu", i);
		come(&crowd[i], 0, uid);
	}
	dk_sim_run(world, 100);
	dk_stop(dk_harness_kernel(nodes[0].h));
	begin = dk_sim_now(world);
	pass(CROWD, 4000);
	ck_assert(over(0, &code));
	ck_assert_int_eq(code, 0);
	for (size_t i = 0; i < CROWD; i++) {
		ck_assert(crowd[i].told && crowd[i].at > 0);
		first = crowd[i].told_ms < first ? crowd[i].told_ms : first;
		last = crowd[i].told_ms > last ? crowd[i].told_ms : last;
	}
	ck_assert_uint_ge(first, begin + 200); /* the others know it by then */
	ck_assert_uint_ge(last, first + 1500); /* in waves */
	ck_assert_uint_le(last, begin + 2500);
	ck_assert_int_eq(counter(1, "users") + counter(2, "users"), CROWD);
	ck_assert_int_ge(counter(1, "users"), CROWD / 4);
	ck_assert_int_ge(counter(2, "users"), CROWD / 4);
	ck_assert_int_eq(counter(1, "move_unclean") + counter(2, "move_unclean"), 0);
	ck_assert_uint_eq(nodes[0].keeper->ends[DK_REASON_SHUTDOWN], 0);
}
END_TEST

/* Who is kept by another plugin stays to the end, and is told why it ends. */
START_TEST(kept)
{
	struct dk_mem *mem;

	for (size_t i = 0; i < NODES; i++)
		start_node(i, "");
	come(&crowd[0], 0, "ann");
	come(&crowd[1], 0, "kim");
	dk_sim_run(world, 10);
	dk_stop(dk_harness_kernel(nodes[0].h));
	pass(2, 9900);
	ck_assert(crowd[0].told && !crowd[1].told && !over(0, NULL));
	mem = nodes[0].mem;
	ck_assert_int_eq(mem->ended(mem, crowd[1].end), 0);
	pass(0, 500);
	ck_assert(over(0, NULL));
}
END_TEST

/* An endpoint that was handed out and not used is not waited for to the deadline. */
START_TEST(who_never_came)
{
	start_node(0, "");
	start_node(1, "");
	admit(&crowd[0], 0, "ann");
	admit(&crowd[1], 0, "bob");
	dk_stop(dk_harness_kernel(nodes[0].h));
	dk_sim_run(world, 1000);
	ck_assert_int_eq(nodes[0].mem->connect(nodes[0].mem, crowd[1].sid, &crowd[1].end), 0); /* just in time */
	pass(2, 1000);
	ck_assert(crowd[1].told && crowd[1].at == 1 && !over(0, NULL));
	pass(2, 1500);
	ck_assert(over(0, NULL));
}
END_TEST

/* Refused by one, another is tried; TAKEN ones only where there is no other. */
START_TEST(where_there_is_room)
{
	start_node(0, "");
	start_node(1, "max_users = 1;");
	start_node(2, "");
	dk_set_taken(nodes[2].keeper, true);
	for (size_t i = 0; i < 10; i++) {
		char uid[16];

		snprintf(uid, sizeof(uid), "u%zu", i);
		come(&crowd[i], 0, uid);
	}
	dk_sim_run(world, 10);
	dk_stop(dk_harness_kernel(nodes[0].h));
	pass(10, 1000);
	ck_assert_int_eq(counter(1, "users"), 1);
	ck_assert_int_eq(counter(2, "users"), 0);
	ck_assert_int_gt(counter(1, "move_refused"), 0);
	dk_set_taken(nodes[2].keeper, false);
	pass(10, 2000);
	ck_assert_int_eq(counter(2, "users"), 9);
	ck_assert(over(0, NULL));
	/* only the TAKEN one is left for the one of node 1 */
	dk_set_taken(nodes[2].keeper, true);
	crowd[0] = crowd[9];
	for (size_t i = 0; i < 10; i++)
		crowd[i].told = crowd[i].at != 1;
	dk_stop(dk_harness_kernel(nodes[1].h));
	pass(10, 2000);
	ck_assert_int_eq(counter(2, "users"), 10);
}
END_TEST

START_TEST(alone)
{
	start_node(0, "");
	come(&crowd[0], 0, "ann");
	dk_sim_run(world, 10);
	dk_stop(dk_harness_kernel(nodes[0].h));
	pass(1, 5000);
	ck_assert(!crowd[0].told && !over(0, NULL));
	nodes[0].mem->close(nodes[0].mem, crowd[0].end);
	pass(0, 100);
	ck_assert(over(0, NULL));
}
END_TEST

START_TEST(by_command)
{
	struct dk_reply r;

	start_node(0, "");
	start_node(1, "");
	come(&crowd[0], 0, "ann");
	dk_sim_run(world, 10);
	r = dk_harness_call(nodes[0].h, "user.drain");
	ck_assert_int_eq(r.status, DK_STATUS_OK);
	pass(1, 1000);
	ck_assert(over(0, NULL));
	ck_assert_int_eq(counter(1, "users"), 1);
}
END_TEST

/* ---- TAKEN ---- */

START_TEST(taken_at)
{
	struct dk_credential cred;
	struct dk_user *users;
	dk_id id[20], other;

	start_node(0, "taken_at = 20;");
	users = nodes[0].users;
	for (size_t i = 0; i < 20; i++) {
		char uid[16];

		snprintf(uid, sizeof(uid), "u%zu", i);
		ck_assert_int_eq(dk_node_state(nodes[0].keeper), DK_ONLINE);
		id[i] = admit(&crowd[i], 0, uid);
	}
	ck_assert_int_eq(dk_node_state(nodes[0].keeper), DK_TAKEN);
	ck_assert_int_eq(users->create(users, dk_str_c("more"), dk_str_c("MEM"), &cred, &other), DK_REFUSED);
	users->disconnect(users, id[0], DK_REASON_SERVER);
	users->disconnect(users, id[1], DK_REASON_SERVER);
	ck_assert_int_eq(dk_node_state(nodes[0].keeper), DK_TAKEN); /* 18: not yet */
	users->disconnect(users, id[2], DK_REASON_SERVER);
	ck_assert_int_eq(dk_node_state(nodes[0].keeper), DK_ONLINE);
	ck_assert_int_eq(users->create(users, dk_str_c("more"), dk_str_c("MEM"), &cred, &other), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("a node that goes down");
	TCase *t = tcase_create("drain");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_thousand);
	tcase_add_test(t, kept);
	tcase_add_test(t, who_never_came);
	tcase_add_test(t, where_there_is_room);
	tcase_add_test(t, alone);
	tcase_add_test(t, by_command);
	tcase_add_test(t, taken_at);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
