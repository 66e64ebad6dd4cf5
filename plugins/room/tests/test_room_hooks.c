/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every hook of rooms: once, in the documented order, with the documented arguments. A row is one thing that happens in a
 * cluster of three nodes, and everything that plugins of these nodes hear of it, each line with the number of its node.
 *
 * And hooks around commands: BEFORE and AFTER of every row of the plugin, which a probe lists by the rows themselves.
 */
#include "fabric.h"

#include <check.h>
#include <stdio.h>

/* ---- the probe ---- */

struct probe {
	struct dk_self base;
	struct dk_user *user;
	struct dk_room *room;
};

static unsigned veto, condition_veto; /* the node whose filter says no, + 1 */
static bool farewell; /* `discarding` has something to say */

static const char *uid(struct probe *p, dk_id user)
{
	static char text[4][32];
	static unsigned at;
	dk_str s = p->user->uid(p->user, user);

	at = (at + 1) % 4;
	snprintf(text[at], sizeof(text[at]), DK_STR_FMT, DK_STR_ARG(user ? s : dk_str_c("nobody")));
	return text[at];
}

static void say_join(struct probe *p, const char *word, const struct dk_room_join *ask)
{
	struct dk_room_info info;

	ck_assert(p->room->info(p->room, ask->room, &info) == 0 || !strcmp(word, "failed"));
	fabric_event(p, "%s " DK_STR_FMT " %s '" DK_STR_FMT "'\n", word, DK_STR_ARG(ask->uid),
		     ask->user          ? uid(p, ask->user)
		     : ask->from.family ? "away"
					: "?",
		     DK_STR_ARG(dk_str_of(ask->message)));
}

static int on_join_condition(struct probe *p, struct dk_room_join *ask)
{
	say_join(p, "condition", ask);
	return condition_veto == dk_node_addr(p)->ip[3];
}

static int on_may_join(struct probe *p, struct dk_room_join *ask)
{
	say_join(p, "may", ask);
	return veto == dk_node_addr(p)->ip[3];
}

static void on_join_failed(struct probe *p, const struct dk_room_join *ev)
{
	say_join(p, "failed", ev);
}

static int on_discarding(struct probe *p, struct dk_room_discard *ask)
{
	ck_assert(p->room->is_member(p->room, ask->room, ask->user));
	fabric_event(p, "discarding %s %u.%u %zu bytes\n", uid(p, ask->user), ask->ver, ask->cmd, ask->message.n);
	if (farewell) {
		ask->ver = 2;
		ask->cmd = 77;
		ask->message = dk_slice_of(dk_str_c("gone"));
	}
	return 0;
}

static void say_room(struct probe *p, const char *word, const struct dk_room_event *ev)
{
	struct dk_room_info info;

	ck_assert_int_eq(p->room->info(p->room, ev->room, &info), 0);
	ck_assert_mem_eq(info.id.c, ev->id->c, DK_ID52_LEN);
	fabric_event(p, "%s%s\n", word, ev->moved ? " moved" : "");
}

static void on_created(struct probe *p, const struct dk_room_event *ev)
{
	say_room(p, "created", ev);
}

static void on_discarded(struct probe *p, const struct dk_room_event *ev)
{
	say_room(p, "discarded", ev);
}

static void on_changed(struct probe *p, const struct dk_room_member_event *ev)
{
	static const char *const words[] = {
		[DK_ROOM_MEMBER_ADDED] = "+", [DK_ROOM_MEMBER_REMOVED] = "-", [DK_ROOM_PROPERTIES_CHANGED] = "properties"
	};

	size_t n;

	p->room->members(p->room, ev->room, &n);
	ck_assert_uint_eq(n, ev->members);
	ck_assert_int_eq(p->room->is_member(p->room, ev->room, ev->user), ev->change == DK_ROOM_MEMBER_ADDED);
	fabric_event(p, "changed %s %s reason %d, %u\n", words[ev->change], uid(p, ev->user), ev->reason, ev->members);
}

static void on_joined(struct probe *p, const struct dk_room_member_event *ev)
{
	ck_assert(p->room->is_member(p->room, ev->room, ev->user));
	fabric_event(p, "joined %s %d %s, %u\n", uid(p, ev->user), ev->change,
		     p->user->is_connected(p->user, ev->user) ? "connected" : "on its way", ev->members);
}

