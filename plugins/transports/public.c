/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public host. A cloud's metadata service is a small HTTP server inside the machine's own network: one or two requests, each
 * on a connection of its own, and all together within DEADLINE_MS. Whoever answers there is believed, but not trusted: what comes
 * is bounded, and only an IP address is taken from it.
 *
 * A node that cannot learn its public address does not start: it would hand clients an address that leads nowhere.
 */
#include "public.h"
#include "answer.h"
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

static void next_question(struct public_ask *a);

static void take_address(struct public_ask *a, dk_str text)
{
	struct dk_addr addr;
	size_t n = 0;

	text = answer_trimmed(text);
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
	text = answer_trimmed(text);
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

	if (!answer_read(a->answer, a->n, &r)) {
		snprintf(why, sizeof(why), "is not there: %s", err ? dk_err_text(err) : "it ended the connection");
		failed(a, err ? err : -ECONNRESET, why);
		return;
	}
	if (r.status != 200 && (r.status != 404 || q->token_header)) {
		snprintf(why, sizeof(why), "answered with status %u", r.status);
		failed(a, -EPROTO, why);
		return;
	}
	if (!answer_body(a->answer, &r, &body)) {
		failed(a, -EPROTO, "stopped in the middle of its answer");
		return;
	}
	if (q->token_header)
		take_token(a, body);
	else
		take_address(a, r.status == 404 ? dk_str_n(NULL, 0) : q->key ? answer_json_text(body, q->key) : body);
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
	if (answer_read(a->answer, a->n, &r) && answer_is_whole(&r)) /* it need not end the connection */
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
