/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks around the commands of group, session and dm, by their rows: BEFORE runs once and ahead of everything, and when it says no
 * nobody hears of anything; AFTER runs once, behind what succeeded, also where the success is silent or comes later. (Those of room
 * are in plugins/room/tests/test_room_hooks.c, which has a cluster.)
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <diarkis/dm_commands.h>
#include <diarkis/group_commands.h>
#include <diarkis/session_commands.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include "tools/cli.h"

static struct {
	uint16_t cmd;
	unsigned before, after;
	bool refuse;
	char order[64];
} seen;

static struct dk_harness *h;
static struct dk_test_user *ann, *bob;
static char group[DK_ID52_LEN];
static uint8_t session[64];
static size_t session_n;

/* ---- the probe ---- */

struct probe {
	struct dk_self base;
	struct dk_user *user;
};

static int before(struct probe *p, struct dk_call *call)
{
	if (call->cmd != seen.cmd || call->user != dk_test_user_id(ann))
		return 0;
	ck_assert(dk_str_eq(p->user->uid(p->user, call->user), dk_str_c("ann")));
	ck_assert_int_eq(dk_call_status(call), 0);
	seen.before++;
	strncat(seen.order, "before ", sizeof(seen.order) - strlen(seen.order) - 1);
	return seen.refuse ? dk_refuse(call, 7, "the hook says no") : 0;
}

static int after(struct probe *p, struct dk_call *call)
{
	(void)p;
	if (call->cmd != seen.cmd || call->user != dk_test_user_id(ann))
		return 0;
	ck_assert_int_eq(dk_call_status(call), DK_STATUS_OK);
	seen.after++;
	strncat(seen.order, "after ", sizeof(seen.order) - strlen(seen.order) - 1);
	return 0;
}

#define HOOKS(self, ver, cmd, name, fn, flags, help, in, out) DK_HOOK_BEFORE(ver, cmd, before), DK_HOOK_AFTER(ver, cmd, after),
static const struct dk_hook hooks[] = {
	GROUP_COMMANDS(HOOKS, HOOKS) SESSION_COMMANDS(HOOKS, HOOKS) DM_COMMANDS(HOOKS, HOOKS){ .fn = NULL }
};
static const struct dk_need needs[] = { DK_NEED(struct probe, user, DK_USER), { 0 } };

DK_PLUGIN(probe) = {
	DK_PLUGIN_HEAD("probe", "1", "the test's own"),
	.self_size = sizeof(struct probe),
	.needs = needs,
	.hooks = hooks,
};

/* ---- commands ---- */

#define NUMBERS(self, ver, cmd, name, fn, flags, help, in, out) cmd,
static const uint16_t numbers[] = {
	GROUP_COMMANDS(NUMBERS, NUMBERS) SESSION_COMMANDS(NUMBERS, NUMBERS) DM_COMMANDS(NUMBERS, NUMBERS)
};

static bool is(const struct dk_param *p, const char *name)
{
	return !strcmp(p->name, name);
}

/* What makes sense under that name. */
static void write_param(struct dk_writer *w, const struct dk_param *p)
{
	static const dk_slice friend_ = { (const uint8_t *)"bob", 3 }, text = { (const uint8_t *)"x", 1 };

	switch (p->type) {
	case DK_T_FLAG:
		dk_wr_u8(w, 1);
		break;
	case DK_T_U8:
		dk_wr_u8(w, is(p, "ttl_s") ? 60 : is(p, "max_members") ? 4 : 1);
		break;
	case DK_T_U16:
		dk_wr_u16(w, is(p, "ttl_s") ? 60 : 0);
		break;
	case DK_T_STR16:
		dk_wr_bytes16(w, is(p, "group") ? dk_slice_n(group, sizeof(group)) : friend_);
		break;
	case DK_T_BYTES16:
		dk_wr_bytes16(w, text);
		break;
	case DK_T_STRS:
		dk_wr_u16(w, 1);
		dk_wr_bytes16(w, friend_);
		break;
	case DK_T_BYTES32: /* uids */
		dk_wr_u32(w, 4 + (uint32_t)friend_.n);
		dk_wr_bytes32(w, friend_);
		break;
	case DK_T_REST:
		dk_wr_slice(w, is(p, "session") ? dk_slice_n(session, session_n) : text);
		break;
	default:
		ck_abort_msg("the test knows nothing to write for %s", p->name);
	}
}

