/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams and their listeners. What plugins write collects in an output buffer, which goes to the world once per turn; the
 * buffer is borrowed from a pool and only while it holds data, so an idle stream is one small object.
 *
 * A stream is live; or it flushes, wanted by nobody and kept by its output alone, for two seconds at most; or it has ended and
 * its closed() is due at the turn's end. Only the end of a turn, an event from below or io_revoke() frees a stream, never a
 * call from the plugin, so plugins may close anything from anywhere.
 */
#include "kernel.h"

#include <errno.h>
#include <stdlib.h>

enum { OUT_SIZE = 4096 - 24, OUT_POOLED = 1024, OUTPUT_MAX = 1 << 20, OUTPUT_LIMIT = 1 << 28, FLUSH_MS = 2000 };
enum { LIVE, FLUSHING, ENDED };

struct out {
	struct out *next; /* in the pool */
	uint64_t close_at_ms; /* when FLUSHING */
	uint32_t head, len; /* bytes[head..len) wait */
	uint32_t cap;
	uint8_t bytes[];
};

struct dk_stream {
	struct dk_stream *next, **link; /* all of the node, or those that flush */
	struct dk_stream *next_dirty, **link_dirty; /* something is due at the turn's end; link NULL: nothing */
	struct dk_plugin *owner;
	const struct dk_stream_ops *ops;
	struct env_stream *es;
	struct out *out; /* NULL: no output waits */
	void *arg;
	struct dk_addr peer;
	uint32_t max_output;
	int32_t err; /* what closed() will be told */
	uint8_t state;
	bool open; /* connected */
	bool blocked; /* the system took less than offered; the world tells when it takes more */
	bool reset; /* end it without ceremony */
};

struct dk_listener {
	struct dk_listener *next, **link;
	struct dk_plugin *owner;
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
	if (o->cap != OUT_SIZE || io->out_pool_n == OUT_POOLED) {
		free(o);
		return;
	}
	o->next = io->out_pool;
	io->out_pool = o;
	io->out_pool_n++;
}

/* Room for cap more bytes behind what waits. */
static uint8_t *out_reserve(struct io_state *io, struct out **o, size_t cap)
{
	struct out *was = *o, *grown;

	if (!was) {
		*o = out_get(io, cap);
		return *o ? (*o)->bytes : NULL;
	}
	if (was->cap - was->len >= cap)
		return was->bytes + was->len;
	if (was->cap - (was->len - was->head) >= cap && was->head >= was->len - was->head) {
		memmove(was->bytes, was->bytes + was->head, was->len - was->head);
		was->len -= was->head;
		was->head = 0;
		return was->bytes + was->len;
	}
	grown = out_get(io, (size_t)(was->len - was->head) * 2 + cap);
	if (!grown)
		return NULL;
	grown->close_at_ms = was->close_at_ms;
	grown->len = was->len - was->head;
	memcpy(grown->bytes, was->bytes + was->head, grown->len);
	out_put(io, was);
	*o = grown;
	return grown->bytes + grown->len;
}

/* ---- lists ---- */

static void list_in(struct dk_stream **head, struct dk_stream *s)
{
	s->next = *head;
	s->link = head;
	if (s->next)
		s->next->link = &s->next;
	*head = s;
}

static void list_out(struct dk_stream *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
}

static void dirty_in(struct dk_stream *s)
{
	struct dk_kernel *k = s->owner->k;

	if (s->link_dirty)
		return;
	s->next_dirty = k->io->streams_dirty;
	s->link_dirty = &k->io->streams_dirty;
	if (s->next_dirty)
		s->next_dirty->link_dirty = &s->next_dirty;
	else if (!k->ending)
		k->env->ops->wake(k->node);
	k->io->streams_dirty = s;
}

