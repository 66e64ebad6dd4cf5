/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See bot_net.h. Each turn: wait, receive whole batches, run the timers that are due, then look once after every bot that
 * was touched: its datagrams go into one ring that leaves with one sendmmsg() per lane and 64 datagrams.
 *
 * Timers lie on a wheel of milliseconds. Entries are lazy: a bot whose next deadline moved later stays where it is and is put
 * back when its slot comes up.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tools/bot_net.h"

#define BATCH 64
#define BATCHES_MAX 4 /* per lane and turn, so that no lane starves the timers */
#define SLOT_LEN 1536 /* more than the longest datagram that anybody may send */
#define LANE_BOTS_MAX 1024
#define LANE_BUFFER (4 << 20)
#define LANE_BUFFER_BOT 8192 /* receive buffer that one bot's share of a burst may take, as the kernel counts it */
#define WHEEL_SLOTS 8192
#define NONE UINT32_MAX
#define STREAM_BUFFER (256 << 10)
#define LOCAL_BASE 0x7f010001u /* 127.1.0.1, the first bot's address */

#define TAG_LANE (UINT64_C(1) << 32)
#define TAG_BOT (UINT64_C(2) << 32)
#define TAG_WATCH (UINT64_C(3) << 32)

struct lane {
	int fd; /* -1: not open yet */
	uint32_t owner; /* the only bot on it, or NONE */
};

/* One control message that holds a struct in_pktinfo. */
union control {
	struct cmsghdr head;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

struct batch {
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_in addr[BATCH];
	union control control[BATCH];
	uint8_t buf[BATCH][SLOT_LEN];
};

struct net {
	struct net_opts o;
	int epoll, watch;
	struct lane *lanes;
	uint32_t lane_n;
	uint32_t *slots; /* of the wheel */
	uint32_t wheel_ms; /* done up to here */
	uint64_t start_us, now_ns;
	uint32_t *dirty, *spare, dirty_n;
	struct sockaddr_in *servers; /* of each bot: who may speak to it */
	uint32_t ring_n, ring_lane, lane_bots;
	struct batch *in, *out;
	uint8_t *stream;
	char host[DKC_HOST_MAX + 1]; /* the last name resolved */
	struct dk_addr host_addr;
	struct net_stats stats;
};

static struct net_bot *bot_at(struct net *net, uint32_t i)
{
	return (struct net_bot *)(void *)((char *)net->o.first + net->o.stride * i);
}

uint64_t net_clock_ns(struct net *net)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	net->now_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
	return net->now_ns;
}

uint64_t net_now_ns(const struct net *net)
{
	return net->now_ns;
}

static uint64_t now_us(const struct net *net)
{
	return net->now_ns / 1000;
}

static uint32_t wheel_time(const struct net *net, uint64_t us)
{
	return us <= net->start_us ? 1 : (uint32_t)((us - net->start_us) / 1000) + 1;
}

const struct net_stats *net_stats(const struct net *net)
{
	return &net->stats;
}

/* As many as the receive buffer that the system grants can hold a burst for. */
static uint32_t lane_bots(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = LANE_BUFFER;
	socklen_t n = sizeof(size);
	uint32_t bots;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) ||
	    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &n))
		size = 0;
	if (fd >= 0)
		close(fd);
	bots = (uint32_t)size / LANE_BUFFER_BOT;
	return bots < 16 ? 16 : bots > LANE_BOTS_MAX ? LANE_BOTS_MAX : bots;
}

