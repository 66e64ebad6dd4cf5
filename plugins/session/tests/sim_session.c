/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a game does in a session, by the client library's typed calls, against a real node: one player over UDP, one over TCP, in
 * the simulated world. Each call, what its answer says, and what the other player hears of it.
 */
#include <diarkis/client_session.h>
#include <diarkis/session.h>

#include <check.h>

#include "tests/sim/pair.h"

enum { WAIT_MS = 80 };

/* The session that a player was last invited to, or came into. */
static char sessions[2][DK_SESSION_ID_LEN + 1];

static char *session_of(const struct player *p)
{
	return sessions[p == &bob];
}

static void on_event(struct player *p, const struct dkc_event *event)
{
	static const char *const words[] = {
		[DKC_SESSION_INVITED] = "invited",     [DKC_SESSION_MEMBER_JOINED] = "joined", [DKC_SESSION_MEMBER_LEFT] = "left",
		[DKC_SESSION_BROADCAST] = "broadcast", [DKC_SESSION_MESSAGE] = "message",      [DKC_SESSION_KICKED] = "kicked",
		[DKC_SESSION_ENDED] = "ended"
	};
	struct dkc_session_event e;

	if (dkc_session_event(event, &e) == DKC_SESSION_NONE)
		return;
	ck_assert(!e.session.n ||
		  (e.session.n == DK_SESSION_ID_LEN && memcmp(e.session.p, session_of(&ann), DK_SESSION_ID_LEN) == 0));
	HEARD(p, "%s %u %u '" DK_STR_FMT "' ", words[e.kind], e.type, e.reason, DK_STR_ARG(e.uid));
	HEARD(p, "'" DK_STR_FMT "' '" DK_STR_FMT "'\n", DK_STR_ARG(e.owner), DK_STR_ARG(dk_str_of(e.message)));
	if (e.kind == DKC_SESSION_INVITED)
		memcpy(session_of(p), e.session.p, e.session.n);
}

static void setup(void)
{
	memset(sessions, 0, sizeof(sessions));
	pair_open(&(const struct pair_opts){ .plugins = "session = {};", .delay_ms = 20, .answer_ms = WAIT_MS, .event = on_event },
		  false, true);
}

/* ---- answers ---- */

static void on_in(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	dk_str session;
	uint8_t type;

	on_done(arg, c, r);
	if (!dkc_session_id(r, &type, &session))
		return;
	ck_assert_uint_eq(session.n, DK_SESSION_ID_LEN);
	memcpy(session_of(p), session.p, session.n);
	ANSWER(p, " %u", type);
}

static void write_uids(struct player *p, dk_slice uids)
{
	dk_str uid;

	while (dkc_session_uid(&uids, &uid))
		ANSWER(p, " " DK_STR_FMT, DK_STR_ARG(uid));
	ck_assert_uint_eq(uids.n, 0);
}

static void on_members(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	dk_slice uids;

	on_done(arg, c, r);
	if (dkc_session_members(r, &uids))
		write_uids(arg, uids);
}

static void on_count(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	uint16_t members, max;

	on_done(arg, c, r);
	if (dkc_session_count(r, &members, &max))
		ANSWER(p, " %u of %u", members, max);
}

static void on_info(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dkc_session_info info;

	on_done(arg, c, r);
	if (!dkc_session_info(r, &info))
		return;
	ck_assert(dk_str_eq(info.session, dk_str_c(session_of(p))));
	ANSWER(p, " %u %u of %u " DK_STR_FMT ":", info.type, info.members, info.max_members, DK_STR_ARG(info.owner));
	write_uids(p, info.uids);
}

