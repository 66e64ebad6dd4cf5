/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users that move between two nodes of one world: what travels with them, what waits meanwhile and in which order it goes on, and
 * every way in which a move does not come about. Clients are those of the transport mem, which lose nothing.
 */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/mem_transport.h>
#include <diarkis/packed.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

#include "fake_cluster.h"

enum { NODES = 2 };

static char events[4096];

static void event(const char *fmt, ...)
{
	size_t n = strlen(events);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(events + n, sizeof(events) - n, fmt, ap);
	va_end(ap);
}

static void expect_events(const char *want)
{
	ck_assert_str_eq(events, want);
	events[0] = '\0';
}

/* ---- the probe: a module that knows something of users ---- */

struct probe_conf {
	const char *name;
};

struct probe {
	struct dk_self base;
	struct dk_user *user;
	dk_id later; /* a call that waits for the test */
	int pack_rc, unpack_rc;
	bool keep;
	const char *greet; /* pushed from inside `arrived` */
};

static const char *name_of(const struct probe *p)
{
	return ((const struct probe_conf *)p->base.conf)->name;
}

#define PROBE_COMMANDS(X, R)                                                                                                       \
	R(struct probe, 2, 1, "probe.echo", probe_echo, DK_CLIENT, "answers what it got", DK_IN(rest(text)), DK_OUT(rest(text)))   \
	R(struct probe, 2, 2, "probe.later", probe_later, DK_CLIENT | DK_USER, "answers when the test says so", DK_IN(), DK_OUT()) \
	R(struct probe, 2, 3, "probe.move", probe_move, DK_CLIENT | DK_USER | DK_QUIET, "moves who calls", DK_IN(), DK_OUT())
DK_COMMANDS(probe, PROBE_COMMANDS)

static int probe_echo(struct probe *p, struct dk_call *call)
{
	event("%s ran " DK_STR_FMT "\n", name_of(p), DK_STR_ARG(dk_str_of(call->payload)));
	return dk_answer(call, call->payload);
}

static int probe_later(struct probe *p, struct dk_call *call)
{
	p->later = call->id;
	return DK_LATER;
}

static void on_end(struct probe *p, void *arg, dk_id user, int err)
{
	(void)user;
	event("%s %s %d\n", name_of(p), (const char *)arg, err);
}
static void end_of(void *self, void *arg, dk_id user, int err)
{
	on_end(self, arg, user, err);
}

/* A command that moves its own user. */
static int probe_move(struct probe *p, struct dk_call *call)
{
	struct dk_addr to = { .family = 0 };

	for (size_t i = 0; i < fake_net.n; i++)
		if (!dk_addr_eq(dk_node_addr(p), dk_node_addr(fake_net.nodes[i])))
			to = *dk_node_addr(fake_net.nodes[i]);
	return p->user->move(p->user, p, call->user, &to, dk_str_n(NULL, 0), dk_slice_of(dk_str_c("by command")), end_of,
			     (void *)"done");
}

static int part_pack(void *self, dk_id user, struct dk_writer *w)
{
	struct probe *p = self;

	(void)user;
	if (p->pack_rc == 0)
		dk_wr_slice(w, dk_slice_of(dk_str_c("knows")));
	else
		dk_wr_u8(w, 0xff); /* of a part that is not there nothing is to be left */
	return p->pack_rc;
}

static int part_unpack(void *self, dk_id user, uint16_t version, dk_slice bytes)
{
	struct probe *p = self;

	ck_assert(p->user->exists(p->user, user));
	event("%s unpacked %u " DK_STR_FMT "\n", name_of(p), version, DK_STR_ARG(dk_str_of(bytes)));
	return p->unpack_rc;
}

static const struct dk_user_part part = { "probe", 7, part_pack, part_unpack };

static void on_created(struct probe *p, const struct dk_user_event *ev)
{
	struct dk_value v = { .type = DK_V_NONE };

	p->user->get(p->user, ev->user, dk_str_c("level"), &v);
	event("%s created " DK_STR_FMT "%s\n", name_of(p), DK_STR_ARG(ev->uid), v.type == DK_V_INT ? " with a level" : "");
}

static void on_arrived(struct probe *p, const struct dk_user_arrived *ev)
{
	ck_assert_uint_eq(ev->from.family, 4);
	event("%s arrived " DK_STR_FMT " '" DK_STR_FMT "'\n", name_of(p), DK_STR_ARG(ev->uid), DK_STR_ARG(dk_str_of(ev->note)));
	if (p->greet)
		p->user->push(p->user, ev->user, 2, 9, dk_slice_of(dk_str_c(p->greet)), DK_RELIABLE);
}

static void on_connected(struct probe *p, const struct dk_user_connected *ev)
{
	event("%s connected " DK_STR_FMT "%s\n", name_of(p), DK_STR_ARG(p->user->uid(p->user, ev->user)),
	      ev->again ? " again" : "");
}

static void on_discarded(struct probe *p, const struct dk_user_discarded *ev)
{
	event("%s discarded " DK_STR_FMT " %d\n", name_of(p), DK_STR_ARG(ev->uid), ev->reason);
	p->user->push(p->user, ev->user, 2, 9, dk_slice_of(dk_str_c("bye")), DK_RELIABLE);
}

static int on_keeping(struct probe *p, struct dk_user_keep *ask)
{
	(void)ask;
	return p->keep;
}

static int probe_init(void *self)
{
	struct probe *p = self;

	dk_connect(p, &p->user->created, on_created);
	dk_connect(p, &p->user->arrived, on_arrived);
	dk_connect(p, &p->user->connected, on_connected);
	dk_connect(p, &p->user->discarded, on_discarded);
	dk_filter_add(p, &p->user->keeping, on_keeping);
	return p->user->carry(p->user, p, &part);
}

