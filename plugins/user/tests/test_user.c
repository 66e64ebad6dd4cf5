/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin user in a node of its own, with clients of the transport mem and a probe: a plugin that has commands to wait for
 * and writes down every event it hears.
 */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/mem_transport.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>
#include <diarkis/user.h>

/* ---- the probe ---- */

struct probe {
	struct dk_self base;
	struct dk_user *user;
	struct {
		dk_id user, call;
	} later[8];
	size_t later_n;
	size_t ran;
};

static char events[2048];
static const char *goodbye; /* pushed to a user from inside `discarded` */
static const char *note; /* put on echo replies */

static void event(const char *fmt, ...)
{
	size_t n = strlen(events);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(events + n, sizeof(events) - n, fmt, ap);
	va_end(ap);
}

#define PROBE_COMMANDS(X, R)                                                                                                       \
	R(struct probe, 2, 1, "probe.echo", probe_echo, DK_CLIENT, "answers what it got", DK_IN(rest(text)), DK_OUT(rest(text)))   \
	R(struct probe, 2, 2, "probe.later", probe_later, DK_CLIENT | DK_USER, "answers when the test says so", DK_IN(), DK_OUT()) \
	R(struct probe, 2, 3, "probe.internal", probe_internal, DK_INTERNAL, "not for clients", DK_IN(), DK_OUT())                 \
	R(struct probe, 2, 4, "probe.quiet", probe_quiet, DK_CLIENT | DK_QUIET, "answers nothing", DK_IN(), DK_OUT())              \
	R(struct probe, 2, 5, "probe.leave", probe_leave, DK_CLIENT | DK_USER, "disconnects who calls", DK_IN(), DK_OUT())
DK_COMMANDS(probe, PROBE_COMMANDS)

static int probe_echo(struct probe *p, struct dk_call *call)
{
	p->ran++;
	return dk_answer(call, call->payload);
}

static int probe_later(struct probe *p, struct dk_call *call)
{
	ck_assert_uint_lt(p->later_n, DK_ARRAY_LEN(p->later));
	p->later[p->later_n].user = call->user;
	p->later[p->later_n++].call = call->id;
	return DK_LATER;
}

static int probe_internal(struct probe *p, struct dk_call *call)
{
	(void)call;
	p->ran++;
	return 0;
}

static int probe_quiet(struct probe *p, struct dk_call *call)
{
	p->ran++;
	return call->payload.n ? dk_refuse(call, 1, "no") : 0;
}

static int probe_leave(struct probe *p, struct dk_call *call)
{
	p->user->disconnect(p->user, call->user, DK_REASON_SERVER);
	return dk_answer(call, dk_slice_of(dk_str_c("too late")));
}

static void on_created(struct probe *p, const struct dk_user_event *ev)
{
	ck_assert(p->user->exists(p->user, ev->user));
	event("created " DK_STR_FMT "\n", DK_STR_ARG(ev->uid));
}

static void on_connected(struct probe *p, const struct dk_user_connected *ev)
{
	dk_str uid = p->user->uid(p->user, ev->user);

	event("connected " DK_STR_FMT "%s\n", DK_STR_ARG(uid), ev->again ? " again" : "");
}

static void on_discarded(struct probe *p, const struct dk_user_discarded *ev)
{
	ck_assert(dk_str_eq(p->user->uid(p->user, ev->user), ev->uid));
	event("discarded " DK_STR_FMT " %d%s\n", DK_STR_ARG(ev->uid), ev->reason, ev->was_connected ? "" : " unseen");
	if (goodbye)
		p->user->push(p->user, ev->user, 2, 9, dk_slice_of(dk_str_c(goodbye)), DK_RELIABLE);
}

static void on_sid_updated(struct probe *p, const struct dk_user_sid_updated *ev)
{
	ck_assert(p->user->exists(p->user, ev->old_user) && p->user->exists(p->user, ev->user));
	ck_assert_int_ne(memcmp(ev->old_sid, ev->sid, 16), 0);
	event("sid updated\n");
}

