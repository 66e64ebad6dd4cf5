/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of groups, mostly on one node: what clients say and hear, the order of signals and hooks, refusals, static groups,
 * ticks, who is in a group. What several nodes do about each other is test_group_nodes.c's.
 */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/group.h>
#include <diarkis/group_commands.h>

#include "plugins/room/tests/fabric.h"

DK_PACKERS(GROUP_COMMANDS)

#define STATIC_ID "0123456789abcdef0123456789abcdef0123456789abcdef0123"

/* ---- the probe ---- */

struct probe {
	struct dk_self base;
	struct dk_user *user;
	struct dk_group *group;
	bool veto, stays_away; /* stays_away: whoever comes from another node is taken out at once */
	const char *rejoined, *last_words; /* what is said of members that come, and that are cut off */
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

static void heard(const char *what)
{
	ck_assert_str_eq(events, what);
	events[0] = '\0';
}

static dk_slice bytes(const char *s)
{
	return dk_slice_of(dk_str_c(s));
}

static int may_join(struct probe *p, struct dk_group_join *ask)
{
	event("may_join " DK_STR_FMT "\n", DK_STR_ARG(p->user->uid(p->user, ask->user)));
	return p->veto;
}

static int rejoining(struct probe *p, struct dk_group_notice *ask)
{
	if (p->rejoined) {
		event("rejoining " DK_STR_FMT " %u.%u\n", DK_STR_ARG(p->user->uid(p->user, ask->user)), ask->ver, ask->cmd);
		ask->message = bytes(p->rejoined);
	}
	return 0;
}

static int discarding(struct probe *p, struct dk_group_notice *ask)
{
	event("discarding " DK_STR_FMT " %u.%u\n", DK_STR_ARG(p->user->uid(p->user, ask->user)), ask->ver, ask->cmd);
	if (p->last_words)
		ask->message = bytes(p->last_words);
	return 0;
}

static void on_created(struct probe *p, const struct dk_group_event *ev)
{
	(void)p;
	ck_assert_uint_eq(ev->group, p->group->find(p->group, ev->id));
	event("created\n");
}

static void on_discarded(struct probe *p, const struct dk_group_event *ev)
{
	(void)p;
	(void)ev;
	event("discarded\n");
}

static void on_joined(struct probe *p, const struct dk_group_member_event *ev)
{
	if (ev->moved) /* for a moment it is counted on both nodes */
		event("moved here " DK_STR_FMT "\n", DK_STR_ARG(p->user->uid(p->user, ev->user)));
	else
		event("joined " DK_STR_FMT " %u\n", DK_STR_ARG(p->user->uid(p->user, ev->user)), ev->members);
	if (ev->moved && p->stays_away)
		ck_assert_int_eq(p->group->leave(p->group, ev->group, ev->user, 1, 112, bytes("")), 0);
}

static void on_left(struct probe *p, const struct dk_group_member_event *ev)
{
	event("left " DK_STR_FMT " %u%s\n", DK_STR_ARG(p->user->uid(p->user, ev->user)), ev->members,
	      ev->reason == DK_REASON_CLIENT  ? ""
	      : ev->reason == DK_REASON_MOVED ? " moved"
					      : " cut off");
}

static void on_said(struct probe *p, const struct dk_group_sent *ev)
{
	(void)p;
	event("said %u.%u%s\n", ev->ver, ev->cmd, ev->sender ? "" : " by nobody");
}

static int before(void *self, struct dk_call *call)
{
	(void)self;
	event("before %u\n", call->cmd);
	return 0;
}

static int after(void *self, struct dk_call *call)
{
	(void)self;
	event("after %u %d\n", call->cmd, dk_call_status(call));
	return 0;
}

static int probe_init(void *self)
{
	struct probe *p = self;

	events[0] = '\0';
	dk_filter_add(p, &p->group->may_join, may_join);
	dk_filter_add(p, &p->group->rejoining, rejoining);
	dk_filter_add(p, &p->group->discarding, discarding);
	dk_connect(p, &p->group->created, on_created);
	dk_connect(p, &p->group->discarded, on_discarded);
	dk_connect(p, &p->group->joined, on_joined);
	dk_connect(p, &p->group->left, on_left);
	dk_connect(p, &p->group->said, on_said);
	return 0;
}

static const struct dk_need needs[] = { DK_NEED(struct probe, user, DK_USER), DK_NEED(struct probe, group, DK_GROUP), { 0 } };
static const struct dk_ops ops = { .init = probe_init };
#define BOTH(cmd) DK_HOOK_BEFORE(1, cmd, before), DK_HOOK_AFTER(1, cmd, after)
static const struct dk_hook hooks[] = { BOTH(110), BOTH(111), BOTH(112), BOTH(113), { 0 } };

DK_PLUGIN(probe) = { DK_PLUGIN_HEAD("probe", "1", "looks on"), .self_size = sizeof(struct probe), .needs = needs, .ops = &ops };
DK_PLUGIN(hooked) = { DK_PLUGIN_HEAD("hooked", "1", "hooks into the commands"), .self_size = sizeof(struct dk_self),
		      .hooks = hooks };

/* ---- short words ---- */

static struct dk_group *group_svc;
static struct player *ann, *bob;

static struct probe *probe(unsigned node)
{
	return dk_plugin_state(dk_harness_kernel(fabric[node].h), "probe");
}

static void open_nodes(unsigned n, const char *options)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, &dk_plugin_hooked, NULL };
	char more[700];

	snprintf(more, sizeof(more), "group = { %s }; probe = {}; hooked = { enabled = %s; };", options, n == 1 ? "true" : "false");
	fabric_open(n, 1, "", plugins, more);
	group_svc = dk_harness_service(fabric[0].h, DK_GROUP_NAME);
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
}