static const struct dk_need probe_needs[] = { DK_NEED(struct probe, user, DK_USER), { 0 } };
static const struct dk_option probe_options[] = { DK_STR(struct probe_conf, name, "name", "", "in events"), { 0 } };
static const struct dk_ops probe_ops = { .init = probe_init };

DK_PLUGIN(probe) = {
	DK_PLUGIN_HEAD("probe", "1", "the test's own"),
	.self_size = sizeof(struct probe),
	.conf_size = sizeof(struct probe_conf),
	.options = probe_options,
	.needs = probe_needs,
	.commands = probe_commands,
	.ops = &probe_ops,
};

/* ---- two nodes ---- */

struct node {
	struct dk_harness *h;
	struct dk_user *users;
	struct dk_mem *mem;
	struct probe *probe;
	struct dk_addr addr;
};

static struct dk_env *world;
static struct node nodes[NODES];
static struct node *const a = &nodes[0], *const b = &nodes[1];
static const char *const *node_env; /* NULL = nothing */

static void start_node(struct node *n, const char *name, const char *more)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_probe, &dk_plugin_fake_cluster, NULL };
	char config[512];

	snprintf(config, sizeof(config),
		 "plugins = { user = { %s }; mem = {}; probe = { name = \"%s\"; }; fake_cluster = { address = \"10.0.0.%d\"; }; };",
		 more, name, name[0] - 'a' + 1);
	n->h = dk_harness_open(&(const struct dk_harness_opts){ .config = config,
								     .plugins = plugins,
								     .world = world,
								     .env = node_env });
	ck_assert_ptr_nonnull(n->h);
	n->users = dk_harness_service(n->h, DK_USER_NAME);
	n->mem = dk_harness_service(n->h, DK_MEM_NAME);
	n->probe = dk_plugin_state(dk_harness_kernel(n->h), "probe");
	n->addr = *dk_node_addr(n->probe);
}

static void start(const char *more_a, const char *more_b)
{
	world = dk_env_sim(1);
	fake_net_reset(world);
	events[0] = '\0';
	start_node(a, "a", more_a);
	start_node(b, "b", more_b);
}

static void setup(void)
{
	start("", "");
}

static void teardown(void)
{
	fake_net.lose = NULL;
	for (size_t i = 0; i < NODES; i++)
		if (nodes[i].h)
			ck_assert_int_eq(dk_harness_free(nodes[i].h), 0);
	dk_sim_run(world, 100);
	dk_env_free(world);
	memset(nodes, 0, sizeof(nodes));
}

static void pass(uint64_t ms)
{
	dk_sim_run(world, ms);
}

static int64_t counter(const struct node *n, const char *name)
{
	int64_t v = dk_harness_counter(n->h, "user", name);

	ck_assert_msg(v != INT64_MIN, "there is no counter %s", name);
	return v;
}

/* ---- clients ---- */

struct client {
	uint8_t sid[16];
	struct dk_mem_client *end;
	const struct node *at;
};

static void come(struct client *c, struct node *n, const char *uid)
{
	struct dk_credential cred;
	dk_id id;

	ck_assert_int_eq(n->users->create(n->users, dk_str_c(uid), dk_str_c("MEM"), &cred, &id), 0);
	memcpy(c->sid, cred.sid, 16);
	ck_assert_int_eq(n->mem->connect(n->mem, c->sid, &c->end), 0);
	c->at = n;
	pass(1);
	events[0] = '\0';
}

static void come_to(struct client *c, struct node *n)
{
	ck_assert_int_eq(n->mem->connect(n->mem, c->sid, &c->end), 0);
	c->at = n;
}

static dk_id user_of(const struct client *c, const struct node *n)
{
	return n->users->by_sid(n->users, c->sid);
}

static void say(const struct client *c, const char *text)
{
	ck_assert_int_eq(c->at->mem->send(c->at->mem, c->end, 2, 1, dk_slice_of(dk_str_c(text)), true), 0);
}

static void push(const struct node *n, const struct client *c, const char *text)
{
	ck_assert_int_eq(n->users->push(n->users, user_of(c, n), 2, 9, dk_slice_of(dk_str_c(text)), DK_RELIABLE), 0);
}

/* All that came since, as "cmd:status:text "; a push is a list of one. The instruction reads "go". */
static const char *hear(const struct client *c)
{
	static const uint8_t magic[] = { 0xbe, 0xef, 0xfe, 0xed, 'm', 'e', 'm', ':', '0' };
	static char text[2048];
	struct dk_frame f;
	bool reliable;
	size_t n = 0;

	text[0] = '\0';
	while (c->at->mem->next(c->at->mem, c->end, &f, &reliable)) {
		struct dk_cursor list = dk_cursor_of(f.payload);

		if (f.status == DK_STATUS_PUSH)
			f.payload = dk_rd_bytes32(&list);
		if (f.ver == 0 && f.status == DK_STATUS_PUSH) {
			ck_assert(reliable && f.payload.n == sizeof(magic) && memcmp(f.payload.p, magic, sizeof(magic)) == 0);
			f.payload = dk_slice_of(dk_str_c("go"));
		}
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%u:%u:" DK_STR_FMT " ", f.cmd, f.status,
				      DK_STR_ARG(dk_str_of(f.payload)));
	}
	return text;
}

static int move(const struct client *c)
{
	return a->users->move(a->users, a->probe, user_of(c, a), &b->addr, dk_str_n(NULL, 0), dk_slice_of(dk_str_c("note")), end_of,
			      (void *)"done");
}