static void on_moved(struct probe *p, const struct dk_user_moved *ev)
{
	(void)p;
	event("moved to port %u\n", ev->addr.port);
}

static void on_keep_alive(struct probe *p, const struct dk_user_keep_alive *ev)
{
	(void)p;
	if (note)
		dk_wr_slice(ev->notes, dk_slice_of(dk_str_c(note)));
}

static int probe_init(void *self)
{
	struct probe *p = self;

	dk_connect(p, &p->user->created, on_created);
	dk_connect(p, &p->user->connected, on_connected);
	dk_connect(p, &p->user->discarded, on_discarded);
	dk_connect(p, &p->user->sid_updated, on_sid_updated);
	dk_connect(p, &p->user->moved, on_moved);
	dk_connect(p, &p->user->keep_alive, on_keep_alive);
	return 0;
}

static const struct dk_need probe_needs[] = { DK_NEED(struct probe, user, DK_USER), { 0 } };
static const struct dk_ops probe_ops = { .init = probe_init };

DK_PLUGIN(probe) = {
	DK_PLUGIN_HEAD("probe", "1", "the test's own"),
	.self_size = sizeof(struct probe),
	.needs = probe_needs,
	.commands = probe_commands,
	.ops = &probe_ops,
};

/* ---- a node and its clients ---- */

static struct dk_harness *h;
static struct dk_user *users;
static struct dk_mem *mem;
static struct probe *probe;

static void start(const char *config, const char *const *env)
{
	struct dk_harness_opts o = {
		.config = config, .seed = 1, .env = env, .plugins = (const struct dk_plugin_desc *const[]){ &dk_plugin_probe, NULL }
	};

	events[0] = '\0';
	goodbye = note = NULL;
	h = dk_harness_open(&o);
	ck_assert_ptr_nonnull(h);
	users = dk_harness_service(h, DK_USER_NAME);
	mem = dk_harness_service(h, DK_MEM_NAME);
	probe = dk_plugin_state(dk_harness_kernel(h), "probe");
	ck_assert_ptr_nonnull(probe);
}

static void setup(void)
{
	start("plugins = { user = {}; mem = {}; probe = {}; };", NULL);
}

static void teardown(void)
{
	ck_assert_int_eq(dk_harness_free(h), 0);
}

static void turn(void)
{
	dk_harness_advance(h, 1);
}

static void expect_events(const char *want)
{
	ck_assert_str_eq(events, want);
	events[0] = '\0';
}

struct client {
	dk_id user;
	uint8_t sid[16];
	struct dk_mem_client *end;
};

static void admit(struct client *c, const char *uid)
{
	struct dk_credential cred;

	ck_assert_int_eq(users->create(users, dk_str_c(uid), dk_str_c("MEM"), &cred, &c->user), 0);
	memcpy(c->sid, cred.sid, 16);
}

static void come(struct client *c, const char *uid)
{
	admit(c, uid);
	ck_assert_int_eq(mem->connect(mem, c->sid, &c->end), 0);
	turn();
}

static void say(struct client *c, uint16_t cmd, const char *text, bool reliable)
{
	ck_assert_int_eq(mem->send(mem, c->end, 2, cmd, dk_slice_of(dk_str_c(text)), reliable), 0);
}

/* The next frame as "cmd status text", '!' before it when it came reliably; "" when there is none. A push is a list of one. */
static const char *hear(struct client *c)
{
	static char text[256];
	struct dk_frame f;
	bool reliable;

	if (!mem->next(mem, c->end, &f, &reliable))
		return "";
	if (f.status == DK_STATUS_PUSH) {
		struct dk_cursor list = dk_cursor_of(f.payload);

		f.payload = dk_rd_bytes32(&list);
		ck_assert(dk_rd_done(&list));
	}
	snprintf(text, sizeof(text), "%s%u %u %.*s", reliable ? "!" : "", f.cmd, f.status, (int)f.payload.n,
		 (const char *)f.payload.p);
	return text;
}

