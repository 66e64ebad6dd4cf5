/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorded rooms of a cluster: users who come from other nodes, rooms that move, that are frozen and thaw, that are taken over; and
 * other plugins that have a say in them. Every file that is left behind is played again, and the same comes of it; the file of a
 * room that came from another node begins with the whole room.
 */
#include "fabric.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../room_log.h"
#include "tools/room_replay.h"

static char folder[64];
static struct dk_id52 the_id;
static uint8_t file[1 << 20];
static unsigned seen[ROOM_LOG_KINDS], refused[ROOM_LOG_KINDS], states;

/* ---- a plugin that has a say: it keeps a number of each room, refuses some, and acts inside events ---- */

struct meddler {
	struct dk_self self;
	struct dk_user *user;
	struct dk_room *room;
};

static int no_bad_joins(struct meddler *m, struct dk_room_join *ask)
{
	int64_t sum;

	m->room->incr(m->room, ask->room, dk_str_c("asked"), 1, &sum);
	return ask->uid.n && ask->uid.p[0] == 'x';
}

static int no_bad_words(struct meddler *m, struct dk_room_chat *ask)
{
	(void)m;
	return ask->text.p[0] == 'x';
}

static void on_joined(struct meddler *m, const struct dk_room_member_event *ev)
{
	struct dk_value v = dk_value_int_(DK_V_INT, ev->members);
	uint16_t *n = m->room->attachment(m->room, m, ev->room, sizeof(*n));

	if (n)
		(*n)++;
	m->room->set(m->room, ev->room, dk_str_c("members"), &v);
	m->room->announce(m->room, ev->room, NULL, 0, 2, 1, dk_slice_n("welcome", 7), true);
}

static void on_failed(struct meddler *m, const struct dk_room_join *ask)
{
	dk_str kept = dk_str_c("kept");

	m->room->cancel_reservation(m->room, ask->room, 0, &kept, 1, false);
}

static const struct dk_room_part meddled = { .name = "meddler", .version = 3, .attachment = sizeof(uint16_t) };

static int meddler_init(void *self)
{
	struct meddler *m = self;

	dk_filter_add(m, &m->room->may_join, no_bad_joins);
	dk_filter_add(m, &m->room->chatting, no_bad_words);
	dk_connect(m, &m->room->joined, on_joined);
	dk_connect(m, &m->room->join_failed, on_failed);
	return m->room->carry(m->room, m, &meddled);
}

static const struct dk_need meddler_needs[] = { DK_NEED(struct meddler, user, DK_USER),
						DK_NEED(struct meddler, room, DK_ROOM),
						{ 0 } };
static const struct dk_ops meddler_ops = { .init = meddler_init };
static const struct dk_plugin_desc dk_plugin_meddler = {
	DK_PLUGIN_HEAD("meddler", "1.0.0", "has a say in rooms"),
	.self_size = sizeof(struct meddler),
	.needs = meddler_needs,
	.ops = &meddler_ops,
};

/* ---- the cluster ---- */

static void open_nodes(unsigned n, uint64_t seed, const char *more)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_meddler, NULL };
	char room[512];

	snprintf(room, sizeof(room),
		 "record = true; record_keep = true; record_bytes = 1048576; record_max_bytes = 400000000; record_dir = \"%s\"; %s",
		 folder, more);
	fabric_open(n, seed, room, plugins, "meddler = {}");
}

static void setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/room-record.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	memset(seen, 0, sizeof(seen));
	memset(refused, 0, sizeof(refused));
	states = 0;
}

static size_t load(const char *name)
{
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	ck_assert_ptr_nonnull(f);
	n = fread(file, 1, sizeof(file), f);
	fclose(f);
	return n;
}

static void look_at(dk_slice recording)
{
	struct room_log_reader r;
	struct room_log_event e;
	const char *why;

	ck_assert_int_eq(room_log_open(&r, recording, &why), 0);
	while (room_log_next(&r, &e, &why) == 0) {
		seen[e.kind]++;
		refused[e.kind] += e.outcome != 0;
		states += r.n == 2 && e.kind == ROOM_LOG_STATE;
	}
}

