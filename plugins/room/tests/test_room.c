/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin room in a node of its own: what clients of the transport mem say and hear, and, through a probe plugin, the order of
 * signals, filters that say no, and handlers that pull the room away under the plugin's feet.
 */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/mem_transport.h>
#include <diarkis/plugin.h>
#include <diarkis/room.h>
#include <diarkis/room_commands.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

/* ---- the probe ---- */

struct probe {
	struct dk_self base;
	struct dk_user *user;
	struct dk_room *room;
	int veto_all, veto_one; /* results of the two filters */
	const char *last_words; /* for members that are cut off */
	const char *remove_in; /* the signal in which the room is removed */
};

static char events[4096];

static void event(const char *fmt, ...)
{
	size_t n = strlen(events);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(events + n, sizeof(events) - n, fmt, ap);
	va_end(ap);
}

static void maybe_remove(struct probe *p, dk_id room, const char *in)
{
	if (p->remove_in && !strcmp(p->remove_in, in)) {
		p->remove_in = NULL;
		ck_assert_int_eq(p->room->remove(p->room, room, 2, 9, dk_slice_of(dk_str_c("removed"))), 0);
	}
}

static const char *uid(struct probe *p, dk_id user)
{
	static char text[4][32];
	static unsigned at;
	dk_str s = p->user->uid(p->user, user);

	at = (at + 1) % 4;
	snprintf(text[at], sizeof(text[at]), DK_STR_FMT, DK_STR_ARG(s));
	return text[at];
}

static int on_join_condition(struct probe *p, struct dk_room_join *ask)
{
	event("condition %s " DK_STR_FMT "\n", uid(p, ask->user), DK_STR_ARG(dk_str_of(ask->message)));
	maybe_remove(p, ask->room, "condition");
	return p->veto_all;
}

static int on_may_join(struct probe *p, struct dk_room_join *ask)
{
	event("may %s\n", uid(p, ask->user));
	return p->veto_one;
}

static void on_join_failed(struct probe *p, const struct dk_room_join *ev)
{
	event("failed %s\n", uid(p, ev->user));
}

static int on_discarding(struct probe *p, struct dk_room_discard *ask)
{
	event("discarding %s\n", uid(p, ask->user));
	if (p->last_words) {
		ask->message = dk_slice_of(dk_str_c(p->last_words));
		ask->ver = 2;
		ask->cmd = 77;
	}
	return 0;
}

static void on_property_changed(struct probe *p, const struct dk_room_property_event *ev)
{
	event("property " DK_STR_FMT " %d %lld\n", DK_STR_ARG(ev->name), ev->value ? (int)ev->value->type : 0,
	      ev->value && ev->value->type == DK_V_INT ? (long long)ev->value->as.i : 0);
	maybe_remove(p, ev->room, "property");
}

static void on_created(struct probe *p, const struct dk_room_event *ev)
{
	event("created\n");
	ck_assert_uint_eq(p->room->find(p->room, ev->id), ev->room);
	maybe_remove(p, ev->room, "created");
}

static void on_changed(struct probe *p, const struct dk_room_member_event *ev)
{
	if (ev->change == DK_ROOM_PROPERTIES_CHANGED) {
		event("changed %u\n", ev->members);
		return;
	}
	event("changed %s %s %u\n", ev->change == DK_ROOM_MEMBER_ADDED ? "+" : "-", uid(p, ev->user), ev->members);
	maybe_remove(p, ev->room, "changed");
}

static void on_joined(struct probe *p, const struct dk_room_member_event *ev)
{
	event("joined %s\n", uid(p, ev->user));
	ck_assert(p->room->is_member(p->room, ev->room, ev->user));
	maybe_remove(p, ev->room, "joined");
}

static void on_left(struct probe *p, const struct dk_room_member_event *ev)
{
	event("left %s %d\n", uid(p, ev->user), ev->reason);
	ck_assert(!p->room->is_member(p->room, ev->room, ev->user));
	maybe_remove(p, ev->room, "left");
}

static void on_owner_changed(struct probe *p, const struct dk_room_owner_event *ev)
{
	event("owner %s\n", uid(p, ev->owner));
	maybe_remove(p, ev->room, "owner");
}

static void on_announced(struct probe *p, const struct dk_room_sent *ev)
{
	event("announced %s %u.%u " DK_STR_FMT "\n", uid(p, ev->sender), ev->ver, ev->cmd, DK_STR_ARG(dk_str_of(ev->message)));
	maybe_remove(p, ev->room, "announced");
}

static void on_discarded(struct probe *p, const struct dk_room_event *ev)
{
	struct dk_room_info info;

	event("discarded\n");
	ck_assert_int_eq(p->room->info(p->room, ev->room, &info), 0);
	ck_assert_uint_eq(info.members, 0);
	/* it can be looked at, and nothing else */
	ck_assert_uint_eq(p->room->find(p->room, ev->id), 0);
	ck_assert_int_eq(p->room->remove(p->room, ev->room, 2, 1, dk_slice_n(NULL, 0)), DK_ROOM_GONE);
	ck_assert_int_eq(p->room->announce(p->room, ev->room, NULL, 0, 2, 1, dk_slice_n(NULL, 0), true), DK_ROOM_GONE);
}

static int probe_init(void *self)
{
	struct probe *p = self;

	dk_filter_add(p, &p->room->join_condition, on_join_condition);
	dk_filter_add(p, &p->room->may_join, on_may_join);
	dk_filter_add(p, &p->room->discarding, on_discarding);
	dk_connect(p, &p->room->join_failed, on_join_failed);
	dk_connect(p, &p->room->property_changed, on_property_changed);
	dk_connect(p, &p->room->created, on_created);
	dk_connect(p, &p->room->changed, on_changed);
	dk_connect(p, &p->room->joined, on_joined);
	dk_connect(p, &p->room->left, on_left);
	dk_connect(p, &p->room->owner_changed, on_owner_changed);
	dk_connect(p, &p->room->announced, on_announced);
	dk_connect(p, &p->room->discarded, on_discarded);
	return 0;
}

