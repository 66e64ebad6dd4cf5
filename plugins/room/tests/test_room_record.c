/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorded rooms: whatever happened to one happens again from its file, and the same comes of it; a file that was changed is
 * refused, whichever byte it was; what a node leaves behind that died is a recording; and a room that did something else is found
 * out.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <diarkis/room.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include "../room_log.h"
#include "tools/room_replay.h"

static char folder[64];
static struct dk_harness *h;
static struct dk_room *rooms;
static struct dk_user *users;
static struct dk_id52 the_id;
static dk_id the_room;
static uint8_t file[4 << 20];
static size_t file_n;

static void open_node(const char *more)
{
	char config[512];

	snprintf(config, sizeof(config),
		 "plugins = { user = {}; room = { record = true; record_dir = \"%s\"; record_bytes = 1048576; %s }; };", folder,
		 more);
	h = dk_harness_open(&(const struct dk_harness_opts){ .config = config, .seed = 5 });
	ck_assert_ptr_nonnull(h);
	rooms = dk_harness_service(h, DK_ROOM_NAME);
	users = dk_harness_service(h, DK_USER_NAME);
}

static void setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/room-record.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
	char command[128];

	/* the folder is the test's own, and holds files alone */
	snprintf(command, sizeof(command), "rm -f %s/*", folder);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void free_node(void)
{
	uint32_t slot = 0;
	dk_id id;

	while ((id = users->next(users, &slot)))
		users->disconnect(users, id, DK_REASON_SERVER);
	ck_assert_int_eq(dk_harness_free(h), 0);
}

static bool read_recording(const char *suffix)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%.52s.room%s", folder, the_id.c, suffix);
	f = fopen(path, "rb");
	if (!f)
		return false;
	file_n = fread(file, 1, sizeof(file), f);
	fclose(f);
	return true;
}

static dk_id user(unsigned i)
{
	char name[16];
	dk_id id;

	snprintf(name, sizeof(name), "u%u", i);
	id = users->by_uid(users, dk_str_c(name));
	if (!id)
		ck_assert_int_eq(users->create_blank(users, dk_str_c(name), &id), 0);
	return id;
}

static void create(bool allow_empty, uint16_t max)
{
	struct dk_room_opts o = { .max_members = max, .allow_empty = allow_empty, .join = true, .ttl_s = 20, .interval_ms = 50 };
	struct dk_room_info info;

	ck_assert_int_eq(rooms->create(rooms, user(0), &o, &the_room), 0);
	ck_assert_int_eq(rooms->info(rooms, the_room, &info), 0);
	the_id = info.id;
}

static dk_slice bytes(const char *text)
{
	return dk_slice_of(dk_str_c(text));
}

static void step(unsigned r, unsigned k)
{
	char name[16];
	dk_str uids[3] = { dk_str_c("u1"), dk_str_c("u5"), dk_str_c("u9") };
	struct dk_value v = dk_value_int_(DK_V_INT, (int64_t)k);
	int64_t sum;

	snprintf(name, sizeof(name), "p%u", k % 7);
	if (k % 3 == 1)
		v = dk_value_str(dk_str_c("a text that is longer than a few bytes"));
	switch (r % 13) {
	case 0:
	case 1:
	case 2:
		rooms->join(rooms, the_room, user(k % 12), 1, 101, bytes("hi"));
		break;
	case 3:
		rooms->leave(rooms, the_room, user(k % 12), 1, 102, bytes("bye"));
		break;
	case 4:
		users->disconnect(users, user(k % 12), DK_REASON_SILENCE);
		break;
	case 5:
	case 6:
		rooms->set(rooms, the_room, dk_str_c(name), &v);
		break;
	case 7:
		rooms->unset(rooms, the_room, dk_str_c(name));
		break;
	case 8:
		rooms->incr(rooms, the_room, dk_str_c("sum"), k, &sum);
		break;
	case 9:
		rooms->reserve(rooms, the_room, 0, uids + k % 2, 1 + k % 2, false);
		break;
	case 10:
		rooms->cancel_reservation(rooms, the_room, 0, uids + k % 3, 1, false);
		break;
	case 11:
		rooms->broadcast(rooms, the_room, user(k % 12), 1, 103, bytes("a message"), true);
		break;
	default:
		rooms->announce(rooms, the_room, NULL, 0, 3, 7, bytes("from the server"), false);
	}
}