static void on_left(struct probe *p, const struct dk_room_member_event *ev)
{
	ck_assert(!p->room->is_member(p->room, ev->room, ev->user));
	fabric_event(p, "left %s %d reason %d, %u\n", uid(p, ev->user), ev->change, ev->reason, ev->members);
}

static void on_owner_changed(struct probe *p, const struct dk_room_owner_event *ev)
{
	struct dk_room_info info;

	ck_assert_int_eq(p->room->info(p->room, ev->room, &info), 0);
	ck_assert_uint_eq(info.owner, ev->owner);
	fabric_event(p, "owner %s\n", uid(p, ev->owner));
}

static void on_announced(struct probe *p, const struct dk_room_sent *ev)
{
	fabric_event(p, "announced %s %u.%u '" DK_STR_FMT "'\n", uid(p, ev->sender), ev->ver, ev->cmd,
		     DK_STR_ARG(dk_str_of(ev->message)));
}

static void on_property_changed(struct probe *p, const struct dk_room_property_event *ev)
{
	fabric_event(p, "property " DK_STR_FMT " %lld\n", DK_STR_ARG(ev->name), ev->value ? (long long)ev->value->as.i : -1);
}

static void on_migrated(struct probe *p, const struct dk_room_migrated *ev)
{
	ck_assert_uint_eq(p->room->find(p->room, ev->id), ev->room);
	ck_assert_uint_eq(p->room->find(p->room, ev->old_id), ev->room);
	fabric_event(p, "migrated, id %s%s\n", memcmp(ev->old_id, ev->id, sizeof(*ev->id)) ? "new" : "kept",
		     ev->takeover ? ", taken over" : "");
}

static int on_chatting(struct probe *p, struct dk_room_chat *ask)
{
	fabric_event(p, "chatting %s '" DK_STR_FMT "'\n", uid(p, ask->sender), DK_STR_ARG(ask->text));
	return 0;
}

static void on_stopped(void *self, void *arg, dk_id room)
{
	(void)arg;
	ck_assert_uint_ne(room, 0);
	fabric_event(self, "clock stopped\n");
}

static int probe_init(void *self)
{
	struct probe *p = self;

	dk_filter_add(p, &p->room->join_condition, on_join_condition);
	dk_filter_add(p, &p->room->may_join, on_may_join);
	dk_filter_add(p, &p->room->discarding, on_discarding);
	dk_filter_add(p, &p->room->chatting, on_chatting);
	dk_connect(p, &p->room->join_failed, on_join_failed);
	dk_connect(p, &p->room->created, on_created);
	dk_connect(p, &p->room->discarded, on_discarded);
	dk_connect(p, &p->room->changed, on_changed);
	dk_connect(p, &p->room->joined, on_joined);
	dk_connect(p, &p->room->left, on_left);
	dk_connect(p, &p->room->owner_changed, on_owner_changed);
	dk_connect(p, &p->room->announced, on_announced);
	dk_connect(p, &p->room->property_changed, on_property_changed);
	dk_connect(p, &p->room->migrated, on_migrated);
	return 0;
}

/* ---- hooks around commands ---- */

static struct {
	uint16_t cmd;
	unsigned before, after;
	int status;
	size_t n;
	uint8_t payload[256]; /* as BEFORE saw it */
} hooked[64];
static bool refuse_all;

static unsigned hooked_at(uint16_t cmd)
{
	unsigned i = 0;

	while (hooked[i].cmd && hooked[i].cmd != cmd)
		i++;
	hooked[i].cmd = cmd;
	return i;
}

static int before(struct probe *p, struct dk_call *call)
{
	unsigned i = hooked_at(call->cmd);

	fabric_event(p, "before %u of %s\n", call->cmd, uid(p, call->user));
	ck_assert_int_eq(dk_call_status(call), 0);
	hooked[i].before++;
	hooked[i].n = call->payload.n;
	ck_assert_uint_le(call->payload.n, sizeof(hooked[i].payload));
	memcpy(hooked[i].payload, call->payload.p, call->payload.n);
	return refuse_all ? dk_refuse(call, 7, "the hook says no") : 0;
}

