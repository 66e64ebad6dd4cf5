/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a game does in a session, by the client library's typed calls, against a real node: one player over UDP, one over TCP, in
 * the simulated world. Each call, what its answer says, and what
 * the other player hears of it.
 */
#include <diarkis/client_session.h>
#include <diarkis/session.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DELAY_MS 20

struct player {
	const char *name;
	bool tcp;
	dk_id user;
	struct dkc_client *client;
	struct dk_sim_udp *udp;
	struct dk_sim_tcp *stream;
	char heard[4096], answer[512], session[64];
};

static struct dk_env *world;
static struct dk_harness *node;
static struct dk_user *users;
static struct dkc_ctx *ctx;
static struct player ann, bob;

static uint64_t now_us(void)
{
	return dk_sim_now(world) * 1000;
}

static int chance(void *arg, void *buf, size_t n)
{
	uint8_t *p = buf;

	(void)arg;
	while (n--)
		*p++ = (uint8_t)dk_sim_chance(world);
	return 0;
}

static void note(char *text, size_t cap, const char *fmt, ...)
{
	size_t n = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + n, cap - n, fmt, ap);
	va_end(ap);
}

static void on_event(void *arg, struct dkc_client *c, const struct dkc_event *event)
{
	static const char *const words[] = {
		[DKC_SESSION_INVITED] = "invited",     [DKC_SESSION_MEMBER_JOINED] = "joined", [DKC_SESSION_MEMBER_LEFT] = "left",
		[DKC_SESSION_BROADCAST] = "broadcast", [DKC_SESSION_MESSAGE] = "message",      [DKC_SESSION_KICKED] = "kicked",
		[DKC_SESSION_ENDED] = "ended"
	};
	struct dkc_session_event e;
	struct player *p = arg;

	(void)c;
	if (dkc_session_event(event, &e) == DKC_SESSION_NONE)
		return;
	ck_assert(!e.session.n || (e.session.n == DK_SESSION_ID_LEN && memcmp(e.session.p, ann.session, DK_SESSION_ID_LEN) == 0));
	note(p->heard, sizeof(p->heard), "%s %u %u '" DK_STR_FMT "' ", words[e.kind], e.type, e.reason, DK_STR_ARG(e.uid));
	note(p->heard, sizeof(p->heard), "'" DK_STR_FMT "' '" DK_STR_FMT "'\n", DK_STR_ARG(e.owner),
	     DK_STR_ARG(dk_str_of(e.message)));
	if (e.kind == DKC_SESSION_INVITED)
		memcpy(p->session, e.session.p, e.session.n);
}

/* ---- the wires ---- */

static void to_node(struct player *p)
{
	uint8_t buf[4096];
	size_t n, need;

	if (dkc_wants_dial(p->client))
		return;
	if (!p->tcp)
		while ((n = dkc_next_datagram(p->client, now_us(), buf, sizeof(buf))))
			dk_sim_udp_send(p->udp, dk_harness_addr(node, "udp"), dk_slice_n(buf, n));
	else
		while ((n = dkc_next_bytes(p->client, buf, sizeof(buf), &need)))
			ck_assert_uint_eq(dk_sim_tcp_send(p->stream, dk_slice_n(buf, n)), n);
}

static void from_node(struct player *p)
{
	struct dk_addr from;
	dk_slice bytes;

	if (p->tcp) {
		bytes = dk_sim_tcp_bytes(p->stream);
		if (bytes.n)
			dkc_feed(p->client, now_us(), bytes);
		dk_sim_tcp_take(p->stream, bytes.n);
	} else {
		while (dk_sim_udp_next(p->udp, &from, &bytes))
			dkc_feed(p->client, now_us(), bytes);
	}
	dkc_tick(p->client, now_us());
}

static void pass(uint64_t ms)
{
	while (ms--) {
		to_node(&ann);
		to_node(&bob);
		dk_sim_run(world, 1);
		from_node(&ann);
		from_node(&bob);
	}
}

