/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every signal and filter of groups: once, in order, with every argument that <diarkis/group.h> documents. A row is one thing that
 * happens in a cluster of three nodes, and everything that plugins of these nodes hear of it: each line begins with the number of
 * its node and ends with which group the handle names there. There are two groups, so that a handle can be the wrong one.
 */
#include <check.h>
#include <stdio.h>

#include <diarkis/group.h>
#include <diarkis/group_commands.h>

#include "plugins/room/tests/fabric.h"

DK_PACKERS(GROUP_COMMANDS)

/* ---- the probe ---- */

struct probe {
	struct dk_self base;
	struct dk_user *user;
	struct dk_group *group;
};

static struct dk_id52 first, second; /* the ids of the two groups */
static bool veto, words; /* may_join says no; the others have something to say */

static dk_slice bytes(const char *text)
{
	return dk_slice_of(dk_str_c(text));
}

/* The group of a handle, which is valid inside whatever is told of it. */
static const char *name(struct probe *p, dk_id group)
{
	struct dk_group_info info;

	ck_assert_int_eq(p->group->info(p->group, group, &info), 0);
	return !memcmp(&info.id, &first, sizeof(first)) ? "first" : !memcmp(&info.id, &second, sizeof(second)) ? "second" : "new";
}

/* A message: what a client says comes in brackets, as it is packed for those who hear it. */
static const char *text(dk_slice message)
{
	static char text[64];
	struct dk_cursor c = dk_cursor_of(message);
	dk_slice said = dk_rd_bytes16(&c);

	if (message.n > 2 && !c.bad && dk_rd_left(&c) == 4 && dk_rd_u32(&c) == group_tag(&first))
		snprintf(text, sizeof(text), "[" DK_STR_FMT "]", DK_STR_ARG(dk_str_of(said)));
	else
		snprintf(text, sizeof(text), "'" DK_STR_FMT "'", DK_STR_ARG(dk_str_of(message)));
	return text;
}

static const char *uid(struct probe *p, dk_id user)
{
	static char text[32];

	snprintf(text, sizeof(text), DK_STR_FMT, DK_STR_ARG(user ? p->user->uid(p->user, user) : dk_str_c("nobody")));
	return text;
}

static int on_may_join(struct probe *p, struct dk_group_join *ask)
{
	ck_assert(!p->group->is_member(p->group, ask->group, ask->user));
	fabric_event(p, "may %s %s %s\n", uid(p, ask->user), text(ask->message), name(p, ask->group));
	return veto;
}

static int notice(struct probe *p, const char *word, struct dk_group_notice *ask)
{
	ck_assert(p->group->is_member(p->group, ask->group, ask->user));
	fabric_event(p, "%s %s %u.%u %zu bytes %s\n", word, uid(p, ask->user), ask->ver, ask->cmd, ask->message.n,
		     name(p, ask->group));
	if (words) {
		ask->ver = 2;
		ask->cmd = 77;
		ask->message = bytes(word);
	}
	return 0;
}

static int on_rejoining(struct probe *p, struct dk_group_notice *ask)
{
	return notice(p, "rejoining", ask);
}

static int on_discarding(struct probe *p, struct dk_group_notice *ask)
{
	return notice(p, "discarding", ask);
}

static void say_group(struct probe *p, const char *word, const struct dk_group_event *ev)
{
	struct dk_group_info info;

	ck_assert_int_eq(p->group->info(p->group, ev->group, &info), 0);
	ck_assert_mem_eq(info.id.c, ev->id->c, DK_ID52_LEN);
	fabric_event(p, "%s %s\n", word, name(p, ev->group));
}

static void on_created(struct probe *p, const struct dk_group_event *ev)
{
	say_group(p, "created", ev);
}

static void on_discarded(struct probe *p, const struct dk_group_event *ev)
{
	say_group(p, "discarded", ev);
}

static void on_joined(struct probe *p, const struct dk_group_member_event *ev)
{
	ck_assert(p->group->is_member(p->group, ev->group, ev->user));
	/* A member on its way may still be counted where it was, and is then counted twice. */
	if (ev->moved)
		fabric_event(p, "moved here %s reason %d %s\n", uid(p, ev->user), (int)ev->reason, name(p, ev->group));
	else
		fabric_event(p, "joined %s reason %d, %u %s\n", uid(p, ev->user), (int)ev->reason, ev->members,
			     name(p, ev->group));
}

static void on_left(struct probe *p, const struct dk_group_member_event *ev)
{
	ck_assert(!p->group->is_member(p->group, ev->group, ev->user));
	fabric_event(p, "left %s%s reason %d, %u %s\n", uid(p, ev->user), ev->moved ? " moved" : "", (int)ev->reason, ev->members,
		     name(p, ev->group));
}

