/* SPDX-License-Identifier: Apache-2.0 */
/* The context: what many clients of one thread share. Also the words for reasons, which belong to nobody. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "priv.h"

void dkc_ctx_opts_default(struct dkc_ctx_opts *opts)
{
	struct wire_limits l;

	wire_limits_default(&l);
	memset(opts, 0, sizeof(*opts));
	opts->ttl_ms = 25000; /* five heartbeats */
	opts->retry_interval_ms = l.retry_interval_ms;
	opts->max_retry = l.max_retry;
	opts->max_frame = l.max_frame;
}

static int system_random(void *arg, void *buf, size_t n)
{
	(void)arg;
	for (uint8_t *p = buf; n;) {
		ssize_t k = getrandom(p, n, 0);

		if (k < 0 && errno != EINTR)
			return -errno;
		if (k > 0) {
			p += k;
			n -= (size_t)k;
		}
	}
	return 0;
}

int dkc_ctx_new(const struct dkc_ctx_opts *opts, struct dkc_ctx **ret_ctx)
{
	struct dkc_ctx *ctx = calloc(1, sizeof(*ctx));
	struct wire_ctx_opts o = { .random = system_random };
	int rc;

	if (!ctx)
		return -ENOMEM;
	if (opts)
		ctx->opts = *opts;
	else
		dkc_ctx_opts_default(&ctx->opts);
	wire_limits_default(&o.limits);
	o.limits.ttl_ms = ctx->opts.ttl_ms;
	o.limits.retry_interval_ms = ctx->opts.retry_interval_ms;
	o.limits.max_retry = ctx->opts.max_retry;
	o.limits.flush_ms = ctx->opts.send_interval_ms;
	o.limits.max_frame = o.limits.max_frame_out = ctx->opts.max_frame;
	if (ctx->opts.random) {
		o.random = ctx->opts.random;
		o.arg = ctx->opts.arg;
	}
	ctx->limits = o.limits;
	rc = wire_ctx_new(&o, &ctx->wire);
	if (rc) {
		free(ctx);
		return rc;
	}
	*ret_ctx = ctx;
	return 0;
}

void dkc_ctx_free(struct dkc_ctx *ctx)
{
	if (!ctx)
		return;
	wire_ctx_free(ctx->wire);
	free(ctx);
}

void dkc_ctx_stats(const struct dkc_ctx *ctx, struct dkc_stats *ret_stats)
{
	const struct wire_stats *s = wire_ctx_stats(ctx->wire);
	const uint64_t *drops = wire_ctx_drops(ctx->wire);
	struct dkc_stats r = { .datagrams_in = s->datagrams_in,
			       .datagrams_out = s->datagrams_out,
			       .frames_in = s->frames_in,
			       .frames_out = s->frames_out,
			       .resends = s->resends,
			       .moves = ctx->n.moves,
			       .sent_again = ctx->n.sent_again,
			       .takeovers = ctx->n.takeovers,
			       .given_up = ctx->n.given_up,
			       .rooms_lost = ctx->n.rooms_lost };

	for (int i = 0; i < WIRE_DROPS; i++)
		r.dropped += i == WIRE_DROP_DUPLICATE ? 0 : drops[i];
	*ret_stats = r;
}

const char *dkc_reason_text(enum dkc_reason reason)
{
	switch (reason) {
	case DKC_BY_CLIENT:
		return "this client said goodbye";
	case DKC_BY_SERVER:
		return "the server said goodbye";
	case DKC_KILLED:
		return "the server does not know this connection (any more)";
	case DKC_SILENCE:
		return "the server was silent for too long";
	case DKC_RETRY:
		return "reliable frames were not acknowledged";
	case DKC_UNREACHABLE:
		return "the server cannot be reached";
	case DKC_BROKEN:
		return "what came in is not of this protocol";
	}
	return "unknown reason";
}