static int begin(const struct client *c)
{
	return a->users->move_begin(a->users, a->probe, user_of(c, a), &b->addr, dk_str_n(NULL, 0), dk_slice_of(dk_str_c("note")),
				    end_of, (void *)"ready");
}

/* ---- a move ---- */

/* Numbers of every width, texts, bytes, arrays: of the same type there, to the last bit. */
START_TEST(every_type_travels)
{
	const struct dk_value values[] = {
		dk_value_bool(true),
		dk_value_i8(-1),
		dk_value_i16(-300),
		dk_value_i32(INT32_MIN),
		dk_value_i64(INT64_MIN),
		dk_value_u8(255),
		dk_value_u16(65535),
		dk_value_u32(UINT32_MAX),
		dk_value_u64(UINT64_MAX),
		dk_value_f32(0.1f),
		dk_value_f64(0.1),
		dk_value_str(dk_str_c("text")),
		dk_value_str(dk_str_c("")),
		dk_value_bytes(dk_slice_n("\0\xff", 2)),
		dk_value_array(DK_V_U16, dk_slice_n("\0\1\xff\xff", 4)),
		dk_value_array(DK_V_STR, dk_slice_n("\0\0\0\1a\0\0\0\0", 9)),
	};
	struct client ann;
	dk_id id;

	come(&ann, a, "ann");
	id = user_of(&ann, a);
	for (size_t i = 0; i < DK_ARRAY_LEN(values); i++) {
		char name[2] = { (char)('a' + i), '\0' };

		ck_assert_int_eq(a->users->set(a->users, id, dk_str_c(name), &values[i]), 0);
	}
	ck_assert_int_eq(move(&ann), 0);
	pass(10);
	come_to(&ann, b);
	pass(10);
	id = user_of(&ann, b);
	for (size_t i = 0; i < DK_ARRAY_LEN(values); i++) {
		char name[2] = { (char)('a' + i), '\0' };
		uint8_t was[64], is[64];
		struct dk_writer w = dk_writer_on(was, sizeof(was)), x = dk_writer_on(is, sizeof(is));
		struct dk_value v;

		ck_assert_int_eq(b->users->get(b->users, id, dk_str_c(name), &v), 0);
		ck_assert_int_eq(v.type, values[i].type);
		dk_value_write(&w, &values[i]);
		dk_value_write(&x, &v);
		ck_assert_uint_eq(dk_written(&w).n, dk_written(&x).n);
		ck_assert_mem_eq(was, is, dk_written(&w).n);
	}
}
END_TEST

START_TEST(what_travels)
{
	struct dk_value v = { .type = DK_V_INT, .as.i = -5 };
	dk_slice locals = dk_slice_of(dk_str_c("0000locals"));
	struct client ann;
	dk_id id;

	come(&ann, a, "ann");
	id = user_of(&ann, a);
	ck_assert_int_eq(a->users->set(a->users, id, dk_str_c("int"), &v), 0);
	v = (struct dk_value){ .type = DK_V_BYTES, .as.bytes = dk_slice_n("\0\1", 2) };
	ck_assert_int_eq(a->users->set(a->users, id, dk_str_c("bytes"), &v), 0);
	v = dk_value_capsule(dk_slice_n("\0\1\1a\x0a\x07", 6));
	ck_assert_int_eq(a->users->set(a->users, id, dk_str_c("capsule"), &v), 0);
	a->mem->echo(a->mem, ann.end, locals);
	pass(1);
	ck_assert_int_eq(move(&ann), 0);
	pass(10);
	ck_assert_str_eq(hear(&ann), "1:1: 2:255:go ");
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\n");
	come_to(&ann, b);
	pass(10);
	expect_events("b connected ann again\na done 0\na discarded ann 11\n");
	ck_assert_uint_eq(user_of(&ann, a), 0);
	id = user_of(&ann, b);
	ck_assert(dk_str_eq(b->users->uid(b->users, id), dk_str_c("ann")));
	ck_assert_int_eq(b->users->get(b->users, id, dk_str_c("int"), &v), 0);
	ck_assert(v.type == DK_V_INT && v.as.i == -5);
	ck_assert_int_eq(b->users->get(b->users, id, dk_str_c("bytes"), &v), 0);
	ck_assert(v.type == DK_V_BYTES && v.as.bytes.n == 2 && memcmp(v.as.bytes.p, "\0\1", 2) == 0);
	ck_assert_int_eq(b->users->get(b->users, id, dk_str_c("capsule"), &v), 0);
	ck_assert(v.type == DK_V_CAPSULE && v.as.bytes.n == 6 && memcmp(v.as.bytes.p, "\0\1\1a\x0a\x07", 6) == 0);
	ck_assert(dk_str_eq(dk_str_of(b->users->locals(b->users, id)), dk_str_of(locals)));
	say(&ann, "hi");
	pass(1);
	expect_events("b ran hi\n");
	ck_assert_str_eq(hear(&ann), "1:1:hi ");
	ck_assert_int_eq(counter(a, "move_out"), 1);
	ck_assert_int_eq(counter(b, "move_in"), 1);
	ck_assert_int_eq(counter(a, "users") + counter(b, "users"), 1);
	ck_assert_int_eq(counter(a, "move_unclean") + counter(b, "move_unclean"), 0);
}
END_TEST

