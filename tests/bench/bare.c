/* SPDX-License-Identifier: Apache-2.0 */
#include "bare.h"

#include "rig.h"
#include "wire/frame.h"
#include "wire/seal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BATCH 64
#define SLOT 2048

struct member {
	struct sockaddr_in addr;
	uint8_t *out; /* tick: bytes waiting */
	uint32_t used;
	int fd; /* TCP */
	uint8_t *in;
	uint32_t in_used, sent, cap;
	int dirty;
};

static struct mmsghdr rx[BATCH], tx[BATCH];
static struct iovec rx_iov[BATCH], tx_iov[BATCH];
static struct sockaddr_in rx_addr[BATCH];
static uint8_t rx_buf[BATCH][SLOT], tx_buf[BATCH][SLOT];
static unsigned tx_n;

static void flush(int fd)
{
	unsigned done = 0;

	while (done < tx_n) {
		int n = sendmmsg(fd, tx + done, tx_n - done, 0);

		if (n < 0 && errno == EAGAIN)
			continue;
		done += n > 0 ? (unsigned)n : 1;
	}
	tx_n = 0;
}

static uint8_t *slot(int fd, struct member *m, size_t n)
{
	if (tx_n == BATCH)
		flush(fd);
	tx_iov[tx_n].iov_base = tx_buf[tx_n];
	tx_iov[tx_n].iov_len = n;
	tx[tx_n].msg_hdr.msg_name = &m->addr;
	tx[tx_n].msg_hdr.msg_namelen = sizeof(m->addr);
	tx[tx_n].msg_hdr.msg_iov = &tx_iov[tx_n];
	tx[tx_n].msg_hdr.msg_iovlen = 1;
	return tx_buf[tx_n++];
}

/* Sealing as the wire does it: one open per message in, one seal per datagram out. */
struct crypt {
	struct wire_crypto *crypto;
	struct wire_seal key;
	uint8_t sealed[SLOT * 2], plain[SLOT * 2];
	size_t sealed_n;
};

static size_t seal(struct crypt *c, const uint8_t *plain, size_t n, uint8_t *out)
{
	memcpy(out + WIRE_SEAL_HEAD, plain, n);
	wire_seal_close(c->crypto, &c->key, out, n);
	return wire_seal_len(n);
}

static void crypt_init(struct crypt *c, size_t size)
{
	struct dk_credential cred = { .encrypted = true };
	uint8_t plain[SLOT] = { 0 };

	memset(cred.key, 1, 16);
	memset(cred.iv, 2, 16);
	memset(cred.mac_key, 3, 16);
	if (wire_crypto_new(&c->crypto) < 0)
		rig_die("no ciphers");
	wire_seal_init(&c->key, &cred);
	c->sealed_n = seal(c, plain, size, c->sealed);
}

static void serve_udp(int fd, const struct bare_opts *o)
{
	struct member *all = calloc(o->clients, sizeof(*all));
	static struct crypt crypt;
	uint64_t next = rig_now_us() + o->tick_us;

	if (o->seal)
		crypt_init(&crypt, o->size);
	for (unsigned i = 0; i < BATCH; i++) {
		rx_iov[i] = (struct iovec){ rx_buf[i], SLOT };
		rx[i].msg_hdr = (struct msghdr){ .msg_name = &rx_addr[i], .msg_iov = &rx_iov[i], .msg_iovlen = 1 };
	}
	for (unsigned i = 0; o->tick_us && i < o->clients; i++)
		all[i].out = malloc(65536);
	for (;;) {
		int n;

		if (o->tick_us) {
			uint64_t now = rig_now_us();
			struct timeval tv;
			fd_set set;

			if (now < next) {
				FD_ZERO(&set);
				FD_SET(fd, &set);
				tv = (struct timeval){ 0, (suseconds_t)(next - now) };
				select(fd + 1, &set, NULL, NULL, &tv);
			}
			if (rig_now_us() >= next) {
				for (unsigned i = 0; i < o->clients; i++) {
					uint32_t at = 0;

					while (at < all[i].used) {
						uint32_t len =
							all[i].used - at < 1200 ? all[i].used - at : 1200 / o->size * o->size;
						uint8_t *p = slot(fd, &all[i], len);

						if (o->seal)
							tx_iov[tx_n - 1].iov_len = seal(&crypt, all[i].out + at, len, p);
						else
							memcpy(p, all[i].out + at, len);
						at += len;
					}
					all[i].used = 0;
				}
				flush(fd);
				next += o->tick_us;
			}
		}
		for (unsigned i = 0; i < BATCH; i++)
			rx[i].msg_hdr.msg_namelen = sizeof(rx_addr[i]);
		n = recvmmsg(fd, rx, BATCH, o->tick_us ? MSG_DONTWAIT : MSG_WAITFORONE, NULL);
		if (!o->members) {
			*o->received += n > 0 ? (uint64_t)n : 0;
			continue;
		}
		for (int i = 0; i < n; i++) {
			uint32_t member, len = rx[i].msg_len;
			dk_slice plain;

			if (len < 4)
				continue;
			memcpy(&member, rx_buf[i], 4);
			if (member >= o->clients)
				continue;
			all[member].addr = rx_addr[i];
			if (len == 4)
				continue;
			if (o->seal &&
			    (wire_seal_check(crypt.crypto, &crypt.key, dk_slice_n(crypt.sealed, crypt.sealed_n)) != WIRE_PASS ||
			     wire_seal_open(crypt.crypto, &crypt.key, dk_slice_n(crypt.sealed, crypt.sealed_n), crypt.plain,
					    &plain) != WIRE_PASS))
				rig_die("the seal of the bench's own message is wrong");
			for (unsigned j = member / o->members * o->members, e = j + o->members; j < e; j++) {
				if (o->tick_us) {
					if (all[j].used + len - 4 <= 65536) {
						memcpy(all[j].out + all[j].used, rx_buf[i] + 4, len - 4);
						all[j].used += len - 4;
					}
				} else {
					uint8_t *p = slot(fd, &all[j], len - 4);

					if (o->seal)
						tx_iov[tx_n - 1].iov_len = seal(&crypt, rx_buf[i] + 4, len - 4, p);
					else
						memcpy(p, rx_buf[i] + 4, len - 4);
				}
			}
		}
		if (!o->tick_us)
			flush(fd);
	}
}