static void finish_later(size_t i)
{
	struct dk_call *call = dk_call_get(probe, probe->later[i].call);

	ck_assert_ptr_nonnull(call);
	dk_answer(call, dk_slice_of(dk_str_c("done")));
	dk_call_done(probe, probe->later[i].call, 0);
}

static int64_t counter(const char *name)
{
	int64_t n = dk_harness_counter(h, "user", name);

	ck_assert_msg(n != INT64_MIN, "there is no counter %s", name);
	return n;
}

/* ---- life of a user ---- */

START_TEST(a_life)
{
	struct client ann = { 0 };
	struct dk_peer_info info;
	enum dk_transport_kind kind;
	uint32_t slot = 0;

	admit(&ann, "ann");
	ck_assert(!users->is_connected(users, ann.user));
	ck_assert_uint_eq(users->count(users), 1);
	ck_assert_int_eq(ann.sid[6] >> 4, 4); /* a UUID, version 4 */
	ck_assert_int_eq(mem->connect(mem, ann.sid, &ann.end), 0);
	turn();
	expect_events("created ann\nconnected ann\n");
	ck_assert(users->is_connected(users, ann.user));
	ck_assert_uint_eq(users->by_uid(users, dk_str_c("ann")), ann.user);
	ck_assert_uint_eq(users->by_uid(users, dk_str_c("an")), 0);
	ck_assert_uint_eq(users->by_sid(users, ann.sid), ann.user);
	ck_assert_mem_eq(users->sid(users, ann.user), ann.sid, 16);
	ck_assert_int_eq(users->info(users, ann.user, &info, &kind), 0);
	ck_assert(info.open && kind == DK_VIA_OTHER);
	ck_assert_uint_eq(users->next(users, &slot), ann.user);
	ck_assert_uint_eq(users->next(users, &slot), 0);

	ck_assert_int_eq(mem->close(mem, ann.end), 0);
	turn();
	expect_events("discarded ann 1\n");
	ck_assert(!users->exists(users, ann.user));
	ck_assert_uint_eq(users->by_uid(users, dk_str_c("ann")), 0);
	ck_assert_uint_eq(users->by_sid(users, ann.sid), 0);
	ck_assert_uint_eq(users->count(users), 0);
	ck_assert_int_eq(users->info(users, ann.user, &info, &kind), DK_GONE);
	ck_assert_int_eq(users->push(users, ann.user, 2, 1, dk_slice_n(NULL, 0), 0), DK_GONE);
	ck_assert_int_eq(users->disconnect(users, ann.user, DK_REASON_SERVER), DK_GONE);
	mem->free(mem, ann.end);
}
END_TEST

START_TEST(uids)
{
	char longest[DK_UID_MAX + 1];
	struct dk_credential cred;
	dk_id id, other;
	dk_str uid = dk_str_n(longest, DK_UID_MAX);

	memset(longest, 'x', sizeof(longest));
	ck_assert_int_eq(users->create(users, dk_str_c(""), dk_str_c("MEM"), &cred, &id), DK_USER_BAD_UID);
	ck_assert_int_eq(users->create(users, dk_str_c("a\nb"), dk_str_c("MEM"), &cred, &id), DK_USER_BAD_UID);
	ck_assert_int_eq(users->create(users, dk_str_n(longest, DK_UID_MAX + 1), dk_str_c("MEM"), &cred, &id), DK_USER_BAD_UID);
	ck_assert_int_eq(users->create(users, dk_str_c("ann"), dk_str_c("CARRIER PIGEON"), &cred, &id), DK_USER_NO_TRANSPORT);
	for (size_t n = 31; n <= 33; n++) { /* around what lies in the row */
		ck_assert_int_eq(users->create(users, dk_str_n(longest, n), dk_str_c("MEM"), &cred, &id), 0);
		ck_assert(dk_str_eq(users->uid(users, id), dk_str_n(longest, n)));
		ck_assert_uint_eq(users->by_uid(users, dk_str_n(longest, n)), id);
	}
	ck_assert_int_eq(users->create(users, uid, dk_str_c("MEM"), &cred, &id), 0);
	ck_assert_int_eq(users->create_blank(users, dk_str_c("blank"), &other), 0);
	ck_assert_uint_eq(users->type(users, other).n, 0);
	ck_assert(dk_str_eq(users->type(users, id), dk_str_c("MEM")));
	ck_assert_uint_eq(users->by_uid(users, uid), id);
	ck_assert_uint_eq(users->count(users), 4);
	ck_assert_int_eq(users->push(users, other, 2, 1, dk_slice_n(NULL, 0), DK_RELIABLE), 0);
	ck_assert_int_eq(users->disconnect(users, other, DK_REASON_SERVER), 0);
	ck_assert_uint_eq(users->by_uid(users, dk_str_c("blank")), 0);
}
END_TEST

