/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Membership in one simulated world: a registry and nodes that come, go, fall silent and cannot hear each other. What every node
 * sees of every other, and how long it takes.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "members.h"

static struct members w;

START_TEST(nodes_find_each_other)
{
	members_make(&w, 4, _i + 1);
	ck_assert(members_until(&w, members_agree, &w, 1000));
	for (size_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(w.witness[i]->synced, 1);
		ck_assert(w.cluster[i]->majority(w.cluster[i]));
		ck_assert_int_eq(member_counter(&w, i, "nodes"), 3);
		for (size_t k = 0; k < 4; k++)
			ck_assert(i == k || member_saw(&w, i, k, DK_NODE_JOINED, 0));
	}
	members_run(&w, 60000);
	ck_assert(members_agree(&w));
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(member_counter(&w, i, "suspected"), 0);
		ck_assert_int_eq(member_counter(&w, i, "refused_malformed"), 0);
		ck_assert_int_le(member_counter(&w, i, "pulls_out"), 40);
	}
	members_free(&w);
}
END_TEST

START_TEST(a_kill_is_seen_in_time)
{
	uint64_t at;

	members_make(&w, 4, _i + 1);
	dk_sim_link(w.world, NULL, NULL, &(struct dk_sim_link){ .delay_ms = 1, .loss = 0.1 * (double)(_i % 4) });
	members_run(&w, 5000 + dk_sim_chance(w.world) % 3000);
	at = dk_sim_now(w.world);
	member_kill(&w, 2);
	members_run(&w, 3000);
	for (size_t i = 0; i < 4; i++) {
		uint64_t died = i == 2 ? at + 2400 : member_saw(&w, i, 2, DK_NODE_DIED, at);

		ck_assert_msg(died > at && died < at + 3000, "node %zu saw it after %lld ms", i, (long long)(died - at));
		ck_assert(i == 2 || w.cluster[i]->majority(w.cluster[i]));
	}
	/* It is still listed, for 30 s after that. */
	ck_assert_int_eq(member_view(&w, 1, 2)->health, DK_DEAD);
	members_run(&w, 27500); /* with losses, silence may have begun before the end */
	ck_assert_ptr_nonnull(member_view(&w, 1, 2));
	members_run(&w, 3500);
	ck_assert_ptr_null(member_view(&w, 1, 2));
	ck_assert(member_saw(&w, 1, 2, DK_NODE_REMOVED, at) >= member_saw(&w, 1, 2, DK_NODE_DIED, at) + 30000);
	ck_assert(w.cluster[1]->majority(w.cluster[1]));
	members_free(&w);
}
END_TEST

START_TEST(a_paused_node_is_dead_and_comes_back)
{
	uint64_t at;
	uint32_t incarnation;

	members_make(&w, 4, _i + 1);
	members_run(&w, 5000);
	incarnation = member_view(&w, 1, 2)->incarnation;
	at = dk_sim_now(w.world);
	dk_harness_pause(w.at[2], true);
	members_run(&w, 5000);
	for (size_t i = 0; i < 4; i++)
		ck_assert(i == 2 || member_saw(&w, i, 2, DK_NODE_DIED, at));
	dk_harness_pause(w.at[2], false);
	ck_assert(members_until(&w, members_agree, &w, 700));
	members_run(&w, 300);
	for (size_t i = 0; i < 4; i++) {
		/* Whoever slept blames nobody. */
		ck_assert(i == 2 || member_saw(&w, i, 2, DK_NODE_RECOVERED, at));
		ck_assert(!member_saw(&w, 2, i, DK_NODE_SUSPECTED, at) && !member_saw(&w, 2, i, DK_NODE_DIED, at));
		ck_assert(i == 2 || member_view(&w, i, 2)->incarnation > incarnation);
	}
	ck_assert_int_eq(member_counter(&w, 2, "refuted"), 1);
	ck_assert_int_eq(member_counter(&w, 2, "stalls"), 1);
	members_free(&w);
}
END_TEST

START_TEST(a_goodbye_is_told)
{
	uint64_t at;

	members_make(&w, 4, 1);
	members_run(&w, 2000);
	at = dk_sim_now(w.world);
	member_stop(&w, 2);
	members_run(&w, 100);
	for (size_t i = 0; i < 4; i++) {
		if (i == 2)
			continue;
		ck_assert(member_saw(&w, i, 2, DK_NODE_CHANGED, at)); /* OFFLINE first */
		ck_assert(member_saw(&w, i, 2, DK_NODE_LEFT, at));
		ck_assert(!member_saw(&w, i, 2, DK_NODE_DIED, at));
		ck_assert_int_eq(member_view(&w, i, 2)->health, DK_LEFT);
		ck_assert(w.cluster[i]->majority(w.cluster[i]));
	}
	members_run(&w, 31000);
	ck_assert_ptr_null(member_view(&w, 1, 2));
	ck_assert(!member_saw(&w, 1, 2, DK_NODE_DIED, at));
	/* Even the last but one has the majority when the others said goodbye. */
	member_stop(&w, 3);
	member_stop(&w, 0);
	members_run(&w, 100);
	ck_assert(w.cluster[1]->majority(w.cluster[1]));
	members_free(&w);
}
END_TEST