/* Returns how many there were. */
static unsigned play_all(void)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		struct room_replay r;
		dk_slice recording;
		int rc;

		if (!strstr(entry->d_name, ".room"))
			continue;
		recording = dk_slice_n(file, load(entry->d_name));
		look_at(recording);
		rc = room_replay(recording, NULL, &r);
		ck_assert_msg(rc == 0, "%s: %s", entry->d_name, r.why);
		n++;
	}
	closedir(dir);
	return n;
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -f %s/*", folder);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}

static dk_slice text(const char *s)
{
	return dk_slice_of(dk_str_c(s));
}

static void say(struct player *p, uint16_t cmd, const char *more)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (cmd == ROOM_CMD_BROADCAST)
		dk_wr_u8(&w, 1);
	dk_wr_slice(&w, dk_slice_n(the_id.c, DK_ID52_LEN));
	dk_wr_slice(&w, text(more));
	player_send(p, 1, cmd, cmd == ROOM_CMD_MIGRATE ? dk_slice_n(NULL, 0) : dk_written(&w));
}

static dk_id make_room(unsigned i, const struct player *p, uint16_t max, uint8_t replicas)
{
	struct dk_room_opts o = {
		.max_members = max, .allow_empty = true, .join = true, .ttl_s = 60, .interval_ms = 40, .replicas = replicas
	};

	return fabric_room(i, p, &o, &the_id);
}

static void nothing(void *self, void *arg, dk_id room)
{
	(void)self;
	(void)arg;
	(void)room;
}

/* Something of everything that a room can keep. */
static void fill(unsigned i, dk_id room)
{
	struct dk_room *rooms = fabric[i].rooms;
	struct dk_room_states_opts o = { .interval_ms = 100, .all_delay_ms = 300, .ttl_ms = 2000 };
	struct dk_room_field f = { dk_str_c("x"), 1.5 };
	struct dk_value v = dk_value_str(dk_str_c("moon"));
	dk_str kept = dk_str_c("kept");
	void *app = dk_app(dk_harness_kernel(fabric[i].h));
	size_t n;
	const dk_id *members = rooms->members(rooms, room, &n);

	rooms->set(rooms, room, dk_str_c("map"), &v);
	rooms->reserve(rooms, room, 0, &kept, 1, false);
	ck_assert_int_eq(rooms->enable_states(rooms, room, &o), 0);
	ck_assert_int_eq(rooms->set_state(rooms, room, text("a"), text("1"), members[0], true), 0);
	ck_assert_int_eq(rooms->set_state(rooms, room, text("b"), text("2"), 0, false), 0);
	ck_assert_int_eq(rooms->remove_state(rooms, room, text("b")), 0);
	ck_assert_int_eq(rooms->update_object(rooms, room, DK_ROOM_OBJECT_SET, dk_str_c("ball"), &f, 1, true), 0);
	ck_assert_int_eq(rooms->chat(rooms, room, members[0], dk_str_c("hello")), 0);
	ck_assert_int_eq(rooms->chat(rooms, room, members[0], dk_str_c("x-rated")), DK_ROOM_VETOED);
	ck_assert_int_eq(rooms->start_clock(rooms, app, room, dk_str_c("c"), 1, nothing, NULL, NULL), 0);
	ck_assert_int_eq(rooms->broadcast(rooms, room, members[0], 1, 103, text("waits for the tick"), true), 0);
}

/* ---- tests: nodes that go down give their rooms to others, so there may be more files than a test made ---- */