/* Everything that is said and pushed while she is between the nodes, in its order. */
START_TEST(order)
{
	struct client ann, old;

	b->probe->greet = "welcome";
	come(&ann, a, "ann");
	ck_assert_int_eq(a->users->way(a->users, user_of(&ann, a)), DK_USER_STAYS);
	ck_assert_int_eq(begin(&ann), 0);
	ck_assert_int_eq(a->users->way(a->users, user_of(&ann, a)), DK_USER_LEAVES);
	say(&ann, "one");
	push(a, &ann, "before");
	pass(10);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\na ready 0\n");
	ck_assert_int_eq(a->users->move_commit(a->users, a->probe, user_of(&ann, a), end_of, (void *)"done"), 0);
	say(&ann, "two");
	push(a, &ann, "late");
	push(b, &ann, "there");
	pass(10);
	ck_assert_str_eq(hear(&ann), "9:255:before 2:255:go ");
	expect_events("");
	ck_assert_int_eq(b->users->way(b->users, user_of(&ann, b)), DK_USER_ARRIVES);
	old = ann;
	come_to(&ann, b);
	say(&ann, "three");
	say(&old, "four"); /* still on its way when she left */
	push(b, &ann, "later");
	pass(10);
	expect_events("b connected ann again\na done 0\na discarded ann 11\nb ran one\nb ran two\nb ran four\nb ran three\n");
	ck_assert_str_eq(hear(&ann), "9:255:late 9:255:welcome 9:255:there 9:255:later 1:1:one 1:1:two 1:1:four 1:1:three ");
	ck_assert_int_eq(b->users->way(b->users, user_of(&ann, b)), DK_USER_STAYS);
	ck_assert_int_eq(b->users->way(b->users, 0), DK_USER_STAYS);
	ck_assert_int_eq(counter(a, "move_held"), 3);
	ck_assert_int_eq(counter(a, "move_late"), 1);
	ck_assert_int_eq(counter(a, "move_lost") + counter(b, "move_lost"), 0);
}
END_TEST

/* A command under way ends first, and its answer leaves before the instruction. */
START_TEST(a_command_under_way)
{
	struct client ann;

	come(&ann, a, "ann");
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 2, 2, dk_slice_n(NULL, 0), true), 0);
	say(&ann, "next");
	pass(1);
	ck_assert_int_eq(move(&ann), 0);
	ck_assert_int_eq(move(&ann), DK_USER_MOVING);
	pass(100);
	expect_events("");
	dk_call_done(a->probe, a->probe->later, 0);
	pass(10);
	ck_assert_str_eq(hear(&ann), "2:1: 2:255:go ");
	come_to(&ann, b);
	pass(10);
	expect_events(
		"b unpacked 7 knows\nb arrived ann 'note'\nb connected ann again\na done 0\na discarded ann 11\nb ran next\n");
}
END_TEST

START_TEST(by_its_own_command)
{
	struct client ann;

	come(&ann, a, "ann");
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 2, 3, dk_slice_n(NULL, 0), true), 0);
	pass(10);
	ck_assert_str_eq(hear(&ann), "2:255:go ");
	come_to(&ann, b);
	pass(10);
	expect_events("b unpacked 7 knows\nb arrived ann 'by command'\nb connected ann again\na done 0\na discarded ann 11\n");
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(abort_it)
{
	struct client ann;

	come(&ann, a, "ann");
	ck_assert_int_eq(begin(&ann), 0);
	say(&ann, "held");
	pass(10);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\na ready 0\n");
	a->users->move_abort(a->users, user_of(&ann, a));
	pass(10);
	expect_events("a ran held\nb discarded ann 4\n");
	ck_assert_uint_eq(user_of(&ann, b), 0);
	ck_assert_int_eq(a->users->move_commit(a->users, a->probe, user_of(&ann, a), end_of, (void *)"done"), -EINVAL);
	/* nobody commits it: the same, with an end */
	ck_assert_int_eq(begin(&ann), 0);
	pass(6000);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\na ready 0\nb discarded ann 4\n");
	ck_assert_str_eq(hear(&ann), "1:1:held ");
	/* and in the middle of the question */
	ck_assert_int_eq(begin(&ann), 0);
	a->users->move_abort(a->users, user_of(&ann, a));
	pass(10);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\nb discarded ann 4\n");
	ck_assert_int_eq(counter(a, "move_failed"), 3);
}
END_TEST

static bool lose_arrive(uint16_t cmd)
{
	return cmd == 80;
}

static bool lose_answer(uint16_t cmd)
{
	return cmd == 0;
}

static bool lose_here(uint16_t cmd)
{
	return cmd == 84;
}

static bool lose_settle(uint16_t cmd)
{
	return cmd == 81;
}

START_TEST(refused)
{
	struct client ann, bob;

	come(&bob, b, "bob");
	come(&ann, a, "ann");
	b->probe->unpack_rc = DK_REFUSED;
	ck_assert_int_eq(move(&ann), 0);
	say(&ann, "held");
	pass(10);
	expect_events("b unpacked 7 knows\nb discarded ann 4\na done 6\na ran held\n");
	b->probe->unpack_rc = 0;
	a->probe->pack_rc = -EIO;
	ck_assert_int_eq(move(&ann), -EIO);
	a->probe->pack_rc = DK_NOT_FOUND; /* knows nothing of her */
	ck_assert_int_eq(begin(&ann), 0);
	pass(10);
	expect_events("b arrived ann 'note'\na ready 0\n");
	a->users->move_abort(a->users, user_of(&ann, a));
	a->probe->pack_rc = 0;
	pass(10);
	events[0] = '\0';
	fake_net.lose = lose_arrive;
	ck_assert_int_eq(move(&ann), 0);
	pass(2000);
	expect_events("a done -110\n");
	fake_net.lose = lose_answer;
	ck_assert_int_eq(move(&ann), 0);
	pass(2000);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\na done -110\nb discarded ann 4\n");
	ck_assert_int_eq(a->users->move(a->users, a->probe, user_of(&ann, a), &a->addr, dk_str_n(NULL, 0), dk_slice_n(NULL, 0),
					end_of, (void *)"done"),
			 -EINVAL);
	fake_net.lose = NULL;
	dk_stop(dk_harness_kernel(b->h)); /* OFFLINE takes nobody */
	ck_assert_int_eq(move(&ann), 0);
	pass(5);
	expect_events("a done 6\n");
	ck_assert_int_eq(counter(b, "move_refused"), 2);
	ck_assert_int_eq(counter(b, "users"), 1);
	say(&ann, "still");
	pass(1);
	expect_events("a ran still\n");
}
END_TEST

