/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: a call's way through hooks and handler, answers of every kind, calls that wait, and tables of rows that are refused
 * at boot. The dispatching side is the embedding program.
 */
#include "node.h"

#include <errno.h>

struct shop {
	struct dk_self base;
	dk_id waiting; /* of the call that was deferred last */
	struct dk_step *stopping;
};

/* What the shop does next; each hook and the handler look here. */
static struct {
	const char *later; /* "before handler": stages that defer */
	const char *done_at_once; /* of these, the stage that is done by id before it returns */
	int handler, before, after; /* results */
	bool refuse_before, answer_before;
	dk_id forget; /* the handler forgets this user's calls */
	const char *forget_in;
	size_t long_answer;
} plan;

static bool has(const char *list, const char *word)
{
	return list && strstr(list, word);
}

/* The last call, as the first hook found it. */
static struct {
	struct dk_addr from;
	uint8_t origin;
} seen;

static int stage(struct shop *s, struct dk_call *call, const char *name, int rc)
{
	trace("%s", name);
	if (plan.forget && has(plan.forget_in, name))
		dk_call_forget_user(s, plan.forget);
	if (!has(plan.later, name))
		return rc;
	s->waiting = call->id;
	if (has(plan.done_at_once, name))
		dk_call_done(s, call->id, rc);
	return DK_LATER;
}

#define SHOP_COMMANDS(X, R)                                                                                                        \
	X(struct shop, 2, 1, "shop.buy", on_buy, DK_CLIENT | DK_ADMIN, "buy", DK_IN(u16(count), str16(item)),                      \
	  DK_OUT(u32(price), str16(item)))                                                                                         \
	X(struct shop, 2, 2, "shop.mine", on_mine, DK_CLIENT | DK_USER, "what a user has", DK_IN(), DK_OUT())                      \
	R(struct shop, 2, 3, "shop.echo", on_echo, DK_INTERNAL, "the payload comes back", DK_IN(rest(bytes)), DK_OUT(rest(bytes))) \
	X(struct shop, 2, 4, "shop.puffer", on_puffer, DK_CLIENT | DK_PUFFER, "both flags", DK_IN(flag(a), flag(b)),               \
	  DK_OUT(flag(a), flag(b)))

DK_COMMANDS(shop, SHOP_COMMANDS)

static int on_buy(struct shop *s, struct dk_call *call, uint16_t count, dk_str item)
{
	int rc = stage(s, call, "handler", plan.handler);

	if (rc)
		return rc;
	if (count == 0)
		return dk_refuse(call, 2001, "buy at least one %.*s", (int)item.n, item.p);
	if (count == 500)
		return dk_fail(call, 2002, "out of stock");
	return on_buy_answer(call, count * 10u, item);
}

static int on_mine(struct shop *s, struct dk_call *call)
{
	(void)s;
	trace("mine%llx", (unsigned long long)call->user);
	return 0;
}

static int on_echo(struct shop *s, struct dk_call *call)
{
	static uint8_t zeros[(10 << 20) + 1];

	(void)s;
	return dk_answer(call, plan.long_answer ? dk_slice_n(zeros, plan.long_answer) : call->payload);
}

static int on_puffer(struct shop *s, struct dk_call *call, bool a, bool b)
{
	(void)s;
	return on_puffer_answer(call, b, a);
}

static int before_any(struct shop *s, struct dk_call *call)
{
	(void)s;
	trace("any%u.%u", call->ver, call->cmd);
	seen.from = call->from;
	seen.origin = call->origin;
	return 0;
}

static int before_buy(struct shop *s, struct dk_call *call)
{
	int rc = stage(s, call, "before", plan.before);

	if (plan.refuse_before)
		return dk_refuse(call, 2003, "closed");
	if (plan.answer_before)
		return dk_answer(call, dk_slice_n("own", 3));
	return rc;
}

static int after_buy(struct shop *s, struct dk_call *call)
{
	struct dk_cursor c = dk_cursor_of(dk_call_body(call));

	trace("price%u", dk_rd_u32(&c));
	ck_assert_int_eq(dk_call_status(call), DK_STATUS_OK);
	return stage(s, call, "after", plan.after);
}

static const struct dk_hook hooks[] = { DK_HOOK_AFTER(2, 1, after_buy),
					DK_HOOK_BEFORE(2, 1, before_buy),
					DK_HOOK_BEFORE(DK_ANY_VER, DK_ANY_CMD, before_any),
					{ .fn = NULL } };