static void come(struct player *p, const char *name, bool tcp)
{
	struct dkc_endpoint ep = { .protocol = tcp ? DKC_TCP : DKC_UDP, .host = "10.0.0.1" };
	const struct dk_addr *server = dk_harness_addr(node, tcp ? "tcp" : "udp");
	struct dkc_opts o;

	*p = (struct player){ .name = name, .tcp = tcp };
	ck_assert_int_eq(users->create(users, dk_str_c(name), dk_str_c(tcp ? "TCP" : "UDP"), &ep.cred, &p->user), 0);
	ep.port = server->port;
	dkc_opts_default(&o);
	o.event = on_event;
	o.arg = p;
	ck_assert_int_eq(dkc_client_new(ctx, &ep, &o, &p->client), 0);
	dkc_connect(p->client);
	ck_assert_ptr_nonnull(dkc_wants_dial(p->client));
	if (tcp)
		ck_assert_int_eq(dk_sim_tcp_connect(world, "10.1.0.2", server, NULL, NULL, &p->stream), 0);
	else
		ck_assert_int_eq(dk_sim_udp_open(world, "10.1.0.1", NULL, NULL, &p->udp), 0);
	if (tcp)
		dk_sim_run(world, 4 * DELAY_MS);
	server = dk_harness_addr(node, tcp ? "tcp" : "udp");
	dkc_dialed(p->client, now_us(), 0, server);
}

static void setup(void)
{
	const struct dk_sim_link link = { .delay_ms = DELAY_MS };
	struct dkc_ctx_opts co;

	world = dk_env_sim(1);
	dk_sim_link(world, NULL, NULL, &link);
	node = dk_harness_open(&(const struct dk_harness_opts){
		.world = world,
		.config = "plugins = { user = {}; session = {}; udp = { address = \"10.0.0.1\"; }; "
			  "tcp = { address = \"10.0.0.1\"; }; };" });
	ck_assert_ptr_nonnull(node);
	users = dk_harness_service(node, DK_USER_NAME);
	dkc_ctx_opts_default(&co);
	co.random = chance;
	ck_assert_int_eq(dkc_ctx_new(&co, &ctx), 0);
	come(&ann, "ann", false);
	come(&bob, "bob", true);
	pass(500);
	ck_assert(dkc_is_connected(ann.client) && dkc_is_connected(bob.client));
}

static void teardown(void)
{
	dkc_close(ann.client);
	dkc_close(bob.client);
	to_node(&ann);
	to_node(&bob);
	dk_sim_run(world, 200);
	ck_assert_int_eq(dk_harness_free(node), 0);
	dkc_client_free(ann.client);
	dkc_client_free(bob.client);
	dkc_ctx_free(ctx);
	dk_env_free(world);
}

/* ---- answers ---- */

static void on_done(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;

	(void)c;
	snprintf(p->answer, sizeof(p->answer), "%s", dkc_ok(r) ? "ok" : "no");
	if (!dkc_ok(r))
		note(p->answer, sizeof(p->answer), " " DK_STR_FMT, DK_STR_ARG(dkc_reply_error(r, NULL)));
}

static void on_in(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	dk_str session;
	uint8_t type;

	on_done(arg, c, r);
	if (!dkc_session_id(r, &type, &session))
		return;
	ck_assert_uint_eq(session.n, DK_SESSION_ID_LEN);
	memcpy(p->session, session.p, session.n);
	note(p->answer, sizeof(p->answer), " %u", type);
}

static void write_uids(struct player *p, dk_slice uids)
{
	dk_str uid;

	while (dkc_session_uid(&uids, &uid))
		note(p->answer, sizeof(p->answer), " " DK_STR_FMT, DK_STR_ARG(uid));
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
		note(p->answer, sizeof(p->answer), " %u of %u", members, max);
}

static void on_info(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dkc_session_info info;

	on_done(arg, c, r);
	if (!dkc_session_info(r, &info))
		return;
	ck_assert(dk_str_eq(info.session, dk_str_c(p->session)));
	note(p->answer, sizeof(p->answer), " %u %u of %u " DK_STR_FMT ":", info.type, info.members, info.max_members,
	     DK_STR_ARG(info.owner));
	write_uids(p, info.uids);
}

/* The call was taken, and this is its answer. */
static void answers(int rc, struct player *p, const char *want)
{
	ck_assert_int_eq(rc, 0);
	p->answer[0] = '\0';
	pass(4 * DELAY_MS);
	ck_assert_str_eq(p->answer, want);
}

static void hears(struct player *p, const char *want)
{
	ck_assert_str_eq(p->heard, want);
	p->heard[0] = '\0';
}

