/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms that change their node: everything in them goes along, nobody misses a word or hears one twice, and when it fails they are
 * as before. The plugin of the tutorial stands beside the room, to see that what it keeps arrives.
 */
#include "fabric.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

extern const struct dk_plugin_desc dk_plugin_attack;

/* ---- rooms and talk ---- */

static struct dk_id52 the_id;

static dk_id make_room(unsigned i, const struct player *p, uint16_t max, uint32_t interval_ms)
{
	struct dk_room_opts o = {
		.max_members = max, .allow_empty = true, .join = p != NULL, .ttl_s = 60, .interval_ms = interval_ms
	};

	return fabric_room(i, p, &o, &the_id);
}

static void say_id(struct player *p, uint16_t cmd, const char *text)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (cmd == ROOM_CMD_BROADCAST)
		dk_wr_u8(&w, 1);
	dk_wr_slice(&w, dk_slice_n(the_id.c, DK_ID52_LEN));
	dk_wr_slice(&w, dk_slice_of(dk_str_c(text)));
	player_send(p, 1, cmd, dk_written(&w));
}

static void say_migrate(struct player *p)
{
	player_send(p, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
}

/* Everybody says its next number: "n NAME COUNT". */
static void talk(struct player **all, unsigned n, unsigned count)
{
	for (unsigned i = 0; i < n; i++) {
		char text[64];

		snprintf(text, sizeof(text), "n %s %u", all[i]->name, count);
		say_id(all[i], ROOM_CMD_BROADCAST, text);
	}
}

/* What p has heard of each speaker are the numbers from `from` to `to`, each once and in order. */
static void expect_all(const char *heard, struct player **all, unsigned n, unsigned from, unsigned to)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned next = from;
		char word[64];
		size_t len;

		len = (size_t)snprintf(word, sizeof(word), "103 push n %s ", all[i]->name);
		for (const char *at = heard; (at = strstr(at, word)); at += len) {
			unsigned got = (unsigned)strtoul(at + len, NULL, 10);

			ck_assert_msg(got == next, "of %s, number %u came in the place of %u", all[i]->name, got, next);
			next++;
		}
		ck_assert_msg(next == to + 1, "of %s, the numbers from %u on are missing", all[i]->name, next);
	}
}

/* ---- the probe ---- */

struct probe {
	struct dk_self base;
	struct dk_user *user;
	struct dk_room *room;
	char events[2048];
	size_t n;
};

static void event(struct probe *p, const char *what, dk_str word)
{
	p->n += (size_t)snprintf(p->events + p->n, sizeof(p->events) - p->n, "%s" DK_STR_FMT "\n", what, DK_STR_ARG(word));
}

static void on_created(struct probe *p, const struct dk_room_event *ev)
{
	event(p, ev->moved ? "created moved" : "created", dk_str_c(""));
}

static void on_discarded(struct probe *p, const struct dk_room_event *ev)
{
	event(p, ev->moved ? "discarded moved" : "discarded", dk_str_c(""));
}

static void on_joined(struct probe *p, const struct dk_room_member_event *ev)
{
	event(p, "joined ", p->user->uid(p->user, ev->user));
}

static void on_left(struct probe *p, const struct dk_room_member_event *ev)
{
	event(p, ev->reason == DK_REASON_MOVED ? "left moved " : "left ", p->user->uid(p->user, ev->user));
}

static void on_migrated(struct probe *p, const struct dk_room_migrated *ev)
{
	event(p, "migrated", dk_str_c(ev->takeover ? " takeover" : ""));
	ck_assert_uint_eq(p->room->find(p->room, ev->id), ev->room);
	ck_assert_uint_eq(p->room->find(p->room, ev->old_id), ev->room);
}

static int probe_init(void *self)
{
	struct probe *p = self;

	dk_connect(p, &p->room->created, on_created);
	dk_connect(p, &p->room->discarded, on_discarded);
	dk_connect(p, &p->room->joined, on_joined);
	dk_connect(p, &p->room->left, on_left);
	dk_connect(p, &p->room->migrated, on_migrated);
	return 0;
}

FABRIC_PROBE(probe_init, DK_NEED(struct probe, user, DK_USER), DK_NEED(struct probe, room, DK_ROOM));

