/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms as data, without users or sending: the rules one by one, then a long random walk that is compared with a model as
 * simple as can be after every step. The node around it is never started; it only owns the memory.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/diarkis.h>

#include "../room_store.h"

static struct dk_env *env;
static struct dk_kernel *kernel;
static struct room_store store;

static void setup(void)
{
	struct dk_boot boot = { .size = sizeof(boot),
				.flags = DK_BOOT_NO_SIGNALS,
				.config_text = "plugins = {};",
				.config_name = "test",
				.env = (const char *const[]){ NULL } };

	env = dk_env_uv();
	ck_assert_ptr_nonnull(env);
	ck_assert_int_eq(dk_kernel_new(env, &boot, &kernel), 0);
	room_store_init(&store, dk_app(kernel), 0);
}

static void teardown(void)
{
	room_store_fini(&store);
	dk_kernel_free(kernel);
	dk_env_free(env);
}

/* Handles of users as the plugin user makes them: only the slot and the whole value matter here. */
static dk_id user_of(uint32_t slot, uint32_t generation)
{
	return (uint64_t)DK_KIND_USER << 56 | (uint64_t)generation << 32 | slot;
}

static dk_str uid_of(uint32_t n)
{
	static char text[64][16];
	char *p = text[n % 64];

	snprintf(p, sizeof(text[0]), "u%u", n);
	return dk_str_c(p);
}

static struct room *add(unsigned n, uint16_t max)
{
	struct dk_id52 id;
	struct room *r;
	char text[64];

	snprintf(text, sizeof(text), "%052u", n);
	memcpy(id.c, text, sizeof(id.c));
	ck_assert_int_eq(room_store_add(&store, &id, max, &r), 0);
	ck_assert_ptr_eq(room_store_find(&store, &id), r);
	return r;
}

START_TEST(seats_are_counted)
{
	struct room *r = add(1, 2);

	ck_assert_int_eq(room_store_join(&store, r, user_of(1, 1), uid_of(1)), 0);
	ck_assert_int_eq(room_store_join(&store, r, user_of(1, 1), uid_of(1)), DK_EXISTS);
	ck_assert_int_eq(room_store_join(&store, r, user_of(2, 1), uid_of(2)), 0);
	ck_assert_int_eq(room_store_join(&store, r, user_of(3, 1), uid_of(3)), DK_ROOM_IS_FULL);
	ck_assert_int_eq(room_store_leave(&store, r, user_of(3, 1)), DK_ROOM_NOT_MEMBER);
	ck_assert_int_eq(room_store_leave(&store, r, user_of(1, 1)), 0);
	ck_assert_int_eq(room_store_join(&store, r, user_of(3, 1), uid_of(3)), 0);
	ck_assert_uint_eq(store.member_n, 2);
}
END_TEST

START_TEST(one_room_at_a_time)
{
	struct room *a = add(1, 4), *b = add(2, 4);

	ck_assert_int_eq(room_store_join(&store, a, user_of(7, 1), uid_of(7)), 0);
	ck_assert_int_eq(room_store_join(&store, b, user_of(7, 1), uid_of(7)), DK_ROOM_IN_ANOTHER);
	ck_assert_uint_eq(room_store_of(&store, user_of(7, 1)), a->handle);
	/* the slot's next user is somebody else */
	ck_assert_uint_eq(room_store_of(&store, user_of(7, 3)), 0);
	ck_assert_uint_eq(room_store_of(&store, user_of(70000, 1)), 0);
	ck_assert_int_eq(room_store_leave(&store, b, user_of(7, 1)), DK_ROOM_NOT_MEMBER);
}
END_TEST

