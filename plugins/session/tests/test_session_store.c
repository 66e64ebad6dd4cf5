/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of sessions without messages: ids, members against a model, owners, seats, which node has how many; seats of users, by
 * user, type, token and session.
 */
#include "plugins/session/session_seats.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/diarkis.h>
#include <diarkis/test.h>

/* A plugin to have a self. */
struct own {
	struct dk_self base;
};
DK_PLUGIN(own) = { DK_PLUGIN_HEAD("own", "1", "the test's own"), .self_size = sizeof(struct own) };

static struct dk_harness *h;
static void *self;

static void setup(void)
{
	h = dk_harness_new("plugins = { own = {}; };", 1, &dk_plugin_own);
	ck_assert_ptr_nonnull(h);
	self = dk_plugin_state(dk_harness_kernel(h), "own");
}

static void teardown(void)
{
	ck_assert_int_eq(dk_harness_free(h), 0);
}

static const struct dk_addr nodes[] = { { .ip = { 10, 0, 0, 1 }, .port = 1, .family = 4 },
					{ .ip = { 10, 0, 0, 2 }, .port = 1, .family = 4 },
					{ .ip = { 10, 0, 0, 3 }, .port = 1, .family = 4 } };

START_TEST(ids)
{
	struct dk_session_id a, b;
	struct dk_addr addr;
	char text[DK_SESSION_ID_LEN];

	ck_assert_int_eq(session_id_new(self, &a), 0);
	ck_assert_int_eq(session_id_new(self, &b), 0);
	ck_assert(!session_id_eq(&a, &b));
	ck_assert(session_id_ok(session_id_text(&a), &b) && session_id_eq(&a, &b));
	ck_assert(a.c[14] == '4' && strchr("89ab", a.c[19]));
	memcpy(a.c + 36, "0a0000021f40", 12);
	ck_assert(session_id_addr(&a, &addr));
	ck_assert_uint_eq(addr.ip[3], 2);
	ck_assert_uint_eq(addr.port, 8000);
	memset(a.c + 36, '0', 12);
	ck_assert(!session_id_addr(&a, &addr));
	for (size_t i = 0; i < DK_SESSION_ID_LEN; i++) {
		memcpy(text, b.c, sizeof(text));
		text[i] = text[i] == '-' ? 'a' : 'G';
		ck_assert(!session_id_ok(dk_str_n(text, sizeof(text)), &a));
	}
	ck_assert(!session_id_ok(dk_str_n(b.c, DK_SESSION_ID_LEN - 1), &a));
}
END_TEST

/* ---- members as the model has them ---- */

enum { UIDS = 40, MAX = 17 };

START_TEST(members_as_the_model)
{
	static const uint8_t sid[16] = { 1 };
	struct dk_env *chance = dk_env_sim(7);
	struct session_store st;
	struct session *ss;
	struct dk_session_id id;
	unsigned order[MAX], n = 0, at[UIDS], steps;
	char uid[8];

	session_store_init(&st, self, 2);
	ck_assert_int_eq(session_id_new(self, &id), 0);
	ck_assert_int_eq(session_store_add(&st, &id, 3, MAX, &ss), 0);
	ck_assert_ptr_eq(session_store_find(&st, &id), ss);
	for (steps = 0; steps < 20000; steps++) {
		unsigned u = (unsigned)(dk_sim_chance(chance) % UIDS), node = (unsigned)(dk_sim_chance(chance) % 3), i = 0;
		struct session_member *m;
		unsigned there[3] = { 0 };

		snprintf(uid, sizeof(uid), "u%u", u);
		m = session_member_find(&st, ss, dk_str_c(uid));
		while (i < n && order[i] != u)
			i++;
		ck_assert_int_eq(m != NULL, i < n);
		if (!m) {
			int rc = session_member_add(&st, ss, dk_str_c(uid), steps + 1, sid, &nodes[node], &m);

			ck_assert_int_eq(rc, n == MAX ? DK_SESSION_IS_FULL : 0);
			if (rc == 0) {
				order[n++] = u;
				at[u] = node;
			}
		} else if (dk_sim_chance(chance) % 3) {
			ck_assert_int_eq(session_member_move(&st, ss, m, &nodes[node]), 0);
			at[u] = node;
		} else {
			bool owned = i == 0;

			ck_assert_int_eq(session_member_remove(&st, ss, m), owned);
			n--;
			memmove(order + i, order + i + 1, (n - i) * sizeof(*order));
		}
		ck_assert_uint_eq(ss->n, n);
		ck_assert_uint_eq(st.member_n, n);
		ck_assert_int_eq(ss->owner != NULL, n > 0);
		snprintf(uid, sizeof(uid), "u%u", n ? order[0] : 0);
		ck_assert(!n || dk_str_eq(session_owner_uid(ss), dk_str_c(uid)));
		for (i = 0; i < n; i++)
			there[at[order[i]]]++;
		for (i = 0; i < 3; i++) {
			const struct session_spot *spot = session_spot_find(ss, &nodes[i]);
			uint64_t mix = 0;

			ck_assert_uint_eq(spot ? spot->n : 0, there[i]);
			for (uint32_t k = 0; spot && k < ss->n; k++)
				if (&ss->spots[ss->places[k].m->spot] == spot)
					mix += session_mix(ss->places[k].m->token);
			ck_assert(!spot || spot->mix == mix);
		}
	}
	session_store_fini(&st);
	dk_env_free(chance);
}
END_TEST