static void random_run(unsigned seed, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		unsigned r = (unsigned)rand_r(&seed), n = (unsigned)rand_r(&seed) % 4;

		for (unsigned k = 0; k <= n; k++) /* several in one turn, too */
			step(r + k, (unsigned)rand_r(&seed));
		dk_harness_advance(h, (unsigned)rand_r(&seed) % 400);
	}
}

static void replays(unsigned at_least)
{
	struct room_replay r;
	int rc = room_replay(dk_slice_n(file, file_n), NULL, &r);

	ck_assert_msg(rc == 0, "%d: %s", rc, r.why);
	ck_assert_uint_ge(r.records, at_least);
	ck_assert_uint_ge(r.checks, at_least / 8);
}

START_TEST(random_commands)
{
	open_node("");
	create(_i % 2, 8);
	random_run((unsigned)_i * 31 + 1, 400);
	if (!read_recording("")) { /* a room that goes with its last member may have ended */
		ck_assert_int_eq(_i % 2, 0);
		ck_assert_uint_eq(rooms->count(rooms), 0);
	} else {
		replays(200);
	}
	free_node();
	/* nobody needs what is left of a node that ended well */
	ck_assert(!read_recording(""));
}
END_TEST

START_TEST(it_expires)
{
	int64_t sum;

	open_node("record_keep = true;");
	create(true, 4);
	dk_harness_advance(h, 1000);
	rooms->leave(rooms, the_room, user(0), 1, 102, bytes(""));
	dk_harness_advance(h, 15000);
	ck_assert_int_eq(rooms->incr(rooms, the_room, dk_str_c("n"), 1, &sum), 0); /* its time begins anew */
	dk_harness_advance(h, 15000);
	ck_assert_uint_eq(rooms->count(rooms), 1);
	ck_assert_int_eq(rooms->change_ttl(rooms, the_room, 40), 0);
	dk_harness_advance(h, 41000);
	ck_assert_uint_eq(rooms->count(rooms), 0);
	ck_assert(read_recording(""));
	replays(5);
	free_node();
	ck_assert(read_recording(""));
}
END_TEST

/* kill -9 in the middle: what is there is a recording up to the last word. */
START_TEST(node_dies)
{
	struct room_replay r;

	open_node("");
	create(true, 8);
	random_run(77, 100);
	rooms->join(rooms, the_room, user(20), 1, 101, bytes(""));
	ck_assert(read_recording("")); /* as the system has it at this moment, the check not written yet */
	ck_assert_int_eq(room_replay(dk_slice_n(file, file_n), NULL, &r), 0);
	ck_assert_uint_ge(r.records, 50);
	free_node();
}
END_TEST

START_TEST(begins_anew_when_it_is_full)
{
	static char text[60000];

	memset(text, 'x', sizeof(text) - 1);
	open_node("");
	create(true, 8);
	random_run(5, 50);
	rooms->join(rooms, the_room, user(30), 1, 101, bytes(""));
	for (unsigned i = 0; i < 40; i++) {
		ck_assert_int_eq(rooms->announce(rooms, the_room, NULL, 0, 1, 1, bytes(text), true), 0);
		dk_harness_advance(h, 10);
	}
	random_run(6, 50);
	ck_assert_int_ge(dk_harness_counter(h, "room", "record_rounds"), 2);
	ck_assert(read_recording(""));
	replays(30);
	ck_assert(read_recording(".old"));
	replays(10);
	free_node();
	ck_assert(!read_recording(".old"));
}
END_TEST

