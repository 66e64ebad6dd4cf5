/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks of rooms: when they run, what ends them, what becomes of them when the room moves; and the time that rooms live. */
#include "fabric.h"

#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct probe {
	struct dk_self base;
	struct dk_room *room;
	struct dk_timer timer;
};

static char events[4096];
static const char *stop_in; /* the clock that stops itself when it runs */
static bool remove_in, again_in_migrated, silent;

static void event(const char *fmt, ...)
{
	size_t n = strlen(events);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(events + n, sizeof(events) - n, fmt, ap);
	va_end(ap);
}

static void on_tick(void *self, void *arg, dk_id room)
{
	struct probe *p = self;
	struct dk_room_info info;

	ck_assert_int_eq(p->room->info(p->room, room, &info), 0);
	event("%s ", (const char *)arg);
	if (stop_in && !strcmp(stop_in, arg))
		ck_assert_int_eq(p->room->stop_clock(p->room, p, room, dk_str_c(arg)), 0);
	if (remove_in)
		p->room->remove(p->room, room, 2, 1, dk_slice_n(NULL, 0));
}

static void on_stopped(void *self, void *arg, dk_id room)
{
	struct probe *p = self;
	struct dk_room_info info;

	ck_assert_int_eq(p->room->info(p->room, room, &info), 0);
	event("-%s ", (const char *)arg);
}

static void on_discarded(struct probe *p, const struct dk_room_event *ev)
{
	event("discarded%s ", ev->moved ? " here" : "");
	ck_assert_int_eq(p->room->start_tick(p->room, p, ev->room, on_tick, on_stopped, "late"), DK_ROOM_GONE);
}

static void on_migrated(struct probe *p, const struct dk_room_migrated *ev)
{
	event("migrated ");
	if (again_in_migrated)
		ck_assert_int_eq(p->room->start_tick(p->room, p, ev->room, on_tick, on_stopped, "again"), 0);
}

static int probe_init(void *self)
{
	struct probe *p = self;

	dk_connect(p, &p->room->discarded, on_discarded);
	dk_connect(p, &p->room->migrated, on_migrated);
	return 0;
}

static const struct dk_need probe_needs[] = { DK_NEED(struct probe, room, DK_ROOM), { 0 } };
static const struct dk_ops probe_ops = { .init = probe_init };

DK_PLUGIN(probe) = {
	DK_PLUGIN_HEAD("probe", "1", "the test's own"),
	.self_size = sizeof(struct probe),
	.needs = probe_needs,
	.ops = &probe_ops,
};
DK_PLUGIN(other) = {
	DK_PLUGIN_HEAD("other", "1", "another one"),
	.self_size = sizeof(struct probe),
	.needs = probe_needs,
	.ops = &(const struct dk_ops){ .init = NULL },
};

static struct player *ann;
static struct dk_room *rooms;
static struct probe *probe, *other;
static dk_id room;

static void *plugin(const char *name)
{
	void *p = dk_plugin_state(dk_harness_kernel(fabric[0].h), name);

	ck_assert_ptr_nonnull(p);
	return p;
}

static void setup(void)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, &dk_plugin_other, NULL };
	struct dk_room_opts o = { .max_members = 4, .join = true, .allow_empty = true, .ttl_s = 12 };

	events[0] = '\0';
	stop_in = NULL;
	remove_in = again_in_migrated = silent = false;
	fabric_open(2, 1, "", plugins, "probe = {}; other = {}");
	rooms = fabric[0].rooms;
	probe = plugin("probe");
	other = plugin("other");
	ann = player_new(0, "ann");
	ck_assert_int_eq(rooms->create(rooms, player_user(ann), &o, &room), 0);
}

static void teardown(void)
{
	fabric_close();
	if (silent)
		ck_assert_msg(!strchr(events, '-'), "%s", events);
}

static int clock_on(struct probe *p, const char *name, uint32_t every_s)
{
	return rooms->start_clock(rooms, p, room, dk_str_c(name), every_s, on_tick, on_stopped, (void *)(uintptr_t)name);
}

static void expect(const char *want)
{
	ck_assert_str_eq(events, want);
	events[0] = '\0';
}

