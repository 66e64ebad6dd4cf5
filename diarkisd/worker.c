/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's side of its supervisor: an ordinary node that asks for the listeners it shares with the others, is told of tasks
 * instead of reading them, says when it serves and in whose code it crashed, and ends when its supervisor does.
 */
#include "workers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int share(void *program, const struct dk_addr *bind, int backlog)
{
	const struct worker *w = program;
	struct worker_ask ask = { .bind = *bind, .backlog = backlog };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	int32_t rc = -EPROTO;
	struct iovec iov = { &rc, sizeof(rc) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;
	int fd;

	if (send(w->ask, &ask, sizeof(ask), MSG_NOSIGNAL) != (ssize_t)sizeof(ask))
		return -errno;
	do
		n = recvmsg(w->ask, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(rc))
		return n < 0 ? -errno : -ECONNRESET;
	c = CMSG_FIRSTHDR(&m);
	if (rc < 0 || !c || c->cmsg_type != SCM_RIGHTS)
		return rc < 0 ? rc : -EPROTO;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* The supervisor says something, or is no more: then the node stops as at SIGTERM. */
static bool told(void *program)
{
	const struct worker *w = program;
	char buf[WORKER_MESSAGE_MAX];
	ssize_t n;

	while ((n = recv(w->tell, buf, sizeof(buf) - 1, MSG_DONTWAIT)) > 0) {
		buf[n] = '\0';
		if (n >= 2 && buf[0] == SUPERVISOR_TASK)
			dk_task_run(w->k, buf[1] - '0', n > 2 ? buf + 2 : NULL);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	dk_stop(w->k);
	return false;
}

void worker_boot(struct worker *w, struct dk_boot *boot)
{
	boot->worker = w->index;
	boot->workers = w->count;
	boot->share = share;
	boot->watch = told;
	boot->watch_fd = w->tell;
	boot->program = w;
}

static void say(const struct worker *w, char what, const char *text)
{
	char buf[2048] = { what };
	size_t n = strlen(text);

	if (n > sizeof(buf) - 1)
		n = sizeof(buf) - 1;
	memcpy(buf + 1, text, n);
	(void)!send(w->tell, buf, n + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void ready(void *arg)
{
	const struct worker *w = arg;
	const char *instance, *role;
	const struct dk_addr *a;
	char words[2000] = "", text[DK_ADDR_TEXT];
	size_t n = 0;

	for (size_t i = 0; (a = dk_announced_at(dk_app(w->k), i, &instance, &role)) && n < sizeof(words); i++) {
		dk_addr_format(a, text);
		n += (size_t)snprintf(words + n, sizeof(words) - n, " %s=%s", instance, text);
	}
	say(w, WORKER_READY, words);
}

int worker_start(struct worker *w, struct dk_kernel *k)
{
	w->k = k;
	say(w, WORKER_BOOTED, "");
	return dk_on_started(k, ready, w);
}

void worker_crash(const struct worker *w, const char *plugin)
{
	say(w, WORKER_CRASHED, plugin);
}
