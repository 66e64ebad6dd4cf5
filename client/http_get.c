/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP request, blocking, with one deadline over everything but the resolver. It opens a connection, asks, reads the answer
 * and closes. Programs with many requests keep their own connection and use the reader of http.c.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <diarkis/client_http.h>

#define REQUEST_MAX 4096

struct request {
	int fd;
	uint64_t deadline; /* us */
	char *why;
	size_t cap;
};

static int failed(struct request *r, int rc, const char *fmt, ...) DK_PRINTF(3, 4);

static int failed(struct request *r, int rc, const char *fmt, ...)
{
	va_list ap;

	if (r->cap) {
		va_start(ap, fmt);
		vsnprintf(r->why, r->cap, fmt, ap);
		va_end(ap);
	}
	return rc;
}

/* Returns 0 when the socket is ready, -ETIMEDOUT or another error. */
static int wait_for(struct request *r, short what)
{
	for (;;) {
		struct pollfd p = { r->fd, what, 0 };
		uint64_t now = dkc_now();
		int n;

		if (now >= r->deadline)
			return -ETIMEDOUT;
		n = poll(&p, 1, (int)((r->deadline - now + 999) / 1000));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int dial(struct request *r, dk_str host, uint16_t port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list, *a;
	char name[DKC_HOST_MAX + 1], service[8];
	int rc;

	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(name, service, &hints, &list);
	if (rc)
		return failed(r, -EHOSTUNREACH, "The host name %s was not resolved: %s.", name, gai_strerror(rc));
	rc = -EHOSTUNREACH;
	for (a = list; a; a = a->ai_next) {
		r->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (r->fd < 0) {
			rc = -errno;
			continue;
		}
		rc = connect(r->fd, a->ai_addr, a->ai_addrlen) ? -errno : 0;
		if (rc == -EINPROGRESS) {
			int err = 0;
			socklen_t n = sizeof(err);

			rc = wait_for(r, POLLOUT);
			if (!rc)
				rc = getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &err, &n) ? -errno : -err;
		}
		if (!rc)
			break;
		close(r->fd);
		r->fd = -1;
	}
	freeaddrinfo(list);
	return rc ? failed(r, rc, "There was no connection to %s port %u: %s. Is the HTTP server running there?", name, port,
			   strerror(-rc))
		  : 0;
}

static int send_all(struct request *r, const char *p, size_t n)
{
	while (n) {
		ssize_t k = send(r->fd, p, n, MSG_NOSIGNAL);

		if (k >= 0) {
			p += k;
			n -= (size_t)k;
		} else if (errno == EAGAIN) {
			int rc = wait_for(r, POLLOUT);

			if (rc)
				return rc;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static int read_answer(struct request *r, struct dkc_http *h)
{
	uint8_t buf[4096];
	bool done = false;

	while (!done) {
		ssize_t k = recv(r->fd, buf, sizeof(buf), 0);

		if (k > 0) {
			if (dkc_http_feed(h, dk_slice_n(buf, (size_t)k), &done) < 0)
				return failed(r, DKC_MALFORMED, "What the server answered is no HTTP answer of at most %d bytes.",
					      DKC_HTTP_BODY_MAX);
		} else if (k == 0) {
			if (!dkc_http_end(h))
				return failed(r, DKC_MALFORMED, "The server closed the connection in the middle of its answer.");
			done = true;
		} else if (errno == EAGAIN) {
			int rc = wait_for(r, POLLIN);

			if (rc)
				return failed(r, rc, "The server did not answer in time.");
		} else if (errno != EINTR) {
			return failed(r, -errno, "The answer could not be read: %s.", strerror(errno));
		}
	}
	return 0;
}

int dkc_http_get(const char *url, const char *headers, int timeout_ms, int *ret_status, char **ret_body, char *why, size_t cap)
{
	struct request r = { .fd = -1, .deadline = dkc_now() + (uint64_t)timeout_ms * 1000, .why = why, .cap = cap };
	struct dkc_http h = { .status = 0 };
	char text[REQUEST_MAX];
	dk_str host, path;
	uint16_t port;
	int n, rc;

	if (!dkc_http_url(dk_str_c(url), &host, &port, &path))
		return failed(&r, DKC_MALFORMED, "%s is no URL that can be asked; expected http://host:port/path.", url);
	n = snprintf(text, sizeof(text),
		     "GET " DK_STR_FMT " HTTP/1.1\r\nHost: " DK_STR_FMT
		     ":%u\r\nAccept: application/json\r\nConnection: close\r\n%s\r\n",
		     DK_STR_ARG(path), DK_STR_ARG(host), port, headers ? headers : "");
	if (n < 0 || n >= (int)sizeof(text))
		return failed(&r, DKC_MALFORMED, "The request is longer than %d bytes.", REQUEST_MAX);
	rc = dial(&r, host, port);
	if (rc)
		return rc;
	rc = send_all(&r, text, (size_t)n);
	if (rc)
		failed(&r, rc, "The request could not be sent: %s.", strerror(-rc));
	else
		rc = read_answer(&r, &h);
	if (!rc && !h.body) {
		h.body = calloc(1, 1);
		if (!h.body)
			rc = failed(&r, -ENOMEM, "There is no memory for the answer.");
	}
	if (!rc) {
		*ret_status = h.status;
		*ret_body = h.body;
		h.body = NULL;
	}
	dkc_http_fini(&h);
	close(r.fd);
	return rc;
}

int dkc_endpoint_get(const char *base, const char *type, const char *uid, const char *client_key, int timeout_ms,
		     struct dkc_endpoint *ret_endpoint, char *why, size_t cap)
{
	struct request r = { .fd = -1, .why = why, .cap = cap };
	char url[REQUEST_MAX], header[512] = "", path[2048];
	size_t n = strlen(base);
	char *body;
	int status, rc;

	while (n && base[n - 1] == '/')
		n--;
	if (dkc_endpoint_path(type, uid, path, sizeof(path)) >= sizeof(path) ||
	    snprintf(url, sizeof(url), "%.*s%s", (int)n, base, path) >= (int)sizeof(url))
		return failed(&r, DKC_MALFORMED, "The user id is too long for a URL.");
	if (client_key && *client_key) {
		if (strpbrk(client_key, "\r\n") ||
		    snprintf(header, sizeof(header), "ClientKey: %s\r\n", client_key) >= (int)sizeof(header))
			return failed(&r, DKC_MALFORMED, "The client key is too long or holds a line break.");
	}
	rc = dkc_http_get(url, header, timeout_ms, &status, &body, why, cap);
	if (rc)
		return rc;
	if (status != 200)
		rc = failed(&r, DKC_MALFORMED, "The server refused the endpoint with status %d: %.300s", status, body);
	else
		rc = dkc_endpoint_parse(dk_str_c(body), !strcasecmp(type, "TCP") ? DKC_TCP : DKC_ANY, ret_endpoint, why, cap);
	free(body);
	return rc;
}