static void stop(void *self, struct dk_step *step)
{
	struct shop *s = self;

	if (has(plan.later, "stop"))
		s->stopping = step;
	else
		dk_step_done(step, 0);
}

static const struct dk_ops shop_ops = { .stop = stop };
static const struct dk_plugin_desc shop = { DK_PLUGIN_HEAD("shop", "1.0.0", ""), .self_size = sizeof(struct shop),
					    .commands = shop_commands, .hooks = hooks, .ops = &shop_ops };

/* A guard in front of the shop, and one behind it by name: hooks of other plugins. */
static int guard(struct shop *s, struct dk_call *call)
{
	(void)call;
	trace("%s", dk_instance(s));
	return 0;
}

static const struct dk_hook guard_hooks[] = { DK_HOOK_BEFORE(2, 1, guard), { .fn = NULL } };
static const struct dk_plugin_desc guards = { DK_PLUGIN_HEAD("guards", "1.0.0", ""), .self_size = sizeof(struct shop),
					      .hooks = guard_hooks };

static const struct dk_plugin_desc *const plugins[] = { &shop, &guards, NULL };
static const char config[] = "plugins = { shop = {}; };";

/* ---- the calling side ---- */

static struct node n;
static struct shop *the_shop;
static struct {
	int count, status;
	char body[128];
	size_t body_n;
	uintptr_t token;
	dk_id user;
} got;

static void finished(void *self, const struct dk_call *call, int status, dk_slice body)
{
	ck_assert_ptr_eq(self, dk_app(n.k));
	got.count++;
	got.status = status;
	got.body_n = body.n;
	if (body.n)
		memcpy(got.body, body.p, body.n < sizeof(got.body) ? body.n : sizeof(got.body));
	got.body[body.n < sizeof(got.body) ? body.n : sizeof(got.body) - 1] = '\0';
	got.token = (uintptr_t)call->priv;
	got.user = call->user;
}

static int dispatch(uint16_t cmd, enum dk_origin origin, dk_id user, uint64_t deadline, dk_slice payload)
{
	struct dk_incoming in = { .ver = 2,
				  .cmd = cmd,
				  .origin = (uint8_t)origin,
				  .user = user,
				  .deadline = deadline,
				  .payload = payload,
				  .token = 77,
				  .finish = finished };

	memset(&got, 0, sizeof(got));
	return dk_dispatch(dk_app(n.k), &in);
}

static int buy(unsigned count, const char *item)
{
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	int rc;

	dk_wr_u16(&w, (uint16_t)count);
	dk_wr_bytes16(&w, dk_slice_of(dk_str_c(item)));
	rc = dispatch(1, DK_FROM_USER, 9, 0, dk_written(&w));
	memset(buf, 0xee, sizeof(buf)); /* the payload is borrowed only until this returns */
	return rc;
}

static void serve(const char *text, const char *const *env)
{
	node_init(&n, text, plugins);
	if (env)
		n.boot.env = env;
	node_serve(&n);
	the_shop = dk_plugin_state(n.k, "shop");
}

static void over(void)
{
	node_stop(&n);
	node_fini(&n);
}

#define assert_answer(status_, text)                                                                                               \
	do {                                                                                                                       \
		ck_assert_int_eq(got.count, 1);                                                                                    \
		ck_assert_int_eq(got.status, status_);                                                                             \
		ck_assert_str_eq(got.body, text);                                                                                  \
	} while (0)

START_TEST(answered)
{
	static const uint8_t want[] = { 0, 0, 0, 30, 0, 3, 'h', 'a', 't' };

	serve(config, NULL);
	ck_assert_int_eq(buy(3, "hat"), 0);
	ck_assert_int_eq(got.count, 1);
	ck_assert_int_eq(got.status, DK_STATUS_OK);
	ck_assert_uint_eq(got.body_n, sizeof(want));
	ck_assert_mem_eq(got.body, want, sizeof(want));
	ck_assert_uint_eq(got.token, 77);
	ck_assert_uint_eq(got.user, 9);
	traced("any2.1 before handler price30 after");
	over();
}
END_TEST

