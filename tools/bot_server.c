/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diarkis-bot server: runs by HTTP, one at a time, each in a process of its own (bot_child.c).
 *
 *   POST /run           a scenario file: 202 and the run, or 400 and a sentence; 409 while one is going on. With ?wait the answer
 *                       is 200 and comes when the run has ended
 *   GET /run            the latest run: its state, what it said, its figures so far
 *   DELETE /run         as Ctrl-C: it stops sending and waits for what is under way
 *   GET /metrics        its figures for Prometheus; as JSON with "Accept: application/json"
 *
 * Whoever reaches the port may load other machines, so it listens on this computer alone unless told otherwise. A request is read
 * whole, answered, and its connection closed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <llhttp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <diarkis/err.h>

#include "tools/bot_child.h"

#define CALLERS_MAX 32
#define BODY_MAX (1 << 20)
#define HEAD_MAX 16384
#define URL_MAX 256

enum waits { WAITS_NOT, WAITS_READ, WAITS_END };

struct caller {
	int fd; /* -1 = free */
	enum waits waits; /* for the run to be accepted, to end */
	uint32_t run; /* that one */
	bool wait, complete, too_long, json;
	llhttp_t parser;
	size_t head_n, url_n, value_n, field_n, body_n;
	char url[URL_MAX], field[32], value[128];
	char *body; /* heap */
	char *out; /* the answer; heap */
	size_t out_n, out_at;
};

struct server {
	const struct bot_options *o;
	int fd;
	struct child child;
	struct caller callers[CALLERS_MAX];
	llhttp_settings_t settings;
	uint64_t failed; /* runs */
};

/* ---- requests ---- */

static int keep(char *at, size_t cap, size_t *n, const char *p, size_t len, bool *ret_too_long)
{
	*ret_too_long |= len > cap - *n;
	if (len <= cap - *n) {
		memcpy(at + *n, p, len);
		*n += len;
	}
	return 0;
}

static int on_url(llhttp_t *parser, const char *p, size_t n)
{
	struct caller *c = parser->data;

	return keep(c->url, sizeof(c->url) - 1, &c->url_n, p, n, &c->too_long);
}

static int on_field(llhttp_t *parser, const char *p, size_t n)
{
	struct caller *c = parser->data;
	bool other = false;

	if (c->value_n)
		c->field_n = c->value_n = 0;
	return keep(c->field, sizeof(c->field), &c->field_n, p, n, &other);
}

static int on_value(llhttp_t *parser, const char *p, size_t n)
{
	struct caller *c = parser->data;
	bool other = false;

	keep(c->value, sizeof(c->value), &c->value_n, p, n, &other);
	if (c->field_n == strlen("accept") && !strncasecmp(c->field, "accept", c->field_n))
		c->json |= memmem(c->value, c->value_n, "application/json", strlen("application/json")) != NULL;
	return 0;
}

static int on_body(llhttp_t *parser, const char *p, size_t n)
{
	struct caller *c = parser->data;

	if (!c->body)
		c->body = malloc(BODY_MAX);
	if (!c->body)
		return -1;
	return keep(c->body, BODY_MAX, &c->body_n, p, n, &c->too_long);
}

static int on_complete(llhttp_t *parser)
{
	struct caller *c = parser->data;

	c->complete = true;
	return HPE_PAUSED;
}

/* ---- answers ---- */

static void answer(struct caller *c, int status, const char *reason, const char *type, const char *text)
{
	int n = asprintf(&c->out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
			 status, reason, type, strlen(text), text);

	c->waits = WAITS_NOT;
	c->out_n = n > 0 ? (size_t)n : 0;
	c->out_at = 0;
	if (n < 0)
		c->out = NULL;
}

static void answer_json(struct caller *c, int status, const char *reason, json_t *j)
{
	char *text = j ? json_dumps(j, JSON_PRESERVE_ORDER) : NULL;

	answer(c, status, reason, "application/json", text ? text : "{}");
	free(text);
	json_decref(j);
}

static void refuse(struct caller *c, int status, const char *reason, const char *sentence)
{
	answer_json(c, status, reason, json_pack("{s:s}", "error", sentence));
}