START_TEST(as_many_as_may_be)
{
	struct session_store st;
	struct dk_session_id id;
	struct session *ss;

	session_store_init(&st, self, 2);
	for (unsigned i = 0; i < 3; i++) {
		session_id_new(self, &id);
		ck_assert_int_eq(session_store_add(&st, &id, 3, 2, &ss), i < 2 ? 0 : DK_FULL);
	}
	session_store_fini(&st);
}
END_TEST

/* ---- seats ---- */

START_TEST(seats)
{
	struct session_seats t;
	struct session_seat *a, *b, *c;
	struct dk_session_id x, y;
	dk_id ann = 0x0300000100000005u, bob = 0x0300000100000999u;

	session_seats_init(&t, self);
	session_id_new(self, &x);
	session_id_new(self, &y);
	ck_assert_int_eq(session_seat_add(&t, ann, 9, &x, &nodes[0], 1, SEAT_IN, &a), 0);
	ck_assert_int_eq(session_seat_add(&t, ann, 2, &y, &nodes[1], 2, SEAT_JOINING, &b), 0);
	ck_assert_int_eq(session_seat_add(&t, bob, 9, &x, &nodes[2], 3, SEAT_IN, &c), 0);
	ck_assert_ptr_eq(a->known, c->known);
	ck_assert_ptr_ne(a->known, b->known);
	ck_assert(dk_addr_eq(&a->known->home, &nodes[0])); /* as it was known before */
	ck_assert_ptr_eq(session_seat_first(&t, ann), b); /* by type */
	ck_assert_ptr_eq(session_seat_of(&t, ann, 9), a);
	ck_assert_ptr_null(session_seat_of(&t, bob, 2));
	ck_assert_ptr_null(session_seat_of(&t, ann + (1ull << 32), 9)); /* another user in that slot */
	ck_assert_ptr_eq(session_seat_by_token(a->known, 3), c);
	ck_assert_uint_eq(a->known->n, 2);
	ck_assert(a->known->mix == session_mix(1) + session_mix(3));
	ck_assert_uint_eq(b->known->n, 0);
	session_seat_state(b, SEAT_IN);
	ck_assert_uint_eq(b->known->n, 1);
	session_seat_go_away(&t, a);
	ck_assert_ptr_null(session_seat_of(&t, ann, 9));
	ck_assert_uint_eq(c->known->n, 1);
	ck_assert(c->known->mix == session_mix(3));
	ck_assert_ptr_eq(session_seat_by_token(c->known, 1), a);
	session_seat_remove(&t, a);
	session_seat_remove(&t, c);
	ck_assert_ptr_null(session_known_find(&t, &x));
	ck_assert_ptr_nonnull(session_known_find(&t, &y));
	ck_assert_uint_eq(t.seat_n, 1);
	session_seats_fini(&t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_store");
	TCase *t = tcase_create("data");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, ids);
	tcase_add_test(t, members_as_the_model);
	tcase_add_test(t, as_many_as_may_be);
	tcase_add_test(t, seats);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
