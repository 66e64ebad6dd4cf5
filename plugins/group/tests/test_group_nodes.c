/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups over several nodes of one simulated world: joins, broadcasts, members that change their node, nodes that die or are cut
 * off for a while.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/group.h>
#include <diarkis/group_commands.h>

#include "plugins/room/tests/fabric.h"

DK_PACKERS(GROUP_COMMANDS)

static struct dk_group *groups(unsigned node)
{
	return dk_harness_service(fabric[node].h, DK_GROUP_NAME);
}

static void open_nodes(unsigned n, uint64_t seed, const char *options)
{
	char more[512];

	snprintf(more, sizeof(more), "group = { %s };", options);
	fabric_open(n, seed, "", NULL, more);
}

static int64_t count(unsigned node, const char *counter)
{
	int64_t n = dk_harness_counter(fabric[node].h, "group", counter);

	ck_assert_msg(n != INT64_MIN, "there is no counter %s", counter);
	return n;
}

static dk_str text(const struct dk_id52 *id)
{
	return dk_str_n(id->c, DK_ID52_LEN);
}

static dk_slice bytes(const char *s)
{
	return dk_slice_of(dk_str_c(s));
}

static void ask_join(struct player *p, const struct dk_id52 *id, const char *message)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	group_on_join_pack(&w, text(id), bytes(message));
	player_send(p, GROUP_VER, GROUP_CMD_JOIN, dk_written(&w));
}

static void say(struct player *p, const struct dk_id52 *id, const char *message)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	group_on_broadcast_pack(&w, text(id), bytes(message), true);
	player_send(p, GROUP_VER, GROUP_CMD_BROADCAST, dk_written(&w));
}

static void leave(struct player *p, const struct dk_id52 *id, const char *message)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	group_on_leave_pack(&w, text(id), bytes(message));
	player_send(p, GROUP_VER, GROUP_CMD_LEAVE, dk_written(&w));
}

static void make(struct player *p, bool allow_empty, uint32_t interval_ms, struct dk_id52 *ret_id)
{
	struct dk_group_opts o = { .allow_empty = allow_empty, .join = true, .ttl_s = 11, .interval_ms = interval_ms };
	struct dk_group *svc = groups(p->node);
	struct dk_group_info info;
	dk_id group;

	ck_assert_int_eq(svc->create(svc, player_user(p), &o, &group), 0);
	ck_assert_int_eq(svc->info(svc, group, &info), 0);
	*ret_id = info.id;
}

static void join(struct player *p, const struct dk_id52 *id)
{
	ask_join(p, id, "");
	fabric_run(50);
	ck_assert_uint_eq(times(player_heard(p), "111 ok"), 1);
}

/* What node i knows; members 0: it has no copy. */
static struct dk_group_info info_at(unsigned i, const struct dk_id52 *id)
{
	struct dk_group *svc = groups(i);
	struct dk_group_info info = { .members = 0 };

	svc->info(svc, svc->find(svc, id), &info);
	return info;
}

static void all_hear(struct player **p, unsigned n, const char *what, unsigned often)
{
	for (unsigned i = 0; i < n; i++) {
		const char *heard = player_heard(p[i]);

		ck_assert_msg(times(heard, what) == often, "%s on node %u heard \"%s\" %u times, not %u: %s", p[i]->name,
			      p[i]->node, what, times(heard, what), often, heard);
	}
}

START_TEST(three_nodes)
{
	struct player *p[3];
	struct dk_id52 id;

	open_nodes(3, 1, "");
	p[0] = player_new(0, "ann");
	p[1] = player_new(1, "bob");
	p[2] = player_new(2, "cid");
	make(p[0], false, 0, &id);
	join(p[1], &id);
	ask_join(p[2], &id, "here");
	fabric_run(50);
	ck_assert_uint_eq(times(player_heard(p[2]), "111 push ..here"), 1);
	ck_assert_uint_eq(times(player_heard(p[0]), "111 push ..here"), 1);
	ck_assert_uint_eq(times(player_heard(p[1]), "111 push ..here"), 1);
	for (unsigned i = 0; i < 3; i++)
		say(p[i], &id, "hello");
	fabric_run(20);
	all_hear(p, 3, "hello", 3);
	fabric_run(3000);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(info_at(i, &id).members, 3);
		ck_assert_uint_eq(info_at(i, &id).nodes, 3);
		ck_assert_int_eq(count(i, "sent"), i == 2 ? 4 : 2);
	}
	leave(p[1], &id, "bye");
	fabric_run(50);
	ck_assert_uint_eq(times(player_heard(p[0]), "112 push ..bye"), 1);
	ck_assert_str_eq(player_heard(p[1]), "112 ok \n");
	ck_assert_uint_eq(info_at(1, &id).members, 0);
	ck_assert_uint_eq(info_at(0, &id).members, 2);
	leave(p[2], &id, "");
	leave(p[0], &id, "");
	fabric_run(50);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(count(i, "groups"), 0);
	ask_join(p[1], &id, "");
	fabric_run(50);
	ck_assert_uint_eq(times(player_heard(p[1]), "111 bad"), 1);
	fabric_close();
}
END_TEST

