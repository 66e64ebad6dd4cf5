/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llhttp and the fence around it. Request smuggling lives from two parsers that read the same bytes differently, so whatever
 * is read differently in the wild is refused instead of understood: bare CR and LF, folded lines, control characters, a
 * second Host, Content-Length beside Transfer-Encoding, any coding but chunked, chunk extensions, trailers. Debian 12 ships
 * llhttp 8.1.0, which lets a bare CR split a header and glues folded lines; the scan runs first, over the whole head, so the
 * parser never meets them.
 *
 * The parser's spans are kept as offsets: the caller may move the bytes (not the struct) between calls.
 */
#include "http_head.h"

#include <strings.h>

static const struct {
	int status;
	const char *text;
} refusals[] = {
#define X(name, status, text) { status, text },
	HTTP_REFUSALS(X)
#undef X
};

int http_verdict_status(enum http_verdict v)
{
	return v > HTTP_REFUSED_FIRST && v < HTTP_REFUSED_END ? refusals[v - HTTP_REFUSED_FIRST - 1].status : 0;
}

const char *http_verdict_text(enum http_verdict v)
{
	return v > HTTP_REFUSED_FIRST && v < HTTP_REFUSED_END ? refusals[v - HTTP_REFUSED_FIRST - 1].text : "";
}

enum http_verdict http_head_scan(struct http_scan *scan, const uint8_t *p, size_t n, size_t *ret_len)
{
	size_t max = n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX, i = scan->at, line = scan->line;

	for (; i < max; i++) {
		uint8_t c = p[i];

		if (c == '\r') {
			if (i + 1 == max)
				break; /* its LF is still to come */
			if (p[i + 1] != '\n')
				return HTTP_BAD_bare_cr;
			if (i == line) {
				*ret_len = i + 2;
				return HTTP_DONE;
			}
			line = ++i + 1;
		} else if (c == '\n') {
			return HTTP_BAD_bare_lf;
		} else if (i == line && (c == ' ' || c == '\t')) {
			return HTTP_BAD_folded;
		} else if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return HTTP_BAD_control;
		}
	}
	if (n >= HTTP_HEAD_MAX)
		return HTTP_BAD_head_long;
	scan->at = (uint16_t)i;
	scan->line = (uint16_t)line;
	return HTTP_MORE;
}

/* ---- llhttp's callbacks; all spans of one head come from one buffer ---- */

static int refuse(struct http_head *h, enum http_verdict why)
{
	h->why = why;
	return HPE_USER;
}

/* A span may be told in several adjoining pieces. */
static void grow(struct http_span *s, const struct http_head *h, const char *at, size_t n)
{
	if (!s->n)
		s->at = (uint16_t)((const uint8_t *)at - h->base);
	s->n = (uint16_t)(s->n + n);
}

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
	struct http_head *h = parser->data;

	grow(&h->target, h, at, n);
	return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t n)
{
	struct http_head *h = parser->data;

	if (h->complete || !h->base)
		return refuse(h, HTTP_BAD_chunks); /* a trailer */
	if (h->in_value || !h->field_n) {
		if (h->field_n == HTTP_FIELDS_MAX)
			return refuse(h, HTTP_BAD_fields);
		h->field_n++;
		h->in_value = false;
	}
	grow(&h->name[h->field_n - 1], h, at, n);
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
	struct http_head *h = parser->data;

	if (!h->field_n)
		return refuse(h, HTTP_BAD_syntax);
	h->in_value = true;
	grow(&h->value[h->field_n - 1], h, at, n);
	return 0;
}

static int on_value_complete(llhttp_t *parser)
{
	struct http_head *h = parser->data;

	h->in_value = true; /* an empty value has no span */
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	struct http_head *h = parser->data;

	/* Nobody upgrades here: an Upgrade header is ignored, as the standard allows; the message ends where its length says. */
	parser->upgrade = 0;
	/* Taken now: the parser clears its flags when the message turns out to have no body. */
	h->chunked = (parser->flags & F_CHUNKED) != 0;
	h->keep_alive = llhttp_should_keep_alive(parser) != 0;
	if (parser->flags & F_CONTENT_LENGTH)
		h->length = parser->content_length;
	return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
	struct http_head *h = parser->data;

	if (n > HTTP_BODY_MAX - h->body_n)
		return refuse(h, HTTP_BAD_body_long);
	memmove(h->body, at, n);
	h->body += n;
	h->body_n += n;
	return 0;
}

static int on_chunk_header(llhttp_t *parser)
{
	struct http_head *h = parser->data;

	return parser->content_length > HTTP_BODY_MAX - h->body_n ? refuse(h, HTTP_BAD_body_long) : 0;
}

static int on_extension(llhttp_t *parser, const char *at, size_t n)
{
	(void)at;
	(void)n;
	return refuse(parser->data, HTTP_BAD_chunks);
}

static int on_message_complete(llhttp_t *parser)
{
	struct http_head *h = parser->data;

	h->complete = true;
	return h->base ? 0 : HPE_PAUSED; /* in a body: stop right here, the next request may follow */
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_chunk_header = on_chunk_header,
	.on_chunk_extension_name = on_extension,
	.on_chunk_extension_value = on_extension,
	.on_message_complete = on_message_complete,
};

