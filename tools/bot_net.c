/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See bot_net.h. Each turn: wait, receive whole batches, run the timers that are due, then look once after every bot that
 * was touched: its datagrams go into one ring that leaves with one sendmmsg() per lane and 64 datagrams.
 *
 * Timers lie on a wheel of milliseconds. Entries are lazy: a bot whose next deadline moved later stays where it is and is put
 * back when its slot comes up.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/bot_net_priv.h"

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

static uint32_t wheel_time(const struct net *net, uint64_t us)
{
	return us <= net->start_us ? 1 : (uint32_t)((us - net->start_us) / 1000) + 1;
}

const struct net_stats *net_stats(const struct net *net)
{
	return &net->stats;
}

struct dk_addr net_where(const struct net *net, uint32_t bot)
{
	const struct sockaddr_in *sa = &net->servers[bot];
	struct dk_addr a = { .port = ntohs(sa->sin_port), .family = 4 };

	memcpy(a.ip, &sa->sin_addr, 4);
	return a;
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
	net->tries = calloc(opts->bots, sizeof(*net->tries));
	net->in = calloc(1, sizeof(*net->in));
	net->out = calloc(1, sizeof(*net->out));
	net->stream = malloc(STREAM_BUFFER);
	if (net->epoll < 0 || !net->lanes || !net->slots || !net->dirty || !net->spare || !net->servers || !net->tries ||
	    !net->in || !net->out || !net->stream)
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
	free(net->tries);
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
		struct sockaddr_in *to = &net->servers[bot];
		struct msghdr *h;
		uint32_t i;
		size_t n = 0;

		if (net->ring_n == BATCH || (net->ring_n && net->ring_lane != lane))
			flush(net);
		i = net->ring_n;
		h = &o->msg[i].msg_hdr;
		if (net->tries[bot].sin_port) {
			n = dkc_next_try(b->client, now_us(net), o->buf[i], SLOT_LEN);
			to = n ? &net->tries[bot] : to;
		}
		if (!n)
			n = dkc_next_datagram(b->client, now_us(net), o->buf[i], SLOT_LEN);
		if (!n)
			return;
		o->iov[i].iov_len = n;
		o->addr[i] = *to; /* the bot may be sent elsewhere before the ring leaves */
		h->msg_name = &o->addr[i];
		h->msg_namelen = sizeof(o->addr[i]);
		if (net->lanes[lane].owner == NONE) {
			struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(LOCAL_BASE + bot) };

			o->control[i].head = (struct cmsghdr){ CMSG_LEN(sizeof(info)), IPPROTO_IP, IP_PKTINFO };
			memcpy(CMSG_DATA(&o->control[i].head), &info, sizeof(info));
			h->msg_control = &o->control[i];
			h->msg_controllen = sizeof(o->control[i]);
		} else {
			h->msg_control = NULL;
			h->msg_controllen = 0;
		}
		net->ring_lane = lane;
		net->ring_n++;
	}
}

static bool is_from(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

/* Whose datagram this is, or NONE. */
static uint32_t owner_of(struct net *net, uint32_t lane, int i)
{
	const struct msghdr *h = &net->in->msg[i].msg_hdr;
	union control *control = &net->in->control[i];
	struct in_pktinfo info;
	uint32_t bot = net->lanes[lane].owner;

	if (bot != NONE)
		return bot;
	if (h->msg_controllen < CMSG_LEN(sizeof(info)) || control->head.cmsg_type != IP_PKTINFO)
		return NONE;
	memcpy(&info, CMSG_DATA(&control->head), sizeof(info));
	bot = ntohl(info.ipi_addr.s_addr) - LOCAL_BASE;
	return bot < net->o.bots && bot_at(net, bot)->lane == lane + 1 ? bot : NONE;
}

static void take(struct net *net, uint32_t bot, const struct sockaddr_in *from, dk_slice bytes)
{
	struct dkc_client *c = bot_at(net, bot)->client;

	if (is_from(from, &net->servers[bot])) {
		dkc_feed(c, now_us(net), bytes);
	} else if (net->tries[bot].sin_port && is_from(from, &net->tries[bot])) {
		if (dkc_feed_try(c, now_us(net), bytes))
			net->servers[bot] = net->tries[bot];
	} else {
		return; /* a stranger, or a server that was left */
	}
	net_touch(net, bot);
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

			if (bot != NONE)
				take(net, bot, &in->addr[i], dk_slice_n(in->buf[i], in->msg[i].msg_len));
		}
		if (n < BATCH)
			return;
	}
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
			net_stream_send(net, bot);
		to = dkc_wants_dial(b->client);
		if (!to)
			break;
		net_dial(net, bot, to);
	}
	to = dkc_wants_try(b->client);
	if (to) {
		net_dial_try(net, bot, to);
		send_datagrams(net, bot);
	} else if (!dkc_is_trying(b->client)) {
		net->tries[bot].sin_port = 0;
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
			net_stream_ready(net, index, ev[i].events);
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
