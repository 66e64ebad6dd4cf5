/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a game does in a room, by the client library's typed calls, against a real node: one player over UDP, one over TCP, in the
 * simulated world. Each call, what its answer says, and what the other player hears of it.
 */
#include <diarkis/client_room.h>
#include <diarkis/room.h>
#include <diarkis/room_commands.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "pair.h"

enum { DELAY_MS = 20, WAIT_MS = 80 };

static bool only_nine_one(void *arg, uint8_t ver, uint16_t cmd)
{
	(void)arg;
	return ver == 9 && cmd == 1;
}

static void on_event(struct player *p, const struct dkc_event *e)
{
	static const char *const words[] = {
		[DKC_ROOM_MEMBER_JOINED] = "joined", [DKC_ROOM_MEMBER_LEFT] = "left",    [DKC_ROOM_BROADCAST] = "broadcast",
		[DKC_ROOM_MESSAGE] = "message",      [DKC_ROOM_OWNER_CHANGED] = "owner", [DKC_ROOM_RELAY] = "relay",
		[DKC_ROOM_RELAY_PROFILE] = "profile"
	};
	enum dkc_room_kind kind = dkc_room_event(e);
	dk_str text = dk_str_of(e->payload), from;
	struct dkc_room_chat_line line;
	dk_slice message;
	uint32_t ms;

	if (e->kind == DKC_PUSH && e->ver == 9)
		HEARD(p, "plugin %zu bytes\n", text.n);
	if (kind == DKC_ROOM_NONE) {
		ck_assert(!dkc_room_new_owner(e, &text));
		return;
	}
	ck_assert_int_eq(dkc_room_new_owner(e, &text), kind == DKC_ROOM_OWNER_CHANGED);
	ck_assert_int_eq(dkc_room_relayed(e, &from, &message, &ms), kind == DKC_ROOM_RELAY_PROFILE);
	ck_assert_int_eq(dkc_room_said(e, &line), kind == DKC_ROOM_CHAT);
	if (kind == DKC_ROOM_CHAT) {
		HEARD(p, "chat " DK_STR_FMT ": " DK_STR_FMT "\n", DK_STR_ARG(line.sender), DK_STR_ARG(line.text));
		return;
	}
	if (kind == DKC_ROOM_RELAY_PROFILE) {
		HEARD(p, "%s of " DK_STR_FMT " after %u: ", words[kind], DK_STR_ARG(from), ms);
		HEARD(p, DK_STR_FMT "\n", DK_STR_ARG(dk_str_of(message)));
		return;
	}
	HEARD(p, "%s " DK_STR_FMT "\n", words[kind], DK_STR_ARG(text));
}

static struct dk_user *users;

static void setup(void)
{
	pair_open(&(const struct pair_opts){ .plugins = "room = { expose_puffer_commands = true; };",
					     .delay_ms = DELAY_MS,
					     .answer_ms = WAIT_MS,
					     .event = on_event,
					     .whole = only_nine_one },
		  false, true);
	users = dk_harness_service(pair_node, DK_USER_NAME);
}

/* ---- answers ---- */

static void on_joined(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	uint32_t created;

	on_done(arg, c, r);
	ck_assert_int_eq(dkc_room_joined(r, &p->id, &created), dkc_ok(r));
}

static void on_owner(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	dk_str uid;

	on_done(arg, c, r);
	if (dkc_room_owner(r, &uid))
		ANSWER(p, " " DK_STR_FMT, DK_STR_ARG(uid));
}

static void on_count(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	uint16_t members, max;

	on_done(arg, c, r);
	if (dkc_room_count(r, &members, &max))
		ANSWER(p, " %u of %u", members, max);
}

static void on_members(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dk_list uids;
	dk_str owner, uid;

	on_done(arg, c, r);
	if (!dkc_room_members(r, &uids, &owner))
		return;
	while (dk_list_next(&uids, &uid))
		ANSWER(p, " " DK_STR_FMT, DK_STR_ARG(uid));
	ck_assert_uint_eq(uids.bytes.n, 0);
	ANSWER(p, ", " DK_STR_FMT, DK_STR_ARG(owner));
}

