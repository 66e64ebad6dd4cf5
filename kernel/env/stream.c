/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams and their listeners. What plugins write collects in an output buffer, which goes to the world once per turn; the
 * buffer is borrowed from a pool and only while it holds data, so an idle stream is one small object.
 *
 * A stream is live; or it flushes, wanted by nobody and kept by its output alone, for two seconds at most; or it has ended. Whoever
 * ends one, plugin, peer or kernel, only marks it: the next flush tells the plugin by closed() and frees it, and nothing else
 * does. So plugins may close anything from anywhere, and no caller is left with a pointer to nothing.
 */
#include "../kernel.h"

#include <errno.h>
#include <stdlib.h>

enum {
	OUT_SIZE = 4096 - 24,
	OUT_POOLED = 1024,
	OUTPUT_MAX = 1 << 20, /* unless the listener says otherwise, up to: */
	OUTPUT_LIMIT = 1 << 28,
	FLUSH_MS = 2000,
	LATE_MS = 250 /* between looks for streams that overstayed it */
};
enum { LIVE, FLUSHING, ENDED };

struct out {
	struct out *next; /* in the pool */
	uint64_t close_at_ms; /* when FLUSHING */
	uint32_t head, len; /* bytes[head..len) wait */
	uint32_t cap;
	uint8_t bytes[];
};

struct dk_stream {
	struct held held;
	struct dk_stream *next_dirty;
	const struct dk_stream_ops *ops;
	struct env_stream *es;
	struct out *out; /* NULL: no output waits */
	void *arg;
	struct dk_addr peer;
	uint32_t max_output;
	int32_t err; /* what closed() will be told */
	uint8_t state;
	bool dirty : 1; /* is in the list */
	bool open : 1; /* connected */
	bool blocked : 1; /* the system took less than offered; the world tells when it takes more */
	bool said_all : 1; /* its peer; which may still listen, so it stays LIVE until the turn's end, for the last answer */
	bool reset : 1; /* end it without ceremony */
	bool quiet : 1; /* its plugin has ended before it */
};

struct dk_listener {
	struct held held;
	const struct dk_stream_ops *ops;
	void (*accept)(void *self, struct dk_listener *l, struct dk_stream *s);
	struct env_listener *el;
	void *arg;
	struct dk_addr addr;
	uint32_t max_output;
};

/* ---- output buffers ---- */

static struct out *out_get(struct io_state *io, size_t need)
{
	struct out *o = io->out_pool;
	size_t cap = OUT_SIZE;

	if (need <= OUT_SIZE && o) {
		io->out_pool = o->next;
		io->out_pool_n--;
	} else {
		while (cap < need)
			cap *= 2;
		o = malloc(sizeof(*o) + cap);
		if (!o)
			return NULL;
		o->cap = (uint32_t)cap;
	}
	o->head = o->len = 0;
	return o;
}

static void out_put(struct io_state *io, struct out *o)
{
	if (!o || o->cap != OUT_SIZE || io->out_pool_n == OUT_POOLED) {
		free(o);
		return;
	}
	o->next = io->out_pool;
	io->out_pool = o;
	io->out_pool_n++;
}

void stream_fini(struct io_state *io)
{
	for (struct out *o; (o = io->out_pool); free(o))
		io->out_pool = o->next;
}

/* Room for cap more bytes behind what waits; NULL = no memory. */
static uint8_t *out_reserve(struct io_state *io, struct out **o, size_t cap)
{
	struct out *was = *o, *grown;
	uint32_t waits = was ? was->len - was->head : 0;

	if (!was || was->cap - was->len < cap) {
		grown = out_get(io, waits ? waits * 2 + cap : cap);
		if (!grown)
			return NULL;
		if (waits)
			memcpy(grown->bytes, was->bytes + was->head, waits);
		grown->len = waits;
		out_put(io, was);
		*o = grown;
	}
	return (*o)->bytes + (*o)->len;
}

/* ---- the end ---- */

static void dirty(struct dk_stream *s)
{
	struct dk_kernel *k = s->held.owner->k;

	if (s->dirty)
		return;
	s->dirty = true;
	s->next_dirty = k->io->streams_dirty;
	if (!s->next_dirty && !k->ending)
		k->env->ops->wake(k->node);
	k->io->streams_dirty = s;
}

static void end(struct dk_stream *s, int err)
{
	s->state = ENDED;
	s->err = err;
	dirty(s);
}