/* The home node dies: the rest goes on, others find the group, and home gets a copy again. */
START_TEST(home_dies)
{
	struct player *p[4];
	struct dk_id52 id;

	open_nodes(4, 2, "");
	p[3] = player_new(0, "ann");
	p[0] = player_new(1, "bob");
	p[1] = player_new(2, "cid");
	make(p[3], false, 0, &id);
	join(p[0], &id);
	join(p[1], &id);
	fabric_kill(0);
	fabric_run(100);
	for (unsigned i = 1; i < 4; i++)
		fabric_believe(i, 0, DK_DEAD);
	fabric_run(1000);
	ck_assert_uint_eq(info_at(1, &id).members, 2);
	say(p[0], &id, "still");
	fabric_run(20);
	all_hear(p, 2, "still", 1);
	p[2] = player_new(3, "dan");
	join(p[2], &id);
	say(p[1], &id, "again");
	fabric_run(20);
	all_hear(p, 3, "again", 1);
	fabric_restart(0);
	fabric_run(15000);
	ck_assert_uint_eq(info_at(0, &id).members, 3);
	ck_assert_uint_eq(info_at(0, &id).members_here, 0);
	p[3] = player_new(0, "eve");
	join(p[3], &id);
	say(p[3], &id, "back");
	fabric_run(20);
	all_hear(p, 4, "back", 1);
	fabric_close();
}
END_TEST

/* Two halves go on by themselves and are one group when the way is open again. */
START_TEST(partition)
{
	struct player *p[3];
	struct dk_id52 id;

	open_nodes(3, 3, "");
	p[0] = player_new(0, "ann");
	p[1] = player_new(1, "bob");
	p[2] = player_new(2, "cid");
	make(p[0], false, 0, &id);
	join(p[1], &id);
	join(p[2], &id);
	for (unsigned i = 0; i < 2; i++) {
		fabric_cut(i, 2, true);
		fabric_believe(i, 2, DK_DEAD);
		fabric_believe(2, i, DK_DEAD);
	}
	fabric_run(1000);
	ck_assert_uint_eq(info_at(0, &id).members, 2);
	ck_assert_uint_eq(info_at(2, &id).members, 1);
	leave(p[1], &id, "");
	fabric_run(2000);
	say(p[0], &id, "left half");
	say(p[2], &id, "right half");
	fabric_run(20);
	ck_assert_uint_eq(times(player_heard(p[0]), "half"), 1);
	ck_assert_uint_eq(times(player_heard(p[2]), "half"), 1);
	for (unsigned i = 0; i < 2; i++) {
		fabric_cut(i, 2, false);
		fabric_believe(i, 2, DK_ALIVE);
		fabric_believe(2, i, DK_ALIVE);
	}
	fabric_run(2000);
	ck_assert_uint_eq(info_at(0, &id).members, 2);
	ck_assert_uint_eq(info_at(2, &id).members, 2);
	ck_assert_uint_eq(info_at(2, &id).nodes, 2);
	say(p[0], &id, "one");
	say(p[2], &id, "one");
	fabric_run(20);
	ck_assert_uint_eq(times(player_heard(p[0]), "one"), 2);
	ck_assert_uint_eq(times(player_heard(p[2]), "one"), 2);
	ck_assert_uint_eq(times(player_heard(p[1]), "one"), 0);
	fabric_close();
}
END_TEST

static void moved(void *self, void *arg, dk_id user, int err)
{
	(void)self;
	(void)user;
	ck_assert_int_eq(err, 0);
	++*(unsigned *)arg;
}

static void move(struct player *p, unsigned to, unsigned *ret_moves)
{
	struct fabric_node *n = &fabric[p->node];

	ck_assert_int_eq(n->users->move(n->users, n->state, player_user(p), &fabric[to].addr, dk_str_n(NULL, 0),
					dk_slice_n(NULL, 0), moved, ret_moves),
			 0);
}

