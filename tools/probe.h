/* SPDX-License-Identifier: Apache-2.0 */
/* What diarkis-health-check and diarkis-mars-stats share: see probe.c. A function that fails says why in one sentence. */
#ifndef TOOLS_PROBE_H
#define TOOLS_PROBE_H

#include <diarkis/base.h>

#include <sys/socket.h>

#define PROBE_WHY 512
#define PROBE_AGAIN_MS 200 /* a question without an answer is asked again */

struct probe {
	char address[64]; /* of the own socket; empty = any */
	uint16_t port; /* 0 = any */
	bool loud;
	const char *target; /* host:port */
	uint64_t deadline; /* ms, by probe_now() */
};

struct probe_target {
	struct sockaddr_storage addr;
	socklen_t len;
	char text[80]; /* the address as asked, "1.2.3.4:5" */
};

uint64_t probe_now(void); /* ms */
/* A line about what is done, on standard error, where that is wanted. */
void probe_say(const struct probe *p, const char *fmt, ...) DK_PRINTF(2, 3);
/* Where p->target lies. 0, or 1 and the sentence. */
int probe_resolve(const struct probe *p, struct probe_target *ret_target, char why[PROBE_WHY]);
/* A connected, non-blocking UDP socket, bound as configured where that can be. Its descriptor, or -1 and the sentence. */
int probe_socket(const struct probe *p, const struct probe_target *to, char why[PROBE_WHY]);
/* Waits for events of a descriptor. True: there is some, or an error to be read. */
bool probe_wait(int fd, short events, uint64_t until);

#endif
