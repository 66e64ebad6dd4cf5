/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of hosts to addresses. The system's resolver blocks, so it is asked by a job; what is an address already, and what a world
 * without a resolver is asked, is answered by a timer: in a later turn, as the others. A question that is open when its plugin
 * stops is dropped.
 */
#include "uv_world.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>

struct question {
	struct dk_timer timer;
	void (*fn)(void *self, void *arg, int err, const struct dk_addr *addr);
	void *arg;
	int (*resolve)(const char *host, struct dk_addr *ret_addr);
	struct dk_addr addr;
	int err;
	uint16_t port;
	char host[256];
};

/* Runs on a thread of the pool. */
int uv_env_resolve(const char *host, struct dk_addr *ret_addr)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *all = NULL, *found = NULL;
	int rc = getaddrinfo(host, NULL, &hints, &all);

	if (rc != 0)
		return rc == EAI_SYSTEM ? -errno : rc == EAI_AGAIN ? -EAGAIN : rc == EAI_MEMORY ? -ENOMEM : -ENOENT;
	for (struct addrinfo *i = all; i; i = i->ai_next)
		if (i->ai_family == AF_INET || (i->ai_family == AF_INET6 && !found)) {
			found = i;
			if (i->ai_family == AF_INET)
				break;
		}
	if (found)
		sock_addr_from((void *)found->ai_addr, ret_addr);
	freeaddrinfo(all);
	return found ? 0 : -ENOENT;
}

static void ask(void *arg)
{
	struct question *q = arg;

	q->err = q->resolve(q->host, &q->addr);
	q->addr.port = q->port;
}

static void answer(void *self, void *arg)
{
	struct question q = *(struct question *)arg;

	free(arg);
	q.fn(self, q.arg, q.err, q.err ? NULL : &q.addr);
}

static void forget(void *self, void *arg)
{
	(void)self;
	free(arg);
}

static void on_timer(void *self, struct dk_timer *t)
{
	struct question *q = dk_container_of(t, struct question, timer);

	dk_disown(self, forget, q);
	answer(self, q);
}

/* "name" or "name:port"; false when it is too long for a name. */
static bool split(struct question *q, dk_str text, uint16_t port)
{
	const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
	struct dk_addr a = { .port = port };
	char number[] = "0.0.0.0:65535";
	size_t n = colon ? (size_t)(colon - text.p) : text.n, rest = text.n - n;

	if (n == 0 || n >= sizeof(q->host) || rest > 6)
		return false;
	memcpy(number + 7, text.p + n, rest);
	if (rest && dk_addr_parse(dk_str_n(number, 7 + rest), 0, &a) < 0)
		return false;
	memcpy(q->host, text.p, n);
	q->port = a.port;
	return strlen(q->host) == n;
}

int dk_resolve(void *self, dk_str host, uint16_t port, void (*fn)(void *self, void *arg, int err, const struct dk_addr *addr),
	       void *arg)
{
	const struct dk_plugin *p = plugin_of(self);
	struct question *q = calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return -ENOMEM;
	q->fn = fn;
	q->arg = arg;
	q->resolve = p->k->env->ops->resolve;
	q->err = dk_addr_parse(host, port, &q->addr) == 0 ? 0 : -ENOENT;
	if (q->err && q->resolve && split(q, host, port)) {
		rc = dk_job(self, ask, answer, free, q);
	} else {
		rc = dk_own(self, forget, q, "answer to dk_resolve()");
		if (rc == 0)
			dk_timer_start(self, &q->timer, 0, 0, on_timer);
	}
	if (rc < 0)
		free(q);
	return rc;
}
