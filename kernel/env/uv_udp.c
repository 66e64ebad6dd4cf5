/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP of the production world: datagrams go in and out 64 per system call, through vectors that all sockets of the loop share.
 * A socket that is flooded gets four calls per wake-up, then it is the others' turn.
 */
#include "uv_world.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	UDP_BATCHES = 4, /* receive calls per wake-up */
	SOCKET_BUFFER = 4 << 20 /* asked for; the system gives what its limits allow */
};

struct env_udp {
	uv_poll_t poll;
	struct env_node *node;
	struct dk_udp *udp;
	int fd, family;
	bool want_local, closing;
};

static void on_udp_closed(uv_handle_t *h)
{
	struct env_udp *u = h->data;

	u->node->handles--;
	free(u);
}

void uv_env_udp_close(struct env_udp *u)
{
	u->closing = true;
	sock_unpoll(&u->poll, u->fd, on_udp_closed);
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
			sock_addr_from(&name, to);
		}
		to->port = port;
	}
}

static void vector_reset(struct uv_env *env, size_t n, bool control)
{
	for (size_t i = 0; i < n; i++) {
		env->in[i].msg_hdr.msg_namelen = sizeof(env->in_name[i]);
		env->in[i].msg_hdr.msg_control = control ? env->in_control_bytes[i] : NULL;
		env->in[i].msg_hdr.msg_controllen = control ? UV_CONTROL : 0;
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
		sock_addr_from(&env->in_name[i], &g->from);
		if (u->want_local)
			local_from(&env->in[i].msg_hdr, dk_udp_addr(u->udp)->port, &g->to);
		else
			g->to = (struct dk_addr){ .family = 0 };
		g->bytes = dk_slice_n(env->in_bytes[i], env->in[i].msg_len);
	}
	vector_reset(env, (size_t)n, u->want_local);
	node_turn(u->node);
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
		sock_error(u->fd);
		uv_poll_start(poll, UV_READABLE, on_udp);
		return;
	}
	if (events & UV_READABLE)
		for (int i = 0; i < UDP_BATCHES && udp_receive(u); i++)
			;
	if (u->closing || !(events & UV_WRITABLE))
		return;
	uv_poll_start(poll, UV_READABLE, on_udp);
	node_turn(u->node);
	io_udp_writable(u->udp);
}

static void fragments(struct env_udp *u, bool allowed)
{
	if (u->family == AF_INET6)
		sock_option(u->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, allowed ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_PROBE);
	sock_option(u->fd, IPPROTO_IP, IP_MTU_DISCOVER, allowed ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE);
}

int uv_env_udp_open(struct env_node *n, struct dk_udp *udp, struct dk_addr *bound, const struct dk_udp_opts *opts,
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
	rc = sock_open(u->family, SOCK_DGRAM, &u->fd);
	if (rc < 0)
		goto no_socket;
	sock_option(u->fd, SOL_SOCKET, SO_RCVBUF, opts->rcvbuf ? (int)opts->rcvbuf : SOCKET_BUFFER);
	sock_option(u->fd, SOL_SOCKET, SO_SNDBUF, opts->sndbuf ? (int)opts->sndbuf : SOCKET_BUFFER);
	fragments(u, false);
	if (u->want_local && u->family == AF_INET)
		rc = sock_option(u->fd, IPPROTO_IP, IP_PKTINFO, 1);
	else if (u->want_local)
		rc = sock_option(u->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	if (rc == 0)
		rc = sock_bind(u->fd, u->family, bound);
	if (rc == 0)
		rc = sock_poll(n, &u->poll, u->fd, u);
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
		sock_ip_to_v6(from, &info6.ipi6_addr);
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(info6)), IPPROTO_IPV6, IPV6_PKTINFO };
		memcpy(CMSG_DATA(c), &info6, sizeof(info6));
	}
}

int uv_env_udp_send(struct env_udp *u, const struct env_out *v, size_t n, bool may_fragment)
{
	struct uv_env *env = u->node->env;
	int sent, err;

	for (size_t i = 0; i < n; i++) {
		struct msghdr *h = &env->out[i].msg_hdr;

		h->msg_namelen = sock_addr_to(v[i].to, u->family, &env->out_name[i]);
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

void udp_init(struct uv_env *env)
{
	for (size_t i = 0; i < ENV_BATCH; i++) {
		env->in_iov[i] = (struct iovec){ env->in_bytes[i], sizeof(env->in_bytes[i]) };
		env->in[i].msg_hdr = (struct msghdr){ .msg_name = &env->in_name[i], .msg_iov = &env->in_iov[i], .msg_iovlen = 1 };
		env->out[i].msg_hdr =
			(struct msghdr){ .msg_name = &env->out_name[i], .msg_iov = &env->out_iov[i], .msg_iovlen = 1 };
	}
	vector_reset(env, ENV_BATCH, false);
}
