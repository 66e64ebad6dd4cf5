/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP of the production world: a descriptor of our own on a uv_poll_t per connection, one read per wake-up into a buffer that all
 * share. A connection that io.c let go of lingers here until the other side has heard the end of what was sent.
 */
#include "uv_world.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	ACCEPTS = 64, /* connections taken per wake-up */
	DISCARDS = 16, /* reads per wake-up of what nobody wants any more */
	LINGER_MS = 2000 /* how long the other side may take to hear the end */
};

struct env_listener {
	uv_poll_t poll;
	struct env_node *node;
	struct dk_listener *l;
	int fd;
	bool no_delay, closing;
};

struct env_stream {
	uv_poll_t poll;
	struct env_node *node;
	union {
		struct dk_stream *s;
		struct { /* io.c let go of it; the other side is still to hear what was sent */
			struct env_stream *next, **link;
			uint64_t until_ms;
		} linger;
	} u;
	int fd;
	bool reading, writing, connecting, at_end, lingering, closing;
};

/* ---- streams ---- */

static void on_stream(uv_poll_t *poll, int status, int events);

static void stream_watch(struct env_stream *es)
{
	int events = (es->reading ? UV_READABLE : 0) | (es->writing || es->connecting ? UV_WRITABLE : 0);

	if (es->closing)
		return;
	if (events)
		uv_poll_start(&es->poll, events, on_stream);
	else
		uv_poll_stop(&es->poll);
}

static void on_stream_closed(uv_handle_t *h)
{
	struct env_stream *es = h->data;

	es->node->handles--;
	free(es);
}

static void stream_end(struct env_stream *es)
{
	if (es->lingering) {
		*es->u.linger.link = es->u.linger.next;
		if (es->u.linger.next)
			es->u.linger.next->u.linger.link = es->u.linger.link;
		es->lingering = false;
	}
	es->closing = true;
	sock_unpoll(&es->poll, es->fd, on_stream_closed);
}

static void on_linger_timer(uv_timer_t *timer)
{
	struct uv_env *env = timer->data;

	for (struct env_stream *es = env->lingering, *next; es; es = next) {
		next = es->u.linger.next;
		if (es->u.linger.until_ms <= uv_now(&env->loop))
			stream_end(es);
	}
	if (!env->lingering)
		uv_timer_stop(timer);
}

/* Reads what nobody wants any more; true when the other side has come to its end. */
static bool discard(struct env_stream *es)
{
	struct uv_env *env = es->node->env;

	for (int i = 0; i < DISCARDS; i++) {
		ssize_t n = recv(es->fd, env->read_bytes, sizeof(env->read_bytes), 0);

		if (n <= 0)
			return n == 0 || (errno != EAGAIN && errno != EINTR);
	}
	return true; /* a megabyte at once after the end: enough of it */
}

/*
 * Closing a TCP socket whose input was not read to the end resets the connection, and the reset may overtake what was sent last. So
 * the write side is closed, and the rest read and thrown away, for as long as LINGER_MS.
 */
static void linger(struct env_stream *es)
{
	struct uv_env *env = es->node->env;

	if (shutdown(es->fd, SHUT_WR) < 0 || es->at_end || discard(es)) {
		stream_end(es);
		return;
	}
	es->lingering = true;
	es->reading = true;
	es->writing = false;
	es->u.linger.until_ms = uv_now(&env->loop) + LINGER_MS;
	es->u.linger.next = env->lingering;
	es->u.linger.link = &env->lingering;
	if (es->u.linger.next)
		es->u.linger.next->u.linger.link = &es->u.linger.next;
	env->lingering = es;
	if (!uv_is_active((uv_handle_t *)&env->linger_timer))
		uv_timer_start(&env->linger_timer, on_linger_timer, LINGER_MS / 2, LINGER_MS / 2);
	stream_watch(es);
}