/* Numbers of an object as lines of Prometheus: names below each other are joined, a list of parts gives each its label. */
static void metrics_of(FILE *out, const json_t *object, const char *prefix, const char *scenario)
{
	const char *key, *kind;
	char name[160];
	json_t *v, *part;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)object, key, v)
	{
		snprintf(name, sizeof(name), "%s_%s", prefix, key);
		for (char *p = name; *p; p++)
			*p = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ? *p : '_';
		if (json_is_number(v)) {
			fprintf(out, "%s{scenario=\"%s\"} %.15g\n", name, scenario, json_number_value(v));
		} else if (json_is_object(v)) {
			metrics_of(out, v, name, scenario);
		} else if (!strcmp(key, "parts")) {
			json_array_foreach(v, i, part)
			{
				kind = json_string_value(json_object_get(part, "kind"));
				metrics_of(out, part, prefix, kind ? kind : "");
			}
		}
	}
}

static void answer_metrics(struct server *s, struct caller *c)
{
	const struct child *run = &s->child;
	const char *kind = json_string_value(json_object_get(run->figures, "kind"));
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (!out) {
		refuse(c, 500, "Internal Server Error", "out of memory");
		return;
	}
	fprintf(out,
		"# TYPE diarkis_bot_running gauge\ndiarkis_bot_running %d\n"
		"# TYPE diarkis_bot_runs_total counter\ndiarkis_bot_runs_total %u\n"
		"# TYPE diarkis_bot_runs_failed_total counter\ndiarkis_bot_runs_failed_total %llu\n",
		run->state == CHILD_RUNS, run->number, (unsigned long long)s->failed);
	metrics_of(out, run->figures, "diarkis_bot", kind ? kind : "");
	fclose(out);
	answer(c, 200, "OK", "text/plain; version=0.0.4", text);
	free(text);
}

static void post_run(struct server *s, struct caller *c)
{
	struct child *run = &s->child;

	if (run->state == CHILD_READS || run->state == CHILD_RUNS) {
		refuse(c, 409, "Conflict", "a run is going on; DELETE /run ends it");
		return;
	}
	if (child_start(run, s->o, c->body ? c->body : "", c->body_n)) {
		refuse(c, 500, "Internal Server Error", "the run could not be started");
		return;
	}
	c->waits = WAITS_READ;
	c->run = run->number;
}

static void serve(struct server *s, struct caller *c)
{
	const char *method = llhttp_method_name((llhttp_method_t)c->parser.method);
	char *query;

	c->url[c->url_n] = '\0';
	query = strchr(c->url, '?');
	if (query)
		*query++ = '\0';
	c->wait = query && !strncmp(query, "wait", 4);
	if (!strcmp(c->url, "/metrics") && !strcmp(method, "GET")) {
		if (c->json)
			answer_json(c, 200, "OK", child_answer(&s->child));
		else
			answer_metrics(s, c);
	} else if (strcmp(c->url, "/run") != 0) {
		refuse(c, 404, "Not Found", "there is /run and /metrics");
	} else if (!strcmp(method, "POST")) {
		post_run(s, c);
	} else if (!strcmp(method, "GET")) {
		answer_json(c, 200, "OK", child_answer(&s->child));
	} else if (!strcmp(method, "DELETE")) {
		child_interrupt(&s->child);
		answer_json(c, 202, "Accepted", child_answer(&s->child));
	} else {
		refuse(c, 405, "Method Not Allowed", "/run takes POST, GET and DELETE");
	}
}

/* ---- callers ---- */

static void hang_up(struct caller *c)
{
	close(c->fd);
	free(c->body);
	free(c->out);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

static void take_caller(struct server *s)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	for (int i = 0; fd >= 0 && i < CALLERS_MAX; i++) {
		struct caller *c = &s->callers[i];

		if (c->fd >= 0)
			continue;
		c->fd = fd;
		llhttp_init(&c->parser, HTTP_REQUEST, &s->settings);
		c->parser.data = c;
		return;
	}
	if (fd >= 0)
		close(fd);
}

static void write_out(struct caller *c)
{
	while (c->out_at < c->out_n) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;
		c->out_at += (size_t)n;
	}
	hang_up(c);
}