START_TEST(states_are_told_at_once)
{
	struct dk_cluster_counts n;
	int64_t announced;
	uint64_t at;

	members_make(&w, 3, 1);
	members_run(&w, 2000);
	at = dk_sim_now(w.world);
	announced = member_counter(&w, 1, "announced_in");
	dk_set_taken(w.witness[2], true);
	members_run(&w, 60);
	ck_assert_int_eq(member_view(&w, 1, 2)->state, DK_TAKEN);
	members_run(&w, 45);
	ck_assert_int_eq(member_counter(&w, 1, "announced_in"), announced + 3); /* three times */
	ck_assert(member_saw(&w, 1, 2, DK_NODE_CHANGED, at));
	w.cluster[1]->counts(w.cluster[1], text("UDP"), &n);
	ck_assert_uint_eq(n.taken, 1);
	ck_assert_ptr_eq(w.cluster[0]->pick(w.cluster[0], text("UDP"), false), member_view(&w, 0, 1));
	dk_set_taken(w.witness[2], false);
	w.cluster[2]->announce(w.cluster[2]);
	members_run(&w, 60);
	ck_assert_int_eq(member_view(&w, 1, 2)->state, DK_ONLINE);
	/* A change of the number of users is no change. */
	at = dk_sim_now(w.world);
	w.cluster[2]->set_users(w.cluster[2], 7);
	members_run(&w, 1000);
	ck_assert_uint_eq(member_view(&w, 1, 2)->users, 7);
	ck_assert(!member_saw(&w, 1, 2, DK_NODE_CHANGED, at));
	members_free(&w);
}
END_TEST

/* Losses in runs of a second and more: what is told is known a second after the links are good again. */
START_TEST(changes_survive_losses)
{
	members_make(&w, 4, _i + 1);
	members_run(&w, 2000);
	dk_sim_cut(w.world, "10.0.0.3", NULL, true);
	dk_set_taken(w.witness[2], true);
	w.cluster[2]->set_users(w.cluster[2], 11);
	members_run(&w, 1000);
	ck_assert_int_eq(member_view(&w, 1, 2)->state, DK_ONLINE);
	dk_sim_cut(w.world, "10.0.0.3", NULL, false);
	ck_assert(members_until(&w, members_agree, &w, 1000));
	ck_assert_int_eq(member_view(&w, 1, 2)->state, DK_TAKEN);
	members_free(&w);
}
END_TEST

START_TEST(another_boot_is_another_node)
{
	uint64_t at, boot, died, removed, joined;

	members_make(&w, 4, _i + 1);
	members_run(&w, 2000);
	boot = w.witness[2]->carrier->boot;
	at = dk_sim_now(w.world);
	member_kill(&w, 2);
	members_run(&w, _i ? 4000 : 500); /* seen dead, or not yet */
	ck_assert_ptr_nonnull(member_start(&w, 2, NULL));
	ck_assert(members_until(&w, members_agree, &w, 1000));
	ck_assert_uint_ne(w.witness[2]->carrier->boot, boot);
	for (size_t i = 0; i < 4; i++) {
		if (i == 2)
			continue;
		died = member_saw(&w, i, 2, DK_NODE_DIED, at);
		removed = member_saw(&w, i, 2, DK_NODE_REMOVED, at);
		joined = member_saw(&w, i, 2, DK_NODE_JOINED, at);
		ck_assert(died && removed >= died && joined >= removed);
		ck_assert_uint_eq(member_view(&w, i, 2)->boot, w.witness[2]->carrier->boot);
		ck_assert(w.cluster[i]->majority(w.cluster[i]));
	}
	members_run(&w, 40000);
	ck_assert(members_agree(&w));
	members_free(&w);
}
END_TEST

/* Node 2 is heard by all but node 1, which hears of it through them. */
START_TEST(one_way_cut_is_degraded_not_dead)
{
	const struct dk_cluster_node *node;
	uint64_t at;

	members_make(&w, 4, _i + 1);
	members_run(&w, 2000);
	at = dk_sim_now(w.world);
	dk_sim_cut_way(w.world, "10.0.0.3", "10.0.0.2", true);
	members_run(&w, 60000);
	node = member_view(&w, 1, 2);
	ck_assert_int_eq(node->health, DK_ALIVE);
	ck_assert(node->degraded);
	ck_assert(!member_saw(&w, 1, 2, DK_NODE_DIED, at));
	ck_assert(w.cluster[1]->majority(w.cluster[1]));
	ck_assert_int_eq(member_counter(&w, 1, "degraded"), 1);
	for (size_t i = 0; i < 4; i++)
		ck_assert(i == 1 || !member_saw(&w, i, 2, DK_NODE_SUSPECTED, at));
	/* Nobody is sent there from here. */
	for (int i = 0; i < 10; i++)
		ck_assert_ptr_eq(w.cluster[1]->pick(w.cluster[1], text("UDP"), true), member_view(&w, 1, 3));
	/* It is still known within 3 s when it really dies. */
	if (_i) {
		at = dk_sim_now(w.world);
		member_kill(&w, 2);
		members_run(&w, 3000);
		ck_assert(member_saw(&w, 1, 2, DK_NODE_DIED, at));
		ck_assert(!node->degraded);
	} else {
		dk_sim_cut_way(w.world, "10.0.0.3", "10.0.0.2", false);
		ck_assert(members_until(&w, members_agree, &w, 1000));
	}
	members_free(&w);
}
END_TEST

/* Of five, two are cut off for longer than anybody is listed. */
START_TEST(the_smaller_side_has_no_majority)
{
	static const char *const small[] = { "10.0.0.4", "10.0.0.5", NULL }, *const big[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3",
											      NULL };
	uint64_t at;

	members_make(&w, 5, _i + 1);
	members_run(&w, 5000);
	at = dk_sim_now(w.world);
	dk_sim_partition(w.world, small, big, true);
	for (int t = 0; t < 3000; t += 50) {
		members_run(&w, 50);
		/* At no moment may one of the small side see a death and think that it may take over. */
		for (size_t i = 3; i < 5; i++)
			for (size_t k = 0; k < 3; k++)
				ck_assert(!member_saw(&w, i, k, DK_NODE_DIED, at) || !w.cluster[i]->majority(w.cluster[i]));
	}
	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(w.cluster[i]->majority(w.cluster[i]), i < 3);
	members_run(&w, 120000);
	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(w.cluster[i]->majority(w.cluster[i]), i < 3);
	ck_assert_ptr_null(member_view(&w, 4, 1));
	dk_sim_partition(w.world, small, big, false);
	ck_assert(members_until(&w, members_agree, &w, 5000));
	ck_assert(!w.cluster[4]->majority(w.cluster[4])); /* whom it took for dead may not have told it otherwise yet */
	members_run(&w, 1100);
	for (size_t i = 0; i < 5; i++)
		ck_assert(w.cluster[i]->majority(w.cluster[i]));
	members_free(&w);
}
END_TEST