static void expect_events(unsigned i, const char *want)
{
	struct probe *p = fabric_probe(i);

	p->events[p->n] = '\0';
	ck_assert_str_eq(p->events, want);
	p->n = 0;
}

static void open_cluster(unsigned n, uint64_t seed)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, &dk_plugin_attack, NULL };

	fabric_open(n, seed, "", plugins, "probe = {}; attack = {}");
}

static void setup(void)
{
	open_cluster(3, 1);
}

static void teardown(void)
{
	fabric_close();
}

/* ---- what goes along ---- */

START_TEST(by_the_owners_client)
{
	struct player *all[3] = { player_new(0, "ann"), player_new(0, "bob"), player_new(0, "eve") };
	struct player *dan = player_new(0, "dan"), *fay = player_new(2, "fay");
	dk_id room = make_room(0, all[0], 6, 20);
	struct dk_room *rooms = fabric[0].rooms;
	dk_str kept = dk_str_c("gus");
	struct dk_room_info before, info;
	struct dk_addr owner;
	const char *heard;
	struct dk_value v;
	size_t n;
	unsigned to;

	fabric_join(all[1], &the_id);
	fabric_join(all[2], &the_id);
	before = fabric_room_info(0, &the_id);
	ck_assert_int_eq(rooms->set(rooms, room, dk_str_c("map"), &(struct dk_value){ DK_V_STR, { .s = dk_str_c("moon") } }), 0);
	ck_assert_int_eq(rooms->reserve(rooms, room, 0, &kept, 1, false), 0);
	player_send(all[1], 2, 300, dk_slice_n("\2", 1));
	fabric_run(50);
	for (unsigned i = 0; i < 3; i++)
		player_heard(all[i]);
	expect_events(0, "created\njoined ann\njoined bob\njoined eve\n");

	for (unsigned count = 0; count < 100; count++) {
		talk(all, 3, count);
		if (count == 40)
			say_migrate(all[0]);
		fabric_run(1);
	}
	fabric_run(200);
	to = all[0]->node;
	ck_assert_uint_ne(to, 0);
	ck_assert_uint_eq(fabric[0].rooms->count(fabric[0].rooms), 0);
	expect_events(0, "left moved eve\nleft moved bob\nleft moved ann\ndiscarded moved\n");
	expect_events(to, "created moved\njoined ann\njoined bob\njoined eve\nmigrated\n");

	/* everybody heard everything; the owner, whose client asked, a little more */
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(all[i]->node, to);
		heard = player_heard(all[i]);
		expect_all(heard, all, 3, 0, 99);
		ck_assert_uint_eq(times(heard, "101 ok "), 1);
		ck_assert_uint_eq(times(heard, "12 ok "), i == 0);
		ck_assert_uint_eq(times(heard, "20 push "), i == 0);
		ck_assert_uint_eq(times(heard, " bad "), 0);
	}

	/* the room is as it was, under another name; the old one will do */
	info = fabric_room_info(to, &the_id);
	ck_assert_int_eq(dk_id52_addr(&info.id, 0, &owner), 0);
	ck_assert(dk_addr_eq(&owner, &fabric[to].addr));
	ck_assert_uint_eq(info.members, 3);
	ck_assert_uint_eq(info.reserved, 1);
	ck_assert_uint_eq(info.created_s, before.created_s);
	ck_assert_uint_eq(info.interval_ms, 20);
	ck_assert_uint_eq(info.owner, player_user(all[0]));
	rooms = fabric[to].rooms;
	ck_assert(rooms->is_reserved(rooms, fabric_room_at(to, &the_id), kept));
	ck_assert_int_eq(rooms->get(rooms, fabric_room_at(to, &the_id), dk_str_c("map"), &v), 0);
	ck_assert(dk_str_eq(v.as.s, dk_str_c("moon")));
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(rooms->members(rooms, fabric_room_at(to, &the_id), &n)[i], player_user(all[i]));
	player_send(all[2], 2, 300, dk_slice_n("\0", 1));
	fabric_run(50);
	heard = player_heard(all[0]);
	ck_assert_ptr_nonnull(strstr(heard, "300 push ...F...eve\n")); /* 10 more than the 60 of before */

	/* by its old name, from the old node and from one that had nothing to do with it */
	say_id(dan, ROOM_CMD_JOIN, "");
	say_id(fay, ROOM_CMD_JOIN, "");
	fabric_run(100);
	ck_assert_uint_eq(dan->node, to);
	ck_assert_uint_eq(fay->node, to);
	ck_assert_uint_eq(fabric_room_info(to, &the_id).members, 5);
	ck_assert_int_eq(fabric_count(0, "migrated_out"), 1);
	ck_assert_int_eq(fabric_count(to, "migrated_in"), 1);
	ck_assert_int_eq(fabric_count(0, "frozen"), 1);
	ck_assert_int_eq(fabric_count(0, "thawed"), 0);
}
END_TEST