/* One member goes from node to node while everybody speaks: each hears all, once, and each speaker in order. */
static void check_moves(uint64_t seed, uint32_t jitter_ms, uint32_t interval_ms)
{
	struct player *p[4];
	unsigned moves = 0, said = 0;
	struct dk_id52 id;

	open_nodes(4, seed, "");
	fabric_jitter(jitter_ms);
	for (unsigned i = 0; i < 4; i++) {
		char name[8];

		snprintf(name, sizeof(name), "p%u", i);
		p[i] = player_new(i % 3, name);
	}
	make(p[0], false, interval_ms, &id);
	for (unsigned i = 1; i < 4; i++) {
		ask_join(p[i], &id, "");
		fabric_run(400);
		ck_assert_uint_eq(times(player_heard(p[i]), "111 ok"), 1);
	}
	for (unsigned step = 0; step < 200; step++) {
		for (unsigned i = 0; i < 3; i++) {
			char what[32];

			snprintf(what, sizeof(what), "<%u:%u>", i, said);
			say(p[i], &id, what);
		}
		said++;
		if (step % 50 == 10)
			move(p[3], (step / 50 + 1) % 4, &moves);
		fabric_run(5);
	}
	fabric_run(8000);
	ck_assert_uint_eq(moves, 4);
	for (unsigned i = 0; i < 4; i++) {
		const char *heard = player_heard(p[i]);

		for (unsigned k = 0; k < 3; k++) {
			const char *last = heard;

			for (unsigned n = 0; n < said; n++) {
				char what[32];
				const char *at;

				snprintf(what, sizeof(what), "<%u:%u>", k, n);
				at = strstr(heard, what);
				ck_assert_msg(times(heard, what) == 1, "%s heard %s %u times (seed %llu)", p[i]->name, what,
					      times(heard, what), (unsigned long long)seed);
				ck_assert_msg(at > last, "%s heard %s too early (seed %llu)", p[i]->name, what,
					      (unsigned long long)seed);
				last = at;
			}
		}
	}
	for (unsigned i = 0; i < 4; i++)
		ck_assert_msg(count(i, "came_unsure") == 0, "node %u was not sure what a member had heard (seed %llu)", i,
			      (unsigned long long)seed);
	ck_assert_uint_eq(info_at(0, &id).members, 4);
	fabric_close();
}

START_TEST(members_move)
{
	check_moves(4, 0, 0);
	check_moves(5, 5, 0);
	check_moves(6, 40, 0);
	check_moves(7, 0, 30);
	check_moves(8, 20, 50);
}
END_TEST

START_TEST(empty_for_its_time)
{
	struct player *ann, *bob;
	struct dk_id52 id;

	open_nodes(3, 9, "");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	make(ann, true, 0, &id);
	join(bob, &id);
	leave(ann, &id, "");
	fabric_run(20);
	player_leave(bob); /* cut off */
	fabric_run(9000);
	ck_assert_int_eq(count(0, "groups") + count(1, "groups"), 2);
	join(ann, &id);
	fabric_run(12000);
	ck_assert_uint_eq(info_at(0, &id).members, 1);
	leave(ann, &id, "");
	fabric_run(11100);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(count(i, "groups"), 0);
	fabric_close();
}
END_TEST

/* What node `from` says of a group of which it has no copy, to node `to`: that it is out. */
static void deny(unsigned from, unsigned to, const struct dk_id52 *id)
{
	struct dk_carrier *c = dk_harness_service(fabric[from].h, DK_CARRIER_NAME);
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_slice(&w, dk_slice_n(id->c, DK_ID52_LEN));
	dk_wr_u8(&w, 1); /* version */
	dk_wr_u8(&w, 8); /* wants no answer */
	dk_wr_slice(&w, dk_slice_n((const uint8_t[4 + 4 + 4 + 8 + 8]){ 0 }, 28));
	dk_wr_u16(&w, 1);
	dk_wr_u8(&w, 4);
	dk_wr_slice(&w, dk_slice_n(fabric[from].addr.ip, 4));
	dk_wr_u16(&w, fabric[from].addr.port);
	dk_wr_u64(&w, fabric[from].boot);
	dk_wr_u64(&w, UINT64_C(1) << 50); /* version of its entry */
	dk_wr_u32(&w, 0);
	dk_wr_u8(&w, 1); /* out */
	dk_wr_u16(&w, 0);
	ck_assert(!w.bad);
	ck_assert_int_eq(c->send(c, &fabric[to].addr, DK_VER_NODE, 23, dk_written(&w), DK_RELIABLE), 0);
}

/* Somebody who was in it ends while it is sought: that is not where it is. */
START_TEST(sought_and_denied)
{
	struct player *ann, *cid;
	struct dk_id52 id;

	open_nodes(3, 21, "");
	ann = player_new(0, "ann");
	cid = player_new(1, "cid");
	make(cid, false, 0, &id);
	fabric_cut(0, 1, true);
	ask_join(ann, &id, "");
	fabric_run(10);
	deny(2, 0, &id);
	fabric_run(100);
	ck_assert_str_eq(player_heard(ann), "");
	ck_assert_int_eq(groups(0)->find(groups(0), &id), 0);
	fabric_cut(0, 1, false);
	fabric_run(100);
	ck_assert_uint_eq(times(player_heard(ann), "111 ok"), 1);
	ck_assert_uint_eq(info_at(0, &id).members, 2);
	say(cid, &id, "here");
	fabric_run(20);
	ck_assert_uint_eq(times(player_heard(ann), "here"), 1);
	fabric_close();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("groups over several nodes");
	TCase *t = tcase_create("nodes");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_test(t, three_nodes);
	tcase_add_test(t, home_dies);
	tcase_add_test(t, partition);
	tcase_add_test(t, members_move);
	tcase_add_test(t, empty_for_its_time);
	tcase_add_test(t, sought_and_denied);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
