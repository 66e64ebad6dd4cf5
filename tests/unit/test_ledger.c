/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger undoes in reverse order; signals and filters survive whatever their handlers do to them. */
#include "fake.h"

struct event {
	int n;
};

struct listener {
	struct dk_self self;
	struct dk_plugin p;
	char name;
	int calls, answer;
	void (*then)(struct listener *l);
	struct listener *other;
};

struct speaker {
	DK_SIGNAL(struct event) happened;
	DK_FILTER(struct event) may_happen;
};

static struct speaker speaker;
static char trace[64];

static void listener_init(struct fake *f, struct listener *l, char name)
{
	*l = (struct listener){ .name = name, .p = { .k = &f->k, .instance = "listener" } };
	l->self = (struct dk_self){ .magic = DK_SELF_MAGIC, .plugin = &l->p };
	l->p.self = &l->self;
}

static void put(char c)
{
	trace[strlen(trace)] = c;
}

static void on_happened(struct listener *l, const struct event *ev)
{
	ck_assert_int_eq(ev->n, 5);
	put(l->name);
	l->calls++;
	if (l->then)
		l->then(l);
}

static int on_asked(struct listener *l, struct event *ask)
{
	put(l->name);
	ask->n++;
	return l->answer;
}

static void emit(void)
{
	struct event ev = { 5 };

	trace[0] = '\0';
	memset(trace, 0, sizeof(trace));
	dk_emit(&speaker.happened, &ev);
}

static void undo(void *self, void *arg)
{
	(void)self;
	put(*(const char *)arg);
}

START_TEST(undone_in_reverse)
{
	struct fake f;
	char a = 'a', b = 'b', c = 'c';

	fake_init(&f);
	ck_assert_int_eq(dk_own(&f.self, undo, &a, "a"), 0);
	ck_assert_int_eq(dk_own(&f.self, undo, &b, "b"), 0);
	ck_assert_int_eq(dk_own(&f.self, undo, &c, "c"), 0);
	dk_disown(&f.self, undo, &b);
	dk_disown(&f.self, undo, &b);
	ledger_revoke(&f.p);
	ck_assert_str_eq(trace, "ca");
	ledger_revoke(&f.p);
	ck_assert_str_eq(trace, "ca");
	fake_fini(&f);
}
END_TEST

START_TEST(in_order_of_connection)
{
	struct fake f;
	struct listener l[3];

	fake_init(&f);
	emit(); /* nobody listens */
	ck_assert_str_eq(trace, "");
	for (int i = 0; i < 3; i++) {
		listener_init(&f, &l[i], (char)('a' + i));
		ck_assert_int_eq(dk_connect(&l[i], &speaker.happened, on_happened), 0);
	}
	emit();
	ck_assert_str_eq(trace, "abc");
	dk_disconnect(&l[1], &speaker.happened, on_happened);
	dk_disconnect(&l[1], &speaker.happened, on_happened);
	emit();
	ck_assert_str_eq(trace, "ac");
	ledger_revoke(&l[0].p);
	emit();
	ck_assert_str_eq(trace, "c");
	ledger_revoke(&l[2].p);
	ck_assert_ptr_null(speaker.happened.sig.slots);
	ck_assert_ptr_null(l[1].p.ledger);
	fake_fini(&f);
}
END_TEST

static void leave(struct listener *l)
{
	dk_disconnect(l, &speaker.happened, on_happened);
}

static void drop_other(struct listener *l)
{
	dk_disconnect(l->other, &speaker.happened, on_happened);
}

static void stop_other(struct listener *l)
{
	ledger_revoke(&l->other->p);
}

static void bring_other(struct listener *l)
{
	l->then = NULL;
	dk_connect(l->other, &speaker.happened, on_happened);
}

static void emit_again(struct listener *l)
{
	struct event ev = { 5 };

	if (l->calls < 3)
		dk_emit(&speaker.happened, &ev);
	else
		leave(l);
}

START_TEST(changes_while_emitting)
{
	struct fake f;
	struct listener l[4];

	fake_init(&f);
	for (int i = 0; i < 4; i++)
		listener_init(&f, &l[i], (char)('a' + i));
	for (int i = 0; i < 3; i++)
		dk_connect(&l[i], &speaker.happened, on_happened);

	l[0].then = leave;
	emit();
	ck_assert_str_eq(trace, "abc");
	emit();
	ck_assert_str_eq(trace, "bc");

	dk_connect(&l[0], &speaker.happened, on_happened); /* b c a */
	l[1].then = drop_other;
	l[1].other = &l[2];
	l[0].then = NULL;
	emit();
	ck_assert_str_eq(trace, "ba"); /* c went before its turn */

	l[1].then = stop_other;
	l[1].other = &l[0];
	emit();
	ck_assert_str_eq(trace, "b");

	l[1].then = bring_other;
	l[1].other = &l[3];
	emit();
	ck_assert_str_eq(trace, "b"); /* d sees the next one */
	emit();
	ck_assert_str_eq(trace, "bd");

	l[1].calls = 0;
	l[1].then = emit_again; /* inside itself, and out in the innermost */
	emit();
	ck_assert_str_eq(trace, "bbbddd");
	emit();
	ck_assert_str_eq(trace, "d");
	for (int i = 0; i < 4; i++)
		ledger_revoke(&l[i].p);
	ck_assert_ptr_null(speaker.happened.sig.slots);
	ck_assert_uint_eq(speaker.happened.sig.emitting, 0);
	fake_fini(&f);
}
END_TEST

START_TEST(first_objection_ends_the_round)
{
	struct fake f;
	struct listener l[3];
	struct event ask = { 0 };

	fake_init(&f);
	ck_assert_int_eq(dk_ask(&speaker.may_happen, &ask), 0);
	for (int i = 0; i < 3; i++) {
		listener_init(&f, &l[i], (char)('a' + i));
		dk_filter_add(&l[i], &speaker.may_happen, on_asked);
	}
	ck_assert_int_eq(dk_ask(&speaker.may_happen, &ask), 0);
	ck_assert_int_eq(ask.n, 3);
	l[1].answer = 17;
	memset(trace, 0, sizeof(trace));
	ck_assert_int_eq(dk_ask(&speaker.may_happen, &ask), 17);
	ck_assert_str_eq(trace, "ab");
	for (int i = 0; i < 3; i++)
		ledger_revoke(&l[i].p);
	fake_fini(&f);
}
END_TEST

UNIT_MAIN("ledger", undone_in_reverse, in_order_of_connection, changes_while_emitting, first_objection_ends_the_round)