START_TEST(what_was_gathered_goes_first)
{
	struct player *all[2] = { player_new(0, "ann"), player_new(0, "bob") };

	make_room(0, all[0], 4, 1000);
	fabric_join(all[1], &the_id);
	fabric_run(10);
	talk(all, 2, 0);
	talk(all, 2, 1);
	say_migrate(all[0]);
	fabric_run(2);
	talk(all, 2, 2); /* said to a room that is leaving: over there it waits for the next tick */
	fabric_run(200);
	ck_assert_uint_ne(all[0]->node, 0);
	for (unsigned i = 0; i < 2; i++)
		expect_all(player_heard(all[i]), all, 2, 0, 1);
	fabric_run(1000);
	for (unsigned i = 0; i < 2; i++)
		expect_all(player_heard(all[i]), all, 2, 2, 2);
}
END_TEST

START_TEST(found_by_all_its_names)
{
	struct player *ann = player_new(0, "ann"), *bob;
	struct dk_id52 first;
	unsigned to = 0;

	make_room(0, ann, 4, 0);
	first = the_id;
	for (unsigned i = 0; i < 5; i++) {
		say_migrate(ann);
		fabric_run(100);
		ck_assert_uint_ne(ann->node, to);
		to = ann->node;
	}
	the_id = first;
	ck_assert_uint_ne(fabric_room_at(to, &the_id), 0);
	bob = player_new(to == 2 ? 1 : 2, "bob");
	say_id(bob, ROOM_CMD_JOIN, "");
	fabric_run(100);
	ck_assert_uint_eq(bob->node, to);
	/* for ten minutes */
	fabric_run(1000);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(100);
	ck_assert_uint_ne(fabric_room_at(ann->node, &the_id), 0);
}
END_TEST

START_TEST(not_by_everybody)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(0, "bob"), *eve = player_new(0, "eve");

	make_room(0, ann, 4, 0);
	fabric_join(bob, &the_id);
	fabric_run(10);
	player_heard(bob);
	player_heard(ann);
	say_migrate(bob);
	say_migrate(eve);
	fabric_run(100);
	ck_assert_str_eq(player_heard(bob), "12 bad only the owner of this room may do that\n");
	ck_assert_str_eq(player_heard(eve), "12 bad the user is not a member of this room\n");
	fabric_believe(0, 1, DK_DEAD);
	fabric_believe(0, 2, DK_SUSPECT);
	say_migrate(ann);
	fabric_run(100);
	ck_assert_str_eq(player_heard(ann), "12 bad no other node can take this room now\n");
	ck_assert_int_eq(fabric_count(0, "frozen"), 0);
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(the_way_breaks)
{
	struct player *all[2] = { player_new(0, "ann"), player_new(0, "bob") };
	unsigned count = 0;

	make_room(0, all[0], 4, 0);
	fabric_join(all[1], &the_id);
	fabric_run(10);
	player_heard(all[0]);
	player_heard(all[1]);
	for (; count < 20; count++) {
		talk(all, 2, count);
		if (count == 10) {
			say_migrate(all[0]);
			fabric_cut(0, 1, true);
			fabric_cut(0, 2, true);
		}
		fabric_run(2);
	}
	fabric_run(6000);
	/* it tried five times, and stayed; what was said meanwhile was said */
	ck_assert_int_eq(fabric_count(0, "frozen"), 5);
	ck_assert_int_eq(fabric_count(0, "thawed"), 5);
	for (unsigned i = 0; i < 2; i++) {
		const char *heard = player_heard(all[i]);

		expect_all(heard, all, 2, 0, 19);
		ck_assert_uint_eq(all[i]->node, 0);
		ck_assert_uint_eq(times(heard, "12 bad no other node can take this room now\n"), i == 0);
	}
	fabric_cut(0, 1, false);
	fabric_cut(0, 2, false);
	/* nothing of it is left over there */
	fabric_run(6000);
	ck_assert_int_eq(fabric_count(1, "rooms"), 0);
	ck_assert_int_eq(fabric_count(2, "rooms"), 0);
	say_migrate(all[0]);
	fabric_run(200);
	ck_assert_uint_ne(all[0]->node, 0);
	ck_assert_uint_eq(all[1]->node, all[0]->node);
}
END_TEST

