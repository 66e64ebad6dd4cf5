/* SPDX-License-Identifier: Apache-2.0 */
/* What connections share: made once per thread of use. The counters' names stand here, beside nothing that could drop. */
#include "wire/ctx.h"
#include "wire/pool.h"
#include "wire/seal.h"

#include <errno.h>

static const struct wire_drop_info drop_info[WIRE_DROPS] = {
	[WIRE_DROP_SIZE] = { "bad_size", "datagrams or units shorter or longer than any valid one" },
	[WIRE_DROP_FLAG] = { "bad_flag", "flag byte unknown, or not accepted in this place" },
	[WIRE_DROP_MAGIC] = { "bad_magic", "no frame where one must start" },
	[WIRE_DROP_FRAME] = { "bad_frame", "frame size beyond the datagram, the limit, or what a seal can be" },
	[WIRE_DROP_SID] = { "bad_sid", "sid is not that of the connection" },
	[WIRE_DROP_MAC] = { "bad_mac", "authentication tag wrong" },
	[WIRE_DROP_PLAIN] = { "bad_plain", "length or padding inside the seal wrong: a message that somebody cut" },
	[WIRE_DROP_SEQUENCE] = { "bad_sequence", "reliable sequence outside the receive window" },
	[WIRE_DROP_DUPLICATE] = { "duplicate", "reliable sequence that was delivered already, acknowledged again" },
	[WIRE_DROP_ADDRESS] = { "bad_address", "control packet from an address that is not the proven one" },
	[WIRE_DROP_UNPROVEN] = { "unproven",
				 "needs a proof of the address first: reliable data, chunks, any frame from a new address" },
	[WIRE_DROP_SPLIT] = { "bad_split", "split header impossible, or in contradiction to the open set" },
	[WIRE_DROP_SPLIT_LIMIT] = { "split_limit", "message in pieces beyond its limit of bytes or time" },
	[WIRE_DROP_ACK] = { "bad_ack", "acknowledgement of nothing in flight, or a wrong answer to a handshake" },
	[WIRE_DROP_CLOSED] = { "closed", "came to a connection that is closed" },
	[WIRE_DROP_MEMORY] = { "no_memory", "no memory or room for something that the other end repeats" },
};

const struct wire_drop_info *wire_drop_info(enum wire_drop d)
{
	return &drop_info[d];
}

void wire_limits_default(struct wire_limits *l)
{
	memset(l, 0, sizeof(*l));
	l->retry_interval_ms = 1000;
	l->max_retry = 10;
	l->ttl_ms = 10000;
	l->max_in_flight = 256;
	l->max_in_flight_bytes = 256 * 1024;
	l->max_queued_bytes = 1024 * 1024;
	l->max_frame = 64 * 1024;
	l->max_frame_out = 64 * 1024;
}

int wire_ctx_new(const struct wire_ctx_opts *opts, struct wire_ctx **ret_ctx)
{
	struct wire_ctx *ctx = wire_raw_alloc(opts, sizeof(*ctx));
	int rc = -ENOMEM;

	if (!ctx)
		return rc;
	memset(ctx, 0, sizeof(*ctx));
	ctx->opts = *opts;
	wire_ctx_set_limits(ctx, &opts->limits);
	ctx->scratch = wire_raw_alloc(opts, WIRE_SCRATCH_LEN);
	if (!ctx->scratch)
		goto fail;
	rc = opts->random(opts->arg, ctx->hash_key, sizeof(ctx->hash_key));
	if (rc < 0)
		goto fail;
	rc = wire_crypto_new(&ctx->crypto);
	if (rc < 0)
		goto fail;
	*ret_ctx = ctx;
	return 0;
fail:
	if (ctx->scratch)
		wire_raw_free(opts, ctx->scratch, WIRE_SCRATCH_LEN);
	wire_raw_free(opts, ctx, sizeof(*ctx));
	return rc;
}

void wire_ctx_free(struct wire_ctx *ctx)
{
	struct wire_ctx_opts opts;

	if (!ctx)
		return;
	opts = ctx->opts;
	wire_pool_fini(ctx);
	wire_crypto_free(ctx->crypto);
	wire_raw_free(&opts, ctx->scratch, WIRE_SCRATCH_LEN);
	explicit_bzero(ctx, sizeof(*ctx));
	wire_raw_free(&opts, ctx, sizeof(*ctx));
}

const uint64_t *wire_ctx_drops(const struct wire_ctx *ctx)
{
	return ctx->drops;
}

const struct wire_stats *wire_ctx_stats(const struct wire_ctx *ctx)
{
	return &ctx->stats;
}

void wire_ctx_set_limits(struct wire_ctx *ctx, const struct wire_limits *limits)
{
	const uint32_t most = 0xffffff - 128; /* what the size field of a frame can say, sid and seal apart */

	ctx->limits = *limits;
	if (ctx->limits.max_frame > most)
		ctx->limits.max_frame = most;
	if (ctx->limits.max_frame_out > most)
		ctx->limits.max_frame_out = most;
}
