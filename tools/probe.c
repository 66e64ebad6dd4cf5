/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets of tools that ask a server one question: where it lies, the own end as configured, and waiting until a deadline.
 */
#include "tools/probe.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

uint64_t probe_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void probe_say(const struct probe *p, const char *fmt, ...)
{
	va_list ap;

	if (!p->loud)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static int lookup(const char *host, const char *port, int flags, struct probe_target *t)
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

int probe_resolve(const struct probe *p, struct probe_target *ret_target, char why[PROBE_WHY])
{
	const char *colon = strrchr(p->target, ':'), *host = p->target;
	char name[256];
	size_t n = colon ? (size_t)(colon - host) : 0;
	int rc;

	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	if (!n || n >= sizeof(name) || strspn(colon + 1, "0123456789") != strlen(colon + 1) || !colon[1] ||
	    strtol(colon + 1, NULL, 10) > 65535) {
		snprintf(why, PROBE_WHY, "this is no address; expected host:port, as in 127.0.0.1:7100");
		return 1;
	}
	memcpy(name, host, n);
	name[n] = '\0';
	rc = lookup(name, colon + 1, AI_NUMERICSERV, ret_target);
	if (rc) {
		snprintf(why, PROBE_WHY, "the name is not found: %s", gai_strerror(rc));
		return 1;
	}
	return 0;
}

static int open_socket(const struct probe_target *to, const struct probe_target *from)
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
int probe_socket(const struct probe *p, const struct probe_target *to, char why[PROBE_WHY])
{
	const int flags = AI_NUMERICSERV | AI_NUMERICHOST;
	struct probe_target from = { .len = 0 };
	bool own = *p->address;
	char port[8];
	int fd;

	snprintf(port, sizeof(port), "%u", p->port);
	if (own && lookup(p->address, port, flags, &from)) {
		snprintf(why, PROBE_WHY, "the configured address \"%s\" is none", p->address);
		return -1;
	}
	own = own && from.addr.ss_family == to->addr.ss_family;
	fd = open_socket(to, own ? &from : NULL);
	if (fd == -EADDRINUSE) {
		probe_say(p, "%s is in use; any other port will do", from.text);
		lookup(p->address, "0", flags, &from);
		fd = open_socket(to, &from);
	}
	if (fd == -EINVAL && own) {
		probe_say(p, "from %s there is no way to %s; from elsewhere, then", from.text, to->text);
		fd = open_socket(to, NULL);
	}
	if (fd < 0) {
		snprintf(why, PROBE_WHY, "no socket leads there: %s", strerror(-fd));
		return -1;
	}
	probe_say(p, "the socket of the probe is ready for %s", to->text);
	return fd;
}

bool probe_wait(int fd, short events, uint64_t until)
{
	struct pollfd pfd = { fd, events, 0 };
	uint64_t now = probe_now();

	return until > now && poll(&pfd, 1, (int)(until - now)) > 0;
}
