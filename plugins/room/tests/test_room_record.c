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
static uint32_t interval_ms = 50;

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

/* what: with the folder in the place of %s. */
static int system_in_folder(const char *what)
{
	const char *at = strstr(what, "%s");
	char command[256];

	snprintf(command, sizeof(command), "%.*s%s%s", (int)(at - what), what, folder, at + 2);
	return system(command);
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
	struct dk_room_opts o = {
		.max_members = max, .allow_empty = allow_empty, .join = true, .ttl_s = 20, .interval_ms = interval_ms
	};
	struct dk_room_info info;

	ck_assert_int_eq(rooms->create(rooms, user(0), &o, &the_room), 0);
	ck_assert_int_eq(rooms->info(rooms, the_room, &info), 0);
	the_id = info.id;
}

static dk_slice bytes(const char *text)
{
	return dk_slice_of(dk_str_c(text));
}

/* Values of all kinds under a few names, one by one and several at once; some updates are taken back. */
static struct dk_value value_of(unsigned k)
{
	return k % 3 == 1 ? dk_value_str(dk_str_c("a text that is longer than a few bytes"))
			  : dk_value_int_(DK_V_INT, (int64_t)k);
}

static bool several(void *arg, struct dk_room *svc, dk_id room)
{
	unsigned k = *(unsigned *)arg;
	struct dk_value v = value_of(k);
	int64_t sum;

	svc->set(svc, room, dk_str_c("p1"), &v);
	svc->unset(svc, room, k % 2 ? dk_str_c("p2") : dk_str_c("nothing"));
	svc->incr(svc, room, dk_str_c("sum"), k, &sum);
	if (k % 7 == 0)
		ck_assert_int_eq(svc->update(svc, room, several, arg), -EDEADLK);
	return k % 4 != 0;
}

static void props_step(unsigned r, unsigned k)
{
	struct dk_value v = value_of(k);
	char name[16];
	int64_t sum;

	snprintf(name, sizeof(name), "p%u", k % 7);
	switch (r % 5) {
	case 0:
	case 1:
		rooms->set(rooms, the_room, k % 11 ? dk_str_c(name) : dk_str_c(""), &v);
		break;
	case 2:
		rooms->unset(rooms, the_room, dk_str_c(name));
		break;
	case 3:
		rooms->incr(rooms, the_room, k % 3 ? dk_str_c("sum") : dk_str_c(name), k, &sum);
		break;
	default:
		rooms->update(rooms, the_room, several, &k);
	}
}

static dk_slice longer(void *arg, bool exists, dk_slice current)
{
	char *buf = arg;

	buf[0] = 'x';
	if (exists)
		buf[0] = (char)(current.p[0] + 1);
	return dk_slice_n(buf, 1);
}

static void states_step(unsigned r, unsigned k)
{
	struct dk_room_states_opts o = { .interval_ms = 40 + k % 3 * 40, .all_delay_ms = k % 200, .ttl_ms = k % 8 ? 700 : 0 };
	char key[8], value[40];

	snprintf(key, sizeof(key), "k%u", k % 9);
	snprintf(value, sizeof(value), "%u", k);
	switch (r % 6) {
	case 0:
		if (k % 4 == 0)
			rooms->enable_states(rooms, the_room, &o);
		break;
	case 1:
	case 2:
		rooms->set_state(rooms, the_room, bytes(key), bytes(value), k % 3 ? 0 : user(k % 12), k % 2);
		break;
	case 3:
		rooms->upsert_state(rooms, the_room, bytes(key), 0, k % 2, longer, value);
		break;
	case 4:
		rooms->remove_state(rooms, the_room, bytes(key));
		break;
	default:
		rooms->set_state(rooms, the_room, bytes(key), bytes(""), 0, true);
	}
}

static void objects_step(unsigned r, unsigned k)
{
	struct dk_room_field f[2] = { { dk_str_c(k % 2 ? "x" : "y"), k % 100 }, { dk_str_c("z"), 0.5 } };
	char name[8];

	snprintf(name, sizeof(name), "o%u", k % 5);
	rooms->update_object(rooms, the_room, (enum dk_room_object_mode)(1 + r % 4), dk_str_c(name), f, k % 3, k % 2);
}

