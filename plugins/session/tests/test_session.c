/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of users on three nodes: commands and pushes, hooks in order, what is refused and with which code, properties from
 * anywhere. What happens when users, homes and nodes come and go is in test_session_nodes.c.
 */
#include "kit.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct player *ann, *bob, *cat;

static void people(void)
{
	ann = player_new(0, "ann");
	bob = player_new(1, "bob");
	cat = player_new(2, "cat");
}

static void setup(void)
{
	kit_open(3, 1, "");
	people();
}

static void teardown(void)
{
	fabric_close();
	fabric_env = NULL;
}

static void all_forget(void)
{
	fabric_run(20);
	kit_heard(ann);
	kit_heard(bob);
	kit_heard(cat);
	kit_events[0] = '\0';
}

/* ---- what members hear ---- */

START_TEST(members_stay_on_their_nodes)
{
	const char *id;

	kit_create(ann, 7, 3, 60);
	fabric_run(20);
	kit_expect(ann, "801 ok .$\n");
	id = kit_id_of(ann, 7);
	kit_join(bob, 7, id);
	fabric_run(20);
	kit_expect(bob, "804 ok .$\n");
	kit_expect(ann, "804 push ..ann.0$...bob\n");
	ck_assert_uint_eq(bob->node, 1);
	kit_join(cat, 7, id);
	fabric_run(20);
	kit_expect(cat, "804 ok .$\n");
	kit_expect(ann, "804 push ..ann.0$...cat\n");
	kit_expect(bob, "804 push ..ann.0$...cat\n");
	kit_broadcast(cat, 7, "hello");
	fabric_run(20);
	kit_expect(ann, "800 push hello\n");
	kit_expect(bob, "800 push hello\n");
	kit_expect(cat, "800 push hello\n");
	kit_leave(bob, 7);
	fabric_run(20);
	kit_expect(bob, "805 ok \n");
	kit_expect(ann, "805 push ..ann..0$...bob\n");
	kit_expect(cat, "805 push ..ann..0$...bob\n");
	ck_assert_int_eq(kit_count(0, "members"), 2);
	ck_assert_int_eq(kit_count(1, "seats"), 0);
	ck_assert_int_eq(kit_count(2, "seats"), 1);
}
END_TEST

START_TEST(messages_to_some)
{
	const char *id = kit_session(ann, 1, 9);

	kit_join(bob, 1, id);
	kit_join(cat, 1, id);
	all_forget();
	kit_message(cat, 1, "bob nobody bob cat", "psst");
	fabric_run(20);
	kit_expect(ann, "");
	kit_expect(bob, "807 push psst\n");
	kit_expect(cat, "807 push psst\n");
}
END_TEST

/* Which parameter, what was expected, what was found. */
START_TEST(says_what_is_wrong)
{
	char longest[DK_UID_MAX + 2], want[128];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	kit_session(ann, 1, 9);
	all_forget();
	kit_invite(ann, 1, "", "come");
	fabric_run(20);
	kit_expect(ann, "802 bad uids: expected 1 to 100 users, found 0\n");
	kit_invite(ann, 1, "bob ann", "come");
	fabric_run(20);
	kit_expect(ann, "802 bad uids: expected other users, found the uid of the one who invites\n");
	kit_invite(ann, 1, longest, "come");
	fabric_run(20);
	snprintf(want, sizeof(want), "802 bad uids: expected uids of 1 to %d bytes, found one of %d\n", DK_UID_MAX, DK_UID_MAX + 1);
	kit_expect(ann, want);
	kit_message(ann, 1, "", "psst");
	fabric_run(20);
	kit_expect(ann, "807 bad members: expected 1 to 100 uids, found 0\n");
	kit_expect(bob, "");
}
END_TEST

START_TEST(kicked_by_the_owner)
{
	const char *id = kit_session(ann, 1, 9);

	kit_join(bob, 1, id);
	kit_join(cat, 1, id);
	all_forget();
	kit_kick(ann, 1, "bob");
	fabric_run(20);
	kit_expect(ann, "805 push ..ann..0$...bob\n806 ok \n");
	kit_expect(bob, "806 push .0$.\n");
	kit_expect(cat, "805 push ..ann..0$...bob\n");
	kit_expect_events("1 left 1 bob 2 reason 3\n");
	kit_broadcast(ann, 1, "x");
	fabric_run(20);
	kit_expect(bob, "");
	kit_join(bob, 1, id);
	fabric_run(20);
	kit_expect(bob, "804 ok .$\n");
	ck_assert_int_eq(kit_count(0, "kicked"), 1);
}
END_TEST