START_TEST(the_longest_member_succeeds)
{
	struct room *r = add(1, 4);

	for (uint32_t i = 1; i <= 3; i++)
		ck_assert_int_eq(room_store_join(&store, r, user_of(i, 1), uid_of(i)), 0);
	ck_assert_uint_eq(r->owner, user_of(1, 1));
	room_store_leave(&store, r, user_of(2, 1));
	ck_assert_uint_eq(r->owner, user_of(1, 1));
	room_store_leave(&store, r, user_of(1, 1));
	ck_assert_uint_eq(r->owner, user_of(3, 1));
	room_store_leave(&store, r, user_of(3, 1));
	ck_assert_uint_eq(r->owner, 0);
	room_store_join(&store, r, user_of(2, 1), uid_of(2));
	ck_assert_uint_eq(r->owner, user_of(2, 1));
}
END_TEST

START_TEST(reservations)
{
	struct room *r = add(1, 3);
	dk_str two[] = { dk_str_c("ann"), dk_str_c("bob") }, twice[] = { dk_str_c("eve"), dk_str_c("eve") };
	dk_str mixed[] = { dk_str_c("ann"), dk_str_c("nobody") };

	ck_assert_int_eq(room_store_reserve(&store, r, two, 2), 0);
	ck_assert_int_eq(room_store_reserve(&store, r, two, 2), 0);
	ck_assert_uint_eq(r->reserved_n, 2);
	ck_assert_int_eq(room_store_join(&store, r, user_of(1, 1), dk_str_c("eve")), 0);
	ck_assert_int_eq(room_store_join(&store, r, user_of(2, 1), dk_str_c("dan")), DK_ROOM_IS_FULL);
	ck_assert_int_eq(room_store_join(&store, r, user_of(3, 1), dk_str_c("bob")), 0);
	ck_assert(!room_store_is_reserved(r, dk_str_c("bob")));
	ck_assert(room_store_is_reserved(r, dk_str_c("ann")));

	/* all or nothing */
	ck_assert_int_eq(room_store_cancel(&store, r, mixed, 2), DK_ROOM_NO_RESERVATION);
	ck_assert_uint_eq(r->reserved_n, 1);
	ck_assert_int_eq(room_store_cancel(&store, r, mixed, 1), 0);
	ck_assert_int_eq(room_store_reserve(&store, r, two, 2), DK_ROOM_IS_FULL);
	ck_assert_uint_eq(r->reserved_n, 0);
	ck_assert_int_eq(room_store_reserve(&store, r, twice, 2), 0);
	ck_assert_uint_eq(r->reserved_n, 1);
	ck_assert_int_eq(room_store_cancel(&store, r, twice, 2), 0);
	ck_assert_uint_eq(r->reserved_n, 0);
}
END_TEST

START_TEST(seats_for_those_on_their_way)
{
	struct room *r = add(1, 3);
	dk_str ann = dk_str_c("ann"), bob = dk_str_c("bob");

	ck_assert_int_eq(room_store_join(&store, r, user_of(1, 1), uid_of(1)), 0);
	ck_assert_int_eq(room_store_reserve(&store, r, &ann, 1), 0);
	/* the seat that is reserved, and the last one */
	ck_assert_int_eq(room_store_hold(&store, r, ann), 0);
	ck_assert_int_eq(room_store_hold(&store, r, ann), 0);
	ck_assert_int_eq(room_store_hold(&store, r, bob), 0);
	ck_assert_uint_eq(r->reserved_n, 2);
	ck_assert_int_eq(room_store_hold(&store, r, uid_of(9)), DK_ROOM_IS_FULL);
	ck_assert_int_eq(room_store_join(&store, r, user_of(9, 1), uid_of(9)), DK_ROOM_IS_FULL);
	ck_assert(!room_store_is_reserved(r, bob));
	ck_assert_int_eq(room_store_cancel(&store, r, &bob, 1), DK_ROOM_NO_RESERVATION);

	/* who does not come leaves the reservation, and nothing else */
	room_store_unhold(&store, r, ann);
	room_store_unhold(&store, r, bob);
	room_store_unhold(&store, r, bob);
	ck_assert_uint_eq(r->reserved_n, 1);
	ck_assert(room_store_is_reserved(r, ann));

	/* a seat that is held can be reserved, and lives on as that */
	ck_assert_int_eq(room_store_hold(&store, r, bob), 0);
	ck_assert_int_eq(room_store_reserve(&store, r, &bob, 1), 0);
	room_store_unhold(&store, r, bob);
	ck_assert(room_store_is_reserved(r, bob));
	ck_assert_int_eq(room_store_hold(&store, r, bob), 0);
	ck_assert_int_eq(room_store_cancel(&store, r, &bob, 1), 0);
	ck_assert_uint_eq(r->reserved_n, 2);
	ck_assert_int_eq(room_store_join(&store, r, user_of(2, 1), bob), 0);
	ck_assert_uint_eq(r->reserved_n, 1);
	ck_assert_uint_eq(r->member_n, 2);
}
END_TEST

