/* SPDX-License-Identifier: Apache-2.0 */
/* The service datacapsule in a node, as another plugin sees it; its capsules are that plugin's memory. */
#include <diarkis/datacapsule.h>
#include <diarkis/test.h>

#include <stdio.h>

#include "tests/unit/unit.h"

struct keeper {
	struct dk_self base;
	struct dk_datacapsule *capsules;
	struct dk_capsule *c, *other;
	bool forgetful;
};

static int keeper_init(void *self)
{
	struct keeper *k = self;
	int rc = k->capsules->create(k->capsules, k, &k->c);

	return rc ? rc : k->capsules->create(k->capsules, k, &k->other);
}

static void keeper_fini(void *self)
{
	struct keeper *k = self;

	if (!k->forgetful)
		k->capsules->free(k->capsules, k->c);
	k->capsules->free(k->capsules, k->other);
	k->capsules->free(k->capsules, NULL);
}

/* ---- how the test finds the plugin's state ---- */

struct finder {
	struct dk_service base;
	struct keeper *at;
};
#define DK_FINDER_NAME "finder"
#define DK_FINDER_MAJOR 1
#define DK_FINDER_MINOR 0
#define DK_FINDER_TYPE struct finder

struct keeper_state {
	struct keeper k;
	struct finder finder;
};

static int state_init(void *self)
{
	struct keeper_state *s = self;

	s->finder.at = &s->k;
	return keeper_init(self);
}

static const struct dk_need keeper_needs[] = { DK_NEED(struct keeper, capsules, DK_DATACAPSULE), { 0 } };
static const struct dk_provide keeper_provides[] = { DK_PROVIDE(struct keeper_state, finder, DK_FINDER), { 0 } };
static const struct dk_ops keeper_ops = { .init = state_init, .fini = keeper_fini };
DK_PLUGIN(keeper) = {
	DK_PLUGIN_HEAD("keeper", "1", "the test's own"),
	.self_size = sizeof(struct keeper_state),
	.needs = keeper_needs,
	.provides = keeper_provides,
	.ops = &keeper_ops,
};

static struct dk_harness *h;
static struct keeper *keeper;
static struct dk_datacapsule *svc;
static struct dk_capsule *c, *other;

static void begin(void)
{
	h = dk_harness_new("plugins = { datacapsule = { max_bytes = 256; }; keeper = {}; };", 1, &dk_plugin_keeper);
	ck_assert_ptr_nonnull(h);
	keeper = ((struct finder *)dk_harness_service(h, DK_FINDER_NAME))->at;
	svc = dk_harness_service(h, DK_DATACAPSULE_NAME);
	ck_assert_ptr_eq(svc, keeper->capsules);
	c = keeper->c;
	other = keeper->other;
}

static void end(void)
{
	ck_assert_int_eq(dk_harness_free(h), 0);
}

static int64_t counter(const char *name)
{
	return dk_harness_counter(h, "datacapsule", name);
}

#define N(name) dk_str_c(name)