START_TEST(the_target_is_full)
{
	struct client ann, bob;

	teardown();
	start("", "max_users = 1;");
	come(&bob, b, "bob");
	come(&ann, a, "ann");
	ck_assert_int_eq(move(&ann), 0);
	pass(10);
	expect_events("a done 6\n");
}
END_TEST

/* TAKEN refuses new users only. */
START_TEST(the_target_is_taken)
{
	struct dk_credential cred;
	struct client ann;
	dk_id id;

	come(&ann, a, "ann");
	dk_set_taken(b->probe, true);
	ck_assert_int_eq(b->users->create(b->users, dk_str_c("bob"), dk_str_c("MEM"), &cred, &id), DK_REFUSED);
	ck_assert_int_eq(move(&ann), 0);
	pass(10);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\n");
}
END_TEST

START_TEST(the_client_vanishes)
{
	struct client ann;

	come(&ann, a, "ann");
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 2, 2, dk_slice_n(NULL, 0), true), 0);
	pass(1);
	ck_assert_int_eq(begin(&ann), 0);
	a->mem->close(a->mem, ann.end);
	pass(10);
	expect_events("a discarded ann 1\na ready 2\n");

	come(&ann, a, "ann");
	fake_net.delay_ms = 20;
	ck_assert_int_eq(begin(&ann), 0);
	pass(1);
	a->mem->close(a->mem, ann.end);
	pass(100);
	expect_events("a discarded ann 1\na ready 2\nb unpacked 7 knows\nb arrived ann 'note'\nb discarded ann 4\n");

	come(&ann, a, "ann");
	ck_assert_int_eq(begin(&ann), 0);
	pass(100);
	a->mem->close(a->mem, ann.end);
	pass(100);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\na ready 0\na discarded ann 1\nb discarded ann 4\n");

	/* Told, she ends the connection, as she should, but comes a little later: here nothing is left to wait for. */
	come(&ann, a, "ann");
	ck_assert_int_eq(move(&ann), 0);
	pass(100);
	a->mem->close(a->mem, ann.end);
	pass(1000);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\na done 0\na discarded ann 11\n");
	come_to(&ann, b);
	pass(100);
	expect_events("b connected ann again\n");
	ck_assert_int_eq(counter(a, "move_unclean"), 0);
	b->mem->close(b->mem, ann.end);
	pass(100);

	/* Told, she never comes. */
	come(&ann, a, "ann");
	ck_assert_int_eq(move(&ann), 0);
	pass(20000);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\na done 0\na discarded ann 11\nb discarded ann 4\n");

	/* Untold, she is there already: what she may not have got goes after her. */
	come(&ann, a, "ann");
	fake_net.delay_ms = 1;
	ck_assert_int_eq(begin(&ann), 0);
	pass(10);
	push(a, &ann, "read");
	come_to(&ann, b);
	pass(10);
	ck_assert_int_eq(a->users->move_commit(a->users, a->probe, user_of(&ann, a), end_of, (void *)"done"), 0);
	pass(10);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\na ready 0\nb connected ann again\na done 0\na discarded ann 11\n");
	b->mem->free(b->mem, ann.end);

	/* Told, she is thrown out: there too. */
	come(&ann, a, "ann");
	ck_assert_int_eq(move(&ann), 0);
	pass(100);
	events[0] = '\0';
	a->users->disconnect(a->users, user_of(&ann, a), DK_REASON_SERVER);
	pass(100);
	expect_events("a discarded ann 5\na done 2\nb discarded ann 4\n");
}
END_TEST

/* What the nodes tell each other is lost: nobody hangs, and it is counted. */
START_TEST(unsettled)
{
	struct client ann;

	come(&ann, a, "ann");
	fake_net.lose = lose_settle;
	ck_assert_int_eq(move(&ann), 0);
	pass(10);
	come_to(&ann, b);
	say(&ann, "held");
	push(b, &ann, "held too");
	pass(2900);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\nb connected ann again\na done 0\na discarded ann 11\n");
	ck_assert_str_eq(hear(&ann), "");
	pass(200);
	expect_events("b ran held\n");
	ck_assert_str_eq(hear(&ann), "9:255:held too 1:1:held ");
	ck_assert_int_eq(counter(b, "move_unclean"), 1);

	fake_net.lose = lose_here;
	come(&ann, a, "bob");
	ck_assert_int_eq(move(&ann), 0);
	pass(10);
	push(a, &ann, "late");
	come_to(&ann, b);
	pass(4000);
	ck_assert_int_eq(counter(b, "move_unclean"), 2);
	ck_assert_uint_ne(user_of(&ann, a), 0);
	pass(6000); /* a goes by its own clock */
	ck_assert_uint_eq(user_of(&ann, a), 0);
	ck_assert_int_eq(counter(b, "move_lost"), 1);
}
END_TEST

/* Up to 4, and 6. */
static void some_taken(struct dk_transport *t, dk_id peer, struct dk_writer *w)
{
	(void)t;
	ck_assert_uint_ne(peer, 0);
	dk_wr_u32(w, 5);
	dk_wr_u8(w, 1);
}

