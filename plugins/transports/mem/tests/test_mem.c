/* SPDX-License-Identifier: Apache-2.0 */
/* The transport mem under a sink of the test's own: what a transport promises, and what its clients see. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/mem_transport.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>

/* A plugin in the place of user: it writes down what the transport tells. */
struct sink {
	struct dk_self base;
	struct dk_transport *transport;
	struct dk_peer_sink sink;
	const char *close_in;
};

static char events[1024];
static struct dk_mem_client *freed_in_frame;
static struct dk_mem *mem;

static void event(const char *fmt, ...)
{
	size_t n = strlen(events);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(events + n, sizeof(events) - n, fmt, ap);
	va_end(ap);
}

static void maybe_close(struct sink *s, dk_id peer, const char *in)
{
	if (s->close_in && !strcmp(s->close_in, in))
		s->transport->close(s->transport, peer, DK_REASON_SERVER);
}

static void on_opened(void *self, uint64_t user, dk_id peer, const struct dk_addr *from, bool again)
{
	ck_assert_uint_eq(from->family, 4);
	event("opened %d%s\n", (int)user, again ? " again" : "");
	maybe_close(self, peer, "opened");
}

static void on_frame(void *self, uint64_t user, dk_id peer, const struct dk_frame *f, bool reliable)
{
	event("frame %d %u.%u " DK_STR_FMT "%s\n", (int)user, f->ver, f->cmd, DK_STR_ARG(dk_str_of(f->payload)),
	      reliable ? "!" : "");
	maybe_close(self, peer, "frame");
	mem->free(mem, freed_in_frame);
	freed_in_frame = NULL;
}

static void on_moved(void *self, uint64_t user, dk_id peer, const struct dk_addr *from)
{
	(void)self;
	(void)peer;
	event("moved %d %u\n", (int)user, from->port);
}

static void on_closed(void *self, uint64_t user, dk_id peer, enum dk_reason reason)
{
	event("closed %d %d\n", (int)user, reason);
	maybe_close(self, peer, "closed"); /* once more, from inside */
}

static size_t on_echo(void *self, uint64_t user, dk_id peer, dk_slice locals, uint8_t *dst, size_t cap)
{
	event("echo %d " DK_STR_FMT "\n", (int)user, DK_STR_ARG(dk_str_of(locals)));
	maybe_close(self, peer, "echo");
	ck_assert_uint_ge(cap, 4);
	memcpy(dst, "note", 4);
	return 4;
}

static int sink_init(void *self)
{
	struct sink *s = self;

	s->sink = (struct dk_peer_sink){ s, on_opened, on_frame, on_moved, on_closed, on_echo };
	ck_assert_int_eq(s->transport->attach(s->transport, &s->sink), 0);
	ck_assert_int_eq(s->transport->attach(s->transport, &s->sink), DK_EXISTS);
	return 0;
}

static const struct dk_need sink_needs[] = { DK_NEED(struct sink, transport, DK_TRANSPORT), { 0 } };
static const struct dk_ops sink_ops = { .init = sink_init };

DK_PLUGIN(sink) = {
	DK_PLUGIN_HEAD("sink", "1", "the test's own"),
	.self_size = sizeof(struct sink),
	.needs = sink_needs,
	.ops = &sink_ops,
};

static struct dk_harness *h;
static struct dk_transport *transport;
static struct sink *sink;

