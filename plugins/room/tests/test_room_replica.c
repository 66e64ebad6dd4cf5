/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of rooms, and what they are for: a node dies, is stopped, or is cut off, and another one goes on with its rooms. What
 * nodes believe of each other is what the test says.
 */
#include "fabric.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

extern const struct dk_plugin_desc dk_plugin_attack;

static struct dk_id52 the_id;

static dk_id make_room(unsigned i, const struct player *p, uint8_t replicas)
{
	struct dk_room_opts o = { .max_members = 8, .allow_empty = true, .join = p != NULL, .ttl_s = 60, .replicas = replicas };

	return fabric_room(i, p, &o, &the_id);
}

static void set_int(unsigned i, const char *name, int64_t v)
{
	struct dk_room *rooms = fabric[i].rooms;

	ck_assert_int_eq(rooms->set(rooms, fabric_room_at(i, &the_id), dk_str_c(name), &(struct dk_value){ DK_V_INT, { .i = v } }),
			 0);
}

static int64_t get_int(unsigned i, const char *name)
{
	struct dk_value v = { .type = DK_V_NONE };

	return fabric[i].rooms->get(fabric[i].rooms, fabric_room_at(i, &the_id), dk_str_c(name), &v) ? INT64_MIN : v.as.i;
}

static void say(struct player *p, uint16_t cmd, const char *text)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (cmd == ROOM_CMD_BROADCAST)
		dk_wr_u8(&w, 1);
	dk_wr_slice(&w, dk_slice_n(the_id.c, DK_ID52_LEN));
	dk_wr_slice(&w, dk_slice_of(dk_str_c(text)));
	player_send(p, 1, cmd, dk_written(&w));
}

static void say_hit(struct player *p)
{
	player_send(p, 2, 300, dk_slice_n("\2", 1));
}

static bool heard(struct player *p, const char *word)
{
	return strstr(player_heard(p), word) != NULL;
}

/* All of the others think so of a node. */
static void believe(unsigned n, unsigned of, enum dk_health health)
{
	for (unsigned i = 0; i < n; i++)
		if (i != of && fabric[i].h)
			fabric_believe(i, of, health);
}

static void open_cluster(unsigned n, const char *options)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_attack, NULL };

	fabric_open(n, 1, options, plugins, "attack = {}");
}

static void setup(void)
{
	open_cluster(3, "");
}

static void teardown(void)
{
	fabric_close();
}

/* The backups that a room's id names. */
static unsigned backup_of(unsigned slot)
{
	struct dk_addr a;

	ck_assert_int_eq(dk_id52_addr(&the_id, slot, &a), 0);
	for (unsigned i = 0; i < FABRIC_NODES; i++)
		if (dk_addr_eq(&fabric[i].addr, &a))
			return i;
	ck_abort_msg("slot %u of the id names no node", slot);
	return 0;
}

/* ---- copies ---- */

/* A room that moves gets copies where its members can go, not where there merely are the fewest users. */
START_TEST(copies_of_a_room_that_moves)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(0, "bob");

	fabric_serves(2, "OTHER");
	for (int i = 0; i < 3; i++)
		player_new(0, (const char *const[]){ "carl", "dan", "eve" }[i]); /* so that node 2 has fewer users */
	make_room(0, ann, 1);
	ck_assert_uint_eq(backup_of(1), 1);
	fabric_join(bob, &the_id);
	fabric_run(100);
	player_heard(bob);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(3000);
	ck_assert_uint_eq(bob->node, 1);
	the_id = fabric_room_info(1, &the_id).id;
	ck_assert_uint_eq(backup_of(1), 0);
	ck_assert(heard(bob, "10.0.0.1:7000"));
}
END_TEST