static void ask_create(struct player *p, bool allow_empty, bool join, uint16_t ttl_s, uint16_t interval_ms)
{
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	group_on_create_pack(&w, allow_empty, interval_ms, join, ttl_s);
	player_send(p, 1, 110, dk_written(&w));
}

static void create(struct player *p, bool allow_empty, bool join, uint16_t ttl_s, uint16_t interval_ms)
{
	ask_create(p, allow_empty, join, ttl_s, interval_ms);
	fabric_run(5);
}

static void ask_random(struct player *p, uint16_t ttl_s, const char *message)
{
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	group_on_rand_join_pack(&w, true, 0, bytes(message), ttl_s);
	player_send(p, 1, 114, dk_written(&w));
}

static void ask_info(struct player *p, bool exact, const struct dk_id52 *id)
{
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	group_on_info_pack(&w, exact, dk_str_n(id->c, DK_ID52_LEN));
	player_send(p, 1, 135, dk_written(&w));
}

static void ask_with_message(struct player *p, uint16_t cmd, const struct dk_id52 *id, const char *message)
{
	static uint8_t buf[70000];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	if (cmd == 113)
		group_on_broadcast_pack(&w, dk_str_n(id->c, DK_ID52_LEN), bytes(message), true);
	else
		group_on_join_pack(&w, dk_str_n(id->c, DK_ID52_LEN), bytes(message));
	player_send(p, 1, cmd, dk_written(&w));
}

static void with_message(struct player *p, uint16_t cmd, const struct dk_id52 *id, const char *message)
{
	ask_with_message(p, cmd, id, message);
	fabric_run(5);
}

/* The latest group of a player. */
static dk_id latest(const struct player *p, struct dk_id52 *ret_id)
{
	struct dk_group *svc = dk_harness_service(fabric[p->node].h, DK_GROUP_NAME);
	dk_id group = svc->of_user(svc, player_user(p), 0);
	struct dk_group_info info;

	if (group && svc->info(svc, group, &info) == 0)
		*ret_id = info.id;
	return group;
}

static bool hears(struct player *p, const char *what)
{
	const char *text = player_heard(p);
	bool yes = strstr(text, what) != NULL;

	if (!yes)
		fprintf(stderr, "%s heard: %s\n", p->name, text);
	return yes;
}

