/* SPDX-License-Identifier: Apache-2.0 */
/* Memory with an owner: what is charged, handles that go stale, tables and maps under churn against a plain model, scratch. */
#include "fake.h"

/* A small generator of its own: the same churn in every run. */
static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

START_TEST(charged_to_the_plugin)
{
	struct fake f;
	uint8_t *p;

	fake_init(&f);
	p = dk_alloc(&f.self, 100);
	ck_assert_uint_eq(f.p.memory, 100);
	for (size_t i = 0; i < 100; i++)
		ck_assert_uint_eq(p[i], 0);
	memset(p, 0xaa, 100);
	p = dk_realloc(&f.self, p, 100, 300);
	ck_assert_uint_eq(f.p.memory, 300);
	ck_assert_uint_eq(p[99], 0xaa);
	for (size_t i = 100; i < 300; i++)
		ck_assert_uint_eq(p[i], 0);
	p = dk_realloc(&f.self, p, 300, 10);
	ck_assert_uint_eq(f.p.memory, 10);
	dk_free(&f.self, p, 10);
	dk_free(&f.self, NULL, 0);
	fake_fini(&f);
}
END_TEST

START_TEST(pool_reuses)
{
	struct fake f;
	struct dk_pool pool;
	uint8_t *objects[100];
	size_t memory;

	fake_init(&f);
	dk_pool_init(&f.self, &pool, 24, 100, "things");
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			objects[i] = dk_pool_get(&pool);
			ck_assert_ptr_nonnull(objects[i]);
			ck_assert_uint_eq((uintptr_t)objects[i] % 16, 0);
			for (int j = 0; j < 24; j++)
				ck_assert_uint_eq(objects[i][j], 0);
			memset(objects[i], 0xff, 24);
		}
		ck_assert_ptr_null(dk_pool_get(&pool)); /* the limit */
		if (round == 0)
			memory = f.p.memory;
		ck_assert_uint_eq(f.p.memory, memory); /* steady state takes nothing more */
		for (int i = 0; i < 100; i++)
			dk_pool_put(&pool, objects[i]);
		dk_pool_put(&pool, NULL);
		ck_assert_uint_eq(pool.used, 0);
	}
	dk_pool_fini(&pool);
	fake_fini(&f);
}
END_TEST

START_TEST(handles_go_stale)
{
	struct fake f;
	struct dk_table t;
	dk_id first, second, id;
	int *object;

	fake_init(&f);
	dk_table_init(&f.self, &t, DK_KIND_APP, sizeof(int), 0, "ints");
	object = dk_table_add(&t, &first);
	*object = 7;
	ck_assert_uint_eq(dk_id_kind(first), DK_KIND_APP);
	ck_assert_ptr_eq(dk_table_get(&t, first), object);
	ck_assert_ptr_null(dk_table_get(&t, 0));
	ck_assert_ptr_null(dk_table_get(&t, first ^ (dk_id)1 << 56)); /* another kind */
	ck_assert_ptr_null(dk_table_get(&t, first + 1)); /* a slot never used */
	ck_assert_ptr_null(dk_table_get(&t, first + ((dk_id)2 << 32))); /* a later generation */
	ck_assert_uint_eq(dk_table_id_at(&t, dk_id_slot(first)), first);
	dk_table_remove(&t, first);
	ck_assert_ptr_null(dk_table_get(&t, first));
	dk_table_remove(&t, first); /* stale is fine */
	ck_assert_uint_eq(t.used, 0);
	ck_assert_uint_eq(dk_table_id_at(&t, dk_id_slot(first)), 0);
	ck_assert_uint_eq(dk_table_id_at(&t, 1000), 0);
	object = dk_table_add(&t, &second);
	ck_assert_int_eq(*object, 0);
	ck_assert_uint_eq(dk_id_slot(second), dk_id_slot(first));
	ck_assert(second != first);
	ck_assert_ptr_null(dk_table_get(&t, first));
	/* Generations wrap within their 24 bits and stay odd. */
	id = second;
	((struct dk_table_head *)(void *)t.chunks[0])->generation = 0xffffff;
	id = dk_table_id_at(&t, 0);
	ck_assert_ptr_nonnull(dk_table_get(&t, id));
	dk_table_remove(&t, id);
	dk_table_add(&t, &id);
	ck_assert_ptr_nonnull(dk_table_get(&t, id));
	ck_assert_uint_eq((id >> 32) & 0xffffff, 1);
	dk_table_remove(&t, id);
	dk_table_fini(&t);
	fake_fini(&f);
}
END_TEST