/* Ends what was given two seconds and did not use them. Only armed while some stream flushes. */
static void look_for_late(void *kernel, struct dk_timer *t)
{
	struct dk_kernel *k = kernel;
	bool more = false;

	for (struct held *h = k->io->held; h; h = h->next) {
		struct dk_stream *s = (struct dk_stream *)(void *)h;

		if (h->kind != HELD_STREAM || s->state != FLUSHING || !s->out)
			continue;
		if (k->clock.ms >= s->out->close_at_ms) {
			io_app(k)->n.stream_late++;
			end(s, -ETIMEDOUT);
		} else {
			more = true;
		}
	}
	if (more)
		io_timer_start(k, t, LATE_MS, look_for_late);
}

static void begin_flushing(struct dk_stream *s)
{
	struct dk_kernel *k = s->held.owner->k;

	s->state = FLUSHING;
	s->out->close_at_ms = k->clock.ms + FLUSH_MS;
	if (!dk_timer_armed(&k->io->late_timer))
		io_timer_start(k, &k->io->late_timer, LATE_MS, look_for_late);
	dirty(s);
}

void dk_stream_close(struct dk_stream *s, bool flush)
{
	if (!s || s->state == ENDED || (s->state == FLUSHING && flush))
		return;
	s->held.owner->k->env->ops->stream_read(s->es, false);
	s->reset = !flush;
	if (flush && s->out)
		begin_flushing(s);
	else
		end(s, 0);
}

/* The peer says no more (0), or the connection broke. */
void io_stream_ended(struct dk_stream *s, int err)
{
	if (s->state == ENDED || (s->state == FLUSHING && err == 0))
		return;
	if (err < 0)
		end(s, err);
	s->said_all = true;
	dirty(s);
}

/* ---- output ---- */

/* Offers the output to the system. 0, or <0: the connection is broken. */
static int push(struct dk_stream *s)
{
	struct dk_kernel *k = s->held.owner->k;
	struct out *o = s->out;
	int64_t n = 0;

	if (!o || !s->open)
		return 0;
	if (o->len > o->head)
		n = k->env->ops->stream_write(s->es, o->bytes + o->head, o->len - o->head);
	if (n < 0)
		return (int)n;
	o->head += (uint32_t)n;
	s->blocked = o->len > o->head;
	if (!s->blocked) {
		out_put(k->io, o);
		s->out = NULL;
	}
	return 0;
}

static void flush_one(struct dk_stream *s)
{
	struct dk_plugin *p = s->held.owner;
	int rc = s->state == ENDED || s->blocked ? 0 : push(s);

	if (rc == 0 && s->state == LIVE && s->said_all && s->out)
		begin_flushing(s);
	if (rc < 0)
		s->err = rc;
	else if ((s->state == LIVE && !s->said_all) || (s->state == FLUSHING && s->out))
		return;
	held_out(&s->held);
	out_put(p->k->io, s->out);
	p->k->env->ops->stream_close(s->es, s->reset || s->err < 0);
	if (!s->quiet)
		KERNEL_CALL(p, s->ops->closed(p->self, s, s->err));
	free(s);
}

void stream_flush_all(struct io_state *io)
{
	struct dk_stream *s = io->streams_dirty, *next;

	io->streams_dirty = NULL; /* what the callbacks make dirty is for the next time */
	for (; s; s = next) {
		next = s->next_dirty;
		s->dirty = false;
		flush_one(s);
	}
}

void stream_drop(struct held *h, bool quiet)
{
	struct dk_stream *s = (struct dk_stream *)(void *)h;

	s->quiet = quiet;
	if (s->state != ENDED) /* what the plugin said last still leaves, if it can */
		end(s, push(s) < 0 || s->out ? -ECANCELED : 0);
}

size_t dk_stream_waiting(const struct dk_stream *s)
{
	return s->out ? s->out->len - s->out->head : 0;
}

uint8_t *dk_stream_slot(struct dk_stream *s, size_t cap)
{
	struct io_state *io = s->held.owner->k->io;
	uint8_t *p = NULL;

	if (s->state != LIVE)
		return NULL;
	if (cap <= s->max_output && dk_stream_waiting(s) <= s->max_output - cap)
		p = out_reserve(io, &s->out, cap);
	if (!p)
		io_app(s->held.owner->k)->n.stream_full++;
	return p;
}

void dk_stream_commit(struct dk_stream *s, size_t len)
{
	struct out *o = s->out;

	if (!o || len > o->cap - o->len)
		return; /* no slot was asked for, or more was written than it holds */
	o->len += (uint32_t)len;
	if (s->open)
		dirty(s);
}

int dk_stream_write(struct dk_stream *s, dk_slice bytes)
{
	uint8_t *p = dk_stream_slot(s, bytes.n);

	if (!p)
		return DK_FULL;
	if (bytes.n)
		memcpy(p, bytes.p, bytes.n);
	dk_stream_commit(s, bytes.n);
	return 0;
}