/* One node refuses: it goes to another one. */
START_TEST(refused_by_one)
{
	struct player *ann = player_new(0, "ann");

	fabric_close();
	open_cluster(3, 1);
	ann = player_new(0, "ann");
	make_room(0, ann, 4, 0);
	/* node 1 has fewer users, and is about to go: the others do not know yet */
	player_new(2, "eve");
	dk_stop(dk_harness_kernel(fabric[1].h));
	say_migrate(ann);
	fabric_run(1000);
	ck_assert_uint_eq(ann->node, 2);
	ck_assert_int_eq(fabric_count(0, "thawed"), 1);
}
END_TEST

START_TEST(a_member_vanishes_meanwhile)
{
	struct player *all[3] = { player_new(0, "ann"), player_new(0, "bob"), player_new(0, "eve") };
	const char *heard;

	make_room(0, all[0], 4, 0);
	fabric_join(all[1], &the_id);
	fabric_join(all[2], &the_id);
	fabric_run(10);
	fabric_jitter(20);
	say_migrate(all[0]);
	fabric_run(5);
	ck_assert_int_eq(fabric_count(0, "frozen"), 0);
	player_leave(all[2]);
	fabric_run(500);
	ck_assert_int_eq(fabric_count(0, "thawed"), 1);
	ck_assert_uint_ne(all[0]->node, 0);
	ck_assert_uint_eq(all[1]->node, all[0]->node);
	ck_assert_uint_eq(fabric_room_info(all[0]->node, &the_id).members, 2);
	heard = player_heard(all[1]);
	ck_assert_uint_eq(times(heard, "102 push "), 1);
}
END_TEST

START_TEST(removed_meanwhile)
{
	struct player *ann = player_new(0, "ann");
	dk_id room = make_room(0, ann, 4, 0);

	fabric_jitter(20);
	say_migrate(ann);
	fabric_run(5);
	/* frozen */
	ck_assert_int_eq(fabric[0].rooms->announce(fabric[0].rooms, room, NULL, 0, 2, 1, dk_slice_n("x", 1), true), DK_ROOM_MOVING);
	ck_assert_int_eq(fabric[0].rooms->leave(fabric[0].rooms, room, player_user(ann), 2, 1, dk_slice_n(NULL, 0)),
			 DK_ROOM_MOVING);
	ck_assert_int_eq(fabric[0].rooms->remove(fabric[0].rooms, room, 2, 9, dk_slice_of(dk_str_c("over"))), 0);
	fabric_run(500);
	ck_assert_uint_eq(ann->node, 0);
	ck_assert_ptr_nonnull(strstr(player_heard(ann), "9 push over\n"));
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(fabric_count(i, "rooms"), 0);
}
END_TEST

START_TEST(joins_wait_for_it)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(0, "bob"), *eve = player_new(2, "eve");

	/* node 2 has a user, so it goes to node 1 */
	make_room(0, ann, 3, 0);
	fabric_jitter(10);
	say_migrate(ann);
	fabric_run(3);
	say_id(bob, ROOM_CMD_JOIN, "");
	say_id(eve, ROOM_CMD_JOIN, "");
	fabric_run(500);
	ck_assert_uint_eq(ann->node, 1);
	ck_assert_uint_eq(bob->node, 1);
	ck_assert_uint_eq(eve->node, 1);
	ck_assert_uint_eq(fabric_room_info(1, &the_id).members, 3);
	ck_assert_uint_eq(fabric_room_info(1, &the_id).reserved, 0);
}
END_TEST