/* ---- tests ---- */

START_TEST(order_of_events)
{
	struct dk_id52 id = { "" };

	open_nodes(1, "");
	create(ann, false, true, 20, 0);
	heard("before 110\ncreated\njoined ann 1\nafter 110 1\n");
	ck_assert(hears(ann, "110 ok "));
	latest(ann, &id);
	with_message(bob, 111, &id, "hi");
	heard("before 111\nmay_join bob\njoined bob 2\nafter 111 1\n");
	ck_assert_int_eq(strncmp(player_heard(bob), "111 ok ", 7), 0); /* the reply first */
	with_message(ann, 113, &id, "hello");
	heard("before 113\nsaid 1.113\nafter 113 1\n");
	with_message(bob, 112, &id, "bye");
	heard("before 112\nleft bob 1\nafter 112 1\n");
	ck_assert(hears(bob, "113 push ..hello")); /* and nothing of its own leaving */
	with_message(bob, 111, &id, "");
	heard("before 111\nmay_join bob\njoined bob 2\nafter 111 1\n");
	probe(0)->last_words = "gone";
	player_heard(ann);
	fabric[0].users->disconnect(fabric[0].users, player_user(bob), DK_REASON_SERVER);
	fabric_run(5);
	heard("discarding bob 1.112\nleft bob 1 cut off\n");
	ck_assert(hears(ann, "112 push gone"));
	probe(0)->last_words = NULL;
	ck_assert_int_eq(group_svc->announce(group_svc, latest(ann, &id), 2, 7, bytes("all"), true), 0);
	fabric_run(5);
	heard("said 2.7 by nobody\n");
	ck_assert(hears(ann, "7 push all"));
	with_message(ann, 112, &id, "");
	heard("before 112\nleft ann 0\ndiscarded\nafter 112 1\n");
	fabric_close();
}
END_TEST

START_TEST(refusals)
{
	static char longest[30000];
	struct dk_id52 id = { "" }, other = { STATIC_ID }, second;

	open_nodes(1, "max_message_bytes = 100; max_groups_per_user = 2;");
	create(ann, true, true, 10, 0);
	ck_assert(hears(ann, "110 bad a group has a time to live above 10 s"));
	create(ann, false, false, 20, 0);
	ck_assert(hears(ann, "110 bad "));
	create(ann, true, true, 11, 0);
	ck_assert(hears(ann, "110 ok "));
	latest(ann, &id);
	with_message(bob, 111, &other, "");
	ck_assert(hears(bob, "there is no such group"));
	with_message(bob, 112, &id, "");
	ck_assert(hears(bob, "112 bad the user is not a member of this group"));
	with_message(bob, 113, &id, "psst");
	ck_assert(hears(bob, "113 bad the user is not a member of this group"));
	with_message(bob, 113, &other, "psst");
	ck_assert(hears(bob, "113 bad there is no such group"));
	with_message(ann, 111, &id, "");
	ck_assert(hears(ann, "111 bad the user is a member of this group already"));
	memset(longest, 'x', 101);
	with_message(ann, 113, &id, longest);
	ck_assert(hears(ann, "113 bad the message is longer than this node relays"));
	with_message(bob, 111, &id, longest);
	ck_assert(hears(bob, "111 bad the message is longer"));
	probe(0)->veto = true;
	with_message(bob, 111, &id, "");
	ck_assert(hears(bob, "111 bad a rule of this group"));
	probe(0)->veto = false;
	create(ann, true, true, 11, 0);
	latest(ann, &second);
	ck_assert_int_ne(memcmp(&second, &id, sizeof(id)), 0);
	player_heard(ann);
	create(ann, true, true, 11, 0);
	ck_assert(hears(ann, "or the user is in as many"));
	create(ann, true, false, 11, 0); /* without joining */
	ck_assert(hears(ann, "110 ok"));
	with_message(bob, 111, &id, "");
	with_message(bob, 111, &second, "");
	player_heard(bob);
	with_message(bob, 111, &other, "");
	ck_assert(hears(bob, "or the user is in as many"));
	ck_assert_int_eq(dk_harness_counter(fabric[0].h, "group", "vetoed"), 1);
	ck_assert_int_eq(dk_harness_counter(fabric[0].h, "group", "refused"), 3);
	fabric_close();
}
END_TEST

