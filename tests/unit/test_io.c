/* SPDX-License-Identifier: Apache-2.0 */
/* Timers, sockets, streams and jobs as plugins see them, in the simulated world. */
#include "kernel/kernel.h"

#include "probe.h"
#include "unit.h"

static const char config[] = "plugins = { probe = {}; };";
static const char two_probes[] = "plugins = { probe = {}; other = { use = \"probe\"; }; };";

static struct probe *probe_in(struct dk_harness *h, const char *instance)
{
	struct probe *p = dk_plugin_state(dk_harness_kernel(h), instance);

	ck_assert_ptr_nonnull(p);
	return p;
}

static struct dk_harness *begin(struct probe **ret_probe)
{
	struct dk_harness *h = dk_harness_new(config, 1, &dk_plugin_probe);

	ck_assert_ptr_nonnull(h);
	*ret_probe = probe_in(h, "probe");
	return h;
}

static int64_t count_of(struct dk_harness *h, const char *name)
{
	return dk_harness_counter(h, "app", name);
}

static dk_slice text(const char *s)
{
	return dk_slice_of(dk_str_c(s));
}

/* ---- time ---- */

static void count_tick(void *self, struct dk_timer *t)
{
	struct probe *p = self;

	p->ticks++;
	if (p->ticks == 5)
		dk_timer_stop(t);
}

static void arm_again(void *self, struct dk_timer *t)
{
	((struct probe *)self)->ticks++;
	ck_assert(!dk_timer_armed(t));
	dk_timer_start(self, t, 0, 0, arm_again);
}

START_TEST(timers)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);

	dk_timer_start(p, &p->timer, 10, 0, count_tick);
	dk_harness_advance(h, 9);
	ck_assert_uint_eq(p->ticks, 0);
	dk_harness_advance(h, 1);
	ck_assert_uint_eq(p->ticks, 1);
	ck_assert(!dk_timer_armed(&p->timer));
	dk_harness_advance(h, 1000);
	ck_assert_uint_eq(p->ticks, 1);

	dk_timer_start(p, &p->timer, 50, 0, count_tick); /* moved: later, then earlier */
	dk_timer_start(p, &p->timer, 100, 0, count_tick);
	dk_harness_advance(h, 99);
	ck_assert_uint_eq(p->ticks, 1);
	dk_timer_start(p, &p->timer, 1, 0, count_tick);
	dk_harness_advance(h, 1);
	ck_assert_uint_eq(p->ticks, 2);
	dk_harness_advance(h, 1);
	ck_assert_uint_eq(p->ticks, 2);

	dk_timer_start(p, &p->timer, 5, 0, count_tick);
	dk_timer_stop(&p->timer);
	dk_timer_stop(&p->timer);
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(p->ticks, 2);

	dk_timer_start(p, &p->timer, 7, 10, count_tick); /* 7, 17, 27, and stops itself */
	dk_harness_advance(h, 16);
	ck_assert_uint_eq(p->ticks, 3);
	dk_harness_advance(h, 1);
	ck_assert_uint_eq(p->ticks, 4);
	dk_harness_advance(h, 100);
	ck_assert_uint_eq(p->ticks, 5);
	ck_assert(!dk_timer_armed(&p->timer));

	p->ticks = 10;
	dk_timer_start(p, &p->timer, 0, 0, arm_again); /* time must not stand still for it */
	dk_harness_advance(h, 20);
	ck_assert_uint_ge(p->ticks, 10 + 19);
	ck_assert_uint_le(p->ticks, 10 + 20);
	dk_timer_start(p, &p->other, UINT64_MAX, 0, count_tick);
	ck_assert(dk_timer_armed(&p->other));
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

static void late_tick(void *self, struct dk_timer *t)
{
	struct dk_kernel *k = ((struct probe *)self)->base.plugin->k;

	(void)t;
	if (((struct probe *)self)->ticks++ == 0)
		k->clock.ms += 35; /* as if the callback had held the loop */
}

/* A node that was held up does not run after the ticks it missed. */
START_TEST(missed_ticks)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_kernel *k = dk_harness_kernel(h);

	dk_timer_start(p, &p->timer, 10, 10, late_tick);
	k->clock.ms += 35;
	dk_env_seam()->timers(k);
	ck_assert_uint_eq(p->ticks, 1);
	ck_assert_uint_eq(p->timer.due_ms % 10, (k->clock.ms - 5 - 35) % 10);
	ck_assert_uint_eq(p->timer.due_ms, k->clock.ms - 35 + 5);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