static void on_profile(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dk_list receivers;
	uint32_t rtt, ms;
	dk_str uid;

	on_done(arg, c, r);
	if (!dkc_room_profile(r, &rtt, &receivers))
		return;
	ANSWER(p, rtt >= 2 * DELAY_MS && rtt <= 3 * DELAY_MS ? " measured" : rtt ? " wrong" : "");
	while (dkc_room_receiver(&receivers, &uid, &ms))
		ANSWER(p, " " DK_STR_FMT " %u", DK_STR_ARG(uid), ms);
	ck_assert_uint_eq(receivers.bytes.n, 0);
}

START_TEST(every_call)
{
	const struct dkc_room_opts o = { .max_members = 3, .join = true, .ttl_s = 30 };
	const dk_str zoe[] = { dk_str_c("zoe") }, to_ann[] = { dk_str_c("ann") };
	struct dkc_client *a = ann.client, *b = bob.client;

	answers(dkc_room_create(a, &o, on_joined, &ann), &ann, "ok");
	answers(dkc_room_create(a, &o, on_joined, &ann), &ann, "no the user is in a room already, and leaves that one first");
	answers(dkc_room_join(b, &ann.id, bytes("hi"), on_joined, &bob), &bob, "ok");
	ck_assert_mem_eq(ann.id.c, bob.id.c, DK_ID52_LEN);
	hears(&ann, "joined hi\n");
	hears(&bob, "joined hi\n");
	answers(dkc_room_get_owner(b, &ann.id, on_owner, &bob), &bob, "ok ann");
	answers(dkc_room_get_members(b, &ann.id, on_members, &bob), &bob, "ok ann bob, ann");
	answers(dkc_room_get_count(b, &ann.id, on_count, &bob), &bob, "ok 2 of 3");

	ck_assert_int_eq(dkc_room_broadcast(a, &ann.id, bytes("one"), true), 0);
	ck_assert_int_eq(dkc_room_broadcast(a, &ann.id, bytes("two"), false), 0);
	ck_assert_int_eq(dkc_room_message(b, &ann.id, to_ann, 1, bytes("psst"), true), 0);
	pass(WAIT_MS);
	hears(&bob, "broadcast one\nbroadcast two\n");
	ck_assert_ptr_nonnull(strstr(ann.heard, "message psst\n"));
	forget(&ann);

	answers(dkc_room_reserve(a, &ann.id, zoe, 1, on_done, &ann), &ann, "ok");
	answers(dkc_room_cancel(a, &ann.id, zoe, 1, on_done, &ann), &ann, "ok");
	answers_like(dkc_room_reserve(b, &ann.id, zoe, 1, on_done, &bob), &bob, "no ");

	answers(dkc_room_leave(a, &ann.id, bytes("bye"), on_done, &ann), &ann, "ok");
	hears(&bob, "left bye\nowner bob\n");
	hears(&ann, "");
	answers(dkc_room_leave(b, &bob.id, bytes(""), on_done, &bob), &bob, "ok");
	answers_like(dkc_room_get_count(b, &bob.id, on_count, &bob), &bob, "no ");
}
END_TEST

static void on_random(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	uint32_t created;
	bool joined;

	on_done(arg, c, r);
	if (dkc_room_random(r, &p->id, &created, &joined))
		ANSWER(p, " %s%s", joined ? "joined" : "created", created ? "" : " when?");
}

static void on_found(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dkc_room_list list;
	struct dkc_room_item item;

	on_done(arg, c, r);
	ck_assert_int_eq(dkc_room_found(r, &list), dkc_ok(r));
	while (dkc_ok(r) && dkc_room_found_next(&list, &item)) {
		ANSWER(p, " " DK_STR_FMT " (" DK_STR_FMT ") %u of %u", DK_STR_ARG(item.name), DK_STR_ARG(item.metadata),
		       item.members, item.max_members);
		p->id = item.room;
	}
}

