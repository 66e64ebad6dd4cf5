/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as text. Numbers only: nothing here asks a resolver, and `localhost` is 127.0.0.1 by definition.
 */
#include "../kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static bool port_parse(dk_str text, uint16_t *ret_port)
{
	uint32_t port = 0;

	if (text.n == 0 || text.n > 5)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		port = port * 10 + (uint32_t)(text.p[i] - '0');
	}
	if (port > UINT16_MAX)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

int dk_addr_parse(dk_str text, uint16_t port, struct dk_addr *ret_addr)
{
	const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
	struct dk_addr a = { .family = 4 };
	dk_str host = text, tail = { NULL, 0 };
	char buf[INET6_ADDRSTRLEN];

	if (text.n && text.p[0] == '[') {
		const char *end = memchr(text.p, ']', text.n);

		if (!end)
			return -EINVAL;
		a.family = 6;
		host = dk_str_n(text.p + 1, (size_t)(end - text.p) - 1);
		tail = dk_str_n(end + 1, text.n - host.n - 2);
	} else if (colon && memchr(colon + 1, ':', text.n - (size_t)(colon - text.p) - 1)) {
		a.family = 6;
	} else if (colon) {
		host.n = (size_t)(colon - text.p);
		tail = dk_str_n(colon, text.n - host.n);
	}
	if (tail.n && (tail.p[0] != ':' || !port_parse(dk_str_n(tail.p + 1, tail.n - 1), &port)))
		return -EINVAL;
	if (host.n >= sizeof(buf))
		return -EINVAL;
	if (dk_str_eq(host, dk_str_c("localhost")) && a.family == 4)
		host = dk_str_c("127.0.0.1");
	memcpy(buf, host.p ? host.p : "", host.n);
	buf[host.n] = '\0';
	if (strlen(buf) != host.n || inet_pton(a.family == 6 ? AF_INET6 : AF_INET, buf, a.ip) != 1)
		return -EINVAL;
	a.port = port;
	*ret_addr = a;
	return 0;
}

size_t dk_addr_format(const struct dk_addr *a, char buf[DK_ADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN];
	int n;

	if (a->family != 4 && a->family != 6)
		n = snprintf(buf, DK_ADDR_TEXT, "none");
	else if (!inet_ntop(a->family == 6 ? AF_INET6 : AF_INET, a->ip, ip, sizeof(ip)))
		n = snprintf(buf, DK_ADDR_TEXT, "invalid");
	else
		n = snprintf(buf, DK_ADDR_TEXT, a->family == 6 ? "[%s]:%u" : "%s:%u", ip, a->port);
	return (size_t)n;
}
