/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of direct messages between nodes: what is written is read again; what is cut or bent anywhere is refused. */
#include <check.h>
#include <stdlib.h>

#include "../dm_pack.h"

static uint8_t buf[1024];
static const struct dk_addr v4 = { .ip = { 10, 0, 0, 1 }, .port = 8000, .family = 4 };
static const struct dk_addr v6 = { .ip = { 0xfe, 0x80, [15] = 1 }, .port = 1, .family = 6 };

START_TEST(places)
{
	const struct dm_place p = { .node = _i ? v6 : v4, .boot = 0x0102030405060708, .login = UINT64_MAX, .hops = 7 };
	struct dk_writer w = dk_writer_on(buf, DM_PLACE_SIZE);
	struct dm_place q;

	dm_place_write(&w, &p);
	ck_assert(!w.bad && w.p == w.end);
	ck_assert(dm_place_read(dk_written(&w), &q));
	ck_assert(dk_addr_eq(&p.node, &q.node));
	ck_assert(p.boot == q.boot && p.login == q.login && p.hops == q.hops);
	for (size_t n = 0; n < DM_PLACE_SIZE; n++)
		ck_assert(!dm_place_read(dk_slice_n(buf, n), &q));
	ck_assert(!dm_place_read(dk_slice_n(buf, DM_PLACE_SIZE + 1), &q));
	buf[0] = 5; /* no family */
	ck_assert(!dm_place_read(dk_slice_n(buf, DM_PLACE_SIZE), &q));
}
END_TEST

START_TEST(nodes)
{
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_addr a = v4;

	dm_node_write(&w, &(const struct dk_addr){ .family = 0 });
	ck_assert_uint_eq(dk_written(&w).n, 0);
	ck_assert(dm_node_read(dk_written(&w), &a));
	ck_assert_uint_eq(a.family, 0);
	dm_node_write(&w, &v6);
	ck_assert_uint_eq(dk_written(&w).n, DM_NODE_SIZE);
	ck_assert(dm_node_read(dk_written(&w), &a) && dk_addr_eq(&a, &v6));
	ck_assert(!dm_node_read(dk_slice_n(buf, DM_NODE_SIZE - 1), &a));
}
END_TEST

START_TEST(letters)
{
	const struct dm_letter one = { 1, 701, true, dk_str_c("ann"), dk_slice_n("hello", 5) };
	const struct dm_letter two = { 2, 9, false, dk_str_n(NULL, 0), dk_slice_n("x", 1) };
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_cursor c;
	struct dm_letter l;
	size_t n;

	dm_letter_write(&w, &one);
	ck_assert_uint_eq(dk_written(&w).n, dm_letter_size(3, 5));
	dm_letter_write(&w, &two);
	n = dk_written(&w).n;
	c = dk_cursor_of(dk_written(&w));
	ck_assert(dm_letter_next(&c, &l));
	ck_assert(l.ver == 1 && l.cmd == 701 && l.reliable && dk_str_eq(l.from, one.from) && l.message.n == 5);
	ck_assert(dm_letter_next(&c, &l));
	ck_assert(l.ver == 2 && l.cmd == 9 && !l.reliable && !l.from.n && l.message.n == 1);
	ck_assert(!dm_letter_next(&c, &l) && !c.bad);
	for (size_t cut = 1; cut < n; cut++) {
		c = dk_cursor_of(dk_slice_n(buf, cut));
		while (dm_letter_next(&c, &l))
			;
		ck_assert(c.bad == (cut != dm_letter_size(3, 5)));
	}
	buf[3] = 2; /* a flag that is none */
	c = dk_cursor_of(dk_slice_n(buf, n));
	ck_assert(!dm_letter_next(&c, &l) && c.bad);
}
END_TEST

START_TEST(what_is_refused)
{
	static char long_uid[DM_UID_MAX + 1];
	struct dm_letter l = { 1, 1, false, dk_str_n(long_uid, sizeof(long_uid)), dk_slice_n("x", 1) };
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_cursor c;
	uint64_t login;
	uint32_t hops;
	dk_str uid;

	dm_letter_write(&w, &l);
	c = dk_cursor_of(dk_written(&w));
	ck_assert(!dm_letter_next(&c, &l) && c.bad);
	w = dk_writer_on(buf, sizeof(buf));
	l = (struct dm_letter){ .from = dk_str_c("a") };
	dm_letter_write(&w, &l); /* nothing to say */
	c = dk_cursor_of(dk_written(&w));
	ck_assert(!dm_letter_next(&c, &l) && c.bad);

	w = dk_writer_on(buf, sizeof(buf));
	dm_part_write(&w, 5, 6);
	dk_wr_bytes16(&w, dk_slice_n("bob", 3));
	dk_wr_bytes16(&w, dk_slice_n(NULL, 0)); /* nobody */
	c = dk_cursor_of(dk_written(&w));
	ck_assert(dm_part_read(&c, &login, &hops) && login == 5 && hops == 6);
	ck_assert(dm_uid_next(&c, &uid) && dk_str_eq(uid, dk_str_c("bob")));
	ck_assert(!dm_uid_next(&c, &uid) && c.bad);
	c = dk_cursor_of(dk_slice_n(buf, 11));
	ck_assert(!dm_part_read(&c, &login, &hops));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bytes of direct messages");
	TCase *t = tcase_create("pack");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(t, places, 0, 2);
	tcase_add_test(t, nodes);
	tcase_add_test(t, letters);
	tcase_add_test(t, what_is_refused);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