START_TEST(refused_and_failed)
{
	serve(config, NULL);
	ck_assert_int_eq(buy(0, "hat"), 0);
	assert_answer(DK_STATUS_BAD, "buy at least one hat");
	traced("any2.1 before handler"); /* AFTER sees good answers only */
	buy(500, "hat");
	assert_answer(DK_STATUS_ERR, "out of stock");
	trace_text[0] = '\0';
	plan.handler = -EIO;
	buy(1, "hat");
	assert_answer(DK_STATUS_ERR, "shop.buy: Input/output error");
	plan.handler = 17; /* an outcome of some service, handed on by mistake */
	buy(1, "hat");
	assert_answer(DK_STATUS_ERR, "shop.buy: outcome 17 of a function was handed on");
	over();
}
END_TEST

START_TEST(structured_errors)
{
	static const char *const env[] = { "DIARKIS_USE_STRUCT_ERR=TRUE", NULL };

	serve(config, env);
	buy(0, "hat");
	ck_assert_int_eq(got.status, 40);
	ck_assert_uint_eq(got.body_n, 4 + strlen("buy at least one hat"));
	ck_assert_mem_eq(got.body, "\0\0\x07\xd1", 4);
	ck_assert_str_eq(got.body + 4, "buy at least one hat");
	buy(500, "hat");
	ck_assert_int_eq(got.status, 50);
	ck_assert_mem_eq(got.body, "\0\0\x07\xd2", 4);
	buy(1, "hat");
	ck_assert_int_eq(got.status, DK_STATUS_OK);
	over();
}
END_TEST

/* The codes that the kernel itself gives. */
START_TEST(codes_of_the_kernel)
{
	static const char *const env[] = { "DIARKIS_USE_STRUCT_ERR=TRUE", NULL };

	serve(config, env);
	ck_assert_int_eq(dispatch(1, DK_FROM_USER, 9, 0, dk_slice_n("\0\1\0", 3)), 0);
	ck_assert_int_eq(got.status, 40);
	ck_assert_mem_eq(got.body, "\0\0\x03\xe8", 4); /* 1000 */
	ck_assert_int_eq(dispatch(1, DK_FROM_USER, 9, 0, dk_slice_n("\0\1\0\1hx", 6)), 0);
	ck_assert_int_eq(got.status, 40);
	ck_assert_mem_eq(got.body, "\0\0\x03\xe9", 4); /* 1001 */
	plan.later = "handler";
	ck_assert_int_eq(dispatch(1, DK_FROM_CODE, 0, dk_now(the_shop) + 500, dk_slice_n("\0\1\0\1h", 5)), DK_LATER);
	node_run(&n, 700);
	ck_assert_int_eq(got.status, 50);
	ck_assert_mem_eq(got.body, "\0\0\x27\x0f", 4); /* 9999 */
	over();
}
END_TEST

/* Example P of docs/WIRE.md has such a code. */
START_TEST(codes_of_16_bits)
{
	static const char *const env[] = { "DIARKIS_USE_STRUCT_ERR=TRUE", NULL };
	char with[512];

	snprintf(with, sizeof(with), "struct_err_bits = 16; %s", config);
	serve(with, env);
	buy(0, "hat");
	ck_assert_int_eq(got.status, 40);
	ck_assert_uint_eq(got.body_n, 2 + strlen("buy at least one hat"));
	ck_assert_mem_eq(got.body,
			 "\x07\xd1"
			 "buy at least one hat",
			 got.body_n);
	over();
	serve(with, NULL); /* without the variable there is no code at all */
	buy(0, "hat");
	ck_assert_int_eq(got.status, DK_STATUS_BAD);
	ck_assert_str_eq(got.body, "buy at least one hat");
	over();
	node_init(&n, "struct_err_bits = 24; plugins = { shop = {}; };", plugins);
	ck_assert_int_eq(node_boot(&n), DK_EXIT_CONFIG);
	node_assert_said(&n, "\"struct_err_bits\" must be 32 or 16, found 24");
	node_fini(&n);
}
END_TEST

START_TEST(hostile_payloads)
{
	serve(config, NULL);
	ck_assert_int_eq(dispatch(1, DK_FROM_USER, 9, 0, dk_slice_n(NULL, 0)), 0);
	assert_answer(DK_STATUS_BAD, "shop.buy: the payload of 0 bytes ends before parameter count, or its value is not allowed");
	ck_assert_int_eq(dispatch(1, DK_FROM_USER, 9, 0, dk_slice_n("\0\1\0\7abc", 7)), 0);
	assert_answer(DK_STATUS_BAD, "shop.buy: the payload of 7 bytes ends before parameter item, or its value is not allowed");
	ck_assert_int_eq(dispatch(1, DK_FROM_USER, 9, 0, dk_slice_n("\0\1\0\1abc", 7)), 0);
	assert_answer(DK_STATUS_BAD, "shop.buy: bytes are left over after the last parameter");
	traced("any2.1 before any2.1 before any2.1 before"); /* the handler never ran */
	over();
}
END_TEST

