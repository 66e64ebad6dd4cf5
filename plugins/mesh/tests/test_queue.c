/* SPDX-License-Identifier: Apache-2.0 */
/* mesh_queue.c against a plain array, under random steps: what is in it, in which order, what was sent; memory comes back. */
#include <check.h>
#include <stdlib.h>

#include <diarkis/test.h>

#include "../mesh_queue.h"

#define MODEL 4096

struct model {
	struct queue q;
	struct dk_pool pool;
	struct dk_env *world;
	uint32_t len[MODEL]; /* by number */
	uint64_t first, unsent, next; /* numbers */
	size_t bytes;
};

static uint32_t some_length(struct model *m)
{
	switch (dk_sim_chance(m->world) % 16) {
	case 0:
		return 1 + (uint32_t)(dk_sim_chance(m->world) % 30000); /* longer than a block, often */
	case 1:
		return 4000 + (uint32_t)(dk_sim_chance(m->world) % 4000);
	default:
		return 4 + (uint32_t)(dk_sim_chance(m->world) % 200);
	}
}

static void put(struct model *m)
{
	uint32_t n = some_length(m);
	struct entry *e = queue_put(&m->q, n);

	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->number, m->next);
	memset(entry_bytes(e), (uint8_t)m->next, n);
	m->len[m->next++ % MODEL] = n;
	m->bytes += n;
}

static void same(struct model *m, const struct entry *e, uint64_t number)
{
	if (number == m->next) {
		ck_assert_ptr_null(e);
		return;
	}
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->number, number);
	ck_assert_uint_eq(e->n, m->len[number % MODEL]);
	ck_assert_uint_eq(((const uint8_t *)(e + 1))[0], (uint8_t)number);
	ck_assert_uint_eq(((const uint8_t *)(e + 1))[e->n - 1], (uint8_t)number);
}

static void step(struct model *m)
{
	struct place at = m->q.first;

	switch (dk_sim_chance(m->world) % 20) {
	case 0:
		queue_rewind(&m->q);
		m->unsent = m->first;
		break;
	case 1:
		for (uint64_t i = m->first; i <= m->next; i++)
			same(m, queue_next(&at), i);
		break;
	case 2 ... 9:
		if (m->next - m->first < 300)
			put(m);
		break;
	case 10 ... 12:
		if (m->unsent < m->next) {
			queue_sent(&m->q);
			m->unsent++;
		}
		break;
	default:
		if (m->first == m->next)
			break;
		m->bytes -= m->len[m->first % MODEL];
		queue_pop(&m->q);
		m->unsent += m->unsent == m->first++;
		break;
	}
	same(m, queue_first(&m->q), m->first);
	same(m, queue_unsent(&m->q), m->unsent);
	ck_assert_uint_eq(m->q.bytes, m->bytes);
}

START_TEST(as_a_plain_array)
{
	struct dk_harness *h = dk_harness_new("plugins = {};", (uint64_t)_i + 1, NULL);
	void *self = dk_app(dk_harness_kernel(h));
	struct model *m = calloc(1, sizeof(*m));

	m->world = dk_harness_world(h);
	m->first = m->unsent = m->next = 1;
	dk_pool_init(self, &m->pool, QUEUE_BLOCK, 0, "blocks");
	queue_init(self, &m->q, &m->pool);
	for (int i = 0; i < 3000; i++)
		step(m);
	while (m->first < m->next) {
		queue_pop(&m->q);
		m->first++;
	}
	ck_assert_uint_eq(m->q.bytes, 0);
	ck_assert_uint_le(m->pool.used, 1); /* a quiet link keeps one */
	queue_fini(&m->q);
	ck_assert_uint_eq(m->pool.used, 0);
	dk_pool_fini(&m->pool);
	free(m);
	ck_assert_int_eq(dk_harness_free(h), 0); /* and nothing else is left */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mesh queue");
	TCase *t = tcase_create("queue");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 30);
	tcase_add_loop_test(t, as_a_plain_array, 0, 4);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