START_TEST(copies)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(0, "bob");
	struct dk_room *rooms = fabric[0].rooms;
	struct dk_room_opts bad = { .max_members = 2, .join = true, .ttl_s = 10, .replicas = 3 };
	int64_t sent;
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	const char *text;
	dk_id room;

	ck_assert_int_eq(rooms->create(rooms, player_user(ann), &bad, &room), DK_ROOM_BAD_PARAMS);
	room = make_room(0, ann, 2);
	ck_assert_uint_ne(backup_of(1), backup_of(2));
	fabric_run(20);
	ck_assert_int_eq(fabric_count(1, "copies"), 1);
	ck_assert_int_eq(fabric_count(2, "copies"), 1);
	/* its clients are told where, as soon as the copies are there; who asks is told too */
	text = player_heard(ann);
	ck_assert_ptr_nonnull(strstr(text, "30 push "));
	ck_assert_ptr_nonnull(strstr(text, "10.0.0.2:7000"));
	ck_assert_ptr_nonnull(strstr(text, "10.0.0.3:7000"));
	fabric_join(bob, &the_id);
	dk_wr_bytes16(&w, dk_slice_n(the_id.c, DK_ID52_LEN));
	player_send(bob, 1, ROOM_CMD_BACKUPS, dk_written(&w));
	fabric_run(20);
	text = player_heard(bob);
	ck_assert_ptr_nonnull(strstr(text, "30 ok "));
	ck_assert_ptr_nonnull(strstr(text, "10.0.0.2:7000"));

	/* many changes of one moment are one copy; nothing new, nothing sent, but for a sign of life */
	fabric_run(100);
	sent = fabric_count(0, "copies_sent");
	for (unsigned i = 0; i < 100; i++)
		set_int(0, "n", i);
	fabric_run(40);
	ck_assert_int_eq(fabric_count(0, "copies_sent"), sent + 2);
	for (unsigned i = 0; i < 100; i++) {
		set_int(0, "n", i);
		fabric_run(1);
	}
	fabric_run(100);
	ck_assert_int_le(fabric_count(0, "copies_sent"), sent + 2 + 2 * 3);
	sent = fabric_count(0, "copies_sent");
	fabric_run(4000);
	ck_assert_int_eq(fabric_count(0, "copies_sent"), sent);
	fabric_run(30000);
	ck_assert_int_ge(fabric_count(0, "copies_sent"), sent + 2 * 3);
	ck_assert_int_eq(fabric_count(1, "copies"), 1);

	/* they end with it */
	rooms->remove(rooms, room, 1, 1, dk_slice_n(NULL, 0));
	fabric_run(20);
	ck_assert_int_eq(fabric_count(1, "copies"), 0);
	ck_assert_int_eq(fabric_count(2, "copies"), 0);
	ck_assert_int_eq(fabric_count(1, "copy_bytes"), 0);
	/* without them nothing is copied */
	make_room(0, ann, 0);
	fabric_run(100);
	ck_assert_int_eq(fabric_count(1, "copies"), 0);
}
END_TEST

START_TEST(by_option)
{
	struct player *ann;

	fabric_close();
	open_cluster(3, "replicas = 1;");
	ann = player_new(0, "ann");
	make_room(0, ann, 0);
	fabric_run(20);
	ck_assert_int_eq(fabric_count(1, "copies") + fabric_count(2, "copies"), 1);
}
END_TEST

START_TEST(no_room_for_copies)
{
	struct player *ann;

	fabric_close();
	open_cluster(2, "max_copy_bytes = 100;");
	ann = player_new(0, "ann");
	make_room(0, ann, 1);
	fabric_run(1000);
	ck_assert_int_eq(fabric_count(1, "copies"), 0);
	ck_assert_int_gt(fabric_count(0, "copies_failed"), 1);
	ck_assert(!heard(ann, "7000"));
}
END_TEST

START_TEST(a_backup_dies)
{
	struct player *ann = player_new(0, "ann");
	unsigned first, second;

	make_room(0, ann, 1);
	fabric_run(20);
	first = backup_of(1);
	second = 3 - first;
	player_heard(ann);
	fabric_kill(first);
	believe(3, first, DK_DEAD);
	fabric_run(100);
	ck_assert_int_eq(fabric_count(second, "copies"), 1);
	ck_assert(heard(ann, second == 1 ? "10.0.0.2:7000" : "10.0.0.3:7000"));
	/* and that one goes down */
	fabric_offline(second);
	fabric_stop(second);
	believe(3, second, DK_LEFT);
	fabric_run(100);
	set_int(0, "n", 1);
	fabric_run(100);
	/* the first is back, and knows nothing */
	fabric_restart(first);
	fabric_run(3000);
	ck_assert_int_eq(fabric_count(first, "copies"), 1);
}
END_TEST