/* Whichever byte is another one, and wherever it is cut off but at a record's end: refused, with a sentence. */
START_TEST(changed_files)
{
	struct room_log_reader r;
	struct room_log_event e;
	struct room_replay result;
	const char *why;
	size_t used, ends[64], n = 0;

	open_node("");
	create(true, 4);
	random_run(3, 12);
	ck_assert(read_recording(""));
	free_node();
	ck_assert_int_eq(room_log_open(&r, dk_slice_n(file, file_n), &why), 0);
	while (room_log_next(&r, &e, &why) == 0 && n < 64)
		ends[n++] = r.at;
	ck_assert_uint_gt(n, 10);
	used = r.at;
	for (size_t i = 0; i < used + 4; i++) {
		int rc;

		file[i] ^= 0x41;
		rc = room_log_open(&r, dk_slice_n(file, file_n), &why);
		while (rc == 0)
			rc = room_log_next(&r, &e, &why);
		ck_assert_msg(rc == -EPROTO, "byte %zu", i);
		ck_assert_uint_gt(strlen(why), 10);
		file[i] ^= 0x41;
	}
	for (size_t i = 0, k = 0; i < used; i++) {
		int rc = room_log_open(&r, dk_slice_n(file, i), &why);

		while (k < n && ends[k] < i)
			k++;
		while (rc == 0)
			rc = room_log_next(&r, &e, &why);
		if (i == ROOM_LOG_HEAD || (k < n && ends[k] == i))
			ck_assert_int_eq(rc, DK_NOT_FOUND);
		else if (rc == DK_NOT_FOUND) /* some zeroes of a length are no beginning of a record */
			ck_assert_uint_lt(i - (k ? ends[k - 1] : ROOM_LOG_HEAD), 4);
	}
	file[100] ^= 1;
	ck_assert_int_eq(room_replay(dk_slice_n(file, file_n), NULL, &result), -EPROTO);
	ck_assert_str_eq(result.why, "a checksum is wrong: the file was changed, or is incomplete");
	ck_assert_int_eq(room_replay(bytes("nonsense"), NULL, &result), -EPROTO);
	ck_assert_str_eq(result.why, "it does not begin as a recording of a room does");
	ck_assert_int_eq(room_replay(dk_slice_n(file, ROOM_LOG_HEAD), NULL, &result), -EPROTO);
	ck_assert_str_eq(result.why, "there is nothing in it");
}
END_TEST

/* A recording that is whole, of a room that did not do what rooms do. */
START_TEST(another_outcome)
{
	static uint8_t buf[4096];
	static const char *const whys[] = { "record 3: the room's state is", "record 3: u1 left, and is no member here",
					    "record 3: u9 joined, and is refused here: outcome 17",
					    "record 3: the room has ended here already" };
	struct room_log_event create_it = { .kind = ROOM_LOG_CREATE,
					    .opts = { .max_members = 2, .allow_empty = true, .ttl_s = 10 },
					    .uid = dk_str_c("u0") };
	struct room_log_event join = { .kind = ROOM_LOG_JOIN, .uid = dk_str_c("u0") };
	struct room_log_event e[] = { { .kind = ROOM_LOG_CHECK, .hash = 5 },
				      { .kind = ROOM_LOG_LEAVE, .uid = dk_str_c("u1"), .reason = DK_REASON_CLIENT },
				      { .kind = ROOM_LOG_JOIN, .uid = dk_str_c("u9") },
				      { .kind = ROOM_LOG_JOIN, .uid = dk_str_c("u9"), .t_ms = 30000 } };
	struct room_log_event leave = { .kind = ROOM_LOG_LEAVE, .uid = dk_str_c("u0"), .reason = DK_REASON_CLIENT };
	struct room_log_event reserve = { .kind = ROOM_LOG_RESERVE, .uids = { bytes("\0\2u1"), 1 } };
	struct room_log_writer w;
	struct room_replay r;

	reserve.uids.bytes = dk_slice_n("\0\2u1", 4);
	memset(buf, 0, sizeof(buf));
	ck_assert(room_log_begin(&w, buf, sizeof(buf), &(struct dk_id52){ "" }, 1));
	ck_assert(room_log_put(&w, &create_it));
	if (_i == 2) { /* one seat is reserved, and one taken */
		ck_assert(room_log_put(&w, &join));
		ck_assert(room_log_put(&w, &reserve));
	} else if (_i < 2) {
		ck_assert(room_log_put(&w, &join));
	} else {
		ck_assert(room_log_put(&w, &join));
		ck_assert(room_log_put(&w, &leave));
	}
	ck_assert(room_log_put(&w, &e[_i]));
	ck_assert_int_eq(room_replay(dk_slice_n(buf, sizeof(buf)), NULL, &r), 1);
	ck_assert_msg(strstr(r.why, whys[_i] + 9) != NULL, "%s", r.why);
	ck_assert_uint_eq(r.records, _i < 2 ? 2 : 3);
}
END_TEST