static void say(struct dk_test_user *u, uint16_t cmd)
{
	const struct dk_command *row = cli_row_of(1, cmd);
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	ck_assert_ptr_nonnull(row);
	for (const struct dk_param *p = row->in; p->name; p++)
		write_param(&w, p);
	ck_assert(!w.bad);
	ck_assert_int_eq(dk_test_user_send(u, 1, cmd, dk_written(&w)), 0);
}

/* The same, and its answer, which is good. */
static dk_slice ask(struct dk_test_user *u, uint16_t cmd)
{
	struct dk_frame f;

	say(u, cmd);
	do
		ck_assert_msg(dk_test_user_await(u, 1, cmd, &f), "command %u is not answered", cmd);
	while (f.status == DK_STATUS_PUSH);
	ck_assert_msg(f.status == DK_STATUS_OK, "command %u: " DK_STR_FMT, cmd, DK_STR_ARG(dk_str_of(f.payload)));
	return f.payload;
}

static void forget(struct dk_test_user *u)
{
	struct dk_frame f;

	dk_harness_advance(h, 100);
	while (dk_test_user_next(u, &f))
		;
}

/* What the command takes for granted: bob has a group; a session is bob's where ann is to join it, else ann's with bob in it. */
static void prepare(uint16_t cmd)
{
	struct dk_test_user *owner = cmd == SESSION_CMD_JOIN ? bob : ann;
	dk_slice s = ask(bob, GROUP_CMD_CREATE);

	ck_assert_uint_eq(s.n, 2 + sizeof(group));
	memcpy(group, s.p + 2, sizeof(group));
	if (cmd == GROUP_CMD_LEAVE || cmd == GROUP_CMD_BROADCAST || cmd == GROUP_CMD_INFO)
		ask(ann, GROUP_CMD_JOIN);
	if (cmd < SESSION_CMD_BROADCAST || cmd == SESSION_CMD_CREATE)
		return;
	s = ask(owner, SESSION_CMD_CREATE);
	ck_assert(s.n > 1 && s.n <= sizeof(session));
	session_n = s.n - 1;
	memcpy(session, s.p + 1, session_n);
	if (owner == ann && cmd != SESSION_CMD_INVITE)
		ask(bob, SESSION_CMD_JOIN);
}

static void setup(void)
{
	static const char config[] = "plugins = { user = {}; mem = {}; probe = {}; group = { support = true; }; session = {}; "
				     "dm = {}; };";

	h = dk_harness_new(config, 1, &dk_plugin_probe);
	ck_assert_ptr_nonnull(h);
	ann = dk_harness_user(h, "ann");
	bob = dk_harness_user(h, "bob");
	memset(&seen, 0, sizeof(seen));
}

static void teardown(void)
{
	ck_assert_int_eq(dk_harness_free(h), 0);
}

START_TEST(around_each)
{
	const struct dk_command *row = cli_row_of(1, numbers[_i]);
	struct dk_frame f;
	bool answered = false;

	ck_assert_ptr_nonnull(row);
	prepare(row->cmd);
	forget(ann);
	forget(bob);
	seen.cmd = row->cmd;
	seen.refuse = true;
	say(ann, row->cmd);
	dk_harness_advance(h, 1000);
	ck_assert_msg(!strcmp(seen.order, "before "), "%s: %s", row->name, seen.order);
	ck_assert(dk_test_user_next(ann, &f));
	ck_assert(f.ver == 1 && f.cmd == row->cmd && f.status == DK_STATUS_BAD);
	ck_assert(dk_str_eq(dk_str_of(f.payload), dk_str_c("the hook says no")));
	ck_assert_msg(!dk_test_user_next(ann, &f) && !dk_test_user_next(bob, &f), "%s: something happened all the same", row->name);

	seen.refuse = false;
	seen.order[0] = '\0';
	say(ann, row->cmd);
	dk_harness_advance(h, 1000);
	ck_assert_msg(!strcmp(seen.order, "before after "), "%s: %s", row->name, seen.order);
	while (dk_test_user_next(ann, &f)) {
		if (f.cmd != row->cmd || f.status == DK_STATUS_PUSH)
			continue;
		ck_assert_msg(f.status == DK_STATUS_OK && !answered, "%s: " DK_STR_FMT, row->name,
			      DK_STR_ARG(dk_str_of(f.payload)));
		answered = true;
	}
	ck_assert_msg(answered == !(row->flags & DK_QUIET), "%s is answered, or not", row->name);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hooks around commands");
	TCase *t = tcase_create("modules");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, around_each, 0, (int)DK_ARRAY_LEN(numbers));
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