static int after(struct probe *p, struct dk_call *call)
{
	unsigned i = hooked_at(call->cmd);
	dk_slice body = dk_call_body(call);

	fabric_event(p, "after %u of %s, %d, %zu bytes%s\n", call->cmd, uid(p, call->user), dk_call_status(call), body.n,
		     call->cmd != ROOM_CMD_RAND_JOIN ? ""
		     : body.p[0]                     ? ", joined"
						     : ", created"); /* as the reference's IsRandomRoomCreated() */
	ck_assert_uint_eq(call->payload.n, hooked[i].n);
	if (hooked[i].n)
		ck_assert_mem_eq(call->payload.p, hooked[i].payload, hooked[i].n);
	ck_assert_uint_eq(hooked[i].after, hooked[i].before - 1);
	hooked[i].after++;
	hooked[i].status = dk_call_status(call);
	return 0;
}

#define HOOKS(self, ver, cmd, name, fn, flags, help, in, out) DK_HOOK_BEFORE(ver, cmd, before), DK_HOOK_AFTER(ver, cmd, after),
static const struct dk_hook hooks[] = { ROOM_COMMANDS(HOOKS, HOOKS) ROOM_DATA_COMMANDS(HOOKS, HOOKS){ .fn = NULL } };
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
	.hooks = hooks,
	.ops = &probe_ops,
};

/* ---- what happens ---- */

static struct player *ann, *bob, *cid; /* owner and member on node 1, somebody on node 3 */
static struct dk_room *rooms; /* of node 1 */
static struct dk_id52 id;
static dk_id room;

static dk_slice bytes(const char *text)
{
	return dk_slice_of(dk_str_c(text));
}

static void setup(void)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, NULL };
	struct dk_room_opts o = { .max_members = 3, .join = true, .ttl_s = 30, .replicas = 1 };

	veto = condition_veto = 0;
	refuse_all = farewell = false;
	memset(hooked, 0, sizeof(hooked));
	fabric_open(3, 1, "expose_puffer_commands = true; support = true; support_node_type = \"MEM\"", plugins, "probe = {}");
	rooms = fabric[0].rooms;
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	cid = player_new(2, "cid");
	room = fabric_room(0, ann, &o, &id);
	fabric_join(bob, &id);
	fabric_run(100);
	fabric_events();
}

static void send(struct player *p, uint16_t cmd, const char *message)
{
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_slice(&w, dk_slice_n(id.c, DK_ID52_LEN));
	dk_wr_slice(&w, bytes(message));
	player_send(p, 1, cmd, dk_written(&w));
	fabric_run(50);
}

static void create(void)
{
	struct dk_room_opts o = { .max_members = 3, .join = true, .ttl_s = 30 };
	struct player *dan = player_new(0, "dan");

	ck_assert_int_eq(rooms->create(rooms, player_user(dan), &o, &room), 0);
}

static void create_empty(void)
{
	struct dk_room_opts o = { .max_members = 3, .allow_empty = true, .ttl_s = 30 };
	struct player *dan = player_new(0, "dan");

	ck_assert_int_eq(rooms->create(rooms, 0, &o, &room), 0);
	ck_assert_int_eq(rooms->join(rooms, room, player_user(dan), 1, 101, bytes("first")), 0);
}

static void join(void)
{
	send(player_new(0, "dan"), 101, "hi");
}

static void join_refused(void)
{
	veto = 1;
	join();
}

static void join_on_condition(void)
{
	condition_veto = 1;
	join();
}

/* By all commands that join, from the node where it is and from another one; and who makes one. */
static void join_puffer(struct player *p)
{
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_bytes16(&w, bytes("hi"));
	dk_wr_bytes16(&w, dk_slice_n(id.c, DK_ID52_LEN));
	player_send(p, 1, ROOM_CMD_PUFFER_JOIN, dk_written(&w));
	fabric_run(50);
}

static void join_puffer_here(void)
{
	join_puffer(player_new(0, "dan"));
}

static void join_puffer_far(void)
{
	join_puffer(cid);
}

