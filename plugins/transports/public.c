/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public host. A cloud's metadata service is a small HTTP server inside the machine's own network: one or two requests, each
 * on a connection of its own, and all together within DEADLINE_MS. Whoever answers there is believed, but not trusted: what comes
 * is bounded, and only an IP address is taken from it.
 *
 * A node that cannot learn its public address does not start: it would hand clients an address that leads nowhere.
 */
#include "public.h"
#include "utility.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define DEADLINE_MS 2000
#define ANSWER_MAX 16384
#define TOKEN_MAX 512
#define TOKEN_S "60" /* how long it is asked to be good for */

/* One request. The first one that yields an address ends it; an answer 404, or none inside a good answer, leads to the next. */
struct question {
	const char *path; /* NULL: no further one */
	const char *key; /* of the text in a JSON answer; NULL: the answer is the text */
	const char *token_header; /* PUT, with this header; what comes is the token of those that follow */
	const char *header; /* GET, with this header; one that ends in ": " gets the token */
};

struct cloud {
	const char *name;
	const char *at; /* host or address, port 80 */
	const char *host; /* as the request names it */
	struct question questions[4];
};

static const struct cloud clouds[] = {
	{ "GCP",
	  "169.254.169.254",
	  "metadata.google.internal",
	  { { .path = "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip",
	      .header = "Metadata-Flavor: Google" } } },
	{ "AWS",
	  "169.254.169.254",
	  "169.254.169.254",
	  { { .path = "/latest/api/token", .token_header = "X-aws-ec2-metadata-token-ttl-seconds: " TOKEN_S },
	    { .path = "/latest/meta-data/public-ipv4", .header = "X-aws-ec2-metadata-token: " } } },
	/* Addresses of the kind Standard are told as those of a load balancer. */
	{ "AZURE",
	  "169.254.169.254",
	  "169.254.169.254",
	  { { .path = "/metadata/instance/network/interface/0/ipv4/ipAddress/0?api-version=2021-02-01",
	      .key = "publicIpAddress",
	      .header = "Metadata: true" },
	    { .path = "/metadata/loadbalancer?api-version=2021-02-01", .key = "frontendIpAddress", .header = "Metadata: true" } } },
	{ "TENCENT",
	  "metadata.tencentyun.com",
	  "metadata.tencentyun.com",
	  { { .path = "/latest/meta-data/public-ipv4", .header = "Accept: text/plain" } } },
	/* An elastic address is told apart from one that the machine was made with. */
	{ "ALIBABA",
	  "100.100.100.200",
	  "100.100.100.200",
	  { { .path = "/latest/api/token", .token_header = "X-aliyun-ecs-metadata-token-ttl-seconds: " TOKEN_S },
	    { .path = "/latest/meta-data/eipv4", .header = "X-aliyun-ecs-metadata-token: " },
	    { .path = "/latest/meta-data/public-ipv4", .header = "X-aliyun-ecs-metadata-token: " } } },
	{ "LINODE",
	  "169.254.169.254",
	  "169.254.169.254",
	  { { .path = "/v1/token", .token_header = "Metadata-Token-Expiry-Seconds: " TOKEN_S },
	    { .path = "/v1/network", .key = "public", .header = "Accept: application/json\r\nMetadata-Token: " } } },
};

struct public_ask {
	void *self;
	struct public_host *result;
	struct dk_step *step; /* NULL: it is over */
	const struct cloud *cloud;
	const struct question *question;
	struct dk_stream *stream;
	struct dk_timer deadline;
	struct dk_addr at;
	char token[TOKEN_MAX + 1];
	size_t n;
	char answer[ANSWER_MAX];
};

static const struct cloud *cloud_of(const char *value)
{
	for (size_t i = 0; i < DK_ARRAY_LEN(clouds); i++)
		if (!strcasecmp(value, clouds[i].name))
			return &clouds[i];
	return NULL;
}

/* ---- the end of asking ---- */

static void over(struct public_ask *a, int err)
{
	struct dk_step *step = a->step;

	a->step = NULL;
	dk_timer_stop(&a->deadline);
	dk_stream_close(a->stream, false);
	a->stream = NULL;
	dk_step_done(step, err);
}

static void failed(struct public_ask *a, int err, const char *what)
{
	char at[DK_ADDR_TEXT];

	dk_addr_format(&a->at, at);
	dk_log(a->self, DK_ERROR,
	       "publicHost (DIARKIS_CLOUD_ENV) is %s, but the metadata service at %s %s; without it nobody knows which address "
	       "clients can reach: name a host or an address instead, or leave it empty for the bound one",
	       a->cloud->name, a->at.family ? at : a->cloud->at, what);
	over(a, err);
}