/* The code of the refusal that p hears next, which has to be of that command. */
static uint32_t refused(struct player *p, uint16_t cmd)
{
	struct dk_mem *mem = fabric[p->node].mem;
	struct dk_frame f;
	bool reliable;

	for (unsigned i = 0; i < 8000; i++) {
		dk_sim_run(fabric_world, 1);
		while (mem->next(mem, p->end, &f, &reliable)) {
			struct dk_cursor c = dk_cursor_of(f.payload);

			if (f.ver == 1 && f.cmd == cmd && f.status != DK_STATUS_PUSH)
				return f.status == 40 ? dk_rd_u32(&c) : 0;
		}
	}
	ck_abort_msg("no answer to %u", cmd);
}

/* Each command's own code, whatever the reason; a payload that cannot be read has one of the frame's. */
START_TEST(every_refusal_has_its_code)
{
	static const char *const env[] = { "DIARKIS_USE_STRUCT_ERR=TRUE", NULL };
	static const struct {
		bool by_member;
		uint16_t cmd;
		bool there;
		const char *message;
		uint32_t code;
	} rows[] = {
		{ true, 111, true, "", 3001 }, /* in it already */
		{ false, 111, false, "", 3001 }, /* no such group */
		{ false, 111, true, "longer than it may be", 3001 },
		{ false, 112, true, "", 3002 }, /* not a member */
		{ false, 112, false, "", 3002 },
		{ false, 113, true, "psst", 1001 },
		{ false, 113, false, "psst", 1001 },
		{ true, 113, true, "longer than it may be", 1001 },
	};
	struct dk_id52 id = { "" }, nowhere = { STATIC_ID };

	fabric_env = env;
	open_nodes(1, "max_message_bytes = 10; max_groups_per_user = 1;");
	ask_create(ann, true, true, 10, 0); /* not above 10 s */
	ck_assert_uint_eq(refused(ann, 110), 3000);
	ask_create(ann, false, false, 20, 0); /* empty, and not allowed to be */
	ck_assert_uint_eq(refused(ann, 110), 3000);
	player_send(ann, 1, 110, dk_slice_n("\1", 1));
	ck_assert_uint_eq(refused(ann, 110), DK_E_SHORT);
	ask_create(ann, true, true, 20, 0);
	ck_assert_uint_eq(refused(ann, 110), 0);
	latest(ann, &id);
	ask_create(ann, true, true, 20, 0); /* max_groups_per_user */
	ck_assert_uint_eq(refused(ann, 110), 3000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct player *p = rows[i].by_member ? ann : bob;

		ask_with_message(p, rows[i].cmd, rows[i].there ? &id : &nowhere, rows[i].message);
		ck_assert_msg(refused(p, rows[i].cmd) == rows[i].code, "row %zu", i);
	}
	probe(0)->veto = true;
	ask_with_message(bob, 111, &id, "");
	ck_assert_uint_eq(refused(bob, 111), 3001);
	/* nothing new on a node that goes */
	dk_stop(dk_harness_kernel(fabric[0].h));
	dk_sim_run(fabric_world, 5);
	ask_create(bob, true, true, 20, 0);
	ck_assert_uint_eq(refused(bob, 110), 3000);
	ask_random(bob, 20, "");
	ck_assert_uint_eq(refused(bob, 114), 3001);
	player_leave(ann);
	player_leave(bob);
	fabric_run(5);
	fabric_close();
	fabric_env = NULL;
}
END_TEST

START_TEST(hidden)
{
	open_nodes(1, "expose_commands = false;");
	create(ann, true, true, 11, 0);
	ck_assert(hears(ann, "110 bad group commands are not open to clients"));
	fabric_close();
}
END_TEST

