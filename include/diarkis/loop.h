/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time, chance, sockets and jobs: the one seam to the world. In production libuv stands behind it, in tests a seeded
 * simulator; a plugin that calls nothing else runs in both. Everything is single-threaded: callbacks run on the node's
 * loop, one at a time. `self` is the plugin's state (its first member is struct dk_self); what is opened here is
 * recorded in the plugin's ledger and closed by the kernel, last opened first, when the plugin stops.
 *
 * A turn of the loop is: events, then the turn-end callbacks of the plugins (users before what they need), then one
 * flush of all sockets.
 */
#ifndef DIARKIS_LOOP_H
#define DIARKIS_LOOP_H

#include <diarkis/base.h>
#include <diarkis/self.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- time and chance ---- */

/* Milliseconds and microseconds of the node's monotonic clock, read once per batch of events: free to call. */
static inline uint64_t dk_now(const void *self)
{
	return ((const struct dk_self *)self)->clock->ms;
}

static inline uint64_t dk_now_us(const void *self)
{
	return ((const struct dk_self *)self)->clock->us;
}

/* Wall clock in nanoseconds since 1970: for ids, logs and what people read, never for time-outs. */
DK_API uint64_t dk_wall_ns(void *self);
/* Fills buf from the kernel's generator of random bytes, fit for keys. Returns 0 or <0. */
DK_API int dk_random(void *self, void *buf, size_t n);
/* A fast random number for choices that need no secrecy (jitter, sampling); seeded from dk_random. */
DK_API uint64_t dk_chance(void *self);

struct dk_timer;
typedef void dk_timer_fn(void *self, struct dk_timer *t);
/* Zeroed = idle. Lives in the plugin's memory; stop it before that memory goes. Accuracy 1 ms. */
struct dk_timer {
	struct dk_timer *next, **link; /* private */
	void *self;
	dk_timer_fn *fn;
	uint64_t due_ms;
	uint32_t every_ms, unused;
};
/* Arms or re-arms. every_ms 0 = once. The timer is idle again before fn runs, unless it repeats. */
DK_API void dk_timer_start(void *self, struct dk_timer *t, uint64_t in_ms, uint32_t every_ms, dk_timer_fn *fn);
DK_API void dk_timer_stop(struct dk_timer *t); /* idle is fine */
static inline bool dk_timer_armed(const struct dk_timer *t)
{
	return t->link != NULL;
}

/* fn runs at the end of every turn, before the sockets are flushed. Once per plugin. */
DK_API int dk_on_turn_end(void *self, void (*fn)(void *self));
/* Runs fn once after the current callback returned, before the turn ends: for deaths that must not happen inside. */
DK_API int dk_defer(void *self, void (*fn)(void *self, uint64_t arg), uint64_t arg);

/* ---- addresses ---- */

/* "1.2.3.4", "::1", "1.2.3.4:80", "[::1]:80", "localhost". Returns 0 or -EINVAL; never asks a resolver. */
DK_API int dk_addr_parse(dk_str text, uint16_t port, struct dk_addr *ret_addr);
/* Writes "1.2.3.4:80" or "[::1]:80" and a NUL; returns the length. */
DK_API size_t dk_addr_format(const struct dk_addr *a, char buf[DK_ADDR_TEXT]);
/* The first address of a host name, IPv4 before IPv6, asked of the system away from the loop; an address in text needs no asking.
 * fn runs once, in a later turn: err 0, or <0 (-EAI codes as -ENOENT, -EAGAIN). Nothing runs when the plugin stopped meanwhile. The
 * simulator knows addresses and "localhost" only. Returns 0 or -ENOMEM. */
DK_API int dk_resolve(void *self, dk_str host, uint16_t port,
		      void (*fn)(void *self, void *arg, int err, const struct dk_addr *addr), void *arg);
/* The first address of a network interface ("eth0"). Returns 0, DK_NOT_FOUND or <0. */
DK_API int dk_addr_of_nic(void *self, const char *nic, struct dk_addr *ret_addr);

/* ---- UDP ---- */

struct dk_udp;
struct dk_datagram {
	struct dk_addr from;
	struct dk_addr to; /* local address it was sent to; family 0 unless opened with want_local */
	dk_slice bytes;
};
/* n datagrams, valid until the callback returns. */
typedef void dk_udp_fn(void *self, struct dk_udp *udp, const struct dk_datagram *v, size_t n);