static void on_said(struct probe *p, const struct dk_group_sent *ev)
{
	fabric_event(p, "said %s %u.%u %s %s\n", uid(p, ev->sender), ev->ver, ev->cmd, text(ev->message), name(p, ev->group));
}

static int probe_init(void *self)
{
	struct probe *p = self;

	dk_filter_add(p, &p->group->may_join, on_may_join);
	dk_filter_add(p, &p->group->rejoining, on_rejoining);
	dk_filter_add(p, &p->group->discarding, on_discarding);
	dk_connect(p, &p->group->created, on_created);
	dk_connect(p, &p->group->joined, on_joined);
	dk_connect(p, &p->group->left, on_left);
	dk_connect(p, &p->group->said, on_said);
	dk_connect(p, &p->group->discarded, on_discarded);
	return 0;
}

FABRIC_PROBE(probe_init, DK_NEED(struct probe, user, DK_USER), DK_NEED(struct probe, group, DK_GROUP));

/* ---- what happens ---- */

static struct player *ann, *bob, *cid; /* ann is in both groups, bob in the first; cid is on the third node */
static struct dk_group *groups; /* of the first node */

static dk_id at(unsigned node, const struct dk_id52 *id)
{
	struct dk_group *svc = dk_harness_service(fabric[node].h, DK_GROUP_NAME);

	return svc->find(svc, id);
}

static void send(struct player *p, uint16_t cmd, const char *message)
{
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	dk_str id = dk_str_n(first.c, DK_ID52_LEN);

	if (cmd == GROUP_CMD_BROADCAST)
		group_on_broadcast_pack(&w, id, bytes(message), true);
	else
		group_on_join_pack(&w, id, bytes(message)); /* as that of leaving */
	player_send(p, GROUP_VER, cmd, dk_written(&w));
	fabric_run(50);
}

static void make(struct player *owner, struct dk_id52 *ret_id)
{
	struct dk_group_opts o = { .join = true, .ttl_s = 20 };
	struct dk_group_info info;
	dk_id group;

	ck_assert_int_eq(groups->create(groups, player_user(owner), &o, &group), 0);
	if (ret_id && groups->info(groups, group, &info) == 0)
		*ret_id = info.id;
}

static void setup(void)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, NULL };

	veto = words = false;
	fabric_open(3, 1, "", plugins, "group = {}; probe = {}");
	groups = dk_harness_service(fabric[0].h, DK_GROUP_NAME);
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	cid = player_new(2, "cid");
	make(ann, &first);
	make(ann, &second);
	send(bob, GROUP_CMD_JOIN, "");
	player_heard(ann);
	fabric_events();
}

static void create(void)
{
	make(player_new(0, "dan"), NULL);
}

static void create_empty(void)
{
	struct dk_group_opts o = { .allow_empty = true, .ttl_s = 20 };
	dk_id group;

	ck_assert_int_eq(groups->create(groups, 0, &o, &group), 0);
	fabric_run(19000);
	fabric_event(fabric_probe(0), "19 s later\n");
	fabric_run(3000);
}

static void random_made(void)
{
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	group_on_rand_join_pack(&w, true, 0, bytes("hi"), 20);
	player_send(cid, GROUP_VER, GROUP_CMD_RAND_JOIN, dk_written(&w));
	fabric_run(5000);
}

static void join(void)
{
	send(player_new(0, "dan"), GROUP_CMD_JOIN, "hi");
}

static void join_refused(void)
{
	veto = true;
	join();
}

static void join_far(void)
{
	send(cid, GROUP_CMD_JOIN, "hi");
}

static void join_far_refused(void)
{
	veto = true;
	join_far();
}

static void leave(void)
{
	send(bob, GROUP_CMD_LEAVE, "bye");
}

static void last_leaves(void)
{
	leave();
	fabric_events();
	send(ann, GROUP_CMD_LEAVE, "");
}

static void leave_far(void)
{
	join_far();
	fabric_events();
	send(cid, GROUP_CMD_LEAVE, "");
}

static void hangs_up(void)
{
	player_leave(bob);
	fabric_run(10);
}

/* With words of the filter's own; whoever is in two groups is asked for in each, the latest first. */
static void hangs_up_with_words(void)
{
	words = true;
	player_leave(ann);
	fabric_run(10);
	ck_assert_ptr_nonnull(strstr(player_heard(bob), "77 push discarding\n"));
}

static void disconnected(void)
{
	ck_assert_int_eq(fabric[0].users->disconnect(fabric[0].users, player_user(bob), DK_REASON_SERVER), 0);
	fabric_run(10);
}

static void moved(void *self, void *arg, dk_id user, int err)
{
	(void)self;
	(void)arg;
	(void)user;
	ck_assert_int_eq(err, 0);
}

