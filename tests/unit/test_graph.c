/* SPDX-License-Identifier: Apache-2.0 */
/* Who needs whom: order, injection of one, maybe and all, and what is said when it does not work out. */
#include "node.h"

struct svc {
	struct dk_service base;
	int (*newer)(void);
};
#define A_NAME "a"
#define A_MAJOR 1
#define A_MINOR 2
#define A_TYPE struct svc
#define B_NAME "b"
#define B_MAJOR 1
#define B_MINOR 0
#define B_TYPE struct svc

struct part {
	struct dk_self base;
	struct svc svc, *one, *maybe;
	DK_LIST_OF(struct svc) all;
};

static int part_init(void *self)
{
	trace("%s", dk_instance(self));
	return 0;
}

static int some_function(void)
{
	return 0;
}

static const struct dk_ops ops = { .init = part_init };

static const struct dk_provide provide_a[] = { DK_PROVIDE(struct part, svc, A), { .name = NULL } };
static const struct dk_provide provide_b[] = { DK_PROVIDE(struct part, svc, B), { .name = NULL } };
static const struct dk_provide provide_old_a[] = { { "a", 1, 1, offsetof(struct part, svc), offsetof(struct svc, newer) },
						   { .name = NULL } };
static const struct dk_provide provide_next_a[] = { { "a", 2, 0, offsetof(struct part, svc), sizeof(struct svc) },
						    { .name = NULL } };
static const struct dk_need need_a[] = { DK_NEED(struct part, one, A), { .name = NULL } };
static const struct dk_need need_b[] = { DK_NEED(struct part, one, B), { .name = NULL } };
static const struct dk_need need_first_a[] = { { "a", 1, 0, offsetof(struct part, one), DK_NEED_ONE }, { .name = NULL } };
static const struct dk_need want_a[] = { DK_WANT(struct part, maybe, A), { .name = NULL } };
static const struct dk_need each_a[] = { DK_EACH_OF(struct part, all, A), { .name = NULL } };