static dk_slice bytes(const char *text)
{
	return dk_slice_of(dk_str_c(text));
}

START_TEST(every_call)
{
	const dk_str to_bob[] = { dk_str_c("bob") }, to_ann[] = { dk_str_c("ann") },
		     nobody[] = { dk_str_c("eve"), dk_str_c("bob") };
	struct dkc_client *a = ann.client, *b = bob.client;

	answers(dkc_session_create(a, 7, 3, 60, on_in, &ann), &ann, "ok 7");
	answers(dkc_session_create(a, 7, 3, 60, on_in, &ann), &ann,
		"no the user is in a session of this type already, and leaves that one first");
	answers(dkc_session_invite(a, 7, to_bob, 1, bytes("come"), on_done, &ann), &ann, "ok");
	hears(&bob, "invited 7 0 '' '' 'come'\n");
	answers(dkc_session_invite(a, 7, nobody, 2, bytes("come"), on_done, &ann), &ann,
		"no somebody who was invited is not connected; everybody else was told");
	hears(&bob, "invited 7 0 '' '' 'come'\n");
	answers(dkc_session_join(b, 7, dk_str_c(bob.session), on_in, &bob), &bob, "ok 7");
	hears(&ann, "joined 7 0 'bob' 'ann' ''\n");
	answers(dkc_session_get_members(b, 7, on_members, &bob), &bob, "ok ann bob");
	answers(dkc_session_get_count(b, 7, on_count, &bob), &bob, "ok 2 of 3");
	answers(dkc_session_get_info(b, 7, on_info, &bob), &bob, "ok 7 2 of 3 ann: ann bob");
	ck_assert_int_eq(dkc_session_broadcast(a, 7, bytes("one")), 0);
	ck_assert_int_eq(dkc_session_broadcast(b, 7, bytes("two")), 0);
	ck_assert_int_eq(dkc_session_message(b, 7, to_ann, 1, bytes("psst")), 0);
	pass(4 * DELAY_MS);
	hears(&ann, "broadcast 0 0 '' '' 'one'\nbroadcast 0 0 '' '' 'two'\nmessage 0 0 '' '' 'psst'\n");
	hears(&bob, "broadcast 0 0 '' '' 'one'\nbroadcast 0 0 '' '' 'two'\n");
	answers(dkc_session_kick(b, 7, dk_str_c("ann"), on_done, &bob), &bob, "no only the owner of the session may do that");
	answers(dkc_session_kick(a, 7, dk_str_c("bob"), on_done, &ann), &ann, "ok");
	hears(&bob, "kicked 7 3 '' '' ''\n");
	hears(&ann, "left 7 3 'bob' 'ann' ''\n");
	answers(dkc_session_join(b, 7, dk_str_c(bob.session), on_in, &bob), &bob, "ok 7");
	ann.heard[0] = '\0';
	answers(dkc_session_leave(a, 7, on_done, &ann), &ann, "ok");
	hears(&bob, "left 7 1 'ann' 'bob' ''\n");
	answers(dkc_session_leave(a, 7, on_done, &ann), &ann, "no there is no such session, or the user is in none of this type");
	answers(dkc_session_join(a, 7, dk_str_c(bob.session), on_in, &ann), &ann, "ok 7");
	bob.heard[0] = '\0';
	ck_assert_int_eq(users->disconnect(users, ann.user, DK_REASON_SERVER), 0);
	pass(4 * DELAY_MS);
	hears(&bob, "left 7 2 'ann' 'bob' ''\n");
}
END_TEST

START_TEST(ended_by_code)
{
	struct dk_session *svc = dk_harness_service(node, DK_SESSION_NAME);
	uint32_t slot = 0;

	answers(dkc_session_create(bob.client, 1, 2, 60, on_in, &bob), &bob, "ok 1");
	memcpy(ann.session, bob.session, sizeof(ann.session));
	answers(dkc_session_join(ann.client, 1, dk_str_c(bob.session), on_in, &ann), &ann, "ok 1");
	bob.heard[0] = '\0';
	ck_assert_int_eq(svc->remove(svc, svc->next(svc, &slot)), 0);
	pass(4 * DELAY_MS);
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

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, every_call);
	tcase_add_test(t, ended_by_code);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