static void join_random(struct player *p)
{
	uint8_t buf[128];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dk_wr_u32(&w, 7);
	dk_wr_u16(&w, 5);
	dk_wr_bytes16(&w, bytes("hi"));
	dk_wr_u16(&w, 3);
	player_send(p, 1, ROOM_CMD_RAND_JOIN, dk_written(&w));
	fabric_run(50);
}

static void random_made(void)
{
	join_random(cid);
}

static void random_here(void)
{
	join_random(player_new(0, "dan"));
	fabric_events();
	join_random(player_new(0, "eve"));
}

static void random_far(void)
{
	join_random(player_new(0, "dan"));
	fabric_events();
	join_random(cid);
}

static void join_full(void)
{
	send(player_new(0, "dan"), 101, "hi");
	fabric_events();
	send(player_new(0, "eve"), 101, "hi");
}

static void join_far(void)
{
	send(cid, 101, "hi");
}

static void join_far_refused(void)
{
	veto = 1;
	send(cid, 101, "hi");
}

/* It gets its seat, and its client never turns up. */
static void join_far_never(void)
{
	uint8_t buf[DK_ID52_LEN];

	memcpy(buf, id.c, sizeof(buf));
	player_send(cid, 1, 101, dk_slice_n(buf, sizeof(buf)));
	dk_sim_run(fabric_world, 60); /* nobody follows the instruction */
	cid->end = NULL;
	fabric_run(20000);
}

static void leave(void)
{
	send(bob, 102, "bye");
}

static void owner_leaves(void)
{
	send(ann, 102, "");
}

static void last_leaves(void)
{
	send(bob, 102, "");
	fabric_events();
	send(ann, 102, "");
}

static void hangs_up(void)
{
	player_leave(bob);
	fabric_run(10);
}

static void hangs_up_with_words(void)
{
	farewell = true;
	player_heard(ann);
	hangs_up();
	ck_assert_str_eq(player_heard(ann), "77 push gone\n");
}

static void expires(void)
{
	struct dk_room_opts o = { .max_members = 3, .allow_empty = true, .ttl_s = 30 };

	ck_assert_int_eq(rooms->create(rooms, 0, &o, &room), 0);
	fabric_run(29000);
	fabric_event(fabric_probe(0), "29 s later\n");
	fabric_run(2000);
}

static void removed(void)
{
	ck_assert_int_eq(rooms->start_tick(rooms, dk_plugin_state(dk_harness_kernel(fabric[0].h), "probe"), room, on_stopped,
					   on_stopped, NULL),
			 0);
	ck_assert_int_eq(rooms->remove(rooms, room, 2, 9, bytes("over")), 0);
}

static void migrates(void)
{
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
	fabric_run(300);
}

static void node_dies(void)
{
	fabric_kill(0);
	fabric_believe(1, 0, DK_DEAD);
	fabric_believe(2, 0, DK_DEAD);
	fabric_run(500);
}

static void speaks(void)
{
	dk_id to[] = { player_user(bob) };

	ck_assert_int_eq(rooms->broadcast(rooms, room, player_user(ann), 2, 1, bytes("a"), true), 0);
	ck_assert_int_eq(rooms->message(rooms, room, player_user(ann), to, 1, 2, 2, bytes("b"), true), 0);
	ck_assert_int_eq(rooms->announce(rooms, room, NULL, 0, 2, 3, bytes("c"), true), 0);
	ck_assert_int_eq(rooms->announce(rooms, room, to, 1, 2, 4, bytes("d"), true), 0);
	ck_assert_int_eq(rooms->relay(rooms, room, player_user(ann), 2, 5, bytes("e"), true), 0);
	ck_assert_int_eq(rooms->chat(rooms, room, player_user(ann), dk_str_c("f")), 0);
	ck_assert_int_eq(rooms->chat(rooms, room, 0, dk_str_c("g")), 0);
}

static void keeps(void)
{
	struct dk_value seven = { .type = DK_V_INT, .as.i = 7 };
	int64_t now;

	ck_assert_int_eq(rooms->set(rooms, room, dk_str_c("n"), &seven), 0);
	ck_assert_int_eq(rooms->incr(rooms, room, dk_str_c("n"), 2, &now), 0);
	ck_assert_int_eq(rooms->unset(rooms, room, dk_str_c("n")), 0);
}