void io_stream_writable(struct dk_stream *s)
{
	int rc = s->state == ENDED ? 0 : push(s);

	if (rc < 0)
		end(s, rc);
	else if (s->state == FLUSHING && !s->out)
		end(s, 0);
	else if (s->state == LIVE && !s->out && s->ops->drained)
		KERNEL_CALL(s->held.owner, s->ops->drained(s->held.owner->self, s));
}

/* ---- input ---- */

void io_stream_data(struct dk_stream *s, const uint8_t *p, size_t n)
{
	if (s->state == LIVE)
		KERNEL_CALL(s->held.owner, s->ops->data(s->held.owner->self, s, dk_slice_n(p, n)));
}

void dk_stream_pause(struct dk_stream *s, bool on)
{
	if (s->state == LIVE)
		s->held.owner->k->env->ops->stream_read(s->es, !on);
}

/* ---- beginnings ---- */

static struct dk_stream *stream_new(struct dk_plugin *p, const struct dk_stream_ops *ops, const struct dk_addr *peer,
				    uint32_t max_output)
{
	struct dk_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->ops = ops;
	s->peer = *peer;
	s->max_output = max_output;
	held_in(&s->held, p, HELD_STREAM);
	return s;
}

struct dk_stream *io_accept(struct dk_listener *l, struct env_stream *es, const struct dk_addr *peer)
{
	struct dk_plugin *p = l->held.owner;
	struct dk_stream *s = stream_new(p, l->ops, peer, l->max_output);

	if (!s) {
		io_app(p->k)->n.accept_failed++;
		return NULL;
	}
	s->es = es;
	s->open = true;
	if (l->accept)
		KERNEL_CALL(p, l->accept(p->self, l, s));
	return s;
}

int dk_stream_connect(void *self, const struct dk_addr *to, bool no_delay, const struct dk_stream_ops *ops, void *arg,
		      struct dk_stream **ret_stream)
{
	struct dk_plugin *p = plugin_of(self);
	struct dk_stream *s = stream_new(p, ops, to, OUTPUT_MAX);
	int rc;

	if (!s)
		return -ENOMEM;
	s->arg = arg;
	rc = p->k->env->ops->connect(p->k->node, s, to, no_delay, &s->es);
	if (rc < 0) {
		held_out(&s->held);
		free(s);
		return rc;
	}
	*ret_stream = s;
	return 0;
}

void io_stream_opened(struct dk_stream *s)
{
	s->open = true;
	if (s->out)
		dirty(s);
	if (s->state == LIVE && s->ops->opened)
		KERNEL_CALL(s->held.owner, s->ops->opened(s->held.owner->self, s));
}

int dk_listen(void *self, const struct dk_listen_opts *opts, const struct dk_stream_ops *ops,
	      void (*accept)(void *self, struct dk_listener *l, struct dk_stream *s), struct dk_listener **ret_listener)
{
	struct dk_plugin *p = plugin_of(self);
	struct dk_listener *l = calloc(1, sizeof(*l));
	uint32_t port = opts->bind.port, last = port ? port + opts->scan : 0;
	uint32_t max = opts->max_output ? opts->max_output : OUTPUT_MAX;
	int rc;

	if (!l)
		return -ENOMEM;
	do {
		l->addr = opts->bind;
		l->addr.port = (uint16_t)port;
		rc = p->k->env->ops->listen(p->k->node, l, &l->addr, opts, &l->el);
	} while (rc == -EADDRINUSE && ++port <= last && port <= UINT16_MAX);
	if (rc < 0) {
		free(l);
		return rc;
	}
	l->ops = ops;
	l->accept = accept;
	l->arg = opts->arg;
	l->max_output = max < OUTPUT_LIMIT ? max : OUTPUT_LIMIT;
	held_in(&l->held, p, HELD_LISTENER);
	*ret_listener = l;
	return 0;
}

void dk_listener_close(struct dk_listener *l)
{
	if (!l)
		return;
	l->held.owner->k->env->ops->listener_close(l->el);
	held_out(&l->held);
	free(l);
}

/* ---- looking ---- */

const struct dk_addr *dk_listener_addr(const struct dk_listener *l)
{
	return &l->addr;
}

void *dk_listener_arg(const struct dk_listener *l)
{
	return l->arg;
}

const struct dk_addr *dk_stream_peer(const struct dk_stream *s)
{
	return &s->peer;
}

void *dk_stream_arg(const struct dk_stream *s)
{
	return s->arg;
}

void dk_stream_set_arg(struct dk_stream *s, void *arg)
{
	s->arg = arg;
}
