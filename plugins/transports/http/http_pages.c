/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin answers by itself: GET /healthcheck for load balancers, and GET /, one static page for the person who just
 * started a node and wonders what it can do. The page loads nothing from anywhere and runs no script; everything that comes from
 * plugins or from the request is escaped.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "http_server.h"

#define PAGE_MAX 65536

const char *http_date(struct http *http)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	uint64_t s = dk_wall_ns(http) / 1000000000;
	time_t t = (time_t)s;
	struct tm tm;

	if (s != http->date_s && gmtime_r(&t, &tm)) {
		http->date_s = s;
		/* Not strftime(): its names follow the locale. */
		snprintf(http->date, sizeof(http->date), "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * tm.tm_wday,
			 (unsigned)tm.tm_mday % 100, months + 3 * tm.tm_mon, (unsigned)(tm.tm_year + 1900) % 10000,
			 (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
	}
	return http->date;
}

size_t http_json_escape(char *buf, size_t cap, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *text && n + 7 <= cap; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\') {
			buf[n++] = '\\';
			buf[n++] = (char)c;
		} else if (c < 0x20) {
			memcpy(buf + n, "\\u00", 4);
			buf[n + 4] = hex[c >> 4];
			buf[n + 5] = hex[c & 15];
			n += 6;
		} else {
			buf[n++] = c < 0x7f ? (char)c : '?';
		}
	}
	buf[n] = '\0';
	return n;
}

/* ---- GET /healthcheck ---- */

static int on_healthcheck(void *self, struct dk_http_request *req)
{
	struct http *http = self;
	enum dk_node_state state = dk_node_state(http);
	const char *body = state == DK_TAKEN ? "{\"state\":\"TAKEN\"}\n" : "{\"state\":\"ONLINE\"}\n";

	if (dk_is_terminating(http) || state == DK_OFFLINE)
		return http->service.error(&http->service, req->id, 503,
					   "this node is OFFLINE: it finishes what it has and takes nothing new");
	return http->service.respond(&http->service, req->id, 200, "application/json", dk_str_c("Cache-Control: no-store\r\n"),
				     dk_slice_of(dk_str_c(body)));
}

/* ---- GET / ---- */

static void put(struct dk_writer *w, const char *markup)
{
	dk_wr_slice(w, dk_slice_of(dk_str_c(markup)));
}

static void put_text(struct dk_writer *w, dk_str text)
{
	for (size_t i = 0; i < text.n; i++) {
		switch (text.p[i]) {
		case '&':
			put(w, "&amp;");
			break;
		case '<':
			put(w, "&lt;");
			break;
		case '>':
			put(w, "&gt;");
			break;
		case '"':
			put(w, "&quot;");
			break;
		case '\'':
			put(w, "&#39;");
			break;
		default:
			dk_wr_u8(w, (uint8_t)text.p[i]);
		}
	}
}

static void put_cell(struct dk_writer *w, const char *text)
{
	put(w, "<td>");
	put_text(w, dk_str_c(text));
	put(w, "</td>");
}

