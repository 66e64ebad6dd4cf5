/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints for many bots over one keep-alive connection: up to PIPELINE requests are under way, answers come in their order. When
 * the server closes the connection between answers, it is opened again and what was not answered is asked once more; a
 * connection that brings no answer at all is an error.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <diarkis/client_http.h>

#include "tools/bot.h"

#define PIPELINE 32
#define OUT_CAP 65536

struct want {
	uint32_t bot, number; /* the number makes the user id */
};

struct fetch {
	const struct bot_options *o;
	fetch_fn *fn;
	void *arg;
	struct dkc_http answer;
	char host[DKC_HOST_MAX + 1], service[8], base[256];
	int fd;
	struct want *wants; /* ring: a bot is in it once at most */
	uint32_t cap, upto;
	uint32_t wanted, asked, answered; /* counted up; [answered, asked) are under way */
	uint32_t answered_here; /* on this connection */
	bool connecting, broken;
	size_t out_n, out_at;
	char out[OUT_CAP];
};

int fetch_new(const struct bot_options *o, fetch_fn *fn, void *arg, struct fetch **ret_fetch)
{
	struct fetch *f = calloc(1, sizeof(*f));
	dk_str host, path;
	uint16_t port;

	if (!f)
		return -ENOMEM;
	if (!dkc_http_url(dk_str_c(o->endpoint), &host, &port, &path) || path.n >= sizeof(f->base)) {
		fprintf(stderr, "--endpoint %s is no URL that can be asked; expected http://host:port\n", o->endpoint);
		free(f);
		return -EINVAL;
	}
	while (path.n && path.p[path.n - 1] == '/')
		path.n--;
	memcpy(f->base, path.p, path.n);
	memcpy(f->host, host.p, host.n);
	snprintf(f->service, sizeof(f->service), "%u", port);
	f->cap = o->bots + o->visitors;
	f->wants = calloc(f->cap, sizeof(*f->wants));
	if (!f->wants) {
		free(f);
		return -ENOMEM;
	}
	f->o = o;
	f->fn = fn;
	f->arg = arg;
	f->fd = -1;
	*ret_fetch = f;
	return 0;
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	dkc_http_fini(&f->answer);
	free(f->wants);
	free(f);
}

static void give_up(struct fetch *f, struct net *net, const char *why)
{
	if (f->fd >= 0) {
		net_watch(net, -1, 0);
		close(f->fd);
	}
	f->fd = -1;
	f->broken = true;
	f->fn(f->arg, f->wants[f->answered % f->cap].bot, NULL, why);
}

static bool dial(struct fetch *f, struct net *net)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
	int one = 1, rc;

	rc = getaddrinfo(f->host, f->service, &hints, &list);
	if (rc) {
		give_up(f, net, gai_strerror(rc));
		return false;
	}
	f->fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = f->fd < 0 || connect(f->fd, list->ai_addr, list->ai_addrlen) ? errno : 0;
	freeaddrinfo(list);
	if (rc && rc != EINPROGRESS) {
		give_up(f, net, strerror(rc));
		return false;
	}
	setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	f->connecting = true;
	f->asked = f->answered;
	f->answered_here = 0;
	f->out_n = f->out_at = 0;
	dkc_http_reset(&f->answer);
	net_watch(net, f->fd, EPOLLIN | EPOLLOUT);
	return true;
}

const char *fetch_uid(const struct bot_options *o, uint32_t bot, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s%u", o->prefix, o->first + bot);
	return buf;
}

/* One request at the end of the output; false when there is no room. */
static bool ask(struct fetch *f, uint32_t number)
{
	char uid[128], path[512];
	size_t room = sizeof(f->out) - f->out_n;
	int n;

	dkc_endpoint_path(f->o->type, fetch_uid(f->o, number, uid, sizeof(uid)), path, sizeof(path));
	n = snprintf(f->out + f->out_n, room, "GET %s%s HTTP/1.1\r\nHost: %s:%s\r\n%s%s%s\r\n", f->base, path, f->host, f->service,
		     f->o->client_key ? "ClientKey: " : "", f->o->client_key ? f->o->client_key : "",
		     f->o->client_key ? "\r\n" : "");
	if (n < 0 || (size_t)n >= room)
		return false;
	f->out_n += (size_t)n;
	return true;
}

