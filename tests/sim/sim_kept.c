/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a game keeps in a room, by the client library's typed calls, against a real node in the simulated world: properties,
 * states, objects; once with both players on UDP, once with both on TCP. Each call, its answer, and what is heard of it.
 */
#include <diarkis/client_room_data.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DELAY_MS 10

struct player {
	struct dkc_client *client;
	struct dk_sim_udp *udp;
	struct dk_sim_tcp *stream; /* NULL: UDP */
	char heard[2048], answer[512];
	struct dk_id52 room;
};

static struct dk_env *world;
static struct dk_harness *node;
static struct dk_user *users;
static struct dkc_ctx *ctx;
static struct player ann, bob;
static bool tcp;

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
#define HEARD(p, ...) note((p)->heard, sizeof((p)->heard), __VA_ARGS__)
#define ANSWER(p, ...) note((p)->answer, sizeof((p)->answer), __VA_ARGS__)

/* ---- what comes, as text ---- */

static void note_props(char *to, size_t cap, struct dkc_room_props list)
{
	struct dkc_room_prop prop;

	while (dkc_room_next_prop(&list, &prop))
		note(to, cap, " " DK_STR_FMT "=" DK_STR_FMT, DK_STR_ARG(prop.name), DK_STR_ARG(dk_str_of(prop.value)));
}

static void note_fields(char *to, size_t cap, struct dkc_room_fields list)
{
	struct dkc_room_field field;

	while (dkc_room_next_field(&list, &field))
		note(to, cap, " " DK_STR_FMT "=%g", DK_STR_ARG(field.name), field.value);
}

static void on_event(void *arg, struct dkc_client *c, const struct dkc_event *e)
{
	struct player *p = arg;
	enum dkc_room_object_mode mode;
	struct dkc_room_fields fields;
	struct dkc_room_props props;
	dk_slice rest = e->payload, key, value;
	int64_t number;
	dk_str name;

	(void)c;
	if (e->kind == DKC_RESPONSE)
		HEARD(p, "answer %u %u\n", e->cmd, e->status);
	switch (dkc_room_data_event(e)) {
	case DKC_ROOM_PROPS:
		ck_assert(dkc_room_props_set(e, &props) && !dkc_room_counted(e, &name, &number));
		HEARD(p, "props");
		note_props(p->heard, sizeof(p->heard), props);
		break;
	case DKC_ROOM_COUNTED:
		ck_assert(dkc_room_counted(e, &name, &number) && !dkc_room_props_set(e, &props));
		HEARD(p, "counted " DK_STR_FMT "=%lld", DK_STR_ARG(name), (long long)number);
		break;
	case DKC_ROOM_STATES:
		HEARD(p, e->reliable ? "states!" : "states");
		while (dkc_room_next_state(&rest, &key, &value))
			HEARD(p, " " DK_STR_FMT "=" DK_STR_FMT, DK_STR_ARG(dk_str_of(key)), DK_STR_ARG(dk_str_of(value)));
		ck_assert_uint_eq(rest.n, 0);
		break;
	case DKC_ROOM_STATES_GONE:
		HEARD(p, "gone");
		while (dkc_room_next_gone(&rest, &key))
			HEARD(p, " " DK_STR_FMT, DK_STR_ARG(dk_str_of(key)));
		ck_assert_uint_eq(rest.n, 0);
		break;
	case DKC_ROOM_OBJECT:
		ck_assert(dkc_room_object(e, &mode, &name, &fields));
		HEARD(p, "object %d " DK_STR_FMT, mode, DK_STR_ARG(name));
		note_fields(p->heard, sizeof(p->heard), fields);
		break;
	default:
		ck_assert(!dkc_room_object(e, &mode, &name, &fields));
		return;
	}
	HEARD(p, "\n");
}

/* ---- the wires ---- */

