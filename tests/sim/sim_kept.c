/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a game keeps in a room, by the client library's typed calls, against a real node in the simulated world: properties,
 * states, objects; once with both players on UDP, once with both on TCP. Each call, its answer, and what is heard of it.
 */
#include <diarkis/client_room_data.h>

#include <check.h>
#include <stdlib.h>

#include "pair.h"

enum { WAIT_MS = 80 };

static bool tcp;

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

static void on_event(struct player *p, const struct dkc_event *e)
{
	enum dkc_room_object_mode mode;
	struct dkc_room_fields fields;
	struct dkc_room_props props;
	dk_slice rest = e->payload, key, value;
	int64_t number;
	dk_str name;

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

/* ---- answers ---- */

static void on_joined(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	uint32_t created;

	on_done(arg, c, r);
	ck_assert(dkc_room_joined(r, &p->id, &created));
}

static void on_props(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dkc_room_props list;

	on_done(arg, c, r);
	if (dkc_room_props(r, &list))
		note_props(p->answer, sizeof(p->answer), list);
}

static void on_sum(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	int64_t sum;

	on_done(arg, c, r);
	if (dkc_room_sum(r, &sum))
		ANSWER(p, " %lld", (long long)sum);
}

static void on_fields(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	struct player *p = arg;
	struct dkc_room_fields list;

	on_done(arg, c, r);
	if (dkc_room_fields(r, &list))
		note_fields(p->answer, sizeof(p->answer), list);
}

static void setup_over(bool stream)
{
	const struct dkc_room_opts o = { .max_members = 4, .join = true, .ttl_s = 30 };
	tcp = stream;
	pair_open(
		&(const struct pair_opts){
			.plugins = "room = { state_interval_ms = 17; };", .delay_ms = 10, .answer_ms = WAIT_MS, .event = on_event },
		stream, stream);
	answers(dkc_room_create(ann.client, &o, on_joined, &ann), &ann, "ok");
	answers(dkc_room_join(bob.client, &ann.id, bytes(""), on_joined, &bob), &bob, "ok");
}

static void setup(void)
{
	setup_over(false);
}

static void setup_tcp(void)
{
	setup_over(true);
}

/* ---- the tests ---- */

START_TEST(properties)
{
	const struct dkc_room_prop props[] = { { dk_str_c("team"), bytes("red") }, { dk_str_c("map"), bytes("hill") } };
	const struct dkc_room_prop none = { dk_str_c(""), bytes("x") };
	const dk_str names[] = { dk_str_c("map"), dk_str_c("nothing") };
	struct dkc_client *a = ann.client, *b = bob.client;

	answers(dkc_room_update_props(a, &ann.id, props, 2, true, on_done, &ann), &ann, "ok");
	hears(&ann, "props team=red map=hill\n");
	hears(&bob, "props team=red map=hill\n");
	answers(dkc_room_update_props(b, &ann.id, props, 1, false, on_done, &bob), &bob, "ok");
	answers(dkc_room_get_props(b, &ann.id, names, 2, on_props, &bob), &bob, "ok map=hill");
	answers(dkc_room_get_props(b, &ann.id, NULL, 0, on_props, &bob), &bob, "ok team=red map=hill");
	answers(dkc_room_incr_prop(b, &ann.id, dk_str_c("score"), -3, true, on_sum, &bob), &bob, "ok -3");
	hears(&ann, "counted score=-3\n");
	hears(&bob, "counted score=-3\n");
	answers(dkc_room_incr_prop(b, &ann.id, dk_str_c("map"), 1, true, on_sum, &bob), &bob,
		"no the property is no whole number, or would not be one any more");
	answers(dkc_room_update_props(b, &ann.id, &none, 1, true, on_done, &bob), &bob,
		"no the name of a property has 1 to 255 bytes");
}
END_TEST

START_TEST(states)
{
	struct dkc_client *a = ann.client, *b = bob.client;

	ck_assert_int_eq(dkc_room_set_state(a, &ann.id, bytes("pos"), bytes("1,2"), true, false), 0);
	ck_assert_int_eq(dkc_room_set_state(a, &ann.id, bytes("pos"), bytes("3,4"), true, false), 0);
	pass(WAIT_MS);
	hears(&bob, tcp ? "states! pos=3,4\n" : "states pos=3,4\n");
	hears(&ann, tcp ? "states! pos=3,4\n" : "states pos=3,4\n");
	ck_assert_int_eq(dkc_room_set_state(b, &ann.id, bytes("door"), bytes("open"), false, true), 0);
	pass(WAIT_MS);
	hears(&bob, "states! door=open\n");
	answers(dkc_room_sync_states(b, &ann.id, on_done, &bob), &bob, "ok");
	hears(&bob, "states! pos=3,4 door=open\n");
	answers(dkc_room_incr_state(b, &ann.id, bytes("n"), 5, false, true, on_sum, &bob), &bob, "ok 5");
	answers(dkc_room_incr_state(b, &ann.id, bytes("door"), 5, false, true, on_sum, &bob), &bob,
		"no the state is no number of 8 bytes, or would not be one any more");
	ck_assert_int_eq(dkc_room_set_state(b, &ann.id, bytes("empty"), bytes(""), false, true), 0);
	forget(&bob);
	pass(WAIT_MS);
	hears(&bob, "answer 15 4\n");
	answers(dkc_room_leave(a, &ann.id, bytes(""), on_done, &ann), &ann, "ok");
	hears(&bob, "gone pos\n");
}
END_TEST

START_TEST(objects)
{
	struct dkc_room_field f[] = { { dk_str_c("x"), 1.5 }, { dk_str_c("y"), -2 } };
	static struct dkc_room_field many[UINT16_MAX + 1];
	struct dkc_client *a = ann.client, *b = bob.client;
	const dk_str ball = dk_str_c("ball");

	answers(dkc_room_update_object(a, &ann.id, DKC_ROOM_OBJECT_SET, ball, f, 2, true, on_fields, &ann), &ann, "ok x=1.5 y=-2");
	hears(&ann, "object 2 ball x=1.5 y=-2\n");
	hears(&bob, "object 2 ball x=1.5 y=-2\n");
	answers(dkc_room_update_object(b, &ann.id, DKC_ROOM_OBJECT_INCR, ball, f, 1, true, on_fields, &bob), &bob, "ok x=3");
	hears(&ann, "object 2 ball x=3\n");
	forget(&bob);
	answers(dkc_room_sync_objects(b, &ann.id, on_done, &bob), &bob, "ok");
	hears(&bob, "object 2 ball x=3 y=-2\n");
	answers(dkc_room_update_object(b, &ann.id, DKC_ROOM_OBJECT_DELETE, ball, &f[1], 1, true, on_fields, &bob), &bob, "ok y=0");
	hears(&ann, "object 3 ball y=0\n");
	answers(dkc_room_update_object(b, &ann.id, DKC_ROOM_OBJECT_DELETE, ball, NULL, 0, true, on_fields, &bob), &bob, "ok");
	hears(&ann, "object 3 ball\n");
	answers(dkc_room_update_object(b, &ann.id, DKC_ROOM_OBJECT_DELETE, ball, NULL, 0, true, on_fields, &bob), &bob,
		"no the room has no such object, or the object no such field");
	for (size_t i = 0; i < DK_ARRAY_LEN(many); i++)
		many[i].name = ball;
	ck_assert_int_eq(
		dkc_room_update_object(b, &ann.id, DKC_ROOM_OBJECT_SET, ball, many, DK_ARRAY_LEN(many), true, on_fields, &bob),
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

	tcase_add_checked_fixture(t, start, pair_close);
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