static void read_in(struct server *s, struct caller *c)
{
	char buf[8192];
	ssize_t n = recv(c->fd, buf, sizeof(buf), 0);
	llhttp_errno_t rc;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		hang_up(c);
		return;
	}
	if (c->complete || c->out)
		return; /* nobody asked for more */
	c->head_n += c->body ? 0 : (size_t)n;
	rc = llhttp_execute(&c->parser, buf, (size_t)n);
	if (c->too_long || c->head_n > HEAD_MAX + sizeof(buf))
		refuse(c, 413, "Content Too Large", "expected less than a MiB");
	else if (c->complete)
		serve(s, c);
	else if (rc != HPE_OK)
		refuse(c, 400, "Bad Request", "that is no HTTP/1.1 request");
}

/* The run got further: tells those who wait for that. */
static void tell(struct server *s)
{
	const struct child *run = &s->child;

	for (int i = 0; i < CALLERS_MAX; i++) {
		struct caller *c = &s->callers[i];

		if (c->fd < 0 || c->run != run->number || c->waits == WAITS_NOT)
			continue;
		if (run->state == CHILD_ENDED && run->refused)
			answer_json(c, 400, "Bad Request", child_answer(run));
		else if (run->state == CHILD_ENDED && c->wait)
			answer_json(c, 200, "OK", child_answer(run));
		else if (run->state >= CHILD_RUNS && !c->wait)
			answer_json(c, 202, "Accepted", child_answer(run));
	}
}

/* ---- the loop ---- */

static void turn(struct server *s, int signals)
{
	struct pollfd p[CALLERS_MAX + 3] = { { .fd = s->fd, .events = POLLIN },
					     { .fd = signals, .events = POLLIN },
					     { .fd = s->child.figures_fd, .events = POLLIN } };

	for (int i = 0; i < CALLERS_MAX; i++)
		p[3 + i] = (struct pollfd){ .fd = s->callers[i].fd, .events = s->callers[i].out ? POLLOUT : POLLIN };
	if (poll(p, DK_ARRAY_LEN(p), -1) < 0)
		return;
	for (int i = 0; i < CALLERS_MAX; i++) {
		struct caller *c = &s->callers[i];

		if (c->fd < 0 || c->fd != p[3 + i].fd || !p[3 + i].revents)
			continue;
		if (c->out)
			write_out(c);
		else
			read_in(s, c);
	}
	if (p[2].revents && s->child.figures_fd == p[2].fd) {
		child_ready(&s->child);
		if (s->child.state == CHILD_ENDED)
			s->failed += s->child.status != 0;
		tell(s);
	}
	if (p[0].revents)
		take_caller(s);
}

static int listen_at(const struct bot_options *o)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)o->port) };
	socklen_t n = sizeof(a);
	char text[INET_ADDRSTRLEN];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (inet_pton(AF_INET, o->address, &a.sin_addr) != 1) {
		fprintf(stderr, "diarkis-bot: --address %s: expected an IPv4 address\n", o->address);
		goto fail;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) || listen(fd, CALLERS_MAX) || getsockname(fd, (struct sockaddr *)&a, &n)) {
		fprintf(stderr, "diarkis-bot: cannot listen at %s:%u: %s\n", o->address, o->port, strerror(errno));
		goto fail;
	}
	printf("ready http=%s:%u\n", inet_ntop(AF_INET, &a.sin_addr, text, sizeof(text)), ntohs(a.sin_port));
	fflush(stdout);
	return fd;
fail:
	if (fd >= 0)
		close(fd);
	return -1;
}

int bot_server(const struct bot_options *o)
{
	struct server *s = calloc(1, sizeof(*s));
	int signals = process_signal_fd(), rc;

	if (!s)
		return 1;
	s->o = o;
	s->child.figures_fd = s->child.said_fd = -1;
	for (int i = 0; i < CALLERS_MAX; i++)
		s->callers[i].fd = -1;
	llhttp_settings_init(&s->settings);
	s->settings.on_url = on_url;
	s->settings.on_header_field = on_field;
	s->settings.on_header_value = on_value;
	s->settings.on_body = on_body;
	s->settings.on_message_complete = on_complete;
	s->fd = listen_at(o);
	while (s->fd >= 0 && !process_interrupted(signals))
		turn(s, signals);
	child_fini(&s->child);
	for (int i = 0; i < CALLERS_MAX; i++) {
		if (s->callers[i].fd >= 0)
			hang_up(&s->callers[i]);
	}
	rc = s->fd < 0 ? 1 : DK_EXIT_OK;
	if (s->fd >= 0)
		close(s->fd);
	close(signals);
	free(s);
	return rc;
}