/* ---- a random walk beside a model ---- */

enum { USERS = 40, ROOMS = 6, STEPS = 60000 };

struct model_room {
	struct room *r;
	uint32_t members[USERS]; /* in order of joining */
	unsigned n, max;
	bool reserved[USERS];
	uint32_t owner; /* USERS = nobody */
};

static uint64_t rng;

static uint32_t chance(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % below;
}

static unsigned reserved_count(const struct model_room *m)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < USERS; i++)
		n += m->reserved[i];
	return n;
}

static void model_leave(struct model_room *m, uint32_t user)
{
	unsigned i = 0;

	while (m->members[i] != user)
		i++;
	m->n--;
	for (; i < m->n; i++)
		m->members[i] = m->members[i + 1];
	if (m->owner == user)
		m->owner = m->n ? m->members[0] : USERS;
}

/* What is wrong, or NULL. (An assertion of Check is a system call: too slow for each of these.) */
static const char *compare(const struct model_room *m, const uint32_t *in, const uint32_t *generation)
{
	const struct room *r = m->r;

	if (r->member_n != m->n || r->reserved_n != reserved_count(m))
		return "counts differ";
	if (r->member_n + r->reserved_n > m->max)
		return "more seats taken and kept than there are";
	if (r->owner != (m->owner == USERS ? 0 : user_of(m->owner, generation[m->owner])))
		return "another owner";
	for (unsigned i = 0; i < m->n; i++) {
		uint32_t u = m->members[i];

		if (r->members[i] != user_of(u, generation[u]))
			return "another order of members";
		if (room_store_of(&store, user_of(u, generation[u])) != r->handle)
			return "a member that is not found by its user";
		if (room_store_of(&store, user_of(u, generation[u] + 2)))
			return "a member that is found by a stranger";
	}
	for (uint32_t u = 0; u < USERS; u++) {
		if (room_store_is_reserved(r, uid_of(u)) != m->reserved[u])
			return "another set of reservations";
		if (in[u] == ROOMS && room_store_of(&store, user_of(u, generation[u])))
			return "somebody who left still sits";
	}
	return NULL;
}

/* An assertion that costs nothing while it holds. */
static void expect(int got, int want, const char *what)
{
	if (got != want)
		ck_abort_msg("%s: %d, expected %d", what, got, want);
}

static void step_join(struct model_room *rooms, uint32_t room, uint32_t u, uint32_t *in, const uint32_t *generation)
{
	struct model_room *m = &rooms[room];
	int rc = room_store_join(&store, m->r, user_of(u, generation[u]), uid_of(u)), want = 0;

	if (in[u] != ROOMS)
		want = in[u] == room ? DK_EXISTS : DK_ROOM_IN_ANOTHER;
	else if (!m->reserved[u] && m->n + reserved_count(m) >= m->max)
		want = DK_ROOM_IS_FULL;
	expect(rc, want, "join");
	if (want)
		return;
	m->reserved[u] = false;
	if (!m->n)
		m->owner = u;
	m->members[m->n++] = u;
	in[u] = room;
}

