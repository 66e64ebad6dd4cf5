/* SPDX-License-Identifier: Apache-2.0 */
/* What may happen to the nodes of a simulated world: killed, paused, begun anew at their address, half cut off, lossy links. */
#include "probe.h"
#include "unit.h"

static const char config[] = "plugins = { probe = {}; };";

static dk_slice text(const char *s)
{
	return dk_slice_of(dk_str_c(s));
}

static struct dk_harness *open_at(struct dk_env *world, const char *address, struct probe **ret_probe)
{
	struct dk_harness *h = dk_harness_open(
		&(struct dk_harness_opts){ .config = config,
					   .world = world,
					   .address = address,
					   .plugins = (const struct dk_plugin_desc *const[]){ &dk_plugin_probe, NULL } });

	ck_assert_ptr_nonnull(h);
	*ret_probe = dk_plugin_state(dk_harness_kernel(h), "probe");
	return h;
}

static void send_to(struct probe *p, const char *to, const char *what)
{
	struct dk_addr addr = probe_addr(to);

	memcpy(dk_udp_slot(p->udp, &addr, strlen(what)), what, strlen(what));
	dk_udp_commit(p->udp, strlen(what), 0);
}

static void connect_to(struct probe *p, const char *to)
{
	struct dk_addr addr = probe_addr(to);

	ck_assert_int_eq(dk_stream_connect(p, &addr, true, &probe_stream_ops, p, &p->stream), 0);
}

/* ---- kill ---- */