static const struct dk_need probe_needs[] = {
	DK_NEED(struct probe, user, DK_USER),
	DK_NEED(struct probe, room, DK_ROOM),
	{ 0 },
};
static const struct dk_ops probe_ops = { .init = probe_init };

DK_PLUGIN(probe) = {
	DK_PLUGIN_HEAD("probe", "1", "the test's own"),
	.self_size = sizeof(struct probe),
	.needs = probe_needs,
	.ops = &probe_ops,
};

/* ---- a node and its clients ---- */

static struct dk_harness *h;
static struct dk_user *users;
static struct dk_room *rooms;
static struct dk_mem *mem;
static struct probe *probe;

static void start(const char *config)
{
	struct dk_harness_opts o = { .config = config,
				     .seed = 1,
				     .plugins = (const struct dk_plugin_desc *const[]){ &dk_plugin_probe, NULL } };

	events[0] = '\0';
	h = dk_harness_open(&o);
	ck_assert_ptr_nonnull(h);
	users = dk_harness_service(h, DK_USER_NAME);
	rooms = dk_harness_service(h, DK_ROOM_NAME);
	mem = dk_harness_service(h, DK_MEM_NAME);
	probe = dk_plugin_state(dk_harness_kernel(h), "probe");
	ck_assert_ptr_nonnull(probe);
}

#define CONF(room) "plugins = { user = {}; mem = { connectionTTL = 0; }; probe = {}; room = {" room "}; };"

static void setup(void)
{
	start(CONF(""));
}

static void teardown(void)
{
	ck_assert_int_eq(dk_harness_free(h), 0);
}

static void restart(const char *config)
{
	teardown();
	start(config);
}

static void turn(void)
{
	dk_harness_advance(h, 1);
}

static void expect_events(const char *want)
{
	ck_assert_str_eq(events, want);
	events[0] = '\0';
}

static int64_t counter(const char *name)
{
	int64_t n = dk_harness_counter(h, "room", name);

	ck_assert_msg(n != INT64_MIN, "there is no counter %s", name);
	return n;
}

struct client {
	dk_id user;
	struct dk_mem_client *end;
};

static struct client come(const char *name)
{
	struct dk_credential cred;
	struct client c;

	ck_assert_int_eq(users->create(users, dk_str_c(name), dk_str_c("MEM"), &cred, &c.user), 0);
	ck_assert_int_eq(mem->connect(mem, cred.sid, &c.end), 0);
	turn();
	return c;
}

/* All that has come, one line per frame: "[!]cmd status: " and the printable bytes; elements of lists in brackets. */
static const char *hear(const struct client *c)
{
	static char text[8192];
	size_t n = 0;
	struct dk_frame f;
	bool reliable;

	text[0] = '\0';
	while (mem->next(mem, c->end, &f, &reliable)) {
		struct dk_cursor in = dk_cursor_of(f.payload);

		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%u %u:", reliable ? "!" : "", f.cmd, f.status);
		while (f.status == DK_STATUS_PUSH && dk_rd_left(&in)) {
			dk_slice item = dk_rd_bytes32(&in);

			n += (size_t)snprintf(text + n, sizeof(text) - n, " [" DK_STR_FMT "]", DK_STR_ARG(dk_str_of(item)));
		}
		ck_assert(!in.bad);
		if (f.status == DK_STATUS_BAD || f.status == DK_STATUS_ERR)
			n += (size_t)snprintf(text + n, sizeof(text) - n, " " DK_STR_FMT, DK_STR_ARG(dk_str_of(f.payload)));
		n += (size_t)snprintf(text + n, sizeof(text) - n, "\n");
	}
	return text;
}

#define HEARS(c, want) ck_assert_str_eq(hear(&(c)), want)

static void say_bytes(const struct client *c, uint16_t cmd, const struct dk_writer *w)
{
	ck_assert(!w->bad);
	ck_assert_int_eq(mem->send(mem, c->end, ROOM_VER, cmd, dk_written(w), true), 0);
	turn();
}

/* A request that is an id and a text; the turn that handles it has passed. */
static void say(const struct client *c, uint16_t cmd, const struct dk_id52 *id, const char *text)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (cmd == ROOM_CMD_BROADCAST)
		dk_wr_u8(&w, 1);
	dk_wr_slice(&w, dk_slice_n(id->c, DK_ID52_LEN));
	dk_wr_slice(&w, dk_slice_of(dk_str_c(text)));
	say_bytes(c, cmd, &w);
}

static void broadcast(const struct client *c, dk_id room, const char *text, bool reliable)
{
	ck_assert_int_eq(rooms->broadcast(rooms, room, c->user, 1, 103, dk_slice_of(dk_str_c(text)), reliable), 0);
}

static dk_id make(const struct client *owner, uint16_t max, bool allow_empty, uint32_t interval_ms)
{
	struct dk_room_opts o = {
		.max_members = max, .allow_empty = allow_empty, .join = owner != NULL, .ttl_s = 20, .interval_ms = interval_ms
	};
	dk_id room;

	ck_assert_int_eq(rooms->create(rooms, owner ? owner->user : 0, &o, &room), 0);
	return room;
}

static struct dk_room_info info_of(dk_id room)
{
	struct dk_room_info info;

	ck_assert_int_eq(rooms->info(rooms, room, &info), 0);
	return info;
}

static int join(const struct client *c, dk_id room, const char *text)
{
	return rooms->join(rooms, room, c->user, 2, 50, dk_slice_of(dk_str_c(text)));
}

static int leave(const struct client *c, dk_id room, const char *text)
{
	return rooms->leave(rooms, room, c->user, 2, 51, dk_slice_of(dk_str_c(text)));
}

/* ---- coming and going ---- */