static void no_clock(void *self, void *arg, dk_id room)
{
	(void)self;
	(void)arg;
	(void)room;
}

static void clocks_step(unsigned r, unsigned k)
{
	void *app = dk_app(dk_harness_kernel(h));
	char name[8];

	snprintf(name, sizeof(name), "c%u", k % 4);
	switch (r % 4) {
	case 0:
		rooms->start_clock(rooms, app, the_room, dk_str_c(name), k % 3, no_clock, no_clock, NULL);
		break;
	case 1:
		rooms->stop_clock(rooms, app, the_room, dk_str_c(name));
		break;
	case 2:
		rooms->start_tick(rooms, app, the_room, no_clock, NULL, NULL);
		break;
	default:
		rooms->stop_tick(rooms, app, the_room);
	}
}

static void talk_step(unsigned r, unsigned k)
{
	dk_id to[2] = { user(k % 12), user(1) };
	static char text[70000];

	memset(text, 'x', sizeof(text) - 1);
	switch (r % 8) {
	case 0:
	case 1:
		rooms->broadcast(rooms, the_room, user(k % 12), 1, 103, bytes("a message"), k % 2);
		break;
	case 2:
		rooms->announce(rooms, the_room, NULL, 0, 3, (uint16_t)(k % 3), bytes("from the server"), k % 2);
		break;
	case 3:
		rooms->message(rooms, the_room, user(k % 12), to, 2, 1, 104, bytes("to some"), true);
		break;
	case 4:
		rooms->chat(rooms, the_room, k % 3 ? user(k % 12) : 0, k % 5 ? dk_str_c("a text of chat") : dk_str_c(""));
		break;
	case 5:
		for (unsigned i = 0; i < k % 14; i++)
			rooms->chat(rooms, the_room, user(0), dk_str_c("fast"));
		break;
	case 6:
		rooms->chat_limit(rooms, the_room, k % 3 ? k % 20 : 1000);
		break;
	default:
		rooms->relay(rooms, the_room, user(k % 12), 1, 18, bytes(k % 20 ? "a relay" : text), true);
	}
}

static void seats_step(unsigned r, unsigned k)
{
	dk_str uids[3] = { dk_str_c("u1"), dk_str_c("u5"), dk_str_c("u9") };

	switch (r % 10) {
	case 0:
	case 1:
	case 2:
	case 3:
		rooms->join(rooms, the_room, user(k % 12), 1, 101, bytes("hi"));
		break;
	case 4:
		rooms->leave(rooms, the_room, user(k % 12), 1, 102, bytes("bye"));
		break;
	case 5:
		users->disconnect(users, user(k % 12), DK_REASON_SILENCE);
		break;
	case 6:
		rooms->reserve(rooms, the_room, user(k % 12), uids + k % 2, k % 3, k % 5 == 0);
		break;
	case 7:
		rooms->cancel_reservation(rooms, the_room, user(k % 12), uids + k % 3, 1, k % 5 == 0);
		break;
	case 8:
		rooms->change_ttl(rooms, the_room, k % 4 * 20);
		break;
	default:
		rooms->reserve(rooms, the_room, 0, uids + k % 2, 1 + k % 2, false);
	}
}