START_TEST(table_limit)
{
	struct fake f;
	struct dk_table t;
	dk_id ids[300], id;

	fake_init(&f);
	dk_table_init(&f.self, &t, DK_KIND_APP, 20, 300, "things");
	for (int i = 0; i < 300; i++)
		ck_assert_ptr_nonnull(dk_table_add(&t, &ids[i]));
	ck_assert_ptr_null(dk_table_add(&t, &id));
	dk_table_remove(&t, ids[123]);
	ck_assert_ptr_nonnull(dk_table_add(&t, &id));
	ck_assert_uint_eq(dk_id_slot(id), 123);
	ck_assert_ptr_null(dk_table_get(&t, ids[123]));
	ids[123] = id;
	for (int i = 0; i < 300; i++)
		dk_table_remove(&t, ids[i]);
	dk_table_fini(&t);
	fake_fini(&f);
}
END_TEST

START_TEST(table_churn)
{
	enum { N = 2000 };
	struct fake f;
	struct dk_table t;
	static dk_id ids[N];
	static void *where[N];
	uint32_t seed = 1, slot;
	size_t seen, used = 0;
	dk_id id;

	fake_init(&f);
	dk_table_init(&f.self, &t, DK_KIND_APP, sizeof(uint64_t), 0, "numbers");
	for (int step = 0; step < 20000; step++) {
		uint32_t i = next_random(&seed) % N;
		uint64_t *object = dk_table_get(&t, ids[i]);

		ck_assert_int_eq(object != NULL, ids[i] != 0 && where[i] != NULL);
		if (object) {
			ck_assert_ptr_eq(object, where[i]); /* objects never move */
			ck_assert_uint_eq(*object, ids[i]);
			dk_table_remove(&t, ids[i]);
			where[i] = NULL;
			used--;
		} else {
			object = dk_table_add(&t, &ids[i]);
			*object = ids[i];
			where[i] = object;
			used++;
		}
		ck_assert_uint_eq(t.used, used);
	}
	/* Walking while the visitor removes: all that were there are seen once. */
	slot = 0;
	seen = 0;
	for (uint64_t *object; (object = dk_table_next(&t, &slot, &id)); seen++) {
		ck_assert_uint_eq(*object, id);
		dk_table_remove(&t, id);
	}
	ck_assert_uint_eq(seen, used);
	ck_assert_uint_eq(t.used, 0);
	dk_table_fini(&t);
	fake_fini(&f);
}
END_TEST

static bool same_number(const void *arg, uint32_t value, const void *key)
{
	return ((const uint32_t *)arg)[value] == *(const uint32_t *)key;
}

/* hash: few values, so that runs of equal and neighbouring homes are long and removal has gaps to close. */
static void map_churn(uint32_t hash_mask)
{
	enum { N = 1000 };
	struct fake f;
	struct dk_map m = { 0 };
	static uint32_t keys[N];
	bool in[N] = { false };
	uint32_t seed = 3, used = 0;

	fake_init(&f);
	for (uint32_t i = 0; i < N; i++)
		keys[i] = i * 2654435761u;
	for (int step = 0; step < 20000; step++) {
		uint32_t i = next_random(&seed) % N, hash = keys[i] & hash_mask;

		ck_assert_uint_eq(dk_map_find(&m, hash, same_number, keys, &keys[i]), in[i] ? i : DK_MAP_NONE);
		if (in[i])
			dk_map_remove(&m, hash, i);
		else
			ck_assert_int_eq(dk_map_put(&f.self, &m, hash, i), 0);
		used += in[i] ? -1u : 1u;
		in[i] = !in[i];
		ck_assert_uint_eq(m.used, used);
	}
	for (uint32_t i = 0; i < N; i++)
		ck_assert_uint_eq(dk_map_find(&m, keys[i] & hash_mask, same_number, keys, &keys[i]), in[i] ? i : DK_MAP_NONE);
	dk_map_remove(&m, 5, 123456);
	ck_assert_uint_eq(m.used, used);
	dk_map_fini(&f.self, &m);
	dk_map_remove(&m, 5, 5);
	ck_assert_uint_eq(dk_map_find(&m, 5, same_number, keys, &keys[0]), DK_MAP_NONE);
	fake_fini(&f);
}