START_TEST(from_other_nodes)
{
	struct player *ann, *bob, *eve, *xan;
	dk_id room;

	open_nodes(2, 1, "");
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	eve = player_new(1, "eve");
	xan = player_new(1, "xan");
	room = make_room(0, ann, 4, 0);
	fill(0, room);
	say(bob, ROOM_CMD_JOIN, "here I come");
	say(xan, ROOM_CMD_JOIN, "so do I"); /* no, says a filter; and what was reserved is cancelled */
	fabric_run(100);
	ck_assert_uint_eq(bob->node, 0);
	ck_assert_uint_eq(fabric_room_info(0, &the_id).members, 2);
	say(bob, ROOM_CMD_BROADCAST, "hi");
	say(eve, ROOM_CMD_JOIN, "");
	fabric_run(3);
	fabric_cut(0, 1, true); /* a seat is kept, and nobody comes */
	fabric_run(6000);
	fabric_cut(0, 1, false);
	player_leave(bob);
	fabric_run(500);
	fabric_close();
	ck_assert_uint_ge(play_all(), 1);
	ck_assert_uint_gt(seen[ROOM_LOG_HOLD], 1);
	ck_assert_uint_gt(refused[ROOM_LOG_HOLD], 0);
	ck_assert_uint_gt(refused[ROOM_LOG_CHAT], 0);
	ck_assert_uint_gt(seen[ROOM_LOG_SEAT], 0);
	ck_assert_uint_gt(seen[ROOM_LOG_TOLD], 0);
	ck_assert_uint_gt(seen[ROOM_LOG_UNHOLD], 0);
	ck_assert_uint_gt(seen[ROOM_LOG_PART], 0);
	ck_assert_uint_gt(seen[ROOM_LOG_CANCEL], 0);
}
END_TEST

START_TEST(moves_on)
{
	struct player *ann, *bob;
	dk_id room;
	unsigned to;

	open_nodes(3, 2, "");
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	room = make_room(0, ann, 4, 0);
	fabric_join(bob, &the_id);
	fabric_run(20);
	fill(0, room);
	/* the first try comes to nothing */
	fabric_cut(0, 1, true);
	fabric_cut(0, 2, true);
	say(ann, ROOM_CMD_MIGRATE, "");
	fabric_run(30);
	say(bob, ROOM_CMD_BROADCAST, "is it frozen?");
	fabric[0].rooms->announce(fabric[0].rooms, room, NULL, 0, 2, 2, text("it is"), true);
	fabric_run(100);
	fabric_cut(0, 1, false);
	fabric_cut(0, 2, false);
	fabric_run(1500);
	to = ann->node;
	ck_assert_uint_ne(to, 0);
	room = fabric_room_at(to, &the_id);
	ck_assert_uint_ne(room, 0);
	ck_assert_int_eq(fabric[to].rooms->set_state(fabric[to].rooms, room, text("c"), text("3"), 0, true), 0);
	ck_assert_int_eq(fabric[to].rooms->chat(fabric[to].rooms, room, player_user(bob), dk_str_c("over here")), 0);
	say(bob, ROOM_CMD_BROADCAST, "and over there");
	fabric_run(3000);
	player_leave(ann);
	fabric_run(3000);
	fabric_close();
	ck_assert_uint_ge(play_all(), 2);
	ck_assert_uint_ge(states, 1);
	ck_assert_uint_gt(seen[ROOM_LOG_FREEZE], 1);
	ck_assert_uint_gt(seen[ROOM_LOG_THAW], 0);
	ck_assert_uint_gt(refused[ROOM_LOG_SAY], 0);
}
END_TEST

START_TEST(taken_over)
{
	struct player *ann, *bob;
	struct dk_room_info info;
	unsigned at = 1;
	dk_id room;

	open_nodes(3, 3, "");
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	room = make_room(0, ann, 4, 1);
	fabric_join(bob, &the_id);
	fill(0, room);
	fabric_run(3000);
	fabric_kill(0);
	for (unsigned i = 1; i < 3; i++)
		fabric_believe(i, 0, DK_DEAD);
	fabric_run(200);
	if (!fabric_room_at(at, &the_id))
		at = 2;
	room = fabric_room_at(at, &the_id);
	ck_assert_uint_ne(room, 0);
	info = fabric_room_info(at, &the_id);
	ck_assert_uint_eq(info.members, 2);
	fabric[at].rooms->announce(fabric[at].rooms, room, NULL, 0, 2, 2, text("it goes on"), true);
	fabric_run(20000);
	fabric_close();
	ck_assert_uint_ge(play_all(), 2); /* beside that of the dead node, which has the same id */
	ck_assert_uint_ge(states, 1);
}
END_TEST