static bool two_at_once(void *arg, struct dk_room *svc, dk_id in)
{
	struct dk_value seven = { .type = DK_V_INT, .as.i = 7 }, eight = { .type = DK_V_INT, .as.i = 8 };

	ck_assert_int_eq(svc->set(svc, in, dk_str_c("m"), &seven), 0);
	ck_assert_int_eq(svc->set(svc, in, dk_str_c("n"), &seven), 0);
	ck_assert_int_eq(svc->set(svc, in, dk_str_c("n"), &eight), 0);
	return arg != NULL;
}

static void updates(void)
{
	ck_assert_int_eq(rooms->update(rooms, room, two_at_once, NULL), 0);
	fabric_event(fabric_probe(0), "it was taken back\n");
	ck_assert_int_eq(rooms->update(rooms, room, two_at_once, &id), 0);
}

static const struct {
	const char *name;
	void (*act)(void);
	const char *want;
} rows[] = {
	{ "create", create,
	  "1 created\n"
	  "1 changed + dan reason 0, 1\n"
	  "1 joined dan 1 connected, 1\n" },
	{ "create empty", create_empty,
	  "1 created\n"
	  "1 condition dan dan 'first'\n"
	  "1 may dan dan 'first'\n"
	  "1 changed + dan reason 0, 1\n"
	  "1 joined dan 1 connected, 1\n"
	  "1 owner dan\n" },
	{ "join", join,
	  "1 before 101 of dan\n"
	  "1 condition dan dan 'hi'\n"
	  "1 may dan dan 'hi'\n"
	  "1 changed + dan reason 0, 3\n"
	  "1 joined dan 1 connected, 3\n"
	  "1 after 101 of dan, 1, 56 bytes\n" },
	{ "join on condition", join_on_condition,
	  "1 before 101 of dan\n"
	  "1 condition dan dan 'hi'\n"
	  "1 failed dan dan 'hi'\n" },
	{ "join refused", join_refused,
	  "1 before 101 of dan\n"
	  "1 condition dan dan 'hi'\n"
	  "1 may dan dan 'hi'\n"
	  "1 failed dan dan 'hi'\n" },
	{ "join full", join_full,
	  "1 before 101 of eve\n"
	  "1 condition eve eve 'hi'\n"
	  "1 may eve eve 'hi'\n"
	  "1 failed eve eve 'hi'\n" },
	{ "join in puffer form", join_puffer_here,
	  "1 before 1101 of dan\n"
	  "1 condition dan dan 'hi'\n"
	  "1 may dan dan 'hi'\n"
	  "1 changed + dan reason 0, 3\n"
	  "1 joined dan 1 connected, 3\n"
	  "1 after 1101 of dan, 1, 58 bytes\n" },
	{ "random join of none", random_made,
	  "3 before 106 of cid\n"
	  "3 created\n"
	  "3 changed + cid reason 0, 1\n"
	  "3 joined cid 1 connected, 1\n"
	  "3 after 106 of cid, 1, 57 bytes, created\n" },
	{ "random join", random_here,
	  "1 before 106 of eve\n"
	  "1 condition eve eve 'hi'\n"
	  "1 may eve eve 'hi'\n"
	  "1 changed + eve reason 0, 2\n"
	  "1 joined eve 1 connected, 2\n"
	  "1 after 106 of eve, 1, 57 bytes, joined\n" },
	{ "join far", join_far,
	  "3 before 101 of cid\n"
	  "1 condition cid away 'hi'\n"
	  "1 may cid away 'hi'\n"
	  "1 changed + cid reason 0, 3\n"
	  "1 joined cid 1 connected, 3\n"
	  "1 after 101 of cid, 1, 56 bytes\n" },
	{ "join far in puffer form", join_puffer_far,
	  "3 before 1101 of cid\n"
	  "1 condition cid away 'hi'\n"
	  "1 may cid away 'hi'\n"
	  "1 changed + cid reason 0, 3\n"
	  "1 joined cid 1 connected, 3\n"
	  "1 after 1101 of cid, 1, 58 bytes\n" },
	{ "random join far", random_far,
	  "3 before 106 of cid\n"
	  "1 condition cid away 'hi'\n"
	  "1 may cid away 'hi'\n"
	  "1 changed + cid reason 0, 2\n"
	  "1 joined cid 1 connected, 2\n"
	  "1 after 106 of cid, 1, 57 bytes, joined\n" },
	{ "join far refused", join_far_refused,
	  "3 before 101 of cid\n"
	  "1 condition cid away 'hi'\n"
	  "1 may cid away 'hi'\n"
	  "1 failed cid away 'hi'\n" },
	{ "join far never", join_far_never,
	  "3 before 101 of cid\n"
	  "1 condition cid away ''\n"
	  "1 may cid away ''\n"
	  "1 changed + cid reason 0, 3\n"
	  "1 failed cid cid ''\n"
	  "1 changed - cid reason 4, 2\n" },
	{ "leave", leave,
	  "1 before 102 of bob\n"
	  "1 changed - bob reason 1, 1\n"
	  "1 left bob 2 reason 1, 1\n"
	  "1 after 102 of bob, 1, 0 bytes\n" },
	{ "owner leaves", owner_leaves,
	  "1 before 102 of ann\n"
	  "1 changed - ann reason 1, 1\n"
	  "1 left ann 2 reason 1, 1\n"
	  "1 owner bob\n"
	  "1 after 102 of ann, 1, 0 bytes\n" },
	{ "last leaves", last_leaves,
	  "1 before 102 of ann\n"
	  "1 changed - ann reason 1, 0\n"
	  "1 left ann 2 reason 1, 0\n"
	  "1 owner nobody\n"
	  "1 discarded\n"
	  "1 after 102 of ann, 1, 0 bytes\n" },
	{ "hangs up", hangs_up,
	  "1 discarding bob 1.102 0 bytes\n"
	  "1 changed - bob reason 1, 1\n"
	  "1 left bob 2 reason 1, 1\n" },
	{ "hangs up, with words", hangs_up_with_words,
	  "1 discarding bob 1.102 0 bytes\n"
	  "1 changed - bob reason 1, 1\n"
	  "1 left bob 2 reason 1, 1\n" },
	{ "expires", expires,
	  "1 created\n"
	  "1 29 s later\n"
	  "1 discarded\n" },
	{ "removed", removed,
	  "1 changed - bob reason 5, 1\n"
	  "1 left bob 2 reason 5, 1\n"
	  "1 changed - ann reason 5, 0\n"
	  "1 left ann 2 reason 5, 0\n"
	  "1 discarded\n"
	  "1 clock stopped\n" },
	{ "migrates", migrates,
	  "1 before 12 of ann\n"
	  "1 changed - bob reason 11, 1\n"
	  "1 left bob 2 reason 11, 1\n"
	  "1 changed - ann reason 11, 0\n"
	  "1 left ann 2 reason 11, 0\n"
	  "1 discarded moved\n"
	  "2 created moved\n"
	  "2 changed + ann reason 0, 2\n"
	  "2 joined ann 1 connected, 2\n"
	  "2 changed + bob reason 0, 2\n"
	  "2 joined bob 1 connected, 2\n"
	  "2 migrated, id new\n"
	  "2 after 12 of ann, 1, 0 bytes\n" },
	{ "node dies", node_dies,
	  "2 created moved\n"
	  "2 changed + ann reason 0, 2\n"
	  "2 joined ann 1 on its way, 2\n"
	  "2 changed + bob reason 0, 2\n"
	  "2 joined bob 1 on its way, 2\n"
	  "2 migrated, id kept, taken over\n" },
	{ "speaks", speaks,
	  "1 announced ann 2.1 'a'\n"
	  "1 announced ann 2.2 'b'\n"
	  "1 announced nobody 2.3 'c'\n"
	  "1 announced nobody 2.4 'd'\n"
	  "1 chatting ann 'f'\n"
	  "1 chatting nobody 'g'\n" },
	{ "keeps", keeps,
	  "1 changed properties nobody reason 0, 2\n"
	  "1 property n 7\n"
	  "1 changed properties nobody reason 0, 2\n"
	  "1 property n 9\n"
	  "1 changed properties nobody reason 0, 2\n"
	  "1 property n -1\n" },
	{ "updates", updates,
	  "1 it was taken back\n"
	  "1 changed properties nobody reason 0, 2\n"
	  "1 property m 7\n"
	  "1 property n 8\n" },
};