static void dirty_out(struct dk_stream *s)
{
	if (!s->link_dirty)
		return;
	*s->link_dirty = s->next_dirty;
	if (s->next_dirty)
		s->next_dirty->link_dirty = s->link_dirty;
	s->link_dirty = NULL;
}

/* ---- the end of a stream ---- */

static void finish(struct dk_stream *s, int err, bool quiet)
{
	struct dk_plugin *p = s->owner, *before;

	dirty_out(s);
	list_out(s);
	if (s->out)
		out_put(p->k->io, s->out);
	p->k->env->ops->stream_close(s->es, s->reset || err < 0);
	if (!quiet) {
		before = kernel_enter(p);
		s->ops->closed(p->self, s, err);
		kernel_leave(p, before);
	}
	free(s);
}

/* Closes what was given two seconds and did not use them. */
static void closing_check(void *kernel, struct dk_timer *t)
{
	struct dk_kernel *k = kernel;
	uint64_t next_ms = UINT64_MAX;

	for (struct dk_stream *s = k->io->streams_closing; s; s = s->next) {
		if (s->out->close_at_ms > k->clock.ms) {
			if (s->out->close_at_ms < next_ms)
				next_ms = s->out->close_at_ms;
			continue;
		}
		if (s->state != ENDED)
			k->io->n.stream_late++;
		s->state = ENDED;
		s->err = -ETIMEDOUT;
		dirty_in(s);
	}
	if (next_ms != UINT64_MAX)
		io_timer_start(k, t, next_ms - k->clock.ms, closing_check);
}

static void begin_flushing(struct dk_stream *s)
{
	struct dk_kernel *k = s->owner->k;

	s->state = FLUSHING;
	s->out->close_at_ms = k->clock.ms + FLUSH_MS;
	list_out(s);
	list_in(&k->io->streams_closing, s);
	if (!dk_timer_armed(&k->io->closing_timer))
		io_timer_start(k, &k->io->closing_timer, FLUSH_MS, closing_check);
	dirty_in(s);
}

void dk_stream_close(struct dk_stream *s, bool flush)
{
	if (!s || s->state == ENDED || (s->state == FLUSHING && flush))
		return;
	s->owner->k->env->ops->stream_read(s->es, false);
	if (flush && s->out) {
		begin_flushing(s);
		return;
	}
	s->state = ENDED;
	s->reset = !flush;
	dirty_in(s);
}

/* ---- output ---- */

/* Offers the output to the system. 0, or <0: the stream is broken. */
static int push(struct dk_stream *s)
{
	struct io_state *io = s->owner->k->io;
	struct out *o = s->out;
	int64_t n;

	if (!o || !s->open)
		return 0;
	if (o->len > o->head) {
		n = s->owner->k->env->ops->stream_write(s->es, o->bytes + o->head, o->len - o->head);
		if (n < 0)
			return (int)n;
		o->head += (uint32_t)n;
	}
	s->blocked = o->len > o->head;
	if (!s->blocked) {
		out_put(io, o);
		s->out = NULL;
	}
	return 0;
}

static void flush_one(struct dk_stream *s)
{
	int rc = 0;

	if (s->state == ENDED) {
		finish(s, s->err, false);
		return;
	}
	if (!s->blocked)
		rc = push(s);
	if (rc < 0 || (s->state == FLUSHING && !s->out))
		finish(s, rc, false);
}

void stream_flush_all(struct io_state *io)
{
	struct dk_stream *todo = io->streams_dirty, *s;

	/* What the callbacks make dirty has its turn in the next turn, which dirty_in() asks for. */
	io->streams_dirty = NULL;
	if (todo)
		todo->link_dirty = &todo;
	while ((s = todo)) {
		dirty_out(s);
		flush_one(s);
	}
}

size_t dk_stream_waiting(const struct dk_stream *s)
{
	return s->out ? s->out->len - s->out->head : 0;
}