START_TEST(looks_by_type)
{
	const char *id = kit_session(ann, 5, 9);

	kit_join(bob, 5, id);
	all_forget();
	kit_typed(bob, SESSION_CMD_MEMBER_IDS, 5);
	kit_typed(bob, SESSION_CMD_COUNT, 5);
	kit_typed(bob, SESSION_CMD_INFO, 5);
	fabric_run(40);
	kit_expect(bob, "808 ok .....ann....bob\n809 ok .....\n810 ok ..0$..........ann....bobann\n");
}
END_TEST

START_TEST(several_types_at_once)
{
	struct dk_session_of_user of[4];
	struct dk_session *svc = kit_svc(0);

	kit_create(ann, 9, 2, 60);
	kit_create(ann, 3, 2, 60);
	fabric_run(20);
	ck_assert_uint_eq(svc->data_of_user(svc, player_user(ann), of, 4), 2);
	ck_assert_uint_eq(of[0].type, 3);
	ck_assert_uint_eq(of[1].type, 9);
	ck_assert(memcmp(&of[0].id, &of[1].id, sizeof(of[0].id)) != 0);
	ck_assert_uint_eq(svc->data_of_user(svc, player_user(ann), of, 1), 2);
	ck_assert_uint_eq(svc->number(svc), 2);
}
END_TEST

START_TEST(invitations_find_users_anywhere)
{
	struct player *dan = player_new(0, "dan");
	const char *id = kit_session(ann, 4, 9);

	kit_invite(ann, 4, "bob dan cat", "come");
	fabric_run(20);
	kit_expect(ann, "802 ok \n");
	kit_expect(bob, "802 push .0$come\n");
	kit_expect(dan, "802 push .0$come\n");
	kit_expect(cat, "802 push .0$come\n");
	kit_join(cat, 4, id);
	all_forget();
	kit_invite(cat, 4, "bob eve", "come");
	fabric_run(20);
	kit_expect(bob, "802 push .0$come\n");
	ck_assert_ptr_nonnull(strstr(kit_heard(cat), "802 bad somebody who was invited is not connected"));
	ck_assert_int_eq(kit_count(2, "invites_failed"), 1);
}
END_TEST

/* ---- hooks ---- */

START_TEST(hooks_in_order)
{
	struct dk_session *svc = kit_svc(0);
	const char *id;
	dk_id session;
	struct dk_session_id sid;

	kit_create(ann, 7, 3, 60);
	fabric_run(20);
	kit_expect_events("1 created 7\n1 joined 7 ann 1\n1 owner 'ann'\n");
	id = kit_id_of(ann, 7);
	kit_join(bob, 7, id);
	fabric_run(20);
	kit_expect_events("1 may_join 7 bob from 2, 1 members\n1 joined 7 bob 2\n");
	kit_probe(0)->veto = true;
	kit_join(cat, 7, id);
	fabric_run(20);
	kit_expect_events("1 may_join 7 cat from 3, 2 members\n");
	ck_assert_ptr_nonnull(strstr(kit_heard(cat), "804 bad a rule of this session does not let the user in\n"));
	kit_probe(0)->veto = false;
	kit_join(cat, 7, id);
	fabric_run(20);
	kit_expect_events("1 may_join 7 cat from 3, 2 members\n1 joined 7 cat 3\n");
	kit_leave(ann, 7);
	fabric_run(20);
	kit_expect_events("1 left 7 ann 2 reason 1\n1 owner 'bob'\n");
	player_leave(bob);
	fabric_run(20);
	kit_expect_events("1 left 7 bob 1 reason 2\n1 owner 'cat'\n");
	memcpy(sid.c, id, sizeof(sid.c));
	session = svc->find(svc, &sid);
	ck_assert_int_eq(svc->start_tick(svc, session, dk_str_c("slow"), 3), 0);
	ck_assert_int_eq(svc->start_tick(svc, session, dk_str_c("fast"), 2), 0);
	ck_assert_int_eq(svc->start_tick(svc, session, dk_str_c("fast"), 9), 0);
	fabric_run(4100);
	kit_expect_events("1 tick fast\n1 tick slow\n1 tick fast\n");
	ck_assert_int_eq(svc->stop_tick(svc, session, dk_str_c("fast")), 0);
	ck_assert_int_eq(svc->stop_tick(svc, session, dk_str_c("fast")), DK_NOT_FOUND);
	ck_assert_int_eq(svc->start_tick(svc, session, dk_str_c(""), 9), -EINVAL);
	ck_assert_int_eq(svc->start_tick(svc, session, dk_str_c("x"), 0), -EINVAL);
	kit_expect_events("1 tick stopped fast\n");
	kit_heard(cat);
	ck_assert_int_eq(svc->remove(svc, session), 0);
	ck_assert_int_eq(svc->remove(svc, session), DK_SESSION_GONE);
	kit_expect_events("1 deleting 7 with 1 members\n1 tick stopped slow\n1 left 7 cat 0 reason 6\n1 deleted 7\n");
	fabric_run(20);
	kit_expect(cat, "811 push ..0$.\n");
	ck_assert_ptr_null(kit_id_of(cat, 7));
	ck_assert_int_eq(kit_count(2, "seats"), 0);
}
END_TEST