/* Rooms that are found: ann on UDP, bob on TCP, each in each part. */
START_TEST(finding)
{
	const struct dkc_room_opts o = { .max_members = 3, .ttl_s = 30, .interval_ms = 100 };
	const struct dkc_room_opts other = { .max_members = 1, .ttl_s = 30 };
	struct player *one = _i ? &bob : &ann, *two = _i ? &ann : &bob;
	struct dkc_client *a = one->client, *b = two->client;
	struct dk_id52 room;

	answers(dkc_room_random_join(a, &other, bytes(""), on_random, one), one,
		"no max_members: expected 2 to 1000 seats, found 1");
	answers(dkc_room_random_join(a, &o, bytes("hi"), on_random, one), one, "ok created");
	hears(one, "");
	ck_assert(dkc_room_current(a, &room) && dkc_room_is_owner(a));
	answers(dkc_room_random_join(b, &o, bytes("hello"), on_random, two), two, "ok joined");
	ck_assert_mem_eq(one->id.c, two->id.c, DK_ID52_LEN);
	ck_assert(dkc_room_current(b, &room) && !dkc_room_is_owner(b));
	ck_assert_mem_eq(room.c, one->id.c, DK_ID52_LEN);
	hears(one, "joined hello\n");
	hears(two, "joined hello\n");

	answers(dkc_room_find(b, 7, 10, on_found, two), two, "ok");
	answers(dkc_room_register(a, 7, dk_str_c("Arena"), dk_str_c("level 3"), on_done, one), one, "ok");
	memset(two->id.c, 0, DK_ID52_LEN);
	answers(dkc_room_find(b, 7, 10, on_found, two), two, "ok Arena (level 3) 2 of 3");
	ck_assert_mem_eq(one->id.c, two->id.c, DK_ID52_LEN);
	answers(dkc_room_leave(a, &one->id, bytes(""), on_done, one), one, "ok");
	answers(dkc_room_register(a, 7, dk_str_c("x"), dk_str_c(""), on_done, one), one,
		"no the user is not a member of this room");
	answers(dkc_room_find(b, 7, 0, on_found, two), two, "no a search is for 1 to 100 rooms, and this one is for none");

	answers(dkc_room_random_create(a, &o, on_random, one), one, "ok created");
	ck_assert_mem_ne(one->id.c, two->id.c, DK_ID52_LEN);
}
END_TEST

START_TEST(a_last_word)
{
	static const struct {
		enum dk_reason reason;
		uint16_t said;
		const char *why;
	} rows[] = { { DK_REASON_SHUTDOWN, DKC_SAID_SHUTDOWN, "the server shuts down" },
		     { DK_REASON_REPLACED, DKC_SAID_REPLACED, "the same user id has logged in anew" },
		     { DK_REASON_SERVER, DKC_SAID_ENDED, "the server's application ended the connection" },
		     { DK_REASON_SILENCE, 0, "" } };

	ck_assert_int_eq(users->disconnect(users, ann.user, rows[_i].reason), 0);
	ck_assert_int_eq(users->disconnect(users, bob.user, rows[_i].reason), 0);
	pass(rows[_i].said ? 4 * DELAY_MS : 3000); /* a bare FIN is a mark, and believed later */
	ck_assert_uint_eq(ann.said, rows[_i].said);
	ck_assert_str_eq(ann.why, rows[_i].why);
	ck_assert(ann.ended && !dkc_is_connected(ann.client));
	ck_assert(bob.ended && !dkc_is_connected(bob.client));
	ck_assert_uint_eq(bob.said, rows[_i].said);
	ck_assert_str_eq(bob.why, rows[_i].why);
}
END_TEST