/* Two halves: the one with the lowest boot goes on. */
START_TEST(of_two_halves_one_goes_on)
{
	static const char *const left[] = { "10.0.0.1", "10.0.0.2", NULL }, *const right[] = { "10.0.0.3", "10.0.0.4", NULL };
	size_t lowest = 0;

	members_make(&w, 4, _i + 1);
	members_run(&w, 5000);
	dk_sim_partition(w.world, left, right, true);
	members_run(&w, 10000);
	for (size_t i = 1; i < 4; i++)
		if (w.witness[i]->carrier->boot < w.witness[lowest]->carrier->boot)
			lowest = i;
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(w.cluster[i]->majority(w.cluster[i]), (i < 2) == (lowest < 2));
	members_free(&w);
}
END_TEST

/* ---- registries ---- */

static bool last_is_dead(void *arg)
{
	struct members *members = arg;

	for (size_t i = 0; i < 4; i++)
		if (!member_saw(members, i, members->n - 1, DK_NODE_DIED, 0))
			return false;
	return true;
}

/* A node that dies soon after each start, at another address each time, as containers do: there is never a quiet moment, and the
 * dead come to be more than the living. */
START_TEST(a_node_that_keeps_dying)
{
	members_make(&w, 4, _i + 1);
	members_run(&w, 5000);
	while (w.n < MEMBERS_MAX) {
		w.n++;
		ck_assert_ptr_nonnull(member_start(&w, w.n - 1, NULL));
		ck_assert(members_until(&w, members_agree, &w, 1000));
		members_run(&w, 300);
		member_kill(&w, w.n - 1);
		ck_assert(members_until(&w, last_is_dead, &w, 3000));
		for (size_t i = 0; i < 4; i++)
			ck_assert_msg(w.cluster[i]->majority(w.cluster[i]), "node %zu after %zu deaths", i, w.n - 4);
	}
	members_free(&w);
}
END_TEST

START_TEST(a_registry_that_runs_anew_takes_nothing)
{
	uint64_t at;

	members_make(&w, 4, _i + 1);
	members_run(&w, 5000);
	at = dk_sim_now(w.world);
	member_kill(&w, 0);
	members_run(&w, 500);
	ck_assert_ptr_nonnull(member_start(&w, 0, NULL));
	/* links to the one before are doubted after a second of silence */
	ck_assert(members_until(&w, members_agree, &w, 1500));
	members_run(&w, 60000);
	for (size_t i = 1; i < 4; i++)
		for (size_t k = 1; k < 4; k++)
			if (i != k) {
				ck_assert(!member_saw(&w, i, k, DK_NODE_SUSPECTED, at));
				ck_assert(!member_saw(&w, i, k, DK_NODE_LEFT, at));
				ck_assert(!member_saw(&w, i, k, DK_NODE_REMOVED, at));
			}
	members_free(&w);
}
END_TEST

START_TEST(joining_through_a_peer_while_no_registry_runs)
{
	struct dk_reply r;

	members_make(&w, 3, _i + 1);
	members_run(&w, 2000);
	member_kill(&w, 0);
	members_run(&w, 60000);
	ck_assert_ptr_nonnull(member_start(&w, 3, &(struct member_opts){ .mars = "peers = [\"10.0.0.2:8000\"];" }));
	ck_assert(members_until(&w, members_agree, &w, 1000));
	ck_assert_uint_le(w.witness[3]->synced_at, dk_sim_now(w.world));
	/* It is not alone with that: a registry that comes back is found, and finds all. The mesh calls it every 1.6 s. */
	r = dk_harness_call(w.at[3], "mars.health");
	ck_assert_uint_eq(r.body.p[0], 2);
	ck_assert_ptr_nonnull(member_start(&w, 0, NULL));
	ck_assert(members_until(&w, members_agree, &w, 2500));
	members_run(&w, 500);
	r = dk_harness_call(w.at[3], "mars.health");
	ck_assert_uint_eq(r.body.p[0], 1);
	members_free(&w);
}
END_TEST

START_TEST(alone_after_two_seconds)
{
	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	/* Nobody to ask: it serves at once, and says after 2 s that this is all there is. */
	ck_assert_ptr_nonnull(member_start(&w, 1, &(struct member_opts){ .registries = "" }));
	ck_assert_uint_eq(w.witness[1]->synced, 0);
	ck_assert(!w.cluster[1]->majority(w.cluster[1]));
	members_run(&w, 2100);
	ck_assert_uint_eq(w.witness[1]->synced, 1);
	ck_assert(w.cluster[1]->majority(w.cluster[1]));
	ck_assert_ptr_eq(w.cluster[1]->pick(w.cluster[1], text("UDP"), false), w.cluster[1]->self(w.cluster[1]));
	/* A registry that does not answer: it serves after 2 s. */
	ck_assert_ptr_nonnull(member_start(&w, 2, NULL));
	ck_assert_uint_eq(w.witness[2]->synced, 1);
	members_free(&w);
}
END_TEST