START_TEST(who_may_call)
{
	serve(config, NULL);
	ck_assert_int_eq(dispatch(99, DK_FROM_USER, 9, 0, dk_slice_n(NULL, 0)), DK_NOT_FOUND);
	ck_assert_int_eq(dispatch(3, DK_FROM_USER, 9, 0, dk_slice_n("x", 1)), DK_NOT_FOUND); /* not for clients */
	ck_assert_int_eq(got.count, 0);
	ck_assert_int_eq(dispatch(3, DK_FROM_CODE, 0, 0, dk_slice_n("x", 1)), 0);
	assert_answer(DK_STATUS_OK, "x");
	ck_assert_int_eq(dispatch(2, DK_FROM_CODE, 0, 0, dk_slice_n(NULL, 0)), 0);
	assert_answer(DK_STATUS_BAD, "shop.mine is called by a user, and this call has none");
	trace_text[0] = '\0';
	ck_assert_int_eq(dispatch(2, DK_FROM_USER, 0xab, 0, dk_slice_n(NULL, 0)), 0);
	assert_answer(DK_STATUS_OK, "");
	traced("any2.2 mineab");
	over();
}
END_TEST

/* Another node may call what its own code may, but for rows that want a user; the call says where it came from. */
START_TEST(from_another_node)
{
	const struct dk_addr there = { .ip = { 10, 0, 0, 2 }, .port = 8000, .family = 4 };
	struct dk_incoming in = { .ver = 2,
				  .cmd = 3,
				  .origin = DK_FROM_NODE,
				  .payload = { (const uint8_t *)"x", 1 },
				  .token = 77,
				  .finish = finished,
				  .from = there };

	serve(config, NULL);
	memset(&got, 0, sizeof(got));
	ck_assert_int_eq(dk_dispatch(dk_app(n.k), &in), 0);
	assert_answer(DK_STATUS_OK, "x");
	ck_assert_int_eq(seen.origin, DK_FROM_NODE);
	ck_assert(dk_addr_eq(&seen.from, &there));
	in.cmd = 2;
	in.payload.n = 0;
	memset(&got, 0, sizeof(got));
	ck_assert_int_eq(dk_dispatch(dk_app(n.k), &in), 0);
	assert_answer(DK_STATUS_BAD, "shop.mine is called by a user, and this call has none");
	in.cmd = 99;
	ck_assert_int_eq(dk_dispatch(dk_app(n.k), &in), DK_NOT_FOUND);
	/* An operator and a task reach nothing that is between nodes. */
	ck_assert_int_eq(dispatch(3, DK_FROM_ADMIN, 0, 0, dk_slice_n("x", 1)), DK_NOT_FOUND);
	ck_assert_int_eq(dispatch(3, DK_FROM_TASK, 0, 0, dk_slice_n("x", 1)), DK_NOT_FOUND);
	ck_assert_int_eq(dispatch(3, DK_FROM_CODE, 0, 0, dk_slice_n("x", 1)), 0);
	ck_assert_uint_eq(seen.from.family, 0);
	over();
}
END_TEST

START_TEST(puffer_form)
{
	serve(config, NULL);
	ck_assert_int_eq(dispatch(4, DK_FROM_USER, 9, 0, dk_slice_n("\1\2", 2)), 0);
	assert_answer(DK_STATUS_OK, "\2\1");
	ck_assert_int_eq(dispatch(4, DK_FROM_USER, 9, 0, dk_slice_n("\1\0", 2)), 0);
	ck_assert_int_eq(got.status, DK_STATUS_BAD);
	over();
}
END_TEST

START_TEST(hooks_may_say_no)
{
	serve(config, NULL);
	plan.refuse_before = true;
	buy(1, "hat");
	assert_answer(DK_STATUS_BAD, "closed");
	traced("any2.1 before");
	plan.refuse_before = false;
	plan.before = -EACCES;
	buy(1, "hat");
	assert_answer(DK_STATUS_ERR, "shop.buy: Permission denied");
	traced("any2.1 before");
	plan.before = 0;
	plan.answer_before = true; /* in the handler's place */
	buy(1, "hat");
	assert_answer(DK_STATUS_OK, "own");
	traced("any2.1 before");
	plan.answer_before = false;
	plan.after = -EIO;
	buy(1, "hat");
	assert_answer(DK_STATUS_ERR, "shop.buy: Input/output error");
	over();
}
END_TEST