START_TEST(parameters)
{
	struct client ann = come("ann");
	struct dk_room_opts good = { .max_members = 2, .join = true, .ttl_s = 1 }, o;
	dk_id room;

	o = good;
	o.max_members = 1;
	ck_assert_int_eq(rooms->create(rooms, ann.user, &o, &room), DK_ROOM_BAD_PARAMS);
	o.max_members = 1001;
	ck_assert_int_eq(rooms->create(rooms, ann.user, &o, &room), DK_ROOM_BAD_PARAMS);
	o = good;
	o.ttl_s = 0;
	ck_assert_int_eq(rooms->create(rooms, ann.user, &o, &room), DK_ROOM_BAD_PARAMS);
	o = good;
	o.join = false;
	ck_assert_int_eq(rooms->create(rooms, ann.user, &o, &room), DK_ROOM_BAD_PARAMS);
	ck_assert_int_eq(rooms->create(rooms, 0, &good, &room), DK_ROOM_BAD_PARAMS);
	ck_assert_int_eq(rooms->create(rooms, 12345, &good, &room), DK_GONE);
	ck_assert_int_eq(rooms->create(rooms, ann.user, &good, &room), 0);
	ck_assert_uint_eq(info_of(room).ttl_s, 10);
	ck_assert_uint_eq(rooms->of_user(rooms, ann.user), room);
	ck_assert_int_eq(rooms->create(rooms, ann.user, &good, &room), DK_ROOM_IN_ANOTHER);
	ck_assert_int_eq(counter("refused"), 7);
	ck_assert_int_eq(counter("rooms"), 1);
}
END_TEST

START_TEST(intervals_are_fitted)
{
	static const uint32_t pairs[][2] = { { 0, 0 },       { 9, 0 },       { 10, 10 },          { 99, 99 },
					     { 1000, 1000 }, { 1001, 1000 }, { UINT32_MAX, 1000 } };

	for (size_t i = 0; i < DK_ARRAY_LEN(pairs); i++)
		ck_assert_uint_eq(info_of(make(NULL, 2, true, pairs[i][0])).interval_ms, pairs[i][1]);
	restart(CONF("compat_interval = true;"));
	ck_assert_uint_eq(info_of(make(NULL, 2, true, 99)).interval_ms, 0);
	ck_assert_uint_eq(info_of(make(NULL, 2, true, 100)).interval_ms, 100);
}
END_TEST

START_TEST(order_of_events)
{
	struct client ann = come("ann"), bob = come("bob"), eve = come("eve");
	dk_id room = make(&ann, 3, false, 0);

	expect_events("created\nchanged + ann 1\njoined ann\n");
	HEARS(ann, "");
	ck_assert_int_eq(join(&bob, room, "hello"), 0);
	expect_events("condition bob hello\nmay bob\nchanged + bob 2\njoined bob\n");
	HEARS(ann, "!50 255: [hello]\n");
	HEARS(bob, "!50 255: [hello]\n");
	ck_assert_int_eq(join(&eve, room, ""), 0); /* no message, no notice */
	HEARS(ann, "");
	ck_assert_int_eq(join(&eve, room, ""), DK_EXISTS);
	events[0] = '\0';

	ck_assert_int_eq(leave(&ann, room, "bye"), 0);
	expect_events("changed - ann 2\nleft ann 1\nowner bob\n");
	ck_assert_uint_eq(info_of(room).owner, bob.user);
	HEARS(ann, "");
	ck_assert_ptr_nonnull(strstr(hear(&bob), "!51 255: [bye]\n!14 255: "));
	ck_assert_int_eq(leave(&ann, room, ""), DK_ROOM_NOT_MEMBER);
	ck_assert_int_eq(leave(&eve, room, ""), 0);
	expect_events("changed - eve 1\nleft eve 1\n");
	ck_assert_int_eq(leave(&bob, room, ""), 0);
	expect_events("changed - bob 0\nleft bob 1\nowner \ndiscarded\n");
	ck_assert_int_eq(join(&bob, room, ""), DK_ROOM_GONE);
	ck_assert_uint_eq(rooms->count(rooms), 0);
}
END_TEST

START_TEST(filters)
{
	struct client ann = come("ann"), bob = come("bob");
	dk_id room = make(&ann, 3, false, 0);

	events[0] = '\0';
	probe->veto_all = 1;
	ck_assert_int_eq(join(&bob, room, "x"), DK_ROOM_VETOED);
	expect_events("condition bob x\nfailed bob\n");
	probe->veto_all = 0;
	probe->veto_one = -1;
	ck_assert_int_eq(join(&bob, room, "x"), DK_ROOM_VETOED);
	expect_events("condition bob x\nmay bob\nfailed bob\n");
	HEARS(ann, "");
	ck_assert_int_eq(counter("vetoed"), 2);
	probe->veto_one = 0;
	ck_assert_int_eq(join(&bob, room, ""), 0);
}
END_TEST

START_TEST(the_room_vanishes_meanwhile)
{
	static const char *const in[] = { "created", "changed", "joined", "condition", "left", "owner", "announced" };

	for (size_t i = 0; i < DK_ARRAY_LEN(in); i++) {
		struct client ann = come("ann"), bob = come("bob");
		struct dk_room_opts o = { .max_members = 3, .join = true, .ttl_s = 20 };
		dk_id room;

		probe->remove_in = i < 3 ? in[i] : NULL;
		ck_assert_int_eq(rooms->create(rooms, ann.user, &o, &room), 0);
		probe->remove_in = i >= 3 ? in[i] : NULL;
		join(&bob, room, "hello");
		rooms->broadcast(rooms, room, ann.user, 1, 103, dk_slice_of(dk_str_c("x")), true);
		leave(&ann, room, "bye");
		ck_assert_msg(rooms->count(rooms) == 0, "removed in %s", in[i]);
		ck_assert_uint_eq(rooms->of_user(rooms, ann.user), 0);
		ck_assert_uint_eq(rooms->of_user(rooms, bob.user), 0);
	}
	ck_assert_int_eq(counter("members"), 0);
	ck_assert_int_eq(counter("joined"), counter("left"));
}
END_TEST