START_TEST(types_of_transports)
{
	ck_assert(!dk_harness_log_has(h, "has the same type"));
	teardown();
	start("plugins = { user = {}; mem = {}; second = { use = \"mem\"; }; third = { use = \"mem\"; type = \"OWN\"; }; probe = "
	      "{}; };",
	      NULL);
	ck_assert(dk_harness_log_has(h, "second has the same type as another transport, MEM, so nobody is sent there"));
	ck_assert(!dk_harness_log_has(h, "third has"));
	ck_assert_str_eq(users->transport(users, dk_str_c("OWN"))->base.instance, "third");
	ck_assert_str_eq(users->transport(users, dk_str_c("MEM"))->base.instance, "mem");
}
END_TEST

START_TEST(who_comes_second_replaces)
{
	struct client first = { 0 }, second = { 0 };

	come(&first, "ann");
	events[0] = '\0';
	come(&second, "ann");
	expect_events("created ann\nsid updated\ndiscarded ann 6\nconnected ann\n");
	ck_assert_int_eq(mem->ended(mem, first.end), DK_REASON_REPLACED);
	ck_assert_uint_eq(users->by_uid(users, dk_str_c("ann")), second.user);
	ck_assert_uint_eq(users->count(users), 1);
	say(&second, 1, "hi", true);
	turn();
	ck_assert_str_eq(hear(&second), "!1 1 hi");
}
END_TEST

START_TEST(silence)
{
	struct client ann = { 0 }, bob = { 0 };

	admit(&ann, "ann");
	come(&bob, "bob");
	events[0] = '\0';
	dk_harness_advance(h, 9000);
	ck_assert_int_eq(mem->echo(mem, bob.end, dk_slice_n(NULL, 0)), 0);
	dk_harness_advance(h, 1500);
	expect_events("discarded ann 4 unseen\n");
	dk_harness_advance(h, 10000);
	expect_events("discarded bob 2\n");
}
END_TEST

START_TEST(last_words)
{
	struct client ann = { 0 };

	come(&ann, "ann");
	goodbye = "bye";
	users->disconnect(users, ann.user, DK_REASON_SERVER);
	ck_assert_str_eq(hear(&ann), "!9 255 bye");
	ck_assert_int_eq(mem->ended(mem, ann.end), DK_REASON_SERVER);
}
END_TEST

START_TEST(addresses_and_echoes)
{
	struct client ann = { 0 };
	struct dk_addr other = { .ip = { 10, 9, 9, 9 }, .port = 4242, .family = 4 };
	dk_slice locals = dk_slice_of(dk_str_c("0000locals"));

	come(&ann, "ann");
	events[0] = '\0';
	mem->move(mem, ann.end, &other);
	note = "note";
	mem->echo(mem, ann.end, locals);
	turn();
	expect_events("moved to port 4242\n");
	ck_assert_str_eq(hear(&ann), "1 1 note");
	ck_assert(dk_str_eq(dk_str_of(users->locals(users, ann.user)), dk_str_of(locals)));
	mem->echo(mem, ann.end, dk_slice_n(NULL, 0));
	turn();
	ck_assert_uint_eq(users->locals(users, ann.user).n, locals.n);
}
END_TEST