static const char page_head[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>diarkis node</title>\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
	"body { font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }\n"
	"table { border-collapse: collapse } td { padding: .2rem 1.5rem .2rem 0; vertical-align: top }\n"
	"code, pre { font: 14px/1.5 monospace; background: #f2f2f2; padding: .1rem .3rem } pre { padding: .8rem; overflow: auto }\n"
	"@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } code, pre { background: #2a2a2a } }\n"
	"</style></head><body>\n<h1>This node is ";

static void put_plugins(struct http *http, struct dk_writer *w)
{
	const struct dk_plugin_desc *d;
	const char *instance;

	put(w, "<h2>What runs here</h2>\n<table>\n");
	for (size_t i = 0; (d = dk_plugin_at(http, i, &instance)) != NULL; i++) {
		put(w, "<tr>");
		put_cell(w, instance);
		put_cell(w, d->version ? d->version : "");
		put_cell(w, d->summary ? d->summary : "");
		put(w, "</tr>\n");
	}
	put(w, "</table>\n");
}

static void put_addresses(struct http *http, struct dk_writer *w)
{
	const char *instance, *role;
	const struct dk_addr *addr;
	char text[DK_ADDR_TEXT];

	put(w, "<h2>Where</h2>\n<table>\n");
	for (size_t i = 0; (addr = dk_announced_at(http, i, &instance, &role)) != NULL; i++) {
		dk_addr_format(addr, text);
		put(w, "<tr>");
		put_cell(w, instance);
		put_cell(w, role);
		put(w, "<td><code>");
		put(w, text);
		put(w, "</code></td></tr>\n");
	}
	put(w, "</table>\n");
}

/* The pattern as people read it, or with its examples in place of the names. */
static void put_pattern(struct dk_writer *w, const char *pattern, bool examples)
{
	struct http_piece piece;

	while (http_pattern_next(&pattern, &piece)) {
		bool name = piece.is_param && !(examples && piece.example.n);

		put(w, name ? "/{" : "/");
		put_text(w, piece.is_param && !name ? piece.example : piece.text);
		put(w, name ? "}" : "");
	}
}

static void put_routes(const struct http *http, struct dk_writer *w)
{
	put(w, "<h2>What it answers</h2>\n<table>\n");
	for (const struct http_route *r = http->routes; r; r = r->next) {
		if (!r->help)
			continue;
		put(w, "<tr>");
		put_cell(w, r->method);
		put(w, "<td><code>");
		put_pattern(w, r->pattern, false);
		put(w, "</code></td>");
		put_cell(w, r->help);
		put(w, "</tr>\n");
	}
	put(w, "</table>\n");
}

/* A Host header that names a host and nothing else; otherwise our own address. */
static void put_host(struct http *http, const struct dk_http_request *req, struct dk_writer *w)
{
	dk_str host = http->service.header(&http->service, req, "Host");
	char text[DK_ADDR_TEXT];
	size_t i = 0;

	while (i < host.n && (strchr(".-:[]", host.p[i]) || (host.p[i] >= '0' && host.p[i] <= '9') ||
			      ((host.p[i] | 0x20) >= 'a' && (host.p[i] | 0x20) <= 'z')))
		i++;
	if (!i || i < host.n || host.n > 255) {
		dk_addr_format(dk_listener_addr(http->listener), text);
		host = dk_str_c(text);
	}
	put_text(w, host);
}

static void put_next_steps(struct http *http, const struct dk_http_request *req, struct dk_writer *w)
{
	put(w, "<h2>What to try next</h2>\n<pre>");
	for (const struct http_route *r = http->routes; r; r = r->next) {
		if (!r->help || strcmp(r->method, "GET") != 0 || strcmp(r->pattern, "/") == 0)
			continue;
		put(w, "curl -g http://");
		put_host(http, req, w);
		put_pattern(w, r->pattern, true);
		put(w, "\n");
	}
	put(w, "</pre>\n");
}

static int on_start_page(void *self, struct dk_http_request *req)
{
	static const char headers[] = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
				      "form-action 'none'; frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n"
				      "Cache-Control: no-store\r\n";
	struct http *http = self;
	enum dk_node_state state = dk_node_state(http);
	void *page = dk_alloc(http, PAGE_MAX);
	struct dk_writer w = dk_writer_on(page, PAGE_MAX);
	int rc;

	if (!page)
		return -ENOMEM;
	put(&w, page_head);
	put(&w, dk_is_terminating(http) || state == DK_OFFLINE ? "OFFLINE" : state == DK_TAKEN ? "TAKEN" : "ONLINE");
	put(&w, "</h1>\n");
	put_next_steps(http, req, &w);
	put_addresses(http, &w);
	put_plugins(http, &w);
	put_routes(http, &w);
	put(&w, "</body></html>\n");
	rc = w.bad ? -EOVERFLOW
		   : http->service.respond(&http->service, req->id, 200, "text/html; charset=utf-8", dk_str_c(headers),
					   dk_written(&w));
	dk_free(http, page, PAGE_MAX);
	return rc;
}

int http_add_pages(struct http *http)
{
	const struct http_conf *conf = http->base.conf;
	int rc = http->service.route(&http->service, http, "GET", "/healthcheck",
				     "200 while this node takes users, 503 when it is OFFLINE", on_healthcheck);

	if (rc == 0 && conf->start_page)
		rc = http->service.route(&http->service, http, "GET", "/", "this page", on_start_page);
	return rc;
}