START_TEST(several_registries)
{
	static const char *const all = "\"10.0.0.1\", \"10.0.0.8\", \"10.0.0.9:7000\"";

	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	w.n = 9;
	ck_assert_ptr_nonnull(member_start(&w, 0, NULL));
	ck_assert_ptr_nonnull(member_start(&w, 7, &(struct member_opts){ .mars = "serve = true; address = \"10.0.0.8\";" }));
	ck_assert_ptr_nonnull(
		member_start(&w, 8, &(struct member_opts){ .mars = "serve = true; address = \"10.0.0.9\"; port = 7000;" }));
	for (size_t i = 1; i < 4; i++)
		ck_assert_ptr_nonnull(member_start(&w, i, &(struct member_opts){ .registries = all }));
	ck_assert(members_until(&w, members_agree, &w, 1500));
	/* Any one of them is enough. */
	member_kill(&w, 0);
	member_kill(&w, 7);
	ck_assert_ptr_nonnull(member_start(&w, 4, &(struct member_opts){ .registries = all }));
	members_run(&w, 3000);
	ck_assert(members_agree(&w));
	members_free(&w);
}
END_TEST

START_TEST(a_taken_port_is_an_error)
{
	struct dk_sim_udp *other;
	struct dk_harness *h;

	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	ck_assert_int_eq(dk_sim_udp_open(w.world, "10.0.0.1:6779", NULL, NULL, &other), 0);
	h = member_start(&w, 0, NULL);
	ck_assert_ptr_null(h);
	dk_sim_udp_close(other);
	ck_assert_ptr_nonnull(member_start(&w, 0, NULL));
	members_free(&w);
}
END_TEST

START_TEST(applications_do_not_see_each_other)
{
	struct member_opts other = { .env = "DIARKIS_APP_NAME=other" };
	struct dk_reply r;

	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	ck_assert_ptr_nonnull(member_start(&w, 0, NULL));
	for (size_t i = 1; i < 5; i++)
		ck_assert_ptr_nonnull(member_start(&w, i, i > 2 ? &other : NULL));
	members_run(&w, 5000);
	for (size_t i = 1; i < 5; i++)
		for (size_t k = 1; k < 5; k++) {
			const struct dk_cluster_node *node = member_view(&w, i, k);

			ck_assert_int_eq(node != NULL, (i > 2) == (k > 2));
		}
	ck_assert_ptr_null(member_view(&w, 0, 3)); /* the registry's own view is of its own application */
	r = dk_harness_call(w.at[0], "mars.nodes");
	ck_assert_ptr_nonnull(memmem(r.body.p, r.body.n, "\"health\":\"KEPT\"", 15)); /* but its table has all */
	for (size_t i = 1; i < 5; i++)
		ck_assert_int_eq(member_counter(&w, i, "refused_foreign"), 0); /* it told nobody */
	/* One that left is forgotten there too. */
	member_kill(&w, 3);
	members_run(&w, 40000);
	r = dk_harness_call(w.at[0], "mars.nodes");
	ck_assert_ptr_null(memmem(r.body.p, r.body.n, "10.0.0.4", 8));
	ck_assert_ptr_nonnull(memmem(r.body.p, r.body.n, "10.0.0.5", 8));
	members_free(&w);
}
END_TEST

START_TEST(versions)
{
	static const char *const opts[][2] = {
		{ "version = \"1\";", "version = \"2\";" }, /* range: a common protocol is enough */
		{ "version = \"1\";", "version = \"2\"; version_isolation = \"strict\";" },
		{ "version = \"2\";", "version = \"2\"; version_isolation = \"strict\";" },
	};

	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	ck_assert_ptr_nonnull(member_start(&w, 0, NULL));
	for (size_t i = 1; i < 3; i++)
		ck_assert_ptr_nonnull(member_start(&w, i, &(struct member_opts){ .mars = opts[_i][i - 1] }));
	members_run(&w, 5000);
	ck_assert_int_eq(member_view(&w, 1, 2) != NULL, _i != 1);
	ck_assert_int_eq(member_view(&w, 2, 1) != NULL, _i != 1);
	members_free(&w);
}
END_TEST

/* strictCheckForExternal: who was not introduced by a registry is not listened to. */
START_TEST(strangers)
{
	struct member_opts strict = { .mesh = "strictCheckForExternal = true;" };

	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	ck_assert_ptr_nonnull(member_start(&w, 0, &strict));
	ck_assert_ptr_nonnull(member_start(&w, 1, &strict));
	ck_assert_ptr_nonnull(member_start(&w, 2, &strict));
	ck_assert(members_until(&w, members_agree, &w, 2000));
	ck_assert_ptr_nonnull(
		member_start(&w, 3, &(struct member_opts){ .registries = "", .mars = "peers = [\"10.0.0.2:8000\"];" }));
	members_run(&w, 5000);
	ck_assert_ptr_null(member_view(&w, 1, 3));
	ck_assert_int_gt(member_counter(&w, 1, "refused_stranger"), 0);
	members_free(&w);
}
END_TEST

START_TEST(queries)
{
	struct dk_cluster_counts n;
	struct dk_cluster *c;
	const struct dk_endpoint *e;
	const struct dk_cluster_node *node;
	uint32_t slot = 0;
	size_t others = 0;

	members_make(&w, 4, 1);
	members_run(&w, 1000);
	c = w.cluster[1];
	while ((node = c->next(c, &slot)))
		others++;
	ck_assert_uint_eq(others, 3);
	ck_assert(dk_addr_eq(&c->self(c)->addr, &w.addr[1]));
	ck_assert_ptr_eq(c->node(c, &w.addr[1]), c->self(c));
	e = c->endpoint(c, member_view(&w, 1, 2), text("UDP"), text(""));
	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(e->host, "10.0.0.3");
	ck_assert_uint_eq(e->port, 7100);
	ck_assert(e->encrypted);
	ck_assert_ptr_eq(c->endpoint(c, member_view(&w, 1, 2), text(""), text("UDP")), e);
	ck_assert_ptr_null(c->endpoint(c, member_view(&w, 1, 2), text("TCP"), text("")));
	e = c->endpoint(c, member_view(&w, 1, 0), text(""), text("MARS"));
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->port, 6779);
	c->counts(c, text("UDP"), &n);
	ck_assert_uint_eq(n.online, 3);
	c->counts(c, text(""), &n);
	ck_assert_uint_eq(n.online, 4);
	member_kill(&w, 3);
	members_run(&w, 1700);
	c->counts(c, text("UDP"), &n);
	ck_assert_uint_eq(n.online, 2);
	ck_assert_uint_eq(n.suspect, 1);
	members_run(&w, 1300);
	c->counts(c, text("UDP"), &n);
	ck_assert_uint_eq(n.dead, 1);
	members_free(&w);
}
END_TEST