START_TEST(offline)
{
	struct client ann = { 0 };
	struct dk_credential cred;
	dk_id id;

	come(&ann, "ann");
	dk_stop(dk_harness_kernel(h));
	dk_harness_advance(h, 1000);
	ck_assert_int_eq(users->create(users, dk_str_c("bob"), dk_str_c("MEM"), &cred, &id), DK_REFUSED);
	/* the drain waits for her, and she is served meanwhile */
	say(&ann, 1, "still here", true);
	turn();
	ck_assert_str_eq(hear(&ann), "!1 1 still here");
	ck_assert(!dk_finished(dk_harness_kernel(h), &(int){ 0 }));
	mem->close(mem, ann.end);
	dk_harness_advance(h, 1000);
	ck_assert(dk_finished(dk_harness_kernel(h), &(int){ 0 }));
}
END_TEST

/* ---- commands ---- */

START_TEST(replies)
{
	struct client ann = { 0 };

	come(&ann, "ann");
	say(&ann, 1, "plain", false);
	say(&ann, 1, "reliable", true);
	say(&ann, 4, "", true);
	say(&ann, 4, "x", true);
	say(&ann, 3, "", true);
	say(&ann, 77, "", false);
	turn();
	ck_assert_str_eq(hear(&ann), "1 1 plain");
	ck_assert_str_eq(hear(&ann), "!1 1 reliable");
	ck_assert_str_eq(hear(&ann), "!4 4 no");
	ck_assert_str_eq(hear(&ann), "!3 4 clients have no such command here");
	ck_assert_str_eq(hear(&ann), "77 4 clients have no such command here");
	ck_assert_str_eq(hear(&ann), "");
	ck_assert_int_eq(counter("unknown"), 2);
	ck_assert_int_eq(counter("frames"), 6);
	ck_assert_uint_eq(probe->ran, 4);
}
END_TEST

START_TEST(one_at_a_time)
{
	struct client ann = { 0 }, bob = { 0 };

	come(&ann, "ann");
	come(&bob, "bob");
	say(&ann, 2, "", true);
	say(&ann, 1, "a", true);
	say(&ann, 2, "", true);
	say(&ann, 1, "b", false);
	say(&bob, 1, "not held up", true);
	turn();
	ck_assert_str_eq(hear(&ann), "");
	ck_assert_str_eq(hear(&bob), "!1 1 not held up");
	ck_assert_int_eq(counter("queued"), 3);
	ck_assert_uint_eq(probe->later_n, 1);

	finish_later(0);
	ck_assert_str_eq(hear(&ann), "!2 1 done");
	ck_assert_str_eq(hear(&ann), ""); /* not from inside the command that ended */
	turn();
	ck_assert_str_eq(hear(&ann), "!1 1 a");
	ck_assert_str_eq(hear(&ann), "");
	ck_assert_uint_eq(probe->later_n, 2);
	say(&ann, 1, "c", true);
	turn();
	ck_assert_str_eq(hear(&ann), "");

	finish_later(1);
	turn();
	ck_assert_str_eq(hear(&ann), "!2 1 done");
	ck_assert_str_eq(hear(&ann), "1 1 b");
	ck_assert_str_eq(hear(&ann), "!1 1 c");
}
END_TEST

START_TEST(a_forgotten_command)
{
	struct client ann = { 0 };

	come(&ann, "ann");
	say(&ann, 2, "", true);
	say(&ann, 1, "a", true);
	dk_harness_advance(h, 5000);
	mem->echo(mem, ann.end, dk_slice_n(NULL, 0));
	dk_harness_advance(h, 5500);
	ck_assert_str_eq(hear(&ann), "1 1 ");
	ck_assert_str_eq(hear(&ann), "!2 5 probe.later: no answer before its deadline");
	ck_assert_str_eq(hear(&ann), "!1 1 a");
}
END_TEST

