/* SPDX-License-Identifier: Apache-2.0 */
/* What comes over TCP, in pieces of any length: the beginning of a frame is kept until the rest of it is there. */
#include <stdlib.h>

#include "priv.h"

#define REST_CHUNK 4096

/* Keeps what is no whole frame yet. False: no memory. */
static bool keep_rest(struct dkc_client *c, dk_slice bytes)
{
	if (c->rest_n + bytes.n > c->rest_cap) {
		size_t cap = c->rest_cap ? c->rest_cap : REST_CHUNK;
		uint8_t *p;

		while (cap < c->rest_n + bytes.n)
			cap *= 2;
		p = realloc(c->rest, cap);
		if (!p)
			return false;
		c->rest = p;
		c->rest_cap = cap;
	}
	memcpy(c->rest + c->rest_n, bytes.p, bytes.n);
	c->rest_n += bytes.n;
	return true;
}

void client_feed_stream(struct dkc_client *c, dk_slice bytes, const struct wire_events *ev)
{
	dk_slice all = bytes;
	int used;

	if (c->rest_n) {
		if (!keep_rest(c, bytes))
			goto broken;
		all = dk_slice_n(c->rest, c->rest_n);
	}
	used = wire_stream_feed(c->ctx->wire, &c->wire.stream, all, ev);
	if (used < 0)
		goto broken;
	all = dk_slice_n(all.p + used, all.n - (size_t)used);
	if (!c->rest_n) {
		if (all.n && !keep_rest(c, all))
			goto broken;
		return;
	}
	memmove(c->rest, all.p, all.n);
	c->rest_n = all.n;
	return;
broken:
	if (!c->ending)
		c->ending = DKC_BROKEN;
}
