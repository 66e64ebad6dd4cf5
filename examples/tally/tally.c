/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally: counters for the whole cluster. Each has a name; whoever adds to it, on whatever node, is told the sum, and no addition is
 * lost or counted twice while nodes come, go and die: with copies, dive keeps each counter on two nodes.
 *
 *   dive = { storages = { tally = { copies = 1; }; }; };
 *   tally = { };
 *
 *   tally.add BY NAME (2, 2001), tally.get NAME (2, 2002): answer the sum
 *
 * An addition whose node died at the wrong moment may or may not have been counted: then, and only then, the answer is
 * TALLY_E_MAYBE.
 */
#include <diarkis/derror.h>
#include <diarkis/dive.h>
#include <diarkis/plugin.h>

enum {
	TALLY_E_NAME = DK_INVALID_PARAMETERS(1),
	TALLY_E_MAYBE = DK_SERVER_ERROR(2),
	TALLY_E_FAILED = DK_SERVER_ERROR(3),
	NAME = 64,
	ASKS = 65536
};

struct tally {
	struct dk_self base;
	struct dk_dive *dive;
	struct dk_pool pool;
	struct ask *asks;
	struct {
		uint64_t added, maybe, failed;
	} n;
};

/* A call that waits for dive. */
struct ask {
	struct ask *next, **at; /* of the list of all */
	dk_id call;
	enum dk_dive_op op;
	int32_t by;
	uint16_t name_n;
	bool made; /* the counter was not there, and was made */
	char name[NAME];
};

#define TALLY_COMMANDS(X, R)                                                                                                       \
	X(struct tally, 2, 2001, "tally.add", on_add, DK_CLIENT | DK_ADMIN | DK_PUFFER, "add to a counter",                        \
	  DK_IN(i32(by), str16(name)), DK_OUT(i32(sum)))                                                                           \
	X(struct tally, 2, 2002, "tally.get", on_get, DK_CLIENT | DK_ADMIN | DK_PUFFER, "read a counter", DK_IN(str16(name)),      \
	  DK_OUT(i32(sum)))
DK_COMMANDS(tally, TALLY_COMMANDS)

static void on_done(void *self, void *arg, const struct dk_dive_result *r);

static void end(struct tally *t, struct ask *a)
{
	*a->at = a->next;
	if (a->next)
		a->next->at = a->at;
	dk_pool_put(&t->pool, a);
}

static int ask_dive(struct tally *t, struct ask *a)
{
	struct dk_value zero = dk_value_i32(0);
	struct dk_dive_ask ask = { .op = a->op, .storage = dk_str_c("tally"), .key = dk_str_n(a->name, a->name_n), .a = a->by };

	if (a->op == DK_DIVE_SET_NEW) {
		ask.values = &zero;
		ask.n = 1;
	}
	return t->dive->ask(t->dive, t, &ask, on_done, a);
}

static int32_t sum_of(const struct dk_dive_result *r)
{
	struct dk_dive_list values = r->values;
	struct dk_value v;
	int64_t sum;

	return dk_dive_next(&values, &v) && dk_value_get_i64(&v, &sum) == 0 ? (int32_t)sum : 0;
}

static int answer(struct tally *t, const struct ask *a, struct dk_call *call, const struct dk_dive_result *r)
{
	if (r->rc == DK_NOT_FOUND && a->op == DK_DIVE_GET)
		return on_get_answer(call, 0); /* nobody added to it so far */
	if (r->rc == 0) {
		t->n.added += a->op == DK_DIVE_INCR;
		return on_add_answer(call, sum_of(r));
	}
	if (r->rc == DK_DIVE_MAYBE) {
		t->n.maybe++;
		return dk_fail(call, TALLY_E_MAYBE, "it may have been counted, or not");
	}
	t->n.failed++;
	return dk_fail(call, TALLY_E_FAILED, "it was not counted: outcome %d of dive", r->rc);
}

/* Increments want a number that is there; whoever comes first makes it. */
static bool make_first(struct tally *t, struct ask *a, const struct dk_dive_result *r)
{
	if (a->op == DK_DIVE_INCR && r->rc == DK_NOT_FOUND && !a->made)
		a->op = DK_DIVE_SET_NEW;
	else if (a->op == DK_DIVE_SET_NEW && (r->rc == 0 || r->rc == DK_EXISTS || r->rc == DK_DIVE_MAYBE))
		a->op = DK_DIVE_INCR;
	else
		return false;
	a->made = a->op == DK_DIVE_INCR;
	return ask_dive(t, a) == 0;
}

static void on_done(void *self, void *arg, const struct dk_dive_result *r)
{
	struct tally *t = self;
	struct ask *a = arg;
	struct dk_call *call;

	if (make_first(t, a, r))
		return;
	call = dk_call_get(t, a->call);
	if (call)
		dk_call_done(t, a->call, answer(t, a, call, r));
	end(t, a);
}

static int begin(struct tally *t, struct dk_call *call, enum dk_dive_op op, int32_t by, dk_str name)
{
	struct ask *a;
	int rc;

	if (!name.n || name.n > NAME)
		return dk_refuse(call, TALLY_E_NAME, "a counter's name has 1 to %d bytes, this one has %zu", NAME, name.n);
	a = dk_pool_get(&t->pool);
	if (!a)
		return dk_fail(call, TALLY_E_FAILED, "too many are being counted");
	a->next = t->asks;
	a->at = &t->asks;
	if (a->next)
		a->next->at = &a->next;
	t->asks = a;
	a->call = call->id;
	a->op = op;
	a->by = by;
	a->name_n = (uint16_t)name.n;
	memcpy(a->name, name.p, name.n);
	rc = ask_dive(t, a);
	if (!rc)
		return DK_LATER;
	end(t, a);
	return rc < 0 ? rc : dk_fail(call, TALLY_E_FAILED, "it was not counted: outcome %d of dive", rc);
}

static int on_add(struct tally *t, struct dk_call *call, int32_t by, dk_str name)
{
	return begin(t, call, DK_DIVE_INCR, by, name);
}

static int on_get(struct tally *t, struct dk_call *call, dk_str name)
{
	return begin(t, call, DK_DIVE_GET, 0, name);
}

/* ---- the plugin ---- */

static int tally_init(void *self)
{
	struct tally *t = self;

	dk_pool_init(t, &t->pool, sizeof(struct ask), ASKS, "asks");
	/* The configuration may have made it, with copies. */
	return t->dive->exists(t->dive, dk_str_c("tally")) ? 0 : t->dive->create(t->dive, dk_str_c("tally"), dk_str_c(NULL), 86400);
}

/* Who is still waiting will not be told. */
static void tally_fini(void *self)
{
	struct tally *t = self;

	while (t->asks)
		end(t, t->asks);
	dk_pool_fini(&t->pool);
}

static const struct dk_need tally_needs[] = { DK_NEED(struct tally, dive, DK_DIVE), { 0 } };

static const struct dk_counter tally_counters[] = { DK_COUNTER(struct tally, added, "additions done"),
						    DK_COUNTER(struct tally, maybe, "additions of which nobody knows"),
						    DK_COUNTER(struct tally, failed, "additions that were not done"),
						    { 0 } };

static const struct dk_ops tally_ops = { .init = tally_init, .fini = tally_fini };

DK_PLUGIN(tally) = {
	DK_PLUGIN_HEAD("tally", "1.0.0", "counters for the whole cluster"),
	.self_size = sizeof(struct tally),
	.needs = tally_needs,
	.commands = tally_commands,
	.counters = tally_counters,
	.ops = &tally_ops,
};