START_TEST(a_full_queue)
{
	struct client ann = { 0 };

	teardown();
	start("plugins = { user = { queue_frames = 2; queue_bytes = 8; }; mem = {}; probe = {}; };", NULL);
	come(&ann, "ann");
	say(&ann, 2, "", true);
	say(&ann, 1, "1234", false);
	say(&ann, 1, "567890", false); /* too many bytes */
	say(&ann, 1, "5678", true);
	say(&ann, 1, "", false); /* too many frames */
	turn();
	ck_assert_int_eq(counter("queue_lost"), 2);
	ck_assert_int_eq(counter("queued"), 2);
	ck_assert(users->exists(users, ann.user));
	say(&ann, 1, "", true);
	turn();
	ck_assert_int_eq(counter("queue_full"), 1);
	ck_assert_int_eq(mem->ended(mem, ann.end), DK_REASON_SLOW);
	dk_call_done(probe, probe->later[0].call, 0); /* of somebody who is gone */
}
END_TEST

START_TEST(leaving_inside_a_command)
{
	struct client ann = { 0 };

	come(&ann, "ann");
	say(&ann, 5, "", true);
	say(&ann, 1, "never", true);
	turn();
	ck_assert_int_eq(mem->ended(mem, ann.end), DK_REASON_SERVER);
	ck_assert_str_eq(hear(&ann), "!6 255 "); /* the goodbye */
	ck_assert_uint_eq(probe->ran, 0);
}
END_TEST

START_TEST(leaving_with_a_command_under_way)
{
	struct client ann = { 0 };

	come(&ann, "ann");
	say(&ann, 2, "", true);
	say(&ann, 1, "waits", true);
	turn();
	mem->close(mem, ann.end);
	turn();
	ck_assert_ptr_null(dk_call_get(probe, probe->later[0].call));
	ck_assert_uint_eq(probe->ran, 0);
}
END_TEST

/* ---- pushes ---- */

START_TEST(pushes)
{
	struct client ann = { 0 }, bob = { 0 };
	dk_id to[4];

	come(&ann, "ann");
	come(&bob, "bob");
	to[0] = ann.user;
	to[1] = 0;
	to[2] = ann.user ^ (uint64_t)2 << 32; /* another generation */
	to[3] = bob.user;
	ck_assert_uint_eq(users->push_many(users, to, 4, 2, 9, dk_slice_n("\0\0\0\1x", 5), DK_LISTED, true), 2);
	ck_assert_str_eq(hear(&ann), "9 255 x");
	ck_assert_int_eq(users->respond(users, bob.user, 2, 8, DK_STATUS_OK, dk_slice_of(dk_str_c("r")), DK_RELIABLE), 0);
	ck_assert_str_eq(hear(&bob), "9 255 x");
	ck_assert_str_eq(hear(&bob), "!8 1 r");
}
END_TEST

START_TEST(who_does_not_read)
{
	struct client ann = { 0 };

	teardown();
	start("plugins = { user = {}; mem = { max_output_bytes = 100; }; probe = {}; };", NULL);
	come(&ann, "ann");
	ck_assert_int_eq(users->push(users, ann.user, 2, 9, dk_slice_n(events, 90), DK_RELIABLE), 0);
	ck_assert_int_eq(users->push(users, ann.user, 2, 9, dk_slice_n(events, 90), DK_UNRELIABLE), DK_FULL);
	turn();
	ck_assert(users->exists(users, ann.user));
	ck_assert_int_eq(users->push(users, ann.user, 2, 9, dk_slice_n(events, 90), DK_RELIABLE), DK_FULL);
	ck_assert(users->exists(users, ann.user)); /* not from inside */
	turn();
	ck_assert_int_eq(mem->ended(mem, ann.end), DK_REASON_SLOW);
	ck_assert_int_eq(counter("slow"), 1);
}
END_TEST

/* ---- client key ---- */