START_TEST(offline)
{
	struct dk_group_opts o = { .allow_empty = true, .ttl_s = 11 };
	struct dk_id52 id = { "" };
	dk_id group;

	open_nodes(1, "");
	create(ann, true, true, 11, 0);
	latest(ann, &id);
	dk_stop(dk_harness_kernel(fabric[0].h));
	dk_sim_run(fabric_world, 5);
	ck_assert_int_eq(group_svc->create(group_svc, 0, &o, &group), DK_REFUSED);
	with_message(bob, 111, &id, "");
	ck_assert(hears(bob, "111 ok"));
	player_leave(ann);
	player_leave(bob);
	fabric_run(5);
	fabric_close();
}
END_TEST

START_TEST(many_groups)
{
	struct dk_id52 ids[3];
	dk_id groups[3];

	open_nodes(1, "");
	for (unsigned i = 0; i < 3; i++) {
		create(ann, true, true, 60, 0);
		groups[i] = latest(ann, &ids[i]);
		with_message(bob, 111, &ids[i], "");
	}
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(group_svc->of_user(group_svc, player_user(ann), i), groups[2 - i]);
	ck_assert_uint_eq(group_svc->of_user(group_svc, player_user(ann), 3), 0);
	player_heard(bob);
	with_message(ann, 113, &ids[1], "one");
	ck_assert(hears(bob, "113 push ..one"));
	with_message(ann, 112, &ids[2], "");
	ck_assert_uint_eq(latest(ann, &ids[2]), groups[1]);
	player_leave(ann); /* leaves them all */
	fabric_run(5);
	for (unsigned i = 0; i < 3; i++) {
		size_t n;

		group_svc->members(group_svc, groups[i], &n);
		ck_assert_uint_eq(n, 1);
	}
	fabric_close();
}
END_TEST

START_TEST(gathered)
{
	struct dk_id52 id = { "" };
	unsigned n = 0;
	int64_t pushes;

	open_nodes(1, "");
	create(ann, false, true, 20, 50);
	latest(ann, &id);
	with_message(bob, 111, &id, "");
	player_heard(bob);
	pushes = dk_harness_counter(fabric[0].h, "group", "pushes");
	for (unsigned i = 0; i < 5; i++)
		with_message(ann, 113, &id, "tick");
	fabric_run(100);
	ck_assert_int_le(dk_harness_counter(fabric[0].h, "group", "pushes") - pushes, 4); /* two members, two ticks at most */
	for (const char *at = player_heard(bob); (at = strstr(at, "113 push ..tick")); at++)
		n++;
	ck_assert_uint_eq(n, 5);
	fabric_close();
}
END_TEST

START_TEST(static_groups)
{
	struct dk_id52 id = { STATIC_ID };
	struct dk_group_info info;
	struct player *cid;

	/* as in the reference's group.json, where numbers may be text */
	open_nodes(2, "staticGroups = ( { groupID = \"" STATIC_ID "\"; interval = \"100\"; } );");
	cid = player_new(1, "cid");
	ck_assert_int_eq(group_svc->info(group_svc, group_svc->find(group_svc, &id), &info), 0);
	ck_assert(info.is_static);
	ck_assert_uint_eq(info.interval_ms, 100);
	with_message(ann, 111, &id, "");
	fabric_run(20);
	with_message(cid, 111, &id, "");
	fabric_run(20);
	ck_assert(hears(cid, "111 ok"));
	with_message(ann, 113, &id, "everywhere");
	fabric_run(200);
	ck_assert(hears(cid, "113 push ..everywhere"));
	with_message(ann, 112, &id, "");
	with_message(cid, 112, &id, "");
	fabric_run(60000);
	ck_assert_int_ne(group_svc->find(group_svc, &id), 0);
	with_message(bob, 111, &id, "");
	fabric_run(20);
	ck_assert(hears(bob, "111 ok"));
	fabric_close();
}
END_TEST

static void ticked(void *self, void *arg, dk_id group)
{
	ck_assert_ptr_eq(self, probe(0));
	ck_assert_uint_ne(group, 0);
	++*(unsigned *)arg;
}

