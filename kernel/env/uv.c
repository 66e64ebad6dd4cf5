/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The production world: one libuv loop, on which any number of nodes live. Sockets are our own descriptors on uv_poll_t,
 * because libuv 1.44 neither receives nor sends datagrams in batches that fit 2 KiB slots, knows no source addresses, and
 * takes 248 bytes for a TCP connection.
 *
 * The first event of a node in a round of the loop begins its turn; the prepare and check hooks, which libuv calls before and
 * after it sleeps, end it. So everything that was due or arrived in one round is one turn, the clock is read once for it, and
 * output leaves before the loop sleeps. A round without events costs one look per node.
 *
 * Nothing here calls a plugin; a world's part of a socket lives on in its close callback when io.c has long forgotten it.
 */
#include "../kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum {
	UDP_BATCHES = 4, /* receive calls per wake-up: a flooded socket does not starve the others */
	ACCEPTS = 64, /* connections taken per wake-up */
	READ_SIZE = 64 * 1024, /* one read per stream and wake-up */
	SOCKET_BUFFER = 4 << 20, /* asked for; the system gives what its limits allow */
	LINGER_MS = 2000, /* how long a closed connection may take to hear the end of what was sent */
	CONTROL = CMSG_SPACE(sizeof(struct in6_pktinfo)),
	SIGNALS = 5
};

struct uv_env {
	struct dk_env base;
	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* active while some node wants a turn that no event will bring */
	uv_timer_t linger_timer;
	struct env_node *nodes;
	struct env_stream *lingering; /* newest first */
	bool (*done)(void *arg);
	void *done_arg;
	int spare_fd; /* given up for a moment to refuse connections when descriptors run out */
	bool running, in_control; /* in_control: as the receive vector is prepared */
	struct mmsghdr in[ENV_BATCH], out[ENV_BATCH];
	struct iovec in_iov[ENV_BATCH], out_iov[ENV_BATCH];
	struct sockaddr_in6 in_name[ENV_BATCH], out_name[ENV_BATCH]; /* large enough for both families */
	_Alignas(struct cmsghdr) uint8_t in_control_bytes[ENV_BATCH][CONTROL];
	_Alignas(struct cmsghdr) uint8_t out_control_bytes[ENV_BATCH][CONTROL];
	struct dk_datagram grams[ENV_BATCH];
	uint8_t in_bytes[ENV_BATCH][DK_UDP_SLOT];
	uint8_t read_bytes[READ_SIZE];
};

struct env_node {
	struct env_node *next;
	struct uv_env *env;
	struct dk_kernel *k;
	struct job_request *jobs;
	uint64_t wish_us, armed_us;
	size_t handles; /* open ones and jobs: the node may go when there are none */
	bool in_turn, woken, left;
	uint8_t signal_n;
	uv_timer_t timer;
	uv_signal_t signals[SIGNALS];
};

