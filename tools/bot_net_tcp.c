/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP bots: one socket each. What the socket does not take is kept, and nothing more is taken from the client until it is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tools/bot_net_priv.h"

void net_stream_close(struct net_bot *b)
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
	net_stream_close(bot_at(net, bot));
	dkc_hung_up(bot_at(net, bot)->client, now_us(net));
	net_touch(net, bot);
}

void net_stream_send(struct net *net, uint32_t bot)
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
	if (b->fd < 0)
		return;
	if (!b->out && !b->connecting && dkc_wants_half_close(b->client))
		shutdown(b->fd, SHUT_WR);
	stream_events(net, bot, b->connecting || b->out);
}

void net_stream_ready(struct net *net, uint32_t bot, uint32_t events)
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
			net_stream_close(b);
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