START_TEST(every_type)
{
	uint8_t elements[32];
	struct dk_writer e = dk_writer_on(elements, sizeof(elements)), small = dk_writer_on(elements, 1);
	struct dk_array a;
	struct dk_value v;
	dk_slice bytes;
	uint64_t u64;
	int16_t i16;
	uint8_t u8 = 1;
	double f64;
	float f32;
	bool b;
	dk_str s;

	begin();
	ck_assert_int_eq(dk_capsule_set_bool(svc, c, N("b"), true), 0);
	ck_assert_int_eq(dk_capsule_set_i16(svc, c, N("i16"), -300), 0);
	ck_assert_int_eq(dk_capsule_set_u64(svc, c, N("u64"), UINT64_MAX), 0);
	ck_assert_int_eq(dk_capsule_set_f32(svc, c, N("f32"), 0.1f), 0);
	ck_assert_int_eq(dk_capsule_set_str(svc, c, N("s"), N("text")), 0);
	ck_assert_int_eq(dk_capsule_set_bytes(svc, c, N("bytes"), dk_slice_n("\0\1", 2)), 0);
	dk_array_add_str(&e, N("one"));
	dk_array_add_str(&e, N("two"));
	ck_assert_int_eq(dk_capsule_set_array(svc, c, N("list"), DK_V_STR, &e), 0);
	dk_wr_u16(&small, 1);
	ck_assert_int_eq(dk_capsule_set_array(svc, c, N("list"), DK_V_U16, &small), -EINVAL);
	ck_assert_uint_eq(svc->count(svc, c), 7);

	ck_assert_int_eq(dk_capsule_get_bool(svc, c, N("b"), &b), 0);
	ck_assert(b);
	ck_assert_int_eq(dk_capsule_get_i16(svc, c, N("i16"), &i16), 0);
	ck_assert_int_eq(i16, -300);
	ck_assert_int_eq(dk_capsule_get_u64(svc, c, N("u64"), &u64), 0);
	ck_assert(u64 == UINT64_MAX);
	ck_assert_int_eq(dk_capsule_get_f32(svc, c, N("f32"), &f32), 0);
	ck_assert(f32 == 0.1f);
	ck_assert_int_eq(dk_capsule_get_f64(svc, c, N("f32"), &f64), 0);
	ck_assert_int_eq(dk_capsule_get_str(svc, c, N("s"), &s), 0);
	ck_assert(dk_str_eq(s, N("text")));
	ck_assert_int_eq(dk_capsule_get_bytes(svc, c, N("bytes"), &bytes), 0);
	ck_assert_uint_eq(bytes.n, 2);
	ck_assert_int_eq(dk_capsule_get_array(svc, c, N("list"), DK_V_STR, &a), 0);
	ck_assert(dk_array_next(&a, &v) && dk_str_eq(v.as.s, N("one")));
	ck_assert(dk_array_next(&a, &v) && dk_str_eq(v.as.s, N("two")));
	ck_assert(!dk_array_next(&a, &v));

	/* another type, a number that does not fit, nothing there: outcomes, and nothing is written */
	ck_assert_int_eq(dk_capsule_get_u8(svc, c, N("s"), &u8), DK_VALUE_TYPE);
	ck_assert_int_eq(dk_capsule_get_u8(svc, c, N("f32"), &u8), DK_VALUE_TYPE);
	ck_assert_int_eq(dk_capsule_get_u8(svc, c, N("i16"), &u8), DK_VALUE_RANGE);
	ck_assert_int_eq(dk_capsule_get_u8(svc, c, N("u8"), &u8), DK_NOT_FOUND);
	ck_assert_int_eq(dk_capsule_get_array(svc, c, N("list"), DK_V_U8, &a), DK_VALUE_TYPE);
	ck_assert_uint_eq(u8, 1);
	ck_assert_int_eq(svc->unset(svc, c, N("s")), 0);
	ck_assert_int_eq(svc->unset(svc, c, N("s")), DK_NOT_FOUND);
	end();
}
END_TEST

