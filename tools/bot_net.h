/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many clients on few sockets, in one thread. A bot embeds struct net_bot; the net feeds it, ticks it, sends and dials for it.
 *
 * A datagram to a client names no user, so each UDP bot needs an address of its own. Towards a server on 127.0.0.0/8 that is a
 * loopback address per bot (127.1.0.1 upward) on sockets that many bots share ("lanes"), chosen and recognised with IP_PKTINFO;
 * towards any other server it is a socket per bot. TCP takes a socket per bot anyway.
 */
#ifndef TOOLS_BOT_NET_H
#define TOOLS_BOT_NET_H

#include <diarkis/client.h>

struct net;

struct net_bot {
	struct dkc_client *client; /* NULL until net_add() */
	/* private */
	uint32_t next, prev; /* in the wheel's slot */
	uint32_t armed_ms; /* 0 = not in the wheel */
	uint32_t lane; /* + 1; UDP */
	int fd; /* TCP; -1 */
	uint8_t *out; /* TCP: what the socket did not take */
	uint32_t out_n, out_at;
	bool dirty, connecting, wants_write;
};

struct net_opts {
	enum dkc_protocol protocol;
	uint32_t bots;
	size_t stride; /* bytes from one bot to the next: they lie in one array */
	void *first; /* its first struct net_bot */
	uint32_t batch_us; /* look at the sockets only so often; 0 = whenever something comes */
	void (*http)(void *arg, uint32_t events); /* the file descriptor of net_watch() is ready */
	void *arg;
};

struct net_stats {
	uint64_t received, sent, receives, sends, unsent; /* datagrams in and out, system calls in and out, refused by the kernel */
	uint32_t sockets;
};

/* Returns 0 or <0, then after a sentence on stderr. */
int net_new(const struct net_opts *opts, struct net **ret_net);
void net_free(struct net *net); /* closes the sockets; the clients are the caller's */

/* One more descriptor to wait on; events: EPOLLIN and friends; fd -1 = no more. */
void net_watch(struct net *net, int fd, uint32_t events);

/* The bot has a client now, on which dkc_connect() was called. */
void net_add(struct net *net, uint32_t bot);
/* Something was sent through this bot's client: look after it before the turn is over. */
void net_touch(struct net *net, uint32_t bot);

/* One turn: waits up to wait_us for something to do (less when a timer is due), receives, ticks, sends. */
void net_turn(struct net *net, uint64_t wait_us);
uint64_t net_now_ns(const struct net *net); /* of the last look at the clock: at the latest batch received */
uint64_t net_clock_ns(struct net *net); /* looks at the clock */
const struct net_stats *net_stats(const struct net *net);
/* Where the bot's connection leads to. */
struct dk_addr net_where(const struct net *net, uint32_t bot);

#endif