/* A room that comes to the very node of who asks for it, at any moment of its way. */
START_TEST(joins_find_it_at_home)
{
	for (unsigned ms = 0; ms < 16; ms++) {
		uint8_t buf[2 + DK_ID52_LEN];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));
		struct player *ann, *eve, *dan;

		fabric_close();
		open_cluster(2, ms + 1);
		ann = player_new(0, "ann");
		eve = player_new(1, "eve");
		dan = player_new(1, "dan");
		make_room(0, ann, 3, 0);
		fabric_jitter(5);
		say_migrate(ann);
		fabric_run(ms);
		say_id(eve, ROOM_CMD_JOIN, "hello");
		dk_wr_bytes16(&w, dk_slice_n(the_id.c, DK_ID52_LEN));
		player_send(dan, 1, ROOM_CMD_COUNT_MEMBERS, dk_written(&w));
		fabric_run(500);
		ck_assert_uint_eq(times(player_heard(dan), "13 ok "), 1);
		ck_assert_uint_eq(ann->node, 1);
		ck_assert_uint_eq(eve->node, 1);
		ck_assert_uint_eq(fabric_room_info(1, &the_id).members, 2);
		ck_assert_uint_eq(fabric_room_info(1, &the_id).reserved, 0);
		ck_assert_uint_eq(times(player_heard(ann), "101 push hello\n"), 1);
		ck_assert_uint_eq(times(player_heard(eve), "101 ok "), 1);
	}
}
END_TEST

/* Who is on the way to a room that moves finds it. */
START_TEST(joins_find_it)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(2, "bob");
	uint64_t until;

	make_room(0, ann, 3, 0);
	say_id(bob, ROOM_CMD_JOIN, "hello");
	until = dk_sim_now(fabric_world) + 20;
	while (dk_sim_now(fabric_world) < until) /* it is a member at node 0, and its client does not know yet */
		dk_sim_run(fabric_world, 1);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 2);
	say_migrate(ann);
	fabric_run(500);
	ck_assert_uint_ne(ann->node, 0);
	ck_assert_uint_eq(bob->node, ann->node);
	ck_assert_uint_eq(fabric_room_info(ann->node, &the_id).members, 2);
	ck_assert_uint_eq(times(player_heard(ann), "101 push hello\n"), 1);
}
END_TEST

/* ---- by code, and when a node goes down ---- */

static struct {
	unsigned n;
	int err;
} moved;

static void on_done(void *self, void *arg, dk_id room, int err, const struct dk_id52 *id)
{
	(void)self;
	(void)room;
	ck_assert_ptr_eq(arg, &moved);
	ck_assert(err || dk_id52_addr(id, 0, &(struct dk_addr){ 0 }) == 0);
	moved.n++;
	moved.err = err;
}

START_TEST(by_code)
{
	dk_id room = make_room(0, NULL, 4, 0);
	struct dk_room *rooms = fabric[0].rooms;
	void *probe = dk_plugin_state(dk_harness_kernel(fabric[0].h), "probe");
	unsigned to;

	moved.n = 0;
	fabric_run(30000);
	ck_assert_int_eq(rooms->migrate(rooms, probe, room, on_done, &moved), 0);
	ck_assert_int_eq(rooms->migrate(rooms, probe, room, on_done, &moved), DK_ROOM_MOVING);
	fabric_run(100);
	ck_assert_uint_eq(moved.n, 1);
	ck_assert_int_eq(moved.err, 0);
	to = fabric_count(1, "rooms") ? 1 : 2;
	ck_assert_int_eq(fabric_count(to, "rooms"), 1);
	/* it lived empty for 30 of its 60 seconds */
	fabric_run(29000);
	ck_assert_int_eq(fabric_count(to, "rooms"), 1);
	fabric_run(2000);
	ck_assert_int_eq(fabric_count(to, "rooms"), 0);

	room = make_room(0, NULL, 4, 0);
	ck_assert_int_eq(rooms->migrate(rooms, probe, room, on_done, &moved), 0);
	rooms->remove(rooms, room, 1, 1, dk_slice_n(NULL, 0));
	ck_assert_uint_eq(moved.n, 2);
	ck_assert_int_eq(moved.err, DK_ROOM_GONE);
	ck_assert_int_eq(rooms->migrate(rooms, probe, room, on_done, &moved), DK_ROOM_GONE);
}
END_TEST