static void deferred(void *self, uint64_t arg)
{
	probe_saw(self, (char)arg);
}

static void at_turn_end(struct probe *p)
{
	probe_saw(p, 'E');
	if (p->ticks++ == 0)
		dk_defer(p, deferred, 'n'); /* for the next turn, which must come */
}

START_TEST(turns)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);

	dk_harness_advance(h, 10);
	p->on_turn_end = at_turn_end;
	ck_assert_int_eq(dk_defer(p, deferred, 'a'), 0);
	ck_assert_int_eq(dk_defer(p, deferred, 'b'), 0);
	ck_assert_str_eq(p->seen, "");
	dk_harness_advance(h, 1);
	ck_assert_str_eq(p->seen, "abEnE");
	dk_harness_advance(h, 1000); /* and then none, for nothing happens */
	ck_assert_str_eq(p->seen, "abEnE");
	p->on_turn_end = NULL;
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

/* ---- chance ---- */

START_TEST(chance)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);
	uint8_t a[64], b[64], big[5000], zero[64] = { 0 };

	ck_assert_int_eq(dk_random(p, a, sizeof(a)), 0);
	ck_assert_int_eq(dk_random(p, b, sizeof(b)), 0);
	ck_assert(memcmp(a, b, sizeof(a)) != 0 && memcmp(a, zero, sizeof(a)) != 0);
	for (int i = 0; i < 500; i++) { /* over the end of the buffer and more */
		memcpy(b, a, sizeof(b));
		memset(a, 0, sizeof(a));
		ck_assert_int_eq(dk_random(p, a, sizeof(a) - 1), 0);
		ck_assert(memcmp(a, b, sizeof(a)) != 0 && memcmp(a, zero, sizeof(a)) != 0);
	}
	memset(big, 0, sizeof(big));
	ck_assert_int_eq(dk_random(p, big, sizeof(big)), 0);
	ck_assert(memcmp(big + sizeof(big) - 64, zero, 64) != 0);
	ck_assert_uint_ne(dk_chance(p), dk_chance(p));
	ck_assert_uint_eq(dk_wall_ns(p) / 1000000000, 1704067200); /* worlds begin with the year 2024 */
	dk_harness_advance(h, 2000);
	ck_assert_uint_eq(dk_wall_ns(p) / 1000000000, 1704067202);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

/* ---- addresses ---- */