START_TEST(once_and_in_order)
{
	const char *seen;

	rows[_i].act();
	seen = fabric_events();
	ck_assert_msg(!strcmp(seen, rows[_i].want), "%s: expected\n%sfound\n%s", rows[_i].name, rows[_i].want, seen);
}
END_TEST

/* ---- every command, with any payload that its row takes ---- */

static size_t payload_of(const struct dk_command *row, struct dk_writer *w)
{
	for (const struct dk_param *p = row->in; p->type; p++) {
		switch (p->type) {
		case DK_T_U8:
		case DK_T_FLAG:
			dk_wr_u8(w, 1);
			break;
		case DK_T_U16:
			dk_wr_u16(w, 30);
			break;
		case DK_T_U32:
			dk_wr_u32(w, 0);
			break;
		case DK_T_U64:
		case DK_T_I64:
			dk_wr_u64(w, 1);
			break;
		case DK_T_STR16:
			dk_wr_bytes16(w, strcmp(p->name, "room") ? bytes("x") : dk_slice_n(id.c, DK_ID52_LEN));
			break;
		case DK_T_BYTES16:
			dk_wr_bytes16(w, bytes("x"));
			break;
		case DK_T_ID52:
			dk_wr_slice(w, dk_slice_n(id.c, DK_ID52_LEN));
			break;
		case DK_T_STRS:
			dk_wr_u16(w, 1);
			dk_wr_bytes16(w, bytes("x"));
			break;
		case DK_T_REST:
			break;
		default:
			ck_abort_msg("%s: the test knows no payload for %s", row->name, p->name);
		}
	}
	return dk_written(w).n;
}