START_TEST(an_empty_one_ends_after_its_time)
{
	const char *id;

	kit_create(ann, 7, 3, 1);
	fabric_run(20);
	id = kit_id_of(ann, 7);
	kit_leave(ann, 7);
	fabric_run(20);
	kit_events[0] = '\0';
	fabric_run(29000); /* 1 s counts as 30 */
	kit_expect_events("");
	kit_join(bob, 7, id);
	fabric_run(20);
	kit_expect_events("1 may_join 7 bob from 2, 0 members\n1 joined 7 bob 1\n1 owner 'bob'\n");
	fabric_run(40000);
	kit_leave(bob, 7);
	fabric_run(20);
	kit_expect_events("1 left 7 bob 0 reason 1\n1 owner ''\n");
	fabric_run(30100);
	kit_expect_events("1 deleting 7 with 0 members\n1 deleted 7\n");
	kit_heard(bob);
	kit_join(bob, 7, id);
	fabric_run(100);
	ck_assert_ptr_nonnull(strstr(kit_heard(bob), "804 bad there is no such session"));
}
END_TEST

/* ---- refusals ---- */

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

			if (f.ver != SESSION_VER || f.cmd != cmd || f.status == DK_STATUS_PUSH)
				continue;
			return f.status == 40 ? dk_rd_u32(&c) : 0;
		}
	}
	ck_abort_msg("no answer to %u", cmd);
}

static void structured(const char *options)
{
	static const char *const env[] = { "DIARKIS_USE_STRUCT_ERR=TRUE", NULL };

	fabric_env = env;
	kit_open(3, 1, options);
	people();
}

