/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoint API's answer, read into a struct. Two forms are spoken: the current one names one server (serverHost, serverPort),
 * the v1 form has a key "UDP" or "TCP" with "host:port". Keys and the sid are 32 hexadecimal digits; empty keys mean that
 * encryption is off. Numbers may come as strings, as the reference's own tools write them. Unknown keys are ignored: a server may
 * add its own.
 */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include <jansson.h>

#include <diarkis/util.h>

#include "priv.h"

struct reader {
	json_t *root;
	char *why;
	size_t cap;
};

static int malformed(struct reader *r, const char *fmt, ...) DK_PRINTF(2, 3);

static int malformed(struct reader *r, const char *fmt, ...)
{
	va_list ap;

	if (r->cap) {
		va_start(ap, fmt);
		vsnprintf(r->why, r->cap, fmt, ap);
		va_end(ap);
	}
	return DKC_MALFORMED;
}

static dk_str text_of(const json_t *v)
{
	return dk_str_n(json_string_value(v), json_string_length(v));
}

/* 16 bytes as 32 digits. Returns 0, DKC_MALFORMED, or 1 when empty is allowed and it is empty. */
static int read_bytes(struct reader *r, const char *name, bool may_be_empty, uint8_t dst[16])
{
	const json_t *v = json_object_get(r->root, name);
	dk_str s;

	if (!v)
		return malformed(r, "The endpoint answer has no \"%s\"; expected 32 hexadecimal digits.", name);
	if (!json_is_string(v))
		return malformed(r, "\"%s\" is no text; expected 32 hexadecimal digits.", name);
	s = text_of(v);
	if (!s.n && may_be_empty)
		return 1;
	if (s.n != 32)
		return malformed(r, "\"%s\" has %zu characters; expected 32 hexadecimal digits.", name, s.n);
	if (dk_hex_parse(s, 16, dst) < 0)
		return malformed(r, "\"%s\" holds something else than hexadecimal digits.", name);
	return 0;
}

static int read_port_text(struct reader *r, const char *name, dk_str s, uint16_t *ret_port)
{
	uint32_t n = 0;

	if (!s.n || s.n > 5)
		return malformed(r, "The port in \"%s\" is no number between 1 and 65535.", name);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return malformed(r, "The port in \"%s\" is no number between 1 and 65535.", name);
		n = n * 10 + (uint32_t)(s.p[i] - '0');
	}
	if (n < 1 || n > 65535)
		return malformed(r, "The port in \"%s\" is %u; expected 1 to 65535.", name, n);
	*ret_port = (uint16_t)n;
	return 0;
}

static int read_host(struct reader *r, const char *name, dk_str s, struct dkc_endpoint *e)
{
	if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		s = dk_str_n(s.p + 1, s.n - 2);
	if (!s.n || s.n > DKC_HOST_MAX)
		return malformed(r, "The host in \"%s\" has %zu characters; expected 1 to %d.", name, s.n, DKC_HOST_MAX);
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return malformed(r, "The host in \"%s\" holds a space or a control character.", name);
	}
	memcpy(e->host, s.p, s.n);
	e->host[s.n] = '\0';
	return 0;
}

static int read_current(struct reader *r, enum dkc_protocol protocol, struct dkc_endpoint *e)
{
	const json_t *host = json_object_get(r->root, "serverHost"), *port = json_object_get(r->root, "serverPort");
	const json_t *type = json_object_get(r->root, "serverType");
	int rc;

	if (!json_is_string(host))
		return malformed(r, "\"serverHost\" is no text; expected a host name or an address.");
	rc = read_host(r, "serverHost", text_of(host), e);
	if (rc)
		return rc;
	if (json_is_string(port)) {
		rc = read_port_text(r, "serverPort", text_of(port), &e->port);
		if (rc)
			return rc;
	} else if (json_is_integer(port) && json_integer_value(port) >= 1 && json_integer_value(port) <= 65535) {
		e->port = (uint16_t)json_integer_value(port);
	} else {
		return malformed(r, "\"serverPort\" is missing or no number between 1 and 65535.");
	}
	if (protocol == DKC_ANY)
		protocol = json_is_string(type) && !strcasecmp(json_string_value(type), "TCP") ? DKC_TCP : DKC_UDP;
	e->protocol = protocol;
	return 0;
}