START_TEST(ticks)
{
	unsigned slow = 0, fast = 0;
	struct dk_id52 id = { "" };
	dk_id group;

	open_nodes(1, "");
	create(ann, false, true, 20, 0);
	group = latest(ann, &id);
	ck_assert_int_eq(group_svc->tick(group_svc, probe(0), group, 1, ticked, &fast), 0);
	ck_assert_int_eq(group_svc->tick(group_svc, probe(0), group, 6, ticked, &slow), 0);
	ck_assert_int_eq(group_svc->tick(group_svc, probe(0), 0, 6, ticked, &slow), DK_GROUP_GONE);
	fabric_run(12100);
	ck_assert_uint_eq(fast, 6); /* looked at every two seconds */
	ck_assert_uint_eq(slow, 2);
	group_svc->tick_stop(group_svc, probe(0), group);
	fabric_run(6000);
	ck_assert_uint_eq(fast, 6);
	ck_assert_int_eq(group_svc->tick(group_svc, probe(0), group, 2, ticked, &fast), 0);
	with_message(ann, 112, &id, ""); /* the group goes, and its ticks */
	fabric_run(6000);
	ck_assert_uint_eq(fast, 6);
	fabric_close();
}
END_TEST

static void moved(void *self, void *arg, dk_id user, int err)
{
	(void)self;
	(void)arg;
	(void)user;
	ck_assert_int_eq(err, 0);
}

START_TEST(rejoined)
{
	struct dk_id52 id = { "" };

	open_nodes(2, "");
	create(ann, false, true, 20, 0);
	latest(ann, &id);
	with_message(bob, 111, &id, "");
	fabric_run(20);
	events[0] = '\0';
	probe(1)->rejoined = "bob is elsewhere";
	ck_assert_int_eq(fabric[0].users->move(fabric[0].users, fabric[0].state, player_user(bob), &fabric[1].addr,
					       dk_str_n(NULL, 0), dk_slice_n(NULL, 0), moved, NULL),
			 0);
	fabric_run(200);
	ck_assert_uint_eq(bob->node, 1);
	heard("left bob 2 moved\nmoved here bob\nrejoining bob 1.111\n");
	ck_assert(hears(ann, "111 push bob is elsewhere"));
	fabric_close();
}
END_TEST

/* Whoever is taken out again when it has come, and the copy with it, is nothing to be told of any more. */
START_TEST(comes_and_leaves)
{
	struct dk_group *there;
	struct dk_id52 id = { "" };

	open_nodes(2, "");
	there = dk_harness_service(fabric[1].h, DK_GROUP_NAME);
	create(ann, false, true, 20, 0);
	latest(ann, &id);
	with_message(bob, 111, &id, "");
	fabric_run(20);
	events[0] = '\0';
	probe(1)->rejoined = "bob is elsewhere";
	probe(1)->stays_away = true;
	ck_assert_int_eq(fabric[0].users->move(fabric[0].users, fabric[0].state, player_user(bob), &fabric[1].addr,
					       dk_str_n(NULL, 0), dk_slice_n(NULL, 0), moved, NULL),
			 0);
	fabric_run(200);
	/* the number of members is what the other node told last */
	heard("left bob 2 moved\nmoved here bob\nleft bob 2\ndiscarded\n");
	ck_assert_int_eq(there->find(there, &id), 0);
	fabric_close();
}
END_TEST

struct list {
	unsigned runs;
	uint32_t members;
	uint16_t nodes, silent;
	size_t n;
	char first[32];
};

static void listed(void *self, void *arg, const struct dk_group_list *list)
{
	struct list *l = arg;

	(void)self;
	l->runs++;
	l->members = list->members;
	l->nodes = list->nodes;
	l->silent = list->silent;
	l->n = list->n;
	for (size_t i = 0; i < list->n; i++)
		ck_assert_uint_gt(list->uids[i].n, 0);
	if (list->n)
		snprintf(l->first, sizeof(l->first), DK_STR_FMT, DK_STR_ARG(list->uids[0]));
}