START_TEST(empty_rooms)
{
	struct client ann = come("ann");
	dk_id room = make(NULL, 2, true, 0), other = make(&ann, 2, true, 0);

	ck_assert_uint_eq(info_of(room).owner, 0);
	dk_harness_advance(h, 19000);
	ck_assert_int_eq(leave(&ann, other, ""), 0);
	ck_assert_int_eq(join(&ann, room, ""), 0);
	ck_assert_uint_eq(info_of(room).owner, ann.user);
	dk_harness_advance(h, 19000); /* no clock while somebody is in */
	ck_assert_uint_eq(rooms->count(rooms), 2);
	ck_assert_int_eq(leave(&ann, room, ""), 0);
	dk_harness_advance(h, 1500);
	ck_assert_int_eq(rooms->info(rooms, other, &(struct dk_room_info){ 0 }), DK_ROOM_GONE);
	ck_assert_uint_eq(rooms->count(rooms), 1);
	dk_harness_advance(h, 19000);
	ck_assert_uint_eq(rooms->count(rooms), 0);
	ck_assert_int_eq(counter("discarded"), 2);
}
END_TEST

START_TEST(blank_owner)
{
	struct client ann = come("ann");
	struct dk_room_opts o = { .max_members = 2, .allow_empty = true, .ttl_s = 20 };
	dk_str uids[] = { dk_str_c("zoe") };
	dk_id blank, room;

	ck_assert_int_eq(users->create_blank(users, dk_str_c("maker"), &blank), 0);
	ck_assert_int_eq(rooms->create(rooms, blank, &o, &room), 0);
	ck_assert_uint_eq(info_of(room).owner, blank);
	ck_assert_int_eq(rooms->reserve(rooms, room, blank, uids, 1, true), 0);
	events[0] = '\0';
	ck_assert_int_eq(join(&ann, room, ""), 0);
	expect_events("condition ann \nmay ann\nchanged + ann 1\njoined ann\nowner ann\n");
	ck_assert_uint_eq(info_of(room).owner, ann.user);
	ck_assert_ptr_nonnull(strstr(hear(&ann), "!14 255: "));

	ck_assert_int_eq(rooms->create(rooms, blank, &o, &room), 0);
	users->disconnect(users, blank, DK_REASON_SERVER);
	ck_assert_uint_eq(info_of(room).owner, 0);
}
END_TEST

START_TEST(cut_off)
{
	struct client ann = come("ann"), bob = come("bob"), eve = come("eve");
	dk_id room = make(&ann, 3, false, 0);

	join(&bob, room, "");
	join(&eve, room, "");
	events[0] = '\0';
	mem->close(mem, ann.end);
	turn();
	expect_events("discarding ann\nchanged - ann 2\nleft ann 1\nowner bob\n");
	ck_assert_ptr_nonnull(strstr(hear(&bob), "!102 255: []\n!14 255: "));
	probe->last_words = "ghost";
	users->disconnect(users, bob.user, DK_REASON_SERVER);
	expect_events("discarding bob\nchanged - bob 1\nleft bob 5\nowner eve\n");
	ck_assert_ptr_nonnull(strstr(hear(&eve), "!77 255: [ghost]\n!14 255: "));
	ck_assert_int_eq(counter("cut_off"), 2);
	eve = come("eve"); /* replaces herself */
	ck_assert_uint_eq(rooms->count(rooms), 0);
}
END_TEST

START_TEST(removal)
{
	struct client ann = come("ann"), bob = come("bob");
	dk_id room = make(&ann, 3, true, 100);

	join(&bob, room, "");
	broadcast(&ann, room, "before", true);
	events[0] = '\0';
	ck_assert_int_eq(rooms->remove(rooms, room, 2, 60, dk_slice_of(dk_str_c("over"))), 0);
	expect_events("changed - bob 1\nleft bob 5\nchanged - ann 0\nleft ann 5\ndiscarded\n");
	HEARS(ann, "!103 255: [before]\n!60 255: [over]\n");
	HEARS(bob, "!103 255: [before]\n!60 255: [over]\n");
	ck_assert_int_eq(rooms->remove(rooms, room, 2, 60, dk_slice_n(NULL, 0)), DK_ROOM_GONE);
	dk_harness_advance(h, 30000);
}
END_TEST

START_TEST(reservations)
{
	struct client ann = come("ann"), bob = come("bob"), eve = come("eve");
	dk_id room = make(&ann, 2, true, 0);
	dk_str eve_and_ann[] = { dk_str_c("eve"), dk_str_c("ann") }, none[] = { dk_str_c("") };

	/* ann sits already: one seat is needed, and there is one */
	ck_assert_int_eq(rooms->reserve(rooms, room, ann.user, eve_and_ann, 2, true), 0);
	ck_assert_uint_eq(info_of(room).reserved, 1);
	ck_assert(rooms->is_reserved(rooms, room, dk_str_c("eve")));
	events[0] = '\0';
	ck_assert_int_eq(join(&bob, room, ""), DK_ROOM_IS_FULL);
	expect_events("condition bob \nmay bob\nfailed bob\n");
	ck_assert_int_eq(counter("full"), 1);
	ck_assert_int_eq(rooms->reserve(rooms, room, bob.user, eve_and_ann, 2, true), DK_ROOM_NOT_OWNER);
	ck_assert_int_eq(rooms->reserve(rooms, room, 0, eve_and_ann, 1, true), DK_ROOM_NOT_OWNER);
	ck_assert_int_eq(rooms->reserve(rooms, room, 0, eve_and_ann, 1, false), 0);
	ck_assert_int_eq(rooms->reserve(rooms, room, ann.user, eve_and_ann, 0, true), DK_ROOM_BAD_PARAMS);
	ck_assert_int_eq(rooms->reserve(rooms, room, ann.user, none, 1, true), DK_ROOM_BAD_PARAMS);
	ck_assert_int_eq(join(&eve, room, ""), 0);
	ck_assert(!rooms->is_reserved(rooms, room, dk_str_c("eve")));
	ck_assert_int_eq(rooms->cancel_reservation(rooms, room, ann.user, eve_and_ann, 1, true), DK_ROOM_NO_RESERVATION);
	leave(&eve, room, "");
	ck_assert_int_eq(rooms->reserve(rooms, room, ann.user, eve_and_ann, 1, true), 0);
	ck_assert_int_eq(rooms->cancel_reservation(rooms, room, bob.user, eve_and_ann, 1, true), DK_ROOM_NOT_OWNER);
	ck_assert_int_eq(rooms->cancel_reservation(rooms, room, ann.user, eve_and_ann, 1, true), 0);
	ck_assert_int_eq(join(&bob, room, ""), 0);
}
END_TEST