/* An owner that has forgotten a node, and could not say so. */
START_TEST(forgotten_copies_go)
{
	struct player *ann = player_new(0, "ann");
	dk_id room = make_room(0, ann, 2);

	fabric_run(20);
	fabric_cut(0, 1, true);
	fabric_cut(0, 2, true);
	fabric[0].rooms->remove(fabric[0].rooms, room, 1, 1, dk_slice_n(NULL, 0));
	fabric_run(5000);
	ck_assert_int_eq(fabric_count(1, "copies"), 1);
	fabric_run(20000);
	ck_assert_int_eq(fabric_count(1, "copies"), 0);
	ck_assert_int_eq(fabric_count(1, "copies_lapsed"), 1);
	/* its death would make no room of it now */
	believe(3, 0, DK_DEAD);
	fabric_run(5000);
	ck_assert_int_eq(fabric_count(1, "rooms") + fabric_count(2, "rooms"), 0);
}
END_TEST

/* ---- takeover ---- */

START_TEST(node_dies)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(0, "bob"), *eve = player_new(0, "eve");
	dk_str kept = dk_str_c("gus");
	struct dk_room_info before, info;
	unsigned first, second;
	size_t n;

	make_room(0, ann, 2);
	fabric_join(bob, &the_id);
	fabric_join(eve, &the_id);
	fabric[0].rooms->reserve(fabric[0].rooms, fabric_room_at(0, &the_id), 0, &kept, 1, false);
	set_int(0, "round", 7);
	say_hit(ann);
	fabric_run(100);
	before = fabric_room_info(0, &the_id);
	first = backup_of(1);
	second = backup_of(2);
	fabric_kill(0);
	believe(3, 0, DK_SUSPECT);
	fabric_run(100);
	ck_assert_uint_eq(fabric_room_at(first, &the_id), 0);
	believe(3, 0, DK_DEAD);
	fabric_run(100);

	/* the first backup has it, under its old id */
	ck_assert_uint_ne(fabric_room_at(first, &the_id), 0);
	ck_assert_uint_eq(fabric_room_at(second, &the_id), 0);
	info = fabric_room_info(first, &the_id);
	ck_assert_mem_eq(&info.id, &the_id, sizeof(the_id));
	ck_assert_uint_eq(info.members, 3);
	ck_assert_uint_eq(info.created_s, before.created_s);
	ck_assert(fabric[first].rooms->is_reserved(fabric[first].rooms, fabric_room_at(first, &the_id), kept));
	ck_assert_int_eq(get_int(first, "round"), 7);
	ck_assert_int_eq(fabric_count(first, "taken_over"), 1);
	ck_assert_int_eq(fabric_count(first, "members_lost"), 0);

	/* clients turn to it with what they have; who did not is waited for */
	ck_assert(!player_turn_to(ann, second));
	ck_assert(player_turn_to(ann, first));
	ck_assert(player_turn_to(bob, first));
	fabric_run(10);
	ck_assert_uint_eq(info.owner, player_user(ann));
	ck_assert_uint_eq(fabric[first].rooms->members(fabric[first].rooms, fabric_room_at(first, &the_id), &n)[1],
			  player_user(bob));
	say(bob, ROOM_CMD_BROADCAST, "hello");
	say_hit(bob);
	fabric_run(10);
	{
		const char *text = player_heard(ann);

		ck_assert_ptr_nonnull(strstr(text, "103 push hello\n"));
		ck_assert_ptr_nonnull(strstr(text, "300 push .<.x...bob\n")); /* 60 more than 60 */
	}
	fabric_run(16000);
	ck_assert_uint_eq(fabric_room_info(first, &the_id).members, 2);
	/* it is copied on */
	ck_assert_int_eq(fabric_count(second, "copies"), 1);
}
END_TEST

START_TEST(first_backup_is_dead_too)
{
	struct player *ann = player_new(0, "ann");
	unsigned first, second;

	fabric_close();
	open_cluster(5, "");
	ann = player_new(0, "ann");
	make_room(0, ann, 2);
	fabric_run(100);
	first = backup_of(1);
	second = backup_of(2);
	fabric_kill(0);
	fabric_kill(first);
	believe(5, 0, DK_DEAD);
	believe(5, first, DK_DEAD);
	fabric_run(100);
	ck_assert_uint_ne(fabric_room_at(second, &the_id), 0);
	ck_assert(player_turn_to(ann, second));
}
END_TEST