/* Relays over UDP and TCP: not to oneself, each as it is; profiles say what is measured, and TCP measures nothing. */
START_TEST(relays)
{
	const struct dkc_room_opts o = { .max_members = 3, .join = true, .ttl_s = 30, .interval_ms = 500 };
	const dk_str to_ann[] = { dk_str_c("ann") }, to_bob[] = { dk_str_c("bob") };
	struct dkc_client *a = ann.client, *b = bob.client;

	answers(dkc_room_create(a, &o, on_joined, &ann), &ann, "ok");
	answers(dkc_room_join(b, &ann.id, bytes(""), on_joined, &bob), &bob, "ok");
	pass(500);
	forget(&ann);
	forget(&bob);
	for (int reliable = 0; reliable < 2; reliable++) {
		ck_assert_int_eq(dkc_room_relay(a, &ann.id, bytes("one"), reliable), 0);
		ck_assert_int_eq(dkc_room_relay(a, &ann.id, bytes("two"), reliable), 0);
		ck_assert_int_eq(dkc_room_relay_to(b, &ann.id, to_ann, 1, bytes("psst"), reliable), 0);
		ck_assert_int_eq(dkc_room_relay_to(b, &ann.id, to_ann, 1, bytes(""), reliable), 0);
		pass(3 * DELAY_MS);
		hears(&bob, "relay one\nrelay two\n");
		hears(&ann, "relay psst\nrelay \n");
	}
	answers(dkc_room_relay_profile(a, &ann.id, bytes("hi"), true, on_profile, &ann), &ann, "ok measured bob 0");
	hears(&bob, "profile of ann after 0: hi\n");
	answers(dkc_room_relay_to_profile(b, &ann.id, to_ann, 1, bytes("yo"), true, on_profile, &bob), &bob, "ok ann 0");
	hears(&ann, "profile of bob after 0: yo\n");
	answers(dkc_room_relay_to_profile(b, &ann.id, to_bob, 1, bytes("me"), true, on_profile, &bob), &bob, "ok");
	hears(&bob, "");
	answers(dkc_room_leave(b, &ann.id, bytes(""), on_done, &bob), &bob, "ok");
	answers(dkc_room_relay_profile(b, &ann.id, bytes("hi"), true, on_profile, &bob), &bob,
		"no the user is not a member of this room");
}
END_TEST

static void on_chat(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dkc_room_chat_line line;
	struct dk_list lines;

	on_done(arg, c, r);
	if (!dkc_room_chat_lines(r, &lines))
		return;
	while (dkc_room_chat_next(&lines, &line)) {
		ANSWER(p, " " DK_STR_FMT ": " DK_STR_FMT, DK_STR_ARG(line.sender), DK_STR_ARG(line.text));
		ck_assert_uint_gt(line.at_ms, 1000000000000);
	}
	ck_assert_uint_eq(lines.bytes.n, 0);
}

START_TEST(chat)
{
	const struct dkc_room_opts o = { .max_members = 3, .join = true, .ttl_s = 30 };
	struct dkc_client *a = ann.client, *b = bob.client;

	answers(dkc_room_create(a, &o, on_joined, &ann), &ann, "ok");
	answers(dkc_room_get_chat(a, &ann.id, on_chat, &ann), &ann, "ok");
	answers(dkc_room_chat(a, &ann.id, dk_str_c("alone"), on_done, &ann), &ann, "ok");
	hears(&ann, "chat ann: alone\n");
	answers(dkc_room_join(b, &ann.id, bytes(""), on_joined, &bob), &bob, "ok");
	answers(dkc_room_chat(b, &ann.id, dk_str_c("not any more"), on_done, &bob), &bob, "ok");
	hears(&ann, "chat bob: not any more\n");
	hears(&bob, "chat bob: not any more\n");
	answers(dkc_room_get_chat(b, &ann.id, on_chat, &bob), &bob, "ok ann: alone bob: not any more");
	answers(dkc_room_chat(b, &ann.id, dk_str_c(""), on_done, &bob), &bob, "no message: expected 1 byte or more, found none");
}
END_TEST

/* From one room to another one, in one call; and from none. */
START_TEST(changing_rooms)
{
	const struct dkc_room_opts o = { .max_members = 3, .allow_empty = true, .join = true, .ttl_s = 30 };
	struct player *one = _i ? &bob : &ann, *two = _i ? &ann : &bob;
	struct dkc_client *a = one->client, *b = two->client;
	struct dk_id52 first, second, now;

	answers(dkc_room_create(a, &o, on_joined, one), one, "ok");
	first = one->id;
	answers(dkc_room_change(b, &first, bytes("bye"), bytes("hi"), on_joined, two), two, "ok");
	hears(one, "joined hi\n");
	answers(dkc_room_leave(a, &first, bytes(""), on_done, one), one, "ok");
	answers(dkc_room_create(a, &o, on_joined, one), one, "ok");
	second = one->id;
	two->heard[0] = '\0';
	one->heard[0] = '\0';
	answers(dkc_room_change(a, &first, bytes("bye"), bytes("hi"), on_joined, one), one, "ok");
	hears(two, "joined hi\n");
	ck_assert(dkc_room_current(a, &now));
	ck_assert_mem_eq(now.c, first.c, DK_ID52_LEN);
	one->heard[0] = '\0';
	answers(dkc_room_change(b, &second, bytes("bye"), bytes(""), on_joined, two), two, "ok");
	hears(one, _i ? "left bye\nowner bob\n" : "left bye\nowner ann\n");
	ck_assert(dkc_room_current(b, &now));
	ck_assert_mem_eq(now.c, second.c, DK_ID52_LEN);
	answers(dkc_room_leave(b, &second, bytes(""), on_done, two), two, "ok");
	memset(second.c, '0', DK_ID52_LEN);
	answers(dkc_room_change(a, &second, bytes(""), bytes(""), on_joined, one), one, "no there is no such room");
	ck_assert(!dkc_room_current(a, &now));
}
END_TEST