START_TEST(node_goes_down)
{
	enum { N = 40 };
	struct player *all[N];
	unsigned count = 0;
	char name[16];

	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "p%02u", i);
		all[i] = player_new(0, name);
		if (i % 4 == 0)
			make_room(0, all[i], 4, 0);
		else
			fabric_join(all[i], &the_id);
	}
	fabric_run(10);
	for (unsigned i = 0; i < N; i++)
		player_heard(all[i]);
	fabric_offline(0);
	dk_stop(dk_harness_kernel(fabric[0].h));
	fabric_run(1900);
	/* until then nobody was moved one by one */
	ck_assert_int_eq(fabric_count(0, "rooms"), N / 4);
	ck_assert_uint_eq(fabric[0].users->count(fabric[0].users), N);
	/* the last room's members talk all the while; they know it by its old name */
	for (; count < 200; count++) {
		talk(all + N - 4, 4, count);
		fabric_run(2);
	}
	fabric_run(2000);
	ck_assert(dk_finished(dk_harness_kernel(fabric[0].h), &(int){ 0 }));
	for (unsigned i = 0; i < N; i++) {
		ck_assert_uint_ne(all[i]->node, 0);
		ck_assert_uint_eq(all[i]->node, all[i / 4 * 4]->node);
		ck_assert(!all[i]->gone);
	}
	for (unsigned i = N - 4; i < N; i++)
		expect_all(player_heard(all[i]), all + N - 4, 4, 0, count - 1);
	ck_assert_int_eq(fabric_count(1, "rooms") + fabric_count(2, "rooms"), N / 4);
	ck_assert_int_eq(fabric_count(1, "members") + fabric_count(2, "members"), N);
	fabric_stop(0);
}
END_TEST

/* Users of other nodes join rooms of a node that is going down: these go first, to where it is, at home or elsewhere. */
START_TEST(joins_when_a_node_goes_down)
{
	struct player *ann, *eve;

	fabric_close();
	open_cluster(3 - (unsigned)_i, 1);
	ann = player_new(0, "ann");
	eve = player_new(1, "eve");
	make_room(0, ann, 3, 0);
	fabric_offline(0);
	dk_stop(dk_harness_kernel(fabric[0].h));
	fabric_run(5);
	say_id(eve, ROOM_CMD_JOIN, "hello");
	fabric_run(500);
	ck_assert_uint_eq(ann->node, 2 - (unsigned)_i);
	ck_assert_uint_eq(eve->node, ann->node);
	ck_assert_uint_eq(fabric_room_info(ann->node, &the_id).members, 2);
	ck_assert_uint_eq(fabric_room_info(ann->node, &the_id).reserved, 0);
	ck_assert_uint_eq(times(player_heard(ann), "101 push hello\n"), 1);
	ck_assert_uint_eq(times(player_heard(eve), "101 ok "), 1);
}
END_TEST

/* A room that nobody takes: they are told, and in time. */
START_TEST(nobody_takes_the_one_they_join)
{
	struct player *ann = player_new(0, "ann"), *eve = player_new(1, "eve");

	make_room(0, ann, 3, 0);
	fabric_believe(0, 1, DK_DEAD);
	fabric_believe(0, 2, DK_DEAD);
	dk_stop(dk_harness_kernel(fabric[0].h));
	fabric_run(5);
	say_id(eve, ROOM_CMD_JOIN, "hello");
	fabric_run(100);
	ck_assert_str_eq(player_heard(eve), "101 bad the node of the room could not take the user in\n");
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 1);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).reserved, 0);
	player_leave(ann);
	fabric_run(500);
	fabric_stop(0);
}
END_TEST

/* One that others were to take, and did not. */
START_TEST(everybody_refuses_the_one_they_join)
{
	struct player *ann = player_new(0, "ann"), *eve = player_new(1, "eve");

	player_new(2, "dan");
	make_room(0, ann, 3, 0);
	for (unsigned i = 0; i < 3; i++) /* nobody has heard of it */
		dk_stop(dk_harness_kernel(fabric[i].h));
	fabric_run(5);
	say_id(eve, ROOM_CMD_JOIN, "hello");
	fabric_run(1900);
	ck_assert_str_eq(player_heard(eve), "101 bad the node of the room could not take the user in\n");
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 1);
	ck_assert_int_gt(fabric_count(1, "landings_refused") + fabric_count(2, "landings_refused"), 0);
}
END_TEST