#define PART(ident, provided, needed)                                                                                              \
	static const struct dk_plugin_desc ident = { DK_PLUGIN_HEAD(#ident, "1.0.0", ""), .self_size = sizeof(struct part),        \
						     .provides = provided, .needs = needed, .ops = &ops }
PART(gives_a, provide_a, NULL);
PART(gives_old_a, provide_old_a, NULL);
PART(gives_next_a, provide_next_a, NULL);
PART(gives_b_for_a, provide_b, need_a);
PART(gives_a_for_b, provide_a, need_b);
PART(needs_a, NULL, need_a);
PART(needs_b, NULL, need_b);
PART(needs_first_a, NULL, need_first_a);
PART(wants_a, NULL, want_a);
PART(each_of_a, NULL, each_a);
PART(alone, NULL, NULL);

static const struct dk_plugin_desc *const parts[] = { &gives_a,       &gives_old_a, &gives_next_a, &gives_b_for_a,
						      &gives_a_for_b, &needs_a,     &needs_b,      &needs_first_a,
						      &wants_a,       &each_of_a,   &alone,        NULL };

static struct node n;

static void boot(const char *config)
{
	node_init(&n, config, parts);
	node_boot(&n);
}

static void refused(const char *config)
{
	boot(config);
	ck_assert_msg(n.code == DK_EXIT_CONFIG, "code %d:\n%s", n.code, n.log);
}

static struct part *part(const char *instance)
{
	struct part *p = dk_plugin_state(n.k, instance);

	ck_assert_ptr_nonnull(p);
	return p;
}

static void begin_and_stop(void)
{
	ck_assert_msg(n.code == 0, "%s", n.log);
	ck_assert_int_eq(dk_begin(n.k), 0);
	node_run(&n, 1);
	node_stop(&n);
	node_fini(&n);
}

START_TEST(order_comes_from_needs)
{
	boot("plugins = { needs_b = {}; gives_b_for_a = {}; alone = {}; gives_a = {}; };");
	begin_and_stop();
	traced("alone gives_a gives_b_for_a needs_b");
	boot("plugins = { gives_a = {}; alone = {}; needs_b = {}; gives_b_for_a = {}; };");
	begin_and_stop();
	traced("alone gives_a gives_b_for_a needs_b"); /* the config's order is nothing */
}
END_TEST

START_TEST(injection)
{
	boot("plugins = { needs_a = {}; x = { use = \"gives_a\"; }; wants_a = {}; };");
	ck_assert_int_eq(n.code, 0);
	ck_assert_ptr_eq(part("needs_a")->one, &part("x")->svc);
	ck_assert_ptr_eq(part("wants_a")->maybe, &part("x")->svc);
	ck_assert_str_eq(dk_service_instance(&part("needs_a")->one->base), "x");
	ck_assert_ptr_eq(dk_service_find(n.k, "a", NULL), &part("x")->svc);
	ck_assert_ptr_eq(dk_service_find(n.k, "a", "x"), &part("x")->svc);
	ck_assert_ptr_null(dk_service_find(n.k, "a", "y"));
	ck_assert_ptr_null(dk_service_find(n.k, "b", NULL));
	begin_and_stop();

	boot("plugins = { wants_a = {}; each_of_a = {}; };");
	ck_assert_int_eq(n.code, 0);
	ck_assert_ptr_null(part("wants_a")->maybe);
	ck_assert_uint_eq(part("each_of_a")->all.n, 0);
	begin_and_stop();
}
END_TEST

START_TEST(each_in_order_of_name)
{
	boot("plugins = { each_of_a = {}; z = { use = \"gives_a\"; }; m = { use = \"gives_a\"; }; c = { use = \"gives_a\"; }; };");
	ck_assert_int_eq(n.code, 0);
	ck_assert_uint_eq(part("each_of_a")->all.n, 3);
	ck_assert_ptr_eq(part("each_of_a")->all.at[0], &part("c")->svc);
	ck_assert_ptr_eq(part("each_of_a")->all.at[1], &part("m")->svc);
	ck_assert_ptr_eq(part("each_of_a")->all.at[2], &part("z")->svc);
	begin_and_stop();
	traced("c m z each_of_a");
}
END_TEST

START_TEST(older_minor)
{
	boot("plugins = { needs_first_a = {}; gives_old_a = {}; };");
	ck_assert_int_eq(n.code, 0);
	ck_assert(!dk_has(part("needs_first_a")->one, newer)); /* the provider does not know it yet */
	part("needs_first_a")->one->newer = some_function;
	begin_and_stop();
	boot("plugins = { needs_first_a = {}; gives_a = {}; };");
	ck_assert(!dk_has(part("needs_first_a")->one, newer)); /* knows it, does not fill it */
	part("gives_a")->svc.newer = some_function;
	ck_assert(dk_has(part("needs_first_a")->one, newer));
	begin_and_stop();
}
END_TEST

START_TEST(missing)
{
	refused("plugins = { needs_b = {}; needs_a = {}; };");
	node_assert_said(&n, "needs_a needs service a 1.2, and no plugin that is switched on provides it; switch on one that does");
	node_assert_said(&n, "needs_b needs service b 1.0"); /* all at once */
	node_fini(&n);
}
END_TEST

START_TEST(wrong_version)
{
	refused("plugins = { needs_a = {}; gives_old_a = {}; };");
	node_assert_said(&n, "needs_a needs service a 1.2 or a later 1.x, but gives_old_a provides 1.1");
	node_fini(&n);
	refused("plugins = { needs_a = {}; gives_next_a = {}; };");
	node_assert_said(&n, "needs_a needs service a 1.2 or a later 1.x, but gives_next_a provides 2.0");
	node_fini(&n);
	refused("plugins = { wants_a = {}; gives_old_a = {}; };");
	node_assert_said(&n, "wants_a would use service a 1.2 or a later 1.x, but gives_old_a provides 1.1");
	node_fini(&n);
	/* A good one beside it is enough. */
	boot("plugins = { needs_a = {}; gives_old_a = {}; gives_a = {}; };");
	begin_and_stop();
}
END_TEST

START_TEST(two_of_one)
{
	refused("plugins = { needs_a = {}; wants_a = {}; x = { use = \"gives_a\"; }; y = { use = \"gives_a\"; }; };");
	node_assert_said(&n, "needs_a needs exactly one service a, but both x and y provide it; switch one of them off");
	node_assert_said(&n, "wants_a would use exactly one service a, but both x and y provide it");
	node_fini(&n);
}
END_TEST

START_TEST(circle)
{
	refused("plugins = { gives_b_for_a = {}; gives_a_for_b = {}; alone = {}; };");
	node_assert_said(&n, "plugins need each other in a circle: gives_a_for_b -> gives_b_for_a -> gives_a_for_b; one of them");
	node_fini(&n);
}
END_TEST

START_TEST(no_plugin_of_that_name)
{
	refused("plugins = {\n  alone = {};\n  rooom = {};\n};");
	node_assert_said(&n, "test.conf:3: no plugin rooom.so in ");
	node_assert_said(&n, "or name the plugin's folder with plugin_dir");
	node_fini(&n);
}
END_TEST

/* ---- tables of another width, as an older or newer minor version would bring ---- */

struct wide_need {
	struct dk_need now;
	uint64_t more;
};
struct narrow_command { /* without the last member of today */
	uint8_t bytes[offsetof(struct dk_command, out)];
};

static int on_call(struct part *p, struct dk_call *call)
{
	(void)p;
	return dk_answer(call, dk_slice_n("hi", 2));
}

static const struct wide_need wide_needs[] = { { DK_WANT(struct part, maybe, A), 5 },
					       { DK_NEED(struct part, one, B), 5 },
					       { { .name = NULL }, 5 } };
static const struct dk_param nothing[] = { { 0, NULL } };
static struct narrow_command narrow_commands[2];

START_TEST(rows_of_another_width)
{
	const struct dk_command row = { 2, 0, 1, DK_RAW, "wide.call", "", (void (*)(void))on_call, nothing, nothing };
	struct dk_plugin_desc wide = { DK_PLUGIN_HEAD("wide", "1.0.0", ""), .self_size = sizeof(struct part),
				       .needs = &wide_needs[0].now, .commands = (const void *)narrow_commands };
	const struct dk_plugin_desc *const some[] = { &wide, &gives_a, &gives_b_for_a, NULL };
	const struct dk_command *got;

	memcpy(&narrow_commands[0], &row, sizeof(narrow_commands[0]));
	wide.need_sz = sizeof(struct wide_need);
	wide.command_sz = sizeof(struct narrow_command);
	node_init(&n, "plugins = { wide = {}; gives_a = {}; gives_b_for_a = {}; };", some);
	ck_assert_msg(node_boot(&n) == 0, "%s", n.log);
	ck_assert_ptr_eq(part("wide")->maybe, &part("gives_a")->svc);
	ck_assert_ptr_eq(part("wide")->one, &part("gives_b_for_a")->svc);
	got = dk_command_named(dk_app(n.k), dk_str_c("wide.call"));
	ck_assert_ptr_nonnull(got);
	ck_assert_ptr_eq(got->in, nothing);
	ck_assert_ptr_null(got->out); /* a member that the plugin's ABI did not have reads as zero */
	begin_and_stop();

	wide.need_sz = 4;
	node_init(&n, "plugins = { wide = {}; gives_a = {}; gives_b_for_a = {}; };", some);
	ck_assert_int_eq(node_boot(&n), DK_EXIT_CONFIG);
	node_assert_said(&n, "a row of its needs has 4 bytes, which is too few");
	node_fini(&n);
}
END_TEST

UNIT_MAIN("graph", order_comes_from_needs, injection, each_in_order_of_name, older_minor, missing, wrong_version, two_of_one,
	  circle, no_plugin_of_that_name, rows_of_another_width)