/* Two nodes with a socket each and a connection between them; the second dies, and another one begins at its address. */
static uint64_t kill_and_restart(uint64_t seed)
{
	struct dk_env *world = dk_env_sim(seed);
	struct probe *a, *b;
	struct dk_harness *ha = open_at(world, NULL, &a), *hb = open_at(world, NULL, &b);
	uint64_t hash;

	dk_sim_link(world, NULL, NULL, &(struct dk_sim_link){ .delay_ms = 5, .jitter_ms = 10, .loss = 0.1 });
	ck_assert_int_eq(probe_udp(a, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_udp(b, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_listen(b, "0.0.0.0:80", 0, 0), 0);
	connect_to(a, "10.0.0.2:80");
	dk_sim_run(world, 1000);
	ck_assert_uint_eq(a->opened, 1);
	ck_assert_ptr_nonnull(b->stream);

	/* What it had in mind to say is never said: this datagram, what is in the stream, what its plugin says at its stop. */
	send_to(b, "10.0.0.1:7000", "last words");
	ck_assert_int_eq(dk_stream_write(b->stream, text("last words")), 0);
	send_to(a, "10.0.0.2:7000", "under way");
	dk_harness_kill(hb);
	send_to(a, "10.0.0.2:7000", "to nobody");
	dk_sim_run(world, 1000);
	ck_assert_uint_eq(a->datagrams, 0);
	ck_assert_uint_eq(a->bytes, 0);
	ck_assert_uint_eq(a->closed, 1); /* its host closes what it had */
	ck_assert_int_eq(a->closed_err, 0);
	connect_to(a, "10.0.0.2:80");
	dk_sim_run(world, 1000);
	ck_assert_uint_eq(a->closed, 2);
	ck_assert_int_eq(a->closed_err, -ECONNREFUSED);

	hb = open_at(world, "10.0.0.2", &b);
	ck_assert_int_eq(probe_udp(b, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_listen(b, "0.0.0.0:80", 0, 0), 0);
	connect_to(a, "10.0.0.2:80");
	for (int i = 0; i < 20; i++)
		send_to(a, "10.0.0.2:7000", "again");
	dk_sim_run(world, 1000);
	ck_assert_uint_ge(b->datagrams, 10);
	ck_assert_ptr_nonnull(b->stream);
	ck_assert_int_eq(dk_harness_free(hb), 0);
	ck_assert_int_eq(dk_harness_free(ha), 0);
	hash = dk_sim_hash(world);
	dk_env_free(world);
	return hash;
}

START_TEST(killed)
{
	ck_assert_uint_eq(kill_and_restart(3), kill_and_restart(3));
	ck_assert_uint_ne(kill_and_restart(3), kill_and_restart(4));
}
END_TEST

static void send_more(struct probe *p)
{
	struct dk_addr to = probe_addr("10.0.0.1:7000");

	send_to(p, "10.0.0.1:7000", "stopping");
	dk_stream_write(p->stream, text("stopping"));
	ck_assert_int_eq(probe_udp(p, "0.0.0.0:7001", 0, false), -ENETDOWN);
	ck_assert_int_eq(probe_listen(p, "0.0.0.0:81", 0, 0), -ENETDOWN);
	ck_assert_int_eq(dk_stream_connect(p, &to, true, &probe_stream_ops, p, &p->stream), -ENETDOWN);
}

/* Its plugins are stopped to free what they hold; the world knows nothing of it. Nor of what reached it at this moment. */
START_TEST(stopped_unseen)
{
	struct dk_env *world = dk_env_sim(1);
	struct probe *a, *b;
	struct dk_harness *ha = open_at(world, NULL, &a), *hb = open_at(world, NULL, &b);
	uint64_t now;

	ck_assert_int_eq(probe_udp(a, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_udp(b, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_listen(a, "0.0.0.0:80", 0, 0), 0);
	connect_to(b, "10.0.0.1:80");
	dk_sim_run(world, 10);
	ck_assert_ptr_nonnull(a->stream);
	b->on_stop = send_more;
	dk_stream_pause(b->stream, true);
	dk_stream_write(a->stream, text("never read"));
	dk_sim_run(world, 10);
	now = dk_sim_now(world);
	dk_harness_kill(hb);
	ck_assert_uint_eq(dk_sim_now(world), now);
	dk_sim_run(world, 100);
	ck_assert_uint_eq(a->datagrams, 0);
	ck_assert_uint_eq(a->bytes, 0);
	ck_assert_int_eq(a->closed_err, -ECONNRESET); /* because it had not read everything */
	ck_assert_int_eq(dk_harness_free(ha), 0);
	dk_env_free(world);
}
END_TEST

START_TEST(processes_of_one_host)
{
	struct dk_env *world = dk_env_sim(1);
	struct probe *a, *b, *c;
	struct dk_harness *ha = open_at(world, NULL, &a), *hb = open_at(world, "10.0.0.1", &b), *hc = open_at(world, NULL, &c);

	ck_assert_int_eq(probe_udp(a, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_udp(b, "0.0.0.0:7000", 0, false), -EADDRINUSE);
	ck_assert_int_eq(probe_udp(b, "0.0.0.0:7000", 5, false), 0);
	ck_assert_uint_eq(dk_udp_addr(b->udp)->port, 7001);
	ck_assert_int_eq(probe_listen(a, "10.0.0.1:80", 0, 0), 0);
	ck_assert_int_eq(probe_listen(b, "0.0.0.0:80", 0, 0), -EADDRINUSE);
	ck_assert_int_eq(probe_udp(c, "0.0.0.0:7000", 0, false), 0); /* the second host is the second address */
	send_to(c, "10.0.0.1:7001", "x");
	dk_sim_run(world, 10);
	ck_assert_uint_eq(b->datagrams, 1);
	ck_assert_uint_eq(b->from.ip[3], 2);
	ck_assert_ptr_null(dk_harness_open(&(struct dk_harness_opts){ .config = config, .address = "host" }));
	dk_harness_kill(ha);
	ck_assert_int_eq(probe_listen(b, "0.0.0.0:80", 0, 0), 0); /* the port is free again */
	ck_assert_int_eq(dk_harness_free(hb), 0);
	ck_assert_int_eq(dk_harness_free(hc), 0);
	dk_env_free(world);
}
END_TEST

/* ---- pause ---- */

static void on_tick(void *self, struct dk_timer *t)
{
	struct probe *p = self;

	(void)t;
	p->ticks++;
	probe_saw(p, p->datagrams || p->bytes ? 'T' : 't'); /* T: after something was read */
}

static void worked(void *self, void *arg)
{
	(void)arg;
	probe_saw(self, 'j');
}

static void work(void *arg)
{
	(void)arg;
}

static uint64_t pause_and_continue(uint64_t seed)
{
	struct dk_env *world = dk_env_sim(seed);
	struct dk_addr tcp = probe_addr("10.0.0.1:80");
	struct probe *p, *q;
	struct dk_harness *h = open_at(world, NULL, &p), *other = open_at(world, NULL, &q);
	struct dk_sim_tcp *t, *late, *gone;
	uint64_t before, hash;

	ck_assert_int_eq(probe_udp(p, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_udp(q, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 0), 0);
	dk_sim_tcp_connect(world, "10.1.0.2", &tcp, NULL, NULL, &t);
	dk_sim_run(world, 100);
	dk_timer_start(p, &p->timer, 1000, 1000, on_tick);
	dk_job(p, work, worked, NULL, NULL);
	before = dk_now(p);
	dk_harness_pause(h, true);
	dk_harness_pause(h, true); /* it is */

	dk_sim_tcp_send(t, text("data"));
	dk_sim_tcp_connect(world, "10.1.0.3", &tcp, NULL, NULL, &late);
	dk_sim_tcp_connect(world, "10.1.0.4", &tcp, NULL, NULL, &gone);
	for (int i = 0; i < 100; i++)
		send_to(q, "10.0.0.1:7000", "x");
	dk_sim_run(world, 100);
	dk_sim_tcp_send(late, text("more")); /* its host has accepted it */
	dk_sim_tcp_close(gone, true);
	dk_sim_run(world, 4900);
	ck_assert_int_eq(dk_sim_tcp_state(late), DK_SIM_TCP_OPEN);
	ck_assert_int_eq(dk_sim_tcp_state(t), DK_SIM_TCP_OPEN);
	ck_assert_uint_eq(dk_now(p), before);
	ck_assert_str_eq(p->seen, "");
	ck_assert_uint_eq(p->datagrams + p->bytes, 0);

	dk_harness_pause(h, false);
	ck_assert_uint_eq(dk_now(p), before + 5000);
	dk_harness_pause(h, true); /* before it came to do anything */
	dk_sim_run(world, 10);
	ck_assert_str_eq(p->seen, "");
	dk_harness_pause(h, false);
	dk_sim_run(world, 1);
	ck_assert_str_eq(p->seen, "tj"); /* one tick for the five that it missed, before it read anything */
	ck_assert_uint_eq(p->datagrams, 100);
	ck_assert_uint_eq(p->largest_batch, 64);
	ck_assert_uint_eq(p->bytes, 8);
	ck_assert_uint_eq(p->closed, 1); /* the one that was gone before it was seen */
	dk_sim_run(world, 1000);
	ck_assert_str_eq(p->seen, "tjT");
	hash = dk_sim_hash(world);
	dk_sim_tcp_close(t, false);
	dk_sim_tcp_close(late, false);
	ck_assert_int_eq(dk_harness_free(h), 0);
	ck_assert_int_eq(dk_harness_free(other), 0);
	dk_env_free(world);
	return hash;
}

START_TEST(paused)
{
	ck_assert_uint_eq(pause_and_continue(5), pause_and_continue(5));
}
END_TEST

/* A socket holds 4 MiB, a connection its window, a listener its queue. */
START_TEST(bounds_of_a_pause)
{
	struct dk_env *world = dk_env_sim(1);
	struct dk_addr udp = probe_addr("10.0.0.1:7000"), tcp = probe_addr("10.0.0.1:80");
	static struct dk_sim_tcp *many[1100];
	static uint8_t block[300000];
	unsigned open = 0, refused = 0;
	struct dk_sim_udp *u;
	struct dk_sim_tcp *t;
	struct probe *p;
	struct dk_harness *h = open_at(world, NULL, &p);

	ck_assert_int_eq(probe_udp(p, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_listen(p, "0.0.0.0:80", 0, 0), 0);
	dk_sim_udp_open(world, "10.1.0.1", NULL, NULL, &u);
	dk_sim_tcp_connect(world, "10.1.0.1", &tcp, NULL, NULL, &t);
	dk_sim_run(world, 10);
	dk_harness_pause(h, true);
	for (int i = 0; i < 5000; i++)
		dk_sim_udp_send(u, &udp, dk_slice_n(block, 512));
	ck_assert_uint_eq(dk_sim_tcp_send(t, dk_slice_n(block, sizeof(block))), 256 * 1024);
	for (size_t i = 0; i < DK_ARRAY_LEN(many); i++)
		dk_sim_tcp_connect(world, "10.1.0.2", &tcp, NULL, NULL, &many[i]);
	dk_sim_run(world, 20000);
	for (size_t i = 0; i < DK_ARRAY_LEN(many); i++) {
		open += dk_sim_tcp_state(many[i]) == DK_SIM_TCP_OPEN;
		refused += dk_sim_tcp_state(many[i]) == DK_SIM_TCP_BROKEN;
	}
	ck_assert_uint_eq(open, 1024);
	ck_assert_uint_eq(refused, 76);
	dk_harness_pause(h, false);
	dk_sim_run(world, 10);
	ck_assert_uint_eq(p->datagrams, 4096);
	ck_assert_uint_eq(p->bytes, 256 * 1024);
	for (size_t i = 0; i < DK_ARRAY_LEN(many); i++)
		dk_sim_tcp_close(many[i], false);
	dk_sim_tcp_close(t, false);
	ck_assert_int_eq(dk_harness_free(h), 0);
	dk_env_free(world);
}
END_TEST

/* Killed while it is paused, stopped while it is paused; a listener that goes with connections in its queue. */
static void close_listener(void *self, struct dk_timer *t)
{
	(void)t;
	dk_listener_close(((struct probe *)self)->listener);
}

START_TEST(ends_of_a_pause)
{
	struct dk_env *world = dk_env_sim(1);
	struct dk_addr tcp[] = { probe_addr("10.0.0.1:80"), probe_addr("10.0.0.2:80"), probe_addr("10.0.0.3:80") };
	struct dk_sim_tcp *t[3];
	struct dk_harness *h[3];
	struct probe *p[3];

	for (int i = 0; i < 3; i++) {
		h[i] = open_at(world, NULL, &p[i]);
		ck_assert_int_eq(probe_listen(p[i], "0.0.0.0:80", 0, 0), 0);
		dk_harness_pause(h[i], true);
		dk_sim_tcp_connect(world, "10.1.0.1", &tcp[i], NULL, NULL, &t[i]);
	}
	dk_timer_start(p[2], &p[2]->timer, 10, 0, close_listener);
	dk_sim_run(world, 100);
	dk_harness_kill(h[0]);
	ck_assert_int_eq(dk_harness_free(h[1]), 0);
	dk_harness_pause(h[2], false);
	dk_sim_run(world, 100);
	ck_assert_int_eq(dk_sim_tcp_state(t[0]), DK_SIM_TCP_BROKEN);
	ck_assert_int_ne(dk_sim_tcp_state(t[1]), DK_SIM_TCP_OPEN);
	ck_assert_int_eq(dk_sim_tcp_state(t[2]), DK_SIM_TCP_BROKEN);
	ck_assert_ptr_null(p[2]->stream);
	for (int i = 0; i < 3; i++)
		dk_sim_tcp_close(t[i], false);
	ck_assert_int_eq(dk_harness_free(h[2]), 0);
	dk_env_free(world);
}
END_TEST

/* ---- cuts ---- */

START_TEST(one_way)
{
	struct dk_env *world = dk_env_sim(1);
	static uint8_t block[400000];
	struct probe *a, *b;
	struct dk_harness *ha = open_at(world, NULL, &a), *hb = open_at(world, NULL, &b);
	size_t got;

	ck_assert_int_eq(probe_udp(a, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_udp(b, "0.0.0.0:7000", 0, false), 0);
	ck_assert_int_eq(probe_listen(b, "0.0.0.0:80", 0, 0), 0);
	connect_to(a, "10.0.0.2:80");
	dk_sim_run(world, 10);
	ck_assert_int_eq(dk_sim_cut_way(world, "10.0.0.1", "10.0.0.2", true), 0);
	ck_assert_int_eq(dk_sim_cut_way(world, "x", "10.0.0.2", true), -EINVAL);
	send_to(a, "10.0.0.2:7000", "there");
	send_to(b, "10.0.0.1:7000", "back");
	dk_stream_write(a->stream, text("there"));
	dk_stream_write(b->stream, dk_slice_n(block, sizeof(block)));
	dk_sim_run(world, 5000);
	ck_assert_uint_eq(b->datagrams, 0);
	ck_assert_uint_eq(a->datagrams, 1);
	ck_assert_uint_eq(b->bytes, 0);
	ck_assert_uint_eq(a->bytes, 256 * 1024); /* nothing tells the writer that it may go on */
	got = b->opened;
	ck_assert_int_eq(dk_sim_cut_way(world, "10.0.0.2", "10.0.0.1", false), 0); /* which is not the one that is cut */
	dk_sim_run(world, 100);
	ck_assert_uint_eq(b->bytes, 0);
	ck_assert_int_eq(dk_sim_cut_way(world, "10.0.0.1", "10.0.0.2", false), 0);
	dk_sim_run(world, 100);
	ck_assert_uint_eq(b->bytes, 5);
	ck_assert_uint_eq(a->bytes, sizeof(block));
	ck_assert_uint_eq(b->opened, got);
	ck_assert_int_eq(dk_harness_free(ha), 0);
	ck_assert_int_eq(dk_harness_free(hb), 0);
	dk_env_free(world);
}
END_TEST

START_TEST(partitions)
{
	static const char *const left[] = { "10.0.0.1", "10.0.0.2", NULL }, *const right[] = { "10.0.0.3", NULL };
	static const char *const wrong[] = { "10.0.0.3", "no address", NULL };
	struct dk_env *world = dk_env_sim(1);
	struct dk_harness *h[3];
	struct probe *p[3];

	for (int i = 0; i < 3; i++) {
		h[i] = open_at(world, NULL, &p[i]);
		ck_assert_int_eq(probe_udp(p[i], "0.0.0.0:7000", 0, false), 0);
	}
	ck_assert_int_eq(dk_sim_partition(world, left, right, true), 0);
	for (int i = 0; i < 3; i++)
		for (int j = 1; j < 3; j++) {
			struct dk_addr to = { .ip = { 10, 0, 0, (uint8_t)((i + j) % 3 + 1) }, .port = 7000, .family = 4 };

			dk_udp_slot(p[i]->udp, &to, 1)[0] = 'x';
			dk_udp_commit(p[i]->udp, 1, 0);
		}
	dk_sim_run(world, 10);
	ck_assert_uint_eq(p[0]->datagrams, 1);
	ck_assert_uint_eq(p[1]->datagrams, 1);
	ck_assert_uint_eq(p[2]->datagrams, 0);
	ck_assert_int_eq(dk_sim_partition(world, left, wrong, false), -EINVAL);
	ck_assert_int_eq(dk_sim_partition(world, left, right, false), 0);
	send_to(p[1], "10.0.0.3:7000", "x");
	dk_sim_run(world, 10);
	ck_assert_uint_eq(p[2]->datagrams, 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(dk_harness_free(h[i]), 0);
	dk_env_free(world);
}
END_TEST

/* ---- losses in runs ---- */

struct runs {
	uint32_t next, lost, runs, longest;
};

static void arrived(void *arg, struct dk_sim_udp *u, const struct dk_addr *from, dk_slice bytes)
{
	struct runs *r = arg;
	uint32_t i, gap;

	(void)u;
	(void)from;
	memcpy(&i, bytes.p, sizeof(i));
	gap = i - r->next;
	r->lost += gap;
	r->runs += gap > 0;
	r->longest = gap > r->longest ? gap : r->longest;
	r->next = i + 1;
}

static struct runs lose(double loss, double burst)
{
	struct dk_env *env = dk_env_sim(11);
	struct runs r = { 0 };
	struct dk_sim_udp *a, *b;

	ck_assert_int_eq(dk_sim_udp_open(env, "10.1.0.1", NULL, NULL, &a), 0);
	ck_assert_int_eq(dk_sim_udp_open(env, "10.1.0.2:2", arrived, &r, &b), 0);
	dk_sim_link(env, NULL, NULL, &(struct dk_sim_link){ .loss = loss, .burst = burst });
	for (uint32_t i = 0; i < 50000; i++) {
		dk_sim_udp_send(a, dk_sim_udp_addr(b), dk_slice_n(&i, sizeof(i)));
		dk_sim_run(env, 1);
	}
	dk_env_free(env);
	return r;
}

START_TEST(bursts)
{
	struct runs alone = lose(0.2, 0), same = lose(0.2, 1), eight = lose(0.2, 8), all = lose(1, 8);

	ck_assert_mem_eq(&alone, &same, sizeof(alone));
	ck_assert_uint_gt(alone.lost, 9500);
	ck_assert_uint_lt(alone.lost, 10500);
	ck_assert_uint_lt(alone.longest, 12);
	ck_assert_uint_gt(eight.lost, 9000); /* as many, */
	ck_assert_uint_lt(eight.lost, 11000);
	ck_assert_uint_gt(eight.lost, 7 * eight.runs); /* but together */
	ck_assert_uint_lt(eight.lost, 9 * eight.runs);
	ck_assert_uint_gt(eight.longest, 30);
	ck_assert_uint_eq(all.next, 0);
}
END_TEST

UNIT_MAIN("faults", killed, stopped_unseen, processes_of_one_host, paused, bounds_of_a_pause, ends_of_a_pause, one_way, partitions,
	  bursts)
