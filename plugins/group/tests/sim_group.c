/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a game does with groups, by the client library's typed calls, against a real node in the simulated world: one player over
 * UDP, one over TCP. Each call, what its answer says, and what the other player hears of it.
 */
#include <diarkis/client_group.h>

#include <check.h>

#include "tests/sim/pair.h"

enum { WAIT_MS = 60 };

static void on_event(struct player *p, const struct dkc_event *e)
{
	static const char *const words[] = {
		[DKC_GROUP_MEMBER_JOINED] = "joined", [DKC_GROUP_MEMBER_LEFT] = "left", [DKC_GROUP_BROADCAST] = "broadcast"
	};
	dk_slice message;
	uint32_t tag;
	enum dkc_group_kind kind = dkc_group_event(e, &tag, &message);

	if (e->kind == DKC_RESPONSE)
		HEARD(p, "refused %u\n", e->cmd);
	if (kind == DKC_GROUP_NONE)
		return;
	HEARD(p, "%s " DK_STR_FMT "%s\n", words[kind], DK_STR_ARG(dk_str_of(message)),
	      tag == dkc_group_tag(&p->id) ? "" : ", elsewhere");
}

static void setup(void)
{
	pair_open(&(const struct pair_opts){ .plugins = "group = {};", .delay_ms = 10, .answer_ms = WAIT_MS, .event = on_event },
		  false, true);
}

/* ---- answers ---- */

static void on_joined(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;

	on_done(arg, c, r);
	ck_assert_int_eq(dkc_group_joined(r, &p->id), dkc_ok(r));
}

static void on_info(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dkc_group_info info;
	dk_str uid;

	on_done(arg, c, r);
	ck_assert_int_eq(dkc_group_info(r, &info), dkc_ok(r));
	if (!dkc_ok(r))
		return;
	ck_assert_mem_eq(info.group.c, p->id.c, DK_ID52_LEN);
	ANSWER(p, " %u on %u", info.members, info.nodes);
	while (dk_list_next(&info.uids, &uid))
		ANSWER(p, " " DK_STR_FMT, DK_STR_ARG(uid));
}

/* Every call by a player of either kind, and what a player of the other kind hears of it. */
static void calls_of(struct player *a, struct player *b)
{
	const struct dkc_group_opts o = { .join = true, .ttl_s = 30 };
	struct dkc_group_opts bad = o;
	struct dk_id52 first;

	bad.ttl_s = 10;
	answers(dkc_group_create(a->client, &bad, on_joined, a), a,
		"no a group has a time to live above 10 s; without allow_empty its creator has to join");
	answers(dkc_group_create(a->client, &o, on_joined, a), a, "ok");
	answers(dkc_group_join(b->client, &a->id, bytes("hi"), on_joined, b), b, "ok");
	ck_assert_mem_eq(a->id.c, b->id.c, DK_ID52_LEN);
	hears(a, "joined hi\n");
	hears(b, "joined hi\n");
	answers(dkc_group_join(b->client, &a->id, bytes(""), on_done, b), b, "no the user is a member of this group already");
	answers(dkc_group_get_info(a->client, &a->id, false, on_info, a), a, a == &ann ? "ok 2 on 1 ann bob" : "ok 2 on 1 bob ann");
	answers(dkc_group_get_info(b->client, &a->id, true, on_info, b), b, a == &ann ? "ok 2 on 1 ann bob" : "ok 2 on 1 bob ann");
	for (int reliable = 0; reliable < 2; reliable++) {
		ck_assert_int_eq(dkc_group_broadcast(b->client, &a->id, bytes("all"), reliable), 0);
		pass(WAIT_MS);
		hears(a, "broadcast all\n");
		hears(b, "broadcast all\n");
	}
	first = a->id;
	answers(dkc_group_create(a->client, &o, on_joined, a), a, "ok");
	ck_assert_int_eq(dkc_group_broadcast(a->client, &first, bytes("one"), true), 0);
	ck_assert_int_eq(dkc_group_broadcast(a->client, &a->id, bytes("two"), true), 0);
	pass(WAIT_MS);
	hears(a, "broadcast one, elsewhere\nbroadcast two\n");
	hears(b, "broadcast one\n");
	ck_assert_int_eq(dkc_group_broadcast(b->client, &a->id, bytes("not mine"), true), 0);
	pass(WAIT_MS);
	hears(b, "refused 113\n");
	answers(dkc_group_get_info(b->client, &a->id, true, on_info, b), b, "no the user is not a member of this group");
	answers(dkc_group_leave(b->client, &first, bytes("bye"), on_done, b), b, "ok");
	hears(a, "left bye, elsewhere\n");
	hears(b, "");
	answers(dkc_group_leave(b->client, &first, bytes("bye"), on_done, b), b, "no the user is not a member of this group");
	answers(dkc_group_leave(a->client, &first, bytes(""), on_done, a), a, "ok");
	answers(dkc_group_leave(a->client, &a->id, bytes(""), on_done, a), a, "ok");
	answers(dkc_group_join(b->client, &first, bytes(""), on_done, b), b,
		"no there is no such group, or no node that knows it answers");
}

