/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a bot is to talk to, and from which address and socket: see bot_net.h. IPv4 only. Names are resolved once, which may block.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tools/bot_net_priv.h"

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
	return rc;
}

static int dial_tcp(struct net *net, uint32_t bot, bool loopback)
{
	struct net_bot *b = bot_at(net, bot);
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(LOCAL_BASE + bot) };
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.u64 = TAG_BOT | bot };
	int one = 1, rc;

	net_stream_close(b);
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

static struct sockaddr_in sockaddr_of(const struct dk_addr *a)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(a->port) };

	memcpy(&sa.sin_addr, a->ip, 4);
	return sa;
}

void net_dial_try(struct net *net, uint32_t bot, const struct dkc_endpoint *to)
{
	struct dk_addr server;
	int rc = resolve(net, to, &server);

	if (!rc)
		net->tries[bot] = sockaddr_of(&server);
	dkc_tried(bot_at(net, bot)->client, now_us(net), rc, &server);
}

void net_dial(struct net *net, uint32_t bot, const struct dkc_endpoint *to)
{
	struct net_bot *b = bot_at(net, bot);
	struct dk_addr server;
	int rc = resolve(net, to, &server);

	if (!rc) {
		bool loopback = server.ip[0] == 127;

		net->servers[bot] = sockaddr_of(&server);
		rc = to->protocol == DKC_TCP ? dial_tcp(net, bot, loopback) : dial_udp(net, bot, loopback);
		if (!rc && to->protocol == DKC_TCP)
			return; /* when it is connected */
	}
	if (rc) {
		fprintf(stderr, "bot %u: no socket to %s port %u: %s\n", bot, to->host, to->port, strerror(-rc));
		net_stream_close(b);
	}
	dkc_dialed(b->client, now_us(net), rc, &server);
}