START_TEST(capsules_in_capsules)
{
	uint8_t buf[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	struct dk_array a;
	struct dk_value v;
	dk_slice inner;
	uint8_t u8;

	begin();
	ck_assert_int_eq(dk_capsule_set_u8(svc, other, N("level"), 7), 0);
	ck_assert_int_eq(svc->set_capsule(svc, c, N("player"), other), 0);
	dk_array_add_capsule(svc, other, &w);
	dk_capsule_set_u8(svc, other, N("level"), 8); /* what was set is a copy */
	dk_array_add_capsule(svc, other, &w);
	ck_assert_int_eq(dk_capsule_set_array(svc, c, N("all"), DK_V_CAPSULE, &w), 0);

	ck_assert_int_eq(svc->get_capsule(svc, c, N("all"), other), DK_VALUE_TYPE);
	ck_assert_int_eq(svc->get_capsule(svc, c, N("nobody"), other), DK_NOT_FOUND);
	ck_assert_int_eq(dk_capsule_get_u8(svc, other, N("level"), &u8), 0);
	ck_assert_uint_eq(u8, 8);
	ck_assert_int_eq(svc->get_capsule(svc, c, N("player"), other), 0);
	ck_assert_int_eq(dk_capsule_get_u8(svc, other, N("level"), &u8), 0);
	ck_assert_uint_eq(u8, 7);
	ck_assert_int_eq(dk_capsule_get_array(svc, c, N("all"), DK_V_CAPSULE, &a), 0);
	ck_assert(dk_array_next(&a, &v));
	ck_assert(dk_array_next(&a, &v));
	ck_assert_int_eq(dk_value_get_capsule(&v, &inner), 0);
	ck_assert_int_eq(svc->unpack(svc, other, inner), 0);
	ck_assert_int_eq(dk_capsule_get_u8(svc, other, N("level"), &u8), 0);
	ck_assert_uint_eq(u8, 8);

	/* eight levels and no more */
	svc->clear(svc, c);
	for (int i = 1; i < DK_CAPSULE_DEPTH_MAX; i++) {
		ck_assert_int_eq(svc->set_capsule(svc, c, N("in"), c), 0);
	}
	ck_assert_int_eq(svc->set_capsule(svc, c, N("in"), c), -EINVAL);
	end();
}
END_TEST

START_TEST(packed_and_back)
{
	uint8_t buf[256], again[256];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf)), w2 = dk_writer_on(again, sizeof(again));
	dk_slice packed;
	uint8_t u8;

	begin();
	dk_capsule_set_bool(svc, c, N("a"), true);
	dk_capsule_set_i8(svc, c, N("b"), 1);
	dk_capsule_set_i16(svc, c, N("c"), 1);
	dk_capsule_set_i32(svc, c, N("d"), 1);
	dk_capsule_set_i64(svc, c, N("e"), 1);
	dk_capsule_set_u16(svc, c, N("f"), 1);
	dk_capsule_set_u32(svc, c, N("g"), 1);
	dk_capsule_set_u64(svc, c, N("h"), 1);
	dk_capsule_set_f32(svc, c, N("i"), 1);
	dk_capsule_set_f64(svc, c, N("j"), 1);
	dk_capsule_set_str(svc, c, N("k"), N("text"));
	svc->set_capsule(svc, c, N("l"), other);
	svc->pack(svc, c, &w);
	packed = dk_written(&w);
	ck_assert_uint_eq(packed.n, svc->packed_size(svc, c));
	ck_assert_int_eq(svc->unpack(svc, other, packed), 0);
	svc->pack(svc, other, &w2);
	ck_assert_uint_eq(dk_written(&w2).n, packed.n);
	ck_assert_mem_eq(again, buf, packed.n);

	/* what is no capsule leaves it as it was */
	svc->clear(svc, other);
	dk_capsule_set_u8(svc, other, N("mine"), 3);
	for (size_t n = 0; n < packed.n; n++)
		ck_assert_int_eq(svc->unpack(svc, other, dk_slice_n(buf, n)), -EPROTO);
	buf[packed.n] = 0;
	ck_assert_int_eq(svc->unpack(svc, other, dk_slice_n(buf, packed.n + 1)), -EPROTO);
	ck_assert_int_eq(counter("refused"), (int64_t)packed.n + 1);
	ck_assert_int_eq(dk_capsule_get_u8(svc, other, N("mine"), &u8), 0);
	ck_assert_uint_eq(u8, 3);
	ck_assert_uint_eq(svc->count(svc, other), 1);
	end();
}
END_TEST

START_TEST(export_and_import)
{
	static const char big[300];
	struct dk_named_value values[8];
	const void *at = NULL;
	size_t n = 0;
	uint8_t u8;

	begin();
	dk_capsule_set_u8(svc, c, N("z"), 1);
	dk_capsule_set_str(svc, c, N("a"), N("text"));
	while (svc->next(svc, c, &at, &values[n].name, &values[n].value))
		n++;
	ck_assert_uint_eq(n, 2);
	ck_assert(dk_str_eq(values[0].name, N("z")) && dk_str_eq(values[1].name, N("a")));
	ck_assert_int_eq(svc->import_values(svc, other, values, n), 0);
	ck_assert_uint_eq(svc->count(svc, other), 2);
	ck_assert_int_eq(dk_capsule_get_u8(svc, other, N("z"), &u8), 0);

	/* all or nothing */
	values[0].value = dk_value_u8(9);
	values[1].value = dk_value_bytes(dk_slice_n(big, sizeof(big)));
	ck_assert_int_eq(svc->import_values(svc, other, values, n), DK_FULL);
	ck_assert_int_eq(dk_capsule_get_u8(svc, other, N("z"), &u8), 0);
	ck_assert_uint_eq(u8, 1);
	ck_assert_int_eq(counter("full"), 1);
	end();
}
END_TEST