struct dk_udp_opts {
	struct dk_addr bind; /* port 0 = any */
	uint16_t scan; /* try this many further ports upward while they are taken */
	bool want_local;
	uint32_t rcvbuf, sndbuf; /* bytes asked of the system; 0 = 4 MiB */
	void *arg; /* the plugin's own, see dk_udp_arg() */
};
/* Returns 0 or <0 (-EADDRINUSE: taken, and so was everything scanned). */
DK_API int dk_udp_open(void *self, const struct dk_udp_opts *opts, dk_udp_fn *fn, struct dk_udp **ret_udp);
DK_API void dk_udp_close(struct dk_udp *udp); /* NULL is fine; unsent datagrams are flushed first */
DK_API const struct dk_addr *dk_udp_addr(const struct dk_udp *udp); /* as bound */
DK_API void *dk_udp_arg(const struct dk_udp *udp);
#define DK_UDP_SLOT 2048
/* Room for one datagram of up to cap bytes (<= DK_UDP_SLOT) in the send ring: write in place, then commit or drop it by asking
 * for another slot. A full ring is flushed at once; what the system
 * does not take is dropped oldest first and counted. Never NULL. */
DK_API uint8_t *dk_udp_slot(struct dk_udp *udp, const struct dk_addr *to, size_t cap);
enum { DK_UDP_FRAGMENT = 1 }; /* this datagram may be fragmented: DF is cleared for the flush that holds it */
DK_API void dk_udp_commit(struct dk_udp *udp, size_t len, unsigned flags);
/* Sets the source address of the last slot asked for (sockets bound to a wildcard or with many local addresses). */
DK_API void dk_udp_slot_from(struct dk_udp *udp, const struct dk_addr *local);

/* ---- streams: TCP and unix ---- */

struct dk_stream;
struct dk_stream_ops {
	/* Bytes, valid until the callback returns. */
	void (*data)(void *self, struct dk_stream *s, dk_slice bytes);
	/* Output that had been held back is gone. May be NULL. */
	void (*drained)(void *self, struct dk_stream *s);
	/* A connect succeeded. May be NULL for accepted streams. */
	void (*opened)(void *self, struct dk_stream *s);
	/* The last callback: the stream is gone after it. err: 0 = orderly
	 * end, else <0. Always called once, also after dk_stream_close().
	 * What is written in the turn in which the peer ended is still sent. */
	void (*closed)(void *self, struct dk_stream *s, int err);
};

struct dk_listener;
struct dk_listen_opts {
	struct dk_addr bind;
	uint16_t scan;
	bool no_delay; /* TCP_NODELAY for accepted streams */
	int backlog; /* 0 = 1024 */
	uint32_t max_output; /* bytes that may wait per stream; 0 = 1 MiB */
	void *arg;
};
/* ops->data and ops->closed are required. accept: may refuse by closing; sets the stream's arg. May be NULL. */
DK_API int dk_listen(void *self, const struct dk_listen_opts *opts, const struct dk_stream_ops *ops,
		     void (*accept)(void *self, struct dk_listener *l, struct dk_stream *s), struct dk_listener **ret_listener);
DK_API void dk_listener_close(struct dk_listener *l); /* accepted streams live on */
DK_API const struct dk_addr *dk_listener_addr(const struct dk_listener *l);
DK_API void *dk_listener_arg(const struct dk_listener *l);

DK_API int dk_stream_connect(void *self, const struct dk_addr *to, bool no_delay, const struct dk_stream_ops *ops, void *arg,
			     struct dk_stream **ret_stream);
/* Copies bytes to the stream's output, which is written once per turn. Returns 0 or DK_FULL (nothing was taken). */
DK_API int dk_stream_write(struct dk_stream *s, dk_slice bytes);
/* The same in place: room for cap bytes or NULL (full); then commit. */
DK_API uint8_t *dk_stream_slot(struct dk_stream *s, size_t cap);
DK_API void dk_stream_commit(struct dk_stream *s, size_t len);
DK_API size_t dk_stream_waiting(const struct dk_stream *s); /* bytes not yet taken by the system */
/* Stops or continues reading. */
DK_API void dk_stream_pause(struct dk_stream *s, bool on);
/* flush: what waits is sent first (for at most 2 s). Otherwise the
 * connection is reset. closed() follows, later in this turn or after. */
DK_API void dk_stream_close(struct dk_stream *s, bool flush);
DK_API const struct dk_addr *dk_stream_peer(const struct dk_stream *s);
DK_API void *dk_stream_arg(const struct dk_stream *s);
DK_API void dk_stream_set_arg(struct dk_stream *s, void *arg);

/* ---- foreign libraries and blocking work ---- */

/* Runs work(arg) on a thread of the pool (it may touch arg and nothing else), then done(self, arg) on the loop; done is
 * skipped (and drop(arg) called, if given) when the plugin stopped meanwhile. In the simulator work runs at once. */
DK_API int dk_job(void *self, void (*work)(void *arg), void (*done)(void *self, void *arg), void (*drop)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif

#endif
