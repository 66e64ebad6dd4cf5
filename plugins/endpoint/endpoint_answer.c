/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is answered: the two forms of an endpoint, and pages. Keys are wiped from every copy made on the way.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <diarkis/util.h>

#include "endpoint_state.h"

struct hex {
	char text[33]; /* 16 bytes in lower case; empty without a key */
};

static struct hex hex_of(const uint8_t bytes[16], bool wanted)
{
	struct hex h = { "" };

	if (wanted)
		dk_hex_format(dk_slice_n(bytes, 16), h.text);
	return h;
}

void endpoint_address(char buf[ENDPOINT_ADDRESS], const char *host, uint16_t port)
{
	snprintf(buf, ENDPOINT_ADDRESS, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

char *endpoint_role_field(struct endpoint_place *p, const char *role)
{
	if (strcmp(role, "UDP") == 0)
		return p->udp;
	if (strcmp(role, "TCP") == 0)
		return p->tcp;
	return strcmp(role, "WS") == 0 ? p->ws : NULL;
}

int endpoint_page(struct endpoint *ep, dk_id request, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int rc = -ENOMEM;

	json_decref(json);
	if (text) {
		size_t n = strlen(text);

		text[n] = '\n'; /* people read it in terminals; its NUL is needed no more */
		rc = ep->http->respond(ep->http, request, 200, "application/json", dk_str_c("Cache-Control: no-store\r\n"),
				       dk_slice_n(text, n + 1));
		explicit_bzero(text, n + 1);
	}
	free(text);
	return rc;
}

int endpoint_answer(struct endpoint *ep, dk_id request, bool v1, const struct endpoint_place *p, const struct dk_credential *cred)
{
	struct hex key = hex_of(cred->key, cred->encrypted), iv = hex_of(cred->iv, cred->encrypted);
	struct hex mac_key = hex_of(cred->mac_key, cred->encrypted), sid = hex_of(cred->sid, true);
	json_t *json;

	if (v1)
		json = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "WS", p->ws, "TCP", p->tcp, "UDP", p->udp, "sid", sid.text,
				 "encryptionKey", key.text, "encryptionIV", iv.text, "encryptionMacKey", mac_key.text);
	else
		json = json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:s}", "encryptionKey", key.text, "encryptionIV", iv.text,
				 "encryptionMacKey", mac_key.text, "serverType", p->type, "serverHost", p->host, "serverPort",
				 (int)p->port, "sid", sid.text);
	explicit_bzero(&key, sizeof(key));
	explicit_bzero(&iv, sizeof(iv));
	explicit_bzero(&mac_key, sizeof(mac_key));
	return endpoint_page(ep, request, json);
}
