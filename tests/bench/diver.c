/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that asks dive for one kind of operation, so many at a time, and counts: what an operation costs without clients. It
 * takes keys that its own node owns, or those that another one does. After so many of them it lets the node do other things.
 */
#include <diarkis/dive.h>
#include <diarkis/plugin.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "diver.h"

enum { LOOK_MS = 5, NAME = 24, A_TURN = 256 };
enum kind { VALUE, NUMBER, LIST, KINDS };

struct diver_conf {
	bool remote;
};

struct flight {
	struct diver *d;
	bool busy, pop;
	unsigned made; /* keys that are there */
	char key[KINDS][NAME];
};

struct diver {
	struct dk_self base;
	struct dk_dive *dive;
	struct diver_share *share;
	struct dk_timer timer, go_on;
	uint64_t turn_us;
	uint32_t in_turn; /* done in this turn */
	struct flight flights[DIVER_FLIGHTS];
	uint32_t named; /* flights that have names for their keys */
	uint32_t last_name;
	uint8_t value[DIVER_BYTES];
};

static void on_done(void *self, void *arg, const struct dk_dive_result *r);

static bool send(struct flight *f, enum kind kind, enum dk_dive_op op, int32_t a, const struct dk_value *values, size_t n)
{
	struct diver *d = f->d;
	struct dk_dive_ask ask = { .op = op, .storage = dk_str_c("diver"), .key = dk_str_c(f->key[kind]), .a = a };

	ask.values = values;
	ask.n = n;
	f->busy = d->dive->ask(d->dive, d, &ask, on_done, f) == 0;
	return f->busy;
}

static void make_key(struct flight *f)
{
	struct dk_value v[DIVER_ITEMS];

	for (unsigned i = 0; i < DIVER_ITEMS; i++)
		v[i] = dk_value_bytes(dk_slice_n(f->d->value, DIVER_BYTES));
	if (f->made == NUMBER)
		v[0] = dk_value_i32(0);
	if (f->made == LIST)
		send(f, LIST, DK_DIVE_RPUSH, 0, v, DIVER_ITEMS);
	else
		send(f, (enum kind)f->made, DK_DIVE_SET, 0, v, 1);
}

static void next(struct flight *f)
{
	struct dk_value v = dk_value_bytes(dk_slice_n(f->d->value, DIVER_BYTES));

	switch (f->d->share->step) {
	case DIVER_SET:
		send(f, VALUE, DK_DIVE_SET, 0, &v, 1);
		break;
	case DIVER_GET:
		send(f, VALUE, DK_DIVE_GET, 0, NULL, 0);
		break;
	case DIVER_INCR:
		send(f, NUMBER, DK_DIVE_INCR, 1, NULL, 0);
		break;
	case DIVER_PUSH_POP:
		f->pop = !f->pop;
		if (f->pop)
			send(f, LIST, DK_DIVE_RPUSH, 0, &v, 1);
		else
			send(f, LIST, DK_DIVE_LPOP, 1, NULL, 0);
		break;
	case DIVER_RANGE:
		send(f, LIST, DK_DIVE_LRANGE, 0, NULL, 0);
		break;
	default:
		break;
	}
}

static void on_go(void *self, struct dk_timer *t)
{
	struct diver *d = self;

	(void)t;
	for (unsigned i = 0; i < DIVER_FLIGHTS; i++)
		if (!d->flights[i].busy)
			next(&d->flights[i]);
}

static bool enough(struct diver *d)
{
	if (d->turn_us != dk_now_us(d)) {
		d->turn_us = dk_now_us(d);
		d->in_turn = 0;
	}
	return ++d->in_turn > A_TURN;
}

/* dk_dive_done_fn */
static void on_done(void *self, void *arg, const struct dk_dive_result *r)
{
	struct diver *d = self;
	struct flight *f = arg;

	f->busy = false;
	if (!d->share->ready) {
		f->made += r->rc == 0;
		return; /* the timer goes on with it */
	}
	if (r->rc)
		d->share->failed++;
	else
		d->share->done++;
	if (enough(d))
		dk_timer_start(d, &d->go_on, 0, 0, on_go);
	else
		next(f);
}

/* Names of keys that are where they should be, as far as is known. */
static void name_some(struct diver *d)
{
	const struct diver_conf *conf = d->base.conf;

	for (unsigned tries = 0; tries < 4096 && d->named < DIVER_FLIGHTS * KINDS; tries++) {
		char *name = d->flights[d->named / KINDS].key[d->named % KINDS];
		struct dk_addr at;

		snprintf(name, NAME, "key%u", d->last_name++);
		if (d->dive->resolve(d->dive, dk_str_c("diver"), dk_str_c(name), &at) == 0 &&
		    dk_addr_eq(&at, dk_node_addr(d)) != conf->remote)
			d->named++;
	}
}

static void on_look(void *self, struct dk_timer *t)
{
	struct diver *d = self;
	bool all = true;

	(void)t;
	name_some(d);
	if (d->named < DIVER_FLIGHTS * KINDS)
		return;
	for (unsigned i = 0; i < DIVER_FLIGHTS; i++) {
		struct flight *f = &d->flights[i];

		all &= f->made == KINDS;
		if (!f->busy && f->made < KINDS)
			make_key(f);
		else if (!f->busy && d->share->ready)
			next(f);
	}
	d->share->ready = all;
}

static int init(void *self)
{
	struct diver *d = self;

	for (unsigned i = 0; i < DIVER_FLIGHTS; i++)
		d->flights[i].d = d;
	return 0;
}

static int start(void *self)
{
	struct diver *d = self;
	const char *path = dk_env_var(d, "BENCH_DIVER_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *m = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*d->share), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	if (m == MAP_FAILED)
		return -1;
	d->share = m;
	dk_timer_start(d, &d->timer, LOOK_MS, LOOK_MS, on_look);
	return 0;
}

static const struct dk_need needs[] = { DK_NEED(struct diver, dive, DK_DIVE), { 0 } };
static const struct dk_option options[] = { DK_BOOL(struct diver_conf, remote, "remote", "false", "keys of other nodes"), { 0 } };
static const struct dk_ops ops = { .init = init, .start = start };

DK_PLUGIN(diver) = {
	DK_PLUGIN_HEAD("diver", "1.0.0", "asks dive, and counts"),
	.self_size = sizeof(struct diver),
	.conf_size = sizeof(struct diver_conf),
	.needs = needs,
	.options = options,
	.ops = &ops,
};