int net_new(const struct net_opts *opts, struct net **ret_net)
{
	struct net *net = calloc(1, sizeof(*net));
	struct rlimit fds;

	if (!net)
		goto no_memory;
	net->o = *opts;
	net->watch = -1;
	net->lane_bots = lane_bots();
	net->epoll = epoll_create1(EPOLL_CLOEXEC);
	net->lane_n = opts->bots;
	net->lanes = calloc(net->lane_n, sizeof(*net->lanes));
	net->slots = malloc(WHEEL_SLOTS * sizeof(*net->slots));
	net->dirty = malloc(opts->bots * sizeof(*net->dirty));
	net->spare = malloc(opts->bots * sizeof(*net->spare));
	net->servers = calloc(opts->bots, sizeof(*net->servers));
	net->in = calloc(1, sizeof(*net->in));
	net->out = calloc(1, sizeof(*net->out));
	net->stream = malloc(STREAM_BUFFER);
	if (net->epoll < 0 || !net->lanes || !net->slots || !net->dirty || !net->spare || !net->servers || !net->in || !net->out ||
	    !net->stream)
		goto no_memory;
	for (uint32_t i = 0; i < net->lane_n; i++)
		net->lanes[i] = (struct lane){ -1, NONE };
	memset(net->slots, 0xff, WHEEL_SLOTS * sizeof(*net->slots));
	for (int i = 0; i < BATCH; i++) {
		struct batch *const both[] = { net->in, net->out };

		for (int k = 0; k < 2; k++) {
			struct batch *b = both[k];

			b->iov[i] = (struct iovec){ b->buf[i], SLOT_LEN };
			b->msg[i].msg_hdr.msg_iov = &b->iov[i];
			b->msg[i].msg_hdr.msg_iovlen = 1;
		}
	}
	net->start_us = net_clock_ns(net) / 1000;
	if (!getrlimit(RLIMIT_NOFILE, &fds) && fds.rlim_cur < fds.rlim_max) {
		fds.rlim_cur = fds.rlim_max;
		setrlimit(RLIMIT_NOFILE, &fds);
	}
	*ret_net = net;
	return 0;
no_memory:
	fprintf(stderr, "There is no memory for %u bots.\n", opts->bots);
	net_free(net);
	return -ENOMEM;
}

void net_free(struct net *net)
{
	if (!net)
		return;
	for (uint32_t i = 0; net->lanes && i < net->lane_n; i++) {
		if (net->lanes[i].fd >= 0)
			close(net->lanes[i].fd);
	}
	for (uint32_t i = 0; net->o.protocol == DKC_TCP && i < net->o.bots; i++) {
		struct net_bot *b = bot_at(net, i);

		if (b->client && b->fd >= 0)
			close(b->fd);
		free(b->out);
	}
	if (net->epoll >= 0)
		close(net->epoll);
	free(net->lanes);
	free(net->slots);
	free(net->dirty);
	free(net->spare);
	free(net->servers);
	free(net->in);
	free(net->out);
	free(net->stream);
	free(net);
}

void net_watch(struct net *net, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.u64 = TAG_WATCH };

	if (fd == net->watch) {
		epoll_ctl(net->epoll, EPOLL_CTL_MOD, fd, &e);
		return;
	}
	net->watch = fd; /* a closed descriptor left by itself */
	if (fd >= 0)
		epoll_ctl(net->epoll, EPOLL_CTL_ADD, fd, &e);
}

void net_touch(struct net *net, uint32_t bot)
{
	struct net_bot *b = bot_at(net, bot);

	if (b->dirty)
		return;
	b->dirty = true;
	net->dirty[net->dirty_n++] = bot;
}

void net_add(struct net *net, uint32_t bot)
{
	struct net_bot *b = bot_at(net, bot);

	b->fd = -1;
	b->next = b->prev = NONE;
	net_touch(net, bot);
}

/* ---- timers ---- */

static void wheel_remove(struct net *net, uint32_t bot)
{
	struct net_bot *b = bot_at(net, bot);

	if (!b->armed_ms)
		return;
	if (b->prev != NONE)
		bot_at(net, b->prev)->next = b->next;
	else
		net->slots[b->armed_ms % WHEEL_SLOTS] = b->next;
	if (b->next != NONE)
		bot_at(net, b->next)->prev = b->prev;
	b->armed_ms = 0;
}

static void wheel_arm(struct net *net, uint32_t bot)
{
	struct net_bot *b = bot_at(net, bot);
	uint64_t due = dkc_due(b->client);
	uint32_t *slot, at;

	if (due == DKC_NEVER)
		return;
	at = wheel_time(net, due + 999);
	if (at <= net->wheel_ms)
		at = net->wheel_ms + 1;
	if (b->armed_ms && b->armed_ms <= at)
		return;
	wheel_remove(net, bot);
	slot = &net->slots[at % WHEEL_SLOTS];
	b->armed_ms = at;
	b->prev = NONE;
	b->next = *slot;
	if (*slot != NONE)
		bot_at(net, *slot)->prev = bot;
	*slot = bot;
}

static void wheel_run(struct net *net)
{
	uint32_t now = wheel_time(net, now_us(net));

	if (now - net->wheel_ms > WHEEL_SLOTS)
		net->wheel_ms = now - WHEEL_SLOTS;
	while (net->wheel_ms < now) {
		uint32_t i = net->slots[++net->wheel_ms % WHEEL_SLOTS];

		while (i != NONE) {
			struct net_bot *b = bot_at(net, i);
			uint32_t next = b->next;

			if (b->armed_ms <= now) {
				wheel_remove(net, i);
				dkc_tick(b->client, now_us(net));
				net_touch(net, i);
			}
			i = next;
		}
	}
}