START_TEST(every_refusal_has_its_code)
{
	static const char nowhere[] = "00000000-0000-4000-8000-0000000000000a0000011f40";
	char big[300];
	const char *id;

	structured("max_members = 4; max_sessions = 2; max_message_bytes = 100;");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	player_send(ann, 1, SESSION_CMD_CREATE, dk_slice_n("\1", 1)); /* too short */
	ck_assert_uint_eq(refused(ann, SESSION_CMD_CREATE), DK_E_SHORT);
	kit_create(ann, 1, 1, 60); /* one seat */
	ck_assert_uint_eq(refused(ann, SESSION_CMD_CREATE), DK_E_PARAMS);
	kit_create(ann, 1, 5, 60); /* more than max_members */
	ck_assert_uint_eq(refused(ann, SESSION_CMD_CREATE), DK_E_PARAMS);
	kit_create(ann, 1, 2, 0); /* no time to live */
	ck_assert_uint_eq(refused(ann, SESSION_CMD_CREATE), DK_E_PARAMS);
	id = kit_session(ann, 1, 2);
	kit_create(ann, 1, 2, 60); /* of that type already */
	ck_assert_uint_eq(refused(ann, SESSION_CMD_CREATE), DK_E_SESSION);
	kit_join(ann, 1, id);
	ck_assert_uint_eq(refused(ann, SESSION_CMD_JOIN), DK_E_SESSION);
	kit_join(bob, 1, "no id");
	ck_assert_uint_eq(refused(bob, SESSION_CMD_JOIN), DK_E_SESSION_NONE);
	kit_join(bob, 1, nowhere);
	ck_assert_uint_eq(refused(bob, SESSION_CMD_JOIN), DK_E_SESSION_NONE);
	kit_join(bob, 2, id); /* another type */
	ck_assert_uint_eq(refused(bob, SESSION_CMD_JOIN), DK_E_PARAMS);
	kit_probe(0)->veto = true;
	kit_join(bob, 1, id);
	ck_assert_uint_eq(refused(bob, SESSION_CMD_JOIN), DK_E_SESSION);
	kit_probe(0)->veto = false;
	for (unsigned i = 0; i < 5; i++) {
		static const uint16_t typed[] = { SESSION_CMD_LEAVE, SESSION_CMD_BROADCAST, SESSION_CMD_MEMBER_IDS,
						  SESSION_CMD_COUNT, SESSION_CMD_INFO };

		kit_typed(bob, typed[i], 1); /* in none */
		ck_assert_uint_eq(refused(bob, typed[i]), DK_E_SESSION_NONE);
	}
	kit_invite(bob, 1, "ann", "");
	ck_assert_uint_eq(refused(bob, SESSION_CMD_INVITE), DK_E_SESSION_NONE);
	kit_kick(bob, 1, "ann");
	ck_assert_uint_eq(refused(bob, SESSION_CMD_KICK), DK_E_SESSION_NONE);
	kit_message(bob, 1, "ann", "x");
	ck_assert_uint_eq(refused(bob, SESSION_CMD_MESSAGE), DK_E_SESSION_NONE);
	kit_join(bob, 1, id);
	all_forget();
	kit_join(cat, 1, id); /* full */
	ck_assert_uint_eq(refused(cat, SESSION_CMD_JOIN), DK_E_SESSION);
	kit_kick(bob, 1, "ann"); /* not the owner */
	ck_assert_uint_eq(refused(bob, SESSION_CMD_KICK), DK_E_SESSION);
	kit_kick(ann, 1, "cat"); /* no member */
	ck_assert_uint_eq(refused(ann, SESSION_CMD_KICK), DK_E_SESSION);
	kit_invite(ann, 1, "", "");
	ck_assert_uint_eq(refused(ann, SESSION_CMD_INVITE), DK_E_PARAMS);
	kit_invite(ann, 1, "ann", "");
	ck_assert_uint_eq(refused(ann, SESSION_CMD_INVITE), DK_E_PARAMS);
	kit_invite(ann, 1, "nobody", "");
	ck_assert_uint_eq(refused(ann, SESSION_CMD_INVITE), DK_E_SESSION);
	player_send(ann, 1, SESSION_CMD_INVITE, dk_slice_n("\1\0\0\0\5\0\0\0\7x", 10)); /* no list */
	ck_assert_uint_eq(refused(ann, SESSION_CMD_INVITE), DK_E_PARAMS);
	kit_message(ann, 1, "", "x");
	ck_assert_uint_eq(refused(ann, SESSION_CMD_MESSAGE), DK_E_PARAMS);
	kit_broadcast(ann, 1, big);
	ck_assert_uint_eq(refused(ann, SESSION_CMD_BROADCAST), DK_E_PARAMS);
	kit_create(ann, 2, 2, 60);
	all_forget();
	kit_create(ann, 3, 2, 60); /* max_sessions */
	ck_assert_uint_eq(refused(ann, SESSION_CMD_CREATE), DK_E_SESSION);
	fabric_cut(0, 1, true); /* the home does not answer */
	kit_typed(bob, SESSION_CMD_COUNT, 1);
	ck_assert_uint_eq(refused(bob, SESSION_CMD_COUNT), DK_E_NODE_NOT_FOUND);
	kit_broadcast(bob, 1, "x");
	ck_assert_uint_eq(refused(bob, SESSION_CMD_BROADCAST), DK_E_NODE_NOT_FOUND);
	fabric_cut(0, 1, false);
}
END_TEST

START_TEST(hidden_from_clients)
{
	structured("expose_commands = false;");
	for (uint16_t cmd = SESSION_CMD_BROADCAST; cmd <= SESSION_CMD_INFO; cmd++) {
		uint8_t buf[16] = { 1, 0, 0 };
		size_t n = cmd == SESSION_CMD_CREATE    ? 3
			   : cmd == SESSION_CMD_INVITE  ? 5
			   : cmd == SESSION_CMD_KICK    ? 3
			   : cmd == SESSION_CMD_MESSAGE ? 5
							: 1;

		if (cmd == 803)
			continue;
		if (cmd == SESSION_CMD_MESSAGE)
			buf[0] = 0;
		player_send(ann, 1, cmd, dk_slice_n(buf, n));
		ck_assert_uint_eq(refused(ann, cmd), DK_E_SESSION);
	}
	ck_assert_int_eq(kit_svc(0)->create(kit_svc(0), player_user(ann), &(struct dk_session_opts){ 1, 2, 60 },
					    &(struct dk_session_id){ "" }),
			 0);
}
END_TEST