static void moves(void)
{
	ck_assert_int_eq(fabric[0].users->move(fabric[0].users, fabric[0].state, player_user(bob), &fabric[1].addr,
					       dk_str_n(NULL, 0), dk_slice_n(NULL, 0), moved, NULL),
			 0);
	fabric_run(200);
	ck_assert_uint_eq(bob->node, 1);
}

static void moves_with_words(void)
{
	words = true;
	moves();
	ck_assert_ptr_nonnull(strstr(player_heard(ann), "77 push rejoining\n"));
}

static void speaks(void)
{
	ck_assert_int_eq(groups->broadcast(groups, at(0, &first), player_user(bob), 2, 1, bytes("a"), true), 0);
	ck_assert_int_eq(groups->broadcast(groups, at(0, &second), player_user(ann), 3, 2, bytes("b"), false), 0);
	ck_assert_int_eq(groups->announce(groups, at(0, &first), 4, 3, bytes("c"), true), 0);
	ck_assert_int_eq(groups->announce(groups, at(0, &second), 5, 4, bytes(""), false), 0);
	send(ann, GROUP_CMD_BROADCAST, "d");
	/* of nobody who is no member */
	ck_assert_int_eq(groups->broadcast(groups, at(0, &second), player_user(bob), 2, 1, bytes("e"), true), DK_GROUP_NOT_MEMBER);
}

/* Where it begins, and nowhere else. */
static void speaks_far(void)
{
	join_far();
	fabric_events();
	send(cid, GROUP_CMD_BROADCAST, "from afar");
}

static const struct {
	const char *name;
	void (*act)(void);
	const char *want;
} rows[] = {
	{ "create", create,
	  "1 created new\n"
	  "1 joined dan reason 0, 1 new\n" },
	{ "create empty", create_empty,
	  "1 created new\n"
	  "1 19 s later\n"
	  "1 discarded new\n" },
	{ "random join of none", random_made,
	  "3 created new\n"
	  "3 joined cid reason 0, 1 new\n" },
	{ "join", join,
	  "1 may dan [hi] first\n"
	  "1 joined dan reason 0, 3 first\n" },
	{ "join refused", join_refused, "1 may dan [hi] first\n" },
	{ "join far", join_far,
	  "3 may cid [hi] first\n"
	  "3 joined cid reason 0, 3 first\n" },
	{ "join far refused", join_far_refused,
	  "3 may cid [hi] first\n"
	  "3 discarded first\n" },
	{ "leave", leave, "1 left bob reason 1, 1 first\n" },
	{ "last leaves", last_leaves,
	  "1 left ann reason 1, 0 first\n"
	  "1 discarded first\n" },
	{ "leave far", leave_far,
	  "3 left cid reason 1, 2 first\n"
	  "3 discarded first\n" },
	{ "hangs up", hangs_up,
	  "1 discarding bob 1.112 0 bytes first\n"
	  "1 left bob reason 1, 1 first\n" },
	{ "hangs up, with words", hangs_up_with_words,
	  "1 discarding ann 1.112 0 bytes second\n"
	  "1 left ann reason 1, 0 second\n"
	  "1 discarded second\n"
	  "1 discarding ann 1.112 0 bytes first\n"
	  "1 left ann reason 1, 1 first\n" },
	{ "disconnected", disconnected,
	  "1 discarding bob 1.112 0 bytes first\n"
	  "1 left bob reason 5, 1 first\n" },
	{ "moves", moves,
	  "1 left bob reason 11, 2 first\n"
	  "2 moved here bob reason 0 first\n"
	  "2 rejoining bob 1.111 0 bytes first\n" },
	{ "moves, with words", moves_with_words,
	  "1 left bob reason 11, 2 first\n"
	  "2 moved here bob reason 0 first\n"
	  "2 rejoining bob 1.111 0 bytes first\n" },
	{ "speaks", speaks,
	  "1 said bob 2.1 'a' first\n"
	  "1 said ann 3.2 'b' second\n"
	  "1 said nobody 4.3 'c' first\n"
	  "1 said nobody 5.4 '' second\n"
	  "1 said ann 1.113 [d] first\n" },
	{ "speaks far", speaks_far, "3 said cid 1.113 [from afar] first\n" },
};

START_TEST(arguments)
{
	const char *seen;

	rows[_i].act();
	seen = fabric_events();
	ck_assert_msg(!strcmp(seen, rows[_i].want), "%s: expected\n%sfound\n%s", rows[_i].name, rows[_i].want, seen);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("group_hooks");
	TCase *t = tcase_create("hooks");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, fabric_close);
	tcase_add_loop_test(t, arguments, 0, (int)DK_ARRAY_LEN(rows));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
