/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests out of hostile bytes. The first byte says in what pieces the rest arrives; the pieces must make no difference:
 * the same bytes at once end in the same verdict, the same body and the same length. What was accepted must be unambiguous by
 * rules that are checked here again, without the parser.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plugins/transports/http/http_head.h"
#include "plugins/transports/http/http_route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

struct outcome {
	enum http_verdict v;
	size_t head_n, took, body_n;
	uint64_t body_sum;
};

static void check_head(const struct http_head *h, const uint8_t *head, size_t n)
{
	dk_str length = http_head_field(h, head, "content-length"), coding = http_head_field(h, head, "transfer-encoding");
	dk_str target = dk_str_n((const char *)head + h->target.at, h->target.n);
	struct http_path path;
	char *buf = malloc(target.n + 1);

	MUST(memchr(head, 0, n) == NULL);
	for (size_t i = 0; i < n; i++) {
		MUST(head[i] != '\r' || (i + 1 < n && head[i + 1] == '\n'));
		MUST(head[i] != '\n' || (i && head[i - 1] == '\r'));
	}
	MUST(!(length.p && coding.p));
	MUST(h->minor == 0 || http_head_field(h, head, "host").p);
	MUST(!coding.p || (coding.n == 7 && strncasecmp(coding.p, "chunked", 7) == 0));
	for (unsigned i = 0; i < h->field_n; i++) {
		MUST((size_t)h->name[i].at + h->name[i].n <= n && h->name[i].n);
		MUST((size_t)h->value[i].at + h->value[i].n <= n);
	}
	if (http_path_read(&path, target, buf)) {
		MUST(path.whole.n <= target.n && path.whole.n && path.whole.p[0] == '/');
		MUST(memchr(path.whole.p, 0, path.whole.n) == NULL);
		(void)http_pattern_match("/endpoint/type/{type}/user/{uid}", &path);
	}
	free(buf);
}

static struct outcome run(const uint8_t *data, size_t size, size_t step)
{
	struct http_scan scan = { 0, 0 };
	struct outcome o = { .v = HTTP_MORE };
	struct http_head h;
	size_t have = 0, len = 0, r, w;
	uint8_t *buf = malloc(size ? size : 1);

	memcpy(buf, data, size);
	while (o.v == HTTP_MORE && have < size) {
		have = size - have < step ? size : have + step;
		o.v = http_head_scan(&scan, buf, have, &len);
	}
	if (o.v != HTTP_DONE)
		goto out;
	MUST(len >= 2 && len <= have && len <= HTTP_HEAD_MAX);
	o.head_n = len;
	o.v = http_head_parse(&h, buf, len);
	if (o.v != HTTP_DONE)
		goto out;
	check_head(&h, buf, len);
	r = w = len;
	o.v = h.complete ? HTTP_DONE : HTTP_MORE;
	while (o.v == HTTP_MORE && r < size) {
		size_t left = size - r < step ? size - r : step, put = 0, used = 0;

		o.v = http_body(&h, buf + w, buf + r, left, &put, &used);
		MUST(put <= left && used <= left && w + put <= r + left);
		w += put;
		r += used;
	}
	if (o.v == HTTP_DONE) {
		MUST(w - len == h.body_n && h.body_n <= HTTP_BODY_MAX);
		o.took = r;
		o.body_n = h.body_n;
		for (size_t i = 0; i < o.body_n; i++)
			o.body_sum = o.body_sum * 31 + buf[len + i];
	}
out:
	free(buf);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, pieces;

	if (!size)
		return 0;
	whole = run(data + 1, size - 1, size);
	pieces = run(data + 1, size - 1, (size_t)data[0] % 61 + 1);
	MUST(whole.v == pieces.v && whole.head_n == pieces.head_n);
	MUST(whole.took == pieces.took && whole.body_n == pieces.body_n && whole.body_sum == pieces.body_sum);
	MUST(whole.v <= HTTP_MORE || http_verdict_status(whole.v) >= 400);
	return 0;
}