/* ---- what code asks for, from any node ---- */

static dk_str the_id;

static void a_session(void)
{
	const char *id = kit_session(ann, 1, 9);

	kit_join(bob, 1, id);
	all_forget();
	the_id = dk_str_c(id);
}

START_TEST(properties_from_any_node)
{
	struct dk_session *here = kit_svc(0), *there = kit_svc(2);
	struct dk_value v = dk_value_str(dk_str_c("red")), n = dk_value_int_(DK_V_INT, 40);
	struct dk_named_value many[] = { { dk_str_c("a"), n }, { dk_str_c("b"), v } };
	dk_str names[] = { dk_str_c("b"), dk_str_c("none"), dk_str_c("color"), dk_str_c("b") };
	void *me = kit_probe(2), *home = kit_probe(0);

	a_session();
	ck_assert_int_eq(there->set(there, me, the_id, dk_str_c("color"), &v, false, kit_done, NULL), 0);
	kit_expect_answer("0");
	ck_assert_int_eq(here->get(here, home, the_id, dk_str_c("color"), kit_done, NULL), 0);
	kit_expect_answer("0 color=red");
	ck_assert_int_eq(there->set(there, me, the_id, dk_str_c("color"), &n, true, kit_done, NULL), 0);
	kit_expect_answer("5"); /* DK_EXISTS */
	ck_assert_int_eq(there->set(there, me, the_id, dk_str_c("new"), &n, true, kit_done, NULL), 0);
	kit_expect_answer("0");
	ck_assert_int_eq(there->incr(there, me, the_id, dk_str_c("new"), 2, kit_done, NULL), 0);
	kit_expect_answer("0 42");
	ck_assert_int_eq(there->incr(there, me, the_id, dk_str_c("color"), 2, kit_done, NULL), 0);
	kit_expect_answer("6"); /* DK_REFUSED */
	ck_assert_int_eq(there->set_many(there, me, the_id, many, 2, kit_done, NULL), 0);
	kit_expect_answer("0");
	ck_assert_int_eq(there->get_many(there, me, the_id, names, 4, kit_done, NULL), 0);
	kit_expect_answer("0 color=red b=red");
	ck_assert_int_eq(there->unset(there, me, the_id, dk_str_c("b"), kit_done, NULL), 0);
	kit_expect_answer("0");
	ck_assert_int_eq(there->get(there, me, the_id, dk_str_c("b"), kit_done, NULL), 0);
	kit_expect_answer("4"); /* DK_NOT_FOUND */
	ck_assert_int_eq(there->set(there, me, the_id, dk_str_c(""), &n, true, kit_done, NULL), -EINVAL);
	ck_assert_int_eq(there->set(there, me, dk_str_c("x"), dk_str_c("y"), &n, true, kit_done, NULL), DK_SESSION_GONE);
	kit_expect_events(
		"1 property color 4\n1 property new 2\n1 property new 2\n1 property a 2\n1 property b 4\n1 property b 0\n");
}
END_TEST

static unsigned updates_done;

static int add_one(void *self, void *arg, struct dk_value *value)
{
	(void)self;
	(void)arg;
	*value = dk_value_int_(DK_V_INT, value->type == DK_V_NONE ? 1 : value->as.i + 1);
	return 0;
}

static int no_more(void *self, void *arg, struct dk_value *value)
{
	(void)self;
	(void)arg;
	(void)value;
	return DK_REFUSED;
}

static void update_done(void *self, void *arg, const struct dk_session_result *r)
{
	(void)self;
	(void)arg;
	ck_assert_int_eq(r->rc, 0);
	updates_done++;
}

