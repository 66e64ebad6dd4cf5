/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives a client with one non-blocking socket, and a second one while it looks for its room: no threads, no loop of its own,
 * nothing happens outside dkc_poll(). UDP sockets are connected, so the kernel filters foreign senders and reports ports that
 * nobody listens on. A TCP socket keeps what it could not write yet and takes no more from the client until that is gone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "priv.h"

#define READS_MAX 64 /* per dkc_poll(): a flood does not keep the caller here */
#define OUT_CAP 65536

struct dkc_socket {
	int fd; /* -1: none */
	int try_fd; /* UDP: the socket of dkc_wants_try(); -1: none */
	bool connecting; /* TCP */
	struct dk_addr server;
	uint8_t *out; /* TCP: bytes to be written */
	size_t out_n, out_at, out_cap;
};

uint64_t dkc_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void hang_up(struct dkc_socket *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->connecting = false;
	s->out_n = s->out_at = 0;
}

static void end_try(struct dkc_socket *s)
{
	if (s->try_fd >= 0)
		close(s->try_fd);
	s->try_fd = -1;
}

void client_socket_free(struct dkc_client *c)
{
	if (!c->socket)
		return;
	hang_up(c->socket);
	end_try(c->socket);
	free(c->socket->out);
	free(c->socket);
	c->socket = NULL;
}

static socklen_t to_sockaddr(const struct dk_addr *a, struct sockaddr_storage *ret_sa)
{
	memset(ret_sa, 0, sizeof(*ret_sa));
	if (a->family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret_sa;

		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->ip, 4);
		return sizeof(*in);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_sa;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(a->port);
		memcpy(&in6->sin6_addr, a->ip, 16);
		return sizeof(*in6);
	}
}

static bool from_sockaddr(const struct sockaddr *sa, struct dk_addr *ret_addr)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
	struct dk_addr a = { .family = 0 };

	if (sa->sa_family == AF_INET) {
		a.family = 4;
		a.port = ntohs(in->sin_port);
		memcpy(a.ip, &in->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		a.family = 6;
		a.port = ntohs(in6->sin6_port);
		memcpy(a.ip, &in6->sin6_addr, 16);
	} else {
		return false;
	}
	*ret_addr = a;
	return true;
}

static int resolve(const struct dkc_endpoint *to, struct dk_addr *ret_addr)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *list, *a;
	bool found = false;

	if (dkc_addr_parse(to->host, to->port, ret_addr))
		return 0;
	if (getaddrinfo(to->host, NULL, &hints, &list))
		return -EHOSTUNREACH;
	for (a = list; a && !found; a = a->ai_next)
		found = from_sockaddr(a->ai_addr, ret_addr);
	freeaddrinfo(list);
	if (!found)
		return -EHOSTUNREACH;
	ret_addr->port = to->port;
	return 0;
}

/* A socket that is connected, or connecting (*ret_rc -EINPROGRESS), or -1 and *ret_rc says why. */
static int open_socket(const struct dkc_endpoint *to, struct dk_addr *ret_server, int *ret_rc)
{
	bool tcp = to->protocol == DKC_TCP;
	struct sockaddr_storage sa;
	int one = 1, fd = -1, rc;
	socklen_t n;

	rc = resolve(to, ret_server);
	if (rc)
		goto fail;
	n = to_sockaddr(ret_server, &sa);
	fd = socket(sa.ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		rc = -errno;
		goto fail;
	}
	if (tcp)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	rc = connect(fd, (struct sockaddr *)&sa, n) ? -errno : 0;
	if (rc && rc != -EINPROGRESS)
		goto fail;
	*ret_rc = rc;
	return fd;
fail:
	if (fd >= 0)
		close(fd);
	*ret_rc = rc;
	return -1;
}

/* The client may tell its server where it is. */
static void tell_local(struct dkc_client *c, int fd)
{
	struct sockaddr_storage sa;
	struct dk_addr local = { .family = 0 };
	socklen_t n = sizeof(sa);

	if (!getsockname(fd, (struct sockaddr *)&sa, &n) && from_sockaddr((struct sockaddr *)&sa, &local))
		dkc_set_local(c, &local);
}

static void dial(struct dkc_client *c, const struct dkc_endpoint *to)
{
	struct dkc_socket *s = c->socket;
	int rc;

	hang_up(s);
	s->fd = open_socket(to, &s->server, &rc);
	s->connecting = rc == -EINPROGRESS;
	if (s->connecting)
		return;
	if (s->fd >= 0)
		tell_local(c, s->fd);
	dkc_dialed(c, dkc_now(), rc, &s->server);
}

static void dial_try(struct dkc_client *c, const struct dkc_endpoint *to)
{
	struct dk_addr server;
	int rc;

	end_try(c->socket);
	c->socket->try_fd = open_socket(to, &server, &rc);
	dkc_tried(c, dkc_now(), rc, &server);
}

static void finish_dial(struct dkc_client *c)
{
	struct dkc_socket *s = c->socket;
	int err = 0;
	socklen_t n = sizeof(err);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &n))
		err = errno;
	s->connecting = false;
	if (err)
		hang_up(s);
	else
		tell_local(c, s->fd);
	dkc_dialed(c, dkc_now(), -err, &s->server);
}

/* The socket failed. For UDP that is news only while nobody has answered. */
static void failed(struct dkc_client *c, int err)
{
	if (err == EAGAIN || err == EINTR)
		return;
	if (c->to.protocol == DKC_TCP)
		hang_up(c->socket);
	else if (err != ECONNREFUSED)
		return;
	dkc_hung_up(c, dkc_now());
}