/* A full file: what follows begins with the whole room, in the middle of everything. */
START_TEST(round_after_round)
{
	static char block[20000];
	struct player *ann, *bob;
	unsigned seed = 7;
	dk_id room;

	memset(block, 'b', sizeof(block) - 1);
	open_nodes(1, 4, "state_interval_ms = 50;");
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	room = make_room(0, ann, 8, 0);
	fabric_join(bob, &the_id);
	fill(0, room);
	for (unsigned i = 0; i < 400; i++) {
		struct dk_room *rooms = fabric[0].rooms;
		char key[8];

		snprintf(key, sizeof(key), "k%u", (unsigned)rand_r(&seed) % 9);
		rooms->set_state(rooms, room, text(key), text("v"), i % 3 ? 0 : player_user(bob), i % 2);
		if (i % 4 == 0)
			rooms->remove_state(rooms, room, text(key));
		rooms->announce(rooms, room, NULL, 0, 2, (uint16_t)(i % 3), i % 2 ? text(block) : text("short"), i % 5 != 0);
		rooms->chat(rooms, room, player_user(ann), dk_str_c("so fast"));
		fabric_run((unsigned)rand_r(&seed) % 60);
	}
	ck_assert_int_gt(fabric_count(0, "record_rounds"), 2);
	fabric_run(1000);
	fabric_close();
	ck_assert_uint_ge(play_all(), 2);
	ck_assert_uint_ge(states, 2);
	ck_assert_uint_gt(refused[ROOM_LOG_CHAT], 0);
}
END_TEST

/* Many rooms, clients and nodes, at random. */
START_TEST(whatever_happens)
{
	struct player *p[6];
	unsigned seed = (unsigned)_i * 7919 + 1;
	struct dk_room_states_opts o = { .interval_ms = 60 };

	open_nodes(3, (unsigned)_i + 10, "");
	for (unsigned i = 0; i < 6; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%s%u", i == 5 ? "x" : "p", i);
		p[i] = player_new(i % 3, name);
	}
	make_room(0, p[0], 4, (uint8_t)(_i % 2));
	fabric[0].rooms->enable_states(fabric[0].rooms, fabric_room_at(0, &the_id), &o);
	for (unsigned i = 0; i < 150; i++) {
		struct player *who = p[(unsigned)rand_r(&seed) % 6];
		unsigned what = (unsigned)rand_r(&seed) % 12, at = 0;
		dk_id room;

		while (at < 2 && !fabric_room_at(at, &the_id))
			at++;
		room = fabric_room_at(at, &the_id);
		if (what < 4 && !who->gone)
			say(who, ROOM_CMD_JOIN, "hi");
		else if (what == 4 && !who->gone)
			say(who, ROOM_CMD_LEAVE, "");
		else if (what == 5 && !who->gone)
			say(who, ROOM_CMD_MIGRATE, "");
		else if (what < 8 && !who->gone)
			say(who, ROOM_CMD_BROADCAST, "words");
		else if (what == 8 && room)
			fabric[at].rooms->set_state(fabric[at].rooms, room, text(i % 2 ? "a" : "b"), text("1"),
						    i % 3 ? 0 : player_user(who), i % 2);
		else if (what == 9 && room)
			fabric[at].rooms->chat(fabric[at].rooms, room, player_user(who), dk_str_c("text"));
		else if (what == 10)
			fabric_cut(i % 3, (i + 1) % 3, i % 2);
		fabric_run((unsigned)rand_r(&seed) % 120);
	}
	for (unsigned i = 0; i < 3; i++)
		fabric_cut(i, (i + 1) % 3, false);
	fabric_run(6000);
	fabric_close();
	ck_assert_uint_gt(play_all(), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("room_record_far");
	TCase *t = tcase_create("record");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, from_other_nodes);
	tcase_add_test(t, moves_on);
	tcase_add_test(t, taken_over);
	tcase_add_test(t, round_after_round);
	tcase_add_loop_test(t, whatever_happens, 0, 12);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
