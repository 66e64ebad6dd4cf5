/* SPDX-License-Identifier: Apache-2.0 */
/* Every code that a refusal of a room command can have, as a client of a node with structured errors sees it. */
#include "fabric.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

DK_PACKERS(ROOM_COMMANDS)
DK_PACKERS(ROOM_DATA_COMMANDS)

static struct player *ann, *bob, *cid; /* owner, member, stranger */
static struct dk_id52 id, nowhere;
static uint8_t buf[4096];
static struct dk_writer w;

static dk_str text_of(const struct dk_id52 *room)
{
	return dk_str_n(room->c, DK_ID52_LEN);
}

static dk_slice bytes(const char *text)
{
	return dk_slice_of(dk_str_c(text));
}

static struct dk_list list(const char *item, uint16_t n)
{
	static uint8_t space[2][512];
	static unsigned at;
	struct dk_writer l = dk_writer_on(space[++at % 2], sizeof(space[0]));
	char text[32];

	for (uint16_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%s%u", item, i);
		dk_wr_bytes16(&l, bytes(text));
	}
	return (struct dk_list){ dk_written(&l), n };
}

static void setup(void)
{
	static const char *const env[] = { "DIARKIS_USE_STRUCT_ERR=true", NULL };
	struct dk_room_opts o = { .max_members = 3, .join = true, .ttl_s = 30 };
	struct dk_room *svc;
	struct dk_room_info info;
	dk_id room;

	fabric_env = env;
	fabric_open(2, 1, "max_message_bytes = 10", NULL, "");
	fabric_believe(0, 1, DK_DEAD);
	fabric_run(5);
	svc = fabric[0].rooms;
	ann = player_new(0, "ann");
	bob = player_new(0, "bob");
	cid = player_new(0, "cid");
	ck_assert_int_eq(svc->create(svc, player_user(ann), &o, &room), 0);
	ck_assert_int_eq(svc->join(svc, room, player_user(bob), 1, 101, bytes("")), 0);
	ck_assert_int_eq(svc->reserve(svc, room, 0, (const dk_str[]){ dk_str_c("eve") }, 1, false), 0);
	ck_assert_int_eq(svc->info(svc, room, &info), 0);
	id = info.id;
	memset(&nowhere, '0', sizeof(nowhere));
	fabric_run(5);
	w = dk_writer_on(buf, sizeof(buf));
}

static void teardown(void)
{
	fabric_close();
	fabric_env = NULL;
}

/* ---- one for each code ---- */

static void short_one(void)
{
	dk_wr_u8(&w, 1);
	player_send(ann, 1, ROOM_CMD_BROADCAST, dk_written(&w));
}

static void create(void)
{
	room_on_create_pack(&w, 1, false, true, 30, 0, 0);
	player_send(cid, 1, ROOM_CMD_CREATE, dk_written(&w));
}

static void not_in(void)
{
	room_on_relay_pack(&w, bytes("x"), true, text_of(&id));
	player_send(cid, 1, ROOM_CMD_RELAY, dk_written(&w));
}

static void join(void)
{
	room_on_join_pack(&w, &id, bytes("x"));
	player_send(cid, 1, ROOM_CMD_JOIN, dk_written(&w));
}

static void leave(void)
{
	room_on_leave_pack(&w, &id, bytes("more than ten"));
	player_send(bob, 1, ROOM_CMD_LEAVE, dk_written(&w));
}

static void no_id(void)
{
	room_on_owner_id_pack(&w, dk_str_c(""));
	player_send(bob, 1, ROOM_CMD_OWNER_ID, dk_written(&w));
}

static void owner(void)
{
	room_on_reserve_pack(&w, list("x", 1), text_of(&id));
	player_send(bob, 1, ROOM_CMD_RESERVE, dk_written(&w));
}

static void incr(void)
{
	struct dk_room *svc = fabric[0].rooms;
	const struct dk_value v = { .type = DK_V_BOOL, .as.b = true };

	svc->set(svc, svc->of_user(svc, player_user(bob)), dk_str_c("flag"), &v);
	room_on_incr_prop_pack(&w, 1, dk_str_c("flag"), text_of(&id), false);
	player_send(bob, 1, ROOM_CMD_INCR_PROP, dk_written(&w));
}

