/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bare limit: what this machine's kernel allows when nothing but system calls happens. Rooms of 16, every message goes to all
 * of the room. The yardstick that the benches put beside a diarkisd of the same run.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <stdint.h>
#include <sys/types.h>

struct bare_opts {
	unsigned members; /* of a room; 0: whatever comes is received and counted, nothing is sent */
	volatile uint64_t *received; /* members 0: where to count, in shared memory */
	unsigned tick_us; /* 0: each message at once; else one datagram per member and tick */
	unsigned seal; /* 1: open each message and seal each delivery (AES-128-CBC + HMAC-SHA256) */
	unsigned clients;
	unsigned size; /* payload bytes */
};

/* Forks a server pinned to core 0 on a port of 127.0.0.1. A datagram is {u32 member, payload}; member / members is its room. The
 * server learns a member's address from what it sends. */
pid_t bare_udp_start(const struct bare_opts *o, uint16_t *ret_port);
/* The same over TCP: {u32 length, u32 member, payload} both ways, one write per connection and turn. */
pid_t bare_tcp_start(const struct bare_opts *o, uint16_t *ret_port);

#endif