static void setup(void)
{
	events[0] = '\0';
	h = dk_harness_new("plugins = { mem = { max_output_bytes = 20; }; sink = {}; };", 1, &dk_plugin_sink);
	ck_assert_ptr_nonnull(h);
	transport = dk_harness_service(h, DK_TRANSPORT_NAME);
	mem = dk_harness_service(h, DK_MEM_NAME);
	sink = dk_plugin_state(dk_harness_kernel(h), "sink");
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

static dk_id admit(uint8_t name)
{
	struct dk_credential cred = { .sid = { name } };
	dk_id peer;

	ck_assert_int_eq(transport->admit(transport, &cred, name, &peer), 0);
	ck_assert_int_eq(transport->admit(transport, &cred, name, &peer), DK_EXISTS);
	return peer;
}

static struct dk_mem_client *come(uint8_t name)
{
	struct dk_mem_client *c;

	ck_assert_int_eq(mem->connect(mem, (const uint8_t[16]){ name }, &c), 0);
	return c;
}

static int push(dk_id peer, const char *text, unsigned how)
{
	struct dk_frame f = { .ver = 2, .status = DK_STATUS_PUSH, .cmd = 9, .payload = dk_slice_of(dk_str_c(text)) };

	return transport->send(transport, peer, &f, how);
}

static void say(struct dk_mem_client *c, const char *text)
{
	ck_assert_int_eq(mem->send(mem, c, 2, 1, dk_slice_of(dk_str_c(text)), true), 0);
}

START_TEST(both_ways)
{
	dk_id peer = admit(1);
	struct dk_mem_client *c = come(1), *nobody;
	struct dk_peer_info info;
	struct dk_frame f;
	bool reliable;

	ck_assert_int_eq(mem->connect(mem, (const uint8_t[16]){ 2 }, &nobody), DK_NOT_FOUND);
	ck_assert_int_eq(push(peer, "early", DK_RELIABLE), 0);
	say(c, "a");
	mem->echo(mem, c, dk_slice_of(dk_str_c("locals")));
	mem->send(mem, c, 2, 1, dk_slice_of(dk_str_c("b")), false);
	mem->move(mem, c, &(struct dk_addr){ .family = 4, .port = 7 });
	expect_events(""); /* only in a turn */
	turn();
	expect_events("opened 1\nframe 1 2.1 a!\necho 1 locals\nframe 1 2.1 b\nmoved 1 7\n");
	ck_assert(mem->next(mem, c, &f, &reliable));
	ck_assert(reliable && f.payload.n == 9 && !memcmp(f.payload.p, "\0\0\0\5early", 9));
	ck_assert(mem->next(mem, c, &f, &reliable));
	ck_assert(!reliable && f.ver == 0 && f.cmd == 1 && f.payload.n == 4);
	ck_assert(!mem->next(mem, c, &f, &reliable));
	ck_assert_int_eq(transport->info(transport, peer, &info), 0);
	ck_assert(info.open && info.addr.port == 7);
	transport->flush(transport, peer);
	transport->flush(transport, 0);
}
END_TEST

START_TEST(too_much)
{
	dk_id peer = admit(1);
	struct dk_mem_client *c = come(1);
	struct dk_frame f;
	uint64_t frames, bytes;

	turn();
	ck_assert_int_eq(push(peer, "0123456789", 0), 0);
	ck_assert_int_eq(push(peer, "0123456789", 0), DK_FULL);
	ck_assert(mem->next(mem, c, &f, NULL));
	ck_assert_int_eq(push(peer, "0123456789", 0), 0);
	mem->mute(mem, c, true);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(push(peer, "0123456789", 0), 0);
	mem->received(mem, c, &frames, &bytes);
	ck_assert_uint_eq(frames, 13);
	ck_assert_uint_eq(bytes, 13 * 14);
	ck_assert_int_eq(dk_harness_counter(h, "mem", "full"), 1);
}
END_TEST

START_TEST(a_second_client_takes_over)
{
	struct dk_mem_client *first, *second;
	dk_id peer = admit(1);

	first = come(1);
	turn();
	second = come(1);
	turn();
	say(second, "x");
	ck_assert_int_eq(mem->send(mem, first, 2, 1, dk_slice_n(NULL, 0), true), DK_GONE);
	turn();
	expect_events("opened 1\nopened 1 again\nframe 1 2.1 x!\n");
	ck_assert_int_eq(mem->ended(mem, first), DK_REASON_REPLACED);
	mem->free(mem, first); /* is nobody's any more */
	ck_assert_int_eq(push(peer, "x", 0), 0);
	transport->close(transport, peer, DK_REASON_SLOW);
	expect_events("closed 1 8\n");
	ck_assert_int_eq(mem->ended(mem, second), DK_REASON_SLOW);
	ck_assert(mem->next(mem, second, &(struct dk_frame){ 0 }, NULL)); /* what was sent last can be read */
	transport->close(transport, peer, DK_REASON_SLOW);
	expect_events("");
}
END_TEST

START_TEST(silence)
{
	struct dk_mem_client *c;

	admit(1);
	admit(2);
	c = come(1);
	dk_harness_advance(h, 6000);
	mem->echo(mem, c, dk_slice_n(NULL, 0));
	dk_harness_advance(h, 4500);
	expect_events("opened 1\necho 1 \nclosed 2 4\n");
	dk_harness_advance(h, 6000);
	expect_events("closed 1 2\n");
}
END_TEST

START_TEST(closing)
{
	static const char *const in[] = { "opened", "frame", "echo", "closed" };
	struct dk_mem_client *c;
	dk_id peer;

	for (size_t i = 0; i < DK_ARRAY_LEN(in); i++) {
		sink->close_in = in[i];
		peer = admit(1);
		c = come(1);
		say(c, "x");
		mem->echo(mem, c, dk_slice_n(NULL, 0));
		mem->close(mem, c);
		turn();
		ck_assert_int_eq(mem->ended(mem, c), i < 3 ? DK_REASON_SERVER : DK_REASON_CLIENT);
		ck_assert_int_eq(push(peer, "x", 0), DK_GONE);
		ck_assert_int_eq(mem->send(mem, c, 2, 1, dk_slice_n(NULL, 0), true), DK_GONE);
		mem->free(mem, c);
	}
	ck_assert_int_eq(dk_harness_counter(h, "mem", "peers"), 0);
}
END_TEST

START_TEST(freed_with_something_under_way)
{
	struct dk_mem_client *c;

	admit(1);
	c = come(1);
	mem->free(mem, c); /* before its connect was handled */
	turn();
	expect_events("");
	c = come(1);
	say(c, "x");
	say(c, "never");
	freed_in_frame = c;
	turn();
	expect_events("opened 1\nframe 1 2.1 x!\nclosed 1 1\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mem");
	TCase *t = tcase_create("mem");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, both_ways);
	tcase_add_test(t, too_much);
	tcase_add_test(t, a_second_client_takes_over);
	tcase_add_test(t, silence);
	tcase_add_test(t, closing);
	tcase_add_test(t, freed_with_something_under_way);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
