/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of an endpoint request: the first property data of a user. Pure but for jansson's allocations.
 */
#ifndef ENDPOINT_PROPS_H
#define ENDPOINT_PROPS_H

#include <diarkis/user.h>

#include <jansson.h>

/* What a user may hold; checked before a user is made. */
#define ENDPOINT_PROPS_MAX 64
#define ENDPOINT_NAME_MAX 255
#define ENDPOINT_BYTES_MAX 65536 /* names and texts together */

struct endpoint_prop {
	dk_str name;
	struct dk_value value;
	char *text; /* owned; a nested JSON value written out */
};

struct endpoint_props {
	struct endpoint_prop at[ENDPOINT_PROPS_MAX];
	unsigned n;
	size_t bytes;
	json_t *root; /* the values' texts lie in it */
	char why[256]; /* after a refusal: a sentence */
};

/* Reads the body; false: not taken, p->why says why. Texts are borrowed from the body or from p. p is initialised by this and
 * needs a fini in either case. content_type: p may be NULL. */
bool endpoint_props_read(struct endpoint_props *p, dk_str content_type, dk_slice body);
void endpoint_props_fini(struct endpoint_props *p);
/* As the plugin user takes them; borrowed. Returns how many. */
size_t endpoint_props_list(const struct endpoint_props *p, struct dk_user_prop to[ENDPOINT_PROPS_MAX]);

#endif
