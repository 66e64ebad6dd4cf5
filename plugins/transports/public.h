/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where clients are told to connect: the bound address, a host that the configuration names, or what the cloud's metadata service
 * says of this machine. Shared by the transports.
 */
#ifndef TRANSPORTS_PUBLIC_H
#define TRANSPORTS_PUBLIC_H

#include <diarkis/plugin.h>

#define PUBLIC_HOST_MAX 253 /* of a name */

struct public_ask;

struct public_host {
	char host[PUBLIC_HOST_MAX + 1]; /* what clients are told, without the port */
	struct public_ask *ask; /* NULL: nobody was asked */
};

/* The two options, with the member names `public_host` and `metadata` of the plugin's conf. */
#define PUBLIC_OPTIONS(conf)                                                                                                       \
	DK_STR(conf, public_host, "publicHost", "",                                                                                \
	       "what clients connect to: a host or an address; GCP, AWS, AZURE, TENCENT, ALIBABA, LINODE: what that cloud says; "  \
	       "empty: the bound address",                                                                                         \
	       .env = "DIARKIS_CLOUD_ENV"),                                                                                        \
		DK_STR(conf, metadata, "metadataAddress", "",                                                                      \
		       "ADDRESS:PORT that is asked in place of the cloud's own metadata service, as tests do; empty: that one",    \
		       .env = "DIARKIS_CLOUD_METADATA")

/* For configure: what the options say wrong; address: the one to bind, or empty. */
void public_configure(struct dk_report *rep, const char *public_host, const char *metadata, const char *address);
/* For start: until the node is ready clients would be told the bound address. */
void public_bound(struct public_host *p, const struct dk_addr *bound);
/* For ready: finds the host and finishes the step, at the latest after two seconds; with an error, and a sentence in the log, when
 * it cannot be found. p lies in self and is there until public_fini(). */
void public_find(void *self, struct public_host *p, const char *public_host, const char *metadata, const struct dk_addr *bound,
		 struct dk_step *step);
/* For started: the file DIARKIS_PUBLIC_ADDR, which is for the node's first UDP instance, else the first TCP one, else WS. */
void public_publish(void *self, const struct public_host *p, uint16_t port);
/* For fini. */
void public_fini(void *self, struct public_host *p);

#endif