START_TEST(json)
{
	static const char text[] = "{\"name\":\"ann\",\"at\":[1,2],\"bag\":{\"gold\":5,\"key\":{\"$bytes\":\"AAE=\"}}}";
	static char longer[600];
	char out[256] = "", why[DK_CAPSULE_WHY];
	struct dk_writer w = dk_writer_on(out, sizeof(out) - 1);
	uint8_t gold;

	begin();
	ck_assert_int_eq(svc->from_json(svc, c, N(text), why), 0);
	ck_assert_int_eq(svc->get_capsule(svc, c, N("bag"), other), 0);
	ck_assert_int_eq(dk_capsule_get_u8(svc, other, N("gold"), &gold), 0);
	ck_assert_uint_eq(gold, 5);
	ck_assert_int_eq(svc->to_json(svc, c, &w), 0);
	ck_assert_uint_eq(dk_written(&w).n, strlen(text));
	ck_assert_str_eq(out, text);

	ck_assert_int_eq(svc->from_json(svc, c, N("[]"), why), DK_CAPSULE_NO_JSON);
	ck_assert_ptr_nonnull(strstr(why, "expected a JSON object"));
	ck_assert_int_eq(svc->from_json(svc, c, N("{"), NULL), DK_CAPSULE_NO_JSON);
	ck_assert_int_eq(counter("refused"), 2);
	memset(longer, ' ', sizeof(longer));
	ck_assert_int_eq(svc->from_json(svc, c, dk_str_n(longer, sizeof(longer)), why), DK_FULL);
	snprintf(longer, sizeof(longer), "{\"a\":\"%0300d\"}", 0);
	ck_assert_int_eq(svc->from_json(svc, c, N(longer), why), DK_FULL);
	ck_assert_uint_eq(svc->count(svc, c), 3);
	ck_assert_int_eq(dk_capsule_set_str(svc, c, N("name"), N("\xff")), 0);
	ck_assert_int_eq(svc->to_json(svc, c, &w), DK_CAPSULE_NO_JSON);
	end();
}
END_TEST

START_TEST(limits)
{
	static const char big[256];
	char name[300];

	begin();
	memset(name, 'n', sizeof(name));
	ck_assert_int_eq(dk_capsule_set_u8(svc, c, dk_str_n(name, 256), 1), -EINVAL);
	ck_assert_int_eq(dk_capsule_set_u8(svc, c, N(""), 1), -EINVAL);
	ck_assert_int_eq(dk_capsule_set_bytes(svc, c, N("a"), dk_slice_n(big, 256)), DK_FULL);
	ck_assert_int_eq(dk_capsule_set_bytes(svc, c, N("a"), dk_slice_n(big, 255)), 0);
	ck_assert_int_eq(dk_capsule_set_u8(svc, c, N("b"), 1), DK_FULL);
	ck_assert_int_eq(counter("full"), 2);
	ck_assert_int_eq(counter("capsules"), 2);
	end();
}
END_TEST

/* What was forgotten is laid at the door of who made it. */
START_TEST(memory_is_its_makers)
{
	begin();
	dk_capsule_set_u8(svc, c, N("a"), 1);
	keeper->forgetful = true;
	ck_assert_int_gt(dk_harness_stop(h), 0);
	ck_assert(dk_harness_log_has(h, "keeper"));
	ck_assert_int_gt(dk_harness_free(h), 0);
}
END_TEST

UNIT_MAIN("datacapsule", every_type, capsules_in_capsules, packed_and_back, export_and_import, json, limits, memory_is_its_makers)
