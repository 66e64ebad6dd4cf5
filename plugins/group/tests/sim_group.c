/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a game does with groups, by the client library's typed calls, against a real node in the simulated world: one player over
 * UDP, one over TCP. Each call, what its answer says, and what the other player hears of it.
 */
#include <diarkis/client_group.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { DELAY_MS = 10 };

struct player {
	struct dkc_client *client;
	struct dk_sim_udp *udp;
	struct dk_sim_tcp *stream; /* NULL: UDP */
	char heard[2048], answer[512];
	struct dk_id52 group;
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

static void on_event(void *arg, struct dkc_client *c, const struct dkc_event *e)
{
	static const char *const words[] = {
		[DKC_GROUP_MEMBER_JOINED] = "joined", [DKC_GROUP_MEMBER_LEFT] = "left", [DKC_GROUP_BROADCAST] = "broadcast"
	};
	struct player *p = arg;
	dk_slice message;
	uint32_t tag;
	enum dkc_group_kind kind = dkc_group_event(e, &tag, &message);

	(void)c;
	if (e->kind == DKC_RESPONSE)
		note(p->heard, sizeof(p->heard), "refused %u\n", e->cmd);
	if (kind == DKC_GROUP_NONE)
		return;
	note(p->heard, sizeof(p->heard), "%s " DK_STR_FMT "%s\n", words[kind], DK_STR_ARG(dk_str_of(message)),
	     tag == dkc_group_tag(&p->group) ? "" : ", elsewhere");
}

/* ---- the wires ---- */

static void to_node(struct player *p)
{
	uint8_t buf[4096];
	size_t n, need;

	if (dkc_wants_dial(p->client))
		return;
	if (p->udp)
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

	if (p->stream) {
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
	struct dk_addr server = *dk_harness_addr(node, tcp ? "tcp" : "udp");
	struct dkc_opts o;
	dk_id user;

	*p = (struct player){ .client = NULL };
	ck_assert_int_eq(users->create(users, dk_str_c(name), dk_str_c(tcp ? "TCP" : "UDP"), &ep.cred, &user), 0);
	ep.port = server.port;
	dkc_opts_default(&o);
	o.event = on_event;
	o.arg = p;
	ck_assert_int_eq(dkc_client_new(ctx, &ep, &o, &p->client), 0);
	dkc_connect(p->client);
	ck_assert_ptr_nonnull(dkc_wants_dial(p->client));
	if (tcp)
		ck_assert_int_eq(dk_sim_tcp_connect(world, "10.1.0.2", &server, NULL, NULL, &p->stream), 0);
	else
		ck_assert_int_eq(dk_sim_udp_open(world, "10.1.0.1", NULL, NULL, &p->udp), 0);
	if (tcp)
		dk_sim_run(world, 4 * DELAY_MS);
	dkc_dialed(p->client, now_us(), 0, &server);
}

static void setup(void)
{
	const struct dk_sim_link link = { .delay_ms = DELAY_MS };
	struct dkc_ctx_opts co;

	world = dk_env_sim(1);
	dk_sim_link(world, NULL, NULL, &link);
	node = dk_harness_open(
		&(const struct dk_harness_opts){ .world = world,
						 .config = "plugins = { user = {}; group = {}; udp = { address = \"10.0.0.1\"; }; "
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

static void start_line(struct player *p, const struct dkc_reply *r)
{
	snprintf(p->answer, sizeof(p->answer), "%s", dkc_ok(r) ? "ok" : "no");
	if (!dkc_ok(r))
		note(p->answer, sizeof(p->answer), " " DK_STR_FMT, DK_STR_ARG(dkc_reply_error(r, NULL)));
}

static void on_done(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	(void)c;
	start_line(arg, r);
}

static void on_joined(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;

	(void)c;
	start_line(p, r);
	ck_assert_int_eq(dkc_group_joined(r, &p->group), dkc_ok(r));
}

static void on_info(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dkc_group_info info;
	dk_str uid;

	(void)c;
	start_line(p, r);
	ck_assert_int_eq(dkc_group_info(r, &info), dkc_ok(r));
	if (!dkc_ok(r))
		return;
	ck_assert_mem_eq(info.group.c, p->group.c, DK_ID52_LEN);
	note(p->answer, sizeof(p->answer), " %u on %u", info.members, info.nodes);
	while (dk_list_next(&info.uids, &uid))
		note(p->answer, sizeof(p->answer), " " DK_STR_FMT, DK_STR_ARG(uid));
}

/* The call was taken, and this is its answer. */
static void answers(int rc, struct player *p, const char *want)
{
	ck_assert_int_eq(rc, 0);
	p->answer[0] = '\0';
	pass(6 * DELAY_MS);
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
	answers(dkc_group_join(b->client, &a->group, bytes("hi"), on_joined, b), b, "ok");
	ck_assert_mem_eq(a->group.c, b->group.c, DK_ID52_LEN);
	hears(a, "joined hi\n");
	hears(b, "joined hi\n");
	answers(dkc_group_join(b->client, &a->group, bytes(""), on_done, b), b, "no the user is a member of this group already");
	answers(dkc_group_get_info(a->client, &a->group, false, on_info, a), a,
		a == &ann ? "ok 2 on 1 ann bob" : "ok 2 on 1 bob ann");
	answers(dkc_group_get_info(b->client, &a->group, true, on_info, b), b,
		a == &ann ? "ok 2 on 1 ann bob" : "ok 2 on 1 bob ann");
	for (int reliable = 0; reliable < 2; reliable++) {
		ck_assert_int_eq(dkc_group_broadcast(b->client, &a->group, bytes("all"), reliable), 0);
		pass(6 * DELAY_MS);
		hears(a, "broadcast all\n");
		hears(b, "broadcast all\n");
	}
	first = a->group;
	answers(dkc_group_create(a->client, &o, on_joined, a), a, "ok");
	ck_assert_int_eq(dkc_group_broadcast(a->client, &first, bytes("one"), true), 0);
	ck_assert_int_eq(dkc_group_broadcast(a->client, &a->group, bytes("two"), true), 0);
	pass(6 * DELAY_MS);
	hears(a, "broadcast one, elsewhere\nbroadcast two\n");
	hears(b, "broadcast one\n");
	ck_assert_int_eq(dkc_group_broadcast(b->client, &a->group, bytes("not mine"), true), 0);
	pass(6 * DELAY_MS);
	hears(b, "refused 113\n");
	answers(dkc_group_get_info(b->client, &a->group, true, on_info, b), b, "no the user is not a member of this group");
	answers(dkc_group_leave(b->client, &first, bytes("bye"), on_done, b), b, "ok");
	hears(a, "left bye, elsewhere\n");
	hears(b, "");
	answers(dkc_group_leave(b->client, &first, bytes("bye"), on_done, b), b, "no the user is not a member of this group");
	answers(dkc_group_leave(a->client, &first, bytes(""), on_done, a), a, "ok");
	answers(dkc_group_leave(a->client, &a->group, bytes(""), on_done, a), a, "ok");
	answers(dkc_group_join(b->client, &first, bytes(""), on_done, b), b,
		"no there is no such group, or no node that knows it answers");
}

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

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, calls);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