static void on_random(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	bool joined;

	on_done(arg, c, r);
	ck_assert_int_eq(dkc_group_random(r, &p->id, &joined), dkc_ok(r));
	if (dkc_ok(r))
		ANSWER(p, joined ? " joined" : " created");
}

/* Groups that are found, by a player of either kind. */
static void random_calls_of(struct player *a, struct player *b, uint16_t ttl_s)
{
	const struct dkc_group_opts o = { .ttl_s = ttl_s, .interval_ms = 100 }, short_lived = { .ttl_s = 10 };
	const struct dkc_group_opts other = { .allow_empty = true, .ttl_s = ttl_s, .interval_ms = 100 };
	static uint8_t text[70000];
	struct dk_id52 first;

	answers(dkc_group_random_join(a->client, &short_lived, bytes("hi"), on_random, a), a,
		"no a group has a time to live above 10 s; without allow_empty its creator has to join");
	answers(dkc_group_random_join(a->client, &o, bytes("hi"), on_random, a), a, "ok created");
	hears(a, "");
	answers(dkc_group_random_join(b->client, &o, bytes("hello"), on_random, b), b, "ok joined");
	ck_assert_mem_eq(a->id.c, b->id.c, DK_ID52_LEN);
	pass(100); /* an interval of the group */
	hears(a, "joined hello\n");
	hears(b, "joined hello\n");
	answers(dkc_group_get_info(a->client, &a->id, true, on_info, a), a, a == &ann ? "ok 2 on 1 ann bob" : "ok 2 on 1 bob ann");
	first = a->id;
	answers(dkc_group_random_join(b->client, &other, bytes(""), on_random, b), b, "ok created");
	ck_assert_mem_ne(first.c, b->id.c, DK_ID52_LEN);
	answers(dkc_group_random_join(a->client, &o, bytes(""), on_random, a), a, "ok created"); /* it is in the first one */
	ck_assert_mem_ne(first.c, a->id.c, DK_ID52_LEN);
	memset(text, 'x', sizeof(text));
	ck_assert_int_eq(dkc_group_random_join(a->client, &o, dk_slice_n(text, sizeof(text)), on_random, a), DKC_TOO_LONG);
	ck_assert_int_eq(dkc_group_join(a->client, &first, dk_slice_n(text, sizeof(text)), on_done, a), DKC_TOO_LONG);
	answers(dkc_group_leave(a->client, &first, bytes(""), on_done, a), a, "ok");
	answers(dkc_group_leave(b->client, &first, bytes(""), on_done, b), b, "ok");
	answers(dkc_group_leave(a->client, &a->id, bytes(""), on_done, a), a, "ok");
	answers(dkc_group_leave(b->client, &b->id, bytes(""), on_done, b), b, "ok");
}

START_TEST(random_joins)
{
	random_calls_of(&ann, &bob, 30);
	random_calls_of(&bob, &ann, 31); /* an empty one lives on */
}
END_TEST

/* Answers of anybody's making are read whole or not at all. */
START_TEST(malformed)
{
	struct dkc_reply r = { .status = DK_STATUS_OK };
	static uint8_t junk[1 + DK_ID52_LEN];
	struct dk_id52 id;
	bool joined;

	for (size_t n = 0; n < sizeof(junk); n++) {
		r.payload = dk_slice_n(junk, n);
		ck_assert(!dkc_group_random(&r, &id, &joined));
	}
	r.payload = dk_slice_n(junk, sizeof(junk));
	ck_assert(dkc_group_random(&r, &id, &joined) && !joined);
	r.status = DK_STATUS_BAD;
	ck_assert(!dkc_group_random(&r, &id, &joined));
}
END_TEST

START_TEST(calls)
{
	calls_of(&ann, &bob);
	calls_of(&bob, &ann);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("calls of groups");
	TCase *t = tcase_create("calls");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, pair_close);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, calls);
	tcase_add_test(t, random_joins);
	tcase_add_test(t, malformed);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
