/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions over the real mesh: MARS, three nodes with all that makes them a cluster, and players who are real clients, in the
 * simulator. They sit in rooms of different nodes and in one session; rooms move, and the node that is the session's home is
 * drained. Whatever anybody says is heard by everybody once.
 */
#include <diarkis/client_session.h>
#include <diarkis/session.h>

#include <check.h>
#include <stdio.h>

#include "tests/sim/town.h"

enum { NODES = 3, ROOMS = 2, SIZE = 3, PLAYERS = ROOMS * SIZE, ROUNDS = 80, TYPE = 1 };

static char the_id[DK_SESSION_ID_LEN + 1];
static unsigned in, ends;
static uint8_t heard[PLAYERS][PLAYERS][ROUNDS]; /* by whom, of whom, which */

static void on_event(struct town_player *p, const struct dkc_event *event)
{
	struct dkc_session_event e;
	struct dk_cursor c;
	uint8_t who, which;

	switch (dkc_session_event(event, &e)) {
	case DKC_SESSION_BROADCAST:
		c = dk_cursor_of(e.message);
		who = dk_rd_u8(&c);
		which = dk_rd_u8(&c);
		ck_assert(dk_rd_done(&c) && who < PLAYERS && which < ROUNDS);
		heard[p->index][who][which]++;
		break;
	case DKC_SESSION_ENDED:
	case DKC_SESSION_KICKED:
		ends++;
		break;
	default:
		break;
	}
}

static void on_in(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	uint8_t type;
	dk_str id;

	(void)arg;
	(void)c;
	ck_assert(dkc_session_id(r, &type, &id) && id.n == DK_SESSION_ID_LEN);
	memcpy(the_id, id.p, DK_SESSION_ID_LEN);
	in++;
}

static void on_migrated(void *arg, struct dkc_client *c, const struct dkc_reply *r)
{
	(void)arg;
	(void)c;
	(void)r;
}

/* The node where the session lives: its number; 0 = none. */
static unsigned home(struct town *t)
{
	struct dk_session_id id;

	memcpy(id.c, the_id, sizeof(id.c));
	for (unsigned i = 1; i < t->node_n; i++) {
		struct dk_session *svc = t->node[i].h ? dk_harness_service(t->node[i].h, DK_SESSION_NAME) : NULL;

		if (svc && svc->find(svc, &id))
			return i;
	}
	return 0;
}

static struct town *begin(uint64_t seed, double loss)
{
	struct town_opts o = { .seed = seed, .nodes = NODES, .rooms = ROOMS, .room_size = SIZE, .grace_s = 10 };
	struct dk_sim_link l = { .loss = loss, .delay_ms = 5, .jitter_ms = 5 };
	struct town *t;

	o.more = "session = { };";
	o.event = on_event;
	t = town_new(&o);
	t->lossy = loss > 0;
	dk_sim_link(t->world, NULL, NULL, &l);
	memset(heard, 0, sizeof(heard));
	in = ends = 0;
	ck_assert_int_eq(dkc_session_create(t->player[0].client, TYPE, PLAYERS, 60, on_in, NULL), 0);
	town_run(t, 500);
	for (unsigned i = 1; i < PLAYERS; i++)
		ck_assert_int_eq(dkc_session_join(t->player[i].client, TYPE, dk_str_c(the_id), on_in, NULL), 0);
	town_run(t, 1000);
	ck_assert_uint_eq(in, PLAYERS);
	return t;
}

START_TEST(everybody_hears_all_once)
{
	struct town *t = begin((uint64_t)_i + 1, _i == 2 ? 0.02 : 0);
	unsigned first = home(t);

	ck_assert_uint_gt(first, 0);
	for (uint8_t round = 0; round < ROUNDS; round++) {
		for (uint8_t i = 0; i < PLAYERS; i++)
			ck_assert_int_eq(dkc_session_broadcast(t->player[i].client, TYPE, dk_slice_n((uint8_t[]){ i, round }, 2)),
					 0);
		if (round % 20 == 5)
			dkc_room_migrate(t->player[round % 40 == 5 ? 0 : SIZE].client, on_migrated, NULL);
		if (round == 40)
			town_drain(t, first);
		town_run(t, 60);
	}
	town_run(t, 8000);
	ck_assert_msg(!*t->trouble, "%s", t->trouble);
	ck_assert(home(t) && home(t) != first);
	ck_assert_uint_eq(ends, 0);
	for (unsigned i = 0; i < PLAYERS; i++)
		for (unsigned k = 0; k < PLAYERS; k++)
			for (unsigned round = 0; round < ROUNDS; round++)
				ck_assert_msg(heard[i][k][round] == 1, "%u heard %u of %u %u times", i, round, k,
					      heard[i][k][round]);
	ck_assert_int_eq(town_free(t), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim_session_moves");
	TCase *t = tcase_create("moves");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, everybody_hears_all_once, 0, 3);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
