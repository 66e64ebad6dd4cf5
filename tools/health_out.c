/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe from outside. Nothing it sends can concern anybody: the sid is random. The answer is the kill packet, four bytes, which
 * a server gives to a SYN that it does not know; for TCP it is the end of the connection. So a process that is stopped, or whose
 * loop is held, is not well, although its sockets are open.
 */
#include "tools/health.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "wire/frame.h"
#include "wire/wire.h"

/* Over TCP a server reads the first frame, does not know its sid, and ends the connection. */
static int ask_tcp(const struct probe *p, const struct probe_target *to, const uint8_t sid[WIRE_SID_LEN], char why[PROBE_WHY])
{
	uint8_t frame[WIRE_FRAME_UP] = { 0xfe, 0xbe, 0xde, 0xef, 0, 0, 0, WIRE_SID_LEN, 0, WIRE_CMD_ECHO };
	int fd = socket(to->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = fd < 0 ? errno : 0, rc = 1;
	socklen_t len = sizeof(err);

	memcpy(frame + WIRE_FRAME_UP - WIRE_SID_LEN, sid, WIRE_SID_LEN);
	if (!err && connect(fd, (const struct sockaddr *)&to->addr, to->len) && errno != EINPROGRESS)
		err = errno;
	if (!err && !probe_wait(fd, POLLOUT, p->deadline))
		err = ETIMEDOUT;
	if (!err)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		snprintf(why, PROBE_WHY, "nobody listens there, neither by UDP nor by TCP: %s", strerror(err));
	} else {
		probe_say(p, "no UDP there; a frame with a sid of nobody goes there over TCP");
		rc = send(fd, frame, sizeof(frame), MSG_NOSIGNAL) < 0 || !probe_wait(fd, POLLIN, p->deadline);
		snprintf(why, PROBE_WHY, "%s",
			 rc ? "TCP connections are taken, but nobody reads from them" : "well: it reads what comes over TCP");
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

int health_out(const struct probe *p, char why[PROBE_WHY])
{
	uint8_t syn[WIRE_HEADER_LEN + WIRE_SID_LEN] = { 0, 0, 0, WIRE_SYN }, in[WIRE_DATAGRAM_MAX];
	uint64_t began = probe_now(), again = began;
	struct probe_target to;
	int fd, rc = 1;

	if (getrandom(syn + WIRE_HEADER_LEN, WIRE_SID_LEN, 0) != WIRE_SID_LEN) {
		snprintf(why, PROBE_WHY, "no random numbers: %s", strerror(errno));
		return 1;
	}
	if (probe_resolve(p, &to, why))
		return 1;
	fd = probe_socket(p, &to, why);
	if (fd < 0)
		return 1;
	snprintf(why, PROBE_WHY, "nothing came back within %u ms; the server is gone, held up, or not to be reached from here",
		 HEALTH_MS);
	while (probe_now() < p->deadline) {
		ssize_t n;

		if (probe_now() >= again) {
			again = probe_now() + PROBE_AGAIN_MS;
			if (send(fd, syn, sizeof(syn), 0) == (ssize_t)sizeof(syn))
				probe_say(p, "a SYN with a sid of nobody was sent to %s", to.text);
		}
		if (!probe_wait(fd, POLLIN, again < p->deadline ? again : p->deadline))
			continue;
		n = recv(fd, in, sizeof(in), 0);
		if (n == sizeof(wire_kill_packet) && memcmp(in, wire_kill_packet, sizeof(wire_kill_packet)) == 0) {
			snprintf(why, PROBE_WHY, "well: it answered after %llu ms", (unsigned long long)(probe_now() - began));
			rc = 0;
			break;
		}
		if (n < 0 && errno == ECONNREFUSED) {
			rc = ask_tcp(p, &to, syn + WIRE_HEADER_LEN, why);
			break;
		}
		probe_say(p, "%zd bytes came that are no answer", n);
	}
	close(fd);
	return rc;
}