static void start_with_key(void)
{
	teardown();
	start("plugins = { user = {}; mem = {}; probe = {}; };", (const char *const[]){ "DIARKIS_CLIENT_KEY=demo-key", NULL });
}

static void show_key(struct client *c, const char *key, bool reliable)
{
	ck_assert_int_eq(mem->send(mem, c->end, 0, 4, dk_slice_of(dk_str_c(key)), reliable), 0);
}

START_TEST(the_key_comes_first)
{
	struct client ann = { 0 };

	start_with_key();
	come(&ann, "ann");
	say(&ann, 1, "overtakes", false);
	show_key(&ann, "demo-key", false); /* not reliable: does not count */
	show_key(&ann, "demo-key", true);
	say(&ann, 1, "a", true);
	say(&ann, 1, "b", false);
	turn();
	ck_assert_int_eq(counter("before_key"), 2);
	ck_assert_str_eq(hear(&ann), "!1 1 a");
	ck_assert_str_eq(hear(&ann), "1 1 b");
	ck_assert_str_eq(hear(&ann), "");

	/* a new connection of the same user shows it again */
	ck_assert_int_eq(mem->connect(mem, ann.sid, &ann.end), 0);
	say(&ann, 1, "c", true);
	turn();
	ck_assert_int_eq(mem->ended(mem, ann.end), DK_REASON_CLIENT_KEY);
}
END_TEST

START_TEST(wrong_keys)
{
	static const char *const wrong[] = { "", "demo-kex", "demo-ke", "demo-key1", "emo-key" };
	struct client c = { 0 };

	start_with_key();
	for (size_t i = 0; i < DK_ARRAY_LEN(wrong); i++) {
		come(&c, "ann");
		show_key(&c, wrong[i], true);
		say(&c, 1, "a", true);
		turn();
		ck_assert_int_eq(mem->ended(mem, c.end), DK_REASON_CLIENT_KEY);
		ck_assert_str_eq(hear(&c), "");
	}
	come(&c, "ann");
	say(&c, 1, "no key at all", true);
	turn();
	ck_assert_int_eq(mem->ended(mem, c.end), DK_REASON_CLIENT_KEY);
	ck_assert_int_eq(counter("wrong_key"), DK_ARRAY_LEN(wrong) + 1);
	ck_assert_uint_eq(probe->ran, 0);
	ck_assert(users->client_key_ok(users, dk_slice_of(dk_str_c("demo-key"))));
	ck_assert(!users->client_key_ok(users, dk_slice_of(dk_str_c("demo-kez"))));
}
END_TEST

START_TEST(a_key_nobody_asked_for)
{
	struct client ann = { 0 };

	come(&ann, "ann");
	show_key(&ann, "whatever", true);
	say(&ann, 1, "a", true);
	turn();
	ck_assert_str_eq(hear(&ann), "!1 1 a");
	ck_assert(users->client_key_ok(users, dk_slice_n(NULL, 0)));
}
END_TEST

/* ---- properties ---- */