/* It lives, but does not do it: after two seconds the second one does. */
START_TEST(first_backup_does_nothing)
{
	struct player *ann;
	unsigned first, second;

	fabric_close();
	open_cluster(5, "");
	ann = player_new(0, "ann");
	make_room(0, ann, 2);
	fabric_run(100);
	first = backup_of(1);
	second = backup_of(2);
	fabric_kill(0);
	fabric_believe(second, 0, DK_DEAD);
	fabric_run(1900);
	ck_assert_uint_eq(fabric_room_at(second, &the_id), 0);
	fabric_run(300);
	ck_assert_uint_ne(fabric_room_at(second, &the_id), 0);
	/* the first one hears of it before it thinks of taking it */
	fabric_run(1000);
	ck_assert_int_eq(fabric_count(first, "copies"), 1);
	believe(5, 0, DK_DEAD);
	fabric_run(5000);
	ck_assert_uint_eq(fabric_room_at(first, &the_id), 0);
	ck_assert_uint_ne(fabric_room_at(second, &the_id), 0);
}
END_TEST

START_TEST(a_minority_takes_nothing)
{
	struct player *ann = player_new(0, "ann");
	unsigned first;

	make_room(0, ann, 1);
	fabric_run(100);
	first = backup_of(1);
	fabric_believe(first, 0, DK_DEAD);
	fabric_believe(first, 3 - first, DK_DEAD);
	fabric_run(5000);
	ck_assert_uint_eq(fabric_room_at(first, &the_id), 0);
	/* the others come back: so does the right to do it */
	fabric_kill(0);
	fabric_believe(first, 3 - first, DK_ALIVE);
	fabric_run(100);
	ck_assert_uint_ne(fabric_room_at(first, &the_id), 0);
}
END_TEST

START_TEST(node_comes_back_at_once)
{
	struct player *ann = player_new(0, "ann");
	unsigned first;

	make_room(0, ann, 1);
	fabric_run(100);
	first = backup_of(1);
	fabric_kill(0);
	fabric_restart(0); /* a new boot, before anybody noticed */
	fabric_run(100);
	ck_assert_uint_ne(fabric_room_at(first, &the_id), 0);
	ck_assert_uint_eq(fabric_room_at(0, &the_id), 0);
	/* who asks the node that the id names first is asked on */
	{
		struct player *bob = player_new(0, "bob"), *eve = player_new(3 - first, "eve");

		say(bob, ROOM_CMD_JOIN, "");
		say(eve, ROOM_CMD_JOIN, "");
		fabric_run(100);
		ck_assert_uint_eq(bob->node, first);
		ck_assert_uint_eq(eve->node, first);
		ck_assert(player_turn_to(ann, first));
		fabric_run(100);
		ck_assert_uint_eq(fabric_room_info(first, &the_id).members, 3);
	}
}
END_TEST

/* One node after the other: the room is where its id does not say any more, and is found. */
START_TEST(outlives_its_id)
{
	struct player *ann, *bob;
	unsigned first, second = 9;

	fabric_close();
	open_cluster(5, "");
	ann = player_new(0, "ann");
	make_room(0, ann, 1);
	fabric_run(100);
	first = backup_of(1);
	fabric_kill(0);
	believe(5, 0, DK_DEAD);
	fabric_run(100);
	ck_assert(player_turn_to(ann, first));
	fabric_run(100);
	for (unsigned i = 1; i < 5; i++)
		if (fabric_count(i, "copies"))
			second = i;
	ck_assert_uint_ne(second, 9);
	fabric_kill(first);
	believe(5, first, DK_DEAD);
	fabric_run(100);
	ck_assert_uint_ne(fabric_room_at(second, &the_id), 0);
	ck_assert(player_turn_to(ann, second));
	bob = player_new(second == 1 || first == 1 ? (second == 2 || first == 2 ? 3 : 2) : 1, "bob");
	say(bob, ROOM_CMD_JOIN, "hello");
	fabric_run(100);
	ck_assert_uint_eq(bob->node, second);
	ck_assert(heard(ann, "101 push hello\n"));
}
END_TEST

/* ---- an owner that comes back ---- */