START_TEST(hooks_of_many)
{
	serve("plugins = { shop = {}; z = { use = \"guards\"; }; a = { use = \"guards\"; }; };", NULL);
	buy(3, "hat");
	traced("any2.1 a before z handler price30 after");
	over();
}
END_TEST

/* ---- calls that wait ---- */

START_TEST(each_stage_may_wait)
{
	static const char *const stages[] = { "before", "handler", "after" };

	serve(config, NULL);
	for (size_t i = 0; i < DK_ARRAY_LEN(stages); i++) {
		plan.later = stages[i];
		plan.done_at_once = NULL;
		ck_assert_int_eq(buy(3, "hat"), DK_LATER);
		ck_assert_int_eq(got.count, 0);
		node_run(&n, 1000);
		ck_assert_ptr_nonnull(dk_call_get(the_shop, the_shop->waiting));
		if (i == 1) /* whoever deferred in the handler answers as well */
			on_buy_answer(dk_call_get(the_shop, the_shop->waiting), 30, dk_str_c("hat"));
		dk_call_done(the_shop, the_shop->waiting, 0);
		ck_assert_int_eq(got.count, 1);
		ck_assert_int_eq(got.status, DK_STATUS_OK);
		ck_assert_uint_eq(got.body_n, 9);
		ck_assert_str_eq(got.body + 6, "hat"); /* kept while it waited */
		traced("any2.1 before handler price30 after");
		ck_assert_ptr_null(dk_call_get(the_shop, the_shop->waiting));
		dk_call_done(the_shop, the_shop->waiting, -EIO); /* stale is fine */
		ck_assert_int_eq(got.count, 1);

		plan.done_at_once = stages[i]; /* done by id before the stage itself returned */
		ck_assert_int_eq(buy(3, "hat"), 0);
		ck_assert_int_eq(got.count, 1);
		ck_assert_int_eq(got.status, DK_STATUS_OK);
		trace_text[0] = '\0';

		plan.done_at_once = NULL;
		ck_assert_int_eq(buy(3, "hat"), DK_LATER);
		dk_call_done(the_shop, the_shop->waiting, -EIO);
		assert_answer(DK_STATUS_ERR, "shop.buy: Input/output error");
		trace_text[0] = '\0';
	}
	over();
}
END_TEST

START_TEST(all_stages_wait)
{
	serve(config, NULL);
	plan.later = "before handler after";
	ck_assert_int_eq(buy(3, "hat"), DK_LATER);
	traced("any2.1 before");
	dk_call_done(the_shop, the_shop->waiting, 0);
	traced("handler");
	on_buy_answer(dk_call_get(the_shop, the_shop->waiting), 30, dk_str_c("hat"));
	dk_call_done(the_shop, the_shop->waiting, 0);
	traced("price30 after");
	ck_assert_int_eq(got.count, 0);
	dk_call_done(the_shop, the_shop->waiting, 0);
	ck_assert_int_eq(got.count, 1);
	ck_assert_int_eq(got.status, DK_STATUS_OK);
	over();
}
END_TEST

START_TEST(deadline)
{
	serve(config, NULL);
	plan.later = "handler";
	ck_assert_int_eq(dispatch(1, DK_FROM_CODE, 0, dk_now(the_shop) + 500, dk_slice_n("\0\1\0\1h", 5)), DK_LATER);
	node_run(&n, 400);
	ck_assert_int_eq(got.count, 0);
	node_run(&n, 300);
	assert_answer(DK_STATUS_ERR, "shop.buy: no answer before its deadline");
	dk_call_done(the_shop, the_shop->waiting, 0);
	ck_assert_int_eq(got.count, 1);
	over();
}
END_TEST

START_TEST(user_gone)
{
	serve(config, NULL);
	plan.later = "handler";
	ck_assert_int_eq(buy(3, "hat"), DK_LATER);
	dk_call_forget_user(the_shop, 8); /* another */
	ck_assert_ptr_nonnull(dk_call_get(the_shop, the_shop->waiting));
	dk_call_forget_user(the_shop, 9);
	ck_assert_ptr_null(dk_call_get(the_shop, the_shop->waiting));
	dk_call_done(the_shop, the_shop->waiting, 0);
	ck_assert_int_eq(got.count, 0); /* without an answer */
	over();
}
END_TEST