START_TEST(endpoints)
{
	const struct dk_cluster_node *node;
	const struct dk_endpoint *e;

	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	ck_assert_ptr_nonnull(member_start(&w, 0, NULL));
	ck_assert_ptr_nonnull(member_start(&w, 1,
					   &(struct member_opts){ .no_udp = true,
								  .more = "http = { address = \"10.0.0.2\"; };"
									  "udp = { address = \"10.0.0.2\"; type = \"ARENA\";"
									  " enableEncryption = false; };"
									  "tcp = { address = \"10.0.0.2\"; };" }));
	members_run(&w, 1000);
	node = member_view(&w, 0, 1);
	ck_assert_uint_eq(node->endpoint_n, 3);
	e = w.cluster[0]->endpoint(w.cluster[0], node, text("ARENA"), text(""));
	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(e->role, "UDP");
	ck_assert(!e->encrypted);
	ck_assert_ptr_eq(w.cluster[0]->endpoint(w.cluster[0], node, text(""), text("UDP")), e);
	ck_assert_ptr_null(w.cluster[0]->endpoint(w.cluster[0], node, text("UDP"), text("")));
	e = w.cluster[0]->endpoint(w.cluster[0], node, text("TCP"), text(""));
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->port, 7200);
	ck_assert(e->encrypted);
	e = w.cluster[0]->endpoint(w.cluster[0], node, text(""), text("HTTP"));
	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(e->host, "10.0.0.2");
	ck_assert_uint_eq(e->port, 7000);
	members_free(&w);
}
END_TEST

/* What the seal lets through is still not believed. */
static void say(size_t from, size_t to, uint16_t cmd, dk_slice payload)
{
	struct dk_carrier *c = w.witness[from]->carrier;

	ck_assert_int_eq(c->send(c, &w.addr[to], DK_VER_NODE, cmd, payload, DK_UNRELIABLE), 0);
	members_run(&w, 60);
}

START_TEST(messages_that_are_refused)
{
	uint8_t buf[1000], rec[500];
	struct dk_writer n, r;
	uint64_t boot;

	members_make(&w, 4, 1);
	members_run(&w, 2000);
	for (uint16_t cmd = 1004; cmd <= 1011; cmd++) {
		int64_t before = member_counter(&w, 2, "refused_malformed");

		say(1, 2, cmd, bytes("x"));
		ck_assert_msg(member_counter(&w, 2, "refused_malformed") == before + 1, "%u was read", cmd);
	}
	/* A record of somebody else, and one of a boot that does not speak. */
	boot = w.witness[3]->carrier->boot;
	for (int mine = 0; mine < 2; mine++) {
		r = dk_writer_on(rec, sizeof(rec));
		dk_wr_u8(&r, 1);
		dk_wr_u8(&r, 4);
		dk_wr_slice(&r, dk_slice_n(w.addr[mine ? 1 : 3].ip, 4));
		dk_wr_u16(&r, 8000);
		dk_wr_u64(&r, mine ? 12345 : boot);
		dk_wr_u32(&r, 9); /* a high incarnation */
		dk_wr_u32(&r, 9);
		dk_wr_u32(&r, 0);
		dk_wr_u8(&r, 4); /* goodbye */
		dk_wr_u8(&r, 0);
		dk_wr_u32(&r, 0x00010001);
		dk_wr_u32(&r, 0);
		dk_wr_u8(&r, 0);
		dk_wr_bytes8(&r, bytes("0.1.0"));
		dk_wr_u8(&r, 0);
		n = dk_writer_on(buf, sizeof(buf));
		dk_wr_u8(&n, 0);
		dk_wr_bytes16(&n, dk_written(&r));
		say(1, 2, 1004, dk_written(&n));
		ck_assert_int_eq(member_counter(&w, 2, "refused_address"), 1);
		ck_assert_int_eq(member_counter(&w, 2, "refused_boot"), mine);
	}
	/* The same in a page of the table. */
	n = dk_writer_on(buf, sizeof(buf));
	dk_wr_u32(&n, 1);
	dk_wr_bytes16(&n, dk_written(&r));
	say(1, 2, 1007, dk_written(&n));
	/* A goodbye in the name of another node, of its very boot. */
	dk_wr_u32(&n, 1);
	memcpy(rec + 2, w.addr[3].ip, 4);
	for (int i = 0; i < 8; i++)
		rec[8 + i] = (uint8_t)(boot >> (56 - 8 * i));
	dk_wr_bytes16(&n, dk_written(&r));
	say(1, 2, 1007, dk_written(&n));
	ck_assert(members_agree(&w));
	for (size_t i = 0; i < 4; i++)
		ck_assert(!member_saw(&w, i, 3, DK_NODE_LEFT, 0) && !member_saw(&w, i, 1, DK_NODE_REMOVED, 0));
	members_free(&w);
}
END_TEST

START_TEST(names_without_an_address)
{
	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	ck_assert_ptr_nonnull(member_start(&w, 1,
					   &(struct member_opts){ .registries = "\"mars.example\", \"10.0.0.1\"",
								  .mars = "peers = [\"nobody.example:9000\"];" }));
	members_run(&w, 10000);
	ck_assert_int_ge(member_counter(&w, 1, "unresolved"), 8); /* asked for again and again */
	ck_assert(dk_harness_log_has(w.at[1], "mars.example has no address"));
	ck_assert_ptr_nonnull(member_start(&w, 0, NULL));
	ck_assert(members_until(&w, members_agree, &w, 2500)); /* the other registry is none the worse for it */
	members_free(&w);
}
END_TEST