uint8_t *dk_stream_slot(struct dk_stream *s, size_t cap)
{
	struct io_state *io = s->owner->k->io;
	uint8_t *p = NULL;

	if (s->state != LIVE)
		return NULL;
	if (cap > s->max_output)
		goto full;
	if (dk_stream_waiting(s) > s->max_output - cap && !s->blocked) {
		int rc = push(s);

		if (rc < 0) { /* closed() must not run inside the caller */
			s->state = ENDED;
			s->err = rc;
			dirty_in(s);
			return NULL;
		}
	}
	if (dk_stream_waiting(s) <= s->max_output - cap)
		p = out_reserve(io, &s->out, cap);
full:
	if (!p)
		io->n.stream_full++;
	return p;
}

void dk_stream_commit(struct dk_stream *s, size_t len)
{
	struct out *o = s->out;

	if (!o || len > o->cap - o->len)
		return; /* no slot was asked for, or more was written than it holds */
	o->len += (uint32_t)len;
	if (s->open)
		dirty_in(s);
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
	struct dk_plugin *p = s->owner, *before;
	int rc;

	if (s->state == ENDED)
		return;
	rc = push(s);
	if (rc < 0 || (s->state == FLUSHING && !s->out)) {
		finish(s, rc, false);
	} else if (!s->out && s->state == LIVE && s->ops->drained) {
		before = kernel_enter(p);
		s->ops->drained(p->self, s);
		kernel_leave(p, before);
	}
}

/* ---- input ---- */

void io_stream_data(struct dk_stream *s, const uint8_t *p, size_t n)
{
	struct dk_plugin *owner = s->owner, *before;

	if (s->state != LIVE)
		return;
	before = kernel_enter(owner);
	s->ops->data(owner->self, s, dk_slice_n(p, n));
	kernel_leave(owner, before);
}

void io_stream_ended(struct dk_stream *s, int err)
{
	if (s->state == ENDED)
		return; /* by the plugin's wish, at the turn's end */
	if (err == 0 && s->state == FLUSHING)
		return; /* the other side speaks no more, but may still listen */
	if (err == 0 && s->out)
		begin_flushing(s);
	else
		finish(s, err, false);
}

void dk_stream_pause(struct dk_stream *s, bool on)
{
	if (s->state == LIVE)
		s->owner->k->env->ops->stream_read(s->es, !on);
}

/* ---- beginnings ---- */

static struct dk_stream *stream_new(struct dk_plugin *p, const struct dk_stream_ops *ops, const struct dk_addr *peer, void *arg)
{
	struct dk_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->owner = p;
	s->ops = ops;
	s->peer = *peer;
	s->arg = arg;
	s->max_output = OUTPUT_MAX;
	list_in(&p->k->io->streams, s);
	return s;
}

struct dk_stream *io_accept(struct dk_listener *l, struct env_stream *es, const struct dk_addr *peer)
{
	struct dk_plugin *p = l->owner, *before;
	struct dk_stream *s = stream_new(p, l->ops, peer, NULL);

	if (!s) {
		p->k->io->n.accept_failed++;
		return NULL;
	}
	s->es = es;
	s->open = true;
	s->max_output = l->max_output;
	if (l->accept) {
		before = kernel_enter(p);
		l->accept(p->self, l, s);
		kernel_leave(p, before);
	}
	return s;
}

int dk_stream_connect(void *self, const struct dk_addr *to, bool no_delay, const struct dk_stream_ops *ops, void *arg,
		      struct dk_stream **ret_stream)
{
	struct dk_plugin *p = plugin_of(self);
	struct dk_stream *s = stream_new(p, ops, to, arg);
	int rc;

	if (!s)
		return -ENOMEM;
	rc = p->k->env->ops->connect(p->k->node, s, to, no_delay, &s->es);
	if (rc < 0) {
		list_out(s);
		free(s);
		return rc;
	}
	*ret_stream = s;
	return 0;
}