START_TEST(stopped_and_continued)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(0, "bob");
	unsigned first;

	make_room(0, ann, 2);
	fabric_join(bob, &the_id);
	set_int(0, "n", 1);
	fabric_run(100);
	first = backup_of(1);
	fabric_pause(0, true);
	fabric_run(2500);
	believe(3, 0, DK_DEAD);
	fabric_run(100);
	ck_assert_uint_ne(fabric_room_at(first, &the_id), 0);
	ck_assert(player_turn_to(ann, first));
	fabric_run(10);
	set_int(first, "n", 2);
	fabric_run(2500);

	/* bob's client has noticed nothing; what it says there, and what its node writes, is refused */
	say(bob, ROOM_CMD_BROADCAST, "late");
	fabric_pause(0, false);
	set_int(0, "n", 3);
	fabric_run(10);
	believe(3, 0, DK_ALIVE);
	fabric_run(1000);
	ck_assert_int_ge(fabric_count(first, "stale_refused"), 1);
	ck_assert_int_eq(fabric_count(0, "superseded"), 1);
	ck_assert_uint_eq(fabric_room_at(0, &the_id), 0);
	ck_assert_int_eq(get_int(first, "n"), 2);
	ck_assert(!heard(ann, "late"));
	ck_assert_uint_eq(bob->node, first);
	ck_assert_uint_eq(fabric_room_info(first, &the_id).members, 2);
	say(bob, ROOM_CMD_BROADCAST, "again");
	fabric_run(10);
	ck_assert(heard(ann, "103 push again\n"));
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(fabric_count(i, "rooms"), i == first);
}
END_TEST

/* What is not its own any more it does not give away either. */
START_TEST(a_stale_owner_moves_nothing)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(0, "bob");
	unsigned first;

	make_room(0, ann, 2);
	fabric_join(bob, &the_id);
	fabric_run(100);
	first = backup_of(1);
	fabric_pause(0, true);
	fabric_run(2500);
	believe(3, 0, DK_DEAD);
	fabric_run(100);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_pause(0, false);
	fabric_run(200);
	ck_assert_int_eq(fabric_count(0, "migrated_out"), 0);
	ck_assert_int_eq(fabric_count(0, "superseded"), 1);
	ck_assert_uint_eq(ann->node, first);
	ck_assert_uint_eq(bob->node, first);
	ck_assert_uint_eq(fabric_room_info(first, &the_id).members, 2);
	fabric_run(6000);
	ck_assert_int_eq(fabric_count(1, "rooms") + fabric_count(2, "rooms"), 1);
}
END_TEST

/* The new owner's room has moved on before the old one comes back. */
START_TEST(claimed_for_what_it_became)
{
	struct player *ann, *bob;
	unsigned first, to;

	fabric_close();
	open_cluster(4, "");
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	make_room(0, ann, 1);
	fabric_join(bob, &the_id);
	fabric_run(100);
	first = backup_of(1);
	fabric_pause(0, true);
	believe(4, 0, DK_DEAD);
	fabric_run(100);
	ck_assert(player_turn_to(ann, first));
	fabric_run(100);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(6000); /* it waits for bob, and then no longer */
	to = ann->node;
	ck_assert_uint_ne(to, first);
	fabric_pause(0, false);
	believe(4, 0, DK_ALIVE);
	fabric_run(2000);
	ck_assert_uint_eq(fabric_room_at(0, &the_id), 0);
	ck_assert_uint_eq(bob->node, to);
	ck_assert_uint_eq(fabric_room_info(to, &the_id).members, 2);
}
END_TEST