START_TEST(choosing_a_node)
{
	struct dk_cluster *c;
	unsigned got[4] = { 0 };

	members_make(&w, 4, 1);
	members_run(&w, 1000);
	c = w.cluster[0];
	/* 300 users: a hundred each, whatever was there before a beat told of it */
	for (int i = 0; i < 300; i++) {
		const struct dk_cluster_node *node = c->pick(c, text("UDP"), false);

		ck_assert_ptr_nonnull(node);
		got[node->addr.ip[3] - 1]++;
	}
	ck_assert_uint_eq(got[0], 0);
	for (int i = 1; i < 4; i++)
		ck_assert_uint_eq(got[i], 100);
	/* What they say of themselves counts. */
	w.cluster[1]->set_users(w.cluster[1], 50);
	w.cluster[2]->set_users(w.cluster[2], 20);
	w.cluster[3]->set_users(w.cluster[3], 30);
	members_run(&w, 500);
	ck_assert_uint_eq(member_view(&w, 0, 1)->users, 50);
	for (int i = 0; i < 10; i++)
		ck_assert_ptr_eq(c->pick(c, text("UDP"), true), member_view(&w, 0, 2));
	/* A filter knows better. */
	w.witness[0]->pick = 1;
	for (int i = 0; i < 30; i++)
		ck_assert_ptr_nonnull(c->pick(c, text("UDP"), true));
	w.witness[0]->pick = 0;
	ck_assert_ptr_null(c->pick(c, text("TCP"), false));
	c = w.cluster[2];
	ck_assert_ptr_eq(c->pick(c, text("UDP"), false), c->self(c));
	ck_assert_ptr_eq(c->pick(c, text("UDP"), true), member_view(&w, 2, 3));
	members_free(&w);
}
END_TEST

/* ---- values and shared data ---- */

static const char *value_of(size_t i, size_t k, const char *name)
{
	static char buf[DK_CLUSTER_VALUE_MAX + 1];
	dk_slice v;
	int rc = w.cluster[i]->get_value(w.cluster[i], &w.addr[k], text(name), &v);

	if (rc)
		return rc == DK_GONE ? "gone" : "none";
	memcpy(buf, v.p, v.n);
	buf[v.n] = '\0';
	return buf;
}

START_TEST(node_values)
{
	struct member_opts full = { .mars = "fullSyncRoles = [\"UDP\", \"HTTP\"];" };
	struct dk_addr nobody = { .family = 4, .ip = { 10, 9, 9, 9 }, .port = 1 };
	char big[DK_CLUSTER_VALUE_MAX], name[8];
	struct dk_cluster *c;
	dk_slice v;
	uint64_t at;

	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	ck_assert_ptr_nonnull(member_start(&w, 0, &full));
	ck_assert_ptr_nonnull(member_start(&w, 1, NULL));
	ck_assert_ptr_nonnull(member_start(&w, 2, NULL));
	ck_assert_ptr_nonnull(member_start(&w, 3, &(struct member_opts){ .no_udp = true }));
	dk_sim_link(w.world, NULL, NULL, &(struct dk_sim_link){ .delay_ms = 1, .loss = 0.2 });
	members_run(&w, 2000);
	at = dk_sim_now(w.world);
	c = w.cluster[1];
	ck_assert_int_eq(c->set_value(c, text("load"), bytes("12")), 0);
	members_run(&w, 1500);
	ck_assert_str_eq(value_of(1, 1, "load"), "12");
	ck_assert_str_eq(value_of(2, 1, "load"), "12");
	ck_assert_str_eq(value_of(0, 1, "load"), "12"); /* registries have all */
	ck_assert_str_eq(value_of(3, 1, "load"), "none"); /* of none of the roles: the reduced set */
	ck_assert(member_saw(&w, 2, 1, DK_NODE_CHANGED, at));
	ck_assert(!member_saw(&w, 3, 1, DK_NODE_CHANGED, at));
	/* As many as may be, over a link that loses a fifth; then gone again. */
	memset(big, 'x', sizeof(big));
	for (int i = 0; i < 7; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		ck_assert_int_eq(c->set_value(c, text(name), dk_slice_n(big, sizeof(big))), 0);
	}
	ck_assert_int_eq(c->set_value(c, text("v7"), dk_slice_n(big, sizeof(big))), DK_FULL);
	members_run(&w, 5000);
	for (int i = 0; i < 7; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		ck_assert_uint_eq(strlen(value_of(2, 1, name)), sizeof(big));
		ck_assert_int_eq(c->set_value(c, text(name), bytes("")), 0);
	}
	members_run(&w, 5000);
	ck_assert_str_eq(value_of(2, 1, "v3"), "none");
	ck_assert_str_eq(value_of(2, 1, "load"), "12");
	ck_assert_int_eq(c->get_value(c, &nobody, text("load"), &v), DK_GONE);
	/* Another boot has no values of the one before. */
	member_kill(&w, 1);
	ck_assert_ptr_nonnull(member_start(&w, 1, NULL));
	members_run(&w, 3000);
	ck_assert_str_eq(value_of(2, 1, "load"), "none");
	members_free(&w);
}
END_TEST

static int shared_of(size_t i, const char *name)
{
	int16_t v;

	return w.cluster[i]->get_shared(w.cluster[i], text(name), &v) ? INT32_MIN : v;
}

static unsigned shared_seen(size_t i, const char *name, bool removed)
{
	const struct witness *p = w.witness[i];
	unsigned n = 0;

	for (size_t k = 0; k < p->seen_n; k++)
		n += !p->seen[k].change && strcmp(p->seen[k].name, name) == 0 && p->seen[k].removed == removed;
	return n;
}

