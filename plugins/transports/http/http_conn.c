/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a connection: bytes in, one request at a time, answers out in order. A request is read whole (head, then body,
 * decoded in place) before its handler runs; while a handler takes its time nothing more is read. Every state has one deadline,
 * absolute, on the connection's only timer.
 *
 * After an answer that ends a connection whose input was not read to its end, the connection lingers: it throws input away
 * until the client closes or the time is up, because closing at once would reset the connection and the answer with it.
 *
 * Limits count connections that are open; one that was told to close is forgotten at once.
 */
#include <stdio.h>

#include "http_server.h"

#define INPUT_MAX (256 * 1024) /* a head, a body and what a client pipelines behind it before its reading is stopped */
#define OUTPUT_HIGH (256 * 1024) /* with so much waiting, no further request is begun */
#define REQUESTS_A_GO 16 /* pipelined requests answered before other connections get their turn */

static void run(struct http_conn *c);
static void on_timer(void *self, struct dk_timer *t);

static const struct http_conf *conf_of(const struct http *http)
{
	return http->base.conf;
}

/* ---- lists, counts, states ---- */

static void unlink_conn(struct http_conn *c)
{
	struct http_conn_list *list = c->state == CONN_IDLE ? &c->http->idle : &c->http->busy;

	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	else
		list->last = c->link;
}

static void link_conn(struct http_conn *c)
{
	struct http_conn_list *list = c->state == CONN_IDLE ? &c->http->idle : &c->http->busy;

	c->next = NULL;
	c->link = list->last;
	*list->last = c;
	list->last = &c->next;
}

/* ms 0: the timer stays as it is. */
static void enter(struct http_conn *c, enum http_state state, uint64_t ms)
{
	unlink_conn(c);
	c->state = (uint8_t)state;
	link_conn(c);
	if (ms)
		dk_timer_start(c->http, &c->timer, ms, 0, on_timer);
}

static struct http_origin **origin_of(struct http *http, const struct dk_addr *from)
{
	uint8_t ip[16] = { 0 };
	struct http_origin **link, *o;

	memcpy(ip, from->ip, from->family == 6 ? 8 : 4);
	link = &http->origins[dk_hash(http, dk_slice_n(ip, sizeof(ip))) & (HTTP_ORIGIN_CHAINS - 1)];
	for (; *link; link = &(*link)->next)
		if (memcmp((*link)->ip, ip, sizeof(ip)) == 0)
			return link;
	o = dk_pool_get(&http->origin_pool);
	if (!o)
		return NULL;
	memcpy(o->ip, ip, sizeof(ip));
	*link = o;
	return link;
}

static void drop_origin_if_empty(struct http *http, struct http_origin **link)
{
	struct http_origin *o = *link;

	if (o->n)
		return;
	*link = o->next;
	dk_pool_put(&http->origin_pool, o);
}

static void uncount(struct http_conn *c)
{
	struct http *http = c->http;

	if (!c->counted)
		return;
	c->counted = false;
	c->origin->n--;
	drop_origin_if_empty(http, origin_of(http, dk_stream_peer(c->stream)));
	http->conn_n--;
	http->n.connections--;
}

static void release_work(struct http_conn *c)
{
	dk_pool_put(&c->http->works, c->work);
	c->work = NULL;
}

static void forget_request(struct http_conn *c)
{
	if (c->request)
		dk_table_remove(&c->http->pending, c->request);
	c->request = 0;
}

static void close_conn(struct http_conn *c, bool flush)
{
	if (c->state == CONN_CLOSED)
		return;
	forget_request(c);
	uncount(c);
	dk_timer_stop(&c->timer);
	enter(c, CONN_CLOSED, 0);
	dk_stream_close(c->stream, flush);
}

/* ---- answers ---- */