static void on_deadline(void *self, struct dk_timer *t)
{
	(void)self;
	failed(dk_container_of(t, struct public_ask, deadline), -ETIMEDOUT, "did not answer within 2 s");
}

/* ---- an answer ---- */

static dk_str find(dk_str in, const char *what)
{
	size_t n = strlen(what);

	for (; in.n >= n; in = dk_str_n(in.p + 1, in.n - 1))
		if (!strncasecmp(in.p, what, n))
			return in;
	return dk_str_n(NULL, 0);
}

static dk_str skip(dk_str s, size_t n)
{
	return dk_str_n(s.p + n, s.n - n);
}

static dk_str trimmed(dk_str s)
{
	while (s.n && (unsigned char)s.p[0] <= ' ')
		s = skip(s, 1);
	while (s.n && (unsigned char)s.p[s.n - 1] <= ' ')
		s.n--;
	return s;
}

/* The text that JSON keeps under a key, or the first of a list of texts; empty: none. */
static dk_str json_text(dk_str in, const char *key)
{
	size_t n = strlen(key);

	for (in = find(in, key); in.n; in = find(skip(in, n), key)) {
		dk_str s = trimmed(skip(in, n));

		if (s.n < 2 || s.p[0] != '"')
			continue;
		s = trimmed(skip(s, 1));
		if (!s.n || s.p[0] != ':') /* a text, not a key */
			continue;
		s = trimmed(skip(s, 1));
		if (s.n && s.p[0] == '[')
			s = trimmed(skip(s, 1));
		if (!s.n || s.p[0] != '"')
			continue;
		s = skip(s, 1);
		n = 0;
		while (n < s.n && s.p[n] != '"')
			n++;
		return n < s.n ? dk_str_n(s.p, n) : dk_str_n(NULL, 0);
	}
	return dk_str_n(NULL, 0);
}

/* The number at the start of a text, beyond everything where it is none. */
static size_t number(dk_str s, unsigned base)
{
	static const char digits[] = "0123456789abcdef";
	size_t v = 0, i = 0;
	const char *d;

	s = trimmed(s);
	for (; i < s.n && s.p[i] && (d = strchr(digits, s.p[i] | 0x20)) && (unsigned)(d - digits) < base; i++)
		v = v > ANSWER_MAX ? v : v * base + (size_t)(d - digits);
	return i ? v : SIZE_MAX;
}

/* The bytes of chunks, put together where they lie; false when the last one is missing. */
static bool dechunk(char *p, size_t *n)
{
	size_t used = 0, out = 0, size;
	dk_str line_end;

	for (;;) {
		line_end = find(dk_str_n(p + used, *n - used), "\r\n");
		if (!line_end.n)
			return false;
		size = number(dk_str_n(p + used, (size_t)(line_end.p - p) - used), 16);
		used = (size_t)(line_end.p - p) + 2;
		if (size > *n - used)
			return false;
		if (!size)
			break;
		memmove(p + out, p + used, size);
		out += size;
		used += size;
		if (*n - used < 2)
			return false;
		used += 2;
	}
	*n = out;
	return true;
}

struct answer {
	unsigned status; /* 0: this is no answer */
	bool chunked;
	size_t length; /* as announced; SIZE_MAX: it is not */
	size_t body_at, body_n; /* what is there of it */
};

/* False: its head has not come to an end. */
static bool read_answer(const struct public_ask *a, struct answer *ret_answer)
{
	dk_str all = dk_str_n(a->answer, a->n), end = find(all, "\r\n\r\n"), head, length;
	size_t status;

	if (!end.n)
		return false;
	head = dk_str_n(a->answer, (size_t)(end.p - a->answer) + 2);
	length = find(head, "\r\nContent-Length:");
	status = head.n < 12 || strncasecmp(head.p, "HTTP/1.", 7) ? 0 : number(dk_str_n(head.p + 9, 3), 10);
	ret_answer->status = status > 999 ? 0 : (unsigned)status;
	ret_answer->chunked = find(head, "\r\nTransfer-Encoding: chunked").n;
	ret_answer->length = length.n ? number(skip(length, 17), 10) : SIZE_MAX;
	ret_answer->body_at = head.n + 2;
	ret_answer->body_n = a->n - ret_answer->body_at;
	return true;
}

