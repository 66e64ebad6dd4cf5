/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room fan-out: rooms of 16, every message goes to all of the room, the sender included. A diarkisd and the bare limit run the same
 * work in turn, each pinned to core 0, while this generator has core 1. What is compared is CPU time of the server per delivery.
 *
 *   bench_fanout [udp|tcp] [seal] [rooms=64] [rate=0] [tick=0] [secs=2] [rounds=5] [size=64] [window=400] [reliable]
 *                [states] [workers=N] [--json]
 *
 * nop: messages go to a command that only counts, nothing comes back: what a received packet costs. Needs a rate.
 * states: in place of broadcasts each member sets one state, of at most 38 bytes, told in windows of `tick`. Needs a rate.
 * rate: messages per second and member; 0 = a closed loop that keeps `window` messages in flight. tick: the rooms' interval in ms.
 * workers: in the limit's place one worker is measured, against N of them under the same load; all on one core. UDP, with a rate.
 */
#include "bare.h"
#include "rig.h"
#include "wire/peer.h"
#include "wire/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMBERS 16
#define SOCKETS 16
#define BATCH 64
#define ROUNDS_MAX 64

struct opts {
	bool tcp, seal, json, reliable, nop, states;
	unsigned rooms, rate, tick, secs, rounds, size, window, workers;
	const char *name;
};

struct client {
	struct wire_peer peer;
	struct wire_stream stream;
	int fd; /* TCP */
	uint8_t *in;
	uint32_t in_used;
	uint8_t *out;
	uint32_t out_used;
	char room[DK_ID52_LEN];
	struct sockaddr_in server;
	bool open, in_room, dirty;
};