START_TEST(properties)
{
	struct client ann = { 0 };
	struct dk_value v, text = { .type = DK_V_STR, .as.s = dk_str_c("x") };
	dk_str name = dk_str_c("name");

	admit(&ann, "ann");
	ck_assert_int_eq(users->get(users, ann.user, name, &v), DK_NOT_FOUND);
	ck_assert_int_eq(users->set(users, ann.user, name, &(struct dk_value){ DK_V_INT, { .i = INT64_MIN } }), 0);
	ck_assert_int_eq(users->get(users, ann.user, name, &v), 0);
	ck_assert(v.type == DK_V_INT && v.as.i == INT64_MIN);
	ck_assert_int_eq(users->set(users, ann.user, name, &(struct dk_value){ DK_V_BOOL, { .b = true } }), 0);
	ck_assert_int_eq(users->get(users, ann.user, name, &v), 0);
	ck_assert(v.type == DK_V_BOOL && v.as.b);
	ck_assert_int_eq(users->set(users, ann.user, name, &(struct dk_value){ DK_V_F64, { .f = 0.5 } }), 0);
	ck_assert_int_eq(users->get(users, ann.user, name, &v), 0);
	ck_assert(v.type == DK_V_F64 && v.as.f == 0.5);
	text.as.s = dk_str_n("a\0b", 3);
	ck_assert_int_eq(users->set(users, ann.user, name, &text), 0);
	ck_assert_int_eq(users->get(users, ann.user, name, &v), 0);
	ck_assert(v.type == DK_V_STR && dk_str_eq(v.as.s, text.as.s));
	ck_assert_int_eq(users->set(users, ann.user, name, &v), 0); /* a value set to itself */
	ck_assert_int_eq(users->set(users, ann.user, name, &(struct dk_value){ DK_V_BYTES, { .bytes = { NULL, 0 } } }), 0);
	ck_assert_int_eq(users->get(users, ann.user, name, &v), 0);
	ck_assert(v.type == DK_V_BYTES && v.as.bytes.n == 0);
	ck_assert_int_eq(users->unset(users, ann.user, name), 0);
	ck_assert_int_eq(users->unset(users, ann.user, name), DK_NOT_FOUND);
	ck_assert_int_eq(users->get(users, ann.user, name, &v), DK_NOT_FOUND);
	ck_assert_int_lt(users->set(users, ann.user, dk_str_c(""), &text), 0);
	ck_assert_int_lt(users->set(users, ann.user, name, &(struct dk_value){ .type = DK_V_NONE }), 0);
	ck_assert_int_eq(users->set(users, 0, name, &text), DK_GONE);
}
END_TEST

START_TEST(limits_of_properties)
{
	static const char big[64 * 1024];
	struct dk_value v = { .type = DK_V_BYTES, .as.bytes = dk_slice_n(big, sizeof(big) - 1) };
	struct client ann = { 0 };
	char name[16];

	admit(&ann, "ann");
	ck_assert_int_eq(users->set(users, ann.user, dk_str_c("n"), &v), 0); /* exactly all there is */
	ck_assert_int_eq(users->set(users, ann.user, dk_str_c("n"), &v), 0); /* the old one makes room */
	v.as.bytes.n = sizeof(big);
	ck_assert_int_eq(users->set(users, ann.user, dk_str_c("n"), &v), DK_FULL);
	v.as.bytes.n = 0;
	ck_assert_int_eq(users->set(users, ann.user, dk_str_c("m"), &v), DK_FULL);
	ck_assert_int_eq(users->unset(users, ann.user, dk_str_c("n")), 0);
	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		ck_assert_int_eq(users->set(users, ann.user, dk_str_c(name), &v), 0);
	}
	ck_assert_int_eq(users->set(users, ann.user, dk_str_c("one more"), &v), DK_FULL);
	ck_assert_int_eq(users->set(users, ann.user, dk_str_c("p7"), &v), 0);
	ck_assert_int_lt(users->set(users, ann.user, dk_str_n(big, 256), &v), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("user");
	TCase *t = tcase_create("user");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_life);
	tcase_add_test(t, uids);
	tcase_add_test(t, types_of_transports);
	tcase_add_test(t, who_comes_second_replaces);
	tcase_add_test(t, silence);
	tcase_add_test(t, last_words);
	tcase_add_test(t, addresses_and_echoes);
	tcase_add_test(t, offline);
	tcase_add_test(t, replies);
	tcase_add_test(t, one_at_a_time);
	tcase_add_test(t, a_forgotten_command);
	tcase_add_test(t, a_full_queue);
	tcase_add_test(t, leaving_inside_a_command);
	tcase_add_test(t, leaving_with_a_command_under_way);
	tcase_add_test(t, pushes);
	tcase_add_test(t, who_does_not_read);
	tcase_add_test(t, the_key_comes_first);
	tcase_add_test(t, wrong_keys);
	tcase_add_test(t, a_key_nobody_asked_for);
	tcase_add_test(t, properties);
	tcase_add_test(t, limits_of_properties);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