START_TEST(addresses)
{
	static const struct {
		const char *text, *back; /* back NULL: refused */
	} cases[] = {
		{ "1.2.3.4", "1.2.3.4:9" },
		{ "1.2.3.4:80", "1.2.3.4:80" },
		{ "0.0.0.0:65535", "0.0.0.0:65535" },
		{ "localhost", "127.0.0.1:9" },
		{ "localhost:1", "127.0.0.1:1" },
		{ "::1", "[::1]:9" },
		{ "[::1]:80", "[::1]:80" },
		{ "[fe80::2]", "[fe80::2]:9" },
		{ "::", "[::]:9" },
		{ "", NULL },
		{ "1.2.3", NULL },
		{ "1.2.3.4:", NULL },
		{ "1.2.3.4:65536", NULL },
		{ "1.2.3.4:-1", NULL },
		{ "1.2.3.4:8x", NULL },
		{ "1.2.3.4 ", NULL },
		{ "256.1.1.1", NULL },
		{ "[::1", NULL },
		{ "[::1]80", NULL },
		{ "[1.2.3.4]:80", NULL },
		{ "[localhost]", NULL },
		{ "example.org", NULL },
		{ ":80", NULL },
		{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222", NULL },
	};
	char buf[DK_ADDR_TEXT];

	for (size_t i = 0; i < DK_ARRAY_LEN(cases); i++) {
		struct dk_addr a = { .port = 4242 };
		int rc = dk_addr_parse(dk_str_c(cases[i].text), 9, &a);

		ck_assert_msg((rc == 0) == (cases[i].back != NULL), "\"%s\" gave %d", cases[i].text, rc);
		if (rc) {
			ck_assert_uint_eq(a.port, 4242);
			continue;
		}
		ck_assert_uint_eq(dk_addr_format(&a, buf), strlen(cases[i].back));
		ck_assert_str_eq(buf, cases[i].back);
	}
	ck_assert_int_eq(dk_addr_parse(dk_str_n("1.2.3.4\0", 8), 0, &(struct dk_addr){ .port = 0 }), -EINVAL);
}
END_TEST

/* ---- UDP ---- */

START_TEST(udp_batches)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_addr to, from;
	struct dk_sim_udp *u;
	unsigned back = 0;
	dk_slice bytes;

	p->echo = true;
	ck_assert_int_eq(probe_udp(p, "0.0.0.0:7000", 0, true), 0);
	ck_assert_uint_eq(dk_udp_addr(p->udp)->port, 7000);
	ck_assert_ptr_eq(dk_udp_arg(p->udp), p);
	ck_assert_int_eq(dk_sim_udp_open(dk_harness_world(h), "10.1.0.1:5000", NULL, NULL, &u), 0);
	to = probe_addr("10.0.0.1:7000");
	for (uint32_t i = 0; i < 200; i++)
		dk_sim_udp_send(u, &to, dk_slice_n(&i, sizeof(i)));
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(p->datagrams, 200);
	ck_assert_uint_eq(p->largest_batch, 64);
	ck_assert_uint_eq(p->batches, 4);
	ck_assert(dk_addr_eq(&p->from, dk_sim_udp_addr(u)));
	ck_assert(dk_addr_eq(&p->to, &to));
	for (uint32_t i; dk_sim_udp_next(u, &from, &bytes); back++) { /* more than a ring holds, in order */
		memcpy(&i, bytes.p, sizeof(i));
		ck_assert_uint_eq(i, back);
		ck_assert(dk_addr_eq(&from, &to));
	}
	ck_assert_uint_eq(back, 200);
	ck_assert_int_eq(count_of(h, "udp_dropped"), 0);

	uint8_t big[DK_UDP_SLOT + 1] = { 0 };

	dk_sim_udp_send(u, &to, dk_slice_n(big, sizeof(big)));
	dk_sim_udp_send(u, &to, dk_slice_n(big, sizeof(big) - 1));
	dk_harness_advance(h, 10);
	ck_assert_int_eq(count_of(h, "udp_oversize"), 1);
	ck_assert_uint_eq(p->datagrams, 201);
	ck_assert_uint_eq(p->last_n, DK_UDP_SLOT);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

static void send_number(struct probe *p, const struct dk_addr *to, uint32_t i)
{
	memcpy(dk_udp_slot(p->udp, to, sizeof(i)), &i, sizeof(i));
	dk_udp_commit(p->udp, sizeof(i), i % 3 == 0 ? DK_UDP_FRAGMENT : 0);
}

START_TEST(udp_would_block)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_addr to = probe_addr("10.1.0.1:5000");
	struct dk_sim_udp *u;
	uint32_t n = 0, first;
	dk_slice bytes;

	ck_assert_int_eq(probe_udp(p, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(dk_sim_udp_open(dk_harness_world(h), "10.1.0.1:5000", NULL, NULL, &u), 0);
	dk_sim_stall(dk_harness_world(h), true);
	for (uint32_t i = 0; i < 200; i++)
		send_number(p, &to, i);
	dk_harness_advance(h, 100);
	ck_assert(!dk_sim_udp_next(u, NULL, &bytes));
	ck_assert_int_eq(count_of(h, "udp_dropped"), 200 - 64);
	dk_sim_stall(dk_harness_world(h), false);
	dk_harness_advance(h, 100);
	for (; dk_sim_udp_next(u, NULL, &bytes); n++) { /* what is left is the newest, and in order */
		memcpy(&first, bytes.p, sizeof(first));
		ck_assert_uint_eq(first, 200 - 64 + n);
	}
	ck_assert_uint_eq(n, 64);
	for (uint32_t i = 0; i < 100; i++) /* and the ring is as good as new */
		send_number(p, &to, i);
	dk_harness_advance(h, 100);
	for (n = 0; dk_sim_udp_next(u, NULL, &bytes); n++)
		;
	ck_assert_uint_eq(n, 100);
	ck_assert_int_eq(count_of(h, "udp_dropped"), 200 - 64);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(udp_slots)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_addr to = probe_addr("10.1.0.1:5000"), local = probe_addr("10.9.9.9"), from;
	struct dk_sim_udp *u;
	dk_slice bytes;

	ck_assert_int_eq(probe_udp(p, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(dk_sim_udp_open(dk_harness_world(h), "10.1.0.1:5000", NULL, NULL, &u), 0);
	memcpy(dk_udp_slot(p->udp, &to, 4), "lost", 4); /* dropped by asking for another */
	memcpy(dk_udp_slot(p->udp, &to, 4), "kept", 4);
	dk_udp_slot_from(p->udp, &local);
	dk_udp_commit(p->udp, 4, 0);
	dk_udp_slot(p->udp, &to, 4);
	dk_udp_commit(p->udp, DK_UDP_SLOT + 1, 0); /* wrote over its end: not sent */
	dk_harness_advance(h, 10);
	ck_assert(dk_sim_udp_next(u, &from, &bytes));
	ck_assert_uint_eq(bytes.n, 4);
	ck_assert_mem_eq(bytes.p, "kept", 4);
	local.port = 7000;
	ck_assert(dk_addr_eq(&from, &local));
	ck_assert(!dk_sim_udp_next(u, NULL, &bytes));

	memcpy(dk_udp_slot(p->udp, &to, 4), "last", 4);
	dk_udp_commit(p->udp, 4, 0);
	dk_udp_close(p->udp); /* what was committed is sent first */
	dk_udp_close(NULL);
	dk_harness_advance(h, 10);
	ck_assert(dk_sim_udp_next(u, &from, &bytes));
	ck_assert_mem_eq(bytes.p, "last", 4);
	ck_assert_uint_eq(from.ip[1], 0); /* its own address again, not the one that this slot had before */
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(taken_ports)
{
	struct dk_harness *h = dk_harness_new(two_probes, 1, &dk_plugin_probe);
	struct probe *a = probe_in(h, "probe"), *b = probe_in(h, "other");

	ck_assert_int_eq(probe_udp(a, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_udp(b, "0.0.0.0:7000", 0, false), -EADDRINUSE);
	ck_assert_ptr_null(b->udp);
	ck_assert_int_eq(probe_udp(b, "0.0.0.0:7000", 1, false), 0);
	ck_assert_uint_eq(dk_udp_addr(b->udp)->port, 7001);
	ck_assert_int_eq(probe_udp(b, "0.0.0.0:7000", 1, false), -EADDRINUSE);
	ck_assert_int_eq(probe_listen(a, "0.0.0.0:7000", 0, 0), 0); /* TCP is another matter */
	ck_assert_int_eq(probe_listen(b, "0.0.0.0:7000", 0, 0), -EADDRINUSE);
	ck_assert_int_eq(probe_listen(b, "0.0.0.0:7000", 9, 0), 0);
	ck_assert_uint_eq(dk_listener_addr(b->listener)->port, 7001);
	dk_listener_close(a->listener);
	ck_assert_int_eq(probe_listen(a, "0.0.0.0:7000", 0, 0), 0);
	ck_assert_int_eq(probe_udp(a, "0.0.0.0:65535", 0, false), 0);
	ck_assert_int_eq(probe_udp(a, "0.0.0.0:65535", 10, false), -EADDRINUSE); /* no port beyond */
	ck_assert_int_eq(probe_udp(b, "0.0.0.0", 5, false), 0);
	ck_assert_uint_ne(dk_udp_addr(b->udp)->port, 0);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

/* ---- streams ---- */

static struct dk_sim_tcp *knock(struct dk_harness *h, const char *to)
{
	struct dk_addr addr = probe_addr(to);
	struct dk_sim_tcp *t;

	ck_assert_int_eq(dk_sim_tcp_connect(dk_harness_world(h), "10.1.0.1", &addr, NULL, NULL, &t), 0);
	dk_harness_advance(h, 10);
	return t;
}

START_TEST(stream_echo)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_sim_tcp *t;

	p->echo = true;
	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 0), 0);
	ck_assert_ptr_eq(dk_listener_arg(p->listener), p);
	t = knock(h, "10.0.0.1:80");
	ck_assert_int_eq(dk_sim_tcp_state(t), DK_SIM_TCP_OPEN);
	ck_assert_uint_eq(dk_sim_tcp_send(t, text("hello")), 5);
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(dk_sim_tcp_bytes(t).n, 5);
	ck_assert_mem_eq(dk_sim_tcp_bytes(t).p, "hello", 5);
	dk_stream_set_arg(p->stream, h);
	ck_assert_ptr_eq(dk_stream_arg(p->stream), h);
	ck_assert_uint_eq(dk_stream_peer(p->stream)->ip[1], 1);

	dk_sim_tcp_send(t, text(" and bye")); /* half-closed: the answer still comes, then the end */
	dk_sim_tcp_end(t);
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(dk_sim_tcp_bytes(t).n, 13);
	ck_assert_int_eq(dk_sim_tcp_state(t), DK_SIM_TCP_ENDED);
	ck_assert_uint_eq(p->closed, 1);
	ck_assert_int_eq(p->closed_err, 0);
	dk_sim_tcp_close(t, false);
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(p->closed, 1);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(stream_writes_are_one)
{
	struct probe *p, *q;
	struct dk_harness *h = dk_harness_new(two_probes, 1, &dk_plugin_probe);
	struct dk_addr to = probe_addr("10.0.0.1:80");
	uint8_t *slot;

	p = probe_in(h, "probe");
	q = probe_in(h, "other");
	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 0), 0);
	ck_assert_int_eq(dk_stream_connect(q, &to, true, &probe_stream_ops, q, &q->stream), 0);
	ck_assert_int_eq(dk_stream_write(q->stream, text("early ")), 0); /* waits for the connection */
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(q->opened, 1);
	ck_assert_uint_eq(p->bytes, 6);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(dk_stream_write(q->stream, text("0123456789")), 0);
	slot = dk_stream_slot(q->stream, 100);
	ck_assert_ptr_nonnull(slot);
	memcpy(slot, "in place", 8);
	dk_stream_commit(q->stream, 8);
	ck_assert_uint_eq(dk_stream_waiting(q->stream), 1008);
	p->chunks = 0;
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(p->chunks, 1); /* a hundred writes of one turn left as one */
	ck_assert_uint_eq(p->bytes, 6 + 1008);
	ck_assert_mem_eq(p->input + 1006, "in place", 8);
	ck_assert_uint_eq(dk_stream_waiting(q->stream), 0);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(stream_refused)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_addr nowhere = probe_addr("10.0.0.1:81");
	struct dk_sim_tcp *t;

	ck_assert_int_eq(dk_stream_connect(p, &nowhere, true, &probe_stream_ops, p, &p->stream), 0);
	dk_harness_advance(h, 100);
	ck_assert_uint_eq(p->opened, 0);
	ck_assert_uint_eq(p->closed, 1);
	ck_assert_int_eq(p->closed_err, -ECONNREFUSED);

	p->refuse = true;
	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 0), 0);
	t = knock(h, "10.0.0.1:80");
	dk_harness_advance(h, 100);
	ck_assert_int_eq(dk_sim_tcp_state(t), DK_SIM_TCP_BROKEN);
	ck_assert_uint_eq(p->closed, 2);
	dk_sim_tcp_close(t, true);
	p->refuse = false;
	t = knock(h, "10.0.0.1:80");
	dk_listener_close(p->listener);
	dk_listener_close(NULL);
	p->echo = true;
	dk_sim_tcp_send(t, text("still here")); /* accepted streams live on */
	dk_harness_advance(h, 100);
	ck_assert_uint_eq(dk_sim_tcp_bytes(t).n, 10);
	dk_sim_tcp_close(t, true);
	dk_harness_advance(h, 100);
	ck_assert_uint_eq(p->closed, 3);
	ck_assert_int_eq(p->closed_err, -ECONNRESET);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

/* More than the connection holds, to a reader that takes nothing at first. */
START_TEST(slow_reader)
{
	static uint8_t block[100000];
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_sim_tcp *t;
	size_t written = 0, read = 0;

	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 300000), 0);
	t = knock(h, "10.0.0.1:80");
	for (int turn = 0; turn < 20; turn++) {
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (uint8_t)((written + i) * 7 >> 3);
		if (dk_stream_write(p->stream, dk_slice_n(block, sizeof(block))) == 0)
			written += sizeof(block);
		else
			ck_assert_uint_ge(turn, 3);
		dk_harness_advance(h, 10);
	}
	ck_assert_uint_eq(written, 500000); /* 256 KiB are on the way, the rest is held back up to the limit */
	ck_assert_uint_eq(dk_stream_waiting(p->stream), 500000 - 262144);
	ck_assert_int_gt(count_of(h, "stream_full"), 0);
	ck_assert_int_eq(dk_stream_write(p->stream, dk_slice_n(block, 300001)), DK_FULL);
	ck_assert_uint_eq(p->drained, 0);
	for (int turn = 0; turn < 200 && read < written; turn++) {
		dk_slice got = dk_sim_tcp_bytes(t);
		size_t n = got.n < 10000 ? got.n : 10000;

		for (size_t i = 0; i < n; i++)
			ck_assert_uint_eq(got.p[i], (uint8_t)((read + i) * 7 >> 3));
		dk_sim_tcp_take(t, n);
		read += n;
		dk_harness_advance(h, 2);
	}
	ck_assert_uint_eq(read, written);
	ck_assert_uint_eq(p->drained, 1);
	ck_assert_uint_eq(dk_stream_waiting(p->stream), 0);
	ck_assert_uint_eq(p->closed, 0);
	dk_sim_tcp_close(t, false);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(paused_stream)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_sim_tcp *t;

	p->pause = true;
	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 0), 0);
	t = knock(h, "10.0.0.1:80");
	dk_sim_tcp_send(t, text("wait"));
	dk_sim_tcp_end(t);
	dk_harness_advance(h, 1000);
	ck_assert_uint_eq(p->bytes, 0);
	ck_assert_uint_eq(p->closed, 0);
	dk_stream_pause(p->stream, false);
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(p->bytes, 4);
	ck_assert_uint_eq(p->closed, 1);
	dk_sim_tcp_close(t, false);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(closing_with_flush)
{
	static uint8_t block[400000];
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_sim_tcp *t;
	size_t read = 0;

	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 0), 0);
	t = knock(h, "10.0.0.1:80");
	dk_stream_write(p->stream, dk_slice_n(block, sizeof(block)));
	dk_stream_close(p->stream, true);
	ck_assert_int_eq(dk_stream_write(p->stream, text("too late")), DK_FULL);
	dk_sim_tcp_send(t, text("not wanted"));
	for (int turn = 0; turn < 1000 && dk_sim_tcp_state(t) == DK_SIM_TCP_OPEN; turn++) {
		read += dk_sim_tcp_bytes(t).n;
		dk_sim_tcp_take(t, SIZE_MAX);
		dk_harness_advance(h, 1);
	}
	ck_assert_int_eq(dk_sim_tcp_state(t), DK_SIM_TCP_ENDED);
	ck_assert_uint_eq(read + dk_sim_tcp_bytes(t).n, sizeof(block));
	ck_assert_uint_eq(p->closed, 1);
	ck_assert_int_eq(p->closed_err, 0);
	ck_assert_uint_eq(p->bytes, 0);
	dk_sim_tcp_close(t, false);

	t = knock(h, "10.0.0.1:80"); /* one that never reads is given two seconds */
	dk_stream_write(p->stream, dk_slice_n(block, sizeof(block)));
	dk_stream_close(p->stream, true);
	dk_harness_advance(h, 1900);
	ck_assert_uint_eq(p->closed, 1);
	dk_harness_advance(h, 500);
	ck_assert_uint_eq(p->closed, 2);
	ck_assert_int_eq(p->closed_err, -ETIMEDOUT);
	ck_assert_int_eq(count_of(h, "stream_late"), 1);
	dk_sim_tcp_close(t, false);

	t = knock(h, "10.0.0.1:80"); /* and one that is cut off gets nothing */
	dk_stream_write(p->stream, text("gone"));
	dk_stream_close(p->stream, false);
	dk_stream_close(p->stream, true);
	dk_stream_close(NULL, true);
	dk_harness_advance(h, 100);
	ck_assert_int_eq(dk_sim_tcp_state(t), DK_SIM_TCP_BROKEN);
	ck_assert_uint_eq(dk_sim_tcp_bytes(t).n, 0);
	ck_assert_uint_eq(p->closed, 3);
	ck_assert_int_eq(p->closed_err, 0);
	dk_sim_tcp_close(t, false);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

