/* SPDX-License-Identifier: Apache-2.0 */
/* Direct messages on a node by itself, without dive and without a cluster: what works there, and the code of each refusal. */
#include <check.h>
#include <stdlib.h>

#include <diarkis/dm.h>
#include <diarkis/dm_commands.h>
#include <diarkis/mem_transport.h>
#include <diarkis/test.h>

DK_PACKERS(DM_COMMANDS)

static struct dk_harness *h;
static struct dk_test_user *ann, *bob;

static int on_receiving(struct dk_self *self, struct dk_dm_message *q)
{
	(void)self;
	return q->message.n == 4; /* "veto" */
}

struct guard {
	struct dk_self base;
	struct dk_dm *dm;
};

static int guard_init(void *self)
{
	struct guard *g = self;

	return dk_filter_add(&g->base, &g->dm->receiving, on_receiving);
}

static const struct dk_need needs[] = { DK_NEED(struct guard, dm, DK_DM), { 0 } };
static const struct dk_ops ops = { .init = guard_init };

DK_PLUGIN(guard) = {
	DK_PLUGIN_HEAD("guard", "1", "says no"),
	.self_size = sizeof(struct guard),
	.needs = needs,
	.ops = &ops,
};

static void open_node(const char *config)
{
	h = dk_harness_open(
		&(const struct dk_harness_opts){ .config = config,
						 .seed = 1,
						 .plugins = (const struct dk_plugin_desc *const[]){ &dk_plugin_guard, NULL },
						 .env = (const char *const[]){ "DIARKIS_USE_STRUCT_ERR=TRUE", NULL } });
	ck_assert_ptr_nonnull(h);
	ann = dk_harness_user(h, "ann");
	bob = dk_harness_user(h, "bob");
}

static void setup(void)
{
	open_node("plugins = { user = { }; mem = { }; dm = { max_message_bytes = 100; }; guard = { }; };");
}

static void teardown(void)
{
	ck_assert_int_eq(dk_harness_free(h), 0);
}

static dk_slice letter(const char *to, const char *text)
{
	static uint8_t buf[1024];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	dm_on_send_pack(&w, dk_slice_of(dk_str_c(text)), true, dk_str_c(to));
	return dk_written(&w);
}

/* The status of the answer, and its code. */
static uint32_t code_of(uint16_t cmd, dk_slice payload, int status)
{
	struct dk_frame f;
	struct dk_error e = { .code = 0 };

	dk_test_user_send(ann, DM_VER, cmd, payload);
	ck_assert(dk_test_user_await(ann, DM_VER, cmd, &f));
	ck_assert_int_eq(f.status, status);
	if (status != DK_STATUS_OK)
		ck_assert(dk_error_unpack(f.payload, 32, &e));
	return e.code;
}

START_TEST(alone)
{
	static const uint8_t want[] = "\0\0\0\x0c\0\5hello\0\3ann";
	struct dk_frame f;

	code_of(DM_CMD_SEND, letter("bob", "hello"), DK_STATUS_OK);
	ck_assert(dk_test_user_await(bob, DM_VER, DM_CMD_SEND, &f));
	ck_assert_int_eq(f.status, DK_STATUS_PUSH);
	ck_assert_uint_eq(f.payload.n, sizeof(want) - 1);
	ck_assert_mem_eq(f.payload.p, want, sizeof(want) - 1);
	code_of(DM_CMD_CONNECT, dk_slice_n("\0\3bob", 5), DK_STATUS_OK);
	code_of(DM_CMD_DISCONNECT, dk_slice_n("\0\3bye\0\3bob", 10), DK_STATUS_OK);
	ck_assert(dk_test_user_await(bob, DM_VER, DM_CMD_DISCONNECT, &f));
}
END_TEST

START_TEST(codes)
{
	static const struct {
		const char *to, *text;
		uint32_t code;
	} cases[] = { { "zoe", "hello", DK_E_DM },
		      { "bob", "veto", DK_E_DM },
		      { "bob", "", DK_E_PARAMS },
		      { "", "hello", DK_E_PARAMS },
		      { "bob",
			"1234567890123456789012345678901234567890123456789012345678901234567890"
			"1234567890123456789012345678901",
			DK_E_DM } };

	for (size_t i = 0; i < DK_ARRAY_LEN(cases); i++)
		ck_assert_uint_eq(code_of(DM_CMD_SEND, letter(cases[i].to, cases[i].text), 40), cases[i].code);
	ck_assert_uint_eq(code_of(DM_CMD_CONNECT, dk_slice_n("\0\3zoe", 5), 40), DK_E_DM);
	ck_assert_uint_eq(code_of(DM_CMD_DISCONNECT, dk_slice_n("\0\0\0\3zoe", 7), 40), DK_E_DM);
	ck_assert_uint_eq(code_of(DM_CMD_CONNECT, dk_slice_n("\0\3z", 3), 40), DK_E_SHORT);
	ck_assert_int_eq(dk_harness_counter(h, "dm", "not_found"), 3);
}
END_TEST

/* A blank user has nobody who would hear. */
START_TEST(blank)
{
	struct dk_user *users = dk_harness_service(h, DK_USER_NAME);
	dk_id user;

	ck_assert_int_eq(users->create_blank(users, dk_str_c("ghost"), &user), 0);
	ck_assert_uint_eq(code_of(DM_CMD_SEND, letter("ghost", "boo"), 40), DK_E_DM);
}
END_TEST

/* With dive, but without nodes to spread over, nothing is looked for either. */
START_TEST(with_dive)
{
	teardown();
	open_node("plugins = { user = { }; mem = { }; dive = { }; dm = { }; guard = { }; };");
	code_of(DM_CMD_SEND, letter("bob", "hello"), DK_STATUS_OK);
	ck_assert_uint_eq(code_of(DM_CMD_SEND, letter("zoe", "hello"), 40), DK_E_DM);
	ck_assert_int_eq(dk_harness_counter(h, "dm", "looked_up"), 0);
}
END_TEST

/* The keys of the reference's dm.json load, as numbers and as text. */
START_TEST(keys_of_the_reference)
{
	teardown();
	open_node("plugins = { user = { }; mem = { }; dm = { storageTargetNodeType = \"HTTP\"; storageRingSize = 300; "
		  "storageMigration = false; storageMigrationBatchSize = \"10\"; storageMigrationInterval = 1; }; guard = { }; };");
	code_of(DM_CMD_SEND, letter("bob", "hello"), DK_STATUS_OK);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("direct messages on one node");
	TCase *t = tcase_create("alone");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, alone);
	tcase_add_test(t, codes);
	tcase_add_test(t, blank);
	tcase_add_test(t, with_dive);
	tcase_add_test(t, keys_of_the_reference);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