START_TEST(shared_data)
{
	static const char *const left[] = { "10.0.0.1", "10.0.0.2", NULL }, *const right[] = { "10.0.0.3", "10.0.0.4", NULL };
	struct dk_cluster *c;

	members_make(&w, 4, _i + 1);
	members_run(&w, 2000);
	c = w.cluster[1];
	ck_assert_int_eq(c->set_shared(c, text("season"), 3), 0);
	members_run(&w, 60); /* it leaves at the end of the node's next turn */
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(shared_of(i, "season"), 3);
		ck_assert_uint_eq(shared_seen(i, "season", false), 1);
	}
	/* Both sides of a cut write; the last one wins when it heals, and a removal is not undone by who missed it. */
	dk_sim_partition(w.world, left, right, true);
	members_run(&w, 10000);
	ck_assert_int_eq(w.cluster[1]->set_shared(w.cluster[1], text("season"), 4), 0);
	ck_assert_int_eq(w.cluster[1]->set_shared(w.cluster[1], text("left"), 1), 0);
	members_run(&w, 100);
	ck_assert_int_eq(w.cluster[2]->set_shared(w.cluster[2], text("season"), 5), 0);
	ck_assert_int_eq(w.cluster[0]->remove_shared(w.cluster[0], text("left")), 0);
	ck_assert_int_eq(w.cluster[0]->remove_shared(w.cluster[0], text("left")), DK_NOT_FOUND);
	members_run(&w, 1000);
	ck_assert_int_eq(shared_of(0, "season"), 4);
	ck_assert_int_eq(shared_of(3, "season"), 5);
	dk_sim_partition(w.world, left, right, false);
	members_run(&w, 5000);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(shared_of(i, "season"), 5);
		ck_assert_int_eq(shared_of(i, "left"), INT32_MIN);
	}
	ck_assert_uint_eq(shared_seen(1, "left", true), 1);
	/* Who comes later gets all of it. */
	ck_assert_ptr_nonnull(member_start(&w, 4, NULL));
	members_run(&w, 500);
	ck_assert_int_eq(shared_of(4, "season"), 5);
	members_free(&w);
}
END_TEST

/* ---- what people are shown ---- */

static bool says(struct dk_reply r, const char *what)
{
	return r.status == DK_STATUS_OK && memmem(r.body.p, r.body.n, what, strlen(what));
}

START_TEST(rows_for_operators)
{
	struct dk_cluster *c;
	uint32_t next = 0, pages = 0;
	char from[16];

	members_make(&w, 7, 1);
	members_run(&w, 2000);
	c = w.cluster[2];
	ck_assert_int_eq(c->set_value(c, text("motd"), bytes("say \"hi\"\n")), 0);
	ck_assert_int_eq(c->set_value(c, text("word"), bytes("plain")), 0);
	members_run(&w, 1000);
	ck_assert(says(dk_harness_call(w.at[1], "mars.nodes"), "\"address\":\"10.0.0.3:8000\""));
	ck_assert(says(dk_harness_call(w.at[1], "mars.nodes"),
		       "\"state\":\"ONLINE\",\"health\":\"ALIVE\",\"degraded\":false,\"users\":0,\"app\":\"\""));
	ck_assert(says(dk_harness_call(w.at[1], "mars.nodes"),
		       "{\"role\":\"UDP\",\"type\":\"UDP\",\"host\":\"10.0.0.3\",\"port\":7100}"));
	ck_assert(says(dk_harness_call(w.at[0], "mars.values", "10.0.0.3:8000"), "\"motd\":\"0x7361792022686922"));
	ck_assert(says(dk_harness_call(w.at[0], "mars.values", "10.0.0.3:8000"), "\"word\":\"plain\""));
	ck_assert(says(dk_harness_call(w.at[0], "mars.show", "10.0.0.3:8000", "0"), "\"address\":\"10.0.0.3:8000\""));
	ck_assert(says(dk_harness_call(w.at[0], "mars.show", "10.0.0.3:8000", "0"), "\"word\":\"plain\""));
	ck_assert_int_eq(dk_harness_call(w.at[0], "mars.show", "10.0.0.99:8000", "0").status, DK_STATUS_BAD);
	ck_assert_int_eq(dk_harness_call(w.at[0], "mars.values", "nowhere").status, DK_STATUS_BAD);
	/* Pages of a scan: each fits a datagram, together they are all. */
	do {
		struct dk_reply r;
		struct dk_cursor cur;
		uint32_t total;
		dk_slice page;

		snprintf(from, sizeof(from), "%u", next);
		r = dk_harness_call(w.at[0], "mars.scan", from);
		ck_assert_int_eq(r.status, DK_STATUS_OK);
		ck_assert_uint_le(r.body.n, DK_CARRIER_DATAGRAM_MAX - 64);
		cur = dk_cursor_of(r.body);
		next = dk_rd_u32(&cur);
		total = dk_rd_u32(&cur);
		page = dk_rd_bytes32(&cur);
		ck_assert(dk_rd_done(&cur));
		ck_assert_uint_eq(total, 7);
		ck_assert(page.n > 2 && page.p[0] == '[' && page.p[page.n - 1] == ']');
		ck_assert_uint_lt(pages++, 7);
	} while (next);
	ck_assert_uint_ge(pages, 2);
	ck_assert(says(dk_harness_call(w.at[1], "mars.set_shared", "season", "-4"), ""));
	members_run(&w, 100);
	ck_assert(says(dk_harness_call(w.at[2], "mars.shared"), "{\"season\":-4}"));
	ck_assert(says(dk_harness_call(w.at[2], "mars.remove_shared", "season"), ""));
	ck_assert_int_eq(dk_harness_call(w.at[2], "mars.remove_shared", "season").status, DK_STATUS_BAD);
	ck_assert_int_eq(dk_harness_call(w.at[2], "mars.set_shared", "", "1").status, DK_STATUS_BAD);
	ck_assert_int_eq(dk_harness_call(w.at[1], "mars.del", "10.0.0.3:8000").status, DK_STATUS_BAD);
	members_free(&w);
}
END_TEST