struct env_udp {
	uv_poll_t poll;
	struct env_node *node;
	struct dk_udp *udp;
	int fd, family;
	bool want_local, closing;
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

struct job_request {
	uv_work_t req;
	struct job_request *next, **link;
	struct env_node *node;
	void (*work)(void *arg);
	void *arg;
	void (*done)(struct dk_kernel *k, void *job);
	void *job;
};

/* ---- turns ---- */

static void turn_begin(struct env_node *n)
{
	if (n->in_turn)
		return;
	n->in_turn = true;
	kernel_turn_begin(n->k);
}

static void turn_end(struct env_node *n)
{
	n->woken = false;
	kernel_turn_end(n->k);
	n->in_turn = false;
}

static uint64_t env_now_us(struct dk_env *env)
{
	struct timespec t;

	(void)env;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void on_timer(uv_timer_t *timer)
{
	struct env_node *n = timer->data;

	n->armed_us = n->wish_us = UINT64_MAX;
	turn_begin(n);
	io_timers(n->k);
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle; /* that it is active keeps the loop from sleeping; on_prepare() does the work */
}

/* libuv's clock is this one, cut to whole milliseconds. */
static void arm(struct env_node *n)
{
	uint64_t now_ms = uv_now(&n->env->loop), at_ms = n->wish_us / 1000 + (n->wish_us % 1000 > 0);

	n->armed_us = n->wish_us;
	if (n->wish_us == UINT64_MAX)
		uv_timer_stop(&n->timer);
	else
		uv_timer_start(&n->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

/* Ends the turns; true when some node wants another one. */
static bool round_end(struct uv_env *env, bool with_woken)
{
	bool more = false;

	for (struct env_node *n = env->nodes; n; n = n->next) {
		if (with_woken && n->woken)
			turn_begin(n);
		if (n->in_turn)
			turn_end(n);
		more |= n->woken;
	}
	if (env->done && env->done(env->done_arg))
		uv_stop(&env->loop);
	return more;
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct uv_env *env = prepare->data;

	if (round_end(env, true))
		uv_idle_start(&env->idle, on_idle);
	else
		uv_idle_stop(&env->idle);
	for (struct env_node *n = env->nodes; n; n = n->next)
		if (n->wish_us != n->armed_us)
			arm(n);
}

static void on_check(uv_check_t *check)
{
	round_end(check->data, false);
}

static void env_wake_at(struct env_node *n, uint64_t at_us)
{
	n->wish_us = at_us;
}

static void env_wake(struct env_node *n)
{
	n->woken = true;
}

static int env_run(struct dk_env *base, bool (*done)(void *arg), void *arg)
{
	struct uv_env *env = (struct uv_env *)base;

	if (env->running)
		return -EBUSY;
	if (done(arg))
		return 0;
	env->done = done;
	env->done_arg = arg;
	env->running = true;
	uv_run(&env->loop, UV_RUN_DEFAULT);
	env->running = false;
	env->done = NULL;
	return 0;
}

/* ---- clock, chance, interfaces ---- */

static uint64_t env_wall_ns(struct dk_env *env)
{
	struct timespec t;

	(void)env;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int env_random(struct dk_env *env, void *buf, size_t n)
{
	uint8_t *p = buf;

	(void)env;
	while (n) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
	return 0;
}

/* An IPv4 address inside IPv6 comes out as what it is. */
static void addr_from(const struct sockaddr_in6 *name, struct dk_addr *a)
{
	const struct sockaddr_in *v4 = (const void *)name;

	*a = (struct dk_addr){ .family = 4 };
	if (name->sin6_family == AF_INET) {
		memcpy(a->ip, &v4->sin_addr, 4);
		a->port = ntohs(v4->sin_port);
		return;
	}
	a->port = ntohs(name->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&name->sin6_addr)) {
		memcpy(a->ip, name->sin6_addr.s6_addr + 12, 4);
	} else {
		a->family = 6;
		memcpy(a->ip, &name->sin6_addr, 16);
	}
}

static void ip_to_v6(const struct dk_addr *a, struct in6_addr *ip)
{
	if (a->family == 6) {
		memcpy(ip, a->ip, 16);
		return;
	}
	memset(ip->s6_addr, 0, 10);
	memset(ip->s6_addr + 10, 0xff, 2);
	memcpy(ip->s6_addr + 12, a->ip, 4);
}

/* family: the socket's. Returns the length. */
static socklen_t addr_to(const struct dk_addr *a, int family, struct sockaddr_in6 *name)
{
	struct sockaddr_in *v4 = (void *)name;

	if (family == AF_INET) {
		*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(a->port) };
		memcpy(&v4->sin_addr, a->ip, 4);
		return sizeof(*v4);
	}
	*name = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(a->port) };
	ip_to_v6(a, &name->sin6_addr);
	return sizeof(*name);
}

static int env_addr_of_nic(struct env_node *n, const char *nic, struct dk_addr *ret_addr)
{
	struct ifaddrs *all, *found = NULL;

	(void)n;
	if (getifaddrs(&all) < 0)
		return -errno;
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;

		if ((family != AF_INET && family != AF_INET6) || strcmp(i->ifa_name, nic) != 0)
			continue;
		if (!found || (family == AF_INET && found->ifa_addr->sa_family != AF_INET))
			found = i;
	}
	if (found) {
		addr_from((void *)found->ifa_addr, ret_addr);
		ret_addr->port = 0;
	}
	freeifaddrs(all);
	return found ? 0 : DK_NOT_FOUND;
}

/* ---- sockets in general ---- */

static int option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int socket_open(int family, int type, int *ret_fd)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (family == AF_INET6)
		option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	*ret_fd = fd;
	return 0;
}