static void write_out(struct fetch *f, struct net *net)
{
	while (f->out_at < f->out_n) {
		ssize_t k = send(f->fd, f->out + f->out_at, f->out_n - f->out_at, MSG_NOSIGNAL);

		if (k < 0)
			break; /* full, or broken: then reading says so */
		f->out_at += (size_t)k;
	}
	if (f->out_at == f->out_n)
		f->out_n = f->out_at = 0;
	net_watch(net, f->fd, f->out_n ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void pump(struct fetch *f, struct net *net)
{
	bool more = false;

	if (f->broken || f->asked == f->wanted)
		return;
	if (f->fd < 0 && !dial(f, net))
		return;
	while (f->asked != f->wanted && f->asked - f->answered < PIPELINE && ask(f, f->wants[f->asked % f->cap].number)) {
		f->asked++;
		more = true;
	}
	if (more && !f->connecting)
		write_out(f, net);
}

void fetch_one(struct fetch *f, struct net *net, uint32_t bot, uint32_t number)
{
	f->wants[f->wanted++ % f->cap] = (struct want){ bot, number };
	pump(f, net);
}

void fetch_upto(struct fetch *f, struct net *net, uint32_t upto)
{
	for (; f->upto < upto; f->upto++)
		f->wants[f->wanted++ % f->cap] = (struct want){ f->upto, f->upto };
	pump(f, net);
}

static void take_answer(struct fetch *f, struct net *net)
{
	struct dkc_endpoint e;
	char why[400];
	uint32_t bot = f->wants[f->answered++ % f->cap].bot;

	f->answered_here++;
	if (f->answer.status != 200) {
		snprintf(why, sizeof(why), "the server refused with status %d: %.300s", f->answer.status,
			 f->answer.body_n ? f->answer.body : "");
		f->fn(f->arg, bot, NULL, why);
	} else if (dkc_endpoint_parse(dk_str_n(f->answer.body, f->answer.body_n), f->o->protocol, &e, why, sizeof(why))) {
		give_up(f, net, why);
	} else {
		f->fn(f->arg, bot, &e, NULL);
	}
}

static void closed_by_server(struct fetch *f, struct net *net)
{
	if (!f->answered_here) {
		give_up(f, net, "the server closed the connection without an answer");
		return;
	}
	net_watch(net, -1, 0);
	close(f->fd);
	f->fd = -1;
	f->asked = f->answered;
}

void fetch_ready(struct fetch *f, struct net *net, uint32_t events)
{
	uint8_t buf[65536];
	ssize_t k;

	if (f->fd < 0)
		return;
	if (f->connecting && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		int err = 0;
		socklen_t n = sizeof(err);

		getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &err, &n);
		if (err) {
			give_up(f, net, strerror(err));
			return;
		}
		f->connecting = false;
	}
	write_out(f, net);
	while ((k = recv(f->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		dk_slice in = dk_slice_n(buf, (size_t)k);

		while (in.n && f->fd >= 0) {
			bool done, last;
			long used = dkc_http_feed(&f->answer, in, &done);

			if (used < 0) {
				give_up(f, net, "what it answered is no HTTP");
				return;
			}
			in = dk_slice_n(in.p + used, in.n - (size_t)used);
			if (!done)
				continue;
			last = f->answer.close;
			take_answer(f, net);
			dkc_http_reset(&f->answer);
			if (last && f->fd >= 0)
				closed_by_server(f, net);
		}
		if (f->fd < 0)
			return;
	}
	if (k == 0 || (k < 0 && errno != EAGAIN && errno != EINTR))
		closed_by_server(f, net);
}