START_TEST(by_name)
{
	ck_assert_int_eq(clock_on(probe, "two", 2), 0);
	ck_assert_int_eq(clock_on(probe, "three", 3), 0);
	ck_assert_int_eq(clock_on(probe, "two", 1), DK_EXISTS); /* the first one goes on */
	fabric_run(1990);
	expect("");
	fabric_run(4020);
	ck_assert_uint_eq(strlen(events), 3 * strlen("two ") + 2 * strlen("three "));
	expect(strstr(events, "two three two three two ") ? "two three two three two " : "two three two two three ");
	ck_assert_int_eq(rooms->stop_clock(rooms, probe, room, dk_str_c("two")), 0);
	expect("-two ");
	ck_assert_int_eq(rooms->stop_clock(rooms, probe, room, dk_str_c("two")), DK_NOT_FOUND);
	ck_assert_int_eq(rooms->stop_clock(rooms, other, room, dk_str_c("three")), DK_NOT_FOUND);
	fabric_run(3000);
	expect("three ");
	ck_assert_int_eq(clock_on(probe, "two", 1), 0);
	fabric_run(1001);
	expect("two ");
	ck_assert_int_eq(fabric_count(0, "clock_ticks"), 7);
}
END_TEST

START_TEST(tick)
{
	ck_assert_int_eq(rooms->start_tick(rooms, probe, room, on_tick, on_stopped, "tick"), 0);
	ck_assert_int_eq(rooms->start_tick(rooms, probe, room, on_tick, on_stopped, "tock"), DK_EXISTS);
	ck_assert_int_eq(rooms->start_tick(rooms, other, room, on_tick, on_stopped, "other"), 0); /* each plugin has its own */
	fabric_run(4990);
	expect("");
	fabric_run(20);
	expect("tick other ");
	ck_assert_int_eq(rooms->stop_tick(rooms, other, room), 0);
	expect("-other ");
	ck_assert_int_eq(rooms->stop_tick(rooms, other, room), DK_NOT_FOUND);
	fabric_run(5000);
	expect("tick ");
}
END_TEST

START_TEST(refused)
{
	static char names[64][8]; /* clocks are told of their end when the node ends */
	char long_name[257];

	memset(long_name, 'x', 256);
	long_name[256] = '\0';
	ck_assert_int_eq(clock_on(probe, "", 1), DK_ROOM_BAD_PARAMS);
	ck_assert_int_eq(clock_on(probe, long_name, 1), DK_ROOM_BAD_PARAMS);
	ck_assert_int_eq(clock_on(probe, "x", 0), DK_ROOM_BAD_PARAMS);
	ck_assert_int_eq(clock_on(probe, "x", 86401), DK_ROOM_BAD_PARAMS);
	for (unsigned i = 0; i < 64; i++) {
		snprintf(names[i], sizeof(names[i]), "%u", i);
		ck_assert_int_eq(clock_on(probe, names[i], 86400), 0);
	}
	ck_assert_int_eq(clock_on(probe, "x", 1), DK_FULL);
	room = 12345;
	ck_assert_int_eq(clock_on(probe, "x", 1), DK_ROOM_GONE);
	ck_assert_int_eq(rooms->stop_clock(rooms, probe, room, dk_str_c("x")), DK_ROOM_GONE);
}
END_TEST

START_TEST(ends_itself)
{
	ck_assert_int_eq(clock_on(probe, "one", 1), 0);
	ck_assert_int_eq(clock_on(probe, "two", 2), 0);
	stop_in = "one";
	fabric_run(2001);
	expect("one -one two ");
	remove_in = true;
	fabric_run(2000);
	expect("two discarded -two ");
}
END_TEST

/* Members or not, until the room's time is over. */
START_TEST(with_its_room)
{
	ck_assert_int_eq(rooms->start_tick(rooms, probe, room, on_tick, NULL, "tick"), 0);
	ck_assert_int_eq(clock_on(other, "rare", 100), 0);
	ck_assert_int_eq(rooms->leave(rooms, room, player_user(ann), 1, 102, dk_slice_n(NULL, 0)), 0);
	fabric_run(12100);
	expect("tick tick discarded -rare ");
}
END_TEST

/* They stay behind; who wants them starts them over there. */
START_TEST(room_moves)
{
	again_in_migrated = true;
	ck_assert_int_eq(clock_on(probe, "one", 3), 0);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(1000);
	ck_assert_uint_eq(ann->node, 1);
	expect("discarded here -one migrated ");
	fabric_run(5000);
	expect("again ");
}
END_TEST