static int read_v1(struct reader *r, enum dkc_protocol protocol, struct dkc_endpoint *e)
{
	static const char *const names[] = { [DKC_UDP] = "UDP", [DKC_TCP] = "TCP" };

	for (int p = DKC_UDP; p <= DKC_TCP; p++) {
		const json_t *v = json_object_get(r->root, names[p]);
		dk_str s = text_of(v);
		const char *colon;
		int rc;

		if ((protocol != DKC_ANY && (int)protocol != p) || !s.n)
			continue;
		colon = memrchr(s.p, ':', s.n);
		if (!colon)
			return malformed(r, "\"%s\" has no port; expected \"host:port\".", names[p]);
		rc = read_host(r, names[p], dk_str_n(s.p, (size_t)(colon - s.p)), e);
		if (!rc)
			rc = read_port_text(r, names[p], dk_str_n(colon + 1, s.n - (size_t)(colon + 1 - s.p)), &e->port);
		if (!rc)
			e->protocol = (enum dkc_protocol)p;
		return rc;
	}
	return malformed(r, "The endpoint answer names no server: it has no \"serverHost\" and no \"%s\".",
			 protocol == DKC_TCP ? "TCP" : "UDP");
}

int dkc_endpoint_parse(dk_str json, enum dkc_protocol protocol, struct dkc_endpoint *ret_endpoint, char *why, size_t cap)
{
	struct reader r = { .why = why, .cap = cap };
	struct dkc_endpoint e = { .port = 0 };
	json_error_t err;
	int empty = 0, rc;

	r.root = json_loadb(json.p ? json.p : "", json.n, JSON_REJECT_DUPLICATES, &err);
	if (!r.root)
		return malformed(&r, "The endpoint answer is no JSON: %s at byte %d.", err.text, err.position);
	if (!json_is_object(r.root)) {
		rc = malformed(&r, "The endpoint answer is no JSON object.");
		goto out;
	}
	rc = json_object_get(r.root, "serverHost") ? read_current(&r, protocol, &e) : read_v1(&r, protocol, &e);
	if (rc)
		goto out;
	rc = read_bytes(&r, "sid", false, e.cred.sid);
	if (rc)
		goto out;
	{
		static const char *const names[] = { "encryptionKey", "encryptionIV", "encryptionMacKey" };
		uint8_t *const to[] = { e.cred.key, e.cred.iv, e.cred.mac_key };

		for (size_t i = 0; i < 3; i++) {
			rc = read_bytes(&r, names[i], true, to[i]);
			if (rc == DKC_MALFORMED)
				goto out;
			empty += rc == 1;
		}
		rc = 0;
	}
	if (empty && empty != 3) {
		rc = malformed(&r, "Some of the three encryption keys are empty and some are not; expected all or none.");
		goto out;
	}
	e.cred.encrypted = !empty;
	*ret_endpoint = e;
out:
	json_decref(r.root);
	return rc;
}

bool dkc_addr_parse(const char *host, uint16_t port, struct dk_addr *ret_addr)
{
	struct dk_addr a = { .port = port };
	char text[DK_ADDR_TEXT];
	const char *colon;
	size_t n = strlen(host);

	/* with its port inside */
	if (host[0] == '[' || (colon = strchr(host, ':')) == NULL || strchr(colon + 1, ':') == NULL) {
		colon = strrchr(host, ':');
		if (colon && (host[0] != '[' || colon[-1] == ']')) {
			struct reader r = { .root = NULL };

			if (read_port_text(&r, "address", dk_str_c(colon + 1), &a.port))
				return false;
			n = (size_t)(colon - host);
		}
		if (host[0] == '[') {
			if (n < 2 || host[n - 1] != ']')
				return false;
			host++;
			n -= 2;
		}
	}
	if (n >= sizeof(text))
		return false;
	memcpy(text, host, n);
	text[n] = '\0';
	if (inet_pton(AF_INET, text, a.ip) == 1)
		a.family = 4;
	else if (inet_pton(AF_INET6, text, a.ip) == 1)
		a.family = 6;
	else
		return false;
	*ret_addr = a;
	return true;
}

void client_addr_text(const struct dk_addr *a, char buf[DK_ADDR_TEXT])
{
	char ip[INET6_ADDRSTRLEN] = "";

	inet_ntop(a->family == 6 ? AF_INET6 : AF_INET, a->ip, ip, sizeof(ip));
	snprintf(buf, DK_ADDR_TEXT, a->family == 6 ? "[%s]:%u" : "%s:%u", ip, a->port);
}
