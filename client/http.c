/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads HTTP/1.1 answers: status line, the three headers that matter, a body by Content-Length, in chunks or until the end of
 * the connection. Byte by byte over the head, whole runs over the body. Whatever is not plainly right is refused: a client
 * has no business guessing. Sockets live in http_get.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include <diarkis/client_http.h>

enum step { STATUS = 0, HEADER, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, DONE };

static bool parse_status(struct dkc_http *h)
{
	const char *p = h->line;

	/* "HTTP/1.1 200 OK"; the text after the number may be missing */
	if (h->line_n < 12 || memcmp(p, "HTTP/1.", 7) != 0 || (p[7] != '0' && p[7] != '1') || p[8] != ' ')
		return false;
	h->status = 0;
	for (int i = 9; i < 12; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		h->status = h->status * 10 + (p[i] - '0');
	}
	if (h->line_n > 12 && p[12] != ' ')
		return false;
	h->close = p[7] == '0';
	return h->status >= 100;
}

/* The value of header name when this line is that header. */
static bool is_header(const struct dkc_http *h, const char *name, dk_str *ret_value)
{
	size_t n = strlen(name);
	dk_str v;

	if (h->line_n <= n || h->line[n] != ':' || strncasecmp(h->line, name, n) != 0)
		return false;
	v = dk_str_n(h->line + n + 1, h->line_n - n - 1);
	while (v.n && (v.p[0] == ' ' || v.p[0] == '\t')) {
		v.p++;
		v.n--;
	}
	while (v.n && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
		v.n--;
	*ret_value = v;
	return true;
}

static bool value_is(dk_str v, const char *word)
{
	return v.n == strlen(word) && strncasecmp(v.p, word, v.n) == 0;
}

static bool parse_header(struct dkc_http *h)
{
	dk_str v;

	if (is_header(h, "content-length", &v)) {
		uint64_t n = 0;

		if (!v.n || v.n > 10)
			return false;
		for (size_t i = 0; i < v.n; i++) {
			if (v.p[i] < '0' || v.p[i] > '9')
				return false;
			n = n * 10 + (uint64_t)(v.p[i] - '0');
		}
		if (n > DKC_HTTP_BODY_MAX || (!h->until_close && n != h->left))
			return false;
		h->left = n;
		h->until_close = false;
	} else if (is_header(h, "transfer-encoding", &v)) {
		if (!value_is(v, "chunked"))
			return false;
		h->chunked = true;
	} else if (is_header(h, "connection", &v)) {
		if (value_is(v, "close"))
			h->close = true;
		else if (value_is(v, "keep-alive"))
			h->close = false;
	}
	return memchr(h->line, ':', h->line_n) != NULL;
}

static void end_of_head(struct dkc_http *h)
{
	if (h->status < 200) { /* "100 Continue": the real answer follows */
		h->step = STATUS;
		h->status = 0;
	} else if (h->status == 204 || h->status == 304) {
		h->until_close = false;
		h->step = DONE;
	} else if (h->chunked) {
		h->until_close = false;
		h->step = CHUNK_SIZE;
	} else {
		h->step = h->until_close || h->left ? BODY : DONE;
		h->close = h->close || h->until_close;
	}
}

static bool parse_chunk_size(struct dkc_http *h)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < h->line_n && i < 8; i++) {
		char c = h->line[i];

		if (c >= '0' && c <= '9')
			n = n << 4 | (uint64_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			n = n << 4 | (uint64_t)((c | 0x20) - 'a' + 10);
		else
			break;
	}
	if (i == 0 || (i < h->line_n && h->line[i] != ';' && h->line[i] != ' '))
		return false;
	h->left = n;
	h->step = n ? CHUNK_DATA : TRAILER;
	return true;
}

/* A whole line is in h->line, its end cut off. */
static bool parse_line(struct dkc_http *h)
{
	switch (h->step) {
	case STATUS:
		if (!parse_status(h))
			return false;
		h->step = HEADER;
		h->until_close = true;
		return true;
	case HEADER:
		if (h->line_n)
			return parse_header(h);
		end_of_head(h);
		return true;
	case CHUNK_SIZE:
		return parse_chunk_size(h);
	case CHUNK_END:
		h->step = CHUNK_SIZE;
		return h->line_n == 0;
	default: /* TRAILER */
		if (!h->line_n)
			h->step = DONE;
		return true;
	}
}