START_TEST(updates_one_after_another)
{
	updates_done = 0;
	a_session();
	fabric_jitter(5);
	for (unsigned i = 0; i < 30; i++) {
		struct dk_session *svc = kit_svc(i % 3);

		ck_assert_int_eq(svc->update(svc, kit_probe(i % 3), the_id, dk_str_c("n"), add_one, update_done, NULL), 0);
	}
	fabric_run(3000);
	ck_assert_uint_eq(updates_done, 30);
	kit_svc(1)->get(kit_svc(1), kit_probe(1), the_id, dk_str_c("n"), kit_done, NULL);
	kit_expect_answer("0 n=30");
	kit_svc(1)->update(kit_svc(1), kit_probe(1), the_id, dk_str_c("n"), no_more, kit_done, NULL);
	kit_expect_answer("6");
}
END_TEST

START_TEST(looks_from_any_node)
{
	struct dk_session *svc = kit_svc(2);
	void *me = kit_probe(2);

	a_session();
	svc->members(svc, me, the_id, kit_done, NULL);
	kit_expect_answer("0 2/9 ann bob owner ann");
	svc->count(svc, me, the_id, kit_done, NULL);
	kit_expect_answer("0 2/9");
	svc->is_owner(svc, me, the_id, dk_str_c("ann"), kit_done, NULL);
	kit_expect_answer("0 owner ann yes");
	svc->is_owner(svc, me, the_id, dk_str_c("bob"), kit_done, NULL);
	kit_expect_answer("0 owner ann");
	svc->member_data(svc, me, the_id, kit_done, NULL);
	kit_expect_answer("0 2/0 ann@1+ bob@2+");
	fabric_cut(1, 2, true);
	svc->member_data(svc, me, the_id, kit_done, NULL);
	kit_expect_answer("0 2/0 ann@1+ bob@2?");
	fabric_cut(1, 2, false);
	svc->announce(svc, me, the_id, 2, 99, dk_slice_of(dk_str_c("news")), kit_done, NULL);
	kit_expect_answer("0");
	fabric_run(20);
	kit_expect(ann, "99 push news\n");
	kit_expect(bob, "99 push news\n");
	svc->kick_uid(svc, me, the_id, dk_str_c("ann"), kit_done, NULL);
	kit_expect_answer("0");
	fabric_run(20);
	kit_expect(ann, "806 push .0$.\n");
	kit_expect(bob, "805 push ..bob..0$...ann\n");
	svc->kick_uid(svc, me, the_id, dk_str_c("ann"), kit_done, NULL);
	kit_expect_answer("19"); /* DK_SESSION_NOT_MEMBER */
}
END_TEST

START_TEST(the_last_login_wins)
{
	const char *id = kit_session(ann, 1, 9);
	struct player *again;

	kit_join(bob, 1, id);
	all_forget();
	again = player_new(2, "bob");
	kit_join(again, 1, id);
	fabric_run(20);
	kit_expect(again, "804 ok .$\n");
	kit_expect(bob, "811 push ..0$.\n");
	kit_expect(ann, "805 push ..ann..0$...bob\n804 push ..ann.0$...bob\n");
	kit_expect_events("1 may_join 1 bob from 3, 2 members\n1 left 1 bob 1 reason 4\n1 joined 1 bob 2\n");
	ck_assert_int_eq(kit_count(1, "seats"), 0);
	ck_assert_int_eq(kit_count(0, "members"), 2);
}
END_TEST

/* ---- what nodes should not send ---- */

static void mangle(struct dk_env *chance, uint8_t *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (uint8_t)(dk_sim_chance(chance) % 4 ? dk_sim_chance(chance) % 3 : dk_sim_chance(chance));
}

/* Every row between nodes with nonsense behind a session's id, and a session's whole state with bits turned. */
START_TEST(nonsense_from_nodes)
{
	struct dk_env *chance = dk_env_sim(5);
	struct dk_session_info info;
	struct dk_session_id id;
	uint8_t buf[256];
	dk_id session;

	a_session();
	kit_quiet = true;
	memcpy(id.c, the_id.p, sizeof(id.c));
	for (unsigned i = 0; i < 20000; i++) {
		uint16_t cmd = (uint16_t)(300 + dk_sim_chance(chance) % 21);
		struct dk_incoming in = { .ver = DK_VER_NODE, .cmd = cmd, .origin = DK_FROM_NODE, .from = fabric[1].addr };
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));
		size_t n = dk_sim_chance(chance) % 120;
		struct dk_session_id other = id;

		other.c[0] ^= dk_sim_chance(chance) % 2; /* a stranger, half of the time */
		if (cmd != 304 && dk_sim_chance(chance) % 8)
			dk_wr_bytes16(&w, dk_slice_n(cmd == 320 ? other.c : id.c, DK_SESSION_ID_LEN));
		mangle(chance, w.p, n);
		in.payload = dk_slice_n(buf, (size_t)(w.p - buf) + n);
		ck_assert_int_le(dk_dispatch(kit_probe(0), &in), DK_LATER);
		if (i % 100 == 0)
			fabric_run(1);
	}
	fabric_run(3000);
	session = kit_svc(0)->find(kit_svc(0), &id);
	ck_assert_int_eq(kit_svc(0)->info(kit_svc(0), session, &info), 0);
	ck_assert_uint_le(info.members, info.max_members);
	ck_assert_int_gt(kit_count(0, "malformed"), 0);
	dk_env_free(chance);
}
END_TEST