static void step_leave(struct model_room *rooms, uint32_t room, uint32_t u, uint32_t *in, uint32_t *generation)
{
	int rc = room_store_leave(&store, rooms[room].r, user_of(u, generation[u]));

	expect(rc, in[u] == room ? 0 : DK_ROOM_NOT_MEMBER, "leave");
	if (rc == 0) {
		model_leave(&rooms[room], u);
		in[u] = ROOMS;
		if (chance(4) == 0)
			generation[u] += 2; /* somebody new gets the slot */
	}
}

static void step_reserve(struct model_room *m, bool cancel)
{
	uint32_t users[4];
	dk_str uids[4];
	size_t n = 1 + chance(4);
	unsigned fresh = 0, missing = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		bool listed = false;

		users[i] = chance(USERS);
		uids[i] = uid_of(users[i]);
		for (size_t j = 0; j < i; j++)
			listed = listed || users[j] == users[i];
		fresh += !listed && !m->reserved[users[i]];
		missing += !m->reserved[users[i]];
	}
	if (cancel) {
		rc = room_store_cancel(&store, m->r, uids, n);
		expect(rc, missing ? DK_ROOM_NO_RESERVATION : 0, "cancel");
	} else {
		rc = room_store_reserve(&store, m->r, uids, n);
		expect(rc, m->n + reserved_count(m) + fresh > m->max ? DK_ROOM_IS_FULL : 0, "reserve");
	}
	for (size_t i = 0; rc == 0 && i < n; i++)
		m->reserved[users[i]] = !cancel;
}

START_TEST(random_walk)
{
	struct model_room rooms[ROOMS] = { 0 };
	uint32_t in[USERS], generation[USERS];
	unsigned made = 0;
	const char *wrong;

	rng = 0x9e3779b97f4a7c15u + (uint64_t)_i;
	for (uint32_t u = 0; u < USERS; u++) {
		in[u] = ROOMS;
		generation[u] = 1;
	}
	for (unsigned step = 0; step < STEPS; step++) {
		uint32_t at = chance(ROOMS), u = chance(USERS);
		struct model_room *m = &rooms[at];

		if (!m->r) {
			m->max = 2 + chance(12);
			m->owner = USERS;
			m->r = add(made++, (uint16_t)m->max);
			continue;
		}
		switch (chance(10)) {
		case 0:
			step_reserve(m, false);
			break;
		case 1:
			step_reserve(m, true);
			break;
		case 2:
		case 3:
		case 4:
			step_leave(rooms, at, u, in, generation);
			break;
		case 5:
			if (!m->n && chance(8) == 0) {
				dk_id gone = m->r->handle;

				room_store_remove(&store, m->r);
				ck_assert_ptr_null(room_store_get(&store, gone));
				*m = (struct model_room){ 0 };
				continue;
			}
			/* fall through */
		default:
			step_join(rooms, at, u, in, generation);
			break;
		}
		wrong = compare(m, in, generation);
		if (wrong)
			ck_abort_msg("step %u: %s", step, wrong);
	}
	for (uint32_t at = 0; at < ROOMS; at++)
		while (rooms[at].r && rooms[at].n)
			step_leave(rooms, at, rooms[at].members[0], in, generation);
	ck_assert_uint_eq(store.member_n, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room_store");
	TCase *rules = tcase_create("rules"), *walk = tcase_create("walk");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(rules, setup, teardown);
	tcase_add_test(rules, seats_are_counted);
	tcase_add_test(rules, one_room_at_a_time);
	tcase_add_test(rules, the_longest_member_succeeds);
	tcase_add_test(rules, reservations);
	tcase_add_test(rules, seats_for_those_on_their_way);
	suite_add_tcase(suite, rules);
	tcase_add_checked_fixture(walk, setup, teardown);
	tcase_set_timeout(walk, 60);
	tcase_add_loop_test(walk, random_walk, 0, 5);
	suite_add_tcase(suite, walk);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