static bool take_body(struct dkc_http *h, const uint8_t *p, size_t n)
{
	if (h->body_n + n > DKC_HTTP_BODY_MAX)
		return false;
	if (h->body_n + n + 1 > h->body_cap) {
		size_t cap = h->body_cap ? h->body_cap : 512;
		char *q;

		while (cap < h->body_n + n + 1)
			cap *= 2;
		q = realloc(h->body, cap);
		if (!q)
			return false;
		h->body = q;
		h->body_cap = cap;
	}
	memcpy(h->body + h->body_n, p, n);
	h->body_n += n;
	h->body[h->body_n] = '\0';
	return true;
}

long dkc_http_feed(struct dkc_http *h, dk_slice bytes, bool *ret_done)
{
	const uint8_t *p = bytes.p, *end = bytes.p + bytes.n;

	while (p < end && h->step != DONE) {
		if (h->step == BODY || h->step == CHUNK_DATA) {
			size_t n = (size_t)(end - p);

			if (!h->until_close && n > h->left)
				n = (size_t)h->left;
			if (!take_body(h, p, n))
				return -EBADMSG;
			p += n;
			if (!h->until_close) {
				h->left -= n;
				if (!h->left)
					h->step = h->step == BODY ? DONE : CHUNK_END;
			}
			continue;
		}
		/* chunk sizes count here too */
		if (++h->head_n > DKC_HTTP_HEAD_MAX + (h->step > HEADER ? DKC_HTTP_BODY_MAX : 0))
			return -EBADMSG;
		if (*p == '\n') {
			if (h->line_n && h->line[h->line_n - 1] == '\r')
				h->line_n--;
			if (!parse_line(h))
				return -EBADMSG;
			h->line_n = 0;
		} else if (h->line_n < sizeof(h->line)) {
			h->line[h->line_n++] = (char)*p;
		} else {
			return -EBADMSG;
		}
		p++;
	}
	*ret_done = h->step == DONE;
	return (long)(p - bytes.p);
}

bool dkc_http_end(struct dkc_http *h)
{
	if (h->step == BODY && h->until_close)
		h->step = DONE;
	return h->step == DONE;
}

void dkc_http_reset(struct dkc_http *h)
{
	char *body = h->body;
	size_t cap = h->body_cap;

	memset(h, 0, sizeof(*h));
	h->body = body;
	h->body_cap = cap;
}

void dkc_http_fini(struct dkc_http *h)
{
	free(h->body);
	memset(h, 0, sizeof(*h));
}

bool dkc_http_url(dk_str url, dk_str *ret_host, uint16_t *ret_port, dk_str *ret_path)
{
	static const char scheme[] = "http://";
	const char *end = url.p + url.n, *p, *slash, *colon;
	dk_str host;
	uint32_t port = 80;

	if (url.n < sizeof(scheme) || strncasecmp(url.p, scheme, sizeof(scheme) - 1) != 0)
		return false;
	p = url.p + sizeof(scheme) - 1;
	slash = memchr(p, '/', (size_t)(end - p));
	if (!slash)
		slash = end;
	host = dk_str_n(p, (size_t)(slash - p));
	colon = memrchr(host.p, ':', host.n);
	if (colon && !(host.p[0] == '[' && host.p[host.n - 1] == ']')) {
		port = 0;
		for (const char *d = colon + 1; d < slash; d++) {
			if (*d < '0' || *d > '9' || port > 65535)
				return false;
			port = port * 10 + (uint32_t)(*d - '0');
		}
		if (port < 1 || port > 65535)
			return false;
		host.n = (size_t)(colon - host.p);
	}
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = dk_str_n(host.p + 1, host.n - 2);
	if (!host.n || host.n > DKC_HOST_MAX)
		return false;
	*ret_host = host;
	*ret_port = (uint16_t)port;
	*ret_path = slash < end ? dk_str_n(slash, (size_t)(end - slash)) : dk_str_c("/");
	return true;
}

size_t dkc_endpoint_path(const char *type, const char *uid, char *dst, size_t cap)
{
	static const char hex[] = "0123456789ABCDEF";
	const char *parts[] = { "/endpoint/type/", type, "/user/", uid };
	size_t n = 0;

	for (size_t i = 0; i < DK_ARRAY_LEN(parts); i++) {
		for (const unsigned char *p = (const unsigned char *)parts[i]; *p; p++) {
			bool plain = (*p >= '0' && *p <= '9') || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') || strchr("-._~", *p) ||
				     (*p == '/' && i % 2 == 0);
			size_t k = plain ? 1 : 3;

			if (n + k < cap) {
				dst[n] = plain ? (char)*p : '%';
				if (!plain) {
					dst[n + 1] = hex[*p >> 4];
					dst[n + 2] = hex[*p & 15];
				}
			}
			n += k;
		}
	}
	if (cap)
		dst[n < cap ? n : 0] = '\0';
	return n;
}
