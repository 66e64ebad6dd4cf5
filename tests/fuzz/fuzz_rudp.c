/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sender and receiver of rudp with a network that the script directs: blocks lost, doubled, delayed, taken out of order, and the
 * same for acknowledgements. Every block arrives once and in order, the window holds, and in the end, when the network is good,
 * everything has arrived. With the first bit of the script set, acknowledgements are invented too; then only order and memory
 * count.
 */
#include "wire/rudp.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

#define AIR 64

struct flying {
	uint32_t seq, number;
	bool again;
};

struct play {
	struct wire_ctx *ctx;
	struct wire_rudp tx, rx;
	struct flying data[AIR], acks[AIR];
	unsigned n_data, n_acks;
	uint32_t sent, got;
	uint64_t now;
	bool forged;
};

static int fixed(void *arg, void *buf, size_t n)
{
	(void)arg;
	memset(buf, 7, n);
	return 0;
}

static struct wire_block *numbered(struct play *y, uint32_t number)
{
	struct wire_block *b = wire_block_new(y->ctx, 4 + number % 700);

	MUST(b);
	memset(b->data, (int)number, b->len);
	memcpy(b->data, &number, 4);
	return b;
}

static void say(struct play *y)
{
	if (y->sent < 5000)
		MUST(wire_rudp_ready(y->ctx, &y->tx, numbered(y, y->sent++)) == 0);
}

static bool launch(struct play *y)
{
	const struct wire_block *b;
	struct flying f;

	if (y->n_data == AIR)
		return false;
	b = wire_rudp_next(y->ctx, &y->tx, y->now, WIRE_SLOT, &f.seq, &f.again);
	if (!b)
		return false;
	memcpy(&f.number, b->data, 4);
	MUST(b->len == 4 + f.number % 700 && f.seq <= 0xffffff);
	y->data[y->n_data++] = f;
	return true;
}

static void deliver(struct play *y, uint32_t number)
{
	if (!y->forged)
		MUST(number == y->got);
	y->got++;
}

static void arrive(struct play *y, struct flying f)
{
	const struct wire_block *held;
	uint32_t number;

	switch (wire_rudp_look(&y->rx, f.seq)) {
	case WIRE_RUDP_NEXT:
		wire_rudp_advance(&y->rx);
		deliver(y, f.number);
		break;
	case WIRE_RUDP_AHEAD: {
		struct wire_block *b = numbered(y, f.number);

		if (wire_rudp_hold(y->ctx, &y->rx, f.seq, b)) {
			wire_block_free(y->ctx, b);
			return;
		}
		break;
	}
	case WIRE_RUDP_OLD:
		break;
	case WIRE_RUDP_OUTSIDE:
		MUST(y->forged); /* the sender's window is smaller */
		return;
	}
	while ((held = wire_rudp_held(&y->rx))) {
		memcpy(&number, held->data, 4);
		wire_block_free(y->ctx, wire_rudp_pop_held(y->ctx, &y->rx));
		deliver(y, number);
	}
	if (y->n_acks < AIR)
		y->acks[y->n_acks++] = f;
}

static void take(struct play *y, struct flying *from, unsigned *n, uint8_t which, bool keep, bool ack)
{
	struct flying f;

	if (!*n)
		return;
	which = (uint8_t)(which % *n);
	f = from[which];
	if (!keep) {
		memmove(&from[which], &from[which + 1], (*n - which - 1u) * sizeof(f));
		--*n;
	}
	if (ack)
		wire_rudp_ack(y->ctx, &y->tx, y->now, f.seq, f.again);
	else
		arrive(y, f);
}

static void lose(struct flying *from, unsigned *n, uint8_t which)
{
	if (!*n)
		return;
	which = (uint8_t)(which % *n);
	from[which] = from[--*n];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dk_cursor c = dk_cursor_of(dk_slice_n(data, size));
	struct play *y = calloc(1, sizeof(*y));
	struct wire_ctx_opts o = { .random = fixed };
	uint8_t mode = dk_rd_u8(&c);
	uint32_t start = mode & 2 ? 0xffffe0 : mode & 4 ? 0x7fffff : 0;

	wire_limits_default(&o.limits);
	if (mode & 8)
		o.limits.max_in_flight = 5;
	MUST(wire_ctx_new(&o, &y->ctx) == 0);
	y->forged = mode & 1;
	wire_rudp_start_tx(y->ctx, &y->tx, start);
	y->tx.fresh = mode & 16 ? 1 : 0;
	wire_rudp_start_rx(y->ctx, &y->rx, start);
	for (int i = 0; i < 3000 && dk_rd_left(&c) >= 2; i++) {
		uint8_t op = dk_rd_u8(&c), x = dk_rd_u8(&c);

		switch (op & 7) {
		case 0:
			for (unsigned k = 0; k <= (x & 15u); k++)
				say(y);
			break;
		case 1:
			while (launch(y))
				;
			break;
		case 2:
			take(y, y->data, &y->n_data, x, op & 8, false);
			break;
		case 3:
			take(y, y->acks, &y->n_acks, x, op & 8, true);
			break;
		case 4:
			lose(y->data, &y->n_data, x);
			break;
		case 5:
			lose(y->acks, &y->n_acks, x);
			break;
		case 6:
			y->now += x * 4u;
			wire_rudp_tick(y->ctx, &y->tx, y->now);
			MUST(wire_rudp_due(&y->tx) > y->now);
			break;
		default:
			if (!y->forged)
				break;
			if (op & 8)
				arrive(y, (struct flying){ (uint32_t)(y->rx.rx_next + x - 20) & 0xffffff, x, op & 16 });
			else
				wire_rudp_ack(y->ctx, &y->tx, y->now, (uint32_t)(y->tx.tx_next + 20 - x) & 0xffffff, op & 16);
		}
	}
	/* A good network from here on. */
	for (int i = 0; i < 5000 && !y->forged && !wire_rudp_idle(&y->tx); i++) {
		while (launch(y))
			;
		while (y->n_data)
			take(y, y->data, &y->n_data, 0, false, false);
		while (y->n_acks)
			take(y, y->acks, &y->n_acks, 0, false, true);
		y->now += 250;
		wire_rudp_tick(y->ctx, &y->tx, y->now);
	}
	if (!y->forged)
		MUST(wire_rudp_idle(&y->tx) && y->got == y->sent);
	wire_rudp_fini(y->ctx, &y->tx);
	wire_rudp_fini(y->ctx, &y->rx);
	MUST(y->ctx->pool.in_use == 0);
	wire_ctx_free(y->ctx);
	free(y);
	return 0;
}