static enum http_verdict why_of(const struct http_head *h, llhttp_errno_t err)
{
	switch (err) {
	case HPE_USER:
		return h->why;
	case HPE_INVALID_VERSION:
		return HTTP_BAD_version;
	case HPE_UNEXPECTED_CONTENT_LENGTH:
	case HPE_INVALID_CONTENT_LENGTH:
	case HPE_INVALID_TRANSFER_ENCODING:
		return HTTP_BAD_length;
	default:
		/* A refusal out of a callback without data has a code of its own. */
		return h->why ? h->why : HTTP_BAD_syntax;
	}
}

/* ---- the rules that are left to us ---- */

static bool is_word(dk_str s, const char *word)
{
	size_t i = 0;

	for (; i < s.n; i++) {
		char c = s.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (!word[i] || c != word[i])
			return false;
	}
	return !word[i];
}

static dk_str text_of(const uint8_t *head, struct http_span s)
{
	return dk_str_n((const char *)head + s.at, s.n);
}

/* Blanks around a value belong to nobody. */
static void trim(struct http_span *s, const uint8_t *head)
{
	while (s->n && (head[s->at] == ' ' || head[s->at] == '\t')) {
		s->at++;
		s->n--;
	}
	while (s->n && (head[s->at + s->n - 1] == ' ' || head[s->at + s->n - 1] == '\t'))
		s->n--;
}

static enum http_verdict check_fields(struct http_head *h, const uint8_t *head)
{
	unsigned lengths = 0;

	for (unsigned i = 0; i < h->field_n; i++) {
		dk_str name = text_of(head, h->name[i]), value;

		/* llhttp, unless built strict, lets "Host :" pass as a name that ends in a blank. */
		if (!name.n || memchr(name.p, ' ', name.n) || memchr(name.p, '\t', name.n))
			return HTTP_BAD_syntax;
		trim(&h->value[i], head);
		value = text_of(head, h->value[i]);
		if (is_word(name, "host")) {
			h->hosts += h->hosts < 2;
		} else if (is_word(name, "content-length")) {
			lengths++;
		} else if (is_word(name, "transfer-encoding")) {
			h->encodings += h->encodings < 2;
			if (!is_word(value, "chunked"))
				return HTTP_BAD_length;
		} else if (is_word(name, "expect")) {
			if (!is_word(value, "100-continue"))
				return HTTP_BAD_expect;
			h->wants_continue = h->minor > 0;
		}
	}
	if (h->hosts > 1 || (h->minor && !h->hosts))
		return HTTP_BAD_host;
	if (lengths > 1 || h->encodings > 1 || (lengths && h->encodings) || (h->encodings && !h->minor))
		return HTTP_BAD_length;
	return HTTP_DONE;
}

enum http_verdict http_head_parse(struct http_head *h, const uint8_t *p, size_t n)
{
	llhttp_errno_t err;
	enum http_verdict v;

	memset(h, 0, sizeof(*h));
	llhttp_init(&h->parser, HTTP_REQUEST, &settings);
	h->parser.data = h;
	h->base = p;
	err = llhttp_execute(&h->parser, (const char *)p, n);
	h->base = NULL;
	if (err != HPE_OK)
		return why_of(h, err);
	if (!h->target.n)
		return HTTP_BAD_syntax;
	if (h->parser.http_major != 1 || h->parser.http_minor > 1)
		return HTTP_BAD_version;
	h->minor = h->parser.http_minor;
	v = check_fields(h, p);
	if (v != HTTP_DONE)
		return v;
	if (h->length > HTTP_BODY_MAX)
		return HTTP_BAD_body_long;
	/* Should the parser and the rules above ever disagree about a body, nobody gets to exploit it. */
	if (h->chunked != (h->encodings == 1) || h->complete != (!h->chunked && !h->length))
		return HTTP_BAD_length;
	return HTTP_DONE;
}

const char *http_head_method(const struct http_head *h)
{
	return llhttp_method_name((llhttp_method_t)h->parser.method);
}

dk_str http_head_field(const struct http_head *h, const uint8_t *head, const char *name)
{
	size_t n = strlen(name);

	for (unsigned i = 0; i < h->field_n; i++) {
		dk_str have = text_of(head, h->name[i]);

		if (have.n == n && strncasecmp(have.p, name, n) == 0)
			return text_of(head, h->value[i]);
	}
	return dk_str_n(NULL, 0);
}

enum http_verdict http_body(struct http_head *h, uint8_t *to, const uint8_t *p, size_t n, size_t *ret_to, size_t *ret_used)
{
	size_t before = h->body_n;
	llhttp_errno_t err;

	h->body = to;
	err = llhttp_execute(&h->parser, (const char *)p, n);
	h->body = NULL;
	if (err == HPE_PAUSED && h->complete) {
		*ret_to = h->body_n - before;
		*ret_used = (size_t)(llhttp_get_error_pos(&h->parser) - (const char *)p);
		return HTTP_DONE;
	}
	if (err != HPE_OK)
		return h->why ? h->why : HTTP_BAD_chunks;
	*ret_to = h->body_n - before;
	*ret_used = n;
	return HTTP_MORE;
}