START_TEST(every_call)
{
	const dk_str to_bob[] = { dk_str_c("bob") }, to_ann[] = { dk_str_c("ann") },
		     nobody[] = { dk_str_c("eve"), dk_str_c("bob") };
	struct dk_user *users = dk_harness_service(pair_node, DK_USER_NAME);
	struct dkc_client *a = ann.client, *b = bob.client;

	answers(dkc_session_create(a, 7, 3, 60, on_in, &ann), &ann, "ok 7");
	answers(dkc_session_create(a, 7, 3, 60, on_in, &ann), &ann,
		"no the user is in a session of this type already, and leaves that one first");
	answers(dkc_session_invite(a, 7, to_bob, 1, bytes("come"), on_done, &ann), &ann, "ok");
	hears(&bob, "invited 7 0 '' '' 'come'\n");
	answers(dkc_session_invite(a, 7, nobody, 2, bytes("come"), on_done, &ann), &ann,
		"no somebody who was invited is not connected; everybody else was told");
	hears(&bob, "invited 7 0 '' '' 'come'\n");
	answers(dkc_session_join(b, 7, dk_str_c(session_of(&bob)), on_in, &bob), &bob, "ok 7");
	hears(&ann, "joined 7 0 'bob' 'ann' ''\n");
	answers(dkc_session_get_members(b, 7, on_members, &bob), &bob, "ok ann bob");
	answers(dkc_session_get_count(b, 7, on_count, &bob), &bob, "ok 2 of 3");
	answers(dkc_session_get_info(b, 7, on_info, &bob), &bob, "ok 7 2 of 3 ann: ann bob");
	ck_assert_int_eq(dkc_session_broadcast(a, 7, bytes("one")), 0);
	ck_assert_int_eq(dkc_session_broadcast(b, 7, bytes("two")), 0);
	ck_assert_int_eq(dkc_session_message(b, 7, to_ann, 1, bytes("psst")), 0);
	pass(WAIT_MS);
	hears(&ann, "broadcast 0 0 '' '' 'one'\nbroadcast 0 0 '' '' 'two'\nmessage 0 0 '' '' 'psst'\n");
	hears(&bob, "broadcast 0 0 '' '' 'one'\nbroadcast 0 0 '' '' 'two'\n");
	answers(dkc_session_kick(b, 7, dk_str_c("ann"), on_done, &bob), &bob, "no only the owner of the session may do that");
	answers(dkc_session_kick(a, 7, dk_str_c("bob"), on_done, &ann), &ann, "ok");
	hears(&bob, "kicked 7 3 '' '' ''\n");
	hears(&ann, "left 7 3 'bob' 'ann' ''\n");
	answers(dkc_session_join(b, 7, dk_str_c(session_of(&bob)), on_in, &bob), &bob, "ok 7");
	forget(&ann);
	answers(dkc_session_leave(a, 7, on_done, &ann), &ann, "ok");
	hears(&bob, "left 7 1 'ann' 'bob' ''\n");
	answers(dkc_session_leave(a, 7, on_done, &ann), &ann, "no there is no such session, or the user is in none of this type");
	answers(dkc_session_join(a, 7, dk_str_c(session_of(&bob)), on_in, &ann), &ann, "ok 7");
	forget(&bob);
	ck_assert_int_eq(users->disconnect(users, ann.user, DK_REASON_SERVER), 0);
	pass(WAIT_MS);
	hears(&bob, "left 7 2 'ann' 'bob' ''\n");
}
END_TEST

START_TEST(ended_by_code)
{
	struct dk_session *svc = dk_harness_service(pair_node, DK_SESSION_NAME);
	uint32_t slot = 0;

	answers(dkc_session_create(bob.client, 1, 2, 60, on_in, &bob), &bob, "ok 1");
	memcpy(session_of(&ann), session_of(&bob), sizeof(sessions[0]));
	answers(dkc_session_join(ann.client, 1, dk_str_c(session_of(&bob)), on_in, &ann), &ann, "ok 1");
	forget(&bob);
	ck_assert_int_eq(svc->remove(svc, svc->next(svc, &slot)), 0);
	pass(WAIT_MS);
	hears(&ann, "ended 1 6 '' '' ''\n");
	hears(&bob, "ended 1 6 '' '' ''\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_session");
	TCase *t = tcase_create("calls");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, pair_close);
	tcase_add_test(t, every_call);
	tcase_add_test(t, ended_by_code);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
