/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The production world over real sockets on loopback. The node runs while a test waits for a condition; between that the test
 * plays the other side by plain system calls. No bound on wall-clock time is asserted but the one that ends a hanging test.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/kernel.h"

#include "probe.h"
#include "unit.h"

enum { GUARD_MS = 10, PATIENCE_US = 20000000 };

struct bed {
	struct dk_env *env;
	struct dk_kernel *k;
	struct probe *p;
	struct dk_timer guard;
	bool (*wanted)(struct bed *b);
	uint64_t give_up_us;
	size_t want, got;
	int fd;
};

static void nothing(void *self, struct dk_timer *t)
{
	(void)self;
	(void)t; /* it only wakes the loop, which then asks */
}

static bool ask(void *arg)
{
	struct bed *b = arg;

	ck_assert_msg(b->env->ops->now_us(b->env) < b->give_up_us, "it did not come to pass");
	return b->wanted(b);
}

static void wait_for(struct bed *b, bool (*wanted)(struct bed *b))
{
	b->wanted = wanted;
	b->give_up_us = b->env->ops->now_us(b->env) + PATIENCE_US;
	ck_assert_int_eq(b->env->ops->run(b->env, ask, b), 0);
}

static void log_line(void *arg, const char *line, size_t n)
{
	(void)arg;
	fprintf(stderr, "%.*s\n", (int)n, line);
}

static void begin(struct bed *b, uint32_t flags)
{
	const struct dk_plugin_desc *plugins[] = { &dk_plugin_probe, NULL };
	struct dk_boot boot = { .size = sizeof(boot),
				.flags = flags,
				.config_text = "plugins = { probe = {}; };",
				.config_name = "test.conf",
				.builtin = plugins,
				.log_sink = log_line };

	*b = (struct bed){ .env = dk_env_uv(), .fd = -1 };
	ck_assert_ptr_nonnull(b->env);
	ck_assert_int_eq(dk_kernel_new(b->env, &boot, &b->k), 0);
	ck_assert_int_eq(dk_begin(b->k), 0);
	b->p = dk_plugin_state(b->k, "probe");
	dk_timer_start(b->p, &b->guard, GUARD_MS, GUARD_MS, nothing);
}

static bool is_over(struct bed *b)
{
	return dk_finished(b->k, NULL);
}

static void end(struct bed *b)
{
	int code = -1;

	dk_stop(b->k);
	wait_for(b, is_over);
	ck_assert(dk_finished(b->k, &code));
	ck_assert_int_eq(code, 0);
	ck_assert_uint_eq(b->k->leftovers, 0);
	dk_kernel_free(b->k);
	dk_env_free(b->env);
	if (b->fd >= 0)
		close(b->fd);
}

static bool has_datagrams(struct bed *b)
{
	return b->p->datagrams >= b->want;
}

static bool has_bytes(struct bed *b)
{
	return b->p->bytes >= b->want;
}

static bool has_closed(struct bed *b)
{
	return b->p->closed >= b->want;
}

static bool has_opened(struct bed *b)
{
	return b->p->opened >= b->want;
}

static bool has_stream(struct bed *b)
{
	return b->p->stream != NULL;
}

static bool turn_done(struct bed *b)
{
	return b->want-- == 0;
}