START_TEST(who_is_in_it)
{
	struct list l = { .runs = 0 };
	struct dk_id52 id = { "" };
	struct dk_addr nodes[2];
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	dk_id group;

	open_nodes(3, "");
	create(ann, false, true, 20, 0);
	group = latest(ann, &id);
	for (unsigned i = 0; i < 80; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%u", i);
		with_message(player_new(1 + i % 2, name), 111, &id, "");
		fabric_run(10);
	}
	fabric_run(2000);
	ck_assert_int_eq(group_svc->list(group_svc, probe(0), group, false, listed, &l), 0);
	ck_assert_uint_eq(l.runs, 1);
	ck_assert_uint_eq(l.members, 81);
	ck_assert_uint_eq(l.nodes, 3);
	ck_assert_uint_eq(l.n, 1 + 2 * 32);
	ck_assert_int_eq(group_svc->list(group_svc, probe(0), group, true, listed, &l), 0);
	ck_assert_uint_eq(l.runs, 1);
	fabric_run(20);
	ck_assert_uint_eq(l.runs, 2);
	ck_assert_uint_eq(l.members, 81);
	ck_assert_uint_eq(l.n, 81);
	ck_assert_str_eq(l.first, "ann");
	ck_assert_uint_eq(group_svc->nodes(group_svc, group, nodes, 2), 2);
	ck_assert(dk_addr_eq(&nodes[0], &fabric[1].addr));
	/* by command */
	player_heard(ann);
	group_on_info_pack(&w, true, dk_str_n(id.c, DK_ID52_LEN));
	player_send(ann, 1, 135, dk_written(&w));
	fabric_run(20);
	ck_assert(hears(ann, "135 ok ...Q")); /* 81 */
	w = dk_writer_on(buf, sizeof(buf));
	group_on_info_pack(&w, false, dk_str_n(id.c, DK_ID52_LEN));
	player_send(bob, 1, 135, dk_written(&w));
	fabric_run(20);
	ck_assert(hears(bob, "135 bad the user is not a member"));
	/* a node that does not answer */
	fabric_cut(0, 2, true);
	ck_assert_int_eq(group_svc->list(group_svc, probe(0), group, true, listed, &l), 0);
	fabric_run(2100);
	ck_assert_uint_eq(l.runs, 3);
	ck_assert_uint_eq(l.members, 41);
	ck_assert_uint_eq(l.silent, 1);
	fabric_cut(0, 2, false);
	fabric_close();
}
END_TEST

static void code_joined(void *self, void *arg, int err, dk_id group)
{
	(void)self;
	ck_assert(err || group);
	*(int *)arg = err;
}

START_TEST(by_code)
{
	struct dk_group_opts o = { .allow_empty = true, .ttl_s = 11, .interval_ms = 5 };
	struct dk_group_info info;
	struct dk_group *there;
	struct player *cid;
	int err = -1;
	dk_id group;

	open_nodes(2, "");
	cid = player_new(1, "cid");
	there = dk_harness_service(fabric[1].h, DK_GROUP_NAME);
	ck_assert_int_eq(group_svc->create(group_svc, 0, &o, &group), 0);
	ck_assert_int_eq(group_svc->info(group_svc, group, &info), 0);
	ck_assert_uint_eq(info.interval_ms, 0);
	ck_assert_uint_eq(info.members, 0);
	ck_assert_int_eq(there->join(there, probe(1), &info.id, player_user(cid), 2, 1, bytes("code"), code_joined, &err), 0);
	ck_assert_int_eq(err, -1);
	fabric_run(20);
	ck_assert_int_eq(err, 0);
	ck_assert(hears(cid, "1 push code"));
	ck_assert_int_eq(there->join(there, probe(1), &info.id, player_user(cid), 2, 1, bytes("code"), code_joined, &err), 0);
	fabric_run(20);
	ck_assert_int_eq(err, DK_EXISTS);
	ck_assert_int_eq(there->join(there, probe(1), &info.id, 0, 2, 1, bytes("code"), code_joined, &err), DK_GONE);
	fabric_close();
}
END_TEST

