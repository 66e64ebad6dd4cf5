/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the production world share. uv.c: the loop, turns, nodes, jobs; uv_sock.c: what all sockets need; uv_udp.c and
 * uv_tcp.c: the world's part of sockets, streams and listeners.
 */
#ifndef KERNEL_ENV_UV_WORLD_H
#define KERNEL_ENV_UV_WORLD_H

#include "../kernel.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <uv.h>

enum { UV_SIGNALS = 5, UV_READ_SIZE = 64 * 1024, UV_CONTROL = CMSG_SPACE(sizeof(struct in6_pktinfo)) };

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
	_Alignas(struct cmsghdr) uint8_t in_control_bytes[ENV_BATCH][UV_CONTROL];
	_Alignas(struct cmsghdr) uint8_t out_control_bytes[ENV_BATCH][UV_CONTROL];
	struct dk_datagram grams[ENV_BATCH];
	uint8_t in_bytes[ENV_BATCH][DK_UDP_SLOT];
	uint8_t read_bytes[UV_READ_SIZE];
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
	uv_signal_t signals[UV_SIGNALS];
	uv_poll_t watch; /* what the program watches; loop NULL: nothing */
};

/* ---- uv.c ---- */
void node_turn(struct env_node *n); /* its turn begins, unless it has */

/* ---- uv_sock.c ---- */
int sock_option(int fd, int level, int name, int value);
int sock_open(int family, int type, int *ret_fd); /* non-blocking; IPv6 takes IPv4 along */
int sock_bind(int fd, int family, struct dk_addr *bound);
int sock_error(int fd); /* the pending error, positive, taken from the socket */
int sock_poll(struct env_node *n, uv_poll_t *poll, int fd, void *data);
/* The descriptor is closed at once; closed() runs later and must count node->handles down. */
void sock_unpoll(uv_poll_t *poll, int fd, uv_close_cb closed);
void sock_addr_from(const struct sockaddr_in6 *name, struct dk_addr *a); /* name: of either family */
socklen_t sock_addr_to(const struct dk_addr *a, int family, struct sockaddr_in6 *name); /* family: the socket's */
void sock_ip_to_v6(const struct dk_addr *a, struct in6_addr *ip);
int uv_env_addr_of_nic(struct env_node *n, const char *nic, struct dk_addr *ret_addr);

/* ---- resolve.c ---- */
int uv_env_resolve(const char *host, struct dk_addr *ret_addr);

/* ---- uv_udp.c ---- */
void udp_init(struct uv_env *env); /* the vectors */
int uv_env_udp_open(struct env_node *n, struct dk_udp *udp, struct dk_addr *bound, const struct dk_udp_opts *opts,
		    struct env_udp **ret_udp);
int uv_env_udp_send(struct env_udp *u, const struct env_out *v, size_t n, bool may_fragment);
void uv_env_udp_close(struct env_udp *u);

/* ---- uv_tcp.c ---- */
void tcp_init(struct uv_env *env);
void tcp_detach(struct env_node *n); /* ends what lingers for it */
int uv_env_listen(struct env_node *n, struct dk_listener *l, struct dk_addr *bound, const struct dk_listen_opts *opts,
		  struct env_listener **ret_listener);
void uv_env_listener_close(struct env_listener *el);
int uv_env_connect(struct env_node *n, struct dk_stream *s, const struct dk_addr *to, bool no_delay,
		   struct env_stream **ret_stream);
int64_t uv_env_stream_write(struct env_stream *es, const uint8_t *p, size_t n);
void uv_env_stream_read(struct env_stream *es, bool on);
void uv_env_stream_close(struct env_stream *es, bool reset);

#endif