static int socket_bind(int fd, int family, struct dk_addr *bound)
{
	struct sockaddr_in6 name;
	socklen_t len = addr_to(bound, family, &name);

	if (bind(fd, (struct sockaddr *)&name, len) < 0)
		return -errno;
	len = sizeof(name);
	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		return -errno;
	addr_from(&name, bound);
	return 0;
}

/* The descriptor is ours to close as soon as the handle is closing. */
static void poll_close(struct env_node *n, uv_poll_t *poll, int fd, uv_close_cb closed)
{
	(void)n;
	uv_close((uv_handle_t *)poll, closed);
	close(fd);
}

static int poll_open(struct env_node *n, uv_poll_t *poll, int fd, void *data)
{
	int rc = uv_poll_init(&n->env->loop, poll, fd);

	if (rc < 0)
		return rc;
	poll->data = data;
	n->handles++;
	return 0;
}

static int pending_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	return err;
}

/* ---- UDP ---- */

static void on_udp_closed(uv_handle_t *h)
{
	struct env_udp *u = h->data;

	u->node->handles--;
	free(u);
}

static void env_udp_close(struct env_udp *u)
{
	u->closing = true;
	poll_close(u->node, &u->poll, u->fd, on_udp_closed);
}

static void local_from(struct msghdr *h, uint16_t port, struct dk_addr *to)
{
	*to = (struct dk_addr){ .family = 0 };
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		struct sockaddr_in6 name = { .sin6_family = AF_INET6 };
		struct in6_pktinfo info6;
		struct in_pktinfo info4;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info4, CMSG_DATA(c), sizeof(info4));
			to->family = 4;
			memcpy(to->ip, &info4.ipi_addr, 4);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info6, CMSG_DATA(c), sizeof(info6));
			name.sin6_addr = info6.ipi6_addr;
			addr_from(&name, to);
		}
		to->port = port;
	}
}

static void vector_reset(struct uv_env *env, size_t n, bool control)
{
	for (size_t i = 0; i < n; i++) {
		env->in[i].msg_hdr.msg_namelen = sizeof(env->in_name[i]);
		env->in[i].msg_hdr.msg_control = control ? env->in_control_bytes[i] : NULL;
		env->in[i].msg_hdr.msg_controllen = control ? CONTROL : 0;
	}
}

/* One batch; returns whether there may be more. */
static bool udp_receive(struct env_udp *u)
{
	struct uv_env *env = u->node->env;
	size_t taken = 0;
	int n;

	if (env->in_control != u->want_local) {
		env->in_control = u->want_local;
		vector_reset(env, ENV_BATCH, u->want_local);
	}
	n = recvmmsg(u->fd, env->in, ENV_BATCH, MSG_DONTWAIT, NULL);
	if (n <= 0)
		return false;
	for (int i = 0; i < n; i++) {
		struct dk_datagram *g = &env->grams[taken];

		if (env->in[i].msg_hdr.msg_flags & MSG_TRUNC)
			continue;
		taken++;
		addr_from(&env->in_name[i], &g->from);
		if (u->want_local)
			local_from(&env->in[i].msg_hdr, dk_udp_addr(u->udp)->port, &g->to);
		else
			g->to = (struct dk_addr){ .family = 0 };
		g->bytes = dk_slice_n(env->in_bytes[i], env->in[i].msg_len);
	}
	vector_reset(env, (size_t)n, u->want_local);
	turn_begin(u->node);
	if (taken < (size_t)n)
		io_udp_oversize(u->udp, (size_t)n - taken);
	if (taken)
		io_udp_received(u->udp, env->grams, taken);
	return n == ENV_BATCH && !u->closing;
}

static void on_udp(uv_poll_t *poll, int status, int events)
{
	struct env_udp *u = poll->data;

	if (status < 0) { /* an error is pending on the socket, and libuv stopped the handle for it */
		pending_error(u->fd);
		uv_poll_start(poll, UV_READABLE, on_udp);
		return;
	}
	if (events & UV_READABLE)
		for (int i = 0; i < UDP_BATCHES && udp_receive(u); i++)
			;
	if (u->closing || !(events & UV_WRITABLE))
		return;
	uv_poll_start(poll, UV_READABLE, on_udp);
	turn_begin(u->node);
	io_udp_writable(u->udp);
}