static const char *reason_of(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
		{ 200, "OK" },
		{ 204, "No Content" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 413, "Content Too Large" },
		{ 417, "Expectation Failed" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < DK_ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Answer";
}

static dk_str field_of(const struct http_conn *c, const char *name)
{
	return c->work ? http_head_field(&c->work->head, c->in + c->at, name) : dk_str_n(NULL, 0);
}

/* The origin to name in Access-Control-Allow-Origin; empty: none. */
static dk_str allowed_origin(const struct http_conn *c)
{
	const char *p = conf_of(c->http)->allow_origin;
	dk_str origin = field_of(c, "Origin");

	while (origin.n && p && *p) {
		size_t n = strcspn(p, " ");

		if (n == 1 && *p == '*')
			return dk_str_n(p, 1);
		if (n && dk_str_eq(origin, dk_str_n(p, n)))
			return dk_str_n(p, n);
		p += n + strspn(p + n, " ");
	}
	return dk_str_n(NULL, 0);
}

static void count_answer(struct http *http, int status)
{
	if (status < 400)
		http->n.ok++;
	else if (status < 500)
		http->n.client_errors++;
	else
		http->n.server_errors++;
}

static void log_answer(struct http_conn *c, int status)
{
	char from[DK_ADDR_TEXT];
	dk_str target = dk_str_n(NULL, 0);

	if (c->http->base.log_level > DK_NETWORK)
		return;
	dk_addr_format(dk_stream_peer(c->stream), from);
	if (c->work)
		target = dk_str_n((const char *)c->in + c->at + c->work->head.target.at, c->work->head.target.n);
	if (target.n > 200)
		target.n = 200;
	dk_log_write(c->http, DK_NETWORK, "%s %s " DK_STR_FMT " answered %d", from,
		     c->work ? http_head_method(&c->work->head) : "?", DK_STR_ARG(target), status);
}

/* False: it did not fit. */
static bool write_answer(struct http_conn *c, int status, const char *type, dk_str extra, dk_slice body, bool keep)
{
	bool head_only = c->work && strcmp(http_head_method(&c->work->head), "HEAD") == 0;
	dk_str origin = allowed_origin(c);
	size_t cap = 512 + strlen(type) + origin.n + extra.n + body.n, n;
	char *p = (char *)dk_stream_slot(c->stream, cap);

	if (!p)
		return false;
	n = (size_t)snprintf(p, cap, "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: %s\r\n", status, reason_of(status),
			     http_date(c->http), keep ? "keep-alive" : "close");
	if (status != 204)
		n += (size_t)snprintf(p + n, cap - n,
				      "Content-Type: %s\r\nContent-Length: %zu\r\nX-Content-Type-Options: nosniff\r\n", type,
				      body.n);
	if (origin.n)
		n += (size_t)snprintf(p + n, cap - n, "Access-Control-Allow-Origin: " DK_STR_FMT "\r\nVary: Origin\r\n",
				      DK_STR_ARG(origin));
	if (extra.n)
		memcpy(p + n, extra.p, extra.n);
	n += extra.n;
	memcpy(p + n, "\r\n", 2);
	n += 2;
	if (!head_only && status != 204 && body.n) {
		memcpy(p + n, body.p, body.n);
		n += body.n;
	}
	dk_stream_commit(c->stream, n);
	return true;
}

void http_answer(struct http_conn *c, int status, const char *type, dk_str extra, dk_slice body)
{
	struct http *http = c->http;
	bool whole = c->state == CONN_HANDLER; /* the request was read to its end */
	bool keep = whole && c->work->head.keep_alive && !http->stopping && !dk_is_terminating(http);

	count_answer(http, status);
	log_answer(c, status);
	forget_request(c);
	if (!write_answer(c, status, type, extra, body, keep)) {
		http->n.output_full++;
		close_conn(c, true); /* what was answered before still leaves */
		return;
	}
	if (keep) {
		c->at += c->work->read;
		release_work(c);
		enter(c, CONN_IDLE, (uint64_t)conf_of(http)->idle_s * 1000);
	} else if (whole && c->at + c->work->read == c->in_n) {
		close_conn(c, true);
	} else {
		enter(c, CONN_LINGER, HTTP_LINGER_MS);
	}
	if (!c->running)
		run(c);
}

void http_answer_error(struct http_conn *c, int status, dk_str extra, const char *sentence)
{
	char text[1024], body[1100];
	int n;

	http_json_escape(text, sizeof(text), sentence);
	n = snprintf(body, sizeof(body), "{\"error\":\"%s\",\"status\":%d}\n", text, status);
	http_answer(c, status, "application/json", extra, dk_slice_n(body, (size_t)n));
}

static void refuse(struct http_conn *c, enum http_verdict v)
{
	switch (v) {
#define X(name, status, text)                                                                                                      \
	case HTTP_BAD_##name:                                                                                                      \
		c->http->n.refused_##name++;                                                                                       \
		break;
		HTTP_REFUSALS(X)
#undef X
	default:
		break;
	}
	http_answer_error(c, http_verdict_status(v), dk_str_n(NULL, 0), http_verdict_text(v));
}

static void out_of_memory(struct http_conn *c)
{
	c->http->n.no_memory++;
	http_answer_error(c, 503, dk_str_n(NULL, 0), "this node is out of memory");
}

/* ---- a whole request ---- */

static void add_word(char *buf, size_t cap, const char *word)
{
	size_t n = strlen(buf);

	if (strstr(buf, word) == NULL)
		snprintf(buf + n, cap - n, "%s%s", n ? ", " : "", word);
}

/* The methods that have a route at that path: "GET, HEAD, POST". */
static void allowed_methods(const struct http *http, const struct http_path *path, char *buf, size_t cap)
{
	buf[0] = '\0';
	for (const struct http_route *r = http->routes; r; r = r->next) {
		if (!http_pattern_match(r->pattern, path))
			continue;
		add_word(buf, cap, r->method);
		if (strcmp(r->method, "GET") == 0)
			add_word(buf, cap, "HEAD");
	}
}

static void answer_no_route(struct http_conn *c, const struct http_path *path, const char *method)
{
	char methods[128], extra[512], sentence[512];
	dk_str wanted = field_of(c, "Access-Control-Request-Method"), names = field_of(c, "Access-Control-Request-Headers");
	int n;

	allowed_methods(c->http, path, methods, sizeof(methods));
	if (!methods[0]) {
		c->http->n.no_route++;
		snprintf(sentence, sizeof(sentence), "nothing is served at %.*s; GET / shows what is",
			 (int)(path->whole.n < 200 ? path->whole.n : 200), path->whole.p);
		http_answer_error(c, 404, dk_str_n(NULL, 0), sentence);
		return;
	}
	if (strcmp(method, "OPTIONS") == 0 && wanted.n && allowed_origin(c).n) {
		n = snprintf(
			extra, sizeof(extra),
			"Access-Control-Allow-Methods: %s\r\nAccess-Control-Allow-Headers: %.*s\r\nAccess-Control-Max-Age: 600\r\n",
			methods, (int)(names.n < 256 ? names.n : 0), names.p ? names.p : "");
		http_answer(c, 204, "", dk_str_n(extra, (size_t)n), dk_slice_n(NULL, 0));
		return;
	}
	c->http->n.no_method++;
	n = snprintf(extra, sizeof(extra), "Allow: %s\r\n", methods);
	snprintf(sentence, sizeof(sentence), "%s is not served at %.*s; served are %s", method,
		 (int)(path->whole.n < 200 ? path->whole.n : 200), path->whole.p, methods);
	http_answer_error(c, 405, dk_str_n(extra, (size_t)n), sentence);
}

static void call_handler(struct http_conn *c, struct http_exchange *x, const char *method, struct http_route *route)
{
	const struct http_work *w = c->work;
	struct dk_http_request req = { .method = dk_str_c(method), .path = x->path.whole, .query = x->path.query, .priv = x };
	struct http_pending *p = dk_table_add(&c->http->pending, &req.id);
	int rc;

	if (!p) {
		out_of_memory(c);
		return;
	}
	p->conn = c;
	p->route = route;
	c->request = req.id;
	req.body = dk_slice_n(c->in + c->at + w->head_n, w->put - w->head_n);
	req.from = dk_stream_peer(c->stream);
	rc = route->handler(route->self, &req);
	if (c->request != req.id || rc == DK_LATER)
		return;
	if (rc < 0)
		dk_log(c->http, DK_ERROR, "the handler of %s %s failed: %s", method, route->pattern, dk_err_text(rc));
	else
		dk_log(c->http, DK_ERROR, "the handler of %s %s returned %d without an answer", method, route->pattern, rc);
	http_answer_error(c, 500, dk_str_n(NULL, 0), "this request failed on the server's side; its log says why");
}

static void dispatch(struct http_conn *c)
{
	struct http *http = c->http;
	struct http_work *w = c->work;
	dk_str target = dk_str_n((const char *)c->in + c->at + w->head.target.at, w->head.target.n);
	const char *method = http_head_method(&w->head);
	struct http_exchange x = { .conn = c };
	struct http_route *route;
	char *buf;

	http->n.requests++;
	enter(c, CONN_HANDLER, (uint64_t)conf_of(http)->timeout * 1000);
	buf = dk_scratch(http, target.n);
	if (!buf) {
		out_of_memory(c);
		return;
	}
	if (!http_path_read(&x.path, target, buf)) {
		refuse(c, HTTP_BAD_target);
		return;
	}
	if (!http->started) {
		http->n.not_started++;
		http_answer_error(c, 503, dk_str_n(NULL, 0), "this node is still starting");
		return;
	}
	route = http_find_route(http, dk_str_c(method), &x.path);
	x.route = route;
	if (route)
		call_handler(c, &x, method, route);
	else
		answer_no_route(c, &x.path, method);
}

/* ---- reading ---- */

static void read_head(struct http_conn *c, size_t n)
{
	struct http_work *w = c->work = dk_pool_get(&c->http->works);
	enum http_verdict v;

	if (!w) {
		out_of_memory(c);
		return;
	}
	w->head_n = w->read = w->put = n;
	v = http_head_parse(&w->head, c->in + c->at, n);
	if (v != HTTP_DONE) {
		release_work(c);
		refuse(c, v);
		return;
	}
	if (w->head.complete) {
		dispatch(c);
		return;
	}
	enter(c, CONN_BODY, HTTP_BODY_MS);
	if (w->head.wants_continue && c->at + w->head_n == c->in_n)
		dk_stream_write(c->stream, dk_slice_of(dk_str_c("HTTP/1.1 100 Continue\r\n\r\n")));
}

/* True: there is more to do. */
static bool read_body(struct http_conn *c)
{
	struct http_work *w = c->work;
	uint8_t *base = c->in + c->at;
	size_t n = c->in_n - c->at - w->read, put = 0, used = 0;
	enum http_verdict v;

	if (!n)
		return false;
	v = http_body(&w->head, base + w->put, base + w->read, n, &put, &used);
	if (v > HTTP_MORE) {
		refuse(c, v);
		return false;
	}
	w->put += put;
	w->read += used;
	if (v == HTTP_DONE) {
		dispatch(c);
		return true;
	}
	/* What the chunks' sizes took is free again. */
	c->in_n = c->at + w->put;
	w->read = w->put;
	return false;
}

/* One step of the machine; true: call again. */
static bool step(struct http_conn *c)
{
	enum http_verdict v;
	size_t len = 0;

	switch (c->state) {
	case CONN_IDLE:
		/* Some clients send an empty line after a body. */
		while (c->in_n - c->at >= 2 && memcmp(c->in + c->at, "\r\n", 2) == 0)
			c->at += 2;
		if (c->at == c->in_n)
			return false;
		if (dk_stream_waiting(c->stream) > OUTPUT_HIGH) {
			enter(c, CONN_YIELD, 1);
			return false;
		}
		enter(c, CONN_HEAD, c->fresh ? 0 : HTTP_HEAD_MS);
		c->fresh = false;
		memset(&c->scan, 0, sizeof(c->scan));
		return true;
	case CONN_HEAD:
		v = http_head_scan(&c->scan, c->in + c->at, c->in_n - c->at, &len);
		if (v == HTTP_MORE)
			return false;
		if (v == HTTP_DONE) {
			read_head(c, len);
		} else {
			refuse(c, v);
		}
		return true;
	case CONN_BODY:
		return read_body(c);
	default:
		return false;
	}
}

/* What was dealt with leaves the buffer; reading goes on or stops. */
static void settle(struct http_conn *c)
{
	bool pause = c->state == CONN_HANDLER || c->state == CONN_YIELD || c->state == CONN_BLOCKED;

	if (c->state == CONN_CLOSED)
		return;
	if (c->state == CONN_LINGER || (c->state == CONN_IDLE && c->at == c->in_n)) {
		dk_free(c->http, c->in, c->in_cap);
		c->in = NULL;
		c->in_n = c->in_cap = c->at = 0;
		if (c->work)
			release_work(c);
	} else if (c->at) {
		memmove(c->in, c->in + c->at, c->in_n - c->at);
		c->in_n -= c->at;
		c->at = 0;
	}
	if (pause != c->paused)
		dk_stream_pause(c->stream, pause);
	c->paused = pause;
}

static void run(struct http_conn *c)
{
	unsigned done = 0;

	c->running = true;
	while (step(c)) {
		if (c->state != CONN_IDLE || c->at == c->in_n)
			continue;
		if (++done == REQUESTS_A_GO) {
			enter(c, CONN_YIELD, 1);
			break;
		}
	}
	c->running = false;
	settle(c);
}

static void resume(struct http_conn *c)
{
	enter(c, CONN_IDLE, (uint64_t)conf_of(c->http)->idle_s * 1000);
	run(c);
}

static void on_timer(void *self, struct dk_timer *t)
{
	struct http *http = self;
	struct http_conn *c = dk_container_of(t, struct http_conn, timer);

	switch (c->state) {
	case CONN_IDLE:
		close_conn(c, true);
		break;
	case CONN_HEAD:
		http->n.head_late++;
		http_answer_error(c, 408, dk_str_n(NULL, 0), "the request head was not whole within 5 s");
		break;
	case CONN_BODY:
		http->n.body_late++;
		http_answer_error(c, 408, dk_str_n(NULL, 0), "the request body was not whole within 10 s of its head");
		break;
	case CONN_HANDLER:
		http->n.answer_late++;
		http_answer_error(c, 503, dk_str_n(NULL, 0), "this node found no answer in time");
		break;
	case CONN_YIELD:
		if (dk_stream_waiting(c->stream) > OUTPUT_HIGH)
			enter(c, CONN_BLOCKED, HTTP_OUTPUT_MS);
		else
			resume(c);
		break;
	case CONN_BLOCKED:
		http->n.output_late++;
		close_conn(c, false);
		break;
	case CONN_LINGER:
		close_conn(c, true);
		break;
	default:
		break;
	}
}

/* ---- the stream's callbacks ---- */

static void on_data(void *self, struct dk_stream *s, dk_slice bytes)
{
	struct http *http = self;
	struct http_conn *c = dk_stream_arg(s);
	size_t need, cap;
	uint8_t *p;

	if (!c || c->state == CONN_LINGER || c->state == CONN_CLOSED)
		return;
	need = c->in_n + bytes.n;
	if (need > INPUT_MAX) {
		http->n.input_full++;
		close_conn(c, false);
		return;
	}
	if (need > c->in_cap) {
		for (cap = c->in_cap ? c->in_cap : 1024; cap < need;)
			cap *= 2;
		p = dk_realloc(http, c->in, c->in_cap, cap);
		if (!p) {
			http->n.no_memory++;
			close_conn(c, false);
			return;
		}
		c->in = p;
		c->in_cap = cap;
	}
	memcpy(c->in + c->in_n, bytes.p, bytes.n);
	c->in_n += bytes.n;
	run(c);
}

static void on_drained(void *self, struct dk_stream *s)
{
	struct http_conn *c = dk_stream_arg(s);

	(void)self;
	if (c && c->state == CONN_BLOCKED)
		resume(c);
}

static void on_closed(void *self, struct dk_stream *s, int err)
{
	struct http *http = self;
	struct http_conn *c = dk_stream_arg(s);

	(void)err;
	if (!c)
		return;
	forget_request(c);
	uncount(c);
	dk_timer_stop(&c->timer);
	unlink_conn(c);
	if (c->work)
		release_work(c);
	dk_free(http, c->in, c->in_cap);
	dk_pool_put(&http->conns, c);
}

const struct dk_stream_ops http_stream_ops = { .data = on_data, .drained = on_drained, .closed = on_closed };

/* ---- accepting ---- */

/* Makes room by closing the connection that has been idle for longest; origin NULL: anybody's. False: none is idle. */
static bool close_oldest_idle(struct http *http, const struct http_origin *origin)
{
	struct http_conn *c = http->idle.first;

	while (c && origin && c->origin != origin)
		c = c->next;
	if (!c)
		return false;
	http->n.closed_for_others++;
	close_conn(c, dk_stream_waiting(c->stream) == 0);
	return true;
}

static void turn_away(struct dk_stream *s, const char *sentence)
{
	char text[512];
	size_t body = strlen(sentence) + sizeof("{\"error\":\"\",\"status\":503}\n") - 1;
	int n = snprintf(
		text, sizeof(text),
		"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
		"\r\n{\"error\":\"%s\",\"status\":503}\n",
		body, sentence);

	dk_stream_write(s, dk_slice_n(text, (size_t)n));
	dk_stream_close(s, true);
}

void http_accept(void *self, struct dk_listener *l, struct dk_stream *s)
{
	struct http *http = self;
	const struct http_conf *conf = conf_of(http);
	struct http_origin **link = origin_of(http, dk_stream_peer(s)), *o = link ? *link : NULL;
	struct http_conn *c;

	(void)l;
	dk_stream_set_arg(s, NULL);
	if (!o) {
		http->n.no_memory++;
		dk_stream_close(s, false);
		return;
	}
	o->n++; /* counted from here on, so that closing others cannot make it go */
	if (o->n > conf->max_connections_per_address && !close_oldest_idle(http, o)) {
		http->n.refused_address++;
		turn_away(s, "too many connections from this address");
		goto uncount;
	}
	if (http->conn_n >= conf->max_connections && !close_oldest_idle(http, NULL)) {
		http->n.refused_connections++;
		turn_away(s, "too many connections");
		goto uncount;
	}
	c = dk_pool_get(&http->conns);
	if (!c) {
		http->n.no_memory++;
		dk_stream_close(s, false);
		goto uncount;
	}
	http->n.accepted++;
	http->n.connections++;
	http->conn_n++;
	c->http = http;
	c->stream = s;
	c->origin = o;
	c->counted = c->fresh = true;
	c->state = CONN_IDLE;
	link_conn(c);
	dk_stream_set_arg(s, c);
	dk_timer_start(http, &c->timer, HTTP_HEAD_MS, 0, on_timer);
	return;
uncount:
	o->n--;
	drop_origin_if_empty(http, origin_of(http, dk_stream_peer(s)));
}

void http_close_all(struct http *http)
{
	struct http_conn *c, *next;

	while (http->idle.first)
		close_conn(http->idle.first, true);
	for (c = http->busy.first; c; c = next) {
		next = c->next;
		close_conn(c, true);
	}
}