START_TEST(dropped)
{
	serve(config, NULL);
	plan.later = "handler";
	ck_assert_int_eq(buy(3, "hat"), DK_LATER);
	on_buy_answer(dk_call_get(the_shop, the_shop->waiting), 30, dk_str_c("hat"));
	traced("any2.1 before handler");
	dk_call_drop(the_shop, the_shop->waiting);
	traced("");
	ck_assert_int_eq(got.count, 1);
	ck_assert_int_eq(got.status, 0);
	ck_assert_ptr_null(dk_call_get(the_shop, the_shop->waiting));
	dk_call_drop(the_shop, the_shop->waiting);
	dk_call_done(the_shop, the_shop->waiting, 0);
	ck_assert_int_eq(got.count, 1);
	over();
}
END_TEST

/* Answered by other means: AFTER hooks alone run, see what they would have seen, and may wait. */
START_TEST(answered_elsewhere)
{
	uint8_t body[] = { 0, 0, 0, 30, 0, 3, 'h', 'a', 't' };
	struct dk_answered a = { .in = { .ver = 2, .cmd = 1, .origin = DK_FROM_ELSEWHERE, .user = 9, .finish = finished },
				 .body = dk_slice_n(body, sizeof(body)) };

	serve(config, NULL);
	memset(&got, 0, sizeof(got));
	ck_assert_int_eq(dk_dispatch(dk_app(n.k), &a.in), 0);
	traced("price30 after");
	ck_assert_int_eq(got.count, 1);
	ck_assert_int_eq(got.status, DK_STATUS_OK);
	ck_assert_uint_eq(got.body_n, sizeof(body));
	plan.later = "after";
	ck_assert_int_eq(dk_dispatch(dk_app(n.k), &a.in), DK_LATER);
	memset(body, 0xee, sizeof(body));
	traced("price30 after");
	dk_call_done(the_shop, the_shop->waiting, 0);
	ck_assert_int_eq(got.count, 2);
	ck_assert_str_eq(got.body + 6, "hat");
	a.in.cmd = 2; /* without hooks, and by a user alone */
	plan.later = NULL;
	ck_assert_int_eq(dk_dispatch(dk_app(n.k), &a.in), 0);
	ck_assert_int_eq(got.count, 3);
	ck_assert_int_eq(got.status, DK_STATUS_OK);
	traced("");
	a.in.user = 0;
	ck_assert_int_eq(dk_dispatch(dk_app(n.k), &a.in), 0);
	ck_assert_int_eq(got.status, DK_STATUS_BAD);
	a.in.cmd = 99;
	ck_assert_int_eq(dk_dispatch(dk_app(n.k), &a.in), DK_NOT_FOUND);
	over();
}
END_TEST

/* A call that waited goes on, and a later stage makes its user leave: the call is not pulled away under that stage. */
START_TEST(user_gone_by_the_call_itself)
{
	static const char *const stages[] = { "handler", "after" };

	serve(config, NULL);
	for (size_t i = 0; i < DK_ARRAY_LEN(stages); i++) {
		plan.later = "before";
		plan.forget = 9;
		plan.forget_in = stages[i];
		ck_assert_int_eq(buy(3, "hat"), DK_LATER);
		dk_call_done(the_shop, the_shop->waiting, 0);
		ck_assert_int_eq(got.count, 1);
		ck_assert_int_eq(got.status, DK_STATUS_OK);
		traced("any2.1 before handler price30 after");
	}
	over();
}
END_TEST

START_TEST(waiting_at_the_end)
{
	serve(config, NULL);
	plan.later = "handler";
	ck_assert_int_eq(buy(3, "hat"), DK_LATER);
	ck_assert_int_eq(buy(4, "cap"), DK_LATER);
	over(); /* frees them, says nothing, leaks nothing */
}
END_TEST

/* Nothing would undo what it began now. */
START_TEST(of_a_plugin_that_stopped)
{
	serve(config, NULL);
	plan.later = "stop";
	dk_stop(n.k);
	ck_assert_int_eq(node_run(&n, 100), -1);
	ck_assert_ptr_nonnull(the_shop->stopping);
	ck_assert_int_eq(buy(3, "hat"), DK_NOT_FOUND);
	traced("");
	dk_step_done(the_shop->stopping, 0);
	ck_assert_int_eq(node_run(&n, 100), 0);
	node_fini(&n);
}
END_TEST

/* ---- answers ---- */

