/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct messages and notices by the client library's typed calls, against real nodes: one player over UDP on one node, one over
 * TCP on another one, joined by the plugins mesh and mars in a simulated world. Each call, what its answer says, and each event.
 */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/client_dm.h>
#include <diarkis/client_notifier.h>
#include <diarkis/cluster.h>
#include <diarkis/dm_commands.h>
#include <diarkis/notifier.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

enum { DELAY_MS = 10 };

struct player {
	unsigned at; /* its node */
	bool tcp;
	dk_id user;
	struct dkc_client *client;
	struct dk_sim_udp *udp;
	struct dk_sim_tcp *stream;
	char heard[4096], answer[256];
	bool ended;
};

static struct dk_env *world;
static struct dk_harness *nodes[3];
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
		[DKC_DM_MESSAGE] = "message", [DKC_DM_DISCONNECTED] = "disconnected", [DKC_DM_REPLACED] = "replaced"
	};
	struct player *p = arg;
	enum dkc_dm_kind kind;
	dk_slice message;
	dk_str uid;

	ck_assert_ptr_eq(dkc_arg(c), p);
	kind = dkc_dm_event(e, &uid, &message);
	if (kind)
		note(p->heard, sizeof(p->heard), "%s " DK_STR_FMT ": " DK_STR_FMT "\n", words[kind], DK_STR_ARG(uid),
		     DK_STR_ARG(dk_str_of(message)));
	if (dkc_notice(e, &message)) {
		ck_assert_int_eq(kind, DKC_DM_NONE);
		note(p->heard, sizeof(p->heard), "%s: " DK_STR_FMT "\n", e->kind == DKC_NOTE ? "note" : "push",
		     DK_STR_ARG(dk_str_of(message)));
	}
	p->ended |= e->kind == DKC_DISCONNECTED;
}

/* ---- the wires ---- */

static const struct dk_addr *server_of(const struct player *p)
{
	return dk_harness_addr(nodes[p->at], p->tcp ? "tcp" : "udp");
}

static void to_node(struct player *p)
{
	static uint8_t buf[65536];
	size_t n, need;

	if (!p->client || dkc_wants_dial(p->client))
		return;
	if (!p->tcp)
		while ((n = dkc_next_datagram(p->client, now_us(), buf, sizeof(buf))))
			dk_sim_udp_send(p->udp, server_of(p), dk_slice_n(buf, n));
	else
		while ((n = dkc_next_bytes(p->client, buf, sizeof(buf), &need)))
			ck_assert_uint_eq(dk_sim_tcp_send(p->stream, dk_slice_n(buf, n)), n);
}

