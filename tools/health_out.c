/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe from outside, and the sockets of all probes. Nothing it sends can concern anybody: the sid is random. The answer is the
 * kill packet, four bytes, which a server gives to a SYN that it does not know; for TCP it is the end of the connection. So a
 * process that is stopped, or whose loop is held, is not well, although its sockets are open.
 */
#include "tools/health.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "wire/frame.h"
#include "wire/wire.h"

uint64_t health_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void health_say(const struct health *h, const char *fmt, ...)
{
	va_list ap;

	if (!h->loud)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static int lookup(const char *host, const char *port, int flags, struct health_target *t)
{
	struct addrinfo hints = { .ai_flags = flags, .ai_socktype = SOCK_DGRAM }, *ai = NULL;
	char at[64] = "";
	int rc = getaddrinfo(*host ? host : NULL, port, &hints, &ai);

	if (rc)
		return rc;
	memcpy(&t->addr, ai->ai_addr, ai->ai_addrlen);
	t->len = ai->ai_addrlen;
	getnameinfo(ai->ai_addr, ai->ai_addrlen, at, sizeof(at), NULL, 0, NI_NUMERICHOST);
	snprintf(t->text, sizeof(t->text), ai->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", at, port);
	freeaddrinfo(ai);
	return 0;
}

int health_resolve(const struct health *h, struct health_target *ret_target, char why[HEALTH_WHY])
{
	const char *colon = strrchr(h->target, ':'), *host = h->target;
	char name[256];
	size_t n = colon ? (size_t)(colon - host) : 0;
	int rc;

	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	if (!n || n >= sizeof(name) || strspn(colon + 1, "0123456789") != strlen(colon + 1) || !colon[1] ||
	    strtol(colon + 1, NULL, 10) > 65535) {
		snprintf(why, HEALTH_WHY, "this is no address; expected host:port, as in 127.0.0.1:7100");
		return 1;
	}
	memcpy(name, host, n);
	name[n] = '\0';
	rc = lookup(name, colon + 1, AI_NUMERICSERV, ret_target);
	if (rc) {
		snprintf(why, HEALTH_WHY, "the name is not found: %s", gai_strerror(rc));
		return 1;
	}
	return 0;
}

static int open_socket(const struct health_target *to, const struct health_target *from)
{
	int fd = socket(to->addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	if ((from && bind(fd, (const struct sockaddr *)&from->addr, from->len)) ||
	    connect(fd, (const struct sockaddr *)&to->addr, to->len)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* The configured port may be another probe's just now, and an address of this computer alone leads nowhere else: both are wishes,
 * not conditions. */
int health_socket(const struct health *h, const struct health_target *to, char why[HEALTH_WHY])
{
	const int flags = AI_NUMERICSERV | AI_NUMERICHOST;
	struct health_target from = { .len = 0 };
	bool own = *h->address;
	char port[8];
	int fd;

	snprintf(port, sizeof(port), "%u", h->port);
	if (own && lookup(h->address, port, flags, &from)) {
		snprintf(why, HEALTH_WHY, "the configured address \"%s\" is none", h->address);
		return -1;
	}
	own = own && from.addr.ss_family == to->addr.ss_family;
	fd = open_socket(to, own ? &from : NULL);
	if (fd == -EADDRINUSE) {
		health_say(h, "%s is in use; any other port will do", from.text);
		lookup(h->address, "0", flags, &from);
		fd = open_socket(to, &from);
	}
	if (fd == -EINVAL && own) {
		health_say(h, "from %s there is no way to %s; from elsewhere, then", from.text, to->text);
		fd = open_socket(to, NULL);
	}
	if (fd < 0) {
		snprintf(why, HEALTH_WHY, "no socket leads there: %s", strerror(-fd));
		return -1;
	}
	health_say(h, "the socket of the probe is ready for %s", to->text);
	return fd;
}

bool health_wait(int fd, short events, uint64_t until)
{
	struct pollfd p = { fd, events, 0 };
	uint64_t now = health_now();

	return until > now && poll(&p, 1, (int)(until - now)) > 0;
}

/* Over TCP a server reads the first frame, does not know its sid, and ends the connection. */
static int ask_tcp(const struct health *h, const struct health_target *to, const uint8_t sid[WIRE_SID_LEN], char why[HEALTH_WHY])
{
	uint8_t frame[WIRE_FRAME_UP] = { 0xfe, 0xbe, 0xde, 0xef, 0, 0, 0, WIRE_SID_LEN, 0, WIRE_CMD_ECHO };
	int fd = socket(to->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = fd < 0 ? errno : 0, rc = 1;
	socklen_t len = sizeof(err);

	memcpy(frame + WIRE_FRAME_UP - WIRE_SID_LEN, sid, WIRE_SID_LEN);
	if (!err && connect(fd, (const struct sockaddr *)&to->addr, to->len) && errno != EINPROGRESS)
		err = errno;
	if (!err && !health_wait(fd, POLLOUT, h->deadline))
		err = ETIMEDOUT;
	if (!err)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		snprintf(why, HEALTH_WHY, "nobody listens there, neither by UDP nor by TCP: %s", strerror(err));
	} else {
		health_say(h, "no UDP there; a frame with a sid of nobody goes there over TCP");
		rc = send(fd, frame, sizeof(frame), MSG_NOSIGNAL) < 0 || !health_wait(fd, POLLIN, h->deadline);
		snprintf(why, HEALTH_WHY, "%s",
			 rc ? "TCP connections are taken, but nobody reads from them" : "well: it reads what comes over TCP");
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

int health_out(const struct health *h, char why[HEALTH_WHY])
{
	uint8_t syn[WIRE_HEADER_LEN + WIRE_SID_LEN] = { 0, 0, 0, WIRE_SYN }, in[WIRE_DATAGRAM_MAX];
	uint64_t began = health_now(), again = began;
	struct health_target to;
	int fd, rc = 1;

	if (getrandom(syn + WIRE_HEADER_LEN, WIRE_SID_LEN, 0) != WIRE_SID_LEN) {
		snprintf(why, HEALTH_WHY, "no random numbers: %s", strerror(errno));
		return 1;
	}
	if (health_resolve(h, &to, why))
		return 1;
	fd = health_socket(h, &to, why);
	if (fd < 0)
		return 1;
	snprintf(why, HEALTH_WHY, "nothing came back within %u ms; the server is gone, held up, or not to be reached from here",
		 HEALTH_MS);
	while (health_now() < h->deadline) {
		ssize_t n;

		if (health_now() >= again) {
			again = health_now() + HEALTH_AGAIN_MS;
			if (send(fd, syn, sizeof(syn), 0) == (ssize_t)sizeof(syn))
				health_say(h, "a SYN with a sid of nobody was sent to %s", to.text);
		}
		if (!health_wait(fd, POLLIN, again < h->deadline ? again : h->deadline))
			continue;
		n = recv(fd, in, sizeof(in), 0);
		if (n == sizeof(wire_kill_packet) && memcmp(in, wire_kill_packet, sizeof(wire_kill_packet)) == 0) {
			snprintf(why, HEALTH_WHY, "well: it answered after %llu ms", (unsigned long long)(health_now() - began));
			rc = 0;
			break;
		}
		if (n < 0 && errno == ECONNREFUSED) {
			rc = ask_tcp(h, &to, syn + WIRE_HEADER_LEN, why);
			break;
		}
		health_say(h, "%zd bytes came that are no answer", n);
	}
	close(fd);
	return rc;
}