static void fragments(struct env_udp *u, bool allowed)
{
	if (u->family == AF_INET6)
		option(u->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, allowed ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_PROBE);
	option(u->fd, IPPROTO_IP, IP_MTU_DISCOVER, allowed ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE);
}

static int env_udp_open(struct env_node *n, struct dk_udp *udp, struct dk_addr *bound, const struct dk_udp_opts *opts,
			struct env_udp **ret_udp)
{
	struct env_udp *u = calloc(1, sizeof(*u));
	int rc = -ENOMEM;

	if (!u)
		return rc;
	u->node = n;
	u->udp = udp;
	u->family = bound->family == 6 ? AF_INET6 : AF_INET;
	u->want_local = opts->want_local;
	rc = socket_open(u->family, SOCK_DGRAM, &u->fd);
	if (rc < 0)
		goto no_socket;
	option(u->fd, SOL_SOCKET, SO_RCVBUF, opts->rcvbuf ? (int)opts->rcvbuf : SOCKET_BUFFER);
	option(u->fd, SOL_SOCKET, SO_SNDBUF, opts->sndbuf ? (int)opts->sndbuf : SOCKET_BUFFER);
	fragments(u, false);
	if (u->want_local && u->family == AF_INET)
		rc = option(u->fd, IPPROTO_IP, IP_PKTINFO, 1);
	else if (u->want_local)
		rc = option(u->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	if (rc == 0)
		rc = socket_bind(u->fd, u->family, bound);
	if (rc == 0)
		rc = poll_open(n, &u->poll, u->fd, u);
	if (rc < 0)
		goto no_poll;
	uv_poll_start(&u->poll, UV_READABLE, on_udp);
	*ret_udp = u;
	return 0;
no_poll:
	close(u->fd);
no_socket:
	free(u);
	return rc;
}

static void source_to(struct msghdr *h, uint8_t *control, const struct dk_addr *from, int family)
{
	struct in6_pktinfo info6 = { .ipi6_ifindex = 0 };
	struct in_pktinfo info4 = { .ipi_ifindex = 0 };
	struct cmsghdr *c;

	h->msg_control = control;
	h->msg_controllen = family == AF_INET ? CMSG_SPACE(sizeof(info4)) : CMSG_SPACE(sizeof(info6));
	c = CMSG_FIRSTHDR(h);
	if (family == AF_INET) {
		memcpy(&info4.ipi_spec_dst, from->ip, 4);
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(info4)), IPPROTO_IP, IP_PKTINFO };
		memcpy(CMSG_DATA(c), &info4, sizeof(info4));
	} else {
		ip_to_v6(from, &info6.ipi6_addr);
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(info6)), IPPROTO_IPV6, IPV6_PKTINFO };
		memcpy(CMSG_DATA(c), &info6, sizeof(info6));
	}
}

static int env_udp_send(struct env_udp *u, const struct env_out *v, size_t n, bool may_fragment)
{
	struct uv_env *env = u->node->env;
	int sent, err;

	for (size_t i = 0; i < n; i++) {
		struct msghdr *h = &env->out[i].msg_hdr;

		h->msg_namelen = addr_to(v[i].to, u->family, &env->out_name[i]);
		env->out_iov[i] = (struct iovec){ (void *)v[i].p, v[i].n };
		h->msg_control = NULL;
		h->msg_controllen = 0;
		if (v[i].from)
			source_to(h, env->out_control_bytes[i], v[i].from, u->family);
	}
	if (may_fragment)
		fragments(u, true);
	do {
		sent = sendmmsg(u->fd, env->out, (unsigned)n, MSG_DONTWAIT);
		err = sent < 0 ? errno : 0;
	} while (err == EINTR);
	if (may_fragment)
		fragments(u, false);
	if (err == EAGAIN || err == EWOULDBLOCK) {
		uv_poll_start(&u->poll, UV_READABLE | UV_WRITABLE, on_udp);
		return 0;
	}
	return err ? -err : sent;
}

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
	poll_close(es->node, &es->poll, es->fd, on_stream_closed);
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

	for (int i = 0; i < 16; i++) {
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

static void env_stream_close(struct env_stream *es, bool reset)
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

static void env_stream_read(struct env_stream *es, bool on)
{
	if (es->at_end || es->reading == on)
		return;
	es->reading = on;
	if (!es->connecting)
		stream_watch(es);
}

static int64_t env_stream_write(struct env_stream *es, const uint8_t *p, size_t n)
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
	turn_begin(es->node);
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
	int err = pending_error(es->fd);

	es->connecting = false;
	turn_begin(es->node);
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
			int err = pending_error(es->fd);

			es->at_end = true;
			turn_begin(es->node);
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
	turn_begin(es->node);
	io_stream_writable(es->u.s);
}

