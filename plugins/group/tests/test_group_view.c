/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who takes part, as data: whatever order entries are heard in, and however often, views become equal; nobody but a node itself
 * changes its entry; and no bytes of others break anything.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include <diarkis/diarkis.h>

#include "../group_view.h"

static struct dk_env *env;
static struct dk_kernel *kernel;
static void *self;

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
	self = dk_app(kernel);
}

static void teardown(void)
{
	dk_kernel_free(kernel);
	dk_env_free(env);
}

static struct dk_addr addr(unsigned i)
{
	return (struct dk_addr){ .ip = { 10, 0, 0, (uint8_t)i }, .port = 8000, .family = 4 };
}

static struct group_entry entry(unsigned i, uint64_t boot, uint64_t version, uint32_t members, uint8_t flags)
{
	return (struct group_entry){ .addr = addr(i), .boot = boot, .version = version, .members = members, .flags = flags };
}

static struct group_view view_of(unsigned i)
{
	struct dk_addr a = addr(i);
	struct group_view v;

	ck_assert_int_eq(group_view_init(self, &v, &a, i), 0);
	return v;
}

static void all_live(struct group_view *v)
{
	for (uint16_t i = 0; i < v->n; i++)
		v->at[i].live = true;
}

START_TEST(later_versions_count)
{
	struct group_view v = view_of(1);
	struct group_entry e = entry(2, 7, 10, 3, GROUP_LISTENS);
	struct dk_addr a = addr(2);

	ck_assert_int_eq(group_view_merge(self, &v, &e), GROUP_NEWS);
	ck_assert_int_eq(group_view_merge(self, &v, &e), 0);
	e.version = 9;
	e.members = 1;
	ck_assert_int_eq(group_view_merge(self, &v, &e), 0);
	ck_assert_uint_eq(group_view_find(&v, &a)->members, 3);
	e.version = 11;
	ck_assert_int_eq(group_view_merge(self, &v, &e), GROUP_NEWS);
	ck_assert_uint_eq(group_view_find(&v, &a)->members, 1);
	/* another run of that node: what was known of the old one does not hold */
	group_view_find(&v, &a)->knows = true;
	group_view_find(&v, &a)->heard = 5;
	e.boot = 8;
	e.version = 12;
	ck_assert_int_eq(group_view_merge(self, &v, &e), GROUP_NEWS);
	ck_assert(!group_view_find(&v, &a)->knows);
	ck_assert_uint_eq(group_view_find(&v, &a)->heard, 0);
	/* who is out, and was never in, is not kept */
	e = entry(3, 1, 1, 0, GROUP_OUT);
	ck_assert_int_eq(group_view_merge(self, &v, &e), 0);
	ck_assert_uint_eq(v.n, 2);
	group_view_fini(self, &v);
}
END_TEST

START_TEST(nobody_else_writes_its_entry)
{
	struct group_view v = view_of(1);
	struct group_entry e = entry(1, 1, 0, 0, 0);

	group_view_own(&v)->version = 5;
	group_view_own(&v)->members = 2;
	e.version = 5;
	ck_assert_int_eq(group_view_merge(self, &v, &e), 0);
	e.version = 4;
	ck_assert_int_eq(group_view_merge(self, &v, &e), 0);
	e.version = 9;
	e.flags = GROUP_OUT;
	ck_assert_int_eq(group_view_merge(self, &v, &e), GROUP_DENIED);
	ck_assert_uint_eq(group_view_own(&v)->version, 10);
	ck_assert_uint_eq(group_view_own(&v)->members, 2);
	e = entry(1, 99, 10, 0, 0); /* an earlier run, with the same version */
	ck_assert_int_eq(group_view_merge(self, &v, &e), GROUP_DENIED);
	ck_assert_uint_eq(group_view_own(&v)->version, 11);
	group_view_fini(self, &v);
}
END_TEST

START_TEST(limits)
{
	struct group_view v = view_of(1);

	for (unsigned i = 1; i < GROUP_NODES_MAX; i++) {
		struct group_entry e = entry(2, 1, 1, 1, 0);

		e.addr.port = (uint16_t)i;
		ck_assert_int_eq(group_view_merge(self, &v, &e), GROUP_NEWS);
	}
	ck_assert_int_eq(group_view_merge(self, &v, &(struct group_entry){ .addr = addr(3), .boot = 1, .version = 1 }), DK_FULL);
	group_view_drop(self, &v, 5);
	ck_assert_int_eq(group_view_merge(self, &v, &(struct group_entry){ .addr = addr(3), .boot = 1, .version = 1 }), GROUP_NEWS);
	group_view_fini(self, &v);
}
END_TEST