/* One that ends before it could leave. */
START_TEST(removed_while_they_wait)
{
	struct player *ann = player_new(0, "ann"), *eve = player_new(1, "eve");
	dk_id room = make_room(0, ann, 3, 0);

	player_new(2, "dan");
	for (unsigned i = 0; i < 3; i++)
		dk_stop(dk_harness_kernel(fabric[i].h));
	fabric_run(5);
	say_id(eve, ROOM_CMD_JOIN, "hello");
	fabric_run(300);
	ck_assert_str_eq(player_heard(eve), "");
	ck_assert_int_eq(fabric[0].rooms->remove(fabric[0].rooms, room, 1, 102, dk_slice_n(NULL, 0)), 0);
	fabric_run(20);
	ck_assert_str_eq(player_heard(eve), "101 bad there is no such room\n");
}
END_TEST

/* Alone it is as if there were no cluster: the node waits for its users. */
START_TEST(nobody_takes_them)
{
	struct player *ann = player_new(0, "ann");

	make_room(0, ann, 4, 0);
	fabric_believe(0, 1, DK_DEAD);
	fabric_believe(0, 2, DK_DEAD);
	dk_stop(dk_harness_kernel(fabric[0].h));
	fabric_run(5000);
	ck_assert_int_eq(fabric_count(0, "rooms"), 1);
	ck_assert(!dk_finished(dk_harness_kernel(fabric[0].h), &(int){ 0 }));
	player_leave(ann);
	fabric_run(500);
	ck_assert(dk_finished(dk_harness_kernel(fabric[0].h), &(int){ 0 }));
	fabric_stop(0);
}
END_TEST

/* The node dies right after it has told the clients: the room is where they go. */
START_TEST(source_dies_at_the_end)
{
	for (unsigned ms = 1; ms < 12; ms++) {
		struct player *all[3];
		unsigned here = 0;

		fabric_close();
		open_cluster(3, ms);
		all[0] = player_new(0, "ann");
		all[1] = player_new(0, "bob");
		all[2] = player_new(0, "eve");
		make_room(0, all[0], 4, 0);
		fabric_join(all[1], &the_id);
		fabric_join(all[2], &the_id);
		fabric_run(10);
		say_migrate(all[0]);
		fabric_run(ms);
		fabric_kill(0);
		fabric_run(100);
		fabric_believe(1, 0, DK_DEAD);
		fabric_believe(2, 0, DK_DEAD);
		fabric_run(100);
		for (unsigned i = 0; i < 3; i++)
			here += all[i]->node != 0;
		/* all of them or none: they are told in one turn */
		ck_assert(here == 0 || here == 3);
		fabric_run(12000);
		ck_assert_int_eq(fabric_count(1, "members") + fabric_count(2, "members"), here);
		ck_assert_int_eq(fabric_count(1, "rooms") + fabric_count(2, "rooms"), here ? 1 : 0);
		if (ms == 1)
			ck_assert_uint_eq(here, 0);
		if (ms == 11)
			ck_assert_uint_eq(here, 3);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_migrate");
	TCase *t = tcase_create("migrate");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, by_the_owners_client);
	tcase_add_test(t, what_was_gathered_goes_first);
	tcase_add_test(t, found_by_all_its_names);
	tcase_add_test(t, not_by_everybody);
	tcase_add_test(t, the_way_breaks);
	tcase_add_test(t, refused_by_one);
	tcase_add_test(t, a_member_vanishes_meanwhile);
	tcase_add_test(t, removed_meanwhile);
	tcase_add_test(t, joins_wait_for_it);
	tcase_add_test(t, joins_find_it_at_home);
	tcase_add_test(t, joins_find_it);
	tcase_add_test(t, by_code);
	tcase_add_test(t, node_goes_down);
	tcase_add_loop_test(t, joins_when_a_node_goes_down, 0, 2);
	tcase_add_test(t, nobody_takes_the_one_they_join);
	tcase_add_test(t, everybody_refuses_the_one_they_join);
	tcase_add_test(t, removed_while_they_wait);
	tcase_add_test(t, nobody_takes_them);
	tcase_add_test(t, source_dies_at_the_end);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