/* ---- datagrams ---- */

static void flush(struct net *net)
{
	uint32_t at = 0;

	while (at < net->ring_n) {
		int k = sendmmsg(net->lanes[net->ring_lane].fd, net->out->msg + at, net->ring_n - at, 0);

		net->stats.sends++;
		if (k > 0) {
			net->stats.sent += (uint32_t)k;
			at += (uint32_t)k;
		} else if (errno != EINTR) {
			net->stats.unsent++; /* lost, as a network may; reliable frames come again */
			at++;
		}
	}
	net->ring_n = 0;
}

static void send_datagrams(struct net *net, uint32_t bot)
{
	struct net_bot *b = bot_at(net, bot);
	uint32_t lane = b->lane - 1;

	for (;;) {
		struct batch *o = net->out;
		uint32_t i;
		size_t n;

		if (net->ring_n == BATCH || (net->ring_n && net->ring_lane != lane))
			flush(net);
		i = net->ring_n;
		n = dkc_next_datagram(b->client, now_us(net), o->buf[i], SLOT_LEN);
		if (!n)
			return;
		o->iov[i].iov_len = n;
		if (net->lanes[lane].owner == NONE) {
			struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(LOCAL_BASE + bot) };

			o->control[i].head = (struct cmsghdr){ CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO };
			memcpy(CMSG_DATA(&o->control[i].head), &info, sizeof(info));
			o->msg[i].msg_hdr.msg_control = &o->control[i];
			o->msg[i].msg_hdr.msg_controllen = sizeof(o->control[i]);
			o->msg[i].msg_hdr.msg_name = &net->servers[bot];
			o->msg[i].msg_hdr.msg_namelen = sizeof(net->servers[bot]);
		}
		net->ring_lane = lane;
		net->ring_n++;
	}
}

/* Whose datagram this is, or NONE. */
static uint32_t owner_of(struct net *net, uint32_t lane, int i)
{
	const struct msghdr *h = &net->in->msg[i].msg_hdr;
	union control *control = &net->in->control[i];
	struct in_pktinfo info;
	uint32_t bot;

	if (net->lanes[lane].owner != NONE)
		return net->lanes[lane].owner;
	if (h->msg_controllen < CMSG_LEN(sizeof(info)) || control->head.cmsg_type != IP_PKTINFO)
		return NONE;
	memcpy(&info, CMSG_DATA(&control->head), sizeof(info));
	bot = ntohl(info.ipi_addr.s_addr) - LOCAL_BASE;
	if (bot >= net->o.bots || bot_at(net, bot)->lane != lane + 1 || net->in->addr[i].sin_port != net->servers[bot].sin_port ||
	    net->in->addr[i].sin_addr.s_addr != net->servers[bot].sin_addr.s_addr)
		return NONE;
	return bot;
}

static void receive_lane(struct net *net, uint32_t lane)
{
	for (int batch = 0; batch < BATCHES_MAX; batch++) {
		struct batch *in = net->in;
		int n;

		for (int i = 0; i < BATCH; i++) {
			struct msghdr *h = &in->msg[i].msg_hdr;

			h->msg_name = &in->addr[i];
			h->msg_namelen = sizeof(in->addr[i]);
			h->msg_control = &in->control[i];
			h->msg_controllen = sizeof(in->control[i]);
		}
		n = recvmmsg(net->lanes[lane].fd, in->msg, BATCH, MSG_DONTWAIT, NULL);
		net->stats.receives++;
		if (n <= 0)
			return;
		net_clock_ns(net);
		net->stats.received += (uint32_t)n;
		for (int i = 0; i < n; i++) {
			uint32_t bot = owner_of(net, lane, i);

			if (bot == NONE)
				continue;
			dkc_feed(bot_at(net, bot)->client, now_us(net), dk_slice_n(in->buf[i], in->msg[i].msg_len));
			net_touch(net, bot);
		}
		if (n < BATCH)
			return;
	}
}

/* ---- streams ---- */

static void stream_close(struct net_bot *b)
{
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
	b->connecting = b->wants_write = false;
	free(b->out);
	b->out = NULL;
	b->out_n = b->out_at = 0;
}

static void stream_events(struct net *net, uint32_t bot, bool write)
{
	struct net_bot *b = bot_at(net, bot);
	struct epoll_event e = { .events = EPOLLIN | (write ? EPOLLOUT : 0u), .data.u64 = TAG_BOT | bot };

	if (b->wants_write == write)
		return;
	b->wants_write = write;
	epoll_ctl(net->epoll, EPOLL_CTL_MOD, b->fd, &e);
}