START_TEST(answer_too_long)
{
	serve(config, NULL);
	plan.long_answer = 65536;
	ck_assert_int_eq(dispatch(3, DK_FROM_CODE, 0, 0, dk_slice_n("x", 1)), 0);
	ck_assert_int_eq(got.status, DK_STATUS_OK);
	ck_assert_uint_eq(got.body_n, 65536);
	plan.long_answer = 65537;
	ck_assert_int_eq(dispatch(3, DK_FROM_CODE, 0, 0, dk_slice_n("x", 1)), 0);
	assert_answer(DK_STATUS_ERR, "the answer is longer than 65536 bytes");
	/* Another node may get more. */
	ck_assert_int_eq(dispatch(3, DK_FROM_NODE, 0, 0, dk_slice_n("x", 1)), 0);
	ck_assert_int_eq(got.status, DK_STATUS_OK);
	ck_assert_uint_eq(got.body_n, 65537);
	plan.long_answer = 10 << 20;
	ck_assert_int_eq(dispatch(3, DK_FROM_NODE, 0, 0, dk_slice_n("x", 1)), 0);
	ck_assert_int_eq(got.status, DK_STATUS_OK);
	ck_assert_uint_eq(got.body_n, 10 << 20);
	plan.long_answer++;
	ck_assert_int_eq(dispatch(3, DK_FROM_NODE, 0, 0, dk_slice_n("x", 1)), 0);
	assert_answer(DK_STATUS_ERR, "an answer of 10485761 bytes is too long");
	over();
}
END_TEST

static void many_calls(void *self, uint64_t arg)
{
	const dk_str args[] = { dk_str_c("3"), dk_str_c("hat") };
	const char *why;

	(void)arg;
	for (int i = 0; i < 3000; i++) { /* one callback's scratch lasts for any number of calls */
		memset(&got, 0, sizeof(got));
		ck_assert_int_eq(dk_call_named(self, dk_str_c("shop.buy"), args, 2, DK_FROM_CODE, 0, finished, &why), 0);
		ck_assert_int_eq(got.status, DK_STATUS_OK);
		ck_assert_int_eq(dk_call_named(self, dk_str_c("no.such"), args, 2, DK_FROM_CODE, 0, finished, &why), DK_NOT_FOUND);
		ck_assert_int_eq(buy(0, "hat"), 0);
		ck_assert_str_eq(got.body, "buy at least one hat");
		trace_text[0] = '\0';
	}
	/* When somebody else has used it up, that is said. */
	while (dk_scratch(self, 1024))
		;
	buy(3, "hat");
	ck_assert_int_eq(got.count, 1);
	ck_assert_int_eq(got.status, DK_STATUS_ERR);
	trace("end");
}

START_TEST(scratch_lasts)
{
	serve(config, NULL);
	dk_defer(dk_app(n.k), many_calls, 0);
	node_run(&n, 10);
	ck_assert_ptr_nonnull(strstr(trace_text, "end"));
	over();
}
END_TEST

START_TEST(by_name)
{
	const dk_str args[] = { dk_str_c("3"), dk_str_c("hat"), dk_str_c("more") };
	const struct dk_command *row;
	const char *why = NULL;

	serve(config, NULL);
	ck_assert_int_eq(dk_call_named(dk_app(n.k), dk_str_c("shop.buy"), args, 3, DK_FROM_CODE, 0, finished, &why), -EINVAL);
	ck_assert_str_eq(why, "shop.buy takes 2 parameters (u16 count, str16 item), but 3 were given");
	row = dk_command_named(dk_app(n.k), dk_str_c("shop.buy"));
	ck_assert_ptr_eq(row, dk_command_find(dk_app(n.k), 2, 1));
	ck_assert_str_eq(dk_payload_text(dk_app(n.k), row->in, false, dk_slice_n("\0\3\0\3hat", 7)), "count=3 item=hat");
	ck_assert_str_eq(dk_payload_text(dk_app(n.k), row->in, false, dk_slice_n("\0\3\0\3ha", 6)), "count=3 (cut short)");
	ck_assert_str_eq(dk_payload_text(dk_app(n.k), row->in, false, dk_slice_n("\0\3\0\0ha", 6)),
			 "count=3 item= (and 2 bytes more)");
	ck_assert_ptr_null(dk_command_named(dk_app(n.k), dk_str_c("shop.sell")));
	ck_assert_ptr_null(dk_command_find(dk_app(n.k), 2, 1000));
	over();
}
END_TEST

