/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP sockets. Each has a ring of 64 slots that plugins write datagrams into, in place; it is given to the world once per
 * turn, or when it is full. Nothing is allocated per datagram.
 *
 * When the system takes no more the rest waits in the ring for io_udp_writable(). A ring that runs over meanwhile loses its
 * oldest datagrams, because what is newest is worth most to a game; it asks the system again at every 16th of them only, so
 * that a congested link does not cost a system call per packet.
 */
#include "../kernel.h"

#include <errno.h>
#include <stdlib.h>

enum { RING = ENV_BATCH, ASK_AGAIN = 16 };

struct dk_udp {
	struct held held;
	struct dk_udp *next_dirty;
	dk_udp_fn *fn;
	void *arg;
	struct env_udp *eu;
	struct dk_addr addr;
	bool dirty; /* is in the list */
	bool blocked; /* the system took no more; the world tells when it does */
	uint32_t head, n; /* of the ring: committed datagrams */
	uint32_t fragments; /* of these, how many may be fragmented */
	uint32_t overruns;
	struct env_out out[RING];
	struct dk_addr to[RING], from[RING];
	uint8_t may_fragment[RING];
	uint8_t bytes[RING][DK_UDP_SLOT];
};

static void ring_drop(struct dk_udp *udp, uint32_t n)
{
	while (n--) {
		if (udp->may_fragment[udp->head])
			udp->fragments--;
		udp->head = (udp->head + 1) % RING;
		udp->n--;
	}
}

static void ring_flush(struct dk_udp *udp)
{
	struct dk_kernel *k = udp->held.owner->k;

	udp->blocked = false;
	while (udp->n) {
		uint32_t run = udp->n < RING - udp->head ? udp->n : RING - udp->head;
		int taken = k->env->ops->udp_send(udp->eu, udp->out + udp->head, run, udp->fragments > 0);

		if (taken == 0) {
			udp->blocked = true;
			return;
		}
		if (taken < 0) {
			io_app(k)->n.udp_failed++;
			taken = 1;
		}
		ring_drop(udp, (uint32_t)taken);
	}
	udp->head = 0; /* so that the next flush is one run again */
}

uint8_t *dk_udp_slot(struct dk_udp *udp, const struct dk_addr *to, size_t cap)
{
	uint32_t i;

	(void)cap; /* every slot holds DK_UDP_SLOT; cap leaves room for smaller ones */
	if (udp->n == RING && (!udp->blocked || ++udp->overruns % ASK_AGAIN == 0))
		ring_flush(udp);
	if (udp->n == RING) {
		ring_drop(udp, 1);
		io_app(udp->held.owner->k)->n.udp_dropped++;
	}
	i = (udp->head + udp->n) % RING;
	udp->to[i] = *to;
	udp->out[i].from = NULL;
	return udp->bytes[i];
}

void dk_udp_slot_from(struct dk_udp *udp, const struct dk_addr *local)
{
	uint32_t i = (udp->head + udp->n) % RING;

	if (udp->n == RING || local->family == 0)
		return;
	udp->from[i] = *local;
	udp->out[i].from = &udp->from[i];
}

void dk_udp_commit(struct dk_udp *udp, size_t len, unsigned flags)
{
	uint32_t i = (udp->head + udp->n) % RING;
	struct dk_kernel *k = udp->held.owner->k;

	if (udp->n == RING || len > DK_UDP_SLOT)
		return; /* no slot was asked for, or more was written than it holds */
	udp->out[i].n = len;
	udp->may_fragment[i] = (flags & DK_UDP_FRAGMENT) != 0;
	udp->fragments += udp->may_fragment[i];
	udp->n++;
	if (udp->dirty)
		return;
	udp->dirty = true;
	udp->next_dirty = k->io->udps_dirty;
	k->io->udps_dirty = udp;
	if (!udp->next_dirty && !k->ending)
		k->env->ops->wake(k->node);
}

void udp_flush_all(struct io_state *io)
{
	struct dk_udp *udp;

	while ((udp = io->udps_dirty)) {
		io->udps_dirty = udp->next_dirty;
		udp->dirty = false;
		if (!udp->blocked)
			ring_flush(udp);
	}
}

void io_udp_writable(struct dk_udp *udp)
{
	ring_flush(udp);
}

void io_udp_received(struct dk_udp *udp, const struct dk_datagram *v, size_t n)
{
	KERNEL_CALL(udp->held.owner, udp->fn(udp->held.owner->self, udp, v, n)); /* may close it */
}

void io_udp_oversize(struct dk_udp *udp, size_t n)
{
	io_app(udp->held.owner->k)->n.udp_oversize += n;
}

int dk_udp_open(void *self, const struct dk_udp_opts *opts, dk_udp_fn *fn, struct dk_udp **ret_udp)
{
	struct dk_plugin *p = plugin_of(self);
	struct dk_kernel *k = p->k;
	struct dk_udp *udp = calloc(1, sizeof(*udp));
	uint32_t port = opts->bind.port, last = port ? port + opts->scan : 0;
	int rc;

	if (!udp)
		return -ENOMEM;
	do {
		udp->addr = opts->bind;
		udp->addr.port = (uint16_t)port;
		rc = k->env->ops->udp_open(k->node, udp, &udp->addr, opts, &udp->eu);
	} while (rc == -EADDRINUSE && ++port <= last && port <= UINT16_MAX);
	if (rc < 0) {
		free(udp);
		return rc;
	}
	udp->fn = fn;
	udp->arg = opts->arg;
	for (uint32_t i = 0; i < RING; i++) {
		udp->out[i].to = &udp->to[i];
		udp->out[i].p = udp->bytes[i];
	}
	held_in(&udp->held, p, HELD_UDP);
	*ret_udp = udp;
	return 0;
}

void dk_udp_close(struct dk_udp *udp)
{
	struct io_state *io;

	if (!udp)
		return;
	io = udp->held.owner->k->io;
	if (udp->n)
		ring_flush(udp);
	io_app(udp->held.owner->k)->n.udp_dropped += udp->n;
	udp->held.owner->k->env->ops->udp_close(udp->eu);
	if (udp->dirty) {
		struct dk_udp **at = &io->udps_dirty;

		while (*at != udp)
			at = &(*at)->next_dirty;
		*at = udp->next_dirty;
	}
	held_out(&udp->held);
	free(udp);
}

const struct dk_addr *dk_udp_addr(const struct dk_udp *udp)
{
	return &udp->addr;
}

void *dk_udp_arg(const struct dk_udp *udp)
{
	return udp->arg;
}