static void next_question(struct public_ask *a);

static void take_address(struct public_ask *a, dk_str text)
{
	struct dk_addr addr;
	size_t n = 0;

	text = trimmed(text);
	while (n < text.n && text.p[n] != '/') /* some say the network too */
		n++;
	text.n = n;
	if (!text.n) {
		a->question++;
		next_question(a);
	} else if (text.n >= DK_ADDR_TEXT || dk_addr_parse(text, 0, &addr) || addr.port) {
		failed(a, -EPROTO, "answered with something that is no IP address");
	} else {
		utility_host(&addr, a->result->host);
		dk_log(a->self, DK_INFO, "clients are told %s, the address of this machine in %s", a->result->host, a->cloud->name);
		over(a, 0);
	}
}

static void take_token(struct public_ask *a, dk_str text)
{
	text = trimmed(text);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] <= ' ' || text.p[i] > '~')
			text.n = 0;
	if (!text.n || text.n > TOKEN_MAX) {
		failed(a, -EPROTO, "gave no token");
		return;
	}
	memcpy(a->token, text.p, text.n);
	a->token[text.n] = '\0';
	a->question++;
	next_question(a);
}

/* The connection has ended; what came is all there is. */
static void evaluate(struct public_ask *a, int err)
{
	const struct question *q = a->question;
	struct answer r;
	char why[64];
	dk_str body;

	if (!read_answer(a, &r)) {
		snprintf(why, sizeof(why), "is not there: %s", err ? dk_err_text(err) : "it ended the connection");
		failed(a, err ? err : -ECONNRESET, why);
		return;
	}
	if (r.status != 200 && (r.status != 404 || q->token_header)) {
		snprintf(why, sizeof(why), "answered with status %u", r.status);
		failed(a, -EPROTO, why);
		return;
	}
	if (r.chunked ? !dechunk(a->answer + r.body_at, &r.body_n) : r.length != SIZE_MAX && r.length > r.body_n) {
		failed(a, -EPROTO, "stopped in the middle of its answer");
		return;
	}
	body = dk_str_n(a->answer + r.body_at, !r.chunked && r.length < r.body_n ? r.length : r.body_n);
	if (q->token_header)
		take_token(a, body);
	else
		take_address(a, r.status == 404 ? dk_str_n(NULL, 0) : q->key ? json_text(body, q->key) : body);
}

/* ---- a question ---- */

static void ask_data(void *self, struct dk_stream *s, dk_slice bytes)
{
	struct public_ask *a = dk_stream_arg(s);
	struct answer r;

	(void)self;
	if (!a->step)
		return;
	if (bytes.n > ANSWER_MAX - a->n) {
		failed(a, -EMSGSIZE, "answered with more than an address");
		return;
	}
	memcpy(a->answer + a->n, bytes.p, bytes.n);
	a->n += bytes.n;
	if (read_answer(a, &r) && !r.chunked && r.body_n >= r.length) /* it need not end the connection */
		dk_stream_close(s, false);
}

static void ask_closed(void *self, struct dk_stream *s, int err)
{
	struct public_ask *a = dk_stream_arg(s);

	(void)self;
	if (a->stream != s)
		return;
	a->stream = NULL;
	if (a->step)
		evaluate(a, err);
}

static const struct dk_stream_ops ask_ops = { .data = ask_data, .closed = ask_closed };

static void next_question(struct public_ask *a)
{
	const struct question *q = a->question;
	const char *header = q->token_header ? q->token_header : q->header;
	bool wants_token = header && header[strlen(header) - 1] == ' ';
	char text[1024 + TOKEN_MAX];
	int n, rc;

	if (!q->path) {
		failed(a, -EADDRNOTAVAIL, "knows no public address of this machine");
		return;
	}
	a->n = 0;
	rc = dk_stream_connect(a->self, &a->at, true, &ask_ops, a, &a->stream);
	if (rc) {
		failed(a, rc, "cannot be asked");
		return;
	}
	n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: diarkis\r\n%s%s%s\r\n\r\n",
		     q->token_header ? "PUT" : "GET", q->path, a->cloud->host, header, wants_token ? a->token : "",
		     q->token_header ? "\r\nContent-Length: 0" : "");
	dk_stream_write(a->stream, dk_slice_n(text, (size_t)n));
}