void io_stream_opened(struct dk_stream *s)
{
	struct dk_plugin *p = s->owner, *before;

	s->open = true;
	if (s->out)
		dirty_in(s);
	if (s->state != LIVE || !s->ops->opened)
		return;
	before = kernel_enter(p);
	s->ops->opened(p->self, s);
	kernel_leave(p, before);
}

int dk_listen(void *self, const struct dk_listen_opts *opts, const struct dk_stream_ops *ops,
	      void (*accept)(void *self, struct dk_listener *l, struct dk_stream *s), struct dk_listener **ret_listener)
{
	struct dk_plugin *p = plugin_of(self);
	struct dk_kernel *k = p->k;
	struct dk_listener *l = calloc(1, sizeof(*l));
	uint32_t port = opts->bind.port, last = port ? port + opts->scan : 0;
	int rc;

	if (!l)
		return -ENOMEM;
	do {
		l->addr = opts->bind;
		l->addr.port = (uint16_t)port;
		rc = k->env->ops->listen(k->node, l, &l->addr, opts, &l->el);
	} while (rc == -EADDRINUSE && ++port <= last && port <= UINT16_MAX);
	if (rc < 0) {
		free(l);
		return rc;
	}
	l->owner = p;
	l->ops = ops;
	l->accept = accept;
	l->arg = opts->arg;
	l->max_output = opts->max_output ? opts->max_output : OUTPUT_MAX;
	if (l->max_output > OUTPUT_LIMIT)
		l->max_output = OUTPUT_LIMIT;
	l->next = k->io->listeners;
	l->link = &k->io->listeners;
	if (l->next)
		l->next->link = &l->next;
	k->io->listeners = l;
	*ret_listener = l;
	return 0;
}

void dk_listener_close(struct dk_listener *l)
{
	if (!l)
		return;
	l->owner->k->env->ops->listener_close(l->el);
	*l->link = l->next;
	if (l->next)
		l->next->link = l->link;
	free(l);
}

/* ---- a plugin's end ---- */

static struct dk_stream *find_stream(struct dk_stream *s, const struct dk_plugin *p)
{
	while (s && p && s->owner != p)
		s = s->next;
	return s;
}

static struct dk_listener *find_listener(struct dk_listener *l, const struct dk_plugin *p)
{
	while (l && p && l->owner != p)
		l = l->next;
	return l;
}

void stream_close_all(struct io_state *io, const struct dk_plugin *p, bool quiet)
{
	struct dk_stream **lists[] = { &io->streams, &io->streams_closing }, *doomed = NULL, *s;
	struct dk_listener *l;

	while ((l = find_listener(io->listeners, p)))
		dk_listener_close(l);
	/* Apart first: closed() may open new ones, and those are leftovers. */
	for (size_t i = 0; i < DK_ARRAY_LEN(lists); i++)
		for (s = find_stream(*lists[i], p); s;) {
			struct dk_stream *next = find_stream(s->next, p);

			list_out(s);
			list_in(&doomed, s);
			s = next;
		}
	while ((s = doomed)) {
		if (s->state != ENDED && (push(s) < 0 || s->out)) /* what the plugin said last still leaves, if it can */
			s->err = -ECANCELED;
		finish(s, s->err, quiet);
	}
}

bool stream_any(const struct io_state *io, const struct dk_plugin *p, struct dk_addr *ret_addr, const char **ret_what)
{
	const struct dk_listener *l = find_listener(io->listeners, p);
	const struct dk_stream *s = find_stream(io->streams, p);

	if (!s)
		s = find_stream(io->streams_closing, p);
	if (!l && !s)
		return false;
	*ret_addr = l ? l->addr : s->peer;
	*ret_what = l ? "listener" : "connection with";
	return true;
}

void stream_fini(struct io_state *io)
{
	struct out *o;

	while ((o = io->out_pool)) {
		io->out_pool = o->next;
		free(o);
	}
	io->out_pool_n = 0;
}

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