START_TEST(offline)
{
	struct client ann = come("ann"), bob = come("bob");
	dk_id room = make(&ann, 2, true, 0), other;

	dk_stop(dk_harness_kernel(h));
	dk_harness_advance(h, 100);
	ck_assert_int_eq(
		rooms->create(rooms, bob.user, &(struct dk_room_opts){ .max_members = 2, .join = true, .ttl_s = 10 }, &other),
		DK_REFUSED);
	ck_assert_int_eq(join(&bob, room, "still"), 0);
	broadcast(&bob, room, "talking", true);
	HEARS(ann, "!50 255: [still]\n!103 255: [talking]\n");
}
END_TEST

START_TEST(limits)
{
	restart(CONF("max_rooms = 2; max_message_bytes = 10;"));
	struct client ann = come("ann");
	dk_id room = make(&ann, 2, true, 0), third;

	make(NULL, 2, true, 0);
	ck_assert_int_eq(
		rooms->create(rooms, 0, &(struct dk_room_opts){ .max_members = 2, .allow_empty = true, .ttl_s = 10 }, &third),
		DK_FULL);
	ck_assert_int_eq(rooms->broadcast(rooms, room, ann.user, 1, 103, dk_slice_n("01234567890", 11), true), DK_TOO_LONG);
	ck_assert_int_eq(rooms->announce(rooms, room, NULL, 0, 1, 103, dk_slice_n("01234567890", 11), true), DK_TOO_LONG);
	ck_assert_int_eq(rooms->message(rooms, room, ann.user, &ann.user, 1, 1, 104, dk_slice_n("01234567890", 11), true),
			 DK_TOO_LONG);
	ck_assert_int_eq(rooms->broadcast(rooms, room, ann.user, 1, 103, dk_slice_n("0123456789", 10), true), 0);
	HEARS(ann, "!103 255: [0123456789]\n");
}
END_TEST

/* ---- speaking ---- */

START_TEST(at_once)
{
	struct client ann = come("ann"), bob = come("bob"), eve = come("eve");
	dk_id room = make(&ann, 3, true, 0), to[] = { eve.user, 0, bob.user };

	join(&bob, room, "");
	broadcast(&ann, room, "one", true);
	broadcast(&bob, room, "two", false);
	HEARS(ann, "!103 255: [one]\n103 255: [two]\n");
	HEARS(bob, "!103 255: [one]\n103 255: [two]\n");
	ck_assert_int_eq(rooms->broadcast(rooms, room, eve.user, 1, 103, dk_slice_n(NULL, 0), true), DK_ROOM_NOT_MEMBER);
	ck_assert_int_eq(rooms->message(rooms, room, eve.user, to, 3, 1, 104, dk_slice_n(NULL, 0), true), DK_ROOM_NOT_MEMBER);
	events[0] = '\0';
	ck_assert_int_eq(rooms->message(rooms, room, ann.user, to, 3, 1, 104, dk_slice_of(dk_str_c("psst")), true), 0);
	ck_assert_int_eq(rooms->announce(rooms, room, NULL, 0, 2, 7, dk_slice_of(dk_str_c("all")), false), 0);
	ck_assert_int_eq(rooms->announce(rooms, room, to, 3, 2, 7, dk_slice_of(dk_str_c("some")), false), 0);
	expect_events("announced ann 1.104 psst\nannounced  2.7 all\nannounced  2.7 some\n");
	HEARS(ann, "7 255: [all]\n");
	HEARS(bob, "!104 255: [psst]\n7 255: [all]\n7 255: [some]\n");
	HEARS(eve, "");
}
END_TEST

START_TEST(gathered)
{
	struct client ann = come("ann"), bob = come("bob");
	dk_id room = make(&ann, 3, true, 100);

	join(&bob, room, "");
	broadcast(&ann, room, "r1", true);
	broadcast(&bob, room, "u1", false);
	broadcast(&bob, room, "r2", true);
	broadcast(&ann, room, "u2", false);
	rooms->broadcast(rooms, room, ann.user, 2, 9, dk_slice_of(dk_str_c("other")), false);
	broadcast(&ann, room, "u3", false);
	HEARS(ann, "");
	dk_harness_advance(h, 101);
	HEARS(ann, "!103 255: [r1] [r2]\n103 255: [u1] [u2] [u3]\n9 255: [other]\n");
	HEARS(bob, "!103 255: [r1] [r2]\n103 255: [u1] [u2] [u3]\n9 255: [other]\n");
	ck_assert_int_eq(counter("ticks"), 1);
	ck_assert_int_eq(counter("pushes"), 6);
	dk_harness_advance(h, 500); /* nobody speaks, nothing ticks */
	ck_assert_int_eq(counter("ticks"), 1);
}
END_TEST

START_TEST(one_order_for_what_is_reliable)
{
	struct client ann = come("ann");
	dk_id room = make(&ann, 3, true, 50);

	broadcast(&ann, room, "1", true);
	rooms->broadcast(rooms, room, ann.user, 2, 9, dk_slice_of(dk_str_c("2")), true);
	broadcast(&ann, room, "3", true);
	broadcast(&ann, room, "4", true);
	dk_harness_advance(h, 51);
	HEARS(ann, "!103 255: [1]\n!9 255: [2]\n!103 255: [3] [4]\n");
}
END_TEST

START_TEST(changes_of_members_wait_for_nobody)
{
	struct client ann = come("ann"), bob = come("bob");
	dk_id room = make(&ann, 3, true, 1000);

	broadcast(&ann, room, "before bob", true);
	join(&bob, room, "hi");
	HEARS(ann, "!103 255: [before bob]\n!50 255: [hi]\n");
	HEARS(bob, "!50 255: [hi]\n");
	broadcast(&bob, room, "bob's last", true);
	leave(&bob, room, "bye");
	broadcast(&ann, room, "after bob", true);
	HEARS(bob, "!103 255: [bob's last]\n");
	dk_harness_advance(h, 1001);
	HEARS(ann, "!103 255: [bob's last]\n!51 255: [bye]\n!103 255: [after bob]\n");
	HEARS(bob, "");
}
END_TEST