static void announce(const struct client *c, const void *list, size_t n)
{
	ck_assert_int_eq(c->at->mem->send(c->at->mem, c->end, 0, 7, dk_slice_n(list, n), true), 0);
}

/* A client says again what it cannot know to have come: from when it is here, before and after the other node has told. */
START_TEST(announced_again)
{
	static const uint8_t list[] = { 0, 0, 3, 1, 1, 0, 0, 4, 2, 1, 0, 0, 6, 1, 2, 0, 0, 7, 0, 1, 0xff, 0xff, 0xff, 2, 1 };
	struct client ann;

	for (int early = 0; early < 2; early++) {
		come(&ann, a, early ? "ann" : "bob");
		a->users->transport(a->users, dk_str_c("MEM"))->taken = some_taken;
		fake_net.delay_ms = early ? 20 : 0;
		ck_assert_int_eq(move(&ann), 0);
		pass(100);
		push(a, &ann, "late");
		come_to(&ann, b);
		if (!early)
			pass(10);
		announce(&ann, list, sizeof(list));
		say(&ann, "three");
		say(&ann, "four and five");
		ck_assert_int_eq(b->mem->send(b->mem, ann.end, 2, 1, dk_slice_of(dk_str_c("aside")), false), 0);
		say(&ann, "six");
		if (early)
			pass(100);
		events[0] = '\0';
		say(&ann, "six");
		say(&ann, "seven");
		say(&ann, "the last and the first");
		say(&ann, "new");
		pass(10);
		expect_events(early ? "b ran seven\nb ran new\n" :
				      "b ran four and five\nb ran aside\nb ran seven\nb ran new\n");
		ck_assert_int_eq(counter(b, "again_had"), 4 * (early + 1));
		ck_assert_int_eq(counter(b, "move_unclean"), 0);
		b->mem->close(b->mem, ann.end);
		pass(100);
	}
	fake_net.delay_ms = 0;

	/* Malformed, or when nobody expects it, it changes nothing and has no answer. */
	come(&ann, a, "cid");
	ck_assert_int_eq(move(&ann), 0);
	pass(10);
	come_to(&ann, b);
	pass(10);
	events[0] = '\0';
	announce(&ann, list, 4);
	say(&ann, "one");
	announce(&ann, list, sizeof(list));
	say(&ann, "two");
	pass(10);
	expect_events("b ran one\nb ran two\n");
	ck_assert_int_eq(counter(b, "again_bad"), 1);
	ck_assert_str_eq(hear(&ann), "1:1:one 1:1:two ");

	/* What is said without an announcement is new. */
	come(&ann, a, "dan");
	ck_assert_int_eq(move(&ann), 0);
	pass(10);
	come_to(&ann, b);
	pass(10);
	events[0] = '\0';
	say(&ann, "one");
	announce(&ann, list, sizeof(list));
	say(&ann, "two");
	pass(10);
	expect_events("b ran one\nb ran two\n");

	/* A client that begins anew owes nothing. */
	come(&ann, a, "eve");
	ck_assert_int_eq(move(&ann), 0);
	pass(10);
	come_to(&ann, b);
	pass(10);
	events[0] = '\0';
	announce(&ann, list, sizeof(list));
	come_to(&ann, b);
	say(&ann, "one");
	pass(10);
	expect_events("b connected eve again\nb ran one\n");
	ck_assert_int_eq(counter(b, "again_had"), 8);
	a->users->transport(a->users, dk_str_c("MEM"))->taken = NULL;
}
END_TEST

/* While the other node is asked. */
START_TEST(the_mover_stops)
{
	struct client ann;

	come(&ann, a, "ann");
	a->probe->keep = true;
	dk_stop(dk_harness_kernel(a->h));
	pass(9990);
	fake_net.delay_ms = 100;
	ck_assert_int_eq(begin(&ann), 0);
	ck_assert_int_eq(dk_harness_free(a->h), 0);
	a->h = NULL;
	expect_events(""); /* the probe hears no more */
	pass(1000);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\nb discarded ann 4\n");
}
END_TEST

/* Of two logins of one uid the later stands. */
START_TEST(one_uid_on_both)
{
	struct client old, young;

	come(&old, a, "ann");
	pass(2000);
	come(&young, b, "ann");
	ck_assert_int_eq(move(&old), 0);
	pass(10);
	expect_events("a done 6\n");
	ck_assert_uint_ne(user_of(&young, b), 0);
	b->mem->free(b->mem, young.end);
	a->mem->free(a->mem, old.end);

	come(&old, b, "ann");
	pass(2000);
	come(&young, a, "ann");
	ck_assert_int_eq(move(&young), 0);
	pass(10);
	expect_events("b unpacked 7 knows\nb arrived ann 'note'\nb discarded ann 6\n");
	ck_assert_uint_eq(b->users->by_uid(b->users, dk_str_c("ann")), user_of(&young, b));
}
END_TEST

START_TEST(the_client_key_was_shown)
{
	struct client ann;

	teardown();
	start("client_key = \"k\";", "client_key = \"k\";");
	come(&ann, a, "ann");
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 0, 4, dk_slice_of(dk_str_c("k")), true), 0);
	pass(1);
	ck_assert_int_eq(move(&ann), 0);
	pass(10);
	come_to(&ann, b);
	ck_assert_int_eq(b->mem->send(b->mem, ann.end, 0, 4, dk_slice_of(dk_str_c("k")), true), 0);
	say(&ann, "in");
	pass(10);
	ck_assert_ptr_nonnull(strstr(events, "b ran in\n"));
	ck_assert_int_eq(counter(b, "wrong_key"), 0);
}
END_TEST

/* ---- without a move: what another node keeps of her, for when this one dies ---- */

