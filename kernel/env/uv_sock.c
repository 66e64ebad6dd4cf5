/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all sockets of the production world need: addresses between our form and the system's, options, and a uv_poll_t on a
 * descriptor of our own.
 */
#include "uv_world.h"

#include <errno.h>
#include <ifaddrs.h>
#include <unistd.h>

/* An IPv4 address inside IPv6 comes out as what it is. */
void sock_addr_from(const struct sockaddr_in6 *name, struct dk_addr *a)
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

void sock_ip_to_v6(const struct dk_addr *a, struct in6_addr *ip)
{
	if (a->family == 6) {
		memcpy(ip, a->ip, 16);
		return;
	}
	memset(ip->s6_addr, 0, 10);
	memset(ip->s6_addr + 10, 0xff, 2);
	memcpy(ip->s6_addr + 12, a->ip, 4);
}

socklen_t sock_addr_to(const struct dk_addr *a, int family, struct sockaddr_in6 *name)
{
	struct sockaddr_in *v4 = (void *)name;

	if (family == AF_INET) {
		*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(a->port) };
		memcpy(&v4->sin_addr, a->ip, 4);
		return sizeof(*v4);
	}
	*name = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(a->port) };
	sock_ip_to_v6(a, &name->sin6_addr);
	return sizeof(*name);
}

int uv_env_addr_of_nic(struct env_node *n, const char *nic, struct dk_addr *ret_addr)
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
		sock_addr_from((void *)found->ifa_addr, ret_addr);
		ret_addr->port = 0;
	}
	freeifaddrs(all);
	return found ? 0 : DK_NOT_FOUND;
}

/* ---- sockets ---- */

int sock_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

int sock_open(int family, int type, int *ret_fd)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (family == AF_INET6)
		sock_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	*ret_fd = fd;
	return 0;
}

int sock_bind(int fd, int family, struct dk_addr *bound)
{
	struct sockaddr_in6 name;
	socklen_t len = sock_addr_to(bound, family, &name);

	if (bind(fd, (struct sockaddr *)&name, len) < 0)
		return -errno;
	len = sizeof(name);
	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		return -errno;
	sock_addr_from(&name, bound);
	return 0;
}

void sock_unpoll(uv_poll_t *poll, int fd, uv_close_cb closed)
{
	uv_close((uv_handle_t *)poll, closed);
	close(fd);
}

int sock_poll(struct env_node *n, uv_poll_t *poll, int fd, void *data)
{
	int rc = uv_poll_init(&n->env->loop, poll, fd);

	if (rc < 0)
		return rc;
	poll->data = data;
	n->handles++;
	return 0;
}

int sock_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	return err;
}