static void to_node(struct player *p)
{
	uint8_t buf[4096];
	size_t n, need;

	if (!p->stream)
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

static void come(struct player *p, const char *name, const char *from)
{
	struct dkc_endpoint ep = { .protocol = tcp ? DKC_TCP : DKC_UDP, .host = "10.0.0.1" };
	const struct dk_addr *server = dk_harness_addr(node, tcp ? "tcp" : "udp");
	struct dkc_opts o;
	dk_id user;

	*p = (struct player){ .client = NULL };
	ck_assert_int_eq(users->create(users, dk_str_c(name), dk_str_c(tcp ? "TCP" : "UDP"), &ep.cred, &user), 0);
	ep.port = server->port;
	dkc_opts_default(&o);
	o.event = on_event;
	o.arg = p;
	ck_assert_int_eq(dkc_client_new(ctx, &ep, &o, &p->client), 0);
	dkc_connect(p->client);
	ck_assert_ptr_nonnull(dkc_wants_dial(p->client));
	if (tcp)
		ck_assert_int_eq(dk_sim_tcp_connect(world, from, server, NULL, NULL, &p->stream), 0);
	else
		ck_assert_int_eq(dk_sim_udp_open(world, from, NULL, NULL, &p->udp), 0);
	dk_sim_run(world, 4 * DELAY_MS);
	dkc_dialed(p->client, now_us(), 0, dk_harness_addr(node, tcp ? "tcp" : "udp"));
}

/* ---- answers ---- */

static void start_line(struct player *p, const struct dkc_reply *r)
{
	snprintf(p->answer, sizeof(p->answer), "%s", dkc_ok(r) ? "ok" : "no");
	if (!dkc_ok(r))
		ANSWER(p, " " DK_STR_FMT, DK_STR_ARG(dkc_reply_error(r, NULL)));
}

static void on_done(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	(void)c;
	start_line(arg, r);
}

static void on_joined(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	uint32_t created;

	(void)c;
	start_line(p, r);
	ck_assert(dkc_room_joined(r, &p->room, &created));
}

static void on_props(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dkc_room_props list;

	(void)c;
	start_line(p, r);
	if (dkc_room_props(r, &list))
		note_props(p->answer, sizeof(p->answer), list);
}

static void on_sum(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	int64_t sum;

	(void)c;
	start_line(p, r);
	if (dkc_room_sum(r, &sum))
		ANSWER(p, " %lld", (long long)sum);
}

static void on_fields(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dkc_room_fields list;

	(void)c;
	start_line(p, r);
	if (dkc_room_fields(r, &list))
		note_fields(p->answer, sizeof(p->answer), list);
}

/* The call was taken, and this is its answer. */
static void answers(int rc, struct player *p, const char *want)
{
	ck_assert_int_eq(rc, 0);
	p->answer[0] = '\0';
	pass(8 * DELAY_MS);
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

static void setup_over(bool stream)
{
	const struct dkc_room_opts o = { .max_members = 4, .join = true, .ttl_s = 30 };
	const struct dk_sim_link link = { .delay_ms = DELAY_MS };
	struct dkc_ctx_opts co;

	tcp = stream;
	world = dk_env_sim(1);
	dk_sim_link(world, NULL, NULL, &link);
	node = dk_harness_open(&(const struct dk_harness_opts){
		.world = world,
		.config = "plugins = { user = {}; room = { state_interval_ms = 17; }; udp = { address = \"10.0.0.1\"; }; "
			  "tcp = { address = \"10.0.0.1\"; }; };" });
	ck_assert_ptr_nonnull(node);
	users = dk_harness_service(node, DK_USER_NAME);
	dkc_ctx_opts_default(&co);
	co.random = chance;
	ck_assert_int_eq(dkc_ctx_new(&co, &ctx), 0);
	come(&ann, "ann", tcp ? "10.1.0.1" : "10.1.0.1:5000");
	come(&bob, "bob", tcp ? "10.1.0.2" : "10.1.0.2:5000");
	pass(300);
	ck_assert(dkc_is_connected(ann.client) && dkc_is_connected(bob.client));
	answers(dkc_room_create(ann.client, &o, on_joined, &ann), &ann, "ok");
	answers(dkc_room_join(bob.client, &ann.room, bytes(""), on_joined, &bob), &bob, "ok");
}

static void setup(void)
{
	setup_over(false);
}

static void setup_tcp(void)
{
	setup_over(true);
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

/* ---- the tests ---- */

START_TEST(properties)
{
	const struct dkc_room_prop props[] = { { dk_str_c("team"), bytes("red") }, { dk_str_c("map"), bytes("hill") } };
	const struct dkc_room_prop none = { dk_str_c(""), bytes("x") };
	const dk_str names[] = { dk_str_c("map"), dk_str_c("nothing") };
	struct dkc_client *a = ann.client, *b = bob.client;

	answers(dkc_room_update_props(a, &ann.room, props, 2, true, on_done, &ann), &ann, "ok");
	hears(&ann, "props team=red map=hill\n");
	hears(&bob, "props team=red map=hill\n");
	answers(dkc_room_update_props(b, &ann.room, props, 1, false, on_done, &bob), &bob, "ok");
	answers(dkc_room_get_props(b, &ann.room, names, 2, on_props, &bob), &bob, "ok map=hill");
	answers(dkc_room_get_props(b, &ann.room, NULL, 0, on_props, &bob), &bob, "ok team=red map=hill");
	answers(dkc_room_incr_prop(b, &ann.room, dk_str_c("score"), -3, true, on_sum, &bob), &bob, "ok -3");
	hears(&ann, "counted score=-3\n");
	hears(&bob, "counted score=-3\n");
	answers(dkc_room_incr_prop(b, &ann.room, dk_str_c("map"), 1, true, on_sum, &bob), &bob,
		"no the property is no whole number, or would not be one any more");
	answers(dkc_room_update_props(b, &ann.room, &none, 1, true, on_done, &bob), &bob,
		"no the name of a property has 1 to 255 bytes");
}
END_TEST

START_TEST(states)
{
	struct dkc_client *a = ann.client, *b = bob.client;

	ck_assert_int_eq(dkc_room_set_state(a, &ann.room, bytes("pos"), bytes("1,2"), true, false), 0);
	ck_assert_int_eq(dkc_room_set_state(a, &ann.room, bytes("pos"), bytes("3,4"), true, false), 0);
	pass(8 * DELAY_MS);
	hears(&bob, tcp ? "states! pos=3,4\n" : "states pos=3,4\n");
	hears(&ann, tcp ? "states! pos=3,4\n" : "states pos=3,4\n");
	ck_assert_int_eq(dkc_room_set_state(b, &ann.room, bytes("door"), bytes("open"), false, true), 0);
	pass(8 * DELAY_MS);
	hears(&bob, "states! door=open\n");
	answers(dkc_room_sync_states(b, &ann.room, on_done, &bob), &bob, "ok");
	hears(&bob, "states! pos=3,4 door=open\n");
	answers(dkc_room_incr_state(b, &ann.room, bytes("n"), 5, false, true, on_sum, &bob), &bob, "ok 5");
	answers(dkc_room_incr_state(b, &ann.room, bytes("door"), 5, false, true, on_sum, &bob), &bob,
		"no the state is no number of 8 bytes, or would not be one any more");
	ck_assert_int_eq(dkc_room_set_state(b, &ann.room, bytes("empty"), bytes(""), false, true), 0);
	bob.heard[0] = '\0';
	pass(8 * DELAY_MS);
	hears(&bob, "answer 15 4\n");
	answers(dkc_room_leave(a, &ann.room, bytes(""), on_done, &ann), &ann, "ok");
	hears(&bob, "gone pos\n");
}
END_TEST

START_TEST(objects)
{
	struct dkc_room_field f[] = { { dk_str_c("x"), 1.5 }, { dk_str_c("y"), -2 } };
	static struct dkc_room_field many[UINT16_MAX + 1];
	struct dkc_client *a = ann.client, *b = bob.client;
	const dk_str ball = dk_str_c("ball");

	answers(dkc_room_update_object(a, &ann.room, DKC_ROOM_OBJECT_SET, ball, f, 2, true, on_fields, &ann), &ann,
		"ok x=1.5 y=-2");
	hears(&ann, "object 2 ball x=1.5 y=-2\n");
	hears(&bob, "object 2 ball x=1.5 y=-2\n");
	answers(dkc_room_update_object(b, &ann.room, DKC_ROOM_OBJECT_INCR, ball, f, 1, true, on_fields, &bob), &bob, "ok x=3");
	hears(&ann, "object 2 ball x=3\n");
	bob.heard[0] = '\0';
	answers(dkc_room_sync_objects(b, &ann.room, on_done, &bob), &bob, "ok");
	hears(&bob, "object 2 ball x=3 y=-2\n");
	answers(dkc_room_update_object(b, &ann.room, DKC_ROOM_OBJECT_DELETE, ball, &f[1], 1, true, on_fields, &bob), &bob,
		"ok y=0");
	hears(&ann, "object 3 ball y=0\n");
	answers(dkc_room_update_object(b, &ann.room, DKC_ROOM_OBJECT_DELETE, ball, NULL, 0, true, on_fields, &bob), &bob, "ok");
	hears(&ann, "object 3 ball\n");
	answers(dkc_room_update_object(b, &ann.room, DKC_ROOM_OBJECT_DELETE, ball, NULL, 0, true, on_fields, &bob), &bob,
		"no the room has no such object, or the object no such field");
	for (size_t i = 0; i < DK_ARRAY_LEN(many); i++)
		many[i].name = ball;
	ck_assert_int_eq(
		dkc_room_update_object(b, &ann.room, DKC_ROOM_OBJECT_SET, ball, many, DK_ARRAY_LEN(many), true, on_fields, &bob),
		DKC_TOO_LONG);
}
END_TEST

/* Pushes of anybody's making are read to their end or not at all. */
START_TEST(malformed)
{
	struct dkc_event e = { .kind = DKC_PUSH, .ver = 1 };
	static const uint8_t junk[] = { 2, 0, 1, 'a', 0, 3, 0, 1, 'x', 0, 0, 0, 9, 9, 9, 9, 9, 1 };
	enum dkc_room_object_mode mode;
	struct dkc_room_fields fields;
	struct dkc_room_props props;
	dk_slice rest, key, value;
	int64_t number;
	dk_str name;

	for (size_t n = 0; n <= sizeof(junk); n++) {
		e.payload = dk_slice_n(junk, n);
		e.cmd = 128;
		ck_assert(!dkc_room_object(&e, &mode, &name, &fields));
		e.cmd = 130;
		ck_assert(!dkc_room_props_set(&e, &props));
		e.cmd = 10;
		ck_assert(!dkc_room_counted(&e, &name, &number));
		rest = e.payload;
		while (dkc_room_next_gone(&rest, &key))
			;
		ck_assert(rest.n > 0 || n == 0);
		rest = e.payload;
		while (dkc_room_next_state(&rest, &key, &value))
			ck_assert_uint_le(key.n + value.n, n);
	}
}
END_TEST

static TCase *over(const char *name, void (*start)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, start, teardown);
	tcase_add_test(t, properties);
	tcase_add_test(t, states);
	tcase_add_test(t, objects);
	tcase_add_test(t, malformed);
	return t;
}

int main(void)
{
	Suite *suite = suite_create("kept in rooms");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, over("udp", setup));
	suite_add_tcase(suite, over("tcp", setup_tcp));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