/* ---- a node by itself ---- */

START_TEST(a_file_of_the_reference)
{
	char path[] = "/tmp/session.json.XXXXXX", config[256];
	int fd = mkstemp(path);
	struct dk_harness *h;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "{}\n", 3), 3);
	close(fd);
	snprintf(config, sizeof(config), "plugins = { user = {}; mem = {}; session = { config = \"%s\"; }; };", path);
	h = dk_harness_new(config, 1, NULL);
	ck_assert_ptr_nonnull(h);
	ck_assert_int_eq(dk_harness_free(h), 0);
	unlink(path);
}
END_TEST

START_TEST(alone)
{
	struct dk_harness *h = dk_harness_new("plugins = { user = {}; mem = {}; session = {}; };", 1, NULL);
	struct dk_test_user *dan = dk_harness_user(h, "dan"), *eve = dk_harness_user(h, "eve");
	struct dk_frame f;
	char join[64];

	ck_assert(dan && eve);
	dk_test_user_send(dan, 1, SESSION_CMD_CREATE, dk_slice_n("\1\2\74", 3));
	ck_assert(dk_test_user_await(dan, 1, SESSION_CMD_CREATE, &f));
	ck_assert_uint_eq(f.status, DK_STATUS_OK);
	ck_assert_uint_eq(f.payload.n, 1 + DK_SESSION_ID_LEN);
	memcpy(join, f.payload.p, f.payload.n);
	dk_test_user_send(eve, 1, SESSION_CMD_JOIN, dk_slice_n(join, 1 + DK_SESSION_ID_LEN));
	ck_assert(dk_test_user_await(eve, 1, SESSION_CMD_JOIN, &f));
	ck_assert_uint_eq(f.status, DK_STATUS_OK);
	dk_test_user_send(eve, 1, SESSION_CMD_BROADCAST, dk_slice_n("\1hi", 3));
	ck_assert(dk_test_user_await(dan, 1, SESSION_CMD_BROADCAST, &f));
	join[20] ^= 1;
	dk_test_user_send(eve, 1, SESSION_CMD_LEAVE, dk_slice_n("\1", 1));
	dk_test_user_send(eve, 1, SESSION_CMD_JOIN, dk_slice_n(join, 1 + DK_SESSION_ID_LEN));
	ck_assert(dk_test_user_await(eve, 1, SESSION_CMD_JOIN, &f));
	ck_assert_uint_eq(f.status, DK_STATUS_BAD);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session");
	TCase *t = tcase_create("nodes"), *own = tcase_create("own");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, members_stay_on_their_nodes);
	tcase_add_test(t, messages_to_some);
	tcase_add_test(t, says_what_is_wrong);
	tcase_add_test(t, kicked_by_the_owner);
	tcase_add_test(t, looks_by_type);
	tcase_add_test(t, several_types_at_once);
	tcase_add_test(t, invitations_find_users_anywhere);
	tcase_add_test(t, hooks_in_order);
	tcase_add_test(t, an_empty_one_ends_after_its_time);
	tcase_add_test(t, properties_from_any_node);
	tcase_add_test(t, updates_one_after_another);
	tcase_add_test(t, looks_from_any_node);
	tcase_add_test(t, the_last_login_wins);
	tcase_add_test(t, nonsense_from_nodes);
	suite_add_tcase(suite, t);
	tcase_add_checked_fixture(own, NULL, teardown);
	tcase_set_timeout(own, 120);
	tcase_add_test(own, every_refusal_has_its_code);
	tcase_add_test(own, hidden_from_clients);
	suite_add_tcase(suite, own);
	t = tcase_create("alone");
	tcase_add_test(t, alone);
	tcase_add_test(t, a_file_of_the_reference);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