START_TEST(broken_while_writing)
{
	static uint8_t block[400000];
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_sim_tcp *t;

	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 0), 0);
	t = knock(h, "10.0.0.1:80");
	dk_stream_write(p->stream, dk_slice_n(block, sizeof(block)));
	dk_harness_advance(h, 10);
	dk_sim_tcp_close(t, true);
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(p->closed, 1);
	ck_assert_int_eq(p->closed_err, -ECONNRESET);
	p->pause = true; /* one that does not read sees it where it writes */
	t = knock(h, "10.0.0.1:80");
	dk_sim_tcp_close(t, true);
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(p->closed, 1);
	dk_stream_write(p->stream, text("hello?"));
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(p->closed, 2);
	ck_assert_int_eq(p->closed_err, -ECONNRESET);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

/* ---- jobs ---- */

static void job_work(void *arg)
{
	++*(int *)arg;
}

static void job_done(void *self, void *arg)
{
	((struct probe *)self)->ticks = (unsigned)*(int *)arg;
}

static void job_drop(void *arg)
{
	*(int *)arg += 100;
}

static int job_value;

static void begin_job(struct probe *p)
{
	ck_assert_int_eq(dk_job(p, job_work, job_done, job_drop, &job_value), 0);
}

START_TEST(jobs)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);

	begin_job(p);
	ck_assert_uint_eq(p->ticks, 0);
	dk_harness_advance(h, 1);
	ck_assert_uint_eq(p->ticks, 1);
	p->on_stop = begin_job; /* its end comes when the plugin has stopped */
	ck_assert_int_eq(dk_harness_stop(h), 0);
	ck_assert_uint_eq(p->ticks, 1);
	ck_assert_int_eq(dk_harness_free(h), 0);
	ck_assert_int_eq(job_value, 102);
}
END_TEST