static void on_address(void *self, void *arg, int err, const struct dk_addr *addr)
{
	struct public_ask *a = arg;

	(void)self;
	if (!a->step)
		return;
	if (err) {
		failed(a, err, "has a name that leads to no address");
		return;
	}
	a->at = *addr;
	next_question(a);
}

/* ---- for the transports ---- */

static bool is_host(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	struct dk_addr addr;

	if (dk_addr_parse(dk_str_c(text), 0, &addr) == 0)
		return addr.port == 0;
	return strlen(text) <= PUBLIC_HOST_MAX && text[0] && text[strspn(text, allowed)] == '\0';
}

static bool is_wildcard(const struct dk_addr *a)
{
	static const uint8_t nothing[16];

	return memcmp(a->ip, nothing, sizeof(a->ip)) == 0;
}

void public_configure(struct dk_report *rep, const char *public_host, const char *metadata, const char *address)
{
	struct dk_addr addr;

	if (*public_host && !cloud_of(public_host) && !is_host(public_host))
		dk_report(rep, "publicHost",
			  "publicHost (DIARKIS_CLOUD_ENV) is \"%s\"; it must be a host or an address without a port, one of GCP, "
			  "AWS, "
			  "AZURE, TENCENT, ALIBABA, LINODE, or empty",
			  public_host);
	if (*metadata && dk_addr_parse(dk_str_c(metadata), 80, &addr))
		dk_report(rep, "metadataAddress", "metadataAddress is \"%s\"; it must be ADDRESS:PORT", metadata);
	if (!*public_host && *address && dk_addr_parse(dk_str_c(address), 0, &addr) == 0 && is_wildcard(&addr))
		dk_caution(rep, "address",
			   "clients are told to connect to %s, which leads nowhere; set publicHost (DIARKIS_CLOUD_ENV) to what "
			   "they can reach",
			   address);
}

void public_bound(struct public_host *p, const struct dk_addr *bound)
{
	utility_host(bound, p->host);
}

void public_find(void *self, struct public_host *p, const char *public_host, const char *metadata, const struct dk_addr *bound,
		 struct dk_step *step)
{
	const struct cloud *cloud = cloud_of(public_host);
	struct public_ask *a;
	int rc;

	if (!*public_host && utility_is_private(bound))
		dk_log(self, utility_is_loopback(bound) ? DK_NOTICE : DK_WARN,
		       "clients are told to connect to %s, which only %s can reach; publicHost (DIARKIS_CLOUD_ENV) names another "
		       "host",
		       p->host, utility_is_loopback(bound) ? "this computer" : "the same private network");
	if (*public_host && !cloud)
		snprintf(p->host, sizeof(p->host), "%s", public_host);
	if (!cloud) {
		dk_step_done(step, 0);
		return;
	}
	a = dk_alloc(self, sizeof(*a));
	if (!a) {
		dk_step_done(step, -ENOMEM);
		return;
	}
	p->ask = a;
	a->self = self;
	a->result = p;
	a->step = step;
	a->cloud = cloud;
	a->question = cloud->questions;
	dk_timer_start(self, &a->deadline, DEADLINE_MS, 0, on_deadline);
	if (*metadata) {
		dk_addr_parse(dk_str_c(metadata), 80, &a->at);
		next_question(a);
		return;
	}
	rc = dk_resolve(self, dk_str_c(cloud->at), 80, on_address, a);
	if (rc)
		failed(a, rc, "cannot be asked");
}

void public_publish(void *self, const struct public_host *p, uint16_t port)
{
	static const char *const order[] = { "UDP", "TCP", "WS" };
	const char *instance, *role, *first = NULL;
	char text[PUBLIC_HOST_MAX + 16], suffix[8];
	bool v6 = strchr(p->host, ':') != NULL;

	for (size_t k = 0; k < DK_ARRAY_LEN(order) && !first; k++)
		for (size_t i = 0; !first && dk_announced_at(self, i, &instance, &role); i++)
			if (!strcmp(role, order[k]))
				first = instance;
	if (!first || strcmp(first, dk_instance(self)) != 0)
		return;
	snprintf(text, sizeof(text), v6 ? "[%s]:%u" : "%s:%u", p->host, port);
	snprintf(suffix, sizeof(suffix), "%u", port);
	dk_publish_file(self, "DIARKIS_PUBLIC_ADDR", suffix, dk_str_c(text));
}

void public_fini(void *self, struct public_host *p)
{
	if (p->ask)
		dk_free(self, p->ask, sizeof(*p->ask));
	p->ask = NULL;
}