/* While it is frozen nothing runs: what was due then is passed over, and the next time is as if it had run. The way to the other
 * node is cut, so five tries freeze the room: from 950 ms on for 100 ms, and the last one from 3.4 to 4.4 s or so. */
START_TEST(frozen_room)
{
	unsigned frozen = 0, silent_seconds = 0, ticks = 0;

	ck_assert_int_eq(clock_on(probe, "one", 1), 0);
	fabric_run(950);
	fabric_cut(0, 1, true);
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	for (unsigned ms = 951; ms <= 7900; ms++) {
		bool was = rooms->change_ttl(rooms, room, 12) == DK_ROOM_MOVING, is;

		fabric_run(1);
		is = rooms->change_ttl(rooms, room, 12) == DK_ROOM_MOVING;
		frozen += is;
		silent_seconds += was && is && ms % 1000 == 0;
		ck_assert(!was || !is || !events[0]);
		ticks += events[0] != '\0';
		if (events[0])
			expect("one ");
	}
	ck_assert_uint_ge(silent_seconds, 2);
	ck_assert_uint_eq(ticks + silent_seconds, 7); /* none was made up for */
	ck_assert_uint_gt(frozen, 1000);
	ck_assert_uint_eq(ann->node, 0);
	fabric_cut(0, 1, false);
}
END_TEST

/* The node ends: nobody is told, and nothing is left. */
START_TEST(with_its_plugin)
{
	fabric_kill(1);
	fabric_believe(0, 1, DK_DEAD);
	fabric_run(10);
	ck_assert_int_eq(rooms->start_tick(rooms, probe, room, on_tick, on_stopped, "tick"), 0);
	ck_assert_int_eq(clock_on(other, "one", 1), 0);
	silent = true;
}
END_TEST

START_TEST(time_to_live)
{
	struct dk_room_info info;

	ck_assert_int_eq(rooms->change_ttl(rooms, room, 0), DK_ROOM_BAD_PARAMS);
	ck_assert_int_eq(rooms->change_ttl(rooms, room, 20), 0);
	ck_assert_int_eq(rooms->info(rooms, room, &info), 0);
	ck_assert_uint_eq(info.ttl_s, 20);
	ck_assert_int_eq(rooms->leave(rooms, room, player_user(ann), 1, 102, dk_slice_n(NULL, 0)), 0);
	fabric_run(19000);
	ck_assert_int_eq(rooms->change_ttl(rooms, room, 3), 0); /* 10, from now on */
	fabric_run(9900);
	expect("");
	fabric_run(200);
	expect("discarded ");
	ck_assert_int_eq(rooms->change_ttl(rooms, room, 10), DK_ROOM_GONE);
}
END_TEST

START_TEST(looking)
{
	dk_str bob = dk_str_c("bob");
	const dk_str three[] = { dk_str_c("a"), dk_str_c("b"), dk_str_c("c") };
	struct player *cid = player_new(0, "cid");

	ck_assert_uint_eq(rooms->member(rooms, room, dk_str_c("ann")), player_user(ann));
	ck_assert_uint_eq(rooms->member(rooms, room, bob), 0);
	ck_assert_uint_eq(rooms->member(rooms, room, dk_str_c("cid")), 0);
	ck_assert_uint_eq(rooms->member(rooms, 0, dk_str_c("cid")), 0);
	ck_assert(player_user(cid));
	ck_assert(!rooms->is_full(rooms, room));
	ck_assert_int_eq(rooms->reserve(rooms, room, 0, three, 3, false), 0);
	ck_assert(rooms->is_full(rooms, room));
	ck_assert(!rooms->is_full(rooms, 12345));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_clock");
	TCase *t = tcase_create("clocks");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, by_name);
	tcase_add_test(t, tick);
	tcase_add_test(t, refused);
	tcase_add_test(t, ends_itself);
	tcase_add_test(t, with_its_room);
	tcase_add_test(t, room_moves);
	tcase_add_test(t, frozen_room);
	tcase_add_test(t, with_its_plugin);
	tcase_add_test(t, time_to_live);
	tcase_add_test(t, looking);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
