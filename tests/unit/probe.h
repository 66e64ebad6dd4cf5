/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin to try the seam with: it opens what a test asks for and remembers what it is told. Tests reach it by
 * dk_plugin_state(); what it does on an event a test sets as a function.
 */
#ifndef TESTS_UNIT_PROBE_H
#define TESTS_UNIT_PROBE_H

#include <diarkis/test.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct probe {
	struct dk_self base;
	struct dk_udp *udp;
	struct dk_listener *listener;
	struct dk_stream *stream; /* accepted or connected last */
	struct dk_timer timer, other;
	void (*on_stop)(struct probe *p);
	void (*on_fini)(struct probe *p);
	void (*on_turn_end)(struct probe *p);
	void (*on_closed)(struct probe *p, struct dk_stream *s);
	bool echo, pause, refuse;
	unsigned batches, datagrams, largest_batch, ticks, opened, closed, drained, chunks;
	int closed_err;
	size_t bytes; /* from streams */
	uint8_t input[1 << 21]; /* the same */
	struct dk_addr from, to; /* of the last datagram */
	uint8_t last[DK_UDP_SLOT];
	size_t last_n;
	char seen[256]; /* letters, in order of events */
};

static inline void probe_saw(struct probe *p, char letter)
{
	size_t n = strlen(p->seen);

	if (n + 1 < sizeof(p->seen))
		p->seen[n] = letter;
}

static inline void probe_on_udp(void *self, struct dk_udp *udp, const struct dk_datagram *v, size_t n)
{
	struct probe *p = self;

	p->batches++;
	p->datagrams += (unsigned)n;
	if (n > p->largest_batch)
		p->largest_batch = (unsigned)n;
	p->from = v[n - 1].from;
	p->to = v[n - 1].to;
	p->last_n = v[n - 1].bytes.n;
	memcpy(p->last, v[n - 1].bytes.p, p->last_n);
	for (size_t i = 0; p->echo && i < n; i++) {
		memcpy(dk_udp_slot(udp, &v[i].from, v[i].bytes.n), v[i].bytes.p, v[i].bytes.n);
		dk_udp_commit(udp, v[i].bytes.n, 0);
	}
}

static inline void probe_on_data(void *self, struct dk_stream *s, dk_slice bytes)
{
	struct probe *p = self;

	p->chunks++;
	if (p->bytes + bytes.n <= sizeof(p->input))
		memcpy(p->input + p->bytes, bytes.p, bytes.n);
	p->bytes += bytes.n;
	if (p->echo)
		dk_stream_write(s, bytes);
}

static inline void probe_on_opened(void *self, struct dk_stream *s)
{
	(void)s;
	((struct probe *)self)->opened++;
}

static inline void probe_on_drained(void *self, struct dk_stream *s)
{
	(void)s;
	((struct probe *)self)->drained++;
}

static inline void probe_on_closed(void *self, struct dk_stream *s, int err)
{
	struct probe *p = self;

	p->closed++;
	p->closed_err = err;
	if (p->stream == s)
		p->stream = NULL;
	if (p->on_closed)
		p->on_closed(p, s);
}

static const struct dk_stream_ops probe_stream_ops = {
	.data = probe_on_data, .drained = probe_on_drained, .opened = probe_on_opened, .closed = probe_on_closed
};

static inline void probe_on_accept(void *self, struct dk_listener *l, struct dk_stream *s)
{
	struct probe *p = self;

	(void)l;
	p->stream = s;
	if (p->pause)
		dk_stream_pause(s, true);
	if (p->refuse)
		dk_stream_close(s, false);
}

static inline void probe_turn_end(void *self)
{
	struct probe *p = self;

	if (p->on_turn_end)
		p->on_turn_end(p);
}

static inline int probe_start(void *self)
{
	return dk_on_turn_end(self, probe_turn_end);
}

static inline void probe_stop(void *self, struct dk_step *step)
{
	struct probe *p = self;

	if (p->on_stop)
		p->on_stop(p);
	dk_step_done(step, 0);
}

static inline void probe_fini(void *self)
{
	struct probe *p = self;

	if (p->on_fini)
		p->on_fini(p);
}

static const struct dk_ops probe_ops = { .start = probe_start, .stop = probe_stop, .fini = probe_fini };

DK_PLUGIN(probe) = {
	DK_PLUGIN_HEAD("probe", "1.0.0", "opens what a test asks for"),
	.self_size = sizeof(struct probe),
	.ops = &probe_ops,
};

static inline struct dk_addr probe_addr(const char *text)
{
	struct dk_addr a = { .family = 0 };

	dk_addr_parse(dk_str_c(text), 0, &a);
	return a;
}

static inline int probe_udp(struct probe *p, const char *bind, uint16_t scan, bool want_local)
{
	const struct dk_udp_opts o = { .bind = probe_addr(bind), .scan = scan, .want_local = want_local, .arg = p };

	return dk_udp_open(p, &o, probe_on_udp, &p->udp);
}

static inline int probe_listen(struct probe *p, const char *bind, uint16_t scan, uint32_t max_output)
{
	const struct dk_listen_opts o = {
		.bind = probe_addr(bind), .scan = scan, .no_delay = true, .max_output = max_output, .arg = p
	};

	return dk_listen(p, &o, &probe_stream_ops, probe_on_accept, &p->listener);
}

#endif