START_TEST(packed_and_unpacked)
{
	uint8_t bytes[1024], small[20];
	struct dk_writer w = dk_writer_on(bytes, sizeof(bytes)), too_small = dk_writer_on(small, sizeof(small));
	struct client ann, bob;
	dk_slice none = { NULL, 0 };
	dk_id id;

	come(&ann, a, "ann");
	ck_assert_int_eq(a->users->pack(a->users, user_of(&ann, a), &w), 0);
	ck_assert_int_eq(a->users->pack(a->users, user_of(&ann, a), &too_small), 0);
	ck_assert(too_small.bad);
	ck_assert_int_eq(b->users->unpack(b->users, dk_written(&w), &a->addr, none, 500, &id), 0);
	push(b, &ann, "early");
	pass(400);
	come_to(&ann, b);
	say(&ann, "here");
	pass(1);
	expect_events("b unpacked 7 knows\nb arrived ann ''\nb connected ann again\nb ran here\n");
	ck_assert_str_eq(hear(&ann), "9:255:early 1:1:here ");
	pass(1000);
	ck_assert_int_eq(b->users->unpack(b->users, dk_written(&w), &a->addr, none, 500, &id), DK_EXISTS);

	w = dk_writer_on(bytes, sizeof(bytes));
	come(&bob, a, "bob");
	ck_assert_int_eq(a->users->pack(a->users, user_of(&bob, a), &w), 0);
	ck_assert_int_eq(b->users->unpack(b->users, dk_written(&w), &a->addr, none, 500, &id), 0);
	pass(600);
	ck_assert_uint_eq(user_of(&bob, b), 0);
	for (size_t n = 0; n < dk_written(&w).n; n++) { /* no piece of it makes a user, and none is left over */
		int rc = b->users->unpack(b->users, dk_slice_n(bytes, n), &a->addr, none, 1, &id);

		ck_assert(rc != 0 || n + 18 >= dk_written(&w).n); /* its one part may be missing as a whole */
		pass(2);
		ck_assert_uint_eq(user_of(&bob, b), 0);
	}
	ck_assert_int_eq(a->users->create_blank(a->users, dk_str_c("blank"), &id), 0);
	ck_assert_int_eq(a->users->pack(a->users, id, &w), -EINVAL);
	ck_assert_int_eq(a->users->pack(a->users, 12345, &w), DK_GONE);
}
END_TEST

/* What another node says is believed no further than it is well formed. */
START_TEST(mangled)
{
	uint8_t bytes[1024], bad[1024];
	struct dk_writer w = dk_writer_on(bytes, sizeof(bytes));
	struct dk_value v = { .type = DK_V_STR, .as.s = dk_str_c("value") };
	struct client ann;
	dk_id id;

	come(&ann, a, "ann");
	ck_assert_int_eq(a->users->set(a->users, user_of(&ann, a), dk_str_c("name"), &v), 0);
	ck_assert_int_eq(a->users->pack(a->users, user_of(&ann, a), &w), 0);
	for (unsigned i = 0; i < 3000; i++) {
		size_t n = dk_written(&w).n;
		struct dk_incoming in = { .ver = DK_VER_NODE, .cmd = (uint16_t)(80 + i % 5), .origin = DK_FROM_NODE };

		memcpy(bad, bytes, n);
		for (uint64_t k = 1 + dk_sim_chance(world) % 4; k > 0; k--)
			bad[dk_sim_chance(world) % n] = (uint8_t)dk_sim_chance(world);
		b->users->unpack(b->users, dk_slice_n(bad, n), &a->addr, dk_slice_n(NULL, 0), 1, &id);
		/* and as the payload of every row between nodes */
		in.payload = dk_slice_n(bad + dk_sim_chance(world) % n, dk_sim_chance(world) % (n / 2));
		if (in.payload.p + in.payload.n > bad + n)
			in.payload.n = (size_t)(bad + n - in.payload.p);
		in.from = a->addr;
		dk_dispatch(fake_net.nodes[1], &in);
		pass(2);
		events[0] = '\0';
	}
	pass(11000); /* who was let in never came */
	ck_assert_int_eq(counter(b, "users"), 0);
}
END_TEST

/* The node of a user was taken for dead, and comes back with the user and its client. */
START_TEST(a_copy_becomes_the_user)
{
	uint8_t bytes[1024];
	struct dk_writer w = dk_writer_on(bytes, sizeof(bytes));
	struct client ann;
	dk_id id;

	come(&ann, a, "ann");
	ck_assert_int_eq(a->users->pack(a->users, user_of(&ann, a), &w), 0);
	ck_assert_int_eq(b->users->unpack(b->users, dk_written(&w), &a->addr, dk_slice_n(NULL, 0), 15000, &id), 0);
	push(b, &ann, "early");
	expect_events("b unpacked 7 knows\nb arrived ann ''\n");
	ck_assert_int_eq(begin(&ann), 0);
	say(&ann, "one");
	push(a, &ann, "before");
	pass(10);
	expect_events("b arrived ann 'note'\na ready 0\n");
	ck_assert_uint_eq(user_of(&ann, b), id);
	ck_assert_int_eq(a->users->move_commit(a->users, a->probe, user_of(&ann, a), end_of, (void *)"done"), 0);
	push(a, &ann, "late");
	push(b, &ann, "there");
	pass(10);
	ck_assert_str_eq(hear(&ann), "9:255:before 2:255:go ");
	come_to(&ann, b);
	say(&ann, "two");
	pass(10);
	expect_events("b connected ann again\na done 0\na discarded ann 11\nb ran one\nb ran two\n");
	ck_assert_str_eq(hear(&ann), "9:255:early 9:255:late 9:255:there 1:1:one 1:1:two ");
	ck_assert_int_eq(counter(b, "move_refused") + counter(a, "move_lost") + counter(b, "move_lost"), 0);
	b->mem->close(b->mem, ann.end);
	pass(10);
	events[0] = '\0';

	/* That node thinks better of it: the copy waits on. */
	come(&ann, a, "ann");
	w = dk_writer_on(bytes, sizeof(bytes));
	ck_assert_int_eq(a->users->pack(a->users, user_of(&ann, a), &w), 0);
	ck_assert_int_eq(b->users->unpack(b->users, dk_written(&w), &a->addr, dk_slice_n(NULL, 0), 15000, &id), 0);
	ck_assert_int_eq(begin(&ann), 0);
	pass(10);
	a->users->move_abort(a->users, user_of(&ann, a));
	push(b, &ann, "there");
	pass(10);
	ck_assert_uint_eq(user_of(&ann, b), id);
	come_to(&ann, b);
	say(&ann, "one");
	pass(10);
	ck_assert_str_eq(hear(&ann), "9:255:there 1:1:one ");
}
END_TEST