START_TEST(long_lists_are_cut)
{
	struct client ann = come("ann");
	dk_id room = make(&ann, 3, true, 100);
	char text[2000];
	struct dk_frame f;
	bool reliable;
	unsigned lists = 0, messages = 0;

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 40; i++)
		rooms->broadcast(rooms, room, ann.user, 1, 103, dk_slice_n(text, 64), i % 2);
	/* too long for any list: leaves now, behind what waits */
	rooms->broadcast(rooms, room, ann.user, 1, 103, dk_slice_n(text, 1097), true);
	while (mem->next(mem, ann.end, &f, &reliable)) {
		struct dk_cursor in = dk_cursor_of(f.payload);

		lists++;
		ck_assert_uint_le(f.payload.n, 1101);
		for (; dk_rd_left(&in); messages++)
			dk_rd_bytes32(&in);
	}
	ck_assert_uint_eq(messages, 41);
	ck_assert_uint_eq(lists, 5); /* 16 + 4, twice, and the long one */

	/* more than a room may gather */
	for (int i = 0; i < 100; i++)
		rooms->broadcast(rooms, room, ann.user, 1, 103, dk_slice_n(text, 1000), true);
	ck_assert_int_eq(counter("early"), 1);
	dk_harness_advance(h, 101);
	for (messages = 0; mem->next(mem, ann.end, &f, &reliable); messages++)
		ck_assert_uint_eq(f.payload.n, 1004);
	ck_assert_uint_eq(messages, 100);
}
END_TEST

START_TEST(rooms_tick_apart)
{
	struct client c[8];
	uint64_t frames[8] = { 0 }, bytes;
	char name[8];
	unsigned most = 0;

	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		c[i] = come(name);
		make(&c[i], 2, true, 20);
	}
	for (int i = 0; i < 8; i++)
		broadcast(&c[i], rooms->of_user(rooms, c[i].user), "x", false);
	for (int ms = 0; ms < 20; ms++) {
		unsigned now = 0;

		turn();
		for (int i = 0; i < 8; i++) {
			uint64_t n;

			mem->received(mem, c[i].end, &n, &bytes);
			now += n != frames[i];
			frames[i] = n;
		}
		most = now > most ? now : most;
	}
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(frames[i], 1);
	ck_assert_uint_eq(most, 1);
}
END_TEST

/* ---- what clients send ---- */

START_TEST(create_and_join_by_command)
{
	struct client ann = come("ann"), bob = come("bob");
	uint8_t create[] = { 0, 4, 1, 1, 0, 20, 0, 0, 0, 0, 0, 0 };
	struct dk_writer w = { .start = create, .p = create + sizeof(create), .end = create + sizeof(create) };
	struct dk_frame f;
	struct dk_cursor in;
	struct dk_id52 id;

	say_bytes(&ann, ROOM_CMD_CREATE, &w);
	ck_assert(mem->next(mem, ann.end, &f, NULL));
	ck_assert(f.cmd == 100 && f.status == DK_STATUS_OK && f.payload.n == 56);
	in = dk_cursor_of(f.payload);
	ck_assert_uint_eq(dk_rd_u32(&in), info_of(rooms->of_user(rooms, ann.user)).created_s);
	memcpy(id.c, dk_rd_take(&in, 52), 52);

	say(&bob, ROOM_CMD_JOIN, &id, "hello");
	HEARS(ann, "!101 255: [hello]\n");
	HEARS(bob, "!101 1:\n!101 255: [hello]\n"); /* the reply first */
	say(&bob, ROOM_CMD_JOIN, &id, "");
	HEARS(bob, "!101 4: the user is a member of this room already\n");
	say(&bob, ROOM_CMD_BROADCAST, &id, "hey");
	HEARS(ann, "!103 255: [hey]\n");
	HEARS(bob, "!103 255: [hey]\n"); /* and no reply */
	say(&ann, ROOM_CMD_LEAVE, &id, "bye");
	HEARS(ann, "!102 1:\n");
	ck_assert_ptr_nonnull(strstr(hear(&bob), "!102 255: [bye]\n!14 255: "));
	say(&ann, ROOM_CMD_BROADCAST, &id, "x");
	HEARS(ann, "!103 4: the user is not a member of this room\n");
	id.c[0] = id.c[0] == '0' ? '1' : '0';
	say(&bob, ROOM_CMD_BROADCAST, &id, "x");
	HEARS(bob, "!103 4: there is no such room\n");
	say(&bob, ROOM_CMD_LEAVE, &id, "x");
	HEARS(bob, "!102 4: there is no such room\n");

	create[3] = create[2] = 0;
	say_bytes(&ann, ROOM_CMD_CREATE, &w);
	HEARS(ann, "!100 4: a room has 2 to 1000 seats and a time to live above 0; without allow_empty its creator has to join\n");
	w.p = create + 3;
	say_bytes(&ann, ROOM_CMD_CREATE, &w);
	ck_assert_ptr_nonnull(strstr(hear(&ann), "!100 4: "));
	say_bytes(&ann, ROOM_CMD_BROADCAST, &w);
	ck_assert_ptr_nonnull(strstr(hear(&ann), "!103 4: room.broadcast: "));
}
END_TEST

static struct dk_writer puffer(uint8_t *buf, size_t cap, const char *const *members)
{
	struct dk_writer w = dk_writer_on(buf, cap);
	uint16_t n = 0;

	while (members[n])
		n++;
	dk_wr_u16(&w, n);
	for (uint16_t i = 0; i < n; i++)
		dk_wr_bytes16(&w, dk_slice_of(dk_str_c(members[i])));
	return w;
}