START_TEST(deleting_a_node)
{
	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	ck_assert_ptr_nonnull(member_start(&w, 0, &(struct member_opts){ .mars = "debug = true;" }));
	ck_assert_ptr_nonnull(member_start(&w, 1, NULL));
	members_run(&w, 2000);
	ck_assert_int_eq(dk_harness_call(w.at[0], "mars.del", "10.0.0.2:8000").status, DK_STATUS_OK);
	ck_assert(member_saw(&w, 0, 1, DK_NODE_REMOVED, 0));
	ck_assert(members_until(&w, members_agree, &w, 1000)); /* it announces itself again */
	members_free(&w);
}
END_TEST

START_TEST(health_of_the_contact_with_registries)
{
	struct dk_reply r;
	struct dk_cursor c;

	members_make(&w, 2, 1);
	members_run(&w, 2000);
	r = dk_harness_call(w.at[1], "mars.health");
	c = dk_cursor_of(r.body);
	ck_assert_uint_eq(dk_rd_u8(&c), 1);
	ck_assert_uint_le(dk_rd_u32(&c), 300);
	ck_assert_uint_eq(dk_rd_u32(&c), 1);
	ck_assert(dk_rd_done(&c));
	member_kill(&w, 0);
	members_run(&w, 10000);
	r = dk_harness_call(w.at[1], "mars.health");
	c = dk_cursor_of(r.body);
	ck_assert_uint_eq(dk_rd_u8(&c), 2);
	ck_assert_uint_ge(dk_rd_u32(&c), 9700);
	ck_assert_ptr_nonnull(member_start(&w, 2, &(struct member_opts){ .registries = "" }));
	r = dk_harness_call(w.at[2], "mars.health");
	ck_assert_uint_eq(r.body.p[0], 3);
	members_free(&w);
}
END_TEST

START_TEST(a_line_a_second)
{
	const char *log;
	unsigned lines = 0;

	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	ck_assert_ptr_nonnull(member_start(&w, 0, &(struct member_opts){ .mars = "enableMetricsLogging = true;" }));
	ck_assert_ptr_nonnull(member_start(&w, 1, NULL));
	ck_assert_ptr_nonnull(member_start(&w, 2, &(struct member_opts){ .env = "DIARKIS_APP_NAME=other" }));
	w.cluster[2]->set_users(w.cluster[2], 9);
	members_run(&w, 5000);
	for (log = dk_harness_log(w.at[0]); (log = strstr(log, "{\"announced\":")); log++)
		lines++;
	ck_assert_uint_ge(lines, 5);
	ck_assert_uint_le(lines, 6);
	ck_assert(
		dk_harness_log_has(w.at[0], "{\"app\":\"other\",\"nodes\":1,\"online\":1,\"taken\":0,\"offline\":0,\"users\":9}"));
	members_free(&w);
}
END_TEST

START_TEST(options_that_cannot_be)
{
	static const char *const bad[] = {
		"suspect_ms = 400;",
		"dead_ms = 1500;",
		"evidence_ms = 2500;",
		"version = \"0123456789012345678901234567890123456789\";",
		"serve = true; address = \"mars.example\";",
	};
	struct dk_harness *h;

	memset(&w, 0, sizeof(w));
	w.world = dk_env_sim(1);
	h = member_start(&w, 1, &(struct member_opts){ .mars = bad[_i] });
	ck_assert_ptr_null(h);
	members_free(&w);
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("mars");
	Suite *suite = suite_create("mars");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, nodes_find_each_other, 0, 3);
	tcase_add_loop_test(tcase, a_kill_is_seen_in_time, 0, 12);
	tcase_add_loop_test(tcase, a_paused_node_is_dead_and_comes_back, 0, 3);
	tcase_add_test(tcase, a_goodbye_is_told);
	tcase_add_test(tcase, states_are_told_at_once);
	tcase_add_loop_test(tcase, changes_survive_losses, 0, 3);
	tcase_add_loop_test(tcase, another_boot_is_another_node, 0, 2);
	tcase_add_loop_test(tcase, one_way_cut_is_degraded_not_dead, 0, 2);
	tcase_add_loop_test(tcase, the_smaller_side_has_no_majority, 0, 3);
	tcase_add_loop_test(tcase, of_two_halves_one_goes_on, 0, 4);
	tcase_add_loop_test(tcase, a_node_that_keeps_dying, 0, 3);
	tcase_add_loop_test(tcase, a_registry_that_runs_anew_takes_nothing, 0, 3);
	tcase_add_loop_test(tcase, joining_through_a_peer_while_no_registry_runs, 0, 3);
	tcase_add_test(tcase, alone_after_two_seconds);
	tcase_add_test(tcase, several_registries);
	tcase_add_test(tcase, a_taken_port_is_an_error);
	tcase_add_test(tcase, applications_do_not_see_each_other);
	tcase_add_loop_test(tcase, versions, 0, 3);
	tcase_add_test(tcase, strangers);
	tcase_add_test(tcase, queries);
	tcase_add_test(tcase, endpoints);
	tcase_add_test(tcase, messages_that_are_refused);
	tcase_add_test(tcase, names_without_an_address);
	tcase_add_test(tcase, choosing_a_node);
	tcase_add_test(tcase, node_values);
	tcase_add_loop_test(tcase, shared_data, 0, 3);
	tcase_add_test(tcase, rows_for_operators);
	tcase_add_test(tcase, deleting_a_node);
	tcase_add_test(tcase, health_of_the_contact_with_registries);
	tcase_add_test(tcase, a_line_a_second);
	tcase_add_loop_test(tcase, options_that_cannot_be, 0, 5);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