#define NUMBERS(self, ver, cmd, name, fn, flags, help, in, out) cmd,
static const uint16_t numbers[] = { ROOM_COMMANDS(NUMBERS, NUMBERS) ROOM_DATA_COMMANDS(NUMBERS, NUMBERS) };

/* BEFORE runs once, ahead of everything; when it says no nothing else runs. AFTER runs once, behind what succeeded. */
START_TEST(around_commands)
{
	struct probe *p = dk_plugin_state(dk_harness_kernel(fabric[0].h), "probe");
	const struct dk_command *row = dk_command_find(p, 1, numbers[_i]);
	uint8_t buf[512];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	const char *heard;
	unsigned i = hooked_at(numbers[_i]);
	char want[96];

	ck_assert_ptr_nonnull(row);
	payload_of(row, &w);
	ck_assert(!w.bad);
	player_heard(bob);
	refuse_all = true;
	player_send(bob, 1, row->cmd, dk_written(&w));
	fabric_run(5);
	ck_assert_uint_eq(hooked[i].before, 1);
	ck_assert_uint_eq(hooked[i].after, 0);
	snprintf(want, sizeof(want), "%u bad the hook says no\n", row->cmd);
	ck_assert_str_eq(player_heard(bob), want);
	snprintf(want, sizeof(want), "1 before %u of bob\n", row->cmd);
	fabric_expect(want);
	refuse_all = false;
	hooked[i].before = 0;
	player_send(bob, 1, row->cmd, dk_written(&w));
	fabric_run(50);
	heard = player_heard(bob);
	ck_assert_uint_eq(hooked[i].before, 1);
	snprintf(want, sizeof(want), "%u bad ", row->cmd);
	ck_assert_msg(hooked[i].after == (strstr(heard, want) ? 0 : 1), "%s: AFTER ran %u times, and the answer was %s", row->name,
		      hooked[i].after, heard);
	ck_assert(!hooked[i].after || hooked[i].status == DK_STATUS_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_hooks");
	TCase *t = tcase_create("hooks");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, fabric_close);
	tcase_add_loop_test(t, once_and_in_order, 0, (int)DK_ARRAY_LEN(rows));
	tcase_add_loop_test(t, around_commands, 0, (int)DK_ARRAY_LEN(numbers));
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