static void write_out(struct dkc_client *c)
{
	struct dkc_socket *s = c->socket;

	while (s->fd >= 0 && !s->connecting) {
		size_t need;
		ssize_t k;

		if (s->out_at == s->out_n) {
			s->out_at = 0;
			s->out_n = dkc_next_bytes(c, s->out, s->out_cap, &need);
			if (!s->out_n && need > s->out_cap) {
				uint8_t *p = realloc(s->out, need > OUT_CAP ? need : OUT_CAP);

				if (!p)
					return;
				s->out = p;
				s->out_cap = need > OUT_CAP ? need : OUT_CAP;
				continue;
			}
			if (!s->out_n)
				return;
		}
		k = send(s->fd, s->out + s->out_at, s->out_n - s->out_at, MSG_NOSIGNAL);
		if (k < 0) {
			failed(c, errno);
			return;
		}
		s->out_at += (size_t)k;
	}
}

static void flush(struct dkc_client *c)
{
	uint8_t slot[DKC_SLOT];
	size_t n;

	if (c->to.protocol == DKC_TCP) {
		write_out(c);
		if (c->socket->out_at == c->socket->out_n && dkc_wants_half_close(c) && c->socket->fd >= 0)
			shutdown(c->socket->fd, SHUT_WR);
		return;
	}
	while ((n = dkc_next_try(c, dkc_now(), slot, sizeof(slot))) > 0) {
		if (c->socket->try_fd >= 0)
			send(c->socket->try_fd, slot, n, MSG_NOSIGNAL); /* whatever comes of it */
	}
	while ((n = dkc_next_datagram(c, dkc_now(), slot, sizeof(slot))) > 0) {
		/* a full socket buffer loses a datagram, as the network may */
		if (c->socket->fd >= 0 && send(c->socket->fd, slot, n, MSG_NOSIGNAL) < 0)
			failed(c, errno);
	}
}

static void read_in(struct dkc_client *c)
{
	struct dkc_socket *s = c->socket;
	uint8_t buf[16384];

	for (int i = 0; i < READS_MAX && s->fd >= 0 && !s->connecting; i++) {
		ssize_t k = recv(s->fd, buf, sizeof(buf), 0);

		if (k < 0) {
			failed(c, errno);
			return;
		}
		if (k == 0 && c->to.protocol == DKC_TCP) {
			hang_up(s);
			dkc_hung_up(c, dkc_now());
			return;
		}
		dkc_feed(c, dkc_now(), dk_slice_n(buf, (size_t)k));
	}
}

static void read_try(struct dkc_client *c)
{
	struct dkc_socket *s = c->socket;
	uint8_t buf[2048];

	for (int i = 0; i < READS_MAX && s->try_fd >= 0; i++) {
		ssize_t k = recv(s->try_fd, buf, sizeof(buf), 0);

		if (k < 0)
			return;
		if (!dkc_feed_try(c, dkc_now(), dk_slice_n(buf, (size_t)k)))
			continue;
		hang_up(s);
		s->fd = s->try_fd;
		s->try_fd = -1;
	}
}

/* Everything that can be done without waiting. */
static void turn(struct dkc_client *c)
{
	const struct dkc_endpoint *to;

	if (c->socket->connecting) {
		struct pollfd p = { c->socket->fd, POLLOUT, 0 };

		if (poll(&p, 1, 0) > 0)
			finish_dial(c);
	}
	read_in(c);
	read_try(c);
	dkc_tick(c, dkc_now());
	flush(c);
	to = dkc_wants_dial(c);
	if (to) {
		dial(c, to);
		flush(c);
	}
	to = dkc_wants_try(c);
	if (to) {
		dial_try(c, to);
		flush(c);
	}
	if (!dkc_is_trying(c))
		end_try(c->socket);
	if (c->state == CLIENT_IDLE && c->to.protocol == DKC_TCP && c->socket->out_at == c->socket->out_n)
		hang_up(c->socket);
}

int dkc_poll(struct dkc_client *c, int timeout_ms)
{
	uint64_t start = dkc_now(), until = timeout_ms < 0 ? DKC_NEVER : start + (uint64_t)timeout_ms * 1000;
	uint32_t before = c->delivered;

	if (!c->socket) {
		c->socket = calloc(1, sizeof(*c->socket));
		if (!c->socket)
			return -ENOMEM;
		c->socket->fd = c->socket->try_fd = -1;
	}
	for (;;) {
		struct pollfd p[2] = { { .events = POLLIN }, { .events = POLLIN } };
		uint64_t now, due;
		int wait = -1;

		turn(c);
		now = dkc_now();
		if (c->delivered != before || now >= until || c->state == CLIENT_IDLE)
			break;
		due = dkc_due(c);
		if (due > until)
			due = until;
		if (due != DKC_NEVER)
			wait = due <= now ? 0 : (int)((due - now + 999) / 1000 < 60000 ? (due - now + 999) / 1000 : 60000);
		p[0].fd = c->socket->fd; /* negative ones are passed over */
		p[1].fd = c->socket->try_fd;
		if (c->socket->connecting || c->socket->out_at < c->socket->out_n)
			p[0].events |= POLLOUT;
		if (poll(p, 2, wait) < 0 && errno != EINTR)
			return -errno;
	}
	return (int)(c->delivered - before);
}

int dkc_fd(const struct dkc_client *c)
{
	return c->socket ? c->socket->fd : -1;
}