/* ---- tables that are refused ---- */

static const struct dk_param none[] = { { 0, NULL } };
static const struct dk_param unsorted[] = { { DK_T_U8, "b" }, { DK_T_U8, "a" }, { 0, NULL } };
static const struct dk_command clash_commands[] = {
	{ 2, 0, 1, DK_RAW, "clash.number", "", (void (*)(void))on_echo, none, none },
	{ 2, 0, 50, DK_RAW, "shop.buy", "", (void (*)(void))on_echo, none, none },
	{ 2, 0, 51, DK_RAW, "clash.fine", "", (void (*)(void))on_echo, none, none },
	{ 2, 0, 51, DK_RAW, "clash.twice", "", (void (*)(void))on_echo, none, none },
	{ 1, 0, 100, DK_RAW, "clash.reserved", "", (void (*)(void))on_echo, none, none },
	{ 0, 0, 1, DK_RAW, "clash.zero", "", (void (*)(void))on_echo, none, none },
	{ 1, 0, 101, DK_RAW | DK_INTERNAL, "clash.inside", "", (void (*)(void))on_echo, none, none },
	{ DK_VER_NODE, 0, 10000, DK_RAW | DK_INTERNAL, "clash.node", "", (void (*)(void))on_echo, none, none },
	{ DK_VER_NODE, 0, 10001, DK_RAW | DK_INTERNAL, "clash.own", "", (void (*)(void))on_echo, none, none },
	{ 2, 0, 52, DK_RAW | DK_PUFFER, "clash.puffer", "", (void (*)(void))on_echo, unsorted, none },
	{ .name = NULL }
};
static const struct dk_plugin_desc clash = { DK_PLUGIN_HEAD("clash", "1.0.0", ""), .self_size = sizeof(struct shop),
					     .commands = clash_commands };

START_TEST(refused_tables)
{
	static const struct dk_plugin_desc *const both[] = { &shop, &clash, NULL };

	node_init(&n, "plugins = { clash = {}; shop = {}; };", both);
	ck_assert_int_eq(node_boot(&n), DK_EXIT_CONFIG);
	/* clash stands first in the order, so shop is the one that comes second. */
	node_assert_said(&n,
			 "shop: command shop.buy (2, 1) clashes with clash.number (2, 1) of clash; numbers and names are unique");
	node_assert_said(&n, "clash: command clash.twice (2, 51) clashes with clash.fine (2, 51) of clash");
	node_assert_said(&n, "clash: command clash.reserved is (1, 100), but versions 0 and 1 are reserved to built-in modules");
	node_assert_said(&n, "clash: command clash.zero is (0, 1), but versions 0 and 1 are reserved");
	node_assert_silent(&n, "clash.inside");
	node_assert_said(&n, "clash: command clash.node is (254, 10000), but numbers up to 10000 between nodes are reserved");
	node_assert_silent(&n, "clash.own");
	node_assert_said(&n, "clash: command clash.puffer (2, 52): puffer fields stand in alphabetical order, but a follows b");
	node_fini(&n);
}
END_TEST

START_TEST(a_name_twice)
{
	static const struct dk_command rows[] = { { 3, 0, 1, DK_RAW, "same.name", "", (void (*)(void))on_echo, none, none },
						  { 3, 0, 2, DK_RAW, "same.name", "", (void (*)(void))on_echo, none, none },
						  { .name = NULL } };
	static const struct dk_plugin_desc same = { DK_PLUGIN_HEAD("same", "1.0.0", ""), .self_size = sizeof(struct shop),
						    .commands = rows };
	static const struct dk_plugin_desc *const one[] = { &same, NULL };

	node_init(&n, "plugins = { same = {}; };", one);
	ck_assert_int_eq(node_boot(&n), DK_EXIT_CONFIG);
	node_assert_said(&n, "same: command same.name (3, 2) clashes with same.name (3, 1) of same");
	node_fini(&n);
}
END_TEST

UNIT_MAIN("command", answered, refused_and_failed, structured_errors, codes_of_the_kernel, codes_of_16_bits, hostile_payloads,
	  who_may_call, from_another_node, puffer_form, hooks_may_say_no, hooks_of_many, each_stage_may_wait, all_stages_wait,
	  deadline, user_gone, dropped, answered_elsewhere, user_gone_by_the_call_itself, waiting_at_the_end,
	  of_a_plugin_that_stopped, answer_too_long, scratch_lasts, by_name, refused_tables, a_name_twice)