/* The second set, each call over UDP and over TCP. The client knows its room as after the first set. */
START_TEST(puffer_set)
{
	struct dkc_room_opts o = { .max_members = 3, .allow_empty = true, .join = true, .ttl_s = 30 };
	struct player *one = _i ? &bob : &ann, *two = _i ? &ann : &bob;
	struct dkc_client *a = one->client, *b = two->client;
	struct dk_id52 room;

	answers(dkc_room_puffer_create(a, &o, on_joined, one), one, "ok");
	ck_assert(dkc_room_current(a, &room) && dkc_room_is_owner(a));
	ck_assert_mem_eq(room.c, one->id.c, DK_ID52_LEN);
	answers(dkc_room_puffer_create(a, &o, on_joined, one), one, "no the user is in a room already, and leaves that one first");
	answers(dkc_room_puffer_join(b, &room, bytes("hi"), on_joined, two), two, "ok");
	ck_assert_mem_eq(room.c, two->id.c, DK_ID52_LEN);
	ck_assert(dkc_room_current(b, &room) && !dkc_room_is_owner(b));
	hears(one, "joined hi\n");
	hears(two, "joined hi\n");
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(dkc_room_puffer_broadcast(i & 1 ? a : b, &room, bytes("all"), i & 2), 0);
		pass(WAIT_MS);
		hears(one, "broadcast all\n");
		hears(two, "broadcast all\n");
	}
	answers(dkc_room_puffer_leave(b, &room, bytes("bye"), on_done, two), two, "ok");
	ck_assert(!dkc_room_current(b, &room));
	hears(one, "left bye\n");
	answers(dkc_room_puffer_leave(b, &room, bytes(""), on_done, two), two, "no the user is not a member of this room");
	o.join = false;
	answers(dkc_room_puffer_create(b, &o, on_joined, two), two, "ok");
	ck_assert(!dkc_room_current(b, &room));
	answers(dkc_room_puffer_join(b, &two->id, bytes(""), on_joined, two), two, "ok");
	ck_assert(dkc_room_current(b, &room));
}
END_TEST

/* Two connections that are measured: what is said of the way is what it took. */
START_TEST(profile_of_the_way)
{
	const struct dkc_room_opts o = { .max_members = 3, .join = true, .ttl_s = 30 };
	char want[64];
	long took;

	pair_part(&bob);
	pass(500);
	pair_vanish(&bob);
	pair_come(&bob, "bo2", pair_node, false);
	answers(dkc_room_create(ann.client, &o, on_joined, &ann), &ann, "ok");
	answers(dkc_room_join(bob.client, &ann.id, bytes(""), on_joined, &bob), &bob, "ok");
	pass(500);
	forget(&bob);
	answers_like(dkc_room_relay_profile(ann.client, &ann.id, bytes("hi"), true, on_profile, &ann), &ann, "ok measured bo2 ");
	took = strtol(ann.answer + 16, NULL, 10);
	ck_assert_int_ge(took, 2 * DELAY_MS);
	ck_assert_int_le(took, 3 * DELAY_MS);
	snprintf(want, sizeof(want), "profile of ann after %ld: hi\n", took);
	hears(&bob, want);
}
END_TEST