static void stream_failed(struct net *net, uint32_t bot)
{
	stream_close(bot_at(net, bot));
	dkc_hung_up(bot_at(net, bot)->client, now_us(net));
	net_touch(net, bot);
}

static void send_stream(struct net *net, uint32_t bot)
{
	struct net_bot *b = bot_at(net, bot);

	while (b->fd >= 0 && !b->connecting) {
		const uint8_t *p = b->out ? b->out + b->out_at : net->stream;
		size_t n = b->out_n - b->out_at, need;
		ssize_t k;

		if (!b->out)
			n = dkc_next_bytes(b->client, net->stream, STREAM_BUFFER, &need);
		if (!n)
			break;
		k = send(b->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		net->stats.sends++;
		if (k < 0 && errno != EAGAIN && errno != EINTR) {
			stream_failed(net, bot);
			return;
		}
		k = k < 0 ? 0 : k;
		if (b->out) {
			b->out_at += (uint32_t)k;
			if (b->out_at == b->out_n) {
				free(b->out);
				b->out = NULL;
				b->out_n = b->out_at = 0;
			}
		} else if ((size_t)k < n) {
			b->out = malloc(n - (size_t)k);
			if (!b->out) {
				stream_failed(net, bot);
				return;
			}
			b->out_n = (uint32_t)(n - (size_t)k);
			memcpy(b->out, net->stream + k, b->out_n);
		}
		if ((size_t)k < n)
			break;
	}
	if (b->fd >= 0)
		stream_events(net, bot, b->connecting || b->out);
}

static void ready_stream(struct net *net, uint32_t bot, uint32_t events)
{
	struct net_bot *b = bot_at(net, bot);

	if (b->fd < 0)
		return;
	net_touch(net, bot);
	if (b->connecting) {
		struct sockaddr_in *sa = &net->servers[bot];
		struct dk_addr server = { .port = ntohs(sa->sin_port), .family = 4 };
		int err = 0;
		socklen_t n = sizeof(err);

		if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			return;
		if (getsockopt(b->fd, SOL_SOCKET, SO_ERROR, &err, &n))
			err = errno;
		memcpy(server.ip, &sa->sin_addr, 4);
		b->connecting = false;
		if (err)
			stream_close(b);
		dkc_dialed(b->client, now_us(net), -err, &server);
		return;
	}
	for (int i = 0; i < BATCHES_MAX && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)); i++) {
		ssize_t k = recv(b->fd, net->stream, STREAM_BUFFER, MSG_DONTWAIT);

		net->stats.receives++;
		if (k == 0 || (k < 0 && errno != EAGAIN && errno != EINTR)) {
			stream_failed(net, bot);
			return;
		}
		if (k < 0)
			return;
		net_clock_ns(net);
		net->stats.received++;
		dkc_feed(b->client, now_us(net), dk_slice_n(net->stream, (size_t)k));
		if (k < STREAM_BUFFER)
			return;
	}
}

/* ---- connecting ---- */

static int resolve(struct net *net, const struct dkc_endpoint *to, struct dk_addr *ret_addr)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_DGRAM }, *list;

	if (dkc_addr_parse(to->host, to->port, ret_addr))
		return ret_addr->family == 4 ? 0 : -EAFNOSUPPORT;
	if (strcmp(net->host, to->host) != 0) {
		if (getaddrinfo(to->host, NULL, &hints, &list))
			return -EHOSTUNREACH;
		net->host_addr = (struct dk_addr){ .family = 4 };
		memcpy(net->host_addr.ip, &((struct sockaddr_in *)(void *)list->ai_addr)->sin_addr, 4);
		freeaddrinfo(list);
		snprintf(net->host, sizeof(net->host), "%s", to->host);
	}
	*ret_addr = net->host_addr;
	ret_addr->port = to->port;
	return 0;
}

static int lane_open(struct net *net, uint32_t lane)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = TAG_LANE | lane };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, size = LANE_BUFFER, df = IP_PMTUDISC_PROBE;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &df, sizeof(df)); /* unfragmentable packets need no id, which costs */
	if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) || bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
	    epoll_ctl(net->epoll, EPOLL_CTL_ADD, fd, &e)) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	net->lanes[lane].fd = fd;
	net->stats.sockets++;
	return 0;
}