START_TEST(refused_configurations)
{
	dk_id other;
	struct dk_room_opts o = { .max_members = 2, .allow_empty = true, .ttl_s = 10 };

	open_node("record_rooms = 1;");
	create(true, 4);
	ck_assert_int_eq(rooms->create(rooms, 0, &o, &other), 0);
	ck_assert_int_eq(dk_harness_counter(h, "room", "recordings"), 1);
	ck_assert_int_eq(dk_harness_counter(h, "room", "record_skipped"), 1);
	free_node();
	/* a folder that is not there: the room is, all the same */
	h = dk_harness_open(&(const struct dk_harness_opts){
		.config = "plugins = { user = {}; room = { record = true; record_dir = \"/nowhere/at/all\"; }; };", .seed = 5 });
	ck_assert_ptr_nonnull(h);
	rooms = dk_harness_service(h, DK_ROOM_NAME);
	users = dk_harness_service(h, DK_USER_NAME);
	create(true, 4);
	ck_assert_int_eq(dk_harness_counter(h, "room", "record_failed"), 1);
	ck_assert(dk_harness_log_has(h, "a room is recorded no more: /nowhere/at/all/"));
	free_node();
}
END_TEST

/* Rooms of the field and of tests, as they were recorded once: they behave today as they did then. */
START_TEST(stored_recordings)
{
	const char *srcdir = getenv("TEST_SRCDIR");
	char corpus[512], path[1024];
	struct room_replay r;
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir;

	snprintf(corpus, sizeof(corpus), "%s/tests/fuzz/corpus/record", srcdir ? srcdir : ".");
	dir = opendir(corpus);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		const char *end = strrchr(entry->d_name, '.');
		FILE *f;

		if (!end || strcmp(end, ".room") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", corpus, entry->d_name);
		f = fopen(path, "rb");
		ck_assert_ptr_nonnull(f);
		file_n = fread(file, 1, sizeof(file), f);
		fclose(f);
		ck_assert_msg(room_replay(dk_slice_n(file, file_n), NULL, &r) == 0, "%s: %s", entry->d_name, r.why);
		ck_assert_uint_gt(r.checks, 0);
		n++;
	}
	closedir(dir);
	ck_assert_uint_gt(n, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("room_record");
	TCase *t = tcase_create("record");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, random_commands, 0, 20);
	tcase_add_test(t, it_expires);
	tcase_add_test(t, node_dies);
	tcase_add_test(t, begins_anew_when_it_is_full);
	tcase_add_test(t, changed_files);
	tcase_add_loop_test(t, another_outcome, 0, 4);
	tcase_add_test(t, refused_configurations);
	tcase_add_test(t, stored_recordings);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