void uv_env_stream_close(struct env_stream *es, bool reset)
{
	struct linger none = { 1, 0 };

	if (!reset && !es->connecting) {
		linger(es);
		return;
	}
	if (!es->connecting)
		setsockopt(es->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	stream_end(es);
}

void uv_env_stream_read(struct env_stream *es, bool on)
{
	if (es->at_end || es->reading == on)
		return;
	es->reading = on;
	if (!es->connecting)
		stream_watch(es);
}

int64_t uv_env_stream_write(struct env_stream *es, const uint8_t *p, size_t n)
{
	ssize_t sent;

	do
		sent = send(es->fd, p, n, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN)
		return -errno;
	if (sent < 0)
		sent = 0;
	if ((size_t)sent < n && !es->writing) {
		es->writing = true;
		stream_watch(es);
	}
	return sent;
}

/* One read; returns whether another may be tried at once. */
static bool stream_receive(struct env_stream *es)
{
	struct uv_env *env = es->node->env;
	ssize_t n = recv(es->fd, env->read_bytes, sizeof(env->read_bytes), 0);
	int err = n < 0 ? errno : 0;

	if (err == EAGAIN || err == EINTR)
		return false;
	node_turn(es->node);
	if (n > 0) {
		io_stream_data(es->u.s, env->read_bytes, (size_t)n);
		return !es->closing && !es->lingering && es->reading;
	}
	es->at_end = true;
	es->reading = false;
	stream_watch(es);
	io_stream_ended(es->u.s, -err);
	return false;
}

static void stream_connected(struct env_stream *es)
{
	int err = sock_error(es->fd);

	es->connecting = false;
	node_turn(es->node);
	if (err) {
		io_stream_ended(es->u.s, -err);
		return;
	}
	stream_watch(es);
	io_stream_opened(es->u.s);
}

static void on_stream(uv_poll_t *poll, int status, int events)
{
	struct env_stream *es = poll->data;

	if (es->lingering) {
		if (status < 0 || discard(es))
			stream_end(es);
		return;
	}
	if (es->connecting) {
		stream_connected(es);
		return;
	}
	if (status < 0) { /* libuv stopped the handle; what came before the error is still there to be read */
		while (es->reading && stream_receive(es))
			;
		if (!es->closing && !es->lingering && !es->at_end) {
			int err = sock_error(es->fd);

			es->at_end = true;
			node_turn(es->node);
			io_stream_ended(es->u.s, err ? -err : -ECONNRESET);
		}
		return;
	}
	if ((events & UV_READABLE) && es->reading)
		stream_receive(es);
	if (es->closing || es->lingering || !(events & UV_WRITABLE) || !es->writing)
		return;
	es->writing = false;
	stream_watch(es);
	node_turn(es->node);
	io_stream_writable(es->u.s);
}

/* Takes over fd, also when it fails. */
static struct env_stream *stream_new(struct env_node *n, int fd, bool no_delay)
{
	struct env_stream *es = calloc(1, sizeof(*es));

	if (!es || sock_poll(n, &es->poll, fd, es) < 0) {
		free(es);
		close(fd);
		return NULL;
	}
	es->node = n;
	es->fd = fd;
	es->reading = true;
	if (no_delay)
		sock_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return es;
}

int uv_env_connect(struct env_node *n, struct dk_stream *s, const struct dk_addr *to, bool no_delay, struct env_stream **ret_stream)
{
	int fd = -1, rc, family = to->family == 6 ? AF_INET6 : AF_INET;
	struct sockaddr_in6 name;
	socklen_t len = sock_addr_to(to, family, &name);
	struct env_stream *es;

	rc = sock_open(family, SOCK_STREAM, &fd);
	if (rc < 0)
		return rc;
	if (connect(fd, (struct sockaddr *)&name, len) < 0 && errno != EINPROGRESS) {
		rc = -errno;
		close(fd);
		return rc;
	}
	es = stream_new(n, fd, no_delay);
	if (!es)
		return -ENOMEM;
	es->u.s = s;
	es->connecting = true;
	stream_watch(es);
	*ret_stream = es;
	return 0;
}

/* ---- listeners ---- */

static void accept_one(struct env_listener *el, int fd, const struct sockaddr_in6 *name)
{
	struct env_stream *es = stream_new(el->node, fd, el->no_delay);
	struct dk_stream *s;
	struct dk_addr peer;

	if (!es)
		return;
	sock_addr_from(name, &peer);
	node_turn(el->node);
	s = io_accept(el->l, es, &peer);
	if (es->closing || es->lingering)
		return;
	if (!s) {
		uv_env_stream_close(es, true);
		return;
	}
	es->u.s = s;
	stream_watch(es);
}

/* Out of descriptors: without this the listener would be readable for ever. */
static bool refuse_one(struct env_listener *el)
{
	struct uv_env *env = el->node->env;
	int fd;

	if (env->spare_fd < 0)
		return false;
	close(env->spare_fd);
	fd = accept4(el->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	env->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
	struct env_listener *el = poll->data;

	(void)events;
	if (status < 0) {
		sock_error(el->fd);
		uv_poll_start(poll, UV_READABLE, on_listener);
		return;
	}
	for (int i = 0; i < ACCEPTS && !el->closing; i++) {
		struct sockaddr_in6 name = { .sin6_family = AF_INET };
		socklen_t len = sizeof(name);
		int fd = accept4(el->fd, (struct sockaddr *)&name, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			accept_one(el, fd, &name);
		else if (errno == EMFILE || errno == ENFILE ? !refuse_one(el) : errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void on_listener_closed(uv_handle_t *h)
{
	struct env_listener *el = h->data;

	el->node->handles--;
	free(el);
}

void uv_env_listener_close(struct env_listener *el)
{
	el->closing = true;
	sock_unpoll(&el->poll, el->fd, on_listener_closed);
}

/* Of its own; or on a port that is to be this one, that of all processes that ask for it. */
static int open_listener(struct dk_kernel *k, int family, struct dk_addr *bound, const struct dk_listen_opts *opts, int *ret_fd)
{
	int backlog = opts->backlog ? opts->backlog : 1024, fd, rc;

	if (k->share && bound->port && !opts->scan) {
		fd = k->share(k->program, bound, backlog);
		*ret_fd = fd;
		return fd < 0 ? fd : 0;
	}
	rc = sock_open(family, SOCK_STREAM, &fd);
	if (rc < 0)
		return rc;
	sock_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	rc = sock_bind(fd, family, bound);
	if (rc == 0 && listen(fd, backlog) < 0)
		rc = -errno;
	if (rc < 0)
		close(fd);
	else
		*ret_fd = fd;
	return rc;
}

int uv_env_listen(struct env_node *n, struct dk_listener *l, struct dk_addr *bound, const struct dk_listen_opts *opts,
		  struct env_listener **ret_listener)
{
	struct env_listener *el = calloc(1, sizeof(*el));
	int family = bound->family == 6 ? AF_INET6 : AF_INET;
	int rc = -ENOMEM;

	if (!el)
		return rc;
	el->node = n;
	el->l = l;
	el->no_delay = opts->no_delay;
	rc = open_listener(n->k, family, bound, opts, &el->fd);
	if (rc < 0)
		goto no_socket;
	rc = sock_poll(n, &el->poll, el->fd, el);
	if (rc < 0)
		goto no_poll;
	uv_poll_start(&el->poll, UV_READABLE, on_listener);
	*ret_listener = el;
	return 0;
no_poll:
	close(el->fd);
no_socket:
	free(el);
	return rc;
}

/* ---- the world's ends ---- */

void tcp_detach(struct env_node *n)
{
	for (struct env_stream *es = n->env->lingering, *next; es; es = next) {
		next = es->u.linger.next;
		if (es->node == n)
			stream_end(es);
	}
}

void tcp_init(struct uv_env *env)
{
	env->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uv_timer_init(&env->loop, &env->linger_timer);
	env->linger_timer.data = env;
}
