/* SPDX-License-Identifier: Apache-2.0 */
/* What bot_net.c, bot_net_tcp.c and bot_net_dial.c share. */
#ifndef TOOLS_BOT_NET_PRIV_H
#define TOOLS_BOT_NET_PRIV_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include "tools/bot_net.h"

#define BATCH 64
#define BATCHES_MAX 4 /* per lane and turn, so that no lane starves the timers */
#define SLOT_LEN 1536 /* more than the longest datagram that anybody may send */
#define LANE_BOTS_MAX 1024
#define LANE_BUFFER (4 << 20)
#define LANE_BUFFER_BOT 8192 /* receive buffer that one bot's share of a burst may take, as the kernel counts it */
#define WHEEL_SLOTS 8192
#define NONE UINT32_MAX
#define STREAM_BUFFER (256 << 10)
#define LOCAL_BASE 0x7f010001u /* 127.1.0.1, the first bot's address */

#define TAG_LANE (UINT64_C(1) << 32)
#define TAG_BOT (UINT64_C(2) << 32)
#define TAG_WATCH (UINT64_C(3) << 32)

struct lane {
	int fd; /* -1: not open yet */
	uint32_t owner; /* the only bot on it, or NONE */
};

/* One control message that holds a struct in_pktinfo. */
union control {
	struct cmsghdr head;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

struct batch {
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_in addr[BATCH];
	union control control[BATCH];
	uint8_t buf[BATCH][SLOT_LEN];
};

struct net {
	struct net_opts o;
	int epoll, watch;
	struct lane *lanes;
	uint32_t lane_n;
	uint32_t *slots; /* of the wheel */
	uint32_t wheel_ms; /* done up to here */
	uint64_t start_us, now_ns;
	uint32_t *dirty, *spare, dirty_n;
	struct sockaddr_in *servers; /* of each bot: who may speak to it */
	struct sockaddr_in *tries; /* of each bot: the backup that it tries; port 0 = none */
	uint32_t ring_n, ring_lane, lane_bots;
	struct batch *in, *out;
	uint8_t *stream;
	char host[DKC_HOST_MAX + 1]; /* the last name resolved */
	struct dk_addr host_addr;
	struct net_stats stats;
};

static inline struct net_bot *bot_at(struct net *net, uint32_t i)
{
	return (struct net_bot *)(void *)((char *)net->o.first + net->o.stride * i);
}

static inline uint64_t now_us(const struct net *net)
{
	return net->now_ns / 1000;
}

/* bot_net_tcp.c */
void net_stream_close(struct net_bot *b);
void net_stream_send(struct net *net, uint32_t bot);
void net_stream_ready(struct net *net, uint32_t bot, uint32_t events);

/* bot_net_dial.c: opens what the bot needs to talk to that endpoint, and tells the client */
void net_dial(struct net *net, uint32_t bot, const struct dkc_endpoint *to);
/* Notes where a backup is that the bot tries; the socket is the same. */
void net_dial_try(struct net *net, uint32_t bot, const struct dkc_endpoint *to);

#endif