/* Reads what the client's socket has. */
static bool client_has(struct bed *b)
{
	static uint8_t buf[65536];
	ssize_t n;

	while ((n = recv(b->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		b->got += (size_t)n;
	return b->got >= b->want;
}

static bool client_at_end(struct bed *b)
{
	static uint8_t buf[65536];
	ssize_t n;

	while ((n = recv(b->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		b->got += (size_t)n;
	ck_assert_msg(n == 0 || errno == EAGAIN, "the connection broke: %s", strerror(errno));
	return n == 0;
}

static int client(const struct dk_addr *to, int type, const char *ip)
{
	struct sockaddr_in6 name6 = { .sin6_family = AF_INET6, .sin6_port = htons(to->port) };
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(to->port) };
	bool v6 = strchr(ip, ':') != NULL;
	int fd = socket(v6 ? AF_INET6 : AF_INET, type, 0);

	ck_assert_int_ge(fd, 0);
	inet_pton(AF_INET, ip, &name.sin_addr);
	inet_pton(AF_INET6, ip, &name6.sin6_addr);
	ck_assert_int_eq(v6 ? connect(fd, (struct sockaddr *)&name6, sizeof(name6))
			    : connect(fd, (struct sockaddr *)&name, sizeof(name)),
			 0);
	return fd;
}

/* ---- UDP ---- */

START_TEST(udp)
{
	uint8_t big[3000] = { 0 };
	struct bed b;

	begin(&b, DK_BOOT_NO_SIGNALS);
	b.p->echo = true;
	ck_assert_int_eq(probe_udp(b.p, "127.0.0.1:0", 0, false), 0);
	b.fd = client(dk_udp_addr(b.p->udp), SOCK_DGRAM, "127.0.0.1");
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(send(b.fd, "0123456789", 10, 0), 10);
	b.want = 100;
	wait_for(&b, has_datagrams);
	ck_assert_uint_gt(b.p->largest_batch, 1);
	ck_assert_uint_le(b.p->largest_batch, 64);
	ck_assert_uint_eq(b.p->to.family, 0);
	b.want = 1000;
	wait_for(&b, client_has);
	ck_assert_int_eq(send(b.fd, big, sizeof(big), 0), sizeof(big)); /* too long for a slot */
	ck_assert_int_eq(send(b.fd, "last", 4, 0), 4);
	b.want = 101;
	wait_for(&b, has_datagrams);
	ck_assert_uint_eq(b.p->last_n, 4);
	ck_assert_uint_eq(io_app(b.k)->n.udp_oversize, 1);
	end(&b);
}
END_TEST

/* A socket with many local addresses answers from the one that was spoken to. */
START_TEST(udp_local_address)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t buf[16];
	struct bed b;

	begin(&b, DK_BOOT_NO_SIGNALS);
	ck_assert_int_eq(probe_udp(b.p, "0.0.0.0:0", 0, true), 0);
	b.fd = client(dk_udp_addr(b.p->udp), SOCK_DGRAM, "127.0.0.77");
	ck_assert_int_eq(send(b.fd, "hello", 5, 0), 5);
	b.want = 1;
	wait_for(&b, has_datagrams);
	ck_assert_uint_eq(b.p->to.family, 4);
	ck_assert_uint_eq(b.p->to.ip[3], 77);
	ck_assert_uint_eq(b.p->to.port, dk_udp_addr(b.p->udp)->port);
	memcpy(dk_udp_slot(b.p->udp, &b.p->from, 5), "there", 5);
	dk_udp_slot_from(b.p->udp, &b.p->to);
	dk_udp_commit(b.p->udp, 5, DK_UDP_FRAGMENT);
	b.want = 1;
	wait_for(&b, turn_done);
	ck_assert_int_eq(recvfrom(b.fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len), 5);
	ck_assert_uint_eq(ntohl(from.sin_addr.s_addr), 0x7f00004d); /* or a connected socket would not have seen it */
	end(&b);
}
END_TEST

START_TEST(udp_both_families)
{
	struct bed b;
	int rc;

	begin(&b, DK_BOOT_NO_SIGNALS);
	b.p->echo = true;
	rc = probe_udp(b.p, "[::]:0", 0, true);
	if (rc < 0) { /* a system without IPv6 says so */
		ck_assert_int_eq(rc, -EAFNOSUPPORT);
		end(&b);
		return;
	}
	ck_assert_uint_eq(dk_udp_addr(b.p->udp)->family, 6);
	b.fd = client(dk_udp_addr(b.p->udp), SOCK_DGRAM, "127.0.0.1");
	ck_assert_int_eq(send(b.fd, "four", 4, 0), 4);
	b.want = 1;
	wait_for(&b, has_datagrams);
	ck_assert_uint_eq(b.p->from.family, 4);
	ck_assert_uint_eq(b.p->to.family, 4);
	ck_assert_uint_eq(b.p->to.ip[0], 127);
	b.want = 4;
	wait_for(&b, client_has);
	memcpy(dk_udp_slot(b.p->udp, &b.p->from, 4), "from", 4);
	dk_udp_slot_from(b.p->udp, &b.p->to);
	dk_udp_commit(b.p->udp, 4, 0);
	b.want = 8;
	wait_for(&b, client_has);
	close(b.fd);
	b.fd = client(dk_udp_addr(b.p->udp), SOCK_DGRAM, "::1");
	ck_assert_int_eq(send(b.fd, "six", 3, 0), 3);
	b.want = 11;
	wait_for(&b, client_has);
	ck_assert_uint_eq(b.p->from.family, 6);
	ck_assert_uint_eq(b.p->to.family, 6);
	ck_assert_uint_eq(b.p->to.ip[15], 1);
	end(&b);
}
END_TEST

/* A port that another program holds. */
START_TEST(taken_ports)
{
	struct sockaddr_in name = { .sin_family = AF_INET };
	socklen_t len = sizeof(name);
	char text[DK_ADDR_TEXT];
	struct bed b;
	int tcp;

	begin(&b, DK_BOOT_NO_SIGNALS);
	inet_pton(AF_INET, "127.0.0.1", &name.sin_addr);
	for (;;) { /* a port with room above it, the same for both kinds */
		b.fd = socket(AF_INET, SOCK_DGRAM, 0);
		tcp = socket(AF_INET, SOCK_STREAM, 0);
		name.sin_port = 0;
		ck_assert_int_eq(bind(b.fd, (struct sockaddr *)&name, sizeof(name)), 0);
		ck_assert_int_eq(getsockname(b.fd, (struct sockaddr *)&name, &len), 0);
		if (ntohs(name.sin_port) < 65000 && bind(tcp, (struct sockaddr *)&name, len) == 0)
			break;
		close(b.fd);
		close(tcp);
	}
	ck_assert_int_eq(listen(tcp, 1), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(name.sin_port));
	ck_assert_int_eq(probe_udp(b.p, text, 0, false), -EADDRINUSE);
	ck_assert_int_eq(probe_udp(b.p, text, 100, false), 0);
	ck_assert_uint_gt(dk_udp_addr(b.p->udp)->port, ntohs(name.sin_port));
	ck_assert_int_eq(probe_listen(b.p, text, 0, 0), -EADDRINUSE);
	ck_assert_int_eq(probe_listen(b.p, text, 100, 0), 0);
	ck_assert_uint_gt(dk_listener_addr(b.p->listener)->port, ntohs(name.sin_port));
	ck_assert_int_eq(probe_udp(b.p, "203.0.113.1:0", 9, false), -EADDRNOTAVAIL);
	close(tcp);
	end(&b);
}
END_TEST

/* ---- TCP ---- */

static void begin_tcp(struct bed *b, uint32_t max_output)
{
	begin(b, DK_BOOT_NO_SIGNALS);
	ck_assert_int_eq(probe_listen(b->p, "127.0.0.1:0", 0, max_output), 0);
	b->fd = client(dk_listener_addr(b->p->listener), SOCK_STREAM, "127.0.0.1");
	wait_for(b, has_stream);
}

static void *send_all(void *arg)
{
	static uint8_t block[1 << 20];
	struct bed *b = arg;
	size_t sent = 0;

	while (sent < sizeof(block)) {
		ssize_t n = send(b->fd, block + sent, sizeof(block) - sent, MSG_NOSIGNAL);

		if (n <= 0)
			return b;
		sent += (size_t)n;
	}
	shutdown(b->fd, SHUT_WR);
	return NULL;
}

/* A megabyte there and back, half-closed by the client: all of it returns, then the end. */
START_TEST(tcp_echo)
{
	pthread_t thread;
	void *failed;
	struct bed b;

	begin_tcp(&b, 8 << 20);
	b.p->echo = true;
	ck_assert_int_eq(pthread_create(&thread, NULL, send_all, &b), 0);
	wait_for(&b, client_at_end);
	ck_assert_int_eq(pthread_join(thread, &failed), 0);
	ck_assert_ptr_null(failed);
	ck_assert_uint_eq(b.got, 1 << 20);
	ck_assert_uint_eq(b.p->bytes, 1 << 20);
	b.want = 1;
	wait_for(&b, has_closed);
	ck_assert_int_eq(b.p->closed_err, 0);
	end(&b);
}
END_TEST

START_TEST(tcp_reset)
{
	struct linger none = { 1, 0 };
	struct bed b;

	begin_tcp(&b, 0);
	setsockopt(b.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(b.fd);
	b.fd = -1;
	b.want = 1;
	wait_for(&b, has_closed);
	ck_assert_int_eq(b.p->closed_err, -ECONNRESET);

	b.p->pause = true; /* nobody reads it: the end is seen where something is written */
	b.fd = client(dk_listener_addr(b.p->listener), SOCK_STREAM, "127.0.0.1");
	wait_for(&b, has_stream);
	setsockopt(b.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(b.fd);
	b.fd = -1;
	ck_assert_int_eq(dk_stream_write(b.p->stream, dk_slice_n("hello?", 6)), 0);
	b.want = 2;
	wait_for(&b, has_closed);
	ck_assert_int_lt(b.p->closed_err, 0);
	end(&b);
}
END_TEST

static void *read_slowly(void *arg)
{
	static uint8_t buf[4096];
	struct bed *b = arg;
	ssize_t n;

	while ((n = recv(b->fd, buf, sizeof(buf), 0)) > 0)
		__atomic_add_fetch(&b->got, (size_t)n, __ATOMIC_RELAXED);
	return n == 0 ? NULL : b;
}

static bool has_drained(struct bed *b)
{
	return b->p->drained > 0;
}

START_TEST(tcp_slow_reader)
{
	static uint8_t block[1 << 20];
	size_t written = 0;
	pthread_t thread;
	void *failed;
	struct bed b;

	begin_tcp(&b, 4 << 20);
	for (int full = 0; full < 5;) { /* until the system's buffers and ours are full */
		if (dk_stream_write(b.p->stream, dk_slice_n(block, sizeof(block))) == 0)
			written += sizeof(block);
		else
			full++;
		b.want = 1;
		wait_for(&b, turn_done);
	}
	ck_assert_uint_gt(dk_stream_waiting(b.p->stream), 3 << 20);
	ck_assert_uint_eq(b.p->drained, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_slowly, &b), 0);
	wait_for(&b, has_drained);
	ck_assert_uint_eq(b.p->drained, 1);
	dk_stream_close(b.p->stream, true);
	ck_assert_int_eq(dk_stream_write(b.p->stream, dk_slice_n(block, 1)), DK_FULL);
	b.want = 1;
	wait_for(&b, has_closed);
	ck_assert_int_eq(pthread_join(thread, &failed), 0);
	ck_assert_ptr_null(failed);
	ck_assert_uint_eq(b.got, written);
	end(&b);
}
END_TEST

/* The answer arrives although more of the question is on its way when the server closes. */
START_TEST(tcp_lingers)
{
	uint8_t block[100000] = { 0 };
	struct bed b;

	begin_tcp(&b, 0);
	b.p->pause = true;
	dk_stream_pause(b.p->stream, true);
	ck_assert_int_gt(send(b.fd, block, sizeof(block), 0), 0);
	ck_assert_int_eq(dk_stream_write(b.p->stream, dk_slice_n("no, thanks", 10)), 0);
	dk_stream_close(b.p->stream, true);
	b.want = 1;
	wait_for(&b, has_closed);
	ck_assert_int_gt(send(b.fd, block, sizeof(block), MSG_NOSIGNAL), 0);
	b.want = 20;
	wait_for(&b, turn_done);
	ck_assert_int_gt(send(b.fd, block, sizeof(block), MSG_NOSIGNAL), 0);
	wait_for(&b, client_at_end);
	ck_assert_uint_eq(b.got, 10);
	end(&b);
}
END_TEST

START_TEST(tcp_cut_off)
{
	uint8_t buf[16];
	struct bed b;

	begin_tcp(&b, 0);
	dk_stream_write(b.p->stream, dk_slice_n("lost", 4));
	dk_stream_close(b.p->stream, false);
	b.want = 1;
	wait_for(&b, has_closed);
	ck_assert_int_eq(b.p->closed_err, 0);
	ck_assert_int_eq(recv(b.fd, buf, sizeof(buf), 0), -1);
	ck_assert_int_eq(errno, ECONNRESET);
	end(&b);
}
END_TEST

START_TEST(tcp_connect)
{
	struct dk_addr nowhere;
	struct bed b;

	begin(&b, DK_BOOT_NO_SIGNALS);
	b.p->echo = false;
	ck_assert_int_eq(probe_listen(b.p, "127.0.0.1:0", 0, 0), 0);
	nowhere = *dk_listener_addr(b.p->listener);
	ck_assert_int_eq(dk_stream_connect(b.p, &nowhere, true, &probe_stream_ops, b.p, &b.p->stream), 0);
	ck_assert_int_eq(dk_stream_write(b.p->stream, dk_slice_n("early", 5)), 0);
	b.want = 1;
	wait_for(&b, has_opened);
	b.want = 5;
	wait_for(&b, has_bytes);
	dk_listener_close(b.p->listener);
	b.want = 0;
	wait_for(&b, turn_done);
	b.p->closed = 0;
	if (dk_stream_connect(b.p, &nowhere, true, &probe_stream_ops, b.p, &b.p->stream) == 0) {
		b.want = 1;
		wait_for(&b, has_closed);
		ck_assert_int_eq(b.p->closed_err, -ECONNREFUSED);
	}
	ck_assert_uint_eq(b.p->opened, 1);
	end(&b);
}
END_TEST

/* Out of descriptors: those beyond are refused at once, nothing spins, and the listener works when there are some again. */
START_TEST(tcp_no_descriptors)
{
	enum { CLIENTS = 20, ALLOWED = 5 };
	struct rlimit was, low;
	int fds[CLIENTS], next, refused = 0;
	struct bed b;

	begin(&b, DK_BOOT_NO_SIGNALS);
	ck_assert_int_eq(probe_listen(b.p, "127.0.0.1:0", 0, 0), 0);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = client(dk_listener_addr(b.p->listener), SOCK_STREAM, "127.0.0.1");
	next = dup(0);
	close(next);
	getrlimit(RLIMIT_NOFILE, &was);
	low = was;
	low.rlim_cur = (rlim_t)next + ALLOWED;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	b.want = 20;
	wait_for(&b, turn_done);
	for (int i = 0; i < CLIENTS; i++) {
		uint8_t byte;

		refused += recv(fds[i], &byte, 1, MSG_DONTWAIT) == 0;
		close(fds[i]);
	}
	ck_assert_int_eq(refused, CLIENTS - ALLOWED);
	b.want = ALLOWED;
	wait_for(&b, has_closed);
	setrlimit(RLIMIT_NOFILE, &was);
	b.p->echo = true;
	b.fd = client(dk_listener_addr(b.p->listener), SOCK_STREAM, "127.0.0.1");
	ck_assert_int_eq(send(b.fd, "again", 5, 0), 5);
	b.want = 5;
	wait_for(&b, client_has);
	end(&b);
}
END_TEST

/* ---- the loop ---- */

static bool has_ticks(struct bed *b)
{
	return b->p->ticks >= b->want;
}

static void count_tick(void *self, struct dk_timer *t)
{
	(void)t;
	((struct probe *)self)->ticks++;
}

static void count_turn(struct probe *p)
{
	p->batches++;
}

START_TEST(timers_and_sleep)
{
	struct rusage before, after;
	uint64_t began_us;
	struct bed b;

	begin(&b, DK_BOOT_NO_SIGNALS);
	b.want = 1;
	wait_for(&b, turn_done);
	b.p->on_turn_end = count_turn;
	getrusage(RUSAGE_SELF, &before);
	began_us = dk_now_us(b.p); /* the node's clock, from which timers count: it stands still since the last turn */
	dk_timer_start(b.p, &b.p->timer, 50, 20, count_tick);
	b.want = 3;
	wait_for(&b, has_ticks);
	ck_assert_uint_ge(b.env->ops->now_us(b.env) - began_us, 89000); /* never early, but for the millisecond begun */
	/* The guard's turns and the timer's, some more for cascades; and between them the loop slept. */
	getrusage(RUSAGE_SELF, &after);
	ck_assert_uint_lt(b.p->batches, 90);
	ck_assert_int_ge(after.ru_nvcsw - before.ru_nvcsw, 5);
	b.p->on_turn_end = NULL;
	end(&b);
}
END_TEST

static void raise_term(void *self, struct dk_timer *t)
{
	(void)self;
	(void)t;
	kill(getpid(), SIGTERM);
}

START_TEST(signals)
{
	int code = -1;
	struct bed b;

	begin(&b, 0);
	dk_timer_start(b.p, &b.p->timer, 1, 0, raise_term);
	wait_for(&b, is_over);
	ck_assert(dk_finished(b.k, &code));
	ck_assert_int_eq(code, 0);
	dk_kernel_free(b.k);
	dk_env_free(b.env);
}
END_TEST

struct work {
	pthread_t thread;
	pthread_mutex_t *gate;
	int worked, done, dropped;
};

static void job_work(void *arg)
{
	struct work *w = arg;

	pthread_mutex_lock(w->gate);
	pthread_mutex_unlock(w->gate);
	w->thread = pthread_self();
	w->worked++;
}

static void job_done(void *self, void *arg)
{
	((struct work *)arg)->done++;
	((struct probe *)self)->ticks++;
}

static void job_drop(void *arg)
{
	((struct work *)arg)->dropped++;
}

START_TEST(jobs)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct work w[10], first = { .gate = &gate };
	int code;
	struct bed b;

	begin(&b, DK_BOOT_NO_SIGNALS);
	ck_assert_int_eq(dk_job(b.p, job_work, job_done, job_drop, &first), 0);
	b.want = 1;
	wait_for(&b, has_ticks);
	ck_assert_int_eq(first.worked, 1);
	ck_assert_int_eq(first.done, 1);
	ck_assert(!pthread_equal(first.thread, pthread_self()));
	/* Ten that are held up while the node ends: those under way are waited for, the others never begin; all are dropped. */
	pthread_mutex_lock(&gate);
	for (size_t i = 0; i < DK_ARRAY_LEN(w); i++) {
		w[i] = (struct work){ .gate = &gate };
		ck_assert_int_eq(dk_job(b.p, job_work, job_done, job_drop, &w[i]), 0);
	}
	dk_stop(b.k);
	wait_for(&b, is_over);
	ck_assert(dk_finished(b.k, &code) && code == 0);
	pthread_mutex_unlock(&gate);
	dk_kernel_free(b.k);
	for (size_t i = 0; i < DK_ARRAY_LEN(w); i++) {
		ck_assert_int_eq(w[i].dropped, 1);
		ck_assert_int_eq(w[i].done, 0);
	}
	dk_env_free(b.env);
}
END_TEST

START_TEST(interfaces)
{
	struct dk_addr a = { .port = 77 };
	uint8_t one[16] = { 0 }, two[16] = { 0 };
	struct bed b;

	begin(&b, DK_BOOT_NO_SIGNALS);
	ck_assert_int_eq(dk_addr_of_nic(b.p, "nosuchnic", &a), DK_NOT_FOUND);
	ck_assert_uint_eq(a.port, 77);
	ck_assert_int_eq(dk_addr_of_nic(b.p, "lo", &a), 0);
	ck_assert_uint_eq(a.ip[0], 127);
	ck_assert_uint_eq(a.port, 0);
	ck_assert_int_eq(dk_random(b.p, one, sizeof(one)), 0);
	ck_assert_int_eq(dk_random(b.p, two, sizeof(two)), 0);
	ck_assert_mem_ne(one, two, sizeof(one));
	ck_assert_uint_gt(dk_wall_ns(b.p), 1700000000000000000);
	end(&b);
}
END_TEST

static struct {
	unsigned n;
	int err;
	struct dk_addr addr;
} resolved;

static void on_resolved(void *self, void *arg, int err, const struct dk_addr *addr)
{
	(void)self;
	(void)arg;
	resolved.n++;
	resolved.err = err;
	if (addr)
		resolved.addr = *addr;
}

static bool has_resolved(struct bed *b)
{
	(void)b;
	return resolved.n > 0;
}

static void resolve(struct bed *b, const char *host, int err, const char *want)
{
	char buf[DK_ADDR_TEXT];

	resolved.n = 0;
	ck_assert_int_eq(dk_resolve(b->p, dk_str_c(host), 80, on_resolved, NULL), 0);
	ck_assert_uint_eq(resolved.n, 0);
	wait_for(b, has_resolved);
	ck_assert_uint_eq(resolved.n, 1);
	ck_assert_int_eq(resolved.err, err);
	if (err == 0) {
		dk_addr_format(&resolved.addr, buf);
		ck_assert_str_eq(buf, want);
	}
}

/* Names that the resolver answers without asking anybody. */
START_TEST(names_of_hosts)
{
	char label[100];
	struct bed b;

	begin(&b, DK_BOOT_NO_SIGNALS);
	resolve(&b, "127.0.0.9", 0, "127.0.0.9:80");
	resolve(&b, "0x7f.2", 0, "127.0.0.2:80"); /* which is no address to us, but one to the system */
	resolve(&b, "0x7f.2:7", 0, "127.0.0.2:7");
	memset(label, 'a', sizeof(label));
	label[99] = '\0';
	resolve(&b, label, -ENOENT, NULL);
	resolve(&b, "0x7f.2:", -ENOENT, NULL);
	resolve(&b, "0x7f.2:99999", -ENOENT, NULL);
	ck_assert_int_eq(dk_resolve(b.p, dk_str_c("0x7f.2"), 80, on_resolved, NULL), 0);
	end(&b); /* the question is forgotten */
}
END_TEST

/* ---- what a program does for its node: listeners of others, a descriptor to watch ---- */

static struct {
	unsigned asked, watched;
	int fd, pipe[2];
	struct dk_addr bind;
	bool go_on;
} program;

static int share(void *arg, const struct dk_addr *bind, int backlog)
{
	ck_assert_ptr_eq(arg, &program);
	ck_assert_int_eq(backlog, 1024);
	program.asked++;
	program.bind = *bind;
	return program.fd;
}

static bool watch(void *arg)
{
	char c;

	ck_assert_ptr_eq(arg, &program);
	program.watched++;
	return read(program.pipe[0], &c, 1) == 1 && program.go_on;
}

static bool has_watched(struct bed *b)
{
	return program.watched >= b->want;
}

static void begin_with(struct bed *b)
{
	const struct dk_plugin_desc *plugins[] = { &dk_plugin_probe, NULL };
	struct dk_boot boot = { .size = sizeof(boot),
				.flags = DK_BOOT_NO_SIGNALS,
				.config_text = "plugins = { probe = {}; };",
				.config_name = "test.conf",
				.builtin = plugins,
				.log_sink = log_line,
				.share = share,
				.watch = watch,
				.watch_fd = program.pipe[0],
				.program = &program };

	*b = (struct bed){ .env = dk_env_uv(), .fd = -1 };
	ck_assert_int_eq(dk_kernel_new(b->env, &boot, &b->k), 0);
	ck_assert_int_eq(dk_begin(b->k), 0);
	b->p = dk_plugin_state(b->k, "probe");
	dk_timer_start(b->p, &b->guard, GUARD_MS, GUARD_MS, nothing);
}

START_TEST(shared_listeners)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	struct bed b;
	char text[32];

	ck_assert_int_eq(pipe2(program.pipe, O_NONBLOCK | O_CLOEXEC), 0);
	program.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(program.fd, (struct sockaddr *)&at, n), 0);
	ck_assert_int_eq(listen(program.fd, 5), 0);
	getsockname(program.fd, (struct sockaddr *)&at, &n);
	begin_with(&b);
	ck_assert_int_eq(probe_listen(b.p, "127.0.0.1:0", 0, 0), 0); /* any port is nobody else's, */
	dk_listener_close(b.p->listener);
	ck_assert_int_eq(probe_listen(b.p, "127.0.0.1:20000", 1000, 0), 0); /* nor the next free one */
	dk_listener_close(b.p->listener);
	ck_assert_uint_eq(program.asked, 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(at.sin_port));
	ck_assert_int_eq(probe_listen(b.p, text, 0, 0), 0); /* which is taken, as it seems */
	ck_assert_uint_eq(program.asked, 1);
	ck_assert_uint_eq(program.bind.port, ntohs(at.sin_port));
	b.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(b.fd, (struct sockaddr *)&at, n), 0);
	wait_for(&b, has_stream);
	program.fd = -EADDRINUSE;
	ck_assert_int_eq(probe_listen(b.p, "127.0.0.1:1", 0, 0), -EADDRINUSE);
	end(&b); /* what was given over is closed */
	ck_assert_int_eq(close(program.pipe[0]) | close(program.pipe[1]), 0);
}
END_TEST

START_TEST(watched_descriptor)
{
	struct bed b;

	ck_assert_int_eq(pipe2(program.pipe, O_NONBLOCK | O_CLOEXEC), 0);
	program.go_on = true;
	begin_with(&b);
	ck_assert_int_eq((int)write(program.pipe[1], "ab", 2), 2);
	b.want = 2;
	wait_for(&b, has_watched);
	b.want = 5;
	wait_for(&b, turn_done);
	ck_assert_uint_eq(program.watched, 2); /* while there is nothing to read it is not called */
	close(program.pipe[1]);
	b.want = 3;
	wait_for(&b, has_watched);
	b.want = 5;
	wait_for(&b, turn_done);
	ck_assert_uint_eq(program.watched, 3); /* it said that it wants no more */
	end(&b);
	ck_assert_int_eq(close(program.pipe[0]), 0); /* which stays the program's */
}
END_TEST

UNIT_MAIN("uv", udp, udp_local_address, udp_both_families, taken_ports, tcp_echo, tcp_reset, tcp_slow_reader, tcp_lingers,
	  tcp_cut_off, tcp_connect, tcp_no_descriptors, timers_and_sleep, signals, jobs, interfaces, names_of_hosts,
	  shared_listeners, watched_descriptor)