/* ---- by the client's wish ---- */

START_TEST(asked_by_the_client)
{
	struct client ann;

	come(&ann, a, "ann");
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 0, 5, dk_slice_of(dk_str_c("ZEPPELIN")), true), 0);
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 0, 5, dk_slice_n(NULL, 0), true), 0);
	pass(10);
	ck_assert_str_eq(hear(&ann), "5:4:no other node serves ZEPPELIN and takes users now "
				     "5:4:the payload is the type of the servers to go to, such as UDP ");
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 0, 2, dk_slice_n(NULL, 0), true), 0);
	say(&ann, "next");
	pass(10);
	ck_assert_str_eq(hear(&ann), "2:255:go ");
	come_to(&ann, b);
	pass(10);
	ck_assert_str_eq(hear(&ann), "1:1:next ");
	ck_assert_int_eq(b->mem->send(b->mem, ann.end, 0, 5, dk_slice_of(dk_str_c("MEM")), true), 0);
	pass(10);
	ck_assert_str_eq(hear(&ann), "2:255:go ");
	come_to(&ann, a);
	pass(10);
	a->probe->unpack_rc = b->probe->unpack_rc = DK_REFUSED;
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 0, 2, dk_slice_n(NULL, 0), true), 0);
	say(&ann, "after");
	pass(10);
	ck_assert_str_eq(hear(&ann), "2:5:the other node did not take the user in; ask again 1:1:after ");
	dk_set_taken(b->probe, true);
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 0, 2, dk_slice_n(NULL, 0), true), 0);
	pass(10);
	ck_assert_str_eq(hear(&ann), "2:4:no other node serves MEM and takes users now ");
}
END_TEST

/* The code of the one answer that has come, which is of that command and status. */
static uint32_t code_of(const struct client *c, uint16_t cmd, uint8_t status)
{
	struct dk_cursor body;
	struct dk_frame f;
	bool reliable;

	ck_assert(c->at->mem->next(c->at->mem, c->end, &f, &reliable));
	ck_assert_uint_eq(f.cmd, cmd);
	ck_assert_uint_eq(f.status, status);
	body = dk_cursor_of(f.payload);
	return dk_rd_u32(&body);
}

static bool lose_all(uint16_t cmd)
{
	(void)cmd;
	return true;
}

START_TEST(codes)
{
	static const char *const env[] = { "DIARKIS_USE_STRUCT_ERR=TRUE", NULL };
	struct client ann;

	teardown();
	node_env = env;
	setup();
	come(&ann, a, "ann");
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 0, 5, dk_slice_n(NULL, 0), true), 0);
	pass(10);
	ck_assert_uint_eq(code_of(&ann, 5, 40), DK_E_PARAMS);
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 0, 5, dk_slice_of(dk_str_c("ZEPPELIN")), true), 0);
	pass(10);
	ck_assert_uint_eq(code_of(&ann, 5, 40), DK_E_USER_MIGRATE);
	b->probe->unpack_rc = DK_REFUSED;
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 0, 2, dk_slice_n(NULL, 0), true), 0);
	pass(10);
	ck_assert_uint_eq(code_of(&ann, 2, 50), DK_E_USER_MIGRATE);
	b->probe->unpack_rc = 0;
	fake_net.lose = lose_all;
	ck_assert_int_eq(a->mem->send(a->mem, ann.end, 0, 2, dk_slice_n(NULL, 0), true), 0);
	pass(10000);
	ck_assert_uint_eq(code_of(&ann, 2, 50), DK_E_NODE_NOT_FOUND);
	node_env = NULL;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("moves of users");
	TCase *t = tcase_create("move");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_travels);
	tcase_add_test(t, every_type_travels);
	tcase_add_test(t, order);
	tcase_add_test(t, a_command_under_way);
	tcase_add_test(t, by_its_own_command);
	tcase_add_test(t, abort_it);
	tcase_add_test(t, refused);
	tcase_add_test(t, the_target_is_full);
	tcase_add_test(t, the_target_is_taken);
	tcase_add_test(t, the_client_vanishes);
	tcase_add_test(t, unsettled);
	tcase_add_test(t, announced_again);
	tcase_add_test(t, the_mover_stops);
	tcase_add_test(t, one_uid_on_both);
	tcase_add_test(t, the_client_key_was_shown);
	tcase_add_test(t, packed_and_unpacked);
	tcase_add_test(t, mangled);
	tcase_add_test(t, a_copy_becomes_the_user);
	tcase_add_test(t, asked_by_the_client);
	tcase_add_test(t, codes);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