/* Takes over fd, also when it fails. */
static struct env_stream *stream_new(struct env_node *n, int fd, bool no_delay)
{
	struct env_stream *es = calloc(1, sizeof(*es));

	if (!es || poll_open(n, &es->poll, fd, es) < 0) {
		free(es);
		close(fd);
		return NULL;
	}
	es->node = n;
	es->fd = fd;
	es->reading = true;
	if (no_delay)
		option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return es;
}

static int env_connect(struct env_node *n, struct dk_stream *s, const struct dk_addr *to, bool no_delay,
		       struct env_stream **ret_stream)
{
	int fd = -1, rc, family = to->family == 6 ? AF_INET6 : AF_INET;
	struct sockaddr_in6 name;
	socklen_t len = addr_to(to, family, &name);
	struct env_stream *es;

	rc = socket_open(family, SOCK_STREAM, &fd);
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
	addr_from(name, &peer);
	turn_begin(el->node);
	s = io_accept(el->l, es, &peer);
	if (es->closing || es->lingering)
		return;
	if (!s) {
		env_stream_close(es, true);
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
		pending_error(el->fd);
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

static void env_listener_close(struct env_listener *el)
{
	el->closing = true;
	poll_close(el->node, &el->poll, el->fd, on_listener_closed);
}

static int env_listen(struct env_node *n, struct dk_listener *l, struct dk_addr *bound, const struct dk_listen_opts *opts,
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
	rc = socket_open(family, SOCK_STREAM, &el->fd);
	if (rc < 0)
		goto no_socket;
	option(el->fd, SOL_SOCKET, SO_REUSEADDR, 1);
	rc = socket_bind(el->fd, family, bound);
	if (rc == 0 && listen(el->fd, opts->backlog ? opts->backlog : 1024) < 0)
		rc = -errno;
	if (rc == 0)
		rc = poll_open(n, &el->poll, el->fd, el);
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

/* ---- jobs ---- */

static void on_work(uv_work_t *req)
{
	struct job_request *r = req->data;

	r->work(r->arg);
}

static void on_worked(uv_work_t *req, int status)
{
	struct job_request *r = req->data;
	struct env_node *n = r->node;

	(void)status; /* cancelled only when the node left, and then the job's plugin is not called */
	if (!n->left)
		turn_begin(n);
	r->done(n->k, r->job);
	*r->link = r->next;
	if (r->next)
		r->next->link = r->link;
	n->handles--;
	free(r);
}

static int env_job(struct env_node *n, void (*work)(void *arg), void *arg, void (*done)(struct dk_kernel *k, void *job), void *job)
{
	struct job_request *r = malloc(sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	*r = (struct job_request){
		.next = n->jobs, .link = &n->jobs, .node = n, .work = work, .arg = arg, .done = done, .job = job
	};
	r->req.data = r;
	rc = uv_queue_work(&n->env->loop, &r->req, on_work, on_worked);
	if (rc < 0) {
		free(r);
		return rc;
	}
	if (r->next)
		r->next->link = &r->next;
	n->jobs = r;
	n->handles++;
	return 0;
}

/* ---- nodes ---- */

static void on_node_closed(uv_handle_t *h)
{
	((struct env_node *)h->data)->handles--;
}

static void on_signal(uv_signal_t *h, int signum)
{
	struct env_node *n = h->data;

	turn_begin(n);
	dk_signal_arrived(n->k, signum);
}

static void env_detach(struct env_node *n)
{
	struct uv_env *env = n->env;
	struct env_node **at = &env->nodes;

	n->left = true;
	uv_close((uv_handle_t *)&n->timer, on_node_closed);
	for (uint8_t i = 0; i < n->signal_n; i++)
		uv_close((uv_handle_t *)&n->signals[i], on_node_closed);
	for (struct job_request *r = n->jobs; r; r = r->next)
		uv_cancel((uv_req_t *)&r->req); /* those that run already are waited for: they use their plugin's memory */
	for (struct env_stream *es = env->lingering, *next; es; es = next) {
		next = es->u.linger.next;
		if (es->node == n)
			stream_end(es);
	}
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	while (n->handles)
		uv_run(&env->loop, UV_RUN_ONCE);
	free(n);
}

static int env_attach(struct dk_env *base, struct dk_kernel *k, bool signals, struct env_node **ret_node)
{
	static const int numbers[SIGNALS] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
	struct uv_env *env = (struct uv_env *)base;
	struct env_node *n = calloc(1, sizeof(*n));
	int rc;

	if (!n)
		return -ENOMEM;
	n->env = env;
	n->k = k;
	n->wish_us = n->armed_us = UINT64_MAX;
	n->next = env->nodes;
	env->nodes = n;
	uv_timer_init(&env->loop, &n->timer);
	n->timer.data = n;
	n->handles++;
	for (size_t i = 0; signals && i < SIGNALS; i++) {
		uv_signal_t *h = &n->signals[i];

		rc = uv_signal_init(&env->loop, h);
		if (rc == 0) {
			h->data = n;
			n->signal_n++;
			n->handles++;
			rc = uv_signal_start(h, on_signal, numbers[i]);
		}
		if (rc < 0) {
			env_detach(n);
			return rc;
		}
	}
	*ret_node = n;
	return 0;
}

/* ---- the world ---- */

static void env_free(struct dk_env *base)
{
	struct uv_env *env = (struct uv_env *)base;

	uv_close((uv_handle_t *)&env->prepare, NULL);
	uv_close((uv_handle_t *)&env->check, NULL);
	uv_close((uv_handle_t *)&env->idle, NULL);
	uv_close((uv_handle_t *)&env->linger_timer, NULL);
	while (uv_run(&env->loop, UV_RUN_NOWAIT))
		;
	uv_loop_close(&env->loop);
	if (env->spare_fd >= 0)
		close(env->spare_fd);
	free(env);
}

struct dk_env *dk_env_uv(void)
{
	static const struct dk_env_ops ops = {
		.name = "uv",
		.now_us = env_now_us,
		.wall_ns = env_wall_ns,
		.random = env_random,
		.attach = env_attach,
		.detach = env_detach,
		.run = env_run,
		.wake_at = env_wake_at,
		.wake = env_wake,
		.udp_open = env_udp_open,
		.udp_send = env_udp_send,
		.udp_close = env_udp_close,
		.listen = env_listen,
		.listener_close = env_listener_close,
		.connect = env_connect,
		.stream_write = env_stream_write,
		.stream_read = env_stream_read,
		.stream_close = env_stream_close,
		.addr_of_nic = env_addr_of_nic,
		.job = env_job,
		.free = env_free,
	};
	struct uv_env *env = calloc(1, sizeof(*env));

	if (!env)
		return NULL;
	if (uv_loop_init(&env->loop) < 0) {
		free(env);
		return NULL;
	}
	env->base.ops = &ops;
	for (size_t i = 0; i < ENV_BATCH; i++) {
		env->in_iov[i] = (struct iovec){ env->in_bytes[i], sizeof(env->in_bytes[i]) };
		env->in[i].msg_hdr = (struct msghdr){ .msg_name = &env->in_name[i], .msg_iov = &env->in_iov[i], .msg_iovlen = 1 };
		env->out[i].msg_hdr =
			(struct msghdr){ .msg_name = &env->out_name[i], .msg_iov = &env->out_iov[i], .msg_iovlen = 1 };
	}
	vector_reset(env, ENV_BATCH, false);
	env->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uv_prepare_init(&env->loop, &env->prepare);
	uv_check_init(&env->loop, &env->check);
	uv_idle_init(&env->loop, &env->idle);
	uv_timer_init(&env->loop, &env->linger_timer);
	env->prepare.data = env->check.data = env->linger_timer.data = env;
	uv_prepare_start(&env->prepare, on_prepare);
	uv_check_start(&env->check, on_check);
	return &env->base;
}