START_TEST(other_commands)
{
	struct client ann = come("ann"), bob = come("bob"), eve = come("eve");
	dk_id room = make(&ann, 3, true, 0);
	struct dk_id52 id = info_of(room).id;
	uint8_t buf[256];
	struct dk_writer w, just_room = dk_writer_on(buf + 200, 56);
	struct dk_frame f;
	struct dk_cursor in;

	join(&bob, room, "");
	dk_wr_bytes16(&just_room, dk_slice_n(id.c, 52));

	say_bytes(&bob, ROOM_CMD_OWNER_ID, &just_room);
	ck_assert(mem->next(mem, bob.end, &f, NULL) && f.status == DK_STATUS_OK);
	ck_assert(f.payload.n == 5 && !memcmp(f.payload.p, "\0\3ann", 5));
	say_bytes(&bob, ROOM_CMD_MEMBER_IDS, &just_room);
	ck_assert(mem->next(mem, bob.end, &f, NULL) && f.status == DK_STATUS_OK);
	ck_assert(f.payload.n == 17 && !memcmp(f.payload.p, "\0\2\0\3ann\0\3bob\0\3ann", 17));
	say_bytes(&eve, ROOM_CMD_MEMBER_IDS, &just_room);
	HEARS(eve, "!11 4: the user is not a member of this room\n");
	say_bytes(&eve, ROOM_CMD_COUNT_MEMBERS, &just_room);
	ck_assert(mem->next(mem, eve.end, &f, NULL) && f.status == DK_STATUS_OK);
	in = dk_cursor_of(f.payload);
	ck_assert(dk_rd_u16(&in) == 2 && dk_rd_u16(&in) == 3 && dk_rd_bytes16(&in).n == 52 && dk_rd_done(&in));
	say_bytes(&bob, ROOM_CMD_BACKUPS, &just_room);
	HEARS(bob, "!30 4: this node belongs to no cluster; nobody keeps copies of its rooms\n");

	w = puffer(buf, 200, (const char *const[]){ "ann", "nobody", "eve", NULL });
	dk_wr_bytes16(&w, dk_slice_of(dk_str_c("psst")));
	dk_wr_u8(&w, 2);
	dk_wr_bytes16(&w, dk_slice_n(id.c, 52));
	say_bytes(&bob, ROOM_CMD_MESSAGE, &w);
	HEARS(bob, "");
	HEARS(eve, "");
	HEARS(ann, "104 255: [psst]\n");

	w = puffer(buf, 200, (const char *const[]){ "eve", NULL });
	dk_wr_bytes16(&w, dk_slice_n(id.c, 52));
	say_bytes(&bob, ROOM_CMD_RESERVE, &w);
	HEARS(bob, "!117 4: only the owner of this room may do that\n");
	say_bytes(&ann, ROOM_CMD_RESERVE, &w);
	HEARS(ann, "!117 1:\n");
	ck_assert(rooms->is_reserved(rooms, room, dk_str_c("eve")));
	say_bytes(&ann, ROOM_CMD_CANCEL_RESERVE, &w);
	HEARS(ann, "!118 1:\n");
	say_bytes(&ann, ROOM_CMD_CANCEL_RESERVE, &w);
	HEARS(ann, "!118 4: nothing is reserved for one of these users\n");
	w = puffer(buf, 200, (const char *const[]){ NULL });
	dk_wr_bytes16(&w, dk_slice_n(id.c, 52));
	say_bytes(&ann, ROOM_CMD_RESERVE, &w);
	HEARS(ann, "!117 4: members: expected a list of 1 to 1000 uids, found 0\n");
	w = puffer(buf, 200, (const char *const[]){ "eve", "", NULL });
	dk_wr_bytes16(&w, dk_slice_n(id.c, 52));
	say_bytes(&ann, ROOM_CMD_CANCEL_RESERVE, &w);
	HEARS(ann, "!118 4: members: expected uids of 1 to 256 bytes, found one of 0\n");

	leave(&ann, room, "");
	ck_assert(mem->next(mem, bob.end, &f, NULL));
	ck_assert(f.cmd == ROOM_CMD_OWNER_CHANGED && f.payload.n == 4 + 5 + 54 && !memcmp(f.payload.p + 4, "\0\3bob\0\064", 7));
}
END_TEST

START_TEST(hidden_commands)
{
	restart(CONF("expose_commands = false;"));
	struct client ann = come("ann");
	dk_id room = make(&ann, 3, true, 0);
	struct dk_id52 id = info_of(room).id;

	say(&ann, ROOM_CMD_BROADCAST, &id, "x");
	HEARS(ann, "!103 4: room commands are not open to clients on this node\n");
	say(&ann, ROOM_CMD_LEAVE, &id, "x");
	HEARS(ann, "!102 4: room commands are not open to clients on this node\n");
	broadcast(&ann, room, "plugins may", true);
	HEARS(ann, "!103 255: [plugins may]\n");
}
END_TEST

/* ---- what is kept in a room ---- */

static int set_int(dk_id room, const char *name, int64_t i)
{
	return rooms->set(rooms, room, dk_str_c(name), &(struct dk_value){ .type = DK_V_INT, .as.i = i });
}