/* ---- names of hosts ---- */

static struct {
	unsigned n;
	int err;
	struct dk_addr addr;
} resolved;

static void on_resolved(void *self, void *arg, int err, const struct dk_addr *addr)
{
	ck_assert_ptr_eq(arg, &resolved);
	((struct probe *)self)->ticks++;
	ck_assert_int_eq(err == 0, addr != NULL);
	resolved.n++;
	resolved.err = err;
	resolved.addr = addr ? *addr : (struct dk_addr){ .family = 0 };
}

static void resolve(struct dk_harness *h, struct probe *p, const char *host, int err, const char *want)
{
	char buf[DK_ADDR_TEXT];

	resolved.n = 0;
	ck_assert_int_eq(dk_resolve(p, dk_str_c(host), 6779, on_resolved, &resolved), 0);
	ck_assert_uint_eq(resolved.n, 0); /* in a later turn, whatever it is */
	dk_harness_advance(h, 5);
	ck_assert_uint_eq(resolved.n, 1);
	ck_assert_int_eq(resolved.err, err);
	dk_addr_format(&resolved.addr, buf);
	ck_assert_str_eq(buf, want);
}

static void resolve_at_stop(struct probe *p)
{
	ck_assert_int_eq(dk_resolve(p, dk_str_c("10.0.0.9"), 1, on_resolved, &resolved), 0);
}

