/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept in a room while the room moves about and its nodes die: real nodes, links with loss, and clients in the simulator.
 * A player counts a property, an object's field and a state up, one by one; whatever happens, none of them is ever ahead of what
 * was asked for, and a move loses nothing. A node that dies loses at most what its copy had not been told.
 */
#include <check.h>
#include <stdio.h>

#include <diarkis/client_room_data.h>

#include "tests/sim/town.h"

enum { NODES = 3, SIZE = 2, ROUNDS = 60 };

struct counts {
	int64_t prop, state;
	double field;
};

static unsigned answers, refusals;

static void on_answer(void *arg, struct dkc_client *c, const struct dkc_reply *reply)
{
	(void)arg;
	(void)c;
	answers++;
	refusals += !dkc_ok(reply);
}

static dk_id room_at(const struct town *t, unsigned node)
{
	struct dk_room *rooms = t->node[node].rooms;

	return rooms->find(rooms, &t->player[0].id);
}

static struct counts look(struct town *t)
{
	struct counts n = { -1, -1, -1 };
	unsigned node = town_owner(t, 0);
	struct dk_room *rooms;
	struct dk_value v;
	struct dk_cursor c;
	dk_slice state;
	dk_id room;

	ck_assert_msg(node && node < TOWN_NODES, "the room has no owner, or several");
	rooms = t->node[node].rooms;
	room = room_at(t, node);
	if (rooms->get(rooms, room, dk_str_c("n"), &v) == 0)
		n.prop = v.as.i;
	rooms->get_field(rooms, room, dk_str_c("o"), dk_str_c("n"), &n.field);
	if (rooms->get_state(rooms, room, dk_slice_n("n", 1), &state) == 0) {
		c = dk_cursor_of(state);
		n.state = (int64_t)dk_rd_u64(&c);
	}
	return n;
}

static struct town *start(uint64_t seed, double loss)
{
	struct town_opts o = { .seed = seed, .nodes = NODES, .rooms = 1, .room_size = SIZE, .grace_s = 10, .replicas = 1 };
	struct dk_sim_link l = { .loss = loss, .delay_ms = 5, .jitter_ms = 5 };
	struct dk_room_states_opts states = { .interval_ms = 50 };
	struct town *t = town_new(&o);
	struct dk_room *rooms;

	t->lossy = loss > 0;
	dk_sim_link(t->world, NULL, NULL, &l);
	rooms = t->node[town_owner(t, 0)].rooms;
	ck_assert_int_eq(rooms->enable_states(rooms, room_at(t, town_owner(t, 0)), &states), 0);
	answers = refusals = 0;
	return t;
}

static void count_up(struct town *t)
{
	const struct dkc_room_field one = { dk_str_c("n"), 1 };
	struct town_player *p = &t->player[1];

	dkc_room_incr_prop(p->client, &p->id, dk_str_c("n"), 1, false, on_answer, NULL);
	dkc_room_update_object(p->client, &p->id, DKC_ROOM_OBJECT_INCR, dk_str_c("o"), &one, 1, true, on_answer, NULL);
	dkc_room_incr_state(p->client, &p->id, dk_slice_n("n", 1), 1, false, true, on_answer, NULL);
}

START_TEST(moves)
{
	struct town *t = start((uint64_t)_i + 1, _i ? 0.05 : 0);
	unsigned first = town_owner(t, 0), moved = 0, last = first;
	struct counts n;

	for (unsigned i = 0; i < ROUNDS; i++) {
		count_up(t);
		if (i % 20 == 5)
			dkc_room_migrate(t->player[0].client, on_answer, NULL);
		town_run(t, 100);
		moved += town_owner(t, 0) != last && town_owner(t, 0) < TOWN_NODES;
		last = town_owner(t, 0) < TOWN_NODES ? town_owner(t, 0) : last;
	}
	town_run(t, 8000);
	ck_assert_msg(!*t->trouble, "%s", t->trouble);
	ck_assert_uint_ge(moved, 2);
	n = look(t);
	/* each once: what was held for the move is said over there */
	ck_assert_int_eq(n.prop, ROUNDS);
	ck_assert_int_eq(n.state, ROUNDS);
	ck_assert(n.field == ROUNDS);
	ck_assert_uint_eq(refusals, 0);
	ck_assert_int_eq(town_free(t), 0);
}
END_TEST

START_TEST(dies)
{
	struct town *t = start((uint64_t)_i + 11, 0);
	struct counts before, after;

	for (unsigned i = 0; i < ROUNDS; i++) {
		count_up(t);
		town_run(t, 50);
	}
	town_run(t, 1000); /* all is said, and told to the copy */
	before = look(t);
	ck_assert_int_eq(before.prop, ROUNDS);
	count_up(t); /* may be lost with the node */
	town_run(t, 8);
	town_kill(t, town_owner(t, 0));
	town_run(t, 12000);
	ck_assert_msg(!*t->trouble, "%s", t->trouble);
	after = look(t);
	ck_assert_int_ge(after.prop, ROUNDS);
	ck_assert_int_le(after.prop, ROUNDS + 1);
	ck_assert_int_ge(after.state, ROUNDS);
	ck_assert_int_le(after.state, ROUNDS + 1);
	ck_assert(after.field >= ROUNDS && after.field <= ROUNDS + 1);
	/* and on it goes, states too */
	before = after;
	count_up(t);
	town_run(t, 500);
	after = look(t);
	ck_assert_int_eq(after.prop, before.prop + 1);
	ck_assert_int_eq(after.state, before.state + 1);
	ck_assert(after.field == before.field + 1);
	ck_assert_int_eq(town_free(t), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_kept_moves");
	TCase *t = tcase_create("kept");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, moves, 0, 3);
	tcase_add_loop_test(t, dies, 0, 3);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