/* Both sides go on; when they see each other again the later epoch stays, and everybody meets there. */
START_TEST(cut_off_and_joined_again)
{
	struct player *ann = player_new(0, "ann"), *bob = player_new(0, "bob"), *eve = player_new(0, "eve");
	unsigned first, other;

	make_room(0, ann, 1);
	fabric_join(bob, &the_id);
	fabric_join(eve, &the_id);
	fabric_run(100);
	first = backup_of(1);
	other = 3 - first;
	fabric_cut(0, 1, true);
	fabric_cut(0, 2, true);
	believe(3, 0, DK_DEAD);
	fabric_believe(0, 1, DK_DEAD);
	fabric_believe(0, 2, DK_DEAD);
	fabric_run(100);
	ck_assert_uint_ne(fabric_room_at(first, &the_id), 0);
	ck_assert_uint_ne(fabric_room_at(0, &the_id), 0);
	ck_assert(player_turn_to(eve, first));
	set_int(0, "n", 1);
	fabric_run(20000); /* who did not turn up over there was given up there */
	ck_assert_uint_eq(fabric_room_info(first, &the_id).members, 1);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 2);

	fabric_cut(0, 1, false);
	fabric_cut(0, 2, false);
	believe(3, 0, DK_ALIVE);
	fabric_believe(0, 1, DK_ALIVE);
	fabric_believe(0, 2, DK_ALIVE);
	fabric_run(2000);
	ck_assert_uint_eq(fabric_room_at(0, &the_id), 0);
	ck_assert_uint_eq(fabric_room_at(other, &the_id), 0);
	ck_assert_uint_eq(fabric_room_info(first, &the_id).members, 3);
	ck_assert_int_eq(get_int(first, "n"), INT64_MIN);
	ck_assert_uint_eq(ann->node, first);
	ck_assert_uint_eq(bob->node, first);
}
END_TEST

/* Long after its node was forgotten by all. */
START_TEST(joined_again_after_long)
{
	struct player *ann = player_new(0, "ann");
	unsigned first;

	make_room(0, ann, 1);
	fabric_run(100);
	first = backup_of(1);
	fabric_cut(0, 1, true);
	fabric_cut(0, 2, true);
	believe(3, 0, DK_DEAD);
	fabric_run(100);
	fabric_remove(first, 0);
	fabric_run(40000);
	fabric_cut(0, 1, false);
	fabric_cut(0, 2, false);
	fabric_rejoin(first, 0);
	fabric_run(2000);
	ck_assert_uint_eq(fabric_room_at(0, &the_id), 0);
	ck_assert_uint_ne(fabric_room_at(first, &the_id), 0);
	ck_assert_uint_eq(ann->node, first);
}
END_TEST

/* ---- with a move ---- */

START_TEST(moves_and_dies)
{
	struct player *ann, *bob;
	struct dk_room_info info;
	struct dk_addr a;
	unsigned to;

	fabric_close();
	open_cluster(4, "");
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	make_room(0, ann, 1);
	fabric_join(bob, &the_id);
	say_hit(bob);
	fabric_run(100);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(300);
	to = ann->node;
	ck_assert_uint_ne(to, 0);
	info = fabric_room_info(to, &the_id);
	/* one copy, of what it is now */
	ck_assert_int_eq(dk_id52_addr(&info.id, 1, &a), 0);
	{
		int64_t copies_now = 0;

		for (unsigned i = 0; i < 4; i++)
			copies_now += fabric_count(i, "copies");
		ck_assert_int_eq(copies_now, 1);
	}
	the_id = info.id;
	fabric_kill(to);
	believe(4, to, DK_DEAD);
	fabric_run(100);
	ck_assert(player_turn_to(ann, backup_of(1)));
	ck_assert(player_turn_to(bob, backup_of(1)));
	fabric_run(10);
	say_hit(bob);
	fabric_run(10);
	ck_assert(heard(ann, "300 push .<.x...bob\n"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_replica");
	TCase *t = tcase_create("replica");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, copies_of_a_room_that_moves);
	tcase_add_test(t, copies);
	tcase_add_test(t, by_option);
	tcase_add_test(t, no_room_for_copies);
	tcase_add_test(t, a_backup_dies);
	tcase_add_test(t, forgotten_copies_go);
	tcase_add_test(t, node_dies);
	tcase_add_test(t, first_backup_is_dead_too);
	tcase_add_test(t, first_backup_does_nothing);
	tcase_add_test(t, a_minority_takes_nothing);
	tcase_add_test(t, node_comes_back_at_once);
	tcase_add_test(t, outlives_its_id);
	tcase_add_test(t, stopped_and_continued);
	tcase_add_test(t, a_stale_owner_moves_nothing);
	tcase_add_test(t, claimed_for_what_it_became);
	tcase_add_test(t, cut_off_and_joined_again);
	tcase_add_test(t, joined_again_after_long);
	tcase_add_test(t, moves_and_dies);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