START_TEST(map_of_good_hashes)
{
	map_churn(UINT32_MAX);
}
END_TEST

START_TEST(map_of_colliding_hashes)
{
	map_churn(0xf);
	map_churn(0xfffffff0);
}
END_TEST

START_TEST(scratch_ends)
{
	struct fake f;
	size_t mark;
	void *p;

	fake_init(&f);
	p = dk_scratch(&f.self, 1);
	ck_assert_uint_eq((uintptr_t)p % 16, 0);
	ck_assert_uint_eq((uintptr_t)dk_scratch(&f.self, 17) - (uintptr_t)p, 16);
	mark = scratch_mark(&f.k);
	ck_assert_ptr_null(dk_scratch(&f.self, 1 << 20));
	ck_assert_ptr_null(dk_scratch(&f.self, SIZE_MAX));
	ck_assert_uint_eq(scratch_mark(&f.k), mark);
	ck_assert_ptr_nonnull(dk_scratch(&f.self, (1 << 20) - mark));
	ck_assert_ptr_null(dk_scratch(&f.self, 1));
	scratch_release(&f.k, mark);
	ck_assert_ptr_nonnull(dk_scratch(&f.self, 1));
	scratch_reset(&f.k);
	ck_assert_ptr_eq(dk_scratch(&f.self, 1 << 20), p);
	fake_fini(&f);
}
END_TEST

START_TEST(hash_is_siphash)
{
	/* From the reference implementation's table: key 00..0f, message 00, 01, ... */
	static const struct {
		size_t n;
		uint64_t hash;
	} known[] = { { 0, 0x726fdb47dd0e0e31u }, { 1, 0x74f839c593dc67fdu },  { 7, 0xab0200f58b01d137u },
		      { 8, 0x93f5f5799a932462u }, { 15, 0xa129ca6149be45e5u }, { 16, 0x3f2acc7f57c29bdbu } };
	struct fake f;
	uint8_t message[16];

	fake_init(&f);
	f.k.hash_key[0] = 0x0706050403020100u;
	f.k.hash_key[1] = 0x0f0e0d0c0b0a0908u;
	for (uint8_t i = 0; i < 16; i++)
		message[i] = i;
	for (size_t i = 0; i < DK_ARRAY_LEN(known); i++)
		ck_assert_msg(dk_hash(&f.self, dk_slice_n(message, known[i].n)) == known[i].hash, "of %zu bytes", known[i].n);
	fake_fini(&f);
}
END_TEST

START_TEST(arenas)
{
	struct arena a = { NULL };
	char *text = arena_printf(&a, "%s-%d", "a", 5), *big;

	big = arena_take(&a, 100000);
	for (int i = 0; i < 100000; i++)
		ck_assert_int_eq(big[i], 0);
	memset(big, 0xff, 100000);
	for (size_t i = 0; i < 1000; i++)
		ck_assert_uint_eq((uintptr_t)arena_str(&a, "0123456789", i % 10) % _Alignof(max_align_t), 0);
	ck_assert_str_eq(text, "a-5");
	arena_free(&a);
	ck_assert_ptr_null(a.chunks);
}
END_TEST

UNIT_MAIN("mem", charged_to_the_plugin, pool_reuses, handles_go_stale, table_limit, table_churn, map_of_good_hashes,
	  map_of_colliding_hashes, scratch_ends, hash_is_siphash, arenas)