/* A node's whole state into another's view. */
static void hear(struct group_view *to, const struct group_view *from)
{
	static uint8_t buf[GROUP_STATE_MAX];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct group_state s = { .flags = GROUP_S_ALLOW_EMPTY, .ttl_s = 60, .number = 17 };
	struct group_entry e;
	uint16_t n = 0;

	group_state_write(&w, &s, from, dk_slice_n("\0\3ann", 5));
	ck_assert(!w.bad);
	ck_assert(group_state_read(dk_written(&w), &s));
	ck_assert_uint_eq(s.flags, GROUP_S_ALLOW_EMPTY);
	ck_assert_uint_eq(s.ttl_s, 60);
	ck_assert_uint_eq(s.number, 17);
	ck_assert_uint_eq(s.sum, group_view_sum(from));
	while (group_state_next(&s, &e)) {
		if (!n++)
			ck_assert(dk_addr_eq(&e.addr, &from->at[0].addr));
		ck_assert_int_ge(group_view_merge(self, to, &e), 0);
	}
	ck_assert_uint_eq(s.n, 0);
	all_live(to);
}

START_TEST(all_become_equal)
{
	enum { NODES = 6 };

	srand(1);
	for (unsigned round = 0; round < 200; round++) {
		struct group_view v[NODES];

		for (unsigned i = 0; i < NODES; i++)
			v[i] = view_of(i + 1);
		for (unsigned step = 0; step < 60; step++) {
			unsigned a = (unsigned)rand() % NODES, b = (unsigned)rand() % NODES;

			if (step < 40) { /* somebody changes */
				struct group_node *own = group_view_own(&v[a]);

				own->version++;
				own->members = (uint32_t)rand() % 5;
				own->flags = own->members ? GROUP_LISTENS : 0;
			}
			if (a != b)
				hear(&v[b], &v[a]);
		}
		for (unsigned k = 0; k < 2; k++) /* a ring, twice: all have heard of all */
			for (unsigned i = 0; i < NODES; i++)
				hear(&v[(i + 1) % NODES], &v[i]);
		for (unsigned i = 0; i < NODES; i++) {
			group_view_own(&v[i])->live = true;
			ck_assert_uint_eq(group_view_sum(&v[i]), group_view_sum(&v[0]));
		}
		for (unsigned i = 0; i < NODES; i++)
			group_view_fini(self, &v[i]);
	}
}
END_TEST

START_TEST(hostile_states)
{
	static uint8_t buf[GROUP_STATE_MAX];
	struct group_view v = view_of(1);
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct group_state head = { .flags = 0 };
	size_t n;

	for (unsigned i = 2; i < 6; i++) {
		struct group_entry e = entry(i, 1, 1, 1, 0);

		e.addr.family = i % 2 ? 4 : 6;
		e.uids = dk_slice_n("\0\3bob", 5);
		ck_assert_int_eq(group_view_merge(self, &v, &e), GROUP_NEWS);
	}
	all_live(&v);
	group_state_write(&w, &head, &v, dk_slice_n(NULL, 0));
	n = dk_written(&w).n;
	for (size_t cut = 0; cut <= n; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1); /* exactly as long, for sanitizers */
		struct group_state s;
		struct group_entry e;
		uint16_t entries = 0;

		memcpy(copy, buf, cut);
		if (group_state_read(dk_slice_n(copy, cut), &s)) {
			while (group_state_next(&s, &e))
				entries++;
			ck_assert_int_eq(s.n == 0, cut == n);
			ck_assert_uint_le(entries, 5);
		}
		for (unsigned k = 0; k < 50 && cut == n; k++) { /* and bytes turned over */
			copy[(size_t)rand() % n] ^= (uint8_t)(1 + rand() % 255);
			if (group_state_read(dk_slice_n(copy, n), &s))
				while (group_state_next(&s, &e))
					ck_assert_int_ne(group_view_merge(self, &v, &e), -ENOMEM);
		}
		free(copy);
	}
	group_view_fini(self, &v);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("who takes part in a group");
	TCase *t = tcase_create("view");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, later_versions_count);
	tcase_add_test(t, nobody_else_writes_its_entry);
	tcase_add_test(t, limits);
	tcase_add_test(t, all_become_equal);
	tcase_add_test(t, hostile_states);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