static void from_node(struct player *p)
{
	struct dk_addr from;
	dk_slice bytes;

	if (!p->client)
		return;
	if (p->tcp) {
		bytes = dk_sim_tcp_bytes(p->stream);
		if (bytes.n)
			dkc_feed(p->client, now_us(), bytes);
		dk_sim_tcp_take(p->stream, bytes.n);
		if (dk_sim_tcp_state(p->stream) >= DK_SIM_TCP_ENDED)
			dkc_hung_up(p->client, now_us());
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

static void come(struct player *p, const char *name, unsigned at, bool tcp, const char *from)
{
	struct dkc_endpoint ep = { .protocol = tcp ? DKC_TCP : DKC_UDP, .host = "10.0.0.9" };
	struct dk_user *users = dk_harness_service(nodes[at], DK_USER_NAME);
	struct dkc_opts o;

	*p = (struct player){ .at = at, .tcp = tcp };
	ck_assert_int_eq(users->create(users, dk_str_c(name), dk_str_c(tcp ? "TCP" : "UDP"), &ep.cred, &p->user), 0);
	ep.port = server_of(p)->port;
	dkc_opts_default(&o);
	o.echo_ms = 1000;
	o.event = on_event;
	o.arg = p;
	ck_assert_int_eq(dkc_client_new(ctx, &ep, &o, &p->client), 0);
	dkc_connect(p->client);
	ck_assert_ptr_nonnull(dkc_wants_dial(p->client));
	if (tcp)
		ck_assert_int_eq(dk_sim_tcp_connect(world, from, server_of(p), NULL, NULL, &p->stream), 0);
	else
		ck_assert_int_eq(dk_sim_udp_open(world, from, NULL, NULL, &p->udp), 0);
	dk_sim_run(world, 4 * DELAY_MS);
	dkc_dialed(p->client, now_us(), 0, server_of(p));
	pass(200);
	ck_assert(dkc_is_connected(p->client));
}

static void node(unsigned i, const char *transport)
{
	char config[1024], address[16];

	snprintf(address, sizeof(address), "10.0.0.%u", i + 1);
	snprintf(config, sizeof(config),
		 "plugins = { mesh = { address = \"%s\"; marsAddress = \"10.0.0.1\"; mesh_insecure = true; }; mars = { %s }; %s };",
		 address, i ? "" : "serve = true; address = \"10.0.0.1\";", transport);
	nodes[i] = dk_harness_open(&(const struct dk_harness_opts){ .world = world, .config = config, .address = address });
	ck_assert_ptr_nonnull(nodes[i]);
}

static void setup(void)
{
#define MODULES " user = { }; dive = { }; dm = { storageTargetNodeType = \"UDP\"; }; notifier = { };"
	const struct dk_sim_link link = { .delay_ms = DELAY_MS };
	struct dkc_ctx_opts co;

	world = dk_env_sim(1);
	dk_sim_link(world, NULL, NULL, &link);
	node(0, "");
	node(1, "udp = { address = \"10.0.0.2\"; };" MODULES);
	node(2, "tcp = { address = \"10.0.0.3\"; };" MODULES);
	dk_sim_run(world, 6000); /* they see each other, and share the storage */
	dkc_ctx_opts_default(&co);
	co.random = chance;
	ck_assert_int_eq(dkc_ctx_new(&co, &ctx), 0);
	bob = (struct player){ .at = 2 };
	come(&ann, "ann", 1, false, "10.1.0.1:5000");
	come(&bob, "bob", 2, true, "10.1.0.2");
}

static void teardown(void)
{
	dkc_close(ann.client);
	dkc_close(bob.client);
	to_node(&ann);
	to_node(&bob);
	dk_sim_run(world, 200);
	for (unsigned i = 3; i-- > 0;)
		ck_assert_int_eq(dk_harness_free(nodes[i]), 0);
	dkc_client_free(ann.client);
	dkc_client_free(bob.client);
	dkc_ctx_free(ctx);
	dk_env_free(world);
}

/* ---- calls ---- */

static void on_done(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;

	(void)c;
	snprintf(p->answer, sizeof(p->answer), "%s", dkc_ok(r) ? "ok" : "no");
	if (!dkc_ok(r))
		note(p->answer, sizeof(p->answer), " " DK_STR_FMT, DK_STR_ARG(dkc_reply_error(r, NULL)));
}

static void answers(int rc, struct player *p, const char *want)
{
	ck_assert_int_eq(rc, 0);
	p->answer[0] = '\0';
	pass(20 * DELAY_MS);
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

static dk_str id(const char *text)
{
	return dk_str_c(text);
}

START_TEST(every_call)
{
	struct player *both[] = { &ann, &bob };
	const char *names[] = { "ann", "bob" };
	char want[64];

	for (unsigned i = 0; i < 2; i++) {
		struct player *a = both[i], *b = both[1 - i];
		dk_str to = id(names[1 - i]);

		answers(dkc_dm_connect(a->client, to, on_done, a), a, "ok");
		answers(dkc_dm_connect(a->client, id("zoe"), on_done, a), a, "no there is no user of that id");
		hears(b, "");
		answers(dkc_dm_send(a->client, to, bytes("reliable"), true, on_done, a), a, "ok");
		answers(dkc_dm_send(a->client, to, bytes("plain"), false, on_done, a), a, "ok");
		snprintf(want, sizeof(want), "message %s: reliable\nmessage %s: plain\n", names[i], names[i]);
		hears(b, want);
		answers(dkc_dm_send(a->client, id("zoe"), bytes("x"), true, on_done, a), a, "no there is no user of that id");
		answers(dkc_dm_send(a->client, to, bytes(""), true, on_done, a), a, "no the message is empty");
		answers(dkc_dm_disconnect(a->client, to, bytes("bye"), on_done, a), a, "ok");
		snprintf(want, sizeof(want), "disconnected %s: bye\n", names[i]);
		hears(b, want);
		answers(dkc_dm_disconnect(a->client, to, bytes(""), on_done, a), a, "ok");
		hears(b, "");
		hears(a, "");
	}
}
END_TEST

/* Beyond a datagram, beyond the stack of the library, beyond the limit. */
START_TEST(long_ones)
{
	static char text[20001];

	memset(text, 'x', sizeof(text) - 1);
	answers(dkc_dm_send(ann.client, id("bob"), dk_slice_n(text, 16384), true, on_done, &ann), &ann, "ok");
	answers(dkc_dm_send(bob.client, id("ann"), dk_slice_n(text, 3000), true, on_done, &bob), &bob, "ok");
	pass(500);
	ck_assert_uint_eq(strlen(ann.heard), strlen("message bob: \n") + 3000);
	answers(dkc_dm_send(bob.client, id("ann"), dk_slice_n(text, 3000), false, on_done, &bob), &bob,
		"no the message is too long, at least for one that is not reliable");
	answers(dkc_dm_send(ann.client, id("bob"), dk_slice_n(text, 16385), true, on_done, &ann), &ann,
		"no the message is too long, at least for one that is not reliable");
	ck_assert_int_eq(dkc_dm_send(bob.client, id("ann"), dk_slice_n(text, 70000), true, on_done, &bob), DKC_TOO_LONG);
}
END_TEST

/* One uid logs in again on the other node: the last one stands, the first one hears why. */
START_TEST(logged_in_again)
{
	dkc_client_free(bob.client);
	dk_sim_tcp_close(bob.stream, false);
	bob.client = NULL;
	pass(200);
	come(&bob, "ann", 2, true, "10.1.0.3");
	pass(200);
	hears(&ann, "replaced : this user has logged in again\n");
	ck_assert(ann.ended && !bob.ended);
}
END_TEST

START_TEST(notices)
{
	struct dk_notifier *n = dk_harness_service(nodes[1], DK_NOTIFIER_NAME);
	struct dk_notice what = { .id = id("1"), .cmd = DK_NOTICE_CMD, .message = bytes("one"), .ttl_ms = 60000 };

	ck_assert_int_eq(n->notify(n, &what, false), 0);
	what.id = id("2");
	what.message = bytes("two");
	what.reliable = true;
	ck_assert_int_eq(n->notify(n, &what, false), 0);
	pass(1500);
	hears(&ann, "push: two\nnote: one\n"); /* the answer leaves when its frame is done with */
	hears(&bob, "push: two\nnote: one\n");
	pass(3000);
	hears(&ann, "");
	hears(&bob, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("direct messages and notices, by typed calls");
	TCase *t = tcase_create("calls");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, every_call);
	tcase_add_test(t, long_ones);
	tcase_add_test(t, logged_in_again);
	tcase_add_test(t, notices);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
