/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of diarkis-health-check share: what the probe was told, and its means. Each way of asking is one function
 * that answers 0 (well) or 1, and one sentence.
 */
#ifndef TOOLS_HEALTH_H
#define TOOLS_HEALTH_H

#include <diarkis/base.h>

#include <sys/socket.h>

#define HEALTH_MS 900 /* a probe of Kubernetes is given up after a second, and starting takes time, too */
#define HEALTH_AGAIN_MS 200 /* a question without an answer is asked again */
#define HEALTH_WHY 512

struct health {
	char address[64]; /* of the probe's own socket; empty = any */
	uint16_t port; /* 0 = any */
	bool loud;
	const char *target;
	uint64_t deadline; /* ms */
};

struct health_target {
	struct sockaddr_storage addr;
	socklen_t len;
	char text[80]; /* the address as asked, "1.2.3.4:5" */
};

uint64_t health_now(void); /* ms */
/* A line about what is done, on standard error, where the level wants it. */
void health_say(const struct health *h, const char *fmt, ...) DK_PRINTF(2, 3);
/* Where h->target lies. 0, or 1 and the sentence. */
int health_resolve(const struct health *h, struct health_target *ret_target, char why[HEALTH_WHY]);
/* A connected, non-blocking UDP socket, bound as configured where that can be. Its descriptor, or -1 and the sentence. */
int health_socket(const struct health *h, const struct health_target *to, char why[HEALTH_WHY]);
/* Waits for input until then. True: there is some, or an error to be read. */
bool health_wait(int fd, short events, uint64_t until);

/* A SYN with a sid that nobody has: a server says at once that it does not know it. Where there is no UDP, a TCP server is one
 * that ends a connection with such a sid. */
int health_out(const struct health *h, char why[HEALTH_WHY]);

#endif