START_TEST(names_of_hosts)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);

	resolve(h, p, "10.0.0.9", 0, "10.0.0.9:6779");
	resolve(h, p, "10.0.0.9:80", 0, "10.0.0.9:80");
	resolve(h, p, "::1", 0, "[::1]:6779");
	resolve(h, p, "localhost", 0, "127.0.0.1:6779");
	resolve(h, p, "localhost:7", 0, "127.0.0.1:7");
	resolve(h, p, "mars.example", -ENOENT, "none"); /* this world has no names */
	resolve(h, p, "", -ENOENT, "none");
	ck_assert_uint_eq(p->ticks, 7);
	ck_assert_int_eq(dk_resolve(p, dk_str_c("10.0.0.9"), 1, on_resolved, &resolved), 0);
	ck_assert_int_eq(dk_resolve(p, dk_str_c("10.0.0.8"), 1, on_resolved, &resolved), 0);
	p->on_stop = resolve_at_stop;
	ck_assert_int_eq(dk_harness_stop(h), 0); /* nothing runs for who has stopped, and nothing is left over */
	ck_assert_uint_le(p->ticks, 9);
	ck_assert_int_ne(resolved.addr.ip[3], 9);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

/* ---- the end of a plugin ---- */

static void say_bye(struct probe *p)
{
	dk_stream_write(p->stream, text("bye"));
	memcpy(dk_udp_slot(p->udp, &p->from, 3), "bye", 3);
	dk_udp_commit(p->udp, 3, 0);
	dk_timer_start(p, &p->timer, 1, 1, count_tick);
}