static void step(unsigned r, unsigned k)
{
	static void (*const what[])(unsigned, unsigned) = { seats_step, seats_step,   props_step,  states_step,
							    states_step, objects_step, clocks_step, talk_step, talk_step };

	what[r % DK_ARRAY_LEN(what)](r / 16, k);
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

/* What the random commands are: of each kind that one node has some are done, and of each that can be refused some are refused. */
START_TEST(every_input)
{
	static const enum room_log_kind done[] = {
		ROOM_LOG_JOIN,	     ROOM_LOG_LEAVE,	    ROOM_LOG_RESERVE, ROOM_LOG_CANCEL,	 ROOM_LOG_TTL,
		ROOM_LOG_SET,	     ROOM_LOG_UNSET,	    ROOM_LOG_INCR,    ROOM_LOG_UPDATE,	 ROOM_LOG_UPDATED,
		ROOM_LOG_STATES,     ROOM_LOG_STATE_SET,    ROOM_LOG_OBJECT,  ROOM_LOG_CHAT,	 ROOM_LOG_STATE_REMOVE,
		ROOM_LOG_CHAT_LIMIT, ROOM_LOG_CLOCK,	    ROOM_LOG_SAY,     ROOM_LOG_SEND,	 ROOM_LOG_CLOCK_STOP,
		ROOM_LOG_FLUSH,	     ROOM_LOG_TIMER,	    ROOM_LOG_CHECK
	};
	static const enum room_log_kind not_done[] = {
		ROOM_LOG_JOIN,	ROOM_LOG_LEAVE,	 ROOM_LOG_RESERVE,   ROOM_LOG_CANCEL, ROOM_LOG_TTL,
		ROOM_LOG_SET,	ROOM_LOG_UNSET,	 ROOM_LOG_INCR,	     ROOM_LOG_UPDATE, ROOM_LOG_STATE_SET,
		ROOM_LOG_CHAT,	ROOM_LOG_OBJECT, ROOM_LOG_CHAT_LIMIT, ROOM_LOG_CLOCK, ROOM_LOG_STATE_REMOVE,
		ROOM_LOG_SAY,	ROOM_LOG_SEND,	 ROOM_LOG_CLOCK_STOP
	};
	unsigned yes[ROOM_LOG_KINDS] = { 0 }, no[ROOM_LOG_KINDS] = { 0 }, timers[8] = { 0 };
	struct room_log_reader r;
	struct room_log_event e;
	const char *why;

	for (unsigned seed = 1; seed < 4; seed++) {
		open_node("record_keep = true;");
		create(true, 8);
		random_run(seed, 400);
		ck_assert(read_recording(""));
		free_node();
		ck_assert_int_eq(room_log_open(&r, dk_slice_n(file, file_n), &why), 0);
		while (room_log_next(&r, &e, &why) == 0) {
			(e.outcome ? no : yes)[e.kind]++;
			timers[e.kind == ROOM_LOG_TIMER ? e.how : 0]++;
		}
	}
	for (size_t i = 0; i < DK_ARRAY_LEN(done); i++)
		ck_assert_msg(yes[done[i]] > 0, "never done: %s", room_log_what(done[i]));
	for (size_t i = 0; i < DK_ARRAY_LEN(not_done); i++)
		ck_assert_msg(no[not_done[i]] > 0, "never refused: %s", room_log_what(not_done[i]));
	for (unsigned i = ROOM_TIMER_TICK; i <= ROOM_TIMER_CLOCK; i++)
		ck_assert_msg(timers[i] > 0, "timer %u never ran", i);
}
END_TEST

static bool agrees(void *arg, struct dk_room *svc, dk_id room)
{
	(void)arg;
	(void)svc;
	return room != 0;
}

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
	ck_assert_int_eq(rooms->update(rooms, the_room, agrees, NULL), 0); /* and anew, though nothing changes */
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

/* Whichever byte is another one: refused, with a sentence. */
START_TEST(changed_files)
{
	struct room_log_reader r;
	struct room_log_event e;
	struct room_replay result;
	const char *why;
	size_t used;

	open_node("");
	create(true, 4);
	random_run(3, 12);
	ck_assert(read_recording(""));
	free_node();
	ck_assert_int_eq(room_log_open(&r, dk_slice_n(file, file_n), &why), 0);
	while (room_log_next(&r, &e, &why) == 0)
		;
	ck_assert_uint_gt(r.n, 10);
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
	file[200] ^= 1;
	ck_assert_int_eq(room_replay(dk_slice_n(file, file_n), NULL, &result), -EPROTO);
	ck_assert_str_eq(result.why, "a checksum is wrong: the file was changed, or is incomplete");
	ck_assert_int_eq(room_replay(bytes("nonsense"), NULL, &result), -EPROTO);
	ck_assert_str_eq(result.why, "it does not begin as a recording of a room does");
	ck_assert_int_eq(room_replay(dk_slice_n(file, ROOM_LOG_HEAD), NULL, &result), -EPROTO);
	ck_assert_str_eq(result.why, "there is nothing in it");
	file[7] = 1;
	ck_assert_int_eq(room_replay(dk_slice_n(file, file_n), NULL, &result), -EPROTO);
	ck_assert_msg(strstr(result.why, "version 1 of the layout"), "%s", result.why);
	file[7] = 3;
	ck_assert_int_eq(room_replay(dk_slice_n(file, file_n), NULL, &result), -EPROTO);
	ck_assert_msg(strstr(result.why, "later version of the layout"), "%s", result.why);
}
END_TEST

/* A machine lost its power: the file ends anywhere, or its last pages were never written. All before that is played. */
START_TEST(torn_files)
{
	struct room_log_reader r;
	struct room_log_event e;
	struct room_replay result;
	const char *why;
	size_t used, ends[256], n = 0;
	static uint8_t cut[1 << 20];

	open_node("");
	create(true, 4);
	random_run(3, 12);
	ck_assert(read_recording(""));
	free_node();
	ck_assert_int_eq(room_log_open(&r, dk_slice_n(file, file_n), &why), 0);
	while (room_log_next(&r, &e, &why) == 0 && n < 256)
		ends[n++] = r.at;
	used = r.at;
	ck_assert_uint_gt(n, 10);
	for (size_t at = ends[1], k = 1; at < used; at++) {
		while (k + 1 < n && ends[k + 1] <= at)
			k++;
		for (unsigned zeroed = 0; zeroed < 2; zeroed++) {
			int rc;

			/* a disk writes sectors of 512 bytes; the length of a record is its first four */
			if (zeroed && (at < ends[k] + 4 && at > ends[k] && at % 512))
				continue;
			memset(cut, 0, file_n);
			memcpy(cut, file, at);
			rc = room_log_open(&r, dk_slice_n(cut, zeroed ? file_n : at), &why);
			while (rc == 0)
				rc = room_log_next(&r, &e, &why);
			ck_assert_msg(rc == DK_NOT_FOUND, "cut at %zu, zeroes behind it %u: %s", at, zeroed, why);
			ck_assert_uint_eq(r.n, k + 1);
			ck_assert(r.torn == (at != ends[k] && (!zeroed || at >= ends[k] + 4 || at % 512 == 0)));
		}
		if (at % 97 == 0) {
			ck_assert_msg(room_replay(dk_slice_n(file, at), NULL, &result) == 0, "%s", result.why);
			ck_assert_uint_eq(result.records, k + 1);
			ck_assert_uint_eq(result.used, ends[k]);
		}
	}
}
END_TEST

/* A recording that is whole, of a room that did not do what rooms do. */
START_TEST(another_outcome)
{
	static uint8_t buf[4096];
	struct room_log_event conf = { .kind = ROOM_LOG_CONF, .conf = { .max_message = 100, .max_chat = 10, .max_states = 4 } };
	struct room_log_event create_it = { .kind = ROOM_LOG_CREATE,
					    .opts = { .max_members = 2, .allow_empty = true, .ttl_s = 10 },
					    .uid = dk_str_c("u0"),
					    .at_ms = 1000 };
	struct room_log_event join = { .kind = ROOM_LOG_JOIN, .uid = dk_str_c("u0") };
	struct room_log_event reserve = { .kind = ROOM_LOG_RESERVE, .uids = { dk_slice_n("\0\2u1", 4), 1 } };
	static const struct {
		struct room_log_event e;
		const char *why;
	} steps[] = {
		{ { .kind = ROOM_LOG_CHECK, .mask = 1 << ROOM_PART_CHAT, .parts = { [ROOM_PART_CHAT] = 5 } },
		  "a check of the state: not as it was then: settings and times; members and owner; reservations" },
		{ { .kind = ROOM_LOG_LEAVE, .uid = { "u1", 2 }, .how = DK_REASON_CLIENT },
		  "a member leaves (u1): the outcome is 19 here, the user is no member, and was 0, it is done" },
		{ { .kind = ROOM_LOG_JOIN, .uid = { "u9", 2 } },
		  "a user joins (u9): the outcome is 17 here, the room is full, and was 0, it is done" },
		{ { .kind = ROOM_LOG_JOIN, .uid = { "u1", 2 }, .outcome = DK_ROOM_IS_FULL },
		  "a user joins (u1): the outcome is 0 here, it is done, and was 17, the room is full" },
		{ { .kind = ROOM_LOG_END, .how = ROOM_END_EXPIRED, .t_ms = 30000 },
		  "the room ends: the timer ran, and is not armed here" },
		{ { .kind = ROOM_LOG_TIMER, .how = ROOM_TIMER_TICK }, "a timer: the timer ran, and is not armed here" },
		{ { .kind = ROOM_LOG_END, .how = ROOM_END_EMPTY }, "the room ends: the room had ended, and lives here" },
	};
	struct room_log_writer w;
	struct room_replay r;

	memset(buf, 0, sizeof(buf));
	ck_assert(room_log_begin(&w, buf, sizeof(buf), &(struct room_log_head){ .now_ms = 77, .unix_ms = 1000 }));
	ck_assert(room_log_put(&w, &conf));
	ck_assert(room_log_put(&w, &create_it));
	ck_assert(room_log_put(&w, &join));
	ck_assert(room_log_put(&w, &reserve)); /* one seat is reserved, and one taken */
	ck_assert(room_log_put(&w, &steps[_i].e));
	ck_assert_int_eq(room_replay(dk_slice_n(buf, sizeof(buf)), NULL, &r), 1);
	ck_assert_msg(strstr(r.why, steps[_i].why) != NULL, "%s", r.why);
	ck_assert_uint_eq(r.records, 4);
	ck_assert_uint_eq(r.record, 5);
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
	/* files of others are in the folder: there is space for one more */
	ck_assert_int_eq(system_in_folder("head -c 500000 /dev/zero >%s/old.room"), 0);
	open_node("record_max_bytes = 1600000;");
	ck_assert_int_eq(dk_harness_counter(h, "room", "record_bytes"), 500000);
	create(true, 4);
	ck_assert_int_eq(rooms->create(rooms, 0, &o, &other), 0);
	ck_assert_int_eq(dk_harness_counter(h, "room", "recordings"), 1);
	ck_assert_int_eq(dk_harness_counter(h, "room", "record_full"), 1);
	ck_assert_int_eq(dk_harness_counter(h, "room", "record_bytes"), 500000 + 1048576);
	/* a full file makes place for the next one, and is not kept beside it */
	for (unsigned i = 0; i < 40; i++) {
		ck_assert_int_eq(rooms->announce(rooms, the_room, NULL, 0, 1, 1, dk_slice_n(file, 60000), true), 0);
		dk_harness_advance(h, 10);
	}
	ck_assert_int_ge(dk_harness_counter(h, "room", "record_rounds"), 1);
	ck_assert_int_eq(dk_harness_counter(h, "room", "record_bytes"), 500000 + 1048576);
	ck_assert(!read_recording(".old"));
	ck_assert(read_recording(""));
	replays(3);
	free_node();
	ck_assert_int_eq(system_in_folder("rm %s/old.room"), 0);
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
	tcase_add_test(t, every_input);
	tcase_add_test(t, it_expires);
	tcase_add_test(t, node_dies);
	tcase_add_test(t, begins_anew_when_it_is_full);
	tcase_add_test(t, changed_files);
	tcase_add_test(t, torn_files);
	tcase_add_loop_test(t, another_outcome, 0, 7);
	tcase_add_test(t, refused_configurations);
	tcase_add_test(t, stored_recordings);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