START_TEST(properties)
{
	struct dk_value v = { .type = DK_V_STR, .as.s = dk_str_c("red") };
	struct client ann = come("ann");
	dk_id room = make(&ann, 2, false, 0), empty;
	const void *at = NULL;
	dk_str name;
	int64_t sum;

	events[0] = '\0';
	ck_assert_int_eq(rooms->set(rooms, room, dk_str_c("team"), &v), 0);
	ck_assert_int_eq(set_int(room, "score", 40), 0);
	ck_assert_int_eq(rooms->incr(rooms, room, dk_str_c("score"), 2, &sum), 0);
	ck_assert_int_eq(sum, 42);
	ck_assert_int_eq(rooms->incr(rooms, room, dk_str_c("team"), 1, &sum), DK_REFUSED);
	ck_assert_int_eq(rooms->unset(rooms, room, dk_str_c("score")), 0);
	ck_assert_int_eq(rooms->unset(rooms, room, dk_str_c("score")), DK_NOT_FOUND);
	expect_events("changed 1\nproperty team 4 0\nchanged 1\nproperty score 2 40\nchanged 1\nproperty score 2 42\n"
		      "changed 1\nproperty score 0 0\n");
	ck_assert_int_eq(rooms->get(rooms, room, dk_str_c("score"), &v), DK_NOT_FOUND);
	ck_assert_int_eq(rooms->get(rooms, room, dk_str_c("team"), &v), 0);
	ck_assert(v.type == DK_V_STR && dk_str_eq(v.as.s, dk_str_c("red")));
	ck_assert(rooms->next_property(rooms, room, &at, &name, &v));
	ck_assert(dk_str_eq(name, dk_str_c("team")));
	ck_assert(!rooms->next_property(rooms, room, &at, &name, &v));

	/* capsules, which are checked */
	v = dk_value_capsule(dk_slice_n("\0\1\1a\x0a\x07", 6));
	ck_assert_int_eq(rooms->set(rooms, room, dk_str_c("team"), &v), 0);
	ck_assert_int_eq(rooms->get(rooms, room, dk_str_c("team"), &v), 0);
	ck_assert(v.type == DK_V_CAPSULE && v.as.bytes.n == 6);
	v = dk_value_capsule(dk_slice_n("\0\2\1a\x0a\x07", 6));
	ck_assert_int_eq(rooms->set(rooms, room, dk_str_c("team"), &v), -EINVAL);

	/* limits */
	ck_assert_int_eq(set_int(room, "", 1), -EINVAL);
	for (unsigned i = 1; i < DK_ROOM_PROPS_MAX; i++) {
		char text[16];

		snprintf(text, sizeof(text), "p%u", i);
		ck_assert_int_eq(set_int(room, text, i), 0);
	}
	ck_assert_int_eq(set_int(room, "one more", 1), DK_FULL);

	/* to add keeps an empty room alive, to set does not */
	empty = make(NULL, 2, true, 0);
	dk_harness_advance(h, 15000);
	ck_assert_int_eq(set_int(empty, "n", 1), 0);
	ck_assert_int_eq(rooms->incr(rooms, empty, dk_str_c("n"), 1, &sum), 0);
	dk_harness_advance(h, 15000);
	ck_assert_int_eq(set_int(empty, "n", 1), 0);
	dk_harness_advance(h, 6000);
	ck_assert_int_eq(set_int(empty, "n", 1), DK_ROOM_GONE);
	ck_assert_int_eq(rooms->get(rooms, empty, dk_str_c("n"), &v), DK_ROOM_GONE);

	/* a handler may take the room away */
	probe->remove_in = "property";
	ck_assert_int_eq(set_int(room, "p1", 5), 0);
	ck_assert_int_eq(set_int(room, "p1", 5), DK_ROOM_GONE);
}
END_TEST

static int pack_nothing(void *self, dk_id room, struct dk_writer *w)
{
	(void)self;
	(void)room;
	(void)w;
	return DK_NOT_FOUND;
}

static int unpack_nothing(void *self, dk_id room, uint16_t version, dk_slice bytes)
{
	(void)self;
	(void)room;
	(void)version;
	(void)bytes;
	return 0;
}

START_TEST(parts)
{
	static const struct dk_room_part part = { .name = "probe", .version = 1, .pack = pack_nothing, .unpack = unpack_nothing };
	struct dk_addr nodes[3];
	struct dk_room_info info;

	ck_assert_int_eq(rooms->carry(rooms, probe, &part), 0);
	ck_assert_int_eq(rooms->carry(rooms, probe, &part), -EEXIST);
	info = info_of(make(NULL, 2, true, 0));
	ck_assert_uint_eq(rooms->nodes(rooms, &info.id, nodes), 0); /* mem has no address */
	dk_id52_set_backup(&info.id, 2, &(struct dk_addr){ .ip = { 10, 0, 0, 9 }, .port = 8000, .family = 4 });
	ck_assert_uint_eq(rooms->nodes(rooms, &info.id, nodes), 1);
	ck_assert_uint_eq(nodes[0].ip[3], 9);
	info.id.c[0] = 'x';
	ck_assert_uint_eq(rooms->nodes(rooms, &info.id, nodes), 0);
}
END_TEST

START_TEST(attachments)
{
	struct client ann = come("ann");
	dk_id room = make(&ann, 3, false, 0), other = make(NULL, 3, true, 0);
	uint32_t *mine = rooms->attachment(rooms, probe, room, sizeof(*mine)), *again;

	ck_assert_ptr_nonnull(mine);
	ck_assert_uint_eq(*mine, 0);
	*mine = 7;
	again = rooms->attachment(rooms, probe, room, sizeof(*mine));
	ck_assert_ptr_eq(mine, again);
	ck_assert_ptr_null(rooms->attachment(rooms, probe, room, sizeof(*mine) + 1));
	ck_assert_uint_eq(*(uint32_t *)rooms->attachment(rooms, probe, other, sizeof(*mine)), 0);
	ck_assert_ptr_ne(rooms->attachment(rooms, users, room, 1), mine);
	leave(&ann, room, "");
	ck_assert_ptr_null(rooms->attachment(rooms, probe, room, sizeof(*mine)));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room");
	TCase *t = tcase_create("room");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, parameters);
	tcase_add_test(t, intervals_are_fitted);
	tcase_add_test(t, order_of_events);
	tcase_add_test(t, filters);
	tcase_add_test(t, the_room_vanishes_meanwhile);
	tcase_add_test(t, empty_rooms);
	tcase_add_test(t, blank_owner);
	tcase_add_test(t, cut_off);
	tcase_add_test(t, removal);
	tcase_add_test(t, reservations);
	tcase_add_test(t, offline);
	tcase_add_test(t, limits);
	tcase_add_test(t, at_once);
	tcase_add_test(t, gathered);
	tcase_add_test(t, one_order_for_what_is_reliable);
	tcase_add_test(t, changes_of_members_wait_for_nobody);
	tcase_add_test(t, long_lists_are_cut);
	tcase_add_test(t, rooms_tick_apart);
	tcase_add_test(t, create_and_join_by_command);
	tcase_add_test(t, other_commands);
	tcase_add_test(t, hidden_commands);
	tcase_add_test(t, properties);
	tcase_add_test(t, parts);
	tcase_add_test(t, attachments);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