static pid_t start(const struct bare_opts *o, int type, uint16_t *ret_port, void (*serve)(int fd, const struct bare_opts *o))
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, type, 0), v = IP_PMTUDISC_PROBE, big = 4 << 20;
	pid_t pid;

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		rig_die("socket: %s", strerror(errno));
	if (type == SOCK_DGRAM) {
		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v, sizeof(v));
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	} else {
		listen(fd, 4096);
	}
	*ret_port = ntohs(a.sin_port);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		rig_pin(0);
		serve(fd, o);
		_exit(0);
	}
	close(fd);
	return pid;
}

pid_t bare_udp_start(const struct bare_opts *o, uint16_t *ret_port)
{
	return start(o, SOCK_DGRAM, ret_port, serve_udp);
}

/* ---- TCP ---- */

static void out_add(struct member *m, const uint8_t *p, uint32_t n, struct member **dirty, unsigned *dirty_n)
{
	if (m->fd < 0)
		return;
	if (m->used + n > m->cap) {
		m->cap = (m->used + n) * 2;
		m->out = realloc(m->out, m->cap);
	}
	memcpy(m->out + m->used, p, n);
	m->used += n;
	if (!m->dirty) {
		m->dirty = 1;
		dirty[(*dirty_n)++] = m;
	}
}

static void serve_tcp(int listener, const struct bare_opts *o)
{
	struct member *all = calloc(o->clients, sizeof(*all)), **dirty = calloc(o->clients, sizeof(*dirty));
	struct member **conns = calloc(65536, sizeof(*conns));
	int ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = listener }, got[256];
	static uint8_t buf[65536 * 2];

	for (unsigned i = 0; i < o->clients; i++)
		all[i].fd = -1;
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		int n = epoll_wait(ep, got, 256, -1);
		unsigned dirty_n = 0;

		for (int i = 0; i < n; i++) {
			int fd = got[i].data.fd, one = 1;
			struct member *m;
			uint32_t at = 0, used = 0;
			ssize_t r;

			if (fd == listener) {
				fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
				if (fd < 0)
					continue;
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
				ev = (struct epoll_event){ .events = EPOLLIN, .data.fd = fd };
				epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
				conns[fd] = NULL;
				continue;
			}
			m = conns[fd];
			if (m && m->in_used) {
				memcpy(buf, m->in, m->in_used);
				used = m->in_used;
				m->in_used = 0;
			}
			r = read(fd, buf + used, 65536);
			if (r <= 0) {
				if (r < 0 && errno == EAGAIN)
					continue;
				if (m)
					m->fd = -1;
				close(fd);
				continue;
			}
			used += (uint32_t)r;
			while (used - at >= 8) {
				uint32_t len, who;

				memcpy(&len, buf + at, 4);
				memcpy(&who, buf + at + 4, 4);
				if (who >= o->clients || len > 4096)
					rig_die("bad frame");
				if (used - at < 8 + len)
					break;
				if (!m) {
					m = conns[fd] = &all[who];
					m->fd = fd;
				}
				for (unsigned j = who / o->members * o->members, e = j + o->members; len && j < e; j++)
					out_add(&all[j], buf + at, 8 + len, dirty, &dirty_n);
				at += 8 + len;
			}
			if (m && at < used) {
				m->in = realloc(m->in, used - at);
				memcpy(m->in, buf + at, used - at);
				m->in_used = used - at;
			}
		}
		for (unsigned i = 0; i < dirty_n; i++) {
			struct member *m = dirty[i];
			ssize_t w = m->fd < 0 ? 0 : write(m->fd, m->out, m->used);

			m->dirty = 0;
			if (w > 0 && (uint32_t)w < m->used)
				memmove(m->out, m->out + w, m->used - (uint32_t)w);
			m->used -= w > 0 ? (uint32_t)w : 0;
		}
	}
}

pid_t bare_tcp_start(const struct bare_opts *o, uint16_t *ret_port)
{
	return start(o, SOCK_STREAM, ret_port, serve_tcp);
}