static struct {
	struct opts o;
	bool bare;
	unsigned n;
	struct client *c;
	struct wire_ctx *wire;
	int fd[SOCKETS];
	struct sockaddr_in server; /* of all, or of the first worker */
	uint64_t deliveries, sent, datagrams, lat_n;
	uint32_t hist[4096]; /* latency in steps of 16 us up to 65 ms, then the last one */
	uint64_t now_ms;
	unsigned current;
	bool measure;
	volatile uint64_t *received; /* nop: counted by the server, in shared memory */
	struct mmsghdr tx[SOCKETS][BATCH];
	struct iovec tx_iov[SOCKETS][BATCH];
	uint8_t tx_buf[SOCKETS][BATCH][2048];
	union {
		struct cmsghdr align;
		uint8_t b[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} tx_ctl[SOCKETS][BATCH];
	unsigned tx_n[SOCKETS];
} g;

static uint32_t address_of(unsigned i)
{
	return 0x7f010000u + i + 1;
}

/* ---- sockets of the UDP members: a few, each with many local addresses ---- */

static void udp_flush(unsigned s)
{
	unsigned done = 0;

	while (done < g.tx_n[s]) {
		int n = sendmmsg(g.fd[s], g.tx[s] + done, g.tx_n[s] - done, 0);

		done += n > 0 ? (unsigned)n : 1;
	}
	g.tx_n[s] = 0;
}

static uint8_t *udp_slot(unsigned i)
{
	unsigned s = i % SOCKETS, k;
	struct cmsghdr *cm;
	struct in_pktinfo *pi;

	if (g.tx_n[s] == BATCH)
		udp_flush(s);
	k = g.tx_n[s];
	g.tx_iov[s][k].iov_base = g.tx_buf[s][k];
	g.tx[s][k].msg_hdr = (struct msghdr){ .msg_name = &g.c[i].server,
					      .msg_namelen = sizeof(g.c[i].server),
					      .msg_iov = &g.tx_iov[s][k],
					      .msg_iovlen = 1,
					      .msg_control = &g.tx_ctl[s][k],
					      .msg_controllen = sizeof(g.tx_ctl[s][k]) };
	cm = CMSG_FIRSTHDR(&g.tx[s][k].msg_hdr);
	cm->cmsg_level = IPPROTO_IP;
	cm->cmsg_type = IP_PKTINFO;
	cm->cmsg_len = CMSG_LEN(sizeof(*pi));
	pi = (struct in_pktinfo *)(void *)CMSG_DATA(cm);
	*pi = (struct in_pktinfo){ .ipi_spec_dst.s_addr = htonl(address_of(i)) };
	return g.tx_buf[s][k];
}

static void udp_commit(unsigned i, size_t n)
{
	unsigned s = i % SOCKETS;

	g.tx_iov[s][g.tx_n[s]++].iov_len = n;
}

static void udp_sockets(void)
{
	for (unsigned s = 0; s < SOCKETS; s++) {
		struct sockaddr_in a = { .sin_family = AF_INET };
		int one = 1, big = 8 << 20;

		g.fd[s] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		setsockopt(g.fd[s], IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
		setsockopt(g.fd[s], SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
		setsockopt(g.fd[s], SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
		if (g.fd[s] < 0 || bind(g.fd[s], (struct sockaddr *)&a, sizeof(a)) < 0)
			rig_die("socket: %s", strerror(errno));
	}
}

/* ---- counting ---- */

static void delivered(const uint8_t *p, size_t n)
{
	uint64_t at;

	g.deliveries++;
	if (!g.measure || n < 8)
		return;
	memcpy(&at, p, 8);
	at = rig_now_us() - at;
	g.hist[at / 16 < 4095 ? at / 16 : 4095]++;
	g.lat_n++;
}

static void on_frame(void *arg, const struct dk_frame *f, bool reliable)
{
	struct client *c = &g.c[g.current];

	(void)arg;
	(void)reliable;
	if (f->ver != 1)
		return;
	if (f->status == DK_STATUS_OK && (f->cmd == 100 || f->cmd == 101) && f->payload.n >= 4 + DK_ID52_LEN) {
		memcpy(c->room, f->payload.p + 4, DK_ID52_LEN);
		c->in_room = true;
	} else if (f->status == DK_STATUS_PUSH && f->cmd == 103) {
		struct dk_cursor l = dk_cursor_of(f->payload);
		dk_slice item;

		while (wire_list_next(&l, &item))
			delivered(item.p, item.n);
	} else if (f->status == DK_STATUS_PUSH && f->cmd == 15) {
		struct dk_cursor l = dk_cursor_of(f->payload);
		dk_slice item;

		while (wire_list_next(&l, &item)) {
			struct dk_cursor s = dk_cursor_of(item);

			while (dk_rd_left(&s)) {
				dk_rd_bytes8(&s); /* the key */
				item = dk_rd_bytes8(&s);
				delivered(item.p, item.n);
			}
		}
	} else if (f->status == DK_STATUS_BAD || f->status == DK_STATUS_ERR) {
		rig_die("the server refused command %u: %.*s", f->cmd, (int)f->payload.n, (const char *)f->payload.p);
	}
}

static void on_opened(void *arg, const struct dk_addr *from)
{
	(void)arg;
	(void)from;
	g.c[g.current].open = true;
}

static void on_closed(void *arg, enum wire_reason reason)
{
	(void)arg;
	rig_die("member %u lost its connection, reason %d", g.current, (int)reason);
}

static const struct wire_events events = { .frame = on_frame, .opened = on_opened, .closed = on_closed };

/* ---- in and out ---- */

static void out(unsigned i)
{
	struct client *c = &g.c[i];
	struct dk_addr to;
	bool fragment;
	size_t n, need;

	if (!g.o.tcp) {
		for (;;) {
			uint8_t *slot = udp_slot(i);

			n = wire_peer_out(g.wire, &c->peer, g.now_ms, true, slot, WIRE_SLOT, &to, &fragment);
			if (!n)
				return;
			udp_commit(i, n);
		}
	}
	while ((n = wire_stream_out(g.wire, &c->stream, c->out + c->out_used, 65536 - c->out_used, &need)))
		c->out_used += (uint32_t)n;
	if (c->out_used) {
		ssize_t w = write(c->fd, c->out, c->out_used);

		if (w > 0) {
			memmove(c->out, c->out + w, c->out_used - (size_t)w);
			c->out_used -= (uint32_t)w;
		}
	}
}

static void send_frame(unsigned i, uint16_t cmd, dk_slice payload, bool reliable)
{
	struct dk_frame f = { .ver = 1, .cmd = cmd, .payload = payload };

	if (g.o.tcp)
		wire_stream_send(g.wire, &g.c[i].stream, &f, DK_RELIABLE);
	else
		wire_peer_send(g.wire, &g.c[i].peer, g.now_ms, &f, reliable ? DK_RELIABLE : DK_UNRELIABLE);
	out(i);
}

static void message(unsigned i)
{
	static const uint8_t filler[1024];
	uint8_t buf[2048];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));
	uint64_t now = rig_now_us();

	g.sent++;
	if (g.o.nop && !g.bare) {
		struct dk_frame f = { .ver = 2, .cmd = 1, .payload = dk_slice_n(filler, g.o.size) };

		wire_peer_send(g.wire, &g.c[i].peer, g.now_ms, &f, DK_UNRELIABLE);
		out(i);
		return;
	}
	if (g.bare) {
		uint32_t head[2] = { g.o.size, i };
		uint8_t *p = g.o.tcp ? buf : udp_slot(i);
		size_t skip = g.o.tcp ? 4 : 0;

		memset(p, 0, 8 + g.o.size);
		memcpy(p, g.o.tcp ? head : head + 1, 8 - (g.o.tcp ? 0 : 4));
		memcpy(p + 4 + skip, &now, 8);
		if (g.o.tcp) {
			if (write(g.c[i].fd, buf, 8 + g.o.size) < 0)
				g.sent--;
		} else {
			udp_commit(i, 4 + g.o.size);
		}
		return;
	}
	dk_wr_u8(&w, g.o.reliable || g.o.tcp);
	if (g.o.states)
		dk_wr_u8(&w, 0);
	dk_wr_slice(&w, dk_slice_n(g.c[i].room, DK_ID52_LEN));
	if (g.o.states) {
		dk_wr_u16(&w, 2);
		dk_wr_u16(&w, (uint16_t)(i % MEMBERS));
	}
	dk_wr_slice(&w, dk_slice_n(&now, sizeof(now)));
	dk_wr_slice(&w, dk_slice_n(filler, g.o.size - sizeof(now)));
	send_frame(i, g.o.states ? 15 : 103, dk_written(&w), g.o.reliable);
}

static void udp_in(void)
{
	static struct mmsghdr rx[BATCH];
	static struct iovec iov[BATCH];
	static uint8_t buf[BATCH][2048];
	static union {
		struct cmsghdr align;
		uint8_t b[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} ctl[BATCH];
	struct dk_addr from = { .family = 4, .ip = { 127, 0, 0, 1 } };

	for (unsigned s = 0; s < SOCKETS; s++) {
		int n;

		do {
			for (unsigned i = 0; i < BATCH; i++) {
				iov[i] = (struct iovec){ buf[i], sizeof(buf[i]) };
				rx[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i],
								 .msg_iovlen = 1,
								 .msg_control = &ctl[i],
								 .msg_controllen = sizeof(ctl[i]) };
			}
			n = recvmmsg(g.fd[s], rx, BATCH, 0, NULL);
			for (int i = 0; i < n; i++) {
				struct cmsghdr *cm = CMSG_FIRSTHDR(&rx[i].msg_hdr);
				uint32_t who = ntohl(((struct in_pktinfo *)(void *)CMSG_DATA(cm))->ipi_addr.s_addr) - address_of(0);

				if (who >= g.n)
					continue;
				g.datagrams++;
				if (g.bare) {
					if (g.o.seal) { /* not opened: the generator is not what is measured */
						g.deliveries += rx[i].msg_len / (g.o.size + 4)
									? rx[i].msg_len / (g.o.size + (g.o.tick ? 0 : 40))
									: 1;
						continue;
					}
					for (uint32_t at = 0; at + g.o.size <= rx[i].msg_len; at += g.o.size)
						delivered(buf[i] + at, g.o.size);
					continue;
				}
				g.current = who;
				from.port = ntohs(g.c[who].server.sin_port);
				wire_peer_recv(g.wire, &g.c[who].peer, g.now_ms, &from, dk_slice_n(buf[i], rx[i].msg_len), &events);
				if (!g.c[who].in_room || g.o.reliable)
					out(who);
			}
		} while (n == BATCH);
	}
}

static void tcp_feed(unsigned i, const uint8_t *p, size_t n)
{
	struct client *c = &g.c[i];
	static uint8_t joined[262144];
	dk_slice all = dk_slice_n(p, n);
	int used = 0;

	if (c->in_used) {
		memcpy(joined, c->in, c->in_used);
		memcpy(joined + c->in_used, p, n);
		all = dk_slice_n(joined, c->in_used + n);
		c->in_used = 0;
	}
	if (g.bare) {
		while (all.n - (size_t)used >= 8 + g.o.size) {
			delivered(all.p + used + 8, g.o.size);
			used += (int)(8 + g.o.size);
		}
	} else {
		g.current = i;
		used = wire_stream_feed(g.wire, &c->stream, all, &events);
		if (used < 0)
			rig_die("the stream of member %u broke", i);
	}
	c->in_used = (uint32_t)(all.n - (size_t)used);
	if (c->in_used > 65536)
		rig_die("a frame of more than 64 KiB");
	memcpy(c->in, all.p + used, c->in_used);
}

static void tcp_in(int ep)
{
	static uint8_t buf[131072];
	struct epoll_event ev[256];
	int n = epoll_wait(ep, ev, 256, 0);

	for (int i = 0; i < n; i++) {
		ssize_t r = read(g.c[ev[i].data.u32].fd, buf, sizeof(buf) / 2);

		if (r <= 0 && errno != EAGAIN)
			rig_die("the server closed the connection of member %u", ev[i].data.u32);
		if (r > 0)
			tcp_feed(ev[i].data.u32, buf, (size_t)r);
	}
}

/* ---- one run ---- */

struct result {
	long futexes; /* system calls of that name in a second of load; < 0: no strace here */
	double ns, user_share, per_s, cpu;
	double datagram_ns; /* UDP: CPU per datagram sent; a datagram may hold many deliveries */
	double allocations, calls; /* per packet, received and sent together; < 0: not counted */
	uint32_t p50, p99;
};

static int ep = -1;

static void pump(void)
{
	g.now_ms = rig_now_us() / 1000;
	if (g.o.tcp)
		tcp_in(ep);
	else
		udp_in();
}

static void push_out(void)
{
	for (unsigned s = 0; s < SOCKETS && !g.o.tcp; s++)
		udp_flush(s);
}

static int wire_random(void *arg, void *buf, size_t n)
{
	(void)arg;
	return getrandom(buf, n, 0) == (ssize_t)n ? 0 : -1;
}

static void wait_for(bool (*all)(void), const char *what)
{
	uint64_t until = rig_now_us() + 20000000;

	while (!all()) {
		pump();
		for (unsigned i = 0; i < g.n && !g.o.tcp && !g.bare; i++)
			if (wire_peer_due(g.wire, &g.c[i].peer) <= g.now_ms) {
				g.current = i;
				wire_peer_tick(g.wire, &g.c[i].peer, g.now_ms, &events);
				out(i);
			}
		push_out();
		if (rig_now_us() > until)
			rig_die("not everybody %s within 20 s", what);
	}
}

static bool all_open(void)
{
	for (unsigned i = 0; i < g.n; i++)
		if (!g.c[i].open)
			return false;
	return true;
}

static bool all_owners_in(void)
{
	for (unsigned i = 0; i < g.n; i += MEMBERS)
		if (!g.c[i].in_room)
			return false;
	return true;
}

static bool all_in(void)
{
	for (unsigned i = 0; i < g.n; i++)
		if (!g.c[i].in_room)
			return false;
	return true;
}

static void tcp_connect(uint16_t port)
{
	ep = epoll_create1(0);
	for (unsigned i = 0; i < g.n; i++) {
		struct sockaddr_in to = { .sin_family = AF_INET,
					  .sin_port = htons(port),
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };
		int one = 1;

		g.c[i].fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(g.c[i].fd, (struct sockaddr *)&to, sizeof(to)) < 0)
			rig_die("connect: %s", strerror(errno));
		setsockopt(g.c[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		fcntl(g.c[i].fd, F_SETFL, O_NONBLOCK);
		epoll_ctl(ep, EPOLL_CTL_ADD, g.c[i].fd, &ev);
		g.c[i].in = malloc(65536);
		g.c[i].out = malloc(65536);
		g.c[i].open = true;
	}
}

/* Index of the worker that a port is of, in order of appearance; workers: a port too many. */
static unsigned worker_of(uint16_t port, uint16_t *ports, unsigned workers)
{
	unsigned w = 0;

	while (w < workers && ports[w] && ports[w] != port)
		w++;
	if (w < workers)
		ports[w] = port;
	return w;
}

/*
 * Everybody of a room on the same worker, as many rooms on each. The cluster spreads users by how many each node said last that it
 * has, so they are asked for in small lots, until each worker has its share; who is left over never connects.
 */
static void place_users(const struct rig_node *n, struct dk_credential *ret_creds)
{
	enum { LOT = 128, LOTS_MAX = 100, BEAT_US = 300000 };
	const char *type = g.o.tcp ? "TCP" : "UDP";
	unsigned workers = n->worker_n, have[RIG_WORKERS_MAX] = { 0 }, complete = 0;
	uint16_t ports[RIG_WORKERS_MAX] = { 0 }, lot_ports[LOT];
	struct dk_credential lot[LOT];
	char prefix[16];

	if (workers < 2) {
		rig_users(n, type, "m", g.n, ret_creds, NULL);
		return;
	}
	for (unsigned lots = 0; complete < workers; lots++) {
		if (lots == LOTS_MAX)
			rig_die("the endpoint does not spread users over the workers");
		snprintf(prefix, sizeof(prefix), "m%u-", lots);
		rig_users(n, type, prefix, LOT, lot, lot_ports);
		for (unsigned k = 0; k < LOT; k++) {
			unsigned w = worker_of(lot_ports[k], ports, workers);
			unsigned room = w + have[w] / MEMBERS * workers, i = room * MEMBERS + have[w] % MEMBERS;

			if (w == workers || room >= g.o.rooms)
				continue;
			ret_creds[i] = lot[k];
			g.c[i].server.sin_port = htons(lot_ports[k]);
			have[w]++;
			complete += have[w] % MEMBERS == 0 && room + workers >= g.o.rooms;
		}
		usleep(BEAT_US);
	}
}

static void join_rooms(const struct rig_node *n)
{
	struct dk_credential *creds = calloc(g.n, sizeof(*creds));
	struct wire_ctx_opts wo = { .random = wire_random };
	struct dk_addr server = { .family = 4, .ip = { 127, 0, 0, 1 } };

	wire_limits_default(&wo.limits);
	wo.limits.ttl_ms = 600000;
	wo.limits.max_frame = 1 << 20;
	if (wire_ctx_new(&wo, &g.wire) < 0)
		rig_die("no wire");
	place_users(n, creds);
	for (unsigned i = 0; i < g.n; i++) {
		g.current = i;
		server.port = ntohs(g.c[i].server.sin_port);
		if (g.o.tcp) {
			wire_stream_init(g.wire, &g.c[i].stream, WIRE_CLIENT, &creds[i]);
		} else {
			wire_peer_init(g.wire, &g.c[i].peer, WIRE_CLIENT, &creds[i], g.now_ms);
			wire_peer_open(g.wire, &g.c[i].peer, g.now_ms, &server);
			out(i);
		}
		if (i % 64 == 63) {
			push_out();
			pump();
		}
	}
	free(creds);
	push_out();
	wait_for(all_open, "connected");
	for (unsigned i = 0; i < g.n; i += MEMBERS) {
		uint8_t buf[32];
		struct dk_writer w = dk_writer_on(buf, sizeof(buf));

		dk_wr_u16(&w, MEMBERS);
		dk_wr_u8(&w, 0);
		dk_wr_u8(&w, 1);
		dk_wr_u16(&w, 60);
		dk_wr_u16(&w, 0);
		dk_wr_u32(&w, g.o.tick);
		send_frame(i, 100, dk_written(&w), true);
	}
	push_out();
	wait_for(all_owners_in, "created a room");
	for (unsigned i = 0; i < g.n; i++)
		if (i % MEMBERS) {
			send_frame(i, 101, dk_slice_n(g.c[i / MEMBERS * MEMBERS].room, DK_ID52_LEN), true);
			if (i % 32 == 31) {
				push_out();
				pump();
			}
		}
	push_out();
	wait_for(all_in, "joined");
}

static void generate(uint64_t until)
{
	uint64_t began = rig_now_us(), due = 0, now, last = g.deliveries, stuck = began;
	unsigned turn = 0;
	uint64_t in_flight_base = g.sent - g.deliveries / MEMBERS;

	while ((now = rig_now_us()) < until) {
		g.now_ms = now / 1000;
		if (g.o.rate) {
			uint64_t want =
				(now - began) * g.o.rate / 1000000u * g.n + (now - began) * g.o.rate % 1000000u * g.n / 1000000u;

			for (unsigned k = 0; due < want && k < 512; due++, k++)
				message((unsigned)(due % g.n));
		} else {
			uint64_t done = g.deliveries / MEMBERS + in_flight_base;

			while (g.sent < done + g.o.window) {
				message(turn % g.o.rooms * MEMBERS + turn / g.o.rooms % MEMBERS);
				turn++;
				if (turn % 32 == 0)
					break;
			}
			/* Unreliable messages may get lost; the loop must not starve by that. */
			if (g.deliveries != last) {
				last = g.deliveries;
				stuck = now;
			} else if (now - stuck > 20000) {
				in_flight_base = g.sent - g.deliveries / MEMBERS;
				stuck = now;
			}
		}
		push_out();
		pump();
	}
}

static uint32_t quantile(double q)
{
	uint64_t want = (uint64_t)((double)g.lat_n * q), sum = 0;

	for (unsigned i = 0; i < DK_ARRAY_LEN(g.hist); i++)
		if ((sum += g.hist[i]) > want)
			return i * 16;
	return 65520;
}

static struct rig_cpu cpu_of_all(const struct rig_node *n, pid_t pid)
{
	struct rig_cpu sum = { 0, 0 };

	if (!n->worker_n)
		return rig_cpu_of(pid);
	for (unsigned i = 0; i < n->worker_n; i++) {
		struct rig_cpu one = rig_cpu_of(n->workers[i]);

		sum.user += one.user;
		sum.sys += one.sys;
	}
	return sum;
}

/* By strace, under load, for a second, after everything else was measured. */
static long count_futexes(const struct rig_node *n)
{
	char command[512] = "command -v strace >/dev/null && timeout -s INT 1 strace -f -e trace=futex", line[64];
	size_t at = strlen(command);
	long calls = -1;
	FILE *f;

	for (unsigned i = 0; i < n->worker_n; i++)
		at += (size_t)snprintf(command + at, sizeof(command) - at, " -p %d", (int)n->workers[i]);
	snprintf(command + at, sizeof(command) - at, " 2>&1 | grep -c 'futex('");
	f = popen(command, "r");
	generate(rig_now_us() + 1500000);
	if (f && fgets(line, sizeof(line), f))
		calls = strtol(line, NULL, 10);
	if (f)
		pclose(f);
	return calls;
}

static struct result run(bool bare, unsigned workers)
{
	struct bare_opts bo = {
		.members = MEMBERS, .tick_us = g.o.tick * 1000, .seal = g.o.seal, .clients = g.o.rooms * MEMBERS, .size = g.o.size
	};
	struct rig_node node = { 0 };
	struct rig_cpu a, b;
	struct result r;
	uint64_t t0, t1, d0, p0, q0;
	struct counts c0 = { 0 };
	uint16_t port;
	char conf[2048], nop[512] = "", cluster[256] = "";
	unsigned mars = workers ? rig_free_port() : 0;
	pid_t pid;

	g.bare = bare;
	if (g.o.nop) {
		bo.members = 0;
		bo.received = g.received;
		*g.received = 0;
	}
	g.n = bo.clients;
	g.deliveries = g.sent = 0;
	g.c = calloc(g.n, sizeof(*g.c));
	g.now_ms = rig_now_us() / 1000;
	if (g.o.nop)
		snprintf(nop, sizeof(nop), "nop = { file = \"%s\"; };", getenv("BENCH_NOP"));
	if (workers)
		snprintf(cluster, sizeof(cluster),
			 "mesh = { address = \"127.0.0.1\"; port = 18000; marsPort = %u; }; "
			 "mars = { serve = true; port = %u; };",
			 mars, mars);
	snprintf(conf, sizeof(conf),
		 "workers = %u; log = { level = \"warn\"; };\n"
		 "plugins = { %s %s http = { port = 17000; }; endpoint = { enableEncryption = %s; }; user = {};\n"
		 "room = { state_interval_ms = %u; };\n"
		 "udp = { port = 17100; enableEncryption = %s; connectionTTL = 600; packetRate = 1000000; };\n"
		 "tcp = { port = 17200; enableEncryption = %s; connectionTTL = 600; noDelay = true; }; };\n",
		 workers, nop, cluster, g.o.seal ? "true" : "false", g.o.states ? g.o.tick : 0, g.o.seal ? "true" : "false",
		 g.o.seal ? "true" : "false");
	if (bare) {
		pid = g.o.tcp ? bare_tcp_start(&bo, &port) : bare_udp_start(&bo, &port);
	} else {
		rig_node_start(&node, conf);
		pid = node.pid;
		port = g.o.tcp ? node.tcp : node.udp;
	}
	g.server =
		(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	for (unsigned i = 0; i < g.n; i++)
		g.c[i].server = g.server;
	if (g.o.tcp)
		tcp_connect(port);
	else
		udp_sockets();
	if (bare) { /* the server learns the addresses */
		for (unsigned i = 0; i < g.n; i++) {
			uint32_t head[2] = { 0, i };

			if (g.o.tcp) {
				if (write(g.c[i].fd, head, 8) != 8)
					rig_die("write");
			} else {
				memcpy(udp_slot(i), &i, 4);
				udp_commit(i, 4);
				if (i % 256 == 255) {
					push_out();
					usleep(2000);
				}
			}
		}
		push_out();
		usleep(50000);
	} else {
		join_rooms(&node);
	}
	generate(rig_now_us() + 300000); /* warm up */
	memset(g.hist, 0, sizeof(g.hist));
	g.lat_n = 0;
	g.measure = true;
	a = cpu_of_all(&node, pid);
	t0 = rig_now_us();
	d0 = g.o.nop ? *g.received : g.deliveries;
	p0 = g.datagrams + g.sent;
	q0 = g.datagrams;
	if (node.counts)
		c0 = *node.counts;
	generate(t0 + (uint64_t)g.o.secs * 1000000u);
	t1 = rig_now_us();
	b = cpu_of_all(&node, pid);
	g.measure = false;
	r.futexes = -1;
	r.allocations = r.calls = -1;
	if (node.counts) {
		struct counts c1 = *node.counts;
		double packets = (double)(g.datagrams + g.sent - p0);

		r.allocations = (double)(c1.allocations - c0.allocations) / packets;
		r.calls = (double)(c1.sends + c1.receives + c1.polls + c1.others - c0.sends - c0.receives - c0.polls - c0.others) /
			  packets;
	}
	d0 = (g.o.nop ? *g.received : g.deliveries) - d0;
	r.cpu = (double)(b.user + b.sys - a.user - a.sys) / (double)(t1 - t0);
	r.ns = d0 ? (double)(b.user + b.sys - a.user - a.sys) * 1000 / (double)d0 : 0;
	r.datagram_ns = g.datagrams > q0 ? (double)(b.user + b.sys - a.user - a.sys) * 1000 / (double)(g.datagrams - q0) : 0;
	r.user_share = b.user + b.sys > a.user + a.sys ? (double)(b.user - a.user) / (double)(b.user + b.sys - a.user - a.sys) : 0;
	r.per_s = (double)d0 * 1e6 / (double)(t1 - t0);
	if (workers)
		r.futexes = count_futexes(&node);
	r.p50 = quantile(.5);
	r.p99 = quantile(.99);
	for (unsigned s = 0; s < SOCKETS && !g.o.tcp; s++)
		close(g.fd[s]);
	for (unsigned i = 0; i < g.n && g.o.tcp; i++) {
		close(g.c[i].fd);
		free(g.c[i].in);
		free(g.c[i].out);
	}
	if (g.o.tcp)
		close(ep);
	if (!bare) {
		for (unsigned i = 0; i < g.n; i++)
			if (g.o.tcp)
				wire_stream_fini(g.wire, &g.c[i].stream);
			else
				wire_peer_fini(g.wire, &g.c[i].peer);
		wire_ctx_free(g.wire);
		kill(pid, SIGINT);
		kill(pid, SIGINT);
		waitpid(pid, NULL, 0);
		rig_node_forget(&node);
	} else {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	free(g.c);
	return r;
}

static void show(const char *who, const struct result *r)
{
	if (!g.o.json)
		printf("  %-9s %7.0f ns/delivery %7.0f ns/datagram  (%2.0f %% user)  %9.0f deliveries/s  %3.0f %% of a core  p50 "
		       "%u us  p99 %u us\n",
		       who, r->ns, r->datagram_ns, r->user_share * 100, r->per_s, r->cpu * 100, r->p50, r->p99);
	if (!g.o.json && r->futexes >= 0)
		printf("            %ld futex calls in a second\n", r->futexes);
	if (!g.o.json && r->calls >= 0)
		printf("            %.5f allocations and %.5f system calls (1/%.0f) a packet\n", r->allocations, r->calls,
		       1 / r->calls);
	fflush(stdout);
}

static unsigned number(const char *arg, const char *key, unsigned old)
{
	size_t n = strlen(key);

	return !strncmp(arg, key, n) && arg[n] == '=' ? (unsigned)strtoul(arg + n + 1, NULL, 10) : old;
}

/* One worker against many: CPU per delivery at the same total load. */
static int compare_workers(void)
{
	double ratio[ROUNDS_MAX], ours[ROUNDS_MAX], theirs[ROUNDS_MAX];
	long futexes = -1;

	if (!g.o.rate || g.o.tcp || g.o.workers > RIG_WORKERS_MAX)
		rig_die("workers want UDP and a rate, and are at most %d", RIG_WORKERS_MAX);
	for (unsigned i = 0; i < g.o.rounds; i++) {
		struct result one = run(false, 1), many = run(false, g.o.workers);
		char who[32];

		snprintf(who, sizeof(who), "%u", g.o.workers);
		show("1 worker", &one);
		show(who, &many);
		ratio[i] = one.ns > 0 ? many.ns / one.ns : 0;
		ours[i] = many.ns;
		theirs[i] = one.ns;
		futexes = many.futexes > futexes ? many.futexes : futexes;
	}
	if (g.o.json)
		printf("{\"bench\":\"workers\",\"workers\":%u,\"sealed\":%s,\"rooms\":%u,\"rate\":%u,\"interval_ms\":%u,"
		       "\"rounds\":%u,\"cpu_of_one\":%.3f,\"ns\":%.0f,\"one_ns\":%.0f,\"futexes\":%ld}\n",
		       g.o.workers, g.o.seal ? "true" : "false", g.o.rooms, g.o.rate, g.o.tick, g.o.rounds,
		       rig_median(ratio, g.o.rounds), rig_median(ours, g.o.rounds), rig_median(theirs, g.o.rounds), futexes);
	else
		printf("median of %u: %u workers take %.2fx the CPU of one per delivery; %.0f against %.0f ns; futex calls: "
		       "%ld%s\n",
		       g.o.rounds, g.o.workers, rig_median(ratio, g.o.rounds), rig_median(ours, g.o.rounds),
		       rig_median(theirs, g.o.rounds), futexes, futexes < 0 ? " (no strace)" : "");
	return 0;
}

/* A file that the plugin nop and the bare loop count in. */
static void share_count(void)
{
	char path[] = "/tmp/diarkis-nop-XXXXXX";
	int fd = mkstemp(path);

	if (!getenv("BENCH_NOP") || !g.o.rate)
		rig_die("nop wants a rate, and BENCH_NOP: the plugin's file; ./dev bench sets it");
	if (fd < 0 || ftruncate(fd, 8) < 0)
		rig_die("cannot make %s: %s", path, strerror(errno));
	g.received = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	setenv("BENCH_NOP_FILE", path, 1);
	close(fd);
	if (g.received == MAP_FAILED)
		rig_die("cannot map %s", path);
}

int main(int argc, char **argv)
{
	double ratio[ROUNDS_MAX], datagram[ROUNDS_MAX], ours[ROUNDS_MAX], theirs[ROUNDS_MAX], rate[ROUNDS_MAX], user[ROUNDS_MAX],
		cpu[ROUNDS_MAX];
	unsigned n = 0;

	g.o = (struct opts){ .rooms = 64, .secs = 2, .rounds = 5, .size = 64, .window = 400 };
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];

		g.o.tcp |= !strcmp(a, "tcp");
		g.o.seal |= !strcmp(a, "seal");
		g.o.reliable |= !strcmp(a, "reliable");
		g.o.nop |= !strcmp(a, "nop");
		g.o.states |= !strcmp(a, "states");
		g.o.json |= !strcmp(a, "--json");
		g.o.rooms = number(a, "rooms", g.o.rooms);
		g.o.rate = number(a, "rate", g.o.rate);
		g.o.tick = number(a, "tick", g.o.tick);
		g.o.secs = number(a, "secs", g.o.secs);
		g.o.rounds = number(a, "rounds", g.o.rounds);
		g.o.size = number(a, "size", g.o.size);
		g.o.window = number(a, "window", g.o.window);
		g.o.workers = number(a, "workers", g.o.workers);
	}
	if (g.o.rounds > ROUNDS_MAX || g.o.size < 8 || g.o.size > 1000)
		rig_die("rounds at most %d, size 8 to 1000", ROUNDS_MAX);
	if (g.o.states && (g.o.size > 38 || g.o.tick < 17 || !g.o.rate))
		rig_die("states want a size of 8 to 38, a tick of at least 17, and a rate");
	if (g.o.nop)
		share_count();
	rig_pin(1);
	if (!g.o.json)
		printf("%s, %s, %u rooms of %d, %u B, %s, interval %u ms, %u rounds of %u s\n", g.o.tcp ? "TCP" : "UDP",
		       g.o.seal ? "sealed" : "plain", g.o.rooms, MEMBERS, g.o.size, g.o.rate ? "paced" : "saturated", g.o.tick,
		       g.o.rounds, g.o.secs);
	if (g.o.workers)
		return compare_workers();
	for (unsigned i = 0; i < g.o.rounds; i++) {
		struct result limit = run(true, 0), node = run(false, 0);

		show("limit", &limit);
		show("diarkisd", &node);
		if (!g.o.rate && !g.o.tick && (limit.cpu < .93 || node.cpu < .93)) {
			if (!g.o.json)
				puts("  (a saturated run got less than 93 % of its core: round dropped)");
			continue;
		}
		ratio[n] = node.ns > 0 ? limit.ns / node.ns : 0;
		datagram[n] = node.datagram_ns > 0 ? limit.datagram_ns / node.datagram_ns : 0;
		ours[n] = node.ns;
		theirs[n] = limit.ns;
		user[n] = node.user_share;
		cpu[n] = node.cpu;
		rate[n++] = node.per_s;
	}
	if (!n)
		rig_die("no round was clean: the machine is busy");
	if (g.o.json)
		printf("{\"bench\":\"fanout\",\"transport\":\"%s\",\"sealed\":%s,\"rooms\":%u,\"rate\":%u,\"interval_ms\":%u,"
		       "\"size\":%u,\"rounds\":%u,"
		       "\"speed_of_limit\":%.3f,\"speed_of_limit_per_datagram\":%.3f,\"ns\":%.0f,\"limit_ns\":%.0f,\"user_share\":%"
		       ".2f,\"deliveries_per_s\":%.0f,"
		       "\"cpu\":%.2f}\n",
		       g.o.tcp ? "tcp" : "udp", g.o.seal ? "true" : "false", g.o.rooms, g.o.rate, g.o.tick, g.o.size, n,
		       rig_median(ratio, n), rig_median(datagram, n), rig_median(ours, n), rig_median(theirs, n),
		       rig_median(user, n), rig_median(rate, n), rig_median(cpu, n));
	else
		printf("median of %u: %.2fx the limit's speed, %.2fx per datagram; %.0f against %.0f ns/delivery, %.0f %% of it "
		       "user; %.0f "
		       "deliveries/s at %.0f %% of a core\n",
		       n, rig_median(ratio, n), rig_median(datagram, n), rig_median(ours, n), rig_median(theirs, n),
		       rig_median(user, n) * 100, rig_median(rate, n), rig_median(cpu, n) * 100);
	if (g.o.nop)
		unlink(getenv("BENCH_NOP_FILE"));
	return 0;
}