static int dial_udp(struct net *net, uint32_t bot, bool loopback)
{
	struct net_bot *b = bot_at(net, bot);
	uint32_t lane;
	int rc = 0;

	if (!b->lane) {
		/* neighbours share a lane: whoever sends in turn sends together */
		lane = loopback ? bot / net->lane_bots : bot;
		if (!loopback)
			net->lanes[lane].owner = bot;
		b->lane = lane + 1;
	}
	lane = b->lane - 1;
	if (net->lanes[lane].fd < 0)
		rc = lane_open(net, lane);
	if (!rc && net->lanes[lane].owner != NONE &&
	    connect(net->lanes[lane].fd, (struct sockaddr *)&net->servers[bot], sizeof(net->servers[bot])))
		rc = -errno;
	return rc;
}

static int dial_tcp(struct net *net, uint32_t bot, bool loopback)
{
	struct net_bot *b = bot_at(net, bot);
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(LOCAL_BASE + bot) };
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.u64 = TAG_BOT | bot };
	int one = 1, rc;

	stream_close(b);
	b->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (b->fd < 0)
		return -errno;
	setsockopt(b->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (loopback) {
		setsockopt(b->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(b->fd, (struct sockaddr *)&local, sizeof(local)))
			return -errno;
	}
	rc = connect(b->fd, (struct sockaddr *)&net->servers[bot], sizeof(net->servers[bot])) ? -errno : 0;
	if (rc && rc != -EINPROGRESS)
		return rc;
	if (epoll_ctl(net->epoll, EPOLL_CTL_ADD, b->fd, &e))
		return -errno;
	net->stats.sockets++;
	b->connecting = true;
	b->wants_write = true;
	return 0;
}

static void dial(struct net *net, uint32_t bot, const struct dkc_endpoint *to)
{
	struct net_bot *b = bot_at(net, bot);
	struct dk_addr server;
	int rc = resolve(net, to, &server);

	if (!rc) {
		struct sockaddr_in *sa = &net->servers[bot];
		bool loopback = server.ip[0] == 127;

		*sa = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(server.port) };
		memcpy(&sa->sin_addr, server.ip, 4);
		rc = to->protocol == DKC_TCP ? dial_tcp(net, bot, loopback) : dial_udp(net, bot, loopback);
		if (!rc && to->protocol == DKC_TCP)
			return; /* when it is connected */
	}
	if (rc) {
		fprintf(stderr, "bot %u: no socket to %s port %u: %s\n", bot, to->host, to->port, strerror(-rc));
		stream_close(b);
	}
	dkc_dialed(b->client, now_us(net), rc, &server);
}

/* ---- turn ---- */

static void look_after(struct net *net, uint32_t bot)
{
	struct net_bot *b = bot_at(net, bot);
	const struct dkc_endpoint *to;

	for (int i = 0; i < 2; i++) {
		if (b->lane && net->o.protocol != DKC_TCP)
			send_datagrams(net, bot);
		else
			send_stream(net, bot);
		to = dkc_wants_dial(b->client);
		if (!to)
			break;
		dial(net, bot, to);
	}
	wheel_arm(net, bot);
}

void net_turn(struct net *net, uint64_t wait_us)
{
	struct epoll_event ev[256];
	struct timespec t;
	uint32_t *doing;
	int n;

	if (wait_us > 1000)
		wait_us = 1000; /* the wheel's grain */
	if (net->dirty_n) {
		wait_us = 0;
	} else if (net->o.batch_us) {
		t.tv_sec = 0;
		t.tv_nsec = (long)net->o.batch_us * 1000;
		nanosleep(&t, NULL); /* what comes meanwhile is taken together */
		wait_us = 0;
	}
	t.tv_sec = 0;
	t.tv_nsec = (long)wait_us * 1000;
	n = epoll_pwait2(net->epoll, ev, DK_ARRAY_LEN(ev), &t, NULL);
	net_clock_ns(net);
	for (int i = 0; i < n; i++) {
		uint32_t index = (uint32_t)ev[i].data.u64;

		switch (ev[i].data.u64 & ~(uint64_t)UINT32_MAX) {
		case TAG_LANE:
			receive_lane(net, index);
			break;
		case TAG_BOT:
			ready_stream(net, index, ev[i].events);
			break;
		default:
			net->o.http(net->o.arg, ev[i].events);
			break;
		}
	}
	wheel_run(net);
	/* bots touched while this goes on are on the other list: the next turn's */
	doing = net->dirty;
	n = (int)net->dirty_n;
	net->dirty = net->spare;
	net->dirty_n = 0;
	net->spare = doing;
	for (int i = 0; i < n; i++)
		bot_at(net, doing[i])->dirty = false;
	for (int i = 0; i < n; i++)
		look_after(net, doing[i]);
	flush(net);
}