static void reserve(void)
{
	room_on_reserve_pack(&w, list("x", 2), text_of(&id));
	player_send(ann, 1, ROOM_CMD_RESERVE, dk_written(&w));
}

static void cancel(void)
{
	room_on_cancel_reserve_pack(&w, list("x", 1), text_of(&id));
	player_send(ann, 1, ROOM_CMD_CANCEL_RESERVE, dk_written(&w));
}

static void not_found(void)
{
	room_on_count_members_pack(&w, text_of(&nowhere));
	player_send(cid, 1, ROOM_CMD_COUNT_MEMBERS, dk_written(&w));
}

static void migrate(void)
{
	player_send(ann, 1, ROOM_CMD_MIGRATE, dk_slice_n(NULL, 0));
}

static void anything_else(void)
{
	room_on_chat_pack(&w, dk_str_c(""), text_of(&id));
	player_send(ann, 1, ROOM_CMD_CHAT, dk_written(&w));
}

/* Asked of another node, which does not answer. */
static void count(void)
{
	struct dk_id52 far = id;

	memcpy(far.c + 16, "0a0000021f40", 12);
	fabric_believe(0, 1, DK_ALIVE);
	fabric_cut(0, 1, true);
	room_on_count_members_pack(&w, text_of(&far));
	player_send(cid, 1, ROOM_CMD_COUNT_MEMBERS, dk_written(&w));
	fabric_run(3000);
}

static void props(void)
{
	room_on_update_props_pack(&w, list("", 2), text_of(&id), false, list("v", 1));
	player_send(bob, 1, ROOM_CMD_UPDATE_PROPS, dk_written(&w));
}

static const struct {
	uint32_t code;
	void (*act)(void);
	const char *name;
} rows[] = {
	{ DK_E_SHORT, short_one, "ann" },          { DK_E_ROOM_NEW, create, "cid" },
	{ DK_E_ROOM_NOT_IN, not_in, "cid" },       { DK_E_ROOM_JOIN, join, "cid" },
	{ DK_E_ROOM_LEAVE, leave, "bob" },         { DK_E_ROOM_NO_ID, no_id, "bob" },
	{ DK_E_ROOM_NO_OWNER, owner, "bob" },      { DK_E_ROOM_INCR, incr, "bob" },
	{ DK_E_ROOM_RESERVE, reserve, "ann" },     { DK_E_ROOM_CANCEL_RESERVE, cancel, "ann" },
	{ DK_E_ROOM_NOT_FOUND, not_found, "cid" }, { DK_E_ROOM_MIGRATE, migrate, "ann" },
	{ DK_E_ROOM, anything_else, "ann" },       { DK_E_ROOM_COUNT, count, "cid" },
	{ DK_E_ROOM_PROP_SYNC, props, "bob" },
};

START_TEST(codes)
{
	struct player *p = rows[_i].name[0] == 'a' ? ann : rows[_i].name[0] == 'b' ? bob : cid;
	const char *heard, *at;

	player_heard(p);
	rows[_i].act();
	fabric_run(10);
	heard = player_heard(p);
	at = strstr(heard, " bad ");
	ck_assert_msg(at && strtoul(at + 5, NULL, 10) == rows[_i].code, "code %u: %s", rows[_i].code, heard);
	ck_assert_ptr_null(strstr(at + 5, " bad "));
}
END_TEST

/* The table knows every code there is. */
START_TEST(all_of_them)
{
	for (uint32_t code = DK_E_ROOM_NEW; code <= DK_E_ROOM_PROP_SYNC; code++) {
		size_t i = 0;

		while (i < DK_ARRAY_LEN(rows) && rows[i].code != code)
			i++;
		ck_assert_msg(i < DK_ARRAY_LEN(rows), "nothing shows %u", code);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_errors");
	TCase *t = tcase_create("codes");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, codes, 0, (int)DK_ARRAY_LEN(rows));
	tcase_add_test(t, all_of_them);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