/* Joins that wait at once count, too. */
START_TEST(no_more_than_allowed)
{
	struct dk_group_opts o = { .allow_empty = true, .ttl_s = 11 };
	int err[4] = { -1, -1, -1, -1 };
	struct dk_group_info info;
	unsigned full = 0;
	dk_id group;

	open_nodes(1, "max_groups_per_user = 2;");
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(group_svc->create(group_svc, 0, &o, &group), 0);
		ck_assert_int_eq(group_svc->info(group_svc, group, &info), 0);
		ck_assert_int_eq(
			group_svc->join(group_svc, probe(0), &info.id, player_user(ann), 2, 1, bytes(""), code_joined, &err[i]), 0);
	}
	fabric_run(5);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert(err[i] == 0 || err[i] == DK_FULL);
		full += err[i] == DK_FULL;
	}
	ck_assert_uint_eq(full, 2);
	ck_assert_uint_eq(group_svc->of_user(group_svc, player_user(ann), 2), 0);
	fabric_close();
}
END_TEST

/* Codes of 114 and 135, which name no group of theirs. */
START_TEST(other_refusals_have_their_codes)
{
	static const char *const env[] = { "DIARKIS_USE_STRUCT_ERR=TRUE", NULL };
	struct dk_group_opts o = { .allow_empty = true, .join = true, .ttl_s = 20 };
	struct dk_id52 id = { "" }, nowhere = { STATIC_ID };
	struct dk_group *there;
	struct dk_group_info info;
	struct player *cid;
	dk_id group;

	fabric_env = env;
	open_nodes(2, "max_message_bytes = 10; max_groups_per_user = 1;");
	there = dk_harness_service(fabric[1].h, DK_GROUP_NAME);
	cid = player_new(1, "cid");
	ck_assert_int_eq(there->create(there, player_user(cid), &o, &group), 0);
	ck_assert_int_eq(there->info(there, group, &info), 0);
	id = info.id;
	ask_random(ann, 10, ""); /* not above 10 s */
	ck_assert_uint_eq(refused(ann, 114), 3001);
	ask_random(ann, 20, "longer than it may be");
	ck_assert_uint_eq(refused(ann, 114), 3001);
	player_send(ann, 1, 114, dk_slice_n("\1", 1));
	ck_assert_uint_eq(refused(ann, 114), DK_E_SHORT);
	ask_info(ann, true, &nowhere);
	ck_assert_uint_eq(refused(ann, 135), 1001);
	with_message(ann, 111, &id, "");
	fabric_run(20);
	ask_random(ann, 20, ""); /* max_groups_per_user */
	ck_assert_uint_eq(refused(ann, 114), 3001);
	with_message(bob, 112, &id, "");
	ask_info(bob, false, &id);
	ck_assert_uint_eq(refused(bob, 135), 1001);
	/* its copy goes while the others are asked */
	fabric_cut(0, 1, true);
	player_heard(ann);
	ask_info(ann, true, &id);
	fabric_run(10);
	ck_assert_str_eq(player_heard(ann), "");
	ck_assert_int_eq(group_svc->leave(group_svc, group_svc->find(group_svc, &id), player_user(ann), 1, 112, bytes("")), 0);
	fabric_cut(0, 1, false);
	ck_assert_uint_eq(refused(ann, 135), 1001);
	fabric_close();
	fabric_env = NULL;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("group");
	TCase *t = tcase_create("rules");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, order_of_events);
	tcase_add_test(t, refusals);
	tcase_add_test(t, every_refusal_has_its_code);
	tcase_add_test(t, other_refusals_have_their_codes);
	tcase_add_test(t, hidden);
	tcase_add_test(t, offline);
	tcase_add_test(t, many_groups);
	tcase_add_test(t, gathered);
	tcase_add_test(t, static_groups);
	tcase_add_test(t, ticks);
	tcase_add_test(t, rejoined);
	tcase_add_test(t, comes_and_leaves);
	tcase_add_test(t, who_is_in_it);
	tcase_add_test(t, by_code);
	tcase_add_test(t, no_more_than_allowed);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