static void connect_again(struct probe *p, struct dk_stream *s)
{
	struct dk_addr peer = *dk_stream_peer(s);

	if (p->closed < 10)
		dk_stream_connect(p, &peer, true, &probe_stream_ops, p, &p->stream);
}

START_TEST(revoked)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_addr to = probe_addr("10.0.0.1:7000");
	struct dk_sim_tcp *t;
	struct dk_sim_udp *u;
	dk_slice bytes;

	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 0), 0);
	ck_assert_int_eq(probe_udp(p, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(dk_sim_udp_open(dk_harness_world(h), "10.1.0.1", NULL, NULL, &u), 0);
	dk_sim_udp_send(u, &to, text("x"));
	t = knock(h, "10.0.0.1:80");
	p->on_stop = say_bye;
	ck_assert_int_eq(dk_harness_stop(h), 0); /* the plugin closes nothing by itself, and nothing is left over */
	ck_assert_uint_eq(p->closed, 1);
	ck_assert_int_eq(p->closed_err, 0);
	ck_assert_uint_eq(p->ticks, 0);
	dk_harness_advance(h, 10);
	ck_assert_uint_eq(dk_sim_tcp_bytes(t).n, 3);
	ck_assert(dk_sim_udp_next(u, NULL, &bytes));
	ck_assert_mem_eq(bytes.p, "bye", 3);
	ck_assert_int_eq(dk_sim_tcp_state(t), DK_SIM_TCP_ENDED);
	dk_sim_tcp_close(t, false);
	ck_assert_int_eq(dk_harness_free(h), 0);
}
END_TEST

static void leak(struct probe *p)
{
	dk_timer_start(p, &p->timer, 1, 0, count_tick);
	probe_udp(p, "0.0.0.0:7000", 0, false);
	probe_listen(p, "0.0.0.0:80", 0, 0);
	begin_job(p);
}

START_TEST(leftovers)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);

	p->on_fini = leak;
	ck_assert_int_eq(dk_harness_stop(h), 4);
	ck_assert(dk_harness_log_has(h, "leftover of probe: 1 timer, armed after it was stopped"));
	ck_assert(dk_harness_log_has(h, "leftover of probe: a UDP socket, opened after it was stopped"));
	ck_assert(dk_harness_log_has(h, "leftover of probe: a listener, opened after it was stopped"));
	ck_assert(dk_harness_log_has(h, "leftover of probe: a job, opened after it was stopped"));
	ck_assert_int_eq(dk_harness_free(h), 4);
	ck_assert_int_eq(job_value, 101); /* nobody is told of the job's end but its drop */
}
END_TEST

/* Whoever answers an end with a new connection is stopped all the same, and it is named. */
START_TEST(stubborn)
{
	struct probe *p;
	struct dk_harness *h = begin(&p);
	struct dk_addr to = probe_addr("10.0.0.1:80");

	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 0), 0);
	ck_assert_int_eq(dk_stream_connect(p, &to, true, &probe_stream_ops, p, &p->stream), 0);
	dk_harness_advance(h, 10);
	p->on_closed = connect_again;
	ck_assert_int_eq(dk_harness_stop(h), 2); /* both sides of the connection were its own */
	ck_assert(dk_harness_log_has(h, "leftover of probe: a stream"));
	ck_assert_int_eq(dk_harness_free(h), 2);
}
END_TEST

UNIT_MAIN("io", timers, missed_ticks, turns, chance, addresses, udp_batches, udp_would_block, udp_slots, taken_ports, stream_echo,
	  stream_writes_are_one, stream_refused, slow_reader, paused_stream, closing_with_flush, broken_while_writing, jobs,
	  names_of_hosts, revoked, leftovers, stubborn)