/* What plugins relay under versions of their own is told whole where the program says so; else it would have to be a list. */
START_TEST(relays_of_plugins)
{
	const struct dkc_room_opts o = { .max_members = 3, .join = true, .ttl_s = 30 };
	struct dk_room *rooms = dk_harness_service(pair_node, DK_ROOM_NAME);
	dk_slice list = dk_slice_n("\0\0\0\1a\0\0\0\2bc", 11);
	dk_id room;

	answers(dkc_room_create(ann.client, &o, on_joined, &ann), &ann, "ok");
	answers(dkc_room_join(bob.client, &ann.id, bytes(""), on_joined, &bob), &bob, "ok");
	room = rooms->of_user(rooms, ann.user);
	ck_assert_int_eq(rooms->relay(rooms, room, ann.user, 9, 1, list, true), 0);
	ck_assert_int_eq(rooms->relay(rooms, room, ann.user, 9, 2, list, true), 0);
	ck_assert_int_eq(rooms->relay(rooms, room, ann.user, 9, 2, bytes("lost"), true), 0);
	ck_assert_int_eq(rooms->relay(rooms, room, ann.user, 9, 1, bytes("raw"), true), 0);
	answers(dkc_room_get_count(bob.client, &ann.id, on_count, &bob), &bob, "ok 2 of 3"); /* a turn of the node */
	hears(&bob, "plugin 11 bytes\nplugin 1 bytes\nplugin 2 bytes\nplugin 3 bytes\n");
	hears(&ann, "");
}
END_TEST

/* Messages beyond what the stack holds; a list beyond what a count can say. */
START_TEST(long_ones)
{
	static dk_str many[UINT16_MAX + 1];
	const struct dkc_room_opts o = { .max_members = 2, .join = true, .ttl_s = 30 };
	static char text[3001];

	memset(text, 'x', sizeof(text) - 1);
	answers(dkc_room_create(ann.client, &o, on_joined, &ann), &ann, "ok");
	answers(dkc_room_join(bob.client, &ann.id, bytes(""), on_joined, &bob), &bob, "ok");
	ck_assert_int_eq(dkc_room_broadcast(ann.client, &ann.id, bytes(text), true), 0);
	pass(6 * DELAY_MS);
	ck_assert_uint_eq(strlen(bob.heard), strlen("broadcast \n") + 3000);
	for (size_t i = 0; i < DK_ARRAY_LEN(many); i++)
		many[i] = dk_str_c("u");
	ck_assert_int_eq(dkc_room_reserve(ann.client, &ann.id, many, DK_ARRAY_LEN(many), on_done, &ann), DKC_TOO_LONG);
}
END_TEST

START_TEST(ids)
{
	struct dk_id52 id;
	char text[53] = "18a01a55ecc07f830a00001e1fa4000000000000000000000000";

	ck_assert(dkc_room_id(dk_str_c(text), &id));
	ck_assert_mem_eq(id.c, text, DK_ID52_LEN);
	ck_assert(!dkc_room_id(dk_str_n(text, 51), &id));
	text[9] = 'g';
	ck_assert(!dkc_room_id(dk_str_c(text), &id));
}
END_TEST

/* What the node knows of the way to a client: over UDP a measured round trip, over TCP nothing. */
START_TEST(latency)
{
	const struct dkc_room_opts o = { .max_members = 2, .join = true, .ttl_s = 30 };
	uint32_t ms;

	answers(dkc_room_create(ann.client, &o, on_joined, &ann), &ann, "ok");
	pass(500); /* of the first message only an EACK counts, so its round trip is known once it was repeated */
	ms = users->latency_ms(users, ann.user);
	ck_assert_uint_ge(ms, 2 * DELAY_MS);
	ck_assert_uint_le(ms, 2 * DELAY_MS + 20);
	ck_assert_uint_eq(users->latency_ms(users, bob.user), 0);
	ck_assert_uint_eq(users->latency_ms(users, 12345), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("typed calls");
	TCase *t = tcase_create("room");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, pair_close);
	tcase_add_test(t, every_call);
	tcase_add_test(t, long_ones);
	tcase_add_loop_test(t, a_last_word, 0, 4);
	tcase_add_loop_test(t, finding, 0, 2);
	tcase_add_test(t, relays);
	tcase_add_test(t, chat);
	tcase_add_loop_test(t, changing_rooms, 0, 2);
	tcase_add_loop_test(t, puffer_set, 0, 2);
	tcase_add_test(t, profile_of_the_way);
	tcase_add_test(t, relays_of_plugins);
	tcase_add_test(t, ids);
	tcase_add_test(t, latency);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
